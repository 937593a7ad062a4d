"""Server-side encryption: SSE-S3 by default, keys of the client's own (SSE-C) and of KMS (SSE-KMS), defaults of buckets, and what lies on the disk."""

from __future__ import annotations

import base64
import hashlib
import json
import lzma
import os
import tarfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from harness.clients import refused, s3_client
from harness.raw import Raw
from harness.server import ACCOUNT
from harness.sums import checksum, etag, multipart_etag, noise

MIB = 1 << 20
FRAME = 65520
KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
SSE_C = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}
SSE_C_OTHER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": OTHER}
SOURCE_C = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": KEY}
KEY_MD5 = base64.b64encode(hashlib.md5(KEY).digest()).decode()
# Of operations for which boto3 does not encode the key.
SSE_C_TEXT = {**SSE_C, "SSECustomerKey": base64.b64encode(KEY).decode(), "SSECustomerKeyMD5": KEY_MD5}
SIZES = [0, 1, 100, 8176, 8177, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME + 5, 4 * MIB + 7]


def headers_c(key: bytes, prefix: str = "x-amz-server-side-encryption-customer-") -> dict[str, str]:
    b64 = lambda data: base64.b64encode(data).decode()  # noqa: E731
    return {
        f"{prefix}algorithm": "AES256", f"{prefix}key": b64(key), f"{prefix}key-md5": b64(hashlib.md5(key).digest()),
    }  # fmt: skip


def whole(s3, bucket, key, **how) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key, **how)["Body"].read()


def of_source(bucket, key):
    return {"Bucket": bucket, "Key": key}


# SSE-S3


@pytest.mark.parametrize("size", SIZES)
def test_every_object_is_encrypted_and_looks_as_on_aws(s3, bucket, size):
    data = noise(size, size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data)
    assert (put["ServerSideEncryption"], put["ETag"]) == ("AES256", etag(data))
    assert put["ChecksumCRC32"] == checksum("CRC32", data)
    for got in (s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")):
        assert (got["ServerSideEncryption"], got["ContentLength"], got["ETag"]) == ("AES256", size, etag(data))
    assert whole(s3, bucket, "k") == data
    assert [o["Size"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [size]


def test_ranges_over_all_frame_edges(s3, bucket):
    data = noise(3 * FRAME + 5, 7)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    edges = [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME - 1, 2 * FRAME, 65536, 3 * FRAME, 3 * FRAME + 4]
    for first in edges:
        for last in [edge for edge in edges if edge >= first]:
            got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
            assert got["Body"].read() == data[first : last + 1], (first, last)
            assert got["ContentRange"] == f"bytes {first}-{last}/{len(data)}"


def test_multipart(s3, bucket):
    parts = [noise(5 * MIB, 1), noise(5 * MIB + 11, 2), noise(3, 3)]
    created = s3.create_multipart_upload(Bucket=bucket, Key="k", ServerSideEncryption="AES256")
    assert created["ServerSideEncryption"] == "AES256"
    done = []
    for number, data in enumerate(parts, 1):
        part = s3.upload_part(Bucket=bucket, Key="k", UploadId=created["UploadId"], PartNumber=number, Body=data)
        assert (part["ServerSideEncryption"], part["ETag"]) == ("AES256", etag(data))
        done.append({"PartNumber": number, "ETag": part["ETag"]})
    completed = s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=created["UploadId"], MultipartUpload={"Parts": done}
    )
    assert (completed["ServerSideEncryption"], completed["ETag"]) == ("AES256", multipart_etag(parts))
    data = b"".join(parts)
    assert whole(s3, bucket, "k") == data
    assert whole(s3, bucket, "k", PartNumber=2) == parts[1]
    assert whole(s3, bucket, "k", Range=f"bytes={5 * MIB - 3}-{5 * MIB + FRAME}") == data[5 * MIB - 3 : 5 * MIB + FRAME + 1]


def test_part_copies_take_ranges_of_sealed_objects(s3, bucket):
    """Large ranges are referred to, small ones copied; of an object put at once and of one that came in parts."""
    data = noise(7 * MIB, 4)
    s3.put_object(Bucket=bucket, Key="src", Body=data)

    def assemble(key, source, ranges):
        upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        done = []
        for number, (first, last) in enumerate(ranges, 1):
            part = s3.upload_part_copy(
                Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, CopySource=of_source(bucket, source),
                CopySourceRange=f"bytes={first}-{last}",
            )  # fmt: skip
            assert part["ServerSideEncryption"] == "AES256"
            done.append({"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]})
        s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done})

    assemble("a", "src", [(11, 6 * MIB), (FRAME - 1, FRAME + 5)])
    first = data[11 : 6 * MIB + 1] + data[FRAME - 1 : FRAME + 6]
    assert whole(s3, bucket, "a") == first
    assemble("b", "a", [(5, len(first) - 2)])
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "src"}, {"Key": "a"}]})
    assert whole(s3, bucket, "b") == first[5:-1]


