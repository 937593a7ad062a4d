"""Amazon SQS with boto3, the aws CLI and the older query protocol. Who may do what, the order of FIFO queues and the time that moves are tested in
crates/svc-sqs/tests; what a killed server keeps in test_sqs_crash.py."""

import base64
import hashlib
import json
import threading
import time
import urllib.parse
from xml.etree import ElementTree

import pytest
from harness.clients import client, refused
from harness.identities import User, allow, name
from harness.raw import Raw
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # knows the account of the server it started

MISSING = "AWS.SimpleQueueService.NonExistentQueue"


@pytest.fixture(scope="module")
def sqs(server):
    return client(server, "sqs")


@pytest.fixture
def queue(sqs) -> str:
    return sqs.create_queue(QueueName=name("q"))["QueueUrl"]


@pytest.fixture
def fifo(sqs) -> str:
    return sqs.create_queue(QueueName=name("q") + ".fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]


def arn(url: str) -> str:
    return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{url.rsplit('/', 1)[1]}"


def attribute(sqs, url: str, *names: str):
    got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"]
    return got[names[0]] if len(names) == 1 else got


def counts(sqs, url: str) -> tuple[int, int, int]:
    names = ["", "NotVisible", "Delayed"]
    got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return tuple(int(got[f"ApproximateNumberOfMessages{name}"]) for name in names)


def receive(sqs, url: str, **more) -> list[dict]:
    return sqs.receive_message(QueueUrl=url, **more).get("Messages", [])


def until(check, seconds: float = 30):
    """What becomes true sooner or later."""
    deadline = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)


