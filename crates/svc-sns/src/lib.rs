//! Amazon Simple Notification Service: standard topics.
//!
//! [`Sns`] is the service, and as a `kernel::Target` what other services deliver to. A request is read (`inputs`), the topic that it names is looked up
//! in memory (`cache`), the kernel decides with the topic's policy (`resolved`, `state::Core::on_topic`), and its handler in `ops` does it. Publishing appends to the
//! topic's stream (`message`, `fanout::append`); `fanout` brings what stands there to queues, and by way of the outbox (`carrier`) to webhooks,
//! in documents (`envelope`) that are signed (`signing`). `ops::confirm` is the handshake with webhooks, `trace` tells
//! what became of a message.

mod cache;
mod carrier;
mod certificate;
mod delivery_policy;
mod envelope;
mod errors;
mod fanout;
mod filter;
mod inputs;
mod later;
mod limits;
mod load;
mod message;
mod model;
mod names;
mod ops;
mod paging;
mod resolved;
mod rows;
mod signing;
mod state;
pub mod tables;
mod target;
mod token;
mod trace;

use std::sync::Arc;
use std::sync::{OnceLock, RwLock};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use millpond_api_sns::{self as api, Operation};
use millpond_io::{Clock, Random};
use millpond_kernel::audit::{EventClass, EventKind};
use millpond_kernel::outbox::Outbox;
use millpond_kernel::streams::Consumers;
use millpond_kernel::timers::Timers;
use millpond_kernel::trace::Traced;
use millpond_kernel::{
    Caller, Kernel, OperationRef, RequestHead, Response, ResponseBody, Service, ServiceError, ServiceRequest, Target,
};
use millpond_meta::Kv;
use millpond_outbound::Outbound;
use millpond_seal::Vault;
use millpond_wire::{ErrorFormat, FormPairs, Protocol, ResponseParts, Route};

pub use crate::later::ToQueues;
pub use crate::load::OpenError;

use crate::errors::{from_parse, unsigned};
use crate::inputs::Input;
use crate::limits::MAX_FORM;
use crate::ops::{confirm, permissions, publish, subscriptions, tags, topics, unset};
use crate::state::Core;

/// The service. Clones share everything.
#[derive(Clone)]
pub struct Sns {
    core: Arc<Core>,
}

/// What the service is put together from.
pub struct SnsParts {
    /// The store, which the kernel's epoch lies in too.
    pub kv: Arc<dyn Kv>,
    /// What decides, and knows where can be delivered to.
    pub kernel: Arc<Kernel>,
    /// What seals.
    pub vault: Arc<Vault>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Makes ids and keys.
    pub random: Arc<dyn Random>,
    /// The readers of streams.
    pub consumers: Consumers,
    /// What happens later.
    pub timers: Timers,
    /// What leaves.
    pub outbox: Outbox,
    /// The way to webhooks.
    pub outbound: Outbound,
}

/// An operation that is not known yet: it stands in the body.
const UNKNOWN: OperationRef = OperationRef { name: "unknown", index: 0 };

/// What AWS takes without a signature, as links have none.
const LINKS: [&str; 2] = ["ConfirmSubscription", "Unsubscribe"];

impl Sns {
    /// Reads all topics, and adds itself to what reads streams, sends and keeps time.
    pub async fn open(parts: SnsParts) -> Result<Self, OpenError> {
        let SnsParts { kv, kernel, vault, clock, random, consumers, timers, outbox, outbound } = parts;
        let (maps, left) = load::load(&*kv, &vault, &*random, kernel.region()).await?;
        for topic in left {
            load::sweep(&*kv, topic).await?;
        }
        let identity = kernel.register("sns.amazonaws.com");
        let keeper = signing::Keeper::new(kv.clone(), vault.clone(), clock.clone(), random.clone());
        let core = Arc::new(Core {
            kernel,
            clock,
            random,
            kv,
            vault,
            consumers: consumers.clone(),
            timers: timers.clone(),
            counters: later::Counters::default(),
            outbound,
            identity,
            keeper,
            address: OnceLock::new(),
            maps: RwLock::new(maps),
            changing: tokio::sync::Mutex::default(),
        });
        consumers.add(Arc::new(fanout::FanOut(Arc::clone(&core)))).await?;
        timers.add(Arc::new(confirm::Lapse(Arc::clone(&core))));
        timers.add(Arc::new(later::Later(Arc::clone(&core))));
        outbox.add(Arc::new(carrier::Webhooks(Arc::clone(&core))));
        core.kernel.targets().register("sns", Arc::new(target::Topics(Arc::clone(&core))));
        Ok(Self { core })
    }

