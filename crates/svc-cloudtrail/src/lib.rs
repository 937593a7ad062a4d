//! AWS CloudTrail: `LookupEvents` over the audit records of the kernel, and trails.
//!
//! [`CloudTrail::call`] reads the input, has the kernel decide, and carries it out: lookups in [`lookup`] (what a record is found by stands in [`event`], pages go on
//! by a sealed [`token`]), trails in [`trails`] and [`tags`], over [`state`]. What trails select ([`selectors`]) is read off the records by [`reader`], and put into
//! buckets by [`files`]; [`trace`] tells afterwards what became of one.

mod errors;
mod event;
mod files;
mod lookup;
mod name;
mod reader;
mod selectors;
mod state;
mod tables;
mod tags;
mod token;
mod trace;
mod trails;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_cloudtrail::{self as api, Operation};
use millpond_io::{Clock, Random};
use millpond_kernel::audit::Audit;
use millpond_kernel::streams::Consumers;
use millpond_kernel::trace::Traced;
use millpond_kernel::{
    Access, Authorized, Caller, Context, Kernel, Objects, OperationRef, RequestHead, Resource, Response, Service,
    ServiceError, ServiceRequest,
};
use millpond_meta::{Kv, ReadError};
use millpond_seal::Vault;
use millpond_types::{AccountId, Arn, Region};
use millpond_wire::{ParseError, Protocol, RequestView, Route};

use crate::files::Files;
pub use crate::files::INTERVAL;
use crate::name::Named;
use crate::reader::{Reader, ReaderParts};
use crate::state::Trails;
pub use crate::tables::QUEUED;

/// The largest document: ten attributes of 2,000 characters would be far below it.
const MAX_DOCUMENT: usize = 256 * 1024;
/// What targets may begin with besides what the model says, as CloudTrail itself takes it.
const SHORT_PREFIX: &str = "CloudTrail_20131101";

/// How often a call is decided when policies change while it is carried out.
const DECIDE_ATTEMPTS: u32 = 16;

/// The service. Clones share everything.
#[derive(Clone)]
pub struct CloudTrail(Arc<Inner>);

struct Inner {
    parts: CloudTrailParts,
    trails: Trails,
    files: Files,
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
    /// Where trails are kept.
    pub kv: Arc<dyn Kv>,
    /// Who reads the records.
    pub consumers: Consumers,
    /// Where log files are put.
    pub objects: Arc<dyn Objects>,
}

impl CloudTrail {
    /// The service: reads all trails, and has the records read for them. Data events are recorded from now on where a trail selects them.
    pub async fn open(parts: CloudTrailParts) -> Result<Self, ReadError> {
        let trails = Trails::load(parts.kv.clone(), parts.consumers.clone()).await?;
        let reading = ReaderParts {
            kernel: parts.kernel.clone(),
            trails: trails.clone(),
            clock: parts.clock.clone(),
            random: parts.random.clone(),
        };
        for reader in Reader::both(&reading) {
            parts.consumers.add(Arc::new(reader)).await?;
        }
        parts.audit.use_trails(Arc::new(trails.clone()));
        let (clock, random) = (parts.clock.clone(), parts.random.clone());
        let files = Files::new(parts.kernel.clone(), trails.clone(), parts.objects.clone(), clock, random);
        Ok(Self(Arc::new(Inner { parts, trails, files })))
    }

    /// Who answers `millpond trace`.
    pub fn traced(&self) -> Arc<dyn Traced> {
        Arc::new(trace::Tracing { trails: self.0.trails.clone(), consumers: self.0.parts.consumers.clone() })
    }

    /// Puts log files into buckets every `interval`, until `stop`.
    pub async fn run(&self, interval: Duration, stop: impl Future<Output = ()>) {
        self.0.files.run(interval, stop).await;
    }

    /// Puts what waits into buckets now.
    pub async fn deliver(&self) {
        self.0.files.deliver_all().await;
    }

    async fn carry_out(&self, mut request: ServiceRequest) -> Result<Response, ServiceError> {
        let Some(account) = request.caller.account() else { return Err(errors::nobody()) };
        let body = request.payload.collect(MAX_DOCUMENT, errors::too_large).await?;
        let Some(operation) = Operation::ALL.get(usize::from(request.operation.index)) else {
            return Err(ServiceError::internal());
        };
        for _ in 0..DECIDE_ATTEMPTS {
            let (caller, head) = (&*request.caller, &request.head);
            let call = Call { inner: &self.0, caller, account, head, body: &body };
            match call.carry_out(*operation).await {
                Err(error) if error.code == errors::DECIDED_TOO_EARLY => {
                    self.0.parts.kernel.epoch().refresh().await.map_err(|error| {
                        tracing::error!(%error, "the policy epoch cannot be read");
                        errors::failed()
                    })?;
                }
                answer => return answer,
            }
        }
        Err(errors::decided_too_early())
    }
}

