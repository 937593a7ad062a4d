"""Tags of objects and buckets."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.clients import refused

TAGS = [{"Key": "a", "Value": "1"}, {"Key": "ü b", "Value": "x+y = z"}, {"Key": "empty", "Value": ""}]


def as_dict(tag_set):
    return {t["Key"]: t["Value"] for t in tag_set}


def test_object_tags(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": TAGS})
    assert as_dict(s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]) == as_dict(TAGS)
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 3
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": TAGS[:1]})
    assert as_dict(s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]) == {"a": "1"}
    assert s3.delete_object_tagging(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    assert "TagCount" not in s3.get_object(Bucket=bucket, Key="k")


def test_tags_change_nothing_else(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "1"})
    before = s3.head_object(Bucket=bucket, Key="k")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": TAGS})
    after = s3.head_object(Bucket=bucket, Key="k")
    assert (after["ETag"], after["LastModified"], after["Metadata"]) == (before["ETag"], before["LastModified"], {"a": "1"})


def test_tagging_header(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&%C3%BC+b=x%2By&empty=&bare")
    want = {"a": "1", "ü b": "x+y", "empty": "", "bare": ""}
    assert as_dict(s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]) == want


@pytest.mark.parametrize(
    "value, code",
    [
        ("&".join(f"k{n}=v" for n in range(11)), "BadRequest"),
        ("k" * 129 + "=v", "InvalidTag"),
        ("k=" + "v" * 257, "InvalidTag"),
        ("aws:reserved=1", "InvalidTag"),
        ("a=1&a=2", "InvalidArgument"),
        ("=v", "InvalidTag"),
    ],
    ids=["eleven", "long-key", "long-value", "aws", "twice", "no-key"],
)
def test_refused_tagging_header(raw, s3, bucket, value, code):
    got = raw.request("PUT", f"/{bucket}/k", headers={"x-amz-tagging": value}, body=b"x")
    assert got.status == 400 and got.code in (code, "InvalidTag", "InvalidArgument"), got
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize(
    "tags, code",
    [
        ([{"Key": f"k{n}", "Value": "v"} for n in range(11)], "BadRequest"),
        ([{"Key": "k" * 129, "Value": "v"}], "InvalidTag"),
        ([{"Key": "k", "Value": "v" * 257}], "InvalidTag"),
        ([{"Key": "aws:k", "Value": "v"}], "InvalidTag"),
        ([{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}], "InvalidTag"),
    ],
    ids=["eleven", "long-key", "long-value", "aws", "twice"],
)
def test_refused_object_tags(s3, bucket, tags, code):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="kept=1")
    with refused(code, 400):
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags})
    assert as_dict(s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]) == {"kept": "1"}


def test_limits_are_in_characters(s3, bucket):
    tags = [{"Key": "ü" * 128, "Value": "🦆" * 128}] + [{"Key": f"k{n}", "Value": "v"} for n in range(9)]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags[1:]})
    assert len(s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]) == 9


@pytest.mark.parametrize("body", [b"", b"<Tagging>", b"<x/>", b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>"],
                         ids=["empty", "cut", "other", "no-value"])  # fmt: skip
def test_malformed_tags(raw, s3, bucket, body):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    got = raw.request("PUT", f"/{bucket}/k", "tagging=", body=body)
    assert got.status == 400 and got.code in ("MalformedXML", "MissingRequestBodyError"), got


def test_tags_of_versions(s3, versioned):
    old = s3.put_object(Bucket=versioned, Key="k", Body=b"1", Tagging="v=old")["VersionId"]
    new = s3.put_object(Bucket=versioned, Key="k", Body=b"2")["VersionId"]
    got = s3.put_object_tagging(Bucket=versioned, Key="k", Tagging={"TagSet": [{"Key": "v", "Value": "new"}]})
    assert got["VersionId"] == new
    assert as_dict(s3.get_object_tagging(Bucket=versioned, Key="k", VersionId=old)["TagSet"]) == {"v": "old"}
    assert as_dict(s3.get_object_tagging(Bucket=versioned, Key="k")["TagSet"]) == {"v": "new"}
    s3.delete_object_tagging(Bucket=versioned, Key="k", VersionId=old)
    assert s3.get_object_tagging(Bucket=versioned, Key="k", VersionId=old)["TagSet"] == []
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with refused("MethodNotAllowed", 405):
        s3.get_object_tagging(Bucket=versioned, Key="k", VersionId=marker)


def test_tags_of_what_is_not_there(s3, bucket):
    for call in (s3.get_object_tagging, s3.delete_object_tagging):
        with refused("NoSuchKey", 404):
            call(Bucket=bucket, Key="none")
    with refused("NoSuchKey", 404):
        s3.put_object_tagging(Bucket=bucket, Key="none", Tagging={"TagSet": []})


def test_bucket_tags(s3, bucket):
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS})
    assert as_dict(s3.get_bucket_tagging(Bucket=bucket)["TagSet"]) == as_dict(TAGS)
    fifty = [{"Key": f"k{n}", "Value": "v"} for n in range(50)]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": fifty})
    assert len(s3.get_bucket_tagging(Bucket=bucket)["TagSet"]) == 50
    with refused("BadRequest", 400):
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [*fifty, {"Key": "k", "Value": "v"}]})
    assert s3.delete_bucket_tagging(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)


def test_many_who_tag_one_object_get_their_turns(s3, bucket):
    """Each is decided by the tags that the one before it left; none is turned away because others were faster."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    def tag(number):
        tagging = {"TagSet": [{"Key": "a", "Value": str(number)}]}
        return s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=tagging)["ResponseMetadata"]["HTTPStatusCode"]

    with ThreadPoolExecutor(64) as pool:
        assert set(pool.map(tag, range(400))) == {200}
    assert int(as_dict(s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"])["a"]) < 400
