//! The service's tables: the first byte of a row's key, 0x98 to 0xA7, how rows are keyed, and what lies in them (protobuf, whose fields later
//! versions can still read).
//!
//! Functions and their parts are 0x98 to 0x9C, layers 0x9D and 0x9E, event source mappings 0x9F and 0xA0. Code lies beside the store, by its SHA-256 ([`crate::code`]).

use std::collections::BTreeMap;

use bytes::Bytes;
use millpond_meta::Key;
use millpond_meta::key::{KeyBuilder, KeyReader, MalformedKey};
use millpond_types::AccountId;
use prost::Message;

/// (account, name) -> function, with its unpublished version.
pub(crate) const FUNCTIONS: u8 = 0x98;
/// (function id, number) -> published version.
pub(crate) const VERSIONS: u8 = 0x99;
/// (function id, name) -> alias.
pub(crate) const ALIASES: u8 = 0x9A;
/// (function id, qualifier or nothing) -> resource policy.
pub(crate) const POLICIES: u8 = 0x9B;
/// (function id, qualifier) -> how asynchronous invocations are tried and where they end.
pub(crate) const INVOKE_CONFIGS: u8 = 0x9C;
/// (account, name) -> layer: what number its next version has.
pub(crate) const LAYERS: u8 = 0x9D;
/// (account, name, number) -> version of a layer.
pub(crate) const LAYER_VERSIONS: u8 = 0x9E;
/// (account, id) -> event source mapping ([`crate::mappings::rows`]).
pub(crate) const MAPPINGS: u8 = 0x9F;
/// (mapping, shard) -> how far it is read.
pub(crate) const PROGRESS: u8 = 0xA0;

/// A function.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FunctionRow {
    /// 16 random bytes: of this function, and of none that is made later under its name.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// Counts the changes of the function and its parts, so that the row tells whether anything changed.
    #[prost(uint64, tag = "2")]
    pub changes: u64,
    /// The number of the version that was published last; 0: none.
    #[prost(uint64, tag = "3")]
    pub published: u64,
    #[prost(message, required, tag = "4")]
    pub latest: VersionRow,
    #[prost(btree_map = "string, string", tag = "5")]
    pub tags: BTreeMap<String, String>,
    /// Invocations that may run at once, which no other function can use; absent: as many as are left.
    #[prost(uint32, optional, tag = "6")]
    pub reserved: Option<u32>,
    /// Whether it may be part of a loop.
    #[prost(bool, tag = "7")]
    pub may_loop: bool,
}

/// A version of a function.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct VersionRow {
    /// 16 random bytes, new with each change: the revision id, and the id of the program.
    #[prost(bytes = "vec", tag = "1")]
    pub revision: Vec<u8>,
    #[prost(string, tag = "2")]
    pub runtime: String,
    #[prost(string, tag = "3")]
    pub role: String,
    #[prost(string, tag = "4")]
    pub handler: String,
    #[prost(string, tag = "5")]
    pub description: String,
    /// Seconds.
    #[prost(uint32, tag = "6")]
    pub timeout: u32,
    /// MiB.
    #[prost(uint32, tag = "7")]
    pub memory: u32,
    /// MiB of `/tmp`.
    #[prost(uint32, tag = "8")]
    pub tmp: u32,
    #[prost(message, required, tag = "9")]
    pub code: CodeRow,
    #[prost(message, repeated, tag = "10")]
    pub layers: Vec<LayerUse>,
    /// An [`EnvRow`] sealed by the vault for the function's id; empty: there is none.
    #[prost(bytes = "vec", tag = "11")]
    pub env: Vec<u8>,
    /// Where events go that were given up.
    #[prost(string, optional, tag = "12")]
    pub dead_letters: Option<String>,
    /// The log group, where it is not the usual one.
    #[prost(string, optional, tag = "13")]
    pub log_group: Option<String>,
    /// Nanoseconds.
    #[prost(fixed64, tag = "14")]
    pub modified: u64,
    #[prost(string, tag = "15")]
    pub architecture: String,
}

/// Code: an archive in the store.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CodeRow {
    /// 32 bytes: SHA-256 of the archive.
    #[prost(bytes = "vec", tag = "1")]
    pub sha256: Vec<u8>,
    /// Bytes of the archive.
    #[prost(uint64, tag = "2")]
    pub size: u64,
    /// Bytes of what it holds.
    #[prost(uint64, tag = "3")]
    pub unzipped: u64,
}

/// A version of a layer, as a function uses it: the code stays also when the layer is deleted.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LayerUse {
    #[prost(string, tag = "1")]
    pub arn: String,
    #[prost(message, required, tag = "2")]
    pub code: CodeRow,
}

/// Environment variables.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct EnvRow {
    #[prost(btree_map = "string, string", tag = "1")]
    pub variables: BTreeMap<String, String>,
}

