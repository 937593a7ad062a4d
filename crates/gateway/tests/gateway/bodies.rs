//! Bodies: whole, wrong, cut, slow and unwanted.

use std::time::Duration;

use millpond_auth::testing::{Payload, unsigned_chunked};
use tokio::io::AsyncWriteExt;

use crate::client::{Client, head, signed, signer};
use crate::world::{NOW, World, short};

const PUT: (&str, &str, &str) = ("PUT", "/b/Echo", "");

#[tokio::test]
async fn plain_bodies() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    let large = vec![7; 3 << 20];
    for body in [&b""[..], b"a", &large] {
        let length = body.len().to_string();
        let (text, _) = signed(&signer("s3"), PUT, &[("content-length", &length)], Payload::Body(body));
        client.send(text).await;
        client.send(body).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == body);
        assert_eq!(answer.header("x-length"), Some(length.as_str()));
    }
    client.send(head("PUT /b/Echo", &[])).await;
    assert_eq!(client.answer().await.header("x-length"), Some("none"));
}

#[tokio::test]
async fn wrong_bodies_are_refused_and_the_connection_lives() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    for (declared, sent, code) in [
        (&b"abc"[..], &b"abd"[..], "XAmzContentSHA256Mismatch"),
        // Refused although no handler reads it.
        (b"abc", b"", "XAmzContentSHA256Mismatch"),
    ] {
        let length = sent.len().to_string();
        let (text, _) = signed(&signer("s3"), PUT, &[("content-length", &length)], Payload::Body(declared));
        client.send([text.as_bytes(), sent].concat()).await;
        client.answer().await.assert_error(400, code);
        client.assert_alive().await;
    }
}

#[tokio::test]
async fn chunked_bodies() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    let (one, two) = (vec![1; 70_000], vec![2; 30_000]);
    let trailers = [("x-amz-checksum-crc32", "AAAAAA==")];
    for (mode, trailer) in [
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", false),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", true),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", true),
    ] {
        // The body's length does not depend on its signatures.
        let body = |seed| {
            if mode.contains("HMAC") {
                signer("s3").chunked(seed, &[&one, &two], trailer.then_some(&trailers[..]), NOW)
            } else {
                unsigned_chunked(&[&one, &two], &trailers)
            }
        };
        let length = body([0; 32]).len().to_string();
        let mut headers = vec![
            ("content-encoding", "aws-chunked"),
            ("content-length", length.as_str()),
            ("x-amz-decoded-content-length", "100000"),
        ];
        if trailer {
            headers.push(("x-amz-trailer", "x-amz-checksum-crc32"));
        }
        let (text, seed) = signed(&signer("s3"), PUT, &headers, Payload::Literal(mode));
        let mut body = body(seed);
        client.send([text.as_bytes(), &body].concat()).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "{mode}: {}", String::from_utf8_lossy(&answer.body));
        assert!(answer.body == [&one[..], &two].concat());
        assert_eq!(answer.header("x-length"), Some("100000"));
        assert_eq!(answer.header("x-trailers"), Some(if trailer { "x-amz-checksum-crc32=AAAAAA==" } else { "" }));
        client.assert_alive().await;

        if mode.contains("HMAC") {
            body[1000] ^= 1;
            client.send([text.as_bytes(), &body].concat()).await;
            client.answer().await.assert_error(403, "SignatureDoesNotMatch");
            client.assert_alive().await;
        }
    }
}

#[tokio::test]
async fn transfer_chunks_carry_aws_chunks_and_nothing_else() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    let body = unsigned_chunked(&[b"hello"], &[("x-amz-checksum-crc32", "AAAAAA==")]);
    let headers = [
        ("transfer-encoding", "chunked"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "5"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
    ];
    let (text, _) = signed(&signer("s3"), PUT, &headers, Payload::Literal("STREAMING-UNSIGNED-PAYLOAD-TRAILER"));
    let mut framed = text.into_bytes();
    for piece in body.chunks(7) {
        framed.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        framed.extend_from_slice(piece);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    client.send(framed).await;
    assert_eq!(client.answer().await.text(), "hello");

    client.send(head("PUT /b/Echo", &["Transfer-Encoding: chunked"]) + "3\r\nabc\r\n0\r\n\r\n").await;
    client.answer().await.assert_error(411, "MissingContentLength");
    client.assert_alive().await;
}

#[tokio::test]
async fn a_connection_ends_after_a_body_framed_twice() {
    // RFC 9112, section 6.3: the transfer coding decides, and the connection must be closed, since another reader of the same bytes
    // may have gone by the length and sees another request behind.
    let world = World::new().await;
    let (length, chunked) = ("Content-Length: 4", "Transfer-Encoding: chunked");
    for headers in [[length, chunked], [chunked, length]] {
        let mut client = Client::to(&world).await;
        let hidden = head("GET /b/Hello", &[]);
        client.send(head("PUT /b/Ignore", &headers) + "3\r\nabc\r\n0\r\n\r\n" + &hidden).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.closes()), (200, true), "{headers:?}: {answer:?}");
        client.assert_closed().await;
    }
}

