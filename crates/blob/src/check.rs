//! Looking at what is on disk: for a check while no server runs, and at segments' own headers.

use std::path::Path;
use std::sync::Arc;

use millpond_io::{Disk, File, OpenMode};

use crate::api::{BlobError, ExtentId, Location};
use crate::format::{HEADER, Header, SegmentHeader};
use crate::pool::outcome;
use crate::segment::{self, scan};
use crate::store::{Blobs, Inner};

/// Segments looked at in one job, so that reads of clients have their turn in between.
const AT_ONCE: usize = 64;

/// A file of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnDisk {
    /// A segment.
    Segment(u64),
    /// An extent's own file.
    File(ExtentId),
}

/// Lists the files of a store. Opens nothing and changes nothing.
pub fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<OnDisk>, BlobError> {
    let mut found = Vec::new();
    let segments = disk.list(&segment::dir(dir))?;
    found.extend(segments.iter().filter_map(|name| segment::number(name)).map(OnDisk::Segment));
    for fan in crate::file::fans(dir) {
        found.extend(disk.list(&fan)?.iter().filter_map(|name| crate::file::extent(name)).map(OnDisk::File));
    }
    Ok(found)
}

/// The extents in a file of the store, by their headers; [`crate::Blobs::verify`] reads their content. An empty answer for an extent's own file
/// means that its header is damaged or was never written. Whether a segment's own header is sound is told beside.
pub fn extents(disk: &dyn Disk, dir: &Path, file: OnDisk) -> Result<(Vec<(ExtentId, Location)>, bool), BlobError> {
    let path = match file {
        OnDisk::Segment(number) => segment::path(dir, number),
        OnDisk::File(extent) => crate::file::path(dir, extent),
    };
    let open = disk.open(&path, OpenMode::Read)?;
    match file {
        OnDisk::Segment(number) => Ok((scan::extents(&*open, number)?, segment_header_is_sound(&*open, number)?)),
        OnDisk::File(extent) => {
            let mut header = [0; HEADER];
            let got = open.read_at(&mut header, 0)?;
            let found = Header::decode(&header[..got]).filter(|h| h.extent == extent);
            let sound = found.is_some();
            Ok((found.map(|h| (extent, Location::File { len: h.len })).into_iter().collect(), sound))
        }
    }
}

impl Blobs {
    /// Reads the headers of all segments: each that is not as it was written, or cannot be read, with what is wrong. Their extents are served all
    /// the same, for each has a header of its own.
    pub async fn verify_segments(&self) -> Result<Vec<(u64, String)>, BlobError> {
        let mut wrong = Vec::new();
        for numbers in self.inner.segments.numbers().chunks(AT_ONCE) {
            let (inner, numbers) = (Arc::clone(&self.inner), numbers.to_vec());
            let looked = self.inner.readers.run(move || Ok(numbers.iter().filter_map(|n| look(&inner, *n)).collect()));
            let found: Vec<_> = outcome(looked).await?;
            wrong.extend(found);
        }
        Ok(wrong)
    }
}

/// What is wrong with the header of a segment, if anything. One that was given back meanwhile is fine.
fn look(inner: &Inner, number: u64) -> Option<(u64, String)> {
    let file = match inner.disk.open(&segment::path(&inner.dir, number), OpenMode::Read) {
        Err(error) if error.is_missing() && !inner.segments.has(number) => return None,
        file => file,
    };
    match file.map_err(BlobError::from).and_then(|file| segment_header_is_sound(&*file, number)) {
        Ok(true) => None,
        Ok(false) => Some((number, format!("segment {number:016x} is damaged in its header"))),
        Err(error) => Some((number, format!("segment {number:016x} cannot be read: {error}"))),
    }
}

fn segment_header_is_sound(file: &dyn File, number: u64) -> Result<bool, BlobError> {
    let mut header = [0; HEADER];
    let got = file.read_at(&mut header, 0)?;
    Ok(SegmentHeader::decode(&header[..got]).is_some_and(|h| h.number == number))
}
