//! What a query is told by the server: tables, partitions, listings, and the bytes of objects, which are counted.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use datafusion::common::DataFusionError;
use millpond_query::worker::{AskError, Asker};
use millpond_query::{ListedObject, ListedPage, Partition, PartitionRun, Storage, Table, ask};

use crate::failure::Problem;
use crate::scan::Scan;

/// Bytes that are asked for at once.
const MAX_READ: u64 = 8 * 1024 * 1024;
/// Objects that are remembered for the reuse of results; a query that reads more is not reused.
const MAX_REMEMBERED: usize = 10_000;

/// Where a query's data come from. Clones share the counters.
#[derive(Clone, Debug)]
pub struct Remote(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    asker: Asker,
    cutoff: u64,
    scanned: AtomicU64,
    read: Mutex<BTreeSet<String>>,
    last: Mutex<String>,
    scans: Mutex<Scans>,
}

/// The readings of tables, and which of them each object is of.
#[derive(Debug, Default)]
struct Scans {
    all: Vec<Arc<Scan>>,
    of: HashMap<String, Arc<Scan>>,
}

/// An object that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Its entity tag when it was listed.
    pub etag: String,
    /// Bytes.
    pub size: u64,
    /// When it was put, in nanoseconds since 1970.
    pub modified: u64,
}

impl Source {
    /// Of a listing of its bucket.
    pub fn new(bucket: String, listed: ListedObject) -> Self {
        let ListedObject { key, size, etag, modified } = listed;
        Self { bucket, key, etag, size, modified }
    }

