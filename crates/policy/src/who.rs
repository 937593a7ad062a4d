//! Whom a statement names (IAM User Guide, "AWS JSON policy elements: Principal" and "NotPrincipal").

use std::collections::BTreeMap;

use millpond_types::AccountId;

use crate::Principal;

/// How directly a statement of a resource's policy names a principal, from not at all up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Reach {
    /// Not at all.
    #[default]
    None,
    /// By its account, which delegates to the identity's own policies.
    Account,
    /// By the role of which it is a session (or the user for whom it is federated): boundary and session policies still limit.
    Role,
    /// Itself, or with everybody.
    Direct,
}

/// One name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Name {
    /// `*`
    Everybody,
    /// An account.
    Account(AccountId),
    /// A user's or role's ARN.
    Identity {
        /// The ARN.
        arn: String,
        /// Who had it when the policy was put.
        holder: Holder,
    },
    /// The ARN of a session of a role or federated user.
    Session(String),
    /// A unique id whose user or role may be gone.
    Id(String),
    /// A service.
    Service(String),
    /// An identity provider.
    Federated(String),
    /// An account by its canonical id.
    Canonical(String),
}

impl Name {
    /// The account that it names without naming a user or role of it, whose existence says enough.
    pub(crate) fn named_account(&self) -> Option<AccountId> {
        match self {
            Self::Account(account) => Some(*account),
            Self::Canonical(id) => AccountId::from_canonical(id),
            Self::Session(arn) => arn.split(':').nth(4)?.parse().ok(),
            _ => None,
        }
    }
}

/// Whom an ARN means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Holder {
    /// Whoever has it: the policy was not bound.
    Whoever,
    /// The user or role with this unique id: it stays named under another name or path, and nobody inherits a name.
    Id(String),
    /// Nobody: there was no such user or role when the policy was bound.
    Nobody,
}

impl Holder {
    /// Whether the user or role of an ARN and id is meant, where the policy says `arn`.
    fn is(&self, arn: &str, own: &str, id: &str) -> bool {
        match self {
            Self::Whoever => arn == own,
            Self::Id(bound) => bound == id,
            Self::Nobody => false,
        }
    }
}

/// Why a text is no principal.
pub(crate) fn parse(kind: &str, text: &str) -> Result<Name, &'static str> {
    match kind {
        "AWS" => aws(text),
        "Service" if text.contains('.') && !text.contains(['*', '?']) => Ok(Name::Service(text.to_owned())),
        "Service" => Err("a service is named like lambda.amazonaws.com"),
        "Federated" if text == "*" => Err("an identity provider is named by itself"),
        "Federated" => Ok(Name::Federated(text.to_owned())),
        "CanonicalUser" if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(Name::Canonical(text.to_ascii_lowercase()))
        }
        "CanonicalUser" => Err("a canonical user id has 64 hexadecimal digits"),
        _ => Err("principals are AWS, Service, Federated or CanonicalUser"),
    }
}

fn aws(text: &str) -> Result<Name, &'static str> {
    if text == "*" {
        return Ok(Name::Everybody);
    }
    if let Ok(account) = text.parse() {
        return Ok(Name::Account(account));
    }
    let unique = ["AIDA", "AROA"].iter().any(|start| text.starts_with(start));
    if unique && text.len() >= 16 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
        return Ok(Name::Id(text.to_owned()));
    }
    if text.contains(['*', '?']) {
        return Err("a principal's ARN has no wildcards");
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", "aws", service, "", account, resource] = parts.as_slice() else {
        return Err("an AWS principal is *, an account id or an ARN of an account, user, role or session");
    };
    let account: AccountId = account.parse().map_err(|_| "the account of a principal's ARN has 12 digits")?;
    let named =
        |prefix: &str| resource.strip_prefix(prefix).is_some_and(|name| !name.is_empty() && !name.ends_with('/'));
    match (*service, *resource) {
        ("iam", "root") => Ok(Name::Account(account)),
        ("iam", _) if named("user/") || named("role/") => {
            Ok(Name::Identity { arn: text.to_owned(), holder: Holder::Whoever })
        }
        ("sts", _) if named("assumed-role/") && resource.split('/').count() == 3 || named("federated-user/") => {
            Ok(Name::Session(text.to_owned()))
        }
        _ => Err("a principal is an account, a user, a role or a session"),
    }
}

/// The principals of a statement.
#[derive(Clone, Debug)]
pub struct Who {
    /// Whether those are meant that are *not* named.
    pub negated: bool,
    /// Who is named.
    pub names: Vec<Name>,
}

impl Who {
    /// How directly a principal is meant. `bounded` says whether it has a permissions boundary, which no exception of a NotPrincipal covers.
    pub fn reach(&self, principal: &Principal, bounded: bool) -> Reach {
        if !self.negated {
            return self.names.iter().map(|name| reach(name, principal)).max().unwrap_or_default();
        }
        if !bounded && self.excepts(principal) { Reach::None } else { Reach::Direct }
    }

