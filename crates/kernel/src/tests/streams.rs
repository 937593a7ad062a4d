use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt;
use millpond_io::ManualClock;
use millpond_meta::{Batch, FailingKv, Fault, MemoryKv};

use super::*;

const SOURCE: u8 = 0xA0;
const SINK: u8 = 0xA1;

/// Copies entries into another stream, `times` times each; fails as told.
struct Copier {
    times: u32,
    at_once: u32,
    fail: AtomicU32,
    seen: Mutex<Vec<(Key, Position)>>,
}

impl Copier {
    fn new(times: u32, at_once: u32) -> Arc<Self> {
        Arc::new(Self { times, at_once, fail: AtomicU32::new(0), seen: Mutex::default() })
    }
}

fn sink() -> Key {
    Bytes::from_static(&[SINK])
}

impl Consumer for Copier {
    fn name(&self) -> &'static str {
        "copier"
    }

    fn table(&self) -> u8 {
        SOURCE
    }

    fn step<'a>(
        &'a self,
        stream: &'a Key,
        entries: &'a [Entry],
        within: u32,
    ) -> BoxFuture<'a, Result<Step, StepError>> {
        async move {
            if self.fail.load(Ordering::SeqCst) > 0 {
                self.fail.fetch_sub(1, Ordering::SeqCst);
                return Err(StepError::Failed("told to fail".to_owned()));
            }
            let mut step = Step { within, ..Step::default() };
            let mut left = self.at_once;
            for entry in entries {
                self.seen.lock().unwrap().push((stream.clone(), entry.position));
                while step.within < self.times && left > 0 {
                    let value = [&entry.value[..], &step.within.to_be_bytes()].concat().into();
                    step.ops.push(Op::Append { stream: sink(), value });
                    (step.within, left) = (step.within + 1, left - 1);
                }
                if step.within < self.times {
                    break;
                }
                (step.done, step.within) = (step.done + 1, 0);
            }
            Ok(step)
        }
        .boxed()
    }

    fn time_of(&self, value: &Bytes) -> Option<Timestamp> {
        value.first().map(|seconds| Timestamp::from_seconds(u64::from(*seconds)))
    }

    fn keep(&self) -> Option<Duration> {
        Some(Duration::from_secs(10))
    }
}

fn stream(n: u8) -> Key {
    Bytes::copy_from_slice(&[SOURCE, n])
}

async fn append(kv: &dyn Kv, n: u8, value: u8) {
    let op = Op::Append { stream: stream(n), value: Bytes::copy_from_slice(&[value]) };
    kv.commit(Batch { ops: vec![op], ..Batch::default() }).await.unwrap();
}

/// What arrived: the entry's byte and which of its copies.
async fn arrived(kv: &dyn Kv) -> Vec<(u8, u32)> {
    let scan = Scan {
        from: Bound::Included(sink()),
        to: Bound::Excluded(millpond_meta::key::prefix_end(&sink())),
        reverse: false,
        limit: 10_000,
    };
    let rows = kv.scan(scan).await.unwrap();
    rows.iter().map(|(_, value)| (value[0], u32::from_be_bytes(value[1..5].try_into().unwrap()))).collect()
}

async fn begin(consumers: &Consumers, kv: &dyn Kv, n: u8) {
    let ops = vec![consumers.begin("copier", &stream(n))];
    kv.commit(Batch { ops, ..Batch::default() }).await.unwrap();
    consumers.follow("copier", &stream(n));
}

fn clock(seconds: u64) -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_seconds(seconds)))
}

#[tokio::test]
async fn every_effect_happens_once_and_in_order() {
    for (times, at_once) in [(1, 100), (1, 1), (3, 2), (5, 1), (2, 7)] {
        let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
        let consumers = Consumers::new(kv.clone(), clock(100));
        consumers.add(Copier::new(times, at_once)).await.unwrap();
        append(&*kv, 1, 0).await;
        begin(&consumers, &*kv, 1).await;
        for value in 1..=4 {
            append(&*kv, 1, value).await;
            // Nobody reads this one.
            append(&*kv, 2, 99).await;
        }
        consumers.run_pending().await.unwrap();
        let expected: Vec<_> = (1..=4).flat_map(|value| (0..times).map(move |copy| (value, copy))).collect();
        assert_eq!(arrived(&*kv).await, expected, "{times} copies, {at_once} at once");
        consumers.run_pending().await.unwrap();
        assert_eq!(arrived(&*kv).await.len(), expected.len(), "nothing is done twice");
    }
}

