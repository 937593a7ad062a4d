//! MD5, for ETags and Content-MD5. It proves nothing against an attacker; S3 defines it as the name of a content.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Digest as _;

/// A streaming MD5.
#[derive(Clone, Default)]
pub struct Md5(md5::Md5);

/// The 16 bytes of an MD5.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Md5Digest(pub [u8; 16]);

/// Why a text is no Content-MD5.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a Content-MD5 is 16 bytes in base64")]
pub struct InvalidMd5;

impl Md5 {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken.
    pub fn finish(self) -> Md5Digest {
        Md5Digest(self.0.finalize().into())
    }

    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Md5Digest {
        Md5Digest(md5::Md5::digest(bytes).into())
    }
}

impl Md5Digest {
    /// From the header `Content-MD5` (RFC 1864): base64 with padding.
    pub fn parse_base64(text: &str) -> Result<Self, InvalidMd5> {
        if text.len() != 24 {
            return Err(InvalidMd5);
        }
        // 18 is what 24 characters may at most decode to.
        let mut bytes = [0; 18];
        let length = STANDARD.decode_slice(text, &mut bytes).map_err(|_| InvalidMd5)?;
        bytes[..length].try_into().map(Self).map_err(|_| InvalidMd5)
    }

    /// From 32 hexadecimal digits, as in a simple ETag without its quotes.
    pub fn parse_hex(text: &str) -> Result<Self, InvalidMd5> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidMd5)?;
        Ok(Self(bytes))
    }

    /// Base64 with padding.
    pub fn base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

/// Lower-case hexadecimal, as in an ETag without its quotes.
impl fmt::Display for Md5Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 32];
        hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Md5Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The ETag of a multipart object, without quotes: MD5 of the parts' MD5s, `-`, number of parts.
pub fn multipart_etag(parts: impl IntoIterator<Item = Md5Digest>) -> String {
    let mut md5 = Md5::new();
    let mut count = 0u32;
    for part in parts {
        md5.update(&part.0);
        count += 1;
    }
    format!("{}-{count}", md5.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        for (text, hex, base64) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e", "1B2M2Y8AsgTpgAmY7PhCfg=="),
            ("abc", "900150983cd24fb0d6963f7d28e17f72", "kAFQmDzST7DWlj99KOF/cg=="),
        ] {
            let digest = Md5::of(text.as_bytes());
            assert_eq!(digest.to_string(), hex);
            assert_eq!(digest.base64(), base64);
            assert_eq!(Md5Digest::parse_base64(base64), Ok(digest));
            assert_eq!(Md5Digest::parse_hex(hex), Ok(digest));
        }
        for text in [
            "",
            "kAFQmDzST7DWlj99KOF/cg",
            "kAFQmDzST7DWlj99KOF/cgAA",
            "kAFQmDzST7DWlj99KOF/cg=!",
            "????????????????????????",
        ] {
            assert_eq!(Md5Digest::parse_base64(text), Err(InvalidMd5), "{text}");
        }
        assert_eq!(Md5Digest::parse_hex("90"), Err(InvalidMd5));
    }

    #[test]
    fn multipart_etags_hash_the_digests() {
        let parts = [Md5::of(b"a"), Md5::of(b"b")];
        let mut joined = parts[0].0.to_vec();
        joined.extend(parts[1].0);
        assert_eq!(multipart_etag(parts), format!("{}-2", Md5::of(&joined)));
    }
}
