//! Configurations that cannot be set yet: reading one answers as AWS does while it is unset, so that tools which look
//! before they act work. Setting one is refused by the router, which knows no such operation as served.

use http::StatusCode;
use millpond_api_s3::{self as api, Operation};
use millpond_kernel::{Authorized, Response, ServiceError};

use millpond_types::AccountId;

use crate::answer;
use crate::call::Call;
use crate::errors;
use crate::listing;
use crate::operations::{OnBucket, OnVersion};
use crate::ops::get::found;
use crate::refused;

type Answer = Result<Response, ServiceError>;

/// Answers an operation on a configuration; `None` for all others.
pub async fn dispatch(operation: Operation, call: &Call<'_>) -> Option<Answer> {
    Some(match operation {
        Operation::GetBucketAcl => call.on_bucket().await.and_then(bucket_acl),
        Operation::PutBucketAcl => call.on_bucket().await.and_then(put_bucket_acl),
        Operation::GetObjectAcl => call.on_version().await.and_then(object_acl),
        Operation::PutObjectAcl => call.on_version().await.and_then(put_object_acl),
        Operation::GetBucketLogging => {
            empty(call.on_bucket::<api::GetBucketLoggingInput>().await, api::GetBucketLoggingOutput::default().write())
        }
        Operation::GetBucketNotificationConfiguration => empty(
            call.on_bucket::<api::GetBucketNotificationConfigurationInput>().await,
            api::GetBucketNotificationConfigurationOutput::default().write(),
        ),
        Operation::GetBucketAccelerateConfiguration => empty(
            call.on_bucket::<api::GetBucketAccelerateConfigurationInput>().await,
            api::GetBucketAccelerateConfigurationOutput::default().write(),
        ),
        Operation::GetBucketRequestPayment => empty(
            call.on_bucket::<api::GetBucketRequestPaymentInput>().await,
            api::GetBucketRequestPaymentOutput { payer: Some(api::Payer::BucketOwner) }.write(),
        ),
        Operation::GetBucketOwnershipControls => call.on_bucket().await.and_then(ownership),
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
        Operation::GetBucketPolicy => {
            absent!(call, GetBucketPolicyInput, "NoSuchBucketPolicy", "The bucket policy does not exist")
        }
        Operation::GetBucketPolicyStatus => {
            absent!(call, GetBucketPolicyStatusInput, "NoSuchBucketPolicy", "The bucket policy does not exist")
        }
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
        Operation::GetPublicAccessBlock => absent!(
            call,
            GetPublicAccessBlockInput,
            "NoSuchPublicAccessBlockConfiguration",
            "The public access block configuration was not found"
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

fn ownership(_operation: Authorized<OnBucket<api::GetBucketOwnershipControlsInput>>) -> Answer {
    let rule = api::OwnershipControlsRule { object_ownership: api::ObjectOwnership::BucketOwnerEnforced };
    let controls = api::OwnershipControls { rules: vec![rule] };
    answer::document(api::GetBucketOwnershipControlsOutput { ownership_controls: Some(controls) }.write())
}

/// The one grant there is: the owner may everything.
fn owner_grants(owner: AccountId) -> (Option<api::Owner>, Option<Vec<api::Grant>>) {
    let grantee = api::Grantee {
        id: Some(owner.canonical_id()),
        type_: api::Type::CanonicalUser,
        display_name: None,
        email_address: None,
        uri: None,
    };
    let grant = api::Grant { grantee: Some(grantee), permission: Some(api::Permission::FullControl) };
    (Some(listing::owner(owner)), Some(vec![grant]))
}

fn bucket_acl(operation: Authorized<OnBucket<api::GetBucketAclInput>>) -> Answer {
    let (owner, grants) = owner_grants(operation.get().bucket.owner);
    answer::document(api::GetBucketAclOutput { owner, grants }.write())
}

fn object_acl(operation: Authorized<OnVersion<api::GetObjectAclInput>>) -> Answer {
    let version = found(operation.get())?;
    let (owner, grants) = owner_grants(version.owner);
    answer::document(api::GetObjectAclOutput { owner, grants, ..Default::default() }.write())
}

/// Whether a policy says just what holds anyhow: its one grant gives the owner full control. Clients such as s3cmd read an ACL
/// and write it back.
fn says_what_holds(policy: &api::AccessControlPolicy, owner: &str) -> bool {
    let is_owner = |id: Option<&String>| id.is_none_or(|id| id == owner);
    let grants = policy.grants.as_deref().unwrap_or_default();
    is_owner(policy.owner.as_ref().and_then(|owner| owner.id.as_ref()))
        && grants.len() == 1
        && grants.iter().all(|grant| {
            let grantee = grant.grantee.as_ref().and_then(|grantee| grantee.id.as_deref());
            grantee == Some(owner) && grant.permission == Some(api::Permission::FullControl)
        })
}

/// Grants are refused, unless they say what holds anyhow, as the canned ACLs do that were let through by their header.
fn put_acl(policy: Option<&api::AccessControlPolicy>, canned: Option<&str>, owner: AccountId) -> Answer {
    match (policy, canned) {
        (Some(policy), _) if says_what_holds(policy, &owner.canonical_id()) => Ok(answer::empty(StatusCode::OK)),
        (Some(_), _) => Err(refused::acl_not_supported()),
        (None, Some(_)) => Ok(answer::empty(StatusCode::OK)),
        (None, None) => Err(ServiceError::new(
            "MissingSecurityHeader",
            400,
            "Your request was missing a required header: x-amz-acl",
        )
        .field("MissingHeaderName", "x-amz-acl")),
    }
}

fn put_bucket_acl(operation: Authorized<OnBucket<api::PutBucketAclInput>>) -> Answer {
    let input = &operation.get().input;
    put_acl(
        input.access_control_policy.as_ref(),
        input.acl.as_ref().map(|acl| acl.as_str()),
        operation.get().bucket.owner,
    )
}

fn put_object_acl(operation: Authorized<OnVersion<api::PutObjectAclInput>>) -> Answer {
    let owner = found(operation.get())?.owner;
    let input = &operation.get().target.input;
    put_acl(input.access_control_policy.as_ref(), input.acl.as_ref().map(|acl| acl.as_str()), owner)
}
