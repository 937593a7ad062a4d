"""AWS Key Management Service with boto3 and the aws CLI. Who may do what, and the time that moves, is tested in crates/svc-kms/tests."""

import base64
import hashlib
import hmac
import json
import os
import random
import subprocess
import time
from pathlib import Path

import boto3
import pytest
from harness.clients import refused
from harness.keys import ACCOUNT_ROOT, KeyOracle, kms_client, policy
from harness.raw import Raw
from harness.server import ACCOUNT, binary

pytestmark = pytest.mark.restarts  # knows the account of the server it started

KILLS = int(os.environ.get("MILLPOND_KILLS", "10"))
LOAD_SECONDS = float(os.environ.get("MILLPOND_LOAD_SECONDS", "2"))


@pytest.fixture(scope="module")
def kms(server):
    return kms_client(server)


@pytest.fixture(scope="module")
def iam(server):
    return boto3.client(
        "iam", endpoint_url=server.endpoint, region_name=server.region,
        aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key,
    )  # fmt: skip


@pytest.fixture
def key(kms) -> str:
    return kms.create_key()["KeyMetadata"]["KeyId"]


def arn(key: str) -> str:
    return f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{key}"


def test_a_key_is_described_as_aws_does(kms):
    made = kms.create_key(Description="d", Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]
    assert kms.describe_key(KeyId=made["KeyId"])["KeyMetadata"] == made
    assert set(made) == {
        "AWSAccountId", "KeyId", "Arn", "CreationDate", "Enabled", "Description", "KeyUsage", "KeyState", "Origin", "KeyManager",
        "CustomerMasterKeySpec", "KeySpec", "EncryptionAlgorithms", "MultiRegion", "CurrentKeyMaterialId",
    }  # fmt: skip
    assert (made["AWSAccountId"], made["Arn"]) == (ACCOUNT, arn(made["KeyId"]))
    assert kms.list_resource_tags(KeyId=made["Arn"])["Tags"] == [{"TagKey": "a", "TagValue": "b"}]
    document = json.loads(kms.get_key_policy(KeyId=made["KeyId"], PolicyName="default")["Policy"])
    assert document["Id"] == "key-default-1"
    assert document["Statement"][0]["Principal"] == {"AWS": ACCOUNT_ROOT}
    assert kms.list_key_policies(KeyId=made["KeyId"])["PolicyNames"] == ["default"]


@pytest.mark.parametrize("size", [1, 32, 4095, 4096])
def test_encrypt_and_decrypt(kms, key, size):
    plain, context = os.urandom(size), {"purpose": "test", "é": "ü"}
    sealed = kms.encrypt(KeyId=key, Plaintext=plain, EncryptionContext=context)
    assert sealed["KeyId"] == arn(key) and len(sealed["CiphertextBlob"]) <= 6144
    opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
    assert (opened["Plaintext"], opened["KeyId"], opened["EncryptionAlgorithm"]) == (plain, arn(key), "SYMMETRIC_DEFAULT")
    for wrong in ({}, {"purpose": "test"}, {**context, "more": ""}):
        with refused("InvalidCiphertextException", 400):
            kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=wrong)
    blob = bytearray(sealed["CiphertextBlob"])
    for at in (0, len(blob) // 2, len(blob) - 1):
        changed = bytes(blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :])
        with refused("InvalidCiphertextException", 400):
            kms.decrypt(CiphertextBlob=changed, EncryptionContext=context, KeyId=key)
    with refused("InvalidCiphertextException", 400):
        kms.decrypt(CiphertextBlob=bytes(blob[:-1]), EncryptionContext=context, KeyId=key)


