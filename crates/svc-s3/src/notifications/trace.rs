//! What `millpond trace` is told of the changes of an object: what the configuration that was in effect made of each, and what became of its deliveries.

use std::ops::Bound;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::trace::{Asked, Kept, Line, Outcome, Traced, caused_by, is_caused, kept, time_text};
use millpond_lake::{Bucket, ChangeEntry, ChangeKind, ConfigKind, Lake, VersionId, journal_of};
use millpond_meta::key::prefix_end;
use millpond_meta::{Position, ReadError, Scan};
use millpond_types::{Arn, BucketName, Timestamp};

use crate::notifications::Notifications;
use crate::notifications::consumer::{Announcer, delivery_id, event_id};
use crate::notifications::events::Events;
use crate::notifications::render;
use crate::notifications::rule::Destination;

/// Changes that are told of, the newest ones.
const MAX_CHANGES: usize = 20;
/// Entries of a journal that are looked through for an object, the newest first: a fraction of a second.
const MAX_LOOKED_AT: usize = 100_000;
/// The same of each journal, where any of them may have what is asked about; and of all together.
const MAX_LOOKED_AT_EACH: usize = 50_000;
const MAX_LOOKED_AT_ALL: usize = 1_000_000;
const PAGE: usize = 500;
/// A time before all changes.
const ALWAYS: Timestamp = Timestamp(0);

/// The service as it is asked.
pub struct Tracing {
    /// The buckets.
    pub lake: Lake,
    /// Who tells of their changes.
    pub announcer: Announcer,
}

/// What was in effect at a change.
enum InEffect {
    Nothing,
    Known(Notifications),
    /// The entry that put it into effect is no longer in the journal, or too far back.
    Unknown,
}

/// Changes that were found, and the configurations beside them; both the newest first.
#[derive(Default)]
struct Found {
    changes: Vec<ChangeEntry>,
    configs: Vec<(Position, Bytes)>,
    /// Whether nothing is older than what was looked at.
    whole: bool,
    /// Entries that were looked at.
    looked: usize,
}

fn failed(error: &dyn std::fmt::Display) -> ReadError {
    ReadError::Failed(error.to_string())
}

impl Tracing {
    /// The newest changes that are wanted, and all configurations down to the one in effect at the oldest of them. Changes are not wanted of before
    /// `since`.
    async fn find(
        &self,
        bucket: &Bucket,
        (most, since): (usize, Timestamp),
        wanted: impl Fn(&ChangeEntry) -> bool,
    ) -> Result<Found, ReadError> {
        let stream = journal_of(bucket.id);
        let from = Bound::Included(stream.clone());
        let mut to = Bound::Excluded(prefix_end(&stream));
        let mut found = Found::default();
        while found.looked < most {
            let scan = Scan { from: from.clone(), to: to.clone(), reverse: true, limit: PAGE };
            let page = self.announcer.parts().kv.scan(scan).await?;
            let mut old = true;
            for (key, row) in &page {
                let Some(position) = Position::from_key(key) else { continue };
                let change = ChangeEntry::read(position, row).map_err(|error| failed(&error))?;
                old &= change.time < since;
                found.whole |= change.kind == ChangeKind::BucketCreated;
                if let Some((ConfigKind::Notifications, row)) = &change.config {
                    found.configs.push((position, row.clone()));
                    if found.changes.len() == MAX_CHANGES {
                        return Ok(found);
                    }
                } else if found.changes.len() < MAX_CHANGES && wanted(&change) {
                    found.changes.push(change);
                }
            }
            found.looked += page.len();
            // Where no configuration was put since, the one of now was in effect.
            if old && (found.changes.is_empty() || found.configs.is_empty()) {
                break;
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => to = Bound::Excluded(last.clone()),
                _ => break,
            }
        }
        Ok(found)
    }

    /// What was in effect at a change: what the newest entry before it put, or what is in effect now where no entry changed that.
    fn in_effect(&self, bucket: &Bucket, found: &Found, at: Position) -> Result<InEffect, ReadError> {
        let before = found.configs.iter().find(|(position, _)| *position < at);
        let row = match before {
            Some((_, row)) => row.clone(),
            None if found.configs.is_empty() => bucket.config(ConfigKind::Notifications).cloned().unwrap_or_default(),
            None if found.whole => return Ok(InEffect::Nothing),
            None => return Ok(InEffect::Unknown),
        };
        if row.is_empty() {
            return Ok(InEffect::Nothing);
        }
        let read = Notifications::read(&row);
        Ok(InEffect::Known(read.ok_or_else(|| failed(&"a notification configuration cannot be read"))?))
    }

    async fn of_object(&self, bucket: &str, key: &str) -> Result<Vec<Line>, ReadError> {
        let Some(bucket) = bucket.parse().ok().and_then(|name: BucketName| self.lake.known_bucket(&name)) else {
            return Ok(Vec::new());
        };
        let found = self.find(&bucket, (MAX_LOOKED_AT, ALWAYS), |change| change.key == key).await?;
        self.told(&bucket, &found).await
    }

