//! Opening a store: what must hold before the first read.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;

use bytes::Bytes;
use fjall::{Database, OwnedWriteBatch, PersistMode, Readable};
use millpond_io::{Disk, IoError, RealDisk};
use tokio::sync::{mpsc, watch};

use super::backlog::Backlog;
use super::committer::{COMMIT_KEY, CommitRow, Committer, MAX_QUEUE, OUTCOME_TABLE};
use super::files::{FORMAT, Number, read_format, read_mark, write_format};
use super::journal::{self, Finding};
use super::manifest;
use super::reserve::JournalRoom;
use super::room::RoomKeeper;
use super::row::Summed;
use super::spaces::{Class, Moment, Spaces};
use super::verify::FsckReport;
use super::{Counters, FjallKv, Inner, Shared, upkeep};
use crate::api::{Key, ReadError};
use crate::appends::AppendHub;
use crate::apply::Codec;
use crate::key::prefix_end;

/// The journal that may collect before tables are written just to be rid of it. What an opening replays is at most this, the
/// journal being written (64 MB, and what comes until the next table is written) and one more; at some 100-200 MB/s.
pub(super) const MAX_JOURNAL_BYTES: u64 = 128 << 20;
/// The default of [`FjallConfig::reserve`]: what memory writes out at worst, and some thousand deletions.
const DEFAULT_RESERVE: u64 = 64 << 20;
/// The default of [`FjallConfig::cache_bytes`].
const DEFAULT_CACHE: u64 = 48 << 20;
/// Files that are kept open for reading.
const MAX_OPEN_FILES: usize = 512;

/// How to open a store.
#[derive(Clone)]
pub struct FjallConfig {
    /// The disk, for our own files beside fjall's.
    pub disk: Arc<dyn Disk>,
    /// What each table's rows are like. A table must keep its class for as long as it has rows.
    pub classify: fn(u8) -> Class,
    /// Open even when acknowledged commits are lost, for good.
    pub accept_loss: bool,
    /// Free bytes below which only urgent batches are taken; as much again is held in a file. 0 turns both off.
    pub reserve: u64,
    /// Bytes of blocks and values to keep in memory.
    pub cache_bytes: u64,
}

impl FjallConfig {
    /// The defaults, on the operating system's files.
    pub fn new(classify: fn(u8) -> Class) -> Self {
        Self {
            disk: Arc::new(RealDisk),
            classify,
            accept_loss: false,
            reserve: DEFAULT_RESERVE,
            cache_bytes: DEFAULT_CACHE,
        }
    }
}

/// Why a store was not opened. Nothing was changed then, save for what an earlier crash had left unfinished.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process (or another opening in this one) has it.
    #[error("the metadata store in {0} is in use")]
    Locked(PathBuf),
    /// It was written by a later version.
    #[error("the metadata store has format {found}; this version knows formats up to {known}")]
    Newer {
        /// Its format.
        found: u64,
        /// The latest known.
        known: u64,
    },
    /// Commits that were acknowledged are not there any more.
    #[error("commits up to {expected} were acknowledged, and those behind {found} are not there any more")]
    LostCommits {
        /// The last commit that is there.
        found: u64,
        /// One that was durable once.
        expected: u64,
    },
    /// A journal is damaged, with commits behind the damage.
    #[error("the journal {path} is damaged at byte {at}, with acknowledged commits behind it")]
    DamagedJournal {
        /// Its file.
        path: PathBuf,
        /// Where the damaged group begins.
        at: u64,
    },
    /// A list of tables is damaged. Without it nobody knows which rows there are; a backup has to help.
    #[error("the list of tables in {0} is damaged")]
    DamagedManifest(PathBuf),
    /// One of the small files is damaged.
    #[error("the file {0} of the metadata store is damaged")]
    DamagedFile(&'static str),
    /// A row that the store cannot start without.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file operation failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A thread could not be started, or a directory not be cleared.
    #[error("the metadata store could not be set up: {0}")]
    Setup(#[from] std::io::Error),
    /// fjall refused.
    #[error("the metadata engine: {0}")]
    Engine(String),
}

impl From<fjall::Error> for OpenError {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Locked => Self::Engine("in use".into()),
            error => Self::Engine(error.to_string()),
        }
    }
}

