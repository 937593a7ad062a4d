//! Amazon EventBridge Scheduler: schedules that invoke a target once, at a rate, or by a cron expression in a time zone.
//!
//! A request is read (`inputs`), decided (`state::Core::authorize`), and its handler in `ops` does it. When a schedule is due is one timer of the
//! kernel's clockwork, set in the commit that makes or changes it (`plan` says when); `fire` is what happens then, `invoke` what is delivered.
//! Targets are reached by the kernel's port, as a session of the schedule's role.

mod errors;
mod fire;
mod inputs;
mod invoke;
mod limits;
mod ops;
mod paging;
mod plan;
mod state;
mod tables;
mod target;
mod tokens;
mod trace;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_scheduler::{self as api, Operation};
use millpond_io::{Clock, Random};
use millpond_kernel::timers::Timers;
use millpond_kernel::trace::Traced;
use millpond_kernel::{Caller, Kernel, OperationRef, RequestHead, Response, Service, ServiceError, ServiceRequest};
use millpond_meta::Kv;
use millpond_seal::{Envelope, Purpose, Vault};
use millpond_types::AccountId;
use millpond_wire::{ErrorFormat, Label, Protocol, QueryPairs, RequestView, ResponseParts, Route};

use crate::inputs::Input;
use crate::ops::{groups, schedules, tags};
use crate::state::Core;

/// The service. Clones share everything.
#[derive(Clone)]
pub struct Scheduler {
    core: Arc<Core>,
}

impl Scheduler {
    /// The service, whose timers are among `timers`. `kv` is the one that the kernel's epoch lies in.
    pub fn new(
        kv: Arc<dyn Kv>,
        kernel: Arc<Kernel>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        timers: Timers,
        vault: Arc<Vault>,
    ) -> Self {
        let identity = kernel.register(state::PRINCIPAL);
        let envelope = Envelope::new(vault, random.clone(), Purpose::ScheduleInput);
        let core = Arc::new(Core { kernel, kv, clock, random, envelope, timers: timers.clone(), identity });
        timers.add(Arc::new(fire::Clockwork(core.clone())));
        Self { core }
    }

    /// Who answers `millpond trace`.
    pub fn traced(&self) -> Arc<dyn Traced> {
        Arc::new(trace::Tracing(Arc::clone(&self.core)))
    }
}

fn routed(head: &RequestHead) -> Result<(Route<Operation>, Vec<Label>), ServiceError> {
    let query = QueryPairs::parse(&head.query).map_err(|error| errors::from_parse(&error))?;
    Ok(api::route(&head.method, &head.path, &query, &head.headers))
}

impl Service for Scheduler {
    fn name(&self) -> &'static str {
        "scheduler"
    }

    fn protocol(&self) -> Protocol {
        Protocol::RestJson
    }

    fn error_format(&self) -> ErrorFormat {
        api::ERROR_FORMAT
    }

    fn max_body(&self) -> Option<usize> {
        Some(limits::MAX_BODY)
    }

    fn identify(&self, head: &RequestHead) -> Result<OperationRef, ServiceError> {
        match routed(head)?.0 {
            Route::Served(operation) => Ok(OperationRef { name: operation.name(), index: operation as u16 }),
            Route::Unserved(name) => Err(ServiceError::not_implemented(name)),
            Route::Unknown => Err(ServiceError::new("UnknownOperationException", 404, "The operation is not known.")),
        }
    }

    fn call(&self, request: ServiceRequest) -> BoxFuture<'_, Result<Response, ServiceError>> {
        async move {
            let ServiceRequest { head, operation, mut payload, caller } = request;
            let Some(operation) = Operation::ALL.get(usize::from(operation.index)).copied() else {
                return Err(ServiceError::internal());
            };
            let Some(account) = caller.account() else { return Err(errors::unsigned()) };
            let too_large = || ServiceError::new("ValidationException", 413, "The request is larger than 2 MiB.");
            let body = payload.collect(limits::MAX_BODY, too_large).await?;
            let labels = routed(&head)?.1;
            let call = Call { core: &self.core, head: &head, labels: &labels, body: &body, caller: &caller, account };
            let parts = call.carry_out(operation).await?;
            Response::of(parts)
        }
        .boxed()
    }
}

/// A request whose body was read.
struct Call<'a> {
    core: &'a Arc<Core>,
    head: &'a RequestHead,
    labels: &'a [Label],
    body: &'a Bytes,
    caller: &'a Arc<Caller>,
    account: AccountId,
}

impl Call<'_> {
    fn input<I: Input>(&self) -> Result<I, ServiceError> {
        let query = QueryPairs::parse(&self.head.query).map_err(|error| errors::from_parse(&error))?;
        let view = RequestView {
            method: &self.head.method,
            bucket: None,
            key: None,
            labels: self.labels,
            query: &query,
            headers: &self.head.headers,
            body: self.body,
        };
        I::read(&view).map_err(|error| errors::from_parse(&error))
    }

    async fn carry_out(&self, operation: Operation) -> Result<ResponseParts, ServiceError> {
        /// Decided and carried out, anew where it must be.
        macro_rules! call {
            ($handler:path) => {{
                let input = self.input()?;
                let done = self.core.kernel.again(|| $handler(self.core, self.caller, self.account, &input)).await?;
                Ok(done.write())
            }};
        }
        match operation {
            Operation::CreateSchedule => call!(schedules::create),
            Operation::CreateScheduleGroup => call!(groups::create),
            Operation::DeleteSchedule => call!(schedules::delete),
            Operation::DeleteScheduleGroup => call!(groups::delete),
            Operation::GetSchedule => call!(schedules::get),
            Operation::GetScheduleGroup => call!(groups::get),
            Operation::ListScheduleGroups => call!(groups::list),
            Operation::ListSchedules => call!(schedules::list),
            Operation::ListTagsForResource => call!(tags::list),
            Operation::TagResource => call!(tags::tag),
            Operation::UntagResource => call!(tags::untag),
            Operation::UpdateSchedule => call!(schedules::update),
        }
    }
}
