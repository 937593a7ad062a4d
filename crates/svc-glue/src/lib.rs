//! AWS Glue's Data Catalog: databases, tables with their versions, partitions, statistics of columns, and the resource policy of the catalog.
//! [`Glue`] is the service, and the catalog that other services of ours use ([`millpond_kernel::Catalog`]).
//!
//! A request is read (`inputs`), decided (`state::Core::authorize`), and its handler in `ops` does it; rows are in `tables`, what people wrote in
//! `bodies`, sealed by `kept`. `removal` does what goes by itself, `crawling` what crawlers do.

mod bodies;
mod crawling;
mod draft;
mod errors;
mod expression;
mod inputs;
mod kept;
mod limits;
mod names;
mod ops;
mod port;
mod removal;
mod state;
mod statistics;
mod tables;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_glue::{self as api, Operation};
use millpond_io::{Clock, Random};
use millpond_kernel::audit::{EventClass, EventKind};
use millpond_kernel::timers::Timers;
use millpond_kernel::{
    Caller, Kernel, OperationRef, RequestHead, Response, Service, ServiceError, ServiceRequest, to_its_end,
};
use millpond_meta::{Kv, ReadError};
use millpond_seal::Vault;
use millpond_types::AccountId;
use millpond_wire::{ErrorFormat, Protocol, RequestView, ResponseParts, Route};

pub use crate::crawling::schemas::{SchemaError, Schemas};
use crate::inputs::Input;

use crate::ops::{
    batches, classifiers, crawlers, crawls, databases, indexes, partitions, policies, search,
    statistics as column_statistics, tables as definitions, tags, versions,
};
use crate::state::Core;

/// The service. Clones share everything.
#[derive(Clone)]
pub struct Glue {
    core: Arc<Core>,
}

/// What the service is made of. Catalog, objects, queues and logs are the kernel's.
pub struct GlueParts {
    /// The one that the kernel's epoch lies in.
    pub kv: Arc<dyn Kv>,
    /// What decides.
    pub kernel: Arc<Kernel>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// What seals.
    pub vault: Arc<Vault>,
    /// Where its timers are.
    pub timers: Timers,
    /// Who tells the schemas of objects that have one of their own.
    pub schemas: Arc<dyn Schemas>,
}

impl Glue {
    /// Reads the resource policies, and puts the schedules of crawlers among the timers.
    pub async fn open(parts: GlueParts) -> Result<Self, ReadError> {
        let timers = parts.timers.clone();
        let core = Arc::new(Core::open(parts).await?);
        timers.add(Arc::new(crawling::clock::Clockwork(core.clone())));
        Ok(Self { core })
    }

    /// Removes what deleted databases and tables leave behind, until `stop`.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        Arc::clone(&self.core).run(stop).await;
    }

    /// Removes what is to go now; an error is told in words.
    pub async fn sweep(&self) -> Result<(), String> {
        self.core.sweep().await.map_err(|error| format!("{error:?}"))
    }
}

impl Service for Glue {
    fn name(&self) -> &'static str {
        "glue"
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

