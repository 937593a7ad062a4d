"""Power cuts on a real file system.

ext4 on a loop file, mounted `noauto_da_alloc` (no mercy for files that were renamed unsynced), is shut down by
EXT4_IOC_SHUTDOWN without flushing its log: what was not fsync'd is gone, as after a power cut. MILLPOND_CUTS rounds
(default 10). Needs root and loop devices; skipped, with the reason, where these are missing.
"""

import os
import random
import time

import pytest
from harness.disk import loop_disk
from harness.oracle import Oracle

CUTS = int(os.environ.get("MILLPOND_CUTS", "10"))
LOAD_SECONDS = float(os.environ.get("MILLPOND_LOAD_SECONDS", "2"))
IMAGE_BYTES = 4 << 30  # sparse

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(max(300, CUTS * 60))]


@pytest.fixture
def disk(tmp_path):
    disk = loop_disk(tmp_path, IMAGE_BYTES)
    yield disk
    disk.close()


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
    disk.mount_after_cut()
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
        disk.mount_after_cut()
        server.start()
        oracle.verify()
        for worker in oracle.workers:
            worker.errors.clear()  # refusals on the dead disk are right
        print(f"cut {cut}/{CUTS}: {oracle.acknowledged()} acknowledged", flush=True)
    assert server.stop() == 0
