"""Event notifications of buckets, to queues: boto3 and the aws CLI. What is in effect when, the order of a journal and destinations that fail are tested in
crates/svc-s3/tests/notifications.rs."""

from __future__ import annotations

import json
import os
import random
import threading
import time
import urllib.parse

import pytest
from harness.clients import client, refused, s3_client
from harness.identities import name
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # knows the account of the server it started

# Messages come within milliseconds; a server that takes longer than this hangs.
ARRIVES_SECONDS = 60
KILLS = int(os.environ.get("MILLPOND_KILLS", "10"))


@pytest.fixture(scope="module")
def sqs(server):
    return client(server, "sqs")


def arn(url: str) -> str:
    return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{url.rsplit('/', 1)[1]}"


def queue_for(sqs, bucket: str) -> str:
    """A queue that takes what the bucket announces, and nothing else of S3."""
    url = sqs.create_queue(QueueName=name("q"))["QueueUrl"]
    condition = {"ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}, "StringEquals": {"aws:SourceAccount": ACCOUNT}}
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn(url),
        "Condition": condition,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return url


def rule(url: str, *events: str, **filters: str) -> dict:
    found = {"QueueArn": arn(url), "Events": list(events)}
    if filters:
        found["Filter"] = {"Key": {"FilterRules": [{"Name": k, "Value": v} for k, v in filters.items()]}}
    return found


def configure(s3, bucket: str, *rules: dict, **more):
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": list(rules)}, **more
    )


def drain(sqs, url: str, expected: int) -> list[dict]:
    """The bodies of so many messages, in the order in which they came, test events aside."""
    found: list[dict] = []
    deadline = time.monotonic() + ARRIVES_SECONDS
    while len(found) < expected:
        assert time.monotonic() < deadline, f"{len(found)} of {expected} messages came: {found}"
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            body = json.loads(message["Body"])
            if body.get("Event") != "s3:TestEvent":
                found.append(body)
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def records(sqs, url: str, expected: int) -> list[dict]:
    return [record for body in drain(sqs, url, expected) for record in body["Records"]]


def told(found: list[dict]) -> set[tuple[str, str]]:
    return {(r["eventName"], urllib.parse.unquote_plus(r["s3"]["object"]["key"])) for r in found}


def test_a_put_is_told_as_s3_tells_it(s3, sqs, bucket):
    url = queue_for(sqs, bucket)
    configure(s3, bucket, {**rule(url, "s3:ObjectCreated:*"), "Id": "mine"})
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    test = json.loads(message["Body"])
    assert (test["Service"], test["Event"], test["Bucket"]) == ("Amazon S3", "s3:TestEvent", bucket)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    key = "red flower+日/ü.jpg"
    answer = s3.put_object(Bucket=bucket, Key=key, Body=b"hello")
    (record,) = records(sqs, url, 1)
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert record["eventVersion"] == "2.1"
    assert (record["eventSource"], record["eventName"]) == ("aws:s3", "ObjectCreated:Put")
    assert record["awsRegion"] == "us-east-1"
    assert record["userIdentity"] == {"principalId": ACCOUNT}
    assert record["requestParameters"] == {"sourceIPAddress": "127.0.0.1"}
    assert record["responseElements"] == {
        "x-amz-request-id": headers["x-amz-request-id"],
        "x-amz-id-2": headers["x-amz-id-2"],
    }
    found = record["s3"]
    assert (found["s3SchemaVersion"], found["configurationId"]) == ("1.0", "mine")
    assert found["bucket"] == {"name": bucket, "ownerIdentity": {"principalId": ACCOUNT}, "arn": f"arn:aws:s3:::{bucket}"}
    thing = found["object"]
    assert thing["key"] == "red+flower%2B%E6%97%A5/%C3%BC.jpg"
    assert urllib.parse.unquote_plus(thing["key"]) == key
    assert (thing["size"], f'"{thing["eTag"]}"') == (5, answer["ETag"])
    assert "versionId" not in thing and int(thing["sequencer"], 16) > 0


def test_every_way_to_change_an_object(s3, sqs, versioned):
    bucket = versioned
    url = queue_for(sqs, bucket)
    configure(s3, bucket, rule(url, "s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put"))
    first = s3.put_object(Bucket=bucket, Key="put", Body=b"1")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "put"})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"p")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload=parts)
    s3.put_object_tagging(Bucket=bucket, Key="put", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_object_tagging(Bucket=bucket, Key="put")
    marker = s3.delete_object(Bucket=bucket, Key="put")
    s3.delete_object(Bucket=bucket, Key="put", VersionId=first["VersionId"])
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}, {"Key": "parts"}]})
    found = records(sqs, url, 9)
    assert told(found) == {
        ("ObjectCreated:Put", "put"),
        ("ObjectCreated:Copy", "copy"),
        ("ObjectCreated:CompleteMultipartUpload", "parts"),
        ("ObjectTagging:Put", "put"),
        ("ObjectTagging:Delete", "put"),
        ("ObjectRemoved:DeleteMarkerCreated", "put"),
        ("ObjectRemoved:Delete", "put"),
        ("ObjectRemoved:DeleteMarkerCreated", "copy"),
        ("ObjectRemoved:DeleteMarkerCreated", "parts"),
    }
    of = {r["eventName"]: r["s3"]["object"] for r in found if r["s3"]["object"]["key"] == "put"}
    assert of["ObjectCreated:Put"]["versionId"] == first["VersionId"]
    assert of["ObjectRemoved:Delete"]["versionId"] == first["VersionId"]
    assert of["ObjectRemoved:DeleteMarkerCreated"]["versionId"] == marker["VersionId"]
    assert of["ObjectRemoved:DeleteMarkerCreated"]["eTag"] == "d41d8cd98f00b204e9800998ecf8427e"
    order = ["ObjectCreated:Put", "ObjectRemoved:DeleteMarkerCreated", "ObjectRemoved:Delete"]
    sequence = [of[event]["sequencer"] for event in order]
    assert sequence == sorted(sequence)


