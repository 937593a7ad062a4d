//! What `millpond trace` is told of an event: which rules it matched or why not, and what became of each delivery.

use std::ops::Bound;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::trace::{Asked, Kept, Line, Outcome, Traced, caused_by, is_caused, kept};
use millpond_meta::{Position, ReadError, Scan};
use millpond_pattern::Event;
use millpond_types::{Arn, Timestamp};
use prost::Message;

use crate::consumer::{Effect, body, delivery_id};
use crate::event::envelope::iso8601;
use crate::event::json::Json;
use crate::model::Target;
use crate::names::BusName;
use crate::ops::targets::{Kind, kind};
use crate::rows::EventRow;
use crate::state::Core;
use crate::tables;

/// Events of a bus that are looked through, the newest first.
const MAX_LOOKED_AT: usize = 50_000;
/// Rules that do not match and are explained.
const MAX_EXPLAINED: usize = 100;
/// Events that are told of that somebody put, the newest ones.
const MAX_CAUSED: usize = 20;
const PAGE: usize = 500;

/// The service as it is asked.
pub(crate) struct Tracing(pub Arc<Core>);

fn line(depth: usize, text: String) -> Line {
    Line::new(depth, text)
}

impl Tracing {
    async fn of_event(&self, id: &str) -> Result<Vec<Line>, ReadError> {
        let core = &self.0;
        let buses: Vec<BusName> = core.maps().all_buses().map(|held| held.bus.name.clone()).collect();
        let attempts = kept(&*core.kv, id).await?;
        let mut lines = Vec::new();
        for bus in buses {
            for (position, row) in self.find(&bus, Timestamp::default(), |row| row.id == id).await? {
                lines.extend(self.on_bus(&bus, position, &row, &attempts).await?);
            }
        }
        Ok(lines)
    }

    /// The events that somebody put, by their ids: on another bus an event has the same.
    async fn of_cause(&self, cause: &str, since: Timestamp) -> Result<Vec<Line>, ReadError> {
        let buses: Vec<BusName> = self.0.maps().all_buses().map(|held| held.bus.name.clone()).collect();
        let mut ids = std::collections::BTreeSet::new();
        for bus in buses {
            for (_, row) in self.find(&bus, since, |row| is_caused(&row.causes, cause)).await? {
                ids.insert((row.ingested, row.id));
            }
        }
        let older = ids.len().saturating_sub(MAX_CAUSED);
        Ok(ids.into_iter().skip(older).map(|(_, id)| Line::only(0, Asked::Event(id))).collect())
    }

    /// The events of a bus that are wanted, none of before `since`.
    async fn find(
        &self,
        bus: &BusName,
        since: Timestamp,
        wanted: impl Fn(&EventRow) -> bool,
    ) -> Result<Vec<(Position, EventRow)>, ReadError> {
        let stream = tables::events(bus.account, &bus.name);
        let from = Bound::Included(stream.clone());
        let mut to = Bound::Excluded(millpond_meta::key::prefix_end(&stream));
        let mut found = Vec::new();
        for _ in 0..MAX_LOOKED_AT / PAGE {
            let scan = Scan { from: from.clone(), to: to.clone(), reverse: true, limit: PAGE };
            let page = self.0.kv.scan(scan).await?;
            let mut old = true;
            for (key, value) in &page {
                let row = EventRow::decode(value.clone()).ok();
                old &= row.as_ref().is_none_or(|row| row.ingested < since.0);
                let row = row.filter(&wanted);
                found.extend(Position::from_key(key).filter(|_| key.len() == stream.len() + 10).zip(row));
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE && !(old && since.0 > 0) => to = Bound::Excluded(last.clone()),
                _ => break,
            }
        }
        Ok(found)
    }

