//! The operations with their resources resolved: what each touches, in the terms of policies
//! (Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3").

use millpond_api_s3 as api;
use millpond_kernel::{Access, Context, ContextValue, Operation, Resource};
use millpond_lake::{Found, Tags, VersionId};
use millpond_types::{AccountId, Arn, ObjectKey};
use millpond_wire::{ParseError, RequestView};

use crate::asked::{Asked, request_tags};
use crate::rules::Site;

/// An input of the API: read from a request, and known by its operation's name and actions.
pub trait Input: Sized + Send {
    /// The operation's name.
    const NAME: &'static str;
    /// The action that it needs.
    const ACTION: &'static str;
    /// The action that it needs when it names a version.
    const VERSION_ACTION: &'static str = Self::ACTION;

    /// Reads it from a request.
    fn read(view: &RequestView<'_>) -> Result<Self, ParseError>;

    /// The version that it names.
    fn version(&self) -> Option<&str> {
        None
    }

    /// The upload that it names.
    fn upload(&self) -> Option<&str> {
        None
    }

    /// Further actions on the same resource, such as that for tags that come with an object.
    fn further(&self, _asked: &Asked) -> Vec<&'static str> {
        Vec::new()
    }

    /// Condition keys that come from the input.
    fn keys(&self, _context: &mut Context) {}
}

/// An operation on the service itself.
#[derive(Debug)]
pub struct OnService<I> {
    /// What was asked.
    pub input: I,
    /// Whose buckets it is about.
    pub account: AccountId,
}

/// An operation on a bucket.
#[derive(Debug)]
pub struct OnBucket<I> {
    /// What was asked.
    pub input: I,
    /// The bucket, as it stood when the request was decided; its row is a condition of every commit.
    pub bucket: Site,
}

/// An operation on a key.
#[derive(Debug)]
pub struct OnObject<I> {
    /// What was asked.
    pub input: I,
    /// The bucket.
    pub bucket: Site,
    /// The key.
    pub key: ObjectKey,
    /// The version that was named.
    pub version: Option<VersionId>,
}

/// A read of an object, with the version pinned.
#[derive(Debug)]
pub struct OnVersion<I> {
    /// What was asked, and of which key.
    pub target: OnObject<I>,
    /// What the lake has there.
    pub found: Found,
}

/// A copy: a version to read, and a key to write.
#[derive(Debug)]
pub struct Copying<I> {
    /// Where it goes.
    pub target: OnObject<I>,
    /// Where it comes from.
    pub source: Site,
    /// Of which key.
    pub key: ObjectKey,
    /// The version that was named.
    pub named: Option<VersionId>,
    /// What the lake has there, pinned.
    pub found: Found,
    /// Whether the source's tags are copied too, if it has any.
    pub with_tags: bool,
}

impl<I> Copying<I> {
    /// The tags to be copied, if there are any.
    fn copied_tags(&self) -> Option<&Tags> {
        match &self.found {
            Found::Object(version) if self.with_tags => {
                version.object().map(|object| &object.tags).filter(|tags| !tags.is_empty())
            }
            _ => None,
        }
    }
}

fn on_bucket(action: &'static str, bucket: &Site) -> Access {
    Access { action, resource: bucket.resource(action) }
}

fn on_key(action: &'static str, bucket: &Site, key: &ObjectKey) -> Access {
    Access { action, resource: bucket.key_resource(action, key) }
}

fn on_found(action: &'static str, bucket: &Site, key: &ObjectKey, found: &Found) -> Access {
    let version = match found {
        Found::Object(version) => Some(version),
        Found::DeleteMarker(_) | Found::None => None,
    };
    Access { action, resource: bucket.version_resource(action, key, version) }
}

impl<I: Input> Operation for OnService<I> {
    const NAME: &'static str = I::NAME;

