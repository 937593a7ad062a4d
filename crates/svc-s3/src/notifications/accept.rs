//! A configuration as clients write it: what is taken, what is refused, and how it is shown again (S3 API reference, PutBucketNotificationConfiguration).

use std::collections::HashSet;

use millpond_api_s3 as api;
use millpond_io::Random;
use millpond_kernel::ServiceError;
use millpond_types::{AccountId, Arn};

use crate::errors::{invalid_argument, malformed_xml};
use crate::notifications::events::Events;
use crate::notifications::rule::{Destination, Notifications, Rule};

/// Configurations that a bucket may have (Amazon S3 endpoints and quotas, "Event notifications").
const MAX_RULES: usize = 100;
/// Characters of an id (S3 API reference, `NotificationId` as the service checks it).
const MAX_ID: usize = 255;
/// Bytes of a filter's value (S3 API reference, FilterRule).
const MAX_VALUE: usize = 1024;
/// Bytes of random ids, as texts of twice as many digits.
const ID_DIGITS: usize = 32;

/// One configuration, whatever its destination.
struct Written {
    id: Option<String>,
    kind: Destination,
    arn: String,
    events: Vec<String>,
    filter: Option<api::NotificationConfigurationFilter>,
}

/// The configuration that a client wants.
pub fn wanted(
    configuration: api::NotificationConfiguration,
    owner: AccountId,
    region: &str,
    random: &dyn Random,
) -> Result<Notifications, ServiceError> {
    let bridge = configuration.event_bridge_configuration.is_some();
    let all = written(configuration);
    if all.len() > MAX_RULES {
        let message = "Configuration exceeds the maximum number of allowed notification configurations.";
        return Err(
            invalid_argument("NotificationConfiguration", None, message).field("MaxAllowed", MAX_RULES.to_string())
        );
    }
    let rules: Vec<Rule> = all.into_iter().map(|one| rule(one, region, random)).collect::<Result<_, _>>()?;
    let mut ids = HashSet::new();
    if let Some(twice) = rules.iter().find(|rule| !ids.insert(rule.id.as_str())) {
        return Err(invalid_argument(
            "Id",
            Some(&twice.id),
            "Same ID used for multiple configurations. IDs must be unique",
        ));
    }
    for (at, one) in rules.iter().enumerate() {
        if let Some(other) = rules[..at].iter().find(|other| other.overlaps(one)) {
            return Err(overlapping(one, other));
        }
    }
    Ok(Notifications { owner, rules, bridge })
}

/// S3 has a sentence for rules without filters, and another where filters do not keep rules apart.
fn overlapping(one: &Rule, other: &Rule) -> ServiceError {
    let message = if one.takes_all_keys() && other.takes_all_keys() {
        "Configurations overlap. Configurations on the same bucket cannot share a common event type."
    } else {
        "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping for the same event type."
    };
    let both = format!("{}, {}", other.id, one.id);
    invalid_argument("Id", Some(&both), message)
}

fn written(configuration: api::NotificationConfiguration) -> Vec<Written> {
    let topics = configuration.topic_configurations.into_iter().flatten().map(|one| Written {
        id: one.id,
        kind: Destination::Topic,
        arn: one.topic_arn,
        events: one.events,
        filter: one.filter,
    });
    let queues = configuration.queue_configurations.into_iter().flatten().map(|one| Written {
        id: one.id,
        kind: Destination::Queue,
        arn: one.queue_arn,
        events: one.events,
        filter: one.filter,
    });
    let functions = configuration.lambda_function_configurations.into_iter().flatten().map(|one| Written {
        id: one.id,
        kind: Destination::Function,
        arn: one.lambda_function_arn,
        events: one.events,
        filter: one.filter,
    });
    topics.chain(queues).chain(functions).collect()
}

fn rule(one: Written, region: &str, random: &dyn Random) -> Result<Rule, ServiceError> {
    let Written { id, kind, arn, events, filter } = one;
    let id = match id.filter(|id| !id.is_empty()) {
        Some(id) if id.chars().count() > MAX_ID => {
            return Err(invalid_argument("Id", Some(&id), "The ID must not be longer than 255 characters."));
        }
        Some(id) => id,
        None => format!("{:0ID_DIGITS$x}", random.u128()),
    };
    let arn = destination(kind, &arn, region)?;
    if events.is_empty() {
        return Err(malformed_xml());
    }
    if let Some(unknown) = events.iter().find(|name| Events::named(name).is_none()) {
        return Err(invalid_argument("Event", Some(unknown), "The event is not supported for notifications"));
    }
    let filters = filters(filter)?;
    Rule::new(id, (kind, arn), events, filters).ok_or_else(malformed_xml)
}

