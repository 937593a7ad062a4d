//! The lake as a plain data structure: what each operation means, without storage, concurrency or speed.
//!
//! Ids are given by the lake under test; everything else is predicted here. Sources: S3 User Guide, "Working with objects in a
//! versioning-enabled bucket" and "...versioning-suspended bucket"; API reference, ListObjectsV2 and ListObjectVersions.

use std::collections::BTreeMap;

use millpond_digest::{Md5, Md5Digest, multipart_etag};
use millpond_lake::{
    After, AfterVersion, CompletePart, Condition, DeleteCondition, Deleted, LakeError, Tags, UploadId, VersionId,
    Versioning,
};

/// A version or delete marker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// As the lake gave it.
    pub id: VersionId,
    /// What it is; `None` for a delete marker.
    pub object: Option<Object>,
}

/// An object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// All its bytes.
    pub body: Vec<u8>,
    /// Without quotes.
    pub etag: String,
    /// Its tags.
    pub tags: Tags,
    /// Numbers and sizes of the parts it came in; empty when it was put at once.
    pub parts: Vec<(u16, u64)>,
}

impl Object {
    /// An object that is put at once.
    pub fn put(body: Vec<u8>) -> Self {
        Self { etag: Md5::of(&body).to_string(), body, tags: Tags::new(), parts: Vec::new() }
    }

    /// An object that is made of parts.
    pub fn of_parts(parts: &BTreeMap<u16, Vec<u8>>, named: &[u16]) -> Self {
        let chosen: Vec<(u16, &Vec<u8>)> = named.iter().filter_map(|n| Some((*n, parts.get(n)?))).collect();
        let digests: Vec<Md5Digest> = chosen.iter().map(|(_, body)| Md5::of(body)).collect();
        Self {
            body: chosen.iter().flat_map(|(_, body)| body.iter().copied()).collect(),
            etag: multipart_etag(digests),
            tags: Tags::new(),
            parts: chosen.iter().map(|(number, body)| (*number, body.len() as u64)).collect(),
        }
    }
}

/// A bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketModel {
    /// What writes do.
    pub versioning: Versioning,
    /// The versions of each key, newest first; never an empty list.
    pub keys: BTreeMap<String, Vec<Item>>,
    /// Parts of open uploads.
    pub uploads: BTreeMap<(String, UploadId), BTreeMap<u16, Vec<u8>>>,
}

impl Default for BucketModel {
    fn default() -> Self {
        Self { versioning: Versioning::Unset, keys: BTreeMap::new(), uploads: BTreeMap::new() }
    }
}

/// A page of a listing: entries, common prefixes, where it goes on.
pub type PageOf<E, A> = (Vec<E>, Vec<String>, Option<A>);

impl BucketModel {
    /// The newest version of a key.
    pub fn head(&self, key: &str) -> Option<&Item> {
        self.keys.get(key)?.first()
    }

    /// The current object of a key.
    pub fn current(&self, key: &str) -> Option<&Object> {
        self.head(key)?.object.as_ref()
    }

    /// A version by its id.
    pub fn version(&self, key: &str, id: VersionId) -> Option<&Item> {
        self.keys.get(key)?.iter().find(|item| item.id == id)
    }

    /// Whether a write under this condition may go on.
    pub fn allows(&self, key: &str, condition: &Condition) -> Result<(), LakeError> {
        match (condition, self.current(key)) {
            (Condition::Always, _) | (Condition::IfAbsent, None) => Ok(()),
            (Condition::IfAbsent, Some(_)) => Err(LakeError::PreconditionFailed),
            (Condition::IfMatch(_), None) => Err(LakeError::NoSuchKey),
            (Condition::IfMatch(etag), Some(object)) if etag == "*" || *etag == object.etag => Ok(()),
            (Condition::IfMatch(_), Some(_)) => Err(LakeError::PreconditionFailed),
        }
    }

    /// Puts a version at the head: under versioning before the others, else in place of the null version.
    pub fn push(&mut self, key: &str, item: Item) {
        let versions = self.keys.entry(key.to_owned()).or_default();
        if self.versioning != Versioning::Enabled {
            versions.retain(|old| old.id != VersionId::Null);
        }
        versions.insert(0, item);
    }

