//! Items as they lie in the store: sealed for their place, in one row, or in chunks where they are large.

use bytes::Bytes;
use millpond_item::Item;
use millpond_kernel::chunks;
use millpond_meta::{Cond, Key, Op, View};

use crate::errors::DynamoError;
use crate::keys::Place;
use crate::model::Table;
use crate::state::{Core, decode, encode};
use crate::tables::{ItemRow, TableId};

/// Bytes of a row that no two versions of an item share: tag and length of its first field, and the nonce or the id that it begins with (before
/// which an envelope has 21 bytes, and which has 12).
const VERSION: usize = 40;

/// Times that an item is read anew whose chunks a writer has just replaced.
const READS: usize = 20;

/// An item, read from the store.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub item: Item,
    /// Its row.
    raw: Bytes,
    /// Where its contents lie, if not in the row: the id of the chunks, and bytes.
    large: Option<(u128, usize)>,
}

impl Stored {
    /// Holds as long as it was not changed.
    pub fn cond(&self, row: Key) -> Cond {
        Cond::Begins(row, self.raw.slice(..self.raw.len().min(VERSION)))
    }

    /// What removes its chunks.
    pub fn remove_chunks(&self) -> Vec<Op> {
        self.large.map(|(id, length)| chunks::remove(id, length)).unwrap_or_default()
    }
}

/// What a row's contents are sealed for.
fn belonging(table: TableId, place: &Place) -> Vec<u8> {
    [&table.to_be_bytes(), place.bytes().as_ref()].concat()
}

fn large(row: &ItemRow) -> Option<(u128, usize)> {
    let id: [u8; 16] = row.chunks.as_ref().try_into().ok()?;
    Some((u128::from_be_bytes(id), usize::try_from(row.length).ok()?))
}

/// Where the chunks of an item's row lie, if it has any.
pub(crate) fn chunks_of(raw: &Bytes) -> Result<Option<(u128, usize)>, DynamoError> {
    Ok(large(&decode(raw, "an item")?))
}

impl Core {
    /// Seals contents that belong to something.
    pub fn seal(&self, belonging: &[u8], plain: &[u8]) -> Result<Bytes, DynamoError> {
        let sealed = self.envelope.seal(belonging, plain);
        Ok(sealed.map_err(|error| DynamoError::Internal(error.to_string()))?.into())
    }

    /// An item's row, and the chunks that it needs if its contents are larger than `inline`.
    pub fn stored_row(
        &self,
        table: TableId,
        place: &Place,
        item: &Item,
        inline: usize,
    ) -> Result<(Bytes, Vec<Op>), DynamoError> {
        let sealed = self.seal(&belonging(table, place), &item.encode())?;
        if sealed.len() <= inline {
            return Ok((encode(&ItemRow { sealed, ..ItemRow::default() }), Vec::new()));
        }
        let id = self.random.u128();
        let chunks = Bytes::copy_from_slice(&id.to_be_bytes());
        let row = ItemRow { chunks, length: sealed.len() as u64, ..ItemRow::default() };
        Ok((encode(&row), chunks::put(id, &sealed)))
    }

    /// An item of the store.
    pub async fn item(&self, table: &Table, place: &Place) -> Result<Option<Stored>, DynamoError> {
        let row = place.row(table.id);
        for _ in 0..READS {
            let Some(raw) = self.kv.get(&row).await? else { return Ok(None) };
            if let Some(stored) = self.opened(&*self.kv, table.id, place, raw).await? {
                return Ok(Some(stored));
            }
        }
        Err(DynamoError::Busy)
    }

    /// An item of a view.
    pub async fn item_at(&self, view: &dyn View, table: TableId, place: &Place) -> Result<Option<Stored>, DynamoError> {
        match view.get(&place.row(table)).await? {
            None => Ok(None),
            Some(raw) => self.item_of_row(view, table, place, raw).await.map(Some),
        }
    }

    /// The item of a row of a view.
    pub async fn item_of_row(
        &self,
        view: &dyn View,
        table: TableId,
        place: &Place,
        raw: Bytes,
    ) -> Result<Stored, DynamoError> {
        let missing = || DynamoError::Unreadable("the chunks of an item are missing".to_owned());
        self.opened(view, table, place, raw).await?.ok_or_else(missing)
    }

    /// Opens a row; `None` when its chunks are not there.
    async fn opened(
        &self,
        view: &dyn View,
        table: TableId,
        place: &Place,
        raw: Bytes,
    ) -> Result<Option<Stored>, DynamoError> {
        let row: ItemRow = decode(&raw, "an item").map_err(|error| DynamoError::Unreadable(error.to_string()))?;
        let large = large(&row);
        let sealed = match large {
            None => row.sealed,
            Some((id, length)) => match chunks::get(view, id, length).await? {
                None => return Ok(None),
                Some(sealed) => sealed,
            },
        };
        let plain = self.envelope.open(&belonging(table, place), &sealed);
        let plain = plain.map_err(|_| DynamoError::Unreadable("an item cannot be opened".to_owned()))?;
        let item = Item::decode(&plain).map_err(|error| DynamoError::Unreadable(format!("an item: {error}")))?;
        Ok(Some(Stored { item, raw, large }))
    }
}
