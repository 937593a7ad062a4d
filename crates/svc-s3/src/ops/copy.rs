//! CopyObject and UploadPartCopy: references to bytes, never copies of them.

use millpond_api_s3 as api;
use millpond_kernel::{Pin, Response, ServiceError};
use millpond_lake::{CopyRequest, Found, LakeError, MAX_PUT_BYTES, Metadata, UploadId, Version, VersionId, Versioning};
use millpond_types::ObjectKey;

use crate::answer;
use crate::call::{Call, parse_key, parse_version};
use crate::checksums;
use crate::conditions::{Outcome, ReadConditions, precondition_failed};
use crate::encryption::{self, COPY_SOURCE, For, Shown};
use crate::errors::{self, About};
use crate::operations::{Copying, Input};
use crate::ops::acl;
use crate::ops::put::set_version;
use crate::rules::Site;
use crate::{address, metadata, range, tags, write};

/// What `x-amz-copy-source` names.
struct Source {
    bucket: Site,
    key: ObjectKey,
    named: Option<VersionId>,
    found: Found,
}

/// CopyObject.
pub async fn object(call: &Call<'_>) -> Result<Response, ServiceError> {
    let mut input: api::CopyObjectInput = call.input()?;
    let replace_metadata =
        directive("x-amz-metadata-directive", input.metadata_directive.as_ref().map(|d| d.as_str()))?;
    let replace_tags = directive("x-amz-tagging-directive", input.tagging_directive.as_ref().map(|d| d.as_str()))?;
    let given_tags = input.tagging.as_deref().map(tags::from_header).transpose()?;
    if !replace_tags {
        // AWS passes over the header then: the new object does not get its tags, so that nothing is decided by them.
        input.tagging = None;
    }
    let algorithm = match input.checksum_algorithm.as_ref() {
        Some(name) => Some(checksums::algorithm(name.as_str())?),
        None => None,
    };
    let condition = write::condition(call.headers())?;
    let source = source(call, &input.copy_source).await?;
    let conditions = conditions(
        &input.copy_source_if_match,
        &input.copy_source_if_none_match,
        input.copy_source_if_modified_since,
        input.copy_source_if_unmodified_since,
    );
    let (pin, Copying { target, source, named, .. }, version) =
        authorized(call, input, source, conditions, !replace_tags).await?;
    let Some(object) = version.object() else { return Err(ServiceError::internal()) };
    if object.size > MAX_PUT_BYTES {
        return Err(errors::invalid_request(&format!(
            "The specified copy source is larger than the maximum allowable size for a copy source: {MAX_PUT_BYTES}"
        )));
    }
    let class = metadata::storage_class(call.headers())?;
    let redirect = call.headers().contains_key("x-amz-website-redirect-location");
    let asked = call.asked_encryption()?;
    let onto_itself = source.id == target.bucket.id && version.key == target.key && named.is_none();
    let classed = call.headers().contains_key("x-amz-storage-class");
    let changes = replace_metadata || classed || redirect || algorithm.is_some() || asked.is_explicit();
    if onto_itself && !changes {
        return Err(errors::invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's \
             metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    // An ACL is never copied.
    let (owner, acl) = acl::of_new_object(call, &target.bucket)?;
    let metadata = Metadata { acl, ..copied_metadata(call, &object.metadata, replace_metadata, class)? };
    let tags = if replace_tags { given_tags.unwrap_or_default() } else { object.tags.clone() };
    let failed = write::condition_name(&condition);
    let source_id = (source.versioning != Versioning::Unset).then(|| version.id.to_string());
    let about = About { bucket: target.bucket.name.as_str(), key: target.key.as_str(), ..About::default() };
    // The bytes stay sealed as they are: their key is kept in another way. Plain ones are sealed now.
    let key = object.encrypted.as_ref().and_then(|encrypted| encrypted.key().cloned());
    let key = key.unwrap_or_else(|| call.s3.keys.random());
    let sealing = call.s3.keys.keep(call.caller, &target.bucket, &target.key, key.clone(), &asked).await?;
    let request = CopyRequest {
        source: version.clone(),
        bucket: target.bucket.bucket(),
        key: target.key.clone(),
        metadata,
        tags,
        checksum: algorithm,
        sealing: Some(sealing),
        owner,
        condition,
    };
    let mut written = call.lake(pin).copy(request, &call.origin("CopyObject")).await.map_err(|error| match error {
        LakeError::PreconditionFailed => precondition_failed(failed),
        LakeError::Changed => errors::no_such_key(version.key.as_str()),
        other => errors::from_lake(other, about),
    })?;
    written.version.unlock(key).map_err(|error| errors::from_lake(error, about))?;
    let mut response = answer::document(copied(&written.version, source_id).write())?;
    let (encryption, customer) = (written.version.encryption(), asked.customer());
    encryption::set(&mut response.headers, Shown { encryption, customer });
    set_version(&mut response.headers, written.versioned, written.version.id);
    Ok(response)
}

/// Decides a copy, and only then tells whether its source is there and fits its conditions.
async fn authorized<I: Input>(
    call: &Call<'_>,
    input: I,
    source: Source,
    conditions: ReadConditions,
    with_tags: bool,
) -> Result<(Pin, Copying<I>, Version), ServiceError> {
    let target = call.target(input).await?;
    let Source { bucket, key, named, found } = source;
    let operation = Copying { target, source: bucket, key, named, found, with_tags };
    let operation = call.authorize(operation).await?;
    let (pin, operation) = (operation.pin(), operation.into_inner());
    if !matches!(operation.found, Found::Object(_)) {
        call.may_learn_of_absence(&operation.source).await?;
    }
    let mut version = there(&operation)?;
    let customer = encryption::customer_key(call.headers(), &COPY_SOURCE, call.caller.transport())?;
    call.unlock(&operation.source, &mut version, customer.as_ref(), For::Content).await?;
    let etag = version.object().map(|object| object.etag.as_str()).unwrap_or_default();
    match conditions.judge(etag, version.modified) {
        Outcome::Proceed => Ok((pin, operation, version)),
        // A copy has nothing to say "not modified" about: every condition that fails is a 412.
        Outcome::NotModified => Err(precondition_failed("x-amz-copy-source-If-None-Match")),
        Outcome::Failed(condition) => Err(precondition_failed(match condition {
            "If-Match" => "x-amz-copy-source-If-Match",
            _ => "x-amz-copy-source-If-Unmodified-Since",
        })),
    }
}

/// The version that is copied.
fn there<I>(operation: &Copying<I>) -> Result<Version, ServiceError> {
    match (&operation.found, operation.named) {
        (Found::Object(version), _) => Ok(version.clone()),
        (Found::DeleteMarker(_), Some(_)) => Err(errors::invalid_request(
            "The source of a copy request may not specifically refer to a delete marker by version id.",
        )),
        (_, Some(id)) => Err(errors::no_such_version(operation.key.as_str(), &id.to_string())),
        (_, None) => Err(errors::no_such_key(operation.key.as_str())),
    }
}

/// COPY or REPLACE; true for REPLACE.
fn directive(name: &str, value: Option<&str>) -> Result<bool, ServiceError> {
    match value {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(other) => Err(errors::invalid_argument(name, Some(other), "Unknown directive.")),
    }
}

/// The metadata of the copy: the source's or the request's; class and redirect are always the request's.
fn copied_metadata(
    call: &Call<'_>,
    source: &Metadata,
    replace: bool,
    class: Option<String>,
) -> Result<Metadata, ServiceError> {
    let given = metadata::from_headers(call.headers())?;
    if replace {
        return Ok(given);
    }
    Ok(Metadata { storage_class: class, website_redirect: given.website_redirect, ..source.clone() })
}

fn copied(version: &Version, source_id: Option<String>) -> api::CopyObjectOutput {
    let object = version.object();
    let checksum = object.and_then(|object| object.checksum.as_ref());
    let shown = checksum.map(|checksum| checksums::shown(checksum, object.and_then(|o| o.parts)));
    let mut result = api::CopyObjectResult {
        etag: object.map(|object| answer::quoted(&object.etag)),
        last_modified: Some(version.modified),
        ..api::CopyObjectResult::default()
    };
    if let (Some(checksum), Some(shown)) = (checksum, shown) {
        crate::listing::set_checksum!(result, checksum.algorithm(), shown);
        result.checksum_type = Some(crate::listing::checksum_type(checksum.kind));
    }
    api::CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: source_id,
        ..api::CopyObjectOutput::default()
    }
}

fn conditions(
    if_match: &Option<String>,
    if_none_match: &Option<String>,
    if_modified_since: Option<millpond_types::Timestamp>,
    if_unmodified_since: Option<millpond_types::Timestamp>,
) -> ReadConditions {
    ReadConditions {
        if_match: if_match.clone(),
        if_none_match: if_none_match.clone(),
        if_modified_since,
        if_unmodified_since,
    }
}

/// Reads `x-amz-copy-source`: `[/]bucket/key[?versionId=id]`, percent-encoded; or the ARN of an access point, which is refused.
async fn source(call: &Call<'_>, header: &str) -> Result<Source, ServiceError> {
    let malformed = || {
        errors::invalid_argument(
            "x-amz-copy-source",
            Some(header),
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        )
    };
    if header.starts_with("arn:") {
        return Err(ServiceError::not_implemented("A copy source that is an access point's ARN"));
    }
    let (path, query) = header.split_once('?').unwrap_or((header, ""));
    let path = address::decode(path).ok_or_else(malformed)?;
    let (bucket, key) = path.strip_prefix('/').unwrap_or(&path).split_once('/').ok_or_else(malformed)?;
    if bucket.is_empty() || key.is_empty() {
        return Err(malformed());
    }
    let named = match query.split('&').find_map(|pair| pair.strip_prefix("versionId=")) {
        None => None,
        Some(id) => Some(parse_version(&address::decode(id).ok_or_else(malformed)?)?),
    };
    let expected = call.headers().get("x-amz-source-expected-bucket-owner").map(|v| v.to_str().unwrap_or_default());
    let bucket = call.site(bucket, expected).await?;
    let key: ObjectKey = parse_key(key)?;
    let found = call.s3.look_up(&bucket, &key, named).await?;
    Ok(Source { bucket, key, named, found })
}

/// UploadPartCopy.
pub async fn part(call: &Call<'_>) -> Result<Response, ServiceError> {
    let input: api::UploadPartCopyInput = call.input()?;
    let number = super::multipart::part_number(input.part_number)?;
    let upload_id = input.upload_id.clone();
    let bytes = match input.copy_source_range.as_deref() {
        None => None,
        Some(text) => Some(range::copy_source_range(text).ok_or_else(|| {
            errors::invalid_argument(
                "x-amz-copy-source-range",
                Some(text),
                "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
            )
        })?),
    };
    let source = source(call, &input.copy_source).await?;
    let conditions = conditions(
        &input.copy_source_if_match,
        &input.copy_source_if_none_match,
        input.copy_source_if_modified_since,
        input.copy_source_if_unmodified_since,
    );
    let (pin, Copying { target, source, .. }, version) = authorized(call, input, source, conditions, false).await?;
    let size = version.object().map_or(0, |object| object.size);
    let bytes = bytes.unwrap_or(0..size);
    if bytes.end > size {
        return Err(errors::invalid_argument(
            "x-amz-copy-source-range",
            None,
            &format!("Range specified is not valid for source object of size: {size}"),
        ));
    }
    let about =
        About { bucket: target.bucket.name.as_str(), key: target.key.as_str(), upload: &upload_id, ..About::default() };
    let id = UploadId::parse(&upload_id).ok_or_else(|| errors::no_such_upload(&upload_id))?;
    let mut upload =
        call.s3.lake.upload(&target.bucket, &target.key, id).await.map_err(|error| errors::from_lake(error, about))?;
    let customer = call.customer_key()?;
    call.unlock_upload(&target.bucket, &mut upload, customer.as_ref()).await?;
    let part =
        call.lake(pin).copy_part(&upload, number, &version, bytes, &call.origin("UploadPartCopy")).await.map_err(
            |error| match error {
                LakeError::Changed => errors::no_such_key(version.key.as_str()),
                other => errors::from_lake(other, about),
            },
        )?;
    let mut result = api::CopyPartResult {
        etag: Some(answer::quoted(&part.md5.to_string())),
        last_modified: Some(part.modified),
        ..api::CopyPartResult::default()
    };
    if let Some(checksum) = &part.checksum {
        crate::listing::set_checksum!(result, checksum.algorithm(), checksum.to_string());
    }
    let output = api::UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id: (source.versioning != Versioning::Unset).then(|| version.id.to_string()),
        ..api::UploadPartCopyOutput::default()
    };
    let mut response = answer::document(output.write())?;
    let (encryption, customer) = (upload.encryption.as_ref(), customer.as_ref());
    encryption::set(&mut response.headers, Shown { encryption, customer });
    Ok(response)
}
