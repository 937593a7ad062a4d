//! The store: opening it, what all its parts share, and its figures.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use millpond_io::{Disk, File, IoError, Random, SyncPoint};

use crate::api::{BlobError, ExtentId, Location};
use crate::config::{BlobConfig, Usage};
use crate::file;
use crate::flight::Flights;
use crate::format::{SEGMENT_START, stored_len};
use crate::handles::{Buffers, Handles};
use crate::pool::{Pool, outcome};
use crate::segment::append::{Appender, Queue, prepare};
use crate::segment::scan;
use crate::segment::table::Table;
use crate::space::Space;

/// Object bytes on one disk. Clones are the same store. When the last one is dropped, the appends that wait are finished (for some
/// milliseconds this blocks) and the open segments are sealed.
#[derive(Clone)]
pub struct Blobs {
    pub(crate) inner: Arc<Inner>,
    _owner: Arc<Owner>,
}

struct Owner {
    inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.inner.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the blob store panicked");
            }
        }
    }
}

/// What all parts of a store share.
pub struct Inner {
    pub disk: Arc<dyn Disk>,
    pub random: Arc<dyn Random>,
    pub dir: PathBuf,
    pub config: BlobConfig,
    pub space: Space,
    pub segments: Table,
    pub flights: Flights,
    pub queue: Queue,
    pub handles: Handles,
    pub buffers: Buffers,
    pub readers: Pool,
    pub writers: Pool,
    pub stats: Stats,
    stopped: OnceLock<String>,
}

/// Counters.
#[derive(Default)]
pub struct Stats {
    syncs: AtomicU64,
    sync_nanos: AtomicU64,
    sync_max: AtomicU64,
    groups: AtomicU64,
    grouped: AtomicU64,
    group_max: AtomicU64,
    written: AtomicU64,
    damaged: AtomicU64,
    files: AtomicU64,
    file_live: AtomicU64,
}

impl Stats {
    fn synced(&self, since: Instant) {
        let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.sync_max.fetch_max(nanos, Ordering::Relaxed);
    }

    /// A group of `appends` with `content` bytes is durable.
    pub fn group(&self, appends: u64, content: u64) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.grouped.fetch_add(appends, Ordering::Relaxed);
        self.group_max.fetch_max(appends, Ordering::Relaxed);
        self.stored(content);
    }

    /// Content is durable.
    pub fn stored(&self, content: u64) {
        self.written.fetch_add(content, Ordering::Relaxed);
    }

    /// There is a file more.
    pub fn file_added(&self, len: u64) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.file_live.fetch_add(len, Ordering::Relaxed);
    }

    /// There is a file less. Never below zero: before the metadata is loaded, files may go that were not counted.
    pub fn file_removed(&self, len: u64) {
        for (counter, by) in [(&self.files, 1), (&self.file_live, len)] {
            // An update function that always gives a value cannot fail.
            let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(n.saturating_sub(by)));
        }
    }

    /// A read met damage.
    pub fn damage(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }
}

impl Inner {
    /// Fails when the store has stopped.
    pub fn check_stopped(&self) -> Result<(), BlobError> {
        self.stopped.get().map_or(Ok(()), |why| Err(BlobError::Stopped(why.clone())))
    }

    fn stop(&self, error: &IoError) -> BlobError {
        let why = self.stopped.get_or_init(|| error.to_string());
        tracing::error!(%error, "a sync failed: object data is no longer written");
        BlobError::Stopped(why.clone())
    }

    /// Makes a file's bytes durable. A failure stops the store: what the system gave up it never tells again.
    pub fn sync(&self, file: &dyn File, point: SyncPoint) -> Result<(), BlobError> {
        let since = Instant::now();
        let synced = file.sync_data(point);
        self.stats.synced(since);
        synced.map_err(|error| self.stop(&error))
    }

