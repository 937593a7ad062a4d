//! Crawls by events: only what a queue tells of is looked at (Developer Guide, "Accelerating crawls using Amazon S3 event notifications"). The first
//! crawl looks at everything. Messages are deleted when what they tell of is written.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use millpond_crawl::{Exclusions, events};
use millpond_hive::names::is_hidden;
use millpond_kernel::{Arrival, Delivery, Listed, Queues, ReceivedMessage};
use millpond_meta::key::prefix_range;
use millpond_meta::{Batch, Op};
use millpond_types::Arn;

use super::attach::{table_of, values};
use super::bodies::FolderBody;
use super::check;
use super::existing::Existing;
use super::look::{Looked, Place, folder_of};
use super::rows;
use super::run::{Crawl, Why};
use crate::state::Core;
use crate::tables::Id;

/// Messages that one crawl takes at most; what is left is the next one's.
const MAX_MESSAGES: usize = 100_000;
/// Messages that one call receives, and how long it waits for the first.
const MANY: usize = 10;
const WAIT: Duration = Duration::from_secs(1);
/// Rows of folders that are written in one commit.
const FOLDERS_TOGETHER: usize = 500;

/// What a queue tells of a target.
#[derive(Default)]
struct News {
    /// Keys by their last change: whether they were put.
    changes: BTreeMap<String, bool>,
    receipts: Vec<String>,
}

impl Core {
    /// The folders that a crawler has crawled.
    pub async fn seen(&self, crawler: Id) -> Result<HashSet<String>, Why> {
        let rows = self.rows(crate::tables::all_of(rows::SEEN, crawler)).await.map_err(|error| error.to_string())?;
        rows.iter().map(|(key, _)| rows::folder_of(key).map_err(|error| error.to_string())).collect()
    }

