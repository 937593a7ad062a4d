//! What a record is found by, and how `LookupEvents` shows it.

use millpond_api_cloudtrail::{Event, LookupAttributeKey, Resource};
use millpond_kernel::audit::Found;
use millpond_types::Timestamp;
use serde::Deserialize;

/// The parts of a record that can be looked up.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
struct Seen {
    #[serde(rename = "eventID")]
    event_id: String,
    event_name: String,
    event_source: String,
    read_only: bool,
    user_identity: Identity,
    resources: Vec<Touched>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
struct Identity {
    r#type: String,
    principal_id: String,
    user_name: Option<String>,
    access_key_id: Option<String>,
    invoked_by: Option<String>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
struct Touched {
    #[serde(rename = "ARN")]
    arn: String,
    r#type: Option<String>,
}

impl Identity {
    /// The name that `LookupEvents` shows: of the user, or of the session.
    fn name(&self) -> Option<&str> {
        match self.r#type.as_str() {
            "Root" => Some("root"),
            "AssumedRole" | "FederatedUser" => self.principal_id.split_once(':').map(|(_, session)| session),
            "AWSService" => self.invoked_by.as_deref(),
            _ => self.user_name.as_deref(),
        }
    }
}

impl Touched {
    /// The name by which people know it: of a bucket or object without what every ARN of S3 begins with, of an identity without its path, else the ARN.
    fn name(&self) -> &str {
        match self.r#type.as_deref() {
            Some(kind) if kind.starts_with("AWS::S3::") => self.arn.strip_prefix("arn:aws:s3:::").unwrap_or(&self.arn),
            Some(kind) if kind.starts_with("AWS::IAM::") => self.arn.rsplit('/').next().unwrap_or(&self.arn),
            _ => &self.arn,
        }
    }
}

impl Seen {
    fn has(&self, key: &LookupAttributeKey, value: &str) -> bool {
        match key {
            LookupAttributeKey::EventId => self.event_id == value,
            LookupAttributeKey::EventName => self.event_name == value,
            LookupAttributeKey::ReadOnly => value == if self.read_only { "true" } else { "false" },
            LookupAttributeKey::Username => self.user_identity.name() == Some(value),
            LookupAttributeKey::ResourceType => {
                self.resources.iter().any(|touched| touched.r#type.as_deref() == Some(value))
            }
            LookupAttributeKey::ResourceName => {
                self.resources.iter().any(|touched| touched.name() == value || touched.arn == value)
            }
            LookupAttributeKey::EventSource => self.event_source == value,
            LookupAttributeKey::AccessKeyId => self.user_identity.access_key_id.as_deref() == Some(value),
        }
    }
}

/// The event of a record, if it has the attribute. `None` also for a record that cannot be read, which is not worth failing all others for.
pub fn matching(found: &Found, attribute: Option<&(LookupAttributeKey, String)>) -> Option<Event> {
    let seen: Seen = match serde_json::from_slice(&found.json) {
        Ok(seen) => seen,
        Err(error) => {
            tracing::warn!(position = %found.position, %error, "an audit record cannot be read");
            return None;
        }
    };
    if attribute.is_some_and(|(key, value)| !seen.has(key, value)) {
        return None;
    }
    // Records of earlier versions name paths of IAM, which have no name.
    let resources = seen.resources.iter().filter(|touched| !touched.name().is_empty()).map(|touched| Resource {
        resource_type: touched.r#type.clone(),
        resource_name: Some(touched.name().to_owned()),
    });
    Some(Event {
        resources: Some(resources.collect()),
        username: seen.user_identity.name().map(str::to_owned),
        access_key_id: seen.user_identity.access_key_id.clone(),
        event_id: Some(seen.event_id),
        event_name: Some(seen.event_name),
        event_source: Some(seen.event_source),
        read_only: Some(seen.read_only.to_string()),
        event_time: Some(Timestamp::from_seconds(found.time.seconds())),
        cloud_trail_event: Some(String::from_utf8_lossy(&found.json).into_owned()),
    })
}
