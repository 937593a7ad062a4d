//! AWS Identity and Access Management as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/iam.json`.

mod generated;

pub use generated::*;
