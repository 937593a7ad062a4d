//! What expressions hold and copy is bounded.

use std::collections::BTreeMap;

use super::super::UpdateError;
use super::placeholders;
use crate::expression::Placeholders;
use crate::{Item, Value};

/// What an update copies is bounded by what an item may have, before it is copied.
#[test]
fn updates_do_not_grow_without_bound() {
    let long = Value::from("x".repeat(300 << 10));
    let values = BTreeMap::from([(":v".to_owned(), long.clone()), (":l".to_owned(), Value::L(vec![long.clone()]))]);
    for (text, fits) in [
        ("SET a = :v", true),
        ("SET a = :v, b = :v", false),
        ("SET a = big", true),
        ("SET a = big, b = big", false),
        ("SET a = if_not_exists(x, :v), b = if_not_exists(big, :v)", false),
        ("SET a = list_append(:l, n)", true),
        ("SET a = list_append(:l, :l)", false),
    ] {
        let mut before = Item::from_iter([("big".to_owned(), long.clone()), ("n".to_owned(), Value::L(Vec::new()))]);
        let used = values.iter().filter(|(name, _)| text.contains(name.as_str()));
        let used: BTreeMap<String, Value> = used.map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut placeholders = Placeholders::new(None, (!used.is_empty()).then_some(used)).unwrap();
        let done = placeholders.update(text).unwrap().apply(&mut before).map(drop);
        assert_eq!(done, if fits { Ok(()) } else { Err(UpdateError::TooLarge) }, "{text}");
    }
}

#[test]
fn updates_tell_what_they_read() {
    let text = "SET a = b, c = d.e + :n, f = if_not_exists(g, h), i = list_append(:l, j[0]) REMOVE k";
    let update = placeholders(&[], r#"{":n": {"N": "1"}, ":l": {"L": []}}"#).update(text).unwrap();
    assert_eq!(update.reads().into_iter().collect::<String>(), "bdghj");
}

/// A long name that stands in a path again and again is held once.
#[test]
fn names_are_shared() {
    let name = "x".repeat(60_000);
    let mut placeholders = placeholders(&[("#a", &name)], "{}");
    let paths: Vec<String> = (0..200).map(|number| format!("a{number}.#a.#a.#a")).collect();
    placeholders.projection(&paths.join(",")).unwrap();
    let deep = vec!["#a"; 33].join(".");
    let error = placeholders.projection(&deep).unwrap_err().to_string();
    assert!(error.len() < 1_000, "{error}");
}
