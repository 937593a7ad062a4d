use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use millpond_io::ManualClock;
use millpond_meta::{FailingKv, Fault, MemoryKv};

use super::*;

/// A world outside that answers as told: by the item's `what`, how many attempts fail first.
#[derive(Default)]
struct World {
    /// (what, how manieth attempt), in the order in which they began.
    attempts: Mutex<Vec<(String, u32)>>,
    fails: Mutex<HashMap<String, u32>>,
    slow: Mutex<HashMap<String, Duration>>,
    panics: Mutex<HashSet<String>>,
    /// Times that the dead-letter queue fails for now.
    busy: std::sync::atomic::AtomicU32,
}

const DEAD: &[u8] = &[0xA3];

impl Carrier for World {
    fn owner(&self) -> &'static str {
        "world"
    }

    fn attempt<'a>(&'a self, item: &'a Item) -> BoxFuture<'a, Attempt> {
        async move {
            let what = String::from_utf8_lossy(&item.what[..item.what.len().min(20)]).into_owned();
            self.attempts.lock().unwrap().push((what.clone(), item.tried + 1));
            if self.panics.lock().unwrap().remove(&what) {
                panic!("told to");
            }
            let slow = self.slow.lock().unwrap().get(&what).copied();
            if let Some(slow) = slow {
                tokio::time::sleep(slow).await;
            }
            if what.starts_with("count") {
                // Each attempt leaves one more.
                let left = Bytes::from([&item.left[..], b"x"].concat());
                let text = "counted".to_owned();
                let fails = self.fails.lock().unwrap().get(&what).copied().unwrap_or_default();
                return if item.tried < fails {
                    Attempt::Retry(Answer { text, left })
                } else {
                    Attempt::Done(Answer { text, left })
                };
            }
            match self.fails.lock().unwrap().get(&what) {
                Some(0) => Attempt::Fail("never".into()),
                Some(times) if item.tried < *times => Attempt::Retry("not now".into()),
                _ => Attempt::Done("200".into()),
            }
        }
        .boxed()
    }

    fn shortened(&self, item: &Item) -> Bytes {
        item.left.slice(..1)
    }

    fn next_try(&self, _item: &Item, tried: u32, _since: Duration) -> Option<Duration> {
        (tried < 3).then_some(Duration::from_secs(60))
    }

    fn arrived<'a>(&'a self, item: &'a Item) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        async move {
            if item.left.is_empty() {
                return Ok(Arrival::default());
            }
            if self.busy.load(Ordering::SeqCst) > 0 {
                self.busy.fetch_sub(1, Ordering::SeqCst);
                return Err(Rejection::Failed("not now".to_owned()));
            }
            let value = [&item.what[..], b": ", &item.left[..]].concat().into();
            Ok(Arrival { conds: Vec::new(), ops: vec![Op::Append { stream: Bytes::from_static(DEAD), value }] })
        }
        .boxed()
    }

    fn gave_up<'a>(&'a self, item: &'a Item, reason: &'a str) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        async move {
            if self.busy.load(Ordering::SeqCst) > 0 {
                self.busy.fetch_sub(1, Ordering::SeqCst);
                return Err(Rejection::Failed("not now".to_owned()));
            }
            if item.lane == "no-queue" {
                return Ok(Arrival::default());
            }
            let value = [&item.what[..], b": ", reason.as_bytes()].concat().into();
            Ok(Arrival { conds: Vec::new(), ops: vec![Op::Append { stream: Bytes::from_static(DEAD), value }] })
        }
        .boxed()
    }

    fn target(&self, item: &Item) -> String {
        String::from_utf8_lossy(&item.lane).into_owned()
    }
}

impl World {
    fn began(&self) -> Vec<(String, u32)> {
        self.attempts.lock().unwrap().clone()
    }
}

struct Lab {
    kv: Arc<dyn Kv>,
    clock: Arc<ManualClock>,
    timers: Timers,
    outbox: Outbox,
    world: Arc<World>,
    id: u128,
}