def test_every_form_of_a_name(kms, key):
    alias = f"alias/forms/{key}"
    kms.create_alias(AliasName=alias, TargetKeyId=key)
    alias_arn = f"arn:aws:kms:us-east-1:{ACCOUNT}:{alias}"
    for name in (key, arn(key), alias, alias_arn):
        assert kms.describe_key(KeyId=name)["KeyMetadata"]["KeyId"] == key
        blob = kms.encrypt(KeyId=name, Plaintext=b"x")["CiphertextBlob"]
        assert kms.decrypt(KeyId=name, CiphertextBlob=blob)["Plaintext"] == b"x"
    for name in (alias, alias_arn):
        with refused("NotFoundException") as seen:
            kms.get_key_policy(KeyId=name)
        assert seen["Error"]["Message"] == f"Invalid keyId {name}"
    absent = "12345678-1234-4234-8234-123456789012"
    for name, code, message in [
        (absent, "NotFoundException", f"Key '{arn(absent)}' does not exist"),
        ("alias/none", "NotFoundException", f"Alias arn:aws:kms:us-east-1:{ACCOUNT}:alias/none is not found."),
        ("nonsense", "NotFoundException", "Invalid keyId 'nonsense'"),
        (arn(key).replace("us-east-1", "eu-west-1"), "NotFoundException", "Invalid arn eu-west-1"),
        ("arn:aws:kms:nonsense", "InvalidArnException", "Invalid arn arn:aws:kms:nonsense"),
    ]:
        with refused(code, 400) as seen:
            kms.describe_key(KeyId=name)
        assert seen["Error"]["Message"] == message


def test_data_keys(kms, key):
    for wanted, size in [({"KeySpec": "AES_256"}, 32), ({"KeySpec": "AES_128"}, 16), ({"NumberOfBytes": 1024}, 1024)]:
        made = kms.generate_data_key(KeyId=key, EncryptionContext={"a": "b"}, **wanted)
        assert len(made["Plaintext"]) == size and made["KeyId"] == arn(key)
        opened = kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"a": "b"})
        assert opened["Plaintext"] == made["Plaintext"] and opened["KeyMaterialId"] == made["KeyMaterialId"]
        blind = kms.generate_data_key_without_plaintext(KeyId=key, **wanted)
        assert "Plaintext" not in blind
        assert len(kms.decrypt(CiphertextBlob=blind["CiphertextBlob"])["Plaintext"]) == size
    assert len(kms.generate_random(NumberOfBytes=1024)["Plaintext"]) == 1024
    assert kms.generate_random(NumberOfBytes=32)["Plaintext"] != kms.generate_random(NumberOfBytes=32)["Plaintext"]


def test_re_encrypt(kms, key):
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"a": "b"})["CiphertextBlob"]
    moved = kms.re_encrypt(
        CiphertextBlob=blob, SourceEncryptionContext={"a": "b"}, DestinationKeyId=other, DestinationEncryptionContext={"c": "d"}
    )
    assert (moved["SourceKeyId"], moved["KeyId"]) == (arn(key), arn(other))
    assert kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"c": "d"}, KeyId=other)["Plaintext"] == b"x"
    with refused("IncorrectKeyException", 400):
        kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"c": "d"}, KeyId=key)


@pytest.mark.parametrize("bits", [224, 256, 384, 512])
def test_codes(kms, bits):
    made = kms.create_key(KeySpec=f"HMAC_{bits}", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]
    assert made["MacAlgorithms"] == [f"HMAC_SHA_{bits}"] and "EncryptionAlgorithms" not in made
    about = {"KeyId": made["KeyId"], "MacAlgorithm": f"HMAC_SHA_{bits}"}
    code = kms.generate_mac(Message=b"m", **about)["Mac"]
    assert len(code) == bits // 8
    assert kms.verify_mac(Message=b"m", Mac=code, **about)["MacValid"] is True
    for message, wrong in [(b"n", code), (b"m", code[:-1]), (b"m", bytes([code[0] ^ 1]) + code[1:])]:
        with refused("KMSInvalidMacException", 400):
            kms.verify_mac(Message=message, Mac=wrong, **about)
    # Not a code of a key that is known, such as an empty one.
    assert code != hmac.new(b"", b"m", getattr(hashlib, f"sha{bits}")).digest()


