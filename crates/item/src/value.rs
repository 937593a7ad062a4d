//! Attribute values.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::Number;

/// Levels of an attribute, what is innermost included ("Quotas in Amazon DynamoDB", nested attribute depth): 31 lists or maps
/// around a scalar.
pub const MAX_DEPTH: usize = 32;

/// The value of an attribute.
///
/// Equality is DynamoDB's: of the same type, numbers by what they are worth, sets without order, documents to their depths.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(any(test, feature = "testing"), derive(Debug))]
pub enum Value {
    /// Text; may be empty where it is no key.
    S(String),
    /// A number of 38 digits.
    N(Number),
    /// Bytes; may be empty where they are no key.
    B(Bytes),
    /// True or false.
    Bool(bool),
    /// Nothing, said aloud.
    Null,
    /// Values in order.
    L(Vec<Value>),
    /// Values by name.
    M(BTreeMap<String, Value>),
    /// Distinct texts, at least one, none empty.
    Ss(BTreeSet<String>),
    /// Distinct numbers, at least one.
    Ns(BTreeSet<Number>),
    /// Distinct byte strings, at least one, none empty.
    Bs(BTreeSet<Bytes>),
}

/// What a customer stores stays out of logs; tests see it.
#[cfg(not(any(test, feature = "testing")))]
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({} bytes)", self.kind(), self.size())
    }
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Text.
    S,
    /// Number.
    N,
    /// Bytes.
    B,
    /// Boolean.
    Bool,
    /// Null.
    Null,
    /// List.
    L,
    /// Map.
    M,
    /// Set of texts.
    Ss,
    /// Set of numbers.
    Ns,
    /// Set of byte strings.
    Bs,
}

impl Kind {
    /// Every type.
    pub const ALL: [Kind; 10] =
        [Kind::S, Kind::N, Kind::B, Kind::Bool, Kind::Null, Kind::L, Kind::M, Kind::Ss, Kind::Ns, Kind::Bs];

    /// Its name in the API: `S`, `BOOL`, ...
    pub fn name(self) -> &'static str {
        match self {
            Kind::S => "S",
            Kind::N => "N",
            Kind::B => "B",
            Kind::Bool => "BOOL",
            Kind::Null => "NULL",
            Kind::L => "L",
            Kind::M => "M",
            Kind::Ss => "SS",
            Kind::Ns => "NS",
            Kind::Bs => "BS",
        }
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a value cannot be stored, in AWS's words (all are `ValidationException`s).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// No type was given.
    #[error("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")]
    Empty,
    /// More than one type was given.
    #[error(
        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
    )]
    SeveralTypes,
    /// Not a number; also one whose exponent is beyond 64 bits.
    #[error("The parameter cannot be converted to a numeric value: {0}")]
    NotANumber(String),
    /// Above 9.99..E+125; also a sum that does not fit into 38 digits.
    #[error("Number overflow. Attempting to store a number with magnitude larger than supported range")]
    Overflow,
    /// Below 1E-130.
    #[error("Number underflow. Attempting to store a number with magnitude smaller than supported range")]
    Underflow,
    /// More than 38 digits.
    #[error("Attempting to store more than 38 significant digits in a Number")]
    TooPrecise,
    /// `{"NULL": false}`.
    #[error("One or more parameter values were invalid: Null attribute value types must have the value of true")]
    NullNotTrue,
    /// `{"SS": []}`.
    #[error("One or more parameter values were invalid: An string set  may not be empty")]
    EmptyStringSet,
    /// `{"NS": []}`.
    #[error("One or more parameter values were invalid: An number set  may not be empty")]
    EmptyNumberSet,
    /// `{"BS": []}`.
    #[error("One or more parameter values were invalid: Binary sets should not be empty")]
    EmptyBinarySet,
    /// A text twice in a set; the members in quotes.
    #[error("One or more parameter values were invalid: Input collection [{0}] contains duplicates.")]
    DuplicateStrings(String),
    /// A number twice in a set.
    #[error("One or more parameter values were invalid: Input collection contains duplicates.")]
    DuplicateNumbers,
    /// A byte string twice in a set; the members in base64.
    #[error("One or more parameter values were invalid: Input collection [{0}]of type BS contains duplicates.")]
    DuplicateBinaries(String),
    /// More than [`MAX_DEPTH`] levels.
    #[error(
        "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
    )]
    TooDeep,
}

impl Value {
    /// A number.
    pub fn number(text: &str) -> Result<Value, ValueError> {
        Ok(Value::N(text.parse()?))
    }

    /// `{"NULL": ..}`, which must be true.
    pub fn null(said: bool) -> Result<Value, ValueError> {
        if said { Ok(Value::Null) } else { Err(ValueError::NullNotTrue) }
    }

    /// A set of texts, of the members as given; a member may be empty (Developer Guide, "Supported data types").
    pub fn string_set(members: Vec<String>) -> Result<Value, ValueError> {
        if members.is_empty() {
            return Err(ValueError::EmptyStringSet);
        }
        let set: BTreeSet<String> = members.iter().cloned().collect();
        if set.len() < members.len() {
            let texts: Vec<String> =
                in_order_of_search(&members).iter().map(|member| format!("\"{member}\"")).collect();
            return Err(ValueError::DuplicateStrings(texts.join(", ")));
        }
        Ok(Value::Ss(set))
    }

