//! Handlers, one file a family.

pub(crate) mod archives;
pub(crate) mod buses;
pub(crate) mod connections;
pub(crate) mod destinations;
pub(crate) mod lists;
pub(crate) mod permissions;
pub(crate) mod put;
pub(crate) mod replays;
pub(crate) mod rules;
pub(crate) mod tags;
pub(crate) mod targets;
