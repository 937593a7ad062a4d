//! How the audit trail shows S3's operations (S3 User Guide, "Amazon S3 CloudTrail events").

use millpond_kernel::audit::{EventClass, EventKind, Note};
use serde_json::Value;

/// Operations on a bucket that are about its objects: data events, as those on an object are.
const DATA: &[&str] = &[
    "ListObjects",
    "ListObjectsV2",
    "ListObjectVersions",
    "ListMultipartUploads",
    "DeleteObjects",
    "PostObject",
    "CreateSession",
];

/// Operations on an object.
const OF_OBJECTS: &[&str] = &[
    "GetObject",
    "HeadObject",
    "PutObject",
    "DeleteObject",
    "CopyObject",
    "UploadPart",
    "ListParts",
    "RestoreObject",
    "SelectObject",
    "CreateMultipartUpload",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
    "WriteGetObjectResponse",
];
/// What begins as the name of an operation on an object does, and is one on a bucket.
const OF_BUCKETS: &[&str] = &["GetObjectLockConfiguration", "PutObjectLockConfiguration"];

/// Events whose names are not their operations'.
const NAMES: &[(&str, &str)] = &[
    ("GetBucketAccelerateConfiguration", "GetAccelerateConfiguration"),
    ("PutBucketAccelerateConfiguration", "PutAccelerateConfiguration"),
    ("GetBucketLifecycleConfiguration", "GetBucketLifecycle"),
    ("PutBucketLifecycleConfiguration", "PutBucketLifecycle"),
    ("GetBucketNotificationConfiguration", "GetBucketNotification"),
    ("PutBucketNotificationConfiguration", "PutBucketNotification"),
    ("GetObjectLockConfiguration", "GetBucketObjectLockConfiguration"),
    ("PutObjectLockConfiguration", "PutBucketObjectLockConfiguration"),
    ("GetPublicAccessBlock", "GetBucketPublicAccessBlock"),
    ("PutPublicAccessBlock", "PutBucketPublicAccessBlock"),
    ("DeletePublicAccessBlock", "DeleteBucketPublicAccessBlock"),
];

/// The event of an operation.
pub fn event(operation: &'static str) -> EventKind {
    let of_object = OF_OBJECTS.iter().any(|name| operation.starts_with(name)) && !OF_BUCKETS.contains(&operation);
    if of_object || DATA.contains(&operation) {
        return EventKind { name: operation, class: EventClass::Data };
    }
    let name = NAMES.iter().find(|(of, _)| *of == operation).map_or(operation, |(_, event)| event);
    EventKind { name, ..EventKind::by_verb(operation) }
}

/// Notes the document of a request: a policy, or a configuration under the name of its root.
pub fn note_document(note: &Note, body: &[u8]) {
    if !note.wanted() || body.is_empty() {
        return;
    }
    if body.trim_ascii_start().starts_with(b"{") {
        if let Ok(policy) = serde_json::from_slice::<Value>(body) {
            note.parameter("bucketPolicy", policy);
        }
    } else if let Ok(Some((root, content))) = millpond_wire::xml::tree(body) {
        note.parameter(&root, content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_named_as_cloudtrail_names_them() {
        for (operation, name, class) in [
            ("CreateBucket", "CreateBucket", EventClass::Change),
            ("ListBuckets", "ListBuckets", EventClass::Read),
            ("HeadBucket", "HeadBucket", EventClass::Read),
            ("PutBucketPolicy", "PutBucketPolicy", EventClass::Change),
            ("GetPublicAccessBlock", "GetBucketPublicAccessBlock", EventClass::Read),
            ("PutBucketLifecycleConfiguration", "PutBucketLifecycle", EventClass::Change),
            ("GetObjectLockConfiguration", "GetBucketObjectLockConfiguration", EventClass::Read),
            ("GetObject", "GetObject", EventClass::Data),
            ("GetObjectTagging", "GetObjectTagging", EventClass::Data),
            ("PutObjectAcl", "PutObjectAcl", EventClass::Data),
            ("UploadPartCopy", "UploadPartCopy", EventClass::Data),
            ("ListObjectsV2", "ListObjectsV2", EventClass::Data),
            ("DeleteObjects", "DeleteObjects", EventClass::Data),
            ("ListParts", "ListParts", EventClass::Data),
        ] {
            assert_eq!(event(operation), EventKind { name, class }, "{operation}");
        }
    }

    #[test]
    fn every_operation_of_the_model_is_a_management_or_a_data_event() {
        // What takes a key is about an object, save for what S3 itself says of buckets.
        let data = millpond_api_s3::Operation::ALL
            .iter()
            .filter(|operation| event(operation.name()).class == EventClass::Data);
        let names: Vec<_> = data.map(|operation| operation.name()).collect();
        assert!(names.iter().all(|name| !name.contains("Bucket")), "{names:?}");
    }
}
