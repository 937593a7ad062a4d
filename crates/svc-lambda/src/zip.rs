//! Zip archives of strangers: what they hold is checked before anything is written, and unpacked within limits.
//!
//! Refused, with the place: what is no zip; more entries or bytes than AWS allows, whatever the archive says of itself; encryption, and
//! methods other than stored and deflated; names that are absolute, climb, or are no UTF-8; entries behind links; links that lead out.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

use flate2::bufread::DeflateDecoder;
use millpond_io::{IoError, NewFolder};
use rawzip::{CompressionMethod, ZipArchive, ZipArchiveEntryWayfinder, ZipSliceArchive};

/// Bytes of all files together (Developer Guide, "Lambda quotas": 250 MB unzipped).
pub(crate) const MAX_UNZIPPED: u64 = 262_144_000;
/// Entries of an archive: more than the largest packages have, and not so many that making them takes minutes.
const MAX_ENTRIES: usize = 100_000;
/// Bytes of an entry's name: what a path may have under `/var/task`.
const MAX_NAME: usize = 3_500;
/// Bytes of one part of a name (NAME_MAX).
const MAX_PART: usize = 255;
/// Bytes of what a link says.
const MAX_LINK: u64 = 3_500;

/// The bits of a mode that tell a symbolic link, and those that let somebody run a file (`inode(7)`).
const TYPE: u32 = 0o170_000;
const LINK: u32 = 0o120_000;
const RUN: u32 = 0o111;

/// What is wrong with an archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ZipFault {
    /// More bytes than may be.
    TooLarge,
    /// Anything else: in which entry, if in one, and what.
    Bad { entry: Option<String>, what: String },
}

impl fmt::Display for ZipFault {
    /// As Lambda words it, with the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "Unzipped size must be smaller than {MAX_UNZIPPED} bytes"),
            Self::Bad { entry, what } => {
                f.write_str("Could not unzip uploaded file. Please check your file, then try to upload again. (")?;
                match entry {
                    Some(entry) => write!(f, "entry {entry}: {what})"),
                    None => write!(f, "{what})"),
                }
            }
        }
    }
}

/// Why an archive was not unpacked.
#[derive(Debug)]
pub(crate) enum UnpackError {
    /// The archive is at fault.
    Fault(ZipFault),
    /// The disk is.
    Io(IoError),
}

impl From<ZipFault> for UnpackError {
    fn from(fault: ZipFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<IoError> for UnpackError {
    fn from(error: IoError) -> Self {
        Self::Io(error)
    }
}

fn bad(entry: Option<&str>, what: impl Into<String>) -> ZipFault {
    // Names can be long, and are a stranger's.
    let shown = |name: &str| name.chars().take(200).flat_map(char::escape_default).collect();
    ZipFault::Bad { entry: entry.map(shown), what: what.into() }
}

/// What an entry becomes.
#[derive(Clone, Debug)]
enum Kind {
    Dir,
    File { executable: bool },
    Link,
}

#[derive(Clone, Debug)]
struct Entry {
    kind: Kind,
    at: Option<ZipArchiveEntryWayfinder>,
    method: CompressionMethod,
}

/// An archive whose directory was checked.
pub(crate) struct Archive<'a> {
    zip: ZipSliceArchive<&'a [u8]>,
    /// By name: a directory comes before what is in it.
    entries: BTreeMap<String, Entry>,
    size: u64,
}

impl<'a> Archive<'a> {
    /// Reads and checks the directory.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ZipFault> {
        let zip = ZipArchive::from_slice(bytes).map_err(|error| bad(None, error.to_string()))?;
        let (mut found, mut total, mut number) = (BTreeMap::new(), 0u64, 0);
        let mut entries = zip.entries();
        while let Some(record) = entries.next_entry().map_err(|error| bad(None, error.to_string()))? {
            number += 1;
            if number > MAX_ENTRIES {
                return Err(bad(None, format!("more than {MAX_ENTRIES} entries")));
            }
            let raw = record.file_path();
            let shown = String::from_utf8_lossy(raw.as_bytes()).into_owned();
            let name = std::str::from_utf8(raw.as_bytes()).map_err(|_| bad(Some(&shown), "the name is not UTF-8"))?;
            let parts = parts(name)?;
            if record.flags().is_encrypted() || record.flags().has_strong_encryption() {
                return Err(bad(Some(name), "it is encrypted"));
            }
            let method = record.compression_method();
            if ![CompressionMethod::STORE, CompressionMethod::DEFLATE].contains(&method) {
                return Err(bad(Some(name), format!("the compression method {} is not served", method.as_u16())));
            }
            let mode = record.mode().value();
            let kind = match (name.ends_with('/'), mode & TYPE == LINK) {
                (true, _) => Kind::Dir,
                (false, true) => Kind::Link,
                (false, false) => Kind::File { executable: mode & RUN != 0 },
            };
            total = total.saturating_add(record.uncompressed_size_hint());
            if total >= MAX_UNZIPPED {
                return Err(ZipFault::TooLarge);
            }
            // The last of several entries of one name counts, as with other programs.
            found.insert(parts.join("/"), Entry { kind, at: Some(record.wayfinder()), method });
        }
        let entries = with_parents(found)?;
        if !entries.values().any(|entry| !matches!(entry.kind, Kind::Dir)) {
            return Err(bad(None, "it holds no files"));
        }
        let sizes = entries.values().filter_map(|entry| entry.at).map(|at| at.uncompressed_size_hint());
        let size = sizes.fold(0u64, u64::saturating_add);
        Ok(Self { zip, entries, size })
    }

