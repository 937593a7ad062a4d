//! Amazon EventBridge Scheduler as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/scheduler.json`.

mod generated;

pub use generated::*;
