//! Who caused a change, and by which request.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::Timestamp;

/// Identifies one request in answers, logs and the journal: shown as 16 upper-case base-36 digits as S3 does.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub u128);

impl RequestId {
    /// The 16 digits.
    pub fn text(self) -> [u8; 16] {
        const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let mut rest = self.0;
        std::array::from_fn(|_| {
            let digit = DIGITS[(rest % 36) as usize];
            rest /= 36;
            digit
        })
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The most causes a chain holds; a change that would need more is a loop.
pub const MAX_CAUSES: usize = 16;

/// The chain of changes that led to a request, oldest first; empty when a client acts of its own accord.
pub type CauseChain = Vec<String>;

/// What the journal keeps of the request behind a change.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The operation, such as `PutObject`.
    pub operation: &'static str,
    /// The principal's id as S3 event records show it (`AWS:...`, or the account id for root).
    pub requester: String,
    /// Whose request it was, as S3's events on a bus show it: an account id, a service's principal, or `anonymous`.
    pub account: String,
    /// Where the request came from; `None` for work of our own.
    pub source_ip: Option<IpAddr>,
    /// The request's id.
    pub request_id: RequestId,
    /// What led to it.
    pub causes: CauseChain,
    /// When the request was received.
    pub time: Timestamp,
    /// What its changes append elsewhere, in their own commits.
    pub besides: Option<Arc<dyn Besides>>,
}

/// What a change appends to other streams than its journal, such as the record of an audit trail that wants it.
pub trait Besides: fmt::Debug + Send + Sync {
    /// Streams, and an entry for each.
    fn of(&self, change: &Changed<'_>) -> Vec<(Vec<u8>, Vec<u8>)>;
}

/// A change of an object, as far as [`Besides`] has to know it.
#[derive(Clone, Debug)]
pub struct Changed<'a> {
    /// The key.
    pub key: &'a str,
    /// The version, where the bucket has versions.
    pub version: Option<String>,
    /// Whether a delete marker was made.
    pub marker: bool,
}
