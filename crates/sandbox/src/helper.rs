//! The helper, and init inside.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::control::{Exit, Told, receive, send};
use crate::root::{self, Sources};
use crate::spec::Spec;
use crate::tree::Tree;
use crate::{limits, namespaces, restrict};

/// The hidden first argument with which the binary is the helper.
pub const ARGUMENT: &str = "__sandbox";

/// What the helper's status says when nothing could be told.
const UNTOLD: u8 = 70;

/// The helper. Reads a [`Spec`] from standard input, a socket, and carries it out. To be called before any thread is made.
pub fn main() -> ExitCode {
    let Ok(control) = control() else { return ExitCode::from(UNTOLD) };
    let spec = match receive::<Spec>(control.as_fd()) {
        Ok(Some((spec, _))) => spec,
        Ok(None) => return ExitCode::SUCCESS,
        Err(_) => return ExitCode::from(UNTOLD),
    };
    let ended = if spec.confine { confined(&spec, &control) } else { loose(&spec, &control) };
    match ended {
        Ok(code) => code,
        // Whoever asked may be gone.
        Err(why) => tell(&control, &Told::Failed(why)).map_or(ExitCode::from(UNTOLD), |()| ExitCode::FAILURE),
    }
}

/// The socket, which stands on standard input, where the program must not find it.
fn control() -> io::Result<OwnedFd> {
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = openat(CWD, "/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(control)
}

fn tell(control: &OwnedFd, message: &Told) -> Result<(), String> {
    send(control.as_fd(), message, &[]).map_err(|e| format!("the server cannot be told: {e}"))
}

fn confined(spec: &Spec, control: &OwnedFd) -> Result<ExitCode, String> {
    enter_groups(spec)?;
    namespaces::enter(spec)?;
    let listeners = if spec.open_network { Vec::new() } else { namespaces::listeners(&spec.ports)? };
    match fork().map_err(|e| format!("init cannot be made: {e}"))? {
        ForkResult::Child => {
            drop(listeners);
            let ended = init(spec, control);
            // The end of process 1 is the end of everything inside.
            ended.or_else(|why| tell(control, &Told::Failed(why)).map(|()| ExitCode::FAILURE))
        }
        ForkResult::Parent { child } => {
            let fds: Vec<_> = listeners.iter().map(std::os::fd::AsFd::as_fd).collect();
            send(control.as_fd(), &Told::Ready { init: child.as_raw() }, &fds).map_err(|e| e.to_string())?;
            wait_for(child);
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[expect(
    unsafe_code,
    reason = "a pid namespace is entered by a child alone, and another start of the binary would cost as much as all the rest"
)]
fn fork() -> nix::Result<ForkResult> {
    // SAFETY: the helper has one thread (`main` is called before any other is made), so that no lock can be held by a thread that the child
    // does not have, and the child may do whatever the parent may.
    unsafe { nix::unistd::fork() }
}

fn wait_for(child: Pid) {
    while waitpid(child, None) == Err(Errno::EINTR) {}
}

fn enter_groups(spec: &Spec) -> Result<(), String> {
    spec.groups.iter().try_for_each(|procs| namespaces::write(procs, "0"))
}

/// Process 1: builds the tree, starts the program, waits.
fn init(spec: &Spec, control: &OwnedFd) -> Result<ExitCode, String> {
    // Where the kernel groups processes by session (sched(7), autogroups), many of them get no more of the processors than one.
    nix::unistd::setsid().map_err(|e| format!("there is no new session: {e}"))?;
    let superuser = namespaces::superuser();
    root::build(spec, &Sources::open(spec)?)?;
    if superuser {
        namespaces::give_up()?;
    }
    limits::set(&spec.limits, true)?;
    restrict::all()?;
    if spec.argv.is_empty() {
        tell(control, &Told::Started)?;
        return Ok(ExitCode::SUCCESS);
    }
    supervise(spec, control)?;
    Ok(ExitCode::SUCCESS)
}

/// Without namespaces: orphans come to the helper, which ends all that it finds below itself.
fn loose(spec: &Spec, control: &OwnedFd) -> Result<ExitCode, String> {
    enter_groups(spec)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(|e| e.to_string())?;
    limits::set(&spec.limits, false)?;
    nix::sys::prctl::set_no_new_privs().map_err(|e| e.to_string())?;
    tell(control, &Told::Ready { init: Pid::this().as_raw() })?;
    if spec.argv.is_empty() {
        tell(control, &Told::Started)?;
        return Ok(ExitCode::SUCCESS);
    }
    let supervised = supervise(spec, control);
    // Also when the server was gone before it could be told that the program runs.
    end_all_below();
    supervised.map(|()| ExitCode::SUCCESS)
}

/// How often what is below is ended anew: each pass finds what the one before had just begun.
const PASSES: usize = 100;

fn end_all_below() {
    for _ in 0..PASSES {
        let below = Tree::below(Pid::this().as_raw());
        if below.is_empty() {
            return;
        }
        below.signal(rustix::process::Signal::KILL);
        while matches!(waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive)
        {
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Starts the program, and returns when it has ended or the server is gone.
fn supervise(spec: &Spec, control: &OwnedFd) -> Result<(), String> {
    let (program, arguments) = spec.argv.split_first().ok_or("there is no program")?;
    let started = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&spec.directory)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn();
    let child = match started {
        Ok(child) => child,
        Err(error) => {
            return tell(control, &Told::NotStarted { program: program.clone(), why: error.to_string() });
        }
    };
    tell(control, &Told::Started)?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let (ended, wait) = std::sync::mpsc::sync_channel(2);
    let server_gone = ended.clone();
    let socket = control.try_clone().map_err(|e| e.to_string())?;
    thread::spawn(move || {
        // Nothing is ever sent this way: it ends with the server's end of the socket.
        while let Ok(Some((serde::de::IgnoredAny, _))) = receive(socket.as_fd()) {}
        // The other thread may have been first.
        let _ = server_gone.send(None);
    });
    thread::spawn(move || {
        let _ = ended.send(Some(reap_until(pid)));
    });
    if let Ok(Some(exit)) = wait.recv() {
        // A server that is gone need not be told.
        let _ = tell(control, &Told::Exited(exit));
    }
    Ok(())
}

/// Takes every child that ends, orphans included, until it is the program.
fn reap_until(program: Pid) -> Exit {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == program => return Exit::Code(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => return Exit::Signal(signal as i32),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return Exit::Killed,
        }
    }
}
