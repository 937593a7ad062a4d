//! Multipart uploads (S3 User Guide, "Uploading and copying objects using multipart upload").

use http::StatusCode;
use millpond_api_s3 as api;
use millpond_digest::{Checksum as Digest, ChecksumAlgorithm, ChecksumType};
use millpond_kernel::{Authorized, Payload, Response, ServiceError};
use millpond_lake::{
    AfterUpload, CompletePart, CompleteRequest, LakeError, Lock, MAX_PART_BYTES, Metadata, NewUpload, Part, Upload,
    UploadId, UploadsRequest,
};

use millpond_seal::Key;

use crate::answer;
use crate::call::{Call, DECIDE_ATTEMPTS};
use crate::checksums::{self, Expected};
use crate::conditions::{bare, precondition_failed};
use crate::encryption::{self, Shown};
use crate::errors::{self, About};
use crate::listing::{self, Names, get_checksum, set_checksum};
use crate::operations::{OnBucket, OnObject};
use crate::ops::acl;
use crate::ops::put::set_version;
use crate::{metadata, tags, write};

/// The page of ListParts and ListMultipartUploads when none is asked for, and the largest.
const MAX_PAGE: i32 = 1_000;

/// A part number within S3's limits.
pub fn part_number(number: i32) -> Result<u16, ServiceError> {
    u16::try_from(number)
        .ok()
        .filter(|number| (1..=millpond_lake::MAX_PARTS).contains(number))
        .ok_or_else(errors::part_number_out_of_range)
}

fn about<'a, I>(target: &'a OnObject<I>, upload: &'a str) -> About<'a> {
    About { bucket: target.bucket.name.as_str(), key: target.key.as_str(), upload, version: None }
}

async fn upload_of<I>(call: &Call<'_>, target: &OnObject<I>, id: &str) -> Result<Upload, ServiceError> {
    let parsed = UploadId::parse(id).ok_or_else(|| errors::no_such_upload(id))?;
    call.s3
        .lake
        .upload(&target.bucket, &target.key, parsed)
        .await
        .map_err(|error| errors::from_lake(error, about(target, id)))
}

/// The checksum that a new upload's object will have, where the client wants one.
fn checksum_plan(
    input: &api::CreateMultipartUploadInput,
) -> Result<Option<(ChecksumAlgorithm, ChecksumType)>, ServiceError> {
    let kind = match input.checksum_type.as_ref().map(|kind| kind.as_str()) {
        None => None,
        Some(name) => Some(ChecksumType::from_name(name).ok_or_else(|| {
            errors::invalid_argument(
                "x-amz-checksum-type",
                Some(name),
                "The checksum type is COMPOSITE or FULL_OBJECT.",
            )
        })?),
    };
    let Some(name) = input.checksum_algorithm.as_ref() else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(errors::invalid_request(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )),
        };
    };
    let algorithm = checksums::algorithm(name.as_str())?;
    let kind = kind.unwrap_or(ChecksumType::default_for(algorithm));
    if !kind.fits(algorithm) {
        return Err(errors::invalid_request(&format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            kind.name(),
            algorithm.name().to_lowercase()
        )));
    }
    Ok(Some((algorithm, kind)))
}