@pytest.mark.parametrize(
    "headers, code, status",
    [
        ({"x-amz-server-side-encryption": "rot13"}, "InvalidArgument", 400),
        ({"x-amz-server-side-encryption": "aws:kms:dsse"}, "NotImplemented", 501),
        ({"x-amz-server-side-encryption": "aws:fsx"}, "NotImplemented", 501),
        ({"x-amz-server-side-encryption": "aws:backup"}, "NotImplemented", 501),
        ({"x-amz-server-side-encryption-aws-kms-key-id": "k"}, "InvalidArgument", 400),
        ({"x-amz-server-side-encryption": "AES256", "x-amz-server-side-encryption-aws-kms-key-id": "k"}, "InvalidArgument", 400),
        ({"x-amz-server-side-encryption": "AES256", "x-amz-server-side-encryption-bucket-key-enabled": "true"}, "InvalidArgument", 400),
        ({"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-context": "e30"}, "InvalidArgument", 400),
        ({"x-amz-server-side-encryption": "AES256", **headers_c(KEY)}, "InvalidArgument", 400),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for(raw, s3, bucket, headers, code, status):
    got = raw.request("PUT", f"/{bucket}/k", headers=headers, body=b"x")
    assert (got.code, got.status) == (code, status), got
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("method, path, body", [("GET", "/k", b""), ("DELETE", "/k", b""), ("PUT", "/k?tagging", b"")])
def test_headers_that_an_operation_does_not_read_are_refused(raw, s3, bucket, method, path, body):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    path, _, query = path.partition("?")
    got = raw.request(
        method, f"/{bucket}{path}", query=query, headers={"x-amz-server-side-encryption": "AES256"}, body=body
    )
    assert (got.code, got.status) == ("InvalidArgument", 400), got
    assert "not supported for this operation" in got.body.decode()


# SSE-C


@pytest.mark.parametrize("size", SIZES)
def test_a_clients_key(s3, bucket, size):
    data = noise(size, size + 1)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, **SSE_C)
    assert (put["SSECustomerAlgorithm"], put["SSECustomerKeyMD5"]) == ("AES256", KEY_MD5)
    assert "ServerSideEncryption" not in put
    # Some other 32 digits than the MD5 of the content, and always the same.
    assert put["ETag"] != etag(data) and len(put["ETag"]) == 34
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED", **SSE_C)
    assert (head["ETag"], head["ContentLength"], head["SSECustomerKeyMD5"]) == (put["ETag"], size, KEY_MD5)
    assert head["ChecksumCRC32"] == checksum("CRC32", data)
    got = s3.get_object(Bucket=bucket, Key="k", **SSE_C)
    assert (got["Body"].read(), got["SSECustomerAlgorithm"]) == (data, "AES256")
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ETag"] == put["ETag"]
    if size > 10:
        assert whole(s3, bucket, "k", Range="bytes=5-9", **SSE_C) == data[5:10]
    with refused("InvalidRequest", 400) as why:
        s3.get_object(Bucket=bucket, Key="k")
    assert why["Error"]["Message"].startswith("The object was stored using a form of Server Side Encryption.")
    with refused("AccessDenied", 403):
        s3.get_object(Bucket=bucket, Key="k", **SSE_C_OTHER)
    for how, status in (({}, "400"), (SSE_C_OTHER, "403")):
        with refused(status):
            s3.head_object(Bucket=bucket, Key="k", **how)


def test_a_key_for_an_object_that_has_none(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with refused("InvalidRequest", 400) as why:
        s3.get_object(Bucket=bucket, Key="k", **SSE_C)
    assert why["Error"]["Message"] == "The encryption parameters are not applicable to this object."


@pytest.mark.parametrize(
    "change",
    [
        {"x-amz-server-side-encryption-customer-algorithm": None},
        {"x-amz-server-side-encryption-customer-key": None},
        {"x-amz-server-side-encryption-customer-key-md5": None},
        {"x-amz-server-side-encryption-customer-algorithm": "DES"},
        {"x-amz-server-side-encryption-customer-key": base64.b64encode(b"short").decode()},
        {"x-amz-server-side-encryption-customer-key": "no base64"},
        {"x-amz-server-side-encryption-customer-key-md5": base64.b64encode(bytes(16)).decode()},
    ],
)
def test_a_clients_key_that_is_incomplete(raw, bucket, change):
    headers = {name: value for name, value in {**headers_c(KEY), **change}.items() if value is not None}
    raw.request("PUT", f"/{bucket}/k", headers=headers_c(KEY), body=b"x")
    for method, body in (("PUT", b"x"), ("GET", b"")):
        got = raw.request(method, f"/{bucket}/k", headers=headers, body=body)
        assert (got.code, got.status) == ("InvalidArgument", 400), got


def test_multipart_with_a_clients_key(s3, bucket):
    parts = [noise(5 * MIB, 1), noise(70_000, 2)]
    created = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32", **SSE_C)
    assert created["SSECustomerKeyMD5"] == KEY_MD5
    upload = {"Bucket": bucket, "Key": "k", "UploadId": created["UploadId"]}
    with refused("InvalidRequest", 400):
        s3.upload_part(**upload, PartNumber=1, Body=b"x")
    with refused("InvalidRequest", 400):
        s3.upload_part(**upload, PartNumber=1, Body=b"x", **SSE_C_OTHER)
    done = []
    for number, data in enumerate(parts, 1):
        part = s3.upload_part(**upload, PartNumber=number, Body=data, ChecksumAlgorithm="CRC32", **SSE_C)
        assert part["ETag"] != etag(data) and part["SSECustomerKeyMD5"] == KEY_MD5
        assert part["ChecksumCRC32"] == checksum("CRC32", data)
        done.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]})
    # Checksums show to who has the key.
    assert [p.get("ChecksumCRC32") for p in s3.list_parts(**upload)["Parts"]] == [None, None]
    assert [p["ChecksumCRC32"] for p in s3.list_parts(**upload, **SSE_C_TEXT)["Parts"]] == [p["ChecksumCRC32"] for p in done]
    with refused("InvalidRequest", 400):
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
    completed = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done}, **SSE_C)
    assert completed["ETag"].endswith('-2"') and completed["ETag"] != multipart_etag(parts)
    assert completed["ChecksumCRC32"].endswith("-2")
    assert whole(s3, bucket, "k", **SSE_C) == b"".join(parts)
    assert whole(s3, bucket, "k", PartNumber=2, **SSE_C) == parts[1]
    wanted = ["ETag", "Checksum", "ObjectParts", "ObjectSize"]
    shown = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted, **SSE_C_TEXT)
    assert [p["ChecksumCRC32"] for p in shown["ObjectParts"]["Parts"]] == [p["ChecksumCRC32"] for p in done]
    with refused("InvalidRequest", 400):
        s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted)


