//! FilterLogEvents: the events of many streams in the order of time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use millpond_api_logs as api;
use millpond_kernel::Caller;
use millpond_meta::Key;
use millpond_meta::key::successor;
use millpond_types::AccountId;

use super::events::{Event, Window};
use super::groups;
use crate::errors::{Failure, LogsError, NO_GROUP};
use crate::filter::Pattern;
use crate::inputs::Touch;
use crate::limits::{MAX_ANSWER_BYTES, MAX_EVENTS, MAX_LOOKED_AT, MAX_LOOKED_AT_BYTES};
use crate::state::{Core, Group, Stream, stream_of};
use crate::tables::{self, Place};

/// Rows that are held of all streams together, and of each at least.
const HELD: usize = 4_096;
const HELD_EACH: usize = 4;
const MOST_HELD_EACH: usize = 512;

pub(crate) async fn filter(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::FilterLogEventsInput,
) -> Result<api::FilterLogEventsOutput, Failure> {
    if input.start_from_head == Some(false) {
        return Err(LogsError::Unserved("FilterLogEvents startFromHead=false").into());
    }
    let named = (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
    let name = groups::either(core, account, named.0, named.1)?;
    let found = core.find_group(account, &name).await?;
    let mut touch = match &found {
        Some(group) => Touch::group(core, input, group),
        None => Touch::new(input, account, core.arn(account, &name, ":log-stream:")),
    };
    if input.unmask == Some(true) {
        touch = touch.and("logs:Unmask", core.arn(account, &name, ":log-stream:"));
    }
    core.authorize(caller, touch).await?;
    let pattern = Pattern::parse(input.filter_pattern.as_deref().unwrap_or_default())
        .map_err(|error| LogsError::Invalid(error.to_string()))?;
    let wrong = || LogsError::Invalid("The specified nextToken is invalid.".to_owned());
    let from = match &input.next_token {
        Some(token) => Some(Place::parse(token).ok_or_else(wrong)?),
        None => None,
    };
    let group = found.ok_or(NO_GROUP)?;
    let streams = streams(core, &group, input).await?;
    // The end is the last millisecond that counts.
    let end = input.end_time.map(|end| end.saturating_add(1));
    let window = Window::of(core, &group, input.start_time, end);
    let mut merge = Merge::new(core, &group, streams, window, from).await?;
    let limit = crate::paging::limit(input.limit, MAX_EVENTS);
    let (events, next_token) = merge.collect(&pattern, limit).await?;
    Ok(api::FilterLogEventsOutput {
        events: Some(events),
        // AWS has left it empty since 2019.
        searched_log_streams: Some(Vec::new()),
        next_token,
    })
}

/// The streams that were asked for.
async fn streams(core: &Core, group: &Group, input: &api::FilterLogEventsInput) -> Result<Vec<Stream>, Failure> {
    if let Some(names) = &input.log_stream_names {
        if input.log_stream_name_prefix.is_some() {
            let text = "logStreamNames and logStreamNamePrefix are mutually exclusive parameters.";
            return Err(LogsError::Invalid(text.to_owned()).into());
        }
        let mut found = Vec::with_capacity(names.len());
        for name in names.iter().collect::<std::collections::BTreeSet<_>>() {
            found.push(core.stream(group, name).await?);
        }
        return Ok(found);
    }
    let prefix = input.log_stream_name_prefix.as_deref().unwrap_or_default();
    let rows = core.rows(tables::streams(group.id, prefix)).await?;
    Ok(rows.into_iter().map(|(key, raw)| stream_of(&key, raw)).collect::<Result<_, _>>()?)
}

/// A stream being read.
struct Source {
    stream: Stream,
    from: Key,
    to: Key,
    held: VecDeque<(Place, Key, bytes::Bytes)>,
    ended: bool,
}

/// Many streams, read in the order of their events.
pub(crate) struct Merge<'a> {
    core: &'a Core,
    sources: Vec<Source>,
    heap: BinaryHeap<Reverse<(Place, usize)>>,
    each: usize,
}

impl<'a> Merge<'a> {
    pub(crate) async fn new(
        core: &'a Core,
        group: &Group,
        streams: Vec<Stream>,
        window: Window,
        from: Option<Place>,
    ) -> Result<Self, Failure> {
        let each = (HELD / streams.len().max(1)).clamp(HELD_EACH, MOST_HELD_EACH);
        let begin = from.unwrap_or_default().max(Place::before(window.from));
        let source = |stream: Stream| {
            let from = tables::event(group.id, stream.id, begin);
            let to = tables::event(group.id, stream.id, Place::before(window.to));
            Source { stream, from, to, held: VecDeque::new(), ended: false }
        };
        let sources = streams.into_iter().map(source).collect();
        let mut merge = Self { core, sources, heap: BinaryHeap::new(), each };
        for number in 0..merge.sources.len() {
            merge.refill(number).await?;
        }
        Ok(merge)
    }

    /// Sees to it that a stream's next event stands in the heap.
    async fn refill(&mut self, number: usize) -> Result<(), Failure> {
        let Some(source) = self.sources.get_mut(number) else { return Ok(()) };
        if source.held.is_empty() && !source.ended {
            let rows = self.core.page(source.from.clone(), source.to.clone(), self.each).await?;
            source.ended = rows.len() < self.each;
            for (key, raw) in rows {
                source.from = successor(&key);
                source.held.push_back((tables::place(&key)?, key, raw));
            }
        }
        if let Some((place, ..)) = source.held.front() {
            self.heap.push(Reverse((*place, number)));
        }
        Ok(())
    }

    /// The next event of all, and the name of its stream.
    async fn next(&mut self) -> Result<Option<(String, Event)>, Failure> {
        let Some(Reverse((_, number))) = self.heap.pop() else { return Ok(None) };
        let Some(source) = self.sources.get_mut(number) else { return Ok(None) };
        let Some((_, key, raw)) = source.held.pop_front() else { return Ok(None) };
        let name = source.stream.name.clone();
        let event = self.core.event(&key, &raw).await?;
        self.refill(number).await?;
        Ok(Some((name, event)))
    }

    /// The place of the next event.
    fn place(&self) -> Option<Place> {
        self.heap.peek().map(|Reverse((place, _))| *place)
    }

    /// Events that fit, and where to go on if there are more.
    pub(crate) async fn collect(
        &mut self,
        pattern: &Pattern,
        limit: usize,
    ) -> Result<(Vec<api::FilteredLogEvent>, Option<String>), Failure> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        let (mut looked_at, mut looked_at_bytes) = (0, 0);
        while let Some(place) = self.place() {
            if events.len() == limit || looked_at == MAX_LOOKED_AT || looked_at_bytes > MAX_LOOKED_AT_BYTES {
                return Ok((events, Some(place.digits())));
            }
            let Some((stream, event)) = self.next().await? else { break };
            (looked_at, looked_at_bytes) = (looked_at + 1, looked_at_bytes + event.bytes());
            if !pattern.matches(&event.message) {
                continue;
            }
            bytes += event.bytes();
            if bytes > MAX_ANSWER_BYTES && !events.is_empty() {
                return Ok((events, Some(event.place.digits())));
            }
            events.push(api::FilteredLogEvent {
                log_stream_name: Some(stream),
                timestamp: i64::try_from(event.place.time).ok(),
                ingestion_time: i64::try_from(event.ingested).ok(),
                event_id: Some(event.place.digits()),
                message: Some(event.message),
            });
        }
        Ok((events, None))
    }
}