    /// Says what links to this server begin with, such as `http://127.0.0.1:9000`. Once, when that is known.
    pub fn at(&self, address: &str) {
        // The first one stays.
        let _ = self.core.address.set(address.trim_end_matches('/').to_owned());
    }

    /// What became of deliveries to queues since the start.
    pub fn to_queues(&self) -> ToQueues {
        self.core.counters.read()
    }

    /// Who answers `millpond trace`.
    pub fn traced(&self) -> Arc<dyn Traced> {
        Arc::new(trace::Tracing(Arc::clone(&self.core)))
    }

    /// What takes deliveries.
    pub fn target(&self) -> Arc<dyn Target> {
        Arc::new(target::Topics(Arc::clone(&self.core)))
    }
}

/// A request's parameters: those of links stand in the query.
fn form_of<'a>(head: &'a RequestHead, body: &'a [u8]) -> &'a [u8] {
    if body.is_empty() { head.query.as_bytes() } else { body }
}

fn named(action: &str) -> Option<OperationRef> {
    match api::route(action) {
        Route::Served(operation) => Some(OperationRef { name: operation.name(), index: 1 + operation as u16 }),
        Route::Unserved(_) | Route::Unknown => None,
    }
}

impl Service for Sns {
    fn name(&self) -> &'static str {
        "sns"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Query
    }

    fn error_format(&self) -> ErrorFormat {
        api::ERROR_FORMAT
    }

    fn identify(&self, head: &RequestHead) -> Result<OperationRef, ServiceError> {
        // The action of a link stands in the query, all others in the body, which is not read yet.
        let form = FormPairs::parse(head.query.as_bytes()).ok();
        Ok(form.and_then(|form| named(form.get("Action")?)).unwrap_or(UNKNOWN))
    }

    fn identify_body(&self, head: &RequestHead, body: &[u8]) -> Option<OperationRef> {
        named(FormPairs::parse(form_of(head, body)).ok()?.get("Action")?)
    }

    fn takes_link(&self, action: &str) -> bool {
        LINKS.contains(&action)
    }

    fn event(&self, operation: OperationRef) -> EventKind {
        match operation.name {
            // Data events, as CloudTrail has them.
            name @ ("Publish" | "PublishBatch") => EventKind { name, class: EventClass::Data },
            name => EventKind::by_verb(name),
        }
    }

    fn page<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<Response>> {
        async move {
            let file = name.strip_prefix("sns/")?;
            let signer = self.core.keeper.existing().await.ok()??;
            if signer.file != file {
                return None;
            }
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-pem-file"));
            let body = ResponseBody::Full(signer.certificate.clone().into());
            Some(Response { status: StatusCode::OK, headers, body })
        }
        .boxed()
    }

    fn call(&self, request: ServiceRequest) -> BoxFuture<'_, Result<Response, ServiceError>> {
        self.answer(request).boxed()
    }
}

impl Sns {
    async fn answer(&self, request: ServiceRequest) -> Result<Response, ServiceError> {
        let ServiceRequest { head, mut payload, caller, .. } = request;
        let link = head.method == Method::GET && takes_link(&head);
        if caller.is_anonymous() && !link {
            return Err(unsigned());
        }
        let too_large = || ServiceError::new("InvalidParameter", 400, "Invalid parameter: Message too long");
        let body: Bytes = payload.collect(MAX_FORM, too_large).await?;
        let form = FormPairs::parse(form_of(&head, &body)).map_err(|error| from_parse(&error))?;
        let missing = || ServiceError::new("MissingAction", 400, "The request must contain the parameter Action.");
        let action = form.get("Action").ok_or_else(missing)?;
        let operation = match api::route(action) {
            Route::Served(operation) => operation,
            Route::Unserved(name) => return Err(ServiceError::not_implemented(name)),
            Route::Unknown => {
                let text = format!("Could not find operation {action} for version {}", api::VERSION);
                return Err(ServiceError::new("InvalidAction", 400, text));
            }
        };
        // Links have no version.
        if form.get("Version").is_some_and(|given| given != api::VERSION) {
            let given = form.get("Version").unwrap_or_default();
            return Err(ServiceError::new(
                "InvalidAction",
                400,
                format!("Could not find operation {action} for version {given}"),
            ));
        }
        let call = Call { core: &self.core, form: &form, caller: &caller, id: caller.request_id().to_string() };
        let parts = call.carry_out(operation).await?;
        Response::of(parts)
    }
}

