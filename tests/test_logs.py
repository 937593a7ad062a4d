"""Amazon CloudWatch Logs with boto3 and the aws CLI. Who may do what, retention and deliveries are tested in crates/svc-logs/tests."""

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # knows the account of the server it started

DAY = 24 * 3600 * 1000
HOUR = 3600 * 1000


def client(server, config=None):
    return boto3.client(
        "logs", endpoint_url=server.endpoint, region_name=server.region,
        aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key, config=config,
    )  # fmt: skip


@pytest.fixture(scope="module")
def logs(server):
    return client(server)


@pytest.fixture
def group(logs):
    name = f"/test/{uuid.uuid4()}"
    logs.create_log_group(logGroupName=name)
    return name


@pytest.fixture
def stream(logs, group):
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    return "s"


def now() -> int:
    return int(time.time() * 1000)


def code(call, **arguments) -> str:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"]


def put(logs, group, messages, stream="s", start=None, step=1):
    start = start or now()
    events = [{"timestamp": start + step * n, "message": m} for n, m in enumerate(messages)]
    return logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def filtered(logs, group, pattern="", **more):
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, filterPattern=pattern, **more)
    return [event["message"] for page in pages for event in page["events"]]


def test_groups_are_made_listed_and_deleted(logs):
    base = f"/groups/{uuid.uuid4()}"
    names = [f"{base}/{n}" for n in range(7)]
    for name in names:
        logs.create_log_group(logGroupName=name, tags={"n": name[-1]})
    assert code(logs.create_log_group, logGroupName=names[0]) == "ResourceAlreadyExistsException"
    pages = list(logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=base, PaginationConfig={"PageSize": 3}))
    assert [len(page["logGroups"]) for page in pages] == [3, 3, 1]
    shown = [group for page in pages for group in page["logGroups"]]
    assert [group["logGroupName"] for group in shown] == names
    arn = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{names[0]}"
    assert (shown[0]["arn"], shown[0]["logGroupArn"], shown[0]["logGroupClass"]) == (arn + ":*", arn, "STANDARD")
    assert shown[0]["storedBytes"] == 0 and "retentionInDays" not in shown[0]
    by_pattern = logs.describe_log_groups(logGroupNamePattern=base[8:] + "/3")["logGroups"]
    assert [group["logGroupName"] for group in by_pattern] == [names[3]]
    listed = logs.list_log_groups(logGroupNamePattern="^" + base[:20])["logGroups"]
    assert names[0] in [group["logGroupName"] for group in listed]
    logs.delete_log_group(logGroupName=names[0])
    assert code(logs.delete_log_group, logGroupName=names[0]) == "ResourceNotFoundException"
    assert code(logs.create_log_group, logGroupName="aws/mine") == "InvalidParameterException"
    assert code(logs.create_log_group, logGroupName="no spaces") == "InvalidParameterException"


def test_what_is_not_served_says_so(logs, group):
    for arguments in (
        {"kmsKeyId": "arn:aws:kms:us-east-1:1:key/x"},
        {"logGroupClass": "INFREQUENT_ACCESS"},
        {"deletionProtectionEnabled": True},
    ):
        assert code(logs.create_log_group, logGroupName="/unserved", **arguments) == "NotImplemented"
    assert code(logs.put_metric_filter, logGroupName=group, filterName="f", filterPattern="", metricTransformations=[
        {"metricName": "m", "metricNamespace": "n", "metricValue": "1"}]) == "NotImplemented"  # fmt: skip
    assert logs.describe_metric_filters(logGroupName=group)["metricFilters"] == []
    assert logs.describe_subscription_filters(logGroupName=group)["subscriptionFilters"] == []


