//! What every engine must do. Each check gets a store of its own.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::api::{
    Batch, CommitError, Cond, Key, Kv, MAX_BATCH_BYTES, MAX_BATCH_ITEMS, MAX_KEY_BYTES, MAX_RANGE_DELETE,
    MAX_VALUE_BYTES, Op, Position, RESERVED_TABLES, Rows, Scan,
};

/// Runs the whole suite; panics where the contract is broken. `make` gives an empty store, and whatever must outlive it.
pub async fn contract<K: Kv + Clone, G>(make: impl Fn() -> (K, G)) {
    let fresh = || make();
    macro_rules! checks {
        ($($check:ident),*) => { $({ let (kv, _guard) = fresh(); $check(kv).await; })* };
    }
    checks!(
        rows_come_and_go,
        conditions,
        conflicts_change_nothing,
        changes_apply_in_order,
        counters,
        ranges_are_removed,
        long_ranges_are_refused,
        limits,
        scans,
        scans_across_tables,
        snapshots_stand_still,
        streams_are_commit_ordered,
        no_update_is_lost,
        one_of_many_wins,
        outcomes,
        watchers_hear,
        appends_are_told,
        dropped_futures_commit
    );
}

fn key(text: impl AsRef<[u8]>) -> Key {
    [&[1], text.as_ref()].concat().into()
}

fn value(text: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(text.as_ref())
}

fn ops(ops: Vec<Op>) -> Batch {
    Batch { ops, ..Batch::default() }
}

fn put(k: impl AsRef<[u8]>, v: impl AsRef<[u8]>) -> Op {
    Op::Put(key(k), value(v))
}

fn range(from: Bound<Key>, to: Bound<Key>) -> Scan {
    Scan { from, to, reverse: false, limit: 10_000 }
}

fn all() -> Scan {
    range(Bound::Unbounded, Bound::Unbounded)
}

async fn rows(kv: &impl Kv) -> Rows {
    kv.scan(all()).await.expect("a scan")
}

fn expected(rows: &[(&str, &str)]) -> Rows {
    rows.iter().map(|(k, v)| (key(k), value(v))).collect()
}

async fn rows_come_and_go(kv: impl Kv) {
    assert_eq!(kv.get(&key("a")).await.unwrap(), None);
    let first = kv.commit(ops(vec![put("a", "1"), put("b", "")])).await.unwrap();
    assert_eq!(kv.get(&key("a")).await.unwrap(), Some(value("1")));
    assert_eq!(kv.get(&key("b")).await.unwrap(), Some(value("")), "an empty value is a value");
    let second = kv.commit(ops(vec![put("a", "2"), Op::Delete(key("b")), Op::Delete(key("never"))])).await.unwrap();
    assert!(second.commit > first.commit);
    assert_eq!(rows(&kv).await, expected(&[("a", "2")]));
    kv.commit(ops(vec![])).await.unwrap();
    assert_eq!(kv.get(b"").await.unwrap(), None);
}

async fn conditions(kv: impl Kv) {
    kv.commit(ops(vec![put("a", "1"), put("e", "")])).await.unwrap();
    for (cond, holds) in [
        (Cond::Absent(key("a")), false),
        (Cond::Absent(key("b")), true),
        (Cond::Present(key("a")), true),
        (Cond::Present(key("b")), false),
        (Cond::Equals(key("a"), value("1")), true),
        (Cond::Equals(key("a"), value("2")), false),
        (Cond::Equals(key("a"), value("")), false),
        (Cond::Equals(key("b"), value("")), false),
        (Cond::Equals(key("e"), value("")), true),
        (Cond::Begins(key("a"), value("1")), true),
        (Cond::Begins(key("a"), value("")), true),
        (Cond::Begins(key("a"), value("12")), false),
        (Cond::Begins(key("a"), value("2")), false),
        (Cond::Begins(key("b"), value("")), false),
        (Cond::Begins(key("e"), value("")), true),
    ] {
        let batch = Batch { conds: vec![Cond::Present(key("a")), cond.clone()], ..ops(vec![put("x", "y")]) };
        match kv.commit(batch).await {
            Ok(_) => assert!(holds, "{cond:?} held"),
            Err(CommitError::Conflict(1)) => assert!(!holds, "{cond:?} did not hold"),
            Err(error) => panic!("{cond:?}: {error}"),
        }
    }
}

