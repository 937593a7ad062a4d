//! Amazon Glue as types: the input and output of every served operation.
//!
//! Everything here is generated from `models/glue.json`.

mod generated;

pub use generated::*;
