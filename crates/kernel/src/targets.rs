//! Where something can be delivered to: queues, topics, buses, log groups, by their ARNs. Services register what they serve; who sends asks for
//! an ARN and never for a service.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millpond_meta::{Cond, Op};
use millpond_types::{Arn, CauseChain, Timestamp};
use zeroize::Zeroizing;

use crate::caller::ServiceIdentity;
use crate::{Access, Caller, Context, Operation, Resource};

/// An attribute of a delivery, as SQS and SNS have them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its type, such as `String` or `Number.int`.
    pub data_type: String,
    /// Its value: text in UTF-8, or bytes where the type is `Binary`.
    pub value: Bytes,
}

/// What is delivered.
#[derive(Clone, PartialEq, Debug)]
pub struct Delivery {
    /// The same for the same event and target, however often it is tried; a message's id is made of it.
    pub id: u128,
    /// The message: UTF-8.
    pub body: Bytes,
    /// Attributes, for targets that have such.
    pub attributes: Vec<Attribute>,
    /// The message group, for targets that keep groups in order.
    pub group: Option<String>,
    /// The deduplication id, for targets that have such.
    pub dedup: Option<String>,
    /// When it is sent.
    pub time: Timestamp,
    /// What led to it, oldest first.
    pub causes: CauseChain,
    /// The id of the event that it comes from, for `millpond trace`; empty where there is none.
    pub event: String,
}

/// The changes by which something arrives: for the commit of who sends.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Arrival {
    /// What must still hold; when it does not, the arrival is worked out anew.
    pub conds: Vec<Cond>,
    /// The changes.
    pub ops: Vec<Op>,
}

/// Why something does not arrive.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejection {
    /// There is no such target.
    #[error("{0}")]
    NotFound(String),
    /// Its policy does not let the sender in.
    #[error("{0}")]
    Denied(String),
    /// It can never take what was sent.
    #[error("{0}")]
    Invalid(String),
    /// Not now: to be tried again.
    #[error("{0}")]
    Failed(String),
}

impl Rejection {
    /// Whether trying again cannot help.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

/// What one service takes.
pub trait Target: Send + Sync + 'static {
    /// Whether it exists and its policy lets the sender in: asked when a configuration that names it is put.
    fn check<'a>(&'a self, to: &'a Arn, from: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>>;

    /// The changes by which a delivery arrives. Decided as the caller, each time.
    fn arrive<'a>(
        &'a self,
        to: &'a Arn,
        from: &'a Caller,
        delivery: &'a Delivery,
    ) -> BoxFuture<'a, Result<Arrival, Rejection>>;

    /// The id that a message has which arrived by a delivery of an id; `None` where what arrives has no id of its own.
    fn message_id(&self, _delivery: u128) -> Option<String> {
        None
    }
}

/// All targets of a server.
#[derive(Default)]
pub struct Targets {
    services: RwLock<HashMap<&'static str, Arc<dyn Target>>>,
}

impl Targets {
    /// Says who takes what is for ARNs of a service, such as `sqs`. Once for each, while a server is put together.
    pub fn register(&self, service: &'static str, target: Arc<dyn Target>) {
        self.services.write().unwrap_or_else(PoisonError::into_inner).entry(service).or_insert(target);
    }