def test_a_message_goes_through(sqs, server, queue):
    assert queue == f"{server.endpoint}/{ACCOUNT}/{queue.rsplit('/', 1)[1]}"
    body = "héllo <wörld> & \"all\" \U0001f600\n"
    given = {
        "a.b": {"DataType": "String", "StringValue": "x"},
        "n": {"DataType": "Number.int", "StringValue": "12"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}
    # botocore itself checks the digests of bodies.
    sent = sqs.send_message(QueueUrl=queue, MessageBody=body, MessageAttributes=given, MessageSystemAttributes=trace)
    assert sent["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest()
    assert "SequenceNumber" not in sent
    [got] = receive(sqs, queue, AttributeNames=["All"], MessageAttributeNames=["All"])
    assert (got["MessageId"], got["Body"]) == (sent["MessageId"], body)
    assert got["MessageAttributes"] == given
    assert got["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    system = got["Attributes"]
    assert system["SenderId"] == ACCOUNT and system["ApproximateReceiveCount"] == "1"
    assert abs(int(system["SentTimestamp"]) / 1000 - time.time()) < 60
    assert system["AWSTraceHeader"].startswith("Root=") and len(sent["MD5OfMessageSystemAttributes"]) == 32
    assert counts(sqs, queue) == (0, 1, 0)
    assert receive(sqs, queue) == []
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=got["ReceiptHandle"])
    assert counts(sqs, queue) == (0, 0, 0)
    # A second time is no error.
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=got["ReceiptHandle"])


def test_the_digest_of_attributes_is_aws_s(sqs, queue):
    given = {"timestamp": {"DataType": "Number", "StringValue": "1493147359900"}}
    sent = sqs.send_message(QueueUrl=queue, MessageBody="derp", MessageAttributes=given)
    assert sent["MD5OfMessageAttributes"] == "235c5c510d26fb653d073faed50ae77c"


def test_only_what_is_asked_for_is_shown(sqs, queue):
    given = {key: {"DataType": "String", "StringValue": "x"} for key in ("a.b", "a.c", "d")}
    sqs.send_message(QueueUrl=queue, MessageBody="x", MessageAttributes=given)
    for names, system, expected in [
        ([], [], (set(), set())),
        (["a.*"], ["SentTimestamp"], ({"a.b", "a.c"}, {"SentTimestamp"})),
        (["d", "nothing"], ["SenderId", "ApproximateReceiveCount"], ({"d"}, {"SenderId", "ApproximateReceiveCount"})),
        ([".*"], ["All"], (set(given), {"SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp"})),
    ]:
        [got] = receive(sqs, queue, MessageAttributeNames=names, MessageSystemAttributeNames=system, VisibilityTimeout=0)
        assert (set(got.get("MessageAttributes", {})), set(got.get("Attributes", {}))) == expected
    with refused("InvalidAttributeName", 400):
        sqs.receive_message(QueueUrl=queue, AttributeNames=["Nothing"])


def test_errors_have_the_codes_of_both_protocols(sqs, server):
    url = f"{server.endpoint}/{ACCOUNT}/nothing"
    with pytest.raises(sqs.exceptions.QueueDoesNotExist) as caught:
        sqs.send_message(QueueUrl=url, MessageBody="x")
    assert caught.value.response["Error"]["Code"] == MISSING
    assert caught.value.response["Error"]["QueryErrorCode"] == "QueueDoesNotExist"
    for call, code in [
        (lambda: sqs.get_queue_url(QueueName="nothing"), MISSING),
        (lambda: sqs.send_message(QueueUrl="nothing", MessageBody="x"), "InvalidAddress"),
        (lambda: sqs.create_queue(QueueName="a b"), "InvalidParameterValue"),
        (lambda: sqs.create_queue(QueueName="a.fifo"), "InvalidParameterValue"),
        (lambda: sqs.create_queue(QueueName=name("q"), Attributes={"Nothing": "1"}), "InvalidAttributeName"),
        (lambda: sqs.create_queue(QueueName=name("q"), Attributes={"DelaySeconds": "901"}), "InvalidAttributeValue"),
        (lambda: sqs.create_queue(QueueName=name("q"), Attributes={"KmsMasterKeyId": "alias/aws/sqs"}), "NotImplemented"),
    ]:
        with refused(code):
            call()


def test_what_is_refused_of_messages(sqs, queue):
    text = lambda kind, value: {"DataType": kind, "StringValue": value}  # noqa: E731
    for code, more in [
        ("MissingParameter", {"MessageBody": ""}),
        ("InvalidMessageContents", {"MessageBody": "\x01"}),
        ("InvalidParameterValue", {"MessageBody": "x", "DelaySeconds": 901}),
        ("InvalidParameterValue", {"MessageBody": "x", "MessageDeduplicationId": "d"}),
        ("InvalidParameterValue", {"MessageBody": "x", "MessageGroupId": "g"}),
        ("InvalidParameterValue", {"MessageBody": "x", "MessageAttributes": {"a": text("Number", "one")}}),
        ("InvalidParameterValue", {"MessageBody": "x", "MessageAttributes": {"aws.a": text("String", "one")}}),
        ("InvalidParameterValue", {"MessageBody": "x", "MessageAttributes": {str(n): text("String", "x") for n in range(11)}}),
        ("InvalidParameterValue", {"MessageBody": "x" * 1048577}),
    ]:
        with refused(code, 400):
            sqs.send_message(QueueUrl=queue, **more)
    for more in [{"MaxNumberOfMessages": 0}, {"MaxNumberOfMessages": 11}, {"WaitTimeSeconds": 21}, {"VisibilityTimeout": 43201}]:
        with refused("InvalidParameterValue", 400):
            sqs.receive_message(QueueUrl=queue, **more)
    with refused("ReceiptHandleIsInvalid"):
        sqs.delete_message(QueueUrl=queue, ReceiptHandle="x")
    with refused("InvalidParameterValue"):
        sqs.receive_message(QueueUrl=queue, ReceiveRequestAttemptId="x")


def test_messages_of_the_largest_size(sqs, queue):
    # Quotes are escaped, so that the request is twice as long.
    for body in ["x" * 1048576, '"' * 1048576, "\u00e9" * 524288, "y" * 70_000]:
        sqs.send_message(QueueUrl=queue, MessageBody=body)
        [got] = receive(sqs, queue)
        assert got["Body"] == body
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=got["ReceiptHandle"])
    small = sqs.create_queue(QueueName=name("q"), Attributes={"MaximumMessageSize": "1024"})["QueueUrl"]
    sqs.send_message(QueueUrl=small, MessageBody="x" * 1024)
    with refused("InvalidParameterValue"):
        sqs.send_message(QueueUrl=small, MessageBody="x" * 1025)


def test_batches(sqs, queue):
    entries = [{"Id": str(n), "MessageBody": f"m{n}"} for n in range(10)]
    entries[3]["MessageBody"] = ""
    sent = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    assert [one["Id"] for one in sent["Successful"]] == [str(n) for n in range(10) if n != 3]
    [failed] = sent["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("3", "MissingParameter", True)
    got = receive(sqs, queue, MaxNumberOfMessages=10)
    assert sorted(one["Body"] for one in got) == [f"m{n}" for n in range(10) if n != 3]
    visible = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"], "VisibilityTimeout": 0} for n, one in enumerate(got[:2])]
    visible.append({"Id": "x", "ReceiptHandle": "nothing", "VisibilityTimeout": 0})
    changed = sqs.change_message_visibility_batch(QueueUrl=queue, Entries=visible)
    assert len(changed["Successful"]) == 2 and changed["Failed"][0]["Code"] == "ReceiptHandleIsInvalid"
    assert counts(sqs, queue) == (2, 7, 0)
    gone = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(got)]
    assert len(sqs.delete_message_batch(QueueUrl=queue, Entries=gone)["Successful"]) == 9
    assert counts(sqs, queue) == (0, 0, 0)
    for code, entries in [
        ("EmptyBatchRequest", []),
        ("TooManyEntriesInBatchRequest", [{"Id": str(n), "MessageBody": "x"} for n in range(11)]),
        ("BatchEntryIdsNotDistinct", [{"Id": "a", "MessageBody": "x"}] * 2),
        ("InvalidBatchEntryId", [{"Id": "a.b", "MessageBody": "x"}]),
        ("BatchRequestTooLong", [{"Id": str(n), "MessageBody": "x" * 600_000} for n in range(2)]),
    ]:
        with refused(f"AWS.SimpleQueueService.{code}", 400):
            sqs.send_message_batch(QueueUrl=queue, Entries=entries)


