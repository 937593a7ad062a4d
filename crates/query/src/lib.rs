//! Queries run in processes of their own, which this starts and talks to.
//!
//! A worker knows nothing but what it is told: it opens no file of the data dir and no connection. Over one Unix socket it is given a query, asks
//! for tables, partitions, listings and bytes of objects (each is decided by the server as the caller, [`Host`]), and gives back columns and rows.
//! One that dies takes its own query along and nothing else.
//!
//! The engine itself is in the crate `sql`, which has the worker's end ([`worker`]).

mod messages;
mod pool;
mod process;
pub mod wire;
pub mod worker;

pub use messages::{
    Answer, Ask, Column, Columns, Describe, Described, Failure, FailureKind, FileFormat, Format, FromWorker,
    ListedObject, ListedPage, Partition, PartitionPage, PartitionRun, Rows, Run, Stats, Storage, Table, ToWorker, ask,
    from_worker, to_worker,
};
pub use pool::{Host, Pool, PoolSettings, QueryError, Sink};
