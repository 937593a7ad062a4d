//! What is asked of the evaluator, and what it answers.

use std::sync::Arc;

use millpond_types::AccountId;

use crate::{Context, Policy, Principal};

/// May this principal do this to that?
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// The action, such as `s3:GetObject`.
    pub action: &'a str,
    /// The resource's ARN, or `*` for actions that have none.
    pub resource: &'a str,
    /// The account that owns the resource, and whose policies decide about other accounts.
    pub owner: AccountId,
    /// The account that owns the object itself, where that may be another than the bucket's: a bucket policy does not allow
    /// anything on an object that another account owns (S3 User Guide, "Bucket owner granting permissions to objects it does not own").
    pub object_owner: Option<AccountId>,
    /// The condition keys.
    pub context: &'a Context,
}

/// Where a policy stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PolicySource {
    /// Inline in a user, group or role.
    Inline {
        /// The ARN of the user, group or role.
        of: String,
        /// The policy's name.
        name: String,
    },
    /// Managed, attached to a user, group or role.
    Managed {
        /// The ARN of the user, group or role.
        of: String,
        /// The policy's ARN.
        arn: String,
    },
    /// A permissions boundary.
    Boundary {
        /// The policy's ARN.
        arn: String,
    },
    /// A session policy.
    Session {
        /// `inline`, or the ARN of the managed policy that was passed.
        name: String,
    },
    /// A service control policy.
    ServiceControl {
        /// The policy's ARN.
        arn: String,
    },
    /// The policy of the resource.
    Resource {
        /// The resource's ARN.
        arn: String,
    },
}

/// A policy and where it stands.
#[derive(Clone, Debug)]
pub struct Named {
    /// Where it stands.
    pub source: PolicySource,
    /// The policy.
    pub policy: Arc<Policy>,
}

/// What a resource's policy means besides those of the identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ResourceRule {
    /// In one account, the resource's policy or the identity's allows (buckets).
    #[default]
    Either,
    /// The resource's policy must allow the principal itself, or its account and then the identity's policies the rest (KMS keys, the trust of roles).
    Required,
}

/// To whom a grant is given that is no policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Grantee {
    /// Everybody, signed or not (ACL group AllUsers).
    Everybody,
    /// Everybody who signs (ACL group AuthenticatedUsers).
    Authenticated,
    /// An account (ACL canonical user): delegates, the identity's policies of that account must allow too, also in the owner's own account.
    Account(AccountId),
    /// A principal by its ARN (KMS grant): user, role, session or root. Of a user or role, whoever has the ARN; better [`Self::Identity`].
    Principal(String),
    /// A user or role by its ARN, as long as it is the one with this unique id.
    Identity {
        /// The ARN.
        arn: String,
        /// The unique id that it had when the grant was made.
        id: String,
    },
}

/// An allow of the resource's side that is no policy: an ACL's grant, a KMS grant. Only what fits the question's action is put here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// To whom.
    pub to: Grantee,
    /// What it is, in words, such as `ACL` or `grant 0c23...`.
    pub what: String,
}

/// What a public access block takes from a resource's policy and grants (S3 User Guide, "Blocking public access").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// RestrictPublicBuckets: of a public policy, allows count only for the owner's account and for services.
    pub restrict_public: bool,
    /// IgnorePublicAcls: grants to everybody and to everybody who signs do not count.
    pub ignore_public_acls: bool,
}

/// Every policy that has a say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policies<'a> {
    /// Of the identity: its own, its groups', inline and managed. A root user has none and may do everything on the identity's side.
    pub identity: &'a [Named],
    /// Its permissions boundary.
    pub boundary: Option<&'a Named>,
    /// The session's policies; `None` when there are none, so that they limit nothing.
    pub session: Option<&'a [Named]>,
    /// Service control policies, one level after the other; each level must allow. Empty: no organization.
    pub service_control: &'a [Vec<Named>],
    /// The resource's policy.
    pub resource: Option<&'a Named>,
    /// What it means.
    pub rule: ResourceRule,
    /// Grants on the resource for this action.
    pub grants: &'a [Grant],
    /// What a public access block takes away.
    pub limits: Limits,
}

/// A kind of policy, in the words of AWS's access denied messages (IAM User Guide, "Troubleshoot access denied error messages").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// `service control policy`
    ServiceControl,
    /// `resource-based policy`
    Resource,
    /// `identity-based policy`
    Identity,
    /// `permissions boundary`
    Boundary,
    /// `session policy`
    Session,
}

impl Kind {
    /// The words.
    pub fn words(self) -> &'static str {
        match self {
            Self::ServiceControl => "service control policy",
            Self::Resource => "resource-based policy",
            Self::Identity => "identity-based policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
        }
    }
}

/// Why not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Denial {
    /// A statement of this kind of policy denies.
    Explicit(Kind),
    /// No statement of this kind of policy allows.
    Implicit(Kind),
}

/// The answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// Yes.
    Allowed,
    /// No.
    Denied(Denial),
}
