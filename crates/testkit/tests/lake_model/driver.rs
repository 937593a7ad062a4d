//! Chooses operations and applies them to both.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_io::SeededRandom;
use millpond_lake::{Bucket, UploadId, VersionId};
use millpond_testkit::lab::Lab;
use millpond_testkit::model::BucketModel;

/// Keys that sort and roll up in odd ways.
pub const KEYS: [&str; 14] =
    ["a", "a/", "a/b", "a/b/c", "a/b/d", "a/c", "a0", "b", "b\0", "b\0\0", "b\u{1}", "é/x", "é/y", "\u{10FFFF}/z"];
pub const BUCKETS: [&str; 2] = ["one", "two"];

/// Both lakes, and what is needed to choose.
pub struct Driver {
    pub lab: Lab,
    pub random: SeededRandom,
    pub buckets: Vec<Arc<Bucket>>,
    pub models: Vec<BucketModel>,
    /// Uploads that are over, with what they came to (or not).
    pub over: Vec<(usize, String, UploadId)>,
    /// ETags of parts that are not their MD5.
    pub etags: BTreeMap<(UploadId, u16), String>,
    pub step: usize,
}

impl Driver {
    pub async fn new(lab: Lab, seed: u64) -> Self {
        let mut buckets = Vec::new();
        for name in BUCKETS {
            buckets.push(lab.bucket(name).await.unwrap());
        }
        let models = vec![BucketModel::default(); BUCKETS.len()];
        Self {
            lab,
            random: SeededRandom::new(seed ^ 0x5EED),
            buckets,
            models,
            over: Vec::new(),
            etags: BTreeMap::new(),
            step: 0,
        }
    }

    pub fn below(&self, n: usize) -> usize {
        self.random.below(n as u64) as usize
    }

    pub fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub fn any_bucket(&self) -> usize {
        self.below(BUCKETS.len())
    }

    pub fn any_key(&self) -> &'static str {
        KEYS[self.below(KEYS.len())]
    }

    /// A body for each kind of storage: none, inline, segment, file.
    pub fn any_body(&self) -> Vec<u8> {
        let len = match self.below(10) {
            0 => 0,
            1..=4 => self.below(64) + 1,
            5..=7 => self.below(900) + 65,
            _ => self.below(3000) + 1025,
        };
        let first = self.below(256);
        (0..len).map(|i| (first + i * 7 + i / 251) as u8).collect()
    }

    /// A version of the key that exists, did exist perhaps, or never did.
    pub fn any_version(&self, bucket: usize, key: &str) -> VersionId {
        let versions = self.models[bucket].keys.get(key).map_or(&[][..], Vec::as_slice);
        match self.below(6) {
            0 => VersionId::Null,
            1 => VersionId::Id { stamp: 5, nonce: 6 },
            _ if versions.is_empty() => VersionId::Null,
            _ => self.pick(versions).id,
        }
    }

    pub fn any_upload(&self, bucket: usize) -> Option<(String, UploadId)> {
        let open: Vec<_> = self.models[bucket].uploads.keys().cloned().collect();
        if open.is_empty() { None } else { Some(self.pick(&open).clone()) }
    }

    pub async fn run(mut self, steps: usize) {
        for step in 0..steps {
            self.step = step;
            self.one().await;
            if step % 50 == 49 {
                self.verify_all().await;
            }
            if step % 100 == 99 {
                self.lab.settle().await.unwrap();
                self.verify_all().await;
            }
        }
        self.drain().await;
    }

    async fn one(&mut self) {
        match self.below(100) {
            0..=27 => self.put().await,
            28..=40 => self.delete().await,
            41..=44 => self.delete_many().await,
            45..=53 => self.copy().await,
            54..=55 => self.versioning().await,
            56..=60 => self.tags().await,
            61..=66 => self.list().await,
            67..=71 => self.list_versions().await,
            72..=75 => self.create_upload().await,
            76..=84 => self.put_part().await,
            85..=88 => self.copy_part().await,
            89..=93 => self.complete().await,
            94 => self.abort().await,
            95..=96 => self.list_uploads().await,
            97..=98 => self.repeat_completion().await,
            _ => self.move_time().await,
        }
    }

    async fn move_time(&mut self) {
        self.lab.clock.advance(std::time::Duration::from_secs(self.random.below(50)));
        self.lab.lake.upkeep_once().await.unwrap();
    }

    pub fn parts(&mut self, bucket: usize, upload: &(String, UploadId)) -> &mut BTreeMap<u16, Vec<u8>> {
        self.models[bucket].uploads.get_mut(upload).unwrap()
    }
}
