//! The readers of records: what a trail selects goes into its next log file, and to the default bus of its account as `AWS API Call via CloudTrail`
//! (EventBridge User Guide, "AWS service events delivered via AWS CloudTrail"), together with the cursor.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_io::{Clock, Random};
use millpond_kernel::audit::{Recorded, account_of_stream};
use millpond_kernel::streams::{Consumer, Entry, MAX_STEP_BYTES, MAX_STEP_ITEMS, Step, StepError};
use millpond_kernel::{Caller, Delivery, Kernel, Rejection, ServiceCall, ServiceIdentity};
use millpond_meta::{Key, Op};
use millpond_types::{AccountId, Arn, RequestId, Timestamp};
use serde::Deserialize;

use crate::selectors::Selected;
use crate::state::{OfAccount, Trails};
use crate::tables;

/// The principal of the service.
pub const PRINCIPAL: &str = "cloudtrail.amazonaws.com";
/// The reader of management events, in cursors; never changed.
pub const MANAGEMENT: &str = "cloudtrail-management";
/// The reader of data events.
pub const DATA: &str = "cloudtrail-data";
/// How long data events stay in their streams after they were read: for `millpond trace`.
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// Bytes that an event on a bus has besides its record, at most.
const ENVELOPE: usize = 2048;
/// Management events that do not go to the bus: what is looked at only (EventBridge User Guide, same page), sessions excepted.
const UNTOLD: &[&str] = &["Get", "List", "Describe", "Head", "Lookup"];

