//! What the findings of a check are about, in the words of those who put objects.

use std::collections::{HashMap, HashSet};
use std::ops::Bound;

use millpond_meta::{Key, Position};

use super::sound::SoundWalk;
use super::{About, Check};
use crate::error::LakeError;
use crate::keys::{self, tables};
use crate::limits::{MAX_PROBLEMS, WALK_PAGE};
use crate::refs::{BodyRef, RefKind};
use crate::rows::{self, ManifestRow, PartRow, VersionRow};

/// Owners of one body that are named; copies of an object may share it by the thousand.
const MAX_OWNERS: usize = 3;

/// Who refers to a body.
#[derive(Default)]
struct Owners {
    names: Vec<String>,
    more: u64,
}

impl Owners {
    fn add(&mut self, name: String) {
        if self.names.len() < MAX_OWNERS {
            self.names.push(name);
        } else {
            self.more += 1;
        }
    }

    /// `None` without any.
    fn text(&self) -> Option<String> {
        let names = self.names.join(", ");
        match (self.names.len(), self.more) {
            (0, _) => None,
            (_, 0) => Some(names),
            (_, more) => Some(format!("{names} and {more} more")),
        }
    }
}

/// Bodies that owners are looked for.
#[derive(Default)]
struct Wanted {
    owners: HashMap<BodyRef, Owners>,
    /// Through which manifests and uploads they are referred to.
    manifests: HashMap<u128, HashSet<BodyRef>>,
    uploads: HashMap<u128, HashSet<BodyRef>>,
}

impl Wanted {
    /// Those among the slices of a part.
    fn among<'a>(&'a self, part: &'a PartRow) -> impl Iterator<Item = BodyRef> + 'a {
        let bodies = part.slices.iter().filter_map(|slice| slice.body().ok());
        bodies.filter(|body| self.owners.contains_key(body))
    }

    fn owned(&mut self, body: BodyRef, name: &str) {
        if let Some(owners) = self.owners.get_mut(&body) {
            owners.add(name.to_owned());
        }
    }
}

