//! Amazon Simple Queue Service.
//!
//! [`Sqs`] is the service and, for other services, the port `kernel::Target`. A request is read in either protocol (`protocol`), the kernel decides with
//! the queue's policy (`state`), and its handler in `ops` does it. Messages are entries of a stream for each queue; what memory knows of them is `live`,
//! loaded by `load`. Sending is `sending`, receiving `taking`: each is one commit. What goes on by itself is `background` and `moving`.

mod background;
mod changing;
mod errors;
mod handle;
mod limits;
mod live;
mod load;
mod message;
mod moving;
mod names;
mod ops;
mod port;
mod protocol;
mod queue;
mod rows;
mod sending;
mod settings;
mod state;
pub mod tables;
mod taking;
mod target;
mod whereabouts;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_sqs::{self as api, Operation};
use millpond_api_sqs_query as query;
use millpond_io::{Clock, Random};
use millpond_kernel::audit::{EventClass, EventKind};
use millpond_kernel::{Caller, Kernel, OperationRef, RequestHead, Response, Service, ServiceError, ServiceRequest};
use millpond_meta::Kv;
use millpond_seal::Vault;
use millpond_wire::{ErrorFormat, FormPairs, Protocol, ResponseParts};

pub use crate::load::OpenError;
pub use crate::ops::attributes::Counts;
pub use crate::target::QueueFigures;
pub use crate::whereabouts::Whereabouts;

use crate::ops::{attributes, permission, purge, queues, receive, remove, send, tags, tasks, visibility};
use crate::protocol::{Input, Message};
use crate::state::Core;

/// An operation that is not known yet: forms name theirs in the body.
const UNKNOWN: OperationRef = OperationRef { name: "unknown", index: 0 };

/// The service. Clones share everything.
#[derive(Clone)]
pub struct Sqs {
    core: Arc<Core>,
}

impl Sqs {
    /// Reads all queues. `kv` is the one that the kernel's epoch lies in.
    pub async fn open(
        kv: Arc<dyn Kv>,
        kernel: Arc<Kernel>,
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, OpenError> {
        let queues = load::queues(&*kv, kernel.region()).await?;
        Ok(Self { core: Arc::new(Core::new(kv, kernel, vault, clock, random, queues)) })
    }

    /// Does what goes on by itself, until `stop`: then who waits for messages is answered at once.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        background::run(Arc::clone(&self.core), stop).await;
    }

    /// Removes now what is to be removed by itself. For tests, whose clock stands still.
    #[cfg(feature = "testing")]
    pub async fn tidy(&self) -> Result<(), String> {
        background::clear_all(&self.core).await.map_err(|error| error.to_string())?;
        background::sweep_all(&self.core).await.map_err(|error| error.to_string())
    }
}

fn reference(operation: Operation) -> OperationRef {
    OperationRef { name: operation.name(), index: 1 + operation as u16 }
}

impl Service for Sqs {
    fn name(&self) -> &'static str {
        "sqs"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Json10
    }

    fn protocol_of(&self, head: &RequestHead) -> Protocol {
        protocol::spoken(head)
    }

    fn error_format_of(&self, head: &RequestHead) -> ErrorFormat {
        if protocol::spoken(head) == Protocol::Query { query::ERROR_FORMAT } else { api::ERROR_FORMAT }
    }

    fn target_prefix(&self) -> Option<&'static str> {
        Some(api::TARGET_PREFIX)
    }

    fn takes_form(&self, path: &str) -> bool {
        names::of_url(path).is_ok()
    }

    fn max_body(&self) -> Option<usize> {
        Some(limits::MAX_REQUEST)
    }

    fn identify(&self, head: &RequestHead) -> Result<OperationRef, ServiceError> {
        if protocol::spoken(head) == Protocol::Query {
            return Ok(UNKNOWN);
        }
        protocol::targeted(head).map(reference)
    }

    fn identify_body(&self, head: &RequestHead, body: &[u8]) -> Option<OperationRef> {
        if protocol::spoken(head) != Protocol::Query {
            return None;
        }
        let bytes = protocol::form_of(head, body);
        let form = FormPairs::parse(&bytes).ok()?;
        protocol::named(&form).map(reference)
    }

    fn event(&self, operation: OperationRef) -> EventKind {
        let data = ["SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility"];
        if data.iter().any(|name| operation.name.starts_with(name)) {
            return EventKind { name: operation.name, class: EventClass::Data };
        }
        EventKind::by_verb(operation.name)
    }

    fn call(&self, request: ServiceRequest) -> BoxFuture<'_, Result<Response, ServiceError>> {
        async move {
            let ServiceRequest { head, mut payload, caller, .. } = request;
            let too_large = || ServiceError::new("RequestEntityTooLarge", 413, "The request is larger than 4 MiB.");
            let body: Bytes = payload.collect(limits::MAX_REQUEST, too_large).await?;
            let message = Message { head: &head, body: &body, protocol: protocol::spoken(&head) };
            let operation = message.operation()?;
            let parts = Call { core: &self.core, message, caller: &caller }.carry_out(operation).await?;
            Response::of(parts)
        }
        .boxed()
    }
}

