//! A segment that is appended to: its creation, and the zeros written ahead of the appends.

use std::io::IoSlice;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use millpond_io::{File, OpenMode};

use crate::api::{BlobError, SYNC_SEGMENT_AHEAD, SYNC_SEGMENT_DIR};
use crate::format::{SEGMENT_START, SegmentHeader};
use crate::store::Inner;

/// What zeros are written from, a slice at a time.
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// An open segment.
///
/// Appends go where zeros were written and synced before, so that their own sync finds the file's length and blocks settled and needs no
/// journal commit of the file system. When appends outrun the zeros they extend the file themselves.
pub struct OpenSegment {
    /// Its number.
    pub number: u64,
    /// Its generation.
    pub generation: u32,
    /// For the appends.
    pub file: Arc<dyn File>,
    /// For the zeros: opened apart, so that each hears of a failed sync itself.
    ahead_file: Arc<dyn File>,
    ahead: Mutex<Ahead>,
    wake: Condvar,
}

struct Ahead {
    /// The file holds zeros or appends up to here.
    end: u64,
    /// Zeros are being written from `end` on.
    busy: bool,
}

impl OpenSegment {
    /// Creates a segment; its name is durable then.
    pub fn create(inner: &Inner) -> Result<Arc<Self>, BlobError> {
        let number = inner.random.u64();
        let generation = inner.random.u64() as u32;
        let path = super::path(&inner.dir, number);
        let file = inner.disk.open(&path, OpenMode::CreateNew)?;
        let prepared = (|| {
            file.write_all_at(&SegmentHeader { generation, number }.encode(), 0)?;
            inner.sync_dir(&super::dir(&inner.dir), SYNC_SEGMENT_DIR)?;
            Ok::<_, BlobError>(inner.disk.open(&path, OpenMode::Write)?)
        })();
        let ahead_file = match prepared {
            Ok(file) => file,
            Err(error) => {
                // Without an extent in it, the next start removes it if this fails.
                let _ = inner.disk.remove(&path);
                return Err(error);
            }
        };
        inner.segments.add(number, SEGMENT_START, false);
        let ahead = Mutex::new(Ahead { end: SEGMENT_START, busy: false });
        Ok(Arc::new(Self { number, generation, file, ahead_file, ahead, wake: Condvar::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether zeros should be written, with appends up to `position`.
    pub fn wants_zeros(&self, inner: &Inner, position: u64) -> bool {
        let ahead = self.lock();
        !ahead.busy && ahead.end < inner.config.segment_size && position + inner.config.segment_step > ahead.end
    }

    /// Writes the next zeros, durably. Called by the thread that prepares.
    pub fn write_zeros(&self, inner: &Inner) {
        let mut ahead = self.lock();
        if ahead.busy || ahead.end >= inner.config.segment_size {
            return;
        }
        ahead.busy = true;
        let from = ahead.end;
        drop(ahead);
        let to = (from + inner.config.segment_step).min(inner.config.segment_size);
        let written = self.zero(inner, from, to);
        let mut ahead = self.lock();
        ahead.busy = false;
        match written {
            Ok(()) => {
                ahead.end = to;
                inner.segments.resize(self.number, to, false);
            }
            // The appends themselves will meet what is wrong; a failed sync has stopped the store.
            Err(error) => tracing::warn!(segment = self.number, %error, "no zeros written ahead"),
        }
        drop(ahead);
        self.wake.notify_all();
    }

    fn zero(&self, inner: &Inner, from: u64, to: u64) -> Result<(), BlobError> {
        inner.space.claim(&*inner.disk, &inner.dir, to - from)?;
        let mut slices = Vec::new();
        let mut left = to - from;
        while left > 0 {
            let n = left.min(ZEROS.len() as u64);
            slices.push(IoSlice::new(&ZEROS[..n as usize]));
            left -= n;
        }
        self.ahead_file.write_vectored_at(&mut slices, from)?;
        inner.sync(&*self.ahead_file, SYNC_SEGMENT_AHEAD)
    }

    /// Makes sure that no zeros will be written below `end` any more; appends may go there then.
    ///
    /// No reserve is kept here: writers have asked for their room, and moves need it to give more back.
    pub fn reach(&self, inner: &Inner, end: u64) {
        let mut ahead = self.lock();
        while ahead.busy && ahead.end < end {
            ahead = self.wake.wait(ahead).unwrap_or_else(PoisonError::into_inner);
        }
        if ahead.end < end {
            ahead.end = end;
            inner.segments.resize(self.number, end, false);
        }
    }

    /// Ends the appends: cuts the zeros off. Not made durable: the next start cuts them again.
    pub fn seal(&self, inner: &Inner, position: u64) {
        // Whoever is writing zeros is waited for, or they would come back.
        let mut ahead = self.lock();
        while ahead.busy {
            ahead = self.wake.wait(ahead).unwrap_or_else(PoisonError::into_inner);
        }
        ahead.end = u64::MAX;
        if let Err(error) = self.file.set_len(position) {
            tracing::warn!(segment = self.number, %error, "a sealed segment keeps its zeros until the next start");
        }
        inner.segments.resize(self.number, position, true);
    }
}
