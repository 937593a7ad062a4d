//! Reading everything at the start, and removing what deleted topics left behind.

use std::ops::Bound as End;
use std::sync::Arc;

use bytes::Bytes;
use millpond_io::Random;
use millpond_meta::key::{MalformedKey, prefix_end, prefix_range, successor};
use millpond_meta::{Batch, CommitError, Key as RowKey, Kv, Op, ReadError, Scan};
use millpond_seal::Vault;
use millpond_types::Region;
use prost::Message;

use crate::cache::{Change, Maps};
use crate::errors::SnsError;
use crate::limits::ROWS;
use crate::model::{Subscription, Topic};
use crate::rows::{SubscriptionRow, TopicRow};
use crate::token::Token;
use crate::{fanout, tables};

/// Why the topics could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A row cannot be read.
    #[error("the topics cannot be read: {0}")]
    Read(#[from] ReadError),
    /// What a deleted topic left behind cannot be removed.
    #[error("what a deleted topic left behind cannot be removed: {0}")]
    Commit(#[from] CommitError),
}

impl From<MalformedKey> for OpenError {
    fn from(error: MalformedKey) -> Self {
        damaged(&error)
    }
}

impl From<SnsError> for OpenError {
    fn from(error: SnsError) -> Self {
        damaged(&error)
    }
}

fn damaged(what: &dyn std::fmt::Display) -> OpenError {
    OpenError::Read(ReadError::Damaged(format!("topics: {what}")))
}

/// All rows that begin with a prefix, a page at a time.
struct Pages {
    from: End<RowKey>,
    to: RowKey,
    ended: bool,
}

impl Pages {
    fn new(prefix: RowKey) -> Self {
        let (from, to) = prefix_range(prefix);
        Self { from: End::Included(from), to, ended: false }
    }

    async fn next(&mut self, kv: &dyn Kv) -> Result<Vec<(RowKey, Bytes)>, ReadError> {
        if self.ended {
            return Ok(Vec::new());
        }
        let (from, to) = (self.from.clone(), End::Excluded(self.to.clone()));
        let page = kv.scan(Scan { from, to, reverse: false, limit: ROWS }).await?;
        self.ended = page.len() < ROWS;
        if let Some((last, _)) = page.last() {
            self.from = End::Included(successor(last));
        }
        Ok(page)
    }
}

fn decode<R: Message + Default>(row: &Bytes) -> Result<R, OpenError> {
    R::decode(row.clone()).map_err(|error| damaged(&error))
}

/// Reads everything; returns the topics' ids that only rows of theirs are left of.
pub(crate) async fn load(
    kv: &dyn Kv,
    vault: &Vault,
    random: &dyn Random,
    region: &Region,
) -> Result<(Maps, Vec<u128>), OpenError> {
    let mut maps = Maps::default();
    let mut pages = Pages::new(tables::whole(tables::TOPICS));
    loop {
        let page = pages.next(kv).await?;
        if page.is_empty() {
            break;
        }
        for (key, row) in page {
            let (account, name) = tables::topic_of(&key)?;
            let topic = Topic::of(region, account, name, decode::<TopicRow>(&row)?)?;
            // The row as it stands, which is what commits compare.
            maps.apply(Change::Topic(Arc::new(Topic { row, ..topic })));
        }
    }
    let mut left = Vec::new();
    let mut pages = Pages::new(tables::whole(tables::SUBSCRIPTIONS));
    loop {
        let page = pages.next(kv).await?;
        if page.is_empty() {
            break;
        }
        for (key, row) in page {
            let (topic, id) = tables::subscription_of(&key)?;
            let Some(topic) = maps.by_id(topic).cloned() else {
                left.push(topic);
                continue;
            };
            let token = Token::End { topic: topic.id, subscription: id }.seal(vault, random)?;
            let subscription = Subscription::of(&topic, id, decode::<SubscriptionRow>(&row)?, token)?;
            maps.apply(Change::Subscription(Arc::new(Subscription { row, ..subscription })));
        }
    }
    left.extend(streams_left(kv, &maps).await?);
    left.sort_unstable();
    left.dedup();
    Ok((maps, left))
}

/// Streams of topics that are gone. One row of each stream is read.
async fn streams_left(kv: &dyn Kv, maps: &Maps) -> Result<Vec<u128>, ReadError> {
    let mut left = Vec::new();
    let to = prefix_end(&[tables::MESSAGES]);
    let mut from = End::Included(tables::whole(tables::MESSAGES));
    loop {
        let scan = Scan { from, to: End::Excluded(to.clone()), reverse: false, limit: 1 };
        let rows = kv.scan(scan).await?;
        let Some(topic) = rows.first().and_then(|(key, _)| tables::topic_of_stream(key)) else { return Ok(left) };
        if maps.by_id(topic).is_none() {
            left.push(topic);
        }
        from = End::Included(prefix_end(&tables::messages(topic)));
    }
}

/// Removes the rows of a topic that is gone.
pub(crate) async fn sweep(kv: &dyn Kv, topic: u128) -> Result<(), OpenError> {
    for prefix in [tables::subscriptions_of(topic), tables::messages(topic)] {
        let mut pages = Pages::new(prefix);
        loop {
            let page = pages.next(kv).await?;
            if page.is_empty() {
                break;
            }
            let mut ops = Vec::new();
            for (key, row) in page {
                if key.first() == Some(&tables::MESSAGES) {
                    ops.extend(fanout::beside(&row));
                }
                ops.push(Op::Delete(key));
            }
            kv.commit(Batch { ops, urgent: true, ..Batch::default() }).await?;
        }
    }
    Ok(())
}
