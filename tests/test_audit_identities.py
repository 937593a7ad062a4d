"""Records of what users, roles and other accounts do, and that no secret of theirs is in one."""

from __future__ import annotations

import base64
import json

import pytest
from botocore.exceptions import ClientError
from harness.identity import Keys, allow, assume, client, new_account, new_role, new_user, trust, unique
from harness.server import ACCOUNT
from test_audit import records, request_id, wait_for

pytestmark = pytest.mark.restarts  # reaches into the data dir

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"


@pytest.fixture(scope="module")
def iam(server):
    return client(server, "iam")


def by(server, attribute: str, value: str, keys: Keys | None = None) -> list[dict]:
    lookup = {"LookupAttributes": [{"AttributeKey": attribute, "AttributeValue": value}]}
    pages = client(server, "cloudtrail", keys).get_paginator("lookup_events").paginate(**lookup)
    return [json.loads(event["CloudTrailEvent"]) for page in pages for event in page["Events"]]


def test_changes_of_identities(server, iam):
    user = new_user(iam, allow("s3:ListAllMyBuckets"), Tags=[{"Key": "team", "Value": "blue"}])
    made = {record["eventName"]: record for record in by(server, "ResourceName", user.name)}
    assert set(made) == {"CreateUser", "PutUserPolicy", "CreateAccessKey"}
    created = made["CreateUser"]
    assert created["requestParameters"] == {"userName": user.name, "tags": [{"key": "team", "value": "blue"}]}
    assert created["responseElements"]["user"]["arn"] == user.arn
    assert created["resources"][0] == {"ARN": user.arn, "accountId": ACCOUNT, "type": "AWS::IAM::User"}
    assert json.loads(made["PutUserPolicy"]["requestParameters"]["policyDocument"])["Statement"]
    key = made["CreateAccessKey"]["responseElements"]["accessKey"]
    assert (key["accessKeyId"], key["secretAccessKey"]) == (user.keys.id, HIDDEN)


