//! Rules with a schedule: each has a timer for when it is due next. What was missed while the server was down is done once.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::Arrival;
use millpond_kernel::streams::StepError;
use millpond_kernel::timers::{Alarm, Timer, Timers};
use millpond_meta::{Cond, Op};
use millpond_schedule::Schedule;
use millpond_types::Timestamp;

use crate::errors::{EventsError, Failure};
use crate::event::envelope::New;
use crate::event::json::Json;
use crate::model::Rule;
use crate::names::{BusName, new_uuid, uuid};
use crate::rows::{self, EventRow, RuleRow};
use crate::state::{Core, Draft};
use crate::tables;

/// Owner of the timers.
const OWNER: &str = "events-rules";

/// A schedule of a rule.
pub(crate) fn parse(text: &str) -> Result<Schedule, EventsError> {
    let wrong = |_| EventsError::Validation("Parameter ScheduleExpression is not valid.".to_owned());
    Schedule::parse_rule(text).map_err(wrong)
}

fn encode(due: Timestamp) -> Bytes {
    Bytes::copy_from_slice(&due.0.to_be_bytes())
}

/// When a rule is due after a time, by the schedule as its row has it.
fn next(row: &RuleRow, after: Timestamp) -> Option<Timestamp> {
    let enabled = row.state != millpond_api_events::RuleState::Disabled.as_str();
    let schedule = row.schedule.as_deref().filter(|_| enabled).and_then(|text| Schedule::parse_rule(text).ok())?;
    schedule.after_since(Timestamp(row.since), after)
}

/// Sets the timer anew for a rule that is written: the former one goes.
pub(crate) async fn reset(
    core: &Core,
    draft: &mut Draft,
    bus: &BusName,
    rule: &str,
    row: &RuleRow,
) -> Result<(), Failure> {
    let key = tables::schedule(bus.account, &bus.name, rule);
    let before = core.kv.get(&key).await?;
    if before.is_none() && row.schedule.is_none() {
        return Ok(());
    }
    draft.cond(match &before {
        Some(bytes) => Cond::Equals(key.clone(), bytes.clone()),
        None => Cond::Absent(key.clone()),
    });
    if let Some(due) = before.as_deref().and_then(decode) {
        draft.op(Timers::clear(due, OWNER, &key));
    }
    match next(row, core.clock.now()) {
        Some(due) => {
            let due = core.timers.due(due);
            draft.op(Op::Put(key.clone(), encode(due)));
            draft.op(Timers::set(due, OWNER, &key, Bytes::new()));
        }
        None => draft.op(Op::Delete(key)),
    }
    Ok(())
}

fn decode(bytes: &[u8]) -> Option<Timestamp> {
    Some(Timestamp(u64::from_be_bytes(bytes.try_into().ok()?)))
}

/// Fires the rules.
pub(crate) struct Scheduled(pub Arc<Core>);

impl Scheduled {
    async fn fire(&self, timer: &Timer) -> Result<Arrival, StepError> {
        let core = &self.0;
        let damaged = || StepError::Failed("the timer of a rule cannot be read".to_owned());
        let (account, [bus, name]) = tables::names_of(&timer.id).map_err(|_| damaged())?;
        let bus = BusName { account, name: bus };
        let Some(row) = core.kv.get(&timer.id).await?.filter(|row| decode(row) == Some(timer.due)) else {
            // It was set anew in between.
            return Ok(Arrival::default());
        };
        let mut arrival = Arrival::default();
        arrival.conds.push(Cond::Equals(timer.id.clone(), row));
        let rule = core.maps().rule(&bus, &name).map(|ruled| Arc::clone(&ruled.rule));
        let due = rule.as_ref().and_then(|rule| next(&rule.stored.row, core.clock.now()));
        arrival.ops.push(match due {
            Some(due) => Op::Put(timer.id.clone(), encode(due)),
            None => Op::Delete(timer.id.clone()),
        });
        if let Some(due) = due {
            arrival.ops.push(Timers::set(due, OWNER, &timer.id, Bytes::new()));
        }
        if let Some(rule) = rule.filter(|rule| rule.is_enabled()) {
            arrival.conds.push(Cond::Present(tables::rule(account, &bus.name, &name)));
            arrival.ops.push(event(core, &rule, timer.due));
        }
        Ok(arrival)
    }
}

/// The event of a rule that is due (User Guide, "Scheduled events").
fn event(core: &Core, rule: &Rule, due: Timestamp) -> Op {
    let id = uuid(new_uuid(&*core.random));
    let resources = [rule.arn.to_string()];
    let detail = Json::parse("{}");
    let body = detail.map(|detail| New {
        id: &id,
        detail_type: "Scheduled Event",
        source: "aws.events",
        account: rule.bus.account,
        time: due,
        region: core.names.region(),
        resources: &resources,
        detail,
    });
    let body = body.map(|new| new.write()).unwrap_or_default();
    let row = EventRow {
        id,
        length: body.len() as u64,
        body: body.into_bytes(),
        ingested: core.clock.now().0,
        rules: vec![rule.arn.to_string()],
        scheduled: true,
        ..EventRow::default()
    };
    Op::Append { stream: tables::events(rule.bus.account, &rule.bus.name), value: rows::encode(&row) }
}

impl Alarm for Scheduled {
    fn owner(&self) -> &'static str {
        OWNER
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>> {
        Self::fire(self, timer).boxed()
    }
}
