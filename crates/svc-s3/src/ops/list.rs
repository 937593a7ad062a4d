//! ListObjects, ListObjectsV2 and ListObjectVersions.

use millpond_api_s3 as api;
use millpond_kernel::{Authorized, Response, ServiceError};
use millpond_lake::{After, AfterVersion, ListRequest, Page, VersionId, VersionsRequest};

use crate::answer;
use crate::call::Call;
use crate::errors::{self, About};
use crate::listing::{self, Names};
use crate::operations::OnBucket;
use crate::rules::Site;

async fn page(call: &Call<'_>, bucket: &Site, request: ListRequest) -> Result<Page, ServiceError> {
    if request.limit == 0 {
        // AWS answers max-keys=0 with an empty page that is not truncated.
        return Ok(Page::default());
    }
    let about = About { bucket: bucket.name.as_str(), ..About::default() };
    let page = call.s3.lake.list_current(bucket, request).await;
    let mut page = page.map_err(|error| errors::from_lake(error, about))?;
    for entry in &mut page.entries {
        entry.owner = bucket.owner_of(entry.owner);
    }
    Ok(page)
}

fn common_prefixes(prefixes: Vec<String>, names: Names) -> Option<Vec<api::CommonPrefix>> {
    let shown = |prefix: String| api::CommonPrefix { prefix: Some(names.show(&prefix)) };
    (!prefixes.is_empty()).then(|| prefixes.into_iter().map(shown).collect())
}

/// ListObjects, version 1.
pub async fn v1(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::ListObjectsInput>>,
) -> Result<Response, ServiceError> {
    let OnBucket { input, bucket } = operation.into_inner();
    let names = Names::new(input.encoding_type.as_ref());
    let limit = listing::page_size("max-keys", input.max_keys)?;
    let prefix = input.prefix.unwrap_or_default();
    let after = listing::after_marker(input.marker.as_deref(), &prefix, input.delimiter.as_deref());
    let request = ListRequest { prefix: prefix.clone(), delimiter: input.delimiter.clone(), after, limit };
    let page = page(call, &bucket, request).await?;
    // NextMarker is AWS's answer with a delimiter alone; without one clients take the last key.
    let next_marker = match (&page.next, &input.delimiter) {
        (Some(After::Key(key) | After::Prefix(key)), Some(_)) => Some(names.show(key)),
        _ => None,
    };
    let output = api::ListObjectsOutput {
        is_truncated: Some(page.next.is_some()),
        marker: Some(names.show(input.marker.as_deref().unwrap_or_default())),
        next_marker,
        name: Some(bucket.name.to_string()),
        prefix: Some(names.show(&prefix)),
        delimiter: names.show_some(input.delimiter.as_deref()),
        max_keys: Some(limit as i32),
        common_prefixes: common_prefixes(page.prefixes, names),
        encoding_type: input.encoding_type,
        contents: Some(page.entries.into_iter().map(|entry| listing::object(entry, names, true)).collect()),
        ..api::ListObjectsOutput::default()
    };
    answer::document(output.write())
}

fn request_of(input: &api::ListObjectsV2Input) -> Result<ListRequest, ServiceError> {
    let limit = listing::page_size("max-keys", input.max_keys)?;
    let after = match (input.continuation_token.as_deref(), input.start_after.as_deref()) {
        (Some(token), _) => listing::from_token(token)?,
        (None, Some(key)) if !key.is_empty() => After::Key(key.to_owned()),
        _ => After::Start,
    };
    let prefix = input.prefix.clone().unwrap_or_default();
    Ok(ListRequest { prefix, delimiter: input.delimiter.clone(), after, limit })
}

/// A page of ListObjectsV2, for services of ours.
pub async fn listed(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::ListObjectsV2Input>>,
) -> Result<Page, ServiceError> {
    let OnBucket { input, bucket } = operation.into_inner();
    page(call, &bucket, request_of(&input)?).await
}

/// ListObjectsV2.
pub async fn v2(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::ListObjectsV2Input>>,
) -> Result<Response, ServiceError> {
    let OnBucket { input, bucket } = operation.into_inner();
    let names = Names::new(input.encoding_type.as_ref());
    let request = request_of(&input)?;
    let (prefix, limit) = (request.prefix.clone(), request.limit);
    let page = page(call, &bucket, request).await?;
    let with_owner = input.fetch_owner.unwrap_or(false);
    let output = api::ListObjectsV2Output {
        is_truncated: Some(page.next.is_some()),
        key_count: Some((page.entries.len() + page.prefixes.len()) as i32),
        next_continuation_token: page.next.as_ref().map(listing::token),
        continuation_token: input.continuation_token,
        start_after: names.show_some(input.start_after.as_deref()),
        name: Some(bucket.name.to_string()),
        prefix: Some(names.show(&prefix)),
        delimiter: names.show_some(input.delimiter.as_deref()),
        max_keys: Some(limit as i32),
        common_prefixes: common_prefixes(page.prefixes, names),
        encoding_type: input.encoding_type,
        contents: Some(page.entries.into_iter().map(|entry| listing::object(entry, names, with_owner)).collect()),
        ..api::ListObjectsV2Output::default()
    };
    answer::document(output.write())
}