    fn accesses(&self) -> Vec<Access> {
        let Some(everything) = Arn::parse("arn:aws:s3:::*") else { return Vec::new() };
        vec![Access { action: I::ACTION, resource: Resource::new(everything, self.account) }]
    }

    fn context(&self, _: &Access, context: &mut Context) {
        self.input.keys(context);
    }
}

impl<I: Input> Operation for OnBucket<I> {
    const NAME: &'static str = I::NAME;

    fn accesses(&self) -> Vec<Access> {
        let further = self.input.further(&self.bucket.asked);
        std::iter::once(I::ACTION).chain(further).map(|action| on_bucket(action, &self.bucket)).collect()
    }

    fn context(&self, access: &Access, context: &mut Context) {
        self.bucket.asked.keys(access, context);
        self.input.keys(context);
    }
}

impl<I: Input> Operation for OnObject<I> {
    const NAME: &'static str = I::NAME;

    fn accesses(&self) -> Vec<Access> {
        self.actions().map(|action| on_key(action, &self.bucket, &self.key)).collect()
    }

    fn context(&self, access: &Access, context: &mut Context) {
        self.bucket.asked.keys(access, context);
        if let Some(version) = self.version {
            context.set("s3:VersionId", ContextValue::Text(version.to_string()));
        }
        self.input.keys(context);
    }
}

impl<I: Input> OnObject<I> {
    fn actions(&self) -> impl Iterator<Item = &'static str> {
        let action = if self.version.is_some() { I::VERSION_ACTION } else { I::ACTION };
        std::iter::once(action).chain(self.input.further(&self.bucket.asked))
    }
}

impl<I: Input> Operation for OnVersion<I> {
    const NAME: &'static str = I::NAME;

    fn accesses(&self) -> Vec<Access> {
        let OnObject { bucket, key, .. } = &self.target;
        self.target.actions().map(|action| on_found(action, bucket, key, &self.found)).collect()
    }

    fn context(&self, access: &Access, context: &mut Context) {
        self.target.context(access, context);
        existing_tags(&self.found, context);
    }
}

impl<I: Input> Operation for Copying<I> {
    const NAME: &'static str = I::NAME;

    fn accesses(&self) -> Vec<Access> {
        let (read, read_tags) = match self.named {
            Some(_) => ("s3:GetObjectVersion", "s3:GetObjectVersionTagging"),
            None => ("s3:GetObject", "s3:GetObjectTagging"),
        };
        let mut accesses = vec![on_found(read, &self.source, &self.key, &self.found)];
        if self.copied_tags().is_some() {
            accesses.push(on_found(read_tags, &self.source, &self.key, &self.found));
            // Tags that are copied are written, as those of a header are.
            if !self.target.input.further(&self.target.bucket.asked).contains(&PUT_TAGS) {
                accesses.push(on_key(PUT_TAGS, &self.target.bucket, &self.target.key));
            }
        }
        accesses.extend(self.target.accesses());
        accesses
    }

    fn context(&self, access: &Access, context: &mut Context) {
        // Source and target may be one key; the reads are the source's.
        if !access.action.starts_with("s3:GetObject") {
            self.target.context(access, context);
            // Tags that are copied are tags of the new object, as those of a header are.
            if let Some(tags) = self.copied_tags() {
                request_tags(tags, context);
            }
            return;
        }
        self.source.asked.keys(access, context);
        if let Some(version) = self.named {
            context.set("s3:VersionId", ContextValue::Text(version.to_string()));
        }
        existing_tags(&self.found, context);
    }
}

/// Deleting one key of a `DeleteObjects`; each is decided by itself.
#[derive(Debug)]
pub struct DeleteItem {
    /// The bucket.
    pub bucket: Site,
    /// What is deleted, under which condition.
    pub item: millpond_lake::DeleteItem,
}

impl Operation for DeleteItem {
    const NAME: &'static str = "DeleteObjects";

