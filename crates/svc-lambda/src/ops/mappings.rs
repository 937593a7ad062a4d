//! Event source mappings: made, looked at, changed, deleted.

use std::sync::Arc;

use millpond_api_lambda as api;
use millpond_kernel::{Authorized, Caller, ContextValue, Pin, Rejection, Resource};
use millpond_meta::{Batch, Cond, Op};
use millpond_types::{AccountId, Arn, Timestamp};

use crate::errors::{Failure, LambdaError, conflict, not_found, parameter, unserved};
use crate::inputs::Input;
use crate::mappings::rows::{self, MappingRow};
use crate::mappings::settings::{self, Given};
use crate::mappings::{Acting, Kind, Mapping, parse_id};
use crate::names::{FunctionName, function_arn, uuid};
use crate::paging;
use crate::resolved::Resolved;
use crate::state::Core;
use crate::unserved_of_mappings;

/// Mappings of an account: they are in memory, each with a task.
const MAX_MAPPINGS: usize = 1_000;

fn arn(core: &Core, account: AccountId, id: &str) -> Arn {
    Arn::new("lambda", core.kernel.region().as_str(), account.as_str(), &format!("event-source-mapping:{id}"))
}

fn shown(core: &Core, mapping: &Mapping) -> Result<api::EventSourceMappingConfiguration, LambdaError> {
    let (row, stream) = (&mapping.row, mapping.kind == Kind::Stream);
    let number = |number: u32| i32::try_from(number).ok();
    let name = mapping.name(core)?;
    let filters = row.filters.iter().map(|text| api::Filter { pattern: Some(text.clone()) }).collect::<Vec<_>>();
    let types = row.partial.then(|| vec![api::FunctionResponseType::ReportBatchItemFailures]);
    let id = uuid(mapping.id);
    let on_failure = Some(api::OnFailure { destination: row.on_failure.clone() });
    Ok(api::EventSourceMappingConfiguration {
        event_source_mapping_arn: Some(arn(core, mapping.account, &id).to_string()),
        uuid: Some(id),
        starting_position: match row.start {
            1 => Some(api::EventSourcePosition::TrimHorizon),
            2 => Some(api::EventSourcePosition::Latest),
            _ => None,
        },
        batch_size: number(row.batch),
        maximum_batching_window_in_seconds: number(row.window),
        parallelization_factor: stream.then_some(1),
        event_source_arn: Some(row.source.clone()),
        filter_criteria: (!filters.is_empty()).then_some(api::FilterCriteria { filters: Some(filters) }),
        scaling_config: row.concurrency.map(|most| api::ScalingConfig { maximum_concurrency: number(most) }),
        function_arn: Some(name.arn(core.kernel.region()).to_string()),
        last_modified: Some(Timestamp(row.modified)),
        last_processing_result: stream.then(|| mapping.result()),
        state: Some(mapping.state().to_owned()),
        state_transition_reason: Some(if stream { "User action" } else { "USER_INITIATED" }.to_owned()),
        destination_config: stream.then_some(api::DestinationConfig { on_success: None, on_failure }),
        maximum_record_age_in_seconds: stream.then_some(row.age),
        bisect_batch_on_function_error: stream.then_some(row.bisect),
        maximum_retry_attempts: stream.then_some(row.retries),
        tumbling_window_in_seconds: stream.then_some(0),
        function_response_types: Some(types.unwrap_or_default()),
        ..api::EventSourceMappingConfiguration::default()
    })
}

