//! Server-side encryption: how objects' keys are kept, and who may have them.
//!
//! Every object has a random key of its own (see `millpond_lake::Sealing`). It is kept sealed with the object: under the server's vault
//! (SSE-S3), under a data key of the key management service (SSE-KMS), or under a key derived from the client's (SSE-C). Whoever reads or
//! writes bytes comes by here for the key, and the caller's right to it is checked then.

mod bucket_keys;
mod default;
mod headers;
mod kms;
mod shown;

use std::sync::Arc;

use bytes::Bytes;
use millpond_io::Random;
use millpond_kernel::{Caller, Kernel, KeyService, ServiceError, ServiceIdentity};
use millpond_lake::{Bucket, Encryption, LakeError, Lock, Sealing, Upload, Version};
use millpond_seal::{Key, Purpose, Unopened, Vault};
use millpond_types::{Arn, ObjectKey, Region};

use self::bucket_keys::BucketKeys;
pub use self::default::{BucketDefault, Method};
pub use self::headers::{Asked, COPY_SOURCE, CustomerKey, OBJECT, Uses, customer_key, refuse_others, unknown_method};
use self::kms::Wanted;
pub use self::shown::{Shown, set};
use crate::call::Call;
use crate::errors;

/// S3's principal.
pub const PRINCIPAL: &str = "s3.amazonaws.com";
/// The bytes that tell apart what is derived from one client's key.
const SALT: usize = 32;

/// What objects' keys are sealed with.
pub struct Sealers {
    /// Seals the keys of SSE-S3.
    pub vault: Arc<Vault>,
    /// Where keys come from.
    pub random: Arc<dyn Random>,
    /// The key management service.
    pub service: Arc<dyn KeyService>,
}

/// The keys of objects.
pub struct Keys {
    vault: Arc<Vault>,
    random: Arc<dyn Random>,
    service: Arc<dyn KeyService>,
    identity: ServiceIdentity,
    region: Region,
    bucket_keys: BucketKeys,
}

fn object_arn(bucket: &Bucket, key: &ObjectKey) -> String {
    Arn::s3(bucket.name.as_str(), Some(key.as_str())).to_string()
}

fn unopened(_: Unopened) -> ServiceError {
    tracing::error!("the key of an object cannot be opened");
    ServiceError::internal()
}

/// A client's key turned into the one that seals one object's key.
fn derived(customer: &CustomerKey, salt: &[u8]) -> Key {
    customer.key.derive(salt, &[b"millpond customer key"])
}

impl Keys {
    pub fn new(sealers: Sealers, kernel: &Kernel) -> Self {
        let Sealers { vault, random, service } = sealers;
        let (identity, region) = (kernel.register(PRINCIPAL), kernel.region().clone());
        Self { vault, random, service, identity, region, bucket_keys: BucketKeys::default() }
    }

    /// A key for a new object.
    pub fn random(&self) -> Key {
        Key::random(&*self.random)
    }

    /// Keeps an object's key as the request (or the bucket) wants it, which the caller must be allowed.
    pub async fn keep(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        name: &ObjectKey,
        key: Key,
        asked: &Asked,
    ) -> Result<Sealing, ServiceError> {
        let object = object_arn(bucket, name);
        let default = BucketDefault::of(bucket)?;
        let (wanted, customer) = match (asked, &default.method) {
            (Asked::Customer(customer), _) => {
                default.allows_customer_keys()?;
                (None, Some(customer))
            }
            (Asked::Server, _) | (Asked::Default { .. }, Method::Server) => (None, None),
            (Asked::Kms { key, bucket_key, context }, _) => {
                let bucket_key = bucket_key.unwrap_or(default.bucket_key);
                (Some(Wanted { key: key.as_deref(), by_bucket: false, bucket_key, context: context.clone() }), None)
            }
            (Asked::Default { bucket_key }, Method::Kms { key }) => {
                let bucket_key = bucket_key.unwrap_or(default.bucket_key);
                let context = Default::default();
                (Some(Wanted { key: key.as_deref(), by_bucket: true, bucket_key, context }), None)
            }
        };
        let (lock, under) = match (wanted, customer) {
            (Some(wanted), _) => {
                let made = self.new_data_key(caller, bucket, &object, wanted).await?;
                (made.lock, made.plain)
            }
            (None, Some(customer)) => {
                let mut salt = [0; SALT];
                self.random.fill(&mut salt);
                (Lock::Customer { salt: Bytes::copy_from_slice(&salt) }, derived(customer, &salt))
            }
            (None, None) => {
                let sealed = self
                    .vault
                    .seal(&*self.random, Purpose::ObjectKey, object.as_bytes(), key.expose())
                    .map_err(unopened)?;
                return Ok(Sealing { key, encryption: Encryption { lock: Lock::Server, key: sealed.into() } });
            }
        };
        let wrapped = millpond_seal::wrap(&under, &*self.random, object.as_bytes(), &key).map_err(unopened)?;
        Ok(Sealing { key, encryption: Encryption { lock, key: Bytes::copy_from_slice(&wrapped) } })
    }

