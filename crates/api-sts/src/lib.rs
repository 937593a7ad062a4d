//! AWS Security Token Service as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/sts.json`.

mod generated;

pub use generated::*;
