//! Digests of documents in requests' bodies.

use http::HeaderMap;
use millpond_digest::{Hasher, Md5Digest};
use millpond_kernel::ServiceError;

use crate::checksums;

/// Compares `Content-MD5` and `x-amz-checksum-*` with a document, where the client sent them. Checksums in trailers have
/// no second copy to compare with and are verified with the body's signature; those named in a header are compared here.
pub fn check_digest(headers: &HeaderMap, document: &[u8]) -> Result<(), ServiceError> {
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
    match checksums::value_in(headers)? {
        Some(sent) if Hasher::of(sent.algorithm(), document) != sent => {
            Err(crate::errors::bad_checksum(sent.algorithm().name()))
        }
        _ => Ok(()),
    }
}
