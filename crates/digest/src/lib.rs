//! Checksums and digests of object bytes, as S3 defines them.
//!
//! Pure and without state of its own: algorithms, their names on the wire, streaming hashers, and the rules by which part
//! checksums become an object's checksum. Source: "Checking object integrity in Amazon S3", Amazon S3 User Guide.

mod algorithm;
mod checksum;
mod hasher;
mod md5;
mod multipart;

pub use algorithm::ChecksumAlgorithm;
pub use checksum::{Checksum, ChecksumType, InvalidChecksum, MAX_CHECKSUM_BYTES};
pub use hasher::{Hasher, Sha256, sha256};
pub use md5::{InvalidMd5, Md5, Md5Digest, multipart_etag};
pub use multipart::{Composite, CompositeText, FullObject, combine};
