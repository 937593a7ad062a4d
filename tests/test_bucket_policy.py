"""Bucket policies: what they let in and keep out, how they are refused, and what reading them shows."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError
from harness.clients import refused, s3_client
from harness.identity import allow, client, new_account, new_user


@pytest.fixture(scope="module")
def nobody(server):
    return s3_client(server, signature_version=UNSIGNED)


def policy(bucket, *statements):
    """A policy; `BUCKET` in its resources is the bucket's name."""
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return json.dumps(document).replace("BUCKET", bucket)


def statement(effect="Allow", principal="*", action="s3:GetObject", resource="arn:aws:s3:::BUCKET/*", **more):
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": resource, **more}


@pytest.fixture
def open_bucket(s3, bucket):
    s3.delete_public_access_block(Bucket=bucket)
    return bucket


def denied(call, **arguments):
    with refused("AccessDenied", 403):
        call(**arguments)


def test_is_kept_as_it_was_put(s3, bucket):
    text = policy(bucket, statement(principal={"Service": "logging.s3.amazonaws.com"}, Sid="of a log")).replace("{", "{\n  ")
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == text
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is False
    s3.delete_bucket_policy(Bucket=bucket)
    s3.delete_bucket_policy(Bucket=bucket)
    with refused("NoSuchBucketPolicy", 404):
        s3.get_bucket_policy(Bucket=bucket)
    with refused("NoSuchBucketPolicy", 404):
        s3.get_bucket_policy_status(Bucket=bucket)


@pytest.mark.parametrize("text, says", [
    ("nonsense", "valid JSON"),
    ("[]", "first byte must be"),
    ('{"Version":"2012-10-17"}', "Missing required field Statement"),
    ('{"Version":"2012-10-17","Statement":[]}', "Statement is empty"),
    ('{"Version":"2013-10-17","Statement":[]}', "valid version string"),
    ('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::BUCKET/*"}}', "Principal"),
    ('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"GetObject","Resource":"arn:aws:s3:::BUCKET/*"}}',
     "Policy has invalid action"),
    ('{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObjekt","Resource":"arn:aws:s3:::BUCKET/*"}}',
     "Policy has invalid action"),
    ('{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:ListAllMyBuckets","Resource":"arn:aws:s3:::BUCKET"}}',
     "Policy has invalid action"),
    ('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:ListBucket"],'
     '"Resource":"arn:aws:s3:::BUCKET/*"}}', "Action does not apply to any resource(s) in statement"),
    ('{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET"}}',
     "Action does not apply to any resource(s) in statement"),
    ('{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::BUCKET/*",'
     '"Condition":{"StringNotEquals":{"s3:x-amz-server-side-encription":"aws:kms"}}}}', "Policy has an invalid condition key"),
    ('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::other/*"}}',
     "Policy has invalid resource"),
    ('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"bob"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/*"}}',
     "Invalid principal in policy"),
    ('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::ACCOUNT:user/none"},"Action":"s3:GetObject",'
     '"Resource":"arn:aws:s3:::BUCKET/*"}}', "Invalid principal in policy"),
    ('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"999999999999"},"Action":"s3:GetObject",'
     '"Resource":"arn:aws:s3:::BUCKET/*"}}', "Invalid principal in policy"),
])  # fmt: skip
def test_malformed(s3, raw, bucket, text, says):
    account = s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    account = bytes.fromhex(account).decode()[-12:]
    body = text.replace("BUCKET", bucket).replace("ACCOUNT", account).encode()
    got = raw.request("PUT", f"/{bucket}", "policy=", body=body)
    assert (got.status, got.code) == (400, "MalformedPolicy"), got
    assert says in got.xml.findtext("Message"), got
    with refused("NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket=bucket)


def test_of_more_than_20_kib(s3, bucket):
    with refused("PolicyTooLarge", 400):
        s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, statement("Deny", Sid="a" * 21_000)))


