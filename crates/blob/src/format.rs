//! The bytes on disk; `FORMAT.md` describes them.

use std::io::IoSlice;
use std::ops::Range;

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

use crate::api::{BLOCK, BlobError, ExtentId};

/// Bytes of an extent's header, and of a segment's.
pub const HEADER: usize = 64;
/// Bytes of a block's checksum.
pub const CHECK: usize = 8;
/// A full block with its checksum.
pub const FRAME: u64 = BLOCK + CHECK as u64;
/// Extents in a segment begin at a multiple of this.
pub const ALIGN: u64 = 64;
/// Each group of appends begins at a multiple of this, so that no page or physical sector with acknowledged bytes is written again.
pub const GROUP_ALIGN: u64 = 4096;
/// Where the first extent of a segment may begin.
pub const SEGMENT_START: u64 = GROUP_ALIGN;
/// The version of the format that is written. Others are not read.
pub const VERSION: u16 = 1;

const EXTENT_MAGIC: [u8; 4] = *b"MPxe";
const SEGMENT_MAGIC: [u8; 4] = *b"MPsg";

/// What an extent's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// That of the segment it lies in; 0 in a file of its own.
    pub generation: u32,
    /// Whose content follows.
    pub extent: ExtentId,
    /// Bytes of content.
    pub len: u64,
}

/// What a segment's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// Random, so that bytes of another segment are not taken for this one's.
    pub generation: u32,
    /// The segment's number, as in its name.
    pub number: u64,
}

fn crc(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

fn seal(mut header: [u8; HEADER]) -> [u8; HEADER] {
    let check = crc(&header[..HEADER - CHECK]);
    header[HEADER - CHECK..].copy_from_slice(&check.to_le_bytes());
    header
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn opened(bytes: &[u8], magic: [u8; 4]) -> Option<&[u8]> {
    let header = bytes.get(..HEADER)?;
    let sound = header[..4] == magic
        && header[4..6] == VERSION.to_le_bytes()
        && crc(&header[..HEADER - CHECK]).to_le_bytes() == header[HEADER - CHECK..];
    sound.then_some(header)
}

impl Header {
    /// As it is written.
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&EXTENT_MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        // Byte 6, the cipher, is 0: none. Bytes 12..16 and 40..56 are kept for its key and nonce.
        bytes[8..12].copy_from_slice(&self.generation.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.extent.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.len.to_le_bytes());
        seal(bytes)
    }

    /// Reads a header; `None` when it is damaged, none at all, or of a cipher or version that we do not know.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let header = opened(bytes, EXTENT_MAGIC)?;
        (header[6] == 0).then_some(())?;
        Some(Self {
            generation: u32::from_le_bytes(field(header, 8)?),
            extent: ExtentId(u128::from_le_bytes(field(header, 16)?)),
            len: u64::from_le_bytes(field(header, 32)?),
        })
    }
}

impl SegmentHeader {
    /// As it is written.
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&SEGMENT_MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.generation.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        seal(bytes)
    }

    /// Reads a header; `None` when it is damaged or none at all.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let header = opened(bytes, SEGMENT_MAGIC)?;
        Some(Self { generation: u32::from_le_bytes(field(header, 8)?), number: u64::from_le_bytes(field(header, 16)?) })
    }
}

/// Bytes that content takes with its header and checksums.
pub fn stored_len(len: u64) -> u64 {
    (HEADER as u64).saturating_add(framed_len(len))
}

/// Bytes that content takes with its checksums.
pub fn framed_len(len: u64) -> u64 {
    len.saturating_add(len.div_ceil(BLOCK).saturating_mul(CHECK as u64))
}

/// The next multiple of `align`.
pub fn align(offset: u64, align: u64) -> u64 {
    offset.next_multiple_of(align)
}

/// A checksum over a block that also says whose block it is, and which: found in another place, it does not verify.
struct BlockCheck(Digest);

impl BlockCheck {
    fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64Nvme))
    }

    fn finish(mut self, extent: ExtentId, block: u64) -> [u8; CHECK] {
        let mut place = [0; 24];
        place[..16].copy_from_slice(&extent.0.to_le_bytes());
        place[16..].copy_from_slice(&block.to_le_bytes());
        self.0.update(&place);
        self.0.finalize().to_le_bytes()
    }
}

/// Cuts chunks at block borders: `each(part, whether the part ends its block)`.
fn walk<'a>(chunks: &'a [Bytes], mut each: impl FnMut(&'a [u8], bool)) {
    let mut left: usize = chunks.iter().map(Bytes::len).sum();
    let mut room = BLOCK as usize;
    for chunk in chunks {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.len().min(room));
            rest = after;
            room -= part.len();
            left -= part.len();
            each(part, room == 0 || left == 0);
            if room == 0 {
                room = BLOCK as usize;
            }
        }
    }
}

/// Content and the checksums of its blocks, ready to be written without another copy.
pub struct Framed {
    chunks: Vec<Bytes>,
    checks: Vec<[u8; CHECK]>,
}

