//! The tree that a process sees: a small tmpfs with read-only binds.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statvfs::{FsFlags, statvfs};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::namespaces;
use crate::spec::Spec;

/// What programs need of the machine: code and libraries, certificates, and how libraries are found.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/mime.types",
    "/etc/pki",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl",
];

/// What else a process with the machine's network needs of it.
const NETWORK: &[&str] = &["/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf"];

const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];

/// Bytes of the tree itself: folders, links and a few small files.
const TREE_OPTIONS: &str = "mode=0755,size=1m,nr_inodes=1024";

/// Files of a private /tmp; its bytes are bounded, and so are these.
const TMP_INODES: u32 = 65_536;

/// Where layers are when /opt is not theirs alone.
const LAYERS: &str = "/var/layers";

/// Sources of binds, opened before the tree comes to lie over some of them, and in the mount namespace in which they are bound.
pub(crate) struct Sources {
    binds: Vec<(OwnedFd, PathBuf, Manner)>,
    layers: Vec<OwnedFd>,
    links: Vec<(PathBuf, PathBuf)>,
    /// Where what is hidden would be seen, and whether it is a folder.
    hidden: Vec<(PathBuf, Manner)>,
    /// What is bound, with all links followed, and where.
    seen: Vec<(PathBuf, PathBuf)>,
    empty: OwnedFd,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Folder,
    File,
    Device,
}

impl Sources {
    pub(crate) fn open(spec: &Spec) -> Result<Self, String> {
        let empty = open(Path::new("/dev/null"))?;
        let (binds, layers, links) = (Vec::new(), Vec::new(), Vec::new());
        let mut sources = Self { binds, layers, links, hidden: Vec::new(), seen: Vec::new(), empty };
        let network: &[&str] = if spec.open_network { NETWORK } else { &[] };
        for path in SYSTEM.iter().chain(network) {
            sources.system(Path::new(path));
        }
        for path in DEVICES {
            sources.binds.push((open(Path::new(path))?, PathBuf::from(path), Manner::Device));
        }
        for bind in &spec.binds {
            // What the system's binds show needs no second one.
            if bind.source == bind.target && bind.source.starts_with("/usr") {
                continue;
            }
            sources.bind(&bind.source, &bind.target)?;
        }
        sources.layers = spec.layers.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
        spec.hidden.iter().for_each(|path| sources.hide(path));
        Ok(sources)
    }

    /// Finds where a path would be seen.
    fn hide(&mut self, path: &Path) {
        // What is not there cannot be seen.
        let Ok(path) = path.canonicalize() else { return };
        let manner = if path.is_dir() { Manner::Folder } else { Manner::File };
        for (source, target) in &self.seen {
            if let Ok(below) = path.strip_prefix(source) {
                let place = if below.as_os_str().is_empty() { target.clone() } else { target.join(below) };
                self.hidden.push((place, manner));
            }
        }
    }

    fn bind(&mut self, source: &Path, target: &Path) -> Result<(), String> {
        let manner = if source.is_dir() { Manner::Folder } else { Manner::File };
        self.binds.push((open(source)?, target.to_owned(), manner));
        self.seen.push((source.canonicalize().unwrap_or_else(|_| source.to_owned()), target.to_owned()));
        Ok(())
    }

    /// Of the system what is there; links stay links.
    fn system(&mut self, path: &Path) {
        if let Ok(to) = std::fs::read_link(path)
            && !path.starts_with("/etc")
        {
            self.links.push((path.to_owned(), to));
        } else if path.exists() {
            // What cannot be opened is not there.
            drop(self.bind(path, path));
        }
    }
}

fn open(path: &Path) -> Result<OwnedFd, String> {
    openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| format!("{} cannot be opened: {e}", path.display()))
}

/// Builds the tree and makes it the root. Must be called by process 1 of the new pid namespace.
pub(crate) fn build(spec: &Spec, sources: &Sources) -> Result<(), String> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(|e| trouble("/", e))?;
    // Any folder does: what it hides is not needed any more.
    let stage = Path::new("/tmp");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), stage, Some("tmpfs"), flags, Some(TREE_OPTIONS)).map_err(|e| trouble("/tmp", e))?;
    let tree = Tree { stage, made: HashSet::new() };
    tree.fill(spec, sources)?;
    nix::unistd::chdir(stage).map_err(|e| trouble("/", e))?;
    // The old root comes to lie over the new one, and is taken off: pivot_root(2), "pivot_root(".", ".")".
    nix::unistd::pivot_root(".", ".").map_err(|e| trouble("pivot_root", e))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(|e| trouble("the old root", e))?;
    nix::unistd::chdir("/").map_err(|e| trouble("/", e))?;
    let ro = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | flags;
    mount(none, "/", none, ro, none).map_err(|e| trouble("/", e))
}

