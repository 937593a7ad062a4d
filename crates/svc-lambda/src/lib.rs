//! AWS Lambda: functions, their versions and aliases, layers, and invocations.
//!
//! A request is read (`inputs`), decided (`state::Core`), and its handler in `ops` does it: memory (`model`) is true to the store (`tables`) after every
//! commit. Code is taken in by `upload`, checked by `zip` and kept by `code`; `program` makes of a version what workers run, `invoke` has it run, and
//! `host` is what workers get from the server. Workers themselves are the crate `millpond-runtime`'s.

mod async_invoke;
mod code;
mod destinations;
mod errors;
mod events;
#[cfg(any(test, feature = "testing"))]
pub mod fuzz;
mod host;
mod inputs;
mod invoke;
mod limits;
mod links;
mod load;
mod logs;
mod mappings;
mod model;
mod names;
mod ops;
mod output;
mod paging;
mod program;
mod recent;
mod resolved;
mod running;
mod runs;
mod settings;
mod shown;
mod state;
mod tables;
mod target;
mod trace;
mod upload;
mod zip;
#[cfg(test)]
#[path = "../tests/world/zip_maker.rs"]
mod zip_maker;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, RwLock};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::StatusCode;
use millpond_api_lambda::{self as api, Operation};
use millpond_io::{Clock, Disk, Random};
use millpond_kernel::audit::EventKind;
use millpond_kernel::outbox::Carrier;
use millpond_kernel::trace::Traced;
use millpond_kernel::{
    Caller, Kernel, Objects, OperationRef, RequestHead, Response, ResponseBody, Service, ServiceError, ServiceRequest,
    Target,
};
use millpond_meta::Kv;
use millpond_runtime::Host;
use millpond_seal::Vault;
use millpond_types::AccountId;
use millpond_wire::{ErrorFormat, Label, Protocol, QueryPairs, RequestView, ResponseParts, Route};

pub use crate::async_invoke::Figures;
use crate::code::CodeStore;
pub use crate::code::{SYNC_ARCHIVE, SYNC_ARCHIVES};
use crate::errors::{Failure, LambdaError};
pub use crate::host::OpenDoor;
use crate::inputs::Input;
use crate::limits::MAX_ATTEMPTS;
pub use crate::load::OpenError;
use crate::ops::{
    aliases, code as codes, configuration, functions, invoke_configs, layer_permissions, layers,
    mappings as event_sources, permissions, scaling, tags, versions,
};
pub use crate::runs::Runs;
use crate::state::{Core, PRINCIPAL};

/// What the service is made of.
pub struct LambdaParts {
    /// Where rows lie: the store that the kernel's epoch lies in.
    pub kv: Arc<dyn Kv>,
    /// What decides.
    pub kernel: Arc<Kernel>,
    /// What seals environments.
    pub vault: Arc<Vault>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Where code is fetched from.
    pub objects: Arc<dyn Objects>,
    /// Where code is kept.
    pub disk: Arc<dyn Disk>,
    /// In which folder.
    pub dir: PathBuf,
    /// Whether functions reach more than this server.
    pub open_network: bool,
}

/// The service. Clones share everything.
#[derive(Clone)]
pub struct Lambda {
    core: Arc<Core>,
}

impl Lambda {
    /// Reads what there is.
    ///
    /// # Errors
    /// Rows or a folder that cannot be read.
    pub async fn open(parts: LambdaParts) -> Result<Self, OpenError> {
        let LambdaParts { kv, kernel, vault, clock, random, objects, disk, dir, open_network } = parts;
        let maps = load::load(&*kv, kernel.region()).await?;
        let mappings = mappings::Mappings::load(&*kv).await?;
        let code = CodeStore::open(disk, &dir, random.clone())?;
        code.tidy()?;
        let identity = kernel.register(PRINCIPAL);
        let core = Core {
            kernel,
            kv,
            vault,
            clock,
            random,
            identity,
            objects,
            code,
            workers: OnceLock::new(),
            open_network,
            address: OnceLock::new(),
            maps: RwLock::new(maps),
            unreserved: running::Unreserved::default(),
            lines: logs::Lines::default(),
            counters: async_invoke::Counters::default(),
            recents: recent::Recents::default(),
            mappings,
            changing: tokio::sync::Mutex::new(()),
        };
        Ok(Self { core: Arc::new(core) })
    }

