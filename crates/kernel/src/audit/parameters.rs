//! What a record shows of a request and its answer: names with a lower-case first letter, lists as lists, no secrets.

use std::collections::BTreeMap;

use millpond_wire::{FormPairs, Protocol, QueryPairs};
use serde_json::{Map, Value};

use super::bounded;
use super::call::Said;

/// Members that are never shown, wherever they stand: secrets, content, and what opens something. In lower case.
const REDACTED: &[&str] = &[
    "secretaccesskey",
    "sessiontoken",
    "securitytoken",
    "x-amz-security-token",
    "x-amz-signature",
    "signature",
    "password",
    "oldpassword",
    "newpassword",
    "privatekey",
    "privatekeyplaintext",
    "privatekeyciphertextblob",
    "plaintext",
    "ciphertextblob",
    "ciphertextforrecipient",
    "message",
    "mac",
    "encryptedkeymaterial",
    "importtoken",
    "granttoken",
    "granttokens",
    "webidentitytoken",
    "samlassertion",
    "tokencode",
    "encodedmessage",
    "decodedmessage",
    "nexttoken",
    "token",
    "apikeyvalue",
    "clientsecret",
    // The code, and the environment, of functions.
    "zipfile",
    "variables",
];
/// Lists of parameters whose values may be secret (`IsValueSecret`), of connections: they are shown as a whole or not at all. In lower case.
const PARAMETERS: &[&str] = &["headerparameters", "querystringparameters", "bodyparameters"];
/// What is shown in their place, as CloudTrail has it.
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";

/// Members that are maps, whose keys are the client's own words.
const MAPS: &[&str] = &[
    "encryptionContext",
    "encryptionContextSubset",
    "encryptionContextEquals",
    "sourceEncryptionContext",
    "destinationEncryptionContext",
];

/// Parameters of a form that are no parameters of the operation.
const OF_THE_PROTOCOL: &[&str] =
    &["Action", "Version", "AWSAccessKeyId", "SignatureMethod", "SignatureVersion", "Timestamp"];

/// The parameters of a request; `None` when it has none, or none that can be read.
pub(super) fn of_request(protocol: Protocol, said: &Said) -> Option<Map<String, Value>> {
    let said = match protocol {
        Protocol::RestXml => object_storage(said),
        Protocol::Query => form(if said.body.is_empty() { said.query.as_bytes() } else { &said.body })?,
        Protocol::RestJson | Protocol::Json10 | Protocol::Json11 => bounded::members(&said.body)?,
    };
    (!said.is_empty()).then_some(said)
}

/// The elements of an answer; `None` when it has none.
pub(super) fn of_answer(protocol: Protocol, body: &[u8]) -> Option<Value> {
    let value = match protocol {
        // S3's answers to changes say nothing that the request did not.
        Protocol::RestXml => return None,
        Protocol::RestJson | Protocol::Json10 | Protocol::Json11 => serde_json::from_slice(body).ok()?,
        Protocol::Query => {
            let (root, value) = millpond_wire::xml::tree(body).ok()??;
            let Value::Object(mut members) = value else { return None };
            let result = format!("{}Result", root.strip_suffix("Response")?);
            members.remove(&result)?
        }
    };
    value.as_object().is_some_and(|members| !members.is_empty()).then_some(value)
}

/// Bucket, host and query, as S3's records have them.
fn object_storage(said: &Said) -> Map<String, Value> {
    let mut parameters = Map::new();
    let path = said.path.strip_prefix('/').unwrap_or(&said.path);
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let key = if said.host_bucket.is_some() { path } else { rest };
    let decoded = |text| millpond_wire::percent_decode(text).map(Into::into);
    let bucket: Option<String> = said.host_bucket.clone().or_else(|| decoded(first));
    let key: Option<String> = decoded(key);
    if let Some(bucket) = bucket.filter(|bucket| !bucket.is_empty()) {
        parameters.insert("bucketName".to_owned(), bucket.into());
    }
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        parameters.insert("key".to_owned(), key.into());
    }
    if let Some(host) = &said.host {
        parameters.insert("Host".to_owned(), host.as_str().into());
    }
    if let Ok(pairs) = QueryPairs::parse(&said.query) {
        for (name, value) in pairs.iter() {
            parameters.insert(name.to_owned(), value.into());
        }
    }
    parameters
}

