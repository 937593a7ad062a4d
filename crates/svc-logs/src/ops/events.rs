//! Log events: written, and read from one stream.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use millpond_api_logs as api;
use millpond_kernel::{Caller, chunks};
use millpond_meta::key::{prefix_range, successor};
use millpond_meta::{Cond, Key, Op};
use millpond_types::AccountId;

use super::streams::{SEQUENCE_TOKEN, on_stream};
use super::{groups, search};
use crate::errors::{Failure, LogsError};
use crate::inputs::Touch;
use crate::limits::{
    EVENT_OVERHEAD, MAX_AGE_MS, MAX_AHEAD_MS, MAX_ANSWER_BYTES, MAX_BATCH_BYTES, MAX_BATCH_SPAN_MS, MAX_EVENT_BYTES,
    MAX_EVENTS, MAX_INLINE, PAGE,
};
use crate::state::{Core, Group, Stream, decode, stream_of};
use crate::tables::{self, EventRow, Place};

/// An event to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct New<'a> {
    /// Milliseconds.
    pub time: u64,
    pub message: &'a str,
}

/// An event as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub place: Place,
    pub ingested: u64,
    pub message: String,
}

impl Event {
    pub fn bytes(&self) -> usize {
        self.message.len() + EVENT_OVERHEAD
    }
}

/// The conditions and changes that write events into a stream.
pub(crate) fn written(
    core: &Core,
    group: &Group,
    stream: &Stream,
    events: &[New<'_>],
) -> Result<(Vec<Cond>, Vec<Op>), LogsError> {
    let sealed_for = tables::sealed_for(group.id, stream.id);
    let (now, first) = (core.now(), core.orders(events.len()));
    let mut ops = Vec::with_capacity(events.len() + 3);
    let mut bytes = 0_i64;
    for (event, order) in events.iter().zip(first..) {
        let length = u32::try_from(event.message.len()).unwrap_or(u32::MAX);
        let mut row = EventRow { ingested: now, length, ..EventRow::default() };
        let sealed = core.envelope.seal(&sealed_for, event.message.as_bytes());
        let sealed = sealed.map_err(|error| LogsError::Internal(error.to_string()))?;
        if event.message.len() > MAX_INLINE {
            let id = core.random_id();
            row.chunks = id.to_be_bytes().to_vec();
            row.chunked = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
            ops.extend(chunks::put(id, &Bytes::from(sealed)));
        } else {
            row.sealed = sealed;
        }
        let place = core.place(event.time, order);
        ops.push(Op::Put(tables::event(group.id, stream.id, place), tables::encode(&row)));
        bytes += i64::from(length) + EVENT_OVERHEAD as i64;
    }
    ops.push(Op::Add(tables::of_group(tables::BYTES, group.id), bytes));
    ops.push(Op::Add(tables::of_stream(tables::BYTES, group.id, stream.id), bytes));
    let ingested = Bytes::copy_from_slice(&now.to_be_bytes());
    ops.push(Op::Put(tables::of_stream(tables::INGESTED, group.id, stream.id), ingested));
    Ok((conditions(group, stream), ops))
}

/// The group and this very stream are there.
fn conditions(group: &Group, stream: &Stream) -> Vec<Cond> {
    let stream_row = Cond::Equals(tables::stream(group.id, &stream.name), stream.raw.clone());
    vec![stream_row, Cond::Present(tables::of_group(tables::ALIVE, group.id))]
}

pub(crate) async fn put(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::PutLogEventsInput,
) -> Result<api::PutLogEventsOutput, Failure> {
    if input.entity.is_some() {
        return Err(LogsError::Unserved("PutLogEvents entity").into());
    }
    let name = &input.log_stream_name;
    let (pin, group) = on_stream(core, caller, account, input, &input.log_group_name, name).await?;
    let stream = core.stream(&group, name).await?;
    let events = checked(&input.log_events)?;
    let (kept, rejected) = accepted(&events, core.now(), group.expired(core.now()));
    if !kept.is_empty() {
        let (conds, ops) = written(core, &group, &stream, kept)?;
        core.commit(pin, conds, ops).await?;
    }
    Ok(api::PutLogEventsOutput {
        // Sent back or not, it is not looked at, as AWS does since 2023.
        next_sequence_token: Some(SEQUENCE_TOKEN.to_owned()),
        rejected_log_events_info: rejected,
        rejected_entity_info: None,
    })
}

/// The batch's own rules (API reference, PutLogEvents).
fn checked(events: &[api::InputLogEvent]) -> Result<Vec<New<'_>>, LogsError> {
    let mut bytes = 0;
    let mut new: Vec<New<'_>> = Vec::with_capacity(events.len());
    for event in events {
        let size = event.message.len() + EVENT_OVERHEAD;
        if size > MAX_EVENT_BYTES {
            let text = format!("Log event too large: {size} bytes exceeds limit of {MAX_EVENT_BYTES}");
            return Err(LogsError::Invalid(text));
        }
        bytes += size;
        // The model refuses times before 1970.
        let time = u64::try_from(event.timestamp).unwrap_or_default();
        if new.last().is_some_and(|last| last.time > time) {
            let text = "Log events in a single PutLogEvents request must be in chronological order.";
            return Err(LogsError::Invalid(text.to_owned()));
        }
        new.push(New { time, message: &event.message });
    }
    if bytes > MAX_BATCH_BYTES {
        let text = format!("Upload too large: {bytes} bytes exceeds limit of {MAX_BATCH_BYTES}");
        return Err(LogsError::Invalid(text));
    }
    let span = new.last().map_or(0, |last| last.time) - new.first().map_or(0, |first| first.time);
    if span > MAX_BATCH_SPAN_MS {
        let text = "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.";
        return Err(LogsError::Invalid(text.to_owned()));
    }
    Ok(new)
}

