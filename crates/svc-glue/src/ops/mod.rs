//! Handlers, one file a family.

pub(crate) mod batches;
pub(crate) mod classifiers;
pub(crate) mod crawlers;
pub(crate) mod crawls;
pub(crate) mod databases;
pub(crate) mod indexes;
pub(crate) mod partitions;
pub(crate) mod policies;
pub(crate) mod search;
pub(crate) mod statistics;
pub(crate) mod tables;
pub(crate) mod tags;
pub(crate) mod versions;