    /// A set of numbers, of the members as given.
    pub fn number_set<T: AsRef<str>>(members: &[T]) -> Result<Value, ValueError> {
        if members.is_empty() {
            return Err(ValueError::EmptyNumberSet);
        }
        let set = members.iter().map(|member| member.as_ref().parse()).collect::<Result<BTreeSet<Number>, _>>()?;
        if set.len() < members.len() {
            return Err(ValueError::DuplicateNumbers);
        }
        Ok(Value::Ns(set))
    }

    /// A set of byte strings, of the members as given.
    pub fn binary_set(members: Vec<Bytes>) -> Result<Value, ValueError> {
        if members.is_empty() {
            return Err(ValueError::EmptyBinarySet);
        }
        let set: BTreeSet<Bytes> = members.iter().cloned().collect();
        if set.len() < members.len() {
            let members = in_order_of_search(&members);
            let texts: Vec<String> = members.iter().map(|member| format!("\"{}\"", STANDARD.encode(member))).collect();
            return Err(ValueError::DuplicateBinaries(texts.join(",")));
        }
        Ok(Value::Bs(set))
    }

    /// Its type.
    pub fn kind(&self) -> Kind {
        match self {
            Value::S(_) => Kind::S,
            Value::N(_) => Kind::N,
            Value::B(_) => Kind::B,
            Value::Bool(_) => Kind::Bool,
            Value::Null => Kind::Null,
            Value::L(_) => Kind::L,
            Value::M(_) => Kind::M,
            Value::Ss(_) => Kind::Ss,
            Value::Ns(_) => Kind::Ns,
            Value::Bs(_) => Kind::Bs,
        }
    }

    /// How many levels it has: 1 for a scalar, a set, or an empty list or map.
    pub fn depth(&self) -> usize {
        match self {
            Value::L(values) => 1 + values.iter().map(Value::depth).max().unwrap_or(0),
            Value::M(values) => 1 + values.values().map(Value::depth).max().unwrap_or(0),
            _ => 1,
        }
    }

    /// Is it nested no deeper than [`MAX_DEPTH`]?
    pub fn check_depth(&self) -> Result<(), ValueError> {
        if self.depth() > MAX_DEPTH { Err(ValueError::TooDeep) } else { Ok(()) }
    }

    /// The text, if it is one.
    pub fn as_s(&self) -> Option<&str> {
        match self {
            Value::S(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_n(&self) -> Option<&Number> {
        match self {
            Value::N(number) => Some(number),
            _ => None,
        }
    }
}

/// The members of a set as AWS names them when one is there twice: in order up to the first repetition, then that, then the
/// others as given.
fn in_order_of_search<T: Ord>(members: &[T]) -> Vec<&T> {
    let mut seen = BTreeSet::new();
    let repeated = members.iter().take_while(|member| seen.insert(*member)).count();
    seen.into_iter().chain(&members[repeated..]).collect()
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::S(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::S(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::N(number.into())
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Value {
        Value::N(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Value {
        Value::B(bytes)
    }
}

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Value {
        Value::L(values)
    }
}

impl From<BTreeMap<String, Value>> for Value {
    fn from(values: BTreeMap<String, Value>) -> Value {
        Value::M(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_set() {
        let strings = |members: &[&str]| Value::string_set(members.iter().map(|m| (*m).to_owned()).collect());
        let binaries = |members: &[&'static str]| {
            Value::binary_set(members.iter().map(|m| Bytes::from_static(m.as_bytes())).collect())
        };
        let cases = [
            (strings(&[]), "One or more parameter values were invalid: An string set  may not be empty"),
            (
                strings(&["b", "a", "b", "a"]),
                r#"One or more parameter values were invalid: Input collection ["a", "b", "b", "a"] contains duplicates."#,
            ),
            (
                Value::number_set::<&str>(&[]),
                "One or more parameter values were invalid: An number set  may not be empty",
            ),
            (
                Value::number_set(&["1", "1.0"]),
                "One or more parameter values were invalid: Input collection contains duplicates.",
            ),
            (Value::number_set(&["1", "x"]), "The parameter cannot be converted to a numeric value: x"),
            (binaries(&[]), "One or more parameter values were invalid: Binary sets should not be empty"),
            (
                binaries(&["b", "a", "a"]),
                r#"One or more parameter values were invalid: Input collection ["YQ==","Yg==","YQ=="]of type BS contains duplicates."#,
            ),
            (
                Value::null(false),
                "One or more parameter values were invalid: Null attribute value types must have the value of true",
            ),
        ];
        for (made, expected) in cases {
            assert_eq!(made.unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn names_of_types() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(Kind::from_name("s"), None);
    }

    #[test]
    fn depth() {
        let mut value = Value::from("a");
        for expected in 1..=MAX_DEPTH {
            assert_eq!(value.depth(), expected);
            assert!(value.check_depth().is_ok());
            value = Value::L(vec![value, Value::Null]);
        }
        assert_eq!(value.check_depth(), Err(ValueError::TooDeep));
    }
}
