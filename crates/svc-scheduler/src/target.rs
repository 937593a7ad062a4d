//! Targets: what may be put, how they are kept, and how they are shown.

use bytes::Bytes;
use millpond_api_scheduler as api;
use millpond_kernel::chunks;
use millpond_meta::{Op, ReadError};
use millpond_types::Arn;

use crate::errors::{SchedulerError, invalid, unserved};
use crate::limits::{MAX_AGE, MAX_INLINE, MAX_INPUT_BYTES, MAX_RETRIES};
use crate::state::Core;
use crate::tables::TargetRow;

/// ARNs that name an operation of any API.
const UNIVERSAL: &str = "arn:aws:scheduler:::aws-sdk:";
/// What inputs are sealed for.
const SEALED_FOR: &[u8] = b"input";
const BUS: &str = "events";
const QUEUE: &str = "sqs";

/// A target that can be invoked, as it is kept, and the changes that keep its input.
pub(crate) fn checked(core: &Core, target: &api::Target) -> Result<(TargetRow, Vec<Op>), SchedulerError> {
    if target.arn.starts_with(UNIVERSAL) {
        return unserved(format!("the universal target {}", target.arn));
    }
    let Some(arn) = Arn::parse(&target.arn) else {
        return invalid(format!("Provided Arn is not in correct format: {}", target.arn));
    };
    if !core.kernel.targets().has(arn.service()) {
        return unserved(format!("a target of the service {}", arn.service()));
    }
    for (given, what) in [
        (target.ecs_parameters.is_some(), "EcsParameters"),
        (target.event_bridge_put_events_v2_parameters.is_some(), "EventBridgePutEventsV2Parameters"),
        (target.event_bridge_put_raw_events_parameters.is_some(), "EventBridgePutRawEventsParameters"),
        (target.kinesis_parameters.is_some(), "KinesisParameters"),
        (target.sage_maker_pipeline_parameters.is_some(), "SageMakerPipelineParameters"),
    ] {
        if given {
            return unserved(format!("Target {what}"));
        }
    }
    let (mut row, ops) = with_input(core, target.input.as_deref())?;
    bus(&arn, target, &mut row)?;
    queue(&arn, target, &mut row)?;
    let policy = target.retry_policy.clone().unwrap_or_default();
    let number = |given: Option<i32>, usual: u32| given.and_then(|given| u32::try_from(given).ok()).unwrap_or(usual);
    row.max_age = number(policy.maximum_event_age_in_seconds, MAX_AGE);
    row.max_retries = number(policy.maximum_retry_attempts, MAX_RETRIES);
    row.dead_letters = target.dead_letter_config.as_ref().and_then(|config| config.arn.clone());
    (row.arn, row.role) = (target.arn.clone(), target.role_arn.clone());
    Ok((row, ops))
}

fn bus(arn: &Arn, target: &api::Target, row: &mut TargetRow) -> Result<(), SchedulerError> {
    match (&target.event_bridge_parameters, arn.service() == BUS) {
        (None, false) => Ok(()),
        (Some(_), false) => invalid("EventBridgeParameters can be specified for event buses only."),
        (None, true) => invalid("EventBridgeParameters must be specified for an event bus."),
        (Some(given), true) => {
            if given.source.starts_with("aws.") {
                return invalid("The source of an event must not begin with aws.");
            }
            let detail = target.input.as_deref().unwrap_or("{}");
            if !serde_json::from_str::<serde_json::Value>(detail).is_ok_and(|detail| detail.is_object()) {
                return invalid("The Input of a schedule whose target is an event bus must be a JSON object.");
            }
            (row.detail_type, row.source) = (Some(given.detail_type.clone()), Some(given.source.clone()));
            Ok(())
        }
    }
}

fn queue(arn: &Arn, target: &api::Target, row: &mut TargetRow) -> Result<(), SchedulerError> {
    let fifo = arn.service() == QUEUE && arn.resource().ends_with(".fifo");
    let group = target.sqs_parameters.as_ref().and_then(|parameters| parameters.message_group_id.clone());
    if arn.service() != QUEUE && target.sqs_parameters.is_some() {
        return invalid("SqsParameters can be specified for queues only.");
    }
    if fifo && group.is_none() {
        return invalid("MessageGroupId must be specified for a FIFO queue.");
    }
    row.message_group = group;
    Ok(())
}

fn with_input(core: &Core, input: Option<&str>) -> Result<(TargetRow, Vec<Op>), SchedulerError> {
    let mut row = TargetRow::default();
    let Some(input) = input else { return Ok((row, Vec::new())) };
    if input.len() > MAX_INPUT_BYTES {
        return invalid(format!("The Input is larger than {MAX_INPUT_BYTES} bytes."));
    }
    let sealed = core.envelope.seal(SEALED_FOR, input.as_bytes());
    let sealed = sealed.map_err(|error| SchedulerError::Internal(error.to_string()))?;
    if input.len() <= MAX_INLINE {
        row.sealed = sealed;
        return Ok((row, Vec::new()));
    }
    let id = core.random.u128();
    (row.chunks, row.sealed_chunks) = (id.to_be_bytes().to_vec(), true);
    row.length = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
    Ok((row, chunks::put(id, &Bytes::from(sealed))))
}

fn chunks_of(row: &TargetRow) -> Option<u128> {
    <[u8; 16]>::try_from(row.chunks.as_slice()).ok().map(u128::from_be_bytes)
}

/// The changes that remove a target's input.
pub(crate) fn removed(row: &TargetRow) -> Vec<Op> {
    chunks_of(row).map(|id| chunks::remove(id, row.length as usize)).unwrap_or_default()
}

impl Core {
    /// A target's input, as it was given.
    pub async fn input(&self, row: &TargetRow) -> Result<Option<String>, ReadError> {
        let opened = |sealed: &[u8]| {
            let plain = self.envelope.open(SEALED_FOR, sealed).ok().and_then(|plain| String::from_utf8(plain).ok());
            plain.map(Some).ok_or_else(|| ReadError::Damaged("the input of a schedule cannot be opened".to_owned()))
        };
        let Some(id) = chunks_of(row) else {
            return if row.sealed.is_empty() { Ok(row.input.clone()) } else { opened(&row.sealed) };
        };
        let missing = || ReadError::Damaged("the input of a schedule is gone".to_owned());
        let bytes = chunks::get(&*self.kv, id, row.length as usize).await?.ok_or_else(missing)?;
        if row.sealed_chunks {
            return opened(&bytes);
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// A target as it is shown.
    pub async fn shown(&self, row: &TargetRow) -> Result<api::Target, ReadError> {
        let number = |number: u32| i32::try_from(number).ok();
        let event = row.detail_type.clone().zip(row.source.clone());
        Ok(api::Target {
            arn: row.arn.clone(),
            role_arn: row.role.clone(),
            dead_letter_config: row.dead_letters.clone().map(|arn| api::DeadLetterConfig { arn: Some(arn) }),
            retry_policy: Some(api::RetryPolicy {
                maximum_event_age_in_seconds: number(row.max_age),
                maximum_retry_attempts: number(row.max_retries),
            }),
            input: self.input(row).await?,
            event_bridge_parameters: event
                .map(|(detail_type, source)| api::EventBridgeParameters { detail_type, source }),
            sqs_parameters: row.message_group.clone().map(|group| api::SqsParameters { message_group_id: Some(group) }),
            ..api::Target::default()
        })
    }
}
