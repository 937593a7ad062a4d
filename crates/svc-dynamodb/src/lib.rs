//! Amazon DynamoDB: tables, items, indexes, transactions, streams and time to live. [`DynamoDb`] is the service.
//!
//! A request is read (`inputs`), decided (`state::Core::decide`), and its handler in `ops` does it. Tables are snapshots in memory (`model`); items
//! are rows (`keys` says where, `stored` how). All changes of items go through `change`. What the disk has is in `tables`.

mod asking;
mod background;
mod capacity;
mod change;
mod describe;
mod errors;
mod exprs;
mod fetch;
mod inputs;
mod keys;
mod limits;
mod model;
mod names;
mod ops;
mod schema;
mod state;
mod stored;
mod stream;
mod stripes;
pub mod tables;
mod throttle;
mod trace;
mod ttl;
mod values;
mod write;
mod writing;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::StatusCode;
use millpond_api_dynamodb::{self as api, Operation};
use millpond_api_dynamodbstreams as streams;
use millpond_io::{Clock, Random};
use millpond_kernel::audit::{EventClass, EventKind};
use millpond_kernel::trace::Traced;
use millpond_kernel::{
    Caller, Kernel, OperationRef, RequestHead, Response, ResponseBody, Service, ServiceError, ServiceRequest,
    TableStreams,
};
use millpond_meta::{Kv, ReadError};
use millpond_seal::Vault;
use millpond_wire::{ErrorFormat, Protocol, QueryPairs, RequestView, ResponseParts, Route};
use tokio::task::JoinSet;

use crate::inputs::Input;
use crate::ops::{
    batch, facts, get, items, policies, read, streams as stream_ops, tables as table_ops, tags, transact,
    ttl as ttl_ops, update,
};
use crate::state::Core;

/// The numbers of the operations of streams begin here.
const STREAMS: u16 = 0x100;

/// Operations on items, which the audit trail takes for operations on data.
const DATA: &[&str] = &[
    "BatchGetItem",
    "BatchWriteItem",
    "DeleteItem",
    "GetItem",
    "GetRecords",
    "GetShardIterator",
    "PutItem",
    "Query",
    "Scan",
    "TransactGetItems",
    "TransactWriteItems",
    "UpdateItem",
];

/// The service. Clones share everything.
#[derive(Clone)]
pub struct DynamoDb {
    core: Arc<Core>,
}

impl DynamoDb {
    /// Reads all tables. `kv` is the one that the kernel's epoch lies in.
    pub async fn open(
        kv: Arc<dyn Kv>,
        kernel: Arc<Kernel>,
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, ReadError> {
        Ok(Self { core: Arc::new(Core::open(kv, kernel, vault, clock, random).await?) })
    }

    /// For other services that read the streams of tables.
    pub fn streams(&self) -> Arc<dyn TableStreams> {
        Arc::new(stream::port::Port(Arc::clone(&self.core)))
    }

    /// Who tells what became of changes: `millpond trace`.
    pub fn traced(&self) -> Arc<dyn Traced> {
        Arc::new(trace::Tracing(Arc::clone(&self.core)))
    }

    /// Does what goes on by itself, until `stop`.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        // Tasks of their own, so that none waits for another's turn of the thread. They end when the set is dropped.
        let mut tasks = JoinSet::new();
        let core = || Arc::clone(&self.core);
        let (work, due, fill, trim, tell) = (core(), core(), core(), core(), core());
        tasks.spawn(async move { work.run().await });
        tasks.spawn(async move { ttl::due::run(&due).await });
        tasks.spawn(async move { ttl::fill::run(&fill).await });
        tasks.spawn(async move { stream::trim::run(&trim).await });
        tasks.spawn(async move { stream::port::tell(&tell).await });
        tokio::select! {
            () = stop => {}
            Some(ended) = tasks.join_next() => {
                // None of them ends by itself: a broken invariant ends the server's work, as it would here.
                if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
                    std::panic::resume_unwind(panic);
                }
            }
        }
        tasks.shutdown().await;
    }

    /// Does now what is due by time: deletes items, and trims streams. For tests, whose clock stands still.
    pub async fn run_due(&self) -> Result<(), String> {
        ttl::fill::all(&self.core).await.map_err(|error| error.to_string())?;
        self.core.earliest.written(Some(0));
        ttl::due::round(&self.core).await.map_err(|error| error.to_string())?;
        stream::trim::all(&self.core).await.map_err(|error| error.to_string())
    }

    /// Does now what else is to be done in the background: fills indexes, and removes what was deleted. For tests.
    pub async fn round(&self) -> Result<(), String> {
        self.core.round().await.map_err(|error| error.to_string())
    }
}

