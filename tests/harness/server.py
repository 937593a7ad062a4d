"""A Millpond server process with its own ports and its own directory."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ACCESS_KEY = "MPTESTROOTKEY0000001"
SECRET_KEY = "test+Secret/Key+with/characters+that+need+care"
REGION = "us-east-1"
ACCOUNT = "123456789012"

READY = "/_millpond/health/ready"
# A dev build that has to recover a large journal on a busy two-core machine; a server that needs longer hangs.
START_SECONDS = 60.0
# A graceful stop lets requests in flight finish.
STOP_SECONDS = 40.0


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def binary() -> str:
    path = os.environ.get("MILLPOND_BIN")
    if not path:
        target = os.environ.get("CARGO_TARGET_DIR", str(Path(__file__).parents[2] / "target"))
        path = str(Path(target) / "debug" / "millpond")
    if not os.access(path, os.X_OK):
        raise RuntimeError(f"no server to test at {path}: run `make test`, or set MILLPOND_BIN")
    return path


class StartFailed(Exception):
    """The process ended, or did not become ready in time. Holds its log."""


class Server:
    """One server. `start` may be called again after `kill` or `stop`: ports and data directory stay the same."""

    def __init__(
        self,
        data_dir: Path | None = None,
        args: list[str] | None = None,
        env: dict[str, str] | None = None,
        region: str = REGION,
        root_credentials: bool = True,
        scheme: str = "http",
    ):
        self._own_dir = Path(tempfile.mkdtemp(prefix="millpond-test-"))
        self.data_dir = data_dir or self._own_dir / "data"
        self.log_path = self._own_dir / "server.log"
        self.port = free_port()
        self.pg_port = free_port()
        self.region = region
        self.scheme = scheme
        self.access_key = ACCESS_KEY
        self.secret_key = SECRET_KEY
        self.args = args or []
        self.env = env or {}
        self.root_credentials = root_credentials
        self.process: subprocess.Popen | None = None

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def command(self) -> list[str]:
        return [
            binary(), "serve",
            "--data-dir", str(self.data_dir),
            "--listen", f"127.0.0.1:{self.port}",
            "--pg-listen", f"127.0.0.1:{self.pg_port}",
            "--account-id", ACCOUNT,
            "--region", self.region,
            "--domain", "localhost",
            "--domain", "s3.localhost",
            *self.args,
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        # Settings of the person who runs the tests must not reach the server.
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("MILLPOND_", "AWS_"))}
        if self.root_credentials:
            keep["MILLPOND_ROOT_ACCESS_KEY"] = self.access_key
            keep["MILLPOND_ROOT_SECRET_KEY"] = self.secret_key
        keep.update(self.env)
        return keep

    def spawn(self) -> None:
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def start(self) -> "Server":
        self.spawn()
        self.wait_ready()
        return self

    def wait_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise StartFailed(f"server ended with {self.process.returncode}\n{self.log_tail()}")
            if self.ready():
                return
            if time.monotonic() > deadline:
                self.kill()
                raise StartFailed(f"server not ready after {START_SECONDS} s\n{self.log_tail()}")
            time.sleep(0.02)

    def ready(self) -> bool:
        import ssl

        context = ssl._create_unverified_context() if self.scheme == "https" else None
        try:
            with urllib.request.urlopen(self.endpoint + READY, timeout=5, context=context) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stopped(self) -> dict[str, bool]:
        """Which stores take no more writes, as /_millpond/metrics says."""
        with urllib.request.urlopen(self.endpoint + "/_millpond/metrics", timeout=10) as answer:
            metrics = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#"))
        return {store: float(metrics[f"millpond_{store}_stopped"]) == 1 for store in ("meta", "blob")}

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is said."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and SIGKILL when it does not help. Returns the exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def restart_after_kill(self) -> None:
        self.kill()
        self.start()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines: int = 60) -> str:
        return "\n".join(self.log().splitlines()[-lines:])

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._own_dir, ignore_errors=True)

    def __enter__(self) -> "Server":
        return self if self.process else self.start()

    def __exit__(self, *exc) -> None:
        self.close()


class ExternalServer:
    """Any S3 endpoint, named by MILLPOND_TEST_ENDPOINT: tells whether a test is right about S3, not about us."""

    def __init__(self, endpoint: str):
        self.endpoint = endpoint.rstrip("/")
        self.region = os.environ.get("MILLPOND_TEST_REGION", REGION)
        self.access_key = os.environ.get("MILLPOND_TEST_ACCESS_KEY", ACCESS_KEY)
        self.secret_key = os.environ.get("MILLPOND_TEST_SECRET_KEY", SECRET_KEY)
        self.port = int(self.endpoint.rsplit(":", 1)[1])

    def alive(self) -> bool:
        return True

    def log_tail(self, lines: int = 60) -> str:
        return ""

    def close(self) -> None:
        pass
