//! How often and how fast a webhook is tried (SNS Developer Guide, "Creating an HTTP/S delivery policy").

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::errors::SnsError;

/// The most seconds between two tries, and of all of them together: a hard limit of AWS's.
const MAX_SECONDS: u64 = 3_600;
/// The most retries.
const MAX_RETRIES: u64 = 100;

/// How the pauses of the third phase grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Backoff {
    Linear,
    Arithmetic,
    Geometric,
    Exponential,
}

/// Retries in four phases: at once, at the shortest pause, with growing pauses, at the longest pause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RetryPolicy {
    min_delay: u64,
    max_delay: u64,
    retries: u64,
    no_delay: u64,
    min_delay_retries: u64,
    max_delay_retries: u64,
    backoff: Backoff,
}

impl Default for RetryPolicy {
    /// Three retries, 20 seconds apart.
    fn default() -> Self {
        Self {
            min_delay: 20,
            max_delay: 20,
            retries: 3,
            no_delay: 0,
            min_delay_retries: 0,
            max_delay_retries: 0,
            backoff: Backoff::Linear,
        }
    }
}

impl RetryPolicy {
    /// The pause before retry `number`, counted from 1; `None` when there is none.
    pub fn pause(&self, number: u64) -> Option<Duration> {
        if number == 0 || number > self.retries {
            return None;
        }
        let (at_once, slowly) = (self.no_delay, self.no_delay + self.min_delay_retries);
        let growing = self.retries.saturating_sub(slowly + self.max_delay_retries);
        let seconds = match number {
            n if n <= at_once => 0.0,
            n if n <= slowly => self.min_delay as f64,
            n if n <= slowly + growing => self.grown(n - slowly, growing),
            _ => self.max_delay as f64,
        };
        Some(Duration::from_secs_f64(seconds))
    }

    /// The pause at step `step` of `steps` between the shortest and the longest one.
    fn grown(&self, step: u64, steps: u64) -> f64 {
        let (min, max) = (self.min_delay as f64, self.max_delay as f64);
        if steps < 2 {
            return min;
        }
        let part = (step - 1) as f64 / (steps - 1) as f64;
        match self.backoff {
            Backoff::Linear => min + (max - min) * part,
            // Pauses whose differences grow evenly.
            Backoff::Arithmetic => min + (max - min) * part * (part + 1.0) / 2.0,
            Backoff::Geometric => min * (max / min).powf(part),
            Backoff::Exponential => (min * 2_f64.powf((step - 1) as f64)).min(max),
        }
    }

    fn document(&self) -> Value {
        let backoff = match self.backoff {
            Backoff::Linear => "linear",
            Backoff::Arithmetic => "arithmetic",
            Backoff::Geometric => "geometric",
            Backoff::Exponential => "exponential",
        };
        json!({
            "minDelayTarget": self.min_delay,
            "maxDelayTarget": self.max_delay,
            "numRetries": self.retries,
            "numMaxDelayRetries": self.max_delay_retries,
            "numNoDelayRetries": self.no_delay,
            "numMinDelayRetries": self.min_delay_retries,
            "backoffFunction": backoff,
        })
    }

    fn parse(value: &Value) -> Result<Self, String> {
        let members = value.as_object().ok_or("a retry policy is an object")?;
        let mut policy = Self::default();
        for (name, value) in members {
            let number = || value.as_u64().ok_or(format!("{name} must be a non-negative integer"));
            match name.as_str() {
                "minDelayTarget" => policy.min_delay = number()?,
                "maxDelayTarget" => policy.max_delay = number()?,
                "numRetries" => policy.retries = number()?,
                "numNoDelayRetries" => policy.no_delay = number()?,
                "numMinDelayRetries" => policy.min_delay_retries = number()?,
                "numMaxDelayRetries" => policy.max_delay_retries = number()?,
                "backoffFunction" => policy.backoff = backoff(value)?,
                other => return Err(format!("unknown member {other}")),
            }
        }
        policy.check()?;
        Ok(policy)
    }

    fn check(&self) -> Result<(), String> {
        if !(1..=MAX_SECONDS).contains(&self.min_delay) || !(1..=MAX_SECONDS).contains(&self.max_delay) {
            return Err(format!("delays are from 1 to {MAX_SECONDS} seconds"));
        }
        if self.min_delay > self.max_delay {
            return Err("minDelayTarget must not be greater than maxDelayTarget".to_owned());
        }
        if self.retries > MAX_RETRIES {
            return Err(format!("numRetries must not be greater than {MAX_RETRIES}"));
        }
        let phases = [self.no_delay, self.min_delay_retries, self.max_delay_retries];
        if phases.iter().fold(0_u64, |sum, number| sum.saturating_add(*number)) > self.retries {
            return Err("the retries of the phases must not be more than numRetries".to_owned());
        }
        let total: Duration = (1..=self.retries).filter_map(|number| self.pause(number)).sum();
        if total > Duration::from_secs(MAX_SECONDS) {
            return Err(format!("all retries together must not take more than {MAX_SECONDS} seconds"));
        }
        Ok(())
    }
}

