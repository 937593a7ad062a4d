//! Deliveries that failed for now, because of a fault in what the target keeps: each waits in a timer of its own, so that it holds up neither its bus nor
//! other targets.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::streams::StepError;
use millpond_kernel::timers::{Alarm, Timer, Timers};
use millpond_kernel::{Arrival, chunks};
use millpond_meta::{Op, Position};
use millpond_types::Timestamp;
use prost::Message;

use crate::consumer::Counters;
use crate::deliver::{Deliverer, Occurrence, Tried};
use crate::destinations::back_off;
use crate::errors::EventsError;
use crate::event::json::Json;
use crate::limits::{MAX_AGE, MAX_RETRIES};
use crate::model::{Rule, Target};
use crate::rows::{self, LaterRow, OccurrenceRow};
use crate::state::Core;

/// Owner of the timers.
const OWNER: &str = "events-deliveries";

/// Where a large occurrence lies: nobody else has this id.
fn chunk_id(delivery: u128) -> u128 {
    delivery ^ 0x6576_656e_7473_5f6c_6174_6572_5f5f_5f5f
}

/// The occurrence, as it is kept for the next attempts.
fn kept(core: &Core, on: &Occurrence<'_>, rule: &Rule, target: &Target) -> Result<Bytes, EventsError> {
    // The chunks of the bus go with its entry.
    let event = core.whole(on.row, on.event.text())?;
    let (stream, position) = (on.stream.to_vec(), on.position.to_bytes().to_vec());
    let (rule, target) = (rule.name.clone(), target.id.clone());
    Ok(rows::encode(&OccurrenceRow { stream, position, event: Some(event), rule, target }))
}

/// The changes by which a delivery is tried again, after so many milliseconds; `None` when its target's policy has it given up, if that is asked.
pub(crate) fn again(
    core: &Core,
    id: u128,
    on: &Occurrence<'_>,
    (rule, target): (&Rule, &Target),
    tried: &Tried<'_>,
    by_policy: bool,
) -> Result<Option<(Vec<Op>, u64)>, EventsError> {
    let now = core.clock.now();
    let (count, first) = (tried.before.saturating_add(1), tried.first.unwrap_or(now));
    let pause = back_off(&*core.random, count);
    let age = Duration::from_secs(target.row.age.unwrap_or(MAX_AGE).into());
    let over = count > target.row.retries.unwrap_or(MAX_RETRIES) || now.since(first) + pause > age;
    if by_policy && over {
        return Ok(None);
    }
    let mut ops = Vec::new();
    let mut row = match tried.row {
        Some(row) => row.clone(),
        None => {
            let kept = kept(core, on, rule, target)?;
            let length = kept.len() as u64;
            if kept.len() <= chunks::CHUNK_BYTES {
                LaterRow { occurrence: kept.to_vec(), ..LaterRow::default() }
            } else {
                ops.extend(chunks::put(chunk_id(id), &kept));
                LaterRow { chunked: length, ..LaterRow::default() }
            }
        }
    };
    (row.tried, row.first) = (count, first.0);
    let due = core.timers.due(now.plus(pause));
    ops.push(Timers::set(due, OWNER, &id.to_be_bytes(), rows::encode(&row)));
    Ok(Some((ops, u64::try_from(pause.as_millis()).unwrap_or(u64::MAX))))
}

/// Tries again.
pub(crate) struct Later {
    pub core: Arc<Core>,
    pub counters: Arc<Counters>,
}

impl Later {
    async fn occurrence(&self, id: u128, row: &LaterRow) -> Result<OccurrenceRow, StepError> {
        let damaged = || StepError::Failed("a delivery that waits cannot be read".to_owned());
        let bytes = match row.chunked {
            0 => row.occurrence.clone().into(),
            length => {
                let length = usize::try_from(length).map_err(|_| damaged())?;
                chunks::get(&*self.core.kv, chunk_id(id), length).await?.ok_or_else(damaged)?
            }
        };
        OccurrenceRow::decode(bytes).map_err(|_| damaged())
    }

    async fn fire(&self, timer: &Timer) -> Result<Arrival, StepError> {
        let core = &self.core;
        let damaged = || StepError::Failed("a delivery that waits cannot be read".to_owned());
        let id = timer.id.as_ref().try_into().map(u128::from_be_bytes).map_err(|_| damaged())?;
        let row = LaterRow::decode(timer.value.clone()).map_err(|_| damaged())?;
        let kept = self.occurrence(id, &row).await?;
        let stream = Bytes::from(kept.stream);
        let position = Position::from_key(&kept.position).ok_or_else(damaged)?;
        let event = kept.event.ok_or_else(damaged)?;
        let text = crate::consumer::body(core, &event).await?.ok_or_else(damaged)?;
        let json = Json::parse(&text).ok_or_else(damaged)?;
        let (account, [bus]) = crate::tables::names_of(&stream).map_err(|_| damaged())?;
        let bus = crate::names::BusName { account, name: bus };
        let found = core.maps().rule(&bus, &kept.rule).and_then(|ruled| {
            let target = ruled.targets.get(&kept.target)?;
            Some((Arc::clone(&ruled.rule), Arc::clone(target)))
        });
        let tried = Tried { before: row.tried, first: Some(Timestamp(row.first)), row: Some(&row) };
        // A target that was removed gets nothing more.
        let (mut arrival, again) = match found {
            None => (Arrival::default(), false),
            Some((rule, target)) => {
                let on = Occurrence { stream: &stream, position, row: &event, event: json };
                let mut deliverer = Deliverer { core, counters: &self.counters, senders: HashMap::new() };
                deliverer.deliver(&on, &rule, &target, &tried).await?
            }
        };
        if !again && row.chunked > 0 {
            arrival.ops.extend(chunks::remove(chunk_id(id), usize::try_from(row.chunked).unwrap_or(usize::MAX)));
        }
        Ok(arrival)
    }
}

impl Alarm for Later {
    fn owner(&self) -> &'static str {
        OWNER
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>> {
        Self::fire(self, timer).boxed()
    }
}
