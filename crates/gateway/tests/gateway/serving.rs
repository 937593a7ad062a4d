//! What a well-behaved client sees.

use std::sync::atomic::Ordering;

use millpond_auth::testing::Payload;

use crate::client::{Client, head, signed, signer};
use crate::world::World;

#[tokio::test]
async fn operations_that_stand_in_the_body_label_their_figures() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    for (body, status) in [("Action=WhoAmI", 200), ("Action=Refuse", 409), ("Action=no such thing", 200)] {
        let length = body.len().to_string();
        let line = ("POST", "/", "");
        let (text, _) = signed(&signer("sts"), line, &[("content-length", &length)], Payload::Body(body.as_bytes()));
        client.send(text + body).await;
        assert_eq!(client.answer().await.status, status, "{body}");
    }
    let metrics = client.get("/_millpond/metrics").await;
    for operation in ["WhoAmI", "Refuse", "Echo"] {
        let line = format!("millpond_http_requests_total{{service=\"sts\",operation=\"{operation}\"");
        assert!(metrics.text().contains(&line), "{line} is not in\n{}", metrics.text());
    }
    assert!(!metrics.text().contains("no such thing"));
}

#[tokio::test]
async fn answers_carry_ids_date_server_and_length() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    let first = client.get("/bucket/Hello").await;
    assert_eq!((first.status, first.text()), (200, "hello"));
    assert_eq!(first.header("content-length"), Some("5"));
    assert_eq!(first.header("server"), Some("Millpond"));
    assert!(first.header("date").unwrap().ends_with(" GMT"));
    assert_eq!(first.header("x-amz-request-id").unwrap().len(), 16);
    assert!(!first.closes());
    let second = client.get("/bucket/Hello").await;
    assert_ne!(first.header("x-amz-request-id"), second.header("x-amz-request-id"));
    assert_eq!(first.header("x-amz-id-2"), second.header("x-amz-id-2"));
}

#[tokio::test]
async fn errors_say_everything_and_keep_the_connection() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    let answer = client.get("/bucket/Refuse").await;
    answer.assert_error(409, "Conflict");
    assert_eq!(answer.element("Resource"), Some("/bucket/Refuse"));
    assert_eq!(answer.element("Message"), Some("No &amp; no."));
    assert_eq!(answer.element("Reason"), Some("none"));
    assert_eq!(answer.header("x-why"), Some("so"));
    assert!(!answer.closes());
    client.assert_alive().await;
    client.get("/bucket/Nothing").await.assert_error(501, "NotImplemented");
    client.assert_alive().await;
}

#[tokio::test]
async fn some_answers_have_no_body() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    for (request, status, length, header) in [
        ("HEAD /b/Hello", 200, Some("5"), None),
        ("HEAD /b/Stream", 200, Some("1048576"), None),
        ("HEAD /b/Refuse", 409, None, Some(("x-why", "so"))),
        ("HEAD /b/Nothing", 501, None, None),
        ("GET /b/Unchanged", 304, None, Some(("etag", "\"e\""))),
        ("HEAD /b/Unchanged", 304, None, Some(("etag", "\"e\""))),
        ("DELETE /b/Gone", 204, None, Some(("x-was", "here"))),
        ("HEAD /b/Gone", 204, None, Some(("x-was", "here"))),
    ] {
        client.send(head(request, &[])).await;
        let answer = client.answer_head().await.unwrap();
        assert_eq!((answer.status, answer.header("content-length")), (status, length), "{request}");
        assert!(answer.header("x-amz-request-id").is_some());
        if let Some((name, value)) = header {
            assert_eq!(answer.header(name), Some(value));
        }
        // A body would be taken for the next answer.
        client.assert_alive().await;
    }
}

#[tokio::test]
async fn streams_come_whole_or_are_cut() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    let answer = client.get("/b/Stream").await;
    assert_eq!(answer.header("content-length"), Some("1048576"));
    assert!(answer.body.chunks(64 * 1024).enumerate().all(|(n, piece)| piece.iter().all(|b| usize::from(*b) == n)));
    client.assert_alive().await;
    for path in ["/b/Short", "/b/Long", "/b/PanicLater"] {
        let mut client = Client::to(&world).await;
        client.send(head(&format!("GET {path}"), &[])).await;
        assert!(client.try_answer().await.is_none(), "{path}");
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_error() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    client.get("/b/Panic").await.assert_error(500, "InternalError");
    client.assert_alive().await;
}

