//! The data dir: one server's at a time, of a format that this version knows, and of one account for ever.

use std::path::{Path, PathBuf};

use crc_fast::{CrcAlgorithm, checksum};
use millpond_io::{Disk, IoError, LockedFile, OpenMode, RealDisk, SyncPoint};
use millpond_types::AccountId;
use serde::{Deserialize, Serialize};

/// The format that this version writes. It reads this and every earlier one.
const FORMAT: u32 = 1;
const IDENTITY: &str = "millpond.json";
const LOCK: &str = "millpond.lock";
const SYNC: SyncPoint = SyncPoint("data-dir-identity");
/// Larger is no file of ours.
const MAX_IDENTITY: usize = 4096;
/// The account of a lake whose first start named none.
const DEFAULT_ACCOUNT: &str = "000000000000";

/// What stands between the fields of the identity and its checksum, the CRC-32C of all that is before it, in hex.
const SUM: &str = ",\"crc32c\":\"";
/// What ends the file behind the checksum.
const SUM_END: &str = "\"}";

/// What a data dir says of itself. In the file a checksum follows; files of the first versions have none.
#[derive(Serialize, Deserialize, Debug, Clone)]
struct Identity {
    format: u32,
    account_id: String,
}

/// A data dir that is ours while this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    account: AccountId,
    _lock: LockedFile,
}

