//! The port through which other services use keys: the same operations, decided the same way.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_kms as api;
use millpond_kernel::audit::KeyUsed;
use millpond_kernel::{Caller, DataKey, EncryptionContext, KeyService, KeyUse, ServiceError};
use millpond_types::AccountId;
use zeroize::Zeroizing;

use crate::Kms;
use crate::errors::KmsError;
use crate::lookup::Forms;
use crate::ops::{crypto, managed};

fn data_key(key_arn: &str, context: &EncryptionContext) -> api::GenerateDataKeyInput {
    api::GenerateDataKeyInput {
        key_id: key_arn.to_owned(),
        encryption_context: Some(context.clone()),
        key_spec: Some(api::DataKeySpec::Aes256),
        ..api::GenerateDataKeyInput::default()
    }
}

fn decryption(key_arn: &str, sealed: Option<&[u8]>, context: &EncryptionContext) -> api::DecryptInput {
    api::DecryptInput {
        ciphertext_blob: sealed.map(bytes::Bytes::copy_from_slice),
        encryption_context: Some(context.clone()),
        key_id: Some(key_arn.to_owned()),
        ..api::DecryptInput::default()
    }
}

/// A key of 32 bytes; what was sealed as another thing is none.
fn plain_key(plain: &[u8]) -> Result<Zeroizing<[u8; 32]>, KmsError> {
    let bytes: &[u8; 32] = plain.try_into().map_err(|_| KmsError::Ciphertext)?;
    Ok(Zeroizing::new(*bytes))
}

impl Kms {
    /// Every use of a key by a service passes here, allowed or not (save repeated checks, see [`crate::told`]): what was done for whom, with which key, for which object.
    async fn used<T>(
        &self,
        caller: &Caller,
        uses: KeyUse,
        key_arn: &str,
        context: &EncryptionContext,
        outcome: Result<T, KmsError>,
    ) -> Result<T, ServiceError> {
        let outcome = outcome.map_err(ServiceError::from);
        if let Some(audit) = self.core.kernel.audit() {
            let owner = key_arn.split(':').nth(4).and_then(|account| account.parse().ok());
            let owner = owner.unwrap_or(self.core.kernel.account());
            audit.key_use(caller, KeyUsed { uses, key_arn, owner, context, error: outcome.as_ref().err() }).await;
        }
        outcome
    }
}

impl KeyService for Kms {
    fn resolve<'a>(&'a self, caller: &'a Caller, key: &'a str) -> BoxFuture<'a, Result<String, ServiceError>> {
        async move {
            self.core.settle().await;
            let on = self.core.find(caller, "kms:GenerateDataKey", key, Forms::KeysAndAliases)?;
            Ok(on.key.arn.to_string())
        }
        .boxed()
    }

    fn generate<'a>(
        &'a self,
        caller: &'a Caller,
        key_arn: &'a str,
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<DataKey, ServiceError>> {
        async move {
            self.core.settle().await;
            let made = crypto::generated(&self.core, caller, &data_key(key_arn, context)).await;
            let made = self.used(caller, KeyUse::GenerateDataKey, key_arn, context, made).await?;
            Ok(DataKey { plain: plain_key(&made.plain)?, sealed: made.sealed })
        }
        .boxed()
    }

    fn decrypt<'a>(
        &'a self,
        caller: &'a Caller,
        key_arn: &'a str,
        sealed: &'a [u8],
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<Zeroizing<[u8; 32]>, ServiceError>> {
        async move {
            self.core.settle().await;
            let input = decryption(key_arn, Some(sealed), context);
            let opened = crypto::decrypted(&self.core, caller, &input).await;
            let opened = self.used(caller, KeyUse::Decrypt, key_arn, context, opened).await?;
            Ok(plain_key(&opened.plain)?)
        }
        .boxed()
    }

    fn check<'a>(
        &'a self,
        caller: &'a Caller,
        key_arn: &'a str,
        uses: &'a [KeyUse],
        context: &'a EncryptionContext,
    ) -> BoxFuture<'a, Result<(), ServiceError>> {
        async move {
            self.core.settle().await;
            for used in uses {
                let usable = match used {
                    KeyUse::GenerateDataKey => {
                        crypto::usable(&self.core, caller, key_arn, &data_key(key_arn, context)).await
                    }
                    KeyUse::Decrypt => {
                        crypto::usable(&self.core, caller, key_arn, &decryption(key_arn, None, context)).await
                    }
                };
                if usable.is_err() || self.core.told.is_due(caller, *used, key_arn, context) {
                    self.used(caller, *used, key_arn, context, usable).await?;
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn managed<'a>(&'a self, account: AccountId, service: &'static str) -> BoxFuture<'a, Result<String, ServiceError>> {
        async move {
            let name = managed::alias_of(service);
            if let Some(arn) = managed::existing(&self.core, account, &name) {
                return Ok(arn);
            }
            let made = self.core.detached(move |core| {
                let name = managed::alias_of(service);
                async move { managed::make(&core, account, name).await }
            });
            Ok(made.await?)
        }
        .boxed()
    }
}
