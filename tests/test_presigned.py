"""Presigned URLs (SigV4 in the query)."""

import datetime
import hashlib

import pytest
from harness.raw import Raw, now

DAY = 24 * 3600


@pytest.fixture
def filled(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    return bucket


def fetch(raw, target, method="GET", headers=None, body=b""):
    return raw.send(method, target, headers, body)


def test_get_and_head(raw, filled):
    for method, body in (("GET", b"data"), ("HEAD", b"")):
        got = fetch(raw, raw.presign(method, f"/{filled}/k"), method)
        assert (got.status, got.body) == (200, body), got


def test_put_delete_and_list(raw, s3, filled):
    got = fetch(raw, raw.presign("PUT", f"/{filled}/new"), "PUT", body=b"put by url")
    assert got.status == 200, got
    assert s3.get_object(Bucket=filled, Key="new")["Body"].read() == b"put by url"
    assert fetch(raw, raw.presign("DELETE", f"/{filled}/new"), "DELETE").status == 204
    got = fetch(raw, raw.presign("GET", f"/{filled}", "list-type=2&prefix=k"))
    assert got.xml.findtext("Contents/Key") == "k"


def test_boto3_urls_by_curl(s3, filled, tools, tmp_path):
    url = s3.generate_presigned_url("get_object", Params={"Bucket": filled, "Key": "k"}, ExpiresIn=60)
    assert tools.curl(url).stdout == b"data"
    (tmp_path / "up").write_bytes(b"by curl")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": filled, "Key": "up load"}, ExpiresIn=60)
    tools.curl("--fail", "--upload-file", tmp_path / "up", url)
    assert s3.get_object(Bucket=filled, Key="up load")["Body"].read() == b"by curl"


def test_response_overrides(s3, filled, tools):
    url = s3.generate_presigned_url(
        "get_object", Params={"Bucket": filled, "Key": "k", "ResponseContentType": "a/b", "VersionId": "null"}
    )
    assert b"content-type: a/b" in tools.curl("-i", url).stdout.lower()


def test_aws_cli_presign(tools, filled):
    url = tools.aws("s3", "presign", f"s3://{filled}/k").stdout.decode().strip()
    assert tools.curl("--fail", url).stdout == b"data"


@pytest.mark.parametrize("expires, ok", [(1, True), (7 * DAY, True), (7 * DAY + 1, False), (0, False), (-1, False),
                                         ("NaN", False), ("", False), ("1e3", False), ("10.5", False), ("+60", False),
                                         (10**30, False), ("60abc", False)])  # fmt: skip
def test_expiry_values(raw, filled, expires, ok):
    if ok:
        # A minute ahead of the server's clock, within the skew: a second's validity outlasts the way there.
        when = now() + datetime.timedelta(seconds=60)
        assert fetch(raw, raw.presign("GET", f"/{filled}/k", expires=expires, when=when)).status == 200
    else:
        got = fetch(raw, raw.presign("GET", f"/{filled}/k", expires=expires))
        assert got.status in (400, 403) and got.code in ("AuthorizationQueryParametersError", "AccessDenied"), got


@pytest.mark.parametrize("age, expires, ok", [
    (30, 60, True),
    (61, 60, False),
    (6 * DAY, 7 * DAY, True),
    (8 * DAY, 7 * DAY, False),
    (-60, 60, True),  # within the skew of 15 minutes
    (-16 * 60, 3600, False),
])  # fmt: skip
def test_age(raw, filled, age, expires, ok):
    when = now() - datetime.timedelta(seconds=age)
    got = fetch(raw, raw.presign("GET", f"/{filled}/k", expires=expires, when=when))
    assert (got.status, got.code) == ((200, None) if ok else (403, "AccessDenied")), got


def test_wrong_method(raw, s3, filled):
    url = raw.presign("GET", f"/{filled}/k")
    for method in ("PUT", "DELETE", "HEAD"):
        got = fetch(raw, url, method, body=b"x" if method == "PUT" else b"")
        assert got.status == 403, method
    assert s3.get_object(Bucket=filled, Key="k")["Body"].read() == b"data"


@pytest.mark.parametrize("change", [
    lambda url: url.replace("/k?", "/k2?"),
    lambda url: url + "&versionId=null",
    lambda url: url + "&x=y",
    lambda url: url.replace("X-Amz-Expires=300", "X-Amz-Expires=301"),
    lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"),
    lambda url: url[:-2],
])  # fmt: skip
def test_changed_urls(raw, filled, change):
    got = fetch(raw, change(raw.presign("GET", f"/{filled}/k")))
    assert (got.status, got.code) == (403, "SignatureDoesNotMatch"), got


@pytest.mark.parametrize("name", ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders"])
def test_missing_parameters(raw, filled, name):
    url = raw.presign("GET", f"/{filled}/k")
    path, _, query = url.partition("?")
    query = "&".join(item for item in query.split("&") if not item.startswith(name + "="))
    got = fetch(raw, f"{path}?{query}")
    assert got.status in (400, 403) and got.code in ("AuthorizationQueryParametersError", "AccessDenied"), got


@pytest.mark.parametrize("name", ["X-Amz-Expires", "X-Amz-Signature", "X-Amz-Date", "X-Amz-Credential"])
def test_doubled_parameters(raw, filled, name):
    url = raw.presign("GET", f"/{filled}/k")
    item = next(i for i in url.partition("?")[2].split("&") if i.startswith(name + "="))
    got = fetch(raw, f"{url}&{item}")
    assert got.status in (400, 403), got


def test_headers_that_are_not_signed(raw, s3, filled):
    """An x-amz-* header beside a URL that does not cover it would change what the signer meant."""
    for header in ({"x-amz-acl": "private"}, {"x-amz-meta-a": "1"}, {"x-amz-copy-source": f"/{filled}/k"}, {"x-amz-tagging": "a=b"}):
        got = fetch(raw, raw.presign("PUT", f"/{filled}/new"), "PUT", header, b"x")
        assert (got.status, got.code) == (403, "AccessDenied"), (header, got)
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=filled)["Contents"]] == ["k"]


