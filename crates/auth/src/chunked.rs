//! `aws-chunked`: `<size in hex>[;chunk-signature=<hex>]\r\n<data>\r\n`, ended by a chunk of size 0 and, where announced, trailers
//! (S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks").

use bytes::{Buf, Bytes};
use millpond_digest::Sha256;

use crate::hex;
use crate::key::same;
use crate::payload::{ChunkSigning, PayloadError};
use crate::trailers::{MAX_TRAILER_BYTES, Trailers};

/// The longest line before a chunk: 16 digits, `;chunk-signature=` and 64 digits, CRLF, and some to spare.
const MAX_CHUNK_LINE_BYTES: usize = 128;

/// Hexadecimal digits of a chunk's size: 64 bits.
const MAX_SIZE_DIGITS: usize = 16;

/// Where in the body the next byte lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// In the line before a chunk.
    Line,
    /// In a chunk's data, with so many bytes to come.
    Data(u64),
    /// In the CRLF behind a chunk's data.
    DataEnd,
    /// In the trailers.
    Trailers,
    /// In the CRLF behind the last chunk, where no trailers are announced.
    LastEnd,
    /// Behind the body.
    End,
}

/// Undoes `aws-chunked`.
pub(crate) struct ChunkedDecoder {
    at: At,
    /// The beginning of a line, CRLF or trailers that did not come in one piece.
    pending: Vec<u8>,
    signing: Option<Box<ChunkSigning>>,
    /// The hash of the chunk's data so far, and the signature it must have. Only with signed chunks.
    hasher: Sha256,
    expected: [u8; 32],
    seen: u64,
    length: u64,
    /// The announced trailers; None where the mode has none.
    names: Option<Vec<String>>,
}

impl ChunkedDecoder {
    pub(crate) fn new(signing: Option<Box<ChunkSigning>>, length: u64, names: Option<Vec<String>>) -> Self {
        Self {
            at: At::Line,
            pending: Vec::new(),
            signing,
            hasher: Sha256::new(),
            expected: [0; 32],
            seen: 0,
            length,
            names,
        }
    }

    /// Takes bytes from the wire. Each turn takes at least one byte, so it ends.
    pub(crate) fn push(&mut self, mut bytes: Bytes, out: &mut impl FnMut(Bytes)) -> Result<(), PayloadError> {
        while !bytes.is_empty() {
            match self.at {
                At::Line => self.line(&mut bytes)?,
                At::Data(left) => self.data(left, &mut bytes, out)?,
                At::DataEnd => self.crlf(&mut bytes, At::Line)?,
                At::LastEnd => self.crlf(&mut bytes, At::End)?,
                At::Trailers => {
                    if self.pending.len() + bytes.len() > MAX_TRAILER_BYTES {
                        return Err(PayloadError::MalformedTrailer);
                    }
                    self.pending.extend_from_slice(&bytes);
                    bytes.clear();
                }
                At::End => return Err(PayloadError::Incomplete),
            }
        }
        Ok(())
    }

    fn line(&mut self, bytes: &mut Bytes) -> Result<(), PayloadError> {
        let room = MAX_CHUNK_LINE_BYTES - self.pending.len();
        let Some(end) = bytes.iter().take(room).position(|byte| *byte == b'\n') else {
            if bytes.len() >= room {
                return Err(PayloadError::InvalidChunkSize);
            }
            self.pending.extend_from_slice(bytes);
            bytes.clear();
            return Ok(());
        };
        let rest = bytes.split_to(end + 1);
        let (size, signature) = if self.pending.is_empty() {
            parse_line(&rest, self.signing.is_some())
        } else {
            self.pending.extend_from_slice(&rest);
            let parsed = parse_line(&self.pending, self.signing.is_some());
            self.pending.clear();
            parsed
        }?;
        self.expected = signature;
        self.start_chunk(size)
    }

    fn start_chunk(&mut self, size: u64) -> Result<(), PayloadError> {
        // What is left also bounds the size, so that `seen` cannot overflow.
        if size > self.length - self.seen {
            return Err(PayloadError::Incomplete);
        }
        if size > 0 {
            self.at = At::Data(size);
            return Ok(());
        }
        if self.seen != self.length {
            return Err(PayloadError::Incomplete);
        }
        self.check_chunk()?;
        self.at = if self.names.is_some() { At::Trailers } else { At::LastEnd };
        Ok(())
    }

    fn data(&mut self, left: u64, bytes: &mut Bytes, out: &mut impl FnMut(Bytes)) -> Result<(), PayloadError> {
        let here = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let data = bytes.split_to(here);
        if self.signing.is_some() {
            self.hasher.update(&data);
        }
        self.seen += here as u64;
        let left = left - here as u64;
        self.at = At::Data(left);
        if left == 0 {
            self.check_chunk()?;
            self.at = At::DataEnd;
        }
        out(data);
        Ok(())
    }

