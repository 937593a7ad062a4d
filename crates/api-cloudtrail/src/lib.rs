//! AWS CloudTrail as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/cloudtrail.json`.

mod generated;

pub use generated::*;