    async fn of_request(&self, id: &str) -> Result<Vec<Line>, ReadError> {
        let id = id.to_ascii_uppercase();
        // Ids of requests to S3 have this form, and nothing else that is asked about has.
        if id.len() != 16 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(Vec::new());
        }
        self.of_all(ALWAYS, |change| change.request_id.to_string() == id).await
    }

    /// Changes of objects in whichever bucket.
    async fn of_all(&self, since: Timestamp, wanted: impl Fn(&ChangeEntry) -> bool) -> Result<Vec<Line>, ReadError> {
        let (mut left, mut lines) = (MAX_LOOKED_AT_ALL, Vec::new());
        for bucket in self.lake.all_buckets() {
            let of_object = |change: &ChangeEntry| !change.key.is_empty() && wanted(change);
            let found = self.find(&bucket, (MAX_LOOKED_AT_EACH.min(left), since), of_object).await?;
            left = left.saturating_sub(found.looked);
            if found.changes.len() == MAX_CHANGES {
                let name = &bucket.name;
                lines.push(Line::new(0, format!("bucket {name}: the latest {MAX_CHANGES} changes are told of")));
            }
            lines.extend(self.told(&bucket, &found).await?);
        }
        Ok(lines)
    }

    /// The newest one last, as things happened.
    async fn told(&self, bucket: &Bucket, found: &Found) -> Result<Vec<Line>, ReadError> {
        let mut lines = Vec::new();
        for change in found.changes.iter().rev() {
            self.change(bucket, found, change, &mut lines).await?;
        }
        Ok(lines)
    }

    async fn change(
        &self,
        bucket: &Bucket,
        found: &Found,
        change: &ChangeEntry,
        lines: &mut Vec<Line>,
    ) -> Result<(), ReadError> {
        let name = change.kind.event().map(|event| format!("s3:{event}")).unwrap_or_default();
        let version = change.version.map_or_else(String::new, |version| match version {
            VersionId::Null => ", version null".to_owned(),
            id => format!(", version {id}"),
        });
        let (operation, time, sequencer) = (&change.operation, time_text(change.time), &change.sequencer);
        let (bucket_name, key) = (&change.bucket, &change.key);
        lines.push(Line::new(
            0,
            format!("s3://{bucket_name}/{key}: {operation} at {time}, {name}{version}, sequencer {sequencer}"),
        ));
        let from = change.source_ip.map_or_else(String::new, |address| format!(" from {address}"));
        lines.push(Line::new(1, format!("by {}{from}, request {}", change.requester, change.request_id)));
        lines.extend(caused_by(&change.causes).map(|words| Line::new(1, words)));
        let Some(kind) = Events::named(&name) else { return Ok(()) };
        let notifications = match self.in_effect(bucket, found, change.position)? {
            InEffect::Known(notifications) => notifications,
            InEffect::Nothing => {
                lines.push(Line::new(1, "the bucket had no notifications then"));
                return Ok(());
            }
            InEffect::Unknown => {
                let why = "which notifications the bucket had then is no longer in its journal";
                lines.push(Line::new(1, why));
                return Ok(());
            }
        };
        let event = event_id(bucket.id, change.position);
        let consumers = &self.announcer.parts().consumers;
        let done = consumers.floor(&journal_of(bucket.id)).is_some_and(|floor| floor >= change.position);
        let attempts = kept(&*self.announcer.parts().kv, &event).await?;
        for rule in &notifications.rules {
            let what = match rule.kind {
                Destination::Queue => "queue",
                Destination::Topic => "topic",
                Destination::Function => "function",
            };
            let title = format!("configuration {} for {what} {}", rule.id, rule.arn);
            match rule.misfit(kind, &name, key) {
                Some(why) => lines.push(Line::new(1, format!("{title}: did not match: {why}"))),
                None => lines.extend(self.delivery(&title, &event, &rule.arn, done, &attempts)),
            }
        }
        if notifications.bridge
            && render::bus_event(change, &event, notifications.owner, self.announcer.place()).is_some()
        {
            let bus = self.announcer.bus(notifications.owner);
            let title = format!("EventBridge, event {event} for {bus}");
            lines.extend(self.delivery(&title, &event, &bus, done, &attempts));
        }
        Ok(())
    }

    /// What became of the delivery for one destination.
    fn delivery(&self, title: &str, event: &str, to: &Arn, done: bool, attempts: &[Kept]) -> Vec<Line> {
        if !done {
            return vec![Line::new(1, format!("{title}: matched, and waits in the journal"))];
        }
        let id = delivery_id(event, to);
        let own: Vec<_> = attempts.iter().filter(|kept| kept.id == id).collect();
        let message = self.announcer.parts().kernel.targets().message_id(to, id);
        let (state, there) = match own.last().map(|kept| kept.outcome) {
            Some(Outcome::Again { .. }) => ("matched, and waits for another attempt", false),
            Some(Outcome::Dropped | Outcome::DeadLettered) => ("matched, and was given up", false),
            Some(Outcome::Delivered) | None => ("matched, delivered", true),
        };
        let mut first = Line::new(1, format!("{title}: {state}"));
        match message {
            Some(message) if there => {
                first.text.push_str(&format!(" as message {message}"));
                first.then.push(Asked::Message(message));
            }
            None if there && to.service() == "events" => first.then.push(Asked::Event(event.to_owned())),
            _ => {}
        }
        std::iter::once(first).chain(own.into_iter().map(|kept| Line::new(2, kept.words()))).collect()
    }
}

impl Traced for Tracing {
    fn trace<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Vec<Line>, ReadError>> {
        async move {
            match asked {
                Asked::Object { bucket, key } => self.of_object(bucket, key).await,
                Asked::Event(id) => self.of_request(id).await,
                Asked::Caused { cause, since } => self.of_all(*since, |change| is_caused(&change.causes, cause)).await,
                Asked::Message(_) | Asked::Resource(_) => Ok(Vec::new()),
            }
        }
        .boxed()
    }
}