    /// What workers get from the server; `door` takes the sockets on which their calls come in.
    pub fn host(&self, door: OpenDoor) -> Arc<dyn Host> {
        Arc::new(host::Ours { core: Arc::downgrade(&self.core), door })
    }

    /// Says who runs functions. Until then invocations are refused.
    pub fn run_by(&self, workers: Arc<dyn Runs>) {
        // The first ones stay.
        let _ = self.core.workers.set(workers);
    }

    /// Says what links to this server begin with.
    pub fn at(&self, address: &str) {
        // The first one stays.
        let _ = self.core.address.set(address.trim_end_matches('/').to_owned());
    }

    /// The functions, for whoever delivers to them.
    pub fn target(&self) -> Arc<dyn Target> {
        Arc::new(target::Functions(Arc::clone(&self.core)))
    }

    /// Tells what became of events for functions.
    pub fn traced(&self) -> Arc<dyn Traced> {
        Arc::new(trace::Tracing(Arc::clone(&self.core)))
    }

    /// What became of events for functions since the start.
    pub fn figures(&self) -> Figures {
        self.core.counters.read()
    }

    /// Runs what the outbox holds for functions.
    pub fn carrier(&self) -> Arc<dyn Carrier> {
        Arc::new(async_invoke::Events(Arc::clone(&self.core)))
    }

    /// The log group of a function, if there is one of that name.
    pub fn log_group(&self, account: AccountId, name: &str) -> Option<String> {
        let function = self.core.maps().function(account, name).cloned()?;
        Some(program::log_group(&function.name, &function.latest.row))
    }

    /// Lines of functions that were not written.
    pub fn dropped_lines(&self) -> u64 {
        self.core.lines.dropped()
    }

    /// Works by itself until `stop`: writes what functions print, and sweeps code away that nothing uses.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let (stopping, mut stopped) = tokio::sync::watch::channel(false);
        let mut swept = stopped.clone();
        let lines = self.core.write_lines(async move {
            // When nobody can say so any more, it is over as well.
            let _ = stopped.wait_for(|stop| *stop).await;
            // Functions that finish go on printing.
            if let Some(workers) = self.core.workers.get() {
                workers.ended().await;
            }
        });
        let mut reading = swept.clone();
        let mappings = self.core.run_mappings(async move {
            let _ = reading.wait_for(|stop| *stop).await;
        });
        let sweep = async {
            loop {
                self.sweep().await;
                tokio::select! {
                    () = tokio::time::sleep(limits::SWEEP_EVERY) => {}
                    _ = swept.wait_for(|stop| *stop) => return,
                }
            }
        };
        let stop = async {
            stop.await;
            stopping.send_replace(true);
        };
        tokio::join!(lines, mappings, sweep, stop);
    }

    /// Sweeps code away that nothing uses, now.
    pub async fn sweep(&self) {
        let core = Arc::clone(&self.core);
        if let Err(error) = self.core.code.sweep(move || core.maps().used_code()).await {
            tracing::warn!(%error, "code that nothing uses was not removed");
        }
    }
}

fn routed(head: &RequestHead) -> Result<(Route<Operation>, Vec<Label>), ServiceError> {
    let query = QueryPairs::parse(&head.query).map_err(|error| errors::from_parse(&error))?;
    // Older clients end some paths with a slash.
    let path = head.path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(&head.path);
    Ok(api::route(&head.method, path, &query, &head.headers))
}

/// Bytes of the largest body of an operation.
fn most(operation: Operation) -> usize {
    match operation {
        Operation::CreateFunction | Operation::UpdateFunctionCode | Operation::PublishLayerVersion => {
            limits::MAX_CODE_BODY
        }
        // One more, so that the operation itself says what is too large.
        Operation::Invoke | Operation::InvokeAsync => limits::MAX_PAYLOAD + 1,
        _ => limits::MAX_BODY,
    }
}

