//! What `millpond trace` is told of operations on an object: which trails recorded them, and whether they are in a log file yet.

use std::ops::Bound;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::audit::{Recorded, data_stream};
use millpond_kernel::streams::Consumers;
use millpond_kernel::trace::{Asked, Line, Traced};
use millpond_meta::key::prefix_end;
use millpond_meta::{Key, Position, ReadError, Scan};
use millpond_types::{AccountId, Arn};

use crate::files::folder;
use crate::reader::Seen;
use crate::state::Trails;
use crate::tables::{self, TrailRow};

/// Operations that are told of, the newest ones.
const MAX_TOLD: usize = 20;
/// Records of an account, and of what waits for a log file, that are looked through, the newest first: they are JSON of a KiB each.
const MAX_LOOKED_AT: usize = 20_000;
const PAGE: usize = 500;

/// The service as it is asked.
pub struct Tracing {
    pub trails: Trails,
    pub consumers: Consumers,
}

/// A record of data events.
struct Told {
    position: Position,
    record: Recorded,
    seen: Seen,
    resources: Vec<String>,
}

/// Whether some bytes stand within others.
fn has(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

impl Tracing {
    /// The newest entries of a stream that are wanted.
    async fn newest<T>(
        &self,
        stream: Key,
        most: usize,
        wanted: impl Fn(Position, &Bytes) -> Option<T>,
    ) -> Result<Vec<T>, ReadError> {
        let mut to = Bound::Excluded(prefix_end(&stream));
        let from = Bound::Included(stream);
        let mut found = Vec::new();
        for _ in 0..MAX_LOOKED_AT / PAGE {
            let scan = Scan { from: from.clone(), to: to.clone(), reverse: true, limit: PAGE };
            let page = self.trails.kv().scan(scan).await?;
            found.extend(page.iter().filter_map(|(key, value)| wanted(Position::from_key(key)?, value)));
            match page.last() {
                Some((last, _)) if page.len() == PAGE && found.len() < most => to = Bound::Excluded(last.clone()),
                _ => break,
            }
        }
        found.truncate(most);
        Ok(found)
    }

    async fn of_object(&self, bucket: &str, key: &str) -> Result<Vec<Line>, ReadError> {
        let arn = Arn::s3(bucket, Some(key)).to_string();
        let text = serde_json::to_string(&arn).unwrap_or_default();
        let wanted = |position, value: &Bytes| {
            let record = Recorded::read(value).filter(|record| has(&record.json, text.as_bytes()))?;
            let seen: Seen = serde_json::from_slice(&record.json).ok()?;
            let resources = seen.resources();
            resources.contains(&arn).then_some(Told { position, record, seen, resources })
        };
        let mut lines = Vec::new();
        for (account, own) in self.trails.all().iter() {
            for told in self.newest(data_stream(*account), MAX_TOLD, wanted).await?.iter().rev() {
                let Seen { event_id, event_name, event_time, request_id, .. } = &told.seen;
                lines.push(Line::new(
                    0,
                    format!("{event_name} at {event_time}, request {request_id}, was recorded as {event_id} for account {account}"),
                ));
                for trail in own.values() {
                    lines.push(self.on_trail(*account, trail, told).await?);
                }
            }
        }
        Ok(lines)
    }

    async fn on_trail(&self, account: AccountId, trail: &TrailRow, told: &Told) -> Result<Line, ReadError> {
        let read = self.consumers.floor(&data_stream(account)).is_some_and(|floor| floor >= told.position);
        let line = |text: &str| Line::new(1, format!("trail {}: {text}", trail.name));
        if !trail.logged(told.record.time) {
            return Ok(line("did not log then"));
        }
        if !trail.selects(&told.seen.selected(true, &told.resources)) {
            return Ok(line("its event selectors do not select this"));
        }
        if !read {
            return Ok(line("selects it, and waits to read it"));
        }
        let same = |_, value: &Bytes| (*value == told.record.json).then_some(());
        let waits = !self.newest(tables::queued(trail.id()), 1, same).await?.is_empty();
        let place = format!("s3://{}/{}", trail.bucket, folder(trail, account));
        let text = if waits { "waits for the next log file below" } else { "is in a log file below" };
        Ok(line(&format!("selects it, and it {text} {place}")).then(Asked::Event(told.seen.event_id.clone())))
    }
}

impl Traced for Tracing {
    fn trace<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Vec<Line>, ReadError>> {
        async move {
            match asked {
                Asked::Object { bucket, key } => self.of_object(bucket, key).await,
                // The event of a record is one of a bus, which tells of it.
                Asked::Event(_) | Asked::Message(_) | Asked::Resource(_) | Asked::Caused { .. } => Ok(Vec::new()),
            }
        }
        .boxed()
    }
}
