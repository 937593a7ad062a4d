//! Upkeep: what is done later. Space is given back, uploads that are over are cleared away, old change entries are trimmed.
//!
//! Work is a queue of rows, ordered by when they are due. Each kind can be done again from the beginning after a crash: what it
//! removes, it removes in the commit that also drops the references, and its row goes last.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use millpond_blob::{BlobError, ExtentId, Location, Move, Moved, Mover};
use millpond_meta::{Batch, CommitError, Cond, Key, Op, Position, ReadError};

use crate::draft::Draft;
use crate::error::{LakeError, Refused};
use crate::journal;
use crate::keys::{self, tables};
use crate::lake::Lake;
use crate::limits::{CLEAN_REFS, TRIM_ROWS, WALK_PAGE, WORK_PAGE};
use crate::multipart::{end_upload, lose_slices};
use crate::refs::RefKind;
use crate::rows::{self, ManifestRow, PartRow, WorkRow};
use crate::walk::Walk;

/// How often segments are looked through for space to reclaim.
const RECLAIM_EVERY: Duration = Duration::from_secs(10);
/// How often the journal is trimmed.
const TRIM_EVERY: Duration = Duration::from_secs(60);
/// How often files that nobody names are looked for. They come from crashes alone, so that the sweep at the start finds nearly all.
const SWEEP_EVERY: Duration = Duration::from_secs(6 * 3600);
/// How long upkeep rests after it failed, as what failed it may last.
const REST: Duration = Duration::from_secs(10);
/// Marks a manifest in the making that was given up: the completion that wanted it finds its condition broken.
pub(crate) const CONDEMNED: &[u8] = b"condemned";

/// The kinds of work. The numbers are part of the disk format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum WorkKind {
    /// An inline body without references.
    FreeInline = RefKind::Inline as u8,
    /// An extent without references.
    FreeExtent = RefKind::Extent as u8,
    /// A manifest without references.
    FreeManifest = RefKind::Manifest as u8,
    /// An upload that was completed or aborted: its part rows.
    PartsOver = 4,
    /// Manifest rows of a completion that did not come to its end.
    Tentative = 5,
    /// The result of a completion that is kept no longer.
    DoneExpired = 6,
    /// The uploads of a deleted bucket.
    BucketUploads = 7,
    /// The change entries of a deleted bucket.
    BucketJournal = 8,
}

impl WorkKind {
    pub fn from_code(code: u8) -> Option<Self> {
        [
            Self::FreeInline,
            Self::FreeExtent,
            Self::FreeManifest,
            Self::PartsOver,
            Self::Tentative,
            Self::DoneExpired,
            Self::BucketUploads,
            Self::BucketJournal,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == code)
    }
}

/// What a pass of upkeep did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Upkept {
    /// Work rows that were done.
    pub done: u64,
    /// Work rows that are due and wait for readers or for the next pass.
    pub waiting: u64,
    /// Change entries trimmed.
    pub trimmed: u64,
    /// Segments given back.
    pub segments: u64,
    /// Orphaned files removed.
    pub orphans: u64,
}

/// A work row.
struct Work {
    at: Key,
    value: Bytes,
    kind: WorkKind,
    id: u128,
}

impl Work {
    fn parse(at: Key, value: Bytes) -> Result<Self, LakeError> {
        let kind = at.get(9).copied().and_then(WorkKind::from_code).ok_or_else(|| rows::damaged("work"))?;
        let id = keys::u128_at(&at, 10).ok_or_else(|| rows::damaged("work"))?;
        Ok(Self { at, value, kind, id })
    }
}

/// Work on damaged rows stays for later, perhaps for ever; the rest goes on.
fn passed_over(error: &LakeError, upkept: &mut Upkept) {
    tracing::error!(%error, "upkeep passes over damaged rows; run fsck");
    upkept.waiting += 1;
}

impl Lake {
    /// Does the lake's upkeep until `shutdown` is done. Run it once, in a task of its own.
    pub async fn run_upkeep(self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        tokio::select! {
            () = &mut shutdown => {}
            () = self.upkeep_forever() => {}
        }
    }

