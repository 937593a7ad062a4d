"""What cannot be set yet: reading answers as AWS does when it is unset, setting is refused by name."""

import pytest

# (subresource, status, what the answer holds)
READS = [
    ("acl", 200, b"FULL_CONTROL"),
    ("policy", 404, b"NoSuchBucketPolicy"),
    ("policyStatus", 404, b"NoSuchBucketPolicy"),
    ("cors", 404, b"NoSuchCORSConfiguration"),
    ("lifecycle", 404, b"NoSuchLifecycleConfiguration"),
    ("website", 404, b"NoSuchWebsiteConfiguration"),
    ("replication", 404, b"ReplicationConfigurationNotFoundError"),
    ("object-lock", 404, b"ObjectLockConfigurationNotFoundError"),
    ("tagging", 404, b"NoSuchTagSet"),
    ("notification", 200, b"NotificationConfiguration"),
    ("logging", 200, b"BucketLoggingStatus"),
    ("requestPayment", 200, b"BucketOwner"),
    ("accelerate", 200, b"AccelerateConfiguration"),
    ("versioning", 200, b"VersioningConfiguration"),
    ("location", 200, b"LocationConstraint"),
]

# AWS sets these on a new bucket; without the default they are not found. Both are true answers.
EITHER = [
    ("encryption", b"AES256", b"ServerSideEncryptionConfigurationNotFoundError"),
    ("publicAccessBlock", b"PublicAccessBlockConfiguration", b"NoSuchPublicAccessBlockConfiguration"),
    ("ownershipControls", b"BucketOwnerEnforced", b"OwnershipControlsNotFoundError"),
]

LISTS = ["analytics", "inventory", "metrics", "intelligent-tiering"]


@pytest.mark.parametrize("name, status, holds", READS)
def test_read(raw, bucket, name, status, holds):
    got = raw.request("GET", f"/{bucket}", f"{name}=")
    assert got.status == status and holds in got.body, got


@pytest.mark.parametrize("name, there, unset", EITHER)
def test_read_of_defaults(raw, bucket, name, there, unset):
    got = raw.request("GET", f"/{bucket}", f"{name}=")
    assert (got.status == 200 and there in got.body) or (got.status == 404 and unset in got.body), got


@pytest.mark.parametrize("name", LISTS)
def test_read_of_lists(raw, bucket, name):
    got = raw.request("GET", f"/{bucket}", f"{name}=")
    assert got.status == 200, got
    assert got.xml.findtext("IsTruncated") == "false"
    one = raw.request("GET", f"/{bucket}", f"{name}=&id=x")
    assert (one.status, one.code) == (404, "NoSuchConfiguration"), one


@pytest.mark.parametrize("name", [name for name, *_ in READS + EITHER if name not in ("tagging", "versioning")] + LISTS)
def test_setting_is_refused(raw, bucket, name):
    before = raw.request("GET", f"/{bucket}", f"{name}=")
    got = raw.request("PUT", f"/{bucket}", f"{name}=&id=x" if name in LISTS else f"{name}=", body=b"<x/>")
    assert got.status >= 400 and got.code, got
    after = raw.request("GET", f"/{bucket}", f"{name}=")
    assert (after.status, after.code) == (before.status, before.code)


@pytest.mark.parametrize("name, real", [("cors", b"<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*"
                                        b"</AllowedOrigin></CORSRule></CORSConfiguration>")])  # fmt: skip
def test_setting_something_sensible_is_refused(raw, bucket, name, real):
    got = raw.request("PUT", f"/{bucket}", f"{name}=", body=real)
    assert (got.status, got.code) == (501, "NotImplemented"), got


def test_objects(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    acl = raw.request("GET", f"/{bucket}/k", "acl=")
    assert acl.status == 200 and b"FULL_CONTROL" in acl.body
    for name in ("retention", "legal-hold"):
        got = raw.request("GET", f"/{bucket}/k", f"{name}=")
        assert got.status in (400, 404, 501) and got.code in (
            "InvalidRequest", "NoSuchObjectLockConfiguration", "NotImplemented"), got  # fmt: skip
        assert raw.request("PUT", f"/{bucket}/k", f"{name}=", body=b"<x/>").status >= 400
    for name in ("acl", "torrent", "restore", "select"):
        assert raw.request("PUT", f"/{bucket}/k", f"{name}=", body=b"<x/>").status >= 400, name
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


@pytest.mark.parametrize("name", ["acl", "cors", "versioning", "location", "object-lock", "encryption"])
def test_of_a_missing_bucket(raw, bucket_name, name):
    got = raw.request("GET", f"/{bucket_name}", f"{name}=")
    assert (got.status, got.code) == (404, "NoSuchBucket")
