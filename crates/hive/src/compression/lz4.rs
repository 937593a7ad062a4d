//! LZ4's frames.

use std::hash::Hasher;
use std::io;

use twox_hash::XxHash32;

use super::blocks::{LZ4_RATIO, Parts, number};
use super::decoder::broken;

/// What a frame begins with.
const MAGIC: u32 = 0x184D_2204;
/// What a frame begins with that is passed over, but for its last four bits.
const PASSED: u32 = 0x184D_2A50;
/// What a frame of the format before begins with.
const LEGACY: u32 = 0x184C_2102;
/// Bytes before a block that it may refer to, where blocks are not for themselves.
const WINDOW: usize = 64 * 1024;
/// Bytes that are passed over at once.
const PASSED_AT_ONCE: usize = 64 * 1024;
/// The bit of a block's length that says that it is not compressed.
const PLAIN: usize = 1 << 31;

/// Reads frames, one after the other.
#[derive(Default)]
pub struct Frames {
    next: Next,
    frame: Frame,
    hash: XxHash32,
    given: u64,
    /// What was given last, where blocks may refer to it.
    window: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
enum Next {
    #[default]
    Magic,
    /// The flags.
    Flags,
    /// The rest of the head.
    Head([u8; 2]),
    /// A block's length.
    Length,
    /// A block of such a length, plain or not.
    Block(usize, bool),
    /// The checksum of all.
    Checksum,
    /// The length of a frame that is passed over.
    PassedLength,
    /// So many bytes that are passed over.
    Passed(usize),
}

/// What the head of a frame says.
#[derive(Clone, Copy, Default)]
struct Frame {
    alone: bool,
    block_checksums: bool,
    checksum: bool,
    has_size: bool,
    size: Option<u64>,
    block: usize,
}

fn hash(bytes: &[u8]) -> u32 {
    XxHash32::oneshot(0, bytes)
}

fn is_checksum(bytes: &[u8], of: u32) -> bool {
    <[u8; 4]>::try_from(bytes).is_ok_and(|bytes| u32::from_le_bytes(bytes) == of)
}

impl Frames {
    /// Whether an object that begins so has frames.
    pub fn begin_with(bytes: &[u8]) -> bool {
        let magic = <[u8; 4]>::try_from(bytes).map(u32::from_le_bytes);
        magic.is_ok_and(|magic| magic == MAGIC || magic == LEGACY || magic & !0xF == PASSED)
    }

    fn flags(part: &[u8]) -> io::Result<(Frame, [u8; 2])> {
        let Ok(flags @ [flag, descriptor]) = <[u8; 2]>::try_from(part) else { return Err(broken("no flags")) };
        let has = |bit: u8| flag & (1 << bit) != 0;
        if flag >> 6 != 1 || has(1) || descriptor & 0x8F != 0 {
            return Err(broken("a frame of another version"));
        }
        if has(0) {
            return Err(broken("a frame that needs a dictionary"));
        }
        let block = match descriptor >> 4 {
            4 => 64 * 1024,
            5 => 256 * 1024,
            6 => 1024 * 1024,
            7 => 4 * 1024 * 1024,
            other => return Err(broken(format!("blocks of the size {other}"))),
        };
        let (alone, block_checksums, has_size, checksum) = (has(5), has(4), has(3), has(2));
        Ok((Frame { alone, block_checksums, checksum, has_size, size: None, block }, flags))
    }

    fn head(&mut self, flags: [u8; 2], part: &[u8]) -> io::Result<()> {
        let Some((check, size)) = part.split_last() else { return Err(broken("no head")) };
        self.frame.size = <[u8; 8]>::try_from(size).ok().map(u64::from_le_bytes);
        let [_, second, ..] = hash(&[&flags, size].concat()).to_le_bytes();
        if *check != second {
            return Err(broken("a wrong checksum of a head"));
        }
        (self.hash, self.given) = (XxHash32::with_seed(0), 0);
        self.window.clear();
        Ok(())
    }

