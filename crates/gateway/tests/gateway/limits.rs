//! Too many requests, too many connections, and clients that do not read.

use tokio::io::AsyncReadExt;

use crate::client::{Client, head};
use crate::world::{World, short};

#[tokio::test]
async fn too_many_requests_are_told_to_slow_down() {
    let world = World::with(|config| config.limits.requests = 2).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut client = Client::to(&world).await;
        client.send(head("GET /b/Wait", &[])).await;
        waiting.push(client);
    }
    world.until_waiting(2).await;
    let mut client = Client::to(&world).await;
    let answer = client.get("/b/Hello").await;
    answer.assert_error(503, "SlowDown");
    assert_eq!(answer.element("Message"), Some("Please reduce your request rate."));
    // Whoever looks after the server still can.
    assert_eq!(client.get("/_millpond/health/live").await.status, 200);
    let metrics = client.get("/_millpond/metrics").await;
    assert!(metrics.text().contains("millpond_http_requests_in_flight 2"), "{}", metrics.text());
    world.open(2);
    for client in &mut waiting {
        assert_eq!(client.answer().await.text(), "waited");
    }
    client.assert_alive().await;
}

#[tokio::test]
async fn a_request_counts_until_its_answer_is_sent() {
    let world = World::with(|config| config.limits.requests = 1).await;
    for _ in 0..20 {
        let mut client = Client::to(&world).await;
        client.assert_alive().await;
        // Gone in the middle of an answer: must not count for ever.
        client.send(head("GET /b/Stream", &[])).await;
        client.answer_head().await.unwrap();
        drop(client);
        let mut client = Client::to(&world).await;
        while client.get("/b/Hello").await.status == 503 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test]
async fn too_many_connections_are_told_to_slow_down() {
    let world = World::with(|config| config.limits.connections = 2).await;
    let mut one = Client::to(&world).await;
    let mut two = Client::to(&world).await;
    one.assert_alive().await;
    two.assert_alive().await;
    let mut three = Client::to(&world).await;
    three.send_what_goes(head("GET /b/Hello", &[])).await;
    let answer = three.answer().await;
    answer.assert_error(503, "SlowDown");
    assert!(answer.closes());
    three.assert_closed().await;
    drop(one);
    loop {
        let mut again = Client::to(&world).await;
        if again.get("/b/Hello").await.status == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    two.assert_alive().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let world = World::limited(short()).await;
    let mut client = Client::to(&world).await;
    // More than the system's buffers hold.
    let requests = head("GET /b/Stream", &[]).repeat(64);
    client.send_what_goes(requests).await;
    let mut observer = Client::to(&world).await;
    loop {
        let metrics = observer.get("/_millpond/metrics").await;
        if metrics.text().contains("millpond_http_connections 1\n") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_client_that_drips_is_cut_if_a_rate_is_asked_for() {
    // A read every 10 ms never stalls the connection for 300 ms, but is far below a rate of 1 TiB/s.
    for (rate, cut) in [(Some(1 << 40), true), (None, false)] {
        let mut limits = short();
        limits.write_rate = rate;
        let world = World::limited(limits).await;
        let mut client = Client::to(&world).await;
        client.send(head("GET /b/Stream", &[]).repeat(24)).await;
        let mut buffer = vec![0; 256 * 1024];
        let mut taken = 0;
        while let Ok(count @ 1..) = client.stream.read(&mut buffer).await {
            taken += count;
            if taken > 24 << 20 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(taken < 24 << 20, cut, "{taken}");
    }
}
