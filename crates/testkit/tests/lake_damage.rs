//! Damaged rows and unreadable extents: the check goes on behind them, names what they belong to, and calls nothing sound damaged.

// A test that meets what it does not expect ends there, in its helpers as well.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millpond_io::faulty::FaultyDisk;
use millpond_io::sim::SimDisk;
use millpond_lake::{Condition, tables};
use millpond_meta::{Batch, CommitError, Committed, Key, Kv, MemoryKv, ReadError, Rows, Scan, State, View};
use millpond_testkit::lab::{self, Lab};

/// Rows that cannot be read.
type Rotten = Arc<Mutex<BTreeSet<Key>>>;

/// An engine some of whose rows are damaged: a read that meets one fails, and does not tell its key.
#[derive(Clone)]
struct RottenKv {
    inner: MemoryKv,
    rotten: Rotten,
}

struct RottenView(Box<dyn View>, Rotten);

fn damaged() -> ReadError {
    ReadError::Damaged("a checksum".to_owned())
}

async fn get(view: &dyn View, rotten: &Rotten, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
    if rotten.lock().unwrap().contains(key) { Err(damaged()) } else { view.get(key).await }
}

async fn scan(view: &dyn View, rotten: &Rotten, scan: Scan) -> Result<Rows, ReadError> {
    let rows = view.scan(scan).await?;
    let rotten = rotten.lock().unwrap();
    if rows.iter().any(|(key, _)| rotten.contains(key)) { Err(damaged()) } else { Ok(rows) }
}

impl View for RottenView {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, ReadError>> {
        Box::pin(get(&*self.0, &self.1, key))
    }

    fn scan<'a>(&'a self, range: Scan) -> BoxFuture<'a, Result<Rows, ReadError>> {
        Box::pin(scan(&*self.0, &self.1, range))
    }
}

impl View for RottenKv {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, ReadError>> {
        Box::pin(get(&self.inner, &self.rotten, key))
    }

    fn scan<'a>(&'a self, range: Scan) -> BoxFuture<'a, Result<Rows, ReadError>> {
        Box::pin(scan(&self.inner, &self.rotten, range))
    }
}

impl Kv for RottenKv {
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Committed, CommitError>> {
        self.inner.commit(batch)
    }

    fn outcome(&self, idem: u128) -> BoxFuture<'_, Result<Option<Committed>, ReadError>> {
        self.inner.outcome(idem)
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn View>, ReadError>> {
        Box::pin(async {
            let view = self.inner.snapshot().await?;
            Ok(Box::new(RottenView(view, self.rotten.clone())) as Box<dyn View>)
        })
    }

    fn watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.watch()
    }

    fn appends(&self, table: u8) -> Arc<millpond_meta::Appends> {
        self.inner.appends(table)
    }

    fn state(&self) -> State {
        self.inner.state()
    }
}

struct Rot {
    lab: Lab,
    kv: RottenKv,
    disk: FaultyDisk<SimDisk>,
}

/// Inline, segment and file bodies, and an old version of each.
async fn rot() -> Rot {
    let kv = RottenKv { inner: MemoryKv::new(), rotten: Rotten::default() };
    let disk = FaultyDisk::new(SimDisk::new());
    let lab = lab::open(Arc::new(kv.clone()), Arc::new(disk.clone()), Path::new("/blobs"), 1).await.unwrap();
    let bucket = lab.bucket("bucket").await.unwrap();
    lab.lake.set_versioning(&bucket, millpond_lake::Versioning::Enabled, &lab::origin()).await.unwrap();
    for n in 0..20_usize {
        for size in [10, 500, 2_000] {
            for turn in 0..2_u8 {
                lab.put(&bucket, &format!("{size}/{n:02}"), &vec![turn; size + n], Condition::Always).await.unwrap();
            }
        }
    }
    Rot { lab, kv, disk }
}

async fn rows(kv: &RottenKv, table: u8) -> Rows {
    let (from, to) = (Bound::Included(vec![table].into()), Bound::Excluded(vec![table + 1].into()));
    kv.inner.scan(Scan { from, to, reverse: false, limit: 10_000 }).await.unwrap()
}

