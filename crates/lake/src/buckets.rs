//! Buckets: all of them in memory, kept true by every commit that changes one.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use millpond_meta::{Cond, Key, Op, Scan};
use millpond_types::{AccountId, BucketName, Origin};

use crate::draft::{Draft, Engine};
use crate::error::{LakeError, Refused};
use crate::journal::{Change, ChangeKind};
use crate::keys::{self, Counter, tables};
use crate::lake::Lake;
use crate::limits::{CONFIG_PAGE, MAX_ATTEMPTS, MAX_BUCKETS, MAX_CONFIG_BYTES, WALK_PAGE};
use crate::model::{Bucket, ConfigKind, Configs, Tags, Versioning};
use crate::requests::{NewBucket, Usage};
use crate::rows::{self, BucketRow};
use crate::upkeep::WorkKind;
use crate::walk::Walk;

/// A bucket with its row, which every change in it has as a condition.
#[derive(Debug)]
pub(crate) struct CachedBucket {
    pub bucket: Arc<Bucket>,
    pub row_key: Key,
    pub row: Bytes,
}

impl CachedBucket {
    fn new(bucket: Bucket) -> Arc<Self> {
        let row = rows::encode(&BucketRow::of(&bucket));
        Arc::new(Self { row_key: keys::bucket(bucket.name.as_str()), row, bucket: Arc::new(bucket) })
    }
}

/// The buckets in memory.
pub(crate) struct Buckets {
    by_name: RwLock<BTreeMap<BucketName, Arc<CachedBucket>>>,
    /// Held by whoever changes a bucket's row or reads it anew, from reading it to the update of the map: else two changes could
    /// reach the map in another order than the engine.
    changing: tokio::sync::Mutex<()>,
}

impl Buckets {
    /// Reads all buckets.
    pub async fn load(kv: &Engine) -> Result<Self, LakeError> {
        let (mut by_name, mut configs) = (BTreeMap::new(), load_configs(kv).await?);
        let mut walk = Walk::table(tables::BUCKET, WALK_PAGE);
        loop {
            let page = walk.next(kv).await?;
            if page.is_empty() {
                break;
            }
            for (key, row) in page {
                let cached = parse(&key, row, |id| configs.remove(&id).unwrap_or_default())?;
                by_name.insert(cached.bucket.name.clone(), cached);
            }
        }
        Ok(Self { by_name: RwLock::new(by_name), changing: tokio::sync::Mutex::new(()) })
    }

    fn get(&self, name: &BucketName) -> Option<Arc<CachedBucket>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn set(&self, name: &BucketName, cached: Option<Arc<CachedBucket>>) {
        let mut map = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        match cached {
            Some(cached) => map.insert(name.clone(), cached),
            None => map.remove(name),
        };
    }

    /// All buckets now.
    pub fn all(&self) -> Vec<Arc<CachedBucket>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// The configurations of all buckets, by their ids.
async fn load_configs(kv: &Engine) -> Result<HashMap<u64, Configs>, LakeError> {
    let mut configs: HashMap<u64, Configs> = HashMap::new();
    let mut walk = Walk::table(tables::CONFIG, CONFIG_PAGE);
    loop {
        let page = walk.next(kv).await?;
        if page.is_empty() {
            return Ok(configs);
        }
        for (key, row) in page {
            let (bucket, kind) = config_of(&key).ok_or_else(|| rows::damaged("configuration"))?;
            configs.entry(bucket).or_default().insert(kind, row);
        }
    }
}

/// The bucket's id and the kind of a configuration's row.
pub(crate) fn config_of(key: &[u8]) -> Option<(u64, ConfigKind)> {
    let [kind] = key.get(9..)? else { return None };
    Some((keys::u64_at(key, 1)?, ConfigKind::from_code(*kind)?))
}

fn parse(key: &Key, row: Bytes, configs: impl FnOnce(u64) -> Configs) -> Result<Arc<CachedBucket>, LakeError> {
    let name =
        std::str::from_utf8(&key[1..]).ok().and_then(|n| n.parse().ok()).ok_or_else(|| rows::damaged("bucket"))?;
    let decoded = rows::decode::<BucketRow>("bucket", &row)?;
    let configs = configs(decoded.id);
    let bucket = decoded.bucket(name, configs)?;
    Ok(Arc::new(CachedBucket { bucket: Arc::new(bucket), row_key: key.clone(), row }))
}

/// Runs a change of a bucket to its end even when the request is dropped midway: else the engine could know what the map does not.
pub(crate) async fn detached<T: Send + 'static>(
    change: impl Future<Output = Result<T, LakeError>> + Send + 'static,
) -> Result<T, LakeError> {
    tokio::spawn(change).await.map_err(|e| LakeError::Internal(format!("a bucket's change failed: {e}")))?
}

