//! Digests of documents in requests' bodies.

use http::HeaderMap;
use millpond_digest::{Hasher, Md5Digest};
use millpond_kernel::ServiceError;

use crate::checksums;

/// DeleteObjects must come with a digest of its document (API reference, DeleteObjects).
pub fn demand_digest(headers: &HeaderMap) -> Result<(), ServiceError> {
    let named = |name: &str| name == "content-md5" || name == "x-amz-trailer" || name.starts_with("x-amz-checksum-");
    if headers.keys().any(|name| named(name.as_str())) {
        return Ok(());
    }
    Err(crate::errors::invalid_request("Missing required header for this request: Content-MD5 OR x-amz-checksum-*"))
}

/// Compares `Content-MD5` and `x-amz-checksum-*` with a document, where the client sent them. `about_object` tells that the
/// checksum headers speak of the object instead, as those of CompleteMultipartUpload do.
pub fn check_digest(headers: &HeaderMap, document: &[u8], about_object: bool) -> Result<(), ServiceError> {
    if let Some(sent) = headers.get("content-md5") {
        let sent = sent.to_str().unwrap_or_default();
        let expected = Md5Digest::parse_base64(sent).map_err(|_| {
            ServiceError::new("InvalidDigest", 400, "The Content-MD5 you specified was invalid.")
                .field("Content-MD5", sent)
        })?;
        if millpond_digest::Md5::of(document) != expected {
            return Err(ServiceError::new(
                "BadDigest",
                400,
                "The Content-MD5 you specified did not match what we received.",
            ));
        }
    }
    if about_object {
        return Ok(());
    }
    match checksums::value_in(headers)? {
        Some(sent) if Hasher::of(sent.algorithm(), document) != sent => {
            Err(crate::errors::bad_checksum(sent.algorithm().name()))
        }
        _ => Ok(()),
    }
}
