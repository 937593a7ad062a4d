//! ACLs of buckets and objects, where the bucket's ownership controls let them count.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use millpond_api_s3 as api;
use millpond_kernel::{Authorized, Response, ServiceError};
use millpond_lake::{ConfigKind, Upload, Versioning};
use millpond_types::AccountId;

use crate::acl::{self, Acl};
use crate::answer;
use crate::call::Call;
use crate::errors::{self, About};
use crate::listing;
use crate::operations::{OnBucket, OnVersion};
use crate::ops::get::found;
use crate::ops::public_access::acl_with_enforced;
use crate::ops::put::set_version;
use crate::ownership::Ownership;
use crate::refused;
use crate::rules::{Site, object_acl};

/// The canned ACL that the headers name.
fn canned(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-amz-acl").map(|value| value.to_str().unwrap_or_default())
}

/// The ACL that a request asks for by its headers or document; `None` when it asks for none.
fn wanted(
    call: &Call<'_>,
    document: Option<&api::AccessControlPolicy>,
    owner: AccountId,
    bucket_owner: Option<AccountId>,
) -> Result<Option<Acl>, ServiceError> {
    let granted = Acl::from_headers(call.headers())?;
    let acl = match (canned(call.headers()), granted, document) {
        (Some(_), Some(_), _) => {
            return Err(errors::invalid_request("Specifying both Canned ACLs and Header Grants is not allowed"));
        }
        (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            return Err(ServiceError::new("UnexpectedContent", 400, "This request does not support content"));
        }
        (Some(name), None, None) => Some(Acl::canned(name, owner, bucket_owner)?),
        (None, Some(granted), None) => Some(granted),
        (None, None, Some(document)) => Some(Acl::from_document(document, owner)?),
        (None, None, None) => None,
    };
    for account in acl.iter().flat_map(Acl::accounts) {
        let exists = [call.s3.kernel.account(), owner].contains(&account)
            || call.caller.account() == Some(account)
            || call.s3.kernel.directory().is_some_and(|directory| directory.account_exists(account));
        if !exists {
            return Err(acl::invalid_id(&account.canonical_id()));
        }
    }
    Ok(acl)
}

/// Refuses a public ACL where public ACLs are blocked.
fn unless_blocked(call: &Call<'_>, bucket: &Site, action: &'static str, acl: &Acl) -> Result<(), ServiceError> {
    if bucket.block.block_acls && acl.is_public() {
        return Err(errors::blocked(
            call.caller,
            action,
            bucket.name.as_str(),
            "public access control lists (ACLs) are prevented by the BlockPublicAcls setting in S3 Block Public Access",
        ));
    }
    Ok(())
}

/// Refuses the completion of an upload that began with a public ACL, where public ACLs are blocked by now; also where ACLs do not count at
/// present, as they may again.
pub fn unless_upload_blocked(call: &Call<'_>, bucket: &Site, upload: &Upload) -> Result<(), ServiceError> {
    // One that cannot be read grants nothing.
    let acl = upload.metadata.acl.as_ref().and_then(Acl::decode);
    acl.map_or(Ok(()), |acl| unless_blocked(call, bucket, "s3:PutObject", &acl))
}

/// An object that is about to be written: who will own it, and its ACL as it is stored.
pub fn of_new_object(call: &Call<'_>, bucket: &Site) -> Result<(AccountId, Option<Bytes>), ServiceError> {
    if !bucket.rules.ownership.has_acls() {
        refused::check_acls(call.headers())?;
        return Ok((bucket.owner, None));
    }
    let given = canned(call.headers()) == Some("bucket-owner-full-control");
    let owner = match call.caller.account() {
        Some(_) if bucket.rules.ownership == Ownership::Preferred && given => bucket.owner,
        Some(writer) => writer,
        // An object has an account that owns it: nobody's is the bucket's owner's.
        None => bucket.owner,
    };
    let Some(acl) = wanted(call, None, owner, Some(bucket.owner))? else { return Ok((owner, None)) };
    unless_blocked(call, bucket, "s3:PutObject", &acl)?;
    Ok((owner, acl.encode(owner)))
}