    fn block(&mut self, part: &[u8], is_plain: bool, out: &mut Vec<u8>) -> io::Result<()> {
        let (data, checksum) = match self.frame.block_checksums {
            true => part.split_at_checked(part.len().saturating_sub(4)).unwrap_or_default(),
            false => (part, &[][..]),
        };
        if self.frame.block_checksums && !is_checksum(checksum, hash(data)) {
            return Err(broken("a wrong checksum of a block"));
        }
        let from = out.len();
        if is_plain {
            out.extend_from_slice(data);
        } else {
            out.resize(from + self.frame.block.min(data.len().saturating_mul(LZ4_RATIO)), 0);
            let room = out.get_mut(from..).unwrap_or_default();
            let unfolded = lz4_flex::block::decompress_into_with_dict(data, room, &self.window);
            out.truncate(from + unfolded.map_err(broken)?);
        }
        let given = out.get(from..).unwrap_or_default();
        self.given += given.len() as u64;
        if self.frame.checksum {
            self.hash.write(given);
        }
        if !self.frame.alone {
            self.window.extend_from_slice(given);
            let old = self.window.len().saturating_sub(WINDOW);
            self.window.drain(..old);
        }
        Ok(())
    }

    /// What follows a frame's last block.
    fn ended(&self) -> io::Result<Next> {
        if self.frame.size.is_some_and(|size| size != self.given) {
            return Err(broken(format!("{} bytes, and not as many as it says", self.given)));
        }
        Ok(if self.frame.checksum { Next::Checksum } else { Next::Magic })
    }

    fn length(&self, part: &[u8]) -> io::Result<Next> {
        match number(part, u32::from_le_bytes)? {
            0 => self.ended(),
            length if length & !PLAIN > self.frame.block => Err(broken("a block that is longer than its frame allows")),
            PLAIN => Err(broken("a block of no bytes")),
            length => Ok(Next::Block(length & !PLAIN, length & PLAIN != 0)),
        }
    }
}

fn magic(part: &[u8]) -> io::Result<Next> {
    match <[u8; 4]>::try_from(part).map(u32::from_le_bytes) {
        Ok(MAGIC) => Ok(Next::Flags),
        Ok(LEGACY) => Err(broken("a frame of the legacy format, which is not read")),
        Ok(other) if other & !0xF == PASSED => Ok(Next::PassedLength),
        _ => Err(broken("bytes follow its end")),
    }
}

impl Parts for Frames {
    fn wanted(&self) -> usize {
        match self.next {
            Next::Magic | Next::Length | Next::Checksum | Next::PassedLength => 4,
            Next::Flags => 2,
            Next::Head(_) => 1 + if self.frame.has_size { 8 } else { 0 },
            Next::Block(length, _) => length + if self.frame.block_checksums { 4 } else { 0 },
            Next::Passed(left) => left.min(PASSED_AT_ONCE),
        }
    }

    fn part(&mut self, part: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let passed = |left: usize| if left == 0 { Next::Magic } else { Next::Passed(left) };
        self.next = match self.next {
            Next::Magic => magic(part)?,
            Next::Flags => {
                let (frame, flags) = Self::flags(part)?;
                self.frame = frame;
                Next::Head(flags)
            }
            Next::Head(flags) => {
                self.head(flags, part)?;
                Next::Length
            }
            Next::Length => self.length(part)?,
            Next::Block(_, is_plain) => {
                self.block(part, is_plain, out)?;
                Next::Length
            }
            Next::Checksum if is_checksum(part, self.hash.finish_32()) => Next::Magic,
            Next::Checksum => return Err(broken("a wrong checksum")),
            Next::PassedLength => passed(number(part, u32::from_le_bytes)?),
            Next::Passed(left) => passed(left - part.len().min(left)),
        };
        Ok(())
    }

    fn may_end(&self) -> bool {
        matches!(self.next, Next::Magic)
    }
}