def test_public_policies_are_blocked_unless_they_are_let(s3, nobody, bucket):
    public = policy(bucket, statement())
    with refused("AccessDenied", 403) as error:
        s3.put_bucket_policy(Bucket=bucket, Policy=public)
    assert "BlockPublicPolicy" in error["Error"]["Message"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=public)
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True
    assert nobody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    denied(nobody.put_object, Bucket=bucket, Key="k", Body=b"y")
    denied(nobody.list_objects_v2, Bucket=bucket)
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True})
    denied(nobody.get_object, Bucket=bucket, Key="k")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_who_may_not_list_does_not_learn_what_is_missing(s3, nobody, open_bucket):
    bucket = open_bucket
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, statement()))
    denied(nobody.get_object, Bucket=bucket, Key="missing")
    with pytest.raises(ClientError) as error:
        nobody.head_object(Bucket=bucket, Key="missing")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    both = statement(action=["s3:GetObject", "s3:ListBucket"], resource=["arn:aws:s3:::BUCKET", "arn:aws:s3:::BUCKET/*"])
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, both))
    with refused("NoSuchKey", 404):
        nobody.get_object(Bucket=bucket, Key="missing")
    with refused("404", 404):
        nobody.head_object(Bucket=bucket, Key="missing")


def test_who_belongs_to_the_owner_is_told_that_listing_is_what_it_lacks(server, s3, bucket):
    user = new_user(client(server, "iam"), allow(["s3:GetObject", "s3:PutObject"]))
    mine = client(server, "s3", user.keys)
    source = {"Bucket": bucket, "Key": "missing"}
    says = f'User: {user.arn} is not authorized to perform: s3:ListBucket on resource: "arn:aws:s3:::{bucket}" because no identity-based policy '
    for call in (lambda: mine.get_object(**source), lambda: mine.copy_object(Bucket=bucket, Key="copy", CopySource=source)):
        with refused("AccessDenied", 403) as error:
            call()
        assert error["Error"]["Message"] == says + "allows the s3:ListBucket action"
    # Another account learns no more than that it may not.
    other, root = new_account(server)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, statement(principal={"AWS": other})))
    with refused("AccessDenied", 403) as error:
        client(server, "s3", root).get_object(**source)
    assert error["Error"]["Message"] == "Access Denied"


def test_a_deny_binds_the_owner_but_for_the_policy_itself(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    everything = ["arn:aws:s3:::BUCKET", "arn:aws:s3:::BUCKET/*"]
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, statement("Deny", action="s3:*", resource=everything)))
    denied(s3.get_object, Bucket=bucket, Key="k")
    denied(s3.list_objects_v2, Bucket=bucket)
    denied(s3.get_bucket_versioning, Bucket=bucket)
    s3.get_bucket_policy(Bucket=bucket)
    s3.delete_bucket_policy(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


# (condition of a deny on s3:PutObject, arguments that it denies, arguments that it does not)
PUTS = [
    ({"StringNotEquals": {"s3:x-amz-storage-class": "STANDARD_IA"}}, {}, {"StorageClass": "STANDARD_IA"}),
    ({"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}}, {}, {"ServerSideEncryption": "AES256"}),
    ({"StringEquals": {"s3:x-amz-storage-class": "STANDARD_IA"}}, {"StorageClass": "STANDARD_IA"}, {}),
    ({"Null": {"s3:x-amz-storage-class": "true"}}, {}, {"StorageClass": "STANDARD_IA"}),
    ({"StringEquals": {"s3:RequestObjectTag/secret": "yes"}}, {"Tagging": "secret=yes"}, {"Tagging": "secret=no"}),
    ({"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": ["secret"]}}, {"Tagging": "secret=no"}, {"Tagging": "a=b"}),
    ({"StringEquals": {"s3:x-amz-acl": "private"}}, {"ACL": "private"}, {"ACL": "bucket-owner-full-control"}),
    ({"Null": {"s3:if-none-match": "true"}}, {}, {"IfNoneMatch": "*"}),
]  # fmt: skip


@pytest.mark.parametrize("condition, wrong, right", PUTS, ids=[next(iter(next(iter(c.values())))) for c, *_ in PUTS])
def test_conditions_on_puts(s3, bucket, condition, wrong, right):
    deny = statement("Deny", action="s3:PutObject", Condition=condition)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, deny))
    denied(s3.put_object, Bucket=bucket, Key="k", Body=b"x", **wrong)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **right)


