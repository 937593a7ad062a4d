//! Events that other services write into groups: as a target of deliveries, and line by line.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_logs as api;
use millpond_kernel::{Arrival, Caller, Delivery, LogLine, LogWriter, Pin, Rejection, Target};
use millpond_types::{AccountId, Arn};

use crate::errors::{Failure, LogsError, NO_GROUP};
use crate::inputs::{Touch, Written};
use crate::limits::{EVENT_OVERHEAD, MAX_AGE_MS, MAX_AHEAD_MS, MAX_BATCH_BYTES, MAX_EVENT_BYTES, MAX_EVENTS};
use crate::ops::events::{New, written};
use crate::ops::groups::create;
use crate::ops::streams::make;
use crate::state::{Core, Group, Stream};

/// Where it goes.
pub(crate) struct Address {
    pub account: AccountId,
    pub group: String,
}

impl Address {
    /// Of `arn:aws:logs:REGION:ACCOUNT:log-group:NAME`, with or without `:*`.
    pub fn of(core: &Core, arn: &Arn) -> Result<Self, Rejection> {
        let wrong = || Rejection::Invalid(format!("{arn} is not the ARN of a log group of this region."));
        let here = arn.service() == "logs" && arn.region() == core.kernel.region().as_str();
        let account = arn.account().and_then(|account| account.parse().ok()).filter(|_| here).ok_or_else(wrong)?;
        let name = arn.resource().strip_prefix("log-group:").ok_or_else(wrong)?;
        let name = name.strip_suffix(":*").unwrap_or(name);
        if name.is_empty() || name.contains(':') {
            return Err(wrong());
        }
        Ok(Self { account, group: name.to_owned() })
    }
}

/// What a sender is called in the names of streams: `events` of `events.amazonaws.com`, or who a role's session is.
fn sender(from: &Caller) -> String {
    let name = match from.principal() {
        millpond_kernel::Principal::Service { name } => name.split('.').next().unwrap_or_default().to_owned(),
        millpond_kernel::Principal::Role { name, .. } => name.clone(),
        _ => "events".to_owned(),
    };
    name.replace([':', '*'], "-")
}

/// A stream for each sender and day.
fn stream_name(from: &Caller, now_ms: u64) -> String {
    let mut day = String::new();
    let time = millpond_types::Timestamp(now_ms.saturating_mul(1_000_000));
    millpond_wire::push_iso8601(&mut day, time, false);
    let day = day.get(..10).unwrap_or_default().replace('-', "/");
    format!("{}/{day}", sender(from))
}

impl Core {
    async fn open_to(
        &self,
        address: &Address,
        stream: &str,
        from: &Caller,
        creates: bool,
    ) -> Result<(Pin, Group), LogsError> {
        let found = self.find_group(address.account, &address.group).await?;
        let suffix = format!(":log-stream:{stream}");
        let arn = self.arn(address.account, &address.group, &suffix);
        let mut touch = match &found {
            Some(group) => Touch::stream(self, &Written, group, stream),
            None => Touch::new(&Written, address.account, arn.clone()),
        };
        if creates {
            touch = touch.and("logs:CreateLogStream", arn);
        }
        let authorized = self.authorize(from, touch).await?;
        Ok((authorized.pin(), found.ok_or(NO_GROUP)?))
    }

    /// The stream to write into, made if it is not there, in a commit of its own: several writings of one commit share it.
    async fn stream_for(&self, address: &Address, name: &str, from: &Caller) -> Result<(Pin, Group, Stream), Failure> {
        let (pin, group) = self.open_to(address, name, from, false).await?;
        if let Some(stream) = self.find_stream(&group, name).await? {
            return Ok((pin, group, stream));
        }
        let (pin, group) = self.open_to(address, name, from, true).await?;
        make(self, pin, &group, name).await?;
        let stream = self.find_stream(&group, name).await?.ok_or(Failure::Changed)?;
        Ok((pin, group, stream))
    }
}

/// The service as others reach it.
pub(crate) struct Door(pub Arc<Core>);

