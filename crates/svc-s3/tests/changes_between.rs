//! What is decided by may change while a request is on its way: once the change was acknowledged, nothing is committed by what was before.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::sync::Arc;

use millpond_kernel::Principal;
use millpond_meta::MemoryKv;
use millpond_testkit::between::BetweenKv;
use world::{OWNER, Row, Server, Who, server_on, user};

const DENY: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::123456789012:user/able"},
    "Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}}"#;

const COPY: &[(&str, &str)] = &[("x-amz-copy-source", "/bucket/key")];

fn root() -> Who {
    Who(Principal::Root(OWNER.parse().unwrap()), None)
}

/// Buckets `bucket` and `other`, each with an object `key`, over an engine that can be interrupted.
async fn scene(further: &[Row]) -> (Arc<Server>, BetweenKv<MemoryKv>) {
    let kv = BetweenKv::new(MemoryKv::new());
    let server = Arc::new(server_on(Arc::new(kv.clone())).await);
    let rows: [Row; 4] = [
        ("", "PUT", "/bucket", &[], ""),
        ("", "PUT", "/other", &[], ""),
        ("", "PUT", "/bucket/key", &[], "bytes"),
        ("", "PUT", "/other/key", &[], "bytes"),
    ];
    for row in rows.iter().chain(further) {
        server.send_as(&root(), row, "").await.unwrap();
    }
    (server, kv)
}

/// Sends `row` as `who`, and lets `change` be made and acknowledged when the request has read a first row of the lake.
async fn interrupted(
    server: &Arc<Server>,
    kv: &BetweenKv<MemoryKv>,
    (who, row): (&Who, &Row),
    change: Row,
    upload: &str,
) -> String {
    let within = Arc::clone(server);
    kv.after_next_get(async move { drop(within.send_as(&root(), &change, "").await.unwrap()) });
    match server.send_as(who, row, upload).await {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.code.into_owned(),
    }
}

#[tokio::test]
async fn a_copy_does_not_come_out_of_a_bucket_that_was_closed() {
    let deny: Row = ("", "PUT", "/bucket?policy", &[], DENY);
    let upload: Row = ("", "POST", "/other/up?uploads", &[], "");
    for row in [("", "PUT", "/other/copy", COPY, ""), ("", "PUT", "/other/up?partNumber=1&uploadId=UPLOAD", COPY, "")] {
        let (server, kv) = scene(&[]).await;
        let created = world::body(server.send_as(&root(), &upload, "").await.unwrap().1);
        let id = created.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
        let able = Who(user(OWNER, "able"), None);
        assert_eq!(interrupted(&server, &kv, (&able, &row), deny, id).await, "AccessDenied", "{}", row.2);
    }
}

const PUBLIC: &[(&str, &str)] = &[("x-amz-acl", "public-read")];
const WRITERS: &str =
    "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>";
const BLOCK: &str =
    "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>";
const ACCOUNT: &[(&str, &str)] = &[("x-amz-account-id", OWNER)];

/// What lets ACLs count in `bucket`, also public ones.
const ACLS: &[Row] =
    &[("", "DELETE", "/bucket?publicAccessBlock", &[], ""), ("", "PUT", "/bucket?ownershipControls", &[], WRITERS)];

#[tokio::test]
async fn nothing_becomes_public_once_its_account_blocks_it() {
    let block: Row = ("", "PUT", "/v20180820/configuration/publicAccessBlock", ACCOUNT, BLOCK);
    let (server, kv) = scene(ACLS).await;
    let row: Row = ("", "PUT", "/bucket/key?acl", PUBLIC, "");
    assert_eq!(interrupted(&server, &kv, (&root(), &row), block, "").await, "AccessDenied");
}

/// An object whose ACL lets another account in, and what that account does until the owner closes it. No epoch tells of an object's ACL.
#[tokio::test]
async fn what_an_objects_acl_let_in_is_not_committed_once_it_is_closed() {
    let id = world::STRANGER.parse::<millpond_types::AccountId>().unwrap().canonical_id();
    let grant: &'static str = Box::leak(format!("id={id}").into_boxed_str());
    let shared: &'static [_] = Box::leak(Box::new([
        ("x-amz-grant-read", grant),
        ("x-amz-grant-read-acp", grant),
        ("x-amz-grant-write-acp", grant),
    ]));
    let closed: Row = ("", "PUT", "/bucket/key?acl", &[("x-amz-acl", "private")], "");
    let stranger = Who(user(world::STRANGER, "able"), None);
    for row in [
        ("", "PUT", "/bucket/key?acl", PUBLIC, ""),
        ("", "PUT", "/mine/copy", COPY, ""),
        ("", "PUT", "/mine/up?partNumber=1&uploadId=UPLOAD", COPY, ""),
    ] {
        let (server, kv) = scene(ACLS).await;
        server.send_as(&stranger, &("", "PUT", "/mine", &[], ""), "").await.unwrap();
        let created = server.send_as(&stranger, &("", "POST", "/mine/up?uploads", &[], ""), "").await.unwrap().1;
        let created = world::body(created);
        let upload = created.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
        for (change, expected) in [(("", "PUT", "/bucket/key?acl", shared, ""), "ok"), (closed, "AccessDenied")] {
            server.send_as(&root(), &("", "PUT", "/bucket/key?acl", shared, ""), "").await.unwrap();
            assert_eq!(interrupted(&server, &kv, (&stranger, &row), change, upload).await, expected, "{}", row.2);
        }
    }
}
