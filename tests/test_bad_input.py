"""Hostile and broken requests: an AWS error with a request id, and nothing left behind."""

import socket
import time

import pytest
from harness import settings
from harness.raw import SOCKET_SECONDS, UNSIGNED, Raw, read_response
from harness.sums import md5, noise


def listed(s3, bucket):
    return [o["Key"] for o in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def is_error(got, status, *codes):
    assert got.status == status, got
    assert got.code in codes, got
    assert got.headers["x-amz-request-id"] and got.xml.findtext("RequestId") == got.headers["x-amz-request-id"]


# Every error looks like an S3 error


def test_error_body(raw, bucket):
    got = raw.request("GET", f"/{bucket}/no%20such%3Ckey%3E")
    assert got.headers["content-type"] == "application/xml"
    assert got.xml.tag == "Error"
    assert got.xml.findtext("Key") == "no such<key>"
    assert got.xml.findtext("Message") and got.xml.findtext("RequestId")
    assert got.xml.findtext("RequestId") == got.headers["x-amz-request-id"]


def test_head_errors_have_no_body(raw, bucket):
    got = raw.request("HEAD", f"/{bucket}/none")
    assert (got.status, got.body) == (404, b"")


def test_request_ids_differ(raw, bucket):
    ids = {raw.request("GET", f"/{bucket}/none").headers["x-amz-request-id"] for _ in range(20)}
    assert len(ids) == 20


# Keys and paths


def test_key_length(raw, s3, bucket):
    for size, status in ((1024, 200), (1025, 400)):
        got = raw.request("PUT", f"/{bucket}/" + "k" * size, body=b"x")
        assert got.status == status
        if status != 200:
            is_error(got, 400, "KeyTooLongError")
    # The limit is in bytes of UTF-8.
    is_error(raw.request("PUT", f"/{bucket}/" + "%C3%BC" * 513, body=b"x"), 400, "KeyTooLongError")
    assert raw.request("PUT", f"/{bucket}/" + "%C3%BC" * 512, body=b"x").status == 200
    assert len(listed(s3, bucket)) == 2


@pytest.mark.parametrize("path", ["%FF", "a%80b", "%C3", "%ED%A0%80", "%C0%AF", "%F8%88%80%80%80"])
def test_invalid_utf8(raw, s3, bucket, path):
    for method in ("PUT", "GET"):
        got = raw.request(method, f"/{bucket}/{path}", body=b"x" if method == "PUT" else b"")
        is_error(got, 400, "InvalidURI", "InvalidArgument", "InvalidRequest")
    assert listed(s3, bucket) == []


@pytest.mark.parametrize("path", ["%", "%2", "%zz", "a%0"])
def test_broken_percent_encoding(raw, s3, bucket, path):
    got = raw.request("PUT", f"/{bucket}/{path}", body=b"x")
    is_error(got, 400, "InvalidURI", "InvalidArgument", "InvalidRequest")
    assert listed(s3, bucket) == []


@pytest.mark.parametrize("sent, key", [
    ("a//b", "a//b"), (".", "."), ("..", ".."), ("../d", "../d"), ("a/../b", "a/../b"), ("a/./b", "a/./b"), ("/x", "/x"),
    ("%2F", "/"), ("%2e%2e%2fetc", "../etc"), ("a+b", "a+b"), ("a%2Bb", "a+b"), ("a%20b", "a b"), ("%F0%9F%A6%86", "🦆"),
    ("%25", "%"), ("%252F", "%2F"), ("a%00b", "a\x00b"), ("~", "~"), ("%7E", "~"),
])  # fmt: skip
def test_paths_are_keys_verbatim(raw, s3, bucket, sent, key):
    from harness.raw import encode_key

    # The canonical path is the key, encoded once by the rules, however the client wrote it.
    canonical = f"/{bucket}/{encode_key(key)}"
    got = raw.request("PUT", f"/{bucket}/{sent}", body=b"x", canonical_path=canonical)
    if "\x00" in key and got.status == 400:
        assert listed(s3, bucket) == []
        return
    assert got.status == 200, got
    page = raw.request("GET", f"/{bucket}", "encoding-type=url&list-type=2")
    from urllib.parse import unquote_plus

    assert unquote_plus(page.xml.findtext("Contents/Key")) == key
    assert raw.request("GET", canonical).body == b"x"


# Operations and parameters


@pytest.mark.parametrize("method, path, query", [
    ("PATCH", "/{b}/k", ""), ("TRACE", "/{b}/k", ""), ("CONNECT", "/{b}/k", ""), ("BREW", "/{b}/k", ""), ("POST", "/{b}/k", ""),
    ("PUT", "/", ""), ("DELETE", "/", ""), ("POST", "/", ""), ("GET", "/{b}/k", "select=&select-type=2"),
    ("POST", "/{b}/k", "restore="), ("PUT", "/{b}/k", "encryption="), ("POST", "/{b}", "metadataTable="),
    ("GET", "/{b}", "session="), ("PUT", "/{b}/k", "renameObject="),
])  # fmt: skip
def test_unknown_operations(raw, s3, bucket, method, path, query):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    got = raw.request(method, path.format(b=bucket), query)
    assert got.status in (400, 403, 405, 501), got
    assert got.code in ("MethodNotAllowed", "NotImplemented", "InvalidRequest", "MalformedXML", "InvalidArgument",
                        "MalformedPOSTRequest", "BadRequest", "AccessDenied", "UnknownOperationException", "InvalidAction",
                        "MissingAction"), got  # fmt: skip
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"data"


# XML


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (c, b"&%c;" % (c - 1) * 10) for c in range(ord("b"), ord("k")))
    + b"]><Delete><Object><Key>&j;</Key></Object></Delete>"
)
XML_ATTACKS = {
    "bomb": BOMB,
    "external entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&e;</Key></Object></Delete>',
    "deep": b"<Delete>" + b"<a>" * 50_000 + b"</a>" * 50_000 + b"</Delete>",
    "unclosed deep": b"<Delete>" * 100_000,
    "many attributes": b"<Delete " + b" ".join(b'a%d="x"' % n for n in range(50_000)) + b"/>",
    "long name": b"<" + b"x" * 1_000_000 + b"/>",
    "not utf-8": b"<Delete><Object><Key>\xff\xfe</Key></Object></Delete>",
    "utf-16": "<Delete><Object><Key>k</Key></Object></Delete>".encode("utf-16"),
    "nul": b"<Delete><Object><Key>a\x00b</Key></Object></Delete>",
    "two roots": b"<Delete><Object><Key>k</Key></Object></Delete><Delete/>",
    "unknown entity": b"<Delete><Object><Key>&nope;</Key></Object></Delete>",
}


