//! What a client may use up, each with its default and its reason.

use std::time::Duration;

/// The limits of a gateway. Every field can be set; the defaults suit one server on one machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections at once; one more gets `SlowDown` (503) and is closed. 10,000: about 200 MiB when all are idle over TLS, and
    /// below the usual limit of file descriptors once that is raised.
    pub connections: usize,
    /// Requests at once, from their head to the end of their answer; one more gets `SlowDown` (503) at once. 1,024: what waits
    /// longer than that queue is better told to come back.
    pub requests: usize,
    /// Bytes of a request's head, from the method to the blank line; more gets `RequestHeaderSectionTooLarge` (400). 64 KiB: a key of
    /// 1,024 bytes, 2 KiB of metadata, tags, policies and session tokens take less than half.
    pub head_bytes: usize,
    /// Bytes of a request's target (path and query); more gets `RequestHeaderSectionTooLarge` (400). 16 KiB: a percent-encoded key
    /// of 1,024 bytes and a presigned query with a long session token.
    pub target_bytes: usize,
    /// Header lines; more gets `RequestHeaderSectionTooLarge` (400). 100: no more are parsed without an allocation, and AWS clients
    /// send some twenty.
    pub header_lines: usize,
    /// Time for a request's head, from its first byte; then `RequestTimeout` (400).
    pub head_time: Duration,
    /// How long a connection without a request is kept.
    pub idle_time: Duration,
    /// Time without a byte of a body that is waited for; then `RequestTimeout` (400). AWS is known to wait about 20 to 60 seconds.
    pub body_time: Duration,
    /// Bytes a second, on average over the time spent waiting for a body, that a client must send; `None` asks for no rate. Judged after
    /// [`Limits::body_time`] of waiting, so that short stalls do no harm. 256: a client that sends less holds a request for its own sake.
    pub body_rate: Option<u64>,
    /// Time in which a client must take at least one byte of an answer that is being written; then the connection is cut.
    pub write_time: Duration,
    /// Bytes a second that a client must take of its answers, on average over each [`Limits::write_time`] spent waiting for it; `None`
    /// asks for no rate. 1,024: a client that takes less holds a request for its own sake. The waiting alone counts, so that nobody is
    /// cut for what the server is slow to send.
    pub write_rate: Option<u64>,
    /// Time for a TLS handshake.
    pub handshake_time: Duration,
    /// Bytes of a body that is held in memory before its signature can be checked: services other than S3 sign the hash of a body
    /// without naming it. 1 MiB: the largest request of the query and JSON services.
    pub unverified_body_bytes: usize,
    /// Bytes of an unwanted body that are read and dropped to keep a connection; with more to come it is closed after the answer.
    pub drain_bytes: u64,
    /// Time for reading them.
    pub drain_time: Duration,
    /// How long a connection that is closed with bytes unread is read on, so that the answer reaches the client before a reset does
    /// (RFC 9112, section 9.6).
    pub linger_time: Duration,
    /// How long requests in flight may take to finish when the server stops; then their connections are cut.
    pub stop_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            requests: 1_024,
            head_bytes: 64 * 1024,
            target_bytes: 16 * 1024,
            header_lines: 100,
            head_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(90),
            body_time: Duration::from_secs(60),
            body_rate: Some(256),
            write_time: Duration::from_secs(60),
            write_rate: Some(1024),
            handshake_time: Duration::from_secs(10),
            unverified_body_bytes: 1024 * 1024,
            drain_bytes: 1024 * 1024,
            drain_time: Duration::from_secs(5),
            linger_time: Duration::from_secs(2),
            stop_time: Duration::from_secs(30),
        }
    }
}
