//! Identity: AWS Identity and Access Management and the Security Token Service over one set of tables.
//!
//! Reading order: `state` (users, groups, roles, policies, access keys: rows and memory), `directory` and `credentials` (what the kernel and the
//! gateway ask of them), `form` (the query protocol), `operation` (what an operation of IAM is), `iam` (the service), `ops` (what each does).

mod accounts;
mod credentials;
mod directory;
mod documents;
mod errors;
mod form;
mod iam;
mod limits;
mod managed;
mod operation;
mod ops;
mod paging;
mod session;
mod show;
mod simulate;
pub mod state;
mod sts;

pub use accounts::{AccountEntry, AccountError, LocalAccounts, NewAccount};
pub use credentials::{AccessKeys, NoSessions, Sessions};
pub use directory::{Accounts, IdentityDirectory};
pub use iam::Iam;
pub use session::SessionTokens;
#[cfg(any(test, feature = "testing"))]
pub use session::fuzz;
pub use state::Identities;
pub use sts::{NoDenials, ServiceSessions, Sts, StsParts};