    async fn upkeep_forever(&self) {
        let every = self.config().upkeep_every;
        let mut since = [TRIM_EVERY, RECLAIM_EVERY, SWEEP_EVERY];
        loop {
            // Until that is done no segment is given back; everything else goes on.
            if let Err(error) = self.load_live().await {
                tracing::error!(%error, "live extents could not be counted; space is not reclaimed until they are");
                tokio::time::sleep(REST).await;
            }
            let [trim, reclaim, sweep] = &mut since;
            let jobs = (due(trim, TRIM_EVERY), due(reclaim, RECLAIM_EVERY), due(sweep, SWEEP_EVERY));
            if let Err(error) = self.upkeep_pass(jobs).await {
                tracing::warn!(%error, "upkeep failed and is tried again");
                tokio::time::sleep(REST).await;
            }
            tokio::time::sleep(every).await;
            since.iter_mut().for_each(|since| *since += every);
        }
    }

    /// Does everything that is due now. For tests and offline repair; [`Lake::run_upkeep`] does it in a running server.
    pub async fn upkeep_once(&self) -> Result<Upkept, LakeError> {
        self.load_live().await?;
        self.upkeep_pass((true, true, true)).await
    }

    /// Each job is done whatever became of the one before: damage in one place must not fill the disk in another. The first error
    /// is returned.
    async fn upkeep_pass(&self, (trim, reclaim, sweep): (bool, bool, bool)) -> Result<Upkept, LakeError> {
        self.check_running()?;
        let mut upkept = Upkept::default();
        let mut outcome = self.do_work(&mut upkept).await;
        if trim {
            outcome = outcome.and(self.trim_journals().await.map(|trimmed| upkept.trimmed = trimmed));
        }
        if reclaim {
            // First, as what is not settled holds its segment.
            outcome = outcome.and(self.blobs().settle(self).await.map_err(LakeError::from).map(drop));
            let reclaimed = self.blobs().reclaim(self).await.map_err(LakeError::from);
            outcome = outcome.and(reclaimed.map(|reclaimed| upkept.segments = reclaimed.segments));
        }
        if sweep {
            let swept = self.blobs().sweep(self).await.map_err(LakeError::from);
            outcome = outcome.and(swept.map(|swept| upkept.orphans = swept.removed));
        }
        outcome.map(|()| upkept)
    }

    /// Once the metadata has stopped, what it shows is not what a restart may find: a commit whose outcome is unknown can name
    /// bytes that look like orphans now. Nothing is given back then.
    fn check_running(&self) -> Result<(), LakeError> {
        self.kv().stopped().map_or(Ok(()), |why| Err(LakeError::ReadOnly(why)))
    }

    /// Tells the store which extents are live, so that it knows which segments are worth reclaiming. Once: it keeps count from then on.
    async fn load_live(&self) -> Result<(), LakeError> {
        let mut loaded = self.live_loaded().lock().await;
        if *loaded {
            return Ok(());
        }
        let view = self.kv().snapshot().await?;
        let mut walk = Walk::table(tables::EXTENT, WALK_PAGE);
        loop {
            let page = walk.next(&*view).await?;
            if page.is_empty() {
                break;
            }
            let mut live = Vec::with_capacity(page.len());
            for (key, row) in page {
                let id = keys::u128_at(&key, 1).ok_or_else(|| rows::damaged("extent"))?;
                live.push((ExtentId(id), rows::location_of(&row)?));
            }
            let lost = self.blobs().load_live(live);
            if lost > 0 {
                tracing::error!(extents = lost, "extents lie in segments that do not exist; run fsck");
            }
            tokio::task::yield_now().await;
        }
        self.blobs().load_done();
        *loaded = true;
        Ok(())
    }

    async fn do_work(&self, upkept: &mut Upkept) -> Result<(), LakeError> {
        let now = self.now().0;
        let mut walk = Walk::range(keys::table(tables::WORK), keys::work_after(now), WORK_PAGE);
        loop {
            let page = walk.next(self.kv()).await?;
            if page.is_empty() {
                return Ok(());
            }
            let mut simple = Vec::new();
            for (at, value) in page {
                let work = match Work::parse(at, value) {
                    Ok(work) => work,
                    Err(error) => {
                        passed_over(&error, upkept);
                        continue;
                    }
                };
                match work.kind {
                    WorkKind::FreeInline | WorkKind::FreeExtent | WorkKind::DoneExpired => simple.push(work),
                    _ if self.is_pinned(work.id) => upkept.waiting += 1,
                    _ => match self.do_one(&work).await {
                        Ok(()) => upkept.done += 1,
                        Err(LakeError::Busy) => upkept.waiting += 1,
                        Err(error @ LakeError::Damaged(_)) => passed_over(&error, upkept),
                        Err(error) => return Err(error),
                    },
                }
            }
            self.do_simple(&simple, upkept).await?;
        }
    }