def test_rotation(kms, key):
    blobs = [kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]]
    for _ in range(2):
        kms.rotate_key_on_demand(KeyId=key)
        blobs.append(kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"])
    materials = {kms.decrypt(CiphertextBlob=blob)["KeyMaterialId"] for blob in blobs}
    listed = kms.list_key_rotations(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
    assert len(materials) == 3 == len(listed) and materials == {entry["KeyMaterialId"] for entry in listed}
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    status = kms.get_key_rotation_status(KeyId=key)
    assert (status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (True, 90) and "NextRotationDate" in status
    kms.disable_key_rotation(KeyId=key)


def test_aliases(kms, key):
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    name = f"alias/moves/{key}"
    kms.create_alias(AliasName=name, TargetKeyId=key)
    with refused("AlreadyExistsException", 400):
        kms.create_alias(AliasName=name, TargetKeyId=key)
    kms.update_alias(AliasName=name, TargetKeyId=other)
    assert [alias["AliasName"] for alias in kms.list_aliases(KeyId=other)["Aliases"]] == [name]
    assert kms.list_aliases(KeyId=key)["Aliases"] == []
    kms.delete_alias(AliasName=name)
    with refused("NotFoundException", 400):
        kms.delete_alias(AliasName=name)
    with refused("NotAuthorizedException", 400):
        kms.create_alias(AliasName="alias/aws/mine", TargetKeyId=key)


def test_states(kms, key):
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    kms.disable_key(KeyId=key)
    with refused("DisabledException", 400) as seen:
        kms.decrypt(CiphertextBlob=blob)
    assert seen["Error"]["Message"] == f"{arn(key)} is disabled."
    kms.enable_key(KeyId=key)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    doomed = kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert (doomed["KeyState"], doomed["PendingWindowInDays"]) == ("PendingDeletion", 7)
    with refused("KMSInvalidStateException", 400) as seen:
        kms.decrypt(CiphertextBlob=blob)
    assert seen["Error"]["Message"] == f"{arn(key)} is pending deletion."
    kms.cancel_key_deletion(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"


def test_policies(kms, key):
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy("mine"))
    assert kms.get_key_policy(KeyId=key)["Policy"] == policy("mine")
    for document, code in [
        ("{", "MalformedPolicyDocumentException"),
        (policy("x", f"arn:aws:iam::{ACCOUNT}:user/nobody"), "MalformedPolicyDocumentException"),
        (policy("x", "arn:aws:iam::999999999999:root"), "MalformedPolicyDocumentException"),
        (policy("x").replace("kms:*", "kms:Encrypt"), "MalformedPolicyDocumentException"),
        (policy("x") + " " * 33_000, "LimitExceededException"),
    ]:
        with refused(code, 400):
            kms.put_key_policy(KeyId=key, Policy=document)
    # Without the statement that hands control to the account, not even its root user has any.
    kms.put_key_policy(KeyId=key, Policy=policy("x").replace("kms:*", "kms:Encrypt"), BypassPolicyLockoutSafetyCheck=True)
    kms.encrypt(KeyId=key, Plaintext=b"x")
    with refused("AccessDeniedException", 400) as seen:
        kms.describe_key(KeyId=key)
    assert seen["Error"]["Message"] == (
        f"User: {ACCOUNT_ROOT} is not authorized to perform: kms:DescribeKey on resource: {arn(key)} "
        "because no resource-based policy allows the kms:DescribeKey action"
    )


def test_grants(kms, key):
    given = kms.create_grant(
        KeyId=key, GranteePrincipal=ACCOUNT_ROOT, RetiringPrincipal=ACCOUNT_ROOT, Operations=["Decrypt", "Encrypt"], Name="g",
        Constraints={"EncryptionContextSubset": {"a": "b"}},
    )  # fmt: skip
    [listed] = kms.list_grants(KeyId=key)["Grants"]
    assert {name: listed[name] for name in listed if name != "CreationDate"} == {
        "KeyId": arn(key), "GrantId": given["GrantId"], "Name": "g", "GranteePrincipal": ACCOUNT_ROOT,
        "RetiringPrincipal": ACCOUNT_ROOT, "IssuingAccount": ACCOUNT_ROOT, "Operations": ["Decrypt", "Encrypt"],
        "Constraints": {"EncryptionContextSubset": {"a": "b"}},
    }  # fmt: skip
    kms.encrypt(KeyId=key, Plaintext=b"x", GrantTokens=[given["GrantToken"]])
    with refused("InvalidGrantTokenException", 400):
        kms.encrypt(KeyId=key, Plaintext=b"x", GrantTokens=["AAAA"])
    retirable = kms.list_retirable_grants(RetiringPrincipal=ACCOUNT_ROOT)["Grants"]
    assert given["GrantId"] in [grant["GrantId"] for grant in retirable]
    kms.retire_grant(KeyId=arn(key), GrantId=given["GrantId"])
    again = kms.create_grant(KeyId=key, GranteePrincipal=ACCOUNT_ROOT, Operations=["Decrypt"])
    kms.revoke_grant(KeyId=key, GrantId=again["GrantId"])
    assert kms.list_grants(KeyId=key)["Grants"] == []
    with refused("InvalidArnException", 400):
        kms.create_grant(KeyId=key, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:user/nobody", Operations=["Decrypt"])


def test_pages(kms, key):
    names = sorted(f"alias/page/{key}/{n}" for n in range(7))
    for name in names:
        kms.create_alias(AliasName=name, TargetKeyId=key)
    pages = kms.get_paginator("list_aliases").paginate(KeyId=key, PaginationConfig={"PageSize": 3})
    sizes = [[alias["AliasName"] for alias in page["Aliases"]] for page in pages]
    assert sum(sizes, []) == names and [len(page) for page in sizes] == [3, 3, 1]
    kms.tag_resource(KeyId=key, Tags=[{"TagKey": f"t{n}", "TagValue": ""} for n in range(5)])
    page = kms.list_resource_tags(KeyId=key, Limit=2)
    assert page["Truncated"] is True and len(page["Tags"]) == 2
    assert len(kms.list_resource_tags(KeyId=key, Marker=page["NextMarker"])["Tags"]) == 3
    kms.untag_resource(KeyId=key, TagKeys=["t0", "t1", "absent"])
    assert [tag["TagKey"] for tag in kms.list_resource_tags(KeyId=key)["Tags"]] == ["t2", "t3", "t4"]
    everything = [entry["KeyId"] for page in kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 2})
                  for entry in page["Keys"]]  # fmt: skip
    assert key in everything and len(set(everything)) == len(everything)


def test_requests_that_are_none(server):
    raw = Raw(server.endpoint, server.access_key, server.secret_key, server.region, service="kms")
    for target, body, status, code in [
        ("TrentService.Nonsense", b"{}", 400, "UnknownOperationException"),
        ("TrentService.Sign", b"{}", 501, "NotImplemented"),
        ("TrentService.DescribeKey", b"{", 400, "SerializationException"),
        ("TrentService.DescribeKey", b"[]", 400, "SerializationException"),
        ("TrentService.DescribeKey", b"{}", 400, "ValidationException"),
        ("TrentService.Encrypt", b'{"KeyId": "x", "Plaintext": "%"}', 400, "SerializationException"),
        ("TrentService.Encrypt", b"[" * 100_000, 400, "SerializationException"),
    ]:
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
        got = raw.request("POST", "/", headers=headers, body=body)
        said = json.loads(got.body)
        assert (got.status, said["__type"]) == (status, code), (target, body[:40], got)


def test_an_unsigned_request(server):
    import urllib.error
    import urllib.request

    request = urllib.request.Request(
        server.endpoint + "/", data=b"{}", headers={"X-Amz-Target": "TrentService.ListKeys", "Content-Type": "application/x-amz-json-1.1"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert json.loads(caught.value.read())["__type"] == "MissingAuthenticationTokenException"


def identity(server, iam, name, *policies):
    """A user with inline policies; its ARN and a client of its own."""
    user = iam.create_user(UserName=name)["User"]
    for n, document in enumerate(policies):
        iam.put_user_policy(UserName=name, PolicyName=f"p{n}", PolicyDocument=json.dumps(document))
    keys = iam.create_access_key(UserName=name)["AccessKey"]
    return user["Arn"], kms_client(server, access_key=keys["AccessKeyId"], secret_key=keys["SecretAccessKey"])


def remove(iam, name):
    for policy_name in iam.list_user_policies(UserName=name)["PolicyNames"]:
        iam.delete_user_policy(UserName=name, PolicyName=policy_name)
    for access_key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=access_key["AccessKeyId"])
    iam.delete_user(UserName=name)


def allows(actions, resource="*"):
    return {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": resource}}


def key_policy(*statements):
    root = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT_ROOT}, "Action": "kms:*", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [root, *statements]})


def test_users_by_key_policy_identity_policy_and_grant(server, kms, iam, key):
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    name = f"kms-{key[:8]}"
    user, client = identity(server, iam, name)
    with refused("AccessDeniedException", 400) as seen:
        client.decrypt(CiphertextBlob=blob)
    assert seen["Error"]["Message"].startswith(f"User: {user} is not authorized to perform: kms:Decrypt on resource: {arn(key)} ")
    # The key's policy by itself, at once; and taken back, at once.
    to_user = {"Effect": "Allow", "Principal": {"AWS": user}, "Action": "kms:Decrypt", "Resource": "*"}
    kms.put_key_policy(KeyId=key, Policy=key_policy(to_user))
    assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    with refused("AccessDeniedException", 400):
        client.encrypt(KeyId=key, Plaintext=b"x")
    kms.put_key_policy(KeyId=key, Policy=key_policy())
    with refused("AccessDeniedException", 400):
        client.decrypt(CiphertextBlob=blob)
    # The identity's policy, as the root statement hands on.
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(allows("kms:Decrypt", arn(key))))
    assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    iam.delete_user_policy(UserName=name, PolicyName="own")
    # A grant.
    given = kms.create_grant(KeyId=key, GranteePrincipal=user, Operations=["Decrypt"])
    assert client.decrypt(CiphertextBlob=blob, GrantTokens=[given["GrantToken"]])["Plaintext"] == b"x"
    # Who has the name later has neither grant nor policy.
    kms.put_key_policy(KeyId=key, Policy=key_policy(to_user))
    remove(iam, name)
    _, heir = identity(server, iam, name)
    with refused("AccessDeniedException", 400):
        heir.decrypt(CiphertextBlob=blob)
    remove(iam, name)
    with refused("MalformedPolicyDocumentException", 400):
        kms.put_key_policy(KeyId=key, Policy=key_policy(to_user))


