//! A connection's bytes on their way to and from the HTTP codec, watched.
//!
//! The codec answers what it cannot parse by itself, bare, and drops what comes too slowly without a word. [`Socket`] notices
//! both, so that the connection can answer as AWS does: it counts and times the bytes of a request's head, keeps the codec's own
//! answers from going out, and ends writes that stall. What it found stands in [`Socket::verdict`] when the codec is done.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::timer::wake_by;

/// Where a connection stands between two requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Phase {
    /// No request: its head is waited for or being read.
    Head = 0,
    /// A request is being served.
    Serving = 1,
    /// The answer is with the codec, but perhaps not on the wire.
    Answered = 2,
}

/// The phase of a connection, shared by its socket and its requests. All of them run in one task, so no order between
/// threads is needed.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicU8);

impl Progress {
    fn is(&self, phase: Phase) -> bool {
        self.0.load(Ordering::Relaxed) == phase as u8
    }

    /// A request's head was read.
    pub(crate) fn serving(&self) {
        self.0.store(Phase::Serving as u8, Ordering::Relaxed);
    }

    /// Its answer was handed to the codec, to the last byte.
    pub(crate) fn answered(&self) {
        self.0.store(Phase::Answered as u8, Ordering::Relaxed);
    }

    fn flushed(&self) {
        self.0.store(Phase::Head as u8, Ordering::Relaxed);
    }
}

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// A request's head is larger than allowed.
    HeadTooLarge,
    /// A request's head came too slowly.
    HeadTooSlow,
    /// The codec could not parse a request's head; it would have answered with this status.
    Unparsable(u16),
    /// There was no request for too long.
    Idle,
    /// The client did not take its answer.
    WriteStalled,
}

/// The limits that a socket watches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketLimits {
    pub(crate) head_bytes: usize,
    pub(crate) head_time: Duration,
    pub(crate) idle_time: Duration,
    pub(crate) write_time: Duration,
}

/// A watched stream.
pub(crate) struct Socket<S> {
    stream: S,
    limits: SocketLimits,
    progress: Arc<Progress>,
    verdict: Option<Verdict>,
    /// Bytes read since the phase became `Head`.
    head_bytes: usize,
    /// When the wait began: for a request, or for the rest of its head. `None` until the codec waits.
    waiting_since: Option<Instant>,
    /// Wakes the task when a wait for a head is over; often rings too early, since it is set anew only when it must be.
    read_timer: Option<Pin<Box<Sleep>>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    write_stalled: bool,
}

fn cut(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, reason)
}

/// The status in the first line of an answer.
fn status_of(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

impl<S> Socket<S> {
    pub(crate) fn new(stream: S, limits: SocketLimits, progress: Arc<Progress>) -> Self {
        Self {
            stream,
            limits,
            progress,
            verdict: None,
            head_bytes: 0,
            waiting_since: None,
            read_timer: None,
            write_timer: None,
            write_stalled: false,
        }
    }

    /// What was found, and the stream.
    pub(crate) fn into_parts(self) -> (Option<Verdict>, S) {
        (self.verdict, self.stream)
    }

    /// Called when nothing can be read while a head is waited for.
    fn wait_for_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let started = self.head_bytes > 0;
        let deadline = since + if started { self.limits.head_time } else { self.limits.idle_time };
        if deadline <= Instant::now() {
            self.verdict = Some(if started { Verdict::HeadTooSlow } else { Verdict::Idle });
            return Poll::Ready(Err(cut("the request came too slowly")));
        }
        wake_by(&mut self.read_timer, deadline, cx);
        Poll::Pending
    }

    /// Called when nothing can be written.
    fn wait_for_reader(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let limit = self.limits.write_time;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if !self.write_stalled {
            self.write_stalled = true;
            timer.as_mut().reset(Instant::now() + limit);
        }
        if timer.as_mut().poll(cx).is_ready() {
            self.verdict = Some(Verdict::WriteStalled);
            return Err(cut("the answer was not taken"));
        }
        Ok(())
    }

    fn after_write<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_pending() {
            self.wait_for_reader(cx)?;
        } else {
            self.write_stalled = false;
        }
        written
    }

    /// Whether what is written now is an answer of the codec's own, which does not go out.
    fn swallows(&mut self, bytes: &[u8]) -> bool {
        if !self.progress.is(Phase::Head) {
            return false;
        }
        if self.verdict.is_none() {
            self.verdict = Some(Verdict::Unparsable(status_of(bytes).unwrap_or(400)));
        }
        true
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.progress.is(Phase::Head) {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        }
        if this.head_bytes > this.limits.head_bytes {
            // The codec asks for more although this much is there: the head has not ended.
            this.verdict = Some(Verdict::HeadTooLarge);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the request's head is too large")));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                if this.head_bytes == 0 {
                    this.waiting_since = None;
                }
                this.head_bytes += buffer.filled().len() - before;
                Poll::Ready(Ok(()))
            }
            Poll::Pending => this.wait_for_head(cx),
            failed => failed,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.swallows(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.after_write(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.swallows(slices.first().map_or(&[][..], |slice| slice)) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.after_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) && this.progress.is(Phase::Answered) {
            this.progress.flushed();
            this.head_bytes = 0;
            this.waiting_since = None;
        }
        this.after_write(cx, flushed)
    }

    /// Leaves the stream open: the connection may still have to answer, and closes it in its own way.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
