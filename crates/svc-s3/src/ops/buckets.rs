//! Buckets: create, head, list, delete, location and versioning.

use http::{HeaderName, HeaderValue, StatusCode};
use millpond_api_s3 as api;
use millpond_kernel::{Authorized, Response, ServiceError};
use millpond_lake::{ConfigKind, Configs, NewBucket, Versioning};
use millpond_types::{BucketName, Region};

use crate::answer;
use crate::call::Call;
use crate::errors::{self, About};
use crate::operations::{self, OnBucket, OnService};
use crate::ownership::Ownership;
use crate::public_access::PublicAccess;
use crate::{ops, tags};

/// The most buckets of one page of ListBuckets.
const MAX_BUCKETS_PAGE: i32 = 10_000;
const US_EAST_1: &str = "us-east-1";

/// CreateBucket. Creating one's own bucket anew succeeds in us-east-1 and is `BucketAlreadyOwnedByYou` elsewhere, as on AWS.
pub async fn create(call: &Call<'_>) -> Result<Response, ServiceError> {
    let input: api::CreateBucketInput = call.parse(api::CreateBucketInput::parse)?;
    let text = call.address.bucket.as_deref().unwrap_or_default();
    let name: BucketName = text.parse().map_err(|why: millpond_types::InvalidBucketName| {
        ServiceError::new("InvalidBucketName", 400, format!("The specified bucket is not valid: {why}."))
            .field("BucketName", text)
    })?;
    refuse_unknown_kinds(&input)?;
    let region = location(call, &input)?;
    let owner = call.caller.account().unwrap_or(call.s3.kernel.account());
    let ownership = input.object_ownership.map(Ownership::from).unwrap_or_default();
    let operation = operations::NewBucket { input, name: name.clone(), owner, asked: call.asked() };
    let operation = call.authorize(operation).await?;
    let (pin, operation) = (operation.pin(), operation.into_inner());
    let pairs = operation.input.create_bucket_configuration.and_then(|c| c.tags).unwrap_or_default();
    let tags = tags::tag_set(pairs.into_iter().map(|tag| (tag.key, tag.value)), tags::MAX_BUCKET_TAGS)?;
    // As on AWS since April 2023: nothing public, and no ACLs unless they are asked for.
    let mut configs = Configs::from([
        (ConfigKind::PublicAccessBlock, PublicAccess::CLOSED.encode()),
        (ConfigKind::Ownership, ownership.encode()),
    ]);
    configs.extend(ops::acl::of_new_bucket(call, ownership, owner)?.map(|acl| (ConfigKind::Acl, acl)));
    let tags = (!tags.is_empty()).then_some(tags);
    let new = NewBucket { name: name.clone(), owner, region, tags, configs };
    let about = About { bucket: name.as_str(), ..About::default() };
    match call.lake(pin).create_bucket(new, &call.origin("CreateBucket")).await {
        Ok(_) => {}
        Err(millpond_lake::LakeError::BucketAlreadyOwnedByYou) if call.s3.region.as_str() == US_EAST_1 => {}
        Err(error) => return Err(errors::from_lake(error, about)),
    }
    let mut response = answer::empty(StatusCode::OK);
    answer::set(&mut response.headers, http::header::LOCATION, &format!("/{name}"));
    Ok(response)
}

fn refuse_unknown_kinds(input: &api::CreateBucketInput) -> Result<(), ServiceError> {
    if input.object_lock_enabled_for_bucket == Some(true) {
        return Err(ServiceError::not_implemented("Object lock (x-amz-bucket-object-lock-enabled)"));
    }
    if input.bucket_namespace.is_some_and(|namespace| namespace != api::BucketNamespace::Global) {
        return Err(ServiceError::not_implemented("A bucket namespace other than global (x-amz-bucket-namespace)"));
    }
    let directory =
        input.create_bucket_configuration.as_ref().is_some_and(|c| c.location.is_some() || c.bucket.is_some());
    if directory {
        return Err(ServiceError::not_implemented("A directory bucket (Location, Bucket)"));
    }
    Ok(())
}

/// The region that a new bucket is to lie in: there is this server's alone.
fn location(call: &Call<'_>, input: &api::CreateBucketInput) -> Result<Region, ServiceError> {
    let ours = &call.s3.region;
    let constraint = input.create_bucket_configuration.as_ref().and_then(|c| c.location_constraint.as_ref());
    let wanted = match constraint.map(String::as_str) {
        None | Some("") => US_EAST_1,
        Some("EU") => "eu-west-1",
        Some(region) => region,
    };
    let unspecified = constraint.is_none();
    if wanted == ours.as_str() {
        return Ok(ours.clone());
    }
    // A request without a constraint means us-east-1; AWS's other regions refuse it in these words.
    let said = if unspecified { "unspecified" } else { wanted };
    Err(ServiceError::new(
        "IllegalLocationConstraintException",
        400,
        format!(
            "The {said} location constraint is incompatible for the region specific endpoint this request was sent to."
        ),
    ))
}

