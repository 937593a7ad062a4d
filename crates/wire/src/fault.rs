//! Errors as the protocols write them.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::{JsonWriter, ResponseParts, TimeFormat, XmlWriter};

/// An error that a model lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ErrorDef {
    /// The code on the wire.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
}

/// How a service writes its errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorFormat {
    /// `<Error><Code>...`, without a wrapper or a namespace, with resource, request id and host id inside.
    S3,
    /// `<ErrorResponse xmlns="..."><Error><Type>...`, as REST-XML services other than S3 do.
    RestXml {
        /// The service's namespace.
        namespace: Option<&'static str>,
    },
    /// The same, as services of the query protocol do.
    Query {
        /// The service's namespace.
        namespace: Option<&'static str>,
    },
    /// `{"__type": ..., "message": ...}` of type `application/x-amz-json-1.0`.
    Json10,
    /// `{"__type": ..., "message": ...}` of type `application/x-amz-json-1.1`.
    Json11,
    /// `{"message": ...}` with the code in `x-amzn-errortype`.
    RestJson,
}

/// An error to be answered.
#[derive(Clone, PartialEq, Debug)]
pub struct ErrorShape {
    /// The code, such as `NoSuchKey`.
    pub code: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// What people read.
    pub message: String,
    /// The bucket or object that it is about, as a path (S3 only).
    pub resource: Option<String>,
    /// The request's id.
    pub request_id: String,
    /// The id of who answered (S3 only).
    pub host_id: Option<String>,
    /// Further members, written behind the message: texts, or objects and arrays where a model has such.
    pub extra: Vec<(Cow<'static, str>, Value)>,
}

static ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

impl ErrorShape {
    /// An error; the edge adds the ids.
    pub fn new(code: impl Into<Cow<'static, str>>, status: u16, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            status,
            message: message.into(),
            resource: None,
            request_id: String::new(),
            host_id: None,
            extra: Vec::new(),
        }
    }

    /// An error that the model lists.
    pub fn of(def: ErrorDef, message: impl Into<String>) -> Self {
        Self::new(def.code, def.status, message)
    }

    /// Adds a member.
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.extra.push((name.into(), value.into()));
        self
    }

    /// Whether the caller is to blame; decides the `Type` of the query protocol.
    pub fn is_sender_fault(&self) -> bool {
        self.status < 500
    }

    /// The response.
    pub fn write(&self, format: ErrorFormat) -> ResponseParts {
        let mut response = ResponseParts::new(self.status);
        match format {
            ErrorFormat::S3 => response.set_body("application/xml", self.s3()),
            ErrorFormat::RestXml { namespace } => response.set_body("application/xml", self.wrapped(namespace)),
            ErrorFormat::Query { namespace } => response.set_body("text/xml", self.wrapped(namespace)),
            ErrorFormat::Json10 => response.set_body("application/x-amz-json-1.0", self.json(true)),
            ErrorFormat::Json11 => response.set_body("application/x-amz-json-1.1", self.json(true)),
            ErrorFormat::RestJson => response.set_body("application/json", self.json(false)),
        }
        if matches!(format, ErrorFormat::Json10 | ErrorFormat::Json11 | ErrorFormat::RestJson) {
            let code = HeaderValue::from_str(&self.code).unwrap_or(HeaderValue::from_static("InternalFailure"));
            response.headers.insert(&ERROR_TYPE, code);
        }
        response
    }

    fn s3(&self) -> bytes::Bytes {
        let mut w = XmlWriter::document(512);
        w.raw("<Error>");
        element(&mut w, "Code", &self.code);
        element(&mut w, "Message", &self.message);
        self.push_extra(&mut w);
        if let Some(resource) = &self.resource {
            element(&mut w, "Resource", resource);
        }
        element(&mut w, "RequestId", &self.request_id);
        if let Some(host_id) = &self.host_id {
            element(&mut w, "HostId", host_id);
        }
        w.raw("</Error>");
        w.finish()
    }

    fn wrapped(&self, namespace: Option<&str>) -> bytes::Bytes {
        let mut w = XmlWriter::document(512);
        w.raw("<ErrorResponse");
        if let Some(namespace) = namespace {
            w.raw(" xmlns=\"");
            w.text(namespace);
            w.raw("\"");
        }
        w.raw("><Error>");
        element(&mut w, "Type", if self.is_sender_fault() { "Sender" } else { "Receiver" });
        element(&mut w, "Code", &self.code);
        element(&mut w, "Message", &self.message);
        self.push_extra(&mut w);
        w.raw("</Error>");
        element(&mut w, "RequestId", &self.request_id);
        w.raw("</ErrorResponse>");
        w.finish()
    }

    fn push_extra(&self, w: &mut XmlWriter) {
        for (name, value) in &self.extra {
            push_value(w, name, value);
        }
    }

    fn json(&self, with_type: bool) -> String {
        let mut w = JsonWriter::new();
        w.begin_object();
        if with_type {
            w.key("__type");
            w.scalar(&self.code.clone().into_owned(), TimeFormat::EpochSeconds);
        }
        w.key("message");
        w.scalar(&self.message, TimeFormat::EpochSeconds);
        for (name, value) in &self.extra {
            w.key(name);
            w.value(value);
        }
        w.end_object();
        w.finish()
    }
}

