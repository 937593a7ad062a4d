//! What undoes a compression, piece by piece.

use std::io::{self, Write};

use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{self, Operation};

use super::Compression;
use super::blocks::{Blocks, Codec};

/// Bytes after which what is decompressed is passed on. A step adds at most [`STEP`] to it, or a block.
const ENOUGH: usize = 1024 * 1024;
/// Bytes that a step of decompressing gives; flate2's own buffers have as many.
const STEP: usize = 32 * 1024;

/// Undoes a compression.
pub struct Decoder {
    name: &'static str,
    out: Vec<u8>,
    inner: Inner,
}

enum Inner {
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Stream(Box<dyn Stream + Send>),
    Blocks(Blocks),
}

/// A compression whose state takes and gives bytes as there are.
trait Stream {
    /// Takes from `input`, which may be empty, and adds to `out`: how many bytes it took.
    fn run(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<usize>;
    /// Whether what it was given has ended.
    fn is_whole(&self) -> bool;
}

/// What is wrong with an object.
pub(super) fn broken(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Decoder {
    /// Of a compression; `None` where nothing is to be undone.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn of(compression: Compression) -> io::Result<Option<Self>> {
        let inner = match compression {
            Compression::None => return Ok(None),
            Compression::Gzip => Inner::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Compression::Deflate => Inner::Stream(Box::new(Zlib { inner: Decompress::new(true), is_whole: false })),
            Compression::Bzip2 => Inner::Stream(Box::new(Bzip2 { inner: None, streams: 0 })),
            Compression::Zstd => {
                let zstd = Zstd { inner: raw::Decoder::new()?, buffer: vec![0; STEP], is_whole: false };
                Inner::Stream(Box::new(zstd))
            }
            Compression::Snappy => Inner::Blocks(Blocks::new(Codec::Snappy)),
            Compression::Lz4 => Inner::Blocks(Blocks::new(Codec::Lz4)),
        };
        Ok(Some(Self { name: compression.name(), out: Vec::new(), inner }))
    }

    /// The format's name in messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What some of `piece` unfolds to, which it is cut by.
    ///
    /// # Errors
    /// It is broken.
    pub fn some(&mut self, piece: &mut Bytes) -> io::Result<Bytes> {
        while !piece.is_empty() && self.given() < ENOUGH {
            match self.step(piece)? {
                0 => return Err(broken("bytes follow its end")),
                taken => piece.advance(taken),
            }
        }
        Ok(match &mut self.inner {
            Inner::Gzip(gzip) => std::mem::take(gzip.get_mut()).into(),
            _ => std::mem::take(&mut self.out).into(),
        })
    }

    fn given(&self) -> usize {
        match &self.inner {
            Inner::Gzip(gzip) => gzip.get_ref().len(),
            _ => self.out.len(),
        }
    }

    fn step(&mut self, piece: &[u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Gzip(gzip) => gzip.write(piece),
            Inner::Blocks(blocks) => blocks.step(piece, &mut self.out),
            Inner::Stream(stream) => loop {
                let before = self.out.len();
                match stream.run(piece, &mut self.out)? {
                    // Only zlib has an end after which nothing may be.
                    0 if self.out.len() == before && stream.is_whole() => return Ok(0),
                    0 if self.out.len() == before => return Err(broken("it does not go on")),
                    0 => {}
                    taken => return Ok(taken),
                }
            },
        }
    }

    /// What is left at the end of the object.
    ///
    /// # Errors
    /// It is cut off, or its checksum is another.
    pub fn end(self) -> io::Result<Bytes> {
        let mut out = self.out;
        match self.inner {
            Inner::Gzip(gzip) => return gzip.finish().map(Bytes::from),
            Inner::Blocks(blocks) => blocks.end()?,
            Inner::Stream(mut stream) => {
                while !stream.is_whole() {
                    let before = out.len();
                    stream.run(&[], &mut out)?;
                    if out.len() == before && !stream.is_whole() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
        Ok(out.into())
    }
}

struct Zlib {
    inner: Decompress,
    /// Whether the stream has ended, with the right checksum.
    is_whole: bool,
}

/// How far a counter of bytes went.
fn since(before: u64, now: u64) -> usize {
    usize::try_from(now.saturating_sub(before)).unwrap_or_default()
}

impl Stream for Zlib {
    fn run(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        if self.is_whole {
            return Ok(0);
        }
        let before = self.inner.total_in();
        out.reserve(STEP);
        let status = self.inner.decompress_vec(input, out, FlushDecompress::None).map_err(broken)?;
        self.is_whole = matches!(status, Status::StreamEnd);
        Ok(since(before, self.inner.total_in()))
    }

    fn is_whole(&self) -> bool {
        self.is_whole
    }
}

struct Bzip2 {
    /// The stream that has begun and has not ended.
    inner: Option<bzip2::Decompress>,
    /// Streams that have ended.
    streams: u64,
}

impl Stream for Bzip2 {
    fn run(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let mut taken = 0;
        while taken == 0 {
            let stream = self.inner.get_or_insert_with(|| bzip2::Decompress::new(false));
            let before = (stream.total_in(), stream.total_out());
            out.reserve(STEP);
            let status = stream.decompress_vec(input, out).map_err(broken)?;
            taken = since(before.0, stream.total_in());
            let given = since(before.1, stream.total_out());
            if matches!(status, bzip2::Status::StreamEnd) {
                self.inner = None;
                self.streams += 1;
                // What follows is a stream of its own.
                if input.is_empty() {
                    break;
                }
            } else if given > 0 || taken == 0 {
                break;
            }
        }
        Ok(taken)
    }

    fn is_whole(&self) -> bool {
        self.inner.is_none() && self.streams > 0
    }
}

struct Zstd {
    inner: raw::Decoder<'static>,
    buffer: Vec<u8>,
    /// Whether a frame has ended, and all that it unfolds to was given.
    is_whole: bool,
}

impl Stream for Zstd {
    fn run(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let status = self.inner.run_on_buffers(input, &mut self.buffer)?;
        self.is_whole = status.remaining == 0;
        out.extend_from_slice(self.buffer.get(..status.bytes_written).unwrap_or_default());
        Ok(status.bytes_read)
    }

    fn is_whole(&self) -> bool {
        self.is_whole
    }
}
