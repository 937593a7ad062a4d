//! The root credentials: from the environment, or made at the first start and kept in a file that only its owner reads.

use std::path::Path;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use millpond_io::{Disk, IoError, OpenMode, Random, SyncPoint};
use millpond_kernel::{Credential, CredentialError, Credentials, Principal, SecretKey};
use millpond_types::AccountId;
use subtle::ConstantTimeEq;

/// The file in the data dir; mode 0600 as every file of ours.
pub const FILE: &str = "root-credentials";
const SYNC: SyncPoint = SyncPoint("root-credentials");
const ACCESS_KEY_VARIABLE: &str = "MILLPOND_ROOT_ACCESS_KEY";
const SECRET_KEY_VARIABLE: &str = "MILLPOND_ROOT_SECRET_KEY";
/// AWS's own minimum for an access key id.
const MIN_ACCESS_KEY: usize = 16;
/// Shorter secrets can be guessed.
const MIN_SECRET_KEY: usize = 16;
/// AWS's own maximum for an access key id; also bounds the file.
const MAX_KEY: usize = 128;

/// Access key and secret of the root user.
pub struct RootKey {
    /// The access key id.
    pub access_key: String,
    /// Its secret.
    pub secret: SecretKey,
    account: AccountId,
}

/// Why there are no root credentials.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// Only one of two variables is set.
    #[error("{ACCESS_KEY_VARIABLE} and {SECRET_KEY_VARIABLE} go together: set both or neither")]
    HalfSet,
    /// A key that is too short, too long or not plain text.
    #[error("{0} must have 16 to 128 letters, digits or signs of ASCII without blanks")]
    Unfit(&'static str),
    /// The file was edited into something else.
    #[error("the file {FILE} in the data dir is malformed; restore it, or remove it and a new key is made")]
    Malformed,
    /// The file could not be read or written.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl RootKey {
    /// The credentials from the environment, else from the file, else new ones that are written to the file.
    pub fn load(
        disk: &dyn Disk,
        random: &dyn Random,
        data_dir: &Path,
        account: AccountId,
    ) -> Result<Self, RootKeyError> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (access_key, secret) = match (variable(ACCESS_KEY_VARIABLE), variable(SECRET_KEY_VARIABLE)) {
            (Some(access_key), Some(secret)) => (access_key, secret),
            (None, None) => stored(disk, random, data_dir)?,
            _ => return Err(RootKeyError::HalfSet),
        };
        let fits =
            |text: &str, min| (min..=MAX_KEY).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if !fits(&access_key, MIN_ACCESS_KEY) || access_key.contains('/') {
            return Err(RootKeyError::Unfit(ACCESS_KEY_VARIABLE));
        }
        if !fits(&secret, MIN_SECRET_KEY) {
            return Err(RootKeyError::Unfit(SECRET_KEY_VARIABLE));
        }
        Ok(Self { access_key, secret: SecretKey::new(&secret), account })
    }
}

/// Access key and secret of the root user of a data dir, for commands: from the environment or the file; `None` where neither has them.
pub fn known(disk: &dyn Disk, data_dir: &Path) -> Result<Option<(String, String)>, RootKeyError> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (variable(ACCESS_KEY_VARIABLE), variable(SECRET_KEY_VARIABLE)) {
        (Some(access_key), Some(secret)) => Ok(Some((access_key, secret))),
        (None, None) => in_file(disk, data_dir),
        _ => Err(RootKeyError::HalfSet),
    }
}

impl Credentials for RootKey {
    fn find<'a>(
        &'a self,
        access_key_id: &'a str,
        session_token: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Credential, CredentialError>> {
        let known: bool = self.access_key.as_bytes().ct_eq(access_key_id.as_bytes()).into();
        let found = match (known, session_token) {
            (false, _) => Err(CredentialError::Unknown),
            // A root key is no session; whoever sends a token with it means another key.
            (true, Some(_)) => Err(CredentialError::InvalidToken),
            (true, None) => {
                Ok(Credential { secret: self.secret.clone(), principal: Principal::Root(self.account), session: None })
            }
        };
        ready(found).boxed()
    }
}

fn in_file(disk: &dyn Disk, data_dir: &Path) -> Result<Option<(String, String)>, RootKeyError> {
    let path = data_dir.join(FILE);
    if !disk.exists(&path)? {
        return Ok(None);
    }
    let file = disk.open(&path, OpenMode::Read)?;
    let mut text = vec![0; 4 * MAX_KEY];
    let length = file.read_at(&mut text, 0)?;
    parse(&text[..length]).ok_or(RootKeyError::Malformed).map(Some)
}

fn stored(disk: &dyn Disk, random: &dyn Random, data_dir: &Path) -> Result<(String, String), RootKeyError> {
    if let Some(found) = in_file(disk, data_dir)? {
        return Ok(found);
    }
    let path = data_dir.join(FILE);
    let access_key = format!("AKIA{}", letters(random, 16, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"));
    // AWS's own alphabet: none of it looks like a flag at the beginning of an argument.
    let secret = letters(random, 40, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    let temporary = data_dir.join(format!("{FILE}.new"));
    if disk.exists(&temporary)? {
        disk.remove(&temporary)?;
    }
    let file = disk.open(&temporary, OpenMode::CreateNew)?;
    file.write_all_at(format!("access_key = {access_key}\nsecret_key = {secret}\n").as_bytes(), 0)?;
    file.sync_data(SYNC)?;
    disk.rename(&temporary, &path)?;
    disk.sync_dir(data_dir, SYNC)?;
    Ok((access_key, secret))
}

fn parse(text: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(text).ok()?;
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.split_once('=').filter(|(key, _)| key.trim() == name))
            .map(|(_, v)| v.trim().to_owned())
    };
    Some((value("access_key")?, value("secret_key")?))
}

/// Random letters of an alphabet whose size is a power of two, so that none is likelier.
fn letters(random: &dyn Random, count: usize, alphabet: &[u8]) -> String {
    let mut bytes = vec![0; count];
    random.fill(&mut bytes);
    bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect()
}
