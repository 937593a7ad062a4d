//! A bucket's policy (S3 User Guide, "Bucket policies for Amazon S3").

use std::collections::BTreeMap;

use http::StatusCode;
use millpond_api_s3 as api;
use millpond_kernel::{Authorized, Response, ServiceError};
use millpond_lake::ConfigKind;
use millpond_policy::{Fault, Policy, PolicyError, PolicyKind, limits};

use crate::answer;
use crate::call::Call;
use crate::errors;
use crate::operations::OnBucket;
use crate::rules::Site;
use crate::stored_policy::StoredPolicy;

/// Whatever a policy allows, these are for the owner's account alone (S3 API reference, PutBucketPolicy).
fn is_owners(call: &Call<'_>, bucket: &Site) -> Result<(), ServiceError> {
    match call.caller.account() {
        Some(account) if account == bucket.owner => Ok(()),
        _ => Err(errors::method_not_allowed("BUCKETPOLICY").field("Method", call.head.method.as_str())),
    }
}

fn no_policy(bucket: &Site) -> ServiceError {
    ServiceError::new("NoSuchBucketPolicy", 404, "The bucket policy does not exist")
        .field("BucketName", bucket.name.as_str())
}

fn stored(bucket: &Site) -> Result<StoredPolicy, ServiceError> {
    let bytes = bucket.config(ConfigKind::Policy).ok_or_else(|| no_policy(bucket))?;
    StoredPolicy::decode(bytes).ok_or_else(ServiceError::internal)
}

/// PutBucketPolicy.
pub async fn put(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::PutBucketPolicyInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let OnBucket { input, bucket } = operation.into_inner();
    is_owners(call, &bucket)?;
    let text = input.policy;
    if text.len() > limits::BUCKET {
        let message = "Policy exceeds the maximum allowed document size.";
        return Err(ServiceError::new("PolicyTooLarge", 400, message)
            .field("MaxSizeAllowed", limits::BUCKET.to_string())
            .field("ProposedSize", text.len().to_string()));
    }
    let kind = PolicyKind::Bucket { name: bucket.name.to_string() };
    let policy = Policy::parse(&text, kind).map_err(|error| malformed(&error))?;
    policy.check_names().map_err(|error| malformed(&error))?;
    let ids = identities(call, &policy).await?;
    if bucket.block.block_policy && policy.is_public() {
        return Err(errors::blocked(
            call.caller,
            "s3:PutBucketPolicy",
            bucket.name.as_str(),
            "public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access",
        ));
    }
    let value = StoredPolicy { text, ids }.encode();
    call.configure(&bucket, pin, ConfigKind::Policy, Some(value), "PutBucketPolicy").await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// AWS's words for what is wrong, and then the reason and the place.
fn malformed(error: &PolicyError) -> ServiceError {
    let words = match error.fault {
        Fault::Json => "Policies must be valid JSON and the first byte must be '{'",
        Fault::Missing(_) | Fault::Syntax | Fault::TooLarge => "Policy has invalid syntax",
        Fault::Version => "The policy must contain a valid version string",
        Fault::NoStatement => "Could not parse the policy: Statement is empty!",
        Fault::Sid => "Statement IDs (SID) must be unique",
        Fault::Effect => "Invalid effect",
        Fault::Principal => "Invalid principal in policy",
        Fault::Action => "Policy has invalid action",
        Fault::NoResource => "Action does not apply to any resource(s) in statement",
        Fault::Resource => "Policy has invalid resource",
        Fault::Condition => "Policy has an invalid condition key",
    };
    let text = error.to_string();
    let message = if text.starts_with(words) { text } else { format!("{words}: {text}") };
    ServiceError::new("MalformedPolicy", 400, message)
}

/// The unique ids of the users and roles that a policy names. All of them must exist, and so must the accounts.
async fn identities(call: &Call<'_>, policy: &Policy) -> Result<BTreeMap<String, String>, ServiceError> {
    let kernel = &call.s3.kernel;
    for account in policy.accounts() {
        let exists = account == kernel.account() || kernel.directory().is_some_and(|d| d.account_exists(account));
        if !exists {
            return Err(no_principal(account.as_str()));
        }
    }
    // Ids stand for who is gone; nobody can let such a one in.
    if let Some(id) = policy.principal_ids().first() {
        return Err(no_principal(id));
    }
    let mut ids = BTreeMap::new();
    for arn in policy.principals() {
        let id = match kernel.directory() {
            Some(directory) => directory.unique_id(arn).await.map_err(|error| {
                tracing::error!(%error, "principals cannot be looked up");
                ServiceError::internal()
            })?,
            None => None,
        };
        ids.insert(arn.to_owned(), id.ok_or_else(|| no_principal(arn))?);
    }
    Ok(ids)
}

fn no_principal(name: &str) -> ServiceError {
    ServiceError::new("MalformedPolicy", 400, "Invalid principal in policy")
        .field("Detail", format!("\"AWS\" : \"{name}\""))
}

/// GetBucketPolicy: the text as it was put, but that principals that are gone show as the unique ids they had.
pub async fn get(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::GetBucketPolicyInput>>,
) -> Result<Response, ServiceError> {
    let bucket = operation.into_inner().bucket;
    is_owners(call, &bucket)?;
    let StoredPolicy { text, ids } = stored(&bucket)?;
    let mut gone = BTreeMap::new();
    if let Some(directory) = call.s3.kernel.directory() {
        for (arn, id) in ids {
            let now = directory.unique_id(&arn).await.map_err(|_| ServiceError::internal())?;
            if now.as_ref() != Some(&id) {
                gone.insert(arn, id);
            }
        }
    }
    let shown = if gone.is_empty() { text } else { millpond_policy::with_principals(&text, &gone) };
    answer::document(api::GetBucketPolicyOutput { policy: Some(shown) }.write())
}

/// DeleteBucketPolicy.
pub async fn delete(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::DeleteBucketPolicyInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let bucket = operation.into_inner().bucket;
    is_owners(call, &bucket)?;
    if bucket.config(ConfigKind::Policy).is_some() {
        call.configure(&bucket, pin, ConfigKind::Policy, None, "DeleteBucketPolicy").await?;
    }
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// GetBucketPolicyStatus.
pub fn status(operation: Authorized<OnBucket<api::GetBucketPolicyStatusInput>>) -> Result<Response, ServiceError> {
    let bucket = &operation.get().bucket;
    let policy = bucket.rules.policy.as_ref().ok_or_else(|| no_policy(bucket))?;
    let policy_status = Some(api::PolicyStatus { is_public: Some(policy.policy.is_public()) });
    answer::document(api::GetBucketPolicyStatusOutput { policy_status }.write())
}
