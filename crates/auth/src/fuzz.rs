//! Entry points for fuzzing: whatever comes in, these return. Nothing a stranger sends may verify.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use millpond_types::{Region, Timestamp};

use crate::{
    AmzDate, ChunkSigning, Claim, Declared, KeyCache, PayloadDecoder, PayloadMode, RequestParts, Secret, SigningKey,
    VerifyPolicy, claim,
};

/// 2013-05-24T00:00:00Z, the time of the published examples.
const NOW: Timestamp = Timestamp(1_369_353_600_000_000_000);

/// Reads and verifies; true when the request was accepted.
fn accepted(parts: &RequestParts<'_>) -> bool {
    let Ok(region) = "us-east-1".parse::<Region>() else { return false };
    let policy = VerifyPolicy { now: NOW, region: &region, services: &["s3", "sts"] };
    let Ok(Claim::Signed(signed)) = claim(parts) else { return false };
    let verified = signed.verify(parts, &Secret::new("a secret that no input knows"), &policy, &KeyCache::new());
    if let Err(error) = &verified {
        // What the client is told must be makeable as well.
        let _ = (error.code(), error.status(), error.message(), error.fields());
    }
    verified.is_ok()
}

/// `data` is an `Authorization` header. True when it was accepted, which must never be.
pub fn authorization(data: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(data) else { return false };
    let mut headers = HeaderMap::new();
    headers.insert("authorization", value);
    for (name, value) in [
        ("host", "examplebucket.s3.amazonaws.com"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    accepted(&RequestParts {
        method: "GET",
        path: "/a",
        query: "",
        headers: &headers,
        authority: None,
        body: &[],
        host_bucket: None,
    })
}

/// `data` is the query of a request. True when it was accepted, which must never be.
pub fn presigned(data: &[u8]) -> bool {
    let Ok(query) = std::str::from_utf8(data) else { return false };
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("examplebucket.s3.amazonaws.com"));
    accepted(&RequestParts {
        method: "GET",
        path: "/a",
        query,
        headers: &headers,
        authority: None,
        body: &[],
        host_bucket: None,
    })
}

/// The first bytes of `data` choose the mode, the declared length and the size of the pieces, the rest is a chunked body. Returns
/// the decoded bytes when the body was accepted.
pub fn chunked(data: &[u8]) -> Option<Vec<u8>> {
    let [mode, low, high, step, body @ ..] = data else { return None };
    let (signed, trailer) = (mode & 1 == 1, mode & 2 == 2);
    let signing = signed.then(|| {
        let key = SigningKey::derive(&Secret::new("a secret that no input knows"), "20130524", "us-east-1", "s3");
        Box::new(ChunkSigning::new(key, &AmzDate::from(NOW), "20130524/us-east-1/s3/aws4_request", [7; 32]))
    });
    let declared = Declared {
        content_length: None,
        decoded_length: Some(u64::from(u16::from_le_bytes([*low, *high]))),
        trailers: if trailer { vec!["x-amz-checksum-crc32".to_owned()] } else { Vec::new() },
    };
    let mut decoder = PayloadDecoder::new(PayloadMode::Chunked { signing, trailer }, declared).ok()?;
    let mut decoded = Vec::new();
    for piece in body.chunks(usize::from(*step).max(1)) {
        decoder.push(Bytes::copy_from_slice(piece), &mut |bytes| decoded.extend_from_slice(&bytes)).ok()?;
    }
    decoder.finish().ok().map(|_| decoded)
}
