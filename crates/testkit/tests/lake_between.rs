//! Each operation with each other one in between what it reads and what it commits: all interleavings of two, by construction.

// A test that meets what it does not expect ends there, in its helpers as well.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use millpond_digest::Md5;
use millpond_io::sim::SimDisk;
use millpond_lake::{
    Bucket, CompletePart, CompleteRequest, Condition, ConfigKind, Configs, CopyRequest, DeleteCondition, DeleteItem,
    Found, LakeError, Metadata, NewBucket, NewUpload, PutRequest, Tags, Upload, Version, VersionId, Versioning,
    VersionsRequest,
};
use millpond_meta::MemoryKv;
use millpond_testkit::between::BetweenKv;
use millpond_testkit::lab::{self, Lab, account, origin};
use millpond_types::ObjectKey;

const LONG: usize = 1500;

/// The scene that every pair begins with: key `k` with an object (and under versioning older ones), and an upload with two parts.
struct Scene {
    lab: Lab,
    kv: BetweenKv<MemoryKv>,
    bucket: Arc<Bucket>,
    upload: Upload,
    parts: Vec<CompletePart>,
    /// The current object of `k`, as the operations look it up before.
    source: Version,
    old: Option<VersionId>,
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

async fn scene(versioning: Versioning) -> Arc<Scene> {
    let kv = BetweenKv::new(MemoryKv::new());
    let lab = lab::open(Arc::new(kv.clone()), Arc::new(SimDisk::new()), Path::new("/blobs"), 1).await.unwrap();
    let bucket = lab.bucket("bucket").await.unwrap();
    let first = lab.put(&bucket, "k", &[1; LONG], Condition::Always).await.unwrap();
    let mut old = None;
    if versioning != Versioning::Unset {
        lab.lake.set_versioning(&bucket, Versioning::Enabled, &origin()).await.unwrap();
        lab.put(&bucket, "k", &[2; LONG], Condition::Always).await.unwrap();
        lab.lake.set_versioning(&bucket, versioning, &origin()).await.unwrap();
        old = Some(first.version.id);
    }
    let new = NewUpload {
        sealing: None,
        bucket: bucket.clone(),
        key: key("k"),
        metadata: Metadata::default(),
        tags: Tags::new(),
        owner: account(),
        initiator: "tester".into(),
        checksum: None,
    };
    let upload = lab.lake.create_upload(new, &origin()).await.unwrap();
    let mut parts = Vec::new();
    for number in 1..=2u16 {
        let ingested = lab.ingest(&[number as u8 + 10; LONG], &[]).await.unwrap();
        let part = lab.lake.put_part(&upload, number, ingested, &origin()).await.unwrap();
        parts.push(CompletePart { number, etag: part.md5.to_string(), checksum: None });
    }
    let Found::Object(source) = lab.lake.lookup(&bucket, &key("k"), None).await.unwrap() else { panic!("no object") };
    Arc::new(Scene { lab, kv, bucket, upload, parts, source, old })
}

type Run = fn(Arc<Scene>) -> BoxFuture<'static, Result<(), LakeError>>;

/// The operations, by name.
fn operations() -> Vec<(&'static str, Run)> {
    vec![
        ("put", |s| Box::pin(async move { s.lab.put(&s.bucket, "k", &[3; LONG], Condition::Always).await.map(drop) })),
        ("put if absent", |s| {
            Box::pin(async move { s.lab.put(&s.bucket, "k", &[4; LONG], Condition::IfAbsent).await.map(drop) })
        }),
        ("put if match", |s| {
            let condition = Condition::IfMatch(s.source.object().unwrap().etag.clone());
            Box::pin(async move { s.lab.put(&s.bucket, "k", &[5; LONG], condition).await.map(drop) })
        }),
        ("delete", |s| Box::pin(delete(s, None))),
        ("delete the head", |s| {
            let id = s.source.id;
            Box::pin(delete(s, Some(id)))
        }),
        ("delete an old version", |s| {
            let id = s.old;
            Box::pin(delete(s, Some(id.unwrap_or(VersionId::Null))))
        }),
        ("delete many", |s| {
            Box::pin(async move {
                let item = |version| DeleteItem { key: key("k"), version, condition: DeleteCondition::Always };
                let items = [item(None), item(Some(s.source.id))];
                s.lab.lake.delete_many(&s.bucket, &items, &origin()).await?.into_iter().try_for_each(|r| r.map(drop))
            })
        }),
        ("copy from it", |s| Box::pin(copy(s, "copy"))),
        ("copy onto itself", |s| Box::pin(copy(s, "k"))),
        ("tag", |s| {
            Box::pin(async move {
                let tags = Tags::from([("a".into(), "b".into())]);
                s.lab.lake.set_tags(&s.bucket, &s.source, tags, &origin()).await.map(drop)
            })
        }),
        ("share", |s| Box::pin(async move { share(&s, "everybody").await })),
        ("complete", |s| Box::pin(complete(s))),
        ("abort", |s| Box::pin(async move { s.lab.lake.abort(&s.upload, &origin()).await })),
        ("replace a part", |s| {
            Box::pin(async move {
                let ingested = s.lab.ingest(&[99; LONG], &[]).await?;
                s.lab.lake.put_part(&s.upload, 2, ingested, &origin()).await.map(drop)
            })
        }),
        ("copy a part", |s| {
            Box::pin(async move {
                s.lab.lake.copy_part(&s.upload, 2, &s.source, 10..LONG as u64, &origin()).await.map(drop)
            })
        }),
        ("enable versioning", |s| Box::pin(versioning(s, Versioning::Enabled))),
        ("suspend versioning", |s| Box::pin(versioning(s, Versioning::Suspended))),
        ("configure", |s| Box::pin(configure(s))),
        ("upkeep", |s| Box::pin(async move { s.lab.lake.upkeep_once().await.map(drop) })),
    ]
}

async fn delete(s: Arc<Scene>, version: Option<VersionId>) -> Result<(), LakeError> {
    s.lab.lake.delete(&s.bucket, &key("k"), version, DeleteCondition::Always, &origin()).await.map(drop)
}

async fn share(s: &Scene, with: &'static str) -> Result<(), LakeError> {
    s.lab.lake.set_acl(&s.bucket, &s.source, Some(with.into()), &origin()).await.map(drop)
}

async fn versioning(s: Arc<Scene>, versioning: Versioning) -> Result<(), LakeError> {
    s.lab.lake.set_versioning(&s.bucket, versioning, &origin()).await.map(drop)
}

async fn configure(s: Arc<Scene>) -> Result<(), LakeError> {
    let value = Some("a policy".into());
    s.lab.lake.set_config(&s.bucket, ConfigKind::Policy, value, &origin()).await.map(drop)
}

async fn copy(s: Arc<Scene>, to: &'static str) -> Result<(), LakeError> {
    let request = CopyRequest {
        sealing: None,
        source: s.source.clone(),
        bucket: s.bucket.clone(),
        key: key(to),
        metadata: Metadata::default(),
        tags: Tags::new(),
        checksum: None,
        owner: account(),
        condition: Condition::Always,
    };
    s.lab.lake.copy(request, &origin()).await.map(drop)
}

async fn complete(s: Arc<Scene>) -> Result<(), LakeError> {
    let request = CompleteRequest {
        object_key: None,
        bucket: s.bucket.clone(),
        key: key("k"),
        upload: s.upload.id,
        parts: s.parts.clone(),
        expected_size: None,
        checksum: None,
        condition: Condition::Always,
    };
    let version = s.lab.lake.complete(request, &origin()).await?.version;
    // Of the parts that were named, whatever else was written meanwhile (and the object may be gone by now).
    match s.lab.read(&version, 0..2 * LONG as u64).await {
        Ok(body) => assert_eq!(body, [[11; LONG], [12; LONG]].concat()),
        Err(error) => assert_eq!(error, LakeError::Changed),
    }
    Ok(())
}

fn expected(error: &LakeError) -> bool {
    matches!(
        error,
        LakeError::Changed
            | LakeError::Reconfigured
            | LakeError::NoSuchKey
            | LakeError::NoSuchUpload
            | LakeError::IsDeleteMarker
            | LakeError::PreconditionFailed
            | LakeError::InvalidPart { .. }
    )
}

/// Everything that is listed can be read and is what its ETag says; rows agree.
async fn look(s: &Scene, what: &str) {
    assert_eq!(s.lab.check().await.unwrap().problems, Vec::<String>::new(), "{what}");
    let request = VersionsRequest { limit: 1000, ..VersionsRequest::default() };
    for entry in s.lab.lake.list_versions(&s.bucket, request).await.unwrap().entries {
        let found = s.lab.lake.lookup(&s.bucket, &key(&entry.entry.key), Some(entry.id)).await.unwrap();
        match found {
            Found::DeleteMarker(_) => assert!(entry.is_marker, "{what}"),
            Found::Object(version) => {
                let object = version.object().unwrap();
                let body = s.lab.read(&version, 0..object.size).await.unwrap_or_else(|e| panic!("{what}: {e}"));
                if object.parts.is_none() {
                    assert_eq!(Md5::of(&body).to_string(), object.etag, "{what}");
                }
            }
            Found::None => panic!("{what}: {entry:?} is listed and not found"),
        }
    }
}

fn changes_the_bucket(name: &str) -> bool {
    name.ends_with("versioning") || name == "configure"
}

#[tokio::test]
async fn every_pair() {
    let mut pairs = 0;
    for mode in [Versioning::Unset, Versioning::Enabled, Versioning::Suspended] {
        for (outer_name, outer) in operations() {
            for (inner_name, inner) in operations() {
                // Changes of the bucket itself stand in line within the process.
                if changes_the_bucket(outer_name) && changes_the_bucket(inner_name) {
                    continue;
                }
                let what = format!("{mode:?}: {inner_name} within {outer_name}");
                let s = scene(mode).await;
                let within = s.clone();
                let told = what.clone();
                s.kv.before_next_commit(async move {
                    if let Err(error) = inner(within).await {
                        assert!(expected(&error), "{told}: inner: {error}");
                    }
                });
                if let Err(error) = outer(s.clone()).await {
                    assert!(expected(&error), "{what}: {error}");
                }
                pairs += usize::from(!s.kv.cancel());
                look(&s, &what).await;
                s.lab.settle().await.unwrap();
                look(&s, &what).await;
            }
        }
    }
    println!("{pairs} pairs");
    assert!(pairs > 600, "only {pairs} of the operations commit anything");
}

/// What a write does is decided by the bucket as it is at the commit, not as it was when the request came.
#[tokio::test]
async fn a_write_sees_what_became_of_its_bucket() {
    let s = scene(Versioning::Unset).await;
    let within = s.clone();
    s.kv.before_next_commit(async move { versioning(within, Versioning::Enabled).await.unwrap() });
    let written = s.lab.put(&s.bucket, "k", b"new", Condition::Always).await.unwrap();
    assert!(written.versioned && written.version.id != VersionId::Null);
    assert_eq!(s.lab.lake.bucket_usage(&s.bucket).await.unwrap().versions, 2);

    let empty = s.lab.bucket("empty").await.unwrap();
    let (within, bucket) = (s.clone(), empty.clone());
    s.kv.before_next_commit(async move { within.lab.lake.delete_bucket(&bucket, &origin()).await.unwrap() });
    assert_eq!(s.lab.put(&empty, "k", b"x", Condition::Always).await.err(), Some(LakeError::NoSuchBucket));

    let busy = s.lab.bucket("busy").await.unwrap();
    let (within, bucket) = (s.clone(), busy.clone());
    s.kv.before_next_commit(async move {
        within.lab.put(&bucket, "k", b"x", Condition::Always).await.unwrap();
    });
    assert_eq!(s.lab.lake.delete_bucket(&busy, &origin()).await, Err(LakeError::BucketNotEmpty));
    look(&s, "buckets").await;
}

/// Whatever changes a bucket was decided under the configuration that it has at the commit; parts alone wait for their completion.
#[tokio::test]
async fn what_was_decided_under_another_configuration_is_not_committed() {
    for (name, run) in operations() {
        let s = scene(Versioning::Enabled).await;
        let within = s.clone();
        if changes_the_bucket(name) {
            configure(within).await.unwrap();
        } else {
            s.kv.before_next_commit(async move { configure(within).await.unwrap() });
        }
        let before = s.lab.lake.bucket_usage(&s.bucket).await.unwrap();
        let result = run(s.clone()).await;
        let unbound = ["abort", "replace a part", "copy a part", "upkeep", "put if absent"].contains(&name);
        if !unbound {
            assert_eq!(result, Err(LakeError::Reconfigured), "{name}");
            assert_eq!(s.lab.lake.bucket_usage(&s.bucket).await.unwrap(), before, "{name}");
        }
        look(&s, name).await;
    }
}

/// Configurations are there after a restart, and gone with their bucket.
#[tokio::test]
async fn configurations_are_kept_with_their_bucket() {
    let (kv, disk) = (MemoryKv::new(), Arc::new(SimDisk::new()));
    let open = async || lab::open(Arc::new(kv.clone()), disk.clone(), Path::new("/blobs"), 1).await.unwrap();
    let lab = open().await;
    let new = NewBucket {
        name: "bucket".parse().unwrap(),
        owner: account(),
        region: "us-east-1".parse().unwrap(),
        tags: None,
        configs: Configs::from([(ConfigKind::Ownership, "o".into()), (ConfigKind::Acl, "a".into())]),
    };
    let bucket = lab.lake.create_bucket(new, &origin()).await.unwrap();
    let bucket = lab.lake.set_config(&bucket, ConfigKind::Policy, Some("p".into()), &origin()).await.unwrap();
    let bucket = lab.lake.set_config(&bucket, ConfigKind::Acl, None, &origin()).await.unwrap();
    let large = vec![0; millpond_lake::MAX_CONFIG_BYTES + 1];
    let refused = lab.lake.set_config(&bucket, ConfigKind::Acl, Some(large.into()), &origin()).await;
    assert!(matches!(refused, Err(LakeError::ConfigTooLarge { .. })), "{refused:?}");

    let lab = open().await;
    let again = lab.lake.bucket(&bucket.name).await.unwrap();
    assert_eq!(*again, *bucket);
    let expected = Configs::from([(ConfigKind::Ownership, "o".into()), (ConfigKind::Policy, "p".into())]);
    assert_eq!((again.revision, &*again.configs), (3, &expected));
    assert_eq!(lab.check().await.unwrap().problems, Vec::<String>::new());
    lab.lake.delete_bucket(&again, &origin()).await.unwrap();
    assert_eq!(lab.check().await.unwrap().problems, Vec::<String>::new());
    assert_eq!(lab.bucket("bucket").await.unwrap().configs.len(), 0);
}

/// A write that was refused as it was decided too early keeps its bytes for the next try.
#[tokio::test]
async fn a_write_is_decided_anew() {
    let s = scene(Versioning::Unset).await;
    let mut request = PutRequest {
        bucket: s.bucket.clone(),
        key: key("new"),
        ingested: s.lab.ingest(&[7; LONG], &[]).await.unwrap(),
        metadata: Metadata::default(),
        tags: Tags::new(),
        checksum: None,
        owner: account(),
        condition: Condition::Always,
    };
    configure(s.clone()).await.unwrap();
    assert_eq!(s.lab.lake.try_put(&mut request, &origin()).await.err(), Some(LakeError::Reconfigured));
    request.bucket = s.lab.lake.bucket(&s.bucket.name).await.unwrap();
    assert_eq!(request.bucket.config(ConfigKind::Policy).map(|value| &value[..]), Some(&b"a policy"[..]));
    let written = s.lab.lake.try_put(&mut request, &origin()).await.unwrap().version;
    assert_eq!(s.lab.read(&written, 0..LONG as u64).await.unwrap(), [7; LONG]);
    look(&s, "a second try").await;
}

/// Whatever was decided by a version's ACL or tags is not committed once they were replaced, by whom ever and whenever.
#[tokio::test]
async fn what_was_decided_by_a_version_is_not_committed_after_it_changed() {
    let copied = ["tag", "share", "copy from it", "copy onto itself", "copy a part"];
    for mode in [Versioning::Unset, Versioning::Enabled, Versioning::Suspended] {
        for (name, run) in operations().into_iter().filter(|(name, _)| copied.contains(name)) {
            for (tags, late) in [(false, false), (false, true), (true, false), (true, true)] {
                let what = format!("{mode:?}: {name} {tags} {late}");
                let s = scene(mode).await;
                let within = s.clone();
                let change = async move {
                    let tagged = Tags::from([("c".into(), "d".into())]);
                    if tags {
                        within.lab.lake.set_tags(&within.bucket, &within.source, tagged, &origin()).await.map(drop)
                    } else {
                        share(&within, "nobody").await
                    }
                    .unwrap();
                };
                if late {
                    s.kv.before_next_commit(change)
                } else {
                    change.await
                }
                assert_eq!(run(s.clone()).await, Err(LakeError::Reconfigured), "{what}");
                let found = s.lab.lake.lookup(&s.bucket, &key("k"), None).await.unwrap();
                let Found::Object(version) = found else { panic!("{what}") };
                let object = version.object().unwrap();
                assert_eq!((object.tags.len(), object.metadata.acl.is_some()), (tags.into(), !tags), "{what}");
                look(&s, &what).await;
                // Looked up anew, it goes on.
                s.lab.lake.set_acl(&s.bucket, &version, None, &origin()).await.unwrap();
            }
        }
    }
}

/// What replaced an object is another, though it has the same id.
#[tokio::test]
async fn an_acl_is_not_given_to_another_object_of_the_same_key() {
    let s = scene(Versioning::Unset).await;
    s.lab.put(&s.bucket, "k", &[1; LONG], Condition::Always).await.unwrap();
    assert_eq!(share(&s, "everybody").await, Err(LakeError::Reconfigured));
}

/// A write that reads its bucket's row anew must not put back what a change of the bucket replaces just then.
#[tokio::test]
async fn a_bucket_read_anew_is_never_older_than_its_last_change() {
    for delete in [false, true] {
        let s = scene(Versioning::Unset).await;
        let bucket = s.lab.bucket("other").await.unwrap();
        let changes = Arc::new(std::sync::Mutex::new(None));
        let (within, told, of) = (s.clone(), changes.clone(), bucket.clone());
        s.kv.before_next_commit(async move {
            let enabled = within.lab.lake.set_versioning(&of, Versioning::Enabled, &origin()).await.unwrap();
            // The next row that is read is that of the bucket, by the write whose condition does not hold any more.
            let (lake, seen) = (within.lab.lake.clone(), within.lab.lake.clone());
            let scene = within.clone();
            scene.kv.after_next_get(async move {
                let change = tokio::spawn(async move {
                    if delete {
                        lake.delete_bucket(&enabled, &origin()).await.unwrap();
                    } else {
                        lake.set_versioning(&enabled, Versioning::Suspended, &origin()).await.unwrap();
                    }
                });
                // As far as it comes; the lock may keep it until the write has gone on.
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                // If it came to its end, it is what everybody sees from now on. (Else the next commit may be its own.)
                if change.is_finished() {
                    within.kv.before_next_commit(async move {
                        let now = seen.bucket(&of.name).await.map(|bucket| bucket.versioning);
                        assert_eq!(now.ok(), (!delete).then_some(Versioning::Suspended), "an older state came back");
                    });
                }
                *told.lock().unwrap() = Some(change);
            });
        });
        let put = s.lab.put(&bucket, "k", b"x", Condition::Always).await;
        let change = changes.lock().unwrap().take().unwrap();
        let changed = change.await;
        let now = s.lab.lake.bucket(&bucket.name).await;
        if delete {
            // Whoever was first: a bucket that holds the object, or none and no object.
            match changed {
                Ok(()) => {
                    assert_eq!((now.err(), put.err()), (Some(LakeError::NoSuchBucket), Some(LakeError::NoSuchBucket)))
                }
                Err(_) => assert!(now.is_ok() && put.is_ok()),
            }
        } else {
            changed.unwrap();
            put.unwrap();
            assert_eq!(now.unwrap().versioning, Versioning::Suspended);
        }
    }
}
