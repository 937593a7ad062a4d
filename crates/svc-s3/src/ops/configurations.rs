//! Configurations that cannot be set yet: reading one answers as AWS does while it is unset, so that tools which look
//! before they act work. Setting one is refused by the router, which knows no such operation as served.

use millpond_api_s3::{self as api, Operation};
use millpond_kernel::{Authorized, Response, ServiceError};

use crate::answer;
use crate::call::Call;
use crate::errors;

type Answer = Result<Response, ServiceError>;

/// Answers an operation on a configuration; `None` for all others.
pub async fn dispatch(operation: Operation, call: &Call<'_>) -> Option<Answer> {
    Some(match operation {
        Operation::GetBucketLogging => {
            empty(call.on_bucket::<api::GetBucketLoggingInput>().await, api::GetBucketLoggingOutput::default().write())
        }
        Operation::GetBucketAccelerateConfiguration => empty(
            call.on_bucket::<api::GetBucketAccelerateConfigurationInput>().await,
            api::GetBucketAccelerateConfigurationOutput::default().write(),
        ),
        Operation::GetBucketRequestPayment => empty(
            call.on_bucket::<api::GetBucketRequestPaymentInput>().await,
            api::GetBucketRequestPaymentOutput { payer: Some(api::Payer::BucketOwner) }.write(),
        ),
        Operation::ListBucketAnalyticsConfigurations => empty(
            call.on_bucket::<api::ListBucketAnalyticsConfigurationsInput>().await,
            api::ListBucketAnalyticsConfigurationsOutput { is_truncated: Some(false), ..Default::default() }.write(),
        ),
        Operation::ListBucketMetricsConfigurations => empty(
            call.on_bucket::<api::ListBucketMetricsConfigurationsInput>().await,
            api::ListBucketMetricsConfigurationsOutput { is_truncated: Some(false), ..Default::default() }.write(),
        ),
        Operation::ListBucketInventoryConfigurations => empty(
            call.on_bucket::<api::ListBucketInventoryConfigurationsInput>().await,
            api::ListBucketInventoryConfigurationsOutput { is_truncated: Some(false), ..Default::default() }.write(),
        ),
        Operation::ListBucketIntelligentTieringConfigurations => empty(
            call.on_bucket::<api::ListBucketIntelligentTieringConfigurationsInput>().await,
            api::ListBucketIntelligentTieringConfigurationsOutput { is_truncated: Some(false), ..Default::default() }
                .write(),
        ),
        _ => return unset(operation, call).await,
    })
}

/// The error that AWS has for a configuration that is not set.
macro_rules! absent {
    ($call:ident, $input:ident, $code:literal, $message:literal) => {
        $call.on_bucket::<api::$input>().await.and_then(|operation| {
            let name = operation.get().bucket.name.to_string();
            Err(ServiceError::new($code, 404, $message).field("BucketName", name))
        })
    };
}

/// Configurations whose absence AWS answers with an error of its own.
async fn unset(operation: Operation, call: &Call<'_>) -> Option<Answer> {
    Some(match operation {
        Operation::GetBucketCors => {
            absent!(call, GetBucketCorsInput, "NoSuchCORSConfiguration", "The CORS configuration does not exist")
        }
        Operation::GetBucketLifecycleConfiguration => absent!(
            call,
            GetBucketLifecycleConfigurationInput,
            "NoSuchLifecycleConfiguration",
            "The lifecycle configuration does not exist"
        ),
        Operation::GetBucketWebsite => absent!(
            call,
            GetBucketWebsiteInput,
            "NoSuchWebsiteConfiguration",
            "The specified bucket does not have a website configuration"
        ),
        Operation::GetBucketReplication => absent!(
            call,
            GetBucketReplicationInput,
            "ReplicationConfigurationNotFoundError",
            "The replication configuration was not found"
        ),
        Operation::GetObjectLockConfiguration => absent!(
            call,
            GetObjectLockConfigurationInput,
            "ObjectLockConfigurationNotFoundError",
            "Object Lock configuration does not exist for this bucket"
        ),
        Operation::GetObjectLegalHold => {
            call.on_object().await.and_then(no_object_lock::<api::GetObjectLegalHoldInput>)
        }
        Operation::GetObjectRetention => {
            call.on_object().await.and_then(no_object_lock::<api::GetObjectRetentionInput>)
        }
        _ => return unset_by_id(operation, call).await,
    })
}

/// Configurations that have an id, of which there are none.
async fn unset_by_id(operation: Operation, call: &Call<'_>) -> Option<Answer> {
    Some(match operation {
        Operation::GetBucketAnalyticsConfiguration => absent!(
            call,
            GetBucketAnalyticsConfigurationInput,
            "NoSuchConfiguration",
            "The specified configuration does not exist."
        ),
        Operation::GetBucketMetricsConfiguration => absent!(
            call,
            GetBucketMetricsConfigurationInput,
            "NoSuchConfiguration",
            "The specified configuration does not exist."
        ),
        Operation::GetBucketInventoryConfiguration => absent!(
            call,
            GetBucketInventoryConfigurationInput,
            "NoSuchConfiguration",
            "The specified configuration does not exist."
        ),
        Operation::GetBucketIntelligentTieringConfiguration => absent!(
            call,
            GetBucketIntelligentTieringConfigurationInput,
            "NoSuchConfiguration",
            "The specified configuration does not exist."
        ),
        _ => return None,
    })
}

fn empty<O>(operation: Result<Authorized<O>, ServiceError>, parts: millpond_wire::ResponseParts) -> Answer {
    operation.and_then(|_| answer::document(parts))
}

fn no_object_lock<I>(_operation: Authorized<crate::operations::OnObject<I>>) -> Answer {
    Err(errors::invalid_request("Bucket is missing Object Lock Configuration"))
}
