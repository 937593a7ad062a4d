//! Who is believed, and what the others are told.

use std::sync::Arc;
use std::time::Duration;

use millpond_auth::testing::{Payload, Signer};
use millpond_io::Clock;
use millpond_types::Timestamp;

use crate::client::{Client, head, signed, signer};
use crate::world::{KEY, NOW, REGION, SECRET, World};

const WHO: (&str, &str, &str) = ("GET", "/b/WhoAmI", "");

#[tokio::test]
async fn signed_requests_have_a_sender() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    let (text, _) = signed(&signer("s3"), WHO, &[("user-agent", "toy/1")], Payload::Body(b""));
    client.send(text).await;
    let answer = client.answer().await;
    let expected = format!(
        "service=s3 who=arn:aws:iam::123456789012:root auth=Header key={KEY} ip=127.0.0.1 secure=false agent=toy/1 "
    );
    assert!(answer.text().starts_with(&expected), "{answer:?}");

    let mut headers = http::HeaderMap::new();
    headers.insert("host", "localhost".parse().unwrap());
    let query = signer("s3").presign(WHO, &headers, 600, NOW);
    let answer = client.get(&format!("/b/WhoAmI?{query}")).await;
    assert!(answer.text().contains(&format!(" auth=Query key={KEY} ")), "{answer:?}");

    let answer = client.get("/b/WhoAmI").await;
    assert!(answer.text().starts_with("service=s3 who=anonymous auth=None key=- "), "{answer:?}");
}

/// A clock that was ahead by a day and was set right: what it tells as the time stands still until the real time has caught up.
struct SetBack;

impl Clock for SetBack {
    fn now(&self) -> Timestamp {
        NOW.plus(Duration::from_secs(24 * 3600))
    }

    fn wall(&self) -> Timestamp {
        NOW
    }
}

#[tokio::test]
async fn signatures_are_judged_by_the_time_of_day() {
    let world = World::by(Arc::new(SetBack), |_| {}).await;
    let mut client = Client::to(&world).await;
    let (by_header, _) = signed(&signer("s3"), WHO, &[], Payload::Body(b""));
    let mut headers = http::HeaderMap::new();
    headers.insert("host", "localhost".parse().unwrap());
    let four = signer("s3").presign(WHO, &headers, 600, NOW);
    let end = NOW.seconds() + 600;
    let two = signer("s3").presign_version_two(&format!("GET\n\n\n{end}\n/b/WhoAmI"), end);
    for text in [by_header, head(&format!("GET /b/WhoAmI?{four}"), &[]), head(&format!("GET /b/WhoAmI?{two}"), &[])] {
        client.send(text).await;
        let answer = client.answer().await;
        assert!(answer.text().contains("who=arn:aws:iam::123456789012:root"), "{answer:?}");
    }
}

#[tokio::test]
async fn presigned_by_version_two() {
    let world = World::with(|config| config.domains = vec!["s3.test".to_owned()]).await;
    let mut client = Client::to(&world).await;
    let end = NOW.seconds() + 600;
    let presigned = |text: &str| signer("s3").presign_version_two(text, end);

    // The host's bucket is part of the path that is signed, and parameters that stand for headers are headers.
    let plain = presigned(&format!("GET\n\n\n{end}\n/b/WhoAmI"));
    let virtual_host = head(&format!("GET /WhoAmI?{plain}"), &[]).replace("Host: localhost", "Host: b.s3.test");
    for (text, bucket) in [(head(&format!("GET /b/WhoAmI?{plain}"), &[]), "-"), (virtual_host.clone(), "b")] {
        client.send(text).await;
        let answer = client.answer().await;
        let expected =
            [" who=arn:aws:iam::123456789012:root auth=Query ", &format!(" key={KEY} "), &format!(" bucket={bucket} ")];
        assert!(answer.status == 200 && expected.iter().all(|piece| answer.text().contains(piece)), "{answer:?}");
    }
    let signed = presigned(&format!("PUT\n\n\n{end}\nx-amz-meta-a:1 2\nx-amz-meta-b:3\n/b/Headers"));
    let parameters = format!("PUT /b/Headers?{signed}&x-amz-meta-a=1%202");
    client.send(head(&parameters, &["x-amz-meta-b: 3", "Content-Length: 0"])).await;
    assert_eq!(client.answer().await.text(), "x-amz-meta-a=1 2;x-amz-meta-b=3");

    for (text, status, code) in [
        (virtual_host.replace("b.s3", "c.s3"), 403, "SignatureDoesNotMatch"),
        (head(&parameters, &["x-amz-meta-b: 4", "Content-Length: 0"]), 403, "SignatureDoesNotMatch"),
        (head(&parameters, &["x-amz-meta-a: 1", "x-amz-meta-b: 3", "Content-Length: 0"]), 403, "AccessDenied"),
        (
            head(&parameters, &["x-amz-meta-b: 3", "x-amz-acl: private", "Content-Length: 0"]),
            403,
            "SignatureDoesNotMatch",
        ),
        (head(&format!("GET /b/WhoAmI?{plain}&attributes"), &[]), 403, "AccessDenied"),
        (head("GET /b/WhoAmI", &[&format!("Authorization: AWS {KEY}:c2lnbmF0dXJl")]), 400, "InvalidRequest"),
    ] {
        client.send(text).await;
        client.answer().await.assert_error(status, code);
        client.assert_alive().await;
    }
}

