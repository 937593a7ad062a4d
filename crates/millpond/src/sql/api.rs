//! Calls of AWS's APIs, signed as the caller.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use millpond_auth::{Payload, Signer};
use millpond_io::{Clock, SystemClock};
use millpond_outbound::{Answer, Outbound, OutboundConfig, OutboundError, Request, Url};
use serde_json::{Value, json};

use super::failed::Failed;
use super::target::Target;

/// Bytes of an answer: a page of a result ends with the row that reaches 4 MiB, and a row may have 64; JSON doubles some.
const MAX_ANSWER: usize = 160 * 1024 * 1024;
/// For one call.
const CALL_TIME: Duration = Duration::from_secs(60);
/// How often a call is sent that failed for no fault of its own, and how long after the last time. All of them may be sent twice.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// One server, asked as one caller.
pub struct Api {
    client: Outbound,
    target: Target,
    base: Url,
}

/// A service with the JSON protocol.
#[derive(Clone, Copy)]
struct Service {
    name: &'static str,
    prefix: &'static str,
}

const ATHENA: Service = Service { name: "athena", prefix: "AmazonAthena" };
const GLUE: Service = Service { name: "glue", prefix: "AWSGlue" };

/// What is sent.
struct Sent<'a> {
    service: &'static str,
    method: Method,
    path: &'a str,
    headers: HeaderMap,
    body: Bytes,
}

impl Api {
    /// A client.
    pub fn new(target: Target) -> Result<Self, Failed> {
        let base: Url = format!("{}/", target.endpoint)
            .parse()
            .map_err(|error| Failed::Usage(format!("the endpoint {}: {error}", target.endpoint)))?;
        if base.path_and_query() != "/" {
            return Err(Failed::Usage(format!("the endpoint {} has a path, and may have none", target.endpoint)));
        }
        let everywhere = ["0.0.0.0/0", "::/0"].iter().filter_map(|network| network.parse().ok()).collect();
        let config = OutboundConfig {
            allow: everywhere,
            roots: target.roots.clone(),
            resolver: None,
            answer_bytes: Some(MAX_ANSWER),
            total_time: Some(CALL_TIME),
        };
        let client = Outbound::new(config).map_err(|error| Failed::Usage(error.to_string()))?;
        Ok(Self { client, target, base })
    }

    /// The region that is asked.
    pub fn region(&self) -> &str {
        &self.target.region
    }

    /// The server that is asked.
    pub fn endpoint(&self) -> &str {
        &self.target.endpoint
    }

    /// Calls Athena.
    pub async fn athena(&self, operation: &str, input: &Value) -> Result<Value, Failed> {
        Ok(self.json(ATHENA, operation, input).await?.0)
    }

    /// An execution, and how many objects it has read so far, if the server says it.
    pub async fn execution(&self, id: &str) -> Result<(Value, u64), Failed> {
        let (answer, headers) = self.json(ATHENA, "GetQueryExecution", &json!({"QueryExecutionId": id})).await?;
        let objects = headers.get("x-millpond-objects-read").and_then(|value| value.to_str().ok()?.parse().ok());
        Ok((answer, objects.unwrap_or_default()))
    }

    /// Calls Glue.
    pub async fn glue(&self, operation: &str, input: &Value) -> Result<Value, Failed> {
        Ok(self.json(GLUE, operation, input).await?.0)
    }