def test_copies_between_all_ways(s3, bucket):
    """Single objects and ones of parts; each copy can be read in its new way, and in no other."""
    ways = {"s3": ({}, {}, {}), "c": (SSE_C, SSE_C, SOURCE_C)}
    data = noise(6 * MIB, 9)
    for source, (write, _, read_source) in ways.items():
        s3.put_object(Bucket=bucket, Key=f"one-{source}", Body=data, **write)
        upload = s3.create_multipart_upload(Bucket=bucket, Key=f"parts-{source}", **write)["UploadId"]
        parts = {"Bucket": bucket, "Key": f"parts-{source}", "UploadId": upload}
        done = [
            {"PartNumber": n, "ETag": s3.upload_part(**parts, PartNumber=n, Body=body, **write)["ETag"]}
            for n, body in ((1, data[: 5 * MIB]), (2, data[5 * MIB :]))
        ]
        s3.complete_multipart_upload(**parts, MultipartUpload={"Parts": done}, **write)
        for kind in ("one", "parts"):
            for target, (write_target, read, _) in ways.items():
                got = s3.copy_object(
                    Bucket=bucket, Key="copy", CopySource=of_source(bucket, f"{kind}-{source}"), **read_source, **write_target
                )  # fmt: skip
                assert got.get("ServerSideEncryption") == (None if target == "c" else "AES256")
                tag = got["CopyObjectResult"]["ETag"]
                assert (tag == etag(data)) == (kind == "one" and target == "s3"), (kind, source, target)
                assert whole(s3, bucket, "copy", **read) == data
                assert whole(s3, bucket, "copy", Range=f"bytes={FRAME - 1}-{FRAME}", **read) == data[FRAME - 1 : FRAME + 1]
                assert whole(s3, bucket, "copy", PartNumber=1, **read) == data[: 5 * MIB if kind == "parts" else None]
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=of_source(bucket, "one-c"))
    with refused("AccessDenied", 403):
        other = {**SOURCE_C, "CopySourceSSECustomerKey": OTHER}
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=of_source(bucket, "one-c"), **other)


