//! The bytes of items on disk.
//!
//! ```text
//! item   = version (1 byte: 1), count, (name, value)*        in the order of the names
//! name   = length, UTF-8
//! value  = tag (1 byte), contents
//!   1 S    length, UTF-8                     6 L    count, value*
//!   2 N    number                            7 M    count, (name, value)*
//!   3 B    length, bytes                     8 SS   count, (length, UTF-8)*
//!   4 BOOL 1 byte: 0 or 1                    9 NS   count, number*
//!   5 NULL nothing                          10 BS   count, (length, bytes)*
//! number = 1 byte: 0x80 when negative, and how many bytes the coefficient has (0 to 16);
//!          exponent (2 bytes, big-endian, two's complement); coefficient (big-endian, without zeros in front)
//! length, count = LEB128
//! ```

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::{Item, MAX_DEPTH, Number, Value};

const VERSION: u8 = 1;
const NEGATIVE: u8 = 0x80;

const S: u8 = 1;
const N: u8 = 2;
const B: u8 = 3;
const BOOL: u8 = 4;
const NULL: u8 = 5;
const L: u8 = 6;
const M: u8 = 7;
const SS: u8 = 8;
const NS: u8 = 9;
const BS: u8 = 10;

/// Why bytes are no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// They end too soon.
    #[error("the item ends too soon")]
    Truncated,
    /// More bytes follow.
    #[error("bytes follow the item")]
    Trailing,
    /// Of a version that is not known.
    #[error("an item of version {0}")]
    Version(u8),
    /// A value of a type that is not known.
    #[error("a value of type {0}")]
    Tag(u8),
    /// A length, a number, a text or a boolean that cannot be; or values nested too deeply.
    #[error("{0} that cannot be")]
    Invalid(&'static str),
}

impl Item {
    /// Its bytes on disk; equal items have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size() + 4 * self.len() + 2);
        out.push(VERSION);
        push_map(self, &mut out);
        out
    }

    /// The item of bytes on disk.
    pub fn decode(bytes: &[u8]) -> Result<Item, RowError> {
        let mut reader = Reader { rest: bytes };
        match reader.byte()? {
            VERSION => {}
            other => return Err(RowError::Version(other)),
        }
        // The item itself is a level more.
        let item = reader.map(MAX_DEPTH + 1)?;
        if !reader.rest.is_empty() {
            return Err(RowError::Trailing);
        }
        Ok(Item::from(item))
    }
}

