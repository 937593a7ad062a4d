//! Amazon CloudWatch Logs as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/logs.json`.

mod generated;

pub use generated::*;
