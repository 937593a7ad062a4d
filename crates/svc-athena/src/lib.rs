//! Amazon Athena: statements that are executed in the background, with their results as objects; work groups, named queries and prepared statements.
//!
//! A request is read (`inputs`), decided (`state::Core::authorize`), and its handler in `ops` does it; rows are in `tables`. `run` is what an execution
//! does: the engine runs elsewhere ([`Queries`]), what it asks is answered as the caller (`host`), and what it gives becomes an object (`spool`).
//! Statements about the catalog are somebody else's ([`Ddl`]).

mod change;
mod clock;
mod columns;
mod csv;
mod ddl;
mod errors;
mod failed;
mod host;
mod inputs;
mod limits;
mod ops;
mod output;
mod queries;
mod resume;
mod reuse;
mod run;
mod running;
mod sealed;
mod shown;
mod spool;
mod state;
mod statement;
mod tables;
mod tokens;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue};
use millpond_api_athena::{self as api, Operation};
use millpond_io::{Clock, Random};
use millpond_kernel::timers::Timers;
use millpond_kernel::{
    Caller, Kernel, Objects, OperationRef, RequestHead, Response, Service, ServiceError, ServiceRequest,
};
use millpond_meta::Kv;
use millpond_seal::{Envelope, Purpose, Vault};
use millpond_types::AccountId;
use millpond_wire::{ErrorFormat, Protocol, RequestView, ResponseParts, Route};

pub use crate::ddl::{CatalogDdl, Ddl, DdlColumn, DdlError, DdlResult, NoDdl};
pub use crate::queries::Queries;

use crate::inputs::Input;
use crate::ops::{catalogs, executions, groups, metadata, named, prepared, results, start, tags};
use crate::state::Core;

/// A header of answers to GetQueryExecution.
const OBJECTS_READ: HeaderName = HeaderName::from_static("x-millpond-objects-read");

/// What the service is made of. The catalog and the reads of objects are the kernel's.
pub struct AthenaParts {
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
    /// Where results are put.
    pub objects: Arc<dyn Objects>,
    /// Who runs queries.
    pub queries: Arc<dyn Queries>,
    /// Who carries out statements about the catalog.
    pub ddl: Arc<dyn Ddl>,
}

/// The service. Clones share everything.
#[derive(Clone)]
pub struct Athena {
    core: Arc<Core>,
}

impl Athena {
    /// The service.
    pub fn new(parts: AthenaParts) -> Self {
        let AthenaParts { kv, kernel, clock, random, vault, timers, objects, queries, ddl } = parts;
        let identity = kernel.register(state::PRINCIPAL);
        let envelope = Envelope::new(vault, random.clone(), Purpose::Query);
        let (timers_of, running) = (timers.clone(), running::Running::default());
        let core = Core { kernel, kv, clock, random, envelope, timers, identity, objects, queries, ddl, running };
        let core = Arc::new(core);
        timers_of.add(Arc::new(clock::Clockwork(core.clone())));
        Self { core }
    }

    /// Sees to the executions that an earlier start left, and at `stop` ends those that go on. They are found by the next start.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        if let Err(error) = self.core.resume().await {
            tracing::error!(%error, "queries that were left by an earlier start cannot be gone on with");
        }
        stop.await;
        self.core.running.stop().await;
    }
}

impl Service for Athena {
    fn name(&self) -> &'static str {
        "athena"
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
            let too_large = || ServiceError::new("SerializationException", 413, "The request is larger than 2 MiB.");
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

    /// Beside an execution that runs stands how many objects it has read so far, which the API has no place for: for `millpond sql`.
    fn with_objects_read(&self, mut parts: ResponseParts) -> ResponseParts {
        let asked = self.input::<api::GetQueryExecutionInput>().ok();
        let id = asked.and_then(|input| state::id_of(&input.query_execution_id));
        if let Some(live) = id.and_then(|id| self.core.running.get(id)) {
            parts.headers.insert(OBJECTS_READ, HeaderValue::from(live.stats().files));
        }
        parts
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
            Operation::BatchGetNamedQuery => call!(named::batch_get),
            Operation::BatchGetPreparedStatement => call!(prepared::batch_get),
            Operation::BatchGetQueryExecution => call!(executions::batch_get),
            Operation::CreateDataCatalog => call!(catalogs::create),
            Operation::CreateNamedQuery => call!(named::create),
            Operation::CreatePreparedStatement => call!(prepared::create),
            Operation::CreateWorkGroup => call!(groups::create),
            Operation::DeleteDataCatalog => call!(catalogs::delete),
            Operation::DeleteNamedQuery => call!(named::delete),
            Operation::DeletePreparedStatement => call!(prepared::delete),
            Operation::DeleteWorkGroup => call!(groups::delete),
            Operation::GetDataCatalog => call!(catalogs::get),
            Operation::GetDatabase => call!(metadata::get_database),
            Operation::GetNamedQuery => call!(named::get),
            Operation::GetPreparedStatement => call!(prepared::get),
            Operation::GetQueryExecution => {
                let shown: Result<_, ServiceError> = call!(executions::get);
                Ok(self.with_objects_read(shown?))
            }
            Operation::GetQueryResults => call!(results::get),
            Operation::GetQueryRuntimeStatistics => call!(executions::statistics),
            Operation::GetTableMetadata => call!(metadata::get_table),
            Operation::GetWorkGroup => call!(groups::get),
            Operation::ListDataCatalogs => call!(catalogs::list),
            Operation::ListDatabases => call!(metadata::list_databases),
            Operation::ListEngineVersions => call!(catalogs::engines),
            Operation::ListNamedQueries => call!(named::list),
            Operation::ListPreparedStatements => call!(prepared::list),
            Operation::ListQueryExecutions => call!(executions::list),
            Operation::ListTableMetadata => call!(metadata::list_tables),
            Operation::ListTagsForResource => call!(tags::list),
            Operation::ListWorkGroups => call!(groups::list),
            Operation::StartQueryExecution => call!(start::start),
            Operation::StopQueryExecution => call!(executions::stop),
            Operation::TagResource => call!(tags::tag),
            Operation::UntagResource => call!(tags::untag),
            Operation::UpdateNamedQuery => call!(named::update),
            Operation::UpdatePreparedStatement => call!(prepared::update),
            Operation::UpdateWorkGroup => call!(groups::update),
        }
    }
}