/// The ACL of a bucket that is about to be created, whose public access will be blocked.
pub fn of_new_bucket(call: &Call<'_>, ownership: Ownership, owner: AccountId) -> Result<Option<Bytes>, ServiceError> {
    let Some(acl) = wanted(call, None, owner, None)? else { return Ok(None) };
    if !ownership.has_acls() && acl.is_shared(owner) {
        return Err(acl_with_enforced());
    }
    if acl.is_public() {
        return Err(ServiceError::new(
            "InvalidBucketAclWithBlockPublicAccessError",
            400,
            "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
        ));
    }
    Ok(acl.encode(owner))
}

/// GetBucketAcl.
pub fn get_bucket(operation: Authorized<OnBucket<api::GetBucketAclInput>>) -> Result<Response, ServiceError> {
    let bucket = &operation.get().bucket;
    let counting = bucket.rules.acl.clone().filter(|_| bucket.rules.ownership.has_acls());
    let acl = counting.unwrap_or_else(|| Acl::private(bucket.owner));
    let output = api::GetBucketAclOutput { owner: Some(listing::owner(bucket.owner)), grants: Some(acl.shown()) };
    answer::document(output.write())
}

/// GetObjectAcl.
pub fn get_object(operation: Authorized<OnVersion<api::GetObjectAclInput>>) -> Result<Response, ServiceError> {
    let version = found(operation.get())?;
    let bucket = &operation.get().target.bucket;
    let owner = bucket.owner_of(version.owner);
    let acl = object_acl(version).filter(|_| bucket.rules.ownership.has_acls());
    let acl = acl.unwrap_or_else(|| Acl::private(owner));
    let owner = Some(listing::owner(owner));
    let output = api::GetObjectAclOutput { owner, grants: Some(acl.shown()), ..Default::default() };
    let mut response = answer::document(output.write())?;
    set_version(&mut response.headers, bucket.versioning != Versioning::Unset, version.id);
    Ok(response)
}

fn missing() -> ServiceError {
    ServiceError::new("MissingSecurityHeader", 400, "Your request was missing a required header: x-amz-acl")
        .field("MissingHeaderName", "x-amz-acl")
}

/// PutBucketAcl.
pub async fn put_bucket(
    call: &Call<'_>,
    operation: Authorized<OnBucket<api::PutBucketAclInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let OnBucket { input, bucket } = operation.into_inner();
    let owner = bucket.owner;
    let acl = wanted(call, input.access_control_policy.as_ref(), owner, None)?.ok_or_else(missing)?;
    if !bucket.rules.ownership.has_acls() {
        // What holds anyhow may be said: clients such as s3cmd read an ACL and write it back.
        return if acl == Acl::private(owner) {
            Ok(answer::empty(StatusCode::OK))
        } else {
            Err(refused::acl_not_supported())
        };
    }
    unless_blocked(call, &bucket, "s3:PutBucketAcl", &acl)?;
    call.configure(&bucket, pin, ConfigKind::Acl, acl.encode(owner), "PutBucketAcl").await?;
    Ok(answer::empty(StatusCode::OK))
}

/// PutObjectAcl.
pub async fn put_object(
    call: &Call<'_>,
    operation: Authorized<OnVersion<api::PutObjectAclInput>>,
) -> Result<Response, ServiceError> {
    let pin = operation.pin();
    let operation = operation.into_inner();
    let version = found(&operation)?;
    let (target, document) = (&operation.target, operation.target.input.access_control_policy.as_ref());
    let bucket = &target.bucket;
    let owner = bucket.owner_of(version.owner);
    let acl = wanted(call, document, owner, Some(bucket.owner))?.ok_or_else(missing)?;
    if !bucket.rules.ownership.has_acls() {
        return if acl == Acl::private(owner) {
            Ok(answer::empty(StatusCode::OK))
        } else {
            Err(refused::acl_not_supported())
        };
    }
    unless_blocked(call, bucket, "s3:PutObjectAcl", &acl)?;
    let about = About { bucket: bucket.name.as_str(), key: target.key.as_str(), ..About::default() };
    call.lake(pin)
        .set_acl(bucket, version, acl.encode(owner), &call.origin("PutObjectAcl"))
        .await
        .map_err(|error| errors::from_lake(error, about))?;
    let mut response = answer::empty(StatusCode::OK);
    set_version(&mut response.headers, bucket.versioning != Versioning::Unset, version.id);
    Ok(response)
}