fn push_length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    push_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn push_number(number: &Number, out: &mut Vec<u8>) {
    let (negative, coefficient, exponent) = number.parts();
    let bytes = coefficient.to_be_bytes();
    let bytes = &bytes[(coefficient.leading_zeros() / 8) as usize..];
    // At most 16.
    out.push(bytes.len() as u8 | if negative { NEGATIVE } else { 0 });
    out.extend_from_slice(&exponent.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn push_map(map: &BTreeMap<String, Value>, out: &mut Vec<u8>) {
    push_length(map.len(), out);
    for (name, value) in map {
        push_bytes(name.as_bytes(), out);
        push_value(value, out);
    }
}

fn push_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::S(text) => {
            out.push(S);
            push_bytes(text.as_bytes(), out);
        }
        Value::N(number) => {
            out.push(N);
            push_number(number, out);
        }
        Value::B(bytes) => {
            out.push(B);
            push_bytes(bytes, out);
        }
        Value::Bool(value) => out.extend_from_slice(&[BOOL, u8::from(*value)]),
        Value::Null => out.push(NULL),
        Value::L(values) => {
            out.push(L);
            push_length(values.len(), out);
            values.iter().for_each(|value| push_value(value, out));
        }
        Value::M(values) => {
            out.push(M);
            push_map(values, out);
        }
        Value::Ss(members) => {
            out.push(SS);
            push_length(members.len(), out);
            members.iter().for_each(|member| push_bytes(member.as_bytes(), out));
        }
        Value::Ns(members) => {
            out.push(NS);
            push_length(members.len(), out);
            members.iter().for_each(|member| push_number(member, out));
        }
        Value::Bs(members) => {
            out.push(BS);
            push_length(members.len(), out);
            members.iter().for_each(|member| push_bytes(member, out));
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, RowError> {
        let (first, rest) = self.rest.split_first().ok_or(RowError::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], RowError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(RowError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A length or a count: no more than there are bytes, so that nothing is reserved for what is not there.
    fn length(&mut self) -> Result<usize, RowError> {
        let mut length = 0usize;
        // Four bytes hold 2^28, far more than an item.
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return if length > self.rest.len() { Err(RowError::Truncated) } else { Ok(length) };
            }
        }
        Err(RowError::Invalid("a length"))
    }

    fn bytes(&mut self) -> Result<&'a [u8], RowError> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<String, RowError> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| RowError::Invalid("a text"))?;
        Ok(text.to_owned())
    }

    fn number(&mut self) -> Result<Number, RowError> {
        let head = self.byte()?;
        let exponent = self.take(2)?;
        let bytes = self.take(usize::from(head & !NEGATIVE))?;
        let mut padded = [0; 16];
        let start = padded.len().checked_sub(bytes.len()).ok_or(RowError::Invalid("a number"))?;
        padded[start..].copy_from_slice(bytes);
        let exponent = i16::from_be_bytes([exponent[0], exponent[1]]);
        Number::from_parts(head & NEGATIVE != 0, u128::from_be_bytes(padded), exponent.into())
            .map_err(|_| RowError::Invalid("a number"))
    }

    /// `depth`: how many levels may be here, this one included.
    fn map(&mut self, depth: usize) -> Result<BTreeMap<String, Value>, RowError> {
        let depth = depth.checked_sub(1).ok_or(RowError::Invalid("a depth"))?;
        let count = self.length()?;
        (0..count).map(|_| Ok((self.text()?, self.value(depth)?))).collect()
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>, RowError> {
        let depth = depth.checked_sub(1).ok_or(RowError::Invalid("a depth"))?;
        let count = self.length()?;
        (0..count).map(|_| self.value(depth)).collect()
    }

    fn set<T: Ord>(
        &mut self,
        mut member: impl FnMut(&mut Self) -> Result<T, RowError>,
    ) -> Result<BTreeSet<T>, RowError> {
        match self.length()? {
            0 => Err(RowError::Invalid("a set")),
            count => (0..count).map(|_| member(self)).collect(),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, RowError> {
        Ok(match self.byte()? {
            S => Value::S(self.text()?),
            N => Value::N(self.number()?),
            B => Value::B(Bytes::copy_from_slice(self.bytes()?)),
            BOOL => match self.byte()? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return Err(RowError::Invalid("a boolean")),
            },
            NULL => Value::Null,
            L => Value::L(self.list(depth)?),
            M => Value::M(self.map(depth)?),
            SS => Value::Ss(self.set(Self::text)?),
            NS => Value::Ns(self.set(Self::number)?),
            BS => Value::Bs(self.set(|reader| Ok(Bytes::copy_from_slice(reader.bytes()?)))?),
            other => return Err(RowError::Tag(other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::any_item;

    #[test]
    fn the_format_stays() {
        let json = br#"{"b": {"N": "-12.5"}, "a": {"L": [{"S": "x"}, {"NULL": true}, {"BOOL": true}]}, "s": {"NS": ["0", "256"]}}"#;
        let item = Item::from_json(json).unwrap();
        let expected: &[u8] = &[
            1, 3, 1, b'a', 6, 3, 1, 1, b'x', 5, 4, 1, 1, b'b', 2, 0x81, 0xff, 0xff, 125, 1, b's', 9, 2, 0, 0, 0, 2, 0,
            0, 1, 0,
        ];
        assert_eq!(item.encode(), expected);
    }

    #[test]
    fn what_is_no_item() {
        let deep = [&[1, 1, 1, b'a'][..], &[6, 1].repeat(MAX_DEPTH + 1), &[5]].concat();
        let cases: [(&[u8], RowError); 9] = [
            (&[], RowError::Truncated),
            (&[2, 0], RowError::Version(2)),
            (&[1, 0, 0], RowError::Trailing),
            (&[1, 1, 1, b'a', 77], RowError::Tag(77)),
            (&[1, 1, 1, b'a', 4, 2], RowError::Invalid("a boolean")),
            (&[1, 1, 1, 0xff, 5], RowError::Invalid("a text")),
            (&[1, 0xff, 0xff, 0xff, 0xff, 0xff], RowError::Invalid("a length")),
            (&[1, 1, 1, b'a', 8, 0], RowError::Invalid("a set")),
            (&deep, RowError::Invalid("a depth")),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Item::decode(bytes), Err(expected), "{bytes:?}");
        }
    }

    #[test]
    fn the_deepest_items() {
        for innermost in [Value::from("x"), Value::L(vec![]), Value::M(BTreeMap::new())] {
            let mut value = innermost;
            while value.depth() < MAX_DEPTH {
                value = Value::L(vec![Value::M(BTreeMap::from([("k".to_owned(), value)]))]);
                if value.depth() > MAX_DEPTH {
                    let Value::L(mut list) = value else { unreachable!() };
                    value = list.remove(0);
                }
            }
            let item = Item::from_iter([("a".to_owned(), value)]);
            assert_eq!(item.check_depth(), Ok(()));
            assert_eq!(Item::decode(&item.encode()).as_ref(), Ok(&item));
            assert_eq!(Item::from_json(item.to_json().as_bytes()).as_ref(), Ok(&item));
        }
    }

    proptest! {
        #[test]
        fn there_and_back(item in any_item()) {
            let bytes = item.encode();
            prop_assert_eq!(Item::decode(&bytes).unwrap(), item);
            for end in 0..bytes.len() {
                prop_assert!(Item::decode(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(0..16u8, 0..64)) {
            let _ = Item::decode(&[&[VERSION][..], &bytes].concat());
        }
    }
}
