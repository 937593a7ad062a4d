"""Connections and requests in flight: a clean answer beyond the limit, and service again below it."""

import select
import socket
import time

import pytest
from harness import settings
from harness.clients import s3_client
from harness.raw import UNSIGNED, Raw, read_response

pytestmark = pytest.mark.restarts


def half_put(raw, path):
    """Begins a PUT and leaves it waiting for its body."""
    signed = raw.sign("PUT", path, payload=UNSIGNED).headers
    sock = raw.connect()
    head = f"PUT {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in signed.items()) + "content-length: 4\r\n\r\n"
    sock.sendall(head.encode() + b"da")
    return sock


def test_requests_in_flight(make_server):
    server = make_server(args=[settings.MAX_IN_FLIGHT, "4"])
    client = s3_client(server)
    client.create_bucket(Bucket="busy")
    raw = Raw(server.endpoint, server.access_key, server.secret_key, server.region)
    waiting = [half_put(raw, f"/busy/{n}") for n in range(4)]
    # The requests are in flight as soon as the server has read their heads: ask until it says so. On a busy machine that takes a while,
    # and one of them may have been refused itself, as the request before them counts until its answer has left.
    deadline = time.monotonic() + 60
    while (got := raw.request("GET", "/busy")).status != 503 and time.monotonic() < deadline:
        for n, sock in enumerate(waiting):
            if select.select([sock], [], [], 0)[0]:
                assert read_response(sock).status == 503
                sock.close()
                waiting[n] = half_put(raw, f"/busy/{n}")
        time.sleep(0.02)
    assert (got.status, got.code) == (503, "SlowDown"), got
    assert got.headers["x-amz-request-id"]
    for sock in waiting:
        sock.sendall(b"ta")
        assert read_response(sock).status == 200
        sock.close()
    assert client.list_objects_v2(Bucket="busy")["KeyCount"] == 4
    # Health and metrics answer also when the lake is busy (an orchestrator must not kill a busy server).
    assert server.ready()


def held_connections(address, count):
    """Opens connections that wait with half a head. One may be refused while the connection that asked whether the server
    is ready still counts: it is opened again, until all of them are held."""
    held = []
    deadline = time.monotonic() + 60
    while len(held) < count and time.monotonic() < deadline:
        sock = socket.create_connection(address)
        sock.sendall(b"GET /")
        held.append(sock)
        if len(held) == count:
            refused, _, _ = select.select(held, [], [], 0.5)
            for sock in refused:
                sock.close()
                held.remove(sock)
    assert len(held) == count
    return held


def test_connections(make_server):
    server = make_server(args=[settings.MAX_CONNECTIONS, "8"])
    address = ("127.0.0.1", server.port)
    raw = Raw(server.endpoint, server.access_key, server.secret_key, server.region)
    held = held_connections(address, 8)
    # One more is answered with 503, closed, or left waiting in the backlog until another goes; never served beside them.
    extra = socket.create_connection(address)
    extra.settimeout(2)
    signed = raw.sign("GET", "/").headers
    extra.sendall(("GET / HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in signed.items()) + "\r\n").encode())
    try:
        answer = extra.recv(65536)
    except TimeoutError:
        answer = None
    except ConnectionError:
        answer = b""
    assert answer is None or answer == b"" or answer.startswith(b"HTTP/1.1 503"), answer
    extra.close()
    for sock in held:
        sock.close()
    for _ in range(50):
        if server.ready():
            break
    assert s3_client(server).list_buckets()["Buckets"] == []