    /// Deletes; `marker` is the id of the marker that the lake wrote, if it did.
    pub fn delete(
        &mut self,
        key: &str,
        version: Option<VersionId>,
        condition: &DeleteCondition,
        marker: Option<VersionId>,
    ) -> Result<Deleted, LakeError> {
        if let DeleteCondition::IfMatch(etag) = condition {
            match self.head(key) {
                None => return Err(LakeError::NoSuchKey),
                Some(Item { object: Some(object), .. }) if etag == "*" || *etag == object.etag => {}
                Some(_) => return Err(LakeError::PreconditionFailed),
            }
        }
        if let Some(id) = version {
            let was_marker = self.version(key, id).is_some_and(|item| item.object.is_none());
            if let Some(versions) = self.keys.get_mut(key) {
                versions.retain(|item| item.id != id);
            }
            self.keys.retain(|_, versions| !versions.is_empty());
            return Ok(Deleted { marker: None, version: Some(id), was_marker });
        }
        if self.versioning == Versioning::Unset {
            self.keys.remove(key);
            return Ok(Deleted::default());
        }
        // A missing id shows as a difference in what comes back.
        let id = marker.unwrap_or(VersionId::Id { stamp: 0, nonce: 0 });
        self.push(key, Item { id, object: None });
        Ok(Deleted { marker: Some(id), version: None, was_marker: false })
    }

    /// What a completion comes to.
    pub fn completes(
        &self,
        key: &str,
        upload: UploadId,
        named: &[CompletePart],
        min: u64,
    ) -> Result<Object, LakeError> {
        if named.is_empty() {
            return Err(LakeError::NoParts);
        }
        if named.windows(2).any(|pair| pair[0].number >= pair[1].number) {
            return Err(LakeError::InvalidPartOrder);
        }
        let parts = self.uploads.get(&(key.to_owned(), upload)).ok_or(LakeError::NoSuchUpload)?;
        let mut before: Option<(u16, u64)> = None;
        for part in named {
            let number = part.number;
            let body = parts.get(&number).ok_or(LakeError::InvalidPart { number })?;
            if Md5::of(body).to_string() != part.etag {
                return Err(LakeError::InvalidPart { number });
            }
            if let Some((number, size)) = before.replace((number, body.len() as u64))
                && size < min
            {
                return Err(LakeError::EntityTooSmall { number, size, min });
            }
        }
        Ok(Object::of_parts(parts, &named.iter().map(|part| part.number).collect::<Vec<_>>()))
    }

    /// A page of current objects: keys, prefixes, next.
    pub fn list(&self, prefix: &str, delimiter: Option<&str>, after: &After, limit: usize) -> PageOf<String, After> {
        let keys = self.keys.keys().filter(|key| self.current(key).is_some());
        let behind = |key: &&String| match after {
            After::Start => true,
            After::Key(marker) => *key > marker,
            After::Prefix(common) => *key > common && !key.starts_with(common.as_str()),
        };
        let entries = keys.filter(behind).map(|key| (key.as_str(), key.clone()));
        paged(entries, prefix, delimiter, limit, |key| After::Key(key.clone()), After::Prefix)
    }

    /// A page of versions: (key, id, newest, marker), prefixes, next.
    pub fn list_versions(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        after: &AfterVersion,
        limit: usize,
    ) -> PageOf<(String, VersionId, bool, bool), AfterVersion> {
        let mut all = Vec::new();
        for (key, versions) in &self.keys {
            for (i, item) in versions.iter().enumerate() {
                let behind = match after {
                    AfterVersion::Start => true,
                    AfterVersion::Key(marker) => key > marker,
                    AfterVersion::Prefix(common) => key > common && !key.starts_with(common.as_str()),
                    AfterVersion::Version(marker, id) if key == marker => {
                        versions.iter().position(|item| item.id == *id).is_none_or(|at| i > at)
                    }
                    AfterVersion::Version(marker, _) => key > marker,
                };
                if behind {
                    all.push((key.as_str(), (key.clone(), item.id, i == 0, item.object.is_none())));
                }
            }
        }
        let next = |entry: &(String, VersionId, bool, bool)| AfterVersion::Version(entry.0.clone(), entry.1);
        paged(all.into_iter(), prefix, delimiter, limit, next, AfterVersion::Prefix)
    }

