//! What the rows hold. Fields are never given another meaning.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

/// A topic.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TopicRow {
    /// Random: a topic that is made anew under the same name is another one.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Nanoseconds.
    #[prost(fixed64, tag = "2")]
    pub created: u64,
    /// Attributes as they were set, without the policy.
    #[prost(btree_map = "string, string", tag = "3")]
    pub attributes: BTreeMap<String, String>,
    /// The policy as it was set.
    #[prost(string, tag = "4")]
    pub policy: String,
    /// The unique ids of whom the policy names, in the order of their ARNs.
    #[prost(string, repeated, tag = "5")]
    pub ids: Vec<String>,
    #[prost(btree_map = "string, string", tag = "6")]
    pub tags: BTreeMap<String, String>,
    /// Subscriptions that were ended, for `SubscriptionsDeleted`.
    #[prost(uint64, tag = "7")]
    pub ended: u64,
}

/// A subscription.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SubscriptionRow {
    /// The account that subscribed.
    #[prost(string, tag = "1")]
    pub owner: String,
    #[prost(string, tag = "2")]
    pub protocol: String,
    #[prost(string, tag = "3")]
    pub endpoint: String,
    /// Attributes as they were set.
    #[prost(btree_map = "string, string", tag = "4")]
    pub attributes: BTreeMap<String, String>,
    /// Nanoseconds.
    #[prost(fixed64, tag = "5")]
    pub created: u64,
    /// When it goes unless it is confirmed; 0 once it is.
    #[prost(fixed64, tag = "6")]
    pub pending_until: u64,
    /// Whether it was confirmed by a signed request.
    #[prost(bool, tag = "7")]
    pub authenticated: bool,
    /// Whether only signed requests may end it.
    #[prost(bool, tag = "8")]
    pub guarded: bool,
    /// Its turn among those of its topic: messages are delivered in this order.
    #[prost(uint32, tag = "9")]
    pub turn: u32,
    /// The ARN of who subscribed.
    #[prost(string, tag = "10")]
    pub principal: String,
}

/// A published message. Its head is in the clear, for the engine of streams.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct EntryRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Nanoseconds.
    #[prost(fixed64, tag = "2")]
    pub time: u64,
    /// A sealed [`MessageRow`], unless it lies in chunks.
    #[prost(bytes = "bytes", tag = "3")]
    pub sealed: Bytes,
    /// Bytes of what lies in chunks under the message's id; 0 where none does.
    #[prost(uint64, tag = "4")]
    pub chunked: u64,
}

/// What a message says.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MessageRow {
    /// The text for protocols that have none of their own.
    #[prost(string, tag = "1")]
    pub text: String,
    /// Texts by protocol (`MessageStructure=json`).
    #[prost(btree_map = "string, string", tag = "2")]
    pub texts: BTreeMap<String, String>,
    #[prost(string, optional, tag = "3")]
    pub subject: Option<String>,
    #[prost(message, repeated, tag = "4")]
    pub attributes: Vec<AttributeRow>,
    /// What led to it, oldest first.
    #[prost(string, repeated, tag = "5")]
    pub causes: Vec<String>,
    /// The id of the event that it comes from.
    #[prost(string, tag = "6")]
    pub event: String,
    /// First attempts of one group go in order.
    #[prost(string, tag = "7")]
    pub group: String,
}

/// An attribute of a message.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct AttributeRow {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub data_type: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub value: Bytes,
}

/// What is sent to a webhook: sealed in the outbox.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PostRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub topic: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub subscription: Bytes,
    /// 1 a notification, 2 a request for confirmation, 3 a confirmation of an end.
    #[prost(uint32, tag = "3")]
    pub kind: u32,
    #[prost(bytes = "bytes", tag = "4")]
    pub message: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    pub body: Bytes,
    #[prost(bool, tag = "6")]
    pub raw: bool,
    /// Of a raw notification: for its dead-letter queue.
    #[prost(message, repeated, tag = "7")]
    pub attributes: Vec<AttributeRow>,
    /// Where to, when the subscription is gone (kind 3).
    #[prost(string, tag = "8")]
    pub endpoint: String,
    #[prost(string, tag = "9")]
    pub topic_arn: String,
    #[prost(string, repeated, tag = "10")]
    pub causes: Vec<String>,
}

/// A message on its way to a queue that does not take it for now. Sealed.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DeliveryRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub topic: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub subscription: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub body: Bytes,
    #[prost(message, repeated, tag = "4")]
    pub attributes: Vec<AttributeRow>,
    #[prost(string, optional, tag = "5")]
    pub group: Option<String>,
    /// Nanoseconds.
    #[prost(fixed64, tag = "6")]
    pub time: u64,
    #[prost(string, repeated, tag = "7")]
    pub causes: Vec<String>,
    #[prost(string, tag = "8")]
    pub event: String,
}

/// The value of the timer of such a message.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LaterRow {
    /// Attempts that were made.
    #[prost(uint32, tag = "1")]
    pub tried: u32,
    /// When the first one was made, in nanoseconds.
    #[prost(fixed64, tag = "2")]
    pub first: u64,
    /// A sealed [`DeliveryRow`], unless it lies in chunks.
    #[prost(bytes = "bytes", tag = "3")]
    pub sealed: Bytes,
    /// Bytes of what lies in chunks; 0 where none does.
    #[prost(uint64, tag = "4")]
    pub chunked: u64,
}

/// What a link's token says. Sealed.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TokenRow {
    /// 1 confirms a subscription, 2 ends one, 3 subscribes anew who was unsubscribed.
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub topic: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub subscription: Bytes,
    /// Nanoseconds; 0 for ever.
    #[prost(fixed64, tag = "4")]
    pub until: u64,
    /// The subscription as it was (kind 3).
    #[prost(message, optional, tag = "5")]
    pub was: Option<SubscriptionRow>,
}

/// The key that signs.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SigningRow {
    /// Sealed PKCS#8.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// PEM.
    #[prost(string, tag = "2")]
    pub certificate: String,
}

pub(crate) fn encode(row: &impl Message) -> Bytes {
    row.encode_to_vec().into()
}

/// An id as rows keep it.
pub(crate) fn id_bytes(id: u128) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

/// The reverse of [`id_bytes`].
pub(crate) fn id_of(bytes: &[u8]) -> Option<u128> {
    bytes.try_into().ok().map(u128::from_be_bytes)
}
