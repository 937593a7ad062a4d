//! Athena: statements about the catalog. Queries wait for their engine, and are refused until then.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use millpond_kernel::Kernel;
use millpond_query::{Failure, FailureKind, Host, QueryError, Run, Sink, Stats};
use millpond_seal::Vault;
use millpond_svc_athena::{Athena, AthenaParts, CatalogDdl, Queries};
use millpond_svc_s3::S3;

use crate::assemble::Engines;
use crate::work::Work;

/// Refuses all queries.
struct NoEngine;

impl Queries for NoEngine {
    fn run<'a>(
        &'a self,
        _: Run,
        _: &'a dyn Host,
        _: &'a mut dyn Sink,
        _: Box<dyn FnOnce() + Send + 'a>,
    ) -> BoxFuture<'a, Result<Stats, QueryError>> {
        let message = "NOT_SUPPORTED: this version carries out statements about the catalog alone".to_owned();
        ready(Err(QueryError::Failed(Failure { kind: FailureKind::Statement.into(), message, stats: None }))).boxed()
    }
}

/// The service, with its work.
pub fn open(engines: &Engines, kernel: &Arc<Kernel>, vault: &Arc<Vault>, work: &Work, objects: Arc<S3>) -> Athena {
    kernel.use_object_reads(objects.clone());
    let athena = Athena::new(AthenaParts {
        kv: Arc::new(engines.kv.clone()),
        kernel: kernel.clone(),
        clock: engines.clock.clone(),
        random: engines.random.clone(),
        vault: vault.clone(),
        timers: work.timers.clone(),
        objects,
        queries: Arc::new(NoEngine),
        ddl: Arc::new(CatalogDdl::new(kernel.clone())),
    });
    let running = athena.clone();
    work.background(|stop| async move { running.run(stop).await });
    athena
}
