//! From the checksums of parts to the checksum of an object.

use std::fmt;

use crate::hasher::crc_of;
use crate::{Checksum, ChecksumAlgorithm, Hasher};

/// The checksum of `first` followed by `second`, which is `second_length` bytes long. None unless both are values of the same CRC.
pub fn combine(first: &Checksum, second: &Checksum, second_length: u64) -> Option<Checksum> {
    if first.algorithm() != second.algorithm() {
        return None;
    }
    let crc = crc_of(first.algorithm())?;
    let number = crc_fast::checksum_combine(crc, first.number()?, second.number()?, second_length);
    Some(Checksum::from_number(first.algorithm(), number))
}

/// Builds the full-object checksum of a multipart object out of its parts' CRCs and lengths.
#[derive(Clone, Debug)]
pub struct FullObject(Checksum);

impl FullObject {
    /// Starts with no part. None for the SHAs, which do not combine.
    pub fn new(algorithm: ChecksumAlgorithm) -> Option<Self> {
        algorithm.is_linear().then(|| Self(Hasher::new(algorithm).finish()))
    }

    /// Adds the next part, `length` bytes long. False, and nothing changed, when the part's algorithm is another.
    #[must_use]
    pub fn add(&mut self, part: &Checksum, length: u64) -> bool {
        match combine(&self.0, part, length) {
            Some(sum) => {
                self.0 = sum;
                true
            }
            None => false,
        }
    }

    /// The checksum of all parts in the order they were added.
    pub fn finish(self) -> Checksum {
        self.0
    }
}

/// Builds the composite checksum of a multipart object: the checksum of its parts' checksums.
#[derive(Clone)]
pub struct Composite {
    hasher: Hasher,
    parts: u32,
}

impl Composite {
    /// Starts with no part.
    pub fn new(algorithm: ChecksumAlgorithm) -> Self {
        Self { hasher: Hasher::new(algorithm), parts: 0 }
    }

    /// Adds the next part. False, and nothing changed, when the part's algorithm is another.
    #[must_use]
    pub fn add(&mut self, part: &Checksum) -> bool {
        if part.algorithm() != self.hasher.algorithm() {
            return false;
        }
        self.hasher.update(part.bytes());
        self.parts += 1;
        true
    }

    /// The value and the number of parts; S3 prints them as [`CompositeText`] does.
    pub fn finish(self) -> (Checksum, u32) {
        (self.hasher.finish(), self.parts)
    }
}

/// Prints a composite checksum: base64, `-`, number of parts.
pub struct CompositeText(pub Checksum, pub u32);

impl fmt::Display for CompositeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts a text at every two points and compares the combined checksum with that of the whole.
    #[test]
    fn full_objects_of_any_three_parts() {
        let text: Vec<u8> = (0..97u32).map(|i| (i * i + 7) as u8).collect();
        for algorithm in ChecksumAlgorithm::ALL.into_iter().filter(|a| a.is_linear()) {
            let whole = Hasher::of(algorithm, &text);
            for cut in 0..=text.len() {
                for second in (cut..=text.len()).step_by(13) {
                    let mut sum = FullObject::new(algorithm).unwrap();
                    for part in [&text[..cut], &text[cut..second], &text[second..]] {
                        assert!(sum.add(&Hasher::of(algorithm, part), part.len() as u64));
                    }
                    assert_eq!(sum.finish(), whole, "{algorithm} {cut} {second}");
                }
            }
        }
    }

    #[test]
    fn large_parts_combine() {
        // 5 MiB of zeros twice: lengths far above one block.
        let part = vec![0u8; 5 << 20];
        for algorithm in ChecksumAlgorithm::ALL.into_iter().filter(|a| a.is_linear()) {
            let one = Hasher::of(algorithm, &part);
            let mut both = Hasher::new(algorithm);
            both.update(&part);
            both.update(&part);
            assert_eq!(combine(&one, &one, part.len() as u64), Some(both.finish()));
        }
    }

    #[test]
    fn mixed_or_uncombinable_algorithms_are_refused() {
        let crc = Hasher::of(ChecksumAlgorithm::Crc32, b"a");
        let crc32c = Hasher::of(ChecksumAlgorithm::Crc32c, b"a");
        let sha = Hasher::of(ChecksumAlgorithm::Sha1, b"a");
        assert_eq!(combine(&crc, &crc32c, 1), None);
        assert_eq!(combine(&sha, &sha, 1), None);
        assert!(FullObject::new(ChecksumAlgorithm::Sha256).is_none());
        let mut composite = Composite::new(ChecksumAlgorithm::Crc32);
        assert!(!composite.add(&sha));
        assert_eq!(composite.finish().1, 0);
    }

    #[test]
    fn composites_hash_the_values() {
        for algorithm in ChecksumAlgorithm::ALL {
            let parts = [Hasher::of(algorithm, b"one"), Hasher::of(algorithm, b"two")];
            let mut composite = Composite::new(algorithm);
            assert!(parts.iter().all(|part| composite.add(part)));
            let (value, count) = composite.finish();
            let joined: Vec<u8> = parts.iter().flat_map(|part| part.bytes().to_vec()).collect();
            assert_eq!(value, Hasher::of(algorithm, &joined));
            assert_eq!(CompositeText(value, count).to_string(), format!("{value}-2"));
        }
    }
}
