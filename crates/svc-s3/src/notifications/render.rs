//! Events as they are told: records for queues and topics (S3 User Guide, "Event message structure"), and events for the bus (same guide, "EventBridge event
//! message structure"). Texts are put together without a tree of JSON: each PUT in a bucket with notifications pays for one.

use std::fmt::Write;

use millpond_lake::{ChangeEntry, ChangeKind, VersionId};
use millpond_types::{AccountId, Timestamp};

/// The MD5 of nothing, which S3 shows as the ETag of a delete marker.
const EMPTY_ETAG: &str = "d41d8cd98f00b204e9800998ecf8427e";
/// Bytes of a record besides the key: what is reserved at once.
const TYPICAL: usize = 900;
/// Where a change came from that no client asked for.
const INTERNAL: &str = "AWS Internal";

/// Where events come from.
#[derive(Clone, Debug)]
pub struct Place {
    /// The region.
    pub region: String,
    /// How the server names itself in `x-amz-id-2`.
    pub host_id: String,
}

/// Adds a JSON string.
fn text(out: &mut String, value: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in value.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&value[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            // Writing to a String cannot fail.
            control => _ = write!(out, "\\u{control:04x}"),
        }
    }
    out.push_str(&value[plain..]);
    out.push('"');
}

/// Adds a member whose value is a string.
fn member(out: &mut String, before: &str, value: &str) {
    out.push_str(before);
    text(out, value);
}

/// Adds a key as records show it: encoded as forms are, with its slashes (S3 User Guide, "Event message structure", the note on `key`).
fn encoded_key(out: &mut String, key: &str) {
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            // Writing to a String cannot fail.
            other => _ = write!(out, "%{other:02X}"),
        }
    }
}

/// The id of a version, where it has one.
fn version(change: &ChangeEntry) -> Option<String> {
    change.version.filter(|id| *id != VersionId::Null).map(|id| id.to_string())
}

/// The ETag that an event shows.
fn etag(change: &ChangeEntry) -> Option<&str> {
    match change.kind {
        ChangeKind::ObjectDeleted => None,
        ChangeKind::MarkerCreated => Some(EMPTY_ETAG),
        _ => Some(&change.etag),
    }
}

fn is_created(kind: ChangeKind) -> bool {
    matches!(kind, ChangeKind::ObjectPut | ChangeKind::ObjectCopied | ChangeKind::UploadCompleted)
}

/// Whether the order of such events among those of the key is told: of creations and removals.
fn is_sequenced(kind: ChangeKind) -> bool {
    is_created(kind) || matches!(kind, ChangeKind::ObjectDeleted | ChangeKind::MarkerCreated)
}

fn source_ip(change: &ChangeEntry) -> String {
    change.source_ip.map_or_else(|| INTERNAL.to_owned(), |address| address.to_string())
}

