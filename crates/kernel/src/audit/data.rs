//! Data events: operations on what a resource holds, such as the objects of a bucket. They are recorded where a trail selects them, in a stream for each
//! account that trails read (CloudTrail User Guide, "Logging data events").
//!
//! The record of a change is appended by the commit that makes it ([`DataRecorder`]), so that no crash can come between the two; a change that has no such
//! commit of its own is recorded before it is answered. Reads and failures are queued and written together within [`GROUP_TIME`](super::GROUP_TIME).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use millpond_meta::Key;
use millpond_meta::key::KeyBuilder;
use millpond_types::{AccountId, Arn, Besides, Changed};

use super::call::{Call, Outcome, Said};
use super::record;
use super::store::{Audit, row};
use super::{EventClass, EventKind};
use crate::{Caller, tables};

/// A data event, as far as it is selected by.
#[derive(Clone, Copy, Debug)]
pub struct DataEvent<'a> {
    /// Such as `s3.amazonaws.com`.
    pub source: &'a str,
    /// Such as `GetObject`.
    pub name: &'a str,
    /// Whether it changes nothing.
    pub read_only: bool,
    /// The ARN of whoever calls.
    pub caller: &'a str,
    /// The resources of the account that is asked about: ARNs of objects, and of buckets.
    pub resources: &'a [String],
}

/// Who wants data events.
pub trait DataTrails: Send + Sync + 'static {
    /// Whether anybody wants any. Asked on every operation on data.
    fn any(&self) -> bool;

    /// Whether a trail of the account selects this one.
    fn wants(&self, account: AccountId, event: &DataEvent<'_>) -> bool;
}

/// The stream of an account's data events.
pub fn data_stream(account: AccountId) -> Key {
    KeyBuilder::new(tables::AUDIT_DATA).raw(account.as_str().as_bytes()).build()
}

/// The account of one of its streams of records, of management or of data events.
pub fn account_of_stream(stream: &[u8]) -> Option<AccountId> {
    let known = [tables::AUDIT, tables::AUDIT_DATA].contains(stream.first()?);
    known.then(|| std::str::from_utf8(stream.get(1..13)?).ok()?.parse().ok()).flatten()
}

/// Whether an operation on data changes nothing.
pub(super) fn reads(name: &'static str) -> bool {
    EventKind::by_verb(name).class == EventClass::Read
}

/// Records the changes of a call in the commits that make them.
pub struct DataRecorder {
    audit: Audit,
    call: Call,
    /// The bucket that is changed, and its owner.
    bucket: (String, AccountId),
    journaled: Arc<AtomicBool>,
}

impl fmt::Debug for DataRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataRecorder({})", self.call.kind.name)
    }
}

impl DataRecorder {
    /// For the changes of a call in a bucket. `None` when nobody wants any data events.
    pub fn new(
        audit: &Audit,
        caller: &Arc<Caller>,
        kind: EventKind,
        said: Said,
        bucket: (&str, AccountId),
    ) -> Option<Arc<Self>> {
        if !audit.wants_data() {
            return None;
        }
        let journaled = caller.note().journaled();
        let call = Call {
            caller: Arc::clone(caller),
            service: "s3",
            protocol: millpond_wire::Protocol::RestXml,
            kind,
            said,
            outcome: Outcome::Done(bytes::Bytes::new()),
        };
        Some(Arc::new(Self { audit: audit.clone(), call, bucket: (bucket.0.to_owned(), bucket.1), journaled }))
    }
}

impl Besides for DataRecorder {
    fn of(&self, change: &Changed<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
        // Whoever wants none of this call's events will not be asked again for its answer either.
        self.journaled.store(true, Ordering::Relaxed);
        let (bucket, owner) = &self.bucket;
        let of = |key| (Arn::s3(bucket, key).to_string(), *owner);
        let records = self.audit.data_records(&self.call, Some((change, vec![of(Some(change.key)), of(None)])));
        records.iter().map(|record| (data_stream(record.account).to_vec(), row(record))).collect()
    }
}

impl Audit {
    /// Whether data events have to be recorded at all.
    pub fn wants_data(&self) -> bool {
        self.trails().is_some_and(|trails| trails.any())
    }

    /// The records of a call on data, for the accounts whose trails want them.
    pub(super) fn data_records(
        &self,
        call: &Call,
        change: Option<(&Changed<'_>, Vec<(String, AccountId)>)>,
    ) -> Vec<record::Record> {
        let Some(trails) = self.trails() else { return Vec::new() };
        record::of_data(call, change, self.region(), self.random(), |account, event| trails.wants(account, event))
    }
}