def test_an_object_gets_another_key_in_its_place(s3, bucket):
    """A copy onto itself with another encryption changes something, so that it is legal."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", **SSE_C)
    s3.copy_object(Bucket=bucket, Key="k", CopySource=of_source(bucket, "k"), **SOURCE_C, **SSE_C_OTHER)
    assert whole(s3, bucket, "k", **SSE_C_OTHER) == b"data"
    with refused("AccessDenied", 403):
        whole(s3, bucket, "k", **SSE_C)
    with refused("InvalidRequest", 400):
        s3.copy_object(
            Bucket=bucket, Key="k", CopySource=of_source(bucket, "k"),
            CopySourceSSECustomerAlgorithm="AES256", CopySourceSSECustomerKey=OTHER,
        )  # fmt: skip


def test_presigned(s3, raw, bucket):
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k", **SSE_C})
    headers = headers_c(KEY)
    request = urllib.request.Request(url, data=b"data", method="PUT", headers=headers)
    assert urllib.request.urlopen(request).status == 200
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k", **SSE_C})
    assert urllib.request.urlopen(urllib.request.Request(url, headers=headers)).read() == b"data"
    # Without the key the URL opens nothing: its headers are signed.
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url)
    assert caught.value.code in (400, 403)


def test_the_clis(tools, bucket, tmp_path, s3):
    data = noise(9 * MIB, 3)
    (tmp_path / "file").write_bytes(data)
    (tmp_path / "key").write_bytes(KEY)
    sse_c = ["--sse-c", "AES256", "--sse-c-key", f"fileb://{tmp_path / 'key'}"]
    tools.aws("s3", "cp", str(tmp_path / "file"), f"s3://{bucket}/k", *sse_c)
    tools.aws("s3", "cp", f"s3://{bucket}/k", str(tmp_path / "back"), *sse_c)
    assert (tmp_path / "back").read_bytes() == data
    with refused("InvalidRequest", 400):
        whole(s3, bucket, "k")
    source = ["--sse-c-copy-source", "AES256", "--sse-c-copy-source-key", f"fileb://{tmp_path / 'key'}"]
    tools.aws("s3", "cp", f"s3://{bucket}/k", f"s3://{bucket}/plain", "--sse", "AES256", *source)
    assert whole(s3, bucket, "plain") == data


# SSE-KMS


def kms_client(server):
    return boto3.session.Session().client(
        "kms", endpoint_url=server.endpoint, region_name=server.region,
        aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key,
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip


@pytest.fixture(scope="module")
def kms(server):
    return kms_client(server)


@pytest.fixture
def key(kms) -> str:
    return kms.create_key()["KeyMetadata"]["Arn"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bucket_key", [False, True])
def test_a_kms_key(s3, bucket, key, size, bucket_key):
    data = noise(size, size)
    how = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key.split("/")[1], "BucketKeyEnabled": bucket_key}
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, **how)
    for got in (put, s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")):
        assert (got["ServerSideEncryption"], got["SSEKMSKeyId"]) == ("aws:kms", key)
        assert got.get("BucketKeyEnabled", False) == bucket_key
        assert got["ETag"] == put["ETag"] != etag(data)
    assert whole(s3, bucket, "k") == data
    if size > 10:
        assert whole(s3, bucket, "k", Range="bytes=-7") == data[-7:]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=of_source(bucket, "k"))
    assert (whole(s3, bucket, "copy"), s3.head_object(Bucket=bucket, Key="copy")["ETag"]) == (data, etag(data))


def test_keys_by_every_name(s3, kms, bucket, key, bucket_name):
    alias = f"alias/{bucket_name}"
    kms.create_alias(AliasName=alias, TargetKeyId=key)
    for name in (key, key.split("/")[1], alias, key.replace(key.split(":")[-1], alias)):
        put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=name)
        assert put["SSEKMSKeyId"] == key, name
    managed = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")["SSEKMSKeyId"]
    assert managed == s3.put_object(
        Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/aws/s3"
    )["SSEKMSKeyId"]
    aliases = {a["AliasName"]: a.get("TargetKeyId") for a in kms.list_aliases()["Aliases"]}
    assert managed.endswith(aliases["alias/aws/s3"])
    assert whole(s3, bucket, "k") == b"x"
    for name, message in (("alias/nobody", "alias/nobody"), (key.replace("us-east-1", "eu-west-1"), "eu-west-1")):
        with refused("KMS.NotFoundException", 400) as why:
            s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=name)
        assert message in why["Error"]["Message"]


@pytest.mark.parametrize("bucket_key", [False, True])
def test_a_key_that_is_disabled_closes_its_objects_at_once(s3, kms, bucket, key, bucket_key):
    how = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key, "BucketKeyEnabled": bucket_key}
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", **how)
    upload = {"Bucket": bucket, "Key": "up", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="up", **how)["UploadId"]}
    part = s3.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
    done = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    assert whole(s3, bucket, "k") == b"data"
    presigned = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})

    def attempts():
        yield lambda: s3.get_object(Bucket=bucket, Key="k")
        yield lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"x", **how)
        yield lambda: s3.copy_object(Bucket=bucket, Key="copy", CopySource=of_source(bucket, "k"))
        yield lambda: s3.upload_part(**upload, PartNumber=2, Body=b"x")
        yield lambda: s3.complete_multipart_upload(**upload, MultipartUpload=done)
        yield lambda: s3.create_multipart_upload(Bucket=bucket, Key="up", **how)

    kms.disable_key(KeyId=key)
    for attempt in attempts():
        with refused("KMS.DisabledException", 400):
            attempt()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(presigned)
    assert caught.value.code == 400 and b"KMS.DisabledException" in caught.value.read()
    # What the object says of itself needs no key.
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 4
    kms.enable_key(KeyId=key)
    assert urllib.request.urlopen(presigned).read() == b"data"
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    for attempt in attempts():
        with refused("KMS.KMSInvalidStateException", 400):
            attempt()
    kms.cancel_key_deletion(KeyId=key)
    kms.enable_key(KeyId=key)
    kms.rotate_key_on_demand(KeyId=key)
    assert whole(s3, bucket, "k") == b"data", "old versions of a key still open"
    s3.complete_multipart_upload(**upload, MultipartUpload=done)
    assert whole(s3, bucket, "up") == b"part"


def test_the_context_is_what_the_key_sees(s3, kms, bucket, key):
    """A key that opens in the context of one object alone."""
    root = f"arn:aws:iam::{ACCOUNT}:root"
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"},
            {
                "Effect": "Deny", "Principal": {"AWS": root}, "Resource": "*",
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Condition": {"StringNotEquals": {"kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}/right"}},
            },
            {
                "Effect": "Deny", "Principal": {"AWS": root}, "Resource": "*", "Action": "kms:Decrypt",
                "Condition": {"StringNotEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}},
            },
        ],
    }  # fmt: skip
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
    how = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    s3.put_object(Bucket=bucket, Key="right", Body=b"x", **how)
    assert whole(s3, bucket, "right") == b"x"
    with refused("AccessDenied", 403) as why:
        s3.put_object(Bucket=bucket, Key="wrong", Body=b"x", **how)
    assert "kms:GenerateDataKey" in why["Error"]["Message"]
    with refused("AccessDenied", 403):
        s3.put_object(Bucket=bucket, Key="right", Body=b"x", BucketKeyEnabled=True, **how)


def test_nobody_reads_under_a_kms_key(s3, raw, bucket, key):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    got = raw.send("GET", f"/{bucket}/k")
    assert got.status in (400, 403) and got.body != b"x"


# Default encryption of buckets


def default(s3, bucket) -> dict:
    rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert len(rules) == 1
    return rules[0]


def set_default(s3, bucket, bucket_key=None, **by_default):
    rule = {"ApplyServerSideEncryptionByDefault": by_default}
    if bucket_key is not None:
        rule["BucketKeyEnabled"] = bucket_key
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def test_a_bucket_that_says_nothing_answers_what_holds(s3, bucket):
    unset = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}
    assert default(s3, bucket) == unset
    set_default(s3, bucket, SSEAlgorithm="AES256", bucket_key=True)
    assert default(s3, bucket) == {**unset, "BucketKeyEnabled": True}
    s3.delete_bucket_encryption(Bucket=bucket)
    assert default(s3, bucket) == unset
    s3.delete_bucket_encryption(Bucket=bucket)


@pytest.mark.parametrize("bucket_key", [False, True])
def test_objects_are_encrypted_as_their_bucket_says(s3, bucket, key, bucket_key):
    s3.put_object(Bucket=bucket, Key="before", Body=b"before")
    set_default(s3, bucket, SSEAlgorithm="aws:kms", KMSMasterKeyID=key, bucket_key=bucket_key)
    shown = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    assert default(s3, bucket) == {"ApplyServerSideEncryptionByDefault": shown, "BucketKeyEnabled": bucket_key}
    s3.put_object(Bucket=bucket, Key="put", Body=b"put")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=of_source(bucket, "before"))
    upload = {"Bucket": bucket, "Key": "parts", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]}
    tag = s3.upload_part(**upload, PartNumber=1, Body=b"parts")["ETag"]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    for name, data in (("put", b"put"), ("copy", b"before"), ("parts", b"parts")):
        got = s3.get_object(Bucket=bucket, Key=name)
        assert (got["Body"].read(), got["ServerSideEncryption"], got["SSEKMSKeyId"]) == (data, "aws:kms", key)
        assert got.get("BucketKeyEnabled", False) == bucket_key
    # Who says something is heard; what was there before stays as it was.
    assert s3.put_object(Bucket=bucket, Key="own", Body=b"x", ServerSideEncryption="AES256")["ServerSideEncryption"] == "AES256"
    assert "SSECustomerKeyMD5" in s3.put_object(Bucket=bucket, Key="own", Body=b"x", **SSE_C)
    assert s3.head_object(Bucket=bucket, Key="before")["ServerSideEncryption"] == "AES256"


def test_a_bucket_that_takes_no_keys_of_clients(s3, bucket):
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
        "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
    }
    s3.put_object(Bucket=bucket, Key="before", Body=b"x", **SSE_C)
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert default(s3, bucket)["BlockedEncryptionTypes"] == {"EncryptionType": ["SSE-C"]}
    for write in (
        lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"x", **SSE_C),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key="k", **SSE_C),
        lambda: s3.copy_object(Bucket=bucket, Key="k", CopySource=of_source(bucket, "before"), **SOURCE_C, **SSE_C),
    ):
        with refused("AccessDenied", 403):
            write()
    assert whole(s3, bucket, "before", **SSE_C) == b"x"


@pytest.mark.parametrize(
    "by_default, code",
    [
        ({"SSEAlgorithm": "AES256", "KMSMasterKeyID": "k"}, "InvalidArgument"),
        ({"SSEAlgorithm": "aws:kms:dsse"}, "NotImplemented"),
        ({"SSEAlgorithm": "rot13"}, "MalformedXML"),
    ],
)
def test_what_a_bucket_cannot_say(s3, bucket, by_default, code):
    with refused(code):
        set_default(s3, bucket, **by_default)
    assert default(s3, bucket)["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


# What lies on the disk


def files_with(data_dir: Path, needles: dict[str, bytes]) -> list[tuple[str, str]]:
    found = []
    for path in sorted(p for p in data_dir.rglob("*") if p.is_file()):
        content = path.read_bytes()
        found += [(str(path.relative_to(data_dir)), name) for name, needle in needles.items() if needle in content]
    return found


@pytest.mark.restarts
def test_neither_plaintext_nor_keys_reach_the_disk(make_server):
    """Bodies of every kind of storage, by every way in, are looked for in every file of the data dir."""
    server = make_server()
    s3 = s3_client(server)
    s3.create_bucket(Bucket="bucket")
    needles = {}

    def body(name: str, size: int) -> bytes:
        needles[name] = marker = os.urandom(16).hex().encode()
        return (marker + b" ") * (size // len(marker) + 1)

    key = os.urandom(32)
    md5 = hashlib.md5(key).digest()
    needles |= {"key": key, "key b64": base64.b64encode(key), "key hex": key.hex().encode()}
    needles |= {"md5": md5, "md5 b64": base64.b64encode(md5), "md5 hex": md5.hex().encode()}
    sse_c = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}
    sizes = {"tiny": 40, "inline": 8000, "segment": 300_000, "file": 5 * MIB}
    kms_key = kms_client(server).create_key()["KeyMetadata"]["Arn"]
    sse_kms = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key}
    for way, how in (("s3", {}), ("c", sse_c), ("kms", sse_kms), ("bucket-key", {**sse_kms, "BucketKeyEnabled": True})):
        source = {f"CopySource{name}": value for name, value in how.items() if way == "c"}
        sent = how if way == "c" else {}
        for kind, size in sizes.items():
            data = body(f"{kind} {way}", size)
            s3.put_object(Bucket="bucket", Key=f"{kind}-{way}", Body=data, **how)
            s3.copy_object(Bucket="bucket", Key="copy", CopySource=of_source("bucket", f"{kind}-{way}"), **source, **how)
            assert whole(s3, "bucket", "copy", **sent) == data
        upload = s3.create_multipart_upload(Bucket="bucket", Key=f"parts-{way}", **how)["UploadId"]
        parts = {"Bucket": "bucket", "Key": f"parts-{way}", "UploadId": upload}
        done = [s3.upload_part(**parts, PartNumber=1, Body=body(f"part 1 {way}", 5 * MIB), **sent)["ETag"]]
        for number, last in ((2, 5 * MIB - 1), (3, 1000)):
            copied = s3.upload_part_copy(
                **parts, PartNumber=number, CopySource=of_source("bucket", f"file-{way}"), CopySourceRange=f"bytes=0-{last}",
                **source, **sent,
            )  # fmt: skip
            done.append(copied["CopyPartResult"]["ETag"])
        done = [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(done, 1)]
        s3.complete_multipart_upload(**parts, MultipartUpload={"Parts": done}, **sent)
        # One that stays open, and one that is cut off.
        upload = s3.create_multipart_upload(Bucket="bucket", Key=f"open-{way}", **how)["UploadId"]
        s3.upload_part(Bucket="bucket", Key=f"open-{way}", UploadId=upload, PartNumber=1, Body=body(f"open {way}", 50_000), **sent)
    # A body that is cut off: what came of it may lie in a file that is not given back yet.
    raw = Raw(server.endpoint, server.access_key, server.secret_key, server.region)
    data = body("cut", 6 * MIB)
    signed = raw.sign("PUT", "/bucket/cut", payload="UNSIGNED-PAYLOAD").headers
    lines = [f"{name}: {value}" for name, value in {**signed, "content-length": len(data)}.items()]
    with raw.connect() as connection:
        connection.sendall("\r\n".join(["PUT /bucket/cut HTTP/1.1", *lines, "", ""]).encode() + data[: 5 * MIB])
        time.sleep(0.5)
        assert files_with(server.data_dir, needles) == []
    assert files_with(server.data_dir, needles) == []
    server.kill()
    server.start()
    assert whole(s3, "bucket", "file-s3")[:32] == needles["file s3"]
    server.stop()
    assert files_with(server.data_dir, needles) == []


@pytest.fixture
def old(tmp_path) -> Path:
    """A data dir of format 1, from before there was encryption."""
    with lzma.open(Path(__file__).parent / "data" / "format-1.tar.xz") as packed, tarfile.open(fileobj=packed) as tar:
        tar.extractall(tmp_path / "old", filter="data")
    return tmp_path / "old"


def old_text(name: str, size: int) -> bytes:
    return (f"plain {name} ".encode() * (size // 8 + 1))[:size]


OLD = {"empty": 0, "inline": 100, "segment": 100_000, "file": 5_000_000}


@pytest.mark.restarts
def test_an_old_data_dir_opens_and_its_copies_are_encrypted(make_server, old):
    assert {name for _, name in files_with(old, {"inline": b"plain inline", "file": b"plain file"})} == {"inline", "file"}
    server = make_server(data_dir=old)
    s3 = s3_client(server)
    for name, size in OLD.items():
        got = s3.get_object(Bucket="old", Key=name)
        assert (got["Body"].read(), got["Metadata"]) == (old_text(name, size), {"n": name})
        assert "ServerSideEncryption" not in got and got["ETag"] == etag(old_text(name, size))
    parts = [old_text("part1", 5 * MIB), old_text("part2", 70_000)]
    got = s3.get_object(Bucket="old", Key="parts")
    assert (got["Body"].read(), got["ETag"]) == (b"".join(parts), multipart_etag(parts))
    versions = s3.list_object_versions(Bucket="versions")["Versions"]
    assert [whole(s3, "versions", "k", VersionId=v["VersionId"])[:8] for v in versions] == [b"plain v1", b"plain v0"]
    # Copies are written anew, encrypted; also in place.
    for name in [*OLD, "parts"]:
        data = whole(s3, "old", name)
        got = s3.copy_object(Bucket="old", Key=f"{name}-copy", CopySource=of_source("old", name))
        assert (got["ServerSideEncryption"], got["CopyObjectResult"]["ETag"]) == ("AES256", etag(data))
        assert whole(s3, "old", f"{name}-copy") == data
    s3.copy_object(Bucket="old", Key="file", CopySource=of_source("old", "file"), ServerSideEncryption="AES256")
    assert s3.head_object(Bucket="old", Key="file")["ServerSideEncryption"] == "AES256"
    # The upload that was open goes on as it was begun.
    upload = s3.list_multipart_uploads(Bucket="old")["Uploads"][0]
    upload = {"Bucket": "old", "Key": "open", "UploadId": upload["UploadId"]}
    with refused("InvalidRequest", 400):
        s3.upload_part_copy(**upload, PartNumber=2, CopySource=of_source("old", "file"))
    copied = s3.upload_part_copy(**upload, PartNumber=2, CopySource=of_source("old", "segment"))["CopyPartResult"]
    first = s3.list_parts(**upload)["Parts"][0]["ETag"]
    done = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": copied["ETag"]}]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
    assert whole(s3, "old", "open") == old_text("open1", 5 * MIB) + old_text("segment", 100_000)
    # And plain parts go into an encrypted upload, encrypted.
    upload = s3.create_multipart_upload(Bucket="old", Key="new")["UploadId"]
    new = {"Bucket": "old", "Key": "new", "UploadId": upload}
    part = s3.upload_part_copy(**new, PartNumber=1, CopySource=of_source("old", "parts"))["CopyPartResult"]
    s3.complete_multipart_upload(**new, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert whole(s3, "old", "new") == b"".join(parts)
