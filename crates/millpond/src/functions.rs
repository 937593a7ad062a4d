//! Functions: where their code is, and who runs them.

use std::sync::Arc;

use millpond_gateway::{Gateway, Limits};
use millpond_io::RealDisk;
use millpond_kernel::Kernel;
use millpond_runtime::Workers;
use millpond_seal::Vault;
use millpond_svc_lambda::{Lambda, LambdaParts, OpenDoor, OpenError};
use millpond_svc_s3::S3;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use crate::assemble::Engines;
use crate::data_dir::DataDir;
use crate::gauges::counter;
use crate::settings::Resolved;
use crate::vault::RootKeySource;
use crate::work::Work;
use crate::worker_figures::Later;

/// The service, which runs nothing yet.
pub async fn open(
    engines: &Engines,
    kernel: &Arc<Kernel>,
    vault: &Arc<Vault>,
    objects: Arc<S3>,
    (settings, data_dir): (&Resolved, &DataDir),
) -> Result<Lambda, OpenError> {
    let lambda = Lambda::open(LambdaParts {
        kv: Arc::new(engines.kv.clone()),
        kernel: kernel.clone(),
        vault: vault.clone(),
        clock: engines.clock.clone(),
        random: engines.random.clone(),
        objects,
        disk: Arc::new(RealDisk),
        dir: data_dir.functions(),
        open_network: settings.functions.open_network,
    })
    .await?;
    kernel.targets().register("lambda", lambda.target());
    Ok(lambda)
}

/// Of the time that requests under way have when the server stops, what invocations have.
const STOP_SHARE: f64 = 0.9;

/// Lets it run functions, whose calls come in by the gateway's doors. `url` is what others reach this server by.
pub fn begin(
    lambda: &Lambda,
    gateway: &Gateway,
    engines: &Engines,
    work: &Work,
    (settings, data_dir, url): (&Resolved, &DataDir, &str),
    shown: &Later,
) -> Workers {
    // A little less than requests have, so that whoever waits for what is cut is told so.
    let stop_time = settings.limits.stop_timeout.unwrap_or(Limits::default().stop_time).mul_f64(STOP_SHARE);
    let mut config = settings.functions.workers(data_dir.path(), settings.region.as_str(), stop_time);
    if let RootKeySource::File(key) = &settings.root_key {
        config.hidden.push(key.clone());
    }
    config.endpoint_url = url.to_owned();
    let doors = gateway.doors();
    let door: OpenDoor = Arc::new(move |listener| match doors.open(listener) {
        Ok(door) => Box::new(door),
        Err(error) => {
            tracing::error!(%error, "a function cannot reach this server");
            Box::new(())
        }
    });
    let workers = Workers::new(config, lambda.host(door), engines.clock.clone(), engines.random.clone());
    // It is set here alone.
    let _ = shown.set(workers.clone());
    lambda.at(url);
    lambda.run_by(Arc::new(workers.clone()));
    work.outbox.add(lambda.carrier());
    let run = workers.clone();
    work.background(move |stop| async move { run.run(stop).await });
    let running = lambda.clone();
    work.background(move |stop| async move { running.run(stop).await });
    workers
}

/// Figures of events for functions.
struct Figures(Lambda);

impl std::fmt::Debug for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Figures")
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let figures = self.0.figures();
        for (name, help, value) in [
            ("millpond_functions_answered", "Attempts at events that functions answered", figures.answered),
            ("millpond_functions_failed", "Attempts at events that functions failed", figures.failed),
            ("millpond_functions_throttled", "Attempts at events that found no room", figures.throttled),
            ("millpond_functions_given_up", "Events for functions that were given up", figures.given_up),
            ("millpond_functions_loops", "Invocations and records that were refused as parts of a loop", figures.loops),
            ("millpond_functions_dropped_lines", "Lines of functions that were not written", self.0.dropped_lines()),
        ] {
            counter(&mut encoder, name, help, None, value as f64)?;
        }
        Ok(())
    }
}

/// Adds the figures to what the gateway shows.
pub fn register(registry: &mut Registry, lambda: &Lambda) {
    registry.register_collector(Box::new(Figures(lambda.clone())));
}
