//! The check: reads everything and compares what rows say of each other. Tests run it after every storm, `millpond fsck` on demand.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use millpond_blob::{BlobError, ExtentId};
use millpond_meta::{Key, Rows, View};

use crate::error::LakeError;
use crate::keys::{self, Counter, tables};
use crate::lake::Lake;
use crate::limits::{MAX_PROBLEMS, WALK_PAGE};
use crate::multipart::upload_of;
use crate::refs::{BodyRef, RefKind};
use crate::requests::UploadId;
use crate::rows::{self, DoneRow, ManifestRow, PartRow, VersionRow, WorkRow};
use crate::upkeep::{WorkKind, is_kept};
use crate::versions::null_stamp;
use crate::walk::Walk;

/// How far a check has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// What is being read.
    pub stage: &'static str,
    /// Rows or extents read in this stage.
    pub done: u64,
}

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckReport {
    /// Buckets.
    pub buckets: u64,
    /// Objects and noncurrent versions.
    pub versions: u64,
    /// Delete markers.
    pub markers: u64,
    /// Bytes of all versions, as their owners see them.
    pub bytes: u64,
    /// Open uploads.
    pub uploads: u64,
    /// Inline bodies and extents.
    pub bodies: u64,
    /// Extents whose every byte was read and verified.
    pub verified: u64,
    /// Bodies that wait to be given back.
    pub waiting: u64,
    /// What is wrong, at most [`MAX_PROBLEMS`] of it.
    pub problems: Vec<String>,
    /// How much is wrong.
    pub problem_count: u64,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.problem_count == 0
    }

    fn problem(&mut self, what: String) {
        self.problem_count += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(what);
        }
    }
}

/// What is counted on the way. About 50 bytes for each body, in memory.
#[derive(Default)]
struct Count {
    report: CheckReport,
    /// References found to each body.
    refs: HashMap<BodyRef, u64>,
    usage: BTreeMap<u64, [i64; 4]>,
    buckets: HashSet<u64>,
    uploads: HashSet<u128>,
    /// Ends of uploads that are to be cleared: which parts went into the object.
    over: HashMap<u128, Bytes>,
    freed: HashSet<BodyRef>,
    tentative: HashSet<u128>,
    expiring: HashSet<u128>,
}

