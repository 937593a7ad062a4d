//! Workers: processes that run functions' code, and the Lambda Runtime API that they speak.
//!
//! [`Workers::invoke`] takes an idle worker of the [`Program`], or starts one in a sandbox (`millpond-sandbox`), hands it the event over its own
//! endpoint of the Runtime API, and waits for the answer, the end of the process, or the end of the time. Workers are used again; between
//! invocations their processes are stopped, as AWS freezes them. What they print becomes log lines.
//!
//! Nothing here knows of policies, roles or log groups: that is the [`Host`]'s.

mod api;
mod environment;
mod errors;
mod interpreters;
mod invocation;
mod logs;
mod places;
mod pool;
mod program;
mod worker;

pub use pool::{Figures, Workers, WorkersConfig};
pub use program::{Door, Ended, Failure, Host, Job, Language, NoWorker, Program, Report, WorkerCredentials};