/// CreateMultipartUpload.
pub async fn create(
    call: &Call<'_>,
    operation: Authorized<OnObject<api::CreateMultipartUploadInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let target = operation.into_inner();
    let checksum = checksum_plan(&target.input)?;
    let wanted = call.asked_encryption()?;
    let sealing = Some(call.new_sealing(&target.bucket, &target.key, &wanted).await?);
    let (owner, acl) = acl::of_new_object(call, &target.bucket)?;
    let asked = target.bucket.asked.upload_keys();
    let new = NewUpload {
        bucket: target.bucket.bucket(),
        key: target.key.clone(),
        metadata: Metadata { acl, asked, ..metadata::from_headers(call.headers())? },
        tags: target.input.tagging.as_deref().map(tags::from_header).transpose()?.unwrap_or_default(),
        owner,
        initiator: call.caller.arn(),
        checksum,
        sealing,
    };
    let origin = call.origin("CreateMultipartUpload");
    let upload = call
        .lake(pin)
        .create_upload(new, &origin)
        .await
        .map_err(|error| errors::from_lake(error, about(&target, "")))?;
    let output = api::CreateMultipartUploadOutput {
        bucket: Some(target.bucket.name.to_string()),
        key: Some(target.key.to_string()),
        upload_id: Some(upload.id.to_string()),
        checksum_algorithm: checksum.map(|(algorithm, _)| listing::checksum_algorithm(algorithm)),
        checksum_type: checksum.map(|(_, kind)| listing::checksum_type(kind)),
        ..api::CreateMultipartUploadOutput::default()
    };
    let mut response = answer::document(output.write())?;
    let (encryption, customer) = (upload.encryption.as_ref(), wanted.customer());
    encryption::set(&mut response.headers, Shown { encryption, customer });
    Ok(response)
}

/// UploadPart.
pub async fn upload_part(call: &mut Call<'_>, payload: Payload) -> Result<Response, ServiceError> {
    let operation = call.on_object::<api::UploadPartInput>().await?;
    let target = operation.get();
    let number = part_number(target.input.part_number)?;
    let id = target.input.upload_id.clone();
    let mut upload = upload_of(call, target, &id).await?;
    let customer = call.customer_key()?;
    call.unlock_upload(&target.bucket, &mut upload, customer.as_ref()).await?;
    let expected = Expected::of(call.headers())?;
    check_algorithm(&upload, expected.algorithm())?;
    let shown = expected.algorithm().is_some() || upload.checksum.is_some();
    let algorithms = upload.part_checksums(expected.algorithm());
    let origin = call.origin("UploadPart");
    let s3 = call.s3;
    let mut pin = operation.pin();
    let target = operation.into_inner();
    let about = about(&target, &id);
    let begin = |plan| s3.lake.ingest_part(plan, &upload);
    let mut received = write::receive(begin, payload, &expected, algorithms, MAX_PART_BYTES, about).await?;
    let digest = received.digest;
    let mut attempts = 0;
    let part = loop {
        match call.lake(pin).try_put_part(&upload, number, &mut received.ingested, &origin).await {
            Ok(part) => break part,
            Err(LakeError::Reconfigured) if attempts < DECIDE_ATTEMPTS => attempts += 1,
            Err(error) => return Err(errors::from_lake(error, about)),
        }
        // As with PutObject: the bytes are there already.
        call.reread_policies().await?;
        let again = call.on_object::<api::UploadPartInput>().await?;
        pin = again.pin();
        call.unlock_upload(&again.get().bucket, &mut upload, customer.as_ref()).await?;
    };
    let mut response = answer::empty(StatusCode::OK);
    let (encryption, customer) = (upload.encryption.as_ref(), customer.as_ref());
    encryption::set(&mut response.headers, Shown { encryption, customer });
    answer::set(&mut response.headers, http::header::ETAG, &answer::quoted(&part.md5.to_string()));
    if let Some(digest) = digest.filter(|_| shown) {
        let name = http::HeaderName::from_static(digest.algorithm().header());
        answer::set(&mut response.headers, name, &digest.to_string());
    }
    Ok(response)
}

/// A part's checksum must be of the upload's algorithm, where that has one.
fn check_algorithm(upload: &Upload, sent: Option<ChecksumAlgorithm>) -> Result<(), ServiceError> {
    match (upload.checksum, sent) {
        (Some((wanted, _)), Some(sent)) if sent != wanted => Err(errors::invalid_request(&format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            wanted.name().to_lowercase(),
            sent.name().to_lowercase()
        ))),
        _ => Ok(()),
    }
}

