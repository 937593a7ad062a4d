//! What STS answers when it does not (STS API Reference, "Common errors" and each operation's own).

use millpond_kernel::{Denied, Refusal, ServiceError};
use millpond_policy::{Denial, Kind, PolicyError};

/// `AccessDenied` in these words.
pub(super) fn denied(message: impl Into<String>) -> ServiceError {
    ServiceError::new("AccessDenied", 403, message)
}

/// Nobody signed.
pub(super) fn unsigned() -> ServiceError {
    ServiceError::new("MissingAuthenticationToken", 403, "Request is missing Authentication Token")
}

/// A parameter that does not fit.
pub(super) fn validation(message: impl Into<String>) -> ServiceError {
    ServiceError::new("ValidationError", 400, message)
}

/// Parameters that do not fit together.
pub(super) fn invalid_parameter(message: impl Into<String>) -> ServiceError {
    ServiceError::new("InvalidParameterValue", 400, message)
}

/// A session policy that is none.
pub(super) fn malformed_policy(error: &PolicyError) -> ServiceError {
    ServiceError::new("MalformedPolicyDocument", 400, error.to_string())
}

/// Why a caller may not.
pub(super) fn refused(refusal: Refusal) -> ServiceError {
    refused_as(refusal, ToString::to_string)
}

/// Why a caller may not assume a role. Only what the caller's own policies say is told: of a role of another account, or of one that does not
/// exist, the answer is the same.
pub(super) fn not_assumed(refusal: Refusal) -> ServiceError {
    refused_as(refusal, |denied| match denied.denial {
        // To another account a deny of one's own would tell the role's tags, and so that it exists.
        Denial::Explicit(kind) if kind != Kind::Resource && denied.same_account => denied.to_string(),
        _ => {
            let (action, arn) = (denied.access.action, &denied.access.resource.arn);
            format!("User: {} is not authorized to perform: {action} on resource: {arn}", denied.principal)
        }
    })
}

fn refused_as(refusal: Refusal, words: fn(&Denied) -> String) -> ServiceError {
    match refusal {
        Refusal::Denied(why) => denied(words(&why)),
        Refusal::Gone => {
            ServiceError::new("InvalidClientTokenId", 403, "The security token included in the request is invalid")
        }
        Refusal::Failed(reason) => failed(&reason),
    }
}

/// Something of ours failed.
pub(super) fn failed(reason: &dyn std::fmt::Display) -> ServiceError {
    tracing::error!(%reason, "a request for credentials failed");
    ServiceError::internal()
}