#[tokio::test]
async fn others_are_told_what_is_wrong() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    let with = |id: &str, secret: &str, region: &str, service: &str| Signer::new(id, secret, region, service);
    let mut tokened = signer("s3");
    tokened.session_token = Some("token".to_owned());
    let mut ended = signer("s3");
    ended.session_token = Some("ended".to_owned());
    for (signer, status, code, field) in [
        (with("NOBODY", SECRET, REGION, "s3"), 403, "InvalidAccessKeyId", Some(("AWSAccessKeyId", "NOBODY"))),
        (with(KEY, "wrong", REGION, "s3"), 403, "SignatureDoesNotMatch", Some(("AWSAccessKeyId", KEY))),
        (with(KEY, SECRET, "us-east-1", "s3"), 400, "AuthorizationHeaderMalformed", Some(("Region", REGION))),
        // What needs no secret is said first.
        (with("NOBODY", SECRET, "us-east-1", "s3"), 400, "AuthorizationHeaderMalformed", Some(("Region", REGION))),
        (with(KEY, SECRET, REGION, "ec2"), 501, "NotImplemented", None),
        (with("BROKEN", SECRET, REGION, "s3"), 500, "InternalError", None),
        (tokened, 400, "InvalidToken", None),
        (ended, 400, "ExpiredToken", None),
    ] {
        let (text, _) = signed(&signer, WHO, &[], Payload::Body(b""));
        client.send(text).await;
        let answer = client.answer().await;
        answer.assert_error(status, code);
        if let Some((name, value)) = field {
            assert_eq!(answer.element(name), Some(value));
        }
        assert!(!answer.text().contains("on fire"));
        client.assert_alive().await;
    }
    let (text, _) = signed(&signer("s3"), WHO, &[], Payload::Body(b""));
    client.send(text.replace("\r\n\r\n", "\r\nx-amz-acl: public-read\r\n\r\n")).await;
    client.answer().await.assert_error(403, "AccessDenied");
    client.send(head("GET /b/Hello", &["Authorization: Bearer x"])).await;
    client.answer().await.assert_error(400, "InvalidArgument");
    let metrics = client.get("/_millpond/metrics").await;
    assert!(metrics.text().contains("millpond_http_auth_failures_total 9"), "{}", metrics.text());
}

#[tokio::test]
async fn tokens_are_refused_in_the_words_of_each_protocol() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    const JSON: (&str, &str) = ("content-type", "application/x-amz-json-1.1");
    const TARGET: (&str, &str) = ("x-amz-target", "TrentService.Encrypt");
    let body: &[u8] = b"Action=Echo&Version=1";
    for (service, headers, token, expected) in [
        ("sts", vec![FORM], "ended", "<Code>ExpiredToken</Code>"),
        ("sts", vec![FORM], "forged", "<Code>InvalidClientTokenId</Code>"),
        ("kms", vec![JSON, TARGET], "ended", "ExpiredTokenException"),
        ("kms", vec![JSON, TARGET], "forged", "UnrecognizedClientException"),
    ] {
        let mut signer = signer(service);
        signer.session_token = Some(token.to_owned());
        let headers = [headers, vec![("content-length", "21")]].concat();
        let (text, _) = signed(&signer, ("POST", "/", ""), &headers, Payload::Body(body));
        client.send([text.as_bytes(), body].concat()).await;
        let answer = client.answer().await;
        assert!(answer.status == 403 && answer.text().contains(expected), "{service} {token}: {answer:?}");
    }
}