def test_conditions_on_listings(s3, nobody, open_bucket):
    bucket = open_bucket
    for key in ("a/1", "b/1"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    let = statement(action="s3:ListBucket", resource="arn:aws:s3:::BUCKET",
                    Condition={"StringEquals": {"s3:prefix": "a/", "s3:delimiter": "/"}, "NumericLessThanEquals": {"s3:max-keys": "5"}})  # fmt: skip
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, let))
    page = nobody.list_objects_v2(Bucket=bucket, Prefix="a/", Delimiter="/", MaxKeys=5)
    assert [entry["Key"] for entry in page["Contents"]] == ["a/1"]
    for wrong in ({"Prefix": "b/", "Delimiter": "/", "MaxKeys": 5}, {"Prefix": "a/", "MaxKeys": 5},
                  {"Prefix": "a/", "Delimiter": "/", "MaxKeys": 6}, {"Prefix": "a/", "Delimiter": "/"}):  # fmt: skip
        denied(nobody.list_objects_v2, Bucket=bucket, **wrong)


def test_conditions_on_tags_of_the_object(s3, nobody, open_bucket):
    bucket = open_bucket
    let = statement(Condition={"StringEquals": {"s3:ExistingObjectTag/open": "yes"}})
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, let))
    s3.put_object(Bucket=bucket, Key="open", Body=b"x", Tagging="open=yes")
    s3.put_object(Bucket=bucket, Key="shut", Body=b"x", Tagging="open=no")
    assert nobody.get_object(Bucket=bucket, Key="open")["Body"].read() == b"x"
    denied(nobody.get_object, Bucket=bucket, Key="shut")
    s3.put_object_tagging(Bucket=bucket, Key="open", Tagging={"TagSet": []})
    denied(nobody.get_object, Bucket=bucket, Key="open")


def test_conditions_on_copies(s3, bucket):
    for key in ("open/k", "shut/k"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    deny = statement("Deny", action="s3:PutObject", resource="arn:aws:s3:::BUCKET/copy/*",
                     Condition={"StringNotLike": {"s3:x-amz-copy-source": f"{bucket}/open/*"}})  # fmt: skip
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, deny))
    s3.copy_object(Bucket=bucket, Key="copy/1", CopySource=f"{bucket}/open/k")
    s3.copy_object(Bucket=bucket, Key="copy/2", CopySource={"Bucket": bucket, "Key": "open/k"})
    denied(s3.copy_object, Bucket=bucket, Key="copy/3", CopySource=f"/{bucket}/shut/k")
    denied(s3.put_object, Bucket=bucket, Key="copy/4", Body=b"x")


