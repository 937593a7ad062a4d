//! Every operation asks for permission, and gets it as AWS documents it (KMS Developer Guide, "Key policies", "Permissions reference").
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use millpond_kernel::{Caller, Principal};
use serde_json::{Value, json};
use world::{OWNER, STRANGER, World, allow, arn, base64, caller, key_policy, role, root, says, user};

/// What an operation touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum On {
    /// Nothing: the identity's policies alone decide, in the caller's own account.
    Account,
    /// A key, whose policy must allow or hand on.
    Key,
    /// A key of the caller's own account (API reference, "Cross-account use: No").
    OwnKey,
    /// An alias and a key.
    Alias,
    /// A grant, about which key policies have no say.
    Grant,
}

/// Operation, what it touches, its input: names in capitals stand for what was prepared.
type Row = (&'static str, On, fn() -> Value);

const ROWS: &[Row] = &[
    ("CancelKeyDeletion", On::OwnKey, || json!({"KeyId": "DOOMED"})),
    ("CreateAlias", On::Alias, || json!({"AliasName": "alias/new", "TargetKeyId": "KEY"})),
    ("CreateGrant", On::Key, || json!({"KeyId": "KEY", "GranteePrincipal": "GRANTEE", "Operations": ["Decrypt"]})),
    ("CreateKey", On::Account, || json!({})),
    ("Decrypt", On::Key, || json!({"CiphertextBlob": "BLOB"})),
    ("DeleteAlias", On::Alias, || json!({"AliasName": "alias/old"})),
    ("DescribeCustomKeyStores", On::Account, || json!({})),
    ("DescribeKey", On::Key, || json!({"KeyId": "KEY"})),
    ("DisableKey", On::OwnKey, || json!({"KeyId": "KEY"})),
    ("DisableKeyRotation", On::OwnKey, || json!({"KeyId": "KEY"})),
    ("EnableKey", On::OwnKey, || json!({"KeyId": "KEY"})),
    ("EnableKeyRotation", On::OwnKey, || json!({"KeyId": "KEY"})),
    ("Encrypt", On::Key, || json!({"KeyId": "KEY", "Plaintext": "eA=="})),
    ("GenerateDataKey", On::Key, || json!({"KeyId": "KEY", "KeySpec": "AES_256"})),
    ("GenerateDataKeyWithoutPlaintext", On::Key, || json!({"KeyId": "KEY", "KeySpec": "AES_256"})),
    ("GenerateMac", On::Key, || json!({"KeyId": "HMAC", "Message": "eA==", "MacAlgorithm": "HMAC_SHA_256"})),
    ("GenerateRandom", On::Account, || json!({"NumberOfBytes": 8})),
    ("GetKeyPolicy", On::OwnKey, || json!({"KeyId": "KEY"})),
    ("GetKeyRotationStatus", On::Key, || json!({"KeyId": "KEY"})),
    ("ListAliases", On::Account, || json!({})),
    ("ListGrants", On::Key, || json!({"KeyId": "KEY"})),
    ("ListKeyPolicies", On::OwnKey, || json!({"KeyId": "KEY"})),
    ("ListKeyRotations", On::OwnKey, || json!({"KeyId": "KEY"})),
    ("ListKeys", On::Account, || json!({})),
    ("ListResourceTags", On::OwnKey, || json!({"KeyId": "KEY"})),
    ("ListRetirableGrants", On::Account, || json!({"RetiringPrincipal": "ACCOUNT"})),
    (
        "PutKeyPolicy",
        On::OwnKey,
        || json!({"KeyId": "KEY", "Policy": "POLICY", "BypassPolicyLockoutSafetyCheck": true}),
    ),
    ("ReEncrypt", On::Key, || json!({"CiphertextBlob": "BLOB", "DestinationKeyId": "KEY"})),
    ("RetireGrant", On::Grant, || json!({"KeyId": "KEY", "GrantId": "GRANT"})),
    ("RevokeGrant", On::Key, || json!({"KeyId": "KEY", "GrantId": "GRANT"})),
    ("RotateKeyOnDemand", On::OwnKey, || json!({"KeyId": "KEY"})),
    ("ScheduleKeyDeletion", On::OwnKey, || json!({"KeyId": "KEY"})),
    ("TagResource", On::OwnKey, || json!({"KeyId": "KEY", "Tags": [{"TagKey": "a", "TagValue": "b"}]})),
    ("UntagResource", On::OwnKey, || json!({"KeyId": "KEY", "TagKeys": ["a"]})),
    ("UpdateAlias", On::Alias, || json!({"AliasName": "alias/old", "TargetKeyId": "KEY"})),
    ("UpdateKeyDescription", On::OwnKey, || json!({"KeyId": "KEY", "Description": "d"})),
    (
        "VerifyMac",
        On::Key,
        || json!({"KeyId": "HMAC", "Message": "eA==", "MacAlgorithm": "HMAC_SHA_256", "Mac": "CODE"}),
    ),
];

/// A world with everything that rows name, whose keys have this policy.
struct Stage {
    world: World,
    names: Vec<(&'static str, String)>,
}

async fn stage(policy: &str) -> Stage {
    let world = World::new().await;
    world.people.add(&role(OWNER, "admin"), &[says("Allow", "kms:*")], None);
    for (of, name) in [(OWNER, "alice"), (STRANGER, "bob")] {
        world.people.add(&user(of, name), &[], None);
    }
    let hmac = json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"});
    let (key, doomed, hmac) = (world.key().await, world.key().await, world.made(hmac).await);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let blob = text(&world.root("Encrypt", json!({"KeyId": key, "Plaintext": base64(b"x")})).await["CiphertextBlob"]);
    let mac = json!({"KeyId": hmac, "Message": base64(b"x"), "MacAlgorithm": "HMAC_SHA_256"});
    let code = text(&world.root("GenerateMac", mac).await["Mac"]);
    // For what no row does, so that it allows none.
    let of = format!("arn:aws:iam::{OWNER}:root");
    let grant = json!({"KeyId": key, "GranteePrincipal": of, "Operations": ["GenerateDataKeyPair"]});
    let grant = text(&world.root("CreateGrant", grant).await["GrantId"]);
    world.root("CreateAlias", json!({"AliasName": "alias/old", "TargetKeyId": key})).await;
    world.root("ScheduleKeyDeletion", json!({"KeyId": doomed})).await;
    for key in [&key, &doomed, &hmac] {
        let body = json!({"KeyId": key, "Policy": policy, "BypassPolicyLockoutSafetyCheck": true});
        world.root("PutKeyPolicy", body).await;
    }
    let names = vec![
        ("KEY", key),
        ("DOOMED", doomed),
        ("HMAC", hmac),
        ("BLOB", blob),
        ("CODE", code),
        ("GRANTEE", format!("arn:aws:iam::{OWNER}:root")),
        ("GRANT", grant),
        ("POLICY", handing_on()),
    ];
    Stage { world, names }
}

impl Stage {
    async fn ask(&self, caller: Caller, row: &Row) -> Result<(), String> {
        let account = caller.account().map(|account| format!("arn:aws:iam::{account}:root")).unwrap_or_default();
        let mut body = (row.2)();
        for value in body.as_object_mut().unwrap().values_mut() {
            let found = value.as_str().and_then(|text| self.names.iter().find(|(name, _)| *name == text));
            if let Some((_, real)) = found {
                *value = real.clone().into();
            } else if value == "ACCOUNT" {
                *value = account.clone().into();
            }
        }
        self.world.call(caller, row.0, body).await.map(drop)
    }
}

/// What AWS gives keys by default.
fn handing_on() -> String {
    json!({"Version": "2012-10-17", "Statement": [allow(&[&format!("arn:aws:iam::{OWNER}:root")], json!("kms:*"))]})
        .to_string()
}

/// The default policy, and this statement.
fn and(statement: Value) -> String {
    key_policy(&[allow(&[OWNER], json!("kms:*")), statement])
}

fn denied() -> Result<(), String> {
    Err("AccessDeniedException".to_owned())
}

#[tokio::test]
async fn nobody_and_who_has_no_policy() {
    for row in ROWS {
        let stage = stage(&and(allow(&["*"], json!("s3:GetObject")))).await;
        let anonymous = stage.ask(caller(Principal::Anonymous, None), row).await;
        assert_eq!(anonymous, Err("MissingAuthenticationTokenException".to_owned()), "{}", row.0);
        assert_eq!(stage.ask(caller(user(OWNER, "alice"), None), row).await, denied(), "{}", row.0);
        let everybody = key_policy(&[allow(&["*"], json!("kms:*"))]);
        let stage = self::stage(&everybody).await;
        let anonymous = stage.ask(caller(Principal::Anonymous, None), row).await;
        assert_eq!(anonymous, Err("MissingAuthenticationTokenException".to_owned()), "{}", row.0);
    }
}

#[tokio::test]
async fn policies_of_identities_count_where_the_key_hands_on() {
    let alice = user(OWNER, "alice");
    for row in ROWS {
        let action = if row.0 == "ReEncrypt" { "kms:ReEncrypt*".to_owned() } else { format!("kms:{}", row.0) };
        let with = |policies: Vec<String>, boundary: Option<String>| {
            let alice = &alice;
            async move {
                let stage = stage(&handing_on()).await;
                stage.world.people.add(alice, &policies, boundary);
                stage.ask(caller(alice.clone(), None), row).await
            }
        };
        let (yes, no) = (says("Allow", &action), says("Deny", &action));
        assert_eq!(with(vec![yes.clone()], None).await, Ok(()), "{} allowed", row.0);
        assert_eq!(with(vec![says("Allow", "kms:Other")], None).await, denied(), "{} by another", row.0);
        assert_eq!(with(vec![yes.clone(), no.clone()], None).await, denied(), "{} denied", row.0);
        assert_eq!(with(vec![yes.clone()], Some(says("Allow", "s3:*"))).await, denied(), "{} out of bounds", row.0);
        assert_eq!(with(vec![yes.clone()], Some(says("Allow", "kms:*"))).await, Ok(()), "{} in bounds", row.0);
    }
}

#[tokio::test]
async fn without_the_root_statement_no_policy_of_an_identity_counts() {
    let alice = user(OWNER, "alice");
    for row in ROWS {
        for asking in [alice.clone(), root(OWNER)] {
            let stage = stage(&key_policy(&[])).await;
            stage.world.people.add(&alice, &[says("Allow", "kms:*")], None);
            let expected = if matches!(row.1, On::Account | On::Grant) { Ok(()) } else { denied() };
            assert_eq!(stage.ask(caller(asking.clone(), None), row).await, expected, "{} by {asking}", row.0);
        }
    }
}

#[tokio::test]
async fn the_policy_of_a_key_allows_by_itself_and_denies() {
    let alice = user(OWNER, "alice");
    for row in ROWS {
        let stage = stage(&and(allow(&[&arn(&alice)], json!("kms:*")))).await;
        let by_key = matches!(row.1, On::Key | On::OwnKey);
        let expected = if by_key { Ok(()) } else { denied() };
        assert_eq!(stage.ask(caller(alice.clone(), None), row).await, expected, "{} by the key's policy", row.0);
        let mut deny = allow(&[&arn(&alice)], json!("kms:*"));
        deny["Effect"] = "Deny".into();
        let stage = self::stage(&and(deny)).await;
        stage.world.people.add(&alice, &[says("Allow", "kms:*")], None);
        let expected = if matches!(row.1, On::Account | On::Grant) { Ok(()) } else { denied() };
        assert_eq!(stage.ask(caller(alice.clone(), None), row).await, expected, "{} denied by the key's", row.0);
    }
}

#[tokio::test]
async fn other_accounts_need_both_sides() {
    let bob = user(STRANGER, "bob");
    for row in ROWS {
        let ask = |policy: String, own: Option<&'static str>| {
            let bob = &bob;
            async move {
                let stage = stage(&policy).await;
                let policies: Vec<_> = own.map(|action| says("Allow", action)).into_iter().collect();
                stage.world.people.add(bob, &policies, None);
                stage.ask(caller(bob.clone(), None), row).await
            }
        };
        let shared = || and(allow(&[STRANGER], json!("kms:*")));
        let direct = || and(allow(&[&arn(&user(STRANGER, "bob"))], json!("kms:*")));
        let (mine, both, own, named) = match row.1 {
            // The account is the caller's own.
            On::Account => (Ok(()), Ok(()), denied(), denied()),
            On::Key => (denied(), Ok(()), denied(), denied()),
            On::OwnKey => (denied(), denied(), denied(), denied()),
            // An alias of its own account is not there; keys of others get none.
            On::Alias => {
                let missing = Err("NotFoundException".to_owned());
                let refused = if row.0 == "CreateAlias" { denied() } else { missing };
                (refused.clone(), refused.clone(), refused.clone(), refused)
            }
            On::Grant => (denied(), denied(), denied(), denied()),
        };
        assert_eq!(ask(handing_on(), Some("kms:*")).await, mine, "{} with its own side alone", row.0);
        assert_eq!(ask(shared(), Some("kms:*")).await, both, "{} with both", row.0);
        assert_eq!(ask(shared(), None).await, own, "{} with the key's side alone", row.0);
        assert_eq!(ask(direct(), None).await, named, "{} named by the key alone", row.0);
    }
}

#[tokio::test]
async fn sessions_are_within_their_policies() {
    let r = role(OWNER, "r");
    for row in ROWS {
        for (session, expected) in [("kms:*", Ok(())), ("s3:*", denied())] {
            let stage = stage(&handing_on()).await;
            stage.world.people.add(&r, &[says("Allow", "kms:*")], None);
            let caller = caller(r.clone(), Some(vec![says("Allow", session)]));
            assert_eq!(stage.ask(caller, row).await, expected, "{} in a session that may {session}", row.0);
        }
    }
}

#[test]
fn every_served_operation_has_a_row() {
    for operation in millpond_api_kms::Operation::ALL {
        assert!(ROWS.iter().any(|row| row.0 == operation.name()), "{operation:?} has no row");
    }
}
