//! Compressed objects: by what their names end with, as Hadoop tells them, and in bounded memory whatever they unfold to.

use std::io::{self, Write};

use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

use crate::failure::Problem;

/// Bytes after which what is decompressed is passed on. A step adds at most [`STEP`] to it.
const ENOUGH: usize = 1024 * 1024;
/// Bytes that a step of decompressing gives at most; flate2's own buffers have as many.
const STEP: usize = 32 * 1024;

/// How an object is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// `.gz`, of one member or more (RFC 1952, section 2.2).
    Gzip,
    /// `.deflate`: a zlib stream (RFC 1950), which Hadoop's `DefaultCodec` writes.
    Deflate,
}

impl Compression {
    /// By the end of a key.
    ///
    /// # Errors
    /// One that cannot be read here.
    pub fn of(key: &str) -> Result<Self, Problem> {
        let ending = key.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        match ending.as_deref() {
            Some("gz") => Ok(Self::Gzip),
            Some("deflate") => Ok(Self::Deflate),
            Some(other @ ("bz2" | "zst" | "snappy" | "lz4" | "lzo" | "xz")) => Err(Problem::Data(format!(
                "HIVE_UNSUPPORTED_FORMAT: {key} is compressed with {other}, which is not read here; gz and deflate are"
            ))),
            _ => Ok(Self::None),
        }
    }

    /// What undoes it; `None` where nothing is to be undone.
    pub fn decoder(self) -> Option<Decoder> {
        match self {
            Self::None => None,
            Self::Gzip => Some(Decoder::Gzip(MultiGzDecoder::new(Vec::new()))),
            Self::Deflate => Some(Decoder::Zlib { inner: Decompress::new(true), out: Vec::new(), is_whole: false }),
        }
    }
}

/// Undoes a compression.
pub enum Decoder {
    /// Gzip
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// Zlib
    Zlib {
        /// flate2's.
        inner: Decompress,
        /// What it gave.
        out: Vec<u8>,
        /// Whether the stream has ended, with the right checksum.
        is_whole: bool,
    },
}

fn broken(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Decoder {
    /// The format's name in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gzip(_) => "gzip",
            Self::Zlib { .. } => "deflate",
        }
    }

    /// What some of `piece` unfolds to, which it is cut by; at most [`ENOUGH`] and [`STEP`] bytes.
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
        Ok(match self {
            Self::Gzip(gzip) => std::mem::take(gzip.get_mut()).into(),
            Self::Zlib { out, .. } => std::mem::take(out).into(),
        })
    }

    fn given(&self) -> usize {
        match self {
            Self::Gzip(gzip) => gzip.get_ref().len(),
            Self::Zlib { out, .. } => out.len(),
        }
    }

    fn step(&mut self, piece: &[u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(gzip) => gzip.write(piece),
            Self::Zlib { is_whole: true, .. } => Ok(0),
            Self::Zlib { inner, out, is_whole } => loop {
                let before = (inner.total_in(), inner.total_out());
                out.reserve(STEP);
                let status = inner.decompress_vec(piece, out, FlushDecompress::None).map_err(broken)?;
                *is_whole = matches!(status, Status::StreamEnd);
                let taken = usize::try_from(inner.total_in() - before.0).unwrap_or_default();
                match taken {
                    0 if !*is_whole && inner.total_out() == before.1 => return Err(broken("it does not go on")),
                    0 if !*is_whole => {}
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
        match self {
            Self::Gzip(gzip) => gzip.finish().map(Bytes::from),
            Self::Zlib { mut inner, mut out, is_whole } => {
                let mut is_whole = is_whole;
                while !is_whole {
                    let before = inner.total_out();
                    out.reserve(STEP);
                    let status = inner.decompress_vec(&[], &mut out, FlushDecompress::None).map_err(broken)?;
                    is_whole = matches!(status, Status::StreamEnd);
                    if !is_whole && inner.total_out() == before {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Ok(out.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_of_compression() {
        assert_eq!(Compression::of("a/b.csv").unwrap(), Compression::None);
        assert_eq!(Compression::of("a.b/c.GZ").unwrap(), Compression::Gzip);
        assert_eq!(Compression::of("c.deflate").unwrap(), Compression::Deflate);
        assert!(Compression::of("a.zst").unwrap_err().to_string().contains("zst"));
    }
}
