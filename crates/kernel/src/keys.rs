//! The port through which services use keys on behalf of their callers. Implemented by the key management service, whose
//! decisions it goes through: the caller's right to the key is checked at every use.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millpond_types::AccountId;
use zeroize::Zeroizing;

use crate::{Caller, ServiceError};

/// What a ciphertext is bound to (KMS Developer Guide, "Encryption context").
pub type EncryptionContext = BTreeMap<String, String>;

/// A data key.
pub struct DataKey {
    /// In the clear.
    pub plain: Zeroizing<[u8; 32]>,
    /// Sealed under the KMS key: a `CiphertextBlob`.
    pub sealed: Bytes,
}

/// What a service wants to do with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyUse {
    /// `kms:GenerateDataKey`.
    GenerateDataKey,
    /// `kms:Decrypt`.
    Decrypt,
}

/// Uses of keys. `caller` has the calling service in [`Caller::via`], which becomes `kms:ViaService`. Errors are KMS's own, such as
/// `AccessDeniedException`, `NotFoundException`, `DisabledException`.
pub trait KeyService: Send + Sync + 'static {
    /// The ARN of the key that an id, alias name or ARN means for this caller. Decides nothing.
    fn resolve<'a>(&'a self, caller: &'a Caller, key: &'a str) -> BoxFuture<'a, Result<String, ServiceError>>;

    /// A new data key.
    fn generate<'a>(
        &'a self,
        caller: &'a Caller,
        key_arn: &'a str,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<DataKey, ServiceError>>;

    /// A data key that was sealed.
    fn decrypt<'a>(
        &'a self,
        caller: &'a Caller,
        key_arn: &'a str,
        sealed: &'a [u8],
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<Zeroizing<[u8; 32]>, ServiceError>>;

    /// Whether the caller may use the key so, and the key is fit for it now; nothing is computed. For uses of a data key that the service still has at hand.
    fn check<'a>(
        &'a self,
        caller: &'a Caller,
        key_arn: &'a str,
        uses: &'a [KeyUse],
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<(), ServiceError>>;

    /// The ARN of the key that an account has for a service, such as `alias/aws/s3`; it is made when it is first asked for.
    fn managed<'a>(&'a self, account: AccountId, service: &'static str) -> BoxFuture<'a, Result<String, ServiceError>>;
}
