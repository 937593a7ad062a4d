//! EventBridge's errors: the one place where what went wrong becomes a code, a status and a sentence (API reference, each operation's errors).
//! All of them have status 400, but for those that are ours to answer for.

use millpond_kernel::{NO_SPACE, Refusal, ServiceError, ServiceFault};
use millpond_meta::ReadError;
use millpond_wire::{ErrorKind, ParseError};

/// What went wrong.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum EventsError {
    /// The policies do not allow it.
    #[error("{0}")]
    Denied(String),
    /// The caller is gone.
    #[error("The security token included in the request is invalid.")]
    CallerGone,
    /// No such thing.
    #[error("{0}")]
    NotFound(String),
    /// There is one already.
    #[error("{0}")]
    Exists(String),
    /// An input that breaks a rule that the model does not know.
    #[error("{0}")]
    Validation(String),
    /// An event pattern that is none.
    #[error("{0}")]
    Pattern(String),
    /// A limit, named.
    #[error("{0}")]
    Limit(String),
    /// A policy that is too large.
    #[error("The policy is larger than {0} bytes.")]
    PolicyLength(usize),
    /// It is over, or not begun.
    #[error("{0}")]
    Status(String),
    /// Served by AWS, not here.
    #[error("{0}")]
    Unsupported(String),
    /// There is no room.
    #[error("{NO_SPACE}")]
    Full,
    /// Others changed the same again and again.
    #[error("There is concurrent modification on a rule, target, archive, or replay. Please try again.")]
    Busy,
    /// Something of ours failed; the reason is for the log.
    #[error("internal: {0}")]
    Internal(String),
}

/// Why a handler did not come to its end.
pub(crate) type Failure = millpond_kernel::Failure<EventsError>;

impl ServiceFault for EventsError {
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

impl From<ReadError> for EventsError {
    fn from(error: ReadError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Refusal> for EventsError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denied) => Self::Denied(denied.to_string()),
            Refusal::Gone => Self::CallerGone,
            Refusal::Failed(reason) => Self::Internal(reason),
        }
    }
}

impl EventsError {
    /// A parameter that cannot be, in AWS's form.
    pub fn parameter(name: &str, reason: &str) -> Self {
        Self::Validation(format!("Parameter {name} is not valid. Reason: {reason}"))
    }

    /// A parameter that is not carried out here.
    pub fn not_implemented(what: &str) -> Self {
        Self::Unsupported(format!("{what} is not implemented by this server."))
    }

    pub fn no_bus(name: &str) -> Self {
        Self::NotFound(format!("Event bus {name} does not exist."))
    }

    pub fn no_rule(rule: &str, bus: &str) -> Self {
        Self::NotFound(format!("Rule {rule} does not exist on EventBus {bus}."))
    }

    /// More than a limit.
    pub fn limit() -> Self {
        Self::Limit("The requested resource exceeds the maximum number allowed.".to_owned())
    }

    fn code(&self) -> (&'static str, u16) {
        let code = match self {
            Self::Denied(_) => "AccessDeniedException",
            Self::CallerGone => "UnrecognizedClientException",
            Self::NotFound(_) => "ResourceNotFoundException",
            Self::Exists(_) => "ResourceAlreadyExistsException",
            Self::Validation(_) => "ValidationException",
            Self::Pattern(_) => "InvalidEventPatternException",
            Self::Limit(_) => "LimitExceededException",
            Self::PolicyLength(_) => "PolicyLengthExceededException",
            Self::Status(_) => "IllegalStatusException",
            Self::Busy => "ConcurrentModificationException",
            Self::Unsupported(_) => return ("NotImplemented", 501),
            Self::Full => return ("ServiceUnavailable", 503),
            Self::Internal(_) => return ("InternalException", 500),
        };
        (code, 400)
    }
}

impl From<EventsError> for ServiceError {
    fn from(error: EventsError) -> Self {
        let (code, status) = error.code();
        let message = match &error {
            EventsError::Internal(reason) => {
                tracing::error!(reason, "a call of the event service failed");
                "Service encountered unexpected problem. Please try again.".to_owned()
            }
            other => other.to_string(),
        };
        Self::new(code, status, message)
    }
}

/// 400 for who did not sign.
pub(crate) fn unsigned() -> ServiceError {
    ServiceError::new("MissingAuthenticationTokenException", 400, "Request is missing Authentication Token")
}

/// Members whose values are secret, so that no error repeats them.
const SECRET: &[&str] = &["assword", "ecret", "apiKeyValue", "value"];

/// An input that does not fit the model, in AWS's words.
pub(crate) fn from_parse(error: &ParseError) -> ServiceError {
    let Some(constraint) = error.constraint() else {
        return ServiceError::new("SerializationException", 400, error.to_string());
    };
    let member = error.lower_member();
    let value = match &error.kind {
        ErrorKind::Missing => " null".to_owned(),
        ErrorKind::Pattern { value, .. } | ErrorKind::OutOfRange { value, .. } | ErrorKind::BadEnum { value } => {
            let secret = SECRET.iter().any(|secret| member.contains(secret));
            if secret { String::new() } else { format!(" '{value}'") }
        }
        _ => String::new(),
    };
    validation(&format!("Value{value} at '{member}' failed to satisfy constraint: {constraint}"))
}

fn validation(text: &str) -> ServiceError {
    ServiceError::new("ValidationException", 400, format!("1 validation error detected: {text}"))
}
