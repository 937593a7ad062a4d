//! Heads that are too large, too slow, or no heads.

use crate::client::{Client, head};
use crate::world::{World, short};

#[tokio::test]
async fn large_heads_get_a_clean_answer() {
    let world = World::new().await;
    let large = "a".repeat(2 << 20);
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    for request in [
        format!("GET /b/Hello HTTP/1.1\r\nHost: localhost\r\nx-large: {large}\r\n\r\n"),
        format!("GET /b/Hello HTTP/1.1\r\nHost: localhost\r\nx-large: {}\r\n\r\n", &large[..70_000]),
        format!("GET /{large} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", &large[..66_000]),
        format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", &large[..17_000]),
        format!("GET /b/Hello HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
        // Without an end in sight.
        format!("GET /b/Hello HTTP/1.1\r\nx-large: {large}"),
        large.clone(),
    ] {
        let mut client = Client::to(&world).await;
        client.send_what_goes(&request).await;
        let answer = client.answer().await;
        let code = if request == large {
            answer.element("Code").unwrap().to_owned()
        } else {
            "RequestHeaderSectionTooLarge".to_owned()
        };
        answer.assert_error(400, &code);
        assert!(code == "BadRequest" || code == "RequestHeaderSectionTooLarge");
    }
}

#[tokio::test]
async fn heads_up_to_the_limit_are_served() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    let sixty = format!("x-large: {}", "a".repeat(60_000));
    client.send(head("GET /b/Hello", &[&sixty])).await;
    assert_eq!(client.answer().await.status, 200);
    let many: Vec<String> = (0..90).map(|n| format!("x-{n}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    client.send(head("GET /b/Hello", &many)).await;
    assert_eq!(client.answer().await.status, 200);
    client.send(head(&format!("GET /{}/Hello", "a".repeat(16_000)), &[])).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn what_is_no_request_is_a_bad_request() {
    let world = World::new().await;
    for request in [
        "garbage\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /b/Hello HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n",
        "GET /b/Hello HTTP/1.1\r\nHost: localhost\r\nx: \0\r\n\r\n",
        "PUT /b/Echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        "PUT /b/Echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "PUT /b/Echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
    ] {
        let mut client = Client::to(&world).await;
        client.send(request).await;
        let answer = client.answer().await;
        answer.assert_error(400, "BadRequest");
        assert!(answer.closes());
        client.assert_closed().await;
    }
}

#[tokio::test]
async fn heads_that_make_no_sense_are_bad_requests() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    for (request, status, code) in [
        ("GET /b/Hello HTTP/1.1\r\n\r\n", 400, "BadRequest"),
        ("GET /b/Hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "BadRequest"),
        ("GET /b/Hello HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "BadRequest"),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "BadRequest"),
        ("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "MethodNotAllowed"),
    ] {
        client.send(request).await;
        client.answer().await.assert_error(status, code);
    }
    client.assert_alive().await;
}

#[tokio::test]
async fn a_bad_request_does_not_spoil_the_answers_before_it() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    client.assert_alive().await;
    client.send(head("GET /b/Stream", &[]) + "garbage\r\n\r\n").await;
    assert_eq!(client.answer().await.body.len(), 1 << 20);
    assert_eq!(client.answer().await.status, 400);
    client.assert_closed().await;
}

#[tokio::test]
async fn slow_heads_time_out_and_idle_connections_are_closed() {
    let world = World::limited(short()).await;
    for before in [false, true] {
        let mut client = Client::to(&world).await;
        if before {
            client.assert_alive().await;
        }
        client.send("GET /b/Hello HTTP/1.1\r\nHost: loc").await;
        let answer = client.answer().await;
        answer.assert_error(400, "RequestTimeout");
        client.assert_closed().await;

        let mut client = Client::to(&world).await;
        if before {
            client.assert_alive().await;
        }
        client.assert_closed().await;
    }
}

#[tokio::test]
async fn a_head_that_trickles_times_out() {
    let world = World::limited(short()).await;
    let mut client = Client::to(&world).await;
    for byte in "GET /b/Hello HTTP/1.1\r\nHost: localhost\r\n".bytes() {
        client.send_what_goes([byte]).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    client.answer().await.assert_error(400, "RequestTimeout");
}
