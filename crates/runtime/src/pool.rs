//! The workers there are: which are idle, how many there may be, and when they go.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use jiff::tz::TimeZone;
use millpond_io::{Clock, Random};
use millpond_sandbox::Spawner;
use tokio::sync::{OnceCell, watch};
use tokio::time::Instant;

use crate::interpreters::{Interpreters, Wanted};
use crate::places::Places;
use crate::program::{Ended, Failure, Host, Job, NoWorker, Program, Report};
use crate::worker::Worker;

/// An idle worker is stopped after this; under load none is.
const STOP_AFTER: Duration = Duration::from_millis(20);

/// How often workers that have been idle for long, or whose credentials end, are looked for.
const LOOK: Duration = Duration::from_secs(5);

/// Credentials must last an invocation and this much longer.
const CREDENTIALS_MARGIN: Duration = Duration::from_secs(60);

/// How workers are run.
#[derive(Clone, Debug)]
pub struct WorkersConfig {
    /// The Python for every `python3.*`.
    pub python: PathBuf,
    /// Other Pythons for single runtimes, by their names such as `python3.12`.
    pub python_for: HashMap<String, PathBuf>,
    /// The Node for every `nodejs*`.
    pub node: PathBuf,
    /// A folder with boto3 and what it needs, for functions that bring none.
    pub boto3: Option<PathBuf>,
    /// Where the bootstraps are kept; made when needed.
    pub folder: PathBuf,
    /// Workers at a time.
    pub max_workers: usize,
    /// How long a worker may be idle.
    pub idle: Duration,
    /// How long invocations under way may take to end when the server stops.
    pub stop_time: Duration,
    /// What no function may see, although it lies below what all see of the machine: the data dir, keys.
    pub hidden: Vec<PathBuf>,
    /// Whether functions run without a sandbox where none can be had.
    pub allow_unsandboxed: bool,
    /// Where AWS's APIs are for functions on the machine's network, as far as it is known before [`Workers::at`].
    pub endpoint_url: String,
    /// The region.
    pub region: String,
    /// The program that is the sandbox's helper; `None` for this one, whose `main` must begin as [`millpond_sandbox::main`] says.
    pub helper: Option<PathBuf>,
}

/// Workers, and what waits for them.
#[derive(Clone)]
pub struct Workers(Arc<Inner>);

/// What all workers share.
pub(crate) struct Inner {
    pub(crate) config: WorkersConfig,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) spawner: Spawner,
    pub(crate) interpreters: Interpreters,
    /// Set once a sandbox could be made. That none could is not kept: it may have been for want of something that comes back.
    sandbox: OnceCell<()>,
    places: Places,
    /// Invocations that wait or are at work.
    at_work: watch::Sender<usize>,
    stage: watch::Sender<Stage>,
    idle: Mutex<HashMap<u128, Vec<Idle>>>,
    retired: Mutex<Vec<u128>>,
    endpoint: RwLock<String>,
    workers: AtomicUsize,
    pub(crate) counts: Counts,
}

/// What becomes of invocations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    /// They begin and end.
    Serving,
    /// None begins; those under way may end.
    Finishing,
    /// Those under way are cut.
    Cutting,
    /// There are none.
    Over,
}

/// Counts an invocation until it is dropped.
struct AtWork(Arc<Inner>);

impl AtWork {
    fn begin(inner: &Arc<Inner>) -> Self {
        inner.at_work.send_modify(|count| *count += 1);
        Self(Arc::clone(inner))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.at_work.send_modify(|count| *count -= 1);
    }
}

struct Idle {
    worker: Arc<Worker>,
    since: Instant,
}

/// Ids of programs that were retired while a worker of theirs may have been at work: as many as are remembered.
const MAX_RETIRED: usize = 4096;

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) started: AtomicU64,
    pub(crate) invocations: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// What there is at the moment, and what has been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Workers, idle or not.
    pub workers: usize,
    /// Idle workers.
    pub idle: usize,
    /// Workers that were ever started.
    pub started: u64,
    /// Invocations that have ended.
    pub invocations: u64,
    /// Those that failed.
    pub failed: u64,
}

