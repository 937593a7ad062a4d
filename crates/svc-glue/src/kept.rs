//! Definitions on their way to and from rows: sealed, in chunks where they are long, and what partitions share once for each table.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use millpond_kernel::chunks;
use millpond_meta::{Key, Op, ReadError};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::bodies::{ColumnsBody, FormatBody, Parts, StorageBody};
use crate::errors::GlueError;
use crate::limits::MAX_INLINE;
use crate::state::{Core, decode};
use crate::tables::{self, Id, Kept};

/// Bytes of the hash of a piece.
const HASH: usize = 16;

fn chunks_of(kept: &Kept) -> Option<u128> {
    <[u8; 16]>::try_from(kept.chunks.as_slice()).ok().map(u128::from_be_bytes)
}

/// The changes that remove what lies in chunks.
pub(crate) fn removed(kept: &Kept) -> Vec<Op> {
    chunks_of(kept).map(|id| chunks::remove(id, kept.length as usize)).unwrap_or_default()
}

/// Pieces that one request reads: each once.
#[derive(Default)]
pub(crate) struct Pieces {
    columns: HashMap<Vec<u8>, Arc<ColumnsBody>>,
    formats: HashMap<Vec<u8>, Arc<FormatBody>>,
}

/// Pieces that one request writes: each once.
#[derive(Default)]
pub(crate) struct Written(HashSet<Key>);

impl Core {
    /// Seals what belongs to a database or table.
    pub fn keep(&self, of: Id, body: &impl Message, ops: &mut Vec<Op>) -> Result<Kept, GlueError> {
        let sealed = self.envelope.seal(&of.to_be_bytes(), &body.encode_to_vec());
        let sealed = sealed.map_err(|error| GlueError::Internal(error.to_string()))?;
        if sealed.len() <= MAX_INLINE {
            return Ok(Kept { sealed, ..Kept::default() });
        }
        let id = self.random_id();
        let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        ops.extend(chunks::put(id, &Bytes::from(sealed)));
        Ok(Kept { sealed: Vec::new(), chunks: id.to_be_bytes().to_vec(), length })
    }

    /// Opens what was sealed.
    pub async fn kept<B: Message + Default>(&self, of: Id, kept: &Kept) -> Result<B, ReadError> {
        let opened = |sealed: &[u8]| {
            let plain = self.envelope.open(&of.to_be_bytes(), sealed);
            plain.map_err(|_| ReadError::Damaged("a definition cannot be opened".to_owned()))
        };
        let Some(id) = chunks_of(kept) else { return decode(&opened(&kept.sealed)?) };
        let missing = || ReadError::Damaged("a definition is gone".to_owned());
        let bytes = chunks::get(&*self.kv, id, kept.length as usize).await?.ok_or_else(missing)?;
        decode(&opened(&bytes)?)
    }

    /// Writes what a storage descriptor shares with others, where that is not there yet.
    pub async fn keep_storage(
        &self,
        table: Id,
        parts: Parts,
        written: &mut Written,
        ops: &mut Vec<Op>,
    ) -> Result<StorageBody, GlueError> {
        let Parts { columns, format, location, parameters } = parts;
        let columns = self.keep_piece(table, b'C', &columns, written, ops).await?;
        let format = self.keep_piece(table, b'F', &format, written, ops).await?;
        Ok(StorageBody { columns, format, location, parameters })
    }

    async fn keep_piece(
        &self,
        table: Id,
        kind: u8,
        piece: &impl Message,
        written: &mut Written,
        ops: &mut Vec<Op>,
    ) -> Result<Vec<u8>, GlueError> {
        let digest = Sha256::new().chain_update([kind]).chain_update(piece.encode_to_vec()).finalize();
        let hash: Vec<u8> = digest.iter().copied().take(HASH).collect();
        let key = tables::piece(table, &hash);
        if !written.0.insert(key.clone()) || self.kv.get(&key).await?.is_some() {
            return Ok(hash);
        }
        let kept = self.keep(table, piece, ops)?;
        ops.push(Op::Put(key, tables::encode(&kept)));
        Ok(hash)
    }

    async fn piece<B: Message + Default>(&self, table: Id, hash: &[u8]) -> Result<B, ReadError> {
        let missing = || ReadError::Damaged("columns of a table are gone".to_owned());
        let raw = self.kv.get(&tables::piece(table, hash)).await?.ok_or_else(missing)?;
        self.kept(table, &decode(&raw)?).await
    }

    /// The columns of a storage descriptor.
    pub async fn columns(
        &self,
        table: Id,
        storage: &StorageBody,
        pieces: &mut Pieces,
    ) -> Result<Arc<ColumnsBody>, ReadError> {
        if let Some(known) = pieces.columns.get(&storage.columns) {
            return Ok(Arc::clone(known));
        }
        let read: Arc<ColumnsBody> = Arc::new(self.piece(table, &storage.columns).await?);
        pieces.columns.insert(storage.columns.clone(), Arc::clone(&read));
        Ok(read)
    }

    /// How the files of a storage descriptor are read.
    pub async fn format(
        &self,
        table: Id,
        storage: &StorageBody,
        pieces: &mut Pieces,
    ) -> Result<Arc<FormatBody>, ReadError> {
        if let Some(known) = pieces.formats.get(&storage.format) {
            return Ok(Arc::clone(known));
        }
        let read: Arc<FormatBody> = Arc::new(self.piece(table, &storage.format).await?);
        pieces.formats.insert(storage.format.clone(), Arc::clone(&read));
        Ok(read)
    }
}
