//! The operators: what a value of an event is asked.

use std::borrow::Cow;
use std::fmt;

use crate::address::{Address, Block};
use crate::folded::Folded;
use crate::number::Number;
use crate::wildcard::Wildcard;

/// A value of an event: what is no object and no array.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    /// As it is written, and as it is compared.
    Number(Cow<'a, str>, Option<Number>),
    True,
    False,
    Null,
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => quoted(f, text),
            Self::Number(text, _) => f.write_str(text),
            Self::True => f.write_str("true"),
            Self::False => f.write_str("false"),
            Self::Null => f.write_str("null"),
        }
    }
}

/// One alternative of a field.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Test {
    Text(Box<str>),
    Number(Box<str>, Option<Number>),
    True,
    False,
    Null,
    Exists,
    /// `{"exists": false}`: about the field, not about a value of it.
    Absent,
    Prefix(Box<str>),
    PrefixFolded(Folded),
    Suffix(Box<str>),
    SuffixFolded(Folded),
    Folded(Folded),
    Wildcard(Wildcard),
    Range(Range),
    /// A text that is an address, or `{"cidr": ...}`; with the pattern's text.
    Address(Box<str>, Block),
    Not(Except),
}

/// What `anything-but` excludes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Except {
    Texts(Box<[Box<str>]>),
    Numbers(Box<[(Box<str>, Number)]>),
    Folded(Box<[Folded]>),
    Prefixes(Box<[Box<str>]>),
    Suffixes(Box<[Box<str>]>),
    Wildcards(Box<[Wildcard]>),
}

/// `numeric`, but for `=`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Range {
    /// With the pattern's text; whether the bound itself is outside.
    pub(crate) low: Option<(Box<str>, Number, bool)>,
    pub(crate) high: Option<(Box<str>, Number, bool)>,
}

impl Range {
    pub(crate) fn contains(&self, number: Number) -> bool {
        let above = |(_, low, open): &(_, Number, bool)| if *open { number > *low } else { number >= *low };
        let below = |(_, high, open): &(_, Number, bool)| if *open { number < *high } else { number <= *high };
        self.low.as_ref().is_none_or(above) && self.high.as_ref().is_none_or(below)
    }
}

impl Test {
    /// Whether a value is what is wanted. [`Test::Absent`] never is: there is a value.
    pub(crate) fn accepts(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Exists, _) => true,
            (Self::Not(except), value) => !except.holds(value),
            (Self::True, Value::True) | (Self::False, Value::False) | (Self::Null, Value::Null) => true,
            (Self::Number(text, number), Value::Number(other, same)) => {
                (number.is_some() && number == same) || **text == **other
            }
            (Self::Range(range), Value::Number(_, number)) => number.is_some_and(|number| range.contains(number)),
            (test, Value::Text(text)) => test.accepts_text(text),
            _ => false,
        }
    }

    /// The wildcards in it.
    pub(crate) fn wildcards(&self) -> &[Wildcard] {
        match self {
            Self::Wildcard(wildcard) => std::slice::from_ref(wildcard),
            Self::Not(Except::Wildcards(list)) => list,
            _ => &[],
        }
    }

    fn accepts_text(&self, text: &str) -> bool {
        match self {
            Self::Text(wanted) => **wanted == *text,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Suffix(suffix) => text.ends_with(&**suffix),
            Self::PrefixFolded(prefix) => prefix.starts(text),
            Self::SuffixFolded(suffix) => suffix.ends(text),
            Self::Folded(folded) => folded.equals(text),
            Self::Wildcard(wildcard) => wildcard.matches(text.as_bytes()),
            Self::Address(_, block) => Address::parse(text).is_some_and(|address| block.contains(address)),
            _ => false,
        }
    }
}

