//! Metadata: ordered keys with atomic, conditional, durable commits.
//!
//! [`Kv`] is the trait that every engine fits, [`key`] builds the keys. [`FjallKv`] is the embedded engine, [`MemoryKv`]
//! its twin in memory, which can lose its unsynced commits in a simulated crash. Behind the feature `testing`:
//! `testing::contract`, the suite that each engine must pass, and `FailingKv`, which fails when told to.

mod api;
mod appends;
mod apply;
mod engine;
#[cfg(feature = "testing")]
mod failing;
pub mod key;
mod memory;
#[cfg(feature = "testing")]
pub mod testing;

pub use api::*;
pub use appends::Appends;
pub use engine::{Class, Damage, FjallConfig, FjallKv, FsckReport, OpenError};
#[cfg(feature = "testing")]
pub use failing::{FailingKv, Fault};
pub use memory::{MemoryKv, SyncMode};
