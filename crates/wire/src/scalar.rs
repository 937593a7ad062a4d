//! The simple types of a model: text forms, JSON forms.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::HeaderValue;
use millpond_types::Timestamp;
use serde_json::Value;

use crate::parse_error::echo;
use crate::time::{self, TimeFormat};
use crate::{ErrorKind, headers, json, xml};

/// Decodes with or without padding: both are met.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// A value that stands in a header, a query parameter, an XML text or a JSON scalar. `format` matters to timestamps alone.
pub trait Scalar: Sized {
    /// Whether white space around an XML text belongs to the value (only strings).
    const KEEP_SPACE: bool = false;
    /// Whether the value is a timestamp, whose text may hold a comma.
    const IS_TIME: bool = false;

    /// Reads the text form.
    fn from_text(text: &str, format: TimeFormat) -> Result<Self, ErrorKind>;

    /// Reads the text form, taking the text over where that saves a copy.
    fn from_cow(text: Cow<'_, str>, format: TimeFormat) -> Result<Self, ErrorKind> {
        Self::from_text(&text, format)
    }

    /// Appends the text form.
    fn push_text(&self, out: &mut String, format: TimeFormat);

    /// Appends the text form with what XML reserves escaped.
    fn push_xml(&self, out: &mut String, format: TimeFormat) {
        self.push_text(out, format);
    }

    /// The value of a response header.
    fn to_header(&self, format: TimeFormat) -> HeaderValue {
        let mut text = String::new();
        self.push_text(&mut text, format);
        headers::value(&text)
    }

    /// Reads the JSON form.
    fn from_json(value: Value, format: TimeFormat) -> Result<Self, ErrorKind>;

    /// Appends the JSON form.
    fn push_json(&self, out: &mut String, format: TimeFormat);
}

/// The error for a JSON value of another type than the model's.
pub(crate) fn wrong_type(expected: &str, value: &Value) -> ErrorKind {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    ErrorKind::MalformedJson { why: format!("expected {expected}, found {found}") }
}

impl Scalar for String {
    const KEEP_SPACE: bool = true;

    fn from_text(text: &str, _: TimeFormat) -> Result<Self, ErrorKind> {
        Ok(text.to_owned())
    }

    fn from_cow(text: Cow<'_, str>, _: TimeFormat) -> Result<Self, ErrorKind> {
        Ok(text.into_owned())
    }

    fn push_text(&self, out: &mut String, _: TimeFormat) {
        out.push_str(self);
    }

    fn push_xml(&self, out: &mut String, _: TimeFormat) {
        xml::push_escaped(out, self);
    }

    fn to_header(&self, _: TimeFormat) -> HeaderValue {
        headers::value(self)
    }

    fn from_json(value: Value, _: TimeFormat) -> Result<Self, ErrorKind> {
        match value {
            Value::String(text) => Ok(text),
            other => Err(wrong_type("a string", &other)),
        }
    }

    fn push_json(&self, out: &mut String, _: TimeFormat) {
        json::push_string(out, self);
    }
}

macro_rules! integer {
    ($type:ty) => {
        impl Scalar for $type {
            fn from_text(text: &str, _: TimeFormat) -> Result<Self, ErrorKind> {
                // `parse` allows a sign in front; AWS does not allow a plus.
                let bad = || ErrorKind::BadNumber { value: echo(text) };
                if text.starts_with('+') {
                    return Err(bad());
                }
                text.parse().map_err(|_| bad())
            }

            fn push_text(&self, out: &mut String, _: TimeFormat) {
                if *self < 0 {
                    out.push('-');
                }
                time::push_decimal(out, u64::from(self.unsigned_abs()));
            }

            fn to_header(&self, _: TimeFormat) -> HeaderValue {
                HeaderValue::from(*self)
            }

            fn from_json(value: Value, _: TimeFormat) -> Result<Self, ErrorKind> {
                let Value::Number(number) = &value else { return Err(wrong_type("a number", &value)) };
                let whole = number.as_i64().or_else(|| whole(number.as_f64()?));
                whole
                    .and_then(|whole| Self::try_from(whole).ok())
                    .ok_or_else(|| ErrorKind::BadNumber { value: number.to_string() })
            }

            fn push_json(&self, out: &mut String, format: TimeFormat) {
                self.push_text(out, format);
            }
        }
    };
}

integer!(i32);
integer!(i64);

/// A number such as `1e3` that is whole and exact.
fn whole(number: f64) -> Option<i64> {
    // Beyond 2^53 an f64 no longer tells neighbours apart.
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}

