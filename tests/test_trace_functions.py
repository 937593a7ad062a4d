"""`millpond trace`: what functions were invoked with, printed and changed, as parts of a chain."""

from __future__ import annotations

import json
import subprocess

import pytest
from harness.clients import client, s3_client
from harness.functions import CALLS, Functions, eventually
from harness.identities import name
from harness.movable import advance
from harness.server import binary

pytestmark = pytest.mark.restarts  # knows the data dir of the server it started


@pytest.fixture(scope="module")
def functions(server):
    return Functions(server)


def told(server, what: str) -> list[tuple[int, str]]:
    command = [binary(), "trace", "--json", "--data-dir", str(server.data_dir), what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return [(line["depth"], line["text"]) for line in json.loads(done.stdout or '{"lines": []}')["lines"]]


def traced(server, what: str, *parts: str) -> list[tuple[int, str]]:
    """The lines, once each of the parts stands in one."""
    lines = []

    def there():
        lines[:] = told(server, what)
        return all(any(part in text for _, text in lines) for part in parts)

    eventually(there)
    return lines


def at(lines, part: str) -> int:
    (found,) = [number for number, (_, text) in enumerate(lines) if part in text]
    return found


def below(lines, part: str) -> list[tuple[int, str]]:
    """What stands below the one line that has the part, by how much deeper."""
    number = at(lines, part)
    depth, deeper = lines[number][0], []
    for line in lines[number + 1 :]:
        if line[0] <= depth:
            break
        deeper.append((line[0] - depth, line[1]))
    return deeper


def announce(functions, s3, bucket: str, function: str) -> None:
    functions.lets_in(function, "s3", f"arn:aws:s3:::{bucket}")
    rule = {"Id": "r", "LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [rule]})


CHANGES = CALLS + '''
import urllib.parse

print("module begins")

def handler(event, context):
    key = event["Records"][0]["s3"]["object"]["key"]
    print("got", key)
    put(os.environ["TO"], f"made/{key}", "made")
    call("dynamodb", "DynamoDB_20120810.PutItem", {"TableName": os.environ["TABLE"], "Item": {"id": {"S": key}, "n": {"N": "1"}}})
    send(os.environ["QUEUE"], "message")
    call("events", "AWSEvents.PutEvents", {"Entries": [{"Source": "own", "DetailType": "d", "Detail": "{}"}]}, "1.1")
    form = {"Action": "Publish", "Version": "2010-03-31", "TopicArn": os.environ["TOPIC"], "Message": "m"}
    request("sns", "POST", "/", {"content-type": "application/x-www-form-urlencoded"}, urllib.parse.urlencode(form).encode())
'''

PRINTS = "def handler(event, context):\n    print('second', event['Records'][0]['s3']['object']['key'])\n"


def test_a_chain_through_two_functions(functions, server, s3, bucket):
    queue, queue_arn = functions.make_queue()
    topic = client(server, "sns").create_topic(Name=name("t"))["TopicArn"]
    dynamodb, table, to = client(server, "dynamodb"), name("t"), name("to")
    dynamodb.create_table(
        TableName=table, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    )  # fmt: skip
    dynamodb.get_waiter("table_exists").wait(TableName=table)
    s3.create_bucket(Bucket=to)
    first = functions.make(CHANGES, queue, env={"TO": to, "TABLE": table, "TOPIC": topic})["FunctionArn"]
    second = functions.make(PRINTS)["FunctionArn"]
    announce(functions, s3, bucket, first)
    announce(functions, s3, to, second)
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")

    lines = traced(server, f"s3://{bucket}/k", f"{first}: invocation", f"{second}: invocation", "| second made/k", "topic arn", "matched", "| REPORT")
    request = lines[at(lines, f"{first}: invocation")][1].split()[3]
    of_first = below(lines, f"{first}: invocation {request} done")
    texts = [text for depth, text in of_first if depth == 2 and text.startswith("| ")]
    assert texts[0].startswith("| INIT_START ") and texts[1] == "| module begins", texts
    assert texts[2].startswith(f"| START RequestId: {request}") and texts[3] == "| got k", texts
    assert texts[4] == f"| END RequestId: {request}" and texts[5].startswith(f"| REPORT RequestId: {request}  Duration: "), texts
    assert len(texts) == 6 and of_first[0][1].startswith("attempt 1 at ")

    made = below(of_first, f"s3://{to}/made/k: PutObject")
    assert (1, f"caused by invocation {request} of {first}") in made
    inner = below(made, f"{second}: invocation")
    assert any(depth == 2 and text == "| second made/k" for depth, text in inner), inner
    direct = [text for depth, text in of_first if depth == 1]
    assert any(text.startswith(f'table {table}: INSERT of {{"id":{{"S":"k"}}}} at ') for text in direct), direct
    assert any(text.startswith(f"queue {queue_arn}: message ") for text in direct), direct
    assert any(text.startswith(f"topic {topic}: message ") for text in direct), direct
    assert any(text.startswith("event ") and "came to" in text and "event-bus/default" in text for text in direct), direct
    # What caused a change is told where one asks about it alone.
    assert (1, f"caused by invocation {request} of {first}") in told(server, f"s3://{to}/made/k")


FAILS = '''
def handler(event, context):
    print("about to fail")
    raise ValueError("not today")
'''


def test_each_attempt_has_its_output(make_server):
    server = make_server(args=["--movable-clock"])
    functions = Functions(server)
    function = functions.make(FAILS)["FunctionName"]
    request = functions.lam.invoke(FunctionName=function, InvocationType="Event", Payload=b"{}")["ResponseMetadata"]["RequestId"]
    for number, seconds in [(1, 61), (2, 121), (3, 0)]:
        eventually(lambda number=number: sum("| REPORT" in text for _, text in told(server, request)) == number)
        lines = told(server, request)
        for attempt in range(1, number + 1):
            deeper = [text for _, text in below(lines, f"attempt {attempt} at ")]
            assert "| about to fail" in deeper and any("ValueError: not today" in text for text in deeper), lines
            assert sum(text.startswith("| START RequestId: ") for text in deeper) == 1, lines
        assert "at work" not in str(lines)
        if seconds:
            advance(server, seconds)
    assert "was given up" in lines[0][1] and any("RetriesExhausted" in text for _, text in lines)


def test_a_function_that_does_not_get_as_far_as_its_handler(functions, server):
    function = functions.make("print('before')\nraise RuntimeError('no module')\n")["FunctionName"]
    functions.lam.put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=0)
    request = functions.lam.invoke(FunctionName=function, InvocationType="Event", Payload=b"{}")["ResponseMetadata"]["RequestId"]
    deeper = [text for _, text in below(traced(server, request, "| REPORT"), "attempt 1 at ")]
    assert "| before" in deeper and any("RuntimeError: no module" in text for text in deeper), deeper


WAITS = CALLS + '''
def handler(event, context):
    print("at it", flush=True)
    while "Messages" not in call("sqs", "AmazonSQS.ReceiveMessage", {"QueueUrl": os.environ["QUEUE"], "WaitTimeSeconds": 5}):
        pass
'''


def test_an_attempt_that_is_at_work(functions, server):
    queue, _ = functions.make_queue()
    function = functions.make(WAITS, queue, Timeout=120)["FunctionName"]
    request = functions.lam.invoke(FunctionName=function, InvocationType="Event", Payload=b"{}")["ResponseMetadata"]["RequestId"]
    lines = traced(server, request, "| at it")
    assert lines[0][1].endswith(f"invocation {request} has not ended")
    assert [text for _, text in below(lines, "at work")][-1] == "| at it"
    functions.sqs.send_message(QueueUrl=queue, MessageBody="end")
    lines = traced(server, request, "| REPORT")
    assert lines[0][1].endswith(f"invocation {request} done") and "at work" not in str(lines)


MANY = CALLS + '''
def handler(event, context):
    for number in range(event["lines"]):
        print("line", number)
    if "bucket" in event:
        put(event["bucket"], "made", "1")
'''


def test_an_invocation_that_somebody_waited_for(make_server):
    server = make_server()
    functions, s3, bucket = Functions(server), s3_client(server), name("b")
    s3.create_bucket(Bucket=bucket)
    made = functions.make(MANY)
    function, arn = made["FunctionName"], made["FunctionArn"]
    invoke = lambda event: functions.lam.invoke(FunctionName=function, Payload=json.dumps(event))["ResponseMetadata"]["RequestId"]  # noqa: E731
    before, request, after = invoke({"lines": 1}), invoke({"lines": 300, "bucket": bucket}), invoke({"lines": 2})
    lines = traced(server, request, "| REPORT")
    assert lines[0][1].startswith(f"function {arn}: invocation {request} done at ")
    shown = [text for _, text in lines if text.startswith("| ")]
    assert len(shown) == 100 and shown[0].startswith(f"| START RequestId: {request}") and shown[-1].startswith("| REPORT"), lines
    assert "| line 299" in shown and "| line 0" not in shown
    assert f"and 203 more lines: millpond logs {function}" in [text for _, text in lines]
    assert (1, lines[at(lines, f"s3://{bucket}/made: PutObject")][1]) in lines
    for other, count in [(before, 1), (after, 2)]:
        texts = [text for _, text in traced(server, other, "| REPORT") if text.startswith("| line")]
        assert texts == [f"| line {number}" for number in range(count)]
    # What is in memory alone is gone; what it changed is not.
    server.stop()
    server.start()
    assert told(server, before) == []
    lines = told(server, request)
    assert lines[0][1].startswith(f"s3://{bucket}/made: PutObject") and lines[2] == (1, f"caused by invocation {request} of {arn}")


TAKES = CALLS + '''
def handler(event, context):
    print("took", event["Records"][0]["body"])
    send(os.environ["QUEUE"], {"request": context.aws_request_id})
'''


def test_an_invocation_with_messages_of_a_queue(functions, server):
    source, source_arn = functions.make_queue(VisibilityTimeout="60")
    told_to, told_arn = functions.make_queue()
    made = functions.make(TAKES, told_to)
    functions.lam.create_event_source_mapping(EventSourceArn=source_arn, FunctionName=made["FunctionName"], BatchSize=1)
    functions.sqs.send_message(QueueUrl=source, MessageBody="this")
    got = eventually(lambda: functions.sqs.receive_message(QueueUrl=told_to, WaitTimeSeconds=5).get("Messages"))
    request = json.loads(got[0]["Body"])["request"]
    lines = traced(server, request, "| REPORT")
    assert lines[0][1].startswith(f"function {made['FunctionArn']}: invocation {request} done at ") and "| took this" in [text for _, text in lines]
    # Received, and not deleted.
    assert any(depth == 1 and text.startswith(f"queue {told_arn}: message {got[0]['MessageId']} was received") for depth, text in lines), lines