    /// Work that is a row or two: all of a page in one commit.
    async fn do_simple(&self, page: &[Work], upkept: &mut Upkept) -> Result<(), LakeError> {
        if page.is_empty() {
            return Ok(());
        }
        let mut batch = Batch { urgent: true, ..Batch::default() };
        let mut extents = Vec::new();
        for work in page {
            match work.kind {
                WorkKind::FreeExtent => {
                    let key = keys::extent(work.id);
                    let found = match self.extent_row(&key).await {
                        Err(error @ LakeError::Damaged(_)) => {
                            passed_over(&error, upkept);
                            continue;
                        }
                        found => found?,
                    };
                    if let Some((row, at)) = found {
                        extents.push((ExtentId(work.id), at));
                        batch.conds.push(Cond::Equals(key.clone(), row));
                        batch.ops.push(Op::Delete(key));
                    }
                }
                WorkKind::DoneExpired => batch.ops.push(Op::Delete(keys::done(work.id))),
                _ => batch.ops.push(Op::Delete(keys::inline(work.id))),
            }
            batch.ops.push(Op::Delete(work.at.clone()));
        }
        match self.kv().commit(batch).await.map_err(Refused::from) {
            Ok(_) => {
                upkept.done += page.len() as u64;
                // After the commit: were it the other way round, a crash could leave rows that name nothing. What a crash leaves
                // now, the sweep at the next start finds.
                Ok(self.blobs().delete(&extents).await?)
            }
            // An extent is being moved. The next pass meets it at its new place.
            Err(Refused::Conflict { .. }) => {
                upkept.waiting += page.len() as u64;
                Ok(())
            }
            Err(Refused::Error(error)) => Err(error),
        }
    }

    async fn extent_row(&self, key: &Key) -> Result<Option<(Bytes, Location)>, LakeError> {
        let Some(row) = self.kv().get(key).await? else { return Ok(None) };
        let at = rows::location_of(&row)?;
        Ok(Some((row, at)))
    }

    async fn do_one(&self, work: &Work) -> Result<(), LakeError> {
        match work.kind {
            WorkKind::FreeManifest => self.free_manifest(work).await,
            WorkKind::PartsOver => self.clear_parts(work).await,
            WorkKind::Tentative => self.clear_tentative(work).await,
            WorkKind::BucketUploads => self.abort_uploads(work).await,
            WorkKind::BucketJournal => {
                let bucket = u64::try_from(work.id).map_err(|_| rows::damaged("work"))?;
                if !self.journal_is_read(bucket).await? {
                    return Err(LakeError::Busy);
                }
                let stream = keys::journal(bucket);
                self.clear_rows(stream.clone()).await?;
                let mut ops = self.readers().map(|readers| readers.gone(&stream)).unwrap_or_default();
                ops.push(Op::Delete(work.at.clone()));
                self.settle(Batch { ops, urgent: true, ..Batch::default() }).await.map(drop)
            }
            WorkKind::FreeInline | WorkKind::FreeExtent | WorkKind::DoneExpired => Ok(()),
        }
    }

    async fn work_done(&self, work: &Work) -> Result<(), LakeError> {
        let ops = vec![Op::Delete(work.at.clone())];
        self.settle(Batch { ops, urgent: true, ..Batch::default() }).await.map(drop)
    }

    /// Commits a batch that gives something up; false when it was in the way of somebody.
    async fn settle(&self, batch: Batch) -> Result<bool, LakeError> {
        match self.kv().commit(batch).await.map_err(Refused::from) {
            Ok(_) => Ok(true),
            Err(Refused::Conflict { .. }) => Ok(false),
            Err(Refused::Error(error)) => Err(error),
        }
    }