    async fn json(&self, service: Service, operation: &str, input: &Value) -> Result<(Value, HeaderMap), Failed> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
        let wrong = |_| Failed::Usage(format!("{operation} is no operation"));
        let target = HeaderValue::from_str(&format!("{}.{operation}", service.prefix)).map_err(wrong)?;
        headers.insert("x-amz-target", target);
        let body = Bytes::from(input.to_string());
        let answer = self.send(Sent { service: service.name, method: Method::POST, path: "/", headers, body }).await?;
        let parsed = serde_json::from_slice::<Value>(if answer.body.is_empty() { b"{}" } else { &answer.body });
        if answer.status.is_success() {
            let invalid = |error| Failed::Unreachable(format!("{operation}: no valid answer: {error}"));
            return Ok((parsed.map_err(invalid)?, answer.headers));
        }
        let said = parsed.unwrap_or_default();
        let code = said.get("__type").and_then(Value::as_str).unwrap_or(answer.status.as_str());
        let message = said.get("message").or_else(|| said.get("Message")).and_then(Value::as_str).unwrap_or_default();
        Err(refused(operation, code.rsplit('#').next().unwrap_or(code), message))
    }

    /// The account of the caller.
    pub async fn account(&self) -> Result<String, Failed> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let body = Bytes::from_static(b"Action=GetCallerIdentity&Version=2011-06-15");
        let answer = self.send(Sent { service: "sts", method: Method::POST, path: "/", headers, body }).await?;
        let text = checked("GetCallerIdentity", &answer)?;
        let missing = || Failed::Unreachable("GetCallerIdentity: no valid answer".to_owned());
        element(&text, "Account").map(str::to_owned).ok_or_else(missing)
    }

    /// Makes a bucket; whether it is new. One of the caller's own is fine.
    pub async fn make_bucket(&self, bucket: &str) -> Result<bool, Failed> {
        let region = self.region();
        let body = if region == "us-east-1" {
            String::new()
        } else {
            format!(
                "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            )
        };
        let path = format!("/{bucket}");
        let (headers, body) = (HeaderMap::new(), Bytes::from(body));
        // In us-east-1 creating one's own bucket anew succeeds, so that it is asked first.
        let head =
            Sent { service: "s3", method: Method::HEAD, path: &path, headers: headers.clone(), body: Bytes::new() };
        if self.send(head).await?.status.is_success() {
            return Ok(false);
        }
        let answer = self.send(Sent { service: "s3", method: Method::PUT, path: &path, headers, body }).await?;
        match checked("CreateBucket", &answer) {
            Ok(_) => Ok(true),
            Err(Failed::Refused { code, .. }) if code == "BucketAlreadyOwnedByYou" => Ok(false),
            Err(failed) => Err(failed),
        }
    }

    async fn send(&self, sent: Sent<'_>) -> Result<Answer, Failed> {
        let unreachable = |error: OutboundError| Failed::Unreachable(format!("{}: {error}", self.target.endpoint));
        for attempt in 1.. {
            let last = attempt == TRIES;
            match self.once(&sent).await {
                Ok(answer) if answer.truncated => {
                    return Err(Failed::Unreachable(format!("an answer has more than {MAX_ANSWER} bytes")));
                }
                Ok(answer) if last || !matches!(answer.status.as_u16(), 429 | 500..) => return Ok(answer),
                Err(error) if last || error.is_final() || matches!(error, OutboundError::Connect { .. }) => {
                    return Err(unreachable(error));
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        Err(unreachable(OutboundError::TimedOut(CALL_TIME)))
    }

    async fn once(&self, sent: &Sent<'_>) -> Result<Answer, OutboundError> {
        let Target { region, keys, endpoint, .. } = &self.target;
        let mut signer = Signer::new(&keys.access_key, &keys.secret, region, sent.service);
        signer.session_token.clone_from(&keys.token);
        let mut headers = sent.headers.clone();
        let host = HeaderValue::from_str(&self.base.authority())
            .map_err(|error| OutboundError::Protocol(error.to_string()))?;
        headers.insert(header::HOST, host);
        let request = (sent.method.as_str(), sent.path, "");
        signer.sign(request, &mut headers, Payload::Body(&sent.body), SystemClock.now());
        // The client sets it to the same.
        headers.remove(header::HOST);
        let url: Url = format!("{endpoint}{}", sent.path).parse()?;
        let (method, body) = (sent.method.clone(), sent.body.clone());
        self.client.send(Request { method, url, headers, body, timeout: CALL_TIME }).await
    }
}

fn refused(operation: &str, code: &str, message: &str) -> Failed {
    Failed::Refused { operation: operation.to_owned(), code: code.to_owned(), message: message.to_owned() }
}

/// The text of an answer in XML, or its error.
fn checked(operation: &str, answer: &Answer) -> Result<String, Failed> {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.status.is_success() {
        return Ok(text);
    }
    let code = element(&text, "Code").unwrap_or(answer.status.as_str());
    Err(refused(operation, code, element(&text, "Message").unwrap_or_default()))
}

/// The text of the first element of a name that has no attributes.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_answers() {
        let text = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
        assert_eq!((element(text, "Code"), element(text, "Message")), (Some("AccessDenied"), Some("no")));
        assert_eq!(element("<Code>", "Code"), None);
    }
}
