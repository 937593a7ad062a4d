//! What is published: validated, kept, and read again.

use std::collections::BTreeMap;

use bytes::Bytes;
use millpond_api_sns as api;
use millpond_kernel::{Attribute, Delivery};
use millpond_pattern as pattern;
use millpond_types::{CauseChain, Timestamp};
use prost::Message as _;
use serde_json::Value;

use crate::errors::SnsError;
use crate::limits::{MAX_MESSAGE, MAX_SUBJECT};
use crate::rows::{AttributeRow, MessageRow};

/// A message, as a topic has it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Message {
    pub id: u128,
    pub time: Timestamp,
    text: String,
    texts: BTreeMap<String, String>,
    pub subject: Option<String>,
    pub attributes: Vec<Attribute>,
    pub causes: CauseChain,
    /// The id of the event that it comes from: its own unless somebody else's is known.
    pub event: String,
    /// What first attempts keep the order of.
    pub group: Option<String>,
}

/// What is the same in Publish and in the entries of PublishBatch.
pub(crate) struct Given<'a> {
    pub text: &'a str,
    pub subject: Option<&'a str>,
    pub structure: Option<&'a str>,
    pub attributes: Option<&'a BTreeMap<String, api::MessageAttributeValue>>,
    pub deduplication: Option<&'a str>,
}

impl Message {
    /// Checks what is to be published.
    pub fn given(id: u128, time: Timestamp, causes: CauseChain, given: &Given<'_>) -> Result<Self, SnsError> {
        if given.text.is_empty() {
            return Err(SnsError::parameter("Empty message"));
        }
        if given.deduplication.is_some() {
            let reason = "The request includes MessageDeduplicationId parameter that is not valid for this topic type";
            return Err(SnsError::Parameter(format!("MessageDeduplicationId Reason: {reason}")));
        }
        let attributes = attributes(given.attributes)?;
        let subject = given.subject.map(subject).transpose()?;
        let size = given.text.len() + attributes_size(&attributes);
        if size > MAX_MESSAGE {
            return Err(SnsError::parameter("Message too long"));
        }
        let (text, texts) = match given.structure {
            None | Some("") => (given.text.to_owned(), BTreeMap::new()),
            Some("json") => structured(given.text)?,
            Some(_) => return Err(SnsError::parameter("MessageStructure")),
        };
        let event = crate::names::uuid(id);
        Ok(Self { id, time, text, texts, subject, attributes, causes, event, group: None })
    }

    /// What another service delivers to a topic.
    pub fn delivered(delivery: &Delivery, subject: Option<&str>) -> Result<Self, SnsError> {
        let text = std::str::from_utf8(&delivery.body).map_err(|_| SnsError::parameter("Message"))?;
        if text.is_empty() {
            return Err(SnsError::parameter("Empty message"));
        }
        if text.len() + attributes_size(&delivery.attributes) > MAX_MESSAGE {
            return Err(SnsError::parameter("Message too long"));
        }
        let id = crate::names::random_id(delivery.id);
        let event = if delivery.event.is_empty() { crate::names::uuid(id) } else { delivery.event.clone() };
        Ok(Self {
            id,
            time: delivery.time,
            text: text.to_owned(),
            texts: BTreeMap::new(),
            subject: subject.map(str::to_owned),
            attributes: delivery.attributes.clone(),
            causes: delivery.causes.clone(),
            event,
            group: delivery.group.clone(),
        })
    }

    /// Bytes that count.
    pub fn size(&self) -> usize {
        let texts: usize = self.texts.values().map(String::len).sum();
        self.text.len() + texts + attributes_size(&self.attributes)
    }

    /// The text for a protocol.
    pub fn text_for(&self, protocol: &str) -> &str {
        self.texts.get(protocol).unwrap_or(&self.text)
    }

    /// The attributes as filter policies see them.
    pub fn attributes_event(&self) -> pattern::Event {
        let seen = self.attributes.iter().filter_map(|attribute| {
            let text = std::str::from_utf8(&attribute.value).ok()?;
            let value = match kind(&attribute.data_type) {
                Kind::Text => pattern::Attribute::Text(text),
                Kind::List => pattern::Attribute::List(text),
                Kind::Number => pattern::Attribute::Number(text),
                // Binary attributes are not seen.
                Kind::Binary | Kind::Unknown => return None,
            };
            Some((attribute.name.as_str(), value))
        });
        pattern::Event::of_attributes(seen)
    }

    /// The body as filter policies see it; `None` when it is no JSON object: nothing matches that.
    pub fn body_event(&self, protocol: &str) -> Option<pattern::Event> {
        pattern::Event::parse(self.text_for(protocol).as_bytes()).ok()
    }

    pub fn encode(&self) -> Vec<u8> {
        MessageRow {
            text: self.text.clone(),
            texts: self.texts.clone(),
            subject: self.subject.clone(),
            attributes: attribute_rows(&self.attributes),
            causes: self.causes.clone(),
            event: self.event.clone(),
            group: self.group.clone().unwrap_or_default(),
        }
        .encode_to_vec()
    }

