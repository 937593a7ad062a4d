//! Amazon Simple Queue Service as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/sqs.json`.

mod generated;

pub use generated::*;
