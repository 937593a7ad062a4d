//! How the policies that have a say are combined (IAM User Guide, "Policy evaluation logic" and "Cross-account policy evaluation logic").

use crate::who::{self, Reach};
use crate::{Denial, Grantee, Kind, Named, Policies, PolicySource, Principal, Question, ResourceRule, Says, Verdict};

/// What the root user of a bucket's owner may always do, whatever the bucket's policy denies (S3 API reference, PutBucketPolicy).
const OWNERS_OWN: [&str; 3] = ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"];

/// Decides.
pub fn decide(question: &Question<'_>, policies: &Policies<'_>) -> Verdict {
    let sides = Sides::of(question, policies);
    if let Some(kind) = sides.denies(question) {
        return Verdict::Denied(Denial::Explicit(kind));
    }
    match resource_side(question, policies, sides.resource.allows) {
        Err(denial) => Verdict::Denied(denial),
        Ok(reach) => combine(question, policies, reach, sides.own(question.principal)),
    }
}

/// What the policies of each kind say together. Every one of them is asked once.
struct Sides {
    /// Whether one denies, and whether each level allows.
    service_control: (bool, bool),
    identity: Says,
    resource: Says,
    boundary: Option<Says>,
    session: Option<Says>,
}

impl Sides {
    fn of(question: &Question<'_>, policies: &Policies<'_>) -> Self {
        let bounded = policies.boundary.is_some();
        let together = |list: &[Named]| {
            list.iter().map(|named| named.policy.says(question, false)).fold(Says::default(), Says::or)
        };
        let levels = policies.service_control.iter().map(|level| together(level));
        Self {
            service_control: levels.fold((false, true), |(denies, allows), says| {
                (denies || says.denies, allows && says.allows != Reach::None)
            }),
            identity: together(policies.identity),
            resource: policies.resource.map(|named| named.policy.says(question, bounded)).unwrap_or_default(),
            boundary: policies.boundary.map(|named| named.policy.says(question, false)),
            session: policies.session.map(together),
        }
    }

    /// The first kind of policy that denies explicitly.
    fn denies(&self, question: &Question<'_>) -> Option<Kind> {
        [
            (self.service_control.0, Kind::ServiceControl),
            (self.identity.denies, Kind::Identity),
            (self.resource.denies && !is_owners_own(question), Kind::Resource),
            (self.boundary.is_some_and(|says| says.denies), Kind::Boundary),
            (self.session.is_some_and(|says| says.denies), Kind::Session),
        ]
        .into_iter()
        .find(|(denies, _)| *denies)
        .map(|(_, kind)| kind)
    }

    fn own(&self, principal: &Principal) -> Own {
        let allows = |says: Says| says.allows != Reach::None;
        Own {
            service_control: self.service_control.1,
            identity: is_root(principal) || allows(self.identity),
            boundary: self.boundary.is_none_or(allows),
            session: self.session.is_none_or(allows),
        }
    }
}

/// What the identity's side says, without explicit denies.
#[derive(Clone, Copy, Debug)]
struct Own {
    service_control: bool,
    identity: bool,
    boundary: bool,
    session: bool,
}

impl Own {
    /// The first kind that does not allow.
    fn lacks(self) -> Option<Kind> {
        [
            (self.service_control, Kind::ServiceControl),
            (self.identity, Kind::Identity),
            (self.boundary, Kind::Boundary),
            (self.session, Kind::Session),
        ]
        .into_iter()
        .find(|(allows, _)| !allows)
        .map(|(_, kind)| kind)
    }
}

pub(crate) fn is_owners_own(question: &Question<'_>) -> bool {
    matches!(question.principal, Principal::Root(account) if *account == question.owner)
        && OWNERS_OWN.contains(&question.action)
}

/// Whether the identity's side is that of a root user, which needs no policies.
pub(crate) fn is_root(principal: &Principal) -> bool {
    match principal {
        Principal::Root(_) => true,
        Principal::Federated { user, .. } => is_root(user),
        _ => false,
    }
}

/// How directly the resource's side allows; an error is what a public access block makes of a public policy.
fn resource_side(question: &Question<'_>, policies: &Policies<'_>, policy: Reach) -> Result<Reach, Denial> {
    let service = matches!(question.principal, Principal::Service { .. });
    let foreign = !service && question.principal.account() != Some(question.owner);
    let mut reach = policy;
    // The owner of an object decides about it, not the owner of the bucket.
    if question.object_owner.is_some_and(|owner| owner != question.owner) {
        reach = Reach::None;
    }
    let restricted = foreign && policies.limits.restrict_public;
    if restricted && reach != Reach::None && policies.resource.is_some_and(|named| named.policy.is_public()) {
        return Err(Denial::Explicit(Kind::Resource));
    }
    let granted = policies.grants.iter().map(|grant| grant_reach(&grant.to, question.principal, policies));
    Ok(granted.max().unwrap_or_default().max(reach))
}

pub(crate) fn grant_reach(to: &Grantee, principal: &Principal, policies: &Policies<'_>) -> Reach {
    let open = !policies.limits.ignore_public_acls;
    match to {
        Grantee::Everybody if open => Reach::Direct,
        Grantee::Authenticated if open && principal.account().is_some() => Reach::Direct,
        Grantee::Account(account) if principal.account() == Some(*account) => Reach::Account,
        Grantee::Principal(arn) => who::reach_of_arn(arn, principal),
        Grantee::Identity { arn, id } => who::reach_of_bound(arn, id, principal),
        _ => Reach::None,
    }
}

fn combine(question: &Question<'_>, policies: &Policies<'_>, reach: Reach, own: Own) -> Verdict {
    let unless = |kind: Option<Kind>| kind.map_or(Verdict::Allowed, |kind| Verdict::Denied(Denial::Implicit(kind)));
    let Some(account) = question.principal.account() else {
        // Nobody's account, so that the resource's side alone decides.
        return unless((reach != Reach::Direct).then_some(Kind::Resource));
    };
    // An object that another account owns is foreign to the bucket's owner, and the bucket to the object's.
    if account != question.owner || question.object_owner.is_some_and(|owner| owner != account) {
        return unless((reach == Reach::None).then_some(Kind::Resource).or_else(|| own.lacks()));
    }
    match (reach, policies.rule) {
        (Reach::Direct, _) if own.service_control => Verdict::Allowed,
        (Reach::Role, _) => unless(Own { identity: true, ..own }.lacks()),
        (Reach::None, ResourceRule::Required) => Verdict::Denied(Denial::Implicit(Kind::Resource)),
        _ => unless(own.lacks()),
    }
}

/// The ARN of the policy whose statement denies explicitly, where AWS's messages name it: managed policies of the identity, boundaries,
/// session policies and service control policies.
pub fn denying_policy(question: &Question<'_>, policies: &Policies<'_>) -> Option<String> {
    let own = policies.service_control.iter().flatten().chain(policies.identity);
    let own = own.chain(policies.boundary).chain(policies.session.unwrap_or_default());
    let denying = own.into_iter().find(|named| named.policy.says(question, false).denies)?;
    match &denying.source {
        PolicySource::Managed { arn, .. } | PolicySource::Boundary { arn } | PolicySource::ServiceControl { arn } => {
            Some(arn.clone())
        }
        PolicySource::Session { name } if name.starts_with("arn:") => Some(name.clone()),
        PolicySource::Session { .. } | PolicySource::Inline { .. } | PolicySource::Resource { .. } => None,
    }
}
