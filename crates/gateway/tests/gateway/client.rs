//! A client that sends what it is told, right or wrong.

use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue};
use millpond_auth::testing::{Payload, Signer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{KEY, NOW, REGION, SECRET, World};

/// Far longer than anything takes: what hangs fails instead of hanging.
const HANG: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The text of an element of the body.
    pub fn element(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.text().split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
    }

    /// Asserts that this is an S3 error, as complete as AWS's are.
    pub fn assert_error(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.element("Code")), (status, Some(code)), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/xml"));
        assert_eq!(self.header("x-amz-request-id"), self.element("RequestId"));
        assert_eq!(self.header("x-amz-id-2"), self.element("HostId"));
        assert_eq!(self.header("x-amz-request-id").unwrap().len(), 16);
        assert_eq!(self.header("server"), Some("Millpond"));
        assert!(self.header("date").unwrap().ends_with(" GMT"));
    }

    pub fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

/// A connection.
pub struct Client<S = TcpStream> {
    pub stream: S,
    unread: BytesMut,
}

impl Client {
    pub async fn to(world: &World) -> Self {
        Self::over(TcpStream::connect(world.address).await.unwrap())
    }
}

/// A request's first line and headers, with a host and a blank line.
pub fn head(line: &str, headers: &[&str]) -> String {
    let mut text = format!("{line} HTTP/1.1\r\nHost: localhost\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text + "\r\n"
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn over(stream: S) -> Self {
        Self { stream, unread: BytesMut::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends as much as the other side takes.
    pub async fn send_what_goes(&mut self, bytes: impl AsRef<[u8]>) {
        // A server that refuses need not take all.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(head(&format!("GET {path}"), &[])).await;
        self.answer().await
    }

    /// Reads more; false at the end.
    async fn more(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.unread);
        tokio::time::timeout(HANG, read).await.expect("the server hangs").unwrap_or(0) > 0
    }

    /// Reads up to and with `end`.
    pub async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end) {
                return Some(self.unread.split_to(at + end.len()).to_vec());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Reads the head of an answer.
    pub async fn answer_head(&mut self) -> Option<Answer> {
        let text = String::from_utf8(self.until(b"\r\n\r\n").await?).unwrap();
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
        }
        Some(Answer { status, headers, body: Vec::new() })
    }

    /// Reads an answer, if one comes whole.
    pub async fn try_answer(&mut self) -> Option<Answer> {
        let mut answer = self.answer_head().await?;
        let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length {
            if !self.more().await {
                return None;
            }
        }
        answer.body = self.unread.split_to(length).to_vec();
        Some(answer)
    }

    pub async fn answer(&mut self) -> Answer {
        self.try_answer().await.expect("there is no answer")
    }

    /// Asserts that nothing comes any more and the connection ends.
    pub async fn assert_closed(&mut self) {
        while self.more().await {}
        assert!(self.unread.is_empty(), "unexpected: {:?}", String::from_utf8_lossy(&self.unread));
    }

    /// Asserts that the connection still serves.
    pub async fn assert_alive(&mut self) {
        let answer = self.get("/bucket/Hello").await;
        assert_eq!((answer.status, answer.text()), (200, "hello"));
    }
}

pub fn signer(service: &str) -> Signer {
    Signer::new(KEY, SECRET, REGION, service)
}

/// A request signed by header.
pub fn signed(
    signer: &Signer,
    line: (&str, &str, &str),
    extra: &[(&'static str, &str)],
    payload: Payload<'_>,
) -> (String, [u8; 32]) {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost"));
    for (name, value) in extra {
        headers.insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let signature = signer.sign(line, &mut headers, payload, NOW);
    let (method, path, query) = line;
    let mark = if query.is_empty() { "" } else { "?" };
    let mut text = format!("{method} {path}{mark}{query} HTTP/1.1\r\n");
    for (name, value) in &headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    (text + "\r\n", signature)
}
