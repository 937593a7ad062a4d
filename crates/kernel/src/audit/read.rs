//! Reading the trail of an account, the newest first.

use bytes::Bytes;
use millpond_meta::key::{KeyBuilder, prefix_range};
use millpond_meta::{Position, ReadError, Scan};
use millpond_types::{AccountId, CauseChain, Timestamp};
use prost::Message;

use super::keep::{IntoBound, Side, stream};
use super::store::{Audit, EventRow};

/// A record may lie so far from where its time would put it: the longest that a call takes from its arrival to its record.
pub const DISORDER: std::time::Duration = std::time::Duration::from_secs(3600);

/// A record that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it lies.
    pub position: Position,
    /// When the request came.
    pub time: Timestamp,
    /// The record: JSON in the shape of CloudTrail's.
    pub json: Bytes,
}

/// A record, as a reader of its stream sees it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// When the request came.
    pub time: Timestamp,
    /// The record: JSON in the shape of CloudTrail's.
    pub json: Bytes,
    /// What led to the request, oldest first.
    pub causes: CauseChain,
}

impl Recorded {
    /// Reads an entry of a stream of records; `None` when it cannot be read.
    pub fn read(value: &Bytes) -> Option<Self> {
        let row = EventRow::decode(value.clone()).ok()?;
        Some(Self { time: Timestamp(row.time), json: row.json.into(), causes: row.causes })
    }
}

/// Records of one account, the newest first.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The records.
    pub found: Vec<Found>,
    /// Whether these are the last.
    pub end: bool,
}

impl Audit {
    /// The records of an account that lie before `before`, at most `limit`: those of both its streams, in the order of their positions.
    pub async fn page(&self, account: AccountId, before: Option<Position>, limit: usize) -> Result<Page, ReadError> {
        let mut found = Vec::new();
        for side in Side::BOTH {
            let (from, to) = prefix_range(stream(account, side));
            let to = before.map_or(to, |before| at(account, side, before));
            let scan = Scan { from: from.into_included(), to: to.into_excluded(), reverse: true, limit };
            for (key, value) in self.kv().scan(scan).await? {
                found.push(read(&key, &value)?);
            }
        }
        found.sort_by_key(|found| std::cmp::Reverse(found.position));
        let end = found.len() < limit;
        found.truncate(limit);
        Ok(Page { found, end })
    }

    /// Where to begin to look for what is not newer than `time`: before the answer, or at the end of all when that is `None`. Halves the
    /// stream until it is found, as it may be long.
    pub async fn until(&self, account: AccountId, time: Timestamp) -> Result<Option<Position>, ReadError> {
        let time = time.plus(DISORDER);
        let newest = self.page(account, None, 1).await?;
        let Some(newest) = newest.found.first().filter(|newest| newest.time > time) else { return Ok(None) };
        // The answer's commit lies in low..=high; nothing before low is too new, and high is.
        let (mut low, mut high) = (0, newest.position.commit);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.first_from(account, Position { commit: middle, index: 0 }).await? {
                Some(found) if found.time <= time => low = found.position.commit.saturating_add(1).min(high),
                Some(_) | None => high = middle,
            }
        }
        Ok(Some(Position { commit: high, index: 0 }))
    }

    async fn first_from(&self, account: AccountId, position: Position) -> Result<Option<Found>, ReadError> {
        let mut first: Option<Found> = None;
        for side in Side::BOTH {
            let (_, to) = prefix_range(stream(account, side));
            let from = at(account, side, position).into_included();
            let rows = self.kv().scan(Scan { from, to: to.into_excluded(), reverse: false, limit: 1 }).await?;
            let found = rows.first().map(|(key, value)| read(key, value)).transpose()?;
            first = first.into_iter().chain(found).min_by_key(|found| found.position);
        }
        Ok(first)
    }
}

fn at(account: AccountId, side: Side, position: Position) -> Bytes {
    KeyBuilder::extend(&stream(account, side)).raw(&position.to_bytes()).build()
}

fn read(key: &[u8], value: &Bytes) -> Result<Found, ReadError> {
    let damaged = || ReadError::Damaged("audit record".to_owned());
    let position = Position::from_key(key).ok_or_else(damaged)?;
    let row = EventRow::decode(value.clone()).map_err(|_| damaged())?;
    Ok(Found { position, time: Timestamp(row.time), json: row.json.into() })
}