def test_visibility(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    [first] = receive(sqs, queue, VisibilityTimeout=1)
    [second] = receive(sqs, queue, WaitTimeSeconds=20, AttributeNames=["ApproximateReceiveCount"])
    assert second["MessageId"] == first["MessageId"] and second["ReceiptHandle"] != first["ReceiptHandle"]
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    # The handle of a receipt that is over deletes nothing, and says nothing (API reference, DeleteMessage).
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"])
    with refused("InvalidParameterValue"):
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=5)
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=0)
    with refused("AWS.SimpleQueueService.MessageNotInflight"):
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=5)
    # Visible again, the last handle still deletes it.
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=second["ReceiptHandle"])
    assert counts(sqs, queue) == (0, 0, 0)
    with refused("InvalidParameterValue"):
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=43201)


def test_delays(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="late", DelaySeconds=1)
    assert counts(sqs, queue) == (0, 0, 1)
    assert receive(sqs, queue) == []
    [got] = receive(sqs, queue, WaitTimeSeconds=20)
    assert got["Body"] == "late"
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"DelaySeconds": "900"})
    sqs.send_message(QueueUrl=queue, MessageBody="later")
    sqs.send_message(QueueUrl=queue, MessageBody="now", DelaySeconds=0)
    assert [one["Body"] for one in receive(sqs, queue, MaxNumberOfMessages=10)] == ["now"]


def test_who_waits_gets_what_comes(sqs, server, queue):
    got: list = []

    def wait():
        mine = client(server, "sqs")
        got.extend(receive(mine, queue, WaitTimeSeconds=20))

    waiting = [threading.Thread(target=wait) for _ in range(3)]
    for thread in waiting:
        thread.start()
    time.sleep(0.5)
    started = time.monotonic()
    sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(n), "MessageBody": str(n)} for n in range(3)])
    for thread in waiting:
        thread.join(30)
    assert sorted(one["Body"] for one in got) == ["0", "1", "2"]
    assert time.monotonic() - started < 15, "nobody waited to the end"
    assert receive(sqs, queue, WaitTimeSeconds=1) == []


def test_waiting_ends_when_the_server_does(make_server):
    server = make_server()
    sqs = client(server, "sqs")
    url = sqs.create_queue(QueueName="q", Attributes={"ReceiveMessageWaitTimeSeconds": "20"})["QueueUrl"]
    got: list = []
    thread = threading.Thread(target=lambda: got.append(receive(sqs, url)))
    thread.start()
    time.sleep(0.5)
    started = time.monotonic()
    assert server.stop() == 0
    thread.join(30)
    assert got == [[]] and time.monotonic() - started < 15


def test_dead_letters(sqs, queue):
    dead = sqs.create_queue(QueueName=name("dead"))["QueueUrl"]
    redrive = {"deadLetterTargetArn": arn(dead), "maxReceiveCount": "2"}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": json.dumps(redrive)})
    sent = sqs.send_message(QueueUrl=queue, MessageBody="x", MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}})
    times = {receive(sqs, queue, VisibilityTimeout=0, AttributeNames=["All"])[0]["Attributes"]["SentTimestamp"] for _ in range(2)}
    assert receive(sqs, queue) == []
    [got] = receive(sqs, dead, AttributeNames=["All"], MessageAttributeNames=["All"])
    assert (got["MessageId"], got["Body"]) == (sent["MessageId"], "x")
    assert got["Attributes"]["DeadLetterQueueSourceArn"] == arn(queue)
    assert got["Attributes"]["ApproximateReceiveCount"] == "1"
    assert {got["Attributes"]["SentTimestamp"]} == times
    assert got["MessageAttributes"]["a"]["StringValue"] == "b"
    assert counts(sqs, queue) == (0, 0, 0) and counts(sqs, dead) == (0, 1, 0)
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [queue]
    assert sqs.list_dead_letter_source_queues(QueueUrl=queue)["queueUrls"] == []


