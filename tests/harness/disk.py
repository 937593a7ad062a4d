"""A small ext4 file system on a loop file, and a neighbour that takes its space."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from pathlib import Path

import pytest

MIB = 1 << 20


class LoopDisk:
    def __init__(self, directory: Path, size: int):
        self.image = directory / "disk.img"
        self.mount_point = directory / "mount"
        self.mount_point.mkdir()
        self.balloon = self.mount_point / "somebody-else"
        with open(self.image, "wb") as image:
            image.truncate(size)
        # No blocks kept for root: the server may be root here, and full is to mean full.
        _run("mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=8", "-E", "lazy_itable_init=1,lazy_journal_init=1", self.image)
        _run("mount", "-o", "loop", self.image, self.mount_point)

    def free(self) -> int:
        stat = os.statvfs(self.mount_point)
        return stat.f_bavail * stat.f_frsize

    def inflate(self) -> None:
        """Takes what is free to the last byte, as another program's log would. What the file system gives free meanwhile, too."""
        with open(self.balloon, "ab") as file:
            for piece in (MIB, 4096, 1):
                while True:
                    try:
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, piece)
                    except OSError as error:
                        assert error.errno == errno.ENOSPC, error
                        break

    def deflate(self) -> None:
        self.balloon.unlink(missing_ok=True)

    def close(self) -> None:
        for _ in range(50):
            try:
                return _run("umount", self.mount_point)
            except RuntimeError:
                time.sleep(0.1)
        _run("umount", "-l", self.mount_point)


def _run(*command: object) -> None:
    done = subprocess.run([str(c) for c in command], capture_output=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{command} failed: {done.stderr.decode(errors='replace')}")


def loop_disk(directory: Path, size: int) -> LoopDisk:
    """A mounted disk, or the test is skipped with the reason."""
    if os.geteuid() != 0:
        pytest.skip("a disk of its own needs root (mount)")
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("a disk of its own needs loop devices (/dev/loop-control is missing)")
    try:
        return LoopDisk(directory, size)
    except (RuntimeError, FileNotFoundError) as error:
        pytest.skip(f"a disk of its own needs a loop mount of ext4: {error}")
