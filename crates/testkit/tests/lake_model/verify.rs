//! Compares everything there is to see.

use millpond_lake::{
    After, AfterUpload, AfterVersion, Found, LakeError, ListRequest, Object, UploadsRequest, Version, VersionsRequest,
};
use millpond_testkit::model::{Item, Object as Model};

use crate::driver::{Driver, KEYS};
use crate::ops::key;

const PREFIXES: [&str; 7] = ["", "a", "a/", "a/b", "b\0", "é", "zz"];
const DELIMITERS: [Option<&str>; 4] = [None, Some("/"), Some("\0"), Some("b")];

impl Driver {
    fn any_limit(&self) -> usize {
        *self.pick(&[0, 1, 2, 3, 5, 1000])
    }

    /// Walks pages to the end, comparing each.
    pub async fn list(&self) {
        let (bucket, prefix) = (self.any_bucket(), *self.pick(&PREFIXES));
        let (delimiter, limit) = (*self.pick(&DELIMITERS), self.any_limit());
        let mut after = match self.below(4) {
            0 => After::Key(self.any_key().into()),
            1 => After::Key(format!("{}zzz", self.any_key())),
            _ => After::Start,
        };
        for _ in 0..=2 * KEYS.len() {
            let request = ListRequest {
                prefix: prefix.into(),
                delimiter: delimiter.map(Into::into),
                after: after.clone(),
                limit,
            };
            let page = self.lab.lake.list_current(&self.buckets[bucket], request).await.unwrap();
            let model = self.models[bucket].list(prefix, delimiter, &after, limit);
            let keys: Vec<_> = page.entries.iter().map(|entry| entry.key.clone()).collect();
            let context = format!("step {} {prefix:?} {delimiter:?} {after:?} {limit}", self.step);
            assert_eq!((keys, page.prefixes, page.next.clone()), model, "{context}");
            for entry in &page.entries {
                let object = self.models[bucket].current(&entry.key).unwrap();
                assert_eq!((entry.size, &entry.etag), (object.body.len() as u64, &object.etag), "{context}");
            }
            match page.next {
                Some(next) => after = next,
                None => return,
            }
        }
        panic!("step {}: a listing has no end", self.step);
    }

    pub async fn list_versions(&self) {
        let (bucket, prefix) = (self.any_bucket(), *self.pick(&PREFIXES));
        let (delimiter, limit) = (*self.pick(&DELIMITERS), self.any_limit());
        let name = self.any_key();
        let mut after = match self.below(6) {
            0 => AfterVersion::Key(name.into()),
            1 => {
                self.models[bucket].head(name).map_or(AfterVersion::Start, |i| AfterVersion::Version(name.into(), i.id))
            }
            2 => AfterVersion::Prefix("a/".into()),
            _ => AfterVersion::Start,
        };
        let versions: usize = self.models[bucket].keys.values().map(Vec::len).sum();
        for _ in 0..=2 * versions + 2 {
            let request = VersionsRequest {
                prefix: prefix.into(),
                delimiter: delimiter.map(Into::into),
                after: after.clone(),
                limit,
            };
            let page = self.lab.lake.list_versions(&self.buckets[bucket], request).await.unwrap();
            let model = self.models[bucket].list_versions(prefix, delimiter, &after, limit);
            let seen: Vec<_> =
                page.entries.iter().map(|e| (e.entry.key.clone(), e.id, e.is_latest, e.is_marker)).collect();
            let context = format!("step {} {prefix:?} {delimiter:?} {after:?} {limit}", self.step);
            assert_eq!((seen, page.prefixes, page.next.clone()), model, "{context}");
            match page.next {
                Some(next) => after = next,
                None => return,
            }
        }
        panic!("step {}: a listing of versions has no end", self.step);
    }

