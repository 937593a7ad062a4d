//! Why a question is answered as it is: every policy and statement that was looked at, what of it matched on which values, and the
//! smallest statement that would allow what was asked.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::action::Lowered;
use crate::condition::Condition;
use crate::decide::{decide, grant_reach, is_owners_own, is_root};
use crate::statement::{Effect, Statement};
use crate::who::Reach;
use crate::{
    Denial, Grantee, Kind, Named, Policies, PolicyKind, PolicySource, Principal, Question, ResourceRule, Verdict,
    document,
};

/// The whole of a decision.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// Who asked, as an ARN.
    pub principal: String,
    /// For which action.
    pub action: String,
    /// On which resource.
    pub resource: String,
    /// The account that owns it.
    pub owner: String,
    /// Whether it is allowed.
    pub allowed: bool,
    /// What decided, in words.
    pub reason: String,
    /// Every policy that has a say.
    pub policies: Vec<PolicyLook>,
    /// Allows of the resource's side that are no policies.
    pub grants: Vec<GrantLook>,
    /// The condition keys of the request.
    pub context: BTreeMap<String, Vec<String>>,
    /// What would allow it.
    pub suggestion: Option<Suggestion>,
}

/// A policy as it was looked at.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PolicyLook {
    /// Its kind, such as `identity-based policy`.
    pub kind: String,
    /// Where it stands.
    pub source: String,
    /// `denies`, `allows`, or `is silent`.
    pub says: String,
    /// Its statements.
    pub statements: Vec<StatementLook>,
}

/// A statement as it was looked at.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StatementLook {
    /// Its place in the policy, from 1.
    pub number: usize,
    /// Its id.
    pub sid: Option<String>,
    /// `Allow` or `Deny`.
    pub effect: String,
    /// The line of the document where it begins.
    pub line: u32,
    /// Whether it is about the request in every part.
    pub matched: bool,
    /// Whether it names the principal; `None` in policies that name none.
    pub principal: Option<bool>,
    /// Whether it names the action.
    pub action: bool,
    /// Whether it names the resource; `None` in policies that name none.
    pub resource: Option<bool>,
    /// Its conditions.
    pub conditions: Vec<ConditionLook>,
}

/// A condition as it was looked at.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ConditionLook {
    /// Its operator.
    pub operator: String,
    /// Its key.
    pub key: String,
    /// The values that it wants (or does not want).
    pub wanted: Vec<String>,
    /// The values that the request has; `None` without the key.
    pub found: Option<Vec<String>>,
    /// Whether it holds.
    pub holds: bool,
}

/// A grant as it was looked at.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GrantLook {
    /// What it is.
    pub what: String,
    /// To whom.
    pub to: String,
    /// Whether it counts for the principal.
    pub matched: bool,
}

/// What would allow it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Suggestion {
    /// Statements that would allow it if their conditions held: a request for which they do comes before any change of a policy.
    #[serde(default)]
    pub unmet: Vec<Unmet>,
    /// What to do where.
    pub what: String,
    /// The smallest statement, as JSON, where one is to be added.
    pub statement: Option<String>,
}

/// A statement that allows and fails by its conditions alone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Unmet {
    /// The statement's place in its policy, from 1.
    pub number: usize,
    /// Its id.
    pub sid: Option<String>,
    /// Where its policy stands.
    pub source: String,
    /// The conditions that do not hold.
    pub conditions: Vec<ConditionLook>,
}

impl Unmet {
    /// What to do about it; the conditions follow.
    pub fn what(&self) -> String {
        let name = self.sid.as_ref().map(|sid| format!(" ({sid})")).unwrap_or_default();
        let number = self.number;
        format!("Send a request for which these conditions of statement {number}{name} of {} hold:", self.source)
    }
}