/// A message for a queue or a topic: one record. `event` is the type's name without `s3:`, `configuration` the id of the rule.
pub fn record(change: &ChangeEntry, event: &str, configuration: &str, owner: AccountId, place: &Place) -> String {
    let mut out = String::with_capacity(TYPICAL + change.key.len() * 3);
    let out = &mut out;
    // Tags and ACLs came with 2.3 (S3 User Guide, "Event message structure").
    let newer = matches!(change.kind, ChangeKind::TagsPut | ChangeKind::TagsDeleted | ChangeKind::AclPut);
    out.push_str(if newer { r#"{"Records":[{"eventVersion":"2.3""# } else { r#"{"Records":[{"eventVersion":"2.1""# });
    out.push_str(r#","eventSource":"aws:s3","awsRegion":""#);
    out.push_str(&place.region);
    out.push_str(r#"","eventTime":""#);
    millpond_wire::push_iso8601(out, change.time, true);
    out.push_str(r#"","eventName":""#);
    out.push_str(event);
    member(out, r#"","userIdentity":{"principalId":"#, &change.requester);
    member(out, r#"},"requestParameters":{"sourceIPAddress":"#, &source_ip(change));
    out.push_str(r#"},"responseElements":{"x-amz-request-id":""#);
    // Writing to a String cannot fail.
    let _ = write!(out, "{}", change.request_id);
    member(out, r#"","x-amz-id-2":"#, &place.host_id);
    member(out, r#"},"s3":{"s3SchemaVersion":"1.0","configurationId":"#, configuration);
    member(out, r#","bucket":{"name":"#, &change.bucket);
    out.push_str(r#","ownerIdentity":{"principalId":""#);
    out.push_str(owner.as_str());
    out.push_str(r#""},"arn":"arn:aws:s3:::"#);
    out.push_str(&change.bucket);
    out.push_str(r#""},"object":{"key":""#);
    encoded_key(out, &change.key);
    out.push('"');
    if is_created(change.kind) {
        let _ = write!(out, r#","size":{}"#, change.size);
    }
    object(out, change, [r#","eTag":"#, r#","versionId":"#, r#","sequencer":"#]);
    out.push_str("}}}]}");
    std::mem::take(out)
}

/// Adds what an event tells of an object besides its key and size, under the names for its ETag, version and sequencer.
fn object(out: &mut String, change: &ChangeEntry, [etags, versions, sequencers]: [&str; 3]) {
    if let Some(etag) = etag(change) {
        member(out, etags, etag);
    }
    if let Some(version) = version(change) {
        member(out, versions, &version);
    }
    if is_sequenced(change.kind) {
        member(out, sequencers, &change.sequencer);
    }
}

/// An event for the owner's bus, the whole envelope; `None` for changes that are not told there.
pub fn bus_event(change: &ChangeEntry, id: &str, owner: AccountId, place: &Place) -> Option<String> {
    let (kind, further) = match change.kind {
        ChangeKind::ObjectPut => ("Object Created", r#","reason":"PutObject""#),
        ChangeKind::ObjectCopied => ("Object Created", r#","reason":"CopyObject""#),
        ChangeKind::UploadCompleted => ("Object Created", r#","reason":"CompleteMultipartUpload""#),
        // Of a batch of deletions, each is told as if it had come alone.
        ChangeKind::ObjectDeleted => {
            ("Object Deleted", r#","reason":"DeleteObject","deletion-type":"Permanently Deleted""#)
        }
        ChangeKind::MarkerCreated => {
            ("Object Deleted", r#","reason":"DeleteObject","deletion-type":"Delete Marker Created""#)
        }
        ChangeKind::TagsPut => ("Object Tags Added", ""),
        ChangeKind::TagsDeleted => ("Object Tags Deleted", ""),
        ChangeKind::AclPut => ("Object ACL Updated", ""),
        ChangeKind::BucketCreated
        | ChangeKind::BucketDeleted
        | ChangeKind::BucketVersioning
        | ChangeKind::BucketTagging
        | ChangeKind::BucketConfiguration => return None,
    };
    let mut out = String::with_capacity(TYPICAL + change.key.len() * 2);
    let out = &mut out;
    member(out, r#"{"version":"0","id":"#, id);
    member(out, r#","detail-type":"#, kind);
    member(out, r#","source":"aws.s3","account":"#, owner.as_str());
    out.push_str(r#","time":""#);
    millpond_wire::push_iso8601(out, Timestamp::from_seconds(change.time.seconds()), false);
    member(out, r#"","region":"#, &place.region);
    out.push_str(r#","resources":["arn:aws:s3:::"#);
    out.push_str(&change.bucket);
    member(out, r#""],"detail":{"version":"0","bucket":{"name":"#, &change.bucket);
    member(out, r#"},"object":{"key":"#, &change.key);
    if is_created(change.kind) {
        let _ = write!(out, r#","size":{}"#, change.size);
    }
    object(out, change, [r#","etag":"#, r#","version-id":"#, r#","sequencer":"#]);
    out.push_str(r#"},"request-id":""#);
    let _ = write!(out, "{}", change.request_id);
    // Entries of earlier versions do not know the account.
    let requester = if change.account.is_empty() { &change.requester } else { &change.account };
    member(out, r#"","requester":"#, requester);
    member(out, r#","source-ip-address":"#, &source_ip(change));
    out.push_str(further);
    out.push_str("}}");
    Some(std::mem::take(out))
}

/// The message that tells a destination that it was configured (S3 User Guide, "Granting permissions to publish event notification messages").
pub fn test_event(bucket: &str, time: Timestamp, request_id: &str, place: &Place) -> String {
    let mut out = String::with_capacity(TYPICAL);
    out.push_str(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":""#);
    millpond_wire::push_iso8601(&mut out, time, true);
    member(&mut out, r#"","Bucket":"#, bucket);
    member(&mut out, r#","RequestId":"#, request_id);
    member(&mut out, r#","HostId":"#, &place.host_id);
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use millpond_meta::Position;
    use millpond_types::RequestId;
    use serde_json::{Value, json};

    use super::*;

    fn change(kind: ChangeKind, key: &str) -> ChangeEntry {
        ChangeEntry {
            position: Position { commit: 0x1234, index: 1 },
            kind,
            operation: "PutObject".into(),
            bucket: "photos".into(),
            key: key.into(),
            version: Some(VersionId::Id { stamp: 7, nonce: 9 }),
            size: 5,
            etag: "b1946ac92492d2347c6235b4d2611184".into(),
            sequencer: Position { commit: 0x1234, index: 1 }.to_string(),
            requester: "AWS:AIDAEXAMPLE".into(),
            source_ip: Some("203.0.113.9".parse().unwrap()),
            request_id: RequestId(7),
            causes: Vec::new(),
            time: Timestamp(1_800_000_000_123_000_000),
            account: "123456789012".into(),
            config: None,
        }
    }

    fn place() -> Place {
        Place { region: "us-east-1".into(), host_id: "HOST=".into() }
    }

    fn told(change: &ChangeEntry) -> Value {
        let event = change.kind.event().unwrap();
        let text = record(change, event, "conf \"1\"", "123456789012".parse().unwrap(), &place());
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_record_is_as_s3_writes_it() {
        let expected = json!({"Records": [{
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventTime": "2027-01-15T08:00:00.123Z",
            "eventName": "ObjectCreated:Put", "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
            "requestParameters": {"sourceIPAddress": "203.0.113.9"},
            "responseElements": {"x-amz-request-id": RequestId(7).to_string(), "x-amz-id-2": "HOST="},
            "s3": {
                "s3SchemaVersion": "1.0", "configurationId": "conf \"1\"",
                "bucket": {"name": "photos", "ownerIdentity": {"principalId": "123456789012"}, "arn": "arn:aws:s3:::photos"},
                "object": {
                    "key": "a/red+flower%2B%E6%97%A5.jpg", "size": 5, "eTag": "b1946ac92492d2347c6235b4d2611184",
                    "versionId": "00000000000000070000000000000009", "sequencer": "00000000000012340001",
                },
            },
        }]});
        assert_eq!(told(&change(ChangeKind::ObjectPut, "a/red flower+日.jpg")), expected);
    }

    #[test]
    fn each_kind_tells_what_it_knows() {
        for (kind, version, names, members) in [
            (
                ChangeKind::ObjectCopied,
                "2.1",
                "ObjectCreated:Copy",
                vec!["eTag", "key", "sequencer", "size", "versionId"],
            ),
            (
                ChangeKind::UploadCompleted,
                "2.1",
                "ObjectCreated:CompleteMultipartUpload",
                vec!["eTag", "key", "sequencer", "size", "versionId"],
            ),
            (ChangeKind::ObjectDeleted, "2.1", "ObjectRemoved:Delete", vec!["key", "sequencer", "versionId"]),
            (
                ChangeKind::MarkerCreated,
                "2.1",
                "ObjectRemoved:DeleteMarkerCreated",
                vec!["eTag", "key", "sequencer", "versionId"],
            ),
            (ChangeKind::TagsPut, "2.3", "ObjectTagging:Put", vec!["eTag", "key", "versionId"]),
            (ChangeKind::TagsDeleted, "2.3", "ObjectTagging:Delete", vec!["eTag", "key", "versionId"]),
            (ChangeKind::AclPut, "2.3", "ObjectAcl:Put", vec!["eTag", "key", "versionId"]),
        ] {
            let told = told(&change(kind, "k"));
            let record = &told["Records"][0];
            assert_eq!((&record["eventVersion"], &record["eventName"]), (&json!(version), &json!(names)));
            let mut found: Vec<_> = record["s3"]["object"].as_object().unwrap().keys().cloned().collect();
            found.sort();
            assert_eq!(found, members, "{kind:?}");
        }
        let unversioned = ChangeEntry { version: None, ..change(ChangeKind::ObjectPut, "k") };
        let null = ChangeEntry { version: Some(VersionId::Null), ..unversioned.clone() };
        for change in [unversioned, null] {
            assert_eq!(told(&change)["Records"][0]["s3"]["object"].get("versionId"), None);
        }
    }

    #[test]
    fn events_on_the_bus_are_as_s3_writes_them() {
        let owner = "123456789012".parse().unwrap();
        let event = |kind| -> Value {
            let text = bus_event(&change(kind, "a b/\"\\\n\u{1}日"), "an-id", owner, &place()).unwrap();
            serde_json::from_str(&text).unwrap()
        };
        let expected = json!({
            "version": "0", "id": "an-id", "detail-type": "Object Created", "source": "aws.s3", "account": "123456789012",
            "time": "2027-01-15T08:00:00Z", "region": "us-east-1", "resources": ["arn:aws:s3:::photos"],
            "detail": {
                "version": "0", "bucket": {"name": "photos"},
                "object": {
                    "key": "a b/\"\\\n\u{1}日", "size": 5, "etag": "b1946ac92492d2347c6235b4d2611184",
                    "version-id": "00000000000000070000000000000009", "sequencer": "00000000000012340001",
                },
                "request-id": RequestId(7).to_string(), "requester": "123456789012", "source-ip-address": "203.0.113.9",
                "reason": "PutObject",
            },
        });
        assert_eq!(event(ChangeKind::ObjectPut), expected);
        for (kind, name, reason, deletion) in [
            (ChangeKind::ObjectCopied, "Object Created", json!("CopyObject"), Value::Null),
            (ChangeKind::UploadCompleted, "Object Created", json!("CompleteMultipartUpload"), Value::Null),
            (ChangeKind::ObjectDeleted, "Object Deleted", json!("DeleteObject"), json!("Permanently Deleted")),
            (ChangeKind::MarkerCreated, "Object Deleted", json!("DeleteObject"), json!("Delete Marker Created")),
            (ChangeKind::TagsPut, "Object Tags Added", Value::Null, Value::Null),
            (ChangeKind::TagsDeleted, "Object Tags Deleted", Value::Null, Value::Null),
            (ChangeKind::AclPut, "Object ACL Updated", Value::Null, Value::Null),
        ] {
            let event = event(kind);
            let detail = &event["detail"];
            assert_eq!(event["detail-type"], name);
            assert_eq!((&detail["reason"], &detail["deletion-type"]), (&reason, &deletion), "{name}");
        }
        assert_eq!(bus_event(&change(ChangeKind::BucketDeleted, ""), "i", owner, &place()), None);
    }

    #[test]
    fn the_test_event() {
        let text = test_event("photos", Timestamp(1_800_000_000_123_000_000), "ABC", &place());
        let expected = json!({
            "Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2027-01-15T08:00:00.123Z", "Bucket": "photos",
            "RequestId": "ABC", "HostId": "HOST=",
        });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }
}
