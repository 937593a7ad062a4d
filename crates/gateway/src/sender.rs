//! Which service a request is for, and who sent it.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use millpond_auth::{AuthError, Claim, PayloadMode, RequestParts, Secret, SignedClaim, VerifyPolicy};
use millpond_kernel::{AuthType, CredentialError, Principal, RequestHead, ServiceError, Session, Signed};
use millpond_types::Timestamp;
use millpond_wire::{ErrorFormat, Protocol, QueryPairs};

use crate::server::{Served, Server};

/// The service whose name in scopes is that of object storage: its signatures name the body's hash, and what is not told apart
/// is for it.
pub(crate) const OBJECT_STORAGE: &str = "s3";

/// Who sent a request.
pub(crate) struct Sender {
    pub(crate) principal: Principal,
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) signed: Option<Signed>,
    pub(crate) access_key_id: Option<String>,
    pub(crate) auth: AuthType,
    /// How the body is protected; `None` when it was read and verified already.
    pub(crate) protection: Option<PayloadMode>,
}

/// Why nobody is believed to have sent it.
pub(crate) enum Unbelieved {
    /// The request's fault.
    Refused(AuthError),
    /// The credentials could not be looked up.
    Failed(String),
}

impl Unbelieved {
    /// The error as S3 or the other services put it.
    pub(crate) fn error(&self, format: ErrorFormat) -> ServiceError {
        let error = match self {
            Self::Failed(_) => return ServiceError::internal(),
            Self::Refused(error) => error,
        };
        if format == ErrorFormat::S3 {
            let mut refusal = ServiceError::new(error.code(), error.status(), error.message());
            refusal.fields = error.fields();
            return refusal;
        }
        let code: Cow<'static, str> = match (error.common_code(), format) {
            // The JSON protocols have names of their own for some of the common errors.
            ("InvalidClientTokenId", ErrorFormat::Json10 | ErrorFormat::Json11 | ErrorFormat::RestJson) => {
                "UnrecognizedClientException".into()
            }
            ("SignatureDoesNotMatch", ErrorFormat::Json10 | ErrorFormat::Json11 | ErrorFormat::RestJson) => {
                "InvalidSignatureException".into()
            }
            ("ExpiredToken", ErrorFormat::Json10 | ErrorFormat::Json11 | ErrorFormat::RestJson) => {
                "ExpiredTokenException".into()
            }
            (code, _) => code.into(),
        };
        let message = match error {
            AuthError::UnknownAccessKey(_) | AuthError::InvalidToken => {
                "The security token included in the request is invalid.".to_owned()
            }
            AuthError::ExpiredToken => "The security token included in the request is expired".to_owned(),
            other => other.message(),
        };
        ServiceError::new(code, error.common_status(), message)
    }
}

/// The parts of a request that a signature covers.
pub(crate) fn signed_parts<'a>(head: &'a RequestHead, authority: Option<&'a str>, body: &'a [u8]) -> RequestParts<'a> {
    RequestParts {
        method: head.method.as_str(),
        path: &head.path,
        query: &head.query,
        headers: &head.headers,
        authority,
        body,
        host_bucket: head.host_bucket.as_deref(),
    }
}

/// The request as it is to be acted on: query parameters that the signature takes for headers are headers. The signature itself is
/// verified of the head as it was sent.
pub(crate) fn acting<'a>(claim: &Claim<'_>, head: &'a RequestHead) -> Cow<'a, RequestHead> {
    let Claim::Signed(signed) = claim else { return Cow::Borrowed(head) };
    let parameters = signed.headers_in_query();
    if parameters.is_empty() {
        return Cow::Borrowed(head);
    }
    let mut acting = head.clone();
    for (name, value) in parameters {
        acting.headers.insert(name.clone(), value.clone());
    }
    Cow::Owned(acting)
}

/// How errors are rendered for a request whose service is not known: as its own protocol does, as far as it shows.
pub(crate) fn guessed_format(headers: &HeaderMap) -> ErrorFormat {
    let content_type = headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
    if content_type.starts_with(b"application/x-amz-json-1.0") {
        ErrorFormat::Json10
    } else if headers.contains_key("x-amz-target") {
        ErrorFormat::Json11
    } else if is_form(content_type) {
        ErrorFormat::Query { namespace: None }
    } else {
        ErrorFormat::S3
    }
}

fn is_form(content_type: &[u8]) -> bool {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    content_type.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM))
}

