//! Fields in elements of arrays, few and many.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::sync::Arc;

use millpond_pattern::{Event, Pattern, RuleSet};

fn matches(pattern: &str, event: &str) -> bool {
    let pattern = Arc::new(Pattern::parse(pattern).unwrap());
    let simple = pattern.matches(&Event::parse(event.as_bytes()).unwrap());
    let mut list = Vec::new();
    RuleSet::build([((), pattern)]).matching_bytes(event.as_bytes(), &mut list).unwrap();
    assert_eq!(simple, !list.is_empty(), "{event}");
    simple
}

#[test]
fn fields_are_found_in_one_element() {
    for (pattern, event, expected) in [
        (r#"{"a": {"x": [1], "y": [2]}}"#, r#"{"a": [{"x": 1}, {"x": 1, "y": 2}]}"#, true),
        (r#"{"a": {"x": [1], "y": [2]}}"#, r#"{"a": [{"x": 1}, {"y": 2}]}"#, false),
        (r#"{"a": {"x": [1], "y": [2]}}"#, r#"{"a": [[{"x": 1}, {"y": 2}], {"x": 1}]}"#, false),
        (r#"{"a": {"x": [1], "y": [2]}}"#, r#"{"a": [[{"x": 1, "y": [3, 2]}]]}"#, true),
        // Elements of different arrays go together.
        (r#"{"a": {"x": [1]}, "b": {"y": [2]}}"#, r#"{"a": [{"x": 0}, {"x": 1}], "b": [{"y": 2}]}"#, true),
        // A field is missed in the elements of the fields before it, in the order of their paths.
        (r#"{"a": {"x": [1], "y": [{"exists": false}]}}"#, r#"{"a": [{"x": 1}, {"y": 2}]}"#, true),
        (r#"{"a": {"x": [{"exists": false}], "y": [2]}}"#, r#"{"a": [{"x": 1}, {"y": 2}]}"#, false),
        // Values in an array itself belong to all of its elements.
        (r#"{"a": ["x"], "b": {"c": [1]}}"#, r#"{"a": ["y", "x"], "b": [{"c": 1}]}"#, true),
        (r#"{"a": {"b": {"x": [1]}, "c": [2]}}"#, r#"{"a": [{"b": [{"x": 0}, {"x": 1}], "c": 2}]}"#, true),
        (r#"{"a": {"b": {"x": [1]}, "c": [2]}}"#, r#"{"a": [{"b": [{"x": 1}]}, {"c": 2}]}"#, false),
    ] {
        assert_eq!(matches(pattern, event), expected, "{pattern} {event}");
    }
}

/// Nothing grows with the square of an array's length: this would take minutes.
#[test]
fn long_arrays_are_no_trouble() {
    let items =
        |count: usize| (0..count).map(|n| format!(r#"{{"x":{n},"y":{}}}"#, n + 1)).collect::<Vec<_>>().join(",");
    let flat = format!(r#"{{"a":[{}],"b":[{}]}}"#, items(15_000), items(15_000));
    let deep = format!(r#"{{"a":[{{"a":[{}]}}]}}"#, items(25_000));
    for (pattern, event, expected) in [
        (r#"{"a":{"x":[14999],"y":[15000]},"b":{"x":[14999],"y":[15000]}}"#, &flat, true),
        (r#"{"a":{"x":[{"exists":true}],"y":[0.5, 15000]},"b":{"x":[{"exists":true}],"y":[1]}}"#, &flat, true),
        (r#"{"a":{"x":[{"anything-but":14999}],"y":[15000]}}"#, &flat, false),
        (r#"{"a":{"x":[{"exists":true}],"y":[{"exists":false}]}}"#, &flat, false),
        (r#"{"a":{"a":{"x":[{"anything-but":24999}],"y":[25000]}}}"#, &deep, false),
        (r#"{"a":{"a":{"x":[{"exists":true}],"y":[25000]}}}"#, &deep, true),
    ] {
        assert_eq!(matches(pattern, event), expected, "{pattern}");
    }
}
