//! The answers of AWS's own matcher (event-ruler), case by case.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::sync::Arc;

use millpond_pattern::{Event, Pattern, RuleSet};
use serde_json::Value;

#[test]
fn every_answer_is_that_of_aws() {
    let (mut cases, mut wrong) = (0, Vec::new());
    for line in include_str!("data/event-patterns.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (text, event) = (case["pattern"].as_str().unwrap(), case["event"].as_str().unwrap());
        let parsed = Pattern::parse(text);
        let got = match &parsed {
            Err(error) => {
                assert!(error.line() > 0 && error.column() > 0, "{text}");
                Value::from("invalid")
            }
            Ok(pattern) => {
                let parsed = Event::parse(event.as_bytes()).unwrap();
                let simple = pattern.matches(&parsed);
                let rules = RuleSet::build([(7, Arc::new(pattern.clone()))]);
                let (mut a, mut b) = (Vec::new(), Vec::new());
                rules.matching(&parsed, &mut a);
                rules.matching_bytes(event.as_bytes(), &mut b).unwrap();
                let expected = if simple { vec![7] } else { vec![] };
                assert!(a == expected && b == expected, "{text} {event}: {a:?} {b:?}");
                assert_eq!(pattern.explain(&parsed).matches, simple, "{text} {event}");
                Value::from(simple)
            }
        };
        cases += 1;
        if got != case["want"] {
            wrong.push(format!("{}: {text} {event}: {got} instead of {}", case["name"], case["want"]));
        }
    }
    assert_eq!(cases, 824);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
