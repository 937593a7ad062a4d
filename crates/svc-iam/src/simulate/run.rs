//! A simulation, run page by page: each action on each resource.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millpond_api_iam::{
    EvaluationResult, OrganizationsDecisionDetail, PermissionsBoundaryDecisionDetail, PolicyEvaluationDecisionType,
    PolicySourceType, Position, ResourceSpecificResult, Statement,
};
use millpond_kernel::{Limits, Named, PolicySource, ResourceRule, ServiceError};
use millpond_policy::{Denial, Effect, Policies, Question, Reach, Verdict, decide, explain};
use millpond_types::AccountId;

use super::given::{self, Given};

/// Results of a page when nobody says otherwise (IAM API reference, MaxItems).
const PAGE: usize = 100;
/// What markers begin with.
const MARKER: &str = "simulation:";

/// A page of results.
pub(super) struct Page {
    pub results: Vec<EvaluationResult>,
    /// Where the next page begins; `None` after the last.
    pub marker: Option<String>,
}

/// Runs one page. A page of a thousand results of large policies takes a while, which no thread of the network is kept for.
pub(super) async fn page(given: Given, items: Option<i32>, marker: Option<String>) -> Result<Page, ServiceError> {
    let from = marker.as_deref().map(read_marker).transpose()?.unwrap_or_default();
    let items = items.and_then(|items| usize::try_from(items).ok()).unwrap_or(PAGE);
    let run = tokio::task::spawn_blocking(move || run(&given, from, items));
    run.await.map_err(|_| ServiceError::internal())
}

fn run(given: &Given, from: usize, items: usize) -> Page {
    let pairs = given.actions.iter().flat_map(|action| given.resources.iter().map(move |resource| (action, resource)));
    let total = given.actions.len().saturating_mul(given.resources.len());
    let results = pairs.skip(from).take(items).map(|(action, resource)| result(given, action, resource)).collect();
    let next = from.saturating_add(items);
    let marker = (next < total).then(|| URL_SAFE_NO_PAD.encode(format!("{MARKER}{next}")));
    Page { results, marker }
}

fn read_marker(marker: &str) -> Result<usize, ServiceError> {
    let text = URL_SAFE_NO_PAD.decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let at = text.as_deref().and_then(|text| text.strip_prefix(MARKER)).and_then(|number| number.parse().ok());
    at.ok_or_else(|| ServiceError::new("ValidationError", 400, "Invalid Marker."))
}

fn result(given: &Given, action: &str, resource: &str) -> EvaluationResult {
    let owner = owner(given, resource);
    let question =
        Question { principal: &given.principal, action, resource, owner, object_owner: None, context: &given.context };
    let policies = Policies {
        identity: &given.rights.identity,
        boundary: given.rights.boundary.as_ref(),
        session: None,
        service_control: &given.control,
        resource: given.resource_policy.as_ref(),
        rule: rule(given, resource),
        grants: &[],
        limits: Limits::default(),
    };
    let verdict = decide(&question, &policies);
    let decision = decision(verdict);
    let matched = matched(&question, &policies, verdict);
    let missing = missing(&question, &policies);
    let boundary = policies.boundary.map(|named| PermissionsBoundaryDecisionDetail {
        allowed_by_permissions_boundary: Some(allows(named, &question)),
    });
    let control = (!given.control.is_empty())
        .then(|| OrganizationsDecisionDetail { allowed_by_organizations: Some(control_allows(given, &question)) });
    // With a resource the details are there for it alone, empty within one account (IAM API reference, EvaluationResult).
    let details = (resource != "*").then(|| details(given, &question, &policies));
    let specific = (resource != "*").then(|| {
        vec![ResourceSpecificResult {
            eval_resource_name: resource.to_owned(),
            eval_resource_decision: decision,
            matched_statements: Some(matched.clone()),
            missing_context_values: Some(missing.clone()),
            eval_decision_details: details.clone(),
            permissions_boundary_decision_detail: boundary.clone(),
        }]
    });
    EvaluationResult {
        eval_action_name: action.to_owned(),
        eval_resource_name: Some(resource.to_owned()),
        eval_decision: decision,
        matched_statements: Some(matched),
        missing_context_values: Some(if specific.is_none() { missing } else { Vec::new() }),
        organizations_decision_detail: control,
        permissions_boundary_decision_detail: boundary,
        eval_decision_details: details,
        resource_specific_results: specific,
    }
}

/// Who owns a resource: as its ARN says, else as the request says, else the account that is simulated.
fn owner(given: &Given, resource: &str) -> AccountId {
    let named = resource.split(':').nth(4).and_then(|account| account.parse().ok());
    named.or(given.owner).unwrap_or(given.account)
}

/// Keys and roles want their own policy's word, where one is given.
fn rule(given: &Given, resource: &str) -> ResourceRule {
    let required = resource.starts_with("arn:aws:kms:") || resource.starts_with("arn:aws:iam:");
    if required && given.resource_policy.is_some() { ResourceRule::Required } else { ResourceRule::Either }
}

