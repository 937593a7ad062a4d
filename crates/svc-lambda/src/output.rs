//! What an invocation printed, for operators: found in its log group by the lines that begin and end it. One worker serves one invocation at a time,
//! and each has a stream of its own: all lines in between are the invocation's.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use millpond_kernel::{LinesAt, LogReader, StreamLine};
use millpond_meta::ReadError;
use millpond_types::{Arn, Timestamp};
use millpond_wire::push_iso8601;

use crate::limits::CREDENTIALS_AGE;
use crate::model::Function;
use crate::program::log_group;
use crate::state::Core;

/// Lines that are shown of one invocation: its first one, and the last ones before its end.
pub(crate) const SHOWN: usize = 100;
/// Characters that are shown of a line.
const MAX_SHOWN_CHARS: usize = 1_000;
/// Lines that are looked at for one invocation: a second or so.
const LOOKED_AT: usize = 100_000;
/// Bytes of the same.
const LOOKED_AT_BYTES: usize = 64 * 1024 * 1024;
/// Streams that are looked at of each day.
const STREAMS: usize = 10_000;
/// Lines that are read together, at first and at most.
const FIRST_PAGE: usize = 16;
const LAST_PAGE: usize = 1_000;
/// How long after its last line an invocation is known to be over, at most.
const LATE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

const START: &str = "START RequestId: ";
const REPORT: &str = "REPORT RequestId: ";
const INIT: &str = "INIT_START ";

/// What an invocation printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Output {
    /// Lines, without what separates them.
    pub lines: Vec<String>,
    /// Lines that stand behind the first one and are not shown.
    pub more: usize,
    /// Whether its report was written.
    pub ended: bool,
}

/// The times and places at which an invocation may have been at work.
pub(crate) struct Where<'a> {
    pub function: &'a Function,
    pub request_id: &'a str,
    /// A time at which it was, or shortly after its end.
    pub at: Timestamp,
    /// Its stream, where that is known.
    pub stream: Option<&'a str>,
}

/// The log groups of all versions.
pub(crate) fn log_groups(function: &Function) -> BTreeSet<String> {
    function.all_versions().map(|version| log_group(&function.name, &version.row)).collect()
}

/// The day of a time, as names of streams begin.
fn day(time: Timestamp) -> String {
    let mut text = String::new();
    push_iso8601(&mut text, time, false);
    format!("{}/", text.get(..10).unwrap_or_default().replace('-', "/"))
}

fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp(time.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
}

impl Core {
    /// What an invocation printed; `None` where nothing of it is there.
    pub async fn output(&self, place: &Where<'_>) -> Result<Option<Output>, ReadError> {
        let Some(reader) = self.kernel.log_reader() else { return Ok(None) };
        let (function, account) = (place.function, place.function.account);
        let mut newest: Option<(StreamLine, Search)> = None;
        for group in log_groups(function) {
            let group =
                Arn::new("logs", self.kernel.region().as_str(), account.as_str(), &format!("log-group:{group}"));
            let mut left = Left { lines: LOOKED_AT, bytes: LOOKED_AT_BYTES };
            for stream in streams(&*reader, &group, place).await? {
                let search = Search { reader: Arc::clone(&reader), group: group.clone(), stream };
                // An attempt that was cut off has the same id.
                if let Some(start) =
                    search.start((place.request_id, place.at), place.stream.is_some(), &mut left).await?
                    && newest.as_ref().is_none_or(|(other, _)| other.line.time <= start.line.time)
                {
                    newest = Some((start, search));
                }
            }
        }
        match newest {
            Some((start, search)) => Ok(Some(search.all(&start.place, place.request_id).await?)),
            None => Ok(None),
        }
    }
}

/// The streams of workers that were there then.
async fn streams(reader: &dyn LogReader, group: &Arn, place: &Where<'_>) -> Result<Vec<String>, ReadError> {
    if let Some(stream) = place.stream {
        return Ok(vec![stream.to_owned()]);
    }
    // A worker lives as long as its credentials, and is called by the day on which it began.
    let (mut since, mut days) = (earlier(place.at, CREDENTIALS_AGE + LATE), BTreeSet::from([day(place.at)]));
    while since < place.at {
        days.insert(day(since));
        since = since.plus(DAY);
    }
    let mut found = Vec::new();
    for day in days {
        found.extend(reader.streams(group, &day, earlier(place.at, LATE), STREAMS).await?);
    }
    Ok(found)
}

/// What may still be looked at.
struct Left {
    lines: usize,
    bytes: usize,
}

