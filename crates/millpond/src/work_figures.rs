//! Figures of what the server does by itself: how far consumers are behind, and what leaves.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millpond_kernel::streams::Lag;
use millpond_svc_events::Events;
use millpond_svc_s3::Announcer;
use millpond_svc_sns::Sns;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use tokio::task::AbortHandle;

use crate::gauges::counter;
use crate::work::Work;

/// How old the figures of lag may be: they read the first entries that wait, of each stream.
const LAGS_EVERY: Duration = Duration::from_secs(5);
/// What waits longer than this is told in the log as well, once a minute.
const ALARM: Duration = Duration::from_secs(60);

type Lags = Arc<Mutex<Vec<Lag>>>;

struct Figures {
    work: Work,
    events: Events,
    sns: Sns,
    announcer: Announcer,
    lags: Lags,
    task: AbortHandle,
}

/// Adds the figures to what the gateway shows. Must be called within a runtime.
pub fn register(registry: &mut Registry, work: &Work, events: Events, sns: Sns, announcer: Announcer) {
    let lags = Lags::default();
    let task = tokio::spawn(watch_lags(work.clone(), lags.clone())).abort_handle();
    registry.register_collector(Box::new(Figures { work: work.clone(), events, sns, announcer, lags, task }));
}

async fn watch_lags(work: Work, lags: Lags) {
    let mut alarmed: Option<tokio::time::Instant> = None;
    loop {
        tokio::time::sleep(LAGS_EVERY).await;
        match work.consumers.lags().await {
            Ok(now) => {
                let late = now.iter().filter(|lag| lag.age >= ALARM).max_by_key(|lag| lag.age);
                if let Some(lag) = late
                    && alarmed.is_none_or(|at| at.elapsed() >= ALARM)
                {
                    tracing::warn!(
                        consumer = lag.consumer,
                        entries = lag.entries,
                        seconds = lag.age.as_secs(),
                        "events wait"
                    );
                    alarmed = Some(tokio::time::Instant::now());
                }
                *lags.lock().unwrap_or_else(PoisonError::into_inner) = now;
            }
            Err(error) => tracing::warn!(%error, "the figures of consumers could not be read"),
        }
    }
}

impl Drop for Figures {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl Figures {
    fn topics(&self, e: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let to = self.sns.to_queues();
        let retried = "Attempts at bringing a message to a queue that failed for now";
        counter(e, "millpond_topics_retried", retried, None, to.retried as f64)?;
        let dead = "Messages for queues that went to a dead-letter queue";
        counter(e, "millpond_topics_dead_lettered", dead, None, to.dead_lettered as f64)?;
        counter(
            e,
            "millpond_topics_dropped",
            "Messages for queues that were given up for good",
            None,
            to.dropped as f64,
        )
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let e = &mut encoder;
        let sent = self.work.outbox.sent();
        counter(e, "millpond_outbox_delivered", "Attempts outside that arrived", None, sent.done as f64)?;
        counter(e, "millpond_outbox_failed", "Attempts outside that did not arrive", None, sent.failed as f64)?;
        let dead = sent.dead_lettered as f64;
        counter(e, "millpond_outbox_dead_lettered", "Deliveries that went to a dead-letter queue", None, dead)?;
        counter(e, "millpond_outbox_dropped", "Deliveries that were given up for good", None, sent.dropped as f64)?;
        let done = self.events.done();
        counter(e, "millpond_events_matched", "Events of buses whose rules were worked out", None, done.events as f64)?;
        let deliveries = done.deliveries as f64;
        counter(
            e,
            "millpond_events_deliveries",
            "Deliveries of events, to targets inside or to the outbox",
            None,
            deliveries,
        )?;
        let dead = done.dead_lettered as f64;
        counter(e, "millpond_events_dead_lettered", "Events that went to a dead-letter queue", None, dead)?;
        counter(e, "millpond_events_dropped", "Events that were given up for good", None, done.dropped as f64)?;
        let lost = self.announcer.lost() as f64;
        counter(e, "millpond_notifications_lost", "Notifications of buckets that were given up for good", None, lost)?;
        self.topics(e)?;
        let lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (name, unit, help, value) in [
            ("millpond_consumer_streams", None, "Streams that a consumer reads", 0),
            ("millpond_consumer_waiting", None, "Entries that wait for a consumer", 1),
            ("millpond_consumer_lag", Some(&Unit::Seconds), "Age of the oldest entry that waits", 2),
        ] {
            let mut family = e.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            for lag in &lags {
                let figures = [lag.streams as f64, lag.entries as f64, lag.age.as_secs_f64()];
                let labels = [("consumer", lag.consumer)];
                ConstGauge::new(figures[value]).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