@pytest.mark.parametrize("name", XML_ATTACKS)
def test_xml_attacks(raw, s3, bucket, name):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    body = XML_ATTACKS[name]
    got = raw.request("POST", f"/{bucket}", "delete=", {"content-md5": md5(body)}, body)
    is_error(got, 400, "MalformedXML", "InvalidRequest", "EntityTooLarge", "MaxMessageLengthExceeded")
    assert b"root:" not in got.body
    assert listed(s3, bucket) == ["k"]


def test_xml_body_too_large(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    body = b"<Delete>" + b"<Object><Key>k</Key></Object>" + b" " * (16 << 20) + b"</Delete>"
    got = raw.request("POST", f"/{bucket}", "delete=", {"content-md5": md5(body)}, body)
    assert got.status in (400, 413) and got.code, got
    assert listed(s3, bucket) == ["k"]


# Headers


def early_answer(raw, data):
    """Sends; the server may answer and close before it has read all."""
    try:
        return raw.exchange(data)
    except (ConnectionError, OSError) as error:
        # Closing with unread input resets the connection; an answer may be lost then. It must not be a hang.
        assert not isinstance(error, TimeoutError), "the server hangs"
        return None


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\nhost: x\r\nx-big: " + b"a" * (2 << 20) + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\n" + b"".join(b"x-%d: a\r\n" % n for n in range(50_000)) + b"\r\n",
    b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
    b"\x00" * 10_000,
    b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
    b"GET  / HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nna\x00me: 1\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzzz\r\n",
], ids=["2 MB header", "50,000 headers", "1 MB path", "tls", "zeros", "version", "two spaces", "no colon", "nul", "two lengths",
        "negative length", "huge length", "bad chunk"])  # fmt: skip
def test_broken_http(raw, server, data):
    got = early_answer(raw, data)
    if got is not None:
        assert 400 <= got.status < 600 and got.status != 500, got
    assert server.alive()


def test_smuggling_is_refused(raw, s3, bucket):
    """Content-Length beside Transfer-Encoding (RFC 9112 6.3): no second request may hide in the body."""
    inner = f"DELETE /{bucket} HTTP/1.1\r\nhost: x\r\n\r\n"
    data = (
        f"GET / HTTP/1.1\r\nhost: {raw.host}\r\ncontent-length: {5 + len(inner)}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}"
    )
    got = early_answer(raw, data.encode())
    assert got is None or got.status in (400, 403)
    s3.head_bucket(Bucket=bucket)


