//! A slow twin of the evaluator, for tests: it reads the documents anew for every question, compiles nothing, and follows the flow chart of
//! the IAM User Guide ("Policy evaluation logic") step by step. It shares no code with the evaluator but the types of the question, and
//! what is public. Documents are such as [`crate::Policy::parse`] takes; principals are not bound to ids.

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
        // The id alone counts, whatever the name is by now.
        Grantee::Identity { id, .. } => match q.principal {
            Principal::User { id: own, .. } if own == id => 3,
            Principal::Role { id: own, .. } if own == id => 2,
            Principal::Federated { user, .. } if matches!(&**user, Principal::User { id: own, .. } if own == id) => 2,
            _ => 0,
        },
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
            let fill = |pattern: &Value| arn_pattern(pattern.as_str().unwrap_or_default(), variables, q.context);
            let matches =
                |patterns: &Value| list(patterns).iter().any(|p| fill(p).is_some_and(|p| glob(&p, &chars(q.resource))));
            let unresolved = list(&s["NotResource"]).iter().any(|p| fill(p).is_none());
            match (&s["Resource"], &s["NotResource"]) {
                (Value::Null, Value::Null) => true,
                (Value::Null, excepted) => (!unresolved || effect == "Deny") && !matches(excepted),
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
        ("CanonicalUser", _) => u8::from(principal.account().is_some_and(|own| own.canonical_id() == *name)),
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
        Principal::Role { id, .. } if name == id => 2,
        Principal::User { id, .. } if name == id => 3,
        Principal::Federated { user, .. } if named(name, user) > 1 => 2,
        other if name == other.arn() => 3,
        _ => 0,
    }
}

