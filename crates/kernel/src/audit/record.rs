//! Records: the JSON of CloudTrail (CloudTrail User Guide, "CloudTrail record contents").

use std::collections::BTreeSet;

use millpond_io::Random;
use millpond_types::{AccountId, CauseChain, Changed, Region};
use millpond_wire::Protocol;
use serde_json::{Map, Value, json};

use super::call::{Call, EventClass, Outcome};
use super::keep::Side;
use super::note::Noted;
use super::{DataEvent, data, identity, parameters, resource};
use crate::{AuthType, Caller, EncryptionContext, KeyUse};

/// The version of the records' format.
const EVENT_VERSION: &str = "1.11";
/// The largest record in bytes: below what one row may hold, together with a chain of causes.
pub(super) const MAX_RECORD: usize = 56 * 1024;
/// Characters of a user agent or an error message that are shown (CloudTrail's limit is 1 KB).
const MAX_TEXT: usize = 1024;

/// A record on its way to the stream of an account.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Record {
    pub(super) account: AccountId,
    pub(super) side: Side,
    pub(super) time: millpond_types::Timestamp,
    pub(super) json: Vec<u8>,
    /// What led to the call.
    pub(super) causes: CauseChain,
}

/// A use of a key, owned.
pub(super) struct KeyEvent {
    pub(super) caller: Caller,
    pub(super) uses: KeyUse,
    pub(super) key_arn: String,
    pub(super) owner: AccountId,
    pub(super) context: EncryptionContext,
    pub(super) outcome: Outcome,
}

/// The records of a call: one for each account that it concerns. None when it concerns no account.
pub(super) fn of_call(call: &Call, region: &Region, random: &dyn Random) -> Vec<Record> {
    let noted = call.caller.note().noted();
    let mut event = Map::new();
    event.insert("requestParameters".to_owned(), request(call, &noted));
    let answered = response(call, &noted);
    let mut resources = noted.resources;
    if resources.is_empty() {
        resources = made(&answered, call.caller.account());
    }
    event.insert("responseElements".to_owned(), answered);
    let about = About {
        caller: &call.caller,
        source: format!("{}.amazonaws.com", call.service),
        name: call.kind.name,
        class: call.kind.class,
        outcome: &call.outcome,
        resources,
        region,
        data: None,
    };
    about.records(event, random, |_, _| true)
}

