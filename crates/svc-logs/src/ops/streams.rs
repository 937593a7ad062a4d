//! Log streams.

use std::sync::Arc;

use millpond_api_logs as api;
use millpond_kernel::{Caller, Pin};
use millpond_meta::key::{prefix_range, successor};
use millpond_meta::{Cond, Op};
use millpond_types::AccountId;

use super::groups;
use crate::errors::{Failure, LogsError, NO_GROUP};
use crate::inputs::{Input, Touch};
use crate::limits::{MAX_LISTED, PAGE};
use crate::paging;
use crate::state::{Core, Group, Stream, stream_of};
use crate::tables::{self, StreamRow};

/// What every PutLogEvents answers, though nobody needs to send it back any more: what older clients keep must not be empty.
pub(crate) const SEQUENCE_TOKEN: &str = "49599396607703531511419593985621160512859251095480828066";

/// A group that is there and one of its streams, which may be touched.
pub(crate) async fn on_stream<I: Input>(
    core: &Core,
    caller: &Caller,
    account: AccountId,
    input: &I,
    group: &str,
    stream: &str,
) -> Result<(Pin, Group), Failure> {
    let found = core.find_group(account, group).await?;
    let touch = match &found {
        Some(group) => Touch::stream(core, input, group, stream),
        None => Touch::new(input, account, core.arn(account, group, &format!(":log-stream:{stream}"))),
    };
    let authorized = core.authorize(caller, touch).await?;
    Ok((authorized.pin(), found.ok_or(NO_GROUP)?))
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::CreateLogStreamInput,
) -> Result<api::CreateLogStreamOutput, Failure> {
    let name = &input.log_stream_name;
    let (pin, group) = on_stream(core, caller, account, input, &input.log_group_name, name).await?;
    if core.find_stream(&group, name).await?.is_some() {
        return Err(LogsError::Exists("The specified log stream already exists").into());
    }
    make(core, pin, &group, name).await?;
    Ok(api::CreateLogStreamOutput {})
}

/// Makes a stream that is not there.
pub(crate) async fn make(core: &Core, pin: Pin, group: &Group, name: &str) -> Result<(), Failure> {
    let key = tables::stream(group.id, name);
    let row = StreamRow { id: core.random.u64(), created: core.now() };
    let conds = vec![Cond::Absent(key.clone()), Cond::Present(tables::of_group(tables::ALIVE, group.id))];
    core.commit(pin, conds, vec![Op::Put(key, tables::encode(&row))]).await
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeleteLogStreamInput,
) -> Result<api::DeleteLogStreamOutput, Failure> {
    let name = &input.log_stream_name;
    let (pin, group) = on_stream(core, caller, account, input, &input.log_group_name, name).await?;
    let stream = core.stream(&group, name).await?;
    let key = tables::stream(group.id, name);
    let ops = vec![
        Op::Delete(key.clone()),
        Op::Put(tables::of_stream(tables::REMOVALS, group.id, stream.id), bytes::Bytes::new()),
    ];
    core.commit_urgent(pin, vec![Cond::Equals(key, stream.raw)], ops).await?;
    core.removal.notify_one();
    Ok(api::DeleteLogStreamOutput {})
}

