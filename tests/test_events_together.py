"""The services of events in chains: what changes in a bucket, is put on a bus, is recorded by a trail or becomes due comes to queues, webhooks and log groups,
through topics, rules and buses, also of another account. What each service does by itself is tested in its own file."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone

import pytest
from harness.clients import Tools, client, refused, s3_client
from harness.hook import Hook
from harness.identities import allow, bus_role, document, name, trust
from harness.identity import client as client_of
from harness.identity import new_account
from harness.server import ACCOUNT, Server
from test_events import BASIC, SECONDS, Destination, Endpoint, Queue, put, rule
from test_sns import confirmed

pytestmark = pytest.mark.restarts  # knows the account of the server it started

CREATED = "s3:ObjectCreated:*"
EVENTS = {"Service": "events.amazonaws.com"}


@pytest.fixture(scope="module")
def server():
    """A server that may call addresses of its own machine, and whose trails put a file every second."""
    running = Server(args=["--outbound-allow", "127.0.0.0/8", "--trail-interval", "1"]).start()
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
def iam(server):
    return client(server, "iam")


@pytest.fixture
def bus(events) -> str:
    made = name("bus")
    events.create_event_bus(Name=made)
    return made


def queue_for(sqs, service: str, source: str, suffix: str = "", **attributes) -> Queue:
    """A queue that takes what a service sends for one resource, and nothing else."""
    queue = Queue(sqs, suffix, **attributes)
    queue.let_in({"Service": service}, Condition={"ArnLike": {"aws:SourceArn": source}})
    return queue


def bucket_on_bus(s3, **more) -> str:
    """A bucket that tells the default bus what changes."""
    bucket = name("b")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}, **more})
    return bucket


def of_bucket(bucket: str, *kinds: str) -> dict:
    return {"source": ["aws.s3"], "detail-type": list(kinds or ["Object Created"]), "detail": {"bucket": {"name": [bucket]}}}


def until(check, what: str = ""):
    """What a check gives, once it gives something."""
    deadline = time.monotonic() + SECONDS
    while not (found := check()):
        assert time.monotonic() < deadline, what or "it did not happen"
        time.sleep(0.1)
    return found


def letter(queue: Queue, count: int = 1) -> list[dict]:
    """The attributes of dead letters, with the bodies as `body`."""
    told = []
    for message in queue.messages(count):
        attributes = {key: value["StringValue"] for key, value in message["MessageAttributes"].items()}
        told.append({**attributes, "body": json.loads(message["Body"])})
    return told


# From a bucket, by its notifications


def topic_of(sns, bucket: str) -> str:
    """A topic that a bucket may publish to."""
    made = sns.create_topic(Name=name("topic"))["TopicArn"]
    statement = {
        "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "SNS:Publish", "Resource": made,
        "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}, "StringEquals": {"aws:SourceAccount": ACCOUNT}},
    }  # fmt: skip
    sns.set_topic_attributes(TopicArn=made, AttributeName="Policy", AttributeValue=document(statement))
    return made


def to_topic(topic: str) -> dict:
    return {"TopicConfigurations": [{"Id": "told", "TopicArn": topic, "Events": [CREATED]}]}


def test_a_bucket_tells_a_topic_that_tells_queues_and_a_webhook(s3, sns, sqs):
    bucket = name("b")
    s3.create_bucket(Bucket=bucket)
    closed = sns.create_topic(Name=name("topic"))["TopicArn"]
    with refused("InvalidArgument", 400):
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=to_topic(closed))
    topic, hook = topic_of(sns, bucket), Hook()
    raw, wrapped, filtered = (queue_for(sqs, "sns.amazonaws.com", topic) for _ in range(3))
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=raw.arn, Attributes={"RawMessageDelivery": "true"})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=wrapped.arn)
    policy = {"Records": {"s3": {"object": {"key": [{"prefix": "in/"}]}}}}
    sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=filtered.arn,
        Attributes={"RawMessageDelivery": "true", "FilterPolicyScope": "MessageBody", "FilterPolicy": json.dumps(policy)},
    )  # fmt: skip
    confirmed(sns, topic, hook, "/s3")
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=to_topic(topic))
    s3.put_object(Bucket=bucket, Key="in/a b", Body=b"hello")
    s3.put_object(Bucket=bucket, Key="out/a", Body=b"hello")

    test, *told = raw.events(3)
    assert (test["Event"], test["Bucket"]) == ("s3:TestEvent", bucket)
    keys = [one["Records"][0]["s3"]["object"]["key"] for one in told]
    assert sorted(keys) == ["in/a+b", "out/a"]
    envelopes = wrapped.events(3)
    assert {(one["Type"], one["TopicArn"], one["Subject"]) for one in envelopes} == {("Notification", topic, "Amazon S3 Notification")}
    inside = [json.loads(one["Message"]) for one in envelopes]
    assert sorted(one["Records"][0]["s3"]["object"]["key"] for one in inside if "Records" in one) == sorted(keys)
    assert [one["Records"][0]["s3"]["object"]["key"] for one in filtered.events(1)] == ["in/a+b"]
    posts = [json.loads(post.document["Message"]) for post in hook.wait("/s3", "Notification", 3)]
    assert sum("Records" in one for one in posts) == 2
    ids = {one["MessageId"] for one in envelopes}
    assert {post.document["MessageId"] for post in hook.on("/s3", "Notification")} == ids
    hook.close()


def test_an_encrypted_bucket_tells_a_queue(server, s3, sqs):
    """Nobody but who reads the object needs the key: announcements come without it, and say nothing of what is in the object."""
    kms = client(server, "kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    bucket = name("b")
    s3.create_bucket(Bucket=bucket)
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [default]})
    queue = queue_for(sqs, "s3.amazonaws.com", f"arn:aws:s3:::{bucket}", SqsManagedSseEnabled="true")
    bussed = Queue(sqs)
    rule(client(server, "events"), "default", of_bucket(bucket), {"Arn": bussed.arn})
    configuration = {"QueueConfigurations": [{"QueueArn": queue.arn, "Events": [CREATED]}], "EventBridgeConfiguration": {}}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
    answer = s3.put_object(Bucket=bucket, Key="sealed", Body=b"twelve bytes")
    assert answer["SSEKMSKeyId"] == key
    kms.disable_key(KeyId=key)
    record = [one for one in queue.events(2) if "Records" in one][0]["Records"][0]["s3"]["object"]
    assert (record["key"], record["size"]) == ("sealed", 12)
    assert bussed.events(1)[0]["detail"]["object"]["size"] == 12
    kms.enable_key(KeyId=key)
    assert s3.get_object(Bucket=bucket, Key="sealed")["Body"].read() == b"twelve bytes"


# From a bucket, over the default bus


def test_a_bucket_tells_a_bus_whose_rule_has_all_kinds_of_targets(server, s3, sns, sqs, events):
    """Queue, topic, log group, bus and API destination of one rule: each gets the same event."""
    bucket = bucket_on_bus(s3)
    made = name("rule")
    source = f"arn:aws:events:us-east-1:{ACCOUNT}:rule/{made}"
    queue = queue_for(sqs, "events.amazonaws.com", source)

    topic = sns.create_topic(Name=name("topic"))["TopicArn"]
    statement = {"Effect": "Allow", "Principal": EVENTS, "Action": "sns:Publish", "Resource": topic}
    sns.set_topic_attributes(
        TopicArn=topic, AttributeName="Policy",
        AttributeValue=document({**statement, "Condition": {"ArnEquals": {"aws:SourceArn": source}}}),
    )  # fmt: skip
    behind_topic = queue_for(sqs, "sns.amazonaws.com", topic)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=behind_topic.arn, Attributes={"RawMessageDelivery": "true"})

    logs, group = client(server, "logs"), f"/aws/events/{name('group')}"
    logs.create_log_group(logGroupName=group)
    services = {"Service": ["events.amazonaws.com", "delivery.logs.amazonaws.com"]}
    arn = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group}"
    writing = {"Effect": "Allow", "Principal": services, "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": f"{arn}:*"}
    logs.put_resource_policy(policyName=name("p"), policyDocument=document(writing))

    other, behind_bus = name("bus"), Queue(sqs)
    other_arn = events.create_event_bus(Name=other)["EventBusArn"]
    rule(events, other, of_bucket(bucket), {"Arn": behind_bus.arn})

    endpoint = Endpoint()
    to = Destination(server, f"{endpoint.url}/in", BASIC)
    events.put_rule(Name=made, EventPattern=json.dumps(of_bucket(bucket)))
    targets = [queue.arn, topic, arn, other_arn]
    targets = [{"Id": str(number), "Arn": target} for number, target in enumerate(targets)] + [{"Id": "http", "Arn": to.arn, "RoleArn": to.role}]
    targets[3]["RoleArn"] = bus_role(server)
    assert events.put_targets(Rule=made, Targets=targets)["FailedEntryCount"] == 0

    s3.put_object(Bucket=bucket, Key="a b", Body=b"hello")
    (event,) = queue.events(1)
    assert (event["detail-type"], event["detail"]["object"]["key"], event["detail"]["object"]["size"]) == ("Object Created", "a b", 5)
    assert behind_topic.events(1) == [event]
    assert behind_bus.events(1) == [event]
    assert json.loads(endpoint.wait(1)[0][3]) == event
    lines = until(lambda: logs.filter_log_events(logGroupName=group)["events"])
    assert [json.loads(line["message"]) for line in lines] == [event]


def test_a_bucket_tells_a_bus_of_another_account(server, s3, sqs, events):
    bucket = bucket_on_bus(s3)
    account, keys = new_account(server)
    theirs, their_sqs = client_of(server, "events", keys), client_of(server, "sqs", keys)
    central = theirs.create_event_bus(Name=name("central"))["EventBusArn"]
    short = central.rsplit("/", 1)[1]
    url = their_sqs.create_queue(QueueName=name("q"))["QueueUrl"]
    queue_arn = f"arn:aws:sqs:us-east-1:{account}:{url.rsplit('/', 1)[1]}"
    made = rule(theirs, short, {"account": [ACCOUNT], **of_bucket(bucket)}, {"Arn": queue_arn})
    statement = {
        "Effect": "Allow", "Principal": EVENTS, "Action": "sqs:SendMessage", "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": f"arn:aws:events:us-east-1:{account}:rule/{short}/{made}"}},
    }  # fmt: skip
    their_sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(statement)})
    dead = Queue(sqs)
    rule(events, "default", of_bucket(bucket), {"Arn": central, "RoleArn": bus_role(server), "DeadLetterConfig": {"Arn": dead.arn}})
    s3.put_object(Bucket=bucket, Key="before", Body=b"x")
    (told,) = letter(dead)
    assert (told["ERROR_CODE"], told["TARGET_ARN"], told["body"]["detail"]["object"]["key"]) == ("NO_PERMISSIONS", central, "before")

    everyone = {
        "Sid": "in", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "events:PutEvents", "Resource": central,
    }  # fmt: skip
    theirs.put_permission(EventBusName=short, Policy=document(everyone))
    s3.put_object(Bucket=bucket, Key="after", Body=b"x")

    def came():
        return their_sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages")

    (message,) = until(came)
    event = json.loads(message["Body"])
    assert (event["account"], event["detail"]["object"]["key"]) == (ACCOUNT, "after")
    dead.messages(1)


# Put on a bus


def test_an_event_is_rewritten_on_its_way_to_queues(events, sqs, bus):
    queue, constant, part = Queue(sqs), Queue(sqs), Queue(sqs)
    template = '{"who": <who>, "text": "<amount> Euro", "amount": <amount>, "all": <aws.events.event.json>, "rule": "<aws.events.rule-name>", "none": "<none>"}'
    paths = {"who": "$.detail.who.name", "amount": "$.detail.amount", "none": "$.detail.missing"}
    made = rule(
        events, bus, {"detail": {"amount": [{"numeric": [">", 300]}]}},
        {"Arn": queue.arn, "InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}},
        {"Arn": constant.arn, "Input": '{"fixed": true}'},
        {"Arn": part.arn, "InputPath": "$.detail.who"},
    )  # fmt: skip
    put(events, bus, {"who": {"name": 'a "b"'}, "amount": 300})
    event = put(events, bus, {"who": {"name": 'a "b"'}, "amount": 300.5})
    (told,) = queue.events(1)
    assert (told["who"], told["text"], told["amount"], told["rule"], told["none"]) == ('a "b"', "300.5 Euro", 300.5, made, "")
    assert (told["all"]["id"], told["all"]["detail"]["amount"]) == (event, 300.5)
    assert constant.events(1) == [{"fixed": True}]
    assert part.events(1) == [{"name": 'a "b"'}]


def test_a_fifo_queue_keeps_the_order_of_a_bus(events, sqs, bus):
    queue = Queue(sqs, ".fifo", FifoQueue="true", ContentBasedDeduplication="true")
    with_group = {"Arn": queue.arn, "SqsParameters": {"MessageGroupId": "all"}}
    made = rule(events, bus, {"source": ["s"]}, with_group)
    ids = [put(events, bus, {"n": n}, source="s") for n in range(30)]
    # Only what was deleted lets the next of its group go, and take() deletes.
    messages = queue.messages(30)
    assert [json.loads(message["Body"])["id"] for message in messages] == ids
    assert {message["Attributes"]["MessageGroupId"] for message in messages} == {"all"}
    with refused("ValidationException") as error:
        events.put_targets(Rule=made, EventBusName=bus, Targets=[{"Id": "x", "Arn": queue.arn}])
    assert error["Error"]["Message"] == "Parameter(s) MessageGroupId must be specified for target: x."


# Trails


@pytest.fixture(scope="module")
def trail(server, s3):
    """A trail of everything, objects included."""
    bucket, made, trails = name("logs"), name("trail"), client(server, "cloudtrail")
    s3.create_bucket(Bucket=bucket)
    service = {"Service": "cloudtrail.amazonaws.com"}
    acl = {"Effect": "Allow", "Principal": service, "Action": "s3:GetBucketAcl", "Resource": f"arn:aws:s3:::{bucket}"}
    write = {
        "Effect": "Allow", "Principal": service, "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/AWSLogs/{ACCOUNT}/*",
        "Condition": {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}},
    }  # fmt: skip
    s3.put_bucket_policy(Bucket=bucket, Policy=document(acl, write))
    trails.create_trail(Name=made, S3BucketName=bucket)
    selected = {
        "ReadWriteType": "All", "IncludeManagementEvents": True,
        "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}],
    }  # fmt: skip
    trails.put_event_selectors(TrailName=made, EventSelectors=[selected])
    trails.start_logging(Name=made)
    yield made
    trails.delete_trail(Name=made)


def called(operation: str, source: str = "s3", **detail) -> dict:
    """The pattern of an operation as CloudTrail tells it."""
    return {
        "source": [f"aws.{source}"], "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {"eventSource": [f"{source}.amazonaws.com"], "eventName": [operation], **detail},
    }  # fmt: skip


def test_puts_into_several_buckets_come_to_one_queue_by_a_trail(trail, s3, sqs, events):
    """The article's first pattern for storage: buckets whose names begin alike."""
    start, queue = name("myapp"), Queue(sqs)
    buckets = [f"{start}-{end}" for end in ("images", "uploads", "archive")]
    aside = name("other")
    for bucket in [*buckets, aside]:
        s3.create_bucket(Bucket=bucket)
    rule(events, "default", called("PutObject", requestParameters={"bucketName": [{"prefix": f"{start}-"}]}), {"Arn": queue.arn})
    for bucket in [aside, *buckets]:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        s3.get_object(Bucket=bucket, Key="k")
    told = queue.events(3)
    assert {event["detail"]["requestParameters"]["bucketName"] for event in told} == set(buckets)
    for event in told:
        assert (event["account"], event["detail"]["eventName"], event["detail"]["eventCategory"]) == (ACCOUNT, "PutObject", "Data")
        assert event["detail"]["requestParameters"]["key"] == "k"


