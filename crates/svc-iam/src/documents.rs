//! Policy documents on their way in and out: validated, measured, bound to the principals that they name, and shown.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use millpond_policy::{Name, Policy, PolicyKind, limits};
use millpond_types::AccountId;
use regex::Regex;

use crate::errors::IamError;
use crate::operation::At;
use crate::state::{Document, Entity, Identities, Kind};

/// A managed policy.
pub(crate) fn managed(text: &str) -> Result<Arc<Document>, IamError> {
    if limits::counted(text) > limits::MANAGED {
        return Err(IamError::quota("PolicySize", limits::MANAGED));
    }
    Ok(Document::parsed(Policy::parse(text, PolicyKind::Identity)?, BTreeMap::new()))
}

/// An inline policy of a user, group or role: all of them together have a limit.
pub(crate) fn inline(of: &Entity, name: &str, text: &str) -> Result<Arc<Document>, IamError> {
    let limit = match of.kind {
        Kind::User => limits::USER_INLINE,
        Kind::Group => limits::GROUP_INLINE,
        Kind::Role => limits::ROLE_INLINE,
    };
    let others = of.inline.iter().filter(|(other, _)| *other != name);
    let others: usize = others.map(|(_, document)| limits::counted(document.text())).sum();
    if others + limits::counted(text) > limit {
        let (word, name) = (of.kind.word(), &of.name);
        return Err(IamError::LimitExceeded(format!(
            "Maximum policy size of {limit} bytes exceeded for {word} {name}"
        )));
    }
    Ok(Document::parsed(Policy::parse(text, PolicyKind::Identity)?, BTreeMap::new()))
}

/// The trust policy of a role. Every principal that it names must exist, and is bound to its unique id.
pub(crate) fn trust(at: &At<'_>, text: &str) -> Result<Arc<Document>, IamError> {
    if limits::counted(text) > limits::TRUST {
        return Err(IamError::quota("ACLSizePerRole", limits::TRUST));
    }
    let policy = Policy::parse(text, PolicyKind::Trust)?;
    let mut bound = BTreeMap::new();
    let names = policy.statements().iter().filter_map(|statement| statement.who.as_ref()).flat_map(|who| &who.names);
    for name in names {
        if let Some(id) = exists(at, name)? {
            bound.insert(id.0, id.1);
        }
    }
    Ok(Document::parsed(policy, bound))
}

fn invalid(kind: &str, name: &str) -> IamError {
    IamError::MalformedPolicy(format!("Invalid principal in policy: \"{kind}\":\"{name}\""))
}

/// Whether a principal exists; for a user or role its ARN and unique id.
fn exists(at: &At<'_>, name: &Name) -> Result<Option<(String, String)>, IamError> {
    let account_exists =
        |account: AccountId| at.kernel.directory().is_none_or(|directory| directory.account_exists(account));
    match name {
        Name::Everybody | Name::Service(_) => Ok(None),
        Name::Account(account) if account_exists(*account) => Ok(None),
        Name::Account(account) => Err(invalid("AWS", account.as_str())),
        Name::Identity { arn, .. } => {
            let entity = at.identities.by_arn(arn).filter(|entity| entity.kind != Kind::Group);
            entity.map(|entity| Some((arn.clone(), entity.id.clone()))).ok_or_else(|| invalid("AWS", arn))
        }
        Name::Session(arn) => {
            let fields: Vec<&str> = arn.splitn(6, ':').collect();
            let account: Option<AccountId> = fields.get(4).and_then(|account| account.parse().ok());
            let role = fields.get(5).and_then(|resource| resource.strip_prefix("assumed-role/"));
            let role = role.and_then(|rest| rest.split('/').next());
            let known = account.is_some_and(|account| {
                account_exists(account) && role.is_none_or(|role| at.identities.role(account, role).is_some())
            });
            if known { Ok(None) } else { Err(invalid("AWS", arn)) }
        }
        Name::Id(id) if at.account.by_id(id).is_some() => Ok(None),
        Name::Id(id) => Err(invalid("AWS", id)),
        // Providers that everybody knows have names; those of an account have ARNs, and there are none yet.
        Name::Federated(provider) if provider.starts_with("arn:") => Err(invalid("FEDERATED", provider)),
        Name::Federated(_) => Ok(None),
        Name::Canonical(id) => Err(invalid("CanonicalUser", id)),
    }
}

/// A document as IAM's answers have it: percent-encoded (RFC 3986).
pub(crate) fn encoded(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(
                [byte >> 4, byte & 15].iter().filter_map(|digit| HEX.get(usize::from(*digit))).map(|b| char::from(*b)),
            );
        }
    }
    out
}

/// A trust policy as it is shown: a principal that is gone by its unique id, one that was renamed by its new ARN (IAM User Guide, "AWS
/// JSON policy elements: Principal").
pub(crate) fn shown_trust(identities: &Identities, trust: &Document) -> String {
    let changed: Vec<(String, String)> = trust
        .bound()
        .iter()
        .filter_map(|(arn, id)| {
            let account: AccountId = arn.split(':').nth(4)?.parse().ok()?;
            let now = identities.account(account).by_id(id).map_or_else(|| id.clone(), |entity| entity.arn());
            (now != *arn).then(|| (format!("\"{arn}\""), format!("\"{now}\"")))
        })
        .collect();
    if changed.is_empty() {
        return trust.text().to_owned();
    }
    let Some(principals) = principals() else { return trust.text().to_owned() };
    let replaced = principals.replace_all(trust.text(), |found: &regex::Captures<'_>| {
        let whole = found.get(0).map_or("", |found| found.as_str()).to_owned();
        changed.iter().fold(whole, |text, (from, to)| text.replace(from, to))
    });
    replaced.into_owned()
}

/// The principals of a statement: an object of texts and lists of them, so that its first brace ends it.
fn principals() -> Option<&'static Regex> {
    static PRINCIPALS: OnceLock<Option<Regex>> = OnceLock::new();
    PRINCIPALS.get_or_init(|| Regex::new(r#""Principal"\s*:\s*\{[^}]*\}"#).ok()).as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_percent_encoded() {
        for (text, expected) in [
            ("{\"a\": \"b*c~d\"}", "%7B%22a%22%3A%20%22b%2Ac~d%22%7D"),
            ("é/\n", "%C3%A9%2F%0A"),
            ("A-z_0.9", "A-z_0.9"),
        ] {
            assert_eq!(encoded(text), expected);
        }
    }
}
