//! The vault: opened by the operator's root key at the start, which may be changed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millpond_io::{Disk, IoError, Random, RealDisk};
use millpond_kernel::tables;
use millpond_meta::{Batch, CommitError, Kv, Op, ReadError};
use millpond_seal::{KeyRing, RingError, RootKey, RootKeyError, Vault};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use zeroize::Zeroizing;

/// The file of a root key that was made here.
pub const FILE: &str = "kms-root-key";
/// The key itself. No flag: arguments are shown to everyone on the machine.
pub const VARIABLE: &str = "MILLPOND_KMS_ROOT_KEY";
/// How long a command may take to print the key: one that asks a service over a network, and retries.
const COMMAND_TIME: Duration = Duration::from_secs(30);
/// The most that a command may print: a key and some white space.
const MAX_OUTPUT: u64 = 4096;

/// Why there is no vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The root key cannot be read.
    #[error("the root key in {place} cannot be used: {why}")]
    RootKey {
        /// Where it should be.
        place: String,
        /// Why not.
        why: RootKeyError,
    },
    /// The key that belongs to the data is not there.
    #[error(
        "the data is sealed under the root key {}, and there is none: {} does not exist. Restore that file, or name the key by --kms-root-key-file, --kms-root-key-command or {VARIABLE}. Without it nothing that is sealed can be read.",
        wanted.join(" or "), path.display()
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// The fingerprints of the keys that would do.
        wanted: Vec<String>,
    },
    /// The command does not print a key.
    #[error("the command of the root key {why}: {command}")]
    Command {
        /// Which.
        command: String,
        /// What went wrong.
        why: String,
    },
    /// The new root key is the one in use.
    #[error("the new root key is the one that is in use")]
    Same,
    /// A new key can only be made where it can be put.
    #[error(
        "the root key comes from {0}, where a new one cannot be put from here: make one (openssl rand -base64 32), name it by --new-key-file, and follow what is said then"
    )]
    NeedsNewKey(String),
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

/// More than one root key was named.
#[derive(Debug, thiserror::Error)]
#[error("the root key is given in more than one way: {0}. Give it in one.")]
pub struct SeveralRootKeys(String);

/// Where the root key comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum RootKeySource {
    /// The data dir's own file, made where nothing was ever sealed.
    #[default]
    Own,
    /// A file.
    File(PathBuf),
    /// What a command prints.
    Command(String),
    /// The environment.
    Environment,
}

impl RootKeySource {
    /// What was said: a file, a command, or the key in the environment; not several.
    pub fn of(file: Option<PathBuf>, command: Option<String>) -> Result<Self, SeveralRootKeys> {
        let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
        Self::chosen(file, command, variable.is_some())
    }

    fn chosen(file: Option<PathBuf>, command: Option<String>, variable: bool) -> Result<Self, SeveralRootKeys> {
        let names = [
            (file.is_some(), "--kms-root-key-file"),
            (command.is_some(), "--kms-root-key-command"),
            (variable, VARIABLE),
        ];
        let given: Vec<_> = names.iter().filter(|(given, _)| *given).map(|(_, name)| *name).collect();
        match (file, command, given.len()) {
            (_, _, 0) => Ok(Self::Own),
            (Some(file), _, 1) => Ok(Self::File(file)),
            (_, Some(command), 1) => Ok(Self::Command(command)),
            (_, _, 1) => Ok(Self::Environment),
            _ => Err(SeveralRootKeys(given.join(" and "))),
        }
    }
}

/// The root key of a data dir.
#[derive(Clone, Debug)]
pub struct RootKeyPlace {
    source: RootKeySource,
    data_dir: PathBuf,
}

impl RootKeyPlace {
    /// Of a data dir.
    pub fn new(source: RootKeySource, data_dir: &Path) -> Self {
        Self { source, data_dir: data_dir.to_owned() }
    }

    /// The file that the key lies in, if it lies in one.
    fn file(&self) -> Option<PathBuf> {
        match &self.source {
            RootKeySource::Own => Some(self.data_dir.join(FILE)),
            RootKeySource::File(path) => Some(path.clone()),
            RootKeySource::Command(_) | RootKeySource::Environment => None,
        }
    }

