//! The body: how it is protected, and the decoder that lets only the protected bytes count.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use millpond_digest::Sha256;

use crate::canonical::ALGORITHM;
use crate::chunked::ChunkedDecoder;
use crate::hex::Hex32;
use crate::key::same;
use crate::trailers::Trailers;
use crate::{AmzDate, SigningKey};

/// The most trailers that a request may announce: there are ten kinds of checksum at most.
pub const MAX_TRAILERS: usize = 16;

/// The longest `x-amz-trailer` header that is read: room for that many names.
const MAX_TRAILER_HEADER_BYTES: usize = 1024;

/// How the body of a request is protected: the meaning of `x-amz-content-sha256` (S3 API Reference, "Authenticating Requests: Using
/// the Authorization Header").
#[derive(Debug)]
pub enum PayloadMode {
    /// Not at all (`UNSIGNED-PAYLOAD`).
    Unsigned,
    /// By its SHA-256, which was signed.
    Sha256([u8; 32]),
    /// Sent as `aws-chunked` (`STREAMING-…`).
    Chunked {
        /// How each chunk is signed; None for `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
        signing: Option<Box<ChunkSigning>>,
        /// Whether trailers follow the last chunk.
        trailer: bool,
    },
}

/// The chain of chunk signatures: each covers the one before, the first the request's own.
pub struct ChunkSigning {
    key: SigningKey,
    /// `\n<date>\n<scope>\n`: what all strings to sign of this body share.
    middle: String,
    previous: [u8; 32],
}

/// The SHA-256 of nothing, which stands in every chunk's string to sign.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

impl ChunkSigning {
    /// A chain that starts at a request's signature.
    pub fn new(key: SigningKey, date: &AmzDate, scope: &str, seed: [u8; 32]) -> Self {
        Self { key, middle: format!("\n{date}\n{scope}\n"), previous: seed }
    }

    /// Advances the chain by a chunk whose data hash to `sha256`; gives the chunk's signature.
    pub(crate) fn chunk(&mut self, sha256: &[u8; 32]) -> [u8; 32] {
        self.link(&[b"-PAYLOAD"], &[EMPTY_SHA256.as_bytes(), b"\n", Hex32::of(sha256).as_bytes()])
    }

    /// Advances the chain by the trailers, whose canonical text hashes to `sha256`; gives their signature.
    pub(crate) fn trailers(&mut self, sha256: &[u8; 32]) -> [u8; 32] {
        self.link(&[b"-TRAILER"], &[Hex32::of(sha256).as_bytes()])
    }

    fn link(&mut self, kind: &[&[u8]; 1], end: &[&[u8]]) -> [u8; 32] {
        let previous = Hex32::of(&self.previous);
        let mut parts: [&[u8]; 8] = [b""; 8];
        let start = [ALGORITHM.as_bytes(), kind[0], self.middle.as_bytes(), previous.as_bytes(), b"\n"];
        parts[..5].copy_from_slice(&start);
        parts[5..5 + end.len()].copy_from_slice(end);
        self.previous = self.key.sign(&parts);
        self.previous
    }
}

impl std::fmt::Debug for ChunkSigning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChunkSigning(..)")
    }
}

/// Why a body is not what the request said. Texts are those of the S3 API Reference, "Error responses".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Shorter or longer than declared, or not well-formed `aws-chunked`.
    #[error("You did not provide the number of bytes specified by the Content-Length HTTP header")]
    Incomplete,
    /// No `Content-Length`, or no `x-amz-decoded-content-length` for `aws-chunked`.
    #[error("You must provide the Content-Length HTTP header.")]
    MissingLength,
    /// A length header that is no number.
    #[error("The value of {0} is not a valid length")]
    InvalidLength(&'static str),
    /// A chunk whose size is no hexadecimal number, or more than the body has left.
    #[error("The chunk size is not valid")]
    InvalidChunkSize,
    /// The signature of a chunk or of the trailers is wrong.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your key and signing method."
    )]
    SignatureMismatch,
    /// The body's SHA-256 is not the one that was signed.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    Sha256Mismatch {
        /// What the header says.
        claimed: [u8; 32],
        /// What came.
        computed: [u8; 32],
    },
    /// `x-amz-trailer` names what no trailer may be, or too much.
    #[error("The value specified in the x-amz-trailer header is not supported")]
    UnsupportedTrailer,
    /// Trailers that were not announced, are missing, come twice or are no lines of text.
    #[error("The request contained trailing data that was not well-formed or did not conform to our published schema.")]
    MalformedTrailer,
}

