//! The processes below a process: what they use, and signals to them. Read from /proc, for servers without control groups.

use std::collections::HashSet;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// Processes that are looked at; more than a sandbox may have.
const MAX_PROCESSES: usize = 4096;

/// The processes below another.
#[derive(Clone, Debug, Default)]
pub struct Tree(Vec<Seen>);

/// A process. Its id may become another's when it has ended; the time of its start, in ticks since the machine's, tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    process: i32,
    born: u64,
}

impl Tree {
    /// All that are below a process at the moment, by proc(5)'s lists of children. One that has just begun may be missing.
    pub fn below(root: i32) -> Self {
        let (mut found, mut seen) = (Vec::new(), HashSet::from([root]));
        let mut left = vec![root];
        while let Some(parent) = left.pop() {
            for process in children(parent) {
                if found.len() >= MAX_PROCESSES || !seen.insert(process) {
                    continue;
                }
                // One that has ended meanwhile has no start, and another of its id another parent.
                if let Some(stat) = Stat::of(process).filter(|stat| seen.contains(&stat.parent)) {
                    found.push(Seen { process, born: stat.born });
                    left.push(process);
                }
            }
        }
        Self(found)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of memory that they hold now, and the most that each held at a time, together.
    pub fn memory(&self) -> Memory {
        let mut all = Memory::default();
        for Seen { process, .. } in &self.0 {
            let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) else { continue };
            all.now += kibibytes(&status, "VmRSS:") * 1024;
            all.most += kibibytes(&status, "VmHWM:") * 1024;
        }
        all
    }

    /// Sends all of them a signal.
    pub fn signal(&self, signal: Signal) {
        for seen in &self.0 {
            // It may have ended by itself.
            let _ = seen.signal(signal);
        }
    }
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub now: u64,
    /// At most, each process by itself.
    pub most: u64,
}

impl Seen {
    /// Sends it a signal, and nobody else: whom the descriptor means is looked at once it is open.
    fn signal(self, signal: Signal) -> rustix::io::Result<()> {
        let pid = Pid::from_raw(self.process).ok_or(Errno::SRCH)?;
        let opened = pidfd_open(pid, PidfdFlags::empty());
        if Stat::of(self.process).is_none_or(|stat| stat.born != self.born) {
            return Err(Errno::SRCH);
        }
        match opened {
            Ok(pidfd) => pidfd_send_signal(pidfd, signal),
            // Kernels before 5.3 have none.
            Err(Errno::NOSYS) => kill_process(pid, signal),
            Err(error) => Err(error),
        }
    }
}

/// Of proc(5)'s `stat`.
struct Stat {
    parent: i32,
    born: u64,
}

impl Stat {
    fn of(process: i32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name, in parentheses, may hold anything, parentheses too. Behind it the third field is the first.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        Some(Self { parent: fields.get(4 - 3)?.parse().ok()?, born: fields.get(22 - 3)?.parse().ok()? })
    }
}

fn children(process: i32) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()).collect()
}

fn kibibytes(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|n| n.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_grandchildren_and_what_they_hold() {
        let mut shell = std::process::Command::new("sh").args(["-c", "sleep 60 & sleep 60; true"]).spawn().unwrap();
        // Not of this process: it has children of other tests too.
        let root = shell.id().cast_signed();
        let found = loop {
            let tree = Tree::below(root);
            if tree.0.len() >= 2 {
                break tree;
            }
            std::thread::yield_now();
        };
        assert!(found.memory().now > 0 && found.memory().most >= found.memory().now / 2);
        found.signal(Signal::KILL);
        // Both have ended: the shell then does, by itself.
        shell.wait().unwrap();
    }

    #[test]
    fn another_process_of_the_same_id_gets_no_signal() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = child.id().cast_signed();
        let born = Stat::of(process).unwrap().born;
        assert_eq!(Seen { process, born: born + 1 }.signal(Signal::KILL), Err(Errno::SRCH));
        assert_eq!(child.try_wait().unwrap(), None);
        Seen { process, born }.signal(Signal::KILL).unwrap();
        child.wait().unwrap();
        assert_eq!(Seen { process, born }.signal(Signal::KILL), Err(Errno::SRCH));
    }

    #[test]
    fn reads_fields_of_stat() {
        let stat = Stat::parse("7 (a) b) S 5 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 123 45 6\n").unwrap();
        assert_eq!((stat.parent, stat.born), (5, 4711));
    }

    #[test]
    fn reads_fields_of_status() {
        let status = "Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\t     12 kB\n";
        assert_eq!(kibibytes(status, "VmHWM:"), 1234);
        assert_eq!(kibibytes(status, "VmRSS:"), 12);
        assert_eq!(kibibytes(status, "VmSwap:"), 0);
    }
}
