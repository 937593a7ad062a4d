//! The service's state: reads from memory, decisions, and commits that keep memory true.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use millpond_io::{Clock, Random};
use millpond_kernel::chunks;
use millpond_kernel::{Access, Authorized, Caller, Context, Kernel, Operation, Pin, Resource};
use millpond_meta::key::{prefix_range, successor};
use millpond_meta::{Batch, CommitError, Committed, Cond, Key as RowKey, Kv, Op, ReadError, Scan};
use millpond_seal::{Purpose, Vault};
use millpond_types::{AccountId, Arn};
use std::ops::Bound;
use tokio::sync::Notify;

use crate::errors::SqsError;
use crate::limits;
use crate::live::Millis;
use crate::names;
use crate::protocol::Input;
use crate::queue::{Queue, Queues};
use crate::rows::{ContentRow, MessageRow};

/// What the service works with.
pub(crate) struct Core {
    pub kernel: Arc<Kernel>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub kv: Arc<dyn Kv>,
    vault: Arc<Vault>,
    queues: RwLock<Queues>,
    /// Held by whoever changes queues themselves, from before it is decided until memory is true to the commit.
    pub changing: tokio::sync::Mutex<()>,
    /// Woken when there is something to be done in the background.
    pub work: Notify,
    /// Set when the server ends: nobody is kept waiting any more.
    pub stopping: AtomicBool,
}

/// One access that an operation needs.
#[derive(Clone, Debug)]
pub(crate) struct Touch {
    pub action: &'static str,
    pub resource: Resource,
    tags: Option<Arc<crate::queue::Facts>>,
}

/// An operation whose resources are known.
#[derive(Debug)]
pub(crate) struct Asked<I> {
    touches: Vec<Touch>,
    /// Tags that a request sets.
    request_tags: Vec<(String, String)>,
    input: std::marker::PhantomData<fn() -> I>,
}

impl<I: Input> Operation for Asked<I> {
    const NAME: &'static str = I::NAME;

    fn accesses(&self) -> Vec<Access> {
        let access = |touch: &Touch| Access { action: touch.action, resource: touch.resource.clone() };
        self.touches.iter().map(access).collect()
    }

    fn context(&self, access: &Access, context: &mut Context) {
        let same = |touch: &&Touch| touch.action == access.action && touch.resource.arn == access.resource.arn;
        let touched = self.touches.iter().find(same).and_then(|touch| touch.tags.as_ref());
        for (key, value) in touched.iter().flat_map(|facts| &facts.tags) {
            context.text(format!("aws:ResourceTag/{key}"), value.clone());
        }
        if !self.request_tags.is_empty() {
            let keys = self.request_tags.iter().map(|(key, _)| key.clone()).collect();
            context.set("aws:TagKeys", millpond_kernel::ContextValue::Many(keys));
        }
        for (key, value) in &self.request_tags {
            context.text(format!("aws:RequestTag/{key}"), value.clone());
        }
    }
}

/// What may allow an access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    /// Policies of identities and of the queue.
    Anybody,
    /// As for [`Self::Anybody`], but nobody of another account (Developer Guide, "Amazon SQS API permissions": cross-account permissions do not apply).
    Own,
}

impl Touch {
    /// A queue, whether there is one or not.
    pub fn queue(
        action: &'static str,
        arn: Arn,
        owner: AccountId,
        queue: Option<&Queue>,
        caller: &Caller,
        who: Who,
    ) -> Self {
        let facts = queue.map(Queue::facts);
        let policy = facts.as_ref().and_then(|facts| facts.policy.clone());
        let policy = policy.filter(|_| who == Who::Anybody || caller.account() == Some(owner));
        Self { action, resource: Resource { policy, ..Resource::new(arn, owner) }, tags: facts }
    }

    /// No queue in particular.
    pub fn nothing(action: &'static str, account: AccountId) -> Self {
        Self { action, resource: Resource::new(Arn::any(), account), tags: None }
    }
}

/// The id of a content's chunks, as rows have it.
pub(crate) fn chunk_id(bytes: &[u8]) -> u128 {
    bytes.try_into().map(u128::from_be_bytes).unwrap_or_default()
}

/// What removes a large content.
pub(crate) fn remove_chunks(large: Option<&(Bytes, u64)>) -> Vec<Op> {
    let remove =
        |(id, length): &(Bytes, u64)| chunks::remove(chunk_id(id), usize::try_from(*length).unwrap_or(usize::MAX));
    large.map(remove).unwrap_or_default()
}

/// The time as a message of this server says it.
pub(crate) fn millis(clock: &dyn Clock) -> Millis {
    clock.now().millis()
}

impl Core {
    pub fn new(
        kv: Arc<dyn Kv>,
        kernel: Arc<Kernel>,
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        queues: Queues,
    ) -> Self {
        Self {
            kernel,
            clock,
            random,
            kv,
            vault,
            queues: RwLock::new(queues),
            changing: tokio::sync::Mutex::default(),
            work: Notify::new(),
            stopping: AtomicBool::new(false),
        }
    }

    /// All queues. Not to be held over a wait.
    pub fn queues(&self) -> RwLockReadGuard<'_, Queues> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// All queues, to be changed.
    pub fn queues_mut(&self) -> RwLockWriteGuard<'_, Queues> {
        self.queues.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time now.
    pub fn now(&self) -> Millis {
        millis(&*self.clock)
    }

