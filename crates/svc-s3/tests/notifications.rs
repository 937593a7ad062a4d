//! Changes are told to whom a bucket's configuration names: each once, in order, and none from before or after.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::ops::Bound;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use millpond_kernel::ServiceError;
use millpond_kernel::trace::{Asked, Line, Traced};
use millpond_meta::{MemoryKv, Scan};
use millpond_svc_s3::Tracing;
use serde_json::Value;
use world::{INBOX, OWNER, Row, Server, server, server_on, user};

const ALL: &[&str] = &["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put"];

fn queue(name: &str, events: &[&str], prefix: Option<&str>) -> String {
    let events: String = events.iter().map(|event| format!("<Event>{event}</Event>")).collect();
    let filter = prefix.map_or_else(String::new, |prefix| {
        format!("<Filter><S3Key><FilterRule><Name>prefix</Name><Value>{prefix}</Value></FilterRule></S3Key></Filter>")
    });
    format!(
        "<QueueConfiguration><Id>{name}</Id><Queue>arn:aws:sqs:us-east-1:{OWNER}:{name}</Queue>{events}{filter}</QueueConfiguration>"
    )
}

async fn ask(
    server: &Server,
    method: &'static str,
    target: &str,
    headers: &'static [(&'static str, &'static str)],
    body: &str,
) -> Result<String, ServiceError> {
    let (target, body): (&'static str, &'static str) = (target.to_owned().leak(), body.to_owned().leak());
    let row: Row = ("", method, target, headers, body);
    server.send(user(OWNER, "owner"), &row, "").await.map(|(_, response)| world::body(response))
}

async fn put(server: &Server, target: &str, body: &str) {
    ask(server, "PUT", target, &[], body).await.unwrap();
}

async fn configure(server: &Server, bucket: &str, content: &str) -> Result<String, ServiceError> {
    let body = format!("<NotificationConfiguration>{content}</NotificationConfiguration>");
    ask(server, "PUT", &format!("/{bucket}?notification"), &[], &body).await
}

/// The messages that arrived, as (queue or bus, event, key); test events have their bucket for a key.
async fn arrived(server: &Server) -> Vec<(String, String, String)> {
    server.consumers.run_pending().await.unwrap();
    let from = Bound::Included(Bytes::from_static(&[INBOX]));
    let to = Bound::Excluded(Bytes::from_static(&[INBOX + 1]));
    let rows = server.kv.scan(Scan { from, to, reverse: false, limit: 1000 }).await.unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    rows.iter()
        .map(|(_, row)| {
            let message: Value = serde_json::from_slice(row).unwrap();
            let body: Value = serde_json::from_str(message["body"].as_str().unwrap()).unwrap();
            let to = text(&message["to"]).rsplit(':').next().unwrap().to_owned();
            let record = &body["Records"][0];
            match (body.get("Event"), body.get("detail")) {
                (Some(event), _) => (to, text(event), text(&body["Bucket"])),
                (None, Some(detail)) => (to, text(&body["detail-type"]), text(&detail["object"]["key"])),
                (None, None) => (to, text(&record["eventName"]), text(&record["s3"]["object"]["key"])),
            }
        })
        .collect()
}

fn seen(all: &[(String, String, String)]) -> Vec<(&str, &str, &str)> {
    all.iter().map(|(to, event, key)| (to.as_str(), event.as_str(), key.as_str())).collect()
}

