//! Helpers of the codec between typed values and plain JSON parameters (`params` in `models/services.toml`).

use bytes::Bytes;
use serde_json::Value;

use crate::scalar::wrong_type;
use crate::{Location, ParseError, TimeFormat, json};

/// A blob written as a JSON string of its bytes instead of base64, as parameter files have it.
pub struct RawBlob;

impl RawBlob {
    /// Bytes of a string.
    pub fn read(value: Value) -> Result<Bytes, ParseError> {
        match value {
            Value::String(text) => Ok(Bytes::from(text)),
            other => Err(ParseError::new("", Location::Body, wrong_type("a string", &other))),
        }
    }

    /// A string of the bytes; what is not UTF-8 is shown as the replacement character.
    pub fn write(writer: &mut json::JsonWriter, blob: &Bytes) {
        writer.scalar(&String::from_utf8_lossy(blob).into_owned(), TimeFormat::EpochSeconds);
    }
}