/// Those that are neither too old nor too new, and what is told of the others. `expired` is before when retention ends them.
fn accepted<'a, 'b>(
    events: &'a [New<'b>],
    now: u64,
    expired: u64,
) -> (&'a [New<'b>], Option<api::RejectedLogEventsInfo>) {
    let before = |time: u64| events.partition_point(|event| event.time < time);
    let (old, gone) = (before(now.saturating_sub(MAX_AGE_MS)), before(expired));
    let new = before(now.saturating_add(MAX_AHEAD_MS + 1));
    let index = |at: usize| i32::try_from(at).ok();
    let info = api::RejectedLogEventsInfo {
        too_new_log_event_start_index: index(new).filter(|_| new < events.len()),
        too_old_log_event_end_index: index(old).filter(|_| old > 0),
        expired_log_event_end_index: index(gone).filter(|_| gone > 0),
    };
    let rejected = (info != api::RejectedLogEventsInfo::default()).then_some(info);
    (events.get(old.max(gone)..new).unwrap_or_default(), rejected)
}

impl Core {
    /// An event's row with its message.
    pub async fn event(&self, key: &Key, raw: &Bytes) -> Result<Event, LogsError> {
        let row: EventRow = decode(raw)?;
        let opened = |sealed: &[u8]| {
            let (group, stream) = tables::stream_of_event(key)?;
            let plain = self.envelope.open(&tables::sealed_for(group, stream), sealed);
            plain.map_err(|error| LogsError::Internal(error.to_string()))
        };
        let bytes = match row.chunks() {
            Some((id, length)) => {
                let found = chunks::get(&*self.kv, id, length).await?;
                let bytes = found.ok_or_else(|| LogsError::Internal("the chunks of an event are gone".to_owned()))?;
                if row.chunked > 0 { opened(&bytes)? } else { bytes.to_vec() }
            }
            None if row.sealed.is_empty() => row.message.into_bytes(),
            None => opened(&row.sealed)?,
        };
        let message = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Event { place: tables::place(key)?, ingested: row.ingested, message })
    }
}

/// Where a page of GetLogEvents lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    /// `f/...`: from this place on.
    Forward(Place),
    /// `b/...`: before this place.
    Backward(Place),
}

impl Direction {
    fn parse(token: &str) -> Result<Self, LogsError> {
        let wrong = || LogsError::Invalid("The specified nextToken is invalid.".to_owned());
        let (kind, rest) = token.split_once('/').ok_or_else(wrong)?;
        let place = rest.strip_suffix("/s").and_then(Place::parse).ok_or_else(wrong)?;
        match kind {
            "f" => Ok(Self::Forward(place)),
            "b" => Ok(Self::Backward(place)),
            _ => Err(wrong()),
        }
    }