    /// The queue of a name.
    pub fn find(&self, account: AccountId, name: &str) -> Option<Arc<Queue>> {
        self.queues().named(account, name).cloned()
    }

    /// The queue of an ARN of this region.
    pub fn by_arn(&self, arn: &str) -> Option<Arc<Queue>> {
        let (account, name) = names::of_arn(arn, self.kernel.region())?;
        self.find(account, &name)
    }

    /// Decides. `pin` is the epoch before the touched were looked up.
    pub async fn decide<I: Input>(
        &self,
        pin: Pin,
        caller: &Caller,
        touches: Vec<Touch>,
        request_tags: Vec<(String, String)>,
    ) -> Result<Authorized<Asked<I>>, SqsError> {
        let asked = Asked { touches, request_tags, input: std::marker::PhantomData };
        Ok(self.kernel.authorize_since(pin, caller, asked).await?)
    }

    /// Decides about the queue that a URL means, and gives it. That there is none is told to those who might have used it.
    pub async fn on_queue<I: Input>(
        &self,
        caller: &Caller,
        url: &str,
        action: &'static str,
        who: Who,
    ) -> Result<(Authorized<Asked<I>>, Arc<Queue>), SqsError> {
        self.on_tagged(caller, url, action, who, Vec::new()).await
    }

    /// As [`Self::on_queue`], with tags that the request names.
    pub async fn on_tagged<I: Input>(
        &self,
        caller: &Caller,
        url: &str,
        action: &'static str,
        who: Who,
        tags: Vec<(String, String)>,
    ) -> Result<(Authorized<Asked<I>>, Arc<Queue>), SqsError> {
        if url.is_empty() {
            return Err(SqsError::Missing("QueueUrl"));
        }
        let (account, name) = names::of_url(url)?;
        let pin = self.kernel.epoch().now();
        let queue = self.find(account, name);
        let arn = match &queue {
            Some(queue) => queue.arn.clone(),
            None => names::arn(self.kernel.region(), account, name),
        };
        let touch = Touch::queue(action, arn, account, queue.as_deref(), caller, who);
        let authorized = self.decide(pin, caller, vec![touch], tags).await?;
        Ok((authorized, queue.ok_or(SqsError::NoQueue)?))
    }

    /// Commits what changes no policy.
    pub async fn commit(&self, conds: Vec<Cond>, ops: Vec<Op>, urgent: bool) -> Result<Committed, CommitError> {
        self.kv.commit(Batch { conds, ops, idem: None, urgent }).await
    }

    /// All rows that begin with a prefix.
    pub async fn rows(&self, prefix: RowKey) -> Result<Vec<(RowKey, Bytes)>, ReadError> {
        rows(&*self.kv, prefix).await
    }

    /// Puts what a message says into its row, sealed for its id unless the queue is set otherwise. Chunks that it needs go into `ops`.
    pub fn fill_in(
        &self,
        row: &mut MessageRow,
        content: Bytes,
        sealed: bool,
        ops: &mut Vec<Op>,
    ) -> Result<(), SqsError> {
        row.sealed = sealed;
        let kept = if sealed {
            let sealed = self.vault.seal(&*self.random, Purpose::Message, &row.id, &content);
            sealed.map_err(|error| SqsError::Internal(error.to_string()))?.into()
        } else {
            content
        };
        if kept.len() <= chunks::CHUNK_BYTES {
            row.content = kept;
            return Ok(());
        }
        let id = self.random.u128();
        row.chunked = kept.len() as u64;
        row.chunks = Bytes::copy_from_slice(&id.to_be_bytes());
        ops.extend(chunks::put(id, &kept));
        Ok(())
    }

    /// What a message says, as it was sent.
    pub async fn open(&self, row: &MessageRow) -> Result<ContentRow, SqsError> {
        let kept = match row.chunked {
            0 => row.content.clone(),
            length => {
                let (id, length) = (chunk_id(&row.chunks), usize::try_from(length).unwrap_or(usize::MAX));
                let missing = || SqsError::Internal("the chunks of a message are missing".to_owned());
                chunks::get(&*self.kv, id, length).await?.ok_or_else(missing)?
            }
        };
        if !row.sealed {
            return Ok(crate::rows::decode(&kept, "a message")?);
        }
        let plain = self.vault.open(Purpose::Message, &row.id, &kept);
        let plain = plain.map_err(|_| SqsError::Internal("a message cannot be opened".to_owned()))?;
        Ok(crate::rows::decode(&Bytes::copy_from_slice(&plain), "a message")?)
    }
}

/// All rows that begin with a prefix.
pub(crate) async fn rows(kv: &dyn Kv, prefix: RowKey) -> Result<Vec<(RowKey, Bytes)>, ReadError> {
    let (mut from, to) = prefix_range(prefix);
    let mut all = Vec::new();
    loop {
        let page = page(kv, Bound::Included(from), &to, limits::PAGE).await?;
        let Some((last, _)) = page.last().filter(|_| page.len() == limits::PAGE) else {
            all.extend(page);
            return Ok(all);
        };
        from = successor(last);
        all.extend(page);
    }
}

/// Rows from a key on.
pub(crate) async fn page(
    kv: &dyn Kv,
    from: Bound<RowKey>,
    to: &RowKey,
    limit: usize,
) -> Result<Vec<(RowKey, Bytes)>, ReadError> {
    kv.scan(Scan { from, to: Bound::Excluded(to.clone()), reverse: false, limit }).await
}