pub(crate) fn fits(value: &Bytes) -> Result<(), LakeError> {
    let (size, max) = (value.len(), MAX_CONFIG_BYTES);
    if size <= max { Ok(()) } else { Err(LakeError::ConfigTooLarge { size, max }) }
}

impl Lake {
    /// Creates a bucket.
    ///
    /// # Errors
    /// `BucketAlreadyOwnedByYou`, `BucketAlreadyExists`, `TooManyBuckets`, `ConfigTooLarge`.
    pub async fn create_bucket(&self, new: NewBucket, origin: &Origin) -> Result<Arc<Bucket>, LakeError> {
        let (lake, origin) = (self.clone(), origin.clone());
        detached(async move { lake.create_bucket_now(new, &origin).await }).await
    }

    async fn create_bucket_now(&self, new: NewBucket, origin: &Origin) -> Result<Arc<Bucket>, LakeError> {
        new.configs.values().try_for_each(fits)?;
        let _changing = self.buckets().changing.lock().await;
        for _ in 0..MAX_ATTEMPTS {
            if let Some(known) = self.reread_bucket(&new.name).await? {
                let own = known.bucket.owner == new.owner;
                return Err(if own { LakeError::BucketAlreadyOwnedByYou } else { LakeError::BucketAlreadyExists });
            }
            if self.buckets().all().len() >= MAX_BUCKETS {
                return Err(LakeError::TooManyBuckets);
            }
            let ids = self.kv().get(&keys::bucket_ids()).await?;
            let bucket = Bucket {
                name: new.name.clone(),
                id: rows::counter(ids.as_ref())?.unsigned_abs() + 1,
                owner: new.owner,
                created: self.now(),
                region: new.region.clone(),
                versioning: Versioning::Unset,
                tags: new.tags.clone(),
                revision: u64::from(!new.configs.is_empty()),
                configs: Arc::new(new.configs.clone()),
            };
            let cached = CachedBucket::new(bucket);
            let mut draft = Draft::in_any_bucket(cached.bucket.id);
            draft.absent(cached.row_key.clone());
            draft.as_read(keys::bucket_ids(), ids.as_ref());
            draft.put(cached.row_key.clone(), cached.row.clone());
            for (kind, value) in &new.configs {
                draft.put(keys::config(cached.bucket.id, *kind), value.clone());
            }
            draft.ops.push(Op::Add(keys::bucket_ids(), 1));
            draft.journal(Change::of_bucket(ChangeKind::BucketCreated, &cached.bucket, self.now(), origin));
            match self.commit(draft).await {
                Ok(_) => {
                    self.buckets().set(&new.name, Some(cached.clone()));
                    return Ok(cached.bucket.clone());
                }
                Err(Refused::Conflict { .. }) => {}
                Err(Refused::Error(error)) => return Err(error),
            }
        }
        Err(LakeError::Busy)
    }

    /// All buckets, in the order of their names.
    pub fn all_buckets(&self) -> Vec<Arc<Bucket>> {
        self.buckets().all().into_iter().map(|cached| cached.bucket.clone()).collect()
    }

    /// A bucket by name, if there is one.
    pub fn known_bucket(&self, name: &BucketName) -> Option<Arc<Bucket>> {
        self.buckets().get(name).map(|cached| cached.bucket.clone())
    }

    /// A bucket by name.
    pub async fn bucket(&self, name: &BucketName) -> Result<Arc<Bucket>, LakeError> {
        self.buckets().get(name).map(|cached| cached.bucket.clone()).ok_or(LakeError::NoSuchBucket)
    }