    /// Commits a draft that drops references; when another drops or gains one of them at the same time, the rest is left to the next pass.
    async fn clean(&self, mut draft: Draft) -> Result<(), LakeError> {
        draft.urgent = true;
        match self.commit(draft).await {
            Ok(_) => Ok(()),
            Err(Refused::Conflict { .. }) => Err(LakeError::Busy),
            Err(Refused::Error(error)) => Err(error),
        }
    }

    /// Drops the references of a manifest's rows, row by row, each in the commit that removes the row.
    async fn free_manifest(&self, work: &Work) -> Result<(), LakeError> {
        let mut walk = Walk::prefix(keys::manifest(work.id, 0).slice(..17), 1);
        loop {
            let page = walk.next(self.kv()).await?;
            let Some((key, row)) = page.into_iter().next() else { return self.work_done(work).await };
            let ManifestRow { parts } = rows::decode("manifest", &row)?;
            let mut draft = Draft::in_any_bucket(0);
            draft.equals(key.clone(), row);
            draft.delete(key);
            for part in &parts {
                lose_slices(&mut draft, part)?;
            }
            self.clean(draft).await?;
        }
    }

    /// Removes the part rows of an upload that is over, and drops the references of those that went into no object.
    async fn clear_parts(&self, work: &Work) -> Result<(), LakeError> {
        let WorkRow { kept } = rows::decode("work", &work.value)?;
        let mut walk = Walk::prefix(keys::parts_of(work.id), WALK_PAGE);
        loop {
            let page = walk.next(self.kv()).await?;
            if page.is_empty() {
                return self.work_done(work).await;
            }
            let (mut draft, mut refs) = (Draft::in_any_bucket(0), 0);
            for (key, row) in page {
                let part: PartRow = rows::decode("part", &row)?;
                if !is_kept(&kept, part.number()?) {
                    if refs + part.slices.len() > CLEAN_REFS {
                        self.clean(std::mem::replace(&mut draft, Draft::in_any_bucket(0))).await?;
                        refs = 0;
                    }
                    refs += part.slices.len();
                    lose_slices(&mut draft, &part)?;
                }
                draft.delete(key);
            }
            self.clean(draft).await?;
        }
    }

    /// Removes the rows of a manifest that no object came to name. Their references are those of the parts.
    async fn clear_tentative(&self, work: &Work) -> Result<(), LakeError> {
        if work.value != CONDEMNED {
            let conds = vec![Cond::Equals(work.at.clone(), work.value.clone())];
            let ops = vec![Op::Put(work.at.clone(), Bytes::from_static(CONDEMNED))];
            if !self.settle(Batch { conds, ops, urgent: true, ..Batch::default() }).await? {
                // The completion came to its end after all.
                return Ok(());
            }
        }
        self.clear_rows(keys::manifest(work.id, 0).slice(..17)).await?;
        self.work_done(work).await
    }

    /// Ends all uploads of a deleted bucket.
    async fn abort_uploads(&self, work: &Work) -> Result<(), LakeError> {
        let bucket = u64::try_from(work.id).map_err(|_| rows::damaged("work"))?;
        let mut walk = Walk::prefix(keys::raised_prefix(tables::UPLOAD, bucket, ""), WALK_PAGE);
        loop {
            let page = walk.next(self.kv()).await?;
            if page.is_empty() {
                return self.work_done(work).await;
            }
            for (key, row) in page {
                let (_, tail) = keys::raised_key_of(&key).ok_or_else(|| rows::damaged("upload"))?;
                let id = keys::u128_at(tail, 0).ok_or_else(|| rows::damaged("upload"))?;
                let mut draft = Draft::in_any_bucket(bucket);
                draft.equals(key.clone(), row);
                end_upload(&mut draft, key, id);
                draft.work(self.now().0, WorkKind::PartsOver, id);
                self.clean(draft).await?;
            }
        }
    }

    /// Removes all rows whose keys begin with `prefix`, a batch at a time.
    async fn clear_rows(&self, prefix: Key) -> Result<(), LakeError> {
        let mut walk = Walk::prefix(prefix, TRIM_ROWS);
        loop {
            let page = walk.next(self.kv()).await?;
            if page.is_empty() {
                return Ok(());
            }
            let ops = page.into_iter().map(|(key, _)| Op::Delete(key)).collect();
            self.settle(Batch { ops, urgent: true, ..Batch::default() }).await?;
        }
    }

