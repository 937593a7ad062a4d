//! What a bucket says of the encryption of its objects.

use millpond_kernel::ServiceError;
use millpond_lake::Bucket;

use crate::errors;

/// How objects are encrypted whose writers do not say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Method {
    /// SSE-S3.
    Server,
    /// SSE-KMS.
    Kms {
        /// The key, by id, alias or ARN; `None` for the bucket owner's own for S3.
        key: Option<String>,
    },
}

/// A bucket's default encryption.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketDefault {
    pub method: Method,
    /// Whether data keys serve the whole bucket.
    pub bucket_key: bool,
    /// Whether writes with keys of the client's own are refused.
    pub blocks_customer_keys: bool,
}

impl BucketDefault {
    /// What a bucket says; SSE-S3 where it says nothing.
    pub fn of(_bucket: &Bucket) -> Result<Self, ServiceError> {
        Ok(Self { method: Method::Server, bucket_key: false, blocks_customer_keys: false })
    }

    /// Refuses keys of the client's own where the bucket does.
    pub fn allows_customer_keys(&self) -> Result<(), ServiceError> {
        if self.blocks_customer_keys { Err(errors::access_denied()) } else { Ok(()) }
    }
}
