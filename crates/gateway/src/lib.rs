//! The gateway: listens, limits, authenticates, dispatches, answers and records.
//!
//! A request's way is told in `dispatch.rs`. What a client may use up stands in [`Limits`]; everything over a limit gets an answer
//! that says so. Services are known by the kernel's [`Service`](millpond_kernel::Service) alone.
//!
//! Each request writes one log line of the target `millpond::request`, at level debug, and those that failed in the server at level
//! warn. Neither headers nor the query are logged: they hold signatures.
//!
//! [`Gateway::bind`] takes the port and [`Gateway::serve`] serves until it is told to stop.

mod answer;
mod config;
mod connection;
mod dispatch;
mod door;
mod host;
mod limits;
mod listener;
mod metrics;
mod network;
mod pages;
mod payload;
mod record;
mod recorded;
mod sender;
mod server;
mod socket;
mod timer;
mod tls;

pub use config::{GatewayConfig, MetricsAccess};
pub use door::{Door, Doors};
pub use limits::Limits;
pub use listener::{Gateway, GatewayError, GatewayParts, Stopped};
pub use tls::{TlsError, server_tls};