pub(super) fn open(dir: &Path, config: FjallConfig) -> Result<FjallKv, OpenError> {
    let disk = &*config.disk;
    disk.create_dir_all(dir)?;
    let lock_path = dir.join("lock");
    let lock = RealDisk.lock(&lock_path)?.ok_or_else(|| OpenError::Locked(dir.to_owned()))?;
    let fjall_dir = dir.join("fjall");
    let mark = match read_mark(disk, dir)? {
        Number::Is(mark) => mark,
        Number::Damaged if !config.accept_loss => return Err(OpenError::DamagedFile(super::files::MARK_FILE)),
        Number::Missing | Number::Damaged => 0,
    };
    match read_format(disk, dir)? {
        Number::Is(FORMAT) => settle_journals(&config, &fjall_dir, mark)?,
        Number::Is(found) => return Err(OpenError::Newer { found, known: FORMAT }),
        Number::Damaged => return Err(OpenError::DamagedFile(super::files::FORMAT_FILE)),
        Number::Missing if mark > 0 && !config.accept_loss => {
            return Err(OpenError::LostCommits { found: 0, expected: mark });
        }
        // The store was never ready: a first start was interrupted. fjall does not open what it had half made. (The one
        // place where we touch its directory; it made it with std too.)
        Number::Missing if disk.exists(&fjall_dir)? => std::fs::remove_dir_all(&fjall_dir)?,
        Number::Missing => {}
    }
    let fresh = !disk.exists(&fjall_dir)? || journal::numbers(disk, &fjall_dir)?.is_empty();
    let (db, spaces) = open_database(&fjall_dir, &config)?;
    // A process that was killed may have written groups that it had not synced: they are here, and readers will see them, so
    // a power cut must not take them away again.
    db.persist(PersistMode::SyncData)?;
    let mut moment = Moment::new(db.snapshot(), Arc::clone(&spaces));
    let found = last_commit(&moment)?;
    if found < mark && !config.accept_loss {
        return Err(OpenError::LostCommits { found, expected: mark });
    }
    if read_format(disk, dir)? == Number::Missing {
        write_format(disk, dir)?;
    }
    // Numbers that were given out once are not given out again: cursors of readers point behind them.
    let commit = found.max(mark);
    if found < mark {
        tracing::error!(found, expected = mark, "commits are lost; that was accepted");
        accept(&db, &spaces, commit)?;
        moment = Moment::new(db.snapshot(), Arc::clone(&spaces));
    }
    let journal = JournalRoom::new(Arc::clone(&config.disk), &fjall_dir, fresh)?;
    start(dir, &config, (db, spaces, moment, journal), commit, mark, lock)
}

/// Makes the store one whose last commit has this number, so that the loss need not be accepted again.
fn accept(db: &Database, spaces: &Spaces, commit: u64) -> Result<(), OpenError> {
    let key = Bytes::from_static(COMMIT_KEY);
    let row = CommitRow { commit, seqno: db.seqno() };
    let mut batch = OwnedWriteBatch::with_capacity(db.clone(), 1).durability(Some(PersistMode::SyncData));
    batch.insert(spaces.space(spaces.class(COMMIT_KEY)), key.clone(), Summed::keep(&key, row.encode()));
    Ok(batch.commit()?)
}

/// Looks the journals over before fjall does; cuts a torn end off, which fjall might refuse.
fn settle_journals(config: &FjallConfig, fjall_dir: &Path, mark: u64) -> Result<(), OpenError> {
    if !config.disk.exists(fjall_dir)? {
        return if mark > 0 && !config.accept_loss {
            Err(OpenError::LostCommits { found: 0, expected: mark })
        } else {
            Ok(())
        };
    }
    if let Some(dir) = manifest::damaged(&*config.disk, fjall_dir)?.into_iter().next() {
        return Err(OpenError::DamagedManifest(dir));
    }
    let journals = journal::examine(&*config.disk, fjall_dir)?;
    if !config.accept_loss {
        for journal in &journals {
            if let Finding::Damaged(at) = journal.finding {
                return Err(OpenError::DamagedJournal { path: journal.path.clone(), at });
            }
        }
        // The last journal's commits are the latest. Without any, the tables tell, after opening.
        let found = journals.iter().rev().find_map(|journal| journal.commit);
        if let Some(found) = found.filter(|found| *found < mark) {
            return Err(OpenError::LostCommits { found, expected: mark });
        }
    }
    for journal in &journals {
        if let Finding::Torn(at) | Finding::Damaged(at) = journal.finding {
            tracing::warn!(path = %journal.path.display(), at, "the journal's unfinished end was cut off");
            journal::cut(&*config.disk, &journal.path, at)?;
        }
    }
    Ok(())
}

