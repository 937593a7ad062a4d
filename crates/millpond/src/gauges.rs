//! Figures of the engines, read when somebody asks for them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millpond_kernel::audit::Audit;
use millpond_lake::{LakeError, MAX_BUCKETS, Usage};
use millpond_meta::Kv;
use millpond_types::AccountId;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use tokio::task::AbortHandle;

use crate::assemble::Engines;

/// How old the figures of buckets may be: reading them costs four rows a bucket.
const BUCKETS_EVERY: Duration = Duration::from_secs(10);

type Usages = Arc<Mutex<Vec<(String, Usage)>>>;

/// Adds the figures of the engines to what the gateway shows. Must be called within a runtime: a task reads those of buckets
/// from time to time, for as long as the figures are shown.
pub fn register(registry: &mut Registry, engines: &Engines, audit: &Audit, owner: AccountId) {
    let usages = Usages::default();
    let task = tokio::spawn(watch_buckets(engines.clone(), owner, usages.clone())).abort_handle();
    registry.register_collector(Box::new(Figures { engines: engines.clone(), audit: audit.clone(), usages, task }));
}

async fn watch_buckets(engines: Engines, owner: AccountId, usages: Usages) {
    loop {
        match read_usages(&engines, owner).await {
            Ok(read) => *usages.lock().unwrap_or_else(PoisonError::into_inner) = read,
            Err(error) => tracing::warn!(%error, "the figures of buckets could not be read"),
        }
        tokio::time::sleep(BUCKETS_EVERY).await;
    }
}

async fn read_usages(engines: &Engines, owner: AccountId) -> Result<Vec<(String, Usage)>, LakeError> {
    let mut read = Vec::new();
    for bucket in engines.lake.list_buckets(&owner, "", None, MAX_BUCKETS).await? {
        read.push((bucket.name.to_string(), engines.lake.bucket_usage(&bucket).await?));
    }
    Ok(read)
}

struct Figures {
    engines: Engines,
    audit: Audit,
    usages: Usages,
    task: AbortHandle,
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

const NANOS: f64 = 1e-9;

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        self.metadata(&mut encoder)?;
        self.bytes(&mut encoder)?;
        let dropped = self.audit.dropped() as f64;
        counter(&mut encoder, "millpond_audit_dropped", "Records that were given up", None, dropped)?;
        self.buckets(&mut encoder)
    }
}

/// Shows a figure that only rises.
pub fn counter(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: f64,
) -> fmt::Result {
    let counter = ConstCounter::new(value);
    let metric = encoder.encode_descriptor(name, help, unit, counter.metric_type())?;
    counter.encode(metric)
}

/// Shows a figure.
pub fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, unit: Option<&Unit>, value: f64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    let metric = encoder.encode_descriptor(name, help, unit, gauge.metric_type())?;
    gauge.encode(metric)
}

impl Figures {
    fn metadata(&self, e: &mut DescriptorEncoder) -> fmt::Result {
        let state = self.engines.kv.state();
        let stopped = f64::from(u8::from(state.stopped.is_some()));
        counter(e, "millpond_meta_commits", "Committed batches", None, state.commits as f64)?;
        counter(e, "millpond_meta_groups", "Groups of batches that were synced together", None, state.groups as f64)?;
        let seconds = state.sync_nanos as f64 * NANOS;
        counter(e, "millpond_meta_sync", "Time spent in syncing metadata", Some(&Unit::Seconds), seconds)?;
        counter(e, "millpond_meta_conflicts", "Batches whose conditions did not hold", None, state.conflicts as f64)?;
        counter(e, "millpond_meta_refused_full", "Batches refused for want of space", None, state.full as f64)?;
        counter(e, "millpond_meta_merges", "Merges of tables", None, state.merges as f64)?;
        let failed = state.merges_failed as f64;
        counter(e, "millpond_meta_merges_failed", "Merges of tables that failed", None, failed)?;
        let tables = state.first_level_tables as f64;
        gauge(
            e,
            "millpond_meta_first_level_tables",
            "Tables that wait to be merged, in the fullest part",
            None,
            tables,
        )?;
        let sealed = state.sealed_memtables as f64;
        gauge(e, "millpond_meta_sealed_memtables", "Parts of memory that wait to be written", None, sealed)?;
        gauge(e, "millpond_meta", "Disk used by metadata", Some(&Unit::Bytes), state.bytes as f64)?;
        gauge(e, "millpond_meta_stopped", "1 when metadata takes no more writes", None, stopped)
    }

    fn bytes(&self, e: &mut DescriptorEncoder) -> fmt::Result {
        let usage = self.engines.blobs.usage();
        let stopped = f64::from(u8::from(self.engines.blobs.stopped().is_some()));
        let bytes = Some(&Unit::Bytes);
        gauge(e, "millpond_blob_segment", "Disk used by segments", bytes, usage.segment_bytes as f64)?;
        gauge(e, "millpond_blob_segment_live", "Live content of segments", bytes, usage.segment_live as f64)?;
        gauge(e, "millpond_blob_file_live", "Live content of files", bytes, usage.file_live as f64)?;
        gauge(e, "millpond_blob_segments", "Segments", None, usage.segments as f64)?;
        gauge(e, "millpond_blob_files", "Extents with a file of their own", None, usage.files as f64)?;
        counter(e, "millpond_blob_syncs", "Syncs of object data", None, usage.syncs as f64)?;
        let seconds = usage.sync_nanos as f64 * NANOS;
        counter(e, "millpond_blob_sync", "Time spent in syncing object data", Some(&Unit::Seconds), seconds)?;
        counter(e, "millpond_blob_groups", "Groups of appends that were synced together", None, usage.groups as f64)?;
        counter(e, "millpond_blob_appends", "Appends to segments", None, usage.grouped as f64)?;
        counter(e, "millpond_blob_written", "Content stored outside of metadata", bytes, usage.written as f64)?;
        counter(e, "millpond_blob_damaged_reads", "Reads that met damage", None, usage.damaged as f64)?;
        gauge(e, "millpond_blob_stopped", "1 when object data takes no more writes", None, stopped)?;
        gauge(e, "millpond_disk_free", "Free bytes of the file system", bytes, usage.free as f64)?;
        gauge(e, "millpond_disk", "Size of the file system", bytes, usage.total as f64)?;
        gauge(e, "millpond_disk_reserve", "Free bytes that only deletes may use", bytes, usage.reserve as f64)
    }

    fn buckets(&self, e: &mut DescriptorEncoder) -> fmt::Result {
        let usages = self.usages.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (name, unit, help, value) in [
            ("millpond_bucket_objects", None, "Current objects of a bucket", 0),
            ("millpond_bucket_versions", None, "Objects, old versions and delete markers of a bucket", 1),
            ("millpond_bucket", Some(&Unit::Bytes), "Bytes of all versions of a bucket", 2),
            ("millpond_bucket_uploads", None, "Uploads under way in a bucket", 3),
        ] {
            let mut family = e.encode_descriptor(name, help, unit, prometheus_client::metrics::MetricType::Gauge)?;
            for (bucket, usage) in &usages {
                let figures = [usage.objects, usage.versions, usage.bytes, usage.uploads];
                let labels = [("bucket", bucket.as_str())];
                ConstGauge::new(figures[value] as f64).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