fn backoff(value: &Value) -> Result<Backoff, String> {
    match value.as_str() {
        Some("linear") => Ok(Backoff::Linear),
        Some("arithmetic") => Ok(Backoff::Arithmetic),
        Some("geometric") => Ok(Backoff::Geometric),
        Some("exponential") => Ok(Backoff::Exponential),
        _ => Err("backoffFunction is one of arithmetic, exponential, geometric, linear".to_owned()),
    }
}

/// A delivery policy, of a topic or of a subscription.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct DeliveryPolicy {
    retry: Option<RetryPolicy>,
    content_type: Option<String>,
    no_overrides: bool,
}

/// The content types that can be chosen.
const CONTENT_TYPES: &[&str] = &[
    "application/atom+xml",
    "application/json",
    "application/octet-stream",
    "application/soap+xml",
    "application/x-www-form-urlencoded",
    "application/xhtml+xml",
    "application/xml",
    "text/css",
    "text/csv",
    "text/html",
    "text/plain",
    "text/xml",
];
const USUAL_CONTENT_TYPE: &str = "text/plain; charset=UTF-8";

fn content_type(value: &Value) -> Result<Option<String>, String> {
    let members = value.as_object().ok_or("a request policy is an object")?;
    let mut found = None;
    for (name, value) in members {
        if name != "headerContentType" {
            return Err(format!("unknown member {name}"));
        }
        let text = value.as_str().unwrap_or_default();
        let bare = text.split(';').next().unwrap_or_default().trim();
        let plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if !CONTENT_TYPES.contains(&bare) || !plain {
            return Err(format!("headerContentType cannot be {text:?}"));
        }
        found = Some(text.to_owned());
    }
    Ok(found)
}

impl DeliveryPolicy {
    /// A topic's: what counts for HTTP and HTTPS alike stands under `http`.
    pub fn of_topic(text: &str) -> Result<Self, SnsError> {
        let parsed = object(text).and_then(|members| {
            let mut policy = Self::default();
            for (name, value) in &members {
                match (name.as_str(), value.as_object()) {
                    ("http", Some(http)) => policy = Self::read(http, true)?,
                    _ => return Err(format!("unknown member {name}")),
                }
            }
            Ok(policy)
        });
        parsed.map_err(|why| SnsError::Parameter(format!("DeliveryPolicy: {why}")))
    }

    /// A subscription's.
    pub fn of_subscription(text: &str) -> Result<Self, SnsError> {
        let parsed = object(text).and_then(|members| Self::read(&members, false));
        parsed.map_err(|why| SnsError::Parameter(format!("DeliveryPolicy: {why}")))
    }

    fn read(members: &Map<String, Value>, topic: bool) -> Result<Self, String> {
        let mut policy = Self::default();
        for (name, value) in members {
            match (name.as_str(), topic) {
                ("defaultHealthyRetryPolicy", true) | ("healthyRetryPolicy", false) if value.is_null() => {}
                ("defaultHealthyRetryPolicy", true) | ("healthyRetryPolicy", false) => {
                    policy.retry = Some(RetryPolicy::parse(value)?);
                }
                ("defaultRequestPolicy", true) | ("requestPolicy", false) if value.is_null() => {}
                ("defaultRequestPolicy", true) | ("requestPolicy", false) => policy.content_type = content_type(value)?,
                ("disableSubscriptionOverrides", true) => {
                    policy.no_overrides = value.as_bool().ok_or("disableSubscriptionOverrides is true or false")?;
                }
                // What consoles write for "none".
                ("sicklyRetryPolicy" | "guaranteed", false) if value.is_null() || *value == Value::Bool(false) => {}
                ("defaultThrottlePolicy", true) | ("throttlePolicy", false) if value.is_null() => {}
                ("defaultThrottlePolicy", true) | ("throttlePolicy", false) => {
                    return Err(format!("{name} is not implemented by this server"));
                }
                _ => return Err(format!("unknown member {name}")),
            }
        }
        Ok(policy)
    }

    /// What counts for a subscription of a topic.
    pub fn effective<'a>(topic: Option<&'a Self>, own: Option<&'a Self>) -> Effective<'a> {
        let own = own.filter(|_| !topic.is_some_and(|topic| topic.no_overrides));
        let of =
            |policy: Option<&'a Self>| (policy.and_then(|p| p.retry), policy.and_then(|p| p.content_type.as_deref()));
        let ((own_retry, own_type), (retry, content_type)) = (of(own), of(topic));
        Effective {
            retry: own_retry.or(retry).unwrap_or_default(),
            content_type: own_type.or(content_type).unwrap_or(USUAL_CONTENT_TYPE),
            no_overrides: topic.is_some_and(|topic| topic.no_overrides),
        }
    }
}

