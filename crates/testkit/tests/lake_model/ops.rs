//! One function for each operation: to the lake, to the model, compare.

use std::collections::BTreeMap;

use millpond_digest::{ChecksumAlgorithm, ChecksumType, Composite, Hasher, Md5};
use millpond_lake::{
    CompletePart, CompleteRequest, Condition, CopyRequest, DeleteCondition, DeleteItem, Found, LakeError, Metadata,
    NewUpload, Part, Tags, Upload, UploadId, Version, VersionId, Versioning, Written,
};
use millpond_testkit::lab::{self, MIN_PART, account, origin};
use millpond_testkit::model::{Item, Object};
use millpond_types::ObjectKey;

use crate::driver::Driver;

pub fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

/// The ETag that an object has: what the model says, or where that must not be seen, anything else.
fn etag(version: &Version, expected: &Object) -> String {
    let found = &version.object().unwrap().etag;
    let plain = Object::put(expected.body.clone()).etag;
    let parts = |etag: &str| etag.split_once('-').map(|(_, parts)| parts.to_owned());
    match version.encryption() {
        None => assert_eq!(*found, expected.etag),
        Some(encryption) if encryption.hides_digests() => {
            assert_ne!(*found, plain);
            assert_eq!(parts(found), parts(&expected.etag));
        }
        Some(_) if expected.parts.is_empty() => assert_eq!(*found, plain),
        // Perhaps a copy of one that hides its digests.
        Some(_) => assert_eq!(parts(found), parts(&expected.etag)),
    }
    found.clone()
}

impl Driver {
    fn any_condition(&self, bucket: usize, name: &str) -> Condition {
        match self.below(8) {
            0 => Condition::IfAbsent,
            1 => Condition::IfMatch("*".into()),
            2 => Condition::IfMatch("0123".into()),
            3 => {
                Condition::IfMatch(self.models[bucket].current(name).map_or_else(|| "none".into(), |o| o.etag.clone()))
            }
            _ => Condition::Always,
        }
    }

    /// Applies a write to the model, if it was one.
    fn wrote(
        &mut self,
        bucket: usize,
        name: &str,
        expected: Result<(), LakeError>,
        got: Result<Written, LakeError>,
        mut object: Object,
    ) {
        let step = self.step;
        if let Ok(written) = &got {
            object.etag = etag(&written.version, &object);
        }
        match (expected, got) {
            (Ok(()), Ok(written)) => {
                let versioned = self.models[bucket].versioning;
                assert_eq!(written.versioned, versioned != Versioning::Unset, "step {step}");
                let is_null = written.version.id == VersionId::Null;
                assert_eq!(is_null, versioned != Versioning::Enabled, "step {step}");
                self.models[bucket].push(name, Item { id: written.version.id, object: Some(object) });
            }
            (Err(expected), Err(got)) => assert_eq!(got, expected, "step {step}: {name:?}"),
            (expected, got) => panic!("step {step}: {name:?}: expected {expected:?}, got {got:?}"),
        }
    }

    pub async fn put(&mut self) {
        let (bucket, name, body) = (self.any_bucket(), self.any_key(), self.any_body());
        let condition = self.any_condition(bucket, name);
        let expected = self.models[bucket].allows(name, &condition);
        let got = self.lab.put(&self.buckets[bucket], name, &body, condition).await;
        self.wrote(bucket, name, expected, got, Object::put(body));
    }

    fn any_item(&self, bucket: usize) -> DeleteItem {
        let name = self.any_key();
        let version = (self.below(2) == 0).then(|| self.any_version(bucket, name));
        let condition = match self.below(8) {
            0 => DeleteCondition::IfMatch("*".into()),
            1 => DeleteCondition::IfMatch("0123".into()),
            _ => DeleteCondition::Always,
        };
        DeleteItem { key: key(name), version, condition }
    }

    pub async fn delete(&mut self) {
        let bucket = self.any_bucket();
        let item = self.any_item(bucket);
        let got = self
            .lab
            .lake
            .delete(&self.buckets[bucket], &item.key, item.version, item.condition.clone(), &origin())
            .await;
        self.deleted(bucket, &item, got);
    }

    fn deleted(&mut self, bucket: usize, item: &DeleteItem, got: Result<millpond_lake::Deleted, LakeError>) {
        let marker = got.as_ref().ok().and_then(|deleted| deleted.marker);
        if let Some(marker) = marker {
            assert_eq!(marker == VersionId::Null, self.models[bucket].versioning == Versioning::Suspended);
        }
        let expected = self.models[bucket].delete(item.key.as_str(), item.version, &item.condition, marker);
        assert_eq!(got, expected, "step {}: {item:?}", self.step);
    }