    /// Removes change entries that are too old by time or by number, and that all readers of their journal have read.
    async fn trim_journals(&self) -> Result<u64, LakeError> {
        let oldest =
            self.now().0.saturating_sub(u64::try_from(self.config().journal_keep.as_nanos()).unwrap_or(u64::MAX));
        let newest_commit = *self.kv().watch().borrow();
        let first_commit = newest_commit.saturating_sub(self.config().journal_commits);
        let mut trimmed = 0;
        for bucket in self.buckets().all() {
            let floor = self.journal_floor(bucket.bucket.id);
            let unread = |key: &[u8]| floor.is_some_and(|floor| Position::from_key(key) > Some(floor));
            let mut walk = Walk::prefix(keys::journal(bucket.bucket.id), TRIM_ROWS);
            loop {
                let page = walk.next(self.kv()).await?;
                let (rows, mut old) = (page.len(), Vec::new());
                for (key, row) in page {
                    if unread(&key) || !journal::is_old(&key, &row, oldest, first_commit)? {
                        break;
                    }
                    old.push(Op::Delete(key));
                }
                let all = old.len() == rows;
                trimmed += old.len() as u64;
                if !old.is_empty() {
                    self.settle(Batch { ops: old, urgent: true, ..Batch::default() }).await?;
                }
                if rows == 0 || !all {
                    break;
                }
            }
        }
        Ok(trimmed)
    }
}

/// Whether a job that was last done `since` ago is due; then its time begins anew.
fn due(since: &mut Duration, every: Duration) -> bool {
    let due = *since >= every;
    if due {
        *since = Duration::ZERO;
    }
    due
}

/// Whether a part went into the object.
pub(crate) fn is_kept(kept: &[u8], number: u16) -> bool {
    kept.get(usize::from(number) / 8).is_some_and(|byte| byte & (1 << (number % 8)) != 0)
}

fn unavailable(error: impl std::fmt::Display) -> BlobError {
    BlobError::Metadata(error.to_string())
}

impl Mover for Lake {
    fn locate<'a>(
        &'a self,
        extents: &'a [ExtentId],
    ) -> millpond_blob::BoxFuture<'a, Result<Vec<Option<Location>>, BlobError>> {
        Box::pin(async move {
            self.check_running().map_err(unavailable)?;
            let mut places = Vec::with_capacity(extents.len());
            for extent in extents {
                let row = self.kv().get(&keys::extent(extent.0)).await.map_err(unavailable)?;
                places.push(row.map(|row| rows::location_of(&row)).transpose().map_err(unavailable)?);
            }
            Ok(places)
        })
    }

    fn moved<'a>(&'a self, moves: &'a [Move]) -> millpond_blob::BoxFuture<'a, Vec<Moved>> {
        Box::pin(async move {
            match self.name_moved(moves).await {
                Moved::Stale | Moved::Unreadable if moves.len() > 1 => {}
                all => return vec![all; moves.len()],
            }
            // One of them is in the way of the others.
            let mut moved = Vec::with_capacity(moves.len());
            for one in moves {
                moved.push(self.name_moved(std::slice::from_ref(one)).await);
            }
            moved
        })
    }
}

impl Lake {
    /// Names new places in one commit: all of them or none.
    async fn name_moved(&self, moves: &[Move]) -> Moved {
        let change = |one: &Move| {
            let key = keys::extent(one.extent.0);
            let cond = Cond::Equals(key.clone(), rows::location_row(one.from));
            (cond, Op::Put(key, rows::location_row(one.to)))
        };
        let (conds, ops) = moves.iter().map(change).unzip();
        match self.kv().commit(Batch { conds, ops, urgent: true, ..Batch::default() }).await {
            Ok(_) => Moved::Named,
            Err(CommitError::Conflict(_)) => Moved::Stale,
            Err(CommitError::Unreadable(ReadError::Damaged(what))) => {
                tracing::error!(what, "the row of an extent that was to be moved is damaged; run fsck");
                Moved::Unreadable
            }
            Err(CommitError::Full | CommitError::TooLarge(_) | CommitError::Unreadable(_)) => Moved::Refused,
            Err(CommitError::Stopped(_)) => Moved::Unknown,
        }
    }
}
