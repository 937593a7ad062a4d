"""Time that tests move."""

from __future__ import annotations

import subprocess

from harness.server import Server, binary


def advance(server: Server, seconds: int) -> None:
    """Moves the clock of a server that was started with --movable-clock. It forgets that when it is started anew."""
    command = [binary(), "clock", "--data-dir", str(server.data_dir), "--advance", str(seconds)]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
