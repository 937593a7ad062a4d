//! What a target gets of an event (User Guide, "Amazon EventBridge input transformation"): all of it, a constant, a part, or a template
//! that is filled in.
//!
//! A template is JSON, or one or several strings in quotes. A variable that stands by itself becomes a JSON value; within quotes it becomes the
//! text of the value, which is not escaped. What a JSON template becomes must be JSON, and loses its white space; strings stay as
//! they are. A path that names nothing gives an empty string.

use std::collections::BTreeMap;

use super::json::{Json, push_string};
use super::path::{Found, Path};

/// The most bytes that a target is given; what an event may have at most.
pub(crate) const MAX_OUTPUT: usize = 256 * 1024;
/// Variables of a transformer.
pub(crate) const MAX_VARIABLES: usize = 100;
/// What the names of our own variables begin with.
const RESERVED: &str = "aws.events.";

/// How a target's input is made.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) enum Input {
    /// The event as it is.
    #[default]
    Event,
    /// The same for every event.
    Constant(String),
    /// A part.
    Path(Path),
    /// A template.
    Template(Template),
}

/// What is known of an event when it is given to a target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// The whole event.
    pub event: Json<'a>,
    /// The ARN of the rule that matched.
    pub rule_arn: &'a str,
    /// Its name.
    pub rule_name: &'a str,
    /// When the event came, as ISO 8601.
    pub ingested: &'a str,
}

/// Why a target cannot be given anything.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// The path names nothing.
    #[error("the input path names nothing in the event")]
    Nothing,
    /// What the template became is no JSON.
    #[error("the input template did not become JSON: {0}")]
    NotJson(String),
    /// Too much came out.
    #[error("the input is larger than {MAX_OUTPUT} bytes")]
    TooLarge,
}

/// A compiled template.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Template {
    parts: Vec<Part>,
    /// Whether it is JSON rather than strings.
    json: bool,
}

#[derive(Clone, PartialEq, Debug)]
enum Part {
    Text(String),
    Variable { what: Variable, quoted: bool },
}

#[derive(Clone, PartialEq, Debug)]
enum Variable {
    Path(Path),
    RuleArn,
    RuleName,
    IngestionTime,
    /// The event without its detail.
    Event,
    EventJson,
}

/// Why a template is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum BadTemplate {
    /// A variable that is not defined.
    #[error("contains invalid placeholder {0}.")]
    Undefined(String),
    /// Not JSON, whatever the variables become.
    #[error("is not valid: {0}")]
    NotJson(String),
    /// A path that is none.
    #[error("has an invalid path for {0}: {1}")]
    Path(String, String),
    /// A name that is reserved.
    #[error("defines {0}, a name that is reserved")]
    Reserved(String),
    /// Too many variables.
    #[error("has more than {MAX_VARIABLES} variables")]
    TooMany,
}

impl Variable {
    fn of(name: &str, paths: &BTreeMap<String, Path>) -> Option<Self> {
        Some(match name.strip_prefix(RESERVED) {
            Some("rule-arn") => Self::RuleArn,
            Some("rule-name") => Self::RuleName,
            Some("event.ingestion-time") => Self::IngestionTime,
            Some("event") => Self::Event,
            Some("event.json") => Self::EventJson,
            _ => Self::Path(paths.get(name)?.clone()),
        })
    }
}

impl Template {
    /// Compiles and checks a template and its variables.
    pub fn compile(paths: &BTreeMap<String, String>, text: &str) -> Result<Self, BadTemplate> {
        if paths.len() > MAX_VARIABLES {
            return Err(BadTemplate::TooMany);
        }
        let mut known = BTreeMap::new();
        for (name, path) in paths {
            // API reference, InputTransformer: names must not begin with AWS.
            if name.get(..3).is_some_and(|begin| begin.eq_ignore_ascii_case("aws")) {
                return Err(BadTemplate::Reserved(name.clone()));
            }
            let path = Path::parse(path).map_err(|why| BadTemplate::Path(name.clone(), why))?;
            known.insert(name.clone(), path);
        }
        let parts = parts(text, &known)?;
        let json = !text.trim_start().starts_with('"');
        let template = Self { parts, json };
        template.check()?;
        Ok(template)
    }

