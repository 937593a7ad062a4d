"""`millpond trace`: what became of a change, an event or a message."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest
from harness.clients import client, s3_client
from harness.hook import Hook
from harness.identities import document, name
from harness.server import ACCOUNT, Server, binary

pytestmark = pytest.mark.restarts  # knows the account and the data dir of the server it started

# What is looked for is there within milliseconds; a server that takes longer than this hangs.
SECONDS = 60


@pytest.fixture(scope="module")
def server():
    running = Server(env={"MILLPOND_OUTBOUND_ALLOW": "127.0.0.0/8"}).start()
    yield running
    running.close()


@pytest.fixture(scope="module")
def s3(server):
    return s3_client(server)


@pytest.fixture(scope="module")
def sqs(server):
    return client(server, "sqs")


@pytest.fixture(scope="module")
def sns(server):
    return client(server, "sns")


@pytest.fixture(scope="module")
def events(server):
    return client(server, "events")


@pytest.fixture(scope="module")
def hook():
    one = Hook()
    yield one
    one.close()


@pytest.fixture
def bucket(s3) -> str:
    made = name("traced")
    s3.create_bucket(Bucket=made)
    return made


def run(server, *args: str) -> subprocess.CompletedProcess:
    env = {key: value for key, value in os.environ.items() if not key.startswith("MILLPOND_")}
    command = [binary(), "trace", *args, "--data-dir", str(server.data_dir)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def trace(server, what: str) -> list[str]:
    done = run(server, what)
    assert done.returncode == 0 and not done.stderr, done
    return done.stdout.splitlines()


def traced(server, what: str, *parts: str) -> list[str]:
    """The lines, once each of the parts stands in one."""
    deadline = time.monotonic() + SECONDS
    while True:
        done = run(server, what)
        lines = done.stdout.splitlines()
        missing = [part for part in parts if not any(part in line for line in lines)]
        if not missing:
            return lines
        assert time.monotonic() < deadline, f"{missing} is not in:\n{done.stdout}{done.stderr}"
        time.sleep(0.1)


def one(lines: list[str], part: str) -> str:
    (found,) = [line for line in lines if part in line]
    return found


def below(lines: list[str], part: str) -> list[str]:
    """What stands below the one line that has the part."""
    at = lines.index(one(lines, part))
    depth = len(lines[at]) - len(lines[at].lstrip())
    deeper = []
    for line in lines[at + 1 :]:
        if len(line) - len(line.lstrip()) <= depth:
            break
        deeper.append(line)
    return deeper


class Queue:
    def __init__(self, sqs, *services: str):
        self.sqs = sqs
        self.url = sqs.create_queue(QueueName=name("q"))["QueueUrl"]
        self.arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{self.url.rsplit('/', 1)[1]}"
        self.let_in(*services)

    def let_in(self, *services: str):
        principal = {"Service": [f"{service}.amazonaws.com" for service in services]}
        statement = {"Effect": "Allow", "Principal": principal, "Action": "sqs:SendMessage", "Resource": self.arn}
        policy = document(statement) if services else ""
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": policy})

    def receive(self) -> dict:
        (message,) = self.sqs.receive_message(QueueUrl=self.url, WaitTimeSeconds=20)["Messages"]
        return message

    def delete(self, message: dict):
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])


def notify(s3, bucket: str, *rules: dict, **more):
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={**dict(more), "QueueConfigurations": list(rules)}
    )


def to_queue(queue: Queue, title: str, *types: str, **filters: str) -> dict:
    rules = [{"Name": key, "Value": value} for key, value in filters.items()]
    filtered = {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
    return {"Id": title, "QueueArn": queue.arn, "Events": list(types), **filtered}


def rule(events, pattern: dict, *targets: dict, bus: str = "default", **more) -> str:
    made = name("rule")
    events.put_rule(Name=made, EventBusName=bus, EventPattern=json.dumps(pattern), **more)
    targets = [{"Id": str(number), **target} for number, target in enumerate(targets)]
    assert not targets or events.put_targets(Rule=made, EventBusName=bus, Targets=targets)["FailedEntryCount"] == 0
    return made


def test_a_change_that_is_announced_to_a_queue(server, s3, sqs, bucket):
    queue, other = Queue(sqs, "s3"), Queue(sqs, "s3")
    s3.put_object(Bucket=bucket, Key="in/before.csv", Body=b"x")
    notify(
        s3, bucket,
        to_queue(queue, "tables", "s3:ObjectCreated:*", prefix="in/", suffix=".csv"),
        to_queue(other, "images", "s3:ObjectCreated:*", prefix="images/"),
        to_queue(other, "texts", "s3:ObjectCreated:*", prefix="in/", suffix=".txt"),
        to_queue(other, "removals", "s3:ObjectRemoved:*"),
    )  # fmt: skip
    for one_queue in (queue, other):
        one_queue.delete(one_queue.receive())
    request = s3.put_object(Bucket=bucket, Key="in/a b.csv", Body=b"x")["ResponseMetadata"]["RequestId"]
    what = f"s3://{bucket}/in/a b.csv"
    lines = traced(server, what, "waits to be received")
    assert lines[0].startswith(f"{what}: PutObject at 20"), lines
    assert ", s3:ObjectCreated:Put, sequencer " in lines[0], lines
    assert one(lines, "from 127.0.0.1").endswith(f"request {request}")
    delivered = one(lines, "configuration tables")
    assert f"queue {queue.arn}: matched, delivered as message " in delivered
    message = delivered.rsplit(" ", 1)[1]
    assert [line.strip() for line in below(lines, "configuration tables")] == [
        f"queue {queue.arn}: message {message} waits to be received"
    ]
    for title, why in [
        ("images", 'its prefix is "images/", and the key does not begin with it'),
        ("texts", 'its suffix is ".txt", and the key does not end with it'),
        ("removals", "its events are s3:ObjectRemoved:*, and not s3:ObjectCreated:Put"),
    ]:
        assert one(lines, f"configuration {title}").endswith(f"did not match: {why}"), lines
    # The record is the message that is named, and the request leads to the same.
    assert trace(server, request) == lines
    assert trace(server, message) == [f"queue {queue.arn}: message {message} waits to be received"]
    came = queue.receive()
    assert came["MessageId"] == message
    assert json.loads(came["Body"])["Records"][0]["s3"]["object"]["sequencer"] in lines[0]
    assert "was received and is not visible until" in below(trace(server, what), "configuration tables")[0]
    queue.delete(came)
    gone = f"message {message} is gone: deleted, or kept long enough"
    assert [line.strip() for line in below(trace(server, what), "configuration tables")] == [gone]
    assert run(server, message).returncode == 1
    # From before the configuration.
    assert trace(server, f"s3://{bucket}/in/before.csv")[-1].strip() == "the bucket had no notifications then"


def test_the_changes_of_an_object_in_their_order(server, s3, sqs, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    queue = Queue(sqs, "s3")
    notify(s3, bucket, to_queue(queue, "old", "s3:ObjectCreated:*"))
    versions = [s3.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"]]
    notify(s3, bucket, to_queue(queue, "new", "s3:ObjectRemoved:*"))
    for _ in range(20):
        versions.append(s3.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"])
    versions.append(s3.delete_object(Bucket=bucket, Key="k")["VersionId"])
    lines = traced(server, f"s3://{bucket}/k", "waits to be received")
    changes = [line for line in lines if line.startswith("s3://")]
    # The newest ones, as they happened.
    assert [change.split(", version ")[1].split(",")[0] for change in changes] == versions[-20:]
    assert "DeleteObject at" in changes[-1] and "s3:ObjectRemoved:DeleteMarkerCreated" in changes[-1]
    # Each by the configuration of its time.
    assert sum("configuration new" in line for line in lines) == 20 and not any("configuration old" in line for line in lines)
    s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    assert len([line for line in trace(server, f"s3://{bucket}/other") if line.startswith("s3://")]) == 1


def test_a_queue_that_shuts_out_the_bucket(server, s3, sqs, bucket):
    queue = Queue(sqs, "s3")
    notify(s3, bucket, to_queue(queue, "shut", "s3:ObjectCreated:*"))
    queue.let_in()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    lines = traced(server, f"s3://{bucket}/k", "given up, without a dead-letter queue")
    assert one(lines, "configuration shut").endswith("matched, and was given up")
    assert "attempt 1 at 20" in below(lines, "configuration shut")[0]


def test_rules_of_a_bus(server, s3, sqs, events, bucket):
    queue = Queue(sqs, "events")
    ours = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
    fires = rule(events, ours, {"Arn": queue.arn})
    never = rule(events, {**ours, "detail": {**ours["detail"], "object": {"size": [{"numeric": [">", 100]}]}}})
    off = rule(events, ours, {"Arn": queue.arn}, State="DISABLED")
    notify(s3, bucket, EventBridgeConfiguration={})
    s3.put_object(Bucket=bucket, Key="k", Body=b"12345")
    what = f"s3://{bucket}/k"
    lines = traced(server, what, "waits to be received")
    bridged = below(lines, f"for arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default: matched, delivered")
    assert "came to arn:aws:events:" in bridged[0] and bridged[0].endswith(": matched"), lines
    under = below(lines, f"rule {fires}: matched")
    message = under[-1].split(" message ")[1].split(" ")[0]
    assert queue.arn in under[0] and under[0].endswith(": delivered") and "waits to be received" in under[-1], lines
    assert one(lines, f"rule {never}").endswith('did not match: detail.object.size wants {"numeric": [">", 100]} but has 5')
    assert one(lines, f"rule {off}").endswith("is disabled")
    # By the event's id, and as JSON.
    came = queue.receive()
    event = json.loads(came["Body"])["id"]
    assert came["MessageId"] == message and event in bridged[0]
    assert one(trace(server, event), f"rule {fires}").strip() == f"rule {fires}: matched"
    found = json.loads(run(server, event, "--json").stdout)["lines"]
    assert found[0]["depth"] == 0 and found[0]["text"].startswith(f"event {event} came to ")
    queue.delete(came)
    assert "is gone: deleted" in below(trace(server, what), f"rule {fires}: matched")[-1]
    for made in (fires, never, off):
        events.remove_targets(Rule=made, Ids=["0"])
        events.delete_rule(Name=made)


def test_dead_letters(server, sqs, events):
    dead, shut = Queue(sqs, "events"), Queue(sqs)
    bus = name("bus")
    events.create_event_bus(Name=bus)
    rule(events, {"source": ["s"]}, {"Arn": shut.arn, "DeadLetterConfig": {"Arn": dead.arn}}, bus=bus)
    entry = {"EventBusName": bus, "Source": "s", "DetailType": "t", "Detail": "{}"}
    event = events.put_events(Entries=[entry])["Entries"][0]["EventId"]
    lines = traced(server, event, "waits to be received")
    assert one(lines, f"({shut.arn})").endswith("sent to the dead-letter queue"), lines
    under = below(lines, f"({shut.arn})")
    assert any(line.strip().startswith(f"queue {dead.arn}: message ") for line in under), lines
    assert any("attempt 1 at 20" in line and "NO_PERMISSIONS" in line for line in under), lines


def test_the_times_of_a_schedule(server, sqs, events):
    scheduler, iam = client(server, "scheduler"), client(server, "iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name("role"), AssumeRolePolicyDocument=document(trust))["Role"]
    send = {"Effect": "Allow", "Action": ["sqs:SendMessage", "events:PutEvents"], "Resource": "*"}
    iam.put_role_policy(RoleName=role["RoleName"], PolicyName="p", PolicyDocument=document(send))
    queue, dead, bus = Queue(sqs, "events"), Queue(sqs), name("bus")
    bus_arn = events.create_event_bus(Name=bus)["EventBusArn"]

    def schedule(title: str, arn: str, expression: str = "rate(30 days)", **more) -> str:
        target = {"Arn": arn, "RoleArn": role["Arn"], "Input": '{"id": "<aws.scheduler.execution-id>"}', **more.pop("Target", {})}
        window = {"Mode": "OFF"}
        made = scheduler.create_schedule(
            Name=title, ScheduleExpression=expression, FlexibleTimeWindow=window, Target=target, **more
        )
        return made["ScheduleArn"]

    # To a queue: by the schedule's ARN, and by the execution's id, which the message has.
    arn = schedule(name("s"), queue.arn)
    lines = traced(server, arn, "waits to be received")
    assert lines[0].startswith(f"schedule {arn} (rate(30 days)): is due at 20"), lines
    assert f" to {queue.arn}: delivered" in one(lines, "fired at 20"), lines
    message = queue.receive()
    execution = json.loads(message["Body"])["id"]
    assert f"execution {execution} " in one(lines, "fired at 20") and f"message {message['MessageId']} " in lines[-1]
    lines = trace(server, execution)
    assert lines[0].startswith(f"schedule {arn} fired at 20") and len(lines) == 2, lines
    assert lines[1].startswith(f"queue {queue.arn}: message {execution} was received"), lines

    # To a bus: what its rules make of it.
    rule(events, {"source": ["s"]}, {"Arn": queue.arn}, bus=bus)
    parameters = {"EventBridgeParameters": {"DetailType": "t", "Source": "s"}}
    lines = traced(server, schedule(name("s"), bus_arn, Target=parameters), ": matched")
    assert any(" came to " in line for line in below(lines, "fired at 20")), lines

    # What is given up, by one that goes when it is complete, and by one that stays.
    past, letters = "at(2020-01-01T00:00:00)", {"DeadLetterConfig": {"Arn": dead.arn}}
    gone = schedule(name("s"), f"{queue.arn}-not", past, ActionAfterCompletion="DELETE")
    lines = traced(server, gone, "went when it was complete")
    assert one(lines, "fired at 20").endswith("given up, without a dead-letter queue"), lines
    assert "does not exist" in one(lines, "attempt 1 at 20"), lines
    stays = schedule(name("s"), f"{queue.arn}-not", past, Target=letters)
    lines = traced(server, stays, "waits to be received")
    assert lines[0].endswith("is complete") and one(lines, "fired at 20").endswith("sent to the dead-letter queue"), lines
    assert any(f"queue {dead.arn}: message " in line for line in below(lines, "fired at 20")), lines

    later = schedule(name("s"), queue.arn, "cron(0 0 1 1 ? 2199)")
    assert trace(server, later)[1].strip() == "did not fire yet"
    assert run(server, f"{later}-not").returncode == 1


def test_an_endpoint_that_fails(server, sqs, events, hook):
    bus, made = name("bus"), name("api")
    events.create_event_bus(Name=bus)
    key = {"ApiKeyAuthParameters": {"ApiKeyName": "x-key", "ApiKeyValue": "secret"}}
    connection = events.create_connection(Name=made, AuthorizationType="API_KEY", AuthParameters=key)["ConnectionArn"]
    endpoint = f"{hook.url}/broken"
    hook.answers["/broken"] = [503, 503, 400]
    arn = events.create_api_destination(
        Name=made, ConnectionArn=connection, InvocationEndpoint=endpoint, HttpMethod="POST"
    )["ApiDestinationArn"]  # fmt: skip
    iam = client(server, "iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=made, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    invoke = {"Effect": "Allow", "Action": "events:InvokeApiDestination", "Resource": arn}
    iam.put_role_policy(RoleName=made, PolicyName="p", PolicyDocument=document(invoke))
    rule(events, {"source": ["s"]}, {"Arn": arn, "RoleArn": role}, bus=bus)
    entry = {"EventBusName": bus, "Source": "s", "DetailType": "t", "Detail": "{}"}
    event = events.put_events(Entries=[entry])["Entries"][0]["EventId"]
    lines = traced(server, event, "attempt 1 at ", "503", "again after ")
    assert "waits for another attempt" in one(lines, f"({arn})") or "attempt 2" in "".join(lines), lines
    lines = traced(server, event, "attempt 3 at ", "given up, without a dead-letter queue")
    attempts = below(lines, f"({arn})")
    assert [line.split(" at ")[0].strip() for line in attempts] == ["attempt 1", "attempt 2", "attempt 3"]
    assert ["503" in line for line in attempts] == [True, True, False], attempts
    assert "secret" not in "".join(lines)


def test_a_message_of_a_topic(server, s3, sqs, sns, hook, bucket):
    topic = sns.create_topic(Name=name("topic"))["TopicArn"]
    queue, shut, path = Queue(sqs, "sns"), Queue(sqs), "/flaky"

    def subscribe(endpoint: str, protocol: str = "sqs", **attributes) -> str:
        return sns.subscribe(
            TopicArn=topic, Protocol=protocol, Endpoint=endpoint, Attributes=attributes, ReturnSubscriptionArn=True
        )["SubscriptionArn"]  # fmt: skip

    wants = subscribe(queue.arn, FilterPolicy=json.dumps({"store": ["books"]}))
    # Of a queue there is one subscription.
    picky = Queue(sqs, "sns")
    filtered = subscribe(picky.arn, FilterPolicy=json.dumps({"price": [{"numeric": [">", 100]}]}))
    closed = subscribe(shut.arn)
    policy = {"healthyRetryPolicy": {"numRetries": 3, "minDelayTarget": 1, "maxDelayTarget": 1}}
    web = subscribe(hook.url + path, "http", DeliveryPolicy=json.dumps(policy))
    sns.confirm_subscription(TopicArn=topic, Token=hook.wait(path, "SubscriptionConfirmation")[0].document["Token"])
    pending = subscribe(hook.url + "/pending", "http")
    hook.answers[path] = [500, 200]
    attributes = {
        "store": {"DataType": "String", "StringValue": "books"},
        "price": {"DataType": "Number", "StringValue": "12"},
    }
    message = sns.publish(TopicArn=topic, Message="one book", MessageAttributes=attributes)["MessageId"]
    lines = traced(server, message, "delivered (200", "given up", "waits to be received")
    assert lines[0].startswith(f"topic {topic}: message {message} came at 20") and lines[0].endswith(": handed on")
    assert one(lines, filtered).endswith('did not match: price wants {"numeric": [">", 100]} but has 12'), lines
    assert one(lines, pending).endswith("is not confirmed")
    assert one(lines, closed).endswith("matched, and was given up") and "attempt 1 at" in below(lines, closed)[0]
    posts = below(lines, web)
    assert "500" in posts[0] and "again after" in posts[0] and "attempt 2" in posts[1], lines
    delivery = one(lines, wants).rsplit(" ", 1)[1]
    assert below(lines, wants)[0].strip() == f"queue {queue.arn}: message {delivery} waits to be received"
    came = queue.receive()
    assert came["MessageId"] == delivery and json.loads(came["Body"])["MessageId"] == message
    queue.delete(came)
    assert "is gone: deleted" in below(trace(server, message), wants)[0]


def test_a_change_that_a_topic_tells_a_queue(server, s3, sqs, sns, bucket):
    topic = sns.create_topic(Name=name("topic"))["TopicArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sns:Publish", "Resource": topic}
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=document(statement))
    queue = Queue(sqs, "sns")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    told = {"TopicConfigurations": [{"Id": "all", "TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=told)
    queue.delete(queue.receive())
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    lines = traced(server, f"s3://{bucket}/k", "waits to be received")
    message = one(lines, "configuration all").rsplit(" ", 1)[1]
    under = [line.strip() for line in below(lines, "configuration all")]
    assert under[0].startswith(f"topic {topic}: message {message} came at"), lines
    assert under[1].startswith("subscription ") and under[2].startswith(f"queue {queue.arn}: message "), lines
    assert json.loads(queue.receive()["Body"])["MessageId"] == message


def test_trails_that_select_an_operation(server, s3, events, bucket):
    trails, logs = client(server, "cloudtrail"), name("logs")
    s3.create_bucket(Bucket=logs)
    service = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}}
    policy = document(
        {**service, "Action": "s3:GetBucketAcl", "Resource": f"arn:aws:s3:::{logs}"},
        {**service, "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{logs}/AWSLogs/{ACCOUNT}/*"},
    )
    s3.put_bucket_policy(Bucket=logs, Policy=policy)
    wanted = {"data": "All", "other": "WriteOnly"}
    for trail, kind in wanted.items():
        trails.create_trail(Name=trail, S3BucketName=logs)
        resources = [{"Type": "AWS::S3::Object", "Values": [f"arn:aws:s3:::{bucket}/"]}]
        selector = {"ReadWriteType": kind, "IncludeManagementEvents": False, "DataResources": resources}
        trails.put_event_selectors(TrailName=trail, EventSelectors=[selector])
        trails.start_logging(Name=trail)
    s3.put_object(Bucket=bucket, Key='a "b"', Body=b"x")
    request = s3.get_object(Bucket=bucket, Key='a "b"')["ResponseMetadata"]["RequestId"]
    what = f's3://{bucket}/a "b"'
    waits = f"selects it, and it waits for the next log file below s3://{logs}/AWSLogs/{ACCOUNT}/CloudTrail/"
    lines = traced(server, what, "GetObject at", f"trail data: {waits}", "event-bus/default")
    read = below(lines, f", request {request}, was recorded as ")
    assert one(read, "trail data: ").endswith(waits) and one(read, "trail other: ").endswith("do not select this"), lines
    event = one(lines, f", request {request}, was recorded").split(" was recorded as ")[1].split(" ")[0]
    assert any(f"event {event} came to " in line for line in traced(server, what, f"event {event} came to ")), lines
    for trail in wanted:
        trails.delete_trail(Name=trail)


def test_what_is_not_known(server, s3, bucket, tmp_path):
    for what in (
        "00000000-0000-4000-8000-000000000000", "0000000000000000", "x", f"s3://{bucket}/none", "s3://no-such-bucket/k", "s3://B/k",
    ):  # fmt: skip
        done = run(server, what)
        assert done.returncode == 1 and not done.stdout, done
        assert done.stderr.startswith(f"millpond trace: nothing is known of {what}."), done
    for what in (f"s3://{bucket}", f"s3://{bucket}/"):
        done = run(server, what)
        assert done.returncode == 2 and "names no object" in done.stderr, done


def test_without_a_server(make_server, tmp_path):
    server = make_server()
    assert server.stop() == 0
    done = run(server, "s3://b/k")
    assert done.returncode == 2 and "start it and ask again" in done.stderr, done
    nowhere = subprocess.run(
        [binary(), "trace", "s3://b/k", "--data-dir", str(tmp_path / "none")], capture_output=True, text=True, timeout=60
    )
    assert nowhere.returncode == 2, nowhere
