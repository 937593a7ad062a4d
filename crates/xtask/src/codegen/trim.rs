//! Trimming a model of botocore to what is served.

use std::collections::{BTreeMap, BTreeSet};

use super::config::Service;
use super::model::{Model, Operation, Unserved};

/// The served operations with the shapes they reach, and the names and ways in of all others.
pub fn trim(full: Model, service: &Service) -> Result<Model, String> {
    let mut operations = BTreeMap::new();
    for name in &service.operations {
        let operation = full.operations.get(name).ok_or_else(|| format!("the model has no operation {name}"))?;
        operations.insert(name.clone(), operation.clone());
    }
    let mut wanted: Vec<&str> = Vec::new();
    for operation in operations.values() {
        wanted.extend(operation.input.iter().chain(&operation.output).chain(&operation.errors).map(|r| &*r.shape));
    }
    let mut reached = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        if !reached.insert(name) {
            continue;
        }
        let shape = full.shapes.get(name).ok_or_else(|| format!("the model has no shape {name}"))?;
        wanted.extend(shape.uses().map(|member| &*member.shape));
    }
    let shapes = full.shapes.iter().filter(|(name, _)| reached.contains(name.as_str()));
    let unserved = full
        .operations
        .iter()
        .filter(|(name, _)| !operations.contains_key(*name) && !service.unrouted.contains(name))
        .filter(|(name, operation)| !has_successor(&full, name, operation))
        .map(|(name, operation)| unserved(&full, name, operation))
        .collect();
    Ok(Model {
        metadata: full.metadata.clone(),
        shapes: shapes.map(|(name, shape)| (name.clone(), shape.clone())).collect(),
        unserved,
        operations,
    })
}

/// Whether an operation is deprecated and another has taken over its way in (`GetBucketLifecycle`).
fn has_successor(full: &Model, name: &str, operation: &Operation) -> bool {
    operation.deprecated
        && full.operations.iter().any(|(other, o)| {
            other != name
                && !o.deprecated
                && o.http.method == operation.http.method
                && o.http.request_uri == operation.http.request_uri
        })
}

fn unserved(full: &Model, name: &str, operation: &Operation) -> Unserved {
    let (query, headers) = requirements(full, operation);
    Unserved { name: name.to_owned(), http: operation.http.clone(), query, headers }
}

/// The query parameters and headers that an operation requires.
pub fn requirements(model: &Model, operation: &Operation) -> (Vec<String>, Vec<String>) {
    let mut found = (Vec::new(), Vec::new());
    let Some(shape) = operation.input.as_ref().and_then(|input| model.shapes.get(&input.shape)) else { return found };
    for (name, member) in shape.members.0.iter().filter(|(name, _)| shape.required.contains(name)) {
        let wire = member.location_name.clone().unwrap_or_else(|| name.clone());
        match member.location.as_deref() {
            Some("querystring") => found.0.push(wire),
            Some("header") => found.1.push(wire.to_ascii_lowercase()),
            _ => {}
        }
    }
    found
}
