//! The service's tables: the first byte of a row's key, 0x78 to 0x7F, and how rows are keyed.

use bytes::Bytes;
use millpond_meta::Key as RowKey;
use millpond_meta::key::{KeyBuilder, KeyReader, MalformedKey};
use millpond_types::AccountId;

/// (account, name) -> topic.
pub(crate) const TOPICS: u8 = 0x78;
/// (topic's id, subscription's id) -> subscription.
pub(crate) const SUBSCRIPTIONS: u8 = 0x79;
/// (topic's id, position) -> a published message: a stream for each topic.
pub const MESSAGES: u8 = 0x7A;
/// The key that signs messages, sealed, with its certificate: one row.
pub(crate) const SIGNING: u8 = 0x7B;

pub(crate) fn topic(account: AccountId, name: &str) -> RowKey {
    KeyBuilder::new(TOPICS).raw(account.as_str().as_bytes()).bytes(name.as_bytes()).build()
}

pub(crate) fn subscription(topic: u128, id: u128) -> RowKey {
    KeyBuilder::new(SUBSCRIPTIONS).u128(topic).u128(id).build()
}

/// All subscriptions of a topic.
pub(crate) fn subscriptions_of(topic: u128) -> RowKey {
    KeyBuilder::new(SUBSCRIPTIONS).u128(topic).build()
}

/// The stream of a topic's messages.
pub(crate) fn messages(topic: u128) -> RowKey {
    KeyBuilder::new(MESSAGES).u128(topic).build()
}

pub(crate) fn signing() -> RowKey {
    whole(SIGNING)
}

/// The beginning of a table.
pub(crate) fn whole(table: u8) -> RowKey {
    Bytes::copy_from_slice(&[table])
}

/// Account and name of a topic's row.
pub(crate) fn topic_of(row: &RowKey) -> Result<(AccountId, String), MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    let account = std::str::from_utf8(reader.raw(12)?).ok().and_then(|text| text.parse().ok());
    let name = String::from_utf8(reader.bytes()?.into_owned()).map_err(|_| MalformedKey(13))?;
    Ok((account.ok_or(MalformedKey(1))?, name))
}

/// Topic and id of a subscription's row.
pub(crate) fn subscription_of(row: &RowKey) -> Result<(u128, u128), MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    Ok((reader.u128()?, reader.u128()?))
}

/// The topic of a stream, or of an entry of it.
pub(crate) fn topic_of_stream(stream: &[u8]) -> Option<u128> {
    let mut reader = KeyReader::new(stream);
    reader.table().ok()?;
    reader.u128().ok()
}