/// The parts that a completion names.
fn named_parts(input: &api::CompleteMultipartUploadInput) -> Result<Vec<CompletePart>, ServiceError> {
    let parts = input.multipart_upload.as_ref().and_then(|upload| upload.parts.as_ref());
    let Some(parts) = parts.filter(|parts| !parts.is_empty()) else { return Err(errors::malformed_xml()) };
    parts
        .iter()
        .map(|part| {
            let (Some(number), Some(etag)) = (part.part_number, part.etag.as_deref()) else {
                return Err(errors::malformed_xml().field("Reason", "each Part has a PartNumber and an ETag"));
            };
            refuse_unknown_checksums(part)?;
            let checksum = match get_checksum!(part) {
                Some((algorithm, value)) => Some(checksums::parse(algorithm, value)?),
                None => None,
            };
            Ok(CompletePart { number: part_number(number)?, etag: bare(etag).to_owned(), checksum })
        })
        .collect()
}

/// A part's checksum by an algorithm that is not computed here would not be compared with anything.
fn refuse_unknown_checksums(part: &api::CompletedPart) -> Result<(), ServiceError> {
    let unknown = [
        ("sha512", &part.checksum_sha512),
        ("md5", &part.checksum_md5),
        ("xxhash64", &part.checksum_xxhash64),
        ("xxhash3", &part.checksum_xxhash3),
        ("xxhash128", &part.checksum_xxhash128),
    ];
    match unknown.iter().find(|(_, value)| value.is_some()) {
        Some((name, _)) => Err(ServiceError::not_implemented(&format!("The checksum algorithm {name}"))),
        None => Ok(()),
    }
}

/// What the client says of the whole object's checksum.
#[derive(Debug, Default)]
struct WholeChecksum {
    value: Option<Digest>,
    /// `N` of `value-N`, which is how a checksum of N parts' checksums is written.
    parts: Option<usize>,
    kind: Option<ChecksumType>,
}

impl WholeChecksum {
    fn of(input: &api::CompleteMultipartUploadInput) -> Result<Self, ServiceError> {
        let kind = match input.checksum_type.as_ref().map(|kind| kind.as_str()) {
            None => None,
            Some(name) => {
                let kind = ChecksumType::from_name(name);
                Some(kind.ok_or_else(|| errors::bad_checksum_header("x-amz-checksum-type"))?)
            }
        };
        let Some((algorithm, text)) = get_checksum!(input) else { return Ok(Self { kind, ..Self::default() }) };
        let (value, parts) = match text.split_once('-') {
            None => (text, None),
            Some((value, parts)) => {
                let malformed = |_| errors::bad_checksum_header(algorithm.header());
                (value, Some(parts.parse().map_err(malformed)?))
            }
        };
        Ok(Self { value: Some(checksums::parse(algorithm, value)?), parts, kind })
    }

    /// Compares with how the upload was begun, and with the list of parts; the value itself is the lake's to compare.
    async fn check(
        &self,
        call: &Call<'_>,
        target: &OnObject<api::CompleteMultipartUploadInput>,
        named: usize,
    ) -> Result<(), ServiceError> {
        if self.value.is_none() && self.kind.is_none() {
            return Ok(());
        }
        let upload = match UploadId::parse(&target.input.upload_id) {
            Some(id) => call.s3.lake.upload(&target.bucket, &target.key, id).await,
            None => return Err(errors::no_such_upload(&target.input.upload_id)),
        };
        let upload = match upload {
            Ok(upload) => upload,
            // Perhaps it is complete: then this is the same request once more, or the lake refuses it.
            Err(LakeError::NoSuchUpload) => return Ok(()),
            Err(error) => return Err(errors::from_lake(error, about(target, &target.input.upload_id))),
        };
        // Without a plan the object gets the default checksum, which is of the whole object.
        let planned = upload.checksum.map_or(ChecksumType::FullObject, |(_, kind)| kind);
        if self.kind.is_some_and(|kind| kind != planned) {
            return Err(errors::invalid_request(&format!(
                "The upload was created using the {} checksum mode. The complete request must use the same checksum mode.",
                planned.name()
            )));
        }
        check_algorithm(&upload, self.value.map(|value| value.algorithm()))?;
        match (self.value, self.parts) {
            (Some(value), Some(parts)) if planned != ChecksumType::Composite || parts != named => {
                Err(errors::bad_checksum(value.algorithm().name()))
            }
            _ => Ok(()),
        }
    }
}