impl PayloadError {
    /// S3's error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Incomplete => "IncompleteBody",
            Self::MissingLength => "MissingContentLength",
            Self::InvalidLength(_) => "InvalidArgument",
            Self::InvalidChunkSize => "InvalidChunkSizeError",
            Self::SignatureMismatch => "SignatureDoesNotMatch",
            Self::Sha256Mismatch { .. } => "XAmzContentSHA256Mismatch",
            Self::UnsupportedTrailer => "InvalidRequest",
            Self::MalformedTrailer => "MalformedTrailerError",
        }
    }

    /// S3's HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::SignatureMismatch | Self::InvalidChunkSize => 403,
            Self::MissingLength => 411,
            _ => 400,
        }
    }

    /// What else the error body says: element name and text.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Sha256Mismatch { claimed, computed } => vec![
                ("ClientComputedContentSHA256", Hex32::of(claimed).as_str().to_owned()),
                ("S3ComputedContentSHA256", Hex32::of(computed).as_str().to_owned()),
            ],
            _ => Vec::new(),
        }
    }
}

/// What the headers say about the body's length and trailers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// `Content-Length`: the bytes on the wire.
    pub content_length: Option<u64>,
    /// `x-amz-decoded-content-length`: the bytes of the object.
    pub decoded_length: Option<u64>,
    /// `x-amz-trailer`: the announced names in lower case.
    pub trailers: Vec<String>,
}

fn length(headers: &HeaderMap, name: &'static str) -> Result<Option<u64>, PayloadError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = value.to_str().ok().filter(|text| digits(text)).and_then(|text| text.parse().ok());
    match (number, values.next()) {
        (Some(number), None) => Ok(Some(number)),
        _ => Err(PayloadError::InvalidLength(name)),
    }
}

impl Declared {
    /// Reads the headers.
    ///
    /// # Errors
    ///
    /// Lengths that are no numbers or come twice; trailers other than checksums.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, PayloadError> {
        let mut trailers = Vec::new();
        for value in headers.get_all("x-amz-trailer") {
            let text = value.to_str().map_err(|_| PayloadError::UnsupportedTrailer)?;
            if text.len() > MAX_TRAILER_HEADER_BYTES {
                return Err(PayloadError::UnsupportedTrailer);
            }
            for name in text.split(',').map(|name| name.trim().to_ascii_lowercase()) {
                // Only checksums are trailers on S3; anything else would be a header that no signature had covered.
                let fits = name.starts_with("x-amz-checksum-") && !trailers.contains(&name);
                if !fits || trailers.len() == MAX_TRAILERS {
                    return Err(PayloadError::UnsupportedTrailer);
                }
                trailers.push(name);
            }
        }
        Ok(Self {
            content_length: length(headers, CONTENT_LENGTH.as_str())?,
            decoded_length: length(headers, "x-amz-decoded-content-length")?,
            trailers,
        })
    }
}

/// Proof that a body came whole and unchanged: every length, hash and signature it had was right. What is stored from a body must
/// not be committed before this exists. Made by [`PayloadDecoder::finish`] alone.
#[derive(Debug)]
pub struct VerifiedEnd {
    length: u64,
    sha256: Option<[u8; 32]>,
    trailers: Trailers,
}

impl VerifiedEnd {
    /// The bytes of the body, decoded.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The body's SHA-256, where the request had signed it.
    pub fn sha256(&self) -> Option<&[u8; 32]> {
        self.sha256.as_ref()
    }

    /// The trailers.
    pub fn trailers(&self) -> &Trailers {
        &self.trailers
    }
}

/// Decodes and checks a body as it comes. Bytes are handed out at once, as slices of what came in (nothing is copied); they are
/// provisional until [`finish`](Self::finish) gives [`VerifiedEnd`].
#[derive(Debug)]
pub struct PayloadDecoder {
    state: State,
    length: Option<u64>,
    on_wire: u64,
    wire_length: Option<u64>,
    failed: Option<PayloadError>,
}

enum State {
    Plain { seen: u64, hash: Option<(Sha256, [u8; 32])> },
    Chunked(Box<ChunkedDecoder>),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain { .. } => "Plain",
            Self::Chunked(_) => "Chunked",
        })
    }
}

