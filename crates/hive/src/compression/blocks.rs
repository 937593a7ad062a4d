//! Compressions in blocks with their lengths before them: Hadoop's, and the frames of Snappy and LZ4, told apart by their first bytes.
//!
//! Sources: Hadoop's `BlockCompressorStream`; Snappy's `framing_format.txt`; LZ4's `lz4_Frame_format.md`.

use std::io;

use crc_fast::CrcAlgorithm;

use super::decoder::broken;
use super::lz4::Frames;

/// Bytes of a block, as it is and as it unfolds. Hadoop writes 256 KiB, others up to 4 MiB.
pub const MAX_BLOCK: usize = 64 * 1024 * 1024;
/// Bytes that a byte of LZ4 unfolds to at most: one of a match's length (LZ4 block format, "Match length"). A byte of Snappy unfolds to fewer.
pub const LZ4_RATIO: usize = 255;
/// Bytes of a chunk of Snappy's frames, unfolded.
const MAX_CHUNK: usize = 64 * 1024;
/// A chunk's length and kind.
const CHUNK_HEAD: usize = 4;
/// What a chunk that says what the file is begins with, and what follows.
const SNAPPY_HEAD: [u8; 4] = [0xFF, 6, 0, 0];
const SNAPPY_NAME: &[u8] = b"sNaPpY";

/// What is in the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Snappy
    Snappy,
    /// LZ4
    Lz4,
}

/// A format that is read in parts, of which each tells what the next one is.
pub trait Parts {
    /// How many bytes the next part has; more than none.
    fn wanted(&self) -> usize;
    /// Takes the next part, and adds what it unfolds to.
    fn part(&mut self, part: &[u8], out: &mut Vec<u8>) -> io::Result<()>;
    /// Whether the object may end here.
    fn may_end(&self) -> bool;
}

/// Reads either format.
pub struct Blocks {
    codec: Codec,
    /// Bytes of the next part, as far as there are.
    rest: Vec<u8>,
    /// Which format it is, when its first bytes were read.
    parts: Option<Box<dyn Parts + Send>>,
}

/// A number of four bytes.
pub fn number(bytes: &[u8], read: impl Fn([u8; 4]) -> u32) -> io::Result<usize> {
    let bytes = bytes.try_into().map_err(broken)?;
    usize::try_from(read(bytes)).map_err(broken)
}

impl Blocks {
    /// Of a codec.
    pub fn new(codec: Codec) -> Self {
        Self { codec, rest: Vec::new(), parts: None }
    }

    /// Takes from a piece: how many bytes.
    ///
    /// # Errors
    /// It is broken.
    pub fn step(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let wanted = self.parts.as_ref().map_or(SNAPPY_HEAD.len(), |parts| parts.wanted());
        let taken = piece.len().min(wanted.saturating_sub(self.rest.len()));
        self.rest.extend_from_slice(piece.get(..taken).unwrap_or_default());
        if self.rest.len() < wanted {
            return Ok(taken);
        }
        let part = std::mem::take(&mut self.rest);
        match &mut self.parts {
            Some(parts) => parts.part(&part, out)?,
            None => {
                let mut parts: Box<dyn Parts + Send> = match self.codec {
                    Codec::Snappy if part == SNAPPY_HEAD => Box::new(Chunks::default()),
                    Codec::Lz4 if Frames::begin_with(&part) => Box::new(Frames::default()),
                    codec => Box::new(Hadoop { codec, next: Next::Block }),
                };
                parts.part(&part, out)?;
                self.parts = Some(parts);
            }
        }
        Ok(taken)
    }

