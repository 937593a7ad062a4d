//! One worker: a process, its endpoint of the Runtime API, and what it prints.

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millpond_sandbox::{Bind, Exit, Limits, Process, SpawnError, Spec, Tree};
use millpond_types::Timestamp;
use rustix::process::Signal;
use tokio::io::Interest;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use crate::api::{Api, Delivery, Init, Outcome};
use crate::environment::{self, BOTO3};
use crate::interpreters::Interpreter;
use crate::logs::Logs;
use crate::pool::{Inner, Slot};
use crate::program::{Door, Language, NoWorker, Program, WorkerCredentials};

/// Ports inside a worker's own network: AWS's APIs, and the Runtime API, as on AWS.
const DOOR_PORT: u16 = 9000;
const API_PORT: u16 = 9001;

/// Limits of each worker ("Lambda quotas": file descriptors, processes and threads).
const FILES: u64 = 1024;
const PROCESSES: u64 = 1024;

/// Memory of the kernel's and of init, besides the program's.
const OVERHEAD: u64 = 16 << 20;
/// How far a single process may go beyond the program's memory where no control group limits it: the watch needs a moment.
const AHEAD: u64 = 1 << 30;

/// How often the memory of a worker is looked at while it works.
const WATCH: Duration = Duration::from_millis(100);
/// The most memory is read at the end of an invocation, but not more often than this.
const MEMORY_AGE: Duration = Duration::from_millis(250);

const MIB: u64 = 1 << 20;

/// One worker.
pub(crate) struct Worker {
    pub(crate) program: Arc<Program>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) expires: Option<Timestamp>,
    credentials: Option<WorkerCredentials>,
    api: Arc<Api>,
    process: Process,
    exit: watch::Receiver<Option<Exit>>,
    stopped: Mutex<Stopped>,
    most_mb: AtomicU32,
    memory_read: Mutex<Option<Instant>>,
    /// Counts invocations, so that whoever would stop an idle worker sees that it has not worked meanwhile.
    pub(crate) turn: AtomicU64,
    tasks: Vec<AbortHandle>,
    /// The runtime that it is, such as `python3.11.7`.
    pub(crate) runtime: String,
    _door: Option<Door>,
    inner: Arc<Inner>,
    _slot: Slot,
}

#[derive(Default)]
struct Stopped {
    busy: bool,
    processes: Option<Tree>,
}

/// How an event ended for its worker.
pub(crate) enum Over {
    /// The runtime said so.
    Told(Outcome),
    /// The process ended.
    Exited(Exit),
    /// Its memory was used up.
    Memory,
    /// Its time was.
    Time,
}

/// A worker that begins, and the word of its runtime when it has.
pub(crate) struct Beginning {
    pub(crate) worker: Arc<Worker>,
    pub(crate) init: oneshot::Receiver<Init>,
    pub(crate) began: Instant,
}

/// A process that has begun, and what belongs to it.
struct Begun {
    process: Process,
    credentials: Option<WorkerCredentials>,
    listener: Option<TcpListener>,
    prefix: String,
    stream: String,
    runtime: String,
    slot: Slot,
}

impl Begun {
    /// Serves the process, and makes a worker of it.
    fn attend(
        mut self,
        inner: &Arc<Inner>,
        program: &Arc<Program>,
    ) -> io::Result<(Arc<Worker>, oneshot::Receiver<Init>)> {
        let missing = |what: &str| io::Error::other(format!("it has no {what}"));
        let log = self.process.take_log().ok_or_else(|| missing("output"))?;
        let logs = Arc::new(Logs::new(log, inner.host.clone(), inner.clock.clone(), program.clone(), self.stream)?);
        let mut inside = self.process.take_listeners().into_iter();
        let door = inside.next().map(|door| inner.host.door(door));
        let listener = match (self.listener, inside.next()) {
            (Some(listener), _) => listener,
            (None, Some(listener)) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener)?
            }
            (None, None) => return Err(missing("Runtime API")),
        };
        let (api, init) = Api::new(self.prefix);
        let follow = logs.clone();
        let (exit, ending) = ending(&self.process)?;
        let tasks =
            [tokio::spawn(api.clone().serve(listener)), tokio::spawn(async move { follow.follow().await }), ending];
        let worker = Worker {
            program: program.clone(),
            logs,
            expires: self.credentials.as_ref().map(|c| c.expires),
            credentials: self.credentials,
            api,
            process: self.process,
            exit,
            stopped: Mutex::new(Stopped { busy: true, processes: None }),
            most_mb: AtomicU32::new(0),
            memory_read: Mutex::new(None),
            turn: AtomicU64::new(0),
            tasks: tasks.iter().map(JoinHandle::abort_handle).collect(),
            runtime: self.runtime,
            _door: door,
            inner: inner.clone(),
            _slot: self.slot,
        };
        Ok((Arc::new(worker), init))
    }
}