def test_reads_by_one_user_agent_come_to_several_queues_by_a_trail(server, trail, s3, sqs, events):
    """The article's second pattern for storage: reads by a certain client, each to all targets, of which there may be more than five."""
    bucket, queues = name("mybucket"), [Queue(sqs) for _ in range(7)]
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    pattern = called("GetObject", userAgent=["userAgent"], requestParameters={"bucketName": [bucket]})
    rule(events, "default", pattern, *({"Arn": queue.arn} for queue in queues))
    reader = s3_client(server)
    reader.meta.events.register("before-send.s3.GetObject", lambda request, **_: request.headers.__setitem__("User-Agent", "userAgent"))
    s3.get_object(Bucket=bucket, Key="k")
    reader.get_object(Bucket=bucket, Key="k")
    first, *others = [queue.events(1)[0] for queue in queues]
    assert (first["detail"]["userAgent"], first["detail"]["readOnly"]) == ("userAgent", True)
    assert all(event == first for event in others)


def test_management_comes_to_a_queue_by_a_trail(trail, s3, iam, sqs, events):
    bucket, user, queue = name("b"), name("user"), Queue(sqs)
    rule(events, "default", called("CreateBucket", requestParameters={"bucketName": [bucket]}), {"Arn": queue.arn})
    rule(events, "default", called("CreateUser", "iam", requestParameters={"userName": [user]}), {"Arn": queue.arn})
    s3.create_bucket(Bucket=bucket)
    made = iam.create_user(UserName=user)
    told = {event["detail"]["eventName"]: event["detail"] for event in queue.events(2)}
    assert set(told) == {"CreateBucket", "CreateUser"}
    assert told["CreateUser"]["requestID"] == made["ResponseMetadata"]["RequestId"]
    assert told["CreateUser"]["userIdentity"]["type"] == "Root" and told["CreateBucket"]["eventCategory"] == "Management"


