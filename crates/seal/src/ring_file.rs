//! The key ring: the store key, sealed under one root key, or under two while a change of root keys is under way.
//!
//! `keyring.json` in the data dir. A change goes in steps, each one file replaced at once, so that a kill at any point leaves a ring that the old or the new
//! root key opens: the ring gets an entry for the new key ([`KeyRing::admit`]); the operator's key is put in place; the ring loses the others
//! ([`KeyRing::keep_only`]).

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, checksum};
use millpond_io::{Disk, IoError, OpenMode, Random, SyncPoint};
use serde::{Deserialize, Serialize};

use crate::root::replace;
use crate::{Key, RootKey, Unopened, Vault, unwrap, wrap};

/// The file.
pub const RING_FILE: &str = "keyring.json";
/// The sync that makes a ring durable.
pub const SYNC_RING: SyncPoint = SyncPoint("key-ring");
/// The format that this version writes.
const FORMAT: u32 = 1;
/// The largest ring: two entries take some 400 bytes.
const MAX_RING: usize = 64 * 1024;
/// More root keys than this at a time are a mistake.
const MAX_ENTRIES: usize = 8;

/// Why there is no store key.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The ring was made for other root keys.
    #[error(
        "the data is sealed under the root key {}, and the one that was given is {given}: give that one (--kms-root-key-file, --kms-root-key-command or MILLPOND_KMS_ROOT_KEY)",
        wanted.join(" or ")
    )]
    OtherRootKey {
        /// The fingerprints of the root keys that open it.
        wanted: Vec<String>,
        /// The fingerprint of the one that was given.
        given: String,
    },
    /// The ring is damaged and there is no sound copy of it.
    #[error("the key ring {0} is damaged: restore it from a backup; without it nothing that is encrypted can be read")]
    Damaged(PathBuf),
    /// A later version wrote it.
    #[error("the key ring has format {0}, which a later version of Millpond wrote")]
    Newer(u32),
    /// Sealing failed.
    #[error("the key ring cannot be opened: {0}")]
    Unopened(#[from] Unopened),
    /// A file operation failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Content {
    format: u32,
    /// The store key's.
    generation: u32,
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Entry {
    /// Of the root key.
    root_key: String,
    /// The store key, in base64.
    store_key: String,
}

#[derive(Serialize, Deserialize)]
struct Summed {
    ring: Content,
    crc32c: String,
}

/// The ring of a data dir.
pub struct KeyRing {
    path: PathBuf,
    content: Content,
    store: Key,
}

fn aad(generation: u32) -> Vec<u8> {
    [&b"millpond store key"[..], &generation.to_le_bytes()].concat()
}

fn entry(root: &RootKey, generation: u32, store: &Key, random: &dyn Random) -> Result<Entry, RingError> {
    let sealed = wrap(&root.sealing(), random, &aad(generation), store)?;
    Ok(Entry { root_key: root.fingerprint(), store_key: STANDARD.encode(sealed) })
}

impl Content {
    fn encode(&self) -> Vec<u8> {
        let summed = Summed { crc32c: sum(self), ring: self.clone() };
        // These types always have a JSON text.
        serde_json::to_vec_pretty(&summed).unwrap_or_default()
    }

    /// `None` for what is damaged.
    fn decode(bytes: &[u8]) -> Option<Result<Self, RingError>> {
        let Summed { ring, crc32c } = serde_json::from_slice(bytes).ok()?;
        if sum(&ring) != crc32c {
            return None;
        }
        Some(if ring.format == FORMAT { Ok(ring) } else { Err(RingError::Newer(ring.format)) })
    }

    fn store(&self, root: &RootKey) -> Result<Key, RingError> {
        let given = root.fingerprint();
        let Some(entry) = self.entries.iter().find(|entry| entry.root_key == given) else {
            let wanted = self.entries.iter().map(|entry| entry.root_key.clone()).collect();
            return Err(RingError::OtherRootKey { wanted, given });
        };
        let sealed = STANDARD.decode(&entry.store_key).map_err(|_| Unopened)?;
        Ok(unwrap(&root.sealing(), &aad(self.generation), &sealed)?)
    }
}

fn sum(content: &Content) -> String {
    let text = serde_json::to_vec(content).unwrap_or_default();
    format!("{:08x}", checksum(CrcAlgorithm::Crc32Iscsi, &text))
}

impl KeyRing {
    /// Opens the ring of a data dir, or makes one where there never was any. `copy` is the copy of its file that is kept elsewhere: a file that is missing or damaged is
    /// restored from it.
    pub fn open(
        disk: &dyn Disk,
        data_dir: &Path,
        copy: Option<&[u8]>,
        root: &RootKey,
        random: &dyn Random,
    ) -> Result<Self, RingError> {
        let path = data_dir.join(RING_FILE);
        let stored = if disk.exists(&path)? { Some(read(disk, &path)?) } else { None };
        let there = stored.as_deref().map(Content::decode);
        let (content, restore) = match (there, copy.map(Content::decode)) {
            (Some(Some(content)), _) => (content?, false),
            (None | Some(None), Some(Some(content))) => (content?, true),
            (None, None) => {
                let store = Key::random(random);
                let content = Content { format: FORMAT, generation: 1, entries: vec![entry(root, 1, &store, random)?] };
                (content, true)
            }
            _ => return Err(RingError::Damaged(path)),
        };
        let store = content.store(root)?;
        let ring = Self { path, content, store };
        if restore {
            ring.write(disk)?;
        }
        Ok(ring)
    }

    /// The fingerprints of the root keys that open the ring of a data dir; `None` where there is no ring.
    pub fn fingerprints(disk: &dyn Disk, data_dir: &Path) -> Result<Option<Vec<String>>, RingError> {
        let path = data_dir.join(RING_FILE);
        if !disk.exists(&path)? {
            return Ok(None);
        }
        let content = Content::decode(&read(disk, &path)?).ok_or(RingError::Damaged(path))??;
        Ok(Some(content.entries.into_iter().map(|entry| entry.root_key).collect()))
    }

    /// The vault of its store key.
    pub fn vault(&self) -> Vault {
        Vault::new(self.store.clone(), self.content.generation)
    }

    /// The file's bytes, for the copy.
    pub fn bytes(&self) -> Vec<u8> {
        self.content.encode()
    }

    /// The fingerprints of the root keys that open it.
    pub fn root_keys(&self) -> Vec<String> {
        self.content.entries.iter().map(|entry| entry.root_key.clone()).collect()
    }

    /// Lets another root key open it too.
    pub fn admit(&mut self, disk: &dyn Disk, root: &RootKey, random: &dyn Random) -> Result<(), RingError> {
        let mut changed = self.content.clone();
        changed.entries.retain(|entry| entry.root_key != root.fingerprint());
        // The newest last; the oldest go.
        changed.entries.push(entry(root, changed.generation, &self.store, random)?);
        let surplus = changed.entries.len().saturating_sub(MAX_ENTRIES);
        changed.entries.drain(..surplus);
        // Before the old key is given up, the new one has proved that it opens the ring.
        changed.store(root)?;
        self.content = changed;
        self.write(disk)
    }

    /// Lets no other root key open it any more. Copies of the ring from before still open with the old ones.
    pub fn keep_only(&mut self, disk: &dyn Disk, root: &RootKey) -> Result<(), RingError> {
        self.content.store(root)?;
        self.content.entries.retain(|entry| entry.root_key == root.fingerprint());
        self.write(disk)
    }

    fn write(&self, disk: &dyn Disk) -> Result<(), RingError> {
        Ok(replace(disk, &self.path, &self.content.encode(), SYNC_RING)?)
    }
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, IoError> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut bytes = Vec::new();
    file.read_append(&mut bytes, MAX_RING, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use millpond_io::{SeededRandom, SystemRandom};

    use super::*;
    use crate::Purpose;
    use millpond_io::sim::SimDisk;

    const DIR: &str = "/data";

    fn disk() -> SimDisk {
        let disk = SimDisk::new();
        disk.create_dir_all(Path::new(DIR)).unwrap();
        disk
    }

    fn open(disk: &SimDisk, copy: Option<&[u8]>, root: &RootKey) -> Result<KeyRing, RingError> {
        KeyRing::open(disk, Path::new(DIR), copy, root, &SystemRandom)
    }

    #[test]
    fn the_store_key_stays_the_same_and_needs_its_root_key() {
        let (disk, root, other) = (disk(), RootKey::random(&SystemRandom), RootKey::random(&SystemRandom));
        let ring = open(&disk, None, &root).unwrap();
        let sealed = ring.vault().seal(&SystemRandom, Purpose::KeyMaterial, b"k", b"secret").unwrap();
        let again = open(&disk, Some(&ring.bytes()), &root).unwrap();
        assert_eq!(**again.vault().open(Purpose::KeyMaterial, b"k", &sealed).unwrap(), *b"secret");
        match open(&disk, None, &other).map(|_| ()) {
            Err(RingError::OtherRootKey { wanted, given }) => {
                assert_eq!((wanted, given), (vec![root.fingerprint()], other.fingerprint()));
            }
            other => panic!("{other:?}"),
        }
        assert!(!ring.bytes().windows(32).any(|window| window == ring.store.expose()));
    }

    #[test]
    fn a_lost_or_damaged_file_is_restored_from_the_copy_and_never_made_anew() {
        let (disk, root) = (disk(), RootKey::random(&SystemRandom));
        let ring = open(&disk, None, &root).unwrap();
        let (copy, path) = (ring.bytes(), Path::new(DIR).join(RING_FILE));
        disk.remove(&path).unwrap();
        assert_eq!(open(&disk, Some(&copy), &root).unwrap().store.expose(), ring.store.expose());
        assert_eq!(read(&disk, &path).unwrap(), copy);
        for at in 0..copy.len() as u64 {
            let damaged = disk.copy();
            damaged.flip_bit(&path, at, 1).unwrap();
            assert_eq!(open(&damaged, Some(&copy), &root).unwrap().store.expose(), ring.store.expose(), "byte {at}");
            let damaged = disk.copy();
            damaged.flip_bit(&path, at, 1).unwrap();
            // Without a copy it is refused, unless the flip was in white space.
            match open(&damaged, None, &root) {
                Err(RingError::Damaged(_)) => {}
                Ok(same) => assert_eq!(same.content, ring.content, "byte {at}"),
                Err(other) => panic!("byte {at}: {other}"),
            }
        }
        assert!(open(&disk, Some(b"{}"), &root).is_ok(), "the file itself is sound");
    }

    /// Changes the root key on a disk that may fail; the steps of `millpond kms rotate-root`.
    fn rotate(disk: &SimDisk, old: &RootKey, new: &RootKey, key_file: &Path) -> Result<(), RingError> {
        let mut ring = KeyRing::open(disk, Path::new(DIR), None, old, &SeededRandom::new(1))?;
        ring.admit(disk, new, &SeededRandom::new(2))?;
        new.write(disk, key_file).map_err(|_| RingError::Unopened(Unopened))?;
        ring.keep_only(disk, new)
    }

    #[test]
    fn a_power_cut_at_any_moment_of_a_change_leaves_a_key_that_opens() {
        let key_file = Path::new(DIR).join("root.key");
        let (old, new) = (RootKey::random(&SystemRandom), RootKey::random(&SystemRandom));
        let start = disk();
        old.write(&start, &key_file).unwrap();
        let store = open(&start, None, &old).unwrap().store;
        let whole = start.copy();
        rotate(&whole, &old, &new, &key_file).unwrap();
        assert_eq!(open(&whole, None, &new).unwrap().root_keys(), [new.fingerprint()]);
        assert!(open(&whole, None, &old).is_err());
        // A copy counts its calls anew.
        let calls = whole.calls();
        assert!(calls > 10, "{calls}");
        for call in 1..=calls {
            for seed in 0..8 {
                let disk = start.copy();
                disk.snapshot_at(call);
                rotate(&disk, &old, &new, &key_file).unwrap();
                let cuts = disk.snapshots();
                assert_eq!(cuts.len(), 1, "call {call}");
                for (_, cut) in cuts {
                    let image = cut.crash_image(seed);
                    let root = RootKey::read(&image, &key_file).unwrap();
                    let found =
                        open(&image, None, &root).unwrap_or_else(|error| panic!("call {call}, seed {seed}: {error}"));
                    assert_eq!(found.store.expose(), store.expose(), "call {call}, seed {seed}");
                }
            }
        }
    }
}