    async fn on_bus(
        &self,
        bus: &BusName,
        position: Position,
        row: &EventRow,
        attempts: &[Kept],
    ) -> Result<Vec<Line>, ReadError> {
        let core = &self.0;
        let stream = tables::events(bus.account, &bus.name);
        let mut lines = Vec::new();
        let kind = match (row.replayed, row.scheduled, row.forwarded) {
            (true, _, _) => ", by a replay",
            (_, true, _) => ", by a schedule",
            (_, _, true) => ", from another event bus",
            _ => "",
        };
        let done = core.consumers.floor(&stream).is_some_and(|floor| floor >= position);
        let state = if done { "matched" } else { "waits to be matched" };
        lines.push(line(
            0,
            format!(
                "event {} came to {} at {}{kind}: {state}",
                row.id,
                core.names.bus(bus),
                iso8601(Timestamp(row.ingested))
            ),
        ));
        lines.extend(caused_by(&row.causes).map(|words| line(1, words)));
        let failed = |error: &dyn std::fmt::Display| ReadError::Failed(error.to_string());
        let text = body(core, row).await.map_err(|error| failed(&error))?;
        let parsed = text.as_deref().and_then(|text| Some((Json::parse(text)?, Event::parse(text.as_bytes()).ok()?)));
        let Some((json, event)) = parsed else {
            lines.push(line(1, "the event cannot be read".to_owned()));
            return Ok(lines);
        };
        let effects = core.effects(bus, row, (json, &event)).await;
        let mut matched = std::collections::BTreeSet::new();
        for effect in &effects {
            match effect {
                Effect::Archive(archive) => lines.push(line(1, format!("archive {}: kept", archive.name))),
                Effect::Deliver(rule, target) => {
                    if matched.insert(rule.name.clone()) {
                        lines.push(line(1, format!("rule {}: matched", rule.name)));
                    }
                    let id = delivery_id(&stream, position, &[rule.arn.as_str(), &target.id]);
                    let own: Vec<_> = attempts.iter().filter(|kept| kept.id == id).collect();
                    lines.extend(self.delivery(target, id, done, &own));
                }
            }
        }
        lines.extend(self.others(bus, row, &event, &matched));
        Ok(lines)
    }

    /// What became of one delivery.
    fn delivery(&self, target: &Target, id: u128, done: bool, own: &[&Kept]) -> Vec<Line> {
        let message = |to: &Arn, id| self.0.kernel.targets().message_id(to, id).map(Asked::Message);
        let outside = kind(&target.arn) == Kind::Http;
        let (state, then) = match own.last().map(|kept| kept.outcome) {
            _ if !done => ("waits", None),
            // As `Core::dead_letter` names it.
            Some(Outcome::DeadLettered) => {
                let queue = target.row.dead_letters.as_deref().and_then(Arn::parse);
                ("sent to the dead-letter queue", queue.and_then(|queue| message(&queue, !id)))
            }
            Some(Outcome::Dropped) => ("given up", None),
            Some(Outcome::Again { .. }) => ("waits for another attempt", None),
            None if outside => ("waits for its first attempt", None),
            Some(Outcome::Delivered) | None => ("delivered", message(&target.arn, id)),
        };
        let mut first = line(2, format!("target {} ({}), delivery {id:032x}: {state}", target.id, target.arn));
        first.then.extend(then);
        let attempts = own.iter().map(|kept| line(3, kept.words()));
        std::iter::once(first).chain(attempts).collect()
    }

    /// Why the other rules did not fire.
    fn others(
        &self,
        bus: &BusName,
        row: &EventRow,
        event: &Event,
        matched: &std::collections::BTreeSet<String>,
    ) -> Vec<Line> {
        let maps = self.0.maps();
        let Some(held) = maps.held(bus) else { return Vec::new() };
        let others = held.rules.iter().filter(|(name, _)| !matched.contains(*name));
        let mut lines = Vec::new();
        for (name, ruled) in others.take(MAX_EXPLAINED) {
            let rule = &ruled.rule;
            let why = match &rule.pattern {
                _ if !rule.is_enabled() => "is disabled".to_owned(),
                None => "has a schedule and no pattern".to_owned(),
                Some(_) if !row.rules.is_empty() && !row.rules.iter().any(|arn| arn == rule.arn.as_str()) => {
                    "is none of the rules that the event is for".to_owned()
                }
                Some(pattern) if pattern.matches(event) => {
                    "matches, but it has no targets, or is not for reads of management".to_owned()
                }
                Some(pattern) => format!("did not match: {}", pattern.explain(event)),
            };
            lines.push(line(1, format!("rule {name}: {why}")));
        }
        let left = held.rules.len().saturating_sub(matched.len() + MAX_EXPLAINED);
        if left > 0 {
            lines.push(line(1, format!("and {left} more rules that did not match")));
        }
        lines
    }
}

impl Traced for Tracing {
    fn trace<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Vec<Line>, ReadError>> {
        async move {
            match asked {
                Asked::Event(id) => self.of_event(id).await,
                Asked::Caused { cause, since } => self.of_cause(cause, *since).await,
                Asked::Object { .. } | Asked::Message(_) | Asked::Resource(_) => Ok(Vec::new()),
            }
        }
        .boxed()
    }
}
