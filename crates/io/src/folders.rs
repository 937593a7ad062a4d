//! Folders of plain files for other processes to read: unpacked archives. They can be made again, so that nothing here is synced, and they exist on
//! the operating system's file system alone, where those processes are. All calls block.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::IoError;

/// A folder while it is filled. Nobody else sees it before [`NewFolder::finish`]; dropped before, it goes again.
#[derive(Debug)]
pub struct NewFolder {
    path: PathBuf,
    dirs: Vec<PathBuf>,
    finished: bool,
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> IoError {
    move |source| IoError { doing, path: path.to_owned(), source }
}

fn make_dir(path: &Path) -> Result<(), IoError> {
    DirBuilder::new().mode(0o755).create(path).map_err(failed("mkdir", path))
}

impl NewFolder {
    /// An empty folder at a path where nothing is.
    pub fn create(path: &Path) -> Result<Self, IoError> {
        make_dir(path)?;
        Ok(Self { path: path.to_owned(), dirs: vec![path.to_owned()], finished: false })
    }

    /// Makes a directory in it, whose parent is there. `inside` is relative and does not climb.
    pub fn dir(&mut self, inside: &Path) -> Result<(), IoError> {
        let path = self.path.join(inside);
        make_dir(&path)?;
        self.dirs.push(path);
        Ok(())
    }

    /// Makes a file in it and copies `from` into it, which everybody may read, and run where it is `executable`.
    ///
    /// # Errors
    /// Also those of `from`, as the source of an error about the file.
    pub fn file(&mut self, inside: &Path, from: &mut dyn std::io::Read, executable: bool) -> Result<u64, IoError> {
        let path = self.path.join(inside);
        let mode = if executable { 0o555 } else { 0o444 };
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).map_err(failed("open", &path))?;
        // What the umask took away is given back: other users read it.
        file.set_permissions(Permissions::from_mode(mode)).map_err(failed("chmod", &path))?;
        let copied = std::io::copy(from, &mut file).map_err(failed("write", &path))?;
        file.flush().map_err(failed("write", &path))?;
        Ok(copied)
    }

    /// Makes a symbolic link in it. The caller sees to where it leads.
    pub fn link(&mut self, inside: &Path, to: &str) -> Result<(), IoError> {
        let path = self.path.join(inside);
        symlink(to, &path).map_err(failed("symlink", &path))
    }

    /// Makes it read-only, and gives it its name beside the one it was made under. When a folder of that name is there already, this one goes.
    pub fn finish(mut self, name: &Path) -> Result<(), IoError> {
        for dir in self.dirs.iter().rev() {
            std::fs::set_permissions(dir, Permissions::from_mode(0o555)).map_err(failed("chmod", dir))?;
        }
        // Moving a directory changes its `..`, for which it must be writable.
        std::fs::set_permissions(&self.path, Permissions::from_mode(0o755)).map_err(failed("chmod", &self.path))?;
        match rustix::fs::rename(&self.path, name) {
            Ok(()) => {
                self.finished = true;
                std::fs::set_permissions(name, Permissions::from_mode(0o555)).map_err(failed("chmod", name))
            }
            Err(rustix::io::Errno::NOTEMPTY | rustix::io::Errno::EXIST) => Ok(()),
            Err(errno) => Err(failed("rename", &self.path)(errno.into())),
        }
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = remove_folder(&self.path)
        {
            tracing::warn!(%error, "a folder that was not finished is left behind");
        }
    }
}

/// Whether there is a folder.
pub fn is_folder(path: &Path) -> bool {
    path.is_dir()
}

/// Makes a folder that folders are made in, if it is not there; and moves one away that is, under a name beside it.
pub fn fresh_folder(path: &Path, old: &Path) -> Result<(), IoError> {
    if is_folder(path) {
        rustix::fs::rename(path, old).map_err(|errno| failed("rename", path)(errno.into()))?;
    }
    DirBuilder::new().mode(0o755).recursive(true).create(path).map_err(failed("mkdir", path))
}

/// The names in a folder, sorted.
pub fn names_in(path: &Path) -> Result<Vec<String>, IoError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed("readdir", path))? {
        names.push(entry.map_err(failed("readdir", path))?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes a folder with all that is in it, also where it is read-only. One that is not there is fine.
pub fn remove_folder(path: &Path) -> Result<(), IoError> {
    let mut dirs = vec![path.to_owned()];
    while let Some(dir) = dirs.pop() {
        match std::fs::set_permissions(&dir, Permissions::from_mode(0o700)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.map_err(failed("chmod", &dir))?,
        }
        for entry in std::fs::read_dir(&dir).map_err(failed("readdir", &dir))? {
            let entry = entry.map_err(failed("readdir", &dir))?;
            // Of a link the link itself: what it leads to is not looked at.
            if entry.file_type().map_err(failed("stat", &dir))?.is_dir() {
                dirs.push(entry.path());
            }
        }
    }
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(failed("remove", path)),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test's own data")]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_only_and_go_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (new, name) = (dir.path().join("new"), dir.path().join("name"));
        let fill = || {
            let mut folder = NewFolder::create(&new).unwrap();
            folder.dir(Path::new("a")).unwrap();
            folder.file(Path::new("a/run"), &mut &b"#!/bin/sh\n"[..], true).unwrap();
            folder.file(Path::new("a/read"), &mut &b"x"[..], false).unwrap();
            folder.link(Path::new("l"), "a/read").unwrap();
            folder
        };
        drop(fill());
        assert!(!new.exists(), "what is not finished goes");
        fill().finish(&name).unwrap();
        let mode = |inside: &str| name.join(inside).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("a/run"), mode("a/read"), mode("a"), mode("")), (0o555, 0o444, 0o555, 0o555));
        assert_eq!(std::fs::read(name.join("l")).unwrap(), b"x");
        fill().finish(&name).unwrap();
        assert!(!new.exists(), "the first one stays");
        remove_folder(&name).unwrap();
        assert!(!name.exists());
        remove_folder(&name).unwrap();
    }

    #[test]
    fn what_links_lead_to_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("kept");
        std::fs::create_dir(&kept).unwrap();
        std::fs::write(kept.join("f"), b"x").unwrap();
        let mut folder = NewFolder::create(&dir.path().join("new")).unwrap();
        folder.link(Path::new("out"), "../kept").unwrap();
        folder.finish(&dir.path().join("name")).unwrap();
        remove_folder(&dir.path().join("name")).unwrap();
        assert!(kept.join("f").exists());
    }
}
