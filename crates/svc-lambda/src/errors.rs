//! The service's errors: the one place where what went wrong becomes a code, a status and a sentence (Lambda API reference).

use millpond_api_lambda::errors as codes;
use millpond_kernel::{Refusal, Rejection, ServiceError};
use millpond_meta::key::MalformedKey;
use millpond_meta::{CommitError, ReadError};
use millpond_policy::PolicyError;
use millpond_seal::Unopened;
use millpond_wire::{ErrorDef, ErrorKind, ParseError};

/// What went wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum LambdaError {
    /// The policies do not allow it.
    #[error("{0}")]
    Denied(String),
    /// The caller is gone.
    #[error("The security token included in the request is invalid.")]
    CallerGone,
    /// An error that the model lists.
    #[error("{1}")]
    Of(ErrorDef, String),
    /// An input that breaks a rule in a way that the model could know.
    #[error("1 validation error detected: {0}")]
    Validation(String),
    /// More than may run at once; which limit it is.
    #[error("Rate Exceeded.")]
    TooMany(&'static str),
    /// Served by AWS, not here.
    #[error("{0}")]
    Unserved(String),
    /// Others changed the same again and again.
    #[error("The request was not carried out, as others change the same. Please try again.")]
    Busy,
    /// The server stops; the function did not come to its end.
    #[error("The server is stopping. Please try again.")]
    Stopping,
    /// There is no room.
    #[error("The disk is full.")]
    Full,
    /// Something of ours failed; the reason is for the log.
    #[error("internal: {0}")]
    Internal(String),
}

/// Why a handler did not come to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An answer for the client.
    Error(LambdaError),
    /// What it was decided by has changed meanwhile: it is to be decided anew.
    Changed,
}

/// `InvalidParameterValueException`.
pub(crate) fn parameter(text: impl Into<String>) -> LambdaError {
    LambdaError::Of(codes::INVALID_PARAMETER_VALUE_EXCEPTION, text.into())
}

pub(crate) fn not_found(text: impl Into<String>) -> LambdaError {
    LambdaError::Of(codes::RESOURCE_NOT_FOUND_EXCEPTION, text.into())
}

pub(crate) fn conflict(text: impl Into<String>) -> LambdaError {
    LambdaError::Of(codes::RESOURCE_CONFLICT_EXCEPTION, text.into())
}

pub(crate) fn unserved(what: impl Into<String>) -> LambdaError {
    LambdaError::Unserved(what.into())
}

/// A revision id that is not the one that there is; `how` it is learnt.
pub(crate) fn other_revision(how: &str) -> LambdaError {
    let text = format!(
        "The Revision Id provided does not match the latest Revision Id. Call the {how} API to retrieve the latest Revision Id"
    );
    LambdaError::Of(codes::PRECONDITION_FAILED_EXCEPTION, text)
}

impl From<LambdaError> for Failure {
    fn from(error: LambdaError) -> Self {
        Self::Error(error)
    }
}

impl From<ReadError> for LambdaError {
    fn from(error: ReadError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<MalformedKey> for LambdaError {
    fn from(error: MalformedKey) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Unopened> for LambdaError {
    fn from(error: Unopened) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<millpond_io::IoError> for LambdaError {
    fn from(error: millpond_io::IoError) -> Self {
        if error.is_full() { Self::Full } else { Self::Internal(error.to_string()) }
    }
}

impl From<PolicyError> for LambdaError {
    fn from(error: PolicyError) -> Self {
        parameter(format!("The policy is not valid: {error}"))
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Error(error.into())
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(_) => Self::Changed,
            CommitError::Full => Self::Error(LambdaError::Full),
            other => Self::Error(LambdaError::Internal(other.to_string())),
        }
    }
}

impl From<Refusal> for LambdaError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denied) => Self::Denied(denied.to_string()),
            Refusal::Gone => Self::CallerGone,
            Refusal::Failed(reason) => Self::Internal(reason),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Error(refusal.into())
    }
}

impl From<LambdaError> for Rejection {
    fn from(error: LambdaError) -> Self {
        let text = error.to_string();
        match &error {
            LambdaError::Denied(_) => Self::Denied(text),
            LambdaError::Of(def, _) if def.status == 404 => Self::NotFound(text),
            LambdaError::CallerGone
            | LambdaError::TooMany(_)
            | LambdaError::Busy
            | LambdaError::Stopping
            | LambdaError::Full
            | LambdaError::Internal(_) => Self::Failed(text),
            _ => Self::Invalid(text),
        }
    }
}

impl From<LambdaError> for ServiceError {
    fn from(error: LambdaError) -> Self {
        let text = error.to_string();
        let (code, status) = match error {
            LambdaError::Denied(_) => ("AccessDeniedException", 403),
            LambdaError::CallerGone => ("UnrecognizedClientException", 403),
            LambdaError::Of(def, _) => (def.code, def.status),
            LambdaError::Validation(_) => ("ValidationException", 400),
            LambdaError::TooMany(reason) => {
                let error = Self::new("TooManyRequestsException", 429, text);
                return error.field("Type", "User").field("Reason", reason).header("retry-after", "1");
            }
            LambdaError::Unserved(what) => return Self::not_implemented(&what),
            LambdaError::Busy => ("TooManyRequestsException", 429),
            LambdaError::Full | LambdaError::Stopping => ("ServiceException", 500),
            LambdaError::Internal(reason) => {
                tracing::error!(reason, "a call of the function service failed");
                let text = "An error occurred and the request cannot be processed.";
                return Self::new("ServiceException", 500, text).field("Type", "Service");
            }
        };
        let kind = if status < 500 { "User" } else { "Service" };
        Self::new(code, status, text).field("Type", kind)
    }
}

/// 403 for who did not sign.
pub(crate) fn unsigned() -> ServiceError {
    ServiceError::new("MissingAuthenticationTokenException", 403, "Missing Authentication Token")
}

/// An input that does not fit the model, in AWS's words.
pub(crate) fn from_parse(error: &ParseError) -> ServiceError {
    let mut chars = error.member.chars();
    let member: String = chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default();
    let constraint = match &error.kind {
        ErrorKind::Missing => "Member must not be null".to_owned(),
        ErrorKind::TooShort { min, .. } => format!("Member must have length greater than or equal to {min}"),
        ErrorKind::TooLong { max, .. } => format!("Member must have length less than or equal to {max}"),
        ErrorKind::Pattern { pattern, .. } => format!("Member must satisfy regular expression pattern: {pattern}"),
        ErrorKind::OutOfRange { value, min, max } => match (min, max) {
            (Some(min), _) if value.parse::<f64>().is_ok_and(|value| value < *min as f64) => {
                format!("Member must have value greater than or equal to {min}")
            }
            (_, Some(max)) => format!("Member must have value less than or equal to {max}"),
            _ => "Member must have a value within its range".to_owned(),
        },
        // AWS calls a runtime that it does not have a wrong parameter.
        ErrorKind::BadEnum { value } if member == "runtime" => return crate::settings::no_runtime(value).into(),
        ErrorKind::BadEnum { value } => {
            let text = format!(
                "Value '{value}' at '{member}' failed to satisfy constraint: Member must satisfy enum value set of the API reference"
            );
            return LambdaError::Validation(text).into();
        }
        _ => {
            let text = format!("Could not parse request body into json: {error}");
            return LambdaError::Of(codes::INVALID_REQUEST_CONTENT_EXCEPTION, text).into();
        }
    };
    LambdaError::Validation(format!("Value at '{member}' failed to satisfy constraint: {constraint}")).into()
}
