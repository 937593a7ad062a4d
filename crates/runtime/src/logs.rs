//! What a worker prints, as log lines.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use millpond_io::Clock;
use millpond_types::Timestamp;
use tokio::net::unix::pipe::Receiver;

use crate::program::{Host, Program};

/// The longest line; the rest becomes the next one. The largest log event ("CloudWatch Logs quotas").
const MAX_LINE: usize = 256 * 1024;
/// Bytes of the end of the log that Invoke gives back ("Invoke", `LogResult`).
const TAIL: usize = 4096;
/// Bytes that are read at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// Bytes that are read when an invocation ends: what it printed before it answered lies in the pipe, and whoever goes on printing does not
/// hold the answer up.
const LAST_READ: usize = 4 * CHUNK;
/// Bytes a worker may print at once, and in the long run a second. Whoever prints more loses lines, and is told.
const BURST: u64 = 8 * 1024 * 1024;
const RATE: u64 = 1024 * 1024;
/// What a line costs besides its text, as CloudWatch Logs counts.
const LINE_COST: u64 = 26;
/// Between two reads from a worker that prints too much, which must wait for that.
const SLOWED: Duration = Duration::from_millis(5);

/// What one worker prints.
pub(crate) struct Logs {
    pipe: Receiver,
    state: Mutex<State>,
    host: Arc<dyn Host>,
    clock: Arc<dyn Clock>,
    program: Arc<Program>,
    stream: String,
}

struct State {
    partial: Vec<u8>,
    tail: Option<VecDeque<u8>>,
    budget: u64,
    refilled: Timestamp,
    dropped: u64,
    lines: Vec<(Timestamp, String)>,
}

impl Logs {
    pub(crate) fn new(
        pipe: OwnedFd,
        host: Arc<dyn Host>,
        clock: Arc<dyn Clock>,
        program: Arc<Program>,
        stream: String,
    ) -> io::Result<Self> {
        let state = State {
            partial: Vec::new(),
            tail: None,
            budget: BURST,
            refilled: clock.now(),
            dropped: 0,
            lines: Vec::new(),
        };
        Ok(Self { pipe: Receiver::from_owned_fd(pipe)?, state: Mutex::new(state), host, clock, program, stream })
    }

    /// The log stream.
    pub(crate) fn stream(&self) -> &str {
        &self.stream
    }

    /// Takes what comes, until nobody can print any more.
    pub(crate) async fn follow(&self) {
        while self.pipe.readable().await.is_ok() {
            match self.read() {
                Read::Closed => return,
                Read::More if self.lock().dropped > 0 => tokio::time::sleep(SLOWED).await,
                Read::More | Read::Empty => {}
            }
        }
    }

    /// An invocation begins. What was printed before it comes before its first line.
    pub(crate) fn begin(&self, line: String, tail: bool) {
        let mut state = self.lock();
        self.drain(&mut state);
        state.finish_line(self.clock.now());
        state.tail = tail.then(VecDeque::new);
        state.say(self.clock.now(), line);
        self.pass_on(&mut state);
    }

    /// An invocation ends. What it printed comes before the last lines. Gives the end of its log.
    pub(crate) fn end(&self, lines: Vec<String>) -> Bytes {
        let mut state = self.lock();
        self.drain(&mut state);
        let now = self.clock.now();
        state.finish_line(now);
        state.tell_dropped(now);
        for line in lines {
            state.say(now, line);
        }
        self.pass_on(&mut state);
        state.tail.take().map(|tail| Bytes::from(Vec::from(tail))).unwrap_or_default()
    }

