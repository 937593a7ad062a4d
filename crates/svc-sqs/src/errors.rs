//! SQS's errors: the one place where what went wrong becomes a code, a status and a sentence. The JSON protocol has codes of its own and says
//! those of the older protocol in a header (Smithy, "awsQueryCompatible"), from which SDKs name their exceptions.

use std::borrow::Cow;

use millpond_kernel::{NO_SPACE, Refusal, ServiceError, ServiceFault};
use millpond_meta::ReadError;
use millpond_policy::PolicyError;
use millpond_wire::{ErrorKind, ParseError, Protocol};

/// What went wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum SqsError {
    /// The policies do not allow it.
    #[error("{0}")]
    Denied(String),
    /// The caller is gone.
    #[error("The security token included in the request is invalid.")]
    CallerGone,
    /// No queue of that name.
    #[error("The specified queue does not exist.")]
    NoQueue,
    /// A queue's URL that cannot be.
    #[error("The address {0} is not valid for this endpoint.")]
    Address(String),
    /// There is another queue of that name.
    #[error("A queue already exists with the same name and a different value for attribute {0}")]
    Exists(String),
    /// A queue of that name was deleted a short while ago.
    #[error("You must wait 60 seconds after deleting a queue before you can create another with the same name.")]
    DeletedRecently,
    /// The queue was purged a short while ago.
    #[error("Only one PurgeQueue operation on {0} is allowed every 60 seconds.")]
    PurgeInProgress(String),
    /// A parameter is missing.
    #[error("The request must contain the parameter {0}.")]
    Missing(&'static str),
    /// A value that a parameter cannot have.
    #[error("{0}")]
    Parameter(String),
    /// An attribute that there is not.
    #[error("Unknown Attribute {0}.")]
    UnknownAttribute(String),
    /// A value that an attribute cannot have.
    #[error("{0}")]
    AttributeValue(String),
    /// A receipt handle that is none.
    #[error("The input receipt handle \"{0}\" is not a valid receipt handle.")]
    Handle(String),
    /// The message is not in flight.
    #[error("The specified message isn't in flight.")]
    NotInFlight,
    /// Characters that no message may have.
    #[error(
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
    )]
    Contents,
    /// A batch without entries, of this kind.
    #[error("There should be at least one {0} in the request.")]
    EmptyBatch(&'static str),
    /// A batch with too many entries.
    #[error("Maximum number of entries per request are 10. You have sent {0}.")]
    LargeBatch(usize),
    /// Ids of a batch that are not distinct.
    #[error("Id {0} repeated.")]
    Repeated(String),
    /// An id of a batch that cannot be.
    #[error(
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long."
    )]
    EntryId,
    /// A batch of too many bytes.
    #[error("Batch requests cannot be longer than 1048576 bytes. You have sent {0} bytes.")]
    LongBatch(u64),
    /// Too many messages in flight, or too many of something else.
    #[error("{0}")]
    Over(String),
    /// What is not done to such a queue or resource.
    #[error("{0}")]
    Unsupported(String),
    /// A move task or resource that does not exist.
    #[error("{0}")]
    NotFound(String),
    /// Served by AWS, not here.
    #[error("{0} is not implemented by this server.")]
    NotImplemented(String),
    /// The body cannot be read.
    #[error("{0}")]
    Malformed(String),
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
pub(crate) type Failure = millpond_kernel::Failure<SqsError>;

impl ServiceFault for SqsError {
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

impl From<ReadError> for SqsError {
    fn from(error: ReadError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<PolicyError> for SqsError {
    fn from(error: PolicyError) -> Self {
        Self::AttributeValue(format!("Invalid value for the parameter Policy. {error}"))
    }
}

impl From<Refusal> for SqsError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denied) => Self::Denied(denied.to_string()),
            Refusal::Gone => Self::CallerGone,
            Refusal::Failed(reason) => Self::Internal(reason),
        }
    }
}

/// A value that a parameter cannot have, in AWS's words.
pub(crate) fn parameter(value: impl std::fmt::Display, name: &str, reason: &str) -> SqsError {
    SqsError::Parameter(format!("Value {value} for parameter {name} is invalid. Reason: {reason}"))
}

/// A parameter that queues of the other type have.
pub(crate) fn wrong_type(value: impl std::fmt::Display, name: &str) -> SqsError {
    parameter(value, name, "The request include parameter that is not valid for this queue type.")
}