impl Left {
    fn take(&mut self, lines: &[StreamLine]) {
        self.lines = self.lines.saturating_sub(lines.len());
        let bytes = lines.iter().map(|line| line.line.message.len()).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn page(&self, size: usize) -> usize {
        if self.bytes == 0 { 0 } else { size.min(self.lines) }
    }
}

/// A stream that is looked through.
struct Search {
    reader: Arc<dyn LogReader>,
    group: Arn,
    stream: String,
}

impl Search {
    async fn page(&self, at: &LinesAt, size: usize, left: &mut Left) -> Result<Vec<StreamLine>, ReadError> {
        let lines = self.reader.lines(&self.group, &self.stream, at, left.page(size)).await?;
        left.take(&lines);
        Ok(lines)
    }

    /// The newest line before a time that begins the invocation. In a stream that may be another worker's it is not looked for behind one that began
    /// long before that.
    async fn start(
        &self,
        (request_id, until): (&str, Timestamp),
        is_known: bool,
        left: &mut Left,
    ) -> Result<Option<StreamLine>, ReadError> {
        let (mut at, mut size) = (LinesAt::Until(until), FIRST_PAGE);
        while left.page(size) > 0 {
            let page = self.page(&at, size, left).await?;
            for line in &page {
                let Some(rest) = line.line.message.strip_prefix(START) else { continue };
                if rest.starts_with(request_id) {
                    return Ok(Some(line.clone()));
                }
                if !is_known && line.line.time < earlier(until, LATE) {
                    return Ok(None);
                }
            }
            match page.last() {
                Some(last) if page.len() == size => at = LinesAt::Before(last.place.clone()),
                _ => break,
            }
            size = (size * 4).min(LAST_PAGE);
        }
        Ok(None)
    }

    /// The place of the first line: of the worker's own beginning, where that was for the invocation.
    async fn first(&self, start: &str, left: &mut Left) -> Result<String, ReadError> {
        let mut at = LinesAt::Before(start.to_owned());
        while left.page(FIRST_PAGE) > 0 {
            let page = self.page(&at, FIRST_PAGE, left).await?;
            for line in &page {
                if line.line.message.starts_with(INIT) {
                    return Ok(line.place.clone());
                }
                if line.line.message.starts_with(REPORT) || line.line.message.starts_with(START) {
                    return Ok(start.to_owned());
                }
            }
            match page.last() {
                Some(last) if page.len() == FIRST_PAGE => at = LinesAt::Before(last.place.clone()),
                _ => break,
            }
        }
        Ok(start.to_owned())
    }

    /// The lines from the first one to the report.
    async fn all(&self, start: &str, request_id: &str) -> Result<Output, ReadError> {
        let mut left = Left { lines: LOOKED_AT, bytes: LOOKED_AT_BYTES };
        let first = self.first(start, &mut left).await?;
        let (mut shown, mut at, mut size) = (Shown::default(), LinesAt::From(first), SHOWN);
        let (begins, ends) = (format!("{START}{request_id}"), format!("{REPORT}{request_id}"));
        let mut begun = false;
        while left.page(size) > 0 {
            let page = self.page(&at, size, &mut left).await?;
            // The place to go on from is the last line's own, which then comes again.
            let whole = page.len() == size;
            let next = page.last().map(|line| line.place.clone()).filter(|_| whole && size > 1);
            let taken = if next.is_some() { page.len() - 1 } else { page.len() };
            for line in page.into_iter().take(taken) {
                let text = line.line.message;
                // The worker's next invocation: this one's end was never told.
                if text.starts_with(START) && (begun || !text.starts_with(&begins)) {
                    return Ok(shown.output(false));
                }
                begun |= text.starts_with(START);
                let ended = text.starts_with(&ends);
                shown.push(&text);
                if ended {
                    return Ok(shown.output(true));
                }
            }
            match next {
                Some(next) => at = LinesAt::From(next),
                None => break,
            }
            size = LAST_PAGE;
        }
        Ok(shown.output(false))
    }
}

/// The first line and the last ones.
#[derive(Default)]
struct Shown {
    first: Option<String>,
    last: VecDeque<String>,
    more: usize,
}

impl Shown {
    /// One line of a log may have several.
    fn push(&mut self, text: &str) {
        for line in text.trim_end().split('\n') {
            let line: String = line.replace('\t', "  ").trim_end().chars().take(MAX_SHOWN_CHARS).collect();
            if self.first.is_none() {
                self.first = Some(line);
                continue;
            }
            self.last.push_back(line);
            if self.last.len() >= SHOWN {
                self.last.pop_front();
                self.more += 1;
            }
        }
    }

