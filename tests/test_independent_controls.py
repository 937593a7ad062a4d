"""Three independent locks - identity, bucket and key policy - around the same object, with the aws CLI and boto3.

The system is that of examples/independent-controls; what was changed in the documents it is modelled on: a blank before the ARNs of the key policy's
resources, account numbers of eleven digits, key ARNs without a region, and a key id with a digit too many were misprints; the instance role also trusts
the account, as there are no instances here to take it.
"""

import json
import subprocess
import time
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from harness.clients import Tools, refused
from harness.server import Server, binary
from harness.sums import noise

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(300)]

EXAMPLE = Path(__file__).parents[1] / "examples" / "independent-controls"
BUCKET = "secure-demo-bucket"
ROLES = ("secure-bucket-admin", "secure-key-admin", "authorized-users")


class World:
    """A server on which the example has run, and clients for whoever is to act."""

    def __init__(self, server, home):
        self.server = server
        self.tools = Tools(server, home)
        self.account = self.client("sts").get_caller_identity()["Account"]

    def client(self, service, credentials=None, **config):
        keys = credentials or {"AccessKeyId": self.server.access_key, "SecretAccessKey": self.server.secret_key}
        return boto3.session.Session().client(
            service,
            endpoint_url=self.server.endpoint,
            region_name=self.server.region,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys.get("SessionToken"),
            config=Config(signature_version="s3v4" if service == "s3" else None, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, **config),
        )

    def user(self, name, policy):
        """Credentials of a new user with one inline policy."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        return iam.create_access_key(UserName=name)["AccessKey"]

    def role(self, name, policy=None):
        """Credentials of a role: one that is there, or with a policy a new one that the account may assume."""
        if policy is not None:
            iam = self.client("iam")
            trust = allow("sts:AssumeRole", principal={"AWS": f"arn:aws:iam::{self.account}:root"}, resource=None)
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        arn = f"arn:aws:iam::{self.account}:role/{name}"
        return self.client("sts", self.operator).assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]


def allow(*actions, resource="*", principal=None):
    statement = {"Effect": "Allow", "Action": list(actions)}
    if resource is not None:
        statement["Resource"] = resource
    if principal is not None:
        statement["Principal"] = principal
    return {"Version": "2012-10-17", "Statement": [statement]}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    server = Server().start()
    home = tmp_path_factory.mktemp("controls")
    world = World(server, home / "home")
    done = world.tools.run("bash", EXAMPLE / "run.sh", BUCKET, cwd=home, check=False)
    assert done.returncode == 0 and done.stdout.decode().endswith("all of it holds\n"), (done.stdout + done.stderr).decode()
    world.operator = world.user("tester", allow("sts:AssumeRole", resource=f"arn:aws:iam::{world.account}:role/*"))
    world.key = world.client("kms").describe_key(KeyId=f"alias/{BUCKET}")["KeyMetadata"]["Arn"]
    world.sse = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": world.key}
    yield world
    server.close()


def key_policy(world, *users, administrators=("secure-key-admin",)):
    arn = f"arn:aws:iam::{world.account}"
    statements = [
        {"Effect": "Allow", "Principal": {"AWS": f"{arn}:root"}, "Action": "kms:*", "Resource": "*"},
        {"Effect": "Allow", "Principal": {"AWS": [f"{arn}:role/{a}" for a in administrators]}, "Action": "kms:Put*", "Resource": "*"},
    ]
    for user, actions in users:
        statements.append({"Effect": "Allow", "Principal": {"AWS": user}, "Action": actions, "Resource": "*"})
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


USE = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]


def set_users(world, *users):
    """Who may use the key, said by the role that manages it."""
    kms = world.client("kms", world.role("secure-key-admin"))
    kms.put_key_policy(KeyId=world.key, PolicyName="default", Policy=key_policy(world, *users))


@pytest.fixture
def with_users(world):
    role = f"arn:aws:iam::{world.account}:role/authorized-users"
    set_users(world, (role, USE))
    yield role
    set_users(world, (role, USE))


# Who is let in, and how each is refused


def test_every_way_to_bytes_is_closed_when_the_role_leaves_the_key(world, with_users):
    s3 = world.client("s3", world.role("authorized-users"))
    data = noise(200_000, 1)
    s3.put_object(Bucket=BUCKET, Key="ways/whole", Body=data, **world.sse)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="ways/parts", **world.sse)["UploadId"]
    part = s3.upload_part(Bucket=BUCKET, Key="ways/parts", UploadId=upload, PartNumber=1, Body=data)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "ways/whole"})
    assert world.tools.curl("--fail", url).stdout == data
    set_users(world)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    copy = {"Bucket": BUCKET, "CopySource": {"Bucket": BUCKET, "Key": "ways/whole"}}
    for action, call in [
        ("kms:Decrypt", lambda: s3.get_object(Bucket=BUCKET, Key="ways/whole")),
        ("kms:Decrypt", lambda: s3.get_object(Bucket=BUCKET, Key="ways/whole", Range="bytes=0-0")),
        ("kms:GenerateDataKey", lambda: s3.put_object(Bucket=BUCKET, Key="ways/put", Body=b"x", **world.sse)),
        ("kms:Decrypt", lambda: s3.copy_object(Key="ways/copy", **copy, **world.sse)),
        ("kms:GenerateDataKey", lambda: s3.create_multipart_upload(Bucket=BUCKET, Key="ways/more", **world.sse)),
        ("kms:Decrypt", lambda: s3.upload_part(Bucket=BUCKET, Key="ways/parts", UploadId=upload, PartNumber=2, Body=data)),
        ("kms:Decrypt", lambda: s3.complete_multipart_upload(Bucket=BUCKET, Key="ways/parts", UploadId=upload, MultipartUpload=parts)),
    ]:
        with refused("AccessDenied", 403) as seen:
            call()
        assert f"/authorized-users/test is not authorized to perform: {action} on resource: {world.key} " in seen["Error"]["Message"], seen
    assert b"AccessDenied" in world.tools.curl(url).stdout
    set_users(world, (with_users, USE))
    assert s3.get_object(Bucket=BUCKET, Key="ways/whole")["Body"].read() == data
    s3.complete_multipart_upload(Bucket=BUCKET, Key="ways/parts", UploadId=upload, MultipartUpload=parts)
    assert s3.get_object(Bucket=BUCKET, Key="ways/parts")["Body"].read() == data


def test_uploads_that_the_bucket_policy_refuses(world, with_users):
    s3 = world.client("s3", world.role("authorized-users"))
    other = world.client("kms").create_key(Policy=key_policy(world, (with_users, USE)))["KeyMetadata"]["Arn"]
    for what, headers in {
        "nothing": {},
        "AES256": {"ServerSideEncryption": "AES256"},
        "no key": {"ServerSideEncryption": "aws:kms"},
        "another key": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": other},
        "the key by its id": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": world.key.split("/")[-1]},
    }.items():
        with refused("AccessDenied", 403) as seen:
            s3.put_object(Bucket=BUCKET, Key="refused", Body=b"x", **headers)
        assert "explicit deny in a resource-based policy" in seen["Error"]["Message"], what
    # The root user of the account is bound by the bucket's deny too.
    with refused("AccessDenied", 403):
        world.client("s3").put_object(Bucket=BUCKET, Key="refused", Body=b"x")


def test_only_all_three_locks_together_let_in(world, with_users):
    """Each of the three in turn does not allow: the identity, the bucket, the key."""
    get = "s3:GetObject"
    everything = allow("s3:*", "kms:*")
    world.client("s3", world.role("authorized-users")).put_object(Bucket=BUCKET, Key="locks", Body=b"x", **world.sse)
    only_identity = world.user("no-key", allow("s3:*"))
    for who, expected in [(only_identity, "kms:Decrypt"), (world.user("no-identity", allow("kms:*")), get)]:
        with refused("AccessDenied", 403) as seen:
            world.client("s3", who).get_object(Bucket=BUCKET, Key="locks")
        assert f"perform: {expected}" in seen["Error"]["Message"]
    # The key policy's statement for the account lets its identity policies count.
    everyone = world.user("everything", everything)
    assert world.client("s3", everyone).get_object(Bucket=BUCKET, Key="locks")["Body"].read() == b"x"
    policy = json.loads(world.client("s3").get_bucket_policy(Bucket=BUCKET)["Policy"])
    admin = world.client("s3", world.role("secure-bucket-admin"))
    closed = {"Effect": "Deny", "Principal": "*", "Action": get, "Resource": f"arn:aws:s3:::{BUCKET}/locks"}
    admin.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({**policy, "Statement": [*policy["Statement"], closed]}))
    with refused("AccessDenied", 403):
        world.client("s3", everyone).get_object(Bucket=BUCKET, Key="locks")
    admin.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    # Without that statement they do not, and neither do the account's own root user's rights.
    arn = f"arn:aws:iam::{world.account}"
    alone = [
        {"Effect": "Allow", "Principal": {"AWS": f"{arn}:role/secure-key-admin"}, "Action": "kms:*", "Resource": "*"},
        {"Effect": "Allow", "Principal": {"AWS": with_users}, "Action": USE, "Resource": "*"},
    ]
    kms = world.client("kms", world.role("secure-key-admin"))
    kms.put_key_policy(KeyId=world.key, PolicyName="default", Policy=json.dumps({"Version": "2012-10-17", "Statement": alone}))
    for who in (everyone, None):
        with refused("AccessDenied", 403):
            world.client("s3", who).get_object(Bucket=BUCKET, Key="locks")
    assert world.client("s3", world.role("authorized-users")).get_object(Bucket=BUCKET, Key="locks")["Body"].read() == b"x"


# Variations


def test_a_key_of_another_account(world, tmp_path):
    made = subprocess.run(
        [binary(), "account", "create", "--name", "keys", "--data-dir", str(world.server.data_dir), "--json"],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    other = json.loads(made.stdout)
    owner = {"AccessKeyId": other["access_key_id"], "SecretAccessKey": other["secret_access_key"]}
    kms = world.client("kms", owner)
    arn = f"arn:aws:iam::{other['account_id']}:root"
    def policy(*more):
        mine = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "kms:*", "Resource": "*"}
        return json.dumps({"Version": "2012-10-17", "Statement": [mine, *more]})
    key = kms.create_key(Policy=policy())["KeyMetadata"]["Arn"]
    world.client("s3").create_bucket(Bucket="across")
    sse = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    put = {"Bucket": "across", "Key": "k", "Body": b"across", **sse}
    may = [*USE]
    writer = world.client("s3", world.role("across-writer", allow("s3:*", *may)))
    without = world.client("s3", world.role("across-without", allow("s3:*")))
    # Nothing crosses unless both sides allow it: here the key's side does not,
    with refused("AccessDenied", 403):
        writer.put_object(**put)
    theirs = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{world.account}:root"}, "Action": may, "Resource": "*"}
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy(theirs))
    writer.put_object(**put)
    assert writer.get_object(Bucket="across", Key="k")["Body"].read() == b"across"
    # here the identity's does not,
    with refused("AccessDenied", 403):
        without.get_object(Bucket="across", Key="k")
    # and nobody of the bucket's account, its root user included, changes the key's policy, nor sees why not.
    for who in (None, world.role("across-admin", allow("*"))):
        with refused("AccessDeniedException"):
            world.client("kms", who).put_key_policy(KeyId=key, PolicyName="default", Policy=policy(theirs))
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy())
    with refused("AccessDenied", 403):
        writer.get_object(Bucket="across", Key="k")


def test_some_may_only_write_and_some_only_read(world):
    root = world.client("s3")
    root.create_bucket(Bucket="apart")
    in_bucket = allow("s3:PutObject", "s3:GetObject", resource="arn:aws:s3:::apart/*")
    writer, reader = world.role("collector", in_bucket), world.role("auditor", in_bucket)
    arn = f"arn:aws:iam::{world.account}:role/"
    policy = key_policy(world, (arn + "collector", ["kms:GenerateDataKey", "kms:Encrypt"]), (arn + "auditor", "kms:Decrypt"))
    key = world.client("kms").create_key(Policy=policy)["KeyMetadata"]["Arn"]
    put = {"Bucket": "apart", "Key": "log", "Body": b"line", "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    for bucket_key in (False, True):
        world.client("s3", writer).put_object(**put, BucketKeyEnabled=bucket_key)
        with refused("AccessDenied", 403):
            world.client("s3", writer).get_object(Bucket="apart", Key="log")
        with refused("AccessDenied", 403):
            world.client("s3", reader).put_object(**put, BucketKeyEnabled=bucket_key)
        assert world.client("s3", reader).get_object(Bucket="apart", Key="log")["Body"].read() == b"line"


def test_default_encryption_instead_of_a_bucket_policy(world, with_users):
    root = world.client("s3")
    root.create_bucket(Bucket="by-default")
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": world.key}}
    root.put_bucket_encryption(Bucket="by-default", ServerSideEncryptionConfiguration={"Rules": [rule]})
    world.client("iam").put_role_policy(
        RoleName="authorized-users", PolicyName="more",
        PolicyDocument=json.dumps(allow("s3:PutObject", "s3:GetObject", resource="arn:aws:s3:::by-default/*")),
    )  # fmt: skip
    s3 = world.client("s3", world.role("authorized-users"))
    # Without a word about encryption it is stored under the key; another encryption may be asked for.
    got = s3.put_object(Bucket="by-default", Key="k", Body=b"x")
    assert (got["ServerSideEncryption"], got["SSEKMSKeyId"]) == ("aws:kms", world.key)
    assert s3.put_object(Bucket="by-default", Key="other", Body=b"x", ServerSideEncryption="AES256")["ServerSideEncryption"] == "AES256"
    set_users(world)
    for call in (lambda: s3.get_object(Bucket="by-default", Key="k"), lambda: s3.put_object(Bucket="by-default", Key="k2", Body=b"x")):
        with refused("AccessDenied", 403):
            call()
    assert s3.get_object(Bucket="by-default", Key="other")["Body"].read() == b"x"


# Why, and who


def test_a_denial_is_explained_with_bucket_identity_and_key(world, with_users):
    s3 = world.client("s3", world.role("authorized-users"))
    s3.put_object(Bucket=BUCKET, Key="why", Body=b"x", **world.sse)
    set_users(world)
    with refused("AccessDenied", 403) as seen:
        s3.get_object(Bucket=BUCKET, Key="why")
    request = seen["ResponseMetadata"]["RequestId"]
    deadline = time.monotonic() + 20
    while True:
        done = subprocess.run(
            [binary(), "explain", request, "--data-dir", str(world.server.data_dir)], capture_output=True, timeout=60
        )
        if done.returncode == 0 or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    text = done.stdout.decode()
    for named in ("s3:GetObject", "kms:Decrypt", world.key, f"arn:aws:s3:::{BUCKET}/why", "authorized-users"):
        assert named in text, (named, text, done.stderr)


def test_uses_of_the_key_are_on_record_with_caller_and_object(world, with_users):
    s3 = world.client("s3", world.role("authorized-users"))
    s3.put_object(Bucket=BUCKET, Key="audited", Body=b"x", **world.sse)
    s3.get_object(Bucket=BUCKET, Key="audited")["Body"].read()
    set_users(world)
    with refused("AccessDenied", 403):
        s3.get_object(Bucket=BUCKET, Key="audited")
    trail = world.client("cloudtrail")
    wanted = {("GenerateDataKey", None), ("Decrypt", None), ("Decrypt", "AccessDeniedException")}
    deadline = time.monotonic() + 30
    while True:
        pages = trail.get_paginator("lookup_events").paginate(LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": world.key}])
        events = [json.loads(event["CloudTrailEvent"]) for page in pages for event in page["Events"]]
        ours = [e for e in events if f"{BUCKET}/audited" in json.dumps(e)]
        seen = {(e["eventName"], e.get("errorCode")) for e in ours}
        if wanted <= seen or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert wanted <= seen, seen
    assert all("authorized-users" in json.dumps(e["userIdentity"]) for e in ours)


def test_a_bucket_key_is_recorded_once_for_a_caller_and_every_denial_of_it(world, with_users):
    s3 = world.client("s3", world.role("authorized-users"))
    s3.put_object(Bucket=BUCKET, Key="often", Body=b"x", BucketKeyEnabled=True, **world.sse)
    for _ in range(10):
        s3.get_object(Bucket=BUCKET, Key="often")["Body"].read()
    set_users(world)
    for _ in range(3):
        with refused("AccessDenied", 403):
            s3.get_object(Bucket=BUCKET, Key="often")
    trail = world.client("cloudtrail")
    attributes = [{"AttributeKey": "EventName", "AttributeValue": "Decrypt"}]
    context = f'"arn:aws:s3:::{BUCKET}"'
    deadline = time.monotonic() + 30
    while True:
        pages = trail.get_paginator("lookup_events").paginate(LookupAttributes=attributes)
        texts = [event["CloudTrailEvent"] for page in pages for event in page["Events"] if context in event["CloudTrailEvent"]]
        denied = sum("AccessDeniedException" in text for text in texts)
        if denied >= 3 or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    # The data key is opened once, and looked at once more while it is at hand.
    assert denied == 3 and 1 <= len(texts) - denied <= 2, (denied, len(texts))