/// The name of a destination's element, and the service of its ARN.
fn names(kind: Destination) -> (&'static str, &'static str) {
    match kind {
        Destination::Queue => ("Queue", "sqs"),
        Destination::Topic => ("Topic", "sns"),
        Destination::Function => ("CloudFunction", "lambda"),
    }
}

fn destination(kind: Destination, text: &str, region: &str) -> Result<Arn, ServiceError> {
    let (element, service) = names(kind);
    let bad = |message: &str| Err(invalid_argument(element, Some(text), message));
    let Some(arn) = Arn::parse(text) else { return bad("The ARN could not be parsed") };
    if arn.service() != service || arn.account().is_none_or(|account| account.parse::<AccountId>().is_err()) {
        return bad("The ARN is not well formed");
    }
    if arn.region() != region {
        return bad("The notification destination service region is not valid for the bucket location constraint");
    }
    if text.ends_with(".fifo") {
        return bad(match kind {
            Destination::Topic => "FIFO SNS topics are not supported.",
            _ => "FIFO SQS queues are not supported.",
        });
    }
    Ok(arn)
}

fn filters(
    filter: Option<api::NotificationConfigurationFilter>,
) -> Result<(Option<String>, Option<String>), ServiceError> {
    let rules = filter.and_then(|filter| filter.key).and_then(|key| key.filter_rules).unwrap_or_default();
    let (mut prefix, mut suffix) = (None, None);
    for rule in rules {
        let (Some(name), Some(value)) = (rule.name, rule.value) else { return Err(malformed_xml()) };
        let (slot, twice) = match name.to_ascii_lowercase().as_str() {
            "prefix" => (&mut prefix, "Cannot specify more than one prefix rule in a filter."),
            "suffix" => (&mut suffix, "Cannot specify more than one suffix rule in a filter."),
            _ => {
                let message = "filter rule name must be either prefix or suffix";
                return Err(invalid_argument("FilterRule.Name", Some(&name), message));
            }
        };
        if value.len() > MAX_VALUE {
            let message = "Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation";
            return Err(invalid_argument("FilterRule.Value", Some(&value), message));
        }
        if slot.replace(value).is_some() {
            return Err(invalid_argument("FilterRule.Name", Some(&name), twice));
        }
    }
    Ok((prefix, suffix))
}

/// The configuration as a client reads it.
pub fn shown(notifications: Option<&Notifications>) -> api::GetBucketNotificationConfigurationOutput {
    let mut output = api::GetBucketNotificationConfigurationOutput::default();
    let Some(notifications) = notifications else { return output };
    for rule in &notifications.rules {
        let (id, events, filter) = (Some(rule.id.clone()), rule.names.clone(), shown_filter(rule));
        let arn = rule.arn.to_string();
        match rule.kind {
            Destination::Queue => output.queue_configurations.get_or_insert_default().push(api::QueueConfiguration {
                id,
                queue_arn: arn,
                events,
                filter,
            }),
            Destination::Topic => output.topic_configurations.get_or_insert_default().push(api::TopicConfiguration {
                id,
                topic_arn: arn,
                events,
                filter,
            }),
            Destination::Function => output
                .lambda_function_configurations
                .get_or_insert_default()
                .push(api::LambdaFunctionConfiguration { id, lambda_function_arn: arn, events, filter }),
        }
    }
    output.event_bridge_configuration = notifications.bridge.then(api::EventBridgeConfiguration::default);
    output
}

/// S3 writes the names of filter rules with a capital, whatever was put.
fn shown_filter(rule: &Rule) -> Option<api::NotificationConfigurationFilter> {
    let one = |name: &str, value: &Option<String>| {
        value.clone().map(|value| api::FilterRule { name: Some(name.to_owned()), value: Some(value) })
    };
    let rules: Vec<_> = [one("Prefix", &rule.prefix), one("Suffix", &rule.suffix)].into_iter().flatten().collect();
    let key = Some(rules).filter(|rules| !rules.is_empty()).map(|rules| api::S3KeyFilter { filter_rules: Some(rules) });
    key.map(|key| api::NotificationConfigurationFilter { key: Some(key) })
}

#[cfg(test)]
mod tests {
    use millpond_io::SystemRandom;

    use super::*;

    const QUEUE: &str = "arn:aws:sqs:us-east-1:123456789012:q";

