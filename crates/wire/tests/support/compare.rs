//! Equality of meaning: of parameters, XML and JSON documents, headers and errors.

use std::collections::BTreeMap;

use http::HeaderMap;
use millpond_wire::{ResponseParts, parse_http_date, parse_iso8601};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;

/// Compares JSON: numbers by value, times in any spelling, nulls as absent.
pub fn json(actual: &Value, expected: &Value) -> Result<(), String> {
    if same_json(actual, expected) { Ok(()) } else { Err(format!("{actual} instead of {expected}")) }
}

fn same_json(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let set = |map: &serde_json::Map<String, Value>| {
                let set = map.iter().filter(|(_, value)| !value.is_null());
                set.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<_, _>>()
            };
            let (a, b) = (set(a), set(b));
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same_json(value, other)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::String(a), Value::String(b)) => same_text(a, b),
        _ => a == b,
    }
}

/// The parameters of a vector without empty lists and maps where those leave nothing on the wire: in headers, queries
/// and forms.
pub fn without_empties(params: &Value, suite: &Value, case: &Value) -> Value {
    let shape = case["given"]["input"]["shape"].as_str().unwrap_or_default();
    let members = &suite["shapes"][shape]["members"];
    let mut params = params.clone();
    let Some(map) = params.as_object_mut() else { return params };
    map.retain(|name, value| {
        let member = &members[name];
        let kind = &suite["shapes"][member["shape"].as_str().unwrap_or_default()]["type"];
        let vanishes = match member["location"].as_str() {
            Some("querystring" | "headers") => true,
            _ => suite["metadata"]["protocol"] == "query" && kind == "map",
        };
        let empty =
            value.as_object().is_some_and(|map| map.is_empty()) || value.as_array().is_some_and(|list| list.is_empty());
        !(vanishes && empty)
    });
    params
}

/// Compares texts, also as numbers and as times.
fn same_text(a: &str, b: &str) -> bool {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let time = |text: &str| parse_iso8601(text).or_else(|| parse_http_date(text));
    a == b
        || number(a).is_some_and(|value| number(b) == Some(value))
        || time(a).is_some_and(|value| time(b) == Some(value))
}

/// Compares status and all headers that the vector names. A content type matters only with a body.
pub fn status_and_headers(response: &ResponseParts, expected: &Value) -> Result<(), String> {
    if expected["status_code"] != response.status {
        return Err(format!("status {} instead of {}", response.status, expected["status_code"]));
    }
    for (name, value) in expected["headers"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap();
        if name.eq_ignore_ascii_case("content-type") && response.body.is_empty() {
            continue;
        }
        if name.eq_ignore_ascii_case("content-length") {
            if value != response.body.len().to_string() {
                return Err(format!("length {} instead of {value}", response.body.len()));
            }
            continue;
        }
        let actual = response.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let items = |text: &str| text.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>();
        let same = actual.as_deref().is_some_and(|actual| same_text(actual, value) || items(actual) == items(value));
        if !same {
            return Err(format!("header {name}: {actual:?} instead of {value:?}"));
        }
    }
    Ok(())
}

/// Compares bodies by the protocol's format, or byte by byte where they are of none.
pub fn body(protocol: &str, actual: &[u8], expected: &str) -> Result<(), String> {
    let actual = std::str::from_utf8(actual).map_err(|e| e.to_string())?;
    let failed = || Err(format!("body {actual} instead of {expected}"));
    if actual == expected {
        return Ok(());
    }
    if matches!(protocol, "rest-xml" | "query") {
        // Every answer of the query protocol has a body here; clients take none where no members are.
        if protocol == "query" && expected.trim().is_empty() {
            return Ok(());
        }
        let (Some(ours), Some(mut theirs)) = (xml(actual), xml(expected)) else { return failed() };
        if protocol == "query" {
            // The vectors' models do not tell the namespace that their responses have.
            theirs.attributes.remove("xmlns");
        }
        return if ours.means(&theirs) { Ok(()) } else { failed() };
    }
    let parse = |text: &str| match text.trim() {
        "" => Some(Value::Object(serde_json::Map::new())),
        text => serde_json::from_str(text).ok(),
    };
    match (parse(actual), parse(expected)) {
        (Some(ours), Some(theirs)) if same_json(&ours, &theirs) => Ok(()),
        _ => failed(),
    }
}

/// An element with its attributes, children and text.
#[derive(Debug, Default)]
struct Node {
    name: String,
    attributes: BTreeMap<String, String>,
    children: Vec<Node>,
    text: String,
}

