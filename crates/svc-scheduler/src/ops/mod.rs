//! Handlers, one file for each family of operations.

pub(crate) mod groups;
pub(crate) mod schedules;
pub(crate) mod tags;
