//! The vault: opened by the operator's root key at the start.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use millpond_io::{Disk, IoError, Random, RealDisk};
use millpond_kernel::tables;
use millpond_meta::{Batch, CommitError, Kv, Op, ReadError};
use millpond_seal::{KeyRing, RingError, RootKey, RootKeyError, Vault};

use crate::data_dir::DataDir;

/// The file of a root key that was made here.
pub const FILE: &str = "kms-root-key";

/// Why there is no vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file of the root key cannot be read.
    #[error("the root key in {path} cannot be used: {why}")]
    RootKey {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: RootKeyError,
    },
    /// The key ring does not open.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The ring's copy cannot be read.
    #[error("the copy of the key ring cannot be read: {0}")]
    Read(#[from] ReadError),
    /// The ring's copy cannot be written.
    #[error("the copy of the key ring cannot be written: {0}")]
    Commit(#[from] CommitError),
    /// A file operation failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// The root key: from the file that was named, else from the data dir's own, which is made where nothing was ever sealed.
fn root_key(named: Option<&PathBuf>, data_dir: &DataDir, random: &dyn Random) -> Result<RootKey, VaultError> {
    let path = named.cloned().unwrap_or_else(|| data_dir.path().join(FILE));
    if named.is_none() && !RealDisk.exists(&path)? {
        let key = RootKey::random(random);
        key.write(&RealDisk, &path).map_err(|why| VaultError::RootKey { path: path.clone(), why })?;
        tracing::warn!(
            path = %path.display(),
            "a root key was made; it lies beside the data that it protects: keep a copy elsewhere, and name it by --kms-root-key-file"
        );
        return Ok(key);
    }
    RootKey::read(&RealDisk, &path).map_err(|why| VaultError::RootKey { path, why })
}

/// Opens the vault of a data dir, and keeps the copy of its key ring true.
pub async fn open(
    named: Option<&PathBuf>,
    data_dir: &DataDir,
    kv: &dyn Kv,
    random: &dyn Random,
) -> Result<Arc<Vault>, VaultError> {
    let row = Bytes::from_static(&[tables::KEY_RING]);
    let copy = kv.get(&row).await?;
    let root = root_key(named, data_dir, random)?;
    let ring = KeyRing::open(&RealDisk, data_dir.path(), copy.as_deref(), &root, random)?;
    let bytes = Bytes::from(ring.bytes());
    if copy.as_ref() != Some(&bytes) {
        kv.commit(Batch { ops: vec![Op::Put(row, bytes)], ..Batch::default() }).await?;
    }
    Ok(Arc::new(ring.vault()))
}
