//! Messages: what a sender may say (API reference, SendMessage; Developer Guide, "Message attributes"), and the digests of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use md5::{Digest, Md5};
use millpond_api_sqs as api;
use prost::Message as _;

use crate::errors::{SqsError, parameter, wrong_type};
use crate::limits;
use crate::rows::{AttributeRow, ContentRow};
use crate::settings::Settings;

/// The one system attribute that a sender may give.
const TRACE: &str = "AWSTraceHeader";

/// What a sender says.
#[derive(Clone, Debug)]
pub(crate) struct Words<'a> {
    pub body: &'a str,
    pub delay: Option<i32>,
    pub attributes: Option<&'a BTreeMap<String, api::MessageAttributeValue>>,
    pub system: Option<&'a BTreeMap<String, api::MessageSystemAttributeValue>>,
    pub group: Option<&'a str>,
    pub dedup: Option<&'a str>,
}

/// What a sender said, checked.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// A content row.
    pub content: Bytes,
    pub md5: [u8; 16],
    pub md5_of_attributes: Option<String>,
    pub md5_of_system: Option<String>,
    pub trace: Option<String>,
    pub group: Option<String>,
    pub dedup: Option<String>,
    /// Seconds.
    pub delay: u64,
    /// Bytes of body and attributes, as they count.
    pub size: u64,
}

impl Said {
    /// Checks a message for a queue.
    pub fn of(words: &Words<'_>, settings: &Settings) -> Result<Self, SqsError> {
        if words.body.is_empty() {
            return Err(SqsError::Missing("MessageBody"));
        }
        if !words.body.chars().all(allowed) {
            return Err(SqsError::Contents);
        }
        let attributes = words.attributes.map(attributes).transpose()?.unwrap_or_default();
        let (system, trace) = system(words.system)?;
        let size = words.body.len() as u64 + attributes.iter().map(attribute_size).sum::<u64>();
        if size > settings.max_size {
            let text = format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {} bytes.",
                settings.max_size
            );
            return Err(SqsError::Parameter(text));
        }
        let md5: [u8; 16] = Md5::digest(words.body.as_bytes()).into();
        let (md5_of_attributes, md5_of_system) = (digest(&attributes), digest(&system));
        let (group, dedup, delay) = order(words, settings)?;
        let dedup = dedup.or_else(|| (settings.fifo && settings.by_content).then(|| by_content(words.body)));
        if settings.fifo && dedup.is_none() {
            return Err(SqsError::Parameter(
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly".to_owned(),
            ));
        }
        let content = Bytes::from(ContentRow { body: words.body.to_owned(), attributes }.encode_to_vec());
        Ok(Self { content, md5, md5_of_attributes, md5_of_system, trace, group, dedup, delay, size })
    }
}

/// The characters that a body may have (W3C's XML 1.0, "Char").
fn allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// The deduplication id of a body (API reference, SendMessage).
fn by_content(body: &str) -> String {
    hex::encode(<sha2::Sha256 as sha2::Digest>::digest(body.as_bytes()))
}

