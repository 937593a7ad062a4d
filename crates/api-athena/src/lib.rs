//! Amazon Athena as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/athena.json`.

mod generated;

pub use generated::*;
