//! JSON: texts of a type of their own.

use arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use serde_json::Value as Json;

use super::argument;
use super::kind::{Kind, Kind::*, Out, Value};
use super::simple::{Form, form, function, simple};

/// What JSON is held in. Nothing else is.
pub const JSON: DataType = DataType::LargeUtf8;

/// Whether a column holds JSON.
pub fn is_json(field: &Field) -> bool {
    *field.data_type() == JSON
}

/// A step of a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Key(String),
    Index(usize),
    /// `[*]`
    Each,
}

/// A path as Trino's `json_extract` takes it: `$.a.b[0]["c"]`.
pub fn path(text: &str) -> Result<Vec<Step>> {
    let bad = || argument(format!("Invalid JSON path: '{text}'"));
    // A path without the dollar starts at the root, too.
    let mut rest = text.trim();
    rest = rest.strip_prefix('$').unwrap_or(rest);
    let mut steps = Vec::new();
    if !rest.is_empty() && !rest.starts_with(['.', '[']) {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (key, more) = rest.split_at(end);
        steps.push(Step::Key(key.to_owned()));
        rest = more;
    }
    while !rest.is_empty() {
        if let Some(more) = rest.strip_prefix('.') {
            let end = more.find(['.', '[']).unwrap_or(more.len());
            let (key, more) = more.split_at(end);
            if key.is_empty() || key.contains(['*', '?', '(', ')', ']']) {
                return Err(bad());
            }
            steps.push(Step::Key(key.to_owned()));
            rest = more;
        } else if let Some(more) = rest.strip_prefix('[') {
            let (step, more) = bracket(more.trim_start()).ok_or_else(bad)?;
            steps.push(step);
            rest = more.trim_start().strip_prefix(']').ok_or_else(bad)?;
        } else {
            return Err(bad());
        }
    }
    Ok(steps)
}

fn bracket(text: &str) -> Option<(Step, &str)> {
    if let Some(more) = text.strip_prefix('*') {
        return Some((Step::Each, more));
    }
    let quote = text.chars().next()?;
    if quote == '"' || quote == '\'' {
        let mut key = String::new();
        let mut escaped = false;
        for (at, letter) in text.char_indices().skip(1) {
            match letter {
                '\\' if !escaped => escaped = true,
                _ if letter == quote && !escaped => return Some((Step::Key(key), text.get(at + 1..)?)),
                _ => {
                    key.push(letter);
                    escaped = false;
                }
            }
        }
        return None;
    }
    let end = text.find(']')?;
    let (key, more) = text.split_at(end);
    let key = key.trim();
    match key.parse() {
        Ok(index) => Some((Step::Index(index), more)),
        Err(_) if !key.is_empty() && key.chars().all(|letter| letter.is_alphanumeric() || letter == '_') => {
            Some((Step::Key(key.to_owned()), more))
        }
        Err(_) => None,
    }
}

fn found<'a>(mut value: &'a Json, steps: &[Step]) -> Option<&'a Json> {
    for step in steps {
        value = match (step, value) {
            (Step::Key(key), Json::Object(fields)) => fields.get(key)?,
            (Step::Index(index), Json::Array(items)) => items.get(*index)?,
            (Step::Index(index), Json::Object(fields)) => fields.get(&index.to_string())?,
            _ => return None,
        };
    }
    Some(value)
}

fn parsed(text: &str) -> Option<Json> {
    serde_json::from_str(text).ok()
}

