//! Patterns with `*` and `?`, and policy variables within them (IAM User Guide, "Policy variables and tags").

use std::borrow::Cow;

use crate::{Context, ContextValue};

/// A piece of a pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    /// These characters.
    Text(String),
    /// `?`: any one character.
    One(Span),
    /// `*`: any characters, or none.
    Any(Span),
    /// `${name}` or `${name, 'default'}`: the value of a condition key, literally.
    Variable { name: String, default: Option<String> },
}

/// What a wildcard may stand for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Span {
    /// No colon: one inside a part of an ARN.
    Part,
    /// Whatever there is.
    All,
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
    /// Whether it is an ARN, so that a wildcard in one of the first five parts stays within it, unless it is the `*` that ends the part
    /// (IAM User Guide, "IAM JSON policy elements: Resource").
    pub arn: bool,
}

impl Pattern {
    /// Compiles a pattern. A `${` without end or without a name is literal text.
    pub fn new(text: &str, syntax: Syntax) -> Self {
        let pieces = pieces(text, syntax);
        let shape = match pieces.as_slice() {
            [] => Shape::Exact(String::new()),
            [Piece::Text(text)] => Shape::Exact(text.clone()),
            [Piece::Any(Span::All)] => Shape::Prefix(String::new()),
            [Piece::Text(text), Piece::Any(Span::All)] => Shape::Prefix(text.clone()),
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

/// The colons of an ARN before its last part, in which a colon is a character like others.
const COLONS: usize = 5;

fn pieces(text: &str, syntax: Syntax) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    let mut colons = if syntax.arn { 0 } else { COLONS };
    while let Some(first) = rest.chars().next() {
        let within = if colons < COLONS { Span::Part } else { Span::All };
        let special = match first {
            '*' if syntax.wildcards && matches!(rest.as_bytes().get(1), None | Some(b':')) => {
                Some((Piece::Any(Span::All), 1))
            }
            '*' if syntax.wildcards => Some((Piece::Any(within), 1)),
            '?' if syntax.wildcards => Some((Piece::One(within), 1)),
            '$' if syntax.variables => variable(rest),
            _ => None,
        };
        let Some((piece, length)) = special else {
            colons += usize::from(first == ':');
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
        match (&piece, pieces.last_mut()) {
            (Piece::Any(span), Some(Piece::Any(last))) => *last = (*last).max(*span),
            _ => pieces.push(piece),
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
    One(Span),
    Any(Span),
}

/// The pieces with their variables put in; `None` when one has no value.
fn tokens(pieces: &[Piece], context: &Context) -> Option<Vec<Token>> {
    let mut tokens = Vec::with_capacity(64);
    for piece in pieces {
        match piece {
            Piece::Text(text) => tokens.extend(text.chars().map(Token::Char)),
            Piece::One(span) => tokens.push(Token::One(*span)),
            Piece::Any(span) => tokens.push(Token::Any(*span)),
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

fn passes(span: Span, found: char) -> bool {
    span == Span::All || found != ':'
}

/// Where to go on when what follows a `*` does not fit: one character later.
struct Retry<'a> {
    token: usize,
    from: std::str::Chars<'a>,
    span: Span,
}

impl Retry<'_> {
    /// Lets the `*` stand for one character more, if it may.
    fn widen(&mut self) -> bool {
        self.from.next().is_some_and(|found| passes(self.span, found))
    }
}

/// Whether a text fits. Of two `*`s of a kind the first never has to be tried again: what the second stands for makes up for it, as the
/// colon that a narrow one cannot pass is the same one for every try. So there are two to go back to at most, and the time is linear in
/// the text for each wide `*`, and for each narrow one times the length of the part that it is in.
fn glob(tokens: &[Token], text: &str, fold: bool) -> bool {
    let (mut at, mut rest) = (0, text.chars());
    let (mut wide, mut narrow): (Option<Retry<'_>>, Option<Retry<'_>>) = (None, None);
    loop {
        let before = rest.clone();
        let next = rest.next();
        let fits = match (tokens.get(at), next) {
            (None, None) => return true,
            (Some(Token::Any(span)), _) => {
                at += 1;
                rest = before.clone();
                let retry = Some(Retry { token: at, from: before, span: *span });
                match span {
                    Span::All => (wide, narrow) = (retry, None),
                    Span::Part => narrow = retry,
                }
                continue;
            }
            (Some(Token::One(span)), Some(found)) => passes(*span, found),
            (Some(Token::Char(wanted)), Some(found)) => equal(*wanted, found, fold),
            _ => false,
        };
        if fits {
            at += 1;
            continue;
        }
        if !narrow.as_mut().is_some_and(Retry::widen) {
            narrow = None;
            if !wide.as_mut().is_some_and(Retry::widen) {
                return false;
            }
        }
        let Some(retry) = narrow.as_ref().or(wide.as_ref()) else { return false };
        (at, rest) = (retry.token, retry.from.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Syntax = Syntax { wildcards: true, variables: true, arn: false };

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
    fn wildcards_stay_in_their_part_of_an_arn() {
        let arn = Syntax { arn: true, ..ALL };
        for (pattern, text, expected) in [
            // The last character of a part may reach further, as everything in the last part.
            ("*", "arn:aws:s3:::b/k", true),
            ("arn:aws:s3:*", "arn:aws:s3:::b/k", true),
            ("arn:aws:sqs:*:111122223333:q", "arn:aws:sqs:us-east-1:111122223333:q", true),
            ("arn:aws:x:us-*:1:q", "arn:aws:x:us-east-1:2:a:1:q", true),
            ("arn:aws:s3:::b/*.log", "arn:aws:s3:::b/a:b.log", true),
            ("arn:aws:s3:::b/a?b", "arn:aws:s3:::b/a:b", true),
            // Others do not.
            ("arn:aws:x:*-1:1:q", "arn:aws:x:us-east-1:1:q", true),
            ("arn:aws:x:*-1:1:q", "arn:aws:x:us-east-2:2:a-1:1:q", false),
            ("arn:aws:x:us*1:*:q", "arn:aws:x:us-east-1:2:q", true),
            ("arn:aws:x:us*1:*:q", "arn:aws:x:us-east-2:21:2:q", false),
            ("arn:aws:x:u*-*1:1:q", "arn:aws:x:us-east-1:1:q", true),
            ("arn:aws:x:u?-east:1:q", "arn:aws:x:us-east:1:q", true),
            ("arn:aws:x:u?east:1:q", "arn:aws:x:u:east:1:q", false),
            // A wide one gives way when a narrow one behind it cannot.
            ("arn:aws:*:a*b:*:q", "arn:aws:x:ac:ab:1:q", true),
            ("arn:aws:*:a*b:*:q", "arn:aws:x:ac:bb:1:q", false),
            // A colon within a variable parts nothing.
            ("arn:aws:x:${aws:username}*b:1:q", "arn:aws:x:bobb:1:q", true),
            ("arn:aws:x:${aws:username}*b:1:q", "arn:aws:x:bob:b:1:q", false),
        ] {
            assert_eq!(Pattern::new(pattern, arn).matches(text, false, &context()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_not_special_is_literal() {
        let none = Syntax { wildcards: false, variables: false, arn: false };
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
        let arn = Syntax { arn: true, ..ALL };
        assert!(!Pattern::new("*:a*a*a*b:::", arn).matches(&":aaaaaaaaaaaaaaaaaaaaaaa".repeat(50), false, &context()));
    }
}
