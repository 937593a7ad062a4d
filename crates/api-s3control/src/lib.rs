//! the account-wide part of Amazon S3 as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/s3control.json`.

mod generated;

pub use generated::*;
