//! A change being put together, and how it becomes a commit.

use millpond_meta::{Batch, CommitError, Committed, Cond, Kv, Op};
use millpond_types::{BucketName, ObjectKey};

use crate::buckets::CachedBucket;
use crate::error::{LakeError, Refused};
use crate::keys::{self, Counter};
use crate::lake::Lake;
use crate::limits::{KEY_LOCKS, MAX_ATTEMPTS};
use crate::model::{Bucket, Condition};
use crate::refs::{BodyRef, RefDeltas};
use crate::upkeep::WorkKind;

/// Conditions and changes of one commit, with what is added up over it.
#[derive(Default, Debug)]
pub(crate) struct Draft {
    pub conds: Vec<Cond>,
    pub ops: Vec<Op>,
    /// Frees space, so that it may use the reserve of a full disk.
    pub urgent: bool,
    bucket: u64,
    usage: [i64; 4],
    refs: RefDeltas,
}

impl Draft {
    /// A change in a bucket; its first condition is that the bucket's row stands as it was read, which pins that the bucket
    /// exists and how it versions.
    pub fn in_bucket(bucket: &CachedBucket) -> Self {
        Self {
            conds: vec![Cond::Equals(bucket.row_key.clone(), bucket.row.clone())],
            bucket: bucket.bucket.id,
            ..Self::default()
        }
    }

    /// A change of a bucket that may be gone: for cleaning up.
    pub fn in_any_bucket(bucket: u64) -> Self {
        Self { bucket, ..Self::default() }
    }

    pub fn count(&mut self, counter: Counter, n: i64) {
        self.usage[counter as usize] += n;
    }

    pub fn gain(&mut self, body: BodyRef) {
        self.refs.add(body, 1);
    }

    pub fn lose(&mut self, body: BodyRef) {
        self.refs.add(body, -1);
    }

    pub fn put(&mut self, key: millpond_meta::Key, value: bytes::Bytes) {
        self.ops.push(Op::Put(key, value));
    }

    pub fn delete(&mut self, key: millpond_meta::Key) {
        self.ops.push(Op::Delete(key));
    }

    pub fn equals(&mut self, key: millpond_meta::Key, value: bytes::Bytes) {
        self.conds.push(Cond::Equals(key, value));
    }

    pub fn absent(&mut self, key: millpond_meta::Key) {
        self.conds.push(Cond::Absent(key));
    }

    /// Leaves work for upkeep.
    pub fn work(&mut self, due: u64, kind: WorkKind, id: u128) {
        self.put(keys::work(due, kind as u8, id), bytes::Bytes::new());
    }

    /// Has `key` as it was read as a condition.
    pub fn as_read(&mut self, key: millpond_meta::Key, value: Option<&bytes::Bytes>) {
        match value {
            Some(value) => self.equals(key, value.clone()),
            None => self.absent(key),
        }
    }

    /// The batch, with references and counters settled.
    async fn batch(self, lake: &Lake) -> Result<Batch, LakeError> {
        let Self { mut conds, mut ops, urgent, bucket, usage, refs } = self;
        let due = lake.now().plus(lake.config().free_grace).0;
        refs.settle(lake, due, &mut conds, &mut ops).await?;
        for counter in [Counter::Objects, Counter::Bytes, Counter::Others, Counter::Uploads] {
            let n = usage[counter as usize];
            if n != 0 {
                ops.push(Op::Add(keys::usage(bucket, counter), n));
            }
        }
        Ok(Batch { conds, ops, idem: None, urgent })
    }
}

/// One change's place among those of the same key: optimistic at first, in line after a conflict.
pub(crate) struct Turn<'a> {
    lake: &'a Lake,
    /// The bucket's or upload's id: with the key it names the line to stand in.
    scope: u128,
    key: &'a str,
    attempts: u32,
    line: Option<tokio::sync::MutexGuard<'a, ()>>,
}

impl<'a> Turn<'a> {
    pub fn new(lake: &'a Lake, bucket: &Bucket, key: &'a ObjectKey) -> Self {
        Self { lake, scope: bucket.id.into(), key: key.as_str(), attempts: 0, line: None }
    }

    /// The turn of a change that concerns an upload's parts alone.
    pub fn of_part(lake: &'a Lake, upload: u128, key: &'a ObjectKey) -> Self {
        Self { lake, scope: upload, key: key.as_str(), attempts: 0, line: None }
    }

    /// What to do about a refused commit: an error to give up with, or nothing to try again.
    pub async fn again(
        &mut self,
        refused: Refused,
        bucket: Option<&BucketName>,
        condition: &Condition,
    ) -> Result<(), LakeError> {
        let first = match refused {
            Refused::Error(error) => return Err(error),
            Refused::Conflict { first } => first,
        };
        self.attempts += 1;
        if self.attempts >= MAX_ATTEMPTS {
            let plain = *condition == Condition::Always;
            return Err(if plain { LakeError::Busy } else { LakeError::ConditionalConflict });
        }
        if let Some(bucket) = bucket.filter(|_| first) {
            self.lake.refresh_bucket(bucket).await?;
        }
        if self.line.is_none() {
            self.line = Some(self.lake.key_lock(self.scope, self.key).lock().await);
        }
        Ok(())
    }
}

impl Lake {
    /// Commits a draft.
    pub(crate) async fn commit(&self, draft: Draft) -> Result<Committed, Refused> {
        let mut batch = draft.batch(self).await?;
        let provided = self.extend_batch(&mut batch);
        match self.kv().commit(batch).await {
            Err(CommitError::Conflict(at)) if provided.contains(&at) => Err(LakeError::Reconfigured.into()),
            committed => Ok(committed?),
        }
    }

    fn key_lock(&self, scope: u128, key: &str) -> &tokio::sync::Mutex<()> {
        use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((scope, key));
        &self.key_locks()[hash as usize % KEY_LOCKS]
    }
}

/// The engine, for what only writes.
pub(crate) type Engine = dyn Kv;
