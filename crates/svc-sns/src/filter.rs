//! Filter policies of subscriptions.

use std::sync::Arc;

use millpond_pattern::{FilterScope, Pattern};
use serde_json::Value;

use crate::errors::SnsError;
use crate::message::Message;

/// What a subscription wants.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pattern: Arc<Pattern>,
    scope: FilterScope,
}

/// The scope of that name; what is not set is about attributes.
pub(crate) fn scope(text: Option<&str>) -> Result<FilterScope, SnsError> {
    match text {
        None | Some("MessageAttributes") => Ok(FilterScope::MessageAttributes),
        Some("MessageBody") => Ok(FilterScope::MessageBody),
        Some(other) => Err(SnsError::Parameter(format!(
            "FilterPolicyScope: Invalid value [{other}]. Please use either MessageBody or MessageAttributes"
        ))),
    }
}

impl Filter {
    /// Parses a policy; `None` for one without fields, which lets everything pass.
    pub fn parse(text: &str, scope: FilterScope) -> Result<Option<Self>, SnsError> {
        let invalid = |what: &dyn std::fmt::Display| SnsError::Parameter(format!("FilterPolicy: {what}"));
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(members)) if members.is_empty() => return Ok(None),
            Ok(Value::Object(_)) => {}
            _ => return Err(invalid(&"failed to parse JSON.")),
        }
        let pattern = Pattern::parse_filter_policy(text, scope).map_err(|error| invalid(&error.reason()))?;
        Ok(Some(Self { pattern: Arc::new(pattern), scope }))
    }

    /// Whether a message is wanted; `protocol` tells which of its texts is asked about.
    pub fn wants(&self, message: &Message, protocol: &str) -> bool {
        match self.scope {
            FilterScope::MessageAttributes => self.pattern.matches(&message.attributes_event()),
            FilterScope::MessageBody => message.body_event(protocol).is_some_and(|event| self.pattern.matches(&event)),
        }
    }

    /// Why a message is not wanted; `None` when it is.
    pub fn misfit(&self, message: &Message, protocol: &str) -> Option<String> {
        let event = match self.scope {
            FilterScope::MessageAttributes => message.attributes_event(),
            FilterScope::MessageBody => match message.body_event(protocol) {
                Some(event) => event,
                None => return Some("the message is no JSON object".to_owned()),
            },
        };
        (!self.pattern.matches(&event)).then(|| self.pattern.explain(&event).to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use millpond_api_sns::MessageAttributeValue;
    use millpond_types::Timestamp;

    use super::*;
    use crate::message::Given;

    fn message(text: &str, attributes: &[(&str, &str, &str)]) -> Message {
        let value = |data_type: &str, text: &str| MessageAttributeValue {
            data_type: data_type.to_owned(),
            string_value: Some(text.to_owned()),
            binary_value: None,
        };
        let map: BTreeMap<_, _> = attributes.iter().map(|(n, t, v)| ((*n).to_owned(), value(t, v))).collect();
        let given = Given { text, subject: None, structure: None, attributes: Some(&map), deduplication: None };
        Message::given(1, Timestamp::default(), Vec::new(), &given).unwrap()
    }

    #[test]
    fn filters_on_attributes_and_bodies() {
        use FilterScope::{MessageAttributes as A, MessageBody as B};
        let order = message(
            r#"{"store":"body","order":{"total":150}}"#,
            &[
                ("store", "String", "example_corp"),
                ("price", "Number", "210.75"),
                ("interests", "String.Array", r#"["soccer","rugby"]"#),
            ],
        );
        for (policy, scope, wanted) in [
            (r#"{"store":["example_corp"]}"#, A, true),
            (r#"{"store":[{"anything-but":"example_corp"}]}"#, A, false),
            (r#"{"store":[{"prefix":"example"}],"price":[{"numeric":[">=",100]}]}"#, A, true),
            (r#"{"price":[210.75]}"#, A, true),
            (r#"{"price":["210.75"]}"#, A, false),
            (r#"{"interests":["rugby"]}"#, A, true),
            (r#"{"interests":["tennis"]}"#, A, false),
            (r#"{"missing":[{"exists":false}]}"#, A, true),
            (r#"{"store":["body"]}"#, B, true),
            (r#"{"order":{"total":[{"numeric":[">",100]}]}}"#, B, true),
            (r#"{"order":{"total":[{"numeric":[">",200]}]}}"#, B, false),
        ] {
            let filter = Filter::parse(policy, scope).unwrap().unwrap();
            assert_eq!(filter.wants(&order, "sqs"), wanted, "{policy}");
            assert_eq!(filter.misfit(&order, "sqs").is_none(), wanted, "{policy}");
        }
        let plain = message("no json", &[]);
        assert!(!Filter::parse(r#"{"a":[{"exists":false}]}"#, B).unwrap().unwrap().wants(&plain, "sqs"));
    }

    #[test]
    fn what_is_no_filter() {
        assert!(Filter::parse("{}", FilterScope::MessageBody).unwrap().is_none());
        for policy in ["", "[]", r#"{"a":"b"}"#, r#"{"a":{"b":["c"]}}"#, r#"{"a":[]}"#, r#"{"a":[{"unknown":1}]}"#] {
            let error = Filter::parse(policy, FilterScope::MessageAttributes).unwrap_err().to_string();
            assert!(error.starts_with("Invalid parameter: FilterPolicy: "), "{policy}: {error}");
        }
        assert!(scope(Some("Body")).is_err());
    }
}