async fn conflicts_change_nothing(kv: impl Kv) {
    kv.commit(ops(vec![put("a", "1")])).await.unwrap();
    let before = *kv.watch().borrow();
    let batch = Batch {
        conds: vec![Cond::Absent(key("a"))],
        idem: Some(9),
        ..ops(vec![put("b", "2"), Op::Add(key("n"), 1), Op::Append { stream: key("s"), value: value("x") }])
    };
    assert!(matches!(kv.commit(batch).await, Err(CommitError::Conflict(0))));
    assert_eq!(rows(&kv).await, expected(&[("a", "1")]));
    assert_eq!(kv.outcome(9).await.unwrap(), None);
    assert_eq!(*kv.watch().borrow(), before);
}

async fn changes_apply_in_order(kv: impl Kv) {
    kv.commit(ops(vec![put("a", "1"), put("a", "2"), put("b", "1"), Op::Delete(key("b")), put("c", "1")]))
        .await
        .unwrap();
    assert_eq!(rows(&kv).await, expected(&[("a", "2"), ("c", "1")]));
    let batch = ops(vec![
        put("d", "1"),
        Op::DeleteRange(key("a"), key("z")),
        put("e", "1"),
        Op::Delete(key("e")),
        put("e", "2"),
    ]);
    kv.commit(batch).await.unwrap();
    assert_eq!(rows(&kv).await, expected(&[("e", "2")]));
}

async fn counters(kv: impl Kv) {
    let add = |by| ops(vec![Op::Add(key("n"), by)]);
    let count =
        async || kv.get(&key("n")).await.unwrap().map(|bytes| i64::from_le_bytes(bytes[..].try_into().unwrap()));
    for (by, sum) in [(5, Some(5)), (-7, Some(-2)), (2, None), (0, None), (i64::MAX, Some(i64::MAX))] {
        kv.commit(add(by)).await.unwrap();
        assert_eq!(count().await, sum, "after {by}");
    }
    assert!(matches!(kv.commit(add(1)).await, Err(CommitError::TooLarge(_))), "more than 64 bits");
    assert_eq!(count().await, Some(i64::MAX));
    kv.commit(ops(vec![put("n", "x")])).await.unwrap();
    assert!(matches!(kv.commit(add(1)).await, Err(CommitError::TooLarge(_))), "not a counter");
    kv.commit(ops(vec![Op::Delete(key("n")), Op::Add(key("n"), 1), Op::Add(key("n"), 2)])).await.unwrap();
    assert_eq!(count().await, Some(3));
}

async fn ranges_are_removed(kv: impl Kv) {
    let fill = ops(["a", "b", "ba", "c", "d"].iter().map(|k| put(k, "1")).collect());
    for (from, to, left) in [
        ("b", "c", "acd"),
        ("a", "b", "bbacd"),
        ("", "e", ""),
        ("c", "b", "abbacd"),
        ("b", "b", "abbacd"),
        ("e", "f", "abbacd"),
    ] {
        kv.commit(fill.clone()).await.unwrap();
        kv.commit(ops(vec![Op::DeleteRange(key(from), key(to))])).await.unwrap();
        let found: Vec<u8> = rows(&kv).await.iter().flat_map(|(key, _)| key[1..].to_vec()).collect();
        assert_eq!(found, left.as_bytes(), "{from}..{to}");
    }
    // To the end of the last table.
    kv.commit(ops(vec![Op::DeleteRange(key(""), Bytes::from_static(&[RESERVED_TABLES]))])).await.unwrap();
    assert_eq!(rows(&kv).await, []);
}

