"""CopyObject."""

from urllib.parse import quote

import pytest
from harness.clients import refused
from harness.sums import checksum, etag, multipart_etag, noise

PAST, FUTURE = "Tue, 01 Jan 2013 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"


@pytest.fixture
def source(s3, bucket):
    s3.put_object(
        Bucket=bucket, Key="src", Body=b"data", Metadata={"a": "1"}, ContentType="text/plain", CacheControl="no-store",
        Tagging="x=y", StorageClass="STANDARD_IA",
    )  # fmt: skip
    return {"Bucket": bucket, "Key": "src"}


@pytest.mark.parametrize("size", [0, 100, 8192, 1 << 20, 5 << 20])
def test_copy_bytes(s3, bucket, size):
    data = noise(size, size)
    s3.put_object(Bucket=bucket, Key="src", Body=data)
    got = s3.copy_object(Bucket=bucket, Key="dst", CopySource={"Bucket": bucket, "Key": "src"})
    assert got["CopyObjectResult"]["ETag"] == etag(data)
    assert got["CopyObjectResult"]["LastModified"]
    s3.delete_object(Bucket=bucket, Key="src")
    assert s3.get_object(Bucket=bucket, Key="dst")["Body"].read() == data


def test_copies_outlive_each_other(s3, bucket):
    """Copies share bytes inside one lake; no deletion takes them from another."""
    data = noise(200_000, 5)
    s3.put_object(Bucket=bucket, Key="0", Body=data)
    for n in range(1, 6):
        s3.copy_object(Bucket=bucket, Key=str(n), CopySource={"Bucket": bucket, "Key": str(n - 1)})
    for n in (0, 2, 4, 1, 3):
        s3.delete_object(Bucket=bucket, Key=str(n))
        assert s3.get_object(Bucket=bucket, Key="5")["Body"].read() == data


def test_copy_takes_metadata_and_tags(s3, bucket, source):
    s3.copy_object(Bucket=bucket, Key="dst", CopySource=source)
    got = s3.head_object(Bucket=bucket, Key="dst")
    assert (got["Metadata"], got["ContentType"], got["CacheControl"]) == ({"a": "1"}, "text/plain", "no-store")
    assert s3.get_object_tagging(Bucket=bucket, Key="dst")["TagSet"] == [{"Key": "x", "Value": "y"}]
    # The storage class is not copied: it is the request's, and STANDARD without one.
    assert "StorageClass" not in got


def test_copy_replaces_metadata(s3, bucket, source):
    s3.copy_object(
        Bucket=bucket, Key="dst", CopySource=source, MetadataDirective="REPLACE", Metadata={"b": "2"}, ContentType="a/b"
    )
    got = s3.head_object(Bucket=bucket, Key="dst")
    assert (got["Metadata"], got["ContentType"], got.get("CacheControl")) == ({"b": "2"}, "a/b", None)
    assert s3.get_object(Bucket=bucket, Key="dst")["TagCount"] == 1


def test_copy_ignores_metadata_without_directive(s3, bucket, source):
    s3.copy_object(Bucket=bucket, Key="dst", CopySource=source, Metadata={"b": "2"}, ContentType="a/b")
    got = s3.head_object(Bucket=bucket, Key="dst")
    assert (got["Metadata"], got["ContentType"]) == ({"a": "1"}, "text/plain")


def test_copy_replaces_tags(s3, bucket, source):
    s3.copy_object(Bucket=bucket, Key="dst", CopySource=source, TaggingDirective="REPLACE", Tagging="n=1&m=2")
    tags = {t["Key"]: t["Value"] for t in s3.get_object_tagging(Bucket=bucket, Key="dst")["TagSet"]}
    assert tags == {"n": "1", "m": "2"}


def test_copy_onto_itself(s3, bucket, source):
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="src", CopySource=source)
    s3.copy_object(Bucket=bucket, Key="src", CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "2"})
    got = s3.get_object(Bucket=bucket, Key="src")
    assert (got["Body"].read(), got["Metadata"]) == (b"data", {"n": "2"})
    s3.copy_object(Bucket=bucket, Key="src", CopySource=source, StorageClass="ONEZONE_IA")
    assert s3.head_object(Bucket=bucket, Key="src")["StorageClass"] == "ONEZONE_IA"


def test_copy_between_buckets(s3, bucket, source, bucket_name):
    other = f"{bucket_name}-other"
    s3.create_bucket(Bucket=other)
    s3.copy_object(Bucket=other, Key="dst", CopySource=source)
    s3.delete_object(**source)
    assert s3.get_object(Bucket=other, Key="dst")["Body"].read() == b"data"


