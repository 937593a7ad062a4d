//! Athena, with the processes that run its queries.

use std::fs;
use std::io;
use std::sync::Arc;

use millpond_kernel::Kernel;
use millpond_query::{Pool, PoolSettings};
use millpond_seal::Vault;
use millpond_svc_athena::{Athena, AthenaParts, CatalogDdl};
use millpond_svc_s3::S3;

use crate::assemble::Engines;
use crate::work::Work;

/// The processes that run queries; one is started and waits.
///
/// # Errors
/// The system's.
pub fn pool(settings: PoolSettings) -> io::Result<Pool> {
    // What queries of a server that was killed have spilled is of no more use.
    match fs::remove_dir_all(&settings.spill_dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all(&settings.spill_dir)?;
    let pool = Pool::new(settings);
    pool.warm()?;
    Ok(pool)
}

/// The service, with its work.
pub fn open(
    engines: &Engines,
    kernel: &Arc<Kernel>,
    vault: &Arc<Vault>,
    work: &Work,
    (objects, queries): (Arc<S3>, Pool),
) -> Athena {
    kernel.use_object_reads(objects.clone());
    let athena = Athena::new(AthenaParts {
        kv: Arc::new(engines.kv.clone()),
        kernel: kernel.clone(),
        clock: engines.clock.clone(),
        random: engines.random.clone(),
        vault: vault.clone(),
        timers: work.timers.clone(),
        objects,
        queries: Arc::new(queries),
        ddl: Arc::new(CatalogDdl::new(kernel.clone())),
    });
    let running = athena.clone();
    work.background(|stop| async move { running.run(stop).await });
    athena
}