/// A worker's place among those there may be.
pub(crate) struct Slot(Arc<Inner>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.workers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Workers that are started when they are needed.
    pub fn new(config: WorkersConfig, host: Arc<dyn Host>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        let spawner = config.helper.clone().map_or_else(Spawner::new, Spawner::with_helper);
        let wanted =
            Wanted { python: config.python.clone(), mapped: config.python_for.clone(), node: config.node.clone() };
        let interpreters = Interpreters::new(wanted, config.folder.clone());
        let places = Places::new(config.max_workers);
        let endpoint = RwLock::new(config.endpoint_url.clone());
        Self(Arc::new(Inner {
            endpoint,
            config,
            host,
            clock,
            random,
            spawner,
            interpreters,
            sandbox: OnceCell::new(),
            places,
            at_work: watch::Sender::new(0),
            stage: watch::Sender::new(Stage::Serving),
            idle: Mutex::default(),
            retired: Mutex::default(),
            workers: AtomicUsize::new(0),
            counts: Counts::default(),
        }))
    }

    /// Says where AWS's APIs are for functions on the machine's network; for workers that begin from now on.
    pub fn at(&self, endpoint_url: &str) {
        endpoint_url.clone_into(&mut self.0.endpoint.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Runs a function. Waits for a while for a worker where all are at work. It goes on also when the caller gives up.
    ///
    /// # Errors
    ///
    /// Nothing could be run; that the function failed is no error.
    pub async fn invoke(&self, program: &Arc<Program>, job: Job) -> Result<(Ended, Report), NoWorker> {
        let (inner, program) = (self.0.clone(), program.clone());
        tokio::spawn(async move {
            let _work = AtWork::begin(&inner);
            let place = inner.places.take(&program.arn).await?;
            let done = tokio::select! {
                biased;
                // What is cut ends with its worker: whoever asked asks again when there is a server.
                () = inner.reached(Stage::Cutting) => Err(NoWorker::Stopping),
                done = crate::invocation::serve(&inner, &program, job) => done,
            };
            drop(place);
            match done {
                // Whoever stops the server may have ended the process as well.
                Ok((Ended::Failed { kind: Failure::Exit | Failure::Init, .. }, _)) if inner.stops() => {
                    Err(NoWorker::Stopping)
                }
                done => done,
            }
        })
        .await
        // It was cut off by the runtime's end.
        .unwrap_or(Err(NoWorker::Stopping))
    }

    /// Ends the workers of a program: the idle ones now, others after their invocation.
    pub fn retire(&self, program: u128) {
        let mut retired = self.0.retired.lock().unwrap_or_else(PoisonError::into_inner);
        if retired.len() >= MAX_RETIRED {
            // What is forgotten ends when it has been idle for long enough.
            retired.remove(0);
        }
        retired.push(program);
        drop(retired);
        let ended = self.0.idle().remove(&program);
        drop(ended);
    }

    /// Whether functions run in sandboxes here, and otherwise why not. Tried until it could be done once.
    pub async fn sandboxed(&self) -> Result<(), String> {
        self.0.sandbox().await
    }

    /// The version of the interpreter that a language's functions run on, such as `python3.11.7`; `None` for those that bring their own.
    ///
    /// # Errors
    ///
    /// There is none.
    pub async fn interpreter(&self, language: &crate::Language) -> Result<Option<String>, NoWorker> {
        Ok(self.0.interpreters.of(language).await?.map(|interpreter| interpreter.version.clone()))
    }

    /// What there is at the moment.
    pub fn figures(&self) -> Figures {
        Figures {
            workers: self.0.workers.load(Ordering::Relaxed),
            idle: self.0.idle().values().map(Vec::len).sum(),
            started: self.0.counts.started.load(Ordering::Relaxed),
            invocations: self.0.counts.invocations.load(Ordering::Relaxed),
            failed: self.0.counts.failed.load(Ordering::Relaxed),
        }
    }

    /// Ends when [`Workers::run`] has: no worker is left.
    pub async fn ended(&self) {
        self.0.reached(Stage::Over).await;
    }

    /// Ends workers that have been idle for long, until `stop`. Then no invocation begins any more and idle workers end; invocations under way may
    /// end within the time for it, and are cut after that.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        if let Err(why) = self.sandboxed().await {
            let unsandboxed = self.0.config.allow_unsandboxed;
            tracing::warn!(why, unsandboxed, "functions have no sandbox here");
        }
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = tokio::time::sleep(LOOK) => self.0.reap(),
            }
        }
        self.0.places.close();
        self.0.stage.send_replace(Stage::Finishing);
        let ended = std::mem::take(&mut *self.0.idle());
        drop(ended);
        let mut at_work = self.0.at_work.subscribe();
        if tokio::time::timeout(self.0.config.stop_time, at_work.wait_for(|count| *count == 0)).await.is_err() {
            let cut = *self.0.at_work.borrow();
            tracing::warn!(invocations = cut, "functions did not end in time and are cut");
            self.0.stage.send_replace(Stage::Cutting);
            // Its sender is ours.
            let _ = at_work.wait_for(|count| *count == 0).await;
        }
        // One that ended as the stop began may have been kept.
        let ended = std::mem::take(&mut *self.0.idle());
        drop(ended);
        self.0.stage.send_replace(Stage::Over);
    }
}

