"""Bits that flip on disk: `millpond fsck` finds and names them, and no read ever serves them.

A lake with everything that lies on a disk (tables, their blobs, manifests, a journal, segments, files) is made once; each test flips one bit in a
copy of it. MILLPOND_FLIPS bits (default 3) flip at random places besides; MILLPOND_SEED repeats them.
"""

import http.client
import json
import os
import random
import re
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness.clients import s3_client
from harness.oracle import Connection
from harness.raw import Raw
from harness.server import Server, StartFailed, binary
from harness.sums import noise

FLIPS = int(os.environ.get("MILLPOND_FLIPS", "3"))
BUCKET = "rot"
# Large rows are written out of memory at 16 MiB; the others when many were removed.
# The largest that are kept beside the metadata: sealed they have 16 bytes more.
INLINE, INLINE_BYTES, REMOVED = 2250, 8176, 1800
SEGMENT = {f"segment-{n}": 100_000 + n for n in range(3)}
FILE = {"file-0": 5 << 20, "file-1": (5 << 20) + 1}
# Those of the inline objects that are read back.
READ_BACK = 40
# For the background to write what is in memory out.
WRITTEN_SECONDS = 60
FSCK_SECONDS = 120

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(300 + 30 * FLIPS)]


def bodies() -> dict[str, bytes]:
    kept = {f"inline-{n:05}": INLINE_BYTES for n in range(REMOVED, INLINE)}
    return {key: noise(size, n) for n, (key, size) in enumerate({**kept, **SEGMENT, **FILE}.items())}


@dataclass
class Lake:
    directory: Path
    held: dict[str, bytes]
    inline: tuple[str, Path, int] | None = None

    def copy(self, to: Path) -> Path:
        subprocess.run(["cp", "-a", "--reflink=auto", "--sparse=always", str(self.directory), str(to)], check=True, timeout=120)
        return to


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    directory = tmp_path_factory.mktemp("rot")
    server = Server(data_dir=directory / "data").start()
    try:
        held = filled(server)
        assert server.stop() == 0
    finally:
        server.close()
    (directory / "data/meta/ballast").unlink()
    done = fsck(directory / "data")
    assert done.returncode == 0, done.stdout
    yield Lake(directory / "data", held)
    shutil.rmtree(directory, ignore_errors=True)


def filled(server: Server) -> dict[str, bytes]:
    s3 = s3_client(server)
    s3.create_bucket(Bucket=BUCKET)
    held = bodies()
    # Bodies that no kept object has: a search must not find those of removed ones.
    removed = {f"inline-{n:05}": noise(INLINE_BYTES, 1_000_000 + n) for n in range(REMOVED)}
    put_all(server, {**removed, **held})
    for first in range(0, REMOVED, 900):
        keys = [{"Key": f"inline-{n:05}"} for n in range(first, first + 900)]
        assert "Errors" not in s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})
    deadline = time.monotonic() + WRITTEN_SECONDS
    spaces = server.data_dir / "meta/fjall/keyspaces"
    while not (list(spaces.glob("1/tables/*")) and list(spaces.glob("2/tables/*")) and list(spaces.glob("2/blobs/*"))):
        assert time.monotonic() < deadline, f"nothing was written out of memory: {sorted(spaces.rglob('*'))}"
        time.sleep(0.1)
    # The journal is to have something, too.
    held["late"] = noise(3000, 1)
    s3.put_object(Bucket=BUCKET, Key="late", Body=held["late"])
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [{"Key": "last", "Value": "commit"}]})
    return held


def put_all(server: Server, objects: dict[str, bytes]) -> None:
    local = threading.local()

    def put(item):
        if not hasattr(local, "connection"):
            local.connection = Connection(Raw(server.endpoint, server.access_key, server.secret_key, server.region))
        status, _, body = local.connection.request("PUT", f"/{BUCKET}/{item[0]}", "", {}, item[1])
        assert status == 200, body

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(put, objects.items()))


def fsck(data_dir: Path, *more: str) -> subprocess.CompletedProcess:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MILLPOND_", "AWS_"))}
    command = [binary(), "fsck", "--data-dir", str(data_dir), *more]
    return subprocess.run(command, env=clean, capture_output=True, text=True, timeout=FSCK_SECONDS)


def flip(path: Path, at: int, bit: int = 0) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ (1 << bit)]))


def one(data_dir: Path, pattern: str) -> Path:
    """The largest of these files."""
    found = sorted((path for path in data_dir.glob(pattern) if path.is_file()), key=lambda path: path.stat().st_size)
    assert found, f"no file {pattern}"
    return found[-1]


