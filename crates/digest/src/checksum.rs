//! A checksum value.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::ChecksumAlgorithm;

/// The longest value, SHA-256's.
pub const MAX_CHECKSUM_BYTES: usize = 32;

/// Whether a checksum covers an object's bytes or its parts' checksums.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChecksumType {
    /// Of all bytes of the object.
    FullObject,
    /// Of the concatenated checksums of the parts; printed with `-` and the number of parts.
    Composite,
}

impl ChecksumType {
    /// The name in the API's `ChecksumType` enumeration.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// The type of an enumeration name; upper and lower case are the same.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::FullObject, Self::Composite].into_iter().find(|t| t.name().eq_ignore_ascii_case(name))
    }

    /// What S3 takes for a multipart upload that does not say: only CRC64NVME is full-object by default.
    pub fn default_for(algorithm: ChecksumAlgorithm) -> Self {
        if algorithm == ChecksumAlgorithm::Crc64Nvme { Self::FullObject } else { Self::Composite }
    }

    /// Whether S3 takes this type with this algorithm: full-object needs a CRC, and CRC64NVME has no composite form.
    pub fn fits(self, algorithm: ChecksumAlgorithm) -> bool {
        match self {
            Self::FullObject => algorithm.is_linear(),
            Self::Composite => algorithm != ChecksumAlgorithm::Crc64Nvme,
        }
    }
}

/// The value of one checksum: big-endian bytes, as they go into base64. No allocation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum {
    algorithm: ChecksumAlgorithm,
    /// Left-aligned; the rest is zero, so that equality may compare all of it.
    value: [u8; MAX_CHECKSUM_BYTES],
}

/// Why a text or some bytes are no checksum value of the algorithm.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a {algorithm} value is {} bytes in base64", .algorithm.value_bytes())]
pub struct InvalidChecksum {
    /// The algorithm it should have been a value of.
    pub algorithm: ChecksumAlgorithm,
}

impl Checksum {
    /// A value from its bytes, which must be exactly as many as the algorithm has.
    pub fn from_bytes(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Result<Self, InvalidChecksum> {
        if bytes.len() != algorithm.value_bytes() {
            return Err(InvalidChecksum { algorithm });
        }
        let mut value = [0; MAX_CHECKSUM_BYTES];
        value[..bytes.len()].copy_from_slice(bytes);
        Ok(Self { algorithm, value })
    }

    /// A value from its base64 form with padding, as in `x-amz-checksum-*`.
    pub fn parse(algorithm: ChecksumAlgorithm, text: &str) -> Result<Self, InvalidChecksum> {
        // Room for what base64 may write while it decodes the longest legal text; longer texts are refused before.
        let mut bytes = [0; 48];
        if text.len() > 44 {
            return Err(InvalidChecksum { algorithm });
        }
        let length = STANDARD.decode_slice(text, &mut bytes).map_err(|_| InvalidChecksum { algorithm })?;
        Self::from_bytes(algorithm, &bytes[..length])
    }

    /// A value from an array that is zero behind the algorithm's bytes.
    pub(crate) fn from_array(algorithm: ChecksumAlgorithm, value: [u8; MAX_CHECKSUM_BYTES]) -> Self {
        Self { algorithm, value }
    }

    /// Which algorithm made it.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// The value, big-endian.
    pub fn bytes(&self) -> &[u8] {
        &self.value[..self.algorithm.value_bytes()]
    }

    /// The value as a number, for the CRCs; zero-extended. None for the SHAs.
    pub(crate) fn number(&self) -> Option<u64> {
        if !self.algorithm.is_linear() {
            return None;
        }
        Some(self.bytes().iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A CRC's value from its number; only the bytes that the algorithm has are taken.
    pub(crate) fn from_number(algorithm: ChecksumAlgorithm, number: u64) -> Self {
        let length = algorithm.value_bytes().min(8);
        let mut value = [0; MAX_CHECKSUM_BYTES];
        value[..length].copy_from_slice(&number.to_be_bytes()[8 - length..]);
        Self { algorithm, value }
    }
}

/// Base64 with padding, as in `x-amz-checksum-*`.
impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        base64::display::Base64Display::new(self.bytes(), &STANDARD).fmt(f)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_leads_back_and_wrong_lengths_are_refused() {
        for algorithm in ChecksumAlgorithm::ALL {
            let bytes: Vec<u8> = (1..=algorithm.value_bytes() as u8).collect();
            let checksum = Checksum::from_bytes(algorithm, &bytes).unwrap();
            assert_eq!(checksum.bytes(), bytes);
            assert_eq!(Checksum::parse(algorithm, &checksum.to_string()), Ok(checksum));
            assert!(Checksum::from_bytes(algorithm, &bytes[1..]).is_err());
            for text in ["", "=", "????", "AAAA", &"A".repeat(64), &checksum.to_string().replace('=', "")] {
                if text != checksum.to_string() {
                    assert!(Checksum::parse(algorithm, text).is_err(), "{algorithm} {text}");
                }
            }
        }
    }

    #[test]
    fn types_and_algorithms() {
        use ChecksumAlgorithm::*;
        // algorithm, full-object allowed, composite allowed, default
        let table = [
            (Crc32, true, true, ChecksumType::Composite),
            (Crc32c, true, true, ChecksumType::Composite),
            (Crc64Nvme, true, false, ChecksumType::FullObject),
            (Sha1, false, true, ChecksumType::Composite),
            (Sha256, false, true, ChecksumType::Composite),
        ];
        for (algorithm, full, composite, default) in table {
            assert_eq!(ChecksumType::FullObject.fits(algorithm), full);
            assert_eq!(ChecksumType::Composite.fits(algorithm), composite);
            assert_eq!(ChecksumType::default_for(algorithm), default);
        }
        assert_eq!(ChecksumType::from_name("composite"), Some(ChecksumType::Composite));
        assert_eq!(ChecksumType::from_name("full"), None);
    }
}
