//! Amazon S3 as types: the input and output of every served operation, read from requests and written to responses.
//!
//! Everything here is generated from `models/s3.json`. Streamed bodies (`PutObject`, `UploadPart`, `GetObject`) are not
//! part of the structs.

mod generated;

pub use generated::*;
