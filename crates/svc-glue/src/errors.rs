//! The service's errors: the one place where what went wrong becomes a code, a status and a sentence (AWS Glue Web API reference, "Errors").

use millpond_api_glue::ErrorDetail;
use millpond_kernel::{NO_SPACE, Refusal, ServiceError, ServiceFault};
use millpond_meta::ReadError;
use millpond_meta::key::MalformedKey;
use millpond_wire::ParseError;

/// What went wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum GlueError {
    /// The policies do not allow it.
    #[error("{0}")]
    Denied(String),
    /// The caller is gone.
    #[error("The security token included in the request is invalid.")]
    CallerGone,
    /// No such database, table, partition, ...
    #[error("{0}")]
    NotFound(String),
    /// There is one already.
    #[error("{0}")]
    Exists(String),
    /// An input that breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// A limit, named.
    #[error("{0}")]
    Limit(String),
    /// Others changed the same.
    #[error("{0}")]
    Concurrent(String),
    /// A condition of the request does not hold.
    #[error("{0}")]
    Condition(String),
    /// What the catalog holds does not allow it.
    #[error("{0}")]
    State(String),
    /// What a crawler or its schedule is at does not allow it: the code, and a sentence.
    #[error("{1}")]
    Crawler(&'static str, String),
    /// Served by AWS, not here.
    #[error("{0}")]
    Unserved(String),
    /// There is no room.
    #[error("{NO_SPACE}")]
    Full,
    /// Something of ours failed; the reason is for the log.
    #[error("internal: {0}")]
    Internal(String),
}

/// Why a handler did not come to its end.
pub(crate) type Failure = millpond_kernel::Failure<GlueError>;

pub(crate) fn invalid<T>(text: impl Into<String>) -> Result<T, GlueError> {
    Err(GlueError::Invalid(text.into()))
}

pub(crate) fn no_database(name: &str) -> GlueError {
    GlueError::NotFound(format!("Database {name} not found."))
}

pub(crate) fn no_table(name: &str) -> GlueError {
    GlueError::NotFound(format!("Table {name} not found."))
}

pub(crate) fn no_partition() -> GlueError {
    GlueError::NotFound("Cannot find partition.".to_owned())
}

/// Refuses a parameter that is not carried out, by its name.
pub(crate) fn unserved<T>(what: &str, given: Option<T>) -> Result<(), GlueError> {
    match given {
        Some(_) => Err(GlueError::Unserved(what.to_owned())),
        None => Ok(()),
    }
}

impl GlueError {
    fn code(&self) -> (&'static str, u16) {
        match self {
            Self::Denied(_) => ("AccessDeniedException", 400),
            Self::CallerGone => ("UnrecognizedClientException", 400),
            Self::NotFound(_) => ("EntityNotFoundException", 400),
            Self::Exists(_) => ("AlreadyExistsException", 400),
            Self::Invalid(_) => ("InvalidInputException", 400),
            Self::Limit(_) => ("ResourceNumberLimitExceededException", 400),
            Self::Concurrent(_) => ("ConcurrentModificationException", 400),
            Self::Condition(_) => ("ConditionCheckFailureException", 400),
            Self::State(_) => ("InvalidStateException", 400),
            Self::Crawler(code, _) => (code, 400),
            Self::Unserved(_) => ("NotImplemented", 501),
            Self::Full => ("ServiceUnavailable", 503),
            Self::Internal(_) => ("InternalServiceException", 500),
        }
    }

    /// What a batch says of one entry.
    pub fn detail(&self) -> ErrorDetail {
        ErrorDetail { error_code: Some(self.code().0.to_owned()), error_message: Some(self.to_string()) }
    }
}

impl ServiceFault for GlueError {
    fn full() -> Self {
        Self::Full
    }

    fn too_large(text: String) -> Self {
        Self::Invalid(text)
    }

    fn busy() -> Self {
        Self::Concurrent("Multiple concurrent requests changed the same. Please try again.".to_owned())
    }

    fn internal(reason: String) -> Self {
        Self::Internal(reason)
    }
}

impl From<ReadError> for GlueError {
    fn from(error: ReadError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<MalformedKey> for GlueError {
    fn from(error: MalformedKey) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Refusal> for GlueError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denied) => Self::Denied(denied.to_string()),
            Refusal::Gone => Self::CallerGone,
            Refusal::Failed(reason) => Self::Internal(reason),
        }
    }
}

impl From<GlueError> for ServiceError {
    fn from(error: GlueError) -> Self {
        let (code, status) = error.code();
        match &error {
            GlueError::Unserved(what) => Self::not_implemented(what),
            GlueError::Internal(reason) => {
                tracing::error!(reason, "a call of the data catalog failed");
                Self::new(code, status, "An internal error occurred.")
            }
            _ => Self::new(code, status, error.to_string()),
        }
    }
}

/// 400 for who did not sign.
pub(crate) fn unsigned() -> ServiceError {
    ServiceError::new("MissingAuthenticationTokenException", 400, "Missing Authentication Token")
}

/// An input that does not fit the model, in AWS's words.
pub(crate) fn from_parse(error: &ParseError) -> ServiceError {
    let Some(constraint) = error.constraint() else {
        return ServiceError::new("SerializationException", 400, error.to_string());
    };
    let (null, member) = (if error.is_missing() { " null" } else { "" }, error.lower_member());
    let text =
        format!("1 validation error detected: Value{null} at '{member}' failed to satisfy constraint: {constraint}");
    ServiceError::new("ValidationException", 400, text)
}