fn takes_link(head: &RequestHead) -> bool {
    let form = FormPairs::parse(head.query.as_bytes()).ok();
    form.is_some_and(|form| form.get("Action").is_some_and(|action| LINKS.contains(&action)))
}

/// A request whose form was read.
struct Call<'a> {
    core: &'a Arc<Core>,
    form: &'a FormPairs<'a>,
    caller: &'a Arc<Caller>,
    id: String,
}

impl Call<'_> {
    fn input<I: Input>(&self) -> Result<I, ServiceError> {
        I::read(self.form).map_err(|error| from_parse(&error))
    }

    /// Whether it is somebody's who follows a link to unsubscribe.
    fn unsubscribes_by_link(&self) -> bool {
        self.caller.is_anonymous()
    }

    async fn by_link(&self) -> Result<ResponseParts, ServiceError> {
        let arn = Arc::new(self.input::<api::UnsubscribeInput>()?.subscription_arn);
        let token = Arc::new(self.form.get("Token").map(str::to_owned));
        let done = self.core.detached(move |core| {
            let (arn, token) = (Arc::clone(&arn), Arc::clone(&token));
            async move { confirm::follow(&core, &arn, token.as_deref()).await }
        });
        Ok(done.await?.write(&self.id))
    }

    async fn carry_out(&self, operation: Operation) -> Result<ResponseParts, ServiceError> {
        /// What memory does not follow: a look, or a message. Decided anew when what it was decided by has changed.
        macro_rules! at_once {
            ($handler:path) => {{
                let input = self.input()?;
                let done = self.core.kernel.again(|| $handler(self.core, self.caller, &input)).await?;
                Ok(done.write(&self.id))
            }};
        }
        /// What changes topics or subscriptions: to its end, and anew where it must be.
        macro_rules! change {
            ($handler:path) => {{
                let (input, caller) = (Arc::new(self.input()?), Arc::clone(self.caller));
                let done = self.core.detached(move |core| {
                    let (input, caller) = (Arc::clone(&input), Arc::clone(&caller));
                    async move { $handler(&core, &caller, &input).await }
                });
                Ok(done.await?.write(&self.id))
            }};
        }
        match operation {
            Operation::AddPermission => change!(permissions::add),
            Operation::ConfirmSubscription => change!(confirm::confirm),
            Operation::CreateTopic => change!(topics::create),
            Operation::DeleteTopic => change!(topics::delete),
            Operation::GetDataProtectionPolicy => at_once!(unset::data_protection),
            Operation::GetSMSAttributes => at_once!(unset::sms_attributes),
            Operation::GetSubscriptionAttributes => at_once!(subscriptions::attributes),
            Operation::GetTopicAttributes => at_once!(topics::attributes),
            Operation::ListPhoneNumbersOptedOut => at_once!(unset::opted_out),
            Operation::ListPlatformApplications => at_once!(unset::platform_applications),
            Operation::ListSubscriptions => at_once!(subscriptions::list),
            Operation::ListSubscriptionsByTopic => at_once!(subscriptions::list_by_topic),
            Operation::ListTagsForResource => at_once!(tags::list),
            Operation::ListTopics => at_once!(topics::list),
            Operation::Publish => at_once!(publish::publish),
            Operation::PublishBatch => at_once!(publish::batch),
            Operation::RemovePermission => change!(permissions::remove),
            Operation::SetSubscriptionAttributes => change!(subscriptions::set_attributes),
            Operation::SetTopicAttributes => change!(topics::set_attributes),
            Operation::Subscribe => {
                subscriptions::reachable(self.core, self.caller, &self.input()?).await?;
                change!(subscriptions::subscribe)
            }
            Operation::TagResource => change!(tags::tag),
            Operation::Unsubscribe if self.unsubscribes_by_link() => self.by_link().await,
            Operation::Unsubscribe => change!(subscriptions::unsubscribe),
            Operation::UntagResource => change!(tags::untag),
        }
    }
}
