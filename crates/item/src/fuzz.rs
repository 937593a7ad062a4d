//! Entry points for fuzzing: hostile expressions, JSON and rows must give an error or an answer, never a panic or a hang, and what
//! was read must be the same after it was written and read again.

use std::collections::BTreeMap;

use crate::expression::Placeholders;
use crate::{Item, Value, key};

const ITEM: &str = r#"{"a": {"N": "5"}, "b": {"S": "text"}, "c": {"SS": ["x", "y"]}, "d": {"NULL": true}, "e": {"B": "AQID"},
    "l": {"L": [{"N": "1"}, {"L": []}, {"M": {"a": {"S": "x"}}}]}, "m": {"M": {"a": {"N": "1"}, "l": {"L": [{"BOOL": true}]}}}}"#;

const VALUES: &str = r#"{":n": {"N": "1"}, ":big": {"N": "9e125"}, ":s": {"S": "x"}, ":k": {"S": "SS"}, ":b": {"B": "AQ=="}, ":t": {"BOOL": true},
    ":l": {"L": [{"N": "1"}]}, ":m": {"M": {}}, ":ss": {"SS": ["x"]}, ":ns": {"NS": ["1"]}}"#;

/// An expression, as one of every kind; behind a line break an item may follow.
pub fn expression(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (text, own) = text.split_once('\n').unwrap_or((text, ITEM));
    let item = Item::from_json(own.as_bytes()).or_else(|_| Item::from_json(ITEM.as_bytes())).unwrap_or_default();
    let mut placeholders = placeholders();
    match placeholders.condition(text) {
        Ok(condition) => {
            // A condition and its opposite.
            let opposite = crate::expression::Condition::Not(Box::new(condition.clone()));
            assert_ne!(condition.holds(&item), opposite.holds(&item));
            assert!(condition.attributes().len() <= text.len());
        }
        Err(error) => assert!(error.to_string().starts_with("Invalid ConditionExpression: ")),
    }
    if let Ok(condition) = placeholders.key_condition(text) {
        for name in condition.attributes() {
            if let Ok(query) = condition.for_keys((name, crate::Kind::S), Some(("b", crate::Kind::S))) {
                assert_eq!(query.hash.kind(), crate::Kind::S);
                query.sort.iter().for_each(|sort| drop(sort.range()));
            }
        }
    }
    match placeholders.projection(text) {
        Ok(projection) => {
            let part = projection.of(&item);
            assert_eq!(projection.of_owned(item.clone()), part);
            assert!(part.size() <= item.size());
        }
        Err(error) => assert!(error.to_string().starts_with("Invalid ProjectionExpression: ")),
    }
    if let Ok(update) = placeholders.update(text) {
        let mut after = item.clone();
        match update.apply(&mut after) {
            Ok(applied) => {
                let _ = (applied.old.of(&item), applied.new.of(&after));
                written_and_read(&after);
            }
            Err(error) => assert_eq!(after, item, "{error}"),
        }
    }
}

fn placeholders() -> Placeholders {
    let names = [("#a", "a"), ("#b", "b"), ("#l", "l"), ("#odd", "a.b[0]")];
    let names: BTreeMap<String, String> =
        names.map(|(name, stands_for)| (name.to_owned(), stands_for.to_owned())).into();
    let values = Item::from_json(VALUES.as_bytes()).unwrap_or_default().into_inner();
    Placeholders::new(Some(names), Some(values)).unwrap_or_default()
}

/// An item as JSON; and the same bytes as a row.
pub fn item(bytes: &[u8]) {
    if let Ok(item) = Item::decode(bytes) {
        written_and_read(&item);
    }
    let document = serde_json::from_slice(bytes).map(|document| Item::from_document(&document));
    match Item::from_json(bytes) {
        Ok(item) => {
            if let Ok(Ok(same)) = document {
                assert_eq!(same, item);
            }
            if item.check_depth().is_ok() {
                written_and_read(&item);
            }
            keys(&item);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn written_and_read(item: &Item) {
    assert_eq!(Item::decode(&item.encode()).as_ref(), Ok(item));
    assert_eq!(Item::from_json(item.to_json().as_bytes()).as_ref(), Ok(item));
}

/// Bytes of keys have the order of the values.
fn keys(item: &Item) {
    let values: Vec<&Value> = item.values().take(16).collect();
    for one in &values {
        for other in &values {
            let order = match (one, other) {
                (Value::S(one), Value::S(other)) => one.cmp(other),
                (Value::B(one), Value::B(other)) => one.cmp(other),
                (Value::N(one), Value::N(other)) => one.cmp(other),
                _ => continue,
            };
            assert_eq!(key::encode(one).ok().cmp(&key::encode(other).ok()), order);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn entry_points() {
        for text in ["a = :n", "SET a = a + :n", "a, m.l[0]", "b = :s AND begins_with(a, :s)", "x\n{}"] {
            super::expression(text.as_bytes());
        }
        super::item(super::ITEM.as_bytes());
        super::item(&[1, 0]);
    }
}
