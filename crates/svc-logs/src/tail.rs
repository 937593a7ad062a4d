//! The latest lines of a group, for operators: `millpond logs`.

use millpond_types::AccountId;

use crate::Logs;
use crate::errors::Failure;
use crate::filter::Pattern;
use crate::limits::MAX_EVENTS;
use crate::ops::events::Window;
use crate::ops::search::Merge;
use crate::state::stream_of;
use crate::tables::{self, Place};

/// A line as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrittenLine {
    /// Its own.
    pub id: String,
    /// Milliseconds since the epoch.
    pub time: u64,
    /// The stream that it is in.
    pub stream: String,
    /// What it says.
    pub message: String,
}

/// Lines, and where to go on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lines {
    /// In the order of their times.
    pub lines: Vec<WrittenLine>,
    /// Where there are more.
    pub next: Option<String>,
}

impl Logs {
    /// Lines of a group from a time on, in milliseconds since the epoch, or from where an answer before ended; `None` when there is no such group.
    /// Not decided: for whoever may open the data dir.
    ///
    /// # Errors
    /// Why they cannot be read, in words.
    pub async fn lines(
        &self,
        account: AccountId,
        group: &str,
        since: u64,
        next: Option<&str>,
    ) -> Result<Option<Lines>, String> {
        let said = |failure: Failure| match failure {
            Failure::Error(error) => error.to_string(),
            Failure::Changed => "the group changed meanwhile".to_owned(),
        };
        let core = &self.core;
        let found = core.find_group(account, group).await.map_err(|error| error.to_string())?;
        let Some(group) = found else { return Ok(None) };
        let rows = core.rows(tables::streams(group.id, "")).await.map_err(|error| error.to_string())?;
        let streams = rows.into_iter().map(|(key, raw)| stream_of(&key, raw)).collect::<Result<_, _>>();
        let streams = streams.map_err(|error| error.to_string())?;
        let from = next.map(|next| Place::parse(next).ok_or("there is no such place")).transpose()?;
        let window = Window::of(core, &group, i64::try_from(since).ok(), None);
        let mut merge = Merge::new(core, &group, streams, window, from).await.map_err(said)?;
        let pattern = Pattern::parse("").map_err(|error| error.to_string())?;
        let (events, next) = merge.collect(&pattern, MAX_EVENTS).await.map_err(said)?;
        let line = |event: millpond_api_logs::FilteredLogEvent| WrittenLine {
            id: event.event_id.unwrap_or_default(),
            time: event.timestamp.and_then(|time| u64::try_from(time).ok()).unwrap_or_default(),
            stream: event.log_stream_name.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
        };
        Ok(Some(Lines { lines: events.into_iter().map(line).collect(), next }))
    }
}
