//! The rows as they are stored: protobuf messages, so that later versions can add fields and still read old rows. A tag is
//! never given another meaning.

use bytes::Bytes;
use millpond_meta::key::KeyBuilder;
use millpond_meta::{Key, ReadError};
use millpond_types::AccountId;
use prost::Message;

use super::model::Kind;

/// Tables of identities: the first byte of a row's key, 0x40 to 0x47. Those from 0x48 on belong to sessions.
pub mod tables {
    /// (account, kind, name in lower case) -> user, group or role.
    pub const ENTITIES: u8 = 0x40;
    /// (account, name in lower case) -> managed policy.
    pub const POLICIES: u8 = 0x41;
    /// (account, unique id of what it belongs to, name, chunk) -> a part of a policy document's text.
    pub const DOCUMENTS: u8 = 0x42;
    /// (access key id) -> access key.
    pub const ACCESS_KEYS: u8 = 0x43;
    /// (access key id) -> when and for what it was last used.
    pub const LAST_USED: u8 = 0x44;
}

/// Bytes of a document in one row; values have at most 64 KiB.
const CHUNK: usize = 60_000;
/// The most rows of a document: it has at most 131,072 bytes (`millpond_policy::limits::ANY`).
pub(crate) const MAX_CHUNKS: u8 = 3;
/// The name under which a role's trust policy is kept; no inline policy can have it.
pub(crate) const TRUST: &str = ":trust";

/// A tag.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TagRow {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A user, group or role.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct EntityRow {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub path: String,
    #[prost(string, tag = "3")]
    pub id: String,
    #[prost(uint64, tag = "4")]
    pub created: u64,
    #[prost(message, repeated, tag = "5")]
    pub tags: Vec<TagRow>,
    #[prost(string, optional, tag = "6")]
    pub boundary: Option<String>,
    #[prost(string, repeated, tag = "7")]
    pub attached: Vec<String>,
    /// Of a user: the unique ids of its groups.
    #[prost(string, repeated, tag = "8")]
    pub groups: Vec<String>,
    #[prost(message, optional, tag = "9")]
    pub role: Option<RoleRow>,
}

/// What only a role has; its trust policy is a document.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RoleRow {
    #[prost(string, optional, tag = "1")]
    pub description: Option<String>,
    /// In seconds.
    #[prost(uint32, tag = "2")]
    pub max_session: u32,
    #[prost(message, repeated, tag = "3")]
    pub bound: Vec<BoundRow>,
}

/// A principal of a trust policy, and the unique id that it had when the policy was put.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct BoundRow {
    #[prost(string, tag = "1")]
    pub arn: String,
    #[prost(string, tag = "2")]
    pub id: String,
}

/// A managed policy; the texts of its versions are documents.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PolicyRow {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub path: String,
    #[prost(string, tag = "3")]
    pub id: String,
    #[prost(string, optional, tag = "4")]
    pub description: Option<String>,
    #[prost(uint64, tag = "5")]
    pub created: u64,
    #[prost(uint64, tag = "6")]
    pub updated: u64,
    #[prost(message, repeated, tag = "7")]
    pub tags: Vec<TagRow>,
    #[prost(uint32, tag = "8")]
    pub default: u32,
    /// The number that the next version gets; none is used again.
    #[prost(uint32, tag = "9")]
    pub next: u32,
    #[prost(message, repeated, tag = "10")]
    pub versions: Vec<VersionRow>,
}

/// A version of a managed policy.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct VersionRow {
    #[prost(uint32, tag = "1")]
    pub number: u32,
    #[prost(uint64, tag = "2")]
    pub created: u64,
}

/// A long-term access key.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AccessKeyRow {
    #[prost(string, tag = "1")]
    pub account: String,
    /// The unique id of its user; absent for a root user's.
    #[prost(string, optional, tag = "2")]
    pub user: Option<String>,
    #[prost(bool, tag = "3")]
    pub active: bool,
    #[prost(uint64, tag = "4")]
    pub created: u64,
    /// The secret, sealed for `Purpose::AccessKey` with the access key id.
    #[prost(bytes = "bytes", tag = "5")]
    pub sealed: Bytes,
}

/// The last use of an access key that was written down.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LastUsedRow {
    #[prost(uint64, tag = "1")]
    pub at: u64,
    #[prost(string, tag = "2")]
    pub service: String,
    #[prost(string, tag = "3")]
    pub region: String,
}

/// Reads a row.
pub(crate) fn decode<M: Message + Default>(what: &str, bytes: &Bytes) -> Result<M, ReadError> {
    M::decode(bytes.clone()).map_err(|_| damaged(what))
}

/// Writes a row.
pub(crate) fn encode(message: &impl Message) -> Bytes {
    Bytes::from(message.encode_to_vec())
}

/// A row that cannot be what it should be: its checksum was right, so it was written wrong or by something else.
pub(crate) fn damaged(what: &str) -> ReadError {
    ReadError::Damaged(format!("{what} row"))
}

pub(crate) fn entity_key(account: AccountId, kind: Kind, lower: &str) -> Key {
    let key = KeyBuilder::new(tables::ENTITIES).raw(account.as_str().as_bytes());
    key.u8(kind.byte()).bytes(lower.as_bytes()).build()
}

pub(crate) fn policy_key(account: AccountId, lower: &str) -> Key {
    KeyBuilder::new(tables::POLICIES).raw(account.as_str().as_bytes()).bytes(lower.as_bytes()).build()
}

pub(crate) fn document_key(account: AccountId, of: &str, name: &str, chunk: u8) -> Key {
    let key = KeyBuilder::new(tables::DOCUMENTS).raw(account.as_str().as_bytes());
    key.bytes(of.as_bytes()).bytes(name.as_bytes()).u8(chunk).build()
}

pub(crate) fn access_key_key(id: &str) -> Key {
    KeyBuilder::new(tables::ACCESS_KEYS).bytes(id.as_bytes()).build()
}

pub(crate) fn last_used_key(id: &str) -> Key {
    KeyBuilder::new(tables::LAST_USED).bytes(id.as_bytes()).build()
}

/// The rows of a document.
pub(crate) fn chunks(text: &str) -> impl Iterator<Item = Bytes> {
    text.as_bytes().chunks(CHUNK).map(Bytes::copy_from_slice)
}