def test_conditions_on_signatures(s3, raw, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    deny = statement("Deny", Condition={"StringNotEquals": {"s3:authType": "REST-HEADER"}})
    age = statement("Deny", Condition={"NumericGreaterThan": {"s3:signatureAge": "600000"}})
    version = statement("Deny", Condition={"StringNotEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}})
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, deny, age, version))
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    path, query = url.split("/", 3)[3].split("?", 1)
    got = raw.exchange(f"GET /{path}?{query} HTTP/1.1\r\nHost: {raw.host}\r\nConnection: close\r\n\r\n".encode())
    assert (got.status, got.code) == (403, "AccessDenied"), got


def test_parts_are_decided_with_what_their_upload_said(s3, bucket):
    wanted = {"s3:x-amz-storage-class": "STANDARD_IA", "s3:x-amz-server-side-encryption": "AES256"}
    deny = [statement("Deny", action="s3:PutObject", Condition={"StringNotEquals": {key: value}}) for key, value in wanted.items()]
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, *deny))
    denied(s3.create_multipart_upload, Bucket=bucket, Key="k", StorageClass="STANDARD_IA")
    said = {"StorageClass": "STANDARD_IA", "ServerSideEncryption": "AES256"}
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", **said)["UploadId"]
    named = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    part = s3.upload_part(**named, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(**named, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert s3.get_object(Bucket=bucket, Key="k")["StorageClass"] == "STANDARD_IA"


def test_batches_are_decided_key_by_key(s3, bucket):
    for key in ("open", "shut"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    deny = statement("Deny", action="s3:DeleteObject", resource="arn:aws:s3:::BUCKET/shut")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, deny))
    objects = [{"Key": "open"}, {"Key": "shut"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert [entry["Key"] for entry in answer["Deleted"]] == ["open"]
    assert [(entry["Key"], entry["Code"]) for entry in answer["Errors"]] == [("shut", "AccessDenied")]


def test_nobody_writes_where_it_is_let(s3, nobody, open_bucket):
    bucket = open_bucket
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, statement(action=["s3:PutObject", "s3:GetObject"])))
    nobody.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert nobody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    owner = s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    assert s3.get_object_acl(Bucket=bucket, Key="k")["Owner"]["ID"] == owner
    for call in (nobody.get_bucket_policy, nobody.delete_bucket_policy, nobody.get_bucket_acl, nobody.delete_bucket):
        denied(call, Bucket=bucket)
    denied(nobody.list_buckets)


def test_whatever_is_written_was_let_under_the_policy_that_stands(s3, open_bucket):
    """Writes while the policy changes: after a deny was acknowledged, nothing more appears."""
    bucket = open_bucket
    deny = policy(bucket, statement("Deny", action="s3:PutObject"))

    def write(number):
        try:
            s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x" * 20_000)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDenied", error

    with ThreadPoolExecutor(8) as pool:
        for attempt in range(5):
            writes = [pool.submit(write, 100 * attempt + number) for number in range(40)]
            s3.put_bucket_policy(Bucket=bucket, Policy=deny)
            seen = {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}
            for one in writes:
                one.result()
            after = {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}
            assert after == seen
            s3.delete_bucket_policy(Bucket=bucket)


@pytest.mark.restarts
def test_survives_a_kill(make_server):
    server = make_server()
    s3 = s3_client(server)
    s3.create_bucket(Bucket="kept")
    s3.delete_public_access_block(Bucket="kept")
    text = policy("kept", statement())
    s3.put_bucket_policy(Bucket="kept", Policy=text)
    server.restart_after_kill()
    s3 = s3_client(server)
    assert s3.get_bucket_policy(Bucket="kept")["Policy"] == text
    with refused("NoSuchPublicAccessBlockConfiguration", 404):
        s3.get_public_access_block(Bucket="kept")
    s3.delete_bucket(Bucket="kept")
    s3.create_bucket(Bucket="kept")
    with refused("NoSuchBucketPolicy", 404):
        s3.get_bucket_policy(Bucket="kept")


def test_by_the_aws_cli(tools, bucket, tmp_path):
    document = tmp_path / "policy.json"
    document.write_text(policy(bucket, statement("Deny", action="s3:DeleteObject")))
    tools.aws("s3api", "put-bucket-policy", "--bucket", bucket, "--policy", f"file://{document}")
    shown = json.loads(tools.aws("s3api", "get-bucket-policy", "--bucket", bucket, "--output", "json").stdout)
    assert json.loads(shown["Policy"]) == json.loads(document.read_text())
    body = tmp_path / "body"
    body.write_bytes(b"x")
    tools.aws("s3", "cp", body, f"s3://{bucket}/k")
    done = tools.aws("s3", "rm", f"s3://{bucket}/k", check=False)
    assert done.returncode and b"explicit deny in a resource-based policy" in done.stderr, done
