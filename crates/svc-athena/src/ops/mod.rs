//! Handlers, a file for each family.

pub(crate) mod catalogs;
pub(crate) mod executions;
pub(crate) mod groups;
pub(crate) mod metadata;
pub(crate) mod named;
pub(crate) mod prepared;
pub(crate) mod results;
pub(crate) mod start;
pub(crate) mod tags;
