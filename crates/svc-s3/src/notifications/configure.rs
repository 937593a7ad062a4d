//! Putting a configuration into effect: destinations are asked, told by a test event, and the journal gets its reader.

use std::sync::Arc;

use bytes::Bytes;
use millpond_kernel::{Arrival, Caller, Rejection, ServiceError};
use millpond_lake::{Bucket, ConfigKind, JournalReaders, Lake, LakeError, announced, journal_of};
use millpond_meta::{Cond, Key, Op, Position};
use millpond_types::{Arn, Origin};

use crate::notifications::consumer::{Announcer, NAME};
use crate::notifications::render;
use crate::notifications::rule::{Destination, Notifications};
use crate::rules::Site;

/// What S3 calls arguments that it lists: as many as are shown.
const ARGUMENTS: [(&str, &str); 5] = [
    ("ArgumentName1", "ArgumentValue1"),
    ("ArgumentName2", "ArgumentValue2"),
    ("ArgumentName3", "ArgumentValue3"),
    ("ArgumentName4", "ArgumentValue4"),
    ("ArgumentName5", "ArgumentValue5"),
];

fn word(kind: Destination) -> (&'static str, &'static str) {
    match kind {
        Destination::Queue => ("queue", "Event notification to queues (QueueConfiguration)"),
        Destination::Topic => ("topic", "Event notification to topics (TopicConfiguration)"),
        Destination::Function => ("function", "Event notification to functions (CloudFunctionConfiguration)"),
    }
}

/// Why a destination cannot be one, in S3's words. `Err` where that is not known now.
fn why(kind: Destination, rejection: Rejection) -> Result<String, ServiceError> {
    let (word, _) = word(kind);
    Ok(match rejection {
        Rejection::NotFound(_) => format!("The destination {word} does not exist"),
        Rejection::Denied(_) if kind == Destination::Function => "Not authorized to invoke function".to_owned(),
        Rejection::Denied(_) => {
            format!("Permissions on the destination {word} do not allow S3 to publish notifications from this bucket")
        }
        Rejection::Invalid(why) => why,
        Rejection::Failed(why) => {
            tracing::warn!(why, "a destination of notifications cannot be asked");
            return Err(ServiceError::new("ServiceUnavailable", 503, "Please reduce your request rate."));
        }
    })
}

impl Announcer {
    /// Refuses, by name, destinations of services that are not there.
    pub fn serves(&self, wanted: &Notifications) -> Result<(), ServiceError> {
        let targets = self.parts().kernel.targets();
        if let Some(rule) = wanted.rules.iter().find(|rule| !targets.has(rule.arn.service())) {
            return Err(ServiceError::not_implemented(word(rule.kind).1));
        }
        if wanted.bridge && !targets.has("events") {
            return Err(ServiceError::not_implemented("Event notification to EventBridge (EventBridgeConfiguration)"));
        }
        Ok(())
    }

    /// The test events by which destinations learn that they are some, one for each, provided that they exist and let S3 in.
    pub async fn tests(
        &self,
        bucket: &Site,
        wanted: &Notifications,
        by: &Caller,
    ) -> Result<Vec<Arrival>, ServiceError> {
        self.serves(wanted)?;
        let parts = self.parts();
        let caller = self.caller(bucket.name.as_str(), bucket.owner, by.request_id());
        let (mut arrivals, mut refused, mut told): (_, _, Vec<&Arn>) = (Vec::new(), Vec::new(), Vec::new());
        for rule in &wanted.rules {
            if told.contains(&&rule.arn) {
                continue;
            }
            told.push(&rule.arn);
            let id = by.request_id().to_string();
            let body = render::test_event(bucket.name.as_str(), parts.clock.now(), &id, self.place());
            let mut delivery = self.delivery(&rule.arn, String::new(), body, by.causes().clone());
            delivery.id = parts.random.u128();
            let arrival = match parts.kernel.targets().check(&rule.arn, &caller).await {
                // Functions are asked, but not invoked (S3 User Guide, "Granting permissions to invoke an AWS Lambda function").
                Ok(()) if rule.kind == Destination::Function => Ok(Arrival::default()),
                Ok(()) => parts.kernel.targets().arrive(&rule.arn, &caller, &delivery).await,
                Err(rejection) => Err(rejection),
            };
            match arrival {
                Ok(arrival) => arrivals.push(arrival),
                Err(rejection) => refused.push((rule.arn.to_string(), why(rule.kind, rejection)?)),
            }
        }
        if refused.is_empty() {
            return Ok(arrivals);
        }
        let message = "Unable to validate the following destination configurations";
        let error = ServiceError::new("InvalidArgument", 400, message);
        let listed = ARGUMENTS.into_iter().zip(refused);
        Err(listed.fold(error, |error, ((name, value), (arn, why))| error.field(name, arn).field(value, why)))
    }

    /// Makes a configuration that of its bucket, `None` that it has none. The journal gets its reader in the same commit, where it has none yet: until
    /// the reader comes to that commit's entry, nothing is in effect for it.
    ///
    /// Runs to its end when the request is dropped: else the reader would not be known of.
    pub async fn configure(
        &self,
        lake: Lake,
        bucket: Arc<Bucket>,
        value: Option<Bytes>,
        origin: Origin,
    ) -> Result<(), LakeError> {
        let (stream, row) = (journal_of(bucket.id), announced(bucket.id));
        let there = self.parts().kv.get(&row).await?.is_some();
        let lake = match (there, &value) {
            (true, _) => lake.provided(Cond::Present(row)),
            (false, None) => lake.provided(Cond::Absent(row)),
            (false, Some(_)) => lake
                .provided(Cond::Absent(row.clone()))
                .also(Op::Put(row, Bytes::new()))
                .also(self.parts().consumers.begin(NAME, &stream)),
        };
        let (consumers, begins) = (self.parts().consumers.clone(), !there && value.is_some());
        let all = async move {
            lake.set_config(&bucket, ConfigKind::Notifications, value, &origin).await?;
            if begins {
                consumers.follow(NAME, &stream);
            }
            Ok(())
        };
        tokio::spawn(all).await.map_err(|error| LakeError::Internal(error.to_string()))?
    }

    /// Takes the readers away of buckets that announce nothing any more and have told everything. At the start, before requests are served.
    pub async fn settle(&self, lake: &Lake) -> Result<(), LakeError> {
        for bucket in lake.all_buckets() {
            let (stream, row) = (journal_of(bucket.id), announced(bucket.id));
            if bucket.config(ConfigKind::Notifications).is_some() || self.parts().consumers.floor(&stream).is_none() {
                continue;
            }
            if self.parts().kv.get(&row).await? == Some(Bytes::new()) && lake.journal_is_read(bucket.id).await? {
                let ops = vec![Op::Delete(row.clone()), self.parts().consumers.end(NAME, &stream)];
                let conds = vec![Cond::Equals(row, Bytes::new())];
                let batch = millpond_meta::Batch { conds, ops, ..Default::default() };
                self.parts().kv.commit(batch).await.map_err(|error| LakeError::Internal(error.to_string()))?;
                self.parts().consumers.forget(NAME, &stream);
            }
        }
        Ok(())
    }
}

impl JournalReaders for Announcer {
    fn slowest(&self, stream: &Key) -> Option<Position> {
        self.parts().consumers.floor(stream)
    }

    fn gone(&self, stream: &Key) -> Vec<Op> {
        self.parts().consumers.forget(NAME, stream);
        vec![self.parts().consumers.end(NAME, stream)]
    }
}
