"""What a server keeps that is killed while messages are sent, received and deleted: no acknowledged message is lost, and none that was deleted
comes back."""

import os
import random
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from harness.clients import client

KILLS = int(os.environ.get("MILLPOND_KILLS", "10"))

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(max(600, KILLS * 60))]
LOAD_SECONDS = float(os.environ.get("MILLPOND_LOAD_SECONDS", "2"))
FAILED = (BotoCoreError, ClientError)
# Seconds for which some messages are not visible: longer than their deletion takes.
LONG = 20


class Oracle:
    """What was acknowledged. A call that was cut may have been done or not."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent: dict[str, str] = {}
        self.maybe_sent: set[str] = set()
        self.deleted: set[str] = set()
        self.maybe_deleted: set[str] = set()
        self.number = 0

    def body(self, who: str) -> str:
        with self.lock:
            self.number += 1
            return f"{who} {self.number}"


class Client(threading.Thread):
    """Sends, receives and deletes until it is told to stop, or the server is gone."""

    def __init__(self, server, oracle: Oracle, url: str, seed: int, stop: threading.Event):
        super().__init__()
        self.sqs = client(server, "sqs", connect_timeout=2, read_timeout=20)
        self.oracle, self.url, self.stop, self.dice = oracle, url, stop, random.Random(seed)
        self.fifo = url.endswith(".fifo")
        self.wrong: list[str] = []

    def run(self):
        while not self.stop.is_set():
            try:
                if self.dice.random() < 0.5:
                    self.send()
                else:
                    self.take()
            except FAILED:
                return

    def send(self):
        bodies = [self.oracle.body(self.name) for _ in range(self.dice.choice([1, 1, 3]))]
        with self.oracle.lock:
            self.oracle.maybe_sent.update(bodies)
        order = lambda body: {"MessageGroupId": str(hash(body) % 5), "MessageDeduplicationId": body.replace(" ", "-")}  # noqa: E731
        entries = [{"Id": str(n), "MessageBody": body, **(order(body) if self.fifo else {})} for n, body in enumerate(bodies)]
        done = self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)
        with self.oracle.lock:
            self.oracle.sent.update({bodies[int(one["Id"])]: one["MessageId"] for one in done["Successful"]})

    def take(self):
        visibility = self.dice.choice([1, LONG])
        began = time.monotonic()
        got = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=5, VisibilityTimeout=visibility)
        for one in got.get("Messages", []):
            body = one["Body"]
            with self.oracle.lock:
                if body in self.oracle.deleted:
                    self.wrong.append(f"deleted, and back: {body}")
                if self.dice.random() < 0.3:
                    continue
                self.oracle.maybe_deleted.add(body)
            try:
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=one["ReceiptHandle"])
            except ClientError as error:
                # It took too long: the receipt of a FIFO queue is over.
                if error.response["Error"]["Code"] != "InvalidParameterValue":
                    raise
                continue
            # A receipt that was over deleted nothing in a standard queue; this one was not.
            if visibility == LONG and time.monotonic() - began < LONG / 2:
                with self.oracle.lock:
                    self.oracle.deleted.add(body)


def drained(sqs, url: str, seconds: float = max(120, KILLS * 30)) -> list[str]:
    """Everything that is left, received and deleted."""
    bodies: list[str] = []
    deadline = time.monotonic() + seconds
    while True:
        got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, VisibilityTimeout=300).get("Messages", [])
        for one in got:
            bodies.append(one["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
        left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        if not got and not any(int(count) for count in left.values()):
            return bodies
        assert time.monotonic() < deadline, left


@pytest.mark.parametrize("kind", ["standard", "fifo"])
def test_kills_lose_no_message_and_bring_none_back(make_server, kind):
    seed = int(os.environ.get("MILLPOND_SEED", random.randrange(1 << 32)))
    print(f"rerun with MILLPOND_SEED={seed}")
    dice = random.Random(seed)
    server = make_server()
    sqs = client(server, "sqs")
    if kind == "fifo":
        url = sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    else:
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
    oracle, wrong = Oracle(), []
    for kill in range(KILLS):
        stop = threading.Event()
        clients = [Client(server, oracle, url, dice.randrange(1 << 32), stop) for _ in range(4)]
        for one in clients:
            one.start()
        time.sleep(dice.uniform(0.1, LOAD_SECONDS))
        server.kill()
        stop.set()
        for one in clients:
            one.join()
            wrong += one.wrong
        server.start()
        print(f"kill {kill + 1}/{KILLS}: {len(oracle.sent)} acknowledged", flush=True)
    # Messages that were in flight for a minute are made visible by time alone.
    left = drained(client(server, "sqs"), url)
    known = set(left)
    lost = [body for body in oracle.sent if body not in known and body not in oracle.deleted and body not in oracle.maybe_deleted]
    back = [body for body in left if body in oracle.deleted]
    unknown = [body for body in left if body not in oracle.maybe_sent]
    twice = len(left) - len(known)
    assert (wrong, lost, back, unknown) == ([], [], [], []), (len(oracle.sent), twice)
    assert len(oracle.sent) > KILLS, "the load did nothing"