fn trouble(what: impl AsRef<Path>, error: impl std::fmt::Display) -> String {
    format!("{} cannot be mounted: {error}", what.as_ref().display())
}

struct Tree<'a> {
    stage: &'a Path,
    made: HashSet<PathBuf>,
}

impl Tree<'_> {
    fn fill(mut self, spec: &Spec, sources: &Sources) -> Result<(), String> {
        for folder in ["/tmp", "/proc", "/opt", "/dev", "/etc", "/var/task", "/var/runtime"] {
            self.folder(Path::new(folder))?;
        }
        for (source, target, manner) in &sources.binds {
            self.bind(source, target, *manner)?;
        }
        for (link, to) in &sources.links {
            std::os::unix::fs::symlink(to, self.at(link)).map_err(|e| trouble(link, e))?;
        }
        for (link, to) in
            [("/dev/fd", "/proc/self/fd"), ("/dev/stdout", "/proc/self/fd/1"), ("/dev/stderr", "/proc/self/fd/2")]
        {
            std::os::unix::fs::symlink(to, self.at(Path::new(link))).map_err(|e| trouble(link, e))?;
        }
        for (path, text) in [
            ("/etc/passwd", "sbx_user1051:x:993:990::/home/sbx_user1051:/sbin/nologin\n"),
            ("/etc/group", "sbx_user1051:x:990:\n"),
        ] {
            self.file(Path::new(path), text)?;
        }
        if !spec.open_network {
            self.file(Path::new("/etc/hosts"), "127.0.0.1 localhost sandbox\n")?;
            self.file(Path::new("/etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n")?;
        }
        for (place, manner) in &sources.hidden {
            self.hide(place, *manner, &sources.empty)?;
        }
        self.layers(sources)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        let mut options = format!("mode=0700,size={},nr_inodes={TMP_INODES}", spec.tmp_bytes);
        if namespaces::superuser() {
            options.push_str(&format!(",uid={0},gid={0}", namespaces::OUTSIDE));
        }
        mount(Some("tmpfs"), &self.at(Path::new("/tmp")), Some("tmpfs"), flags, Some(options.as_str()))
            .map_err(|e| trouble("/tmp", e))?;
        // In a container whose own /proc is partly hidden, a whole one is refused; then there is none, and most programs do without.
        let _ =
            mount(Some("proc"), &self.at(Path::new("/proc")), Some("proc"), flags | MsFlags::MS_NOEXEC, None::<&str>);
        Ok(())
    }

    /// Where a path inside lies for now.
    fn at(&self, inside: &Path) -> PathBuf {
        let parts = inside.components().filter(|part| matches!(part, Component::Normal(_)));
        self.stage.join(parts.collect::<PathBuf>())
    }

    fn folder(&mut self, inside: &Path) -> Result<(), String> {
        if !self.made.insert(inside.to_owned()) {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o755).create(self.at(inside)).map_err(|e| trouble(inside, e))
    }

    fn file(&mut self, inside: &Path, text: &str) -> Result<(), String> {
        if let Some(parent) = inside.parent() {
            self.folder(parent)?;
        }
        let mut open = std::fs::OpenOptions::new();
        let mut file = open
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(self.at(inside))
            .map_err(|e| trouble(inside, e))?;
        file.write_all(text.as_bytes()).map_err(|e| trouble(inside, e))
    }

    fn bind(&mut self, source: &OwnedFd, target: &Path, manner: Manner) -> Result<(), String> {
        if manner == Manner::Folder {
            self.folder(target)?
        } else {
            self.file(target, "")?
        }
        let (from, to) = (by_descriptor(source), self.at(target));
        let none = None::<&str>;
        let plain = mount(Some(&from), &to, none, MsFlags::MS_BIND, none);
        if plain == Err(nix::Error::EINVAL) {
            // What is mounted below may not be uncovered by whoever did not mount it.
            mount(Some(&from), &to, none, MsFlags::MS_BIND | MsFlags::MS_REC, none).map_err(|e| trouble(target, e))?;
            return self.read_only_below(target);
        }
        plain.map_err(|e| trouble(target, e))?;
        read_only(&to, manner).map_err(|e| trouble(target, e))
    }

    /// Everything that is mounted at a place and below it.
    fn read_only_below(&self, target: &Path) -> Result<(), String> {
        let table = std::fs::read_to_string("/proc/self/mountinfo").map_err(|e| trouble(target, e))?;
        let to = self.at(target);
        // proc(5): the fifth field is the place; blanks and the like are written in octal, and such places are left alone.
        for place in table.lines().filter_map(|line| line.split(' ').nth(4)).map(Path::new) {
            if place.starts_with(&to) {
                read_only(place, Manner::Folder).map_err(|e| trouble(place, e))?;
            }
        }
        Ok(())
    }

    /// Lays nothing over a folder or file.
    fn hide(&mut self, place: &Path, manner: Manner, empty: &OwnedFd) -> Result<(), String> {
        let (to, none) = (self.at(place), None::<&str>);
        let hidden = if manner == Manner::Folder {
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
            mount(Some("tmpfs"), &to, Some("tmpfs"), flags, Some("mode=0555,size=4k,nr_inodes=2"))
        } else {
            mount(Some(&by_descriptor(empty)), &to, none, MsFlags::MS_BIND, none)
        };
        hidden.map_err(|e| format!("{} cannot be hidden: {e}", place.display()))
    }

    /// The layers at /opt. Where something of the machine's lies below that, such as an interpreter, it stays, and what is in the layers is linked in
    /// beside it.
    fn layers(&mut self, sources: &Sources) -> Result<(), String> {
        let opt = Path::new("/opt");
        let there: Vec<&Path> =
            sources.binds.iter().map(|bind| bind.1.as_path()).filter(|target| target.starts_with(opt)).collect();
        if sources.layers.is_empty() {
            return Ok(());
        }
        if there.is_empty() {
            return self.lay(&sources.layers, opt);
        }
        let beside = Path::new(LAYERS);
        self.folder(beside)?;
        self.lay(&sources.layers, beside)?;
        self.link(beside, opt, &there)
    }

    /// Links what is in a folder into another, into folders on the way to what is there already too. What is there already wins.
    fn link(&self, from: &Path, into: &Path, there: &[&Path]) -> Result<(), String> {
        let entries = std::fs::read_dir(self.at(from)).map_err(|e| trouble(from, e))?;
        let names: Vec<OsString> = entries
            .map(|entry| entry.map(|e| e.file_name()))
            .collect::<Result<_, _>>()
            .map_err(|e| trouble(from, e))?;
        for name in names {
            let (source, target) = (from.join(&name), into.join(&name));
            if there.iter().any(|bound| target.starts_with(bound)) {
                continue;
            }
            if !there.iter().any(|bound| bound.starts_with(&target)) {
                std::os::unix::fs::symlink(&source, self.at(&target)).map_err(|e| trouble(&target, e))?;
            } else if self.at(&source).is_dir() {
                // As deep as the path of what is bound.
                self.link(&source, &target, there)?;
            }
        }
        Ok(())
    }

    /// Layers as one folder, later ones on top.
    fn lay(&mut self, layers: &[OwnedFd], place: &Path) -> Result<(), String> {
        match layers {
            [] => Ok(()),
            [one] => self.bind(one, place, Manner::Folder),
            many => {
                let lower: Vec<String> =
                    many.iter().rev().map(|fd| by_descriptor(fd).to_string_lossy().into_owned()).collect();
                let options = format!("lowerdir={}", lower.join(":"));
                let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
                mount(Some("overlay"), &self.at(place), Some("overlay"), flags, Some(options.as_str()))
                    .map_err(|e| format!("several layers cannot be seen as one (overlay): {e}"))
            }
        }
    }
}

fn by_descriptor(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// What forbids more already must go on doing so (mount_namespaces(7)).
fn read_only(place: &Path, manner: Manner) -> nix::Result<()> {
    let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
    let there = statvfs(place)?.flags();
    if manner != Manner::Device || there.contains(FsFlags::ST_NODEV) {
        flags |= MsFlags::MS_NODEV;
    }
    if there.contains(FsFlags::ST_NOEXEC) {
        flags |= MsFlags::MS_NOEXEC;
    }
    mount(None::<&str>, place, None::<&str>, flags, None::<&str>)
}