    /// Whether anything can come of it: filled in with harmless values it must be what it is to be.
    fn check(&self) -> Result<(), BadTemplate> {
        let mut sample = String::new();
        for part in &self.parts {
            sample.push_str(match part {
                Part::Text(text) => text,
                Part::Variable { quoted: true, .. } => "x",
                Part::Variable { quoted: false, .. } => "0",
            });
        }
        let not_json = |error: serde_json::Error| BadTemplate::NotJson(error.to_string());
        if self.json {
            return serde_json::from_str::<serde::de::IgnoredAny>(&sample).map(drop).map_err(not_json);
        }
        for string in serde_json::Deserializer::from_str(&sample).into_iter::<String>() {
            string.map_err(not_json)?;
        }
        Ok(())
    }

    fn fill(&self, facts: &Facts<'_>) -> Result<String, Unfit> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Variable { what, quoted } => what.push(facts, *quoted, self.json, &mut out),
            }
            if out.len() > MAX_OUTPUT {
                return Err(Unfit::TooLarge);
            }
        }
        if !self.json {
            return Ok(out);
        }
        match serde_json::from_str::<serde::de::IgnoredAny>(&out) {
            Ok(_) => Ok(Json::parse(&out).map(Json::compact).unwrap_or_default()),
            Err(error) => Err(Unfit::NotJson(error.to_string())),
        }
    }
}

impl Variable {
    fn push(&self, facts: &Facts<'_>, quoted: bool, json: bool, out: &mut String) {
        match self {
            Self::RuleArn => push_text(out, facts.rule_arn, quoted),
            Self::RuleName => push_text(out, facts.rule_name, quoted),
            Self::IngestionTime => push_text(out, facts.ingested, quoted),
            Self::EventJson => push_value(out, facts.event, quoted, json),
            Self::Event => {
                let text = without_detail(facts.event);
                if let Some(event) = Json::parse(&text) {
                    push_value(out, event, quoted, json);
                }
            }
            Self::Path(path) => match path.find(facts.event) {
                Found::One(value) => push_value(out, value, quoted, json),
                Found::Nothing => push_text(out, "", quoted),
                Found::Many(values) => {
                    let mut list = String::from("[");
                    for (at, value) in values.iter().enumerate() {
                        if at > 0 {
                            list.push(',');
                        }
                        value.push_compact(&mut list);
                    }
                    list.push(']');
                    if let Some(list) = Json::parse(&list) {
                        push_value(out, list, quoted, json);
                    }
                }
            },
        }
    }
}

fn push_text(out: &mut String, text: &str, quoted: bool) {
    if quoted {
        out.push_str(text);
    } else {
        push_string(out, text);
    }
}

fn push_value(out: &mut String, value: Json<'_>, quoted: bool, json: bool) {
    match value.string() {
        Some(text) if quoted => out.push_str(&text),
        None if quoted && !json && value.is_container() => {
            // Within a string template AWS leaves out the quotes of objects and lists.
            out.extend(value.compact().chars().filter(|c| *c != '"'));
        }
        _ => value.push_compact(out),
    }
}

fn without_detail(event: Json<'_>) -> String {
    let mut out = String::from("{");
    for (name, value) in event.members().iter().filter(|(name, _)| name != "detail") {
        if out.len() > 1 {
            out.push(',');
        }
        push_string(&mut out, name);
        out.push(':');
        value.push_compact(&mut out);
    }
    out.push('}');
    out
}

