"""GetCallerIdentity: who am I?"""

import boto3
import pytest
from botocore.config import Config
from harness.clients import refused
from harness.raw import Raw
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # knows the account of the server it started


def sts(server, **keys):
    return boto3.session.Session().client(
        "sts", endpoint_url=server.endpoint, region_name=server.region, config=Config(retries={"total_max_attempts": 1}),
        aws_access_key_id=keys.get("access_key", server.access_key),
        aws_secret_access_key=keys.get("secret_key", server.secret_key),
    )  # fmt: skip


def test_root(server):
    got = sts(server).get_caller_identity()
    assert (got["Account"], got["Arn"], got["UserId"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
    assert got["ResponseMetadata"]["RequestId"]


def test_aws_cli(tools):
    got = tools.aws("sts", "get-caller-identity", "--query", "Arn", "--output", "text").stdout.decode().strip()
    assert got == f"arn:aws:iam::{ACCOUNT}:root"


def test_refusals(server):
    with refused("InvalidClientTokenId", 403):
        sts(server, access_key="AKIAIOSFODNN7EXAMPLE").get_caller_identity()
    with refused("SignatureDoesNotMatch", 403):
        sts(server, secret_key="x" * 40).get_caller_identity()


@pytest.mark.parametrize("body, codes", [
    (b"Action=NoSuchAction&Version=2011-06-15", ("InvalidAction",)),
    (b"Version=2011-06-15", ("MissingAction", "InvalidAction")),
    (b"Action=GetCallerIdentity&Version=1999-01-01", ("InvalidAction", "NoSuchVersion", "InvalidParameterValue")),
    (b"Action=GetSessionToken&Version=2011-06-15", ("NotImplemented", "InvalidAction")),
    (b"Action=%FF", ("InvalidAction", "MalformedInput", "MalformedQueryString", "InvalidParameterValue",
                        "ValidationError")),
    (b"", ("MissingAction", "InvalidAction", "MissingAuthenticationToken")),
])  # fmt: skip
def test_bad_actions(server, body, codes):
    raw = Raw(server.endpoint, server.access_key, server.secret_key, server.region, service="sts")
    got = raw.request("POST", "/", headers={"content-type": "application/x-www-form-urlencoded"}, body=body)
    assert 400 <= got.status < 600 and got.code in codes, got


def test_huge_form(server):
    raw = Raw(server.endpoint, server.access_key, server.secret_key, server.region, service="sts")
    body = b"Action=GetCallerIdentity&Version=2011-06-15&x=" + b"a" * (20 << 20)
    got = raw.request("POST", "/", headers={"content-type": "application/x-www-form-urlencoded"}, body=body)
    assert got.status in (400, 413), got
