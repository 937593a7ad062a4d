//! A model with what emitters ask of it: Rust types, names on the wire, which codecs are needed where.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::config::Service;
use super::model::{Model, Ref, Shape};
use super::names;

/// The protocol of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    RestXml,
    RestJson,
    Json,
    Query,
}

/// A service about to be generated.
pub struct Api<'m> {
    pub model: &'m Model,
    pub service: &'m Service,
    pub protocol: Protocol,
    /// Structures below inputs.
    pub read: BTreeSet<&'m str>,
    /// Structures below outputs.
    pub written: BTreeSet<&'m str>,
    /// Structures and unions with constraints somewhere below.
    checked: BTreeSet<&'m str>,
    /// Headers that members use, by the names of their constants.
    pub headers: RefCell<BTreeMap<String, String>>,
    /// Patterns in use, by the names of their constants.
    pub patterns: RefCell<BTreeMap<String, String>>,
}

/// A member as a field.
pub struct Field<'m> {
    /// The model's name.
    pub name: &'m str,
    /// The Rust name.
    pub field: String,
    pub member: &'m Ref,
    pub shape: &'m Shape,
    pub required: bool,
    pub boxed: bool,
}

impl Field<'_> {
    /// The local variable that holds the member while a structure is read; no other local begins like it.
    pub fn slot(&self) -> String {
        format!("m_{}", self.field)
    }
}

impl<'m> Api<'m> {
    pub fn new(model: &'m Model, service: &'m Service) -> Result<Self, String> {
        let protocol = match model.metadata.protocol.as_str() {
            "rest-xml" => Protocol::RestXml,
            "rest-json" => Protocol::RestJson,
            "json" => Protocol::Json,
            "query" => Protocol::Query,
            other => return Err(format!("protocol {other} is not generated")),
        };
        let mut api = Self {
            model,
            service,
            protocol,
            read: BTreeSet::new(),
            written: BTreeSet::new(),
            checked: BTreeSet::new(),
            headers: RefCell::default(),
            patterns: RefCell::default(),
        };
        let operations = model.operations.values();
        api.read = api.below(operations.clone().filter_map(|o| o.input.as_ref()));
        api.written = api.below(operations.filter_map(|o| o.output.as_ref()));
        api.find_checked();
        Ok(api)
    }

