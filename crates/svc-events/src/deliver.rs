//! One delivery: the changes by which an event reaches a target, or its dead-letter queue.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::outbox::{Attempt, Carrier, Item, Outbox, Outgoing};
use millpond_kernel::streams::StepError;
use millpond_kernel::trace::{Attempted, Outcome, attempted};
use millpond_kernel::{Arrival, Attribute, Caller, Delivery, Rejection, ServiceCall};
use millpond_meta::{Key, Op, Position};
use millpond_types::{AccountId, Arn, CauseChain, MAX_CAUSES, RequestId, Timestamp};

use crate::consumer::{Counters, delivery_id};
use crate::destinations;
use crate::errors::EventsError;
use crate::event::envelope::iso8601;
use crate::event::json::Json;
use crate::event::path::{Found, Path};
use crate::event::transform::Facts;
use crate::inputs::{Resolved, Touched};
use crate::later;
use crate::limits::{MAX_AGE, MAX_RETRIES};
use crate::model::{Archive, Rule, Target};
use crate::ops::targets::{Kind, kind};
use crate::rows::{self, EventRow, HttpRow, LaterRow, RequestRow};
use crate::state::Core;
use crate::tables;

/// The name in the outbox.
const CARRIER: &str = "events";
/// What sessions of roles are called.
const SESSION: &str = "events";

/// An event where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Occurrence<'a> {
    pub stream: &'a Key,
    pub position: Position,
    pub row: &'a EventRow,
    pub event: Json<'a>,
}

/// Why something is not delivered, in AWS's terms (User Guide, "Using dead-letter queues").
#[derive(Clone, Debug)]
struct Undelivered {
    code: &'static str,
    why: String,
}

impl Undelivered {
    fn new(code: &'static str, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

/// Works out deliveries; senders that were made are used again within one step.
pub(crate) struct Deliverer<'a> {
    pub core: &'a Arc<Core>,
    pub counters: &'a Counters,
    pub senders: HashMap<(String, Option<String>), Caller>,
}

fn final_code(rejection: &Rejection) -> &'static str {
    match rejection {
        Rejection::NotFound(_) => "NO_RESOURCE",
        Rejection::Denied(_) => "NO_PERMISSIONS",
        Rejection::Invalid(_) => "INVALID_PARAMETER",
        Rejection::Failed(_) => "INTERNAL_ERROR",
    }
}

impl Core {
    fn service_call(&self, source: &Arn, account: AccountId, causes: CauseChain) -> ServiceCall {
        ServiceCall {
            source_arn: Some(source.clone()),
            source_account: Some(account),
            request_id: RequestId(self.random.u128()),
            now: self.clock.now(),
            causes,
        }
    }

    /// Who sends for a rule: a session of the role, or else we, whom the resource's own policy must let in.
    async fn sender(
        &self,
        rule: (&Arn, AccountId),
        role: Option<&str>,
        causes: CauseChain,
    ) -> Result<Caller, Rejection> {
        let call = self.service_call(rule.0, rule.1, causes);
        match (role, self.kernel.roles()) {
            (Some(role), Some(roles)) => roles.assume(role, &self.identity, SESSION, call).await,
            (Some(_), None) => Err(Rejection::Failed("no role can be assumed".to_owned())),
            (None, _) => Ok(Caller::of_service(&self.identity, call)),
        }
    }

