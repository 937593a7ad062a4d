//! The attributes of queues that can be set (API reference, CreateQueue and SetQueueAttributes): validated, and as the service works by them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::errors::{SqsError, parameter};
use crate::limits;

/// Attributes by their names, as they were set.
pub(crate) type Attributes = BTreeMap<String, String>;

/// Numbers: name, least, most, default.
const NUMBERS: &[(&str, u64, u64, u64)] = &[
    ("DelaySeconds", 0, limits::MAX_DELAY, 0),
    ("MaximumMessageSize", limits::MIN_MAXIMUM, limits::MAX_MESSAGE, limits::MAX_MESSAGE),
    ("MessageRetentionPeriod", 60, 1_209_600, 345_600),
    ("ReceiveMessageWaitTimeSeconds", 0, limits::MAX_WAIT, 0),
    ("VisibilityTimeout", 0, limits::MAX_VISIBILITY, 30),
];
/// What only FIFO queues have: name, values, default.
const FIFO_CHOICES: &[(&str, &[&str], &str)] = &[
    ("ContentBasedDeduplication", &["true", "false"], "false"),
    ("DeduplicationScope", &["queue", "messageGroup"], "queue"),
    ("FifoThroughputLimit", &["perQueue", "perMessageGroupId"], "perQueue"),
];
/// What a client may ask for that nobody sets.
pub(crate) const COMPUTED: &[&str] = &[
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];
/// What can be set, beside numbers and what only FIFO queues have.
const OTHERS: &[&str] = &[
    "FifoQueue",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "Policy",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
];

/// Where messages go that were received too often.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Redrive {
    pub target: String,
    pub max: u32,
}

/// Whose dead letters a queue takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Allows {
    All,
    None,
    Queues(Vec<String>),
}

/// The attributes as the service works by them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Settings {
    pub fifo: bool,
    pub delay: Duration,
    pub max_size: u64,
    pub retention: Duration,
    pub wait: Duration,
    pub visibility: Duration,
    pub redrive: Option<Redrive>,
    pub allows: Allows,
    pub by_content: bool,
    /// Whether deduplication ids count within a group alone.
    pub by_group: bool,
    /// Whether contents are sealed before they are written.
    pub sealed: bool,
}

/// Whether there is an attribute of that name.
pub(crate) fn is_known(name: &str) -> bool {
    COMPUTED.contains(&name)
        || OTHERS.contains(&name)
        || NUMBERS.iter().any(|(known, ..)| *known == name)
        || FIFO_CHOICES.iter().any(|(known, ..)| *known == name)
}

fn invalid(name: &str) -> SqsError {
    SqsError::AttributeValue(format!("Invalid value for the parameter {name}."))
}

/// Attributes after a change. An empty value takes a policy or a key away.
pub(crate) fn changed(now: &Attributes, change: &Attributes, fifo: bool, new: bool) -> Result<Attributes, SqsError> {
    let mut next = now.clone();
    for (name, value) in change {
        check(name, value, fifo, new)?;
        let removable = matches!(name.as_str(), "Policy" | "RedrivePolicy" | "RedriveAllowPolicy" | "KmsMasterKeyId");
        if removable && value.is_empty() {
            next.remove(name);
        } else {
            next.insert(name.clone(), value.clone());
        }
    }
    let is = |name: &str, value: &str| next.get(name).is_some_and(|set| set == value);
    if is("FifoThroughputLimit", "perMessageGroupId") && !is("DeduplicationScope", "messageGroup") {
        return Err(SqsError::AttributeValue(
            "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup."
                .to_owned(),
        ));
    }
    Ok(next)
}

fn check(name: &str, value: &str, fifo: bool, new: bool) -> Result<(), SqsError> {
    if let Some((_, least, most, _)) = NUMBERS.iter().find(|(known, ..)| *known == name) {
        let number: u64 = value.parse().map_err(|_| invalid(name))?;
        return if (*least..=*most).contains(&number) { Ok(()) } else { Err(invalid(name)) };
    }
    if let Some((_, values, _)) = FIFO_CHOICES.iter().find(|(known, ..)| *known == name) {
        return match (fifo, values.contains(&value)) {
            (false, _) => Err(SqsError::UnknownAttribute(name.to_owned())),
            (true, false) => Err(invalid(name)),
            (true, true) => Ok(()),
        };
    }
    match name {
        // A standard queue has no such attribute, not even to be false.
        "FifoQueue" if value == "true" && fifo => Ok(()),
        "FifoQueue" if new && value == "true" => Ok(()),
        "FifoQueue" if value == "false" && fifo => Err(invalid(name)),
        "FifoQueue" => Err(SqsError::UnknownAttribute(name.to_owned())),
        "Policy" if value.len() > limits::MAX_POLICY => Err(invalid(name)),
        "Policy" => Ok(()),
        "RedrivePolicy" | "RedriveAllowPolicy" if value.is_empty() => Ok(()),
        "RedrivePolicy" => redrive(value).map(drop),
        "RedriveAllowPolicy" => allows(value).map(drop),
        "SqsManagedSseEnabled" if matches!(value, "true" | "false") => Ok(()),
        "SqsManagedSseEnabled" => Err(invalid(name)),
        "KmsMasterKeyId" if value.is_empty() => Ok(()),
        "KmsMasterKeyId" | "KmsDataKeyReusePeriodSeconds" => {
            Err(SqsError::NotImplemented(format!("The attribute {name}")))
        }
        other => Err(SqsError::UnknownAttribute(other.to_owned())),
    }
}

