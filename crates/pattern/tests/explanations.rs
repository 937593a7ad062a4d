//! Why a rule did not fire.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use millpond_pattern::{Event, Pattern};

#[test]
fn it_is_said_what_was_wanted_and_what_was_there() {
    for (pattern, event, told) in [
        (r#"{"a": ["x"]}"#, r#"{"a": "x"}"#, "matches"),
        (r#"{"a": ["x", 1, null]}"#, r#"{"a": "y"}"#, r#"a wants "x" or 1 or null but has "y""#),
        (r#"{"a": {"b": [{"prefix": "us-"}]}}"#, r#"{"a": 1}"#, r#"a.b wants {"prefix": "us-"} but is absent"#),
        (r#"{"a": [{"exists": false}]}"#, r#"{"a": [1, 2]}"#, r#"a wants {"exists": false} but has 1, 2"#),
        (
            r#"{"a": [{"numeric": [">", 1, "<=", 2]}], "b": ["y"], "c": [{"anything-but": {"suffix": ["x", "y"]}}]}"#,
            r#"{"a": 3, "b": "y", "c": "xy"}"#,
            r#"a wants {"numeric": [">", 1, "<=", 2]} but has 3; c wants {"anything-but": {"suffix": ["x", "y"]}} but has "xy""#,
        ),
        (r#"{"a": [{"anything-but": 5}]}"#, r#"{"a": 5.0}"#, r#"a wants {"anything-but": [5]} but has 5.0"#),
        (
            r#"{"a": {"b": ["x"], "c": ["y"]}}"#,
            r#"{"a": [{"b": "x"}, {"c": "y"}]}"#,
            "no one element of the event's arrays has all of a.b, a.c",
        ),
        (
            r#"{"s": ["k"], "$or": [{"a": ["x"], "b": [1]}, {"c": ["z"]}]}"#,
            r#"{"s": "k", "a": "y", "b": 2, "c": "zz"}"#,
            r#"closest of 2 alternatives: c wants "z" but has "zz""#,
        ),
        (
            r#"{"a": [{"cidr": "10.0.0.0/8"}, "10.0.0.1"]}"#,
            r#"{"a": "x"}"#,
            r#"a wants {"cidr": "10.0.0.0/8"} or "10.0.0.1" but has "x""#,
        ),
        (
            r#"{"a": [{"equals-ignore-case": "X"}, {"prefix": {"equals-ignore-case": "Y"}}, {"wildcard": "a*b"}]}"#,
            r#"{"a": [1, 2, 3, 4, 5, 6, 7]}"#,
            r#"a wants {"equals-ignore-case": "X"} or {"prefix": {"equals-ignore-case": "Y"}} or {"wildcard": "a*b"} but has 1, 2, 3, 4, 5 and 2 more"#,
        ),
    ] {
        let explanation = Pattern::parse(pattern).unwrap().explain(&Event::parse(event.as_bytes()).unwrap());
        assert_eq!(explanation.to_string(), told, "{pattern}");
        assert_eq!(explanation.matches, told == "matches");
    }
}

/// Values are cut, not left out, and never break the line.
#[test]
fn it_is_one_line_of_bounded_length() {
    let event = format!(r#"{{"a\nb": "{}"}}"#, "line\\n".repeat(1000));
    let pattern = Pattern::parse(r#"{"a\nb": ["x"], "c": ["y"]}"#).unwrap();
    let told = pattern.explain(&Event::parse(event.as_bytes()).unwrap()).to_string();
    assert!(!told.contains('\n') && told.len() < 400, "{told}");
}
