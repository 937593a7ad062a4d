//! CloudTrail's errors (API reference, "LookupEvents", "Common Errors").

use millpond_api_cloudtrail::errors::{
    INVALID_EVENT_CATEGORY_EXCEPTION, INVALID_LOOKUP_ATTRIBUTES_EXCEPTION, INVALID_MAX_RESULTS_EXCEPTION,
    INVALID_NEXT_TOKEN_EXCEPTION, INVALID_TIME_RANGE_EXCEPTION,
};
use millpond_kernel::{Refusal, ServiceError};
use millpond_wire::{ErrorDef, ErrorKind, ParseError};

fn of(def: ErrorDef, message: impl Into<String>) -> ServiceError {
    ServiceError::new(def.code, def.status, message)
}

/// The error for an input that does not fit its model, by the member that does not.
pub fn from_parse(error: &ParseError) -> ServiceError {
    if matches!(error.kind, ErrorKind::MalformedJson { .. }) {
        return ServiceError::new("SerializationException", 400, error.to_string());
    }
    let def = match error.member.as_ref() {
        "MaxResults" => INVALID_MAX_RESULTS_EXCEPTION,
        "AttributeKey" | "AttributeValue" | "LookupAttributes" => INVALID_LOOKUP_ATTRIBUTES_EXCEPTION,
        "EventCategory" => INVALID_EVENT_CATEGORY_EXCEPTION,
        "NextToken" => INVALID_NEXT_TOKEN_EXCEPTION,
        "StartTime" | "EndTime" => INVALID_TIME_RANGE_EXCEPTION,
        _ => return ServiceError::new("ValidationException", 400, error.to_string()),
    };
    of(def, error.to_string())
}

/// Attributes that cannot be looked up.
pub fn attributes(message: &str) -> ServiceError {
    of(INVALID_LOOKUP_ATTRIBUTES_EXCEPTION, message)
}

/// A range that ends before it begins.
pub fn time_range() -> ServiceError {
    of(INVALID_TIME_RANGE_EXCEPTION, "EndTime must not be before StartTime.")
}

/// A token that was not given for this lookup.
pub fn next_token() -> ServiceError {
    of(
        INVALID_NEXT_TOKEN_EXCEPTION,
        "The token is not one that a lookup with the same attributes and times has answered.",
    )
}

/// A token of a list that has one page.
pub fn list_token() -> ServiceError {
    of(INVALID_NEXT_TOKEN_EXCEPTION, "The token is not one that a list has answered.")
}

/// Why the caller may not.
pub fn from_refusal(refusal: Refusal) -> ServiceError {
    match refusal {
        Refusal::Denied(denied) => ServiceError::new("AccessDeniedException", 400, denied.to_string()),
        Refusal::Gone => ServiceError::new(
            "UnrecognizedClientException",
            400,
            "The security token included in the request is invalid.",
        ),
        Refusal::Failed(reason) => {
            tracing::error!(reason, "a request cannot be decided");
            failed()
        }
    }
}

/// Nobody signed.
pub fn nobody() -> ServiceError {
    ServiceError::new("MissingAuthenticationTokenException", 400, "Request is missing Authentication Token")
}

/// A body of no reasonable size.
pub fn too_large() -> ServiceError {
    ServiceError::new("SerializationException", 400, "The request is too large.")
}

/// A target that the API does not have.
pub fn unknown_operation() -> ServiceError {
    ServiceError::new("UnknownOperationException", 400, "The operation is not known.")
}

/// Something of ours failed.
pub fn failed() -> ServiceError {
    ServiceError::new("InternalFailure", 500, "We encountered an internal error. Please try again.")
}