/// The same members under the name of an operation's output.
macro_rules! output {
    ($output:ident, $shown:expr) => {{
        let shown: api::EventSourceMappingConfiguration = $shown;
        api::$output {
            uuid: shown.uuid,
            starting_position: shown.starting_position,
            batch_size: shown.batch_size,
            maximum_batching_window_in_seconds: shown.maximum_batching_window_in_seconds,
            parallelization_factor: shown.parallelization_factor,
            event_source_arn: shown.event_source_arn,
            filter_criteria: shown.filter_criteria,
            scaling_config: shown.scaling_config,
            function_arn: shown.function_arn,
            last_modified: shown.last_modified,
            last_processing_result: shown.last_processing_result,
            state: shown.state,
            state_transition_reason: shown.state_transition_reason,
            destination_config: shown.destination_config,
            maximum_record_age_in_seconds: shown.maximum_record_age_in_seconds,
            bisect_batch_on_function_error: shown.bisect_batch_on_function_error,
            maximum_retry_attempts: shown.maximum_retry_attempts,
            tumbling_window_in_seconds: shown.tumbling_window_in_seconds,
            function_response_types: shown.function_response_types,
            event_source_mapping_arn: shown.event_source_mapping_arn,
            ..api::$output::default()
        }
    }};
}

/// What a mapping invokes, by a name that a request gives.
async fn acting(core: &Core, name: &FunctionName) -> Result<Acting, LambdaError> {
    let missing = || not_found(format!("Function not found: {}", name.arn(core.kernel.region())));
    let function = core.find(name).ok_or_else(missing)?;
    let version = function.meant(&name.qualifier).cloned().ok_or_else(missing)?;
    match core.as_role(&function, &version, Vec::new()).await {
        Ok(caller) => Ok(Acting { function, qualifier: name.qualifier.clone(), version, caller }),
        Err(Rejection::Failed(reason)) => Err(LambdaError::Internal(reason)),
        Err(_) => Err(parameter("The role defined for the function cannot be assumed by Lambda.")),
    }
}

async fn commit(core: &Core, pin: Pin, cond: Cond, mapping: Mapping) -> Result<Arc<Mapping>, Failure> {
    let key = rows::mapping(mapping.account, mapping.id);
    let ops = vec![Op::Put(key, mapping.raw.clone())];
    core.kv.commit(Batch { conds: vec![pin.cond(), cond], ops, ..Batch::default() }).await?;
    let mapping = Arc::new(mapping);
    core.mappings.put(Arc::clone(&mapping));
    Ok(mapping)
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::CreateEventSourceMappingInput,
) -> Result<api::CreateEventSourceMappingOutput, Failure> {
    type In = api::CreateEventSourceMappingInput;
    let pin = core.kernel.epoch().now();
    let name = core.name(caller, &input.function_name, None)?;
    let account = core.account_of(caller);
    let function = function_arn(core.kernel.region(), name.account, &name.name, name.qualifier.text().as_deref());
    let key = ContextValue::Text(function.to_string());
    let resolved = Resolved::<In>::on_service(account).key("lambda:FunctionArn", key);
    let authorized = core.decide(pin, caller, resolved).await?;
    if name.account != account {
        return Err(parameter("The function of an event source mapping must be one of the caller's account.").into());
    }
    let source = input.event_source_arn.as_deref().ok_or_else(|| unserved("an event source without EventSourceArn"))?;
    let source = Arn::parse(source)
        .ok_or_else(|| parameter("Unrecognized event source, must be kinesis, dynamodb stream or sqs."))?;
    let kind = settings::kind(core, &source)?;
    let mut others = unserved_of_mappings!(input);
    others.extend([
        ("StartingPositionTimestamp", input.starting_position_timestamp.is_some()),
        ("Topics", input.topics.is_some()),
        ("Queues", input.queues.is_some()),
        ("SelfManagedEventSource", input.self_managed_event_source.is_some()),
        ("Tags of an event source mapping", input.tags.as_ref().is_some_and(|tags| !tags.is_empty())),
    ]);
    let given = Given {
        enabled: input.enabled,
        batch: input.batch_size,
        window: input.maximum_batching_window_in_seconds,
        start: input.starting_position,
        filters: input.filter_criteria.as_ref(),
        types: input.function_response_types.as_deref(),
        bisect: input.bisect_batch_on_function_error,
        retries: input.maximum_retry_attempts,
        age: input.maximum_record_age_in_seconds,
        destinations: input.destination_config.as_ref(),
        scaling: input.scaling_config.as_ref(),
        factor: input.parallelization_factor,
        tumbling: input.tumbling_window_in_seconds,
        others,
    };
    let mut row = MappingRow {
        source: source.to_string(),
        function: name.name.clone(),
        qualifier: name.qualifier.text().unwrap_or_default(),
        modified: core.now().0,
        ..MappingRow::default()
    };
    given.apply(&mut row, kind, true)?;
    let acting = acting(core, &name).await?;
    core.check_source(&row, kind, &acting).await?;
    check_others(core, account, &row)?;
    let mapping = Mapping::of(account, core.new_id(), row, Arc::default())?;
    let absent = Cond::Absent(rows::mapping(account, mapping.id));
    let mapping = commit(core, authorized.pin(), absent, mapping).await?;
    Ok(output!(CreateEventSourceMappingOutput, shown(core, &mapping)?))
}

