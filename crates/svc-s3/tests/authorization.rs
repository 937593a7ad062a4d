//! Every operation asks for permission, and whoever has it by one policy loses it by another: each operation by each kind of caller.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use millpond_kernel::Principal;
use world::{ALL, NONE, OWNER, Row, STRANGER, Who, body, server, user};

/// A batch of one key, and its checksum.
const DELETE: &str = "<Delete><Object><Key>key</Key></Object></Delete>";
const DELETE_SUM: &[(&str, &str)] = &[("x-amz-checksum-crc32", "+0FcTQ==")];

const COPY: &[(&str, &str)] = &[("x-amz-copy-source", "/bucket/key"), ("x-amz-metadata-directive", "REPLACE")];
const ATTRIBUTES: &[(&str, &str)] = &[("x-amz-object-attributes", "ETag")];
const ACL: &[(&str, &str)] = &[("x-amz-acl", "private")];
const TAGGING: &str = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
const ENCRYPTION: &str = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>";
const VERSIONING: &str = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
const COMPLETE: &str =
    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>";

const NOTIFICATION: &str = "<NotificationConfiguration><QueueConfiguration><Queue>arn:aws:sqs:us-east-1:123456789012:q</Queue>\
    <Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>";
const OWNERSHIP: &str =
    "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>";
const BLOCK: &str =
    "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>";
const OF_ACCOUNT: &str = "/v20180820/configuration/publicAccessBlock";
const ACCOUNT: &[(&str, &str)] = &[("x-amz-account-id", OWNER)];
/// A policy that lets in two users and keeps out a third.
const CLOSED: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::123456789012:user/named","arn:aws:iam::210987654321:user/named",
        "arn:aws:iam::210987654321:user/plain"]},"Action":"s3:*","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]},
    {"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::123456789012:user/shut-out"},"Action":"s3:*",
        "Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]}]}"#;

