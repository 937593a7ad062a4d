//! botocore's protocol vectors, turned around: what its clients send must be read as the parameters they were given,
//! and what its clients read must be written for the results they gave.
//!
//! The code under test is generated from the vectors' own models by the generator that makes the services
//! (`cargo xtask codegen`); it is committed in `generated/`, and `xtask`'s tests check that it is up to date.
// A test may panic; clippy excuses only functions marked as tests.
#![allow(clippy::unwrap_used)]

#[path = "support/compare.rs"]
mod compare;
#[path = "generated/json/mod.rs"]
mod json;
#[path = "generated/json_1_0/mod.rs"]
mod json_1_0;
#[path = "generated/query/mod.rs"]
mod query;
#[path = "generated/rest_json/mod.rs"]
mod rest_json;
#[path = "generated/rest_xml/mod.rs"]
mod rest_xml;
#[path = "support/skipped.rs"]
mod skipped;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use millpond_wire::{ErrorDef, ErrorShape, FormPairs, Label, QueryPairs, RequestView, ResponseParts, Route};
use serde_json::Value;

type Outcome = Result<(), String>;

/// A request of a vector, with what its parts borrow from.
struct Request {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    fn of(serialized: &Value) -> Self {
        let (path, query) = match serialized["uri"].as_str().unwrap().split_once('?') {
            Some((path, query)) => (path.to_owned(), query.to_owned()),
            None => (serialized["uri"].as_str().unwrap().to_owned(), String::new()),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in serialized["headers"].as_object().into_iter().flatten() {
            // Field values carry no white space at their ends (RFC 9110, section 5.5); the HTTP library trims it.
            let value = HeaderValue::from_str(value.as_str().unwrap().trim()).unwrap();
            headers.append(HeaderName::try_from(name).unwrap(), value);
        }
        Self {
            method: serialized["method"].as_str().unwrap().parse().unwrap(),
            path,
            query,
            headers,
            body: Bytes::from(serialized["body"].as_str().unwrap_or_default().to_owned()),
        }
    }