/// A code of both protocols.
struct Codes {
    json: &'static str,
    query: &'static str,
    /// The status in the query protocol.
    status: u16,
}

const fn codes(json: &'static str, query: &'static str, status: u16) -> Codes {
    Codes { json, query, status }
}

impl SqsError {
    fn codes(&self) -> Codes {
        match self {
            Self::Denied(_) => codes("AccessDeniedException", "AccessDenied", 403),
            Self::CallerGone => codes("UnrecognizedClientException", "InvalidClientTokenId", 403),
            Self::NoQueue => codes("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", 400),
            Self::Address(_) => codes("InvalidAddress", "InvalidAddress", 404),
            Self::Exists(_) => codes("QueueNameExists", "QueueAlreadyExists", 400),
            Self::DeletedRecently => codes("QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently", 400),
            Self::PurgeInProgress(_) => {
                codes("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress", 403)
            }
            Self::Missing(_) => codes("MissingRequiredParameterException", "MissingParameter", 400),
            Self::Parameter(_) => codes("InvalidParameterValueException", "InvalidParameterValue", 400),
            Self::UnknownAttribute(_) => codes("InvalidAttributeName", "InvalidAttributeName", 400),
            Self::AttributeValue(_) => codes("InvalidAttributeValue", "InvalidAttributeValue", 400),
            Self::Handle(_) => codes("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404),
            Self::NotInFlight => codes("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", 400),
            Self::Contents => codes("InvalidMessageContents", "InvalidMessageContents", 400),
            Self::EmptyBatch(_) => codes("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest", 400),
            Self::LargeBatch(_) => {
                codes("TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", 400)
            }
            Self::Repeated(_) => {
                codes("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", 400)
            }
            Self::EntryId => codes("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId", 400),
            Self::LongBatch(_) => codes("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong", 400),
            Self::Over(_) => codes("OverLimit", "OverLimit", 403),
            Self::Unsupported(_) => codes("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation", 400),
            Self::NotFound(_) => codes("ResourceNotFoundException", "ResourceNotFoundException", 404),
            Self::NotImplemented(_) => codes("NotImplemented", "NotImplemented", 501),
            Self::Malformed(_) => codes("SerializationException", "MalformedQueryString", 400),
            Self::Full | Self::Busy => codes("ServiceUnavailable", "ServiceUnavailable", 503),
            Self::Internal(_) => codes("InternalFailure", "InternalFailure", 500),
        }
    }

    /// The code as entries of batches have it.
    pub fn entry_code(&self) -> &'static str {
        self.codes().query
    }

    /// Whether the client is to blame.
    pub fn is_senders(&self) -> bool {
        self.codes().status < 500
    }

    /// The sentence for the client.
    pub fn shown(&self) -> String {
        match self {
            Self::Internal(reason) => {
                tracing::error!(reason, "a call of the queue service failed");
                "An internal error occurred. Please try again.".to_owned()
            }
            other => other.to_string(),
        }
    }

    /// The error in the words of a protocol.
    pub fn answer(&self, protocol: Protocol) -> ServiceError {
        let codes = self.codes();
        if protocol == Protocol::Query {
            return ServiceError::new(codes.query, codes.status, self.shown());
        }
        // The model gives all of them 400.
        let status = match codes.status {
            404 => 400,
            403 if !matches!(self, Self::Denied(_) | Self::CallerGone) => 400,
            other => other,
        };
        let fault = if self.is_senders() { "Sender" } else { "Receiver" };
        let compatible = format!("{};{fault}", codes.query);
        ServiceError::new(codes.json, status, self.shown()).header("x-amzn-query-error", compatible)
    }
}

/// An input that does not fit the model.
pub(crate) fn from_parse(error: &ParseError) -> SqsError {
    // Names of members come from the model; those that were read from the request do not outlive it.
    let member = match &error.member {
        Cow::Borrowed(name) => name,
        Cow::Owned(_) => "of the request",
    };
    match &error.kind {
        ErrorKind::Missing => SqsError::Missing(member),
        ErrorKind::BadNumber { value } | ErrorKind::BadBool { value } => parameter(value, member, "Must be a number."),
        ErrorKind::BadBase64 => parameter("", member, "Must be base64."),
        ErrorKind::MalformedJson { .. } | ErrorKind::TooDeep { .. } | ErrorKind::TooLarge { .. } => {
            SqsError::Malformed(error.to_string())
        }
        other => SqsError::Parameter(format!("Value for parameter {member} is invalid. Reason: {other}.")),
    }
}