    /// The arrival of an event at a dead-letter queue; `None` when that does not take it.
    async fn dead_letter(&self, letter: &Letter<'_>) -> Result<Option<Arrival>, Rejection> {
        let Some(queue) = letter.queue.and_then(Arn::parse) else { return Ok(None) };
        let text = |name: &str, value: &str| Attribute {
            name: name.to_owned(),
            data_type: "String".to_owned(),
            value: Bytes::copy_from_slice(value.as_bytes()),
        };
        let mut attributes = vec![
            text("RULE_ARN", letter.rule.as_str()),
            text("TARGET_ARN", letter.target),
            text("ERROR_CODE", letter.code),
            text("ERROR_MESSAGE", if letter.why.is_empty() { letter.code } else { letter.why }),
        ];
        attributes.extend(letter.exhausted.map(|condition| text("EXHAUSTED_RETRY_CONDITION", condition)));
        attributes.push(Attribute {
            name: "RETRY_ATTEMPTS".to_owned(),
            data_type: "Number".to_owned(),
            value: letter.retries.to_string().into(),
        });
        let delivery = Delivery {
            id: letter.id ^ u128::MAX,
            body: letter.event.clone(),
            attributes,
            group: None,
            dedup: None,
            time: self.clock.now(),
            causes: letter.causes.to_vec(),
            event: letter.event_id.to_owned(),
        };
        let from = self.sender((letter.rule, letter.account), None, letter.causes.to_vec()).await?;
        match self.kernel.targets().arrive(&queue, &from, &delivery).await {
            Ok(arrival) => Ok(Some(arrival)),
            Err(rejection) if rejection.is_final() => {
                tracing::error!(rule = %letter.rule, %queue, %rejection, "the dead-letter queue of a target does not take an event");
                Ok(None)
            }
            Err(rejection) => Err(rejection),
        }
    }
}

/// What is sent to a dead-letter queue.
struct Letter<'a> {
    queue: Option<&'a str>,
    rule: &'a Arn,
    account: AccountId,
    target: &'a str,
    code: &'a str,
    why: &'a str,
    exhausted: Option<&'static str>,
    retries: u32,
    id: u128,
    event: &'a Bytes,
    event_id: &'a str,
    causes: &'a [String],
}

fn missed(code: &'static str, rejection: &Rejection) -> Missed {
    match rejection {
        Rejection::Failed(why) => Missed::ForNow(why.clone()),
        other => Missed::Finally(Undelivered::new(code, other.to_string())),
    }
}

/// Attempts at a delivery that were made before.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tried<'a> {
    pub before: u32,
    /// When the first one was made.
    pub first: Option<Timestamp>,
    /// As they are kept.
    pub row: Option<&'a LaterRow>,
}

/// Why a delivery was not made.
enum Missed {
    /// It never will be.
    Finally(Undelivered),
    /// It may be later.
    ForNow(String),
}

impl From<Undelivered> for Missed {
    fn from(undelivered: Undelivered) -> Self {
        Self::Finally(undelivered)
    }
}

