//! wire

// Which protocol a service speaks: used by `millpond-kernel` and the gateway. Keep.
mod protocol;
pub use protocol::Protocol;
