//! Trailers: header lines behind the last chunk (S3 API Reference, "Signature calculations for trailing headers").

use millpond_digest::Sha256;

use crate::hex;
use crate::key::same;
use crate::payload::{ChunkSigning, PayloadError};

/// The most bytes behind the last chunk: room for every announced checksum many times over.
pub const MAX_TRAILER_BYTES: usize = 8 * 1024;

/// The name that carries the trailers' signature.
const SIGNATURE: &str = "x-amz-trailer-signature";

/// The trailers of a body: name in lower case and value, in the order they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trailers(Vec<(String, String)>);

impl Trailers {
    /// The value of a name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Reads what follows the last chunk. All announced names must come once, and no others; with signed chunks their signature
    /// must come last.
    ///
    /// Lines end with LF or CRLF and empty lines do not count: clients differ in where they put them (one well-known SDK ends its
    /// trailers with LF, an empty line, and only then their signature).
    pub(crate) fn parse(
        text: &[u8],
        announced: &[String],
        signing: Option<&mut ChunkSigning>,
    ) -> Result<Self, PayloadError> {
        let text = std::str::from_utf8(text).map_err(|_| PayloadError::MalformedTrailer)?;
        if !text.ends_with('\n') {
            // Cut off, or the end of an empty section is missing.
            return Err(PayloadError::Incomplete);
        }
        let mut found = Self::default();
        let mut signature = None;
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(PayloadError::MalformedTrailer)?;
            let name = name.trim().to_ascii_lowercase();
            let value = value.trim();
            if signature.is_some() {
                return Err(PayloadError::MalformedTrailer);
            }
            if name == SIGNATURE {
                signature = Some(hex::parse32(value.as_bytes()).ok_or(PayloadError::SignatureMismatch)?);
                continue;
            }
            let printable = value.bytes().all(|b| (b' '..=b'~').contains(&b));
            if !printable || !announced.contains(&name) || found.get(&name).is_some() {
                return Err(PayloadError::MalformedTrailer);
            }
            found.0.push((name, value.to_owned()));
        }
        if found.0.len() != announced.len() {
            return Err(PayloadError::MalformedTrailer);
        }
        found.check_signature(signature, signing)?;
        Ok(found)
    }

    fn check_signature(
        &self,
        provided: Option<[u8; 32]>,
        signing: Option<&mut ChunkSigning>,
    ) -> Result<(), PayloadError> {
        match (signing, provided) {
            (None, None) => Ok(()),
            // A signature that nobody can check must not look as if it had been.
            (None, Some(_)) => Err(PayloadError::MalformedTrailer),
            (Some(_), None) => Err(PayloadError::SignatureMismatch),
            (Some(signing), Some(provided)) => {
                let signature = signing.trailers(&self.canonical_hash());
                if same(&signature, &provided) { Ok(()) } else { Err(PayloadError::SignatureMismatch) }
            }
        }
    }

    /// The hash of `name:value\n` for each, in the order sent.
    fn canonical_hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for (name, value) in self.iter() {
            for piece in [name, ":", value, "\n"] {
                hasher.update(piece.as_bytes());
            }
        }
        hasher.finish()
    }

    /// Trailers for a test's signer.
    #[cfg(feature = "testing")]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// The next signature of the chain, over these trailers.
    #[cfg(feature = "testing")]
    pub(crate) fn sign(&self, signing: &mut ChunkSigning) -> [u8; 32] {
        signing.trailers(&self.canonical_hash())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsigned_trailers() {
        let one = ["x-amz-checksum-crc32"].map(str::to_owned);
        // text, announced, expected
        let table: &[(&str, &[String], Result<&str, PayloadError>)] = &[
            ("\r\n", &[], Ok("")),
            ("x-amz-checksum-crc32:AAAAAA==\r\n\r\n", &one, Ok("AAAAAA==")),
            ("X-Amz-Checksum-Crc32: AAAAAA== \n", &one, Ok("AAAAAA==")),
            ("\r\nx-amz-checksum-crc32:AAAAAA==\n\r\n", &one, Ok("AAAAAA==")),
            ("", &[], Err(PayloadError::Incomplete)),
            ("x-amz-checksum-crc32:AAAAAA==", &one, Err(PayloadError::Incomplete)),
            ("\r\n", &one, Err(PayloadError::MalformedTrailer)),
            ("x-amz-checksum-crc32:AAAAAA==\r\n", &[], Err(PayloadError::MalformedTrailer)),
            ("x-amz-checksum-sha1:AAAAAA==\r\n", &one, Err(PayloadError::MalformedTrailer)),
            ("x-amz-checksum-crc32:A\r\nx-amz-checksum-crc32:A\r\n", &one, Err(PayloadError::MalformedTrailer)),
            ("x-amz-checksum-crc32=AAAAAA==\r\n", &one, Err(PayloadError::MalformedTrailer)),
            ("x-amz-checksum-crc32:A\u{7f}\r\n", &one, Err(PayloadError::MalformedTrailer)),
        ];
        for (text, announced, expected) in table {
            let got = Trailers::parse(text.as_bytes(), announced, None);
            let got = got.map(|trailers| trailers.get("x-amz-checksum-crc32").unwrap_or_default().to_owned());
            assert_eq!(got.as_deref().map_err(Clone::clone), expected.clone(), "{text:?}");
        }
        let signed = format!("x-amz-checksum-crc32:A\r\nx-amz-trailer-signature:{}\r\n", "ab".repeat(32));
        assert_eq!(Trailers::parse(signed.as_bytes(), &one, None), Err(PayloadError::MalformedTrailer));
        assert_eq!(Trailers::parse(b"\xff\n", &[], None), Err(PayloadError::MalformedTrailer));
    }
}
