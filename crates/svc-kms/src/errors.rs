//! KMS's errors: the one place where what went wrong becomes a code, a status and a sentence (KMS API reference, "Common errors", and
//! each operation's). All of them have status 400, but for those that are ours to answer for.

use std::borrow::Cow;

use millpond_kernel::{Denied, NO_SPACE, Refusal, ServiceError, ServiceFault};
use millpond_meta::ReadError;
use millpond_policy::{Denial, Fault, Kind, PolicyError};
use millpond_types::Arn;
use millpond_wire::ParseError;

/// What an access of another account's resource was about, in words that tell no more than was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum About {
    /// The ARN that was given.
    Arn(String),
    /// An alias: whose key it means is not told.
    Alias,
    /// A ciphertext: whose key it is under is not told.
    Ciphertext,
}

/// What went wrong.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum KmsError {
    /// The policies do not allow it.
    #[error("{0}")]
    Denied(String),
    /// The caller is gone.
    #[error("the caller is gone")]
    CallerGone,
    /// No key of that ARN.
    #[error("Key '{0}' does not exist")]
    NoKey(String),
    /// No alias of that ARN.
    #[error("Alias {0} is not found.")]
    NoAlias(String),
    /// A custom key store that does not exist, as none does.
    #[error("{0}")]
    NoStore(String),
    /// Something else that does not exist.
    #[error("{0}")]
    NotFound(String),
    /// An ARN that cannot be, or names no principal.
    #[error("{0}")]
    InvalidArn(String),
    /// An input that breaks a rule that the model does not know.
    #[error("{0}")]
    Validation(String),
    /// Served by AWS, not here, or not for such a key.
    #[error("{0}")]
    Unsupported(String),
    /// The key is disabled.
    #[error("{0} is disabled.")]
    Disabled(String),
    /// The key is in a state that does not allow it; in words.
    #[error("{0}")]
    State(String),
    /// The key is of another kind; in words.
    #[error("{0}")]
    Usage(String),
    /// A ciphertext that is none, was changed, or is bound to another context. It is not told which.
    #[error(
        "The ciphertext is not valid: it is not one of this service, was changed, or has another encryption context."
    )]
    Ciphertext,
    /// The ciphertext is under another key.
    #[error("The key ID in the request does not identify a CMK that can perform this operation.")]
    IncorrectKey,
    /// A code that is not the message's.
    #[error("The HMAC does not match: the message, the key or the HMAC is another one.")]
    Mac,
    /// A grant token that belongs to no grant.
    #[error("The grant token is not valid.")]
    GrantToken,
    /// A grant id that cannot be.
    #[error("{0}")]
    GrantId(String),
    /// A marker that was not given out for this list.
    #[error("The marker is not valid.")]
    Marker,
    /// There is one already.
    #[error("{0}")]
    Exists(String),
    /// A name that is reserved.
    #[error("{0}")]
    Reserved(String),
    /// A limit, named.
    #[error("{0}")]
    Limit(String),
    /// A tag that cannot be.
    #[error("{0}")]
    Tag(String),
    /// A policy that cannot be.
    #[error("{0}")]
    Policy(String),
    /// It would have been done.
    #[error("The request would have succeeded, but the DryRun option is set.")]
    DryRun,
    /// The key's material cannot be opened.
    #[error("The key's material cannot be used.")]
    Unavailable,
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
pub(crate) type Failure = millpond_kernel::Failure<KmsError>;