impl Service for Lambda {
    fn name(&self) -> &'static str {
        "lambda"
    }

    fn protocol(&self) -> Protocol {
        Protocol::RestJson
    }

    fn error_format(&self) -> ErrorFormat {
        api::ERROR_FORMAT
    }

    fn max_body(&self) -> Option<usize> {
        Some(limits::MAX_CODE_BODY)
    }

    fn max_body_of(&self, head: &RequestHead) -> Option<usize> {
        match routed(head).ok()?.0 {
            // What is a little larger gets an answer of the operation's own.
            Route::Served(operation) => Some(most(operation) + limits::TOLD_TOO_LARGE),
            _ => None,
        }
    }

    fn identify(&self, head: &RequestHead) -> Result<OperationRef, ServiceError> {
        match routed(head)?.0 {
            Route::Served(operation) => Ok(OperationRef { name: operation.name(), index: operation as u16 }),
            Route::Unserved(name) => Err(ServiceError::not_implemented(name)),
            Route::Unknown => Err(ServiceError::new("UnknownOperationException", 404, "The operation is not known.")),
        }
    }

    fn page<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<Response>> {
        std::future::ready(self.core.page(name)).boxed()
    }

    fn event(&self, operation: OperationRef) -> EventKind {
        events::event(operation.name)
    }

    fn call(&self, request: ServiceRequest) -> BoxFuture<'_, Result<Response, ServiceError>> {
        self.answer(request).boxed()
    }
}

impl Lambda {
    async fn answer(&self, request: ServiceRequest) -> Result<Response, ServiceError> {
        let ServiceRequest { head, operation, mut payload, caller } = request;
        let Some(operation) = Operation::ALL.get(usize::from(operation.index)).copied() else {
            return Err(ServiceError::internal());
        };
        if caller.is_anonymous() {
            return Err(errors::unsigned());
        }
        let most = most(operation);
        let too_large = || {
            let text = format!("Request must be smaller than {most} bytes for the {} operation", operation.name());
            LambdaError::Of(api::errors::REQUEST_TOO_LARGE_EXCEPTION, text).into()
        };
        let body = payload.collect(most, too_large).await?;
        let labels = routed(&head)?.1;
        let call = Call { core: &self.core, head: &head, labels: &labels, body: &body, caller: &caller };
        let parts = call.carry_out(operation).await?;
        let status = StatusCode::from_u16(parts.status).map_err(|_| ServiceError::internal())?;
        Ok(Response { status, headers: parts.headers, body: ResponseBody::Full(parts.body) })
    }
}

