//! The closed enum of served operations, and the way to it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::api::{Api, Protocol};
use super::model::Http;
use super::trim::requirements;

/// One operation's way in, served or not.
struct Entry {
    target: String,
    literals: Vec<(String, Option<String>)>,
    query: Vec<String>,
    headers: Vec<String>,
}

impl Api<'_> {
    /// The file `operation.rs`.
    pub fn emit_operations(&self) -> String {
        let mut out = self.emit_operation_enum();
        let unserved: Vec<&str> = self.model.unserved.iter().map(|operation| operation.name.as_str()).collect();
        let _ = write!(
            out,
            "/// The service's operations without a handler, by name.\npub static UNSERVED: &[&str] = &{unserved:?};\n\n"
        );
        out += &self.emit_error_format();
        out += &match self.protocol {
            Protocol::RestXml | Protocol::RestJson => self.emit_rest_routes(),
            Protocol::Json => {
                let prefix = self.model.metadata.target_prefix.as_deref().unwrap_or_default();
                format!(
                    "/// What `X-Amz-Target` begins with, before the dot.\npub const TARGET_PREFIX: &str = {prefix:?};\n\n\
                     /// Routes by the value of `X-Amz-Target`.\npub fn route(target: &str) -> wire::Route<Operation> {{\n\
                     match target.strip_prefix(TARGET_PREFIX).and_then(|rest| rest.strip_prefix('.')) {{\n\
                     Some(name) => wire::route_by_name(name, Operation::from_name(name), UNSERVED),\nNone => wire::Route::Unknown,\n}}\n}}\n"
                )
            }
            Protocol::Query => format!(
                "/// The API version that requests carry as `Version`.\npub const VERSION: &str = {:?};\n\n\
                 /// Routes by the parameter `Action`.\npub fn route(action: &str) -> wire::Route<Operation> {{\n\
                 wire::route_by_name(action, Operation::from_name(action), UNSERVED)\n}}\n",
                self.model.metadata.api_version
            ),
        };
        out
    }

    fn emit_operation_enum(&self) -> String {
        let mut out = String::from(
            "/// The operations with a handler.\n#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]\npub enum Operation {\n",
        );
        let names = || self.model.operations.keys();
        for name in names() {
            let _ = writeln!(out, "/// `{name}`\n{name},");
        }
        out += "}\n\nimpl Operation {\n/// All operations.\npub const ALL: &'static [Self] = &[\n";
        names().for_each(|name| out += &format!("Self::{name},\n"));
        out += "];\n\n/// The operation's name.\npub fn name(self) -> &'static str {\nmatch self {\n";
        names().for_each(|name| out += &format!("Self::{name} => {name:?},\n"));
        out +=
            "}\n}\n\n/// The operation of that name.\npub fn from_name(name: &str) -> Option<Self> {\nmatch name {\n";
        names().for_each(|name| out += &format!("{name:?} => Some(Self::{name}),\n"));
        out += "_ => None,\n}\n}\n\n";
        for (what, method) in [("request", "streams_input"), ("response", "streams_output")] {
            let streaming: Vec<String> = self
                .model
                .operations
                .iter()
                .filter(|(_, o)| self.streams(if what == "request" { &o.input } else { &o.output }))
                .map(|(name, _)| format!("Self::{name}"))
                .collect();
            let body = if streaming.is_empty() {
                "false".to_owned()
            } else {
                format!("matches!(self, {})", streaming.join(" | "))
            };
            let _ = write!(
                out,
                "/// Whether the {what}'s body is streamed beside the typed members.\npub fn {method}(self) -> bool {{\n{body}\n}}\n\n"
            );
        }
        out + "}\n\n"
    }

    fn emit_error_format(&self) -> String {
        let namespace = || format!("{{ namespace: {:?} }}", self.namespace().as_deref());
        let format = match self.protocol {
            Protocol::RestXml if self.service.bucket_and_key => "S3".to_owned(),
            Protocol::RestXml => format!("RestXml {}", namespace()),
            Protocol::Query => format!("Query {}", namespace()),
            Protocol::RestJson => "RestJson".to_owned(),
            Protocol::Json if self.model.metadata.json_version.as_deref() == Some("1.0") => "Json10".to_owned(),
            Protocol::Json => "Json11".to_owned(),
        };
        format!(
            "/// How the service writes errors.\npub const ERROR_FORMAT: wire::ErrorFormat = wire::ErrorFormat::{format};\n\n"
        )
    }

    fn emit_rest_routes(&self) -> String {
        let mut groups: BTreeMap<(String, String), Vec<Entry>> = BTreeMap::new();
        let mut add = |http: &Http, target: String, query: Vec<String>, headers: Vec<String>| {
            let (path, literals) = template(http);
            groups.entry((http.method.clone(), path)).or_default().push(Entry { target, literals, query, headers });
        };
        for (name, operation) in &self.model.operations {
            let (query, headers) = requirements(self.model, operation);
            add(&operation.http, format!("Served(Operation::{name})"), query, headers);
        }
        for operation in &self.model.unserved {
            let (query, headers) = (operation.query.clone(), operation.headers.clone());
            add(&operation.http, format!("Unserved({:?})", operation.name), query, headers);
        }
        let mut out = String::from("static ROUTES: &[wire::RouteGroup<Operation>] = &[\n");
        for ((method, path), entries) in &mut groups {
            // Those with more literals first; names decide among the rest, so that the code is stable.
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.literals.len()));
            let _ = write!(
                out,
                "wire::RouteGroup {{\nmethod: wire::rt::Method::{method},\npath: &[{}],\nentries: &[\n",
                segments(path)
            );
            for entry in entries {
                let _ = writeln!(
                    out,
                    "wire::RouteEntry {{ target: wire::Target::{}, literals: &{:?}, query: &{:?}, headers: &{:?} }},",
                    entry.target, entry.literals, entry.query, entry.headers
                );
            }
            out += "],\n},\n";
        }
        out += "];\n\n";
        out + if self.service.bucket_and_key { ROUTE_BY_SHAPE } else { ROUTE_BY_PATH }
    }

    /// The errors that the model lists.
    pub fn emit_errors(&self) -> String {
        let mut out = String::new();
        let mut all = String::new();
        for (name, shape) in self.model.shapes.iter().filter(|(_, shape)| shape.exception) {
            let _ = writeln!(all, "{},", super::names::constant(name));
            let error = shape.error.clone().unwrap_or_default();
            let code = error.code.unwrap_or_else(|| name.clone());
            let status = error.http_status_code.unwrap_or(if shape.fault { 500 } else { 400 });
            let _ = write!(
                out,
                "/// `{code}`, status {status}.\npub const {}: wire::ErrorDef = wire::ErrorDef {{ code: {code:?}, status: {status} }};\n",
                super::names::constant(name)
            );
        }
        if all.is_empty() {
            return out;
        }
        out + &format!("\n/// All of them.\npub const ALL: &[wire::ErrorDef] = &[\n{all}];\n")
    }
}

