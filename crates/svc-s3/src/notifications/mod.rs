//! Event notifications: what a bucket's owner wants to be told of, and how it is told.
//!
//! [`accept`] reads a configuration and refuses what cannot be carried out; [`rule`] keeps it and says which rules an event fits. Nothing of this happens
//! within a PUT: [`consumer`] reads the buckets' journals behind a cursor, [`render`]s each change and commits the deliveries together with the cursor.
//! [`trace`] tells afterwards what became of a change.

pub mod accept;
mod configure;
pub mod consumer;
pub mod events;
pub mod render;
pub mod rule;
mod trace;

pub use consumer::{Announcer, AnnouncerParts};
pub use rule::Notifications;
pub use trace::Tracing;
