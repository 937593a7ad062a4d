//! S3's errors: the one place where what went wrong below becomes a code, a status and a sentence
//! (S3 API reference, "Error responses").

use crate::checksums;
use millpond_kernel::{Caller, Refusal, ServiceError};
use millpond_lake::LakeError;
use millpond_wire::{ErrorKind, Location, ParseError};

/// What an error of the lake is about, for the elements of its document.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The version, as the client named it.
    pub version: Option<&'a str>,
    /// The upload, as the client named it.
    pub upload: &'a str,
}

/// S3's word for an error of the lake.
pub fn from_lake(error: LakeError, about: About<'_>) -> ServiceError {
    match error {
        LakeError::NoSuchBucket => no_such_bucket(about.bucket),
        LakeError::NoSuchKey => no_such_key(about.key),
        LakeError::NoSuchVersion => no_such_version(about.key, about.version.unwrap_or("null")),
        LakeError::NoSuchUpload => no_such_upload(about.upload),
        LakeError::IsDeleteMarker => method_not_allowed("DeleteMarker"),
        LakeError::PreconditionFailed => crate::conditions::precondition_failed("If-Match"),
        LakeError::BucketAlreadyOwnedByYou => bucket_error(
            "BucketAlreadyOwnedByYou",
            409,
            "Your previous request to create the named bucket succeeded and you already own it.",
            about.bucket,
        ),
        LakeError::BucketAlreadyExists => bucket_error(
            "BucketAlreadyExists",
            409,
            "The requested bucket name is not available. The bucket namespace is shared by all users of the system. \
             Please select a different name and try again.",
            about.bucket,
        ),
        LakeError::BucketNotEmpty => {
            bucket_error("BucketNotEmpty", 409, "The bucket you tried to delete is not empty", about.bucket)
        }
        LakeError::TooManyBuckets => {
            bucket_error("TooManyBuckets", 400, "You have attempted to create more buckets than allowed", about.bucket)
        }
        LakeError::InvalidPart { number } => ServiceError::new(
            "InvalidPart",
            400,
            "One or more of the specified parts could not be found.  The part may not have been uploaded, or the \
             specified entity tag may not match the part's entity tag.",
        )
        .field("UploadId", about.upload)
        .field("PartNumber", number.to_string()),
        LakeError::EntityTooSmall { number, size, min } => {
            ServiceError::new("EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed size")
                .field("ProposedSize", size.to_string())
                .field("MinSizeAllowed", min.to_string())
                .field("PartNumber", number.to_string())
        }
        LakeError::EntityTooLarge { size, max } => entity_too_large(size, max),
        LakeError::ChecksumMismatch { algorithm } => bad_checksum(algorithm.name()),
        LakeError::SizeMismatch { .. } => {
            invalid_request("The provided 'x-amz-mp-object-size' header value does not match what was computed.")
        }
        other => from_lake_alone(other),
    }
}

/// Errors that are about no resource.
fn from_lake_alone(error: LakeError) -> ServiceError {
    match error {
        LakeError::Locked => crate::encryption::key_of_upload_needed(),
        LakeError::PlainUpload => invalid_request(
            "The upload was begun before objects were encrypted, and takes no part that is copied from an encrypted object: begin it again.",
        ),
        LakeError::ConditionalConflict | LakeError::Changed => ServiceError::new(
            "ConditionalRequestConflict",
            409,
            "The conditional request cannot succeed due to a conflicting operation against this resource.",
        ),
        LakeError::Reconfigured => decided_too_early(),
        LakeError::InvalidPartOrder => ServiceError::new(
            "InvalidPartOrder",
            400,
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
        ),
        LakeError::NoParts => malformed_xml(),
        LakeError::TooManyKeys { max } => malformed_xml().field("Reason", format!("1 to {max} keys are expected")),
        LakeError::InvalidPartNumber => part_number_out_of_range(),
        LakeError::IncompleteBody { .. } => ServiceError::new(
            "IncompleteBody",
            400,
            "You did not provide the number of bytes specified by the Content-Length HTTP header",
        ),
        LakeError::InvalidRange => ServiceError::new("InvalidRange", 416, "The requested range is not satisfiable"),
        // Not `ServiceUnavailable`, by which nobody knows whether anything was done: SDKs throttle themselves.
        LakeError::Full => ServiceError::no_space("SlowDown"),
        LakeError::ReadOnly(why) => {
            tracing::error!(%why, "a write was refused");
            ServiceError::new(
                "ServiceUnavailable",
                503,
                "The server takes no more writes since its disk failed. Reading still works.",
            )
        }
        LakeError::Busy => slow_down(),
        LakeError::Damaged(what) => {
            tracing::error!(%what, "damaged data was not served");
            ServiceError::new(
                "InternalError",
                500,
                "Stored data does not match its checksum and is not served. Run 'millpond fsck'.",
            )
        }
        other => {
            tracing::error!(error = %other, "internal error");
            ServiceError::internal()
        }
    }
}

/// S3's word for an input that does not fit its model.
pub fn from_parse(error: &ParseError) -> ServiceError {
    match (&error.kind, error.location) {
        (ErrorKind::BadEnum { value }, Location::Header) => bad_enum(&error.member, value, error),
        (ErrorKind::MalformedXml { why }, _) => malformed_xml().field("Reason", why.clone()),
        (_, Location::Body) => malformed_xml().field("Reason", error.to_string()),
        (ErrorKind::NotUtf8, Location::Uri) => {
            ServiceError::new("InvalidURI", 400, "Couldn't parse the specified URI: it must be percent-encoded UTF-8.")
        }
        _ => invalid_argument(&error.member, None, &error.to_string()),
    }
}

