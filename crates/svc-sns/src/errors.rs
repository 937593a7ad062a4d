//! The service's errors: the one place where what went wrong becomes a code, a status and a sentence (SNS API reference, "Common errors", and
//! each operation's; the sentences are those that the service really gives).

use millpond_kernel::{NO_SPACE, Refusal, Rejection, ServiceError, ServiceFault};
use millpond_meta::ReadError;
use millpond_policy::PolicyError;
use millpond_wire::{ErrorKind, ParseError};

/// What went wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum SnsError {
    /// The policies do not allow it.
    #[error("{0}")]
    Denied(String),
    /// The caller is gone.
    #[error("The security token included in the request is invalid.")]
    CallerGone,
    /// There is no such topic or subscription.
    #[error("{0} does not exist")]
    NotFound(&'static str),
    /// There is no such resource, in operations on tags.
    #[error("Resource does not exist")]
    ResourceNotFound,
    /// A parameter that does not fit.
    #[error("Invalid parameter: {0}")]
    Parameter(String),
    /// A message attribute that does not fit.
    #[error("{0}")]
    Value(String),
    /// A batch that does not fit: its code and its sentence.
    #[error("{1}")]
    Batch(&'static str, &'static str),
    /// A parameter or a value that is not carried out.
    #[error("{0} is not implemented by this server.")]
    Unserved(String),
    /// A limit: its code and its sentence.
    #[error("{1}")]
    Limit(&'static str, String),
    /// There is no room.
    #[error("{NO_SPACE}")]
    Full,
    /// Others changed the same again and again.
    #[error("The request was not carried out, as others change the same. Please try again.")]
    Busy,
    /// Something of ours failed; the reason is for the log.
    #[error("internal: {0}")]
    Internal(String),
}

/// Why a handler did not come to its end.
pub(crate) type Failure = millpond_kernel::Failure<SnsError>;

impl ServiceFault for SnsError {
    fn full() -> Self {
        Self::Full
    }

    fn too_large(text: String) -> Self {
        Self::Parameter(text)
    }

    fn busy() -> Self {
        Self::Busy
    }

    fn internal(reason: String) -> Self {
        Self::Internal(reason)
    }
}

impl From<ReadError> for SnsError {
    fn from(error: ReadError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<PolicyError> for SnsError {
    fn from(error: PolicyError) -> Self {
        Self::Parameter(format!("Policy Error: {error}"))
    }
}

impl From<Refusal> for SnsError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denied) => Self::Denied(denied.to_string()),
            Refusal::Gone => Self::CallerGone,
            Refusal::Failed(reason) => Self::Internal(reason),
        }
    }
}

impl From<SnsError> for Rejection {
    fn from(error: SnsError) -> Self {
        match error {
            SnsError::Denied(text) => Self::Denied(text),
            SnsError::NotFound(_) | SnsError::ResourceNotFound => Self::NotFound(error.to_string()),
            SnsError::CallerGone | SnsError::Full | SnsError::Busy | SnsError::Internal(_) | SnsError::Limit(..) => {
                Self::Failed(error.to_string())
            }
            _ => Self::Invalid(error.to_string()),
        }
    }
}

impl SnsError {
    /// `Invalid parameter: what`.
    pub fn parameter(what: impl Into<String>) -> Self {
        Self::Parameter(what.into())
    }

    fn code(&self) -> (&'static str, u16) {
        match self {
            Self::Denied(_) => ("AuthorizationError", 403),
            Self::CallerGone => ("InvalidClientTokenId", 403),
            Self::NotFound(_) => ("NotFound", 404),
            Self::ResourceNotFound => ("ResourceNotFound", 404),
            Self::Parameter(_) => ("InvalidParameter", 400),
            Self::Value(_) => ("ParameterValueInvalid", 400),
            Self::Batch(code, _) => (code, 400),
            Self::Unserved(_) => ("NotImplemented", 501),
            Self::Limit(code, _) => (code, 403),
            Self::Busy => ("ConcurrentAccess", 400),
            Self::Full => ("ServiceUnavailable", 503),
            Self::Internal(_) => ("InternalError", 500),
        }
    }

    /// Code and sentence, as they stand in the entry of a batch; whether the sender is at fault.
    pub fn entry(&self) -> (&'static str, String, bool) {
        let (code, status) = self.code();
        (code, self.told(), status < 500)
    }

    fn told(&self) -> String {
        match self {
            Self::Internal(reason) => {
                tracing::error!(reason, "a call of the notification service failed");
                "An internal error occurred. Please try again.".to_owned()
            }
            other => other.to_string(),
        }
    }
}

impl From<SnsError> for ServiceError {
    fn from(error: SnsError) -> Self {
        let (code, status) = error.code();
        Self::new(code, status, error.told())
    }
}

/// 403 for who did not sign.
pub(crate) fn unsigned() -> ServiceError {
    ServiceError::new("MissingAuthenticationToken", 403, "Request is missing Authentication Token")
}

/// An input that does not fit the model.
pub(crate) fn from_parse(error: &ParseError) -> ServiceError {
    let member = &error.member;
    let text = match &error.kind {
        ErrorKind::Missing => {
            let text = format!(
                "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null",
                error.lower_member()
            );
            return ServiceError::new("ValidationError", 400, text);
        }
        _ => format!("Invalid parameter: {member} Reason: {error}"),
    };
    ServiceError::new("InvalidParameter", 400, text)
}
