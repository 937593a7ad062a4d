//! AWS CloudTrail, as far as it is served: `LookupEvents` over the audit records of the kernel.
//!
//! [`CloudTrail::call`] reads the input, has the kernel decide, and looks the records up ([`lookup`]). What a record is found by stands in [`event`];
//! pages go on by a sealed [`token`].

mod errors;
mod event;
mod lookup;
mod token;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::StatusCode;
use millpond_api_cloudtrail::{self as api, Operation};
use millpond_io::{Clock, Random};
use millpond_kernel::audit::Audit;
use millpond_kernel::{
    Access, Authorized, Context, Kernel, OperationRef, RequestHead, Resource, Response, ResponseBody, Service,
    ServiceError, ServiceRequest,
};
use millpond_seal::Vault;
use millpond_types::{AccountId, Arn};
use millpond_wire::{Protocol, QueryPairs, RequestView, Route};

/// The largest document: ten attributes of 2,000 characters would be far below it.
const MAX_DOCUMENT: usize = 256 * 1024;
/// What targets may begin with besides what the model says, as CloudTrail itself takes it.
const SHORT_PREFIX: &str = "CloudTrail_20131101";

/// The service.
pub struct CloudTrail {
    parts: CloudTrailParts,
}

/// What the service works with.
pub struct CloudTrailParts {
    /// Decides.
    pub kernel: Arc<Kernel>,
    /// The records.
    pub audit: Audit,
    /// Seals tokens.
    pub vault: Arc<Vault>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

impl CloudTrail {
    /// The service.
    pub fn new(parts: CloudTrailParts) -> Self {
        Self { parts }
    }

    async fn carry_out(&self, mut request: ServiceRequest) -> Result<Response, ServiceError> {
        let Some(account) = request.caller.account() else { return Err(errors::nobody()) };
        let body = request.payload.collect(MAX_DOCUMENT, errors::too_large).await?;
        match Operation::ALL.get(usize::from(request.operation.index)) {
            Some(Operation::LookupEvents) => {
                let input = read(&request.head, &body)?;
                let operation = LookupEvents { input, account, region: self.parts.kernel.region().as_str().to_owned() };
                let authorized = self.parts.kernel.authorize(&request.caller, operation).await;
                self.lookup_events(authorized.map_err(errors::from_refusal)?).await
            }
            None => Err(ServiceError::internal()),
        }
    }

    async fn lookup_events(&self, authorized: Authorized<LookupEvents>) -> Result<Response, ServiceError> {
        let LookupEvents { input, account, .. } = authorized.into_inner();
        let output = lookup::events(&self.parts, account, input).await?;
        let parts = output.write();
        let status = StatusCode::from_u16(parts.status).map_err(|_| ServiceError::internal())?;
        Ok(Response { status, headers: parts.headers, body: ResponseBody::Full(parts.body) })
    }
}

impl Service for CloudTrail {
    fn name(&self) -> &'static str {
        "cloudtrail"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Json11
    }

    fn target_prefix(&self) -> Option<&'static str> {
        Some(api::TARGET_PREFIX)
    }

    fn identify(&self, head: &RequestHead) -> Result<OperationRef, ServiceError> {
        let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let long = match target.strip_prefix(SHORT_PREFIX) {
            Some(rest) => format!("{}{rest}", api::TARGET_PREFIX),
            None => target.to_owned(),
        };
        match api::route(&long) {
            Route::Served(operation) => Ok(OperationRef { name: operation.name(), index: operation as u16 }),
            Route::Unserved(name) => Err(ServiceError::not_implemented(name)),
            Route::Unknown => Err(errors::unknown_operation()),
        }
    }

    fn call(&self, request: ServiceRequest) -> BoxFuture<'_, Result<Response, ServiceError>> {
        self.carry_out(request).boxed()
    }
}

fn read(head: &RequestHead, body: &Bytes) -> Result<api::LookupEventsInput, ServiceError> {
    let query = QueryPairs::default();
    let view = RequestView {
        method: &head.method,
        bucket: None,
        key: None,
        labels: &[],
        query: &query,
        headers: &head.headers,
        body,
    };
    api::LookupEventsInput::parse(&view).map_err(|error| errors::from_parse(&error))
}

/// `LookupEvents`: needs a right that is about no resource (Service Authorization Reference, "Actions defined by AWS CloudTrail").
#[derive(Debug)]
struct LookupEvents {
    input: api::LookupEventsInput,
    account: AccountId,
    region: String,
}

impl millpond_kernel::Operation for LookupEvents {
    const NAME: &'static str = "LookupEvents";

    fn accesses(&self) -> Vec<Access> {
        let everything = Arn::new("cloudtrail", &self.region, self.account.as_str(), "*");
        vec![Access { action: "cloudtrail:LookupEvents", resource: Resource::new(everything, self.account) }]
    }

    fn context(&self, _: &Access, _: &mut Context) {}
}
