//! Reading an extent.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use millpond_io::File;
use tokio::sync::oneshot;

use crate::api::{BLOCK, BlobError, ExtentId, IN_HEADER, Location};
use crate::format::{CHECK, FRAME, GROUP_ALIGN, HEADER, Header, framed_len, stored_len, verify};
use crate::handles::{BUFFER, Key};
use crate::store::{Blobs, Inner};

/// Blocks that are read at once from a large range.
const PIECE_BLOCKS: u64 = 16;
/// Ranges up to this many blocks are read on the calling thread: from the page cache that takes less than handing it to another.
const INLINE_BLOCKS: u64 = 4;

/// What is done to each block of a sealed extent, where it lies, once it was verified.
pub trait Unseal: Send + Sync + 'static {
    /// Opens a block, which is the extent's `number`th from 0. Its content is then the first so many bytes. `None` when it cannot be opened.
    fn open(&self, number: u64, block: &mut [u8]) -> Option<usize>;
}

type Unsealing = Option<Arc<dyn Unseal>>;

/// An opened extent.
#[derive(Clone)]
pub struct Source {
    file: Arc<dyn File>,
    extent: ExtentId,
    /// Where the header is.
    base: u64,
    /// Bytes of content.
    len: u64,
}

impl Source {
    /// Opens an extent's file; nothing of it is read yet.
    pub fn open(inner: &Inner, extent: ExtentId, at: Location) -> Result<Self, BlobError> {
        let (key, base, len) = match at {
            Location::Segment { segment, offset, len } => (Key::Segment(segment), offset, len),
            Location::File { len } => (Key::File(extent), 0, len),
        };
        let path = || match key {
            Key::Segment(number) => crate::segment::path(&inner.dir, number),
            Key::File(extent) => crate::file::path(&inner.dir, extent),
        };
        // So that no sum below can overflow, whatever the metadata says.
        if base.checked_add(stored_len(len)).is_none_or(|end| end > i64::MAX as u64) {
            return Err(BlobError::Missing(extent.0));
        }
        match inner.handles.get(key, &*inner.disk, path) {
            Ok(file) => Ok(Self { file, extent, base, len }),
            Err(error) if error.is_missing() => Err(BlobError::Missing(extent.0)),
            Err(error) => Err(error.into()),
        }
    }

    fn blocks(&self) -> u64 {
        self.len.div_ceil(BLOCK)
    }

    fn check_header(&self, bytes: &[u8]) -> Result<(), BlobError> {
        match Header::decode(bytes) {
            Some(header) if header.extent == self.extent && header.len == self.len => Ok(()),
            Some(header) if header.extent != self.extent => Err(BlobError::Missing(self.extent.0)),
            _ => Err(BlobError::Damaged { extent: self.extent.0, block: IN_HEADER }),
        }
    }

    /// Reads, verifies and opens some blocks; `with_header`: the header, too.
    pub fn fetch(
        &self,
        inner: &Inner,
        blocks: Range<u64>,
        with_header: bool,
        unseal: &Unsealing,
    ) -> Result<Vec<Bytes>, BlobError> {
        let fetched = self.fetch_unchecked(inner, blocks, with_header, unseal);
        if matches!(fetched, Err(BlobError::Damaged { .. })) {
            inner.stats.damage();
        }
        fetched
    }

    fn fetch_unchecked(
        &self,
        inner: &Inner,
        blocks: Range<u64>,
        with_header: bool,
        unseal: &Unsealing,
    ) -> Result<Vec<Bytes>, BlobError> {
        let len = (blocks.end * BLOCK).min(self.len) - blocks.start * BLOCK;
        let mut skip = 0;
        if with_header && blocks.start == 0 {
            skip = HEADER;
        } else if with_header {
            let mut header = [0; HEADER];
            let got = self.file.read_at(&mut header, self.base)?;
            self.check_header(&header[..got])?;
        }
        let from = self.base + HEADER as u64 - skip as u64 + blocks.start * FRAME;
        let size = skip + framed_len(len) as usize;
        // Whole pieces only: a buffer is filled to its capacity.
        let large = size > BUFFER - 2 * GROUP_ALIGN as usize && size <= BUFFER;
        let mut buffer = if large { inner.buffers.take() } else { Vec::with_capacity(size) };
        self.file.read_append(&mut buffer, size, from)?;
        if skip > 0 {
            self.check_header(buffer.get(..skip).unwrap_or_default())?;
        }
        let stored = buffer.get_mut(skip..).unwrap_or_default();
        let mut places = verify(self.extent, blocks.start, len, stored)?;
        if let Some(unseal) = unseal {
            for (number, place) in (blocks.start..).zip(&mut places) {
                let opened = stored.get_mut(place.clone()).and_then(|block| unseal.open(number, block));
                let length = opened.ok_or(BlobError::Damaged { extent: self.extent.0, block: number })?;
                place.end = place.start + length;
            }
        }
        let bytes = if large { inner.buffers.share(buffer) } else { Bytes::from(buffer) };
        Ok(places.into_iter().map(|place| bytes.slice(skip + place.start..skip + place.end)).collect())
    }
}

/// Gives the content of a range, verified, chunk by chunk.
pub struct ExtentReader {
    inner: Arc<Inner>,
    source: Source,
    /// Content yet to be given.
    range: Range<u64>,
    /// Blocks not asked for yet.
    blocks: Range<u64>,
    unseal: Unsealing,
    ready: VecDeque<Bytes>,
    ahead: Option<oneshot::Receiver<Result<Vec<Bytes>, BlobError>>>,
}

