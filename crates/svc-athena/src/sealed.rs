//! What other people wrote, sealed: statements, reasons, columns.

use bytes::Bytes;
use millpond_kernel::chunks;
use millpond_meta::Op;
use prost::Message;

use crate::errors::AthenaError;
use crate::limits::MAX_INLINE;
use crate::state::Core;
use crate::tables::SealedRow;

/// What a text belongs to: an id, and which of its texts it is.
fn aad(id: u128, part: &str) -> Vec<u8> {
    [&id.to_be_bytes()[..], part.as_bytes()].concat()
}

impl Core {
    /// Seals a text, and what is to be committed besides the row that it stands in.
    pub fn seal(&self, id: u128, part: &str, plain: &[u8]) -> Result<(SealedRow, Vec<Op>), AthenaError> {
        let sealed = self.envelope.seal(&aad(id, part), plain)?;
        if sealed.len() <= MAX_INLINE {
            return Ok((SealedRow { inline: sealed, ..SealedRow::default() }, Vec::new()));
        }
        let (at, length) = (self.random.u128(), u32::try_from(sealed.len()).unwrap_or(u32::MAX));
        let ops = chunks::put(at, &Bytes::from(sealed));
        Ok((SealedRow { inline: Vec::new(), chunks: at.to_be_bytes().to_vec(), length }, ops))
    }

    /// Opens it.
    pub async fn unseal(&self, id: u128, part: &str, row: &SealedRow) -> Result<Vec<u8>, AthenaError> {
        let aad = aad(id, part);
        let Some((at, length)) = place(row) else { return Ok(self.envelope.open(&aad, &row.inline)?) };
        let gone = || AthenaError::Internal("a sealed text is gone".to_owned());
        let sealed = chunks::get(&*self.kv, at, length).await?.ok_or_else(gone)?;
        Ok(self.envelope.open(&aad, &sealed)?)
    }

    /// Opens a text.
    pub async fn unseal_text(&self, id: u128, part: &str, row: &SealedRow) -> Result<String, AthenaError> {
        let plain = self.unseal(id, part, row).await?;
        String::from_utf8(plain).map_err(|_| AthenaError::Internal("a sealed text is none".to_owned()))
    }

    /// Opens a message.
    pub async fn unseal_row<R: Message + Default>(
        &self,
        id: u128,
        part: &str,
        row: &SealedRow,
    ) -> Result<R, AthenaError> {
        let plain = self.unseal(id, part, row).await?;
        R::decode(plain.as_slice()).map_err(|error| AthenaError::Internal(error.to_string()))
    }
}

fn place(row: &SealedRow) -> Option<(u128, usize)> {
    let id = <[u8; 16]>::try_from(row.chunks.as_slice()).ok()?;
    Some((u128::from_be_bytes(id), row.length as usize))
}

/// Removes what stands outside of the row.
pub(crate) fn removed(row: &SealedRow) -> Vec<Op> {
    place(row).map(|(id, length)| chunks::remove(id, length)).unwrap_or_default()
}