struct Check<'a> {
    lake: &'a Lake,
    view: Box<dyn View>,
    count: Count,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Lake {
    /// Compares all rows with each other, as of one moment: each key has one head, references and counters agree with a recount,
    /// nothing is left over. With `bytes`, every byte of every extent is read and verified too.
    ///
    /// Costs about 50 bytes of memory for each object. A row that cannot be read is a problem like any other.
    pub async fn check(
        &self,
        bytes: bool,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<CheckReport, LakeError> {
        let view = self.kv().snapshot().await?;
        let mut check = Check { lake: self, view, count: Count::default(), progress };
        check.buckets().await?;
        check.work().await?;
        check.versions(tables::CURRENT).await?;
        check.versions(tables::MARKER).await?;
        check.versions(tables::VERSION).await?;
        check.nulls().await?;
        check.uploads().await?;
        check.manifests().await?;
        check.bodies(tables::INLINE).await?;
        check.bodies(tables::EXTENT).await?;
        check.missing_bodies();
        check.xrefs().await?;
        check.usage().await?;
        check.journal().await?;
        if bytes {
            check.extents().await?;
        }
        Ok(check.count.report)
    }
}

impl Check<'_> {
    fn problem(&mut self, what: impl Into<String>) {
        self.count.report.problem(what.into());
    }

    /// The next page of a walk. A page with a damaged row cannot be read as one: that is told, and the walk of the table ends there.
    async fn page(&mut self, walk: &mut Walk, stage: &'static str, done: &mut u64) -> Result<Option<Rows>, LakeError> {
        match walk.next(&*self.view).await {
            Ok(rows) if rows.is_empty() => Ok(None),
            Ok(rows) => {
                *done += rows.len() as u64;
                (self.progress)(Progress { stage, done: *done });
                Ok(Some(rows))
            }
            Err(LakeError::Damaged(what)) => {
                self.problem(format!("{stage}: {what}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn get(&mut self, key: &Key) -> Result<Option<Bytes>, LakeError> {
        match self.view.get(key).await.map_err(LakeError::from) {
            Ok(row) => Ok(row),
            Err(LakeError::Damaged(what)) => {
                self.problem(what);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn buckets(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (Walk::table(tables::BUCKET, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "buckets", &mut done).await? {
            for (key, row) in page {
                match rows::decode::<rows::BucketRow>("bucket", &row) {
                    Ok(bucket) if self.count.buckets.insert(bucket.id) => self.count.report.buckets += 1,
                    Ok(bucket) => self.problem(format!("two buckets have the id {}", bucket.id)),
                    Err(_) => self.problem(format!("the row of bucket {:?} cannot be read", &key[1..])),
                }
            }
        }
        Ok(())
    }

    async fn work(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (Walk::table(tables::WORK, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "work", &mut done).await? {
            for (key, row) in page {
                let kind = key.get(9).copied().and_then(WorkKind::from_code);
                let (Some(kind), Some(id)) = (kind, keys::u128_at(&key, 10)) else {
                    self.problem("a work row cannot be read");
                    continue;
                };
                let freed = |kind| BodyRef { kind, id };
                let fresh = match kind {
                    WorkKind::FreeInline => self.count.freed.insert(freed(RefKind::Inline)),
                    WorkKind::FreeExtent => self.count.freed.insert(freed(RefKind::Extent)),
                    WorkKind::FreeManifest => self.count.freed.insert(freed(RefKind::Manifest)),
                    WorkKind::PartsOver => {
                        let kept = rows::decode::<WorkRow>("work", &row).map(|row| row.kept).unwrap_or_default();
                        self.count.over.insert(id, kept).is_none()
                    }
                    WorkKind::Tentative => self.count.tentative.insert(id),
                    WorkKind::DoneExpired => self.count.expiring.insert(id),
                    WorkKind::BucketUploads | WorkKind::BucketJournal => true,
                };
                if !fresh {
                    self.problem(format!("work {kind:?} for {id:032x} is queued twice"));
                }
            }
        }
        self.count.report.waiting = self.count.freed.len() as u64;
        Ok(())
    }

    async fn versions(&mut self, table: u8) -> Result<(), LakeError> {
        let stage = match table {
            tables::CURRENT => "objects",
            tables::MARKER => "delete markers",
            _ => "noncurrent versions",
        };
        let (mut walk, mut done) = (Walk::table(table, WALK_PAGE), 0);
        let mut before: Option<(u64, String)> = None;
        while let Some(page) = self.page(&mut walk, stage, &mut done).await? {
            for (key, row) in page {
                let name = match table {
                    tables::VERSION => keys::raised_key_of(&key).map(|(name, _)| name),
                    _ => keys::key_of(&key).map(str::to_owned),
                };
                let bucket = keys::u64_at(&key, 1);
                let (Some(name), Some(bucket)) = (name, bucket) else {
                    self.problem(format!("{stage}: a key cannot be read"));
                    continue;
                };
                let Ok(version) = rows::decode::<VersionRow>("version", &row) else {
                    self.problem(format!("{stage}: the row of {name:?} cannot be read"));
                    continue;
                };
                self.version(table, bucket, &name, &version)?;
                if table == tables::VERSION {
                    let first = before.as_ref().is_none_or(|(b, n)| (*b, n.as_str()) != (bucket, name.as_str()));
                    self.noncurrent(bucket, &name, &key, &version, first).await?;
                } else if table == tables::MARKER && self.get(&keys::current(bucket, &name)).await?.is_some() {
                    self.problem(format!("{name:?} has two heads"));
                }
                before = Some((bucket, name));
            }
        }
        Ok(())
    }

    /// Counts a version and its reference.
    fn version(&mut self, table: u8, bucket: u64, name: &str, version: &VersionRow) -> Result<(), LakeError> {
        if !self.count.buckets.contains(&bucket) {
            self.problem(format!("{name:?} is in bucket {bucket}, which does not exist"));
        }
        let in_place = match table {
            tables::CURRENT => !version.marker,
            tables::MARKER => version.marker,
            _ => true,
        };
        if !in_place {
            self.problem(format!("{name:?} is in the wrong table"));
        }
        let usage = self.count.usage.entry(bucket).or_default();
        let counter = if table == tables::CURRENT { Counter::Objects } else { Counter::Others };
        usage[counter as usize] += 1;
        usage[Counter::Bytes as usize] += i64::try_from(version.size).unwrap_or(i64::MAX);
        self.count.report.bytes += version.size;
        if version.marker {
            self.count.report.markers += 1;
        } else {
            self.count.report.versions += 1;
        }
        match version.body() {
            Ok(Some(body)) => *self.count.refs.entry(body).or_default() += 1,
            Ok(None) if version.size == 0 => {}
            _ => self.problem(format!("{name:?} has no readable body")),
        }
        Ok(())
    }

    /// A version that is not the head: there is a head, newer than it; and the null version is pointed at.
    async fn noncurrent(
        &mut self,
        bucket: u64,
        name: &str,
        key: &Key,
        version: &VersionRow,
        first: bool,
    ) -> Result<(), LakeError> {
        if *key != keys::version(bucket, name, version.stamp) {
            self.problem(format!("a version of {name:?} is not where its stamp says"));
        }
        if version.null {
            let pointer = self.get(&keys::null(bucket, name)).await?;
            if pointer.and_then(|row| null_stamp(&row).ok()) != Some(version.stamp) {
                self.problem(format!("the null version of {name:?} is not pointed at"));
            }
        }
        if !first {
            return Ok(());
        }
        let head = match self.get(&keys::current(bucket, name)).await? {
            Some(row) => Some(row),
            None => self.get(&keys::marker(bucket, name)).await?,
        };
        match head.map(|row| rows::decode::<VersionRow>("version", &row)) {
            None => self.problem(format!("{name:?} has versions and no head")),
            Some(Ok(head)) if head.stamp <= version.stamp => {
                self.problem(format!("the head of {name:?} is older than a version behind it"));
            }
            Some(_) => {}
        }
        Ok(())
    }

    async fn nulls(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (Walk::table(tables::NULL, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "null versions", &mut done).await? {
            for (key, row) in page {
                let (Some(bucket), Some(name)) = (keys::u64_at(&key, 1), keys::key_of(&key)) else {
                    self.problem("a pointer to a null version cannot be read");
                    continue;
                };
                let target = match null_stamp(&row) {
                    Ok(stamp) => self.get(&keys::version(bucket, name, stamp)).await?,
                    Err(_) => None,
                };
                let target = target.and_then(|row| rows::decode::<VersionRow>("version", &row).ok());
                if !target.is_some_and(|version| version.null) {
                    self.problem(format!("{name:?} points at a null version that is not there"));
                }
                let head = match self.get(&keys::current(bucket, name)).await? {
                    Some(row) => Some(row),
                    None => self.get(&keys::marker(bucket, name)).await?,
                };
                if head.and_then(|row| rows::decode::<VersionRow>("version", &row).ok()).is_some_and(|head| head.null) {
                    self.problem(format!("{name:?} has two null versions"));
                }
            }
        }
        Ok(())
    }

    async fn uploads(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (Walk::table(tables::UPLOAD, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "uploads", &mut done).await? {
            for (key, row) in page {
                let bucket = keys::u64_at(&key, 1);
                let parsed = keys::raised_key_of(&key).and_then(|(name, tail)| Some((name, keys::u128_at(tail, 0)?)));
                let (Some(bucket), Some((name, id))) = (bucket, parsed) else {
                    self.problem("the key of an upload cannot be read");
                    continue;
                };
                let object_key = millpond_types::ObjectKey::new(&name).map_err(|_| rows::damaged("upload"));
                let upload =
                    object_key.and_then(|key| upload_of(bucket, key, UploadId(id), rows::decode("upload", &row)?));
                if upload.is_err() {
                    self.problem(format!("the upload {id:032x} cannot be read"));
                }
                self.count.uploads.insert(id);
                self.count.usage.entry(bucket).or_default()[Counter::Uploads as usize] += 1;
                self.count.report.uploads += 1;
            }
        }
        self.parts().await?;
        self.dones().await
    }

    async fn parts(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (Walk::table(tables::PART, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "parts", &mut done).await? {
            for (key, row) in page {
                let part = rows::decode::<PartRow>("part", &row);
                let (Some(upload), Ok(part)) = (keys::u128_at(&key, 1), part) else {
                    self.problem("a part cannot be read");
                    continue;
                };
                let over = self.count.over.get(&upload).cloned();
                if over.is_none() && !self.count.uploads.contains(&upload) {
                    self.problem(format!("a part of upload {upload:032x}, which does not exist"));
                }
                let kept = over.is_some_and(|kept| part.number().is_ok_and(|number| is_kept(&kept, number)));
                if !kept {
                    self.slices(&part);
                }
            }
        }
        Ok(())
    }

    /// Counts a part's references.
    fn slices(&mut self, part: &PartRow) {
        let mut size = 0u64;
        for slice in &part.slices {
            size += slice.len;
            match slice.body() {
                Ok(body) => *self.count.refs.entry(body).or_default() += 1,
                Err(_) => self.problem("a slice of a part cannot be read"),
            }
        }
        if size != part.size {
            self.problem(format!("part {} is not as long as its slices", part.number));
        }
    }

    async fn dones(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (Walk::table(tables::DONE, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "completions", &mut done).await? {
            for (key, row) in page {
                let id = keys::u128_at(&key, 1).unwrap_or_default();
                if rows::decode::<DoneRow>("done", &row).is_err() {
                    self.problem(format!("the completion of {id:032x} cannot be read"));
                }
                if !self.count.expiring.contains(&id) {
                    self.problem(format!("the completion of {id:032x} would be kept for ever"));
                }
            }
        }
        let (mut walk, mut done) = (Walk::table(tables::PART_WRITES, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "part writes", &mut done).await? {
            for (key, _) in page {
                let id = keys::u128_at(&key, 1).unwrap_or_default();
                if !self.count.uploads.contains(&id) {
                    self.problem(format!("part writes are counted for upload {id:032x}, which does not exist"));
                }
            }
        }
        Ok(())
    }

    async fn manifests(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (Walk::table(tables::MANIFEST, WALK_PAGE / 8), 0);
        let mut at: Option<(u128, u64)> = None;
        let mut seen = HashSet::new();
        while let Some(page) = self.page(&mut walk, "manifests", &mut done).await? {
            for (key, row) in page {
                let row = rows::decode::<ManifestRow>("manifest", &row);
                let (Some(id), Some(first), Ok(row)) = (keys::u128_at(&key, 1), keys::u64_at(&key, 17), row) else {
                    self.problem("a manifest row cannot be read");
                    continue;
                };
                let body = BodyRef::manifest(id);
                if self.count.tentative.contains(&id) {
                    continue;
                }
                let expected = at.filter(|(same, _)| *same == id).map_or(0, |(_, end)| end);
                // A manifest that is being given back may have lost its first rows.
                if first != expected && !self.count.freed.contains(&body) {
                    self.problem(format!("manifest {id:032x} has a hole before byte {first}"));
                }
                row.parts.iter().for_each(|part| self.slices(part));
                at = Some((id, first + row.parts.iter().map(|part| part.size).sum::<u64>()));
                if seen.insert(id) {
                    self.body(body);
                }
            }
        }
        Ok(())
    }

    async fn bodies(&mut self, table: u8) -> Result<(), LakeError> {
        let (stage, kind) = match table {
            tables::INLINE => ("inline bodies", RefKind::Inline),
            _ => ("extents", RefKind::Extent),
        };
        let (mut walk, mut done) = (Walk::table(table, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, stage, &mut done).await? {
            for (key, row) in page {
                let Some(id) = keys::u128_at(&key, 1) else {
                    self.problem("the key of a body cannot be read");
                    continue;
                };
                if kind == RefKind::Extent && rows::location_of(&row).is_err() {
                    self.problem(format!("the location of extent {id:032x} cannot be read"));
                }
                self.count.report.bodies += 1;
                self.body(BodyRef { kind, id });
            }
        }
        Ok(())
    }

    /// A body that exists: it is referred to, or waits to be given back, not both. Those that are left in `refs` afterwards are
    /// referred to and do not exist; what `xrefs` needs of the others stays in it as zero.
    fn body(&mut self, body: BodyRef) {
        let refs = self.count.refs.get(&body).copied().unwrap_or(0);
        match (refs, self.count.freed.remove(&body)) {
            (0, false) => self.problem(format!("nothing refers to {body:?}")),
            (1.., true) => self.problem(format!("{body:?} is given back and referred to")),
            _ => {}
        }
        // The highest bit marks what exists; there are never that many references.
        *self.count.refs.entry(body).or_default() |= EXISTS;
    }

    fn missing_bodies(&mut self) {
        let missing: Vec<BodyRef> =
            self.count.refs.iter().filter(|(_, refs)| **refs & EXISTS == 0).map(|(body, _)| *body).collect();
        for body in missing {
            self.problem(format!("{body:?} is referred to and does not exist"));
        }
    }

    async fn xrefs(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (Walk::table(tables::XREF, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "references", &mut done).await? {
            for (key, row) in page {
                let kind = key.get(1).copied().and_then(RefKind::from_code);
                let extra = rows::counter(Some(&row)).ok().and_then(|n| u64::try_from(n).ok());
                let (Some(kind), Some(id), Some(extra)) = (kind, keys::u128_at(&key, 2), extra) else {
                    self.problem("a count of references cannot be read");
                    continue;
                };
                let body = BodyRef { kind, id };
                let found = self.count.refs.remove(&body).unwrap_or(0) & !EXISTS;
                if found != extra + 1 {
                    self.problem(format!("{body:?} has {found} references, counted as {}", extra + 1));
                }
            }
        }
        let uncounted: Vec<_> =
            self.count.refs.iter().map(|(body, refs)| (*body, refs & !EXISTS)).filter(|(_, refs)| *refs > 1).collect();
        for (body, refs) in uncounted {
            self.problem(format!("{body:?} has {refs} references, counted as 1"));
        }
        Ok(())
    }

    async fn usage(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (Walk::table(tables::USAGE, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "counters", &mut done).await? {
            for (key, row) in page {
                let bucket = keys::u64_at(&key, 1).unwrap_or_default();
                let slot = key.get(9).copied().map_or(usize::MAX, usize::from);
                let stored = rows::counter(Some(&row));
                let usage = self.count.usage.entry(bucket).or_default();
                match (usage.get_mut(slot), stored) {
                    (Some(found), Ok(stored)) if *found == stored => *found = 0,
                    (found, stored) => {
                        let found = found.map(std::mem::take);
                        self.problem(format!("counter {slot} of bucket {bucket} is {stored:?}, recounted {found:?}"));
                    }
                }
            }
        }
        let left: Vec<_> =
            self.count.usage.iter().filter(|(_, usage)| **usage != [0; 4]).map(|(b, u)| (*b, *u)).collect();
        for (bucket, usage) in left {
            self.problem(format!("counters of bucket {bucket} are missing: {usage:?}"));
        }
        Ok(())
    }

    async fn journal(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (Walk::table(tables::JOURNAL, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "changes", &mut done).await? {
            for (key, row) in page {
                if crate::journal::entry(&key, &row).is_err() {
                    self.problem("a change entry cannot be read");
                }
            }
        }
        Ok(())
    }

    /// Reads every byte of every extent. One that was moved or given back since the moment of the check is looked up again.
    async fn extents(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (Walk::table(tables::EXTENT, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "bytes", &mut done).await? {
            for (key, row) in page {
                let Some(id) = keys::u128_at(&key, 1) else { continue };
                match self.verify(id, &key, row).await? {
                    Some(problem) => self.problem(problem),
                    None => self.count.report.verified += 1,
                }
            }
        }
        Ok(())
    }

    async fn verify(&self, id: u128, key: &Key, mut row: Bytes) -> Result<Option<String>, LakeError> {
        loop {
            let Ok(at) = rows::location_of(&row) else { return Ok(None) };
            match self.lake.blobs().verify(ExtentId(id), at).await {
                Ok(()) => return Ok(None),
                Err(error @ (BlobError::Damaged { .. } | BlobError::Missing(_))) => {
                    match self.lake.kv().get(key).await? {
                        Some(now) if now != row => row = now,
                        Some(_) => return Ok(Some(error.to_string())),
                        None => return Ok(None),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// See [`Check::body`].
const EXISTS: u64 = 1 << 63;
