use std::collections::BTreeMap;

use millpond_api_iam::{
    AttachmentType, ContextEntry, ContextKeyTypeEnum, EvaluationResult, InlinePolicyIdentifierType,
    PolicyEvaluationDecisionType, PolicyIdentifier, PolicyIdentifierPolicyType, PolicySourceType,
};
use millpond_kernel::PolicySource;
use millpond_policy::Policy;

use super::*;

const ME: &str = "111122223333";
const OTHER: &str = "444455556666";
const ALLOW: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
const DENY: &str = r#"{"Version":"2012-10-17","Statement":[
  {"Effect":"Allow","Action":"s3:GetObject","Resource":"*"},
  {"Sid":"no","Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::secret/*"}]}"#;

fn common(actions: &[&str], resources: &[&str]) -> Common {
    Common {
        actions: actions.iter().map(|&action| action.to_owned()).collect(),
        resources: Some(resources.iter().map(|&arn| arn.to_owned()).collect()),
        resource_policy: None,
        resource_owner: None,
        caller_arn: None,
        context: None,
        handling: None,
        boundary: None,
        control: None,
    }
}

async fn simulated(policies: &[&str], common: Common) -> Result<Vec<EvaluationResult>, String> {
    let texts: Vec<_> = policies.iter().map(|&text| text.to_owned()).collect();
    let rights = listed(&texts).map(|identity| Arc::new(Rights { identity, ..Rights::default() }));
    let given = rights.and_then(|rights| Given::new(ME.parse().unwrap(), rights, None, common));
    let page = match given {
        Ok(given) => run::page(given, None, None).await,
        Err(error) => Err(error),
    };
    page.map(|page| page.results).map_err(|error| error.code.into_owned())
}

#[tokio::test]
async fn decisions_and_their_statements() {
    use PolicyEvaluationDecisionType::{Allowed, ExplicitDeny, ImplicitDeny};
    let actions = ["s3:GetObject", "s3:PutObject"];
    let results =
        simulated(&[DENY, ALLOW], common(&actions, &["arn:aws:s3:::open/x", "arn:aws:s3:::secret/x"])).await.unwrap();
    let shown: Vec<_> = results
        .iter()
        .map(|result| {
            let statements = result.matched_statements.iter().flatten();
            let place = |p: &Option<millpond_api_iam::Position>| {
                p.as_ref().map(|p| (p.line.unwrap(), p.column.unwrap())).unwrap()
            };
            let statements: Vec<_> = statements
                .map(|s| (s.source_policy_id.clone().unwrap(), place(&s.start_position), place(&s.end_position)))
                .collect();
            (
                result.eval_action_name.as_str(),
                result.eval_resource_name.as_deref().unwrap(),
                result.eval_decision,
                statements,
            )
        })
        .collect();
    let (first, second) = ("PolicyInputList.1".to_owned(), "PolicyInputList.2".to_owned());
    let (one, two) = ((first.clone(), (2, 4), (2, 60)), (second, (1, 38), (1, 86)));
    let deny = vec![(first, (3, 4), (3, 82))];
    assert_eq!(
        shown,
        [
            ("s3:GetObject", "arn:aws:s3:::open/x", Allowed, vec![one, two.clone()]),
            ("s3:GetObject", "arn:aws:s3:::secret/x", ExplicitDeny, deny.clone()),
            ("s3:PutObject", "arn:aws:s3:::open/x", Allowed, vec![two]),
            ("s3:PutObject", "arn:aws:s3:::secret/x", ExplicitDeny, deny),
        ]
    );
    let specific = results[1].resource_specific_results.as_ref().unwrap();
    assert_eq!(specific[0].eval_resource_decision, ExplicitDeny);
    assert_eq!(results[0].eval_decision_details, Some(BTreeMap::new()));
    let any = simulated(&[ALLOW], common(&["kms:Decrypt"], &[])).await.unwrap();
    assert_eq!((any[0].eval_decision, any[0].eval_resource_name.as_deref()), (ImplicitDeny, Some("*")));
    assert!(any[0].resource_specific_results.is_none() && any[0].eval_decision_details.is_none());
    assert_eq!(any[0].matched_statements, Some(Vec::new()));
}

#[tokio::test]
async fn boundaries_and_organizations() {
    let boundary = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}"#;
    let level = |text: &str| millpond_api_iam::OrderedOrganizationPolicyType {
        service_control_policy_input_list: Some(vec![text.to_owned()]),
    };
    let given = Common {
        boundary: Some(vec![boundary.to_owned()]),
        control: Some(vec![level(ALLOW), level(DENY)]),
        ..common(&["s3:GetObject", "s3:PutObject"], &["arn:aws:s3:::open/x"])
    };
    let results = simulated(&[ALLOW], given).await.unwrap();
    let details = |result: &EvaluationResult| {
        (
            result.eval_decision.as_str(),
            result.permissions_boundary_decision_detail.as_ref().unwrap().allowed_by_permissions_boundary.unwrap(),
            result.organizations_decision_detail.as_ref().unwrap().allowed_by_organizations.unwrap(),
        )
    };
    assert_eq!(
        results.iter().map(details).collect::<Vec<_>>(),
        [("allowed", true, true), ("implicitDeny", false, false)]
    );
}

