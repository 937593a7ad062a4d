//! Data keys from the key management service, on behalf of the caller, whose right to the key is checked at every use.

use bytes::Bytes;
use millpond_kernel::{Caller, EncryptionContext, KeyUse, ServiceError};
use millpond_lake::{Bucket, Lock};
use millpond_seal::Key;
use millpond_types::Arn;

use super::Keys;
use super::bucket_keys::Use;
use crate::errors;

/// The key of the encryption context that names what is encrypted.
const ARN: &str = "aws:s3:arn";

/// A data key for a new object.
pub struct NewDataKey {
    pub plain: Key,
    pub lock: Lock,
}

impl Keys {
    /// Who asks the key management service: the caller, by way of S3.
    fn on_behalf(&self, caller: &Caller) -> Result<Caller, ServiceError> {
        let version_4 = caller.signed().is_some_and(|signed| signed.version == "AWS4-HMAC-SHA256");
        if caller.is_anonymous() || !version_4 {
            return Err(needs_version_4());
        }
        Ok(caller.on_behalf(&self.identity))
    }

    /// A data key under a KMS key, for an object of a bucket.
    pub async fn new_data_key(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        object: &str,
        wanted: Wanted<'_>,
    ) -> Result<NewDataKey, ServiceError> {
        let caller = &self.on_behalf(caller)?;
        let hides = wanted.key.is_some_and(|key| is_foreign_alias(caller, key));
        let made = self.data_key_for(caller, bucket, object, wanted).await;
        // What is there under an alias, and under which key, is only for those who may use it.
        made.map_err(|error| if hides && error.code == "AccessDenied" { errors::access_denied() } else { error })
    }

    async fn data_key_for(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        object: &str,
        wanted: Wanted<'_>,
    ) -> Result<NewDataKey, ServiceError> {
        let key = self.key_arn(caller, bucket, &wanted).await?;
        let Wanted { bucket_key, mut context, .. } = wanted;
        let arn = if bucket_key { Arn::s3(bucket.name.as_str(), None).to_string() } else { object.to_owned() };
        if context.get(ARN).is_some_and(|given| *given != arn) {
            let message = format!("The encryption context's {ARN} is not that of the object.");
            return Err(errors::invalid_argument("x-amz-server-side-encryption-context", None, &message));
        }
        context.insert(ARN.to_owned(), arn);
        let (plain, data_key) = if bucket_key {
            self.bucket_key(caller, Use { bucket: bucket.id, key: key.clone(), context: context.clone() }).await?
        } else {
            self.generate(caller, &key, &context).await?
        };
        Ok(NewDataKey { plain, lock: Lock::Kms { key, data_key, bucket_key, context } })
    }

    async fn generate(
        &self,
        caller: &Caller,
        key: &str,
        context: &EncryptionContext,
    ) -> Result<(Key, Bytes), ServiceError> {
        let made = self.service.generate(caller, key, context).await.map_err(from_kms)?;
        Ok((Key::from_bytes(&made.plain), made.sealed))
    }

    /// The bucket's data key, which is made when there is none at hand. The caller's right is checked either way.
    async fn bucket_key(&self, caller: &Caller, of: Use) -> Result<(Key, Bytes), ServiceError> {
        let now = caller.received();
        if let Some(found) = self.bucket_keys.current(&of, now) {
            let uses = &[KeyUse::GenerateDataKey];
            self.service.check(caller, &of.key, uses, &of.context).await.map_err(from_kms)?;
            return Ok(found);
        }
        let (plain, sealed) = self.generate(caller, &of.key, &of.context).await?;
        self.bucket_keys.begin(of, plain.clone(), sealed.clone(), now);
        Ok((plain, sealed))
    }

    /// Opens an object's data key.
    pub async fn open_data_key(&self, caller: &Caller, lock: &Lock) -> Result<Key, ServiceError> {
        let Lock::Kms { key, data_key, bucket_key, context } = lock else { return Err(ServiceError::internal()) };
        let caller = &self.on_behalf(caller)?;
        let now = caller.received();
        if *bucket_key && let Some(plain) = self.bucket_keys.opened(data_key, now) {
            self.service.check(caller, key, &[KeyUse::Decrypt], context).await.map_err(from_kms)?;
            return Ok(plain);
        }
        let plain = self.service.decrypt(caller, key, data_key, context).await.map_err(from_kms)?;
        let plain = Key::from_bytes(&plain);
        if *bucket_key {
            self.bucket_keys.remember(data_key.clone(), plain.clone(), now);
        }
        Ok(plain)
    }

