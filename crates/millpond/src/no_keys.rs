//! What stands in for a key management service: whoever asks for a key is refused by name.

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use millpond_kernel::{Caller, DataKey, EncryptionContext, KeyService, KeyUse, ServiceError};
use millpond_types::AccountId;
use zeroize::Zeroizing;

/// A server without a key management service.
pub struct NoKeys;

fn refused<T: Send + 'static>() -> BoxFuture<'static, Result<T, ServiceError>> {
    ready(Err(ServiceError::not_implemented("Encryption with keys of the key management service"))).boxed()
}

impl KeyService for NoKeys {
    fn resolve<'a>(&'a self, _: &'a Caller, _: &'a str) -> BoxFuture<'a, Result<String, ServiceError>> {
        refused()
    }

    fn generate<'a>(
        &'a self,
        _: &'a Caller,
        _: &'a str,
        _: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<DataKey, ServiceError>> {
        refused()
    }

    fn decrypt<'a>(
        &'a self,
        _: &'a Caller,
        _: &'a str,
        _: &'a [u8],
        _: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<Zeroizing<[u8; 32]>, ServiceError>> {
        refused()
    }

    fn check<'a>(
        &'a self,
        _: &'a Caller,
        _: &'a str,
        _: &'a [KeyUse],
        _: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<(), ServiceError>> {
        refused()
    }

    fn managed<'a>(&'a self, _: AccountId, _: &'static str) -> BoxFuture<'a, Result<String, ServiceError>> {
        refused()
    }
}
