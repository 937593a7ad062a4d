//! The codecs of structures: XML, JSON, forms.

use std::fmt::Write;

use super::api::{Api, Field, Protocol};
use super::model::{Namespace, Ref};
use super::names;

/// Which JSON a codec is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Json {
    /// The protocol's.
    Wire,
    /// Plain parameters: members by the model's names, blobs as strings.
    Params,
}

impl Json {
    fn suffix(self) -> &'static str {
        match self {
            Self::Wire => "json",
            Self::Params => "params",
        }
    }

    fn key(self, field: &Field<'_>) -> String {
        match (self, &field.member.location_name) {
            (Self::Wire, Some(name)) if field.member.location.is_none() => name.clone(),
            _ => field.name.to_owned(),
        }
    }
}

impl<'m> Api<'m> {
    /// `let mut` slots for the fields that a loop fills.
    pub fn slots<'f>(&self, fields: impl Iterator<Item = &'f Field<'m>>) -> String
    where
        'm: 'f,
    {
        fields.fold(String::new(), |mut out, field| {
            let _ = writeln!(out, "let mut {}: Option<{}> = None;", field.slot(), self.rust_type(&field.member.shape));
            out
        })
    }

    /// `Self { ... }` out of the slots.
    pub fn assemble(&self, fields: &[Field<'m>]) -> String {
        let mut out = String::from("Self {\n");
        for field in fields {
            let location = match field.member.location.as_deref() {
                Some("uri") => "Uri",
                Some("querystring") => "Query",
                Some("header" | "headers") => "Header",
                _ => "Body",
            };
            let (name, slot) = (&field.field, field.slot());
            let wire = match location {
                "Header" => self.wire_name(field.name, field.member).to_ascii_lowercase(),
                _ => self.wire_name(field.name, field.member),
            };
            let _ = match (field.required, field.boxed) {
                (true, _) => writeln!(out, "{name}: wire::required({slot}, {wire:?}, wire::Location::{location})?,"),
                (false, true) => writeln!(out, "{name}: {slot}.map(Box::new),"),
                (false, false) => writeln!(out, "{name}: {slot},"),
            };
        }
        out + "}"
    }

    /// A union's `Self::Variant(value)`.
    fn choice(&self, field: &Field<'m>, value: &str) -> String {
        let value = if field.boxed { format!("Box::new({value})") } else { value.to_owned() };
        format!("Self::{}({value})", names::type_name(field.name))
    }

    // --- XML, reading ---

    /// `fn read_xml` of a structure.
    pub fn emit_read_xml(&self, name: &str, fields: &[Field<'m>], union: bool) -> String {
        let mut out = String::from(
            "    pub(crate) fn read_xml(x: &mut wire::XmlReader<'_>, e: &wire::Element<'_>) -> Result<Self, wire::ParseError> {\n",
        );
        if union {
            out += "let mut choice: Option<Self> = None;\nwhile let Some(child) = x.next_child()? {\nlet e = &child;\nmatch e.name() {\n";
            for field in fields {
                let value = self.choice(field, &self.xml_value(field.member));
                let wire = self.wire_name(field.name, field.member);
                let _ = writeln!(out, "{wire:?} => wire::once(&mut choice, {value}, {wire:?})?,");
            }
            let _ =
                write!(out, "_ => x.skip()?,\n}}\n}}\nwire::required(choice, {name:?}, wire::Location::Body)\n}}\n");
            return out;
        }
        out += &self.xml_attributes(fields.iter());
        out += &self.xml_loop(fields.iter().filter(|field| !field.member.xml_attribute));
        let _ = write!(out, "Ok({})\n}}\n", self.assemble(fields));
        out
    }

    /// The slots of the fields; those of attributes are filled from the element `e`.
    pub fn xml_attributes<'f>(&self, fields: impl Iterator<Item = &'f Field<'m>> + Clone) -> String
    where
        'm: 'f,
    {
        let mut out = self.slots(fields.clone().filter(|field| !field.member.xml_attribute));
        for field in fields.filter(|field| field.member.xml_attribute) {
            let (wire, ty) = (self.wire_name(field.name, field.member), self.rust_type(&field.member.shape));
            let format = self.time_format(field.member, "iso8601");
            let _ = writeln!(out, "let {} = e.attribute::<{ty}>({wire:?}, {format})?;", field.slot());
        }
        out
    }

    /// The loop over an element's children that fills the slots.
    pub fn xml_loop<'f>(&self, fields: impl Iterator<Item = &'f Field<'m>>) -> String
    where
        'm: 'f,
    {
        let mut out = String::from("while let Some(child) = x.next_child()? {\nlet e = &child;\nmatch e.name() {\n");
        for field in fields {
            let wire = self.wire_name(field.name, field.member);
            let slot = field.slot();
            let flattened = self.is_flattened(field.member);
            let _ = match (flattened, &field.shape.member, &field.shape.value) {
                (true, Some(item), _) => {
                    writeln!(out, "{wire:?} => {slot}.get_or_insert_default().push({}),", self.xml_value(item))
                }
                (true, _, Some(value)) => writeln!(
                    out,
                    "{wire:?} => x.entry({slot}.get_or_insert_default(), {}, |x, e| Ok({}))?,",
                    entry_names(field.shape.key.as_ref(), value),
                    self.xml_value(value)
                ),
                _ => writeln!(out, "{wire:?} => wire::once(&mut {slot}, {}, {wire:?})?,", self.xml_value(field.member)),
            };
        }
        out + "_ => x.skip()?,\n}\n}\n"
    }

    /// An expression that reads the current element `e` from `x`.
    pub fn xml_value(&self, used: &Ref) -> String {
        let shape = self.shape(&used.shape);
        match (shape.kind.as_str(), &shape.member, &shape.value) {
            ("structure", ..) => format!("{}::read_xml(x, e)?", self.rust_type(&used.shape)),
            ("list", Some(item), _) => {
                let name = item.location_name.as_deref().unwrap_or("member");
                format!("x.list({name:?}, |x, e| Ok({}))?", self.xml_value(item))
            }
            ("map", _, Some(value)) => {
                let [key, value_name] = entry_name_pair(shape.key.as_ref(), value);
                format!("x.map([\"entry\", {key:?}, {value_name:?}], |x, e| Ok({}))?", self.xml_value(value))
            }
            _ => {
                format!("x.scalar::<{}>(e, {})?", self.rust_type(&used.shape), self.time_format(used, "iso8601"))
            }
        }
    }

    // --- XML, writing ---

    /// `fn write_xml` of a structure: its children; and `fn write_xml_attributes` when it has attributes.
    pub fn emit_write_xml(&self, fields: &[Field<'m>], union: bool) -> String {
        let mut out = String::from("    pub(crate) fn write_xml(&self, w: &mut wire::XmlWriter) {\n");
        out += &self.write_fields(fields.iter().filter(|field| !field.member.xml_attribute), union, |field, place| {
            let tag = self.wire_name(field.name, field.member);
            self.write_xml_value(field.member, place, &tag, None)
        });
        out += "}\n";
        if fields.iter().any(|field| field.member.xml_attribute) {
            out += "    pub(crate) fn write_xml_attributes(&self, w: &mut wire::XmlWriter) {\n";
            out +=
                &self.write_fields(fields.iter().filter(|field| field.member.xml_attribute), union, |field, place| {
                    let open = format!(" {}=\"", self.wire_name(field.name, field.member));
                    format!("w.scalar({open:?}, {place}, {}, \"\\\"\");\n", self.time_format(field.member, "iso8601"))
                });
            out += "}\n";
        }
        out
    }

    /// Statements for each field that is set; `write` gets an expression that refers to the value.
    pub fn write_fields<'f>(
        &self,
        fields: impl Iterator<Item = &'f Field<'m>>,
        union: bool,
        write: impl Fn(&Field<'m>, &str) -> String,
    ) -> String
    where
        'm: 'f,
    {
        let mut out = String::new();
        if union {
            out += "match self {\n";
            for field in fields {
                let _ = writeln!(out, "Self::{}(v) => {{ {} }}", names::type_name(field.name), write(field, "v"));
            }
            return out + "}\n";
        }
        for field in fields {
            let name = &field.field;
            if field.required {
                out += &write(field, &format!("&self.{name}"));
            } else {
                let _ = writeln!(out, "if let Some(v) = &self.{name} {{ {} }}", write(field, "v"));
            }
        }
        out
    }

    /// Statements that write a value, by reference, as an element. A namespace of the use wins over `namespace`.
    pub fn write_xml_value(&self, used: &Ref, place: &str, tag: &str, namespace: Option<&Namespace>) -> String {
        let shape = self.shape(&used.shape);
        let own = used.xml_namespace.as_ref().or(namespace);
        let own = own.or(shape.xml_namespace.as_ref().filter(|_| shape.kind == "structure"));
        let attribute = own.map(Namespace::attribute).unwrap_or_default();
        let (open, close) = (format!("<{tag}{attribute}>"), format!("</{tag}>"));
        let plain = place.trim_start_matches('&');
        let inner = match (shape.kind.as_str(), &shape.member, &shape.value) {
            ("structure", ..) => {
                if self.fields_of(&used.shape).iter().any(|field| field.member.xml_attribute) {
                    let start = format!("<{tag}{attribute}");
                    return format!(
                        "w.raw({start:?}); {plain}.write_xml_attributes(w); w.raw(\">\"); {plain}.write_xml(w); w.raw({close:?});\n"
                    );
                }
                format!("{plain}.write_xml(w);")
            }
            ("list", Some(item), _) => {
                let flattened = self.is_flattened(used);
                let name = if flattened { tag } else { item.location_name.as_deref().unwrap_or("member") };
                let namespace = if flattened { own } else { None };
                let items =
                    format!("for item in {place} {{ {} }}", self.write_xml_value(item, "item", name, namespace));
                if flattened {
                    return items;
                }
                items
            }
            ("map", _, Some(value)) => {
                let flattened = self.is_flattened(used);
                let key = shape.key.as_ref();
                let [key_name, value_name] = entry_name_pair(key, value);
                let (entry, end) =
                    if flattened { (open.clone(), close.clone()) } else { ("<entry>".into(), "</entry>".into()) };
                let write_key = key.map(|key| self.write_xml_value(key, "key", &key_name, None)).unwrap_or_default();
                let write_value = self.write_xml_value(value, "value", &value_name, None);
                let entries = format!(
                    "for (key, value) in {place} {{ w.raw({entry:?}); {write_key} {write_value} w.raw({end:?}); }}"
                );
                if flattened {
                    return entries;
                }
                entries
            }
            _ => {
                let format = self.time_format(used, "iso8601");
                return format!("w.scalar({open:?}, {place}, {format}, {close:?});\n");
            }
        };
        format!("w.raw({open:?}); {inner} w.raw({close:?});\n")
    }

    fn fields_of(&self, name: &str) -> Vec<Field<'m>> {
        self.model.shapes.get_key_value(name).map(|(name, _)| self.fields(name)).unwrap_or_default()
    }

    // --- JSON ---

    /// `fn read_json` or `fn read_params` of a structure.
    pub fn emit_read_json(&self, name: &str, fields: &[Field<'m>], union: bool, json: Json) -> String {
        let mut out =
            format!("    pub(crate) fn read_{}(value: Value) -> Result<Self, wire::ParseError> {{\n", json.suffix());
        if union {
            out += "let mut choice: Option<Self> = None;\n";
        } else {
            out += &self.slots(fields.iter());
        }
        out += "for (name, value) in wire::json::object(value)? {\nif value.is_null() { continue; }\n";
        out += &self.json_arms(fields.iter(), union, json);
        out += "}\n";
        if union {
            let _ = write!(out, "wire::required(choice, {name:?}, wire::Location::Body)\n}}\n");
        } else {
            let _ = write!(out, "Ok({})\n}}\n", self.assemble(fields));
        }
        out
    }

    /// The `match` over a member's name that fills the slots.
    pub fn json_arms<'f>(&self, fields: impl Iterator<Item = &'f Field<'m>>, union: bool, json: Json) -> String
    where
        'm: 'f,
    {
        let mut out = String::from("match name.as_str() {\n");
        for field in fields {
            let value = self.json_value(field.member, field.name, json);
            let key = json.key(field);
            let _ = if union {
                writeln!(out, "{key:?} => wire::once(&mut choice, {}, {key:?})?,", self.choice(field, &value))
            } else {
                writeln!(out, "{key:?} => {} = Some({value}),", field.slot())
            };
        }
        out + "_ => {}\n}\n"
    }

    /// An expression that reads the JSON in `value`.
    pub fn json_value(&self, used: &Ref, name: &str, json: Json) -> String {
        let shape = self.shape(&used.shape);
        match (shape.kind.as_str(), &shape.member, &shape.value) {
            ("structure", ..) if shape.document => "value".to_owned(),
            ("structure", ..) => format!("{}::read_{}(value)?", self.rust_type(&used.shape), json.suffix()),
            ("list", Some(item), _) => {
                format!("wire::json::list(value, |value| Ok({}))?", self.json_value(item, name, json))
            }
            ("map", _, Some(item)) => {
                format!("wire::json::map(value, |value| Ok({}))?", self.json_value(item, name, json))
            }
            ("blob", ..) if json == Json::Params => "wire::RawBlob::read(value)?".to_owned(),
            _ => {
                let format = self.json_time_format(used, json);
                format!("wire::json::scalar::<{}>(value, {name:?}, {format})?", self.rust_type(&used.shape))
            }
        }
    }

    fn json_time_format(&self, used: &Ref, json: Json) -> &'static str {
        match json {
            Json::Wire => self.time_format(used, "unixTimestamp"),
            Json::Params => "wire::TimeFormat::EpochSeconds",
        }
    }

    /// `fn write_json` or `fn write_params` of a structure.
    pub fn emit_write_json(&self, fields: &[Field<'m>], union: bool, json: Json) -> String {
        let mut out = format!("    pub(crate) fn write_{}(&self, w: &mut wire::JsonWriter) {{\n", json.suffix());
        out += "w.begin_object();\n";
        out += &self.write_json_fields(fields.iter(), union, json);
        out + "w.end_object();\n}\n"
    }

    /// Statements that write members with their keys.
    pub fn write_json_fields<'f>(&self, fields: impl Iterator<Item = &'f Field<'m>>, union: bool, json: Json) -> String
    where
        'm: 'f,
    {
        self.write_fields(fields, union, |field, place| {
            let key = json.key(field);
            format!("w.key({key:?});\n{}", self.write_json_value(field.member, place, json))
        })
    }

    /// Statements that write a value, by reference.
    pub fn write_json_value(&self, used: &Ref, place: &str, json: Json) -> String {
        let shape = self.shape(&used.shape);
        let plain = place.trim_start_matches('&');
        match (shape.kind.as_str(), &shape.member, &shape.value) {
            ("structure", ..) if shape.document => format!("w.value({place});\n"),
            ("structure", ..) => format!("{plain}.write_{}(w);\n", json.suffix()),
            ("list", Some(item), _) => {
                let inner = self.write_json_value(item, "item", json);
                format!("w.begin_array(); for item in {place} {{ {inner} }} w.end_array();\n")
            }
            ("map", _, Some(item)) => {
                let inner = self.write_json_value(item, "item", json);
                format!("w.begin_object(); for (key, item) in {place} {{ w.map_key(key); {inner} }} w.end_object();\n")
            }
            ("blob", ..) if json == Json::Params => format!("wire::RawBlob::write(w, {place});\n"),
            _ => format!("w.scalar({place}, {});\n", self.json_time_format(used, json)),
        }
    }

    // --- forms ---

    /// `fn read_form` of a structure.
    pub fn emit_read_form(&self, name: &str, fields: &[Field<'m>], union: bool) -> String {
        let mut out =
            String::from("    pub(crate) fn read_form(n: wire::FormNode<'_>) -> Result<Self, wire::ParseError> {\n");
        if union {
            out += "let mut choice: Option<Self> = None;\n";
        }
        for field in fields {
            let wire = self.wire_name(field.name, field.member);
            let value = self.form_value(field.member);
            let _ = if union {
                let choice = self.choice(field, &value);
                writeln!(out, "if let Some(n) = n.child({wire:?}) {{ wire::once(&mut choice, {choice}, {wire:?})?; }}")
            } else {
                writeln!(
                    out,
                    "let {} = match n.child({wire:?}) {{ Some(n) => Some({value}), None => None }};",
                    field.slot()
                )
            };
        }
        if union {
            let _ = write!(out, "wire::required(choice, {name:?}, wire::Location::Body)\n}}\n");
        } else {
            let _ = write!(out, "Ok({})\n}}\n", self.assemble(fields));
        }
        out
    }

    /// An expression that reads the node `n`.
    fn form_value(&self, used: &Ref) -> String {
        let shape = self.shape(&used.shape);
        let flattened = self.is_flattened(used);
        match (shape.kind.as_str(), &shape.member, &shape.value) {
            ("structure", ..) => format!("{}::read_form(n)?", self.rust_type(&used.shape)),
            ("list", Some(item), _) => {
                let name = item.location_name.as_deref().unwrap_or("member");
                let name = if flattened { "None".to_owned() } else { format!("Some({name:?})") };
                format!("n.list({name}, |n| Ok({}))?", self.form_value(item))
            }
            ("map", _, Some(value)) => {
                let entry = if flattened { "None" } else { "Some(\"entry\")" };
                let names = entry_names(shape.key.as_ref(), value);
                format!("n.map({entry}, {names}, |n| Ok({}))?", self.form_value(value))
            }
            _ => format!("n.scalar::<{}>({})?", self.rust_type(&used.shape), self.time_format(used, "iso8601")),
        }
    }

    /// The codec functions that a structure below an input or an output needs.
    pub fn emit_nested_codecs(&self, name: &'m str) -> String {
        let shape = self.shape(name);
        let fields = self.fields(name);
        let union = shape.union;
        let (read, written) = (self.read.contains(name), self.written.contains(name));
        let mut out = String::new();
        match (self.protocol, read) {
            (_, false) => {}
            (Protocol::RestXml, _) => out += &self.emit_read_xml(name, &fields, union),
            (Protocol::RestJson | Protocol::Json, _) => out += &self.emit_read_json(name, &fields, union, Json::Wire),
            (Protocol::Query, _) => out += &self.emit_read_form(name, &fields, union),
        }
        match (self.protocol, written) {
            (_, false) => {}
            (Protocol::RestXml | Protocol::Query, _) => out += &self.emit_write_xml(&fields, union),
            (Protocol::RestJson | Protocol::Json, _) => out += &self.emit_write_json(&fields, union, Json::Wire),
        }
        if self.service.params && read {
            out += &self.emit_write_json(&fields, union, Json::Params);
        }
        if self.service.params && written {
            out += &self.emit_read_json(name, &fields, union, Json::Params);
        }
        if read && self.is_checked(name) {
            out += &self.emit_check(&fields, union);
        }
        out
    }
}

/// The names of a map entry's key and value.
fn entry_name_pair(key: Option<&Ref>, value: &Ref) -> [String; 2] {
    let key = key.and_then(|key| key.location_name.clone()).unwrap_or_else(|| "key".to_owned());
    [key, value.location_name.clone().unwrap_or_else(|| "value".to_owned())]
}

fn entry_names(key: Option<&Ref>, value: &Ref) -> String {
    let [key, value] = entry_name_pair(key, value);
    format!("[{key:?}, {value:?}]")
}