impl Check<'_> {
    /// Puts the findings into words, with the objects that they concern; and says of each damaged row what it was.
    pub(super) async fn name(&mut self, damaged: &[Key]) -> Result<(), LakeError> {
        let known: HashSet<&Key> = damaged.iter().collect();
        let places: Vec<_> = damaged.iter().take(MAX_PROBLEMS).map(|key| self.place(key, &known)).collect();
        let mut wanted = Wanted::default();
        let rows = places.iter().flatten().filter_map(|(key, _)| body_of(key));
        let found = self.found.iter().filter_map(|(_, about)| match about {
            About::Nothing => None,
            About::Body(body) => Some(*body),
            About::Row(key) => body_of(key),
        });
        wanted.owners = rows.chain(found).map(|body| (body, Owners::default())).collect();
        if !wanted.owners.is_empty() {
            self.manifests_of(&mut wanted).await?;
            self.uploads_of(&mut wanted).await?;
            for table in [tables::CURRENT, tables::VERSION] {
                self.versions_of(table, &mut wanted).await?;
            }
        }
        let name = |place: &Option<(Key, bool)>| match place {
            Some((key, true)) => self.describe(key, &wanted),
            Some((key, false)) => format!("up to {}", self.describe(key, &wanted)),
            None => String::new(),
        };
        self.report.damaged = places.iter().map(name).collect();
        for (what, about) in std::mem::take(&mut self.found) {
            let of = match about {
                About::Nothing => None,
                About::Body(body) => wanted.owners.get(&body).and_then(Owners::text),
                About::Row(key) => Some(self.describe(&key, &wanted)),
            };
            self.report.problems.push(of.map_or_else(|| what.clone(), |of| format!("{what}: {of}")));
        }
        Ok(())
    }

    /// Where damage is that the engine told of by this key: there, or (then false) in rows up to the next that the walks could not read.
    fn place(&self, key: &Key, known: &HashSet<&Key>) -> Option<(Key, bool)> {
        if self.met.contains(key) {
            return Some((key.clone(), true));
        }
        let behind = (Bound::Excluded(key.clone()), Bound::Unbounded);
        let hidden = self.met.range::<Key, _>(behind).find(|met| !known.contains(met));
        hidden.map(|met| (met.clone(), false))
    }

    async fn manifests_of(&mut self, wanted: &mut Wanted) -> Result<(), LakeError> {
        let (mut walk, mut done) = (SoundWalk::table(tables::MANIFEST, WALK_PAGE / 8), 0);
        while let Some(page) = self.page(&mut walk, "names", &mut done).await? {
            for (key, row) in page {
                let Some(id) = keys::u128_at(&key, 1) else { continue };
                let Ok(ManifestRow { parts }) = rows::decode("manifest", &row) else { continue };
                let found: Vec<_> = parts.iter().flat_map(|part| wanted.among(part)).collect();
                if !found.is_empty() {
                    wanted.manifests.entry(id).or_default().extend(found);
                }
            }
        }
        Ok(())
    }

    async fn uploads_of(&mut self, wanted: &mut Wanted) -> Result<(), LakeError> {
        let (mut walk, mut done) = (SoundWalk::table(tables::PART, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "names", &mut done).await? {
            for (key, row) in page {
                let Some(id) = keys::u128_at(&key, 1) else { continue };
                let Ok(part) = rows::decode::<PartRow>("part", &row) else { continue };
                let found: Vec<_> = wanted.among(&part).collect();
                if !found.is_empty() {
                    wanted.uploads.entry(id).or_default().extend(found);
                }
            }
        }
        if wanted.uploads.is_empty() {
            return Ok(());
        }
        let (mut walk, mut done) = (SoundWalk::table(tables::UPLOAD, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "names", &mut done).await? {
            for (key, _) in page {
                let id = keys::raised_key_of(&key).and_then(|(_, tail)| keys::u128_at(tail, 0));
                let Some(bodies) = id.and_then(|id| wanted.uploads.remove(&id)) else { continue };
                let name = self.describe(&key, wanted);
                bodies.into_iter().for_each(|body| wanted.owned(body, &name));
            }
        }
        Ok(())
    }

    async fn versions_of(&mut self, table: u8, wanted: &mut Wanted) -> Result<(), LakeError> {
        let (mut walk, mut done) = (SoundWalk::table(table, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "names", &mut done).await? {
            for (key, row) in page {
                let Ok(version) = rows::decode::<VersionRow>("version", &row) else { continue };
                let Ok(Some(body)) = version.body() else { continue };
                let through = (body.kind == RefKind::Manifest).then(|| wanted.manifests.get(&body.id)).flatten();
                let mut bodies: Vec<_> = through.into_iter().flatten().copied().collect();
                bodies.extend(wanted.owners.contains_key(&body).then_some(body));
                if bodies.is_empty() {
                    continue;
                }
                let name = match table {
                    tables::CURRENT => keys::key_of(&key).map(str::to_owned),
                    _ => keys::raised_key_of(&key).map(|(name, _)| name),
                };
                let name = self.object(&key, &name.unwrap_or_default());
                let name = if version.null { name } else { format!("version {} of {name}", version.id()) };
                bodies.into_iter().for_each(|body| wanted.owned(body, &name));
            }
        }
        Ok(())
    }

    /// The object in the bucket that a row names by its id.
    fn object(&self, row: &[u8], key: &str) -> String {
        format!("object {key:?} in {}", self.bucket_of(row))
    }

    fn bucket_of(&self, row: &[u8]) -> String {
        let id = keys::u64_at(row, 1).unwrap_or_default();
        self.count
            .buckets
            .get(&id)
            .map_or_else(|| format!("the bucket with id {id}"), |name| format!("bucket {name:?}"))
    }

    /// What a row is, by its key.
    fn describe(&self, key: &Key, wanted: &Wanted) -> String {
        let plain = || keys::key_of(key).unwrap_or_default();
        let raised = || keys::raised_key_of(key).map(|(name, _)| name).unwrap_or_default();
        let id = keys::u128_at(key, 1).unwrap_or_default();
        match key.first().copied().unwrap_or_default() {
            tables::FORMAT => "the format of the lake".to_owned(),
            tables::BUCKET => format!("bucket {:?}", String::from_utf8_lossy(&key[1..])),
            tables::BUCKET_IDS => "the count of buckets".to_owned(),
            tables::CURRENT => self.object(key, plain()),
            tables::MARKER => format!("the delete marker of {}", self.object(key, plain())),
            tables::NULL => format!("the pointer to the null version of {}", self.object(key, plain())),
            tables::VERSION => format!("an old version of {}", self.object(key, &raised())),
            tables::UPLOAD => {
                let id = keys::raised_key_of(key).and_then(|(_, tail)| keys::u128_at(tail, 0)).unwrap_or_default();
                format!("upload {id:032x} of {}", self.object(key, &raised()))
            }
            tables::PART | tables::PART_WRITES => format!("a part of upload {id:032x}"),
            tables::DONE => format!("the completion of upload {id:032x}"),
            tables::XREF => "a count of references".to_owned(),
            tables::WORK => "work for later".to_owned(),
            tables::JOURNAL => {
                let at = Position::from_key(key).unwrap_or_default();
                format!("the change {at} of {}", self.bucket_of(key))
            }
            tables::USAGE => format!("a counter of {}", self.bucket_of(key)),
            tables::ANNOUNCED => format!("the notifications in effect of {}", self.bucket_of(key)),
            tables::ACCOUNT_CONFIG => "a configuration of an account".to_owned(),
            tables::CONFIG => format!("a configuration of {}", self.bucket_of(key)),
            _ => match body_of(key) {
                Some(body) => match wanted.owners.get(&body).and_then(Owners::text) {
                    Some(owners) => format!("{body} of {owners}"),
                    None => body.to_string(),
                },
                None => format!("row {}", key.escape_ascii()),
            },
        }
    }
}

/// The body whose row, or one of whose rows, this is.
fn body_of(key: &[u8]) -> Option<BodyRef> {
    let id = keys::u128_at(key, 1)?;
    match key.first().copied()? {
        tables::INLINE => Some(BodyRef::inline(id)),
        tables::EXTENT => Some(BodyRef::extent(id)),
        tables::MANIFEST => Some(BodyRef::manifest(id)),
        _ => None,
    }
}