fn extracted(args: &[Value<'_>]) -> Result<Option<Json>> {
    let [json, path_text] = args else { return Ok(None) };
    let steps = path(path_text.text())?;
    if steps.contains(&Step::Each) {
        let words = format!("Invalid JSON path: '{}': [*] is not carried out", path_text.text());
        return Err(argument(words));
    }
    // What is no JSON has nothing at any path.
    Ok(parsed(json.text()).and_then(|value| found(&value, &steps).cloned()))
}

/// A scalar as text; NULL for JSON's null and for what is no scalar.
pub fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(value) => Some(value.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

fn text_or_null(text: Option<String>) -> Out {
    text.map_or(Out::Null, Out::Text)
}

fn extract(args: &[Value<'_>]) -> Result<Out> {
    Ok(text_or_null(extracted(args)?.map(|value| value.to_string())))
}

fn extract_scalar(args: &[Value<'_>]) -> Result<Out> {
    Ok(text_or_null(extracted(args)?.as_ref().and_then(scalar)))
}

fn size(args: &[Value<'_>]) -> Result<Out> {
    Ok(extracted(args)?.map_or(Out::Null, |value| match value {
        Json::Array(items) => count(items.len()),
        Json::Object(fields) => count(fields.len()),
        _ => Out::Int(0),
    }))
}

fn count(length: usize) -> Out {
    Out::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

fn items(value: &Value<'_>) -> Option<Vec<Json>> {
    match parsed(value.text()) {
        Some(Json::Array(items)) => Some(items),
        _ => None,
    }
}

fn array_length(args: &[Value<'_>]) -> Result<Out> {
    Ok(args.first().and_then(items).map_or(Out::Null, |items| count(items.len())))
}

fn array_get(args: &[Value<'_>]) -> Result<Out> {
    let [array, index] = args else { return Ok(Out::Null) };
    let Some(items) = items(array) else { return Ok(Out::Null) };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let at = if index.int() < 0 { length.saturating_add(index.int()) } else { index.int() };
    let item = usize::try_from(at).ok().and_then(|at| items.get(at));
    // JSON's null is NULL here.
    Ok(text_or_null(item.filter(|item| !item.is_null()).map(ToString::to_string)))
}

fn array_contains(args: &[Value<'_>]) -> Result<Out> {
    let [array, wanted] = args else { return Ok(Out::Null) };
    let Some(items) = items(array) else { return Ok(Out::Null) };
    let is = |item: &Json| match (item, wanted) {
        (Json::String(text), Value::Text(wanted)) => text == wanted,
        (Json::Bool(value), Value::Bool(wanted)) => value == wanted,
        (Json::Number(number), Value::Int(wanted)) => number.as_i64() == Some(*wanted),
        (Json::Number(number), Value::Double(wanted)) => number.as_f64().is_some_and(|value| value == *wanted),
        _ => false,
    };
    Ok(Out::Bool(items.iter().any(is)))
}

fn is_scalar(args: &[Value<'_>]) -> Result<Out> {
    let value = args.first().and_then(|value| parsed(value.text()));
    Ok(value.map_or(Out::Null, |value| Out::Bool(!value.is_array() && !value.is_object())))
}

fn parse(args: &[Value<'_>]) -> Result<Out> {
    let text = args.first().map_or("", Value::text);
    match serde_json::from_str::<Json>(text) {
        Ok(value) => Ok(Out::Text(value.to_string())),
        Err(error) => Err(argument(format!("Cannot convert value to JSON: '{text}': {error}"))),
    }
}

fn format(args: &[Value<'_>]) -> Result<Out> {
    Ok(Out::Text(args.first().map_or("", Value::text).to_owned()))
}

const fn both(gives: Kind, work: super::simple::Work) -> [Form; 2] {
    [form(&[Json, Text], gives, work), form(&[Text, Text], gives, work)]
}

static EXTRACT: [Form; 2] = both(Json, extract);
static EXTRACT_SCALAR: [Form; 2] = both(Text, extract_scalar);
static SIZE: [Form; 2] = both(Bigint, size);
static LENGTH: &[Form] = &[form(&[Json], Bigint, array_length), form(&[Text], Bigint, array_length)];
static GET: &[Form] = &[form(&[Json, Bigint], Json, array_get), form(&[Text, Bigint], Json, array_get)];
static CONTAINS: &[Form] = &[
    form(&[Json, Bool], Bool, array_contains),
    form(&[Json, Bigint], Bool, array_contains),
    form(&[Json, Double], Bool, array_contains),
    form(&[Json, Text], Bool, array_contains),
    form(&[Text, Bool], Bool, array_contains),
    form(&[Text, Bigint], Bool, array_contains),
    form(&[Text, Double], Bool, array_contains),
    form(&[Text, Text], Bool, array_contains),
];
static IS_SCALAR: &[Form] = &[form(&[Json], Bool, is_scalar), form(&[Text], Bool, is_scalar)];

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    let mut all = super::json_paths::all();
    all.extend([
        simple("json_extract", &EXTRACT),
        simple("json_extract_scalar", &EXTRACT_SCALAR),
        simple("json_size", &SIZE),
        simple("json_array_length", LENGTH),
        simple("json_array_get", GET),
        simple("json_array_contains", CONTAINS),
        simple("is_json_scalar", IS_SCALAR),
        function!("json_parse", [Text] => Json, parse),
        function!("json_format", [Json] => Text, format),
    ]);
    all
}
