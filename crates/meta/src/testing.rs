//! The contract suite that every engine must pass, and a model to compare engines with.

#![allow(clippy::unwrap_used, reason = "a suite of checks: it panics where the contract is broken")]

mod contract;
mod model;

pub use contract::contract;
pub use model::{Model, Script, random_batch};