const ROWS: &[Row] = &[
    ("ListBuckets", "GET", "/", &[], ""),
    ("CreateBucket", "PUT", "/another", &[], ""),
    ("HeadBucket", "HEAD", "/bucket", &[], ""),
    ("GetBucketLocation", "GET", "/bucket?location", &[], ""),
    ("GetBucketVersioning", "GET", "/bucket?versioning", &[], ""),
    ("PutBucketVersioning", "PUT", "/bucket?versioning", &[], VERSIONING),
    ("GetBucketTagging", "GET", "/bucket?tagging", &[], ""),
    ("PutBucketTagging", "PUT", "/bucket?tagging", &[], TAGGING),
    ("DeleteBucketTagging", "DELETE", "/bucket?tagging", &[], ""),
    ("GetBucketAcl", "GET", "/bucket?acl", &[], ""),
    ("PutBucketAcl", "PUT", "/bucket?acl", ACL, ""),
    ("GetBucketCors", "GET", "/bucket?cors", &[], ""),
    ("GetBucketEncryption", "GET", "/bucket?encryption", &[], ""),
    ("PutBucketEncryption", "PUT", "/bucket?encryption", &[], ENCRYPTION),
    ("DeleteBucketEncryption", "DELETE", "/bucket?encryption", &[], ""),
    ("GetBucketLifecycleConfiguration", "GET", "/bucket?lifecycle", &[], ""),
    ("GetBucketPolicy", "GET", "/bucket?policy", &[], ""),
    ("PutBucketPolicy", "PUT", "/bucket?policy", &[], CLOSED),
    ("GetBucketPolicyStatus", "GET", "/bucket?policyStatus", &[], ""),
    ("DeleteBucketPolicy", "DELETE", "/bucket?policy", &[], ""),
    ("GetBucketWebsite", "GET", "/bucket?website", &[], ""),
    ("GetBucketReplication", "GET", "/bucket?replication", &[], ""),
    ("GetBucketLogging", "GET", "/bucket?logging", &[], ""),
    ("GetBucketNotificationConfiguration", "GET", "/bucket?notification", &[], ""),
    ("PutBucketNotificationConfiguration", "PUT", "/bucket?notification", &[], NOTIFICATION),
    ("GetBucketRequestPayment", "GET", "/bucket?requestPayment", &[], ""),
    ("GetBucketAccelerateConfiguration", "GET", "/bucket?accelerate", &[], ""),
    ("GetBucketOwnershipControls", "GET", "/bucket?ownershipControls", &[], ""),
    ("PutBucketOwnershipControls", "PUT", "/bucket?ownershipControls", &[], OWNERSHIP),
    ("DeleteBucketOwnershipControls", "DELETE", "/bucket?ownershipControls", &[], ""),
    ("GetPublicAccessBlock", "GET", "/bucket?publicAccessBlock", &[], ""),
    ("PutPublicAccessBlock", "PUT", "/bucket?publicAccessBlock", &[], BLOCK),
    ("DeletePublicAccessBlock", "DELETE", "/bucket?publicAccessBlock", &[], ""),
    ("GetPublicAccessBlock", "GET", OF_ACCOUNT, ACCOUNT, ""),
    ("PutPublicAccessBlock", "PUT", OF_ACCOUNT, ACCOUNT, BLOCK),
    ("DeletePublicAccessBlock", "DELETE", OF_ACCOUNT, ACCOUNT, ""),
    ("GetObjectLockConfiguration", "GET", "/bucket?object-lock", &[], ""),
    ("ListBucketAnalyticsConfigurations", "GET", "/bucket?analytics", &[], ""),
    ("ListBucketMetricsConfigurations", "GET", "/bucket?metrics", &[], ""),
    ("ListBucketInventoryConfigurations", "GET", "/bucket?inventory", &[], ""),
    ("ListBucketIntelligentTieringConfigurations", "GET", "/bucket?intelligent-tiering", &[], ""),
    ("GetBucketAnalyticsConfiguration", "GET", "/bucket?analytics&id=a", &[], ""),
    ("GetBucketMetricsConfiguration", "GET", "/bucket?metrics&id=a", &[], ""),
    ("GetBucketInventoryConfiguration", "GET", "/bucket?inventory&id=a", &[], ""),
    ("GetBucketIntelligentTieringConfiguration", "GET", "/bucket?intelligent-tiering&id=a", &[], ""),
    ("ListObjects", "GET", "/bucket", &[], ""),
    ("ListObjectsV2", "GET", "/bucket?list-type=2", &[], ""),
    ("ListObjectVersions", "GET", "/bucket?versions", &[], ""),
    ("ListMultipartUploads", "GET", "/bucket?uploads", &[], ""),
    ("PutObject", "PUT", "/bucket/new", &[], "bytes"),
    ("GetObject", "GET", "/bucket/key", &[], ""),
    ("HeadObject", "HEAD", "/bucket/key", &[], ""),
    ("GetObjectAttributes", "GET", "/bucket/key?attributes", ATTRIBUTES, ""),
    ("CopyObject", "PUT", "/bucket/copy", COPY, ""),
    ("GetObjectTagging", "GET", "/bucket/key?tagging", &[], ""),
    ("PutObjectTagging", "PUT", "/bucket/key?tagging", &[], TAGGING),
    ("DeleteObjectTagging", "DELETE", "/bucket/key?tagging", &[], ""),
    ("GetObjectAcl", "GET", "/bucket/key?acl", &[], ""),
    ("PutObjectAcl", "PUT", "/bucket/key?acl", ACL, ""),
    ("GetObjectLegalHold", "GET", "/bucket/key?legal-hold", &[], ""),
    ("GetObjectRetention", "GET", "/bucket/key?retention", &[], ""),
    ("CreateMultipartUpload", "POST", "/bucket/key?uploads", &[], ""),
    ("UploadPart", "PUT", "/bucket/up?partNumber=1&uploadId=UPLOAD", &[], "bytes"),
    ("UploadPartCopy", "PUT", "/bucket/up?partNumber=2&uploadId=UPLOAD", COPY, ""),
    ("ListParts", "GET", "/bucket/up?uploadId=UPLOAD", &[], ""),
    ("CompleteMultipartUpload", "POST", "/bucket/up?uploadId=UPLOAD", &[], COMPLETE),
    ("AbortMultipartUpload", "DELETE", "/bucket/up?uploadId=UPLOAD", &[], ""),
    ("DeleteObject", "DELETE", "/bucket/key", &[], ""),
    ("DeleteObjects", "POST", "/bucket?delete", DELETE_SUM, DELETE),
    ("DeleteBucket", "DELETE", "/bucket", &[], ""),
];

/// The kinds of callers, and whether the policies let them: to the bucket, to an account's own (its list of buckets, a new bucket), and to
/// the public access block of the owner's account.
fn callers() -> Vec<(&'static str, Who, [bool; 3])> {
    let role = Principal::Role {
        account: OWNER.parse().unwrap(),
        path: "/".into(),
        name: "role".into(),
        id: "AROAROLE".into(),
        session: "s".into(),
    };
    vec![
        ("anonymous", Who(Principal::Anonymous, None), [false, false, false]),
        ("no grant", Who(user(OWNER, "plain"), None), [false, false, false]),
        ("explicit deny of the identity", Who(user(OWNER, "denied"), None), [false, false, false]),
        ("explicit deny of the resource", Who(user(OWNER, "shut-out"), None), [false, true, true]),
        ("other account", Who(Principal::Root(STRANGER.parse().unwrap()), None), [false, true, false]),
        ("other account, identity alone", Who(user(STRANGER, "able"), None), [false, true, false]),
        ("other account, resource alone", Who(user(STRANGER, "plain"), None), [false, false, false]),
        ("session policy", Who(role.clone(), Some(NONE)), [false, false, false]),
        ("boundary", Who(user(OWNER, "bounded"), None), [false, false, false]),
        ("identity allow", Who(user(OWNER, "able"), None), [true, true, true]),
        ("resource allow", Who(user(OWNER, "named"), None), [true, false, false]),
        ("other account, both sides", Who(user(STRANGER, "named"), None), [true, true, false]),
        ("role and session policy", Who(role, Some(ALL)), [true, true, true]),
        ("owner", Who(Principal::Root(OWNER.parse().unwrap()), None), [true, true, true]),
    ]
}

