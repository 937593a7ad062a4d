//! One request's way: limits, address, service, sender, operation, handler, answer.

use std::borrow::Cow;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use http::Method;
use http::request::Parts;
use hyper::body::Incoming;
use millpond_auth::Claim;
use millpond_kernel::{
    Authenticated, Caller, OperationRef, Payload, RequestHead, Response, ServiceError, ServiceRequest, Transport,
};
use millpond_types::Timestamp;
use millpond_wire::{ErrorFormat, Protocol};

use crate::answer::{self, AnswerBody, Asked};
use crate::connection::{Peer, Way};
use crate::host::{Addressed, addressed};
use crate::limits::Limits;
use crate::network::{Origin, origin};
use crate::pages;
use crate::payload::{self, RequestBody, awaits_continue};
use crate::record::Record;
use crate::recorded::Calling;
use crate::sender::{self, Accepting, Sender, Unbelieved};
use crate::server::{Served, Server};

/// An answer on its way out: in which format, if it is an error.
struct Refused {
    format: ErrorFormat,
    error: ServiceError,
}

/// Answers a request.
pub(crate) async fn serve(
    server: Arc<Server>,
    peer: Arc<Peer>,
    request: http::Request<Incoming>,
) -> Result<http::Response<AnswerBody>, Infallible> {
    peer.progress.serving();
    let (parts, incoming) = request.into_parts();
    let body = RequestBody::of(incoming, &parts.headers);
    let origin = match peer.way {
        Way::Door => Origin::function(),
        way => origin(peer.address.ip(), way.tls().is_some(), &parts.headers, &server.config.trusted_proxies),
    };
    let mut record = Record::begin(&server, parts.method.clone(), origin.address);
    record.body.clone_from(&body);
    // The codec sends a 100 when a body is read first. Where there is none to read, it sends none, and clients that wait for it
    // misread what follows on the same connection: botocore does (RFC 9110, section 10.1.1, lets a server close it).
    let misled = body.is_none() && awaits_continue(&parts.headers);
    let (method, uri) = (parts.method.clone(), parts.uri.clone());
    let fallback = sender::guessed_format(&parts.headers);

    let received = server.clock.wall();
    // That of a proxy's connection says nothing about its client's.
    let tls = peer.way.tls().filter(|_| origin.address == peer.address.ip().to_canonical());
    let (body_of, record_of) = (body.as_ref(), &mut record);
    let request =
        Arrived { server: &server, received, origin, tls, body: body_of, record: record_of, format: fallback };
    let outcome = AssertUnwindSafe(request.answer(parts)).catch_unwind().await;
    let (format, outcome) = match outcome {
        Ok(Ok((format, response))) => (format, Ok(response)),
        Ok(Err(refused)) => (refused.format, Err(refused.error)),
        Err(panic) => {
            let panic = answer::panic_text(&*panic);
            tracing::error!(request_id = %record.id, panic, "a request failed");
            (fallback, Err(ServiceError::internal()))
        }
    };

    let keeps = match &body {
        Some(body) => body.settle(&server.config.limits).await,
        None => !misled,
    };
    let asked = Asked { method: &method, path: uri.path(), format, id: record.id, close: !keeps };
    let (response, code) = match outcome {
        Ok(response) => (response, None),
        Err(error) => (answer::refusal(&server, &asked, &error), Some(error.code)),
    };
    record.answered(response.status, code);
    Ok(answer::finished(&server, &asked, response, &peer.progress, Some(record)))
}

/// A request whose sender is believed.
struct Admitted<'a> {
    served: &'a Served,
    operation: OperationRef,
    /// Whether the operation was told, and not only the service.
    known: bool,
    sender: Sender,
    payload: Payload,
    /// The body, where it was read already.
    body: Option<bytes::Bytes>,
    /// The head to act on, where it is not the one that was sent.
    head: Option<RequestHead>,
}

/// A request whose head was read.
struct Arrived<'a> {
    server: &'a Arc<Server>,
    origin: Origin,
    tls: Option<&'static str>,
    body: Option<&'a Arc<RequestBody>>,
    record: &'a mut Record,
    received: Timestamp,
    /// How errors are rendered, as far as is known.
    format: ErrorFormat,
}