    pub fn shape(&self, name: &str) -> &'m Shape {
        // Trimming has made sure of it; vectors are complete as well.
        self.model.shapes.get(name).unwrap_or_else(|| panic!("the model has no shape {name}"))
    }

    /// The structures that are members, items or values somewhere below these.
    fn below(&self, tops: impl Iterator<Item = &'m Ref>) -> BTreeSet<&'m str> {
        let uses = |name: &str| self.shape(name).uses().map(|r| r.shape.as_str()).collect::<Vec<_>>();
        let mut wanted: Vec<&'m str> = tops.flat_map(|top| uses(&top.shape)).collect();
        let mut seen = BTreeSet::new();
        while let Some(name) = wanted.pop() {
            if seen.insert(name) {
                wanted.extend(uses(name));
            }
        }
        seen.retain(|name| {
            let shape = self.shape(name);
            shape.kind == "structure" && !shape.document
        });
        seen
    }

    fn find_checked(&mut self) {
        loop {
            let more: Vec<&'m str> = self
                .model
                .shapes
                .iter()
                .filter(|(name, shape)| shape.kind == "structure" && !self.checked.contains(name.as_str()))
                .filter(|(_, shape)| shape.members.0.iter().any(|(_, member)| self.is_constrained(member)))
                .map(|(name, _)| name.as_str())
                .collect();
            if more.is_empty() {
                return;
            }
            self.checked.extend(more);
        }
    }

    /// Whether a structure has constraints somewhere below.
    pub fn is_checked(&self, name: &str) -> bool {
        self.checked.contains(name)
    }

    /// Whether a use of a shape needs checking.
    pub fn is_constrained(&self, used: &Ref) -> bool {
        let shape = self.shape(&used.shape);
        let own = shape.min.is_some() || shape.max.is_some() || self.pattern(&used.shape).is_some();
        match shape.kind.as_str() {
            "structure" => self.checked.contains(used.shape.as_str()),
            "list" | "map" => own || shape.uses().any(|inner| self.is_constrained(inner)),
            "string" => own && !self.is_enum(&used.shape),
            "boolean" | "timestamp" => false,
            _ => own,
        }
    }

    /// The pattern of a shape, if it is checked.
    pub fn pattern(&self, name: &str) -> Option<String> {
        let shape = self.shape(name);
        let pattern = shape.pattern.as_ref().filter(|_| shape.kind == "string")?;
        let ignored = self.service.ignored_patterns.iter().any(|ignored| ignored == name);
        (!ignored && pattern != ".*" && !self.is_enum(name)).then(|| translate_pattern(pattern))?
    }

    pub fn is_enum(&self, name: &str) -> bool {
        let shape = self.shape(name);
        shape.kind == "string" && !shape.values.is_empty() && !self.service.open_enums.iter().any(|open| open == name)
    }

    /// The enumerations in use.
    pub fn enums(&self) -> impl Iterator<Item = (&'m str, &'m Shape)> + '_ {
        let all = self.model.shapes.iter().map(|(name, shape)| (name.as_str(), shape));
        all.filter(|(name, _)| self.is_enum(name))
    }

    /// The name of a shape's type. A nested structure must not take the name of an operation's input or output.
    pub fn type_name(&self, shape: &str) -> String {
        let name = names::type_name(shape);
        let taken = |suffix: &str| name.strip_suffix(suffix).is_some_and(|op| self.model.operations.contains_key(op));
        if taken("Input") || taken("Output") { format!("{name}Shape") } else { name }
    }

    pub fn rust_type(&self, name: &str) -> String {
        let shape = self.shape(name);
        let inner = |r: &Option<Ref>| r.as_ref().map_or_else(|| "String".to_owned(), |r| self.rust_type(&r.shape));
        match shape.kind.as_str() {
            "string" if self.is_enum(name) => self.type_name(name),
            "string" | "character" => "String".to_owned(),
            "integer" | "short" | "byte" => "i32".to_owned(),
            "long" => "i64".to_owned(),
            "float" | "double" => "f64".to_owned(),
            "boolean" => "bool".to_owned(),
            "timestamp" => "Timestamp".to_owned(),
            "blob" => "Bytes".to_owned(),
            "list" => format!("Vec<{}>", inner(&shape.member)),
            "map" => format!("BTreeMap<{}, {}>", inner(&shape.key), inner(&shape.value)),
            "structure" if shape.document => "Value".to_owned(),
            "structure" => self.type_name(name),
            other => panic!("shape {name} has the unknown type {other}"),
        }
    }

    /// The members of a structure as fields; a streamed blob is none.
    pub fn fields(&self, name: &'m str) -> Vec<Field<'m>> {
        let shape = self.shape(name);
        let members = shape.members.0.iter().filter(|(_, member)| !self.is_streamed(member));
        members
            .map(|(member_name, member)| Field {
                name: member_name,
                field: names::field(member_name),
                member,
                shape: self.shape(&member.shape),
                required: shape.required.contains(member_name)
                    && !self.service.optional.contains(&format!("{name}.{member_name}")),
                boxed: self.reaches(&member.shape, name),
            })
            .collect()
    }

    pub fn is_streamed(&self, member: &Ref) -> bool {
        let shape = self.shape(&member.shape);
        shape.kind == "blob" && (member.streaming || shape.streaming)
    }

    /// Whether an operation's input or output has a streamed body.
    pub fn streams(&self, top: &Option<Ref>) -> bool {
        let Some(top) = top else { return false };
        self.shape(&top.shape).members.0.iter().any(|(_, member)| self.is_streamed(member))
    }

    /// Whether a structure holds another (or itself) directly, without a list or a map between.
    fn reaches(&self, from: &str, to: &str) -> bool {
        let mut wanted = vec![from];
        let mut seen = BTreeSet::new();
        while let Some(name) = wanted.pop() {
            let shape = self.shape(name);
            if shape.kind != "structure" || shape.document || !seen.insert(name) {
                continue;
            }
            if name == to {
                return true;
            }
            wanted.extend(shape.members.0.iter().map(|(_, member)| member.shape.as_str()));
        }
        false
    }

    /// Whether a type has a default: enumerations and unions have none.
    pub fn has_default(&self, name: &str) -> bool {
        let shape = self.shape(name);
        match shape.kind.as_str() {
            "structure" if shape.document => true,
            "structure" if shape.union => false,
            "structure" => {
                let required = self.fields(shape_name(self.model, name)).into_iter().filter(|field| field.required);
                required.into_iter().all(|field| self.has_default(&field.member.shape))
            }
            _ => !self.is_enum(name),
        }
    }

    pub fn is_flattened(&self, member: &Ref) -> bool {
        member.flattened || self.shape(&member.shape).flattened
    }

    /// The name of a member in XML and in forms. Where it is the *list* that is flattened, as in models older than
    /// Smithy, its items' name counts; where it is the member, its own.
    pub fn wire_name(&self, name: &str, member: &Ref) -> String {
        let shape = self.shape(&member.shape);
        let item = shape.member.as_ref().filter(|_| shape.flattened && !member.flattened);
        let item = item.and_then(|item| item.location_name.clone());
        member.location_name.clone().or(item).unwrap_or_else(|| name.to_owned())
    }

    /// The format of a timestamp, as an expression.
    pub fn time_format(&self, used: &Ref, default: &str) -> &'static str {
        let shape = self.shape(&used.shape);
        let format = used.timestamp_format.as_deref().or(shape.timestamp_format.as_deref()).unwrap_or(default);
        match format {
            "unixTimestamp" => "wire::TimeFormat::EpochSeconds",
            "rfc822" => "wire::TimeFormat::HttpDate",
            _ if self.service.iso8601_millis => "wire::TimeFormat::Iso8601Millis",
            _ => "wire::TimeFormat::Iso8601",
        }
    }

    /// The constant of a header's name.
    pub fn header(&self, name: &str) -> String {
        let lower = name.to_ascii_lowercase();
        let constant = lower.replace('-', "_").to_ascii_uppercase();
        self.headers.borrow_mut().insert(constant.clone(), lower);
        format!("&header_names::{constant}")
    }

    /// The namespace of the service's documents.
    pub fn namespace(&self) -> Option<String> {
        let own = self.service.namespace.clone();
        own.or_else(|| self.model.metadata.xml_namespace.as_ref().map(|ns| ns.uri().to_owned()))
    }
}

