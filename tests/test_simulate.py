"""The policy simulator: what would be decided, and by which statement."""

import json

import pytest
from harness.clients import refused
from harness.identity import allow, client, new_role, new_user, policy, trust, unique
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # knows the account of the server it started

TEAM = "arn:aws:s3:::teambucket"


@pytest.fixture(scope="module")
def iam(server):
    return client(server, "iam")


def deny(actions, resources="*") -> dict:
    return {"Effect": "Deny", "Action": actions, "Resource": resources}


def decisions(answer: dict) -> dict[tuple[str, str], str]:
    return {(one["EvalActionName"], one["EvalResourceName"]): one["EvalDecision"] for one in answer["EvaluationResults"]}


def test_custom_policies(iam):
    text = (
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*",'
        '"Condition":{"DateGreaterThan":{"aws:CurrentTime":"2015-08-16T12:00:00Z"}}}}'
    )
    entry = {"ContextKeyName": "aws:CurrentTime", "ContextKeyValues": ["2016-04-25T11:00:00Z"], "ContextKeyType": "date"}
    asked = {"PolicyInputList": [text], "ActionNames": ["dynamodb:CreateBackup"]}
    got = iam.simulate_custom_policy(ContextEntries=[entry], **asked)
    (result,) = got["EvaluationResults"]
    assert got["IsTruncated"] is False and result["EvalResourceName"] == "*" and result["EvalDecision"] == "allowed"
    (statement,) = result["MatchedStatements"]
    assert statement["SourcePolicyId"] == "PolicyInputList.1" and result["MissingContextValues"] == []
    # The places that AWS's own example shows for this document.
    assert (statement["StartPosition"], statement["EndPosition"]) == ({"Line": 1, "Column": 38}, {"Line": 1, "Column": 167})
    (result,) = iam.simulate_custom_policy(**asked)["EvaluationResults"]
    assert result["EvalDecision"] == "implicitDeny" and result["MatchedStatements"] == []
    assert result["MissingContextValues"] == ["aws:CurrentTime"]


