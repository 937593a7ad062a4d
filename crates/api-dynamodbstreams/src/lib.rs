//! Amazon DynamoDB Streams as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/dynamodbstreams.json`.

mod generated;

pub use generated::*;
