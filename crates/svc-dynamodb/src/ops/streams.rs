//! The operations of DynamoDB Streams.

use millpond_api_dynamodbstreams as api;
use millpond_api_dynamodbstreams::{ShardFilterType, ShardIteratorType, StreamStatus};
use millpond_kernel::{Caller, Resource};
use millpond_types::{AccountId, Arn, Timestamp};
use millpond_wire::ResponseParts;

use crate::errors::{DynamoError, Failure};
use crate::inputs::{Input, Touch};
use crate::names::{self, Named};
use crate::state::Core;
use crate::stream::known::Stream;
use crate::stream::place::{self, Place};
use crate::stream::shown::{self, For};
use crate::stream::{MAX_PAGE, MAX_RECORDS, SHARDS, read};

/// A limit of a page.
fn limit(given: Option<i32>, most: usize) -> Result<usize, DynamoError> {
    let limit = given.and_then(|given| usize::try_from(given).ok()).unwrap_or(most);
    if limit > most {
        return Err(DynamoError::Validation(format!(
            "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must have value less than or equal to {most}"
        )));
    }
    Ok(limit)
}

fn no_stream(arn: &str) -> DynamoError {
    DynamoError::NotFound(format!("Requested resource not found: Stream: {arn} not found"))
}

/// Decides about the stream of an ARN, and gives it. That there is none is told to those who might have read it.
pub(crate) async fn allowed<I: Input>(core: &Core, caller: &Caller, arn: &str) -> Result<Stream, DynamoError> {
    let pin = core.kernel.epoch().now();
    let (account, stream) = find(core, arn).await?;
    let resource = match &stream {
        Some(stream) => stream.resource(),
        None => Resource::new(Arn::parse(arn).ok_or_else(|| invalid(arn))?, account),
    };
    core.decide::<I>(pin, caller, vec![Touch::resource(I::ACTION, resource)], Vec::new()).await?;
    stream.ok_or_else(|| no_stream(arn))
}

fn invalid(arn: &str) -> DynamoError {
    DynamoError::Validation(format!("Invalid StreamArn: {arn}"))
}

/// The stream of an ARN, and the account that it would be of.
pub(crate) async fn find(core: &Core, arn: &str) -> Result<(AccountId, Option<Stream>), DynamoError> {
    let Some(Named::Stream(account, table, label)) = names::of_arn(arn, core.kernel.region()) else {
        return Err(invalid(arn));
    };
    Ok((account, core.stream(account, table, label).await?))
}

/// ListStreams.
pub(crate) async fn list(
    core: &Core,
    caller: &Caller,
    input: &api::ListStreamsInput,
) -> Result<ResponseParts, Failure> {
    let most = limit(input.limit, MAX_PAGE)?;
    let pin = core.kernel.epoch().now();
    let own = caller.account();
    let (account, table) = match input.table_name.as_deref() {
        Some(text) => names::table(text, core.kernel.region(), own).map(|(account, name)| (account, Some(name)))?,
        None => (own.ok_or_else(|| DynamoError::Denied("Only accounts have streams.".to_owned()))?, None),
    };
    let resource = format!("table/{}/stream/*", table.unwrap_or("*"));
    let arn = Arn::new("dynamodb", core.kernel.region().as_str(), account.as_str(), &resource);
    let touch = Touch::resource(api::ListStreamsInput::ACTION, Resource::new(arn, account));
    core.decide::<api::ListStreamsInput>(pin, caller, vec![touch], Vec::new()).await?;
    let after = match input.exclusive_start_stream_arn.as_deref() {
        Some(arn) => match names::of_arn(arn, core.kernel.region()) {
            Some(Named::Stream(_, table, label)) => Some((table, label)),
            _ => return Err(invalid(arn).into()),
        },
        None => None,
    };
    let now = core.millis();
    let mut found = core.streams_of(account, table, after, most + 1).await?;
    let more = found.len() > most;
    found.truncate(most);
    let last = found.last().filter(|_| more).map(|stream| stream.arn.to_string());
    let shown = |stream: &&Stream| api::Stream {
        stream_arn: Some(stream.arn.to_string()),
        table_name: Some(stream.table_name.clone()),
        stream_label: Some(stream.label.clone()),
    };
    let streams = found.iter().filter(|stream| !stream.is_over(now)).map(|stream| shown(&stream)).collect();
    Ok(api::ListStreamsOutput { streams: Some(streams), last_evaluated_stream_arn: last }.write())
}

/// DescribeStream.
pub(crate) async fn describe(
    core: &Core,
    caller: &Caller,
    input: &api::DescribeStreamInput,
) -> Result<ResponseParts, Failure> {
    let most = limit(input.limit, MAX_PAGE)?;
    let stream = allowed::<api::DescribeStreamInput>(core, caller, &input.stream_arn).await?;
    let mut shards: Vec<u8> = (0..SHARDS).collect();
    if let Some(filter) = &input.shard_filter {
        let (Some(ShardFilterType::ChildShards), Some(parent)) = (&filter.type_, &filter.shard_id) else {
            let text = "ShardFilter needs a Type and a ShardId";
            return Err(DynamoError::Validation(text.to_owned()).into());
        };
        place::shard(&stream, parent).ok_or_else(|| no_shard(parent))?;
        // Shards are not split: none has children.
        shards.clear();
    }
    let mut shards: Vec<(String, u8)> =
        shards.into_iter().map(|shard| (place::shard_id(&stream, shard), shard)).collect();
    shards.sort_unstable();
    if let Some(after) = &input.exclusive_start_shard_id {
        shards.retain(|(id, _)| id > after);
    }
    let more = shards.len() > most;
    shards.truncate(most);
    let last = shards.last().filter(|_| more).map(|(id, _)| id.clone());
    let mut shown = Vec::with_capacity(shards.len());
    for (id, shard) in shards {
        let end = match stream.ended {
            None => None,
            Some(_) => Some(read::last(core, &stream, shard).await?),
        };
        let range = api::SequenceNumberRange {
            starting_sequence_number: Some(place::sequence(read::first(&stream))),
            ending_sequence_number: end.map(place::sequence),
        };
        shown.push(api::Shard { shard_id: Some(id), sequence_number_range: Some(range), parent_shard_id: None });
    }
    let description =
        api::StreamDescription { shards: Some(shown), last_evaluated_shard_id: last, ..description(&stream) };
    Ok(api::DescribeStreamOutput { stream_description: Some(description) }.write())
}

