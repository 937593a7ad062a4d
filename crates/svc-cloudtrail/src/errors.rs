//! CloudTrail's errors (API reference, "LookupEvents", "Common Errors").

use millpond_api_cloudtrail::errors::{
    CLOUD_TRAIL_ARN_INVALID_EXCEPTION, INSIGHT_NOT_ENABLED_EXCEPTION, INSUFFICIENT_S3_BUCKET_POLICY_EXCEPTION,
    INVALID_EVENT_CATEGORY_EXCEPTION, INVALID_EVENT_SELECTORS_EXCEPTION, INVALID_LOOKUP_ATTRIBUTES_EXCEPTION,
    INVALID_MAX_RESULTS_EXCEPTION, INVALID_NEXT_TOKEN_EXCEPTION, INVALID_PARAMETER_COMBINATION_EXCEPTION,
    INVALID_S3_BUCKET_NAME_EXCEPTION, INVALID_S3_PREFIX_EXCEPTION, INVALID_TAG_PARAMETER_EXCEPTION,
    INVALID_TIME_RANGE_EXCEPTION, INVALID_TRAIL_NAME_EXCEPTION, MAXIMUM_NUMBER_OF_TRAILS_EXCEEDED_EXCEPTION,
    ORGANIZATIONS_NOT_IN_USE_EXCEPTION, RESOURCE_NOT_FOUND_EXCEPTION, S3_BUCKET_DOES_NOT_EXIST_EXCEPTION,
    TAGS_LIMIT_EXCEEDED_EXCEPTION, TRAIL_ALREADY_EXISTS_EXCEPTION, TRAIL_NOT_FOUND_EXCEPTION,
};
use millpond_kernel::{Refusal, ServiceError};
use millpond_types::AccountId;
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

/// The code by which a call is decided anew: no client sees it, unless policies change without end.
pub const DECIDED_TOO_EARLY: &str = "ThrottlingException";

/// What the call was decided by has changed.
pub fn decided_too_early() -> ServiceError {
    ServiceError::new(DECIDED_TOO_EARLY, 400, "Policies changed while the request was carried out. Please try again.")
}

/// Selectors that cannot be.
pub fn selectors(message: impl Into<String>) -> ServiceError {
    of(INVALID_EVENT_SELECTORS_EXCEPTION, message)
}

/// Neither basic nor advanced selectors, or both.
pub fn one_kind_of_selectors() -> ServiceError {
    of(INVALID_PARAMETER_COMBINATION_EXCEPTION, "Either EventSelectors or AdvancedEventSelectors is expected.")
}

/// A name that no trail can have.
pub fn trail_name(why: &str) -> ServiceError {
    of(INVALID_TRAIL_NAME_EXCEPTION, why)
}

/// No ARN of a trail.
pub fn trail_arn(arn: &str) -> ServiceError {
    of(CLOUD_TRAIL_ARN_INVALID_EXCEPTION, format!("{arn} is no ARN of a trail."))
}

/// There is no such trail.
pub fn no_trail(name: &str, account: AccountId) -> ServiceError {
    of(TRAIL_NOT_FOUND_EXCEPTION, format!("Unknown trail: {name} for the user: {account}"))
}

/// There is no such resource.
pub fn no_resource(arn: &str) -> ServiceError {
    of(RESOURCE_NOT_FOUND_EXCEPTION, format!("{arn} does not exist."))
}

/// There is such a trail.
pub fn trail_exists(name: &str, account: AccountId) -> ServiceError {
    of(TRAIL_ALREADY_EXISTS_EXCEPTION, format!("Trail {name} already exists for customer: {account}"))
}

/// The account has as many as it may.
pub fn too_many_trails(account: AccountId, max: usize) -> ServiceError {
    of(MAXIMUM_NUMBER_OF_TRAILS_EXCEEDED_EXCEPTION, format!("User: {account} already has {max} trails in this region."))
}

/// No bucket's name.
pub fn bucket_name(name: &str) -> ServiceError {
    of(INVALID_S3_BUCKET_NAME_EXCEPTION, format!("{name} is no name of a bucket."))
}

/// A prefix that keys cannot have.
pub fn prefix() -> ServiceError {
    of(INVALID_S3_PREFIX_EXCEPTION, "S3 prefix must be shorter than or equal to 200 characters.")
}

/// Why files cannot be put into a bucket, by the object storage's error.
pub fn bucket(error: ServiceError, name: &str) -> ServiceError {
    match error.code.as_ref() {
        "NoSuchBucket" => of(S3_BUCKET_DOES_NOT_EXIST_EXCEPTION, format!("S3 bucket {name} does not exist!")),
        "AccessDenied" => of(
            INSUFFICIENT_S3_BUCKET_POLICY_EXCEPTION,
            format!("Incorrect S3 bucket policy is detected for bucket: {name}"),
        ),
        _ => error,
    }
}

/// A trail of all regions has what is of no region.
pub fn multi_region_is_global() -> ServiceError {
    of(INVALID_PARAMETER_COMBINATION_EXCEPTION, "Multi-Region trail must include global service events.")
}

/// Neither a trail nor an event data store is named.
pub fn trail_or_store() -> ServiceError {
    of(INVALID_PARAMETER_COMBINATION_EXCEPTION, "TrailName is expected.")
}

/// A trail without insights.
pub fn no_insights(name: &str) -> ServiceError {
    of(INSIGHT_NOT_ENABLED_EXCEPTION, format!("Insights are not enabled for the trail {name}."))
}

/// There are no organizations.
pub fn no_organization() -> ServiceError {
    of(ORGANIZATIONS_NOT_IN_USE_EXCEPTION, "There are no organizations: IsOrganizationTrail cannot be true.")
}

/// Tags that cannot be.
pub fn tags(message: &str) -> ServiceError {
    of(INVALID_TAG_PARAMETER_EXCEPTION, message)
}

/// More tags than a trail may have.
pub fn too_many_tags(max: usize) -> ServiceError {
    of(TAGS_LIMIT_EXCEEDED_EXCEPTION, format!("A trail has at most {max} tags."))
}

/// Something of ours failed.
pub fn failed() -> ServiceError {
    ServiceError::new("InternalFailure", 500, "We encountered an internal error. Please try again.")
}
