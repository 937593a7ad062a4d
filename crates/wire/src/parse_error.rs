//! Why a request could not be read.

use std::borrow::Cow;
use std::fmt;

/// Where in the request a member stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Location {
    /// A part of the path, such as the object key.
    Uri,
    /// A query parameter.
    Query,
    /// A header.
    Header,
    /// The body: an XML element, a JSON member or a form parameter.
    Body,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uri => "path",
            Self::Query => "query parameter",
            Self::Header => "header",
            Self::Body => "body",
        })
    }
}

/// A request that does not fit the operation's model. Services map it to the error AWS gives.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{location} {member}: {kind}")]
pub struct ParseError {
    /// The name on the wire: header, query parameter, XML element; empty when the whole document is meant.
    pub member: Cow<'static, str>,
    /// Where the member stands.
    pub location: Location,
    /// What is wrong with it.
    pub kind: ErrorKind,
}

/// The most characters of an offending value that an error carries.
const MAX_ECHO: usize = 512;

impl ParseError {
    /// An error about one member.
    pub fn new(member: impl Into<Cow<'static, str>>, location: Location, kind: ErrorKind) -> Self {
        Self { member: member.into(), location, kind }
    }

    /// The document as a whole is not XML.
    pub fn malformed_xml(why: impl Into<String>) -> Self {
        Self::new("", Location::Body, ErrorKind::MalformedXml { why: why.into() })
    }

    /// The constraint of the model that does not hold, as AWS words it behind `failed to satisfy constraint: `; none where the request cannot be read
    /// at all.
    pub fn constraint(&self) -> Option<String> {
        Some(match &self.kind {
            ErrorKind::Missing => "Member must not be null".to_owned(),
            ErrorKind::TooShort { min, .. } => format!("Member must have length greater than or equal to {min}"),
            ErrorKind::TooLong { max, .. } => format!("Member must have length less than or equal to {max}"),
            ErrorKind::Pattern { pattern, .. } => format!("Member must satisfy regular expression pattern: {pattern}"),
            ErrorKind::BadEnum { .. } => "Member must satisfy enum value set".to_owned(),
            ErrorKind::OutOfRange { value, min, max } => match (min, max) {
                (Some(min), _) if value.parse::<f64>().is_ok_and(|value| value < *min as f64) => {
                    format!("Member must have value greater than or equal to {min}")
                }
                (_, Some(max)) => format!("Member must have value less than or equal to {max}"),
                _ => "Member must have value within its range".to_owned(),
            },
            _ => return None,
        })
    }

    /// The member as services' own models spell it: `UserName` becomes `userName`.
    pub fn lower_member(&self) -> String {
        let mut chars = self.member.chars();
        chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
    }

    /// Whether the member is absent, in AWS's words `null`.
    pub fn is_missing(&self) -> bool {
        self.kind == ErrorKind::Missing
    }

    /// The document as a whole is not JSON, or not the expected kind of JSON.
    pub fn malformed_json(why: impl Into<String>) -> Self {
        Self::new("", Location::Body, ErrorKind::MalformedJson { why: why.into() })
    }
}

/// What is wrong with a member.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ErrorKind {
    /// A required member is absent.
    #[error("required, but missing")]
    Missing,
    /// The member was given twice with different values.
    #[error("given more than once")]
    Duplicate,
    /// Not a number of the member's type.
    #[error("{value:?} is not a valid number")]
    BadNumber {
        /// The value as it came.
        value: String,
    },
    /// Neither `true` nor `false`.
    #[error("{value:?} is not a boolean")]
    BadBool {
        /// The value as it came.
        value: String,
    },
    /// Not a time in the format of the member, or outside the years 1970 to 2554.
    #[error("{value:?} is not a valid timestamp")]
    BadTimestamp {
        /// The value as it came.
        value: String,
    },
    /// Not one of the allowed values.
    #[error("{value:?} is not one of the allowed values")]
    BadEnum {
        /// The value as it came.
        value: String,
    },
    /// Not base64 (RFC 4648, section 4).
    #[error("not valid base64")]
    BadBase64,
    /// Not UTF-8.
    #[error("not valid UTF-8")]
    NotUtf8,
    /// Fewer characters, bytes, items or entries than allowed.
    #[error("length {length} is less than the minimum {min}")]
    TooShort {
        /// The length found.
        length: u64,
        /// The length needed.
        min: u64,
    },
    /// More characters, bytes, items or entries than allowed.
    #[error("length {length} exceeds the maximum {max}")]
    TooLong {
        /// The length found.
        length: u64,
        /// The length allowed.
        max: u64,
    },
    /// A number outside its range; a missing end is open.
    #[error("{value} is outside the allowed range")]
    OutOfRange {
        /// The number found.
        value: String,
        /// The least allowed.
        min: Option<i64>,
        /// The greatest allowed.
        max: Option<i64>,
    },
    /// Does not match the model's regular expression.
    #[error("{value:?} does not match the pattern {pattern}")]
    Pattern {
        /// The value as it came.
        value: String,
        /// The pattern.
        pattern: &'static str,
    },
    /// The body is not well-formed XML, has another root, or text where elements belong.
    #[error("malformed XML: {why}")]
    MalformedXml {
        /// What the reader found.
        why: String,
    },
    /// The body is not JSON or of another JSON type than the model says.
    #[error("malformed JSON: {why}")]
    MalformedJson {
        /// What the reader found.
        why: String,
    },
    /// A union (exactly one of several members) has no member or more than one.
    #[error("exactly one member must be set")]
    NotOne,
    /// Nested deeper than the limit.
    #[error("nested deeper than {limit}")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// More elements, parameters or bytes than the limit.
    #[error("larger than the limit of {limit}")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

/// The value as an error echoes it: bounded, cut at a character.
pub(crate) fn echo(value: &str) -> String {
    if value.len() <= MAX_ECHO {
        return value.to_owned();
    }
    let mut end = MAX_ECHO;
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    value[..end].to_owned()
}

/// The value of a required member.
pub fn required<T>(value: Option<T>, member: &'static str, location: Location) -> Result<T, ParseError> {
    value.ok_or_else(|| ParseError::new(member, location, ErrorKind::Missing))
}

/// Sets a body member that must not come twice.
pub fn once<T>(slot: &mut Option<T>, value: T, member: &'static str) -> Result<(), ParseError> {
    if slot.replace(value).is_some() {
        return Err(ParseError::new(member, Location::Body, ErrorKind::Duplicate));
    }
    Ok(())
}