impl Scalar for f64 {
    fn from_text(text: &str, _: TimeFormat) -> Result<Self, ErrorKind> {
        match text {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            // `parse` also takes words such as "inf".
            _ if text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')) => {
                text.parse().map_err(|_| ErrorKind::BadNumber { value: echo(text) })
            }
            _ => Err(ErrorKind::BadNumber { value: echo(text) }),
        }
    }

    fn push_text(&self, out: &mut String, _: TimeFormat) {
        if self.is_nan() {
            out.push_str("NaN");
        } else if self.is_infinite() {
            out.push_str(if *self > 0.0 { "Infinity" } else { "-Infinity" });
        } else {
            use std::fmt::Write;
            // Writing to a String cannot fail.
            let _ = write!(out, "{self}");
        }
    }

    fn from_json(value: Value, format: TimeFormat) -> Result<Self, ErrorKind> {
        match value {
            Value::Number(number) => number.as_f64().ok_or_else(|| ErrorKind::BadNumber { value: number.to_string() }),
            Value::String(text) if matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity") => {
                Self::from_text(&text, format)
            }
            other => Err(wrong_type("a number", &other)),
        }
    }

    fn push_json(&self, out: &mut String, format: TimeFormat) {
        if self.is_finite() {
            self.push_text(out, format);
        } else {
            out.push('"');
            self.push_text(out, format);
            out.push('"');
        }
    }
}

impl Scalar for bool {
    fn from_text(text: &str, _: TimeFormat) -> Result<Self, ErrorKind> {
        match text {
            _ if text.eq_ignore_ascii_case("true") => Ok(true),
            _ if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(ErrorKind::BadBool { value: echo(text) }),
        }
    }

    fn push_text(&self, out: &mut String, _: TimeFormat) {
        out.push_str(if *self { "true" } else { "false" });
    }

    fn to_header(&self, _: TimeFormat) -> HeaderValue {
        HeaderValue::from_static(if *self { "true" } else { "false" })
    }

    fn from_json(value: Value, _: TimeFormat) -> Result<Self, ErrorKind> {
        value.as_bool().ok_or_else(|| wrong_type("a boolean", &value))
    }

    fn push_json(&self, out: &mut String, format: TimeFormat) {
        self.push_text(out, format);
    }
}

impl Scalar for Timestamp {
    const IS_TIME: bool = true;

    fn from_text(text: &str, format: TimeFormat) -> Result<Self, ErrorKind> {
        time::parse(text, format).ok_or_else(|| ErrorKind::BadTimestamp { value: echo(text) })
    }

    fn push_text(&self, out: &mut String, format: TimeFormat) {
        time::push(out, *self, format);
    }

    fn from_json(value: Value, format: TimeFormat) -> Result<Self, ErrorKind> {
        match (&value, format) {
            (Value::Number(number), TimeFormat::EpochSeconds) => {
                let exact = number.as_u64().and_then(|seconds| seconds.checked_mul(1_000_000_000)).map(Timestamp);
                exact
                    .or_else(|| time::from_epoch(number.as_f64()?))
                    .ok_or_else(|| ErrorKind::BadTimestamp { value: number.to_string() })
            }
            (Value::String(text), TimeFormat::Iso8601 | TimeFormat::Iso8601Millis | TimeFormat::HttpDate) => {
                Self::from_text(text, format)
            }
            _ => Err(wrong_type("a timestamp", &value)),
        }
    }

    fn push_json(&self, out: &mut String, format: TimeFormat) {
        if format == TimeFormat::EpochSeconds {
            self.push_text(out, format);
        } else {
            out.push('"');
            self.push_text(out, format);
            out.push('"');
        }
    }
}

impl Scalar for Bytes {
    fn from_text(text: &str, _: TimeFormat) -> Result<Self, ErrorKind> {
        LENIENT.decode(text).map(Bytes::from).map_err(|_| ErrorKind::BadBase64)
    }

    fn push_text(&self, out: &mut String, _: TimeFormat) {
        STANDARD.encode_string(self, out);
    }

    fn from_json(value: Value, format: TimeFormat) -> Result<Self, ErrorKind> {
        match &value {
            Value::String(text) => Self::from_text(text, format),
            _ => Err(wrong_type("a base64 string", &value)),
        }
    }

    fn push_json(&self, out: &mut String, format: TimeFormat) {
        out.push('"');
        self.push_text(out, format);
        out.push('"');
    }
}

/// Base64 of a text, as headers carry JSON.
pub(crate) fn encode_base64(text: &str) -> String {
    STANDARD.encode(text)
}

