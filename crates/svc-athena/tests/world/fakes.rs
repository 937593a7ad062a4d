//! What stands in the place of the catalog, the object storage and the engine.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use millpond_kernel::{
    Caller, Catalog, CatalogColumn, CatalogDatabase, CatalogPage, CatalogPartition, CatalogStorage, CatalogTable,
    Listed, ListedPage, NewObject, ObjectReads, ObjectState, Objects, Payload, PayloadSource, ServiceError,
};
use millpond_query::{Column, Failure, FailureKind, Host, QueryError, Run, Sink, Stats, ask};
use millpond_svc_athena::Queries;
use millpond_types::Timestamp;

type Answer<'a, T> = BoxFuture<'a, Result<T, ServiceError>>;

fn refuse<T>(code: &'static str, status: u16) -> Result<T, ServiceError> {
    Err(ServiceError::new(code, status, "told so"))
}

/// An object: its bytes, its entity tag, and the headers it was put with.
#[derive(Clone, Debug)]
pub struct Stored {
    pub bytes: Bytes,
    pub etag: String,
    pub headers: Vec<(&'static str, String)>,
}

/// The buckets `results` and `data`, and `closed`, which nobody may know, and `readonly`, where nobody may put.
#[derive(Default)]
pub struct Buckets {
    pub objects: Mutex<BTreeMap<(String, String), Stored>>,
    puts: AtomicU64,
    /// Ranges that were read.
    pub reads: AtomicU64,
}

impl Buckets {
    pub fn add(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        self.insert(bucket, key, bytes.into(), Vec::new());
    }

    fn insert(&self, bucket: &str, key: &str, bytes: Bytes, headers: Vec<(&'static str, String)>) {
        let etag = format!("etag{}", self.puts.fetch_add(1, Ordering::SeqCst));
        let stored = Stored { bytes, etag, headers };
        self.objects.lock().unwrap().insert((bucket.to_owned(), key.to_owned()), stored);
    }

    pub fn get(&self, location: &str) -> Option<Stored> {
        let (bucket, key) = location.strip_prefix("s3://").unwrap().split_once('/').unwrap();
        self.objects.lock().unwrap().get(&(bucket.to_owned(), key.to_owned())).cloned()
    }

    pub fn text(&self, location: &str) -> String {
        String::from_utf8(self.get(location).unwrap().bytes.to_vec()).unwrap()
    }

    fn may(caller: &Caller, bucket: &str) -> Result<(), ServiceError> {
        assert_eq!(caller.via(), ["athena.amazonaws.com"]);
        match bucket {
            "closed" => refuse("AccessDenied", 403),
            "results" | "data" | "readonly" => Ok(()),
            _ => refuse("NoSuchBucket", 404),
        }
    }

    fn found(&self, caller: &Caller, bucket: &str, key: &str) -> Result<Stored, ServiceError> {
        Self::may(caller, bucket)?;
        if caller.arn().ends_with("user/blind") {
            return refuse("AccessDenied", 403);
        }
        let found = self.objects.lock().unwrap().get(&(bucket.to_owned(), key.to_owned())).cloned();
        found.map_or_else(|| refuse("NoSuchKey", 404), Ok)
    }

    fn may_put_into(caller: &Caller, bucket: &str) -> Result<(), ServiceError> {
        Self::may(caller, bucket)?;
        if bucket == "readonly" { refuse("AccessDenied", 403) } else { Ok(()) }
    }
}

impl Objects for Buckets {
    fn may_put<'a>(&'a self, _: Arc<Caller>, _: &'a NewObject) -> Answer<'a, ()> {
        unreachable!("it is put at once")
    }

    fn put(&self, caller: Arc<Caller>, object: NewObject) -> Answer<'_, ()> {
        let may = Self::may_put_into(&caller, &object.bucket);
        if may.is_ok() {
            self.insert(&object.bucket, &object.key, object.body, object.headers);
        }
        ready(may).boxed()
    }

    fn put_stream(&self, caller: Arc<Caller>, object: NewObject, source: Box<dyn PayloadSource>) -> Answer<'_, ()> {
        async move {
            Self::may_put_into(&caller, &object.bucket)?;
            let (mut payload, mut body) = (Payload::new(source, None), BytesMut::new());
            while let Some(bytes) = payload.next().await? {
                body.extend_from_slice(&bytes);
            }
            self.insert(&object.bucket, &object.key, body.freeze(), object.headers);
            Ok(())
        }
        .boxed()
    }

