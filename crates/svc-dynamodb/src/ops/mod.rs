//! The operations, a file for each family.

pub(crate) mod batch;
pub(crate) mod facts;
pub(crate) mod get;
pub(crate) mod items;
pub(crate) mod policies;
pub(crate) mod read;
pub(crate) mod streams;
pub(crate) mod tables;
pub(crate) mod tags;
pub(crate) mod transact;
pub(crate) mod ttl;
pub(crate) mod update;
