//! Sessions of roles for services of ours, which act for somebody who passed them the role.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::{
    Access, AuthType, Authenticated, Caller, Context, Kernel, Refusal, Rejection, RoleCredentials, RoleSessions,
    ServiceCall, ServiceIdentity, Session, SessionKind, Transport,
};
use millpond_policy::Principal;
use millpond_types::{AccountId, Arn, RequestId};

use super::{AssumeRole, Resolved, assume_role};
use crate::session::{Begin, Begun, SessionTokens};
use crate::state::{Entity, Identities};

/// Seconds that such a session is good for: it is begun anew for each use.
const SECONDS: u32 = 3600;

/// Makes sessions of roles for services.
pub struct ServiceSessions {
    kernel: Weak<Kernel>,
    identities: Identities,
    tokens: Arc<SessionTokens>,
}

/// A session that may begin.
struct Allowed {
    principal: Principal,
    session: Session,
    request_id: RequestId,
}

impl ServiceSessions {
    /// Of the roles among `identities`, as `kernel` decides.
    pub fn new(kernel: Weak<Kernel>, identities: Identities, tokens: Arc<SessionTokens>) -> Self {
        Self { kernel, identities, tokens }
    }

    async fn allowed(
        &self,
        role_arn: &str,
        service: &ServiceIdentity,
        session: &str,
        call: ServiceCall,
        seconds: u32,
    ) -> Result<Allowed, Rejection> {
        let none = || Rejection::NotFound(format!("The role {role_arn} does not exist."));
        let kernel = self.kernel.upgrade().ok_or_else(|| Rejection::Failed("the server stops".to_owned()))?;
        let arn = Arn::parse(role_arn).ok_or_else(none)?;
        let owner: AccountId = arn.account().and_then(|account| account.parse().ok()).ok_or_else(none)?;
        let role = self.identities.by_arn(role_arn).filter(|entity| entity.role.is_some()).ok_or_else(none)?;
        let resource = assume_role::resource(arn, owner, Some(&role));
        let resource = resource.map_err(|error| Rejection::Failed(error.message))?;
        let mut keys = Context::default();
        keys.text("sts:RoleSessionName", session);
        let accesses = vec![Access { action: "sts:AssumeRole", resource }];
        let (request_id, now, causes) = (call.request_id, call.now, call.causes.clone());
        let caller = Caller::of_service(service, call);
        match kernel.authorize(&caller, AssumeRole(Resolved { accesses, keys })).await {
            Ok(_) => {}
            Err(Refusal::Failed(reason)) => return Err(Rejection::Failed(reason)),
            Err(_) => {
                return Err(Rejection::Denied(format!(
                    "The trust policy of {role_arn} does not let {} in.",
                    service.name()
                )));
            }
        }
        let principal = principal(&role, session);
        let session = Session {
            policies: None,
            tags: Vec::new(),
            transitive: Vec::new(),
            source_identity: None,
            issued: now,
            expires: now.plus(Duration::from_secs(u64::from(seconds))),
            by: SessionKind::AssumeRole,
            causes,
            worker: None,
        };
        Ok(Allowed { principal, session, request_id })
    }

    async fn begin(
        &self,
        role_arn: &str,
        service: &ServiceIdentity,
        session: &str,
        call: ServiceCall,
    ) -> Result<Caller, Rejection> {
        let Allowed { principal, session, request_id } =
            self.allowed(role_arn, service, session, call, SECONDS).await?;
        let received = session.issued;
        Ok(Caller::authenticated(Authenticated {
            principal,
            session: Some(Arc::new(session)),
            access_key_id: None,
            auth: AuthType::Header,
            signed: None,
            transport: Transport::internal(),
            request_id,
            received,
        }))
    }

    /// Credentials for a worker.
    async fn hand_out(
        &self,
        role_arn: &str,
        service: &ServiceIdentity,
        session: &str,
        call: ServiceCall,
        seconds: u32,
    ) -> Result<RoleCredentials, Rejection> {
        let Allowed { principal, session, .. } = self.allowed(role_arn, service, session, call, seconds).await?;
        let begin = Begin {
            principal,
            by: session.by,
            policy: None,
            policy_arns: Vec::new(),
            tags: session.tags,
            transitive: session.transitive,
            source_identity: None,
            issued: session.issued,
            expires: session.expires,
            causes: session.causes,
            // It is the worker's own.
            worker: Some(String::new()),
        };
        let begun = self.tokens.begin(&begin, 0).map_err(|error| Rejection::Failed(error.to_string()))?;
        let Begun { access_key_id, secret, token, expires } = begun;
        Ok(RoleCredentials { access_key_id, secret, token: token.into(), expires })
    }
}

fn principal(role: &Entity, session: &str) -> Principal {
    Principal::Role {
        account: role.account,
        path: role.path.clone(),
        name: role.name.clone(),
        id: role.id.clone(),
        session: session.to_owned(),
    }
}

impl RoleSessions for ServiceSessions {
    fn assume<'a>(
        &'a self,
        role_arn: &'a str,
        service: &'a ServiceIdentity,
        session: &'a str,
        call: ServiceCall,
    ) -> BoxFuture<'a, Result<Caller, Rejection>> {
        self.begin(role_arn, service, session, call).boxed()
    }

    fn credentials<'a>(
        &'a self,
        role_arn: &'a str,
        service: &'a ServiceIdentity,
        session: &'a str,
        call: ServiceCall,
        seconds: u32,
    ) -> BoxFuture<'a, Result<RoleCredentials, Rejection>> {
        self.hand_out(role_arn, service, session, call, seconds).boxed()
    }
}