    fn locate<'a>(&'a self, caller: Arc<Caller>, bucket: &'a str, owner: Option<&'a str>) -> Answer<'a, ()> {
        let located = Self::may(&caller, bucket);
        let other = owner.is_some_and(|owner| owner != super::OWNER);
        ready(if other { refuse("AccessDenied", 403) } else { located }).boxed()
    }

    fn get<'a>(&'a self, _: Arc<Caller>, _: &'a str, _: &'a str, _: Option<&'a str>, _: usize) -> Answer<'a, Bytes> {
        unreachable!("it is read by ranges")
    }
}

impl ObjectReads for Buckets {
    fn get_range<'a>(
        &'a self,
        caller: Arc<Caller>,
        bucket: &'a str,
        key: &'a str,
        etag: &'a str,
        range: Range<u64>,
    ) -> Answer<'a, Vec<Bytes>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let read = self.found(&caller, bucket, key).and_then(|found| {
            if found.etag != etag {
                return refuse("PreconditionFailed", 412);
            }
            let end = found.bytes.len().min(range.end as usize);
            Ok(vec![found.bytes.slice(range.start as usize..end)])
        });
        ready(read).boxed()
    }

    fn head<'a>(&'a self, caller: Arc<Caller>, bucket: &'a str, key: &'a str) -> Answer<'a, ObjectState> {
        let state = |found: Stored| ObjectState {
            size: found.bytes.len() as u64,
            etag: found.etag,
            modified: Timestamp::from_seconds(super::START),
        };
        ready(self.found(&caller, bucket, key).map(state)).boxed()
    }

    fn list<'a>(
        &'a self,
        caller: Arc<Caller>,
        bucket: &'a str,
        prefix: &'a str,
        _: Option<&'a str>,
        _: Option<&'a str>,
    ) -> Answer<'a, ListedPage> {
        let listed = Self::may(&caller, bucket).map(|()| {
            let objects = self.objects.lock().unwrap();
            let of = objects.iter().filter(|((of, key), _)| of == bucket && key.starts_with(prefix));
            let objects = of.map(|((_, key), found)| Listed {
                key: key.clone(),
                size: found.bytes.len() as u64,
                etag: found.etag.clone(),
                modified: Timestamp::from_seconds(super::START),
            });
            ListedPage { objects: objects.collect(), ..ListedPage::default() }
        });
        ready(listed).boxed()
    }
}

/// Databases `default` and `other`, and tables of theirs, three to a page. Whoever is called `blind` may see none.
#[derive(Default)]
pub struct Tables {
    pub tables: Mutex<BTreeMap<String, CatalogTable>>,
}

impl Tables {
    pub fn add(&self, name: &str) {
        let column = |name: &str, kind: &str| CatalogColumn { name: name.into(), kind: kind.into(), comment: None };
        let table = CatalogTable {
            database: "default".into(),
            name: name.into(),
            table_type: "EXTERNAL_TABLE".into(),
            storage: CatalogStorage {
                columns: vec![column("a", "int")],
                location: Some(format!("s3://data/{name}/")),
                ..CatalogStorage::default()
            },
            partition_keys: vec![column("day", "string")],
            version: 1,
            ..CatalogTable::default()
        };
        self.tables.lock().unwrap().insert(name.to_owned(), table);
    }

    fn may(caller: &Caller) -> Result<(), ServiceError> {
        assert_eq!(caller.via(), ["athena.amazonaws.com"]);
        if caller.arn().ends_with("user/blind") { refuse("AccessDeniedException", 400) } else { Ok(()) }
    }
}

macro_rules! unused {
    ($($name:ident($($type:ty),*) -> $answer:ty;)*) => {$(
        fn $name<'a>(&'a self, $(_: $type),*) -> Answer<'a, $answer> {
            unreachable!("nothing is defined")
        }
    )*};
}

impl Catalog for Tables {
    fn database<'a>(&'a self, caller: Arc<Caller>, name: &'a str) -> Answer<'a, CatalogDatabase> {
        let found = Self::may(&caller).and_then(|()| match name {
            "default" | "other" => Ok(CatalogDatabase { name: name.into(), ..CatalogDatabase::default() }),
            _ => refuse("EntityNotFoundException", 400),
        });
        ready(found).boxed()
    }