    fn queue(id: Option<&str>, arn: &str, events: &[&str], filter: &[(&str, &str)]) -> api::QueueConfiguration {
        let text = |text: &str| Some(text.to_owned());
        let rules =
            filter.iter().map(|(name, value)| api::FilterRule { name: text(name), value: text(value) }).collect();
        api::QueueConfiguration {
            id: id.map(str::to_owned),
            queue_arn: arn.to_owned(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            filter: Some(api::NotificationConfigurationFilter {
                key: Some(api::S3KeyFilter { filter_rules: Some(rules) }),
            }),
        }
    }

    fn put(queues: Vec<api::QueueConfiguration>) -> Result<Notifications, String> {
        let configuration = api::NotificationConfiguration { queue_configurations: Some(queues), ..Default::default() };
        wanted(configuration, "123456789012".parse().unwrap(), "us-east-1", &SystemRandom)
            .map_err(|error| format!("{}: {}", error.code, error.message))
    }

    #[test]
    fn what_is_refused() {
        fn prefix(value: &str) -> Vec<(&str, &str)> {
            vec![("prefix", value)]
        }
        let (created, long) = (&["s3:ObjectCreated:*"][..], "x".repeat(1025));
        for (queues, expected) in [
            (vec![queue(None, "q", created, &[])], "The ARN could not be parsed"),
            (vec![queue(None, "arn:aws:sns:us-east-1:123456789012:t", created, &[])], "The ARN is not well formed"),
            (vec![queue(None, "arn:aws:sqs:us-east-1:12345678901:q", created, &[])], "The ARN is not well formed"),
            (
                vec![queue(None, "arn:aws:sqs:eu-west-1:123456789012:q", created, &[])],
                "The notification destination service region is not valid for the bucket location constraint",
            ),
            (vec![queue(None, &format!("{QUEUE}.fifo"), created, &[])], "FIFO SQS queues are not supported."),
            (vec![queue(None, QUEUE, &["s3:ObjectCreated"], &[])], "The event is not supported for notifications"),
            (vec![queue(None, QUEUE, created, &[("infix", "x")])], "filter rule name must be either prefix or suffix"),
            (
                vec![queue(None, QUEUE, created, &[("prefix", "a"), ("Prefix", "b")])],
                "Cannot specify more than one prefix rule in a filter.",
            ),
            (
                vec![queue(None, QUEUE, created, &prefix(&long))],
                "Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation",
            ),
            (
                vec![queue(Some("a"), QUEUE, created, &prefix("a")), queue(Some("a"), QUEUE, created, &prefix("b"))],
                "Same ID used for multiple configurations. IDs must be unique",
            ),
            (
                vec![queue(None, QUEUE, created, &[]), queue(None, QUEUE, &["s3:ObjectCreated:Put"], &[])],
                "Configurations overlap. Configurations on the same bucket cannot share a common event type.",
            ),
            (
                vec![queue(None, QUEUE, created, &prefix("a")), queue(None, QUEUE, created, &prefix("a/b"))],
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping for the same event type.",
            ),
        ] {
            assert_eq!(put(queues).unwrap_err(), format!("InvalidArgument: {expected}"));
        }
        let many = (0..101).map(|n| queue(None, QUEUE, created, &prefix(&format!("{n:03}")))).collect();
        assert!(put(many).unwrap_err().contains("maximum number"));
    }

    #[test]
    fn what_is_taken_is_shown_again() {
        let taken = put(vec![
            queue(Some("one"), QUEUE, &["s3:ObjectCreated:*"], &[("PREFIX", "a/"), ("suffix", ".csv")]),
            queue(None, QUEUE, &["s3:ObjectRemoved:*", "s3:Replication:*"], &[]),
        ])
        .unwrap();
        assert_eq!(taken.rules[1].id.len(), ID_DIGITS);
        let shown = shown(Some(&taken));
        let queues = shown.queue_configurations.unwrap();
        let rules = queues[0].filter.clone().unwrap().key.unwrap().filter_rules.unwrap();
        let names: Vec<_> = rules.iter().map(|rule| (rule.name.as_deref(), rule.value.as_deref())).collect();
        assert_eq!(names, [(Some("Prefix"), Some("a/")), (Some("Suffix"), Some(".csv"))]);
        assert_eq!((queues[1].filter.clone(), shown.event_bridge_configuration), (None, None));
        assert_eq!(queues[1].events, ["s3:ObjectRemoved:*", "s3:Replication:*"]);
    }
}
