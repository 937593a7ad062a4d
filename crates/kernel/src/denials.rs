//! The port through which an encoded authorization message is read.

use futures_util::future::BoxFuture;
use millpond_types::AccountId;

/// The response header that carries the encoded message of a denial, to callers of the account that owns what they asked for.
pub const AUTHORIZATION_MESSAGE: &str = "x-millpond-authorization-message";

/// Why a message cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// It was not made here, was changed, is another account's, or what it names is not kept any more.
    #[error("the encoded message is invalid")]
    Invalid,
    /// The store could not be read.
    #[error("denials cannot be looked up: {0}")]
    Failed(String),
}

/// Denials that are kept, with all that was decided (STS API Reference, `DecodeAuthorizationMessage`).
pub trait Denials: Send + Sync + 'static {
    /// The whole decision, as JSON text, that an encoded message names. `account` is that of who asks: only messages of its own are read.
    fn decode<'a>(&'a self, account: AccountId, message: &'a str) -> BoxFuture<'a, Result<String, DecodeError>>;
}
