//! Control groups, where this user may make them: memory, number of processes and share of the processors of a sandbox together.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::namespaces::write;

/// Where groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";

/// A group is gone a moment after its last process.
const REMOVALS: u32 = 200;
/// Between two tries.
const REMOVAL_PAUSE: Duration = Duration::from_millis(5);

/// Tells the groups of this process from those that another of the same id has left: in a container every server may be process 1.
fn own() -> &'static str {
    static OWN: OnceLock<String> = OnceLock::new();
    // Keys of hash maps are random.
    OWN.get_or_init(|| format!("millpond-{}-{:016x}", std::process::id(), RandomState::new().hash_one(())))
}

/// The name of a new group.
fn name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", own(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Where groups can be made.
#[derive(Debug, Default)]
pub struct Groups {
    memory: Option<Place>,
    pids: Option<Place>,
    cpu: Option<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    folder: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// A hierarchy for each controller.
    One,
    /// One hierarchy.
    Two,
}

impl Groups {
    /// Looks where groups can be made below the one that this process is in. Version 2 lets no group have both processes and groups with
    /// controllers, so there the server itself moves into a group below; that works where the server's group was delegated to it alone.
    pub fn find() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::find_in(Path::new(MOUNT), &own)
    }

    fn find_in(mount: &Path, own: &str) -> Self {
        let one = |controller: &str| {
            let folder = mount.join(controller).join(path_of(own, Some(controller))?);
            folder.join("cgroup.procs").exists().then_some(Place { folder, version: Version::One })
        };
        let mut two = None;
        let mut unified = |controller: &str| {
            if two.is_none() {
                two = Some(path_of(own, None).map(|path| mount.join(path)).filter(|folder| delegated(folder)));
            }
            let folder = two.clone().flatten()?;
            let controlled = fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap_or_default();
            controlled.split_whitespace().any(|c| c == controller).then_some(Place { folder, version: Version::Two })
        };
        let mut find = |controller: &str| {
            let place = one(controller).or_else(|| unified(controller)).filter(can_make_groups)?;
            sweep(&place.folder);
            Some(place)
        };
        Self { memory: find("memory"), pids: find("pids"), cpu: find("cpu") }
    }

    /// Whether the memory of a sandbox can be limited as a whole.
    pub fn limits_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// Whether the number of its processes can be.
    pub fn limits_processes(&self) -> bool {
        self.pids.is_some()
    }

    /// Makes a group in each hierarchy. What cannot be made is left out: there are other limits.
    pub(crate) fn make(&self, memory_bytes: u64, processes: u64) -> Group {
        let name = name();
        let mut group = Group { folders: Vec::new(), memory: None };
        if let Some(place) = &self.memory {
            let folder = place.folder.join(&name);
            let file = if place.version == Version::One { "memory.limit_in_bytes" } else { "memory.max" };
            if group.enter(&folder, file, memory_bytes) {
                let swap = if place.version == Version::One { None } else { Some("memory.swap.max") };
                // Without swap there is no such file.
                let _ = swap.map(|file| write(folder.join(file), "0"));
                group.memory = Some((folder, place.version));
            }
        }
        if let Some(place) = &self.pids {
            group.enter(&place.folder.join(&name), "pids.max", processes);
        }
        if let Some(place) = &self.cpu {
            // Together they weigh as much as one process, however many they are.
            let (file, weight) = if place.version == Version::One { ("cpu.shares", 1024) } else { ("cpu.weight", 100) };
            group.enter(&place.folder.join(&name), file, weight);
        }
        group
    }
}

/// The path of this process's group, relative to the mount, in the hierarchy of a controller, or in the one hierarchy (cgroups(7)).
fn path_of(own: &str, controller: Option<&str>) -> Option<PathBuf> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let this = match controller {
            Some(wanted) => controllers.split(',').any(|c| c == wanted),
            None => controllers.is_empty(),
        };
        this.then(|| PathBuf::from(path.trim_start_matches('/')))
    })
}

/// Whether a group of version 2 passes its controllers on, or can be made to.
fn delegated(folder: &Path) -> bool {
    let has = |file: &str| {
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        ["memory", "pids"].iter().all(|wanted| text.split_whitespace().any(|c| c == *wanted))
    };
    if !has("cgroup.controllers") || has("cgroup.subtree_control") {
        return has("cgroup.subtree_control");
    }
    let server = folder.join("millpond-server");
    if fs::create_dir(&server).is_err() && !server.exists() {
        return false;
    }
    let moved = write(server.join("cgroup.procs"), "0").is_ok();
    if moved && write(folder.join("cgroup.subtree_control"), "+memory +pids").is_ok() {
        // It may not be there, and its absence is no reason to do without the others.
        let _ = write(folder.join("cgroup.subtree_control"), "+cpu");
        return true;
    }
    // Others are in the group: it is not ours. Back to where we were.
    if moved && write(folder.join("cgroup.procs"), "0").is_ok() {
        // It is empty again.
        let _ = fs::remove_dir(&server);
    }
    false
}