    fn token(self) -> String {
        match self {
            Self::Forward(place) => format!("f/{}/s", place.digits()),
            Self::Backward(place) => format!("b/{}/s", place.digits()),
        }
    }
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetLogEventsInput,
) -> Result<api::GetLogEventsOutput, Failure> {
    let named = (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
    let name = groups::either(core, account, named.0, named.1)?;
    let found = core.find_group(account, &name).await?;
    let stream_name = &input.log_stream_name;
    let suffix = format!(":log-stream:{stream_name}");
    let mut touch = match &found {
        Some(group) => Touch::stream(core, input, group, stream_name),
        None => Touch::new(input, account, core.arn(account, &name, &suffix)),
    };
    if input.unmask == Some(true) {
        // Nothing is masked here; whoever asks needs the right all the same.
        touch = touch.and("logs:Unmask", core.arn(account, &name, &suffix));
    }
    core.authorize(caller, touch).await?;
    let group = found.ok_or(crate::errors::NO_GROUP)?;
    let stream = core.stream(&group, stream_name).await?;
    let window = Window::of(core, &group, input.start_time, input.end_time);
    let given = input.next_token.as_deref().map(Direction::parse).transpose()?;
    let direction = given.unwrap_or(match input.start_from_head {
        Some(true) => Direction::Forward(Place::before(window.from)),
        _ => Direction::Backward(Place::before(window.to)),
    });
    let limit = crate::paging::limit(input.limit, MAX_EVENTS);
    let events = read(core, &group, &stream, window, direction, limit).await?;
    let (backward, forward) = match (events.first(), events.last()) {
        (Some(first), Some(last)) => (first.place, last.place.next()),
        // At an end the token stays the same, and the other one leads back.
        _ => match direction {
            Direction::Forward(place) | Direction::Backward(place) => (place, place),
        },
    };
    let shown = events.into_iter().map(|event| api::OutputLogEvent {
        timestamp: i64::try_from(event.place.time).ok(),
        message: Some(event.message),
        ingestion_time: i64::try_from(event.ingested).ok(),
    });
    Ok(api::GetLogEventsOutput {
        events: Some(shown.collect()),
        next_forward_token: Some(Direction::Forward(forward).token()),
        next_backward_token: Some(Direction::Backward(backward).token()),
    })
}

/// Times in milliseconds: from the first, up to but without the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window {
    pub from: u64,
    pub to: u64,
}

impl Window {
    /// What was asked for, less what retention has ended.
    pub fn of(core: &Core, group: &Group, start: Option<i64>, end: Option<i64>) -> Self {
        let time = |time: i64| u64::try_from(time).unwrap_or_default();
        // The last place of time is nobody's.
        const NEVER: u64 = 9_999_999_999_999_999;
        let from = start.map_or(0, time).max(group.expired(core.now()));
        Self { from: from.min(NEVER), to: end.map_or(NEVER, time).min(NEVER) }
    }
}

/// A page of a stream's events in their order.
async fn read(
    core: &Core,
    group: &Group,
    stream: &Stream,
    window: Window,
    direction: Direction,
    limit: usize,
) -> Result<Vec<Event>, Failure> {
    let key = |place: Place| tables::event(group.id, stream.id, place);
    let (mut from, mut to) = (key(Place::before(window.from)), key(Place::before(window.to)));
    let forward = match direction {
        Direction::Forward(place) => {
            from = from.max(key(place));
            true
        }
        Direction::Backward(place) => {
            to = to.min(key(place));
            false
        }
    };
    let (mut events, mut bytes) = (Vec::new(), 0);
    'pages: while events.len() < limit {
        let count = PAGE.min(limit - events.len());
        let rows = match forward {
            true => core.page(from.clone(), to.clone(), count).await?,
            false => core.page_back(from.clone(), to.clone(), count).await?,
        };
        for (row, raw) in &rows {
            let event = core.event(row, raw).await?;
            bytes += event.bytes();
            if bytes > MAX_ANSWER_BYTES && !events.is_empty() {
                break 'pages;
            }
            events.push(event);
        }
        match rows.last() {
            Some((last, _)) if rows.len() == count && forward => from = successor(last),
            Some((last, _)) if rows.len() == count => to = last.clone(),
            _ => break,
        }
    }
    if !forward {
        events.reverse();
    }
    Ok(events)
}

