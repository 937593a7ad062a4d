//! Flipped bits are found on read.

use std::path::{Path, PathBuf};

use millpond_io::sim::SimDisk;

use super::{DIR, open};
use crate::testing::{Catalog, content, get, put};
use crate::{BlobError, Location, Written, file, segment};

fn place(extent: crate::ExtentId, at: Location) -> (PathBuf, u64) {
    match at {
        Location::Segment { segment, offset, .. } => (segment::path(Path::new(DIR), segment), offset),
        Location::File { .. } => (file::path(Path::new(DIR), extent), 0),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_anywhere_is_found_and_its_neighbours_are_served() {
    let disk = SimDisk::new();
    let blobs = open(&disk, 1);
    let catalog = Catalog::default();
    for len in [1000, 100_000, 400_000, 1_300_000] {
        let bytes = content(7, len);
        let Written::Stored(stored) = put(&blobs, &bytes, 1 << 16, None).await.unwrap() else { panic!() };
        let (extent, at) = catalog.commit(stored);
        let Written::Stored(next) = put(&blobs, &content(8, 5000), 1 << 16, None).await.unwrap() else { panic!() };
        let (path, base) = place(extent, at);
        let size = crate::format::stored_len(len as u64);
        let last = size - 1;
        // Magic, version, generation, id, length, the header's checksum; the first and last bytes of content and of checksums.
        let header = [0, 5, 9, 20, 35, 50, 63].map(|o| (o, u64::MAX));
        let last_block = (len as u64 - 1) / crate::BLOCK;
        let blocks = [(64, 0), (64 + (len as u64).min(65_536) - 1, 0), (last - 8, last_block), (last, last_block)];
        for (offset, block) in header.into_iter().chain(blocks) {
            for bit in [0, 7] {
                disk.flip_bit(&path, base + offset, bit).unwrap();
                let failed = blobs.verify(extent, at).await.unwrap_err();
                assert!(
                    matches!(failed, BlobError::Damaged { block: b, .. } if b == block),
                    "{len} {offset}: {failed}"
                );
                blobs.verify(next.extent(), next.location()).await.unwrap();
                disk.flip_bit(&path, base + offset, bit).unwrap();
                blobs.verify(extent, at).await.unwrap();
            }
        }
        // Blocks before and after the damaged one are good.
        if last_block > 1 {
            disk.flip_bit(&path, base + 64 + 65_544 + 10, 3).unwrap();
            assert_eq!(get(&blobs, extent, at, 0, 65_536).await.unwrap(), bytes.slice(..65_536));
            assert_eq!(get(&blobs, extent, at, 131_072, u64::MAX).await.unwrap(), bytes.slice(131_072..));
            assert!(get(&blobs, extent, at, 65_535, 65_537).await.is_err());
        }
        next.abandon();
    }
    assert!(blobs.usage().damaged > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extents_that_are_gone_cut_short_or_nonsense_are_errors() {
    let disk = SimDisk::new();
    let blobs = open(&disk, 1);
    let Written::Stored(stored) = put(&blobs, &content(1, 1_300_000), 1 << 16, None).await.unwrap() else { panic!() };
    let (extent, at) = Catalog::default().commit(stored);
    let wrong = [
        Location::File { len: 1_299_999 },
        Location::File { len: u64::MAX },
        Location::Segment { segment: 5, offset: 0, len: 10 },
        Location::Segment { segment: 5, offset: u64::MAX - 3, len: 10 },
    ];
    for at in wrong {
        assert!(blobs.read(extent, at, 0..5).await.is_err(), "{at:?}");
    }
    let (path, _) = place(extent, at);
    let open = millpond_io::Disk::open(&disk, &path, millpond_io::OpenMode::Write).unwrap();
    open.set_len(1_200_000).unwrap();
    assert!(matches!(blobs.verify(extent, at).await, Err(BlobError::Damaged { .. })));
    open.set_len(10).unwrap();
    assert!(matches!(blobs.verify(extent, at).await, Err(BlobError::Damaged { block: u64::MAX, .. })));
    blobs.delete(&[(extent, at)]).await.unwrap();
    assert!(matches!(blobs.verify(extent, at).await, Err(BlobError::Missing(id)) if id == extent.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_with_a_damaged_live_extent_is_kept() {
    let (disk, catalog) = (SimDisk::new(), Catalog::default());
    let blobs = open(&disk, 1);
    blobs.load_done();
    let mut rows = Vec::new();
    for n in 0..40 {
        let Written::Stored(stored) = put(&blobs, &content(n, 60_000), 60_000, None).await.unwrap() else { panic!() };
        rows.push(catalog.commit(stored));
    }
    let (extent, at) = rows.remove(0);
    let (path, base) = place(extent, at);
    disk.flip_bit(&path, base + 64 + 99, 1).unwrap();
    for (extent, _) in &rows {
        catalog.remove(*extent);
    }
    blobs.delete(&rows).await.unwrap();
    blobs.reclaim(&catalog).await.unwrap();
    blobs.reclaim(&catalog).await.unwrap();
    assert_eq!(catalog.get(extent), Some(at));
    assert!(matches!(blobs.verify(extent, at).await, Err(BlobError::Damaged { block: 0, .. })), "there to be repaired");
}