def sealed(size: int) -> int:
    """The bytes that a body of this size lies on disk with, as it is encrypted."""
    return size + 16 * -(-size // 65_520)


def where(lake: Lake, data_dir: Path, what: str) -> tuple[str, Path, int]:
    """An object of a kind, and where its body lies. It is encrypted, so that its size tells it apart from others."""
    if what == "inline":
        return inline_body(lake, data_dir)
    key = {"segment": "segment-1", "file, first block": "file-0", "file, late block": "file-1"}[what]
    length = sealed(len(lake.held[key]))
    if what == "segment":
        # An extent's header: magic, version, cipher, generation, id, length.
        for path in data_dir.glob("blob/segments/*"):
            content = path.read_bytes()
            for found in re.finditer(rb"MPxe", content):
                at = found.start()
                if int.from_bytes(content[at + 32 : at + 40], "little") == length:
                    return key, path, at + 64
    for path in data_dir.glob("blob/files/*/*"):
        if path.stat().st_size == 64 + length + 8 * -(-length // 65_536):
            return key, path, 64
    raise AssertionError(f"no extent has the length of {key}")


def inline_body(lake: Lake, data_dir: Path) -> tuple[str, Path, int]:
    """An inline body that an object has: found by trying, as most are of removed objects and none can be read."""
    if lake.inline is None:
        path = one(data_dir, "meta/fjall/keyspaces/2/blobs/*")
        for at in range(path.stat().st_size // 2, path.stat().st_size, 3 * INLINE_BYTES):
            flip(path, at)
            found = problems(fsck(data_dir))
            flip(path, at)
            named = re.search(r"inline-\d{5}", found[0]) if len(found) == 1 else None
            if named:
                lake.inline = (named[0], path.relative_to(data_dir), at)
                break
        else:
            raise AssertionError("no inline body of an object was found")
    key, path, at = lake.inline
    return key, data_dir / path, at


def read(server: Server, key: str, byte_range: str | None = None) -> bytes | None:
    """The body; None when the server refused to serve it or cut the connection."""
    connection = Connection(Raw(server.endpoint, server.access_key, server.secret_key, server.region))
    try:
        headers = {"range": byte_range} if byte_range else {}
        status, _, body = connection.request("GET", f"/{BUCKET}/{key}", "", headers)
    except (http.client.IncompleteRead, ConnectionError):
        return None
    finally:
        connection.close()
    if status in (200, 206):
        return body
    assert status == 500 and b"<Code>InternalError</Code>" in body, f"{key}: {status} {body[:300]!r}"
    return None


def unread(server: Server, held: dict[str, bytes], more: tuple[str, ...] = ()) -> set[str]:
    """Reads objects of all kinds back: what cannot be read. A wrong byte fails the test."""
    inline = [key for key in held if key.startswith("inline")]
    keys = {*inline[:: len(inline) // READ_BACK], *(key for key in held if not key.startswith("inline")), *more}
    missing = set()
    for key in sorted(keys):
        body = read(server, key)
        if body is None:
            missing.add(key)
        else:
            assert body == held[key], f"{key}: wrong bytes were served"
    return missing


def problems(done: subprocess.CompletedProcess) -> list[str]:
    return sorted(line.removeprefix("PROBLEM: ") for line in done.stdout.splitlines() if line.startswith("PROBLEM: "))


# The bodies of objects

# Where in the body the bit is.
BODIES = {
    "segment": 70_000,
    # In the first block, and behind what is sent before it is read.
    "file, first block": 100,
    "file, late block": 5_000_000,
    "inline": 0,
}


@pytest.mark.parametrize("what", BODIES)
def test_a_body(lake, tmp_path, make_server, what):
    data_dir = lake.copy(tmp_path / "data")
    key, path, at = where(lake, data_dir, what)
    flip(path, at + BODIES[what])
    offline = fsck(data_dir)
    print(offline.stdout)
    assert offline.returncode == 1, offline
    assert problems(offline)
    server = make_server(data_dir=data_dir)
    assert unread(server, lake.held, (key,)) == {key}
    online = fsck(data_dir)
    assert online.returncode == 1, online
    assert set(problems(offline)) <= set(problems(online)), "the server that has it open sees what is seen without one"
    # Putting the object again is the way out.
    s3_client(server).put_object(Bucket=BUCKET, Key=key, Body=lake.held[key])
    assert unread(server, lake.held, (key,)) == set()
    assert server.alive()


@pytest.mark.parametrize("what", ["segment", "file, late block", "inline"])
def test_one_bit_is_one_problem(lake, tmp_path, make_server, what):
    """Online, offline and as JSON, and nothing sound is called damaged."""
    data_dir = lake.copy(tmp_path / "data")
    key, path, at = where(lake, data_dir, what)
    flip(path, at + BODIES[what])
    offline = json.loads(fsck(data_dir, "--json").stdout)
    server = make_server(data_dir=data_dir)
    online = json.loads(fsck(data_dir, "--json").stdout)
    assert server.ready()
    for report in (offline, online):
        assert report["damaged_rows"] + report["problem_count"] == len(report["problems"]) == 1, report
    assert offline["problems"] == online["problems"]
    assert online["versions"] == len(lake.held)


@pytest.mark.parametrize("what", BODIES)
def test_the_object_is_named(lake, tmp_path, what):
    data_dir = lake.copy(tmp_path / "data")
    key, path, at = where(lake, data_dir, what)
    flip(path, at + BODIES[what])
    found = problems(fsck(data_dir))
    assert any(BUCKET in problem and key in problem for problem in found), found


def test_a_segment_header(lake, tmp_path, make_server):
    data_dir = lake.copy(tmp_path / "data")
    path = one(data_dir, "blob/segments/*")
    flip(path, 9)
    found_and_never_served(lake, data_dir, make_server, f"{path.relative_to(data_dir)}", must_find=True)


def test_the_rest_of_a_damaged_object(lake, tmp_path, make_server):
    data_dir = lake.copy(tmp_path / "data")
    _, path, at = where(lake, data_dir, "file, first block")
    flip(path, at + 1_000_000)
    server = make_server(data_dir=data_dir)
    assert read(server, "file-0") is None
    assert read(server, "file-0", "bytes=1000000-1000000") is None
    for first, last in ((0, 900_000), (2_000_000, 2_000_099), (5_242_879, 5_242_879)):
        assert read(server, "file-0", f"bytes={first}-{last}") == lake.held["file-0"][first : last + 1]


# Everything else

PARTS = {
    "rows table": ("meta/fjall/keyspaces/1/tables/*", 1 / 3),
    "large table": ("meta/fjall/keyspaces/2/tables/*", 1 / 3),
    "keyspaces table": ("meta/fjall/keyspaces/0/tables/*", 1 / 3),
    "rows manifest": ("meta/fjall/keyspaces/1/v*", 1 / 2),
    "large manifest's name": ("meta/fjall/keyspaces/2/current", 1 / 2),
    "journal": ("meta/fjall/*.jnl", None),
    "high-water mark": ("meta/high-water", 1 / 2),
    "format of metadata": ("meta/format", 1 / 2),
    "format of tables": ("meta/fjall/version", 0),
    "identity": ("millpond.json", 0),
    "extent header in a segment": ("blob/segments/*", 4096 + 20),
    "extent header in a file": ("blob/files/*/*", 20),
}


@pytest.mark.parametrize("what", PARTS)
def test_a_part(lake, tmp_path, make_server, what):
    pattern, place = PARTS[what]
    data_dir = lake.copy(tmp_path / "data")
    path = one(data_dir, pattern)
    flip(path, place_in(path, place))
    found_and_never_served(lake, data_dir, make_server, f"{what}: {path.relative_to(data_dir)}", must_find=True)


def place_in(path: Path, place: float | int | None) -> int:
    if isinstance(place, int):
        return place
    # A journal ends in zeros: the middle of what is not.
    length = len(path.read_bytes().rstrip(b"\0"))
    return int(length * (0.5 if place is None else place))


def found_and_never_served(lake: Lake, data_dir: Path, make_server, what: str, must_find: bool) -> None:
    offline = fsck(data_dir)
    print(what, offline.returncode, offline.stdout[-500:], offline.stderr[-500:])
    if must_find:
        assert offline.returncode in (1, 2), offline
    if offline.returncode == 1:
        assert problems(offline)
    elif offline.returncode == 2:
        assert offline.stderr.strip().splitlines()[-1].startswith("millpond fsck: "), offline
    else:
        assert (offline.returncode, problems(offline)) == (0, [])
    server = make_server(data_dir=data_dir, start=False)
    try:
        server.start()
    except StartFailed:
        # It says what is wrong, without a panic.
        assert "panicked" not in server.log()
        assert offline.returncode != 0, f"{what}: fsck found nothing, and the server does not start\n{server.log_tail()}"
        return
    missing = unread(server, lake.held)
    online = fsck(data_dir)
    assert online.returncode in (0, 1), online
    assert not missing or online.returncode == 1, f"{what}: {missing} cannot be read, and fsck finds nothing"
    assert server.alive() and server.ready()


@pytest.mark.parametrize("number", range(FLIPS))
def test_random_flips(lake, tmp_path, make_server, number):
    seed = os.environ.get("MILLPOND_SEED", str(random.SystemRandom().randrange(1 << 32)))
    print(f"rerun with MILLPOND_SEED={seed}")
    rng = random.Random(f"{seed}/{number}")
    data_dir = lake.copy(tmp_path / "data")
    # Not the data but the operator's: another key is as good as the right one, until the start says that it does not fit (test_root_key.py).
    keys = {"root-credentials", "kms-root-key"}
    files = [path for path in data_dir.rglob("*") if path.is_file() and path.stat().st_size and path.name not in keys]
    path = rng.choice(sorted(files))
    length = max(1, len(path.read_bytes().rstrip(b"\0")))
    at, bit = rng.randrange(length), rng.randrange(8)
    flip(path, at, bit)
    found_and_never_served(lake, data_dir, make_server, f"{path.relative_to(data_dir)} byte {at} bit {bit}", must_find=False)


def test_what_is_no_data_dir(tmp_path):
    for directory in (tmp_path / "missing", tmp_path):
        done = fsck(directory)
        assert done.returncode == 2
        assert "is no data dir of Millpond" in done.stderr
    assert list(tmp_path.iterdir()) == [], "fsck makes nothing"
