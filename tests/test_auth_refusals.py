"""Requests whose sender is not who they say, or did not sign what they sent."""

import copy
import datetime
import hashlib

import pytest
from harness.clients import refused, s3_client
from harness.raw import EMPTY_SHA256, UNSIGNED, Raw, amz_date, now


@pytest.fixture
def filled(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    return bucket


def untouched(s3, bucket):
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"data"


def test_wrong_access_key(server, s3, filled):
    with refused("InvalidAccessKeyId", 403) as error:
        s3_client(server, access_key="AKIAIOSFODNN7EXAMPLE").get_object(Bucket=filled, Key="k")
    assert error["Error"]["AWSAccessKeyId"] == "AKIAIOSFODNN7EXAMPLE"
    with refused("InvalidAccessKeyId", 403):
        s3_client(server, access_key="AKIAIOSFODNN7EXAMPLE").put_object(Bucket=filled, Key="k", Body=b"changed")
    untouched(s3, filled)


def test_wrong_secret(server, s3, filled):
    client = s3_client(server, secret_key="wrong" * 8)
    for call in (
        lambda: client.get_object(Bucket=filled, Key="k"),
        lambda: client.put_object(Bucket=filled, Key="k", Body=b"changed"),
        lambda: client.delete_object(Bucket=filled, Key="k"),
        lambda: client.create_bucket(Bucket=f"{filled}-new"),
        lambda: client.list_buckets(),
    ):
        with refused("SignatureDoesNotMatch", 403) as error:
            call()
        assert server.secret_key not in str(error)
    untouched(s3, filled)


ANONYMOUS = [
    ("GET", "", ""), ("GET", "/{b}", ""), ("GET", "/{b}", "list-type=2"), ("PUT", "/{b}x", ""), ("DELETE", "/{b}", ""),
    ("GET", "/{b}/k", ""), ("PUT", "/{b}/n", ""), ("DELETE", "/{b}/k", ""), ("POST", "/{b}/k", "uploads="),
    ("GET", "/{b}/k", "tagging="), ("GET", "/{b}", "acl="), ("GET", "/{b}/none", ""),
    ("GET", "/no-such-bucket-{b}/k", ""),
]  # fmt: skip


@pytest.mark.parametrize("method, path, query", ANONYMOUS)
def test_anonymous(raw, s3, filled, method, path, query):
    path = path.format(b=filled) or "/"
    got = raw.send(method, f"{path}?{query}" if query else path)
    # Whether something exists is no business of a stranger's, except that AWS tells of a missing bucket.
    assert (got.status, got.code) in ((403, "AccessDenied"), (404, "NoSuchBucket"), (307, None)), got
    untouched(s3, filled)


def test_anonymous_batch(raw, s3, filled):
    """DeleteObjects answers item by item, also to strangers: all are denied."""
    from harness.sums import md5

    body = b"<Delete><Object><Key>k</Key></Object><Object><Key>none</Key></Object></Delete>"
    got = raw.send("POST", f"/{filled}?delete=", {"content-md5": md5(body)}, body)
    assert got.status in (200, 403) and b"AccessDenied" in got.body and b"<Deleted>" not in got.body, got
    untouched(s3, filled)


@pytest.mark.parametrize("minutes", [-16, 16, -60 * 24, 60 * 24 * 365])
def test_clock_skew(raw, s3, filled, minutes):
    when = now() + datetime.timedelta(minutes=minutes)
    got = raw.request("PUT", f"/{filled}/new", body=b"x", when=when)
    assert (got.status, got.code) == (403, "RequestTimeTooSkewed"), got
    untouched(s3, filled)


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_little_skew(raw, filled, minutes):
    assert raw.request("GET", f"/{filled}/k", when=now() + datetime.timedelta(minutes=minutes)).status == 200


def test_wrong_region(raw, server, filled):
    got = raw.request("GET", f"/{filled}/k", region="eu-west-3")
    assert (got.status, got.code) == (400, "AuthorizationHeaderMalformed")
    assert got.xml.findtext("Region") == server.region


def test_boto3_finds_the_region(server, filled):
    """botocore retries with the region that the error names."""
    import boto3

    client = boto3.session.Session().client(
        "s3", endpoint_url=server.endpoint, region_name="eu-west-3", aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )  # fmt: skip
    with refused("AuthorizationHeaderMalformed", 400):
        client.list_buckets()


@pytest.mark.parametrize("name, value", [("x-amz-acl", "private"), ("x-amz-meta-a", "1"), ("x-amz-tagging", "a=b"),
                                         ("x-amz-storage-class", "STANDARD_IA"), ("x-amz-copy-source", "/b/k")])  # fmt: skip
def test_unsigned_amz_headers(raw, s3, filled, name, value):
    got = raw.request("PUT", f"/{filled}/new", headers={name: value}, body=b"x", unsigned=(name,))
    assert (got.status, got.code) == (403, "AccessDenied"), got
    untouched(s3, filled)


def test_headers_added_later(raw, s3, filled):
    signed = raw.sign("PUT", f"/{filled}/new", payload=UNSIGNED).headers
    got = raw.send("PUT", f"/{filled}/new", {**signed, "X-Amz-Meta-Added": "1"}, b"x")
    assert (got.status, got.code) == (403, "AccessDenied"), got
    untouched(s3, filled)


@pytest.mark.parametrize("unsigned, codes", [
    (("host",), ("AccessDenied", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed")),
    (("x-amz-date",), ("AccessDenied", "SignatureDoesNotMatch")),
    (("x-amz-content-sha256",), ("AccessDenied", "SignatureDoesNotMatch")),
])  # fmt: skip
def test_what_must_be_signed(raw, filled, unsigned, codes):
    got = raw.request("GET", f"/{filled}/k", unsigned=unsigned)
    assert got.status in (400, 403) and got.code in codes, got


CHANGES = [
    ("method", lambda m, t, h: ("DELETE", t, h)),
    ("key", lambda m, t, h: (m, t + "2", h)),
    ("query", lambda m, t, h: (m, t + "?versionId=null", h)),
    ("signed header", lambda m, t, h: (m, t, {**h, "x-amz-date": amz_date(now() + datetime.timedelta(minutes=1))})),
    ("host", lambda m, t, h: (m, t, {**h, "host": "localhost:1"})),
    ("metadata", lambda m, t, h: (m, t, {**h, "x-amz-meta-a": "2"})),
]  # fmt: skip


@pytest.mark.parametrize("what, change", CHANGES, ids=[c[0] for c in CHANGES])
def test_changed_after_signing(raw, s3, filled, what, change):
    signed = raw.sign("GET", f"/{filled}/k", headers={"x-amz-meta-a": "1"}).headers
    got = raw.send(*change("GET", f"/{filled}/k", signed))
    assert (got.status, got.code) == (403, "SignatureDoesNotMatch"), got
    untouched(s3, filled)


def malformed(raw):
    good = raw.sign("GET", "/").headers["authorization"]
    scope = good.partition("Credential=")[2].partition(",")[0]
    signature = good.rpartition("=")[2]
    return [
        ("AWS4-HMAC-SHA256", (400,)),
        ("AWS4-HMAC-SHA256 ", (400,)),
        ("AWS4-HMAC-SHA256 Credential=", (400,)),
        (f"AWS4-HMAC-SHA256 Credential={scope}", (400,)),
        (f"AWS4-HMAC-SHA256 Credential={scope}, Signature={signature}", (400,)),
        (f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date", (400,)),
        (f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=, Signature={signature}", (400, 403)),
        (good.replace("/s3/", "/ec2/"), (501,)),
        (good.replace("/aws4_request", "/aws5_request"), (400,)),
        (good.replace("/s3/aws4_request", ""), (400,)),
        (good.replace(raw.access_key, "a/b/c"), (400, 403)),
        (good.replace(signature, ""), (400, 403)),
        (good.replace(signature, signature[:-1]), (400, 403)),
        (good.replace(signature, "z" * 64), (400, 403)),
        (good.replace(signature, "é" * 32), (400, 403)),
        (good.replace(raw.access_key, "K" * 5000), (400, 403)),
        ("AWS4-ECDSA-P256-SHA256 " + good.partition(" ")[2], (400,)),
        ("Basic dXNlcjpwYXNz", (400, 403)),
        ("Bearer token", (400, 403)),
        ("", (400, 403)),
        (good + ", " + good, (400, 403)),
        (good.replace("Signature=", "Signature=" + signature + ", Signature="), (400, 403)),
    ]


def test_malformed_authorization(raw):
    for value, statuses in malformed(raw):
        headers = {**raw.sign("GET", "/").headers, "authorization": value}
        got = raw.send("GET", "/", headers)
        assert got.status in statuses and got.code, (value, got)


def test_signature_version_2(raw, filled):
    got = raw.send("GET", f"/{filled}/k", {"authorization": f"AWS {raw.access_key}:c2lnbmF0dXJl", "date": "x"})
    assert (got.status, got.code) == (400, "InvalidRequest"), got
    query = f"AWSAccessKeyId={raw.access_key}&Signature=c2ln&Expires=99999999999"
    got = raw.send("GET", f"/{filled}/k?{query}")
    assert got.status in (400, 403) and got.code in ("InvalidRequest", "AccessDenied"), got


def test_missing_headers(raw, filled):
    for name in ("x-amz-content-sha256", "x-amz-date"):
        headers = raw.sign("GET", f"/{filled}/k").headers
        del headers[name]
        got = raw.send("GET", f"/{filled}/k", headers)
        assert got.status in (400, 403) and got.code, (name, got)


@pytest.mark.parametrize("value", ["20260101", "yesterday", "2026-01-01T00:00:00Z", "20261332T256161Z", "", "20260101T000000+0"])
def test_malformed_date(raw, filled, value):
    headers = {**raw.sign("GET", f"/{filled}/k").headers, "x-amz-date": value}
    got = raw.send("GET", f"/{filled}/k", headers)
    assert got.status in (400, 403) and got.code, got


def test_scope_of_another_day(raw, filled):
    """The date of the scope must be the request's."""
    headers = raw.sign("GET", f"/{filled}/k", when=now()).headers
    yesterday = (now() - datetime.timedelta(days=1)).strftime("%Y%m%d")
    headers["authorization"] = headers["authorization"].replace(now().strftime("%Y%m%d"), yesterday)
    got = raw.send("GET", f"/{filled}/k", headers)
    assert got.status in (400, 403) and got.code in ("AuthorizationHeaderMalformed", "SignatureDoesNotMatch", "AccessDenied"), got


def test_unknown_session_token(raw, filled):
    got = raw.request("GET", f"/{filled}/k", headers={"x-amz-security-token": "FwoGZXIvYXdzEXAMPLE"})
    assert got.status in (400, 403) and got.code in ("InvalidToken", "AccessDenied"), got


def test_unsigned_payload_is_allowed(raw, filled):
    assert raw.request("PUT", f"/{filled}/k", body=b"data", payload=UNSIGNED).status == 200


def test_empty_payload_hash_with_a_body(raw, s3, filled):
    got = raw.request("PUT", f"/{filled}/new", body=b"smuggled", payload=EMPTY_SHA256)
    assert (got.status, got.code) == (400, "XAmzContentSHA256Mismatch"), got
    untouched(s3, filled)


def test_empty_secret(server, filled):
    client = Raw(server.endpoint, server.access_key, "", server.region)
    assert client.request("GET", f"/{filled}/k").code == "SignatureDoesNotMatch"
    client = Raw(server.endpoint, "", "", server.region)
    assert client.request("GET", f"/{filled}/k").status in (400, 403)


def test_signatures_of_odd_requests(raw, s3, filled):
    """Forms in which signers differ: each must verify as the SigV4 rules say."""
    cases = [
        (f"/{filled}", "list-type=2&prefix="),
        (f"/{filled}", "prefix=&list-type=2"),
        (f"/{filled}", "list-type=2&prefix=a%20b"),
        (f"/{filled}", "list-type=2&prefix=%C3%BC%2F~"),
        (f"/{filled}", "delimiter=%2F&list-type=2&max-keys=1&prefix=k&start-after=%21"),
        (f"/{filled}/k", ""),
    ]
    for path, query in cases:
        got = raw.request("GET", path, query)
        assert got.status == 200, (path, query, got)
    # Header values with inner runs of spaces are signed as one space.
    body = b"x"
    signed = raw.sign("PUT", f"/{filled}/n", headers={"x-amz-meta-s": "a   b"}, payload=hashlib.sha256(body).hexdigest())
    assert raw.send("PUT", f"/{filled}/n", signed.headers, body).status == 200


def test_the_target_and_the_host_header_must_agree(raw, server, s3, filled):
    """The signature covers the Host header; a target in absolute form must not choose another bucket than the one signed for."""
    other = f"{filled}-other"
    s3.create_bucket(Bucket=other)
    s3.put_object(Bucket=other, Key="k", Body=b"secret")
    signer = copy.copy(raw)
    signer.host = f"{filled}.localhost:{server.port}"
    url = signer.presign("GET", "/k")
    assert signer.send("GET", url).body == b"data"
    assert signer.send("GET", f"http://{signer.host}{url}").body == b"data"
    for authority in (f"{other}.localhost:{server.port}", f"localhost:{server.port}"):
        got = signer.send("GET", f"http://{authority}{url}")
        assert got.status == 400 and b"secret" not in got.body, got


def test_a_copy_does_not_tell_strangers_what_is_there(raw, filled):
    answers = {
        raw.send("PUT", f"/{filled}/x", {"x-amz-copy-source": f"{filled}/{key}"}).code for key in ("k", "missing")
    }
    assert answers == {"AccessDenied"}


@pytest.mark.parametrize("method, rest", [("POST", "?delete"), ("PUT", "?tagging"), ("POST", "/k?uploadId=x"), ("PUT", "-new")])
def test_nobody_sends_documents(raw, filled, method, rest):
    """Who is nobody is denied before a document is read."""
    got = raw.send(method, f"/{filled}{rest}", {}, b"<", 8_000_000)
    assert got.code == "AccessDenied", got