    /// Lets go of all of them, when a server ends: they hold the kernel, and it them.
    pub(crate) fn clear(&self) {
        self.services.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Who takes what is for an ARN.
    pub fn of(&self, arn: &Arn) -> Option<Arc<dyn Target>> {
        let service = arn.service();
        self.services.read().unwrap_or_else(PoisonError::into_inner).get(service).cloned()
    }

    /// Whether ARNs of a service are taken.
    pub fn has(&self, service: &str) -> bool {
        self.services.read().unwrap_or_else(PoisonError::into_inner).contains_key(service)
    }

    /// As [`Target::check`], for any ARN.
    pub async fn check(&self, to: &Arn, from: &Caller) -> Result<(), Rejection> {
        self.taken(to)?.check(to, from).await
    }

    /// As [`Target::arrive`], for any ARN.
    pub async fn arrive(&self, to: &Arn, from: &Caller, delivery: &Delivery) -> Result<Arrival, Rejection> {
        self.taken(to)?.arrive(to, from, delivery).await
    }

    /// As [`Target::message_id`], for any ARN.
    pub fn message_id(&self, to: &Arn, delivery: u128) -> Option<String> {
        self.of(to)?.message_id(delivery)
    }

    fn taken(&self, to: &Arn) -> Result<Arc<dyn Target>, Rejection> {
        let missing = || Rejection::NotFound(format!("No target of the service {} is served.", to.service()));
        self.of(to).ok_or_else(missing)
    }
}

/// Sessions of roles that a service of ours assumes to act for somebody. Implemented by the identity service.
pub trait RoleSessions: Send + Sync + 'static {
    /// Assumes a role, if it exists and its trust policy lets the service in (with `aws:SourceArn` and `aws:SourceAccount` of `call`).
    fn assume<'a>(
        &'a self,
        role_arn: &'a str,
        service: &'a ServiceIdentity,
        session: &'a str,
        call: crate::ServiceCall,
    ) -> BoxFuture<'a, Result<Caller, Rejection>>;

    /// Credentials of such a session, for code that is not ours and calls by itself. Decided as [`Self::assume`]; they last for `seconds`.
    fn credentials<'a>(
        &'a self,
        role_arn: &'a str,
        service: &'a ServiceIdentity,
        session: &'a str,
        call: crate::ServiceCall,
        seconds: u32,
    ) -> BoxFuture<'a, Result<RoleCredentials, Rejection>>;
}

/// Temporary credentials of a role. Have no text form, so that no log can hold them.
pub struct RoleCredentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret.
    pub secret: Zeroizing<String>,
    /// The session token.
    pub token: Zeroizing<String>,
    /// When they end.
    pub expires: Timestamp,
}

/// `iam:PassRole`: to be authorized where a caller names a role that a service is to act as.
#[derive(Clone, Debug)]
pub struct PassRole {
    /// The role.
    pub role: Arn,
    /// The account that owns it.
    pub owner: millpond_types::AccountId,
    /// The principal of the service, such as `events.amazonaws.com`; the condition key `iam:PassedToService`.
    pub service: &'static str,
    /// What the role will be used for; the condition key `iam:AssociatedResourceArn`.
    pub resource: Option<Arn>,
}

impl PassRole {
    /// Of a role's ARN; `None` when it is none.
    pub fn new(role_arn: &str, service: &'static str, resource: Option<Arn>) -> Option<Self> {
        let role = Arn::parse(role_arn)?;
        let owner = role.account()?.parse().ok()?;
        (role.service() == "iam" && role.resource().starts_with("role/")).then_some(Self {
            role,
            owner,
            service,
            resource,
        })
    }
}

impl Operation for PassRole {
    const NAME: &'static str = "PassRole";

    fn accesses(&self) -> Vec<Access> {
        vec![Access { action: "iam:PassRole", resource: Resource::new(self.role.clone(), self.owner) }]
    }

    fn context(&self, _access: &Access, context: &mut Context) {
        context.text("iam:PassedToService", self.service);
        if let Some(resource) = &self.resource {
            context.text("iam:AssociatedResourceArn", resource.as_str());
        }
    }
}

/// Ports that are filled while a server is put together.
#[derive(Default)]
pub(crate) struct Ports {
    pub(crate) targets: Targets,
    pub(crate) roles: RwLock<Option<Arc<dyn RoleSessions>>>,
    pub(crate) lines: RwLock<Option<Arc<dyn crate::LogWriter>>>,
    pub(crate) printed: RwLock<Option<Arc<dyn crate::LogReader>>>,
    pub(crate) queues: RwLock<Option<Arc<dyn crate::Queues>>>,
    pub(crate) streams: RwLock<Option<Arc<dyn crate::TableStreams>>>,
    pub(crate) catalog: RwLock<Option<Arc<dyn crate::Catalog>>>,
    pub(crate) reads: RwLock<Option<Arc<dyn crate::ObjectReads>>>,
    pub(crate) working: Arc<crate::Working>,
}
