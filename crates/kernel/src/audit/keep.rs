//! What is kept for how long.

use std::time::Duration;

use millpond_meta::key::{KeyBuilder, KeyReader, prefix_range};
use millpond_meta::{Batch, CommitError, Key, Kv, Op, ReadError, Scan};
use millpond_types::{AccountId, Timestamp};
use prost::Message;

use super::kept;
use super::store::{EventRow, OrderRow};
use crate::tables;

/// How long records are kept: as long as CloudTrail's event history.
pub const HISTORY_AGE: Duration = Duration::from_secs(90 * 24 * 3600);
/// The most bytes of records that are kept for an account, about a million of them; the oldest go first.
pub const HISTORY_BYTES: u64 = 1 << 30;
/// The most bytes of records of what others than an account itself called, nobody included. Apart from its own, so that who knocks often enough pushes no
/// record of the account's own calls out.
pub const OTHERS_BYTES: u64 = 128 << 20;
/// How long denials are kept. Whoever asks why, asks soon.
pub const DENIAL_AGE: Duration = Duration::from_secs(14 * 24 * 3600);
/// The most bytes of denials that are kept, some fifty thousand of them; the oldest go first, so that a flood of them fills no disk.
pub const DENIAL_BYTES: u64 = 256 << 20;

/// Rows that one commit removes.
const PAGE: usize = 500;

#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// How much may stay of a stream.
#[derive(Clone, Copy)]
struct Bound {
    bytes: u64,
    /// What is older goes.
    since: Timestamp,
}

/// An entry of a stream that may have to go.
struct Entry {
    time: Timestamp,
    bytes: u64,
    /// The row that goes with it.
    beside: Option<Key>,
}

/// Removes what is too old or too much.
pub(super) async fn trim(kv: &dyn Kv, now: Timestamp) -> Result<(), KeepError> {
    let since = |age: Duration| Timestamp(now.0.saturating_sub(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)));
    for (account, side) in streams(kv).await? {
        let bytes = if side == Side::Own { HISTORY_BYTES } else { OTHERS_BYTES };
        let history = Bound { bytes, since: since(HISTORY_AGE) };
        trim_stream(kv, stream(account, side), bytes_row(account, side), history, |value| {
            let row = EventRow::decode(value).unwrap_or_default();
            Entry { time: Timestamp(row.time), bytes: value.len() as u64, beside: None }
        })
        .await?;
    }
    let denials = Bound { bytes: DENIAL_BYTES, since: since(DENIAL_AGE) };
    trim_stream(kv, kept::order(), kept::bytes_row(), denials, |value| {
        let row = OrderRow::decode(value).unwrap_or_default();
        Entry { time: Timestamp(row.time), bytes: row.bytes, beside: Some(kept::key(&row.request_id)) }
    })
    .await
}

/// Who called, seen from the account in whose trail the record lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// The account itself.
    Own,
    /// Another, or nobody.
    Others,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Own, Self::Others];

    fn byte(self) -> u8 {
        match self {
            Self::Own => 0,
            Self::Others => 1,
        }
    }
}

/// One of the two streams of an account.
pub(super) fn stream(account: AccountId, side: Side) -> Key {
    KeyBuilder::new(tables::AUDIT).raw(account.as_str().as_bytes()).u8(side.byte()).build()
}

/// The streams of the management events of an account.
pub fn management_streams(account: AccountId) -> [Key; 2] {
    Side::BOTH.map(|side| stream(account, side))
}

/// The counter of a stream's bytes.
pub(super) fn bytes_row(account: AccountId, side: Side) -> Key {
    KeyBuilder::new(tables::AUDIT_BYTES).raw(account.as_str().as_bytes()).u8(side.byte()).build()
}

/// The streams that have records.
async fn streams(kv: &dyn Kv) -> Result<Vec<(AccountId, Side)>, ReadError> {
    let (mut from, to) = prefix_range(KeyBuilder::new(tables::AUDIT_BYTES).build());
    let mut streams = Vec::new();
    loop {
        let scan = Scan { from: from.into_included(), to: to.clone().into_excluded(), reverse: false, limit: PAGE };
        let rows = kv.scan(scan).await?;
        streams.extend(rows.iter().filter_map(|(key, _)| counted(key)));
        match rows.last() {
            Some((last, _)) if rows.len() == PAGE => from = millpond_meta::key::successor(last),
            _ => return Ok(streams),
        }
    }
}

/// The stream whose bytes a row counts.
fn counted(key: &[u8]) -> Option<(AccountId, Side)> {
    let mut reader = KeyReader::new(key);
    reader.table().ok()?;
    let account = std::str::from_utf8(reader.raw(12).ok()?).ok()?.parse().ok()?;
    let byte = reader.u8().ok()?;
    Side::BOTH.into_iter().find(|side| side.byte() == byte).map(|side| (account, side))
}

async fn trim_stream(
    kv: &dyn Kv,
    stream: Key,
    counter: Key,
    bound: Bound,
    entry: impl Fn(&[u8]) -> Entry,
) -> Result<(), KeepError> {
    let (from, to) = prefix_range(stream);
    loop {
        let there = number(kv.get(&counter).await?.as_deref());
        let scan =
            Scan { from: from.clone().into_included(), to: to.clone().into_excluded(), reverse: false, limit: PAGE };
        let rows = kv.scan(scan).await?;
        let (mut gone, mut ops) = (0_u64, Vec::new());
        let mut goes = 0;
        for (key, value) in &rows {
            let Entry { time, bytes, beside } = entry(value);
            if time >= bound.since && there.saturating_sub(gone) <= bound.bytes {
                break;
            }
            gone += bytes;
            goes += 1;
            ops.push(Op::Delete(key.clone()));
            ops.extend(beside.map(Op::Delete));
        }
        if goes == 0 {
            return Ok(());
        }
        ops.push(Op::Add(counter.clone(), -i64::try_from(gone.min(there)).unwrap_or(i64::MAX)));
        kv.commit(Batch { ops, urgent: true, ..Batch::default() }).await?;
        if goes < PAGE {
            return Ok(());
        }
    }
}

fn number(row: Option<&[u8]>) -> u64 {
    let bytes = row.and_then(|row| <[u8; 8]>::try_from(row).ok()).unwrap_or_default();
    u64::try_from(i64::from_le_bytes(bytes)).unwrap_or(0)
}

/// Bounds of scans, readable.
pub(super) trait IntoBound {
    fn into_included(self) -> std::ops::Bound<Key>;
    fn into_excluded(self) -> std::ops::Bound<Key>;
}

impl IntoBound for Key {
    fn into_included(self) -> std::ops::Bound<Key> {
        std::ops::Bound::Included(self)
    }

    fn into_excluded(self) -> std::ops::Bound<Key> {
        std::ops::Bound::Excluded(self)
    }
}