/// Group, deduplication id and delay in seconds.
fn order(words: &Words<'_>, settings: &Settings) -> Result<(Option<String>, Option<String>, u64), SqsError> {
    let usual = settings.delay.as_secs();
    let delay = match words.delay {
        None => usual,
        Some(given) if settings.fifo && given != 0 => return Err(wrong_type(given, "DelaySeconds")),
        Some(_) if settings.fifo => usual,
        Some(given) => u64::try_from(given)
            .ok()
            .filter(|seconds| *seconds <= limits::MAX_DELAY)
            .ok_or_else(|| parameter(given, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900."))?,
    };
    if let (false, Some(dedup)) = (settings.fifo, words.dedup) {
        return Err(wrong_type(dedup, "MessageDeduplicationId"));
    }
    // Standard queues of AWS take groups for fairness among tenants, which these do not have.
    if let (false, Some(group)) = (settings.fifo, words.group) {
        return Err(wrong_type(group, "MessageGroupId"));
    }
    if settings.fifo && words.group.is_none() {
        return Err(SqsError::Missing("MessageGroupId"));
    }
    for (name, value) in [("MessageGroupId", words.group), ("MessageDeduplicationId", words.dedup)] {
        if value.is_some_and(|value| !is_id(value)) {
            let reason = format!(
                "{name} can only include alphanumeric and punctuation characters. 1 to {} in length.",
                limits::MAX_ID
            );
            return Err(parameter(value.unwrap_or_default(), name, &reason));
        }
    }
    Ok((words.group.map(str::to_owned), words.dedup.map(str::to_owned), delay))
}

/// Whether a text can be the id of a group, a deduplication or a receive attempt.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=limits::MAX_ID).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn attributes(given: &BTreeMap<String, api::MessageAttributeValue>) -> Result<Vec<AttributeRow>, SqsError> {
    if given.len() > limits::MAX_ATTRIBUTES {
        let text = format!("Number of message attributes [{}] exceeds the allowed maximum [10].", given.len());
        return Err(SqsError::Parameter(text));
    }
    given.iter().map(|(name, value)| attribute(name, value)).collect()
}

fn attribute(name: &str, given: &api::MessageAttributeValue) -> Result<AttributeRow, SqsError> {
    check_name(name)?;
    for (field, is_given) in [
        ("StringListValues", given.string_list_values.is_some()),
        ("BinaryListValues", given.binary_list_values.is_some()),
    ] {
        if is_given {
            let text = format!("Message attribute list values in SendMessage operation are not supported ({field}).");
            return Err(SqsError::Unsupported(text));
        }
    }
    check_type(name, &given.data_type)?;
    let kind = given.data_type.split('.').next().unwrap_or_default();
    let value = match (kind, &given.string_value, &given.binary_value) {
        ("Binary", None, Some(bytes)) => bytes.clone(),
        ("String" | "Number", Some(text), None) => Bytes::copy_from_slice(text.as_bytes()),
        (_, None, None) => return Err(empty(name, &given.data_type)),
        _ => {
            let field = if kind == "Binary" { "Binary" } else { "String" };
            let data_type = &given.data_type;
            let text =
                format!("The message (user) attribute '{name}' with type '{data_type}' must use field '{field}'.");
            return Err(SqsError::Parameter(text));
        }
    };
    if value.is_empty() {
        return Err(empty(name, &given.data_type));
    }
    let text = std::str::from_utf8(&value).unwrap_or_default();
    if kind != "Binary" && !text.chars().all(allowed) {
        return Err(SqsError::Contents);
    }
    if kind == "Number" && !is_number(text) {
        return Err(SqsError::Parameter(format!(
            "Can't cast the value of message (user) attribute '{name}' to a number."
        )));
    }
    Ok(AttributeRow { name: name.to_owned(), data_type: given.data_type.clone(), value })
}

fn empty(name: &str, data_type: &str) -> SqsError {
    SqsError::Parameter(format!(
        "Message (user) attribute '{name}' must contain a non-empty value of type '{data_type}'."
    ))
}

/// Names of attributes (API reference, SendMessage, MessageAttribute).
fn check_name(name: &str) -> Result<(), SqsError> {
    let bad = |reason: &str| SqsError::Parameter(format!("Message (user) attribute name '{name}' {reason}"));
    if name.is_empty() || name.len() > limits::MAX_ATTRIBUTE_NAME {
        return Err(bad("must be 1 to 256 characters long."));
    }
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("aws.") || lower.starts_with("amazon.") {
        return Err(bad("must not start with a reserved prefix (AWS. or Amazon.)."));
    }
    let good = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if !good || name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        return Err(bad(
            "can contain alphanumeric characters, hyphens, underscores and periods; it must not start or end with a period, nor have two in a row.",
        ));
    }
    Ok(())
}

fn check_type(name: &str, data_type: &str) -> Result<(), SqsError> {
    let (kind, label) = data_type.split_once('.').unwrap_or((data_type, "x"));
    let known = matches!(kind, "String" | "Number" | "Binary");
    if known && !label.is_empty() && data_type.len() <= limits::MAX_ATTRIBUTE_NAME {
        return Ok(());
    }
    let text = if data_type.is_empty() {
        format!("The message (user) attribute '{name}' must contain a non-empty message attribute type.")
    } else {
        format!(
            "The type of message (user) attribute '{name}' is invalid. You must use only the following supported type prefixes: Binary, Number, String."
        )
    };
    Err(SqsError::Parameter(text))
}

