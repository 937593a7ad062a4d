//! Patterns with `*` and `?`, and policy variables within them (IAM User Guide, "Policy variables and tags").

use std::borrow::Cow;

use crate::{Context, ContextValue};

/// A piece of a pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    /// These characters.
    Text(String),
    /// `?`: any one character.
    One,
    /// `*`: any characters, or none.
    Any,
    /// `${name}` or `${name, 'default'}`: the value of a condition key, literally.
    Variable { name: String, default: Option<String> },
}

/// A compiled pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    /// As it was written.
    source: String,
    shape: Shape,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Shape {
    /// Matches this alone.
    Exact(String),
    /// Matches what begins so.
    Prefix(String),
    /// Anything else.
    Pieces(Vec<Piece>),
}

/// What is special in a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Syntax {
    /// Whether `*` and `?` stand for others.
    pub wildcards: bool,
    /// Whether `${...}` is a variable (Version 2012-10-17).
    pub variables: bool,
}

impl Pattern {
    /// Compiles a pattern. A `${` without end or without a name is literal text.
    pub fn new(text: &str, syntax: Syntax) -> Self {
        let pieces = pieces(text, syntax);
        let shape = match pieces.as_slice() {
            [] => Shape::Exact(String::new()),
            [Piece::Text(text)] => Shape::Exact(text.clone()),
            [Piece::Any] => Shape::Prefix(String::new()),
            [Piece::Text(text), Piece::Any] => Shape::Prefix(text.clone()),
            _ => Shape::Pieces(pieces),
        };
        Self { source: text.to_owned(), shape }
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it matches one text alone, whatever the request.
    pub fn is_exact(&self) -> bool {
        matches!(self.shape, Shape::Exact(_))
    }

    /// The characters that every match begins with.
    pub fn fixed_start(&self) -> &str {
        match &self.shape {
            Shape::Exact(text) | Shape::Prefix(text) => text,
            Shape::Pieces(pieces) => match pieces.first() {
                Some(Piece::Text(text)) => text,
                _ => "",
            },
        }
    }

    /// Whether it has a variable.
    pub fn has_variables(&self) -> bool {
        self.variables().next().is_some()
    }

    /// The condition keys that it names.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let pieces = match &self.shape {
            Shape::Pieces(pieces) => pieces.as_slice(),
            Shape::Exact(_) | Shape::Prefix(_) => &[],
        };
        pieces.iter().filter_map(|piece| match piece {
            Piece::Variable { name, .. } => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether a text matches. A variable that has no value matches nothing.
    pub fn matches(&self, text: &str, fold: bool, context: &Context) -> bool {
        match &self.shape {
            Shape::Exact(wanted) => same(wanted, text, fold),
            Shape::Prefix(wanted) => starts(text, wanted, fold),
            Shape::Pieces(pieces) => tokens(pieces, context).is_some_and(|tokens| glob(&tokens, text, fold)),
        }
    }

    /// Whether all its variables have a value.
    pub fn is_resolved(&self, context: &Context) -> bool {
        match &self.shape {
            Shape::Pieces(pieces) => tokens(pieces, context).is_some(),
            Shape::Exact(_) | Shape::Prefix(_) => true,
        }
    }
}

fn same(a: &str, b: &str, fold: bool) -> bool {
    if fold { a.len() == b.len() && a.eq_ignore_ascii_case(b) || folded(a) == folded(b) } else { a == b }
}

fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

fn starts(text: &str, start: &str, fold: bool) -> bool {
    if fold { folded(text).starts_with(&folded(start)) } else { text.starts_with(start) }
}

fn pieces(text: &str, syntax: Syntax) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let special = match first {
            '*' if syntax.wildcards => Some((Piece::Any, 1)),
            '?' if syntax.wildcards => Some((Piece::One, 1)),
            '$' if syntax.variables => variable(rest),
            _ => None,
        };
        let Some((piece, length)) = special else {
            plain.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        rest = &rest[length..];
        // `${*}` and its like are characters.
        if let Piece::Text(character) = piece {
            plain.push_str(&character);
            continue;
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        if !(piece == Piece::Any && pieces.last() == Some(&Piece::Any)) {
            pieces.push(piece);
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    pieces
}

/// The variable that a text begins with, and its length in bytes.
fn variable(text: &str) -> Option<(Piece, usize)> {
    let inside = text.strip_prefix("${")?;
    let end = inside.find('}')?;
    let (body, length) = (&inside[..end], end + 3);
    if matches!(body, "*" | "?" | "$") {
        return Some((Piece::Text(body.to_owned()), length));
    }
    let (name, default) = match body.split_once(',') {
        None => (body.trim(), None),
        Some((name, default)) => {
            let default = default.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (name.trim(), Some(default.to_owned()))
        }
    };
    if name.is_empty() {
        return None;
    }
    Some((Piece::Variable { name: name.to_owned(), default }, length))
}

/// What a variable stands for: the text of a single-valued key that is there.
pub fn variable_value<'a>(name: &str, context: &'a Context) -> Option<Cow<'a, str>> {
    match context.get(name)? {
        ContextValue::Text(text) => Some(text.as_str().into()),
        ContextValue::Many(_) => None,
        other => other.texts().into_iter().next(),
    }
}

enum Token {
    Char(char),
    One,
    Any,
}

/// The pieces with their variables put in; `None` when one has no value.
fn tokens(pieces: &[Piece], context: &Context) -> Option<Vec<Token>> {
    let mut tokens = Vec::with_capacity(64);
    for piece in pieces {
        match piece {
            Piece::Text(text) => tokens.extend(text.chars().map(Token::Char)),
            Piece::One => tokens.push(Token::One),
            Piece::Any => tokens.push(Token::Any),
            Piece::Variable { name, default } => {
                let value = variable_value(name, context).or_else(|| default.as_deref().map(Cow::Borrowed))?;
                tokens.extend(value.chars().map(Token::Char));
            }
        }
    }
    Some(tokens)
}

fn equal(a: char, b: char, fold: bool) -> bool {
    a == b || fold && a.to_lowercase().eq(b.to_lowercase())
}

/// Whether a text fits, in time linear in the text for each `*`.
fn glob(tokens: &[Token], text: &str, fold: bool) -> bool {
    let (mut at, mut rest) = (0, text.chars());
    // Where to go on when what follows the last `*` does not fit: one character later.
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        let before = rest.clone();
        let next = rest.next();
        let fits = match (tokens.get(at), next) {
            (None, None) => return true,
            (Some(Token::Any), _) => {
                at += 1;
                rest = before.clone();
                retry = Some((at, before));
                continue;
            }
            (Some(Token::One), Some(_)) => true,
            (Some(Token::Char(wanted)), Some(found)) => equal(*wanted, found, fold),
            _ => false,
        };
        if fits {
            at += 1;
            continue;
        }
        let Some((token, from)) = &mut retry else { return false };
        if from.next().is_none() {
            return false;
        }
        (at, rest) = (*token, from.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Syntax = Syntax { wildcards: true, variables: true };

    fn context() -> Context {
        let mut context = Context::default();
        context.text("aws:username", "bob");
        context.text("aws:PrincipalTag/team", "a*");
        context.set("aws:MultiFactorAuthPresent", ContextValue::Bool(true));
        context.set("aws:TagKeys", ContextValue::Many(vec!["x".to_owned()]));
        context
    }

    #[test]
    fn matching() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "A", false),
            ("*", "", true),
            ("*", "anything/at:all", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "bba", true),
            ("*a", "bab", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXcXb", false),
            ("a?c", "abc", true),
            ("a?c", "aéc", true),
            ("a?c", "ac", false),
            ("a?", "abc", false),
            ("**a**", "xax", true),
            ("a*b?d*", "abcbcd", true),
            ("home/${aws:username}/*", "home/bob/x", true),
            ("home/${aws:username}/*", "home/eve/x", false),
            ("home/${AWS:UserName}", "home/bob", true),
            ("${aws:missing}", "", false),
            ("x${aws:missing, 'nobody'}", "xnobody", true),
            ("x${aws:username, 'nobody'}", "xbob", true),
            // Values are literal, whatever they hold.
            ("${aws:PrincipalTag/team}", "a*", true),
            ("${aws:PrincipalTag/team}", "abc", false),
            ("${*}${?}${$}", "*?$", true),
            ("a${*}", "ab", false),
            ("${aws:MultiFactorAuthPresent}", "true", true),
            ("${aws:TagKeys}", "x", false),
            ("${", "${", true),
            ("${}", "${}", true),
            ("$x", "$x", true),
        ] {
            assert_eq!(Pattern::new(pattern, ALL).matches(text, false, &context()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_not_special_is_literal() {
        let none = Syntax { wildcards: false, variables: false };
        for text in ["a*", "?", "${aws:username}"] {
            let pattern = Pattern::new(text, none);
            assert!(pattern.matches(text, false, &context()) && pattern.is_exact());
            assert!(!pattern.matches("ab", false, &context()));
        }
        assert!(Pattern::new("s3:Get*", ALL).matches("S3:GETOBJECT", true, &context()));
        assert!(Pattern::new("a?B*c", ALL).matches("AxbYC", true, &context()));
    }

    #[test]
    fn hostile_patterns_end() {
        let pattern = "*a".repeat(500);
        assert!(!Pattern::new(&pattern, ALL).matches(&"a".repeat(499), false, &context()));
        assert!(!Pattern::new(&format!("{pattern}b"), ALL).matches(&"a".repeat(20_000), false, &context()));
    }
}
