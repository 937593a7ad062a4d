//! Public access blocks, of a bucket and of an account (S3 User Guide, "Blocking public access to your Amazon S3 storage").

use bytes::Bytes;
use millpond_kernel::Limits;
use prost::Message;

/// What is blocked. A bucket's block and its account's add up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PublicAccess {
    /// Public ACLs cannot be set.
    pub block_acls: bool,
    /// Public ACLs that are set do not count.
    pub ignore_acls: bool,
    /// Public bucket policies cannot be set.
    pub block_policy: bool,
    /// A public bucket policy lets in nobody but the owner's account and services.
    pub restrict: bool,
}

/// The stored form. A tag never changes its meaning.
#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(bool, tag = "1")]
    block_acls: bool,
    #[prost(bool, tag = "2")]
    ignore_acls: bool,
    #[prost(bool, tag = "3")]
    block_policy: bool,
    #[prost(bool, tag = "4")]
    restrict: bool,
}

impl PublicAccess {
    /// Nothing public at all: what new buckets begin with, as on AWS since April 2023.
    pub const CLOSED: Self = Self { block_acls: true, ignore_acls: true, block_policy: true, restrict: true };

    /// Reads the stored form; `None` when it is none.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let Row { block_acls, ignore_acls, block_policy, restrict } = Row::decode(bytes.clone()).ok()?;
        Some(Self { block_acls, ignore_acls, block_policy, restrict })
    }

    /// The stored form.
    pub fn encode(self) -> Bytes {
        let Self { block_acls, ignore_acls, block_policy, restrict } = self;
        Row { block_acls, ignore_acls, block_policy, restrict }.encode_to_vec().into()
    }

    /// What either blocks.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            block_acls: self.block_acls || other.block_acls,
            ignore_acls: self.ignore_acls || other.ignore_acls,
            block_policy: self.block_policy || other.block_policy,
            restrict: self.restrict || other.restrict,
        }
    }

    /// What decisions need to know of it.
    pub fn limits(self) -> Limits {
        Limits { restrict_public: self.restrict, ignore_public_acls: self.ignore_acls }
    }
}

/// Converts to and from the documents of an API; there are two with the same members.
macro_rules! documents {
    ($($shape:ty),*) => {
        $(
            impl From<&$shape> for PublicAccess {
                /// Settings that are left out are off.
                fn from(document: &$shape) -> Self {
                    Self {
                        block_acls: document.block_public_acls.unwrap_or(false),
                        ignore_acls: document.ignore_public_acls.unwrap_or(false),
                        block_policy: document.block_public_policy.unwrap_or(false),
                        restrict: document.restrict_public_buckets.unwrap_or(false),
                    }
                }
            }

            impl From<PublicAccess> for $shape {
                fn from(block: PublicAccess) -> Self {
                    Self {
                        block_public_acls: Some(block.block_acls),
                        ignore_public_acls: Some(block.ignore_acls),
                        block_public_policy: Some(block.block_policy),
                        restrict_public_buckets: Some(block.restrict),
                    }
                }
            }
        )*
    };
}

documents!(millpond_api_s3::PublicAccessBlockConfiguration, millpond_api_s3control::PublicAccessBlockConfiguration);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_kept_and_add_up() {
        for bits in 0..16u8 {
            let block = |bits: u8| PublicAccess {
                block_acls: bits & 1 != 0,
                ignore_acls: bits & 2 != 0,
                block_policy: bits & 4 != 0,
                restrict: bits & 8 != 0,
            };
            assert_eq!(PublicAccess::decode(&block(bits).encode()), Some(block(bits)));
            assert_eq!(block(bits).or(block(5)), block(bits | 5));
        }
        assert_eq!(PublicAccess::decode(&Bytes::from_static(b"\xff")), None);
    }
}