/// A node of a form's names.
#[derive(Default)]
struct Node<'a> {
    value: Option<&'a str>,
    children: BTreeMap<&'a str, Node<'a>>,
}

/// `Tags.member.1.Key=a` as `{"Tags": [{"Key": "a"}]}`.
fn form(text: &[u8]) -> Option<Map<String, Value>> {
    let pairs = FormPairs::parse(text).ok()?;
    let mut root = Node::default();
    for (name, value) in pairs.iter() {
        if OF_THE_PROTOCOL.contains(&name) || name.starts_with("X-Amz-") {
            continue;
        }
        let node = name.split('.').fold(&mut root, |node, part| node.children.entry(part).or_default());
        node.value = Some(value);
    }
    match root.into_value() {
        Value::Object(members) => Some(members),
        _ => Some(Map::new()),
    }
}

impl Node<'_> {
    /// As deep as a form's names may be.
    fn into_value(self) -> Value {
        if self.children.is_empty() {
            return Value::String(self.value.unwrap_or_default().to_owned());
        }
        let mut children = self.children;
        if children.len() == 1 {
            if let Some(list) = children.remove("member") {
                return Value::Array(list.items().into_iter().map(Node::into_value).collect());
            }
            if let Some(map) = children.remove("entry") {
                return Value::Object(map.items().into_iter().filter_map(Node::into_entry).collect());
            }
        }
        Value::Object(children.into_iter().map(|(name, node)| (name.to_owned(), node.into_value())).collect())
    }

    /// The numbered children in the order of their numbers.
    fn items(self) -> Vec<Self> {
        let mut items: Vec<_> =
            self.children.into_iter().map(|(n, node)| (n.parse::<u32>().unwrap_or(u32::MAX), node)).collect();
        items.sort_by_key(|(number, _)| *number);
        items.into_iter().map(|(_, node)| node).collect()
    }

    fn into_entry(mut self) -> Option<(String, Value)> {
        let key = self.children.remove("key")?.value?.to_owned();
        Some((key, self.children.remove("value").map(Node::into_value).unwrap_or_default()))
    }
}

/// The value with the names that records use, and without secrets.
pub(super) fn shown(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| member(&name, value)).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(shown).collect()),
        other => other,
    }
}

fn member(name: &str, value: Value) -> (String, Value) {
    let shown_name = lower_first(name);
    if REDACTED.contains(&name.to_ascii_lowercase().as_str()) {
        return (shown_name, HIDDEN.into());
    }
    if PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) && has_secrets(&value) {
        return (shown_name, HIDDEN.into());
    }
    // Most services have lists of tags, some have maps.
    let is_map = MAPS.contains(&shown_name.as_str()) || (shown_name == "tags" && value.is_object());
    let value = if is_map { value } else { shown(value) };
    (shown_name, value)
}

