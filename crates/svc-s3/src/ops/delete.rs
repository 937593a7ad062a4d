//! DeleteObject and DeleteObjects.

use http::{HeaderName, HeaderValue, StatusCode};
use millpond_api_s3 as api;
use millpond_kernel::{Authorized, Response, ServiceError};
use millpond_lake::{DeleteCondition, DeleteItem, Deleted, LakeError, MAX_DELETE_KEYS};

use crate::answer;
use crate::call::{Call, parse_key, parse_version};
use crate::conditions::{bare, precondition_failed};
use crate::documents;
use crate::errors::{self, About};
use crate::operations::{self, OnObject};

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
    let OnObject { input, bucket, key, version } = operation.into_inner();
    let named = input.version_id.as_deref();
    let about = About { bucket: bucket.name.as_str(), key: key.as_str(), version: named, ..About::default() };
    let condition = condition(input.if_match.as_deref());
    let deleted = call.s3.lake.delete(&bucket, &key, version, condition, &call.origin("DeleteObject")).await.map_err(
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

/// One key of a DeleteObjects on its way.
enum Item {
    /// It may be deleted.
    Allowed(DeleteItem),
    /// It may not, or is malformed.
    Refused(ServiceError),
}

/// DeleteObjects: each key is decided and deleted by itself, and has an answer of its own.
pub async fn many(call: &Call<'_>) -> Result<Response, ServiceError> {
    let bucket = call.bucket().await?;
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
    let mut items = Vec::with_capacity(wanted.len());
    for object in wanted {
        items.push(match item(object) {
            Err(error) => Item::Refused(error),
            Ok(item) => match call.authorize(operations::DeleteItem { bucket: bucket.clone(), item }).await {
                Ok(allowed) => Item::Allowed(allowed.into_inner().item),
                Err(error) => Item::Refused(error),
            },
        });
    }
    let allowed: Vec<DeleteItem> = items
        .iter()
        .filter_map(|item| match item {
            Item::Allowed(item) => Some(item.clone()),
            Item::Refused(_) => None,
        })
        .collect();
    let results = call.s3.lake.delete_many(&bucket, &allowed, &call.origin("DeleteObjects")).await;
    let about = About { bucket: bucket.name.as_str(), ..About::default() };
    let mut results = results.map_err(|error| errors::from_lake(error, about))?.into_iter();
    let quiet = input.delete.quiet.unwrap_or(false);
    let mut output = api::DeleteObjectsOutput::default();
    for (object, item) in wanted.iter().zip(items) {
        let result = match item {
            Item::Refused(error) => Err(error),
            Item::Allowed(_) => results.next().unwrap_or(Err(LakeError::Busy)).map_err(|error| match error {
                LakeError::PreconditionFailed => precondition_failed("If-Match"),
                other => errors::from_lake(
                    other,
                    About { bucket: bucket.name.as_str(), key: &object.key, ..About::default() },
                ),
            }),
        };
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
