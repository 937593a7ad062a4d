//! From a policy document to its statements (IAM User Guide, "Grammar of the IAM JSON policy language").

use std::collections::BTreeSet;

use crate::action;
use crate::condition::Condition;
use crate::error::{Fault, PolicyError};
use crate::json::{self, Member, Node, Value};
use crate::pattern::{Pattern, Syntax};
use crate::policy::{PolicyKind, limits};
use crate::statement::{Actions, Effect, Resources, Statement};
use crate::who::{self, Name, Who};

/// The version with policy variables.
const CURRENT: &str = "2012-10-17";
/// The one before it.
const FORMER: &str = "2008-10-17";

/// The statements of a document, and whether it has policy variables.
pub(crate) fn statements(text: &str, kind: &PolicyKind) -> Result<(Vec<Statement>, bool), PolicyError> {
    let start = json::Place { line: 1, column: 1 };
    if text.len() > limits::ANY {
        let reason = format!("A policy has at most {} bytes.", limits::ANY);
        return Err(PolicyError { fault: Fault::TooLarge, reason, place: String::new(), at: start });
    }
    // Keys of objects may have any characters, and so may the policy of their bucket.
    let free = matches!(kind, PolicyKind::Bucket { .. });
    if let Some(c) = text.chars().find(|c| !free && !allowed(*c)) {
        let reason =
            format!("A policy has no characters such as {c:?}: line breaks, tabs and U+0020 to U+00FF are allowed.");
        return Err(PolicyError { fault: Fault::Syntax, reason, place: String::new(), at: start });
    }
    let document = json::parse(text)?;
    let Value::Object(members) = &document.value else {
        return Err(error(Fault::Json, "Policies must be valid JSON and the first byte must be '{'", "", &document));
    };
    let mut reader = Reader { kind, variables: false, sids: BTreeSet::new() };
    reader.variables = reader.version(members, &document)? == CURRENT;
    let mut list = None;
    for member in members {
        match member.name.as_str() {
            "Version" => {}
            "Id" => drop(text_of(&member.value, "Id")?),
            "Statement" => list = Some(&member.value),
            other => return Err(unknown(other, "", member)),
        }
    }
    let list =
        list.ok_or_else(|| error(Fault::Missing("Statement"), "Missing required field Statement", "", &document))?;
    let nodes = match &list.value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(_) => vec![list],
        _ => return Err(error(Fault::Syntax, "Statement is an object or a list of them.", "Statement", list)),
    };
    if nodes.is_empty() {
        return Err(error(Fault::NoStatement, "Could not parse the policy: Statement is empty!", "Statement", list));
    }
    let read = |(at, node)| reader.statement(node, &format!("Statement[{at}]"));
    let statements: Result<Vec<_>, _> = nodes.into_iter().enumerate().map(read).collect();
    Ok((statements?, reader.variables))
}

/// The characters of IAM's parameters of type policyDocumentType.
pub(crate) fn allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}')
}

fn error(fault: Fault, reason: impl Into<String>, place: &str, node: &Node) -> PolicyError {
    PolicyError { fault, reason: reason.into(), place: place.to_owned(), at: node.at }
}

fn unknown(name: &str, place: &str, member: &Member) -> PolicyError {
    let reason = format!("There is no policy element {name:?}.");
    PolicyError { fault: Fault::Syntax, reason, place: place.to_owned(), at: member.at }
}

fn text_of<'a>(node: &'a Node, place: &str) -> Result<&'a str, PolicyError> {
    match &node.value {
        Value::String(text) => Ok(text),
        _ => Err(error(Fault::Syntax, "A text is expected.", place, node)),
    }
}

/// One text, or a list of them, with their nodes.
fn texts<'a>(node: &'a Node, place: &str) -> Result<Vec<(&'a str, &'a Node)>, PolicyError> {
    match &node.value {
        Value::String(text) => Ok(vec![(text, node)]),
        Value::Array(items) => items.iter().map(|item| Ok((text_of(item, place)?, item))).collect(),
        _ => Err(error(Fault::Syntax, "A text or a list of texts is expected.", place, node)),
    }
}

struct Reader<'a> {
    kind: &'a PolicyKind,
    variables: bool,
    sids: BTreeSet<String>,
}

