//! Keys over their life: what they compute, who may, what happens by itself, and that all of it outlives a restart.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::time::Duration;

use millpond_kernel::{EncryptionContext, KeyService, KeyUse, Principal};
use serde_json::{Value, json};
use world::{OWNER, STRANGER, World, account, base64, caller, code, key_policy, open, root, says, seal, text, user};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn rotated_keys_open_what_they_sealed_before_and_all_of_it_outlives_a_restart() {
    let mut world = World::new().await;
    let key = world.key().await;
    world.root("CreateAlias", json!({"AliasName": "alias/a", "TargetKeyId": key})).await;
    world.root("TagResource", json!({"KeyId": key, "Tags": [{"TagKey": "a", "TagValue": "b"}]})).await;
    let mut blobs = vec![seal(&world, "alias/a", json!({})).await];
    for _ in 0..3 {
        world.root("RotateKeyOnDemand", json!({"KeyId": key})).await;
        blobs.push(seal(&world, "alias/a", json!({})).await);
    }
    let grant = json!({"KeyId": key, "GranteePrincipal": format!("arn:aws:iam::{OWNER}:root"), "Operations": ["Decrypt"],
        "Constraints": {"EncryptionContextSubset": {"a": "b"}}, "Name": "g"});
    world.root("CreateGrant", grant).await;
    let lists = ["ListKeys", "ListAliases"].map(|name| (name, json!({})));
    let of_key =
        ["DescribeKey", "ListGrants", "ListResourceTags", "GetKeyPolicy", "ListKeyRotations", "GetKeyRotationStatus"];
    let questions: Vec<_> = lists.into_iter().chain(of_key.map(|name| (name, json!({"KeyId": key})))).collect();
    let mut before = Vec::new();
    for (name, body) in &questions {
        before.push(world.root(name, body.clone()).await);
    }
    for _ in 0..2 {
        for blob in &blobs {
            assert_eq!(open(&world, &root(OWNER), blob, json!({})).await, Ok(json!(base64(b"secret"))));
        }
        for ((name, body), before) in questions.iter().zip(&before) {
            assert_eq!(world.root(name, body.clone()).await, *before, "{name}");
        }
        world = world.reopened().await;
    }
    let all = json!({"KeyId": key, "IncludeKeyMaterial": "ALL_KEY_MATERIAL"});
    let rotations = world.root("ListKeyRotations", all).await["Rotations"].as_array().unwrap().clone();
    let states: Vec<_> = rotations.iter().map(|r| r["KeyMaterialState"].as_str().unwrap()).collect();
    assert_eq!(states, ["NON_CURRENT", "NON_CURRENT", "NON_CURRENT", "CURRENT"]);
    assert_eq!(rotations[0]["RotationType"], Value::Null, "the first is of no rotation");
}

#[tokio::test]
async fn ciphertexts_of_others() {
    let world = World::new().await;
    let (one, other) = (world.key().await, world.key().await);
    let blob = seal(&world, &one, json!({"a": "b"})).await;
    let me = || caller(root(OWNER), None);
    for (key, blob, context, expected) in [
        (Some(&one), blob.clone(), json!({"a": "b"}), Ok(())),
        (None, blob.clone(), json!({"a": "b"}), Ok(())),
        (Some(&other), blob.clone(), json!({"a": "b"}), Err("IncorrectKeyException")),
        (None, blob.clone(), json!({"a": "c"}), Err("InvalidCiphertextException")),
        (None, blob.clone(), json!({}), Err("InvalidCiphertextException")),
        (None, base64(b"nonsense"), json!({}), Err("InvalidCiphertextException")),
        (None, base64(&[1; 200]), json!({}), Err("AccessDeniedException")),
    ] {
        let body = json!({"CiphertextBlob": blob, "EncryptionContext": context, "KeyId": key});
        let answer = world.call(me(), "Decrypt", body).await.map(drop);
        assert_eq!(answer, expected.map_err(str::to_owned), "{key:?} {context}");
    }
    let body = json!({"CiphertextBlob": blob, "SourceEncryptionContext": {"a": "b"}, "DestinationKeyId": other,
        "DestinationEncryptionContext": {"c": "d"}});
    let moved = world.root("ReEncrypt", body).await;
    assert_eq!((&moved["SourceKeyId"], &moved["KeyId"]), (&json!(one), &json!(other)));
    let moved = text(&moved["CiphertextBlob"]);
    assert_eq!(open(&world, &root(OWNER), &moved, json!({"c": "d"})).await, Ok(json!(base64(b"secret"))));
}

