//! What a crawl tells: lines in the log group of crawlers, one stream a crawler, written as its role. A role that may not write logs crawls without.

use std::sync::{Arc, Mutex, PoisonError};

use millpond_io::Clock;
use millpond_kernel::{Caller, LogLine, LogWriter};
use millpond_types::Arn;

/// The log group of all crawlers.
pub(crate) const GROUP: &str = "/aws-glue/crawlers";
/// Lines that are written together, and at most of one crawl: a crawl of many odd files is no reason to fill a log.
const TOGETHER: usize = 200;
const MAX_LINES: usize = 10_000;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Info,
    Warn,
    Error,
}

/// The log of one crawl.
pub(crate) struct Log {
    clock: Arc<dyn Clock>,
    writer: Option<Arc<dyn LogWriter>>,
    group: Arn,
    stream: String,
    crawl: String,
    lines: Mutex<Vec<LogLine>>,
    count: std::sync::atomic::AtomicUsize,
}

impl Log {
    pub fn new(
        clock: Arc<dyn Clock>,
        writer: Option<Arc<dyn LogWriter>>,
        group: Arn,
        stream: String,
        crawl: String,
    ) -> Self {
        Self { clock, writer, group, stream, crawl, lines: Mutex::default(), count: Default::default() }
    }

    /// Says something.
    pub fn say(&self, level: Level, text: &str) {
        use std::sync::atomic::Ordering;
        let word = match level {
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        };
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        if count > MAX_LINES && level != Level::Error {
            return;
        }
        let text = if count == MAX_LINES { "No more is told of this crawl but errors." } else { text };
        let message = format!("[{}] {word} : {text}", self.crawl);
        let line = LogLine { time: self.clock.now(), message };
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    pub fn info(&self, text: impl AsRef<str>) {
        self.say(Level::Info, text.as_ref());
    }

    pub fn warn(&self, text: impl AsRef<str>) {
        self.say(Level::Warn, text.as_ref());
    }

    /// Writes what waits.
    pub async fn flush(&self, caller: &Caller) {
        let lines = std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(writer) = self.writer.as_ref().filter(|_| !lines.is_empty()) else { return };
        for some in lines.chunks(TOGETHER) {
            let written = match writer.write(&self.group, &self.stream, caller, some).await {
                Ok(()) => Ok(()),
                // The first crawler of an account.
                Err(_) => match writer.make_group(&self.group, caller).await {
                    Ok(()) => writer.write(&self.group, &self.stream, caller, some).await,
                    Err(rejection) => Err(rejection),
                },
            };
            if let Err(rejection) = written {
                tracing::debug!(%rejection, crawler = self.stream, "lines of a crawl were not written");
                return;
            }
        }
    }
}