    /// The ARN of the key that a write means.
    async fn key_arn(&self, caller: &Caller, bucket: &Bucket, wanted: &Wanted<'_>) -> Result<String, ServiceError> {
        match wanted.key {
            Some(key) if !is_managed(key) => {
                self.refuse_other_region(key)?;
                self.service.resolve(caller, key).await.map_err(from_kms)
            }
            // The key that the account has for S3: the caller's when it asks, the bucket owner's when the bucket does.
            _ => {
                let account = if wanted.by_bucket { Some(bucket.owner) } else { caller.account() };
                let account = account.ok_or_else(needs_version_4)?;
                self.service.managed(account, "s3").await.map_err(from_kms)
            }
        }
    }

    fn refuse_other_region(&self, key: &str) -> Result<(), ServiceError> {
        let Some(rest) = key.strip_prefix("arn:") else { return Ok(()) };
        // arn:partition:kms:region:account:key/id
        let region = rest.split(':').nth(2).unwrap_or_default();
        if region == self.region.as_str() {
            return Ok(());
        }
        Err(ServiceError::new("KMS.NotFoundException", 400, format!("Invalid arn {region}")))
    }
}

/// Which data key a write wants.
pub struct Wanted<'a> {
    /// The KMS key, by id, alias or ARN; `None` for the account's own for S3.
    pub key: Option<&'a str>,
    /// Whether the bucket's configuration asks for it, not the request.
    pub by_bucket: bool,
    /// Whether a data key may serve the whole bucket.
    pub bucket_key: bool,
    /// What the client adds to the context.
    pub context: EncryptionContext,
}

fn is_managed(key: &str) -> bool {
    key == "alias/aws/s3"
}

/// Whether a key is named by an alias of an account that is not the caller's: `arn:partition:kms:region:account:alias/name`.
fn is_foreign_alias(caller: &Caller, key: &str) -> bool {
    let mut fields = key.splitn(6, ':').skip(4);
    let (account, resource) = (fields.next(), fields.next());
    let own = caller.account();
    resource.is_some_and(|resource| resource.starts_with("alias/")) && own.as_ref().map(|own| own.as_str()) != account
}

fn needs_version_4() -> ServiceError {
    errors::invalid_argument(
        "Authorization",
        None,
        "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.",
    )
}

/// KMS's errors as S3 hands them on (S3 API reference, "Error responses").
fn from_kms(error: ServiceError) -> ServiceError {
    let bare = error.code.strip_suffix("Exception").unwrap_or(&error.code);
    match bare {
        "AccessDenied" => ServiceError::new("AccessDenied", 403, error.message),
        "NotFound" | "Disabled" | "KMSInvalidState" | "InvalidKeyUsage" | "InvalidArn" | "KeyUnavailable"
        | "InvalidGrantToken" | "IncorrectKey" | "InvalidCiphertext" => {
            let code = if bare == "InvalidArn" { "NotFound" } else { bare };
            ServiceError::new(format!("KMS.{code}Exception"), 400, error.message)
        }
        "Throttling" | "LimitExceeded" => errors::slow_down(),
        "NotImplemented" => error,
        _ => {
            tracing::error!(code = %error.code, message = %error.message, "a key could not be used");
            ServiceError::internal()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_keys() {
        for (code, expected, status) in [
            ("AccessDeniedException", "AccessDenied", 403),
            ("NotFoundException", "KMS.NotFoundException", 400),
            ("DisabledException", "KMS.DisabledException", 400),
            ("KMSInvalidStateException", "KMS.KMSInvalidStateException", 400),
            ("InvalidArnException", "KMS.NotFoundException", 400),
            ("NotImplemented", "NotImplemented", 501),
            ("KMSInternalException", "InternalError", 500),
        ] {
            let found = from_kms(ServiceError::new(code, if code == "NotImplemented" { 501 } else { 400 }, "why"));
            assert_eq!((&*found.code, found.status), (expected, status), "{code}");
            assert!(!found.message.is_empty());
        }
    }
}