/// Why a data dir cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another server has it.
    #[error("the data dir {0} is in use by another server; stop that one, or name another with --data-dir")]
    Locked(PathBuf),
    /// A later version wrote it.
    #[error(
        "the data dir {path} has format {found}; this version of Millpond knows formats up to {FORMAT}. Use a newer Millpond."
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It belongs to another account.
    #[error(
        "the data dir {path} belongs to account {found}, not {named}: leave --account-id away or name another data dir"
    )]
    OtherAccount {
        /// Which.
        path: PathBuf,
        /// Its account.
        found: AccountId,
        /// The one that was named.
        named: AccountId,
    },
    /// The file that says what it is does not.
    #[error(
        "{0} is damaged (its checksum does not match), or a later version of Millpond wrote it: restore it from a backup, or use a newer Millpond"
    )]
    Malformed(PathBuf),
    /// There is none.
    #[error("{0} is no data dir of Millpond; name one with --data-dir")]
    Missing(PathBuf),
    /// There is something else.
    #[error("{0} is not empty and no data dir of Millpond; name an empty or new directory with --data-dir")]
    Foreign(PathBuf),
    /// A file operation failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl DataDir {
    /// Takes a data dir that exists.
    pub fn existing(path: &Path) -> Result<Self, DataDirError> {
        match RealDisk.exists(&path.join(IDENTITY))? {
            true => Self::open(path, None),
            false => Err(DataDirError::Missing(path.to_owned())),
        }
    }

    /// Takes a data dir, making it where there is none.
    pub fn open(path: &Path, account: Option<AccountId>) -> Result<Self, DataDirError> {
        let disk = RealDisk;
        disk.create_dir_all(path)?;
        let identity_path = path.join(IDENTITY);
        let known = disk.exists(&identity_path)?;
        if !known && disk.list(path)?.iter().any(|name| is_foreign(name)) {
            return Err(DataDirError::Foreign(path.to_owned()));
        }
        let lock = disk.lock(&path.join(LOCK))?.ok_or_else(|| DataDirError::Locked(path.to_owned()))?;
        let identity = if known {
            read(&disk, &identity_path)?
        } else {
            let account_id = account.map_or_else(|| DEFAULT_ACCOUNT.to_owned(), |account| account.to_string());
            let identity = Identity { format: FORMAT, account_id };
            write(&disk, path, &identity)?;
            identity
        };
        if identity.format > FORMAT {
            return Err(DataDirError::Newer { path: path.to_owned(), found: identity.format });
        }
        let found: AccountId = identity.account_id.parse().map_err(|_| DataDirError::Malformed(identity_path))?;
        match account {
            Some(named) if named != found => Err(DataDirError::OtherAccount { path: path.to_owned(), found, named }),
            _ => Ok(Self { path: path.to_owned(), account: found, _lock: lock }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Where the metadata store is.
    pub fn meta(&self) -> PathBuf {
        self.path.join("meta")
    }

    /// Where the object bytes are.
    pub fn blob(&self) -> PathBuf {
        self.path.join("blob")
    }

    /// Where the code of functions is.
    pub fn functions(&self) -> PathBuf {
        self.path.join("functions")
    }
}

/// What an interrupted first start of ours may have left is not foreign; nor is what file systems put there.
fn is_foreign(name: &str) -> bool {
    !name.starts_with("millpond") && name != "lost+found" && !name.starts_with(crate::root_key::FILE)
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Identity, DataDirError> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut text = vec![0; MAX_IDENTITY];
    let length = file.read_at(&mut text, 0)?;
    decode(&text[..length]).ok_or_else(|| DataDirError::Malformed(path.to_owned()))
}

/// The file's text: one JSON object on one line, the checksum its last field.
fn encode(identity: &Identity) -> Option<String> {
    let text = serde_json::to_string(identity).ok()?;
    let fields = text.strip_suffix('}')?;
    Some(format!("{fields}{SUM}{:08x}{SUM_END}", crc32c(fields)))
}

/// `None` when this is not what was written.
fn decode(text: &[u8]) -> Option<Identity> {
    let text = str::from_utf8(text).ok()?;
    let identity: Identity = serde_json::from_str(text).ok()?;
    let sound = match text.split_once(SUM) {
        // A later version may have more fields before its checksum.
        Some((fields, rest)) => rest == format!("{:08x}{SUM_END}", crc32c(fields)),
        // Without one, a file is exactly what the first versions wrote: damage to the checksum's own name must not hide it.
        None => serde_json::to_string(&identity).is_ok_and(|written| written == text),
    };
    sound.then_some(identity)
}

fn crc32c(text: &str) -> u64 {
    checksum(CrcAlgorithm::Crc32Iscsi, text.as_bytes())
}

fn write(disk: &dyn Disk, dir: &Path, identity: &Identity) -> Result<(), DataDirError> {
    let (path, temporary) = (dir.join(IDENTITY), dir.join(format!("{IDENTITY}.new")));
    if disk.exists(&temporary)? {
        disk.remove(&temporary)?;
    }
    let text = encode(identity).ok_or_else(|| DataDirError::Malformed(path.clone()))?;
    let file = disk.open(&temporary, OpenMode::CreateNew)?;
    file.write_all_at(text.as_bytes(), 0)?;
    file.sync_data(SYNC)?;
    disk.rename(&temporary, &path)?;
    disk.sync_dir(dir, SYNC)?;
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const ACCOUNT: &str = "123456789012";

    /// Held by tests that open a data dir again and again, and written by those that start programs: until such a program has begun, it holds what
    /// was open when it was forked, the lock of a data dir included.
    pub(crate) static FORKS: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());

    #[test]
    fn a_data_dir_is_one_servers_and_one_accounts() {
        let _no_forks = FORKS.blocking_read();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let open = |account: Option<&str>| DataDir::open(&path, account.map(|a| a.parse().unwrap()));
        let first = open(Some(ACCOUNT)).unwrap();
        assert!(matches!(open(None), Err(DataDirError::Locked(_))));
        drop(first);
        assert_eq!(open(None).unwrap().account().as_str(), ACCOUNT);
        assert!(matches!(open(Some("210987654321")), Err(DataDirError::OtherAccount { .. })));
    }

    #[test]
    fn what_is_no_data_dir_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        RealDisk.open(&dir.path().join("thesis.txt"), OpenMode::CreateNew).unwrap();
        assert!(matches!(DataDir::open(dir.path(), None), Err(DataDirError::Foreign(_))));
    }

    #[test]
    fn a_newer_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity { format: FORMAT + 1, account_id: ACCOUNT.to_owned() };
        write(&RealDisk, dir.path(), &identity).unwrap();
        assert!(
            matches!(DataDir::open(dir.path(), None), Err(DataDirError::Newer { found, .. }) if found == FORMAT + 1)
        );
    }
    #[test]
    fn a_damaged_identity_is_refused_wherever_it_was_hit() {
        let _no_forks = FORKS.blocking_read();
        let dir = tempfile::tempdir().unwrap();
        drop(DataDir::open(dir.path(), Some(ACCOUNT.parse().unwrap())).unwrap());
        let path = dir.path().join(IDENTITY);
        let file = RealDisk.open(&path, OpenMode::Write).unwrap();
        let mut text = vec![0; MAX_IDENTITY];
        let length = file.read_at(&mut text, 0).unwrap();
        text.truncate(length);
        for at in 0..text.len() {
            for bit in 0..8 {
                file.write_all_at(&[text[at] ^ (1 << bit)], at as u64).unwrap();
                let refused = DataDir::open(dir.path(), None).unwrap_err();
                assert!(matches!(&refused, DataDirError::Malformed(found) if *found == path), "{at}.{bit}: {refused}");
                assert!(refused.to_string().contains("millpond.json is damaged"), "{refused}");
            }
            file.write_all_at(&text[at..=at], at as u64).unwrap();
        }
        for cut in 0..text.len() {
            file.set_len(cut as u64).unwrap();
            assert!(matches!(DataDir::open(dir.path(), None), Err(DataDirError::Malformed(_))), "cut at {cut}");
            file.write_all_at(&text, 0).unwrap();
        }
        assert_eq!(DataDir::open(dir.path(), None).unwrap().account().as_str(), ACCOUNT);
    }

    #[test]
    fn identities_without_a_checksum_and_of_later_versions_are_read() {
        let read = |text: &str| decode(text.as_bytes()).map(|identity| (identity.format, identity.account_id));
        let summed = |fields: &str| format!("{fields}{SUM}{:08x}{SUM_END}", crc32c(fields));
        let old = r#"{"format":1,"account_id":"123456789012"}"#;
        let later = r#"{"format":9,"account_id":"123456789012","realm":"x""#;
        assert_eq!(read(old), Some((1, ACCOUNT.to_owned())));
        assert_eq!(read(&summed(later)), Some((9, ACCOUNT.to_owned())));
        for refused in [
            r#"{"format":1,"account_id":"123456789012","crc33c":"00000000"}"#,
            r#"{ "format":1,"account_id":"123456789012"}"#,
            "",
            "{}",
        ] {
            assert_eq!(read(refused), None, "{refused}");
        }
    }
}