def test_events_are_read_forth_and_back_with_tokens_that_stay_at_the_ends(logs, group, stream):
    messages = [f"message {n}" for n in range(25)]
    put(logs, group, messages)
    seen, token, arguments = [], None, {"logGroupName": group, "logStreamName": stream, "startFromHead": True, "limit": 10}
    while True:
        page = logs.get_log_events(**arguments, **({"nextToken": token} if token else {}))
        seen += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert seen == messages
    # Back from the end.
    back, token = [], page["nextBackwardToken"]
    while True:
        page = logs.get_log_events(**arguments, nextToken=token)
        back = [event["message"] for event in page["events"]] + back
        if page["nextBackwardToken"] == token:
            break
        token = page["nextBackwardToken"]
    assert back == messages
    # Without a direction the newest come first, in their order.
    newest = logs.get_log_events(logGroupName=group, logStreamName=stream, limit=3)
    assert [event["message"] for event in newest["events"]] == messages[-3:]
    # What comes later is behind the token of the end.
    end = logs.get_log_events(logGroupName=group, logStreamName=stream)["nextForwardToken"]
    put(logs, group, ["later"], start=now() + 1000)
    page = logs.get_log_events(logGroupName=group, logStreamName=stream, nextToken=end, startFromHead=True)
    assert [event["message"] for event in page["events"]] == ["later"]
    assert code(logs.get_log_events, logGroupName=group, logStreamName=stream, nextToken="x") == "InvalidParameterException"
    assert code(logs.get_log_events, logGroupName=group, logStreamName="no") == "ResourceNotFoundException"


def test_times_bound_what_is_read(logs, group, stream):
    start = now() - HOUR
    put(logs, group, ["a", "b", "c"], start=start, step=1000)
    got = logs.get_log_events(logGroupName=group, logStreamName=stream, startTime=start + 1000, endTime=start + 2000)
    assert [event["message"] for event in got["events"]] == ["b"]
    assert filtered(logs, group, startTime=start + 1000, endTime=start + 2000) == ["b", "c"]


