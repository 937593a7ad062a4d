//! Figures of queues, read from time to time for as long as they are shown.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millpond_svc_sqs::{QueueFigures, Sqs};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use tokio::task::AbortHandle;

/// How old the figures may be: reading them costs two rows a queue.
const EVERY: Duration = Duration::from_secs(10);

type Shared = Arc<Mutex<Vec<QueueFigures>>>;

/// Adds the figures of queues to what the gateway shows. Must be called within a runtime.
pub fn register(registry: &mut Registry, sqs: &Sqs) {
    let figures = Shared::default();
    let task = tokio::spawn(watch(sqs.clone(), figures.clone())).abort_handle();
    registry.register_collector(Box::new(Queues { figures, task }));
}

async fn watch(sqs: Sqs, figures: Shared) {
    loop {
        match sqs.figures().await {
            Ok(read) => *figures.lock().unwrap_or_else(PoisonError::into_inner) = read,
            Err(error) => tracing::warn!(%error, "the figures of queues could not be read"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

struct Queues {
    figures: Shared,
    task: AbortHandle,
}

impl Drop for Queues {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queues")
    }
}

/// One figure: its name, unit, meaning, and where it stands.
type Figure = (&'static str, Option<&'static Unit>, &'static str, fn(&QueueFigures) -> u64);

const FIGURES: &[Figure] = &[
    ("millpond_queue_visible", None, "Messages of a queue that can be received", |of| of.counts.visible),
    ("millpond_queue_in_flight", None, "Messages of a queue that were received and not deleted", |of| {
        of.counts.in_flight
    }),
    ("millpond_queue_delayed", None, "Messages of a queue that are delayed", |of| of.counts.delayed),
    ("millpond_queue_oldest", Some(&Unit::Seconds), "Age of the message at the front of a queue", |of| of.oldest),
];

impl Collector for Queues {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (name, unit, help, value) in FIGURES {
            let mut family = encoder.encode_descriptor(name, help, *unit, MetricType::Gauge)?;
            for of in &figures {
                let labels = [("queue", of.arn.as_str())];
                ConstGauge::new(value(of) as f64).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