fn can_make_groups(place: &Place) -> bool {
    let probe = place.folder.join(name());
    if fs::create_dir(&probe).is_err() {
        return false;
    }
    // In the twin of tests there is no such file.
    let procs = probe.join("cgroup.procs");
    let enterable = !procs.exists() || fs::OpenOptions::new().write(true).open(procs).is_ok();
    fs::remove_dir(&probe).is_ok() && enterable
}

/// Removes what servers that were killed have left.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let server = name.to_str().and_then(|name| name.strip_prefix("millpond-")?.split('-').next());
        let server: Option<u32> = server.and_then(|id| id.parse().ok());
        let is_own = entry.file_name().to_str().is_some_and(|name| name.starts_with(own()));
        let is_gone = |id: u32| id == std::process::id() || !Path::new(&format!("/proc/{id}")).exists();
        if !is_own && server.is_some_and(is_gone) {
            // One with processes in it stays.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The groups of one sandbox.
#[derive(Debug)]
pub(crate) struct Group {
    folders: Vec<PathBuf>,
    memory: Option<(PathBuf, Version)>,
}

impl Group {
    fn enter(&mut self, folder: &Path, file: &str, limit: u64) -> bool {
        // In version 2 it is one folder for all.
        if !self.folders.iter().any(|made| made == folder) {
            if fs::create_dir(folder).is_err() {
                return false;
            }
            self.folders.push(folder.to_owned());
        }
        write(folder.join(file), &limit.to_string()).is_ok()
    }

    /// The files through which a process enters.
    pub(crate) fn procs(&self) -> Vec<PathBuf> {
        self.folders.iter().map(|folder| folder.join("cgroup.procs")).collect()
    }

    /// Whether the kernel has ended a process for its memory.
    pub(crate) fn ran_out(&self) -> bool {
        let Some((folder, version)) = &self.memory else { return false };
        let file = if *version == Version::One { "memory.oom_control" } else { "memory.events" };
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
    }

    /// Removes the groups, whose processes must have been ended.
    pub(crate) fn remove(&mut self) {
        for folder in self.folders.drain(..) {
            for _ in 0..REMOVALS {
                if fs::remove_dir(&folder).is_ok() || !folder.exists() {
                    break;
                }
                thread::sleep(REMOVAL_PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_its_own_group_in_each_hierarchy() {
        let own = "9:name=systemd:/\n8:pids:/\n4:memory,hugetlb:/a/b\n0::/user.slice/x.scope\n";
        for (controller, path) in [
            (Some("memory"), Some("a/b")),
            (Some("pids"), Some("")),
            (Some("cpu"), None),
            (None, Some("user.slice/x.scope")),
        ] {
            assert_eq!(path_of(own, controller), path.map(PathBuf::from), "{controller:?}");
        }
    }

    #[test]
    fn groups_that_were_left_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let own_id = std::process::id();
        let of_another_life = format!("millpond-{own_id}-0123456789abcdef-0");
        let kept =
            [name(), "millpond-1-0123456789abcdef-0".to_owned(), "millpond-server".to_owned(), "other".to_owned()];
        let gone =
            [of_another_life, format!("millpond-{own_id}-0"), format!("millpond-{}-0123456789abcdef-7", u32::MAX)];
        for name in kept.iter().chain(&gone) {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        sweep(dir.path());
        for (names, there) in [(&kept[..], true), (&gone[..], false)] {
            for name in names {
                assert_eq!(dir.path().join(name).exists(), there, "{name}");
            }
        }
    }

    #[test]
    fn version_two_needs_its_controllers_passed_on() {
        let dir = tempfile::tempdir().unwrap();
        let own = "0::/lake.service\n";
        let folder = dir.path().join("lake.service");
        fs::create_dir(&folder).unwrap();
        assert!(!Groups::find_in(dir.path(), own).limits_memory());
        write(folder.join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        write(folder.join("cgroup.subtree_control"), "memory pids\n").unwrap();
        let groups = Groups::find_in(dir.path(), own);
        assert!(groups.limits_memory() && groups.limits_processes());
        let group = groups.make(1 << 20, 10);
        let [procs] = &group.procs()[..] else { panic!("{group:?}") };
        let first = procs.parent().unwrap();
        assert_eq!(fs::read_to_string(first.join("memory.max")).unwrap(), "1048576");
        assert_eq!(fs::read_to_string(first.join("pids.max")).unwrap(), "10");
        assert!(!group.ran_out());
        write(first.join("memory.events"), "low 0\noom 1\noom_kill 1\n").unwrap();
        assert!(group.ran_out());
    }
}
