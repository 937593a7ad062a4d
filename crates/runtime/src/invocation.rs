//! One invocation, from the event to the report.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use jiff::tz::TimeZone;
use millpond_sandbox::Exit;
use tokio::time::Instant;

use crate::api::{Delivery, Outcome};
use crate::errors::{exited, payload};
use crate::pool::Inner;
use crate::program::{Ended, Failure, Job, NoWorker, Program, Report};
use crate::worker::{Over, Worker};

/// For the start of a runtime and the function's own initialization; what takes longer is begun anew within the time of the invocation
/// ("Understanding the Lambda execution environment lifecycle").
const INIT_TIME: Duration = Duration::from_secs(10);

/// A worker that is ready for an event.
struct Ready {
    worker: Arc<Worker>,
    /// How long its start took, when that does not count as part of the invocation.
    init: Option<Duration>,
    /// When the invocation began.
    began: Instant,
}

/// Why there is no answer.
struct Fault {
    kind: Failure,
    payload: Bytes,
    /// The line in the log that says so.
    line: Option<String>,
    /// The status in the report, and the type of the error.
    status: &'static str,
    error: Option<String>,
}

/// Runs a function once.
pub(crate) async fn serve(inner: &Arc<Inner>, program: &Arc<Program>, job: Job) -> Result<(Ended, Report), NoWorker> {
    let ready = match inner.take(program) {
        Some(worker) => {
            begins(inner, &worker, &job);
            worker.wake();
            worker.logs.begin(start_line(program, &job), job.tail);
            Ok(Ready { worker, init: None, began: Instant::now() })
        }
        None => begin(inner, program, &job).await?,
    };
    let (ended, report) = match ready {
        Ok(ready) => work(inner, program, &job, ready).await,
        Err(failed) => *failed,
    };
    inner.counts.invocations.fetch_add(1, Ordering::Relaxed);
    if matches!(ended, Ended::Failed { .. }) {
        inner.counts.failed.fetch_add(1, Ordering::Relaxed);
    }
    Ok((ended, report))
}

fn begins(inner: &Inner, worker: &Worker, job: &Job) {
    if let Some(key) = worker.access_key() {
        inner.host.begins(key, &job.causes);
    }
}

fn start_line(program: &Program, job: &Job) -> String {
    format!("START RequestId: {} Version: {}", job.request_id, program.version)
}

/// The start of a worker that failed: what to answer.
type Failed = Box<(Ended, Report)>;

/// Starts a worker and waits until it asks for an event.
async fn begin(inner: &Arc<Inner>, program: &Arc<Program>, job: &Job) -> Result<Result<Ready, Failed>, NoWorker> {
    for again in [false, true] {
        let beginning = match Worker::start(inner, program).await {
            Err(NoWorker::NoBootstrap(why)) => return Ok(Err(Box::new(no_bootstrap(program, job, &why)))),
            started => started?,
        };
        inner.counts.started.fetch_add(1, Ordering::Relaxed);
        let (worker, began) = (beginning.worker, beginning.began);
        begins(inner, &worker, job);
        worker.logs.begin(format!("INIT_START Runtime Version: {}", worker.runtime), job.tail);
        let limit = if again { program.timeout } else { INIT_TIME };
        let fault = tokio::select! {
            biased;
            told = beginning.init => match told {
                Ok(Ok(())) => {
                    worker.logs.say(start_line(program, job));
                    let init = (!again).then(|| began.elapsed());
                    return Ok(Ok(Ready { worker, init, began: if again { began } else { Instant::now() } }));
                }
                Ok(Err(error)) => init_failed(error),
                Err(_) => fault_of_exit(job, Exit::Killed, Failure::Init),
            },
            exit = worker.exited() => if worker.ran_out_of_memory() { out_of_memory(job) } else { fault_of_exit(job, exit, Failure::Init) },
            () = worker.memory_used_up() => out_of_memory(job),
            () = tokio::time::sleep_until(began + limit) => {
                worker.kill();
                if !again {
                    let took = millis(began.elapsed());
                    worker.logs.say(format!("INIT_REPORT Init Duration: {took:.2} ms\tPhase: init\tStatus: timeout"));
                    continue;
                }
                timed_out(inner, program, job)
            }
        };
        worker.kill();
        worker.logs.say(start_line(program, job));
        let spent = Spent { duration: began.elapsed(), init: None };
        return Ok(Err(Box::new(report(program, job, &worker, spent, Err(fault)))));
    }
    Err(NoWorker::Stopping)
}