impl PayloadDecoder {
    /// A decoder for a body protected by `mode`.
    ///
    /// # Errors
    ///
    /// A missing length; trailers where the mode has none.
    pub fn new(mode: PayloadMode, declared: Declared) -> Result<Self, PayloadError> {
        let wire_length = declared.content_length;
        if !matches!(mode, PayloadMode::Chunked { trailer: true, .. }) && !declared.trailers.is_empty() {
            // They would never be looked at, and with them the checksum that the client relies on.
            return Err(PayloadError::UnsupportedTrailer);
        }
        let (state, length) = match mode {
            PayloadMode::Unsigned => (State::Plain { seen: 0, hash: None }, declared.content_length),
            PayloadMode::Sha256(claimed) => {
                (State::Plain { seen: 0, hash: Some((Sha256::new(), claimed)) }, declared.content_length)
            }
            PayloadMode::Chunked { signing, trailer } => {
                let length = declared.decoded_length.ok_or(PayloadError::MissingLength)?;
                let names = trailer.then_some(declared.trailers);
                (State::Chunked(Box::new(ChunkedDecoder::new(signing, length, names))), Some(length))
            }
        };
        Ok(Self { state, length, on_wire: 0, wire_length, failed: None })
    }

    /// The length of the decoded body, where it was declared. Without one only an empty body is taken.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Takes the next bytes from the wire and hands decoded ones to `out`.
    ///
    /// # Errors
    ///
    /// The body is not what was declared or signed. The decoder stays failed.
    pub fn push(&mut self, bytes: Bytes, out: &mut impl FnMut(Bytes)) -> Result<(), PayloadError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.take(bytes, out).inspect_err(|error| self.failed = Some(error.clone()))
    }

    fn take(&mut self, bytes: Bytes, out: &mut impl FnMut(Bytes)) -> Result<(), PayloadError> {
        self.on_wire += bytes.len() as u64;
        if self.wire_length.is_some_and(|length| self.on_wire > length) {
            return Err(PayloadError::Incomplete);
        }
        match &mut self.state {
            State::Plain { seen, hash } => {
                if bytes.is_empty() {
                    return Ok(());
                }
                if self.wire_length.is_none() {
                    return Err(PayloadError::MissingLength);
                }
                *seen += bytes.len() as u64;
                if let Some((hasher, _)) = hash {
                    hasher.update(&bytes);
                }
                out(bytes);
                Ok(())
            }
            State::Chunked(decoder) => decoder.push(bytes, out),
        }
    }

    /// Ends the body: all of it must have come and be right.
    ///
    /// # Errors
    ///
    /// The body is not what was declared or signed.
    pub fn finish(self) -> Result<VerifiedEnd, PayloadError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.wire_length.is_some_and(|length| self.on_wire != length) {
            return Err(PayloadError::Incomplete);
        }
        match self.state {
            State::Plain { seen, hash: None } => {
                Ok(VerifiedEnd { length: seen, sha256: None, trailers: Trailers::default() })
            }
            State::Plain { seen, hash: Some((hasher, claimed)) } => {
                let computed = hasher.finish();
                if !same(&computed, &claimed) {
                    return Err(PayloadError::Sha256Mismatch { claimed, computed });
                }
                Ok(VerifiedEnd { length: seen, sha256: Some(computed), trailers: Trailers::default() })
            }
            State::Chunked(decoder) => {
                let (length, trailers) = decoder.finish()?;
                Ok(VerifiedEnd { length, sha256: None, trailers })
            }
        }
    }
}

