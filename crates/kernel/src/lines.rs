//! Where services of ours write lines of logs: what functions print, what deliveries tell; and read them for operators. Implemented by the log service.

use futures_util::future::BoxFuture;
use millpond_meta::ReadError;
use millpond_types::{Arn, Timestamp};

use crate::{Caller, Rejection};

/// A line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    /// When it was written.
    pub time: Timestamp,
    /// What it says.
    pub message: String,
}

/// Takes lines.
pub trait LogWriter: Send + Sync + 'static {
    /// Makes a group, if it is not there. Decided as the caller: `logs:CreateLogGroup`.
    fn make_group<'a>(&'a self, group: &'a Arn, from: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>>;

    /// Writes lines into a stream of a group (`arn:aws:logs:REGION:ACCOUNT:log-group:NAME`), which is made if it is not there. Durable when it
    /// returns. Decided as the caller: `logs:PutLogEvents`, and `logs:CreateLogStream` for a new stream.
    fn write<'a>(
        &'a self,
        to: &'a Arn,
        stream: &'a str,
        from: &'a Caller,
        lines: &'a [LogLine],
    ) -> BoxFuture<'a, Result<(), Rejection>>;
}

/// A line of a stream, as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamLine {
    /// Where it stands among the lines of its stream.
    pub place: String,
    /// The line.
    pub line: LogLine,
}

/// Which lines of a stream are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinesAt {
    /// The last ones up to a time, it included; the newest first.
    Until(Timestamp),
    /// The last ones before a place; the newest first.
    Before(String),
    /// Those from a place on, the line there included; the oldest first.
    From(String),
}

/// Reads lines for operators: `millpond trace`. Not decided: for whoever may open the data dir.
pub trait LogReader: Send + Sync + 'static {
    /// The names of a group's streams that begin with `prefix`, and into which lines came at `since` or later. Of many, the last `most` are looked at.
    fn streams<'a>(
        &'a self,
        group: &'a Arn,
        prefix: &'a str,
        since: Timestamp,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, ReadError>>;

    /// At most `most` lines of a stream; fewer where there are no more. None where there is no such stream.
    fn lines<'a>(
        &'a self,
        group: &'a Arn,
        stream: &'a str,
        at: &'a LinesAt,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<StreamLine>, ReadError>>;
}
