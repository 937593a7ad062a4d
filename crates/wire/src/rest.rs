//! What REST inputs read besides headers, queries and XML or JSON documents.

use bytes::Bytes;

use crate::{ErrorKind, Location, ParseError, Scalar, TimeFormat};

/// The typed value of a required part of the path.
pub fn label<T: Scalar>(text: Option<&str>, member: &'static str, format: TimeFormat) -> Result<T, ParseError> {
    let error = |kind| ParseError::new(member, Location::Uri, kind);
    T::from_text(text.ok_or_else(|| error(ErrorKind::Missing))?, format).map_err(error)
}

/// A body that is a text as a whole; `None` when it is empty.
pub fn text_payload<T: Scalar>(body: &Bytes, member: &'static str) -> Result<Option<T>, ParseError> {
    if body.is_empty() {
        return Ok(None);
    }
    let error = |kind| ParseError::new(member, Location::Body, kind);
    let text = std::str::from_utf8(body).map_err(|_| error(ErrorKind::NotUtf8))?;
    T::from_text(text, TimeFormat::Iso8601).map(Some).map_err(error)
}

/// A body that is bytes as a whole; `None` when it is empty.
pub fn blob_payload(body: &Bytes) -> Option<Bytes> {
    (!body.is_empty()).then(|| body.clone())
}
