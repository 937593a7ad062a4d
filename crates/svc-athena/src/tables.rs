//! The service's tables: the first byte of a row's key, 0xC0 to 0xCF, and how rows are keyed. What is done later stands in the kernel's table of
//! timers, under the owner [`OWNER`].

use std::collections::BTreeMap;

use bytes::Bytes;
use millpond_meta::Key;
use millpond_meta::key::{KeyBuilder, KeyReader, MalformedKey};
use millpond_types::AccountId;
use prost::Message;

/// (account, name) -> work group.
pub(crate) const GROUPS: u8 = 0xC0;
/// (account, id) -> named query.
pub(crate) const NAMED: u8 = 0xC1;
/// (account, work group, id) -> nothing: its named queries.
pub(crate) const NAMED_OF: u8 = 0xC2;
/// (account, work group, name) -> prepared statement.
pub(crate) const PREPARED: u8 = 0xC3;
/// (account, id) -> execution of a query.
pub(crate) const EXECUTIONS: u8 = 0xC4;
/// (account, work group, when, the newest first, id) -> nothing: its executions.
pub(crate) const EXECUTIONS_OF: u8 = 0xC5;
/// (account, operation, client token) -> what was made with it.
pub(crate) const TOKENS: u8 = 0xC6;
/// (account, id) -> nothing: executions that are queued or run.
pub(crate) const OPEN: u8 = 0xC7;
/// (account, work group, digest of a statement) -> the id of its newest execution whose result may be reused.
pub(crate) const REUSABLE: u8 = 0xC8;

/// The owner of timers. Their ids begin with one of the letters below.
pub(crate) const OWNER: &str = "athena";
/// `E` and the key of an execution's row: it is forgotten. No value.
pub(crate) const EXECUTION: u8 = b'E';
/// `T` and the key of a token's row: it is forgotten. No value.
pub(crate) const TOKEN: u8 = b'T';
/// `G` and the key of a work group's row: it is being deleted. No value.
pub(crate) const GROUP: u8 = b'G';

/// Something sealed.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SealedRow {
    /// It, if it is not in chunks.
    #[prost(bytes = "vec", tag = "1")]
    pub inline: Vec<u8>,
    /// The id of the chunks, 16 bytes, and the length of what lies in them.
    #[prost(bytes = "vec", tag = "2")]
    pub chunks: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub length: u32,
}

/// Where results go, and how.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ResultsRow {
    /// `s3://...`; empty where nothing was said.
    #[prost(string, tag = "1")]
    pub location: String,
    /// `SSE_S3`, `SSE_KMS`, or empty.
    #[prost(string, tag = "2")]
    pub encryption: String,
    #[prost(string, tag = "3")]
    pub kms_key: String,
    /// The account that the bucket must belong to, or empty.
    #[prost(string, tag = "4")]
    pub owner: String,
    /// Whether the bucket's owner gets full control.
    #[prost(bool, tag = "5")]
    pub full_control: bool,
}

/// A work group.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GroupRow {
    /// Nanoseconds.
    #[prost(fixed64, tag = "1")]
    pub created: u64,
    #[prost(string, optional, tag = "2")]
    pub description: Option<String>,
    #[prost(bool, tag = "3")]
    pub disabled: bool,
    #[prost(message, required, tag = "4")]
    pub results: ResultsRow,
    #[prost(bool, tag = "5")]
    pub enforce: bool,
    #[prost(bool, tag = "6")]
    pub publish: bool,
    /// Bytes; 0: no limit.
    #[prost(uint64, tag = "7")]
    pub cutoff: u64,
    #[prost(bool, tag = "8")]
    pub requester_pays: bool,
    /// The version that was selected.
    #[prost(string, tag = "9")]
    pub engine: String,
    #[prost(btree_map = "string, string", tag = "10")]
    pub tags: BTreeMap<String, String>,
    /// Whether it is being deleted, with what is in it.
    #[prost(bool, tag = "11")]
    pub deleting: bool,
}

/// A named query.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct NamedRow {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, optional, tag = "2")]
    pub description: Option<String>,
    #[prost(string, tag = "3")]
    pub database: String,
    #[prost(string, tag = "4")]
    pub group: String,
    #[prost(message, required, tag = "5")]
    pub statement: SealedRow,
}

/// A prepared statement.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PreparedRow {
    #[prost(string, optional, tag = "1")]
    pub description: Option<String>,
    /// Nanoseconds.
    #[prost(fixed64, tag = "2")]
    pub modified: u64,
    #[prost(message, required, tag = "3")]
    pub statement: SealedRow,
    /// 16 random bytes, which the statement is sealed for.
    #[prost(bytes = "vec", tag = "4")]
    pub id: Vec<u8>,
}