fn decision(verdict: Verdict) -> PolicyEvaluationDecisionType {
    match verdict {
        Verdict::Allowed => PolicyEvaluationDecisionType::Allowed,
        Verdict::Denied(Denial::Explicit(_)) => PolicyEvaluationDecisionType::ExplicitDeny,
        Verdict::Denied(Denial::Implicit(_)) => PolicyEvaluationDecisionType::ImplicitDeny,
    }
}

fn allows(named: &Named, question: &Question<'_>) -> bool {
    let says = named.policy.says(question, false);
    !says.denies && says.allows != Reach::None
}

fn control_allows(given: &Given, question: &Question<'_>) -> bool {
    let denies = |named: &Named| named.policy.says(question, false).denies;
    given.control.iter().all(|level| level.iter().any(|named| allows(named, question)) && !level.iter().any(denies))
}

/// Policies in the order in which an explanation lists them.
fn all<'a>(policies: &Policies<'a>) -> impl Iterator<Item = &'a Named> {
    let control = policies.service_control.iter().flatten();
    control.chain(policies.identity).chain(policies.resource).chain(policies.boundary)
}

/// The statements that decided: those that deny, or those that allow. None decided that nothing is allowed.
fn matched(question: &Question<'_>, policies: &Policies<'_>, verdict: Verdict) -> Vec<Statement> {
    let wanted = match verdict {
        Verdict::Allowed => Effect::Allow,
        Verdict::Denied(Denial::Explicit(_)) => Effect::Deny,
        Verdict::Denied(Denial::Implicit(_)) => return Vec::new(),
    };
    let explanation = explain(question, policies);
    let mut matched = Vec::new();
    for (named, look) in all(policies).zip(&explanation.policies) {
        for (statement, look) in named.policy.statements().iter().zip(&look.statements) {
            if look.matched && statement.effect == wanted {
                matched.push(shown(&named.source, statement));
            }
        }
    }
    matched
}

fn shown(source: &PolicySource, statement: &millpond_policy::Statement) -> Statement {
    let (id, kind) = named(source);
    let number = |place: u32| i32::try_from(place).ok();
    Statement {
        source_policy_id: Some(id),
        source_policy_type: Some(kind),
        // AWS counts from the character behind the brace that opens a statement.
        start_position: Some(Position {
            line: number(statement.start.line),
            column: number(statement.start.column.saturating_add(1)),
        }),
        end_position: Some(Position { line: number(statement.end.line), column: number(statement.end.column) }),
    }
}

/// What a policy is called, and what it belongs to.
fn named(source: &PolicySource) -> (String, PolicySourceType) {
    let last = |arn: &str| arn.rsplit('/').next().unwrap_or_default().to_owned();
    match source {
        PolicySource::Inline { of, name } => {
            let kind = of.rsplit(':').next().and_then(|holder| holder.split('/').next());
            let kind = match kind {
                Some("user") => PolicySourceType::User,
                Some("group") => PolicySourceType::Group,
                Some("role") => PolicySourceType::Role,
                _ => return (name.clone(), PolicySourceType::None),
            };
            (format!("{}_{}_{name}", kind.as_str(), last(of)), kind)
        }
        PolicySource::Managed { arn, .. } | PolicySource::Boundary { arn } | PolicySource::ServiceControl { arn } => {
            let kind = if given::is_aws(arn) { PolicySourceType::AwsManaged } else { PolicySourceType::UserManaged };
            (last(arn), kind)
        }
        PolicySource::Resource { arn } => (arn.clone(), PolicySourceType::Resource),
        PolicySource::Session { name } => (name.clone(), PolicySourceType::None),
    }
}

fn missing(question: &Question<'_>, policies: &Policies<'_>) -> Vec<String> {
    let bounded = policies.boundary.is_some();
    let keys: BTreeSet<&str> = all(policies).flat_map(|named| named.policy.missing_keys(question, bounded)).collect();
    keys.into_iter().map(str::to_owned).collect()
}

/// What each side says across accounts; nothing within one.
fn details(
    given: &Given,
    question: &Question<'_>,
    policies: &Policies<'_>,
) -> BTreeMap<String, PolicyEvaluationDecisionType> {
    let mut details = BTreeMap::new();
    if question.owner == given.account {
        return details;
    }
    let own = Question { owner: given.account, ..*question };
    let alone = Policies { resource: None, rule: ResourceRule::Either, ..*policies };
    details.insert("IAM Policy".to_owned(), decision(decide(&own, &alone)));
    let says = policies.resource.map(|named| named.policy.says(question, policies.boundary.is_some()));
    let theirs = match says.unwrap_or_default() {
        says if says.denies => PolicyEvaluationDecisionType::ExplicitDeny,
        says if says.allows != Reach::None => PolicyEvaluationDecisionType::Allowed,
        _ => PolicyEvaluationDecisionType::ImplicitDeny,
    };
    details.insert("Resource Policy".to_owned(), theirs);
    details
}