    fn databases<'a>(
        &'a self,
        caller: Arc<Caller>,
        after: Option<&'a str>,
    ) -> Answer<'a, CatalogPage<CatalogDatabase>> {
        let (name, next) = if after.is_none() { ("default", Some("x".to_owned())) } else { ("other", None) };
        let database = CatalogDatabase { name: name.into(), ..CatalogDatabase::default() };
        ready(Self::may(&caller).map(|()| (vec![database], next))).boxed()
    }

    fn table<'a>(&'a self, caller: Arc<Caller>, _: &'a str, name: &'a str) -> Answer<'a, CatalogTable> {
        let found = self.tables.lock().unwrap().get(name).cloned();
        let found = Self::may(&caller).and_then(|()| found.map_or_else(|| refuse("EntityNotFoundException", 400), Ok));
        ready(found).boxed()
    }

    fn tables<'a>(
        &'a self,
        caller: Arc<Caller>,
        _: &'a str,
        after: Option<&'a str>,
    ) -> Answer<'a, CatalogPage<CatalogTable>> {
        let tables = self.tables.lock().unwrap();
        let mut rest: Vec<_> =
            tables.values().filter(|table| after.is_none_or(|after| table.name.as_str() > after)).cloned().collect();
        let more = rest.len() > 3;
        rest.truncate(3);
        let next = rest.last().filter(|_| more).map(|table| table.name.clone());
        ready(Self::may(&caller).map(|()| (rest, next))).boxed()
    }

    fn partitions<'a>(
        &'a self,
        caller: Arc<Caller>,
        _: &'a str,
        _: &'a str,
        _: Option<&'a str>,
        _: Option<&'a str>,
    ) -> Answer<'a, CatalogPage<CatalogPartition>> {
        ready(Self::may(&caller).map(|()| (Vec::new(), None))).boxed()
    }

    unused! {
        create_database(Arc<Caller>, CatalogDatabase) -> ();
        update_database(Arc<Caller>, CatalogDatabase) -> ();
        delete_database(Arc<Caller>, &'a str) -> ();
        create_table(Arc<Caller>, CatalogTable) -> ();
        update_table(Arc<Caller>, CatalogTable) -> ();
        delete_table(Arc<Caller>, &'a str, &'a str) -> ();
        create_partitions(Arc<Caller>, &'a str, &'a str, Vec<CatalogPartition>) -> usize;
        update_partition(Arc<Caller>, &'a str, &'a str, &'a [String], CatalogPartition) -> ();
        delete_partitions(Arc<Caller>, &'a str, &'a str, Vec<Vec<String>>) -> usize;
    }
}

/// Runs what a statement's words say:
/// `select N rows` gives as many; `select table T` lists and reads its objects; `select wait` waits for ever; `select held` for the gate;
/// `select fail KIND` fails; `select die` panics; `select ?` gives the parameters.
pub struct Engine {
    pub runs: Mutex<Vec<Run>>,
    /// How many run at the same time.
    pub places: tokio::sync::Semaphore,
    pub gate: tokio::sync::Notify,
}

impl Default for Engine {
    fn default() -> Self {
        Self { runs: Mutex::default(), places: tokio::sync::Semaphore::new(4), gate: tokio::sync::Notify::new() }
    }
}

fn column(name: &str, kind: &str) -> Column {
    Column { name: name.into(), kind: kind.into(), precision: 0, scale: 0 }
}

fn failed(kind: FailureKind, message: &str) -> QueryError {
    QueryError::Failed(Failure {
        kind: kind as i32,
        message: message.into(),
        stats: Some(Stats { scanned: 7, ..Stats::default() }),
    })
}

impl Engine {
    pub fn ran(&self) -> usize {
        self.runs.lock().unwrap().len()
    }

    async fn read(host: &dyn Host, name: &str) -> Result<(Vec<Bytes>, Stats), QueryError> {
        let refused = |answer: &millpond_query::Answer| {
            failed(FailureKind::Refused, &format!("{}: {}", answer.error, answer.message))
        };
        let ask = async |what| {
            let (answer, payload) = host.ask(what).await;
            if answer.error.is_empty() { Ok((answer, payload)) } else { Err(refused(&answer)) }
        };
        let (answer, _) = ask(ask::What::Table(ask::Table { database: "default".into(), name: name.into() })).await?;
        let location = answer.table.unwrap().storage.unwrap().location;
        let (bucket, prefix) = location.strip_prefix("s3://").unwrap().split_once('/').unwrap();
        let list = ask::List { bucket: bucket.into(), prefix: prefix.into(), after: String::new() };
        let (answer, _) = ask(ask::What::List(list)).await?;
        let (mut parts, mut stats) = (Vec::new(), Stats::default());
        for object in answer.listing.unwrap().objects {
            let read =
                ask::Read { bucket: bucket.into(), key: object.key, etag: object.etag, from: 0, to: object.size };
            parts.extend(ask(ask::What::Read(read)).await?.1);
            stats.scanned += object.size;
        }
        Ok((parts, stats))
    }
}

impl Queries for Engine {
    fn run<'a>(
        &'a self,
        run: Run,
        host: &'a dyn Host,
        sink: &'a mut dyn Sink,
        begins: Box<dyn FnOnce() + Send + 'a>,
    ) -> BoxFuture<'a, Result<Stats, QueryError>> {
        async move {
            let _place = self.places.acquire().await.unwrap();
            self.runs.lock().unwrap().push(run.clone());
            begins();
            let words: Vec<_> = run.statement.split_whitespace().collect();
            let sink_failed = QueryError::Sink;
            let mut stats = Stats { planning_ms: 2, execution_ms: 5, ..Stats::default() };
            match &words[..] {
                ["select", count, "rows"] => {
                    sink.columns(vec![column("n", "bigint"), column("t \"x\"", "varchar")])
                        .await
                        .map_err(sink_failed)?;
                    for n in 0..count.parse::<u64>().unwrap() {
                        let value = match n % 3 {
                            0 => String::new(),
                            1 => "\"\"".to_owned(),
                            _ => format!("\"line\n\"\"{n}\"\"\""),
                        };
                        sink.rows(1, format!("\"{n}\",{value}\n").into()).await.map_err(sink_failed)?;
                    }
                }
                ["select", "table", name] => {
                    let (parts, read) = Self::read(host, name).await?;
                    stats.scanned = read.scanned;
                    if run.cutoff > 0 && stats.scanned > run.cutoff {
                        return Err(failed(FailureKind::Cutoff, "too much"));
                    }
                    sink.columns(vec![column("a", "integer")]).await.map_err(sink_failed)?;
                    for part in parts {
                        sink.rows(1, format!("\"{}\"\n", part.len()).into()).await.map_err(sink_failed)?;
                    }
                }
                ["select", "wait"] => {
                    sink.progress(Stats { scanned: 42, ..Stats::default() });
                    sink.columns(vec![column("a", "integer")]).await.map_err(sink_failed)?;
                    std::future::pending::<()>().await;
                }
                ["select", "held"] => {
                    self.gate.notified().await;
                    sink.columns(vec![column("a", "integer")]).await.map_err(sink_failed)?;
                }
                ["select", "?"] | ["select", "?,", "?"] => {
                    sink.columns(run.parameters.iter().map(|value| column(value, "varchar")).collect())
                        .await
                        .map_err(sink_failed)?;
                }
                ["explain", ..] => {
                    sink.columns(vec![column("Query Plan", "varchar")]).await.map_err(sink_failed)?;
                    sink.rows(1, Bytes::from_static(b"\"Scan\n\tFilter\"\n")).await.map_err(sink_failed)?;
                }
                ["select", "fail", kind] => {
                    let kind = match *kind {
                        "data" => FailureKind::Data,
                        "memory" => FailureKind::Resources,
                        "internal" => FailureKind::Internal,
                        _ => FailureKind::Statement,
                    };
                    sink.columns(vec![column("a", "integer")]).await.map_err(sink_failed)?;
                    return Err(failed(kind, "line 1:8: it fails"));
                }
                ["select", "died"] => return Err(QueryError::Died("signal: 9".into())),
                ["select", "panic"] => panic!("told so"),
                _ => return Err(failed(FailureKind::Statement, "SYNTAX_ERROR: line 1:1: what is this")),
            }
            Ok(stats)
        }
        .boxed()
    }
}