def test_redrive_policies_are_checked(sqs, queue, fifo):
    dead = sqs.create_queue(QueueName=name("dead"))["QueueUrl"]

    def put(target: str, count=3):
        policy = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": count})
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": policy})

    for target, count in [(arn(dead) + "x", 3), (arn(fifo), 3), (arn(dead), 0), (arn(dead), 1001)]:
        with refused("InvalidParameterValue", 400):
            put(target, count)
    for permission, good in [
        ({"redrivePermission": "denyAll"}, False),
        ({"redrivePermission": "byQueue", "sourceQueueArns": [arn(dead)]}, False),
        ({"redrivePermission": "byQueue", "sourceQueueArns": [arn(queue)]}, True),
        ({"redrivePermission": "allowAll"}, True),
    ]:
        sqs.set_queue_attributes(QueueUrl=dead, Attributes={"RedriveAllowPolicy": json.dumps(permission)})
        if good:
            put(arn(dead))
            sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": ""})
        else:
            with refused("InvalidParameterValue", 400):
                put(arn(dead))
    assert "RedrivePolicy" not in sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]


def test_dead_letters_go_back(sqs, queue):
    dead = sqs.create_queue(QueueName=name("dead"))["QueueUrl"]
    with refused("InvalidParameterValue"):
        sqs.start_message_move_task(SourceArn=arn(dead))
    with refused("ResourceNotFoundException"):
        sqs.start_message_move_task(SourceArn=arn(dead) + "x")
    redrive = json.dumps({"deadLetterTargetArn": arn(dead), "maxReceiveCount": 1})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": redrive})
    for n in range(25):
        sqs.send_message(QueueUrl=queue, MessageBody=str(n))
    until(lambda: receive(sqs, queue, MaxNumberOfMessages=10, VisibilityTimeout=0) == [] and counts(sqs, queue) == (0, 0, 0))
    assert counts(sqs, dead) == (25, 0, 0)
    handle = sqs.start_message_move_task(SourceArn=arn(dead))["TaskHandle"]
    until(lambda: sqs.list_message_move_tasks(SourceArn=arn(dead))["Results"][0]["Status"] == "COMPLETED")
    [task] = sqs.list_message_move_tasks(SourceArn=arn(dead))["Results"]
    assert (task["ApproximateNumberOfMessagesMoved"], task["ApproximateNumberOfMessagesToMove"]) == (25, 25)
    assert counts(sqs, dead) == (0, 0, 0) and counts(sqs, queue) == (25, 0, 0)
    with refused("AWS.SimpleQueueService.UnsupportedOperation"):
        sqs.cancel_message_move_task(TaskHandle=handle)
    # What was sent to the dead-letter queue itself has nowhere to go back to.
    sqs.send_message(QueueUrl=dead, MessageBody="x")
    sqs.start_message_move_task(SourceArn=arn(dead))
    until(lambda: sqs.list_message_move_tasks(SourceArn=arn(dead))["Results"][0]["Status"] == "FAILED")
    assert sqs.list_message_move_tasks(SourceArn=arn(dead))["Results"][0]["FailureReason"] == "CouldNotDetermineMessageSource"
    other = sqs.create_queue(QueueName=name("q"))["QueueUrl"]
    for _ in range(5):
        sqs.send_message(QueueUrl=dead, MessageBody="x")
    slow = sqs.start_message_move_task(SourceArn=arn(dead), DestinationArn=arn(other), MaxNumberOfMessagesPerSecond=1)
    with refused("AWS.SimpleQueueService.UnsupportedOperation"):
        sqs.start_message_move_task(SourceArn=arn(dead))
    sqs.cancel_message_move_task(TaskHandle=slow["TaskHandle"])
    tasks = sqs.list_message_move_tasks(SourceArn=arn(dead), MaxResults=10)["Results"]
    assert [task["Status"] for task in tasks] == ["CANCELLED", "FAILED", "COMPLETED"]
    with refused("ResourceNotFoundException"):
        sqs.cancel_message_move_task(TaskHandle=handle_of(arn(dead)))


def handle_of(source: str) -> str:
    return base64.b64encode(json.dumps({"taskId": "0" * 32, "sourceArn": source}).encode()).decode()


def test_attributes(sqs, queue):
    got = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert got["QueueArn"] == arn(queue) and got["SqsManagedSseEnabled"] == "true"
    assert (got["VisibilityTimeout"], got["MessageRetentionPeriod"], got["MaximumMessageSize"]) == ("30", "345600", "1048576")
    assert "FifoQueue" not in got and "Policy" not in got and "KmsMasterKeyId" not in got
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=queue)
    assert attribute(sqs, queue, "DelaySeconds", "QueueArn") == {"DelaySeconds": "0", "QueueArn": arn(queue)}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "7", "SqsManagedSseEnabled": "false"})
    assert attribute(sqs, queue, "VisibilityTimeout", "SqsManagedSseEnabled") == {
        "VisibilityTimeout": "7",
        "SqsManagedSseEnabled": "false",
    }
    with refused("InvalidAttributeName"):
        sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["Nothing"])
    with refused("InvalidAttributeName"):
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"ContentBasedDeduplication": "true"})
    made = queue.rsplit("/", 1)[1]
    assert sqs.create_queue(QueueName=made, Attributes={"VisibilityTimeout": "7"})["QueueUrl"] == queue
    with refused("QueueAlreadyExists"):
        sqs.create_queue(QueueName=made, Attributes={"VisibilityTimeout": "8"})