def test_headers_that_are_signed(raw, s3, filled):
    headers = {"x-amz-meta-a": "1", "content-type": "text/x"}
    url = raw.presign("PUT", f"/{filled}/new", headers=headers)
    assert fetch(raw, url, "PUT", headers, b"x").status == 200
    got = s3.head_object(Bucket=filled, Key="new")
    assert (got["Metadata"], got["ContentType"]) == ({"a": "1"}, "text/x")
    assert fetch(raw, url, "PUT", {**headers, "x-amz-meta-a": "2"}, b"x").code == "SignatureDoesNotMatch"
    assert fetch(raw, url, "PUT", {"content-type": "text/x"}, b"x").status in (400, 403)


def test_wrong_credentials(server, filled):
    wrong_key = Raw(server.endpoint, "AKIAIOSFODNN7EXAMPLE", server.secret_key, server.region)
    got = fetch(wrong_key, wrong_key.presign("GET", f"/{filled}/k"))
    assert (got.status, got.code) == (403, "InvalidAccessKeyId")
    wrong_secret = Raw(server.endpoint, server.access_key, "x" * 40, server.region)
    got = fetch(wrong_secret, wrong_secret.presign("GET", f"/{filled}/k"))
    assert (got.status, got.code) == (403, "SignatureDoesNotMatch")


def test_wrong_region(raw, filled):
    got = fetch(raw, raw.presign("GET", f"/{filled}/k", region="eu-west-3"))
    assert (got.status, got.code) == (400, "AuthorizationQueryParametersError"), got


def test_header_and_query_together(raw, filled):
    url = raw.presign("GET", f"/{filled}/k")
    path, _, query = url.partition("?")
    signed = raw.sign("GET", path, query).headers
    got = raw.send("GET", url, signed)
    assert (got.status, got.code) == (400, "InvalidArgument"), got


def test_content_sha256_is_checked_when_it_is_given(raw, s3, filled):
    headers = {"x-amz-content-sha256": hashlib.sha256(b"right").hexdigest()}
    path = f"/{filled}/new"
    url = raw.presign("PUT", path, headers=headers)
    got = fetch(raw, url, "PUT", headers, b"wrong")
    assert got.status in (400, 403), got
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=filled)["Contents"]] == ["k"]


def test_headers_that_sdks_move_into_the_query(raw, s3, filled):
    """The JavaScript SDK signs x-amz-* headers as parameters of the URL; they take effect as headers do, or are refused."""
    url = raw.presign("PUT", f"/{filled}/moved", "x-amz-meta-a=b%20c&x-amz-storage-class=STANDARD_IA")
    assert fetch(raw, url, "PUT", body=b"x").status == 200
    head = s3.head_object(Bucket=filled, Key="moved")
    assert (head["Metadata"], head["StorageClass"]) == ({"a": "b c"}, "STANDARD_IA")
    for query, code in (
        ("x-amz-server-side-encryption=aws%3Akms%3Adsse", "NotImplemented"),
        ("x-amz-acl=public-read", "AccessControlListNotSupported"),
        ("x-amz-checksum-crc32=AAAAAA%3D%3D", "BadDigest"),
        ("x-amz-meta-a=1&x-amz-meta-a=2", "AuthorizationQueryParametersError"),
    ):
        got = fetch(raw, raw.presign("PUT", f"/{filled}/refused", query), "PUT", body=b"x")
        assert got.code == code, (query, got)
    assert "refused" not in [o["Key"] for o in s3.list_objects_v2(Bucket=filled)["Contents"]]