/// A request whose body was read.
struct Call<'a> {
    core: &'a Arc<Core>,
    head: &'a RequestHead,
    labels: &'a [Label],
    body: &'a Bytes,
    caller: &'a Arc<Caller>,
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
        match operation {
            Operation::Invoke => self.invoke().await,
            Operation::GetFunctionCodeSigningConfig => {
                let input = self.input()?;
                self.again(|| configuration::code_signing(self.core, self.caller, &input)).await
            }
            Operation::InvokeAsync => {
                let input = self.input()?;
                self.again(|| invoke::invoke_async(self.core, self.caller, &input, self.body)).await
            }
            other => match self.look(other).await? {
                Some(parts) => Ok(parts),
                None => self.change(other).await,
            },
        }
    }

    async fn invoke(&self) -> Result<ResponseParts, ServiceError> {
        let input = self.input()?;
        self.again(|| invoke::invoke(self.core, self.caller, self.head, &input)).await
    }

    /// Decided anew when what it was decided by has changed.
    async fn again<T, F: Future<Output = Result<T, Failure>>>(&self, call: impl Fn() -> F) -> Result<T, ServiceError> {
        for _ in 0..MAX_ATTEMPTS {
            match call().await {
                Ok(done) => return Ok(done),
                Err(Failure::Error(error)) => return Err(error.into()),
                Err(Failure::Changed) => {}
            }
        }
        Err(LambdaError::Busy.into())
    }

    /// Operations that change nothing; `None` for the others.
    async fn look(&self, operation: Operation) -> Result<Option<ResponseParts>, ServiceError> {
        macro_rules! look {
            ($handler:path) => {{
                let input = self.input()?;
                Ok(Some(self.again(|| $handler(self.core, self.caller, &input)).await?.write()))
            }};
        }
        match operation {
            Operation::GetAccountSettings => look!(scaling::account),
            Operation::GetAlias => look!(aliases::get),
            Operation::GetEventSourceMapping => look!(event_sources::get),
            Operation::GetFunction => look!(functions::get),
            Operation::GetFunctionConcurrency => look!(scaling::get_reserved),
            Operation::GetFunctionConfiguration => look!(functions::get_configuration),
            Operation::GetFunctionEventInvokeConfig => look!(invoke_configs::get),
            Operation::GetFunctionRecursionConfig => look!(scaling::get_recursion),
            Operation::GetLayerVersion => look!(layers::get),
            Operation::GetLayerVersionByArn => look!(layers::get_by_arn),
            Operation::GetLayerVersionPolicy => look!(layer_permissions::get),
            Operation::GetPolicy => look!(permissions::get),
            Operation::GetRuntimeManagementConfig => look!(configuration::runtime_management),
            Operation::ListAliases => look!(aliases::list),
            Operation::ListEventSourceMappings => look!(event_sources::list),
            Operation::ListFunctionEventInvokeConfigs => look!(invoke_configs::list),
            Operation::ListFunctions => look!(functions::list),
            Operation::ListLayerVersions => look!(layers::list_versions),
            Operation::ListLayers => look!(layers::list),
            Operation::ListTags => look!(tags::list),
            Operation::ListVersionsByFunction => look!(versions::list),
            _ => Ok(None),
        }
    }

    /// Operations that change functions or layers: to their end, and anew where it must be.
    async fn change(&self, operation: Operation) -> Result<ResponseParts, ServiceError> {
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
        /// With code that is taken in before: that takes long, and others need not wait for it.
        macro_rules! upload {
            ($prepare:path, $handler:path) => {{
                let (input, caller) = (Arc::new(self.input()?), Arc::clone(self.caller));
                let code = Arc::new($prepare(self.core, &caller, &input).await?);
                let done = self.core.detached(move |core| {
                    let (input, caller, code) = (Arc::clone(&input), Arc::clone(&caller), Arc::clone(&code));
                    async move { $handler(&core, &caller, &input, &code).await }
                });
                Ok(done.await?.write())
            }};
        }
        match operation {
            Operation::AddLayerVersionPermission => change!(layer_permissions::add),
            Operation::AddPermission => change!(permissions::add),
            Operation::CreateAlias => change!(aliases::create),
            Operation::CreateFunction => upload!(functions::prepare, functions::create),
            Operation::DeleteAlias => change!(aliases::delete),
            Operation::DeleteFunction => change!(functions::delete),
            Operation::DeleteFunctionConcurrency => change!(scaling::unreserve),
            Operation::DeleteFunctionEventInvokeConfig => change!(invoke_configs::delete),
            Operation::DeleteLayerVersion => change!(layers::delete),
            Operation::PublishLayerVersion => upload!(layers::prepare, layers::publish),
            Operation::PublishVersion => change!(versions::publish_version),
            Operation::PutFunctionConcurrency => change!(scaling::reserve),
            Operation::PutFunctionEventInvokeConfig => change!(invoke_configs::replace),
            Operation::PutFunctionRecursionConfig => change!(scaling::put_recursion),
            Operation::RemoveLayerVersionPermission => change!(layer_permissions::remove),
            Operation::RemovePermission => change!(permissions::remove),
            Operation::TagResource => change!(tags::tag),
            Operation::UntagResource => change!(tags::untag),
            Operation::UpdateAlias => change!(aliases::update),
            Operation::UpdateFunctionCode => upload!(codes::prepare, codes::update),
            Operation::UpdateFunctionConfiguration => change!(configuration::update),
            Operation::UpdateFunctionEventInvokeConfig => change!(invoke_configs::update),
            Operation::CreateEventSourceMapping => change!(event_sources::create),
            Operation::DeleteEventSourceMapping => change!(event_sources::delete),
            Operation::UpdateEventSourceMapping => change!(event_sources::update),
            other => Err(ServiceError::not_implemented(other.name())),
        }
    }
}
