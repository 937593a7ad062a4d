//! Giving space back: segments of which little is live, and extents that no metadata names.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use millpond_io::OpenMode;
use tokio::sync::oneshot;

use crate::api::{BlobError, ExtentId, Location};
use crate::file;
use crate::format::Framed;
use crate::handles::Key;
use crate::pool::outcome;
use crate::reader;
use crate::segment::append::{Append, Reply};
use crate::segment::scan;
use crate::segment::table::Candidate;
use crate::store::{Blobs, Inner};

/// Segments handled by one call, so that the caller can pace the work.
const MAX_SEGMENTS: usize = 16;
/// Extents moved by one metadata commit...
const MAX_MOVES: usize = 64;
/// ...unless they reach this many bytes before: so much is held in memory.
const MAX_MOVE_BYTES: u64 = 8 << 20;
/// Extents asked about at once.
const MAX_ASKED: usize = 1000;

/// Directories listed at once: an eighth of the names is held in memory.
const LISTED: usize = 32;

/// A future that borrows.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An extent that was copied to another place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Move {
    /// Which.
    pub extent: ExtentId,
    /// Where the metadata says it lies.
    pub from: Location,
    /// Where it lies now, too, durably.
    pub to: Location,
}

/// What became of a [`Move`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moved {
    /// The metadata names the new place, durably.
    Named,
    /// It names neither the old place nor the new one: deleted meanwhile, or moved by another. The copy can go.
    Stale,
    /// It names the old place still, as the change was refused for now. The copy can go.
    Refused,
    /// The same, because its row cannot be read; trying again will not help.
    Unreadable,
    /// Nobody knows which of the two places a restart will find named. Both are kept until then.
    Unknown,
}

/// The metadata, as the reclaiming of space needs it.
pub trait Mover: Send + Sync {
    /// Where the metadata says that each of these extents lies; `None` when it does not name it.
    fn locate<'a>(&'a self, extents: &'a [ExtentId]) -> BoxFuture<'a, Result<Vec<Option<Location>>, BlobError>>;

    /// Lets the metadata name the new places, durably, of those extents that it names at the old place still. Tells for each what
    /// became of it; those that are not told of count as [`Moved::Unknown`].
    fn moved<'a>(&'a self, moves: &'a [Move]) -> BoxFuture<'a, Vec<Moved>>;
}

/// What a call of [`Blobs::reclaim`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reclaimed {
    /// Segments removed.
    pub segments: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Extents moved before.
    pub moved: u64,
    /// Bytes of their content.
    pub moved_bytes: u64,
}

/// What a call of [`Blobs::sweep`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Files looked at.
    pub files: u64,
    /// Files removed that no metadata named.
    pub removed: u64,
    /// Extents settled whose writers had gone without a word.
    pub settled: u64,
}

impl Blobs {
    /// Removes sealed segments of which less than half is live, after moving what is. One pass over at most sixteen segments; nothing happens until
    /// [`Blobs::load_done`]. A segment with a live extent that cannot be read is kept, and so is one whose live extents find no room: moves may use the
    /// reserve, but copies that do not fit would only fill the disk.
    pub async fn reclaim(&self, mover: &dyn Mover) -> Result<Reclaimed, BlobError> {
        let mut done = Reclaimed::default();
        for candidate in self.inner.segments.candidates().into_iter().take(MAX_SEGMENTS) {
            if candidate.live > 0 && !self.fits(candidate.live)? {
                continue;
            }
            self.empty(candidate, mover, &mut done).await?;
            if self.remove_dead(candidate, mover).await? {
                done.segments += 1;
                done.bytes += candidate.bytes;
            }
        }
        Ok(done)
    }

    /// Whether there is room for copies of so many bytes, the reserve included.
    fn fits(&self, bytes: u64) -> Result<bool, BlobError> {
        Ok(self.inner.disk.space(&self.inner.dir)?.0 >= bytes)
    }

    /// Moves what is live out of a segment.
    async fn empty(&self, candidate: Candidate, mover: &dyn Mover, done: &mut Reclaimed) -> Result<(), BlobError> {
        let live = self.inner.segments.live_in(candidate.number);
        let mut rest = &live[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |(_, size): &&(u64, u64)| {
                bytes += *size;
                bytes <= MAX_MOVE_BYTES
            };
            let count = rest.iter().take(MAX_MOVES).take_while(fits).count().max(1);
            let (now, later) = rest.split_at(count);
            rest = later;
            self.move_some(candidate.number, now, mover, done).await?;
        }
        Ok(())
    }

