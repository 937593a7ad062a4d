//! What a service is: its operations, who calls them, whether they may, and what goes in and out.
//!
//! A request becomes a [`ServiceRequest`]; the service resolves it to an [`Operation`] whose resources are known,
//! [`Kernel::authorize`] turns that into an [`Authorized`] or refuses, and only an [`Authorized`] operation has a handler.
//! Nothing here knows a service by name.

mod access;
mod authorize;
mod caller;
mod credential;
mod error;
mod payload;
mod service;

pub use access::{Access, Context, ContextValue, Operation, Resource};
pub use authorize::{Authorized, Denied, Kernel};
pub use caller::{AuthType, Caller, Principal, Transport};
pub use credential::{Credential, CredentialError, Credentials, SecretKey};
pub use error::ServiceError;
pub use payload::{Payload, PayloadSource, Step, Trailers, VerifiedEnd};
pub use service::{BodyFailed, OperationRef, RequestHead, Response, ResponseBody, Service, ServiceRequest};
