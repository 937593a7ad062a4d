//! What a service is: its operations, who calls them, whether they may, and what goes in and out.
//!
//! A request becomes a [`ServiceRequest`]; the service resolves it to an [`Operation`] whose resources are known,
//! [`Kernel::authorize`] turns that into an [`Authorized`] or refuses, and only an [`Authorized`] operation has a handler.
//! Nothing here knows a service by name.

mod access;
pub mod audit;
mod authorize;
mod caller;
mod credential;
mod decisions;
mod denials;
mod directory;
mod epoch;
mod error;
mod keys;
mod payload;
mod service;
mod session;
pub mod tables;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use access::{Access, Operation, Resource};
pub use authorize::{Authorized, Denied, Kernel, Refusal};
pub use caller::{AuthType, Authenticated, Caller, ServiceIdentity, Signed, Transport};
pub use credential::{Credential, CredentialError, Credentials, SecretKey};
pub use decisions::{Decided, Decision};
pub use denials::{AUTHORIZATION_MESSAGE, DecodeError, Denials};
pub use directory::{Directory, DirectoryError, Rights};
pub use epoch::{Epoch, EpochChange, Pin};
pub use error::ServiceError;
pub use keys::{DataKey, EncryptionContext, KeyService, KeyUse};
pub use millpond_policy::{
    Context, ContextValue, Grant, Grantee, Limits, Named, PolicySource, Principal, ResourceRule,
};
pub use payload::{Payload, PayloadSource, Step, Trailers, VerifiedEnd};
pub use service::{BodyFailed, OperationRef, RequestHead, Response, ResponseBody, Service, ServiceRequest};
pub use session::{Session, SessionKind};