    pub fn decode(id: u128, time: Timestamp, bytes: &[u8]) -> Option<Self> {
        let row = MessageRow::decode(bytes).ok()?;
        Some(Self {
            id,
            time,
            text: row.text,
            texts: row.texts,
            subject: row.subject,
            attributes: attributes_of(row.attributes),
            causes: row.causes,
            event: row.event,
            group: Some(row.group).filter(|group| !group.is_empty()),
        })
    }
}

pub(crate) fn attribute_rows(attributes: &[Attribute]) -> Vec<AttributeRow> {
    let row = |attribute: &Attribute| AttributeRow {
        name: attribute.name.clone(),
        data_type: attribute.data_type.clone(),
        value: attribute.value.clone(),
    };
    attributes.iter().map(row).collect()
}

pub(crate) fn attributes_of(rows: Vec<AttributeRow>) -> Vec<Attribute> {
    rows.into_iter().map(|row| Attribute { name: row.name, data_type: row.data_type, value: row.value }).collect()
}

fn attributes_size(attributes: &[Attribute]) -> usize {
    attributes.iter().map(|a| a.name.len() + a.data_type.len() + a.value.len()).sum()
}

/// ASCII that begins with a letter, a digit or a sign, without line breaks and control characters, at most 100 characters (API reference,
/// Publish). AWS takes other characters than ASCII as well, in spite of it.
fn subject(text: &str) -> Result<String, SnsError> {
    let begins = text.chars().next().is_some_and(|first| !first.is_whitespace());
    let fits = text.chars().count() <= MAX_SUBJECT && !text.chars().any(char::is_control);
    if begins && fits { Ok(text.to_owned()) } else { Err(SnsError::parameter("Subject")) }
}

/// One text for each protocol, and one for the others.
fn structured(text: &str) -> Result<(String, BTreeMap<String, String>), SnsError> {
    let failed = || SnsError::parameter("Message Structure - JSON message body failed to parse");
    let Value::Object(members) = serde_json::from_str(text).map_err(|_| failed())? else { return Err(failed()) };
    let mut texts = BTreeMap::new();
    for (protocol, value) in members {
        // AWS leaves out what is no string, save for `default`.
        match value {
            Value::String(text) => _ = texts.insert(protocol, text),
            _ if protocol == "default" => return Err(failed()),
            _ => {}
        }
    }
    let missing = || SnsError::parameter("Message Structure - No default entry in JSON message body");
    let default = texts.remove("default").ok_or_else(missing)?;
    if default.is_empty() {
        return Err(SnsError::parameter("Empty message"));
    }
    Ok((default, texts))
}

/// The types of attributes, without what a client adds behind a dot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Text,
    List,
    Number,
    Binary,
    Unknown,
}

fn kind(data_type: &str) -> Kind {
    match data_type.split('.').next().unwrap_or_default() {
        "String" if data_type == "String.Array" => Kind::List,
        "String" => Kind::Text,
        "Number" => Kind::Number,
        "Binary" => Kind::Binary,
        _ => Kind::Unknown,
    }
}

/// Characters of an attribute's name and of its type (SNS Developer Guide, "Amazon SNS message attributes").
const MAX_ATTRIBUTE_NAME: usize = 256;

fn check_name(name: &str) -> Result<(), SnsError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let lower = name.to_ascii_lowercase();
    let reserved = lower.starts_with("aws.") || lower.starts_with("amazon.");
    let dots = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    if !(1..=MAX_ATTRIBUTE_NAME).contains(&name.len()) || !name.bytes().all(plain) || reserved || dots {
        let text = format!(
            "The message attribute name '{name}' is invalid. Attribute name can contain A-Z, a-z, 0-9, underscore (_), hyphen (-), and period (.) characters."
        );
        return Err(SnsError::Value(text));
    }
    Ok(())
}

fn attributes(given: Option<&BTreeMap<String, api::MessageAttributeValue>>) -> Result<Vec<Attribute>, SnsError> {
    let mut found = Vec::new();
    for (name, value) in given.into_iter().flatten() {
        check_name(name)?;
        found.push(attribute(name, value)?);
    }
    Ok(found)
}

