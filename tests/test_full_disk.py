"""A disk that runs full: clear refusals, nothing acknowledged is lost, deletes work, and space comes back without a restart.

The data dir is on an ext4 of its own (a loop file). Needs root and loop devices; skipped, with the reason, where these are missing.
MILLPOND_FULL_ROUNDS (default 1) repeats it, and makes the second test so many times as long.
"""

import collections
import hashlib
import json
import os
import threading
import time

import pytest
from harness.clients import client, refused, s3_client
from harness.disk import MIB, loop_disk
from harness.sums import noise

ROUNDS = int(os.environ.get("MILLPOND_FULL_ROUNDS", "1"))
# The ballast and the reserve take 64 MiB each, the server wants three times that free to take the first.
DISK_BYTES = 320 * MIB
SIZES = {"file": 8 * MIB, "segment": MIB, "inline": 4096}
BUCKET = "full"
# What S3 says of a full disk, and what all other services say.
FULL = ("SlowDown", 503)
UNAVAILABLE = ("ServiceUnavailable", 503)
STORM_SECONDS = 2.0 * ROUNDS
# Deleted bytes stay for readers for 30 s; then upkeep has to come by, on a busy machine.
BACK_SECONDS = 120

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(240 + 10 * ROUNDS)]


@pytest.fixture
def disk(tmp_path, request):
    disk = loop_disk(tmp_path, DISK_BYTES)
    # The server is stopped first: it was made by a fixture that this one is not part of.
    make_server = request.getfixturevalue("make_server")
    disk.server = make_server(data_dir=disk.mount_point / "data")
    yield disk
    disk.server.stop()
    disk.close()