/// A decimal number of at most 38 digits, between -10^128 and 10^126 (Developer Guide, "Message attribute data types").
fn is_number(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let significant = digits.trim_start_matches('0').trim_end_matches('0').len();
    let parsed = text.parse::<f64>().ok().filter(|number| (-1e128..=1e126).contains(number));
    parsed.is_some() && significant <= 38 && !digits.is_empty()
}

fn system(
    given: Option<&BTreeMap<String, api::MessageSystemAttributeValue>>,
) -> Result<(Vec<AttributeRow>, Option<String>), SqsError> {
    let mut rows = Vec::new();
    for (name, value) in given.into_iter().flatten() {
        if name != TRACE {
            let text = format!("Message system attribute name '{name}' is invalid.");
            return Err(SqsError::Parameter(text));
        }
        let text =
            value.string_value.as_deref().filter(|_| value.data_type == "String").filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| {
            SqsError::Parameter(format!(
                "Message system attribute '{name}' must contain a non-empty value of type 'String'."
            ))
        })?;
        if text.len() > limits::MAX_TRACE {
            let text = format!("Message system attribute '{name}' is longer than {} bytes.", limits::MAX_TRACE);
            return Err(SqsError::Parameter(text));
        }
        let value = Bytes::copy_from_slice(text.as_bytes());
        rows.push(AttributeRow { name: name.clone(), data_type: "String".to_owned(), value });
    }
    let trace = rows.first().map(|row| String::from_utf8_lossy(&row.value).into_owned());
    Ok((rows, trace))
}

/// Name, type and value count (Developer Guide, "Message attributes").
fn attribute_size(row: &AttributeRow) -> u64 {
    (row.name.len() + row.data_type.len() + row.value.len()) as u64
}

/// The MD5 of attributes, in hexadecimal digits (Developer Guide, "Calculating the MD5 message digest for message attributes"); `None` of none.
pub(crate) fn digest(attributes: &[AttributeRow]) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut sorted: Vec<&AttributeRow> = attributes.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    // The kind of a value stands between type and value, without a length.
    let mut whole = Vec::new();
    for row in sorted {
        for part in [row.name.as_bytes(), row.data_type.as_bytes()] {
            whole.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            whole.extend_from_slice(part);
        }
        whole.push(if row.data_type.starts_with("Binary") { 2 } else { 1 });
        whole.extend_from_slice(&u32::try_from(row.value.len()).unwrap_or(u32::MAX).to_be_bytes());
        whole.extend_from_slice(&row.value);
    }
    Some(hex::encode(Md5::digest(&whole)))
}

/// An attribute as it is shown.
pub(crate) fn shown(row: &AttributeRow) -> api::MessageAttributeValue {
    let binary = row.data_type.starts_with("Binary");
    api::MessageAttributeValue {
        string_value: (!binary).then(|| String::from_utf8_lossy(&row.value).into_owned()),
        binary_value: binary.then(|| row.value.clone()),
        string_list_values: None,
        binary_list_values: None,
        data_type: row.data_type.clone(),
    }
}

