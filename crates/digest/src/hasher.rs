//! Streaming hashers.

use crc_fast::{CrcAlgorithm, Digest as Crc};
use sha2::Digest as _;

use crate::{Checksum, ChecksumAlgorithm};

/// Computes one checksum over bytes as they come. Nothing is allocated.
#[derive(Clone)]
pub struct Hasher(State);

// The states differ in size (SHA-256's is the largest at about 110 bytes); boxing them would cost an allocation an object.
#[derive(Clone)]
#[allow(clippy::large_enum_variant)]
enum State {
    Crc(ChecksumAlgorithm, Crc),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

pub(crate) fn crc_of(algorithm: ChecksumAlgorithm) -> Option<CrcAlgorithm> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
        ChecksumAlgorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
        ChecksumAlgorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
        ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256 => None,
    }
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new(algorithm: ChecksumAlgorithm) -> Self {
        Self(match (crc_of(algorithm), algorithm) {
            (Some(crc), _) => State::Crc(algorithm, Crc::new(crc)),
            (None, ChecksumAlgorithm::Sha1) => State::Sha1(sha1::Sha1::new()),
            (None, _) => State::Sha256(sha2::Sha256::new()),
        })
    }

    /// Which checksum this computes.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        match &self.0 {
            State::Crc(algorithm, _) => *algorithm,
            State::Sha1(_) => ChecksumAlgorithm::Sha1,
            State::Sha256(_) => ChecksumAlgorithm::Sha256,
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc(_, crc) => crc.update(bytes),
            State::Sha1(sha) => sha.update(bytes),
            State::Sha256(sha) => sha.update(bytes),
        }
    }

    /// The checksum of all bytes taken.
    pub fn finish(self) -> Checksum {
        let (algorithm, value) = match self.0 {
            State::Crc(algorithm, crc) => return Checksum::from_number(algorithm, crc.finalize()),
            State::Sha1(sha) => {
                let mut value = [0; 32];
                value[..20].copy_from_slice(&sha.finalize());
                (ChecksumAlgorithm::Sha1, value)
            }
            State::Sha256(sha) => (ChecksumAlgorithm::Sha256, sha.finalize().into()),
        };
        Checksum::from_array(algorithm, value)
    }

    /// The checksum of `bytes`.
    pub fn of(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Checksum {
        let mut hasher = Self::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }
}

/// A streaming SHA-256, for payload hashes and signatures.
#[derive(Clone, Default)]
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    /// The digest of all bytes taken; the hasher starts anew.
    pub fn finish_reset(&mut self) -> [u8; 32] {
        self.0.finalize_reset().into()
    }
}

/// The SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of "123456789": the CRC catalogue's for the CRCs, FIPS 180 implementations' for the SHAs.
    #[test]
    fn check_values() {
        let table = [
            (ChecksumAlgorithm::Crc32, "cbf43926"),
            (ChecksumAlgorithm::Crc32c, "e3069283"),
            (ChecksumAlgorithm::Crc64Nvme, "ae8b14860a799888"),
            (ChecksumAlgorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (ChecksumAlgorithm::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ];
        for (algorithm, expected) in table {
            assert_eq!(hex::encode(Hasher::of(algorithm, b"123456789").bytes()), expected);
            let mut hasher = Hasher::new(algorithm);
            assert_eq!(hasher.algorithm(), algorithm);
            for byte in b"123456789" {
                hasher.update(&[*byte]);
            }
            assert_eq!(hex::encode(hasher.finish().bytes()), expected);
        }
        assert_eq!(hex::encode(sha256(b"123456789")), table[4].1);
        let mut sha = Sha256::new();
        sha.update(b"123456789");
        assert_eq!(hex::encode(sha.finish_reset()), table[4].1);
        sha.update(b"123456789");
        assert_eq!(hex::encode(sha.finish()), table[4].1);
    }
}
