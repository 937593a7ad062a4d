//! What an operation touches, in the terms that policies speak.

use millpond_policy::{Context, Grant, Limits, Named, ResourceRule};
use millpond_types::{AccountId, Arn};

/// A resource as policies see it, with what its own side has to say.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its ARN.
    pub arn: Arn,
    /// The account that owns it.
    pub owner: AccountId,
    /// The account that owns the object itself, where that may be another than the bucket's.
    pub object_owner: Option<AccountId>,
    /// Its policy.
    pub policy: Option<Named>,
    /// What its policy means.
    pub rule: ResourceRule,
    /// What a public access block takes away.
    pub limits: Limits,
    /// Grants for the access's action that are no policy: of an ACL, of a key.
    pub grants: Vec<Grant>,
}

impl Resource {
    /// A resource without policy or grants.
    pub fn new(arn: Arn, owner: AccountId) -> Self {
        let (rule, limits) = (ResourceRule::default(), Limits::default());
        Self { arn, owner, object_owner: None, policy: None, rule, limits, grants: Vec::new() }
    }
}

/// One thing that an operation does to one resource.
#[derive(Clone, Debug)]
pub struct Access {
    /// The action, such as `s3:GetObject` (Service Authorization Reference).
    pub action: &'static str,
    /// On what.
    pub resource: Resource,
}

/// An operation whose input is valid and whose resources are resolved, with the versions it will work on pinned.
pub trait Operation: Send {
    /// The API's name for it, such as `GetObject`.
    const NAME: &'static str;

    /// Every access that it needs; all must be allowed.
    fn accesses(&self) -> Vec<Access>;

    /// Adds the service's own condition keys for one of its accesses. Called only when a policy is to be evaluated.
    fn context(&self, access: &Access, context: &mut Context);

    /// As [`Self::context`], with the place of the access among those of [`Self::accesses`]: for operations that have the same action on the same
    /// resource twice, and each time in another way.
    fn context_at(&self, _place: usize, access: &Access, context: &mut Context) {
        self.context(access, context);
    }
}
