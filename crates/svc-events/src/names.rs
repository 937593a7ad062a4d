//! Names and ARNs (Service Authorization Reference, "Resource types defined by Amazon EventBridge").

use millpond_io::Random;
use millpond_types::{AccountId, Arn, Region};

use crate::errors::EventsError;

/// The bus that every account has.
pub(crate) const DEFAULT: &str = "default";

/// Names of things in one region.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    region: Region,
}

/// A bus: whose, and which.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct BusName {
    pub account: AccountId,
    pub name: String,
}

/// What can have tags.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Tagged {
    Bus(BusName),
    Rule(BusName, String),
}

impl Names {
    pub fn new(region: Region) -> Self {
        Self { region }
    }

    pub fn region(&self) -> &Region {
        &self.region
    }

    fn arn(&self, account: AccountId, resource: &str) -> Arn {
        Arn::new("events", self.region.as_str(), account.as_str(), resource)
    }

    pub fn bus(&self, bus: &BusName) -> Arn {
        self.arn(bus.account, &format!("event-bus/{}", bus.name))
    }

    /// Rules of the default bus have ARNs without it.
    pub fn rule(&self, bus: &BusName, rule: &str) -> Arn {
        match bus.name.as_str() {
            DEFAULT => self.arn(bus.account, &format!("rule/{rule}")),
            name => self.arn(bus.account, &format!("rule/{name}/{rule}")),
        }
    }

    pub fn archive(&self, account: AccountId, name: &str) -> Arn {
        self.arn(account, &format!("archive/{name}"))
    }

    pub fn replay(&self, account: AccountId, name: &str) -> Arn {
        self.arn(account, &format!("replay/{name}"))
    }

    pub fn connection(&self, account: AccountId, name: &str, id: u128) -> Arn {
        self.arn(account, &format!("connection/{name}/{}", uuid(id)))
    }

    pub fn destination(&self, account: AccountId, name: &str, id: u128) -> Arn {
        self.arn(account, &format!("api-destination/{name}/{}", uuid(id)))
    }

    /// Account and resource of an ARN of ours.
    pub fn parse<'a>(&self, arn: &'a str) -> Option<(AccountId, &'a str)> {
        let fields: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", "aws", "events", region, account, resource] = fields.as_slice() else { return None };
        (*region == self.region.as_str()).then_some(())?;
        Some((account.parse().ok()?, resource))
    }

    /// The bus that an ARN names.
    pub fn bus_of(&self, arn: &str) -> Option<BusName> {
        let (account, resource) = self.parse(arn)?;
        let name = resource.strip_prefix("event-bus/").filter(|name| !name.is_empty())?;
        Some(BusName { account, name: name.to_owned() })
    }

    /// The bus that a name or an ARN means to somebody of an account; the default one when nothing is said.
    pub fn bus_meant(&self, own: AccountId, text: Option<&str>) -> Result<BusName, EventsError> {
        let text = text.unwrap_or(DEFAULT);
        if !text.starts_with("arn:") {
            return Ok(BusName { account: own, name: text.to_owned() });
        }
        let wrong = || EventsError::parameter("EventBusName", "It names no event bus of this region.");
        self.bus_of(text).ok_or_else(wrong)
    }

    /// Name and id of a connection or an API destination, by `kind/name/id`.
    pub fn with_id<'a>(&self, arn: &'a str, kind: &str) -> Option<(AccountId, &'a str, &'a str)> {
        let (account, resource) = self.parse(arn)?;
        let (name, id) = resource.strip_prefix(kind)?.strip_prefix('/')?.split_once('/')?;
        Some((account, name, id))
    }

    /// What an ARN means that is to be tagged.
    pub fn tagged(&self, arn: &str) -> Option<Tagged> {
        if let Some(bus) = self.bus_of(arn) {
            return Some(Tagged::Bus(bus));
        }
        let (account, resource) = self.parse(arn)?;
        let rest = resource.strip_prefix("rule/")?;
        let (bus, rule) = rest.split_once('/').unwrap_or((DEFAULT, rest));
        let rule = Some(rule).filter(|rule| !rule.is_empty() && !rule.contains('/'))?;
        Some(Tagged::Rule(BusName { account, name: bus.to_owned() }, rule.to_owned()))
    }
}

/// An id as a UUID is written.
pub(crate) fn uuid(id: u128) -> String {
    let hex = format!("{id:032x}");
    let at = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", at(0, 8), at(8, 12), at(12, 16), at(16, 20), at(20, 32))
}

/// A random UUID (RFC 9562, version 4).
pub(crate) fn new_uuid(random: &dyn Random) -> u128 {
    (random.u128() & !(0xF000 << 64) & !(0xC << 60)) | (0x4000 << 64) | (0x8 << 60)
}

#[cfg(test)]
mod tests {
    use millpond_io::SeededRandom;

    use super::*;

    #[test]
    fn names_and_arns() {
        let names = Names::new("us-east-1".parse().unwrap());
        let own: AccountId = "111122223333".parse().unwrap();
        let bus = |name: &str| BusName { account: own, name: name.to_owned() };
        for (arn, expected) in [
            ("arn:aws:events:us-east-1:111122223333:rule/r", Some(Tagged::Rule(bus("default"), "r".into()))),
            ("arn:aws:events:us-east-1:111122223333:rule/b/r", Some(Tagged::Rule(bus("b"), "r".into()))),
            ("arn:aws:events:us-east-1:111122223333:event-bus/b", Some(Tagged::Bus(bus("b")))),
            ("arn:aws:events:us-east-1:111122223333:rule/a/b/c", None),
            ("arn:aws:events:us-east-1:111122223333:rule/", None),
            ("arn:aws:events:eu-west-1:111122223333:rule/r", None),
            ("arn:aws:events:us-east-1:1:rule/r", None),
            ("arn:aws:sqs:us-east-1:111122223333:rule/r", None),
        ] {
            assert_eq!(names.tagged(arn), expected, "{arn}");
            match expected {
                Some(Tagged::Rule(bus, rule)) => assert_eq!(names.rule(&bus, &rule).as_str(), arn),
                Some(Tagged::Bus(bus)) => assert_eq!(names.bus(&bus).as_str(), arn),
                None => {}
            }
        }
        assert_eq!(names.bus_meant(own, None).unwrap(), bus("default"));
        assert_eq!(names.bus_meant(own, Some("b")).unwrap(), bus("b"));
        let foreign = names.bus_meant(own, Some("arn:aws:events:us-east-1:444455556666:event-bus/x")).unwrap();
        assert_eq!((foreign.account.as_str(), foreign.name.as_str()), ("444455556666", "x"));
        assert!(names.bus_meant(own, Some("arn:aws:events:eu-west-1:444455556666:event-bus/x")).is_err());
        let id = new_uuid(&SeededRandom::new(1));
        let arn = names.connection(own, "c", id);
        assert_eq!(names.with_id(arn.as_str(), "connection"), Some((own, "c", uuid(id).as_str())));
        assert_eq!(names.with_id(arn.as_str(), "api-destination"), None);
    }

    #[test]
    fn ids_are_of_version_4() {
        for seed in 0..50 {
            let id = uuid(new_uuid(&SeededRandom::new(seed)));
            assert_eq!((id.len(), &id[14..15]), (36, "4"), "seed {seed}");
            assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "seed {seed}: {id}");
        }
    }
}