async fn long_ranges_are_refused(kv: impl Kv) {
    let row = |n: usize| key(format!("{n:08}"));
    let ops_of = |n| (0..n).map(|n| Op::Put(row(n), value("x"))).collect();
    kv.commit(ops(ops_of(MAX_RANGE_DELETE))).await.unwrap();
    kv.commit(ops(vec![Op::Put(row(MAX_RANGE_DELETE), value("x"))])).await.unwrap();
    let all = || Op::DeleteRange(key(""), key("9"));
    assert!(matches!(kv.commit(ops(vec![put("a", "1"), all()])).await, Err(CommitError::TooLarge(_))));
    assert_eq!(rows(&kv).await.len(), MAX_RANGE_DELETE + 1, "nothing was changed");
    kv.commit(ops(vec![Op::Delete(row(7)), all()])).await.unwrap();
    assert_eq!(rows(&kv).await, []);
}

async fn limits(kv: impl Kv) {
    let long = |bytes: usize| Bytes::from(vec![1; bytes]);
    let stream = |bytes| Op::Append { stream: long(bytes), value: Bytes::new() };
    let many = |n: usize, bytes: usize| (0..n).map(|n| Op::Put(key(n.to_be_bytes()), long(bytes))).collect::<Vec<_>>();
    const FULL: usize = MAX_BATCH_BYTES / MAX_VALUE_BYTES - 1;
    let rest = MAX_BATCH_BYTES - FULL * (MAX_VALUE_BYTES + 9) - 9;
    let full = |rest| [many(FULL, MAX_VALUE_BYTES), vec![Op::Put(key(99_usize.to_be_bytes()), long(rest))]].concat();
    for (what, batch, fits) in [
        ("the longest key", ops(vec![Op::Put(long(MAX_KEY_BYTES), value("v"))]), true),
        ("a longer key", ops(vec![Op::Put(long(MAX_KEY_BYTES + 1), value("v"))]), false),
        ("no key", ops(vec![Op::Put(Bytes::new(), value("v"))]), false),
        ("the longest value", ops(vec![Op::Put(key("v"), long(MAX_VALUE_BYTES))]), true),
        ("a longer value", ops(vec![Op::Put(key("v"), long(MAX_VALUE_BYTES + 1))]), false),
        ("the longest stream", ops(vec![stream(MAX_KEY_BYTES - 10)]), true),
        ("a longer stream", ops(vec![stream(MAX_KEY_BYTES - 9)]), false),
        ("the largest batch", ops(full(rest)), true),
        ("a larger batch", ops(full(rest + 1)), false),
        ("the most changes", ops(vec![Op::Delete(key("d")); MAX_BATCH_ITEMS]), true),
        ("more changes", ops(vec![Op::Delete(key("d")); MAX_BATCH_ITEMS + 1]), false),
        (
            "more conditions",
            Batch { conds: vec![Cond::Absent(key("no")); MAX_BATCH_ITEMS + 1], ..Batch::default() },
            false,
        ),
        ("an engine's table", ops(vec![Op::Put(Bytes::from_static(&[RESERVED_TABLES]), value("v"))]), false),
        ("an engine's row", ops(vec![Op::Delete(Bytes::from_static(&[0xFF, 1]))]), false),
        ("an engine's range", ops(vec![Op::DeleteRange(key("a"), Bytes::from_static(&[RESERVED_TABLES, 0]))]), false),
        (
            "an engine's condition",
            Batch { conds: vec![Cond::Absent(Bytes::from_static(&[0xF1]))], ..Batch::default() },
            false,
        ),
        ("a long condition", Batch { conds: vec![Cond::Absent(long(MAX_KEY_BYTES + 1))], ..Batch::default() }, false),
    ] {
        match kv.commit(batch).await {
            Ok(_) => assert!(fits, "{what} was taken"),
            Err(CommitError::TooLarge(_)) => assert!(!fits, "{what} was refused"),
            Err(error) => panic!("{what}: {error}"),
        }
    }
    assert_eq!(kv.get(&long(MAX_KEY_BYTES)).await.unwrap(), Some(value("v")));
    assert_eq!(kv.get(&key("v")).await.unwrap(), Some(long(MAX_VALUE_BYTES)));
    assert_eq!(kv.get(&[RESERVED_TABLES, 7]).await.unwrap(), None);
}

