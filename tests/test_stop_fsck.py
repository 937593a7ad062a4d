"""A server that is told to stop while it checks itself stops, and the one who asked for the check is told."""

import signal
import subprocess

import pytest
from harness.clients import s3_client
from harness.server import binary

OBJECTS = 1500
BUCKET = "checked"
# Far more than either takes; a hang is what fails.
AT_MOST = 60

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(240)]


def test_a_stop_ends_a_check_that_is_under_way(make_server):
    server = make_server()
    s3 = s3_client(server)
    s3.create_bucket(Bucket=BUCKET)
    for number in range(OBJECTS):
        s3.put_object(Bucket=BUCKET, Key=f"{number:05}", Body=b"%05d" % number * 100)
    # Rows by the ten thousand would have to be written for one check to take seconds; the first word of any is soon enough.
    check = subprocess.Popen(
        [binary(), "fsck", "--data-dir", str(server.data_dir)],
        env=server.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert check.stderr.readline().startswith("checking ")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=AT_MOST) == 0
    out, err = check.communicate(timeout=AT_MOST)
    # It may have come to its end before the stop came.
    assert (check.returncode == 2 and "stopped" in err) or (check.returncode == 0 and "nothing is wrong" in out), (out, err)
    server.stop()

    server.start()
    listed = sum(len(page.get("Contents", [])) for page in s3_client(server).get_paginator("list_objects_v2").paginate(Bucket=BUCKET))
    assert listed == OBJECTS