/// Who started a query, where that can be written down: root users and users without a session.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CallerRow {
    /// Empty for the root user.
    #[prost(string, tag = "1")]
    pub user: String,
    #[prost(string, tag = "2")]
    pub path: String,
    #[prost(string, tag = "3")]
    pub id: String,
    #[prost(bool, tag = "4")]
    pub secure: bool,
    #[prost(string, optional, tag = "5")]
    pub user_agent: Option<String>,
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "6")]
    pub request_id: Vec<u8>,
    #[prost(fixed64, tag = "7")]
    pub received: u64,
    #[prost(string, optional, tag = "8")]
    pub access_key_id: Option<String>,
}

/// What an execution is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum State {
    Queued = 0,
    Running = 1,
    Succeeded = 2,
    Failed = 3,
    Cancelled = 4,
}

impl State {
    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// An execution of a query.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExecutionRow {
    #[prost(string, tag = "1")]
    pub group: String,
    /// A [`SaidRow`].
    #[prost(message, required, tag = "2")]
    pub said: SealedRow,
    #[prost(string, tag = "3")]
    pub database: String,
    #[prost(string, tag = "4")]
    pub catalog: String,
    /// With the object's own location.
    #[prost(message, required, tag = "5")]
    pub results: ResultsRow,
    #[prost(enumeration = "State", tag = "6")]
    pub state: i32,
    /// Nanoseconds; 0: not yet.
    #[prost(fixed64, tag = "7")]
    pub submitted: u64,
    #[prost(fixed64, tag = "8")]
    pub started: u64,
    #[prost(fixed64, tag = "9")]
    pub completed: u64,
    /// Why it is in this state: text.
    #[prost(message, optional, tag = "10")]
    pub reason: Option<SealedRow>,
    #[prost(message, optional, tag = "11")]
    pub error: Option<ErrorRow>,
    #[prost(message, required, tag = "12")]
    pub stats: StatsRow,
    /// A [`ResultRow`].
    #[prost(message, optional, tag = "13")]
    pub result: Option<SealedRow>,
    /// `DML`, `DDL` or `UTILITY`.
    #[prost(string, tag = "14")]
    pub kind: String,
    #[prost(string, tag = "15")]
    pub subkind: String,
    /// Minutes; absent: the result of another is not to be reused.
    #[prost(uint32, optional, tag = "16")]
    pub reuse: Option<u32>,
    #[prost(bool, tag = "17")]
    pub reused: bool,
    /// Bytes; 0: no limit.
    #[prost(uint64, tag = "18")]
    pub cutoff: u64,
    /// Absent: a session's.
    #[prost(message, optional, tag = "19")]
    pub caller: Option<CallerRow>,
    /// Under which others find its result; empty for a result that is not reused.
    #[prost(bytes = "vec", tag = "20")]
    pub digest: Vec<u8>,
}

/// What was to be executed.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SaidRow {
    #[prost(string, tag = "1")]
    pub statement: String,
    #[prost(string, repeated, tag = "2")]
    pub parameters: Vec<String>,
}

/// An error as Athena's catalog of errors has it.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct ErrorRow {
    #[prost(uint32, tag = "1")]
    pub category: u32,
    #[prost(uint32, tag = "2")]
    pub kind: u32,
    #[prost(bool, tag = "3")]
    pub retryable: bool,
}

/// What an execution has cost.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct StatsRow {
    #[prost(uint64, tag = "1")]
    pub scanned: u64,
    #[prost(uint64, tag = "2")]
    pub input_rows: u64,
    #[prost(uint64, tag = "3")]
    pub output_rows: u64,
    #[prost(uint64, tag = "4")]
    pub output_bytes: u64,
    /// Milliseconds.
    #[prost(uint64, tag = "5")]
    pub planning: u64,
    #[prost(uint64, tag = "6")]
    pub execution: u64,
}

/// What is kept of a result besides its object.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ResultRow {
    #[prost(message, repeated, tag = "1")]
    pub columns: Vec<ColumnRow>,
    /// What the result holds for as long as the same is answered.
    #[prost(message, repeated, tag = "2")]
    pub asked: Vec<AskedRow>,
    /// Whether all that was asked is there.
    #[prost(bool, tag = "3")]
    pub complete: bool,
    /// The entity tag of the result's object.
    #[prost(string, tag = "4")]
    pub etag: String,
}

/// A column of a result.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ColumnRow {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub kind: String,
    #[prost(uint32, tag = "3")]
    pub precision: u32,
    #[prost(uint32, tag = "4")]
    pub scale: u32,
}