    /// Whether account, role and the principal itself are all named, which is what it takes to be excepted.
    fn excepts(&self, principal: &Principal) -> bool {
        let everybody = self.names.contains(&Name::Everybody);
        let at = |wanted: Reach| self.names.iter().any(|name| reach(name, principal) == wanted);
        let by_account = at(Reach::Account);
        match principal {
            Principal::Anonymous | Principal::Service { .. } | Principal::Root(_) => {
                everybody || by_account || at(Reach::Direct)
            }
            Principal::User { .. } => everybody || by_account && at(Reach::Direct),
            Principal::Role { .. } | Principal::Federated { .. } => {
                everybody || by_account && at(Reach::Role) && at(Reach::Direct)
            }
        }
    }

    /// The ARNs of users and roles.
    pub fn arns(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|name| match name {
            Name::Identity { arn, .. } => Some(arn.as_str()),
            _ => None,
        })
    }

    /// The accounts that are named as such.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> {
        self.names.iter().filter_map(|name| match name {
            Name::Account(account) => Some(*account),
            _ => None,
        })
    }

    /// Binds ARNs to the unique ids behind them; an ARN without one names nobody from now on.
    pub fn bind(&mut self, ids: &BTreeMap<String, String>) {
        for name in &mut self.names {
            if let Name::Identity { arn, holder } = name {
                *holder = ids.get(arn.as_str()).map_or(Holder::Nobody, |id| Holder::Id(id.clone()));
            }
        }
    }
}

/// How directly an ARN by itself names a principal.
pub(crate) fn reach_of_arn(arn: &str, principal: &Principal) -> Reach {
    aws(arn).map_or(Reach::None, |name| reach(&name, principal))
}

/// How directly the ARN of a user or role names a principal, if the ARN belongs to a unique id.
pub(crate) fn reach_of_bound(arn: &str, id: &str, principal: &Principal) -> Reach {
    reach(&Name::Identity { arn: arn.to_owned(), holder: Holder::Id(id.to_owned()) }, principal)
}