    /// At the end of the object.
    ///
    /// # Errors
    /// It is cut off.
    pub fn end(self) -> io::Result<()> {
        let is_whole = self.rest.is_empty() && self.parts.is_some_and(|parts| parts.may_end());
        if is_whole { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// Blocks that say how long they are unfolded, each of parts that say how long they are.
struct Hadoop {
    codec: Codec,
    next: Next,
}

#[derive(Clone, Copy)]
enum Next {
    /// A block's length.
    Block,
    /// A part's length; so many bytes of the block are left.
    Part(usize),
    /// So many bytes that are left, of a part of such a length.
    Bytes(usize, usize),
}

impl Parts for Hadoop {
    fn wanted(&self) -> usize {
        match self.next {
            Next::Block | Next::Part(_) => 4,
            Next::Bytes(_, length) => length,
        }
    }

    fn part(&mut self, part: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let length = || match number(part, u32::from_be_bytes)? {
            long if long > MAX_BLOCK => Err(broken(format!("a block of {long} bytes, and {MAX_BLOCK} are read"))),
            length => Ok(length),
        };
        self.next = match self.next {
            Next::Block => match length()? {
                0 => Next::Block,
                length => Next::Part(length),
            },
            Next::Part(left) => match length()? {
                0 => return Err(broken("a part of no bytes")),
                length => Next::Bytes(left, length),
            },
            Next::Bytes(left, _) => match left - unfold(self.codec, part, left, out)? {
                0 => Next::Block,
                left => Next::Part(left),
            },
        };
        Ok(())
    }

    fn may_end(&self) -> bool {
        matches!(self.next, Next::Block)
    }
}

/// Unfolds a part to at most so many bytes: how many there were.
fn unfold(codec: Codec, part: &[u8], most: usize, out: &mut Vec<u8>) -> io::Result<usize> {
    let from = out.len();
    let length = match codec {
        Codec::Snappy => snap::raw::decompress_len(part).map_err(broken)?,
        Codec::Lz4 => most.min(part.len().saturating_mul(LZ4_RATIO)),
    };
    if length > most || length > part.len().saturating_mul(LZ4_RATIO) {
        return Err(broken(format!("a block that unfolds to {length} bytes, and not to the {most} that it says")));
    }
    out.resize(from + length, 0);
    let room = out.get_mut(from..).unwrap_or_default();
    let given = match codec {
        Codec::Snappy => snap::raw::Decoder::new().decompress(part, room).map_err(broken)?,
        Codec::Lz4 => lz4_flex::block::decompress_into(part, room).map_err(broken)?,
    };
    out.truncate(from + given);
    if given == 0 { Err(broken("a block that unfolds to nothing")) } else { Ok(given) }
}

/// Snappy's frames.
#[derive(Default)]
struct Chunks {
    /// The kind and the length of the chunk that is next; else its head is.
    chunk: Option<(u8, usize)>,
}

/// The checksum of a chunk, masked.
fn masked(data: &[u8]) -> u32 {
    // A checksum of 32 bits.
    let crc = u32::try_from(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, data)).unwrap_or_default();
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

impl Parts for Chunks {
    fn wanted(&self) -> usize {
        self.chunk.map_or(CHUNK_HEAD, |(_, length)| length)
    }

    fn part(&mut self, part: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let Some((kind, _)) = self.chunk.take() else {
            let (kind, length) = match part {
                [kind, a, b, c] => (*kind, number(&[*a, *b, *c, 0], u32::from_le_bytes)?),
                _ => return Err(broken("a chunk without a head")),
            };
            let most = snap::raw::max_compress_len(MAX_CHUNK) + 4;
            match kind {
                0 | 1 if !(4..=most).contains(&length) => return Err(broken(format!("a chunk of {length} bytes"))),
                2..=0x7F => return Err(broken(format!("a chunk of the kind {kind}, which is not known"))),
                _ => {}
            }
            self.chunk = Some((kind, length)).filter(|_| length > 0);
            return Ok(());
        };
        let from = out.len();
        let (checksum, data) = part.split_at_checked(4).unwrap_or_default();
        match kind {
            0 => _ = unfold(Codec::Snappy, data, MAX_CHUNK, out)?,
            1 if data.len() <= MAX_CHUNK => out.extend_from_slice(data),
            1 => return Err(broken("a chunk that is too long")),
            0xFF if part != SNAPPY_NAME => return Err(broken("a chunk that names another format")),
            _ => return Ok(()),
        }
        let right = number(checksum, u32::from_le_bytes)?;
        let found = masked(out.get(from..).unwrap_or_default());
        if usize::try_from(found).is_ok_and(|found| found == right) { Ok(()) } else { Err(broken("a wrong checksum")) }
    }

    fn may_end(&self) -> bool {
        self.chunk.is_none()
    }
}