/// What a query asked.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AskedRow {
    /// The question.
    #[prost(bytes = "vec", tag = "1")]
    pub what: Vec<u8>,
    /// The digest of its answer; empty for bytes of an object, whose entity tag is in the question.
    #[prost(bytes = "vec", tag = "2")]
    pub digest: Vec<u8>,
}

/// What was made with a client token.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TokenRow {
    /// SHA-256 of the request.
    #[prost(bytes = "vec", tag = "1")]
    pub request: Vec<u8>,
    /// The id that was answered.
    #[prost(string, tag = "2")]
    pub id: String,
}

fn of(table: u8, account: AccountId) -> KeyBuilder {
    KeyBuilder::new(table).raw(account.as_str().as_bytes())
}

pub(crate) fn group(account: AccountId, name: &str) -> Key {
    of(GROUPS, account).bytes(name.as_bytes()).build()
}

/// The beginning of a table's rows of an account.
pub(crate) fn all(table: u8, account: AccountId) -> Key {
    of(table, account).build()
}

/// The beginning of a table's rows of a work group.
pub(crate) fn of_group(table: u8, account: AccountId, group: &str) -> Key {
    of(table, account).bytes(group.as_bytes()).build()
}

pub(crate) fn named(account: AccountId, id: u128) -> Key {
    of(NAMED, account).u128(id).build()
}

pub(crate) fn named_of(account: AccountId, group: &str, id: u128) -> Key {
    of(NAMED_OF, account).bytes(group.as_bytes()).u128(id).build()
}

pub(crate) fn prepared(account: AccountId, group: &str, name: &str) -> Key {
    of(PREPARED, account).bytes(group.as_bytes()).bytes(name.as_bytes()).build()
}

pub(crate) fn execution(account: AccountId, id: u128) -> Key {
    of(EXECUTIONS, account).u128(id).build()
}

pub(crate) fn execution_of(account: AccountId, group: &str, submitted: u64, id: u128) -> Key {
    of(EXECUTIONS_OF, account).bytes(group.as_bytes()).newest_first(submitted).u128(id).build()
}

pub(crate) fn open(account: AccountId, id: u128) -> Key {
    of(OPEN, account).u128(id).build()
}

pub(crate) fn reusable(account: AccountId, group: &str, digest: &[u8]) -> Key {
    of(REUSABLE, account).bytes(group.as_bytes()).raw(digest).build()
}

pub(crate) fn token(account: AccountId, operation: &str, token: &str) -> Key {
    of(TOKENS, account).bytes(operation.as_bytes()).bytes(token.as_bytes()).build()
}

fn account(reader: &mut KeyReader<'_>) -> Result<AccountId, MalformedKey> {
    reader.table()?;
    std::str::from_utf8(reader.raw(12)?).ok().and_then(|text| text.parse().ok()).ok_or(MalformedKey(1))
}

fn text(reader: &mut KeyReader<'_>) -> Result<String, MalformedKey> {
    String::from_utf8(reader.bytes()?.into_owned()).map_err(|_| MalformedKey(13))
}

/// Account and id in the key of an execution, a named query, or one of [`OPEN`].
pub(crate) fn account_and_id(row: &[u8]) -> Result<(AccountId, u128), MalformedKey> {
    let mut reader = KeyReader::new(row);
    Ok((account(&mut reader)?, reader.u128()?))
}

/// Account and name in the key of a work group.
pub(crate) fn account_and_name(row: &[u8]) -> Result<(AccountId, String), MalformedKey> {
    let mut reader = KeyReader::new(row);
    Ok((account(&mut reader)?, text(&mut reader)?))
}

/// The name in the key of a prepared statement.
pub(crate) fn prepared_name(row: &[u8]) -> Result<String, MalformedKey> {
    let mut reader = KeyReader::new(row);
    account(&mut reader)?;
    text(&mut reader)?;
    text(&mut reader)
}

/// The id at the end of a key of [`NAMED_OF`] or [`EXECUTIONS_OF`].
pub(crate) fn last_id(row: &[u8]) -> Result<u128, MalformedKey> {
    let at = row.len().saturating_sub(16);
    let bytes = row.get(at..).and_then(|id| <[u8; 16]>::try_from(id).ok());
    bytes.map(u128::from_be_bytes).ok_or(MalformedKey(at))
}

pub(crate) fn encode(row: &impl Message) -> Bytes {
    row.encode_to_vec().into()
}

/// A timer's id: one of the letters, and whose it is.
pub(crate) fn timer(kind: u8, of: &[u8]) -> Vec<u8> {
    [&[kind], of].concat()
}