#[tokio::test]
async fn requests_can_be_pipelined() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    let put = head("PUT /b/Echo", &["Content-Length: 3"]) + "abc";
    let all =
        [put.clone(), head("GET /b/Hello", &[]), head("HEAD /b/Hello", &[]), put, head("GET /b/Refuse", &[])].concat();
    client.send(all).await;
    assert_eq!(client.answer().await.text(), "abc");
    assert_eq!(client.answer().await.text(), "hello");
    assert_eq!(client.answer_head().await.unwrap().status, 200);
    assert_eq!(client.answer().await.text(), "abc");
    client.answer().await.assert_error(409, "Conflict");
}

#[tokio::test]
async fn a_host_names_a_bucket_or_does_not() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    for (host, bucket) in [
        ("localhost:9000", "-"),
        ("s3.localhost", "-"),
        ("photos.localhost:9000", "photos"),
        ("my.photos.s3.localhost", "my.photos"),
        ("127.0.0.1:9000", "-"),
        ("example.org", "-"),
    ] {
        client.send(format!("GET /x/WhoAmI?list HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        let answer = client.answer().await;
        assert!(answer.text().ends_with(&format!(" bucket={bucket} path=/x/WhoAmI query=list")), "{host}: {answer:?}");
    }
}

#[tokio::test]
async fn paths_come_as_they_were_sent() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    for path in ["/a//b/../c/./WhoAmI", "/%2e%2E/%00/%ff/WhoAmI", "//WhoAmI", "/a+b%20c/WhoAmI"] {
        let answer = client.get(path).await;
        assert!(answer.text().contains(&format!(" path={path} ")), "{answer:?}");
    }
}

#[tokio::test]
async fn own_pages() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    assert_eq!(client.get("/_millpond/health/live").await.status, 200);
    assert_eq!(client.get("/_millpond/health/ready").await.status, 503);
    world.ready.store(true, Ordering::SeqCst);
    assert_eq!(client.get("/_millpond/health/ready").await.status, 200);
    client.get("/b/Hello").await;
    client.get("/b/Refuse").await;
    let metrics = client.get("/_millpond/metrics").await;
    for line in [
        r#"millpond_http_requests_total{service="s3",operation="Hello",class="2xx",status="200"} 1"#,
        r#"millpond_http_errors_total{service="s3",operation="Refuse",code="Conflict"} 1"#,
        r#"millpond_http_sent_bytes_total{service="s3",operation="Hello"} 5"#,
        "millpond_http_connections 1",
    ] {
        assert!(metrics.text().contains(line), "{line} is not in {}", metrics.text());
    }
    client.get("/_millpond/nothing").await.assert_error(404, "NoSuchPage");
    client.send(head("POST /_millpond/health/live", &["Content-Length: 0"])).await;
    client.answer().await.assert_error(405, "MethodNotAllowed");
    client.send("GET /_millpond/WhoAmI HTTP/1.1\r\nHost: photos.localhost\r\n\r\n").await;
    assert!(client.answer().await.text().contains("bucket=photos path=/_millpond/WhoAmI"));
    client.send(head("GET /_millpond/metrics", &["X-Forwarded-For: 203.0.113.9"])).await;
    client.answer().await.assert_error(403, "AccessDenied");
}

#[tokio::test]
async fn the_source_address_is_the_peers_unless_a_trusted_proxy_says_otherwise() {
    for (trusted, ip, secure) in [(vec![], "127.0.0.1", false), (vec!["127.0.0.0/8"], "198.51.100.7", true)] {
        let world = World::with(|config| {
            config.trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
        })
        .await;
        let mut client = Client::to(&world).await;
        let headers = ["X-Forwarded-For: 1.2.3.4, 198.51.100.7", "X-Forwarded-Proto: https", "X-Real-IP: 6.6.6.6"];
        client.send(head("GET /b/WhoAmI", &headers)).await;
        let answer = client.answer().await;
        assert!(answer.text().contains(&format!(" ip={ip} secure={secure} ")), "{answer:?}");
    }
}
