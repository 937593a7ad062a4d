//! Who runs programs: the workers of this machine, or a test's.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use millpond_runtime::{Ended, Job, NoWorker, Program, Report, Workers};

/// Runs programs.
pub trait Runs: Send + Sync + 'static {
    /// Runs a program once: by a worker of it that is idle, or by a new one.
    ///
    /// # Errors
    /// Why it did not begin.
    fn invoke<'a>(&'a self, program: &'a Arc<Program>, job: Job) -> BoxFuture<'a, Result<(Ended, Report), NoWorker>>;

    /// Ends the workers of a program, as soon as they have answered.
    fn retire(&self, program: u128);

    /// Ends some time after the server was told to stop, when nothing runs any more.
    fn ended(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Runs for Workers {
    fn invoke<'a>(&'a self, program: &'a Arc<Program>, job: Job) -> BoxFuture<'a, Result<(Ended, Report), NoWorker>> {
        Box::pin(Self::invoke(self, program, job))
    }

    fn retire(&self, program: u128) {
        Self::retire(self, program);
    }

    fn ended(&self) -> BoxFuture<'_, ()> {
        Box::pin(Self::ended(self))
    }
}