/// The service that a request is for: the one its signature is scoped to; unsigned, the one that its target names or whose forms
/// it sends; else object storage.
pub(crate) fn service_of<'a>(
    server: &'a Server,
    claim: &Claim<'_>,
    head: &RequestHead,
) -> Result<&'a Served, ServiceError> {
    let absent = |what: &str| {
        let names =
            |served: &Served| std::iter::once(served.service.name()).chain(served.service.includes().iter().copied());
        let served: Vec<&str> = server.services.iter().flat_map(names).collect();
        let text = format!("{what} is not implemented by this server, which serves: {}.", served.join(", "));
        Err(ServiceError::new("NotImplemented", 501, text))
    };
    if let Claim::Signed(signed) = claim {
        let name = signed.service();
        return server.service(name).map_or_else(|| absent(&format!("The service {name:?}")), Ok);
    }
    if let Some(target) = head.headers.get("x-amz-target") {
        let target = target.to_str().unwrap_or_default();
        let prefix = target.rsplit_once('.').map_or(target, |(prefix, _)| prefix);
        let has = |service: &dyn millpond_kernel::Service| {
            service.target_prefix() == Some(prefix) || service.target_prefixes().contains(&prefix)
        };
        let named = server.services.iter().find(|served| has(&*served.service));
        return named.map_or_else(|| absent(&format!("The target {target:?}")), Ok);
    }
    let content_type = head.headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let form = head.method == http::Method::POST && head.host_bucket.is_none() && is_form(content_type);
    let taken = || match head.path.as_str() {
        "/" => server.speaking(Protocol::Query),
        // With a query it is an operation of object storage.
        path if head.query.is_empty() => server.services.iter().find(|served| served.service.takes_form(path)),
        _ => None,
    };
    match form.then(taken).flatten().or_else(|| of_link(server, head)) {
        Some(served) => Ok(served),
        None => server.service(OBJECT_STORAGE).map_or_else(|| absent("Object storage"), Ok),
    }
}

/// The service whose link is followed.
fn of_link<'a>(server: &'a Server, head: &RequestHead) -> Option<&'a Served> {
    if head.method != http::Method::GET || head.path != "/" || head.host_bucket.is_some() {
        return None;
    }
    let query = QueryPairs::parse(&head.query).ok()?;
    let action = query.get("Action")?;
    server.services.iter().find(|served| served.service.takes_link(action))
}

/// Nobody in particular.
pub(crate) fn anonymous(headers: &HeaderMap) -> Result<Sender, Unbelieved> {
    let protection = PayloadMode::anonymous(headers).map_err(Unbelieved::Refused)?;
    Ok(Sender {
        principal: Principal::Anonymous,
        session: None,
        signed: None,
        access_key_id: None,
        auth: AuthType::None,
        protection: Some(protection),
    })
}

/// What is accepted of signatures now.
pub(crate) struct Accepting<'a> {
    pub(crate) server: &'a Server,
    pub(crate) service: &'a str,
    pub(crate) now: Timestamp,
}

impl Accepting<'_> {
    fn with<T>(&self, then: impl FnOnce(&VerifyPolicy<'_>) -> T) -> T {
        then(&VerifyPolicy { now: self.now, region: &self.server.config.region, services: &[self.service] })
    }

    /// Checks what needs no secret: region, times, and that everything that must be signed is.
    pub(crate) fn check(&self, claim: &SignedClaim<'_>, parts: &RequestParts<'_>) -> Result<(), Unbelieved> {
        self.with(|policy| claim.check(parts, policy)).map_err(Unbelieved::Refused)
    }

    /// The secret and owner of the access key that a request names.
    pub(crate) async fn look_up(&self, claim: &SignedClaim<'_>) -> Result<millpond_kernel::Credential, Unbelieved> {
        let found = self.server.credentials.find(claim.access_key_id(), claim.session_token()).await;
        found.map_err(|error| match error {
            CredentialError::Unknown => {
                Unbelieved::Refused(AuthError::UnknownAccessKey(claim.access_key_id().to_owned()))
            }
            CredentialError::InvalidToken => Unbelieved::Refused(AuthError::InvalidToken),
            CredentialError::Expired => Unbelieved::Refused(AuthError::ExpiredToken),
            CredentialError::Failed(reason) => Unbelieved::Failed(reason),
        })
    }

    /// Checks the signature. `body` is the whole body for services whose signatures cover it unnamed.
    pub(crate) fn verify(
        &self,
        claim: &SignedClaim<'_>,
        parts: &RequestParts<'_>,
        credential: millpond_kernel::Credential,
        body: Option<&Bytes>,
    ) -> Result<Sender, Unbelieved> {
        let secret = Secret::new(credential.secret.expose());
        let verified = self.with(|policy| claim.verify(parts, &secret, policy, &self.server.keys));
        let verified = verified.map_err(Unbelieved::Refused)?;
        let auth = match verified.auth_type() {
            millpond_auth::AuthType::Header => AuthType::Header,
            millpond_auth::AuthType::Query => AuthType::Query,
        };
        let signed = Signed { version: verified.signature_version(), at: verified.signed_at() };
        let region = self.server.config.region.as_str();
        self.server.credentials.used(verified.access_key_id(), self.service, region);
        Ok(Sender {
            principal: credential.principal,
            session: credential.session,
            signed: Some(signed),
            access_key_id: Some(verified.access_key_id().to_owned()),
            auth,
            protection: body.is_none().then(|| verified.into_payload()),
        })
    }
}
