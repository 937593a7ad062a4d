//! The query engine: DataFusion in a worker process, in Trino's dialect, over tables of the catalog.
//!
//! A worker is given a statement and asks the server for all else (crate `query`): it has no rights of its own, no files and no network.

mod absent;
mod alike;
mod catalog;
mod describe;
mod dialect;
mod estimate;
mod explain;
mod failure;
mod formats;
mod functions;
mod guarded;
mod hidden;
mod links;
mod listing;
mod narrow;
mod near;
pub mod parquet;
mod projected;
mod prune;
mod remote;
mod result;
mod scan;
mod session;
mod single;
mod table;
mod types;
mod unnest;
mod unnested;
mod values;
mod worker;

pub use worker::main;
