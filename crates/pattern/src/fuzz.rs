//! Entry points for fuzzing: hostile patterns and events must give an error or an answer, never a panic or a hang, and all ways to ask must
//! give the same answer.

use std::sync::Arc;

use crate::{Attribute, Event, FilterScope, Pattern, RuleSet};

/// One of each operator, over names that corpora have.
const PATTERNS: &[&str] = &[
    r#"{"a": ["x", 1, true, null, "10.0.0.7"]}"#,
    r#"{"a": {"b": [{"exists": true}], "c": [{"exists": false}]}}"#,
    r#"{"a": [{"prefix": "x"}, {"suffix": {"equals-ignore-case": "Y"}}, {"wildcard": "*b*"}]}"#,
    r#"{"a": [{"numeric": [">", 0, "<", 1e3]}], "b": [{"anything-but": ["x"]}]}"#,
    r#"{"$or": [{"a": {"b": [{"cidr": "10.0.0.0/8"}]}}, {"b": [{"equals-ignore-case": "ß"}]}]}"#,
    r#"{"a.b": [{"anything-but": {"prefix": "x"}}], "b": [{"numeric": ["=", 2.5]}]}"#,
];

const EVENTS: &[&str] = &[
    "{}",
    r#"{"a": "x", "b": [1, "y", {"a": null}]}"#,
    r#"{"a": [{"b": "x", "c": 2}, {"b": "10.1.2.3"}], "b": "SS", "d": {"x": 300}}"#,
];

/// A pattern; behind a line break an event may follow.
pub fn pattern(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for scope in [FilterScope::MessageAttributes, FilterScope::MessageBody] {
        let _ = Pattern::parse_filter_policy(text, scope);
    }
    let parsed = match Pattern::parse(text) {
        Ok(parsed) => Arc::new(parsed),
        Err(error) => {
            assert!(error.line() > 0 && error.column() > 0 && !error.to_string().is_empty());
            return;
        }
    };
    let rules = RuleSet::build([(0, Arc::clone(&parsed))]);
    let own = text.split_once('\n').map(|(_, event)| event);
    for event in EVENTS.iter().copied().chain(own) {
        agree(&rules, &[Arc::clone(&parsed)], event.as_bytes());
    }
}

/// An event; and the same bytes as an attribute of a message.
pub fn event(bytes: &[u8]) {
    let patterns: Vec<_> = PATTERNS.iter().filter_map(|text| Pattern::parse(text).ok().map(Arc::new)).collect();
    assert_eq!(patterns.len(), PATTERNS.len());
    agree(&RuleSet::build((0..).zip(patterns.iter().cloned())), &patterns, bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        for attribute in [Attribute::Text(text), Attribute::List(text), Attribute::Number(text)] {
            let event = Event::of_attributes([("a", attribute)]);
            let _ = patterns.iter().filter(|pattern| pattern.matches(&event)).count();
        }
    }
}

fn agree(rules: &RuleSet<usize>, patterns: &[Arc<Pattern>], bytes: &[u8]) {
    let (mut of_bytes, mut of_event) = (Vec::new(), Vec::new());
    let read = rules.matching_bytes(bytes, &mut of_bytes);
    let Ok(event) = Event::parse(bytes) else { return };
    assert_eq!(read, Ok(()), "an event that is valid was refused");
    rules.matching(&event, &mut of_event);
    of_bytes.sort_unstable();
    of_event.sort_unstable();
    let one_by_one: Vec<_> = (0..patterns.len()).filter(|n| patterns[*n].matches(&event)).collect();
    assert!(of_bytes == one_by_one && of_event == one_by_one, "{of_bytes:?} {of_event:?} {one_by_one:?}");
    for (n, pattern) in patterns.iter().enumerate() {
        let told = pattern.explain(&event);
        assert_eq!(told.matches, one_by_one.contains(&n));
        assert!(!told.to_string().contains('\n'));
    }
}