/// The records of a call on data, for the accounts that want it. `change` is one that the call makes, with the resources that it is about.
pub(super) fn of_data(
    call: &Call,
    change: Option<(&Changed<'_>, Vec<(String, AccountId)>)>,
    region: &Region,
    random: &dyn Random,
    wants: impl Fn(AccountId, &DataEvent<'_>) -> bool,
) -> Vec<Record> {
    let noted = call.caller.note().noted();
    let mut parameters = request(call, &Noted::default());
    let mut resources = noted.resources;
    let (mut name, mut answered) = (call.kind.name, Value::Null);
    if let Some((change, about)) = change {
        // Of a batch, each deletion is an event of its own.
        if name == "DeleteObjects" {
            (name, resources) = ("DeleteObject", Vec::new());
            parameters["key"] = change.key.into();
        }
        resources.splice(0..0, about);
        answered = elements(change);
    }
    let buckets: Vec<_> = resources.iter().filter_map(|(arn, owner)| Some((bucket_of(arn)?, *owner))).collect();
    resources.extend(buckets);
    let mut seen = BTreeSet::new();
    resources.retain(|(arn, _)| seen.insert(arn.clone()));
    let mut event = Map::new();
    event.insert("requestParameters".to_owned(), parameters);
    event.insert("responseElements".to_owned(), answered);
    event.insert("additionalEventData".to_owned(), proof(&call.caller));
    let (source, read_only) = (format!("{}.amazonaws.com", call.service), data::reads(name));
    let caller = call.caller.arn();
    let about = About {
        caller: &call.caller,
        source: source.clone(),
        name,
        class: call.kind.class,
        outcome: &call.outcome,
        resources,
        region,
        data: Some(read_only),
    };
    about.records(event, random, |account, resources| {
        wants(account, &DataEvent { source: &source, name, read_only, caller: &caller, resources })
    })
}

/// The bucket of an object.
fn bucket_of(arn: &str) -> Option<String> {
    let (bucket, _) = arn.strip_prefix("arn:aws:s3:::")?.split_once('/')?;
    Some(format!("arn:aws:s3:::{bucket}"))
}

/// What a change answers with.
fn elements(change: &Changed<'_>) -> Value {
    let mut elements = Map::new();
    if let Some(version) = &change.version {
        elements.insert("x-amz-version-id".to_owned(), version.as_str().into());
    }
    if change.marker {
        elements.insert("x-amz-delete-marker".to_owned(), "true".into());
    }
    if elements.is_empty() { Value::Null } else { Value::Object(elements) }
}

/// How a call on data was signed.
fn proof(caller: &Caller) -> Value {
    let method = match caller.auth() {
        AuthType::None => return json!({}),
        AuthType::Header => "AuthHeader",
        AuthType::Query => "QueryString",
    };
    let version = match caller.signed() {
        Some(signed) if signed.version == "AWS" => "SigV2",
        _ => "SigV4",
    };
    json!({ "AuthenticationMethod": method, "SignatureVersion": version })
}

/// The records of a use of a key.
pub(super) fn of_key(used: &KeyEvent, region: &Region, random: &dyn Random) -> Vec<Record> {
    let mut parameters = json!({ "keyId": used.key_arn, "encryptionContext": used.context });
    let name = match used.uses {
        KeyUse::GenerateDataKey => {
            parameters["keySpec"] = "AES_256".into();
            "GenerateDataKey"
        }
        KeyUse::Decrypt => {
            parameters["encryptionAlgorithm"] = "SYMMETRIC_DEFAULT".into();
            "Decrypt"
        }
    };
    let mut event = Map::new();
    event.insert("requestParameters".to_owned(), parameters);
    event.insert("responseElements".to_owned(), Value::Null);
    let about = About {
        caller: &used.caller,
        source: "kms.amazonaws.com".to_owned(),
        name,
        class: EventClass::Read,
        outcome: &used.outcome,
        resources: vec![(used.key_arn.clone(), used.owner)],
        region,
        data: None,
    };
    about.records(event, random, |_, _| true)
}

fn request(call: &Call, noted: &Noted) -> Value {
    let said = parameters::of_request(call.protocol, &call.said);
    let mut shown = match (call.protocol, said) {
        (Protocol::RestXml, said) => parameters::without_secrets(said.unwrap_or_default()),
        (_, Some(said)) => match parameters::shown(Value::Object(said)) {
            Value::Object(shown) => shown,
            _ => Map::new(),
        },
        (_, None) => Map::new(),
    };
    shown.extend(parameters::without_secrets(noted.parameters.clone()));
    if shown.is_empty() { Value::Null } else { Value::Object(shown) }
}

fn response(call: &Call, noted: &Noted) -> Value {
    let Outcome::Done(body) = &call.outcome else { return Value::Null };
    // Reads would repeat what is there anyway.
    if call.kind.class == EventClass::Read {
        return Value::Null;
    }
    let said = noted.response.clone().or_else(|| parameters::of_answer(call.protocol, body));
    said.map_or(Value::Null, parameters::shown)
}

/// What a call made that was not there when it was decided, such as a key: the answer names it.
fn made(answered: &Value, account: Option<AccountId>) -> Vec<(String, AccountId)> {
    let members = answered.as_object().into_iter().flat_map(Map::values);
    let arns = members.filter_map(|member| member.get("arn")?.as_str()).filter(|arn| arn.starts_with("arn:"));
    arns.filter_map(|arn| Some((arn.to_owned(), account?))).collect()
}

/// What a record is about.
struct About<'a> {
    caller: &'a Caller,
    source: String,
    name: &'a str,
    class: EventClass,
    outcome: &'a Outcome,
    resources: Vec<(String, AccountId)>,
    region: &'a Region,
    /// Of operations on data: whether it changes nothing.
    data: Option<bool>,
}

impl About<'_> {
    /// A record for each account that it concerns and that wants it, given the ARNs that the account learns of.
    fn records(
        &self,
        mut event: Map<String, Value>,
        random: &dyn Random,
        wanted: impl Fn(AccountId, &[String]) -> bool,
    ) -> Vec<Record> {
        let own = self.caller.account();
        let accounts: BTreeSet<AccountId> =
            own.into_iter().chain(self.resources.iter().map(|(_, owner)| *owner)).collect();
        // An account learns of its own resources, and the caller's of all.
        let learnt = |account: AccountId| {
            self.resources.iter().filter(move |(_, owner)| own == Some(account) || *owner == account)
        };
        let wants =
            |account: &AccountId| wanted(*account, &learnt(*account).map(|(arn, _)| arn.clone()).collect::<Vec<_>>());
        let accounts: BTreeSet<AccountId> = accounts.into_iter().filter(wants).collect();
        if accounts.is_empty() {
            return Vec::new();
        }
        self.common(&mut event);
        let shared = (accounts.len() > 1).then(|| uuid(random));
        let time = self.caller.received();
        let record = |account: AccountId| {
            let mut event = event.clone();
            event.insert("eventID".to_owned(), uuid(random).into());
            event.insert("recipientAccountId".to_owned(), account.as_str().into());
            if let Some(shared) = &shared {
                event.insert("sharedEventID".to_owned(), shared.as_str().into());
            }
            let seen = match own {
                Some(own) if own != account => identity::foreign(self.caller, own),
                _ => identity::own(self.caller),
            };
            event.insert("userIdentity".to_owned(), seen);
            let resources: Vec<Value> = learnt(account).map(|(arn, owner)| shown_resource(arn, *owner)).collect();
            if !resources.is_empty() {
                event.insert("resources".to_owned(), resources.into());
            }
            let side = if own == Some(account) { Side::Own } else { Side::Others };
            let causes = self.caller.causes().clone();
            Record { account, side, time, json: encoded(event), causes }
        };
        accounts.into_iter().map(record).collect()
    }

    /// What is the same for every account.
    fn common(&self, event: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Value| _ = event.insert(name.to_owned(), value);
        let transport = self.caller.transport();
        put("eventVersion", EVENT_VERSION.into());
        put("eventTime", identity::time(self.caller.received()).into());
        put("eventSource", self.source.as_str().into());
        put("eventName", self.name.into());
        put("awsRegion", self.region.as_str().into());
        match self.caller.via().last() {
            Some(service) => {
                put("sourceIPAddress", (*service).into());
                put("userAgent", (*service).into());
            }
            None => {
                let address = transport.source_ip.map(|address| address.to_string());
                put("sourceIPAddress", address.unwrap_or_else(|| "AWS Internal".to_owned()).into());
                put("userAgent", transport.user_agent.as_deref().map_or(Value::Null, |agent| cut(agent).into()));
            }
        }
        if let Outcome::Failed { code, message } = self.outcome {
            put("errorCode", code.as_ref().into());
            put("errorMessage", cut(message).into());
        }
        put("requestID", self.caller.request_id().to_string().into());
        put("readOnly", self.data.unwrap_or_else(|| self.class.read_only()).into());
        put("eventType", "AwsApiCall".into());
        put("managementEvent", self.data.is_none().into());
        put("eventCategory", if self.data.is_none() { "Management" } else { "Data" }.into());
        if let Some(version) = transport.tls_version {
            put("tlsDetails", json!({ "tlsVersion": format!("TLSv{version}") }));
        }
    }
}

fn shown_resource(arn: &str, owner: AccountId) -> Value {
    let mut shown = json!({ "accountId": owner.as_str(), "ARN": arn });
    if let Some(kind) = resource::kind(arn) {
        shown["type"] = kind.into();
    }
    shown
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// The text of a record. Where it would be too large, what is largest is left out and says so (CloudTrail does the same).
fn encoded(mut event: Map<String, Value>) -> Vec<u8> {
    for name in ["", "responseElements", "requestParameters", "resources"] {
        if let Some(value) = event.get_mut(name) {
            let size = value.to_string().len();
            *value = json!({ "omitted": true, "originalSize": size, "reason": "the record would be too large" });
        }
        // A map of texts and values always has a JSON text.
        let json = serde_json::to_vec(&event).unwrap_or_default();
        if json.len() <= MAX_RECORD {
            return json;
        }
    }
    // Nothing else is of unbounded size.
    serde_json::to_vec(&event).unwrap_or_default()
}

/// A random UUID (RFC 9562, version 4).
fn uuid(random: &dyn Random) -> String {
    let bits = (random.u128() & !(0xF000 << 64) & !(0xC000 << 48)) | (0x4000 << 64) | (0x8000 << 48);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
#[path = "tests/record.rs"]
mod tests;
