//! Manifests: the parts of an object that came in parts, in rows that are found by byte offset.

use std::ops::{Bound, Range};

use millpond_meta::{Key, Scan, View};

use crate::error::LakeError;
use crate::keys;
use crate::lake::Lake;
use crate::limits::{MANIFEST_PARTS, MANIFEST_ROW_BYTES, MAX_PAGE};
use crate::model::{Body, Object, Version};
use crate::refs::BodyRef;
use crate::requests::PartInfo;
use crate::rows::{self, ManifestRow, PartRow};
use crate::sealing::Digests;
use prost::Message;

/// A manifest row and the object's byte at which it begins.
struct Chunk {
    first_byte: u64,
    parts: Vec<PartRow>,
}

fn parse(key: &Key, row: &bytes::Bytes) -> Result<Chunk, LakeError> {
    let first_byte = keys::u64_at(key, 17).ok_or_else(|| rows::damaged("manifest"))?;
    let ManifestRow { parts } = rows::decode("manifest", row)?;
    if parts.is_empty() { Err(rows::damaged("manifest")) } else { Ok(Chunk { first_byte, parts }) }
}

/// The row that holds byte `at`.
async fn chunk_at(view: &(impl View + ?Sized), id: u128, at: u64) -> Result<Chunk, LakeError> {
    let (from, to) = (Bound::Included(keys::manifest(id, 0)), Bound::Included(keys::manifest(id, at)));
    let found = view.scan(Scan { from, to, reverse: true, limit: 1 }).await?;
    match found.first() {
        Some((key, row)) => parse(key, row),
        // The manifest was given back.
        None => Err(LakeError::Changed),
    }
}

/// A stretch of a body.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Slice {
    pub body: BodyRef,
    /// Bytes of its content.
    pub range: Range<u64>,
    /// The body's key as the manifest has it; empty where the body is plain.
    pub key: bytes::Bytes,
}

/// What of which bodies makes up the beginning of `range`, and up to which byte of the object that goes (one manifest row).
pub(crate) async fn slices(
    view: &(impl View + ?Sized),
    id: u128,
    range: Range<u64>,
) -> Result<(Vec<Slice>, u64), LakeError> {
    let chunk = chunk_at(view, id, range.start).await?;
    let mut at = chunk.first_byte;
    let mut slices = Vec::new();
    for part in &chunk.parts {
        cut(part, &mut at, &range, &mut slices)?;
    }
    if at <= range.start {
        return Err(rows::damaged("manifest"));
    }
    Ok((slices, at.min(range.end)))
}

/// Adds what of a part lies in `range`. `at` is where the part begins in the object, and afterwards where it ends.
fn cut(part: &PartRow, at: &mut u64, range: &Range<u64>, out: &mut Vec<Slice>) -> Result<(), LakeError> {
    let begin = *at;
    for slice in &part.slices {
        let (from, to) = (range.start.max(*at), range.end.min(*at + slice.len));
        if from < to {
            let range = slice.offset + (from - *at)..slice.offset + (to - *at);
            out.push(Slice { body: slice.body()?, range, key: slice.key.clone() });
        }
        *at += slice.len;
    }
    if *at - begin != part.size { Err(rows::damaged("manifest")) } else { Ok(()) }
}

/// Collects parts into rows.
#[derive(Default)]
pub(crate) struct Builder {
    id: u128,
    row: ManifestRow,
    row_bytes: usize,
    first_byte: u64,
    end: u64,
    ready: Vec<(Key, bytes::Bytes)>,
    ready_bytes: usize,
}

impl Builder {
    pub fn new(id: u128) -> Self {
        Self { id, ..Self::default() }
    }

    pub fn push(&mut self, mut part: PartRow) {
        part.modified = 0;
        let bytes = part.encoded_len() + 8;
        if self.row.parts.len() >= MANIFEST_PARTS || self.row_bytes + bytes > MANIFEST_ROW_BYTES {
            self.close();
        }
        self.row_bytes += bytes;
        self.end += part.size;
        self.row.parts.push(part);
    }

    fn close(&mut self) {
        if self.row.parts.is_empty() {
            return;
        }
        let row = rows::encode(&std::mem::take(&mut self.row));
        self.ready_bytes += row.len();
        self.ready.push((keys::manifest(self.id, self.first_byte), row));
        (self.first_byte, self.row_bytes) = (self.end, 0);
    }

    /// Bytes of finished rows.
    pub fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// The finished rows.
    pub fn take(&mut self) -> Vec<(Key, bytes::Bytes)> {
        self.ready_bytes = 0;
        std::mem::take(&mut self.ready)
    }

    /// The last rows.
    pub fn finish(mut self) -> Vec<(Key, bytes::Bytes)> {
        self.close();
        self.ready
    }
}

impl Lake {
    /// Where a part lies in an object, by the number under which it was uploaded. An object that was put at once is part 1 of itself.
    /// `None` when there is no such part.
    pub async fn part_of(&self, version: &Version, number: u16) -> Result<Option<PartInfo>, LakeError> {
        let (found, _) = self.parts_of(version, number.saturating_sub(1), 1).await?;
        Ok(found.into_iter().next().filter(|part| part.number == number))
    }

