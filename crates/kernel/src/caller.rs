//! Who calls, and from where.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use millpond_policy::{Context, ContextValue, Principal};
use millpond_types::{AccountId, Arn, CauseChain, Origin, RequestId, Timestamp};

use crate::audit::Note;
use crate::decisions::Decided;
use crate::session::Session;

/// How a request proved its identity; the condition key `s3:authType`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthType {
    /// It did not.
    None,
    /// By an `Authorization` header.
    Header,
    /// By query parameters: a presigned URL.
    Query,
}

/// The signature of a request, as far as policies can ask about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signed {
    /// `AWS4-HMAC-SHA256` or `AWS`; the condition key `s3:signatureversion`.
    pub version: &'static str,
    /// When it was made, by the client's clock; the condition key `s3:signatureAge`. Signature Version 2 does not say.
    pub at: Option<Timestamp>,
}

/// What is known of the connection. Never fed from headers that a client can choose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transport {
    /// The peer's address; `None` for calls of our own.
    pub source_ip: Option<IpAddr>,
    /// Whether the connection is encrypted; `aws:SecureTransport`.
    pub secure: bool,
    /// The TLS version, such as `1.3`, where we speak TLS ourselves; `s3:TlsVersion`.
    pub tls_version: Option<&'static str>,
    /// The `User-Agent` header; a client's own word, for logs and `aws:UserAgent` alone.
    pub user_agent: Option<String>,
    /// The `Referer` header; a client's own word, for `aws:Referer` alone.
    pub referer: Option<String>,
}

impl Transport {
    /// A call that came by no connection.
    pub fn internal() -> Self {
        Self { source_ip: None, secure: true, tls_version: None, user_agent: None, referer: None }
    }
}

/// Shows that a service of ours calls; see [`crate::Kernel::register`]. Not to be copied, so that no service can speak for another.
#[derive(Debug)]
pub struct ServiceIdentity(pub(crate) &'static str);

impl ServiceIdentity {
    /// The service's principal, such as `s3.amazonaws.com`.
    pub fn name(&self) -> &'static str {
        self.0
    }
}

/// A call of a service of ours, on its own account or for a resource of somebody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceCall {
    /// The resource for which it calls; the condition key `aws:SourceArn`.
    pub source_arn: Option<Arn>,
    /// The account of that resource; the condition key `aws:SourceAccount`.
    pub source_account: Option<AccountId>,
    /// An id for the call.
    pub request_id: RequestId,
    /// When.
    pub now: Timestamp,
    /// What led to it, oldest first.
    pub causes: CauseChain,
}

/// Who calls, by which request.
#[derive(Clone, Debug)]
pub struct Caller {
    principal: Principal,
    session: Option<Arc<Session>>,
    access_key_id: Option<String>,
    auth: AuthType,
    signed: Option<Signed>,
    transport: Transport,
    request_id: RequestId,
    received: Timestamp,
    causes: CauseChain,
    via: Vec<&'static str>,
    source: Option<(Option<Arn>, Option<AccountId>)>,
    pub(crate) decided: Arc<Decided>,
    note: Arc<Note>,
}

/// What the gateway found out about a request's sender.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// Who it is.
    pub principal: Principal,
    /// The session that the credentials belong to.
    pub session: Option<Arc<Session>>,
    /// The access key that signed the request.
    pub access_key_id: Option<String>,
    /// How the identity was proved.
    pub auth: AuthType,
    /// The signature.
    pub signed: Option<Signed>,
    /// By which connection.
    pub transport: Transport,
    /// The request's id.
    pub request_id: RequestId,
    /// When it came.
    pub received: Timestamp,
}

impl Caller {
    /// The sender of a request, whose signature was verified (or who has none). For the gateway, and tests.
    pub fn authenticated(by: Authenticated) -> Self {
        let Authenticated { principal, session, access_key_id, auth, signed, transport, request_id, received } = by;
        let causes = session.as_ref().map(|session| session.causes.clone()).unwrap_or_default();
        Self {
            principal,
            session,
            access_key_id,
            auth,
            signed,
            transport,
            request_id,
            received,
            causes,
            via: Vec::new(),
            source: None,
            decided: Arc::default(),
            note: Arc::default(),
        }
    }

    /// A service of ours.
    pub fn of_service(service: &ServiceIdentity, call: ServiceCall) -> Self {
        let ServiceCall { source_arn, source_account, request_id, now, causes } = call;
        let mut caller = Self::authenticated(Authenticated {
            principal: Principal::Service { name: service.0.to_owned() },
            session: None,
            access_key_id: None,
            auth: AuthType::Header,
            signed: None,
            transport: Transport::internal(),
            request_id,
            received: now,
        });
        (caller.causes, caller.source) = (causes, Some((source_arn, source_account)));
        caller
    }

    /// The account of the resource for which a service calls.
    pub fn source_account(&self) -> Option<AccountId> {
        self.source.as_ref().and_then(|(_, account)| *account)
    }

