//! The check: reads everything and compares what rows say of each other. Tests run it after every storm, `millpond fsck` on demand.

mod content;
mod names;
mod sound;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use millpond_meta::{Key, Rows, View};

use crate::accounts::account_config_of;
use crate::buckets::config_of;
use crate::error::LakeError;
use crate::keys::{self, Counter, tables};
use crate::lake::Lake;
use crate::limits::{CONFIG_PAGE, MAX_PROBLEMS, WALK_PAGE};
use crate::multipart::upload_of;
use crate::refs::{BodyRef, RefKind};
use crate::requests::UploadId;
use crate::rows::{self, DoneRow, ManifestRow, PartRow, VersionRow, WorkRow};
use crate::upkeep::{WorkKind, is_kept};
use crate::versions::null_stamp;
use sound::{SoundWalk, Step};

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
    /// What the damaged rows were that [`Lake::check_after`] was told of, in their order and at most [`MAX_PROBLEMS`]; empty where nobody
    /// can tell.
    pub damaged: Vec<String>,
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
}

/// What is counted on the way. About 50 bytes for each body, in memory.
#[derive(Default)]
struct Count {
    /// References found to each body.
    refs: HashMap<BodyRef, u64>,
    usage: BTreeMap<u64, [i64; 4]>,
    /// Their names by their ids.
    buckets: HashMap<u64, String>,
    uploads: HashSet<u128>,
    /// Ends of uploads that are to be cleared: which parts went into the object.
    over: HashMap<u128, Bytes>,
    freed: HashSet<BodyRef>,
    tentative: HashSet<u128>,
    expiring: HashSet<u128>,
}

/// What a problem is about, as far as it is about anything that can be named.
enum About {
    Nothing,
    Body(BodyRef),
    Row(Key),
}

struct Check<'a> {
    lake: &'a Lake,
    view: Box<dyn View>,
    count: Count,
    report: CheckReport,
    /// The problems, yet to be put into words.
    found: Vec<(String, About)>,
    /// Damaged rows were found before, so that they are no news.
    told: bool,
    /// Damaged rows that this check met.
    met: BTreeSet<Key>,
    /// Tables of which rows cannot be read. What follows from their absence is no problem of its own.
    blind: HashSet<u8>,
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
        self.check_after(bytes, &[], progress).await
    }

    /// The same after the engine verified its rows and found these damaged: they are not told of as problems again, but the report says
    /// what they were. Where damage hides a row's key from the engine, it is the key of the row before.
    pub async fn check_after(
        &self,
        bytes: bool,
        damaged: &[Key],
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<CheckReport, LakeError> {
        let mut check = Check {
            lake: self,
            view: self.kv().snapshot().await?,
            count: Count::default(),
            report: CheckReport::default(),
            found: Vec::new(),
            told: !damaged.is_empty(),
            met: BTreeSet::new(),
            blind: HashSet::new(),
            progress,
        };
        check.buckets().await?;
        check.configs().await?;
        check.work().await?;
        check.versions(tables::CURRENT).await?;
        check.versions(tables::MARKER).await?;
        check.versions(tables::VERSION).await?;
        check.nulls().await?;
        check.uploads().await?;
        check.manifests().await?;
        check.bodies(tables::INLINE).await?;
        check.bodies(tables::EXTENT).await?;
        check.missing_bodies().await?;
        check.xrefs().await?;
        check.usage().await?;
        check.journal().await?;
        if bytes {
            check.extents().await?;
        }
        check.name(damaged).await?;
        Ok(check.report)
    }
}