#[tokio::test]
async fn each_change_is_told_once_and_in_order() {
    let server = server().await;
    put(&server, "/bucket", "").await;
    put(&server, "/bucket/before", "x").await;
    configure(&server, "bucket", &queue("q", ALL, None)).await.unwrap();
    put(&server, "/bucket/a%20b", "x").await;
    put(
        &server,
        "/bucket/a%20b?tagging",
        "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
    )
    .await;
    ask(&server, "DELETE", "/bucket/a%20b?tagging", &[], "").await.unwrap();
    ask(&server, "PUT", "/bucket/copy", &[("x-amz-copy-source", "/bucket/before")], "").await.unwrap();
    ask(&server, "DELETE", "/bucket/copy", &[], "").await.unwrap();
    // There is nothing to delete: nothing happens, and nothing is told.
    ask(&server, "DELETE", "/bucket/copy", &[], "").await.unwrap();
    put(&server, "/bucket?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
        .await;
    ask(&server, "DELETE", "/bucket/before", &[], "").await.unwrap();
    let expected = [
        ("q", "s3:TestEvent", "bucket"),
        ("q", "ObjectCreated:Put", "a+b"),
        ("q", "ObjectTagging:Put", "a+b"),
        ("q", "ObjectTagging:Delete", "a+b"),
        ("q", "ObjectCreated:Copy", "copy"),
        ("q", "ObjectRemoved:Delete", "copy"),
        ("q", "ObjectRemoved:DeleteMarkerCreated", "before"),
    ];
    assert_eq!(seen(&arrived(&server).await), expected);
    assert_eq!(arrived(&server).await.len(), expected.len(), "nothing is told twice");
}

#[tokio::test]
async fn rules_and_the_bus_each_get_theirs() {
    let server = server().await;
    put(&server, "/bucket", "").await;
    let rules = [
        queue("images", &["s3:ObjectCreated:*"], Some("images/")),
        queue("rest", &["s3:ObjectRemoved:*"], None),
        "<EventBridgeConfiguration/>".to_owned(),
    ];
    configure(&server, "bucket", &rules.concat()).await.unwrap();
    put(&server, "/bucket/images/1", "x").await;
    put(&server, "/bucket/logs/1", "x").await;
    ask(&server, "DELETE", "/bucket/images/1", &[], "").await.unwrap();
    let bus = "event-bus/default";
    let expected = [
        ("images", "s3:TestEvent", "bucket"),
        ("rest", "s3:TestEvent", "bucket"),
        ("images", "ObjectCreated:Put", "images/1"),
        (bus, "Object Created", "images/1"),
        (bus, "Object Created", "logs/1"),
        ("rest", "ObjectRemoved:Delete", "images/1"),
        (bus, "Object Deleted", "images/1"),
    ];
    assert_eq!(seen(&arrived(&server).await), expected);
}

/// Arrivals that depend on each other come in commits of their own, and each once.
#[tokio::test]
async fn arrivals_know_of_those_before_them() {
    let server = server().await;
    put(&server, "/bucket", "").await;
    let rules = [queue("q", &["s3:ObjectCreated:*"], None), "<EventBridgeConfiguration/>".to_owned()];
    configure(&server, "bucket", &rules.concat()).await.unwrap();
    arrived(&server).await;
    let _ = server.inbox.counting.set(server.kv.clone());
    for key in ["1", "2"] {
        put(&server, &format!("/bucket/{key}"), "x").await;
    }
    let bus = "event-bus/default";
    let expected = [
        ("q", "ObjectCreated:Put", "1"),
        (bus, "Object Created", "1"),
        ("q", "ObjectCreated:Put", "2"),
        (bus, "Object Created", "2"),
    ];
    assert_eq!(seen(&arrived(&server).await)[1..], expected);
    let count = server.kv.get(&Bytes::from_static(&[world::COUNT])).await.unwrap().unwrap();
    assert_eq!(count[..], [4]);
}

/// A configuration counts from its own place in the journal to that of the next, however late the journal is read.
#[tokio::test]
async fn what_was_in_effect_at_a_change_counts() {
    let server = server().await;
    put(&server, "/bucket", "").await;
    configure(&server, "bucket", &queue("one", &["s3:ObjectCreated:*"], None)).await.unwrap();
    put(&server, "/bucket/1", "x").await;
    configure(&server, "bucket", &queue("two", &["s3:ObjectCreated:*"], None)).await.unwrap();
    put(&server, "/bucket/2", "x").await;
    configure(&server, "bucket", "").await.unwrap();
    put(&server, "/bucket/3", "x").await;
    configure(&server, "bucket", &queue("three", &["s3:ObjectRemoved:*"], None)).await.unwrap();
    for key in ["1", "2", "3"] {
        ask(&server, "DELETE", &format!("/bucket/{key}"), &[], "").await.unwrap();
    }
    ask(&server, "DELETE", "/bucket", &[], "").await.unwrap();
    let told: Vec<_> = arrived(&server).await.into_iter().filter(|(_, event, _)| event != "s3:TestEvent").collect();
    let expected = [
        ("one", "ObjectCreated:Put", "1"),
        ("two", "ObjectCreated:Put", "2"),
        ("three", "ObjectRemoved:Delete", "1"),
        ("three", "ObjectRemoved:Delete", "2"),
        ("three", "ObjectRemoved:Delete", "3"),
    ];
    assert_eq!(seen(&told), expected);
}

#[tokio::test]
async fn readers_come_back_after_a_restart_and_go_when_nothing_is_told() {
    let kv = std::sync::Arc::new(MemoryKv::new());
    let server = server_on(kv.clone()).await;
    put(&server, "/bucket", "").await;
    configure(&server, "bucket", &queue("q", &["s3:ObjectCreated:*"], None)).await.unwrap();
    put(&server, "/bucket/1", "x").await;
    drop(server);
    let server = server_on(kv.clone()).await;
    assert_eq!(seen(&arrived(&server).await).last(), Some(&("q", "ObjectCreated:Put", "1")));
    configure(&server, "bucket", "").await.unwrap();
    arrived(&server).await;
    let stream = millpond_lake::journal_of(1);
    assert!(server.consumers.floor(&stream).is_some());
    drop(server);
    let server = server_on(kv).await;
    assert_eq!(server.consumers.floor(&stream), None, "nobody reads a journal that nobody is told of");
    configure(&server, "bucket", &queue("q", &["s3:ObjectCreated:*"], None)).await.unwrap();
    put(&server, "/bucket/2", "x").await;
    assert_eq!(seen(&arrived(&server).await).last(), Some(&("q", "ObjectCreated:Put", "2")));
}

#[tokio::test]
async fn a_destination_that_fails_holds_up_no_other() {
    let server = server().await;
    put(&server, "/bucket", "").await;
    let rules = [
        queue("flaky", &["s3:ObjectCreated:*"], Some("f/")),
        queue("good", &["s3:ObjectCreated:*"], Some("g/")),
        queue("fickle", &["s3:ObjectCreated:*"], Some("x/")),
    ];
    configure(&server, "bucket", &rules.concat()).await.unwrap();
    arrived(&server).await;
    server.inbox.failing.store(true, Ordering::Relaxed);
    server.inbox.closed.store(true, Ordering::Relaxed);
    for key in ["f/1", "x/1", "g/1"] {
        put(&server, &format!("/bucket/{key}"), "x").await;
    }
    let told = arrived(&server).await;
    assert_eq!(seen(&told)[3..], [("good", "ObjectCreated:Put", "g/1")]);
    assert_eq!(server.announcer.lost(), 1, "what will never be taken is counted");
    server.inbox.failing.store(false, Ordering::Relaxed);
    // What waits is sealed: the record is in no timer.
    let timers = Scan {
        from: Bound::Included(Bytes::from_static(&[millpond_kernel::tables::TIMERS])),
        to: Bound::Excluded(Bytes::from_static(&[millpond_kernel::tables::TIMERS + 1])),
        reverse: false,
        limit: 100,
    };
    let waiting = server.kv.scan(timers).await.unwrap();
    let plain = |row: &[u8]| row.windows(12).any(|part| part == b"eventVersion");
    assert!(!waiting.is_empty() && waiting.iter().all(|(_, row)| !plain(row)));
    // The timer is due a second later.
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    server.timers.run_due().await;
    let told = arrived(&server).await;
    assert_eq!(seen(&told)[3..], [("good", "ObjectCreated:Put", "g/1"), ("flaky", "ObjectCreated:Put", "f/1")]);
}

#[tokio::test]
async fn destinations_that_cannot_be_are_refused() {
    let server = server().await;
    put(&server, "/bucket", "").await;
    let function = format!(
        "<CloudFunctionConfiguration><CloudFunction>arn:aws:lambda:us-east-1:{OWNER}:function:f</CloudFunction><Event>s3:ObjectCreated:*</Event></CloudFunctionConfiguration>"
    );
    let topic = format!(
        "<TopicConfiguration><Topic>arn:aws:sns:us-east-1:{OWNER}:t</Topic><Event>s3:ObjectCreated:*</Event></TopicConfiguration>"
    );
    let created = &["s3:ObjectCreated:*"][..];
    for (content, code, told) in [
        (function, "NotImplemented", ""),
        (topic, "NotImplemented", ""),
        (queue("missing", created, None), "InvalidArgument", "The destination queue does not exist"),
        (
            queue("closed", created, None),
            "InvalidArgument",
            "Permissions on the destination queue do not allow S3 to publish notifications from this bucket",
        ),
        (
            "<QueueConfiguration><Queue>arn:aws:sqs:us-east-1:123456789012:q</Queue></QueueConfiguration>".to_owned(),
            "MalformedXML",
            "",
        ),
    ] {
        let error = configure(&server, "bucket", &content).await.unwrap_err();
        assert_eq!(error.code, code, "{content}");
        let value = error.fields.iter().find(|(name, _)| *name == "ArgumentValue1");
        assert_eq!(value.map_or("", |(_, value)| value.as_str()), told);
    }
    assert_eq!(arrived(&server).await, [], "nothing arrives of what was refused");
    let skip = &[("x-amz-skip-destination-validation", "true")];
    let body = format!("<NotificationConfiguration>{}</NotificationConfiguration>", queue("missing", created, None));
    ask(&server, "PUT", "/bucket?notification", skip, &body).await.unwrap();
    let shown = ask(&server, "GET", "/bucket?notification", &[], "").await.unwrap();
    assert!(shown.contains(":missing</Queue><Event>s3:ObjectCreated:*</Event>"), "{shown}");
}

/// The journal is kept, however old, as long as its reader has not come by.
#[tokio::test]
async fn what_was_not_told_is_not_trimmed() {
    let server = server().await;
    put(&server, "/bucket", "").await;
    configure(&server, "bucket", &queue("q", &["s3:ObjectCreated:*"], None)).await.unwrap();
    arrived(&server).await;
    for key in 0..20 {
        put(&server, &format!("/bucket/{key:02}"), "x").await;
    }
    // Two commits are kept in this world; twenty wait for the reader.
    server.lake.upkeep_once().await.unwrap();
    let bucket = server.lake.bucket(&"bucket".parse().unwrap()).await.unwrap();
    assert_eq!(server.lake.changes(&bucket, None, 100).await.unwrap().len(), 20);
    assert_eq!(arrived(&server).await.len(), 21);
    server.lake.upkeep_once().await.unwrap();
    assert!(server.lake.changes(&bucket, None, 100).await.unwrap().len() < 4);
}

/// What `millpond trace` is told of the one change of an object, below its first two lines.
async fn traced(server: &Server, key: &str) -> Vec<Line> {
    let tracing = Tracing { lake: server.lake.clone(), announcer: server.announcer.clone() };
    let mut lines = tracing.trace(&Asked::Object { bucket: "bucket".into(), key: key.into() }).await.unwrap();
    let below = lines.split_off(2);
    assert!(lines[0].text.starts_with(&format!("s3://bucket/{key}: PutObject at ")), "{}", lines[0].text);
    ends(&lines[1], 1, &lines[1].text);
    assert!(lines[1].text.starts_with("by "), "{}", lines[1].text);
    below
}

fn ends(line: &Line, depth: usize, end: &str) {
    assert!(line.depth == depth && line.text.ends_with(end), "{line:?} is not {depth} {end}");
}

#[tokio::test]
async fn what_became_of_a_change_is_told() {
    let server = server().await;
    put(&server, "/bucket", "").await;
    put(&server, "/bucket/before", "x").await;
    configure(&server, "bucket", &queue("flaky", &["s3:ObjectCreated:*"], None)).await.unwrap();
    put(&server, "/bucket/k", "x").await;
    ends(&traced(&server, "before").await[0], 1, "the bucket had no notifications then");
    let lines = traced(&server, "k").await;
    ends(&lines[0], 1, ":flaky: matched, and waits in the journal");
    assert!(lines.len() == 1 && lines[0].then.is_empty());

    arrived(&server).await;
    let lines = traced(&server, "k").await;
    let inbox = Scan {
        from: Bound::Included(Bytes::from_static(&[INBOX])),
        to: Bound::Excluded(Bytes::from_static(&[INBOX + 1])),
        reverse: true,
        limit: 1,
    };
    let last: Value = serde_json::from_slice(&server.kv.scan(inbox).await.unwrap()[0].1).unwrap();
    let id = last["id"].as_str().unwrap();
    ends(&lines[0], 1, &format!(":flaky: matched, delivered as message {id}"));
    assert_eq!(lines[0].then, [Asked::Message(id.to_owned())]);

    server.inbox.failing.store(true, Ordering::Relaxed);
    put(&server, "/bucket/late", "x").await;
    arrived(&server).await;
    let lines = traced(&server, "late").await;
    ends(&lines[0], 1, ":flaky: matched, and waits for another attempt");
    ends(&lines[1], 2, ": not now; again after 1000 ms");
    assert!(lines.len() == 2 && lines[0].then.is_empty());
    server.inbox.failing.store(false, Ordering::Relaxed);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    server.timers.run_due().await;
    let lines = traced(&server, "late").await;
    assert!(lines[0].text.contains(":flaky: matched, delivered as message "), "{lines:?}");
    ends(&lines[2], 2, ": delivered (taken after it had failed)");

    // Its configuration is that of its time, as long as that is known.
    configure(&server, "bucket", &queue("other", &["s3:ObjectRemoved:*"], None)).await.unwrap();
    assert_eq!(traced(&server, "late").await, lines);
    put(&server, "/bucket/none", "x").await;
    let misfit = ":other: did not match: its events are s3:ObjectRemoved:*, and not s3:ObjectCreated:Put";
    ends(&traced(&server, "none").await[0], 1, misfit);
}
