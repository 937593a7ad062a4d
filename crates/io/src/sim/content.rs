//! The bytes of a simulated file, and the changes to them that are not durable yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::random::SeededRandom;

/// Bytes of a page: pages that were never written take no memory, and copies of a file share theirs.
pub const PAGE: u64 = 4096;
/// What a disk writes as a whole: a torn write ends at such a boundary.
pub const SECTOR: u64 = 512;

/// A sparse, cheaply cloned byte array.
#[derive(Clone, Default)]
pub struct Content {
    pub len: u64,
    pages: BTreeMap<u64, Arc<[u8; PAGE as usize]>>,
}

impl Content {
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let wanted = (self.len.saturating_sub(offset)).min(buffer.len() as u64) as usize;
        let mut done = 0;
        while done < wanted {
            let at = offset + done as u64;
            let within = (at % PAGE) as usize;
            let n = (PAGE as usize - within).min(wanted - done);
            match self.pages.get(&(at / PAGE)) {
                Some(page) => buffer[done..done + n].copy_from_slice(&page[within..within + n]),
                None => buffer[done..done + n].fill(0),
            }
            done += n;
        }
        wanted
    }

    pub fn write(&mut self, bytes: &[u8], offset: u64) {
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let within = (at % PAGE) as usize;
            let n = (PAGE as usize - within).min(bytes.len() - done);
            let page = self.pages.entry(at / PAGE).or_insert_with(|| Arc::new([0; PAGE as usize]));
            Arc::make_mut(page)[within..within + n].copy_from_slice(&bytes[done..done + n]);
            done += n;
        }
        self.len = self.len.max(offset + bytes.len() as u64);
    }

    pub fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.zero(len, self.len - len);
        }
        self.len = len;
    }

    /// Zeros a range without changing the length.
    pub fn zero(&mut self, offset: u64, len: u64) {
        let end = offset + len;
        let whole = offset.div_ceil(PAGE)..end / PAGE;
        if whole.start < whole.end {
            let keys: Vec<u64> = self.pages.range(whole).map(|(k, _)| *k).collect();
            keys.iter().for_each(|k| drop(self.pages.remove(k)));
        }
        for page in [offset / PAGE, end / PAGE] {
            let from = offset.max(page * PAGE);
            let to = end.min((page + 1) * PAGE);
            if let Some(bytes) = self.pages.get_mut(&page).filter(|_| from < to) {
                Arc::make_mut(bytes)[(from - page * PAGE) as usize..(to - page * PAGE) as usize].fill(0);
            }
        }
    }

    /// Bytes of disk that it takes.
    pub fn used(&self) -> u64 {
        self.pages.len() as u64 * PAGE
    }

    /// Whether writing there needs no new page.
    pub fn has_room(&self, offset: u64, len: usize) -> bool {
        let end = offset + len as u64;
        (offset / PAGE..end.div_ceil(PAGE)).all(|page| self.pages.contains_key(&page))
    }
}

/// A change to a file.
#[derive(Clone)]
pub enum Change {
    Write {
        offset: u64,
        bytes: Arc<[u8]>,
    },
    Zero {
        offset: u64,
        len: u64,
    },
    SetLen(u64),
    /// At least this long.
    Extend(u64),
}

impl Change {
    pub fn apply(&self, content: &mut Content) {
        match self {
            Change::Write { offset, bytes } => content.write(bytes, *offset),
            Change::Zero { offset, len } => content.zero(*offset, *len),
            Change::SetLen(len) => content.set_len(*len),
            Change::Extend(len) => content.len = content.len.max(*len),
        }
    }

    /// Applies what of it a power cut leaves: all, nothing, or some sectors of a write.
    pub fn apply_torn(&self, content: &mut Content, random: &SeededRandom) {
        match (random.below(4), self) {
            (0 | 1, _) => self.apply(content),
            (3, Change::Write { offset, bytes }) => {
                let keep_one_in = 2 + random.below(3);
                // Either scattered sectors, or all up to a place.
                let cut = random.one_in(2).then(|| offset + random.below(bytes.len() as u64 + 1));
                let mut from = *offset;
                let end = offset + bytes.len() as u64;
                while from < end {
                    let to = ((from / SECTOR + 1) * SECTOR).min(end);
                    let kept = cut.map_or_else(|| random.one_in(keep_one_in), |cut| to <= cut);
                    if kept {
                        content.write(&bytes[(from - offset) as usize..(to - offset) as usize], from);
                    }
                    from = to;
                }
                if random.one_in(3) {
                    // The length survived although the bytes did not.
                    content.len = content.len.max(end);
                }
            }
            _ => {}
        }
    }
}
