//! AWS CloudTrail, as far as it is served: `LookupEvents` over the audit records of the kernel, and that there are no trails ([`trails`]).
//!
//! [`CloudTrail::call`] reads the input, has the kernel decide, and looks the records up ([`lookup`]). What a record is found by stands in [`event`];
//! pages go on by a sealed [`token`].

mod errors;
mod event;
mod lookup;
mod token;
mod trails;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::StatusCode;
use millpond_api_cloudtrail::{self as api, Operation};
use millpond_io::{Clock, Random};
use millpond_kernel::audit::Audit;
use millpond_kernel::{
    Access, Authorized, Caller, Context, Kernel, OperationRef, RequestHead, Resource, Response, ResponseBody, Service,
    ServiceError, ServiceRequest,
};
use millpond_seal::Vault;
use millpond_types::{AccountId, Arn};
use millpond_wire::{ParseError, Protocol, QueryPairs, RequestView, Route};

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
        let call = Call { parts: &self.parts, caller: &request.caller, account, head: &request.head, body: &body };
        let parts = match Operation::ALL.get(usize::from(request.operation.index)) {
            Some(Operation::DescribeTrails) => trails::described(&call.authorized().await?).write(),
            Some(Operation::ListTrails) => trails::listed(&call.authorized().await?)?.write(),
            Some(Operation::LookupEvents) => {
                let input = call.authorized().await?.into_inner().input;
                lookup::events(&self.parts, account, input).await?.write()
            }
            None => return Err(ServiceError::internal()),
        };
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

/// An input, by its operation.
trait Input: Sized + std::fmt::Debug + Send + Sync {
    /// `LookupEvents`
    const NAME: &'static str;
    /// `cloudtrail:LookupEvents`
    const ACTION: &'static str;

    fn read(view: &RequestView<'_>) -> Result<Self, ParseError>;
}

macro_rules! inputs {
    ($($name:literal: $input:ident,)*) => {$(
        impl Input for api::$input {
            const NAME: &'static str = $name;
            const ACTION: &'static str = concat!("cloudtrail:", $name);

            fn read(view: &RequestView<'_>) -> Result<Self, ParseError> {
                Self::parse(view)
            }
        }
    )*};
}

inputs! {
    "DescribeTrails": DescribeTrailsInput,
    "ListTrails": ListTrailsInput,
    "LookupEvents": LookupEventsInput,
}

/// A request whose body was read.
struct Call<'a> {
    parts: &'a CloudTrailParts,
    caller: &'a Caller,
    account: AccountId,
    head: &'a RequestHead,
    body: &'a Bytes,
}

impl Call<'_> {
    /// Reads the input, and has the kernel decide.
    async fn authorized<I: Input>(&self) -> Result<Authorized<On<I>>, ServiceError> {
        let query = QueryPairs::default();
        let view = RequestView {
            method: &self.head.method,
            bucket: None,
            key: None,
            labels: &[],
            query: &query,
            headers: &self.head.headers,
            body: self.body,
        };
        let input = I::read(&view).map_err(|error| errors::from_parse(&error))?;
        let kernel = &self.parts.kernel;
        let on = On { input, account: self.account, region: kernel.region().as_str().to_owned() };
        kernel.authorize(self.caller, on).await.map_err(errors::from_refusal)
    }
}

/// An operation, which needs a right that is about no resource (Service Authorization Reference, "Actions defined by AWS CloudTrail").
#[derive(Debug)]
struct On<I> {
    input: I,
    account: AccountId,
    region: String,
}

impl<I: Input> millpond_kernel::Operation for On<I> {
    const NAME: &'static str = I::NAME;

    fn accesses(&self) -> Vec<Access> {
        let everything = Arn::new("cloudtrail", &self.region, self.account.as_str(), "*");
        vec![Access { action: I::ACTION, resource: Resource::new(everything, self.account) }]
    }

    fn context(&self, _: &Access, _: &mut Context) {}
}
