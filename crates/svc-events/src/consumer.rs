//! What follows from the events of a bus: the rules that match, and a delivery for each of their targets.
//!
//! The effects of an event are numbered by their targets (and archives), whose numbers a bus gives once and never again. So a step that stops
//! within an event knows by one number what is done, though rules may change before the next step.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::streams::{Consumer, Entry, MAX_STEP_BYTES, MAX_STEP_ITEMS, Step, StepError};
use millpond_kernel::{Arrival, Rejection, chunks};
use millpond_meta::{Key, Op, Position};
use millpond_pattern::Event;
use millpond_types::Timestamp;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::contents::chunks_of;
use crate::deliver::{Deliverer, Occurrence, Tried};
use crate::event::json::Json;
use crate::matching::{Base, Snapshot, matching};
use crate::model::{Archive, Rule, Target};
use crate::names::BusName;
use crate::rows::EventRow;
use crate::state::{Core, READER};
use crate::tables;

/// How long events stay on a bus after they were matched, for `millpond trace`.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What was done since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub events: AtomicU64,
    pub deliveries: AtomicU64,
    pub dead_lettered: AtomicU64,
    pub dropped: AtomicU64,
}

/// Reads the buses.
pub(crate) struct Reader {
    pub core: Arc<Core>,
    pub counters: Arc<Counters>,
}

/// One effect of an event.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Deliver(Arc<Rule>, Arc<Target>),
    Archive(Arc<Archive>),
}

impl Effect {
    fn number(&self) -> u32 {
        match self {
            Self::Deliver(_, target) => target.number(),
            Self::Archive(archive) => archive.stored.row.number,
        }
    }
}

fn damaged() -> StepError {
    StepError::Failed("an event cannot be read".to_owned())
}

/// The JSON of an event; `None` when its chunks are gone.
pub(crate) async fn body(core: &Core, row: &EventRow) -> Result<Option<String>, StepError> {
    let json = match chunks_of(row) {
        None if !row.chunks.is_empty() => return Err(damaged()),
        None => core.json_of(row, &row.body),
        Some((id, length)) => match chunks::get(&*core.kv, id, length).await? {
            Some(bytes) => core.json_of(row, &bytes),
            None => return Ok(None),
        },
    };
    String::from_utf8(json.map_err(|_| damaged())?).map(Some).map_err(|_| damaged())
}

/// What goes with an event's row.
pub(crate) fn beside(value: &Bytes) -> Vec<Op> {
    let Ok(row) = EventRow::decode(value.clone()) else { return Vec::new() };
    chunks_of(&row).map(|(id, length)| chunks::remove(id, length)).unwrap_or_default()
}

/// Bytes of an event.
pub(crate) fn length(value: &Bytes) -> i64 {
    EventRow::decode(value.clone()).map_or(0, |row| i64::try_from(row.length).unwrap_or(i64::MAX))
}

/// Whether an event tells of a management call that reads: rules get such only where their state says so (User Guide, "Receiving read-only
/// management events from AWS services").
fn is_management_read(event: Json<'_>) -> bool {
    let kind = event.member("detail-type").and_then(Json::string);
    let says = |name: &str| {
        event.member("detail").and_then(|detail| detail.member(name)).is_some_and(|it| it.text() == "true")
    };
    kind.is_some_and(|kind| kind == "AWS API Call via CloudTrail") && says("managementEvent") && says("readOnly")
}