/// What the readers work with.
#[derive(Clone)]
pub struct ReaderParts {
    pub kernel: Arc<Kernel>,
    pub trails: Trails,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

/// A reader of one of the two kinds of records.
pub struct Reader {
    parts: ReaderParts,
    identity: ServiceIdentity,
    data: bool,
}

/// The parts of a record that it is selected and named by.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Seen {
    #[serde(rename = "eventID")]
    pub event_id: String,
    #[serde(rename = "requestID")]
    pub request_id: String,
    pub event_name: String,
    event_source: String,
    pub event_time: String,
    read_only: bool,
    user_identity: Identity,
    resources: Vec<Touched>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Identity {
    arn: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Touched {
    #[serde(rename = "ARN")]
    arn: String,
}

impl Seen {
    /// The ARNs of what it is about.
    pub fn resources(&self) -> Vec<String> {
        self.resources.iter().map(|touched| touched.arn.clone()).collect()
    }

    /// As selectors see it. `resources` are its own.
    pub fn selected<'a>(&'a self, data: bool, resources: &'a [String]) -> Selected<'a> {
        Selected {
            data,
            source: &self.event_source,
            name: &self.event_name,
            read_only: self.read_only,
            caller: &self.user_identity.arn,
            resources,
        }
    }
}

impl Reader {
    /// The readers of management and of data events.
    pub fn both(parts: &ReaderParts) -> [Self; 2] {
        [false, true].map(|data| {
            let identity = parts.kernel.register(PRINCIPAL);
            Self { parts: parts.clone(), identity, data }
        })
    }

    async fn consume(&self, stream: &Key, entries: &[Entry]) -> Result<Step, StepError> {
        let account = account_of_stream(stream).ok_or_else(|| StepError::Failed("no stream of records".into()))?;
        let own = self.parts.trails.of(account);
        let (mut step, mut bytes) = (Step::default(), 0);
        for entry in entries {
            if bytes >= MAX_STEP_BYTES || step.ops.len() >= MAX_STEP_ITEMS {
                break;
            }
            match Recorded::read(&entry.value) {
                Some(record) => match self.record(&mut step, account, &own, &record).await? {
                    Some(more) => bytes += more,
                    // It must come after what the step holds.
                    None => break,
                },
                None => tracing::error!(position = %entry.position, "an audit record cannot be read; no trail has it"),
            }
            step.done += 1;
        }
        Ok(step)
    }

    /// Adds what follows from a record; how many bytes that takes at most. `None` when it must wait for the next step.
    async fn record(
        &self,
        step: &mut Step,
        account: AccountId,
        own: &OfAccount,
        record: &Recorded,
    ) -> Result<Option<usize>, StepError> {
        let logging: Vec<_> = own.values().filter(|trail| trail.logged(record.time)).collect();
        if logging.is_empty() {
            return Ok(Some(0));
        }
        let Ok(seen) = serde_json::from_slice::<Seen>(&record.json) else {
            tracing::error!("an audit record is no JSON; no trail has it");
            return Ok(Some(0));
        };
        let resources = seen.resources();
        let event = seen.selected(self.data, &resources);
        let selecting: Vec<_> = logging.into_iter().filter(|trail| trail.selects(&event)).collect();
        if selecting.is_empty() {
            return Ok(Some(0));
        }
        let mut bytes = record.json.len() * selecting.len();
        if self.data || !is_untold(&seen) {
            bytes += record.json.len() + ENVELOPE;
            if !self.tell(step, account, &seen, record).await? {
                return Ok(None);
            }
        }
        for trail in &selecting {
            step.ops.push(Op::Append { stream: tables::queued(trail.id()), value: record.json.clone() });
        }
        Ok(Some(bytes))
    }

    /// Tells the default bus; `false` when that must wait for the next step.
    async fn tell(
        &self,
        step: &mut Step,
        account: AccountId,
        seen: &Seen,
        record: &Recorded,
    ) -> Result<bool, StepError> {
        let targets = self.parts.kernel.targets();
        if !targets.has("events") {
            return Ok(true);
        }
        let region = self.parts.kernel.region();
        let bus = Arn::new("events", region.as_str(), account.as_str(), "event-bus/default");
        let Some(body) = envelope(seen, account, region.as_str(), &record.json) else { return Ok(true) };
        let caller = Caller::of_service(
            &self.identity,
            ServiceCall {
                source_arn: None,
                source_account: Some(account),
                request_id: RequestId(self.parts.random.u128()),
                now: self.parts.clock.now(),
                causes: record.causes.clone(),
            },
        );
        let delivery = Delivery {
            // The id of the record is random and kept with it: the same however often this is worked out.
            id: u128::from_str_radix(&seen.event_id.replace('-', ""), 16).unwrap_or_default(),
            body: body.into(),
            attributes: Vec::new(),
            group: None,
            dedup: None,
            time: self.parts.clock.now(),
            // What the event leads to is a further hop of what led to the call.
            causes: record.causes.clone(),
            event: seen.event_id.clone(),
        };
        match targets.arrive(&bus, &caller, &delivery).await {
            Ok(arrival) => return Ok(step.arrive(arrival)),
            Err(Rejection::Failed(why)) => return Err(StepError::Failed(why)),
            Err(rejection) => {
                tracing::error!(%account, %rejection, "the default bus does not take an event of CloudTrail")
            }
        }
        Ok(true)
    }
}

fn is_untold(seen: &Seen) -> bool {
    seen.read_only
        && UNTOLD.iter().any(|verb| seen.event_name.starts_with(verb))
        && seen.event_source != "sts.amazonaws.com"
}

/// The event of a record; `None` when the record is no text.
fn envelope(seen: &Seen, account: AccountId, region: &str, json: &[u8]) -> Option<String> {
    let record = std::str::from_utf8(json).ok()?;
    let service = seen.event_source.strip_suffix(".amazonaws.com")?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    if ![service, &seen.event_id, &seen.event_time, region].into_iter().all(plain) {
        return None;
    }
    Some(format!(
        r#"{{"version":"0","id":"{}","detail-type":"AWS API Call via CloudTrail","source":"aws.{service}","account":"{account}","time":"{}","region":"{region}","resources":[],"detail":{record}}}"#,
        seen.event_id, seen.event_time
    ))
}

impl Consumer for Reader {
    fn name(&self) -> &'static str {
        if self.data { DATA } else { MANAGEMENT }
    }

    fn table(&self) -> u8 {
        use millpond_kernel::tables::{AUDIT, AUDIT_DATA};
        if self.data { AUDIT_DATA } else { AUDIT }
    }

    fn step<'a>(&'a self, stream: &'a Key, entries: &'a [Entry], _: u32) -> BoxFuture<'a, Result<Step, StepError>> {
        self.consume(stream, entries).boxed()
    }

    fn time_of(&self, value: &Bytes) -> Option<Timestamp> {
        Recorded::read(value).map(|record| record.time)
    }

    /// Management events are the account's history, which has its own end.
    fn keep(&self) -> Option<Duration> {
        self.data.then_some(KEEP)
    }
}
