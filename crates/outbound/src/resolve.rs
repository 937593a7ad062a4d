//! From names to addresses.

use std::io;
use std::net::IpAddr;

use futures_util::future::BoxFuture;

/// The addresses of a name, in the order in which they are to be tried.
pub type Addresses = Vec<IpAddr>;

/// Resolves names. Tests bring their own.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of a name; none is an answer too.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Addresses>>;
}

/// The system's own resolver, with its hosts file.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Addresses>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}