    /// `s3://BUCKET/KEY`
    pub fn path(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

impl Remote {
    /// With a limit on the bytes that are read; 0 for none.
    pub fn new(asker: Asker, cutoff: u64) -> Self {
        Self(Arc::new(Inner {
            asker,
            cutoff,
            scanned: AtomicU64::new(0),
            read: Mutex::default(),
            last: Mutex::default(),
            scans: Mutex::default(),
        }))
    }

    /// Bytes that were read.
    pub fn scanned(&self) -> u64 {
        self.0.scanned.load(Ordering::Relaxed)
    }

    /// Objects that were read, each with its entity tag.
    pub fn read(&self) -> Vec<String> {
        self.0.read.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// How many objects were read; no more than are remembered are counted.
    pub fn files(&self) -> u64 {
        self.0.read.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// The object of which bytes were asked for last; empty before any was.
    pub fn last(&self) -> String {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers that a table is read, with its objects' URLs.
    pub fn scanning(&self, scan: Scan, paths: Vec<String>) {
        let scan = Arc::new(scan);
        let mut scans = self.0.scans.lock().unwrap_or_else(PoisonError::into_inner);
        scans.of.extend(paths.into_iter().map(|path| (path, Arc::clone(&scan))));
        scans.all.push(scan);
    }

    /// What of each table was read.
    pub fn scans(&self) -> Vec<Arc<Scan>> {
        self.0.scans.lock().unwrap_or_else(PoisonError::into_inner).all.clone()
    }

    async fn ask(&self, what: ask::What) -> Result<(millpond_query::Answer, Bytes), Problem> {
        self.0.asker.ask(what).await.map_err(|error| match error {
            AskError::Refused { code, message } => Problem::Refused { code, message },
            AskError::Gone => Problem::Internal("the server is gone".to_owned()),
        })
    }

    /// A table; `None` where there is none.
    pub async fn table(&self, database: &str, name: &str) -> Result<Option<Table>, Problem> {
        let what = ask::What::Table(ask::Table { database: database.to_owned(), name: name.to_owned() });
        match self.ask(what).await {
            Ok((answer, _)) => Ok(answer.table),
            Err(Problem::Refused { code, .. }) if code == "EntityNotFoundException" => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// The partitions that an expression holds for; all, when it is empty. Each with how its rows lie, where the catalog says so.
    pub async fn partitions(
        &self,
        table: &Table,
        expression: &str,
    ) -> Result<Vec<(Partition, Option<Arc<Storage>>)>, Problem> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let what = ask::What::Partitions(ask::Partitions {
                database: table.database.clone(),
                table: table.name.clone(),
                expression: expression.to_owned(),
                after,
            });
            let page = self.ask(what).await?.0.partitions.unwrap_or_default();
            for PartitionRun { storage, partitions } in page.runs {
                let storage = storage.map(Arc::new);
                all.extend(partitions.into_iter().map(|one| (one, storage.clone())));
            }
            if page.next.is_empty() {
                return Ok(all);
            }
            after = page.next;
        }
    }

    /// A page of the objects whose keys begin with a prefix; the first is after nothing.
    pub async fn page(&self, bucket: &str, prefix: &str, after: String) -> Result<ListedPage, Problem> {
        let what = ask::What::List(ask::List { bucket: bucket.to_owned(), prefix: prefix.to_owned(), after });
        Ok(self.ask(what).await?.0.listing.unwrap_or_default())
    }

    /// The objects whose keys begin with a prefix.
    pub async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<ListedObject>, Problem> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.page(bucket, prefix, after).await?;
            all.extend(page.objects);
            if page.next.is_empty() {
                return Ok(all);
            }
            after = page.next;
        }
    }

    /// One object; `None` where there is none. Of the keys that begin with its own it is the first.
    pub async fn find(&self, bucket: &str, key: &str) -> Result<Option<ListedObject>, Problem> {
        let page = self.page(bucket, key, String::new()).await?;
        Ok(page.objects.into_iter().find(|object| object.key == key))
    }

    fn count(&self, source: &Source, bytes: u64) -> Result<(), Problem> {
        let inner = &self.0;
        let scanned = inner.scanned.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if inner.cutoff > 0 && scanned > inner.cutoff {
            return Err(Problem::Cutoff(inner.cutoff));
        }
        let path = source.path();
        path.clone_into(&mut inner.last.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(scan) = inner.scans.lock().unwrap_or_else(PoisonError::into_inner).of.get(&path) {
            scan.count(&path, bytes);
        }
        let mut read = inner.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.len() < MAX_REMEMBERED {
            read.insert(format!("{path} {}", source.etag));
        }
        Ok(())
    }

    /// Bytes of an object.
    pub async fn bytes(&self, source: &Source, range: Range<u64>) -> Result<Bytes, Problem> {
        let length = range.end.saturating_sub(range.start);
        self.count(source, length)?;
        if length <= MAX_READ {
            return self.part(source, range).await;
        }
        let mut whole = bytes::BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
        let mut from = range.start;
        while from < range.end {
            let to = range.end.min(from + MAX_READ);
            whole.extend_from_slice(&self.part(source, from..to).await?);
            from = to;
        }
        Ok(whole.freeze())
    }

    async fn part(&self, source: &Source, range: Range<u64>) -> Result<Bytes, Problem> {
        let what = ask::What::Read(ask::Read {
            bucket: source.bucket.clone(),
            key: source.key.clone(),
            etag: source.etag.clone(),
            from: range.start,
            to: range.end,
        });
        let got = self.ask(what).await.map_err(|problem| match problem {
            Problem::Refused { code, .. } if code == "PreconditionFailed" || code == "NoSuchKey" => {
                Problem::Data(format!("{} changed while the query ran. Run it again", source.path()))
            }
            Problem::Refused { code, message } => {
                Problem::Refused { code, message: format!("{message} ({})", source.path()) }
            }
            other => other,
        })?;
        let wanted = range.end - range.start;
        if got.1.len() as u64 != wanted {
            return Err(Problem::Data(format!("{} is shorter than its listing says", source.path())));
        }
        Ok(got.1)
    }
}

impl From<Problem> for DataFusionError {
    fn from(problem: Problem) -> Self {
        Self::External(Box::new(problem))
    }
}
