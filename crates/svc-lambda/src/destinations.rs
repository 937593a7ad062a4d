//! Where the results of invocations that nobody waits for go: destinations and dead-letter queues (Developer Guide, "Capturing records of Lambda
//! asynchronous invocations"). Reached as the function's role.

use bytes::Bytes;
use millpond_kernel::{Arrival, Attribute, Caller, Delivery, Rejection};
use millpond_types::{Arn, CauseChain, Timestamp};
use millpond_wire::push_iso8601;
use serde_json::{Value, json};

use crate::model::{Function, Version};
use crate::names::{LATEST, Qualifier, function_arn, random_id, uuid};
use crate::ops::invoke_configs;
use crate::state::Core;

/// Characters of the error that a dead letter tells (Developer Guide, "Adding a dead-letter queue").
const MAX_ERROR: usize = 1024;
/// Tells the ids of an event's deliveries apart.
const TO_DESTINATION: u128 = 0x6c61_6d62_6461_2d64_6573_7469_6e61_7469;
const TO_DEAD_LETTERS: u128 = 0x6c61_6d62_6461_2d64_6561_642d_6c65_7474;

/// The ids of what goes to an event's destination and to its dead-letter queue.
pub(crate) fn delivery_ids(event: u128) -> (u128, u128) {
    (event ^ TO_DESTINATION, event ^ TO_DEAD_LETTERS)
}

/// What a function answered last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Response<'a> {
    pub version: &'a str,
    pub failed: bool,
    /// `None` where it is not kept.
    pub payload: Option<&'a Bytes>,
}

/// How an event ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    pub id: u128,
    pub function: &'a Function,
    pub qualifier: &'a Qualifier,
    /// The version whose role sends.
    pub version: &'a Version,
    pub condition: &'a str,
    /// Times that the function was run.
    pub runs: u32,
    pub payload: &'a Bytes,
    /// What led to the event.
    pub causes: &'a CauseChain,
    pub response: Option<Response<'a>>,
    pub reach: Reach,
}

/// How far what follows from an event goes: what ends a loop must not be a loop itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// Wherever it is sent to.
    Everywhere,
    /// The event was refused as a loop: not to functions, which would refuse it in their turn, each within the call of the one before.
    NoFunction,
    /// And it followed from what was refused so already: nowhere from where something goes on by itself.
    Queues,
}

/// What is in the chain of what follows from an event that was refused as a loop.
const REFUSED: &str = "lambda-loop:";

impl Reach {
    /// Of what follows from an event that is refused as a loop.
    pub fn of_loop(causes: &CauseChain) -> Self {
        if causes.iter().any(|cause| cause.starts_with(REFUSED)) { Self::Queues } else { Self::NoFunction }
    }

    fn allows(self, to: &str) -> bool {
        let service = to.split(':').nth(2);
        match self {
            Self::Everywhere => true,
            Self::NoFunction => service != Some("lambda"),
            Self::Queues => service == Some("sqs"),
        }
    }
}

impl Outcome<'_> {
    /// The chain of what follows.
    fn chain(&self, core: &Core) -> CauseChain {
        let id = uuid(self.id);
        let mut causes = core.chain(self.function, &id, self.causes.clone());
        if self.reach != Reach::Everywhere
            && let Some(last) = causes.last_mut()
        {
            *last = format!("{REFUSED}{id}:{}", self.function.arn);
        }
        causes
    }
}

/// A time as records have it.
pub(crate) fn iso8601(time: Timestamp) -> String {
    let mut text = String::new();
    push_iso8601(&mut text, time, true);
    text
}

/// What is JSON as such, and what is not as a string.
fn value(payload: &Bytes) -> Value {
    serde_json::from_slice(payload).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(payload).into_owned()))
}

/// The ARN with the qualifier that records show: there is always one.
pub(crate) fn shown_function(core: &Core, function: &Function, qualifier: &Qualifier) -> Arn {
    let qualifier = qualifier.text().unwrap_or_else(|| LATEST.to_owned());
    function_arn(core.kernel.region(), function.account, &function.name, Some(&qualifier))
}

/// The record of an invocation.
fn record(arn: &Arn, outcome: &Outcome<'_>, now: Timestamp) -> Value {
    let mut record = json!({
        "version": "1.0",
        "timestamp": iso8601(now),
        "requestContext": {
            "requestId": uuid(outcome.id),
            "functionArn": arn.as_str(),
            "condition": outcome.condition,
            "approximateInvokeCount": outcome.runs,
        },
        "requestPayload": value(outcome.payload),
    });
    let Some(response) = outcome.response else { return record };
    let mut context = json!({"statusCode": 200, "executedVersion": response.version});
    if response.failed {
        context["functionError"] = "Unhandled".into();
    }
    record["responseContext"] = context;
    record["responsePayload"] = response.payload.map_or(Value::Null, value);
    record
}

/// What a bus gets: an event around the record.
fn event(core: &Core, arn: &Arn, to: &Arn, outcome: &Outcome<'_>, id: u128, record: Value, now: Timestamp) -> Value {
    let how = if outcome.condition == "Success" { "Success" } else { "Failure" };
    let mut time = String::new();
    push_iso8601(&mut time, now, false);
    json!({
        "version": "0",
        "id": uuid(random_id(id)),
        "detail-type": format!("Lambda Function Invocation Result - {how}"),
        "source": "lambda",
        "account": outcome.function.account.as_str(),
        "time": time,
        "region": core.kernel.region().as_str(),
        "resources": [arn.as_str(), to.as_str()],
        "detail": record,
    })
}

