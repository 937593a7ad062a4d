//! The operator's root key: the one secret that everything sealed rests on.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millpond_io::{Disk, IoError, OpenMode, Random, SyncPoint};
use zeroize::Zeroizing;

use crate::Key;

/// The sync that makes a new key file durable.
pub const SYNC_ROOT: SyncPoint = SyncPoint("root-key");
/// The largest file of a root key: its text and some white space.
const MAX_FILE: usize = 4096;

/// A root key.
#[derive(Clone, Debug)]
pub struct RootKey(Key);

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// The text is no key.
    #[error("a root key is 32 bytes, written as 64 hexadecimal digits or in base64")]
    Malformed,
    /// A file operation failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl RootKey {
    /// A random root key.
    pub fn random(random: &dyn Random) -> Self {
        Self(Key::random(random))
    }

    /// Reads 64 hexadecimal digits or base64 of 32 bytes, with white space around it.
    pub fn parse(text: &str) -> Result<Self, RootKeyError> {
        let text = text.trim();
        let bytes = match hex::decode(text) {
            Ok(bytes) => bytes,
            Err(_) => STANDARD.decode(text).map_err(|_| RootKeyError::Malformed)?,
        };
        let bytes = Zeroizing::new(bytes);
        let key: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| RootKeyError::Malformed)?;
        Ok(Self(Key::from_bytes(key)))
    }

    /// Reads a file.
    pub fn read(disk: &dyn Disk, path: &Path) -> Result<Self, RootKeyError> {
        let file = disk.open(path, OpenMode::Read)?;
        let mut text = Zeroizing::new(vec![0; MAX_FILE]);
        let length = file.read_at(&mut text, 0)?;
        Self::parse(std::str::from_utf8(&text[..length]).map_err(|_| RootKeyError::Malformed)?)
    }

    /// Writes the key to a file that replaces any other of this name at once. Readable by its owner alone, as every file of ours.
    pub fn write(&self, disk: &dyn Disk, path: &Path) -> Result<(), RootKeyError> {
        let text = Zeroizing::new(format!("{}\n", STANDARD.encode(self.0.expose())));
        Ok(replace(disk, path, text.as_bytes(), SYNC_ROOT)?)
    }

    /// Names the key without telling it: 16 hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        hex::encode(&self.0.derive(b"", &[b"millpond root key fingerprint"]).expose()[..8])
    }

    /// The key under which the store key lies.
    pub(crate) fn sealing(&self) -> Key {
        self.0.derive(b"", &[b"millpond key ring"])
    }
}

/// Writes a file whole: it has its old content or the new one, whatever happens.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, content: &[u8], point: SyncPoint) -> Result<(), IoError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    if disk.exists(&temporary)? {
        disk.remove(&temporary)?;
    }
    let file = disk.open(&temporary, OpenMode::CreateNew)?;
    file.write_all_at(content, 0)?;
    file.sync_data(point)?;
    disk.rename(&temporary, path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    disk.sync_dir(dir, point)
}

#[cfg(test)]
mod tests {
    use millpond_io::SystemRandom;

    use super::*;

    #[test]
    fn keys_are_read_in_two_ways() {
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let fingerprint = RootKey::parse(hex).unwrap().fingerprint();
        assert_eq!(RootKey::parse(&format!(" {base64}\n")).unwrap().fingerprint(), fingerprint);
        assert_eq!(fingerprint.len(), 16);
        assert_ne!(RootKey::random(&SystemRandom).fingerprint(), fingerprint);
        for bad in ["", "00", &hex[2..], "secret", &base64[4..]] {
            assert!(matches!(RootKey::parse(bad), Err(RootKeyError::Malformed)), "{bad}");
        }
        assert!(!format!("{:?}", RootKey::parse(hex).unwrap()).contains("0001"));
    }
}
