//! Places in a stream: shards by their ids, sequence numbers, and iterators.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millpond_meta::Position;
use millpond_seal::Purpose;
use prost::Message;
use sha2::{Digest, Sha256};

use super::known::Stream;
use super::rows::IteratorRow;
use super::{ITERATOR, SHARDS};
use crate::errors::DynamoError;
use crate::state::Core;

/// Sequence numbers begin here, so that all have as many digits as the API asks for at least (21), and the order of texts is that of numbers.
const FIRST: u128 = 1_000_000_000_000_000_000_000_000;

/// The sequence number of a position: 25 digits.
pub(crate) fn sequence(position: Position) -> String {
    (FIRST + (u128::from(position.commit) << 16) + u128::from(position.index)).to_string()
}

/// The position of a sequence number; `None` for a text that is none of ours.
pub(crate) fn position(sequence: &str) -> Option<Position> {
    if !sequence.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = sequence.parse::<u128>().ok()?.checked_sub(FIRST)?;
    Some(Position { commit: u64::try_from(number >> 16).ok()?, index: (number & 0xffff) as u16 })
}

/// The position before another: what lies behind it begins with that one.
pub(crate) fn before(position: Position) -> Position {
    match position.index.checked_sub(1) {
        Some(index) => Position { index, ..position },
        None => Position { commit: position.commit.saturating_sub(1), index: u16::MAX },
    }
}

/// The shard of an item, by the hash of its partition key.
pub(crate) fn shard_of(hash: &[u8; 16]) -> u8 {
    // The first two bits.
    hash[0] >> 6
}

/// The id of a shard, as the API shows it.
pub(crate) fn shard_id(stream: &Stream, shard: u8) -> String {
    let mut hash = Sha256::new();
    hash.update(stream.prefix(shard));
    let hash = hash.finalize();
    format!(
        "shardId-{:020}-{}",
        stream.row.created,
        hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>()
    )
}

/// The shard of an id.
pub(crate) fn shard(stream: &Stream, id: &str) -> Option<u8> {
    (0..SHARDS).find(|shard| shard_id(stream, *shard) == id)
}

/// Where reading goes on in a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Behind this position.
    pub after: Position,
    /// Whether what was trimmed behind it is nothing to be told of: it began with the oldest that is kept.
    pub oldest: bool,
    /// Records before this time are passed over, in milliseconds since the epoch.
    pub from_time: u64,
}

impl Place {
    /// The oldest that is kept.
    pub const OLDEST: Self = Self { after: Position { commit: 0, index: 0 }, oldest: true, from_time: 0 };

    /// Behind a position.
    pub fn after(position: Position) -> Self {
        Self { after: position, oldest: false, from_time: 0 }
    }

    /// Where reading goes on behind a position.
    pub fn moved(self, after: Position) -> Self {
        Self { after, oldest: self.oldest && after == self.after, from_time: self.from_time }
    }
}

/// Makes the iterator of a place: the stream's ARN, and the place sealed, so that nobody makes one up.
pub(crate) fn iterator(core: &Core, stream: &Stream, shard: u8, place: Place) -> Result<String, DynamoError> {
    let row = IteratorRow {
        shard: u32::from(shard),
        commit: place.after.commit,
        index: u32::from(place.after.index),
        oldest: place.oldest,
        from_time: place.from_time,
        made: core.millis(),
    };
    let sealed =
        core.vault.seal(&*core.random, Purpose::ShardIterator, stream.arn.as_str().as_bytes(), &row.encode_to_vec());
    let sealed = sealed.map_err(|error| DynamoError::Internal(error.to_string()))?;
    Ok(format!("{}|1|{}", stream.arn, STANDARD.encode(sealed)))
}

/// An iterator, read. Whether its stream is there, and it is not too old, is asked by [`opened`].
pub(crate) struct Given<'a> {
    /// The ARN of its stream.
    pub arn: &'a str,
    sealed: Vec<u8>,
}

fn invalid() -> DynamoError {
    DynamoError::Validation("Invalid ShardIterator".to_owned())
}

/// Takes an iterator apart.
pub(crate) fn given(text: &str) -> Result<Given<'_>, DynamoError> {
    let (arn, sealed) = text.split_once("|1|").ok_or_else(invalid)?;
    let sealed = STANDARD.decode(sealed).map_err(|_| invalid())?;
    Ok(Given { arn, sealed })
}

/// Opens an iterator: the shard and the place.
pub(crate) fn opened(core: &Core, given: &Given<'_>) -> Result<(u8, Place), DynamoError> {
    let plain = core.vault.open(Purpose::ShardIterator, given.arn.as_bytes(), &given.sealed).map_err(|_| invalid())?;
    let row = IteratorRow::decode(plain.as_slice()).map_err(|_| invalid())?;
    let age = u128::from(core.millis().saturating_sub(row.made));
    if age > ITERATOR.as_millis() {
        let text = "Iterator expired. An iterator may be used for 15 minutes after it was made.";
        return Err(DynamoError::ExpiredIterator(text.to_owned()));
    }
    let shard = u8::try_from(row.shard).ok().filter(|shard| *shard < SHARDS).ok_or_else(invalid)?;
    let after = Position { commit: row.commit, index: u16::try_from(row.index).map_err(|_| invalid())? };
    Ok((shard, Place { after, oldest: row.oldest, from_time: row.from_time }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_are_positions_in_order() {
        let positions = [(0, 0), (0, 1), (1, 0), (1, u16::MAX), (2, 0), (u64::MAX, u16::MAX)]
            .map(|(commit, index)| Position { commit, index });
        let sequences = positions.map(sequence);
        assert!(sequences.is_sorted());
        for (at, text) in positions.into_iter().zip(&sequences) {
            assert_eq!((text.len(), position(text)), (25, Some(at)));
        }
        for bad in ["", "x", "-1", "+1000000000000000000000001", "1", "999999999999999999999999", &"9".repeat(40)] {
            assert_eq!(position(bad), None, "{bad}");
        }
        assert_eq!(before(Position { commit: 5, index: 3 }), Position { commit: 5, index: 2 });
        assert_eq!(before(Position { commit: 5, index: 0 }), Position { commit: 4, index: u16::MAX });
    }

    #[test]
    fn shards_share_the_hashes() {
        for (first, shard) in [(0, 0), (63, 0), (64, 1), (128, 2), (255, 3)] {
            let mut hash = [7; 16];
            hash[0] = first;
            assert_eq!(shard_of(&hash), shard);
        }
    }
}
