//! The `Expression` of Glue's GetPartitions: read against a table's partition keys, and asked of partitions' values.
//!
//! Sources: Glue Web API Reference, "GetPartitions" (operators, types of keys, length); answers of AWS that others published.

use std::cmp::Ordering;

use crate::ddl::{Comparison, PartitionTest};
use crate::names::DEFAULT_PARTITION;

mod parse;
mod spans;
#[cfg(test)]
mod tests;
mod value;

pub use spans::Span;
use value::{KeyType, Value};

/// The longest expression, in characters (Glue's `PredicateString`).
pub const MAX_EXPRESSION_CHARS: usize = 2_048;
/// How deep parentheses and NOT nest.
pub const MAX_DEPTH: usize = 64;

/// Why an expression is refused, or cannot be asked. Positions count characters from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PredicateError {
    #[error("Unsupported expression: position {at}: {found} found, {expected} expected")]
    Unexpected { at: usize, found: String, expected: &'static str },
    #[error("Unknown column '{name}': the partition keys are {keys}")]
    UnknownColumn { at: usize, name: String, keys: String },
    #[error("the type {kind} of the partition key '{name}' is not supported in expressions")]
    KeyType { name: String, kind: String },
    #[error("{kind} data type not supported for LIKE operator!")]
    Like { kind: &'static str },
    #[error("For input string: \"{text}\" is not {what}.")]
    Literal { text: String, what: &'static str },
    /// A partition's value is not of its key's type; AWS answers with InvalidStateException.
    #[error("For input string: \"{text}\" is not {what}.")]
    PartitionValue { text: String, what: &'static str },
    #[error("an expression has at most {MAX_EXPRESSION_CHARS} characters")]
    TooLong,
    #[error("an expression nests at most {MAX_DEPTH} deep")]
    TooDeep,
}

/// A partition key: its name and Hive's type, as the catalog has them.
pub type Key<'a> = (&'a str, &'a str);

/// An expression, ready to be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicate {
    node: Node,
    /// The types of all keys, so that each value is read as what it is; `None` for keys that are not asked.
    kinds: Vec<Option<KeyType>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Test(usize, Test),
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Compare(Comparison, Value),
    In(Vec<Value>),
    Between(Value, Value),
    Like(String),
    IsNull,
}

impl Predicate {
    /// Reads an expression.
    pub fn parse(text: &str, keys: &[Key<'_>]) -> Result<Self, PredicateError> {
        let (node, kinds) = parse::expression(text, keys)?;
        Ok(Self { node, kinds })
    }

    /// The filter of `ALTER TABLE DROP PARTITION (...)`: all tests hold.
    pub fn of_tests(tests: &[PartitionTest], keys: &[Key<'_>]) -> Result<Self, PredicateError> {
        let mut kinds = vec![None; keys.len()];
        let nodes = tests.iter().map(|PartitionTest { key, op, value }| {
            let (index, kind) = parse::key(key, 0, keys, &mut kinds)?;
            Ok(Node::Test(index, Test::Compare(*op, kind.literal(value)?)))
        });
        let nodes = nodes.collect::<Result<_, PredicateError>>()?;
        Ok(Self { node: Node::And(nodes), kinds })
    }

    /// Whether it holds for a partition. `values` stand in the order of the keys; [`DEFAULT_PARTITION`] and what is missing are NULL,
    /// for which comparisons do not hold.
    pub fn holds(&self, values: &[String]) -> Result<bool, PredicateError> {
        let read = |(index, kind): (usize, &Option<KeyType>)| match (kind, values.get(index)) {
            (Some(kind), Some(text)) if text != DEFAULT_PARTITION => Ok(Some(kind.value(text)?)),
            _ => Ok(None),
        };
        let values = self.kinds.iter().enumerate().map(read).collect::<Result<Vec<_>, PredicateError>>()?;
        Ok(self.node.ask(&values) == Some(true))
    }
}

impl Node {
    /// In SQL's logic of three values: `None` is unknown.
    fn ask(&self, values: &[Option<Value>]) -> Option<bool> {
        match self {
            Self::And(nodes) => several(nodes, values, false),
            Self::Or(nodes) => several(nodes, values, true),
            Self::Not(node) => node.ask(values).map(|held| !held),
            Self::Test(index, test) => test.ask(values.get(*index).and_then(Option::as_ref)),
        }
    }
}

/// What one that is `decisive` decides.
fn several(nodes: &[Node], values: &[Option<Value>], decisive: bool) -> Option<bool> {
    let mut unknown = false;
    for node in nodes {
        match node.ask(values) {
            Some(held) if held == decisive => return Some(decisive),
            Some(_) => {}
            None => unknown = true,
        }
    }
    (!unknown).then_some(!decisive)
}

impl Test {
    fn ask(&self, value: Option<&Value>) -> Option<bool> {
        if matches!(self, Self::IsNull) {
            return Some(value.is_none());
        }
        let value = value?;
        Some(match self {
            Self::Compare(op, literal) => op.holds(value.order(literal)),
            Self::In(literals) => literals.iter().any(|literal| value.order(literal) == Ordering::Equal),
            Self::Between(least, most) => value.order(least).is_ge() && value.order(most).is_le(),
            Self::Like(pattern) => matches!(value, Value::Text(text) if like(pattern, text)),
            Self::IsNull => false,
        })
    }
}

/// `%` any characters, `_` one.
fn like(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut from) = (0, 0);
    // Where the last `%` stands, and from where its characters are tried next.
    let mut last: Option<(usize, usize)> = None;
    while from < text.len() {
        match (pattern.get(at), text.get(from)) {
            (Some('%'), _) => {
                last = Some((at, from));
                at += 1;
            }
            (Some(p), Some(t)) if *p == '_' || p == t => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((percent, tried)) = last else { return false };
                last = Some((percent, tried + 1));
                at = percent + 1;
                from = tried + 1;
            }
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|p| *p == '%')
}