def test_what_put_log_events_refuses(logs, group, stream):
    time_of = now()
    event = {"timestamp": time_of, "message": "m"}
    base = {"logGroupName": group, "logStreamName": stream}
    assert code(logs.put_log_events, **base, logEvents=[event, {**event, "timestamp": time_of - 1}]) == "InvalidParameterException"
    spread = [{**event, "timestamp": time_of - DAY - 1}, event]
    assert code(logs.put_log_events, **base, logEvents=spread) == "InvalidParameterException"
    assert code(logs.put_log_events, **base, logEvents=[{**event, "message": "x" * 1_048_576}]) == "InvalidParameterException"
    assert code(logs.put_log_events, **base, logEvents=[{**event, "message": "x" * 600_000}] * 2) == "InvalidParameterException"
    assert code(logs.put_log_events, **base, logEvents=[event] * 10_001) == "InvalidParameterException"
    logs.put_log_events(**base, logEvents=[event], sequenceToken="any is taken")
    old = logs.put_log_events(**base, logEvents=[{**event, "timestamp": time_of - 15 * DAY}])
    assert old["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    new = logs.put_log_events(**base, logEvents=[event, {**event, "timestamp": time_of + 3 * HOUR}])
    assert new["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    logs.put_retention_policy(logGroupName=group, retentionInDays=1)
    expired = logs.put_log_events(**base, logEvents=[{**event, "timestamp": time_of - 2 * DAY}])
    assert expired["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    assert filtered(logs, group) == ["m", "m"]


def test_large_batches_and_messages_come_back_whole(logs, group, stream):
    put(logs, group, [f"{n:05}" + "x" * 70 for n in range(10_000)], step=0)
    large = "é" * 500_000
    put(logs, group, [large], start=now() + 1000)
    got = filtered(logs, group)
    assert [message[:5] for message in got[:-1]] == [f"{n:05}" for n in range(10_000)]
    assert got[-1] == large
    shown = logs.describe_log_streams(logGroupName=group)["logStreams"][0]
    assert shown["storedBytes"] == 10_000 * (75 + 26) + 1_000_000 + 26
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["storedBytes"] == shown["storedBytes"]


def test_streams_by_name_and_by_their_last_event(logs, group):
    for n, name in enumerate(["c", "a", "b", "x1", "x2"]):
        logs.create_log_stream(logGroupName=group, logStreamName=name)
        put(logs, group, ["m"], stream=name, start=now() - 1000 * n)
    assert code(logs.create_log_stream, logGroupName=group, logStreamName="a") == "ResourceAlreadyExistsException"

    def names(**more):
        pages = logs.get_paginator("describe_log_streams").paginate(logGroupName=group, PaginationConfig={"PageSize": 2}, **more)
        return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]

    assert names() == ["a", "b", "c", "x1", "x2"]
    assert names(descending=True) == ["x2", "x1", "c", "b", "a"]
    assert names(logStreamNamePrefix="x") == ["x1", "x2"]
    assert names(orderBy="LastEventTime", descending=True) == ["c", "a", "b", "x1", "x2"]
    assert names(orderBy="LastEventTime") == ["x2", "x1", "b", "a", "c"]
    assert code(logs.describe_log_streams, logGroupName=group, orderBy="LastEventTime", logStreamNamePrefix="x") == "InvalidParameterException"
    logs.delete_log_stream(logGroupName=group, logStreamName="a")
    logs.create_log_stream(logGroupName=group, logStreamName="a")
    assert logs.get_log_events(logGroupName=group, logStreamName="a")["events"] == [], "made again, it begins empty"


def test_a_group_that_is_made_again_begins_empty(logs, group, stream):
    put(logs, group, ["old"])
    logs.delete_log_group(logGroupName=group)
    logs.create_log_group(logGroupName=group)
    assert logs.describe_log_streams(logGroupName=group)["logStreams"] == []
    assert filtered(logs, group) == []


def test_filters(logs, group, stream):
    lines = [
        "[ERROR 400] BAD REQUEST", "[WARN 419] MISSING ARGUMENTS", "[ERROR 500] INTERNAL SERVER ERROR",
        json.dumps({"status": 404, "user": {"name": "alice"}, "tags": ["a", "b"], "gone": None}),
        json.dumps({"status": 200, "user": {"name": "bob"}}),
        '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534',
    ]  # fmt: skip
    put(logs, group, lines)
    for pattern, expected in [
        ("", [0, 1, 2, 3, 4, 5]),
        ("ERROR", [0, 2]),
        ("ERROR -INTERNAL", [0]),
        ("?WARN ?INTERNAL", [1, 2]),
        ('"BAD REQUEST"', [0]),
        ("%ERROR 5[0-9]{2}%", [2]),
        ("{ $.status >= 400 }", [3]),
        ('{ $.user.name = "a*" || $.status = 200 }', [3, 4]),
        ("{ $.gone IS NULL }", [3]),
        ("{ $.tags NOT EXISTS }", [4]),
        ('{ $.tags[1] = "b" }', [3]),
        ("[ip, id, user, timestamp, request, status = 4*, bytes > 1000]", [5]),
    ]:
        assert filtered(logs, group, pattern) == [lines[n] for n in expected], pattern
    for pattern in ("foo:bar", "{ $.a = ", "[a", '"open', "%(%"):
        assert code(logs.filter_log_events, logGroupName=group, filterPattern=pattern) == "InvalidParameterException", pattern


def test_events_of_many_streams_come_in_the_order_of_time(logs, group):
    start, expected = now() - HOUR, []
    for name in "abcde":
        logs.create_log_stream(logGroupName=group, logStreamName=name)
    for n in range(50):
        name = "abcde"[n * 7 % 5]
        put(logs, group, [f"{n}"], stream=name, start=start + 10 * n)
        expected.append(f"{n}")
    assert filtered(logs, group) == expected
    assert filtered(logs, group, PaginationConfig={"PageSize": 7}) == expected
    assert filtered(logs, group, logStreamNames=["a", "b"]) == [str(n) for n in range(50) if "abcde"[n * 7 % 5] in "ab"]
    assert code(logs.filter_log_events, logGroupName=group, logStreamNames=["no"]) == "ResourceNotFoundException"
    first = logs.filter_log_events(logGroupName=group, limit=1)["events"][0]
    assert len(first["eventId"]) == 56
    record = logs.get_log_record(logRecordPointer=first["eventId"])["logRecord"]
    assert (record["@message"], record["@logStream"], record["@log"]) == ("0", "a", f"{ACCOUNT}:{group}")
    assert code(logs.get_log_record, logRecordPointer="1" * 56) == "InvalidParameterException"


def test_retention_and_tags(logs, group):
    assert code(logs.put_retention_policy, logGroupName=group, retentionInDays=2) == "InvalidParameterException"
    logs.put_retention_policy(logGroupName=group, retentionInDays=3)
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["retentionInDays"] == 3
    logs.delete_retention_policy(logGroupName=group)
    assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]
    arn = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group}"
    logs.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
    logs.tag_log_group(logGroupName=group, tags={"c": "3"})
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "1", "b": "2", "c": "3"}
    logs.untag_resource(resourceArn=arn, tagKeys=["a"])
    logs.untag_log_group(logGroupName=group, tags=["b"])
    assert logs.list_tags_log_group(logGroupName=group)["tags"] == {"c": "3"}
    assert code(logs.tag_resource, resourceArn=arn, tags={f"k{n}": "" for n in range(50)}) == "TooManyTagsException"


