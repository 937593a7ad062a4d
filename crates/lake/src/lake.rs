//! The lake itself: what it is made of, and how it is opened.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use millpond_blob::Blobs;
use millpond_io::{Clock, Random};
use millpond_meta::{Batch, Cond, Op};
use millpond_types::Timestamp;

use crate::accounts::Accounts;
use crate::buckets::Buckets;
use crate::draft::Engine;
use crate::error::LakeError;
use crate::journal::JournalReaders;
use crate::keys;
use crate::limits::{KEY_LOCKS, LakeConfig};
use crate::memory::Memory;
use crate::rows::{self, FORMAT, FormatRow, OLDEST_FORMAT};

/// Buckets, objects, versions, uploads and the change feed on one metadata engine and one blob store. Cheap to clone.
#[derive(Clone)]
pub struct Lake {
    inner: Arc<Inner>,
    /// What every change by this handle has as conditions besides its own.
    provided: Arc<[Cond]>,
    /// What every change by this handle does besides.
    also: Arc<[Op]>,
}

struct Inner {
    kv: Arc<Engine>,
    blobs: Blobs,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    config: LakeConfig,
    buckets: Buckets,
    accounts: Accounts,
    key_locks: Box<[tokio::sync::Mutex<()>]>,
    memory: Memory,
    pins: Mutex<HashMap<u128, u32>>,
    /// Whether the store knows which extents are live.
    live_loaded: tokio::sync::Mutex<bool>,
    /// Who reads the journals.
    readers: OnceLock<Arc<dyn JournalReaders>>,
}

impl Lake {
    /// Opens the lake on an engine and a store that belong together; begins an empty one when the engine is empty.
    ///
    /// Reads all bucket rows. Space is given back only while [`Lake::run_upkeep`] runs.
    pub async fn open(
        kv: Arc<Engine>,
        blobs: Blobs,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        config: LakeConfig,
    ) -> Result<Self, LakeError> {
        check_format(&*kv).await?;
        let buckets = Buckets::load(&*kv).await?;
        let accounts = Accounts::load(&*kv).await?;
        let key_locks = (0..KEY_LOCKS).map(|_| tokio::sync::Mutex::new(())).collect();
        let config = LakeConfig { min_part_bytes: config.min_part_bytes.max(1), ..config };
        let (pins, live_loaded) = (Mutex::default(), tokio::sync::Mutex::new(false));
        let memory = Memory::new(config.ingest_budget);
        let readers = OnceLock::new();
        let inner = Inner {
            kv,
            blobs,
            clock,
            random,
            config,
            buckets,
            accounts,
            key_locks,
            memory,
            pins,
            live_loaded,
            readers,
        };
        Ok(Self { inner: Arc::new(inner), provided: Arc::default(), also: Arc::default() })
    }

    /// Says who reads the journals, so that upkeep trims nothing that they have not read. The first word counts.
    pub fn read_by(&self, readers: Arc<dyn JournalReaders>) {
        // A second one would be a mistake of whoever puts the server together, and the first is as good.
        let _ = self.inner.readers.set(readers);
    }

    pub(crate) fn readers(&self) -> Option<&Arc<dyn JournalReaders>> {
        self.inner.readers.get()
    }

    pub(crate) fn kv(&self) -> &Engine {
        &*self.inner.kv
    }

    pub(crate) fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    pub(crate) fn random(&self) -> &dyn Random {
        &*self.inner.random
    }

    pub(crate) fn config(&self) -> &LakeConfig {
        &self.inner.config
    }

    pub(crate) fn buckets(&self) -> &Buckets {
        &self.inner.buckets
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.inner.accounts
    }

    /// The same lake, each of whose changes is only made while `cond` holds, and fails with [`LakeError::Reconfigured`] otherwise: for
    /// what was decided by something that is not in the lake.
    #[must_use]
    pub fn provided(&self, cond: Cond) -> Self {
        Self { provided: self.provided.iter().cloned().chain([cond]).collect(), ..self.clone() }
    }

    /// The same lake, each of whose changes does `op` too.
    #[must_use]
    pub fn also(&self, op: Op) -> Self {
        Self { also: self.also.iter().cloned().chain([op]).collect(), ..self.clone() }
    }

    /// Adds to a batch what this handle's changes have besides, and says where its conditions stand.
    pub(crate) fn extend_batch(&self, batch: &mut Batch) -> Range<usize> {
        batch.ops.extend_from_slice(&self.also);
        let first = batch.conds.len();
        batch.conds.extend_from_slice(&self.provided);
        first..batch.conds.len()
    }

    pub(crate) fn key_locks(&self) -> &[tokio::sync::Mutex<()>] {
        &self.inner.key_locks
    }

    pub(crate) fn live_loaded(&self) -> &tokio::sync::Mutex<bool> {
        &self.inner.live_loaded
    }

    /// Memory for bodies on their way in.
    pub(crate) fn memory(&self) -> &Memory {
        &self.inner.memory
    }

    /// Keeps upkeep from giving back a body's space while somebody reads it.
    pub(crate) fn pin(&self, id: u128) -> Pin {
        *self.pins().entry(id).or_insert(0) += 1;
        Pin { lake: self.clone(), id }
    }

    pub(crate) fn is_pinned(&self, id: u128) -> bool {
        self.pins().contains_key(&id)
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<u128, u32>> {
        // The map is whole whenever the lock is free, so that a panic elsewhere does not matter.
        self.inner.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that is being read.
pub(crate) struct Pin {
    lake: Lake,
    id: u128,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = self.lake.pins();
        if let Some(count) = pins.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.id);
            }
        }
    }
}

/// Refuses data of a newer version; marks an empty engine as ours, and one of an earlier version, so that that version does not take what
/// is encrypted from now on for plain.
async fn check_format(kv: &Engine) -> Result<(), LakeError> {
    let key = keys::format();
    let cond = match kv.get(&key).await? {
        Some(row) => {
            let FormatRow { format } = rows::decode("format", &row)?;
            match format {
                FORMAT => return Ok(()),
                newer if newer > FORMAT => return Err(LakeError::NewerFormat { found: newer, known: FORMAT }),
                OLDEST_FORMAT.. => Cond::Equals(key.clone(), row),
                _ => return Err(rows::damaged("format")),
            }
        }
        None => Cond::Absent(key.clone()),
    };
    let ops = vec![Op::Put(key, rows::encode(&FormatRow { format: FORMAT }))];
    let batch = Batch { conds: vec![cond], ops, ..Batch::default() };
    kv.commit(batch).await.map(drop).map_err(|e| LakeError::Internal(e.to_string()))
}
