//! Objects of lines: read in pieces, decompressed by what their names end with, and split.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use millpond_hive::compression::{Compression, Decoder};

use crate::failure::Problem;
use crate::remote::{Remote, Source};

/// Bytes that are read at once.
const PIECE: u64 = 4 * 1024 * 1024;
/// Bytes that are given at once, however many there are: their lines are a batch of rows.
const SLICE: usize = 256 * 1024;
/// The longest line: a row must fit into memory several times.
pub const MAX_LINE: usize = 128 * 1024 * 1024;

/// The pieces of an object, decompressed, in order.
pub struct Pieces {
    remote: Remote,
    source: Source,
    next: u64,
    /// What was read and is not decompressed yet.
    piece: Bytes,
    decoder: Option<Decoder>,
    /// What is decompressed and was not given yet.
    ready: Bytes,
}

impl Pieces {
    /// From the beginning.
    ///
    /// # Errors
    /// It is compressed in a way that is not read here.
    pub fn new(remote: Remote, source: Source) -> Result<Self, Problem> {
        let unread = |why| Problem::Data(format!("HIVE_UNSUPPORTED_FORMAT: {} is {why}", source.path()));
        let compression = Compression::of(&source.key).map_err(unread)?;
        let decoder = Decoder::of(compression).map_err(|error| Problem::Internal(error.to_string()))?;
        Ok(Self { remote, source, next: 0, piece: Bytes::new(), decoder, ready: Bytes::new() })
    }

    /// The next piece, which may be empty; `None` at the end.
    ///
    /// # Errors
    /// It cannot be read, or is not what its name says.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.ready.is_empty() {
            match self.more().await? {
                Some(more) => self.ready = more,
                None => return Ok(None),
            }
        }
        Ok(Some(self.ready.split_to(self.ready.len().min(SLICE))))
    }

    /// What comes next, decompressed.
    async fn more(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.piece.is_empty() {
            if self.next >= self.source.size {
                return self.end();
            }
            let to = self.source.size.min(self.next + PIECE);
            self.piece = self.remote.bytes(&self.source, self.next..to).await?;
            self.next = to;
        }
        let Some(decoder) = &mut self.decoder else { return Ok(Some(std::mem::take(&mut self.piece))) };
        let (name, some) = (decoder.name(), decoder.some(&mut self.piece));
        some.map(Some).map_err(|error| self.broken(name, &error))
    }

    fn end(&mut self) -> Result<Option<Bytes>, Problem> {
        let Some(decoder) = self.decoder.take() else { return Ok(None) };
        let name = decoder.name();
        decoder.end().map(Some).map_err(|error| self.broken(name, &error))
    }

    fn broken(&self, name: &str, error: &io::Error) -> Problem {
        Problem::Data(format!("HIVE_BAD_DATA: {} is no whole {name} file: {error}", self.source.path()))
    }
}

/// Splits pieces into lines, which end with LF or CR LF.
#[derive(Debug, Default)]
pub struct Splitter {
    /// The object, which messages name.
    path: String,
    rest: Vec<u8>,
    /// Lines that were given, from 1 for the first: what messages name.
    pub line: u64,
}

impl Splitter {
    /// Of an object.
    pub fn of(path: String) -> Self {
        Self { path, ..Self::default() }
    }

    /// Gives `take` each line of a piece that has ended.
    ///
    /// # Errors
    /// Those of `take`; a line is too long.
    pub fn piece(
        &mut self,
        piece: &[u8],
        mut take: impl FnMut(u64, &[u8]) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let mut from = 0;
        for at in memchr::memchr_iter(b'\n', piece) {
            let part = piece.get(from..at).unwrap_or_default();
            from = at + 1;
            self.line += 1;
            if self.rest.is_empty() {
                take(self.line, without_cr(part))?;
            } else {
                self.rest.extend_from_slice(part);
                take(self.line, without_cr(&self.rest))?;
                self.rest.clear();
            }
        }
        let part = piece.get(from..).unwrap_or_default();
        if self.rest.len() + part.len() > MAX_LINE {
            let (path, line) = (&self.path, self.line + 1);
            return Err(Problem::Data(format!("HIVE_BAD_DATA: {path} line {line} has more than {MAX_LINE} bytes")));
        }
        self.rest.extend_from_slice(part);
        Ok(())
    }

    /// Gives `take` the last line, where it does not end.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn end(&mut self, mut take: impl FnMut(u64, &[u8]) -> Result<(), Problem>) -> Result<(), Problem> {
        if self.rest.is_empty() {
            return Ok(());
        }
        self.line += 1;
        let rest = std::mem::take(&mut self.rest);
        take(self.line, without_cr(&rest))
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Holds the last lines of an object back, as they may be those that are passed over.
#[derive(Debug, Default)]
pub struct Held {
    /// The object, which messages name.
    path: String,
    count: usize,
    lines: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
}

impl Held {
    /// So many lines of an object.
    pub fn new(path: String, count: usize) -> Self {
        Self { path, count, ..Self::default() }
    }

    /// Takes a line, and gives `take` the one that is not among the last any more.
    ///
    /// # Errors
    /// Those of `take`; the lines are too long together.
    pub fn line(
        &mut self,
        number: u64,
        line: &[u8],
        take: impl FnOnce(u64, &[u8]) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        if self.count == 0 {
            return take(number, line);
        }
        self.bytes += line.len();
        self.lines.push_back((number, line.to_vec()));
        if self.lines.len() > self.count
            && let Some((number, line)) = self.lines.pop_front()
        {
            self.bytes -= line.len();
            take(number, &line)?;
        }
        if self.bytes > MAX_LINE {
            let (path, count) = (&self.path, self.count);
            let words = format!("HIVE_BAD_DATA: {path}: {count} lines up to {number} have more than {MAX_LINE} bytes");
            return Err(Problem::Data(words));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
        let mut take = |line: u64, text: &[u8]| {
            lines.push(format!("{line}:{}", String::from_utf8_lossy(text)));
            Ok(())
        };
        for piece in pieces {
            splitter.piece(piece, &mut take).unwrap();
        }
        splitter.end(&mut take).unwrap();
        lines
    }

    #[test]
    fn lines_go_over_pieces() {
        assert_eq!(split(&[b"a\nb", b"c\r", b"\n\nd"]), ["1:a", "2:bc", "3:", "4:d"]);
        assert_eq!(split(&[b"a\n"]), ["1:a"]);
        assert_eq!(split(&[]), [] as [&str; 0]);
    }
}
