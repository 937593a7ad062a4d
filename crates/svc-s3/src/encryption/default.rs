//! What a bucket says of the encryption of its objects (S3 User Guide, "Setting default server-side encryption behavior for Amazon S3 buckets").

use bytes::Bytes;
use millpond_kernel::ServiceError;
use millpond_lake::{Bucket, ConfigKind};
use prost::Message;

use crate::errors;

/// How objects are encrypted whose writers do not say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Method {
    /// SSE-S3.
    #[default]
    Server,
    /// SSE-KMS.
    Kms {
        /// The key, by id, alias or ARN; `None` for the bucket owner's own for S3.
        key: Option<String>,
    },
}

/// A bucket's default encryption.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BucketDefault {
    pub method: Method,
    /// Whether data keys serve the whole bucket; also for writers that ask for SSE-KMS and say nothing of that.
    pub bucket_key: bool,
    /// Whether writes with keys of the client's own are refused.
    pub blocks_customer_keys: bool,
}

/// The configuration as it is stored. A tag never changes its meaning.
#[derive(Clone, PartialEq, Message)]
struct DefaultRow {
    /// 1 SSE-S3, 2 SSE-KMS.
    #[prost(uint32, tag = "1")]
    method: u32,
    #[prost(string, optional, tag = "2")]
    key: Option<String>,
    #[prost(bool, tag = "3")]
    bucket_key: bool,
    #[prost(bool, tag = "4")]
    blocks_customer_keys: bool,
}

impl BucketDefault {
    /// What a bucket says; SSE-S3 where it says nothing.
    ///
    /// # Errors
    /// Internal when it cannot be read: nothing is written that might have had to be encrypted in another way.
    pub fn of(bucket: &Bucket) -> Result<Self, ServiceError> {
        match bucket.config(ConfigKind::Encryption) {
            None => Ok(Self::default()),
            Some(row) => Self::read(row).ok_or_else(|| {
                tracing::error!(bucket = bucket.name.as_str(), "the default encryption of a bucket cannot be read");
                ServiceError::internal()
            }),
        }
    }

    fn read(row: &Bytes) -> Option<Self> {
        let DefaultRow { method, key, bucket_key, blocks_customer_keys } = DefaultRow::decode(row.clone()).ok()?;
        let method = match method {
            1 => Method::Server,
            2 => Method::Kms { key },
            _ => return None,
        };
        Some(Self { method, bucket_key, blocks_customer_keys })
    }

    /// As it is stored.
    pub fn row(&self) -> Bytes {
        let (method, key) = match &self.method {
            Method::Server => (1, None),
            Method::Kms { key } => (2, key.clone()),
        };
        let Self { bucket_key, blocks_customer_keys, .. } = *self;
        DefaultRow { method, key, bucket_key, blocks_customer_keys }.encode_to_vec().into()
    }

    /// Refuses keys of the client's own where the bucket does.
    pub fn allows_customer_keys(&self) -> Result<(), ServiceError> {
        if self.blocks_customer_keys { Err(errors::access_denied()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_come_back() {
        for method in [Method::Server, Method::Kms { key: None }, Method::Kms { key: Some("alias/a".to_owned()) }] {
            let default = BucketDefault { method, bucket_key: true, blocks_customer_keys: true };
            assert_eq!(BucketDefault::read(&default.row()), Some(default));
        }
        assert_eq!(BucketDefault::read(&Bytes::new()), None);
    }
}
