"""kill -9 between publishing and delivery: what was acknowledged reaches every subscriber; a queue gets it exactly once, a webhook at least once, always
under the same id."""

import json
import os
import random
import threading
import time
from collections import Counter

import pytest
from harness.clients import client
from harness.hook import Hook
from test_sns import Queue, confirmed, subscribe

KILLS = int(os.environ.get("MILLPOND_KILLS", "10"))

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(max(300, KILLS * 60))]


def test_nothing_is_lost_or_doubled(make_server):
    seed = int(os.environ.get("MILLPOND_SEED", str(random.randrange(1 << 32))))
    print(f"rerun with MILLPOND_SEED={seed}")
    dice = random.Random(seed)
    hook = Hook()
    server = make_server(env={"MILLPOND_OUTBOUND_ALLOW": "127.0.0.0/8"})
    sns, sqs = client(server, "sns"), client(server, "sqs")
    topic = sns.create_topic(Name="t")["TopicArn"]
    policy = json.dumps({"healthyRetryPolicy": {"numRetries": 20, "minDelayTarget": 1, "maxDelayTarget": 1}})
    confirmed(sns, topic, hook, "/hook", DeliveryPolicy=policy)
    queues = [Queue(sqs), Queue(sqs)]
    subscribe(sns, topic, queues[0], RawMessageDelivery="true")
    subscribe(sns, topic, queues[1])
    acknowledged: dict[str, str] = {}
    for kill in range(KILLS):
        stop = threading.Event()

        def publish(own, n: int):
            while not stop.is_set():
                text = f"{kill}-{n}"
                try:
                    acknowledged[text] = own.publish(TopicArn=topic, Message=text)["MessageId"]
                except Exception:
                    return
                n += 4

        workers = [threading.Thread(target=publish, args=(client(server, "sns"), n)) for n in range(4)]
        enough = len(acknowledged) + dice.randrange(1, 60)
        [worker.start() for worker in workers]
        while len(acknowledged) < enough and any(worker.is_alive() for worker in workers):
            time.sleep(0.001)
        server.kill()
        stop.set()
        [worker.join() for worker in workers]
        server.start()
        print(f"kill {kill + 1}/{KILLS}: {len(acknowledged)} acknowledged", flush=True)
    assert len(acknowledged) > KILLS
    for queue in queues:
        queue.sqs = client(server, "sqs")
    raw = drained(queues[0], set(acknowledged))
    assert set(acknowledged) <= set(raw), "acknowledged messages are missing"
    # What was not acknowledged may have been committed all the same; nothing comes twice.
    assert max(raw.values()) == 1, [text for text, count in raw.items() if count > 1]
    wrapped = drained(queues[1], set(acknowledged), lambda body: (json.loads(body)["Message"], json.loads(body)["MessageId"]))
    assert max(wrapped.values()) == 1
    ids = dict(wrapped)
    assert {text: ids_of for text, ids_of in ids if text in acknowledged} == acknowledged
    deadline = time.monotonic() + max(60, KILLS)
    while True:
        posted = {(post.document["Message"], post.document["MessageId"]) for post in hook.on("/hook", "Notification")}
        if set(acknowledged.items()) <= posted:
            break
        assert time.monotonic() < deadline, f"{len(set(acknowledged.items()) - posted)} posts are missing"
        time.sleep(0.2)
    assert len({text for text, _ in posted}) == len(posted), "one message came under two ids"
    hook.close()


def drained(queue: Queue, wanted: set, of=lambda body: body) -> Counter:
    """All that is in a queue, once all that is wanted has come and nothing more does."""
    seen: Counter = Counter()
    texts: set = set()
    deadline = time.monotonic() + max(90, KILLS * 10)
    quiet = 0
    while quiet < 3 or not wanted <= texts:
        answer = queue.sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
        quiet = 0 if answer else quiet + 1
        for message in answer:
            one = of(message["Body"])
            seen[one] += 1
            texts.add(one if isinstance(one, str) else one[0])
            queue.sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
        if time.monotonic() > deadline:
            break
    return seen
