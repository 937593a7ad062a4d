//! The one shape in which a service refuses.

use std::borrow::Cow;

use serde_json::Value;

/// What every service answers, under a code of its own and with the status 503, when the disk is full: nothing was changed, and the same request may
/// be sent again. SDKs do so by themselves, more and more slowly.
pub const NO_SPACE: &str =
    "The server has no space left for this request. Deleting still works and gives space back. Please try again later.";

/// An error as the client will see it; the gateway renders it in the service's protocol.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ServiceError {
    /// The AWS error code, such as `NoSuchKey`.
    pub code: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// A sentence that says what to do.
    pub message: String,
    /// Further elements of the error document, such as `BucketName`.
    pub fields: Vec<(&'static str, String)>,
    /// Further elements that are no text, such as `CancellationReasons`.
    pub values: Box<[(&'static str, Value)]>,
    /// Further response headers, such as `x-amz-delete-marker`. Names are lower-case.
    pub headers: Vec<(&'static str, String)>,
}

impl ServiceError {
    /// An error without further fields.
    pub fn new(code: impl Into<Cow<'static, str>>, status: u16, message: impl Into<String>) -> Self {
        let (fields, values, headers) = (Vec::new(), Box::default(), Vec::new());
        Self { code: code.into(), status, message: message.into(), fields, values, headers }
    }

    /// Adds an element to the error document.
    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Adds an element that is no text.
    pub fn value(mut self, name: &'static str, value: Value) -> Self {
        let mut values = self.values.into_vec();
        values.push((name, value));
        self.values = values.into();
        self
    }

    /// Adds a response header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// An operation or parameter that is not carried out here.
    pub fn not_implemented(what: &str) -> Self {
        Self::new("NotImplemented", 501, format!("{what} is not implemented by this server."))
    }

    /// 503: there is no room for a change, and none was made. See [`NO_SPACE`].
    pub fn no_space(code: &'static str) -> Self {
        Self::new(code, 503, NO_SPACE)
    }

    /// Something of ours failed. The reason belongs in the log, not in the answer.
    pub fn internal() -> Self {
        Self::new("InternalError", 500, "We encountered an internal error. Please try again.")
    }
}
