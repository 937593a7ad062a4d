//! The port by which services of ours put and read objects, as callers like any other: the bucket's policy, its encryption and its journal apply.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millpond_types::Timestamp;

use crate::{Caller, PayloadSource, ServiceError};

/// An object to be put.
#[derive(Clone, Debug)]
pub struct NewObject {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Headers of the request, such as `content-type` and `x-amz-acl`. Names are lower-case.
    pub headers: Vec<(&'static str, String)>,
    /// The bytes.
    pub body: Bytes,
}

/// An object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Bytes of its content.
    pub size: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// When it was put.
    pub modified: Timestamp,
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedPage {
    /// Objects, by key.
    pub objects: Vec<Listed>,
    /// What keys begin with up to the delimiter, where one was given.
    pub prefixes: Vec<String>,
    /// What the next page begins with; `None` on the last one.
    pub next: Option<String>,
}

/// What there is to know of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectState {
    /// Bytes of its content.
    pub size: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// When it was put.
    pub modified: Timestamp,
}

/// Puts and reads objects.
pub trait Objects: Send + Sync + 'static {
    /// Whether the caller may read the bucket's ACL and put the object, whose body does not matter. Nothing is put.
    ///
    /// # Errors
    /// Those of the object storage, such as `NoSuchBucket` and `AccessDenied`.
    fn may_put<'a>(&'a self, caller: Arc<Caller>, object: &'a NewObject) -> BoxFuture<'a, Result<(), ServiceError>>;

    /// Puts it; durable when it returns.
    ///
    /// # Errors
    /// As [`Self::may_put`].
    fn put(&self, caller: Arc<Caller>, object: NewObject) -> BoxFuture<'_, Result<(), ServiceError>>;

    /// Puts an object whose bytes come one after the other, from `source`; those in the object itself do not matter. Nothing is put when the
    /// source ends with an error.
    ///
    /// # Errors
    /// As [`Self::may_put`], and the source's.
    fn put_stream(
        &self,
        caller: Arc<Caller>,
        object: NewObject,
        source: Box<dyn PayloadSource>,
    ) -> BoxFuture<'_, Result<(), ServiceError>>;

    /// `s3:GetBucketLocation`: whether there is such a bucket, and the caller may know. `owner` is the account that it must belong to.
    ///
    /// # Errors
    /// `NoSuchBucket` and `AccessDenied`.
    fn locate<'a>(
        &'a self,
        caller: Arc<Caller>,
        bucket: &'a str,
        owner: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), ServiceError>>;

    /// Reads an object, or a version of it, whole.
    ///
    /// # Errors
    /// Those of the object storage, such as `NoSuchKey` and `AccessDenied`; `EntityTooLarge` for one of more than `most` bytes.
    fn get<'a>(
        &'a self,
        caller: Arc<Caller>,
        bucket: &'a str,
        key: &'a str,
        version: Option<&'a str>,
        most: usize,
    ) -> BoxFuture<'a, Result<Bytes, ServiceError>>;
}

/// Reads what tables consist of: listings and ranges, as callers like any other.
pub trait ObjectReads: Send + Sync + 'static {
    /// Reads bytes of an object while it still has this entity tag (`If-Match`), in pieces as they lie; fewer where it ends.
    ///
    /// # Errors
    /// As [`Self::get`]; `PreconditionFailed` where it is another by now, `InvalidRange` from beyond its end.
    fn get_range<'a>(
        &'a self,
        caller: Arc<Caller>,
        bucket: &'a str,
        key: &'a str,
        etag: &'a str,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Vec<Bytes>, ServiceError>>;

    /// `s3:GetObject`, as HeadObject.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn head<'a>(
        &'a self,
        caller: Arc<Caller>,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<ObjectState, ServiceError>>;

    /// A page of the objects whose keys begin with a prefix (ListObjectsV2).
    ///
    /// # Errors
    /// Those of the object storage, such as `NoSuchBucket` and `AccessDenied`.
    fn list<'a>(
        &'a self,
        caller: Arc<Caller>,
        bucket: &'a str,
        prefix: &'a str,
        delimiter: Option<&'a str>,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ListedPage, ServiceError>>;
}
