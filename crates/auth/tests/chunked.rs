//! Random `aws-chunked` bodies: however they are cut into reads they decode the same, and no change to them goes unseen.
//!
//! `SEED=<number>` reruns one of them.

// Helpers of tests may fail the test.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use millpond_auth::testing::{Payload, Signer, unsigned_chunked};
use millpond_auth::{AmzDate, ChunkSigning, Declared, PayloadDecoder, PayloadError, PayloadMode, Secret, SigningKey};
use millpond_types::Timestamp;

const NOW: Timestamp = Timestamp(1_767_225_600_000_000_000);
const SECRET: &str = "secret";
const TRAILER: (&str, &str) = ("x-amz-checksum-crc32", "AAAAAA==");

/// xorshift64*: enough for test data.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Signed,
    SignedTrailer,
    UnsignedTrailer,
}

struct Case {
    kind: Kind,
    seed: [u8; 32],
    data: Vec<u8>,
    body: Vec<u8>,
    random: Random,
}

impl Case {
    fn new(seed: u64, kind: Kind) -> Self {
        let mut random = Random::new(seed);
        let chunks: Vec<Vec<u8>> = (0..random.below(5))
            .map(|_| (0..1 + random.below(300)).map(|_| random.below(256) as u8).collect())
            .collect();
        let slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let signer = Signer::new("AKID", SECRET, "us-east-1", "s3");
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("h"));
        let seed = signer.sign(("PUT", "/b/k", ""), &mut headers, Payload::Literal("UNSIGNED-PAYLOAD"), NOW);
        let body = match kind {
            Kind::Signed => signer.chunked(seed, &slices, None, NOW),
            Kind::SignedTrailer => signer.chunked(seed, &slices, Some(&[TRAILER]), NOW),
            Kind::UnsignedTrailer => unsigned_chunked(&slices, &[TRAILER]),
        };
        Self { kind, seed, data: chunks.concat(), body, random }
    }

    fn decoder(&self, wire_length: Option<u64>) -> PayloadDecoder {
        let date = AmzDate::from(NOW);
        let key = SigningKey::derive(&Secret::new(SECRET), date.day(), "us-east-1", "s3");
        let scope = format!("{}/us-east-1/s3/aws4_request", date.day());
        let signing =
            (self.kind != Kind::UnsignedTrailer).then(|| Box::new(ChunkSigning::new(key, &date, &scope, self.seed)));
        let trailer = self.kind != Kind::Signed;
        let declared = Declared {
            content_length: wire_length,
            decoded_length: Some(self.data.len() as u64),
            trailers: if trailer { vec![TRAILER.0.to_owned()] } else { Vec::new() },
        };
        PayloadDecoder::new(PayloadMode::Chunked { signing, trailer }, declared).unwrap()
    }

    /// Decodes `body` in random pieces. After an error the decoder must neither take more nor end.
    fn decode(&mut self, body: &[u8]) -> Result<(Vec<u8>, String), PayloadError> {
        let mut decoder = self.decoder(None);
        let mut decoded = Vec::new();
        let mut rest = body;
        while !rest.is_empty() {
            let largest = if self.random.below(2) == 0 { 3 } else { 200 };
            let (piece, more) = rest.split_at((1 + self.random.below(largest)).min(rest.len()));
            rest = more;
            let pushed = decoder.push(Bytes::copy_from_slice(piece), &mut |bytes| decoded.extend_from_slice(&bytes));
            if let Err(error) = pushed {
                assert_eq!(decoder.push(Bytes::from_static(b"0"), &mut |_| panic!("bytes after an error")), Err(error));
                return Err(decoder.finish().unwrap_err());
            }
        }
        let end = decoder.finish()?;
        assert_eq!(end.length(), decoded.len() as u64);
        Ok((decoded, end.trailers().get(TRAILER.0).unwrap_or_default().to_owned()))
    }
}

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=count).collect(),
    }
}

const KINDS: [Kind; 3] = [Kind::Signed, Kind::SignedTrailer, Kind::UnsignedTrailer];

#[test]
fn any_cut_decodes_the_same() {
    for seed in seeds(300) {
        for kind in KINDS {
            let mut case = Case::new(seed, kind);
            let trailer = if kind == Kind::Signed { "" } else { TRAILER.1 };
            let expected = (case.data.clone(), trailer.to_owned());
            let body = case.body.clone();
            for _ in 0..5 {
                assert_eq!(case.decode(&body), Ok(expected.clone()), "SEED={seed} {kind:?}");
            }
        }
    }
}

/// What a change did to the body as its reader sees it. Unsigned bodies protect their framing, not their bytes.
#[test]
fn no_change_goes_unseen() {
    for seed in seeds(200) {
        for kind in KINDS {
            let mut case = Case::new(seed, kind);
            let whole = case.body.clone();
            for _ in 0..30 {
                let mut body = whole.clone();
                let at = case.random.below(body.len());
                let how = case.random.below(4);
                match how {
                    0 => body[at] ^= 1 << case.random.below(8),
                    1 => drop(body.remove(at)),
                    2 => body.insert(at, case.random.below(256) as u8),
                    _ => body.truncate(at),
                }
                if body == whole {
                    continue;
                }
                let Ok((data, trailer)) = case.decode(&body) else { continue };
                // Line ends and white space around trailers are not signed; anything that counts is.
                let context = format!("SEED={seed} {kind:?}: {how} at {at} of {}", whole.len());
                if kind == Kind::UnsignedTrailer {
                    assert_eq!(data.len(), case.data.len(), "{context}");
                    assert!(!trailer.is_empty(), "{context}");
                } else {
                    assert_eq!(data, case.data, "{context}");
                    assert_eq!(trailer, if kind == Kind::Signed { "" } else { TRAILER.1 }, "{context}");
                }
            }
        }
    }
}

