//! Frames on the socket between server and worker: the length of the message and of the payload, 4 bytes each, big-endian; the message; the payload.

use std::io::{self, IoSlice};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest message: a page of partitions, of listings, or a table.
pub const MAX_MESSAGE: usize = 32 * 1024 * 1024;
/// The largest payload: what is read of an object at once.
pub const MAX_PAYLOAD: usize = 64 * 1024 * 1024;

fn too_large(what: &str, length: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} of {length} bytes"))
}

/// Reads a frame; `None` at the end between two.
///
/// # Errors
/// The socket's, `UnexpectedEof` within a frame, `InvalidData` for what is no frame.
pub async fn read<M: Message + Default>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(M, Bytes)>> {
    let mut lengths = [0; 8];
    match from.read(&mut lengths).await? {
        0 => return Ok(None),
        read => from.read_exact(&mut lengths[read..]).await?,
    };
    let mut lengths = &lengths[..];
    let (message, payload) = (lengths.get_u32() as usize, lengths.get_u32() as usize);
    if message > MAX_MESSAGE {
        return Err(too_large("a message", message));
    }
    if payload > MAX_PAYLOAD {
        return Err(too_large("a payload", payload));
    }
    let mut frame = BytesMut::with_capacity(message + payload);
    while frame.len() < message + payload {
        let missing = message + payload - frame.len();
        if from.read_buf(&mut (&mut frame).limit(missing)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let body = frame.split_off(message).freeze();
    let message = M::decode(frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some((message, body)))
}

/// Writes a frame; its payload stands in pieces.
///
/// # Errors
/// The socket's, `InvalidData` for what is larger than a frame may be.
pub async fn write<M: Message>(to: &mut (impl AsyncWrite + Unpin), message: &M, payload: &[Bytes]) -> io::Result<()> {
    let (length, size) = (message.encoded_len(), payload.iter().map(Bytes::len).sum::<usize>());
    if length > MAX_MESSAGE {
        return Err(too_large("a message", length));
    }
    if size > MAX_PAYLOAD {
        return Err(too_large("a payload", size));
    }
    let mut head = BytesMut::with_capacity(8 + length);
    // Both fit: the limits are far below.
    head.extend_from_slice(&(length as u32).to_be_bytes());
    head.extend_from_slice(&(size as u32).to_be_bytes());
    message.encode(&mut head).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let mut slices: Vec<IoSlice<'_>> =
        std::iter::once(head.as_ref()).chain(payload.iter().map(AsRef::as_ref)).map(IoSlice::new).collect();
    let mut left = slices.as_mut_slice();
    // What is empty is passed over.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match to.write_vectored(left).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut left, written),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Answer;

    #[tokio::test]
    async fn frames_come_back() {
        let answer = Answer { id: 7, error: "NoSuchKey".into(), ..Answer::default() };
        let mut line = Vec::new();
        let pieces = ["pay", "", "load"].map(|piece| Bytes::from_static(piece.as_bytes()));
        write(&mut line, &answer, &pieces).await.unwrap();
        write(&mut line, &Answer::default(), &[]).await.unwrap();
        let mut from = line.as_slice();
        assert_eq!(read::<Answer>(&mut from).await.unwrap(), Some((answer, Bytes::from_static(b"payload"))));
        assert_eq!(read::<Answer>(&mut from).await.unwrap(), Some((Answer::default(), Bytes::new())));
        assert_eq!(read::<Answer>(&mut from).await.unwrap(), None);
        for end in 1..line.len() - 8 {
            let error = read::<Answer>(&mut &line[..end]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{end}");
        }
        let large = [&u32::MAX.to_be_bytes()[..], &[0; 4]].concat();
        assert_eq!(read::<Answer>(&mut large.as_slice()).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