/// The parts of a template; what stands in angle brackets and can be a name is a variable.
fn parts(text: &str, paths: &BTreeMap<String, Path>) -> Result<Vec<Part>, BadTemplate> {
    let (mut parts, mut plain) = (Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '<'
            && let Some((name, after)) = rest[1..].split_once('>')
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        {
            let what = Variable::of(name, paths).ok_or_else(|| BadTemplate::Undefined(name.to_owned()))?;
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(Part::Variable { what, quoted });
            (rest, escaped) = (after, false);
            continue;
        }
        if quoted {
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else {
            quoted = c == '"';
        }
        plain.push(c);
        rest = &rest[c.len_utf8()..];
    }
    parts.push(Part::Text(plain));
    Ok(parts)
}

impl Input {
    /// What the target is given.
    pub fn render(&self, facts: &Facts<'_>) -> Result<String, Unfit> {
        let out = match self {
            Self::Event => facts.event.text().to_owned(),
            Self::Constant(text) => text.clone(),
            Self::Path(path) => match path.find(facts.event) {
                Found::Nothing => return Err(Unfit::Nothing),
                Found::One(value) => value.compact(),
                Found::Many(values) => {
                    let values: Vec<_> = values.into_iter().map(Json::compact).collect();
                    format!("[{}]", values.join(","))
                }
            },
            Self::Template(template) => template.fill(facts)?,
        };
        if out.len() > MAX_OUTPUT { Err(Unfit::TooLarge) } else { Ok(out) }
    }
}

/// For fuzzing: hostile templates, paths and events give an error or something bounded, never a panic.
#[cfg(any(test, feature = "testing"))]
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let (path, template, event) =
        (lines.next().unwrap_or_default(), lines.next().unwrap_or_default(), lines.next().unwrap_or("{}"));
    let Some(event) = Json::parse(event) else { return };
    let facts =
        Facts { event, rule_arn: "arn:aws:events:r:a:rule/n", rule_name: "n", ingested: "2026-01-01T00:00:00Z" };
    if let Ok(path) = Path::parse(path)
        && let Ok(found) = Input::Path(path).render(&facts)
    {
        assert!(Json::parse(&found).is_some(), "a part of JSON is JSON");
    }
    let paths = BTreeMap::from([("a".to_owned(), path.to_owned())]);
    let Ok(template) = Template::compile(&paths, template) else { return };
    let json = template.json;
    if let Ok(out) = Input::Template(template).render(&facts) {
        assert!(out.len() <= MAX_OUTPUT && (!json || Json::parse(&out).is_some()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"version":"0","id":"7bf73129","detail-type":"EC2 Instance State-change Notification","source":"aws.ec2","resources":["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],"detail":{"instance-id":"i-0123456789","state":"RUNNING","n":1.50,"list":["a",{"b":1}],"q":"say \"hi\"","null":null}}"#;

    fn paths() -> BTreeMap<String, String> {
        [
            ("instance", "$.detail.instance-id"),
            ("state", "$.detail.state"),
            ("n", "$.detail.n"),
            ("list", "$.detail.list"),
            ("detail", "$.detail"),
            ("none", "$.detail.none"),
            ("q", "$.detail.q"),
            ("null", "$.detail.null"),
            ("each", "$.resources[*]"),
        ]
        .map(|(name, path)| (name.to_owned(), path.to_owned()))
        .into()
    }

    fn filled(template: &str) -> Result<String, String> {
        let template = Template::compile(&paths(), template).map_err(|bad| bad.to_string())?;
        let facts = Facts {
            event: Json::parse(EVENT).unwrap(),
            rule_arn: "arn:aws:events:us-east-2:123456789012:rule/example",
            rule_name: "example",
            ingested: "2015-11-11T21:29:54Z",
        };
        Input::Template(template).render(&facts).map_err(|unfit| unfit.to_string())
    }

    /// The table of the User Guide ("Input transform examples"), and what real deliveries look like.
    #[test]
    fn templates() {
        for (template, expected) in [
            (r#""instance <instance> is in <state>""#, r#""instance i-0123456789 is in RUNNING""#),
            (r#""instance \"<instance>\" is in <state>""#, r#""instance \"i-0123456789\" is in RUNNING""#),
            (
                "{\n \"instance\" : <instance>,\n \"state\": <state>\n}",
                r#"{"instance":"i-0123456789","state":"RUNNING"}"#,
            ),
            (
                r#"{"instance": <instance>, "state": "<state>", "s": "instance \"<instance>\" is in <state>"}"#,
                r#"{"instance":"i-0123456789","state":"RUNNING","s":"instance \"i-0123456789\" is in RUNNING"}"#,
            ),
            (
                r#"{"instance" : <instance>, "state": [ 9, <state>, true ], "Transformed" : "Yes"}"#,
                r#"{"instance":"i-0123456789","state":[9,"RUNNING",true],"Transformed":"Yes"}"#,
            ),
            (
                r#"{"arn": <aws.events.rule-arn>, "name": "<aws.events.rule-name>", "at": <aws.events.event.ingestion-time>}"#,
                r#"{"arn":"arn:aws:events:us-east-2:123456789012:rule/example","name":"example","at":"2015-11-11T21:29:54Z"}"#,
            ),
            (r#""<aws.events.rule-name> triggered""#, r#""example triggered""#),
            // Several strings, one a line.
            ("\"<instance>\"\n\"<state>\"", "\"i-0123456789\"\n\"RUNNING\""),
            // A string may begin like JSON.
            (r#""{[/for <state>""#, r#""{[/for RUNNING""#),
            // Numbers keep their form, objects and lists are no strings.
            (
                r#"{"n": <n>, "s": "<n>", "l": <list>, "0": <null>}"#,
                r#"{"n":1.50,"s":"1.50","l":["a",{"b":1}],"0":null}"#,
            ),
            (r#"{"each": <each>}"#, r#"{"each":["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"]}"#),
            // In a string they lose their quotes.
            (r#""got <list>""#, r#""got [a,{b:1}]""#),
            // What a path does not find is an empty string.
            (r#"{"a": <none>, "b": "x<none>y"}"#, r#"{"a":"","b":"xy"}"#),
            (r#""a <none>""#, r#""a ""#),
            (
                "<detail>",
                r#"{"instance-id":"i-0123456789","state":"RUNNING","n":1.50,"list":["a",{"b":1}],"q":"say \"hi\"","null":null}"#,
            ),
            ("<state>", r#""RUNNING""#),
            // What is no variable stays.
            (r#""a < b and <no name> <>""#, r#""a < b and <no name> <>""#),
            (r#"{"q": <q>}"#, r#"{"q":"say \"hi\""}"#),
        ] {
            assert_eq!(filled(template).as_deref(), Ok(expected), "{template}");
        }
        let whole = filled(r#"{"event": <aws.events.event>, "json": <aws.events.event.json>}"#).unwrap();
        let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
        assert_eq!(whole["json"], serde_json::from_str::<serde_json::Value>(EVENT).unwrap());
        assert!(whole["event"].get("detail").is_none() && whole["event"]["id"] == "7bf73129");
    }

    #[test]
    fn what_cannot_be_a_template() {
        for (template, expected) in [
            (r#""with <other>""#, "contains invalid placeholder other."),
            (r#"{"a": <aws.events.other>}"#, "contains invalid placeholder aws.events.other."),
            ("hello <state>", "is not valid: expected value at line 1 column 1"),
            (r#"{"a": users/<state>}"#, "is not valid: expected value at line 1 column 7"),
            (r#"{<state>: 1}"#, "is not valid: key must be a string at line 1 column 2"),
            (r#"{"a": 1"#, "is not valid: EOF while parsing an object at line 1 column 7"),
            (r#""a" b"#, "is not valid: expected value at line 1 column 5"),
            // Not known before an event comes: values are not escaped.
            (r#"{"a": "<detail>"}"#, "the input template did not become JSON: expected `,` or `}` at line 1 column 10"),
            (r#"{"a": "<q>"}"#, "the input template did not become JSON: expected `,` or `}` at line 1 column 13"),
        ] {
            assert_eq!(filled(template), Err(expected.to_owned()), "{template}");
        }
        let compile = |name: &str, path: &str| {
            Template::compile(&BTreeMap::from([(name.to_owned(), path.to_owned())]), "<a>")
                .map_err(|bad| bad.to_string())
        };
        assert_eq!(compile("AWSname", "$"), Err("defines AWSname, a name that is reserved".to_owned()));
        assert_eq!(compile("a", "x"), Err("has an invalid path for a: a path begins with $".to_owned()));
        let many = (0..101).map(|n| (format!("v{n}"), "$".to_owned())).collect();
        assert_eq!(Template::compile(&many, "1"), Err(BadTemplate::TooMany));
    }

    /// A short template must not make a large delivery.
    #[test]
    fn what_comes_out_is_bounded() {
        let event = format!("{{\"detail\":\"{}\"}}", "x".repeat(200 * 1024));
        let facts = Facts { event: Json::parse(&event).unwrap(), rule_arn: "", rule_name: "", ingested: "" };
        let paths = BTreeMap::from([("d".to_owned(), "$.detail".to_owned())]);
        let template = Template::compile(&paths, &format!("\"{}\"", "<d>".repeat(2000))).unwrap();
        assert_eq!(Input::Template(template).render(&facts), Err(Unfit::TooLarge));
    }

    #[test]
    fn parts_and_constants() {
        let facts = Facts { event: Json::parse(EVENT).unwrap(), rule_arn: "", rule_name: "", ingested: "" };
        for (input, expected) in [
            (Input::Event, Ok(EVENT)),
            (Input::Constant("{\"a\": 1}".to_owned()), Ok("{\"a\": 1}")),
            (Input::Path(Path::parse("$.detail.state").unwrap()), Ok("\"RUNNING\"")),
            (Input::Path(Path::parse("$.detail.list[*]").unwrap()), Ok("[\"a\",{\"b\":1}]")),
            (Input::Path(Path::parse("$.detail.none").unwrap()), Err(Unfit::Nothing)),
        ] {
            assert_eq!(input.render(&facts), expected.map(str::to_owned), "{input:?}");
        }
    }

    #[test]
    fn hostile_templates_do_no_harm() {
        for data in ["$.a\n{\"x\":<a>}\n{\"a\":1}", "$\n\"<a>\n{}", "$[*]\n<a>\n[1]", "\n\n", "$.\u{e9}\n\"\\<a>\"\n{}"]
        {
            fuzz(data.as_bytes());
        }
    }
}