async fn scans(kv: impl Kv) {
    use Bound::{Excluded, Included, Unbounded};
    kv.commit(ops(["a", "b", "b\0", "c", "d"].iter().map(|k| put(k, "1")).collect())).await.unwrap();
    kv.commit(ops(vec![Op::Delete(key("c")), put("cc", "1")])).await.unwrap();
    let k = |text: &str| key(text);
    for (from, to, limit, found) in [
        (Unbounded, Unbounded, 10, "a b b\0 cc d"),
        (Included(k("b")), Excluded(k("d")), 10, "b b\0 cc"),
        (Excluded(k("b")), Included(k("d")), 10, "b\0 cc d"),
        (Excluded(k("b\0")), Unbounded, 10, "cc d"),
        (Unbounded, Excluded(k("b")), 10, "a"),
        (Unbounded, Included(k("b")), 10, "a b"),
        (Included(k("c")), Included(k("c")), 10, ""),
        (Included(k("b")), Included(k("b")), 10, "b"),
        (Included(k("b")), Excluded(k("b")), 10, ""),
        (Excluded(k("b")), Excluded(k("b")), 10, ""),
        (Included(k("d")), Included(k("a")), 10, ""),
        (Unbounded, Unbounded, 2, "a b"),
        (Included(k("b")), Unbounded, 1, "b"),
        (Unbounded, Unbounded, 0, ""),
    ] {
        let scan = Scan { from, to, reverse: false, limit };
        let keys =
            |rows: Rows| rows.iter().map(|(k, _)| String::from_utf8(k[1..].to_vec()).unwrap()).collect::<Vec<_>>();
        let mut expected: Vec<&str> = found.split(' ').filter(|k| !k.is_empty()).collect();
        assert_eq!(keys(kv.scan(scan.clone()).await.unwrap()), expected, "{scan:?}");
        if limit == 10 {
            expected.reverse();
            let scan = Scan { reverse: true, ..scan };
            assert_eq!(keys(kv.scan(scan.clone()).await.unwrap()), expected, "{scan:?}");
        }
    }
    let last = Scan { reverse: true, limit: 2, ..all() };
    let keys: Vec<Key> = kv.scan(last).await.unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [key("d"), key("cc")]);
}

async fn scans_across_tables(kv: impl Kv) {
    let tables = [0, 1, 2, 3, 9, RESERVED_TABLES - 1];
    let row = |table: u8| Op::Put(Bytes::from(vec![table, 5]), Bytes::from(vec![table]));
    kv.commit(Batch { idem: Some(1), ..ops(tables.map(row).to_vec()) }).await.unwrap();
    let found = |rows: Rows| rows.iter().map(|(_, value)| value[0]).collect::<Vec<_>>();
    assert_eq!(found(kv.scan(all()).await.unwrap()), tables, "and nothing of the engine's own");
    let beyond = range(Bound::Included(Bytes::from_static(&[2])), Bound::Included(Bytes::from_static(&[0xFF; 20])));
    assert_eq!(found(kv.scan(beyond).await.unwrap()), tables[2..]);
    for limit in 1..=tables.len() {
        assert_eq!(found(kv.scan(Scan { limit, ..all() }).await.unwrap()), tables[..limit]);
        let mut expected = tables[tables.len() - limit..].to_vec();
        expected.reverse();
        assert_eq!(found(kv.scan(Scan { limit, reverse: true, ..all() }).await.unwrap()), expected);
    }
    let middle = range(Bound::Excluded(Bytes::from_static(&[1, 5])), Bound::Excluded(Bytes::from_static(&[9, 5])));
    assert_eq!(found(kv.scan(middle).await.unwrap()), [2, 3]);
    let engine = range(Bound::Included(Bytes::from_static(&[RESERVED_TABLES])), Bound::Unbounded);
    assert_eq!(kv.scan(engine).await.unwrap(), []);
}