def test_missing_host(raw):
    got = early_answer(raw, b"GET / HTTP/1.1\r\n\r\n")
    assert got is None or 400 <= got.status < 500


def test_host_of_nobody(raw, bucket):
    """A Host that is no domain of ours is path style (the endpoint may be reached by any name)."""
    for host in ("127.0.0.1", "example.com", "[::1]:80", "..", "-", "a" * 300):
        signed = raw.sign("GET", f"/{bucket}", headers={"host": host}).headers
        got = raw.send("GET", f"/{bucket}", signed)
        assert got.status in (200, 400, 403, 404), (host, got)


# Bodies


def test_missing_length(raw, s3, bucket):
    signed = raw.sign("PUT", f"/{bucket}/k", payload=UNSIGNED).headers
    got = raw.send("PUT", f"/{bucket}/k", signed, b"", length=None)
    is_error(got, 411, "MissingContentLength")
    assert listed(s3, bucket) == []


def test_too_large(raw, s3, bucket):
    """More than 5 GiB in one PUT is refused before the body is read."""
    signed = raw.sign("PUT", f"/{bucket}/k", payload=UNSIGNED).headers
    got = raw.send("PUT", f"/{bucket}/k", signed, b"x" * 1000, length=(5 << 30) + 1)
    is_error(got, 400, "EntityTooLarge")
    assert listed(s3, bucket) == []