impl Worker {
    /// Starts one.
    pub(crate) async fn start(inner: &Arc<Inner>, program: &Arc<Program>) -> Result<Beginning, NoWorker> {
        let confined = inner.confined().await?;
        let interpreter = inner.interpreters.of(&program.language).await?;
        let slot = inner.slot();
        let credentials = inner.host.credentials(program).await.map_err(NoWorker::Credentials)?;
        let stream = inner.stream_name(program);
        let own_network = confined && !program.open_network;
        let failed = |what: &str, e: &dyn std::fmt::Display| NoWorker::Start(format!("{what}: {e}"));
        // On a network that others are on, the path of its Runtime API is a secret.
        let (listener, prefix, address) = if own_network {
            (None, String::new(), format!("127.0.0.1:{API_PORT}"))
        } else {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|e| failed("a port", &e))?;
            let address = listener.local_addr().map_err(|e| failed("a port", &e))?;
            let prefix = format!("/{:032x}", inner.random.u128());
            (Some(listener), prefix.clone(), format!("{address}{prefix}"))
        };
        let endpoint = if own_network { format!("http://127.0.0.1:{DOOR_PORT}") } else { inner.endpoint() };
        let worker = environment::Of {
            program,
            interpreter: interpreter.as_deref(),
            credentials: credentials.as_ref(),
            confined,
            stream: &stream,
            api: &address,
            endpoint: &endpoint,
        };
        let env = environment::of(&worker, &inner.config);
        let spec = spec(inner, program, interpreter.as_deref(), confined, env)?;
        let memory = (u64::from(program.memory_mb) + u64::from(program.tmp_mb)) * MIB + OVERHEAD;
        let spawner = inner.spawner.clone();
        let began = Instant::now();
        let process = tokio::task::spawn_blocking(move || spawner.spawn(spec, memory))
            .await
            .map_err(|e| failed("the helper", &e))?
            .map_err(|e| not_started(program, &e))?;
        let runtime = interpreter.map_or_else(|| "provided".to_owned(), |interpreter| interpreter.version.clone());
        let begun = Begun { process, credentials, listener, prefix, stream, runtime, slot };
        let (worker, init) = begun.attend(inner, program).map_err(|e| failed("the worker", &e))?;
        Ok(Beginning { worker, init, began })
    }

    /// The access key of its credentials.
    pub(crate) fn access_key(&self) -> Option<&str> {
        self.credentials.as_ref().map(|c| c.access_key_id.as_str())
    }

    /// Whether its process has ended.
    pub(crate) fn has_exited(&self) -> bool {
        self.exit.borrow().is_some()
    }

    /// Waits for the end of its process.
    pub(crate) async fn exited(&self) -> Exit {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit);
        ended.unwrap_or(Exit::Killed)
    }

    /// Whether the kernel or the watch found its memory used up.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        self.process.ran_out_of_memory()
    }

    /// Hands an event over and waits for its end.
    pub(crate) async fn work(&self, delivery: Delivery, until: Instant) -> Over {
        let told = self.api.deliver(delivery);
        tokio::select! {
            biased;
            outcome = told => match outcome {
                Ok(outcome) => Over::Told(outcome),
                Err(_) => Over::Exited(Exit::Killed),
            },
            exit = self.exited() => if self.ran_out_of_memory() { Over::Memory } else { Over::Exited(exit) },
            () = self.memory_used_up() => Over::Memory,
            () = tokio::time::sleep_until(until) => Over::Time,
        }
    }

    /// Ends when the processes hold more memory than they may.
    pub(crate) async fn memory_used_up(&self) {
        let limit = u64::from(self.program.memory_mb) * MIB;
        loop {
            tokio::time::sleep(WATCH).await;
            if self.look_at_memory() > limit {
                return;
            }
        }
    }

    fn look_at_memory(&self) -> u64 {
        let memory = self.process.tree().memory();
        let most = u32::try_from(memory.most.div_ceil(MIB)).unwrap_or(u32::MAX);
        self.most_mb.fetch_max(most, Ordering::Relaxed);
        memory.now
    }

    /// The most memory that it had, in MiB; never more than it may have.
    pub(crate) fn most_memory_mb(&self) -> u32 {
        let mut read = self.memory_read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.is_none_or(|at| at.elapsed() >= MEMORY_AGE) {
            *read = Some(Instant::now());
            drop(read);
            self.look_at_memory();
        }
        self.most_mb.load(Ordering::Relaxed).min(self.program.memory_mb)
    }

    /// Lets its processes run.
    pub(crate) fn wake(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.busy = true;
        if let Some(processes) = stopped.processes.take() {
            processes.signal(Signal::CONT);
        }
    }

    /// It has nothing to do.
    pub(crate) fn rest(&self) {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).busy = false;
    }

    /// Stops the processes of an idle worker, so that nothing goes on between invocations.
    pub(crate) fn freeze(&self) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        if stopped.busy || stopped.processes.is_some() {
            return;
        }
        let processes = self.process.tree();
        processes.signal(Signal::STOP);
        stopped.processes = Some(processes);
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) {
        self.process.kill();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.process.kill();
        for task in &self.tasks {
            task.abort();
        }
        if let Some(credentials) = &self.credentials {
            self.inner.host.gone(&credentials.access_key_id);
        }
    }
}

