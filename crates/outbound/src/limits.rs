//! What an outgoing call may take, in time and in bytes.

use std::time::Duration;

/// For resolving the host, connecting and agreeing on TLS together. Who does not answer in this time is not reachable.
pub const CONNECT_TIME: Duration = Duration::from_secs(5);
/// For a whole call, from waiting for a free connection to the last byte of the answer, when the request names no shorter
/// time. Amazon SNS waits 15 seconds for a webhook.
pub const TOTAL_TIME: Duration = Duration::from_secs(15);
/// Bytes of a URL: what proxies and servers commonly take.
pub const MAX_URL_BYTES: usize = 8 * 1024;
/// Bytes of a request's head.
pub const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Bytes of a request's body: a message of 256 KiB in an envelope, every byte of it escaped, fits.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of an answer's head, which are kept in memory until it is whole. (Below 8 KiB hyper takes no limit.)
pub const MAX_ANSWER_HEAD_BYTES: usize = 64 * 1024;
/// Header lines of an answer.
pub const MAX_ANSWER_HEADERS: usize = 100;
/// Bytes of an answer's body that are read; of a longer one the beginning is kept and the connection given up.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Calls under way to one host and port, and so connections: a slow one holds few of ours, and none of another's.
pub const CONNECTIONS_PER_HOST: usize = 16;
/// Calls under way to all hosts together: each has a socket, and the engines need files too.
pub const CONNECTIONS: usize = 256;
/// How long a connection is kept without a call: shorter than servers commonly keep theirs (Node.js: 5 seconds), so that
/// calls seldom meet one that is just being closed.
pub const IDLE_TIME: Duration = Duration::from_secs(4);
/// How long a connection is used at all: after this time the host is resolved, and its address asked about, anew.
pub const CONNECTION_AGE: Duration = Duration::from_secs(300);
/// Addresses of one host that are tried.
pub const MAX_ADDRESSES: usize = 8;