impl Call<'_> {
    async fn carry_out(&self, operation: Operation) -> Result<Response, ServiceError> {
        let parts = match operation {
            Operation::LookupEvents => {
                let input = self.authorized().await?.into_inner().input;
                lookup::events(&self.inner.parts, self.account, input).await?.write()
            }
            Operation::AddTags => tags::add(self, self.authorized().await?).await?.write(),
            Operation::RemoveTags => tags::remove(self, self.authorized().await?).await?.write(),
            Operation::ListTags => tags::list(self, self.authorized().await?)?.write(),
            Operation::CreateTrail => trails::create(self, self.authorized().await?).await?.write(),
            Operation::UpdateTrail => trails::update(self, self.authorized().await?).await?.write(),
            Operation::DeleteTrail => trails::delete(self, self.authorized().await?).await?.write(),
            Operation::GetTrail => trails::get(self, self.authorized().await?)?.write(),
            Operation::DescribeTrails => trails::described(self, self.authorized().await?)?.write(),
            Operation::ListTrails => trails::listed(self, self.authorized().await?)?.write(),
            Operation::GetTrailStatus => trails::status(self, self.authorized().await?).await?.write(),
            Operation::StartLogging => trails::start(self, self.authorized().await?).await?.write(),
            Operation::StopLogging => trails::stop(self, self.authorized().await?).await?.write(),
            Operation::PutEventSelectors => trails::put_selectors(self, self.authorized().await?).await?.write(),
            Operation::GetEventSelectors => trails::get_selectors(self, self.authorized().await?)?.write(),
            Operation::GetInsightSelectors => trails::insights(self, self.authorized().await?)?.write(),
        };
        Response::of(parts)
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

    /// The trails that it names, by name or ARN; none for operations that are about no single one.
    fn trails(&self) -> Vec<&str> {
        Vec::new()
    }
}

macro_rules! inputs {
    ($($name:literal: $input:ident $(, |$this:ident| $trails:expr)?;)*) => {$(
        impl Input for api::$input {
            const NAME: &'static str = $name;
            const ACTION: &'static str = concat!("cloudtrail:", $name);

            fn read(view: &RequestView<'_>) -> Result<Self, ParseError> {
                Self::parse(view)
            }

            $(fn trails(&self) -> Vec<&str> {
                let $this = self;
                $trails
            })?
        }
    )*};
}

inputs! {
    "LookupEvents": LookupEventsInput;
    "ListTrails": ListTrailsInput;
    // Which it names does not matter for the right to it (Service Authorization Reference).
    "DescribeTrails": DescribeTrailsInput;
    "CreateTrail": CreateTrailInput, |input| vec![&input.name];
    "UpdateTrail": UpdateTrailInput, |input| vec![&input.name];
    "DeleteTrail": DeleteTrailInput, |input| vec![&input.name];
    "GetTrail": GetTrailInput, |input| vec![&input.name];
    "GetTrailStatus": GetTrailStatusInput, |input| vec![&input.name];
    "StartLogging": StartLoggingInput, |input| vec![&input.name];
    "StopLogging": StopLoggingInput, |input| vec![&input.name];
    "PutEventSelectors": PutEventSelectorsInput, |input| vec![&input.trail_name];
    "GetEventSelectors": GetEventSelectorsInput, |input| vec![&input.trail_name];
    "GetInsightSelectors": GetInsightSelectorsInput, |input| input.trail_name.as_deref().into_iter().collect();
    "AddTags": AddTagsInput, |input| vec![&input.resource_id];
    "RemoveTags": RemoveTagsInput, |input| vec![&input.resource_id];
    "ListTags": ListTagsInput, |input| input.resource_id_list.iter().map(String::as_str).collect();
}

/// A request whose body was read.
struct Call<'a> {
    inner: &'a Inner,
    caller: &'a Caller,
    account: AccountId,
    head: &'a RequestHead,
    body: &'a Bytes,
}

impl Call<'_> {
    /// Reads the input, and has the kernel decide.
    async fn authorized<I: Input>(&self) -> Result<Authorized<On<I>>, ServiceError> {
        let view = RequestView::of_body(&self.head.method, &self.head.headers, self.body);
        let input = I::read(&view).map_err(|error| errors::from_parse(&error))?;
        let kernel = &self.inner.parts.kernel;
        let named = input.trails().into_iter().map(|trail| Named::parse(trail, self.account, kernel.region()));
        let named = named.collect::<Result<_, _>>()?;
        let on = On { input, named, account: self.account, region: kernel.region().clone() };
        kernel.authorize(self.caller, on).await.map_err(errors::from_refusal)
    }
}

/// An operation, on the trails that it names, or on none (Service Authorization Reference, "Actions defined by AWS CloudTrail").
#[derive(Debug)]
struct On<I> {
    input: I,
    named: Vec<Named>,
    account: AccountId,
    region: Region,
}

impl<I: Input> millpond_kernel::Operation for On<I> {
    const NAME: &'static str = I::NAME;

    fn accesses(&self) -> Vec<Access> {
        if !self.named.is_empty() {
            let access = |named: &Named| {
                let arn = state::arn(&self.region, named.account, &named.name);
                Access { action: I::ACTION, resource: Resource::new(arn, named.account) }
            };
            return self.named.iter().map(access).collect();
        }
        let everything = Arn::new("cloudtrail", self.region.as_str(), self.account.as_str(), "*");
        vec![Access { action: I::ACTION, resource: Resource::new(everything, self.account) }]
    }

    fn context(&self, _: &Access, _: &mut Context) {}
}