/// ListBuckets.
pub async fn list(
    call: &Call<'_>,
    operation: Authorized<OnService<api::ListBucketsInput>>,
) -> Result<Response, ServiceError> {
    let OnService { input, account } = operation.into_inner();
    let limit = input.max_buckets.unwrap_or(MAX_BUCKETS_PAGE);
    if !(1..=MAX_BUCKETS_PAGE).contains(&limit) {
        return Err(errors::invalid_argument("max-buckets", Some(&limit.to_string()), "max-buckets is 1 to 10000."));
    }
    let limit = limit as usize;
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let foreign = input.bucket_region.as_deref().is_some_and(|region| region != call.s3.region.as_str());
    let mut buckets = match foreign {
        true => Vec::new(),
        false => call
            .s3
            .lake
            .list_buckets(&account, prefix, input.continuation_token.as_deref(), limit + 1)
            .await
            .map_err(|error| errors::from_lake(error, About::default()))?,
    };
    let more = buckets.len() > limit;
    buckets.truncate(limit);
    let paged = input.max_buckets.is_some() || input.prefix.is_some() || input.bucket_region.is_some();
    let output = api::ListBucketsOutput {
        continuation_token: buckets.last().filter(|_| more).map(|bucket| bucket.name.to_string()),
        prefix: input.prefix.clone(),
        owner: Some(api::Owner { id: Some(account.canonical_id()), ..api::Owner::default() }),
        buckets: Some(
            buckets
                .iter()
                .map(|bucket| api::Bucket {
                    name: Some(bucket.name.to_string()),
                    creation_date: Some(bucket.created),
                    bucket_region: paged.then(|| bucket.region.to_string()),
                    ..api::Bucket::default()
                })
                .collect(),
        ),
    };
    answer::document(output.write())
}

/// HeadBucket.
pub fn head(call: &Call<'_>, operation: Authorized<OnBucket<api::HeadBucketInput>>) -> Result<Response, ServiceError> {
    let mut response = answer::empty(StatusCode::OK);
    let region = operation.get().bucket.region.as_str();
    answer::set(&mut response.headers, HeaderName::from_static("x-amz-bucket-region"), region);
    let alias = HeaderValue::from_static("false");
    response.headers.insert(HeaderName::from_static("x-amz-access-point-alias"), alias);
    let arn = format!("arn:aws:s3:::{}", call.address.bucket.as_deref().unwrap_or_default());
    answer::set(&mut response.headers, HeaderName::from_static("x-amz-bucket-arn"), &arn);
    response.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    Ok(response)
}

/// DeleteBucket.
pub async fn delete(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::DeleteBucketInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let bucket = operation.into_inner().bucket;
    let about = About { bucket: bucket.name.as_str(), ..About::default() };
    call.lake(pin)
        .delete_bucket(&bucket, &call.origin("DeleteBucket"))
        .await
        .map_err(|error| errors::from_lake(error, about))?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// GetBucketLocation: empty for us-east-1.
pub fn get_location(operation: Authorized<OnBucket<api::GetBucketLocationInput>>) -> Result<Response, ServiceError> {
    let region = operation.get().bucket.region.as_str();
    let location_constraint = (region != US_EAST_1).then(|| region.to_owned());
    answer::document(api::GetBucketLocationOutput { location_constraint }.write())
}

/// GetBucketVersioning: empty while it was never set.
pub fn get_versioning(
    operation: Authorized<OnBucket<api::GetBucketVersioningInput>>,
) -> Result<Response, ServiceError> {
    let status = match operation.get().bucket.versioning {
        Versioning::Unset => None,
        Versioning::Enabled => Some(api::BucketVersioningStatus::Enabled),
        Versioning::Suspended => Some(api::BucketVersioningStatus::Suspended),
    };
    answer::document(api::GetBucketVersioningOutput { status, ..Default::default() }.write())
}

/// PutBucketVersioning.
pub async fn put_versioning(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::PutBucketVersioningInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let OnBucket { input, bucket } = operation.into_inner();
    let configuration = input.versioning_configuration;
    if configuration.mfa_delete.as_ref().is_some_and(|mfa| mfa.as_str() == "Enabled") {
        return Err(ServiceError::not_implemented("MFA delete (MfaDelete)"));
    }
    let versioning = match configuration.status {
        Some(api::BucketVersioningStatus::Enabled) => Versioning::Enabled,
        Some(api::BucketVersioningStatus::Suspended) => Versioning::Suspended,
        None => {
            return Err(ServiceError::new(
                "IllegalVersioningConfigurationException",
                400,
                "The Versioning element must be specified",
            ));
        }
    };
    let about = About { bucket: bucket.name.as_str(), ..About::default() };
    call.lake(pin)
        .set_versioning(&bucket, versioning, &call.origin("PutBucketVersioning"))
        .await
        .map_err(|error| errors::from_lake(error, about))?;
    Ok(answer::empty(StatusCode::OK))
}
