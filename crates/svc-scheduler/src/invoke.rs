//! One invocation of a schedule's target: what is delivered, as whom, and what is told of it when it is given up.

use std::time::Duration;

use bytes::Bytes;
use millpond_io::Random;
use millpond_kernel::{Arrival, Attribute, Caller, Delivery, Rejection};
use millpond_types::{Arn, Timestamp};

use crate::errors::told;
use crate::limits::{FIRST_WAIT, LAST_WAIT};
use crate::state::{Core, Name};
use crate::tables::{DueRow, ScheduleRow};

/// An invocation.
pub(crate) struct Execution<'a> {
    core: &'a Core,
    name: &'a Name<'a>,
    row: &'a ScheduleRow,
    nominal: Timestamp,
    /// The attempt that is being made, from 1.
    attempt: u32,
    now: Timestamp,
    id: u128,
}

/// How long it is waited before the next attempt: twice as long each time, less up to a half by chance, so that what failed together is not
/// tried together.
pub(crate) fn wait(tried: u32, random: &dyn Random) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << tried.saturating_sub(1).min(20)).min(LAST_WAIT);
    let half = u64::try_from(doubled.as_nanos() / 2).unwrap_or(u64::MAX);
    Duration::from_nanos(half + random.u64() % half.max(1))
}

impl<'a> Execution<'a> {
    pub fn new(core: &'a Core, name: &'a Name<'a>, row: &'a ScheduleRow, due: &DueRow, now: Timestamp) -> Self {
        let schedule = <[u8; 16]>::try_from(row.id.as_slice()).map_or(0, u128::from_be_bytes);
        // Another one for each time of each schedule, and the same however often it is tried. The factor is odd, so that no two times collide.
        let id = schedule.wrapping_add(u128::from(due.nominal).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
        Self { core, name, row, nominal: Timestamp(due.nominal), attempt: due.tried + 1, now, id }
    }

    pub fn id(&self) -> u128 {
        self.id
    }

    /// Its id as it is shown: a UUID.
    pub fn text(&self) -> String {
        let hex = format!("{:032x}", self.id);
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
    }

    pub fn target(&self) -> &'a str {
        &self.row.target.arn
    }

    pub fn schedule_arn(&self) -> Arn {
        self.core.schedule_arn(self.name)
    }

    fn scheduled_time(&self) -> String {
        let mut text = String::new();
        millpond_wire::push_iso8601(&mut text, self.nominal, false);
        text
    }

