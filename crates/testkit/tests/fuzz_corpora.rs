//! Replays the fuzz corpora through the fuzz targets, each input as it is and with random changes: nothing panics or hangs, and
//! nothing that a stranger made is believed.
//!
//! `SEED=<number>` reruns one round of changes.

// Helpers of tests may fail the test.
#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

#[path = "../../../fuzz/targets.rs"]
mod targets;

/// Changed copies of each input.
const ROUNDS: u64 = 100;

#[allow(clippy::disallowed_methods)] // A test's own data.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new("../../fuzz/corpus").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "{name}");
    paths.into_iter().map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

/// Hands each input, and changed copies of it, to a target, and says which it was when that fails.
fn replay(name: &str, target: fn(&[u8])) {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse::<u64>().unwrap()],
        Err(_) => (1..=ROUNDS).collect(),
    };
    let run = |data: &[u8], what: &str| {
        let outcome = catch_unwind(AssertUnwindSafe(|| target(data)));
        assert!(outcome.is_ok(), "{what}: {}", data.escape_ascii());
    };
    for (path, data) in corpus(name) {
        run(&data, &path);
        for seed in &seeds {
            run(&changed(&data, *seed), &format!("{path} SEED={seed}"));
        }
    }
}

/// A copy with one to four changes. Xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators").
fn changed(data: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |end: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    };
    let mut changed = data.to_vec();
    for _ in 0..1 + below(4) {
        let at = below(changed.len());
        match below(5) {
            0 if !changed.is_empty() => changed[at] = below(256) as u8,
            1 if !changed.is_empty() => drop(changed.remove(at)),
            2 => changed.truncate(at),
            3 => changed.extend_from_within(at..),
            _ => changed.insert(at, b"%&=;,/:<>\"\r\n0"[below(13)]),
        }
    }
    changed
}

#[test]
fn authorization_headers() {
    replay("authorization", targets::authorization);
}

#[test]
fn presigned_queries() {
    replay("presigned", targets::presigned);
}

#[test]
fn chunked_bodies() {
    replay("chunked", targets::chunked);
    let accepted = corpus("chunked").iter().filter(|(_, data)| millpond_auth::fuzz::chunked(data).is_some()).count();
    assert!(accepted >= 3, "the good bodies of the corpus");
}

#[test]
fn documents() {
    replay("xml", targets::xml);
}

#[test]
fn list_parameters() {
    replay("list_parameters", targets::list_parameters);
}

#[test]
fn policy_documents() {
    replay("policy", targets::policy);
}

#[test]
fn event_patterns() {
    replay("event_pattern", targets::event_pattern);
}

#[test]
fn events() {
    replay("event", targets::event);
}

#[test]
fn arns() {
    replay("arn", targets::arn);
}

#[test]
fn session_tokens() {
    replay("session_token", targets::session_token);
}

#[test]
fn templates() {
    replay("template", targets::template);
}

#[test]
fn schedules() {
    replay("schedule", targets::schedule);
}

#[test]
fn log_filters() {
    replay("log_filter", targets::log_filter);
}

#[test]
fn expressions() {
    replay("expression", targets::expression);
}

#[test]
fn items() {
    replay("item", targets::item);
}

/// A replay that accepts everything would say nothing.
#[test]
#[should_panic(expected = "SEED=1")]
fn a_failure_names_its_seed() {
    replay("chunked", |data| assert!(corpus("chunked").iter().any(|(_, known)| known == data)));
}

#[test]
fn zip_archives() {
    replay("zip", targets::zip);
}

#[test]
fn statements_about_tables() {
    replay("table_statement", targets::table_statement);
}

#[test]
fn patterns_of_rows() {
    replay("row_pattern", targets::row_pattern);
}

#[test]
fn expressions_over_partitions() {
    replay("partition_expression", targets::partition_expression);
}

#[test]
fn files_of_links() {
    replay("links", targets::links);
}

#[test]
fn compressed_objects() {
    replay("compressed", targets::compressed);
}
