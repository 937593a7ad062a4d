//! Public access blocks of a bucket and of an account, and ownership controls.

use http::StatusCode;
use millpond_api_s3 as api;
use millpond_api_s3control as control;
use millpond_kernel::{Authorized, Epoch, Response, ServiceError};
use millpond_lake::ConfigKind;
use millpond_types::AccountId;

use crate::answer;
use crate::call::Call;
use crate::errors::{self, About};
use crate::operations::{OnAccount, OnBucket};
use crate::ownership::Ownership;
use crate::public_access::PublicAccess;

fn no_block() -> ServiceError {
    ServiceError::new(
        "NoSuchPublicAccessBlockConfiguration",
        404,
        "The public access block configuration was not found",
    )
}

/// GetPublicAccessBlock of a bucket: its own settings, whatever its account's are.
pub fn get(operation: Authorized<OnBucket<api::GetPublicAccessBlockInput>>) -> Result<Response, ServiceError> {
    let bucket = &operation.get().bucket;
    let block = bucket.rules.block.ok_or_else(|| no_block().field("BucketName", bucket.name.as_str()))?;
    let output = api::GetPublicAccessBlockOutput { public_access_block_configuration: Some(block.into()) };
    answer::document(output.write())
}

/// PutPublicAccessBlock of a bucket.
pub async fn put(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::PutPublicAccessBlockInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let OnBucket { input, bucket } = operation.into_inner();
    let value = PublicAccess::from(&input.public_access_block_configuration).encode();
    call.configure(&bucket, pin, ConfigKind::PublicAccessBlock, Some(value), "PutPublicAccessBlock").await?;
    Ok(answer::empty(StatusCode::OK))
}

/// DeletePublicAccessBlock of a bucket.
pub async fn delete(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::DeletePublicAccessBlockInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let bucket = operation.into_inner().bucket;
    call.configure(&bucket, pin, ConfigKind::PublicAccessBlock, None, "DeletePublicAccessBlock").await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// GetBucketOwnershipControls.
pub fn get_ownership(
    operation: Authorized<OnBucket<api::GetBucketOwnershipControlsInput>>,
) -> Result<Response, ServiceError> {
    let bucket = &operation.get().bucket;
    let object_ownership = bucket.rules.ownership.shown().ok_or_else(|| {
        ServiceError::new("OwnershipControlsNotFoundError", 404, "The bucket ownership controls were not found")
            .field("BucketName", bucket.name.as_str())
    })?;
    let controls = api::OwnershipControls { rules: vec![api::OwnershipControlsRule { object_ownership }] };
    answer::document(api::GetBucketOwnershipControlsOutput { ownership_controls: Some(controls) }.write())
}

/// PutBucketOwnershipControls. ACLs that grant anything to others must go before they can be disabled.
pub async fn put_ownership(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::PutBucketOwnershipControlsInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let OnBucket { input, bucket } = operation.into_inner();
    let [rule] = input.ownership_controls.rules.as_slice() else { return Err(errors::malformed_xml()) };
    let ownership = Ownership::from(rule.object_ownership);
    if !ownership.has_acls() && bucket.rules.acl.as_ref().is_some_and(|acl| acl.is_shared(bucket.owner)) {
        return Err(acl_with_enforced().field("BucketName", bucket.name.as_str()));
    }
    let value = Some(ownership.encode());
    call.configure(&bucket, pin, ConfigKind::Ownership, value, "PutBucketOwnershipControls").await?;
    Ok(answer::empty(StatusCode::OK))
}

/// AWS's answer to an ACL where there are none.
pub fn acl_with_enforced() -> ServiceError {
    ServiceError::new(
        "InvalidBucketAclWithObjectOwnership",
        400,
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    )
}

/// DeleteBucketOwnershipControls.
pub async fn delete_ownership(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::DeleteBucketOwnershipControlsInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let bucket = operation.into_inner().bucket;
    let value = Some(Ownership::Removed.encode());
    call.configure(&bucket, pin, ConfigKind::Ownership, value, "DeleteBucketOwnershipControls").await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// An operation of S3 Control. Its account is the caller's own.
pub async fn of_account(call: &Call<'_>, operation: control::Operation) -> Result<Response, ServiceError> {
    match operation {
        control::Operation::GetPublicAccessBlock => {
            let input = call.parse(control::GetPublicAccessBlockInput::parse)?;
            let authorized = on_account(call, "s3:GetAccountPublicAccessBlock", &input.account_id).await?;
            let block = call.s3.account_block(authorized.get().account)?.ok_or_else(no_block)?;
            let output = control::GetPublicAccessBlockOutput { public_access_block_configuration: Some(block.into()) };
            answer::document(output.write())
        }
        control::Operation::PutPublicAccessBlock => {
            let input = call.parse(control::PutPublicAccessBlockInput::parse)?;
            let authorized = on_account(call, "s3:PutAccountPublicAccessBlock", &input.account_id).await?;
            let block = PublicAccess::from(&input.public_access_block_configuration);
            set(call, authorized, Some(block)).await?;
            answer::document(control::PutPublicAccessBlockOutput::default().write())
        }
        control::Operation::DeletePublicAccessBlock => {
            let input = call.parse(control::DeletePublicAccessBlockInput::parse)?;
            let authorized = on_account(call, "s3:PutAccountPublicAccessBlock", &input.account_id).await?;
            set(call, authorized, None).await?;
            Ok(answer::empty(StatusCode::NO_CONTENT))
        }
    }
}

async fn on_account(
    call: &Call<'_>,
    action: &'static str,
    account: &str,
) -> Result<Authorized<OnAccount>, ServiceError> {
    let account: AccountId = account.parse().map_err(|_| errors::invalid_request("Invalid account id"))?;
    // Nobody sets or reads another account's block, whatever policies say.
    if call.caller.account() != Some(account) {
        return Err(errors::access_denied());
    }
    call.authorize(OnAccount { action, account, asked: call.asked() }).await
}

/// Sets an account's block. No bucket's row tells of it, so that the policy epoch has to: what was decided before is not committed after.
async fn set(
    call: &Call<'_>,
    operation: Authorized<OnAccount>,
    block: Option<PublicAccess>,
) -> Result<(), ServiceError> {
    let pin = operation.pin();
    let account = operation.into_inner().account;
    let lake = call.lake(pin).also(Epoch::raise());
    let value = block.map(PublicAccess::encode);
    let set = async move { lake.set_account_config(account, ConfigKind::PublicAccessBlock, value).await };
    call.s3.change_policy(set).await.map_err(|error| errors::from_lake(error, About::default()))
}
