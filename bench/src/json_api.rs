//! Calls of the JSON protocols, signed.

use serde_json::Value;

use crate::BenchError;
use crate::http::{Connection, Sink};
use crate::sign::{Signer, sha256};
use crate::workload::expect;

/// One service of one server.
pub struct JsonApi {
    /// Signs for the service.
    pub signer: Signer,
    /// What stands before the operation in `X-Amz-Target`.
    pub prefix: &'static str,
    /// `1.0` or `1.1`.
    pub version: &'static str,
}

impl JsonApi {
    /// Makes a call; its answer must be 200.
    pub fn call(&self, connection: &mut Connection, operation: &str, input: &Value) -> Result<Value, BenchError> {
        let answer = self.raw(connection, operation, &input.to_string())?;
        if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&answer)?) }
    }

    /// As [`Self::call`], from text to text.
    pub fn raw(&self, connection: &mut Connection, operation: &str, body: &str) -> Result<Vec<u8>, BenchError> {
        let target = format!("{}.{operation}", self.prefix);
        let content = format!("application/x-amz-json-{}", self.version);
        let extra = [("content-type", content.as_str()), ("x-amz-target", target.as_str())];
        let headers = self.signer.headers("POST", "/", "", &sha256(body.as_bytes()), &extra);
        let mut answer = Vec::new();
        let head = head("POST", "/", &headers, body.len());
        let sent = connection.send(head.as_bytes(), body.as_bytes(), Sink::Keep(&mut answer))?;
        expect(operation, sent, 200, &answer)?;
        Ok(answer)
    }
}

/// The head of a request with these headers and a body of this length.
pub fn head(method: &str, target: &str, headers: &[(String, String)], length: usize) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {length}\r\n\r\n"));
    head
}
