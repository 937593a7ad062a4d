//! Reading a shard.

use std::ops::Bound;

use bytes::Bytes;
use millpond_item::Item;
use millpond_kernel::chunks;
use millpond_meta::key::prefix_end;
use millpond_meta::{Key, Position, ReadError, Scan};
use prost::Message;

use super::known::Stream;
use super::place::{Place, before};
use super::record::{Event, chunk_id};
use super::rows::{ImagesRow, RecordRow};
use super::{KEPT, MAX_BYTES};
use crate::errors::DynamoError;
use crate::state::{Core, decode};
use crate::tables;

/// Rows that are read together.
const ROWS: usize = 100;
/// Rows that one call looks at: what is kept no longer, or lies before a time, is passed over.
const MAX_LOOKED_AT: usize = 5_000;

/// A record, opened.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Record {
    pub position: Position,
    pub row: RecordRow,
    pub keys: Item,
    pub new: Option<Item>,
    pub old: Option<Item>,
}

impl Record {
    /// What happened.
    pub fn event(&self) -> Event {
        Event::of_row(self.row.event)
    }
}

/// Records, and from where reading goes on; `None` when nothing comes any more.
pub(crate) struct Page {
    pub records: Vec<Record>,
    pub next: Option<Place>,
}

fn row(prefix: &Key, position: Position) -> Key {
    [&prefix[..], &position.to_bytes()].concat().into()
}

/// From when on records are kept, in milliseconds since the epoch.
pub(crate) fn kept_from(core: &Core) -> u64 {
    core.millis().saturating_sub(u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX))
}

/// The last record of a shard that was trimmed.
pub(crate) async fn horizon(core: &Core, stream: &Stream, shard: u8) -> Result<Option<Position>, ReadError> {
    let row = core.kv.get(&tables::horizon(stream.table, &stream.label, shard)).await?;
    Ok(row.and_then(|row| Position::from_key(&row)))
}

/// That what lies behind a position was trimmed in part.
fn trimmed() -> DynamoError {
    DynamoError::Trimmed("The operation attempted to read past the oldest stream record in a shard.".to_owned())
}

/// The record at a position, of which a client told: an error when it is kept no longer.
pub(crate) async fn check_kept(core: &Core, stream: &Stream, shard: u8, at: Position) -> Result<(), DynamoError> {
    if horizon(core, stream, shard).await?.is_some_and(|horizon| at <= horizon) {
        return Err(trimmed());
    }
    let found = core.kv.get(&row(&stream.prefix(shard), at)).await?;
    let old = match &found {
        Some(row) => decode::<RecordRow>(row, "a record")?.time < kept_from(core),
        None => false,
    };
    if old { Err(trimmed()) } else { Ok(()) }
}

/// The place behind all that a shard has now.
pub(crate) fn latest(core: &Core) -> Place {
    // Whatever is acknowledged from now on has a later commit.
    Place::after(Position { commit: *core.kv.watch().borrow(), index: u16::MAX })
}

/// The last position of a shard that a record has or had.
pub(crate) async fn last(core: &Core, stream: &Stream, shard: u8) -> Result<Position, ReadError> {
    let prefix = stream.prefix(shard);
    let to = prefix_end(&prefix);
    let scan = Scan { from: Bound::Included(prefix), to: Bound::Excluded(to), reverse: true, limit: 1 };
    let rows = core.kv.scan(scan).await?;
    if let Some(position) = rows.first().and_then(|(key, _)| Position::from_key(key)) {
        return Ok(position);
    }
    Ok(horizon(core, stream, shard).await?.unwrap_or(first(stream)))
}

/// The position that a shard begins at: no record has it.
pub(crate) fn first(stream: &Stream) -> Position {
    Position { commit: stream.row.start, index: u16::MAX }
}

/// Reads a shard from a place on, at most `most` records.
pub(crate) async fn page(
    core: &Core,
    stream: &Stream,
    shard: u8,
    from: Place,
    most: usize,
) -> Result<Page, DynamoError> {
    let prefix = stream.prefix(shard);
    // Of before it is read: a stream that has ended gets no more.
    let closed = stream.ended.is_some();
    if !from.oldest && horizon(core, stream, shard).await?.is_some_and(|horizon| from.after < horizon) {
        return Err(trimmed());
    }
    let (kept, to) = (kept_from(core), prefix_end(&prefix));
    let (mut place, mut records, mut bytes, mut looked_at) = (from, Vec::new(), 0, 0);
    loop {
        let limit = ROWS.min(most - records.len());
        let at = Bound::Excluded(row(&prefix, place.after));
        let rows = core.kv.scan(Scan { from: at, to: Bound::Excluded(to.clone()), reverse: false, limit }).await?;
        let is_last = rows.len() < limit;
        looked_at += rows.len();
        for (key, value) in rows {
            let position =
                Position::from_key(&key).ok_or_else(|| ReadError::Damaged("streams: a position".to_owned()))?;
            let row: RecordRow = decode(&value, "a record")?;
            if row.time < kept || row.time < place.from_time {
                place = place.moved(position);
                continue;
            }
            let time = row.time;
            let Some(record) = open(core, &prefix, position, row).await? else {
                // Trimmed since it was read.
                if time < kept_from(core) {
                    continue;
                }
                return Err(DynamoError::Internal("the chunks of a record are missing".to_owned()));
            };
            bytes += usize::try_from(record.row.size).unwrap_or(MAX_BYTES);
            if bytes > MAX_BYTES && !records.is_empty() {
                return Ok(Page { records, next: Some(place) });
            }
            place = place.moved(position);
            records.push(record);
        }
        if is_last {
            return Ok(Page { records, next: (!closed).then_some(place) });
        }
        if records.len() >= most || looked_at >= MAX_LOOKED_AT {
            return Ok(Page { records, next: Some(place) });
        }
    }
}

/// Opens a record; `None` when its chunks are not there.
pub(crate) async fn open(
    core: &Core,
    shard: &Key,
    position: Position,
    row: RecordRow,
) -> Result<Option<Record>, DynamoError> {
    let damaged = |what: &str| DynamoError::Internal(format!("a record of a stream: {what}"));
    let sealed = match chunk_id(&row.chunks) {
        None => row.sealed.clone(),
        Some(id) => {
            let length = usize::try_from(row.length).unwrap_or(usize::MAX);
            let Some(sealed) = chunks::get(&*core.kv, id, length).await? else { return Ok(None) };
            sealed
        }
    };
    let plain = core.envelope.open(shard, &sealed).map_err(|error| damaged(&error.to_string()))?;
    let images = ImagesRow::decode(plain.as_slice()).map_err(|error| damaged(&error.to_string()))?;
    let item = |bytes: &Bytes| Item::decode(bytes).map_err(|error| damaged(&error.to_string()));
    let image = |bytes: &Bytes| if bytes.is_empty() { Ok(None) } else { item(bytes).map(Some) };
    let (keys, new, old) = (item(&images.keys)?, image(&images.new)?, image(&images.old)?);
    Ok(Some(Record { position, row, keys, new, old }))
}

/// The place of the record at a position.
pub(crate) fn at(position: Position) -> Place {
    Place::after(before(position))
}