fn expected_size(input: &api::CompleteMultipartUploadInput) -> Result<Option<u64>, ServiceError> {
    let malformed = |size: i64| {
        let message = "The value of x-amz-mp-object-size is a size in bytes.";
        errors::invalid_argument("x-amz-mp-object-size", Some(&size.to_string()), message)
    };
    input.mpu_object_size.map(|size| u64::try_from(size).map_err(|_| malformed(size))).transpose()
}

/// CompleteMultipartUpload.
pub async fn complete(
    call: &Call<'_>,
    operation: Authorized<OnObject<api::CompleteMultipartUploadInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let target = operation.into_inner();
    let id = target.input.upload_id.clone();
    let condition = write::condition(call.headers())?;
    let failed = write::condition_name(&condition);
    let whole = WholeChecksum::of(&target.input)?;
    let request = CompleteRequest {
        bucket: target.bucket.bucket(),
        key: target.key.clone(),
        upload: UploadId::parse(&id).ok_or_else(|| errors::no_such_upload(&id))?,
        parts: named_parts(&target.input)?,
        expected_size: expected_size(&target.input)?,
        checksum: whole.value,
        object_key: key_to_complete(call, &target).await?,
        condition,
    };
    let object_key = request.object_key.clone();
    whole.check(call, &target, request.parts.len()).await?;
    let origin = call.origin("CompleteMultipartUpload");
    let mut written = call.lake(pin).complete(request, &origin).await.map_err(|error| match error {
        LakeError::PreconditionFailed => precondition_failed(failed),
        other => errors::from_lake(other, about(&target, &id)),
    })?;
    if let Some(key) = object_key {
        written.version.unlock(key).map_err(|error| errors::from_lake(error, about(&target, &id)))?;
    }
    let object = written.version.object();
    let bucket = target.bucket.name.as_str();
    let mut output = api::CompleteMultipartUploadOutput {
        location: Some(call.object_url(bucket, target.key.as_str())),
        bucket: Some(bucket.to_owned()),
        key: Some(target.key.to_string()),
        etag: object.map(|object| answer::quoted(&object.etag)),
        ..api::CompleteMultipartUploadOutput::default()
    };
    if let Some(checksum) = object.and_then(|object| object.checksum.as_ref()) {
        let shown = checksums::shown(checksum, object.and_then(|object| object.parts));
        set_checksum!(output, checksum.algorithm(), shown);
        output.checksum_type = Some(listing::checksum_type(checksum.kind));
    }
    let mut response = answer::document(output.write())?;
    set_version(&mut response.headers, written.versioned, written.version.id);
    encryption::set(&mut response.headers, Shown { encryption: written.version.encryption(), customer: None });
    Ok(response)
}

/// The key of an upload that is completed, where its parts' digests are sealed: for KMS the caller must be allowed to use it (S3 User Guide,
/// "Multipart upload API and permissions"); a client that keeps its own sends it when there are checksums. What was blocked since the upload
/// began must not come about by its end.
async fn key_to_complete(
    call: &Call<'_>,
    target: &OnObject<api::CompleteMultipartUploadInput>,
) -> Result<Option<Key>, ServiceError> {
    let id = &target.input.upload_id;
    let parsed = UploadId::parse(id).ok_or_else(|| errors::no_such_upload(id))?;
    let mut upload = match call.s3.lake.upload(&target.bucket, &target.key, parsed).await {
        Ok(upload) => upload,
        // Perhaps it is complete: then this is the same request once more, or the lake refuses it.
        Err(LakeError::NoSuchUpload) => return Ok(None),
        Err(error) => return Err(errors::from_lake(error, about(target, id))),
    };
    acl::unless_upload_blocked(call, &target.bucket, &upload)?;
    let customer = call.customer_key()?;
    let is_customers = upload.encryption.as_ref().is_some_and(|e| matches!(e.lock, Lock::Customer { .. }));
    if !is_customers || customer.is_some() {
        call.unlock_upload(&target.bucket, &mut upload, customer.as_ref()).await?;
    }
    Ok(upload.object_key().cloned())
}