def test_lists(sqs):
    prefix = name("list")
    urls = [sqs.create_queue(QueueName=f"{prefix}-{n}")["QueueUrl"] for n in range(5)]
    assert sqs.list_queues(QueueNamePrefix=prefix)["QueueUrls"] == urls
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix=prefix + "x")
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 2})
    assert [page["QueueUrls"] for page in pages] == [urls[:2], urls[2:4], urls[4:]]
    with refused("InvalidParameterValue"):
        sqs.list_queues(MaxResults=1001)
    with refused("InvalidParameterValue"):
        sqs.list_queues(MaxResults=1, NextToken="%")


def test_tags(sqs):
    url = sqs.create_queue(QueueName=name("q"), tags={"a": "1"})["QueueUrl"]
    sqs.tag_queue(QueueUrl=url, Tags={"b": "2", "a": "3"})
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"a": "3", "b": "2"}
    sqs.untag_queue(QueueUrl=url, TagKeys=["a", "c"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"b": "2"}
    for tags in [{"aws:x": "1"}, {"x" * 129: "1"}, {"x": "y" * 257}, {str(n): "" for n in range(51)}]:
        with refused("InvalidParameterValue"):
            sqs.tag_queue(QueueUrl=url, Tags=tags)


def test_purge_and_delete(sqs, queue):
    for n in range(30):
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(m), "MessageBody": f"{n} {m}"} for m in range(10)])
    receive(sqs, queue, MaxNumberOfMessages=10)
    sqs.purge_queue(QueueUrl=queue)
    assert receive(sqs, queue) == []
    until(lambda: counts(sqs, queue) == (0, 0, 0))
    with refused("AWS.SimpleQueueService.PurgeQueueInProgress"):
        sqs.purge_queue(QueueUrl=queue)
    sqs.send_message(QueueUrl=queue, MessageBody="after")
    assert [one["Body"] for one in receive(sqs, queue)] == ["after"]
    sqs.delete_queue(QueueUrl=queue)
    for call in (lambda: sqs.send_message(QueueUrl=queue, MessageBody="x"), lambda: sqs.receive_message(QueueUrl=queue)):
        with refused(MISSING):
            call()
    with refused("AWS.SimpleQueueService.QueueDeletedRecently"):
        sqs.create_queue(QueueName=queue.rsplit("/", 1)[1])


