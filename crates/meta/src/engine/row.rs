//! Rows as they are on disk: the value, then a CRC-32C (4 bytes, little-endian) over key and value, so that neither a changed
//! byte nor a value that belongs to another key is ever served.

use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest};

use crate::api::ReadError;
use crate::apply::Codec;

/// Bytes that the checksum adds to a value.
pub(super) const SUM_BYTES: usize = 4;

/// The CRC-32C of a row.
fn sum(key: &[u8], value: &[u8]) -> [u8; SUM_BYTES] {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(key);
    digest.update(value);
    #[expect(clippy::cast_possible_truncation, reason = "a CRC-32 is in the lower half")]
    let sum = digest.finalize() as u32;
    sum.to_le_bytes()
}

/// Values with their checksum behind them.
#[derive(Debug)]
pub(super) struct Summed;

impl Codec for Summed {
    fn keep(key: &[u8], value: Bytes) -> Bytes {
        let mut kept = BytesMut::with_capacity(value.len() + SUM_BYTES);
        kept.put_slice(&value);
        kept.put_slice(&sum(key, &value));
        kept.freeze()
    }

    fn value(kept: &Bytes) -> Bytes {
        kept.slice(..kept.len().saturating_sub(SUM_BYTES))
    }
}

/// The value of a row that was read from disk, without copying it.
pub(super) fn check(key: &[u8], kept: Bytes) -> Result<Bytes, ReadError> {
    let damaged = || ReadError::Damaged(format!("checksum of {}", show(key)));
    let at = kept.len().checked_sub(SUM_BYTES).ok_or_else(damaged)?;
    if kept[at..] != sum(key, &kept[..at]) {
        return Err(damaged());
    }
    let mut value = kept;
    value.truncate(at);
    Ok(value)
}

/// A key for messages: its first bytes, escaped.
pub(super) fn show(key: &[u8]) -> String {
    /// Enough to find the row by; keys may be long and are the users'.
    const SHOWN: usize = 64;
    let cut = if key.len() > SHOWN { "..." } else { "" };
    format!("row {}{cut}", key[..key.len().min(SHOWN)].escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_is_found() {
        let (key, value) = (&b"\x01bucket"[..], Bytes::from_static(b"a value of some length"));
        let kept = Summed::keep(key, value.clone());
        assert_eq!(check(key, kept.clone()).unwrap(), value);
        for bit in 0..kept.len() * 8 {
            let mut changed = kept.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(check(key, changed.into()).is_err(), "bit {bit}");
        }
        assert!(check(b"\x01bucker", kept.clone()).is_err(), "another key's value");
        for len in 0..kept.len() {
            assert!(check(key, kept.slice(..len)).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn the_sum_is_crc32c() {
        // The check value of CRC-32/ISCSI in the catalogue of parametrised CRC algorithms.
        assert_eq!(u32::from_le_bytes(sum(b"12345", b"6789")), 0xE306_9283);
    }
}
