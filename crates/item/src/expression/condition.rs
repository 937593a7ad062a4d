//! Conditions over items: what `ConditionExpression`, `FilterExpression` and their elder siblings become.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use memchr::memmem;

use super::path::Path;
use crate::{Item, Kind, Number, Value};

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparator {
    /// `=`
    Eq,
    /// `<>`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl Comparator {
    /// Every comparator.
    pub const ALL: [Comparator; 6] =
        [Comparator::Eq, Comparator::Ne, Comparator::Lt, Comparator::Le, Comparator::Gt, Comparator::Ge];

    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Comparator::Eq => "=",
            Comparator::Ne => "<>",
            Comparator::Lt => "<",
            Comparator::Le => "<=",
            Comparator::Gt => ">",
            Comparator::Ge => ">=",
        }
    }

    /// The one that says the same with its sides changed.
    pub(super) fn flipped(self) -> Comparator {
        match self {
            Comparator::Lt => Comparator::Gt,
            Comparator::Le => Comparator::Ge,
            Comparator::Gt => Comparator::Lt,
            Comparator::Ge => Comparator::Le,
            other => other,
        }
    }

    /// What is not there is equal to nothing; what cannot be put in order is in none.
    fn holds(self, left: Option<&Value>, right: Option<&Value>) -> bool {
        let (Some(left), Some(right)) = (left, right) else {
            return self == Comparator::Ne;
        };
        match self {
            Comparator::Eq => left == right,
            Comparator::Ne => left != right,
            Comparator::Lt => order(left, right).is_some_and(Ordering::is_lt),
            Comparator::Le => order(left, right).is_some_and(Ordering::is_le),
            Comparator::Gt => order(left, right).is_some_and(Ordering::is_gt),
            Comparator::Ge => order(left, right).is_some_and(Ordering::is_ge),
        }
    }
}

/// The order of two texts, numbers or byte strings.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::S(left), Value::S(right)) => Some(left.cmp(right)),
        (Value::N(left), Value::N(right)) => Some(left.cmp(right)),
        (Value::B(left), Value::B(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// From the request.
    Value(Arc<Value>),
    /// From the item.
    Path(Path),
    /// `size(..)`
    Size(Box<Operand>),
}

impl Operand {
    pub(super) fn get<'a>(&'a self, item: &'a Item) -> Option<Cow<'a, Value>> {
        match self {
            Operand::Value(value) => Some(Cow::Borrowed(value)),
            Operand::Path(path) => path.get(item).map(Cow::Borrowed),
            Operand::Size(of) => {
                let of = of.get(item)?;
                Some(Cow::Owned(Value::N(Number::from(size(&of)? as u64))))
            }
        }
    }

    /// The type it has whatever the item is.
    pub(super) fn kind(&self) -> Option<Kind> {
        match self {
            Operand::Value(value) => Some(value.kind()),
            Operand::Path(_) => None,
            Operand::Size(_) => Some(Kind::N),
        }
    }
}

/// What `size` says: of a text the UTF-16 code units (measured on DynamoDB), of bytes their number, of the others the members.
fn size(value: &Value) -> Option<usize> {
    match value {
        Value::S(text) => Some(text.encode_utf16().count()),
        Value::B(bytes) => Some(bytes.len()),
        Value::L(values) => Some(values.len()),
        Value::M(values) => Some(values.len()),
        Value::Ss(members) => Some(members.len()),
        Value::Ns(members) => Some(members.len()),
        Value::Bs(members) => Some(members.len()),
        Value::N(_) | Value::Bool(_) | Value::Null => None,
    }
}

/// A condition over an item. It has an answer for every item: an attribute that is missing or of another type makes it false.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// All of them hold.
    All(Vec<Condition>),
    /// One of them holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// `a < b`
    Compare(Comparator, Operand, Operand),
    /// `a BETWEEN b AND c`
    Between(Operand, Operand, Operand),
    /// `a IN (b, c)`
    In(Operand, Vec<Operand>),
    /// `attribute_exists(a)`
    Exists(Path),
    /// `attribute_not_exists(a)`
    Missing(Path),
    /// `attribute_type(a, :t)`
    HasType(Path, Kind),
    /// `begins_with(a, b)`
    BeginsWith(Operand, Operand),
    /// `contains(a, b)`
    Contains(Operand, Operand),
}