#[test]
fn a_signature_of_another_chain_is_refused() {
    for kind in [Kind::Signed, Kind::SignedTrailer] {
        let mut case = Case::new(7, kind);
        let body = case.body.clone();
        assert!(case.decode(&body).is_ok());
        case.seed[0] ^= 1;
        assert_eq!(case.decode(&body), Err(PayloadError::SignatureMismatch));
    }
}

/// Chunks in another order, twice, or left out: each is signed rightly, the chain is not.
#[test]
fn chunks_cannot_be_moved() {
    let signer = Signer::new("AKID", SECRET, "us-east-1", "s3");
    let mut case = Case::new(1, Kind::Signed);
    case.data = [[b'a'; 10], [b'b'; 10]].concat();
    let body = signer.chunked(case.seed, &[&[b'a'; 10], &[b'b'; 10]], None, NOW);
    let chunk = "a;chunk-signature=".len() + 64 + 2 + 10 + 2;
    let (first, second, last) = (&body[..chunk], &body[chunk..2 * chunk], &body[2 * chunk..]);
    assert!(case.decode(&[first, second, last].concat()).is_ok());
    for wrong in [[second, first, last].concat(), [first, first, last].concat(), [second, second, last].concat()] {
        assert_eq!(case.decode(&wrong), Err(PayloadError::SignatureMismatch));
    }
    // Left out: the length says so first.
    assert_eq!(case.decode(&[first, last].concat()), Err(PayloadError::Incomplete));
    case.data.truncate(10);
    assert_eq!(case.decode(&[first, last].concat()), Err(PayloadError::SignatureMismatch));
}

/// body, decoded length, error
#[test]
fn malformed_bodies() {
    let table: &[(&[u8], u64, Result<(), &str>)] = &[
        (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:A\r\n\r\n", 3, Ok(())),
        (b"003\r\nabc\r\n000\r\nx-amz-checksum-crc32:A\r\n\r\n", 3, Ok(())),
        (b"0\r\nx-amz-checksum-crc32:A\r\n\r\n", 0, Ok(())),
        (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:A\r\n\r\n", 4, Err("IncompleteBody")),
        (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:A\r\n\r\n", 2, Err("IncompleteBody")),
        (b"3\r\nabc\r\n", 3, Err("IncompleteBody")),
        (b"3\r\nab", 3, Err("IncompleteBody")),
        (b"", 0, Err("IncompleteBody")),
        (b"3\r\nabcd\r\n0\r\n\r\n", 3, Err("IncompleteBody")),
        (b"3\r\nabc\n0\r\n\r\n", 3, Err("IncompleteBody")),
        (b"0\r\n\r\n", 0, Err("MalformedTrailerError")),
        (b"0\r\nx-amz-checksum-sha1:A\r\n\r\n", 0, Err("MalformedTrailerError")),
        (b"0\r\nx-amz-checksum-crc32:A\r\nx-amz-meta-a:1\r\n\r\n", 0, Err("MalformedTrailerError")),
        (b"g\r\n", 3, Err("InvalidChunkSizeError")),
        (b"fffffffffffffffff\r\n", 3, Err("InvalidChunkSizeError")),
        (b"ffffffffffffffff\r\n", 3, Err("IncompleteBody")),
        (b"3;chunk-signature=00\r\nabc\r\n", 3, Err("InvalidChunkSizeError")),
        (&[b'0'; 5000], 3, Err("InvalidChunkSizeError")),
    ];
    for (body, length, expected) in table {
        for step in [1, 2, 1000] {
            let declared = Declared {
                content_length: Some(body.len() as u64),
                decoded_length: Some(*length),
                trailers: vec!["x-amz-checksum-crc32".into()],
            };
            let mode = PayloadMode::Chunked { signing: None, trailer: true };
            let mut decoder = PayloadDecoder::new(mode, declared).unwrap();
            let mut result = Ok(());
            for piece in body.chunks(step) {
                result = result.and_then(|()| decoder.push(Bytes::copy_from_slice(piece), &mut |_| ()));
            }
            let result = result.and_then(|()| decoder.finish().map(|_| ()));
            assert_eq!(result.map_err(|error| error.code()), *expected, "{:?}", String::from_utf8_lossy(body));
        }
    }
}

#[test]
fn trailers_are_bounded() {
    let mut case = Case::new(3, Kind::UnsignedTrailer);
    let mut body = case.body.clone();
    body.extend(std::iter::repeat_n(b'\n', millpond_auth::MAX_TRAILER_BYTES));
    assert_eq!(case.decode(&body), Err(PayloadError::MalformedTrailer));
}

#[test]
fn bytes_are_handed_on_without_copies() {
    let case = Case::new(11, Kind::Signed);
    let body = Bytes::from(case.body.clone());
    let range = body.as_ptr_range();
    let mut decoder = case.decoder(Some(body.len() as u64));
    decoder.push(body.clone(), &mut |bytes| assert!(range.contains(&bytes.as_ptr()))).unwrap();
    assert_eq!(decoder.finish().unwrap().length(), case.data.len() as u64);
    // The wire's own length counts too.
    let mut short = case.decoder(Some(body.len() as u64 + 1));
    short.push(body, &mut |_| ()).unwrap();
    assert_eq!(short.finish().unwrap_err(), PayloadError::Incomplete);
}