    /// What the counters say: objects, bytes, versions, uploads.
    pub fn usage(&self) -> (u64, u64, u64, u64) {
        let objects = self.keys.keys().filter(|key| self.current(key).is_some()).count();
        let items = || self.keys.values().flatten();
        let bytes = items().filter_map(|item| item.object.as_ref()).map(|object| object.body.len()).sum::<usize>();
        (objects as u64, bytes as u64, items().count() as u64, self.uploads.len() as u64)
    }
}

/// Rolls up and cuts off: the plain way.
fn paged<'a, E, A>(
    entries: impl Iterator<Item = (&'a str, E)>,
    prefix: &str,
    delimiter: Option<&str>,
    limit: usize,
    at_entry: impl Fn(&E) -> A,
    at_prefix: impl Fn(String) -> A,
) -> PageOf<E, A> {
    let (mut found, mut prefixes, mut next) = (Vec::new(), Vec::<String>::new(), None);
    for (key, entry) in entries.filter(|(key, _)| key.starts_with(prefix)) {
        let rest = &key[prefix.len()..];
        let common = delimiter
            .filter(|delimiter| !delimiter.is_empty())
            .and_then(|delimiter| rest.find(delimiter).map(|at| key[..prefix.len() + at + delimiter.len()].to_owned()));
        if common.is_some() && common.as_ref() == prefixes.last() {
            continue;
        }
        if found.len() + prefixes.len() == limit {
            return if limit == 0 { (found, prefixes, None) } else { (found, prefixes, next) };
        }
        match common {
            Some(common) => {
                next = Some(at_prefix(common.clone()));
                prefixes.push(common);
            }
            None => {
                next = Some(at_entry(&entry));
                found.push(entry);
            }
        }
    }
    (found, prefixes, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(stamp: u64) -> VersionId {
        VersionId::Id { stamp, nonce: 1 }
    }

    fn object(text: &str) -> Option<Object> {
        Some(Object::put(text.into()))
    }

    #[test]
    fn suspended_writes_replace_the_null_version_alone() {
        let mut bucket = BucketModel::default();
        bucket.push("k", Item { id: VersionId::Null, object: object("a") });
        bucket.versioning = Versioning::Enabled;
        bucket.push("k", Item { id: id(1), object: object("b") });
        bucket.versioning = Versioning::Suspended;
        bucket.push("k", Item { id: VersionId::Null, object: object("c") });
        let ids: Vec<_> = bucket.keys["k"].iter().map(|item| item.id).collect();
        assert_eq!(ids, [VersionId::Null, id(1)]);
    }

    #[test]
    fn deleting_the_head_shows_the_next_version() {
        let mut bucket = BucketModel { versioning: Versioning::Enabled, ..BucketModel::default() };
        bucket.push("k", Item { id: id(1), object: object("a") });
        assert!(bucket.delete("k", None, &DeleteCondition::Always, Some(id(2))).unwrap().marker.is_some());
        assert!(bucket.current("k").is_none());
        assert!(bucket.delete("k", Some(id(2)), &DeleteCondition::Always, None).unwrap().was_marker);
        assert_eq!(bucket.current("k"), object("a").as_ref());
    }

    #[test]
    fn pages_roll_up() {
        let mut bucket = BucketModel::default();
        for key in ["a", "b/1", "b/2", "c"] {
            bucket.push(key, Item { id: VersionId::Null, object: object(key) });
        }
        let (keys, prefixes, next) = bucket.list("", Some("/"), &After::Start, 2);
        assert_eq!((keys, prefixes), (vec!["a".to_owned()], vec!["b/".to_owned()]));
        assert_eq!(next, Some(After::Prefix("b/".into())));
        assert_eq!(bucket.list("", Some("/"), &next.unwrap_or_default(), 2).0, ["c"]);
    }
}