fn attribute(name: &str, given: &api::MessageAttributeValue) -> Result<Attribute, SnsError> {
    let data_type = given.data_type.as_str();
    let kind = kind(data_type);
    if kind == Kind::Unknown || data_type.len() > MAX_ATTRIBUTE_NAME || data_type.ends_with('.') {
        return Err(SnsError::Value(format!(
            "The message attribute '{name}' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String."
        )));
    }
    let empty = || {
        SnsError::Value(format!(
            "The message attribute '{name}' must contain non-empty message attribute value for message attribute type '{data_type}'."
        ))
    };
    let value: Bytes = match (kind, &given.string_value, &given.binary_value) {
        (_, Some(_), Some(_)) => {
            return Err(SnsError::Value(format!("The message attribute '{name}' has multiple values.")));
        }
        (Kind::Binary, None, Some(bytes)) if !bytes.is_empty() => bytes.clone(),
        (Kind::Text | Kind::List | Kind::Number, Some(text), None) if !text.is_empty() => text.clone().into(),
        _ => return Err(empty()),
    };
    let text = given.string_value.as_deref().unwrap_or_default();
    if kind == Kind::Number && !is_number(text) {
        return Err(SnsError::Value(format!("Could not cast message attribute '{name}' value to number.")));
    }
    if kind == Kind::List && !matches!(serde_json::from_str(text), Ok(Value::Array(_))) {
        return Err(SnsError::Value(format!("Could not parse message attribute '{name}' value as an array.")));
    }
    Ok(Attribute { name: name.to_owned(), data_type: data_type.to_owned(), value })
}

fn is_number(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    plain && text.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Given<'_> {
        Given { text, subject: None, structure: None, attributes: None, deduplication: None }
    }

    fn message(given: &Given<'_>) -> Result<Message, SnsError> {
        Message::given(7, Timestamp::from_seconds(9), Vec::new(), given)
    }

    fn refused(given: &Given<'_>) -> String {
        message(given).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_published() {
        assert_eq!(refused(&given("")), "Invalid parameter: Empty message");
        let long = "a".repeat(MAX_MESSAGE + 1);
        assert_eq!(refused(&given(&long)), "Invalid parameter: Message too long");
        assert!(message(&given(&long[1..])).is_ok());
        for subject in ["", " a", "a\nb", "\u{7}", &"a".repeat(101)] {
            assert_eq!(
                refused(&Given { subject: Some(subject), ..given("m") }),
                "Invalid parameter: Subject",
                "{subject}"
            );
        }
        for (text, error) in [
            ("x", "Invalid parameter: Message Structure - JSON message body failed to parse"),
            ("[]", "Invalid parameter: Message Structure - JSON message body failed to parse"),
            (r#"{"sqs":"a"}"#, "Invalid parameter: Message Structure - No default entry in JSON message body"),
        ] {
            assert_eq!(refused(&Given { structure: Some("json"), ..given(text) }), error, "{text}");
        }
        assert_eq!(refused(&Given { structure: Some("xml"), ..given("m") }), "Invalid parameter: MessageStructure");
    }

    #[test]
    fn structured_messages_have_a_text_for_each_protocol() {
        let text = r#"{"default":"d","sqs":"q","http":"h","GCM":{"a":1}}"#;
        let message = message(&Given { structure: Some("json"), ..given(text) }).unwrap();
        for (protocol, text) in [("sqs", "q"), ("http", "h"), ("https", "d")] {
            assert_eq!(message.text_for(protocol), text);
        }
        let again = Message::decode(message.id, message.time, &message.encode()).unwrap();
        assert_eq!(again, message);
    }

    #[test]
    fn attributes_are_checked() {
        let of = |name: &str, data_type: &str, text: Option<&str>, bytes: Option<&'static [u8]>| {
            let value = api::MessageAttributeValue {
                data_type: data_type.to_owned(),
                string_value: text.map(str::to_owned),
                binary_value: bytes.map(Bytes::from_static),
            };
            let map = BTreeMap::from([(name.to_owned(), value)]);
            message(&Given { attributes: Some(&map), ..given("m") }).map(|message| message.attributes)
        };
        for (name, data_type, text, bytes, good) in [
            ("a", "String", Some("x"), None, true),
            ("a.b-c_1", "String.custom", Some("x"), None, true),
            ("a", "Number", Some("-1.5e3"), None, true),
            ("a", "Number.int", Some("7"), None, true),
            ("a", "Binary", None, Some(&b"\0"[..]), true),
            ("a", "String.Array", Some("[1,\"b\",null]"), None, true),
            ("a", "String.Array", Some("x"), None, false),
            ("a", "Number", Some("x"), None, false),
            ("a", "Number", Some("inf"), None, false),
            ("a", "String", Some(""), None, false),
            ("a", "String", None, None, false),
            ("a", "String", None, Some(b"x"), false),
            ("a", "String", Some("x"), Some(b"x"), false),
            ("a", "Binary", Some("x"), None, false),
            ("a", "Boolean", Some("x"), None, false),
            ("a", "", Some("x"), None, false),
            ("", "String", Some("x"), None, false),
            (".a", "String", Some("x"), None, false),
            ("a..b", "String", Some("x"), None, false),
            ("AWS.a", "String", Some("x"), None, false),
            ("a b", "String", Some("x"), None, false),
        ] {
            assert_eq!(of(name, data_type, text, bytes).is_ok(), good, "{name} {data_type} {text:?} {bytes:?}");
        }
    }
}
