"""Amazon EventBridge Scheduler with boto3 and the aws CLI. Times that move are tested in crates/svc-scheduler/tests."""

import json
import os
import random
import time
import uuid
from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError
from harness.clients import client
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # knows the account of the server it started

OFF = {"Mode": "OFF"}
KILLS = int(os.environ.get("MILLPOND_KILLS", "10"))


@pytest.fixture(scope="module")
def scheduler(server):
    return client(server, "scheduler")


@pytest.fixture(scope="module")
def sqs(server):
    return client(server, "sqs")


@pytest.fixture(scope="module")
def role(server):
    iam = client(server, "iam")
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}}]}  # fmt: skip
    made = iam.create_role(RoleName="scheduler", AssumeRolePolicyDocument=json.dumps(trust))
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["sqs:SendMessage", "events:PutEvents", "sns:Publish", "logs:*"], "Resource": "*"}]}
    iam.put_role_policy(RoleName="scheduler", PolicyName="send", PolicyDocument=json.dumps(allow))
    return made["Role"]["Arn"]


def queue(sqs, suffix="", **attributes):
    name = f"q-{uuid.uuid4()}{suffix}"
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"


def received(sqs, url, seconds=20):
    """The next message; waits for it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2, MessageAttributeNames=["All"], AttributeNames=["All"])
        if found.get("Messages"):
            message = found["Messages"][0]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return message
    raise AssertionError("no message came")


def soon(seconds=1) -> str:
    return f"at({(datetime.now(timezone.utc) + timedelta(seconds=seconds)):%Y-%m-%dT%H:%M:%S})"


def code(call, **arguments) -> str:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"]


def test_a_schedule_is_described_as_aws_does(scheduler, role):
    name = f"s-{uuid.uuid4()}"
    target = {"Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q", "RoleArn": role, "Input": "hello"}
    made = scheduler.create_schedule(
        Name=name, ScheduleExpression="cron(0 10 ? * MON-FRI *)", ScheduleExpressionTimezone="Europe/Berlin",
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}, Target=target, Description="d",
    )  # fmt: skip
    arn = f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/default/{name}"
    assert made["ScheduleArn"] == arn
    shown = scheduler.get_schedule(Name=name)
    assert (shown["Arn"], shown["GroupName"], shown["State"], shown["ActionAfterCompletion"]) == (arn, "default", "ENABLED", "NONE")
    assert shown["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    assert shown["Target"]["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}
    assert (shown["ScheduleExpression"], shown["ScheduleExpressionTimezone"]) == ("cron(0 10 ? * MON-FRI *)", "Europe/Berlin")
    assert code(scheduler.create_schedule, Name=name, ScheduleExpression="rate(1 hour)", FlexibleTimeWindow=OFF, Target=target) == "ConflictException"
    scheduler.update_schedule(Name=name, ScheduleExpression="rate(2 hours)", FlexibleTimeWindow=OFF, Target=target, State="DISABLED")
    shown = scheduler.get_schedule(Name=name)
    assert (shown["ScheduleExpression"], shown["State"], "Description" in shown) == ("rate(2 hours)", "DISABLED", False)
    scheduler.delete_schedule(Name=name)
    assert code(scheduler.get_schedule, Name=name) == "ResourceNotFoundException"


def test_groups_lists_and_tags(scheduler, role):
    group = f"g-{uuid.uuid4()}"
    arn = scheduler.create_schedule_group(Name=group, Tags=[{"Key": "a", "Value": "1"}])["ScheduleGroupArn"]
    assert code(scheduler.create_schedule_group, Name=group) == "ConflictException"
    target = {"Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q", "RoleArn": role, "Input": "x"}
    for n in range(5):
        state = "DISABLED" if n % 2 else "ENABLED"
        scheduler.create_schedule(
            Name=f"s{n}", GroupName=group, ScheduleExpression="cron(0 0 1 1 ? 2199)", FlexibleTimeWindow=OFF, Target=target, State=state
        )
    pages = scheduler.get_paginator("list_schedules").paginate(GroupName=group, PaginationConfig={"PageSize": 2})
    assert [[one["Name"] for one in page["Schedules"]] for page in pages] == [["s0", "s1"], ["s2", "s3"], ["s4"]]
    off = scheduler.list_schedules(GroupName=group, State="DISABLED")["Schedules"]
    assert [one["Name"] for one in off] == ["s1", "s3"]
    groups = scheduler.get_paginator("list_schedule_groups").paginate(PaginationConfig={"PageSize": 1})
    names = [one["Name"] for page in groups for one in page["ScheduleGroups"]]
    assert "default" in names and group in names and names == sorted(names)
    scheduler.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    scheduler.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    scheduler.delete_schedule_group(Name=group)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            assert scheduler.get_schedule_group(Name=group)["State"] == "DELETING"
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ResourceNotFoundException"
            break
        time.sleep(0.2)
    assert code(scheduler.list_schedules, GroupName=group) == "ResourceNotFoundException"


def test_a_schedule_sends_to_a_queue_and_goes(scheduler, sqs, role):
    url, arn = queue(sqs)
    name = f"s-{uuid.uuid4()}"
    target = {"Arn": arn, "RoleArn": role, "Input": json.dumps({"by": "<aws.scheduler.schedule-arn>", "n": "<aws.scheduler.attempt-number>"})}
    scheduler.create_schedule(
        Name=name, ScheduleExpression=soon(), FlexibleTimeWindow=OFF, Target=target, ActionAfterCompletion="DELETE"
    )
    body = json.loads(received(sqs, url)["Body"])
    assert body == {"by": f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/default/{name}", "n": "1"}
    assert code(scheduler.get_schedule, Name=name) == "ResourceNotFoundException"


def test_a_schedule_sends_to_a_fifo_queue(scheduler, sqs, role):
    url, arn = queue(sqs, ".fifo", FifoQueue="true")
    target = {"Arn": arn, "RoleArn": role, "Input": "first", "SqsParameters": {"MessageGroupId": "group"}}
    scheduler.create_schedule(Name=f"s-{uuid.uuid4()}", ScheduleExpression=soon(), FlexibleTimeWindow=OFF, Target=target)
    message = received(sqs, url)
    assert (message["Body"], message["Attributes"]["MessageGroupId"]) == ("first", "group")


def test_a_schedule_writes_to_a_log_group(server, scheduler, role):
    logs = client(server, "logs")
    logs.create_log_group(logGroupName="/scheduled")
    target = {"Arn": f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/scheduled", "RoleArn": role, "Input": "a line"}
    scheduler.create_schedule(Name=f"s-{uuid.uuid4()}", ScheduleExpression=soon(), FlexibleTimeWindow=OFF, Target=target)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        events = logs.filter_log_events(logGroupName="/scheduled")["events"]
        if events:
            assert [event["message"] for event in events] == ["a line"]
            return
        time.sleep(0.2)
    raise AssertionError("no event came")


def test_a_schedule_puts_an_event_that_a_rule_sends_to_a_log_group(server, scheduler, role):
    logs, events = client(server, "logs"), client(server, "events")
    group = f"/aws/events/{uuid.uuid4()}"
    logs.create_log_group(logGroupName=group)
    allow = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": ["events.amazonaws.com", "delivery.logs.amazonaws.com"]},
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "arn:aws:logs:*:*:log-group:/aws/events/*:*"}]}  # fmt: skip
    logs.put_resource_policy(policyName="events", policyDocument=json.dumps(allow))
    events.put_rule(Name="scheduled", EventPattern=json.dumps({"source": ["my.app"], "detail": {"n": [{"numeric": [">", 1]}]}}))
    arn = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group}"
    assert events.put_targets(Rule="scheduled", Targets=[{"Id": "logs", "Arn": arn}])["FailedEntryCount"] == 0
    bus = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"
    more = {"EventBridgeParameters": {"DetailType": "Tick", "Source": "my.app"}}
    for n in (1, 2):
        target = {"Arn": bus, "RoleArn": role, "Input": json.dumps({"n": n}), **more}
        scheduler.create_schedule(Name=f"s-{uuid.uuid4()}", ScheduleExpression=soon(), FlexibleTimeWindow=OFF, Target=target)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = [json.loads(event["message"]) for event in logs.filter_log_events(logGroupName=group)["events"]]
        if found:
            assert [(event["detail-type"], event["source"], event["detail"]) for event in found] == [("Tick", "my.app", {"n": 2})]
            logs.delete_resource_policy(policyName="events")
            return
        time.sleep(0.2)
    raise AssertionError("no event came")


def test_what_cannot_be_delivered_goes_to_the_dead_letter_queue(scheduler, sqs, role):
    url, letters = queue(sqs)
    missing = f"arn:aws:sqs:us-east-1:{ACCOUNT}:missing"
    target = {"Arn": missing, "RoleArn": role, "Input": "lost?", "DeadLetterConfig": {"Arn": letters}}
    scheduler.create_schedule(Name=f"s-{uuid.uuid4()}", ScheduleExpression=soon(), FlexibleTimeWindow=OFF, Target=target)
    message = received(sqs, url)
    told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert (message["Body"], told["ERROR_CODE"], told["TARGET_ARN"]) == ("lost?", "ResourceNotFoundException", missing)
    assert set(told) == {
        "ERROR_CODE", "ERROR_MESSAGE", "EXECUTION_ID", "IS_PAYLOAD_TRUNCATED", "RETRY_ATTEMPTS", "SCHEDULED_TIME", "SCHEDULE_ARN", "TARGET_ARN",
    }  # fmt: skip


def test_what_is_refused(scheduler, role):
    def create(expression="rate(1 hour)", more=None, **arguments):
        target = {"Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q", "RoleArn": role, "Input": "x", **(more or {})}
        return code(
            scheduler.create_schedule, Name="refused", ScheduleExpression=expression, FlexibleTimeWindow=OFF, Target=target, **arguments
        )

    assert create("cron(0 10 * * * *)") == "ValidationException"
    assert create("rate(5 weeks)") == "ValidationException"
    assert create(ScheduleExpressionTimezone="Moon") == "ValidationException"
    assert create(KmsKeyArn=f"arn:aws:kms:us-east-1:{ACCOUNT}:key/k") == "NotImplemented"
    assert create(more={"Arn": "arn:aws:scheduler:::aws-sdk:s3:listBuckets"}) == "NotImplemented"
    assert create(more={"Arn": f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:m"}) == "NotImplemented"
    assert create(more={"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/none"}) == "ValidationException"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_was_due_while_the_server_was_down_runs_once(server, scheduler, sqs, role, how):
    url, arn = queue(sqs)
    for n, expression in enumerate([soon(3), "rate(1 minute)"]):
        target = {"Arn": arn, "RoleArn": role, "Input": f"{n}"}
        start = {"StartDate": datetime.now(timezone.utc) + timedelta(seconds=3)} if n else {}
        scheduler.create_schedule(Name=f"down-{how}-{n}", ScheduleExpression=expression, FlexibleTimeWindow=OFF, Target=target, **start)
    getattr(server, how)()
    time.sleep(5)
    server.start()
    # The server has another port now.
    scheduler, sqs = client(server, "scheduler"), client(server, "sqs")
    url = sqs.get_queue_url(QueueName=arn.rsplit(":", 1)[1])["QueueUrl"]
    assert sorted(received(sqs, url)["Body"] for _ in range(2)) == ["0", "1"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2)
    for n in range(2):
        scheduler.delete_schedule(Name=f"down-{how}-{n}")


@pytest.mark.timeout(max(300, KILLS * 60))
def test_kills_lose_no_schedule_and_run_none_twice(make_server):
    """Schedules that become due while the server is killed again and again: each that was acknowledged runs once."""
    seed = int(os.environ.get("MILLPOND_SEED", random.randrange(1 << 32)))
    print(f"rerun with MILLPOND_SEED={seed}")
    dice = random.Random(seed)
    server = make_server()
    scheduler, sqs, iam = client(server, "scheduler"), client(server, "sqs"), client(server, "iam")
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}]}  # fmt: skip
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}]}
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(allow))
    url, arn = queue(sqs, VisibilityTimeout="600")
    made, came = set(), Counter()

    def take(wait: int) -> bool:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
        for message in answer.get("Messages", []):
            came[message["Body"]] += 1
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return "Messages" in answer

    for kill in range(KILLS):
        for n in range(8):
            name = f"{kill}-{n}"
            target = {"Arn": arn, "RoleArn": role, "Input": name}
            scheduler.create_schedule(
                Name=name, ScheduleExpression=soon(dice.choice([0, 1, 1, 2])), FlexibleTimeWindow=OFF, Target=target, ActionAfterCompletion="DELETE"
            )
            made.add(name)
        # At a full second, when they become due, or shortly before or behind it.
        time.sleep(max(0, 1 - time.time() % 1 + dice.uniform(-0.02, 0.05)))
        server.restart_after_kill()
        print(f"kill {kill + 1}/{KILLS}: {len(made)} schedules", flush=True)
        while take(0):
            pass
    deadline, quiet = time.monotonic() + 60, 0
    while (quiet < 3 or not made <= set(came)) and time.monotonic() < deadline:
        quiet = 0 if take(1) else quiet + 1
    assert made <= set(came), f"{len(made - set(came))} of {len(made)} did not run"
    assert [name for name, count in came.items() if count > 1] == []
    assert set(came) == made