    pub async fn delete_many(&mut self) {
        let bucket = self.any_bucket();
        let items: Vec<_> = (0..self.below(12)).map(|_| self.any_item(bucket)).collect();
        let results = self.lab.lake.delete_many(&self.buckets[bucket], &items, &origin()).await.unwrap();
        assert_eq!(results.len(), items.len());
        for (item, got) in items.iter().zip(results) {
            self.deleted(bucket, item, got);
        }
    }

    /// Looks up an object to copy from, in both.
    pub async fn source(&self) -> Option<(Version, Object)> {
        let (bucket, name) = (self.any_bucket(), self.any_key());
        let id = (self.below(2) == 0).then(|| self.any_version(bucket, name));
        let found = self.lab.lake.lookup(&self.buckets[bucket], &key(name), id).await.unwrap();
        let model = match id {
            Some(id) => self.models[bucket].version(name, id),
            None => self.models[bucket].head(name),
        };
        match (found, model) {
            (Found::Object(version), Some(Item { object: Some(object), .. })) => {
                Some((lab::unlocked(version).unwrap(), object.clone()))
            }
            (Found::DeleteMarker(_), Some(Item { object: None, .. })) | (Found::None, None) => None,
            (found, model) => panic!("step {}: {name:?} {id:?}: {found:?}, {model:?}", self.step),
        }
    }

    pub async fn copy(&mut self) {
        let Some((source, object)) = self.source().await else { return };
        let (bucket, mut name) = (self.any_bucket(), self.any_key());
        if self.below(3) == 0 {
            // Onto itself, as far as the bucket is the same.
            name = crate::driver::KEYS.iter().find(|name| **name == source.key.as_str()).unwrap();
        }
        let condition = self.any_condition(bucket, name);
        let expected = self.models[bucket].allows(name, &condition);
        let checksum = match self.below(3) {
            0 => None,
            1 => Some(ChecksumAlgorithm::Crc64Nvme),
            _ => Some(ChecksumAlgorithm::Sha256),
        };
        let sealing = lab::kept_anew(&source, self.lab.sealing()).unwrap();
        let mut object = object;
        if source.encryption().is_none() && sealing.is_some() {
            // Written anew, so that it has no parts.
            object = Object { tags: object.tags, ..Object::put(object.body) };
        }
        let request = CopyRequest {
            sealing,
            source,
            bucket: self.buckets[bucket].clone(),
            key: key(name),
            metadata: Metadata::default(),
            tags: object.tags.clone(),
            checksum,
            owner: account(),
            condition,
        };
        let got = self.lab.lake.copy(request, &origin()).await;
        if let (Some(algorithm), Ok(written)) = (checksum, &got) {
            let version = lab::unlocked(written.version.clone()).unwrap();
            let value = version.object().unwrap().checksum.unwrap();
            assert_eq!((value.kind, value.value), (ChecksumType::FullObject, Hasher::of(algorithm, &object.body)));
        }
        self.wrote(bucket, name, expected, got, object);
    }

    pub async fn versioning(&mut self) {
        let bucket = self.any_bucket();
        let versioning = *self.pick(&[Versioning::Enabled, Versioning::Enabled, Versioning::Suspended]);
        // The others go on with the bucket as they looked it up before.
        self.lab.lake.set_versioning(&self.buckets[bucket], versioning, &origin()).await.unwrap();
        self.models[bucket].versioning = versioning;
    }

    pub async fn tags(&mut self) {
        let (bucket, name) = (self.any_bucket(), self.any_key());
        let id = (self.below(2) == 0).then(|| self.any_version(bucket, name));
        let tags: Tags = (0..self.below(3)).map(|i| (format!("t{i}"), format!("v{}", self.below(9)))).collect();
        let found = self.lab.lake.lookup(&self.buckets[bucket], &key(name), id).await.unwrap();
        let got = match &found {
            Found::Object(version) => {
                let set = self.lab.lake.set_tags(&self.buckets[bucket], version, tags.clone(), &origin()).await;
                set.map(|version| Some(version.id)).unwrap()
            }
            Found::DeleteMarker(_) | Found::None => None,
        };
        let versions = self.models[bucket].keys.get_mut(name).map_or(&mut [][..], Vec::as_mut_slice);
        let item = match id {
            Some(id) => versions.iter_mut().find(|item| item.id == id),
            None => versions.first_mut(),
        };
        let expected = item.and_then(|Item { object, id }| {
            object.as_mut()?.tags = tags;
            Some(*id)
        });
        assert_eq!(got, expected, "step {}", self.step);
    }

