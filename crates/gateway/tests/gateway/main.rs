//! The gateway from outside: real sockets, a small service behind it, and clients that behave or do not.
//!
//! Limits are short here, so that what waits for one ends soon; nothing is said about how long anything takes.
#![allow(clippy::unwrap_used, missing_docs)]

mod auth;
mod bodies;
mod client;
mod doors;
mod heads;
mod limits;
mod logging;
mod serving;
mod stopping;
mod tls;
mod world;