async fn snapshots_stand_still(kv: impl Kv) {
    kv.commit(ops(vec![put("a", "1"), put("b", "1")])).await.unwrap();
    let before = kv.snapshot().await.unwrap();
    kv.commit(ops(vec![put("a", "2"), Op::Delete(key("b")), put("c", "2")])).await.unwrap();
    let after = kv.snapshot().await.unwrap();
    kv.commit(ops(vec![Op::DeleteRange(key(""), key("z"))])).await.unwrap();
    for _ in 0..2 {
        assert_eq!(before.scan(all()).await.unwrap(), expected(&[("a", "1"), ("b", "1")]));
        assert_eq!(before.get(&key("b")).await.unwrap(), Some(value("1")));
        assert_eq!(before.get(&key("c")).await.unwrap(), None);
        assert_eq!(after.scan(all()).await.unwrap(), expected(&[("a", "2"), ("c", "2")]));
        assert_eq!(after.get(&key("b")).await.unwrap(), None);
    }
    assert_eq!(rows(&kv).await, []);

    // Two rows that always sum up to zero, under change.
    let changes = async {
        for n in 1..=200_i64 {
            kv.commit(ops(vec![Op::Add(key("x"), n), Op::Add(key("y"), -n)])).await.unwrap();
        }
    };
    let looks = async {
        for _ in 0..200 {
            let view = kv.snapshot().await.unwrap();
            let x = view.get(&key("x")).await.unwrap();
            tokio::task::yield_now().await;
            let y = view.get(&key("y")).await.unwrap();
            let number =
                |value: Option<Bytes>| value.map_or(0, |bytes| i64::from_le_bytes(bytes[..].try_into().unwrap()));
            assert_eq!(number(x), -number(y));
        }
    };
    futures_util::future::join(changes, looks).await;
}

async fn streams_are_commit_ordered(kv: impl Kv + Clone) {
    let kv = Arc::new(kv);
    let append = |stream: &str, text: String| Op::Append { stream: key(stream), value: value(text) };
    let committers = (0..16).map(|who| {
        let kv = Arc::clone(&kv);
        tokio::spawn(async move {
            for n in 0..20 {
                let batch = ops(vec![
                    append("s", format!("{who} {n} first")),
                    append("t", format!("{who} {n}")),
                    append("s", format!("{who} {n} second")),
                ]);
                let commit = kv.commit(batch).await.unwrap().commit;
                for (index, stream, text) in [(0, "s", "first"), (2, "s", "second")] {
                    let row = [&key(stream)[..], &Position { commit, index }.to_bytes()].concat();
                    assert_eq!(kv.get(&row).await.unwrap(), Some(value(format!("{who} {n} {text}"))));
                }
            }
        })
    });
    for done in join_all(committers).await {
        done.unwrap();
    }
    let rows = kv.scan(range(Bound::Included(key("s")), Bound::Excluded(key("t")))).await.unwrap();
    assert_eq!(rows.len(), 16 * 20 * 2);
    let mut latest = [-1_i32; 16];
    for pair in rows.chunks(2) {
        let at = |row: &(Key, Bytes)| Position::from_key(&row.0).unwrap();
        assert_eq!(
            (at(&pair[0]).commit, at(&pair[0]).index),
            (at(&pair[1]).commit, 0),
            "a commit's entries are together"
        );
        let text = String::from_utf8(pair[0].1.to_vec()).unwrap();
        let mut words = text.split(' ').map(|word| word.parse::<i32>().ok());
        let (who, n) = (words.next().unwrap().unwrap(), words.next().unwrap().unwrap());
        let latest = &mut latest[usize::try_from(who).unwrap()];
        assert_eq!(n, *latest + 1, "one committer's entries are in its order");
        *latest = n;
    }
}