    pub async fn create_upload(&mut self) {
        let (bucket, name) = (self.any_bucket(), self.any_key());
        let checksum = *self.pick(&[
            None,
            Some((ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject)),
            Some((ChecksumAlgorithm::Sha256, ChecksumType::Composite)),
        ]);
        let new = NewUpload {
            sealing: self.lab.sealing(),
            bucket: self.buckets[bucket].clone(),
            key: key(name),
            metadata: Metadata::default(),
            tags: Tags::new(),
            owner: account(),
            initiator: "arn:aws:iam::123456789012:root".into(),
            checksum,
        };
        let upload = self.lab.lake.create_upload(new, &origin()).await.unwrap();
        self.models[bucket].uploads.insert((name.into(), upload.id), BTreeMap::new());
    }

    async fn open_upload(&self) -> Option<(usize, Upload)> {
        let bucket = self.any_bucket();
        let (name, id) = self.any_upload(bucket)?;
        let upload = self.lab.lake.upload(&self.buckets[bucket], &key(&name), id).await.unwrap();
        Some((bucket, lab::unlocked_upload(upload).unwrap()))
    }

    pub async fn put_part(&mut self) {
        let Some((bucket, upload)) = self.open_upload().await else { return };
        let (number, body) = (self.random.below(5) as u16 + 1, self.any_body());
        let sent = *self.pick(&[None, Some(ChecksumAlgorithm::Sha1), Some(ChecksumAlgorithm::Crc64Nvme)]);
        let algorithms = upload.part_checksums(sent);
        let ingested = self.lab.ingest_part(&upload, &body, &algorithms).await.unwrap();
        let part = self.lab.lake.put_part(&upload, number, ingested, &origin()).await.unwrap();
        assert_eq!((part.number, part.size), (number, body.len() as u64));
        assert_eq!(part.checksum, Some(Hasher::of(algorithms[0], &body)));
        self.part_etag(&upload, &part, &body);
        self.parts(bucket, &(upload.key.to_string(), upload.id)).insert(number, body);
    }

    pub async fn copy_part(&mut self) {
        let Some((bucket, upload)) = self.open_upload().await else { return };
        let Some((source, object)) = self.source().await else { return };
        let size = object.body.len();
        let start = self.below(size + 1);
        let end = start + self.below(size - start + 1);
        let number = self.random.below(5) as u16 + 1;
        let range = start as u64..end as u64;
        let got = self.lab.lake.copy_part(&upload, number, &source, range, &origin()).await;
        if source.encryption().is_some() && upload.encryption.is_none() {
            return assert_eq!(got, Err(LakeError::PlainUpload), "step {}", self.step);
        }
        let part = got.unwrap();
        let body = object.body[start..end].to_vec();
        assert_eq!(part.size, body.len() as u64, "step {}", self.step);
        self.part_etag(&upload, &part, &body);
        self.parts(bucket, &(upload.key.to_string(), upload.id)).insert(number, body);
    }

    /// A part's ETag is the MD5 of its bytes, unless the upload hides that.
    fn part_etag(&mut self, upload: &Upload, part: &Part, body: &[u8]) {
        let hides = upload.encryption.as_ref().is_some_and(|encryption| encryption.hides_digests());
        assert_eq!(part.md5 == Md5::of(body), !hides, "step {}", self.step);
        self.etags.insert((upload.id, part.number), part.md5.to_string());
    }

    /// The same list with the ETags that the parts have, where it has those that their bytes would have.
    fn as_shown(&self, upload: UploadId, parts: &BTreeMap<u16, Vec<u8>>, named: &[CompletePart]) -> Vec<CompletePart> {
        let shown = |part: &CompletePart| {
            let is_md5 = parts.get(&part.number).is_some_and(|body| Md5::of(body).to_string() == part.etag);
            let etag = self.etags.get(&(upload, part.number)).filter(|_| is_md5);
            CompletePart { etag: etag.unwrap_or(&part.etag).clone(), ..part.clone() }
        };
        named.iter().map(shown).collect()
    }

    /// Mostly all parts in order; sometimes one left out, one too many, the wrong order or a wrong ETag.
    fn named_parts(&self, parts: &BTreeMap<u16, Vec<u8>>) -> Vec<CompletePart> {
        let named = |(number, body): (&u16, &Vec<u8>)| CompletePart {
            number: *number,
            etag: Md5::of(body).to_string(),
            checksum: None,
        };
        let mut list: Vec<_> = parts.iter().map(named).collect();
        match self.below(10) {
            0 if list.len() > 1 => drop(list.remove(self.below(list.len()))),
            1 => list.push(CompletePart { number: 9, etag: "0".into(), checksum: None }),
            2 => list.reverse(),
            3 if !list.is_empty() => list[0].etag = "0".into(),
            _ => {}
        }
        list
    }

