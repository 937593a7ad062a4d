//! Records as clients and functions see them (API reference, `Record`; Lambda Developer Guide, "DynamoDB event").

use millpond_item::Item;
use sha2::{Digest, Sha256};

use super::known::Stream;
use super::place::sequence;
use super::read::Record;

/// For whom a record is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum For {
    /// An answer of GetRecords.
    Client,
    /// The event of a function, which tells the stream as well.
    Function,
}

/// The id of a record: 32 hexadecimal digits, always the same for the same record.
pub(crate) fn event_id(stream: &Stream, record: &Record) -> String {
    let mut hash = Sha256::new();
    hash.update(stream.arn.as_str());
    hash.update(record.position.to_bytes());
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A text that needs no escapes.
fn text(out: &mut String, name: &str, value: &str) {
    out.extend(["\"", name, "\":\"", value, "\","]);
}

/// Appends a record in JSON.
pub(crate) fn write(out: &mut String, stream: &Stream, record: &Record, whom: For) {
    out.push('{');
    text(out, "eventID", &event_id(stream, record));
    text(out, "eventName", record.event().name());
    text(out, "eventVersion", "1.1");
    text(out, "eventSource", "aws:dynamodb");
    text(out, "awsRegion", stream.arn.region());
    if whom == For::Function {
        text(out, "eventSourceARN", stream.arn.as_str());
    }
    if record.row.expired {
        let (principal, kind) = match whom {
            For::Client => ("PrincipalId", "Type"),
            For::Function => ("principalId", "type"),
        };
        out.push_str("\"userIdentity\":{");
        text(out, principal, "dynamodb.amazonaws.com");
        out.extend(["\"", kind, "\":\"Service\"},"]);
    }
    out.push_str("\"dynamodb\":{");
    out.extend(["\"ApproximateCreationDateTime\":", &(record.row.time / 1000).to_string(), ","]);
    let mut image = |name: &str, item: &Item| {
        out.extend(["\"", name, "\":"]);
        item.write_json(out);
        out.push(',');
    };
    image("Keys", &record.keys);
    if let Some(new) = &record.new {
        image("NewImage", new);
    }
    if let Some(old) = &record.old {
        image("OldImage", old);
    }
    text(out, "SequenceNumber", &sequence(record.position));
    out.extend([
        "\"SizeBytes\":",
        &record.row.size.to_string(),
        ",\"StreamViewType\":\"",
        stream.view().name(),
        "\"}}",
    ]);
}
