"""System calls of a running server that fail, by strace's fault injection."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ATTACH_SECONDS = 20.0


class Injected:
    """From entering on, the named calls of every thread fail as `what` says (strace(1), "inject"), and of files in `paths` alone
    if there are any. `hits` are the calls that failed; they are complete when the server has been killed."""

    def __init__(self, server, calls: str, what: str, paths: list[Path] | None = None):
        self.server = server
        self.log = server.log_path.with_name("strace.log")
        only = [part for path in paths or [] for part in ("-P", str(path))]
        self.command = ["strace", "-f", "-qq", "-s", "0", "-o", str(self.log), "-e", f"trace={calls}", "-e", f"inject={calls}:{what}", *only]

    def __enter__(self) -> "Injected":
        self.log.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [*self.command, "-p", str(self.server.pid)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + ATTACH_SECONDS
        while not self.attached():
            if self.process.poll() is not None:
                pytest.skip(f"strace cannot attach to the server: {self.process.stderr.read().decode(errors='replace')}")
            assert time.monotonic() < deadline, "strace does not attach"
            time.sleep(0.01)
        return self

    def attached(self) -> bool:
        """Whether every thread is traced by now."""
        try:
            tasks = [task / "status" for task in Path(f"/proc/{self.server.pid}/task").iterdir()]
            return all(f"TracerPid:\t{self.process.pid}\n" in task.read_text() for task in tasks)
        except FileNotFoundError:
            return False

    def __exit__(self, *exc) -> None:
        self.process.terminate()
        self.process.communicate()

    def hits(self) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if "(INJECTED)" in line]


def need_strace() -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is missing (Debian: apt-get install strace)")
    probe = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, timeout=60)
    if probe.returncode != 0:
        pytest.skip(f"strace does not work here: {probe.stderr.decode(errors='replace')}")