impl Except {
    fn holds(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Numbers(numbers), Value::Number(_, Some(number))) => numbers.iter().any(|(_, n)| n == number),
            (Self::Texts(texts), Value::Text(text)) => texts.iter().any(|excluded| **excluded == **text),
            (Self::Folded(texts), Value::Text(text)) => texts.iter().any(|excluded| excluded.equals(text)),
            (Self::Prefixes(list), Value::Text(text)) => list.iter().any(|prefix| text.starts_with(&**prefix)),
            (Self::Suffixes(list), Value::Text(text)) => list.iter().any(|suffix| text.ends_with(&**suffix)),
            (Self::Wildcards(list), Value::Text(text)) => list.iter().any(|wildcard| wildcard.matches(text.as_bytes())),
            _ => false,
        }
    }
}

/// As it would stand in a pattern.
impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => quoted(f, text),
            Self::Number(text, _) => f.write_str(text),
            Self::True => f.write_str("true"),
            Self::False => f.write_str("false"),
            Self::Null => f.write_str("null"),
            Self::Exists => f.write_str(r#"{"exists": true}"#),
            Self::Absent => f.write_str(r#"{"exists": false}"#),
            Self::Prefix(text) => operator(f, "prefix", text),
            Self::Suffix(text) => operator(f, "suffix", text),
            Self::PrefixFolded(folded) => nested(f, "prefix", folded.text()),
            Self::SuffixFolded(folded) => nested(f, "suffix", folded.text()),
            Self::Folded(folded) => operator(f, "equals-ignore-case", folded.text()),
            Self::Wildcard(wildcard) => operator(f, "wildcard", wildcard.text()),
            Self::Address(text, _) if !text.contains('/') => quoted(f, text),
            Self::Address(text, _) => operator(f, "cidr", text),
            Self::Range(range) => write!(f, r#"{{"numeric": {range}}}"#),
            Self::Not(except) => write!(f, r#"{{"anything-but": {except}}}"#),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        if let Some((text, _, open)) = &self.low {
            write!(f, r#"">{}", {text}"#, if *open { "" } else { "=" })?;
        }
        if self.low.is_some() && self.high.is_some() {
            f.write_str(", ")?;
        }
        if let Some((text, _, open)) = &self.high {
            write!(f, r#""<{}", {text}"#, if *open { "" } else { "=" })?;
        }
        f.write_str("]")
    }
}

impl fmt::Display for Except {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, texts): (&str, Vec<&str>) = match self {
            Self::Numbers(numbers) => {
                let texts: Vec<_> = numbers.iter().map(|(text, _)| &**text).collect();
                return write!(f, "[{}]", texts.join(", "));
            }
            Self::Texts(texts) => return list(f, &texts.iter().map(|text| &**text).collect::<Vec<_>>()),
            Self::Folded(texts) => ("equals-ignore-case", texts.iter().map(Folded::text).collect()),
            Self::Prefixes(texts) => ("prefix", texts.iter().map(|text| &**text).collect()),
            Self::Suffixes(texts) => ("suffix", texts.iter().map(|text| &**text).collect()),
            Self::Wildcards(texts) => ("wildcard", texts.iter().map(Wildcard::text).collect()),
        };
        write!(f, r#"{{"{name}": "#)?;
        list(f, &texts)?;
        f.write_str("}")
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::Value::from(text).to_string())
}

fn operator(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    write!(f, r#"{{"{name}": "#)?;
    quoted(f, text)?;
    f.write_str("}")
}

fn nested(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    write!(f, r#"{{"{name}": "#)?;
    operator(f, "equals-ignore-case", text)?;
    f.write_str("}")
}

fn list(f: &mut fmt::Formatter<'_>, texts: &[&str]) -> fmt::Result {
    if let [only] = texts {
        return quoted(f, only);
    }
    f.write_str("[")?;
    for (n, text) in texts.iter().enumerate() {
        f.write_str(if n > 0 { ", " } else { "" })?;
        quoted(f, text)?;
    }
    f.write_str("]")
}
