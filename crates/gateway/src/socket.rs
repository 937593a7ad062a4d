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
    /// The client did not take its answer, or took it too slowly.
    WriteStalled,
}

/// The limits that a socket watches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketLimits {
    pub(crate) head_bytes: usize,
    pub(crate) head_time: Duration,
    pub(crate) idle_time: Duration,
    pub(crate) write_time: Duration,
    pub(crate) write_rate: Option<u64>,
}

/// How fast a client takes its answers. Only the time that we wait for the client counts, never that which the client waits
/// for us: a reader that keeps up with what there is to send is not waited for.
///
/// A rate is judged by windows of waiting, not over a whole answer: what was taken at once in the beginning, much of it by the
/// system's buffers, says nothing about a reader that has since slowed down.
struct Taking {
    limit: Duration,
    rate: Option<u64>,
    /// When the wait under way began.
    stalled_since: Option<Instant>,
    /// From when on it counts for this window.
    counted_from: Instant,
    /// Waits of this window that are over.
    waited: Duration,
    /// Bytes taken in this window.
    taken: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Taking {
    fn new(limits: &SocketLimits) -> Self {
        Self {
            limit: limits.write_time,
            rate: limits.write_rate,
            stalled_since: None,
            counted_from: Instant::now(),
            waited: Duration::ZERO,
            taken: 0,
            timer: None,
        }
    }

    /// So many bytes were taken, or there are none to take.
    fn took(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(bytes as u64);
        if self.stalled_since.take().is_some() {
            self.waited += self.counted_from.elapsed();
        }
    }

    /// Bytes are there and are not taken. Whether this has gone on for too long; otherwise the task is woken when it may have.
    fn too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        let now = Instant::now();
        let since = *self.stalled_since.get_or_insert_with(|| {
            self.counted_from = now;
            now
        });
        let mut waited = self.waited + (now - self.counted_from);
        if waited >= self.limit {
            let least = self.rate.map_or(0, |rate| least_in(rate, waited));
            if self.taken < least {
                return true;
            }
            (self.waited, self.taken, self.counted_from) = (Duration::ZERO, 0, now);
            waited = Duration::ZERO;
        }
        if now - since >= self.limit {
            return true;
        }
        wake_by(&mut self.timer, (since + self.limit).min(now + (self.limit - waited)), cx);
        false
    }
}

/// The bytes that a rate comes to in a time.
fn least_in(rate: u64, time: Duration) -> u64 {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    rate.saturating_mul(millis) / 1000
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
    taking: Taking,
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
            taking: Taking::new(&limits),
            limits,
            progress,
            verdict: None,
            head_bytes: 0,
            waiting_since: None,
            read_timer: None,
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

    /// Called with the outcome of every write; `taken` tells how many bytes it moved.
    fn after_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        taken: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match &written {
            Poll::Ready(Ok(count)) => self.taking.took(taken(count)),
            Poll::Ready(Err(_)) => {}
            Poll::Pending if self.taking.too_slow(cx) => {
                self.verdict = Some(Verdict::WriteStalled);
                return Poll::Ready(Err(cut("the answer was not taken, or too slowly")));
            }
            Poll::Pending => {}
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
        this.after_write(cx, written, |count| *count)
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
        this.after_write(cx, written, |count| *count)
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
        this.after_write(cx, flushed, |()| 0)
    }

    /// Leaves the stream open: the connection may still have to answer, and closes it in its own way.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);
    const RATE: u64 = 1000;

    /// A socket whose other end holds 100 bytes unread.
    fn serving(rate: Option<u64>) -> (Socket<DuplexStream>, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(100);
        let progress = Arc::new(Progress::default());
        progress.serving();
        let limits =
            SocketLimits { head_bytes: 1000, head_time: LIMIT, idle_time: LIMIT, write_time: LIMIT, write_rate: rate };
        (Socket::new(ours, limits, progress), theirs)
    }

    /// Takes so many bytes again and again, with a pause before each; then drops the stream.
    async fn take(mut stream: DuplexStream, rounds: usize, bytes: usize, pause: Duration) {
        let mut buffer = vec![0; bytes];
        for _ in 0..rounds {
            tokio::time::sleep(pause).await;
            if stream.read_exact(&mut buffer).await.is_err() {
                return;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn readers_that_take_too_little_are_cut_and_others_are_not() {
        for (name, rate, bytes, pause, cut) in [
            ("a byte a second", Some(RATE), 1, 1, true),
            ("a byte a second, no rate asked for", None, 1, 1, false),
            ("just below the rate", Some(100), 90, 1, true),
            ("just above the rate", Some(90), 100, 1, false),
            ("nothing for too long, no rate asked for", None, 1, 61, true),
            ("large gulps with long pauses", Some(1), 100, 59, false),
        ] {
            let (mut socket, client) = serving(rate);
            let rounds = 300;
            let taken = tokio::spawn(take(client, rounds, bytes, Duration::from_secs(pause)));
            let written = socket.write_all(&vec![0; rounds * bytes]).await;
            assert_eq!(written.is_err(), cut, "{name}: {written:?}");
            assert_eq!(socket.into_parts().0, cut.then_some(Verdict::WriteStalled), "{name}");
            taken.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_waits_for_us_is_never_cut() {
        let (mut socket, client) = serving(Some(RATE));
        let taken = tokio::spawn(take(client, 100, 100, Duration::ZERO));
        for _ in 0..100 {
            tokio::time::sleep(LIMIT * 2).await;
            socket.write_all(&[0; 100]).await.unwrap();
            socket.flush().await.unwrap();
        }
        taken.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_before_does_not_count_for_ever() {
        let (mut socket, client) = serving(Some(RATE));
        let slow_after_all = tokio::spawn(async move {
            let mut stream = client;
            let mut buffer = vec![0; 1_000_000];
            stream.read_exact(&mut buffer).await.unwrap();
            take(stream, 1000, 1, Duration::from_secs(1)).await;
        });
        socket.write_all(&vec![0; 1_000_000]).await.unwrap();
        let started = Instant::now();
        assert!(socket.write_all(&[0; 1000]).await.is_err());
        // The window that saw the million passes, the next one does not.
        assert!(started.elapsed() <= LIMIT * 2 + Duration::from_secs(1), "{:?}", started.elapsed());
        drop(socket);
        slow_after_all.await.unwrap();
    }
}
