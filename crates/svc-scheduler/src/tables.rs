//! The service's tables: the first byte of a row's key, 0x6C to 0x6F, and how rows are keyed. When a schedule is due stands in the kernel's
//! table of timers, under the owner [`OWNER`].

use std::collections::BTreeMap;

use bytes::Bytes;
use millpond_meta::Key;
use millpond_meta::key::{KeyBuilder, KeyReader, MalformedKey};
use millpond_types::AccountId;
use prost::Message;

/// (account, name) -> schedule group.
pub(crate) const GROUPS: u8 = 0x6C;
/// (account, group, name) -> schedule.
pub(crate) const SCHEDULES: u8 = 0x6D;
/// (account, client token) -> what was made with it.
pub(crate) const TOKENS: u8 = 0x6E;

/// The owner of timers. Their ids begin with one of the letters below.
pub(crate) const OWNER: &str = "scheduler";
/// `S` and a schedule's id: it is due. The value is a [`DueRow`].
pub(crate) const DUE: u8 = b'S';
/// `R` and an execution's id: it is tried again. The value is a [`DueRow`].
pub(crate) const RETRY: u8 = b'R';
/// `G` and the key of a group's row: it is being deleted. No value.
pub(crate) const GROUP: u8 = b'G';
/// `T` and the key of a token's row: it is forgotten. No value.
pub(crate) const TOKEN: u8 = b'T';

/// A schedule group.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GroupRow {
    /// Nanoseconds.
    #[prost(fixed64, tag = "1")]
    pub created: u64,
    #[prost(fixed64, tag = "2")]
    pub modified: u64,
    #[prost(btree_map = "string, string", tag = "3")]
    pub tags: BTreeMap<String, String>,
    /// Whether it is being deleted, with its schedules.
    #[prost(bool, tag = "4")]
    pub deleting: bool,
}

/// A schedule.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ScheduleRow {
    /// 16 random bytes: of this schedule, and of none that is made later under its name.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    #[prost(string, tag = "2")]
    pub expression: String,
    /// As the IANA database names it.
    #[prost(string, tag = "3")]
    pub zone: String,
    /// Nanoseconds; absent: from now on.
    #[prost(fixed64, optional, tag = "4")]
    pub start: Option<u64>,
    /// Nanoseconds; absent: for ever.
    #[prost(fixed64, optional, tag = "5")]
    pub end: Option<u64>,
    #[prost(string, optional, tag = "6")]
    pub description: Option<String>,
    #[prost(bool, tag = "7")]
    pub enabled: bool,
    /// Minutes; 0: the window is off.
    #[prost(uint32, tag = "8")]
    pub window: u32,
    /// Whether it goes when it is complete.
    #[prost(bool, tag = "9")]
    pub delete_after: bool,
    /// Nanoseconds.
    #[prost(fixed64, tag = "10")]
    pub created: u64,
    #[prost(fixed64, tag = "11")]
    pub modified: u64,
    #[prost(message, required, tag = "12")]
    pub target: TargetRow,
    /// From when a rate counts, in nanoseconds.
    #[prost(fixed64, tag = "13")]
    pub anchor: u64,
    /// Of the timer that is set, if one is: when it fires, and the time that the schedule means by it.
    #[prost(fixed64, optional, tag = "14")]
    pub due: Option<u64>,
    #[prost(fixed64, tag = "15")]
    pub nominal: u64,
    /// Executions that are tried again: a schedule that goes when it is complete waits for them.
    #[prost(uint32, tag = "16")]
    pub retrying: u32,
    /// The last times that it fired, the newest last; of at most [`RECENT`](crate::limits::RECENT).
    #[prost(message, repeated, tag = "17")]
    pub recent: Vec<FiredRow>,
}

/// A time at which a schedule fired. What became of it follows from the attempts that are kept of it (`kernel::trace`).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FiredRow {
    /// The time that the schedule meant, in nanoseconds.
    #[prost(fixed64, tag = "1")]
    pub nominal: u64,
    /// When it was carried out first.
    #[prost(fixed64, tag = "2")]
    pub at: u64,
}

