"""Blocking public access, for a bucket and for the whole account; ownership controls."""

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from harness.clients import refused, s3_client
from test_bucket_policy import denied, policy, statement

ALL_ON = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}
ALL_OFF = dict.fromkeys(ALL_ON, False)


@pytest.fixture(scope="module")
def own_server():
    """The account's block is for all of its buckets: a server that no other test uses."""
    from harness.server import Server

    server = Server().start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def own(own_server):
    return s3_client(own_server)


@pytest.fixture(scope="module")
def account(own):
    own.create_bucket(Bucket="of-the-account")
    return bytes.fromhex(own.get_bucket_acl(Bucket="of-the-account")["Owner"]["ID"]).decode()[-12:]


@pytest.fixture
def control(own_server, account):
    # Its client puts the account before the host's name.
    endpoint = own_server.endpoint.replace("127.0.0.1", "localhost")
    client = boto3.client("s3control", endpoint_url=endpoint, region_name=own_server.region, config=Config(retries={"total_max_attempts": 1}),
                          aws_access_key_id=own_server.access_key, aws_secret_access_key=own_server.secret_key)  # fmt: skip
    yield client
    client.delete_public_access_block(AccountId=account)


def test_new_buckets_are_closed(s3, bucket):
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == ALL_ON
    controls = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
    assert controls["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def test_of_a_bucket(s3, bucket):
    for name in ALL_ON:
        one = {**ALL_OFF, name: True}
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={name: True})
        assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == one
    s3.delete_public_access_block(Bucket=bucket)
    s3.delete_public_access_block(Bucket=bucket)
    with refused("NoSuchPublicAccessBlockConfiguration", 404):
        s3.get_public_access_block(Bucket=bucket)


def test_of_the_account(control, account):
    with refused("NoSuchPublicAccessBlockConfiguration", 404):
        control.get_public_access_block(AccountId=account)
    for block in ({**ALL_OFF, "BlockPublicAcls": True}, ALL_ON):
        control.put_public_access_block(AccountId=account, PublicAccessBlockConfiguration=block)
        assert control.get_public_access_block(AccountId=account)["PublicAccessBlockConfiguration"] == block
    with refused("AccessDenied", 403):
        control.get_public_access_block(AccountId="999999999999")
    with refused("AccessDenied", 403):
        control.put_public_access_block(AccountId="999999999999", PublicAccessBlockConfiguration=ALL_OFF)


def test_the_account_adds_to_its_buckets(own_server, own, control, account):
    bucket = "added-to"
    own.create_bucket(Bucket=bucket)
    own.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=ALL_OFF)
    own.put_object(Bucket=bucket, Key="k", Body=b"x")
    nobody = s3_client(own_server, signature_version=UNSIGNED)
    public = policy(bucket, statement())
    own.put_bucket_policy(Bucket=bucket, Policy=public)
    assert nobody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    control.put_public_access_block(AccountId=account, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True})
    denied(nobody.get_object, Bucket=bucket, Key="k")
    own.put_bucket_policy(Bucket=bucket, Policy=public)
    control.put_public_access_block(AccountId=account, PublicAccessBlockConfiguration={"BlockPublicPolicy": True})
    denied(own.put_bucket_policy, Bucket=bucket, Policy=public)
    assert nobody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert own.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == ALL_OFF
    # What was set before a kill holds after it.
    own_server.restart_after_kill()
    denied(own.put_bucket_policy, Bucket=bucket, Policy=public)
    control.delete_public_access_block(AccountId=account)
    own.put_bucket_policy(Bucket=bucket, Policy=public)


def test_ownership_controls(s3, bucket):
    for ownership in ("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced"):
        rules = [{"ObjectOwnership": ownership}]
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": rules})
        assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"] == rules
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    with refused("OwnershipControlsNotFoundError", 404):
        s3.get_bucket_ownership_controls(Bucket=bucket)
    with refused("MalformedXML", 400):
        rules = [{"ObjectOwnership": "ObjectWriter"}] * 2
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": rules})


def test_ownership_of_a_new_bucket(s3, bucket_name):
    s3.create_bucket(Bucket=bucket_name, ObjectOwnership="ObjectWriter", ACL="private")
    controls = s3.get_bucket_ownership_controls(Bucket=bucket_name)["OwnershipControls"]
    assert controls["Rules"] == [{"ObjectOwnership": "ObjectWriter"}]


def test_acls_of_a_new_bucket(s3, bucket_name):
    with refused("InvalidBucketAclWithObjectOwnership", 400):
        s3.create_bucket(Bucket=bucket_name, ACL="public-read")
    with refused("InvalidBucketAclWithBlockPublicAccessError", 400):
        s3.create_bucket(Bucket=bucket_name, ACL="public-read", ObjectOwnership="ObjectWriter")
    with refused("404", 404):
        s3.head_bucket(Bucket=bucket_name)


def test_by_the_aws_cli(tools, bucket):
    tools.aws("s3api", "put-public-access-block", "--bucket", bucket, "--public-access-block-configuration",
              "BlockPublicAcls=true,IgnorePublicAcls=false,BlockPublicPolicy=true,RestrictPublicBuckets=false")  # fmt: skip
    shown = tools.aws("s3api", "get-public-access-block", "--bucket", bucket, "--query", "PublicAccessBlockConfiguration", "--output", "text")
    assert shown.stdout.decode().split() == ["True", "True", "False", "False"]
