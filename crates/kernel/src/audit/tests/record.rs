use std::net::IpAddr;
use std::sync::Arc;

use millpond_io::SeededRandom;
use millpond_policy::Principal;
use millpond_types::{RequestId, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::audit::{EventKind, Said};
use crate::{AuthType, Authenticated, Session, SessionKind, Transport, testing};

const MINE: &str = "111122223333";
const THEIRS: &str = "444455556666";

fn user() -> Principal {
    Principal::User { account: MINE.parse().unwrap(), path: "/p/".into(), name: "u".into(), id: "AIDA".into() }
}

fn role() -> Principal {
    Principal::Role {
        account: MINE.parse().unwrap(),
        path: "/p/".into(),
        name: "r".into(),
        id: "AROA".into(),
        session: "s".into(),
    }
}

fn session() -> Session {
    Session {
        policies: None,
        tags: Vec::new(),
        transitive: Vec::new(),
        source_identity: Some("alice".into()),
        issued: Timestamp(1_800_000_000_500_000_000),
        expires: Timestamp::from_seconds(1_800_003_600),
        by: SessionKind::AssumeRole,
        causes: Vec::new(),
        worker: None,
    }
}

fn caller(principal: Principal, session: Option<Session>) -> Caller {
    let caller = Caller::authenticated(Authenticated {
        principal,
        session: session.map(Arc::new),
        access_key_id: Some("ASIA".into()),
        auth: AuthType::Header,
        signed: None,
        transport: Transport {
            source_ip: Some(IpAddr::from([192, 0, 2, 1])),
            secure: true,
            tls_version: Some("1.3"),
            user_agent: Some("agent".into()),
            referer: None,
        },
        request_id: RequestId(7),
        received: Timestamp(1_800_000_000_900_000_000),
    });
    caller.note().want();
    caller
}

fn call(caller: Caller, name: &'static str, body: &str, outcome: Outcome) -> Call {
    let said = Said { body: bytes::Bytes::copy_from_slice(body.as_bytes()), ..Said::default() };
    let kind = EventKind::by_verb(name);
    Call { caller: Arc::new(caller), service: "kms", protocol: Protocol::Json11, kind, said, outcome }
}

fn records(call: &Call) -> Vec<(String, Value)> {
    let region = "us-east-1".parse().unwrap();
    let records = of_call(call, &region, &SeededRandom::new(1));
    let parse = |record: Record| (record.account.to_string(), serde_json::from_slice(&record.json).unwrap());
    records.into_iter().map(parse).collect()
}

fn done() -> Outcome {
    Outcome::Done(r#"{"KeyMetadata":{"Arn":"a"},"Plaintext":"s"}"#.into())
}

#[test]
fn identities_are_told_as_cloudtrail_tells_them() {
    let context = |issuer: Value| {
        let mut context = json!({
            "attributes": {"creationDate": "2027-01-15T08:00:00Z", "mfaAuthenticated": "false"}, "sourceIdentity": "alice",
        });
        if !issuer.is_null() {
            context["sessionIssuer"] = issuer;
        }
        context
    };
    let federated = Principal::Federated { account: MINE.parse().unwrap(), name: "f".into(), user: Box::new(user()) };
    for (principal, session, expected) in [
        (
            Principal::Root(MINE.parse().unwrap()),
            None,
            json!({"type": "Root", "principalId": MINE, "arn": "arn:aws:iam::111122223333:root", "accountId": MINE, "accessKeyId": "ASIA"}),
        ),
        (
            user(),
            None,
            json!({"type": "IAMUser", "principalId": "AIDA", "arn": "arn:aws:iam::111122223333:user/p/u", "accountId": MINE,
                   "accessKeyId": "ASIA", "userName": "u"}),
        ),
        (
            user(),
            Some(session()),
            json!({"type": "IAMUser", "principalId": "AIDA", "arn": "arn:aws:iam::111122223333:user/p/u", "accountId": MINE,
                   "accessKeyId": "ASIA", "userName": "u", "sessionContext": context(Value::Null)}),
        ),
        (
            role(),
            Some(session()),
            json!({"type": "AssumedRole", "principalId": "AROA:s", "arn": "arn:aws:sts::111122223333:assumed-role/r/s", "accountId": MINE,
                   "accessKeyId": "ASIA", "sessionContext": context(json!({"type": "Role", "principalId": "AROA",
                   "arn": "arn:aws:iam::111122223333:role/p/r", "accountId": MINE, "userName": "r"}))}),
        ),
        (
            federated,
            Some(session()),
            json!({"type": "FederatedUser", "principalId": "111122223333:f", "arn": "arn:aws:sts::111122223333:federated-user/f",
                   "accountId": MINE, "accessKeyId": "ASIA", "sessionContext": context(json!({"type": "IAMUser", "principalId": "AIDA",
                   "arn": "arn:aws:iam::111122223333:user/p/u", "accountId": MINE, "userName": "u"}))}),
        ),
    ] {
        let call = call(caller(principal, session), "ListKeys", "", done());
        assert_eq!(records(&call)[0].1["userIdentity"], expected);
    }
}

#[test]
fn a_record_has_every_element() {
    let caller = caller(user(), None);
    caller.note().touches("arn:aws:kms:us-east-1:111122223333:key/k", MINE.parse().unwrap());
    caller.note().touches("arn:aws:kms:us-east-1:111122223333:key/k", MINE.parse().unwrap());
    caller.note().touches("*", MINE.parse().unwrap());
    caller.note().touches("arn:aws:iam::111122223333:user/", MINE.parse().unwrap());
    let call = call(caller, "CreateKey", r#"{"Description":"d","Plaintext":"s"}"#, done());
    let found = records(&call);
    assert_eq!(found.len(), 1);
    let (account, mut event) = found[0].clone();
    assert_eq!(account, MINE);
    let id = event["eventID"].as_str().unwrap().to_owned();
    assert_eq!((id.len(), &id[14..15]), (36, "4"), "{id}");
    let rest = event.as_object_mut().unwrap();
    rest.remove("eventID");
    rest.remove("userIdentity");
    let expected = json!({
        "eventVersion": "1.11", "eventTime": "2027-01-15T08:00:00Z", "eventSource": "kms.amazonaws.com", "eventName": "CreateKey",
        "awsRegion": "us-east-1", "sourceIPAddress": "192.0.2.1", "userAgent": "agent",
        "requestParameters": {"description": "d", "plaintext": "HIDDEN_DUE_TO_SECURITY_REASONS"},
        "responseElements": {"keyMetadata": {"arn": "a"}, "plaintext": "HIDDEN_DUE_TO_SECURITY_REASONS"},
        "requestID": "0000000000000007".chars().rev().collect::<String>(), "readOnly": false, "eventType": "AwsApiCall",
        "managementEvent": true, "eventCategory": "Management", "recipientAccountId": MINE,
        "resources": [{"ARN": "arn:aws:kms:us-east-1:111122223333:key/k", "accountId": MINE, "type": "AWS::KMS::Key"}],
        "tlsDetails": {"tlsVersion": "TLSv1.3"},
    });
    assert_eq!(event, expected);
}

#[test]
fn what_a_call_makes_is_its_resource() {
    let answer = r#"{"KeyMetadata":{"Arn":"arn:aws:kms:us-east-1:111122223333:key/k"}}"#;
    let (_, event) = records(&call(caller(user(), None), "CreateKey", "", Outcome::Done(answer.into()))).remove(0);
    assert_eq!(
        event["resources"],
        json!([{"ARN": "arn:aws:kms:us-east-1:111122223333:key/k", "accountId": MINE, "type": "AWS::KMS::Key"}])
    );
}

#[test]
fn reads_and_failures_show_no_response() {
    for (name, outcome, error) in [
        ("ListKeys", done(), None),
        ("CreateKey", Outcome::Failed { code: "AccessDenied".into(), message: "no".into() }, Some("AccessDenied")),
    ] {
        let (_, event) = records(&call(caller(user(), None), name, "", outcome)).remove(0);
        assert_eq!(event["responseElements"], Value::Null, "{name}");
        assert_eq!(event.get("errorCode").and_then(Value::as_str), error, "{name}");
        assert_eq!(event["readOnly"], json!(name == "ListKeys"));
    }
}

#[test]
fn what_crosses_accounts_is_in_both_trails() {
    let caller = caller(user(), None);
    caller.note().touches("arn:aws:s3:::theirs", THEIRS.parse().unwrap());
    caller.note().touches("arn:aws:s3:::mine", MINE.parse().unwrap());
    let found = records(&call(caller, "PutBucketPolicy", "", done()));
    let accounts: Vec<_> = found.iter().map(|(account, _)| account.as_str()).collect();
    assert_eq!(accounts, [MINE, THEIRS]);
    let (mine, theirs) = (&found[0].1, &found[1].1);
    assert_eq!(mine["sharedEventID"], theirs["sharedEventID"]);
    assert_ne!(mine["eventID"], theirs["eventID"]);
    assert_eq!(mine["resources"].as_array().unwrap().len(), 2);
    // The other account learns who it was by the unique id alone, and of its own resources alone.
    assert_eq!(theirs["userIdentity"], json!({"type": "AWSAccount", "principalId": "AIDA", "accountId": MINE}));
    assert_eq!(
        theirs["resources"],
        json!([{"ARN": "arn:aws:s3:::theirs", "accountId": THEIRS, "type": "AWS::S3::Bucket"}])
    );
    assert_eq!(theirs["recipientAccountId"], json!(THEIRS));
}

#[test]
fn nobody_is_in_the_trail_of_whom_it_knocked_at() {
    let nobody = testing::caller(Principal::Anonymous);
    nobody.note().want();
    assert!(records(&call(nobody.clone(), "ListKeys", "", done())).is_empty(), "it concerns no account");
    nobody.note().touches("arn:aws:s3:::b", MINE.parse().unwrap());
    let (account, event) = records(&call(nobody, "ListKeys", "", done())).remove(0);
    assert_eq!(account, MINE);
    assert_eq!(event["userIdentity"], json!({"type": "AWSAccount", "principalId": "", "accountId": "anonymous"}));
}

#[test]
fn uses_of_keys_name_key_caller_and_object() {
    let kernel = testing::kernel(MINE.parse().unwrap()).unwrap();
    let used = KeyEvent {
        caller: caller(role(), Some(session())).on_behalf(&kernel.register("s3.amazonaws.com")),
        uses: KeyUse::Decrypt,
        key_arn: "arn:aws:kms:us-east-1:444455556666:key/k".into(),
        owner: THEIRS.parse().unwrap(),
        context: [("aws:s3:arn".to_owned(), "arn:aws:s3:::b/k".to_owned())].into(),
        outcome: Outcome::Failed { code: "AccessDeniedException".into(), message: "no".into() },
    };
    let records = of_key(&used, &"us-east-1".parse().unwrap(), &SeededRandom::new(1));
    let accounts: Vec<_> = records.iter().map(|record| record.account.as_str().to_owned()).collect();
    assert_eq!(accounts, [MINE, THEIRS]);
    let event: Value = serde_json::from_slice(&records[0].json).unwrap();
    for (name, expected) in [
        ("eventSource", json!("kms.amazonaws.com")),
        ("eventName", json!("Decrypt")),
        ("sourceIPAddress", json!("s3.amazonaws.com")),
        ("userAgent", json!("s3.amazonaws.com")),
        ("errorCode", json!("AccessDeniedException")),
        ("readOnly", json!(true)),
    ] {
        assert_eq!(event[name], expected, "{name}");
    }
    assert_eq!(event["userIdentity"]["invokedBy"], json!("s3.amazonaws.com"));
    assert_eq!(event["requestParameters"]["encryptionContext"], json!({"aws:s3:arn": "arn:aws:s3:::b/k"}));
    assert_eq!(event["resources"][0]["ARN"], json!("arn:aws:kms:us-east-1:444455556666:key/k"));
}

#[test]
fn what_is_too_large_says_so() {
    let body = format!(r#"{{"Description":"{}"}}"#, "x".repeat(100_000));
    let (_, event) = records(&call(caller(user(), None), "CreateKey", &body, done())).remove(0);
    assert_eq!(event["requestParameters"]["omitted"], json!(true));
    assert!(event["requestParameters"]["originalSize"].as_u64().unwrap() > 100_000);
    assert!(event.to_string().len() <= MAX_RECORD);
}