pub(crate) async fn describe(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DescribeLogStreamsInput,
) -> Result<api::DescribeLogStreamsOutput, Failure> {
    let named = (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
    let name = groups::either(core, account, named.0, named.1)?;
    let (_, group) = groups::on_group(core, caller, account, input, &name).await?;
    let by_time = input.order_by == Some(api::OrderBy::LastEventTime);
    if by_time && input.log_stream_name_prefix.is_some() {
        let text = "Cannot order by LastEventTime with a logStreamNamePrefix.";
        return Err(LogsError::Invalid(text.to_owned()).into());
    }
    let limit = paging::limit(input.limit, MAX_LISTED);
    let after = paging::after(input.next_token.as_deref())?;
    let descending = input.descending == Some(true);
    let (streams, next_token) = if by_time {
        by_last_event(core, &group, after, descending, limit).await?
    } else {
        let prefix = input.log_stream_name_prefix.as_deref().unwrap_or_default();
        by_name(core, &group, prefix, after, descending, limit).await?
    };
    let mut shown = Vec::with_capacity(streams.len());
    for stream in streams {
        shown.push(show(core, &group, stream).await?);
    }
    Ok(api::DescribeLogStreamsOutput { log_streams: Some(shown), next_token })
}

async fn by_name(
    core: &Core,
    group: &Group,
    prefix: &str,
    after: Option<String>,
    descending: bool,
    limit: usize,
) -> Result<(Vec<Stream>, Option<String>), Failure> {
    let (mut from, mut to) = prefix_range(tables::streams(group.id, prefix));
    if let Some(after) = after {
        let key = tables::stream(group.id, &after);
        if descending { to = to.min(key) } else { from = from.max(successor(&key)) }
    }
    let rows = match descending {
        true => core.page_back(from, to, limit + 1).await?,
        false => core.page(from, to, limit + 1).await?,
    };
    let mut streams: Vec<_> = rows.into_iter().map(|(key, raw)| stream_of(&key, raw)).collect::<Result<_, _>>()?;
    let more = streams.len() > limit;
    streams.truncate(limit);
    let token = streams.last().filter(|_| more).map(|stream| paging::token(&stream.name));
    Ok((streams, token))
}

/// Streams in the order of their newest events, those without any first. All are looked at for each page, as events change the order without
/// writing it anywhere; what is kept of them is a page.
async fn by_last_event(
    core: &Core,
    group: &Group,
    after: Option<String>,
    descending: bool,
    limit: usize,
) -> Result<(Vec<Stream>, Option<String>), Failure> {
    let place = |token: String| -> Option<(u64, String)> {
        let (time, name) = token.split_once(' ')?;
        Some((time.parse().ok()?, name.to_owned()))
    };
    let after = match after {
        Some(token) => {
            let wrong = || LogsError::Invalid("The specified nextToken is invalid.".to_owned());
            Some(place(token).ok_or_else(wrong)?)
        }
        None => None,
    };
    let mut page = std::collections::BTreeMap::new();
    let (mut from, to) = prefix_range(tables::streams(group.id, ""));
    loop {
        let rows = core.page(from, to.clone(), PAGE).await?;
        let next = rows.last().map(|(key, _)| successor(key)).filter(|_| rows.len() == PAGE);
        for (key, raw) in rows {
            let stream = stream_of(&key, raw)?;
            let last = edge(core, group, &stream, true).await?.unwrap_or_default();
            let at = (last, stream.name.clone());
            let behind = after.as_ref().is_none_or(|after| if descending { at < *after } else { at > *after });
            if behind {
                page.insert(at, stream);
            }
            if page.len() > limit + 1 {
                let _ = if descending { page.pop_first() } else { page.pop_last() };
            }
        }
        match next {
            Some(next) => from = next,
            None => break,
        }
    }
    let mut ordered: Vec<_> = page.into_iter().collect();
    if descending {
        ordered.reverse();
    }
    let more = ordered.len() > limit;
    ordered.truncate(limit);
    let last = ordered.last().filter(|_| more);
    let token = last.map(|((time, name), _)| paging::token(format!("{time} {name}")));
    Ok((ordered.into_iter().map(|(_, stream)| stream).collect(), token))
}

/// The time of a stream's newest or oldest event that retention leaves.
async fn edge(core: &Core, group: &Group, stream: &Stream, newest: bool) -> Result<Option<u64>, Failure> {
    let (from, to) = prefix_range(tables::events(group.id, stream.id));
    let kept = tables::event(group.id, stream.id, tables::Place::before(group.expired(core.now())));
    let from = from.max(kept);
    let rows = if newest { core.page_back(from, to, 1).await? } else { core.page(from, to, 1).await? };
    Ok(rows.first().map(|(key, _)| tables::place(key)).transpose()?.map(|place| place.time))
}

async fn show(core: &Core, group: &Group, stream: Stream) -> Result<api::LogStream, Failure> {
    let millis = |time: Option<u64>| time.and_then(|time| i64::try_from(time).ok());
    let stored = core.kv.get(&tables::of_stream(tables::BYTES, group.id, stream.id)).await?;
    let ingested = core.kv.get(&tables::of_stream(tables::INGESTED, group.id, stream.id)).await?;
    let ingested = ingested.and_then(|row| <[u8; 8]>::try_from(row.as_ref()).ok()).map(u64::from_be_bytes);
    let suffix = format!(":log-stream:{}", stream.name);
    Ok(api::LogStream {
        creation_time: millis(Some(stream.created)),
        first_event_timestamp: millis(edge(core, group, &stream, false).await?),
        last_event_timestamp: millis(edge(core, group, &stream, true).await?),
        last_ingestion_time: millis(ingested),
        upload_sequence_token: Some(SEQUENCE_TOKEN.to_owned()),
        arn: Some(core.arn(group.account, &group.name, &suffix).to_string()),
        stored_bytes: Some(groups::counter(stored.as_ref())),
        log_stream_name: Some(stream.name),
    })
}
