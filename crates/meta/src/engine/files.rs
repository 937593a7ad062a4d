//! The small files beside the database: which format this is, and how far commits have come.

use std::path::Path;

use bytes::{BufMut, BytesMut};
use crc_fast::{CrcAlgorithm, checksum};
use millpond_io::{Disk, IoError, OpenMode, SyncPoint};

/// Names the format of a store. Written once everything in it was made, so a store without it never took a commit.
pub(super) const FORMAT_FILE: &str = "format";
/// The format that this version writes.
pub(super) const FORMAT: u64 = 1;
/// Names a commit that was durable before this file was written.
pub(super) const MARK_FILE: &str = "high-water";

const FORMAT_MAGIC: &[u8; 8] = b"MPmeta\r\n";
const MARK_MAGIC: &[u8; 8] = b"MPmark\r\n";
/// Magic, number, CRC-32C of both.
const NUMBER_FILE_BYTES: usize = 8 + 8 + 4;

/// What a number file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Number {
    /// There is no such file.
    Missing,
    /// It holds this.
    Is(u64),
    /// It is not what was written.
    Damaged,
}

pub(super) fn read_format(disk: &dyn Disk, dir: &Path) -> Result<Number, IoError> {
    read(disk, &dir.join(FORMAT_FILE), FORMAT_MAGIC)
}

pub(super) fn write_format(disk: &dyn Disk, dir: &Path) -> Result<(), IoError> {
    write(disk, dir, FORMAT_FILE, FORMAT_MAGIC, FORMAT, SyncPoint("meta.format"), SyncPoint("meta.format.dir"))
}

pub(super) fn read_mark(disk: &dyn Disk, dir: &Path) -> Result<Number, IoError> {
    read(disk, &dir.join(MARK_FILE), MARK_MAGIC)
}

pub(super) fn write_mark(disk: &dyn Disk, dir: &Path, commit: u64) -> Result<(), IoError> {
    write(disk, dir, MARK_FILE, MARK_MAGIC, commit, SyncPoint("meta.mark"), SyncPoint("meta.mark.dir"))
}

fn read(disk: &dyn Disk, path: &Path, magic: &[u8; 8]) -> Result<Number, IoError> {
    if !disk.exists(path)? {
        return Ok(Number::Missing);
    }
    let file = disk.open(path, OpenMode::Read)?;
    let mut bytes = [0; NUMBER_FILE_BYTES];
    if file.len()? != NUMBER_FILE_BYTES as u64 || file.read_at(&mut bytes, 0)? != NUMBER_FILE_BYTES {
        return Ok(Number::Damaged);
    }
    let (body, sum) = bytes.split_at(16);
    let (found, number) = body.split_at(8);
    if found != magic || sum != crc(body) {
        return Ok(Number::Damaged);
    }
    Ok(number.try_into().map_or(Number::Damaged, |number| Number::Is(u64::from_le_bytes(number))))
}

/// Replaces the file in one step: a crash leaves the old one or the new one.
fn write(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    magic: &[u8; 8],
    number: u64,
    data: SyncPoint,
    names: SyncPoint,
) -> Result<(), IoError> {
    let mut bytes = BytesMut::with_capacity(NUMBER_FILE_BYTES);
    bytes.put_slice(magic);
    bytes.put_u64_le(number);
    let sum = crc(&bytes);
    bytes.put_slice(&sum);

    let (path, fresh) = (dir.join(name), dir.join(format!("{name}.new")));
    if disk.exists(&fresh)? {
        disk.remove(&fresh)?;
    }
    let file = disk.open(&fresh, OpenMode::CreateNew)?;
    file.write_all_at(&bytes, 0)?;
    file.sync_data(data)?;
    disk.rename(&fresh, &path)?;
    disk.sync_dir(dir, names)
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    #[expect(clippy::cast_possible_truncation, reason = "a CRC-32 is in the lower half")]
    let sum = checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32;
    sum.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use millpond_io::RealDisk;

    #[test]
    fn numbers_come_back_or_are_found_damaged() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_mark(&RealDisk, dir.path()).unwrap(), Number::Missing);
        for number in [0, 1, u64::MAX] {
            write_mark(&RealDisk, dir.path(), number).unwrap();
            assert_eq!(read_mark(&RealDisk, dir.path()).unwrap(), Number::Is(number));
        }
        let file = RealDisk.open(&dir.path().join(MARK_FILE), OpenMode::Write).unwrap();
        for at in 0..NUMBER_FILE_BYTES as u64 {
            let mut byte = [0];
            file.read_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 4], at).unwrap();
            assert_eq!(read_mark(&RealDisk, dir.path()).unwrap(), Number::Damaged, "byte {at}");
            file.write_all_at(&byte, at).unwrap();
        }
        file.set_len(19).unwrap();
        assert_eq!(read_mark(&RealDisk, dir.path()).unwrap(), Number::Damaged);
    }
}