def test_acl_changes_are_told(s3, sqs, bucket):
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )
    url = queue_for(sqs, bucket)
    configure(s3, bucket, rule(url, "s3:ObjectAcl:Put"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="private")
    (record,) = records(sqs, url, 1)
    assert (record["eventName"], record["eventVersion"]) == ("ObjectAcl:Put", "2.3")


def test_filters_tell_keys_apart(s3, sqs, bucket):
    images, logs = queue_for(sqs, bucket), queue_for(sqs, bucket)
    configure(
        s3,
        bucket,
        rule(images, "s3:ObjectCreated:*", prefix="images/", suffix=".jpg"),
        rule(logs, "s3:ObjectCreated:*", Prefix="my%20logs/"),
    )
    for key in ("images/1.jpg", "images/1.png", "my logs/1", "other/1.jpg"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert told(records(sqs, images, 1)) == {("ObjectCreated:Put", "images/1.jpg")}
    assert told(records(sqs, logs, 1)) == {("ObjectCreated:Put", "my logs/1")}
    shown = s3.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"]
    assert [one["Filter"]["Key"]["FilterRules"] for one in shown] == [
        [{"Name": "Prefix", "Value": "images/"}, {"Name": "Suffix", "Value": ".jpg"}],
        [{"Name": "Prefix", "Value": "my%20logs/"}],
    ]
    assert all(len(one["Id"]) == 32 for one in shown)


def test_configurations_that_are_refused(s3, sqs, bucket):
    url = queue_for(sqs, bucket)
    other = sqs.create_queue(QueueName=name("q"))["QueueUrl"]
    fifo = sqs.create_queue(QueueName=name("q") + ".fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    created = "s3:ObjectCreated:*"
    missing = {"QueueArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:nowhere", "Events": [created]}
    abroad = {"QueueArn": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q", "Events": [created]}
    for rules in (
        [rule(other, created)],
        [missing],
        [abroad],
        [rule(fifo, created)],
        [{"QueueArn": "q", "Events": [created]}],
        [rule(url, "s3:ObjectCreated")],
        [rule(url, created, infix="a")],
        [rule(url, created), rule(url, "s3:ObjectCreated:Put")],
        [rule(url, created, prefix="a/"), rule(url, created, prefix="a/b/")],
    ):
        with refused("InvalidArgument", 400) as error:
            configure(s3, bucket, *rules)
        if rules == [missing]:
            answer = error["Error"]
            assert answer["ArgumentName1"] == missing["QueueArn"]
            assert answer["ArgumentValue1"] == "The destination queue does not exist"
    function = {"LambdaFunctionArn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f", "Events": [created]}
    with refused("InvalidArgument", 400) as error:
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [function]}
        )
    assert error["Error"]["ArgumentName1"] == function["LambdaFunctionArn"]
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    configure(s3, bucket, missing, SkipDestinationValidation=True)
    configure(s3, bucket)
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)


def test_a_queue_that_shuts_out_s3_gets_nothing(s3, sqs, bucket):
    open_, shut = queue_for(sqs, bucket), queue_for(sqs, bucket)
    configure(s3, bucket, rule(shut, "s3:ObjectCreated:*"), rule(open_, "s3:ObjectRemoved:*"))
    sqs.set_queue_attributes(QueueUrl=shut, Attributes={"Policy": ""})
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="k")
    # The one behind it comes all the same.
    assert told(records(sqs, open_, 1)) == {("ObjectRemoved:Delete", "k")}
    bodies = [m["Body"] for m in sqs.receive_message(QueueUrl=shut, MaxNumberOfMessages=10).get("Messages", [])]
    assert all("s3:TestEvent" in body for body in bodies)


def test_with_the_aws_cli(s3, sqs, bucket, tools, tmp_path):
    url = queue_for(sqs, bucket)
    document = tmp_path / "notification.json"
    document.write_text(json.dumps({"QueueConfigurations": [{**rule(url, "s3:ObjectCreated:*"), "Id": "cli"}]}))
    put = ["s3api", "put-bucket-notification-configuration", "--bucket", bucket]
    tools.aws(*put, "--notification-configuration", f"file://{document}")
    shown = json.loads(tools.aws("s3api", "get-bucket-notification-configuration", "--bucket", bucket).stdout)
    assert shown == {"QueueConfigurations": [{"Id": "cli", "QueueArn": arn(url), "Events": ["s3:ObjectCreated:*"]}]}
    source = tmp_path / "a b.txt"
    source.write_text("x")
    tools.aws("s3", "cp", source, f"s3://{bucket}/a b.txt")
    assert told(records(sqs, url, 1)) == {("ObjectCreated:Put", "a b.txt")}