impl Node {
    fn means(&self, other: &Node) -> bool {
        if self.name != other.name || self.attributes != other.attributes || self.children.len() != other.children.len()
        {
            return false;
        }
        // Space with a line break between tags is layout.
        let text = |node: &Node| match node.text.trim_ascii() {
            "" if node.text.contains('\n') => String::new(),
            _ => node.text.clone(),
        };
        if self.children.is_empty() && !same_text(&text(self), &text(other)) {
            return false;
        }
        // Members may come in any order, items of a list may not; entries of a map (two children each) may.
        let names = |node: &Node| node.children.iter().map(|child| child.name.clone()).collect::<Vec<_>>();
        let mut all = names(self);
        all.sort();
        all.dedup();
        all.iter().all(|name| {
            let named = |node: &'_ Node| -> Vec<usize> {
                (0..node.children.len()).filter(|index| node.children[*index].name == *name).collect()
            };
            let (ours, theirs) = (named(self), named(other));
            let in_order = || ours.iter().zip(&theirs).all(|(a, b)| self.children[*a].means(&other.children[*b]));
            let is_map = ours.iter().all(|index| self.children[*index].children.len() == 2);
            let in_any_order =
                || is_map && ours.iter().all(|a| theirs.iter().any(|b| self.children[*a].means(&other.children[*b])));
            ours.len() == theirs.len() && (in_order() || in_any_order())
        })
    }

    fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    fn json(&self) -> Value {
        if self.children.is_empty() {
            return Value::from(self.text.trim());
        }
        self.children.iter().map(|child| (child.name.clone(), child.json())).collect::<serde_json::Map<_, _>>().into()
    }
}

/// Parses a document; `None` when it is none. Ids differ from answer to answer and are left out.
fn xml(text: &str) -> Option<Node> {
    let mut reader = Reader::from_str(text.trim());
    reader.config_mut().expand_empty_elements = true;
    let mut stack = vec![Node::default()];
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => {
                let mut node = Node { name: tag.name().into_inner().to_owned(), ..Node::default() };
                for attribute in tag.attributes() {
                    let attribute = attribute.ok()?;
                    node.attributes.insert(attribute.key.into_inner().to_owned(), attribute.value.into_owned());
                }
                stack.push(node);
            }
            Event::End(_) => {
                let node = stack.pop()?;
                if node.name != "ResponseMetadata" {
                    stack.last_mut()?.children.push(node);
                }
            }
            Event::Text(text) => stack.last_mut()?.text.push_str(&text.xml10_content()),
            Event::CData(text) => stack.last_mut()?.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref().ok()? {
                    Some(character) => character,
                    None => match reference.as_ref() {
                        "amp" => '&',
                        "lt" => '<',
                        "gt" => '>',
                        "quot" => '"',
                        _ => '\'',
                    },
                };
                stack.last_mut()?.text.push(character);
            }
            Event::Eof => return stack.pop()?.children.pop(),
            _ => {}
        }
    }
}

/// What a client makes of an error: the code, the message, the other members.
pub fn error(
    protocol: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(String, String, BTreeMap<String, Value>), String> {
    let text = std::str::from_utf8(body).map_err(|e| e.to_string())?;
    let mut members: BTreeMap<String, Value> = match protocol {
        "rest-xml" | "query" => {
            let document = xml(text).ok_or("not XML")?;
            let error = document.child("Error").ok_or("no error")?;
            if document.child("RequestId").is_none_or(|id| id.text != "foo-id") {
                return Err("no request id".to_owned());
            }
            error.children.iter().map(|child| (child.name.clone(), child.json())).collect()
        }
        _ if text.trim().is_empty() => BTreeMap::new(),
        _ => serde_json::from_str(text).map_err(|e| e.to_string())?,
    };
    let mut take = |names: &[&str]| {
        names.iter().find_map(|name| members.remove(*name)).and_then(|v| v.as_str().map(str::to_owned))
    };
    let in_body = take(&["__type", "code", "Code"]);
    let code = headers.get("x-amzn-errortype").map(|value| value.to_str().unwrap_or_default().to_owned()).or(in_body);
    let code = code.ok_or("no code")?;
    let code = code.split(':').next().unwrap_or_default().rsplit('#').next().unwrap_or_default().to_owned();
    let message = take(&["message", "Message"]).unwrap_or_default();
    Ok((code, message, members))
}
