//! The service's tables: the first byte of a row's key, 0x80 to 0x87, and how rows are keyed.
//!
//! Groups and streams have ids of their own, so that one that is made again under an old name begins empty: what the old one had lies under the
//! old id until the removal has taken it away.

use bytes::Bytes;
use millpond_meta::Key;
use millpond_meta::key::{KeyBuilder, KeyReader, MalformedKey};
use millpond_types::AccountId;
use prost::Message;

/// (account, name) -> group.
pub(crate) const GROUPS: u8 = 0x80;
/// (group, name) -> stream. Never changed: a condition of every event that is written into it.
pub(crate) const STREAMS: u8 = 0x81;
/// (group, stream, time, order, salt) -> event.
pub const EVENTS: u8 = 0x82;
/// (group) and (group, stream) -> stored bytes: counters.
pub(crate) const BYTES: u8 = 0x83;
/// (group, stream) -> when an event came last, in milliseconds.
pub(crate) const INGESTED: u8 = 0x84;
/// (account, name) -> resource policy.
pub(crate) const POLICIES: u8 = 0x85;
/// (group) -> empty, as long as the group is there: a condition of every event and stream.
pub(crate) const ALIVE: u8 = 0x86;
/// (group) or (group, stream) -> empty: what of it is left is to be removed.
pub(crate) const REMOVALS: u8 = 0x87;

/// A group's own id.
pub(crate) type GroupId = u128;
/// A stream's own id, in its group.
pub(crate) type StreamId = u64;

/// A log group.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GroupRow {
    /// 16 bytes, big-endian.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// Milliseconds.
    #[prost(fixed64, tag = "2")]
    pub created: u64,
    /// Days; 0: forever.
    #[prost(uint32, tag = "3")]
    pub retention: u32,
    #[prost(btree_map = "string, string", tag = "4")]
    pub tags: std::collections::BTreeMap<String, String>,
}

/// A log stream.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StreamRow {
    #[prost(fixed64, tag = "1")]
    pub id: u64,
    /// Milliseconds.
    #[prost(fixed64, tag = "2")]
    pub created: u64,
}

/// A log event.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct EventRow {
    /// When it came, in milliseconds.
    #[prost(fixed64, tag = "1")]
    pub ingested: u64,
    /// The message, if it is not in chunks.
    #[prost(string, tag = "2")]
    pub message: String,
    /// The id of the chunks, 16 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub chunks: Vec<u8>,
    /// Bytes of the message.
    #[prost(uint32, tag = "4")]
    pub length: u32,
    /// The message, sealed for its stream, if it is not in chunks. It was not always.
    #[prost(bytes = "vec", tag = "5")]
    pub sealed: Vec<u8>,
    /// Bytes in the chunks of what is sealed; 0 where it is plain.
    #[prost(uint32, tag = "6")]
    pub chunked: u32,
}

impl EventRow {
    /// Id and length of its chunks, if it has some.
    pub fn chunks(&self) -> Option<(u128, usize)> {
        let id = <[u8; 16]>::try_from(self.chunks.as_slice()).ok().map(u128::from_be_bytes)?;
        let length = if self.chunked > 0 { self.chunked } else { self.length };
        Some((id, length as usize))
    }
}

/// What the messages of a stream are sealed for.
pub(crate) fn sealed_for(group: GroupId, stream: StreamId) -> [u8; 24] {
    let mut name = [0; 24];
    let (head, tail) = name.split_at_mut(16);
    head.copy_from_slice(&group.to_be_bytes());
    tail.copy_from_slice(&stream.to_be_bytes());
    name
}

/// A resource policy.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PolicyRow {
    #[prost(string, tag = "1")]
    pub text: String,
    /// Milliseconds.
    #[prost(fixed64, tag = "2")]
    pub updated: u64,
    /// The unique ids of the users and roles that it names, by ARN.
    #[prost(btree_map = "string, string", tag = "3")]
    pub ids: std::collections::BTreeMap<String, String>,
}

/// Where an event stands in its stream: its time in milliseconds, then when it came. `order` is in nanoseconds and rises from event to event
/// within a server's life; `salt` tells two lives apart between which the clock went back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Place {
    pub time: u64,
    pub order: u64,
    pub salt: u32,
}

impl Place {
    /// Before all events of a time.
    pub fn before(time: u64) -> Self {
        Self { time, order: 0, salt: 0 }
    }

    /// The place right behind this one.
    pub fn next(self) -> Self {
        match self.salt.checked_add(1) {
            Some(salt) => Self { salt, ..self },
            None => Self { order: self.order.saturating_add(1), salt: 0, ..self },
        }
    }

