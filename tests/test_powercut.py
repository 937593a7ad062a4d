"""Power cuts on a real file system.

ext4 on a loop file, mounted `noauto_da_alloc` (no mercy for files that were renamed unsynced), is shut down by
EXT4_IOC_SHUTDOWN without flushing its log: what was not fsync'd is gone, as after a power cut. MILLPOND_CUTS rounds
(default 10). Needs root and loop devices; skipped, with the reason, where these are missing.
"""

import fcntl
import os
import random
import struct
import subprocess
import time
from pathlib import Path

import pytest
from harness.oracle import Oracle

CUTS = int(os.environ.get("MILLPOND_CUTS", "10"))
LOAD_SECONDS = float(os.environ.get("MILLPOND_LOAD_SECONDS", "2"))
IMAGE_BYTES = 4 << 30  # sparse
# _IOR('X', 125, __u32) and EXT4_GOING_FLAGS_NOLOGFLUSH, from the kernel's fs/ext4/ext4.h.
EXT4_IOC_SHUTDOWN = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125
NOLOGFLUSH = 2

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(max(300, CUTS * 60))]


class Disk:
    def __init__(self, directory: Path):
        self.image = directory / "disk.img"
        self.mount_point = directory / "mount"
        self.mount_point.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(IMAGE_BYTES)
        self._run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", self.image)
        self.mounted = False

    def _run(self, *command):
        done = subprocess.run([str(c) for c in command], capture_output=True, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(f"{command} failed: {done.stderr.decode(errors='replace')}")

    def mount(self):
        self._run("mount", "-o", "loop,noauto_da_alloc", self.image, self.mount_point)
        self.mounted = True

    def unmount(self):
        if not self.mounted:
            return
        for _ in range(50):
            try:
                self._run("umount", self.mount_point)
                self.mounted = False
                return
            except RuntimeError:
                time.sleep(0.1)
        self._run("umount", "-l", self.mount_point)
        self.mounted = False

    def cut_power(self):
        fd = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(fd)

    def check(self):
        """The file system itself must be sound, or the test proves nothing."""
        done = subprocess.run(["e2fsck", "-p", "-f", str(self.image)], capture_output=True, timeout=300)
        assert done.returncode in (0, 1), done.stdout


@pytest.fixture
def disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("power cuts need root (mount, EXT4_IOC_SHUTDOWN)")
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("power cuts need loop devices (/dev/loop-control is missing)")
    try:
        disk = Disk(tmp_path)
        disk.mount()
    except (RuntimeError, FileNotFoundError) as error:
        pytest.skip(f"power cuts need a loop mount of ext4: {error}")
    yield disk
    disk.unmount()


def test_the_cut_is_one(disk):
    """Without fsync a file must be lost by the cut, with it kept; else the other test tests nothing."""
    with open(disk.mount_point / "synced", "wb") as file:
        file.write(b"x" * 100_000)
        file.flush()
        os.fsync(file.fileno())
    directory = os.open(disk.mount_point, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    with open(disk.mount_point / "unsynced", "wb") as file:
        file.write(b"x" * 100_000)
    disk.cut_power()
    with pytest.raises(OSError):
        open(disk.mount_point / "after", "wb").close()
    disk.unmount()
    disk.mount()
    assert (disk.mount_point / "synced").read_bytes() == b"x" * 100_000
    assert not (disk.mount_point / "unsynced").exists()


def test_power_cuts_under_load(disk, make_server):
    seed = int(os.environ.get("MILLPOND_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"rerun with MILLPOND_SEED={seed}")
    rng = random.Random(seed)
    server = make_server(data_dir=disk.mount_point / "data")
    oracle = Oracle(server, seed)
    oracle.prepare()
    for cut in range(1, CUTS + 1):
        before = oracle.acknowledged()
        oracle.start()
        time.sleep(LOAD_SECONDS * rng.uniform(0.3, 1.3))
        oracle.cut(disk.cut_power)
        # The server lives on for a moment on a dead disk: it must not acknowledge anything that is asked for now.
        time.sleep(rng.choice([0, 0.05, 0.3]))
        oracle.stopping.set()
        server.kill()
        oracle.stop()
        assert oracle.acknowledged() > before, "no write was acknowledged in this round: nothing was tested"
        disk.unmount()
        if cut % 10 == 0:
            disk.check()
        disk.mount()
        server.start()
        oracle.verify()
        for worker in oracle.workers:
            worker.errors.clear()  # refusals on the dead disk are right
        print(f"cut {cut}/{CUTS}: {oracle.acknowledged()} acknowledged", flush=True)
    assert server.stop() == 0