    fn event(&self, operation: OperationRef) -> EventKind {
        match operation.name {
            "SearchTables" | "BatchGetCrawlers" => EventKind { name: operation.name, class: EventClass::Read },
            name => EventKind::by_verb(name),
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

/// Decided and carried out, anew where it must be.
macro_rules! call {
    ($call:expr, $handler:path) => {{
        let (call, input) = ($call, $call.input()?);
        let done = call.core.kernel.again(|| $handler(call.core, call.caller, call.account, &input)).await?;
        Ok(done.write())
    }};
}

/// A change that memory follows: one at a time, and to its end also when the request is dropped midway.
macro_rules! followed {
    ($call:expr, $handler:path) => {{
        let (input, caller, account) = ($call.input()?, Arc::clone($call.caller), $call.account);
        let core = Arc::clone($call.core);
        let done = to_its_end(async move {
            let _turn = core.changing.lock().await;
            core.kernel.again(|| $handler(&core, &caller, account, &input)).await
        });
        Ok(done.await?.write())
    }};
}

impl Call<'_> {
    fn input<I: Input>(&self) -> Result<I, ServiceError> {
        let view = RequestView::of_body(&self.head.method, &self.head.headers, self.body);
        I::read(&view).map_err(|error| errors::from_parse(&error))
    }

    async fn carry_out(&self, operation: Operation) -> Result<ResponseParts, ServiceError> {
        match operation {
            Operation::CreateDatabase => call!(self, databases::create),
            Operation::DeleteDatabase => call!(self, databases::delete),
            Operation::GetDatabase => call!(self, databases::get),
            Operation::GetDatabases => call!(self, databases::list),
            Operation::UpdateDatabase => call!(self, databases::update),
            Operation::BatchDeleteTable => call!(self, definitions::delete_many),
            Operation::CreateTable => call!(self, definitions::create),
            Operation::DeleteTable => call!(self, definitions::delete),
            Operation::GetTable => call!(self, definitions::get),
            Operation::GetTables => call!(self, definitions::list),
            Operation::UpdateTable => call!(self, definitions::update),
            Operation::SearchTables => call!(self, search::tables),
            Operation::BatchDeleteTableVersion => call!(self, versions::delete_many),
            Operation::DeleteTableVersion => call!(self, versions::delete),
            Operation::GetTableVersion => call!(self, versions::get),
            Operation::GetTableVersions => call!(self, versions::list),
            Operation::GetTags => call!(self, tags::get),
            Operation::TagResource => call!(self, tags::tag),
            Operation::UntagResource => call!(self, tags::untag),
            Operation::DeleteResourcePolicy => followed!(self, policies::delete),
            Operation::GetResourcePolicies => call!(self, policies::list),
            Operation::GetResourcePolicy => call!(self, policies::get),
            Operation::PutResourcePolicy => followed!(self, policies::put),
            other => self.carry_out_on_partitions(other).await,
        }
    }

    async fn carry_out_on_partitions(&self, operation: Operation) -> Result<ResponseParts, ServiceError> {
        match operation {
            Operation::BatchCreatePartition => call!(self, batches::create),
            Operation::BatchDeletePartition => call!(self, batches::delete),
            Operation::BatchGetPartition => call!(self, batches::get),
            Operation::BatchUpdatePartition => call!(self, batches::update),
            Operation::CreatePartition => call!(self, partitions::create),
            Operation::DeletePartition => call!(self, partitions::delete),
            Operation::GetPartition => call!(self, partitions::get),
            Operation::GetPartitions => call!(self, partitions::list),
            Operation::UpdatePartition => call!(self, partitions::update),
            Operation::CreatePartitionIndex => call!(self, indexes::create),
            Operation::DeletePartitionIndex => call!(self, indexes::delete),
            Operation::GetPartitionIndexes => call!(self, indexes::list),
            Operation::DeleteColumnStatisticsForPartition => call!(self, column_statistics::delete_of_partition),
            Operation::DeleteColumnStatisticsForTable => call!(self, column_statistics::delete),
            Operation::GetColumnStatisticsForPartition => call!(self, column_statistics::get_of_partition),
            Operation::GetColumnStatisticsForTable => call!(self, column_statistics::get),
            Operation::UpdateColumnStatisticsForPartition => call!(self, column_statistics::update_of_partition),
            Operation::UpdateColumnStatisticsForTable => call!(self, column_statistics::update),
            other => self.carry_out_on_crawlers(other).await,
        }
    }

    async fn carry_out_on_crawlers(&self, operation: Operation) -> Result<ResponseParts, ServiceError> {
        match operation {
            Operation::BatchGetCrawlers => call!(self, crawlers::batch_get),
            Operation::CreateCrawler => call!(self, crawlers::create),
            Operation::DeleteCrawler => call!(self, crawlers::delete),
            Operation::GetCrawler => call!(self, crawlers::get),
            Operation::GetCrawlers => call!(self, crawlers::list),
            Operation::ListCrawlers => call!(self, crawlers::names),
            Operation::UpdateCrawler => call!(self, crawlers::update),
            Operation::GetCrawlerMetrics => call!(self, crawls::metrics),
            Operation::ListCrawls => call!(self, crawls::history),
            Operation::StartCrawler => call!(self, crawls::start),
            Operation::StartCrawlerSchedule => call!(self, crawls::start_schedule),
            Operation::StopCrawler => call!(self, crawls::stop),
            Operation::StopCrawlerSchedule => call!(self, crawls::stop_schedule),
            Operation::UpdateCrawlerSchedule => call!(self, crawls::update_schedule),
            Operation::CreateClassifier => call!(self, classifiers::create),
            Operation::DeleteClassifier => call!(self, classifiers::delete),
            Operation::GetClassifier => call!(self, classifiers::get),
            Operation::GetClassifiers => call!(self, classifiers::list),
            Operation::UpdateClassifier => call!(self, classifiers::update),
            other => Err(ServiceError::not_implemented(other.name())),
        }
    }
}
