"""Mixed load, and an oracle that knows what was acknowledged.

Every worker owns its keys, so what a key may hold is known exactly: the last acknowledged state, or, when the answer to
the last request never came, the state which that request asked for. Nothing else is right after a crash.
"""

from __future__ import annotations

import hashlib
import http.client
import random
import re
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import quote

from harness.raw import UNSIGNED, Raw

PLAIN, VERSIONED = "oracle-plain", "oracle-versioned"
# Inline, segment and file bodies, and what is near their borders.
SIZES = [0, 1, 300, 4096, 8192, 20_000, 65_536, 300_000, 1_500_000]
PART = 5 << 20
WORKERS = 8
KEYS_PER_WORKER = 12
REQUEST_SECONDS = 60


@dataclass(frozen=True)
class State:
    """What a key holds: the digest and size of its body, and its metadata's mark."""

    md5: str
    size: int
    mark: str


ABSENT = None


@dataclass
class Worker:
    name: str
    # Plain bucket: key -> acknowledged state, and key -> states that an unanswered request may have made.
    known: dict[str, State | None] = field(default_factory=dict)
    unsure: dict[str, list[State | None]] = field(default_factory=dict)
    # Versioned bucket: (key, version id) -> state.
    versions: dict[tuple[str, str], State] = field(default_factory=dict)
    acknowledged: int = 0
    errors: list[str] = field(default_factory=list)
    # Reads during the load that contradict what was acknowledged.
    wrong: list[str] = field(default_factory=list)


