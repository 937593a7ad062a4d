//! Identity: AWS Identity and Access Management and the Security Token Service over one set of tables.

mod session;
mod sts;

pub use sts::Sts;
