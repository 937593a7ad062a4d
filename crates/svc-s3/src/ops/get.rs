//! GetObject and HeadObject.

use std::ops::Range;

use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use millpond_api_s3 as api;
use millpond_kernel::{Authorized, BodyFailed, Response, ResponseBody, ServiceError};
use millpond_lake::{BodyReader, Found, Object, Version};

use millpond_types::Timestamp;
use millpond_wire::parse_http_date;

use crate::answer;
use crate::call::Call;
use crate::conditions::{Outcome, ReadConditions, precondition_failed};
use crate::encryption::{self, For};
use crate::errors::{self, About};
use crate::metadata;
use crate::operations::OnVersion;
use crate::ops::put::{set_checksum, set_version};
use crate::range::{self, Wanted};

/// What GetObject and HeadObject have in common.
struct Read {
    conditions: ReadConditions,
    range: Option<String>,
    part: Option<i32>,
    checksums: bool,
    overrides: [(HeaderName, Option<String>); 6],
}

/// An object as a read shows it.
struct Shown<'a> {
    version: &'a Version,
    status: StatusCode,
    headers: HeaderMap,
    bytes: Range<u64>,
}

macro_rules! read_of {
    ($call:ident, $input:expr) => {{
        let input = $input;
        Read {
            conditions: ReadConditions {
                if_match: input.if_match.clone(),
                if_none_match: input.if_none_match.clone(),
                if_modified_since: input.if_modified_since,
                if_unmodified_since: input.if_unmodified_since,
            },
            range: input.range.clone(),
            part: input.part_number,
            checksums: input.checksum_mode.is_some(),
            overrides: [
                (http::header::CACHE_CONTROL, input.response_cache_control.clone()),
                (http::header::CONTENT_DISPOSITION, input.response_content_disposition.clone()),
                (http::header::CONTENT_ENCODING, input.response_content_encoding.clone()),
                (http::header::CONTENT_LANGUAGE, input.response_content_language.clone()),
                (http::header::CONTENT_TYPE, input.response_content_type.clone()),
                (http::header::EXPIRES, response_expires($call)),
            ],
        }
    }};
}

/// GetObject.
pub async fn get(
    call: &Call<'_>,
    operation: Authorized<OnVersion<api::GetObjectInput>>,
) -> Result<Response, ServiceError> {
    let read = read_of!(call, &operation.get().target.input);
    let version = unlocked(call, &operation, For::Content).await?;
    let shown = match show(call, &operation, &version, &read).await? {
        Ok(shown) => shown,
        Err(response) => return Ok(response),
    };
    let length = shown.bytes.end - shown.bytes.start;
    let body = match length {
        0 => ResponseBody::Full(bytes::Bytes::new()),
        _ => stream_body(call, shown.version, shown.bytes.clone(), length).await?,
    };
    Ok(Response { status: shown.status, headers: shown.headers, body })
}

/// HeadObject: as GetObject, without the bytes.
pub async fn head(
    call: &Call<'_>,
    operation: Authorized<OnVersion<api::HeadObjectInput>>,
) -> Result<Response, ServiceError> {
    let read = read_of!(call, &operation.get().target.input);
    // Without a checksum nothing is shown that a key has sealed.
    let what_for = if read.checksums { For::Content } else { For::Metadata };
    let version = unlocked(call, &operation, what_for).await?;
    let shown = match show(call, &operation, &version, &read).await? {
        Ok(shown) => shown,
        Err(response) => return Ok(response),
    };
    let mut response = Response { status: shown.status, headers: shown.headers, body: ResponseBody::Empty };
    let length = shown.bytes.end - shown.bytes.start;
    response.headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}

/// `response-expires` is any text that a client wants to see again, not only a date.
fn response_expires(call: &Call<'_>) -> Option<String> {
    call.query_value("response-expires").map(str::to_owned)
}