/// Decides as [`decide`] does, and tells everything about it.
pub fn explain(question: &Question<'_>, policies: &Policies<'_>) -> Explanation {
    let verdict = decide(question, policies);
    let looks = looks(question, policies);
    let grants = policies.grants.iter().map(|grant| GrantLook {
        what: grant.what.clone(),
        to: grantee(&grant.to),
        matched: grant_reach(&grant.to, question.principal, policies) != Reach::None,
    });
    let texts = |value: &crate::ContextValue| value.texts().into_iter().map(std::borrow::Cow::into_owned).collect();
    Explanation {
        principal: question.principal.arn(),
        action: question.action.to_owned(),
        resource: question.resource.to_owned(),
        owner: question.owner.to_string(),
        allowed: verdict == Verdict::Allowed,
        reason: reason(question, verdict),
        suggestion: suggestion(question, policies, verdict, &looks),
        policies: looks,
        grants: grants.collect(),
        context: question.context.iter().map(|(key, value)| (key.to_owned(), texts(value))).collect(),
    }
}

fn grantee(to: &Grantee) -> String {
    match to {
        Grantee::Everybody => "everybody".to_owned(),
        Grantee::Authenticated => "everybody who signs".to_owned(),
        Grantee::Account(account) => format!("account {account}"),
        Grantee::Principal(arn) | Grantee::Identity { arn, .. } => arn.clone(),
    }
}

fn reason(question: &Question<'_>, verdict: Verdict) -> String {
    let foreign = question.principal.account().is_some_and(|account| account != question.owner);
    match verdict {
        Verdict::Allowed => "every kind of policy that must allow does, and none denies".to_owned(),
        Verdict::Denied(Denial::Explicit(kind)) => format!("a {} denies explicitly", kind.words()),
        Verdict::Denied(Denial::Implicit(Kind::Resource)) if foreign => {
            format!(
                "the resource belongs to another account, and no resource-based policy of it allows {}",
                question.action
            )
        }
        Verdict::Denied(Denial::Implicit(kind)) => format!("no {} allows {}", kind.words(), question.action),
    }
}

fn looks(question: &Question<'_>, policies: &Policies<'_>) -> Vec<PolicyLook> {
    let bounded = policies.boundary.is_some();
    let control = policies.service_control.iter().flatten().map(|named| (Kind::ServiceControl, named));
    let identity = policies.identity.iter().map(|named| (Kind::Identity, named));
    let resource = policies.resource.map(|named| (Kind::Resource, named));
    let boundary = policies.boundary.map(|named| (Kind::Boundary, named));
    let session = policies.session.unwrap_or_default().iter().map(|named| (Kind::Session, named));
    let all = control.chain(identity).chain(resource).chain(boundary).chain(session);
    all.map(|(kind, named)| policy_look(question, kind, named, bounded)).collect()
}

fn policy_look(question: &Question<'_>, kind: Kind, named: &Named, bounded: bool) -> PolicyLook {
    let statements: Vec<_> = (1..)
        .zip(named.policy.statements())
        .map(|(number, statement)| statement_look(question, number, statement, bounded))
        .collect();
    let says = |effect: Effect| statements.iter().any(|look| look.matched && look.effect == effect.name());
    let says = match (says(Effect::Deny), says(Effect::Allow)) {
        (true, _) if kind == Kind::Resource && is_owners_own(question) => {
            "denies, which does not bind the owner's root user here"
        }
        (true, _) => "denies",
        (false, true) => "allows",
        (false, false) => "is silent",
    };
    PolicyLook { kind: kind.words().to_owned(), source: source(&named.source), says: says.to_owned(), statements }
}

fn source(source: &PolicySource) -> String {
    match source {
        PolicySource::Inline { of, name } => format!("inline policy {name} of {of}"),
        PolicySource::Managed { of, arn } => format!("{arn}, attached to {of}"),
        PolicySource::Boundary { arn } | PolicySource::ServiceControl { arn } => arn.clone(),
        PolicySource::Session { name } => format!("session policy {name}"),
        PolicySource::Resource { arn } => format!("policy of {arn}"),
    }
}