    /// The parts of an object with numbers above `after`, at most `limit`, and whether there are more.
    pub async fn parts_of(
        &self,
        version: &Version,
        after: u16,
        limit: usize,
    ) -> Result<(Vec<PartInfo>, bool), LakeError> {
        let object = version.object().ok_or(LakeError::IsDeleteMarker)?;
        let Body::Manifest { id } = object.body else {
            let checksum = object.checksum.map(|c| c.value);
            let whole = PartInfo { number: 1, offset: 0, size: object.size, checksum, count: None };
            return Ok(if after == 0 && limit > 0 { (vec![whole], false) } else { (Vec::new(), after == 0) });
        };
        let limit = limit.min(MAX_PAGE);
        let digests = object.encrypted.as_ref().and_then(|encrypted| encrypted.key()).map(Digests::of);
        let mut chunk = self.chunk_of_part(id, object, after.saturating_add(1)).await?;
        let mut found = Vec::new();
        loop {
            let mut at = chunk.first_byte;
            for part in &chunk.parts {
                let (number, size) = (part.number()?, part.size);
                if number > after {
                    if found.len() == limit {
                        return Ok((found, true));
                    }
                    let checksum = part.value(digests.as_ref())?;
                    found.push(PartInfo { number, offset: at, size, checksum, count: object.parts });
                }
                at += size;
            }
            match self.chunk_behind(id, chunk.first_byte).await? {
                Some(next) => chunk = next,
                None => return Ok((found, false)),
            }
        }
    }

    async fn chunk_behind(&self, id: u128, first_byte: u64) -> Result<Option<Chunk>, LakeError> {
        let from = Bound::Excluded(keys::manifest(id, first_byte));
        let to = Bound::Included(keys::manifest(id, u64::MAX));
        let rows = self.kv().scan(Scan { from, to, reverse: false, limit: 1 }).await?;
        rows.first().map(|(key, row)| parse(key, row)).transpose()
    }

    /// The last row that begins with a part of at most this number (or the first row). Numbers rise with offsets, so that the row is
    /// found by halving the object.
    async fn chunk_of_part(&self, id: u128, object: &Object, number: u16) -> Result<Chunk, LakeError> {
        let (mut low, mut high) = (chunk_at(self.kv(), id, 0).await?, object.size);
        loop {
            let low_end = low.first_byte + low.parts.iter().map(|part| part.size).sum::<u64>();
            if low_end >= high {
                return Ok(low);
            }
            let middle = chunk_at(self.kv(), id, low_end + (high - low_end) / 2).await?;
            let first = middle.parts.first().ok_or_else(|| rows::damaged("manifest"))?;
            if first.number()? <= number {
                low = middle;
            } else {
                high = middle.first_byte;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::SliceRow;

    fn part(number: u32, lens: &[u64]) -> PartRow {
        let slices = lens.iter().map(|len| SliceRow::of(BodyRef::extent(number.into()), 10, *len)).collect();
        PartRow { number, size: lens.iter().sum(), slices, ..PartRow::default() }
    }

    #[test]
    fn a_cut_takes_what_lies_in_the_range() {
        // range of the object, expected (extent, range) with a part of 5 + 3 bytes at 100
        type Slices = Vec<(u64, u64)>;
        let table: [(Range<u64>, Slices); 5] = [
            (0..100, vec![]),
            (100..108, vec![(10, 15), (10, 13)]),
            (104..106, vec![(14, 15), (10, 11)]),
            (106..500, vec![(11, 13)]),
            (108..500, vec![]),
        ];
        for (range, expected) in table {
            let (mut at, mut out) = (100, Vec::new());
            cut(&part(1, &[5, 3]), &mut at, &range, &mut out).unwrap();
            assert_eq!(
                out.into_iter().map(|s| (s.range.start, s.range.end)).collect::<Vec<_>>(),
                expected,
                "{range:?}"
            );
            assert_eq!(at, 108);
        }
        let wrong = PartRow { size: 9, ..part(1, &[5, 3]) };
        assert!(cut(&wrong, &mut 0, &(0..9), &mut Vec::new()).is_err());
    }

    #[test]
    fn rows_hold_a_bounded_number_of_parts_and_bytes() {
        for (parts, slices) in [(1, 1), (MANIFEST_PARTS + 1, 1), (30, 1000)] {
            let mut builder = Builder::new(5);
            let lens = vec![2; slices];
            (1..=parts).for_each(|number| builder.push(part(number as u32, &lens)));
            let rows = builder.finish();
            let mut next = 0;
            for (key, row) in &rows {
                assert!(row.len() <= millpond_meta::MAX_VALUE_BYTES);
                let chunk = parse(key, row).unwrap();
                assert_eq!(chunk.first_byte, next);
                next += chunk.parts.iter().map(|p| p.size).sum::<u64>();
            }
            assert_eq!(next, (parts * slices * 2) as u64);
        }
    }
}