/// The version that a read is of. A delete marker is an error that names itself.
pub fn found<I>(operation: &OnVersion<I>) -> Result<&Version, ServiceError> {
    let target = &operation.target;
    let key = target.key.as_str();
    match (&operation.found, target.version) {
        (Found::Object(version), _) => Ok(version),
        (Found::None, None) => Err(errors::no_such_key(key)),
        (Found::None, Some(named)) => Err(errors::no_such_version(key, &named.to_string())),
        (Found::DeleteMarker(marker), None) => Err(errors::no_such_key(key)
            .header("x-amz-delete-marker", "true")
            .header("x-amz-version-id", marker.id.to_string())),
        (Found::DeleteMarker(marker), Some(_)) => Err(errors::method_not_allowed("DeleteMarker")
            .header("x-amz-delete-marker", "true")
            .header("x-amz-version-id", marker.id.to_string())
            .header("allow", "DELETE")
            .header("last-modified", http_date(marker.modified.seconds()))),
    }
}

/// The version that a read is of, with its key at hand where it is needed and the caller may use it.
async fn unlocked<I>(
    call: &Call<'_>,
    operation: &Authorized<OnVersion<I>>,
    what_for: For,
) -> Result<Version, ServiceError> {
    let mut version = found(operation.get())?.clone();
    let customer = call.customer_key()?;
    call.unlock(&operation.get().target.bucket, &mut version, customer.as_ref(), what_for).await?;
    Ok(version)
}

/// Everything of an answer but the bytes; an inner error is an answer without an object, such as 304.
async fn show<'a, I>(
    call: &Call<'_>,
    operation: &Authorized<OnVersion<I>>,
    version: &'a Version,
    read: &Read,
) -> Result<Result<Shown<'a>, Response>, ServiceError> {
    let Some(object) = version.object() else { return Err(ServiceError::internal()) };
    let versioned = operation.get().target.bucket.versioning != millpond_lake::Versioning::Unset;
    let mut headers = base_headers(version, object, versioned);
    let customer = call.customer_key()?;
    encryption::set(&mut headers, encryption::Shown { encryption: version.encryption(), customer: customer.as_ref() });
    match read.conditions.judge(&object.etag, version.modified) {
        Outcome::Proceed => {}
        Outcome::Failed(condition) => return Err(precondition_failed(condition)),
        Outcome::NotModified => {
            metadata::to_headers(&object.metadata, &mut headers);
            headers.remove(http::header::CONTENT_TYPE);
            return Ok(Err(Response { status: StatusCode::NOT_MODIFIED, headers, body: ResponseBody::Empty }));
        }
    }
    metadata::to_headers(&object.metadata, &mut headers);
    override_headers(call, read, &mut headers)?;
    if !object.tags.is_empty() {
        headers.insert(HeaderName::from_static("x-amz-tagging-count"), HeaderValue::from(object.tags.len()));
    }
    let whole = 0..object.size;
    let range = read.range.as_ref().filter(|_| same_as_before(call, &object.etag, version.modified));
    let bytes = match (&range, read.part) {
        (Some(_), Some(_)) => {
            return Err(errors::invalid_request("Cannot specify both Range header and partNumber query parameter"));
        }
        (None, Some(number)) => part(call, version, number, read.checksums, &mut headers).await?,
        (range, None) => {
            let bytes = ranged(range.map(String::as_str), object.size)?;
            if let Some(checksum) = object.checksum.as_ref().filter(|_| read.checksums && bytes.is_none()) {
                set_checksum(&mut headers, checksum, object.parts);
            }
            bytes
        }
    };
    let status = if bytes.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    if let Some(bytes) = bytes.as_ref().filter(|bytes| !bytes.is_empty()) {
        let value = format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, object.size);
        answer::set(&mut headers, http::header::CONTENT_RANGE, &value);
    }
    Ok(Ok(Shown { version, status, headers, bytes: bytes.unwrap_or(whole) }))
}

/// Whether `If-Range` lets a range be served: the object is the one of which the client has a part (RFC 9110, section 13.1.5).
/// Weak tags never match, nor do times that are not the very time.
fn same_as_before(call: &Call<'_>, etag: &str, modified: Timestamp) -> bool {
    let Some(value) = call.headers().get(http::header::IF_RANGE) else { return true };
    let value = value.to_str().unwrap_or_default().trim();
    match value.strip_prefix('"') {
        Some(tag) => tag.strip_suffix('"') == Some(etag),
        None => parse_http_date(value).is_some_and(|time| time.seconds() == modified.seconds()),
    }
}

