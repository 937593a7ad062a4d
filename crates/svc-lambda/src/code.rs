//! The store of code: archives by their SHA-256, and folders that they are unpacked into for workers.
//!
//! `archives/HEX.zip` is durable before a row names it. `unpacked/HEX` is made of it when it is needed; it is not synced, and after a restart it is
//! made anew. What no row names and nobody holds is swept away.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millpond_io::{
    Disk, File, IoError, NewFolder, OpenMode, Random, SyncPoint, fresh_folder, is_folder, names_in, remove_folder,
};
use sha2::Digest;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::errors::{LambdaError, parameter};
use crate::limits::MAX_UPLOADS;
use crate::tables::CodeRow;
use crate::zip::{Archive, UnpackError};

/// Where an archive is made durable.
pub const SYNC_ARCHIVE: SyncPoint = SyncPoint("function archive");
/// Where its name is.
pub const SYNC_ARCHIVES: SyncPoint = SyncPoint("function archives directory");

const ARCHIVES: &str = "archives";
const UNPACKED: &str = "unpacked";

/// Locks for code that is written: more than [`MAX_UPLOADS`], so that different code seldom waits.
const STRIPES: usize = 16;

/// What names code.
pub(crate) type Sha256 = [u8; 32];

/// The store.
#[derive(Clone)]
pub(crate) struct CodeStore(Arc<Inner>);

struct Inner {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    random: Arc<dyn Random>,
    /// Code that somebody works with, and how many do: not to be swept away.
    held: Mutex<HashMap<Sha256, usize>>,
    turns: Semaphore,
    /// Held by whoever writes or unpacks code, by its first byte: two that bring the same take turns.
    making: [Mutex<()>; STRIPES],
}

/// Keeps code where it is.
pub(crate) struct Held {
    store: Arc<Inner>,
    sha256: Sha256,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({})", hex(&self.sha256))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.store.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.sha256) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.sha256);
            }
        }
    }
}

fn hex(sha256: &Sha256) -> String {
    sha256.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Sha256> {
    let mut sha256 = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in sha256.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(sha256)
}

/// The name of a row's code.
pub(crate) fn sha256_of(row: &CodeRow) -> Result<Sha256, LambdaError> {
    Sha256::try_from(row.sha256.as_slice()).map_err(|_| LambdaError::Internal("code without a name".to_owned()))
}

impl From<UnpackError> for LambdaError {
    fn from(error: UnpackError) -> Self {
        match error {
            UnpackError::Fault(fault) => parameter(fault.to_string()),
            UnpackError::Io(error) => error.into(),
        }
    }
}

/// Lets one archive be in memory.
pub(crate) type Turn<'a> = SemaphorePermit<'a>;

impl CodeStore {
    /// The store in a folder, which is made if it is not there. What was unpacked before goes in the background.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, random: Arc<dyn Random>) -> Result<Self, IoError> {
        disk.create_dirs(&[dir.join(ARCHIVES)])?;
        let inner = Inner {
            disk,
            dir: dir.to_owned(),
            random,
            held: Mutex::default(),
            turns: Semaphore::new(MAX_UPLOADS),
            making: Default::default(),
        };
        inner.begin()?;
        Ok(Self(Arc::new(inner)))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>) -> Result<T, LambdaError> + Send + 'static,
    ) -> Result<T, LambdaError> {
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.map_err(|error| LambdaError::Internal(error.to_string()))?
    }

    /// Waits until one more archive may be in memory.
    ///
    /// # Errors
    /// None while the server runs.
    pub async fn turn(&self) -> Result<Turn<'_>, LambdaError> {
        self.0.turns.acquire().await.map_err(|error| LambdaError::Internal(error.to_string()))
    }

    /// Takes an archive in: checked, unpacked, and durable when it returns. Whoever has a turn may hold one in memory.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn put(&self, _turn: Turn<'_>, archive: Bytes) -> Result<(CodeRow, Held), LambdaError> {
        self.blocking(move |inner| inner.put(&archive)).await
    }

    /// The folder that code is unpacked in.
    ///
    /// # Errors
    /// An archive that is gone or damaged; the disk.
    pub async fn folder(&self, row: &CodeRow) -> Result<(PathBuf, Held), LambdaError> {
        let sha256 = sha256_of(row)?;
        let path = self.0.unpacked(&sha256);
        let held = self.0.hold(sha256);
        if is_folder(&path) {
            return Ok((path, held));
        }
        let _turn = self.turn().await?;
        self.blocking(move |inner| inner.unpack_again(&sha256).map(|()| (path, held))).await
    }

    /// An archive that is there, to be read; it is held meanwhile.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn archive(&self, sha256: Sha256) -> Result<(Arc<dyn File>, Held), IoError> {
        let held = self.0.hold(sha256);
        Ok((self.0.disk.open(&self.0.archive(&sha256), OpenMode::Read)?, held))
    }

    /// Removes code that is not used and that nobody holds. `used` is asked after no new code can come into use unheld.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn sweep(&self, used: impl Fn() -> HashSet<Sha256> + Send + 'static) -> Result<(), LambdaError> {
        self.blocking(move |inner| inner.sweep(&used)).await
    }
}