fn statement_look(question: &Question<'_>, number: usize, statement: &Statement, bounded: bool) -> StatementLook {
    let action = Lowered::new(question.action);
    let reach = statement.who.as_ref().map(|who| who.reach(question.principal, bounded));
    let resource =
        statement.resources.as_ref().map(|them| them.matches(question.resource, question.context, statement.effect));
    let matched = action.as_ref().is_some_and(|action| statement.reach(question, action, bounded) != Reach::None);
    StatementLook {
        number,
        sid: statement.sid.clone(),
        effect: statement.effect.name().to_owned(),
        line: statement.start.line,
        matched,
        principal: reach.map(|reach| reach != Reach::None),
        action: action.is_some_and(|action| statement.actions.matches(&action)),
        resource,
        conditions: statement.conditions.iter().map(|condition| condition_look(question, condition)).collect(),
    }
}

fn condition_look(question: &Question<'_>, condition: &Condition) -> ConditionLook {
    let texts = |value: &crate::ContextValue| value.texts().into_iter().map(std::borrow::Cow::into_owned).collect();
    ConditionLook {
        operator: condition.name.clone(),
        key: condition.key.clone(),
        wanted: condition.written.clone(),
        found: question.context.get(&condition.key).map(texts),
        holds: condition.holds(question.context),
    }
}

fn suggestion(
    question: &Question<'_>,
    policies: &Policies<'_>,
    verdict: Verdict,
    looks: &[PolicyLook],
) -> Option<Suggestion> {
    let kind = match verdict {
        Verdict::Allowed => return None,
        Verdict::Denied(Denial::Explicit(kind)) => return Some(narrow(kind, policies, looks)),
        Verdict::Denied(Denial::Implicit(kind)) => kind,
    };
    if kind == Kind::Resource
        && let Some(what) = beyond_policies(question, policies)
    {
        return Some(Suggestion { unmet: Vec::new(), what, statement: None });
    }
    let what = match kind {
        Kind::Identity => format!("Add to an identity-based policy of {}:", holder(question.principal)),
        Kind::Boundary => {
            let arn = policies.boundary.map(|named| source(&named.source)).unwrap_or_default();
            format!("Add to the permissions boundary {arn}:")
        }
        Kind::Session => "Begin the session with policies that include:".to_owned(),
        Kind::ServiceControl => "Add to a service control policy of each level:".to_owned(),
        Kind::Resource => format!("Add to the policy of {}:", policy_place(question)),
    };
    let what = match (kind, policies.rule, question.principal.account()) {
        (Kind::Resource, _, Some(account)) if account != question.owner && !is_root(question.principal) => {
            format!("{what} (the identity-based policies of {account} must allow it too)")
        }
        (Kind::Identity, ResourceRule::Either, Some(account)) if account == question.owner => {
            format!("{what} (a statement in the policy of the resource that names the principal would do as well)")
        }
        _ => what,
    };
    let unmet = unmet(question, policies, kind, looks);
    Some(Suggestion { unmet, what, statement: Some(statement(question, policies, kind)) })
}

