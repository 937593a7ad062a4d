//! The service's errors: the one place where what went wrong becomes a code, a status and a sentence (DynamoDB API reference, "Error handling").

use millpond_kernel::{Refusal, Rejection, ServiceError};
use millpond_meta::key::MalformedKey;
use millpond_meta::{CommitError, ReadError};
use millpond_wire::{ErrorKind, ParseError};
use serde_json::{Value, json};

/// What went wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum DynamoError {
    /// The policies do not allow it.
    #[error("{0}")]
    Denied(String),
    /// The caller is gone.
    #[error("The security token included in the request is invalid.")]
    CallerGone,
    /// An input that breaks a rule.
    #[error("{0}")]
    Validation(String),
    /// No such table, index or stream.
    #[error("{0}")]
    NotFound(String),
    /// No such table, where it is asked about backups.
    #[error("Table not found: {0}")]
    NoBackups(String),
    /// There is one already, or it is being changed.
    #[error("{0}")]
    InUse(String),
    /// A limit of the account or table.
    #[error("{0}")]
    Limit(String),
    /// A condition did not hold. The item as it was, in JSON, where it was asked for.
    #[error("The conditional request failed")]
    Condition(Option<Value>),
    /// A transaction did not take place; a reason for each of its actions.
    #[error("Transaction cancelled, please refer cancellation reasons for specific reasons [{}]", codes(.0))]
    Canceled(Vec<Reason>),
    /// Others write the same items.
    #[error("Transaction is ongoing for the item")]
    Conflict,
    /// A token that was used for another transaction.
    #[error(
        "DynamoDB rejected the request because you retried a request with a different payload but with an idempotent token that was already used."
    )]
    TokenMismatch,
    /// More than was provisioned.
    #[error(
        "The level of configured provisioned throughput for {0} was exceeded. Consider increasing your provisioning level with the UpdateTable API."
    )]
    Throughput(&'static str),
    /// More than the table may consume on demand.
    #[error("Throughput exceeds the maximum OnDemandThroughput configured on {0}.")]
    OnDemand(&'static str),
    /// Items of one partition key are too many.
    #[error("Item collection size limit of 10 GB exceeded.")]
    Collection,
    /// The resource has no policy.
    #[error("{0}")]
    NoPolicy(String),
    /// A place in a stream whose records are kept no longer.
    #[error("{0}")]
    Trimmed(String),
    /// An iterator that is too old.
    #[error("{0}")]
    ExpiredIterator(String),
    /// Served by AWS, not here.
    #[error("{0}")]
    Unserved(String),
    /// Others changed the same again and again.
    #[error("The request was in conflict with others again and again. Please try again.")]
    Busy,
    /// There is no room.
    #[error("The disk is full.")]
    Full,
    /// Something of ours failed; the reason is for the log.
    #[error("internal: {0}")]
    Internal(String),
    /// An item is damaged; what is wrong with it.
    #[error("{0}")]
    Unreadable(String),
}

/// Why an action of a transaction did not take place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reason {
    /// It is no reason.
    None,
    /// Its condition did not hold. The item as it was, in JSON, where it was asked for.
    Condition(Option<Value>),
    /// Others write the same item.
    Conflict,
    /// Its item cannot be written.
    Validation(String),
    /// More than was provisioned.
    Throughput(&'static str),
    /// More than the table may consume on demand.
    OnDemand(&'static str),
    /// Items of one partition key are too many.
    Collection,
}

impl Reason {
    fn code(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Condition(_) => "ConditionalCheckFailed",
            Self::Conflict => "TransactionConflict",
            Self::Validation(_) => "ValidationError",
            Self::Throughput(_) => "ProvisionedThroughputExceeded",
            Self::OnDemand(_) => "ThrottlingError",
            Self::Collection => "ItemCollectionSizeLimitExceeded",
        }
    }

    /// As the list of reasons has it.
    fn shown(&self) -> Value {
        let message = match self {
            Self::None => return json!({"Code": "None"}),
            Self::Condition(item) => {
                let mut shown = json!({"Code": self.code(), "Message": DynamoError::Condition(None).to_string()});
                if let Some(item) = item {
                    shown["Item"] = item.clone();
                }
                return shown;
            }
            Self::Conflict => DynamoError::Conflict.to_string(),
            Self::Validation(text) => text.clone(),
            Self::Throughput(what) => DynamoError::Throughput(what).to_string(),
            Self::OnDemand(what) => DynamoError::OnDemand(what).to_string(),
            Self::Collection => DynamoError::Collection.to_string(),
        };
        json!({"Code": self.code(), "Message": message})
    }
}

fn codes(reasons: &[Reason]) -> String {
    let codes: Vec<&str> = reasons.iter().map(Reason::code).collect();
    codes.join(", ")
}

/// What item operations say of a table that is not there.
pub(crate) fn no_table() -> DynamoError {
    DynamoError::NotFound("Requested resource not found".to_owned())
}

/// What operations on tables say of one that is not there.
pub(crate) fn no_table_named(name: &str) -> DynamoError {
    DynamoError::NotFound(format!("Requested resource not found: Table: {name} not found"))
}

/// An input that breaks a rule.
pub(crate) fn invalid(text: impl Into<String>) -> DynamoError {
    DynamoError::Validation(text.into())
}

/// The same, in the words of most.
pub(crate) fn parameters(text: impl std::fmt::Display) -> DynamoError {
    DynamoError::Validation(format!("One or more parameter values were invalid: {text}"))
}

/// Why a handler did not come to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An answer for the client.
    Error(DynamoError),
    /// What it was decided by has changed meanwhile: it is to be decided anew.
    Changed,
}

