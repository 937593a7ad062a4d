//! What fuzzing asks.

use std::io::Read;

use crate::zip::Archive;

/// Reads an archive as if it were unpacked; whether it could be.
pub fn zip(data: &[u8]) -> bool {
    let Ok(archive) = Archive::open(data) else { return false };
    let mut sink = Vec::new();
    for name in archive.names() {
        assert!(!name.starts_with('/') && name.split('/').all(|part| part != ".." && !part.is_empty()), "{name:?}");
    }
    archive.read_all(&mut |source| {
        sink.clear();
        // More than this only takes longer.
        source.take(1 << 20).read_to_end(&mut sink).is_ok()
    })
}
