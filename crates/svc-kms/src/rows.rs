//! Rows as they lie on the disk.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

/// A key.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeyRow {
    #[prost(string, tag = "1")]
    pub account: String,
    #[prost(uint64, tag = "2")]
    pub created: u64,
    /// As the API has it.
    #[prost(string, tag = "3")]
    pub spec: String,
    /// Whether a service of ours manages it.
    #[prost(bool, tag = "4")]
    pub managed: bool,
    #[prost(string, tag = "5")]
    pub description: String,
    /// 0 enabled, 1 disabled, 2 pending deletion.
    #[prost(uint32, tag = "6")]
    pub state: u32,
    #[prost(uint64, tag = "7")]
    pub deletion_at: u64,
    #[prost(uint32, tag = "8")]
    pub deletion_days: u32,
    /// 0 without automatic rotation.
    #[prost(uint32, tag = "9")]
    pub rotation_days: u32,
    #[prost(uint64, tag = "10")]
    pub next_rotation: u64,
    /// Rotations on demand so far.
    #[prost(uint32, tag = "11")]
    pub on_demand: u32,
}

/// A key's policy.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PolicyRow {
    #[prost(string, tag = "1")]
    pub text: String,
    /// The unique ids of the users and roles that it names, in the order of their ARNs.
    #[prost(string, repeated, tag = "2")]
    pub ids: Vec<String>,
}

/// Material of a key.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MaterialRow {
    /// Sealed by the vault, for key and material.
    #[prost(bytes = "vec", tag = "1")]
    pub sealed: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub created: u64,
    /// 0 the first, 1 automatic, 2 on demand.
    #[prost(uint32, tag = "3")]
    pub reason: u32,
    /// Counts the key's materials; the highest is the current one.
    #[prost(uint32, tag = "4")]
    pub number: u32,
}

/// An alias.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AliasRow {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub created: u64,
    #[prost(uint64, tag = "3")]
    pub updated: u64,
}

/// A grant.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GrantRow {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(uint64, tag = "2")]
    pub created: u64,
    #[prost(string, tag = "3")]
    pub grantee: String,
    #[prost(string, optional, tag = "4")]
    pub grantee_id: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub retiring: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub retiring_id: Option<String>,
    #[prost(string, tag = "7")]
    pub issuer: String,
    #[prost(string, repeated, tag = "8")]
    pub operations: Vec<String>,
    #[prost(message, optional, tag = "9")]
    pub equals: Option<Pairs>,
    #[prost(message, optional, tag = "10")]
    pub subset: Option<Pairs>,
}

/// An encryption context.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Pairs {
    #[prost(btree_map = "string, string", tag = "1")]
    pub pairs: BTreeMap<String, String>,
}

pub(crate) fn encode(row: &impl Message) -> Bytes {
    row.encode_to_vec().into()
}