#[tokio::test]
async fn context_entries_of_every_type() {
    use ContextKeyTypeEnum as Key;
    for (operator, value, kind, values, good) in [
        ("StringEquals", r#""a""#, Key::String, vec!["a"], true),
        ("StringEquals", r#""a""#, Key::String, vec!["b"], false),
        ("ForAnyValue:StringEquals", r#""a""#, Key::StringList, vec!["b", "a"], true),
        ("NumericLessThan", "10", Key::Numeric, vec!["9"], true),
        ("ForAllValues:NumericLessThan", "10", Key::NumericList, vec!["9", "11"], false),
        ("Bool", "true", Key::Boolean, vec!["true"], true),
        ("ForAllValues:Bool", "true", Key::BooleanList, vec!["true", "true"], true),
        ("IpAddress", r#""10.0.0.0/8""#, Key::Ip, vec!["10.1.1.1"], true),
        ("ForAnyValue:IpAddress", r#""10.0.0.0/8""#, Key::IpList, vec!["11.1.1.1"], false),
        ("BinaryEquals", r#""QQ==""#, Key::Binary, vec!["QQ=="], true),
        ("ForAnyValue:BinaryEquals", r#""QQ==""#, Key::BinaryList, vec!["QUE=", "QQ=="], true),
        ("DateLessThan", r#""2026-01-01T00:00:00Z""#, Key::Date, vec!["2025-12-31T00:00:00Z"], true),
        ("ForAnyValue:DateLessThan", r#""2026-01-01T00:00:00Z""#, Key::DateList, vec!["2027-01-01T00:00:00Z"], false),
    ] {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{{"{operator}":{{"s3:key":{value}}}}}}}}}"#
        );
        let entry = ContextEntry {
            context_key_name: Some("s3:key".to_owned()),
            context_key_values: Some(values.iter().map(|&value| value.to_owned()).collect()),
            context_key_type: Some(kind),
        };
        let given = Common { context: Some(vec![entry]), ..common(&["s3:GetObject"], &[]) };
        let results = simulated(&[&policy], given).await.unwrap();
        assert_eq!(results[0].eval_decision == PolicyEvaluationDecisionType::Allowed, good, "{operator} {values:?}");
        assert_eq!(results[0].missing_context_values, Some(Vec::new()));
        let results = simulated(&[&policy], common(&["s3:GetObject"], &[])).await.unwrap();
        assert_eq!(results[0].missing_context_values, Some(vec!["s3:key".to_owned()]));
    }
}

#[tokio::test]
async fn resource_policies_within_an_account_and_across() {
    let user = format!("arn:aws:iam::{ME}:user/bob");
    let bucket = |whom: &str| {
        format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":"{whom}"}},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}}}"#
        )
    };
    let nothing = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}"#;
    for (own, whom, owner, decision, details) in [
        (nothing, user.as_str(), ME, "allowed", vec![]),
        (nothing, OTHER, ME, "implicitDeny", vec![]),
        (ALLOW, OTHER, ME, "allowed", vec![]),
        (ALLOW, &user, OTHER, "allowed", vec![("IAM Policy", "allowed"), ("Resource Policy", "allowed")]),
        (nothing, &user, OTHER, "implicitDeny", vec![("IAM Policy", "implicitDeny"), ("Resource Policy", "allowed")]),
        (ALLOW, OTHER, OTHER, "implicitDeny", vec![("IAM Policy", "allowed"), ("Resource Policy", "implicitDeny")]),
    ] {
        let given = Common {
            resource_policy: Some(bucket(whom)),
            resource_owner: Some(format!("arn:aws:iam::{owner}:root")),
            caller_arn: Some(user.clone()),
            ..common(&["s3:GetObject"], &["arn:aws:s3:::b/x"])
        };
        let results = simulated(&[own], given).await.unwrap();
        let found: Vec<_> =
            results[0].eval_decision_details.iter().flatten().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!((results[0].eval_decision.as_str(), found), (decision, details), "{whom} {owner}");
    }
}

#[tokio::test]
async fn what_is_given_is_checked() {
    let entry = |name: Option<&str>, kind: ContextKeyTypeEnum, values: &[&str]| ContextEntry {
        context_key_name: name.map(str::to_owned),
        context_key_values: Some(values.iter().map(|&value| value.to_owned()).collect()),
        context_key_type: Some(kind),
    };
    let with = |entries: Vec<ContextEntry>| Common { context: Some(entries), ..common(&["s3:GetObject"], &[]) };
    use ContextKeyTypeEnum as Key;
    for (policy, given, code) in [
        ("{", common(&["s3:GetObject"], &[]), "InvalidInput"),
        (ALLOW, common(&["s3:*"], &[]), "InvalidInput"),
        (ALLOW, common(&["GetObject"], &[]), "InvalidInput"),
        (ALLOW, common(&["s3:GetObject"], &["bucket"]), "InvalidInput"),
        (ALLOW, with(vec![entry(None, Key::String, &["a"])]), "InvalidInput"),
        (ALLOW, with(vec![entry(Some("aws:x"), Key::String, &["a", "b"])]), "InvalidInput"),
        (ALLOW, with(vec![entry(Some("aws:x"), Key::Numeric, &["a"])]), "InvalidInput"),
        (
            ALLOW,
            with(vec![entry(Some("aws:x"), Key::String, &["a"]), entry(Some("AWS:X"), Key::String, &["a"])]),
            "InvalidInput",
        ),
        (
            ALLOW,
            Common { caller_arn: Some(format!("arn:aws:iam::{ME}:role/r")), ..common(&["s3:GetObject"], &[]) },
            "InvalidInput",
        ),
        (ALLOW, Common { resource_policy: Some("{}".into()), ..common(&["s3:GetObject"], &[]) }, "InvalidInput"),
        (ALLOW, Common { resource_owner: Some("me".into()), ..common(&["s3:GetObject"], &[]) }, "InvalidInput"),
        (
            ALLOW,
            Common { boundary: Some(vec![ALLOW.into(), ALLOW.into()]), ..common(&["s3:GetObject"], &[]) },
            "InvalidInput",
        ),
        (
            ALLOW,
            Common { handling: Some("EC2-VPC-InstanceStore".into()), ..common(&["ec2:RunInstances"], &[]) },
            "NotImplemented",
        ),
    ] {
        assert_eq!(simulated(&[policy], given).await.err().as_deref(), Some(code));
    }
}

#[tokio::test]
async fn pages() {
    let given = || {
        let rights = Arc::new(Rights { identity: listed(&[ALLOW.to_owned()]).unwrap(), ..Rights::default() });
        let common = common(&["s3:A", "s3:B", "s3:C"], &["arn:aws:s3:::1", "arn:aws:s3:::2"]);
        Given::new(ME.parse().unwrap(), rights, None, common).unwrap()
    };
    let (mut marker, mut seen) = (None, Vec::new());
    loop {
        let page = run::page(given(), Some(4), marker).await.unwrap();
        seen.extend(
            page.results.into_iter().map(|result| (result.eval_action_name, result.eval_resource_name.unwrap())),
        );
        marker = page.marker;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 6);
    seen.dedup();
    assert_eq!(seen.len(), 6);
    for marker in ["x", "", "c2ltdWxhdGlvbjp4"] {
        assert!(run::page(given(), None, Some(marker.to_owned())).await.is_err());
    }
}

#[test]
fn policies_can_be_left_out() {
    let policy = Arc::new(Policy::parse(ALLOW, PolicyKind::Identity).unwrap());
    let user = format!("arn:aws:iam::{ME}:user/team/bob");
    let aws = "arn:aws:iam::aws:policy/AdministratorAccess".to_owned();
    let own = format!("arn:aws:iam::{ME}:policy/own");
    let named = |source| Named { source, policy: policy.clone() };
    let rights = Rights {
        identity: vec![
            named(PolicySource::Inline { of: user.clone(), name: "inline".into() }),
            named(PolicySource::Managed { of: user.clone(), arn: aws.clone() }),
            named(PolicySource::Managed { of: user, arn: own.clone() }),
        ],
        boundary: Some(named(PolicySource::Boundary { arn: own.clone() })),
        tags: Vec::new(),
    };
    let inline = |kind, holder: &str| {
        PolicyIdentifier::InlinePolicyIdentifier(InlinePolicyIdentifierType {
            policy_name: "inline".into(),
            attachment_type: kind,
            attachment_name: holder.into(),
        })
    };
    for (exclusion, left, bounded) in [
        (PolicyIdentifier::PolicyType(PolicyIdentifierPolicyType::Inline), 2, true),
        (PolicyIdentifier::PolicyType(PolicyIdentifierPolicyType::AwsManaged), 2, true),
        (PolicyIdentifier::PolicyType(PolicyIdentifierPolicyType::UserManaged), 2, true),
        (PolicyIdentifier::PolicyType(PolicyIdentifierPolicyType::PermissionBoundary), 3, false),
        (PolicyIdentifier::PolicyType(PolicyIdentifierPolicyType::Scp), 3, true),
        (PolicyIdentifier::PolicyArn(own), 2, false),
        (PolicyIdentifier::PolicyArn(aws), 2, true),
        (inline(AttachmentType::User, "bob"), 2, true),
        (inline(AttachmentType::Role, "bob"), 3, true),
        (inline(AttachmentType::User, "eve"), 3, true),
    ] {
        let mut rights = rights.clone();
        given::exclude(&mut rights, &exclusion);
        assert_eq!((rights.identity.len(), rights.boundary.is_some()), (left, bounded), "{exclusion:?}");
    }
}

#[test]
fn keys_are_listed_once() {
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}/*",
        "Condition":{"StringLike":{"s3:prefix":"${aws:PrincipalTag/team}","aws:UserName":"b*"}}}}"#;
    let keys = context_keys(&listed(&[text.to_owned(), ALLOW.to_owned()]).unwrap());
    assert_eq!(keys, ["aws:PrincipalTag/team", "aws:UserName", "s3:prefix"]);
    assert_eq!(PolicySourceType::None.as_str(), "none");
}