/// One event by its id, as FilterLogEvents gives it. (In AWS the pointers come from queries of Logs Insights, which are not served here.)
pub(crate) async fn record(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetLogRecordInput,
) -> Result<api::GetLogRecordOutput, Failure> {
    let wrong = || LogsError::Invalid("The specified logRecordPointer is invalid.".to_owned());
    let place = Place::parse(&input.log_record_pointer);
    let found = match place {
        Some(place) => find(core, account, place).await?,
        None => None,
    };
    let mut touch = match &found {
        Some((group, ..)) => Touch::group(core, input, group),
        None => Touch::all(core, input, account),
    };
    if input.unmask == Some(true) {
        touch = touch.and("logs:Unmask", core.arn(account, "", ":log-stream:"));
    }
    core.authorize(caller, touch).await?;
    let (group, stream, event) = found.ok_or_else(wrong)?;
    let mut fields = BTreeMap::from([
        ("@timestamp".to_owned(), event.place.time.to_string()),
        ("@ingestionTime".to_owned(), event.ingested.to_string()),
        ("@logStream".to_owned(), stream),
        ("@log".to_owned(), format!("{account}:{}", group.name)),
        ("@ptr".to_owned(), event.place.digits()),
    ]);
    // Fields that are discovered in JSON, as Logs Insights does.
    if let Ok(serde_json::Value::Object(found)) = serde_json::from_str(&event.message) {
        let text = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        fields.extend(found.into_iter().map(|(name, value)| (name, text(value))));
    }
    fields.insert("@message".to_owned(), event.message);
    Ok(api::GetLogRecordOutput { log_record: Some(fields) })
}

/// The event at a place, which no two events share. One look at each stream of the account.
async fn find(core: &Core, account: AccountId, place: Place) -> Result<Option<(Group, String, Event)>, Failure> {
    for (key, raw) in core.rows(tables::groups(account, "")).await? {
        let group = crate::state::group_of(&key, raw)?;
        if place.time < group.expired(core.now()) {
            continue;
        }
        let (mut from, to) = prefix_range(tables::streams(group.id, ""));
        loop {
            let rows = core.page(from, to.clone(), PAGE).await?;
            let next = rows.last().map(|(key, _)| successor(key)).filter(|_| rows.len() == PAGE);
            for (key, raw) in rows {
                let stream = stream_of(&key, raw)?;
                let row = tables::event(group.id, stream.id, place);
                if let Some(raw) = core.kv.get(&row).await? {
                    let event = core.event(&row, &raw).await?;
                    return Ok(Some((group, stream.name, event)));
                }
            }
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
    }
    Ok(None)
}

pub(crate) use search::filter;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_lead_back() {
        let place = Place { time: 5, order: 6, salt: 7 };
        for direction in [Direction::Forward(place), Direction::Backward(place)] {
            assert_eq!(Direction::parse(&direction.token()), Ok(direction));
        }
        for token in ["", "f/1/s", "x", "c/00000000000000050000000000000000000600000000000000000007/s"] {
            assert!(Direction::parse(token).is_err(), "{token}");
        }
    }

    #[test]
    fn what_is_too_old_or_too_new() {
        let day = 24 * 3_600 * 1_000;
        let now = 100 * day;
        // Times of events; what is expired; kept; too new from, too old up to, expired up to.
        type Row = (Vec<u64>, u64, std::ops::Range<usize>, Option<i32>, Option<i32>, Option<i32>);
        let table: Vec<Row> = vec![
            (vec![now], 0, 0..1, None, None, None),
            (vec![now - 14 * day], 0, 0..1, None, None, None),
            (vec![now - 14 * day - 1, now], 0, 1..2, None, Some(1), None),
            (vec![now + MAX_AHEAD_MS, now + MAX_AHEAD_MS + 1], 0, 0..1, Some(1), None, None),
            (vec![now - 3 * day, now - day], now - 2 * day, 1..2, None, None, Some(1)),
            (vec![now - 15 * day, now - 15 * day], now - day, 2..2, None, Some(2), Some(2)),
        ];
        for (times, expired, kept, new, old, gone) in table {
            let events: Vec<_> = times.iter().map(|time| New { time: *time, message: "m" }).collect();
            let (found, info) = accepted(&events, now, expired);
            assert_eq!(found.len(), kept.len(), "{times:?}");
            let info = info.unwrap_or_default();
            let told = (
                info.too_new_log_event_start_index,
                info.too_old_log_event_end_index,
                info.expired_log_event_end_index,
            );
            assert_eq!(told, (new, old, gone), "{times:?}");
        }
    }
}
