//! Accounts and the objects that each owns in the other's bucket.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use millpond_kernel::Principal;
use world::{OWNER, STRANGER, Server, Who, body, server, user};

const OPEN: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::210987654321:root"},
    "Action":"s3:*","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]}}"#;

fn controls(ownership: &str) -> &'static str {
    let text =
        format!("<OwnershipControls><Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule></OwnershipControls>");
    Box::leak(text.into_boxed_str())
}

type Headers = &'static [(&'static str, &'static str)];
const GIVEN: Headers = &[("x-amz-acl", "bucket-owner-full-control")];
const LENT: Headers = &[("x-amz-acl", "bucket-owner-read")];

async fn code(server: &Server, who: &Who, method: &'static str, target: &'static str, headers: Headers) -> String {
    let body = if method == "PUT" && !target.contains('?') { "bytes" } else { "" };
    match server.send_as(who, &("", method, target, headers, body), "").await {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.code.into_owned(),
    }
}

/// A bucket of the owner that another account may write to.
async fn shared(ownership: &str) -> (Server, Who, Who) {
    let server = server().await;
    let root = Who(Principal::Root(OWNER.parse().unwrap()), None);
    for row in [
        ("", "PUT", "/bucket", &[] as Headers, ""),
        ("", "PUT", "/bucket?ownershipControls", &[], controls(ownership)),
        ("", "PUT", "/bucket?policy", &[], OPEN),
    ] {
        server.send_as(&root, &row, "").await.unwrap();
    }
    (server, root, Who(user(STRANGER, "able"), None))
}

#[tokio::test]
async fn who_owns_what_another_account_writes() {
    let (ok, no) = ("ok", "AccessDenied");
    for (ownership, headers, owned_by, owner_reads, owner_reads_acl, writer_reads) in [
        ("BucketOwnerEnforced", &[] as Headers, OWNER, ok, ok, ok),
        ("BucketOwnerEnforced", GIVEN, OWNER, ok, ok, ok),
        ("BucketOwnerPreferred", &[], STRANGER, no, no, ok),
        ("BucketOwnerPreferred", GIVEN, OWNER, ok, ok, ok),
        ("ObjectWriter", &[], STRANGER, no, no, ok),
        ("ObjectWriter", LENT, STRANGER, ok, no, ok),
        ("ObjectWriter", GIVEN, STRANGER, ok, ok, ok),
    ] {
        let what = format!("{ownership} {headers:?}");
        let (server, owner, writer) = shared(ownership).await;
        assert_eq!(code(&server, &writer, "PUT", "/bucket/key", headers).await, ok, "{what}");
        assert_eq!(code(&server, &owner, "GET", "/bucket/key", &[]).await, owner_reads, "{what}");
        assert_eq!(code(&server, &owner, "GET", "/bucket/key?acl", &[]).await, owner_reads_acl, "{what}");
        assert_eq!(code(&server, &writer, "GET", "/bucket/key", &[]).await, writer_reads, "{what}");
        let listing = server.send_as(&owner, &("", "GET", "/bucket", &[], ""), "").await.unwrap().1;
        let id = owned_by.parse::<millpond_types::AccountId>().unwrap().canonical_id();
        assert!(body(listing).contains(&id), "{what}");
        // Whoever owns it, the bucket's owner may remove it, and the copy's reader must be let.
        let copy: Headers = &[("x-amz-copy-source", "/bucket/key")];
        assert_eq!(code(&server, &owner, "PUT", "/bucket/copy", copy).await, owner_reads, "{what}");
        assert_eq!(code(&server, &owner, "DELETE", "/bucket/key", &[]).await, ok, "{what}");
    }
}

#[tokio::test]
async fn grants_to_an_account_need_the_consent_of_its_identities() {
    let (server, owner, _) = shared("ObjectWriter").await;
    assert_eq!(code(&server, &owner, "DELETE", "/bucket?policy", &[]).await, "ok");
    let id = STRANGER.parse::<millpond_types::AccountId>().unwrap().canonical_id();
    let grant: &'static str = Box::leak(format!("id={id}").into_boxed_str());
    let headers: Headers = Box::leak(Box::new([("x-amz-grant-read", grant)]));
    assert_eq!(code(&server, &owner, "PUT", "/bucket/key", headers).await, "ok");
    for (who, expected) in [
        (Who(user(STRANGER, "able"), None), "ok"),
        (Who(Principal::Root(STRANGER.parse().unwrap()), None), "ok"),
        (Who(user(STRANGER, "plain"), None), "AccessDenied"),
        (Who(user(STRANGER, "denied"), None), "AccessDenied"),
        (Who(user(STRANGER, "bounded"), None), "AccessDenied"),
        (Who(Principal::Anonymous, None), "AccessDenied"),
        (Who(user(OWNER, "plain"), None), "AccessDenied"),
    ] {
        assert_eq!(code(&server, &who, "GET", "/bucket/key", &[]).await, expected, "{}", who.0);
    }
    // Reading is not listing, writing, or setting the ACL.
    let able = Who(user(STRANGER, "able"), None);
    for (method, target) in
        [("GET", "/bucket"), ("PUT", "/bucket/key"), ("GET", "/bucket/key?acl"), ("DELETE", "/bucket/key")]
    {
        assert_eq!(code(&server, &able, method, target, &[]).await, "AccessDenied", "{method} {target}");
    }
}