impl Target for Door {
    fn check<'a>(&'a self, to: &'a Arn, from: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>> {
        async move {
            let address = Address::of(&self.0, to)?;
            let name = stream_name(from, self.0.now());
            self.0.open_to(&address, &name, from, true).await?;
            Ok(())
        }
        .boxed()
    }

    fn arrive<'a>(
        &'a self,
        to: &'a Arn,
        from: &'a Caller,
        delivery: &'a Delivery,
    ) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        async move {
            let core = &self.0;
            let address = Address::of(core, to)?;
            let text = |_| Rejection::Invalid("A log event is text in UTF-8.".to_owned());
            let message = std::str::from_utf8(&delivery.body).map_err(text)?;
            if message.is_empty() || message.len() + EVENT_OVERHEAD > MAX_EVENT_BYTES {
                return Err(Rejection::Invalid(format!("A log event has 1 to {MAX_EVENT_BYTES} bytes.")));
            }
            let name = stream_name(from, core.now());
            let (pin, group, stream) =
                core.kernel.again(|| async { core.stream_for(&address, &name, from).await }).await?;
            let time = in_range(delivery.time.millis(), core.now());
            let (mut conds, ops) = written(core, &group, &stream, &[New { time, message }])?;
            conds.push(pin.cond());
            Ok(Arrival { conds, ops })
        }
        .boxed()
    }
}

/// A time at which an event may be: what took long to come counts as of now.
fn in_range(time: u64, now: u64) -> u64 {
    let fits = (now.saturating_sub(MAX_AGE_MS)..=now.saturating_add(MAX_AHEAD_MS)).contains(&time);
    if fits { time } else { now }
}

impl LogWriter for Door {
    fn make_group<'a>(&'a self, group: &'a Arn, from: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>> {
        async move {
            let address = Address::of(&self.0, group)?;
            let input = api::CreateLogGroupInput { log_group_name: address.group, ..Default::default() };
            match self.0.kernel.again(|| create(&self.0, from, address.account, &input)).await {
                // Somebody else made it.
                Ok(_) | Err(LogsError::Exists(_)) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
        .boxed()
    }

    fn write<'a>(
        &'a self,
        to: &'a Arn,
        stream: &'a str,
        from: &'a Caller,
        lines: &'a [LogLine],
    ) -> BoxFuture<'a, Result<(), Rejection>> {
        async move {
            let core = &self.0;
            let address = Address::of(core, to)?;
            let stream_ok = !stream.is_empty() && !stream.contains([':', '*']);
            if !stream_ok {
                return Err(Rejection::Invalid(format!("{stream:?} is not the name of a log stream.")));
            }
            let now = core.now();
            let new = |line: &'a LogLine| New { time: in_range(line.time.millis(), now), message: &line.message };
            let mut events: Vec<_> = lines.iter().filter(|line| !line.message.is_empty()).map(new).collect();
            events.sort_by_key(|event| event.time);
            for batch in batches(&events)? {
                let write = || async {
                    let (pin, group, stream) = core.stream_for(&address, stream, from).await?;
                    let (conds, ops) = written(core, &group, &stream, batch)?;
                    core.commit(pin, conds, ops).await
                };
                core.kernel.again(write).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// Events as they fit into commits.
fn batches<'a, 'b>(events: &'a [New<'b>]) -> Result<Vec<&'a [New<'b>]>, Rejection> {
    let mut batches = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (at, event) in events.iter().enumerate() {
        let size = event.message.len() + EVENT_OVERHEAD;
        if size > MAX_EVENT_BYTES {
            return Err(Rejection::Invalid(format!("A log event has at most {MAX_EVENT_BYTES} bytes.")));
        }
        if bytes + size > MAX_BATCH_BYTES || at - from == MAX_EVENTS {
            batches.extend(events.get(from..at));
            (from, bytes) = (at, 0);
        }
        bytes += size;
    }
    batches.extend(events.get(from..).filter(|rest| !rest.is_empty()));
    Ok(batches)
}
