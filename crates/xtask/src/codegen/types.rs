//! Structs, enums, unions, and the checks of their constraints.

use std::fmt::Write;

use super::api::{Api, Field, Protocol};
use super::model::Ref;
use super::names;

impl<'m> Api<'m> {
    /// All enumerations.
    pub fn emit_enum(&self, name: &str, values: &[String]) -> String {
        let mut out = format!("wire::string_enum! {{\n/// Values of `{name}`.\npub enum {} {{\n", self.type_name(name));
        for (variant, value) in names::variants(values) {
            let _ = writeln!(out, "{variant} = {value:?},");
        }
        out + "}\n}\n\n"
    }

    /// The declaration of a struct with these fields.
    pub fn emit_struct(&self, name: &str, doc: &str, fields: &[Field<'m>], body: &str) -> String {
        let sensitive = fields.iter().any(|field| field.shape.sensitive);
        let default = fields.iter().all(|field| !field.required || self.has_default(&field.member.shape));
        let mut out = format!("/// {doc}\n#[derive(Clone, PartialEq");
        out += if sensitive { "" } else { ", Debug" };
        out += if default { ", Default" } else { "" };
        let _ = writeln!(out, ")]\npub struct {name} {{");
        for field in fields {
            let _ =
                writeln!(out, "/// {}\npub {}: {},", self.place_of(field, body), field.field, self.field_type(field));
        }
        out += "}\n\n";
        if sensitive {
            out += &emit_debug(name, fields);
        }
        out
    }

    /// Where a member travels, for its documentation.
    fn place_of(&self, field: &Field<'m>, body: &str) -> String {
        let wire = field.member.location_name.as_deref().unwrap_or(field.name);
        match field.member.location.as_deref() {
            Some("uri") => format!("The path's `{wire}`."),
            Some("querystring") if field.shape.kind == "map" => "All other query parameters.".to_owned(),
            Some("querystring") => format!("Query parameter `{wire}`."),
            Some("header") => format!("Header `{wire}`."),
            Some("headers") => format!("All headers `{wire}*`, by the rest of their names."),
            Some("statusCode") => "The HTTP status, when it is not the usual one.".to_owned(),
            _ if matches!(self.protocol, Protocol::Json | Protocol::RestJson) => format!("Member `{wire}` of {body}."),
            _ if field.member.xml_attribute => format!("Attribute `{wire}`."),
            _ => format!("Element `{}` of {body}.", self.wire_name(field.name, field.member)),
        }
    }

    fn field_type(&self, field: &Field<'m>) -> String {
        let inner = self.rust_type(&field.member.shape);
        let inner = if field.boxed { format!("Box<{inner}>") } else { inner };
        if field.required { inner } else { format!("Option<{inner}>") }
    }

    /// A union as an enum of its members.
    pub fn emit_union(&self, name: &str, fields: &[Field<'m>]) -> String {
        let mut out = format!(
            "/// One of several: `{name}`.\n#[derive(Clone, PartialEq, Debug)]\npub enum {} {{\n",
            self.type_name(name)
        );
        for field in fields {
            let inner = self.rust_type(&field.member.shape);
            let inner = if field.boxed { format!("Box<{inner}>") } else { inner };
            let _ = writeln!(out, "/// `{}`\n{}({inner}),", field.name, names::type_name(field.name));
        }
        out + "}\n\n"
    }

    /// `fn check`, when the structure has constraints.
    pub fn emit_check(&self, fields: &[Field<'m>], union: bool) -> String {
        let mut body = String::new();
        for field in fields {
            let location = match field.member.location.as_deref() {
                Some("uri") => "Uri",
                Some("querystring") => "Query",
                Some("header" | "headers") => "Header",
                _ => "Body",
            };
            let wire = self.wire_name(field.name, field.member);
            let inner = |place: &str| self.check(field.member, place, &wire, location);
            body += &match (union, field.required) {
                (true, _) => format!("if let Self::{}(v) = self {{ {} }}\n", names::type_name(field.name), inner("v")),
                (false, true) => inner(&format!("(&self.{})", field.field)),
                (false, false) => match inner("v") {
                    nothing if nothing.is_empty() => nothing,
                    checks => format!("if let Some(v) = &self.{} {{ {checks} }}\n", field.field),
                },
            };
        }
        format!("    pub(crate) fn check(&self) -> Result<(), wire::ParseError> {{\n{body}Ok(())\n}}\n")
    }

    /// Statements that check a value by reference.
    fn check(&self, used: &Ref, place: &str, wire: &str, location: &str) -> String {
        if !self.is_constrained(used) {
            return String::new();
        }
        let shape = self.shape(&used.shape);
        let mut out = String::new();
        let bounds = format!("{}, {}", bound(shape.min), bound(shape.max));
        let bounded = shape.min.is_some() || shape.max.is_some();
        let at = format!("{wire:?}, wire::Location::{location}");
        let length = |length: String| format!("wire::check_length({at}, {length}, {bounds})?;\n");
        match shape.kind.as_str() {
            "structure" => out += &format!("{place}.check()?;\n"),
            "string" if bounded => out += &length(format!("{place}.chars().count()")),
            "blob" | "list" | "map" if bounded => out += &length(format!("{place}.len()")),
            "integer" | "long" | "short" | "byte" | "float" | "double" if bounded => {
                out += &format!("wire::check_range({at}, *{place} as f64, {bounds})?;\n");
            }
            _ => {}
        }
        if let Some(pattern) = self.pattern(&used.shape) {
            let constant = names::constant(&used.shape);
            // As an argument the value needs no parentheses.
            let argument = place.strip_prefix('(').and_then(|place| place.strip_suffix(')')).unwrap_or(place);
            out += &format!("wire::check_pattern({at}, {argument}, &patterns::{constant})?;\n");
            self.patterns.borrow_mut().insert(constant, pattern);
        }
        if let Some(item) = shape.member.as_ref().filter(|item| self.is_constrained(item)) {
            out += &format!("for item in {place}.iter() {{ {} }}\n", self.check(item, "item", wire, location));
        }
        if let (Some(key), Some(value)) = (&shape.key, &shape.value) {
            let inner = self.check(key, "key", wire, location) + &self.check(value, "value", wire, location);
            if !inner.is_empty() {
                out += &format!("for (key, value) in {place}.iter() {{ let (_, _) = (key, value); {inner} }}\n");
            }
        }
        out
    }
}

fn bound(limit: Option<f64>) -> String {
    limit.map_or_else(|| "None".to_owned(), |limit| format!("Some({limit})"))
}

/// Debug output that does not show secrets.
fn emit_debug(name: &str, fields: &[Field<'_>]) -> String {
    let mut out = format!(
        "impl std::fmt::Debug for {name} {{\nfn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n\
         f.debug_struct({name:?})\n"
    );
    for field in fields {
        let value = if field.shape.sensitive { "&\"***\"".to_owned() } else { format!("&self.{}", field.field) };
        let _ = writeln!(out, ".field({:?}, {value})", field.field);
    }
    out + ".finish()\n}\n}\n\n"
}