    pub async fn list_uploads(&self) {
        let bucket = self.any_bucket();
        let limit = self.any_limit().max(1);
        let (mut after, mut seen) = (AfterUpload::Start, Vec::new());
        loop {
            let request = UploadsRequest { after, limit, ..UploadsRequest::default() };
            let page = self.lab.lake.list_uploads(&self.buckets[bucket], request).await.unwrap();
            seen.extend(page.uploads.iter().map(|upload| (upload.key.to_string(), upload.id)));
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        assert_eq!(seen, self.models[bucket].uploads.keys().cloned().collect::<Vec<_>>(), "step {}", self.step);
        for upload in seen {
            self.list_parts(bucket, &upload).await;
        }
    }

    async fn list_parts(&self, bucket: usize, upload: &(String, millpond_lake::UploadId)) {
        let found = self.lab.lake.upload(&self.buckets[bucket], &key(&upload.0), upload.1).await.unwrap();
        let (mut after, mut seen) = (0, Vec::new());
        loop {
            let page = self.lab.lake.list_parts(&found, after, 2).await.unwrap();
            seen.extend(page.parts.iter().map(|part| (part.number, part.size)));
            match page.parts.last() {
                Some(last) if page.truncated => after = last.number,
                _ => break,
            }
        }
        let model = &self.models[bucket].uploads[upload];
        assert_eq!(seen, model.iter().map(|(number, body)| (*number, body.len() as u64)).collect::<Vec<_>>());
    }

    pub async fn verify_all(&self) {
        for bucket in 0..self.buckets.len() {
            for name in KEYS {
                self.verify_key(bucket, name).await;
            }
            let usage = self.lab.lake.bucket_usage(&self.buckets[bucket]).await.unwrap();
            let counted = (usage.objects, usage.bytes, usage.versions, usage.uploads);
            assert_eq!(counted, self.models[bucket].usage(), "step {}", self.step);
        }
        self.list().await;
        self.list_versions().await;
        self.list_uploads().await;
        let report = self.lab.check().await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new(), "step {}", self.step);
    }

    async fn verify_key(&self, bucket: usize, name: &str) {
        let found = self.lab.lake.lookup(&self.buckets[bucket], &key(name), None).await.unwrap();
        self.verify_found(found, self.models[bucket].head(name)).await;
        for item in self.models[bucket].keys.get(name).into_iter().flatten() {
            let found = self.lab.lake.lookup(&self.buckets[bucket], &key(name), Some(item.id)).await.unwrap();
            self.verify_found(found, Some(item)).await;
        }
    }

    async fn verify_found(&self, found: Found, item: Option<&Item>) {
        match (found, item) {
            (Found::None, None) => {}
            (Found::DeleteMarker(marker), Some(Item { object: None, id })) => assert_eq!(marker.id, *id),
            (Found::Object(version), Some(Item { object: Some(object), id })) => {
                assert_eq!(version.id, *id);
                self.verify_object(&version, version.object().unwrap(), object).await;
            }
            (found, item) => panic!("step {}: found {found:?}, expected {item:?}", self.step),
        }
    }

    async fn verify_object(&self, version: &Version, found: &Object, object: &Model) {
        if found.encrypted.is_some() && found.size > 0 {
            assert!(matches!(self.lab.lake.read(version, 0..found.size).await, Err(LakeError::Locked)));
        }
        assert_eq!((&found.etag, found.size, &found.tags), (&object.etag, object.body.len() as u64, &object.tags));
        let size = object.body.len();
        assert_eq!(self.lab.read(version, 0..size as u64).await.unwrap(), object.body, "step {}", self.step);
        let start = self.below(size + 1);
        let end = start + self.below(size - start + 1);
        let part = self.lab.read(version, start as u64..end as u64).await.unwrap();
        assert_eq!(part, object.body[start..end], "step {} {start}..{end}", self.step);
        let (parts, more) = self.lab.lake.parts_of(version, 0, 1000).await.unwrap();
        let seen: Vec<_> = parts.iter().map(|part| (part.number, part.size)).collect();
        let expected = if object.parts.is_empty() { vec![(1, size as u64)] } else { object.parts.clone() };
        assert_eq!((seen, more), (expected, false));
        for part in parts {
            assert_eq!(self.lab.lake.part_of(version, part.number).await.unwrap(), Some(part));
        }
        assert_eq!(self.lab.lake.part_of(version, 99).await.unwrap(), None);
    }

    /// Deletes everything, and nothing is left.
    pub async fn drain(mut self) {
        self.verify_all().await;
        let origin = millpond_testkit::lab::origin();
        for bucket in 0..self.buckets.len() {
            for (name, versions) in std::mem::take(&mut self.models[bucket].keys) {
                for item in versions {
                    let always = millpond_lake::DeleteCondition::Always;
                    let target = &self.buckets[bucket];
                    self.lab.lake.delete(target, &key(&name), Some(item.id), always, &origin).await.unwrap();
                }
            }
            self.lab.lake.delete_bucket(&self.buckets[bucket], &origin).await.unwrap();
        }
        self.lab.settle().await.unwrap();
        let report = self.lab.check().await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        let left = (report.versions, report.markers, report.uploads, report.bodies, report.waiting);
        assert_eq!(left, (0, 0, 0, 0, 0), "something is left over");
    }
}
