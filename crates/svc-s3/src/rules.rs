//! What a bucket's configurations say about access: read and compiled once for each revision of the bucket.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

use millpond_kernel::{Named, PolicySource, Resource, ServiceError};
use millpond_lake::{Bucket, ConfigKind, MAX_BUCKETS, Version};
use millpond_policy::PolicyKind;
use millpond_types::{AccountId, Arn, ObjectKey};

use crate::acl::Acl;
use crate::asked::Asked;
use crate::ownership::Ownership;
use crate::public_access::PublicAccess;
use crate::stored_policy::StoredPolicy;

/// What the configurations of a bucket say.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Its policy, bound to the identities that it named when it was put.
    pub policy: Option<Named>,
    /// Its own block of public access; `None` when it has none.
    pub block: Option<PublicAccess>,
    /// Who owns objects.
    pub ownership: Ownership,
    /// Its ACL; `None` for the owner alone.
    pub acl: Option<Acl>,
}

impl Rules {
    /// Compiles. What cannot be read was accepted by another version or is damaged: then nothing is decided at all.
    fn of(bucket: &Bucket) -> Result<Self, ServiceError> {
        let unreadable = || {
            tracing::error!(bucket = bucket.name.as_str(), "a configuration of the bucket cannot be read");
            ServiceError::internal()
        };
        let mut rules = Self::default();
        if let Some(bytes) = bucket.config(ConfigKind::Policy) {
            let stored = StoredPolicy::decode(bytes).ok_or_else(unreadable)?;
            let kind = PolicyKind::Bucket { name: bucket.name.to_string() };
            let policy = stored.compile(kind).map_err(|_| unreadable())?;
            let source = PolicySource::Resource { arn: Arn::s3(bucket.name.as_str(), None).to_string() };
            rules.policy = Some(Named { source, policy: Arc::new(policy) });
        }
        if let Some(bytes) = bucket.config(ConfigKind::PublicAccessBlock) {
            rules.block = Some(PublicAccess::decode(bytes).ok_or_else(unreadable)?);
        }
        if let Some(bytes) = bucket.config(ConfigKind::Ownership) {
            rules.ownership = Ownership::decode(bytes).ok_or_else(unreadable)?;
        }
        if let Some(bytes) = bucket.config(ConfigKind::Acl) {
            rules.acl = Some(Acl::decode(bytes).ok_or_else(unreadable)?);
        }
        Ok(rules)
    }
}

/// The rules of buckets by their ids, each with the revision that it was compiled from.
#[derive(Debug, Default)]
pub struct Compiled(RwLock<HashMap<u64, (u64, Arc<Rules>)>>);

impl Compiled {
    /// The rules of a bucket as it stands.
    pub fn of(&self, bucket: &Bucket) -> Result<Arc<Rules>, ServiceError> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&bucket.id).cloned();
        if let Some((_, rules)) = known.filter(|(revision, _)| *revision == bucket.revision) {
            return Ok(rules);
        }
        let rules = Arc::new(Rules::of(bucket)?);
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Those of deleted buckets stay until there are too many.
        if all.len() >= MAX_BUCKETS * 2 {
            all.clear();
        }
        let newest = all.entry(bucket.id).or_insert_with(|| (bucket.revision, Arc::clone(&rules)));
        if newest.0 < bucket.revision {
            *newest = (bucket.revision, Arc::clone(&rules));
        }
        Ok(rules)
    }
}

/// A bucket as a request finds it, with its rules, and what the request says besides its input.
#[derive(Clone, Debug)]
pub struct Site {
    /// The bucket, as it stood when the request was decided; its row is a condition of every commit.
    bucket: Arc<Bucket>,
    /// Its rules.
    pub rules: Arc<Rules>,
    /// What is blocked, by the bucket and by its account.
    pub block: PublicAccess,
    /// The request.
    pub asked: Asked,
}

impl Deref for Site {
    type Target = Bucket;

    fn deref(&self) -> &Bucket {
        &self.bucket
    }
}

impl Site {
    /// A bucket whose account blocks `account`.
    pub fn new(bucket: Arc<Bucket>, rules: Arc<Rules>, account: PublicAccess, asked: Asked) -> Self {
        let block = rules.block.unwrap_or_default().or(account);
        Self { bucket, rules, block, asked }
    }

    /// The bucket, to be kept.
    pub fn bucket(&self) -> Arc<Bucket> {
        Arc::clone(&self.bucket)
    }

    /// Whether anything could let somebody in who is nobody: what the request's document says need not be read else.
    pub fn may_be_open(&self) -> bool {
        self.rules.policy.is_some() || self.rules.ownership.has_acls()
    }

    /// The bucket's ACL; `None` when it does not count or names the owner alone.
    fn acl(&self) -> Option<&Acl> {
        self.rules.acl.as_ref().filter(|_| self.rules.ownership.has_acls())
    }

    /// The bucket, for an action.
    pub fn resource(&self, action: &str) -> Resource {
        self.guarded(Arn::s3(self.name.as_str(), None), action)
    }

    /// A key, for an action that is about no version that exists.
    pub fn key_resource(&self, action: &str, key: &ObjectKey) -> Resource {
        self.guarded(Arn::s3(self.name.as_str(), Some(key.as_str())), action)
    }

    /// A version that exists, for an action on it: its own ACL counts, and its owner's say.
    pub fn version_resource(&self, action: &str, key: &ObjectKey, version: Option<&Version>) -> Resource {
        let mut resource = Resource::new(Arn::s3(self.name.as_str(), Some(key.as_str())), self.owner);
        resource.policy = self.rules.policy.clone();
        resource.limits = self.block.limits();
        if !self.rules.ownership.has_acls() {
            return resource;
        }
        let Some(version) = version else {
            // There is nothing to be read; who may list the bucket by its ACL learns so.
            resource.grants = self.acl().map(|acl| acl.grants("s3:ListBucket")).unwrap_or_default();
            return resource;
        };
        resource.object_owner = Some(version.owner);
        if let Some(acl) = object_acl(version) {
            resource.grants = acl.grants(action);
        } else if version.owner != self.owner {
            resource.grants = Acl::private(version.owner).grants(action);
        }
        resource
    }

    fn guarded(&self, arn: Arn, action: &str) -> Resource {
        let mut resource = Resource::new(arn, self.owner);
        resource.policy = self.rules.policy.clone();
        if let Some(acl) = self.acl() {
            resource.grants = acl.grants(action);
        }
        resource.limits = self.block.limits();
        resource
    }

    /// Who is shown as the owner of a version.
    pub fn owner_of(&self, version_owner: AccountId) -> AccountId {
        if self.rules.ownership.has_acls() { version_owner } else { self.owner }
    }
}

/// The ACL that is stored with a version. One that cannot be read grants nothing.
pub fn object_acl(version: &Version) -> Option<Acl> {
    version.object().and_then(|object| object.metadata.acl.as_ref()).map(|bytes| Acl::decode(bytes).unwrap_or_default())
}
