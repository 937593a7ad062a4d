//! Tables of crawlers: the first byte of a row's key, 0xB9 to 0xBD.

use std::collections::BTreeMap;

use bytes::Bytes;
use millpond_meta::Key;
use millpond_meta::key::{KeyBuilder, KeyReader, MalformedKey};
use millpond_types::AccountId;
use prost::Message;

use crate::tables::{Id, Kept};

/// (account, name) -> crawler.
pub(crate) const CRAWLERS: u8 = 0xB9;
/// (crawler, number, the newest first) -> crawl.
pub(crate) const CRAWLS: u8 = 0xBA;
/// (crawler) -> which one has a crawl that is not over.
pub(crate) const OPEN: u8 = 0xBB;
/// (account, name) -> classifier.
pub(crate) const CLASSIFIERS: u8 = 0xBC;
/// (crawler, folder) -> a folder that was crawled, for crawlers that crawl new ones alone.
pub(crate) const SEEN: u8 = 0xBD;

/// A crawler.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CrawlerRow {
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// Nanoseconds, of whole seconds.
    #[prost(fixed64, tag = "2")]
    pub created: u64,
    #[prost(fixed64, tag = "3")]
    pub updated: u64,
    #[prost(uint64, tag = "4")]
    pub version: u64,
    #[prost(btree_map = "string, string", tag = "5")]
    pub tags: BTreeMap<String, String>,
    /// A [`CrawlerBody`](super::bodies::CrawlerBody).
    #[prost(message, required, tag = "6")]
    pub body: Kept,
    /// A cron expression.
    #[prost(string, optional, tag = "7")]
    pub schedule: Option<String>,
    /// Whether it is followed.
    #[prost(bool, tag = "8")]
    pub scheduled: bool,
    /// The time of the timer that is set.
    #[prost(fixed64, optional, tag = "9")]
    pub due: Option<u64>,
    /// The crawl that is not over.
    #[prost(message, optional, tag = "10")]
    pub current: Option<CurrentRow>,
    /// How many crawls there were.
    #[prost(uint64, tag = "11")]
    pub crawls: u64,
}

/// A crawl that is not over.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct CurrentRow {
    #[prost(uint64, tag = "1")]
    pub number: u64,
    #[prost(fixed64, tag = "2")]
    pub started: u64,
    /// Somebody stopped it.
    #[prost(bool, tag = "3")]
    pub stopping: bool,
}

/// What became of a crawl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum CrawlState {
    Running = 0,
    Completed = 1,
    Failed = 2,
    Stopped = 3,
}

/// A crawl.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CrawlRow {
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    #[prost(enumeration = "CrawlState", tag = "2")]
    pub state: i32,
    /// Nanoseconds.
    #[prost(fixed64, tag = "3")]
    pub started: u64,
    #[prost(fixed64, optional, tag = "4")]
    pub ended: Option<u64>,
    /// Whether it has a task; else it waits for one.
    #[prost(bool, tag = "5")]
    pub begun: bool,
    /// A [`CrawlBody`](super::bodies::CrawlBody), once it is over.
    #[prost(message, optional, tag = "6")]
    pub body: Option<Kept>,
}

/// Whose crawl is not over; also what timers carry.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WhoseRow {
    #[prost(string, tag = "1")]
    pub account: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(bytes = "vec", tag = "3")]
    pub id: Vec<u8>,
}

/// A classifier.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ClassifierRow {
    #[prost(fixed64, tag = "1")]
    pub created: u64,
    #[prost(fixed64, tag = "2")]
    pub updated: u64,
    #[prost(uint64, tag = "3")]
    pub version: u64,
    /// A [`ClassifierBody`](super::bodies::ClassifierBody).
    #[prost(message, required, tag = "4")]
    pub body: Kept,
}

fn named(table: u8, account: AccountId, name: &str) -> Key {
    KeyBuilder::new(table).raw(account.as_str().as_bytes()).bytes(name.as_bytes()).build()
}

/// The beginning of an account's rows.
pub(crate) fn of_account(table: u8, account: AccountId) -> Key {
    KeyBuilder::new(table).raw(account.as_str().as_bytes()).build()
}

pub(crate) fn crawler(account: AccountId, name: &str) -> Key {
    named(CRAWLERS, account, name)
}

pub(crate) fn classifier(account: AccountId, name: &str) -> Key {
    named(CLASSIFIERS, account, name)
}

pub(crate) fn crawl(crawler: Id, number: u64) -> Key {
    KeyBuilder::new(CRAWLS).u128(crawler).newest_first(number).build()
}

pub(crate) fn open(crawler: Id) -> Key {
    KeyBuilder::new(OPEN).u128(crawler).build()
}

/// A folder that was crawled: the bucket and the prefix.
pub(crate) fn seen(crawler: Id, folder: &str) -> Key {
    KeyBuilder::new(SEEN).u128(crawler).bytes(folder.as_bytes()).build()
}

/// The folder of a row of [`SEEN`].
pub(crate) fn folder_of(row: &[u8]) -> Result<String, MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    reader.u128()?;
    String::from_utf8(reader.bytes()?.into_owned()).map_err(|_| MalformedKey(1))
}

/// The name of an account's row.
pub(crate) fn name_of(row: &[u8]) -> Result<String, MalformedKey> {
    crate::tables::database_name(row)
}

/// What a timer or an open crawl says.
pub(crate) fn whose(account: AccountId, name: &str, id: Id) -> Bytes {
    let row = WhoseRow { account: account.to_string(), name: name.to_owned(), id: id.to_be_bytes().to_vec() };
    crate::tables::encode(&row)
}
