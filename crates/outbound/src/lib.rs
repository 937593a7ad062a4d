//! The one way out: a client for webhooks that refuses addresses inside, unless they are allowed.
//!
//! A URL is parsed once ([`Url`]), its host resolved, each address asked of the [`Guard`], and the connection made to the
//! very address that was asked about: a name that resolves to something else a moment later gains nothing. Redirects are
//! not followed, proxies of the environment not used, and everything has a limit ([`limits`]).

mod client;
mod connect;
mod error;
mod guard;
pub mod limits;
mod pool;
mod resolve;
mod tls;
mod url;

pub use client::{Answer, Outbound, OutboundConfig, Request};
pub use error::OutboundError;
pub use guard::Guard;
pub use resolve::{Addresses, Resolve, SystemResolver};
pub use tls::InvalidRoots;
pub use url::{Scheme, Url, UrlError};
