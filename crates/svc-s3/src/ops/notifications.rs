//! Notification configurations of buckets.

use http::StatusCode;
use millpond_api_s3 as api;
use millpond_kernel::{Arrival, Authorized, Response, ServiceError};
use millpond_lake::ConfigKind;

use crate::answer;
use crate::call::Call;
use crate::errors::{self, About};
use crate::notifications::{Notifications, accept};
use crate::operations::OnBucket;

/// GetBucketNotificationConfiguration.
pub fn get(
    operation: Authorized<OnBucket<api::GetBucketNotificationConfigurationInput>>,
) -> Result<Response, ServiceError> {
    let bucket = &operation.get().bucket;
    let notifications = bucket.config(ConfigKind::Notifications).map(|row| {
        Notifications::read(row).ok_or_else(|| {
            tracing::error!(bucket = bucket.name.as_str(), "a notification configuration cannot be read");
            ServiceError::internal()
        })
    });
    answer::document(accept::shown(notifications.transpose()?.as_ref()).write())
}

/// PutBucketNotificationConfiguration. What destinations are sent to be tested arrives in the commit that makes the configuration.
pub async fn put(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::PutBucketNotificationConfigurationInput>>,
) -> Result<Response, ServiceError> {
    let announcer = call.s3.announcer.as_ref().ok_or_else(|| ServiceError::not_implemented("Event notification"))?;
    let pin = operation.pin();
    let OnBucket { input, bucket } = operation.into_inner();
    let random = &*announcer.parts().random;
    let wanted = accept::wanted(input.notification_configuration, bucket.owner, call.s3.region.as_str(), random)?;
    let tests = match input.skip_destination_validation {
        Some(true) => {
            announcer.serves(&wanted)?;
            Vec::new()
        }
        _ => announcer.tests(&bucket, &wanted, call.caller).await?,
    };
    let mut lake = call.lake(pin);
    for Arrival { conds, ops } in tests {
        lake = conds.into_iter().fold(lake, |lake, cond| lake.provided(cond));
        lake = ops.into_iter().fold(lake, |lake, op| lake.also(op));
    }
    let value = (!wanted.is_empty()).then(|| wanted.row());
    let place = bucket.bucket();
    let set = announcer.configure(lake, place, value, call.origin("PutBucketNotificationConfiguration")).await;
    let about = About { bucket: bucket.name.as_str(), ..About::default() };
    set.map_err(|error| errors::from_lake(error, about))?;
    Ok(answer::empty(StatusCode::OK))
}