    /// Remembers folders that were crawled.
    pub async fn saw(&self, crawler: Id, folders: BTreeSet<String>) -> Result<(), Why> {
        let folders: Vec<String> = folders.into_iter().collect();
        for some in folders.chunks(FOLDERS_TOGETHER) {
            let ops = some.iter().map(|folder| Op::Put(rows::seen(crawler, folder), bytes::Bytes::new())).collect();
            let done = self.kv.commit(Batch { ops, ..Batch::default() }).await;
            done.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Forgets the folders that a crawler has crawled, some at a time.
    pub async fn forget_seen(&self, crawler: Id) -> Result<(), millpond_meta::ReadError> {
        let (from, to) = prefix_range(crate::tables::all_of(rows::SEEN, crawler));
        loop {
            let page = self.page(from.clone(), to.clone(), FOLDERS_TOGETHER).await?;
            if page.is_empty() {
                return Ok(());
            }
            let ops = page.into_iter().map(|(key, _)| Op::Delete(key)).collect();
            let done = self.kv.commit(Batch { ops, urgent: true, ..Batch::default() }).await;
            done.map_err(|error| millpond_meta::ReadError::Failed(error.to_string()))?;
        }
    }
}

impl Crawl<'_> {
    fn queues(&self) -> Result<Arc<dyn Queues>, Why> {
        self.glue.core.kernel.queues().ok_or_else(|| "Queues are not served.".to_owned())
    }

    /// One crawl by events.
    pub async fn by_events(&self, existing: &mut Existing) -> Result<(), Why> {
        let first = self.glue.core.seen(self.crawler.id).await?.is_empty();
        let mut all = Vec::new();
        for target in &self.body.folders {
            let queue = target.queue.as_deref().and_then(Arn::parse);
            let queue = queue.ok_or_else(|| "A target has no event queue.".to_owned())?;
            // What was told before the listing is in it.
            let news = self.news(target, &queue).await?;
            self.log.info(format!("{} messages tell of {} objects.", news.receipts.len(), news.changes.len()));
            all.push((target, queue, news));
        }
        if first {
            let folders = self.everything(existing).await?;
            // That there was a first crawl, also of nothing.
            let marked = folders.into_iter().chain([String::new()]).collect();
            self.glue.core.saw(self.crawler.id, marked).await?;
        }
        let mut touched = BTreeSet::new();
        for (target, queue, news) in all {
            if !first {
                self.change(existing, target, &news.changes, &mut touched).await?;
            }
            let queues = self.queues()?;
            for some in news.receipts.chunks(MANY) {
                let deleted = queues.delete(&queue, &self.caller, some).await;
                deleted.map_err(|rejection| rejection.to_string())?;
            }
        }
        Ok(())
    }

    /// Takes what a queue has.
    async fn news(&self, target: &FolderBody, queue: &Arn) -> Result<News, Why> {
        let queues = self.queues()?;
        let location = check::location(&target.path).map_err(|error| error.to_string())?;
        let (folder, exclusions) = (location.folder(), Exclusions::new(&target.exclusions));
        let exclusions = exclusions.map_err(|error| error.to_string())?;
        let mut news = News::default();
        while news.receipts.len() < MAX_MESSAGES {
            let received = queues.receive(queue, &self.caller, MANY, WAIT).await;
            let received = received.map_err(|rejection| format!("{rejection} (EventQueueArn)"))?;
            if received.is_empty() {
                return Ok(news);
            }
            for message in received {
                let read = std::str::from_utf8(&message.body).ok().and_then(|text| events(text).ok());
                let Some(changes) = read else {
                    self.dead(target, &message).await?;
                    news.receipts.push(message.receipt);
                    continue;
                };
                for event in changes {
                    let below = event.key.strip_prefix(&folder).filter(|_| event.bucket == location.bucket);
                    if below.is_some_and(|below| !is_hidden(below) && !exclusions.has(below)) {
                        news.changes.insert(event.key.clone(), event.created);
                    }
                }
                news.receipts.push(message.receipt);
            }
        }
        Ok(news)
    }

    /// A message that tells of nothing: to the dead-letter queue, where there is one.
    async fn dead(&self, target: &FolderBody, message: &ReceivedMessage) -> Result<(), Why> {
        self.log.warn(format!("The message {} is no event notification of Amazon S3.", message.id));
        let Some(to) = target.dead_letters.as_deref().and_then(Arn::parse) else { return Ok(()) };
        let core = &self.glue.core;
        let delivery = Delivery {
            id: core.random.u128(),
            body: message.body.clone(),
            attributes: Vec::new(),
            group: None,
            dedup: None,
            time: core.clock.now(),
            causes: message.causes.clone(),
            event: String::new(),
        };
        let arrived = core.kernel.targets().arrive(&to, &self.caller, &delivery).await;
        let Arrival { conds, ops } = arrived.map_err(|rejection| format!("{rejection} (DlqEventQueueArn)"))?;
        let done = core.kv.commit(Batch { conds, ops, ..Batch::default() }).await;
        done.map(drop).map_err(|error| error.to_string())
    }

    /// Looks at what was put, and at folders from which something was deleted.
    async fn change(
        &self,
        existing: &mut Existing,
        target: &FolderBody,
        changes: &BTreeMap<String, bool>,
        touched: &mut BTreeSet<String>,
    ) -> Result<(), Why> {
        let location = check::location(&target.path).map_err(|error| error.to_string())?;
        let place = Place { bucket: location.bucket.clone(), prefix: location.folder() };
        let mut objects = Vec::new();
        for (key, _) in changes.iter().filter(|(_, created)| **created) {
            let Some(below) = key.get(place.prefix.len()..).filter(|below| !below.is_empty() && !below.ends_with('/'))
            else {
                continue;
            };
            match self.reads.head(Arc::clone(&self.caller), &place.bucket, key).await {
                Ok(state) if state.size > 0 => {
                    let (etag, modified) = (state.etag, state.modified);
                    objects.push((below.to_owned(), Listed { key: key.clone(), size: state.size, etag, modified }));
                }
                Ok(_) => {}
                // It went meanwhile, of which another message tells.
                Err(error) if error.code == "NoSuchKey" || error.code == "NotFound" => {}
                Err(error) => return Err(super::run::refused(&error)),
            }
        }
        let leaves = self.leaves(&place, objects, target.sample).await?;
        let looked = Looked { place: place.clone(), leaves, single: None, folders: BTreeSet::new() };
        self.add(existing, looked, touched).await?;
        let emptied: BTreeSet<&str> =
            changes.iter().filter(|(_, created)| !**created).map(|(key, _)| folder_of(key)).collect();
        for folder in emptied {
            self.emptied(existing, &place, folder).await?;
        }
        Ok(())
    }

    /// Whether a folder has objects that tables show.
    async fn has_objects(&self, bucket: &str, folder: &str) -> Result<bool, Why> {
        let objects = self.list(bucket, folder).await?;
        let shown = |key: &str| key.get(folder.len()..).is_some_and(|below| !below.ends_with('/') && !is_hidden(below));
        Ok(objects.iter().any(|object| object.size > 0 && shown(&object.key)))
    }

    /// A folder from which something was deleted: if that was all of a partition or table, the policy says what becomes of it.
    async fn emptied(&self, existing: &mut Existing, place: &Place, folder: &str) -> Result<(), Why> {
        let location = format!("s3://{}/{folder}", place.bucket);
        let Some(table) = table_of(existing, &location).cloned() else { return Ok(()) };
        let root = check::location(table.storage.location.as_deref().unwrap_or_default());
        let root = root.map_err(|error| error.to_string())?;
        if !self.has_objects(&root.bucket, &root.folder()).await? {
            self.delete_table(&table).await?;
            if self.body.delete == "DELETE_FROM_DATABASE" {
                existing.0.remove(&table.name);
            }
            return Ok(());
        }
        let Some(values) = values(&table, &location).filter(|values| !values.is_empty()) else { return Ok(()) };
        let mut known = self.partitions(&table).await?;
        let Some(partition) = known.remove(&values) else { return Ok(()) };
        let at = check::location(partition.location.as_deref().unwrap_or_default());
        let at = at.map_err(|error| error.to_string())?;
        if !self.has_objects(&at.bucket, &at.folder()).await? {
            self.gone_partitions(&table, vec![(values, partition)]).await?;
        }
        Ok(())
    }
}
