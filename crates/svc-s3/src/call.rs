//! One request on its way: from its head to an operation that its caller may carry out.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use millpond_kernel::audit::{DataRecorder, Said};
use millpond_kernel::{Authorized, Caller, Epoch, Operation, Payload, Pin, RequestHead, ServiceError};
use millpond_lake::{Bucket, ConfigKind, Found, Lake, LakeError, UploadId, VersionId};
use millpond_types::{AccountId, Besides, BucketName, ObjectKey, Origin};
use millpond_wire::{ParseError, QueryPairs, RequestView};

use tokio::sync::OwnedSemaphorePermit;

use crate::address::Address;
use crate::asked::Asked;
use crate::errors::{self, About};
use crate::operations::{Input, Listing, OnBucket, OnObject, OnService, OnVersion};
use crate::public_access::PublicAccess;
use crate::rules::Site;
use crate::{S3, refused};

/// The largest XML document of a request: `CompleteMultipartUpload` with 10,000 parts and their checksums, and
/// `DeleteObjects` with 1,000 keys of 1,024 bytes in escapes, stay below it.
const MAX_DOCUMENT: usize = 8 * 1024 * 1024;
/// KiB of documents that are held at a time, over all requests: eight of the largest, thousands of the usual ones. More wait.
pub const DOCUMENTS_KIB: usize = 64 * 1024;

/// How often a request is decided when policies change while it is carried out. Each attempt takes a change that was acknowledged in between.
pub const DECIDE_ATTEMPTS: u32 = 16;

/// A request that is being carried out.
pub struct Call<'a> {
    /// The service.
    pub s3: &'a S3,
    /// The head.
    pub head: &'a Arc<RequestHead>,
    /// Who asks.
    pub caller: &'a Arc<Caller>,
    /// What is addressed.
    pub address: Address,
    /// The query.
    query: QueryPairs<'a>,
    /// The body, when the operation has a document there.
    document: Bytes,
    /// The document's share of the budget.
    memory: Option<OwnedSemaphorePermit>,
    /// The policy epoch, from before anything that decides was read.
    pin: Pin,
}

