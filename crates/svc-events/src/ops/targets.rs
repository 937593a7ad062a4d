//! Targets of rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_events as api;
use millpond_kernel::{Caller, ContextValue, Pin};
use millpond_meta::{Cond, Op};
use millpond_types::{AccountId, Arn};
use prost::Message;

use crate::errors::{EventsError, Failure};
use crate::event::json::Json;
use crate::event::path::Path;
use crate::event::transform::Template;
use crate::inputs::Touched;
use crate::limits::{LEAST_AGE, MAX_AGE, MAX_RETRIES, MAX_TARGET_BYTES, MAX_TARGETS};
use crate::memory::Change;
use crate::model::Target;
use crate::paging::page;
use crate::rows::{BusRow, HttpRow, TargetRow};
use crate::state::{Core, Draft};
use crate::{rows, tables};

/// Where a target leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A bus, of whatever account.
    Bus,
    /// An API destination.
    Http,
    /// What another service takes.
    Other,
}

/// Where an ARN leads.
pub(crate) fn kind(arn: &Arn) -> Kind {
    match (arn.service(), arn.resource()) {
        ("events", resource) if resource.starts_with("event-bus/") => Kind::Bus,
        ("events", resource) if resource.starts_with("api-destination/") => Kind::Http,
        _ => Kind::Other,
    }
}

