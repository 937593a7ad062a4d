//! AWS Security Token Service: who am I, and temporary credentials.

mod assume_role;
mod errors;
mod keys;
mod own;
mod passed;
mod service_sessions;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use millpond_api_sts::{self as api, Operation};
use millpond_kernel::{
    Access, Caller, Context, ContextValue, Credentials, DecodeError, Denials, Kernel, OperationRef, RequestHead,
    Resource, Response, Service, ServiceError, ServiceRequest, SessionKind,
};
use millpond_types::{AccountId, Arn};
use millpond_wire::{ErrorFormat, FormPairs, ParseError, Protocol, Route};

pub use service_sessions::ServiceSessions;

use crate::form;
use crate::session::SessionTokens;
use crate::state::Identities;

/// An operation that is not known: its request was refused before its body was read, or it is none of those served.
const UNKNOWN: OperationRef = OperationRef { name: "unknown", index: 0 };
/// The one version of the API.
const VERSION: &str = "2011-06-15";

/// The most bytes that are read of an unsigned form: a SAML assertion has up to 100,000 characters (API reference, AssumeRoleWithSAML), and some
/// of them are escaped.
const MAX_UNSIGNED: usize = 256 * 1024;

/// The service.
pub struct Sts {
    kernel: Arc<Kernel>,
    identities: Identities,
    sessions: Arc<SessionTokens>,
    credentials: Arc<dyn Credentials>,
    denials: Arc<dyn Denials>,
}

/// What the service is put together from.
pub struct StsParts {
    /// What decides.
    pub kernel: Arc<Kernel>,
    /// Roles, and managed policies.
    pub identities: Identities,
    /// What makes temporary credentials.
    pub sessions: Arc<SessionTokens>,
    /// All access keys, to tell whose one is.
    pub credentials: Arc<dyn Credentials>,
    /// Denials that are kept.
    pub denials: Arc<dyn Denials>,
}

/// A server that keeps no denials: no message was made by it.
pub struct NoDenials;

impl Denials for NoDenials {
    fn decode<'a>(&'a self, _: AccountId, _: &'a str) -> BoxFuture<'a, Result<String, DecodeError>> {
        ready(Err(DecodeError::Invalid)).boxed()
    }
}

impl Sts {
    /// The service.
    pub fn new(parts: StsParts) -> Self {
        let StsParts { kernel, identities, sessions, credentials, denials } = parts;
        Self { kernel, identities, sessions, credentials, denials }
    }
}

impl Service for Sts {
    fn name(&self) -> &'static str {
        "sts"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Query
    }

    fn error_format(&self) -> ErrorFormat {
        api::ERROR_FORMAT
    }

    fn identify(&self, _: &RequestHead) -> Result<OperationRef, ServiceError> {
        // The action stands in the body, which is not read yet.
        Ok(UNKNOWN)
    }

    fn identify_body(&self, head: &RequestHead, body: &[u8]) -> Option<OperationRef> {
        let form = FormPairs::parse(form::form_of(head, body)).ok()?;
        match api::route(form.get("Action")?) {
            Route::Served(operation) => Some(OperationRef { name: operation.name(), index: 1 + operation as u16 }),
            Route::Unserved(_) | Route::Unknown => None,
        }
    }

    fn call(&self, request: ServiceRequest) -> BoxFuture<'_, Result<Response, ServiceError>> {
        call(self, request).boxed()
    }
}

/// What AWS takes without a signature: the caller proves who it is to another provider. There are no such providers here.
const UNSIGNED: [&str; 2] = ["AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"];

/// Why an unsigned request is refused: for want of a signature, unless it names what needs none.
async fn unsigned(request: &mut ServiceRequest) -> ServiceError {
    let Ok(body) = request.payload.collect(MAX_UNSIGNED, errors::unsigned).await else { return errors::unsigned() };
    let Ok((_, action)) = form::parse(&request.head, &body, VERSION) else { return errors::unsigned() };
    match api::route(&action) {
        Route::Unserved(name) if UNSIGNED.contains(&name) => ServiceError::not_implemented(name),
        _ => errors::unsigned(),
    }
}

