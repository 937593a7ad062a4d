//! How each operation on event source mappings is asked for.

use serde_json::{Value, json};

use crate::world::{OWNER, REGION, Request, function_arn, request};

pub const PATH: &str = "/2015-03-31/event-source-mappings";

pub fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{OWNER}:{name}")
}

pub fn made(source: &str) -> Request {
    let body = json!({"FunctionName": function_arn("f"), "EventSourceArn": queue_arn(source)});
    request("POST", &format!("{PATH}/"), "", body)
}

/// Operation, and how it is asked for about a mapping.
pub type Row = (&'static str, fn(&str) -> Request);

pub const ROWS: &[Row] = &[
    ("CreateEventSourceMapping", |_| made("another")),
    ("DeleteEventSourceMapping", |id| request("DELETE", &format!("{PATH}/{id}"), "", Value::Null)),
    ("GetEventSourceMapping", |id| request("GET", &format!("{PATH}/{id}"), "", Value::Null)),
    ("ListEventSourceMappings", |_| request("GET", &format!("{PATH}/"), "", Value::Null)),
    ("UpdateEventSourceMapping", |id| request("PUT", &format!("{PATH}/{id}"), "", json!({"BatchSize": 5}))),
];
