//! What a service is: its operations, who calls them, whether they may, and what goes in and out.
//!
//! A request becomes a [`ServiceRequest`]; the service resolves it to an [`Operation`] whose resources are known,
//! [`Kernel::authorize`] turns that into an [`Authorized`] or refuses, and only an [`Authorized`] operation has a handler.
//! Nothing here knows a service by name.

mod access;
pub mod audit;
mod authorize;
mod caller;
mod catalog;
pub mod chunks;
mod credential;
mod decisions;
mod denials;
mod directory;
mod epoch;
mod error;
mod failure;
mod keys;
mod lines;
mod objects;
pub mod outbox;
pub mod paging;
mod payload;
mod queues;
mod service;
mod session;
pub mod streams;
mod table_streams;
pub mod tables;
pub mod tags;
mod targets;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod timers;
pub mod trace;
mod working;

pub use access::{Access, Operation, Resource};
pub use authorize::{Authorized, Denied, Kernel, Refusal};
pub use caller::{AuthType, Authenticated, Caller, ServiceCall, ServiceIdentity, Signed, Transport};
pub use catalog::{
    Catalog, CatalogColumn, CatalogDatabase, CatalogPage, CatalogPartition, CatalogStorage, CatalogTable,
};
pub use credential::{Credential, CredentialError, Credentials, SecretKey};
pub use decisions::{Decided, Decision};
pub use denials::{AUTHORIZATION_MESSAGE, DecodeError, Denials};
pub use directory::{Directory, DirectoryError, Rights};
pub use epoch::{Epoch, EpochChange, Pin};
pub use error::{NO_SPACE, ServiceError};
pub use failure::{Failure, ServiceFault, to_its_end};
pub use keys::{DataKey, EncryptionContext, KeyService, KeyUse};
pub use lines::{LinesAt, LogLine, LogReader, LogWriter, StreamLine};
pub use millpond_policy::{
    Context, ContextValue, Grant, Grantee, Limits, Named, PolicySource, Principal, ResourceRule,
};
pub use objects::{Listed, ListedPage, NewObject, ObjectReads, ObjectState, Objects};
pub use payload::{Payload, PayloadSource, Step, Trailers, VerifiedEnd};
pub use queues::{QueueFacts, Queues, ReceivedMessage};
pub use service::{BodyFailed, OperationRef, RequestHead, Response, ResponseBody, Service, ServiceRequest};
pub use session::{Session, SessionKind};
pub use table_streams::{StreamStart, TableRecord, TableRecords, TableShard, TableStreams};
pub use targets::{Arrival, Attribute, Delivery, PassRole, Rejection, RoleCredentials, RoleSessions, Target, Targets};
pub use working::Working;
