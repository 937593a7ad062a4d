//! Where partitions lie that an expression holds for, in the order of their values.

use std::collections::BTreeSet;

use super::value::Value;
use super::{Node, Predicate, Test};
use crate::ddl::Comparison;
use crate::names::DEFAULT_PARTITION;

/// Runs that one expression is looked up by; more become one.
const MAX_SPANS: usize = 1_000;

/// A run of partitions in the order of their values, as far as texts tell it: other values can be written in several ways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The values of the first keys.
    pub values: Vec<String>,
    /// The least value of the next key.
    pub least: Option<String>,
    /// Its greatest; those that begin with it are in the run.
    pub most: Option<String>,
}

/// The texts that a key may have.
#[derive(Debug)]
enum Allowed<'a> {
    Texts(BTreeSet<&'a str>),
    /// Bounds as those of [`Span`].
    Between(Option<&'a str>, Option<&'a str>),
}

const ANY: Allowed<'static> = Allowed::Between(None, None);

impl<'a> Allowed<'a> {
    /// The catalog's word for NULL is no text that something is equal to.
    fn texts(texts: impl Iterator<Item = &'a str>) -> Self {
        Self::Texts(texts.filter(|text| *text != DEFAULT_PARTITION).collect())
    }

    fn bounds(&self) -> (Option<&'a str>, Option<&'a str>) {
        match self {
            Self::Texts(texts) => (texts.first().copied(), texts.last().copied()),
            Self::Between(least, most) => (*least, *most),
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Texts(one), Self::Texts(other)) => Self::Texts(&one & &other),
            (Self::Texts(mut texts), Self::Between(least, most))
            | (Self::Between(least, most), Self::Texts(mut texts)) => {
                texts.retain(|text| {
                    least.is_none_or(|least| *text >= least)
                        && most.is_none_or(|most| *text <= most || text.starts_with(most))
                });
                Self::Texts(texts)
            }
            // Of two greatest the lesser one may begin the other: then more is in it, which is asked anyway.
            (Self::Between(one, to), Self::Between(other, until)) => {
                Self::Between(one.max(other), to.into_iter().chain(until).min())
            }
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Texts(one), Self::Texts(other)) => Self::Texts(&one | &other),
            (Self::Texts(none), range) | (range, Self::Texts(none)) if none.is_empty() => range,
            (one, other) => {
                let ((least, most), (from, to)) = (one.bounds(), other.bounds());
                let greater = |one: &'a str, other: &'a str| {
                    let (lesser, greater) = (one.min(other), one.max(other));
                    if greater.starts_with(lesser) { lesser } else { greater }
                };
                Self::Between(
                    least.zip(from).map(|(one, other)| one.min(other)),
                    most.zip(to).map(|(one, other)| greater(one, other)),
                )
            }
        }
    }
}

impl Node {
    /// What a key's texts are where this holds.
    fn allowed(&self, key: usize) -> Allowed<'_> {
        match self {
            Self::And(nodes) => nodes.iter().map(|node| node.allowed(key)).fold(ANY, Allowed::and),
            Self::Or(nodes) => nodes
                .iter()
                .map(|node| node.allowed(key))
                .reduce(Allowed::or)
                .unwrap_or(Allowed::Texts(BTreeSet::new())),
            Self::Test(index, test) if *index == key => test.allowed(),
            Self::Not(_) | Self::Test(..) => ANY,
        }
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

impl Test {
    fn allowed(&self) -> Allowed<'_> {
        let told = match self {
            Self::Compare(op, value) => text(value).map(|text| match op {
                Comparison::Equal => Allowed::texts(std::iter::once(text)),
                Comparison::Less | Comparison::LessOrEqual => Allowed::Between(None, Some(text)),
                Comparison::Greater | Comparison::GreaterOrEqual => Allowed::Between(Some(text), None),
                Comparison::NotEqual => ANY,
            }),
            Self::In(values) => {
                let texts: Option<Vec<&str>> = values.iter().map(text).collect();
                texts.map(|texts| Allowed::texts(texts.into_iter()))
            }
            Self::Between(least, most) => {
                text(least).zip(text(most)).map(|(least, most)| Allowed::Between(Some(least), Some(most)))
            }
            Self::Like(pattern) => {
                let begins = pattern.split(['%', '_']).next().filter(|text| !text.is_empty());
                Some(Allowed::Between(begins, begins))
            }
            Self::IsNull => None,
        };
        told.unwrap_or(ANY)
    }
}

impl Predicate {
    /// The runs that have all partitions which it holds for, in their order. Others may be in them.
    pub fn spans(&self) -> Vec<Span> {
        let mut heads = vec![Vec::new()];
        for key in 0..self.kinds.len() {
            let allowed = self.node.allowed(key);
            match &allowed {
                Allowed::Texts(texts) if heads.len().saturating_mul(texts.len()) <= MAX_SPANS => {
                    let longer = |head: &Vec<String>, text: &str| [head.as_slice(), &[text.to_owned()]].concat();
                    heads = heads.iter().flat_map(|head| texts.iter().map(|text| longer(head, text))).collect();
                }
                _ => {
                    let (least, most) = allowed.bounds();
                    let span = |values| Span { values, least: least.map(str::to_owned), most: most.map(str::to_owned) };
                    return heads.into_iter().map(span).collect();
                }
            }
        }
        heads.into_iter().map(|values| Span { values, ..Span::default() }).collect()
    }
}
