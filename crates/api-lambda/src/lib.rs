//! AWS Lambda as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/lambda.json`.

mod generated;

pub use generated::*;
