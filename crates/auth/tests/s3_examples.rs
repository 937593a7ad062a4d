//! The examples of the S3 API Reference, "Authenticating Requests (AWS Signature Version 4)", with their published signatures.

// Helpers of tests may fail the test.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use millpond_auth::{
    AmzDate, AuthError, AuthType, Claim, Declared, KeyCache, PayloadDecoder, PayloadError, PayloadMode, RequestParts,
    Secret, Verified, VerifyPolicy, claim,
};
use millpond_types::Timestamp;

const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    map
}

fn verify(
    (method, path, query): (&str, &str, &str),
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Verified, AuthError> {
    let parts = RequestParts { method, path, query, headers, authority: None, body: &[], host_bucket: None };
    let region = "us-east-1".parse().unwrap();
    let policy = VerifyPolicy { now, region: &region, services: &["s3"] };
    let Claim::Signed(signed) = claim(&parts)? else { panic!("anonymous") };
    assert_eq!(signed.access_key_id(), "AKIAIOSFODNN7EXAMPLE");
    signed.verify(&parts, &Secret::new(SECRET_KEY), &policy, &KeyCache::new())
}

fn at(text: &str) -> Timestamp {
    AmzDate::parse(text).unwrap().time()
}

fn authorization(signed_headers: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders={signed_headers},Signature={signature}"
    )
}

