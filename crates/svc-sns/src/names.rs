//! Names and ARNs.

use millpond_types::{AccountId, Arn, Region};

use crate::errors::SnsError;
use crate::limits::MAX_NAME;

/// What an ARN of ours names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TopicName {
    pub account: AccountId,
    pub name: String,
}

/// A topic's name as CreateTopic takes it.
pub(crate) fn topic_name(name: &str) -> Result<&str, SnsError> {
    let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if let Some(stem) = name.strip_suffix(".fifo")
        && !stem.is_empty()
        && plain(stem)
    {
        return Err(SnsError::Unserved("A FIFO topic".to_owned()));
    }
    let fits = (1..=MAX_NAME).contains(&name.len()) && plain(name);
    if fits { Ok(name) } else { Err(SnsError::parameter("Topic Name")) }
}

pub(crate) fn topic_arn(region: &Region, account: AccountId, name: &str) -> Arn {
    Arn::new("sns", region.as_str(), account.as_str(), name)
}

/// The ARN of a subscription.
pub(crate) fn subscription_arn(topic: &Arn, id: u128) -> String {
    format!("{topic}:{}", uuid(id))
}

fn fields<'a>(arn: &'a str, parameter: &str) -> Result<Vec<&'a str>, SnsError> {
    let fields: Vec<&str> = arn.split(':').collect();
    if fields.len() < 6 {
        let reason = format!("{parameter} Reason: An ARN must have at least 6 elements, not {}", fields.len());
        return Err(SnsError::Parameter(reason));
    }
    Ok(fields)
}

/// The topic that an ARN names; `parameter` is what it was given as.
pub(crate) fn topic_of(arn: &str, region: &Region, parameter: &str) -> Result<TopicName, SnsError> {
    let invalid = || SnsError::parameter(parameter);
    match fields(arn, parameter)?.as_slice() {
        ["arn", "aws", "sns", place, account, name] if *place == region.as_str() && !name.is_empty() => {
            let account = account.parse().map_err(|_| invalid())?;
            Ok(TopicName { account, name: (*name).to_owned() })
        }
        _ => Err(invalid()),
    }
}

/// The topic and the id that the ARN of a subscription names.
pub(crate) fn subscription_of(arn: &str, region: &Region) -> Result<(TopicName, u128), SnsError> {
    let parameter = "SubscriptionArn";
    let invalid = || SnsError::parameter(parameter);
    match fields(arn, parameter)?.as_slice() {
        ["arn", "aws", "sns", place, account, name, id] if *place == region.as_str() => {
            let account = account.parse().map_err(|_| invalid())?;
            let id = parse_uuid(id).ok_or_else(invalid)?;
            Ok((TopicName { account, name: (*name).to_owned() }, id))
        }
        _ => Err(invalid()),
    }
}

/// 32 digits in five groups.
pub(crate) fn uuid(id: u128) -> String {
    let hex = format!("{id:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A random id as version 4 of RFC 9562 has it.
pub(crate) fn random_id(random: u128) -> u128 {
    (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62)
}

pub(crate) fn parse_uuid(text: &str) -> Option<u128> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let hex = groups.concat();
    let plain = hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (lengths == [8, 4, 4, 4, 12] && plain).then(|| u128::from_str_radix(&hex, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_topics() {
        for (name, good) in
            [("a", true), ("My-topic_1", true), ("", false), ("a.b", false), ("a b", false), ("é", false)]
        {
            assert_eq!(topic_name(name).is_ok(), good, "{name}");
        }
        assert!(topic_name(&"a".repeat(256)).is_ok());
        assert!(topic_name(&"a".repeat(257)).is_err());
        assert!(matches!(topic_name("a.fifo"), Err(SnsError::Unserved(_))));
    }

    #[test]
    fn arns_and_what_is_wrong_with_them() {
        let region: Region = "us-east-1".parse().unwrap();
        let found = topic_of("arn:aws:sns:us-east-1:111122223333:t", &region, "TopicArn").unwrap();
        assert_eq!((found.account.as_str(), found.name.as_str()), ("111122223333", "t"));
        for (arn, message) in [
            ("t", "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1"),
            (
                "arn:aws:sns:us-east-1:111122223333",
                "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 5",
            ),
            ("arn:aws:sns:eu-west-1:111122223333:t", "Invalid parameter: TopicArn"),
            ("arn:aws:sqs:us-east-1:111122223333:t", "Invalid parameter: TopicArn"),
            ("arn:aws:sns:us-east-1:1:t", "Invalid parameter: TopicArn"),
            ("arn:aws:sns:us-east-1:111122223333:t:x", "Invalid parameter: TopicArn"),
        ] {
            assert_eq!(topic_of(arn, &region, "TopicArn").unwrap_err().to_string(), message, "{arn}");
        }
    }

    #[test]
    fn ids_are_uuids_and_come_back() {
        let id = random_id(0x1234_5678_9abc_def0_1234_5678_9abc_def0);
        let text = uuid(id);
        assert_eq!((&text[14..15], text.len()), ("4", 36));
        assert!("89ab".contains(&text[19..20]));
        let region: Region = "us-east-1".parse().unwrap();
        let topic = Arn::parse("arn:aws:sns:us-east-1:111122223333:t").unwrap();
        let (name, found) = subscription_of(&subscription_arn(&topic, id), &region).unwrap();
        assert_eq!((name.name.as_str(), found), ("t", id));
        for bad in
            ["PendingConfirmation", "arn:aws:sns:us-east-1:111122223333:t", "arn:aws:sns:us-east-1:111122223333:t:x"]
        {
            assert!(subscription_of(bad, &region).is_err(), "{bad}");
        }
    }
}