# What becomes due


def test_schedules_reach_a_queue_a_topic_and_a_bus(server, iam, sns, sqs, events, bus):
    scheduler = client(server, "scheduler")
    role = iam.create_role(RoleName=name("role"), AssumeRolePolicyDocument=trust({"Service": "scheduler.amazonaws.com"}))["Role"]
    iam.put_role_policy(
        RoleName=role["RoleName"], PolicyName="p", PolicyDocument=allow(["sqs:SendMessage", "sns:Publish", "events:PutEvents"])
    )
    # A role does what a policy of the queue would do for the service.
    queue, behind_topic, behind_bus = Queue(sqs), Queue(sqs), Queue(sqs)
    queue.let_in({"AWS": ACCOUNT})
    topic = sns.create_topic(Name=name("topic"))["TopicArn"]
    behind_topic.let_in({"Service": "sns.amazonaws.com"})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=behind_topic.arn, Attributes={"RawMessageDelivery": "true"})
    rule(events, bus, {"source": ["clock"], "detail-type": ["tick"]}, {"Arn": behind_bus.arn})
    bus_arn = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/{bus}"
    due = f"at({(datetime.now(timezone.utc) + timedelta(seconds=1)):%Y-%m-%dT%H:%M:%S})"
    for target in (
        {"Arn": queue.arn},
        {"Arn": topic},
        {"Arn": bus_arn, "EventBridgeParameters": {"Source": "clock", "DetailType": "tick"}},
    ):
        scheduler.create_schedule(
            Name=name("s"), ScheduleExpression=due, FlexibleTimeWindow={"Mode": "OFF"},
            Target={**target, "RoleArn": role["Arn"], "Input": '{"n": 1}'},
        )  # fmt: skip
    assert queue.events(1) == [{"n": 1}]
    assert behind_topic.events(1) == [{"n": 1}]
    (event,) = behind_bus.events(1)
    assert (event["source"], event["detail-type"], event["detail"], event["account"]) == ("clock", "tick", {"n": 1}, ACCOUNT)


