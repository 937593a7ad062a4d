//! The audit trail: every management call and every use of a key, allowed or denied, as a record in the shape of CloudTrail's
//! (CloudTrail User Guide, "CloudTrail record contents"), in a stream for each account that it concerns.
//!
//! A service need do nothing for it: the gateway makes a [`Call`] of the request and its outcome, and what the decisions touched is noted by
//! [`Kernel::authorize`](crate::Kernel::authorize). What a service knows better it says in its [`Service::event`](crate::Service::event) and in the
//! caller's [`Note`].
//!
//! Records of changes, and of attempts at them, are durable before the answer ([`Audit::record`]). Reads and uses of keys are queued and
//! written together within [`GROUP_TIME`]; a crash may lose that much of them. When the queue is full they wait for [`QUEUE_WAIT`] and are
//! then dropped and counted; changes never pass through the queue. Streams are trimmed by age and size (`keep`).
//!
//! Denials are kept too ([`Kept`]), under the id of their request, with everything that was decided.

mod bounded;
mod call;
mod data;
mod denial;
mod identity;
mod keep;
mod kept;
mod note;
mod parameters;
mod read;
mod record;
mod resource;
mod store;

pub use call::{Call, EventClass, EventKind, KeyUsed, Outcome, Said};
pub use data::{DataEvent, DataRecorder, DataTrails, account_of_stream, data_stream};
pub use denial::Denial;
pub use keep::{DENIAL_AGE, DENIAL_BYTES, HISTORY_AGE, HISTORY_BYTES, OTHERS_BYTES, management_streams};
pub use kept::Kept;
pub use note::Note;
pub use read::{DISORDER, Found, Page, Recorded};
pub use store::{Audit, AuditParts, GROUP_TIME, QUEUE, QUEUE_WAIT, Unrecorded};
