//! Buckets, objects, versions, multipart uploads, listings and the change feed. No HTTP, no policy.
//!
//! A [`Lake`] keeps its rows in a metadata engine ([`millpond_meta::Kv`]) and bytes in a blob store ([`millpond_blob::Blobs`]). Every
//! change is one atomic commit whose conditions are what it read, and which appends its own entry to the change feed; bytes are durable
//! before the commit that names them. TABLES.md describes the rows.

mod accounts;
mod buckets;
mod check;
mod complete;
mod copy;
mod cursor;
mod delete;
mod draft;
mod error;
mod hash;
mod ingest;
mod journal;
mod keys;
mod lake;
mod limits;
mod list;
mod list_versions;
mod manifest;
mod memory;
mod model;
mod multipart;
mod read;
mod refs;
mod requests;
mod rows;
mod sealing;
mod upkeep;
mod versions;
mod walk;
mod write;

pub use check::{CheckReport, Progress};
pub use error::LakeError;
pub use ingest::{Ingest, Ingested};
pub use journal::{ChangeEntry, ChangeKind, JournalReaders};
pub use keys::{announced, bucket_of_journal, journal_of, tables};
pub use lake::Lake;
pub use limits::{
    DEFAULT_CHECKSUM, LakeConfig, MAX_BUCKETS, MAX_CHANGES, MAX_CONFIG_BYTES, MAX_DELETE_KEYS, MAX_OBJECT_BYTES,
    MAX_PAGE, MAX_PART_BYTES, MAX_PARTS, MAX_PROBLEMS, MAX_PUT_BYTES, MIN_PART_BYTES,
};
pub use model::*;
pub use read::BodyReader;
pub use requests::*;
pub use sealing::{Encrypted, Encryption, Lock, Sealing};
pub use upkeep::Upkept;