    /// Where it is, in words.
    fn words(&self) -> String {
        match &self.source {
            RootKeySource::Own | RootKeySource::File(_) => {
                self.file().map(|path| path.display().to_string()).unwrap_or_default()
            }
            RootKeySource::Command(_) => "the output of --kms-root-key-command".to_owned(),
            RootKeySource::Environment => VARIABLE.to_owned(),
        }
    }

    /// The key, where there is one.
    pub async fn read(&self) -> Result<Option<RootKey>, VaultError> {
        let unfit = |why| VaultError::RootKey { place: self.words(), why };
        match &self.source {
            RootKeySource::Own => {
                let path = self.data_dir.join(FILE);
                let there = RealDisk.exists(&path)?;
                there.then(|| RootKey::read(&RealDisk, &path)).transpose().map_err(unfit)
            }
            RootKeySource::File(path) => RootKey::read(&RealDisk, path).map(Some).map_err(unfit),
            RootKeySource::Command(command) => {
                let text = printed(command).await?;
                RootKey::parse(&text).map(Some).map_err(unfit)
            }
            RootKeySource::Environment => {
                let text = Zeroizing::new(std::env::var(VARIABLE).unwrap_or_default());
                RootKey::parse(&text).map(Some).map_err(unfit)
            }
        }
    }

    /// The key; a new one where nothing was ever sealed and no key was named.
    async fn read_or_make(&self, copy: Option<&[u8]>, random: &dyn Random) -> Result<RootKey, VaultError> {
        if let Some(key) = self.read().await? {
            return Ok(key);
        }
        let path = self.data_dir.join(FILE);
        match KeyRing::fingerprints(&RealDisk, &self.data_dir)? {
            Some(wanted) => return Err(VaultError::Missing { path, wanted }),
            None if copy.is_some() => return Err(VaultError::Missing { path, wanted: vec!["of its own".to_owned()] }),
            None => {}
        }
        let key = RootKey::random(random);
        key.write(&RealDisk, &path).map_err(|why| VaultError::RootKey { place: self.words(), why })?;
        tracing::warn!(
            path = %path.display(),
            "a root key was made; it lies beside the data that it protects: keep a copy elsewhere, and name it by --kms-root-key-file"
        );
        Ok(key)
    }
}

/// What a command prints on its standard output.
async fn printed(command: &str) -> Result<Zeroizing<String>, VaultError> {
    let failed = |why: String| VaultError::Command { command: command.to_owned(), why };
    // Its standard error is ours: what it complains of is for the operator.
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("cannot be started ({error})")))?;
    let mut text = Zeroizing::new(String::new());
    let stdout = child.stdout.take();
    let run = async {
        if let Some(stdout) = stdout {
            stdout.take(MAX_OUTPUT).read_to_string(&mut text).await?;
        }
        child.wait().await
    };
    match tokio::time::timeout(COMMAND_TIME, run).await {
        Err(_) => Err(failed(format!("took longer than {} seconds", COMMAND_TIME.as_secs()))),
        Ok(Err(error)) => Err(failed(format!("cannot be read ({error})"))),
        Ok(Ok(status)) if !status.success() => Err(failed(format!("failed ({status})"))),
        Ok(Ok(_)) => Ok(text),
    }
}

fn row() -> Bytes {
    Bytes::from_static(&[tables::KEY_RING])
}

/// Keeps the ring's copy true.
async fn keep_copy(kv: &dyn Kv, ring: &KeyRing) -> Result<(), VaultError> {
    let bytes = Bytes::from(ring.bytes());
    if kv.get(&row()).await?.as_ref() != Some(&bytes) {
        kv.commit(Batch { ops: vec![Op::Put(row(), bytes)], urgent: true, ..Batch::default() }).await?;
    }
    Ok(())
}

async fn ring(place: &RootKeyPlace, kv: &dyn Kv, random: &dyn Random) -> Result<(KeyRing, RootKey), VaultError> {
    let copy = kv.get(&row()).await?;
    let root = place.read_or_make(copy.as_deref(), random).await?;
    let ring = KeyRing::open(&RealDisk, &place.data_dir, copy.as_deref(), &root, random)?;
    Ok((ring, root))
}

