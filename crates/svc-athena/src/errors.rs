//! The service's errors: the one place where what went wrong becomes a code, a status and a sentence (Athena API reference).

use millpond_kernel::streams::StepError;
use millpond_kernel::{NO_SPACE, Refusal, ServiceError, ServiceFault};
use millpond_meta::ReadError;
use millpond_meta::key::MalformedKey;
use millpond_seal::Unopened;
use millpond_wire::ParseError;

/// What went wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum AthenaError {
    /// The policies do not allow it.
    #[error("{0}")]
    Denied(String),
    /// The caller is gone.
    #[error("The security token included in the request is invalid.")]
    CallerGone,
    /// An input that breaks a rule that the model does not know, or names something that is not there.
    #[error("{0}")]
    Invalid(String),
    /// There is no such resource.
    #[error("{0}")]
    NotFound(String),
    /// The catalog refuses.
    #[error("{0}")]
    Metadata(String),
    /// Too many queries.
    #[error(
        "You have exceeded the limit for the number of queries you can run concurrently. Please reduce the number of concurrent queries submitted by this account."
    )]
    TooMany,
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

pub(crate) fn invalid<T>(text: impl Into<String>) -> Result<T, AthenaError> {
    Err(AthenaError::Invalid(text.into()))
}

pub(crate) fn unserved<T>(what: impl Into<String>) -> Result<T, AthenaError> {
    Err(AthenaError::Unserved(what.into()))
}

/// Why a handler did not come to its end.
pub(crate) type Failure = millpond_kernel::Failure<AthenaError>;

impl ServiceFault for AthenaError {
    fn full() -> Self {
        Self::Full
    }

    fn too_large(text: String) -> Self {
        Self::Invalid(text)
    }

    fn busy() -> Self {
        Self::Busy
    }

    fn internal(reason: String) -> Self {
        Self::Internal(reason)
    }
}

impl From<ReadError> for AthenaError {
    fn from(error: ReadError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<MalformedKey> for AthenaError {
    fn from(error: MalformedKey) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Unopened> for AthenaError {
    fn from(error: Unopened) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Refusal> for AthenaError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denied) => Self::Denied(denied.to_string()),
            Refusal::Gone => Self::CallerGone,
            Refusal::Failed(reason) => Self::Internal(reason),
        }
    }
}

impl From<AthenaError> for StepError {
    fn from(error: AthenaError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<AthenaError> for ServiceError {
    fn from(error: AthenaError) -> Self {
        let code = match &error {
            AthenaError::Denied(_) => "AccessDeniedException",
            AthenaError::CallerGone => "UnrecognizedClientException",
            AthenaError::Invalid(text) => return bad_request(text),
            AthenaError::NotFound(_) => "ResourceNotFoundException",
            AthenaError::Metadata(_) => "MetadataException",
            AthenaError::TooMany => {
                let reason = "CONCURRENT_QUERY_LIMIT_EXCEEDED";
                return Self::new("TooManyRequestsException", 400, error.to_string()).field("Reason", reason);
            }
            AthenaError::Unserved(what) => return Self::not_implemented(what),
            AthenaError::Busy => "TooManyRequestsException",
            AthenaError::Full => return Self::no_space("ServiceUnavailable"),
            AthenaError::Internal(reason) => {
                tracing::error!(reason, "a call of Athena failed");
                return Self::new("InternalServerException", 500, "Internal error. Please try again.");
            }
        };
        Self::new(code, 400, error.to_string())
    }
}

fn bad_request(text: &str) -> ServiceError {
    ServiceError::new("InvalidRequestException", 400, text).field("AthenaErrorCode", "INVALID_INPUT")
}

/// For who did not sign.
pub(crate) fn unsigned() -> ServiceError {
    ServiceError::new("MissingAuthenticationTokenException", 400, "Missing Authentication Token")
}

/// An input that does not fit the model, in AWS's words.
pub(crate) fn from_parse(error: &ParseError) -> ServiceError {
    let Some(constraint) = error.constraint() else {
        return ServiceError::new("SerializationException", 400, error.to_string());
    };
    let (null, member) = (if error.is_missing() { " null" } else { "" }, error.lower_member());
    bad_request(&format!(
        "1 validation error detected: Value{null} at '{member}' failed to satisfy constraint: {constraint}"
    ))
}
