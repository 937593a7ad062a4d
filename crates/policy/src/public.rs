//! Whether a policy lets the public in (S3 User Guide, "The meaning of public"): it is taken for public unless every statement that allows
//! is confined to fixed values.

use crate::condition::{Condition, Family};
use crate::policy::Policy;
use crate::statement::{Effect, Statement};
use crate::who::Name;

/// Keys whose fixed values confine a statement.
const CONFINING: [&str; 12] = [
    "aws:sourcearn",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:sourceowner",
    "aws:sourceaccount",
    "aws:userid",
    "aws:principalorgid",
    "aws:principalaccount",
    "aws:principalarn",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:dataaccesspointarn",
    "s3:dataaccesspointaccount",
];
/// Wider ranges of addresses than these are the public.
const WIDEST_V4: u8 = 8;
/// The same for IPv6.
const WIDEST_V6: u8 = 32;

impl Policy {
    /// Whether it lets the public in.
    pub fn is_public(&self) -> bool {
        self.statements().iter().any(|statement| statement.effect == Effect::Allow && is_open(statement))
    }
}

fn is_open(statement: &Statement) -> bool {
    let Some(who) = &statement.who else { return false };
    let named = |name: &Name| match name {
        Name::Account(_)
        | Name::Identity { .. }
        | Name::Session(_)
        | Name::Id(_)
        | Name::Service(_)
        | Name::Canonical(_) => true,
        Name::Everybody | Name::Federated(_) => false,
    };
    if !who.negated && who.names.iter().all(named) {
        return false;
    }
    !statement.conditions.iter().any(confines)
}

fn confines(condition: &Condition) -> bool {
    let operator = condition.operator;
    // What holds without the key, or by being other than named, confines nobody.
    if operator.negated || operator.if_exists || operator.quantifier.is_some() {
        return false;
    }
    let key = condition.key.to_ascii_lowercase();
    if operator.family == Family::Ip && key == "aws:sourceip" {
        return condition.networks().all(|network| {
            network.is_private() || network.prefix >= if network.is_v4() { WIDEST_V4 } else { WIDEST_V6 }
        });
    }
    let texts = matches!(operator.family, Family::String | Family::Caseless | Family::Like | Family::Arn);
    texts && CONFINING.contains(&key.as_str()) && condition.written.iter().all(|value| is_fixed(value))
}

/// Whether a value means one account, principal or network. `anonymous` is the id and the account of everybody who does not sign.
fn is_fixed(value: &str) -> bool {
    !value.contains(['*', '?']) && !value.contains("${") && !value.eq_ignore_ascii_case("anonymous")
}

#[cfg(test)]
mod tests {
    use crate::{Policy, PolicyKind};

    #[test]
    fn what_is_public() {
        let statement = |principal: &str, condition: &str| {
            format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{principal},"Action":"s3:GetObject",
                "Resource":"arn:aws:s3:::b/*","Condition":{condition}}}]}}"#
            )
        };
        for (principal, condition, public) in [
            ("\"*\"", "{}", true),
            (r#"{"AWS":"*"}"#, "{}", true),
            (r#"{"AWS":["111122223333","*"]}"#, "{}", true),
            (r#"{"AWS":"111122223333"}"#, "{}", false),
            (r#"{"AWS":"arn:aws:iam::111122223333:role/r"}"#, "{}", false),
            (r#"{"Service":"cloudtrail.amazonaws.com"}"#, "{}", false),
            (r#"{"Federated":"idp"}"#, "{}", true),
            ("\"*\"", r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, false),
            ("\"*\"", r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/1"}}"#, true),
            ("\"*\"", r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","::/0"]}}"#, true),
            ("\"*\"", r#"{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, true),
            ("\"*\"", r#"{"StringEquals":{"aws:SourceVpc":"vpc-1"}}"#, false),
            ("\"*\"", r#"{"StringLike":{"aws:SourceVpc":"vpc-*"}}"#, true),
            ("\"*\"", r#"{"StringEquals":{"aws:PrincipalAccount":"${aws:username}"}}"#, true),
            ("\"*\"", r#"{"StringEqualsIfExists":{"aws:SourceVpc":"vpc-1"}}"#, true),
            ("\"*\"", r#"{"ForAllValues:StringEquals":{"aws:SourceVpc":"vpc-1"}}"#, true),
            ("\"*\"", r#"{"StringLike":{"aws:userid":"AROAAAAAAAAAAAAAAAAAA:*"}}"#, true),
            ("\"*\"", r#"{"StringEquals":{"aws:userid":"AIDAAAAAAAAAAAAAAAAAA"}}"#, false),
            ("\"*\"", r#"{"StringEquals":{"aws:userid":["AIDAAAAAAAAAAAAAAAAAA","anonymous"]}}"#, true),
            ("\"*\"", r#"{"StringEqualsIgnoreCase":{"aws:PrincipalAccount":"Anonymous"}}"#, true),
            ("\"*\"", r#"{"IpAddress":{"aws:SourceIp":"::ffff:0:0/96"}}"#, true),
            ("\"*\"", r#"{"IpAddress":{"aws:SourceIp":"::ffff:10.0.0.0/104"}}"#, false),
            ("\"*\"", r#"{"StringEquals":{"aws:Referer":"x"}}"#, true),
            ("\"*\"", r#"{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:us-east-1:111122223333:t"}}"#, false),
        ] {
            let policy =
                Policy::parse(&statement(principal, condition), PolicyKind::Bucket { name: "b".into() }).unwrap();
            assert_eq!(policy.is_public(), public, "{principal} {condition}");
        }
    }
}