/// What a stream is, without its shards.
fn description(stream: &Stream) -> api::StreamDescription {
    let status = if stream.ended.is_none() { StreamStatus::Enabled } else { StreamStatus::Disabled };
    let roles = [api::KeyType::Hash, api::KeyType::Range];
    let keys = stream.row.keys.iter().zip(roles);
    let key = |(key, role): (&String, _)| api::KeySchemaElement { attribute_name: key.clone(), key_type: role };
    api::StreamDescription {
        stream_arn: Some(stream.arn.to_string()),
        stream_label: Some(stream.label.clone()),
        stream_status: Some(status),
        stream_view_type: api::StreamViewType::parse(stream.view().name()),
        creation_request_date_time: Some(Timestamp(stream.row.created.saturating_mul(1_000_000))),
        table_name: Some(stream.table_name.clone()),
        key_schema: Some(keys.map(key).collect()),
        ..api::StreamDescription::default()
    }
}

fn no_shard(id: &str) -> DynamoError {
    DynamoError::NotFound(format!("Requested resource not found: Shard: {id} not found"))
}

/// GetShardIterator.
pub(crate) async fn shard_iterator(
    core: &Core,
    caller: &Caller,
    input: &api::GetShardIteratorInput,
) -> Result<ResponseParts, Failure> {
    let stream = allowed::<api::GetShardIteratorInput>(core, caller, &input.stream_arn).await?;
    let shard = place::shard(&stream, &input.shard_id).ok_or_else(|| no_shard(&input.shard_id))?;
    let kind = &input.shard_iterator_type;
    let by_number = matches!(kind, ShardIteratorType::AtSequenceNumber | ShardIteratorType::AfterSequenceNumber);
    let position = match (&input.sequence_number, by_number) {
        (Some(text), true) => {
            let text = || DynamoError::Validation(format!("Invalid SequenceNumber: {text}"));
            Some(place::position(input.sequence_number.as_deref().unwrap_or_default()).ok_or_else(text)?)
        }
        (None, false) => None,
        (None, true) => {
            let text = "SequenceNumber is required for iterators of type AT_SEQUENCE_NUMBER and AFTER_SEQUENCE_NUMBER";
            return Err(DynamoError::Validation(text.to_owned()).into());
        }
        (Some(_), false) => {
            let text = "SequenceNumber is for iterators of type AT_SEQUENCE_NUMBER and AFTER_SEQUENCE_NUMBER alone";
            return Err(DynamoError::Validation(text.to_owned()).into());
        }
    };
    if input.timestamp.is_some() != matches!(kind, ShardIteratorType::AtTimestamp) {
        let text = "Timestamp goes with iterators of type AT_TIMESTAMP, and with no others";
        return Err(DynamoError::Validation(text.to_owned()).into());
    }
    let place = match (kind, position) {
        (ShardIteratorType::Latest, _) => read::latest(core),
        (ShardIteratorType::AtTimestamp, _) => {
            let from_time = input.timestamp.unwrap_or_default().millis();
            Place { from_time, ..Place::OLDEST }
        }
        (ShardIteratorType::AtSequenceNumber, Some(position)) => {
            read::check_kept(core, &stream, shard, position).await?;
            read::at(position)
        }
        (ShardIteratorType::AfterSequenceNumber, Some(position)) => {
            read::check_kept(core, &stream, shard, position).await?;
            Place::after(position)
        }
        _ => Place::OLDEST,
    };
    let iterator = place::iterator(core, &stream, shard, place)?;
    Ok(api::GetShardIteratorOutput { shard_iterator: Some(iterator) }.write())
}

/// GetRecords. Its answer is written without going through types: records are most of it, and are read in the same encoding.
pub(crate) async fn records(
    core: &Core,
    caller: &Caller,
    input: &api::GetRecordsInput,
) -> Result<ResponseParts, Failure> {
    let most = limit(input.limit, MAX_RECORDS)?;
    let given = place::given(&input.shard_iterator)?;
    let stream = allowed::<api::GetRecordsInput>(core, caller, given.arn).await?;
    let (shard, from) = place::opened(core, &given)?;
    let page = read::page(core, &stream, shard, from, most).await?;
    let mut out = String::from("{\"Records\":[");
    for (number, record) in page.records.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        shown::write(&mut out, &stream, record, For::Client);
    }
    out.push(']');
    if let Some(next) = page.next {
        // Of characters that need no escapes.
        out.extend([",\"NextShardIterator\":\"", &place::iterator(core, &stream, shard, next)?, "\""]);
    }
    out.push('}');
    let mut parts = api::GetRecordsOutput::default().write();
    parts.body = out.into();
    Ok(parts)
}
