//! What events say, as it lies on the disk: sealed. What earlier versions wrote plain is read as it is.

use bytes::Bytes;
use millpond_kernel::chunks;
use millpond_meta::Op;
use millpond_seal::Unopened;
use prost::Message;

use crate::errors::EventsError;
use crate::limits::INLINE_EVENT;
use crate::rows::{EventRow, RequestRow};
use crate::state::Core;

/// What requests to API destinations are sealed for.
const REQUEST: &[u8] = b"request";

impl From<Unopened> for EventsError {
    fn from(error: Unopened) -> Self {
        Self::Internal(format!("an event: {error}"))
    }
}

impl Core {
    /// Puts an event's JSON into its row, or into chunks with an id that nobody else has, whose changes go into `ops`.
    pub fn fill_in(
        &self,
        row: &mut EventRow,
        json: &str,
        id: impl FnOnce() -> u128,
        ops: &mut Vec<Op>,
    ) -> Result<(), EventsError> {
        let sealed = self.envelope.seal(row.id.as_bytes(), json.as_bytes())?;
        (row.length, row.sealed) = (json.len() as u64, true);
        if sealed.len() + row.encoded_len() > INLINE_EVENT {
            let id = id();
            (row.chunks, row.chunked) = (id.to_be_bytes().to_vec(), sealed.len() as u64);
            ops.extend(chunks::put(id, &Bytes::from(sealed)));
        } else {
            row.body = sealed;
        }
        Ok(())
    }

    /// The row with the JSON in it, however large.
    pub fn whole(&self, row: &EventRow, json: &str) -> Result<EventRow, EventsError> {
        let body = self.envelope.seal(row.id.as_bytes(), json.as_bytes())?;
        Ok(EventRow { body, chunks: Vec::new(), chunked: 0, sealed: true, ..row.clone() })
    }

    /// The JSON of what was kept of an event.
    pub fn json_of(&self, row: &EventRow, kept: &[u8]) -> Result<Vec<u8>, EventsError> {
        if row.sealed { Ok(self.envelope.open(row.id.as_bytes(), kept)?) } else { Ok(kept.to_vec()) }
    }

    /// A request as the outbox keeps it.
    pub fn seal_request(&self, row: &RequestRow) -> Result<Bytes, EventsError> {
        let sealed = self.envelope.seal(REQUEST, &row.encode_to_vec())?;
        Ok(RequestRow { sealed, ..RequestRow::default() }.encode_to_vec().into())
    }

    /// A request that the outbox kept; `None` when it cannot be read.
    pub fn open_request(&self, kept: &Bytes) -> Option<RequestRow> {
        let row = RequestRow::decode(kept.clone()).ok()?;
        if row.sealed.is_empty() {
            return Some(row);
        }
        let plain = self.envelope.open(REQUEST, &row.sealed).ok()?;
        RequestRow::decode(plain.as_slice()).ok()
    }
}

/// Id and length of an event's chunks, if it lies in some.
pub(crate) fn chunks_of(row: &EventRow) -> Option<(u128, usize)> {
    let id = row.chunks.as_slice().try_into().map(u128::from_be_bytes).ok()?;
    let length = if row.sealed { row.chunked } else { row.length };
    Some((id, usize::try_from(length).unwrap_or(usize::MAX)))
}
