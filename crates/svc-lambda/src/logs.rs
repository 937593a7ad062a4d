//! What functions print, on its way into their log groups. Written as the function's role, in the background: what comes faster than it can be
//! written is dropped and counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use millpond_kernel::{Caller, LogLine, LogWriter, Rejection};
use millpond_types::{AccountId, Arn};
use tokio::sync::mpsc;

use crate::state::Core;

/// Batches that wait to be written.
const WAITING: usize = 4_096;
/// Batches that are taken together: what one worker printed meanwhile is one write.
const TOGETHER: usize = WAITING;
/// Between two rounds of writes: a busy worker's lines become one commit instead of several for each invocation.
const GATHERED: Duration = Duration::from_millis(20);
/// Writes at the same time, each a commit.
const SIDE_BY_SIDE: usize = 32;

/// Lines of one worker.
pub(crate) struct Printed {
    /// The function.
    pub function: Arn,
    pub account: AccountId,
    pub role: String,
    pub group: String,
    pub stream: String,
    pub lines: Vec<LogLine>,
}

/// The queue of lines.
pub(crate) struct Lines {
    sender: mpsc::Sender<Printed>,
    receiver: Mutex<Option<mpsc::Receiver<Printed>>>,
    dropped: AtomicU64,
}

impl Default for Lines {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self { sender, receiver: Mutex::new(Some(receiver)), dropped: AtomicU64::new(0) }
    }
}

impl Lines {
    /// Takes lines, without waiting.
    pub fn push(&self, printed: Printed) {
        let count = printed.lines.len() as u64;
        if self.sender.try_send(printed).is_err() {
            self.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Lines that were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Core {
    /// Writes lines until `stop`; those that wait then are written.
    pub async fn write_lines(self: &Arc<Self>, stop: impl Future<Output = ()>) {
        let taken = self.lines.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut receiver) = taken else { return };
        tokio::pin!(stop);
        loop {
            let mut some = Vec::new();
            tokio::select! {
                count = receiver.recv_many(&mut some, TOGETHER) => match count {
                    0 => return,
                    _ => self.write(some).await,
                },
                () = &mut stop => break,
            }
            tokio::select! {
                () = tokio::time::sleep(GATHERED) => {}
                () = &mut stop => break,
            }
        }
        loop {
            let mut some = Vec::new();
            while some.len() < TOGETHER
                && let Ok(printed) = receiver.try_recv()
            {
                some.push(printed);
            }
            if some.is_empty() {
                return;
            }
            self.write(some).await;
        }
    }

    async fn write(&self, all: Vec<Printed>) {
        let writes = together(all).into_iter().map(|printed| self.write_one(printed));
        stream::iter(writes).buffer_unordered(SIDE_BY_SIDE).collect::<()>().await;
    }

    async fn write_one(&self, printed: Printed) {
        let Printed { function, account, role, group, stream, lines } = printed;
        let Some(writer) = self.kernel.log_writer() else { return };
        let to = Arn::new("logs", self.kernel.region().as_str(), account.as_str(), &format!("log-group:{group}"));
        let session = function.resource().rsplit(':').next().unwrap_or("function").to_owned();
        let written = match self.assume(&function, account, &role, &session, Vec::new()).await {
            Ok(from) => written(&*writer, &to, &stream, &from, &lines).await,
            Err(rejection) => Err(rejection),
        };
        if let Err(rejection) = written {
            self.lines.dropped.fetch_add(lines.len() as u64, Ordering::Relaxed);
            tracing::debug!(%rejection, function = function.as_str(), "lines of a function were not written");
        }
    }
}

/// Writes lines; the group is made, if it is not there and the role may make it.
async fn written(
    writer: &dyn LogWriter,
    to: &Arn,
    stream: &str,
    from: &Caller,
    lines: &[LogLine],
) -> Result<(), Rejection> {
    match writer.write(to, stream, from, lines).await {
        Err(Rejection::NotFound(_)) => {
            writer.make_group(to, from).await?;
            writer.write(to, stream, from, lines).await
        }
        written => written,
    }
}

/// What one worker printed becomes one.
fn together(all: Vec<Printed>) -> Vec<Printed> {
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    let mut merged: Vec<Printed> = Vec::new();
    for printed in all {
        let place = places.entry((printed.group.clone(), printed.stream.clone())).or_insert(merged.len());
        match merged.get_mut(*place) {
            Some(before) => before.lines.extend(printed.lines),
            None => merged.push(printed),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use millpond_types::Timestamp;

    use super::*;

    #[test]
    fn lines_of_one_worker_are_written_together() {
        let printed = |stream: &str, text: &str| Printed {
            function: Arn::parse("arn:aws:lambda:us-east-1:123456789012:function:f").unwrap(),
            account: "123456789012".parse().unwrap(),
            role: "r".into(),
            group: "g".into(),
            stream: stream.into(),
            lines: vec![LogLine { time: Timestamp(0), message: text.into() }],
        };
        let all = together(vec![printed("a", "1"), printed("b", "2"), printed("a", "3")]);
        let texts: Vec<Vec<&str>> =
            all.iter().map(|one| one.lines.iter().map(|line| line.message.as_str()).collect()).collect();
        assert_eq!(texts, [vec!["1", "3"], vec!["2"]]);
    }
}