const ROUTE_BY_SHAPE: &str = "\
/// Routes a request addressed by bucket and key.
pub fn route(
    method: &wire::rt::Method,
    has_bucket: bool,
    has_key: bool,
    query: &wire::QueryPairs<'_>,
    headers: &wire::rt::HeaderMap,
) -> wire::Route<Operation> {
    wire::route_by_shape(ROUTES, method, has_bucket, has_key, query, headers)
}
";

const ROUTE_BY_PATH: &str = "\
/// Routes a request by its path as it came, percent-encoded, and gives the values of the path's labels.
pub fn route(
    method: &wire::rt::Method,
    path: &str,
    query: &wire::QueryPairs<'_>,
    headers: &wire::rt::HeaderMap,
) -> (wire::Route<Operation>, Vec<wire::Label>) {
    wire::match_path(ROUTES, method, path, query, headers)
}
";

/// The path template and the literal query parameters of a way in.
fn template(http: &Http) -> (String, Vec<(String, Option<String>)>) {
    let (path, query) = http.request_uri.split_once('?').unwrap_or((&http.request_uri, ""));
    let literals = query.split('&').filter(|piece| !piece.is_empty()).map(|piece| match piece.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (piece.to_owned(), None),
    });
    (path.to_owned(), literals.collect())
}

/// The path's segments as expressions.
fn segments(path: &str) -> String {
    let segment = |text: &str| {
        let label = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match label.map(|label| label.strip_suffix('+').ok_or(label)) {
            Some(Ok(greedy)) => format!("wire::Segment::Greedy({greedy:?})"),
            Some(Err(label)) => format!("wire::Segment::Label({label:?})"),
            None => format!("wire::Segment::Literal({text:?})"),
        }
    };
    path.split('/').filter(|text| !text.is_empty()).map(segment).collect::<Vec<_>>().join(", ")
}