    /// The buckets of an owner in the order of their names: those that begin with `prefix` and lie behind `after`, at most `limit`.
    pub async fn list_buckets(
        &self,
        owner: &AccountId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Arc<Bucket>>, LakeError> {
        let map = self.buckets().by_name.read().unwrap_or_else(PoisonError::into_inner);
        // A name that is no bucket name can still be a marker; names compare as their bytes.
        let behind = |name: &BucketName| after.is_none_or(|after| name.as_str() > after);
        Ok(map
            .iter()
            .filter(|(name, cached)| cached.bucket.owner == *owner && name.as_str().starts_with(prefix) && behind(name))
            .take(limit)
            .map(|(_, cached)| cached.bucket.clone())
            .collect())
    }

    /// Deletes a bucket that holds no version of any key. Open uploads do not hold it: upkeep aborts them.
    pub async fn delete_bucket(&self, bucket: &Bucket, origin: &Origin) -> Result<(), LakeError> {
        let (lake, bucket, origin) = (self.clone(), bucket.clone(), origin.clone());
        detached(async move { lake.delete_bucket_now(&bucket, &origin).await }).await
    }

    async fn delete_bucket_now(&self, bucket: &Bucket, origin: &Origin) -> Result<(), LakeError> {
        let _changing = self.buckets().changing.lock().await;
        for _ in 0..MAX_ATTEMPTS {
            let cached = self.decided(bucket)?;
            let id = cached.bucket.id;
            let held = [Counter::Objects, Counter::Others].map(|counter| keys::usage(id, counter));
            for counter in &held {
                if self.kv().get(counter).await?.is_some() {
                    return Err(LakeError::BucketNotEmpty);
                }
            }
            let mut draft = Draft::in_bucket(&cached);
            draft.urgent = true;
            draft.conds.extend(held.map(Cond::Absent));
            draft.delete(cached.row_key.clone());
            for kind in cached.bucket.configs.keys() {
                draft.delete(keys::config(id, *kind));
            }
            let now = self.now();
            draft.work(now.0, WorkKind::BucketUploads, id.into());
            draft.work(now.plus(self.config().journal_keep).0, WorkKind::BucketJournal, id.into());
            draft.journal(Change::of_bucket(ChangeKind::BucketDeleted, &cached.bucket, now, origin));
            match self.commit(draft).await {
                Ok(_) => {
                    self.buckets().set(&bucket.name, None);
                    return Ok(());
                }
                Err(Refused::Conflict { .. }) => self.reread_bucket(&bucket.name).await.map(drop)?,
                Err(Refused::Error(error)) => return Err(error),
            }
        }
        Err(LakeError::Busy)
    }

    /// Sets what writes to a bucket do. `Unset` is refused as it cannot be reached again.
    pub async fn set_versioning(
        &self,
        bucket: &Bucket,
        versioning: Versioning,
        origin: &Origin,
    ) -> Result<Arc<Bucket>, LakeError> {
        if versioning == Versioning::Unset && bucket.versioning != Versioning::Unset {
            return Err(LakeError::Internal("versioning that was enabled can be suspended only".into()));
        }
        self.change_bucket(bucket, origin, (ChangeKind::BucketVersioning, None), move |bucket| {
            bucket.versioning = versioning
        })
        .await
    }

    /// Replaces a bucket's tags; `None` removes the tag set.
    pub async fn set_bucket_tags(
        &self,
        bucket: &Bucket,
        tags: Option<Tags>,
        origin: &Origin,
    ) -> Result<Arc<Bucket>, LakeError> {
        self.change_bucket(bucket, origin, (ChangeKind::BucketTagging, None), move |bucket| {
            bucket.tags.clone_from(&tags)
        })
        .await
    }

    /// Sets a configuration of a bucket; `None` removes it. Whoever decided something of the bucket before has to decide anew.
    ///
    /// # Errors
    /// `ConfigTooLarge`, `Reconfigured`.
    pub async fn set_config(
        &self,
        bucket: &Bucket,
        kind: ConfigKind,
        value: Option<Bytes>,
        origin: &Origin,
    ) -> Result<Arc<Bucket>, LakeError> {
        value.iter().try_for_each(fits)?;
        let told = (kind == ConfigKind::Notifications).then_some(kind);
        let change = move |bucket: &mut Bucket| {
            let configs = Arc::make_mut(&mut bucket.configs);
            match &value {
                Some(value) => configs.insert(kind, value.clone()),
                None => configs.remove(&kind),
            };
            // Also when the value is the one that it has: who sets it wants to be after whoever is under way.
            bucket.revision += 1;
        };
        self.change_bucket(bucket, origin, (ChangeKind::BucketConfiguration, told), change).await
    }

    async fn change_bucket(
        &self,
        bucket: &Bucket,
        origin: &Origin,
        kind: (ChangeKind, Option<ConfigKind>),
        change: impl Fn(&mut Bucket) + Send + Sync + 'static,
    ) -> Result<Arc<Bucket>, LakeError> {
        let (lake, bucket, origin) = (self.clone(), bucket.clone(), origin.clone());
        detached(async move { lake.change_bucket_now(&bucket, &origin, kind, change).await }).await
    }

    async fn change_bucket_now(
        &self,
        bucket: &Bucket,
        origin: &Origin,
        (kind, told): (ChangeKind, Option<ConfigKind>),
        change: impl Fn(&mut Bucket) + Send + Sync,
    ) -> Result<Arc<Bucket>, LakeError> {
        let _changing = self.buckets().changing.lock().await;
        for _ in 0..MAX_ATTEMPTS {
            let cached = self.decided(bucket)?;
            let mut changed = (*cached.bucket).clone();
            change(&mut changed);
            let changed = CachedBucket::new(changed);
            let mut draft = Draft::in_bucket(&cached);
            draft.put(changed.row_key.clone(), changed.row.clone());
            for kind in ConfigKind::ALL {
                let key = keys::config(cached.bucket.id, kind);
                match (cached.bucket.config(kind), changed.bucket.config(kind)) {
                    (before, Some(now)) if before != Some(now) => draft.put(key, now.clone()),
                    (Some(_), None) => draft.delete(key),
                    _ => {}
                }
            }
            let entry = Change::of_bucket(kind, &changed.bucket, self.now(), origin);
            draft.journal(match told {
                Some(told) => entry.with_config(told, changed.bucket.config(told)),
                None => entry,
            });
            match self.commit(draft).await {
                Ok(_) => {
                    self.buckets().set(&bucket.name, Some(changed.clone()));
                    return Ok(changed.bucket.clone());
                }
                Err(Refused::Conflict { .. }) => self.reread_bucket(&bucket.name).await.map(drop)?,
                Err(Refused::Error(error)) => return Err(error),
            }
        }
        Err(LakeError::Busy)
    }

    /// What a bucket holds.
    pub async fn bucket_usage(&self, bucket: &Bucket) -> Result<Usage, LakeError> {
        let mut counts = [0u64; 4];
        for counter in [Counter::Objects, Counter::Bytes, Counter::Others, Counter::Uploads] {
            let row = self.kv().get(&keys::usage(bucket.id, counter)).await?;
            counts[counter as usize] =
                u64::try_from(rows::counter(row.as_ref())?).map_err(|_| rows::damaged("usage"))?;
        }
        let [objects, bytes, others, uploads] = counts;
        Ok(Usage { objects, bytes, versions: objects + others, uploads })
    }

    /// The bucket as it stands now, provided that it is still the same one.
    pub(crate) fn cached(&self, bucket: &Bucket) -> Result<Arc<CachedBucket>, LakeError> {
        self.buckets().get(&bucket.name).filter(|cached| cached.bucket.id == bucket.id).ok_or(LakeError::NoSuchBucket)
    }

    /// The same for changes: it must also be configured as it was when the change was decided.
    pub(crate) fn decided(&self, bucket: &Bucket) -> Result<Arc<CachedBucket>, LakeError> {
        let cached = self.cached(bucket)?;
        if cached.bucket.revision == bucket.revision { Ok(cached) } else { Err(LakeError::Reconfigured) }
    }

    /// Reads a bucket's row anew after it proved to be another than in memory. Waits for changes of buckets that are under way: what was read
    /// beside one of them could reach the map after it.
    pub(crate) async fn refresh_bucket(&self, name: &BucketName) -> Result<(), LakeError> {
        let _changing = self.buckets().changing.lock().await;
        self.reread_bucket(name).await.map(drop)
    }

    /// The same for who holds `changing`.
    async fn reread_bucket(&self, name: &BucketName) -> Result<Option<Arc<CachedBucket>>, LakeError> {
        let key = keys::bucket(name.as_str());
        let cached = match self.kv().get(&key).await? {
            Some(row) => self.with_configs(name, &key, row).await?,
            None => None,
        };
        self.buckets().set(name, cached.clone());
        Ok(cached)
    }
    /// A bucket's row with its configurations: those in memory when they are of the row's revision, else both as of one moment.
    async fn with_configs(
        &self,
        name: &BucketName,
        key: &Key,
        row: Bytes,
    ) -> Result<Option<Arc<CachedBucket>>, LakeError> {
        let BucketRow { id, revision, .. } = rows::decode("bucket", &row)?;
        let known = self.buckets().get(name).filter(|known| (known.bucket.id, known.bucket.revision) == (id, revision));
        if let Some(known) = known {
            return Ok(Some(parse(key, row, |_| (*known.bucket.configs).clone())?));
        }
        let view = self.kv().snapshot().await?;
        let Some(row) = view.get(key).await? else { return Ok(None) };
        let of = keys::configs_of(rows::decode::<BucketRow>("bucket", &row)?.id);
        let to = Bound::Excluded(keys::behind(&of));
        let scan = Scan { from: Bound::Included(of), to, reverse: false, limit: ConfigKind::ALL.len() };
        let mut configs = Configs::new();
        for (key, value) in view.scan(scan).await? {
            let (_, kind) = config_of(&key).ok_or_else(|| rows::damaged("configuration"))?;
            configs.insert(kind, value);
        }
        Ok(Some(parse(key, row, |_| configs)?))
    }
}
