//! The envelope of an event (User Guide, "Amazon EventBridge events").

use millpond_types::{AccountId, Region, Timestamp};

use super::json::{Json, push_string};

/// What an event is made of.
#[derive(Clone, Debug)]
pub(crate) struct New<'a> {
    /// Its id, a UUID.
    pub id: &'a str,
    pub detail_type: &'a str,
    pub source: &'a str,
    /// The account that it comes from.
    pub account: AccountId,
    pub time: Timestamp,
    pub region: &'a Region,
    pub resources: &'a [String],
    /// A JSON object.
    pub detail: Json<'a>,
}

impl New<'_> {
    /// The event as JSON.
    pub fn write(&self) -> String {
        let mut out = String::with_capacity(self.detail.text().len() + 512);
        out.push_str("{\"version\":\"0\"");
        let mut member = |name: &str, value: &str| {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            push_string(&mut out, value);
        };
        member("id", self.id);
        member("detail-type", self.detail_type);
        member("source", self.source);
        member("account", self.account.as_str());
        member("time", &iso8601(self.time));
        member("region", self.region.as_str());
        out.push_str(",\"resources\":[");
        for (at, resource) in self.resources.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            push_string(&mut out, resource);
        }
        out.push_str("],\"detail\":");
        self.detail.push_compact(&mut out);
        out.push('}');
        out
    }
}

/// A time as events have it: in whole seconds.
pub(crate) fn iso8601(time: Timestamp) -> String {
    let mut text = String::new();
    millpond_wire::push_iso8601(&mut text, Timestamp::from_seconds(time.seconds()), false);
    text
}

/// What this server must know of an event that another service made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Given {
    pub id: String,
    pub source: String,
    pub detail_type: String,
    pub account: AccountId,
    pub time: Timestamp,
}

impl Given {
    /// Reads a whole envelope; what is missing or wrong is named.
    pub fn read(event: Json<'_>) -> Result<Self, &'static str> {
        let text = |name: &'static str| event.member(name).and_then(Json::string).ok_or(name);
        if text("version")? != "0" {
            return Err("version");
        }
        if !event.member("detail").is_some_and(Json::is_object) {
            return Err("detail");
        }
        event.member("resources").filter(|list| list.text().starts_with('[')).ok_or("resources")?;
        text("region")?;
        Ok(Self {
            id: text("id")?.into_owned(),
            source: text("source")?.into_owned(),
            detail_type: text("detail-type")?.into_owned(),
            account: text("account")?.parse().map_err(|_| "account")?,
            time: millpond_wire::parse_iso8601(&text("time")?).ok_or("time")?,
        })
    }
}

/// An event of an archive, as a replay gives it: with the replay's name, before its resources.
pub(crate) fn replayed(event: Json<'_>, replay: &str) -> String {
    let mut out = String::from("{");
    for (name, value) in event.members() {
        if name == "replay-name" {
            continue;
        }
        if name == "resources" {
            out.push_str("\"replay-name\":");
            push_string(&mut out, replay);
            out.push(',');
        }
        push_string(&mut out, &name);
        out.push(':');
        out.push_str(value.text());
        out.push(',');
    }
    out.pop();
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_members_in_the_order_of_the_guide() {
        let region: Region = "us-east-1".parse().unwrap();
        let event = New {
            id: "17793124-05d4-b198-2fde-7ededc63b103",
            detail_type: "Object \"x\"",
            source: "my.app",
            account: "111122223333".parse().unwrap(),
            time: Timestamp(1_600_000_000_900_000_000),
            region: &region,
            resources: &["arn:a".to_owned(), "b".to_owned()],
            detail: Json::parse("{ \"n\": 1.0, \"a\": \"b c\" }").unwrap(),
        };
        let text = event.write();
        assert_eq!(
            text,
            "{\"version\":\"0\",\"id\":\"17793124-05d4-b198-2fde-7ededc63b103\",\"detail-type\":\"Object \\\"x\\\"\",\"source\":\"my.app\",\
             \"account\":\"111122223333\",\"time\":\"2020-09-13T12:26:40Z\",\"region\":\"us-east-1\",\"resources\":[\"arn:a\",\"b\"],\
             \"detail\":{\"n\":1.0,\"a\":\"b c\"}}"
        );
        let given = Given::read(Json::parse(&text).unwrap()).unwrap();
        assert_eq!((given.source.as_str(), given.time), ("my.app", Timestamp::from_seconds(1_600_000_000)));
        let again = replayed(Json::parse(&text).unwrap(), "r");
        assert!(again.contains("\"region\":\"us-east-1\",\"replay-name\":\"r\",\"resources\":["), "{again}");
        assert_eq!(replayed(Json::parse(&again).unwrap(), "r"), again, "a replay of a replay has one name");
        for (from, to, missing) in [
            ("\"version\":\"0\"", "\"version\":0", "version"),
            ("\"id\"", "\"di\"", "id"),
            ("\"detail\":{", "\"detail\":1,\"x\":{", "detail"),
            ("111122223333", "1111", "account"),
            ("2020-09", "2020-99", "time"),
            ("[\"arn:a\",\"b\"]", "3", "resources"),
        ] {
            assert_eq!(Given::read(Json::parse(&text.replace(from, to)).unwrap()), Err(missing), "{to}");
        }
    }
}
