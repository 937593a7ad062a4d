//! Attributes of topics and of subscriptions: which there are, and what they can be.

use std::collections::BTreeMap;

use crate::delivery_policy::DeliveryPolicy;
use crate::errors::SnsError;
use crate::filter::{self, Filter};
use crate::limits::MAX_DISPLAY_NAME;
use crate::model::{Protocol, dead_letters};

/// The attribute whose value is a policy; it is kept beside the others.
pub(crate) const POLICY: &str = "Policy";

/// Attributes of topics that AWS has and that are not carried out here.
fn is_unserved(name: &str) -> bool {
    const NAMES: [&str; 4] = ["ArchivePolicy", "FifoThroughputScope", "DataProtectionPolicy", "BeginningArchiveTime"];
    let feedback = ["SuccessFeedbackRoleArn", "SuccessFeedbackSampleRate", "FailureFeedbackRoleArn"];
    let protocols = ["HTTP", "SQS", "Lambda", "Firehose", "Application"];
    let logging = protocols.iter().any(|p| name.strip_prefix(p).is_some_and(|rest| feedback.contains(&rest)));
    NAMES.contains(&name) || logging
}

/// Sets an attribute of a topic other than its policy. An empty value takes it away.
pub(crate) fn set_of_topic(
    attributes: &mut BTreeMap<String, String>,
    name: &str,
    value: &str,
    unknown: &str,
) -> Result<(), SnsError> {
    match name {
        "DisplayName" if value.chars().count() > MAX_DISPLAY_NAME || value.chars().any(char::is_control) => {
            return Err(SnsError::parameter("DisplayName"));
        }
        "DisplayName" => {}
        "DeliveryPolicy" if value.is_empty() => {}
        "DeliveryPolicy" => _ = DeliveryPolicy::of_topic(value)?,
        "SignatureVersion" if ["1", "2"].contains(&value) => {}
        "SignatureVersion" => return Err(SnsError::parameter("SignatureVersion")),
        // What is so anyway.
        "TracingConfig" if value == "PassThrough" => return Ok(()),
        "TracingConfig" if value != "Active" => return Err(SnsError::parameter("TracingConfig")),
        "FifoTopic" if value == "false" => return Ok(()),
        "KmsMasterKeyId" if value.is_empty() => return Ok(()),
        "TracingConfig" | "FifoTopic" | "KmsMasterKeyId" => {
            return Err(SnsError::Unserved(format!("The attribute {name} with the value {value}")));
        }
        "ContentBasedDeduplication" => {
            return Err(SnsError::parameter("Content-based deduplication can only be set for FIFO topics"));
        }
        name if is_unserved(name) => return Err(SnsError::Unserved(format!("The attribute {name}"))),
        _ => return Err(SnsError::parameter(unknown)),
    }
    if value.is_empty() {
        attributes.remove(name);
    } else {
        attributes.insert(name.to_owned(), value.to_owned());
    }
    Ok(())
}

/// Sets an attribute of a subscription. An empty value takes it away.
pub(crate) fn set_of_subscription(
    attributes: &mut BTreeMap<String, String>,
    protocol: Protocol,
    name: &str,
    value: &str,
) -> Result<(), SnsError> {
    match name {
        "RawMessageDelivery" if !["true", "false"].contains(&value) => {
            return Err(SnsError::Parameter(format!(
                "RawMessageDelivery: Invalid value [{value}]. Must be true or false."
            )));
        }
        "RawMessageDelivery" if protocol == Protocol::Lambda && value == "true" => {
            let text = "RawMessageDelivery: Delivery protocol [lambda] does not support raw message delivery.";
            return Err(SnsError::Parameter(text.to_owned()));
        }
        "RawMessageDelivery" => {}
        "FilterPolicyScope" => _ = filter::scope(Some(value))?,
        "FilterPolicy" | "RedrivePolicy" | "DeliveryPolicy" if value.is_empty() => {}
        // With the scope that it will have; see `check`.
        "FilterPolicy" => {}
        "RedrivePolicy" => _ = dead_letters(value)?,
        "DeliveryPolicy" if !protocol.is_webhook() => {
            return Err(SnsError::parameter("DeliveryPolicy is only supported for HTTP/HTTPS subscriptions"));
        }
        "DeliveryPolicy" => _ = DeliveryPolicy::of_subscription(value)?,
        "SubscriptionRoleArn" | "ReplayPolicy" => {
            return Err(SnsError::Unserved(format!("The attribute {name}")));
        }
        _ => return Err(SnsError::parameter("AttributeName")),
    }
    if value.is_empty() {
        attributes.remove(name);
    } else {
        attributes.insert(name.to_owned(), value.to_owned());
    }
    Ok(())
}