#[test]
fn signed_by_header() {
    const PUT_HASH: &str = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    type Row = (
        (&'static str, &'static str, &'static str),
        &'static [(&'static str, &'static str)],
        &'static str,
        &'static str,
        &'static str,
    );
    // request, further headers, payload hash, signed headers, signature
    let table: &[Row] = &[
        (
            ("GET", "/test.txt", ""),
            &[("range", "bytes=0-9")],
            EMPTY,
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            ("PUT", "/test$file.text", ""),
            &[("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            PUT_HASH,
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            ("GET", "/", "lifecycle"),
            &[],
            EMPTY,
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            ("GET", "/", "max-keys=2&prefix=J"),
            &[],
            EMPTY,
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
        // The same request as others would spell it.
        (
            ("GET", "/", "prefix=%4A&max-keys=2"),
            &[],
            EMPTY,
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
        (
            ("PUT", "/test%24file%2Etext", ""),
            &[("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            PUT_HASH,
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
    ];
    for (request, more, hash, signed, signature) in table {
        let auth = authorization(signed, signature);
        let mut map = headers(more);
        map.extend(headers(&[
            ("host", "examplebucket.s3.amazonaws.com"),
            ("x-amz-content-sha256", hash),
            ("x-amz-date", "20130524T000000Z"),
            ("authorization", &auth),
        ]));
        let verified = verify(*request, &map, at("20130524T000100Z")).unwrap();
        assert_eq!(verified.auth_type(), AuthType::Header);
        assert_eq!(verified.age().unwrap().as_secs(), 60);
        assert_eq!(verified.content_sha256(), Some(*hash));
        assert_eq!(verified.signed_at(), Some(at("20130524T000000Z")));
        assert!(matches!(verified.payload(), PayloadMode::Sha256(bytes) if hex::encode(bytes) == *hash));
        for wrong in [("DELETE", request.1, request.2), (request.0, "/other", request.2), (request.0, request.1, "a=b")]
        {
            let error = verify(wrong, &map, at("20130524T000100Z")).unwrap_err();
            assert_eq!((error.code(), error.status()), ("SignatureDoesNotMatch", 403));
        }
    }
}

const PRESIGNED: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";

#[test]
fn presigned() {
    let host = headers(&[("host", "examplebucket.s3.amazonaws.com")]);
    let with = |now| verify(("GET", "/test.txt", PRESIGNED), &host, at(now));
    for now in ["20130524T000000Z", "20130523T234500Z", "20130524T120000Z", "20130525T000000Z"] {
        let verified = with(now).unwrap();
        assert_eq!(verified.auth_type(), AuthType::Query);
        assert!(matches!(verified.payload(), PayloadMode::Unsigned));
        assert_eq!(verified.session_token(), None);
    }
    let expired = with("20130525T000001Z").unwrap_err();
    assert_eq!((expired.code(), expired.status()), ("AccessDenied", 403));
    assert_eq!(expired.message(), "Request has expired");
    assert_eq!(
        expired.fields(),
        [
            ("X-Amz-Expires", "86400".to_owned()),
            ("Expires", "2013-05-25T00:00:00Z".to_owned()),
            ("ServerTime", "2013-05-25T00:00:01Z".to_owned())
        ]
    );
    let early = with("20130523T234459Z").unwrap_err();
    assert_eq!((early.code(), early.message()), ("AccessDenied", "Request is not yet valid".to_owned()));

    // Any byte of it may be replaced by no other (the key id is the gateway's to look up).
    let key_id = PRESIGNED.find("AKIA").unwrap()..PRESIGNED.find("%2F").unwrap();
    for at_byte in (0..PRESIGNED.len()).filter(|place| !key_id.contains(place)) {
        for letter in ["x", "7", "%", "&", "+"] {
            if PRESIGNED[at_byte..].starts_with(letter) {
                continue;
            }
            let query = format!("{}{letter}{}", &PRESIGNED[..at_byte], &PRESIGNED[at_byte + 1..]);
            let parts = RequestParts {
                method: "GET",
                path: "/test.txt",
                query: &query,
                headers: &host,
                authority: None,
                body: &[],
                host_bucket: None,
            };
            let region = "us-east-1".parse().unwrap();
            let policy = VerifyPolicy { now: at("20130524T000000Z"), region: &region, services: &["s3"] };
            let accepted = match claim(&parts) {
                Ok(Claim::Signed(signed)) => {
                    signed.access_key_id() == "AKIAIOSFODNN7EXAMPLE"
                        && signed.verify(&parts, &Secret::new(SECRET_KEY), &policy, &KeyCache::new()).is_ok()
                }
                _ => false,
            };
            assert!(!accepted, "{query}");
        }
    }
}

/// The two published uploads of 66,560 letters `a`: (mode, further headers, signed headers, seed, chunk signatures, trailer lines)
fn uploads() -> [(HeaderMap, Vec<u8>); 2] {
    let plain = (
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
        [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ],
        "",
    );
    let trailer = (
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
        [
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ],
        "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n",
    );
    [plain, trailer].map(|(mode, seed, signed, [first, second, last], trailers)| {
        let mut map = headers(&[
            ("host", "s3.amazonaws.com"),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("authorization", &authorization(signed, seed)),
            ("x-amz-content-sha256", mode),
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "66560"),
        ]);
        if !trailers.is_empty() {
            map.extend(headers(&[("x-amz-trailer", "x-amz-checksum-crc32c")]));
        }
        let mut body = format!("10000;chunk-signature={first}\r\n").into_bytes();
        body.extend([b'a'; 65536]);
        body.extend(format!("\r\n400;chunk-signature={second}\r\n").bytes());
        body.extend([b'a'; 1024]);
        body.extend(format!("\r\n0;chunk-signature={last}\r\n{trailers}\r\n").bytes());
        let length = if trailers.is_empty() { "66824".to_owned() } else { body.len().to_string() };
        map.extend(headers(&[("content-length", &length)]));
        (map, body)
    })
}

fn decode(map: &HeaderMap, body: &[u8], step: usize) -> Result<(Vec<u8>, Option<String>), PayloadError> {
    let request = ("PUT", "/examplebucket/chunkObject.txt", "");
    let mode = verify(request, map, at("20130524T000000Z")).unwrap().into_payload();
    let mut decoder = PayloadDecoder::new(mode, Declared::from_headers(map).unwrap())?;
    assert_eq!(decoder.length(), Some(66560));
    let mut decoded = Vec::new();
    for piece in body.chunks(step) {
        decoder.push(Bytes::copy_from_slice(piece), &mut |bytes| decoded.extend_from_slice(&bytes))?;
    }
    let end = decoder.finish()?;
    Ok((decoded, end.trailers().get("x-amz-checksum-crc32c").map(str::to_owned)))
}

#[test]
fn chunked_uploads() {
    let [plain, trailer] = uploads();
    for ((map, body), expected) in [(plain, None), (trailer, Some("sOO8/Q==".to_owned()))] {
        for step in [1, 7, 1000, 65536, usize::MAX] {
            assert_eq!(decode(&map, &body, step), Ok((vec![b'a'; 66560], expected.clone())), "{step}");
        }
        // One byte changed: of the data, of a line, of the end.
        for place in [0, 5, 50, 85, 100, 60_000, 65_630, 66_000, body.len() - 70, body.len() - 1] {
            let mut changed = body.clone();
            changed[place] ^= 1;
            assert!(decode(&map, &changed, 4096).is_err(), "{place}");
        }
    }
}
