//! The documents that subscribers get, and what of them is signed (SNS Developer Guide, "HTTP/HTTPS notification JSON format" and "Verifying the
//! signatures of Amazon SNS messages").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millpond_kernel::Attribute;
use millpond_types::Timestamp;
use serde_json::Value;

use crate::names::uuid;

/// The kinds of messages, as they are named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// What was published.
    Notification,
    /// Asks a new endpoint whether it wants the messages.
    Confirmation,
    /// Tells an endpoint that it was unsubscribed.
    Ended,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notification => "Notification",
            Self::Confirmation => "SubscriptionConfirmation",
            Self::Ended => "UnsubscribeConfirmation",
        }
    }
}

/// What a document says, but for its signature.
#[derive(Clone, Debug)]
pub(crate) struct Envelope<'a> {
    pub kind: Kind,
    pub id: u128,
    pub topic_arn: &'a str,
    pub subject: Option<&'a str>,
    pub text: &'a str,
    pub time: Timestamp,
    /// Of confirmations: the token and the link to follow.
    pub token: Option<(&'a str, &'a str)>,
}

/// What proves a document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Proof {
    pub version: &'static str,
    /// Base64.
    pub signature: String,
    pub certificate_url: String,
}

/// With milliseconds, in UTC.
pub(crate) fn timestamp(time: Timestamp) -> String {
    let mut text = String::new();
    millpond_wire::push_iso8601(&mut text, time, true);
    text
}

impl Envelope<'_> {
    /// Names and values, each with a line's end, in the order of their names; only what is there.
    pub fn signed_text(&self) -> String {
        let (id, time) = (uuid(self.id), timestamp(self.time));
        let (token, link) = self.token.unzip();
        let pairs = [
            ("Message", Some(self.text)),
            ("MessageId", Some(id.as_str())),
            ("Subject", self.subject),
            ("SubscribeURL", link),
            ("Timestamp", Some(time.as_str())),
            ("Token", token),
            ("TopicArn", Some(self.topic_arn)),
            ("Type", Some(self.kind.as_str())),
        ];
        let mut text = String::new();
        for (name, value) in pairs {
            if let Some(value) = value {
                text.push_str(name);
                text.push('\n');
                text.push_str(value);
                text.push('\n');
            }
        }
        text
    }

    /// The document, in AWS's order and with its blanks.
    pub fn document(&self, proof: &Proof, unsubscribe: Option<&str>, attributes: &[Attribute]) -> String {
        let mut document = Document::default();
        document.member("Type", self.kind.as_str());
        document.member("MessageId", &uuid(self.id));
        if let Some((token, _)) = self.token {
            document.member("Token", token);
        }
        document.member("TopicArn", self.topic_arn);
        if let Some(subject) = self.subject {
            document.member("Subject", subject);
        }
        document.member("Message", self.text);
        if let Some((_, link)) = self.token {
            document.member("SubscribeURL", link);
        }
        document.member("Timestamp", &timestamp(self.time));
        document.member("SignatureVersion", proof.version);
        document.member("Signature", &proof.signature);
        document.member("SigningCertURL", &proof.certificate_url);
        if let Some(link) = unsubscribe {
            document.member("UnsubscribeURL", link);
        }
        document.attributes(attributes);
        document.end()
    }

    /// The event that a function gets (Lambda Developer Guide, "Using AWS Lambda with Amazon SNS").
    pub fn event(&self, proof: &Proof, subscription: &str, unsubscribe: &str, attributes: &[Attribute]) -> String {
        let shown = |attribute: &Attribute| {
            let value = serde_json::json!({"Type": attribute.data_type, "Value": shown_value(attribute)});
            (attribute.name.clone(), value)
        };
        let attributes: serde_json::Map<String, Value> = attributes.iter().map(shown).collect();
        serde_json::json!({"Records": [{
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": subscription,
            "Sns": {
                "Type": self.kind.as_str(),
                "MessageId": uuid(self.id),
                "TopicArn": self.topic_arn,
                "Subject": self.subject,
                "Message": self.text,
                "Timestamp": timestamp(self.time),
                "SignatureVersion": proof.version,
                "Signature": proof.signature,
                "SigningCertUrl": proof.certificate_url,
                "UnsubscribeUrl": unsubscribe,
                "MessageAttributes": attributes,
            },
        }]})
        .to_string()
    }
}

#[derive(Default)]
struct Document(String);

impl Document {
    fn begin(&mut self) {
        self.0.push_str(if self.0.is_empty() { "{\n" } else { ",\n" });
    }

    fn member(&mut self, name: &str, value: &str) {
        self.begin();
        self.0.push_str(&format!("  \"{name}\" : {}", quoted(value)));
    }