impl Inner {
    fn archive(&self, sha256: &Sha256) -> PathBuf {
        self.dir.join(ARCHIVES).join(format!("{}.zip", hex(sha256)))
    }

    fn unpacked(&self, sha256: &Sha256) -> PathBuf {
        self.dir.join(UNPACKED).join(hex(sha256))
    }

    /// A name that nobody else has.
    fn fresh(&self) -> String {
        format!("{:032x}", self.random.u128())
    }

    fn begin(&self) -> Result<(), IoError> {
        let unpacked = self.dir.join(UNPACKED);
        fresh_folder(&unpacked, &self.dir.join(format!("{UNPACKED}.{}", self.fresh())))?;
        let old = |name: &String| name.starts_with(UNPACKED) && name != UNPACKED;
        let left: Vec<PathBuf> =
            names_in(&self.dir)?.iter().filter(|name| old(name)).map(|name| self.dir.join(name)).collect();
        // In a thread of its own: a start does not wait for it.
        std::thread::spawn(move || {
            for path in left {
                if let Err(error) = remove_folder(&path) {
                    tracing::warn!(%error, "an old folder of unpacked code is left behind");
                }
            }
        });
        Ok(())
    }

    fn hold(self: &Arc<Self>, sha256: Sha256) -> Held {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner).entry(sha256).or_default() += 1;
        Held { store: Arc::clone(self), sha256 }
    }

    fn put(self: &Arc<Self>, archive: &Bytes) -> Result<(CodeRow, Held), LambdaError> {
        let opened = Archive::open(archive).map_err(|fault| parameter(fault.to_string()))?;
        let sha256: Sha256 = sha2::Sha256::digest(archive).into();
        // From here on it stays: what is there now is there when the row is committed.
        let held = self.hold(sha256);
        let path = self.archive(&sha256);
        let unzipped = opened.size();
        let _making = self.making(&sha256);
        if self.disk.exists(&path)? {
            // Whoever wrote it may have failed to make its name durable.
            self.disk.sync_dir(&self.dir.join(ARCHIVES), SYNC_ARCHIVES)?;
        } else {
            self.unpack(&sha256, &opened)?;
            self.write(&path, archive)?;
        }
        let row = CodeRow { sha256: sha256.to_vec(), size: archive.len() as u64, unzipped };
        Ok((row, held))
    }

    fn making(&self, sha256: &Sha256) -> MutexGuard<'_, ()> {
        self.making[usize::from(sha256[0]) % STRIPES].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, path: &Path, archive: &Bytes) -> Result<(), IoError> {
        let dir = self.dir.join(ARCHIVES);
        let new = dir.join(format!("{}.new", self.fresh()));
        let file = self.disk.open(&new, OpenMode::CreateNew)?;
        let written = file.write_all_at(archive, 0).and_then(|()| file.sync_data(SYNC_ARCHIVE));
        if let Err(error) = written.and_then(|()| self.disk.rename(&new, path)) {
            // What is left behind otherwise is swept at the next start.
            let _ = self.disk.remove(&new);
            return Err(error);
        }
        self.disk.sync_dir(&dir, SYNC_ARCHIVES)
    }

    fn unpack(&self, sha256: &Sha256, archive: &Archive<'_>) -> Result<(), UnpackError> {
        let new = self.dir.join(UNPACKED).join(format!("{}.new", self.fresh()));
        let mut folder = NewFolder::create(&new)?;
        archive.unpack(&mut folder)?;
        Ok(folder.finish(&self.unpacked(sha256))?)
    }

    fn unpack_again(&self, sha256: &Sha256) -> Result<(), LambdaError> {
        let _making = self.making(sha256);
        if is_folder(&self.unpacked(sha256)) {
            return Ok(());
        }
        let path = self.archive(sha256);
        let file = self.disk.open(&path, OpenMode::Read)?;
        let length = usize::try_from(file.len()?).map_err(|error| LambdaError::Internal(error.to_string()))?;
        let mut bytes = Vec::new();
        file.read_append(&mut bytes, length, 0)?;
        if Sha256::from(sha2::Sha256::digest(&bytes)) != *sha256 {
            return Err(LambdaError::Internal(format!("{} is damaged", path.display())));
        }
        let archive = Archive::open(&bytes).map_err(|fault| LambdaError::Internal(fault.to_string()))?;
        Ok(self.unpack(sha256, &archive)?)
    }

    fn sweep(&self, used: &dyn Fn() -> HashSet<Sha256>) -> Result<(), LambdaError> {
        let archives = self.disk.list(&self.dir.join(ARCHIVES))?;
        let folders = names_in(&self.dir.join(UNPACKED))?;
        let code = |name: &str| unhex(name.strip_suffix(".zip").unwrap_or(name));
        let there: HashSet<Sha256> = archives.iter().chain(&folders).filter_map(|name| code(name)).collect();
        for sha256 in there {
            // Whoever begins to use it holds it first: while nobody can, what is neither used nor held stays so.
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            if held.contains_key(&sha256) || used().contains(&sha256) {
                continue;
            }
            let path = self.archive(&sha256);
            if self.disk.exists(&path)? {
                self.disk.remove(&path)?;
            }
            remove_folder(&self.unpacked(&sha256))?;
        }
        Ok(())
    }

    /// Removes what uploads left behind that the server did not live to see the end of.
    fn remove_unfinished(&self) -> Result<(), IoError> {
        let dir = self.dir.join(ARCHIVES);
        let names = self.disk.list(&dir)?;
        names.iter().filter(|name| name.ends_with(".new")).try_for_each(|name| self.disk.remove(&dir.join(name)))
    }
}

