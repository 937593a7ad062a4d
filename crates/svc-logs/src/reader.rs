//! Lines of streams, for operators: `millpond trace`.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::{LinesAt, LogLine, LogReader, StreamLine};
use millpond_meta::key::prefix_end;
use millpond_meta::{Key, ReadError};
use millpond_types::{Arn, Timestamp};

use crate::ops::events::{Event, Window};
use crate::state::{Core, Group, stream_of};
use crate::tables::{self, Place};
use crate::target::{Address, Door};

fn failed(error: &dyn std::fmt::Display) -> ReadError {
    ReadError::Failed(error.to_string())
}

fn place(text: &str) -> Result<Place, ReadError> {
    Place::parse(text).ok_or_else(|| ReadError::Failed(format!("{text} is no place in a log stream")))
}

impl Core {
    async fn group_at(&self, group: &Arn) -> Result<Option<Group>, ReadError> {
        let address = Address::of(self, group).map_err(|error| failed(&error))?;
        self.find_group(address.account, &address.group).await.map_err(|error| failed(&error))
    }

    async fn ingested_since(
        &self,
        group: &Arn,
        prefix: &str,
        since: u64,
        most: usize,
    ) -> Result<Vec<String>, ReadError> {
        let Some(group) = self.group_at(group).await? else { return Ok(Vec::new()) };
        let from = tables::streams(group.id, prefix);
        let mut found = Vec::new();
        for (key, raw) in self.page_back(from.clone(), prefix_end(&from), most).await? {
            let stream = stream_of(&key, raw).map_err(|error| failed(&error))?;
            let last = self.kv.get(&tables::of_stream(tables::INGESTED, group.id, stream.id)).await?;
            let last = last.and_then(|row| <[u8; 8]>::try_from(row.as_ref()).ok()).map(u64::from_be_bytes);
            if last.is_some_and(|last| last >= since) {
                found.push(stream.name);
            }
        }
        Ok(found)
    }

    async fn some_lines(
        &self,
        group: &Arn,
        stream: &str,
        at: &LinesAt,
        most: usize,
    ) -> Result<Vec<StreamLine>, ReadError> {
        let Some(group) = self.group_at(group).await? else { return Ok(Vec::new()) };
        let found = self.find_stream(&group, stream).await.map_err(|error| failed(&error))?;
        let Some(stream) = found else { return Ok(Vec::new()) };
        let key = |place: Place| tables::event(group.id, stream.id, place);
        let window = Window::of(self, &group, None, None);
        let (first, last) = (key(Place::before(window.from)), key(Place::before(window.to)));
        let rows = match at {
            LinesAt::Until(time) => {
                let to = key(Place::before(time.millis().saturating_add(1)));
                self.page_back(first, last.min(to), most).await?
            }
            LinesAt::Before(at) => self.page_back(first, last.min(key(place(at)?)), most).await?,
            LinesAt::From(at) => self.page(first.max(key(place(at)?)), last, most).await?,
        };
        let mut lines = Vec::with_capacity(rows.len());
        for (key, raw) in &rows {
            lines.push(self.stream_line(key, raw).await?);
        }
        Ok(lines)
    }

    async fn stream_line(&self, key: &Key, raw: &Bytes) -> Result<StreamLine, ReadError> {
        let Event { place, message, .. } = self.event(key, raw).await.map_err(|error| failed(&error))?;
        let time = Timestamp(place.time.saturating_mul(1_000_000));
        Ok(StreamLine { place: place.digits(), line: LogLine { time, message } })
    }
}

impl LogReader for Door {
    fn streams<'a>(
        &'a self,
        group: &'a Arn,
        prefix: &'a str,
        since: Timestamp,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, ReadError>> {
        self.0.ingested_since(group, prefix, since.millis(), most).boxed()
    }

    fn lines<'a>(
        &'a self,
        group: &'a Arn,
        stream: &'a str,
        at: &'a LinesAt,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<StreamLine>, ReadError>> {
        self.0.some_lines(group, stream, at, most).boxed()
    }
}