fn has_secrets(list: &Value) -> bool {
    let secret = |item: &Value| item.get("IsValueSecret").is_some_and(|secret| secret.as_bool() != Some(false));
    list.as_array().is_some_and(|items| items.iter().any(secret))
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

/// Takes secrets out of what keeps its names: parameters of S3, and documents that were noted.
pub(super) fn without_secrets(members: Map<String, Value>) -> Map<String, Value> {
    fn clean(value: Value) -> Value {
        match value {
            Value::Object(members) => Value::Object(without_secrets(members)),
            Value::Array(items) => Value::Array(items.into_iter().map(clean).collect()),
            other => other,
        }
    }
    let member = |(name, value): (String, Value)| match REDACTED.contains(&name.to_ascii_lowercase().as_str()) {
        true => (name, HIDDEN.into()),
        false => (name, clean(value)),
    };
    members.into_iter().map(member).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(path: &str, query: &str, body: &str) -> Said {
        let body = bytes::Bytes::copy_from_slice(body.as_bytes());
        Said { path: path.into(), query: query.into(), host: Some("h".into()), host_bucket: None, body }
    }

    #[test]
    fn requests_are_shown_as_cloudtrail_shows_them() {
        for (protocol, path, query, body, expected) in [
            (
                Protocol::Query,
                "/",
                "",
                "Action=CreateUser&Version=2010-05-08&UserName=a%20b&Tags.member.2.Key=y&Tags.member.10.Key=z&Tags.member.1.Key=x&Tags.member.1.Value=1",
                json!({"userName": "a b", "tags": [{"key": "x", "value": "1"}, {"key": "y"}, {"key": "z"}]}),
            ),
            (Protocol::Query, "/", "Action=GetCallerIdentity&X-Amz-Signature=00", "", Value::Null),
            (
                Protocol::Query,
                "/",
                "",
                "Action=X&Map.entry.1.key=k&Map.entry.1.value=v&Policy=%7B%7D&NewPassword=secret",
                json!({"map": {"k": "v"}, "policy": "{}", "newPassword": HIDDEN}),
            ),
            (
                Protocol::Json11,
                "/",
                "",
                r#"{"KeyId":"k","Plaintext":"c2VjcmV0","EncryptionContext":{"Plaintext":"p","K":"v"},"GrantTokens":["t"],"Tags":[{"TagKey":"a"}]}"#,
                json!({"keyId": "k", "plaintext": HIDDEN, "encryptionContext": {"Plaintext": "p", "K": "v"}, "grantTokens": HIDDEN, "tags": [{"tagKey": "a"}]}),
            ),
            (
                Protocol::Json11,
                "/",
                "",
                r#"{"ApiKeyValue":"s","HeaderParameters":[{"Key":"k","Value":"v","IsValueSecret":true}],"BodyParameters":[{"Key":"k","Value":"v","IsValueSecret":false}]}"#,
                json!({"apiKeyValue": HIDDEN, "headerParameters": HIDDEN, "bodyParameters": [{"key": "k", "value": "v", "isValueSecret": false}]}),
            ),
            (Protocol::Json11, "/", "", "{}", Value::Null),
            (Protocol::Json11, "/", "", "not JSON", Value::Null),
        ] {
            let found = of_request(protocol, &said(path, query, body)).map_or(Value::Null, |found| shown(found.into()));
            assert_eq!(found, expected, "{body}");
        }
        let s3 = of_request(Protocol::RestXml, &said("/b%20x/", "policy=&X-Amz-Signature=00", "")).unwrap();
        let expected = json!({"bucketName": "b x", "Host": "h", "policy": "", "X-Amz-Signature": HIDDEN});
        assert_eq!(Value::Object(without_secrets(s3)), expected);
    }

    #[test]
    fn answers_are_shown_without_secrets() {
        let xml = "<CreateAccessKeyResponse xmlns=\"x\"><CreateAccessKeyResult><AccessKey><AccessKeyId>AKIA</AccessKeyId>\
                   <SecretAccessKey>s</SecretAccessKey></AccessKey></CreateAccessKeyResult><ResponseMetadata><RequestId>1</RequestId>\
                   </ResponseMetadata></CreateAccessKeyResponse>";
        for (protocol, body, expected) in [
            (Protocol::Query, xml, Some(json!({"accessKey": {"accessKeyId": "AKIA", "secretAccessKey": HIDDEN}}))),
            (Protocol::Query, "<AResponse><ResponseMetadata/></AResponse>", None),
            (Protocol::Json11, r#"{"KeyMetadata":{"KeyId":"k"}}"#, Some(json!({"keyMetadata": {"keyId": "k"}}))),
            (Protocol::Json11, "{}", None),
            (Protocol::Json11, "", None),
            (Protocol::RestXml, "<A/>", None),
        ] {
            assert_eq!(of_answer(protocol, body.as_bytes()).map(shown), expected, "{body}");
        }
    }
}
