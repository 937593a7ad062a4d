use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt;
use millpond_io::ManualClock;
use millpond_meta::{FailingKv, Fault, MemoryKv};

use super::*;

/// Counts what fired in a row of the store; fails as told.
struct Bell {
    fail: AtomicU32,
}

const RUNG: &[u8] = &[0xA2];

impl Alarm for Bell {
    fn owner(&self) -> &'static str {
        "bell"
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>> {
        async move {
            if self.fail.load(Ordering::SeqCst) > 0 {
                self.fail.fetch_sub(1, Ordering::SeqCst);
                return Err(StepError::Failed("told to fail".to_owned()));
            }
            let value = [&timer.id[..], b"=", &timer.value[..]].concat().into();
            Ok(Arrival { conds: Vec::new(), ops: vec![Op::Append { stream: Bytes::from_static(RUNG), value }] })
        }
        .boxed()
    }
}

async fn rung(kv: &dyn Kv) -> Vec<String> {
    let to = millpond_meta::key::prefix_end(RUNG);
    let from = Bound::Included(Bytes::from_static(RUNG));
    let rows = kv.scan(Scan { from, to: Bound::Excluded(to), reverse: false, limit: 1000 }).await.unwrap();
    rows.into_iter().map(|(_, value)| String::from_utf8(value.to_vec()).unwrap()).collect()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

async fn set(timers: &Timers, kv: &dyn Kv, seconds: u64, id: &str, value: &'static str) {
    let op = Timers::set(timers.due(at(seconds)), "bell", id.as_bytes(), Bytes::from_static(value.as_bytes()));
    kv.commit(Batch { ops: vec![op], ..Batch::default() }).await.unwrap();
}

fn timers(kv: Arc<dyn Kv>, seconds: u64) -> (Timers, Arc<ManualClock>, Arc<Bell>) {
    let clock = Arc::new(ManualClock::new(at(seconds)));
    let timers = Timers::new(kv, clock.clone());
    let bell = Arc::new(Bell { fail: AtomicU32::new(0) });
    timers.add(bell.clone());
    (timers, clock, bell)
}

#[tokio::test]
async fn each_timer_fires_once_when_it_is_due() {
    let kv = Arc::new(MemoryKv::new());
    let (timers, clock, _) = timers(kv.clone(), 100);
    for (seconds, id) in [(105, "b"), (101, "a"), (50, "past"), (300, "late"), (200, "removed")] {
        set(&timers, &*kv, seconds, id, "v").await;
    }
    let gone = Batch { ops: vec![Timers::clear(at(200), "bell", b"removed")], ..Batch::default() };
    kv.commit(gone).await.unwrap();
    for (now, expected) in [
        (100, &["past=v"][..]),
        (104, &["past=v", "a=v"]),
        (104, &["past=v", "a=v"]),
        (250, &["past=v", "a=v", "b=v"]),
        (1_000_000, &["past=v", "a=v", "b=v", "late=v"]),
    ] {
        clock.set(at(now));
        timers.run_due().await;
        assert_eq!(rung(&*kv).await, expected, "at {now}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_or_a_failure_at_any_commit_fires_it_once_all_the_same() {
    for fault in [Fault::Stopped, Fault::StoppedAfter, Fault::Full, Fault::Conflict(0)] {
        let memory = MemoryKv::new();
        let failing = Arc::new(FailingKv::new(memory.clone()));
        let (first, _, _) = timers(failing.clone(), 100);
        set(&first, &memory, 100, "a", "v").await;
        failing.fail_commit(1, fault.clone());
        let _ = tokio::time::timeout(Duration::from_secs(3), first.run_due()).await;
        let (next, _, bell) = timers(Arc::new(memory.clone()), 100);
        bell.fail.store(2, Ordering::SeqCst);
        next.run_due().await;
        assert_eq!(rung(&memory).await, ["a=v"], "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_of_nobody_waits_and_holds_nobody_up() {
    let kv = Arc::new(MemoryKv::new());
    let (timers, clock, _) = timers(kv.clone(), 100);
    let op = Timers::set(at(100), "nobody", b"x", Bytes::new());
    kv.commit(Batch { ops: vec![op], ..Batch::default() }).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn({
        let timers = timers.clone();
        async move { timers.run(stopped.map(drop)).await }
    });
    for round in 1..=3 {
        set(&timers, &*kv, 100 + round * 100, &round.to_string(), "v").await;
        clock.set(at(100 + round * 100));
        timers.nudge();
        while rung(&*kv).await.len() < round as usize {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(rung(&*kv).await, ["1=v", "2=v", "3=v"]);
}

/// Counts down in the timer's value, which it sets anew for the very same time.
struct Countdown;

impl Alarm for Countdown {
    fn owner(&self) -> &'static str {
        "countdown"
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>> {
        async move {
            let mut ops = vec![Op::Append { stream: Bytes::from_static(RUNG), value: timer.value.clone() }];
            if let Some(rest) = timer.value.get(1..).filter(|rest| !rest.is_empty()) {
                ops.push(Timers::set(timer.due, "countdown", &timer.id, Bytes::copy_from_slice(rest)));
            }
            Ok(Arrival { conds: Vec::new(), ops })
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_timer_may_be_set_anew_for_its_own_time() {
    let kv = Arc::new(MemoryKv::new());
    let (timers, _, _) = timers(kv.clone(), 100);
    timers.add(Arc::new(Countdown));
    let op = Timers::set(at(100), "countdown", b"x", Bytes::from_static(b"321"));
    kv.commit(Batch { ops: vec![op], ..Batch::default() }).await.unwrap();
    for _ in 0..4 {
        timers.run_due().await;
    }
    assert_eq!(rung(&*kv).await, ["321", "21", "1"]);
}

/// Does not come to an end, or fails, for timers whose value is `stuck` or `fails`; counts how often it was asked.
struct Kind {
    owner: &'static str,
    asked: AtomicU32,
    fired: AtomicU32,
}

impl Alarm for Kind {
    fn owner(&self) -> &'static str {
        self.owner
    }

    fn side_by_side(&self) -> usize {
        8
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>> {
        async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            match &timer.value[..] {
                b"stuck" => tokio::time::sleep(Duration::from_secs(1_000_000)).await,
                b"fails" => return Err(StepError::Failed("told to fail".to_owned())),
                b"panics" => panic!("told to"),
                _ => {}
            }
            self.fired.fetch_add(1, Ordering::SeqCst);
            Ok(Arrival::default())
        }
        .boxed()
    }
}

struct Kinds {
    kv: Arc<MemoryKv>,
    timers: Timers,
    all: Vec<Arc<Kind>>,
}

impl Kinds {
    fn new(owners: &[&'static str]) -> Self {
        let kv = Arc::new(MemoryKv::new());
        let timers = Timers::new(kv.clone(), Arc::new(ManualClock::new(at(100))));
        let kind = |owner: &&'static str| Arc::new(Kind { owner, asked: AtomicU32::new(0), fired: AtomicU32::new(0) });
        let all: Vec<_> = owners.iter().map(kind).collect();
        all.iter().for_each(|kind| timers.add(kind.clone()));
        Self { kv, timers, all }
    }

    async fn set(&self, owner: &'static str, count: u32, due: u64, value: &'static str) {
        let op = |n: u32| Timers::set(at(due), owner, &[value.as_bytes(), &n.to_be_bytes()].concat(), value.into());
        let ops: Vec<_> = (0..count).map(op).collect();
        for ops in ops.chunks(1000) {
            self.kv.commit(Batch { ops: ops.to_vec(), ..Batch::default() }).await.unwrap();
        }
    }

    /// Runs for so many seconds; who does not end is left.
    async fn run(&self, seconds: u64) {
        let timers = self.timers.clone();
        let running = tokio::spawn(async move { timers.run(std::future::pending()).await });
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        running.abort();
    }

    fn counts(&self) -> Vec<(u32, u32)> {
        let of = |count: &AtomicU32| count.load(Ordering::SeqCst);
        self.all.iter().map(|kind| (of(&kind.asked), of(&kind.fired))).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_one_kind_neither_delays_another_nor_is_read() {
    let kinds = Kinds::new(&["stuck", "fine"]);
    kinds.set("stuck", 10_000, 50, "stuck").await;
    kinds.set("fine", 100, 99, "fine").await;
    let before = kinds.kv.state().commits;
    kinds.run(300).await;
    assert_eq!(kinds.counts(), [(8, 0), (100, 100)]);
    assert_eq!(kinds.kv.state().commits - before, 100, "one for each that fired");
    // Nobody reads the range of a kind that has no room.
    let owner = kinds.timers.owners().into_iter().find(|owner| owner.alarm.owner() == "stuck").unwrap();
    let mut begin = Timestamp(u64::MAX);
    assert_eq!(kinds.timers.look(&owner, &mut begin).await.unwrap(), Looked::Crowded);
    assert_eq!(begin, Timestamp(u64::MAX));
}

#[tokio::test(start_paused = true)]
async fn those_that_fail_give_way_to_others_of_their_kind() {
    for bad in ["fails", "panics"] {
        let kinds = Kinds::new(&["kind"]);
        kinds.set("kind", 100, 50, bad).await;
        kinds.set("kind", 1000, 99, "fine").await;
        kinds.run(60).await;
        let (asked, fired) = kinds.counts()[0];
        assert_eq!(fired, 1000, "{bad}");
        // Again and again, but less and less often: 100 ms doubled to 10 s.
        assert!((500..1500).contains(&(asked - fired)), "{bad}: {asked}");
    }
}

#[tokio::test]
async fn timers_of_an_older_version_are_moved() {
    let kv = Arc::new(MemoryKv::new());
    let (timers, clock, _) = timers(kv.clone(), 100);
    let old = |due: u64, id: u32| {
        KeyBuilder::new(tables::OLD_TIMERS).u64(at(due).0).bytes(b"bell").raw(format!("{id:03}").as_bytes()).build()
    };
    for id in 0..300 {
        let op = Op::Put(old(if id < 150 { 90 } else { 200 }, id), Bytes::from_static(b"v"));
        kv.commit(Batch { ops: vec![op], ..Batch::default() }).await.unwrap();
    }
    timers.move_older().await.unwrap();
    timers.move_older().await.unwrap();
    for (now, expected) in [(100, 150), (201, 300)] {
        clock.set(at(now));
        timers.run_due().await;
        let mut all = rung(&*kv).await;
        all.sort();
        assert_eq!(all.len(), expected);
        assert_eq!(all.last().unwrap(), &format!("{:03}=v", expected - 1));
    }
}