fn shape_name<'m>(model: &'m Model, name: &str) -> &'m str {
    model.shapes.get_key_value(name).map_or("", |(name, _)| name)
}

/// A Java pattern in the dialect of the `regex` crate; `None` when it uses look-around or back-references, which that
/// crate does not have (linear time), so that the service must check by hand.
pub fn translate_pattern(pattern: &str) -> Option<String> {
    if ["(?=", "(?!", "(?<=", "(?<!", "\\1", "\\k"].iter().any(|unsupported| pattern.contains(unsupported)) {
        return None;
    }
    let mut out = String::new();
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        match (character, rest.peek().copied()) {
            ('\\', Some('u')) => {
                rest.next();
                let code: String = rest.by_ref().take(4).collect();
                // Halves of surrogate pairs stand for characters beyond the BMP; alone they match nothing.
                let number = u32::from_str_radix(&code, 16).ok()?;
                char::from_u32(number)?;
                out.push_str(&format!("\\u{{{code}}}"));
            }
            ('\\', Some(next)) => {
                rest.next();
                let plain =
                    matches!(next, '/' | '"' | '\'' | ',' | ':' | '=' | '@' | '!' | '%' | '_' | '<' | '>' | ';' | '`');
                if !plain {
                    out.push('\\');
                }
                out.push(next);
            }
            _ => out.push(character),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_translated() {
        for (java, expected) in [
            (r"\/?.+\/.+", Some("/?.+/.+")),
            (r"[\u0009\u0020-\u007E]+", Some(r"[\u{0009}\u{0020}-\u{007E}]+")),
            (r"(?!aws)[a-z]+", None),
            (r"[\ud800\udc00]", None),
            (r"[\p{L}\p{Z}]*", Some(r"[\p{L}\p{Z}]*")),
            (r"arn:[\w+=,.@-]+", Some(r"arn:[\w+=,.@-]+")),
        ] {
            assert_eq!(translate_pattern(java).as_deref(), expected, "{java}");
        }
    }
}
