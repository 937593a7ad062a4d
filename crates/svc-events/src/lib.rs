//! Amazon EventBridge: event buses, rules, archives, API destinations.
//!
//! [`Events`] is the service. A call is read (`inputs`), decided by the kernel with the caller's policies and the bus's (`state::Core::decide`), and carried
//! out by its handler in `ops`; what is written is one commit that memory follows before it is acknowledged. Events are entries of
//! their bus's stream: `consumer` reads it, `matching` tells the rules, `deliver` makes the deliveries, `destinations` sends what leaves.
//! `port` takes the events of other services, `schedules` fires rules by time. The JSON of events and what targets get of it is in `event`.

mod consumer;
mod contents;
mod deliver;
mod destinations;
mod errors;
mod event;
mod inputs;
mod later;
mod limits;
mod load;
mod matching;
mod memory;
mod model;
mod names;
mod ops;
mod paging;
mod port;
mod rows;
mod schedules;
mod state;
pub mod tables;
mod trace;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_events::{self as api, Operation};
use millpond_io::{Clock, Random};
use millpond_kernel::audit::{EventClass, EventKind};
use millpond_kernel::outbox::Outbox;
use millpond_kernel::streams::Consumers;
use millpond_kernel::timers::Timers;
use millpond_kernel::trace::Traced;
use millpond_kernel::{Caller, Kernel, OperationRef, RequestHead, Response, Service, ServiceError, ServiceRequest};
use millpond_meta::{Kv, ReadError};
use millpond_outbound::Outbound;
use millpond_seal::Vault;
use millpond_wire::{ErrorFormat, Protocol, RequestView, ResponseParts, Route};

pub use crate::load::OpenError;

use crate::consumer::{Counters, Reader};
use crate::errors::Failure;
use crate::inputs::Input;
use crate::ops::{
    archives, buses, connections, destinations as endpoints, lists, permissions, put, replays, rules, tags, targets,
};
use crate::state::{Core, READER};

/// For fuzz targets.
#[cfg(feature = "testing")]
pub mod fuzz {
    pub use crate::event::transform::fuzz as template;
}

/// What the service is made of. `kv` is the one that the kernel's epoch lies in.
pub struct EventsParts {
    /// What decides.
    pub kernel: Arc<Kernel>,
    /// The store.
    pub kv: Arc<dyn Kv>,
    /// Where secrets are sealed.
    pub vault: Arc<Vault>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Who reads the buses.
    pub consumers: Consumers,
    /// What happens later.
    pub timers: Timers,
    /// The way out.
    pub outbound: Outbound,
}

/// What was done since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Done {
    /// Events that were matched.
    pub events: u64,
    /// Deliveries that were committed, to targets or to the outbox.
    pub deliveries: u64,
    /// Events that went to dead-letter queues.
    pub dead_lettered: u64,
    /// Events that were given up.
    pub dropped: u64,
}

/// The service. Clones share everything.
#[derive(Clone)]
pub struct Events {
    core: Arc<Core>,
    counters: Arc<Counters>,
}

impl Events {
    /// Reads all buses, and hangs its work on consumers, timers, outbox and the kernel's targets.
    pub async fn open(parts: EventsParts, outbox: &Outbox) -> Result<Self, OpenError> {
        let (consumers, timers, kernel) = (parts.consumers.clone(), parts.timers.clone(), Arc::clone(&parts.kernel));
        let events = Self { core: Arc::new(Core::open(parts).await?), counters: Arc::default() };
        let (core, counters) = (&events.core, &events.counters);
        consumers.add(Arc::new(Reader { core: Arc::clone(core), counters: Arc::clone(counters) })).await?;
        timers.add(Arc::new(schedules::Scheduled(Arc::clone(core))));
        timers.add(Arc::new(archives::Purge(Arc::clone(core))));
        timers.add(Arc::new(replays::Replaying(Arc::clone(core))));
        timers.add(Arc::new(later::Later { core: Arc::clone(core), counters: Arc::clone(counters) }));
        outbox.add(Arc::new(deliver::Requests { core: Arc::clone(core), counters: Arc::clone(counters) }));
        kernel.targets().register("events", Arc::new(port::Buses(Arc::clone(core))));
        core.authorize_all();
        core.sweep_left_over().await?;
        Ok(events)
    }

    /// Who answers `millpond trace`.
    pub fn traced(&self) -> Arc<dyn Traced> {
        Arc::new(trace::Tracing(Arc::clone(&self.core)))
    }

    /// What was done since the start.
    pub fn done(&self) -> Done {
        let counters = &self.counters;
        Done {
            events: counters.events.load(Ordering::Relaxed),
            deliveries: counters.deliveries.load(Ordering::Relaxed),
            dead_lettered: counters.dead_lettered.load(Ordering::Relaxed),
            dropped: counters.dropped.load(Ordering::Relaxed),
        }
    }

    /// The name of the consumer, in the metric of lag.
    pub const CONSUMER: &'static str = READER;
}

impl Core {
    /// Removes what a stop left over of buses that were deleted.
    async fn sweep_left_over(self: &Arc<Self>) -> Result<(), ReadError> {
        use millpond_meta::Scan;
        use std::ops::Bound;
        let to = Bound::Excluded(millpond_meta::key::prefix_end(&[tables::EVENTS]));
        let mut from = Bound::Included(tables::whole(tables::EVENTS));
        loop {
            let rows = self.kv.scan(Scan { from, to: to.clone(), reverse: false, limit: 1 }).await?;
            let Some((key, _)) = rows.first() else { return Ok(()) };
            let stream = key.slice(..key.len().saturating_sub(10));
            from = Bound::Included(millpond_meta::key::prefix_end(&stream));
            let known = tables::names_of(&stream).ok().map(|(account, [name])| names::BusName { account, name });
            if known.is_none_or(|bus| self.maps().held(&bus).is_none()) {
                let (core, until) = (Arc::clone(self), *self.kv.watch().borrow());
                tokio::spawn(async move {
                    if let Err(error) = core.sweep(stream, until).await {
                        tracing::warn!(%error, "the events of a deleted bus could not be removed yet");
                    }
                });
            }
        }
    }
}