impl Reader<'_> {
    fn names_principals(&self) -> bool {
        matches!(
            self.kind,
            PolicyKind::Bucket { .. } | PolicyKind::Key | PolicyKind::Resource { .. } | PolicyKind::Trust
        )
    }

    fn version<'a>(&self, members: &'a [Member], document: &Node) -> Result<&'a str, PolicyError> {
        let Some(member) = members.iter().find(|member| member.name == "Version") else {
            // Policies of identities are refused without it, so that nobody's variables are taken for text.
            return if self.names_principals() {
                Ok(FORMER)
            } else {
                Err(error(
                    Fault::Version,
                    "Policy document must be version 2012-10-17 or greater.",
                    "Version",
                    document,
                ))
            };
        };
        match text_of(&member.value, "Version")? {
            CURRENT => Ok(CURRENT),
            FORMER if self.names_principals() => Ok(FORMER),
            FORMER => Err(error(
                Fault::Version,
                "Policy document must be version 2012-10-17 or greater.",
                "Version",
                &member.value,
            )),
            _ => Err(error(Fault::Version, "The policy must contain a valid version string", "Version", &member.value)),
        }
    }

    fn statement(&mut self, node: &Node, place: &str) -> Result<Statement, PolicyError> {
        let Value::Object(members) = &node.value else {
            return Err(error(Fault::Syntax, "A statement is an object.", place, node));
        };
        let known = |name: &str| members.iter().find(|member| member.name == name).map(|member| &member.value);
        const ELEMENTS: [&str; 9] = [
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ];
        if let Some(member) = members.iter().find(|member| !ELEMENTS.contains(&member.name.as_str())) {
            return Err(unknown(&member.name, place, member));
        }
        let effect = self.effect(known("Effect"), node, place)?;
        Ok(Statement {
            sid: self.sid(known("Sid"), place)?,
            effect,
            who: self.who((known("Principal"), known("NotPrincipal")), effect, node, place)?,
            actions: self.actions((known("Action"), known("NotAction")), node, place)?,
            resources: self.resources((known("Resource"), known("NotResource")), node, place)?,
            conditions: self.conditions(known("Condition"), place)?,
            start: node.at,
            end: node.end,
        })
    }

    fn sid(&mut self, node: Option<&Node>, place: &str) -> Result<Option<String>, PolicyError> {
        let Some(node) = node else { return Ok(None) };
        let place = format!("{place}.Sid");
        let sid = text_of(node, &place)?;
        if sid.is_empty() {
            return Ok(None);
        }
        // Services allow blanks and more (`__default_statement_ID`); IAM letters and digits alone.
        let free = matches!(self.kind, PolicyKind::Bucket { .. } | PolicyKind::Key | PolicyKind::Resource { .. });
        if !free && !sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(error(Fault::Sid, "Statement IDs (SID) have letters and digits alone.", &place, node));
        }
        if !self.sids.insert(sid.to_owned()) {
            return Err(error(Fault::Sid, "Statement IDs (SID) in a single policy must be unique.", &place, node));
        }
        Ok(Some(sid.to_owned()))
    }

    fn effect(&self, node: Option<&Node>, statement: &Node, place: &str) -> Result<Effect, PolicyError> {
        let missing = || error(Fault::Missing("Effect"), "Missing required field Effect", place, statement);
        let (node, place) = (node.ok_or_else(missing)?, format!("{place}.Effect"));
        match text_of(node, &place)? {
            "Allow" => Ok(Effect::Allow),
            "Deny" => Ok(Effect::Deny),
            other => Err(error(Fault::Effect, format!("Invalid effect: {other}"), &place, node)),
        }
    }

    fn who(
        &self,
        (named, excepted): (Option<&Node>, Option<&Node>),
        effect: Effect,
        statement: &Node,
        place: &str,
    ) -> Result<Option<Who>, PolicyError> {
        let (node, negated) = match (named, excepted) {
            (None, None) if !self.names_principals() => return Ok(None),
            (None, None) => {
                return Err(error(Fault::Missing("Principal"), "Missing required field Principal", place, statement));
            }
            (Some(node), _) | (_, Some(node)) if !self.names_principals() => {
                return Err(error(Fault::Principal, "Policy document should not specify a principal.", place, node));
            }
            (Some(_), Some(node)) => {
                return Err(error(Fault::Syntax, "Principal and NotPrincipal exclude each other.", place, node));
            }
            (Some(node), None) => (node, false),
            (None, Some(node)) => (node, true),
        };
        let place = format!("{place}.{}", if negated { "NotPrincipal" } else { "Principal" });
        if negated && *self.kind == PolicyKind::Trust {
            return Err(error(
                Fault::Principal,
                "AssumeRole policy must not contain NotPrincipal field.",
                &place,
                node,
            ));
        }
        if negated && effect == Effect::Allow {
            return Err(error(Fault::Principal, "Allow with NotPrincipal is not allowed.", &place, node));
        }
        let names = match &node.value {
            Value::String(text) if text == "*" => vec![Name::Everybody],
            Value::Object(kinds) => {
                let mut names = Vec::new();
                for kind in kinds {
                    let place = format!("{place}.{}", kind.name);
                    // S3 alone knows canonical ids (IAM User Guide, "Grammar of the IAM JSON policy language").
                    if kind.name == "CanonicalUser" && !matches!(self.kind, PolicyKind::Bucket { .. }) {
                        let reason = "Canonical user ids are for policies of buckets.";
                        return Err(error(Fault::Principal, reason, &place, &kind.value));
                    }
                    for (text, node) in texts(&kind.value, &place)? {
                        let reason = |why| format!("Invalid principal in policy: \"{}\":\"{text}\": {why}", kind.name);
                        let name = who::parse(&kind.name, text);
                        names.push(name.map_err(|why| error(Fault::Principal, reason(why), &place, node))?);
                    }
                }
                names
            }
            _ => return Err(error(Fault::Principal, "Principal must be \"*\" or an object.", &place, node)),
        };
        if names.is_empty() {
            return Err(error(Fault::Principal, "Missing required field Principal cannot be empty!", &place, node));
        }
        Ok(Some(Who { negated, names }))
    }

    fn actions(
        &self,
        (named, excepted): (Option<&Node>, Option<&Node>),
        statement: &Node,
        place: &str,
    ) -> Result<Actions, PolicyError> {
        let (node, negated) = match (named, excepted) {
            (None, None) => {
                return Err(error(
                    Fault::Missing("Action"),
                    "Policy statement must contain actions.",
                    place,
                    statement,
                ));
            }
            (Some(_), Some(node)) => {
                return Err(error(Fault::Syntax, "Action and NotAction exclude each other.", place, node));
            }
            (Some(node), None) => (node, false),
            (None, Some(node)) => (node, true),
        };
        let place = format!("{place}.{}", if negated { "NotAction" } else { "Action" });
        let mut patterns = Vec::new();
        for (text, node) in texts(node, &place)? {
            let pattern = action::parse(text).map_err(|why| error(Fault::Action, why, &place, node))?;
            if *self.kind == PolicyKind::Trust && pattern.service() != Some("sts") {
                let reason = "AssumeRole policy may only specify STS AssumeRole actions.";
                return Err(error(Fault::Action, reason, &place, node));
            }
            if matches!(self.kind, PolicyKind::Bucket { .. }) && !matches!(pattern.service(), None | Some("s3")) {
                return Err(error(Fault::Action, "Policy has invalid action", &place, node));
            }
            if let PolicyKind::Resource { service } = self.kind
                && pattern.service().is_some_and(|named| named != *service)
            {
                return Err(error(Fault::Action, "Policy statement action out of service scope!", &place, node));
            }
            patterns.push(pattern);
        }
        if patterns.is_empty() {
            return Err(error(Fault::Missing("Action"), "Policy statement must contain actions.", &place, node));
        }
        Ok(Actions { negated, patterns })
    }

    fn resources(
        &self,
        (named, excepted): (Option<&Node>, Option<&Node>),
        statement: &Node,
        place: &str,
    ) -> Result<Option<Resources>, PolicyError> {
        let (node, negated) = match (named, excepted) {
            (None, None) if *self.kind == PolicyKind::Trust => return Ok(None),
            (None, None) => {
                let reason = "Policy statement must contain resources.";
                return Err(error(Fault::Missing("Resource"), reason, place, statement));
            }
            (Some(node), _) | (_, Some(node)) if *self.kind == PolicyKind::Trust => {
                return Err(error(Fault::Resource, "Has prohibited field Resource", place, node));
            }
            (Some(_), Some(node)) => {
                return Err(error(Fault::Syntax, "Resource and NotResource exclude each other.", place, node));
            }
            (Some(node), None) => (node, false),
            (None, Some(node)) => (node, true),
        };
        let place = format!("{place}.{}", if negated { "NotResource" } else { "Resource" });
        let syntax = Syntax { wildcards: true, variables: self.variables, arn: true };
        let mut patterns = Vec::new();
        for (text, node) in texts(node, &place)? {
            self.resource(text).map_err(|why| error(Fault::Resource, why, &place, node))?;
            patterns.push(Pattern::new(text, syntax));
        }
        if patterns.is_empty() {
            let reason = "Policy statement must contain resources.";
            return Err(error(Fault::Missing("Resource"), reason, &place, node));
        }
        Ok(Some(Resources { negated, patterns }))
    }

    /// Whether a text can be a resource here.
    fn resource(&self, text: &str) -> Result<(), String> {
        if let PolicyKind::Bucket { name } = self.kind {
            let within = text.strip_prefix("arn:aws:s3:::").and_then(|rest| rest.strip_prefix(name.as_str()));
            return match within {
                Some(rest) if rest.is_empty() || rest.starts_with('/') || rest.starts_with('*') => Ok(()),
                _ => Err("Policy has invalid resource".to_owned()),
            };
        }
        if text == "*" {
            return Ok(());
        }
        let mut parts = text.splitn(6, ':');
        let (arn, partition, service) = (parts.next(), parts.next(), parts.next());
        if arn != Some("arn") {
            return Err(format!("Resource {text} must be in ARN format or \"*\"."));
        }
        match partition {
            Some("aws" | "*") => {}
            other => {
                let partition = other.unwrap_or_default();
                return Err(format!("Partition \"{partition}\" is not valid for resource \"{text}\"."));
            }
        }
        let vendor = service.is_some_and(|service| !service.is_empty() && !service.contains(['*', '?', '$']));
        if !vendor {
            return Err("Resource vendor must be fully qualified and cannot contain regexes.".to_owned());
        }
        // Fewer parts are fine where a wildcard stands for the rest.
        if text.splitn(6, ':').count() < 6 && !text.ends_with('*') {
            return Err(format!("Resource {text} must be in ARN format or \"*\"."));
        }
        Ok(())
    }

    fn conditions(&self, node: Option<&Node>, place: &str) -> Result<Vec<Condition>, PolicyError> {
        let Some(node) = node else { return Ok(Vec::new()) };
        let place = format!("{place}.Condition");
        let Value::Object(operators) = &node.value else {
            return Err(error(Fault::Condition, "Condition is an object.", &place, node));
        };
        let mut conditions = Vec::new();
        for operator in operators {
            let place = format!("{place}.{}", operator.name);
            let Value::Object(keys) = &operator.value.value else {
                return Err(error(Fault::Condition, "An operator has an object of keys.", &place, &operator.value));
            };
            for key in keys {
                let place = format!("{place}.{}", key.name);
                if key.name.is_empty() || key.name.contains("${") {
                    return Err(error(Fault::Condition, "A condition key has a name.", &place, &key.value));
                }
                let written = condition_values(&key.value, &place)?;
                let condition = Condition::new(&operator.name, &key.name, written, self.variables);
                conditions.push(condition.map_err(|why| error(Fault::Condition, why, &place, &key.value))?);
            }
        }
        Ok(conditions)
    }
}

/// Texts, numbers and truth values, one or a list of them.
fn condition_values(node: &Node, place: &str) -> Result<Vec<String>, PolicyError> {
    let one = |node: &Node| match &node.value {
        Value::String(text) | Value::Number(text) => Ok(text.clone()),
        Value::Bool(value) => Ok(value.to_string()),
        _ => Err(error(Fault::Condition, "A condition's value is a text, a number or a truth value.", place, node)),
    };
    match &node.value {
        Value::Array(items) if items.is_empty() => {
            Err(error(Fault::Condition, "A condition has a value.", place, node))
        }
        Value::Array(items) => items.iter().map(one).collect(),
        _ => Ok(vec![one(node)?]),
    }
}