fn base_headers(version: &Version, object: &Object, versioned: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(http::header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer::set(&mut headers, http::header::ETAG, &answer::quoted(&object.etag));
    answer::set(&mut headers, http::header::LAST_MODIFIED, &http_date(version.modified.seconds()));
    set_version(&mut headers, versioned, version.id);
    headers
}

fn override_headers(call: &Call<'_>, read: &Read, headers: &mut HeaderMap) -> Result<(), ServiceError> {
    for (name, value) in &read.overrides {
        let Some(value) = value else { continue };
        if call.caller.is_anonymous() {
            return Err(errors::invalid_request(
                "Request specific response headers cannot be used for anonymous GET requests.",
            ));
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(errors::invalid_argument(name.as_str(), None, "A response header has no control characters."));
        }
        answer::set(headers, name.clone(), value);
    }
    Ok(())
}

/// The bytes that a `Range` header asks for; `None` for the whole object.
fn ranged(range: Option<&str>, size: u64) -> Result<Option<Range<u64>>, ServiceError> {
    match range::wanted(range, size) {
        Wanted::Whole => Ok(None),
        Wanted::Part(bytes) => Ok(Some(bytes)),
        Wanted::Unsatisfiable => Err(ServiceError::new("InvalidRange", 416, "The requested range is not satisfiable")
            .field("RangeRequested", range.unwrap_or_default())
            .field("ActualObjectSize", size.to_string())
            .header("content-range", format!("bytes */{size}"))),
    }
}

/// The bytes of one part.
async fn part(
    call: &Call<'_>,
    version: &Version,
    number: i32,
    checksums: bool,
    headers: &mut HeaderMap,
) -> Result<Option<Range<u64>>, ServiceError> {
    let out_of_reach = || {
        ServiceError::new("InvalidPartNumber", 416, "The requested partnumber is not satisfiable")
            .field("PartNumberRequested", number.to_string())
    };
    let wanted = u16::try_from(number).ok().filter(|n| (1..=10_000).contains(n));
    let wanted = wanted.ok_or_else(errors::part_number_out_of_range)?;
    let about = About { key: version.key.as_str(), ..About::default() };
    let part = call.s3.lake.part_of(version, wanted).await.map_err(|error| errors::from_lake(error, about))?;
    let part = part.ok_or_else(out_of_reach)?;
    if let Some(count) = part.count {
        headers.insert(HeaderName::from_static("x-amz-mp-parts-count"), HeaderValue::from(count));
    }
    if let Some(checksum) = part.checksum.filter(|_| checksums) {
        answer::set(headers, HeaderName::from_static(checksum.algorithm().header()), &checksum.to_string());
    }
    Ok(Some(part.offset..part.offset + part.size))
}

async fn stream_body(
    call: &Call<'_>,
    version: &Version,
    bytes: Range<u64>,
    length: u64,
) -> Result<ResponseBody, ServiceError> {
    let about = About { key: version.key.as_str(), ..About::default() };
    let mut reader = call.s3.lake.read(version, bytes).await.map_err(|error| errors::from_lake(error, about))?;
    // The first bytes are read before the status is sent, so that damage found there is an error and not a cut.
    let first = match reader.next().await {
        Some(first) => first.map_err(|error| errors::from_lake(error, about))?,
        None => return Err(ServiceError::internal()),
    };
    if first.len() as u64 == length {
        return Ok(ResponseBody::Full(first));
    }
    let chunks = stream::unfold((Some(first), Some(reader)), next_chunk);
    Ok(ResponseBody::Stream { length, chunks: Box::pin(chunks) })
}

type Position = (Option<bytes::Bytes>, Option<BodyReader>);

async fn next_chunk((first, reader): Position) -> Option<(Result<bytes::Bytes, BodyFailed>, Position)> {
    let mut reader = reader?;
    if let Some(first) = first {
        return Some((Ok(first), (None, Some(reader))));
    }
    match reader.next().await? {
        Ok(chunk) => Some((Ok(chunk), (None, Some(reader)))),
        Err(error) => {
            tracing::error!(%error, "an object could not be read to its end");
            Some((Err(BodyFailed(error.to_string())), (None, None)))
        }
    }
}

/// A time as HTTP shows it (RFC 9110, section 5.6.7).
pub fn http_date(seconds: u64) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}
