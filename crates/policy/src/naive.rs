//! A slow twin of the evaluator, for tests: it reads the documents anew for every question, compiles nothing, and follows the flow chart of
//! the IAM User Guide ("Policy evaluation logic") step by step. It shares no code with the evaluator but the types of the question.
//! Documents are such as [`crate::Policy::parse`] takes; principals are not bound to ids.

use serde_json::Value;

use crate::{
    Context, ContextValue, Denial, Grantee, Kind, Named, Policies, Principal, Question, ResourceRule, Verdict,
};

/// Decides.
pub fn decide(q: &Question<'_>, p: &Policies<'_>) -> Verdict {
    // Step 1: an explicit deny anywhere ends it.
    let bounded = p.boundary.is_some();
    let control: Vec<Named> = p.service_control.iter().flatten().cloned().collect();
    let session = p.session.unwrap_or_default();
    let own_policy = matches!(q.principal, Principal::Root(account) if *account == q.owner)
        && ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"].contains(&q.action);
    let denies = |policies: &[Named]| policies.iter().any(|n| !statements(n, "Deny", q, bounded).is_empty());
    let one = |named: Option<&Named>| named.cloned().into_iter().collect::<Vec<_>>();
    for (kind, denied) in [
        (Kind::ServiceControl, denies(&control)),
        (Kind::Identity, denies(p.identity)),
        (Kind::Resource, denies(&one(p.resource)) && !own_policy),
        (Kind::Boundary, denies(&one(p.boundary))),
        (Kind::Session, denies(session)),
    ] {
        if denied {
            return Verdict::Denied(Denial::Explicit(kind));
        }
    }
    // Step 2: what the resource's side says of whom.
    let caller = q.principal.account();
    let service = matches!(q.principal, Principal::Service { .. });
    let mut levels: Vec<u8> = Vec::new();
    if let Some(named) = p.resource
        && q.object_owner.is_none_or(|owner| owner == q.owner)
    {
        levels.extend(statements(named, "Allow", q, bounded));
        if !levels.is_empty()
            && p.limits.restrict_public
            && named.policy.is_public()
            && !service
            && caller != Some(q.owner)
        {
            return Verdict::Denied(Denial::Explicit(Kind::Resource));
        }
    }
    levels.extend(p.grants.iter().map(|grant| match &grant.to {
        Grantee::Everybody => {
            if p.limits.ignore_public_acls {
                0
            } else {
                3
            }
        }
        Grantee::Authenticated => {
            if p.limits.ignore_public_acls || caller.is_none() {
                0
            } else {
                3
            }
        }
        Grantee::Account(account) => u8::from(caller == Some(*account)),
        Grantee::Principal(arn) => named(arn, q.principal),
    }));
    let level = levels.into_iter().max().unwrap_or(0);
    sides(q, p, level)
}

/// Steps 3 to 6: the own side, and both together. `level` says how directly the resource's side allows.
fn sides(q: &Question<'_>, p: &Policies<'_>, level: u8) -> Verdict {
    let bounded = p.boundary.is_some();
    let caller = q.principal.account();
    let one = |named: Option<&Named>| named.cloned().into_iter().collect::<Vec<_>>();
    let implicit = |kind| Verdict::Denied(Denial::Implicit(kind));
    // Step 3: who has no account has no policies of its own.
    let Some(caller) = caller else {
        return if level == 3 { Verdict::Allowed } else { implicit(Kind::Resource) };
    };
    // Step 4: the own side.
    let allows = |policies: &[Named]| policies.iter().any(|n| !statements(n, "Allow", q, bounded).is_empty());
    let root = match q.principal {
        Principal::Root(_) => true,
        Principal::Federated { user, .. } => matches!(**user, Principal::Root(_)),
        _ => false,
    };
    let control = p.service_control.iter().all(|level| allows(level));
    let identity = root || allows(p.identity);
    let boundary = p.boundary.is_none() || allows(&one(p.boundary));
    let session = p.session.is_none_or(allows);
    let first = |needs: &[(bool, Kind)]| match needs.iter().find(|(allowed, _)| !allowed) {
        Some((_, kind)) => implicit(*kind),
        None => Verdict::Allowed,
    };
    let all = [
        (control, Kind::ServiceControl),
        (identity, Kind::Identity),
        (boundary, Kind::Boundary),
        (session, Kind::Session),
    ];
    // Step 5: another account's resource needs both sides.
    if caller != q.owner || q.object_owner.is_some_and(|owner| owner != caller) {
        return if level == 0 { implicit(Kind::Resource) } else { first(&all) };
    }
    // Step 6: in one account.
    if level == 3 && control {
        return Verdict::Allowed;
    }
    if level == 2 {
        return first(&[all[0], all[2], all[3]]);
    }
    if level == 0 && p.rule == ResourceRule::Required {
        return implicit(Kind::Resource);
    }
    first(&all)
}