def body_of(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


class Connection:
    """One keep-alive connection."""

    def __init__(self, raw: Raw):
        self.raw = raw
        self.http = http.client.HTTPConnection(*raw.address, timeout=REQUEST_SECONDS)

    def request(self, method, path, query="", headers=None, body=b""):
        signed = self.raw.sign(method, path, query, headers, UNSIGNED).headers
        self.http.request(method, f"{path}?{query}" if query else path, body, signed)
        answer = self.http.getresponse()
        data = answer.read()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, data

    def close(self):
        self.http.close()


class Oracle:
    def __init__(self, server, seed: int):
        self.server = server
        self.seed = seed
        self.workers = [Worker(f"w{n}") for n in range(WORKERS)]
        self.stopping = threading.Event()
        # Around a power cut: set before it begins, and after it is done.
        self.cut_begun = threading.Event()
        self.cut_done = threading.Event()
        self.threads: list[threading.Thread] = []
        self.round = 0

    def raw(self) -> Raw:
        return Raw(self.server.endpoint, self.server.access_key, self.server.secret_key, self.server.region)

    def prepare(self):
        c = Connection(self.raw())
        for bucket in (PLAIN, VERSIONED):
            status, _, body = c.request("PUT", f"/{bucket}")
            assert status == 200, body
        config = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        status, _, body = c.request("PUT", f"/{VERSIONED}", "versioning=", {}, config)
        assert status == 200, body
        c.close()

    # Load

    def start(self):
        self.round += 1
        for event in (self.stopping, self.cut_begun, self.cut_done):
            event.clear()
        self.threads = [
            threading.Thread(target=self._work, args=(w, random.Random(f"{self.seed}/{self.round}/{w.name}")), daemon=True)
            for w in self.workers
        ]
        for thread in self.threads:
            thread.start()

    def stop(self):
        """After the server was killed (or to end the load): waits until every worker has seen it."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(REQUEST_SECONDS + 10)
            assert not thread.is_alive(), "a request hangs"

    def cut(self, cut_power):
        """Cuts the power of the server's disk. An answer that comes while that happens proves nothing: a sync that was
        under way may return well from a journal that was aborted meanwhile (jbd2 then sees no transaction to wait for),
        and a server without power would not have answered. A change that was asked for after the cut must not be
        acknowledged."""
        self.cut_begun.set()
        cut_power()
        self.cut_done.set()

    def acknowledged(self) -> int:
        return sum(w.acknowledged for w in self.workers)

    def errors(self) -> list[str]:
        return [e for w in self.workers for e in w.errors]

    def _work(self, worker: Worker, rng: random.Random):
        connection = Connection(self.raw())
        try:
            while not self.stopping.is_set():
                self._step(worker, rng, connection)
        except (OSError, http.client.HTTPException):
            pass  # the server is gone: what was asked last stays unsure
        finally:
            connection.close()

    def _step(self, worker: Worker, rng: random.Random, c: Connection):
        key = f"{worker.name}/{rng.randrange(KEYS_PER_WORKER)}"
        if worker.unsure.get(key):
            return  # until `verify` has seen what became of it
        kind = rng.choices(["put", "delete", "copy", "multipart", "version", "read"], [50, 10, 10, 3, 20, 7])[0]
        getattr(self, f"_{kind}")(worker, rng, c, key)

    def _new(self, rng, size=None) -> tuple[bytes, State]:
        seed = rng.getrandbits(48)
        data = body_of(seed, rng.choice(SIZES) if size is None else size)
        return data, State(hashlib.md5(data).hexdigest(), len(data), f"{seed:x}")

    def _change(self, worker: Worker, key: str, new: State | None, send) -> bool:
        dead = self.cut_done.is_set()
        worker.unsure[key] = [new]
        status, _, body = send()
        if status in (200, 204) and self.cut_begun.is_set():
            if dead and new != worker.known.get(key):
                worker.wrong.append(f"{key}: acknowledged on a dead disk")
            return False
        if status in (200, 204) and not body.startswith(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error"):
            worker.known[key] = new
            worker.unsure.pop(key)
            worker.acknowledged += 1
            return True
        # Refused (a full or failing disk, SlowDown): the change may not have happened, and may not happen later.
        if status < 500 or b"<Code>SlowDown</Code>" in body:
            worker.unsure.pop(key)
        worker.errors.append(f"{status} {body[:300]!r}")
        time.sleep(0.01)
        return False

    def _put(self, worker, rng, c, key):
        data, state = self._new(rng)
        path = f"/{PLAIN}/{quote(key)}"
        self._change(worker, key, state, lambda: c.request("PUT", path, "", {"x-amz-meta-mark": state.mark}, data))

    def _delete(self, worker, rng, c, key):
        self._change(worker, key, ABSENT, lambda: c.request("DELETE", f"/{PLAIN}/{quote(key)}"))

    def _copy(self, worker, rng, c, key):
        sources = [k for k, s in worker.known.items() if s is not None and k != key and not worker.unsure.get(k)]
        if not sources:
            return
        source = rng.choice(sources)
        headers = {"x-amz-copy-source": f"/{PLAIN}/{quote(source)}"}
        self._change(
            worker, key, worker.known[source], lambda: c.request("PUT", f"/{PLAIN}/{quote(key)}", "", headers)
        )

    def _multipart(self, worker, rng, c, key):
        path = f"/{PLAIN}/{quote(key)}"
        seed = rng.getrandbits(48)
        parts = [body_of(seed, PART), body_of(seed + 1, rng.randrange(1, 100_000))]
        data = b"".join(parts)
        state = State(hashlib.md5(data).hexdigest(), len(data), f"{seed:x}")
        status, _, body = c.request("POST", path, "uploads=", {"x-amz-meta-mark": state.mark})
        if status != 200:
            worker.errors.append(f"{status} {body[:300]!r}")
            return
        upload = re.search(rb"<UploadId>([^<]+)</UploadId>", body).group(1).decode()
        listed = ""
        for number, part in enumerate(parts, 1):
            status, headers, body = c.request("PUT", path, f"partNumber={number}&uploadId={quote(upload)}", {}, part)
            if status != 200:
                worker.errors.append(f"{status} {body[:300]!r}")
                return
            listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{headers['etag']}</ETag></Part>"
        complete = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        self._change(worker, key, state, lambda: c.request("POST", path, f"uploadId={quote(upload)}", {}, complete))

    def _version(self, worker, rng, c, key):
        dead = self.cut_done.is_set()
        data, state = self._new(rng, rng.choice(SIZES[:6]))
        status, headers, body = c.request("PUT", f"/{VERSIONED}/{quote(key)}", "", {"x-amz-meta-mark": state.mark}, data)
        if status == 200 and self.cut_begun.is_set():
            if dead:
                worker.wrong.append(f"version {key}: acknowledged on a dead disk")
        elif status == 200:
            worker.versions[(key, headers["x-amz-version-id"])] = state
            worker.acknowledged += 1
        else:
            worker.errors.append(f"{status} {body[:300]!r}")
            time.sleep(0.01)

    def _read(self, worker, rng, c, key):
        if key not in worker.known:
            return
        try:
            seen = self._look(c, PLAIN, key)
        except AssertionError as refused:
            worker.errors.append(str(refused))
            return
        if seen != worker.known[key]:
            worker.wrong.append(f"{key}: read {seen} during the load, acknowledged {worker.known[key]}")

    # Verification

    def _look(self, c: Connection, bucket: str, key: str, version: str | None = None) -> State | None:
        status, headers, body = c.request("GET", f"/{bucket}/{quote(key)}", f"versionId={quote(version)}" if version else "")
        if status == 404:
            return ABSENT
        assert status == 200, f"{key}: {status} {body[:300]!r}"
        return State(hashlib.md5(body).hexdigest(), len(body), headers.get("x-amz-meta-mark", ""))

    def verify(self, versions: bool = True):
        """Reads everything back. Raises AssertionError with all that is wrong."""
        c = Connection(self.raw())
        wrong: list[str] = []
        present: dict[str, State] = {}
        for worker in self.workers:
            wrong += worker.wrong
            for key in sorted({*worker.known, *worker.unsure}):
                allowed = [worker.known.get(key), *worker.unsure.get(key, [])]
                try:
                    seen = self._look(c, PLAIN, key)
                except AssertionError as error:
                    wrong.append(str(error))
                    continue
                if seen not in allowed:
                    wrong.append(f"{key}: read {seen}, allowed {allowed}")
                # From now on this is the truth: an unanswered change happened or it did not, for good.
                worker.known[key] = seen
                worker.unsure.pop(key, None)
                if seen is not None:
                    present[key] = seen
        listed = self._list(c, PLAIN)
        if listed != {key: state.size for key, state in present.items()}:
            wrong.append(f"listing and reads differ: {sorted(set(listed.items()) ^ {(k, s.size) for k, s in present.items()})}")
        if versions:
            wrong += self._verify_versions(c)
        c.close()
        assert not wrong, "\n".join([f"seed {self.seed}, round {self.round}", *wrong[:40]])

    def _verify_versions(self, c: Connection) -> list[str]:
        wrong = []
        listed = self._list_versions(c)
        for worker in self.workers:
            for (key, version), state in worker.versions.items():
                if listed.get((key, version)) != state.size:
                    wrong.append(f"version {key} {version} is not listed with {state.size}: {listed.get((key, version))}")
            # Reading all of them each time would take longer than the load; a sample, and all of the newest.
            sample = list(worker.versions.items())
            sample = sample[-6:] + random.Random(self.round).sample(sample, min(6, len(sample)))
            for (key, version), state in sample:
                seen = self._look(c, VERSIONED, key, version)
                if seen != state:
                    wrong.append(f"version {key} {version}: read {seen}, acknowledged {state}")
        return wrong

    def _list(self, c: Connection, bucket: str) -> dict[str, int]:
        found, token = {}, ""
        while True:
            status, _, body = c.request("GET", f"/{bucket}", f"list-type=2{token}")
            assert status == 200, body
            for key, size in re.findall(rb"<Contents>.*?<Key>([^<]*)</Key>.*?<Size>(\d+)</Size>", body, re.S):
                found[key.decode()] = int(size)
            more = re.search(rb"<NextContinuationToken>([^<]+)<", body)
            if not more:
                return found
            token = f"&continuation-token={quote(more.group(1).decode(), safe='')}"

    def _list_versions(self, c: Connection) -> dict[tuple[str, str], int]:
        found, marker = {}, ""
        while True:
            status, _, body = c.request("GET", f"/{VERSIONED}", f"versions={marker}")
            assert status == 200, body
            for entry in re.findall(rb"<Version>.*?</Version>", body, re.S):
                key, version, size = (re.search(rb"<%s>([^<]*)</%s>" % (n, n), entry).group(1) for n in (b"Key", b"VersionId", b"Size"))
                found[(key.decode(), version.decode())] = int(size)
            key = re.search(rb"<NextKeyMarker>([^<]+)<", body)
            if not key:
                return found
            version = re.search(rb"<NextVersionIdMarker>([^<]+)<", body)
            marker = f"&key-marker={quote(key.group(1).decode(), safe='')}"
            marker += f"&version-id-marker={quote(version.group(1).decode(), safe='')}" if version else ""
