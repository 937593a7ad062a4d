//! Appending to segments, with group commit.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::open::OpenSegment;
use crate::api::{BlobError, ExtentId, Location, SYNC_SEGMENT_DATA};
use crate::flight::Stored;
use crate::format::{ALIGN, Framed, GROUP_ALIGN, HEADER, Header, SEGMENT_START, align, stored_len};
use crate::store::Inner;

/// Bytes that one group writes at most: more would only let those at its front wait longer for those at its back.
const MAX_GROUP: u64 = 8 << 20;

/// Zeros are written ahead of groups smaller than this: measured, they double the rate of single small appends. A larger group pays for its own
/// journal commit many times over, and writing everything twice would halve its rate.
const ZEROS_BELOW: u64 = 1 << 20;

static PADDING: [u8; ALIGN as usize] = [0; ALIGN as usize];

/// An extent that waits to be appended.
pub struct Append {
    /// Which.
    pub extent: ExtentId,
    /// Bytes of content.
    pub len: u64,
    /// The content.
    pub framed: Framed,
    /// Who waits.
    pub reply: Reply,
}

/// Who waits for an append.
pub enum Reply {
    /// A writer: the extent is new, and in flight until its metadata is settled.
    Writer(oneshot::Sender<Result<Stored, BlobError>>),
    /// The reclaiming of space: the extent is known already.
    Mover(oneshot::Sender<Result<Location, BlobError>>),
}

impl Reply {
    fn fail(self, error: &BlobError) {
        // Whoever has gone needs no answer.
        match self {
            Reply::Writer(reply) => drop(reply.send(Err(error.again()))),
            Reply::Mover(reply) => drop(reply.send(Err(error.again()))),
        }
    }
}

/// Appends that wait. Bounded by the writers: each has at most one.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    appends: Condvar,
    prepares: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Append>,
    prepare: VecDeque<Prepare>,
    spares: Vec<Arc<OpenSegment>>,
    closed: bool,
}

/// Work for the thread that prepares.
enum Prepare {
    Zeros(Arc<OpenSegment>),
    Spare,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an append, or refuses it when the store is closed.
    pub fn push(&self, append: Append) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return append.reply.fail(&BlobError::Stopped("the store is closed".to_owned()));
        }
        state.waiting.push_back(append);
        drop(state);
        self.appends.notify_one();
    }

    /// Lets the threads finish what waits, and end.
    pub fn close(&self) {
        self.lock().closed = true;
        self.appends.notify_all();
        self.prepares.notify_all();
    }

    /// Answers all that wait with an error.
    pub fn refuse(&self, error: &BlobError) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        waiting.into_iter().for_each(|append| append.reply.fail(error));
    }

    /// Waits for the next group, of at most `bytes` (but one append at least). `None` when closed and empty.
    fn next_group(&self, bytes: u64) -> Option<Vec<Append>> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state = self.appends.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let (mut group, mut sum) = (Vec::new(), 0);
        while let Some(next) = state.waiting.front() {
            sum += align(stored_len(next.len), ALIGN);
            if sum > bytes && !group.is_empty() {
                break;
            }
            group.extend(state.waiting.pop_front());
        }
        Some(group)
    }

    fn prepare(&self, work: Prepare) {
        let mut state = self.lock();
        let again = |p: &Prepare| match (p, &work) {
            (Prepare::Zeros(a), Prepare::Zeros(b)) => a.number == b.number,
            (Prepare::Spare, Prepare::Spare) => true,
            _ => false,
        };
        let enough = matches!(work, Prepare::Spare) && !state.spares.is_empty();
        if !enough && !state.prepare.iter().any(again) {
            state.prepare.push_back(work);
            drop(state);
            self.prepares.notify_one();
        }
    }

    fn next_prepare(&self) -> Option<Prepare> {
        let mut state = self.lock();
        while !state.closed {
            if let Some(work) = state.prepare.pop_front() {
                return Some(work);
            }
            state = self.prepares.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }
}

/// The thread that prepares: zeros ahead of the appends, and the next segment before the present one is full.
pub fn prepare(inner: &Arc<Inner>) {
    while let Some(work) = inner.queue.next_prepare() {
        match work {
            Prepare::Zeros(segment) => segment.write_zeros(inner),
            Prepare::Spare => match OpenSegment::create(inner) {
                Ok(segment) => {
                    segment.write_zeros(inner);
                    inner.queue.lock().spares.push(segment);
                }
                // The append that needs it tries again and tells its writer.
                Err(error) => tracing::warn!(%error, "no segment made in advance"),
            },
        }
    }
    let spares = std::mem::take(&mut inner.queue.lock().spares);
    spares.into_iter().for_each(|spare| spare.seal(inner, SEGMENT_START));
}

