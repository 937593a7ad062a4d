//! Objects that services of ours put and read ([`Objects`]): requests like any other, save that they come by no connection.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryStreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use millpond_api_s3 as api;
use millpond_kernel::{
    Caller, Listed, ListedPage, NewObject, ObjectReads, ObjectState, Objects, Payload, PayloadSource, RequestHead,
    ResponseBody, ServiceError, Step,
};

use millpond_lake::ListEntry;

use crate::S3;
use crate::address::{Address, encode_path};
use crate::call::Call;
use crate::listing;
use crate::ops;

/// A body that is there.
struct Whole(Option<Bytes>);

impl PayloadSource for Whole {
    fn poll_step(&mut self, _: &mut Context<'_>) -> Poll<Result<Step, ServiceError>> {
        Poll::Ready(Ok(match self.0.take().filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => Step::Chunk(bytes),
            None => Step::End(Vec::new()),
        }))
    }
}

fn head(object: &NewObject) -> Result<RequestHead, ServiceError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &object.headers {
        let value = HeaderValue::try_from(value).map_err(|_| ServiceError::internal())?;
        headers.insert(HeaderName::from_static(name), value);
    }
    let path = format!("/{}/{}", object.bucket, encode_path(&object.key));
    Ok(RequestHead { method: Method::PUT, path, query: String::new(), headers, host_bucket: None })
}

fn address(object: &NewObject) -> Address {
    Address { bucket: Some(object.bucket.clone()), key: Some(object.key.clone()) }
}

/// All of a body, as it comes.
async fn pieces(body: ResponseBody) -> Result<Vec<Bytes>, ServiceError> {
    let failed = |failed| {
        tracing::error!(%failed, "an object could not be read");
        ServiceError::internal()
    };
    match body {
        ResponseBody::Empty => Ok(Vec::new()),
        ResponseBody::Full(bytes) => Ok(vec![bytes]),
        ResponseBody::Stream { chunks, .. } => chunks.map_err(failed).try_collect().await,
    }
}

/// All of a body, in one piece.
async fn whole(body: ResponseBody) -> Result<Bytes, ServiceError> {
    let mut pieces = pieces(body).await?;
    Ok(match pieces.len() {
        0 | 1 => pieces.pop().unwrap_or_default(),
        _ => pieces.concat().into(),
    })
}

/// A read of an object with these headers.
fn read_head(method: Method, bucket: &str, key: &str, headers: HeaderMap) -> RequestHead {
    let path = format!("/{bucket}/{}", encode_path(key));
    RequestHead { method, path, query: String::new(), headers, host_bucket: None }
}

fn at(bucket: &str, key: Option<&str>) -> Address {
    Address { bucket: Some(bucket.to_owned()), key: key.map(str::to_owned) }
}

impl S3 {
    async fn check_put(&self, caller: Arc<Caller>, object: &NewObject) -> Result<(), ServiceError> {
        let head = Arc::new(head(object)?);
        let call = Call::new(self, &head, &caller, address(object))?;
        call.on_bucket::<api::GetBucketAclInput>().await?;
        call.on_object::<api::PutObjectInput>().await?;
        Ok(())
    }

    async fn get_now(
        &self,
        caller: Arc<Caller>,
        head: Arc<RequestHead>,
        bucket: &str,
        key: &str,
        most: usize,
    ) -> Result<Bytes, ServiceError> {
        let call = Call::new(self, &head, &caller, at(bucket, Some(key)))?;
        let found = ops::get::get(&call, call.on_version().await?).await?;
        match found.body {
            ResponseBody::Stream { length, .. } if length > most as u64 => {
                Err(ServiceError::new("EntityTooLarge", 400, format!("The object has more than {most} bytes.")))
            }
            body => whole(body).await,
        }
    }

    async fn put_now(&self, caller: Arc<Caller>, object: NewObject) -> Result<(), ServiceError> {
        let head = Arc::new(head(&object)?);
        let mut call = Call::new(self, &head, &caller, address(&object))?;
        let length = object.body.len() as u64;
        let payload = Payload::new(Box::new(Whole(Some(object.body))), Some(length));
        ops::put::put(&mut call, payload).await.map(drop)
    }

    async fn put_from(
        &self,
        caller: Arc<Caller>,
        object: NewObject,
        source: Box<dyn PayloadSource>,
    ) -> Result<(), ServiceError> {
        let head = Arc::new(head(&object)?);
        let mut call = Call::new(self, &head, &caller, address(&object))?;
        ops::put::put(&mut call, Payload::open(source)).await.map(drop)
    }

    async fn location_of(&self, caller: Arc<Caller>, bucket: &str, owner: Option<&str>) -> Result<(), ServiceError> {
        let mut headers = HeaderMap::new();
        if let Some(owner) = owner {
            let owner = HeaderValue::try_from(owner).map_err(|_| ServiceError::internal())?;
            headers.insert(HeaderName::from_static("x-amz-expected-bucket-owner"), owner);
        }
        let (path, query) = (format!("/{bucket}"), "location".to_owned());
        let head = Arc::new(RequestHead { method: Method::GET, path, query, headers, host_bucket: None });
        let call = Call::new(self, &head, &caller, at(bucket, None))?;
        call.on_bucket::<api::GetBucketLocationInput>().await.map(drop)
    }
}

