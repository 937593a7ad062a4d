//! Why IAM refuses, and how AWS words it (IAM API reference, "Errors" of each operation).

use millpond_api_iam as api;
use millpond_kernel::{Refusal, ServiceError};
use millpond_policy::PolicyError;

use crate::state::{Kind, StateError};

/// Why IAM refuses.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum IamError {
    /// What was named does not exist.
    #[error("{0}")]
    NoSuchEntity(String),
    /// The name is taken.
    #[error("{0}")]
    EntityAlreadyExists(String),
    /// Something still depends on it.
    #[error("{0}")]
    DeleteConflict(&'static str),
    /// A quota is reached.
    #[error("{0}")]
    LimitExceeded(String),
    /// A policy document that is none.
    #[error("{0}")]
    MalformedPolicy(String),
    /// A parameter that fits the model and nothing else.
    #[error("{0}")]
    InvalidInput(String),
    /// A parameter that is no value of its type.
    #[error("{0}")]
    Validation(String),
    /// What only AWS, or the server's configuration, may change.
    #[error("{0}")]
    Unmodifiable(String),
    /// The policies do not allow it, or there is nothing that they could allow.
    #[error("{0}")]
    AccessDenied(String),
    /// The caller does not exist any more.
    #[error("The security token included in the request is invalid.")]
    Gone,
    /// The store.
    #[error(transparent)]
    State(#[from] StateError),
}

impl IamError {
    /// `The user with name bob cannot be found.`
    pub fn no_entity(kind: Kind, name: &str) -> Self {
        Self::NoSuchEntity(format!("The {} with name {name} cannot be found.", kind.word()))
    }

    /// `The user policy with name p cannot be found.`
    pub fn no_inline(kind: Kind, name: &str) -> Self {
        Self::NoSuchEntity(format!("The {} policy with name {name} cannot be found.", kind.word()))
    }

    /// A managed policy that does not exist.
    pub fn no_policy(arn: &str) -> Self {
        Self::NoSuchEntity(format!("Policy {arn} was not found."))
    }

    /// `Cannot exceed quota for PoliciesPerUser: 10`
    pub fn quota(name: &str, limit: usize) -> Self {
        Self::LimitExceeded(format!("Cannot exceed quota for {name}: {limit}"))
    }
}

impl From<PolicyError> for IamError {
    fn from(error: PolicyError) -> Self {
        Self::MalformedPolicy(error.to_string())
    }
}

impl From<Refusal> for IamError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denied) => Self::AccessDenied(denied.to_string()),
            Refusal::Gone => Self::Gone,
            Refusal::Failed(reason) => Self::State(StateError::Failed(reason)),
        }
    }
}

impl From<IamError> for ServiceError {
    fn from(error: IamError) -> Self {
        let message = error.to_string();
        let of = |def: millpond_wire::ErrorDef| Self::new(def.code, def.status, message.clone());
        match error {
            IamError::NoSuchEntity(_) => of(api::errors::NO_SUCH_ENTITY_EXCEPTION),
            IamError::EntityAlreadyExists(_) => of(api::errors::ENTITY_ALREADY_EXISTS_EXCEPTION),
            IamError::DeleteConflict(_) => of(api::errors::DELETE_CONFLICT_EXCEPTION),
            IamError::LimitExceeded(_) => of(api::errors::LIMIT_EXCEEDED_EXCEPTION),
            IamError::MalformedPolicy(_) => of(api::errors::MALFORMED_POLICY_DOCUMENT_EXCEPTION),
            IamError::InvalidInput(_) => of(api::errors::INVALID_INPUT_EXCEPTION),
            IamError::Unmodifiable(_) => of(api::errors::UNMODIFIABLE_ENTITY_EXCEPTION),
            IamError::Validation(_) => Self::new("ValidationError", 400, message),
            IamError::AccessDenied(_) => Self::new("AccessDenied", 403, message),
            IamError::Gone => Self::new("InvalidClientTokenId", 403, message),
            IamError::State(StateError::Outdated) => of(api::errors::CONCURRENT_MODIFICATION_EXCEPTION),
            IamError::State(StateError::TooLarge(_)) => of(api::errors::LIMIT_EXCEEDED_EXCEPTION),
            IamError::State(StateError::Full) => Self::no_space("ServiceUnavailable"),
            IamError::State(StateError::Failed(reason)) => {
                tracing::error!(reason, "IAM cannot read or write its rows");
                of(api::errors::SERVICE_FAILURE_EXCEPTION)
                    .with_message("The request failed for a reason of the server's own.")
            }
        }
    }
}

trait WithMessage {
    fn with_message(self, message: &str) -> Self;
}

impl WithMessage for ServiceError {
    fn with_message(mut self, message: &str) -> Self {
        message.clone_into(&mut self.message);
        self
    }
}
