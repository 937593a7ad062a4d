//! A look at fjall's manifests before fjall opens them. A manifest lists the tables of a keyspace; fjall writes a checksum of
//! it beside its number into `current`, and does not look at it again. A flipped bit in one would hide rows silently.
//!
//! `current` holds the number (u64), the XXH3-128 of the file `v<number>` (u128) and the kind of checksum (0), little-endian.

use std::path::{Path, PathBuf};

use bytes::Buf;
use millpond_io::{Disk, IoError, OpenMode};
use xxhash_rust::xxh3::xxh3_128;

const CURRENT_BYTES: usize = 8 + 16 + 1;
/// The longest manifest: 37 bytes a table or less for each blob file, some ten thousand of each at most.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// The manifests of a database that are not as they were written.
pub(super) fn damaged(disk: &dyn Disk, fjall_dir: &Path) -> Result<Vec<PathBuf>, IoError> {
    let spaces = fjall_dir.join("keyspaces");
    let mut damaged = Vec::new();
    if !disk.exists(&spaces)? {
        return Ok(damaged);
    }
    for space in disk.list(&spaces)? {
        let dir = spaces.join(space);
        let current = dir.join("current");
        // Without it a keyspace was never finished; fjall clears it away.
        if disk.exists(&current)? && !is_sound(disk, &dir, &current)? {
            damaged.push(dir);
        }
    }
    Ok(damaged)
}

fn is_sound(disk: &dyn Disk, dir: &Path, current: &Path) -> Result<bool, IoError> {
    let Some(bytes) = read(disk, current)? else { return Ok(false) };
    if bytes.len() != CURRENT_BYTES {
        return Ok(false);
    }
    let mut bytes = &bytes[..];
    let (number, sum, kind) = (bytes.get_u64_le(), bytes.get_u128_le(), bytes.get_u8());
    let manifest = dir.join(format!("v{number}"));
    if kind != 0 || !disk.exists(&manifest)? {
        return Ok(false);
    }
    Ok(read(disk, &manifest)?.is_some_and(|manifest| xxh3_128(&manifest) == sum))
}

/// A whole file, if it is not absurdly long.
fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, IoError> {
    let file = disk.open(path, OpenMode::Read)?;
    let len = file.len()?;
    let Some(len) = usize::try_from(len).ok().filter(|_| len <= MAX_MANIFEST_BYTES) else { return Ok(None) };
    let mut bytes = vec![0; len];
    Ok((file.read_at(&mut bytes, 0)? == len).then_some(bytes))
}