@pytest.mark.parametrize("size, sent", [(100, 50), (100, 0), (200_000, 100_000), (10 << 20, 6 << 20)])
def test_cut_uploads(raw, s3, bucket, size, sent):
    """The client goes away in the middle of a body."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    signed = raw.sign("PUT", f"/{bucket}/k", payload=UNSIGNED).headers
    head = f"PUT /{bucket}/k HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in signed.items())
    head += f"content-length: {size}\r\n\r\n"
    with raw.connect() as sock:
        sock.sendall(head.encode() + b"x" * sent)
        sock.shutdown(socket.SHUT_WR)
        try:
            got = read_response(sock)
            assert got.status == 400, got
        except (ConnectionError, OSError, Exception) as error:
            assert not isinstance(error, (AssertionError, TimeoutError)), error
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"before"
    assert listed(s3, bucket) == ["k"]


def test_cut_part(raw, s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    query = f"partNumber=1&uploadId={upload}"
    signed = raw.sign("PUT", f"/{bucket}/k", query, payload=UNSIGNED).headers
    head = f"PUT /{bucket}/k?{query} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in signed.items())
    with raw.connect() as sock:
        sock.sendall(head.encode() + b"content-length: 6000000\r\n\r\n" + b"x" * 3_000_000)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)
        time.sleep(0.2)


def test_longer_than_declared(raw, s3, bucket):
    """What follows the declared length is the next request, not part of the body."""
    signed = raw.sign("PUT", f"/{bucket}/k", payload=UNSIGNED).headers
    got = raw.send("PUT", f"/{bucket}/k", signed, b"datamore", length=4)
    assert got.status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"data"


def test_expect_continue(raw, s3, bucket):
    """100 Continue is only sent when the body is wanted."""
    for path, want in ((f"/{bucket}/k", 100), (f"/no-such-{bucket}/k", 404)):
        signed = raw.sign("PUT", path, payload=UNSIGNED).headers
        head = f"PUT {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in signed.items())
        with raw.connect() as sock:
            sock.sendall(head.encode() + b"expect: 100-continue\r\ncontent-length: 4\r\n\r\n")
            first = sock.recv(4096)
            assert first.startswith(f"HTTP/1.1 {want}".encode()), first
            if want == 100:
                sock.sendall(b"data")
                assert read_response(sock).status == 200


@pytest.mark.parametrize("length, missing", [(0, False), (4, True)])
def test_no_continue_closes_the_connection(raw, bucket, length, missing):
    """A final answer to `Expect: 100-continue` without a 100 before it ends the connection: clients that sent no body, and
    some that misread what follows (see test_clients), must not use it again."""
    path = f"/no-such-{bucket}/k" if missing else f"/{bucket}/k"
    signed = raw.sign("PUT", path, payload=UNSIGNED).headers
    head = f"PUT {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in signed.items())
    with raw.connect() as sock:
        sock.sendall(head.encode() + f"expect: 100-continue\r\ncontent-length: {length}\r\n\r\n".encode())
        first = sock.recv(65536)
        closes = b"connection: close" in first.lower()
        assert first.startswith(b"HTTP/1.1 100") or closes, first


def test_keep_alive_after_an_error(raw, s3, bucket):
    """An error whose body was read leaves the connection good for the next request."""
    with raw.connect() as sock:
        for path, status in ((f"/{bucket}/none", 404), (f"/{bucket}", 200), (f"/{bucket}/none", 404)):
            signed = raw.sign("GET", path).headers
            head = f"GET {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in signed.items()) + "\r\n"
            sock.sendall(head.encode())
            assert read_response(sock).status == status


# Slow clients


@pytest.fixture(scope="module")
def impatient(request):
    """A server whose time-outs are short."""
    import os

    if os.environ.get("MILLPOND_TEST_ENDPOINT"):
        pytest.skip("needs a server of its own")
    from harness.server import Server

    server = Server(args=[settings.HEADER_TIMEOUT, "2", settings.BODY_TIMEOUT, "2", settings.IDLE_TIMEOUT, "2"]).start()
    yield server
    server.close()


def read_until_closed(sock) -> bytes:
    data = b""
    sock.settimeout(SOCKET_SECONDS)
    while True:
        try:
            piece = sock.recv(65536)
        except ConnectionError:
            return data
        if not piece:
            return data
        data += piece


@pytest.mark.restarts
@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\n", b"GET / HTTP/1.1\r\nhost: x\r\nx-a: "])
def test_slow_headers(impatient, sent):
    with socket.create_connection(("127.0.0.1", impatient.port)) as sock:
        sock.sendall(sent)
        answer = read_until_closed(sock)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 408")), answer


@pytest.mark.restarts
def test_trickled_headers(impatient):
    """One byte at a time does not extend the time for the whole head."""
    with socket.create_connection(("127.0.0.1", impatient.port)) as sock:
        try:
            for byte in b"GET / HTTP/1.1\r\nx-slow: " + b"a" * 200:
                sock.sendall(bytes([byte]))
                time.sleep(0.1)
            closed = False
        except ConnectionError:
            closed = True
        if not closed:
            sock.settimeout(1)
            closed = sock.recv(1) == b""
    assert closed


@pytest.mark.restarts
@pytest.mark.parametrize("sent", [0, 5, 500_000])
def test_slow_body(impatient, sent):
    from harness.clients import s3_client

    client = s3_client(impatient)
    client.create_bucket(Bucket="slow")
    raw = Raw(impatient.endpoint, impatient.access_key, impatient.secret_key, impatient.region)
    signed = raw.sign("PUT", "/slow/k", payload=UNSIGNED).headers
    head = "PUT /slow/k HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in signed.items()) + "content-length: 1000000\r\n\r\n"
    with raw.connect() as sock:
        sock.sendall(head.encode() + b"x" * sent)
        answer = read_until_closed(sock)
    assert answer == b"" or (answer.startswith(b"HTTP/1.1 400") and b"RequestTimeout" in answer), answer
    assert "Contents" not in client.list_objects_v2(Bucket="slow")


@pytest.mark.restarts
def test_slow_reader_is_dropped_or_served(impatient):
    """A client that does not read holds no more than its connection; others are served meanwhile."""
    from harness.clients import s3_client

    client = s3_client(impatient)
    client.create_bucket(Bucket="reader")
    data = noise(32 << 20, 50)
    client.put_object(Bucket="reader", Key="k", Body=data)
    raw = Raw(impatient.endpoint, impatient.access_key, impatient.secret_key, impatient.region)
    stuck = []
    for _ in range(8):
        sock = raw.connect()
        signed = raw.sign("GET", "/reader/k").headers
        sock.sendall(("GET /reader/k HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in signed.items()) + "\r\n").encode())
        stuck.append(sock)
    assert client.get_object(Bucket="reader", Key="k", Range="bytes=5-9")["Body"].read() == data[5:10]
    for sock in stuck:
        sock.close()


@pytest.mark.parametrize("owner", ["", "abc", "12345678901", "1234567890123", "12345678901x"])
def test_an_expected_owner_that_is_no_account(raw, s3, bucket, owner):
    for method, path, headers in [
        ("GET", f"/{bucket}", {"x-amz-expected-bucket-owner": owner}),
        ("PUT", f"/{bucket}/k", {"x-amz-expected-bucket-owner": owner}),
        ("PUT", f"/{bucket}/k", {"x-amz-copy-source": f"/{bucket}/old", "x-amz-source-expected-bucket-owner": owner}),
    ]:
        got = raw.request(method, path, headers=headers, body=b"" if method == "GET" or "copy" in str(headers) else b"x")
        is_error(got, 400, "InvalidBucketOwnerAWSAccountID")
    assert listed(s3, bucket) == []