fn redrive(text: &str) -> Result<Redrive, SqsError> {
    let bad = |reason: &str| parameter(text, "RedrivePolicy", reason);
    let format = || bad("Amazon SQS can't create the redrive policy, as it's in an unsupported format.");
    let Ok(Value::Object(members)) = serde_json::from_str::<Value>(text) else { return Err(format()) };
    if members.keys().any(|name| !matches!(name.as_str(), "deadLetterTargetArn" | "maxReceiveCount")) {
        return Err(format());
    }
    let target = members.get("deadLetterTargetArn").and_then(Value::as_str);
    let target =
        target.ok_or_else(|| bad("Redrive policy does not contain mandatory attribute: deadLetterTargetArn."))?;
    let count = members.get("maxReceiveCount");
    let count = count.ok_or_else(|| bad("Redrive policy does not contain mandatory attribute: maxReceiveCount."))?;
    let number = count.as_u64().or_else(|| count.as_str().and_then(|text| text.parse().ok()));
    let shown = count.as_str().map_or_else(|| count.to_string(), str::to_owned);
    let range = format!("Invalid value for maxReceiveCount: {shown}, valid values are from 1 to 1000 both inclusive.");
    let number = number.filter(|number| (1..=limits::MAX_RECEIVES).contains(number)).ok_or_else(|| bad(&range))?;
    Ok(Redrive { target: target.to_owned(), max: u32::try_from(number).unwrap_or(u32::MAX) })
}

fn allows(text: &str) -> Result<Allows, SqsError> {
    let bad = |reason: &str| parameter(text, "RedriveAllowPolicy", reason);
    let format = || bad("Amazon SQS can't create the redrive allow policy, as it's in an unsupported format.");
    let Ok(Value::Object(members)) = serde_json::from_str::<Value>(text) else { return Err(format()) };
    if members.keys().any(|name| !matches!(name.as_str(), "redrivePermission" | "sourceQueueArns")) {
        return Err(format());
    }
    let sources = match members.get("sourceQueueArns") {
        None => None,
        Some(Value::Array(items)) => {
            let arns: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            Some(arns.ok_or_else(format)?)
        }
        Some(_) => return Err(format()),
    };
    match (members.get("redrivePermission").and_then(Value::as_str), sources) {
        (Some("allowAll"), None) => Ok(Allows::All),
        (Some("denyAll"), None) => Ok(Allows::None),
        (Some("byQueue"), Some(arns)) if (1..=limits::MAX_SOURCES).contains(&arns.len()) => Ok(Allows::Queues(arns)),
        (Some("byQueue"), Some(_)) => Err(bad("Specify between 1 and 10 source queues.")),
        _ => Err(format()),
    }
}

impl Settings {
    /// Of attributes that were checked when they were set.
    pub fn of(set: &Attributes) -> Result<Self, SqsError> {
        let number = |name: &str| {
            let usual = NUMBERS.iter().find(|(known, ..)| *known == name).map_or(0, |(.., usual)| *usual);
            set.get(name).and_then(|text| text.parse().ok()).unwrap_or(usual)
        };
        let seconds = |name: &str| Duration::from_secs(number(name));
        let is = |name: &str, value: &str| set.get(name).is_some_and(|set| set == value);
        Ok(Self {
            fifo: is("FifoQueue", "true"),
            delay: seconds("DelaySeconds"),
            max_size: number("MaximumMessageSize"),
            retention: seconds("MessageRetentionPeriod"),
            wait: seconds("ReceiveMessageWaitTimeSeconds"),
            visibility: seconds("VisibilityTimeout"),
            redrive: set.get("RedrivePolicy").map(|text| redrive(text)).transpose()?,
            allows: set.get("RedriveAllowPolicy").map_or(Ok(Allows::All), |text| allows(text))?,
            by_content: is("ContentBasedDeduplication", "true"),
            by_group: is("DeduplicationScope", "messageGroup"),
            sealed: !is("SqsManagedSseEnabled", "false"),
        })
    }
}