def test_policies_of_users_with_their_groups(iam):
    user, group = new_user(iam, allow("s3:Get*")), unique("group")
    iam.create_group(GroupName=group)
    iam.put_group_policy(GroupName=group, PolicyName="no", PolicyDocument=policy(deny("s3:GetObject", f"{TEAM}/secret")))
    iam.add_user_to_group(GroupName=group, UserName=user.name)
    iam.attach_user_policy(UserName=user.name, PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")

    def simulate(source: str = user.arn, **more) -> list[dict]:
        return iam.simulate_principal_policy(
            PolicySourceArn=source, ActionNames=["s3:GetObject"], ResourceArns=[f"{TEAM}/open", f"{TEAM}/secret"], **more
        )["EvaluationResults"]  # fmt: skip

    opened, secret = simulate()
    assert (opened["EvalDecision"], secret["EvalDecision"]) == ("allowed", "explicitDeny")
    ids = {one["SourcePolicyId"]: one["SourcePolicyType"] for one in opened["MatchedStatements"]}
    assert ids == {f"user_{user.name}_own": "user", "AmazonS3ReadOnlyAccess": "aws-managed"}
    (statement,) = secret["MatchedStatements"]
    assert (statement["SourcePolicyId"], statement["SourcePolicyType"]) == (f"group_{group}_no", "group")
    assert secret["ResourceSpecificResults"][0]["EvalResourceDecision"] == "explicitDeny"
    of_group = simulate(f"arn:aws:iam::{ACCOUNT}:group/{group}")
    assert [one["EvalDecision"] for one in of_group] == ["implicitDeny", "explicitDeny"]
    more = simulate(PolicyInputList=[policy(deny("*", f"{TEAM}/open"))])
    assert [one["EvalDecision"] for one in more] == ["explicitDeny", "explicitDeny"]
    bounded = simulate(PermissionsBoundaryPolicyInputList=[policy(allow("kms:*"))])
    assert [one["EvalDecision"] for one in bounded] == ["implicitDeny", "explicitDeny"]
    assert bounded[0]["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}


def test_a_simulation_says_what_the_server_does(server, iam, s3, bucket):
    user = new_user(iam, allow("s3:GetObject", f"arn:aws:s3:::{bucket}/${{aws:username}}/*"))
    for key in (f"{user.name}/k", "other/k"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"k")
        answer = iam.simulate_principal_policy(
            PolicySourceArn=user.arn, ActionNames=["s3:GetObject"], ResourceArns=[f"arn:aws:s3:::{bucket}/{key}"]
        )
        mine = client(server, "s3", user.keys)
        if answer["EvaluationResults"][0]["EvalDecision"] == "allowed":
            assert mine.get_object(Bucket=bucket, Key=key)["Body"].read() == b"k"
        else:
            with refused("AccessDenied", 403):
                mine.get_object(Bucket=bucket, Key=key)
    assert key == "other/k" and answer["EvaluationResults"][0]["EvalDecision"] == "implicitDeny"


def test_resource_policies(iam):
    user = new_user(iam)
    statement = {"Effect": "Allow", "Principal": {"AWS": user.arn}, "Action": "s3:GetObject", "Resource": f"{TEAM}/*"}
    asked = {
        "PolicyInputList": [policy(allow("kms:*"))], "ActionNames": ["s3:GetObject"], "ResourceArns": [f"{TEAM}/k"],
        "ResourcePolicy": policy(statement), "CallerArn": user.arn,
    }  # fmt: skip
    (result,) = iam.simulate_custom_policy(**asked)["EvaluationResults"]
    assert result["EvalDecision"] == "allowed" and result["MatchedStatements"][0]["SourcePolicyType"] == "resource"
    (result,) = iam.simulate_custom_policy(ResourceOwner="444455556666", **asked)["EvaluationResults"]
    assert result["EvalDecision"] == "implicitDeny"
    assert result["EvalDecisionDetails"] == {"IAM Policy": "implicitDeny", "Resource Policy": "allowed"}
    asked.pop("CallerArn")
    with refused("InvalidInput", 400):
        iam.simulate_custom_policy(**asked)


def test_roles(iam):
    role = new_role(iam, trust(ACCOUNT), allow("s3:GetObject", f"{TEAM}/${{aws:PrincipalTag/team}}/*"),
                    Tags=[{"Key": "team", "Value": "blue"}])  # fmt: skip
    answer = iam.simulate_principal_policy(
        PolicySourceArn=role, ActionNames=["s3:GetObject", "s3:PutObject"], ResourceArns=[f"{TEAM}/blue/k", f"{TEAM}/red/k"]
    )
    assert decisions(answer) == {
        ("s3:GetObject", f"{TEAM}/blue/k"): "allowed",
        ("s3:GetObject", f"{TEAM}/red/k"): "implicitDeny",
        ("s3:PutObject", f"{TEAM}/blue/k"): "implicitDeny",
        ("s3:PutObject", f"{TEAM}/red/k"): "implicitDeny",
    }


def test_pages(iam):
    asked = {"PolicyInputList": [policy(allow("s3:*"))], "ActionNames": [f"s3:Action{n}" for n in range(25)],
             "ResourceArns": [f"{TEAM}/{n}" for n in range(10)]}  # fmt: skip
    pages = list(iam.get_paginator("simulate_custom_policy").paginate(**asked))
    assert [len(page["EvaluationResults"]) for page in pages] == [100, 100, 50]
    assert len({pair for page in pages for pair in decisions(page)}) == 250
    assert len(iam.simulate_custom_policy(MaxItems=250, **asked)["EvaluationResults"]) == 250
    with refused("ValidationError", 400):
        iam.simulate_custom_policy(Marker="nonsense", **asked)


def test_context_keys(iam):
    texts = [
        policy(allow("s3:*", "arn:aws:s3:::${aws:username}/*", {"StringLike": {"s3:prefix": "a*"}})),
        policy(allow("s3:*", "*", {"Bool": {"aws:SecureTransport": "true"}, "StringEquals": {"S3:Prefix": "b"}})),
    ]
    got = iam.get_context_keys_for_custom_policy(PolicyInputList=texts)["ContextKeyNames"]
    assert sorted(key.lower() for key in got) == ["aws:securetransport", "aws:username", "s3:prefix"]
    user = new_user(iam, allow("s3:*", "*", {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    got = iam.get_context_keys_for_principal_policy(PolicySourceArn=user.arn, PolicyInputList=texts[1:])["ContextKeyNames"]
    assert sorted(key.lower() for key in got) == ["aws:securetransport", "aws:sourceip", "s3:prefix"]


@pytest.mark.parametrize("more, code", [
    ({"PolicyInputList": ["{"]}, "InvalidInput"),
    ({"ActionNames": ["s3:*"]}, "InvalidInput"),
    ({"ActionNames": ["nonsense"]}, "InvalidInput"),
    ({"ResourceArns": ["bucket"]}, "InvalidInput"),
    ({"CallerArn": f"arn:aws:iam::{ACCOUNT}:role/r"}, "InvalidInput"),
    ({"ContextEntries": [{"ContextKeyName": "aws:x", "ContextKeyValues": ["ten"], "ContextKeyType": "numeric"}]}, "InvalidInput"),
    ({"ContextEntries": [{"ContextKeyName": "aws:x", "ContextKeyValues": ["x"], "ContextKeyType": "texts"}]}, "ValidationError"),
    ({"MaxItems": 1001}, "ValidationError"),
    ({"ResourceHandlingOption": "EC2-VPC-InstanceStore"}, "NotImplemented"),
])  # fmt: skip
def test_what_is_given_is_checked(server, more, code):
    iam = client(server, "iam", parameter_validation=False)
    with refused(code):
        iam.simulate_custom_policy(**{"PolicyInputList": [policy(allow("s3:*"))], "ActionNames": ["s3:GetObject"], **more})


def test_who_may_simulate(server, iam):
    user, other = new_user(iam, allow("s3:*")), new_user(iam)
    able = new_user(iam, allow(["iam:Simulate*", "iam:GetContextKeysFor*"], ["*"]))
    asked = {"ActionNames": ["s3:GetObject"]}
    custom = {"PolicyInputList": [policy(allow("s3:*"))]}
    for keys, good in ((user.keys, False), (able.keys, True)):
        mine = client(server, "iam", keys)
        for call in (
            lambda mine=mine: mine.simulate_custom_policy(**asked, **custom),
            lambda mine=mine: mine.simulate_principal_policy(PolicySourceArn=other.arn, **asked),
            lambda mine=mine: mine.get_context_keys_for_custom_policy(**custom),
            lambda mine=mine: mine.get_context_keys_for_principal_policy(PolicySourceArn=other.arn),
        ):
            if good:
                call()
            else:
                with refused("AccessDenied", 403):
                    call()
    with refused("NoSuchEntity", 404):
        iam.simulate_principal_policy(PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/{unique('missing')}", **asked)
    with refused("AccessDenied", 403):
        iam.simulate_principal_policy(PolicySourceArn="arn:aws:iam::999999999999:user/x", **asked)
    with refused("InvalidInput", 400):
        iam.simulate_principal_policy(PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:policy/some-policy", **asked)


def test_aws_cli(tools, iam):
    user = new_user(iam, allow("s3:GetObject"))
    got = tools.aws("iam", "simulate-principal-policy", "--policy-source-arn", user.arn, "--action-names", "s3:GetObject")
    assert json.loads(got.stdout)["EvaluationResults"][0]["EvalDecision"] == "allowed"