/// The most bytes of the body of a request for an operation.
fn max_body(operation: &str) -> usize {
    match operation {
        "BatchWriteItem" | "TransactWriteItems" => limits::MAX_BODY,
        _ => limits::MAX_BODY_OF_ONE,
    }
}

/// An operation of either of the two APIs.
enum Either {
    Tables(Operation),
    Streams(streams::Operation),
}

fn either(operation: OperationRef) -> Option<Either> {
    match operation.index.checked_sub(STREAMS) {
        None => Operation::ALL.get(usize::from(operation.index)).copied().map(Either::Tables),
        Some(index) => streams::Operation::ALL.get(usize::from(index)).copied().map(Either::Streams),
    }
}

impl Service for DynamoDb {
    fn name(&self) -> &'static str {
        "dynamodb"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Json10
    }

    fn error_format(&self) -> ErrorFormat {
        api::ERROR_FORMAT
    }

    fn max_body(&self) -> Option<usize> {
        Some(limits::MAX_BODY)
    }

    fn max_body_of(&self, head: &RequestHead) -> Option<usize> {
        self.identify(head).ok().map(|operation| max_body(operation.name))
    }

    fn target_prefixes(&self) -> &'static [&'static str] {
        &[api::TARGET_PREFIX, streams::TARGET_PREFIX]
    }

    fn identify(&self, head: &RequestHead) -> Result<OperationRef, ServiceError> {
        let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        match (api::route(target), streams::route(target)) {
            (Route::Served(operation), _) => Ok(OperationRef { name: operation.name(), index: operation as u16 }),
            (_, Route::Served(operation)) => {
                Ok(OperationRef { name: operation.name(), index: STREAMS + operation as u16 })
            }
            (Route::Unserved(name), _) | (_, Route::Unserved(name)) => Err(ServiceError::not_implemented(name)),
            (Route::Unknown, Route::Unknown) => {
                Err(ServiceError::new("UnknownOperationException", 400, "The operation is not known."))
            }
        }
    }

    fn event(&self, operation: OperationRef) -> EventKind {
        if DATA.contains(&operation.name) {
            return EventKind { name: operation.name, class: EventClass::Data };
        }
        EventKind::by_verb(operation.name)
    }

    fn call(&self, request: ServiceRequest) -> BoxFuture<'_, Result<Response, ServiceError>> {
        async move {
            let ServiceRequest { head, operation, mut payload, caller } = request;
            let name = operation.name;
            let operation = either(operation).ok_or_else(ServiceError::internal)?;
            if caller.is_anonymous() {
                return Err(errors::unsigned());
            }
            let most = max_body(name);
            let too_large = || {
                let text = format!("The request is larger than {} MiB.", most >> 20);
                ServiceError::new("SerializationException", 413, text)
            };
            let body = payload.collect(most, too_large).await?;
            let call = Call { core: &self.core, head: &head, body: &body, caller: &caller };
            let parts = match operation {
                Either::Tables(operation) => call.carry_out(operation).await?,
                Either::Streams(operation) => call.carry_out_streams(operation).await?,
            };
            let status = StatusCode::from_u16(parts.status).map_err(|_| ServiceError::internal())?;
            Ok(Response { status, headers: parts.headers, body: ResponseBody::Full(parts.body) })
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
}

