//! What each operation does.

pub(crate) mod attributes;
pub(crate) mod batch;
pub(crate) mod permission;
pub(crate) mod purge;
pub(crate) mod queues;
pub(crate) mod receive;
pub(crate) mod remove;
pub(crate) mod send;
pub(crate) mod tags;
pub(crate) mod tasks;
pub(crate) mod visibility;
