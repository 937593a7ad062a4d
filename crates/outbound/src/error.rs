//! Why a call did not come about.

use crate::url::UrlError;

/// Why there is no answer. The texts are fit for whoever owns the URL: they name no address that a host resolved to.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OutboundError {
    /// It is no URL that can be called.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// All addresses of the host lie inside. Only the operator can change that.
    #[error("the host {0} has no address that outgoing calls may go to (see --outbound-allow)")]
    Refused(String),
    /// The name has no address.
    #[error("the host {0} could not be resolved")]
    Unresolved(String),
    /// None of the host's addresses took a connection.
    #[error("no connection to {host}: {why}")]
    Connect {
        /// The host and port.
        host: String,
        /// What the system said.
        why: String,
    },
    /// The host's certificate is not trusted, or it speaks no TLS that we speak.
    #[error("no TLS with {host}: {why}")]
    Tls {
        /// The host and port.
        host: String,
        /// What is wrong.
        why: String,
    },
    /// A header that the client sets by itself, or that is for one connection alone.
    #[error("the header {0} cannot be set")]
    Header(String),
    /// The request is larger than [`limits`](crate::limits) allows.
    #[error("the request's {what} is longer than {limit} bytes")]
    TooLong {
        /// Head or body.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The time was over before the answer was there.
    #[error("no answer within {0:?}")]
    TimedOut(std::time::Duration),
    /// The connection broke, or what came is no HTTP within the limits.
    #[error("no valid answer: {0}")]
    Protocol(String),
}

impl OutboundError {
    /// Whether the request itself is at fault, so that trying again later cannot help.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Url(_) | Self::Header(_) | Self::TooLong { .. })
    }
}
