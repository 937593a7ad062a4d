//! Default encryption of buckets: put, get and delete.

use http::StatusCode;
use millpond_api_s3 as api;
use millpond_kernel::{Authorized, Pin, Response, ServiceError};
use millpond_lake::{Bucket, ConfigKind};

use crate::answer;
use crate::call::Call;
use crate::encryption::{BucketDefault, Method};
use crate::errors::{self, About};
use crate::operations::OnBucket;

/// GetBucketEncryption. A bucket that says nothing answers with what holds, as AWS does since 2023.
pub fn get(operation: Authorized<OnBucket<api::GetBucketEncryptionInput>>) -> Result<Response, ServiceError> {
    let default = BucketDefault::of(&operation.get().bucket)?;
    let (sse_algorithm, kms_master_key_id) = match default.method {
        Method::Server => (api::ServerSideEncryption::Aes256, None),
        Method::Kms { key } => (api::ServerSideEncryption::AwsKms, key),
    };
    let blocked = default.blocks_customer_keys.then(|| vec![api::EncryptionType::SseC]);
    let rule = api::ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(api::ServerSideEncryptionByDefault {
            sse_algorithm,
            kms_master_key_id,
        }),
        bucket_key_enabled: Some(default.bucket_key),
        blocked_encryption_types: blocked.map(|types| api::BlockedEncryptionTypes { encryption_type: Some(types) }),
    };
    let configuration = api::ServerSideEncryptionConfiguration { rules: vec![rule] };
    let output = api::GetBucketEncryptionOutput { server_side_encryption_configuration: Some(configuration) };
    answer::document(output.write())
}

/// PutBucketEncryption.
pub async fn put(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::PutBucketEncryptionInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let OnBucket { input, bucket } = operation.into_inner();
    let default = wanted(input.server_side_encryption_configuration)?;
    set(call, &bucket, pin, Some(&default), "PutBucketEncryption").await?;
    Ok(answer::empty(StatusCode::OK))
}

/// DeleteBucketEncryption: the bucket is as if nothing had been said, and its objects are encrypted by SSE-S3.
pub async fn delete(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::DeleteBucketEncryptionInput>>,
) -> Result<Response, ServiceError> {
    set(call, &operation.get().bucket, operation.pin(), None, "DeleteBucketEncryption").await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

async fn set(
    call: &Call<'_>,
    bucket: &Bucket,
    pin: Pin,
    default: Option<&BucketDefault>,
    operation: &'static str,
) -> Result<(), ServiceError> {
    let about = About { bucket: bucket.name.as_str(), ..About::default() };
    let row = default.map(BucketDefault::row);
    let set = call.lake(pin).set_config(bucket, ConfigKind::Encryption, row, &call.origin(operation)).await;
    set.map(drop).map_err(|error| errors::from_lake(error, about))
}

fn wanted(configuration: api::ServerSideEncryptionConfiguration) -> Result<BucketDefault, ServiceError> {
    let mut rules = configuration.rules.into_iter();
    let (Some(rule), None) = (rules.next(), rules.next()) else { return Err(errors::malformed_xml()) };
    let method = match rule.apply_server_side_encryption_by_default {
        None => Method::Server,
        Some(default) => method(default)?,
    };
    let blocked = rule.blocked_encryption_types.and_then(|types| types.encryption_type).unwrap_or_default();
    Ok(BucketDefault {
        method,
        bucket_key: rule.bucket_key_enabled.unwrap_or(false),
        blocks_customer_keys: blocked.contains(&api::EncryptionType::SseC),
    })
}

fn method(default: api::ServerSideEncryptionByDefault) -> Result<Method, ServiceError> {
    let key = default.kms_master_key_id.filter(|key| !key.is_empty());
    match (default.sse_algorithm, key) {
        (api::ServerSideEncryption::Aes256, None) => Ok(Method::Server),
        (api::ServerSideEncryption::Aes256, Some(_)) => Err(errors::invalid_argument(
            "KMSMasterKeyID",
            None,
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
        )),
        (api::ServerSideEncryption::AwsKms, key) => Ok(Method::Kms { key }),
        (other, _) => Err(ServiceError::not_implemented(&format!("The encryption method {}", other.as_str()))),
    }
}