impl Blobs {
    /// Opens a range of an extent's content; what reaches beyond its end is left out. The first blocks are read and verified before this returns.
    ///
    /// An extent that [`Blobs::reclaim`] has moved meanwhile is [`BlobError::Missing`] at its old place: ask the metadata again. A reader that was
    /// opened before goes on.
    pub async fn read(&self, extent: ExtentId, at: Location, range: Range<u64>) -> Result<ExtentReader, BlobError> {
        self.reader(extent, at, range, None).await
    }

    /// Opens whole blocks of a sealed extent. Each chunk is one block's content, which is shorter than the block; a block that does not open is
    /// [`BlobError::Damaged`]. Blocks are opened where they are read, before anybody else sees them.
    pub async fn read_sealed(
        &self,
        extent: ExtentId,
        at: Location,
        blocks: Range<u64>,
        unseal: Arc<dyn Unseal>,
    ) -> Result<ExtentReader, BlobError> {
        let range = blocks.start.saturating_mul(BLOCK)..blocks.end.saturating_mul(BLOCK);
        self.reader(extent, at, range, Some(unseal)).await
    }

    async fn reader(
        &self,
        extent: ExtentId,
        at: Location,
        range: Range<u64>,
        unseal: Unsealing,
    ) -> Result<ExtentReader, BlobError> {
        let end = range.end.min(at.len());
        let range = range.start.min(end)..end;
        let blocks = range.start / BLOCK..range.end.div_ceil(BLOCK);
        let inner = Arc::clone(&self.inner);
        let source = Source::open(&inner, extent, at)?;
        let (ready, ahead) = (VecDeque::new(), None);
        let mut reader = ExtentReader { inner, source, range, blocks, unseal, ready, ahead };
        if !reader.range.is_empty() {
            reader.begin().await?;
        }
        Ok(reader)
    }

    /// Reads and verifies all of an extent.
    pub async fn verify(&self, extent: ExtentId, at: Location) -> Result<(), BlobError> {
        let mut reader = self.read(extent, at, 0..at.len()).await?;
        while reader.next().await?.is_some() {}
        Ok(())
    }
}

impl ExtentReader {
    /// Bytes yet to come.
    pub fn remaining(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn take_blocks(&mut self) -> Range<u64> {
        let end = self.blocks.end.min(self.blocks.start + PIECE_BLOCKS);
        let taken = self.blocks.start..end;
        self.blocks.start = end;
        taken
    }

    async fn begin(&mut self) -> Result<(), BlobError> {
        if self.blocks.end - self.blocks.start <= INLINE_BLOCKS {
            let blocks = self.take_blocks();
            self.ready = self.source.fetch(&self.inner, blocks, true, &self.unseal)?.into();
            return Ok(());
        }
        self.read_ahead(true);
        self.receive().await
    }

    /// Has the next blocks read while the present ones are used.
    fn read_ahead(&mut self, with_header: bool) {
        if self.ahead.is_some() || self.blocks.is_empty() {
            return;
        }
        let blocks = self.take_blocks();
        let (source, inner, unseal) = (self.source.clone(), Arc::clone(&self.inner), self.unseal.clone());
        self.ahead = Some(self.inner.readers.run(move || source.fetch(&inner, blocks, with_header, &unseal)));
    }

    async fn receive(&mut self) -> Result<(), BlobError> {
        if let Some(ahead) = &mut self.ahead {
            let gone = |_| Err(BlobError::Stopped("a disk job ended early".to_owned()));
            let fetched = ahead.await.unwrap_or_else(gone);
            self.ahead = None;
            self.ready = fetched?.into();
        }
        self.read_ahead(false);
        Ok(())
    }

    /// The next content, or `None` at the end of the range. A chunk is at most a block and shares its buffer with its neighbours. After an error the
    /// reader is of no further use. Safe to cancel.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        if self.range.is_empty() {
            return Ok(None);
        }
        if self.ready.is_empty() {
            self.read_ahead(false);
            self.receive().await?;
        }
        let Some(block) = self.ready.pop_front() else {
            return Err(BlobError::Missing(self.source.extent.0));
        };
        if self.unseal.is_some() {
            self.range.start += self.remaining().min(BLOCK);
            return Ok(Some(block));
        }
        let skip = (self.range.start % BLOCK) as usize;
        let wanted = self.remaining().min((block.len() - skip.min(block.len())) as u64);
        self.range.start += wanted;
        Ok(Some(block.slice(skip..skip + wanted as usize)))
    }

    /// All that is left, in one piece. For ranges that are known to be small.
    pub async fn collect(mut self) -> Result<Bytes, BlobError> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        if self.range.is_empty() {
            return Ok(first);
        }
        let mut all = Vec::with_capacity(first.len() + self.remaining() as usize);
        all.extend_from_slice(&first);
        while let Some(chunk) = self.next().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }
}

/// Reads all of an extent for a move, verified.
pub fn read_whole(inner: &Inner, extent: ExtentId, at: Location) -> Result<Vec<Bytes>, BlobError> {
    let source = Source::open(inner, extent, at)?;
    let blocks = 0..source.blocks();
    source.fetch(inner, blocks, true, &None)
}

/// Reads the header at an offset of a segment.
pub fn header_at(inner: &Inner, segment: u64, offset: u64) -> Result<Header, BlobError> {
    let path = || crate::segment::path(&inner.dir, segment);
    let file = inner.handles.get(Key::Segment(segment), &*inner.disk, path)?;
    let mut header = [0; HEADER];
    let got = file.read_at(&mut header, offset)?;
    // Whose it is nobody can tell.
    Header::decode(&header[..got]).ok_or(BlobError::Damaged { extent: 0, block: IN_HEADER })
}

const _: () = assert!(BUFFER as u64 >= PIECE_BLOCKS * (BLOCK + CHECK as u64) + HEADER as u64);
