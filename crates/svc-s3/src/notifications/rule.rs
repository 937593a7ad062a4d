//! What a bucket announces to whom: the configuration as it is kept, and which of its rules an event fits.

use bytes::Bytes;
use millpond_types::{AccountId, Arn};
use prost::Message;

use crate::notifications::events::Events;

/// A bucket's notifications.
#[derive(Clone, PartialEq, Debug)]
pub struct Notifications {
    /// The bucket's owner: also known when the bucket is no longer there.
    pub owner: AccountId,
    /// Queues and topics, and which events they get, in the order of the configuration.
    pub rules: Vec<Rule>,
    /// Whether all events go to the owner's default bus.
    pub bridge: bool,
}

/// What a destination is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Destination {
    /// A queue.
    Queue,
    /// A topic.
    Topic,
    /// A function.
    Function,
}

/// Events for one destination.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// The client's name for it, or ours.
    pub id: String,
    /// The kind of the destination.
    pub kind: Destination,
    /// The destination.
    pub arn: Arn,
    /// Types by name, as the client wrote them.
    pub names: Vec<String>,
    /// The same as a set.
    pub events: Events,
    /// The beginning of keys, as the client wrote it.
    pub prefix: Option<String>,
    /// Their end, as the client wrote it.
    pub suffix: Option<String>,
    /// The beginning and end that keys are compared with.
    within: (String, String),
}

/// A configuration at rest. A tag never changes its meaning.
#[derive(Clone, PartialEq, Message)]
struct NotificationsRow {
    #[prost(message, repeated, tag = "1")]
    rules: Vec<RuleRow>,
    #[prost(bool, tag = "2")]
    bridge: bool,
    #[prost(string, tag = "3")]
    owner: String,
}

#[derive(Clone, PartialEq, Message)]
struct RuleRow {
    #[prost(string, tag = "1")]
    id: String,
    /// 1 a queue, 2 a topic, 3 a function.
    #[prost(uint32, tag = "2")]
    kind: u32,
    #[prost(string, tag = "3")]
    arn: String,
    #[prost(string, repeated, tag = "4")]
    events: Vec<String>,
    #[prost(string, optional, tag = "5")]
    prefix: Option<String>,
    #[prost(string, optional, tag = "6")]
    suffix: Option<String>,
}

impl Rule {
    /// A rule whose names of types are known; `None` when one is not.
    pub fn new(
        id: String,
        (kind, arn): (Destination, Arn),
        names: Vec<String>,
        (prefix, suffix): (Option<String>, Option<String>),
    ) -> Option<Self> {
        let events = names.iter().try_fold(Events::default(), |all, name| Some(all.and(Events::named(name)?)))?;
        let compared = |value: &Option<String>| value.as_deref().map(decoded).unwrap_or_default();
        let within = (compared(&prefix), compared(&suffix));
        Some(Self { id, kind, arn, names, events, prefix, suffix, within })
    }

    /// Whether an event on a key is one of the rule's.
    pub fn fits(&self, event: Events, key: &str) -> bool {
        self.events.overlaps(event) && key.starts_with(&self.within.0) && key.ends_with(&self.within.1)
    }

    /// Why an event on a key is none of the rule's; `None` when it is one.
    pub fn misfit(&self, event: Events, name: &str, key: &str) -> Option<String> {
        let (prefix, suffix) = &self.within;
        if !self.events.overlaps(event) {
            return Some(format!("its events are {}, and not {name}", self.names.join(", ")));
        }
        if !key.starts_with(prefix.as_str()) {
            return Some(format!("its prefix is {prefix:?}, and the key does not begin with it"));
        }
        (!key.ends_with(suffix.as_str())).then(|| format!("its suffix is {suffix:?}, and the key does not end with it"))
    }

    /// Whether one event could fit both rules: they have a type in common, and there are keys that begin and end as both want.
    pub fn overlaps(&self, other: &Self) -> bool {
        let ((prefix, suffix), (others, ending)) = (&self.within, &other.within);
        self.events.overlaps(other.events)
            && (prefix.starts_with(others.as_str()) || others.starts_with(prefix.as_str()))
            && (suffix.ends_with(ending.as_str()) || ending.ends_with(suffix.as_str()))
    }

    /// Whether it names no beginning and no end.
    pub fn takes_all_keys(&self) -> bool {
        self.within.0.is_empty() && self.within.1.is_empty()
    }
}

/// Values of filters may be percent-encoded (S3 User Guide, "Configuring event notifications using object key name filtering"). One that is no such
/// encoding stands for itself.
fn decoded(value: &str) -> String {
    let bytes = value.as_bytes();
    let digit =
        |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                plain.push(high << 4 | low);
                at += 3;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).unwrap_or_else(|_| value.to_owned())
}

