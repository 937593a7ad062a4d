//! Values of partition keys, by type.

use std::cmp::Ordering;

use super::PredicateError;
use crate::text::values::{self, Timestamp};
use crate::types::Type;

/// How a key's values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    Text,
    Integer,
    Decimal,
    Date,
    Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Integer(i64),
    Decimal(Decimal),
    Date(i32),
    Timestamp(Timestamp),
}

impl KeyType {
    /// By the catalog's type. `long` is one of the API page's alone.
    pub fn of(kind: &str) -> Option<Self> {
        if kind.eq_ignore_ascii_case("long") {
            return Some(Self::Integer);
        }
        Some(match Type::parse(kind).ok()? {
            Type::String | Type::Varchar(_) | Type::Char(_) => Self::Text,
            Type::TinyInt | Type::SmallInt | Type::Int | Type::BigInt => Self::Integer,
            Type::Decimal { .. } => Self::Decimal,
            Type::Date => Self::Date,
            Type::Timestamp => Self::Timestamp,
            _ => return None,
        })
    }

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "String",
            Self::Integer => "Integer",
            Self::Decimal => "Decimal",
            Self::Date => "Date",
            Self::Timestamp => "Timestamp",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Integer => "an integer",
            Self::Decimal => "a decimal",
            Self::Date => "a date, yyyy-MM-dd",
            Self::Timestamp => "a timestamp, yyyy-MM-dd HH:mm:ss",
        }
    }

    /// A literal of an expression.
    pub fn literal(self, text: &str) -> Result<Value, PredicateError> {
        self.read(text).ok_or_else(|| PredicateError::Literal { text: text.to_owned(), what: self.what() })
    }

    /// A partition's value.
    pub fn value(self, text: &str) -> Result<Value, PredicateError> {
        self.read(text).ok_or_else(|| PredicateError::PartitionValue { text: text.to_owned(), what: self.what() })
    }

    fn read(self, text: &str) -> Option<Value> {
        Some(match self {
            Self::Text => Value::Text(text.to_owned()),
            Self::Integer => Value::Integer(text.trim().parse().ok()?),
            Self::Decimal => Value::Decimal(Decimal::parse(text.trim())?),
            Self::Date => Value::Date(values::date(text.as_bytes())?),
            Self::Timestamp => Value::Timestamp(values::timestamp(text.as_bytes())?),
        })
    }
}

impl Value {
    /// How it compares to one of the same type; those of one key always are.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Decimal(a), Self::Decimal(b)) => a.order(b),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            _ => Ordering::Less,
        }
    }
}

/// A number of any length, exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct Decimal {
    negative: bool,
    /// Without zeros before it.
    whole: String,
    /// Without zeros after it.
    fraction: String,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0').to_owned();
        let fraction = fraction.trim_end_matches('0').to_owned();
        let zero = whole.is_empty() && fraction.is_empty();
        Some(Self { negative: text.starts_with('-') && !zero, whole, fraction })
    }

    fn order(&self, other: &Self) -> Ordering {
        let size = |a: &Self, b: &Self| {
            let whole = a.whole.len().cmp(&b.whole.len()).then_with(|| a.whole.cmp(&b.whole));
            whole.then_with(|| a.fraction.cmp(&b.fraction))
        };
        match (self.negative, other.negative) {
            (false, false) => size(self, other),
            (true, true) => size(other, self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}