impl Objects for S3 {
    fn may_put<'a>(&'a self, caller: Arc<Caller>, object: &'a NewObject) -> BoxFuture<'a, Result<(), ServiceError>> {
        self.check_put(caller, object).boxed()
    }

    fn put(&self, caller: Arc<Caller>, object: NewObject) -> BoxFuture<'_, Result<(), ServiceError>> {
        self.put_now(caller, object).boxed()
    }

    fn put_stream(
        &self,
        caller: Arc<Caller>,
        object: NewObject,
        source: Box<dyn PayloadSource>,
    ) -> BoxFuture<'_, Result<(), ServiceError>> {
        self.put_from(caller, object, source).boxed()
    }

    fn locate<'a>(
        &'a self,
        caller: Arc<Caller>,
        bucket: &'a str,
        owner: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), ServiceError>> {
        self.location_of(caller, bucket, owner).boxed()
    }

    fn get<'a>(
        &'a self,
        caller: Arc<Caller>,
        bucket: &'a str,
        key: &'a str,
        version: Option<&'a str>,
        most: usize,
    ) -> BoxFuture<'a, Result<Bytes, ServiceError>> {
        async move {
            let query = version.map(|version| format!("versionId={}", encode_path(version))).unwrap_or_default();
            let path = format!("/{bucket}/{}", encode_path(key));
            let head = RequestHead { method: Method::GET, path, query, headers: HeaderMap::new(), host_bucket: None };
            self.get_now(caller, Arc::new(head), bucket, key, most).await
        }
        .boxed()
    }
}

impl S3 {
    async fn read_range(
        &self,
        caller: Arc<Caller>,
        (bucket, key): (&str, &str),
        etag: &str,
        range: Range<u64>,
    ) -> Result<Vec<Bytes>, ServiceError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let mut headers = HeaderMap::new();
        let value = |text: String| HeaderValue::try_from(text).map_err(|_| ServiceError::internal());
        headers.insert(http::header::IF_MATCH, value(format!("\"{etag}\""))?);
        headers.insert(http::header::RANGE, value(format!("bytes={}-{}", range.start, range.end - 1))?);
        let head = Arc::new(read_head(Method::GET, bucket, key, headers));
        let call = Call::new(self, &head, &caller, at(bucket, Some(key)))?;
        let answer = ops::get::get(&call, call.on_version().await?).await?;
        pieces(answer.body).await
    }

    async fn state_of(&self, caller: Arc<Caller>, bucket: &str, key: &str) -> Result<ObjectState, ServiceError> {
        let head = Arc::new(read_head(Method::HEAD, bucket, key, HeaderMap::new()));
        let call = Call::new(self, &head, &caller, at(bucket, Some(key)))?;
        let operation = call.on_version::<api::HeadObjectInput>().await?;
        let version = ops::get::found(operation.get())?;
        let object = version.object().ok_or_else(ServiceError::internal)?;
        Ok(ObjectState { size: object.size, etag: object.etag.clone(), modified: version.modified })
    }

    async fn list_page(
        &self,
        caller: Arc<Caller>,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
        after: Option<&str>,
    ) -> Result<ListedPage, ServiceError> {
        let mut query = format!("list-type=2&prefix={}", encode_path(prefix));
        for (name, value) in [("delimiter", delimiter), ("continuation-token", after)] {
            if let Some(value) = value {
                query.push_str(&format!("&{name}={}", encode_path(value)));
            }
        }
        let path = format!("/{bucket}");
        let head = RequestHead { method: Method::GET, path, query, headers: HeaderMap::new(), host_bucket: None };
        let head = Arc::new(head);
        let call = Call::new(self, &head, &caller, at(bucket, None))?;
        let page = ops::list::listed(&call, call.on_bucket().await?).await?;
        let shown =
            |entry: ListEntry| Listed { key: entry.key, size: entry.size, etag: entry.etag, modified: entry.modified };
        Ok(ListedPage {
            objects: page.entries.into_iter().map(shown).collect(),
            prefixes: page.prefixes,
            next: page.next.as_ref().map(listing::token),
        })
    }
}

impl ObjectReads for S3 {
    fn get_range<'a>(
        &'a self,
        caller: Arc<Caller>,
        bucket: &'a str,
        key: &'a str,
        etag: &'a str,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Vec<Bytes>, ServiceError>> {
        self.read_range(caller, (bucket, key), etag, range).boxed()
    }

    fn head<'a>(
        &'a self,
        caller: Arc<Caller>,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<ObjectState, ServiceError>> {
        self.state_of(caller, bucket, key).boxed()
    }

    fn list<'a>(
        &'a self,
        caller: Arc<Caller>,
        bucket: &'a str,
        prefix: &'a str,
        delimiter: Option<&'a str>,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ListedPage, ServiceError>> {
        self.list_page(caller, bucket, prefix, delimiter, after).boxed()
    }
}
