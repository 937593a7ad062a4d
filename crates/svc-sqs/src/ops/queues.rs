//! Making, finding, listing and deleting queues.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_sqs as api;
use millpond_kernel::paging::{cut, name_after};
use millpond_kernel::{Caller, Pin};
use millpond_meta::{Cond, Op};
use millpond_types::AccountId;

use crate::changing::check_tags;
use crate::errors::{Failure, SqsError, parameter};
use crate::limits;
use crate::names;
use crate::queue::{Facts, Queue};
use crate::rows::{self, ClearRow, NameRow};
use crate::settings::{self, Attributes, Settings};
use crate::state::{Core, Touch, Who};
use crate::tables;

/// The caller's account; a service has no queues.
fn own(caller: &Caller) -> Result<AccountId, SqsError> {
    caller.account().ok_or_else(|| SqsError::Denied("Only accounts have queues.".to_owned()))
}

pub(crate) async fn create(
    core: &Core,
    caller: &Caller,
    input: &api::CreateQueueInput,
    base: &str,
) -> Result<api::CreateQueueOutput, Failure> {
    let account = own(caller)?;
    let name = &input.queue_name;
    let (none, no_tags) = (Attributes::new(), BTreeMap::new());
    let attributes = input.attributes.as_ref().unwrap_or(&none);
    let tags = input.tags.as_ref().unwrap_or(&no_tags);
    let pin = core.kernel.epoch().now();
    let found = core.find(account, name);
    let arn = names::arn(core.kernel.region(), account, name);
    let mut touches = vec![Touch::queue("sqs:CreateQueue", arn.clone(), account, found.as_deref(), caller, Who::Own)];
    if !tags.is_empty() {
        touches.push(Touch::queue("sqs:TagQueue", arn, account, found.as_deref(), caller, Who::Own));
    }
    let request_tags = tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let authorized = core.decide::<api::CreateQueueInput>(pin, caller, touches, request_tags).await?;
    let fifo = attributes.get("FifoQueue").is_some_and(|value| value == "true");
    names::check(name, fifo)?;
    check_tags(tags)?;
    let set = settings::changed(&none, attributes, fifo, true)?;
    let output = api::CreateQueueOutput { queue_url: Some(names::url(base, account, name)) };
    if let Some(queue) = found {
        same(&queue, attributes)?;
        return Ok(output);
    }
    let deleted = core.queues().deleted.get(&(account, name.clone())).copied();
    if deleted.is_some_and(|at| at.saturating_add(pause()) > core.now()) {
        return Err(SqsError::DeletedRecently.into());
    }
    make(core, authorized.pin(), account, name, set, tags).await?;
    Ok(output)
}

fn pause() -> u64 {
    u64::try_from(limits::PAUSE.as_millis()).unwrap_or(u64::MAX)
}

/// A queue that is there is as good as a new one, if it is as was asked (API reference, CreateQueue).
fn same(queue: &Queue, attributes: &Attributes) -> Result<(), SqsError> {
    let shown = settings::shown(&queue.facts().attributes);
    let differs = |(name, value): &(&String, &String)| {
        let now = shown.get(*name).map(String::as_str).unwrap_or_default();
        now != value.as_str() && json(now).zip(json(value)).is_none_or(|(now, given)| now != given)
    };
    match attributes.iter().find(differs) {
        Some((name, _)) => Err(SqsError::Exists(name.clone())),
        None => Ok(()),
    }
}

/// Policies are the same when their documents are.
fn json(text: &str) -> Option<serde_json::Value> {
    serde_json::from_str::<serde_json::Value>(text).ok().filter(serde_json::Value::is_object)
}

async fn make(
    core: &Core,
    pin: Pin,
    account: AccountId,
    name: &str,
    attributes: Attributes,
    tags: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    let region = core.kernel.region();
    let arn = names::arn(region, account, name);
    let now = core.now();
    let empty = Facts {
        created: now,
        modified: now,
        settings: Settings::of(&Attributes::new())?,
        attributes: Attributes::new(),
        policy: None,
        policy_ids: Vec::new(),
        tags: tags.clone(),
        purged: 0,
        purged_at: 0,
    };
    let facts = core.facts(&arn, &empty, attributes).await?;
    let id = loop {
        let id = core.random.u64();
        if !core.queues().has(id) {
            break id;
        }
    };
    let key = tables::of_queue(tables::QUEUES, id);
    let conds = vec![Cond::Absent(key.clone())];
    let ops = vec![
        Op::Put(key, facts.row(account, name)),
        Op::Put(tables::name(account, name), rows::encode(&NameRow { queue: id, deleted: 0 })),
    ];
    let policies = facts.policy.is_some();
    let queue = Arc::new(Queue::new(id, account, name.to_owned(), region, facts));
    core.settle(pin, (conds, ops), policies, move |core| core.queues_mut().insert(queue)).await
}