impl ServiceFault for KmsError {
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

impl From<ReadError> for KmsError {
    fn from(error: ReadError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<PolicyError> for KmsError {
    fn from(error: PolicyError) -> Self {
        match error.fault {
            Fault::TooLarge => Self::Limit(error.to_string()),
            _ => Self::Policy(error.to_string()),
        }
    }
}

impl KmsError {
    /// The kernel's no, to an operation that touches these keys.
    pub fn refused(refusal: Refusal, keys: &[(Arn, About)]) -> Self {
        match refusal {
            Refusal::Denied(denied) => Self::Denied(denied_text(&denied, keys)),
            Refusal::Gone => Self::CallerGone,
            Refusal::Failed(reason) => Self::Internal(reason),
        }
    }

    /// What a foreign caller is told of a key or an alias, whether it exists or not.
    pub fn foreign(principal: &str, action: &str, about: &About) -> Self {
        let on = match about {
            About::Arn(arn) => Cow::Owned(format!("resource: {arn}")),
            About::Alias => Cow::Borrowed("this resource"),
            About::Ciphertext => Cow::Borrowed("the resource associated with this ciphertext"),
        };
        Self::Denied(format!(
            "User: {principal} is not authorized to perform: {action} on {on} because the resource does not exist in this Region, \
             no resource-based policies allow access, or a resource-based policy explicitly denies access"
        ))
    }

    fn code(&self) -> (&'static str, u16) {
        let code = match self {
            Self::Denied(_) => "AccessDeniedException",
            Self::CallerGone => "UnrecognizedClientException",
            Self::NoKey(_) | Self::NoAlias(_) | Self::NotFound(_) => "NotFoundException",
            Self::NoStore(_) => "CustomKeyStoreNotFoundException",
            Self::InvalidArn(_) => "InvalidArnException",
            Self::Validation(_) => "ValidationException",
            Self::Unsupported(_) => "UnsupportedOperationException",
            Self::Disabled(_) => "DisabledException",
            Self::State(_) => "KMSInvalidStateException",
            Self::Usage(_) => "InvalidKeyUsageException",
            Self::Ciphertext => "InvalidCiphertextException",
            Self::IncorrectKey => "IncorrectKeyException",
            Self::Mac => "KMSInvalidMacException",
            Self::GrantToken => "InvalidGrantTokenException",
            Self::GrantId(_) => "InvalidGrantIdException",
            Self::Marker => "InvalidMarkerException",
            Self::Exists(_) => "AlreadyExistsException",
            Self::Reserved(_) => "NotAuthorizedException",
            Self::Limit(_) => "LimitExceededException",
            Self::Tag(_) => "TagException",
            Self::Policy(_) => "MalformedPolicyDocumentException",
            Self::DryRun => "DryRunOperationException",
            Self::Unavailable => return ("KeyUnavailableException", 500),
            Self::Full => return ("ServiceUnavailable", 503),
            Self::Busy => return ("KMSInternalException", 500),
            Self::Internal(_) => return ("KMSInternalException", 500),
        };
        (code, 400)
    }
}

impl From<KmsError> for ServiceError {
    fn from(error: KmsError) -> Self {
        let (code, status) = error.code();
        let message = match &error {
            KmsError::Internal(reason) => {
                tracing::error!(reason, "a call of the key management service failed");
                "An internal error occurred. Please try again.".to_owned()
            }
            KmsError::CallerGone => "The security token included in the request is invalid.".to_owned(),
            other => other.to_string(),
        };
        Self::new(code, status, message)
    }
}

/// A foreign account learns why its own side does not allow, once the resource's does, and nothing else.
fn denied_text(denied: &Denied, keys: &[(Arn, About)]) -> String {
    let own_side = matches!(denied.denial, Denial::Implicit(kind) if kind != Kind::Resource);
    if denied.same_account || own_side {
        return denied.to_string();
    }
    let arn = &denied.access.resource.arn;
    let about = keys.iter().find(|(key, _)| key == arn).map(|(_, about)| about.clone());
    let about = about.unwrap_or_else(|| About::Arn(arn.to_string()));
    KmsError::foreign(&denied.principal, denied.access.action, &about).to_string()
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
    let (null, member) = (if error.is_missing() { " null" } else { "" }, error.lower_member());
    validation(&format!("Value{null} at '{member}' failed to satisfy constraint: {constraint}"))
}

fn validation(text: &str) -> ServiceError {
    ServiceError::new("ValidationException", 400, format!("1 validation error detected: {text}"))
}