/// Checks what attributes of a subscription say together.
pub(crate) fn check(attributes: &BTreeMap<String, String>) -> Result<(), SnsError> {
    let scope = filter::scope(attributes.get("FilterPolicyScope").map(String::as_str))?;
    if let Some(policy) = attributes.get("FilterPolicy") {
        Filter::parse(policy, scope)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_topics() {
        for (name, value, answer) in [
            ("DisplayName", "My topic", Ok(Some("My topic"))),
            ("DisplayName", "", Ok(None)),
            ("SignatureVersion", "2", Ok(Some("2"))),
            ("SignatureVersion", "3", Err("Invalid parameter: SignatureVersion")),
            ("TracingConfig", "PassThrough", Ok(None)),
            ("FifoTopic", "false", Ok(None)),
            ("KmsMasterKeyId", "", Ok(None)),
            (
                "KmsMasterKeyId",
                "k",
                Err("The attribute KmsMasterKeyId with the value k is not implemented by this server."),
            ),
            (
                "FifoTopic",
                "true",
                Err("The attribute FifoTopic with the value true is not implemented by this server."),
            ),
            (
                "SQSSuccessFeedbackRoleArn",
                "r",
                Err("The attribute SQSSuccessFeedbackRoleArn is not implemented by this server."),
            ),
            (
                "DeliveryPolicy",
                "x",
                Err("Invalid parameter: DeliveryPolicy: it is no JSON: expected value at line 1 column 1"),
            ),
            ("Owner", "x", Err("Invalid parameter: AttributeName")),
        ] {
            let mut attributes = BTreeMap::new();
            let set = set_of_topic(&mut attributes, name, value, "AttributeName");
            let found = set.map(|()| attributes.get(name).map(String::as_str)).map_err(|error| error.to_string());
            assert_eq!(found, answer.map_err(str::to_owned), "{name} {value}");
        }
    }

    #[test]
    fn attributes_of_subscriptions() {
        for (protocol, name, value, good) in [
            (Protocol::Sqs, "RawMessageDelivery", "true", true),
            (Protocol::Sqs, "RawMessageDelivery", "yes", false),
            (Protocol::Lambda, "RawMessageDelivery", "false", true),
            (Protocol::Lambda, "RawMessageDelivery", "true", false),
            (Protocol::Sqs, "FilterPolicyScope", "MessageBody", true),
            (Protocol::Sqs, "FilterPolicyScope", "Body", false),
            (Protocol::Sqs, "RedrivePolicy", r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:111122223333:q"}"#, true),
            (
                Protocol::Sqs,
                "RedrivePolicy",
                r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:111122223333:q.fifo"}"#,
                false,
            ),
            (Protocol::Sqs, "RedrivePolicy", r#"{"deadLetterTargetArn":"arn:aws:s3:::b"}"#, false),
            (Protocol::Sqs, "RedrivePolicy", r#"{"maxReceiveCount":3}"#, false),
            (Protocol::Sqs, "RedrivePolicy", "x", false),
            (Protocol::Sqs, "DeliveryPolicy", r#"{"healthyRetryPolicy":{"numRetries":1}}"#, false),
            (Protocol::Http, "DeliveryPolicy", r#"{"healthyRetryPolicy":{"numRetries":1}}"#, true),
            (Protocol::Http, "SubscriptionRoleArn", "r", false),
            (Protocol::Http, "Endpoint", "r", false),
        ] {
            let mut attributes = BTreeMap::new();
            assert_eq!(set_of_subscription(&mut attributes, protocol, name, value).is_ok(), good, "{name} {value}");
        }
    }
}
