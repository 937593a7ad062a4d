"""DeleteObject and DeleteObjects."""

import pytest
from harness.clients import refused
from harness.sums import etag, md5


def keys_of(s3, bucket):
    return [o["Key"] for o in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_delete_is_idempotent(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for _ in range(2):
        got = s3.delete_object(Bucket=bucket, Key="k")
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert "DeleteMarker" not in got and "VersionId" not in got
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")


def test_delete_if_match(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with refused("PreconditionFailed", 412):
        s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag(b"y"))
    assert keys_of(s3, bucket) == ["k"]
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag(b"x"))
    assert keys_of(s3, bucket) == []


def test_delete_if_match_star(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="k", IfMatch="*")
    assert keys_of(s3, bucket) == []


def test_delete_many(s3, bucket):
    keys = ["a", "b/c", "d e", "ü", "<&>", "x\ny"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    got = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in keys] + [{"Key": "absent"}]})
    assert sorted(d["Key"] for d in got["Deleted"]) == sorted([*keys, "absent"])
    assert "Errors" not in got
    assert keys_of(s3, bucket) == []


def test_delete_many_quietly(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    got = s3.delete_objects(Bucket=bucket, Delete={"Quiet": True, "Objects": [{"Key": "a"}, {"Key": "b"}]})
    assert "Deleted" not in got and "Errors" not in got
    assert keys_of(s3, bucket) == []


def test_delete_many_with_versions(s3, versioned):
    versions = [s3.put_object(Bucket=versioned, Key="k", Body=str(n).encode())["VersionId"] for n in range(3)]
    got = s3.delete_objects(
        Bucket=versioned,
        Delete={"Objects": [{"Key": "k", "VersionId": versions[1]}, {"Key": "k"}, {"Key": "k", "VersionId": "no-such"}]},
    )
    exact = [d for d in got["Deleted"] if d.get("VersionId") == versions[1]]
    assert exact and "DeleteMarker" not in exact[0]
    marked = [d for d in got["Deleted"] if d.get("DeleteMarker")]
    assert marked and marked[0]["DeleteMarkerVersionId"]
    # An id that cannot be one is an error of its item or a deletion of nothing; it deletes nothing else.
    left = s3.list_object_versions(Bucket=versioned)
    assert [v["VersionId"] for v in left["Versions"]] == [versions[2], versions[0]]
    assert [m["VersionId"] for m in left["DeleteMarkers"]] == [marked[0]["DeleteMarkerVersionId"]]


def test_delete_many_conditionally(s3, bucket):
    for key in "ab":
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    got = s3.delete_objects(
        Bucket=bucket,
        Delete={"Objects": [{"Key": "a", "ETag": etag(b"a")}, {"Key": "b", "ETag": etag(b"other")}]},
    )
    assert [d["Key"] for d in got["Deleted"]] == ["a"]
    assert [(e["Key"], e["Code"]) for e in got["Errors"]] == [("b", "PreconditionFailed")]
    assert keys_of(s3, bucket) == ["b"]


def body_of(count: int) -> bytes:
    return b"<Delete>" + b"".join(b"<Object><Key>k%d</Key></Object>" % n for n in range(count)) + b"</Delete>"


def test_delete_thousand(raw, bucket):
    body = body_of(1000)
    got = raw.request("POST", f"/{bucket}", "delete=", {"content-md5": md5(body)}, body)
    assert got.status == 200
    assert len(got.xml.findall("Deleted")) == 1000


@pytest.mark.parametrize(
    "body",
    [body_of(1001), body_of(0), b"", b"<Delete><Object></Object></Delete>", b"<Delete><Object><Key>a</Key>", b"{}"],
    ids=["1001", "none", "empty", "no-key", "cut", "json"],
)
def test_delete_many_malformed(raw, s3, bucket, body):
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    got = raw.request("POST", f"/{bucket}", "delete=", {"content-md5": md5(body)}, body)
    assert (got.status, got.code) == (400, "MalformedXML" if body else got.code), got
    assert keys_of(s3, bucket) == ["a"]


def test_delete_many_needs_a_digest(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k0", Body=b"x")
    body = body_of(1)
    got = raw.request("POST", f"/{bucket}", "delete=", body=body)
    assert (got.status, got.code) == (400, "InvalidRequest")
    got = raw.request("POST", f"/{bucket}", "delete=", {"content-md5": md5(b"other")}, body)
    assert (got.status, got.code) == (400, "BadDigest")
    assert keys_of(s3, bucket) == ["k0"]


def test_delete_objects_with_the_aws_namespace(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a&b", Body=b"x")
    body = (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">\n'
        b"  <Object>\n    <Key>a&amp;b</Key>\n  </Object>\n  <Quiet>false</Quiet>\n</Delete>\n"
    )
    assert raw.request("POST", f"/{bucket}", "delete=", {"content-md5": md5(body)}, body).status == 200
    assert keys_of(s3, bucket) == []