impl Check<'_> {
    fn problem(&mut self, what: impl Into<String>) {
        self.problem_of(About::Nothing, what.into());
    }

    fn problem_of(&mut self, about: About, what: String) {
        self.report.problem_count += 1;
        if self.found.len() < MAX_PROBLEMS {
            self.found.push((what, about));
        }
    }

    /// A row cannot be read. Told once, however often it is met.
    fn damaged(&mut self, key: Key, what: String) {
        self.blind.extend(key.first());
        if self.met.insert(key.clone()) && !self.told {
            self.problem_of(About::Row(key), what);
        }
    }

    /// Whether rows of one of these tables cannot be read.
    fn is_blind(&self, tables: &[u8]) -> bool {
        tables.iter().any(|table| self.blind.contains(table))
    }

    /// The next page of a walk. Damaged rows are told of and passed over.
    async fn page(
        &mut self,
        walk: &mut SoundWalk,
        stage: &'static str,
        done: &mut u64,
    ) -> Result<Option<Rows>, LakeError> {
        loop {
            match walk.next(&*self.view).await? {
                Step::End => return Ok(None),
                Step::Damaged(what, key) => {
                    // Also where the key is only the last of what cannot be read.
                    self.blind.insert(walk.of());
                    self.damaged(key, format!("{stage}: {what}"));
                }
                Step::Rows(rows) => {
                    *done += rows.len() as u64;
                    (self.progress)(Progress { stage, done: *done });
                    return Ok(Some(rows));
                }
            }
        }
    }

    /// A row; `None` when there is none, or when it is damaged: then its table is one that [`Check::is_blind`] knows.
    async fn get(&mut self, key: &Key) -> Result<Option<Bytes>, LakeError> {
        match self.view.get(key).await.map_err(LakeError::from) {
            Ok(row) => Ok(row),
            Err(LakeError::Damaged(what)) => {
                self.damaged(key.clone(), what);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The head of a key. `Err` within when it cannot be read.
    async fn head(&mut self, bucket: u64, name: &str) -> Result<Result<Option<VersionRow>, ()>, LakeError> {
        for key in [keys::current(bucket, name), keys::marker(bucket, name)] {
            if let Some(row) = self.get(&key).await? {
                return Ok(rows::decode("version", &row).map(Some).map_err(drop));
            }
        }
        let unknown = self.is_blind(&[tables::CURRENT, tables::MARKER]);
        Ok(if unknown { Err(()) } else { Ok(None) })
    }

    async fn buckets(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (SoundWalk::table(tables::BUCKET, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "buckets", &mut done).await? {
            for (key, row) in page {
                match rows::decode::<rows::BucketRow>("bucket", &row) {
                    Ok(bucket) => {
                        let name = String::from_utf8_lossy(&key[1..]).into_owned();
                        self.report.buckets += 1;
                        if self.count.buckets.insert(bucket.id, name).is_some() {
                            self.problem(format!("two buckets have the id {}", bucket.id));
                        }
                    }
                    Err(_) => self.damaged(key, "the row of a bucket cannot be read".to_owned()),
                }
            }
        }
        Ok(())
    }

    async fn configs(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (SoundWalk::table(tables::CONFIG, CONFIG_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "configurations", &mut done).await? {
            for (key, _) in page {
                match config_of(&key) {
                    Some((bucket, _)) if self.count.buckets.contains_key(&bucket) => {}
                    Some(_) if self.is_blind(&[tables::BUCKET]) => {}
                    Some((bucket, kind)) => {
                        self.problem(format!("a configuration ({kind:?}) of bucket {bucket}, which does not exist"));
                    }
                    None => self.problem("the key of a configuration cannot be read"),
                }
            }
        }
        let (mut walk, mut done) = (SoundWalk::table(tables::ACCOUNT_CONFIG, CONFIG_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "accounts", &mut done).await? {
            if page.iter().any(|(key, _)| account_config_of(key).is_none()) {
                self.problem("the key of an account's configuration cannot be read");
            }
        }
        Ok(())
    }

    async fn work(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (SoundWalk::table(tables::WORK, WALK_PAGE), 0);
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
        self.report.waiting = self.count.freed.len() as u64;
        Ok(())
    }

    async fn versions(&mut self, table: u8) -> Result<(), LakeError> {
        let stage = match table {
            tables::CURRENT => "objects",
            tables::MARKER => "delete markers",
            _ => "noncurrent versions",
        };
        let (mut walk, mut done) = (SoundWalk::table(table, WALK_PAGE), 0);
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
                    self.damaged(key, format!("{stage}: a row cannot be read"));
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
        if !self.count.buckets.contains_key(&bucket) && !self.is_blind(&[tables::BUCKET]) {
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
        self.report.bytes += version.size;
        if version.marker {
            self.report.markers += 1;
        } else {
            self.report.versions += 1;
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
            let unknown = pointer.is_none() && self.is_blind(&[tables::NULL]);
            if !unknown && pointer.and_then(|row| null_stamp(&row).ok()) != Some(version.stamp) {
                self.problem(format!("the null version of {name:?} is not pointed at"));
            }
        }
        if !first {
            return Ok(());
        }
        match self.head(bucket, name).await? {
            Ok(None) => self.problem(format!("{name:?} has versions and no head")),
            Ok(Some(head)) if head.stamp <= version.stamp => {
                self.problem(format!("the head of {name:?} is older than a version behind it"));
            }
            Ok(Some(_)) | Err(()) => {}
        }
        Ok(())
    }

    async fn nulls(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (SoundWalk::table(tables::NULL, WALK_PAGE), 0);
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
                let unknown = target.is_none() && self.is_blind(&[tables::VERSION]);
                let target = target.and_then(|row| rows::decode::<VersionRow>("version", &row).ok());
                if !unknown && !target.is_some_and(|version| version.null) {
                    self.problem(format!("{name:?} points at a null version that is not there"));
                }
                if self.head(bucket, name).await?.ok().flatten().is_some_and(|head| head.null) {
                    self.problem(format!("{name:?} has two null versions"));
                }
            }
        }
        Ok(())
    }

    async fn uploads(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (SoundWalk::table(tables::UPLOAD, WALK_PAGE), 0);
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
                self.report.uploads += 1;
            }
        }
        self.parts().await?;
        self.dones().await
    }

    async fn parts(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (SoundWalk::table(tables::PART, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "parts", &mut done).await? {
            for (key, row) in page {
                let part = rows::decode::<PartRow>("part", &row);
                let (Some(upload), Ok(part)) = (keys::u128_at(&key, 1), part) else {
                    self.problem("a part cannot be read");
                    continue;
                };
                let over = self.count.over.get(&upload).cloned();
                let known = over.is_some() || self.count.uploads.contains(&upload);
                if !known && !self.is_blind(&[tables::UPLOAD, tables::WORK]) {
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
        let (mut walk, mut done) = (SoundWalk::table(tables::DONE, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "completions", &mut done).await? {
            for (key, row) in page {
                let id = keys::u128_at(&key, 1).unwrap_or_default();
                if rows::decode::<DoneRow>("done", &row).is_err() {
                    self.problem(format!("the completion of {id:032x} cannot be read"));
                }
                if !self.count.expiring.contains(&id) && !self.is_blind(&[tables::WORK]) {
                    self.problem(format!("the completion of {id:032x} would be kept for ever"));
                }
            }
        }
        let (mut walk, mut done) = (SoundWalk::table(tables::PART_WRITES, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "part writes", &mut done).await? {
            for (key, _) in page {
                let id = keys::u128_at(&key, 1).unwrap_or_default();
                if !self.count.uploads.contains(&id) && !self.is_blind(&[tables::UPLOAD]) {
                    self.problem(format!("part writes are counted for upload {id:032x}, which does not exist"));
                }
            }
        }
        Ok(())
    }

    async fn manifests(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (SoundWalk::table(tables::MANIFEST, WALK_PAGE / 8), 0);
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
                let hole = first != expected && !self.count.freed.contains(&body);
                if hole && !self.is_blind(&[tables::MANIFEST, tables::WORK]) {
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
        let (mut walk, mut done) = (SoundWalk::table(table, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, stage, &mut done).await? {
            for (key, row) in page {
                let Some(id) = keys::u128_at(&key, 1) else {
                    self.problem("the key of a body cannot be read");
                    continue;
                };
                if kind == RefKind::Extent && rows::location_of(&row).is_err() {
                    self.problem(format!("the location of extent {id:032x} cannot be read"));
                }
                self.report.bodies += 1;
                self.body(BodyRef { kind, id });
            }
        }
        Ok(())
    }

    /// A body that exists: it is referred to, or waits to be given back, not both. Those that are left in `refs` afterwards are
    /// referred to and do not exist; what `xrefs` needs of the others stays in it as zero.
    fn body(&mut self, body: BodyRef) {
        let refs = self.count.refs.get(&body).copied().unwrap_or(0);
        let freed = self.count.freed.remove(&body);
        if !self.is_blind(&REFERRING) {
            match (refs, freed) {
                (0, false) => self.problem(format!("nothing refers to {body}")),
                (1.., true) => self.problem_of(About::Body(body), format!("{body} is given back and referred to")),
                _ => {}
            }
        }
        // The highest bit marks what exists; there are never that many references.
        *self.count.refs.entry(body).or_default() |= EXISTS;
    }

    async fn missing_bodies(&mut self) -> Result<(), LakeError> {
        let missing: Vec<BodyRef> =
            self.count.refs.iter().filter(|(_, refs)| **refs & EXISTS == 0).map(|(body, _)| *body).collect();
        for body in missing {
            let key = match body.kind {
                RefKind::Inline => keys::inline(body.id),
                RefKind::Extent => keys::extent(body.id),
                RefKind::Manifest => keys::manifest(body.id, 0),
            };
            // A walk that passed over damage may have passed over sound rows with it.
            let blind = self.is_blind(&key[..1]);
            let unknown = blind && (self.view.get(&key).await.map_or(true, |row| row.is_some()));
            if !unknown {
                self.problem_of(About::Body(body), format!("{body} is referred to and does not exist"));
            }
        }
        Ok(())
    }

    async fn xrefs(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (SoundWalk::table(tables::XREF, WALK_PAGE), 0);
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
                if found != extra + 1 && !self.is_blind(&REFERRING) {
                    let what = format!("{body} has {found} references, counted as {}", extra + 1);
                    self.problem_of(About::Body(body), what);
                }
            }
        }
        if self.is_blind(&REFERRING) || self.is_blind(&[tables::XREF]) {
            return Ok(());
        }
        let uncounted: Vec<_> =
            self.count.refs.iter().map(|(body, refs)| (*body, refs & !EXISTS)).filter(|(_, refs)| *refs > 1).collect();
        for (body, refs) in uncounted {
            self.problem_of(About::Body(body), format!("{body} has {refs} references, counted as 1"));
        }
        Ok(())
    }

    async fn usage(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (SoundWalk::table(tables::USAGE, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "counters", &mut done).await? {
            for (key, row) in page {
                let bucket = keys::u64_at(&key, 1).unwrap_or_default();
                let slot = key.get(9).copied().map_or(usize::MAX, usize::from);
                let stored = rows::counter(Some(&row));
                if self.is_blind(&COUNTED) {
                    continue;
                }
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
        if self.is_blind(&COUNTED) || self.is_blind(&[tables::USAGE]) {
            return Ok(());
        }
        let left: Vec<_> =
            self.count.usage.iter().filter(|(_, usage)| **usage != [0; 4]).map(|(b, u)| (*b, *u)).collect();
        for (bucket, usage) in left {
            self.problem(format!("counters of bucket {bucket} are missing: {usage:?}"));
        }
        Ok(())
    }

    async fn journal(&mut self) -> Result<(), LakeError> {
        let (mut walk, mut done) = (SoundWalk::table(tables::JOURNAL, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "changes", &mut done).await? {
            for (key, row) in page {
                if crate::journal::entry(&key, &row).is_err() {
                    self.problem("a change entry cannot be read");
                }
            }
        }
        Ok(())
    }
}

/// Tables whose rows refer to bodies, or say which references count.
const REFERRING: [u8; 5] = [tables::CURRENT, tables::VERSION, tables::PART, tables::MANIFEST, tables::WORK];
/// Tables whose rows are counted for each bucket.
const COUNTED: [u8; 4] = [tables::CURRENT, tables::MARKER, tables::VERSION, tables::UPLOAD];

/// See [`Check::body`].
const EXISTS: u64 = 1 << 63;