@pytest.mark.parametrize("key", ["a b", "a+b", "ü/🦆", "a//b", "../d", "100%", "a?b&c=d", "%2F"])
def test_odd_source_keys(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    s3.copy_object(Bucket=bucket, Key="dst", CopySource={"Bucket": bucket, "Key": key})
    assert s3.get_object(Bucket=bucket, Key="dst")["Body"].read() == key.encode()


@pytest.mark.parametrize("form", ["{b}/src", "/{b}/src", "{b}%2Fsrc"])
def test_forms_of_copy_source(raw, s3, bucket, source, form):
    got = raw.request("PUT", f"/{bucket}/dst", headers={"x-amz-copy-source": form.format(b=bucket)})
    assert got.status == 200, got
    assert got.xml.tag == "CopyObjectResult"


@pytest.mark.parametrize("value", ["", "nosuchthing", "/", "/{b}", "/{b}/", "/{b}/%FF", "/{b}/src?versionId="])
def test_malformed_copy_source(raw, s3, bucket, source, value):
    got = raw.request("PUT", f"/{bucket}/dst", headers={"x-amz-copy-source": value.format(b=bucket)})
    assert got.status == 400 and got.code in ("InvalidArgument", "InvalidRequest", "InvalidURI"), got


def test_missing_sources(s3, bucket, bucket_name):
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=bucket, Key="dst", CopySource={"Bucket": bucket, "Key": "none"})
    with refused("NoSuchBucket", 404):
        s3.copy_object(Bucket=bucket, Key="dst", CopySource={"Bucket": f"{bucket_name}-none", "Key": "none"})


@pytest.mark.parametrize(
    "conditions, ok",
    [
        ({"CopySourceIfMatch": etag(b"data")}, True),
        ({"CopySourceIfMatch": etag(b"no")}, False),
        ({"CopySourceIfNoneMatch": etag(b"no")}, True),
        ({"CopySourceIfNoneMatch": etag(b"data")}, False),
        ({"CopySourceIfModifiedSince": PAST}, True),
        ({"CopySourceIfUnmodifiedSince": PAST}, False),
        ({"CopySourceIfUnmodifiedSince": FUTURE}, True),
        ({"CopySourceIfMatch": etag(b"data"), "CopySourceIfUnmodifiedSince": PAST}, True),
        ({"CopySourceIfNoneMatch": etag(b"data"), "CopySourceIfModifiedSince": PAST}, False),
    ],
)
def test_conditional_copy(s3, bucket, source, conditions, ok):
    if ok:
        s3.copy_object(Bucket=bucket, Key="dst", CopySource=source, **conditions)
    else:
        with refused("PreconditionFailed", 412):
            s3.copy_object(Bucket=bucket, Key="dst", CopySource=source, **conditions)
        assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["src"]


def test_copy_of_versions(s3, versioned):
    old = s3.put_object(Bucket=versioned, Key="k", Body=b"old")["VersionId"]
    s3.put_object(Bucket=versioned, Key="k", Body=b"new")
    got = s3.copy_object(Bucket=versioned, Key="k", CopySource={"Bucket": versioned, "Key": "k", "VersionId": old})
    assert got["CopySourceVersionId"] == old
    assert got["VersionId"] not in (None, old)
    assert s3.get_object(Bucket=versioned, Key="k")["Body"].read() == b"old"
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=versioned, Key="dst", CopySource={"Bucket": versioned, "Key": "k"})
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=versioned, Key="dst", CopySource={"Bucket": versioned, "Key": "k", "VersionId": marker})


def test_copy_of_a_multipart_object(s3, bucket):
    parts = [noise(5 << 20, 1), noise(10, 2)]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="src")["UploadId"]
    done = []
    for number, part in enumerate(parts, 1):
        sent = s3.upload_part(Bucket=bucket, Key="src", UploadId=upload, PartNumber=number, Body=part)
        done.append({"PartNumber": number, "ETag": sent["ETag"]})
    got = s3.complete_multipart_upload(Bucket=bucket, Key="src", UploadId=upload, MultipartUpload={"Parts": done})
    assert got["ETag"] == multipart_etag(parts)
    s3.copy_object(Bucket=bucket, Key="dst", CopySource={"Bucket": bucket, "Key": "src"})
    assert s3.get_object(Bucket=bucket, Key="dst")["Body"].read() == b"".join(parts)


def test_copy_with_another_checksum(s3, bucket, source):
    got = s3.copy_object(Bucket=bucket, Key="dst", CopySource=source, ChecksumAlgorithm="SHA256")
    assert got["CopyObjectResult"]["ChecksumSHA256"] == checksum("SHA256", b"data")
    head = s3.head_object(Bucket=bucket, Key="dst", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"] == checksum("SHA256", b"data")


@pytest.mark.parametrize("headers", [{"x-amz-metadata-directive": "MERGE"}, {"x-amz-tagging-directive": "x"}])
def test_unknown_directive(raw, s3, bucket, source, headers):
    got = raw.request("PUT", f"/{bucket}/dst", headers={"x-amz-copy-source": quote(f"{bucket}/src"), **headers})
    assert (got.status, got.code) == (400, "InvalidArgument"), got
