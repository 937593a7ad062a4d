"""A small ext4 file system on a loop file, a neighbour that takes its space, and power cuts."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import subprocess
import time
from pathlib import Path

import pytest

MIB = 1 << 20
# _IOR('X', 125, __u32) and EXT4_GOING_FLAGS_NOLOGFLUSH, from the kernel's fs/ext4/ext4.h.
EXT4_IOC_SHUTDOWN = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125
NOLOGFLUSH = 2


class LoopDisk:
    def __init__(self, directory: Path, size: int):
        self.image = directory / "disk.img"
        self.mount_point = directory / "mount"
        self.mount_point.mkdir()
        self.balloon = self.mount_point / "somebody-else"
        with open(self.image, "wb") as image:
            image.truncate(size)
        # No blocks kept for root: the server may be root here, and full is to mean full. A small disk is not to be all journal.
        journal = ["-J", "size=8"] if size < 1 << 30 else []
        _run("mkfs.ext4", "-q", "-F", "-m", "0", *journal, "-E", "lazy_itable_init=1,lazy_journal_init=1", self.image)
        self.mounted = False
        self.mount()

    def mount(self) -> None:
        # No mercy for files that were renamed unsynced.
        _run("mount", "-o", "loop,noauto_da_alloc", self.image, self.mount_point)
        self.mounted = True

    def mount_after_cut(self) -> None:
        """As a machine does that starts again: a cut may catch the file system between its superblock and that one's checksum, which its own
        check mends (from the copies of the superblock). What files hold is not its business."""
        try:
            self.mount()
        except RuntimeError as error:
            print(f"the file system is checked before it is mounted: {error}", flush=True)
            done = subprocess.run(["e2fsck", "-y", "-f", str(self.image)], capture_output=True, timeout=300)
            assert done.returncode in (0, 1), done.stdout
            self.mount()

    def unmount(self) -> None:
        if not self.mounted:
            return
        for _ in range(50):
            try:
                _run("umount", self.mount_point)
                break
            except RuntimeError:
                time.sleep(0.1)
        else:
            _run("umount", "-l", self.mount_point)
        self.mounted = False

    def cut_power(self) -> None:
        """Without flushing the log: what was not synced is gone, as after a power cut."""
        fd = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(fd)

    def check(self) -> None:
        """The file system itself must be sound, or the test proves nothing."""
        done = subprocess.run(["e2fsck", "-p", "-f", str(self.image)], capture_output=True, timeout=300)
        assert done.returncode in (0, 1), done.stdout

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
        self.unmount()


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
