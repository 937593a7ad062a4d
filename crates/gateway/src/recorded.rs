//! A service's call, with what is written down of it for the audit trail and for whoever asks why it was denied.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use millpond_kernel::audit::{Audit, Call, Denial, EventClass, EventKind, Outcome, Said};
use millpond_kernel::{AUTHORIZATION_MESSAGE, Caller, Response, ResponseBody, Service, ServiceError, ServiceRequest};

use crate::answer::panic_text;

/// A call that is about to be made.
pub(crate) struct Calling {
    pub(crate) service: Arc<dyn Service>,
    pub(crate) audit: Audit,
    /// Whether it is known which operation it is; no record is made of what nobody knows.
    pub(crate) known: bool,
    pub(crate) request: ServiceRequest,
    /// The body, where it was read before.
    pub(crate) body: Option<Bytes>,
}

impl Calling {
    /// Carries the request out.
    ///
    /// What is recorded goes on to its end when the client is gone: nobody is to hide a change by hanging up.
    pub(crate) async fn call(self) -> Result<Response, ServiceError> {
        let kind = self.service.event(self.request.operation);
        let data = kind.class == EventClass::Data;
        if (data && !self.audit.wants_data()) || !self.known {
            let caller = Arc::clone(&self.request.caller);
            let outcome = self.service.call(self.request).await;
            return kept(&self.audit, &*self.service, &caller, kind, outcome);
        }
        self.request.caller.note().want();
        match tokio::spawn(self.recorded(kind)).await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The runtime is going down.
            Err(_) => Err(ServiceError::internal()),
        }
    }

    async fn recorded(self, kind: EventKind) -> Result<Response, ServiceError> {
        let Self { service, audit, request, body, .. } = self;
        let said = Said::of(&request.head, body);
        let protocol = service.protocol_of(&request.head);
        let caller = Arc::clone(&request.caller);
        let id = caller.request_id();
        let outcome = AssertUnwindSafe(service.call(request)).catch_unwind().await.unwrap_or_else(|panic| {
            tracing::error!(request_id = %id, panic = panic_text(&*panic), "a request failed");
            Err(ServiceError::internal())
        });
        let call = Call {
            caller: Arc::clone(&caller),
            service: service.name(),
            protocol,
            kind,
            said,
            outcome: match &outcome {
                Ok(Response { body: ResponseBody::Full(body), .. }) => Outcome::Done(body.clone()),
                Ok(_) => Outcome::Done(Bytes::new()),
                Err(error) => Outcome::failed(error),
            },
        };
        let recorded = match kind.class {
            EventClass::Data => audit.record_data(&call).await,
            _ => audit.record(&call).await,
        };
        if let Err(error) = recorded {
            tracing::error!(request_id = %id, event = kind.name, %error, "a call is not acknowledged, as it cannot be recorded");
            return Err(ServiceError::internal());
        }
        kept(&audit, &*service, &caller, kind, outcome)
    }
}

/// Keeps what was decided about a request that was denied, and tells its caller how to ask for it.
fn kept(
    audit: &Audit,
    service: &dyn Service,
    caller: &Arc<Caller>,
    kind: EventKind,
    outcome: Result<Response, ServiceError>,
) -> Result<Response, ServiceError> {
    let Some(denial) = Denial::of(caller, service.name(), kind.name, outcome.as_ref().err()) else { return outcome };
    let message = denial.readable_by().and_then(|account| audit.message(account, caller.request_id()));
    audit.denied(denial);
    outcome.map_err(|error| match message {
        Some(message) => error.header(AUTHORIZATION_MESSAGE, message),
        None => error,
    })
}
