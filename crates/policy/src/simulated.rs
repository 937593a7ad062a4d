//! What simulations of policies need besides decisions: values of condition keys as they are written down, and the keys without which a
//! statement cannot be judged (IAM API reference, SimulateCustomPolicy).

use std::collections::BTreeSet;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::action::Lowered;
use crate::condition::parse_time;
use crate::who::Reach;
use crate::{Context, ContextValue, Policy, Question};

/// The type of a value that is written down (IAM API reference, ContextEntry).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueType {
    /// Text.
    String,
    /// A number.
    Numeric,
    /// A truth value.
    Boolean,
    /// An address.
    Ip,
    /// Bytes in base64.
    Binary,
    /// A moment.
    Date,
}

impl ContextValue {
    /// A value of a type, from its text; `None` when it cannot be one.
    pub fn written(kind: ValueType, text: &str) -> Option<Self> {
        let fits = match kind {
            ValueType::String => true,
            ValueType::Numeric => text.trim().parse().is_ok_and(|number: f64| number.is_finite()),
            ValueType::Boolean => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
            ValueType::Ip => text.parse::<IpAddr>().is_ok(),
            ValueType::Binary => STANDARD.decode(text).is_ok(),
            ValueType::Date => parse_time(text).is_some(),
        };
        // Conditions read numbers, times and the like from text too.
        fits.then(|| Self::Text(text.to_owned()))
    }
}

impl Policy {
    /// The condition keys that its statements about a question need, and that the question's context lacks.
    pub fn missing_keys(&self, question: &Question<'_>, bounded: bool) -> BTreeSet<&str> {
        let mut keys = BTreeSet::new();
        let Some(action) = Lowered::new(question.action) else { return keys };
        for statement in self.statements() {
            let who = statement.who.as_ref();
            let about = statement.actions.matches(&action)
                && who.is_none_or(|who| who.reach(question.principal, bounded) != Reach::None);
            if !about {
                continue;
            }
            let mut of_resources = BTreeSet::new();
            if let Some(resources) = &statement.resources {
                let unresolved = resources.patterns.iter().filter(|pattern| !pattern.is_resolved(question.context));
                of_resources.extend(unresolved.flat_map(|pattern| pattern.variables()));
                // One that is about other resources needs nothing, whatever its variables stand for.
                if of_resources.is_empty() && !resources.matches(question.resource, question.context, statement.effect)
                {
                    continue;
                }
            }
            let conditions = statement.conditions.iter();
            keys.extend(
                conditions.flat_map(|condition| std::iter::once(condition.key.as_str()).chain(condition.variables())),
            );
            keys.extend(of_resources);
        }
        keys.retain(|key| is_missing(key, question.context));
        keys
    }
}

fn is_missing(key: &str, context: &Context) -> bool {
    context.get(key).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PolicyKind, Principal};

    #[test]
    fn values_that_are_written_down() {
        for (kind, text, good) in [
            (ValueType::String, "", true),
            (ValueType::Numeric, "10.5", true),
            (ValueType::Numeric, "ten", false),
            (ValueType::Numeric, "NaN", false),
            (ValueType::Boolean, "TRUE", true),
            (ValueType::Boolean, "yes", false),
            (ValueType::Ip, "10.0.0.1", true),
            (ValueType::Ip, "::1", true),
            (ValueType::Ip, "10.0.0.0/8", false),
            (ValueType::Binary, "QQ==", true),
            (ValueType::Binary, "?", false),
            (ValueType::Date, "2026-01-01T00:00:00Z", true),
            (ValueType::Date, "1577836800", true),
            (ValueType::Date, "yesterday", false),
        ] {
            assert_eq!(ContextValue::written(kind, text).is_some(), good, "{kind:?} {text}");
        }
    }

    #[test]
    fn keys_that_are_missing() {
        let text = r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b/${aws:username}/*",
             "Condition":{"StringLike":{"s3:prefix":"${aws:PrincipalTag/team}*"}}},
            {"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::other/*","Condition":{"Bool":{"aws:SecureTransport":"false"}}},
            {"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"kms:ViaService":"x"}}}]}"#;
        let policy = Policy::parse(text, PolicyKind::Identity).unwrap();
        let owner = "111122223333".parse().unwrap();
        let mut context = Context::default();
        let missing = |context: &Context, action: &str, resource: &str| {
            let question =
                Question { principal: &Principal::Root(owner), action, resource, owner, object_owner: None, context };
            policy.missing_keys(&question, false).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let all = ["aws:PrincipalTag/team", "aws:username", "s3:prefix"];
        assert_eq!(missing(&context, "s3:GetObject", "arn:aws:s3:::b/bob/x"), all);
        context.text("aws:username", "bob");
        context.text("s3:prefix", "p");
        assert_eq!(missing(&context, "s3:GetObject", "arn:aws:s3:::b/bob/x"), ["aws:PrincipalTag/team"]);
        assert_eq!(missing(&context, "s3:GetObject", "arn:aws:s3:::b/eve/x"), [""; 0]);
        assert_eq!(missing(&context, "s3:PutObject", "arn:aws:s3:::other/x"), ["aws:SecureTransport"]);
        assert_eq!(missing(&context, "kms:Decrypt", "arn:aws:kms:::x"), ["kms:ViaService"]);
        assert_eq!(missing(&context, "nonsense", "*"), [""; 0]);
    }
}