impl Condition {
    /// Does it hold for an item? An item that is not there is one without attributes.
    pub fn holds(&self, item: &Item) -> bool {
        match self {
            Condition::All(conditions) => conditions.iter().all(|condition| condition.holds(item)),
            Condition::Any(conditions) => conditions.iter().any(|condition| condition.holds(item)),
            Condition::Not(condition) => !condition.holds(item),
            Condition::Compare(comparator, left, right) => {
                comparator.holds(left.get(item).as_deref(), right.get(item).as_deref())
            }
            Condition::Between(value, low, high) => {
                let value = value.get(item);
                Comparator::Ge.holds(value.as_deref(), low.get(item).as_deref())
                    && Comparator::Le.holds(value.as_deref(), high.get(item).as_deref())
            }
            Condition::In(value, others) => value
                .get(item)
                .is_some_and(|value| others.iter().any(|other| other.get(item).is_some_and(|other| other == value))),
            Condition::Exists(path) => path.get(item).is_some(),
            Condition::Missing(path) => path.get(item).is_none(),
            Condition::HasType(path, kind) => path.get(item).is_some_and(|value| value.kind() == *kind),
            Condition::BeginsWith(value, prefix) => both(item, value, prefix, begins_with),
            Condition::Contains(value, part) => both(item, value, part, contains),
        }
    }

    /// Shows every path in it.
    pub fn for_each_path<'a>(&'a self, see: &mut dyn FnMut(&'a Path)) {
        match self {
            Condition::All(conditions) | Condition::Any(conditions) => {
                conditions.iter().for_each(|condition| condition.for_each_path(see));
            }
            Condition::Not(condition) => condition.for_each_path(see),
            Condition::Compare(_, left, right)
            | Condition::BeginsWith(left, right)
            | Condition::Contains(left, right) => [left, right].into_iter().for_each(|operand| show(operand, see)),
            Condition::Between(value, low, high) => {
                [value, low, high].into_iter().for_each(|operand| show(operand, see));
            }
            Condition::In(value, others) => std::iter::once(value).chain(others).for_each(|operand| show(operand, see)),
            Condition::Exists(path) | Condition::Missing(path) | Condition::HasType(path, _) => see(path),
        }
    }

    /// The attributes it looks at or into.
    pub fn attributes(&self) -> std::collections::BTreeSet<&str> {
        let mut names = std::collections::BTreeSet::new();
        self.for_each_path(&mut |path| {
            names.insert(path.root());
        });
        names
    }
}

fn show<'a>(operand: &'a Operand, see: &mut dyn FnMut(&'a Path)) {
    match operand {
        Operand::Path(path) => see(path),
        Operand::Size(of) => show(of, see),
        Operand::Value(_) => {}
    }
}

fn both(item: &Item, left: &Operand, right: &Operand, holds: fn(&Value, &Value) -> bool) -> bool {
    match (left.get(item), right.get(item)) {
        (Some(left), Some(right)) => holds(&left, &right),
        _ => false,
    }
}

fn begins_with(value: &Value, prefix: &Value) -> bool {
    match (value, prefix) {
        (Value::S(text), Value::S(prefix)) => text.starts_with(prefix.as_str()),
        (Value::B(bytes), Value::B(prefix)) => bytes.starts_with(prefix),
        _ => false,
    }
}

fn contains(value: &Value, part: &Value) -> bool {
    // What is looked for is prepared for each item, which takes the longer the longer it is.
    let within = |all: &[u8], part: &[u8]| part.len() <= all.len() && memmem::find(all, part).is_some();
    match (value, part) {
        (Value::S(text), Value::S(part)) => within(text.as_bytes(), part.as_bytes()),
        (Value::B(bytes), Value::B(part)) => within(bytes, part),
        (Value::Ss(members), Value::S(part)) => members.contains(part),
        (Value::Ns(members), Value::N(part)) => members.contains(part),
        (Value::Bs(members), Value::B(part)) => members.contains(part),
        (Value::L(values), part) => values.contains(part),
        _ => false,
    }
}