def test_resource_policies(logs):
    def document(action):
        return json.dumps({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": action, "Resource": "*"}]})  # fmt: skip

    for n in range(10):
        logs.put_resource_policy(policyName=f"p{n}", policyDocument=document("logs:PutLogEvents"))
    assert code(logs.put_resource_policy, policyName="p10", policyDocument=document("logs:*")) == "LimitExceededException"
    put = logs.put_resource_policy(policyName="p0", policyDocument=document("logs:*"))["resourcePolicy"]
    assert json.loads(put["policyDocument"])["Statement"][0]["Action"] == "logs:*"
    pages = list(logs.get_paginator("describe_resource_policies").paginate(PaginationConfig={"PageSize": 4}))
    assert [policy["policyName"] for page in pages for policy in page["resourcePolicies"]] == [f"p{n}" for n in range(10)]
    for n in range(10):
        logs.delete_resource_policy(policyName=f"p{n}")
    assert code(logs.delete_resource_policy, policyName="p0") == "ResourceNotFoundException"
    for bad in ("{", document("s3:PutObject"), document("logs")):
        assert code(logs.put_resource_policy, policyName="p", policyDocument=bad) == "InvalidParameterException"


def aws(server, *arguments, **more):
    environment = {
        **os.environ, "AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_DEFAULT_REGION": server.region, "AWS_ENDPOINT_URL": server.endpoint,
    }  # fmt: skip
    command = [str(Path(sys.executable).with_name("aws")), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, **more)


def test_the_aws_cli_filters(server, logs, group, stream):
    put(logs, group, ["one", "ERROR two", "three"])
    found = aws(server, "logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", "ERROR", "--query", "events[].message")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == ["ERROR two"]


def test_the_calls_of_aws_logs_tail(server, logs, group, stream):
    """`aws logs tail --follow` (version 2 of the CLI): interleaved pages from a time on, and then again from the newest event's time."""
    put(logs, group, ["a", "b"])
    arguments = {"logGroupName": group, "interleaved": True, "startTime": now() - HOUR}
    pages = list(logs.get_paginator("filter_log_events").paginate(**arguments))
    events = [event for page in pages for event in page["events"]]
    assert [event["message"] for event in events] == ["a", "b"]
    newest = max(event["timestamp"] for event in events)
    seen = {event["eventId"] for event in events if event["timestamp"] == newest}
    put(logs, group, ["c"], start=newest)
    again = logs.filter_log_events(logGroupName=group, interleaved=True, startTime=newest)["events"]
    assert [event["message"] for event in again if event["eventId"] not in seen] == ["c"]
    logs = client(server, Config(inject_host_prefix=False))
    assert code(logs.start_live_tail, logGroupIdentifiers=[f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group}"]) == "NotImplemented"


def test_logs_survive_a_restart(server, logs, group, stream):
    put(logs, group, ["kept"])
    server.stop()
    server.start()
    logs = client(server)
    assert filtered(logs, group) == ["kept"]
    put(logs, group, ["and more"])
    assert filtered(logs, group) == ["kept", "and more"]