fn reach(name: &Name, principal: &Principal) -> Reach {
    let if_so = |so: bool, reach: Reach| if so { reach } else { Reach::None };
    match (name, principal) {
        (Name::Everybody, _) => Reach::Direct,
        (Name::Service(service), Principal::Service { name }) => if_so(service == name, Reach::Direct),
        (Name::Account(account), _) => if_so(principal.account() == Some(*account), Reach::Account),
        (Name::Canonical(id), _) => {
            if_so(principal.account().is_some_and(|account| account.canonical_id() == *id), Reach::Account)
        }
        (Name::Identity { arn, holder }, Principal::User { id, .. }) => {
            if_so(holder.is(arn, &principal.condition_arn(), id), Reach::Direct)
        }
        (Name::Identity { arn, holder }, Principal::Role { id, .. }) => {
            if_so(holder.is(arn, &principal.condition_arn(), id), Reach::Role)
        }
        (Name::Identity { .. } | Name::Id(_), Principal::Federated { user, .. }) => reach(name, user).min(Reach::Role),
        (Name::Session(arn), Principal::Role { .. } | Principal::Federated { .. }) => {
            if_so(*arn == principal.arn(), Reach::Direct)
        }
        (Name::Id(wanted), Principal::User { id, .. }) => if_so(wanted == id, Reach::Direct),
        (Name::Id(wanted), Principal::Role { id, .. }) => if_so(wanted == id, Reach::Role),
        _ => Reach::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> AccountId {
        "111122223333".parse().unwrap()
    }

    fn user() -> Principal {
        Principal::User {
            account: account(),
            path: "/a/".into(),
            name: "bob".into(),
            id: "AIDAAAAAAAAAAAAAAAAAA".into(),
        }
    }

    fn role() -> Principal {
        let (path, name, session) = ("/".into(), "r".into(), "s".into());
        Principal::Role { account: account(), path, name, id: "AROAAAAAAAAAAAAAAAAAA".into(), session }
    }

    fn federated() -> Principal {
        Principal::Federated { account: account(), name: "f".into(), user: Box::new(user()) }
    }

    fn service() -> Principal {
        Principal::Service { name: "lambda.amazonaws.com".into() }
    }

    #[test]
    fn names() {
        for (kind, text, principal, expected) in [
            ("AWS", "*", user(), Reach::Direct),
            ("AWS", "*", Principal::Anonymous, Reach::Direct),
            ("AWS", "111122223333", user(), Reach::Account),
            ("AWS", "arn:aws:iam::111122223333:root", Principal::Root(account()), Reach::Account),
            ("AWS", "999922223333", user(), Reach::None),
            ("AWS", "111122223333", Principal::Anonymous, Reach::None),
            ("AWS", "arn:aws:iam::111122223333:user/a/bob", user(), Reach::Direct),
            ("AWS", "arn:aws:iam::111122223333:user/bob", user(), Reach::None),
            ("AWS", "arn:aws:iam::111122223333:user/a/bob", federated(), Reach::Role),
            ("AWS", "arn:aws:iam::111122223333:role/r", role(), Reach::Role),
            ("AWS", "arn:aws:sts::111122223333:assumed-role/r/s", role(), Reach::Direct),
            ("AWS", "arn:aws:sts::111122223333:assumed-role/r/t", role(), Reach::None),
            ("AWS", "arn:aws:sts::111122223333:federated-user/f", federated(), Reach::Direct),
            ("AWS", "AIDAAAAAAAAAAAAAAAAAA", user(), Reach::Direct),
            ("AWS", "AIDAAAAAAAAAAAAAAAAAA", federated(), Reach::Role),
            ("AWS", "AROAAAAAAAAAAAAAAAAAA", role(), Reach::Role),
            ("AWS", "AROABBBBBBBBBBBBBBBBB", role(), Reach::None),
            ("Service", "lambda.amazonaws.com", service(), Reach::Direct),
            ("Service", "lambda.amazonaws.com", user(), Reach::None),
            ("CanonicalUser", &account().canonical_id(), user(), Reach::Account),
        ] {
            assert_eq!(reach(&parse(kind, text).unwrap(), &principal), expected, "{kind} {text} {principal}");
        }
    }

    #[test]
    fn no_names() {
        for (kind, text) in [
            ("AWS", ""),
            ("AWS", "bob"),
            ("AWS", "arn:aws:iam::111122223333:user/*"),
            ("AWS", "arn:aws:iam::*:root"),
            ("AWS", "arn:aws:iam::111122223333:group/g"),
            ("AWS", "arn:aws:iam::1:root"),
            ("AWS", "arn:aws:sts::111122223333:assumed-role/r"),
            ("AWS", "arn:aws:iam:us-east-1:111122223333:root"),
            ("Service", "*"),
            ("Service", "lambda"),
            ("Federated", "*"),
            ("CanonicalUser", "12"),
            ("Group", "g"),
        ] {
            assert!(parse(kind, text).is_err(), "{kind} {text}");
        }
    }

    #[test]
    fn bound_names_are_not_inherited() {
        let arn = "arn:aws:iam::111122223333:role/r".to_owned();
        for (id, expected) in [("AROAAAAAAAAAAAAAAAAAA", Reach::Role), ("AROABBBBBBBBBBBBBBBBB", Reach::None)] {
            let mut who = Who { negated: false, names: vec![parse("AWS", &arn).unwrap()] };
            who.bind(&BTreeMap::from([(arn.clone(), id.to_owned())]));
            assert_eq!(who.reach(&role(), false), expected, "{id}");
            assert_eq!(reach_of_bound(&arn, id, &role()), expected, "{id}");
        }
        // Who was not there when the policy was bound does not come into it by taking the name later, nor out of a deny.
        let all = ["111122223333", &arn, "arn:aws:sts::111122223333:assumed-role/r/s"];
        for (negated, names, expected) in [(false, &all[1..2], Reach::None), (true, &all[..], Reach::Direct)] {
            let mut who = Who { negated, names: names.iter().map(|name| parse("AWS", name).unwrap()).collect() };
            who.bind(&BTreeMap::new());
            assert_eq!(who.reach(&role(), false), expected, "{who:?}");
        }
    }

    #[test]
    fn bound_names_follow_a_change_of_name() {
        let arn = "arn:aws:iam::111122223333:user/former".to_owned();
        let mut who = Who { negated: false, names: vec![parse("AWS", &arn).unwrap()] };
        assert_eq!(who.reach(&user(), false), Reach::None);
        who.bind(&BTreeMap::from([(arn, "AIDAAAAAAAAAAAAAAAAAA".to_owned())]));
        assert_eq!(who.reach(&user(), false), Reach::Direct);
    }

    #[test]
    fn exceptions_name_every_level() {
        let except =
            |names: &[&str]| Who { negated: true, names: names.iter().map(|n| parse("AWS", n).unwrap()).collect() };
        let (root, user_arn) = ("arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:user/a/bob");
        let (role_arn, session) = ("arn:aws:iam::111122223333:role/r", "arn:aws:sts::111122223333:assumed-role/r/s");
        for (names, principal, bounded, denied) in [
            (vec![root, user_arn], user(), false, false),
            (vec![root, user_arn], user(), true, true),
            (vec![user_arn], user(), false, true),
            (vec![root], user(), false, true),
            (vec![root, role_arn, session], role(), false, false),
            (vec![root, role_arn], role(), false, true),
            (vec![root], Principal::Root(account()), false, false),
            (vec![root], Principal::Anonymous, false, true),
        ] {
            assert_eq!(except(&names).reach(&principal, bounded) == Reach::Direct, denied, "{names:?} {principal}");
        }
    }
}