impl<'a> Call<'a> {
    /// A request whose body is not read yet. Refuses what no operation of ours carries out.
    pub fn new(
        s3: &'a S3,
        head: &'a Arc<RequestHead>,
        caller: &'a Arc<Caller>,
        address: Address,
    ) -> Result<Self, ServiceError> {
        refused::check(&head.headers)?;
        let query = QueryPairs::parse(&head.query).map_err(|error| errors::from_parse(&error))?;
        let pin = s3.kernel.epoch().now();
        Ok(Self { s3, head, caller, address, query, document: Bytes::new(), memory: None, pin })
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// What the journal keeps of the request.
    pub fn origin(&self, operation: &'static str) -> Origin {
        Origin { besides: self.recorder(operation), ..self.caller.origin(operation) }
    }

    /// What records the changes in the audit trail, where somebody wants records of operations on objects.
    fn recorder(&self, operation: &'static str) -> Option<Arc<dyn Besides>> {
        let audit = self.s3.kernel.audit().filter(|audit| audit.wants_data())?;
        let bucket = self.s3.lake.known_bucket(&self.address.bucket.as_deref()?.parse().ok()?)?;
        let (kind, said) = (crate::events::event(operation), Said::of(self.head, None));
        let place = (bucket.name.as_str(), bucket.owner);
        Some(DataRecorder::new(audit, self.caller, kind, said, place)?)
    }

    /// The request, as far as conditions ask about it.
    pub fn asked(&self) -> Asked {
        Asked::new(Arc::clone(self.head), Arc::clone(self.caller))
    }

    /// Denies who is nobody before a byte of a document is read, unless the bucket has anything that could let nobody in.
    pub async fn admit(&self, creates: bool) -> Result<(), ServiceError> {
        if !self.caller.is_anonymous() || !creates && self.bucket().await?.may_be_open() {
            return Ok(());
        }
        Err(errors::access_denied())
    }

    /// Reads the whole body, for operations that have a document in it. Documents of all requests
    /// together have a budget.
    pub async fn read_document(&mut self, mut payload: Payload, about_object: bool) -> Result<(), ServiceError> {
        let too_large = || {
            ServiceError::new("MaxMessageLengthExceeded", 400, "Your request was too large.")
                .field("MaxMessageLengthBytes", MAX_DOCUMENT.to_string())
        };
        let length = payload.length().unwrap_or(MAX_DOCUMENT as u64);
        if length > MAX_DOCUMENT as u64 {
            return Err(too_large());
        }
        let kib = u32::try_from(length / 1024 + 1).unwrap_or(DOCUMENTS_KIB as u32);
        let permit = self.s3.documents.clone().acquire_many_owned(kib).await;
        self.memory = Some(permit.map_err(|_| ServiceError::internal())?);
        self.document = payload.collect(MAX_DOCUMENT, too_large).await?;
        let end = payload.end().ok_or_else(ServiceError::internal)?;
        // It may have taken its time; nothing that decides is kept from before.
        self.pin = self.s3.kernel.epoch().now();
        crate::events::note_document(self.caller.note(), &self.document);
        crate::documents::check_digest(&self.head.headers, &self.document, &end, about_object)
    }

    /// The input, read and validated.
    pub fn input<I: Input>(&self) -> Result<I, ServiceError> {
        self.parse(I::read)
    }

    /// As [`Self::input`], for inputs that are not authorized as such.
    pub fn parse<I>(&self, read: impl FnOnce(&RequestView<'_>) -> Result<I, ParseError>) -> Result<I, ServiceError> {
        let view = RequestView {
            method: &self.head.method,
            bucket: self.address.bucket.as_deref(),
            key: self.address.key.as_deref(),
            labels: &[],
            query: &self.query,
            headers: &self.head.headers,
            body: &self.document,
        };
        read(&view).map_err(|error| errors::from_parse(&error))
    }

    /// The value of a query parameter.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        self.query.get(name)
    }

    /// The address of an object, for answers that name it.
    pub fn object_url(&self, bucket: &str, key: &str) -> String {
        let scheme = if self.caller.transport().secure { "https" } else { "http" };
        let host =
            self.head.headers.get(http::header::HOST).map(|v| v.to_str().unwrap_or_default()).unwrap_or("localhost");
        match self.head.host_bucket {
            Some(_) => format!("{scheme}://{host}/{}", crate::address::encode_path(key)),
            None => format!("{scheme}://{host}/{bucket}/{}", crate::address::encode_path(key)),
        }
    }

    /// The bucket that is addressed.
    pub async fn bucket(&self) -> Result<Site, ServiceError> {
        self.site(self.address.bucket.as_deref().unwrap_or_default(), self.expected_owner()).await
    }

    /// A bucket by its name, with what its configurations say.
    pub async fn site(&self, name: &str, expected_owner: Option<&str>) -> Result<Site, ServiceError> {
        let bucket = self.s3.bucket_of(name, expected_owner).await?;
        let rules = self.s3.rules.of(&bucket)?;
        let account = self.s3.account_block(bucket.owner)?;
        Ok(Site::new(bucket, rules, account.unwrap_or_default(), self.asked()))
    }

    /// The policy epoch that this attempt is decided at.
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// The lake, for what was decided at `pin`: nothing is committed once policies changed since.
    pub fn lake(&self, pin: Pin) -> Lake {
        self.s3.lake.provided(pin.cond())
    }

    fn expected_owner(&self) -> Option<&str> {
        self.head.headers.get("x-amz-expected-bucket-owner").map(|v| v.to_str().unwrap_or_default())
    }

    /// The key that is addressed.
    pub fn key(&self) -> Result<ObjectKey, ServiceError> {
        parse_key(self.address.key.as_deref().unwrap_or_default())
    }

    /// Learns of changes of policies that were committed meanwhile, before something is decided anew.
    pub async fn reread_policies(&mut self) -> Result<(), ServiceError> {
        let epoch = self.s3.kernel.epoch();
        epoch.refresh().await.map_err(|error| {
            tracing::error!(%error, "the policy epoch cannot be read");
            ServiceError::internal()
        })?;
        self.pin = epoch.now();
        Ok(())
    }

    /// Sets a configuration of a bucket that decisions depend on; `None` removes it. The bucket's revision keeps what was decided under the old one
    /// from being committed in the bucket, and the policy epoch does elsewhere: a copy may come out of it.
    pub async fn configure(
        &self,
        bucket: &Site,
        pin: Pin,
        kind: ConfigKind,
        value: Option<Bytes>,
        operation: &'static str,
    ) -> Result<(), ServiceError> {
        let lake = self.lake(pin).also(Epoch::raise());
        let (place, origin) = (bucket.bucket(), self.origin(operation));
        let set = async move { lake.set_config(&place, kind, value, &origin).await.map(drop) };
        let about = About { bucket: bucket.name.as_str(), ..About::default() };
        self.s3.change_policy(set).await.map_err(|error| errors::from_lake(error, about))
    }

    /// Decides, at the epoch from before the operation's resources were read.
    pub async fn authorize<O: Operation>(&self, operation: O) -> Result<Authorized<O>, ServiceError> {
        self.s3.kernel.authorize_since(self.pin, self.caller, operation).await.map_err(errors::from_refusal)
    }

    /// An operation on the service, decided.
    pub async fn on_service<I: Input>(&self) -> Result<Authorized<OnService<I>>, ServiceError> {
        let account = self.caller.account().unwrap_or(self.s3.kernel.account());
        self.authorize(OnService { input: self.input()?, account }).await
    }

    /// An operation on the bucket, decided.
    pub async fn on_bucket<I: Input>(&self) -> Result<Authorized<OnBucket<I>>, ServiceError> {
        let input = self.input()?;
        self.authorize(OnBucket { input, bucket: self.bucket().await? }).await
    }

    /// What an operation on a key is about.
    pub async fn target<I: Input>(&self, input: I) -> Result<OnObject<I>, ServiceError> {
        let key = self.key()?;
        let version = input.version().map(parse_version).transpose()?;
        let mut bucket = self.bucket().await?;
        if let Some(id) = input.upload().and_then(UploadId::parse) {
            // One that is not there is told of by the handler.
            if let Ok(upload) = self.s3.lake.upload(&bucket, &key, id).await {
                bucket.asked = bucket.asked.within_upload(upload.metadata.asked);
            }
        }
        Ok(OnObject { input, bucket, key, version })
    }

    /// An operation on a key or one of its versions, decided.
    pub async fn on_object<I: Input>(&self) -> Result<Authorized<OnObject<I>>, ServiceError> {
        let target = self.target(self.input()?).await?;
        self.authorize(target).await
    }

    /// A read of a key or one of its versions, pinned and decided.
    pub async fn on_version<I: Input>(&self) -> Result<Authorized<OnVersion<I>>, ServiceError> {
        let target = self.target::<I>(self.input()?).await?;
        let found = self.s3.look_up(&target.bucket, &target.key, target.version).await?;
        let operation = self.authorize(OnVersion { target, found }).await?;
        let OnVersion { target, found } = operation.get();
        if !matches!(found, Found::Object(_)) {
            self.may_learn_of_absence(&target.bucket).await?;
        }
        Ok(operation)
    }

    /// Only who may list a bucket learns that something is not there (S3 API reference, GetObject, "Permissions"). Who belongs to its owner
    /// is told that it is this which is lacking.
    pub async fn may_learn_of_absence(&self, bucket: &Site) -> Result<(), ServiceError> {
        let may = self.s3.kernel.would_allow(self.caller, &Listing(bucket.clone())).await;
        may.map_err(errors::from_refusal)
    }
}

impl S3 {
    /// What an account blocks for all of its buckets; `None` when it has no such configuration.
    pub fn account_block(&self, account: AccountId) -> Result<Option<PublicAccess>, ServiceError> {
        let Some(bytes) = self.lake.account_config(account, ConfigKind::PublicAccessBlock) else { return Ok(None) };
        PublicAccess::decode(&bytes).map(Some).ok_or_else(|| {
            tracing::error!(%account, "the public access block of the account cannot be read");
            ServiceError::internal()
        })
    }

