//! Inputs and outputs of operations: what travels in path, query, headers and body.

use std::fmt::Write;

use super::api::{Api, Field, Protocol};
use super::codecs::Json;
use super::model::{Namespace, Operation, Ref};

impl<'m> Api<'m> {
    fn top_fields(&self, top: &'m Option<Ref>) -> Vec<Field<'m>> {
        top.as_ref().map(|top| self.fields(&top.shape)).unwrap_or_default()
    }

    fn doc(&self, what: &str, name: &str) -> String {
        match &self.service.documentation {
            Some(base) => format!("{what} of [`{name}`]({base}{name}.html)."),
            None => format!("{what} of `{name}`."),
        }
    }

    // --- inputs ---

    /// The input of an operation.
    pub fn emit_input(&self, name: &str, operation: &'m Operation) -> String {
        let fields = self.top_fields(&operation.input);
        let type_name = format!("{name}Input");
        let mut out = self.emit_struct(&type_name, &self.doc("The input", name), &fields, "the body");
        let streaming = self.streams(&operation.input);
        let _ = write!(
            out,
            "impl {type_name} {{\n/// Whether the body is streamed beside the input.\npub const STREAMING_INPUT: bool = {streaming};\n\n\
             /// Reads and checks the input.\n///\n/// # Errors\n/// What does not fit the model.\n\
             pub fn parse(req: &wire::RequestView<'_>) -> Result<Self, wire::ParseError> {{\n"
        );
        let checked = operation.input.as_ref().is_some_and(|input| self.is_checked(&input.shape));
        let value = match self.protocol {
            Protocol::Query => "Self::parse_form(&wire::FormPairs::parse(req.body)?)".to_owned(),
            _ => {
                out += &self.input_slots(operation, &fields);
                format!("Ok({})", self.assemble(&fields))
            }
        };
        let checks = checked && self.protocol != Protocol::Query;
        if checks {
            let _ = write!(
                out,
                "let input: Result<Self, wire::ParseError> = {value};\nlet input = input?;\ninput.check()?;\nOk(input)\n}}\n"
            );
        } else {
            let _ = write!(out, "{value}\n}}\n");
        }
        if self.protocol == Protocol::Query {
            out += "\n/// Reads and checks the input of a parsed form.\n///\n/// # Errors\n/// What does not fit the model.\n";
            out += "pub fn parse_form(form: &wire::FormPairs<'_>) -> Result<Self, wire::ParseError> {\nlet input = Self::read_form(form.root())?;\n";
            out += if checked { "input.check()?;\nOk(input)\n}\n" } else { "Ok(input)\n}\n" };
            out += &self.emit_read_form(name, &fields, false);
        }
        if checked {
            out += &self.emit_check(&fields, false);
        }
        if self.service.params {
            out += &self.emit_write_json(&fields, false, Json::Params);
        }
        out + "}\n\n"
    }

    fn input_slots(&self, operation: &Operation, fields: &[Field<'m>]) -> String {
        if self.protocol == Protocol::Json {
            return self.json_body(fields.iter());
        }
        let mut out = String::new();
        if fields.iter().any(|field| field.member.location.as_deref() == Some("header")) {
            out += "let headers = wire::headers::Headers::of(req.headers);\n";
        }
        for field in fields {
            out += &self.input_slot(field, fields);
        }
        let Some(input) = &operation.input else { return out };
        let shape = self.shape(&input.shape);
        let payload = shape.payload.as_deref().and_then(|name| fields.iter().find(|field| field.name == name));
        if let Some(field) = payload {
            out += &self.input_payload(field);
        } else if shape.payload.is_none() && fields.iter().any(|field| field.member.location.is_none()) {
            let body = || fields.iter().filter(|field| field.member.location.is_none());
            if self.protocol == Protocol::RestJson {
                out += &self.json_body(body());
            } else {
                let root = input.location_name.as_ref().or(shape.location_name.as_ref()).unwrap_or(&input.shape);
                out += &self.xml_body(body(), root);
            }
        }
        out
    }

    /// The slot of a member outside the body; members in the body get theirs where it is read.
    fn input_slot(&self, field: &Field<'m>, fields: &[Field<'m>]) -> String {
        let slot = field.slot();
        let ty = self.rust_type(&field.member.shape);
        let wire = field.member.location_name.as_deref().unwrap_or(field.name);
        let item = field.shape.member.as_ref();
        match field.member.location.as_deref() {
            Some("uri") => {
                let source = match (self.service.bucket_and_key, wire) {
                    (true, "Bucket") => "req.bucket".to_owned(),
                    (true, "Key") => "req.key".to_owned(),
                    _ => format!("req.label({wire:?})"),
                };
                let format = self.time_format(field.member, "iso8601");
                format!("let {slot} = Some(wire::rest::label::<{ty}>({source}, {wire:?}, {format})?);\n")
            }
            Some("querystring") if field.shape.kind == "map" => {
                let taken: Vec<&str> = fields
                    .iter()
                    .filter(|other| other.member.location.as_deref() == Some("querystring") && other.name != field.name)
                    .map(|other| other.member.location_name.as_deref().unwrap_or(other.name))
                    .collect();
                let lists = field.shape.value.as_ref().is_some_and(|value| self.shape(&value.shape).kind == "list");
                let rest = if lists { "rest_lists" } else { "rest" };
                format!("let {slot} = req.query.{rest}(&{taken:?});\n")
            }
            Some("querystring") => match item {
                Some(item) => {
                    let (ty, format) = (self.rust_type(&item.shape), self.time_format(item, "iso8601"));
                    format!("let {slot} = req.query.list::<{ty}>({wire:?}, {format})?;\n")
                }
                None => {
                    let format = self.time_format(field.member, "iso8601");
                    format!("let {slot} = req.query.scalar::<{ty}>({wire:?}, {format})?;\n")
                }
            },
            Some("header") => {
                let header = self.header(wire);
                let call = match item {
                    _ if field.member.jsonvalue => format!("wire::headers::encoded(&headers, {header})"),
                    Some(item) => {
                        let (ty, format) = (self.rust_type(&item.shape), self.time_format(item, "rfc822"));
                        format!("wire::headers::list::<{ty}>(&headers, {header}, {format})")
                    }
                    None => {
                        let format = self.time_format(field.member, "rfc822");
                        format!("wire::headers::scalar::<{ty}>(&headers, {header}, {format})")
                    }
                };
                let lenient = self.service.lenient.iter().any(|lenient| lenient == field.name);
                let end = if lenient { ".ok().flatten()" } else { "?" };
                format!("let {slot} = {call}{end};\n")
            }
            Some("headers") => {
                format!("let {slot} = wire::headers::prefixed(req.headers, {:?});\n", wire.to_ascii_lowercase())
            }
            _ => String::new(),
        }
    }

    fn input_payload(&self, field: &Field<'m>) -> String {
        let slot = field.slot();
        let ty = self.rust_type(&field.member.shape);
        match (field.shape.kind.as_str(), self.protocol) {
            ("blob", _) => format!("let {slot} = wire::rest::blob_payload(req.body);\n"),
            ("string", _) => format!("let {slot} = wire::rest::text_payload::<{ty}>(req.body, {:?})?;\n", field.name),
            (_, Protocol::RestJson) => {
                let value = self.json_value(field.member, field.name, Json::Wire);
                format!(
                    "let {slot} = match wire::json::document(req.body)? {{ Some(value) => Some({value}), None => None }};\n"
                )
            }
            _ => {
                let root = field.member.location_name.as_ref().or(field.shape.location_name.as_ref());
                let root = root.unwrap_or(&field.member.shape);
                format!("let {slot} = wire::xml::payload(req.body, {root:?}, {ty}::read_xml)?;\n")
            }
        }
    }

    fn xml_body<'f>(&self, fields: impl Iterator<Item = &'f Field<'m>> + Clone, root: &str) -> String
    where
        'm: 'f,
    {
        let mut out = self.slots(fields.clone());
        let _ =
            writeln!(out, "if let Some((mut x, e)) = wire::XmlReader::open(req.body, {root:?})? {{\nlet x = &mut x;");
        for field in fields.clone().filter(|field| field.member.xml_attribute) {
            let (wire, ty) = (self.wire_name(field.name, field.member), self.rust_type(&field.member.shape));
            let format = self.time_format(field.member, "iso8601");
            let _ = writeln!(out, "{} = e.attribute::<{ty}>({wire:?}, {format})?;", field.slot());
        }
        out += &self.xml_loop(fields.filter(|field| !field.member.xml_attribute));
        out + "x.finish()?;\n}\n"
    }

    fn json_body<'f>(&self, fields: impl Iterator<Item = &'f Field<'m>> + Clone) -> String
    where
        'm: 'f,
    {
        let mut out = self.slots(fields.clone());
        out += "if let Some(value) = wire::json::document(req.body)? {\nfor (name, value) in wire::json::object(value)? {\n";
        out += "if value.is_null() { continue; }\n";
        out += &self.json_arms(fields, false, Json::Wire);
        out + "}\n}\n"
    }

    // --- outputs ---

    /// The output of an operation.
    pub fn emit_output(&self, name: &str, operation: &'m Operation) -> String {
        let fields = self.top_fields(&operation.output);
        let type_name = format!("{name}Output");
        let mut out = self.emit_struct(&type_name, &self.doc("The output", name), &fields, "the body");
        let streaming = self.streams(&operation.output);
        let status = operation.http.response_code.unwrap_or(200);
        let argument = if self.protocol == Protocol::Query { ", request_id: &str" } else { "" };
        let _ = write!(
            out,
            "impl {type_name} {{\n/// Whether the body is streamed beside the output.\npub const STREAMING_OUTPUT: bool = {streaming};\n\n\
             /// The response.\npub fn write(&self{argument}) -> wire::ResponseParts {{\nlet mut r = wire::ResponseParts::new({status});\n"
        );
        out += &match self.protocol {
            Protocol::Json => {
                let version = self.model.metadata.json_version.as_deref().unwrap_or("1.1");
                self.write_json_body(fields.iter(), &format!("application/x-amz-json-{version}"))
            }
            Protocol::Query => self.write_query(name, operation, &fields),
            Protocol::RestXml | Protocol::RestJson => self.write_rest(name, operation, &fields),
        };
        out += "r\n}\n";
        if self.service.params {
            out += &self.emit_read_json(name, &fields, false, Json::Params);
        }
        out + "}\n\n"
    }

    fn write_rest(&self, name: &str, operation: &Operation, fields: &[Field<'m>]) -> String {
        // What is in the path or the query of a request is in the body of a response.
        let in_head =
            |field: &&Field<'m>| matches!(field.member.location.as_deref(), Some("header" | "headers" | "statusCode"));
        let located = fields.iter().filter(in_head);
        let mut out = self.write_fields(located, false, |field, place| self.write_located(field, place));
        let Some(output) = &operation.output else { return out };
        let shape = self.shape(&output.shape);
        let payload = shape.payload.as_deref().and_then(|name| fields.iter().find(|field| field.name == name));
        let body = || fields.iter().filter(move |field| !in_head(field));
        if let Some(field) = payload {
            let root = self.service.roots.get(name);
            out += &self
                .write_fields(std::iter::once(field), false, |field, place| self.write_payload(field, place, root));
        } else if shape.payload.is_some() || body().next().is_none() {
            // A streamed body, or none at all.
        } else if self.protocol == Protocol::RestJson {
            out += &self.write_json_body(body(), "application/json");
        } else {
            let root = self.service.roots.get(name).or(shape.location_name.as_ref()).unwrap_or(&output.shape);
            let attributes = self.root_attributes(shape.xml_namespace.as_ref());
            if self.service.bare_outputs.iter().any(|bare| bare == name) {
                out += &self.write_bare(body(), root, &attributes);
            } else {
                out += &self.write_xml_body(body(), root, &attributes);
            }
        }
        out
    }

    /// The namespace declarations of a root element.
    fn root_attributes(&self, own: Option<&Namespace>) -> String {
        let service = self.namespace().map(|uri| Namespace::Plain(uri).attribute()).unwrap_or_default();
        match own {
            Some(Namespace::Full { prefix: Some(_), .. }) => {
                service + &own.map(Namespace::attribute).unwrap_or_default()
            }
            Some(own) => own.attribute(),
            None => service,
        }
    }

    fn write_located(&self, field: &Field<'m>, place: &str) -> String {
        let wire = field.member.location_name.as_deref().unwrap_or(field.name);
        match field.member.location.as_deref() {
            Some("header") if field.member.jsonvalue => {
                format!("wire::headers::put_encoded(&mut r.headers, {}, {place});", self.header(wire))
            }
            Some("header") => {
                let header = self.header(wire);
                match &field.shape.member {
                    Some(item) => {
                        let format = self.time_format(item, "rfc822");
                        format!("wire::headers::put_list(&mut r.headers, {header}, {place}, {format});")
                    }
                    None => {
                        let format = self.time_format(field.member, "rfc822");
                        format!("wire::headers::put(&mut r.headers, {header}, {place}, {format});")
                    }
                }
            }
            Some("headers") => {
                format!("wire::headers::put_prefixed(&mut r.headers, {:?}, {place});", wire.to_ascii_lowercase())
            }
            Some("statusCode") => {
                format!("r.status = u16::try_from(*{}).unwrap_or(r.status);", place)
            }
            // The caller passes no others.
            _ => String::new(),
        }
    }

    fn write_payload(&self, field: &Field<'m>, place: &str, root: Option<&String>) -> String {
        let plain = place.trim_start_matches('&');
        match (field.shape.kind.as_str(), self.protocol) {
            ("blob", _) => format!("r.set_body(\"application/octet-stream\", {plain}.clone());"),
            ("string", _) => {
                let text = if self.is_enum(&field.member.shape) { ".as_str().to_owned()" } else { ".clone()" };
                format!("r.set_body(\"text/plain\", {plain}{text});")
            }
            (_, Protocol::RestJson) => {
                let value = self.write_json_value(field.member, place, Json::Wire);
                format!(
                    "let mut w = wire::JsonWriter::new(); {{ let w = &mut w; {value} }} r.set_body(\"application/json\", w.finish());"
                )
            }
            _ => {
                let own = field.member.location_name.as_ref().or(field.shape.location_name.as_ref());
                let root = root.or(own).unwrap_or(&field.member.shape);
                let namespace = field.member.xml_namespace.as_ref().or(field.shape.xml_namespace.as_ref());
                let attributes = self.root_attributes(namespace);
                let inner = self.fields(&field.member.shape);
                let (start, end) = (format!("<{root}{attributes}"), format!("</{root}>"));
                let attributes = if inner.iter().any(|field| field.member.xml_attribute) {
                    format!("{plain}.write_xml_attributes(&mut w);")
                } else {
                    String::new()
                };
                format!(
                    "let mut w = wire::XmlWriter::document(512); w.raw({start:?}); {attributes} w.raw(\">\"); \
                     {plain}.write_xml(&mut w); w.raw({end:?}); r.set_body(\"application/xml\", w.finish());"
                )
            }
        }
    }

    fn write_xml_body<'f>(
        &self,
        fields: impl Iterator<Item = &'f Field<'m>> + Clone,
        root: &str,
        attributes: &str,
    ) -> String
    where
        'm: 'f,
    {
        let mut out = String::from("let mut w = wire::XmlWriter::document(1024);\n{\nlet w = &mut w;\n");
        let own = fields.clone().filter(|field| field.member.xml_attribute);
        if own.clone().next().is_some() {
            let _ = writeln!(out, "w.raw({:?});", format!("<{root}{attributes}"));
            out += &self.write_fields(own, false, |field, place| {
                let open = format!(" {}=\"", self.wire_name(field.name, field.member));
                format!("w.scalar({open:?}, {place}, {}, \"\\\"\");", self.time_format(field.member, "iso8601"))
            });
            out += "w.raw(\">\");\n";
        } else {
            let _ = writeln!(out, "w.raw({:?});", format!("<{root}{attributes}>"));
        }
        out += &self.xml_children(fields);
        let _ = write!(out, "w.raw({:?});\n}}\n", format!("</{root}>"));
        out + "r.set_body(\"application/xml\", w.finish());\n"
    }

    fn xml_children<'f>(&self, fields: impl Iterator<Item = &'f Field<'m>>) -> String
    where
        'm: 'f,
    {
        self.write_fields(fields.filter(|field| !field.member.xml_attribute), false, |field, place| {
            let tag = self.wire_name(field.name, field.member);
            self.write_xml_value(field.member, place, &tag, None)
        })
    }

    /// A root element that is nothing but the text of the one member.
    fn write_bare<'f>(&self, fields: impl Iterator<Item = &'f Field<'m>>, root: &str, attributes: &str) -> String
    where
        'm: 'f,
    {
        let (open, close) = (format!("<{root}{attributes}>"), format!("</{root}>"));
        let mut out = format!("let mut w = wire::XmlWriter::document(256);\nw.raw({open:?});\n");
        out += &self.write_fields(fields, false, |field, place| {
            format!("w.scalar(\"\", {place}, {}, \"\");", self.time_format(field.member, "iso8601"))
        });
        out + &format!("w.raw({close:?});\nr.set_body(\"application/xml\", w.finish());\n")
    }

    fn write_json_body<'f>(&self, fields: impl Iterator<Item = &'f Field<'m>>, content_type: &str) -> String
    where
        'm: 'f,
    {
        let mut out = String::from("let mut w = wire::JsonWriter::new();\n{\nlet w = &mut w;\nw.begin_object();\n");
        out += &self.write_json_fields(fields, false, Json::Wire);
        out + &format!("w.end_object();\n}}\nr.set_body({content_type:?}, w.finish());\n")
    }

    fn write_query(&self, name: &str, operation: &Operation, fields: &[Field<'m>]) -> String {
        let attributes = self.root_attributes(None);
        let open = format!("<{name}Response{attributes}>");
        let mut out = format!("let mut w = wire::XmlWriter::document(1024);\n{{\nlet w = &mut w;\nw.raw({open:?});\n");
        if let Some(output) = &operation.output {
            let wrapper = output.result_wrapper.clone().unwrap_or_else(|| format!("{name}Result"));
            let _ = writeln!(out, "w.raw({:?});", format!("<{wrapper}>"));
            out += &self.xml_children(fields.iter());
            let _ = writeln!(out, "w.raw({:?});", format!("</{wrapper}>"));
        }
        let _ = write!(
            out,
            "w.raw(\"<ResponseMetadata><RequestId>\");\nw.text(request_id);\nw.raw(\"</RequestId></ResponseMetadata></{name}Response>\");\n}}\n"
        );
        out + "r.set_body(\"text/xml\", w.finish());\n"
    }
}