impl Deliverer<'_> {
    /// The changes by which an event reaches a target, is tried again later, or is given up; and whether it is tried again.
    pub async fn deliver(
        &mut self,
        on: &Occurrence<'_>,
        rule: &Arc<Rule>,
        target: &Arc<Target>,
        tried: &Tried<'_>,
    ) -> Result<(Arrival, bool), StepError> {
        let id = delivery_id(on.stream, on.position, &[rule.arn.as_str(), &target.id]);
        let told = |answer: &str, outcome: Outcome| {
            let (event, target) = (on.row.id.as_str(), target.arn.as_str());
            attempted(&Attempted { event, id, target, tried: tried.before + 1, answer, outcome }, self.core.clock.now())
        };
        let missed = match self.attempt(on, rule, target, id).await {
            Ok(mut arrival) => {
                self.counters.deliveries.fetch_add(1, Ordering::Relaxed);
                if tried.before > 0 {
                    arrival.ops.extend(told("", Outcome::Delivered));
                }
                return Ok((arrival, false));
            }
            Err(missed) => missed,
        };
        let (failed, exhausted) = match missed {
            Missed::Finally(failed) => (failed, None),
            Missed::ForNow(why) => {
                if let Some((mut ops, millis)) =
                    later::again(self.core, id, on, (rule, target), tried, true).map_err(Rejection::from)?
                {
                    tracing::warn!(event = on.row.id, rule = %rule.arn, target = %target.arn, why, "a delivery failed for now; it is tried again");
                    ops.extend(told(&format!("INTERNAL_ERROR: {why}"), Outcome::Again { millis }));
                    return Ok((Arrival { conds: Vec::new(), ops }, true));
                }
                let count = tried.before >= target.row.retries.unwrap_or(MAX_RETRIES);
                let condition = if count { "MaximumRetryAttempts" } else { "MaximumEventAgeInSeconds" };
                (Undelivered::new("INTERNAL_ERROR", why), Some(condition))
            }
        };
        let event = Bytes::copy_from_slice(on.event.text().as_bytes());
        let letter = Letter {
            queue: target.row.dead_letters.as_deref(),
            rule: &rule.arn,
            account: rule.bus.account,
            target: target.arn.as_str(),
            code: failed.code,
            why: &failed.why,
            exhausted,
            retries: tried.before,
            id,
            event: &event,
            event_id: &on.row.id,
            causes: &on.row.causes,
        };
        let dead = match self.core.dead_letter(&letter).await {
            Ok(dead) => dead,
            // It fails for now: all is tried again until it does not, in a timer, where nothing waits for it.
            Err(rejection) => {
                match later::again(self.core, id, on, (rule, target), tried, false).map_err(Rejection::from)? {
                    Some((ops, _)) => return Ok((Arrival { conds: Vec::new(), ops }, true)),
                    None => return Err(rejection.into()),
                }
            }
        };
        let (counter, outcome) = match dead {
            Some(_) => (&self.counters.dead_lettered, Outcome::DeadLettered),
            None => (&self.counters.dropped, Outcome::Dropped),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if dead.is_none() {
            tracing::error!(event = on.row.id, rule = %rule.arn, target = %target.arn, code = failed.code, why = failed.why, "an event could not be delivered, and there is no dead-letter queue that takes it");
        }
        let mut arrival = dead.unwrap_or_default();
        arrival.ops.extend(told(&format!("{}: {}", failed.code, failed.why), outcome));
        Ok((arrival, false))
    }

    async fn attempt(
        &mut self,
        on: &Occurrence<'_>,
        rule: &Rule,
        target: &Target,
        id: u128,
    ) -> Result<Arrival, Missed> {
        let kind = kind(&target.arn);
        if kind == Kind::Bus && on.row.forwarded {
            // User Guide, "Sending events between event buses": not to a third one.
            let why = "An event that came from another event bus is not sent to a third one.";
            return Err(Undelivered::new("THIRD_ACCOUNT_HOP_DETECTED", why).into());
        }
        if on.row.causes.len() >= MAX_CAUSES {
            let why = format!("The event follows from {MAX_CAUSES} others: this is a loop.");
            return Err(Undelivered::new("INVALID_PARAMETER", why).into());
        }
        let ingested = iso8601(Timestamp(on.row.ingested));
        let facts = Facts { event: on.event, rule_arn: rule.arn.as_str(), rule_name: &rule.name, ingested: &ingested };
        let body = match target.input.render(&facts) {
            Ok(body) => body,
            Err(unfit) => return Err(Undelivered::new("INVALID_JSON", unfit.to_string()).into()),
        };
        let mut causes = on.row.causes.clone();
        causes.push(format!("events:{}:{}", on.row.id, rule.arn));
        if kind == Kind::Http {
            let outgoing = self.outgoing(on, rule, target, id, body, causes);
            return outgoing.map_err(|error| Missed::ForNow(error.to_string()));
        }
        let key = (rule.arn.to_string(), target.row.role.clone());
        let from = match self.senders.get(&key) {
            Some(from) => from.clone(),
            None => {
                let role = target.row.role.as_deref();
                match self.core.sender((&rule.arn, rule.bus.account), role, causes.clone()).await {
                    Ok(from) => {
                        self.senders.insert(key, from.clone());
                        from
                    }
                    Err(rejection) => return Err(missed("FAILED_TO_ASSUME_ROLE", &rejection)),
                }
            }
        };
        let delivery = Delivery {
            id,
            body: body.into(),
            attributes: Vec::new(),
            group: target.row.group.clone(),
            // Of the event: FIFO queues that deduplicate do so by what came twice.
            dedup: target.row.group.as_ref().map(|_| format!("{id:032x}")),
            time: self.core.clock.now(),
            causes,
            event: on.row.id.clone(),
        };
        let arrived = self.core.kernel.targets().arrive(&target.arn, &from, &delivery).await;
        arrived.map_err(|rejection| missed(final_code(&rejection), &rejection))
    }

    /// A request to an API destination, for the outbox.
    fn outgoing(
        &self,
        on: &Occurrence<'_>,
        rule: &Rule,
        target: &Target,
        id: u128,
        body: String,
        causes: CauseChain,
    ) -> Result<Arrival, EventsError> {
        let row = &target.row;
        let whole = body == on.event.text();
        let what = RequestRow {
            body: body.into_bytes(),
            account: rule.bus.account.to_string(),
            rule: rule.arn.to_string(),
            destination: row.arn.clone(),
            role: row.role.clone(),
            http: row.http.as_ref().map(|http| filled(http, on.event)),
            dead_letters: row.dead_letters.clone(),
            retries: row.retries.unwrap_or(MAX_RETRIES),
            age: row.age.unwrap_or(MAX_AGE),
            event: if whole { Vec::new() } else { on.event.text().as_bytes().to_vec() },
            causes,
            ..RequestRow::default()
        };
        let outgoing = Outgoing {
            id,
            owner: CARRIER,
            lane: Bytes::copy_from_slice(row.arn.as_bytes()),
            key: order_key(on),
            what: self.core.seal_request(&what)?,
            time: self.core.clock.now(),
            event: on.row.id.clone(),
        };
        Ok(Arrival { conds: Vec::new(), ops: Outbox::put(&outgoing) })
    }

    /// The changes by which an archive keeps an event.
    pub fn archive(&self, on: &Occurrence<'_>, archive: &Archive) -> Result<Arrival, EventsError> {
        let mut ops = Vec::new();
        let text = on.event.text();
        let mut row = EventRow {
            id: on.row.id.clone(),
            ingested: on.row.ingested,
            forwarded: on.row.forwarded,
            causes: on.row.causes.clone(),
            ..EventRow::default()
        };
        let id = || delivery_id(on.stream, on.position, &["archive", archive.arn.as_str()]);
        self.core.fill_in(&mut row, text, id, &mut ops)?;
        let key = tables::archived(archive.id, Timestamp(on.row.ingested), on.position.to_bytes());
        ops.push(Op::Put(key, rows::encode(&row)));
        ops.push(Op::Add(tables::archive_count(archive.id, 0), 1));
        ops.push(Op::Add(tables::archive_count(archive.id, 1), i64::try_from(text.len()).unwrap_or(i64::MAX)));
        let there = tables::named(tables::ARCHIVES, archive.account, &archive.name);
        Ok(Arrival { conds: vec![millpond_meta::Cond::Equals(there, archive.stored.bytes.clone())], ops })
    }
}

