"""Buckets by Host: names below the configured domains."""

import pytest
from harness.clients import s3_client
from harness.raw import Raw


@pytest.fixture(params=["localhost", "s3.localhost"])
def domain(request):
    return request.param


def test_boto3(server, bucket, domain):
    client = s3_client(server, style="virtual", endpoint=f"http://{domain}:{server.port}")
    client.put_object(Bucket=bucket, Key="a/b c", Body=b"data")
    assert client.get_object(Bucket=bucket, Key="a/b c")["Body"].read() == b"data"
    assert [o["Key"] for o in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["a/b c"]
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a/b c"})
    assert url.startswith(f"http://{bucket}.{domain}:{server.port}/")
    import urllib.request

    assert urllib.request.urlopen(url).read() == b"data"


def test_create_and_delete(server, bucket_name, domain):
    client = s3_client(server, style="virtual", endpoint=f"http://{domain}:{server.port}")
    client.create_bucket(Bucket=bucket_name)
    client.head_bucket(Bucket=bucket_name)
    client.delete_bucket(Bucket=bucket_name)


def via_host(raw: Raw, host: str, method: str, path: str, query: str = "", body: bytes = b""):
    return raw.request(method, path, query, {"host": host}, body)


def test_hosts(raw, s3, server, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    for host in (f"{bucket}.localhost:{server.port}", f"{bucket}.s3.localhost", f"{bucket.upper()}.LOCALHOST"):
        got = via_host(raw, host, "GET", "/k")
        assert (got.status, got.body) == (200, b"data"), (host, got)
    # At the bare domains the first part of the path is the bucket.
    for host in ("localhost", f"s3.localhost:{server.port}", f"127.0.0.1:{server.port}"):
        assert via_host(raw, host, "GET", f"/{bucket}/k").body == b"data", host


def test_path_is_the_key(raw, s3, bucket):
    """With the bucket in the Host, the whole path is the key, also when it begins with a bucket's name or a slash."""
    for path, key in ((f"/{bucket}/k", f"{bucket}/k"), ("//k", "/k"), ("/_millpond/health/ready", "_millpond/health/ready")):
        got = via_host(raw, f"{bucket}.localhost", "PUT", path, body=key.encode())
        assert got.status == 200, got
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()


def test_bucket_with_dots(raw, s3, bucket_name):
    name = f"{bucket_name}.with.dots"
    s3.create_bucket(Bucket=name)
    got = via_host(raw, f"{name}.localhost", "PUT", "/k", body=b"x")
    assert got.status == 200
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"x"


def test_missing_bucket(raw, bucket_name):
    got = via_host(raw, f"{bucket_name}.localhost", "GET", "/k")
    assert (got.status, got.code) == (404, "NoSuchBucket")
