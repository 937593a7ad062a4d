//! The data dir: one server's at a time, of a format that this version knows, and of one account for ever.

use std::path::{Path, PathBuf};

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

/// What a data dir says of itself.
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
    #[error("{0} is malformed; restore it from a backup")]
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
}

/// What an interrupted first start of ours may have left is not foreign; nor is what file systems put there.
fn is_foreign(name: &str) -> bool {
    !name.starts_with("millpond") && name != "lost+found" && !name.starts_with(crate::root_key::FILE)
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Identity, DataDirError> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut text = vec![0; MAX_IDENTITY];
    let length = file.read_at(&mut text, 0)?;
    serde_json::from_slice(&text[..length]).map_err(|_| DataDirError::Malformed(path.to_owned()))
}

fn write(disk: &dyn Disk, dir: &Path, identity: &Identity) -> Result<(), DataDirError> {
    let (path, temporary) = (dir.join(IDENTITY), dir.join(format!("{IDENTITY}.new")));
    if disk.exists(&temporary)? {
        disk.remove(&temporary)?;
    }
    let text = serde_json::to_vec(identity).map_err(|_| DataDirError::Malformed(path.clone()))?;
    let file = disk.open(&temporary, OpenMode::CreateNew)?;
    file.write_all_at(&text, 0)?;
    file.sync_data(SYNC)?;
    disk.rename(&temporary, &path)?;
    disk.sync_dir(dir, SYNC)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "123456789012";

    #[test]
    fn a_data_dir_is_one_servers_and_one_accounts() {
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
}