    /// The chunk's data have come: its signature must be the next in the chain.
    fn check_chunk(&mut self) -> Result<(), PayloadError> {
        let Some(signing) = &mut self.signing else { return Ok(()) };
        let signature = signing.chunk(&self.hasher.finish_reset());
        if same(&signature, &self.expected) { Ok(()) } else { Err(PayloadError::SignatureMismatch) }
    }

    fn crlf(&mut self, bytes: &mut Bytes, next: At) -> Result<(), PayloadError> {
        let wanted = if self.pending.is_empty() { b'\r' } else { b'\n' };
        if bytes.get_u8() != wanted {
            return Err(PayloadError::Incomplete);
        }
        if wanted == b'\r' {
            self.pending.push(b'\r');
        } else {
            self.pending.clear();
            self.at = next;
        }
        Ok(())
    }

    /// The decoded length and the trailers, once all has come and was right.
    pub(crate) fn finish(mut self) -> Result<(u64, Trailers), PayloadError> {
        match (self.at, &self.names) {
            (At::End, None) => Ok((self.seen, Trailers::default())),
            (At::Trailers, Some(names)) => {
                let trailers = Trailers::parse(&self.pending, names, self.signing.as_deref_mut())?;
                Ok((self.seen, trailers))
            }
            _ => Err(PayloadError::Incomplete),
        }
    }
}

/// The size and signature in the line before a chunk, which ends with a line feed. The signature must be there exactly when chunks
/// are signed: one that nobody checks must not look as if it were.
fn parse_line(line: &[u8], signed: bool) -> Result<(u64, [u8; 32]), PayloadError> {
    let line = line.strip_suffix(b"\r\n").ok_or(PayloadError::InvalidChunkSize)?;
    let digits = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
    let (size, extension) = line.split_at(digits);
    if size.is_empty() || size.len() > MAX_SIZE_DIGITS {
        return Err(PayloadError::InvalidChunkSize);
    }
    let size = size.iter().try_fold(0u64, |sum, byte| Some(sum << 4 | u64::from(hex::digit(*byte)?)));
    let size = size.ok_or(PayloadError::InvalidChunkSize)?;
    match (signed, extension) {
        (false, []) => Ok((size, [0; 32])),
        (false, _) => Err(PayloadError::InvalidChunkSize),
        (true, extension) => {
            let text = extension.strip_prefix(b";chunk-signature=").ok_or(PayloadError::SignatureMismatch)?;
            hex::parse32(text).map(|signature| (size, signature)).ok_or(PayloadError::SignatureMismatch)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let signature = "ab".repeat(32);
        let signed = |size: &str| format!("{size};chunk-signature={signature}\r\n");
        let table: &[(String, bool, Result<u64, PayloadError>)] = &[
            ("0\r\n".into(), false, Ok(0)),
            ("1aF\r\n".into(), false, Ok(0x1af)),
            ("0000000000000010\r\n".into(), false, Ok(16)),
            ("ffffffffffffffff\r\n".into(), false, Ok(u64::MAX)),
            ("00000000000000010\r\n".into(), false, Err(PayloadError::InvalidChunkSize)),
            ("\r\n".into(), false, Err(PayloadError::InvalidChunkSize)),
            ("-1\r\n".into(), false, Err(PayloadError::InvalidChunkSize)),
            ("+1\r\n".into(), false, Err(PayloadError::InvalidChunkSize)),
            ("0x1\r\n".into(), false, Err(PayloadError::InvalidChunkSize)),
            ("1 \r\n".into(), false, Err(PayloadError::InvalidChunkSize)),
            ("1\n".into(), false, Err(PayloadError::InvalidChunkSize)),
            (signed("1"), false, Err(PayloadError::InvalidChunkSize)),
            (signed("400"), true, Ok(1024)),
            ("400\r\n".into(), true, Err(PayloadError::SignatureMismatch)),
            (signed("1").replace("ab", "AB"), true, Err(PayloadError::SignatureMismatch)),
            (signed("1").replace("=ab", "="), true, Err(PayloadError::SignatureMismatch)),
            (signed("1").replace("chunk-", "chunk_"), true, Err(PayloadError::SignatureMismatch)),
            (signed("1").replace("\r\n", " \r\n"), true, Err(PayloadError::SignatureMismatch)),
        ];
        for (line, signed, expected) in table {
            let got = parse_line(line.as_bytes(), *signed).map(|(size, _)| size);
            assert_eq!(&got, expected, "{line:?}");
        }
    }
}