    async fn move_some(
        &self,
        segment: u64,
        slots: &[(u64, u64)],
        mover: &dyn Mover,
        done: &mut Reclaimed,
    ) -> Result<(), BlobError> {
        let (inner, slots) = (Arc::clone(&self.inner), slots.to_vec());
        let read = self.inner.readers.run(move || Ok(read_live(&inner, segment, &slots)));
        let mut appended = Vec::new();
        for (extent, from, framed) in outcome(read).await? {
            let (send, receive) = oneshot::channel();
            self.inner.queue.push(Append { extent, len: from.len(), framed, reply: Reply::Mover(send) });
            appended.push((extent, from, receive));
        }
        let (mut moves, mut failed) = (Vec::new(), None);
        for (extent, from, receive) in appended {
            match outcome(receive).await {
                Ok(to) => moves.push(Move { extent, from, to }),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed {
            // No metadata names the copies that were made, nor ever will.
            moves.iter().for_each(|one| self.inner.segments.delete(one.to));
            return Err(error);
        }
        self.name_moved(&moves, mover, done).await
    }

    /// Lets the metadata name the copies, and gives up whichever of the two places it does not name.
    async fn name_moved(&self, moves: &[Move], mover: &dyn Mover, done: &mut Reclaimed) -> Result<(), BlobError> {
        if moves.is_empty() {
            return Ok(());
        }
        let segments = &self.inner.segments;
        let mut refused = None;
        let outcomes = mover.moved(moves).await.into_iter().chain(std::iter::repeat(Moved::Unknown));
        for (one, moved) in moves.iter().zip(outcomes) {
            match moved {
                Moved::Named => {
                    done.moved += 1;
                    done.moved_bytes += one.from.len();
                    segments.delete(one.from);
                }
                Moved::Stale => {
                    // The old place is asked about once more before its segment goes.
                    segments.delete(one.to);
                    segments.delete(one.from);
                }
                Moved::Refused | Moved::Unreadable => segments.delete(one.to),
                Moved::Unknown => {}
            }
            if moved == Moved::Unreadable
                && let Location::Segment { segment, .. } = one.from
            {
                segments.mark_damaged(segment);
            }
            if matches!(moved, Moved::Refused | Moved::Unknown) {
                refused = Some(one.extent);
            }
        }
        match refused {
            Some(ExtentId(id)) => Err(BlobError::Metadata(format!("the move of extent {id:032x} was not taken"))),
            None => Ok(()),
        }
    }

    /// Removes a segment in which nothing is live, if the metadata agrees: a mistake here would be the loss of data.
    async fn remove_dead(&self, candidate: Candidate, mover: &dyn Mover) -> Result<bool, BlobError> {
        let number = candidate.number;
        if !self.inner.segments.live_in(number).is_empty() {
            return Ok(false);
        }
        let inner = Arc::clone(&self.inner);
        let scanned = self.inner.readers.run(move || {
            let file = inner.disk.open(&crate::segment::path(&inner.dir, number), OpenMode::Read)?;
            scan::extents(&*file, number)
        });
        let found = match outcome(scanned).await {
            Ok(found) => found,
            Err(error) => {
                // Were it tried again and again, the segments behind it would never have their turn.
                tracing::error!(segment = number, %error, "a segment cannot be read: it is kept");
                self.inner.segments.mark_damaged(number);
                return Ok(false);
            }
        };
        for found in found.chunks(MAX_ASKED) {
            let ids: Vec<ExtentId> = found.iter().map(|(extent, _)| *extent).collect();
            let places = mover.locate(&ids).await?;
            let named = found.iter().zip(places).filter(|((_, here), place)| *place == Some(*here));
            let named: Vec<Location> = named.map(|((_, here), _)| *here).collect();
            if !named.is_empty() {
                tracing::error!(segment = number, extents = named.len(), "a segment thought dead is not");
                self.inner.segments.load(named.into_iter());
                return Ok(false);
            }
        }
        if !self.inner.segments.remove_if_dead(number) {
            return Ok(false);
        }
        let inner = Arc::clone(&self.inner);
        let removal = self.inner.writers.run(move || {
            // Not made durable: should the name come back, all in it is dead at the next start as well.
            let removed = inner.disk.remove(&crate::segment::path(&inner.dir, number));
            inner.handles.forget(Key::Segment(number));
            removed.map_err(BlobError::from)
        });
        if let Err(error) = outcome(removal).await {
            self.inner.segments.add(number, candidate.bytes, true);
            return Err(error);
        }
        Ok(true)
    }

    /// Asks the metadata about extents whose writers went away without a word (requests that were cut off) longer than [`crate::BlobConfig::grace`]
    /// ago, and settles them: until then they hold their segments. Cheap when there are none. Gives how many.
    pub async fn settle(&self, mover: &dyn Mover) -> Result<u64, BlobError> {
        let mut done = Swept::default();
        self.settle_overdue(mover, &mut done).await?;
        Ok(done.settled)
    }

    /// Removes files that no metadata names: what a crash between a write and its commit left behind. Spares what is being written and what
    /// is on its way to the metadata. Settles what was dropped without a word longer than the time of grace ago. (In segments, what is not named is dead by itself.)
    pub async fn sweep(&self, mover: &dyn Mover) -> Result<Swept, BlobError> {
        let mut done = Swept::default();
        self.settle_overdue(mover, &mut done).await?;
        let fans: Vec<PathBuf> = file::fans(&self.inner.dir).collect();
        for fans in fans.chunks(LISTED) {
            let (inner, fans) = (Arc::clone(&self.inner), fans.to_vec());
            let listed = self.inner.readers.run(move || {
                let lists: Result<Vec<_>, _> = fans.iter().map(|fan| inner.disk.list(fan)).collect();
                Ok(lists?.concat())
            });
            let ids: Vec<ExtentId> = outcome(listed).await?.iter().filter_map(|name| file::extent(name)).collect();
            done.files += ids.len() as u64;
            for some in ids.chunks(MAX_ASKED) {
                // First who is in flight, then what is named: whoever has landed between the two is named.
                let some: Vec<ExtentId> = some.iter().copied().filter(|id| !self.inner.flights.holds(*id)).collect();
                let places = mover.locate(&some).await?;
                let orphans = some.iter().zip(places).filter(|(_, place)| place.is_none()).map(|(id, _)| *id);
                done.removed += self.remove_files(orphans.collect()).await?;
            }
        }
        Ok(done)
    }

    async fn remove_files(&self, orphans: Vec<ExtentId>) -> Result<u64, BlobError> {
        if orphans.is_empty() {
            return Ok(0);
        }
        let inner = Arc::clone(&self.inner);
        outcome(self.inner.writers.run(move || {
            let mut removed = 0;
            for extent in orphans {
                removed += u64::from(file::remove(&inner, extent)?);
            }
            Ok(removed)
        }))
        .await
    }

    async fn settle_overdue(&self, mover: &dyn Mover, done: &mut Swept) -> Result<(), BlobError> {
        let overdue = self.inner.flights.overdue(self.inner.config.grace);
        for some in overdue.chunks(MAX_ASKED) {
            let ids: Vec<ExtentId> = some.iter().map(|(extent, _)| *extent).collect();
            let places = mover.locate(&ids).await?;
            for ((extent, at), place) in some.iter().zip(places) {
                done.settled += 1;
                match place {
                    Some(_) => self.inner.settle_committed(*extent, *at),
                    None => Inner::settle_abandoned(&self.inner, *extent, *at),
                }
            }
        }
        Ok(())
    }
}

/// Reads the live extents at these offsets of a segment. One that is damaged or cannot be read marks the segment, which is kept then: it would
/// fail again at each pass.
fn read_live(inner: &Inner, segment: u64, slots: &[(u64, u64)]) -> Vec<(ExtentId, Location, Framed)> {
    let mut read = Vec::with_capacity(slots.len());
    for (offset, _) in slots {
        let one = reader::header_at(inner, segment, *offset).and_then(|header| {
            let at = Location::Segment { segment, offset: *offset, len: header.len };
            let content = reader::read_whole(inner, header.extent, at)?;
            Ok((header.extent, at, Framed::new(header.extent, 0, content)))
        });
        match one {
            Ok(found) => read.push(found),
            Err(error) => {
                tracing::error!(segment, offset, %error, "a live extent cannot be moved: its segment is kept");
                inner.segments.mark_damaged(segment);
            }
        }
    }
    read
}