/// A message's id as text (RFC 9562).
pub(crate) fn id_text(id: u128) -> String {
    let digits = hex::encode(id.to_be_bytes());
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

/// A random message id (RFC 9562, version 4).
pub(crate) fn random_id(random: &dyn millpond_io::Random) -> u128 {
    (random.u128() & !(0xF000 << 64) & !(0xC000 << 48)) | (0x4000 << 64) | (0x8000 << 48)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Attributes;

    fn text(data_type: &str, value: &str) -> api::MessageAttributeValue {
        api::MessageAttributeValue {
            string_value: Some(value.to_owned()),
            data_type: data_type.to_owned(),
            ..api::MessageAttributeValue::default()
        }
    }

    fn words(body: &str) -> Words<'_> {
        Words { body, delay: None, attributes: None, system: None, group: None, dedup: None }
    }

    /// As botocore and the AWS SDK for Java compute it.
    #[test]
    fn digests_of_attributes() {
        let given = BTreeMap::from([("timestamp".to_owned(), text("Number", "1493147359900"))]);
        let rows = attributes(&given).unwrap();
        assert_eq!(digest(&rows).unwrap(), "235c5c510d26fb653d073faed50ae77c");
        assert_eq!(digest(&[]), None);
    }

    #[test]
    fn what_may_be_said() {
        let standard = Settings::of(&Attributes::new()).unwrap();
        let fifo = Settings { fifo: true, ..standard.clone() };
        let by_content = Settings { by_content: true, ..fifo.clone() };
        let small = Settings { max_size: 1024, ..standard.clone() };
        let large = "x".repeat(1025);
        let long = "g".repeat(129);
        for (name, words, settings, expected) in [
            ("plain", words("a"), &standard, Ok(())),
            ("empty", words(""), &standard, Err("MissingParameter")),
            ("control", words("a\u{1}"), &standard, Err("InvalidMessageContents")),
            ("not a character", words("\u{fffe}"), &standard, Err("InvalidMessageContents")),
            ("beyond the basic plane", words("\u{1f600}\t\r\n"), &standard, Ok(())),
            ("large", words(&large), &small, Err("InvalidParameterValue")),
            ("delayed", Words { delay: Some(900), ..words("a") }, &standard, Ok(())),
            ("delayed too long", Words { delay: Some(901), ..words("a") }, &standard, Err("InvalidParameterValue")),
            (
                "delayed in order",
                Words { delay: Some(1), group: Some("g"), ..words("a") },
                &by_content,
                Err("InvalidParameterValue"),
            ),
            ("no group", words("a"), &by_content, Err("MissingParameter")),
            ("no id", Words { group: Some("g"), ..words("a") }, &fifo, Err("InvalidParameterValue")),
            ("by content", Words { group: Some("g"), ..words("a") }, &by_content, Ok(())),
            ("long group", Words { group: Some(&long), ..words("a") }, &by_content, Err("InvalidParameterValue")),
            ("blank in a group", Words { group: Some("a b"), ..words("a") }, &by_content, Err("InvalidParameterValue")),
            ("id without order", Words { dedup: Some("d"), ..words("a") }, &standard, Err("InvalidParameterValue")),
            ("group without order", Words { group: Some("g"), ..words("a") }, &standard, Err("InvalidParameterValue")),
        ] {
            let said = Said::of(&words, settings);
            assert_eq!(said.map(drop).map_err(|error| error.entry_code()), expected, "{name}");
        }
    }

    #[test]
    fn attributes_are_checked() {
        let good = Ok(());
        let (bad, unsupported) = (Err("InvalidParameterValue"), Err("AWS.SimpleQueueService.UnsupportedOperation"));
        let listed = api::MessageAttributeValue { string_list_values: Some(Vec::new()), ..text("String", "a") };
        let binary = api::MessageAttributeValue {
            binary_value: Some(Bytes::from_static(b"a")),
            data_type: "Binary.png".to_owned(),
            ..api::MessageAttributeValue::default()
        };
        for (name, value, expected) in [
            ("a", text("String", "x"), good),
            ("a.b-c_1", text("String.custom", "x"), good),
            ("a", text("Number", "-1.5e10"), good),
            ("a", text("Number.int", "12"), good),
            ("a", binary, good),
            ("a", text("Number", "x"), bad),
            ("a", text("Number", &"9".repeat(39)), bad),
            ("a", text("Number", "NaN"), bad),
            ("a", text("Text", "x"), bad),
            ("a", text("", "x"), bad),
            ("a", text("String", ""), bad),
            ("a", text("Binary", "x"), bad),
            (".a", text("String", "x"), bad),
            ("a..b", text("String", "x"), bad),
            ("aws.x", text("String", "x"), bad),
            ("Amazon.x", text("String", "x"), bad),
            ("a b", text("String", "x"), bad),
            ("a", listed, unsupported),
        ] {
            let shown = format!("{name} {value:?}");
            let found = attribute(name, &value).map(drop).map_err(|error| error.entry_code());
            assert_eq!(found, expected, "{shown}");
        }
    }

    #[test]
    fn ids() {
        assert_eq!(id_text(1), "00000000-0000-0000-0000-000000000001");
        let id = id_text(random_id(&millpond_io::SystemRandom));
        assert!(id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]), "{id}");
    }
}