fn open_database(fjall_dir: &Path, config: &FjallConfig) -> Result<(Database, Arc<Spaces>), OpenError> {
    let open = || -> Result<_, OpenError> {
        let db = Database::builder(fjall_dir)
            .cache_size(config.cache_bytes)
            .max_journaling_size(MAX_JOURNAL_BYTES)
            .max_cached_files(Some(MAX_OPEN_FILES))
            // It writes tables, nothing else; see `upkeep`.
            .worker_threads(1)
            .open()?;
        let spaces = Arc::new(Spaces::open(&db, config.classify)?);
        Ok((db, spaces))
    };
    // Some damage makes fjall panic.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(open))
        .unwrap_or_else(|_| Err(OpenError::Engine("it could not decode its files".into())))
}

fn last_commit(moment: &Moment) -> Result<u64, OpenError> {
    match moment.read(COMMIT_KEY)? {
        None => Ok(0),
        Some(value) => {
            let row = CommitRow::decode(&value).ok_or_else(|| ReadError::Damaged("the commit number".into()))?;
            Ok(row.commit)
        }
    }
}

/// The names of commits that the store remembers. The committer forgets the oldest by order of name here, as their times are
/// not kept; all go within minutes.
fn outcomes(db: &Database, spaces: &Spaces) -> Result<Vec<Key>, OpenError> {
    let from = Bytes::from_static(&[OUTCOME_TABLE]);
    let to = prefix_end(&from);
    let keys = db.snapshot().range(spaces.space(Class::Rows), from..to).map(|guard| Ok(guard.key()?.into()));
    keys.collect::<fjall::Result<_>>().map_err(OpenError::from)
}

fn start(
    dir: &Path,
    config: &FjallConfig,
    (db, spaces, moment, journal): (Database, Arc<Spaces>, Moment, JournalRoom),
    commit: u64,
    mark: u64,
    lock: millpond_io::LockedFile,
) -> Result<FjallKv, OpenError> {
    let outcomes = outcomes(&db, &spaces)?;
    let (queue, messages) = mpsc::channel(MAX_QUEUE);
    let shared = Arc::new(Shared {
        db,
        spaces,
        moment: RwLock::new(Arc::new(moment)),
        queue: queue.downgrade(),
        watch: watch::Sender::new(commit),
        hub: AppendHub::default(),
        durable: AtomicU64::new(commit),
        counters: Counters::default(),
        low_space: AtomicBool::new(false),
        stopped: Mutex::new(None),
        closing: AtomicBool::new(false),
        upkeep: upkeep::Signal::default(),
        backlog: Backlog::default(),
    });
    let room = RoomKeeper::new(Arc::clone(&config.disk), dir, config.reserve)?;
    let committer = Committer::new(Arc::clone(&shared), room, journal, commit, outcomes);
    let inner = Inner { shared: Arc::clone(&shared), queue: Some(queue), threads: Mutex::new(Vec::new()), _lock: lock };
    let kv = FjallKv { inner: Arc::new(inner) };
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| -> Result<(), OpenError> {
        let thread: JoinHandle<()> = std::thread::Builder::new().name(name.into()).spawn(work)?;
        kv.inner.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(thread);
        Ok(())
    };
    spawn("meta-commit", Box::new(move || committer.run(messages)))?;
    let (marker, disk, at) = (Arc::clone(&shared), Arc::clone(&config.disk), dir.to_owned());
    spawn("meta-keep", Box::new(move || upkeep::keep(&marker, &*disk, &at, mark)))?;
    let (disk, at) = (Arc::clone(&config.disk), dir.to_owned());
    spawn("meta-merge", Box::new(move || upkeep::merge(&shared, &*disk, &at)))?;
    Ok(kv)
}

pub(super) fn fsck(dir: &Path, config: FjallConfig) -> Result<FsckReport, OpenError> {
    let lock = RealDisk.lock(&dir.join("lock"))?.ok_or_else(|| OpenError::Locked(dir.to_owned()))?;
    let fjall_dir = dir.join("fjall");
    let mut before = FsckReport::default();
    if config.disk.exists(&fjall_dir)? {
        for dir in manifest::damaged(&*config.disk, &fjall_dir)? {
            before.add("manifest", Bytes::new(), format!("the list of tables in {} is damaged", dir.display()));
        }
        for journal in journal::examine(&*config.disk, &fjall_dir)? {
            if let Finding::Damaged(at) = journal.finding {
                let what = format!("{} at byte {at}, with commits behind it", journal.path.display());
                before.add("journal", Bytes::new(), what);
            }
        }
    }
    drop(lock);
    if before.damages > 0 && !config.accept_loss {
        // Opening would refuse; the rows are looked at once the loss is accepted.
        return Ok(before);
    }
    let mut report = open(dir, config)?.verify();
    report.damages += before.damages;
    report.listed.extend(before.listed);
    Ok(report)
}
