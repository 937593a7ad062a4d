//! Every operation asks for permission: nobody and strangers are refused, the owner is not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod keys;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use millpond_blob::{BlobConfig, Blobs};
use millpond_io::{RealDisk, SystemClock, SystemRandom};
use millpond_kernel::{
    Payload, PayloadSource, Principal, RequestHead, Response, Service, ServiceError, ServiceRequest, Step, testing,
};
use millpond_lake::{Lake, LakeConfig};
use millpond_meta::MemoryKv;
use millpond_svc_s3::S3;

const OWNER: &str = "123456789012";
const STRANGER: &str = "210987654321";

/// Operation, method, path and query, headers, body. `UPLOAD` stands for an upload that exists.
type Row = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);

const COPY: &[(&str, &str)] = &[("x-amz-copy-source", "/bucket/key"), ("x-amz-metadata-directive", "REPLACE")];
const ATTRIBUTES: &[(&str, &str)] = &[("x-amz-object-attributes", "ETag")];
const ACL: &[(&str, &str)] = &[("x-amz-acl", "private")];
const TAGGING: &str = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
const ENCRYPTION: &str = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>";
const VERSIONING: &str = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
const COMPLETE: &str =
    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>";

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
    ("GetBucketPolicyStatus", "GET", "/bucket?policyStatus", &[], ""),
    ("GetBucketWebsite", "GET", "/bucket?website", &[], ""),
    ("GetBucketReplication", "GET", "/bucket?replication", &[], ""),
    ("GetBucketLogging", "GET", "/bucket?logging", &[], ""),
    ("GetBucketNotificationConfiguration", "GET", "/bucket?notification", &[], ""),
    ("GetBucketRequestPayment", "GET", "/bucket?requestPayment", &[], ""),
    ("GetBucketAccelerateConfiguration", "GET", "/bucket?accelerate", &[], ""),
    ("GetBucketOwnershipControls", "GET", "/bucket?ownershipControls", &[], ""),
    ("GetPublicAccessBlock", "GET", "/bucket?publicAccessBlock", &[], ""),
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
    ("DeleteBucket", "DELETE", "/another", &[], ""),
];

struct Whole(Option<Bytes>);

impl PayloadSource for Whole {
    fn poll_step(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<Step, ServiceError>> {
        std::task::Poll::Ready(Ok(match self.0.take() {
            Some(bytes) if !bytes.is_empty() => Step::Chunk(bytes),
            _ => Step::End(Vec::new()),
        }))
    }
}

struct Server {
    s3: S3,
    _dir: tempfile::TempDir,
}

async fn server() -> Server {
    let dir = tempfile::tempdir().unwrap();
    let random = Arc::new(SystemRandom);
    let blobs = Blobs::open(Arc::new(RealDisk), random.clone(), dir.path(), BlobConfig::default()).unwrap();
    let lake = Lake::open(Arc::new(MemoryKv::new()), blobs, Arc::new(SystemClock), random, LakeConfig::default())
        .await
        .unwrap();
    let kernel = Arc::new(testing::kernel(OWNER.parse().unwrap()).unwrap());
    Server { s3: S3::new(lake, kernel, "us-east-1".parse().unwrap(), keys::sealers(Arc::default())), _dir: dir }
}

impl Server {
    async fn send(&self, principal: Principal, row: &Row, upload: &str) -> Result<(String, Response), ServiceError> {
        let (_, method, target, headers, body) = row;
        let target = target.replace("UPLOAD", upload);
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let headers: HeaderMap =
            headers.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect();
        let head = RequestHead {
            method: method.parse::<Method>().unwrap(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            host_bucket: None,
        };
        let caller = Arc::new(testing::caller(principal));
        let operation = self.s3.identify(&head)?;
        let bytes = Bytes::from_static(body.as_bytes());
        let payload = Payload::new(Box::new(Whole(Some(bytes.clone()))), Some(bytes.len() as u64));
        let response = self.s3.call(ServiceRequest { head, operation, payload, caller }).await?;
        Ok((operation.name.to_owned(), response))
    }
}

fn body(response: Response) -> String {
    match response.body {
        millpond_kernel::ResponseBody::Full(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        _ => String::new(),
    }
}

#[tokio::test]
async fn every_operation_asks_for_permission() {
    let server = server().await;
    let owner = Principal::Root(OWNER.parse().unwrap());
    for row in [
        ("", "PUT", "/bucket", &[] as &[_], ""),
        ("", "PUT", "/bucket/key", &[], "bytes"),
        ("", "PUT", "/bucket?tagging", &[], TAGGING),
    ] {
        server.send(owner.clone(), &row, "").await.unwrap();
    }
    let created = server.send(owner.clone(), &("", "POST", "/bucket/up?uploads", &[], ""), "").await.unwrap().1;
    let created = body(created);
    let upload = created.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
    for row in ROWS {
        for refused in [Principal::Anonymous, Principal::Root(STRANGER.parse().unwrap())] {
            let own_bucket = row.0 == "CreateBucket" || row.0 == "ListBuckets";
            // A stranger may do with an account of its own what it likes; DeleteBucket's is not there before its row.
            if own_bucket && refused != Principal::Anonymous
                || row.0 == "DeleteBucket" && refused == Principal::Anonymous
            {
                continue;
            }
            let answer = server.send(refused.clone(), row, upload).await;
            let code = answer.map(|(name, _)| name).map_err(|error| error.code.into_owned());
            assert_eq!(code, Err("AccessDenied".to_owned()), "{} by {refused:?}", row.0);
        }
        match server.send(owner.clone(), row, upload).await {
            Ok((name, _)) => assert_eq!(name, row.0),
            Err(error) => assert_ne!(error.code, "AccessDenied", "{}: {error}", row.0),
        }
    }
}

#[tokio::test]
async fn a_batch_is_decided_key_by_key() {
    let server = server().await;
    let owner = Principal::Root(OWNER.parse().unwrap());
    server.send(owner.clone(), &("", "PUT", "/bucket", &[], ""), "").await.unwrap();
    server.send(owner.clone(), &("", "PUT", "/bucket/key", &[], "bytes"), "").await.unwrap();
    let document = "<Delete><Object><Key>key</Key></Object></Delete>";
    let digest: &[_] = &[("x-amz-checksum-crc32", "+0FcTQ==")];
    let row = ("DeleteObjects", "POST", "/bucket?delete", digest, document);
    let nobody = server.send(Principal::Anonymous, &row, "").await;
    assert_eq!(nobody.err().map(|error| error.code.into_owned()), Some("AccessDenied".to_owned()));
    let answer = body(server.send(Principal::Root(STRANGER.parse().unwrap()), &row, "").await.unwrap().1);
    assert!(answer.contains("<Code>AccessDenied</Code>") && !answer.contains("<Deleted>"), "{answer}");
    let answer = body(server.send(owner, &row, "").await.unwrap().1);
    assert!(answer.contains("<Deleted><Key>key</Key></Deleted>"), "{answer}");
}

#[test]
fn every_served_operation_has_a_row() {
    for operation in millpond_api_s3::Operation::ALL {
        let name = operation.name();
        assert!(name == "DeleteObjects" || ROWS.iter().any(|row| row.0 == name), "{name} has no row");
    }
}