    fn attributes(&mut self, attributes: &[Attribute]) {
        if attributes.is_empty() {
            return;
        }
        self.begin();
        self.0.push_str("  \"MessageAttributes\" : {\n");
        let shown: Vec<String> = attributes.iter().map(attribute).collect();
        self.0.push_str(&shown.join(",\n"));
        self.0.push_str("\n  }");
    }

    fn end(mut self) -> String {
        self.0.push_str("\n}");
        self.0
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// An attribute's value as it is shown: text, or bytes in base64.
fn shown_value(attribute: &Attribute) -> String {
    if attribute.data_type.starts_with("Binary") {
        STANDARD.encode(&attribute.value)
    } else {
        String::from_utf8_lossy(&attribute.value).into_owned()
    }
}

fn attribute(attribute: &Attribute) -> String {
    let value = shown_value(attribute);
    let (name, data_type, value) = (quoted(&attribute.name), quoted(&attribute.data_type), quoted(&value));
    format!("    {name} : {{\"Type\":{data_type},\"Value\":{value}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope<'a>(subject: Option<&'a str>, token: Option<(&'a str, &'a str)>) -> Envelope<'a> {
        let kind = if token.is_some() { Kind::Confirmation } else { Kind::Notification };
        let (topic_arn, time) = ("arn:aws:sns:us-east-1:111122223333:t", Timestamp(1_335_473_104_751_000_000));
        Envelope { kind, id: 0x22, topic_arn, subject, text: "a\n\"b\"", time, token }
    }

    #[test]
    fn what_is_signed_stands_in_order() {
        let plain = envelope(None, None).signed_text();
        assert_eq!(
            plain,
            "Message\na\n\"b\"\nMessageId\n00000000-0000-0000-0000-000000000022\nTimestamp\n2012-04-26T20:45:04.751Z\n\
             TopicArn\narn:aws:sns:us-east-1:111122223333:t\nType\nNotification\n"
        );
        assert!(envelope(Some("s"), None).signed_text().contains("\nSubject\ns\nTimestamp\n"));
        let asked = envelope(None, Some(("tok", "http://l/"))).signed_text();
        assert!(asked.contains("\nSubscribeURL\nhttp://l/\nTimestamp\n"), "{asked}");
        assert!(asked.contains("\nToken\ntok\nTopicArn\n"), "{asked}");
    }

    #[test]
    fn functions_get_events() {
        let proof = Proof { version: "1", signature: "c2ln".into(), certificate_url: "http://c".into() };
        let attributes = [Attribute { name: "b".into(), data_type: "Binary".into(), value: "\0".into() }];
        let event: Value =
            serde_json::from_str(&envelope(None, None).event(&proof, "arn:s", "http://u", &attributes)).unwrap();
        let record = &event["Records"][0];
        assert_eq!((&record["EventSource"], &record["EventSubscriptionArn"]), (&"aws:sns".into(), &"arn:s".into()));
        let sns = &record["Sns"];
        assert_eq!((&sns["Subject"], &sns["Message"]), (&Value::Null, &"a\n\"b\"".into()));
        assert_eq!(sns["MessageAttributes"]["b"], serde_json::json!({"Type": "Binary", "Value": "AA=="}));
        assert_eq!(sns["SigningCertUrl"], "http://c");
    }

    #[test]
    fn documents_are_laid_out_as_those_of_aws() {
        let proof = Proof { version: "1", signature: "c2ln".into(), certificate_url: "http://c".into() };
        let attributes = [
            Attribute { name: "n".into(), data_type: "Number".into(), value: "5".into() },
            Attribute { name: "b".into(), data_type: "Binary".into(), value: "\0".into() },
        ];
        let document = envelope(Some("s"), None).document(&proof, Some("http://u"), &attributes);
        assert_eq!(
            document,
            r#"{
  "Type" : "Notification",
  "MessageId" : "00000000-0000-0000-0000-000000000022",
  "TopicArn" : "arn:aws:sns:us-east-1:111122223333:t",
  "Subject" : "s",
  "Message" : "a\n\"b\"",
  "Timestamp" : "2012-04-26T20:45:04.751Z",
  "SignatureVersion" : "1",
  "Signature" : "c2ln",
  "SigningCertURL" : "http://c",
  "UnsubscribeURL" : "http://u",
  "MessageAttributes" : {
    "n" : {"Type":"Number","Value":"5"},
    "b" : {"Type":"Binary","Value":"AA=="}
  }
}"#
        );
        let asked = envelope(None, Some(("tok", "http://l/"))).document(&proof, None, &[]);
        let parsed: Value = serde_json::from_str(&asked).unwrap();
        assert_eq!((parsed["Token"].as_str(), parsed["SubscribeURL"].as_str()), (Some("tok"), Some("http://l/")));
        assert!(parsed.get("UnsubscribeURL").is_none());
    }
}