def test_order(sqs, fifo):
    first = [sqs.send_message(QueueUrl=fifo, MessageBody=f"{g}{n}", MessageGroupId=g, MessageDeduplicationId=f"{g}{n}") for n in range(3) for g in "ab"]
    numbers = [int(one["SequenceNumber"]) for one in first]
    assert numbers == sorted(set(numbers)) and all(len(one["SequenceNumber"]) == 20 for one in first)
    [a0] = receive(sqs, fifo, AttributeNames=["All"])
    assert a0["Body"] == "a0" and a0["Attributes"]["SequenceNumber"] == first[0]["SequenceNumber"]
    assert (a0["Attributes"]["MessageGroupId"], a0["Attributes"]["MessageDeduplicationId"]) == ("a", "a0")
    # The group is not received from while one of it is in flight; as many of the other as there are.
    assert [one["Body"] for one in receive(sqs, fifo, MaxNumberOfMessages=10)] == ["b0", "b1", "b2"]
    assert receive(sqs, fifo) == []
    sqs.change_message_visibility(QueueUrl=fifo, ReceiptHandle=a0["ReceiptHandle"], VisibilityTimeout=0)
    with refused("InvalidParameterValue") as error:
        sqs.delete_message(QueueUrl=fifo, ReceiptHandle=a0["ReceiptHandle"])
    assert "has expired" in error["Error"]["Message"]
    got = receive(sqs, fifo, MaxNumberOfMessages=10)
    assert [one["Body"] for one in got] == ["a0", "a1", "a2"]
    sqs.delete_message_batch(QueueUrl=fifo, Entries=[{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(got)])
    assert counts(sqs, fifo) == (0, 3, 0)


def test_duplicates(sqs, fifo):
    send = lambda body, group, dedup: sqs.send_message(QueueUrl=fifo, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=dedup)  # noqa: E731
    first, again, other = send("x", "g", "d"), send("y", "h", "d"), send("z", "g", "e")
    assert (again["MessageId"], again["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"])
    assert other["MessageId"] != first["MessageId"]
    entries = [{"Id": str(n), "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": d} for n, d in enumerate("dff")]
    ids = [one["MessageId"] for one in sqs.send_message_batch(QueueUrl=fifo, Entries=entries)["Successful"]]
    assert ids[0] == first["MessageId"] and ids[1] == ids[2]
    got = receive(sqs, fifo, MaxNumberOfMessages=10)
    assert [one["Body"] for one in got] == ["x", "z", "x"]
    with refused("InvalidParameterValue"):
        sqs.send_message(QueueUrl=fifo, MessageBody="x", MessageGroupId="g")
    with refused("MissingParameter"):
        sqs.send_message(QueueUrl=fifo, MessageBody="x", MessageDeduplicationId="g")
    sqs.set_queue_attributes(QueueUrl=fifo, Attributes={"ContentBasedDeduplication": "true", "DeduplicationScope": "messageGroup"})
    ids = {sqs.send_message(QueueUrl=fifo, MessageBody="same", MessageGroupId=group)["MessageId"] for group in "aab"}
    assert len(ids) == 2


def test_a_receive_attempt_is_tried_again(sqs, fifo):
    for n in range(3):
        sqs.send_message(QueueUrl=fifo, MessageBody=str(n), MessageGroupId="g", MessageDeduplicationId=str(n))
    take = lambda: receive(sqs, fifo, MaxNumberOfMessages=2, ReceiveRequestAttemptId="try")  # noqa: E731
    first = take()
    assert [one["Body"] for one in first] == ["0", "1"] and take() == first
    sqs.delete_message(QueueUrl=fifo, ReceiptHandle=first[0]["ReceiptHandle"])
    assert take() == []


def test_what_is_there_is_there_after_a_restart(make_server):
    server = make_server()
    sqs = client(server, "sqs")
    url = sqs.create_queue(QueueName="q", tags={"a": "b"})["QueueUrl"]
    fifo = sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    gone = sqs.create_queue(QueueName="gone")["QueueUrl"]
    sqs.send_message(QueueUrl=gone, MessageBody="x")
    for n in range(5):
        sqs.send_message(QueueUrl=url, MessageBody=str(n))
        sqs.send_message(QueueUrl=fifo, MessageBody=str(n), MessageGroupId="g", MessageDeduplicationId=str(n))
    held = receive(sqs, url, MaxNumberOfMessages=2, VisibilityTimeout=600)
    [first] = receive(sqs, fifo, VisibilityTimeout=600)
    seen = receive(sqs, url, VisibilityTimeout=0)
    sqs.delete_queue(QueueUrl=gone)
    server.restart_after_kill()
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"a": "b"}
    assert counts(sqs, url) == (3, 2, 0) and counts(sqs, fifo) == (4, 1, 0)
    assert receive(sqs, fifo) == [], "the group is still in flight"
    got = receive(sqs, url, MaxNumberOfMessages=10, AttributeNames=["All"])
    assert len(got) == 3
    assert {one["MessageId"]: one["Attributes"]["ApproximateReceiveCount"] for one in got}[seen[0]["MessageId"]] == "2"
    # Handles of before count.
    for url_of, one in [(url, held[0]), (fifo, first)]:
        sqs.delete_message(QueueUrl=url_of, ReceiptHandle=one["ReceiptHandle"])
    again = sqs.send_message(QueueUrl=fifo, MessageBody="x", MessageGroupId="g", MessageDeduplicationId="4")
    got = receive(sqs, fifo, MaxNumberOfMessages=10, AttributeNames=["SequenceNumber"])
    assert [one["Body"] for one in got] == ["1", "2", "3", "4"]
    assert (again["MessageId"], again["SequenceNumber"]) == (got[-1]["MessageId"], got[-1]["Attributes"]["SequenceNumber"])
    with refused("AWS.SimpleQueueService.QueueDeletedRecently"):
        sqs.create_queue(QueueName="gone")


def test_no_message_can_be_read_on_the_disk(make_server):
    server = make_server()
    sqs = client(server, "sqs")
    secret = "nobody-reads-this-on-the-disk"
    sealed = sqs.create_queue(QueueName="sealed")["QueueUrl"]
    plain = sqs.create_queue(QueueName="plain", Attributes={"SqsManagedSseEnabled": "false"})["QueueUrl"]
    sqs.send_message(QueueUrl=sealed, MessageBody=secret, MessageAttributes={"a": {"DataType": "String", "StringValue": secret}})
    sqs.send_message(QueueUrl=plain, MessageBody="anybody-reads-this")
    server.stop()
    lying = b"".join(path.read_bytes() for path in server.data_dir.rglob("*") if path.is_file())
    assert secret.encode() not in lying and b"anybody-reads-this" in lying


