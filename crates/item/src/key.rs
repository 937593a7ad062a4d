//! Bytes of keys whose order is the order of the values: texts by their UTF-8 bytes, byte strings by their bytes, numbers by what
//! they are worth. No two keys of a type have an encoding that begins with the other's, so more fields may follow.
//!
//! The format, which is part of that of rows on disk:
//! - S and B: groups of 8 bytes, the last filled up with zeros, each followed by a marker: 9 when another group follows, otherwise how
//!   many bytes of this one count (0 to 8). At most 9/8 of the value, and 9 bytes for an empty prefix.
//! - N: `0x80` for zero. Above zero `0xC0`, the power of ten of the first digit plus 130, the digits in pairs (the first digit
//!   of the number begins a pair; an odd count is filled up with 0), each pair plus 1, then 0. Below zero `0x40`, and the rest inverted.
//!   At most 22 bytes.

use std::ops::Bound;

use crate::number::{MAX_DIGITS, MIN_MAGNITUDE};
use crate::{Kind, Number, Value};

/// The most bytes of a partition key.
pub const MAX_PARTITION_KEY_BYTES: usize = 2048;
/// The most bytes of a sort key.
pub const MAX_SORT_KEY_BYTES: usize = 1024;

const GROUP: usize = 8;
const MORE: u8 = GROUP as u8 + 1;
const NEGATIVE: u8 = 0x40;
const ZERO: u8 = 0x80;
const POSITIVE: u8 = 0xC0;

/// Why a value is no key. AWS's messages of an empty one go on with ` Key: NAME`, or with the index; who knows the name adds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Only texts, numbers and bytes can be keys.
    #[error("a value of type {0} is no key")]
    Type(Kind),
    /// An empty text.
    #[error(
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value."
    )]
    EmptyString,
    /// No bytes.
    #[error(
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty binary value."
    )]
    EmptyBinary,
    /// A partition key that is too long.
    #[error(
        "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of{MAX_PARTITION_KEY_BYTES} bytes"
    )]
    LongPartitionKey,
    /// A sort key that is too long.
    #[error(
        "One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of {MAX_SORT_KEY_BYTES} bytes"
    )]
    LongSortKey,
}

/// Can the value be a partition key? Whether it has the type of the schema is asked before.
pub fn check_partition_key(value: &Value) -> Result<(), KeyError> {
    check(value, MAX_PARTITION_KEY_BYTES, KeyError::LongPartitionKey)
}

/// Can the value be a sort key?
pub fn check_sort_key(value: &Value) -> Result<(), KeyError> {
    check(value, MAX_SORT_KEY_BYTES, KeyError::LongSortKey)
}

fn check(value: &Value, limit: usize, long: KeyError) -> Result<(), KeyError> {
    match value {
        Value::S(text) if text.is_empty() => Err(KeyError::EmptyString),
        Value::B(bytes) if bytes.is_empty() => Err(KeyError::EmptyBinary),
        Value::S(text) if text.len() > limit => Err(long),
        Value::B(bytes) if bytes.len() > limit => Err(long),
        Value::S(_) | Value::B(_) | Value::N(_) => Ok(()),
        other => Err(KeyError::Type(other.kind())),
    }
}

/// The bytes of a key. The type is not in them: a schema says it.
pub fn encode(value: &Value) -> Result<Vec<u8>, KeyError> {
    let mut out = Vec::new();
    encode_into(value, &mut out)?;
    Ok(out)
}

/// Appends the bytes of a key.
pub fn encode_into(value: &Value, out: &mut Vec<u8>) -> Result<(), KeyError> {
    match value {
        Value::S(text) => push_bytes(text.as_bytes(), out),
        Value::B(bytes) => push_bytes(bytes, out),
        Value::N(number) => push_number(number, out),
        other => return Err(KeyError::Type(other.kind())),
    }
    Ok(())
}

fn push_bytes(mut bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve((bytes.len() / GROUP + 1) * (GROUP + 1));
    while bytes.len() > GROUP {
        let (group, rest) = bytes.split_at(GROUP);
        out.extend_from_slice(group);
        out.push(MORE);
        bytes = rest;
    }
    out.extend_from_slice(bytes);
    out.resize(out.len() + GROUP - bytes.len(), 0);
    // At most 8.
    out.push(bytes.len() as u8);
}

