//! How answers tell of encryption.

use http::{HeaderMap, HeaderName};
use millpond_lake::{Encryption, Lock};

use super::CustomerKey;
use crate::answer;

/// What answers say of an object's encryption.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    pub encryption: Option<&'a Encryption>,
    pub customer: Option<&'a CustomerKey>,
}

/// Adds the headers.
pub fn set(headers: &mut HeaderMap, shown: Shown<'_>) {
    let Some(encryption) = shown.encryption else { return };
    let mut add = |name: &'static str, value: &str| answer::set(headers, HeaderName::from_static(name), value);
    match &encryption.lock {
        Lock::Server => add("x-amz-server-side-encryption", "AES256"),
        Lock::Kms { key, bucket_key, .. } => {
            add("x-amz-server-side-encryption", "aws:kms");
            add("x-amz-server-side-encryption-aws-kms-key-id", key);
            if *bucket_key {
                add("x-amz-server-side-encryption-bucket-key-enabled", "true");
            }
        }
        Lock::Customer { .. } => {
            add("x-amz-server-side-encryption-customer-algorithm", "AES256");
            if let Some(customer) = shown.customer {
                add("x-amz-server-side-encryption-customer-key-md5", &customer.md5);
            }
        }
    }
}