    fn accesses(&self) -> Vec<Access> {
        let action = if self.item.version.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
        vec![on_key(action, &self.bucket, &self.item.key)]
    }

    fn context(&self, access: &Access, context: &mut Context) {
        self.bucket.asked.keys(access, context);
        if let Some(version) = self.item.version {
            context.set("s3:VersionId", ContextValue::Text(version.to_string()));
        }
    }
}

/// A bucket to be created: there is nothing of it yet but its name.
#[derive(Debug)]
pub struct NewBucket {
    /// What was asked.
    pub input: api::CreateBucketInput,
    /// Its name.
    pub name: millpond_types::BucketName,
    /// Who will own it.
    pub owner: AccountId,
    /// The request.
    pub asked: Asked,
}

impl Operation for NewBucket {
    const NAME: &'static str = "CreateBucket";

    fn accesses(&self) -> Vec<Access> {
        let arn = Arn::s3(self.name.as_str(), None);
        let access = |action| Access { action, resource: Resource::new(arn.clone(), self.owner) };
        let mut accesses = vec![access("s3:CreateBucket")];
        if self.asked.sets_acl() {
            accesses.push(access("s3:PutBucketAcl"));
        }
        if self.input.object_ownership.is_some() {
            accesses.push(access("s3:PutBucketOwnershipControls"));
        }
        accesses
    }

    fn context(&self, access: &Access, context: &mut Context) {
        self.asked.keys(access, context);
        let configuration = self.input.create_bucket_configuration.as_ref();
        if let Some(location) = configuration.and_then(|c| c.location_constraint.as_ref()) {
            context.text("s3:LocationConstraint", location.as_str());
        }
    }
}

/// Looking whether a key is there: only who may list learns that one is not.
#[derive(Debug)]
pub struct Listing(pub Site);

impl Operation for Listing {
    const NAME: &'static str = "ListObjects";

    fn accesses(&self) -> Vec<Access> {
        vec![on_bucket("s3:ListBucket", &self.0)]
    }

    fn context(&self, access: &Access, context: &mut Context) {
        self.0.asked.keys(access, context);
    }
}

/// An operation on an account's own public access block.
#[derive(Debug)]
pub struct OnAccount {
    /// The action.
    pub action: &'static str,
    /// The account.
    pub account: AccountId,
    /// The request.
    pub asked: Asked,
}

impl Operation for OnAccount {
    const NAME: &'static str = "PublicAccessBlock";

    fn accesses(&self) -> Vec<Access> {
        vec![Access { action: self.action, resource: Resource::new(Arn::any(), self.account) }]
    }

    fn context(&self, access: &Access, context: &mut Context) {
        self.asked.keys(access, context);
    }
}

fn existing_tags(found: &Found, context: &mut Context) {
    let Found::Object(version) = found else { return };
    for (key, value) in version.object().iter().flat_map(|object| &object.tags) {
        context.set(format!("s3:ExistingObjectTag/{key}"), ContextValue::Text(value.clone()));
    }
}

/// Says for inputs which actions they need.
macro_rules! inputs {
    ($($input:ident: $name:literal, $action:literal $(, version $version:literal)? $(, { $($extra:tt)* })?;)*) => {
        $(impl Input for api::$input {
            const NAME: &'static str = $name;
            const ACTION: &'static str = $action;
            $(
                const VERSION_ACTION: &'static str = $version;

                fn version(&self) -> Option<&str> {
                    self.version_id.as_deref()
                }
            )?

            fn read(view: &RequestView<'_>) -> Result<Self, ParseError> {
                api::$input::parse(view)
            }

            $($($extra)*)?
        })*
    };
}

/// Writing tags.
const PUT_TAGS: &str = "s3:PutObjectTagging";

/// Tags and an ACL that come with an object need their own permissions.
fn with_object(tags: Option<&String>, asked: &Asked) -> Vec<&'static str> {
    let mut further = Vec::new();
    if tags.is_some() {
        further.push(PUT_TAGS);
    }
    if asked.sets_acl() {
        further.push("s3:PutObjectAcl");
    }
    further
}