    /// Bytes of what it holds, as it says; [`Self::unpack`] finds out whether that is true.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Unpacks it into a new folder; says how many bytes its files have.
    ///
    /// # Errors
    /// Sizes and checksums that are not as the directory says, and links that lead out of the archive; the disk.
    pub fn unpack(&self, folder: &mut NewFolder) -> Result<u64, UnpackError> {
        let mut left = MAX_UNZIPPED;
        for (name, entry) in &self.entries {
            match entry.kind {
                Kind::Dir => folder.dir(Path::new(name))?,
                Kind::Link => {
                    let to = self.link(name, entry)?;
                    folder.link(Path::new(name), &to)?;
                }
                Kind::File { executable } => {
                    let mut source = self.source(name, entry, left)?;
                    let copied = folder.file(Path::new(name), &mut source, executable);
                    left = left.saturating_sub(copied.map_err(|error| fault_in(name, error))?);
                    if left == 0 {
                        return Err(ZipFault::TooLarge.into());
                    }
                }
            }
        }
        Ok(MAX_UNZIPPED - left)
    }

    /// The names of its entries.
    #[cfg(any(test, feature = "testing"))]
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Reads every entry by a function that says whether it could be read; whether all could, and all links are good.
    #[cfg(any(test, feature = "testing"))]
    pub fn read_all(&self, read: &mut dyn FnMut(&mut dyn Read) -> bool) -> bool {
        self.entries.iter().all(|(name, entry)| match entry.kind {
            Kind::Dir => true,
            Kind::Link => self.link(name, entry).is_ok(),
            Kind::File { .. } => self.source(name, entry, MAX_UNZIPPED).is_ok_and(|mut source| read(&mut source)),
        })
    }

    /// What an entry holds, checked as it is read, and no more than `most` bytes of it.
    fn source(&self, name: &str, entry: &Entry, most: u64) -> Result<impl Read + '_, ZipFault> {
        let at = entry.at.ok_or_else(|| bad(Some(name), "it has no content"))?;
        let found = self.zip.get_entry(at).map_err(|error| bad(Some(name), error.to_string()))?;
        let reader: Box<dyn Read + '_> = match entry.method {
            CompressionMethod::DEFLATE => Box::new(DeflateDecoder::new(found.data())),
            _ => Box::new(found.data()),
        };
        Ok(found.verifying_reader(reader).take(most))
    }

    /// Where a link leads, if that lies within the archive: it may climb at its beginning alone, and not above the top. No entry lies behind
    /// a link, so that the directories from which it climbs are what they seem.
    fn link(&self, name: &str, entry: &Entry) -> Result<String, ZipFault> {
        let mut text = String::new();
        let mut source = self.source(name, entry, MAX_LINK + 1)?;
        source.read_to_string(&mut text).map_err(|error| bad(Some(name), error.to_string()))?;
        if text.is_empty() || text.len() as u64 > MAX_LINK || text.contains('\0') {
            return Err(bad(Some(name), "the link leads nowhere"));
        }
        if text.starts_with('/') {
            return Err(bad(Some(name), "the link is absolute"));
        }
        let depth = name.split('/').count() - 1;
        let up = text.split('/').take_while(|part| ["..", "."].contains(part)).filter(|part| *part == "..").count();
        let climbs = text.split('/').filter(|part| *part == "..").count();
        if up > depth || climbs > up {
            return Err(bad(Some(name), "the link leads out of the archive"));
        }
        Ok(text)
    }
}

/// An error while an entry was copied: of the archive where it was read, or of the disk.
fn fault_in(name: &str, error: IoError) -> UnpackError {
    let of_disk = error.source.raw_os_error().is_some();
    if of_disk { UnpackError::Io(error) } else { bad(Some(name), error.source.to_string()).into() }
}

/// The parts of a name that may be.
fn parts(name: &str) -> Result<Vec<&str>, ZipFault> {
    if name.starts_with('/') {
        return Err(bad(Some(name), "the name is absolute"));
    }
    if name.len() > MAX_NAME || name.contains('\0') {
        return Err(bad(Some(name), "the name cannot be a file's"));
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(bad(Some(name), "the name climbs out of the archive"));
    }
    if parts.iter().any(|part| part.len() > MAX_PART) {
        return Err(bad(Some(name), "the name cannot be a file's"));
    }
    Ok(parts)
}

/// The entries with the directories that they lie in. Nothing lies behind a link or a file.
fn with_parents(found: BTreeMap<String, Entry>) -> Result<BTreeMap<String, Entry>, ZipFault> {
    let mut all: BTreeMap<String, Entry> = BTreeMap::new();
    let dir = || Entry { kind: Kind::Dir, at: None, method: CompressionMethod::STORE };
    for name in found.keys() {
        for (at, _) in name.match_indices('/') {
            let above = name.get(..at).unwrap_or_default();
            if found.get(above).is_some_and(|entry| !matches!(entry.kind, Kind::Dir)) {
                return Err(bad(Some(name), "it lies in what is no directory"));
            }
            if !all.contains_key(above) {
                all.insert(above.to_owned(), dir());
            }
            if all.len() > MAX_ENTRIES {
                return Err(bad(None, format!("more than {MAX_ENTRIES} entries")));
            }
        }
    }
    all.extend(found);
    // The top itself, which some archives name.
    all.remove("");
    Ok(all)
}

#[cfg(test)]
mod tests;
