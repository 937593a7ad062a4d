//! The same over TLS.

use std::sync::Arc;

use millpond_gateway::{TlsError, server_tls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::{Client, head};
use crate::world::{World, short};

const CERTIFICATE: &[u8] = include_bytes!("tls/certificate.pem");
const KEY: &[u8] = include_bytes!("tls/key.pem");

async fn world() -> World {
    World::with(|config| {
        config.limits = short();
        config.tls = Some(server_tls(CERTIFICATE, KEY).unwrap());
    })
    .await
}

async fn connect(world: &World) -> Client<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(world.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    Client::over(TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap())
}

#[tokio::test]
async fn requests_over_tls() {
    let world = world().await;
    let mut client = connect(&world).await;
    let answer = client.get("/b/WhoAmI").await;
    assert!(answer.text().contains(" secure=true "), "{answer:?}");
    let large = "a".repeat(1 << 20);
    client.send(head("PUT /b/Echo", &[&format!("Content-Length: {}", large.len())])).await;
    client.send(&large).await;
    client.stream.flush().await.unwrap();
    assert!(client.answer().await.text() == large);
    assert_eq!(client.get("/b/Stream").await.body.len(), 1 << 20);
    client.send("garbage\r\n\r\n").await;
    client.answer().await.assert_error(400, "BadRequest");
    client.assert_closed().await;
}

#[tokio::test]
async fn what_is_no_handshake_is_closed() {
    let world = world().await;
    for sent in ["", "GET / HTTP/1.1\r\n\r\n"] {
        let mut client = Client::to(&world).await;
        client.send(sent).await;
        // An alert may come before the end.
        while client.until(b"\0\0\0\0").await.is_some() {}
    }
    connect(&world).await.assert_alive().await;
}

#[test]
fn bad_files_are_told_apart() {
    assert!(matches!(server_tls(b"", KEY), Err(TlsError::NoCertificate)));
    assert!(matches!(server_tls(CERTIFICATE, b""), Err(TlsError::Key(_))));
    assert!(matches!(server_tls(CERTIFICATE, CERTIFICATE), Err(TlsError::Key(_))));
    let broken = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    assert!(matches!(server_tls(broken, KEY), Err(TlsError::Certificate(_))));
}
