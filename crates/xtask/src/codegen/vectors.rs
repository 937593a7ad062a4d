//! The protocol tests: botocore's vectors as models, generated with the same code as services.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;

use super::api::{Api, Protocol};
use super::config::Service;
use super::model::{Metadata, Model, Operation, Shape};

/// The protocols that have vectors.
pub const PROTOCOLS: [&str; 5] = ["rest-xml", "rest-json", "json", "json_1_0", "query"];

/// One suite of vectors: shapes, and cases that each bring their operation.
#[derive(Deserialize)]
struct Suite {
    metadata: Metadata,
    shapes: BTreeMap<String, Shape>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    given: Given,
}

#[derive(Deserialize)]
struct Given {
    name: String,
    #[serde(flatten)]
    operation: Operation,
}

/// One model out of all suites of a protocol. Suites come from one source, so that shapes of one name are the same.
pub fn model(input: &str, output: &str) -> Result<Model, String> {
    let mut model = Model::default();
    for text in [input, output] {
        let suites: Vec<Suite> = serde_json::from_str(text).map_err(|e| format!("vectors: {e}"))?;
        for suite in suites {
            model.metadata = suite.metadata;
            model.shapes.extend(suite.shapes);
            for Case { given } in suite.cases {
                let known = model.operations.entry(given.name).or_default();
                known.http = given.operation.http;
                known.input = given.operation.input.or(known.input.take());
                known.output = given.operation.output.or(known.output.take());
                known.errors.extend(given.operation.errors);
            }
        }
    }
    Ok(model)
}

/// How vectors are generated.
pub fn service() -> Service {
    Service { params: true, ..Service::default() }
}

/// Functions from requests to parameters and from parameters to responses, by operation.
pub fn emit_dispatch(api: &Api<'_>) -> String {
    let names: Vec<&String> = api.model.operations.keys().collect();
    let mut out = String::from(
        "/// Reads a request and gives its parameters as JSON.\n\
         pub fn parse_params(operation: Operation, req: &wire::RequestView<'_>) -> Result<String, wire::ParseError> {\n\
         let mut w = wire::JsonWriter::new();\nmatch operation {\n",
    );
    for name in &names {
        let _ = writeln!(out, "Operation::{name} => {name}Input::parse(req)?.write_params(&mut w),");
    }
    out += "}\nOk(w.finish())\n}\n\n/// Writes the response that these parameters make.\n\
            pub fn write_params(operation: Operation, params: Value) -> Result<wire::ResponseParts, wire::ParseError> {\n\
            Ok(match operation {\n";
    let argument = if api.protocol == Protocol::Query { "\"request-id\"" } else { "" };
    for name in &names {
        let _ = writeln!(out, "Operation::{name} => {name}Output::read_params(params)?.write({argument}),");
    }
    out + "})\n}\n"
}