impl Lab {
    fn over(kv: Arc<dyn Kv>) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1000)));
        let timers = Timers::new(kv.clone(), clock.clone());
        let outbox = Outbox::new(kv.clone(), clock.clone(), timers.clone());
        let world = Arc::new(World::default());
        outbox.add(world.clone());
        Self { kv, clock, timers, outbox, world, id: 0 }
    }

    async fn put(&mut self, lane: &'static str, key: &'static str, what: impl Into<Bytes>) {
        self.id += 1;
        let item = Outgoing {
            id: self.id,
            owner: "world",
            lane: Bytes::from_static(lane.as_bytes()),
            key: Bytes::from_static(key.as_bytes()),
            what: what.into(),
            time: self.clock.now(),
            event: format!("event-{}", self.id),
        };
        self.kv.commit(Batch { ops: Outbox::put(&item), ..Batch::default() }).await.unwrap();
    }

    /// Runs until `done`.
    async fn run(&self, mut done: impl AsyncFnMut() -> bool) {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn({
            let outbox = self.outbox.clone();
            async move { outbox.run(stopped.map(drop)).await }
        });
        while !done().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.send(()).unwrap();
        running.await.unwrap();
    }

    /// Runs until what is due was sent.
    async fn run_due(&self) {
        self.timers.run_due().await;
        self.run(async || self.is_empty().await).await;
    }

    async fn rows(&self, table: u8) -> Vec<(Key, Bytes)> {
        let (from, to) = millpond_meta::key::prefix_range(Bytes::copy_from_slice(&[table]));
        let scan = Scan { from: Bound::Included(from), to: Bound::Excluded(to), reverse: false, limit: 1000 };
        self.kv.scan(scan).await.unwrap()
    }

    async fn is_empty(&self) -> bool {
        self.rows(tables::OUTBOX).await.is_empty()
    }

    async fn dead(&self) -> Vec<String> {
        let rows = self.rows(DEAD[0]).await;
        rows.into_iter().map(|(_, value)| String::from_utf8(value.to_vec()).unwrap()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn first_attempts_are_ordered_by_key_and_nobody_holds_up_another() {
    let mut lab = Lab::over(Arc::new(MemoryKv::new()));
    lab.world.slow.lock().unwrap().insert("a1".into(), Duration::from_secs(30));
    lab.world.slow.lock().unwrap().insert("x1".into(), Duration::from_secs(30));
    for (lane, key, what) in
        [("one", "a", "a1"), ("one", "a", "a2"), ("one", "b", "b1"), ("two", "a", "c1"), ("three", "x", "x1")]
    {
        lab.put(lane, key, what).await;
    }
    lab.run(async || lab.is_empty().await).await;
    let began: Vec<_> = lab.world.began().into_iter().map(|(what, _)| what).collect();
    let place = |what: &str| began.iter().position(|other| other == what).unwrap();
    assert_eq!(began.len(), 5);
    assert!(place("a1") < place("a2") && place("b1") < place("a2") && place("c1") < place("a2"), "{began:?}");
    assert_eq!(lab.outbox.sent(), Sent { done: 5, ..Sent::default() });
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_and_given_up_to_the_dead_letter_queue() {
    let mut lab = Lab::over(Arc::new(MemoryKv::new()));
    for (what, times) in [("once", 1), ("always", 99), ("never", 0), ("lost", 0)] {
        lab.world.fails.lock().unwrap().insert(what.into(), times);
    }
    let large: Bytes = vec![b'L'; 150 * 1024].into();
    for (lane, what) in [("l", "once"), ("l", "always"), ("l", "never"), ("no-queue", "lost"), ("l", "fine")] {
        lab.put(lane, "k", what).await;
    }
    lab.put("l", "k", large).await;
    lab.run(async || lab.is_empty().await).await;
    assert_eq!(lab.dead().await, ["never: never"]);
    assert!(lab.rows(tables::CHUNKS).await.is_empty(), "sent, so it is gone");
    for _ in 0..5 {
        lab.clock.advance(Duration::from_secs(61));
        lab.run_due().await;
    }
    assert_eq!(lab.dead().await, ["never: never", "always: not now"]);
    let tried = |what: &str| {
        lab.world.began().into_iter().filter(|(other, _)| other == what).map(|(_, n)| n).collect::<Vec<_>>()
    };
    assert_eq!((tried("once"), tried("always"), tried("never")), (vec![1, 2], vec![1, 2, 3], vec![1]));
    assert_eq!(lab.outbox.sent(), Sent { done: 3, failed: 6, dead_lettered: 2, dropped: 1 });
    // What was tried is told.
    let kept = trace::kept(&*lab.kv, "event-2").await.unwrap();
    let told: Vec<_> = kept.iter().map(|kept| (kept.tried, kept.answer.as_str(), kept.outcome)).collect();
    let again = trace::Outcome::Again { millis: 60_000 };
    assert_eq!(told, [(1, "not now", again), (2, "not now", again), (3, "not now", trace::Outcome::DeadLettered)]);
    // And forgotten a day later.
    lab.timers.add(Arc::new(trace::Forget));
    lab.clock.advance(trace::TRACE_AGE + Duration::from_secs(1));
    lab.timers.run_due().await;
    assert!(lab.rows(tables::TRACE).await.is_empty() && lab.rows(tables::TIMERS).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_leaves_is_sent_by_the_next_server() {
    let kv = Arc::new(MemoryKv::new());
    let mut lab = Lab::over(kv.clone());
    lab.world.slow.lock().unwrap().insert("slow".into(), Duration::from_secs(3600));
    lab.world.fails.lock().unwrap().insert("again".into(), 1);
    for what in ["again", "slow", "behind"] {
        lab.put("l", "k", what).await;
    }
    let began = tokio::time::timeout(Duration::from_secs(5), lab.run(async || false)).await;
    assert!(began.is_err() && lab.world.began().len() == 2);
    let next = Lab::over(Arc::new(kv.crash(0)));
    next.run(async || next.is_empty().await).await;
    next.clock.advance(Duration::from_secs(61));
    next.run_due().await;
    let began: Vec<_> = next.world.began();
    assert_eq!(began, [("slow".into(), 1), ("behind".into(), 1), ("again".into(), 2)]);
}

/// A dead-letter queue that fails for now is asked again; nothing is sent again for that.
#[tokio::test(start_paused = true)]
async fn what_is_given_up_waits_for_its_dead_letter_queue() {
    let mut lab = Lab::over(Arc::new(MemoryKv::new()));
    lab.world.fails.lock().unwrap().insert("never".into(), 0);
    lab.world.busy.store(5, Ordering::SeqCst);
    lab.put("l", "k", "never").await;
    lab.run(async || lab.is_empty().await).await;
    assert_eq!(lab.dead().await, ["never: never"]);
    assert_eq!(lab.world.began(), [("never".into(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_fails_in_the_program_is_tried_again() {
    let mut lab = Lab::over(Arc::new(MemoryKv::new()));
    lab.world.panics.lock().unwrap().insert("p".into());
    for what in ["p", "behind"] {
        lab.put("l", "k", what).await;
    }
    lab.run(async || lab.is_empty().await).await;
    lab.clock.advance(Duration::from_secs(61));
    lab.run_due().await;
    assert_eq!(lab.world.began(), [("p".into(), 1), ("behind".into(), 1), ("p".into(), 2)]);
    assert_eq!(lab.outbox.sent(), Sent { done: 2, failed: 1, ..Sent::default() });
}

/// Of first attempts and later ones: where only the commit fails, that is tried again.
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_again_because_its_end_could_not_be_committed() {
    for fault in [Fault::Full, Fault::Conflict(0)] {
        let memory = Arc::new(MemoryKv::new());
        let failing = Arc::new(FailingKv::new((*memory).clone()));
        let mut lab = Lab::over(failing.clone());
        lab.world.fails.lock().unwrap().insert("once".into(), 1);
        lab.put("l", "k", "once").await;
        failing.fail_commit(1, fault.clone());
        lab.run(async || lab.is_empty().await).await;
        lab.clock.advance(Duration::from_secs(61));
        lab.timers.run_due().await;
        failing.fail_commit(1, fault.clone());
        lab.run(async || lab.is_empty().await).await;
        assert_eq!(lab.world.began(), [("once".into(), 1), ("once".into(), 2)], "{fault:?}");
        assert_eq!(lab.outbox.sent(), Sent { done: 1, failed: 1, ..Sent::default() });
    }
}

/// A dead-letter queue that takes nothing for long has what waits for it leave the lane, and nothing is sent again.
#[tokio::test(start_paused = true)]
async fn what_waits_long_for_its_dead_letter_queue_holds_up_nobody() {
    let mut lab = Lab::over(Arc::new(MemoryKv::new()));
    lab.world.fails.lock().unwrap().insert("never".into(), 0);
    lab.world.busy.store(50, Ordering::SeqCst);
    lab.put("l", "k", "never").await;
    lab.put("l", "k", "behind").await;
    lab.run(async || lab.is_empty().await).await;
    assert_eq!(lab.dead().await, [""; 0]);
    for _ in 0..3 {
        lab.clock.advance(Duration::from_secs(61));
        lab.run_due().await;
    }
    assert_eq!(lab.dead().await, ["never: never"]);
    assert_eq!(lab.world.began(), [("never".into(), 1), ("behind".into(), 1)]);
    assert_eq!(lab.outbox.sent(), Sent { done: 1, failed: 1, dead_lettered: 1, dropped: 0 });
}

/// What attempts leave reaches the next one, and what follows from an arrival; where that is not taken for long, nothing is sent again.
#[tokio::test(start_paused = true)]
async fn what_follows_from_an_arrival_knows_what_attempts_left() {
    for busy in [0, 5, 50] {
        let mut lab = Lab::over(Arc::new(MemoryKv::new()));
        lab.world.fails.lock().unwrap().insert("count".into(), 2);
        lab.put("l", "k", "count").await;
        lab.run(async || lab.is_empty().await).await;
        lab.clock.advance(Duration::from_secs(61));
        lab.run_due().await;
        lab.world.busy.store(busy, Ordering::SeqCst);
        for _ in 0..4 {
            lab.clock.advance(Duration::from_secs(61));
            lab.run_due().await;
        }
        assert_eq!(lab.dead().await, ["count: xxx"], "{busy}");
        assert_eq!(lab.world.began(), [("count".into(), 1), ("count".into(), 2), ("count".into(), 3)]);
        assert_eq!(lab.outbox.sent(), Sent { done: 1, failed: 2, ..Sent::default() });
    }
}

/// Ten thousand retries of a lane that does not get on: each is moved once, none is committed again and again, and other lanes and timers go on.
#[tokio::test(start_paused = true)]
async fn a_lane_that_is_stuck_costs_and_delays_nothing() {
    const MANY: u64 = 10_000;
    let mut lab = Lab::over(Arc::new(MemoryKv::new()));
    lab.world.fails.lock().unwrap().insert("fine".into(), 1);
    lab.world.slow.lock().unwrap().insert("stuck".into(), Duration::from_secs(1_000_000));
    lab.put("fine", "k", "fine").await;
    lab.run(async || lab.is_empty().await).await;
    let row = |id: u128| Row {
        id: Bytes::copy_from_slice(&id.to_be_bytes()),
        lane: "stuck".into(),
        what: "stuck".into(),
        tried: 1,
        first: lab.clock.now().0,
        owner: "world".into(),
        ..Row::default()
    };
    let ops = (0..MANY).map(|n| lab.outbox.later(lab.clock.now(), &row(1_000_000 + u128::from(n)))).collect::<Vec<_>>();
    for ops in ops.chunks(1000) {
        lab.kv.commit(Batch { ops: ops.to_vec(), ..Batch::default() }).await.unwrap();
    }
    lab.clock.advance(Duration::from_secs(61));
    let before = lab.kv.state().commits;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = stopped.map(drop).shared();
    let (outbox, timers, until) = (lab.outbox.clone(), lab.timers.clone(), stopped.clone());
    let sending = tokio::spawn(async move { outbox.run(until).await });
    let firing = tokio::spawn(async move { timers.run(stopped).await });
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(lab.world.began().contains(&("fine".into(), 2)));
    let begun = lab.world.began().iter().filter(|(what, _)| what == "stuck").count();
    assert_eq!(begun, 16, "as many as the lane has room for");
    assert!(lab.kv.state().commits - before <= MANY + 10, "{}", lab.kv.state().commits - before);
    stop.send(()).unwrap();
    firing.await.unwrap();
    sending.abort();
}

/// What is left for the next attempt is kept, or what its carrier shortens it to.
#[tokio::test]
async fn what_is_left_is_bounded() {
    let world = World::default();
    let item = Item {
        id: 1,
        lane: Bytes::new(),
        key: Bytes::new(),
        what: Bytes::new(),
        time: Timestamp(0),
        event: String::new(),
        tried: 0,
        first: None,
        left: Bytes::new(),
    };
    for (length, expected) in [(0, 0), (MAX_LEFT, MAX_LEFT), (MAX_LEFT + 1, 1)] {
        let answer = Answer { text: String::new(), left: vec![1; length].into() };
        assert_eq!(kept(&world, &item, &answer).len(), expected, "{length}");
    }
}
