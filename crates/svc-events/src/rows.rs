//! Rows as they lie on the disk. Times are nanoseconds since 1970.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

/// A bus.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct BusRow {
    #[prost(uint64, tag = "1")]
    pub created: u64,
    #[prost(uint64, tag = "2")]
    pub modified: u64,
    #[prost(string, optional, tag = "3")]
    pub description: Option<String>,
    #[prost(message, optional, tag = "4")]
    pub policy: Option<PolicyRow>,
    #[prost(btree_map = "string, string", tag = "5")]
    pub tags: BTreeMap<String, String>,
    /// The number of the next target or archive; see `model::Target::number`.
    #[prost(uint32, tag = "6")]
    pub next_number: u32,
}

/// A bus's policy.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PolicyRow {
    #[prost(string, tag = "1")]
    pub text: String,
    /// The unique ids of the users and roles that it names, in the order of their ARNs.
    #[prost(string, repeated, tag = "2")]
    pub ids: Vec<String>,
}

/// A rule.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RuleRow {
    #[prost(string, optional, tag = "1")]
    pub pattern: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub schedule: Option<String>,
    /// As the API has it.
    #[prost(string, tag = "3")]
    pub state: String,
    #[prost(string, optional, tag = "4")]
    pub description: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub role: Option<String>,
    #[prost(btree_map = "string, string", tag = "6")]
    pub tags: BTreeMap<String, String>,
    /// The account of whoever made it.
    #[prost(string, tag = "7")]
    pub created_by: String,
    /// Where its schedule counts from.
    #[prost(uint64, tag = "8")]
    pub since: u64,
}

/// A target.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TargetRow {
    #[prost(uint32, tag = "1")]
    pub number: u32,
    #[prost(string, tag = "2")]
    pub arn: String,
    #[prost(string, optional, tag = "3")]
    pub role: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub input: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub input_path: Option<String>,
    #[prost(btree_map = "string, string", tag = "6")]
    pub input_paths: BTreeMap<String, String>,
    /// Whether a map was given, though an empty one.
    #[prost(bool, tag = "7")]
    pub has_input_paths: bool,
    #[prost(string, optional, tag = "8")]
    pub template: Option<String>,
    #[prost(string, optional, tag = "9")]
    pub group: Option<String>,
    #[prost(message, optional, tag = "10")]
    pub http: Option<HttpRow>,
    #[prost(string, optional, tag = "11")]
    pub dead_letters: Option<String>,
    #[prost(uint32, optional, tag = "12")]
    pub retries: Option<u32>,
    #[prost(uint32, optional, tag = "13")]
    pub age: Option<u32>,
}

/// What a target adds to the requests of an API destination.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HttpRow {
    #[prost(string, repeated, tag = "1")]
    pub path: Vec<String>,
    #[prost(btree_map = "string, string", tag = "2")]
    pub headers: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "3")]
    pub query: BTreeMap<String, String>,
}

/// An event on a bus.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct EventRow {
    #[prost(string, tag = "1")]
    pub id: String,
    /// The event as JSON, sealed or not; empty when it lies in chunks.
    #[prost(bytes = "vec", tag = "2")]
    pub body: Vec<u8>,
    /// The chunks' id, 16 bytes; empty when there are none.
    #[prost(bytes = "vec", tag = "3")]
    pub chunks: Vec<u8>,
    /// Of the JSON.
    #[prost(uint64, tag = "4")]
    pub length: u64,
    /// When it came.
    #[prost(uint64, tag = "5")]
    pub ingested: u64,
    /// Whether another bus sent it: such an event goes to no third one.
    #[prost(bool, tag = "6")]
    pub forwarded: bool,
    /// What led to it, oldest first.
    #[prost(string, repeated, tag = "7")]
    pub causes: Vec<String>,
    /// For which alone it is: the ARNs of rules, of a replay or a schedule. All when empty.
    #[prost(string, repeated, tag = "8")]
    pub rules: Vec<String>,
    /// Of a replay: not archived again.
    #[prost(bool, tag = "9")]
    pub replayed: bool,
    /// Of a schedule: for the rules named above, whatever their patterns.
    #[prost(bool, tag = "10")]
    pub scheduled: bool,
    /// Whether the JSON is sealed, for the event's id: it was not always.
    #[prost(bool, tag = "11")]
    pub sealed: bool,
    /// Bytes in the chunks of what is sealed.
    #[prost(uint64, tag = "12")]
    pub chunked: u64,
}

/// A connection.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ConnectionRow {
    /// The last part of its ARN, 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    #[prost(string, optional, tag = "2")]
    pub description: Option<String>,
    /// As the API has it.
    #[prost(string, tag = "3")]
    pub kind: String,
    /// What is shown: the API's `ConnectionAuthResponseParameters`, without secret values.
    #[prost(message, optional, tag = "4")]
    pub shown: Option<ShownRow>,
    /// What is not shown, sealed: a `SecretsRow`. Empty when it was deauthorized.
    #[prost(bytes = "vec", tag = "5")]
    pub sealed: Vec<u8>,
    /// As the API has it.
    #[prost(string, tag = "6")]
    pub state: String,
    #[prost(string, optional, tag = "7")]
    pub reason: Option<String>,
    #[prost(uint64, tag = "8")]
    pub created: u64,
    #[prost(uint64, tag = "9")]
    pub modified: u64,
    #[prost(uint64, tag = "10")]
    pub authorized: u64,
}

/// What a connection keeps sealed.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SecretsRow {
    /// Password, API key or client secret.
    #[prost(string, tag = "1")]
    pub secret: String,
    #[prost(message, optional, tag = "2")]
    pub oauth: Option<ParametersRow>,
    #[prost(message, optional, tag = "3")]
    pub invocation: Option<ParametersRow>,
}

