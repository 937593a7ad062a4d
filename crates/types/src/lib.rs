//! The ground floor: identifiers that are parsed once and are valid ever after.
//!
//! Nothing here does I/O. A value of one of these types needs no second look.

mod account;
mod arn;
mod bucket;
mod key;
mod network;
mod request;
mod time;

pub use account::{AccountId, InvalidAccountId, InvalidRegion, Region};
pub use arn::Arn;
pub use bucket::{BucketName, InvalidBucketName};
pub use key::{InvalidKey, MAX_KEY_BYTES, ObjectKey};
pub use network::{InvalidNetwork, Network};
pub use request::{Besides, CauseChain, Changed, MAX_CAUSES, Origin, RequestId};
pub use time::Timestamp;
