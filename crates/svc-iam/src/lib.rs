//! Identity: AWS Identity and Access Management and the Security Token Service over one set of tables.
//!
//! Reading order: `state` (users, groups, roles, policies, access keys: rows and memory), `directory` and `credentials` (what the kernel and the
//! gateway ask of them), `form` (the query protocol), then the services.

mod credentials;
mod directory;
mod form;
mod managed;
pub mod state;
mod sts;

pub use credentials::{AccessKeys, NoSessions, Sessions};
pub use directory::{Accounts, IdentityDirectory};
pub use state::Identities;
pub use sts::Sts;