impl<'a> Arrived<'a> {
    async fn answer(mut self, parts: Parts) -> Result<(ErrorFormat, Response), Box<Refused>> {
        let format = self.format;
        let early = |error| Box::new(Refused { format, error });
        let place = check_head(&parts, self.server).map_err(early)?;
        if place == Addressed::Endpoint
            && let Some(page) = pages::page(self.server, &parts.method, parts.uri.path(), &self.origin).await
        {
            return page.map(|page| (format, page)).map_err(early);
        }
        self.record.in_flight = self.server.admit_request();
        if self.record.in_flight.is_none() {
            return Err(early(slow_down()));
        }
        let authority = parts.uri.authority().cloned();
        let head = RequestHead {
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            method: parts.method,
            headers: parts.headers,
            host_bucket: match place {
                Addressed::Endpoint => None,
                Addressed::Bucket(name) => Some(name),
            },
        };
        let admitted = self.admit(&head, authority.as_ref().map(|a| a.as_str())).await?;
        let format = self.format;
        let head = admitted.head.unwrap_or(head);
        let calling = Calling {
            service: Arc::clone(&admitted.served.service),
            audit: self.server.audit.clone(),
            known: admitted.known,
            request: self.request(head, admitted.operation, admitted.sender, admitted.payload),
            body: admitted.body,
        };
        match calling.call().await {
            Ok(response) => Ok((format, response)),
            Err(error) => Err(Box::new(Refused { format, error })),
        }
    }