impl From<DynamoError> for Failure {
    fn from(error: DynamoError) -> Self {
        Self::Error(error)
    }
}

impl From<ReadError> for DynamoError {
    fn from(error: ReadError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<MalformedKey> for DynamoError {
    fn from(error: MalformedKey) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Error(error.into())
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(_) => Self::Changed,
            CommitError::Full => Self::Error(DynamoError::Full),
            other => Self::Error(DynamoError::Internal(other.to_string())),
        }
    }
}

impl From<Refusal> for DynamoError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denied) => Self::Denied(denied.to_string()),
            Refusal::Gone => Self::CallerGone,
            Refusal::Failed(reason) => Self::Internal(reason),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Error(refusal.into())
    }
}

impl From<DynamoError> for ServiceError {
    fn from(error: DynamoError) -> Self {
        let (code, status) = match &error {
            DynamoError::Denied(_) => ("AccessDeniedException", 400),
            DynamoError::CallerGone => ("UnrecognizedClientException", 400),
            DynamoError::Validation(_) => ("ValidationException", 400),
            DynamoError::NotFound(_) => ("ResourceNotFoundException", 400),
            DynamoError::NoBackups(_) => ("TableNotFoundException", 400),
            DynamoError::InUse(_) => ("ResourceInUseException", 400),
            DynamoError::Limit(_) => ("LimitExceededException", 400),
            DynamoError::Condition(_) => ("ConditionalCheckFailedException", 400),
            DynamoError::Canceled(_) => ("TransactionCanceledException", 400),
            DynamoError::Conflict => ("TransactionConflictException", 400),
            DynamoError::TokenMismatch => ("IdempotentParameterMismatchException", 400),
            DynamoError::Throughput(_) => ("ProvisionedThroughputExceededException", 400),
            DynamoError::OnDemand(_) => ("ThrottlingException", 400),
            DynamoError::Collection => ("ItemCollectionSizeLimitExceededException", 400),
            DynamoError::NoPolicy(_) => ("PolicyNotFoundException", 400),
            DynamoError::Trimmed(_) => ("TrimmedDataAccessException", 400),
            DynamoError::ExpiredIterator(_) => ("ExpiredIteratorException", 400),
            DynamoError::Unserved(what) => return Self::not_implemented(what),
            DynamoError::Busy => ("InternalServerError", 500),
            DynamoError::Full => ("InternalServerError", 503),
            DynamoError::Internal(reason) | DynamoError::Unreadable(reason) => {
                tracing::error!(reason, "a call of the table service failed");
                return Self::new("InternalServerError", 500, "Internal server error");
            }
        };
        let answer = Self::new(code, status, error.to_string());
        match error {
            DynamoError::Condition(Some(item)) => answer.value("Item", item),
            DynamoError::Canceled(reasons) => {
                answer.value("CancellationReasons", reasons.iter().map(Reason::shown).collect())
            }
            _ => answer,
        }
    }
}

impl From<DynamoError> for Rejection {
    fn from(error: DynamoError) -> Self {
        match error {
            DynamoError::Denied(text) => Self::Denied(text),
            DynamoError::CallerGone => Self::Denied(error.to_string()),
            DynamoError::NotFound(text) => Self::NotFound(text),
            DynamoError::Validation(text) => Self::Invalid(text),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// 400 for who did not sign.
pub(crate) fn unsigned() -> ServiceError {
    ServiceError::new("MissingAuthenticationTokenException", 400, "Request is missing Authentication Token")
}

/// An input that does not fit the model, in AWS's words.
pub(crate) fn from_parse(error: &ParseError) -> ServiceError {
    let mut letters = error.member.chars();
    let member: String = letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect();
    let shown = |value: &str| format!("Value '{value}' at '{member}'");
    let (value, constraint) = match &error.kind {
        ErrorKind::Missing => (format!("Value null at '{member}'"), "Member must not be null".to_owned()),
        ErrorKind::TooShort { min, .. } => {
            (format!("Value at '{member}'"), format!("Member must have length greater than or equal to {min}"))
        }
        ErrorKind::TooLong { max, .. } => {
            (format!("Value at '{member}'"), format!("Member must have length less than or equal to {max}"))
        }
        ErrorKind::Pattern { value, pattern } => {
            (shown(value), format!("Member must satisfy regular expression pattern: {pattern}"))
        }
        ErrorKind::OutOfRange { value, min, max } => {
            let low = min.filter(|min| value.parse::<f64>().is_ok_and(|value| value < *min as f64));
            let constraint = match (low, max) {
                (Some(min), _) => format!("Member must have value greater than or equal to {min}"),
                (None, Some(max)) => format!("Member must have value less than or equal to {max}"),
                (None, None) => "Member must have a value within its range".to_owned(),
            };
            (shown(value), constraint)
        }
        ErrorKind::BadEnum { value } => {
            (shown(value), "Member must satisfy enum value set of the API reference".to_owned())
        }
        _ => return ServiceError::new("SerializationException", 400, error.to_string()),
    };
    let text = format!("1 validation error detected: {value} failed to satisfy constraint: {constraint}");
    ServiceError::new("ValidationException", 400, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canceled_transaction_tells_of_each_action() {
        let item = json!({"id": {"S": "a"}});
        let error: ServiceError =
            DynamoError::Canceled(vec![Reason::None, Reason::Condition(Some(item.clone())), Reason::Conflict]).into();
        assert_eq!(
            error.message,
            "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed, TransactionConflict]"
        );
        let reasons = json!([
            {"Code": "None"},
            {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed", "Item": item},
            {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"},
        ]);
        assert_eq!(*error.values, [("CancellationReasons", reasons)]);
    }
}