def test_the_default_bus_gets_all(server, s3, sqs, versioned):
    events = client(server, "events")
    url = sqs.create_queue(QueueName=name("q"))["QueueUrl"]
    rule_name = name("rule")
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [versioned]}}}
    rule_arn = events.put_rule(Name=rule_name, EventPattern=json.dumps(pattern))["RuleArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn(url),
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events.put_targets(Rule=rule_name, Targets=[{"Id": "q", "Arn": arn(url)}])
    s3.put_bucket_notification_configuration(
        Bucket=versioned, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    assert s3.get_bucket_notification_configuration(Bucket=versioned)["EventBridgeConfiguration"] == {}
    put = s3.put_object(Bucket=versioned, Key="a b", Body=b"hello")
    s3.put_object_tagging(Bucket=versioned, Key="a b", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_object(Bucket=versioned, Key="a b")
    found = {event["detail-type"]: event for event in drain(sqs, url, 3)}
    assert set(found) == {"Object Created", "Object Tags Added", "Object Deleted"}
    created = found["Object Created"]
    assert (created["source"], created["account"]) == ("aws.s3", ACCOUNT)
    assert created["resources"] == [f"arn:aws:s3:::{versioned}"]
    detail = created["detail"]
    assert (detail["reason"], detail["requester"]) == ("PutObject", ACCOUNT)
    assert (detail["object"]["key"], detail["object"]["version-id"]) == ("a b", put["VersionId"])
    assert found["Object Deleted"]["detail"]["deletion-type"] == "Delete Marker Created"


def test_deleting_a_bucket_tells_what_went_before(s3, sqs, bucket):
    url = queue_for(sqs, bucket)
    configure(s3, bucket, rule(url, "s3:ObjectCreated:*", "s3:ObjectRemoved:*"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    assert told(records(sqs, url, 2)) == {("ObjectCreated:Put", "k"), ("ObjectRemoved:Delete", "k")}


@pytest.mark.timeout(max(300, KILLS * 60))
def test_what_was_acknowledged_is_told_once_though_the_server_is_killed(make_server):
    """Writers put and delete while the server is killed again and again: each change that was acknowledged is told once, and each key's in order."""
    seed = int(os.environ.get("MILLPOND_SEED", random.randrange(1 << 32)))
    print(f"rerun with MILLPOND_SEED={seed}")
    pace = random.Random(seed)
    server = make_server()
    s3, sqs = s3_client(server), client(server, "sqs")
    bucket = name("b")
    s3.create_bucket(Bucket=bucket)
    url = queue_for(sqs, bucket)
    configure(s3, bucket, rule(url, "s3:ObjectCreated:*", "s3:ObjectRemoved:*"))
    acknowledged: dict[str, list[str]] = {}
    unknown: set[str] = set()
    stop = threading.Event()

    def write(writer: int) -> None:
        mine = s3_client(server)
        for n in range(1_000_000):
            if stop.is_set():
                return
            key = f"{writer}/{n}"
            try:
                mine.put_object(Bucket=bucket, Key=key, Body=b"x")
                acknowledged.setdefault(key, []).append("ObjectCreated:Put")
                if n % 3 == 0:
                    mine.delete_object(Bucket=bucket, Key=key)
                    acknowledged[key].append("ObjectRemoved:Delete")
            except Exception:
                # It may have been carried out, or not.
                unknown.add(key)
                time.sleep(0.05)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for writer in writers:
        writer.start()
    for kill in range(1, KILLS + 1):
        time.sleep(pace.uniform(0.05, 0.6))
        server.restart_after_kill()
        print(f"kill {kill}/{KILLS}: {len(acknowledged)} keys", flush=True)
    stop.set()
    for writer in writers:
        writer.join()

    found: dict[str, list[tuple[str, str]]] = {}
    certain = sum(len(events) for events in acknowledged.values())
    quiet, total = 0, 0
    deadline = time.monotonic() + max(ARRIVES_SECONDS, KILLS * 10)
    while total < certain or quiet < 2:
        assert time.monotonic() < deadline, f"{total} of {certain} messages came"
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
        quiet = 0 if messages else quiet + 1
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            body = json.loads(message["Body"])
            for record in body.get("Records", []):
                thing = record["s3"]["object"]
                found.setdefault(thing["key"], []).append((thing["sequencer"], record["eventName"]))
                total += 1
    for key, events in acknowledged.items():
        names = [event for _, event in sorted(found.get(key, []))]
        if key in unknown:
            assert names[: len(events)] == events and len(names) <= 2, (key, events, names)
        else:
            assert names == events, (key, events, names)
    assert set(found) <= set(acknowledged) | unknown
