//! Writing an extent.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use crate::api::{BLOCK, BlobError, ExtentId};
use crate::file::NewFile;
use crate::flight::Written;
use crate::format::{Framed, stored_len};
use crate::pool::outcome;
use crate::segment::append::{Append, Reply};
use crate::store::{Blobs, Inner};

/// Content that is written to a file at once: whole blocks, as one vectored write.
const PIECE: usize = 16 * BLOCK as usize;
/// Pieces of one writer under way. With the one being gathered a writer holds at most 3 MiB.
const MAX_PIECES: usize = 2;
/// Chunks below this are gathered into one buffer: a slice each in a vectored write would cost more than the copy.
const GATHER: usize = 8 * 1024;
/// Up to this much content is checksummed on the calling thread, which takes some tens of microseconds; more on the pool.
const CHECKSUM_INLINE: u64 = 256 * 1024;

/// Chunks that wait to be written.
#[derive(Default)]
struct Gathered {
    chunks: VecDeque<Bytes>,
    /// Small chunks, after all of `chunks`.
    tail: BytesMut,
    len: usize,
}

impl Gathered {
    fn push(&mut self, chunk: Bytes) {
        self.len += chunk.len();
        if chunk.len() >= GATHER {
            self.flush();
            return self.chunks.push_back(chunk);
        }
        if self.tail.capacity() - self.tail.len() < chunk.len() {
            self.flush();
            self.tail.reserve(BLOCK as usize);
        }
        self.tail.extend_from_slice(&chunk);
    }

    fn flush(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(self.tail.split().freeze());
        }
    }

    /// Takes the first `len` bytes, or all if there are fewer.
    fn take(&mut self, len: usize) -> Vec<Bytes> {
        self.flush();
        let mut left = len.min(self.len);
        self.len -= left;
        let mut taken = Vec::new();
        while left > 0 {
            let Some(mut chunk) = self.chunks.pop_front() else { break };
            if chunk.len() > left {
                self.chunks.push_front(chunk.split_off(left));
            }
            left -= chunk.len();
            taken.push(chunk);
        }
        taken
    }
}

struct FileWrite {
    new: Arc<NewFile>,
    named: oneshot::Receiver<Result<(), BlobError>>,
    pieces: VecDeque<oneshot::Receiver<Result<(), BlobError>>>,
    /// The next block.
    block: u64,
}

/// Writes one extent: [`Writer::write`] in any number of chunks, then [`Writer::finish`]. Dropped before, it gives its space back. After an error
/// only dropping it makes sense.
pub struct Writer {
    inner: Arc<Inner>,
    extent: ExtentId,
    expected: Option<u64>,
    gathered: Gathered,
    len: u64,
    file: Option<FileWrite>,
}

impl Blobs {
    /// Begins an extent. `expected_len` is a hint, from which large extents gain: content may turn out shorter or longer. It must be a length
    /// that the caller believes, for room is taken from the disk for it.
    pub fn writer(&self, expected_len: Option<u64>) -> Writer {
        Writer {
            inner: Arc::clone(&self.inner),
            extent: ExtentId(self.inner.random.u128()),
            expected: expected_len,
            gathered: Gathered::default(),
            len: 0,
            file: None,
        }
    }
}

impl Writer {
    /// Adds content. Waits while too much of it is under way to the disk.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        self.inner.check_stopped()?;
        self.len += chunk.len() as u64;
        self.gathered.push(chunk);
        let expected = self.expected.unwrap_or(0).max(self.len);
        if self.file.is_none() && expected > self.inner.config.segment_max {
            self.file = Some(self.begin_file().await?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        while self.gathered.len >= PIECE {
            if file.pieces.len() >= MAX_PIECES
                && let Some(first) = file.pieces.pop_front()
            {
                outcome(first).await?;
            }
            let piece = self.gathered.take(PIECE);
            let (new, block, claimed) = (Arc::clone(&file.new), file.block, self.expected.is_some());
            file.pieces.push_back(self.inner.writers.run(move || new.write(block, piece, claimed)));
            file.block += PIECE as u64 / BLOCK;
        }
        Ok(())
    }

    async fn begin_file(&self) -> Result<FileWrite, BlobError> {
        let (inner, extent, expected) = (Arc::clone(&self.inner), self.extent, self.expected);
        let new = outcome(self.inner.writers.run(move || NewFile::create(&inner, extent, expected))).await?;
        let naming = Arc::clone(&new);
        let named = self.inner.writers.run(move || naming.sync_name());
        Ok(FileWrite { new, named, pieces: VecDeque::new(), block: 0 })
    }

    /// Ends the extent: durable when this returns, unless it is handed back to be kept inline.
    pub async fn finish(mut self) -> Result<Written, BlobError> {
        self.inner.check_stopped()?;
        if let Some(file) = self.file.take() {
            return self.finish_file(file).await;
        }
        let mut chunks = self.gathered.take(usize::MAX);
        if self.len <= self.inner.config.inline_max {
            let only = if chunks.len() == 1 { chunks.pop() } else { None };
            return Ok(Written::Inline(only.unwrap_or_else(|| chunks.concat().into())));
        }
        self.append(chunks).await
    }

    async fn finish_file(mut self, file: FileWrite) -> Result<Written, BlobError> {
        for piece in file.pieces {
            outcome(piece).await?;
        }
        outcome(file.named).await?;
        let last = self.gathered.take(usize::MAX);
        let (new, len, expected, block) = (file.new, self.len, self.expected, file.block);
        let (send, receive) = oneshot::channel();
        self.inner.writers.submit(move || {
            let written = if last.is_empty() { Ok(()) } else { new.write(block, last, expected.is_some()) };
            let finished = written.and_then(|()| new.finish(len, expected));
            if let Err(Ok(unwanted)) = send.send(finished) {
                unwanted.abandon();
            }
        });
        Ok(Written::Stored(outcome(receive).await?))
    }

    async fn append(self, chunks: Vec<Bytes>) -> Result<Written, BlobError> {
        let (extent, len) = (self.extent, self.len);
        self.inner.space.claim(&*self.inner.disk, &self.inner.dir, stored_len(len))?;
        let framed = if len <= CHECKSUM_INLINE {
            Framed::new(extent, 0, chunks)
        } else {
            outcome(self.inner.writers.run(move || Ok(Framed::new(extent, 0, chunks)))).await?
        };
        self.inner.flights.begin(extent);
        let (send, receive) = oneshot::channel();
        self.inner.queue.push(Append { extent, len, framed, reply: Reply::Writer(send) });
        let stored = outcome(receive).await;
        if stored.is_err() {
            self.inner.flights.end(extent);
        }
        Ok(Written::Stored(stored?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_out_in_order_whatever_their_sizes() {
        let mut gathered = Gathered::default();
        let mut expected = Vec::new();
        for n in 0..200_usize {
            let chunk = vec![n as u8; n * 97 % 20_000];
            expected.extend_from_slice(&chunk);
            gathered.push(chunk.into());
        }
        let mut out = Vec::new();
        while gathered.len > 0 {
            let before = gathered.len;
            let taken = gathered.take(70_001).concat();
            assert_eq!(taken.len(), before.min(70_001));
            out.extend(taken);
        }
        assert!(out == expected);
        assert!(gathered.take(1).is_empty());
    }
}
