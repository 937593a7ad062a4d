"""Holes that real S3 servers had, one test each, named after the hole. Finer tables of cases are in the files about the feature.

Outgoing calls and functions have theirs when there are such things.
"""

import datetime
import hashlib
import json
import os
import stat

import pytest
from harness.clients import refused, s3_client
from harness.raw import STREAMING, STREAMING_TRAILER, UNSIGNED, Raw, amz_date, encode_key, now
from harness.sums import checksum, noise

DAY = 24 * 3600


@pytest.fixture
def filled(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    return bucket


def untouched(s3, bucket):
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"data"


def client_of(server, service="s3"):
    return Raw(server.endpoint, server.access_key, server.secret_key, server.region, service)


def generated(server) -> dict[str, str]:
    lines = (server.data_dir / "root-credentials").read_text().splitlines()
    return dict(line.split(" = ") for line in lines if " = " in line)


# No default, derived or logged secret. Secrets at rest are sealed.

# What servers were once shipped with, and what documentation prints.
WELL_KNOWN = [
    ("minioadmin", "minioadmin"), ("test", "test"), ("admin", "password"), ("root", "root"), ("any", "any"),
    ("accessKey1", "verySecretKey1"), ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("millpond", "millpond"),
]  # fmt: skip


@pytest.mark.restarts
def test_no_default_secret(make_server):
    server = make_server(root_credentials=False)
    for access_key, secret_key in WELL_KNOWN:
        with refused("InvalidAccessKeyId", 403):
            s3_client(server, access_key=access_key, secret_key=secret_key).list_buckets()
    # The right key id does not help without its secret.
    access_key = generated(server)["access_key"]
    for secret_key in {secret for _, secret in WELL_KNOWN} | {access_key, " "}:
        with refused("SignatureDoesNotMatch", 403):
            s3_client(server, access_key=access_key, secret_key=secret_key).list_buckets()


@pytest.mark.restarts
def test_no_derived_secret(make_server):
    """Two servers with the same settings have nothing in common, and a secret has nothing of its key's id."""
    one, other = (generated(make_server(root_credentials=False)) for _ in range(2))
    assert one["secret_key"] != other["secret_key"] and one["access_key"] != other["access_key"]
    for pair in (one, other):
        digests = {hashlib.new(name, pair["access_key"].encode()).hexdigest() for name in ("md5", "sha1", "sha256")}
        assert len(pair["secret_key"]) >= 40 and pair["access_key"] not in pair["secret_key"]
        assert not any(digest[:40] in pair["secret_key"].lower() for digest in digests)


@pytest.mark.restarts
@pytest.mark.parametrize("form", ["json", "text"])
def test_no_logged_secret(make_server, form):
    server = make_server(args=["--log-format", form, "--log-level", "trace"])
    client, raw = s3_client(server), client_of(server)
    client.create_bucket(Bucket="logged")
    client.put_object(Bucket="logged", Key="k", Body=b"data")
    url = raw.presign("GET", "/logged/k")
    assert raw.send("GET", url).status == 200
    signed = raw.sign("GET", "/logged/k", headers={"x-amz-security-token": "TOKEN" + "t" * 40}).headers
    assert raw.send("GET", "/logged/k", signed).status in (400, 403)
    key = {
        "x-amz-server-side-encryption-customer-algorithm": "AES256",
        "x-amz-server-side-encryption-customer-key": "a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5MTI=",
    }
    told = raw.request("PUT", "/logged/c", headers=key, body=b"x").headers["x-amz-request-id"]
    with refused("SignatureDoesNotMatch", 403):
        s3_client(server, secret_key="wrong" * 8).list_buckets()
    server.stop()
    secrets = {
        "the secret key": server.secret_key,
        "a presigned URL's signature": url.rsplit("=", 1)[1],
        "a session token": "TOKEN" + "t" * 40,
        "a signature": signed["authorization"].rsplit("=", 1)[1],
        "a customer's key": key["x-amz-server-side-encryption-customer-key"],
        "a wrong secret": "wrong" * 8,
    }
    log = server.log()
    assert told in log, "the requests are in the log"
    assert [name for name, secret in secrets.items() if secret in log] == []


@pytest.mark.restarts
def test_secrets_at_rest_are_sealed(make_server):
    """A secret that was given is nowhere in the data directory; one that was made is in its one file alone, which is its owner's."""

    def holding(server, secret):
        files = (path for path in server.data_dir.rglob("*") if path.is_file())
        return sorted(path.name for path in files if secret.encode() in path.read_bytes())

    given = make_server()
    s3_client(given).create_bucket(Bucket="sealed")
    given.stop()
    assert holding(given, given.secret_key) == []
    made = make_server(root_credentials=False)
    assert holding(made, generated(made)["secret_key"]) == ["root-credentials"]
    assert stat.S_IMODE(os.stat(made.data_dir / "root-credentials").st_mode) == 0o600


# Nothing allowed means denied; an operation authorizes every resource it touches.


@pytest.mark.parametrize("method, path, query", [
    ("GET", "/", ""), ("PUT", "/{b}-new", ""), ("GET", "/{b}", "list-type=2"), ("GET", "/{b}", "versions="),
    ("GET", "/{b}", "policy="), ("GET", "/{b}", "acl="), ("GET", "/{b}/k", ""), ("GET", "/{b}/k", "versionId=null"),
    ("GET", "/{b}/k", "acl="), ("PUT", "/{b}/k", ""), ("PUT", "/{b}/k", "acl="), ("DELETE", "/{b}/k", ""),
    ("DELETE", "/{b}/k", "versionId=null"), ("POST", "/{b}/k", "uploads="), ("DELETE", "/{b}", ""),
])  # fmt: skip
def test_nothing_allowed_means_denied(raw, s3, filled, method, path, query):
    path = path.format(b=filled)
    got = raw.send(method, f"{path}?{query}" if query else path)
    assert got.status in (307, 403) and got.code in ("AccessDenied", None), got
    untouched(s3, filled)


def test_a_copy_authorizes_its_source_too(raw, s3, filled):
    """Who may write the target by a URL does not get to read a source by it."""
    for headers in ({"x-amz-copy-source": f"/{filled}/k"}, {"x-amz-copy-source": f"/{filled}/k", "x-amz-metadata-directive": "COPY"}):
        got = raw.send("PUT", raw.presign("PUT", f"/{filled}/stolen"), headers)
        assert (got.status, got.code) == (403, "AccessDenied"), got
    got = raw.send("PUT", f"/{filled}/stolen", {"x-amz-copy-source": f"/{filled}/k"})
    assert (got.status, got.code) == (403, "AccessDenied"), got
    untouched(s3, filled)


def test_a_version_is_another_resource(raw, s3, versioned):
    """A URL for an object is none for its versions."""
    first = s3.put_object(Bucket=versioned, Key="k", Body=b"first")["VersionId"]
    s3.put_object(Bucket=versioned, Key="k", Body=b"second")
    for method in ("GET", "DELETE"):
        url = raw.presign(method, f"/{versioned}/k")
        got = raw.send(method, f"{url}&versionId={first}")
        assert (got.status, got.code) == (403, "SignatureDoesNotMatch"), got
    assert s3.get_object(Bucket=versioned, Key="k", VersionId=first)["Body"].read() == b"first"


# Headers that are not signed do not count.


@pytest.mark.parametrize("name, value", [
    ("x-amz-acl", "public-read"), ("x-amz-copy-source", "/b/k"), ("x-amz-meta-a", "1"), ("x-amz-tagging", "a=b"),
    ("x-amz-security-token", "t"), ("x-amz-website-redirect-location", "/x"), ("x-amz-grant-read", 'id="x"'),
    ("x-amz-bypass-governance-retention", "true"), ("X-AMZ-Server-Side-Encryption", "AES256"),
])  # fmt: skip
def test_headers_that_are_not_signed_do_not_count(raw, s3, filled, name, value):
    signed = raw.sign("PUT", f"/{filled}/new", payload=UNSIGNED).headers
    got = raw.send("PUT", f"/{filled}/new", {**signed, name: value}, b"x")
    assert got.status in (400, 403) and got.code in ("AccessDenied", "InvalidToken"), got
    got = raw.send("PUT", raw.presign("PUT", f"/{filled}/new"), {name: value}, b"x")
    assert got.status in (400, 403) and got.code in ("AccessDenied", "InvalidToken"), got
    untouched(s3, filled)


# Presigned URLs and clocks.


@pytest.mark.parametrize("expires", [7 * DAY + 1, "NaN", "nan", "inf", "-1", "0", "1e9", "604800.5", "", "9" * 40])
def test_presigned_urls_live_seven_days_at_most(raw, filled, expires):
    assert raw.send("GET", raw.presign("GET", f"/{filled}/k", expires=7 * DAY)).status == 200
    got = raw.send("GET", raw.presign("GET", f"/{filled}/k", expires=expires))
    assert got.status in (400, 403) and got.code in ("AuthorizationQueryParametersError", "AccessDenied"), got


@pytest.mark.parametrize("minutes, good", [(-14, True), (14, True), (-16, False), (16, False)])
def test_clocks_may_differ_by_fifteen_minutes(raw, filled, minutes, good):
    when = now() + datetime.timedelta(minutes=minutes)
    got = raw.request("GET", f"/{filled}/k", when=when, headers={"x-amz-date": amz_date(when)})
    assert (got.status, got.code) == ((200, None) if good else (403, "RequestTimeTooSkewed")), got


# Chunk signatures and trailers are verified before the bytes count.


@pytest.mark.parametrize("what", ["signature", "bytes", "last", "trailer", "missing trailer"])
def test_chunks_and_trailers_are_verified_before_they_count(raw, s3, filled, what):
    data = noise(200_000, 7)

    def other(text):
        return text[:-1] + ("0" if text[-1] != "0" else "1")

    def spoil(index, head, piece):
        match what, index:
            case ("signature", 1) | ("last", 4) | ("trailer", -1):
                return other(head), piece
            case "bytes", 1:
                return head, b"X" + piece[1:]
        return head, piece

    trailers = {"x-amz-checksum-crc32": checksum("CRC32", data)} if what == "trailer" else None
    headers = {"x-amz-trailer": "x-amz-checksum-crc32"} if what == "missing trailer" else None
    mode = STREAMING_TRAILER if "trailer" in what else STREAMING
    got = raw.chunked(f"/{filled}/k", data, mode=mode, trailers=trailers, headers=headers, spoil=spoil)
    assert got.status in (400, 403) and got.code, got
    if "trailer" not in what:
        assert got.code == "SignatureDoesNotMatch", got
    # Over an object that was there: not a byte of it changed.
    untouched(s3, filled)


# Client headers never feed trusted condition keys.


@pytest.mark.restarts
def test_client_headers_feed_no_trusted_keys(make_server):
    """Without a configured proxy nobody's word is taken for where a request came from, nor for how."""
    forged = {
        "x-forwarded-for": "203.0.113.77", "forwarded": "for=203.0.113.77;proto=https", "x-real-ip": "203.0.113.77",
        "x-client-ip": "203.0.113.77", "cf-connecting-ip": "203.0.113.77", "x-forwarded-proto": "https",
    }  # fmt: skip
    for trusted, seen in ([], False), (["--trusted-proxy", "127.0.0.0/8"], True):
        server = make_server(args=["--log-format", "json", "--log-level", "debug", *trusted])
        raw = client_of(server)
        assert raw.request("GET", "/", headers=forged).status == 200
        server.stop()
        lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
        told = [text for text in map(json.dumps, lines) if "203.0.113.77" in text]
        assert bool(told) == seen, (trusted, told)


# Keys are opaque, never paths.


@pytest.mark.parametrize("key", ["a//b", ".", "..", "../d", "a/../b", "./x", "/etc/passwd", "a/", "//", "\\..\\x", "%2e%2e/x", "k ", "CON"])
def test_keys_are_opaque_never_paths(raw, s3, bucket, key):
    path = f"/{bucket}/{encode_key(key)}"
    assert raw.request("PUT", path, body=key.encode()).status == 200
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    assert raw.request("GET", path).body == key.encode()


@pytest.mark.parametrize("path", ["%FF", "%C0%AF", "%ED%A0%80", "k" * 1025, "%C3%BC" * 513])
def test_keys_that_are_none_are_refused(raw, s3, bucket, path):
    got = raw.request("PUT", f"/{bucket}/{path}", body=b"x")
    assert got.status == 400 and got.code, got
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


# XML and JSON are parsed with limits.


@pytest.mark.parametrize("body", [
    b"<Delete>" * 100_000,
    b"<Delete>" + b"<a>" * 50_000 + b"</a>" * 50_000 + b"</Delete>",
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>',
    b"<Delete>" + b" " * (16 << 20) + b"</Delete>",
], ids=["open", "deep", "entities", "large"])  # fmt: skip
def test_xml_has_limits(raw, s3, filled, body):
    import base64

    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    got = raw.request("POST", f"/{filled}", "delete=", {"content-md5": digest}, body)
    assert got.status == 400 and got.code in ("MalformedXML", "MaxMessageLengthExceeded", "EntityTooLarge"), got
    untouched(s3, filled)


@pytest.mark.parametrize("body", [
    b"[" * 1_000_000,
    b'{"KeyId":' * 100_000 + b"1" + b"}" * 100_000,
    b'{"KeyId":"' + b"k" * (32 << 20) + b'"}',
    b'{"KeyId":1e999999999}',
], ids=["open", "deep", "large", "number"])  # fmt: skip
def test_json_has_limits(server, raw, body):
    headers = {"x-amz-target": "TrentService.DescribeKey", "content-type": "application/x-amz-json-1.1"}
    got = client_of(server, "kms").request("POST", "/", headers=headers, body=body)
    assert 400 <= got.status < 500 or got.status == 501, got
    assert raw.send("GET", "/_millpond/health/live").status == 200