impl Core {
    /// The role of a version, as it sends for an invocation.
    pub async fn as_role(
        &self,
        function: &Function,
        version: &Version,
        causes: CauseChain,
    ) -> Result<Caller, Rejection> {
        self.assume(&function.arn, function.account, &version.row.role, &function.name, causes).await
    }
}

async fn to_destination(core: &Core, to: &str, outcome: &Outcome<'_>) -> Result<Arrival, Rejection> {
    let to = Arn::parse(to).ok_or_else(|| Rejection::Invalid(format!("{to} is not an ARN.")))?;
    let (now, id, arn) =
        (core.clock.now(), outcome.id ^ TO_DESTINATION, shown_function(core, outcome.function, outcome.qualifier));
    let record = record(&arn, outcome, now);
    let body = match to.service() {
        "events" => event(core, &arn, &to, outcome, id, record, now),
        _ => record,
    };
    let causes = outcome.chain(core);
    let delivery = Delivery {
        id,
        body: body.to_string().into(),
        attributes: Vec::new(),
        group: None,
        dedup: None,
        time: now,
        causes: causes.clone(),
        event: uuid(outcome.id),
    };
    let from = core.as_role(outcome.function, outcome.version, causes).await?;
    core.kernel.targets().arrive(&to, &from, &delivery).await
}

async fn to_dead_letters(core: &Core, to: &str, outcome: &Outcome<'_>, reason: &str) -> Result<Arrival, Rejection> {
    let to = Arn::parse(to).ok_or_else(|| Rejection::Invalid(format!("{to} is not an ARN.")))?;
    let said = outcome.response.and_then(|response| response.payload).map(value);
    let said = said.as_ref().and_then(|said| said.get("errorMessage")).and_then(Value::as_str);
    let message: String = said.unwrap_or(reason).chars().take(MAX_ERROR).collect();
    let attribute = |name: &str, data_type: &str, value: String| Attribute {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
        value: value.into(),
    };
    let status = match outcome.response {
        Some(_) => "200",
        None if reason.starts_with("TooManyRequests") => "429",
        None if reason.starts_with("ResourceNotFound") => "404",
        None => "500",
    };
    let causes = outcome.chain(core);
    let mut attributes =
        vec![attribute("RequestID", "String", uuid(outcome.id)), attribute("ErrorCode", "Number", status.to_owned())];
    // An attribute is never empty.
    attributes.extend((!message.is_empty()).then(|| attribute("ErrorMessage", "String", message)));
    let delivery = Delivery {
        id: outcome.id ^ TO_DEAD_LETTERS,
        body: outcome.payload.clone(),
        attributes,
        group: None,
        dedup: None,
        time: core.clock.now(),
        causes: causes.clone(),
        event: uuid(outcome.id),
    };
    let from = core.as_role(outcome.function, outcome.version, causes).await?;
    core.kernel.targets().arrive(&to, &from, &delivery).await
}

/// What follows from an event that was run.
pub(crate) async fn succeeded(core: &Core, outcome: &Outcome<'_>) -> Result<Arrival, Rejection> {
    let config = outcome.function.configs.get(&invoke_configs::key(outcome.qualifier));
    match config.and_then(|config| config.on_success.as_deref()) {
        Some(to) => to_destination(core, to, outcome).await,
        None => Ok(Arrival::default()),
    }
}

/// What follows from an event that was given up. One that the destination will never take still reaches the dead-letter queue, and the other way round.
/// Of one that is refused as a loop, nothing goes on to where it could loop ([`Reach`]).
pub(crate) async fn failed(core: &Core, outcome: &Outcome<'_>, reason: &str) -> Result<Arrival, Rejection> {
    let config = outcome.function.configs.get(&invoke_configs::key(outcome.qualifier));
    let mut all = Arrival::default();
    let reached = |to: &&str| outcome.reach.allows(to);
    if let Some(to) = config.and_then(|config| config.on_failure.as_deref()).filter(reached) {
        add(&mut all, outcome, to_destination(core, to, outcome).await)?;
    }
    if let Some(to) = outcome.version.row.dead_letters.as_deref().filter(reached) {
        add(&mut all, outcome, to_dead_letters(core, to, outcome, reason).await)?;
    }
    Ok(all)
}

fn add(all: &mut Arrival, outcome: &Outcome<'_>, arrival: Result<Arrival, Rejection>) -> Result<(), Rejection> {
    match arrival {
        Ok(arrival) => {
            all.conds.extend(arrival.conds);
            all.ops.extend(arrival.ops);
            Ok(())
        }
        Err(rejection) if rejection.is_final() => {
            tracing::error!(function = %outcome.function.arn, %rejection, "what an invocation that failed leads to is not taken");
            Ok(())
        }
        Err(rejection) => Err(rejection),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_loop_is_none() {
        let first = Reach::of_loop(&vec!["lambda:1:arn".to_owned()]);
        let again = Reach::of_loop(&vec!["lambda-loop:1:arn".to_owned(), "sns:2:arn".to_owned()]);
        for (to, of_first, of_another) in [
            ("arn:aws:lambda:us-east-1:123456789012:function:f", false, false),
            ("arn:aws:sqs:us-east-1:123456789012:q", true, true),
            ("arn:aws:sns:us-east-1:123456789012:t", true, false),
            ("arn:aws:events:us-east-1:123456789012:event-bus/b", true, false),
        ] {
            assert_eq!((first.allows(to), again.allows(to)), (of_first, of_another), "{to}");
            assert!(Reach::Everywhere.allows(to), "{to}");
        }
    }
}