def test_policies(sqs, server, queue):
    iam = client(server, "iam")
    nobody, reader = User(server, iam), User(server, iam, allow("sqs:ReceiveMessage", arn(queue)))
    with refused("AccessDenied", 403):
        nobody.client("sqs").send_message(QueueUrl=queue, MessageBody="x")
    with refused("AccessDenied", 403):
        reader.client("sqs").send_message(QueueUrl=queue, MessageBody="x")
    statement = {"Effect": "Allow", "Principal": {"AWS": nobody.arn}, "Action": "SQS:SendMessage", "Resource": arn(queue)}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    assert json.loads(attribute(sqs, queue, "Policy")) == json.loads(policy)
    nobody.client("sqs").send_message(QueueUrl=queue, MessageBody="x")
    assert [one["Attributes"]["SenderId"] for one in receive(reader.client("sqs"), queue, AttributeNames=["SenderId"])] == [nobody.id]
    for bad in ["{", '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sqs","Resource":"*"}]}']:
        with refused("InvalidAttributeValue"):
            sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": bad})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": ""})
    with refused("AccessDenied", 403):
        nobody.client("sqs").send_message(QueueUrl=queue, MessageBody="x")


def test_what_a_queue_policy_may_not_have(sqs, queue):
    """Actions of other services, and more of anything than the quotas of the Developer Guide allow."""
    base = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sqs:SendMessage", "Resource": arn(queue)}

    def put(*statements: dict):
        policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})

    for action in ("SQS:SendMessage", "sqs:*", "*", ["sqs:SendMessage", "sqs:ReceiveMessage"]):
        put({**base, "Action": action})
    for more in ({"Action": "sns:Publish"}, {"Action": ["sqs:SendMessage", "s3:GetObject"]}, {"NotAction": "kms:*"}):
        kept = {key: value for key, value in base.items() if key != "Action"}
        with refused("InvalidAttributeValue", 400) as error:
            put({**kept, **more})
        assert "out of service scope" in error["Error"]["Message"]
    operator = {f"aws:RequestTag/{n}": "x" for n in range(11)}
    seven = ["SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueUrl", "GetQueueAttributes", "PurgeQueue"]
    for count, statements in [
        ("21 statements", [base] * 21),
        ("8 actions", [{**base, "Action": [f"sqs:{one}" for one in [*seven, "SetQueueAttributes"]]}]),
        ("51 principals", [{**base, "Principal": {"AWS": [ACCOUNT] * 51}}]),
        ("11 conditions", [{**base, "Condition": {"StringEquals": operator}}]),
    ]:
        with refused("OverLimit") as error:
            put(*statements)
        assert error["Error"]["Message"].startswith(f"{count} were found")
    with refused("InvalidAttributeValue", 400):
        put({**base, "Sid": "x" * 8192})
    put({**base, "Action": [f"sqs:{one}" for one in seven]})


def test_permissions(sqs, queue):
    sqs.add_permission(QueueUrl=queue, Label="one", AWSAccountIds=[ACCOUNT], Actions=["SendMessage", "ReceiveMessage"])
    sqs.add_permission(QueueUrl=queue, Label="two", AWSAccountIds=[ACCOUNT], Actions=["*"])
    statements = json.loads(attribute(sqs, queue, "Policy"))["Statement"]
    root = f"arn:aws:iam::{ACCOUNT}:root"
    assert statements[0] == {
        "Sid": "one", "Effect": "Allow", "Principal": {"AWS": root},
        "Action": ["SQS:SendMessage", "SQS:ReceiveMessage"], "Resource": arn(queue),
    }  # fmt: skip
    assert statements[1]["Action"] == "SQS:*"
    for label, accounts, actions in [("one", [ACCOUNT], ["SendMessage"]), ("x", [ACCOUNT], ["CreateQueue"]), ("x", ["1"], ["SendMessage"])]:
        with refused("InvalidParameterValue"):
            sqs.add_permission(QueueUrl=queue, Label=label, AWSAccountIds=accounts, Actions=actions)
    sqs.remove_permission(QueueUrl=queue, Label="one")
    with refused("InvalidParameterValue"):
        sqs.remove_permission(QueueUrl=queue, Label="one")
    sqs.remove_permission(QueueUrl=queue, Label="two")
    assert "Policy" not in sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]


def form(server, path: str = "/", sign: bool = True, **parameters: str):
    raw = Raw(server.endpoint, server.access_key, server.secret_key, server.region, service="sqs")
    body = urllib.parse.urlencode(parameters).encode()
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    if sign:
        return raw.request("POST", path, headers=headers, body=body)
    return raw.send("POST", path, {"host": raw.host, **headers}, body)


def texts(response, tag: str) -> list[str]:
    space = "{http://queue.amazonaws.com/doc/2012-11-05/}"
    return [node.text for node in ElementTree.fromstring(response.body).iter(space + tag)]