/// An alias.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AliasRow {
    /// The number of the version; 0: the unpublished one.
    #[prost(uint64, tag = "1")]
    pub version: u64,
    #[prost(string, tag = "2")]
    pub description: String,
    /// The version that some invocations go to instead, and how many of one.
    #[prost(uint64, tag = "3")]
    pub other: u64,
    #[prost(double, tag = "4")]
    pub weight: f64,
    /// 16 random bytes, new with each change.
    #[prost(bytes = "vec", tag = "5")]
    pub revision: Vec<u8>,
}

/// A resource policy.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PolicyRow {
    #[prost(string, tag = "1")]
    pub text: String,
    /// The unique ids of whom it names, in the order of their ARNs.
    #[prost(string, repeated, tag = "2")]
    pub ids: Vec<String>,
    /// 16 random bytes, new with each change.
    #[prost(bytes = "vec", tag = "3")]
    pub revision: Vec<u8>,
}

/// How asynchronous invocations are tried, and where they end.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct InvokeConfigRow {
    /// How often a failed one is tried again.
    #[prost(uint32, optional, tag = "1")]
    pub retries: Option<u32>,
    /// Seconds.
    #[prost(uint32, optional, tag = "2")]
    pub max_age: Option<u32>,
    #[prost(string, optional, tag = "3")]
    pub on_success: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub on_failure: Option<String>,
    /// Nanoseconds.
    #[prost(fixed64, tag = "5")]
    pub modified: u64,
}

/// A layer.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LayerRow {
    /// The number of the version that was published last: numbers are not used twice.
    #[prost(uint64, tag = "1")]
    pub published: u64,
}

/// A version of a layer.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LayerVersionRow {
    #[prost(string, tag = "1")]
    pub description: String,
    #[prost(message, required, tag = "2")]
    pub code: CodeRow,
    #[prost(string, repeated, tag = "3")]
    pub runtimes: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub architectures: Vec<String>,
    #[prost(string, tag = "5")]
    pub license: String,
    /// Nanoseconds.
    #[prost(fixed64, tag = "6")]
    pub created: u64,
    #[prost(message, optional, tag = "7")]
    pub policy: Option<PolicyRow>,
}

pub(crate) fn encode(row: &impl Message) -> Bytes {
    row.encode_to_vec().into()
}

fn of(table: u8, account: AccountId) -> KeyBuilder {
    KeyBuilder::new(table).raw(account.as_str().as_bytes())
}

pub(crate) fn function(account: AccountId, name: &str) -> Key {
    of(FUNCTIONS, account).bytes(name.as_bytes()).build()
}

pub(crate) fn version(function: u128, number: u64) -> Key {
    KeyBuilder::new(VERSIONS).u128(function).u64(number).build()
}

/// A part of a function that has a name: an alias, a policy, a configuration.
pub(crate) fn part(table: u8, function: u128, name: &str) -> Key {
    KeyBuilder::new(table).u128(function).bytes(name.as_bytes()).build()
}

pub(crate) fn layer(account: AccountId, name: &str) -> Key {
    of(LAYERS, account).bytes(name.as_bytes()).build()
}

pub(crate) fn layer_version(account: AccountId, name: &str, number: u64) -> Key {
    of(LAYER_VERSIONS, account).bytes(name.as_bytes()).u64(number).build()
}

fn text(reader: &mut KeyReader<'_>) -> Result<String, MalformedKey> {
    String::from_utf8(reader.bytes()?.into_owned()).map_err(|_| MalformedKey(13))
}

fn account(reader: &mut KeyReader<'_>) -> Result<AccountId, MalformedKey> {
    reader.table()?;
    std::str::from_utf8(reader.raw(12)?).ok().and_then(|text| text.parse().ok()).ok_or(MalformedKey(1))
}

/// Account and name of the row of a function or a layer.
pub(crate) fn named(key: &[u8]) -> Result<(AccountId, String), MalformedKey> {
    let mut reader = KeyReader::new(key);
    Ok((account(&mut reader)?, text(&mut reader)?))
}

/// Function and number of a version's row.
pub(crate) fn version_of(key: &[u8]) -> Result<(u128, u64), MalformedKey> {
    let mut reader = KeyReader::new(key);
    reader.table()?;
    Ok((reader.u128()?, reader.u64()?))
}

/// Function and name of the row of a function's part.
pub(crate) fn part_of(key: &[u8]) -> Result<(u128, String), MalformedKey> {
    let mut reader = KeyReader::new(key);
    reader.table()?;
    Ok((reader.u128()?, text(&mut reader)?))
}

/// Account, name and number of the row of a layer's version.
pub(crate) fn layer_version_of(key: &[u8]) -> Result<(AccountId, String, u64), MalformedKey> {
    let mut reader = KeyReader::new(key);
    Ok((account(&mut reader)?, text(&mut reader)?, reader.u64()?))
}
