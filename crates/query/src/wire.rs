//! Frames on the socket between server and worker: the length of the message and of the payload, 4 bytes each, big-endian; the message; the payload.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
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
    if from.read(&mut lengths[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut lengths[1..]).await?;
    let mut lengths = &lengths[..];
    let (message, payload) = (lengths.get_u32() as usize, lengths.get_u32() as usize);
    if message > MAX_MESSAGE {
        return Err(too_large("a message", message));
    }
    if payload > MAX_PAYLOAD {
        return Err(too_large("a payload", payload));
    }
    let mut frame = BytesMut::zeroed(message + payload);
    from.read_exact(&mut frame).await?;
    let body = frame.split_off(message).freeze();
    let message = M::decode(frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some((message, body)))
}

/// Writes a frame.
///
/// # Errors
/// The socket's, `InvalidData` for what is larger than a frame may be.
pub async fn write<M: Message>(to: &mut (impl AsyncWrite + Unpin), message: &M, payload: &[u8]) -> io::Result<()> {
    let length = message.encoded_len();
    if length > MAX_MESSAGE {
        return Err(too_large("a message", length));
    }
    if payload.len() > MAX_PAYLOAD {
        return Err(too_large("a payload", payload.len()));
    }
    let mut head = BytesMut::with_capacity(8 + length);
    // Both fit: the limits are far below.
    head.extend_from_slice(&(length as u32).to_be_bytes());
    head.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    message.encode(&mut head).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    to.write_all(&head).await?;
    to.write_all(payload).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Answer;

    #[tokio::test]
    async fn frames_come_back() {
        let answer = Answer { id: 7, error: "NoSuchKey".into(), ..Answer::default() };
        let mut line = Vec::new();
        write(&mut line, &answer, b"payload").await.unwrap();
        write(&mut line, &Answer::default(), b"").await.unwrap();
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
