//! An open file of the simulated disk.

use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::content::{Change, Content};
use super::{Inode, State, os_error};
use crate::disk::{File, IoError, SyncPoint};
use crate::faulty::Fault;

pub struct SimFile {
    state: Arc<Mutex<State>>,
    inode: u64,
    path: PathBuf,
    writable: bool,
    /// How many failed syncs of the file this handle has been told of, or that lay before its opening.
    told: AtomicU64,
}

impl SimFile {
    pub fn new(state: Arc<Mutex<State>>, inode: u64, path: PathBuf, writable: bool, told: u64) -> Self {
        Self { state, inode, path, writable, told: AtomicU64::new(told) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, errno: rustix::io::Errno, doing: &'static str) -> IoError {
        os_error(errno, doing, &self.path)
    }

    fn read<T>(&self, look: impl FnOnce(&Content) -> T) -> Result<T, IoError> {
        let state = self.lock();
        let inode = state.inodes.get(&self.inode).ok_or_else(|| self.error(rustix::io::Errno::BADF, "read"))?;
        Ok(look(&inode.current))
    }

    fn inode<'a>(&self, state: &'a mut State) -> Result<&'a mut Inode, IoError> {
        state.inodes.get_mut(&self.inode).ok_or_else(|| self.error(rustix::io::Errno::BADF, "write"))
    }

    fn change(&self, doing: &'static str, needs_space: bool, change: Change) -> Result<(), IoError> {
        if !self.writable {
            return Err(self.error(rustix::io::Errno::BADF, doing));
        }
        let mut state = self.lock();
        let allowed = state.call(needs_space, doing, &self.path);
        let change = match (&allowed, change) {
            (Ok(()), change) => change,
            // A failed write may have come half the way.
            (Err(_), Change::Write { offset, bytes }) if bytes.len() > 1 => {
                Change::Write { offset, bytes: bytes[..bytes.len() / 2].into() }
            }
            (Err(_), _) => return allowed,
        };
        let inode = self.inode(&mut state)?;
        change.apply(&mut inode.current);
        inode.pending.push(change);
        allowed
    }

    /// Whether the disk has room for a write here that needs new pages.
    fn lacks_room(&self, offset: u64, len: usize) -> Result<bool, IoError> {
        let state = self.lock();
        let Some(capacity) = state.capacity else { return Ok(false) };
        let has_pages = state.inodes.get(&self.inode).is_some_and(|inode| inode.current.has_room(offset, len));
        Ok(!has_pages && state.used() + len as u64 > capacity)
    }

    /// Whether a full disk refuses a write here: one over bytes that have their place needs none.
    fn needs_space(&self, offset: u64, len: usize) -> Result<bool, IoError> {
        self.read(|content| !content.has_room(offset, len))
    }
}

impl File for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, IoError> {
        self.read(|content| content.read(buffer, offset))
    }

    fn read_append(&self, buffer: &mut Vec<u8>, len: usize, offset: u64) -> Result<usize, IoError> {
        self.read(|content| {
            let mut there = vec![0; content.len.saturating_sub(offset).min(len as u64) as usize];
            content.read(&mut there, offset);
            buffer.extend_from_slice(&there);
            there.len()
        })
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), IoError> {
        if self.lacks_room(offset, bytes.len())? {
            return Err(Fault::Enospc.error("pwrite", &self.path));
        }
        let needs_space = self.needs_space(offset, bytes.len())?;
        self.change("pwrite", needs_space, Change::Write { offset, bytes: bytes.into() })
    }

    fn write_vectored_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> Result<(), IoError> {
        let mut bytes = Vec::with_capacity(slices.iter().map(|slice| slice.len()).sum());
        slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
        self.write_all_at(&bytes, offset)
    }

    fn sync_data(&self, point: SyncPoint) -> Result<(), IoError> {
        let mut state = self.lock();
        *state.seen_points.entry(point.0).or_default() += 1;
        let called = state.call(false, "fdatasync", &self.path);
        let ignored = state.ignored.contains(point.0);
        let inode = self.inode(&mut state)?;
        if let Err(error) = called {
            // The system marks the pages clean whatever became of them, and tells each open file once.
            inode.lost.append(&mut inode.pending);
            inode.failed_syncs += 1;
            self.told.store(inode.failed_syncs, Ordering::SeqCst);
            return Err(error);
        }
        if self.told.swap(inode.failed_syncs, Ordering::SeqCst) != inode.failed_syncs {
            return Err(self.error(rustix::io::Errno::IO, "fdatasync"));
        }
        if !ignored {
            for change in std::mem::take(&mut inode.pending) {
                change.apply(&mut inode.durable);
            }
            inode.lost.clear();
        }
        Ok(())
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<(), IoError> {
        if self.lacks_room(offset, len as usize)? {
            return Err(Fault::Enospc.error("fallocate", &self.path));
        }
        self.change("fallocate", true, Change::Extend(offset + len))
    }

    /// Only asks whether there is room; blocks beyond the end are not kept.
    fn allocate_beyond(&self, offset: u64, len: u64) -> Result<(), IoError> {
        if self.lacks_room(offset, len as usize)? {
            return Err(Fault::Enospc.error("fallocate", &self.path));
        }
        self.lock().call(true, "fallocate", &self.path)
    }

    fn punch(&self, offset: u64, len: u64) -> Result<(), IoError> {
        self.change("fallocate", false, Change::Zero { offset, len })
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {}

    fn set_len(&self, len: u64) -> Result<(), IoError> {
        self.change("ftruncate", false, Change::SetLen(len))
    }

    fn len(&self) -> Result<u64, IoError> {
        self.read(|content| content.len)
    }
}