def test_who_acted(server, iam, bucket):
    user = new_user(iam, allow(["sts:*", "s3:*"]))
    client(server, "s3", user.keys).put_bucket_tagging(
        Bucket=bucket, Tagging={"TagSet": [{"Key": "by", "Value": "user"}]}
    )
    (record,) = [r for r in by(server, "Username", user.name) if r["eventName"] == "PutBucketTagging"]
    found = {name: record["userIdentity"][name] for name in ("type", "arn", "userName", "accessKeyId")}
    assert found == {"type": "IAMUser", "arn": user.arn, "userName": user.name, "accessKeyId": user.keys.id}
    assert by(server, "AccessKeyId", user.keys.id)

    role = new_role(iam, trust(user.arn, ["sts:AssumeRole", "sts:SetSourceIdentity"]), allow("s3:*"))
    name = unique("session")
    session = assume(server, user.keys, role, name, SourceIdentity="alice")
    client(server, "s3", session).delete_bucket_tagging(Bucket=bucket)
    (record,) = [r for r in by(server, "Username", name) if r["eventName"] == "DeleteBucketTagging"]
    who = record["userIdentity"]
    assert (who["type"], who["accessKeyId"]) == ("AssumedRole", session.id)
    assert who["arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.rsplit('/', 1)[1]}/{name}"
    context = who["sessionContext"]
    assert (context["sessionIssuer"]["type"], context["sessionIssuer"]["arn"]) == ("Role", role)
    assert (context["sourceIdentity"], context["attributes"]["mfaAuthenticated"]) == ("alice", "false")

    # Sessions are recorded at once, as they give credentials away, and name none of their secrets.
    (begun,) = [r for r in by(server, "ResourceName", role) if r["eventName"] == "AssumeRole"]
    assert begun["readOnly"] is True and begun["requestParameters"]["roleSessionName"] == name
    given = begun["responseElements"]["credentials"]
    assert (given["accessKeyId"], given["secretAccessKey"], given["sessionToken"]) == (session.id, HIDDEN, HIDDEN)


def test_denied_users(server, iam, bucket):
    user = new_user(iam)
    for call, name, prompt in [
        (lambda: client(server, "iam", user.keys).create_user(UserName="no"), "CreateUser", True),
        (lambda: client(server, "s3", user.keys).delete_bucket(Bucket=bucket), "DeleteBucket", True),
        (lambda: client(server, "iam", user.keys).list_users(), "ListUsers", False),
        (lambda: client(server, "cloudtrail", user.keys).lookup_events(), "LookupEvents", False),
    ]:
        with pytest.raises(ClientError) as caught:
            call()
        request = request_id(caught.value.response)
        if prompt:
            (record,) = [r for r in by(server, "Username", user.name) if r["requestID"] == request]
        else:
            record = wait_for(server, request)
        assert record["eventName"] == name and record["errorCode"].startswith("AccessDenied"), record
        assert f"{user.arn} is not authorized to perform" in record["errorMessage"]
        assert record["responseElements"] is None


def test_what_crosses_accounts_is_in_both_trails(server, bucket):
    account, keys = new_account(server)
    with pytest.raises(ClientError) as caught:
        client(server, "s3", keys).delete_bucket(Bucket=bucket)
    request = request_id(caught.value.response)
    (theirs,) = [r for r in by(server, "EventName", "DeleteBucket", keys) if r["requestID"] == request]
    (ours,) = [r for r in by(server, "ResourceName", bucket) if r["requestID"] == request]
    assert (theirs["recipientAccountId"], ours["recipientAccountId"]) == (account, ACCOUNT)
    assert theirs["sharedEventID"] == ours["sharedEventID"] and theirs["eventID"] != ours["eventID"]
    assert theirs["userIdentity"]["arn"] == f"arn:aws:iam::{account}:root"
    assert ours["userIdentity"] == {"type": "AWSAccount", "principalId": account, "accountId": account}
    # Nothing else of ours is in theirs.
    assert {r["recipientAccountId"] for r in by(server, "ReadOnly", "false", keys)} == {account}


def test_no_secret_is_in_any_record(server, iam):
    user = new_user(iam, allow(["sts:*", "iam:*"]))
    role = new_role(iam, trust(user.arn), allow("s3:*"))
    sts = client(server, "sts", user.keys)
    sessions = [assume(server, user.keys, role), Keys.of(sts.get_session_token()), Keys.of(sts.get_federation_token(Name="fed"))]
    _, other = new_account(server)
    client(server, "sts", sessions[0]).get_caller_identity()
    last = client(server, "sts").get_caller_identity()
    wait_for(server, request_id(last))
    text = json.dumps(records(server))
    for keys in (user.keys, other, *sessions):
        for secret in (keys.secret, keys.token):
            assert secret is None or secret not in text, secret
    assert server.secret_key not in text


def test_keys_and_their_uses(server, iam):
    kms = client(server, "kms")
    key = kms.create_key(Description="for records")["KeyMetadata"]
    (made,) = [r for r in by(server, "ResourceName", key["Arn"]) if r["eventName"] == "CreateKey"]
    assert made["requestParameters"]["description"] == "for records"
    assert made["responseElements"]["keyMetadata"]["keyId"] == key["KeyId"]
    context = {"department": "finance"}
    plain = b"a plaintext that nobody may read in a record"
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=plain, EncryptionContext=context)
    data = kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256", EncryptionContext=context)
    opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
    grant = kms.create_grant(KeyId=key["KeyId"], GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:root", Operations=["Decrypt"])
    for answer, name in [(sealed, "Encrypt"), (data, "GenerateDataKey"), (opened, "Decrypt")]:
        record = wait_for(server, request_id(answer))
        assert (record["eventName"], record["readOnly"], record["responseElements"]) == (name, True, None)
        assert record["requestParameters"]["encryptionContext"] == context
        assert record["resources"] == [{"ARN": key["Arn"], "accountId": ACCOUNT, "type": "AWS::KMS::Key"}]
    user = new_user(iam)
    with pytest.raises(ClientError) as caught:
        client(server, "kms", user.keys).decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
    denied = wait_for(server, request_id(caught.value.response))
    assert denied["errorCode"] == "AccessDeniedException" and denied["resources"][0]["ARN"] == key["Arn"]
    text = json.dumps(records(server))
    for secret in (plain, data["Plaintext"], sealed["CiphertextBlob"], data["CiphertextBlob"]):
        assert base64.b64encode(secret).decode() not in text
    assert grant["GrantToken"] not in text
