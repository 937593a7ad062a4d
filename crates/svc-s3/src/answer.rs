//! Responses.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use millpond_kernel::{Response, ResponseBody, ServiceError};
use millpond_wire::ResponseParts;

/// A response of headers and perhaps a document, as the codec wrote it.
pub fn document(parts: ResponseParts) -> Result<Response, ServiceError> {
    let status = StatusCode::from_u16(parts.status).map_err(|_| ServiceError::internal())?;
    let body = if parts.body.is_empty() { ResponseBody::Empty } else { ResponseBody::Full(parts.body) };
    Ok(Response { status, headers: parts.headers, body })
}

/// A response without a body.
pub fn empty(status: StatusCode) -> Response {
    Response { status, headers: HeaderMap::new(), body: ResponseBody::Empty }
}

/// Adds a header whose value may hold what no header can; it is left out then.
pub fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}

/// An ETag as answers show it.
pub fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}