def test_who_makes_a_key_may_be_its_only_master(server, kms, iam, key):
    name = f"maker-{key[:8]}"
    user, client = identity(server, iam, name, allows("kms:*"))
    alone = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": user}, "Action": "kms:*", "Resource": "*"}]})  # fmt: skip
    made = client.create_key(Policy=alone)["KeyMetadata"]["KeyId"]
    client.encrypt(KeyId=made, Plaintext=b"x")
    with refused("AccessDeniedException", 400):
        kms.describe_key(KeyId=made)
    with refused("MalformedPolicyDocumentException", 400):
        kms.create_key(Policy=alone)
    client.schedule_key_deletion(KeyId=made)
    remove(iam, name)


def test_aliases_ask_for_alias_and_key(server, kms, iam, key):
    name = f"namer-{key[:8]}"
    _, client = identity(server, iam, name, allows("kms:CreateAlias", f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/n/*"))
    with refused("AccessDeniedException", 400):
        client.create_alias(AliasName=f"alias/n/{key}", TargetKeyId=key)
    iam.put_user_policy(UserName=name, PolicyName="key", PolicyDocument=json.dumps(allows("kms:CreateAlias", arn(key))))
    client.create_alias(AliasName=f"alias/n/{key}", TargetKeyId=key)
    with refused("AccessDeniedException", 400):
        client.create_alias(AliasName=f"alias/m/{key}", TargetKeyId=key)
    remove(iam, name)


def test_uses_are_on_record(server, kms, key):
    blob = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"for": "the record"})["CiphertextBlob"]
    with refused("InvalidCiphertextException", 400):
        kms.decrypt(CiphertextBlob=blob)
    trail = boto3.client(
        "cloudtrail", endpoint_url=server.endpoint, region_name=server.region,
        aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key,
    )  # fmt: skip
    # Uses are written together, soon after they were answered.
    events, deadline = {}, time.monotonic() + 30
    while set(events) != {"CreateKey", "Encrypt", "Decrypt"} and time.monotonic() < deadline:
        found = trail.lookup_events(LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": arn(key)}])["Events"]
        events = {event["EventName"]: json.loads(event["CloudTrailEvent"]) for event in found}
    assert set(events) == {"CreateKey", "Encrypt", "Decrypt"}
    assert events["Encrypt"]["requestParameters"]["encryptionContext"] == {"for": "the record"}
    assert events["Decrypt"]["errorCode"] == "InvalidCiphertextException"
    assert base64.b64encode(b"x").decode() not in json.dumps(events["Encrypt"]["requestParameters"])


def test_another_account_needs_both_sides(make_server):
    server = make_server()
    made = subprocess.run(
        [binary(), "account", "create", "--data-dir", str(server.data_dir), "--id", "444455556666", "--json"],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    theirs = json.loads(made.stdout)
    kms = kms_client(server)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    partner = kms_client(server, access_key=theirs["access_key_id"], secret_key=theirs["secret_access_key"])
    partners_iam = boto3.client(
        "iam", endpoint_url=server.endpoint, region_name=server.region,
        aws_access_key_id=theirs["access_key_id"], aws_secret_access_key=theirs["secret_access_key"],
    )  # fmt: skip
    _, user = identity(server, partners_iam, "u")
    for client in (partner, user):
        with refused("AccessDeniedException", 400) as seen:
            client.decrypt(CiphertextBlob=blob)
        assert key not in seen["Error"]["Message"]
    share = {"Effect": "Allow", "Principal": {"AWS": "444455556666"}, "Action": ["kms:Decrypt", "kms:DescribeKey"], "Resource": "*"}
    kms.put_key_policy(KeyId=key, Policy=key_policy(share))
    assert partner.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    with refused("AccessDeniedException", 400):
        user.decrypt(CiphertextBlob=blob)
    partners_iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=json.dumps(allows("kms:Decrypt", key)))
    assert user.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    # Its own side alone gives it nothing, and what is for the own account stays there.
    with refused("AccessDeniedException", 400):
        partner.get_key_policy(KeyId=key)
    assert partner.list_keys()["Keys"] == []


def test_aws_cli(tools):
    def aws(*args, query):
        return tools.aws("kms", *args, "--query", query, "--output", "text").stdout.decode().strip()

    key = aws("create-key", "--description", "by the CLI", query="KeyMetadata.KeyId")
    tools.aws("kms", "create-alias", "--alias-name", "alias/cli", "--target-key-id", key)
    (tools.home / "plain").write_bytes(b"a secret")
    sealed = aws("encrypt", "--key-id", "alias/cli", "--plaintext", f"fileb://{tools.home}/plain",
                 "--encryption-context", "for=cli", query="CiphertextBlob")  # fmt: skip
    (tools.home / "sealed").write_bytes(base64.b64decode(sealed))
    opened = aws("decrypt", "--ciphertext-blob", f"fileb://{tools.home}/sealed", "--encryption-context", "for=cli", query="Plaintext")
    assert base64.b64decode(opened) == b"a secret"
    failed = tools.aws("kms", "decrypt", "--ciphertext-blob", f"fileb://{tools.home}/sealed", check=False)
    assert failed.returncode != 0 and b"InvalidCiphertextException" in failed.stderr
    (tools.home / "policy.json").write_text(policy("cli"))
    tools.aws("kms", "put-key-policy", "--key-id", key, "--policy-name", "default", "--policy", f"file://{tools.home}/policy.json")
    assert "cli" in aws("get-key-policy", "--key-id", key, "--policy-name", "default", query="Policy")
    grant = aws("create-grant", "--key-id", key, "--grantee-principal", ACCOUNT_ROOT, "--operations", "Decrypt", query="GrantId")
    assert aws("list-grants", "--key-id", key, query="Grants[].GrantId") == grant
    assert aws("schedule-key-deletion", "--key-id", key, "--pending-window-in-days", "7", query="KeyState") == "PendingDeletion"


def test_nothing_secret_lies_in_the_data_dir(make_server):
    """Neither what was encrypted nor a data key, also after a restart that replays the journal."""
    server = make_server()
    kms = kms_client(server)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    secrets = [b"a plaintext that is looked for " + os.urandom(16)]
    kms.encrypt(KeyId=key, Plaintext=secrets[0], EncryptionContext={"a": "b"})
    for _ in range(20):
        secrets.append(kms.generate_data_key(KeyId=key, KeySpec="AES_256")["Plaintext"])
        kms.rotate_key_on_demand(KeyId=key)
    server.restart_after_kill()
    needles = [form for secret in secrets for form in (secret, secret.hex().encode(), base64.b64encode(secret)[:40])]
    seen = 0
    for path in Path(server.data_dir).rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            seen += len(content)
            for needle in needles:
                assert needle not in content, path
    assert seen > 0 and not any(needle.decode("latin-1") in server.log() for needle in needles)


@pytest.mark.timeout(max(300, KILLS * 60))
def test_kill_between_changes(make_server):
    """kill -9 between any two changes leaves the old or the new state whole."""
    seed = int(os.environ.get("MILLPOND_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"rerun with MILLPOND_SEED={seed}")
    rng = random.Random(seed)
    server = make_server()
    oracle = KeyOracle(server, seed)
    for kill in range(1, KILLS + 1):
        before = oracle.count
        oracle.start()
        time.sleep(LOAD_SECONDS * rng.uniform(0.3, 1.3))
        server.kill()
        oracle.stop()
        assert oracle.failures == []
        assert oracle.count > before, "no change was acknowledged in this round: nothing was tested"
        server.start()
        oracle.verify()
        print(f"kill {kill}/{KILLS}: {oracle.count} acknowledged", flush=True)


def test_the_key_of_a_service_is_made_when_it_is_described(make_server):
    server = make_server()
    kms = kms_client(server)
    unused = {"AliasName": "alias/aws/s3", "AliasArn": f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/aws/s3"}
    assert kms.list_aliases()["Aliases"] == [unused] and kms.list_keys()["Keys"] == []
    with refused("NotFoundException", 400):
        kms.generate_data_key(KeyId="alias/aws/s3", KeySpec="AES_256")
    made = kms.describe_key(KeyId="alias/aws/s3")["KeyMetadata"]
    assert (made["KeyManager"], made["Description"]) == (
        "AWS", "Default key that protects my S3 objects when no other key is defined"
    )  # fmt: skip
    server.stop()
    server.start()
    kms = kms_client(server)
    assert kms.describe_key(KeyId=unused["AliasArn"])["KeyMetadata"] == made
    (alias,) = kms.list_aliases()["Aliases"]
    assert alias["TargetKeyId"] == made["KeyId"] and {"CreationDate", "LastUpdatedDate"} < set(alias)


def test_there_are_no_custom_key_stores(kms):
    got = kms.describe_custom_key_stores()
    assert (got["CustomKeyStores"], got["Truncated"]) == ([], False)
    with refused("CustomKeyStoreNotFoundException", 400):
        kms.describe_custom_key_stores(CustomKeyStoreName="store")
    with refused("NotImplemented", 501):
        kms.create_custom_key_store(CustomKeyStoreName="store")
