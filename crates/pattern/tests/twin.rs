//! Random patterns and events: one pattern at a time, many at once, and the naive twin must agree.
//!
//! `SEED=<number>` reruns one round.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod common;

use std::sync::Arc;

use common::{Random, generate, twin};
use millpond_pattern::{Event, Pattern, RuleSet};

/// Each has its own patterns and events.
const ROUNDS: u64 = 60;
/// Patterns and events of a round; now and then there are many patterns.
const SIZES: [(usize, usize); 5] = [(60, 40), (60, 40), (10, 60), (60, 40), (700, 6)];

#[test]
fn all_ways_to_match_agree() {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=ROUNDS).collect(),
    };
    let mut matched = 0;
    for seed in &seeds {
        matched += round(*seed);
    }
    assert!(seeds.len() == 1 || matched > 3_000, "they hardly ever match: {matched}");
}

fn patterns(random: &mut Random, count: usize) -> Vec<(usize, String, Arc<Pattern>)> {
    let mut patterns = Vec::new();
    while patterns.len() < count {
        let text = generate::pattern(random);
        // An alternative may want a field that stands beside it as well; which of the two counts depends on the order, which the twin does
        // not know.
        match Pattern::parse(&text) {
            Ok(pattern) if !clashes(&text) => patterns.push((patterns.len(), text, Arc::new(pattern))),
            Ok(_) => {}
            Err(error) => {
                assert!(error.what().contains("too complex") || error.what().contains("Bottom"), "{error} {text}")
            }
        }
    }
    patterns
}

fn clashes(text: &str) -> bool {
    fn paths(value: &serde_json::Value, path: &str, found: &mut Vec<String>) -> bool {
        let Some(object) = value.as_object() else { return false };
        object.iter().any(|(name, value)| match value {
            serde_json::Value::Array(alternatives) if name == "$or" => {
                let before = found.clone();
                alternatives.iter().any(|one| {
                    let mut inside = before.clone();
                    let clash = paths(one, path, &mut inside);
                    found.extend(inside);
                    clash
                })
            }
            serde_json::Value::Array(_) => {
                let path = format!("{path}.{name}");
                let clash = found.contains(&path);
                found.push(path);
                clash
            }
            inner => paths(inner, &format!("{path}.{name}"), found),
        })
    }
    paths(&serde_json::from_str(text).unwrap(), "", &mut Vec::new())
}

fn round(seed: u64) -> usize {
    let mut random = Random::new(seed);
    let (count, events) = SIZES[seed as usize % SIZES.len()];
    let patterns = patterns(&mut random, count);
    let all = || patterns.iter().map(|(n, _, pattern)| (*n, Arc::clone(pattern)));
    let whole = RuleSet::build(all());
    // The same rules, by changes.
    let (some, others): (Vec<_>, Vec<_>) = all().partition(|_| random.chance(60));
    let wrong = some.iter().map(|(n, _)| (*n, Arc::clone(&patterns[(n + 1) % count].2)));
    let changed = RuleSet::build(wrong).changed(&[], others);
    let changed = changed.changed(&some.iter().map(|(n, _)| *n).collect::<Vec<_>>(), some);
    assert_eq!((whole.len(), changed.len(), changed.rules().count()), (count, count, count));
    let mut matched = 0;
    for _ in 0..events {
        let text = generate::event(&mut random);
        let event = Event::parse(text.as_bytes()).unwrap();
        let mut expected = Vec::new();
        for (n, pattern, parsed) in &patterns {
            let simple = parsed.matches(&event);
            assert_eq!(simple, twin::matches(pattern, &text), "SEED={seed} {pattern} {text}");
            assert_eq!(simple, parsed.explain(&event).matches, "SEED={seed} {pattern} {text}");
            expected.extend(simple.then_some(*n));
        }
        for (name, rules) in [("whole", &whole), ("changed", &changed)] {
            let (mut a, mut b) = (Vec::new(), Vec::new());
            rules.matching(&event, &mut a);
            rules.matching_bytes(text.as_bytes(), &mut b).unwrap();
            a.sort_unstable();
            b.sort_unstable();
            for (list, how) in [(a, "an event"), (b, "bytes")] {
                let wrong = (0..count).find(|n| list.contains(n) != expected.contains(n));
                let pattern = wrong.map(|n| &patterns[n].1);
                assert_eq!(list, expected, "SEED={seed} {name}, by {how}: {pattern:?} {text}");
            }
        }
        matched += expected.len();
    }
    matched
}