    pub async fn complete(&mut self) {
        let bucket = self.any_bucket();
        let Some((name, id)) = self.any_upload(bucket) else { return };
        let upload = self.lab.lake.upload(&self.buckets[bucket], &key(&name), id).await.unwrap();
        let upload = lab::unlocked_upload(upload).unwrap();
        let named = self.named_parts(&self.models[bucket].uploads[&(name.clone(), id)]);
        let condition = self.any_condition(bucket, &name);
        let object = self.models[bucket].completes(&name, id, &named, MIN_PART);
        let expected = match &object {
            Ok(_) => self.models[bucket].allows(&name, &condition),
            Err(error) => Err(error.clone()),
        };
        let named = self.as_shown(id, &self.models[bucket].uploads[&(name.clone(), id)], &named);
        let mut request = self.completion(bucket, &name, id, named, condition);
        request.object_key = upload.object_key().cloned();
        let got = self.lab.lake.complete(request.clone(), &origin()).await;
        if let (Ok(written), Ok(object)) = (&got, &object) {
            self.check_completed(&upload, &written.version, object, &request);
            self.models[bucket].uploads.remove(&(name.clone(), id));
            self.over.push((bucket, name.clone(), id));
            let again = self.lab.lake.complete(request, &origin()).await;
            assert_eq!(again.as_ref(), Ok(written), "a repeated completion gives the same result");
        }
        self.wrote(bucket, &name, expected, got, object.unwrap_or_else(|_| Object::put(Vec::new())));
    }

    fn completion(
        &self,
        bucket: usize,
        name: &str,
        upload: UploadId,
        parts: Vec<CompletePart>,
        condition: Condition,
    ) -> CompleteRequest {
        let bucket = self.buckets[bucket].clone();
        let object_key = None;
        CompleteRequest {
            object_key,
            bucket,
            key: key(name),
            upload,
            parts,
            expected_size: None,
            checksum: None,
            condition,
        }
    }

    fn check_completed(&self, upload: &Upload, version: &Version, object: &Object, request: &CompleteRequest) {
        let version = lab::unlocked(version.clone()).unwrap();
        let found = version.object().unwrap();
        etag(&version, object);
        assert_eq!(found.size, object.body.len() as u64);
        assert_eq!(found.parts, Some(request.parts.len() as u32));
        let (algorithm, kind) = upload.checksum.unwrap_or((millpond_lake::DEFAULT_CHECKSUM, ChecksumType::FullObject));
        let expected = match kind {
            ChecksumType::FullObject => Hasher::of(algorithm, &object.body),
            ChecksumType::Composite => {
                let mut composite = Composite::new(algorithm);
                let mut at = 0;
                for (_, size) in &object.parts {
                    let end = at + *size as usize;
                    assert!(composite.add(&Hasher::of(algorithm, &object.body[at..end])));
                    at = end;
                }
                composite.finish().0
            }
        };
        assert_eq!(found.checksum.map(|sum| (sum.kind, sum.value)), Some((kind, expected)));
    }

    /// An upload that is over takes no parts, is not listed, and completes only as it did.
    pub async fn repeat_completion(&mut self) {
        if self.over.is_empty() {
            return;
        }
        let (bucket, name, id) = self.pick(&self.over).clone();
        let lake = &self.lab.lake;
        assert_eq!(lake.upload(&self.buckets[bucket], &key(&name), id).await, Err(LakeError::NoSuchUpload));
        let wrong = vec![CompletePart { number: 7, etag: "x".into(), checksum: None }];
        let request = self.completion(bucket, &name, id, wrong, Condition::Always);
        assert_eq!(lake.complete(request, &origin()).await, Err(LakeError::NoSuchUpload));
    }

    pub async fn abort(&mut self) {
        let Some((bucket, upload)) = self.open_upload().await else { return };
        self.lab.lake.abort(&upload, &origin()).await.unwrap();
        assert_eq!(self.lab.lake.abort(&upload, &origin()).await, Err(LakeError::NoSuchUpload));
        let ingested = [ChecksumAlgorithm::Crc64Nvme, ChecksumAlgorithm::Sha256];
        let ingested = self.lab.ingest_part(&upload, b"late", &ingested).await.unwrap();
        assert_eq!(self.lab.lake.put_part(&upload, 1, ingested, &origin()).await, Err(LakeError::NoSuchUpload));
        self.models[bucket].uploads.remove(&(upload.key.to_string(), upload.id));
        self.over.push((bucket, upload.key.to_string(), upload.id));
    }
}