/// Refuses a second mapping of the same source and function.
fn check_others(core: &Core, account: AccountId, row: &MappingRow) -> Result<(), LambdaError> {
    let all = core.mappings.of(account);
    if all.len() >= MAX_MAPPINGS {
        return Err(parameter(format!("An account has at most {MAX_MAPPINGS} event source mappings.")));
    }
    let same = |mapping: &&Arc<Mapping>| {
        let other = &mapping.row;
        other.source == row.source && other.function == row.function && other.qualifier == row.qualifier
    };
    let Some(there) = all.iter().find(same) else { return Ok(()) };
    let (source, function, id) = (&row.source, &row.function, uuid(there.id));
    Err(conflict(match there.kind {
        Kind::Queue => format!(
            "An event source mapping with SQS arn (\" {source} \") and function (\" {function} \") already exists. Please update or delete the existing mapping with UUID {id}"
        ),
        Kind::Stream => format!(
            "The event source arn (\" {source} \") and function (\" {function} \") provided mapping already exists. Please update or delete the existing mapping with UUID {id}"
        ),
    }))
}

/// A mapping that an operation may touch. Who may not is not told whether it exists.
async fn on<I: Input>(
    core: &Core,
    caller: &Caller,
    id: &str,
) -> Result<(Authorized<Resolved<I>>, Arc<Mapping>), LambdaError> {
    let pin = core.kernel.epoch().now();
    let account = core.account_of(caller);
    let mapping = parse_id(id).and_then(|id| core.mappings.get(account, id));
    let mut resolved = Resolved::<I>::on(Resource::new(arn(core, account, id), account));
    if let Some(mapping) = &mapping {
        let function = mapping.name(core)?.arn(core.kernel.region());
        resolved = resolved.key("lambda:FunctionArn", ContextValue::Text(function.to_string()));
    }
    let authorized = core.decide(pin, caller, resolved).await?;
    let mapping = mapping.ok_or_else(|| not_found("The resource you requested does not exist."))?;
    Ok((authorized, mapping))
}

/// Decides whether an operation on a mapping may be about another function.
async fn allowed<I: Input>(
    core: &Core,
    caller: &Caller,
    mapping: &Mapping,
    name: &FunctionName,
    pin: Pin,
) -> Result<(), LambdaError> {
    let function = ContextValue::Text(name.arn(core.kernel.region()).to_string());
    let resource = Resource::new(arn(core, mapping.account, &uuid(mapping.id)), mapping.account);
    let resolved = Resolved::<I>::on(resource).key("lambda:FunctionArn", function);
    core.decide(pin, caller, resolved).await.map(drop)
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetEventSourceMappingInput,
) -> Result<api::GetEventSourceMappingOutput, Failure> {
    let (_, mapping) = on::<api::GetEventSourceMappingInput>(core, caller, &input.uuid).await?;
    Ok(output!(GetEventSourceMappingOutput, shown(core, &mapping)?))
}

fn check_free(mapping: &Mapping) -> Result<(), LambdaError> {
    if mapping.row.deleting {
        let text = "Cannot update the event source mapping because it is not in a state where it can be modified.";
        return Err(LambdaError::Of(api::errors::RESOURCE_IN_USE_EXCEPTION, text.to_owned()));
    }
    Ok(())
}