/// Some headers have errors of their own for a value that is not among theirs.
fn bad_enum(header: &str, value: &str, error: &ParseError) -> ServiceError {
    match header.to_ascii_lowercase().as_str() {
        "x-amz-storage-class" => {
            ServiceError::new("InvalidStorageClass", 400, "The storage class you specified is not valid")
                .field("StorageClassRequested", value)
        }
        "x-amz-sdk-checksum-algorithm" | "x-amz-checksum-algorithm" => {
            checksums::algorithm(value).err().unwrap_or_else(|| invalid_request(&error.to_string()))
        }
        "x-amz-server-side-encryption" => crate::encryption::unknown_method(value),
        "x-amz-checksum-type" => bad_checksum_header("x-amz-checksum-type"),
        _ => invalid_argument(header, Some(value), &error.to_string()),
    }
}

/// S3 says no more than this to who is denied.
pub fn from_refusal(refusal: Refusal) -> ServiceError {
    match refusal {
        // Who belongs to another account learns nothing but that it may not.
        Refusal::Denied(denied) if denied.same_account => ServiceError::new("AccessDenied", 403, denied.quoted()),
        Refusal::Denied(_) => access_denied(),
        Refusal::Gone => ServiceError::new(
            "InvalidAccessKeyId",
            403,
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        Refusal::Failed(reason) => {
            tracing::error!(reason, "a request cannot be decided");
            ServiceError::internal()
        }
    }
}

/// 403.
pub fn access_denied() -> ServiceError {
    ServiceError::new("AccessDenied", 403, "Access Denied")
}

/// 403 by a public access block, as AWS's newer messages have it.
pub fn blocked(caller: &Caller, action: &str, bucket: &str, why: &str) -> ServiceError {
    let who = caller.arn();
    let message = format!(
        "User: {who} is not authorized to perform: {action} on resource: \"arn:aws:s3:::{bucket}\" because {why}."
    );
    ServiceError::new("AccessDenied", 403, message)
}

/// 400 for a bucket owner that no account can be (S3 API reference, "Error responses").
pub fn no_account_id(owner: &str) -> ServiceError {
    let message = format!("The value of the expected bucket owner parameter must be an AWS Account ID... [{owner}]");
    ServiceError::new("InvalidBucketOwnerAWSAccountID", 400, message)
}

/// 404 for a bucket.
pub fn no_such_bucket(bucket: &str) -> ServiceError {
    bucket_error("NoSuchBucket", 404, "The specified bucket does not exist", bucket)
}

/// 404 for a key.
pub fn no_such_key(key: &str) -> ServiceError {
    ServiceError::new("NoSuchKey", 404, "The specified key does not exist.").field("Key", key)
}

/// 404 for a version.
pub fn no_such_version(key: &str, version: &str) -> ServiceError {
    ServiceError::new("NoSuchVersion", 404, "The specified version does not exist.")
        .field("Key", key)
        .field("VersionId", version)
}

/// 404 for an upload.
pub fn no_such_upload(upload: &str) -> ServiceError {
    ServiceError::new(
        "NoSuchUpload",
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
    )
    .field("UploadId", upload)
}

/// 405: the resource is there, but not for this method.
pub fn method_not_allowed(resource_type: &str) -> ServiceError {
    ServiceError::new("MethodNotAllowed", 405, "The specified method is not allowed against this resource.")
        .field("ResourceType", resource_type)
}

/// 400 for one argument.
pub fn invalid_argument(name: &str, value: Option<&str>, message: &str) -> ServiceError {
    let error = ServiceError::new("InvalidArgument", 400, message).field("ArgumentName", name);
    match value {
        Some(value) => error.field("ArgumentValue", value),
        None => error,
    }
}

/// 400 for a request that contradicts itself.
pub fn invalid_request(message: &str) -> ServiceError {
    ServiceError::new("InvalidRequest", 400, message)
}

/// 400 for a document that is not of its schema.
pub fn malformed_xml() -> ServiceError {
    ServiceError::new(
        "MalformedXML",
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
}

/// 400 for too many bytes.
pub fn entity_too_large(size: u64, max: u64) -> ServiceError {
    ServiceError::new("EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed size")
        .field("ProposedSize", size.to_string())
        .field("MaxSizeAllowed", max.to_string())
}

/// 400 for bytes that are not those the client meant.
pub fn bad_checksum(algorithm: &str) -> ServiceError {
    ServiceError::new("BadDigest", 400, format!("The {algorithm} you specified did not match the calculated checksum."))
}

/// 400 for a header of a checksum that is no such thing.
pub fn bad_checksum_header(name: &str) -> ServiceError {
    invalid_request(&format!("Value for {name} header is invalid."))
}

/// 400 for a part number outside 1 to 10,000.
pub fn part_number_out_of_range() -> ServiceError {
    invalid_argument("partNumber", None, "Part number must be an integer between 1 and 10000, inclusive")
}

/// The code of [`decided_too_early`]; no other error has it.
pub const DECIDED_TOO_EARLY: &str = "OperationAborted";

/// 409: what the request was decided by changed before it was carried out. Whoever calls is told only when that happens again and again.
pub fn decided_too_early() -> ServiceError {
    ServiceError::new(
        DECIDED_TOO_EARLY,
        409,
        "A conflicting conditional operation is currently in progress against this resource. Try again.",
    )
}

/// 503: try again more slowly.
pub fn slow_down() -> ServiceError {
    ServiceError::new("SlowDown", 503, "Please reduce your request rate.")
}

fn bucket_error(code: &'static str, status: u16, message: &str, bucket: &str) -> ServiceError {
    ServiceError::new(code, status, message).field("BucketName", bucket)
}