impl CodeStore {
    /// Removes, at the start, what uploads left behind.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn tidy(&self) -> Result<(), IoError> {
        self.0.remove_unfinished()
    }
}

#[cfg(test)]
mod tests {
    use millpond_io::SystemRandom;
    use millpond_io::faulty::Fault;
    use millpond_io::sim::SimDisk;

    use super::*;
    use crate::zip_maker;

    fn open(disk: &SimDisk, dir: &Path) -> CodeStore {
        let store = CodeStore::open(Arc::new(disk.clone()), dir, Arc::new(SystemRandom)).unwrap();
        store.tidy().unwrap();
        store
    }

    async fn put(store: &CodeStore) -> Result<(CodeRow, Held), LambdaError> {
        store.put(store.turn().await?, zip_maker::function().into()).await
    }

    /// Who brings what another one could not make durable makes it so.
    #[tokio::test]
    async fn archives_that_are_there_are_synced() {
        for failing in 1..10 {
            let dir = tempfile::tempdir().unwrap();
            let disk = SimDisk::new();
            let store = open(&disk, dir.path());
            disk.fail_nth(failing, Fault::Eio);
            if put(&store).await.is_ok() {
                // All of its calls were failed once.
                return;
            }
            let (row, _held) = put(&store).await.unwrap();
            for seed in 0..20 {
                let store = open(&disk.crash_image(seed), dir.path());
                assert!(store.folder(&row).await.is_ok(), "call {failing}, seed {seed}");
            }
        }
        panic!("there are more calls than that");
    }

    /// Takes an archive in, takes the power away, and unpacks it again; whether that works for all of some outcomes.
    async fn survives(ignored: Option<SyncPoint>) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let disk = SimDisk::new();
        if let Some(point) = ignored {
            disk.ignore_sync(point.0);
        }
        let (row, _held) = put(&open(&disk, dir.path())).await.unwrap();
        for seed in 0..50 {
            let store = open(&disk.crash_image(seed), dir.path());
            match store.folder(&row).await {
                Ok((folder, _held)) => assert!(folder.join("index.py").exists()),
                Err(_) => return false,
            }
        }
        true
    }

    #[tokio::test]
    async fn archives_survive_a_power_cut_because_they_are_synced() {
        assert!(survives(None).await);
        for point in [SYNC_ARCHIVE, SYNC_ARCHIVES] {
            assert!(!survives(Some(point)).await, "{point:?} makes no difference");
        }
    }

    #[tokio::test]
    async fn what_is_held_is_not_swept() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&SimDisk::new(), dir.path());
        let (row, held) = put(&store).await.unwrap();
        store.sweep(HashSet::new).await.unwrap();
        let (_, also) = store.folder(&row).await.unwrap();
        drop(held);
        store.sweep(HashSet::new).await.unwrap();
        assert!(store.folder(&row).await.is_ok());
        drop(also);
        store.sweep(HashSet::new).await.unwrap();
        assert!(store.folder(&row).await.is_err(), "what nobody has goes");
    }

    /// A flipped bit is found before anything runs.
    #[tokio::test]
    async fn damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let disk = SimDisk::new();
        let (row, _held) = put(&open(&disk, dir.path())).await.unwrap();
        let path = dir.path().join(ARCHIVES).join(format!("{}.zip", hex(&sha256_of(&row).unwrap())));
        disk.flip_bit(&path, 40, 1).unwrap();
        let again = open(&disk, dir.path()).folder(&row).await;
        assert!(matches!(again, Err(LambdaError::Internal(why)) if why.contains("damaged")));
    }
}
