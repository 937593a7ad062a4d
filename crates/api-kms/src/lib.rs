//! AWS Key Management Service as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/kms.json`.

mod generated;

pub use generated::*;
