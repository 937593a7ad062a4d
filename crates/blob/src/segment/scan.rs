//! Looking at segments that this process did not write.

use std::path::Path;

use millpond_io::{Disk, File, OpenMode};

use crate::api::{BlobError, ExtentId, Location};
use crate::format::{ALIGN, CHECK, HEADER, Header, SEGMENT_START, SegmentHeader, align, stored_len};

/// Bytes looked at at once.
const WINDOW: u64 = 1 << 20;

/// Prepares a segment left by an earlier process, perhaps by a power cut: it is never appended to again, for torn bytes might be taken
/// for an extent. Its zeros are cut off; without any extent it is removed. Gives its length then.
pub fn settle(disk: &dyn Disk, root: &Path, number: u64) -> Result<Option<u64>, BlobError> {
    let path = super::path(root, number);
    let file = disk.open(&path, OpenMode::Write)?;
    let len = file.len()?;
    let end = match last_byte(&*file, len)? {
        Some(last) if last >= SEGMENT_START => last + 1,
        _ => {
            drop(file);
            disk.remove(&path)?;
            return Ok(None);
        }
    };
    // An extent ends with a checksum, whose last bytes may be zeros.
    let end = align(end + CHECK as u64, ALIGN).min(len);
    if end < len {
        file.set_len(end)?;
    }
    Ok(Some(end))
}

/// The length of a segment's file.
pub fn length(disk: &dyn Disk, root: &Path, number: u64) -> Result<u64, BlobError> {
    Ok(disk.open(&super::path(root, number), OpenMode::Read)?.len()?)
}

/// The offset of the last byte that is not zero. A sealed segment ends with one, or nearly, so that one short read is enough.
fn last_byte(file: &dyn File, len: u64) -> Result<Option<u64>, BlobError> {
    let (mut end, mut window) = (len, 4096);
    let mut buffer = Vec::new();
    while end > 0 {
        let from = end.saturating_sub(window);
        buffer.clear();
        file.read_append(&mut buffer, (end - from) as usize, from)?;
        if let Some(at) = buffer.iter().rposition(|byte| *byte != 0) {
            return Ok(Some(from + at as u64));
        }
        (end, window) = (from, WINDOW);
    }
    Ok(None)
}

/// Finds the extents in a segment by their headers; content is not verified. What an interrupted write left may be among them.
pub fn extents(file: &dyn File, number: u64) -> Result<Vec<(ExtentId, Location)>, BlobError> {
    let len = file.len()?;
    let mut found = Vec::new();
    let mut buffer = vec![0; HEADER];
    let got = file.read_at(&mut buffer, 0)?;
    // With a damaged segment header any generation is taken: each extent is looked up in the metadata anyway.
    let generation = SegmentHeader::decode(&buffer[..got]).map(|h| h.generation);
    let (mut offset, mut window_at) = (SEGMENT_START, 0);
    buffer.clear();
    while offset + HEADER as u64 <= len {
        if offset < window_at || offset + HEADER as u64 > window_at + buffer.len() as u64 {
            buffer.clear();
            file.read_append(&mut buffer, WINDOW as usize, offset)?;
            window_at = offset;
        }
        let at = (offset - window_at) as usize;
        let Some(bytes) = buffer.get(at..at + HEADER) else { break };
        let header = Header::decode(bytes).filter(|h| generation.is_none_or(|g| g == h.generation));
        match header {
            Some(header) if stored_len(header.len) <= len - offset => {
                found.push((header.extent, Location::Segment { segment: number, offset, len: header.len }));
                offset = align(offset + stored_len(header.len), ALIGN);
            }
            _ => offset += ALIGN,
        }
    }
    Ok(found)
}
