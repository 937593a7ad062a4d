//! Replays the fuzz corpora, each file as it is and with random changes: nothing panics, and nothing that a stranger made is accepted.
//!
//! `SEED=<number>` reruns one round of changes.

// Helpers of tests may fail the test.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use millpond_auth::fuzz;

/// All files of a corpus with their names.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "{name}");
    paths.into_iter().map(|path| (path.display().to_string(), read(&path))).collect()
}

#[allow(clippy::disallowed_methods)] // A test's own data.
fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// Hands each file, and `rounds` changed copies of it, to `test` with what to print when it fails.
fn replay(name: &str, rounds: u64, test: impl Fn(&[u8], &str)) {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse::<u64>().unwrap()],
        Err(_) => (1..=rounds).collect(),
    };
    for (path, data) in corpus(name) {
        test(&data, &path);
        for seed in &seeds {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut below = |end: usize| {
                state ^= state >> 12;
                state ^= state << 25;
                state ^= state >> 27;
                (state >> 33) as usize % end.max(1)
            };
            let mut changed = data.clone();
            for _ in 0..1 + below(4) {
                let at = below(changed.len());
                match below(5) {
                    0 if !changed.is_empty() => changed[at] = below(256) as u8,
                    1 if !changed.is_empty() => drop(changed.remove(at)),
                    2 => changed.truncate(at),
                    3 => changed.extend_from_within(at..),
                    _ => changed.insert(at, b"%&=;,/:\r\n0"[below(10)]),
                }
            }
            test(&changed, &format!("{path} SEED={seed}"));
        }
    }
}

#[test]
fn authorization_headers() {
    replay("authorization", 500, |data, what| assert!(!fuzz::authorization(data), "{what}"));
}

#[test]
fn presigned_queries() {
    replay("presigned", 500, |data, what| assert!(!fuzz::presigned(data), "{what}"));
}

#[test]
fn chunked_bodies() {
    replay("chunked", 1000, |data, what| {
        let decoded = fuzz::chunked(data);
        if let Some(decoded) = decoded {
            // Accepted: only what was not signed can be, and it is as long as was declared.
            assert_eq!(data[0] & 1, 0, "{what}");
            assert_eq!(decoded.len(), usize::from(u16::from_le_bytes([data[1], data[2]])), "{what}");
        }
    });
    let accepted = corpus("chunked").iter().filter(|(_, data)| fuzz::chunked(data).is_some()).count();
    assert_eq!(accepted, 3, "the good bodies of the corpus");
}