/// Opens the vault of a data dir, and keeps the copy of its key ring true.
pub async fn open(place: &RootKeyPlace, kv: &dyn Kv, random: &dyn Random) -> Result<Arc<Vault>, VaultError> {
    let (ring, root) = ring(place, kv, random).await?;
    keep_copy(kv, &ring).await?;
    if ring.root_keys().len() > 1 {
        tracing::warn!(
            in_use = root.fingerprint(), opens = ?ring.root_keys(),
            "a change of the root key is under way: end it by millpond kms rotate-root --finish"
        );
    }
    Ok(Arc::new(ring.vault()))
}

/// A root key that was changed.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Rotated {
    /// The fingerprint of the one that was in use.
    pub old: String,
    /// The fingerprint of the new one.
    pub new: String,
    /// Where the new one was put; `None` where the operator has to.
    pub placed: Option<PathBuf>,
    /// The fingerprints of the keys that open the data now.
    pub opens: Vec<String>,
}

/// Changes the root key, in steps after each of which the key that is in its place opens the data: the ring admits the new key; the key is put
/// in its place; the ring gives up all others. Where the key is not in a file of ours the operator does the second step, and [`finish`] the third.
pub async fn rotate(
    place: &RootKeyPlace,
    kv: &dyn Kv,
    random: &dyn Random,
    new: Option<RootKey>,
) -> Result<Rotated, VaultError> {
    let (mut ring, old) = ring(place, kv, random).await?;
    let file = place.file();
    let new = match new {
        Some(new) => new,
        None if file.is_some() => RootKey::random(random),
        None => return Err(VaultError::NeedsNewKey(place.words())),
    };
    if new.fingerprint() == old.fingerprint() {
        return Err(VaultError::Same);
    }
    ring.admit(&RealDisk, &new, random)?;
    keep_copy(kv, &ring).await?;
    if let Some(path) = &file {
        new.write(&RealDisk, path).map_err(|why| VaultError::RootKey { place: place.words(), why })?;
        ring.keep_only(&RealDisk, &new)?;
        keep_copy(kv, &ring).await?;
    }
    tracing::info!(old = old.fingerprint(), new = new.fingerprint(), done = file.is_some(), "the root key was changed");
    Ok(Rotated { old: old.fingerprint(), new: new.fingerprint(), placed: file, opens: ring.root_keys() })
}

/// Ends a change: the key that is in its place stays, all others are given up.
pub async fn finish(place: &RootKeyPlace, kv: &dyn Kv, random: &dyn Random) -> Result<Rotated, VaultError> {
    let (mut ring, root) = ring(place, kv, random).await?;
    ring.keep_only(&RealDisk, &root)?;
    keep_copy(kv, &ring).await?;
    tracing::info!(root_key = root.fingerprint(), "a change of the root key was ended");
    Ok(Rotated { old: root.fingerprint(), new: root.fingerprint(), placed: place.file(), opens: ring.root_keys() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_key_comes_from_one_place() {
        let (file, command) = (Some(PathBuf::from("f")), Some("c".to_owned()));
        for (file, command, variable, expected) in [
            (None, None, false, Some(RootKeySource::Own)),
            (file.clone(), None, false, Some(RootKeySource::File("f".into()))),
            (None, command.clone(), false, Some(RootKeySource::Command("c".into()))),
            (None, None, true, Some(RootKeySource::Environment)),
            (file.clone(), command.clone(), false, None),
            (file.clone(), None, true, None),
            (None, command.clone(), true, None),
            (file, command, true, None),
        ] {
            assert_eq!(RootKeySource::chosen(file, command, variable).ok(), expected);
        }
    }

    #[tokio::test]
    async fn commands_print_the_key_or_say_why_not() {
        let _forks = crate::data_dir::tests::FORKS.write().await;
        assert_eq!(printed("echo key").await.unwrap().as_str(), "key\n");
        for (command, why) in
            [("exit 3", "exit status: 3"), ("printf '\\377'", "cannot be read"), ("kill $$", "signal")]
        {
            let error = printed(command).await.unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(command), "{error}");
        }
        assert!(printed("yes").await.is_err(), "what prints without end is cut off");
    }
}