def test_a_rate_rule_reaches_a_queue_through_another_bus(iam, events, sqs, bus):
    """A scheduled event goes on as any other does."""
    role = iam.create_role(RoleName=name("role"), AssumeRolePolicyDocument=trust(EVENTS))["Role"]
    iam.put_role_policy(RoleName=role["RoleName"], PolicyName="p", PolicyDocument=allow("events:PutEvents"))
    queue, made = Queue(sqs), name("rate")
    events.put_rule(Name=made, ScheduleExpression="rate(1 minute)")
    rule(events, bus, {"source": ["aws.events"], "detail-type": ["Scheduled Event"]}, {"Arn": queue.arn})
    target = {"Id": "bus", "Arn": f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/{bus}", "RoleArn": role["Arn"]}
    events.put_targets(Rule=made, Targets=[target])
    deadline = time.monotonic() + 120
    while not queue.came and time.monotonic() < deadline:
        queue.take(5)
    event = json.loads(queue.came[0]["Body"])
    assert event["resources"] == [f"arn:aws:events:us-east-1:{ACCOUNT}:rule/{made}"]
    events.remove_targets(Rule=made, Ids=["bus"])
    events.delete_rule(Name=made)


# What is gone or shut


def test_what_a_rule_cannot_deliver_is_dead_lettered_with_the_reason(s3, sqs, events):
    bucket = bucket_on_bus(s3)
    gone, shut, open_, dead = (Queue(sqs) for _ in range(4))
    config = {"DeadLetterConfig": {"Arn": dead.arn}}
    made = rule(events, "default", of_bucket(bucket), {"Arn": gone.arn, **config}, {"Arn": shut.arn, **config}, {"Arn": open_.arn, **config})
    s3.put_object(Bucket=bucket, Key="first", Body=b"x")
    assert len({queue.events(1)[0]["id"] for queue in (gone, shut, open_)}) == 1
    sqs.delete_queue(QueueUrl=gone.url)
    shut.let_in(EVENTS, Effect="Deny")
    s3.put_object(Bucket=bucket, Key="second", Body=b"x")
    letters = letter(dead, 2)
    rule_arn = f"arn:aws:events:us-east-1:{ACCOUNT}:rule/{made}"
    told = {(one["ERROR_CODE"], one["TARGET_ARN"], one["RULE_ARN"]) for one in letters}
    assert told == {("NO_RESOURCE", gone.arn, rule_arn), ("NO_PERMISSIONS", shut.arn, rule_arn)}
    assert all(one["ERROR_MESSAGE"] and one["body"]["detail"]["object"]["key"] == "second" for one in letters)
    # What fails holds up nothing else.
    assert [event["detail"]["object"]["key"] for event in open_.events(2)] == ["first", "second"]


def test_rules_and_buses_that_go_take_nothing_with_them(events, sqs):
    """What was put before is delivered; the next finds neither rule nor bus; and the names are free again."""
    first, second = Queue(sqs), Queue(sqs)
    bus = name("bus")
    for count in (1, 2):
        events.create_event_bus(Name=bus)
        made = rule(events, bus, {"source": ["s"]}, {"Arn": first.arn})
        other = rule(events, bus, {"source": ["s"]}, {"Arn": second.arn})
        with refused("ValidationException"):
            events.delete_event_bus(Name=bus)
        with refused("ValidationException"):
            events.delete_rule(Name=made, EventBusName=bus)
        one = put(events, bus, {"n": 1}, source="s")
        assert first.events(2 * count - 1)[-1]["id"] == one
        events.remove_targets(Rule=other, EventBusName=bus, Ids=["0"])
        events.delete_rule(Name=other, EventBusName=bus)
        two = put(events, bus, {"n": 2}, source="s")
        assert first.events(2 * count)[-1]["id"] == two
        events.remove_targets(Rule=made, EventBusName=bus, Ids=["0"])
        events.delete_rule(Name=made, EventBusName=bus)
        events.delete_event_bus(Name=bus)
        # AWS takes what is put on a bus that is not there, and loses it.
        answer = events.put_events(Entries=[{"EventBusName": bus, "Source": "s", "DetailType": "t", "Detail": "{}"}])
        assert answer["Entries"][0]["ErrorCode"] == "ResourceNotFoundException"
    assert [event["detail"]["n"] for event in first.events(4)] == [1, 2, 1, 2]
    assert [event["detail"]["n"] for event in second.events(2)] == [1, 1]


def test_a_queue_that_is_shut_for_a_while_misses_what_came_then(s3, sns, sqs):
    """What could not come is in the subscription's dead-letter queue, and what comes when the queue is open again comes."""
    bucket = name("b")
    s3.create_bucket(Bucket=bucket)
    topic = topic_of(sns, bucket)
    queue, dead = queue_for(sqs, "sns.amazonaws.com", topic), queue_for(sqs, "sns.amazonaws.com", topic)
    made = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": "true"}, ReturnSubscriptionArn=True)
    redrive = json.dumps({"deadLetterTargetArn": dead.arn})
    sns.set_subscription_attributes(SubscriptionArn=made["SubscriptionArn"], AttributeName="RedrivePolicy", AttributeValue=redrive)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=to_topic(topic))
    queue.messages(1)
    sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"Policy": ""})
    s3.put_object(Bucket=bucket, Key="between", Body=b"x")
    assert dead.events(1)[0]["Records"][0]["s3"]["object"]["key"] == "between"
    queue.let_in({"Service": "sns.amazonaws.com"})
    s3.put_object(Bucket=bucket, Key="after", Body=b"x")
    assert queue.events(2)[1]["Records"][0]["s3"]["object"]["key"] == "after"
    sqs.delete_queue(QueueUrl=queue.url)
    s3.put_object(Bucket=bucket, Key="gone", Body=b"x")
    assert dead.events(2)[1]["Records"][0]["s3"]["object"]["key"] == "gone"


