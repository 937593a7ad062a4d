//! The order of a key's versions and changes, in listings and in the feed.

// A test that meets what it does not expect ends there, in its helpers as well.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use millpond_io::sim::SimDisk;
use millpond_lake::{AfterVersion, Condition, DeleteCondition, VersionId, Versioning, VersionsRequest};
use millpond_meta::MemoryKv;
use millpond_testkit::lab::{self, Lab, origin};
use millpond_types::{ObjectKey, Timestamp};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

async fn open(kv: &MemoryKv, disk: &SimDisk, seed: u64) -> Lab {
    lab::open(Arc::new(kv.clone()), Arc::new(disk.clone()), Path::new("/blobs"), seed).await.unwrap()
}

/// The clock stands still within a run, and is set back between two.
#[tokio::test]
async fn the_sequencer_of_a_key_only_grows_whatever_the_clock_does() {
    let (kv, disk) = (MemoryKv::new(), SimDisk::new());
    let mut lab = open(&kv, &disk, 1).await;
    let mut bucket = lab.bucket("bucket").await.unwrap();
    for run in 2..5 {
        for _ in 0..3 {
            lab.put(&bucket, "k", b"x", Condition::Always).await.unwrap();
            lab.lake.delete(&bucket, &key("k"), None, DeleteCondition::Always, &origin()).await.unwrap();
        }
        lab.clock.set(Timestamp::from_seconds(1_800_000_000));
        lab.put(&bucket, "k", b"x", Condition::Always).await.unwrap();
        lab.lake.delete(&bucket, &key("k"), None, DeleteCondition::Always, &origin()).await.unwrap();
        // A new clock begins in the past of the one before.
        lab = open(&kv, &disk, run).await;
        bucket = lab.lake.bucket(&bucket.name).await.unwrap();
    }
    let changes = lab.lake.changes(&bucket, None, 1000).await.unwrap();
    let sequencers: Vec<_> = changes.iter().map(|change| change.sequencer.clone()).collect();
    assert_eq!(sequencers.len(), 1 + 3 * 8);
    assert!(sequencers.windows(2).all(|pair| pair[0] < pair[1] && pair[0].len() == pair[1].len()), "{sequencers:?}");
}

/// Behind each version, the null one included, a listing goes on with the next and repeats nothing.
#[tokio::test]
async fn a_listing_goes_on_strictly_behind_any_version() {
    for null_at in 0..4 {
        let lab = lab::memory(1).await.unwrap();
        let bucket = lab.bucket("bucket").await.unwrap();
        for name in ["a", "k", "z"] {
            for n in 0..4 {
                let versioning = if n == null_at { Versioning::Suspended } else { Versioning::Enabled };
                let unset = n == 0 && null_at == 0 && name == "a";
                if !unset {
                    lab.lake.set_versioning(&bucket, versioning, &origin()).await.unwrap();
                }
                if n == 2 {
                    lab.lake.delete(&bucket, &key(name), None, DeleteCondition::Always, &origin()).await.unwrap();
                } else {
                    lab.put(&bucket, name, &[n], Condition::Always).await.unwrap();
                }
            }
        }
        let list = async |after, delimiter| {
            let request = VersionsRequest { after, delimiter, limit: 1000, ..VersionsRequest::default() };
            let page = lab.lake.list_versions(&bucket, request).await.unwrap();
            page.entries.into_iter().map(|entry| (entry.entry.key, entry.id)).collect::<Vec<_>>()
        };
        let all = list(AfterVersion::Start, None).await;
        assert_eq!(all.len(), 12);
        assert_eq!(all.iter().filter(|(_, id)| *id == VersionId::Null).count(), 3);
        for (at, (name, id)) in all.iter().enumerate() {
            for delimiter in [None, Some("/".to_owned())] {
                let rest = list(AfterVersion::Version(name.clone(), *id), delimiter).await;
                assert_eq!(rest, all[at + 1..], "null at {null_at}: behind {name} {id}");
            }
        }
    }
}