impl Service for Events {
    fn name(&self) -> &'static str {
        "events"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Json11
    }

    fn error_format(&self) -> ErrorFormat {
        api::ERROR_FORMAT
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
            // CloudTrail User Guide, "Data events": EventBridge's are calls of PutEvents.
            "PutEvents" => EventKind { name: operation.name, class: EventClass::Data },
            "TestEventPattern" => EventKind { name: operation.name, class: EventClass::Read },
            name => EventKind::by_verb(name),
        }
    }

    fn call(&self, request: ServiceRequest) -> BoxFuture<'_, Result<Response, ServiceError>> {
        async move {
            let ServiceRequest { head, operation, mut payload, caller } = request;
            let Some(operation) = Operation::ALL.get(usize::from(operation.index)).copied() else {
                return Err(ServiceError::internal());
            };
            if caller.is_anonymous() {
                return Err(errors::unsigned());
            }
            let too_large = || ServiceError::new("RequestEntityTooLarge", 413, "The request is larger than 2 MiB.");
            let body = payload.collect(limits::MAX_BODY, too_large).await?;
            let call = Call { core: &self.core, head: &head, body: &body, caller: &caller };
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
}

impl Call<'_> {
    fn input<I: Input>(&self) -> Result<I, ServiceError> {
        let view = RequestView::of_body(&self.head.method, &self.head.headers, self.body);
        I::read(&view).map_err(|error| errors::from_parse(&error))
    }

    /// Events are put side by side: nothing in memory follows them, but for a default bus that is made.
    async fn put_events(&self) -> Result<ResponseParts, ServiceError> {
        let input: Arc<api::PutEventsInput> = Arc::new(self.input()?);
        if !self.core.needs_bus(self.caller, &input) {
            let done = self.core.kernel.again(|| put::events(self.core, self.caller, &input)).await?;
            return Ok(done.write());
        }
        let caller = Arc::clone(self.caller);
        let done = self.core.detached(move |core| {
            let (input, caller) = (Arc::clone(&input), Arc::clone(&caller));
            async move { put::events(&core, &caller, &input).await }
        });
        Ok(done.await?.write())
    }

    async fn carry_out(&self, operation: Operation) -> Result<ResponseParts, ServiceError> {
        /// What changes nothing.
        macro_rules! read {
            ($handler:path) => {{
                let input = self.input()?;
                let done = $handler(self.core, self.caller, &input).await.map_err(Failure::answer)?;
                Ok(done.write())
            }};
        }
        /// What changes something: to its end, and anew where it must be.
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
            Operation::CancelReplay => change!(replays::cancel),
            Operation::CreateApiDestination => change!(endpoints::create),
            Operation::CreateArchive => change!(archives::create),
            Operation::CreateConnection => change!(connections::create),
            Operation::CreateEventBus => change!(buses::create),
            Operation::DeauthorizeConnection => change!(connections::deauthorize),
            Operation::DeleteApiDestination => change!(endpoints::delete),
            Operation::DeleteArchive => change!(archives::delete),
            Operation::DeleteConnection => change!(connections::delete),
            Operation::DeleteEventBus => change!(buses::delete),
            Operation::DeleteRule => change!(rules::delete),
            Operation::DescribeApiDestination => read!(endpoints::describe),
            Operation::DescribeArchive => read!(archives::describe),
            Operation::DescribeConnection => read!(connections::describe),
            Operation::DescribeEventBus => read!(buses::describe),
            Operation::DescribeReplay => read!(replays::describe),
            Operation::DescribeRule => read!(rules::describe),
            Operation::DisableRule => change!(rules::disable),
            Operation::EnableRule => change!(rules::enable),
            Operation::ListApiDestinations => read!(endpoints::list),
            Operation::ListArchives => read!(archives::list),
            Operation::ListConnections => read!(connections::list),
            Operation::ListEndpoints => read!(lists::endpoints),
            Operation::ListEventBuses => read!(buses::list),
            Operation::ListEventSources => read!(lists::sources),
            Operation::ListPartnerEventSources => read!(lists::partner_sources),
            Operation::ListReplays => read!(replays::list),
            Operation::ListRuleNamesByTarget => read!(rules::names_by_target),
            Operation::ListRules => read!(rules::list),
            Operation::ListTagsForResource => read!(tags::list),
            Operation::ListTargetsByRule => read!(targets::list),
            Operation::PutEvents => self.put_events().await,
            Operation::PutPermission => change!(permissions::put),
            Operation::PutRule => change!(rules::put),
            Operation::PutTargets => change!(targets::put),
            Operation::RemovePermission => change!(permissions::remove),
            Operation::RemoveTargets => change!(targets::remove),
            Operation::StartReplay => change!(replays::start),
            Operation::TagResource => change!(tags::tag),
            Operation::TestEventPattern => read!(put::test_pattern),
            Operation::UntagResource => change!(tags::untag),
            Operation::UpdateApiDestination => change!(endpoints::update),
            Operation::UpdateArchive => change!(archives::update),
            Operation::UpdateConnection => change!(connections::update),
            Operation::UpdateEventBus => change!(buses::update),
        }
    }
}