/// Attributes with their defaults, as GetQueueAttributes shows them.
pub(crate) fn shown(set: &Attributes) -> Attributes {
    let mut shown: Attributes =
        NUMBERS.iter().map(|(name, .., usual)| ((*name).to_owned(), usual.to_string())).collect();
    shown.insert("SqsManagedSseEnabled".to_owned(), "true".to_owned());
    if set.get("FifoQueue").is_some_and(|fifo| fifo == "true") {
        shown.extend(FIFO_CHOICES.iter().map(|(name, _, usual)| ((*name).to_owned(), (*usual).to_owned())));
    }
    shown.extend(set.iter().map(|(name, value)| (name.clone(), value.clone())));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> Attributes {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn values() {
        let dead = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:111122223333:d","maxReceiveCount":"5"}"#;
        for (name, value, fifo, expected) in [
            ("DelaySeconds", "900", false, Ok(())),
            ("DelaySeconds", "901", false, Err("InvalidAttributeValue")),
            ("DelaySeconds", "-1", false, Err("InvalidAttributeValue")),
            ("VisibilityTimeout", "43200", false, Ok(())),
            ("VisibilityTimeout", "x", false, Err("InvalidAttributeValue")),
            ("MaximumMessageSize", "1023", false, Err("InvalidAttributeValue")),
            ("MaximumMessageSize", "1048576", false, Ok(())),
            ("MessageRetentionPeriod", "59", false, Err("InvalidAttributeValue")),
            ("ReceiveMessageWaitTimeSeconds", "20", false, Ok(())),
            ("ContentBasedDeduplication", "true", false, Err("InvalidAttributeName")),
            ("ContentBasedDeduplication", "true", true, Ok(())),
            ("DeduplicationScope", "group", true, Err("InvalidAttributeValue")),
            ("FifoThroughputLimit", "perMessageGroupId", true, Err("InvalidAttributeValue")),
            ("FifoQueue", "false", false, Err("InvalidAttributeName")),
            ("FifoQueue", "false", true, Err("InvalidAttributeValue")),
            ("KmsMasterKeyId", "alias/aws/sqs", false, Err("NotImplemented")),
            ("KmsMasterKeyId", "", false, Ok(())),
            ("SqsManagedSseEnabled", "yes", false, Err("InvalidAttributeValue")),
            ("QueueArn", "x", false, Err("InvalidAttributeName")),
            ("Nothing", "x", false, Err("InvalidAttributeName")),
            ("RedrivePolicy", dead, false, Ok(())),
            ("RedrivePolicy", "", false, Ok(())),
            ("RedrivePolicy", "[]", false, Err("InvalidParameterValue")),
            ("RedrivePolicy", r#"{"deadLetterTargetArn":"a"}"#, false, Err("InvalidParameterValue")),
            (
                "RedrivePolicy",
                r#"{"deadLetterTargetArn":"a","maxReceiveCount":0}"#,
                false,
                Err("InvalidParameterValue"),
            ),
            (
                "RedrivePolicy",
                r#"{"deadLetterTargetArn":"a","maxReceiveCount":1001}"#,
                false,
                Err("InvalidParameterValue"),
            ),
            ("RedriveAllowPolicy", r#"{"redrivePermission":"denyAll"}"#, false, Ok(())),
            ("RedriveAllowPolicy", r#"{"redrivePermission":"byQueue","sourceQueueArns":["a"]}"#, false, Ok(())),
            ("RedriveAllowPolicy", r#"{"redrivePermission":"byQueue"}"#, false, Err("InvalidParameterValue")),
            ("RedriveAllowPolicy", r#"{"redrivePermission":"all"}"#, false, Err("InvalidParameterValue")),
        ] {
            let found = changed(&Attributes::new(), &set(&[(name, value)]), fifo, false);
            assert_eq!(found.map(drop).map_err(|error| error.entry_code()), expected, "{name}={value}");
        }
    }

    #[test]
    fn defaults_and_changes() {
        let usual = Settings::of(&Attributes::new()).unwrap();
        assert_eq!((usual.visibility.as_secs(), usual.retention.as_secs(), usual.max_size), (30, 345_600, 1_048_576));
        assert!(usual.sealed && !usual.fifo && usual.allows == Allows::All && usual.redrive.is_none());
        let high = [
            ("DeduplicationScope", "messageGroup"),
            ("FifoThroughputLimit", "perMessageGroupId"),
            ("FifoQueue", "true"),
        ];
        let now = changed(&Attributes::new(), &set(&high), true, true).unwrap();
        assert!(Settings::of(&now).unwrap().by_group);
        let dead = [("RedrivePolicy", r#"{"deadLetterTargetArn":"a","maxReceiveCount":3}"#)];
        let with = changed(&now, &set(&dead), true, false).unwrap();
        assert_eq!(Settings::of(&with).unwrap().redrive, Some(Redrive { target: "a".into(), max: 3 }));
        assert_eq!(changed(&with, &set(&[("RedrivePolicy", "")]), true, false).unwrap(), now);
        assert_eq!(shown(&now).get("ContentBasedDeduplication").unwrap(), "false");
    }
}