    /// A line of the server's own.
    pub(crate) fn say(&self, line: String) {
        let mut state = self.lock();
        state.say(self.clock.now(), line);
        self.pass_on(&mut state);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Read {
        let mut chunk = [0; CHUNK];
        let mut state = self.lock();
        let end = match self.pipe.try_read(&mut chunk) {
            Ok(0) => Read::Closed,
            Ok(length) => {
                state.take(&chunk[..length], self.clock.now());
                Read::More
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Read::Empty,
            Err(_) => Read::Closed,
        };
        self.pass_on(&mut state);
        end
    }

    /// Takes what lies in the pipe now. It asks the pipe itself: the runtime may not know yet that it can be read.
    fn drain(&self, state: &mut State) {
        let mut chunk = [0; CHUNK];
        let mut taken = 0;
        while taken < LAST_READ
            && let Ok(length @ 1..) = rustix::io::read(&self.pipe, &mut chunk)
        {
            state.take(&chunk[..length], self.clock.now());
            taken += length;
        }
    }

    fn pass_on(&self, state: &mut State) {
        if !state.lines.is_empty() {
            self.host.printed(&self.program, &self.stream, std::mem::take(&mut state.lines));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Empty,
    More,
    Closed,
}

impl State {
    fn take(&mut self, mut bytes: &[u8], now: Timestamp) {
        while !bytes.is_empty() {
            let room = MAX_LINE - self.partial.len();
            let reach = &bytes[..bytes.len().min(room)];
            let (line, ends) = match memchr::memchr(b'\n', reach) {
                Some(at) => (&reach[..at], at + 1),
                None => (reach, reach.len()),
            };
            self.partial.extend_from_slice(line);
            let whole = ends > line.len() || self.partial.len() == MAX_LINE;
            bytes = &bytes[ends..];
            if whole {
                self.finish_line(now);
            }
        }
    }

    fn finish_line(&mut self, now: Timestamp) {
        if self.partial.is_empty() {
            return;
        }
        let cost = self.partial.len() as u64 + LINE_COST;
        let refill =
            u64::try_from(now.since(self.refilled).as_millis()).unwrap_or(u64::MAX).saturating_mul(RATE / 1000);
        if refill > 0 {
            self.budget = self.budget.saturating_add(refill).min(BURST);
            self.refilled = now;
        }
        if self.budget < cost {
            self.dropped += 1;
            self.partial.clear();
            return;
        }
        self.budget -= cost;
        self.tell_dropped(now);
        if self.partial.last() == Some(&b'\r') {
            self.partial.pop();
        }
        // The bootstraps write a message of several lines with carriage returns between them, as AWS's do, so that it is one event.
        let line = String::from_utf8_lossy(&self.partial).replace('\r', "\n");
        self.partial.clear();
        if self.partial.capacity() > CHUNK {
            self.partial = Vec::new();
        }
        self.say(now, line);
    }

    fn tell_dropped(&mut self, now: Timestamp) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let rate = RATE >> 20;
            self.say(
                now,
                format!("{dropped} lines were dropped: a worker may print {rate} MiB a second in the long run"),
            );
        }
    }

    fn say(&mut self, now: Timestamp, line: String) {
        if let Some(tail) = &mut self.tail {
            let bytes = line.as_bytes();
            tail.extend(&bytes[bytes.len().saturating_sub(TAIL)..]);
            if !line.ends_with('\n') {
                tail.push_back(b'\n');
            }
            let over = tail.len().saturating_sub(TAIL);
            tail.drain(..over);
        }
        self.lines.push((now, line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            partial: Vec::new(),
            tail: Some(VecDeque::new()),
            budget: BURST,
            refilled: Timestamp::default(),
            dropped: 0,
            lines: Vec::new(),
        }
    }

    #[test]
    fn lines_are_parted_and_cut() {
        let mut state = state();
        let now = Timestamp::default();
        state.take(b"one\ntw", now);
        state.take(b"o\r\n\nthree\rlines\n", now);
        let texts: Vec<&str> = state.lines.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(texts, ["one", "two", "three\nlines"]);
        state.lines.clear();
        state.take(&vec![b'x'; MAX_LINE + 5], now);
        state.take(b"\n", now);
        assert_eq!(state.lines.iter().map(|(_, l)| l.len()).collect::<Vec<_>>(), [MAX_LINE, 5]);
        assert_eq!(state.tail.as_ref().map(VecDeque::len), Some(TAIL));
    }

    #[test]
    fn who_prints_too_much_loses_lines_and_is_told() {
        let mut state = state();
        let line = [vec![b'y'; 100_000], vec![b'\n']].concat();
        for _ in 0..200 {
            state.take(&line, Timestamp::default());
        }
        let kept = state.lines.len() as u64;
        assert!(kept < 100 && state.dropped == 200 - kept);
        state.take(b"later\n", Timestamp::from_seconds(60));
        let told: Vec<&str> = state.lines.iter().rev().take(2).map(|(_, line)| line.as_str()).collect();
        assert_eq!(told[0], "later");
        assert!(told[1].starts_with(&format!("{} lines were dropped", 200 - kept)), "{}", told[1]);
    }
}
