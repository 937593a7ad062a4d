//! Locks that writers of items share, by the place of the item: who writes the same item takes turns, so that a hot item is not worked out again and
//! again. They keep nothing true; the conditions of commits do.

use tokio::sync::{Mutex, MutexGuard};

use crate::keys::Place;
use crate::limits::STRIPES;
use crate::tables::TableId;

/// The locks.
#[derive(Debug)]
pub(crate) struct Stripes(Vec<Mutex<()>>);

impl Default for Stripes {
    fn default() -> Self {
        Self((0..STRIPES).map(|_| Mutex::new(())).collect())
    }
}

/// The number of the lock of a place (FNV-1a): items of one partition have different ones, so that a batch of them waits for the disk once.
fn number(table: TableId, place: &Place) -> usize {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    let hash = table.to_be_bytes().iter().chain(place.bytes().iter()).fold(0xcbf2_9ce4_8422_2325, mix);
    usize::try_from(hash >> 32).unwrap_or_default() % STRIPES
}

impl Stripes {
    /// Waits for its turn to write an item.
    pub async fn turn(&self, table: TableId, place: &Place) -> Option<MutexGuard<'_, ()>> {
        Some(self.0.get(number(table, place))?.lock().await)
    }

    /// Waits for its turn to write several.
    pub async fn turns<'a>(&self, places: impl Iterator<Item = (TableId, &'a Place)>) -> Vec<MutexGuard<'_, ()>> {
        // In the order of their numbers, so that no two wait for each other.
        let mut numbers: Vec<usize> = places.map(|(table, place)| number(table, place)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut held = Vec::with_capacity(numbers.len());
        for number in numbers {
            if let Some(lock) = self.0.get(number) {
                held.push(lock.lock().await);
            }
        }
        held
    }
}