#[tokio::test]
async fn authentication_comes_before_the_operation() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    let wrong = Signer::new(KEY, "wrong", REGION, "s3");
    let (text, _) = signed(&wrong, ("GET", "/b/Nothing", ""), &[], Payload::Body(b""));
    client.send(text).await;
    client.answer().await.assert_error(403, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn other_services_are_found_and_answer_in_their_own_way() {
    let world = World::new().await;
    let mut client = Client::to(&world).await;
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    const JSON: (&str, &str) = ("content-type", "application/x-amz-json-1.1");
    const TARGET: (&str, &str) = ("x-amz-target", "TrentService.Encrypt");
    let body: &[u8] = b"Action=Echo&Version=1";

    for (service, headers) in [("sts", vec![FORM]), ("kms", vec![JSON, TARGET])] {
        // Their signatures cover the body's hash without naming it.
        for (sent, good) in [(body, true), (&b"Action=Evil&Version=1"[..], false)] {
            let mut headers = headers.clone();
            headers.push(("content-length", "21"));
            let (text, _) = signed(&signer(service), ("POST", "/", ""), &headers, Payload::Body(body));
            client.send([text.as_bytes(), sent].concat()).await;
            let answer = client.answer().await;
            assert!(answer.header("x-amzn-requestid").is_some());
            assert_eq!(answer.header("x-amz-request-id"), None);
            if good {
                assert_eq!((answer.status, answer.body.as_slice()), (200, body), "{service}");
                assert_eq!(answer.header("x-length"), Some("21"));
            } else {
                assert_eq!(answer.status, 403, "{service}");
                let code =
                    if service == "sts" { "<Code>SignatureDoesNotMatch<" } else { "\"InvalidSignatureException\"" };
                assert!(answer.text().contains(code), "{answer:?}");
            }
        }
        let stranger = Signer::new("NOBODY", SECRET, REGION, service);
        let (text, _) = signed(&stranger, ("POST", "/", ""), &headers, Payload::Body(b""));
        client.send(text).await;
        let answer = client.answer().await;
        let code = if service == "sts" { "<Code>InvalidClientTokenId<" } else { "\"UnrecognizedClientException\"" };
        assert!(answer.status == 403 && answer.text().contains(code), "{answer:?}");
    }

    // Without a signature the request itself tells.
    for (line, headers, served) in [
        ("POST /", vec!["Content-Type: application/x-www-form-urlencoded"], Some("x-amzn-requestid")),
        ("POST /", vec!["X-Amz-Target: TrentService.Encrypt"], Some("x-amzn-requestid")),
        ("POST /b/Echo", vec!["Content-Type: application/x-www-form-urlencoded"], Some("x-amz-request-id")),
        ("POST /", vec!["X-Amz-Target: Unknown.Encrypt", "Content-Type: application/x-amz-json-1.0"], None),
    ] {
        let mut headers = headers;
        headers.push("Content-Length: 0");
        client.send(head(line, &headers)).await;
        let answer = client.answer().await;
        match served {
            Some(id) => assert!(answer.status == 200 && answer.header(id).is_some(), "{answer:?}"),
            None => assert!(answer.status == 501 && answer.text().contains("\"NotImplemented\""), "{answer:?}"),
        }
    }
}

#[tokio::test]
async fn a_body_that_must_be_held_is_bounded() {
    let world = World::with(|config| config.limits.unverified_body_bytes = 1000).await;
    for (length, framing) in [(1001, "content-length"), (2000, "transfer-encoding")] {
        let mut client = Client::to(&world).await;
        let body = vec![b'a'; length];
        let value = if framing == "content-length" { length.to_string() } else { "chunked".to_owned() };
        let name: &'static str = framing;
        let (text, _) = signed(&signer("sts"), ("POST", "/", ""), &[(name, &value)], Payload::Body(&body));
        client.send(text).await;
        if framing == "transfer-encoding" {
            client.send_what_goes(format!("{length:x}\r\n")).await;
        }
        client.send_what_goes(&body).await;
        let answer = client.answer().await;
        assert!(answer.status == 413 && answer.text().contains("RequestEntityTooLarge"), "{answer:?}");
    }
}