impl Framed {
    /// Computes the checksums of content that begins at a block border, with block `first`. All of it but the extent's end
    /// fills its blocks.
    pub fn new(extent: ExtentId, first: u64, chunks: Vec<Bytes>) -> Self {
        let mut checks = Vec::new();
        let mut check = BlockCheck::new();
        walk(&chunks, |part, ends| {
            check.0.update(part);
            if ends {
                let block = first + checks.len() as u64;
                checks.push(std::mem::replace(&mut check, BlockCheck::new()).finish(extent, block));
            }
        });
        Self { chunks, checks }
    }

    /// Adds the slices to be written: content, checksum, content, checksum...
    pub fn slices<'a>(&'a self, out: &mut Vec<IoSlice<'a>>) {
        let mut checks = self.checks.iter();
        walk(&self.chunks, |part, ends| {
            out.push(IoSlice::new(part));
            if let Some(check) = ends.then(|| checks.next()).flatten() {
                out.push(IoSlice::new(check));
            }
        });
    }
}

/// Verifies the blocks in `stored` (content and checksum in turn, `len` bytes of content, from block `first` on) and tells where in it each one's
/// content lies.
pub fn verify(extent: ExtentId, first: u64, len: u64, stored: &[u8]) -> Result<Vec<Range<usize>>, BlobError> {
    let mut blocks = Vec::with_capacity(len.div_ceil(BLOCK) as usize);
    let (mut left, mut at) = (len, 0);
    while left > 0 {
        let block = first + blocks.len() as u64;
        let size = left.min(BLOCK) as usize;
        let damaged = BlobError::Damaged { extent: extent.0, block };
        let Some(framed) = stored.get(at..at + size + CHECK) else { return Err(damaged) };
        let mut check = BlockCheck::new();
        check.0.update(&framed[..size]);
        if check.finish(extent, block) != framed[size..] {
            return Err(damaged);
        }
        blocks.push(at..at + size);
        at += size + CHECK;
        left -= size as u64;
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use millpond_io::{Random, SeededRandom};

    use super::*;

    fn content(len: usize) -> Bytes {
        let mut bytes = vec![0; len];
        SeededRandom::new(len as u64).fill(&mut bytes);
        bytes.into()
    }

    fn written(framed: &Framed) -> Bytes {
        let mut slices = Vec::new();
        framed.slices(&mut slices);
        slices.iter().flat_map(|s| s.to_vec()).collect()
    }

    #[test]
    fn headers_come_back_and_any_flipped_bit_is_found() {
        let header = Header { generation: 7, extent: ExtentId(0x0123_4567_89ab_cdef << 40), len: 99 };
        let segment = SegmentHeader { generation: 9, number: 0xfeed };
        assert_eq!(Header::decode(&header.encode()), Some(header));
        assert_eq!(SegmentHeader::decode(&segment.encode()), Some(segment));
        assert_eq!(SegmentHeader::decode(&header.encode()), None);
        for bit in 0..HEADER * 8 {
            let flip = |mut bytes: [u8; HEADER]| {
                bytes[bit / 8] ^= 1 << (bit % 8);
                bytes
            };
            assert_eq!(Header::decode(&flip(header.encode())), None, "bit {bit}");
            assert_eq!(SegmentHeader::decode(&flip(segment.encode())), None, "bit {bit}");
        }
        assert_eq!(Header::decode(&header.encode()[..63]), None);
        assert_eq!(Header::decode(&[0; 64]), None);
        let mut ciphered = header.encode();
        ciphered[6] = 1;
        assert_eq!(Header::decode(&seal(ciphered)), None, "a cipher that we do not know");
    }

    #[test]
    fn blocks_verify_in_their_place_however_the_chunks_were_cut() {
        let block = BLOCK as usize;
        for len in [1, 100, block - 1, block, block + 1, 3 * block, 3 * block + 5] {
            let whole = content(len);
            let id = ExtentId(5);
            let expected = written(&Framed::new(id, 4, vec![whole.clone()]));
            assert_eq!(expected.len() as u64, framed_len(len as u64));
            for cut in [1, 7, 1000, block - 1, block, block + 1] {
                let chunks = (0..len).step_by(cut).map(|at| whole.slice(at..(at + cut).min(len))).collect();
                assert_eq!(written(&Framed::new(id, 4, chunks)), expected, "{len} cut by {cut}");
            }
            let blocks = verify(id, 4, len as u64, &expected).unwrap();
            assert_eq!(blocks.into_iter().map(|block| &expected[block]).collect::<Vec<_>>().concat(), whole);
            assert!(verify(ExtentId(6), 4, len as u64, &expected).is_err(), "another extent");
            assert!(verify(id, 5, len as u64, &expected).is_err(), "another place");
            assert!(verify(id, 4, len as u64, &expected[..expected.len() - 1]).is_err(), "cut short");
            assert!(verify(id, 4, len as u64 + 1, &expected).is_err(), "another length");
            for at in [0, len / 2, expected.len() - 1] {
                let mut bytes = expected.to_vec();
                bytes[at] ^= 4;
                let failed = verify(id, 4, len as u64, &bytes).unwrap_err();
                let block = 4 + (at as u64 / FRAME);
                assert!(matches!(failed, BlobError::Damaged { extent: 5, block: b } if b == block), "{failed}");
            }
        }
    }

    #[test]
    fn checksums_are_the_published_algorithm() {
        // The check value of CRC-64/NVME in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc(b"123456789"), 0xae8b_1486_0a79_9888);
    }
}
