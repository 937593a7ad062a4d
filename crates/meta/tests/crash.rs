//! kill -9 while committing: all that was acknowledged is there after the restart, and nothing is there by half.
//! `MILLPOND_KILLS` sets how often (10).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::ops::Bound;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use millpond_io::{Random, SeededRandom};
use millpond_meta::key::{KeyBuilder, KeyReader, prefix_range};
use millpond_meta::{Batch, Class, Cond, FjallConfig, FjallKv, Kv, Op, Scan, View};

const WRITERS: u64 = 8;
const ROWS: u8 = 1;
const BODIES: u8 = 2;
const EVENTS: u8 = 3;
const COUNTERS: u8 = 4;
const DIR: &str = "MILLPOND_CRASH_DIR";

fn classify(table: u8) -> Class {
    match table {
        BODIES => Class::Large,
        EVENTS => Class::Log,
        _ => Class::Rows,
    }
}

fn open(dir: &Path) -> FjallKv {
    FjallKv::open(dir, FjallConfig::new(classify)).unwrap()
}

fn row_key(table: u8, writer: u64, n: u64) -> Bytes {
    KeyBuilder::new(table).u64(writer).u64(n).build()
}

/// What a writer's `n`-th batch holds.
fn body(writer: u64, n: u64) -> Bytes {
    let mut bytes = vec![0; 100 + (n % 4000) as usize];
    SeededRandom::new(writer << 32 | n).fill(&mut bytes);
    bytes.into()
}

async fn table(kv: &FjallKv, table: u8) -> Vec<(Bytes, Bytes)> {
    let (from, to) = prefix_range(KeyBuilder::new(table).build());
    let scan = Scan { from: Bound::Included(from), to: Bound::Excluded(to), reverse: false, limit: usize::MAX };
    kv.scan(scan).await.unwrap()
}

async fn counts(kv: &FjallKv) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    for (key, _) in table(kv, ROWS).await {
        let mut reader = KeyReader::new(&key[1..]);
        let (writer, n) = (reader.u64().unwrap(), reader.u64().unwrap());
        let count = counts.entry(writer).or_insert(0);
        assert_eq!(n, *count, "writer {writer}: a commit is missing before a later one");
        *count += 1;
    }
    counts
}

/// Not a test of its own: the process that is killed.
#[test]
fn crash_child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let kv = open(Path::new(&dir));
        let counts = counts(&kv).await;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (kv, from) = (kv.clone(), counts.get(&writer).copied().unwrap_or(0));
                tokio::spawn(async move {
                    for n in from.. {
                        let body = body(writer, n);
                        let batch = Batch {
                            conds: vec![Cond::Absent(row_key(ROWS, writer, n))],
                            ops: vec![
                                Op::Put(row_key(ROWS, writer, n), body.slice(..50)),
                                Op::Put(row_key(BODIES, writer, n), body.clone()),
                                Op::Append { stream: KeyBuilder::new(EVENTS).build(), value: body.slice(..50) },
                                Op::Add(KeyBuilder::new(COUNTERS).build(), 1),
                            ],
                            idem: Some(u128::from(writer) << 64 | u128::from(n)),
                            ..Batch::default()
                        };
                        let commit = kv.commit(batch).await.unwrap().commit;
                        // One write call a line, so that no line is cut by the kill.
                        std::io::stdout()
                            .write_all(format!("\nacknowledged {writer} {n} {commit}\n").as_bytes())
                            .unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

/// Runs a child for a while, kills it, and gives what it had acknowledged: writer, n, commit.
fn run_and_kill(dir: &Path, after: Duration) -> Vec<(u64, u64, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash_child", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (begun, wait) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut acknowledged = Vec::new();
        for line in lines.map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            if let ["acknowledged", writer, n, commit] = words[..] {
                acknowledged.push((writer.parse().unwrap(), n.parse().unwrap(), commit.parse().unwrap()));
                let _ = begun.send(());
            }
        }
        acknowledged
    });
    wait.recv_timeout(Duration::from_secs(60)).unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_commits_survive_kills() {
    let kills: u64 = std::env::var("MILLPOND_KILLS").map_or(10, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let random = SeededRandom::new(kills);
    let (mut latest, mut total) = (0, 0);
    for kill in 0..kills {
        let acknowledged = run_and_kill(dir.path(), Duration::from_millis(random.u64() % 1500));
        let kv = open(dir.path());
        let counts = counts(&kv).await;
        for (writer, n, commit) in &acknowledged {
            assert!(
                n < counts.get(writer).unwrap_or(&0),
                "kill {kill}: commit {commit} of {writer}, number {n}, is lost"
            );
            let outcome = kv.outcome(u128::from(*writer) << 64 | u128::from(*n)).await.unwrap();
            // The oldest names may be forgotten already.
            assert!(outcome.is_none_or(|outcome| outcome.commit == *commit), "kill {kill}: {outcome:?}");
            latest = latest.max(*commit);
        }
        assert!(*kv.watch().borrow() >= latest, "kill {kill}: commit numbers went back");
        total = counts.values().sum::<u64>();
        let rows = table(&kv, ROWS).await;
        let bodies = table(&kv, BODIES).await;
        assert_eq!(
            (rows.len() as u64, bodies.len() as u64, table(&kv, EVENTS).await.len() as u64),
            (total, total, total)
        );
        for ((row, value), (key, found)) in rows.iter().zip(&bodies) {
            let mut reader = KeyReader::new(&row[1..]);
            let expected = body(reader.u64().unwrap(), reader.u64().unwrap());
            assert!(
                row[1..] == key[1..] && *found == expected && *value == expected[..50],
                "kill {kill}: a torn commit"
            );
        }
        let counter = kv.get(&KeyBuilder::new(COUNTERS).build()).await.unwrap().unwrap();
        assert_eq!(counter, total.to_le_bytes()[..]);
        assert_eq!(kv.verify().damages, 0);
    }
    println!("{total} commits over {kills} kills");
    assert!(total > kills);
}