    /// Finds the service and the operation, and believes the sender or does not.
    async fn admit(&mut self, head: &RequestHead, authority: Option<&str>) -> Result<Admitted<'a>, Box<Refused>> {
        let server: &'a Arc<Server> = self.server;
        let parts = sender::signed_parts(head, authority, &[]);
        let claim = millpond_auth::claim(&parts);
        let claim = claim.map_err(|error| self.unbelieved(Unbelieved::Refused(error)))?;
        if let Claim::Signed(signed) = &claim {
            self.record.names_key(signed.access_key_id());
        }
        let served = sender::service_of(server, &claim, head).map_err(|error| self.refused(error))?;
        let acting = sender::acting(&claim, head);
        self.format = served.service.error_format_of(&acting);
        let mut operation = served.service.identify(&acting);
        self.record.operation = Some(Arc::clone(match &operation {
            Ok(operation) => served.metrics.of(&server.metrics, operation.name, operation.index),
            Err(_) => served.metrics.unknown(&server.metrics),
        }));
        // Forms name their operation in the body, which is only read of senders who are believed.
        let mut known = served.service.protocol_of(&acting) != Protocol::Query;
        let mut read = None;
        let accepting = Accepting { server, service: served.service.name(), now: self.received };
        let (sender, payload) = match &claim {
            Claim::Anonymous => {
                let sender = sender::anonymous(&head.headers).map_err(|error| self.unbelieved(error))?;
                (sender, None)
            }
            Claim::Signed(signed) => {
                accepting.check(signed, &parts).map_err(|error| self.unbelieved(error))?;
                let credential = accepting.look_up(signed).await.map_err(|error| self.unbelieved(error))?;
                let body = self.unnamed_body(served, &acting).await?;
                let parts = sender::signed_parts(head, authority, body.as_deref().unwrap_or_default());
                let sender = accepting.verify(signed, &parts, credential, body.as_ref());
                let sender = sender.map_err(|error| self.unbelieved(error))?;
                if let Some(named) = body.as_deref().and_then(|body| served.service.identify_body(&acting, body)) {
                    self.record.operation =
                        Some(Arc::clone(served.metrics.of(&server.metrics, named.name, named.index)));
                    operation = Ok(named);
                    known = true;
                }
                read.clone_from(&body);
                (sender, body.map(payload::whole))
            }
        };
        let operation = operation.map_err(|error| self.refused(error))?;
        let (sender, payload) = self.payload(&acting, sender, payload)?;
        let head = match acting {
            Cow::Borrowed(_) => None,
            Cow::Owned(head) => Some(head),
        };
        Ok(Admitted { served, operation, known, sender, payload, body: read, head })
    }

    /// The body, read whole, where the signature covers its hash without naming it.
    async fn unnamed_body(&self, served: &Served, head: &RequestHead) -> Result<Option<bytes::Bytes>, Box<Refused>> {
        if served.service.name() == sender::OBJECT_STORAGE {
            return Ok(None);
        }
        let Some(body) = self.body else { return Ok(Some(bytes::Bytes::new())) };
        let limits = &self.server.config.limits;
        let most = limits.unverified_body_bytes.max(served.service.max_body_of(head).unwrap_or(0));
        payload::buffered(body, most, limits).await.map(Some).map_err(|error| self.refused(error))
    }

    fn payload(
        &self,
        head: &RequestHead,
        mut sender: Sender,
        read: Option<Payload>,
    ) -> Result<(Sender, Payload), Box<Refused>> {
        if let Some(read) = read {
            return Ok((sender, read));
        }
        let mode = sender.protection.take().unwrap_or(millpond_auth::PayloadMode::Unsigned);
        let payload = payload::streamed(self.body, mode, &head.headers, &self.server.config.limits);
        payload.map(|payload| (sender, payload)).map_err(|error| self.refused(error))
    }

    fn request(&self, head: RequestHead, operation: OperationRef, sender: Sender, payload: Payload) -> ServiceRequest {
        let user_agent = head.headers.get(http::header::USER_AGENT);
        let referer = head.headers.get(http::header::REFERER);
        let words = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let caller = Caller::authenticated(Authenticated {
            principal: sender.principal,
            session: sender.session,
            access_key_id: sender.access_key_id,
            auth: sender.auth,
            signed: sender.signed,
            transport: Transport {
                source_ip: Some(self.origin.address),
                secure: self.origin.secure,
                tls_version: self.tls,
                user_agent: user_agent.map(words),
                referer: referer.map(words),
            },
            request_id: self.record.id,
            received: self.received,
        });
        ServiceRequest { head, operation, payload, caller: Arc::new(caller) }
    }

    fn refused(&self, error: ServiceError) -> Box<Refused> {
        Box::new(Refused { format: self.format, error })
    }

    fn unbelieved(&self, why: Unbelieved) -> Box<Refused> {
        self.server.metrics.auth_failed();
        if let Unbelieved::Failed(reason) = &why {
            tracing::error!(request_id = %self.record.id, reason, "credentials cannot be looked up");
        }
        self.refused(why.error(self.format))
    }
}

pub(crate) fn slow_down() -> ServiceError {
    ServiceError::new("SlowDown", 503, "Please reduce your request rate.")
}

pub(crate) fn head_too_large() -> ServiceError {
    let text = "The request header and query parameters used to make the request exceed the maximum allowed size.";
    ServiceError::new("RequestHeaderSectionTooLarge", 400, text)
}

pub(crate) fn bad_request(text: &str) -> ServiceError {
    ServiceError::new("BadRequest", 400, text)
}

/// Checks what can be checked of any head.
fn check_head(parts: &Parts, server: &Server) -> Result<Addressed, ServiceError> {
    let limits = &server.config.limits;
    if is_too_large(parts, limits) {
        return Err(head_too_large());
    }
    if parts.method == Method::CONNECT {
        return Err(ServiceError::new(
            "MethodNotAllowed",
            405,
            "The specified method is not allowed against this resource.",
        ));
    }
    if !parts.uri.path().starts_with('/') {
        return Err(bad_request("The request target must be a path."));
    }
    addressed(&parts.uri, &parts.headers, &server.config.domains).map_err(|error| bad_request(&error.to_string()))
}

fn is_too_large(parts: &Parts, limits: &Limits) -> bool {
    let target = parts.uri.path().len() + parts.uri.query().map_or(0, |query| query.len() + 1);
    // Four bytes of each line are the colon, a blank and the line's end.
    let lines: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    target > limits.target_bytes || parts.headers.len() > limits.header_lines || target + lines > limits.head_bytes
}
