//! Who may use a key: by its policy, by grants, under which conditions.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use millpond_kernel::{EncryptionContext, KeyService, Principal};
use serde_json::{Value, json};
use world::{
    OWNER, STRANGER, World, allow, arn, base64, caller, code, key_policy, open, role, root, says, seal, text, user,
};

#[tokio::test]
async fn grants_allow_what_they_say_and_no_more() {
    let world = World::new().await;
    let (alice, carol) = (user(OWNER, "alice"), user(OWNER, "carol"));
    for who in [&alice, &carol] {
        world.people.add(who, &[], None);
    }
    let key = world.key().await;
    let blob = seal(&world, &key, json!({"dept": "a", "more": "b"})).await;
    let full = json!({"dept": "a", "more": "b"});
    let try_it = async |who: &Principal| {
        let answer = open(&world, who, &blob, full.clone()).await;
        assert!(answer.is_ok() || answer == code("AccessDeniedException"), "{answer:?}");
        answer
    };
    for (constraints, fits) in [
        (json!(null), true),
        (json!({"EncryptionContextSubset": {"dept": "a"}}), true),
        (json!({"EncryptionContextSubset": {"dept": "b"}}), false),
        (json!({"EncryptionContextEquals": {"dept": "a"}}), false),
        (json!({"EncryptionContextEquals": {"dept": "a", "more": "b"}}), true),
    ] {
        let body = json!({"KeyId": key, "GranteePrincipal": arn(&alice), "Operations": ["Decrypt", "RetireGrant"],
            "Constraints": constraints});
        let grant = world.root("CreateGrant", body).await;
        assert_eq!(try_it(&alice).await.is_ok(), fits, "{constraints}");
        assert!(try_it(&carol).await.is_err());
        let body = json!({"KeyId": key, "Plaintext": "eA=="});
        assert_eq!(world.call(caller(alice.clone(), None), "Encrypt", body).await, code("AccessDeniedException"));
        // Carol may not retire it; alice may, by the grant's own words.
        let body = json!({"GrantToken": grant["GrantToken"]});
        assert_eq!(
            world.call(caller(carol.clone(), None), "RetireGrant", body.clone()).await,
            code("AccessDeniedException")
        );
        world.call(caller(alice.clone(), None), "RetireGrant", body.clone()).await.unwrap();
        assert!(try_it(&alice).await.is_err());
        let again = world.call(caller(alice.clone(), None), "RetireGrant", body).await;
        assert_eq!(again, code("InvalidGrantTokenException"));
    }
    // It follows her to another name; who has the old one later does not have it.
    let body = json!({"KeyId": key, "GranteePrincipal": arn(&alice), "Operations": ["Decrypt"]});
    world.root("CreateGrant", body).await;
    assert!(try_it(&alice).await.is_ok());
    let Principal::User { account, path, name, id } = alice.clone() else { panic!() };
    let renamed = Principal::User { account, path: path.clone(), name: "alicia".into(), id };
    world.people.add(&renamed, &[], None);
    assert!(try_it(&renamed).await.is_ok());
    let heir = Principal::User { account, path, name, id: "AIDAHEIRAAAAAAAAAAAA".into() };
    world.people.add(&heir, &[], None);
    assert!(try_it(&heir).await.is_err());
}

