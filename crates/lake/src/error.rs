//! What can go wrong, in words that know nothing of HTTP.

use millpond_blob::BlobError;
use millpond_meta::{CommitError, ReadError};

/// Why an operation of the lake failed. Unless said otherwise, nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LakeError {
    /// There is no bucket of this name (any more).
    #[error("the bucket does not exist")]
    NoSuchBucket,
    /// The caller has a bucket of this name already.
    #[error("you own a bucket of this name already")]
    BucketAlreadyOwnedByYou,
    /// Someone else has a bucket of this name.
    #[error("a bucket of this name exists")]
    BucketAlreadyExists,
    /// The bucket holds objects, versions or delete markers.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// There are [`crate::MAX_BUCKETS`] buckets already.
    #[error("there are too many buckets")]
    TooManyBuckets,
    /// A configuration of the bucket, or the tags or ACL of a version, changed since the request was decided: decide anew.
    #[error("what the request was decided by changed meanwhile")]
    Reconfigured,
    /// A configuration of a bucket is larger than [`crate::MAX_CONFIG_BYTES`].
    #[error("a configuration of {size} bytes is more than the allowed {max}")]
    ConfigTooLarge {
        /// The bytes.
        size: usize,
        /// The most.
        max: usize,
    },
    /// The key has no current object.
    #[error("the key does not exist")]
    NoSuchKey,
    /// The key has no such version.
    #[error("the version does not exist")]
    NoSuchVersion,
    /// The version is a delete marker, which the operation cannot work on.
    #[error("the version is a delete marker")]
    IsDeleteMarker,
    /// There is no such upload (any more).
    #[error("the upload does not exist")]
    NoSuchUpload,
    /// A condition of the request does not hold.
    #[error("a precondition does not hold")]
    PreconditionFailed,
    /// Others changed the key during a conditional request, again and again.
    #[error("the key changed during a conditional request")]
    ConditionalConflict,
    /// A version was replaced or deleted between being looked up and being used: look it up again.
    #[error("the object changed meanwhile")]
    Changed,
    /// A part that a completion names was not uploaded, or has another ETag or checksum.
    #[error("part {number} was not found or has another ETag or checksum")]
    InvalidPart {
        /// Which one.
        number: u16,
    },
    /// The parts of a completion are not in ascending order.
    #[error("the parts are not in ascending order")]
    InvalidPartOrder,
    /// More keys to delete than one request may name.
    #[error("at most {max} keys are deleted at a time")]
    TooManyKeys {
        /// How many may be named.
        max: usize,
    },
    /// A completion names no part.
    #[error("no part is named")]
    NoParts,
    /// A part number outside 1 to 10,000.
    #[error("part numbers are 1 to 10,000")]
    InvalidPartNumber,
    /// A part that is not the last is below the smallest size.
    #[error("part {number} of {size} bytes is smaller than {min}")]
    EntityTooSmall {
        /// Which part.
        number: u16,
        /// Its bytes.
        size: u64,
        /// The least.
        min: u64,
    },
    /// An object or part is above its largest size.
    #[error("{size} bytes are more than the allowed {max}")]
    EntityTooLarge {
        /// The bytes.
        size: u64,
        /// The most.
        max: u64,
    },
    /// A completed object has another size than the client expected.
    #[error("the parts come to {actual} bytes, not {expected}")]
    SizeMismatch {
        /// What the client said.
        expected: u64,
        /// What the parts come to.
        actual: u64,
    },
    /// The body is not as long as was declared.
    #[error("the body has {actual} bytes, not {expected}")]
    IncompleteBody {
        /// What was declared.
        expected: u64,
        /// What came.
        actual: u64,
    },
    /// A checksum that the client gave differs from the one of the bytes.
    #[error("the {algorithm} checksum does not match")]
    ChecksumMismatch {
        /// By which algorithm.
        algorithm: millpond_digest::ChecksumAlgorithm,
    },
    /// The object or upload is encrypted, and its key was not brought.
    #[error("the key of the object is needed")]
    Locked,
    /// The upload was begun before there was encryption, and its parts are plain: what is encrypted does not become one of them.
    #[error("the upload is not encrypted")]
    PlainUpload,
    /// A range that lies outside the object.
    #[error("the range lies outside the object")]
    InvalidRange,
    /// There is no room for more.
    #[error("no space is left")]
    Full,
    /// Nothing more is written, as the disk failed. What became of this change is unknown.
    #[error("writes are refused: {0}")]
    ReadOnly(String),
    /// Stored bytes do not match their checksums, or rows contradict each other. They are not served.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    /// Others changed the same rows again and again; try later.
    #[error("too many changes of the same key at once")]
    Busy,
    /// The data was written by a newer version of Millpond.
    #[error("the data has format {found}; this version reads up to {known}")]
    NewerFormat {
        /// The format of the data.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// A fault of the lake or of what it rests on.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<ReadError> for LakeError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(what) => Self::Damaged(what),
            ReadError::Failed(why) => Self::Internal(why),
        }
    }
}

impl From<BlobError> for LakeError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Full => Self::Full,
            BlobError::Stopped(why) => Self::ReadOnly(why),
            BlobError::Damaged { .. } | BlobError::Missing(_) => Self::Damaged(error.to_string()),
            BlobError::Io(io) if io.is_full() => Self::Full,
            other => Self::Internal(other.to_string()),
        }
    }
}

/// What a commit that was not made means to the change that wanted it.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Others were faster: read anew and try again.
    Conflict {
        /// Whether it was the first condition: on the bucket's row, or for parts on the upload's.
        first: bool,
    },
    /// For good.
    Error(LakeError),
}

impl From<CommitError> for Refused {
    fn from(error: CommitError) -> Self {
        Self::Error(match error {
            CommitError::Conflict(index) => return Self::Conflict { first: index == 0 },
            CommitError::TooLarge(what) => LakeError::Internal(format!("a batch breaks a limit: {what}")),
            CommitError::Full => LakeError::Full,
            CommitError::Stopped(why) => LakeError::ReadOnly(why),
            CommitError::Unreadable(read) => read.into(),
        })
    }
}

impl From<LakeError> for Refused {
    fn from(error: LakeError) -> Self {
        Self::Error(error)
    }
}
