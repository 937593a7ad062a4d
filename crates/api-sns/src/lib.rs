//! Amazon Simple Notification Service as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/sns.json`.

mod generated;

pub use generated::*;