def test_what_a_bucket_told_is_replayed_into_a_queue(s3, sqs, events):
    bucket = bucket_on_bus(s3)
    arn = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"
    archive = events.create_archive(ArchiveName=name("archive"), EventSourceArn=arn, EventPattern=json.dumps(of_bucket(bucket)))
    first = Queue(sqs)
    rule(events, "default", of_bucket(bucket), {"Arn": first.arn})
    began = time.time() - 60
    for n in range(5):
        s3.put_object(Bucket=bucket, Key=f"k{n}", Body=b"x")
    ids = {event["id"] for event in first.events(5)}
    # A queue that is new gets what was before it.
    late = Queue(sqs)
    made = rule(events, "default", of_bucket(bucket), {"Arn": late.arn})
    replay = name("replay")
    events.start_replay(
        ReplayName=replay, EventSourceArn=archive["ArchiveArn"], EventStartTime=began, EventEndTime=time.time() + 60,
        Destination={"Arn": arn, "FilterArns": [f"arn:aws:events:us-east-1:{ACCOUNT}:rule/{made}"]},
    )  # fmt: skip
    told = late.events(5)
    assert {event["id"] for event in told} == ids and {event["replay-name"] for event in told} == {replay}
    until(lambda: events.describe_replay(ReplayName=replay)["State"] == "COMPLETED")
    first.messages(5)