/// What a connection shows.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ShownRow {
    /// User, API key or client.
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, optional, tag = "2")]
    pub endpoint: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub method: Option<String>,
    #[prost(message, optional, tag = "4")]
    pub oauth: Option<ParametersRow>,
    #[prost(message, optional, tag = "5")]
    pub invocation: Option<ParametersRow>,
}

/// What a connection adds to requests.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ParametersRow {
    #[prost(message, repeated, tag = "1")]
    pub headers: Vec<ParameterRow>,
    #[prost(message, repeated, tag = "2")]
    pub query: Vec<ParameterRow>,
    #[prost(message, repeated, tag = "3")]
    pub body: Vec<ParameterRow>,
}

/// One of them. The value of a secret one is empty where it is shown.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ParameterRow {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
    #[prost(bool, tag = "3")]
    pub secret: bool,
}

/// An API destination.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DestinationRow {
    /// The last part of its ARN, 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    #[prost(string, optional, tag = "2")]
    pub description: Option<String>,
    #[prost(string, tag = "3")]
    pub connection: String,
    #[prost(string, tag = "4")]
    pub endpoint: String,
    /// As the API has it.
    #[prost(string, tag = "5")]
    pub method: String,
    #[prost(uint32, optional, tag = "6")]
    pub rate: Option<u32>,
    #[prost(uint64, tag = "7")]
    pub created: u64,
    #[prost(uint64, tag = "8")]
    pub modified: u64,
}

/// An archive.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ArchiveRow {
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// The bus, of the same account.
    #[prost(string, tag = "2")]
    pub bus: String,
    #[prost(string, optional, tag = "3")]
    pub description: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub pattern: Option<String>,
    /// 0 for ever.
    #[prost(uint32, tag = "5")]
    pub retention_days: u32,
    #[prost(uint64, tag = "6")]
    pub created: u64,
    /// As `TargetRow::number`.
    #[prost(uint32, tag = "7")]
    pub number: u32,
}

/// A replay.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ReplayRow {
    #[prost(string, optional, tag = "1")]
    pub description: Option<String>,
    /// The archive's ARN.
    #[prost(string, tag = "2")]
    pub archive: String,
    #[prost(bytes = "vec", tag = "3")]
    pub archive_id: Vec<u8>,
    /// The bus's ARN.
    #[prost(string, tag = "4")]
    pub destination: String,
    #[prost(string, repeated, tag = "5")]
    pub rules: Vec<String>,
    #[prost(uint64, tag = "6")]
    pub from: u64,
    #[prost(uint64, tag = "7")]
    pub to: u64,
    /// As the API has it.
    #[prost(string, tag = "8")]
    pub state: String,
    #[prost(string, optional, tag = "9")]
    pub reason: Option<String>,
    #[prost(uint64, tag = "10")]
    pub started: u64,
    #[prost(uint64, tag = "11")]
    pub ended: u64,
    /// The time of the last event that was replayed.
    #[prost(uint64, tag = "12")]
    pub last: u64,
    /// The key of the last event that was replayed; empty before the first.
    #[prost(bytes = "vec", tag = "13")]
    pub at: Vec<u8>,
}

/// What the outbox keeps of a request to an API destination.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RequestRow {
    /// The event, or what an input makes of it.
    #[prost(bytes = "vec", tag = "1")]
    pub body: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub chunks: Vec<u8>,
    #[prost(uint64, tag = "3")]
    pub length: u64,
    #[prost(string, tag = "4")]
    pub account: String,
    #[prost(string, tag = "5")]
    pub rule: String,
    #[prost(string, tag = "6")]
    pub destination: String,
    #[prost(string, optional, tag = "7")]
    pub role: Option<String>,
    /// Path values filled in already.
    #[prost(message, optional, tag = "8")]
    pub http: Option<HttpRow>,
    #[prost(string, optional, tag = "9")]
    pub dead_letters: Option<String>,
    #[prost(uint32, tag = "10")]
    pub retries: u32,
    #[prost(uint32, tag = "11")]
    pub age: u32,
    /// The event as it came, for the dead-letter queue, when the body is another.
    #[prost(bytes = "vec", tag = "12")]
    pub event: Vec<u8>,
    #[prost(string, repeated, tag = "13")]
    pub causes: Vec<String>,
    /// Names this delivery.
    #[prost(bytes = "vec", tag = "14")]
    pub delivery: Vec<u8>,
    /// All of it, sealed: another `RequestRow`. It was not always.
    #[prost(bytes = "vec", tag = "15")]
    pub sealed: Vec<u8>,
}

/// What an occurrence is delivered again by.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OccurrenceRow {
    /// Of the bus.
    #[prost(bytes = "vec", tag = "1")]
    pub stream: Vec<u8>,
    /// On it, 10 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub position: Vec<u8>,
    /// With its body, however large.
    #[prost(message, optional, tag = "3")]
    pub event: Option<EventRow>,
    #[prost(string, tag = "4")]
    pub rule: String,
    /// The target's id.
    #[prost(string, tag = "5")]
    pub target: String,
}

/// The value of the timer of a delivery that failed for now.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LaterRow {
    /// An `OccurrenceRow`; empty when it lies in chunks.
    #[prost(bytes = "vec", tag = "1")]
    pub occurrence: Vec<u8>,
    /// Bytes of it in chunks; none when 0.
    #[prost(uint64, tag = "2")]
    pub chunked: u64,
    /// Attempts that were made.
    #[prost(uint32, tag = "3")]
    pub tried: u32,
    /// When the first one was made.
    #[prost(fixed64, tag = "4")]
    pub first: u64,
}

pub(crate) fn encode(row: &impl Message) -> Bytes {
    row.encode_to_vec().into()
}