/// Hands the event over and waits for what comes of it.
async fn work(inner: &Arc<Inner>, program: &Arc<Program>, job: &Job, ready: Ready) -> (Ended, Report) {
    let Ready { worker, init, began } = ready;
    let left = program.timeout.saturating_sub(began.elapsed());
    let delivery = Delivery {
        request_id: job.request_id.clone(),
        deadline_ms: inner.clock.wall().plus(left).millis(),
        invoked_arn: job.invoked_arn.clone(),
        trace: job.trace.clone(),
        client_context: job.client_context.clone(),
        payload: job.payload.clone(),
    };
    let over = worker.work(delivery, began + program.timeout).await;
    let spent = Spent { duration: began.elapsed(), init };
    let (ended, keep) = match over {
        Over::Told(Outcome::Answer(answer)) => (Ok(answer), true),
        Over::Told(Outcome::Error(error)) => {
            let kind = error_type(&error);
            (Err(Fault { kind: Failure::Handler, payload: error, line: None, status: "", error: kind }), true)
        }
        Over::Exited(exit) => (Err(fault_of_exit(job, exit, Failure::Exit)), false),
        Over::Memory => (Err(out_of_memory(job)), false),
        Over::Time => (Err(timed_out(inner, program, job)), false),
    };
    if !keep {
        worker.most_memory_mb();
        worker.kill();
    }
    let done = report(program, job, &worker, spent, ended);
    if keep {
        inner.rest(worker);
    }
    done
}

/// What an invocation took.
struct Spent {
    duration: Duration,
    init: Option<Duration>,
}

/// Writes the last lines, and says what came of it.
fn report(program: &Program, job: &Job, worker: &Worker, spent: Spent, ended: Result<Bytes, Fault>) -> (Ended, Report) {
    let id = &job.request_id;
    let whole = spent.duration + spent.init.unwrap_or_default();
    let billed_ms = u64::try_from(whole.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
    let max_memory_mb = match &ended {
        Err(fault) if fault.kind == Failure::Memory => program.memory_mb,
        _ => worker.most_memory_mb(),
    };
    let mut line = format!(
        "REPORT RequestId: {id}\tDuration: {:.2} ms\tBilled Duration: {billed_ms} ms\tMemory Size: {} MB\tMax Memory Used: {max_memory_mb} MB\t",
        millis(spent.duration),
        program.memory_mb,
    );
    if let Some(init) = spent.init {
        line.push_str(&format!("Init Duration: {:.2} ms\t", millis(init)));
    }
    if let Some(trace) = &job.trace {
        line.push_str(&format!("XRAY TraceId: {trace}\t"));
    }
    let mut lines = Vec::new();
    if let Err(fault) = &ended {
        if !fault.status.is_empty() {
            line.push_str(&format!("Status: {}\t", fault.status));
            line.extend(fault.error.iter().map(|kind| format!("Error Type: {kind}\t")));
        }
        lines.extend(fault.line.clone());
    }
    lines.extend([format!("END RequestId: {id}"), line]);
    let tail = worker.logs.end(lines);
    let ended = match ended {
        Ok(answer) => Ended::Answer(answer),
        Err(fault) => Ended::Failed { payload: fault.payload, kind: fault.kind },
    };
    let log_stream = worker.logs.stream().to_owned();
    (ended, Report { duration: spent.duration, init: spent.init, billed_ms, max_memory_mb, tail, log_stream })
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn error_type(error: &[u8]) -> Option<String> {
    let error: serde_json::Value = serde_json::from_slice(error).ok()?;
    Some(error.get("errorType")?.as_str()?.to_owned())
}

fn init_failed(error: Bytes) -> Fault {
    let kind = error_type(&error);
    Fault { kind: Failure::Init, payload: error, line: None, status: "error", error: kind }
}

fn fault_of_exit(job: &Job, exit: Exit, kind: Failure) -> Fault {
    let error = "Runtime.ExitError";
    let message = format!("RequestId: {} Error: {}", job.request_id, exited(exit));
    Fault {
        kind,
        payload: payload(error, &message),
        line: Some(format!("{message}\n{error}")),
        status: "error",
        error: Some(error.to_owned()),
    }
}

fn out_of_memory(job: &Job) -> Fault {
    let error = "Runtime.OutOfMemory";
    let message = format!("RequestId: {} Error: Runtime exited with error: signal: killed", job.request_id);
    Fault {
        kind: Failure::Memory,
        payload: payload(error, &message),
        line: Some(format!("{message}\n{error}")),
        status: "error",
        error: Some(error.to_owned()),
    }
}

fn timed_out(inner: &Inner, program: &Program, job: &Job) -> Fault {
    let after = format!("Task timed out after {:.2} seconds", program.timeout.as_secs_f64());
    let now = i64::try_from(inner.clock.now().millis()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let now = now.map(|at| at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string());
    Fault {
        kind: Failure::Timeout,
        payload: payload("Sandbox.Timedout", &format!("RequestId: {} Error: {after}", job.request_id)),
        line: Some(format!("{} {} {after}", now.unwrap_or_default(), job.request_id)),
        status: "timeout",
        error: None,
    }
}

/// A function that brings its own runtime and has none.
fn no_bootstrap(program: &Program, job: &Job, why: &str) -> (Ended, Report) {
    let message = format!("RequestId: {} Error: {why}", job.request_id);
    tracing::debug!(function = program.name, why, "no bootstrap");
    let payload = payload("Runtime.InvalidEntrypoint", &message);
    (Ended::Failed { payload, kind: Failure::Init }, Report::default())
}