#[tokio::test]
async fn grants_are_handed_on_within_their_bounds() {
    let world = World::new().await;
    let (alice, carol) = (user(OWNER, "alice"), user(OWNER, "carol"));
    for who in [&alice, &carol] {
        world.people.add(who, &[], None);
    }
    let key = world.key().await;
    let body = json!({"KeyId": key, "GranteePrincipal": arn(&alice), "Operations": ["Decrypt", "CreateGrant"],
        "Constraints": {"EncryptionContextSubset": {"a": "b"}}, "RetiringPrincipal": arn(&carol)});
    let grant = world.root("CreateGrant", body).await;
    let denied = Err("AccessDeniedException".to_owned());
    for (operations, constraints, expected) in [
        (json!(["Decrypt"]), json!({"EncryptionContextSubset": {"a": "b"}}), Ok(())),
        (json!(["Decrypt"]), json!({"EncryptionContextSubset": {"a": "b", "c": "d"}}), Ok(())),
        (json!(["Decrypt"]), json!({"EncryptionContextEquals": {"a": "b"}}), Ok(())),
        (json!(["Decrypt"]), json!({"EncryptionContextSubset": {"c": "d"}}), denied.clone()),
        (json!(["Decrypt"]), json!(null), denied.clone()),
        (json!(["Decrypt", "Encrypt"]), json!({"EncryptionContextSubset": {"a": "b"}}), denied.clone()),
    ] {
        let body = json!({"KeyId": key, "GranteePrincipal": arn(&carol), "Operations": operations, "Constraints": constraints});
        let answer = world.call(caller(alice.clone(), None), "CreateGrant", body).await.map(drop);
        assert_eq!(answer, expected, "{operations} {constraints}");
    }
    // Listed by who may retire it, and retired by her.
    let body = json!({"RetiringPrincipal": arn(&carol)});
    let listed = world.root("ListRetirableGrants", body).await;
    assert_eq!(listed["Grants"].as_array().unwrap().len(), 1, "{listed}");
    let body = json!({"KeyId": key, "GrantId": grant["GrantId"]});
    world.call(caller(carol.clone(), None), "RetireGrant", body.clone()).await.unwrap();
    assert_eq!(world.call(caller(carol, None), "RetireGrant", body).await, code("NotFoundException"));
}

#[tokio::test]
async fn grants_of_one_name_are_one() {
    let world = World::new().await;
    let key = world.key().await;
    let give = async |name: Option<&str>, operations: &[&str]| {
        let body = json!({"KeyId": key, "GranteePrincipal": format!("arn:aws:iam::{OWNER}:root"), "Operations": operations, "Name": name});
        let given = world.root("CreateGrant", body).await;
        (text(&given["GrantId"]), text(&given["GrantToken"]))
    };
    let (first, token) = give(Some("n"), &["Decrypt", "Encrypt"]).await;
    let (second, other) = give(Some("n"), &["Encrypt", "Decrypt"]).await;
    assert_eq!(first, second);
    assert_ne!(token, other);
    assert_ne!(give(Some("n"), &["Decrypt"]).await.0, first);
    assert_ne!(give(Some("m"), &["Decrypt", "Encrypt"]).await.0, first);
    assert_ne!(give(None, &["Decrypt"]).await.0, give(None, &["Decrypt"]).await.0);
    let page = world.root("ListGrants", json!({"KeyId": key, "Limit": 3})).await;
    assert_eq!((page["Grants"].as_array().unwrap().len(), &page["Truncated"]), (3, &json!(true)));
    let rest = world.root("ListGrants", json!({"KeyId": key, "Marker": page["NextMarker"]})).await;
    assert_eq!((rest["Grants"].as_array().unwrap().len(), &rest["Truncated"]), (2, &json!(false)));
}