/// A thread that appends.
pub struct Appender {
    inner: Arc<Inner>,
    open: Option<(Arc<OpenSegment>, u64)>,
}

impl Appender {
    /// One that will open a segment at its first append.
    pub fn new(inner: Arc<Inner>) -> Self {
        Self { inner, open: None }
    }

    /// Serves the queue until it is closed.
    pub fn run(mut self) {
        // Half a segment, so that a group finds room soon.
        let bytes = MAX_GROUP.min((self.inner.config.segment_size - SEGMENT_START) / 2);
        while let Some(group) = self.inner.queue.next_group(bytes) {
            match self.append(&group) {
                Ok(places) => self.acknowledge(group, &places),
                Err(error) => group.into_iter().for_each(|append| {
                    if matches!(append.reply, Reply::Writer(_)) {
                        self.inner.flights.end(append.extent);
                    }
                    append.reply.fail(&error);
                }),
            }
        }
        if let Some((segment, position)) = self.open.take() {
            segment.seal(&self.inner, position);
        }
    }

    /// An open segment with room for `bytes`, and where they go.
    fn room(&mut self, bytes: u64) -> Result<(Arc<OpenSegment>, u64), BlobError> {
        if let Some((segment, position)) = &self.open {
            let start = align(*position, GROUP_ALIGN);
            if start + bytes <= self.inner.config.segment_size || *position == SEGMENT_START {
                return Ok((Arc::clone(segment), start));
            }
        }
        let spare = self.inner.queue.lock().spares.pop();
        let next = spare.map_or_else(|| OpenSegment::create(&self.inner), Ok)?;
        if let Some((full, position)) = self.open.replace((Arc::clone(&next), SEGMENT_START)) {
            full.seal(&self.inner, position);
        }
        Ok((next, SEGMENT_START))
    }

    /// Writes a group and makes it durable. After an error the place is free again: the next group is written over it.
    fn append(&mut self, group: &[Append]) -> Result<Vec<Location>, BlobError> {
        self.inner.check_stopped()?;
        let total: u64 = group.iter().map(|a| align(stored_len(a.len), ALIGN)).sum();
        let (segment, start) = self.room(total)?;
        let headers: Vec<[u8; HEADER]> = (group.iter())
            .map(|a| Header { generation: segment.generation, extent: a.extent, len: a.len }.encode())
            .collect();
        let mut places = Vec::with_capacity(group.len());
        let mut slices = Vec::new();
        let (mut offset, mut end) = (start, start);
        for (append, header) in group.iter().zip(&headers) {
            if end < offset {
                slices.push(IoSlice::new(&PADDING[..(offset - end) as usize]));
            }
            slices.push(IoSlice::new(header));
            append.framed.slices(&mut slices);
            places.push(Location::Segment { segment: segment.number, offset, len: append.len });
            end = offset + stored_len(append.len);
            offset = align(end, ALIGN);
        }
        segment.reach(&self.inner, end);
        segment.file.write_vectored_at(&mut slices, start)?;
        self.inner.sync(&*segment.file, SYNC_SEGMENT_DATA)?;
        // The zeros of the same file are synced by another thread; whichever of the two hears of an error first, nobody goes on.
        self.inner.check_stopped()?;
        self.after(&segment, end, total);
        Ok(places)
    }

    fn after(&mut self, segment: &Arc<OpenSegment>, end: u64, group: u64) {
        self.open = Some((Arc::clone(segment), end));
        if group < ZEROS_BELOW && segment.wants_zeros(&self.inner, end) {
            self.inner.queue.prepare(Prepare::Zeros(Arc::clone(segment)));
        }
        if end > self.inner.config.segment_size / 2 {
            self.inner.queue.prepare(Prepare::Spare);
        }
    }

    fn acknowledge(&self, group: Vec<Append>, places: &[Location]) {
        let content = group.iter().map(|a| a.len).sum();
        self.inner.stats.group(group.len() as u64, content);
        let pinned = group.iter().map(|a| matches!(a.reply, Reply::Writer(_)));
        self.inner.segments.written(places.iter().copied().zip(pinned));
        for (append, at) in group.into_iter().zip(places) {
            match append.reply {
                Reply::Writer(reply) => {
                    let stored = Stored::new(Arc::clone(&self.inner), append.extent, *at);
                    if let Err(Ok(unwanted)) = reply.send(Ok(stored)) {
                        unwanted.abandon();
                    }
                }
                // Unwanted, it stays live until the next start; no metadata can name it.
                Reply::Mover(reply) => drop(reply.send(Ok(*at))),
            }
        }
    }
}