    /// The same for a file that holds one extent which is not acknowledged yet: without space only that one fails.
    pub fn sync_own(&self, file: &dyn File, point: SyncPoint) -> Result<(), BlobError> {
        let since = Instant::now();
        let synced = file.sync_data(point);
        self.stats.synced(since);
        synced.map_err(|error| if error.is_full() { BlobError::Full } else { self.stop(&error) })
    }

    /// Makes names durable. A failure stops the store.
    pub fn sync_dir(&self, dir: &Path, point: SyncPoint) -> Result<(), BlobError> {
        let since = Instant::now();
        let synced = self.disk.sync_dir(dir, point);
        self.stats.synced(since);
        // One that could not even be opened (too many open files) was not synced, but nothing was lost by trying either.
        synced.map_err(|error| if error.doing == "open" { error.into() } else { self.stop(&error) })
    }

    /// The metadata of an extent in flight is durable.
    pub fn settle_committed(&self, extent: ExtentId, at: Location) {
        self.segments.committed(at);
        self.flights.end(extent);
    }

    /// An extent in flight will have no metadata.
    pub fn settle_abandoned(inner: &Arc<Self>, extent: ExtentId, at: Location) {
        let Location::File { len } = at else {
            inner.segments.abandoned(at);
            return inner.flights.end(extent);
        };
        let shared = Arc::clone(inner);
        inner.writers.submit(move || {
            match file::remove(&shared, extent) {
                Ok(true) => shared.stats.file_removed(len),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "an abandoned file stays until the next sweep"),
            }
            shared.flights.end(extent);
        });
    }
}

/// Should an appender panic, nobody waits for it for ever: the store stops and the waiting are told.
struct AppenderGuard(Arc<Inner>);

impl Drop for AppenderGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = self.0.stopped.get_or_init(|| "an appending thread panicked".to_owned());
            self.0.queue.close();
            self.0.queue.refuse(&BlobError::Stopped(why.clone()));
        }
    }
}

impl Blobs {
    /// Opens the store in `dir`, or begins one there. Segments of an earlier process are sealed; one that the disk refuses to read does not keep the
    /// others from being served.
    pub fn open(
        disk: Arc<dyn Disk>,
        random: Arc<dyn Random>,
        dir: &Path,
        config: BlobConfig,
    ) -> Result<Self, BlobError> {
        let mut config = config;
        // A segment must hold the largest extent that goes there.
        let largest = SEGMENT_START + 2 * stored_len(config.segment_max);
        config.segment_size = config.segment_size.max(largest);
        let segments_dir = crate::segment::dir(dir);
        let dirs: Vec<PathBuf> = file::fans(dir).chain([segments_dir.clone()]).collect();
        disk.create_dirs(&dirs)?;
        let segments = Table::default();
        for name in disk.list(&segments_dir)? {
            let Some(number) = crate::segment::number(&name) else {
                tracing::warn!(name, "a foreign file among the segments");
                continue;
            };
            match scan::settle(&*disk, dir, number) {
                Ok(Some(bytes)) => segments.add(number, bytes, true),
                Ok(None) => {}
                Err(error) => {
                    // What of it can be read is served; it is neither appended to nor given back.
                    tracing::error!(segment = number, %error, "a segment cannot be read to its end: it is kept as it is");
                    segments.add(number, scan::length(&*disk, dir, number).unwrap_or(0), true);
                    segments.mark_damaged(number);
                }
            }
        }
        let space = Space::new(&*disk, dir, config.reserve)?;
        let inner = Arc::new(Inner {
            space,
            segments,
            disk,
            random,
            dir: dir.to_owned(),
            flights: Flights::default(),
            queue: Queue::default(),
            handles: Handles::default(),
            buffers: Buffers::default(),
            readers: Pool::new("blob-read", config.read_threads),
            writers: Pool::new("blob-write", config.write_threads),
            stats: Stats::default(),
            stopped: OnceLock::new(),
            config,
        });
        let owner = Arc::new(Owner { inner: Arc::clone(&inner), threads: Mutex::default() });
        let blobs = Self { inner, _owner: Arc::clone(&owner) };
        blobs.start(&owner)?;
        Ok(blobs)
    }