pub(crate) async fn delete(
    core: &Core,
    caller: &Caller,
    input: &api::DeleteQueueInput,
) -> Result<api::DeleteQueueOutput, Failure> {
    let (authorized, queue) =
        core.on_queue::<api::DeleteQueueInput>(caller, &input.queue_url, "sqs:DeleteQueue", Who::Own).await?;
    let now = core.now();
    let conds = vec![Cond::Present(tables::of_queue(tables::QUEUES, queue.id))];
    let ops = vec![
        Op::Delete(tables::of_queue(tables::QUEUES, queue.id)),
        Op::Put(tables::name(queue.account, &queue.name), rows::encode(&NameRow { queue: queue.id, deleted: now })),
        Op::Put(tables::clear(queue.id), rows::encode(&ClearRow { purged: u64::MAX })),
    ];
    core.settle(authorized.pin(), (conds, ops), true, |core| core.queues_mut().remove(&queue, now)).await?;
    core.work.notify_one();
    Ok(api::DeleteQueueOutput {})
}

pub(crate) async fn url(
    core: &Core,
    caller: &Caller,
    input: &api::GetQueueUrlInput,
    base: &str,
) -> Result<api::GetQueueUrlOutput, Failure> {
    let account = match input.queue_owner_aws_account_id.as_deref().filter(|given| !given.is_empty()) {
        None => own(caller)?,
        Some(given) => {
            given.parse().map_err(|_| parameter(given, "QueueOwnerAWSAccountId", "Must be an account id."))?
        }
    };
    if input.queue_name.is_empty() {
        return Err(SqsError::Missing("QueueName").into());
    }
    let pin = core.kernel.epoch().now();
    let queue = core.find(account, &input.queue_name);
    let arn = names::arn(core.kernel.region(), account, &input.queue_name);
    let touch = Touch::queue("sqs:GetQueueUrl", arn, account, queue.as_deref(), caller, Who::Anybody);
    core.decide::<api::GetQueueUrlInput>(pin, caller, vec![touch], Vec::new()).await?;
    let queue = queue.ok_or(SqsError::NoQueue)?;
    Ok(api::GetQueueUrlOutput { queue_url: Some(names::url(base, account, &queue.name)) })
}

/// How many of a list are wanted, and behind which name.
struct Page {
    most: usize,
    limited: bool,
    after: Option<String>,
}

impl Page {
    fn of(most: Option<i32>, token: Option<&str>) -> Result<Self, SqsError> {
        let limited = most.is_some();
        let most = most.unwrap_or(limits::MAX_PAGE);
        if !(1..=limits::MAX_PAGE).contains(&most) {
            return Err(parameter(most, "MaxResults", "MaxResults must be an integer between 1 and 1000."));
        }
        let token = token.filter(|token| !token.is_empty());
        let bad = |_| parameter(token.unwrap_or_default(), "NextToken", "Invalid or expired next token.");
        let after = name_after(token).map_err(bad)?;
        if after.is_some() && !limited {
            return Err(parameter(token.unwrap_or_default(), "NextToken", "MaxResults must be set to use NextToken."));
        }
        Ok(Self { most: usize::try_from(most).unwrap_or(1), limited, after })
    }

    /// The URLs of a page of queues, and the token of the next one.
    fn cut<'a>(&self, queues: impl Iterator<Item = &'a Arc<Queue>>, base: &str) -> (Vec<String>, Option<String>) {
        let items = queues.map(|queue| (queue.name.clone(), names::url(base, queue.account, &queue.name)));
        let (urls, token) = cut(self.most, items);
        (urls, token.filter(|_| self.limited))
    }
}

pub(crate) async fn list(
    core: &Core,
    caller: &Caller,
    input: &api::ListQueuesInput,
    base: &str,
) -> Result<api::ListQueuesOutput, Failure> {
    let account = own(caller)?;
    let pin = core.kernel.epoch().now();
    let touch = Touch::nothing("sqs:ListQueues", account);
    core.decide::<api::ListQueuesInput>(pin, caller, vec![touch], Vec::new()).await?;
    let page = Page::of(input.max_results, input.next_token.as_deref())?;
    let prefix = input.queue_name_prefix.as_deref().unwrap_or_default();
    let queues = core.queues();
    let (urls, next_token) = page.cut(queues.listed(account, prefix, page.after.as_deref()), base);
    Ok(api::ListQueuesOutput { queue_urls: (!urls.is_empty()).then_some(urls), next_token })
}

pub(crate) async fn sources(
    core: &Core,
    caller: &Caller,
    input: &api::ListDeadLetterSourceQueuesInput,
    base: &str,
) -> Result<api::ListDeadLetterSourceQueuesOutput, Failure> {
    let (_, queue) = core
        .on_queue::<api::ListDeadLetterSourceQueuesInput>(
            caller,
            &input.queue_url,
            "sqs:ListDeadLetterSourceQueues",
            Who::Anybody,
        )
        .await?;
    let page = Page::of(input.max_results, input.next_token.as_deref())?;
    let is_source = |source: &&Arc<Queue>| {
        let facts = source.facts();
        facts.settings.redrive.as_ref().is_some_and(|redrive| redrive.target == queue.arn.as_str())
    };
    let queues = core.queues();
    let sources = queues.listed(queue.account, "", page.after.as_deref()).filter(is_source);
    let (queue_urls, next_token) = page.cut(sources, base);
    Ok(api::ListDeadLetterSourceQueuesOutput { queue_urls, next_token })
}