async fn no_update_is_lost(kv: impl Kv + Clone) {
    const WRITERS: i64 = 64;
    const TIMES: i64 = 25;
    let number = |value: Option<Bytes>| value.map_or(0, |bytes| i64::from_le_bytes(bytes[..].try_into().unwrap()));
    let writers = (0..WRITERS).map(|_| {
        let kv = kv.clone();
        tokio::spawn(async move {
            let mut done = 0;
            while done < TIMES {
                // Once by adding, once by read and compare.
                let seen = kv.get(&key("compared")).await.unwrap();
                let cond = match &seen {
                    None => Cond::Absent(key("compared")),
                    Some(value) => Cond::Equals(key("compared"), value.clone()),
                };
                let next = Op::Put(key("compared"), value((number(seen) + 1).to_le_bytes()));
                let batch = Batch { conds: vec![cond], ..ops(vec![next, Op::Add(key("added"), 1)]) };
                match kv.commit(batch).await {
                    Ok(_) => done += 1,
                    Err(CommitError::Conflict(0)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    for done in join_all(writers).await {
        done.unwrap();
    }
    for counter in ["added", "compared"] {
        assert_eq!(number(kv.get(&key(counter)).await.unwrap()), WRITERS * TIMES, "{counter}");
    }
}

async fn one_of_many_wins(kv: impl Kv + Clone) {
    for round in 0..20 {
        let name = format!("row {round}");
        let tries = (0..16).map(|who| {
            let batch = Batch { conds: vec![Cond::Absent(key(&name))], ..ops(vec![put(&name, who.to_string())]) };
            let commit = kv.commit(batch);
            async move { commit.await.map(|_| who) }
        });
        let answers = join_all(tries).await;
        let winners: Vec<i32> = answers.iter().filter_map(|answer| answer.as_ref().ok().copied()).collect();
        assert_eq!(winners.len(), 1);
        assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(CommitError::Conflict(0)))));
        assert_eq!(kv.get(&key(&name)).await.unwrap(), Some(value(winners[0].to_string())));
    }
}

async fn outcomes(kv: impl Kv) {
    assert_eq!(kv.outcome(1).await.unwrap(), None);
    let named = |idem, op| Batch { idem: Some(idem), ..ops(vec![op]) };
    let first = kv.commit(named(1, put("a", "1"))).await.unwrap();
    let second = kv.commit(named(u128::MAX, put("a", "2"))).await.unwrap();
    kv.commit(ops(vec![put("a", "3")])).await.unwrap();
    assert_eq!(kv.outcome(1).await.unwrap(), Some(first));
    assert_eq!(kv.outcome(u128::MAX).await.unwrap(), Some(second));
    assert_eq!(kv.outcome(2).await.unwrap(), None);
}

async fn watchers_hear(kv: impl Kv) {
    let mut watch = kv.watch();
    watch.borrow_and_update();
    let committed = kv.commit(ops(vec![put("a", "1")])).await.unwrap();
    assert!(watch.has_changed().unwrap());
    assert_eq!(*watch.borrow_and_update(), committed.commit);
    let before = kv.state();
    kv.commit(ops(vec![put("a", "2")])).await.unwrap();
    let after = kv.state();
    assert_eq!((after.commits, after.groups, after.stopped), (before.commits + 1, before.groups + 1, None));
}

async fn dropped_futures_commit(kv: impl Kv) {
    // Polled once and dropped: it is under way, and will be there by the time a later commit is.
    let mut commit = kv.commit(ops(vec![put("a", "1")]));
    std::future::poll_fn(|context| {
        let _ = commit.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
    drop(commit);
    kv.commit(ops(vec![put("b", "2")])).await.unwrap();
    assert_eq!(rows(&kv).await, expected(&[("a", "1"), ("b", "2")]));
}

async fn appends_are_told<K: Kv + Clone>(kv: K) {
    let append = |stream: u8| Op::Append { stream: Bytes::copy_from_slice(&[9, stream]), value: value("v") };
    kv.commit(ops(vec![append(1)])).await.unwrap();
    let (appends, others) = (kv.appends(9), kv.appends(8));
    kv.commit(ops(vec![append(2), append(2), append(3), put("a", "b")])).await.unwrap();
    let refused = Batch { conds: vec![Cond::Present(key("none"))], ops: vec![append(4)], ..Batch::default() };
    kv.commit(refused).await.unwrap_err();
    let mut told = appends.changed().await;
    told.sort();
    // What was before is not told of; what was refused neither.
    assert_eq!(told, [&[9, 2][..], &[9, 3]]);
    kv.commit(ops(vec![append(5)])).await.unwrap();
    assert_eq!(appends.changed().await, [&[9, 5][..]]);
    appends.mark(Bytes::from_static(&[9, 6]));
    assert_eq!(appends.changed().await, [&[9, 6][..]]);
    // Nobody else hears of it.
    others.mark(Bytes::from_static(&[8]));
    assert_eq!(others.changed().await, [&[8][..]]);
}
