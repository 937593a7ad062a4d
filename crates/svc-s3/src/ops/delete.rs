//! DeleteObject and DeleteObjects.

use http::{HeaderName, HeaderValue, StatusCode};
use millpond_api_s3 as api;
use millpond_kernel::{Authorized, Response, ServiceError};
use millpond_lake::{DeleteCondition, DeleteItem, Deleted, LakeError, MAX_DELETE_KEYS};

use crate::answer;
use crate::call::{Call, DECIDE_ATTEMPTS, parse_key, parse_version};
use crate::conditions::{bare, precondition_failed};
use crate::documents;
use crate::errors::{self, About};
use crate::operations::{self, OnObject};
use crate::rules::Site;

fn condition(if_match: Option<&str>) -> DeleteCondition {
    match if_match {
        Some(tag) => DeleteCondition::IfMatch(bare(tag).to_owned()),
        None => DeleteCondition::Always,
    }
}

/// DeleteObject.
pub async fn one(
    call: &Call<'_>,
    operation: Authorized<OnObject<api::DeleteObjectInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let OnObject { input, bucket, key, version } = operation.into_inner();
    let named = input.version_id.as_deref();
    let about = About { bucket: bucket.name.as_str(), key: key.as_str(), version: named, ..About::default() };
    let condition = condition(input.if_match.as_deref());
    let deleted =
        call.lake(pin).delete(&bucket, &key, version, condition, &call.origin("DeleteObject")).await.map_err(
            |error| match error {
                LakeError::PreconditionFailed => precondition_failed("If-Match"),
                other => errors::from_lake(other, about),
            },
        )?;
    let mut response = answer::empty(StatusCode::NO_CONTENT);
    if deleted.marker.is_some() || deleted.was_marker {
        response.headers.insert(HeaderName::from_static("x-amz-delete-marker"), HeaderValue::from_static("true"));
    }
    if let Some(id) = deleted.marker.or(deleted.version) {
        answer::set(&mut response.headers, HeaderName::from_static("x-amz-version-id"), &id.to_string());
    }
    Ok(response)
}

/// DeleteObjects: each key is decided and deleted by itself, and has an answer of its own.
pub async fn many(call: &mut Call<'_>) -> Result<Response, ServiceError> {
    call.bucket().await?;
    let input: api::DeleteObjectsInput = match documents::demand_digest(call.headers()) {
        Ok(()) => call.parse(api::DeleteObjectsInput::parse),
        Err(error) => Err(error),
    }
    // Each key is decided by itself; who asks for none that can be read, and is nobody, is denied all the same.
    .map_err(|error| if call.caller.is_anonymous() { errors::access_denied() } else { error })?;
    let wanted = &input.delete.objects;
    if wanted.is_empty() || wanted.len() > MAX_DELETE_KEYS {
        return Err(errors::malformed_xml().field("Reason", format!("1 to {MAX_DELETE_KEYS} keys are expected")));
    }
    let results = delete(call, wanted).await?;
    let quiet = input.delete.quiet.unwrap_or(false);
    let mut output = api::DeleteObjectsOutput::default();
    for (object, result) in wanted.iter().zip(results) {
        match result {
            Ok(_) if quiet => {}
            Ok(deleted) => output.deleted.get_or_insert_default().push(shown(object, &deleted)),
            Err(error) => output.errors.get_or_insert_default().push(api::Error {
                key: Some(object.key.clone()),
                version_id: object.version_id.clone(),
                code: Some(error.code.into_owned()),
                message: Some(error.message),
            }),
        }
    }
    answer::document(output.write())
}

/// Decides and deletes. What was decided before policies changed is decided anew, and nothing else.
async fn delete(
    call: &mut Call<'_>,
    wanted: &[api::ObjectIdentifier],
) -> Result<Vec<Result<Deleted, ServiceError>>, ServiceError> {
    let mut results: Vec<_> = wanted.iter().map(|_| Err(errors::decided_too_early())).collect();
    let mut pending: Vec<usize> = (0..wanted.len()).collect();
    for _ in 0..DECIDE_ATTEMPTS {
        let bucket = call.bucket().await?;
        let (mut allowed, mut items) = (Vec::new(), Vec::new());
        for at in std::mem::take(&mut pending) {
            match decide(call, &bucket, &wanted[at]).await {
                Ok(item) => {
                    allowed.push(at);
                    items.push(item);
                }
                Err(error) => results[at] = Err(error),
            }
        }
        let deleted = call.lake(call.pin()).delete_many(&bucket, &items, &call.origin("DeleteObjects")).await;
        let about = About { bucket: bucket.name.as_str(), ..About::default() };
        for (at, result) in allowed.into_iter().zip(deleted.map_err(|error| errors::from_lake(error, about))?) {
            results[at] = match result {
                Err(LakeError::Reconfigured) => {
                    pending.push(at);
                    continue;
                }
                Err(LakeError::PreconditionFailed) => Err(precondition_failed("If-Match")),
                Err(error) => Err(errors::from_lake(error, About { key: &wanted[at].key, ..about })),
                Ok(deleted) => Ok(deleted),
            };
        }
        if pending.is_empty() {
            break;
        }
        call.reread_policies().await?;
    }
    Ok(results)
}

async fn decide(call: &Call<'_>, bucket: &Site, object: &api::ObjectIdentifier) -> Result<DeleteItem, ServiceError> {
    let operation = operations::DeleteItem { bucket: bucket.clone(), item: item(object)? };
    Ok(call.authorize(operation).await?.into_inner().item)
}

fn item(object: &api::ObjectIdentifier) -> Result<DeleteItem, ServiceError> {
    if object.last_modified_time.is_some() || object.size.is_some() {
        return Err(ServiceError::not_implemented("A delete on condition of LastModifiedTime or Size"));
    }
    Ok(DeleteItem {
        key: parse_key(&object.key)?,
        version: object.version_id.as_deref().filter(|v| !v.is_empty()).map(parse_version).transpose()?,
        condition: condition(object.etag.as_deref()),
    })
}

fn shown(object: &api::ObjectIdentifier, deleted: &Deleted) -> api::DeletedObject {
    let marker_version = match (deleted.marker, deleted.was_marker) {
        (Some(made), _) => Some(made.to_string()),
        (None, true) => object.version_id.clone(),
        (None, false) => None,
    };
    api::DeletedObject {
        key: Some(object.key.clone()),
        version_id: object.version_id.clone(),
        delete_marker: marker_version.is_some().then_some(true),
        delete_marker_version_id: marker_version,
    }
}
