//! The reader of expressions. OR binds loosest, then AND, then NOT, as in SQL.

use super::value::{KeyType, Value};
use super::{Key, MAX_DEPTH, MAX_EXPRESSION_CHARS, Node, PredicateError, Test};
use crate::ddl::Comparison;

type Kinds = Vec<Option<KeyType>>;

/// A whole expression, and the types of the keys that it asks.
pub fn expression(text: &str, keys: &[Key<'_>]) -> Result<(Node, Kinds), PredicateError> {
    if text.chars().count() > MAX_EXPRESSION_CHARS {
        return Err(PredicateError::TooLong);
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, keys, kinds: vec![None; keys.len()] };
    let node = parser.or(0)?;
    match parser.peek() {
        Token::End => Ok((node, parser.kinds)),
        _ => Err(parser.unexpected("AND, OR or the end")),
    }
}

/// A key by its name: where it stands, and its type.
pub fn key(
    name: &str,
    at: usize,
    keys: &[Key<'_>],
    kinds: &mut [Option<KeyType>],
) -> Result<(usize, KeyType), PredicateError> {
    let found = keys.iter().enumerate().find(|(_, (key, _))| key.eq_ignore_ascii_case(name));
    let Some((index, (_, kind))) = found else {
        let names: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
        return Err(PredicateError::UnknownColumn { at, name: name.to_owned(), keys: names.join(", ") });
    };
    let Some(key_type) = KeyType::of(kind) else {
        return Err(PredicateError::KeyType { name: name.to_owned(), kind: (*kind).to_owned() });
    };
    if let Some(slot) = kinds.get_mut(index) {
        *slot = Some(key_type);
    }
    Ok((index, key_type))
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A keyword, a name, or a number.
    Word(String),
    /// A name in double quotes or backticks.
    Quoted(String),
    Text(String),
    Symbol(&'static str),
    End,
}

/// Tokens and where they stand, in characters. The end is one too.
fn tokens(text: &str) -> Result<Vec<(Token, usize)>, PredicateError> {
    // JSqlParser takes blanks within operators, and the API page writes one so.
    const SYMBOLS: [&str; 14] = ["< >", "> =", "< =", "<>", "!=", "<=", ">=", "==", "(", ")", ",", "=", "<", ">"];
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut at = 0;
    while let Some(c) = rest.chars().next() {
        let (token, length) = match c {
            c if c.is_whitespace() => (None, c.len_utf8()),
            '\'' | '"' | '`' => {
                let (inside, length) = quoted(rest, c).ok_or_else(|| PredicateError::Unexpected {
                    at,
                    found: format!("{c}"),
                    expected: "the same quote at the end",
                })?;
                (Some(if c == '\'' { Token::Text(inside) } else { Token::Quoted(inside) }), length)
            }
            c if is_word(c)
                || (c == '-'
                    && rest.get(1..).is_some_and(|r| r.starts_with(|d: char| d.is_ascii_digit() || d == '.'))) =>
            {
                let length = rest.char_indices().skip(1).find(|(_, c)| !is_word(*c)).map_or(rest.len(), |(end, _)| end);
                (Some(Token::Word(rest.get(..length).unwrap_or_default().to_owned())), length)
            }
            _ => match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
                Some(symbol) => (Some(Token::Symbol(symbol)), symbol.len()),
                None => {
                    let found = format!("'{c}'");
                    return Err(PredicateError::Unexpected { at, found, expected: "a name, a literal or an operator" });
                }
            },
        };
        tokens.extend(token.map(|token| (token, at)));
        let (taken, left) = rest.split_at_checked(length).unwrap_or((rest, ""));
        at += taken.chars().count();
        rest = left;
    }
    tokens.push((Token::End, at));
    Ok(tokens)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.')
}

/// What stands in quotes, of which two stand for one, and how many bytes it takes with them.
fn quoted(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut inside = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            inside.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            inside.push(quote);
        } else {
            return Some((inside, at + 1));
        }
    }
    None
}

struct Parser<'a> {
    tokens: Vec<(Token, usize)>,
    at: usize,
    keys: &'a [Key<'a>],
    kinds: Kinds,
}