/// What of a `Content-Encoding` is the object's own: `aws-chunked` belongs to the transfer. None when nothing is left.
pub fn strip_aws_chunked(content_encoding: &str) -> Option<String> {
    let own: Vec<&str> = content_encoding
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!own.is_empty()).then(|| own.join(","))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use millpond_digest::sha256;

    use super::*;

    fn declared(pairs: &[(&'static str, &'static str)]) -> Result<Declared, PayloadError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Declared::from_headers(&headers)
    }

    #[test]
    fn declarations() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        type Row = (&'static [(&'static str, &'static str)], Result<Declared, PayloadError>);
        let table: &[Row] = &[
            (&[], Ok(Declared::default())),
            (&[("content-length", "5")], Ok(Declared { content_length: Some(5), ..Declared::default() })),
            (
                &[("x-amz-decoded-content-length", "7"), ("x-amz-trailer", "X-Amz-Checksum-CRC32")],
                Ok(Declared {
                    decoded_length: Some(7),
                    trailers: names(&["x-amz-checksum-crc32"]),
                    content_length: None,
                }),
            ),
            (&[("content-length", "-1")], Err(PayloadError::InvalidLength("content-length"))),
            (&[("content-length", "+1")], Err(PayloadError::InvalidLength("content-length"))),
            (&[("x-amz-decoded-content-length", "")], Err(PayloadError::InvalidLength("x-amz-decoded-content-length"))),
            (
                &[("x-amz-decoded-content-length", "18446744073709551616")],
                Err(PayloadError::InvalidLength("x-amz-decoded-content-length")),
            ),
            (
                &[("x-amz-decoded-content-length", "1"), ("x-amz-decoded-content-length", "1")],
                Err(PayloadError::InvalidLength("x-amz-decoded-content-length")),
            ),
            (&[("x-amz-trailer", "x-amz-meta-a")], Err(PayloadError::UnsupportedTrailer)),
            (&[("x-amz-trailer", "")], Err(PayloadError::UnsupportedTrailer)),
            (&[("x-amz-trailer", "x-amz-checksum-a,x-amz-checksum-a")], Err(PayloadError::UnsupportedTrailer)),
        ];
        for (pairs, expected) in table {
            assert_eq!(&declared(pairs), expected, "{pairs:?}");
        }
    }

    /// mode, content length, pieces, expected
    #[test]
    fn plain_bodies() {
        let right = sha256(b"hello");
        let mut wrong = right;
        wrong[31] ^= 1;
        type Row = (Option<[u8; 32]>, Option<u64>, &'static [&'static [u8]], Result<u64, &'static str>);
        let table: Vec<Row> = vec![
            (None, Some(5), &[b"hel", b"", b"lo"], Ok(5)),
            (None, Some(0), &[], Ok(0)),
            (None, None, &[b""], Ok(0)),
            (None, None, &[b"x"], Err("MissingContentLength")),
            (None, Some(6), &[b"hello"], Err("IncompleteBody")),
            (None, Some(4), &[b"hello"], Err("IncompleteBody")),
            (Some(right), Some(5), &[b"hel", b"lo"], Ok(5)),
            (Some(wrong), Some(5), &[b"hello"], Err("XAmzContentSHA256Mismatch")),
            (Some(right), Some(5), &[b"hellO"], Err("XAmzContentSHA256Mismatch")),
            (Some(right), Some(0), &[], Err("XAmzContentSHA256Mismatch")),
            (Some(right), Some(5), &[b"hell"], Err("IncompleteBody")),
        ];
        for (hash, length, pieces, expected) in table {
            let mode = hash.map_or(PayloadMode::Unsigned, PayloadMode::Sha256);
            let declared = Declared { content_length: length, ..Declared::default() };
            let mut decoder = PayloadDecoder::new(mode, declared).unwrap();
            let mut got = Vec::new();
            let mut pushed = Ok(());
            for piece in pieces {
                pushed = pushed
                    .and_then(|()| decoder.push(Bytes::from_static(piece), &mut |bytes| got.extend_from_slice(&bytes)));
            }
            // A failed decoder must not end well, whatever is done with it.
            let end = decoder.finish();
            assert!(pushed.is_ok() || end.is_err());
            assert_eq!(end.as_ref().map(VerifiedEnd::length).map_err(PayloadError::code), expected, "{pieces:?}");
            if let Ok(end) = end {
                assert_eq!(got, pieces.concat());
                assert_eq!(end.sha256().is_some(), hash.is_some());
            }
        }
    }

    #[test]
    fn trailers_need_a_mode_that_has_them() {
        for mode in [
            PayloadMode::Unsigned,
            PayloadMode::Sha256([0; 32]),
            PayloadMode::Chunked { signing: None, trailer: false },
        ] {
            let declared = Declared {
                content_length: Some(1),
                decoded_length: Some(1),
                trailers: vec!["x-amz-checksum-crc32".to_owned()],
            };
            assert_eq!(PayloadDecoder::new(mode, declared).unwrap_err(), PayloadError::UnsupportedTrailer);
        }
        let mode = PayloadMode::Chunked { signing: None, trailer: true };
        let declared = Declared { content_length: Some(1), ..Declared::default() };
        assert_eq!(PayloadDecoder::new(mode, declared).unwrap_err(), PayloadError::MissingLength);
    }

    #[test]
    fn stored_encodings() {
        for (text, expected) in [
            ("aws-chunked", None),
            ("AWS-Chunked", None),
            ("aws-chunked,gzip", Some("gzip")),
            ("gzip, aws-chunked , br", Some("gzip,br")),
            ("gzip", Some("gzip")),
            ("", None),
        ] {
            assert_eq!(strip_aws_chunked(text).as_deref(), expected, "{text}");
        }
    }
}