/// The mapping with another row.
fn next(core: &Core, mapping: &Mapping, mut row: MappingRow) -> Result<(Cond, Mapping), LambdaError> {
    row.changes += 1;
    row.modified = core.now().0;
    let cond = Cond::Equals(rows::mapping(mapping.account, mapping.id), mapping.raw.clone());
    Ok((cond, Mapping::of(mapping.account, mapping.id, row, Arc::clone(&mapping.live))?))
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::UpdateEventSourceMappingInput,
) -> Result<api::UpdateEventSourceMappingOutput, Failure> {
    let (authorized, mapping) = on::<api::UpdateEventSourceMappingInput>(core, caller, &input.uuid).await?;
    check_free(&mapping)?;
    let given = Given {
        enabled: input.enabled,
        batch: input.batch_size,
        window: input.maximum_batching_window_in_seconds,
        start: None,
        filters: input.filter_criteria.as_ref(),
        types: input.function_response_types.as_deref(),
        bisect: input.bisect_batch_on_function_error,
        retries: input.maximum_retry_attempts,
        age: input.maximum_record_age_in_seconds,
        destinations: input.destination_config.as_ref(),
        scaling: input.scaling_config.as_ref(),
        factor: input.parallelization_factor,
        tumbling: input.tumbling_window_in_seconds,
        others: unserved_of_mappings!(input),
    };
    let mut row = mapping.row.clone();
    given.apply(&mut row, mapping.kind, false)?;
    let mut name = mapping.name(core)?;
    if let Some(text) = &input.function_name {
        name = core.name(caller, text, None)?;
        if name.account != mapping.account {
            return Err(
                parameter("The function of an event source mapping must be one of the caller's account.").into()
            );
        }
        // Who may change the mapping of one function may not turn it on another.
        allowed::<api::UpdateEventSourceMappingInput>(core, caller, &mapping, &name, authorized.pin()).await?;
        (row.function, row.qualifier) = (name.name.clone(), name.qualifier.text().unwrap_or_default());
    }
    let acting = acting(core, &name).await?;
    core.check_source(&row, mapping.kind, &acting).await?;
    let (cond, changed) = next(core, &mapping, row)?;
    let mapping = commit(core, authorized.pin(), cond, changed).await?;
    Ok(output!(UpdateEventSourceMappingOutput, shown(core, &mapping)?))
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::DeleteEventSourceMappingInput,
) -> Result<api::DeleteEventSourceMappingOutput, Failure> {
    let (authorized, mapping) = on::<api::DeleteEventSourceMappingInput>(core, caller, &input.uuid).await?;
    check_free(&mapping)?;
    let (cond, gone) = next(core, &mapping, MappingRow { deleting: true, ..mapping.row.clone() })?;
    let mapping = commit(core, authorized.pin(), cond, gone).await?;
    Ok(output!(DeleteEventSourceMappingOutput, shown(core, &mapping)?))
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::ListEventSourceMappingsInput,
) -> Result<api::ListEventSourceMappingsOutput, Failure> {
    let (pin, account) = (core.kernel.epoch().now(), core.account_of(caller));
    core.decide(pin, caller, Resolved::<api::ListEventSourceMappingsInput>::on_service(account)).await?;
    let name = input.function_name.as_deref().map(|text| core.name(caller, text, None)).transpose()?;
    let mut wanted = Vec::new();
    for mapping in core.mappings.of(account) {
        let source = input.event_source_arn.as_deref().is_none_or(|source| source == mapping.row.source);
        if source && name.as_ref().is_none_or(|name| mapping.name(core).as_ref() == Ok(name)) {
            wanted.push((mapping.id, shown(core, &mapping)?));
        }
    }
    let parse = |text: &str| parse_id(text);
    let (all, next_marker) =
        paging::page(wanted.into_iter(), input.marker.as_deref(), input.max_items, parse, |id| uuid(*id))?;
    Ok(api::ListEventSourceMappingsOutput { next_marker, event_source_mappings: Some(all) })
}