/// Parameters of targets that are not served here.
fn refuse_unserved(target: &api::Target) -> Result<(), EventsError> {
    let given = [
        ("KinesisParameters", target.kinesis_parameters.is_some()),
        ("RunCommandParameters", target.run_command_parameters.is_some()),
        ("EcsParameters", target.ecs_parameters.is_some()),
        ("BatchParameters", target.batch_parameters.is_some()),
        ("RedshiftDataParameters", target.redshift_data_parameters.is_some()),
        ("SageMakerPipelineParameters", target.sage_maker_pipeline_parameters.is_some()),
        ("AppSyncParameters", target.app_sync_parameters.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(EventsError::not_implemented(&format!("{name} of a target"))),
        None => Ok(()),
    }
}

impl Core {
    /// The ARN of a target, of something that can be one here.
    fn target_arn(&self, text: &str) -> Result<Arn, EventsError> {
        let wrong = |reason: &str| EventsError::parameter(text, reason);
        let arn = Arn::parse(text).ok_or_else(|| wrong("Provided Arn is not in correct format."))?;
        let here = arn.region() == self.names.region().as_str();
        match kind(&arn) {
            _ if !here => Err(wrong("Targets of other regions are not served.")),
            Kind::Bus if self.names.bus_of(text).is_none() => Err(wrong("Provided Arn is not in correct format.")),
            Kind::Http if self.names.with_id(text, "api-destination").is_none() => {
                Err(wrong("Provided Arn is not in correct format."))
            }
            Kind::Bus | Kind::Http => Ok(arn),
            Kind::Other if self.kernel.targets().has(arn.service()) && arn.service() != "events" => Ok(arn),
            Kind::Other => {
                let reason = format!("Targets of the service {} are not served here.", arn.service());
                Err(wrong(&reason))
            }
        }
    }

    /// A target of a rule in the account `owner`, as it is kept.
    fn target_row(&self, target: &api::Target, owner: AccountId) -> Result<TargetRow, EventsError> {
        refuse_unserved(target)?;
        let id = &target.id;
        let arn = self.target_arn(&target.arn)?;
        let inputs = [target.input.is_some(), target.input_path.is_some(), target.input_transformer.is_some()];
        if inputs.iter().filter(|given| **given).count() > 1 {
            let reason = format!("Only one of Input, InputPath, or InputTransformer must be provided for target {id}.");
            return Err(EventsError::Validation(reason));
        }
        if kind(&arn) == Kind::Bus && inputs.contains(&true) {
            let reason =
                format!("Input, InputPath and InputTransformer are not supported for target {id}, an event bus.");
            return Err(EventsError::Validation(reason));
        }
        if kind(&arn) == Kind::Http && target.role_arn.is_none() {
            return Err(EventsError::Validation(format!("RoleArn is required for target {id}.")));
        }
        if kind(&arn) == Kind::Bus && target.role_arn.is_none() && arn.account().is_none_or(|of| of != owner.as_str()) {
            // Targets in other accounts need one since March 2023 (User Guide, "Sending and receiving events between AWS accounts").
            return Err(EventsError::Validation(format!("RoleArn is required for target {}.", target.arn)));
        }
        check_input(target)?;
        let group = group(target, &arn)?;
        let (retries, age) = retry(target)?;
        let transformer = target.input_transformer.as_ref();
        Ok(TargetRow {
            number: 0,
            arn: target.arn.clone(),
            role: target.role_arn.clone(),
            input: target.input.clone(),
            input_path: target.input_path.clone(),
            input_paths: transformer.and_then(|it| it.input_paths_map.clone()).unwrap_or_default(),
            has_input_paths: transformer.is_some_and(|it| it.input_paths_map.is_some()),
            template: transformer.map(|it| it.input_template.clone()),
            group,
            http: http(target, &arn)?,
            dead_letters: self.dead_letters(target)?,
            retries,
            age,
        })
    }

    /// Whether who puts a bus as a target may put events there. Where a role sends, it is the role's right that counts.
    async fn may_reach(&self, pin: Pin, caller: &Caller, target: &api::Target) -> Result<(), EventsError> {
        let Some(name) = self.names.bus_of(&target.arn).filter(|_| target.role_arn.is_none()) else { return Ok(()) };
        let bus = self.bus(&name);
        let touched = Touched::of_bus(self.names.bus(&name), name.account, bus.as_ref());
        self.decide::<api::PutEventsInput>(pin, caller, touched).await.map(drop)
    }

    fn dead_letters(&self, target: &api::Target) -> Result<Option<String>, EventsError> {
        let given = target.dead_letter_config.as_ref().and_then(|config| config.arn.clone());
        let Some(text) = given else { return Ok(None) };
        let wrong = |reason: &str| EventsError::parameter("DeadLetterConfig.Arn", reason);
        let arn = Arn::parse(&text).filter(|arn| arn.service() == "sqs");
        let arn = arn.ok_or_else(|| wrong("It is not the ARN of a queue."))?;
        if arn.region() != self.names.region().as_str() || !self.kernel.targets().has("sqs") {
            return Err(wrong("The queue is of another region."));
        }
        if arn.resource().ends_with(".fifo") {
            return Err(wrong("FIFO queues are not supported as dead-letter queues."));
        }
        Ok(Some(text))
    }
}

/// The model bounds each parameter, in characters, but not how many headers, query parameters and paths there are.
fn check_size(id: &str, row: &TargetRow) -> Result<(), EventsError> {
    let size = row.encoded_len();
    if size <= MAX_TARGET_BYTES {
        return Ok(());
    }
    let reason =
        format!("The parameters of target {id} are together {size} bytes; at most {MAX_TARGET_BYTES} are served.");
    Err(EventsError::parameter("Targets", &reason))
}

fn check_input(target: &api::Target) -> Result<(), EventsError> {
    let id = &target.id;
    if let Some(text) = &target.input
        && Json::parse(text).is_none()
    {
        return Err(EventsError::Validation(format!("JSON syntax error in input for target {id}.")));
    }
    if let Some(path) = &target.input_path {
        Path::parse(path)
            .map_err(|why| EventsError::Validation(format!("Invalid InputPath for target {id}: {why}.")))?;
    }
    if let Some(transformer) = &target.input_transformer {
        let none = BTreeMap::new();
        let paths = transformer.input_paths_map.as_ref().unwrap_or(&none);
        Template::compile(paths, &transformer.input_template)
            .map_err(|bad| EventsError::Validation(format!("InputTemplate for target {id} {bad}")))?;
    }
    Ok(())
}

fn group(target: &api::Target, arn: &Arn) -> Result<Option<String>, EventsError> {
    let id = &target.id;
    let group = target.sqs_parameters.as_ref().and_then(|parameters| parameters.message_group_id.clone());
    let fifo = matches!(arn.service(), "sqs" | "sns") && arn.resource().ends_with(".fifo");
    match (group, target.sqs_parameters.is_some()) {
        (None, _) if fifo && arn.service() == "sqs" => {
            Err(EventsError::Validation(format!("Parameter(s) MessageGroupId must be specified for target: {id}.")))
        }
        (_, true) if arn.service() != "sqs" => {
            Err(EventsError::Validation(format!("Parameter(s) SqsParameters not valid for target: {id}.")))
        }
        (group, _) => Ok(group),
    }
}

fn http(target: &api::Target, arn: &Arn) -> Result<Option<HttpRow>, EventsError> {
    let Some(given) = &target.http_parameters else { return Ok(None) };
    let id = &target.id;
    if kind(arn) != Kind::Http {
        return Err(EventsError::Validation(format!("Parameter(s) HttpParameters not valid for target: {id}.")));
    }
    let row = HttpRow {
        path: given.path_parameter_values.clone().unwrap_or_default(),
        headers: given.header_parameters.clone().unwrap_or_default(),
        query: given.query_string_parameters.clone().unwrap_or_default(),
    };
    row.headers.keys().try_for_each(|name| crate::destinations::check_header(name))?;
    for (value, paths) in
        row.path.iter().chain(row.headers.values()).chain(row.query.values()).map(|v| (v, v.starts_with("$.")))
    {
        if paths {
            Path::parse(value)
                .map_err(|why| EventsError::Validation(format!("Invalid HttpParameters for target {id}: {why}.")))?;
        }
    }
    Ok(Some(row))
}

fn retry(target: &api::Target) -> Result<(Option<u32>, Option<u32>), EventsError> {
    let Some(policy) = &target.retry_policy else { return Ok((None, None)) };
    let wrong = |name: &str, least: i32, most: u32| {
        EventsError::parameter(name, &format!("It is between {least} and {most}, for target {}.", target.id))
    };
    let within = |value: Option<i32>, name: &str, least: i32, most: u32| match value {
        None => Ok(None),
        Some(value) => match u32::try_from(value) {
            Ok(value) if value <= most && value >= least.unsigned_abs() => Ok(Some(value)),
            _ => Err(wrong(name, least, most)),
        },
    };
    let retries = within(policy.maximum_retry_attempts, "RetryPolicy.MaximumRetryAttempts", 0, MAX_RETRIES)?;
    let age = within(policy.maximum_event_age_in_seconds, "RetryPolicy.MaximumEventAgeInSeconds", LEAST_AGE, MAX_AGE)?;
    Ok((retries, age))
}

pub(crate) async fn put(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::PutTargetsInput,
) -> Result<api::PutTargetsOutput, Failure> {
    let arns: Vec<String> = input.targets.iter().map(|target| target.arn.clone()).collect();
    let with = |touched: Touched| touched.key("events:TargetArn", ContextValue::Many(arns));
    let bus = input.event_bus_name.as_deref();
    let on = core.on_rule::<api::PutTargetsInput>(caller, bus, &input.rule, with).await?;
    let rule = on.found(&input.rule)?;
    let mut rows = BTreeMap::new();
    for target in &input.targets {
        if let Some(role) = &target.role_arn {
            core.pass_role(on.pin, caller, role, &rule.arn).await?;
        }
        let row = core.target_row(target, on.bus.account)?;
        check_size(&target.id, &row)?;
        core.may_reach(on.pin, caller, target).await?;
        if rows.insert(target.id.clone(), row).is_some() {
            let reason = format!("Target id {} is given twice.", target.id);
            return Err(EventsError::parameter("Targets", &reason).into());
        }
    }
    let bus = core.bus(&on.bus).ok_or_else(|| EventsError::no_bus(&on.bus.name))?;
    let before = core.maps().rule(&on.bus, &input.rule).map(|ruled| Arc::clone(&ruled.targets)).unwrap_or_default();
    let mut all = (*before).clone();
    let mut bus_row: BusRow = bus.row();
    let mut draft = Draft::new();
    draft.cond(Cond::Equals(tables::rule(on.bus.account, &on.bus.name, &rule.name), rule.stored.bytes.clone()));
    for (id, mut row) in rows {
        row.number = match before.get(&id) {
            Some(target) => target.number(),
            None => {
                bus_row.next_number += 1;
                bus_row.next_number - 1
            }
        };
        draft.op(Op::Put(tables::target(on.bus.account, &on.bus.name, &rule.name, &id), rows::encode(&row)));
        let target = Target::of(id.clone(), row);
        let target = target.ok_or_else(|| EventsError::Internal("a target cannot be read back".to_owned()))?;
        all.insert(id, Arc::new(target));
    }
    if all.len() > MAX_TARGETS {
        return Err(EventsError::limit().into());
    }
    if bus_row.next_number != bus.row().next_number {
        draft.bus(core, &bus, bus_row)?;
    }
    draft.change(Change::Targets(on.bus.clone(), rule.name.clone(), all.into_values().collect()));
    core.commit(Some(on.pin), draft).await?;
    Ok(api::PutTargetsOutput { failed_entry_count: Some(0), failed_entries: Some(Vec::new()) })
}

pub(crate) async fn remove(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::RemoveTargetsInput,
) -> Result<api::RemoveTargetsOutput, Failure> {
    let bus = input.event_bus_name.as_deref();
    let on = core.on_rule::<api::RemoveTargetsInput>(caller, bus, &input.rule, |touched| touched).await?;
    let rule = on.found(&input.rule)?;
    let before = core.maps().rule(&on.bus, &input.rule).map(|ruled| Arc::clone(&ruled.targets)).unwrap_or_default();
    let mut all = (*before).clone();
    let mut draft = Draft::new().urgent();
    draft.cond(Cond::Equals(tables::rule(on.bus.account, &on.bus.name, &rule.name), rule.stored.bytes.clone()));
    let mut failed = Vec::new();
    for id in &input.ids {
        if all.remove(id).is_some() {
            draft.op(Op::Delete(tables::target(on.bus.account, &on.bus.name, &rule.name, id)));
        } else if !before.contains_key(id) {
            failed.push(api::RemoveTargetsResultEntry {
                target_id: Some(id.clone()),
                error_code: Some("ResourceNotFoundException".to_owned()),
                error_message: Some(format!("Rule {} does not have the target {id}.", rule.name)),
            });
        }
    }
    draft.change(Change::Targets(on.bus.clone(), rule.name.clone(), all.into_values().collect()));
    core.commit(Some(on.pin), draft).await?;
    let count = i32::try_from(failed.len()).unwrap_or(i32::MAX);
    Ok(api::RemoveTargetsOutput { failed_entry_count: Some(count), failed_entries: Some(failed) })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListTargetsByRuleInput,
) -> Result<api::ListTargetsByRuleOutput, Failure> {
    let bus = input.event_bus_name.as_deref();
    let on = core.on_rule::<api::ListTargetsByRuleInput>(caller, bus, &input.rule, |touched| touched).await?;
    on.found(&input.rule)?;
    let page = page(input.limit, input.next_token.as_deref())?;
    let targets = core.maps().rule(&on.bus, &input.rule).map(|ruled| Arc::clone(&ruled.targets)).unwrap_or_default();
    let (targets, next_token) = page.cut(targets.iter().map(|(id, target)| (id.clone(), target.shown())));
    Ok(api::ListTargetsByRuleOutput { targets: Some(targets), next_token })
}
