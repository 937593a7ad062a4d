//! Values larger than a row may be: in rows of their own, which are written and removed together.

use bytes::{Bytes, BytesMut};
use millpond_meta::key::KeyBuilder;
use millpond_meta::{Key, Op, ReadError, View};

use crate::tables;

/// Bytes of a value in one row. What is not larger needs no chunks.
pub const CHUNK_BYTES: usize = 60 * 1024;

fn row(id: u128, number: u32) -> Key {
    KeyBuilder::new(tables::CHUNKS).u128(id).u32(number).build()
}

fn rows(length: usize) -> u32 {
    u32::try_from(length.div_ceil(CHUNK_BYTES)).unwrap_or(u32::MAX)
}

/// Writes a value under an id that nobody else has (a random one).
pub fn put(id: u128, value: &Bytes) -> Vec<Op> {
    let part = |number: u32| {
        let from = number as usize * CHUNK_BYTES;
        Op::Put(row(id, number), value.slice(from..value.len().min(from + CHUNK_BYTES)))
    };
    (0..rows(value.len())).map(part).collect()
}

/// Removes a value of `length` bytes.
pub fn remove(id: u128, length: usize) -> Vec<Op> {
    (0..rows(length)).map(|number| Op::Delete(row(id, number))).collect()
}

/// Reads a value of `length` bytes; `None` when it is not there (any more).
pub async fn get(view: &dyn View, id: u128, length: usize) -> Result<Option<Bytes>, ReadError> {
    let mut value = BytesMut::with_capacity(length);
    for number in 0..rows(length) {
        let Some(part) = view.get(&row(id, number)).await? else { return Ok(None) };
        value.extend_from_slice(&part);
    }
    if value.len() != length {
        return Err(ReadError::Damaged("a value in chunks has another length".to_owned()));
    }
    Ok(Some(value.freeze()))
}

#[cfg(test)]
mod tests {
    use millpond_meta::{Batch, Kv, MemoryKv};

    use super::*;

    #[tokio::test]
    async fn values_come_back_whole_and_go_whole() {
        let kv = MemoryKv::new();
        for (id, length) in [(1, 1), (2, CHUNK_BYTES), (3, CHUNK_BYTES + 1), (4, 5 * CHUNK_BYTES - 7)] {
            let value: Bytes = (0..length).map(|n| (n % 251) as u8).collect::<Vec<_>>().into();
            kv.commit(Batch { ops: put(id, &value), ..Batch::default() }).await.unwrap();
            assert_eq!(get(&kv, id, length).await.unwrap(), Some(value));
            kv.commit(Batch { ops: remove(id, length), ..Batch::default() }).await.unwrap();
            assert_eq!(get(&kv, id, length).await.unwrap(), None);
        }
        assert_eq!(kv.state().bytes, 0);
    }
}