/// A character of a pattern: itself, or any one, or any number; within a part of an ARN, without colons.
#[derive(Clone, Copy, PartialEq)]
enum P {
    Is(char),
    One,
    Many,
    OneInPart,
    ManyInPart,
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
            let last = at.checked_sub(1).map(|at| text[at]);
            next[at] = match p {
                P::Many => row[at] || at > 0 && next[at - 1],
                P::One => at > 0 && row[at - 1],
                P::ManyInPart => row[at] || last.is_some_and(|c| c != ':') && next[at - 1],
                P::OneInPart => last.is_some_and(|c| c != ':') && row[at - 1],
                P::Is(c) => last == Some(*c) && row[at - 1],
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

/// A piece of a pattern with its variables put in: whether it was written as it is, or came from a variable.
enum Piece {
    Written(String),
    Value(String),
}

/// A pattern with its variables put in; `None` when one has no value.
fn pieces(pattern: &str, variables: bool, context: &Context) -> Option<Vec<Piece>> {
    let mut out = Vec::new();
    let mut rest = pattern;
    while variables && let Some(at) = rest.find("${") {
        let Some(length) = rest[at..].find('}') else { break };
        out.push(Piece::Written(rest[..at].to_owned()));
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
        out.push(Piece::Value(value));
        rest = &rest[at + length + 1..];
    }
    out.push(Piece::Written(rest.to_owned()));
    Some(out)
}

fn fill(pattern: &str, variables: bool, context: &Context) -> Option<Vec<P>> {
    let one = |piece: Piece| match piece {
        Piece::Written(text) => wild(&text),
        Piece::Value(text) => text.chars().map(P::Is).collect(),
    };
    Some(pieces(pattern, variables, context)?.into_iter().flat_map(one).collect())
}

/// As [`fill`], for a pattern of resources: in the first five parts wildcards stay within theirs, but for a `*` at the end of one.
fn arn_pattern(pattern: &str, variables: bool, context: &Context) -> Option<Vec<P>> {
    let filled = pieces(pattern, variables, context)?;
    // Each character with whether it was written; variables part nothing.
    let all: Vec<(char, bool)> = filled
        .iter()
        .flat_map(|piece| match piece {
            Piece::Written(text) => text.chars().map(|c| (c, true)).collect::<Vec<_>>(),
            // A mark, so that a `*` before a variable without characters does not stand at the end of its part.
            Piece::Value(text) => std::iter::once('\0').chain(text.chars()).map(|c| (c, false)).collect(),
        })
        .collect();
    let mut out = Vec::new();
    for (at, (c, written)) in all.iter().enumerate() {
        let parts = all[..at].iter().filter(|before| **before == (':', true)).count();
        let ends = matches!(all.get(at + 1), None | Some((':', true)));
        out.push(match (c, written) {
            ('\0', false) => continue,
            ('*', true) if ends || parts >= 5 => P::Many,
            ('*', true) => P::ManyInPart,
            ('?', true) if parts >= 5 => P::One,
            ('?', true) => P::OneInPart,
            (c, _) => P::Is(*c),
        });
    }
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
    let values: Vec<String> = found.map(texts).unwrap_or_default();
    if operator == "Null" {
        return wanted.iter().any(|w| w.eq_ignore_ascii_case("true") == values.is_empty());
    }
    let (quantifier, operator) = operator.split_once(':').unwrap_or(("", operator));
    let if_exists = operator.ends_with("IfExists");
    let operator = operator.trim_end_matches("IfExists");
    let negated = operator.contains("Not");
    let positive = operator.replacen("Not", "", 1);
    if values.is_empty() {
        return if_exists || quantifier == "ForAllValues" || quantifier.is_empty() && negated;
    }
    let time = match found {
        Some(ContextValue::Time(time)) => Some(time.millis() as f64 / 1000.0),
        _ => None,
    };
    let matches = |value: &String| wanted.iter().any(|w| compare(&positive, w, value, time, variables, context));
    match quantifier {
        "ForAllValues" => values.iter().all(|value| matches(value) != negated),
        "ForAnyValue" => values.iter().any(|value| matches(value) != negated),
        _ => values.iter().any(matches) != negated,
    }
}

/// Whether one value fits one that is wanted. `time` is the value as seconds since 1970, where it is a moment.
fn compare(operator: &str, wanted: &str, value: &str, time: Option<f64>, variables: bool, context: &Context) -> bool {
    // Without wildcards, what was a wildcard is itself.
    let literal = |p: P| match p {
        P::Many => P::Is('*'),
        P::One => P::Is('?'),
        other => other,
    };
    let lower = |p: P| match p {
        P::Is(c) => P::Is(c.to_ascii_lowercase()),
        other => other,
    };
    let text = |w: &str| -> Option<Vec<P>> { Some(fill(w, variables, context)?.into_iter().map(literal).collect()) };
    match operator {
        "StringEquals" => text(wanted).is_some_and(|pattern| glob(&pattern, &chars(value))),
        "StringEqualsIgnoreCase" => text(wanted).is_some_and(|pattern| {
            glob(&pattern.into_iter().map(lower).collect::<Vec<_>>(), &chars(&value.to_ascii_lowercase()))
        }),
        "StringLike" => fill(wanted, variables, context).is_some_and(|pattern| glob(&pattern, &chars(value))),
        "Bool" => wanted.eq_ignore_ascii_case(value),
        "BinaryEquals" => base64(wanted).is_some() && base64(wanted) == base64(value),
        "IpAddress" => in_network(wanted, value),
        "ArnEquals" | "ArnLike" => {
            // Colons within braces part nothing.
            let (mut parts, mut inside) = (vec![String::new()], false);
            for c in if wanted == "*" { "*:*:*:*:*:*" } else { wanted }.chars() {
                inside = (inside || c == '{') && c != '}';
                let parts_full = parts.len() == 6;
                match parts.last_mut() {
                    Some(last) if c != ':' || inside || parts_full => last.push(c),
                    _ => parts.push(String::new()),
                }
            }
            let values: Vec<&str> = value.splitn(6, ':').collect();
            values.len() == 6
                && parts.len() == 6
                && parts.iter().zip(values).all(|(part, value)| {
                    fill(part, variables, context).is_some_and(|pattern| glob(&pattern, &chars(value)))
                })
        }
        other => ordered(other, wanted, value, time),
    }
}

fn ordered(operator: &str, wanted: &str, value: &str, time: Option<f64>) -> bool {
    let (found, wanted, order) = match (operator.strip_prefix("Numeric"), operator.strip_prefix("Date")) {
        (Some(order), _) => (time.map(f64::floor).or_else(|| value.parse().ok()), wanted.parse().ok(), order),
        (_, Some(order)) => (time.or_else(|| seconds(value)), seconds(wanted), order),
        _ => unreachable!("{operator} is not among the operators"),
    };
    let (Some(found), Some(wanted)): (Option<f64>, Option<f64>) = (found, wanted) else { return false };
    match order {
        "Equals" => found == wanted,
        "LessThan" => found < wanted,
        "LessThanEquals" => found <= wanted,
        "GreaterThan" => found > wanted,
        "GreaterThanEquals" => found >= wanted,
        other => unreachable!("{other} is no order"),
    }
}

/// Seconds since 1970 of a date: of its year, month and day, with hour, minute, second and zone; or a number of seconds.
fn seconds(text: &str) -> Option<f64> {
    let numbers = |text: &str, by: char| text.split(by).map(|n| n.parse().ok()).collect::<Option<Vec<f64>>>();
    if text.len() > 4 && text.chars().all(|c| c.is_ascii_digit()) {
        return text.parse().ok();
    }
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    if date.find('-').unwrap_or(date.len()) != "YYYY".len() {
        return None;
    }
    let date = numbers(date, '-')?;
    let at = time.find(['Z', '+', '-'])?;
    let clock = numbers(&time[..at], ':')?;
    let zone = match &time[at..] {
        "Z" => 0.0,
        zone => {
            let parts = numbers(&zone[1..], ':')?;
            (parts[0] * 3600.0 + parts[1] * 60.0) * if zone.starts_with('-') { -1.0 } else { 1.0 }
        }
    };
    let part = |of: &[f64], at: usize, default: f64| of.get(at).copied().unwrap_or(default);
    let (year, month, day) = (part(&date, 0, 1970.0) as u64, part(&date, 1, 1.0) as usize, part(&date, 2, 1.0));
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut days = day - 1.0;
    for year in 1970..year {
        days += if leap(year) { 366.0 } else { 365.0 };
    }
    for (month, length) in (1..month).zip([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30]) {
        days += f64::from(length) + if month == 2 && leap(year) { 1.0 } else { 0.0 };
    }
    let clock = part(&clock, 0, 0.0) * 3600.0 + part(&clock, 1, 0.0) * 60.0 + part(&clock, 2, 0.0);
    Some(days * 86_400.0 + clock - zone)
}

/// The bits of a base64 text with its padding.
fn base64(text: &str) -> Option<String> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=');
    let bits: Option<String> = digits.chars().map(|c| Some(format!("{:06b}", DIGITS.find(c)?))).collect();
    let bits = bits?;
    text.len().is_multiple_of(4).then(|| bits[..bits.len() / 8 * 8].to_owned())
}

fn in_network(network: &str, value: &str) -> bool {
    // IPv4 addresses are IPv6 ones here, with 96 bits before them, but ranges of the one have no addresses of the other.
    let bits = |text: &str| -> Option<(String, bool)> {
        if let Ok(v4) = text.parse::<std::net::Ipv4Addr>() {
            return Some((format!("{:0128b}", v4.to_ipv6_mapped().to_bits()), true));
        }
        let v6 = text.parse::<std::net::Ipv6Addr>().ok()?;
        Some((format!("{:0128b}", v6.to_bits()), v6.to_ipv4_mapped().is_some()))
    };
    let (base, prefix) = network.split_once('/').map_or((network, None), |(base, prefix)| (base, Some(prefix)));
    let (Some((base_bits, _)), Some((value, v4))) = (bits(base), bits(value)) else { return false };
    let prefix = match prefix.and_then(|prefix| prefix.parse::<usize>().ok()) {
        None => 128,
        Some(prefix) if base.contains(':') => prefix,
        Some(prefix) => prefix + 96,
    };
    (prefix >= 96 || !v4) && base_bits[..prefix] == value[..prefix]
}