class Lake:
    """What was acknowledged, and whether it is there."""

    def __init__(self, server):
        self.server = server
        self.s3 = s3_client(server)
        self.held: dict[str, str] = {}
        self.unsure: dict[str, str | None] = {}
        self.count = 0

    def put(self, kind: str) -> str:
        self.count += 1
        key = f"{kind}/{self.count:05}"
        # Every body is another one: a repeated prefix of numbers, and noise that does not compress.
        body = key.encode() + BODIES[kind][len(key) :]
        self.change(key, hashlib.md5(body).hexdigest(), lambda: self.s3.put_object(Bucket=BUCKET, Key=key, Body=body))
        return key

    def change(self, key: str, md5: str | None, ask) -> None:
        """SlowDown means that nothing happened, ServiceUnavailable of a stopped store that nobody knows."""
        try:
            ask()
        except self.s3.exceptions.ClientError as error:
            if refusal(error) != FULL:
                self.unsure[key] = md5
            raise
        if md5 is None:
            del self.held[key]
        else:
            self.held[key] = md5

    def settle(self) -> None:
        """After a restart: what became of the changes that nobody knew about. Either is right."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        listed = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
        for key, md5 in self.unsure.items():
            if md5 is None and key not in listed:
                self.held.pop(key, None)
            if md5 is not None and key in listed:
                self.held[key] = md5
        self.unsure.clear()

    def fill(self, kind: str) -> int:
        """Puts until it is refused, as a full disk refuses. Returns how many there was room for."""
        for done in range(DISK_BYTES // SIZES[kind] + 1):
            try:
                self.put(kind)
            except self.s3.exceptions.ClientError as error:
                assert refusal(error) == FULL, error
                assert "space" in error.response["Error"]["Message"]
                return done
        raise AssertionError(f"{done} objects of {SIZES[kind]} bytes found room on a disk of {DISK_BYTES}")

    def keys(self, kind: str) -> list[str]:
        return [key for key in self.held if key.startswith(kind) and key not in self.unsure]

    def delete(self, key: str) -> None:
        self.change(key, None, lambda: self.s3.delete_object(Bucket=BUCKET, Key=key))

    def delete_many(self, keys: list[str]) -> None:
        answer = self.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
        assert "Errors" not in answer, answer
        assert {entry["Key"] for entry in answer["Deleted"]} == set(keys)
        for key in keys:
            del self.held[key]

    def verify(self) -> None:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        listed = {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}
        assert listed == {key: SIZES[key.split("/")[0]] for key in self.held}
        wrong = [key for key, md5 in self.held.items() if self.md5(key) != md5]
        assert wrong == []

    def md5(self, key: str) -> str:
        return hashlib.md5(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()).hexdigest()

    def not_stopped(self) -> None:
        assert self.server.stopped() == {"meta": False, "blob": False}

    def room_again(self) -> None:
        """Waits until an object of each size finds room."""
        deadline = time.monotonic() + BACK_SECONDS
        for kind in SIZES:
            while True:
                try:
                    self.put(kind)
                    break
                except self.s3.exceptions.ClientError as error:
                    assert refusal(error) == FULL, error
                    assert time.monotonic() < deadline, f"no room for {SIZES[kind]} bytes after {BACK_SECONDS} s: {error}"
                    time.sleep(0.5)


BODIES = {kind: noise(size, size) for kind, size in SIZES.items()}


def refusal(error) -> tuple[str, int]:
    return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_full_disk(disk, number):
    lake = Lake(disk.server)
    lake.s3.create_bucket(Bucket=BUCKET)
    uploads = begin_uploads(lake)
    room = [lake.fill(kind) for kind in SIZES]
    print(f"room for {dict(zip(SIZES, room))}, {disk.free()} bytes left", flush=True)
    assert room[0] > 0, "the disk was full before it began"
    lake.verify()
    refused_parts(lake, uploads)
    full_to_the_last_byte(lake, disk)
    restart_without_a_byte(lake, disk)
    refill(lake, disk)
    space_comes_back(lake, uploads)
    assert disk.server.stop() == 0
    disk.server.start()
    lake.verify()
    lake.room_again()
    lake.verify()


def begin_uploads(lake: Lake) -> dict[str, str]:
    """Two uploads with a part each: one to be given up, one to be completed."""
    uploads = {}
    for key in ("given-up", "completed"):
        uploads[key] = lake.s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        lake.s3.upload_part(Bucket=BUCKET, Key=key, UploadId=uploads[key], PartNumber=1, Body=BODIES["file"])
    return uploads


def refused_parts(lake: Lake, uploads: dict[str, str]) -> None:
    for key, upload in uploads.items():
        with refused(*FULL):
            lake.s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=2, Body=BODIES["file"])
        parts = lake.s3.list_parts(Bucket=BUCKET, Key=key, UploadId=upload)["Parts"]
        assert [part["PartNumber"] for part in parts] == [1]


def full_to_the_last_byte(lake: Lake, disk) -> None:
    """Another program takes what the server had left as its reserve: reads and deletes go on."""
    disk.inflate()
    assert disk.free() == 0
    for kind in SIZES:
        with refused(*FULL):
            lake.put(kind)
    lake.verify()
    for kind in SIZES:
        gone = lake.keys(kind)[0]
        lake.delete(gone)
        with refused("NoSuchKey", 404):
            lake.s3.get_object(Bucket=BUCKET, Key=gone)
    lake.not_stopped()
    lake.verify()


def restart_without_a_byte(lake: Lake, disk) -> None:
    """The other program goes on, and takes also what the ballast gave back: then even deletes are refused, until it lets go."""
    disk.inflate()
    assert disk.free() == 0
    disk.server.restart_after_kill()
    lake.verify()
    gone = lake.keys("inline")[0]
    with refused(*FULL):
        lake.delete(gone)
    lake.not_stopped()
    lake.verify()
    disk.deflate()
    lake.delete(gone)


def refill(lake: Lake, disk) -> None:
    """What the other program gave back is what the reserve and the ballast had held: it stays for deletes. What they free is written
    on, until the disk is full of objects again."""
    assert disk.free() > 64 * MIB
    for kind in SIZES:
        with refused(*FULL):
            lake.put(kind)
    for gone in lake.keys("file")[:4]:
        lake.delete(gone)
    # The four come back one by one: two rounds, so that there is room for more than what was first to come back.
    for _ in range(2):
        lake.room_again()
    room = [lake.fill(kind) for kind in SIZES]
    print(f"room again for {dict(zip(SIZES, room))}, {disk.free()} bytes left", flush=True)


def space_comes_back(lake: Lake, uploads: dict[str, str]) -> None:
    lake.s3.abort_multipart_upload(Bucket=BUCKET, Key="given-up", UploadId=uploads["given-up"])
    with refused("NoSuchUpload", 404):
        lake.s3.list_parts(Bucket=BUCKET, Key="given-up", UploadId=uploads["given-up"])
    lake.delete_many([*lake.keys("file")[2:], *lake.keys("segment")[1:], *lake.keys("inline")[1::2]])
    lake.verify()
    lake.room_again()
    complete(lake, "completed", uploads["completed"])
    lake.not_stopped()
    lake.verify()


def complete(lake: Lake, key: str, upload: str) -> None:
    part = lake.s3.list_parts(Bucket=BUCKET, Key=key, UploadId=upload)["Parts"][0]
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    lake.s3.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    assert lake.md5(key) == hashlib.md5(BODIES["file"]).hexdigest()
    lake.s3.delete_object(Bucket=BUCKET, Key=key)


def test_a_neighbour_that_takes_every_byte_at_once(disk):
    """Room goes between being looked at and being used. The server may have to stop writing; what it acknowledged is there,
    and after a restart with room it goes on."""
    lake = Lake(disk.server)
    lake.s3.create_bucket(Bucket=BUCKET)
    for _ in range(8):
        for kind in SIZES:
            lake.put(kind)
    ended = threading.Event()

    def take():
        while not ended.wait(0.03):
            disk.inflate()
            if ended.wait(0.03):
                break
            disk.deflate()

    neighbour = threading.Thread(target=take, daemon=True)
    neighbour.start()
    try:
        seen = storm(lake)
    finally:
        ended.set()
        neighbour.join()
    print(f"answers {dict(seen)}, stopped {disk.server.stopped()}", flush=True)
    for line in [line for line in disk.server.log().splitlines() if "no more writes" in line][:1]:
        print(line)
    assert set(seen) - {"ok"} <= {FULL, UNAVAILABLE}, seen
    assert seen["ok"] > 0 and seen[FULL] > 0
    lake.verify()
    disk.server.kill()
    disk.deflate()
    disk.server.start()
    lake.settle()
    lake.verify()
    lake.room_again()


def storm(lake: Lake) -> collections.Counter:
    """Puts and deletes in turn, whatever comes of them. An unanswered question stays open until `settle`."""
    seen = collections.Counter()
    until = time.monotonic() + STORM_SECONDS
    while time.monotonic() < until:
        for kind in SIZES:
            for ask in (lambda: lake.put(kind), lambda: [lake.delete(key) for key in lake.keys(kind)[:1]]):
                try:
                    ask()
                    seen["ok"] += 1
                except lake.s3.exceptions.ClientError as error:
                    seen[refusal(error)] += 1
    return seen


def test_all_services_on_a_full_disk(disk):
    """What makes something new is told to come again, what deletes is carried out, and a queue can be emptied."""
    services = ("sqs", "sns", "events", "scheduler", "logs", "kms", "iam", "cloudtrail")
    sqs, sns, events, scheduler, logs, kms, iam, cloudtrail = (client(disk.server, service) for service in services)
    lake = Lake(disk.server)
    lake.s3.create_bucket(Bucket=BUCKET)
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    for number in range(3):
        sqs.send_message(QueueUrl=queue, MessageBody=str(number))
    topic = sns.create_topic(Name="t")["TopicArn"]
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
    events.put_rule(Name="r", EventPattern='{"source": ["a"]}')
    events.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": arn}])
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    target = {"Arn": arn, "RoleArn": role}
    at = {"ScheduleExpression": "rate(30 days)", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": target}
    scheduler.create_schedule(Name="s", **at)
    scheduler.create_schedule_group(Name="g")
    logs.create_log_group(logGroupName="l")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/a", TargetKeyId=key)
    iam.create_user(UserName="u")
    lake.s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(TRAIL_POLICY))
    cloudtrail.create_trail(Name="trail", S3BucketName=BUCKET)
    for kind in SIZES:
        lake.fill(kind)

    entry = {"Source": "a", "DetailType": "b", "Detail": "{}"}
    for ask, more in [
        (sqs.create_queue, {"QueueName": "more"}),
        (sqs.send_message, {"QueueUrl": queue, "MessageBody": "more"}),
        (sqs.send_message_batch, {"QueueUrl": queue, "Entries": [{"Id": "1", "MessageBody": "more"}]}),
        (sns.create_topic, {"Name": "more"}),
        (sns.publish, {"TopicArn": topic, "Message": "more"}),
        (events.create_event_bus, {"Name": "more"}),
        (events.put_events, {"Entries": [entry]}),
        (scheduler.create_schedule, {"Name": "more", **at}),
        (kms.create_key, {}),
        (iam.create_user, {"UserName": "more"}),
        (cloudtrail.create_trail, {"Name": "more", "S3BucketName": BUCKET}),
        (lake.s3.create_bucket, {"Bucket": "more"}),
    ]:
        refuses(ask, more, *(FULL if ask == lake.s3.create_bucket else UNAVAILABLE))
    refuses(logs.create_log_group, {"logGroupName": "more"}, "ServiceUnavailableException", 503)

    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
    assert sorted(message["Body"] for message in received) == ["0", "1", "2"]
    for message in received:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    for ask, which in [
        (sns.unsubscribe, {"SubscriptionArn": subscription}),
        (sns.delete_topic, {"TopicArn": topic}),
        (events.remove_targets, {"Rule": "r", "Ids": ["1"]}),
        (events.delete_rule, {"Name": "r"}),
        (scheduler.delete_schedule, {"Name": "s"}),
        (scheduler.delete_schedule_group, {"Name": "g"}),
        (logs.delete_log_group, {"logGroupName": "l"}),
        (kms.delete_alias, {"AliasName": "alias/a"}),
        (iam.delete_user, {"UserName": "u"}),
        (cloudtrail.delete_trail, {"Name": "trail"}),
        (sqs.delete_queue, {"QueueUrl": queue}),
    ]:
        ask(**which)
    eventually(lambda: [group["Name"] for group in scheduler.list_schedule_groups()["ScheduleGroups"]] == ["default"])
    lake.not_stopped()
    lake.verify()


TRUST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"},
}
TRAIL_POLICY = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "cloudtrail.amazonaws.com"},
        "Action": ["s3:PutObject", "s3:GetBucketAcl"],
        "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
    },
}


def refuses(ask, more: dict, code: str, status: int) -> None:
    with refused(code, status) as seen:
        ask(**more)
    assert "no space left" in seen["Error"]["Message"] and "Deleting still works" in seen["Error"]["Message"], seen


def eventually(holds) -> None:
    deadline = time.monotonic() + BACK_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