/// The code of an answer to a batch, which refuses key by key; nothing where its one key was deleted.
fn code_of_the_key(answer: &str) -> Option<String> {
    let code = answer.split("<Code>").nth(1).and_then(|rest| rest.split('<').next()).map(str::to_owned);
    assert_eq!(code.is_none(), answer.contains("<Deleted><Key>key</Key>"), "{answer}");
    code
}

/// What of another account's a policy cannot give away.
const OWNERS_OWN: [&str; 3] = ["GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"];

#[tokio::test]
async fn every_operation_asks_for_permission() {
    let server = server().await;
    let owner = Principal::Root(OWNER.parse().unwrap());
    server.send(owner.clone(), &("", "PUT", "/bucket", &[], ""), "").await.unwrap();
    for row in ROWS {
        // What earlier rows changed, as it was.
        for row in [
            ("", "PUT", "/bucket?policy", &[] as &[_], CLOSED),
            ("", "PUT", "/bucket/key", &[], "bytes"),
            ("", "PUT", "/bucket?tagging", &[], TAGGING),
        ] {
            server.send(owner.clone(), &row, "").await.unwrap();
        }
        let created = server.send(owner.clone(), &("", "POST", "/bucket/up?uploads", &[], ""), "").await.unwrap().1;
        let created = body(created);
        let upload = created.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
        for (kind, who, may) in callers() {
            let may = match row {
                ("ListBuckets" | "CreateBucket", ..) => may[1],
                (_, _, path, ..) if path.starts_with("/v2018") => may[2],
                _ => may[0],
            };
            let foreign = who.0.account() == Some(STRANGER.parse().unwrap());
            let code = match server.send_as(&who, row, upload).await {
                Ok((name, response)) => {
                    assert_eq!(name, row.0);
                    if name == "DeleteObjects" { code_of_the_key(&body(response)) } else { None }
                }
                Err(error) => Some(error.code.into_owned()),
            };
            if may && foreign && OWNERS_OWN.contains(&row.0) {
                assert_eq!(code.as_deref(), Some("MethodNotAllowed"), "{} by {kind}", row.0);
            } else {
                assert_eq!(code.as_deref() != Some("AccessDenied"), may, "{} by {kind}: {code:?}", row.0);
            }
            if may && row.0 == "DeleteBucketPolicy" {
                server.send(owner.clone(), &("", "PUT", "/bucket?policy", &[], CLOSED), "").await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_batch_is_decided_key_by_key() {
    const KEPT: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject",
        "Resource":"arn:aws:s3:::bucket/kept"}}"#;
    let server = server().await;
    let owner = Principal::Root(OWNER.parse().unwrap());
    for row in [
        ("", "PUT", "/bucket", &[] as &[_], ""),
        ("", "PUT", "/bucket?policy", &[], KEPT),
        ("", "PUT", "/bucket/key", &[], "bytes"),
        ("", "PUT", "/bucket/kept", &[], "bytes"),
    ] {
        server.send(owner.clone(), &row, "").await.unwrap();
    }
    let document = "<Delete><Object><Key>key</Key></Object><Object><Key>kept</Key></Object></Delete>";
    let row = ("DeleteObjects", "POST", "/bucket?delete", &[("x-amz-checksum-crc32", "v7uD2g==")] as &[_], document);
    let answer = body(server.send(user(OWNER, "able"), &row, "").await.unwrap().1);
    assert!(answer.contains("<Deleted><Key>key</Key></Deleted>"), "{answer}");
    assert!(answer.contains("<Error><Key>kept</Key><Code>AccessDenied</Code>"), "{answer}");
    for (path, there) in [("/bucket/key", false), ("/bucket/kept", true)] {
        assert_eq!(server.send(owner.clone(), &("", "GET", path, &[], ""), "").await.is_ok(), there, "{path}");
    }
}

/// Operations of the account-wide part of S3 are told from those of buckets by their path.
#[test]
fn every_served_operation_has_a_row() {
    let of_account = |row: &&Row| row.2.starts_with("/v2018");
    for operation in millpond_api_s3::Operation::ALL {
        let name = operation.name();
        assert!(ROWS.iter().any(|row| row.0 == name && !of_account(&row)), "{name} has no row");
    }
    for operation in millpond_api_s3control::Operation::ALL {
        let name = operation.name();
        assert!(ROWS.iter().any(|row| row.0 == name && of_account(&row)), "{name} of the account has no row");
    }
}
