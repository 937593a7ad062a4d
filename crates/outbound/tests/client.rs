//! Calls to servers of the tests' own.
#![allow(clippy::unwrap_used)]

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use millpond_outbound::limits::{CONNECTIONS_PER_HOST, MAX_ANSWER_BYTES, MAX_BODY_BYTES, MAX_HEAD_BYTES, TOTAL_TIME};
use millpond_outbound::{Addresses, Answer, Outbound, OutboundConfig, OutboundError, Request, Resolve};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// The certificate of localhost and 127.0.0.1, signed by itself, good for a hundred years.
const CERTIFICATE: &[u8] = include_bytes!("data/localhost.pem");
const KEY: &[u8] = include_bytes!("data/localhost-key.pem");

/// A server that gives one answer to every request and remembers what it was asked.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(address: &str, answer: &'static [u8]) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, heads) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (counted, noted) = (Arc::clone(&connections), Arc::clone(&heads));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, answer, Arc::clone(&noted)));
            }
        });
        Self { port, connections, heads }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Answers each request (head, and a body whose length is told) until the client leaves.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: &[u8], noted: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read_buf(&mut bytes).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        };
        let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
        let length: usize = text
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned))
            .map_or(0, |digits| digits.parse().unwrap());
        while bytes.len() < head + length {
            stream.read_buf(&mut bytes).await.unwrap();
        }
        bytes.drain(..head + length);
        noted.lock().unwrap().push(text);
        if answer.is_empty() || stream.write_all(answer).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Answers from a list, the last one for ever; counts how often it was asked.
struct Scripted {
    answers: Vec<Vec<&'static str>>,
    asked: AtomicUsize,
}

impl Scripted {
    fn new(answers: &[&[&'static str]]) -> Arc<Self> {
        Arc::new(Self { answers: answers.iter().map(|a| a.to_vec()).collect(), asked: AtomicUsize::new(0) })
    }
}

impl Resolve for Scripted {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Addresses>> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
        let found: Vec<IpAddr> = self.answers[turn].iter().map(|text| text.parse().unwrap()).collect();
        Box::pin(async move { Ok(found) })
    }
}

fn client(allow: &[&str], resolver: Option<Arc<Scripted>>) -> Outbound {
    let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
    let resolver = resolver.map(|resolver| resolver as Arc<dyn Resolve>);
    Outbound::new(OutboundConfig { allow, resolver, ..OutboundConfig::default() }).unwrap()
}

fn request(url: &str) -> Request {
    Request {
        method: Method::POST,
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"body"),
        timeout: TOTAL_TIME,
    }
}

async fn post(client: &Outbound, url: &str) -> Result<Answer, OutboundError> {
    client.send(request(url)).await
}

#[tokio::test]
async fn sends_what_it_is_told_and_reads_the_answer() {
    let server = Server::start("127.0.0.1:0", b"HTTP/1.1 201 Created\r\nx-a: 1\r\ncontent-length: 2\r\n\r\nok").await;
    let client = client(&["127.0.0.0/8"], None);
    let mut request = request(&format!("http://127.0.0.1:{}/path?q=%20#part", server.port));
    request.headers.insert("x-own", HeaderValue::from_static("v"));
    let answer = client.send(request).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..], answer.truncated), (201, &b"ok"[..], false));
    assert_eq!(answer.headers["x-a"], "1");
    let head = server.heads().remove(0);
    assert!(head.starts_with("POST /path?q=%20 HTTP/1.1\r\n"), "{head}");
    for line in ["x-own: v", &format!("host: 127.0.0.1:{}", server.port), "content-length: 4"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
    }
}