#[tokio::test]
async fn a_body_that_is_cut_is_incomplete() {
    let world = World::new().await;
    let plain = vec!["Content-Length: 100"];
    let chunked = vec![
        "Transfer-Encoding: chunked",
        "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length: 5",
    ];
    for (framing, part) in
        [(plain, "abc"), (chunked.clone(), "6\r\n5\r\nhe"), (chunked, "8\r\n5\r\nhello\r\n0\r\n\r\n")]
    {
        let mut client = Client::to(&world).await;
        client.send(head("PUT /b/Echo", &framing) + part).await;
        client.stream.shutdown().await.unwrap();
        let answer = client.answer().await;
        answer.assert_error(400, "IncompleteBody");
        client.assert_closed().await;
    }
}

#[tokio::test]
async fn bytes_behind_a_body_are_a_bad_request() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    client.send(head("PUT /b/Echo", &["Content-Length: 3"]) + "abc\0\0").await;
    assert_eq!(client.answer().await.text(), "abc");
    client.answer().await.assert_error(400, "BadRequest");
    client.assert_closed().await;
}

#[tokio::test]
async fn a_body_that_stalls_times_out() {
    let world = World::limited(short()).await;
    for service in ["s3", "sts"] {
        let mut client = Client::to(&world).await;
        let line = if service == "s3" { PUT } else { ("POST", "/", "") };
        let (text, _) = signed(&signer(service), line, &[("content-length", "100")], Payload::Body(&[0; 100]));
        client.send(text + "abc").await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("<Code>RequestTimeout</Code>"), "{answer:?}");
        assert!(answer.closes());
        client.assert_closed().await;
    }
}

#[tokio::test]
async fn a_body_that_trickles_times_out_if_a_rate_is_asked_for() {
    // One byte in 50 ms never stalls for 200 ms, but is far below a rate of 1 MiB/s.
    for (rate, times_out) in [(Some(1 << 20), true), (None, false)] {
        let mut limits = short();
        limits.body_rate = rate;
        let world = World::limited(limits).await;
        let mut client = Client::to(&world).await;
        client.send(head("PUT /b/Echo", &["Content-Length: 30"])).await;
        for _ in 0..30 {
            client.send_what_goes("a").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let answer = client.answer().await;
        if times_out {
            answer.assert_error(400, "RequestTimeout");
        } else {
            assert_eq!(answer.body.len(), 30);
        }
    }
}

#[tokio::test]
async fn unwanted_bodies_are_drained_or_close_the_connection() {
    let world = World::with(|config| config.limits.drain_bytes = 1000).await;
    for (path, length, lives) in [
        ("/b/Refuse", 1000, true),
        ("/b/Ignore", 1000, true),
        ("/b/Panic", 1000, true),
        ("/b/Nothing", 1000, true),
        ("/b/Refuse", 1001, false),
        ("/b/Ignore", 5_000_000, false),
    ] {
        for chunked in [false, true] {
            let mut client = Client::to(&world).await;
            let framing =
                if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {length}") };
            client.send(head(&format!("PUT {path}"), &[&framing])).await;
            let body = "a".repeat(length);
            let sent = if chunked { format!("{length:x}\r\n{body}\r\n0\r\n\r\n") } else { body };
            client.send_what_goes(sent).await;
            let answer = client.answer().await;
            assert_eq!(answer.closes(), !lives, "{path} {length} {chunked}");
            if lives {
                client.assert_alive().await;
            } else {
                client.assert_closed().await;
            }
        }
    }
}

#[tokio::test]
async fn only_accepted_requests_are_told_to_continue() {
    let world = World::new().await;
    let expects = ["Content-Length: 3", "Expect: 100-continue"];
    let mut client = Client::to(&world).await;
    client.send(head("PUT /b/Echo", &expects)).await;
    assert_eq!(client.answer_head().await.unwrap().status, 100);
    client.send("abc").await;
    assert_eq!(client.answer().await.text(), "abc");
    client.assert_alive().await;

    for line in ["PUT /b/Refuse", "PUT /b/Nothing"] {
        let mut client = Client::to(&world).await;
        client.send(head(line, &expects)).await;
        let answer = client.answer().await;
        assert!(answer.status >= 400 && answer.closes(), "{answer:?}");
        client.assert_closed().await;
    }
    let mut client = Client::to(&world).await;
    let unbelieved = head("PUT /b/Echo", &["Content-Length: 3", "Expect: 100-continue", "Authorization: Bearer x"]);
    client.send(unbelieved).await;
    client.answer().await.assert_error(400, "InvalidArgument");
    client.assert_closed().await;
}