    fn output(self, ended: bool) -> Output {
        Output { lines: self.first.into_iter().chain(self.last).collect(), more: self.more, ended }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use millpond_kernel::LogLine;

    use super::*;

    /// One stream: a line each second.
    struct Stream(Vec<String>);

    impl LogReader for Stream {
        fn streams<'a>(
            &'a self,
            _: &'a Arn,
            _: &'a str,
            _: Timestamp,
            _: usize,
        ) -> BoxFuture<'a, Result<Vec<String>, ReadError>> {
            async { Ok(vec!["s".to_owned()]) }.boxed()
        }

        fn lines<'a>(
            &'a self,
            _: &'a Arn,
            _: &'a str,
            at: &'a LinesAt,
            most: usize,
        ) -> BoxFuture<'a, Result<Vec<StreamLine>, ReadError>> {
            let line = |(number, text): (usize, &String)| StreamLine {
                place: number.to_string(),
                line: LogLine { time: Timestamp::from_seconds(number as u64), message: text.clone() },
            };
            let (all, place) = (self.0.iter().enumerate(), |place: &str| place.parse::<usize>().unwrap());
            let found: Vec<StreamLine> = match at {
                LinesAt::Until(time) => {
                    all.rev().filter(|(at, _)| *at as u64 <= time.seconds()).take(most).map(line).collect()
                }
                LinesAt::Before(at) => all.rev().filter(|(n, _)| *n < place(at)).take(most).map(line).collect(),
                LinesAt::From(at) => all.skip(place(at)).take(most).map(line).collect(),
            };
            async move { Ok(found) }.boxed()
        }
    }

    async fn found(lines: &[String], id: &str, at: u64) -> Option<Output> {
        let group = Arn::parse("arn:aws:logs:us-east-1:123456789012:log-group:g").unwrap();
        let search = Search { reader: Arc::new(Stream(lines.to_vec())), group, stream: "s".to_owned() };
        let mut left = Left { lines: LOOKED_AT, bytes: LOOKED_AT_BYTES };
        let start = search.start((id, Timestamp::from_seconds(at)), false, &mut left).await.unwrap()?;
        Some(search.all(&start.place, id).await.unwrap())
    }

    fn served(id: &str, printed: usize) -> Vec<String> {
        let mut lines = vec![format!("START RequestId: {id} Version: 1")];
        lines.extend((0..printed).map(|number| format!("{id} {number}")));
        lines.extend([format!("END RequestId: {id}"), format!("REPORT RequestId: {id}\tDuration: 1 ms\t")]);
        lines
    }

    #[tokio::test]
    async fn lines_of_one_invocation() {
        let init = vec!["INIT_START Runtime Version: x".to_owned(), "module".to_owned()];
        let lines = [init, served("a", 2), served("b", 300), served("a", 1), vec!["START RequestId: c".to_owned()]];
        let lines = lines.concat();
        let first = found(&lines, "a", 10).await.unwrap();
        assert_eq!((first.lines.len(), first.more, first.ended), (7, 0, true));
        assert_eq!(
            (first.lines[1].as_str(), first.lines[6].as_str()),
            ("module", "REPORT RequestId: a  Duration: 1 ms")
        );
        let long = found(&lines, "b", 309).await.unwrap();
        assert_eq!((long.lines.len(), long.more, long.ended), (SHOWN, 203, true));
        assert!(long.lines[0].starts_with("START RequestId: b") && long.lines[SHOWN - 3] == "b 299");
        let again = found(&lines, "a", 320).await.unwrap();
        assert_eq!((again.lines.len(), again.ended), (4, true));
        let open = found(&lines, "c", 320).await.unwrap();
        assert_eq!((open.lines.len(), open.ended), (1, false));
        // Behind another one that began long before, and never.
        assert_eq!(found(&lines, "a", 308).await, None);
        assert_eq!(found(&lines, "d", 320).await, None);
    }

    #[tokio::test]
    async fn one_that_was_cut_off_ends_before_the_next() {
        let lines = [vec!["START RequestId: a".to_owned(), "one\ntwo".to_owned()], served("b", 0)].concat();
        let cut = found(&lines, "a", 4).await.unwrap();
        assert_eq!((cut.lines, cut.ended), (vec!["START RequestId: a".into(), "one".into(), "two".into()], false));
    }

    #[test]
    fn days_as_streams_are_called() {
        assert_eq!(day(Timestamp::from_seconds(1_772_323_200)), "2026/03/01/");
    }
}