    fn view<'a>(&'a self, query: &'a QueryPairs<'a>, labels: &'a [Label]) -> RequestView<'a> {
        RequestView {
            method: &self.method,
            bucket: None,
            key: None,
            labels,
            query,
            headers: &self.headers,
            body: &self.body,
        }
    }
}

/// How the test drives one protocol's generated module.
struct Protocol {
    name: &'static str,
    input: &'static str,
    output: &'static str,
    /// Routes and reads a request for the named operation.
    read: fn(&Request, &str) -> Result<String, String>,
    /// Writes the result of the named operation.
    write: fn(&str, Value) -> Result<ResponseParts, String>,
    errors: &'static [ErrorDef],
    error_format: millpond_wire::ErrorFormat,
}

macro_rules! protocol {
    ($module:ident, $name:literal, $read:expr) => {
        Protocol {
            name: $name,
            input: include_str!(concat!("vectors/input/", $name, ".json")),
            output: include_str!(concat!("vectors/output/", $name, ".json")),
            read: $read,
            write: |operation, result| {
                let operation = $module::Operation::from_name(operation).ok_or("no such operation")?;
                $module::write_params(operation, result).map_err(|e| e.to_string())
            },
            errors: $module::errors::ALL,
            error_format: $module::ERROR_FORMAT,
        }
    };
}

/// The operation that a request was routed to, which must be the expected one.
fn routed<O>(route: Route<O>, name: fn(&O) -> &'static str, expected: &str) -> Result<O, String> {
    match route {
        Route::Served(operation) if name(&operation) == expected => Ok(operation),
        Route::Served(operation) => Err(format!("routed to {}", name(&operation))),
        Route::Unserved(other) => Err(format!("routed to {other}, unserved")),
        Route::Unknown => Err("not routed".to_owned()),
    }
}

macro_rules! read_rest {
    ($module:ident) => {
        |request, expected| {
            let query = QueryPairs::parse(&request.query).map_err(|e| e.to_string())?;
            let (route, labels) = $module::route(&request.method, &request.path, &query, &request.headers);
            let operation = routed(route, |operation| operation.name(), expected)?;
            $module::parse_params(operation, &request.view(&query, &labels)).map_err(|e| e.to_string())
        }
    };
}

macro_rules! read_json {
    ($module:ident) => {
        |request, expected| {
            // Vectors without the header test the body alone.
            let target = request.headers.get("x-amz-target").map(|value| value.to_str().unwrap());
            let operation = match target {
                Some(target) => routed($module::route(target), |operation| operation.name(), expected)?,
                None => $module::Operation::from_name(expected).ok_or("no such operation")?,
            };
            let query = QueryPairs::default();
            $module::parse_params(operation, &request.view(&query, &[])).map_err(|e| e.to_string())
        }
    };
}

fn read_query(request: &Request, expected: &str) -> Result<String, String> {
    let form = FormPairs::parse(&request.body).map_err(|e| e.to_string())?;
    if form.get("Version") != Some(query::VERSION) {
        return Err("wrong version".to_owned());
    }
    let action = form.get("Action").ok_or("no action")?;
    let operation = routed(query::route(action), |operation| operation.name(), expected)?;
    let pairs = QueryPairs::default();
    query::parse_params(operation, &request.view(&pairs, &[])).map_err(|e| e.to_string())
}

fn protocols() -> [Protocol; 5] {
    [
        protocol!(rest_xml, "rest-xml", read_rest!(rest_xml)),
        protocol!(rest_json, "rest-json", read_rest!(rest_json)),
        protocol!(json, "json", read_json!(json)),
        protocol!(json_1_0, "json_1_0", read_json!(json_1_0)),
        protocol!(query, "query", read_query),
    ]
}

fn run_input(protocol: &Protocol, suite: &Value, case: &Value) -> Outcome {
    let name = case["given"]["name"].as_str().unwrap();
    let actual = (protocol.read)(&Request::of(&case["serialized"]), name)?;
    let actual: Value = serde_json::from_str(&actual).map_err(|e| e.to_string())?;
    compare::json(&actual, &compare::without_empties(&case["params"], suite, case))
}

fn run_output(protocol: &Protocol, _: &Value, case: &Value) -> Outcome {
    if case.get("error").is_some() {
        return run_error(protocol, case);
    }
    let name = case["given"]["name"].as_str().unwrap();
    let response = (protocol.write)(name, case["result"].clone())?;
    let expected = &case["response"];
    compare::status_and_headers(&response, expected)?;
    let body = expected["body"].as_str().unwrap_or_default();
    compare::body(protocol.name, &response.body, body)
}

/// An error is written in one way where clients read many; what a client makes of both must be the same.
fn run_error(protocol: &Protocol, case: &Value) -> Outcome {
    let code = case["errorCode"].as_str().unwrap();
    let def = protocol.errors.iter().find(|def| def.code == code).ok_or("the model does not list the error")?;
    let message = case["errorMessage"].as_str().unwrap_or_default();
    let mut error = ErrorShape::of(*def, message);
    error.request_id = "foo-id".to_owned();
    for (name, value) in case["error"].as_object().unwrap().iter().filter(|(name, _)| *name != "Message") {
        error = error.with(name.clone(), value.clone());
    }
    let response = error.write(protocol.error_format);
    let expected = &case["response"];
    if expected["status_code"] != response.status {
        return Err(format!("status {}", response.status));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in expected["headers"].as_object().into_iter().flatten() {
        headers.insert(HeaderName::try_from(name).unwrap(), value.as_str().unwrap().parse().unwrap());
    }
    let body = expected["body"].as_str().unwrap_or_default();
    let theirs = compare::error(protocol.name, &headers, body.as_bytes())?;
    let ours = compare::error(protocol.name, &response.headers, &response.body)?;
    if ours == theirs { Ok(()) } else { Err(format!("{ours:?} instead of {theirs:?}")) }
}

/// Runs all vectors of one direction; a skipped vector that passes is a mistake too.
fn run_all(direction: &str, run: fn(&Protocol, &Value, &Value) -> Outcome, expected_passes: usize) {
    let mut failures = Vec::new();
    let (mut passed, mut skipped) = (0, 0);
    for protocol in &protocols() {
        let text = if direction == "input" { protocol.input } else { protocol.output };
        let suites: Value = serde_json::from_str(text).unwrap();
        let cases = |suite: &'_ Value| suite["cases"].as_array().unwrap().len();
        let suites = suites.as_array().unwrap();
        for (suite, case) in suites.iter().flat_map(|s| (0..cases(s)).map(move |index| (s, &s["cases"][index]))) {
            let id = case["id"].as_str().unwrap();
            let reason = skipped::reason(protocol.name, direction, id);
            match (run(protocol, suite, case), reason) {
                (Ok(()), None) => passed += 1,
                (Err(_), Some(_)) => skipped += 1,
                (Ok(()), Some(_)) => {
                    failures.push(format!("{} {id} passes: take it off the skip table", protocol.name))
                }
                (Err(why), None) => failures.push(format!("{} {id}: {why}", protocol.name)),
            }
        }
    }
    println!("{direction}: {passed} passed, {skipped} skipped");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(
        skipped,
        skipped::SKIPPED.iter().filter(|skip| skip.1 == direction).count(),
        "an unknown vector is skipped"
    );
    assert_eq!(passed, expected_passes, "vectors got lost");
}

#[test]
fn requests_are_read_as_the_parameters_they_were_made_of() {
    run_all("input", run_input, 290);
}

#[test]
fn results_are_written_as_clients_read_them() {
    run_all("output", run_output, 282);
}
