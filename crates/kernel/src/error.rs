//! The one shape in which a service refuses.

use std::borrow::Cow;

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
    /// Further response headers, such as `x-amz-delete-marker`. Names are lower-case.
    pub headers: Vec<(&'static str, String)>,
}

impl ServiceError {
    /// An error without further fields.
    pub fn new(code: impl Into<Cow<'static, str>>, status: u16, message: impl Into<String>) -> Self {
        Self { code: code.into(), status, message: message.into(), fields: Vec::new(), headers: Vec::new() }
    }

    /// Adds an element to the error document.
    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
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

    /// Something of ours failed. The reason belongs in the log, not in the answer.
    pub fn internal() -> Self {
        Self::new("InternalError", 500, "We encountered an internal error. Please try again.")
    }
}
