//! The record of a change, appended by the commit that makes it.

use bytes::Bytes;
use millpond_api_dynamodb::StreamViewType;
use millpond_item::Item;
use millpond_kernel::chunks;
use millpond_meta::Op;
use prost::Message;

use super::place::shard_of;
use super::rows::{ImagesRow, RecordRow};
use crate::change::{Actor, Change};
use crate::errors::DynamoError;
use crate::keys::key_of;
use crate::state::{Core, encode};
use crate::tables;

/// What happened to an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Event {
    Insert = 0,
    Modify = 1,
    Remove = 2,
}

impl Event {
    /// As the API names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Modify => "MODIFY",
            Self::Remove => "REMOVE",
        }
    }

    /// As a row has it.
    pub fn of_row(event: u32) -> Self {
        match event {
            0 => Self::Insert,
            1 => Self::Modify,
            _ => Self::Remove,
        }
    }
}

/// What a stream has of each change, as rows say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ViewType(pub u32);

impl ViewType {
    /// As a request says it.
    pub fn of(view: &StreamViewType) -> Self {
        Self(match view {
            StreamViewType::KeysOnly => 0,
            StreamViewType::NewImage => 1,
            StreamViewType::OldImage => 2,
            StreamViewType::NewAndOldImages => 3,
        })
    }

    /// As the API names it.
    pub fn name(self) -> &'static str {
        match self.0 {
            0 => "KEYS_ONLY",
            1 => "NEW_IMAGE",
            2 => "OLD_IMAGE",
            _ => "NEW_AND_OLD_IMAGES",
        }
    }

    fn has_new(self) -> bool {
        matches!(self.0, 1 | 3)
    }

    fn has_old(self) -> bool {
        matches!(self.0, 2 | 3)
    }
}

/// What happened to an item; `None` when nothing did.
fn event(change: &Change<'_>) -> Option<Event> {
    match (change.old, change.new) {
        (None, Some(_)) => Some(Event::Insert),
        (Some(old), Some(new)) if old.item != *new => Some(Event::Modify),
        (Some(_), None) => Some(Event::Remove),
        _ => None,
    }
}

/// What a change appends to the table's stream, if it has one and something changed. Contents of more than `inline` bytes go into chunks.
pub(crate) fn record(core: &Core, change: &Change<'_>, inline: usize) -> Result<Vec<Op>, DynamoError> {
    let table = change.table;
    let Some(spec) = &table.row.stream else { return Ok(Vec::new()) };
    let old = change.old.map(|old| &old.item);
    let (Some(event), Some(some)) = (event(change), change.new.or(old)) else { return Ok(Vec::new()) };
    let view = ViewType(spec.view);
    let (new, old) = (change.new.filter(|_| view.has_new()), old.filter(|_| view.has_old()));
    let keys = key_of(&table.schema, some);
    let bytes = |item: Option<&Item>| item.map(|item| Bytes::from(item.encode())).unwrap_or_default();
    let size = keys.size() + new.map_or(0, Item::size) + old.map_or(0, Item::size);
    let images = ImagesRow { keys: bytes(Some(&keys)), new: bytes(new), old: bytes(old) };
    let stream = tables::shard(table.id, &spec.label, shard_of(&change.place.hash()));
    let sealed = core.seal(&stream, &images.encode_to_vec())?;
    let mut row = RecordRow {
        time: change.now.millis(),
        event: event as u32,
        expired: change.by == Actor::Ttl,
        causes: change.causes.clone(),
        size: size as u64,
        ..RecordRow::default()
    };
    let mut ops = Vec::new();
    if sealed.len() <= inline {
        row.sealed = sealed;
    } else {
        let id = core.random.u128();
        row.chunks = Bytes::copy_from_slice(&id.to_be_bytes());
        row.length = sealed.len() as u64;
        ops = chunks::put(id, &sealed);
    }
    ops.push(Op::Append { stream, value: encode(&row) });
    Ok(ops)
}

/// The id of chunks, as a row has it.
pub(crate) fn chunk_id(bytes: &[u8]) -> Option<u128> {
    bytes.try_into().ok().map(u128::from_be_bytes)
}

/// What goes with a record that is trimmed.
pub(crate) fn beside(row: &RecordRow) -> Vec<Op> {
    match (chunk_id(&row.chunks), usize::try_from(row.length)) {
        (Some(id), Ok(length)) => chunks::remove(id, length),
        _ => Vec::new(),
    }
}