    /// An object's key. `Ok(None)`: the client's key is not the one.
    async fn open(
        &self,
        caller: &Caller,
        object: &str,
        encryption: &Encryption,
        customer: Option<&CustomerKey>,
    ) -> Result<Option<Key>, ServiceError> {
        let under = match &encryption.lock {
            Lock::Server => {
                let opened = self.vault.open(Purpose::ObjectKey, object.as_bytes(), &encryption.key);
                let opened = opened.map_err(unopened)?;
                let bytes = opened.as_slice().try_into().map_err(|_| ServiceError::internal())?;
                return Ok(Some(Key::from_bytes(bytes)));
            }
            lock @ Lock::Kms { .. } => self.open_data_key(caller, lock).await?,
            Lock::Customer { salt } => match customer {
                // Authenticated encryption under a key derived with a salt is the check of the client's key.
                Some(customer) => {
                    let under = derived(customer, salt);
                    return Ok(millpond_seal::unwrap(&under, object.as_bytes(), &encryption.key).ok());
                }
                None => return Err(ServiceError::internal()),
            },
        };
        millpond_seal::unwrap(&under, object.as_bytes(), &encryption.key).map(Some).map_err(unopened)
    }
}

/// Whether the client's key fits what it is for: it is there where it is needed, and not elsewhere.
fn fits(encryption: Option<&Encryption>, customer: Option<&CustomerKey>) -> Result<(), ServiceError> {
    let needs = encryption.is_some_and(|encryption| matches!(encryption.lock, Lock::Customer { .. }));
    match (needs, customer) {
        (true, None) => Err(errors::invalid_request(
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.",
        )),
        (false, Some(_)) => {
            Err(errors::invalid_request("The encryption parameters are not applicable to this object."))
        }
        _ => Ok(()),
    }
}

/// Why somebody wants to have an object's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum For {
    /// Its bytes or digests.
    Content,
    /// What it says of itself: no key is used, but a client that keeps its own must have it.
    Metadata,
}

impl Call<'_> {
    /// How the object that is written shall be encrypted.
    pub fn asked_encryption(&self) -> Result<Asked, ServiceError> {
        Asked::of(self.headers(), self.caller.transport())
    }

    /// The key that the client sends for the object that is addressed.
    pub fn customer_key(&self) -> Result<Option<CustomerKey>, ServiceError> {
        customer_key(self.headers(), &OBJECT, self.caller.transport())
    }

    /// A key for a new object, kept as the request wants it.
    pub async fn new_sealing(&self, bucket: &Bucket, key: &ObjectKey, asked: &Asked) -> Result<Sealing, ServiceError> {
        let keys = &self.s3.keys;
        keys.keep(self.caller, bucket, key, keys.random(), asked).await
    }

    /// Brings the key of a version that is read, which the caller must be allowed. Without an encrypted version nothing happens.
    pub async fn unlock(
        &self,
        bucket: &Bucket,
        version: &mut Version,
        customer: Option<&CustomerKey>,
        what_for: For,
    ) -> Result<(), ServiceError> {
        fits(version.encryption(), customer)?;
        let Some(encryption) = version.encryption() else { return Ok(()) };
        let is_customers = matches!(encryption.lock, Lock::Customer { .. });
        if what_for == For::Metadata && !is_customers {
            return Ok(());
        }
        let object = object_arn(bucket, &version.key);
        let key = self.s3.keys.open(self.caller, &object, encryption, customer).await?;
        let key = key.ok_or_else(errors::access_denied)?;
        version.unlock(key).map_err(damaged)
    }

    /// Brings the key of an upload, which the caller must be allowed.
    pub async fn unlock_upload(
        &self,
        bucket: &Bucket,
        upload: &mut Upload,
        customer: Option<&CustomerKey>,
    ) -> Result<(), ServiceError> {
        let Some(encryption) = &upload.encryption else {
            return match customer {
                None => Ok(()),
                Some(_) => Err(mismatched()),
            };
        };
        match (&encryption.lock, customer) {
            (Lock::Customer { .. }, None) => return Err(key_of_upload_needed()),
            (Lock::Server | Lock::Kms { .. }, Some(_)) => return Err(mismatched()),
            _ => {}
        }
        let object = object_arn(bucket, &upload.key);
        let key = self.s3.keys.open(self.caller, &object, encryption, customer).await?;
        upload.unlock(key.ok_or_else(mismatched)?);
        Ok(())
    }
}

fn damaged(error: LakeError) -> ServiceError {
    errors::from_lake(error, errors::About::default())
}

/// 400 for a part (or completion) that does not bring the client's key.
pub fn key_of_upload_needed() -> ServiceError {
    errors::invalid_request(
        "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.",
    )
}

fn mismatched() -> ServiceError {
    errors::invalid_request("The provided encryption parameters did not match the ones used originally.")
}
