"""A disk that fails under the server: syncs and writes that return EIO or ENOSPC, made so by strace in a server at work.

Whatever failed, nothing acknowledged may be missing after `kill -9` and a restart on a sound disk. After a failed sync the store that met it
says so and takes no more writes, and reads go on. MILLPOND_DISK_FAULTS goes through the table so many times (default 1), each time
with other calls that fail; MILLPOND_SEED repeats a run, as far as threads repeat. Skipped, with the reason, where strace cannot trace.
"""

import os
import random
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness.clients import refused, s3_client
from harness.faults import Injected, need_strace
from harness.oracle import PLAIN, Oracle, quote
from harness.server import binary

TIMES = int(os.environ.get("MILLPOND_DISK_FAULTS", "1"))
# Long enough for the latest call that is chosen to fail, on a busy machine; mostly it is over with the first failure.
LOAD_SECONDS = 10.0
# After the first refusal the others go on for so long: their answers count as well.
AFTER_SECONDS = 0.2
WORKERS = 4
# An object with a file of its own, and how many of the puts are that.
LARGE, LARGE_SHARE = 5 << 20, 0.08
BUCKET = "fixed"
BODIES = {"inline": b"i" * 300, "segment": b"s" * 100_000, "file": b"f" * LARGE}

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(180 * TIMES)]


@dataclass(frozen=True)
class Fault:
    """`calls` on `files` fail with `error`, each thread's n-th, 1 <= n <= `latest`; which store stops by it, if that is certain."""

    calls: str
    error: str
    files: str | None
    latest: int
    stops: str | None

    def __str__(self):
        return f"{self.error} of {self.calls} on {self.files or 'any file'}"


FAULTS = [
    Fault("fdatasync", "EIO", "meta/fjall/*.jnl", 30, "meta"),
    Fault("fdatasync", "EIO", "blob/segments/*", 10, "blob"),
    # The files of large objects, too; and everything else that is ever synced, once in each thread.
    Fault("fdatasync", "EIO", None, 5, None),
    Fault("fsync", "EIO", None, 1, None),
    Fault("write", "ENOSPC", "meta/fjall/*.jnl", 30, "meta"),
    Fault("write", "EIO", "meta/fjall/*.jnl", 30, "meta"),
    Fault("pwritev,pwrite64", "ENOSPC", None, 3, None),
    Fault("pwritev,pwrite64", "EIO", None, 3, None),
    Fault("fallocate", "ENOSPC", None, 1, None),
]


class Load(Oracle):
    """The oracle's mixed load, with fewer workers and some larger objects."""

    def __init__(self, server, seed):
        super().__init__(server, seed)
        self.workers = self.workers[:WORKERS]

    def _put(self, worker, rng, c, key):
        data, state = self._new(rng, LARGE if rng.random() < LARGE_SHARE else None)
        path = f"/{PLAIN}/{quote(key)}"
        self._change(worker, key, state, lambda: c.request("PUT", path, "", {"x-amz-meta-mark": state.mark}, data))


def test_failing_calls(make_server):
    need_strace()
    seed = int(os.environ.get("MILLPOND_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"rerun with MILLPOND_SEED={seed}")
    rng = random.Random(seed)
    server = make_server()
    oracle = Load(server, seed)
    oracle.prepare()
    put_fixed(server)
    for number in range(TIMES * len(FAULTS)):
        fault = FAULTS[number % len(FAULTS)]
        nth = rng.randint(1, fault.latest)
        before = oracle.acknowledged()
        with Injected(server, fault.calls, f"error={fault.error}:when={nth}", files(server, fault)) as injected:
            oracle.start()
            wait_for_a_refusal(oracle)
            oracle.stop()
            stopped = still_answers(server, fault)
            server.kill()
        assert injected.hits(), f"{fault}, call {nth}: never happened, nothing was tested"
        only_refusals(oracle, fault, stopped)
        print(f"{fault}, call {nth}: {oracle.acknowledged() - before} acknowledged, stopped {stopped}", flush=True)
        server.start()
        assert server.stopped() == {"meta": False, "blob": False}
        oracle.verify()
        read_fixed(server)
    goes_on(server, oracle)


def put_fixed(server) -> None:
    """What was acknowledged on the sound disk and is never changed. A segment is there from now on, too."""
    s3 = s3_client(server)
    s3.create_bucket(Bucket=BUCKET)
    for key, body in BODIES.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def read_fixed(server) -> None:
    s3 = s3_client(server)
    for key, body in BODIES.items():
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body


def files(server, fault: Fault) -> list[Path] | None:
    """A pattern's files as they are now. Segments are made anew by each process: a write makes one, and its spare."""
    if fault.files is None:
        return None
    s3_client(server).put_object(Bucket=BUCKET, Key="segment", Body=BODIES["segment"])
    found = sorted(server.data_dir.glob(fault.files))
    assert found, f"no file {fault.files}"
    return found


def wait_for_a_refusal(oracle: Oracle) -> None:
    deadline = time.monotonic() + LOAD_SECONDS
    while not oracle.errors() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(AFTER_SECONDS)


def still_answers(server, fault: Fault) -> dict[str, bool]:
    """Reads go on; a store that stopped refuses writes, and says so."""
    read_fixed(server)
    stopped = server.stopped()
    if fault.stops:
        assert stopped[fault.stops], f"{fault}: {stopped}"
    s3 = s3_client(server)
    for key, body in BODIES.items():
        if stopped["meta"] or (stopped["blob"] and key != "inline"):
            with refused("ServiceUnavailable", 503) as seen:
                s3.put_object(Bucket=BUCKET, Key=key, Body=body)
            assert "takes no more writes" in seen["Error"]["Message"]
    if stopped["meta"]:
        with refused("ServiceUnavailable", 503):
            s3.delete_object(Bucket=BUCKET, Key="inline")
    read_fixed(server)
    return stopped


# What the oracle saw: the status and the error's code.
REFUSAL = re.compile(r"(\d{3}) b['\"].*<Code>(\w+)</Code>")


def only_refusals(oracle: Oracle, fault: Fault, stopped: dict[str, bool]) -> None:
    """Clients were told that the disk is full or failed: SlowDown where it is full, ServiceUnavailable where a store stopped, 500 for a single error."""
    allowed = {("503", "ServiceUnavailable")} if any(stopped.values()) else set()
    if fault.error == "ENOSPC":
        allowed.add(("503", "SlowDown"))
    elif fault.calls.startswith("pwrite"):
        allowed.add(("500", "InternalError"))
    for error in oracle.errors():
        found = REFUSAL.match(error)
        assert found and found.groups() in allowed, f"{fault}, stopped {stopped}: {error}"
    for worker in oracle.workers:
        worker.errors.clear()


def goes_on(server, oracle: Oracle) -> None:
    """On the sound disk everything works, and no fault left damage or remains behind."""
    before = oracle.acknowledged()
    oracle.start()
    time.sleep(1.0)
    oracle.stop()
    assert oracle.errors() == []
    assert oracle.acknowledged() > before
    oracle.verify()
    assert server.stop() == 0
    done = subprocess.run(
        [binary(), "fsck", "--data-dir", str(server.data_dir)], env=server.environment(), capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")