/// ListObjectVersions.
pub async fn versions(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::ListObjectVersionsInput>>,
) -> Result<Response, ServiceError> {
    let OnBucket { input, bucket } = operation.into_inner();
    let names = Names::new(input.encoding_type.as_ref());
    let limit = listing::page_size("max-keys", input.max_keys)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let after = after_version(&input, &prefix)?;
    let request = VersionsRequest { prefix: prefix.clone(), delimiter: input.delimiter.clone(), after, limit };
    let about = About { bucket: bucket.name.as_str(), ..About::default() };
    let page = match limit {
        0 => millpond_lake::VersionsPage::default(),
        _ => call.s3.lake.list_versions(&bucket, request).await.map_err(|error| errors::from_lake(error, about))?,
    };
    let (next_key_marker, next_version_id_marker) = match &page.next {
        Some(AfterVersion::Version(key, id)) => (Some(names.show(key)), Some(id.to_string())),
        Some(AfterVersion::Key(key) | AfterVersion::Prefix(key)) => (Some(names.show(key)), None),
        Some(AfterVersion::Start) | None => (None, None),
    };
    let mut output = api::ListObjectVersionsOutput {
        is_truncated: Some(page.next.is_some()),
        key_marker: Some(names.show(input.key_marker.as_deref().unwrap_or_default())),
        version_id_marker: Some(input.version_id_marker.clone().unwrap_or_default()),
        next_key_marker,
        next_version_id_marker,
        name: Some(bucket.name.to_string()),
        prefix: Some(names.show(&prefix)),
        delimiter: names.show_some(input.delimiter.as_deref()),
        max_keys: Some(limit as i32),
        common_prefixes: common_prefixes(page.prefixes, names),
        encoding_type: input.encoding_type,
        ..api::ListObjectVersionsOutput::default()
    };
    for version in page.entries {
        let entry = version.entry;
        if version.is_marker {
            output.delete_markers.get_or_insert_default().push(api::DeleteMarkerEntry {
                owner: Some(listing::owner(entry.owner)),
                key: Some(names.show(&entry.key)),
                version_id: Some(version.id.to_string()),
                is_latest: Some(version.is_latest),
                last_modified: Some(entry.modified),
            });
            continue;
        }
        output.versions.get_or_insert_default().push(api::ObjectVersion {
            etag: Some(answer::quoted(&entry.etag)),
            checksum_algorithm: entry.checksum.map(|(algorithm, _)| vec![listing::checksum_algorithm(algorithm)]),
            checksum_type: entry.checksum.map(|(_, kind)| listing::checksum_type(kind)),
            size: i64::try_from(entry.size).ok(),
            storage_class: entry
                .storage_class
                .as_deref()
                .and_then(api::ObjectVersionStorageClass::parse)
                .or(Some(api::ObjectVersionStorageClass::Standard)),
            key: Some(names.show(&entry.key)),
            version_id: Some(version.id.to_string()),
            is_latest: Some(version.is_latest),
            last_modified: Some(entry.modified),
            owner: Some(listing::owner(bucket.owner_of(entry.owner))),
            ..api::ObjectVersion::default()
        });
    }
    answer::document(output.write())
}

fn after_version(input: &api::ListObjectVersionsInput, prefix: &str) -> Result<AfterVersion, ServiceError> {
    let key = input.key_marker.as_deref().filter(|key| !key.is_empty());
    match (key, input.version_id_marker.as_deref().filter(|id| !id.is_empty())) {
        (None, None) => Ok(AfterVersion::Start),
        (None, Some(_)) => Err(errors::invalid_argument(
            "version-id-marker",
            None,
            "A version-id marker cannot be specified without a key marker.",
        )),
        (Some(key), Some(id)) => {
            let id = VersionId::parse(id).ok_or_else(|| {
                errors::invalid_argument("version-id-marker", Some(id), "Invalid version id specified")
            })?;
            Ok(AfterVersion::Version(key.to_owned(), id))
        }
        (Some(key), None) => Ok(match listing::after_marker(Some(key), prefix, input.delimiter.as_deref()) {
            After::Prefix(prefix) => AfterVersion::Prefix(prefix),
            _ => AfterVersion::Key(key.to_owned()),
        }),
    }
}
