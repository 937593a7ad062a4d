//! Sizes as DynamoDB counts them ("DynamoDB item sizes and formats" in its developer guide).

use crate::{Item, Number, Value};

/// The most bytes of an item, names of attributes included.
pub const MAX_ITEM_BYTES: usize = 400 << 10;

/// A list or a map itself.
pub(crate) const DOCUMENT_BYTES: usize = 3;
/// Each value within a list or a map.
const ELEMENT_BYTES: usize = 1;

impl Item {
    /// Its size in bytes: what limits, capacity and the size of a table count.
    pub fn size(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.size()).sum()
    }
}

impl Value {
    /// Its size in bytes, without the name of the attribute.
    pub fn size(&self) -> usize {
        match self {
            Value::S(text) => text.len(),
            Value::N(number) => number.size(),
            Value::B(bytes) => bytes.len(),
            Value::Bool(_) | Value::Null => 1,
            Value::L(values) => DOCUMENT_BYTES + values.iter().map(|value| ELEMENT_BYTES + value.size()).sum::<usize>(),
            Value::M(values) => {
                let entries = values.iter().map(|(name, value)| ELEMENT_BYTES + name.len() + value.size());
                DOCUMENT_BYTES + entries.sum::<usize>()
            }
            Value::Ss(members) => members.iter().map(String::len).sum(),
            Value::Ns(members) => members.iter().map(Number::size).sum(),
            Value::Bs(members) => members.iter().map(bytes::Bytes::len).sum(),
        }
    }
}

impl Number {
    /// Its size in bytes: one, one for each two digits before the point and for each two behind it, and one for a minus. Zeros at
    /// either end are no digits (measured on DynamoDB at the limit of an item; its guide only says "approximately").
    pub fn size(&self) -> usize {
        if self.is_zero() {
            return 1;
        }
        let digits = self.digits() as i32;
        let (_, _, exponent) = self.parts();
        let behind = (-i32::from(exponent)).clamp(0, digits);
        let before = digits - behind;
        // At most 38.
        1 + (before as usize).div_ceil(2) + (behind as usize).div_ceil(2) + usize::from(self.is_negative())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            (r#"{"S": "añb"}"#, 4),
            (r#"{"B": "AQID"}"#, 3),
            (r#"{"BOOL": false}"#, 1),
            (r#"{"NULL": true}"#, 1),
            (r#"{"N": "0"}"#, 1),
            (r#"{"N": "1"}"#, 2),
            (r#"{"N": "-1"}"#, 3),
            (r#"{"N": "27"}"#, 2),
            (r#"{"N": "123"}"#, 3),
            (r#"{"N": "1000"}"#, 2),
            (r#"{"N": "1010"}"#, 3),
            (r#"{"N": "0.5"}"#, 2),
            (r#"{"N": "0.15"}"#, 2),
            (r#"{"N": "0.0000001"}"#, 2),
            (r#"{"N": "1E125"}"#, 2),
            (r#"{"N": "1E-100"}"#, 2),
            (r#"{"N": "1.5"}"#, 3),
            (r#"{"N": "1.234"}"#, 4),
            (r#"{"N": "3.14159"}"#, 5),
            (r#"{"N": "123456"}"#, 4),
            (r#"{"N": "100.5"}"#, 4),
            (r#"{"N": "-0"}"#, 1),
            (r#"{"N": "99999999999999999999999999999999999999"}"#, 20),
            (r#"{"SS": ["a", "bc"]}"#, 3),
            (r#"{"NS": ["1", "27"]}"#, 4),
            (r#"{"BS": ["AQ==", "AQI="]}"#, 3),
            (r#"{"L": []}"#, 3),
            (r#"{"L": [{"S": "ab"}, {"NULL": true}]}"#, 8),
            (r#"{"M": {}}"#, 3),
            (r#"{"M": {"key": {"S": "ab"}}}"#, 9),
        ];
        for (json, expected) in cases {
            assert_eq!(Value::from_json(json.as_bytes()).unwrap().size(), expected, "{json}");
        }
    }
}
