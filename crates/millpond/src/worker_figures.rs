//! Figures of the workers that run functions.

use std::fmt;
use std::sync::{Arc, OnceLock};

use millpond_runtime::Workers;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use crate::gauges::{counter, gauge};

/// The workers, once there are some: they need the gateway, which shows the figures.
pub type Later = Arc<OnceLock<Workers>>;

struct Figures(Later);

/// Adds the figures to what the gateway shows.
pub fn register(registry: &mut Registry) -> Later {
    let later = Later::default();
    registry.register_collector(Box::new(Figures(later.clone())));
    later
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let figures = self.0.get().map(Workers::figures).unwrap_or_default();
        let e = &mut encoder;
        gauge(e, "millpond_workers", "Processes that run functions, idle ones included", None, figures.workers as f64)?;
        gauge(e, "millpond_workers_idle", "Those that have nothing to do", None, figures.idle as f64)?;
        counter(e, "millpond_workers_started", "Workers that were started", None, figures.started as f64)?;
        counter(e, "millpond_workers_invocations", "Invocations that ended", None, figures.invocations as f64)?;
        counter(e, "millpond_workers_failed", "Invocations that ended in an error", None, figures.failed as f64)
    }
}