impl Parser<'_> {
    fn peek(&self) -> Token {
        self.tokens.get(self.at).map_or(Token::End, |(token, _)| token.clone())
    }

    fn position(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0, |(_, at)| *at)
    }

    fn unexpected(&self, expected: &'static str) -> PredicateError {
        let found = match self.peek() {
            Token::Word(word) => format!("'{word}'"),
            Token::Quoted(name) => format!("\"{name}\""),
            Token::Text(text) => format!("'{text}'"),
            Token::Symbol(symbol) => format!("'{symbol}'"),
            Token::End => "the end".to_owned(),
        };
        PredicateError::Unexpected { at: self.position(), found, expected }
    }

    fn word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(word) if word.eq_ignore_ascii_case(wanted));
        self.at += usize::from(found);
        found
    }

    fn symbol(&mut self, wanted: &'static str) -> bool {
        let found = self.peek() == Token::Symbol(wanted);
        self.at += usize::from(found);
        found
    }

    fn require(&mut self, symbol: &'static str, expected: &'static str) -> Result<(), PredicateError> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn or(&mut self, depth: usize) -> Result<Node, PredicateError> {
        let mut nodes = vec![self.and(depth)?];
        while self.word("or") {
            nodes.push(self.and(depth)?);
        }
        Ok(single(nodes, Node::Or))
    }

    fn and(&mut self, depth: usize) -> Result<Node, PredicateError> {
        let mut nodes = vec![self.not(depth)?];
        while self.word("and") {
            nodes.push(self.not(depth)?);
        }
        Ok(single(nodes, Node::And))
    }

    fn not(&mut self, depth: usize) -> Result<Node, PredicateError> {
        if depth > MAX_DEPTH {
            return Err(PredicateError::TooDeep);
        }
        if self.word("not") {
            return Ok(Node::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.symbol("(") {
            let node = self.or(depth + 1)?;
            self.require(")", "')'")?;
            return Ok(node);
        }
        self.test()
    }

    fn test(&mut self) -> Result<Node, PredicateError> {
        let at = self.position();
        let name = match self.peek() {
            Token::Word(word) if !is_number(&word) => word,
            Token::Quoted(name) => name,
            _ => return Err(self.unexpected("the name of a partition key")),
        };
        let (index, kind) = key(&name, at, self.keys, &mut self.kinds)?;
        self.at += 1;
        if self.word("is") {
            let negated = self.word("not");
            if !self.word("null") {
                return Err(self.unexpected("NULL"));
            }
            return Ok(negate(negated, Node::Test(index, Test::IsNull)));
        }
        let negated = self.word("not");
        if self.word("in") {
            self.require("(", "'('")?;
            let mut literals = vec![self.literal(kind)?];
            while self.symbol(",") {
                literals.push(self.literal(kind)?);
            }
            self.require(")", "',' or ')'")?;
            return Ok(negate(negated, Node::Test(index, Test::In(literals))));
        }
        if self.word("between") {
            let least = self.literal(kind)?;
            if !self.word("and") {
                return Err(self.unexpected("AND"));
            }
            let most = self.literal(kind)?;
            return Ok(negate(negated, Node::Test(index, Test::Between(least, most))));
        }
        if self.word("like") {
            if kind != KeyType::Text {
                return Err(PredicateError::Like { kind: kind.name() });
            }
            let Token::Text(pattern) = self.peek() else { return Err(self.unexpected("a pattern in quotes")) };
            self.at += 1;
            return Ok(negate(negated, Node::Test(index, Test::Like(pattern))));
        }
        if negated {
            return Err(self.unexpected("IN, BETWEEN or LIKE"));
        }
        let op = self.comparison()?;
        Ok(Node::Test(index, Test::Compare(op, self.literal(kind)?)))
    }

    fn comparison(&mut self) -> Result<Comparison, PredicateError> {
        let op = match self.peek() {
            Token::Symbol("=" | "==") => Comparison::Equal,
            Token::Symbol("<>" | "< >" | "!=") => Comparison::NotEqual,
            Token::Symbol("<") => Comparison::Less,
            Token::Symbol("<=" | "< =") => Comparison::LessOrEqual,
            Token::Symbol(">") => Comparison::Greater,
            Token::Symbol(">=" | "> =") => Comparison::GreaterOrEqual,
            _ => return Err(self.unexpected("=, <>, !=, <, <=, >, >=, IN, BETWEEN, LIKE or IS NULL")),
        };
        self.at += 1;
        Ok(op)
    }

    /// A literal, read as the key's type.
    fn literal(&mut self, kind: KeyType) -> Result<Value, PredicateError> {
        const EXPECTED: &str = "a string in single quotes or a number";
        // DATE '...' and TIMESTAMP '...' say what the key's type says.
        let typed =
            matches!(self.peek(), Token::Word(w) if ["date", "timestamp"].iter().any(|t| w.eq_ignore_ascii_case(t)));
        self.at += usize::from(typed);
        let text = match self.peek() {
            Token::Text(text) => text,
            Token::Word(word) if is_number(&word) && !typed => word,
            _ => return Err(self.unexpected(EXPECTED)),
        };
        self.at += 1;
        kind.literal(&text)
    }
}

fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') && digits.bytes().any(|b| b.is_ascii_digit())
}

fn negate(negated: bool, node: Node) -> Node {
    if negated { Node::Not(Box::new(node)) } else { node }
}

fn single(mut nodes: Vec<Node>, several: fn(Vec<Node>) -> Node) -> Node {
    match (nodes.len(), nodes.pop()) {
        (1, Some(node)) => node,
        (_, last) => {
            nodes.extend(last);
            several(nodes)
        }
    }
}