/// What counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Effective<'a> {
    pub retry: RetryPolicy,
    pub content_type: &'a str,
    no_overrides: bool,
}

impl Effective<'_> {
    /// As `EffectiveDeliveryPolicy` of a topic shows it.
    pub fn of_topic(&self) -> String {
        let http = json!({
            "defaultHealthyRetryPolicy": self.retry.document(),
            "disableSubscriptionOverrides": self.no_overrides,
            "defaultRequestPolicy": {"headerContentType": self.content_type},
        });
        json!({ "http": http }).to_string()
    }

    /// As `EffectiveDeliveryPolicy` of a subscription shows it.
    pub fn of_subscription(&self) -> String {
        json!({
            "healthyRetryPolicy": self.retry.document(),
            "sicklyRetryPolicy": null,
            "throttlePolicy": null,
            "requestPolicy": {"headerContentType": self.content_type},
            "guaranteed": false,
        })
        .to_string()
    }
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err("it is no JSON object".to_owned()),
        Err(error) => Err(format!("it is no JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(text: &str) -> Vec<u64> {
        let policy = RetryPolicy::parse(&serde_json::from_str(text).unwrap()).unwrap();
        (1..).map_while(|number| policy.pause(number)).map(|pause| pause.as_secs()).collect()
    }

    #[test]
    fn retries_go_through_their_phases() {
        for (text, expected) in [
            ("{}", vec![20, 20, 20]),
            (r#"{"numRetries":0}"#, vec![]),
            (r#"{"numRetries":3,"numNoDelayRetries":3}"#, vec![0, 0, 0]),
            (
                r#"{"minDelayTarget":1,"maxDelayTarget":5,"numRetries":9,"numNoDelayRetries":1,"numMinDelayRetries":2,"numMaxDelayRetries":1}"#,
                vec![0, 1, 1, 1, 2, 3, 4, 5, 5],
            ),
            (
                r#"{"minDelayTarget":1,"maxDelayTarget":60,"numRetries":8,"backoffFunction":"exponential"}"#,
                vec![1, 2, 4, 8, 16, 32, 60, 60],
            ),
            (
                r#"{"minDelayTarget":1,"maxDelayTarget":100,"numRetries":3,"backoffFunction":"geometric"}"#,
                vec![1, 10, 100],
            ),
        ] {
            assert_eq!(pauses(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_delivery_policy() {
        for text in [
            "",
            "[]",
            r#"{"other":1}"#,
            r#"{"healthyRetryPolicy":{"numRetries":101}}"#,
            r#"{"healthyRetryPolicy":{"numRetries":-1}}"#,
            r#"{"healthyRetryPolicy":{"minDelayTarget":0}}"#,
            r#"{"healthyRetryPolicy":{"minDelayTarget":21}}"#,
            r#"{"healthyRetryPolicy":{"maxDelayTarget":3601}}"#,
            r#"{"healthyRetryPolicy":{"numRetries":2,"numNoDelayRetries":2,"numMinDelayRetries":1}}"#,
            r#"{"healthyRetryPolicy":{"numRetries":100,"minDelayTarget":60,"maxDelayTarget":60}}"#,
            r#"{"healthyRetryPolicy":{"backoffFunction":"none"}}"#,
            r#"{"throttlePolicy":{"maxReceivesPerSecond":1}}"#,
            r#"{"requestPolicy":{"headerContentType":"image/png"}}"#,
            r#"{"requestPolicy":{"headerContentType":"text/plain\r\nx: y"}}"#,
        ] {
            assert!(DeliveryPolicy::of_subscription(text).is_err(), "{text}");
        }
        assert!(DeliveryPolicy::of_topic(r#"{"http":{"defaultThrottlePolicy":{"maxReceivesPerSecond":1}}}"#).is_err());
        assert!(DeliveryPolicy::of_topic(r#"{"sqs":{}}"#).is_err());
    }

    #[test]
    fn a_subscriptions_policy_counts_unless_the_topic_forbids_it() {
        let own = DeliveryPolicy::of_subscription(r#"{"healthyRetryPolicy":{"numRetries":1}}"#).unwrap();
        for (forbids, retries) in [(false, 1), (true, 2)] {
            let text = format!(
                r#"{{"http":{{"defaultHealthyRetryPolicy":{{"numRetries":2}},"disableSubscriptionOverrides":{forbids},"defaultRequestPolicy":{{"headerContentType":"application/json"}}}}}}"#
            );
            let topic = DeliveryPolicy::of_topic(&text).unwrap();
            let effective = DeliveryPolicy::effective(Some(&topic), Some(&own));
            assert_eq!((effective.retry.retries, effective.content_type), (retries, "application/json"));
        }
        let usual = DeliveryPolicy::effective(None, None);
        assert!(usual.of_topic().contains(r#""numRetries":3"#), "{}", usual.of_topic());
    }
}
