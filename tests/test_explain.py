"""Why was I denied: `millpond explain`, and the message that names a denial."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError
from harness.clients import refused, s3_client
from harness.identity import allow, client, new_account, new_user, policy
from harness.server import ACCOUNT, binary

pytestmark = pytest.mark.restarts


def explain(server, *args: str) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if not k.startswith("MILLPOND_")}
    command = [binary(), "explain", *args, "--data-dir", str(server.data_dir)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def denied(call) -> tuple[str, dict]:
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return response["ResponseMetadata"]["RequestId"], response["ResponseMetadata"]["HTTPHeaders"]


@pytest.fixture
def lake(make_server):
    server = make_server()
    s3_client(server).create_bucket(Bucket="lake")
    return server


def test_a_denial_is_explained(lake):
    s3_client(lake).delete_public_access_block(Bucket="lake")
    nobody = s3_client(lake, signature_version=UNSIGNED)
    request, _ = denied(lambda: nobody.get_object(Bucket="lake", Key="a/b"))
    done = explain(lake, request)
    assert done.returncode == 0, done
    for line in [
        f"s3 GetObject  request {request} at ",
        "  by        anonymous",
        "DENIED  s3:GetObject on arn:aws:s3:::lake/a/b",
        "no resource-based policy allows s3:GetObject",
        "aws:SourceIp",
        "to allow it: Add to the policy of arn:aws:s3:::lake:",
        '"Resource": "arn:aws:s3:::lake/a/b"',
    ]:
        assert line in done.stdout, done.stdout
    assert "\x1b" not in done.stdout, "colours are for terminals"
    # The id may be typed as people type.
    assert explain(lake, request.lower()).stdout == done.stdout

    whole = json.loads(explain(lake, request, "--json").stdout)
    (decision,) = whole["decisions"]
    assert (whole["request_id"], whole["operation"], whole["code"]) == (request, "GetObject", "AccessDenied")
    assert (decision["action"], decision["allowed"], decision["owner"]) == ("s3:GetObject", False, ACCOUNT)
    assert decision["context"]["aws:SourceIp"] == ["127.0.0.1"]
    statement = json.loads(decision["suggestion"]["statement"])
    assert statement == {
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/a/b",
    }  # fmt: skip


def test_it_works_beside_a_server_and_without_one(lake):
    nobody = s3_client(lake, signature_version=UNSIGNED)
    request, _ = denied(lambda: nobody.delete_bucket(Bucket="lake"))
    beside = explain(lake, request)
    lake.stop()
    without = explain(lake, request)
    assert (beside.returncode, without.returncode) == (0, 0), (beside, without)
    assert beside.stdout == without.stdout


def test_what_was_not_denied_is_not_found(lake):
    answer = s3_client(lake).list_buckets()
    for request in (answer["ResponseMetadata"]["RequestId"], "NOSUCH", ""):
        done = explain(lake, request)
        assert done.returncode == 1 and "nothing is kept of the request" in done.stderr, done


def test_a_refusal_without_a_policy_says_so(lake):
    s3 = s3_client(lake)
    request, _ = denied(lambda: s3.list_objects_v2(Bucket="lake", ExpectedBucketOwner="210987654321"))
    done = explain(lake, request)
    assert "No policy denied it" in done.stdout, done


def test_no_data_dir(tmp_path):
    done = subprocess.run([binary(), "explain", "X", "--data-dir", str(tmp_path / "none")], capture_output=True, text=True)
    assert done.returncode == 2 and "no data dir" in done.stderr, done


def test_help_teaches():
    text = subprocess.run([binary(), "explain", "--help"], capture_output=True, text=True, check=True).stdout
    for words in ("x-amz-request-id", "x-amzn-requestid", "How to read the answer", "14 days", "256 MiB", "Exit status", "Example"):
        assert words in text


def test_strangers_get_no_message(lake):
    nobody = s3_client(lake, signature_version=UNSIGNED)
    _, headers = denied(lambda: nobody.get_object(Bucket="lake", Key="k"))
    assert "x-millpond-authorization-message" not in headers


def test_users_are_told_why_and_can_ask(lake):
    iam = client(lake, "iam")
    user = new_user(iam, allow("s3:PutObject"), {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::lake/secret/*"})
    iam.put_user_policy(
        UserName=user.name, PolicyName="from", PolicyDocument=policy(
            allow("s3:GetObject", condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})
        ),
    )  # fmt: skip
    s3 = client(lake, "s3", user.keys)
    implicit, headers = denied(lambda: s3.get_object(Bucket="lake", Key="open/k"))
    explicit, _ = denied(lambda: s3.put_object(Bucket="lake", Key="secret/k", Body=b""))

    text = explain(lake, implicit).stdout
    for words in [
        f"by        {user.arn}",
        "because no identity-based policy allows the s3:GetObject action",
        f"identity-based policy (inline policy from of {user.arn}) is silent",
        "IpAddress aws:SourceIp 10.0.0.0/8: fails, it is 127.0.0.1",
        "does not name the action",
        "to allow it: Send a request for which these conditions of statement 1 of inline policy from",
        "     IpAddress aws:SourceIp 10.0.0.0/8\n",
        f"or without them: Add to an identity-based policy of {user.arn}",
    ]:
        assert words in text, text
    text = explain(lake, explicit).stdout
    for words in ["with an explicit deny in an identity-based policy", "Deny statement 2", "denies"]:
        assert words in text, text

    # The caller's own account may ask by the message, if it may ask at all.
    message = headers["x-millpond-authorization-message"]
    told = json.loads(client(lake, "sts").decode_authorization_message(EncodedMessage=message)["DecodedMessage"])
    assert (told["allowed"], told["explicitDeny"], told["context"]["action"]) == (False, False, "s3:GetObject")
    assert told["context"]["principal"]["arn"] == user.arn
    assert told["requestId"] == implicit and told["decisions"][0]["policies"]
    with refused("AccessDenied", 403):
        client(lake, "sts", user.keys).decode_authorization_message(EncodedMessage=message)
    _, keys = new_account(lake)
    with refused("InvalidAuthorizationMessageException"):
        client(lake, "sts", keys).decode_authorization_message(EncodedMessage=message)
    # A stranger with rights of its own learns no more than that it may not.
    _, headers = denied(lambda: client(lake, "s3", keys).get_object(Bucket="lake", Key="k"))
    assert "x-millpond-authorization-message" not in headers


def test_services_without_http_errors_of_s3(lake):
    user = new_user(client(lake, "iam"))
    for service, call, action in [
        ("iam", lambda c: c.list_users(), "iam:ListUsers"),
        ("cloudtrail", lambda c: c.lookup_events(), "cloudtrail:LookupEvents"),
    ]:
        request, headers = denied(lambda: call(client(lake, service, user.keys)))
        assert f"DENIED  {action} on" in explain(lake, request).stdout
        assert "x-millpond-authorization-message" in headers


def test_the_side_of_the_key_is_told_too(lake):
    kms = client(lake, "kms")
    key = kms.create_key()["KeyMetadata"]
    user = new_user(client(lake, "iam"), allow("kms:Decrypt", "arn:aws:kms:*:*:key/other"))
    request, headers = denied(lambda: client(lake, "kms", user.keys).encrypt(KeyId=key["KeyId"], Plaintext=b"x"))
    text = explain(lake, request).stdout
    for words in [f"DENIED  kms:Encrypt on {key['Arn']}", f"resource-based policy (policy of {key['Arn']})", "does not name the action"]:
        assert words in text, text
    assert "x-millpond-authorization-message" in headers


def test_an_external_id_that_is_missing_is_asked_for_before_a_wider_trust(lake):
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole",
             "Condition": {"StringEquals": {"sts:ExternalId": "contract-7"}}}  # fmt: skip
    role = client(lake, "iam").create_role(RoleName="partner", AssumeRolePolicyDocument=policy(trust))["Role"]
    user = new_user(client(lake, "iam"), allow("sts:AssumeRole"))
    sts = client(lake, "sts", user.keys)
    request, _ = denied(lambda: sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session"))
    text = explain(lake, request).stdout
    first = text.index("to allow it: Send a request for which these conditions of statement 1 of policy of")
    wanted = text.index("     StringEquals sts:ExternalId contract-7\n", first)
    assert text.index("or without them: Add to the policy of", wanted), text
    sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session", ExternalId="contract-7")


def test_root_users_of_other_accounts_need_no_policies_of_their_own(lake):
    _, root = new_account(lake)
    request, _ = denied(lambda: client(lake, "s3", root).list_objects_v2(Bucket="lake"))
    text = explain(lake, request).stdout
    assert "to allow it: Add to the policy of arn:aws:s3:::lake" in text and "must allow it too" not in text, text
