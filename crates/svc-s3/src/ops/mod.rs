//! The handlers, one file a family. Each takes an `Authorized` operation, or makes one first.

pub mod acl;
pub mod attributes;
pub mod buckets;
pub mod configurations;
pub mod copy;
pub mod delete;
pub mod encryption;
pub mod get;
pub mod list;
pub mod multipart;
pub mod notifications;
pub mod policy;
pub mod public_access;
pub mod put;
pub mod tagging;