async fn call(sts: &Sts, mut request: ServiceRequest) -> Result<Response, ServiceError> {
    if request.caller.is_anonymous() {
        return Err(unsigned(&mut request).await);
    }
    let body = form::body_of(&mut request).await?;
    let (form, action) = form::parse(&request.head, &body, VERSION)?;
    let operation = match api::route(&action) {
        Route::Served(operation) => operation,
        Route::Unserved(name) => return Err(ServiceError::not_implemented(name)),
        Route::Unknown => return Err(form::unknown_action(&action, VERSION)),
    };
    let caller = &*request.caller;
    let invalid = |error: ParseError| form::validation(&error, Some(&form));
    let id = caller.request_id().to_string();
    may_call(operation, caller)?;
    form::response(match operation {
        Operation::GetCallerIdentity => {
            let input = api::GetCallerIdentityInput::parse_form(&form).map_err(invalid)?;
            own::get_caller_identity(sts, caller, input).await?.write(&id)
        }
        Operation::AssumeRole => {
            let input = api::AssumeRoleInput::parse_form(&form).map_err(invalid)?;
            assume_role::assume_role(sts, caller, input).await?.write(&id)
        }
        Operation::GetSessionToken => {
            let input = api::GetSessionTokenInput::parse_form(&form).map_err(invalid)?;
            own::get_session_token(sts, caller, input).await?.write(&id)
        }
        Operation::GetFederationToken => {
            let input = api::GetFederationTokenInput::parse_form(&form).map_err(invalid)?;
            own::get_federation_token(sts, caller, input).await?.write(&id)
        }
        Operation::GetAccessKeyInfo => {
            let input = api::GetAccessKeyInfoInput::parse_form(&form).map_err(invalid)?;
            keys::get_access_key_info(sts, caller, input).await?.write(&id)
        }
        Operation::DecodeAuthorizationMessage => {
            let input = api::DecodeAuthorizationMessageInput::parse_form(&form).map_err(invalid)?;
            keys::decode_authorization_message(sts, caller, input).await?.write(&id)
        }
    })
}

/// Refuses what temporary credentials may not call (IAM User Guide, "Compare AWS STS credentials").
fn may_call(operation: Operation, caller: &Caller) -> Result<(), ServiceError> {
    let allowed = match (caller.session().map(|session| session.by), operation) {
        (None, _) | (_, Operation::GetCallerIdentity) => true,
        (Some(SessionKind::AssumeRole), other) => {
            !matches!(other, Operation::GetSessionToken | Operation::GetFederationToken)
        }
        (Some(SessionKind::GetSessionToken), other) => other == Operation::AssumeRole,
        (Some(SessionKind::GetFederationToken), _) => false,
    };
    if allowed {
        return Ok(());
    }
    Err(errors::denied(format!("Cannot call {} with session credentials", operation.name())))
}

/// An operation that is resolved: what it touches, and its own condition keys.
struct Resolved {
    accesses: Vec<Access>,
    keys: Context,
}

impl Resolved {
    /// One action on one resource.
    fn one(action: &'static str, resource: Resource) -> Self {
        Self { accesses: vec![Access { action, resource }], keys: Context::default() }
    }

    /// An action that has no resource.
    fn anything(action: &'static str, caller: &Caller) -> Result<Self, ServiceError> {
        let owner = caller.account().ok_or_else(errors::unsigned)?;
        Ok(Self::one(action, Resource::new(Arn::any(), owner)))
    }

    /// What nobody who signs needs permission for.
    fn nothing() -> Self {
        Self { accesses: Vec::new(), keys: Context::default() }
    }

    fn context(&self, context: &mut Context) {
        for (key, value) in self.keys.iter() {
            context.set(key.to_owned(), value.clone());
        }
    }
}

/// Adds the keys of tags that are passed (IAM User Guide, "Passing session tags").
fn tag_keys(tags: &[(String, String)], context: &mut Context) {
    if tags.is_empty() {
        return;
    }
    for (key, value) in tags {
        context.text(format!("aws:RequestTag/{key}"), value.clone());
    }
    context.set("aws:TagKeys", ContextValue::Many(tags.iter().map(|(key, _)| key.clone()).collect()));
}

/// Operations by the names that records and authorization tests know them by.
macro_rules! operations {
    ($($operation:ident),* $(,)?) => {$(
        struct $operation(Resolved);

        impl millpond_kernel::Operation for $operation {
            const NAME: &'static str = stringify!($operation);

            fn accesses(&self) -> Vec<Access> {
                self.0.accesses.clone()
            }

            fn context(&self, _: &Access, context: &mut Context) {
                self.0.context(context);
            }
        }
    )*};
}

operations! {
    AssumeRole,
    DecodeAuthorizationMessage,
    GetAccessKeyInfo,
    GetCallerIdentity,
    GetFederationToken,
    GetSessionToken,
}

#[cfg(test)]
mod tests;
