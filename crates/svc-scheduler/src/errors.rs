//! The service's errors: the one place where what went wrong becomes a code, a status and a sentence (EventBridge Scheduler API reference).

use millpond_kernel::streams::StepError;
use millpond_kernel::{NO_SPACE, Refusal, Rejection, ServiceError, ServiceFault};
use millpond_meta::ReadError;
use millpond_meta::key::MalformedKey;
use millpond_wire::ParseError;

/// What went wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum SchedulerError {
    /// The policies do not allow it.
    #[error("{0}")]
    Denied(String),
    /// The caller is gone.
    #[error("The security token included in the request is invalid.")]
    CallerGone,
    /// There is none of that name.
    #[error("{0} does not exist.")]
    NotFound(String),
    /// There is one already, or it is in a state that does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// An input that breaks a rule that the model does not know.
    #[error("{0}")]
    Validation(String),
    /// Served by AWS, not here.
    #[error("{0}")]
    Unserved(String),
    /// Others changed the same again and again.
    #[error("The request was not carried out, as others change the same. Please try again.")]
    Busy,
    /// There is no room.
    #[error("{NO_SPACE}")]
    Full,
    /// Something of ours failed; the reason is for the log.
    #[error("internal: {0}")]
    Internal(String),
}

pub(crate) fn invalid<T>(text: impl Into<String>) -> Result<T, SchedulerError> {
    Err(SchedulerError::Validation(text.into()))
}

pub(crate) fn unserved<T>(what: impl Into<String>) -> Result<T, SchedulerError> {
    Err(SchedulerError::Unserved(what.into()))
}

/// Why a handler did not come to its end.
pub(crate) type Failure = millpond_kernel::Failure<SchedulerError>;

impl ServiceFault for SchedulerError {
    fn full() -> Self {
        Self::Full
    }

    fn too_large(text: String) -> Self {
        Self::Validation(text)
    }

    fn busy() -> Self {
        Self::Busy
    }

    fn internal(reason: String) -> Self {
        Self::Internal(reason)
    }
}

impl From<ReadError> for SchedulerError {
    fn from(error: ReadError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<MalformedKey> for SchedulerError {
    fn from(error: MalformedKey) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Refusal> for SchedulerError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denied) => Self::Denied(denied.to_string()),
            Refusal::Gone => Self::CallerGone,
            Refusal::Failed(reason) => Self::Internal(reason),
        }
    }
}

impl From<SchedulerError> for StepError {
    fn from(error: SchedulerError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<SchedulerError> for ServiceError {
    fn from(error: SchedulerError) -> Self {
        let (code, status) = match &error {
            SchedulerError::Denied(_) => ("AccessDeniedException", 403),
            SchedulerError::CallerGone => ("UnrecognizedClientException", 403),
            SchedulerError::NotFound(_) => ("ResourceNotFoundException", 404),
            SchedulerError::Conflict(_) => ("ConflictException", 409),
            SchedulerError::Validation(_) => ("ValidationException", 400),
            SchedulerError::Unserved(what) => return Self::not_implemented(what),
            SchedulerError::Busy => ("ThrottlingException", 429),
            SchedulerError::Full => ("ServiceUnavailable", 503),
            SchedulerError::Internal(reason) => {
                tracing::error!(reason, "a call of the scheduler failed");
                let text = "Unexpected error encountered while processing the request.";
                return Self::new("InternalServerException", 500, text);
            }
        };
        Self::new(code, status, error.to_string())
    }
}

/// What a dead letter says of a rejection: code and words.
pub(crate) fn told(rejection: &Rejection) -> (&'static str, &str) {
    match rejection {
        Rejection::NotFound(text) => ("ResourceNotFoundException", text),
        Rejection::Denied(text) => ("AccessDeniedException", text),
        Rejection::Invalid(text) => ("ValidationException", text),
        Rejection::Failed(text) => ("InternalServerException", text),
    }
}

/// 403 for who did not sign.
pub(crate) fn unsigned() -> ServiceError {
    ServiceError::new("MissingAuthenticationTokenException", 403, "Missing Authentication Token")
}

/// An input that does not fit the model, in AWS's words.
pub(crate) fn from_parse(error: &ParseError) -> ServiceError {
    let Some(constraint) = error.constraint() else {
        return ServiceError::new("SerializationException", 400, error.to_string());
    };
    let (null, member) = (if error.is_missing() { " null" } else { "" }, error.lower_member());
    validation(&format!("Value{null} at '{member}' failed to satisfy constraint: {constraint}"))
}

fn validation(text: &str) -> ServiceError {
    ServiceError::new("ValidationException", 400, format!("1 validation error detected: {text}"))
}