#[tokio::test]
async fn a_damaged_row_is_one_problem_wherever_it_is() {
    let it = rot().await;
    assert_eq!(it.lab.check().await.unwrap().problems, Vec::<String>::new());
    for (table, word) in [
        (tables::BUCKET, "bucket \"bucket\""),
        (tables::CURRENT, "object \""),
        (tables::VERSION, "an old version of object \""),
        (tables::INLINE, "inline body"),
        (tables::EXTENT, "extent"),
        (tables::JOURNAL, "of bucket \"bucket\""),
        (tables::USAGE, "a counter of bucket \"bucket\""),
    ] {
        let all = rows(&it.kv, table).await;
        assert!(!all.is_empty(), "table {table}");
        // The first, the last, and some between.
        for at in [0, 1, all.len() / 2, all.len() - 1] {
            let Some((key, _)) = all.get(at) else { continue };
            it.kv.rotten.lock().unwrap().insert(key.clone());
            let report = it.lab.check().await.unwrap();
            assert_eq!(report.problems.len(), 1, "table {table:#x}, row {at}: {:?}", report.problems);
            let of_a_body = matches!(table, tables::INLINE | tables::EXTENT);
            let text = &report.problems[0];
            assert!(text.contains(word), "{text}");
            assert!(!of_a_body || text.contains("object \"") && text.contains("in bucket \"bucket\""), "{text}");
            // An engine that was verified has told of it already; then it is only named.
            let known = it.lab.lake.check_after(true, std::slice::from_ref(key), &|_| {}).await.unwrap();
            assert_eq!((known.problems, known.damaged.len()), (Vec::new(), 1));
            assert!(known.damaged[0].contains(word), "{:?}", known.damaged);
            if table == tables::EXTENT {
                let extents = rows(&it.kv, table).await.len() as u64;
                assert_eq!(report.verified, extents - 1, "what lies behind it is read");
            }
            it.kv.rotten.lock().unwrap().clear();
        }
    }
}

#[tokio::test]
async fn all_damaged_rows_are_passed_over_and_only_they_are_missed() {
    let it = rot().await;
    for table in [tables::CURRENT, tables::EXTENT, tables::INLINE] {
        let all = rows(&it.kv, table).await;
        let rotten: Vec<Key> = all.iter().step_by(3).map(|(key, _)| key.clone()).collect();
        it.kv.rotten.lock().unwrap().extend(rotten.iter().cloned());
        let report = it.lab.check().await.unwrap();
        assert_eq!(report.problems.len(), rotten.len(), "{:?}", report.problems);
        it.kv.rotten.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn extents_that_cannot_be_read_are_named_and_the_rest_is_read() {
    let it = rot().await;
    let extents = rows(&it.kv, tables::EXTENT).await;
    it.disk.faults().set_unreadable(Some("/files/"));
    let report = it.lab.check().await.unwrap();
    // Twenty objects in files, two versions each.
    assert_eq!((report.problem_count, report.verified), (40, extents.len() as u64 - 40), "{:?}", report.problems);
    for problem in &report.problems {
        assert!(problem.contains("cannot be read") && problem.contains("object \"2000/"), "{problem}");
    }
    it.disk.faults().set_unreadable(None);
    assert_eq!(it.lab.check().await.unwrap().problems, Vec::<String>::new());
}

/// Some damage hides the key of its row: the engine tells the one before, and the check finds where it is.
#[tokio::test]
async fn a_hidden_row_is_not_mistaken_for_the_one_before() {
    let it = rot().await;
    for table in [tables::CURRENT, tables::INLINE, tables::EXTENT] {
        let all = rows(&it.kv, table).await;
        let (before, hidden) = (all[4].0.clone(), all[5].0.clone());
        it.kv.rotten.lock().unwrap().insert(hidden.clone());
        let exact = it.lab.lake.check_after(false, std::slice::from_ref(&hidden), &|_| {}).await.unwrap();
        let found = it.lab.lake.check_after(false, &[before], &|_| {}).await.unwrap();
        assert_eq!(found.damaged, [format!("up to {}", exact.damaged[0])]);
        // What cannot be found at all is not guessed at.
        let nothing = it.lab.lake.check_after(false, &[all[7].0.clone()], &|_| {}).await.unwrap();
        assert_eq!(nothing.damaged, [""]);
        it.kv.rotten.lock().unwrap().clear();
    }
}