/// The statements that would allow what policies of a kind do not, but for their conditions.
fn unmet(question: &Question<'_>, policies: &Policies<'_>, kind: Kind, looks: &[PolicyLook]) -> Vec<Unmet> {
    let own = question.principal.account() == Some(question.owner)
        && question.object_owner.is_none_or(|owner| owner == question.owner);
    let bounded = policies.boundary.is_some();
    // The resource's policy does as well as the identity's where it names the identity, not just its account.
    let names_it = |number: usize| {
        let statement = policies.resource.and_then(|named| named.policy.statements().get(number.checked_sub(1)?));
        let who = statement.and_then(|statement| statement.who.as_ref());
        who.is_some_and(|who| who.reach(question.principal, bounded) >= Reach::Role)
    };
    let either = kind == Kind::Identity && own && policies.rule == ResourceRule::Either;
    let counts = |look: &PolicyLook, number: usize| {
        look.kind == kind.words() || (either && look.kind == Kind::Resource.words() && names_it(number))
    };
    let statements = looks.iter().flat_map(|look| look.statements.iter().map(move |statement| (look, statement)));
    statements
        .filter(|(look, statement)| statement.fails_by_conditions() && counts(look, statement.number))
        .map(|(look, statement)| Unmet {
            number: statement.number,
            sid: statement.sid.clone(),
            source: look.source.clone(),
            conditions: statement.conditions.iter().filter(|condition| !condition.holds).cloned().collect(),
        })
        .collect()
}

/// The resource whose policy speaks for the one that was asked for: an object's is its bucket's.
fn policy_place<'a>(question: &'a Question<'_>) -> &'a str {
    const BUCKETS: &str = "arn:aws:s3:::";
    match question.resource.strip_prefix(BUCKETS).and_then(|rest| rest.find('/')) {
        Some(slash) => &question.resource[..BUCKETS.len() + slash],
        None => question.resource,
    }
}

/// What keeps a request out that no statement of the resource's policy can let in.
fn beyond_policies(question: &Question<'_>, policies: &Policies<'_>) -> Option<String> {
    if let Some(owner) = question.object_owner.filter(|owner| *owner != question.owner) {
        return Some(format!(
            "The object belongs to account {owner}, for which the policy of the bucket does not speak: {owner} has to grant access by the \
             object's ACL."
        ));
    }
    let stranger = question.principal.account() != Some(question.owner);
    let service = matches!(question.principal, Principal::Service { .. });
    let public = policies.resource.is_some_and(|named| named.policy.is_public());
    let would_be = public || matches!(question.principal, Principal::Anonymous);
    (policies.limits.restrict_public && stranger && !service && would_be).then(|| RESTRICTED.to_owned())
}

/// The statement that allows just this.
fn statement(question: &Question<'_>, policies: &Policies<'_>, kind: Kind) -> String {
    let mut statement = serde_json::Map::new();
    statement.insert("Effect".into(), "Allow".into());
    if kind == Kind::Resource {
        let whom = match question.principal {
            Principal::Anonymous => "*".into(),
            Principal::Service { name } => serde_json::json!({ "Service": name }),
            other => serde_json::json!({ "AWS": holder(other) }),
        };
        statement.insert("Principal".into(), whom);
    }
    statement.insert("Action".into(), question.action.into());
    if !question.action.starts_with("sts:AssumeRole") || kind != Kind::Resource {
        let there = policies.resource.filter(|_| kind == Kind::Resource).map(|named| &named.policy);
        let variables = there.is_none_or(|policy| policy.has_variables());
        let any = matches!(there.map(|policy| policy.kind()), Some(PolicyKind::Bucket { .. }));
        statement.insert("Resource".into(), literal(question.resource, variables, any).into());
    }
    serde_json::Value::Object(statement).to_string()
}

/// A pattern that matches one resource alone, as far as the policy that it is for can say that: whether it has variables, and any
/// characters.
fn literal(resource: &str, variables: bool, any: bool) -> String {
    if resource == "*" {
        return resource.to_owned();
    }
    let one = |c: char| match c {
        '*' | '?' | '$' if variables => format!("${{{c}}}"),
        c if !any && !document::allowed(c) => "?".to_owned(),
        c => c.to_string(),
    };
    resource.chars().map(one).collect()
}

/// What helps against a public access block.
const RESTRICTED: &str = "The policy of the bucket is public, or would be, and its public access block (RestrictPublicBuckets) keeps other \
    accounts and those who do not sign out: make the policy one that is not public, or lift the block.";