/// An id that is the same whenever the same is delivered.
pub(crate) fn delivery_id(stream: &[u8], position: Position, what: &[&str]) -> u128 {
    let mut hash = Sha256::new();
    hash.update(stream);
    hash.update(position.to_bytes());
    for part in what {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    digest.iter().take(16).fold(0, |id, byte| id << 8 | u128::from(*byte))
}

impl Core {
    /// The rules of a bus as they are compiled; compiles them first when they have changed much.
    pub async fn rules_now(&self, bus: &BusName) -> Snapshot {
        let none = || Snapshot::Ready { base: None, changed: Arc::default() };
        loop {
            let Some(snapshot) = self.maps().held(bus).map(Snapshot::of) else { return none() };
            let Snapshot::Compile { rules, version } = snapshot else { return snapshot };
            // Takes long enough to hold up others.
            let Ok(base) = tokio::task::spawn_blocking(move || Base::compile(rules)).await else { return none() };
            self.maps_mut().keep(bus, Arc::new(base), version);
        }
    }

    /// What follows from an event, in the order of the numbers.
    pub async fn effects(&self, bus: &BusName, row: &EventRow, (json, event): (Json<'_>, &Event)) -> Vec<Effect> {
        let mut effects = Vec::new();
        let only_wanted = is_management_read(json);
        let names = if row.scheduled {
            let held = self.maps();
            let rules = held.held(bus).map(|held| &held.rules);
            let named = rules
                .into_iter()
                .flatten()
                .filter(|(_, ruled)| row.rules.iter().any(|arn| arn == ruled.rule.arn.as_str()));
            named.map(|(name, _)| name.clone()).collect()
        } else {
            match self.rules_now(bus).await {
                Snapshot::Ready { base, changed } => matching(base.as_deref(), &changed, event),
                Snapshot::Compile { .. } => Vec::new(),
            }
        };
        let maps = self.maps();
        for ruled in names.iter().filter_map(|name| maps.rule(bus, name)) {
            if only_wanted && !ruled.rule.wants_management_reads() {
                continue;
            }
            if row.rules.is_empty() || row.rules.iter().any(|arn| arn == ruled.rule.arn.as_str()) {
                effects.extend(
                    ruled.targets.values().map(|target| Effect::Deliver(Arc::clone(&ruled.rule), Arc::clone(target))),
                );
            }
        }
        if !row.replayed && !row.scheduled {
            let fits = |archive: &Arc<Archive>| archive.pattern.as_ref().is_none_or(|pattern| pattern.matches(event));
            effects.extend(maps.archives_of(bus).into_iter().filter(fits).map(Effect::Archive));
        }
        effects.sort_by_key(Effect::number);
        effects
    }
}

/// A step being put together.
struct Draft {
    step: Step,
    bytes: usize,
}

impl Draft {
    fn is_full(&self) -> bool {
        self.bytes >= MAX_STEP_BYTES || self.step.ops.len() >= MAX_STEP_ITEMS
    }

    /// Adds what arrives; `false` when that must wait for the next step.
    fn add(&mut self, arrival: Arrival) -> bool {
        let part = Step { ops: arrival.ops, conds: arrival.conds, ..Step::default() };
        let bytes = part.bytes();
        let added = self.step.arrive(Arrival { conds: part.conds, ops: part.ops });
        self.bytes += if added { bytes } else { 0 };
        added
    }
}

impl Reader {
    async fn work(&self, stream: &Key, entries: &[Entry], mut within: u32) -> Result<Step, StepError> {
        let (account, [name]) = tables::names_of(stream).map_err(|_| damaged())?;
        let bus = BusName { account, name };
        let mut draft = Draft { step: Step::default(), bytes: 0 };
        let mut deliverer = Deliverer { core: &self.core, counters: &self.counters, senders: HashMap::new() };
        for entry in entries {
            let row = EventRow::decode(entry.value.clone()).map_err(|_| damaged())?;
            let text = body(&self.core, &row).await?;
            let parsed =
                text.as_deref().and_then(|text| Some((Json::parse(text)?, Event::parse(text.as_bytes()).ok()?)));
            // What was put was parsed; chunks go with the entry.
            let Some((json, event)) = parsed else {
                tracing::error!(event = row.id, "an event on a bus cannot be read; it is left out");
                (draft.step.done, within) = (draft.step.done + 1, 0);
                continue;
            };
            let effects = self.core.effects(&bus, &row, (json, &event)).await;
            let occurrence = Occurrence { stream, position: entry.position, row: &row, event: json };
            let before = within;
            for effect in effects.iter().filter(|effect| effect.number() > before) {
                if draft.is_full() {
                    draft.step.within = within;
                    return Ok(draft.step);
                }
                let added = draft.add(match effect {
                    Effect::Deliver(rule, target) => {
                        deliverer.deliver(&occurrence, rule, target, &Tried::default()).await?.0
                    }
                    Effect::Archive(archive) => deliverer.archive(&occurrence, archive).map_err(Rejection::from)?,
                });
                if !added {
                    draft.step.within = within;
                    return Ok(draft.step);
                }
                within = effect.number();
            }
            self.counters.events.fetch_add(1, Ordering::Relaxed);
            (draft.step.done, within) = (draft.step.done + 1, 0);
            if draft.is_full() {
                break;
            }
        }
        Ok(draft.step)
    }
}

impl Consumer for Reader {
    fn name(&self) -> &'static str {
        READER
    }

    fn table(&self) -> u8 {
        tables::EVENTS
    }

    fn step<'a>(
        &'a self,
        stream: &'a Key,
        entries: &'a [Entry],
        within: u32,
    ) -> BoxFuture<'a, Result<Step, StepError>> {
        self.work(stream, entries, within).boxed()
    }

    fn time_of(&self, value: &Bytes) -> Option<Timestamp> {
        EventRow::decode(value.clone()).ok().map(|row| Timestamp(row.ingested))
    }

    fn keep(&self) -> Option<Duration> {
        Some(KEPT)
    }

    fn beside(&self, value: &Bytes) -> Vec<Op> {
        beside(value)
    }
}