/// For each statement of this effect that is about the question, how directly it names the principal: 1 by account, 2 by role, 3 itself.
fn statements(named: &Named, effect: &str, q: &Question<'_>, bounded: bool) -> Vec<u8> {
    let document: Value = serde_json::from_str(named.policy.text()).unwrap_or_default();
    let variables = document["Version"] == "2012-10-17";
    list(&document["Statement"])
        .iter()
        .filter(|s| s["Effect"] == effect)
        .filter(|s| {
            let one =
                |pattern: &Value| like(&pattern.as_str().unwrap_or_default().to_lowercase(), &q.action.to_lowercase());
            if s["Action"].is_null() {
                !list(&s["NotAction"]).iter().any(one)
            } else {
                list(&s["Action"]).iter().any(one)
            }
        })
        .filter(|s| {
            let fill = |pattern: &Value| fill(pattern.as_str().unwrap_or_default(), variables, q.context);
            let matches =
                |patterns: &Value| list(patterns).iter().any(|p| fill(p).is_some_and(|p| glob(&p, &chars(q.resource))));
            let unresolved = list(&s["NotResource"]).iter().any(|p| fill(p).is_none());
            match (&s["Resource"], &s["NotResource"]) {
                (Value::Null, Value::Null) => true,
                (Value::Null, excepted) => !unresolved && !matches(excepted),
                (named, _) => matches(named),
            }
        })
        .filter(|s| conditions(&s["Condition"], variables, q.context))
        .map(|s| principals(s, q.principal, bounded))
        .filter(|level| *level > 0)
        .collect()
}

fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    }
}

fn principals(statement: &Value, principal: &Principal, bounded: bool) -> u8 {
    let names = |value: &Value| -> Vec<(String, String)> {
        match value {
            Value::String(_) => vec![("AWS".to_owned(), "*".to_owned())],
            Value::Object(kinds) => kinds
                .iter()
                .flat_map(|(kind, names)| {
                    list(names).into_iter().map(move |n| (kind.clone(), n.as_str().unwrap_or_default().to_owned()))
                })
                .collect(),
            _ => Vec::new(),
        }
    };
    let level = |(kind, name): &(String, String)| match (kind.as_str(), principal) {
        ("AWS", _) if name == "*" => 3,
        ("AWS", _) => named(name, principal),
        ("Service", Principal::Service { name: own }) if own == name => 3,
        _ => 0,
    };
    if statement["Principal"].is_null() && statement["NotPrincipal"].is_null() {
        return 3;
    }
    if statement["NotPrincipal"].is_null() {
        return names(&statement["Principal"]).iter().map(level).max().unwrap_or(0);
    }
    let levels: Vec<u8> = names(&statement["NotPrincipal"]).iter().map(level).collect();
    let everybody = names(&statement["NotPrincipal"]).iter().any(|(_, name)| name == "*");
    let needed: &[u8] = match principal {
        Principal::User { .. } => &[1, 3],
        Principal::Role { .. } | Principal::Federated { .. } => &[1, 2, 3],
        Principal::Root(_) => &[1],
        Principal::Anonymous | Principal::Service { .. } => &[3],
    };
    let excepted = everybody || needed.iter().all(|level| levels.contains(level));
    if excepted && !bounded { 0 } else { 3 }
}

/// How directly an ARN or account id names a principal.
fn named(name: &str, principal: &Principal) -> u8 {
    let Some(account) = principal.account() else { return 0 };
    if name == account.to_string() || name == format!("arn:aws:iam::{account}:root") {
        return 1;
    }
    match principal {
        Principal::Role { path, name: role, .. } if name == format!("arn:aws:iam::{account}:role{path}{role}") => 2,
        Principal::Federated { user, .. } if named(name, user) > 1 => 2,
        other if name == other.arn() => 3,
        _ => 0,
    }
}

/// A character of a pattern: itself, or any one, or any number.
#[derive(Clone, Copy, PartialEq)]
enum P {
    Is(char),
    One,
    Many,
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

fn glob(pattern: &[P], text: &[char]) -> bool {
    // The rows of a table: which beginnings of the pattern fit which beginnings of the text.
    let mut row: Vec<bool> = vec![false; text.len() + 1];
    row[0] = true;
    for p in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match p {
                P::Many => row[at] || at > 0 && next[at - 1],
                P::One => at > 0 && row[at - 1],
                P::Is(c) => at > 0 && row[at - 1] && text[at - 1] == *c,
            };
        }
        row = next;
    }
    row[text.len()]
}

fn wild(text: &str) -> Vec<P> {
    text.chars()
        .map(|c| match c {
            '*' => P::Many,
            '?' => P::One,
            c => P::Is(c),
        })
        .collect()
}

fn like(pattern: &str, text: &str) -> bool {
    glob(&wild(pattern), &chars(text))
}

