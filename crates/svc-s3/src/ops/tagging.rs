//! Tags of buckets and objects.

use http::{HeaderMap, StatusCode};
use millpond_api_s3 as api;
use millpond_kernel::{Authorized, Pin, Response, ServiceError};
use millpond_lake::{Tags, Version, Versioning};

use crate::answer;
use crate::call::Call;
use crate::errors::{self, About};
use crate::operations::{OnBucket, OnVersion};
use crate::ops::get::found;
use crate::ops::put::set_version;
use crate::tags::{MAX_BUCKET_TAGS, MAX_OBJECT_TAGS, tag_set};

fn tags_of(tagging: api::Tagging, most: usize) -> Result<Tags, ServiceError> {
    tag_set(tagging.tag_set.into_iter().map(|tag| (tag.key, tag.value)), most)
}

fn shown(tags: &Tags) -> Vec<api::Tag> {
    tags.iter().map(|(key, value)| api::Tag { key: key.clone(), value: value.clone() }).collect()
}

/// GetBucketTagging.
pub fn get_bucket(operation: Authorized<OnBucket<api::GetBucketTaggingInput>>) -> Result<Response, ServiceError> {
    let bucket = &operation.get().bucket;
    match &bucket.tags {
        Some(tags) => answer::document(api::GetBucketTaggingOutput { tag_set: shown(tags) }.write()),
        None => Err(ServiceError::new("NoSuchTagSet", 404, "The TagSet does not exist")
            .field("BucketName", bucket.name.as_str())),
    }
}

async fn set_bucket(
    call: &Call<'_>,
    bucket: &millpond_lake::Bucket,
    pin: Pin,
    tags: Option<Tags>,
    name: &'static str,
) -> Result<Response, ServiceError> {
    let about = About { bucket: bucket.name.as_str(), ..About::default() };
    call.lake(pin)
        .set_bucket_tags(bucket, tags, &call.origin(name))
        .await
        .map_err(|error| errors::from_lake(error, about))?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// PutBucketTagging.
pub async fn put_bucket(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::PutBucketTaggingInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let OnBucket { input, bucket } = operation.into_inner();
    let tags = tags_of(input.tagging, MAX_BUCKET_TAGS)?;
    set_bucket(call, &bucket, pin, Some(tags), "PutBucketTagging").await
}

/// DeleteBucketTagging.
pub async fn delete_bucket(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::DeleteBucketTaggingInput>>,
) -> Result<Response, ServiceError> {
    set_bucket(call, &operation.get().bucket, operation.pin(), None, "DeleteBucketTagging").await
}

/// GetObjectTagging.
pub fn get(operation: Authorized<OnVersion<api::GetObjectTaggingInput>>) -> Result<Response, ServiceError> {
    let version = found(operation.get())?;
    let tags = version.object().map(|object| shown(&object.tags)).unwrap_or_default();
    let mut response = answer::document(api::GetObjectTaggingOutput { tag_set: tags, version_id: None }.write())?;
    name_version(&mut response.headers, operation.get(), version);
    Ok(response)
}

fn name_version<I>(headers: &mut HeaderMap, operation: &OnVersion<I>, version: &Version) {
    set_version(headers, operation.target.bucket.versioning != Versioning::Unset, version.id);
}

async fn set<I>(
    call: &Call<'_>,
    operation: Authorized<OnVersion<I>>,
    tags: Tags,
    name: &'static str,
    status: StatusCode,
) -> Result<Response, ServiceError> {
    let version = found(operation.get())?;
    let target = &operation.get().target;
    let about = About { bucket: target.bucket.name.as_str(), key: target.key.as_str(), ..About::default() };
    call.lake(operation.pin())
        .set_tags(&target.bucket, version, tags, &call.origin(name))
        .await
        .map_err(|error| errors::from_lake(error, about))?;
    let mut response = answer::empty(status);
    name_version(&mut response.headers, operation.get(), version);
    Ok(response)
}

/// PutObjectTagging.
pub async fn put(
    call: &Call<'_>,
    operation: Authorized<OnVersion<api::PutObjectTaggingInput>>,
) -> Result<Response, ServiceError> {
    let tags = tags_of(operation.get().target.input.tagging.clone(), MAX_OBJECT_TAGS)?;
    set(call, operation, tags, "PutObjectTagging", StatusCode::OK).await
}

/// DeleteObjectTagging.
pub async fn delete(
    call: &Call<'_>,
    operation: Authorized<OnVersion<api::DeleteObjectTaggingInput>>,
) -> Result<Response, ServiceError> {
    set(call, operation, Tags::new(), "DeleteObjectTagging", StatusCode::NO_CONTENT).await
}