/// What first attempts keep in order: changes of one object; other events are on their own.
fn order_key(on: &Occurrence<'_>) -> Bytes {
    let text = |json: Option<Json<'_>>| json.and_then(Json::string).map(|text| text.into_owned());
    let detail = on.event.member("detail");
    let object = detail.and_then(|detail| detail.member("object")).and_then(|object| text(object.member("key")));
    let bucket = detail.and_then(|detail| detail.member("bucket")).and_then(|bucket| text(bucket.member("name")));
    match (bucket, object) {
        (Some(bucket), Some(object)) => format!("{bucket}/{object}").into(),
        _ => on.row.id.clone().into(),
    }
}

/// Values of HttpParameters; those that are paths are of the original event.
fn filled(http: &HttpRow, event: Json<'_>) -> HttpRow {
    let value = |text: &String| {
        let path = Some(text).filter(|text| text.starts_with("$.")).and_then(|text| Path::parse(text).ok());
        match path.map(|path| path.find(event)) {
            None => text.clone(),
            Some(Found::One(json)) => json.string().map_or_else(|| json.compact(), |text| text.into_owned()),
            Some(Found::Nothing) => String::new(),
            Some(Found::Many(list)) => list.into_iter().map(Json::compact).collect::<Vec<_>>().join(","),
        }
    };
    let map = |map: &BTreeMap<String, String>| map.iter().map(|(key, text)| (key.clone(), value(text))).collect();
    HttpRow { path: http.path.iter().map(value).collect(), headers: map(&http.headers), query: map(&http.query) }
}

/// Sends to API destinations.
pub(crate) struct Requests {
    pub core: Arc<Core>,
    pub counters: Arc<Counters>,
}

impl Requests {
    fn row(&self, item: &Item) -> Option<RequestRow> {
        self.core.open_request(&item.what)
    }