#[tokio::test]
async fn policies_name_who_exists_and_outlive_no_one() {
    let server = server().await;
    let root = Who(Principal::Root(OWNER.parse().unwrap()), None);
    server.send_as(&root, &("", "PUT", "/bucket", &[], ""), "").await.unwrap();
    let put = async |principal: &str| {
        let text = OPEN.replace("arn:aws:iam::210987654321:root", principal);
        let text: &'static str = Box::leak(text.into_boxed_str());
        let answer = server.send_as(&root, &("", "PUT", "/bucket?policy", &[], text), "").await;
        answer.map(drop).map_err(|error| error.message)
    };
    for (principal, expected) in [
        ("arn:aws:iam::210987654321:root", Ok(())),
        ("210987654321", Ok(())),
        ("arn:aws:iam::123456789012:user/bob", Ok(())),
        ("arn:aws:iam::123456789012:user/missing", Err("Invalid principal in policy")),
        ("999999999999", Err("Invalid principal in policy")),
        ("arn:aws:sts::999999999999:assumed-role/r/s", Err("Invalid principal in policy")),
        ("AIDAAAAAAAAAAAAAAAAAA", Err("Invalid principal in policy")),
    ] {
        assert_eq!(put(principal).await, expected.map_err(str::to_owned), "{principal}");
    }
    put("arn:aws:iam::123456789012:user/plain").await.unwrap();
    let old = Who(user(OWNER, "plain"), None);
    assert_eq!(code(&server, &old, "PUT", "/bucket/key", &[]).await, "ok");
    // One of the same name with another id.
    let Principal::User { account, path, name, .. } = user(OWNER, "plain") else { unreachable!() };
    let new = Who(Principal::User { account, path, name, id: "AIDAANOTHER".into() }, None);
    assert_eq!(code(&server, &new, "GET", "/bucket/key", &[]).await, "AccessDenied");
}

#[tokio::test]
async fn an_upload_does_not_end_with_an_acl_that_was_blocked_meanwhile() {
    const BLOCK: &str =
        "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>";
    const PARTS: &str = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>4b3a6218bb3e3a7303e8a171a60fcf92</ETag></Part></CompleteMultipartUpload>";
    const ACCOUNT: Headers = &[("x-amz-account-id", OWNER)];
    let of_bucket: world::Row = ("", "PUT", "/bucket?publicAccessBlock", &[], BLOCK);
    let of_account: world::Row = ("", "PUT", "/v20180820/configuration/publicAccessBlock", ACCOUNT, BLOCK);
    for (acl, block, allowed) in [
        ("public-read", None, true),
        ("public-read", Some(of_bucket), false),
        ("public-read", Some(of_account), false),
        ("private", Some(of_bucket), true),
        ("bucket-owner-read", Some(of_account), true),
    ] {
        let (server, owner, _) = shared("ObjectWriter").await;
        assert_eq!(code(&server, &owner, "DELETE", "/bucket?publicAccessBlock", &[]).await, "ok");
        let headers: Headers = Box::leak(Box::new([("x-amz-acl", acl)]));
        let created = server.send_as(&owner, &("", "POST", "/bucket/up?uploads", headers, ""), "").await.unwrap().1;
        let created = body(created);
        let upload = created.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
        let part: world::Row = ("", "PUT", "/bucket/up?partNumber=1&uploadId=UPLOAD", &[], "bytes");
        server.send_as(&owner, &part, upload).await.unwrap();
        if let Some(block) = block {
            server.send_as(&owner, &block, "").await.unwrap();
        }
        let row: world::Row = ("", "POST", "/bucket/up?uploadId=UPLOAD", &[], PARTS);
        let answer = server.send_as(&owner, &row, upload).await.err().map(|error| error.code.into_owned());
        assert_eq!(answer.as_deref(), (!allowed).then_some("AccessDenied"), "{acl} {block:?}");
    }
}