/// A request whose body was read.
struct Call<'a> {
    core: &'a Arc<Core>,
    message: Message<'a>,
    caller: &'a Arc<Caller>,
}

impl Call<'_> {
    fn refused(&self, error: &errors::SqsError) -> ServiceError {
        error.answer(self.message.protocol)
    }

    fn input<I: Input>(&self) -> Result<I, ServiceError> {
        self.message.input().map_err(|error| self.refused(&error))
    }

    fn answered<O: protocol::Output>(
        &self,
        output: Result<O, errors::SqsError>,
    ) -> Result<ResponseParts, ServiceError> {
        let output = output.map_err(|error| self.refused(&error))?;
        Ok(self.message.output(output, &self.caller.request_id().to_string()))
    }

    async fn carry_out(&self, operation: Operation) -> Result<ResponseParts, ServiceError> {
        // A call that is decided anew waits no longer.
        let began = tokio::time::Instant::now();
        let base = names::base(self.message.head, self.caller);
        /// What changes no queue itself. Further arguments go to the handler.
        macro_rules! run {
            ($handler:path $(, $more:expr)*) => {{
                let input = self.input()?;
                self.answered(self.core.kernel.again(|| $handler(self.core, self.caller, &input $(, $more)*)).await)
            }};
        }
        /// What changes queues: to its end, and one after the other.
        macro_rules! change {
            ($handler:path $(, $more:expr)*) => {{
                let (input, caller) = (Arc::new(self.input()?), Arc::clone(self.caller));
                let base = base.clone();
                let done = self.core.detached(move |core| {
                    let (input, caller, _base) = (Arc::clone(&input), Arc::clone(&caller), base.clone());
                    async move { $handler(&core, &caller, &input $(, ($more)(&_base))*).await }
                });
                self.answered(done.await)
            }};
        }
        match operation {
            Operation::AddPermission => change!(permission::add),
            Operation::CancelMessageMoveTask => change!(tasks::cancel),
            Operation::ChangeMessageVisibility => run!(visibility::change),
            Operation::ChangeMessageVisibilityBatch => run!(visibility::change_batch),
            Operation::CreateQueue => change!(queues::create, String::as_str),
            Operation::DeleteMessage => run!(remove::delete),
            Operation::DeleteMessageBatch => run!(remove::delete_batch),
            Operation::DeleteQueue => change!(queues::delete),
            Operation::GetQueueAttributes => run!(attributes::get),
            Operation::GetQueueUrl => run!(queues::url, &base),
            Operation::ListDeadLetterSourceQueues => run!(queues::sources, &base),
            Operation::ListMessageMoveTasks => run!(tasks::list),
            Operation::ListQueueTags => run!(tags::list),
            Operation::ListQueues => run!(queues::list, &base),
            Operation::PurgeQueue => change!(purge::purge),
            Operation::ReceiveMessage => run!(receive::receive, began),
            Operation::RemovePermission => change!(permission::remove),
            Operation::SendMessage => run!(send::send),
            Operation::SendMessageBatch => run!(send::send_batch),
            Operation::SetQueueAttributes => change!(attributes::set),
            Operation::StartMessageMoveTask => change!(tasks::start),
            Operation::TagQueue => change!(tags::tag),
            Operation::UntagQueue => change!(tags::untag),
        }
    }
}
