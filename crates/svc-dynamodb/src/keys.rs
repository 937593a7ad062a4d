//! Where items lie: keys of tables and indexes as bytes of rows.

use bytes::{BufMut, Bytes, BytesMut};
use millpond_item::{Item, Kind, Value, key};
use millpond_meta::Key;
use millpond_meta::key::KeyBuilder;
use sha2::{Digest, Sha256};

use crate::errors::{DynamoError, invalid, parameters};
use crate::model::{Index, KeyKind, KeyPart, Schema, Table};
use crate::tables::{self, TableId};

/// Bytes of a partition key's hash.
const HASH: usize = 16;

/// Where an item lies in its table: the hash of its partition key, then its sort key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Place(Bytes);

impl Place {
    /// As a row has it.
    pub fn of_bytes(bytes: Bytes) -> Option<Self> {
        (bytes.len() >= HASH).then_some(Self(bytes))
    }

    /// Of the key of an item's row.
    pub fn of_row(row: &Key) -> Option<Self> {
        // Table id and the table's own id.
        (row.len() >= 1 + 16 + HASH).then(|| Self(row.slice(1 + 16..)))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The hash of the partition key.
    pub fn hash(&self) -> [u8; HASH] {
        let mut hash = [0; HASH];
        hash.copy_from_slice(&self.0[..HASH]);
        hash
    }

    /// The item's row.
    pub fn row(&self, table: TableId) -> Key {
        KeyBuilder::with_capacity(tables::ITEMS, 1 + 16 + self.0.len()).u128(table).raw(&self.0).build()
    }
}

/// The hash of a partition key: items lie in the order of these.
pub(crate) fn hash(value: &Value) -> Result<[u8; HASH], DynamoError> {
    let bytes = key::encode(value).map_err(|error| invalid(error.to_string()))?;
    Ok(hash_of(&bytes))
}

fn hash_of(bytes: &[u8]) -> [u8; HASH] {
    let digest = Sha256::digest(bytes);
    let mut hash = [0; HASH];
    hash.copy_from_slice(&digest[..HASH]);
    hash
}

fn is_of(value: &Value, kind: KeyKind) -> bool {
    matches!((value.kind(), kind), (Kind::S, KeyKind::S) | (Kind::N, KeyKind::N) | (Kind::B, KeyKind::B))
}

/// Checks a partition key, or a sort key.
fn check(part: &KeyPart, value: &Value, is_hash: bool) -> Result<(), DynamoError> {
    let checked = if is_hash { key::check_partition_key(value) } else { key::check_sort_key(value) };
    checked.map_err(|error| match error {
        key::KeyError::EmptyString | key::KeyError::EmptyBinary => invalid(format!("{error} Key: {}", part.name)),
        other => invalid(other.to_string()),
    })
}

/// Where the item of a key lies; the key must be nothing but one.
pub(crate) fn place(schema: &Schema, given: &Item) -> Result<Place, DynamoError> {
    let wrong = || invalid("The provided key element does not match the schema");
    if given.len() != schema.parts().count() {
        return Err(wrong());
    }
    for part in schema.parts() {
        if !is_of(given.get(&part.name).ok_or_else(wrong)?, part.kind) {
            return Err(wrong());
        }
    }
    place_of(schema, given)
}

/// Where an item lies; it has its key among its attributes.
pub(crate) fn place_in(schema: &Schema, item: &Item) -> Result<Place, DynamoError> {
    for part in schema.parts() {
        let Some(value) = item.get(&part.name) else {
            return Err(parameters(format_args!("Missing the key {} in the item", part.name)));
        };
        if !is_of(value, part.kind) {
            return Err(parameters(format_args!(
                "Type mismatch for key {} expected: {} actual: {}",
                part.name,
                part.kind.name(),
                value.kind()
            )));
        }
    }
    place_of(schema, item)
}

fn place_of(schema: &Schema, item: &Item) -> Result<Place, DynamoError> {
    let missing = || invalid("The provided key element does not match the schema");
    let partition = item.get(&schema.hash.name).ok_or_else(missing)?;
    check(&schema.hash, partition, true)?;
    let mut bytes = Vec::with_capacity(HASH + 32);
    bytes.extend_from_slice(&hash(partition)?);
    if let Some(range) = &schema.range {
        let sort = item.get(&range.name).ok_or_else(missing)?;
        check(range, sort, false)?;
        key::encode_into(sort, &mut bytes).map_err(|error| invalid(error.to_string()))?;
    }
    Ok(Place(bytes.into()))
}

/// The parts of an item that are its key.
pub(crate) fn key_of(schema: &Schema, item: &Item) -> Item {
    schema.parts().filter_map(|part| Some((part.name.clone(), item.get(&part.name)?.clone()))).collect()
}

/// Whether two items are of the same key: places of different partition keys could be the same only if SHA-256 were broken, and then this tells.
pub(crate) fn same_key(schema: &Schema, one: &Item, other: &Item) -> bool {
    schema.parts().all(|part| one.get(&part.name) == other.get(&part.name))
}

/// The row of an item in an index; `None` when it is not in it, for want of a part of the key.
pub(crate) fn index_row(table: TableId, index: &Index, item: &Item, place: &Place) -> Option<Key> {
    let prefix = index_prefix(index, item)?;
    let own = hash_of(place.bytes());
    let key = KeyBuilder::with_capacity(tables::INDEX, 1 + 16 + 4 + prefix.len() + HASH);
    Some(key.u128(table).u32(index.number).raw(&prefix).raw(&own).build())
}

/// What stands in the row of an item in an index before the hash of its place.
fn index_prefix(index: &Index, item: &Item) -> Option<Vec<u8>> {
    let value = |part: &KeyPart| item.get(&part.name).filter(|value| is_of(value, part.kind));
    let partition = value(&index.schema.hash).filter(|value| key::check_partition_key(value).is_ok())?;
    let mut bytes = Vec::with_capacity(HASH + 32);
    bytes.extend_from_slice(&hash(partition).ok()?);
    if let Some(range) = &index.schema.range {
        let sort = value(range).filter(|value| key::check_sort_key(value).is_ok())?;
        key::encode_into(sort, &mut bytes).ok()?;
    }
    Some(bytes)
}

/// Checks what an item has of the keys of indexes, among the attributes that a write touches: an attribute that is a part of one must be of its type.
pub(crate) fn check_indexes(table: &Table, item: &Item, touched: impl Fn(&str) -> bool) -> Result<(), DynamoError> {
    for index in &table.indexes {
        for (number, part) in index.schema.parts().enumerate() {
            let Some(value) = item.get(&part.name).filter(|_| touched(&part.name)) else { continue };
            if !is_of(value, part.kind) {
                return Err(parameters(format_args!(
                    "Type mismatch for Index Key {} Expected: {} Actual: {} IndexName: {}",
                    part.name,
                    part.kind.name(),
                    value.kind(),
                    index.name
                )));
            }
            let checked = if number == 0 { key::check_partition_key(value) } else { key::check_sort_key(value) };
            let empty = |what: &str| {
                invalid(format!(
                    "One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty {what} value. IndexName: {}, IndexKey: {}",
                    index.name, part.name
                ))
            };
            checked.map_err(|error| match error {
                key::KeyError::EmptyString => empty("string"),
                key::KeyError::EmptyBinary => empty("binary"),
                other => invalid(other.to_string()),
            })?;
        }
    }
    Ok(())
}

/// The beginning of the rows of one partition key, in a table or in an index.
pub(crate) fn partition(table: TableId, index: Option<&Index>, hash: &[u8; HASH]) -> Key {
    let mut bytes = BytesMut::from(beginning(table, index).as_ref());
    bytes.put_slice(hash);
    bytes.freeze()
}

/// The beginning of all rows of a table's items, or of an index.
pub(crate) fn beginning(table: TableId, index: Option<&Index>) -> Key {
    match index {
        None => tables::of_table(tables::ITEMS, table),
        Some(index) => tables::of_index(tables::INDEX, table, index.number),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::Projected;

    pub(crate) fn part(name: &str, kind: KeyKind) -> KeyPart {
        KeyPart { name: name.into(), kind }
    }

    fn item(json: &str) -> Item {
        Item::from_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn keys_must_be_as_the_schema_says() {
        let schema = Schema { hash: part("h", KeyKind::S), range: Some(part("r", KeyKind::N)) };
        let wrong = "The provided key element does not match the schema";
        for (json, expected) in [
            (r#"{"h": {"S": "a"}, "r": {"N": "1"}}"#, None),
            (r#"{"h": {"S": "a"}}"#, Some(wrong)),
            (r#"{"h": {"S": "a"}, "r": {"S": "1"}}"#, Some(wrong)),
            (r#"{"h": {"S": "a"}, "r": {"N": "1"}, "x": {"N": "1"}}"#, Some(wrong)),
            (
                r#"{"h": {"S": ""}, "r": {"N": "1"}}"#,
                Some(
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: h",
                ),
            ),
        ] {
            let found = place(&schema, &item(json)).err().map(|error| error.to_string());
            assert_eq!(found.as_deref(), expected, "{json}");
        }
        for (json, expected) in [
            (r#"{"r": {"N": "1"}}"#, "One or more parameter values were invalid: Missing the key h in the item"),
            (
                r#"{"h": {"N": "1"}, "r": {"N": "1"}}"#,
                "One or more parameter values were invalid: Type mismatch for key h expected: S actual: N",
            ),
        ] {
            assert_eq!(place_in(&schema, &item(json)).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn the_longest_keys_fit() {
        let schema = Schema { hash: part("h", KeyKind::S), range: Some(part("r", KeyKind::S)) };
        let of = |name: &str| Value::from(name.to_owned());
        let long = Item::from_iter([
            ("h".to_owned(), of(&"x".repeat(2048))),
            ("r".to_owned(), of(&"\0".repeat(1024))),
            ("s".to_owned(), of(&"\u{1}".repeat(1024))),
        ]);
        let place = place_in(&schema, &long).unwrap();
        assert!(place.row(1).len() <= millpond_meta::MAX_KEY_BYTES);
        let schema = Schema { hash: part("h", KeyKind::S), range: Some(part("s", KeyKind::S)) };
        let index =
            Index { number: 1, name: "i".into(), local: true, schema, projected: Projected::All, filling: false };
        let row = index_row(1, &index, &long, &place).unwrap();
        assert!(row.len() <= millpond_meta::MAX_KEY_BYTES);
        assert_eq!(Place::of_row(&place.row(1)), Some(place));
    }
}