/// Watches a process for its end.
fn ending(process: &Process) -> io::Result<(watch::Receiver<Option<Exit>>, JoinHandle<()>)> {
    let (tell, told) = watch::channel(None);
    let waiter = process.waiter()?;
    let socket = tokio::net::UnixStream::from_std(process.control().try_clone_to_owned()?.into())?;
    let task = tokio::spawn(async move {
        let exit = socket.async_io(Interest::READABLE, || waiter.exit()).await;
        // An error means that nothing more will come of it.
        tell.send_replace(Some(exit.unwrap_or(Exit::Killed)));
    });
    Ok((told, task))
}

fn spec(
    inner: &Inner,
    program: &Program,
    interpreter: Option<&Interpreter>,
    confined: bool,
    env: Vec<(String, String)>,
) -> Result<Spec, NoWorker> {
    let argv = match interpreter {
        Some(interpreter) => interpreter.argv(confined),
        None => vec![own_bootstrap(program, confined)?],
    };
    let mut binds = interpreter.map(|interpreter| interpreter.binds.clone()).unwrap_or_default();
    binds.push(Bind { source: program.code.clone(), target: "/var/task".into() });
    if let (Language::Python { .. }, Some(boto3)) = (&program.language, &inner.config.boto3) {
        binds.push(Bind { source: boto3.clone(), target: BOTO3.into() });
    }
    let memory = u64::from(program.memory_mb) * MIB;
    // A runtime that reserves far more than it uses (V8) cannot be held this way.
    let held = matches!(program.language, Language::Python { .. }) && !inner.spawner.groups().limits_memory();
    Ok(Spec {
        confine: confined,
        open_network: program.open_network,
        argv,
        env,
        directory: if confined { "/var/task".into() } else { program.code.clone() },
        binds,
        layers: program.layers.clone(),
        hidden: inner.config.hidden.clone(),
        tmp_bytes: u64::from(program.tmp_mb) * MIB,
        limits: Limits {
            files: FILES,
            processes: PROCESSES,
            // What /tmp has no room for is told as such; what goes beyond this ends the process.
            file_bytes: u64::from(program.tmp_mb) * MIB * 2,
            data_bytes: held.then_some(memory + AHEAD),
        },
        groups: Vec::new(),
        ports: vec![DOOR_PORT, API_PORT],
    })
}

/// Why there is no process. That its own program cannot be started is the function's fault, and told as AWS tells it.
fn not_started(program: &Program, error: &SpawnError) -> NoWorker {
    match error {
        SpawnError::Program { program: path, why } if program.language == Language::Provided => {
            let why = why.split(" (os error").next().unwrap_or_default().to_lowercase();
            NoWorker::NoBootstrap(format!("fork/exec {path}: {why}"))
        }
        other => NoWorker::Start(other.to_string()),
    }
}

/// The program of a function that brings its own.
fn own_bootstrap(program: &Program, confined: bool) -> Result<String, NoWorker> {
    let outside = program.code.join("bootstrap");
    if outside.exists() {
        return Ok(if confined { "/var/task/bootstrap".to_owned() } else { outside.display().to_string() });
    }
    let layer = program.layers.iter().rev().map(|layer| layer.join("bootstrap")).find(|path| path.exists());
    match layer {
        Some(_) if confined => Ok("/opt/bootstrap".to_owned()),
        Some(path) => Ok(path.display().to_string()),
        None => Err(NoWorker::NoBootstrap(
            "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]".to_owned(),
        )),
    }
}
