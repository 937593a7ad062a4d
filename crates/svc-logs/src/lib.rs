//! Amazon CloudWatch Logs: groups, streams and events; what is written by whom is decided by the kernel, with the resource policies of the
//! account. [`Logs`] is the service, a target of deliveries, and where other services write lines.
//!
//! A request is read (`inputs`), decided (`state::Core::authorize`), and its handler in `ops` does it; rows are in `tables`. `filter` is the
//! pattern language; `removal` does what goes by itself.

mod errors;
pub mod filter;
mod inputs;
mod limits;
mod ops;
mod paging;
mod reader;
mod removal;
mod state;
pub mod tables;
mod tail;
mod target;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_logs::{self as api, Operation};
use millpond_io::{Clock, Random};
use millpond_kernel::{
    Caller, Kernel, LogReader, LogWriter, OperationRef, RequestHead, Response, Service, ServiceError, ServiceRequest,
    Target, to_its_end,
};
use millpond_meta::{Kv, ReadError};
use millpond_seal::Vault;
use millpond_types::AccountId;
use millpond_wire::{ErrorFormat, Protocol, RequestView, ResponseParts, Route};

pub use crate::tail::{Lines, WrittenLine};

use crate::inputs::Input;
use crate::ops::{events, groups, policies, streams, tags, unset};
use crate::state::Core;

/// The service. Clones share everything.
#[derive(Clone)]
pub struct Logs {
    core: Arc<Core>,
}

impl Logs {
    /// Reads the resource policies. `kv` is the one that the kernel's epoch lies in.
    pub async fn open(
        kv: Arc<dyn Kv>,
        kernel: Arc<Kernel>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        vault: Arc<Vault>,
    ) -> Result<Self, ReadError> {
        Ok(Self { core: Arc::new(Core::open(kv, kernel, clock, random, vault).await?) })
    }

    /// Removes what retention ends and what was deleted, until `stop`.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        Arc::clone(&self.core).run(stop).await;
    }

    /// Removes what is to go now; an error is told in words.
    pub async fn sweep(&self) -> Result<(), String> {
        self.core.sweep().await.map_err(|error| format!("{error:?}"))
    }

    /// Takes what is delivered to log groups.
    pub fn target(&self) -> Arc<dyn Target> {
        Arc::new(target::Door(self.core.clone()))
    }

    /// Takes lines of other services.
    pub fn writer(&self) -> Arc<dyn LogWriter> {
        Arc::new(target::Door(self.core.clone()))
    }

    /// Reads lines for operators.
    pub fn reader(&self) -> Arc<dyn LogReader> {
        Arc::new(target::Door(self.core.clone()))
    }
}

impl Service for Logs {
    fn name(&self) -> &'static str {
        "logs"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Json11
    }

    fn error_format(&self) -> ErrorFormat {
        api::ERROR_FORMAT
    }

    fn max_body(&self) -> Option<usize> {
        Some(limits::MAX_BODY)
    }

    fn target_prefix(&self) -> Option<&'static str> {
        Some(api::TARGET_PREFIX)
    }

    fn identify(&self, head: &RequestHead) -> Result<OperationRef, ServiceError> {
        let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        match api::route(target) {
            Route::Served(operation) => Ok(OperationRef { name: operation.name(), index: operation as u16 }),
            Route::Unserved(name) => Err(ServiceError::not_implemented(name)),
            Route::Unknown => Err(ServiceError::new("UnknownOperationException", 400, "The operation is not known.")),
        }
    }

    fn call(&self, request: ServiceRequest) -> BoxFuture<'_, Result<Response, ServiceError>> {
        async move {
            let ServiceRequest { head, operation, mut payload, caller } = request;
            let Some(operation) = Operation::ALL.get(usize::from(operation.index)).copied() else {
                return Err(ServiceError::internal());
            };
            let Some(account) = caller.account() else { return Err(errors::unsigned()) };
            let too_large = || ServiceError::new("SerializationException", 413, "The request is larger than 8 MiB.");
            let body = payload.collect(limits::MAX_BODY, too_large).await?;
            let call = Call { core: &self.core, head: &head, body: &body, caller: &caller, account };
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
    body: &'a Bytes,
    caller: &'a Arc<Caller>,
    account: AccountId,
}

impl Call<'_> {
    fn input<I: Input>(&self) -> Result<I, ServiceError> {
        let view = RequestView::of_body(&self.head.method, &self.head.headers, self.body);
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
        /// A change that memory follows: one at a time, and to its end also when the request is dropped midway.
        macro_rules! followed {
            ($handler:path) => {{
                let (input, caller, account) = (self.input()?, Arc::clone(self.caller), self.account);
                let core = Arc::clone(self.core);
                let done = to_its_end(async move {
                    let _turn = core.changing.lock().await;
                    core.kernel.again(|| $handler(&core, &caller, account, &input)).await
                });
                Ok(done.await?.write())
            }};
        }
        match operation {
            Operation::CreateLogGroup => call!(groups::create),
            Operation::CreateLogStream => call!(streams::create),
            Operation::DeleteLogGroup => call!(groups::delete),
            Operation::DeleteLogStream => call!(streams::delete),
            Operation::DeleteResourcePolicy => followed!(policies::delete),
            Operation::DeleteRetentionPolicy => call!(groups::delete_retention),
            Operation::DescribeLogGroups => call!(groups::describe),
            Operation::DescribeLogStreams => call!(streams::describe),
            Operation::DescribeMetricFilters => call!(unset::metric_filters),
            Operation::DescribeResourcePolicies => call!(policies::describe),
            Operation::DescribeSubscriptionFilters => call!(unset::subscription_filters),
            Operation::FilterLogEvents => call!(events::filter),
            Operation::GetLogEvents => call!(events::get),
            Operation::GetLogRecord => call!(events::record),
            Operation::ListLogGroups => call!(groups::list),
            Operation::ListTagsForResource => call!(tags::list),
            Operation::ListTagsLogGroup => call!(tags::list_by_name),
            Operation::PutLogEvents => call!(events::put),
            Operation::PutResourcePolicy => followed!(policies::put),
            Operation::PutRetentionPolicy => call!(groups::put_retention),
            Operation::TagLogGroup => call!(tags::tag_by_name),
            Operation::TagResource => call!(tags::tag),
            Operation::UntagLogGroup => call!(tags::untag_by_name),
            Operation::UntagResource => call!(tags::untag),
        }
    }
}