    /// Which of the retry policy's bounds another attempt would break.
    pub fn exhausted(&self, tried: u32, age: Duration) -> Option<&'static str> {
        if tried > self.row.target.max_retries {
            Some("MaximumRetryAttempts")
        } else if age.as_secs() >= u64::from(self.row.target.max_age) {
            Some("MaximumEventAgeInSeconds")
        } else {
            None
        }
    }

    async fn caller(&self) -> Result<Caller, Rejection> {
        self.core.assume(self.name, &self.row.target.role, &self.text(), self.now).await
    }

    /// The input with the context variables in it (User Guide, "Adding context attributes").
    async fn input(&self) -> Result<Option<String>, Rejection> {
        let failed = |error: millpond_meta::ReadError| Rejection::Failed(error.to_string());
        let Some(input) = self.core.input(&self.row.target).await.map_err(failed)? else { return Ok(None) };
        if !input.contains("<aws.scheduler.") {
            return Ok(Some(input));
        }
        Ok(Some(
            input
                .replace("<aws.scheduler.schedule-arn>", self.schedule_arn().as_str())
                .replace("<aws.scheduler.scheduled-time>", &self.scheduled_time())
                .replace("<aws.scheduler.execution-id>", &self.text())
                .replace("<aws.scheduler.attempt-number>", &self.attempt.to_string()),
        ))
    }

    /// What targets get: the input; an event with it on a bus; and where there is none, what AWS sends then.
    async fn body(&self) -> Result<String, Rejection> {
        let input = self.input().await?;
        let target = &self.row.target;
        let event = target.detail_type.as_deref().zip(target.source.as_deref());
        let (kind, source, detail) = match (event, input) {
            (None, Some(input)) => return Ok(input),
            (None, None) => ("Scheduled Event", "aws.scheduler", serde_json::Value::from("{}")),
            (Some((kind, source)), input) => {
                let broken = |error: serde_json::Error| Rejection::Invalid(format!("The input is not JSON: {error}"));
                (kind, source, serde_json::from_str(input.as_deref().unwrap_or("{}")).map_err(broken)?)
            }
        };
        let event = serde_json::json!({
            "version": "0",
            "id": self.text(),
            "detail-type": kind,
            "source": source,
            "account": self.name.account.as_str(),
            "time": self.scheduled_time(),
            "region": self.core.kernel.region().as_str(),
            "resources": [self.schedule_arn().as_str()],
            "detail": detail,
        });
        Ok(event.to_string())
    }

    /// The changes by which it arrives.
    pub async fn deliver(&self) -> Result<Arrival, Rejection> {
        let caller = self.caller().await?;
        let body = self.body().await?;
        self.send(self.target(), &caller, body, Vec::new(), self.row.target.message_group.clone()).await
    }

    async fn send(
        &self,
        to: &str,
        caller: &Caller,
        body: String,
        attributes: Vec<Attribute>,
        group: Option<String>,
    ) -> Result<Arrival, Rejection> {
        let arn = Arn::parse(to).ok_or_else(|| Rejection::Invalid(format!("{to} is not an ARN.")))?;
        let delivery = Delivery {
            id: self.id,
            body: body.into(),
            attributes,
            group,
            // A FIFO queue without deduplication by content needs one.
            dedup: self.row.target.message_group.is_some().then(|| self.text()),
            time: self.now,
            causes: Vec::new(),
            event: self.text(),
        };
        self.core.kernel.targets().arrive(&arn, caller, &delivery).await
    }

    /// The changes by which it arrives in the dead-letter queue; `None` when there is none. The body is the target's, and what is told of the
    /// failure stands in attributes (User Guide, "Configuring a schedule's dead-letter queue").
    pub async fn dead_letter(
        &self,
        rejection: &Rejection,
        tried: u32,
        exhausted: Option<&'static str>,
    ) -> Option<Result<Arrival, Rejection>> {
        let queue = self.row.target.dead_letters.as_deref()?;
        let (code, message) = told(rejection);
        let mut attributes = vec![
            text("ERROR_CODE", code),
            text("ERROR_MESSAGE", message),
            text("EXECUTION_ID", self.text()),
            text("IS_PAYLOAD_TRUNCATED", "false"),
            text("RETRY_ATTEMPTS", (tried - 1).to_string()),
            text("SCHEDULED_TIME", self.scheduled_time()),
            text("SCHEDULE_ARN", self.schedule_arn().as_str()),
            text("TARGET_ARN", self.target()),
        ];
        attributes.extend(exhausted.map(|condition| text("EXHAUSTED_RETRY_CONDITION", condition)));
        let sent = async {
            let caller = self.caller().await?;
            let body = self.body().await?;
            self.send(queue, &caller, body, attributes, None).await
        };
        Some(sent.await)
    }
}

fn text(name: &str, value: impl Into<String>) -> Attribute {
    let value: String = value.into();
    Attribute { name: name.to_owned(), data_type: "String".to_owned(), value: Bytes::from(value) }
}

#[cfg(test)]
mod tests {
    use millpond_io::SystemRandom;

    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound() {
        for (tried, most) in [(1, 1), (2, 2), (5, 16), (10, 512), (11, 600), (185, 600), (u32::MAX, 600)] {
            let wait = wait(tried, &SystemRandom);
            assert!(wait <= Duration::from_secs(most) && wait >= Duration::from_secs(most) / 2, "{tried}: {wait:?}");
        }
    }
}