    /// Makes a change that raises the policy epoch, to its end even when the request is dropped midway: else the epoch would stay behind
    /// the store.
    pub async fn change_policy(
        &self,
        change: impl Future<Output = Result<(), LakeError>> + Send + 'static,
    ) -> Result<(), LakeError> {
        let epoch = self.kernel.epoch().clone();
        let all = async move {
            let ordered = epoch.change().await;
            let changed = change.await;
            ordered.known().await?;
            changed
        };
        tokio::spawn(all).await.map_err(|error| LakeError::Internal(error.to_string()))?
    }

    /// The bucket of a name, which must belong to `expected_owner` where that is said (S3 User Guide, "Verifying bucket ownership with
    /// bucket owner condition").
    pub async fn bucket_of(&self, name: &str, expected_owner: Option<&str>) -> Result<Arc<Bucket>, ServiceError> {
        // A name that no bucket can have: AWS says InvalidBucketName on creation only, and that there is none otherwise.
        let Ok(parsed) = name.parse::<BucketName>() else { return Err(errors::no_such_bucket(name)) };
        if let Some(owner) = expected_owner.filter(|owner| owner.parse::<AccountId>().is_err()) {
            return Err(errors::no_account_id(owner));
        }
        let about = About { bucket: name, ..About::default() };
        let bucket = self.lake.bucket(&parsed).await.map_err(|error| errors::from_lake(error, about))?;
        match expected_owner {
            Some(owner) if owner != bucket.owner.as_str() => Err(errors::access_denied()),
            _ => Ok(bucket),
        }
    }

    /// What the lake has under a key.
    pub async fn look_up(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<VersionId>,
    ) -> Result<Found, ServiceError> {
        self.lake.lookup(bucket, key, version).await.map_err(|error| match error {
            LakeError::NoSuchBucket => errors::no_such_bucket(bucket.name.as_str()),
            other => {
                errors::from_lake(other, About { bucket: bucket.name.as_str(), key: key.as_str(), ..About::default() })
            }
        })
    }
}

/// A key within S3's limits.
pub fn parse_key(text: &str) -> Result<ObjectKey, ServiceError> {
    ObjectKey::new(text).map_err(|_| {
        ServiceError::new("KeyTooLongError", 400, "Your key is too long")
            .field("Size", text.len().to_string())
            .field("MaxSizeAllowed", millpond_types::MAX_KEY_BYTES.to_string())
    })
}

/// A version id of ours.
pub fn parse_version(text: &str) -> Result<VersionId, ServiceError> {
    VersionId::parse(text)
        .ok_or_else(|| errors::invalid_argument("versionId", Some(text), "Invalid version id specified"))
}
