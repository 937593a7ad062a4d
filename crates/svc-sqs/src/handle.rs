//! Receipt handles: which receipt of which message. The nonce is random and lies in the message's state, so that no handle can be made up, and only
//! that of the last receipt counts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millpond_meta::Position;

use crate::errors::SqsError;
use crate::tables::QueueId;

/// The format of handles.
const FORMAT: u8 = 1;
/// Format, queue, position, nonce.
const LENGTH: usize = 1 + 8 + 10 + 8;

/// A receipt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Handle {
    pub queue: QueueId,
    pub position: Position,
    pub nonce: u64,
}

impl Handle {
    pub fn text(&self) -> String {
        let mut bytes = [0; LENGTH];
        bytes[0] = FORMAT;
        bytes[1..9].copy_from_slice(&self.queue.to_be_bytes());
        bytes[9..19].copy_from_slice(&self.position.to_bytes());
        bytes[19..].copy_from_slice(&self.nonce.to_be_bytes());
        STANDARD.encode(bytes)
    }

    /// The receipt that a handle of this queue means.
    pub fn parse(text: &str, queue: QueueId) -> Result<Self, SqsError> {
        let invalid = || SqsError::Handle(text.chars().take(256).collect());
        if text.is_empty() {
            return Err(SqsError::Missing("ReceiptHandle"));
        }
        let bytes = STANDARD.decode(text).map_err(|_| invalid())?;
        let bytes: [u8; LENGTH] = bytes.try_into().map_err(|_| invalid())?;
        let (format, rest) = bytes.split_at(1);
        let (of, rest) = rest.split_at(8);
        let (position, nonce) = rest.split_at(10);
        if format != [FORMAT] || of != queue.to_be_bytes() {
            return Err(invalid());
        }
        let nonce = nonce.try_into().map(u64::from_be_bytes).map_err(|_| invalid())?;
        Ok(Self { queue, position: Position::from_key(position).ok_or_else(invalid)?, nonce })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_of_one_queue() {
        let handle = Handle { queue: 7, position: Position { commit: 9, index: 2 }, nonce: 11 };
        let text = handle.text();
        assert_eq!(Handle::parse(&text, 7), Ok(handle));
        for (text, queue) in [(text.as_str(), 8), ("", 7), ("x", 7), ("AA==", 7), (&text[4..], 7)] {
            assert!(Handle::parse(text, queue).is_err(), "{text} {queue}");
        }
    }
}
