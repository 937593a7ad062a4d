//! Digests of documents in requests' bodies.

use http::HeaderMap;
use millpond_digest::{ChecksumAlgorithm, Hasher, Md5, Md5Digest};
use millpond_kernel::{ServiceError, VerifiedEnd};

use crate::checksums::Expected;

/// DeleteObjects must come with a digest of its document (API reference, DeleteObjects).
pub fn demand_digest(headers: &HeaderMap) -> Result<(), ServiceError> {
    let named =
        |name: &str| name == "content-md5" || name == "x-amz-trailer" || ChecksumAlgorithm::from_header(name).is_some();
    if headers.keys().any(|name| named(name.as_str())) {
        return Ok(());
    }
    Err(crate::errors::invalid_request("Missing required header for this request: Content-MD5 OR x-amz-checksum-*"))
}

/// Compares `Content-MD5` and `x-amz-checksum-*`, from headers or trailers, with a document, where the client sent them. `about_object` tells that the
/// checksum headers speak of the object instead, as those of CompleteMultipartUpload do.
pub fn check_digest(
    headers: &HeaderMap,
    document: &[u8],
    end: &VerifiedEnd,
    about_object: bool,
) -> Result<(), ServiceError> {
    if about_object {
        return match headers.get("content-md5").map(|sent| Md5Digest::parse_base64(sent.to_str().unwrap_or_default())) {
            None => Ok(()),
            Some(Ok(expected)) if expected == Md5::of(document) => Ok(()),
            _ => Err(ServiceError::new(
                "BadDigest",
                400,
                "The Content-MD5 you specified did not match what we received.",
            )),
        };
    }
    let expected = Expected::of(headers)?;
    let md5 = expected.has_md5().then(|| Md5::of(document));
    let digest = expected.algorithm().map(|algorithm| Hasher::of(algorithm, document));
    expected.check(end, md5.as_ref(), digest.as_ref())
}