#[tokio::test]
async fn automatic_rotations_come_in_time_also_after_a_restart() {
    let mut world = World::new().await;
    let key = world.key().await;
    world.root("EnableKeyRotation", json!({"KeyId": key, "RotationPeriodInDays": 90})).await;
    let material = async |world: &World| {
        text(&world.root("DescribeKey", json!({"KeyId": key})).await["KeyMetadata"]["CurrentKeyMaterialId"])
    };
    let first = material(&world).await;
    let blob = seal(&world, &key, json!({})).await;
    world.clock.advance(DAY * 90 - Duration::from_secs(1));
    assert_eq!(material(&world).await, first);
    world.clock.advance(Duration::from_secs(1));
    world = world.reopened().await;
    let second = material(&world).await;
    assert_ne!(second, first);
    assert_eq!(open(&world, &root(OWNER), &blob, json!({})).await, Ok(json!(base64(b"secret"))));
    // A disabled key does not rotate; what is due is made up for when it is enabled.
    world.root("DisableKey", json!({"KeyId": key})).await;
    world.clock.advance(DAY * 200);
    assert_eq!(material(&world).await, second);
    world.root("EnableKey", json!({"KeyId": key})).await;
    assert_ne!(material(&world).await, second);
    let status = world.root("GetKeyRotationStatus", json!({"KeyId": key})).await;
    assert_eq!((&status["KeyRotationEnabled"], &status["RotationPeriodInDays"]), (&json!(true), &json!(90)));
    assert_eq!(status["NextRotationDate"].as_f64(), Some((1_800_000_000 + 360 * 86_400) as f64));
    world.root("DisableKeyRotation", json!({"KeyId": key})).await;
    let status = world.root("GetKeyRotationStatus", json!({"KeyId": key})).await;
    assert_eq!(status["KeyRotationEnabled"], json!(false));
    assert_eq!(world.root("ListKeyRotations", json!({"KeyId": key})).await["Rotations"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn rotations_on_demand_are_limited() {
    let world = World::new().await;
    let key = world.key().await;
    for _ in 0..25 {
        world.root("RotateKeyOnDemand", json!({"KeyId": key})).await;
    }
    let body = json!({"KeyId": key});
    assert_eq!(world.call(caller(root(OWNER), None), "RotateKeyOnDemand", body).await, code("LimitExceededException"));
}

#[tokio::test]
async fn deleted_keys_go_in_time_with_everything_of_theirs() {
    for restart in [false, true] {
        let mut world = World::new().await;
        let (key, kept) = (world.key().await, world.key().await);
        let blob = seal(&world, &key, json!({})).await;
        world.root("CreateAlias", json!({"AliasName": "alias/a", "TargetKeyId": key})).await;
        for key in [&key, &kept] {
            world.root("TagResource", json!({"KeyId": key, "Tags": [{"TagKey": "a", "TagValue": "b"}]})).await;
            let grant = json!({"KeyId": key, "GranteePrincipal": format!("arn:aws:iam::{OWNER}:root"), "Operations": ["Decrypt"]});
            world.root("CreateGrant", grant).await;
        }
        let rows_before = rows(&world).await;
        world.root("ScheduleKeyDeletion", json!({"KeyId": key, "PendingWindowInDays": 7})).await;
        world.clock.advance(DAY * 7 - Duration::from_secs(1));
        assert_eq!(
            world.root("DescribeKey", json!({"KeyId": key})).await["KeyMetadata"]["KeyState"],
            "PendingDeletion"
        );
        world.root("CancelKeyDeletion", json!({"KeyId": key})).await;
        assert_eq!(world.root("DescribeKey", json!({"KeyId": key})).await["KeyMetadata"]["KeyState"], "Disabled");
        world.root("ScheduleKeyDeletion", json!({"KeyId": key, "PendingWindowInDays": 7})).await;
        world.clock.advance(DAY * 7);
        if restart {
            world = world.reopened().await;
        }
        let me = || caller(root(OWNER), None);
        assert_eq!(world.call(me(), "DescribeKey", json!({"KeyId": key})).await, code("NotFoundException"));
        assert_eq!(world.call(me(), "DescribeKey", json!({"KeyId": "alias/a"})).await, code("NotFoundException"));
        assert_eq!(open(&world, &root(OWNER), &blob, json!({})).await, code("AccessDeniedException"));
        assert_eq!(world.root("ListKeys", json!({})).await["Keys"].as_array().unwrap().len(), 1);
        // Key, policy, material, tag, grant and alias.
        assert_eq!(rows(&world).await, rows_before - 6);
        world.root("ListGrants", json!({"KeyId": kept})).await;
    }
}

/// How many rows the service has.
async fn rows(world: &World) -> usize {
    use millpond_meta::{Scan, View};
    use std::ops::Bound;
    let (from, to) = (Bound::Included(vec![0x50].into()), Bound::Excluded(vec![0x58].into()));
    world.kv.scan(Scan { from, to, reverse: false, limit: 1000 }).await.unwrap().len()
}

#[tokio::test]
async fn states_forbid_what_they_forbid() {
    let world = World::new().await;
    let me = || caller(root(OWNER), None);
    let (disabled, pending) = (world.key().await, world.key().await);
    let blobs = [seal(&world, &disabled, json!({})).await, seal(&world, &pending, json!({})).await];
    world.root("DisableKey", json!({"KeyId": disabled})).await;
    world.root("ScheduleKeyDeletion", json!({"KeyId": pending})).await;
    let state = "KMSInvalidStateException";
    let used = "DisabledException";
    let body = |name: &str, key: &str, blob: &str| match name {
        "Decrypt" => json!({"CiphertextBlob": blob}),
        "Encrypt" => json!({"KeyId": key, "Plaintext": "eA=="}),
        "GenerateDataKey" => json!({"KeyId": key, "KeySpec": "AES_256"}),
        "CreateGrant" => {
            json!({"KeyId": key, "GranteePrincipal": format!("arn:aws:iam::{OWNER}:root"), "Operations": ["Decrypt"]})
        }
        "CreateAlias" => json!({"AliasName": format!("alias/{}", &key[60..]), "TargetKeyId": key}),
        "TagResource" => json!({"KeyId": key, "Tags": [{"TagKey": "a", "TagValue": "b"}]}),
        "UntagResource" => json!({"KeyId": key, "TagKeys": ["a"]}),
        "UpdateKeyDescription" => json!({"KeyId": key, "Description": "d"}),
        _ => json!({"KeyId": key}),
    };
    for (name, if_disabled, if_pending) in [
        ("Decrypt", Some(used), Some(state)),
        ("Encrypt", Some(used), Some(state)),
        ("GenerateDataKey", Some(used), Some(state)),
        ("CreateGrant", Some(used), Some(state)),
        ("EnableKeyRotation", Some(used), Some(state)),
        ("DisableKeyRotation", Some(used), Some(state)),
        ("RotateKeyOnDemand", Some(used), Some(state)),
        ("CreateAlias", None, Some(state)),
        ("TagResource", None, Some(state)),
        ("UntagResource", None, Some(state)),
        ("UpdateKeyDescription", None, Some(state)),
        ("DisableKey", None, Some(state)),
        ("ScheduleKeyDeletion", Some("-"), Some(state)),
        ("CancelKeyDeletion", Some(state), Some("-")),
        ("DescribeKey", None, None),
        ("GetKeyPolicy", None, None),
        ("GetKeyRotationStatus", None, None),
        ("ListKeyRotations", None, None),
        ("ListGrants", None, None),
        ("ListResourceTags", None, None),
        ("EnableKey", Some("-"), Some(state)),
    ] {
        for (key, blob, expected) in [(&disabled, &blobs[0], if_disabled), (&pending, &blobs[1], if_pending)] {
            if expected == Some("-") {
                continue;
            }
            let answer = world.call(me(), name, body(name, key, blob)).await.err();
            assert_eq!(answer.as_deref(), expected, "{name} of {key}");
        }
    }
}

#[tokio::test]
async fn services_use_keys_for_their_callers_and_through_nobody_else() {
    let world = World::new().await;
    let alice = user(OWNER, "alice");
    let bob = user(STRANGER, "bob");
    world.people.add(&alice, &[], None);
    world.people.add(&bob, &[says("Allow", "*")], None);
    let s3 = world.kernel.register("s3.amazonaws.com");
    let kms = &world.kms;
    let context = EncryptionContext::from([("aws:s3:arn".to_owned(), "arn:aws:s3:::b/k".to_owned())]);
    let managed = kms.managed(account(OWNER), "s3").await.unwrap();
    assert_eq!(kms.managed(account(OWNER), "s3").await.unwrap(), managed, "made once");
    let described = world.root("DescribeKey", json!({"KeyId": "alias/aws/s3"})).await;
    assert_eq!(
        (&described["KeyMetadata"]["KeyManager"], &described["KeyMetadata"]["Arn"]),
        (&json!("AWS"), &json!(managed))
    );
    let direct = caller(alice.clone(), None);
    let through = caller(alice.clone(), None).on_behalf(&s3);
    let made = kms.generate(&through, &managed, &context).await.unwrap();
    assert_eq!(*kms.decrypt(&through, &managed, &made.sealed, &context).await.unwrap(), *made.plain);
    kms.check(&through, &managed, &[KeyUse::Decrypt, KeyUse::GenerateDataKey], &context).await.unwrap();
    let code = |error: millpond_kernel::ServiceError| error.code.into_owned();
    let denied = "AccessDeniedException";
    for who in [direct, caller(bob.clone(), None).on_behalf(&s3), caller(Principal::Anonymous, None).on_behalf(&s3)] {
        assert_eq!(kms.generate(&who, &managed, &context).await.err().map(code).as_deref(), Some(denied));
        assert_eq!(kms.decrypt(&who, &managed, &made.sealed, &context).await.err().map(code).as_deref(), Some(denied));
        let uses = &[KeyUse::Decrypt];
        assert_eq!(kms.check(&who, &managed, uses, &context).await.err().map(code).as_deref(), Some(denied));
    }
    let other = EncryptionContext::from([("aws:s3:arn".to_owned(), "arn:aws:s3:::b/l".to_owned())]);
    let moved = kms.decrypt(&through, &managed, &made.sealed, &other).await.err().map(code);
    assert_eq!(moved.as_deref(), Some("InvalidCiphertextException"));
    // Nobody changes it, not even the root user.
    for (name, body) in [
        ("DisableKey", json!({"KeyId": managed})),
        ("ScheduleKeyDeletion", json!({"KeyId": managed})),
        ("PutKeyPolicy", json!({"KeyId": managed, "Policy": key_policy(&[])})),
        ("TagResource", json!({"KeyId": managed, "Tags": [{"TagKey": "a", "TagValue": "b"}]})),
        ("CreateAlias", json!({"TargetKeyId": managed, "AliasName": "alias/mine"})),
        ("Encrypt", json!({"KeyId": managed, "Plaintext": "eA=="})),
    ] {
        assert_eq!(world.call(caller(root(OWNER), None), name, body).await, Err(denied.to_owned()), "{name}");
    }
    // A key of the account's own, disabled: what is at hand already may not be used either.
    let key = world.key().await;
    let through = caller(root(OWNER), None).on_behalf(&s3);
    assert_eq!(kms.resolve(&through, key.rsplit('/').next().unwrap()).await.unwrap(), key);
    kms.check(&through, &key, &[KeyUse::Decrypt], &context).await.unwrap();
    world.root("DisableKey", json!({"KeyId": key})).await;
    let refused = kms.check(&through, &key, &[KeyUse::Decrypt], &context).await.err().map(code);
    assert_eq!(refused.as_deref(), Some("DisabledException"));
}

#[tokio::test]
async fn dry_runs_do_nothing_but_decide() {
    let world = World::new().await;
    let key = world.key().await;
    let blob = seal(&world, &key, json!({})).await;
    let grant =
        json!({"KeyId": key, "GranteePrincipal": format!("arn:aws:iam::{OWNER}:root"), "Operations": ["Decrypt"]});
    let given = world.root("CreateGrant", grant.clone()).await;
    let alice = user(OWNER, "alice");
    world.people.add(&alice, &[], None);
    for (name, body) in [
        ("Encrypt", json!({"KeyId": key, "Plaintext": "eA=="})),
        ("Decrypt", json!({"CiphertextBlob": blob})),
        ("GenerateDataKey", json!({"KeyId": key, "NumberOfBytes": 3})),
        ("GenerateDataKeyWithoutPlaintext", json!({"KeyId": key, "NumberOfBytes": 3})),
        ("ReEncrypt", json!({"CiphertextBlob": blob, "DestinationKeyId": key})),
        ("CreateGrant", grant),
        ("RevokeGrant", json!({"KeyId": key, "GrantId": given["GrantId"]})),
        ("RetireGrant", json!({"GrantToken": given["GrantToken"]})),
    ] {
        let mut body = body;
        body["DryRun"] = true.into();
        let answer = world.call(caller(root(OWNER), None), name, body.clone()).await;
        assert_eq!(answer, code("DryRunOperationException"), "{name}");
        assert_eq!(world.call(caller(alice.clone(), None), name, body).await, code("AccessDeniedException"), "{name}");
    }
    assert_eq!(world.root("ListGrants", json!({"KeyId": key})).await["Grants"].as_array().unwrap().len(), 1);
}

/// The task that does what is due, without any call.
#[tokio::test]
async fn what_is_due_is_done_without_being_asked_for() {
    let world = World::new().await;
    let (doomed, rotating) = (world.key().await, world.key().await);
    world.root("ScheduleKeyDeletion", json!({"KeyId": doomed, "PendingWindowInDays": 7})).await;
    world.root("EnableKeyRotation", json!({"KeyId": rotating})).await;
    let before = rows(&world).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let kms = world.kms.clone();
    let task = tokio::spawn(async move { kms.run(async { stopped.await.unwrap() }).await });
    for (days, expected) in [(7, before - 3), (365, before - 2)] {
        world.clock.advance(DAY * days);
        while rows(&world).await != expected {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    stop.send(()).unwrap();
    task.await.unwrap();
}

/// What a change is decided by must still hold when it is committed: a change of a policy elsewhere makes it decided anew.
#[tokio::test]
async fn changes_are_decided_by_what_holds_when_they_are_committed() {
    use millpond_kernel::Epoch;
    use millpond_meta::{Batch, Kv};
    let world = World::new().await;
    let alice = user(OWNER, "alice");
    world.people.add(&alice, &[says("Allow", "kms:*")], None);
    let key = world.key().await;
    // A commit that takes alice's right away, and is not known to the kernel yet.
    let change = world.kernel.epoch().change().await;
    let taken = Batch { ops: vec![Epoch::raise()], ..Batch::default() };
    world.kv.commit(taken).await.unwrap();
    let disable = world.call(caller(alice.clone(), None), "DisableKey", json!({"KeyId": key}));
    let known = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        world.people.add(&alice, &[], None);
        change.known().await.unwrap();
    };
    let (answer, ()) = tokio::join!(disable, known);
    assert_eq!(answer, code("AccessDeniedException"));
    assert_eq!(world.root("DescribeKey", json!({"KeyId": key})).await["KeyMetadata"]["KeyState"], "Enabled");
}

#[tokio::test]
async fn what_is_not_served_is_refused_by_name() {
    let world = World::new().await;
    let key = world.key().await;
    let (unsupported, invalid) = ("UnsupportedOperationException", "ValidationException");
    let grantee = format!("arn:aws:iam::{OWNER}:root");
    for (name, body, expected) in [
        ("CreateKey", json!({"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}), unsupported),
        ("CreateKey", json!({"KeySpec": "SM2", "KeyUsage": "SIGN_VERIFY"}), unsupported),
        ("CreateKey", json!({"CustomerMasterKeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}), unsupported),
        ("CreateKey", json!({"Origin": "EXTERNAL"}), unsupported),
        ("CreateKey", json!({"MultiRegion": true}), unsupported),
        ("CreateKey", json!({"CustomKeyStoreId": "cks-1"}), unsupported),
        ("CreateKey", json!({"KeySpec": "HMAC_256"}), invalid),
        ("CreateKey", json!({"KeySpec": "HMAC_256", "KeyUsage": "ENCRYPT_DECRYPT"}), invalid),
        ("CreateKey", json!({"KeySpec": "SYMMETRIC_DEFAULT", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT"}), invalid),
        ("CreateKey", json!({"KeySpec": "ROT13"}), invalid),
        ("CreateKey", json!({"Description": "x".repeat(8193)}), invalid),
        ("CreateKey", json!({"Description": 7}), "SerializationException"),
        ("CreateKey", json!({"Tags": [{"TagKey": "aws:x", "TagValue": ""}]}), "TagException"),
        (
            "CreateKey",
            json!({"Tags": [{"TagKey": "x", "TagValue": ""}, {"TagKey": "x", "TagValue": ""}]}),
            "TagException",
        ),
        ("Decrypt", json!({"CiphertextBlob": "AAAA", "Recipient": {}}), unsupported),
        ("Decrypt", json!({"KeyId": key, "DryRun": true, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}), unsupported),
        ("Decrypt", json!({"KeyId": key}), invalid),
        ("Decrypt", json!({"CiphertextBlob": "!"}), "SerializationException"),
        ("GenerateDataKey", json!({"KeyId": key, "KeySpec": "AES_256", "Recipient": {}}), unsupported),
        ("GenerateDataKey", json!({"KeyId": key}), invalid),
        ("GenerateDataKey", json!({"KeyId": key, "NumberOfBytes": 1025}), invalid),
        ("GenerateRandom", json!({"NumberOfBytes": 8, "CustomKeyStoreId": "cks-1"}), unsupported),
        ("GenerateRandom", json!({}), invalid),
        ("GenerateRandom", json!({"NumberOfBytes": 1025}), invalid),
        ("Encrypt", json!({"KeyId": key, "Plaintext": base64(&[0; 4097])}), invalid),
        ("Encrypt", json!({"KeyId": key, "Plaintext": ""}), invalid),
        (
            "Encrypt",
            json!({"KeyId": key, "Plaintext": "eA==", "EncryptionAlgorithm": "SM2PKE"}),
            "InvalidKeyUsageException",
        ),
        (
            "GenerateMac",
            json!({"KeyId": key, "Message": "eA==", "MacAlgorithm": "HMAC_SHA_256"}),
            "InvalidKeyUsageException",
        ),
        ("CreateGrant", json!({"KeyId": key, "GranteePrincipal": grantee, "Operations": []}), invalid),
        ("CreateGrant", json!({"KeyId": key, "GranteePrincipal": grantee, "Operations": ["Sign"]}), invalid),
        ("CreateGrant", json!({"KeyId": key, "Operations": ["Decrypt"]}), invalid),
        (
            "CreateGrant",
            json!({"KeyId": key, "GranteePrincipal": "arn:aws:iam::111122223333:user/nobody", "Operations": ["Decrypt"]}),
            "InvalidArnException",
        ),
        (
            "CreateGrant",
            json!({"KeyId": key, "GranteePrincipal": "arn:aws:iam::999999999999:root", "Operations": ["Decrypt"]}),
            "InvalidArnException",
        ),
        (
            "CreateGrant",
            json!({"KeyId": key, "GranteeServicePrincipal": "s3.amazonaws.com", "Operations": ["Decrypt"]}),
            unsupported,
        ),
        ("CreateAlias", json!({"AliasName": "alias/aws/s3", "TargetKeyId": key}), "NotAuthorizedException"),
        ("CreateAlias", json!({"AliasName": "mine", "TargetKeyId": key}), invalid),
        ("CreateAlias", json!({"AliasName": "alias/a b", "TargetKeyId": key}), invalid),
        ("CreateAlias", json!({"AliasName": "alias/a", "TargetKeyId": "alias/b"}), invalid),
        ("DeleteAlias", json!({"AliasName": "alias/none"}), "NotFoundException"),
        ("ScheduleKeyDeletion", json!({"KeyId": key, "PendingWindowInDays": 6}), invalid),
        ("ScheduleKeyDeletion", json!({"KeyId": key, "PendingWindowInDays": 31}), invalid),
        ("EnableKeyRotation", json!({"KeyId": key, "RotationPeriodInDays": 89}), invalid),
        ("EnableKeyRotation", json!({"KeyId": key, "RotationPeriodInDays": 2561}), invalid),
        ("GetKeyPolicy", json!({"KeyId": key, "PolicyName": "other"}), "NotFoundException"),
        ("ListAliases", json!({"Limit": 101}), invalid),
        ("ListKeys", json!({"Marker": "%%"}), "InvalidMarkerException"),
        ("ListGrants", json!({"KeyId": key, "GrantId": "x"}), "InvalidGrantIdException"),
        ("RetireGrant", json!({}), invalid),
        ("RevokeGrant", json!({"KeyId": key, "GrantId": "0".repeat(64)}), "NotFoundException"),
        ("Sign", json!({"KeyId": key}), "NotImplemented"),
        ("ImportKeyMaterial", json!({"KeyId": key}), "NotImplemented"),
        ("Nonsense", json!({}), "UnknownOperationException"),
    ] {
        assert_eq!(world.call(caller(root(OWNER), None), name, body.clone()).await, code(expected), "{name} {body}");
    }
    let hmac = world.made(json!({"KeySpec": "HMAC_512", "KeyUsage": "GENERATE_VERIFY_MAC"})).await;
    for (name, body, expected) in [
        ("Encrypt", json!({"Plaintext": "eA=="}), "InvalidKeyUsageException"),
        ("GenerateDataKey", json!({"KeySpec": "AES_256"}), "InvalidKeyUsageException"),
        ("EnableKeyRotation", json!({}), unsupported),
        ("GetKeyRotationStatus", json!({}), unsupported),
        ("RotateKeyOnDemand", json!({}), unsupported),
        ("GenerateMac", json!({"Message": "eA==", "MacAlgorithm": "HMAC_SHA_256"}), "InvalidKeyUsageException"),
        (
            "VerifyMac",
            json!({"Message": "eA==", "MacAlgorithm": "HMAC_SHA_512", "Mac": "eA=="}),
            "KMSInvalidMacException",
        ),
        ("CreateGrant", json!({"GranteePrincipal": grantee, "Operations": ["Decrypt"]}), invalid),
        (
            "CreateGrant",
            json!({"GranteePrincipal": grantee, "Operations": ["GenerateMac"], "Constraints": {"EncryptionContextSubset": {}}}),
            invalid,
        ),
    ] {
        let mut body = body;
        body["KeyId"] = hmac.clone().into();
        assert_eq!(world.call(caller(root(OWNER), None), name, body.clone()).await, code(expected), "{name} {body}");
    }
}

#[tokio::test]
async fn material_that_does_not_open_holds_up_nothing_else() {
    let world = World::new().await;
    let key = world.key().await;
    let blob = seal(&world, &key, json!({})).await;
    let vault = millpond_seal::Vault::new(millpond_seal::Key::from_bytes(&[7; 32]), 1);
    let World { kv, clock, people, .. } = world;
    let world = World::sealed(kv, clock, people, vault).await;
    assert_eq!(open(&world, &root(OWNER), &blob, json!({})).await, code("KeyUnavailableException"));
    world.root("DescribeKey", json!({"KeyId": key})).await;
    let other = world.key().await;
    seal(&world, &other, json!({})).await;
}

#[tokio::test]
async fn the_alias_of_a_service_gets_its_key_when_it_is_described() {
    let world = World::new().await;
    let (alice, bob, eve) = (user(OWNER, "alice"), user(STRANGER, "bob"), user(OWNER, "eve"));
    world.people.add(&alice, &[says("Allow", "kms:DescribeKey")], None);
    world.people.add(&eve, &[says("Allow", "kms:List*")], None);
    world.people.add(&bob, &[says("Allow", "*")], None);
    let (name, arn) = ("alias/aws/s3", format!("arn:aws:kms:us-east-1:{OWNER}:alias/aws/s3"));
    let unused = json!([{"AliasName": name, "AliasArn": arn}]);
    let listed = async |body: Value| world.root("ListAliases", body).await["Aliases"].clone();
    // Who may not describe it, or asks for an alias that is no service's, makes nothing.
    for (who, key, code) in [
        (&eve, name, "AccessDeniedException"),
        (&bob, arn.as_str(), "AccessDeniedException"),
        (&alice, "alias/aws/other", "NotFoundException"),
    ] {
        let answer = world.call(caller(who.clone(), None), "DescribeKey", json!({"KeyId": key})).await;
        assert_eq!(answer, Err(code.to_owned()), "{key}");
    }
    let refused = world.call(caller(root(OWNER), None), "Encrypt", json!({"KeyId": name, "Plaintext": "eA=="})).await;
    assert_eq!(refused, Err("NotFoundException".to_owned()));
    assert_eq!(listed(json!({})).await, unused);
    assert_eq!(world.root("ListKeys", json!({})).await["Keys"], json!([]));
    // In its place among the others, page for page.
    let key = world.key().await;
    for other in ["alias/a", "alias/b"] {
        world.root("CreateAlias", json!({"AliasName": other, "TargetKeyId": key})).await;
    }
    let (mut names, mut marker) = (Vec::new(), Value::Null);
    loop {
        let mut body = json!({"Limit": 1});
        if !marker.is_null() {
            body["Marker"] = marker;
        }
        let page = world.root("ListAliases", body).await;
        names.extend(page["Aliases"].as_array().unwrap().iter().map(|alias| alias["AliasName"].clone()));
        marker = page["NextMarker"].clone();
        if marker.is_null() {
            break;
        }
    }
    assert_eq!(names, ["alias/a", name, "alias/b"]);
    assert_eq!(listed(json!({"KeyId": key})).await.as_array().unwrap().len(), 2);
    // Once, whoever describes it.
    let described = world.call(caller(alice, None), "DescribeKey", json!({"KeyId": arn})).await.unwrap();
    let made = &described["KeyMetadata"];
    assert_eq!(made["KeyManager"], "AWS");
    for key in [name, made["Arn"].as_str().unwrap()] {
        assert_eq!(world.root("DescribeKey", json!({"KeyId": key})).await, described, "{key}");
    }
    assert_eq!(listed(json!({})).await[1]["TargetKeyId"], made["KeyId"]);
    assert_eq!(listed(json!({"KeyId": made["KeyId"]})).await.as_array().unwrap().len(), 1);
    assert_eq!(world.kms.managed(account(OWNER), "s3").await.unwrap(), made["Arn"].as_str().unwrap());
}

#[tokio::test]
async fn there_are_no_custom_key_stores() {
    let world = World::new().await;
    for (body, expected) in [
        (json!({}), Ok(json!({"CustomKeyStores": [], "Truncated": false}))),
        (json!({"Limit": 1}), Ok(json!({"CustomKeyStores": [], "Truncated": false}))),
        (json!({"CustomKeyStoreId": "cks-1"}), Err("CustomKeyStoreNotFoundException")),
        (json!({"CustomKeyStoreName": "store"}), Err("CustomKeyStoreNotFoundException")),
        (json!({"CustomKeyStoreId": "cks-1", "CustomKeyStoreName": "store"}), Err("ValidationException")),
        (json!({"Limit": 1001}), Err("ValidationException")),
    ] {
        let answer = world.call(caller(root(OWNER), None), "DescribeCustomKeyStores", body.clone()).await;
        assert_eq!(answer, expected.map_err(str::to_owned), "{body}");
    }
}
