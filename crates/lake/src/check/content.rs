//! The bytes of all extents, and the headers of the segments that they lie in.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use millpond_blob::{BlobError, ExtentId, Location};
use millpond_io::IoError;
use millpond_meta::Key;

use super::sound::SoundWalk;
use super::{About, Check};
use crate::error::LakeError;
use crate::keys::{self, tables};
use crate::limits::WALK_PAGE;
use crate::refs::BodyRef;
use crate::rows;

/// "Too many open files", in the process (EMFILE) and in the system (ENFILE).
const TOO_MANY_FILES: [i32; 2] = [24, 23];

impl Check<'_> {
    /// Reads every byte of every extent. One that was moved or given back since the moment of the check is looked up again.
    pub(super) async fn extents(&mut self) -> Result<(), LakeError> {
        let mut wrong: BTreeMap<u64, String> = self.lake.blobs().verify_segments().await?.into_iter().collect();
        let mut named = BTreeSet::new();
        let (mut walk, mut done) = (SoundWalk::table(tables::EXTENT, WALK_PAGE), 0);
        while let Some(page) = self.page(&mut walk, "bytes", &mut done).await? {
            for (key, row) in page {
                let Some(id) = keys::u128_at(&key, 1) else { continue };
                if let Ok(Location::Segment { segment, .. }) = rows::location_of(&row) {
                    named.insert(segment);
                }
                match self.verify(id, &key, row).await? {
                    Some(what) => self.problem_of(About::Body(BodyRef::extent(id)), what),
                    None => self.report.verified += 1,
                }
            }
        }
        // In a segment that nothing lies in there is nothing to be damaged: a power cut may have left a torn one, which will be removed.
        wrong.retain(|segment, _| named.contains(segment));
        wrong.into_values().for_each(|what| self.problem(what));
        Ok(())
    }

    async fn verify(&self, id: u128, key: &Key, mut row: Bytes) -> Result<Option<String>, LakeError> {
        loop {
            let Ok(at) = rows::location_of(&row) else { return Ok(None) };
            match self.lake.blobs().verify(ExtentId(id), at).await {
                Ok(()) => return Ok(None),
                Err(error) if is_of_the_extent(&error) => match self.lake.kv().get(key).await? {
                    Some(now) if now != row => row = now,
                    Some(_) => return Ok(Some(in_words(id, &error))),
                    None => return Ok(None),
                },
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether it is this extent that cannot be read, and the next one may well be.
fn is_of_the_extent(error: &BlobError) -> bool {
    let ours = |io: &IoError| io.source.raw_os_error().is_some_and(|errno| TOO_MANY_FILES.contains(&errno));
    match error {
        BlobError::Damaged { .. } | BlobError::Missing(_) => true,
        BlobError::Io(io) => !ours(io),
        _ => false,
    }
}

fn in_words(id: u128, error: &BlobError) -> String {
    match error {
        BlobError::Io(io) => format!("extent {id:032x} cannot be read: {io}"),
        error => error.to_string(),
    }
}