#[tokio::test]
async fn addresses_inside_are_refused_before_anything_is_sent() {
    let server = Server::start("127.0.0.1:0", OK).await;
    let client = client(&[], None);
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "[::1]", "0.0.0.0", "169.254.169.254"] {
        let url = format!("http://{host}:{}/", server.port);
        let error = post(&client, &url).await.unwrap_err();
        assert!(matches!(error, OutboundError::Refused(_)), "{host}: {error}");
        assert_eq!(client.check(&url.parse().unwrap()).await, Err(error), "{host}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn names_are_refused_by_what_they_resolve_to() {
    for (addresses, refused) in [
        (&["127.0.0.1"][..], true),
        (&["10.0.0.1", "::1", "fe80::1", "fd00::1"], true),
        (&["::ffff:192.168.0.1", "64:ff9b::10.0.0.1", "224.0.0.1", "255.255.255.255"], true),
        (&["8.8.8.8"], false),
        (&["127.0.0.1", "8.8.8.8"], false),
    ] {
        let client = client(&[], Some(Scripted::new(&[addresses])));
        let checked = client.check(&"http://hook.example/".parse().unwrap()).await;
        let expected = if refused { Err(OutboundError::Refused("hook.example".to_owned())) } else { Ok(()) };
        assert_eq!(checked, expected, "{addresses:?}");
    }
    let client = client(&[], Some(Scripted::new(&[&[]])));
    let none = client.check(&"http://hook.example/".parse().unwrap()).await;
    assert_eq!(none, Err(OutboundError::Unresolved("hook.example".to_owned())));
}

#[tokio::test]
async fn only_the_permitted_addresses_of_a_name_are_connected_to() {
    let permitted = Server::start("127.0.0.2:0", OK).await;
    // The same port of an address that is not allowed.
    let other = TcpListener::bind(("127.0.0.1", permitted.port)).await.unwrap();
    let client = client(&["127.0.0.2"], Some(Scripted::new(&[&["127.0.0.1", "127.0.0.2"]])));
    post(&client, &format!("http://hook.example:{}/", permitted.port)).await.unwrap();
    assert_eq!(permitted.connections(), 1);
    let nobody = tokio::time::timeout(Duration::from_millis(50), other.accept()).await;
    assert!(nobody.is_err(), "a refused address was connected to");
    assert!(permitted.heads()[0].contains(&format!("host: hook.example:{}\r\n", permitted.port)));
}

#[tokio::test]
async fn a_name_that_comes_to_mean_something_else_gains_nothing() {
    const CLOSE: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start("127.0.0.2:0", CLOSE).await;
    let inside = TcpListener::bind(("127.0.0.1", server.port)).await.unwrap();
    let resolver = Scripted::new(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let client = client(&["127.0.0.2"], Some(Arc::clone(&resolver)));
    let url = format!("http://rebind.example:{}/", server.port);
    // Asked once for a connection: the address that was asked about is the one that is connected to.
    post(&client, &url).await.unwrap();
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
    // The next connection asks anew, and is refused.
    let error = post(&client, &url).await.unwrap_err();
    assert_eq!(error, OutboundError::Refused("rebind.example".to_owned()));
    assert!(!error.to_string().contains("127.0.0.1"), "{error}");
    let nobody = tokio::time::timeout(Duration::from_millis(50), inside.accept()).await;
    assert!(nobody.is_err(), "a refused address was connected to");
}

#[tokio::test]
async fn redirects_are_answers() {
    const MOVED: &[u8] = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start("127.0.0.1:0", MOVED).await;
    let answer = post(&client(&["127.0.0.0/8"], None), &format!("http://127.0.0.1:{}/", server.port)).await.unwrap();
    assert_eq!((answer.status.as_u16(), server.heads().len()), (302, 1));
}

#[tokio::test]
async fn connections_are_used_again_unless_they_are_closed() {
    for (answer, connections) in [
        (OK, 1),
        (&b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"[..], 3),
        // More than was asked for: nothing of it may become the next call's answer.
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"[..], 3),
    ] {
        let server = Server::start("127.0.0.1:0", answer).await;
        let client = client(&["127.0.0.0/8"], None);
        for _ in 0..3 {
            let answer = post(&client, &format!("http://127.0.0.1:{}/", server.port)).await.unwrap();
            assert_eq!(answer.status.as_u16(), 200);
        }
        assert_eq!(server.connections(), connections, "{}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test]
async fn a_host_has_so_many_connections_and_no_more() {
    let silent = Server::start("127.0.0.1:0", b"").await;
    let other = Server::start("127.0.0.1:0", OK).await;
    let client = client(&["127.0.0.0/8"], None);
    let url = format!("http://127.0.0.1:{}/", silent.port);
    let calls: Vec<_> = (0..CONNECTIONS_PER_HOST * 2)
        .map(|_| {
            let (client, url) = (client.clone(), url.clone());
            tokio::spawn(async move { post(&client, &url).await })
        })
        .collect();
    while silent.heads().len() < CONNECTIONS_PER_HOST {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Another host's calls do not wait for those.
    post(&client, &format!("http://127.0.0.1:{}/", other.port)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(silent.connections(), CONNECTIONS_PER_HOST);
    for call in calls {
        call.abort();
    }
}

#[tokio::test]
async fn limits_of_answers() {
    let long: &'static [u8] = Box::leak(
        format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}", "a".repeat(100_000))
            .into_bytes()
            .into_boxed_slice(),
    );
    let client = client(&["127.0.0.0/8"], None);
    let server = Server::start("127.0.0.1:0", long).await;
    let answer = post(&client, &format!("http://127.0.0.1:{}/", server.port)).await.unwrap();
    assert_eq!((answer.body.len(), answer.truncated), (MAX_ANSWER_BYTES, true));
    let head: &'static [u8] = Box::leak(
        format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "a".repeat(200_000)).into_bytes().into_boxed_slice(),
    );
    let lines: &'static [u8] =
        Box::leak(format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-a: 1\r\n".repeat(500)).into_bytes().into_boxed_slice());
    for answer in [head, lines, b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"] {
        let server = Server::start("127.0.0.1:0", answer).await;
        let error = post(&client, &format!("http://127.0.0.1:{}/", server.port)).await.unwrap_err();
        assert!(matches!(error, OutboundError::Protocol(_)), "{error}");
    }
}

#[tokio::test]
async fn who_does_not_answer_is_given_up() {
    let silent = Server::start("127.0.0.1:0", b"").await;
    let within = Duration::from_millis(50);
    let mut request = request(&format!("http://127.0.0.1:{}/", silent.port));
    request.timeout = within;
    assert_eq!(client(&["127.0.0.0/8"], None).send(request).await.unwrap_err(), OutboundError::TimedOut(within));
}

#[tokio::test]
async fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = post(&client(&["127.0.0.0/8"], None), &format!("http://127.0.0.1:{port}/")).await.unwrap_err();
    assert!(matches!(error, OutboundError::Connect { .. }), "{error}");
    assert!(!error.is_final());
}

#[tokio::test]
async fn limits_of_requests() {
    let client = client(&[], None);
    let url = "http://192.0.2.1/";
    for name in ["host", "content-length", "transfer-encoding", "connection", "upgrade", "proxy-connection"] {
        let mut request = request(url);
        request.headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        assert_eq!(client.send(request).await.unwrap_err(), OutboundError::Header(name.to_owned()));
    }
    let mut long = request(url);
    long.body = Bytes::from(vec![0; MAX_BODY_BYTES + 1]);
    assert!(client.send(long).await.unwrap_err().is_final());
    let mut long = request(url);
    long.headers.insert("x-a", HeaderValue::from_bytes(&vec![b'a'; MAX_HEAD_BYTES]).unwrap());
    assert!(client.send(long).await.unwrap_err().is_final());
}

async fn tls_server() -> u16 {
    let chain = CertificateDer::pem_slice_iter(CERTIFICATE).map(Result::unwrap).collect();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(KEY).unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(serve(stream, OK, Arc::default()));
            }
        }
    });
    port
}

#[tokio::test]
async fn certificates_are_verified() {
    let port = tls_server().await;
    let allow = vec!["127.0.0.0/8".parse().unwrap()];
    let resolver: Arc<dyn Resolve> = Scripted::new(&[&["127.0.0.1"]]);
    let config = |roots: Option<&[u8]>| OutboundConfig {
        allow: allow.clone(),
        roots: roots.map(<[u8]>::to_vec),
        resolver: Some(Arc::clone(&resolver)),
        ..OutboundConfig::default()
    };
    let trusting = Outbound::new(config(Some(CERTIFICATE))).unwrap();
    for (client, host, fits) in [
        (&trusting, "localhost", true),
        (&trusting, "127.0.0.1", true),
        (&trusting, "other.example", false),
        (&Outbound::new(config(None)).unwrap(), "localhost", false),
    ] {
        let answer = post(client, &format!("https://{host}:{port}/")).await;
        match answer {
            Ok(answer) => assert!(fits && answer.status == 200, "{host}"),
            Err(error) => assert!(!fits && matches!(error, OutboundError::Tls { .. }), "{host}: {error}"),
        }
    }
    for bad in [&b"nothing"[..], b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        assert!(Outbound::new(config(Some(bad))).is_err());
    }
}
