//! The server's side: starting sandboxes, and ending them.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::control::{Exit, Told, receive, send};
use crate::group::{Group, Groups};
use crate::helper::ARGUMENT;
use crate::spec::{Limits, Spec};
use crate::tree::Tree;

/// For everything from the helper's start to the program's; it takes milliseconds.
const START_TIME: Duration = Duration::from_secs(30);

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The sandbox cannot be made.
    #[error("{0}")]
    Refused(String),
    /// The program in it cannot be started.
    #[error("{program} cannot be started: {why}")]
    Program {
        /// Which.
        program: String,
        /// What the system said.
        why: String,
    },
    /// The helper could not be reached.
    #[error("the sandbox's helper: {0}")]
    Helper(#[from] io::Error),
}

/// Starts sandboxes.
#[derive(Clone, Debug)]
pub struct Spawner {
    helper: PathBuf,
    groups: Arc<Groups>,
}

impl Spawner {
    /// One whose helper is this binary, which must call [`crate::main`] when its first argument is [`ARGUMENT`].
    pub fn new() -> Self {
        // The binary that runs, also when another has taken its name.
        Self::with_helper(PathBuf::from("/proc/self/exe"))
    }

    /// One with another binary as its helper.
    pub fn with_helper(helper: PathBuf) -> Self {
        Self { helper, groups: Arc::new(Groups::find()) }
    }

    /// The control groups that it makes.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Tries whether sandboxes can be made here. Blocks.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn probe(&self) -> Result<(), SpawnError> {
        let spec = Spec {
            confine: true,
            open_network: false,
            argv: Vec::new(),
            env: Vec::new(),
            directory: PathBuf::from("/"),
            binds: Vec::new(),
            layers: Vec::new(),
            hidden: Vec::new(),
            tmp_bytes: 1 << 20,
            limits: Limits { files: 64, processes: 64, file_bytes: 1 << 20, data_bytes: None },
            groups: Vec::new(),
            ports: vec![9000],
        };
        self.spawn(spec, 64 << 20).map(drop)
    }

    /// Starts a process in a sandbox that may have so many bytes of memory, files in `/tmp` included. Blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// The sandbox cannot be made here, or the program cannot be started.
    pub fn spawn(&self, mut spec: Spec, memory_bytes: u64) -> Result<Process, SpawnError> {
        let group = self.groups.make(memory_bytes, spec.limits.processes);
        spec.groups = group.procs();
        self.start(&spec, group)
    }

    fn start(&self, spec: &Spec, group: Group) -> Result<Process, SpawnError> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(io::Error::from)?;
        let (log, printed) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(io::Error::from)?;
        // What reads must not wait, what prints must: the flag belongs to each end.
        rustix::fs::fcntl_setfl(&printed, rustix::fs::OFlags::empty()).map_err(io::Error::from)?;
        let helper = Command::new(&self.helper)
            .arg(ARGUMENT)
            .env_clear()
            // What a terminal sends to the server is not for it.
            .process_group(0)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::from(printed.try_clone()?))
            .stderr(Stdio::from(printed))
            .spawn()?;
        let mut process = Process {
            init: 0,
            pidfd: None,
            control: ours,
            helper: Some(helper),
            group: Some(group),
            log: Some(log),
            listeners: Vec::new(),
        };
        send(process.control.as_fd(), spec, &[])?;
        set_socket_timeout(&process.control, Timeout::Recv, Some(START_TIME)).map_err(io::Error::from)?;
        let (mut ready, mut started) = (false, false);
        while !(ready && started) {
            match receive::<Told>(process.control.as_fd())? {
                Some((Told::Ready { init }, fds)) => {
                    process.init = init;
                    process.pidfd = Pid::from_raw(init).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
                    process.listeners = fds.into_iter().map(TcpListener::from).collect();
                    ready = true;
                }
                Some((Told::Started, _)) => started = true,
                Some((Told::Failed(why), _)) => return Err(SpawnError::Refused(why)),
                Some((Told::NotStarted { program, why }, _)) => return Err(SpawnError::Program { program, why }),
                Some((Told::Exited(_), _)) => {
                    return Err(SpawnError::Refused("the program ended as it began".to_owned()));
                }
                None => return Err(SpawnError::Refused("the helper ended without a word".to_owned())),
            }
        }
        rustix::io::ioctl_fionbio(&process.control, true).map_err(io::Error::from)?;
        Ok(process)
    }
}

impl Default for Spawner {
    fn default() -> Self {
        Self::new()
    }
}

/// A process in its sandbox. Dropping it ends it, with all that it started.
pub struct Process {
    init: i32,
    pidfd: Option<OwnedFd>,
    control: OwnedFd,
    helper: Option<Child>,
    group: Option<Group>,
    log: Option<OwnedFd>,
    listeners: Vec<TcpListener>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("init", &self.init).finish_non_exhaustive()
    }
}

impl Process {
    /// What it prints, both its standard output and its standard error; reading never waits.
    pub fn take_log(&mut self) -> Option<OwnedFd> {
        self.log.take()
    }

    /// The listeners inside, in the order of the ports.
    pub fn take_listeners(&mut self) -> Vec<TcpListener> {
        std::mem::take(&mut self.listeners)
    }

    /// The processes in the sandbox, without its init.
    pub fn tree(&self) -> Tree {
        // An id belongs to another process once its own has been waited for, which may happen at any time.
        let is_there = || self.pidfd.as_ref().is_none_or(has_not_ended);
        if !is_there() {
            return Tree::default();
        }
        let tree = Tree::below(self.init);
        if is_there() { tree } else { Tree::default() }
    }

    /// Who tells of its end.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    pub fn waiter(&self) -> io::Result<Waiter> {
        Ok(Waiter(self.control.try_clone()?))
    }

    /// Becomes readable when the process has ended. Reading from it never waits.
    pub fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// Whether the kernel ended one of its processes because the sandbox's memory was used up.
    pub fn ran_out_of_memory(&self) -> bool {
        self.group.as_ref().is_some_and(Group::ran_out)
    }

    /// Ends it, with all that it started. What is left to clean up is done elsewhere.
    pub fn kill(&self) {
        // It may have ended by itself, and then its socket is closed as well.
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
        // A helper without a pid namespace must live to end the others; it has seen that the socket is closed.
        if self.helper.as_ref().is_some_and(|helper| helper.id().cast_signed() != self.init)
            && let Some(init) = &self.pidfd
        {
            let _ = pidfd_send_signal(init, Signal::KILL);
        }
    }
}

/// Whether the process of a descriptor has not ended: it becomes readable then (pidfd_open(2)).
fn has_not_ended(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut fds, Some(&now)), Ok(0))
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let (helper, group) = (self.helper.take(), self.group.take());
        thread::spawn(move || {
            if let Some(mut helper) = helper {
                // It ends with init, which has been killed.
                let _ = helper.wait();
            }
            if let Some(mut group) = group {
                group.remove();
            }
        });
    }
}

/// Tells how a process ended, without holding it.
#[derive(Debug)]
pub struct Waiter(OwnedFd);

impl Waiter {
    /// How it ended.
    ///
    /// # Errors
    ///
    /// It has not, yet (`WouldBlock`): [`Process::control`] becomes readable when it has.
    pub fn exit(&self) -> io::Result<Exit> {
        loop {
            match receive::<Told>(self.0.as_fd()) {
                Ok(Some((Told::Exited(exit), _))) => return Ok(exit),
                Ok(Some(_)) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Ok(None) | Err(_) => return Ok(Exit::Killed),
            }
        }
    }
}
