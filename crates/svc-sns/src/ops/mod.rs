//! What operations do, once they are allowed.

pub(crate) mod attributes;
pub(crate) mod confirm;
pub(crate) mod permissions;
pub(crate) mod publish;
pub(crate) mod subscriptions;
pub(crate) mod tags;
pub(crate) mod topics;
pub(crate) mod unset;