/// What a schedule invokes.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TargetRow {
    #[prost(string, tag = "1")]
    pub arn: String,
    #[prost(string, tag = "2")]
    pub role: String,
    /// Absent: the usual one, or in chunks.
    #[prost(string, optional, tag = "3")]
    pub input: Option<String>,
    /// The id of the chunks, 16 bytes, and the length of what lies in them.
    #[prost(bytes = "vec", tag = "4")]
    pub chunks: Vec<u8>,
    #[prost(uint32, tag = "5")]
    pub length: u32,
    /// Seconds.
    #[prost(uint32, tag = "6")]
    pub max_age: u32,
    #[prost(uint32, tag = "7")]
    pub max_retries: u32,
    #[prost(string, optional, tag = "8")]
    pub dead_letters: Option<String>,
    /// Of events on a bus.
    #[prost(string, optional, tag = "9")]
    pub detail_type: Option<String>,
    #[prost(string, optional, tag = "10")]
    pub source: Option<String>,
    /// Of messages in a queue.
    #[prost(string, optional, tag = "11")]
    pub message_group: Option<String>,
    /// The input, sealed, if it is not in chunks. It was not always.
    #[prost(bytes = "vec", tag = "12")]
    pub sealed: Vec<u8>,
    /// Whether what lies in chunks is sealed.
    #[prost(bool, tag = "13")]
    pub sealed_chunks: bool,
}

/// The value of a timer of a schedule.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DueRow {
    #[prost(string, tag = "1")]
    pub account: String,
    #[prost(string, tag = "2")]
    pub group: String,
    #[prost(string, tag = "3")]
    pub name: String,
    /// The schedule's id.
    #[prost(bytes = "vec", tag = "4")]
    pub id: Vec<u8>,
    /// The time that the schedule means, in nanoseconds.
    #[prost(fixed64, tag = "5")]
    pub nominal: u64,
    /// Attempts that were made.
    #[prost(uint32, tag = "6")]
    pub tried: u32,
    /// When the first was made, in nanoseconds.
    #[prost(fixed64, tag = "7")]
    pub since: u64,
}

/// What was made with a client token.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TokenRow {
    /// SHA-256 of the request.
    #[prost(bytes = "vec", tag = "1")]
    pub request: Vec<u8>,
    /// The ARN that was answered.
    #[prost(string, tag = "2")]
    pub arn: String,
}

fn of(table: u8, account: AccountId) -> KeyBuilder {
    KeyBuilder::new(table).raw(account.as_str().as_bytes())
}

pub(crate) fn group(account: AccountId, name: &str) -> Key {
    of(GROUPS, account).bytes(name.as_bytes()).build()
}

/// The beginning of the rows of an account's groups whose names begin so.
pub(crate) fn groups(account: AccountId, prefix: &str) -> Key {
    of(GROUPS, account).begins(prefix.as_bytes())
}

pub(crate) fn schedule(account: AccountId, group: &str, name: &str) -> Key {
    of(SCHEDULES, account).bytes(group.as_bytes()).bytes(name.as_bytes()).build()
}

/// The beginning of the rows of an account's schedules, or of those of a group whose names begin so.
pub(crate) fn schedules(account: AccountId, group: Option<&str>, prefix: &str) -> Key {
    match group {
        Some(group) => of(SCHEDULES, account).bytes(group.as_bytes()).begins(prefix.as_bytes()),
        None => of(SCHEDULES, account).build(),
    }
}

/// The beginning of the rows of all schedules.
pub(crate) fn all_schedules() -> Key {
    KeyBuilder::new(SCHEDULES).build()
}

pub(crate) fn token(account: AccountId, operation: &str, token: &str) -> Key {
    of(TOKENS, account).bytes(operation.as_bytes()).bytes(token.as_bytes()).build()
}

fn text(reader: &mut KeyReader<'_>) -> Result<String, MalformedKey> {
    String::from_utf8(reader.bytes()?.into_owned()).map_err(|_| MalformedKey(13))
}

fn account(reader: &mut KeyReader<'_>) -> Result<AccountId, MalformedKey> {
    reader.table()?;
    std::str::from_utf8(reader.raw(12)?).ok().and_then(|text| text.parse().ok()).ok_or(MalformedKey(1))
}

/// Account and name of a group's row.
pub(crate) fn group_of(row: &[u8]) -> Result<(AccountId, String), MalformedKey> {
    let mut reader = KeyReader::new(row);
    Ok((account(&mut reader)?, text(&mut reader)?))
}

/// Account, group and name of a schedule's row.
pub(crate) fn schedule_of(row: &[u8]) -> Result<(AccountId, String, String), MalformedKey> {
    let mut reader = KeyReader::new(row);
    Ok((account(&mut reader)?, text(&mut reader)?, text(&mut reader)?))
}

pub(crate) fn encode(row: &impl Message) -> Bytes {
    row.encode_to_vec().into()
}

/// A timer's id: one of the letters, and whose it is.
pub(crate) fn timer(kind: u8, of: &[u8]) -> Vec<u8> {
    [&[kind], of].concat()
}
