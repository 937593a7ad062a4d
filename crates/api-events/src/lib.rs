//! Amazon EventBridge as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/events.json`.

mod generated;

pub use generated::*;
