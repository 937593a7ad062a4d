//! Amazon Simple Queue Service, in its older protocol, as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/sqs-query.json`.

mod generated;

pub use generated::*;
