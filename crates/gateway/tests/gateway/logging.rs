//! What the log says, and what it must never say.

use std::io::Write;
use std::sync::{Arc, Mutex};

use millpond_auth::testing::{Payload, Signer};

use crate::client::{Client, signed, signer};
use crate::world::{KEY, NOW, REGION, SECRET, World};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn requests_are_logged_without_secrets_and_signatures() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // The runtime of a test is this thread's, so its tasks log here.
    let _guard = tracing::subscriber::set_default(subscriber);

    let world = World::new().await;
    let mut client = Client::to(&world).await;
    let mut headers = http::HeaderMap::new();
    headers.insert("host", "localhost".parse().unwrap());
    let query = signer("s3").presign(("GET", "/b/Hello", ""), &headers, 600, NOW);
    let first = client.get(&format!("/b/Hello?{query}")).await;
    let mut tokened = signer("s3");
    tokened.session_token = Some("a-session-token".to_owned());
    let wrong = Signer::new(KEY, "a-wrong-secret", REGION, "s3");
    let mut signatures = vec![query.rsplit('=').next().unwrap().to_owned()];
    for signer in [&signer("s3"), &tokened, &wrong] {
        let (text, _) = signed(signer, ("GET", "/b/Hello", ""), &[], Payload::Body(b""));
        signatures.push(text.split_once("Signature=").unwrap().1[..64].to_owned());
        client.send(text).await;
        client.answer().await;
    }
    client.get("/b/Panic").await;
    // The line of the last request comes when its answer was handed over, which may be after the client has it.
    for _ in 0..5_000 {
        if captured.text().contains("WARN") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }

    let log = captured.text();
    let line = |id: &str| log.lines().find(|line| line.contains(id)).unwrap().to_owned();
    let first = line(first.header("x-amz-request-id").unwrap());
    for part in ["DEBUG", "millpond::request", "operation=\"Hello\"", "status=200", "sent=5", "remote=127.0.0.1", KEY] {
        assert!(first.contains(part), "{part} is not in {first}");
    }
    for part in ["code=\"InvalidToken\"", "code=\"SignatureDoesNotMatch\"", "panic: as asked", "WARN"] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
    for secret in signatures.iter().map(String::as_str).chain([SECRET, "a-wrong-secret", "a-session-token"]) {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}