fn narrow(kind: Kind, policies: &Policies<'_>, looks: &[PolicyLook]) -> Suggestion {
    let denying = looks.iter().filter(|look| look.kind == kind.words()).find_map(|look| {
        let statement = look.statements.iter().find(|statement| statement.matched && statement.effect == "Deny")?;
        Some((look, statement))
    });
    let what = match denying {
        Some((look, statement)) => {
            let name = statement.sid.as_ref().map(|sid| format!(" ({sid})")).unwrap_or_default();
            format!(
                "Statement {}{name} of {} denies: send a request that it is not about, or narrow it.",
                statement.number, look.source
            )
        }
        None if policies.limits.restrict_public => RESTRICTED.to_owned(),
        None => format!("Narrow the {} that denies.", kind.words()),
    };
    Suggestion { unmet: Vec::new(), what, statement: None }
}

/// Whose policies an identity's are.
fn holder(principal: &Principal) -> String {
    match principal {
        Principal::Role { .. } => principal.condition_arn(),
        Principal::Federated { user, .. } => user.arn(),
        other => other.arn(),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.allowed { "ALLOWED" } else { "DENIED" };
        writeln!(f, "{verdict}  {} on {}", self.action, self.resource)?;
        writeln!(f, "  asked by  {}", self.principal)?;
        writeln!(f, "  because   {}", self.reason)?;
        if self.policies.is_empty() && self.grants.is_empty() {
            writeln!(f, "  no policy has a say")?;
        }
        for policy in &self.policies {
            writeln!(f, "  {} - {}: {}", policy.kind, policy.source, policy.says)?;
            for statement in &policy.statements {
                statement.write(f)?;
            }
        }
        for grant in &self.grants {
            let counts = if grant.matched { "counts" } else { "does not count" };
            writeln!(f, "  {} to {}: {counts}", grant.what, grant.to)?;
        }
        if let Some(suggestion) = &self.suggestion {
            for unmet in &suggestion.unmet {
                writeln!(f, "  what would help: {}", unmet.what())?;
                for condition in &unmet.conditions {
                    writeln!(f, "    {} {} [{}]", condition.operator, condition.key, condition.wanted.join(", "))?;
                }
            }
            let head = if suggestion.unmet.is_empty() { "what would help" } else { "or without them" };
            writeln!(f, "  {head}: {}", suggestion.what)?;
            if let Some(statement) = &suggestion.statement {
                writeln!(f, "    {statement}")?;
            }
        }
        Ok(())
    }
}

impl StatementLook {
    /// Whether it would allow if its conditions held.
    fn fails_by_conditions(&self) -> bool {
        let named = self.action && self.principal != Some(false) && self.resource != Some(false);
        self.effect == Effect::Allow.name() && named && self.conditions.iter().any(|condition| !condition.holds)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.sid.as_ref().map(|sid| format!(" {sid}")).unwrap_or_default();
        let matched = if self.matched { "matches" } else { "does not match" };
        write!(f, "    {} statement {}{name} (line {}) {matched}", self.effect, self.number, self.line)?;
        let misses =
            [(self.principal, "the principal"), (Some(self.action), "the action"), (self.resource, "the resource")];
        let missed: Vec<&str> =
            misses.iter().filter(|(named, _)| *named == Some(false)).map(|(_, what)| *what).collect();
        if !missed.is_empty() {
            write!(f, ": it does not name {}", missed.join(" and "))?;
        }
        writeln!(f)?;
        // Conditions decide only where all else fits.
        for condition in self.conditions.iter().filter(|_| missed.is_empty()) {
            let holds = if condition.holds { "holds" } else { "does not hold" };
            let found = match &condition.found {
                Some(values) => values.join(", "),
                None => "absent".to_owned(),
            };
            writeln!(
                f,
                "      {} {} [{}] {holds}: it is {found}",
                condition.operator,
                condition.key,
                condition.wanted.join(", ")
            )?;
        }
        Ok(())
    }
}