/// The keys of tags in a header. One that cannot be read is refused later.
fn header_tags(header: Option<&String>, context: &mut Context) {
    if let Some(tags) = header.and_then(|header| crate::tags::from_header(header).ok()) {
        request_tags(&tags, context);
    }
}

fn listing_keys(context: &mut Context, prefix: Option<&String>, delimiter: Option<&String>, max_keys: Option<i32>) {
    context.set("s3:prefix", ContextValue::Text(prefix.cloned().unwrap_or_default()));
    if let Some(delimiter) = delimiter {
        context.set("s3:delimiter", ContextValue::Text(delimiter.clone()));
    }
    if let Some(max_keys) = max_keys {
        context.set("s3:max-keys", ContextValue::Number(f64::from(max_keys)));
    }
}

inputs! {
    ListBucketsInput: "ListBuckets", "s3:ListAllMyBuckets";

    HeadBucketInput: "HeadBucket", "s3:ListBucket";
    DeleteBucketInput: "DeleteBucket", "s3:DeleteBucket";
    GetBucketLocationInput: "GetBucketLocation", "s3:GetBucketLocation";
    GetBucketVersioningInput: "GetBucketVersioning", "s3:GetBucketVersioning";
    PutBucketVersioningInput: "PutBucketVersioning", "s3:PutBucketVersioning";
    GetBucketTaggingInput: "GetBucketTagging", "s3:GetBucketTagging";
    PutBucketTaggingInput: "PutBucketTagging", "s3:PutBucketTagging";
    DeleteBucketTaggingInput: "DeleteBucketTagging", "s3:PutBucketTagging";
    GetBucketAclInput: "GetBucketAcl", "s3:GetBucketAcl";
    PutBucketAclInput: "PutBucketAcl", "s3:PutBucketAcl";
    GetBucketCorsInput: "GetBucketCors", "s3:GetBucketCORS";
    GetBucketEncryptionInput: "GetBucketEncryption", "s3:GetEncryptionConfiguration";
    PutBucketEncryptionInput: "PutBucketEncryption", "s3:PutEncryptionConfiguration";
    DeleteBucketEncryptionInput: "DeleteBucketEncryption", "s3:PutEncryptionConfiguration";
    GetBucketLifecycleConfigurationInput: "GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration";
    GetBucketPolicyInput: "GetBucketPolicy", "s3:GetBucketPolicy";
    PutBucketPolicyInput: "PutBucketPolicy", "s3:PutBucketPolicy";
    DeleteBucketPolicyInput: "DeleteBucketPolicy", "s3:DeleteBucketPolicy";
    GetBucketPolicyStatusInput: "GetBucketPolicyStatus", "s3:GetBucketPolicyStatus";
    GetBucketWebsiteInput: "GetBucketWebsite", "s3:GetBucketWebsite";
    GetBucketReplicationInput: "GetBucketReplication", "s3:GetReplicationConfiguration";
    GetBucketLoggingInput: "GetBucketLogging", "s3:GetBucketLogging";
    GetBucketNotificationConfigurationInput: "GetBucketNotificationConfiguration", "s3:GetBucketNotification";
    PutBucketNotificationConfigurationInput: "PutBucketNotificationConfiguration", "s3:PutBucketNotification";
    GetBucketRequestPaymentInput: "GetBucketRequestPayment", "s3:GetBucketRequestPayment";
    GetBucketAccelerateConfigurationInput: "GetBucketAccelerateConfiguration", "s3:GetAccelerateConfiguration";
    GetBucketOwnershipControlsInput: "GetBucketOwnershipControls", "s3:GetBucketOwnershipControls";
    GetPublicAccessBlockInput: "GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock";
    PutPublicAccessBlockInput: "PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock";
    DeletePublicAccessBlockInput: "DeletePublicAccessBlock", "s3:PutBucketPublicAccessBlock";
    PutBucketOwnershipControlsInput: "PutBucketOwnershipControls", "s3:PutBucketOwnershipControls";
    DeleteBucketOwnershipControlsInput: "DeleteBucketOwnershipControls", "s3:PutBucketOwnershipControls";
    GetObjectLockConfigurationInput: "GetObjectLockConfiguration", "s3:GetBucketObjectLockConfiguration";
    ListBucketAnalyticsConfigurationsInput: "ListBucketAnalyticsConfigurations", "s3:GetAnalyticsConfiguration";
    ListBucketMetricsConfigurationsInput: "ListBucketMetricsConfigurations", "s3:GetMetricsConfiguration";
    ListBucketInventoryConfigurationsInput: "ListBucketInventoryConfigurations", "s3:GetInventoryConfiguration";
    ListBucketIntelligentTieringConfigurationsInput: "ListBucketIntelligentTieringConfigurations", "s3:GetIntelligentTieringConfiguration";
    GetBucketAnalyticsConfigurationInput: "GetBucketAnalyticsConfiguration", "s3:GetAnalyticsConfiguration";
    GetBucketMetricsConfigurationInput: "GetBucketMetricsConfiguration", "s3:GetMetricsConfiguration";
    GetBucketInventoryConfigurationInput: "GetBucketInventoryConfiguration", "s3:GetInventoryConfiguration";
    GetBucketIntelligentTieringConfigurationInput: "GetBucketIntelligentTieringConfiguration", "s3:GetIntelligentTieringConfiguration";

    ListObjectsInput: "ListObjects", "s3:ListBucket", {
        fn keys(&self, context: &mut Context) {
            listing_keys(context, self.prefix.as_ref(), self.delimiter.as_ref(), self.max_keys);
        }
    };
    ListObjectsV2Input: "ListObjectsV2", "s3:ListBucket", {
        fn keys(&self, context: &mut Context) {
            listing_keys(context, self.prefix.as_ref(), self.delimiter.as_ref(), self.max_keys);
        }
    };
    ListObjectVersionsInput: "ListObjectVersions", "s3:ListBucketVersions", {
        fn keys(&self, context: &mut Context) {
            listing_keys(context, self.prefix.as_ref(), self.delimiter.as_ref(), self.max_keys);
        }
    };
    ListMultipartUploadsInput: "ListMultipartUploads", "s3:ListBucketMultipartUploads";

    PutObjectInput: "PutObject", "s3:PutObject", {
        fn further(&self, asked: &Asked) -> Vec<&'static str> {
            with_object(self.tagging.as_ref(), asked)
        }

        fn keys(&self, context: &mut Context) {
            header_tags(self.tagging.as_ref(), context);
        }
    };
    GetObjectInput: "GetObject", "s3:GetObject", version "s3:GetObjectVersion";
    HeadObjectInput: "HeadObject", "s3:GetObject", version "s3:GetObjectVersion";
    GetObjectAttributesInput: "GetObjectAttributes", "s3:GetObjectAttributes", version "s3:GetObjectVersionAttributes", {
        fn further(&self, _asked: &Asked) -> Vec<&'static str> {
            if self.version_id.is_some() { vec!["s3:GetObjectVersion"] } else { vec!["s3:GetObject"] }
        }
    };
    DeleteObjectInput: "DeleteObject", "s3:DeleteObject", version "s3:DeleteObjectVersion";
    CopyObjectInput: "CopyObject", "s3:PutObject", {
        fn further(&self, asked: &Asked) -> Vec<&'static str> {
            with_object(self.tagging.as_ref(), asked)
        }

        fn keys(&self, context: &mut Context) {
            header_tags(self.tagging.as_ref(), context);
        }
    };
    GetObjectTaggingInput: "GetObjectTagging", "s3:GetObjectTagging", version "s3:GetObjectVersionTagging";
    PutObjectTaggingInput: "PutObjectTagging", "s3:PutObjectTagging", version "s3:PutObjectVersionTagging", {
        fn keys(&self, context: &mut Context) {
            request_tags(&self.tagging.tag_set.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect(), context);
        }
    };
    DeleteObjectTaggingInput: "DeleteObjectTagging", "s3:DeleteObjectTagging", version "s3:DeleteObjectVersionTagging";
    GetObjectAclInput: "GetObjectAcl", "s3:GetObjectAcl", version "s3:GetObjectVersionAcl";
    PutObjectAclInput: "PutObjectAcl", "s3:PutObjectAcl", version "s3:PutObjectVersionAcl";
    GetObjectLegalHoldInput: "GetObjectLegalHold", "s3:GetObjectLegalHold";
    GetObjectRetentionInput: "GetObjectRetention", "s3:GetObjectRetention";
    CreateMultipartUploadInput: "CreateMultipartUpload", "s3:PutObject", {
        fn further(&self, asked: &Asked) -> Vec<&'static str> {
            with_object(self.tagging.as_ref(), asked)
        }

        fn keys(&self, context: &mut Context) {
            header_tags(self.tagging.as_ref(), context);
        }
    };
    UploadPartInput: "UploadPart", "s3:PutObject", {
        fn upload(&self) -> Option<&str> {
            Some(&self.upload_id)
        }
    };
    UploadPartCopyInput: "UploadPartCopy", "s3:PutObject", {
        fn upload(&self) -> Option<&str> {
            Some(&self.upload_id)
        }
    };
    CompleteMultipartUploadInput: "CompleteMultipartUpload", "s3:PutObject", {
        fn upload(&self) -> Option<&str> {
            Some(&self.upload_id)
        }
    };
    AbortMultipartUploadInput: "AbortMultipartUpload", "s3:AbortMultipartUpload";
    ListPartsInput: "ListParts", "s3:ListMultipartUploadParts";
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderMap, HeaderName, Method};
    use millpond_kernel::{Principal, RequestHead, testing};
    use millpond_lake::{Body, Bucket, Metadata, Object, Version, VersionKind, Versioning};
    use millpond_types::Timestamp;
    use millpond_wire::QueryPairs;

    use super::*;

    const OWNER: &str = "123456789012";

    fn bucket(name: &str) -> Site {
        let (path, query) = ("/target/new".to_owned(), String::new());
        let head = RequestHead { method: Method::PUT, path, query, headers: HeaderMap::new(), host_bucket: None };
        let caller = testing::caller(Principal::Root(OWNER.parse().unwrap()));
        let asked = Asked::new(Arc::new(head), Arc::new(caller));
        let bucket = Arc::new(Bucket {
            name: name.parse().unwrap(),
            id: 1,
            owner: OWNER.parse().unwrap(),
            created: Timestamp(0),
            region: "us-east-1".parse().unwrap(),
            versioning: Versioning::Enabled,
            tags: None,
            revision: 0,
            configs: Arc::default(),
        });
        Site::new(bucket, Arc::default(), Default::default(), asked)
    }

    fn version(tags: &[(&str, &str)]) -> Version {
        let object = Object {
            size: 0,
            etag: "e".to_owned(),
            metadata: Metadata::default(),
            tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            checksum: None,
            parts: None,
            body: Body::Empty,
            encrypted: None,
        };
        Version {
            bucket: 1,
            key: ObjectKey::new("old").unwrap(),
            id: VersionId::Null,
            stamp: 1,
            modified: Timestamp(0),
            owner: OWNER.parse().unwrap(),
            kind: VersionKind::Object(Box::new(object)),
        }
    }

    /// A copy of `source/old` to `target/new`, whose request names new tags or does not.
    fn copy(found: Found, named: Option<VersionId>, with_tags: bool, new_tags: bool) -> Copying<api::CopyObjectInput> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-copy-source", "source/old".parse().unwrap());
        if new_tags {
            headers.insert(HeaderName::from_static("x-amz-tagging"), "new=1".parse().unwrap());
        }
        let view = RequestView {
            method: &Method::PUT,
            bucket: Some("target"),
            key: Some("new"),
            labels: &[],
            query: &QueryPairs::parse("").unwrap(),
            headers: &headers,
            body: &bytes::Bytes::new(),
        };
        let input = api::CopyObjectInput::parse(&view).unwrap();
        let key = ObjectKey::new("new").unwrap();
        Copying {
            target: OnObject { input, bucket: bucket("target"), key, version: None },
            source: bucket("source"),
            key: ObjectKey::new("old").unwrap(),
            named,
            found,
            with_tags,
        }
    }

    const OLD: &str = "arn:aws:s3:::source/old";
    const NEW: &str = "arn:aws:s3:::target/new";

    #[test]
    fn a_copy_asks_for_what_it_reads_and_for_what_it_writes() {
        let (tagged, plain) = (version(&[("a", "1")]), version(&[]));
        let id = VersionId::parse(&"7".repeat(32));
        let read = ("s3:GetObject", OLD);
        let write = ("s3:PutObject", NEW);
        for (found, named, with_tags, new_tags, expected) in [
            (Found::Object(plain.clone()), None, true, false, vec![read, write]),
            (Found::None, None, true, false, vec![read, write]),
            (Found::DeleteMarker(plain.clone()), None, true, false, vec![read, write]),
            // Tags that come along are read and written.
            (
                Found::Object(tagged.clone()),
                None,
                true,
                false,
                vec![read, ("s3:GetObjectTagging", OLD), ("s3:PutObjectTagging", NEW), write],
            ),
            (
                Found::Object(tagged.clone()),
                id,
                true,
                false,
                vec![
                    ("s3:GetObjectVersion", OLD),
                    ("s3:GetObjectVersionTagging", OLD),
                    ("s3:PutObjectTagging", NEW),
                    write,
                ],
            ),
            // Tags of the request's own are written; the source's are not read.
            (Found::Object(tagged.clone()), None, false, true, vec![read, write, ("s3:PutObjectTagging", NEW)]),
            // Tags that are dropped are neither.
            (Found::Object(tagged), None, false, false, vec![read, write]),
        ] {
            let accesses = copy(found, named, with_tags, new_tags).accesses();
            let asked: Vec<_> = accesses.iter().map(|a| (a.action, a.resource.arn.to_string())).collect();
            let expected: Vec<_> = expected.into_iter().map(|(action, arn)| (action, arn.to_owned())).collect();
            assert_eq!(asked, expected, "{named:?} {with_tags} {new_tags}");
        }
    }

    #[test]
    fn condition_keys_of_a_copy_are_the_sources_for_its_reads_alone() {
        let id = VersionId::parse(&"7".repeat(32));
        let operation = copy(Found::Object(version(&[("a", "1")])), id, true, false);
        for access in operation.accesses() {
            let mut context = Context::default();
            operation.context(&access, &mut context);
            let reads = access.resource.arn.to_string() == OLD;
            let text = |value: &str| reads.then(|| ContextValue::Text(value.to_owned()));
            assert_eq!(context.get("s3:ExistingObjectTag/a"), text("1").as_ref(), "{}", access.action);
            assert_eq!(context.get("s3:VersionId"), text(&"7".repeat(32)).as_ref(), "{}", access.action);
            // What is copied is what the new object is asked to have.
            let new = (!reads).then(|| ContextValue::Text("1".to_owned()));
            assert_eq!(context.get("s3:RequestObjectTag/a"), new.as_ref(), "{}", access.action);
            assert_eq!(context.get("s3:RequestObjectTagKeys").is_some(), !reads, "{}", access.action);
        }
    }
}
