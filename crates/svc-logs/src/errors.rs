//! The service's errors: the one place where what went wrong becomes a code, a status and a sentence (CloudWatch Logs API reference).

use millpond_kernel::{NO_SPACE, Refusal, Rejection, ServiceError, ServiceFault};
use millpond_meta::ReadError;
use millpond_meta::key::MalformedKey;
use millpond_wire::ParseError;

/// What went wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum LogsError {
    /// The policies do not allow it.
    #[error("{0}")]
    Denied(String),
    /// The caller is gone.
    #[error("The security token included in the request is invalid.")]
    CallerGone,
    /// No such group, stream or policy.
    #[error("{0}")]
    NotFound(&'static str),
    /// There is one already.
    #[error("{0}")]
    Exists(&'static str),
    /// An input that breaks a rule that the model does not know.
    #[error("{0}")]
    Invalid(String),
    /// A limit, named.
    #[error("{0}")]
    Limit(String),
    /// Too many tags.
    #[error("A log group can have up to 50 tags.")]
    TooManyTags,
    /// Served by AWS, not here.
    #[error("{0}")]
    Unserved(&'static str),
    /// Others changed the same again and again.
    #[error("Multiple concurrent requests to update the same resource were in conflict.")]
    Aborted,
    /// There is no room.
    #[error("{NO_SPACE}")]
    Full,
    /// Something of ours failed; the reason is for the log.
    #[error("internal: {0}")]
    Internal(String),
}

pub(crate) const NO_GROUP: LogsError = LogsError::NotFound("The specified log group does not exist.");
pub(crate) const NO_STREAM: LogsError = LogsError::NotFound("The specified log stream does not exist.");

/// Why a handler did not come to its end.
pub(crate) type Failure = millpond_kernel::Failure<LogsError>;

impl ServiceFault for LogsError {
    fn full() -> Self {
        Self::Full
    }

    fn too_large(text: String) -> Self {
        Self::Invalid(text)
    }

    fn busy() -> Self {
        Self::Aborted
    }

    fn internal(reason: String) -> Self {
        Self::Internal(reason)
    }
}

impl From<ReadError> for LogsError {
    fn from(error: ReadError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<MalformedKey> for LogsError {
    fn from(error: MalformedKey) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Refusal> for LogsError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denied) => Self::Denied(denied.to_string()),
            Refusal::Gone => Self::CallerGone,
            Refusal::Failed(reason) => Self::Internal(reason),
        }
    }
}

impl From<LogsError> for ServiceError {
    fn from(error: LogsError) -> Self {
        let (code, status) = match &error {
            LogsError::Denied(_) => ("AccessDeniedException", 400),
            LogsError::CallerGone => ("UnrecognizedClientException", 400),
            LogsError::NotFound(_) => ("ResourceNotFoundException", 400),
            LogsError::Exists(_) => ("ResourceAlreadyExistsException", 400),
            LogsError::Invalid(_) => ("InvalidParameterException", 400),
            LogsError::Limit(_) => ("LimitExceededException", 400),
            LogsError::TooManyTags => ("TooManyTagsException", 400),
            LogsError::Aborted => ("OperationAbortedException", 400),
            LogsError::Full => ("ServiceUnavailableException", 503),
            LogsError::Unserved(what) => return Self::not_implemented(what),
            LogsError::Internal(reason) => {
                tracing::error!(reason, "a call of the log service failed");
                return Self::new("ServiceUnavailableException", 500, "The service cannot complete the request.");
            }
        };
        Self::new(code, status, error.to_string())
    }
}

impl From<LogsError> for Rejection {
    fn from(error: LogsError) -> Self {
        match error {
            LogsError::Denied(text) => Self::Denied(text),
            LogsError::CallerGone => Self::Denied(error.to_string()),
            LogsError::NotFound(text) => Self::NotFound(text.to_owned()),
            LogsError::Invalid(text) | LogsError::Limit(text) => Self::Invalid(text),
            LogsError::TooManyTags | LogsError::Unserved(_) => Self::Invalid(error.to_string()),
            // These pass: another made it meanwhile, or there will be room again.
            LogsError::Exists(_) | LogsError::Aborted | LogsError::Full | LogsError::Internal(_) => {
                Self::Failed(error.to_string())
            }
        }
    }
}

/// 400 for who did not sign.
pub(crate) fn unsigned() -> ServiceError {
    ServiceError::new("MissingAuthenticationTokenException", 400, "Request is missing Authentication Token")
}

/// An input that does not fit the model, in AWS's words.
pub(crate) fn from_parse(error: &ParseError) -> ServiceError {
    let Some(constraint) = error.constraint() else {
        return ServiceError::new("SerializationException", 400, error.to_string());
    };
    let (null, member) = (if error.is_missing() { " null" } else { "" }, &error.member);
    invalid(&format!("Value{null} at '{member}' failed to satisfy constraint: {constraint}"))
}

fn invalid(text: &str) -> ServiceError {
    ServiceError::new("InvalidParameterException", 400, format!("1 validation error detected: {text}"))
}
