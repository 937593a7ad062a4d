//! What operations do, once they are allowed.

pub(crate) mod aliases;
pub(crate) mod crypto;
pub(crate) mod grants;
pub(crate) mod keys;
pub(crate) mod managed;
pub(crate) mod policy;
pub(crate) mod rotation;
pub(crate) mod stores;
pub(crate) mod tags;
