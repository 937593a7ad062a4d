//! Handlers, one file for each family of operations.

pub(crate) mod events;
pub(crate) mod groups;
pub(crate) mod policies;
pub(crate) mod search;
pub(crate) mod streams;
pub(crate) mod tags;
pub(crate) mod unset;