    /// The same caller, for whom a service now calls another (forward access sessions): conditions see the service, and no longer the client's address.
    pub fn on_behalf(&self, service: &ServiceIdentity) -> Self {
        let mut caller = self.clone();
        caller.via.push(service.0);
        caller
    }

    /// Who it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The session that the credentials belong to.
    pub fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
    }

    /// The access key that signed the request.
    pub fn access_key_id(&self) -> Option<&str> {
        self.access_key_id.as_deref()
    }

    /// How the identity was proved.
    pub fn auth(&self) -> AuthType {
        self.auth
    }

    /// The signature.
    pub fn signed(&self) -> Option<Signed> {
        self.signed
    }

    /// By which connection.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The request's id.
    pub fn request_id(&self) -> RequestId {
        self.request_id
    }

    /// When it came.
    pub fn received(&self) -> Timestamp {
        self.received
    }

    /// What led to it, oldest first. Bound to the credentials that act, never to a header.
    pub fn causes(&self) -> &CauseChain {
        &self.causes
    }

    /// The services through which the call came, the first first.
    pub fn via(&self) -> &[&'static str] {
        &self.via
    }

    /// Whether nobody signed.
    pub fn is_anonymous(&self) -> bool {
        self.principal == Principal::Anonymous
    }

    /// The principal's ARN, or `anonymous`.
    pub fn arn(&self) -> String {
        self.principal.arn()
    }

    /// The principal's account.
    pub fn account(&self) -> Option<AccountId> {
        self.principal.account()
    }

    /// The principal's unique id as S3's event records show it: `AWS:AIDA...`, the account id for root, or `Anonymous`.
    pub fn event_id(&self) -> String {
        match &self.principal {
            Principal::Anonymous => "Anonymous".to_owned(),
            Principal::Root(account) => account.to_string(),
            other => format!("AWS:{}", other.user_id()),
        }
    }

    /// What the journal keeps of a change that this caller makes.
    pub fn origin(&self, operation: &'static str) -> Origin {
        Origin {
            operation,
            requester: self.event_id(),
            account: match &self.principal {
                Principal::Anonymous => "anonymous".to_owned(),
                Principal::Service { name } => name.clone(),
                other => other.account().map(|account| account.to_string()).unwrap_or_default(),
            },
            source_ip: self.transport.source_ip,
            request_id: self.request_id,
            causes: self.causes.clone(),
            time: self.received,
            besides: None,
        }
    }

    /// What was decided about the request so far.
    pub fn decided(&self) -> &Decided {
        &self.decided
    }

    /// What the audit trail is to say of the call.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Adds the keys that every request has (IAM User Guide, "AWS global condition context keys").
    pub(crate) fn context(&self, context: &mut Context) {
        self.principal_keys(context);
        let now = self.received;
        context.set("aws:CurrentTime", ContextValue::Time(now));
        // In seconds, also where it is compared as text or stands in a variable.
        context.set("aws:EpochTime", ContextValue::Number(now.seconds() as f64));
        context.set("aws:SecureTransport", ContextValue::Bool(self.transport.secure));
        context.set("aws:ViaAWSService", ContextValue::Bool(!self.via.is_empty()));
        if let (Some(first), Some(last)) = (self.via.first(), self.via.last()) {
            context.set("aws:CalledVia", ContextValue::Many(self.via.iter().map(|&name| name.to_owned()).collect()));
            context.text("aws:CalledViaFirst", *first);
            context.text("aws:CalledViaLast", *last);
        } else if let Some(address) = self.transport.source_ip {
            context.text("aws:SourceIp", address.to_string());
        }
        if let Some((arn, account)) = &self.source {
            if let Some(arn) = arn {
                context.text("aws:SourceArn", arn.as_str());
            }
            if let Some(account) = account {
                context.text("aws:SourceAccount", account.to_string());
            }
        }
        if let Some(agent) = &self.transport.user_agent {
            context.text("aws:UserAgent", agent.clone());
        }
        if let Some(referer) = &self.transport.referer {
            context.text("aws:Referer", referer.clone());
        }
        if let Some(session) = &self.session {
            session.context(context);
        }
    }

    fn principal_keys(&self, context: &mut Context) {
        context.text("aws:PrincipalType", self.principal.kind());
        context.text("aws:userid", self.principal.user_id());
        // Whoever does not sign has an account of that name in conditions, and is no service nor anything else.
        let account = self.principal.account().map(|account| account.to_string());
        match &self.principal {
            Principal::Anonymous => context.text("aws:PrincipalAccount", "anonymous"),
            Principal::Service { name } => {
                context.set("aws:PrincipalIsAWSService", ContextValue::Bool(true));
                context.text("aws:PrincipalServiceName", name.clone());
                context.set("aws:PrincipalServiceNamesList", ContextValue::Many(vec![name.clone()]));
            }
            _ => context.set("aws:PrincipalIsAWSService", ContextValue::Bool(false)),
        }
        if let Some(account) = account {
            context.text("aws:PrincipalArn", self.principal.condition_arn());
            context.text("aws:PrincipalAccount", account);
        }
        if let Principal::User { name, .. } = &self.principal {
            context.text("aws:username", name.clone());
        }
    }

    /// How old the signature was when the request came; `s3:signatureAge`.
    pub fn signature_age(&self) -> Option<Duration> {
        self.signed.and_then(|signed| signed.at).map(|at| self.received.since(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn of(caller: &Caller) -> Vec<(String, String)> {
        let mut context = Context::default();
        caller.context(&mut context);
        let shown = |(key, value): (&str, &ContextValue)| (key.to_owned(), value.texts().join(" "));
        context.iter().map(shown).collect()
    }

    /// IAM User Guide, "AWS global condition context keys" (properties of the principal) and "Principal key values".
    #[test]
    fn who_asks() {
        let account: AccountId = "111122223333".parse().unwrap();
        let user = Principal::User { account, path: "/p/".into(), name: "bob".into(), id: "AIDA".into() };
        let role =
            Principal::Role { account, path: "/p/".into(), name: "r".into(), id: "AROA".into(), session: "s".into() };
        let keys = [
            "aws:PrincipalType",
            "aws:userid",
            "aws:PrincipalAccount",
            "aws:PrincipalArn",
            "aws:username",
            "aws:PrincipalIsAWSService",
            "aws:PrincipalServiceName",
            "aws:PrincipalServiceNamesList",
        ];
        let (federated, service) = (
            Principal::Federated { account, name: "f".into(), user: Box::new(user.clone()) },
            Principal::Service { name: "a.amazonaws.com".into() },
        );
        let (mine, no) = (Some("111122223333"), Some("false"));
        for (principal, expected) in [
            (
                Principal::Anonymous,
                [Some("Anonymous"), Some("anonymous"), Some("anonymous"), None, None, None, None, None],
            ),
            (
                Principal::Root(account),
                [Some("Account"), mine, mine, Some("arn:aws:iam::111122223333:root"), None, no, None, None],
            ),
            (
                user,
                [
                    Some("User"),
                    Some("AIDA"),
                    mine,
                    Some("arn:aws:iam::111122223333:user/p/bob"),
                    Some("bob"),
                    no,
                    None,
                    None,
                ],
            ),
            (
                role,
                [
                    Some("AssumedRole"),
                    Some("AROA:s"),
                    mine,
                    Some("arn:aws:iam::111122223333:role/p/r"),
                    None,
                    no,
                    None,
                    None,
                ],
            ),
            (
                federated,
                [
                    Some("FederatedUser"),
                    Some("111122223333:f"),
                    mine,
                    Some("arn:aws:sts::111122223333:federated-user/f"),
                    None,
                    no,
                    None,
                    None,
                ],
            ),
            (
                service,
                [
                    Some("Service"),
                    Some("a.amazonaws.com"),
                    None,
                    None,
                    None,
                    Some("true"),
                    Some("a.amazonaws.com"),
                    Some("a.amazonaws.com"),
                ],
            ),
        ] {
            let found = of(&testing::caller(principal.clone()));
            for (key, expected) in keys.iter().zip(expected) {
                let values: Vec<_> =
                    found.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str()).collect();
                assert_eq!(values, expected.into_iter().collect::<Vec<_>>(), "{principal}: {key}");
            }
        }
    }

    /// The same page, properties of the request and of the network: a call by way of a service has not the client's address, and says so.
    #[test]
    fn by_way_of_a_service() {
        let service = ServiceIdentity("s3.amazonaws.com");
        let mut direct = testing::caller(Principal::Root("111122223333".parse().unwrap()));
        direct.transport.source_ip = Some("203.0.113.9".parse().unwrap());
        let via = direct.on_behalf(&service);
        for (caller, key, expected) in [
            (&direct, "aws:SourceIp", Some("203.0.113.9")),
            (&direct, "aws:ViaAWSService", Some("false")),
            (&direct, "aws:CalledVia", None),
            (&direct, "aws:EpochTime", Some("1800000000")),
            (&direct, "aws:CurrentTime", Some("2027-01-15T08:00:00Z")),
            (&via, "aws:SourceIp", None),
            (&via, "aws:ViaAWSService", Some("true")),
            (&via, "aws:CalledVia", Some("s3.amazonaws.com")),
            (&via, "aws:CalledViaFirst", Some("s3.amazonaws.com")),
            (&via, "aws:CalledViaLast", Some("s3.amazonaws.com")),
            // It is the principal that asks, not the service.
            (&via, "aws:PrincipalIsAWSService", Some("false")),
        ] {
            let found = of(caller);
            let value = found.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
            assert_eq!(value, expected, "{key}");
        }
    }
}