/// AbortMultipartUpload.
pub async fn abort(
    call: &Call<'_>,
    operation: Authorized<OnObject<api::AbortMultipartUploadInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let target = operation.into_inner();
    let id = target.input.upload_id.clone();
    let upload = upload_of(call, &target, &id).await?;
    call.lake(pin)
        .abort(&upload, &call.origin("AbortMultipartUpload"))
        .await
        .map_err(|error| errors::from_lake(error, about(&target, &id)))?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

fn page_size(name: &'static str, asked: Option<i32>) -> Result<usize, ServiceError> {
    let asked = asked.unwrap_or(MAX_PAGE);
    usize::try_from(asked.min(MAX_PAGE)).map_err(|_| {
        errors::invalid_argument(name, Some(&asked.to_string()), "The page size is an integer between 0 and 2147483647")
    })
}

/// ListParts.
pub async fn list_parts(
    call: &Call<'_>,
    operation: Authorized<OnObject<api::ListPartsInput>>,
) -> Result<Response, ServiceError> {
    let target = operation.into_inner();
    let id = target.input.upload_id.clone();
    let mut upload = upload_of(call, &target, &id).await?;
    let customer = call.customer_key()?;
    let is_customers = upload.encryption.as_ref().is_some_and(|e| matches!(e.lock, Lock::Customer { .. }));
    // Without the client's key there are no checksums to be seen.
    if !is_customers || customer.is_some() {
        call.unlock_upload(&target.bucket, &mut upload, customer.as_ref()).await?;
    }
    let limit = page_size("max-parts", target.input.max_parts)?;
    let marker = part_marker(target.input.part_number_marker)?;
    let page = match limit {
        0 => millpond_lake::PartsPage::default(),
        _ => call
            .s3
            .lake
            .list_parts(&upload, marker, limit)
            .await
            .map_err(|error| errors::from_lake(error, about(&target, &id)))?,
    };
    let next = page.parts.last().map(|part| i32::from(part.number));
    let output = api::ListPartsOutput {
        bucket: Some(target.bucket.name.to_string()),
        key: Some(target.key.to_string()),
        upload_id: Some(id),
        part_number_marker: Some(i32::from(marker)),
        next_part_number_marker: next.filter(|_| page.truncated),
        max_parts: Some(limit as i32),
        is_truncated: Some(page.truncated),
        parts: Some(page.parts.iter().map(shown_part).collect()),
        initiator: Some(initiator(&upload)),
        owner: Some(listing::owner(upload.owner)),
        storage_class: upload_class(&upload),
        checksum_algorithm: upload.checksum.map(|(algorithm, _)| listing::checksum_algorithm(algorithm)),
        checksum_type: upload.checksum.map(|(_, kind)| listing::checksum_type(kind)),
        ..api::ListPartsOutput::default()
    };
    answer::document(output.write())
}

/// A marker: the number of the last part of the page before. One beyond all part numbers is behind all parts.
pub fn part_marker(marker: Option<i32>) -> Result<u16, ServiceError> {
    match marker {
        None => Ok(0),
        Some(number) if number >= 0 => Ok(u16::try_from(number).unwrap_or(u16::MAX)),
        Some(number) => Err(errors::invalid_argument(
            "part-number-marker",
            Some(&number.to_string()),
            "Argument part-number-marker must be an integer between 0 and 2147483647",
        )),
    }
}

fn shown_part(part: &Part) -> api::Part {
    let mut shown = api::Part {
        part_number: Some(i32::from(part.number)),
        last_modified: Some(part.modified),
        etag: Some(answer::quoted(&part.md5.to_string())),
        size: i64::try_from(part.size).ok(),
        ..api::Part::default()
    };
    if let Some(checksum) = &part.checksum {
        set_checksum!(shown, checksum.algorithm(), checksum.to_string());
    }
    shown
}

fn initiator(upload: &Upload) -> api::Initiator {
    api::Initiator { id: Some(upload.initiator.clone()), display_name: None }
}

fn upload_class(upload: &Upload) -> Option<api::StorageClass> {
    let class = upload.metadata.storage_class.as_deref();
    Some(class.and_then(api::StorageClass::parse).unwrap_or(api::StorageClass::Standard))
}

/// ListMultipartUploads.
pub async fn list_uploads(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::ListMultipartUploadsInput>>,
) -> Result<Response, ServiceError> {
    let OnBucket { input, bucket } = operation.into_inner();
    let names = Names::new(input.encoding_type.as_ref());
    let limit = page_size("max-uploads", input.max_uploads)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let request = UploadsRequest {
        prefix: prefix.clone(),
        delimiter: input.delimiter.clone(),
        after: after_upload(&input, &prefix),
        limit,
    };
    let lake_about = About { bucket: bucket.name.as_str(), ..About::default() };
    let page = match limit {
        0 => millpond_lake::UploadsPage::default(),
        _ => call.s3.lake.list_uploads(&bucket, request).await.map_err(|error| errors::from_lake(error, lake_about))?,
    };
    let (next_key_marker, next_upload_id_marker) = match &page.next {
        Some(AfterUpload::Upload(key, id)) => (Some(names.show(key)), Some(id.to_string())),
        Some(AfterUpload::Key(key) | AfterUpload::Prefix(key)) => (Some(names.show(key)), Some(String::new())),
        Some(AfterUpload::Start) | None => (None, None),
    };
    let prefixes = page.prefixes.iter().map(|prefix| api::CommonPrefix { prefix: Some(names.show(prefix)) });
    let output = api::ListMultipartUploadsOutput {
        bucket: Some(bucket.name.to_string()),
        key_marker: Some(names.show(input.key_marker.as_deref().unwrap_or_default())),
        upload_id_marker: Some(input.upload_id_marker.clone().unwrap_or_default()),
        next_key_marker,
        next_upload_id_marker,
        prefix: names.show_some(Some(&prefix)),
        delimiter: names.show_some(input.delimiter.as_deref()),
        max_uploads: Some(limit as i32),
        is_truncated: Some(page.next.is_some()),
        common_prefixes: Some(prefixes.collect()),
        encoding_type: input.encoding_type,
        uploads: Some(page.uploads.iter().map(|upload| shown_upload(upload, names)).collect()),
        ..api::ListMultipartUploadsOutput::default()
    };
    answer::document(output.write())
}

fn shown_upload(upload: &Upload, names: Names) -> api::MultipartUpload {
    api::MultipartUpload {
        version_id: None,
        upload_id: Some(upload.id.to_string()),
        key: Some(names.show(upload.key.as_str())),
        initiated: Some(upload.created),
        storage_class: upload_class(upload),
        owner: Some(listing::owner(upload.owner)),
        initiator: Some(initiator(upload)),
        checksum_algorithm: upload.checksum.map(|(algorithm, _)| listing::checksum_algorithm(algorithm)),
        checksum_type: upload.checksum.map(|(_, kind)| listing::checksum_type(kind)),
    }
}

/// Where the listing goes on. Without a key marker an upload id marker is ignored, as AWS documents.
fn after_upload(input: &api::ListMultipartUploadsInput, prefix: &str) -> AfterUpload {
    let Some(key) = input.key_marker.as_deref().filter(|key| !key.is_empty()) else { return AfterUpload::Start };
    match input.upload_id_marker.as_deref().and_then(UploadId::parse) {
        Some(id) => AfterUpload::Upload(key.to_owned(), id),
        None => match listing::after_marker(Some(key), prefix, input.delimiter.as_deref()) {
            millpond_lake::After::Prefix(prefix) => AfterUpload::Prefix(prefix),
            _ => AfterUpload::Key(key.to_owned()),
        },
    }
}
