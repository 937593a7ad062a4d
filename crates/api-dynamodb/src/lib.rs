//! Amazon DynamoDB as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/dynamodb.json`.

mod generated;

pub use generated::*;
