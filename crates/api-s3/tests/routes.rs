//! Every way into S3, and the ways that lead nowhere.
// A test may panic; clippy excuses only functions marked as tests.
#![allow(clippy::unwrap_used)]

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use millpond_api_s3::{Operation, UNSERVED, route};
use millpond_wire::{QueryPairs, Route};

/// Where a request goes: `/`, `/b` or `/b/k` with a query, and headers by name.
fn go(method: &str, target: &str, headers: &[&'static str]) -> Route<Operation> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut map = HeaderMap::new();
    for name in headers {
        map.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
    }
    let query = QueryPairs::parse(query).unwrap();
    route(&method.parse::<Method>().unwrap(), path != "/", path == "/b/k", &query, &map)
}

const COPY: &[&str] = &["x-amz-copy-source"];
const ATTRIBUTES: &[&str] = &["x-amz-object-attributes"];

const SERVED: &[(&str, &str, &[&str], &str)] = &[
    ("GET", "/", &[], "ListBuckets"),
    ("GET", "/?x-id=ListBuckets&max-buckets=3", &[], "ListBuckets"),
    ("PUT", "/b", &[], "CreateBucket"),
    ("HEAD", "/b", &[], "HeadBucket"),
    ("DELETE", "/b", &[], "DeleteBucket"),
    ("GET", "/b?location", &[], "GetBucketLocation"),
    ("PUT", "/b/k", &[], "PutObject"),
    ("PUT", "/b/k?x-id=PutObject", &[], "PutObject"),
    ("GET", "/b/k", &[], "GetObject"),
    ("GET", "/b/k?versionId=1&partNumber=2&response-expires=x", &[], "GetObject"),
    ("HEAD", "/b/k", &[], "HeadObject"),
    ("DELETE", "/b/k?versionId=1", &[], "DeleteObject"),
    ("POST", "/b?delete", &[], "DeleteObjects"),
    ("PUT", "/b/k", COPY, "CopyObject"),
    ("GET", "/b/k?attributes", ATTRIBUTES, "GetObjectAttributes"),
    ("GET", "/b/k?attributes", &[], "GetObjectAttributes"),
    ("GET", "/b", &[], "ListObjects"),
    ("GET", "/b?list-type=2&prefix=a", &[], "ListObjectsV2"),
    ("GET", "/b?list-type=1", &[], "ListObjects"),
    ("GET", "/b?versions&prefix=a", &[], "ListObjectVersions"),
    ("POST", "/b/k?uploads", &[], "CreateMultipartUpload"),
    ("PUT", "/b/k?partNumber=1&uploadId=u", &[], "UploadPart"),
    ("PUT", "/b/k?partNumber=1&uploadId=u", COPY, "UploadPartCopy"),
    ("PUT", "/b/k?partNumber=1", &[], "UploadPart"),
    ("PUT", "/b/k?uploadId=u", &[], "UploadPart"),
    ("POST", "/b/k?uploadId=u", &[], "CompleteMultipartUpload"),
    ("DELETE", "/b/k?uploadId=u", &[], "AbortMultipartUpload"),
    ("GET", "/b/k?uploadId=u", &[], "ListParts"),
    ("GET", "/b?uploads", &[], "ListMultipartUploads"),
    ("GET", "/b?versioning", &[], "GetBucketVersioning"),
    ("PUT", "/b?versioning", &[], "PutBucketVersioning"),
    ("GET", "/b/k?tagging", &[], "GetObjectTagging"),
    ("PUT", "/b/k?tagging", &[], "PutObjectTagging"),
    ("DELETE", "/b/k?tagging", &[], "DeleteObjectTagging"),
    ("GET", "/b?tagging", &[], "GetBucketTagging"),
    ("PUT", "/b?tagging=", &[], "PutBucketTagging"),
    ("DELETE", "/b?tagging", &[], "DeleteBucketTagging"),
    ("GET", "/b?acl", &[], "GetBucketAcl"),
    ("GET", "/b/k?acl", &[], "GetObjectAcl"),
    ("PUT", "/b?acl", &[], "PutBucketAcl"),
    ("PUT", "/b/k?acl", &[], "PutObjectAcl"),
    ("GET", "/b?cors", &[], "GetBucketCors"),
    ("GET", "/b?encryption", &[], "GetBucketEncryption"),
    ("GET", "/b?lifecycle", &[], "GetBucketLifecycleConfiguration"),
    ("GET", "/b?policy", &[], "GetBucketPolicy"),
    ("GET", "/b?policyStatus", &[], "GetBucketPolicyStatus"),
    ("PUT", "/b?policy", &[], "PutBucketPolicy"),
    ("DELETE", "/b?policy", &[], "DeleteBucketPolicy"),
    ("PUT", "/b?encryption", &[], "PutBucketEncryption"),
    ("PUT", "/b?notification", &[], "PutBucketNotificationConfiguration"),
    ("DELETE", "/b?encryption", &[], "DeleteBucketEncryption"),
    ("PUT", "/b?ownershipControls", &[], "PutBucketOwnershipControls"),
    ("DELETE", "/b?ownershipControls", &[], "DeleteBucketOwnershipControls"),
    ("PUT", "/b?publicAccessBlock", &[], "PutPublicAccessBlock"),
    ("DELETE", "/b?publicAccessBlock", &[], "DeletePublicAccessBlock"),
    ("GET", "/b?website", &[], "GetBucketWebsite"),
    ("GET", "/b?replication", &[], "GetBucketReplication"),
    ("GET", "/b?logging", &[], "GetBucketLogging"),
    ("GET", "/b?notification", &[], "GetBucketNotificationConfiguration"),
    ("GET", "/b?requestPayment", &[], "GetBucketRequestPayment"),
    ("GET", "/b?accelerate", &[], "GetBucketAccelerateConfiguration"),
    ("GET", "/b?object-lock", &[], "GetObjectLockConfiguration"),
    ("GET", "/b/k?legal-hold", &[], "GetObjectLegalHold"),
    ("GET", "/b/k?retention", &[], "GetObjectRetention"),
    ("GET", "/b?ownershipControls", &[], "GetBucketOwnershipControls"),
    ("GET", "/b?publicAccessBlock", &[], "GetPublicAccessBlock"),
    ("GET", "/b?analytics", &[], "ListBucketAnalyticsConfigurations"),
    ("GET", "/b?analytics&id=1", &[], "GetBucketAnalyticsConfiguration"),
    ("GET", "/b?metrics", &[], "ListBucketMetricsConfigurations"),
    ("GET", "/b?metrics&id=1", &[], "GetBucketMetricsConfiguration"),
    ("GET", "/b?inventory", &[], "ListBucketInventoryConfigurations"),
    ("GET", "/b?inventory&id=1", &[], "GetBucketInventoryConfiguration"),
    ("GET", "/b?intelligent-tiering", &[], "ListBucketIntelligentTieringConfigurations"),
    ("GET", "/b?intelligent-tiering&id=1", &[], "GetBucketIntelligentTieringConfiguration"),
];

#[test]
fn every_served_operation_is_reached() {
    for (method, target, headers, name) in SERVED {
        let expected = Operation::from_name(name).unwrap();
        assert_eq!(go(method, target, headers), Route::Served(expected), "{method} {target} {headers:?}");
    }
    for operation in Operation::ALL {
        assert!(SERVED.iter().any(|row| row.3 == operation.name()), "{} has no row", operation.name());
        assert_eq!(Operation::from_name(operation.name()), Some(*operation));
    }
}

#[test]
fn unserved_operations_are_known_by_name() {
    for (method, target, name) in [
        ("PUT", "/b?cors", "PutBucketCors"),
        ("DELETE", "/b?cors", "DeleteBucketCors"),
        ("PUT", "/b?lifecycle", "PutBucketLifecycleConfiguration"),
        ("PUT", "/b?replication", "PutBucketReplication"),
        ("PUT", "/b/k?retention", "PutObjectRetention"),
        ("PUT", "/b/k?renameObject", "RenameObject"),
        ("POST", "/b/k?restore", "RestoreObject"),
        ("POST", "/b/k?select&select-type=2", "SelectObjectContent"),
        ("GET", "/b/k?torrent", "GetObjectTorrent"),
        ("GET", "/b?session", "CreateSession"),
        ("PUT", "/b?analytics&id=1", "PutBucketAnalyticsConfiguration"),
        ("DELETE", "/b?analytics&id=1", "DeleteBucketAnalyticsConfiguration"),
    ] {
        assert_eq!(go(method, target, &[]), Route::Unserved(name), "{method} {target}");
        assert!(UNSERVED.contains(&name));
    }
}

#[test]
fn what_s3_does_not_have_is_unknown() {
    for (method, target) in [
        ("POST", "/"),
        ("PUT", "/"),
        ("DELETE", "/"),
        ("POST", "/b"),
        ("POST", "/b/k"),
        ("PATCH", "/b/k"),
        ("OPTIONS", "/b"),
        // A sub-resource that the method does not have must not fall through to the resource itself.
        ("DELETE", "/b/k?acl"),
        ("DELETE", "/b/k?retention"),
        ("DELETE", "/b?acl"),
        ("DELETE", "/b?versioning"),
        ("PUT", "/b?location"),
        ("PUT", "/b?delete"),
        ("PUT", "/b/k?torrent"),
        ("GET", "/b?delete"),
        ("HEAD", "/b/k?acl"),
    ] {
        assert_eq!(go(method, target, &[]), Route::Unknown, "{method} {target}");
    }
}