    fn start(&self, owner: &Owner) -> Result<(), BlobError> {
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
            let failed = |source| IoError { doing: "spawn", path: self.inner.dir.clone(), source };
            let thread = thread.map_err(failed)?;
            owner.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
            Ok::<_, BlobError>(())
        };
        for _ in 0..self.inner.config.appenders.max(1) {
            let appender = Appender::new(Arc::clone(&self.inner));
            let inner = Arc::clone(&self.inner);
            spawn(
                "blob-append",
                Box::new(move || {
                    let _guard = AppenderGuard(inner);
                    appender.run();
                }),
            )?;
        }
        let inner = Arc::clone(&self.inner);
        spawn("blob-prepare", Box::new(move || prepare(&inner)))
    }

    /// Names extents that the metadata names, at a start, in any number of calls; [`Blobs::load_done`] follows the last. Meanwhile reads, writes and deletes
    /// go on; the extents may come from a snapshot. (If that is of a time after the first write, files are counted twice in [`Usage`], which harms
    /// nothing else.) Until then no segment is given back. Tells how many lie in segments that do not exist.
    pub fn load_live(&self, extents: impl IntoIterator<Item = (ExtentId, Location)>) -> u64 {
        let segments = extents.into_iter().filter_map(|(_, at)| match at {
            Location::File { len } => {
                self.inner.stats.file_added(len);
                None
            }
            Location::Segment { .. } => Some(at),
        });
        // Collected first: the iterator may well read metadata, and the table is locked meanwhile.
        let segments: Vec<Location> = segments.collect();
        self.inner.segments.load(segments.into_iter())
    }

    /// All extents that the metadata names have been given to [`Blobs::load_live`].
    pub fn load_done(&self) {
        self.inner.segments.loaded();
    }

    /// Gives space back, after the metadata that named these extents is gone, durably. Idempotent; works on a full disk and after a stop. Space in segments
    /// comes back by [`Blobs::reclaim`].
    pub async fn delete(&self, extents: &[(ExtentId, Location)]) -> Result<(), BlobError> {
        let mut files = Vec::new();
        for (extent, at) in extents {
            match at {
                Location::Segment { .. } => self.inner.segments.delete(*at),
                Location::File { len } => files.push((*extent, *len)),
            }
        }
        if files.is_empty() {
            return Ok(());
        }
        let inner = Arc::clone(&self.inner);
        outcome(self.inner.writers.run(move || {
            for (extent, len) in files {
                if file::remove(&inner, extent)? {
                    inner.stats.file_removed(len);
                }
            }
            Ok(())
        }))
        .await
    }

    /// Extents that are being written, or are durable while their metadata may still be on its way.
    pub fn in_flight(&self) -> Vec<ExtentId> {
        self.inner.flights.all()
    }

    /// Why nothing more is written, if so.
    pub fn stopped(&self) -> Option<&str> {
        self.inner.stopped.get().map(String::as_str)
    }

    /// Asks the file system for its free space, whatever was known before, and says whether writing is possible.
    pub fn check_space(&self) -> Result<(), BlobError> {
        self.inner.space.claim(&*self.inner.disk, &self.inner.dir, 0)
    }

    /// Figures for metrics.
    pub fn usage(&self) -> Usage {
        let sums = self.inner.segments.sums();
        let (free, total, reserve) = self.inner.space.figures();
        let stats = &self.inner.stats;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Usage {
            segment_live: sums.live,
            segment_bytes: sums.bytes,
            segments: sums.segments,
            file_live: get(&stats.file_live),
            files: get(&stats.files),
            free,
            total,
            reserve,
            syncs: get(&stats.syncs),
            sync_nanos: get(&stats.sync_nanos),
            sync_max_nanos: get(&stats.sync_max),
            groups: get(&stats.groups),
            grouped: get(&stats.grouped),
            group_max: get(&stats.group_max),
            written: get(&stats.written),
            damaged: get(&stats.damaged),
        }
    }
}