/// Text from base64.
pub(crate) fn decode_base64(text: &str) -> Result<String, ErrorKind> {
    let bytes = LENIENT.decode(text).map_err(|_| ErrorKind::BadBase64)?;
    String::from_utf8(bytes).map_err(|_| ErrorKind::NotUtf8)
}

/// Declares an enum of strings; generated code uses it for every enumeration of a model.
#[macro_export]
macro_rules! string_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $variant),*
        }

        impl $name {
            /// All values, in the model's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The value as the wire has it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),*
                }
            }

            /// The value that the wire writes so; `None` when the model does not know it.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::Scalar for $name {
            fn from_text(text: &str, _: $crate::TimeFormat) -> Result<Self, $crate::ErrorKind> {
                Self::parse(text).ok_or_else(|| $crate::ErrorKind::BadEnum { value: text.chars().take(128).collect() })
            }

            fn push_text(&self, out: &mut String, _: $crate::TimeFormat) {
                out.push_str(self.as_str());
            }

            fn push_xml(&self, out: &mut String, _: $crate::TimeFormat) {
                $crate::xml::push_escaped(out, self.as_str());
            }

            fn to_header(&self, _: $crate::TimeFormat) -> $crate::rt::HeaderValue {
                $crate::rt::HeaderValue::from_static(self.as_str())
            }

            fn from_json(
                value: $crate::rt::Value,
                format: $crate::TimeFormat,
            ) -> Result<Self, $crate::ErrorKind> {
                Self::from_text(&<String as $crate::Scalar>::from_json(value, format)?, format)
            }

            fn push_json(&self, out: &mut String, _: $crate::TimeFormat) {
                $crate::json::push_string(out, self.as_str());
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const F: TimeFormat = TimeFormat::EpochSeconds;

    fn text<T: Scalar>(value: T) -> String {
        let mut out = String::new();
        value.push_text(&mut out, F);
        out
    }

    #[test]
    fn integers() {
        for (input, expected) in [
            ("0", Some(0)),
            ("-2147483648", Some(i32::MIN)),
            ("2147483647", Some(i32::MAX)),
            ("2147483648", None),
            ("+1", None),
            ("", None),
            (" 1", None),
            ("1.0", None),
            ("0x1", None),
        ] {
            assert_eq!(i32::from_text(input, F).ok(), expected, "{input:?}");
            if let Some(value) = expected {
                assert_eq!(text(value), input);
            }
        }
        assert_eq!(text(i64::MIN), i64::MIN.to_string());
        assert_eq!(i64::from_json(serde_json::json!(1e3), F), Ok(1000));
        assert!(i64::from_json(serde_json::json!(1.5), F).is_err());
        assert!(i32::from_json(serde_json::json!(1i64 << 40), F).is_err());
        assert!(i32::from_json(serde_json::json!("1"), F).is_err());
    }

    #[test]
    fn floats_take_the_three_words_and_no_others() {
        assert!(f64::from_text("NaN", F).unwrap().is_nan());
        assert_eq!(f64::from_text("-Infinity", F), Ok(f64::NEG_INFINITY));
        assert_eq!(f64::from_text("1.5e3", F), Ok(1500.0));
        for bad in ["inf", "nan", "infinity", "", "1,5", "--1"] {
            assert!(f64::from_text(bad, F).is_err(), "{bad}");
        }
        assert_eq!(text(f64::INFINITY), "Infinity");
        assert_eq!(text(1.5f64), "1.5");
    }

    #[test]
    fn booleans_and_blobs() {
        for (input, expected) in [("true", Some(true)), ("False", Some(false)), ("1", None), ("", None)] {
            assert_eq!(bool::from_text(input, F).ok(), expected, "{input}");
        }
        assert_eq!(Bytes::from_text("dmFsdWU=", F), Ok(Bytes::from_static(b"value")));
        assert_eq!(Bytes::from_text("dmFsdWU", F), Ok(Bytes::from_static(b"value")));
        assert_eq!(Bytes::from_text("dmFs dWU", F), Err(ErrorKind::BadBase64));
    }

    string_enum! {
        /// For the test.
        pub enum Colour { Red = "RED", AwsBlue = "aws:blue" }
    }

    #[test]
    fn enums_are_closed() {
        assert_eq!(Colour::parse("aws:blue"), Some(Colour::AwsBlue));
        assert_eq!(Colour::AwsBlue.as_str(), "aws:blue");
        assert_eq!(Colour::from_text("red", F), Err(ErrorKind::BadEnum { value: "red".into() }));
        assert_eq!(Colour::ALL.len(), 2);
    }
}
