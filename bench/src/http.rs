//! A minimal HTTP/1.1 client: one blocking connection, one request at a time, few copies.

use std::io::{IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server that is silent this long is given up.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Large enough for the head of any answer, and for few system calls on large bodies.
const BUFFER: usize = 256 * 1024;

/// Why a request failed below HTTP's own statuses.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection failed.
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    /// The answer is not HTTP/1.1 as this client reads it.
    #[error("malformed answer: {0}")]
    Malformed(&'static str),
}

/// What becomes of a body that comes.
pub enum Sink<'a> {
    /// Counted only.
    Discard,
    /// Kept.
    Keep(&'a mut Vec<u8>),
}

/// An answer: its status and the length of its body.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Bytes of the body.
    pub length: u64,
}

/// One connection, kept alive while the server does; else each request opens another.
pub struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    /// Whether the server has said that it closes it.
    over: bool,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

enum Framing {
    Length(u64),
    Chunked,
}

/// What this client needs of an answer's head.
struct Head {
    status: u16,
    framing: Framing,
    closes: bool,
}

fn connect(address: SocketAddr) -> Result<TcpStream, HttpError> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

impl Connection {
    /// Connects; small requests are sent at once.
    pub fn open(address: SocketAddr) -> Result<Self, HttpError> {
        let stream = connect(address)?;
        Ok(Self { address, stream, over: false, buffer: vec![0; BUFFER], start: 0, end: 0 })
    }

    /// Sends head and body (in one system call while they fit the socket) and reads the whole answer.
    pub fn send(&mut self, head: &[u8], body: &[u8], sink: Sink<'_>) -> Result<Answer, HttpError> {
        if std::mem::take(&mut self.over) {
            self.stream = connect(self.address)?;
            (self.start, self.end) = (0, 0);
        }
        self.write(head, body)?;
        let Head { status, framing, closes } = self.read_head()?;
        self.over = closes;
        let length = match framing {
            Framing::Length(length) => self.read_sized(length, sink)?,
            Framing::Chunked => self.read_chunked(sink)?,
        };
        Ok(Answer { status, length })
    }

    fn write(&mut self, head: &[u8], body: &[u8]) -> Result<(), HttpError> {
        let total = head.len() + body.len();
        let mut sent = 0;
        while sent < total {
            let n = if sent < head.len() {
                self.stream.write_vectored(&[IoSlice::new(&head[sent..]), IoSlice::new(body)])?
            } else {
                self.stream.write(&body[sent - head.len()..])?
            };
            if n == 0 {
                return Err(HttpError::Malformed("the server stopped reading"));
            }
            sent += n;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), HttpError> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            return Err(HttpError::Malformed("head or chunk line too long"));
        }
        let n = self.stream.read(&mut self.buffer[self.end..])?;
        if n == 0 {
            return Err(HttpError::Malformed("connection closed early"));
        }
        self.end += n;
        Ok(())
    }

    fn read_head(&mut self) -> Result<Head, HttpError> {
        let mut searched = 0;
        let length = loop {
            let data = &self.buffer[self.start..self.end];
            if let Some(at) = find(&data[searched..], b"\r\n\r\n") {
                break searched + at;
            }
            searched = data.len().saturating_sub(3);
            self.fill()?;
        };
        let head = &self.buffer[self.start..self.start + length];
        let parsed = parse_head(head)?;
        self.start += length + 4;
        Ok(parsed)
    }

    fn read_sized(&mut self, length: u64, mut sink: Sink<'_>) -> Result<u64, HttpError> {
        let mut left = length;
        while left > 0 {
            if self.start == self.end {
                self.fill()?;
            }
            let n = left.min((self.end - self.start) as u64) as usize;
            if let Sink::Keep(kept) = &mut sink {
                kept.extend_from_slice(&self.buffer[self.start..self.start + n]);
            }
            self.start += n;
            left -= n as u64;
        }
        Ok(length)
    }

    fn read_chunked(&mut self, mut sink: Sink<'_>) -> Result<u64, HttpError> {
        let mut total = 0;
        loop {
            let line = self.line()?;
            let size = line.split(|b| *b == b';').next().and_then(|hex| std::str::from_utf8(hex).ok());
            let size = size.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
            let size = size.ok_or(HttpError::Malformed("chunk size"))?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(total);
            }
            let piece = match &mut sink {
                Sink::Discard => Sink::Discard,
                Sink::Keep(kept) => Sink::Keep(kept),
            };
            total += self.read_sized(size, piece)?;
            self.line()?;
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, HttpError> {
        loop {
            if let Some(at) = find(&self.buffer[self.start..self.end], b"\r\n") {
                let line = self.buffer[self.start..self.start + at].to_vec();
                self.start += at + 2;
                return Ok(line);
            }
            self.fill()?;
        }
    }
}

fn parse_head(head: &[u8]) -> Result<Head, HttpError> {
    let text = std::str::from_utf8(head).map_err(|_| HttpError::Malformed("head is not UTF-8"))?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|s| s.parse().ok());
    let status = status.ok_or(HttpError::Malformed("status line"))?;
    let (mut framing, mut closes) = (Framing::Length(0), false);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            let length = value.trim().parse().map_err(|_| HttpError::Malformed("content-length"))?;
            if !matches!(framing, Framing::Chunked) {
                framing = Framing::Length(length);
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") && value.trim().eq_ignore_ascii_case("chunked") {
            framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.trim().eq_ignore_ascii_case("close");
        }
    }
    if status == 204 || status == 304 {
        framing = Framing::Length(0);
    }
    Ok(Head { status, framing, closes })
}

fn find(data: &[u8], what: &[u8]) -> Option<usize> {
    data.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status, the length when one is declared, and whether the connection ends.
    type Read = Option<(u16, Option<u64>, bool)>;

    #[test]
    fn heads() {
        let cases: [(&str, Read); 6] = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 12\r\nx: y", Some((200, Some(12), false))),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", Some((200, None, false))),
            ("HTTP/1.1 204 No Content", Some((204, Some(0), false))),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1", Some((200, Some(1), true))),
            ("nonsense", None),
            ("HTTP/1.1 200 OK\r\ncontent-length: x", None),
        ];
        for (head, want) in cases {
            let got = parse_head(head.as_bytes()).ok().map(|head| {
                let length = match head.framing {
                    Framing::Length(n) => Some(n),
                    Framing::Chunked => None,
                };
                (head.status, length, head.closes)
            });
            assert_eq!(got, want, "{head}");
        }
    }
}