/// The store fails at any commit, before or after it was carried out; another server goes on.
#[tokio::test]
async fn a_crash_at_any_commit_loses_nothing_and_repeats_nothing() {
    for fault in [Fault::Stopped, Fault::StoppedAfter, Fault::Full, Fault::Conflict(0)] {
        for at in 1..=8 {
            let memory = MemoryKv::new();
            let failing = Arc::new(FailingKv::new(memory.clone()));
            let consumers = Consumers::new(failing.clone(), clock(100));
            consumers.add(Copier::new(2, 3)).await.unwrap();
            begin(&consumers, &*failing, 1).await;
            for value in 1..=5 {
                append(&memory, 1, value).await;
            }
            failing.fail_commit(at, fault.clone());
            // It may or may not get that far.
            let _ = consumers.run_pending().await;
            let next = Consumers::new(Arc::new(memory.clone()), clock(100));
            next.add(Copier::new(2, 3)).await.unwrap();
            next.run_pending().await.unwrap();
            let expected: Vec<_> = (1..=5).flat_map(|value| [(value, 0), (value, 1)]).collect();
            assert_eq!(arrived(&memory).await, expected, "{fault:?} at commit {at}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_runs_by_itself_goes_on_after_failures_and_stops() {
    let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
    let consumers = Consumers::new(kv.clone(), clock(100));
    let copier = Copier::new(1, 100);
    copier.fail.store(4, Ordering::SeqCst);
    consumers.add(copier.clone()).await.unwrap();
    begin(&consumers, &*kv, 1).await;
    append(&*kv, 1, 1).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn({
        let consumers = consumers.clone();
        async move { consumers.run(stopped.map(drop)).await }
    });
    while arrived(&*kv).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(copier.fail.load(Ordering::SeqCst), 0);
    for value in 2..=50 {
        append(&*kv, 1, value).await;
        tokio::task::yield_now().await;
    }
    while arrived(&*kv).await.len() < 50 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(arrived(&*kv).await, (1..=50).map(|value| (value, 0)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_that_is_no_longer_read_is_left_alone() {
    let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
    let consumers = Consumers::new(kv.clone(), clock(100));
    consumers.add(Copier::new(1, 100)).await.unwrap();
    begin(&consumers, &*kv, 1).await;
    append(&*kv, 1, 1).await;
    consumers.run_pending().await.unwrap();
    assert!(consumers.reads("copier", &stream(1)) && consumers.floor(&stream(1)).is_some());
    kv.commit(Batch { ops: vec![consumers.end("copier", &stream(1))], ..Batch::default() }).await.unwrap();
    append(&*kv, 1, 2).await;
    // Memory does not know yet: the row counts.
    consumers.run_pending().await.unwrap();
    consumers.forget("copier", &stream(1));
    assert_eq!((arrived(&*kv).await.len(), consumers.floor(&stream(1))), (1, None));
    // Read again, from then on.
    begin(&consumers, &*kv, 1).await;
    append(&*kv, 1, 3).await;
    consumers.run_pending().await.unwrap();
    assert_eq!(arrived(&*kv).await, [(1, 0), (3, 0)]);
}

#[tokio::test]
async fn what_is_done_is_trimmed_when_it_is_old_and_what_waits_never() {
    let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
    let clock = clock(25);
    let consumers = Consumers::new(kv.clone(), clock.clone());
    consumers.add(Copier::new(1, 100)).await.unwrap();
    begin(&consumers, &*kv, 1).await;
    for value in [10, 12, 20] {
        append(&*kv, 1, value).await;
    }
    consumers.run_pending().await.unwrap();
    append(&*kv, 1, 11).await;
    let all = Position::default();
    let left = async || consumers.entries(&stream(1), all, 100).await.unwrap().len();
    let lag = consumers.lags().await.unwrap();
    let expected = Lag { consumer: "copier", streams: 1, entries: 1, age: Duration::from_secs(14) };
    assert_eq!(lag, [expected]);
    // Ten seconds are kept.
    assert_eq!((consumers.trim().await.unwrap(), left().await), (2, 2));
    clock.advance(Duration::from_secs(100));
    assert_eq!((consumers.trim().await.unwrap(), left().await), (1, 1), "what waits stays");
    consumers.run_pending().await.unwrap();
    assert_eq!((consumers.trim().await.unwrap(), left().await), (1, 0));
    assert_eq!(arrived(&*kv).await.len(), 4);
}

/// A stream keeps what it is to keep, whatever else is committed, and no more entries than it may.
#[tokio::test]
async fn a_busy_stream_is_trimmed_by_its_own_length() {
    let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
    let clock = clock(25);
    let (mut consumers, begun) = (Consumers::new(kv.clone(), clock.clone()), 1000);
    consumers.add(Copier::new(1, 100)).await.unwrap();
    for lane in [1, 2] {
        begin(&consumers, &*kv, lane).await;
    }
    append(&*kv, 2, 20).await;
    let left = async |consumers: &Consumers, lane| {
        consumers.entries(&stream(lane), Position::default(), 10_000).await.unwrap().len()
    };
    for round in 0..3 {
        for _ in 0..begun {
            append(&*kv, 1, 20).await;
        }
        consumers.run_pending().await.unwrap();
        let (trimmed, rest) = if round == 0 { (0, 1000) } else { (1000 - 500 * (2 - round), 1500) };
        assert_eq!(consumers.trim_to(1500).await.unwrap(), trimmed, "{round}");
        assert_eq!((left(&consumers, 1).await, left(&consumers, 2).await), (rest, 1), "{round}");
        // Also after a restart.
        consumers = Consumers::new(kv.clone(), clock.clone());
        consumers.add(Copier::new(1, 100)).await.unwrap();
    }
    assert_eq!(consumers.trim_to(1).await.unwrap(), 1499);
    assert_eq!((left(&consumers, 1).await, left(&consumers, 2).await), (1, 1));
}

#[test]
fn cursors_come_back_as_they_were() {
    let cursor = Cursor { position: Position { commit: 7 << 40, index: 9 }, within: 1 << 30 };
    assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
    for bad in [&b""[..], b"123456789", b"1234567890123456"] {
        assert!(Cursor::decode(bad).is_err());
    }
}

#[test]
fn an_arrival_that_depends_on_what_the_step_changes_ends_it() {
    let key = |text: &'static str| Bytes::from_static(text.as_bytes());
    let (absent, present) = (Cond::Absent(key("a")), Cond::Present(key("queue")));
    let append = || Op::Append { stream: key("s"), value: Bytes::new() };
    let arrival = || crate::Arrival {
        conds: vec![present.clone(), absent.clone()],
        ops: vec![Op::Put(key("a"), Bytes::new()), append()],
    };
    let mut step = Step::default();
    assert!(step.arrive(arrival()));
    let before = step.clone();
    assert!(!step.arrive(arrival()), "the same deduplication id once more");
    assert_eq!((&step.ops, &step.conds), (&before.ops, &before.conds));
    let other = crate::Arrival { conds: vec![present.clone(), Cond::Absent(key("b"))], ops: vec![append()] };
    assert!(step.arrive(other.clone()) && step.arrive(other), "conditions may repeat that nothing changes");
    assert_eq!(step.conds.len(), 3);
    for (op, clashes) in [
        (Op::Delete(key("k")), true),
        (Op::Add(key("k"), 1), true),
        (Op::DeleteRange(key("j"), key("l")), true),
        (Op::DeleteRange(key("j"), key("k")), false),
        (Op::Put(key("kk"), Bytes::new()), false),
        (Op::Append { stream: key("k"), value: Bytes::new() }, false),
    ] {
        // Also what a consumer added by itself.
        let mut step = Step { ops: vec![op.clone()], ..Step::default() };
        let arrival = crate::Arrival { conds: vec![Cond::Equals(key("k"), Bytes::new())], ops: Vec::new() };
        assert_eq!(step.arrive(arrival), !clashes, "{op:?}");
    }
}