fn element(w: &mut XmlWriter, name: &str, text: &str) {
    w.raw("<");
    w.raw(name);
    w.raw(">");
    w.text(text);
    w.raw("</");
    w.raw(name);
    w.raw(">");
}

/// A JSON value as an element: arrays as `member` elements, objects as nested ones. Extras are made by handlers, so
/// names are sound and depth is small.
fn push_value(w: &mut XmlWriter, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::String(text) => element(w, name, text),
        Value::Bool(_) | Value::Number(_) => element(w, name, &value.to_string()),
        Value::Array(items) => {
            w.raw(&format!("<{name}>"));
            items.iter().for_each(|item| push_value(w, "member", item));
            w.raw(&format!("</{name}>"));
        }
        Value::Object(members) => {
            w.raw(&format!("<{name}>"));
            members.iter().for_each(|(name, value)| push_value(w, name, value));
            w.raw(&format!("</{name}>"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(shape: &ErrorShape, format: ErrorFormat) -> String {
        String::from_utf8(shape.write(format).body.to_vec()).unwrap()
    }

    #[test]
    fn every_flavour() {
        let mut shape = ErrorShape::new("NoSuchKey", 404, "The specified key does not exist.").with("Key", "a<b&\r");
        shape.request_id = "4442587FB7D0A2F9".into();
        shape.resource = Some("/b/a".into());
        shape.host_id = Some("host".into());
        assert_eq!(
            body(&shape, ErrorFormat::S3),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does \
             not exist.</Message><Key>a&lt;b&amp;&#13;</Key><Resource>/b/a</Resource><RequestId>4442587FB7D0A2F9\
             </RequestId><HostId>host</HostId></Error>"
        );
        let query = body(&shape, ErrorFormat::Query { namespace: Some("https://sts.amazonaws.com/doc/2011-06-15/") });
        assert!(query.contains("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>NoSuchKey</Code>"));
        assert!(query.ends_with("</Error><RequestId>4442587FB7D0A2F9</RequestId></ErrorResponse>"));
        assert_eq!(
            body(&shape, ErrorFormat::Json11),
            "{\"__type\":\"NoSuchKey\",\"message\":\"The specified key does not exist.\",\"Key\":\"a<b&\\r\"}"
        );
        let rest = shape.write(ErrorFormat::RestJson);
        assert_eq!(rest.headers["x-amzn-errortype"], "NoSuchKey");
        assert_eq!(rest.headers["content-type"], "application/json");
        assert_eq!(rest.status, 404);
        let receiver = ErrorShape::new("InternalFailure", 500, "");
        assert!(
            body(&receiver, ErrorFormat::RestXml { namespace: None })
                .contains("<ErrorResponse><Error><Type>Receiver</Type>")
        );
    }
}