# As a person does it


def test_with_the_aws_cli_alone(server, tmp_path):
    """Bucket, bus, rule, topic and queue, put together and asked by the aws CLI."""
    tools, bucket, word = Tools(server, tmp_path / "home"), name("b"), name("cli")

    def aws(*command):
        # Version 1 takes AWS's own endpoint for SQS in us-east-1 unless the command names another.
        text = tools.aws("--endpoint-url", server.endpoint, *command).stdout
        return json.loads(text) if text.startswith(b"{") else None

    url = aws("sqs", "create-queue", "--queue-name", word)["QueueUrl"]
    queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{word}"
    topic = aws("sns", "create-topic", "--name", word)["TopicArn"]
    may = {"Effect": "Allow", "Principal": EVENTS, "Action": "sns:Publish", "Resource": topic}
    aws("sns", "set-topic-attributes", "--topic-arn", topic, "--attribute-name", "Policy", "--attribute-value", document(may))
    may = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": queue}
    aws("sqs", "set-queue-attributes", "--queue-url", url, "--attributes", json.dumps({"Policy": document(may)}))
    aws("sns", "subscribe", "--topic-arn", topic, "--protocol", "sqs", "--notification-endpoint", queue)
    aws("s3", "mb", f"s3://{bucket}")
    configuration = '{"EventBridgeConfiguration": {}}'
    aws("s3api", "put-bucket-notification-configuration", "--bucket", bucket, "--notification-configuration", configuration)
    aws("events", "put-rule", "--name", word, "--event-pattern", json.dumps(of_bucket(bucket, "Object Created", "Object Deleted")))
    assert aws("events", "put-targets", "--rule", word, "--targets", f"Id=topic,Arn={topic}")["FailedEntryCount"] == 0
    (tmp_path / "x").write_text("hello")
    aws("s3", "cp", str(tmp_path / "x"), f"s3://{bucket}/x", "--only-show-errors")
    aws("s3", "rm", f"s3://{bucket}/x", "--only-show-errors")
    told = []
    for _ in range(2):
        (message,) = aws("sqs", "receive-message", "--queue-url", url, "--wait-time-seconds", "20")["Messages"]
        aws("sqs", "delete-message", "--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
        told.append(json.loads(json.loads(message["Body"])["Message"])["detail-type"])
    assert sorted(told) == ["Object Created", "Object Deleted"]