#[tokio::test]
async fn conditions_see_the_request() {
    let alice = user(OWNER, "alice");
    for (condition, name, body, expected) in [
        (
            json!({"StringEquals": {"kms:EncryptionContext:dept": "a"}}),
            "Encrypt",
            json!({"EncryptionContext": {"dept": "a"}}),
            true,
        ),
        (
            json!({"StringEquals": {"kms:EncryptionContext:dept": "a"}}),
            "Encrypt",
            json!({"EncryptionContext": {"dept": "b"}}),
            false,
        ),
        (json!({"StringEquals": {"kms:EncryptionContext:dept": "a"}}), "Encrypt", json!({}), false),
        (
            json!({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["dept", "x"]}}),
            "Encrypt",
            json!({"EncryptionContext": {"dept": "b", "y": "z"}}),
            false,
        ),
        (json!({"StringEquals": {"kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}}), "Encrypt", json!({}), true),
        (json!({"StringEquals": {"kms:CallerAccount": OWNER}}), "Encrypt", json!({}), true),
        (json!({"StringEquals": {"kms:CallerAccount": STRANGER}}), "Encrypt", json!({}), false),
        (json!({"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}), "Encrypt", json!({}), false),
        (
            json!({"StringEquals": {"kms:KeySpec": "SYMMETRIC_DEFAULT", "kms:KeyUsage": "ENCRYPT_DECRYPT", "kms:KeyOrigin": "AWS_KMS"}}),
            "DescribeKey",
            json!({}),
            true,
        ),
        (json!({"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/a"}}), "Encrypt", json!({}), true),
        (json!({"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/b"}}), "Encrypt", json!({}), false),
        (json!({"StringEquals": {"kms:RequestAlias": "alias/a"}}), "Encrypt", json!({}), false),
        (json!({"StringEquals": {"kms:RequestAlias": "alias/a"}}), "Encrypt", json!({"KeyId": "alias/a"}), true),
        (json!({"StringEquals": {"aws:ResourceTag/team": "t"}}), "Encrypt", json!({}), true),
        (json!({"StringEquals": {"aws:ResourceTag/team": "u"}}), "Encrypt", json!({}), false),
        (
            json!({"StringEquals": {"aws:RequestTag/x": "y"}}),
            "TagResource",
            json!({"Tags": [{"TagKey": "x", "TagValue": "y"}]}),
            true,
        ),
        (
            json!({"StringEquals": {"aws:RequestTag/x": "z"}}),
            "TagResource",
            json!({"Tags": [{"TagKey": "x", "TagValue": "y"}]}),
            false,
        ),
        (json!({"ForAllValues:StringEquals": {"aws:TagKeys": "y"}}), "UntagResource", json!({"TagKeys": ["x"]}), false),
        (
            json!({"NumericGreaterThan": {"kms:ScheduleKeyDeletionPendingWindowInDays": "20"}}),
            "ScheduleKeyDeletion",
            json!({"PendingWindowInDays": 7}),
            false,
        ),
        (
            json!({"NumericGreaterThan": {"kms:ScheduleKeyDeletionPendingWindowInDays": "20"}}),
            "ScheduleKeyDeletion",
            json!({"PendingWindowInDays": 30}),
            true,
        ),
        (
            json!({"ForAllValues:StringEquals": {"kms:GrantOperations": ["Decrypt"]}}),
            "CreateGrant",
            json!({"GranteePrincipal": "ME", "Operations": ["Decrypt"]}),
            true,
        ),
        (
            json!({"ForAllValues:StringEquals": {"kms:GrantOperations": ["Decrypt"]}}),
            "CreateGrant",
            json!({"GranteePrincipal": "ME", "Operations": ["Encrypt"]}),
            false,
        ),
        (
            json!({"Bool": {"kms:GrantIsForAWSResource": "true"}}),
            "CreateGrant",
            json!({"GranteePrincipal": "ME", "Operations": ["Encrypt"]}),
            false,
        ),
        (
            json!({"StringEquals": {"kms:GrantConstraintType": "EncryptionContextEquals"}}),
            "CreateGrant",
            json!({"GranteePrincipal": "ME", "Operations": ["Encrypt"], "Constraints": {"EncryptionContextEquals": {"a": "b"}}}),
            true,
        ),
        (
            json!({"StringLike": {"kms:GranteePrincipal": "*:user/carol"}}),
            "CreateGrant",
            json!({"GranteePrincipal": "ME", "Operations": ["Encrypt"]}),
            false,
        ),
        (
            json!({"StringLike": {"kms:RetiringPrincipal": "*:user/alice"}}),
            "CreateGrant",
            json!({"GranteePrincipal": "ME", "RetiringPrincipal": "ME", "Operations": ["Encrypt"]}),
            true,
        ),
        (
            json!({"Bool": {"kms:BypassPolicyLockoutSafetyCheck": "false"}}),
            "PutKeyPolicy",
            json!({"Policy": "P", "BypassPolicyLockoutSafetyCheck": true}),
            false,
        ),
        (
            json!({"NumericEquals": {"kms:RotationPeriodInDays": "100"}}),
            "EnableKeyRotation",
            json!({"RotationPeriodInDays": 100}),
            true,
        ),
    ] {
        let world = World::new().await;
        world.people.add(&alice, &[], None);
        world.people.add(&role(OWNER, "admin"), &[], None);
        let mut statement = allow(&[&arn(&alice)], json!("kms:*"));
        statement["Condition"] = condition.clone();
        let policy = key_policy(&[allow(&[OWNER], json!("kms:*")), statement]);
        let key = world.made(json!({"Policy": policy, "Tags": [{"TagKey": "team", "TagValue": "t"}]})).await;
        world.root("CreateAlias", json!({"AliasName": "alias/a", "TargetKeyId": key})).await;
        let mut input = json!({"KeyId": key});
        if name == "Encrypt" {
            input["Plaintext"] = "eA==".into();
        }
        for (field, value) in body.as_object().unwrap() {
            input[field] = match value.as_str() {
                Some("ME") => arn(&alice).into(),
                Some("P") => policy.clone().into(),
                _ => value.clone(),
            };
        }
        let answer = world.call(caller(alice.clone(), None), name, input).await;
        assert_eq!(answer.is_ok(), expected, "{condition} {name} {body} {answer:?}");
        assert!(answer.is_ok() || answer == code("AccessDeniedException"), "{answer:?}");
    }
}

#[tokio::test]
async fn re_encryption_asks_both_keys_about_their_own_context() {
    let world = World::new().await;
    let alice = user(OWNER, "alice");
    for who in [&alice, &role(OWNER, "admin")] {
        world.people.add(who, &[], None);
    }
    let with = |action: &str, dept: &str| {
        let mut statement = allow(&[&arn(&alice)], json!(action));
        statement["Condition"] =
            json!({"StringEquals": {"kms:EncryptionContext:dept": dept}, "Bool": {"kms:ReEncryptOnSameKey": "false"}});
        json!({"Policy": key_policy(&[allow(&[OWNER], json!("kms:*")), statement])})
    };
    let (from, to) = (world.made(with("kms:ReEncryptFrom", "a")).await, world.made(with("kms:ReEncryptTo", "b")).await);
    for (source, target, expected) in [("a", "b", true), ("x", "b", false), ("a", "x", false)] {
        let blob = seal(&world, &from, json!({"dept": source})).await;
        let body = json!({"CiphertextBlob": blob, "SourceEncryptionContext": {"dept": source}, "DestinationKeyId": to,
            "DestinationEncryptionContext": {"dept": target}});
        let answer = world.call(caller(alice.clone(), None), "ReEncrypt", body).await;
        assert_eq!(answer.is_ok(), expected, "{source} {target} {answer:?}");
    }
}

#[tokio::test]
async fn a_key_policy_by_via_service_lets_in_through_that_service_alone() {
    let world = World::new().await;
    let alice = user(OWNER, "alice");
    for who in [&alice, &role(OWNER, "admin")] {
        world.people.add(who, &[], None);
    }
    let mut statement = allow(&[&arn(&alice)], json!(["kms:GenerateDataKey", "kms:Decrypt"]));
    statement["Condition"] = json!({"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}});
    let key = world.made(json!({"Policy": key_policy(&[allow(&[OWNER], json!("kms:*")), statement])})).await;
    let (s3, other) = (world.kernel.register("s3.amazonaws.com"), world.kernel.register("sqs.amazonaws.com"));
    let plain = caller(alice, None);
    let context = EncryptionContext::new();
    for (who, allowed) in [(plain.clone(), false), (plain.on_behalf(&other), false), (plain.on_behalf(&s3), true)] {
        assert_eq!(world.kms.generate(&who, &key, &context).await.is_ok(), allowed, "{:?}", who.via());
    }
}

#[tokio::test]
async fn policies_lock_nobody_out_and_outlive_names() {
    let world = World::new().await;
    let alice = user(OWNER, "alice");
    world.people.add(&alice, &[says("Allow", "kms:*")], None);
    world.people.add(&role(OWNER, "admin"), &[], None);
    let key = world.key().await;
    let me = || caller(root(OWNER), None);
    let only_alice =
        json!({"Version": "2012-10-17", "Statement": [allow(&[&arn(&alice)], json!("kms:*"))]}).to_string();
    let nobody = allow(&[&format!("arn:aws:iam::{OWNER}:user/nobody")], json!("kms:*"));
    let malformed = "MalformedPolicyDocumentException";
    for (policy, expected) in [
        (only_alice.clone(), Some(malformed)),
        (key_policy(&[nobody]), Some(malformed)),
        (key_policy(&[allow(&["999999999999"], json!("kms:*"))]), Some(malformed)),
        ("{".to_owned(), Some(malformed)),
        (format!("{}{}", " ".repeat(32 * 1024), key_policy(&[])), Some("LimitExceededException")),
        (key_policy(&[allow(&[OWNER], json!("kms:*"))]), None),
    ] {
        let answer = world.call(me(), "PutKeyPolicy", json!({"KeyId": key, "Policy": policy})).await;
        assert_eq!(answer.err().as_deref(), expected, "{policy}");
    }
    let body = json!({"KeyId": key, "Policy": only_alice, "BypassPolicyLockoutSafetyCheck": true});
    world.root("PutKeyPolicy", body).await;
    assert_eq!(world.call(me(), "DescribeKey", json!({"KeyId": key})).await, code("AccessDeniedException"));
    let describe = async |world: &World, who: &Principal| {
        world.call(caller(who.clone(), None), "DescribeKey", json!({"KeyId": key})).await.is_ok()
    };
    assert!(describe(&world, &alice).await);
    let world = world.reopened().await;
    assert!(describe(&world, &alice).await);
    let Principal::User { account, path, name, .. } = alice else { panic!() };
    let heir = Principal::User { account, path, name, id: "AIDAHEIRAAAAAAAAAAAA".into() };
    world.people.add(&heir, &[says("Allow", "kms:*")], None);
    assert!(!describe(&world, &heir).await, "who has the name later is not meant");
}

#[tokio::test]
async fn foreign_callers_learn_nothing_of_what_there_is() {
    let world = World::new().await;
    let bob = user(STRANGER, "bob");
    world.people.add(&bob, &[says("Allow", "*")], None);
    let key = world.key().await;
    world.root("CreateAlias", json!({"AliasName": "alias/a", "TargetKeyId": key})).await;
    let blob = seal(&world, &key, json!({})).await;
    let message = async |name: &str, body: Value| {
        let error = world.answer(caller(bob.clone(), None), name, body).await.unwrap_err();
        assert_eq!(error.code, "AccessDeniedException", "{error}");
        error.message
    };
    let absent = "00000000-0000-4000-8000-000000000000";
    let missing = format!("{}{absent}", &key[..key.len() - absent.len()]);
    let there = message("DescribeKey", json!({"KeyId": key})).await;
    assert_eq!(there.replace(&key, &missing), message("DescribeKey", json!({"KeyId": missing})).await);
    let alias = format!("arn:aws:kms:us-east-1:{OWNER}:alias/a");
    let there = message("DescribeKey", json!({"KeyId": alias})).await;
    assert!(!there.contains(&key), "{there}");
    assert_eq!(there, message("DescribeKey", json!({"KeyId": format!("{alias}b")})).await);
    let there = message("Decrypt", json!({"CiphertextBlob": blob})).await;
    assert!(!there.contains(&key), "{there}");
    assert_eq!(there, message("Decrypt", json!({"CiphertextBlob": base64(&[1; 200])})).await);
    // A plain id is looked up in the caller's own account.
    let id = key.rsplit('/').next().unwrap();
    assert_eq!(world.call(caller(bob, None), "DescribeKey", json!({"KeyId": id})).await, code("NotFoundException"));
}

#[tokio::test]
async fn grants_to_sessions_are_those_of_their_role() {
    let world = World::new().await;
    let r = role(OWNER, "r");
    world.people.add(&r, &[], None);
    let key = world.key().await;
    let blob = seal(&world, &key, json!({})).await;
    let body = json!({"KeyId": key, "GranteePrincipal": r.arn(), "Operations": ["Decrypt"]});
    world.root("CreateGrant", body).await;
    let Principal::Role { account, path, name, id, .. } = r.clone() else { panic!() };
    let other = |id: String, session: &str| {
        let (path, name) = (path.clone(), name.clone());
        Principal::Role { account, path, name, id, session: session.into() }
    };
    for (who, allowed) in
        [(r.clone(), true), (other(id, "t"), false), (other("AROAHEIRAAAAAAAAAAAA".into(), "s"), false)]
    {
        assert_eq!(open(&world, &who, &blob, json!({})).await.is_ok(), allowed, "{who:?}");
    }
}