/// A pattern with its variables put in; `None` when one has no value.
fn fill(pattern: &str, variables: bool, context: &Context) -> Option<Vec<P>> {
    let mut out = Vec::new();
    let mut rest = pattern;
    while variables && let Some(at) = rest.find("${") {
        let Some(length) = rest[at..].find('}') else { break };
        out.extend(wild(&rest[..at]));
        let body = &rest[at + 2..at + length];
        let (name, default) =
            body.split_once(',').map_or((body, None), |(n, d)| (n, Some(d.trim().trim_matches('\''))));
        let value = match name.trim() {
            special @ ("*" | "?" | "$") => special.to_owned(),
            name => match context.get(name) {
                Some(ContextValue::Many(_)) | None => default?.to_owned(),
                Some(value) => texts(value).remove(0),
            },
        };
        out.extend(value.chars().map(P::Is));
        rest = &rest[at + length + 1..];
    }
    out.extend(wild(rest));
    Some(out)
}

fn texts(value: &ContextValue) -> Vec<String> {
    value.texts().into_iter().map(|text| text.into_owned()).collect()
}

fn conditions(condition: &Value, variables: bool, context: &Context) -> bool {
    let Value::Object(operators) = condition else { return true };
    operators.iter().all(|(operator, keys)| {
        keys.as_object().is_some_and(|keys| {
            keys.iter().all(|(key, wanted)| holds(operator, key, &list(wanted), variables, context))
        })
    })
}

fn holds(operator: &str, key: &str, wanted: &[Value], variables: bool, context: &Context) -> bool {
    let wanted: Vec<String> = wanted.iter().map(|w| w.as_str().map_or_else(|| w.to_string(), str::to_owned)).collect();
    let found = context.get(key);
    if operator == "Null" {
        return wanted.iter().any(|w| (w == "true") == found.is_none());
    }
    let (quantifier, operator) = operator.split_once(':').unwrap_or(("", operator));
    let if_exists = operator.ends_with("IfExists");
    let operator = operator.trim_end_matches("IfExists");
    let negated = operator.contains("Not");
    let positive = operator.replacen("Not", "", 1);
    let values: Vec<String> = found.map(texts).unwrap_or_default();
    if values.is_empty() {
        return if_exists || quantifier == "ForAllValues" || quantifier.is_empty() && negated;
    }
    let fills: Vec<Option<Vec<P>>> = wanted
        .iter()
        .map(|w| {
            let filled = fill(w, variables, context)?;
            // Without wildcards, what was a wildcard is itself.
            let literal = |p| match p {
                P::Many => P::Is('*'),
                P::One => P::Is('?'),
                is => is,
            };
            Some(if positive == "StringLike" { filled } else { filled.into_iter().map(literal).collect() })
        })
        .collect();
    if positive.starts_with("String") && fills.iter().any(Option::is_none) {
        return false;
    }
    let matches = |value: &String| -> bool {
        match positive.as_str() {
            "StringEquals" | "StringLike" => fills.iter().flatten().any(|pattern| glob(pattern, &chars(value))),
            "StringEqualsIgnoreCase" => fills.iter().flatten().any(|pattern| {
                let lower = |p: &P| match p {
                    P::Is(c) => P::Is(c.to_ascii_lowercase()),
                    other => *other,
                };
                glob(&pattern.iter().map(lower).collect::<Vec<_>>(), &chars(&value.to_ascii_lowercase()))
            }),
            "Bool" => wanted.iter().any(|w| w.eq_ignore_ascii_case(value)),
            "NumericEquals" => numbers(&wanted, value, |found, wanted| found == wanted),
            "NumericLessThan" => numbers(&wanted, value, |found, wanted| found < wanted),
            "NumericGreaterThanEquals" => numbers(&wanted, value, |found, wanted| found >= wanted),
            "IpAddress" => wanted.iter().any(|w| in_network(w, value)),
            "ArnEquals" | "ArnLike" => wanted.iter().any(|w| {
                let parts = |text: &str| text.splitn(6, ':').map(str::to_owned).collect::<Vec<_>>();
                let (w, v) = (parts(w), parts(value));
                v.len() == 6 && w.len() == 6 && w.iter().zip(&v).all(|(w, v)| like(w, v))
            }),
            other => unreachable!("{other} is not among the operators of the test"),
        }
    };
    match quantifier {
        "ForAllValues" => values.iter().all(|value| matches(value) != negated),
        "ForAnyValue" => values.iter().any(|value| matches(value) != negated),
        _ => values.iter().any(matches) != negated,
    }
}

fn numbers(wanted: &[String], value: &str, holds: impl Fn(f64, f64) -> bool) -> bool {
    let Ok(found) = value.parse() else { return false };
    wanted.iter().any(|wanted| wanted.parse().is_ok_and(|wanted| holds(found, wanted)))
}

fn in_network(network: &str, value: &str) -> bool {
    let (base, prefix) = network.split_once('/').unwrap_or((network, "32"));
    let (Ok(base), Ok(value), Ok(prefix)) =
        (base.parse::<std::net::Ipv4Addr>(), value.parse::<std::net::Ipv4Addr>(), prefix.parse::<usize>())
    else {
        return false;
    };
    let bits = |address: std::net::Ipv4Addr| format!("{:032b}", address.to_bits());
    bits(base)[..prefix] == bits(value)[..prefix]
}
