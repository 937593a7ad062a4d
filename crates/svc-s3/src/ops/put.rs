//! PutObject.

use http::{HeaderName, StatusCode};
use millpond_api_s3 as api;
use millpond_kernel::{Payload, Response, ServiceError};
use millpond_lake::{Checksum, DEFAULT_CHECKSUM, LakeError, MAX_PUT_BYTES, Metadata, PutRequest, VersionId, Written};

use crate::answer;
use crate::call::{Call, DECIDE_ATTEMPTS};
use crate::checksums::{self, Expected};
use crate::conditions::precondition_failed;
use crate::encryption::{self, Shown};
use crate::errors::{self, About};
use crate::operations::OnObject;
use crate::ops::acl;
use crate::{metadata, tags, write};

/// PutObject.
pub async fn put(call: &mut Call<'_>, payload: Payload) -> Result<Response, ServiceError> {
    let operation = call.on_object::<api::PutObjectInput>().await?;
    let (owner, acl) = acl::of_new_object(call, &operation.get().bucket)?;
    let metadata = Metadata { acl, ..metadata::from_headers(call.headers())? };
    let tags = operation.get().input.tagging.as_deref().map(tags::from_header).transpose()?.unwrap_or_default();
    let condition = write::condition(call.headers())?;
    let expected = Expected::of(call.headers())?;
    let algorithm = expected.algorithm().unwrap_or(DEFAULT_CHECKSUM);
    let origin = call.origin("PutObject");
    let s3 = call.s3;

    let mut pin = operation.pin();
    let OnObject { bucket, key, .. } = operation.into_inner();
    let (name, text) = (bucket.name.clone(), key.clone());
    let about = About { bucket: name.as_str(), key: text.as_str(), ..About::default() };
    let asked = call.asked_encryption()?;
    let sealing = call.new_sealing(&bucket, &key, &asked).await?;
    let object_key = sealing.key.clone();
    let begin = |plan| s3.lake.ingest_sealed(plan, sealing);
    let received = write::receive(begin, payload, &expected, vec![algorithm], MAX_PUT_BYTES, about).await?;
    let failed = write::condition_name(&condition);
    let mut request = PutRequest {
        bucket: bucket.bucket(),
        key,
        ingested: received.ingested,
        metadata,
        tags,
        checksum: received.digest.map(Checksum::full),
        owner,
        condition,
    };
    for _ in 0..DECIDE_ATTEMPTS {
        match call.lake(pin).try_put(&mut request, &origin).await {
            Ok(mut written) => {
                written.version.unlock(object_key).map_err(|error| errors::from_lake(error, about))?;
                let mut response = answer_to_write(&written);
                let (encryption, customer) = (written.version.encryption(), asked.customer());
                encryption::set(&mut response.headers, Shown { encryption, customer });
                return Ok(response);
            }
            Err(LakeError::Reconfigured) => {}
            Err(LakeError::PreconditionFailed) => return Err(precondition_failed(failed)),
            Err(error) => return Err(errors::from_lake(error, about)),
        }
        // The bytes are there already; only whether, whose, and how their key is kept is decided anew.
        call.reread_policies().await?;
        let again = call.on_object::<api::PutObjectInput>().await?;
        pin = again.pin();
        let bucket = again.into_inner().bucket;
        (request.owner, request.metadata.acl) = acl::of_new_object(call, &bucket)?;
        let kept = s3.keys.keep(call.caller, &bucket, &request.key, object_key.clone(), &asked).await?;
        request.ingested.keep(kept.encryption);
        request.bucket = bucket.bucket();
    }
    Err(errors::decided_too_early())
}

/// The headers that tell of a version that was written.
pub fn answer_to_write(written: &Written) -> Response {
    let mut response = answer::empty(StatusCode::OK);
    let Some(object) = written.version.object() else { return response };
    answer::set(&mut response.headers, http::header::ETAG, &answer::quoted(&object.etag));
    set_version(&mut response.headers, written.versioned, written.version.id);
    if let Some(checksum) = &object.checksum {
        set_checksum(&mut response.headers, checksum, object.parts);
    }
    response
}

/// Names the version, where the bucket has versions.
pub fn set_version(headers: &mut http::HeaderMap, versioned: bool, id: VersionId) {
    if versioned {
        answer::set(headers, HeaderName::from_static("x-amz-version-id"), &id.to_string());
    }
}

/// Shows a checksum and over what it was made.
pub fn set_checksum(headers: &mut http::HeaderMap, checksum: &Checksum, parts: Option<u32>) {
    let name = HeaderName::from_static(checksum.algorithm().header());
    answer::set(headers, name, &checksums::shown(checksum, parts));
    answer::set(headers, HeaderName::from_static("x-amz-checksum-type"), checksum.kind.name());
}