impl Notifications {
    /// Whether nobody is told of anything.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && !self.bridge
    }

    /// As it is stored.
    pub fn row(&self) -> Bytes {
        let rule = |rule: &Rule| RuleRow {
            id: rule.id.clone(),
            kind: match rule.kind {
                Destination::Queue => 1,
                Destination::Topic => 2,
                Destination::Function => 3,
            },
            arn: rule.arn.to_string(),
            events: rule.names.clone(),
            prefix: rule.prefix.clone(),
            suffix: rule.suffix.clone(),
        };
        let rules = self.rules.iter().map(rule).collect();
        NotificationsRow { rules, bridge: self.bridge, owner: self.owner.to_string() }.encode_to_vec().into()
    }

    /// From what is stored; `None` when it cannot be read.
    pub fn read(row: &Bytes) -> Option<Self> {
        let NotificationsRow { rules, bridge, owner } = NotificationsRow::decode(row.clone()).ok()?;
        let rule = |row: RuleRow| {
            let kind = match row.kind {
                1 => Destination::Queue,
                2 => Destination::Topic,
                3 => Destination::Function,
                _ => return None,
            };
            Rule::new(row.id, (kind, Arn::parse(&row.arn)?), row.events, (row.prefix, row.suffix))
        };
        let rules = rules.into_iter().map(rule).collect::<Option<_>>()?;
        Some(Self { owner: owner.parse().ok()?, rules, bridge })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(events: &[&str], prefix: Option<&str>, suffix: Option<&str>) -> Rule {
        let arn = Arn::parse("arn:aws:sqs:us-east-1:123456789012:q").unwrap();
        let names = events.iter().map(|name| (*name).to_owned()).collect();
        let (prefix, suffix) = (prefix.map(str::to_owned), suffix.map(str::to_owned));
        Rule::new("id".into(), (Destination::Queue, arn), names, (prefix, suffix)).unwrap()
    }

    const CREATED: &[&str] = &["s3:ObjectCreated:*"];
    const PUT: &[&str] = &["s3:ObjectCreated:Put"];
    const REMOVED: &[&str] = &["s3:ObjectRemoved:*"];

    /// The examples of the S3 User Guide, "Configuring event notifications using object key name filtering", and what they leave out.
    #[test]
    fn rules_overlap_where_one_key_could_fit_both() {
        for (one, other, expected) in [
            ((CREATED, None, None), (CREATED, None, None), true),
            ((CREATED, None, None), (REMOVED, None, None), false),
            ((CREATED, None, None), (PUT, Some("a"), None), true),
            ((PUT, Some("images/"), None), (PUT, Some("logs/"), None), false),
            ((CREATED, None, Some(".jpg")), (CREATED, None, Some(".png")), false),
            ((CREATED, Some("images"), Some(".jpg")), (CREATED, Some("images"), Some(".png")), false),
            ((CREATED, None, None), (CREATED, Some("images"), None), true),
            ((CREATED, None, Some(".jpg")), (CREATED, None, Some("pg")), true),
            ((CREATED, Some("images"), None), (CREATED, None, Some(".jpg")), true),
            ((CREATED, Some("images"), Some("jpg")), (CREATED, Some("im"), None), true),
            ((CREATED, Some("a b"), None), (CREATED, Some("a%20b/c"), None), true),
        ] {
            let (first, second) = (rule(one.0, one.1, one.2), rule(other.0, other.1, other.2));
            assert_eq!(first.overlaps(&second), expected, "{one:?} {other:?}");
            assert_eq!(second.overlaps(&first), expected, "{one:?} {other:?}");
        }
    }

    #[test]
    fn keys_begin_and_end_as_the_rule_says() {
        let put = Events::named("s3:ObjectCreated:Put").unwrap();
        for (prefix, suffix, key, expected) in [
            (None, None, "any", true),
            (Some(""), Some(""), "any", true),
            (Some("in/"), None, "in/a", true),
            (Some("in/"), None, "out/in/a", false),
            (None, Some(".csv"), "a.csv", true),
            (None, Some(".csv"), "a.csv.gz", false),
            (Some("a/"), Some(".csv"), "a/b.csv", true),
            (Some("a b/"), None, "a b/c", true),
            (Some("a%20b/"), None, "a b/c", true),
            (Some("a+b"), None, "a+b", true),
            (Some("a+b"), None, "a b", false),
            (Some("100%"), None, "100% sure", true),
            (Some("%E6%97%A5/"), None, "日/x", true),
            (Some("%FF"), None, "%FFx", true),
            (Some("%2520"), None, "%20x", true),
        ] {
            let rule = rule(CREATED, prefix, suffix);
            assert_eq!(rule.fits(put, key), expected, "{prefix:?} {suffix:?} {key}");
            assert_eq!(rule.misfit(put, "", key).is_none(), expected, "{prefix:?} {suffix:?} {key}");
        }
        assert!(!rule(REMOVED, None, None).fits(put, "any"));
        for (events, prefix, suffix, why) in [
            (REMOVED, None, None, "its events are s3:ObjectRemoved:*, and not s3:ObjectCreated:Put"),
            (CREATED, Some("in%2F"), None, "its prefix is \"in/\", and the key does not begin with it"),
            (CREATED, None, Some(".csv"), "its suffix is \".csv\", and the key does not end with it"),
        ] {
            let misfit = rule(events, prefix, suffix).misfit(put, "s3:ObjectCreated:Put", "a.txt");
            assert_eq!(misfit.as_deref(), Some(why));
        }
    }

    #[test]
    fn configurations_come_back() {
        let rules = vec![rule(CREATED, Some("a%20"), None), rule(REMOVED, None, Some(".x"))];
        let all = Notifications { owner: "123456789012".parse().unwrap(), rules, bridge: true };
        assert_eq!(Notifications::read(&all.row()), Some(all));
        assert_eq!(Notifications::read(&Bytes::from_static(b"x")), None);
    }
}