fn push_number(number: &Number, out: &mut Vec<u8>) {
    if number.is_zero() {
        return out.push(ZERO);
    }
    let start = out.len();
    out.push(POSITIVE);
    // 0 to 255.
    out.push((number.magnitude() - MIN_MAGNITUDE) as u8);
    let (negative, coefficient, _) = number.parts();
    let mut rest = coefficient * 10u128.pow(MAX_DIGITS - number.digits());
    let mut unit = 10u128.pow(MAX_DIGITS - 2);
    while rest > 0 {
        out.push((rest / unit) as u8 + 1);
        rest %= unit;
        unit = (unit / 100).max(1);
    }
    out.push(0);
    if negative {
        out[start] = NEGATIVE;
        out[start + 1..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// A range of keys' bytes: from `start`, up to and without `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first bytes that can belong to it.
    pub start: Vec<u8>,
    /// The first bytes past it; none: to the end.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// All keys.
    pub fn all() -> KeyRange {
        KeyRange { start: Vec::new(), end: None }
    }

    /// The keys between two bounds; whatever follows a key's bytes in a row belongs to it.
    pub fn between(low: Bound<&Value>, high: Bound<&Value>) -> Result<KeyRange, KeyError> {
        let start = match low {
            Bound::Unbounded => Vec::new(),
            Bound::Included(value) => encode(value)?,
            // Every key begins with a byte below 0xFF or has a marker below it, so there is always a successor.
            Bound::Excluded(value) => successor(encode(value)?).unwrap_or_default(),
        };
        let end = match high {
            Bound::Unbounded => None,
            Bound::Included(value) => successor(encode(value)?),
            Bound::Excluded(value) => Some(encode(value)?),
        };
        Ok(KeyRange { start, end })
    }

    /// The texts or bytes that begin with these.
    pub fn beginning_with(prefix: &Value) -> Result<KeyRange, KeyError> {
        let length = match prefix {
            Value::S(text) => text.len(),
            Value::B(bytes) => bytes.len(),
            other => return Err(KeyError::Type(other.kind())),
        };
        let start = encode(prefix)?;
        let mut common = start.clone();
        // Without its filling and its marker: what every longer key has as well. Shorter ones that look alike come before `start`.
        let in_last_group = length - length.saturating_sub(1) / GROUP * GROUP;
        common.truncate(common.len() - (GROUP + 1) + in_last_group);
        Ok(KeyRange { start, end: successor(common) })
    }

    /// Is no key in it?
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Is the key of these bytes in it, whatever follows?
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_slice() && self.end.as_ref().is_none_or(|end| key < end.as_slice())
    }
}

/// The least bytes above all that begin with these.
fn successor(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = bytes.last_mut() {
        if *last < u8::MAX {
            *last += 1;
            return Some(bytes);
        }
        bytes.pop();
    }
    None
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::number::tests::any_number;

    /// Few different bytes, so that prefixes and zeros are common.
    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![0u8, 1, b'a', 0xfe, 0xff]), 0..20)
    }

    fn binary(bytes: &[u8]) -> Value {
        Value::B(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn bytes_of_keys() {
        let cases: [(Value, &[u8]); 7] = [
            (Value::from("ab"), b"ab\0\0\0\0\0\0\x02"),
            (Value::from("abcdefgh"), b"abcdefgh\x08"),
            (Value::from("abcdefghi"), b"abcdefgh\x09i\0\0\0\0\0\0\0\x01"),
            (Value::from(0), &[0x80]),
            (Value::from(1), &[0xC0, 130, 11, 0]),
            (Value::number("123.4").unwrap(), &[0xC0, 132, 13, 35, 0]),
            (Value::from(-1), &[0x40, 125, 244, 255]),
        ];
        for (value, expected) in cases {
            assert_eq!(encode(&value).unwrap(), expected, "{value:?}");
        }
        assert_eq!(encode(&"x".repeat(1024).into()).unwrap().len(), 1024 / 8 * 9);
        let longest = format!("-{}", "9".repeat(38));
        assert_eq!(encode(&Value::number(&longest).unwrap()).unwrap().len(), 22);
    }

    #[test]
    fn what_is_no_key() {
        let cases = [
            (Value::from(""), Err(KeyError::EmptyString), Err(KeyError::EmptyString)),
            (binary(b""), Err(KeyError::EmptyBinary), Err(KeyError::EmptyBinary)),
            (Value::from(true), Err(KeyError::Type(Kind::Bool)), Err(KeyError::Type(Kind::Bool))),
            ("x".repeat(1024).into(), Ok(()), Ok(())),
            ("x".repeat(1025).into(), Ok(()), Err(KeyError::LongSortKey)),
            ("é".repeat(1025).into(), Err(KeyError::LongPartitionKey), Err(KeyError::LongSortKey)),
            (Value::from(0), Ok(()), Ok(())),
        ];
        for (value, partition, sort) in cases {
            assert_eq!((check_partition_key(&value), check_sort_key(&value)), (partition, sort), "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn order_of_bytes(a in any_bytes(), b in any_bytes()) {
            let (x, y) = (encode(&binary(&a)).unwrap(), encode(&binary(&b)).unwrap());
            prop_assert_eq!(a.cmp(&b), x.cmp(&y));
            prop_assert!(a == b || !y.starts_with(&x));
        }

        #[test]
        fn order_of_numbers(a in any_number(), b in any_number()) {
            let (x, y) = (encode(&Value::N(a)).unwrap(), encode(&Value::N(b)).unwrap());
            prop_assert_eq!(a.cmp(&b), x.cmp(&y));
            prop_assert!(a == b || !y.starts_with(&x));
            prop_assert!(x.len() <= 22);
        }

        #[test]
        fn ranges_of_prefixes(prefix in any_bytes(), key in any_bytes(), follows in any_bytes()) {
            let range = KeyRange::beginning_with(&binary(&prefix)).unwrap();
            for key in [key.clone(), [prefix.clone(), key].concat()] {
                let row = [encode(&binary(&key)).unwrap(), follows.clone()].concat();
                prop_assert_eq!(range.contains(&row), key.starts_with(&prefix), "{:?}", key);
            }
        }

        #[test]
        fn ranges_between(low in any_number(), high in any_number(), key in any_number(), follows in any_bytes()) {
            let (l, h, k) = (Value::N(low), Value::N(high), Value::N(key));
            let row = [encode(&k).unwrap(), follows].concat();
            let holds = |low, high| KeyRange::between(low, high).unwrap().contains(&row);
            prop_assert_eq!(holds(Bound::Included(&l), Bound::Included(&h)), low <= key && key <= high);
            prop_assert_eq!(holds(Bound::Excluded(&l), Bound::Excluded(&h)), low < key && key < high);
            prop_assert_eq!(holds(Bound::Excluded(&l), Bound::Unbounded), low < key);
            prop_assert_eq!(holds(Bound::Unbounded, Bound::Included(&k)), true);
        }
    }
}
