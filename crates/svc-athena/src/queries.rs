//! Who runs queries: worker processes, or what a test puts in their place.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_query::{Host, Pool, QueryError, Run, Sink, Stats};

/// Runs queries.
pub trait Queries: Send + Sync + 'static {
    /// Runs one once there is room; `begins` is called then. Dropping the future ends it.
    fn run<'a>(
        &'a self,
        run: Run,
        host: &'a dyn Host,
        sink: &'a mut dyn Sink,
        begins: Box<dyn FnOnce() + Send + 'a>,
    ) -> BoxFuture<'a, Result<Stats, QueryError>>;
}

impl Queries for Pool {
    fn run<'a>(
        &'a self,
        run: Run,
        host: &'a dyn Host,
        sink: &'a mut dyn Sink,
        begins: Box<dyn FnOnce() + Send + 'a>,
    ) -> BoxFuture<'a, Result<Stats, QueryError>> {
        Self::run(self, run, host, sink, begins).boxed()
    }
}