    /// 56 digits, as AWS's ids of events have.
    pub fn digits(self) -> String {
        format!("{:016}{:020}{:020}", self.time, self.order, self.salt)
    }

    /// The reverse of [`Self::digits`].
    pub fn parse(digits: &str) -> Option<Self> {
        if digits.len() != 56 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (time, rest) = digits.split_at(16);
        let (order, salt) = rest.split_at(20);
        Some(Self { time: time.parse().ok()?, order: order.parse().ok()?, salt: salt.parse().ok()? })
    }
}

pub(crate) fn group(account: AccountId, name: &str) -> Key {
    KeyBuilder::new(GROUPS).raw(account.as_str().as_bytes()).bytes(name.as_bytes()).build()
}

/// The beginning of the rows of an account's groups whose names begin so.
pub(crate) fn groups(account: AccountId, prefix: &str) -> Key {
    KeyBuilder::new(GROUPS).raw(account.as_str().as_bytes()).begins(prefix.as_bytes())
}

pub(crate) fn stream(group: GroupId, name: &str) -> Key {
    KeyBuilder::new(STREAMS).u128(group).bytes(name.as_bytes()).build()
}

/// The beginning of the rows of a group's streams whose names begin so.
pub(crate) fn streams(group: GroupId, prefix: &str) -> Key {
    KeyBuilder::new(STREAMS).u128(group).begins(prefix.as_bytes())
}

pub(crate) fn event(group: GroupId, stream: StreamId, place: Place) -> Key {
    KeyBuilder::new(EVENTS).u128(group).u64(stream).u64(place.time).u64(place.order).u32(place.salt).build()
}

/// Group and stream of an event's row.
pub(crate) fn stream_of_event(row: &Key) -> Result<(GroupId, StreamId), MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    Ok((reader.u128()?, reader.u64()?))
}

/// The beginning of all events of a stream.
pub(crate) fn events(group: GroupId, stream: StreamId) -> Key {
    KeyBuilder::new(EVENTS).u128(group).u64(stream).build()
}

pub(crate) fn of_group(table: u8, group: GroupId) -> Key {
    KeyBuilder::new(table).u128(group).build()
}

pub(crate) fn of_stream(table: u8, group: GroupId, stream: StreamId) -> Key {
    KeyBuilder::new(table).u128(group).u64(stream).build()
}

pub(crate) fn policy(account: AccountId, name: &str) -> Key {
    KeyBuilder::new(POLICIES).raw(account.as_str().as_bytes()).bytes(name.as_bytes()).build()
}

/// The beginning of all policies of an account.
pub(crate) fn policy_prefix(account: AccountId) -> Key {
    KeyBuilder::new(POLICIES).raw(account.as_str().as_bytes()).build()
}

/// Account and name of a row of groups or policies.
pub(crate) fn account_and_name(row: &Key) -> Result<(AccountId, String), MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    let account = std::str::from_utf8(reader.raw(12)?).ok().and_then(|text| text.parse().ok());
    let name = String::from_utf8(reader.bytes()?.into_owned()).map_err(|_| MalformedKey(13))?;
    Ok((account.ok_or(MalformedKey(1))?, name))
}

/// The name of a stream's row.
pub(crate) fn stream_name(row: &Key) -> Result<String, MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    reader.u128()?;
    String::from_utf8(reader.bytes()?.into_owned()).map_err(|_| MalformedKey(17))
}

/// The place of an event's row.
pub(crate) fn place(row: &Key) -> Result<Place, MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    reader.u128()?;
    reader.u64()?;
    Ok(Place { time: reader.u64()?, order: reader.u64()?, salt: reader.u32()? })
}

/// Group and, where it is of one stream alone, stream of a removal's row.
pub(crate) fn removal(row: &Key) -> Result<(GroupId, Option<StreamId>), MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    let group = reader.u128()?;
    Ok((group, if reader.rest().is_empty() { None } else { Some(reader.u64()?) }))
}

pub(crate) fn encode(row: &impl Message) -> Bytes {
    row.encode_to_vec().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_events_lead_back() {
        let place = Place { time: 1_800_000_000_000, order: u64::MAX - 1, salt: u32::MAX };
        assert_eq!((place.digits().len(), Place::parse(&place.digits())), (56, Some(place)));
        for text in ["", "1", "x".repeat(56).as_str(), "9".repeat(57).as_str()] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
        assert!(place.next() >= place && Place::before(7) < Place::before(7).next());
    }
}