impl Inner {
    fn idle(&self) -> MutexGuard<'_, HashMap<u128, Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where AWS's APIs are on the machine's network.
    pub(crate) fn endpoint(&self) -> String {
        self.endpoint.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn reached(&self, wanted: Stage) {
        // Its sender is ours.
        let _ = self.stage.subscribe().wait_for(|stage| *stage >= wanted).await;
    }

    fn stops(&self) -> bool {
        *self.stage.borrow() > Stage::Serving
    }

    async fn sandbox(&self) -> Result<(), String> {
        let tried = self.sandbox.get_or_try_init(|| async {
            let spawner = self.spawner.clone();
            let tried = tokio::task::spawn_blocking(move || spawner.probe()).await;
            tried.map_err(|e| e.to_string()).and_then(|tried| tried.map_err(|e| e.to_string()))
        });
        tried.await.copied()
    }

    /// Whether the next worker is confined.
    pub(crate) async fn confined(&self) -> Result<bool, NoWorker> {
        match self.sandbox().await {
            Ok(()) => Ok(true),
            Err(why) if self.config.allow_unsandboxed => {
                tracing::warn!(why, "a worker begins without a sandbox");
                Ok(false)
            }
            Err(why) => Err(NoWorker::NoSandbox(why)),
        }
    }

    /// The name of a new worker's log stream ("2026/03/01/[$LATEST]0123..").
    pub(crate) fn stream_name(&self, program: &Program) -> String {
        let at = i64::try_from(self.clock.now().seconds()).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
        let day = at.map(|at| at.to_zoned(TimeZone::UTC).strftime("%Y/%m/%d").to_string()).unwrap_or_default();
        format!("{day}/[{}]{:032x}", program.version, self.random.u128())
    }

    /// An idle worker of a program that will do for one more invocation.
    pub(crate) fn take(&self, program: &Program) -> Option<Arc<Worker>> {
        let mut unfit = Vec::new();
        let mut all = self.idle();
        let found = loop {
            // The one that was busy last: others may go when there is less to do.
            let Some(Idle { worker, .. }) = all.get_mut(&program.id).and_then(Vec::pop) else { break None };
            if self.fit(&worker) {
                break Some(worker);
            }
            unfit.push(worker);
        };
        drop(all);
        drop(unfit);
        found
    }

    fn fit(&self, worker: &Worker) -> bool {
        let needed = self.clock.now().plus(worker.program.timeout).plus(CREDENTIALS_MARGIN);
        !worker.has_exited() && worker.expires.is_none_or(|expires| expires > needed)
    }

    /// A place for one more worker. The caller has a place among those at work, so that where all places are taken some worker is idle: the one that has been so for
    /// longest goes.
    pub(crate) fn slot(self: &Arc<Self>) -> Slot {
        let there = self.workers.fetch_add(1, Ordering::Relaxed);
        if there >= self.config.max_workers {
            let mut all = self.idle();
            let oldest = all
                .iter()
                .filter_map(|(program, idle)| Some((idle.first()?.since, *program)))
                .min()
                .map(|(_, program)| program);
            let gone = oldest.and_then(|program| all.get_mut(&program)).map(|idle| idle.remove(0));
            drop(all);
            drop(gone);
        }
        Slot(self.clone())
    }

    /// A worker has done its work.
    pub(crate) fn rest(&self, worker: Arc<Worker>) {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner).contains(&worker.program.id);
        if retired || self.stops() {
            return;
        }
        worker.rest();
        let turn = worker.turn.load(Ordering::Relaxed);
        let resting = Arc::downgrade(&worker);
        let idle = Idle { since: Instant::now(), worker };
        self.idle().entry(idle.worker.program.id).or_default().push(idle);
        tokio::spawn(async move {
            tokio::time::sleep(STOP_AFTER).await;
            if let Some(worker) = resting.upgrade().filter(|w| w.turn.load(Ordering::Relaxed) == turn) {
                worker.freeze();
            }
        });
    }

    fn reap(&self) {
        let mut gone = Vec::new();
        let mut all = self.idle();
        for idle in all.values_mut() {
            gone.extend(
                idle.extract_if(.., |idle| idle.since.elapsed() >= self.config.idle || !self.fit(&idle.worker)),
            );
        }
        all.retain(|_, idle| !idle.is_empty());
        drop(all);
        drop(gone);
    }
}
