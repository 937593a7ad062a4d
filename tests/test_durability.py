"""kill -9 under mixed load: nothing acknowledged is lost, nothing is torn, listings agree with reads.

MILLPOND_KILLS rounds (default 10) of MILLPOND_LOAD_SECONDS (default 2, with chance) each on the same data directory.
A run can be repeated with MILLPOND_SEED, as far as threads and disks repeat.
"""

import os
import random
import time

import pytest
from harness.oracle import Oracle
from harness.sums import noise

KILLS = int(os.environ.get("MILLPOND_KILLS", "10"))
LOAD_SECONDS = float(os.environ.get("MILLPOND_LOAD_SECONDS", "2"))

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(max(300, KILLS * 60))]


def test_kill_under_load(make_server):
    seed = int(os.environ.get("MILLPOND_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"rerun with MILLPOND_SEED={seed}")
    rng = random.Random(seed)
    server = make_server()
    oracle = Oracle(server, seed)
    oracle.prepare()
    for kill in range(1, KILLS + 1):
        before = oracle.acknowledged()
        oracle.start()
        time.sleep(LOAD_SECONDS * rng.uniform(0.3, 1.3))
        server.kill()
        oracle.stop()
        assert oracle.errors() == []
        assert oracle.acknowledged() > before, "no write was acknowledged in this round: nothing was tested"
        server.start()
        oracle.verify()
        print(f"kill {kill}/{KILLS}: {oracle.acknowledged()} acknowledged", flush=True)
    # Writing goes well after the last restart, and a clean stop changes nothing.
    oracle.start()
    time.sleep(min(10, LOAD_SECONDS * 2))
    oracle.stop()
    assert oracle.errors() == []
    assert server.stop() == 0
    server.start()
    oracle.verify()


def test_kill_while_starting(make_server):
    """A server that is killed while it recovers loses nothing either."""
    server = make_server()
    oracle = Oracle(server, 1)
    oracle.prepare()
    oracle.start()
    time.sleep(1.5)
    server.kill()
    oracle.stop()
    for wait in (0.0, 0.02, 0.05, 0.1, 0.2):
        server.spawn()
        time.sleep(wait)
        server.kill()
    server.start()
    oracle.verify()


def test_interrupted_uploads_leave_no_bytes(make_server):
    """What uploads left behind that a kill cut short is given back after the restart."""
    server = make_server()
    from harness.clients import s3_client
    from harness.raw import UNSIGNED, Raw

    client = s3_client(server)
    client.create_bucket(Bucket="cut")
    raw = Raw(server.endpoint, server.access_key, server.secret_key, server.region)

    def used() -> int:
        return sum(p.stat().st_blocks * 512 for p in server.data_dir.rglob("*") if p.is_file())

    before = used()
    data = noise(20 << 20, 90)
    socks = []
    for n in range(3):
        signed = raw.sign("PUT", f"/cut/{n}", payload=UNSIGNED).headers
        sock = raw.connect()
        head = f"PUT /cut/{n} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in signed.items())
        sock.sendall(head.encode() + b"content-length: 30000000\r\n\r\n" + data)
        socks.append(sock)
    server.kill()
    for sock in socks:
        sock.close()
    server.start()
    assert "Contents" not in client.list_objects_v2(Bucket="cut")
    # The sweeper works in the background; segments stay preallocated (a few MiB).
    deadline = time.monotonic() + 60
    while used() > before + (24 << 20) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert used() <= before + (24 << 20)