impl Call<'_> {
    fn input<I: Input>(&self) -> Result<I, ServiceError> {
        let query = QueryPairs::parse("").map_err(|error| errors::from_parse(&error))?;
        let view = RequestView {
            method: &self.head.method,
            bucket: None,
            key: None,
            labels: &[],
            query: &query,
            headers: &self.head.headers,
            body: self.body,
        };
        I::read(&view).map_err(|error| errors::from_parse(&error))
    }

    fn host(&self) -> &str {
        self.head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
    }

    async fn carry_out_streams(&self, operation: streams::Operation) -> Result<ResponseParts, ServiceError> {
        macro_rules! call {
            ($handler:path) => {{
                let input = self.input()?;
                Ok(self.core.again(|| $handler(self.core, self.caller, &input)).await?)
            }};
        }
        match operation {
            streams::Operation::DescribeStream => call!(stream_ops::describe),
            streams::Operation::GetRecords => call!(stream_ops::records),
            streams::Operation::GetShardIterator => call!(stream_ops::shard_iterator),
            streams::Operation::ListStreams => call!(stream_ops::list),
        }
    }

    async fn carry_out(&self, operation: Operation) -> Result<ResponseParts, ServiceError> {
        /// Decided and carried out, anew where it must be. Further arguments go to the handler.
        macro_rules! call {
            ($handler:path $(, $more:expr)*) => {{
                let input = self.input()?;
                let done = self.core.again(|| $handler(self.core, self.caller, &input $(, $more)*)).await?;
                Ok(done.write())
            }};
        }
        /// What is about items: read once, then decided and carried out, anew where it must be.
        macro_rules! items {
            ($read:path, $handler:path) => {{
                let asked = $read(self.input()?)?;
                let done = self.core.again(|| $handler(self.core, self.caller, &asked)).await?;
                Ok(done.write())
            }};
        }
        /// A change of tables: one at a time, and to its end also when the request is dropped midway.
        macro_rules! change {
            ($handler:path) => {{
                let (input, caller) = (Arc::new(self.input()?), Arc::clone(self.caller));
                let done = self.core.detached(move |core| {
                    let (input, caller) = (Arc::clone(&input), Arc::clone(&caller));
                    async move { $handler(&core, &caller, &input).await }
                });
                Ok(done.await?.write())
            }};
        }
        match operation {
            Operation::BatchGetItem => items!(batch::gets, batch::get),
            Operation::BatchWriteItem => items!(batch::writes, batch::write),
            Operation::CreateTable => change!(table_ops::create),
            Operation::DeleteItem => items!(write::delete, items::delete),
            Operation::DeleteResourcePolicy => change!(policies::delete),
            Operation::DeleteTable => change!(table_ops::delete),
            Operation::DescribeContinuousBackups => call!(facts::continuous_backups),
            Operation::DescribeEndpoints => call!(facts::endpoints, self.host()),
            Operation::DescribeLimits => call!(facts::limits),
            Operation::DescribeTable => call!(table_ops::describe),
            Operation::DescribeTimeToLive => call!(ttl_ops::describe),
            Operation::GetItem => items!(fetch::get, get::get),
            Operation::GetResourcePolicy => call!(policies::get),
            Operation::ListTables => call!(table_ops::list),
            Operation::ListTagsOfResource => call!(tags::list),
            Operation::PutItem => items!(write::put, items::put),
            Operation::PutResourcePolicy => change!(policies::put),
            Operation::Query => items!(asking::query, read::query),
            Operation::Scan => items!(asking::scan, read::scan),
            Operation::TagResource => change!(tags::tag),
            Operation::TransactGetItems => items!(transact::gets, transact::get),
            Operation::TransactWriteItems => items!(transact::writes, transact::write),
            Operation::UntagResource => change!(tags::untag),
            Operation::UpdateItem => items!(write::update, items::update),
            Operation::UpdateTable => change!(update::update),
            Operation::UpdateTimeToLive => change!(ttl_ops::update),
        }
    }
}
