//! GetObjectAttributes.

use http::HeaderName;
use millpond_api_s3 as api;
use millpond_kernel::{Authorized, Response, ServiceError};
use millpond_lake::{Object, PartInfo, Version};

use crate::answer;
use crate::call::Call;
use crate::checksums;
use crate::encryption::For;
use crate::errors::{self, About};
use crate::listing::{self, set_checksum};
use crate::operations::OnVersion;
use crate::ops::get::{found, http_date};
use crate::ops::put::set_version;

/// The page of parts when none is asked for, and the largest.
const MAX_PARTS_PAGE: i32 = 1_000;

/// GetObjectAttributes.
pub async fn get(
    call: &Call<'_>,
    operation: Authorized<OnVersion<api::GetObjectAttributesInput>>,
) -> Result<Response, ServiceError> {
    let mut version = found(operation.get())?.clone();
    let wants = |attribute| operation.get().target.input.object_attributes.contains(&attribute);
    let digests = wants(api::ObjectAttributes::Checksum) || wants(api::ObjectAttributes::ObjectParts);
    let (bucket, customer) = (&operation.get().target.bucket, call.customer_key()?);
    let what_for = if digests { For::Content } else { For::Metadata };
    call.unlock(bucket, &mut version, customer.as_ref(), what_for).await?;
    let version = &version;
    let Some(object) = version.object() else { return Err(ServiceError::internal()) };
    let input = &operation.get().target.input;
    if input.object_attributes.is_empty() {
        return Err(errors::invalid_argument(
            "x-amz-object-attributes",
            None,
            "At least one object attribute must be named.",
        ));
    }
    let mut output = api::GetObjectAttributesOutput::default();
    if wants(api::ObjectAttributes::ETag) {
        // Without quotes here, alone among all answers.
        output.etag = Some(object.etag.clone());
    }
    if wants(api::ObjectAttributes::ObjectSize) {
        output.object_size = i64::try_from(object.size).ok();
    }
    if wants(api::ObjectAttributes::StorageClass) {
        let class = object.metadata.storage_class.as_deref();
        output.storage_class = Some(class.and_then(api::StorageClass::parse).unwrap_or(api::StorageClass::Standard));
    }
    if wants(api::ObjectAttributes::Checksum) {
        output.checksum = checksum(object);
    }
    if wants(api::ObjectAttributes::ObjectParts) && object.parts.is_some() {
        output.object_parts = Some(parts(call, version, object, input).await?);
    }
    let mut response = answer::document(output.write())?;
    answer::set(&mut response.headers, http::header::LAST_MODIFIED, &http_date(version.modified.seconds()));
    let versioned = operation.get().target.bucket.versioning != millpond_lake::Versioning::Unset;
    set_version(&mut response.headers, versioned, version.id);
    response.headers.remove(HeaderName::from_static("x-amz-delete-marker"));
    Ok(response)
}

fn checksum(object: &Object) -> Option<api::Checksum> {
    let checksum = object.checksum.as_ref()?;
    let mut shown = api::Checksum { checksum_type: Some(listing::checksum_type(checksum.kind)), ..Default::default() };
    set_checksum!(shown, checksum.algorithm(), checksums::shown(checksum, object.parts));
    Some(shown)
}

async fn parts(
    call: &Call<'_>,
    version: &Version,
    object: &Object,
    input: &api::GetObjectAttributesInput,
) -> Result<api::GetObjectAttributesParts, ServiceError> {
    let total = object.parts.map(|parts| parts as i32);
    // AWS lists parts only of objects that keep a checksum of each.
    let limit = input.max_parts.unwrap_or(MAX_PARTS_PAGE).min(MAX_PARTS_PAGE);
    if limit < 0 {
        let message = "Argument max-parts must be an integer between 0 and 2147483647";
        return Err(errors::invalid_argument("x-amz-max-parts", Some(&limit.to_string()), message));
    }
    let marker = super::multipart::part_marker(input.part_number_marker)?;
    if object.checksum.is_none() || limit == 0 {
        return Ok(api::GetObjectAttributesParts { total_parts_count: total, ..Default::default() });
    }
    let about = About { key: version.key.as_str(), ..About::default() };
    let (parts, truncated) = call
        .s3
        .lake
        .parts_of(version, marker, limit as usize)
        .await
        .map_err(|error| errors::from_lake(error, about))?;
    Ok(api::GetObjectAttributesParts {
        total_parts_count: total,
        part_number_marker: Some(i32::from(marker)),
        next_part_number_marker: parts.last().map(|part| i32::from(part.number)),
        max_parts: Some(limit),
        is_truncated: Some(truncated),
        parts: Some(parts.iter().map(shown_part).collect()),
    })
}

fn shown_part(part: &PartInfo) -> api::ObjectPart {
    let mut shown = api::ObjectPart {
        part_number: Some(i32::from(part.number)),
        size: i64::try_from(part.size).ok(),
        ..api::ObjectPart::default()
    };
    if let Some(checksum) = &part.checksum {
        set_checksum!(shown, checksum.algorithm(), checksum.to_string());
    }
    shown
}
