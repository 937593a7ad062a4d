"""Time that tests move."""

from __future__ import annotations

import subprocess

import pytest
from harness.clients import client
from harness.server import Server, binary

pytestmark = pytest.mark.restarts


def advance(server, seconds):
    command = [binary(), "clock", "--advance", str(seconds), "--data-dir", str(server.data_dir)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_what_is_due_later_comes_when_time_is_moved(make_server):
    server = make_server(args=["--movable-clock"])
    sqs = client(server, "sqs")
    url = sqs.create_queue(QueueName="later")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="in a quarter of an hour", DelaySeconds=900)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    done = advance(server, 901)
    assert done.returncode == 0, done.stderr
    assert sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"][0]["Body"] == "in a quarter of an hour"


def test_the_time_of_other_servers_is_not_moved(make_server):
    done = advance(make_server(), 1)
    assert done.returncode == 2 and "--movable-clock" in done.stderr


def test_without_a_server_nothing_is_moved():
    server = Server()
    done = advance(server, 1)
    assert done.returncode == 2 and "control socket" in done.stderr
