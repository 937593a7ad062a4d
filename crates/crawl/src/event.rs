//! Messages of event queues: S3's notifications, sent to the queue itself, by way of a topic, or by EventBridge.

use serde_json::Value;

/// A change of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Whether it was put; else it was deleted.
    pub created: bool,
}

/// A message that tells of no change of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is no event notification of Amazon S3")]
pub struct BadEvent;

/// The changes that a message tells of; none for a test message.
pub fn events(body: &str) -> Result<Vec<Event>, BadEvent> {
    let value: Value = serde_json::from_str(body).map_err(|_| BadEvent)?;
    match value.get("Message").and_then(Value::as_str) {
        // In a topic's envelope.
        Some(message) => of(&serde_json::from_str(message).map_err(|_| BadEvent)?),
        None => of(&value),
    }
}

fn of(value: &Value) -> Result<Vec<Event>, BadEvent> {
    if value.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
        return Ok(Vec::new());
    }
    if let Some(kind) = value.get("detail-type").and_then(Value::as_str) {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let created = match kind {
            "Object Created" => true,
            "Object Deleted" => false,
            _ => return Ok(Vec::new()),
        };
        let bucket = text("/detail/bucket/name").ok_or(BadEvent)?;
        // Not encoded, other than those of notifications.
        return Ok(vec![Event { bucket, key: text("/detail/object/key").ok_or(BadEvent)?, created }]);
    }
    let records = value.get("Records").and_then(Value::as_array).ok_or(BadEvent)?;
    let mut all = Vec::with_capacity(records.len());
    for record in records {
        let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
        let name = text("/eventName").ok_or(BadEvent)?;
        let created = name.contains("ObjectCreated") || name.contains("ObjectRestore");
        if !created && !name.contains("ObjectRemoved") && !name.contains("LifecycleExpiration") {
            continue;
        }
        let bucket = text("/s3/bucket/name").ok_or(BadEvent)?.to_owned();
        all.push(Event { bucket, key: decoded(text("/s3/object/key").ok_or(BadEvent)?), created });
    }
    Ok(all)
}

/// As forms encode it, which is how notifications have keys.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let hex = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        rest = after;
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_ways_that_notifications_come() {
        let record = |name: &str, key: &str| json!({"eventName": name, "s3": {"bucket": {"name": "lake"}, "object": {"key": key}}});
        let direct = json!({"Records": [record("ObjectCreated:Put", "a+b/%C3%A9%2B.csv"), record("ObjectRemoved:Delete", "x"), record("ReducedRedundancyLostObject", "y")]});
        let event = |key: &str, created| Event { bucket: "lake".into(), key: key.into(), created };
        let expected = vec![event("a b/é+.csv", true), event("x", false)];
        assert_eq!(events(&direct.to_string()), Ok(expected.clone()));
        let wrapped = json!({"Type": "Notification", "Message": direct.to_string()});
        assert_eq!(events(&wrapped.to_string()), Ok(expected));
        let bridge =
            json!({"detail-type": "Object Created", "detail": {"bucket": {"name": "lake"}, "object": {"key": "a+b"}}});
        assert_eq!(events(&bridge.to_string()), Ok(vec![event("a+b", true)]));
        assert_eq!(events(r#"{"Event":"s3:TestEvent"}"#), Ok(vec![]));
        for bad in ["", "{}", "[]", r#"{"Records":[{}]}"#, r#"{"Message":"x"}"#] {
            assert_eq!(events(bad), Err(BadEvent), "{bad}");
        }
    }
}