    async fn send(&self, item: &Item) -> Attempt {
        let Some(row) = self.row(item) else { return Attempt::Fail("INTERNAL_ERROR: it cannot be read".into()) };
        match self.allowed(&row).await {
            Ok(()) => destinations::send(&self.core, item.id, &row).await,
            Err(rejection) if rejection.is_final() => {
                Attempt::Fail(format!("{}: {rejection}", final_code(&rejection)).into())
            }
            Err(rejection) => Attempt::Retry(format!("TRANSIENT_ASSUME_ROLE: {rejection}").into()),
        }
    }

    /// Whether the role of the target may call the destination.
    async fn allowed(&self, row: &RequestRow) -> Result<(), Rejection> {
        let core = &self.core;
        let damaged = || Rejection::Invalid("the request cannot be read".to_owned());
        let (rule, destination) =
            (Arn::parse(&row.rule).ok_or_else(damaged)?, Arn::parse(&row.destination).ok_or_else(damaged)?);
        let account: AccountId = row.account.parse().map_err(|_| damaged())?;
        let from = core.sender((&rule, account), row.role.as_deref(), row.causes.clone()).await?;
        let owner = destination.account().and_then(|text| text.parse().ok()).ok_or_else(damaged)?;
        let invoke = Resolved::new("events:InvokeApiDestination", Touched::plain(destination, owner));
        match core.kernel.authorize(&from, invoke).await {
            Ok(_) => Ok(()),
            Err(millpond_kernel::Refusal::Failed(reason)) => Err(Rejection::Failed(reason)),
            Err(refusal) => Err(Rejection::Denied(refusal.to_string())),
        }
    }

    async fn letter(&self, item: &Item, reason: &str) -> Result<Arrival, Rejection> {
        let Some(row) = self.row(item) else { return Ok(Arrival::default()) };
        let (Some(rule), Ok(account)) = (Arn::parse(&row.rule), row.account.parse()) else {
            return Ok(Arrival::default());
        };
        let (code, why) = reason.split_once(": ").unwrap_or(("UNKNOWN", reason));
        let first = item.first.unwrap_or(item.time);
        let age = self.core.clock.now().since(first).as_secs() >= u64::from(row.age);
        let exhausted = match (item.tried >= row.retries, age) {
            (true, _) => Some("MaximumRetryAttempts"),
            (false, true) => Some("MaximumEventAgeInSeconds"),
            (false, false) => None,
        };
        let event = Bytes::from(if row.event.is_empty() { row.body.clone() } else { row.event.clone() });
        let letter = Letter {
            queue: row.dead_letters.as_deref(),
            rule: &rule,
            account,
            target: &row.destination,
            code,
            why,
            exhausted: exhausted.filter(|_| item.tried > 0 || row.retries == 0),
            retries: item.tried,
            id: item.id,
            event: &event,
            event_id: &item.event,
            causes: &row.causes,
        };
        let dead = self.core.dead_letter(&letter).await?;
        let counter = if dead.is_some() { &self.counters.dead_lettered } else { &self.counters.dropped };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(dead.unwrap_or_default())
    }
}

impl Carrier for Requests {
    fn owner(&self) -> &'static str {
        CARRIER
    }

    fn attempt<'a>(&'a self, item: &'a Item) -> BoxFuture<'a, Attempt> {
        self.send(item).boxed()
    }

    fn next_try(&self, item: &Item, tried: u32, since: Duration) -> Option<Duration> {
        let row = self.row(item)?;
        let asked = self.core.callers.asked(item.id);
        let pause = destinations::back_off(&*self.core.random, tried);
        // The more careful of the two; less than none means never (User Guide, "API destination error codes").
        let pause = match asked {
            Some(asked) => pause.max(asked?),
            None => pause,
        };
        let left = Duration::from_secs(row.age.into()).checked_sub(since)?;
        (tried <= row.retries && pause <= left).then_some(pause)
    }

    fn gave_up<'a>(&'a self, item: &'a Item, reason: &'a str) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        self.letter(item, reason).boxed()
    }

    fn target(&self, item: &Item) -> String {
        String::from_utf8_lossy(&item.lane).into_owned()
    }
}