def test_the_query_protocol(server, sqs, queue):
    version = {"Version": "2012-11-05"}
    path = urllib.parse.urlsplit(queue).path
    made = form(server, Action="CreateQueue", QueueName=name("q"), **{"Attribute.1.Name": "VisibilityTimeout", "Attribute.1.Value": "9"}, **version)
    assert made.status == 200, made
    [url] = texts(made, "QueueUrl")
    assert attribute(sqs, url, "VisibilityTimeout") == "9"
    attributes = {"MessageAttribute.1.Name": "a", "MessageAttribute.1.Value.DataType": "String", "MessageAttribute.1.Value.StringValue": "b"}
    # To the queue's own URL, as older SDKs do, and to the endpoint.
    sent = form(server, path=path, Action="SendMessage", MessageBody="x & y", **attributes, **version)
    assert sent.status == 200 and texts(sent, "MD5OfMessageBody") == [hashlib.md5(b"x & y").hexdigest()], sent
    asked = {"AttributeName.1": "All", "MessageSystemAttributeName.1": "SenderId", "MessageAttributeName.1": "a"}
    got = form(server, Action="ReceiveMessage", QueueUrl=queue, **asked, **version)
    assert texts(got, "Body") == ["x & y"] and texts(got, "MessageId") == texts(sent, "MessageId")
    assert "SentTimestamp" in texts(got, "Name") and texts(got, "StringValue") == ["b"]
    [handle] = texts(got, "ReceiptHandle")
    batch = {"DeleteMessageBatchRequestEntry.1.Id": "a", "DeleteMessageBatchRequestEntry.1.ReceiptHandle": handle}
    assert texts(form(server, path=path, Action="DeleteMessageBatch", **batch, **version), "Id") == ["a"]
    assert counts(sqs, queue) == (0, 0, 0)
    for status, code, parameters in [
        (400, MISSING, {"Action": "GetQueueUrl", "QueueName": "nothing"}),
        (400, "MissingParameter", {"Action": "SendMessage", "QueueUrl": queue}),
        (400, "InvalidAction", {"Action": "Nothing"}),
        (400, "MissingAction", {"QueueUrl": queue}),
        (404, "ReceiptHandleIsInvalid", {"Action": "DeleteMessage", "QueueUrl": queue, "ReceiptHandle": "x"}),
    ]:
        answer = form(server, **parameters, **version)
        assert (answer.status, texts(answer, "Code")) == (status, [code]), answer


def test_a_queue_for_everybody(server, sqs, queue):
    path = urllib.parse.urlsplit(queue).path
    send = lambda: form(server, path=path, sign=False, Action="SendMessage", MessageBody="x", Version="2012-11-05")  # noqa: E731
    assert (send().status, texts(send(), "Code")) == (403, ["AccessDenied"])
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn(queue)}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": statement})})
    assert send().status == 200
    assert form(server, path=path, sign=False, Action="ReceiveMessage", Version="2012-11-05").status == 403
    assert [one["Body"] for one in receive(sqs, queue)] == ["x"]


def test_other_names_of_the_server(server, sqs, queue):
    elsewhere = f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{queue.rsplit('/', 1)[1]}"
    sqs.send_message(QueueUrl=elsewhere, MessageBody="x")
    assert [one["Body"] for one in receive(sqs, queue)] == ["x"]


def test_the_aws_cli(server, tools, queue):
    # Version 1 takes AWS's own endpoint for SQS in us-east-1 unless the command names another.
    def aws(*command: str, **more):
        return tools.aws("--endpoint-url", server.endpoint, "sqs", *command, **more)

    sent = json.loads(aws("send-message", "--queue-url", queue, "--message-body", "x").stdout)
    got = json.loads(aws("receive-message", "--queue-url", queue, "--attribute-names", "All").stdout)
    assert [one["MessageId"] for one in got["Messages"]] == [sent["MessageId"]]
    aws("delete-message", "--queue-url", queue, "--receipt-handle", got["Messages"][0]["ReceiptHandle"])
    done = aws("get-queue-url", "--queue-name", "nothing", check=False)
    assert done.returncode != 0 and MISSING.encode() in done.stderr


def test_changes_are_in_the_audit_trail_and_messages_are_not(server, sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    sqs.tag_queue(QueueUrl=queue, Tags={"a": "b"})
    trail = client(server, "cloudtrail")

    def names():
        found = trail.lookup_events(LookupAttributes=[{"AttributeKey": "EventSource", "AttributeValue": "sqs.amazonaws.com"}])
        return {event["EventName"] for event in found["Events"] if arn(queue) in event["CloudTrailEvent"]}

    until(lambda: "TagQueue" in names())
    assert "SendMessage" not in names()
