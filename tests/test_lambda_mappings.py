"""Event source mappings: table streams and queues that functions are invoked with."""

import json
import time

import pytest
from botocore.exceptions import ClientError
from harness.clients import client
from harness.dynamo import dynamo, item, make_table, stream_of
from harness.functions import CALLS, Functions, eventually
from harness.identities import allow, name
from harness.server import ACCOUNT, REGION

pytestmark = pytest.mark.restarts  # knows the account of the server it started

# Tells of each batch what it was; fails where a record says so.
BATCHES = CALLS + '''
def handler(event, context):
    records = event["Records"]
    values = [r["body"] if "body" in r else r["dynamodb"]["Keys"]["p"]["S"] for r in records]
    send(os.environ["QUEUE"], {"values": values, "names": [r.get("eventName") for r in records], "first": records[0]})
    bad = [r for r, value in zip(records, values) if value.startswith("bad")]
    if os.environ.get("PARTIAL"):
        ids = [r["messageId"] if "body" in r else r["dynamodb"]["SequenceNumber"] for r in bad]
        return {"batchItemFailures": [{"itemIdentifier": i} for i in ids]}
    if bad:
        raise ValueError("a bad record")
'''


@pytest.fixture(scope="module")
def functions(server):
    return Functions(server)


@pytest.fixture
def queue(functions):
    return functions.make_queue()[0]


@pytest.fixture(scope="module")
def ddb(server):
    return dynamo(server)


@pytest.fixture
def mapped(functions):
    """Makes mappings that are deleted at the end of the test."""
    made = []

    def mapped(function, source, **more):
        answer = functions.lam.create_event_source_mapping(FunctionName=function, EventSourceArn=source, **more)
        made.append(answer["UUID"])
        if more.get("Enabled", True):
            eventually(lambda: functions.lam.get_event_source_mapping(UUID=answer["UUID"])["State"] == "Enabled")
        return answer["UUID"]

    yield mapped
    for one in made:
        try:
            functions.lam.delete_event_source_mapping(UUID=one)
        except ClientError:
            pass


def streamed(ddb):
    table = make_table(ddb, **stream_of())
    return table, ddb.describe_table(TableName=table)["Table"]["LatestStreamArn"]


def refused(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    answer = error.value.response["Error"]
    return answer["Code"], answer["Message"]


def gathered(functions, queue, count, seconds=90):
    """Values of batches, until so many came."""
    batches, until = [], time.monotonic() + seconds
    while sum(len(batch["values"]) for batch in batches) < count:
        assert time.monotonic() < until, batches
        batches += functions.taken(queue, 1, seconds=seconds)
    return batches


def test_changes_of_a_table_invoke_a_function(functions, queue, ddb, mapped):
    table, stream = streamed(ddb)
    ddb.put_item(TableName=table, Item=item(p="before"))
    function = functions.make(BATCHES, queue)["FunctionName"]
    mapped(function, stream, StartingPosition="TRIM_HORIZON", BatchSize=10)
    ddb.put_item(TableName=table, Item=item(p="a", n=1))
    ddb.put_item(TableName=table, Item=item(p="a", n=2))
    ddb.delete_item(TableName=table, Key=item(p="a"))
    batches = gathered(functions, queue, 4)
    told = [pair for batch in batches for pair in zip(batch["values"], batch["names"])]
    assert ("before", "INSERT") in told
    assert [what for value, what in told if value == "a"] == ["INSERT", "MODIFY", "REMOVE"]
    record = batches[0]["first"]
    assert (record["eventSource"], record["eventSourceARN"], record["awsRegion"]) == ("aws:dynamodb", stream, REGION)


def test_latest_begins_with_what_comes_later(functions, queue, ddb, mapped):
    table, stream = streamed(ddb)
    for number in range(20):
        ddb.put_item(TableName=table, Item=item(p=f"before-{number}"))
    mapped(functions.make(BATCHES, queue)["FunctionName"], stream, StartingPosition="LATEST")
    for number in range(5):
        ddb.put_item(TableName=table, Item=item(p=f"after-{number}"))
    values = [value for batch in gathered(functions, queue, 5) for value in batch["values"]]
    assert sorted(values) == [f"after-{number}" for number in range(5)]


def test_filters_pass_over_the_rest(functions, queue, ddb, mapped):
    table, stream = streamed(ddb)
    pattern = json.dumps({"eventName": ["REMOVE"], "dynamodb": {"Keys": {"p": {"S": [{"prefix": "x"}]}}}})
    function = functions.make(BATCHES, queue)["FunctionName"]
    uuid = mapped(function, stream, StartingPosition="TRIM_HORIZON", FilterCriteria={"Filters": [{"Pattern": pattern}]})
    for key in ["x1", "y1", "x2"]:
        ddb.put_item(TableName=table, Item=item(p=key))
        ddb.delete_item(TableName=table, Key=item(p=key))
    batches = gathered(functions, queue, 2)
    assert sorted(value for batch in batches for value in batch["values"]) == ["x1", "x2"]
    assert all(what == "REMOVE" for batch in batches for what in batch["names"])
    assert functions.lam.get_event_source_mapping(UUID=uuid)["FilterCriteria"] == {"Filters": [{"Pattern": pattern}]}


def test_a_poison_record_is_bisected_out(functions, queue, ddb, mapped):
    table, stream = streamed(ddb)
    failures, failures_arn = functions.make_queue()
    function = functions.make(BATCHES, queue)
    keys = [f"k{number}" for number in range(30)] + ["bad"] + [f"z{number}" for number in range(30)]
    for key in keys:
        ddb.put_item(TableName=table, Item=item(p=key))
    mapped(
        function["FunctionName"], stream, StartingPosition="TRIM_HORIZON", BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": failures_arn}},
    )  # fmt: skip
    [letter] = functions.taken(failures, 1, seconds=120)
    context, info = letter["requestContext"], letter["DDBStreamBatchInfo"]
    assert (context["condition"], context["functionArn"]) == ("RetryAttemptsExhausted", function["FunctionArn"] + ":$LATEST")
    assert (info["batchSize"], info["streamArn"]) == (1, stream)
    assert info["startSequenceNumber"] == info["endSequenceNumber"] and info["shardId"].startswith("shardId-")
    assert letter["responseContext"]["functionError"] == "Unhandled"
    # The shard goes on, and every other record was in a batch that went well.
    ddb.put_item(TableName=table, Item=item(p="last"))
    good: set[str] = set()

    def all_came():
        for batch in functions.taken(queue, 1):
            if "bad" not in batch["values"]:
                good.update(batch["values"])
        return good >= {*keys, "last"} - {"bad"}

    eventually(all_came, seconds=120)


def test_a_function_reports_where_it_stopped(functions, queue, ddb, mapped):
    table, stream = streamed(ddb)
    failures, failures_arn = functions.make_queue()
    function = functions.make(BATCHES, queue, env={"PARTIAL": "1"})["FunctionName"]
    for key in ["a", "b", "bad", "c", "d"]:
        ddb.put_item(TableName=table, Item=item(p=key))
    mapped(
        function, stream, StartingPosition="TRIM_HORIZON", FunctionResponseTypes=["ReportBatchItemFailures"], BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": failures_arn}},
    )  # fmt: skip
    [letter] = functions.taken(failures, 1, seconds=120)
    assert letter["DDBStreamBatchInfo"]["batchSize"] == 1


def test_messages_invoke_a_function(functions, queue, mapped):
    source, source_arn = functions.make_queue(VisibilityTimeout="20")
    function = functions.make(BATCHES, queue)["FunctionName"]
    uuid = mapped(function, source_arn)
    functions.sqs.send_message(QueueUrl=source, MessageBody="hello", MessageAttributes={"n": {"DataType": "Number", "StringValue": "5"}})
    [told] = functions.taken(queue, 1)
    record = told["first"]
    assert (record["body"], record["eventSource"], record["eventSourceARN"]) == ("hello", "aws:sqs", source_arn)
    assert record["messageAttributes"]["n"]["stringValue"] == "5" and record["attributes"]["ApproximateReceiveCount"] == "1"

    def none_left():
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return set(functions.sqs.get_queue_attributes(QueueUrl=source, AttributeNames=names)["Attributes"].values()) == {"0"}

    eventually(none_left)
    functions.lam.update_event_source_mapping(UUID=uuid, Enabled=False)
    eventually(lambda: functions.lam.get_event_source_mapping(UUID=uuid)["State"] == "Disabled")
    functions.lam.delete_event_source_mapping(UUID=uuid)
    eventually(lambda: not functions.lam.list_event_source_mappings(EventSourceArn=source_arn)["EventSourceMappings"])
    assert refused(functions.lam.get_event_source_mapping, UUID=uuid)[0] == "ResourceNotFoundException"


def test_what_fails_is_visible_again_and_goes_to_the_dead_letters(functions, queue, mapped):
    dead, dead_arn = functions.make_queue()
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
    source, source_arn = functions.make_queue(VisibilityTimeout="2", RedrivePolicy=redrive)
    function = functions.make(BATCHES, queue, Timeout=2, env={"PARTIAL": "1"})["FunctionName"]
    mapped(function, source_arn, FunctionResponseTypes=["ReportBatchItemFailures"], MaximumBatchingWindowInSeconds=1)
    for body in ["good-1", "bad", "good-2"]:
        functions.sqs.send_message(QueueUrl=source, MessageBody=body)
    [letter] = functions.taken(dead, 1, seconds=120, raw=True)
    assert letter["Body"] == "bad"
    batches = gathered(functions, queue, 4)
    values = [value for batch in batches for value in batch["values"]]
    assert sorted(values) == ["bad", "bad", "good-1", "good-2"]


def test_filters_of_a_queue_delete_the_rest(functions, queue, mapped):
    source, source_arn = functions.make_queue(VisibilityTimeout="20")
    function = functions.make(BATCHES, queue)["FunctionName"]
    mapped(function, source_arn, FilterCriteria={"Filters": [{"Pattern": json.dumps({"body": {"kind": ["wanted"]}})}]})
    for body in [{"kind": "other"}, {"kind": "wanted"}]:
        functions.sqs.send_message(QueueUrl=source, MessageBody=json.dumps(body))
    assert [json.loads(value) for value in gathered(functions, queue, 1)[0]["values"]] == [{"kind": "wanted"}]


def test_what_mappings_may_be(functions, queue, ddb, mapped):
    create = functions.lam.create_event_source_mapping
    table, stream = streamed(ddb)
    source, source_arn = functions.make_queue(VisibilityTimeout="20")
    slow, slow_arn = functions.make_queue(VisibilityTimeout="5")
    function = functions.make(BATCHES, queue)["FunctionName"]
    for code, text, more in [
        ("InvalidParameterValueException", "'startingPosition'", {"EventSourceArn": stream}),
        ("InvalidParameterValueException", "Queue visibility timeout: 5 seconds is less than Function timeout: 20", {"EventSourceArn": slow_arn}),
        ("InvalidParameterValueException", "StartingPosition is not supported", {"EventSourceArn": source_arn, "StartingPosition": "LATEST"}),
        ("InvalidParameterValueException", "Maximum batch window", {"EventSourceArn": source_arn, "BatchSize": 11}),
        ("InvalidParameterValueException", "Invalid filter pattern", {"EventSourceArn": source_arn, "FilterCriteria": {"Filters": [{"Pattern": "{"}]}}),
        ("InvalidParameterValueException", "Unrecognized event source", {"EventSourceArn": "arn:aws:s3:::bucket"}),
        ("NotImplemented", "ParallelizationFactor", {"EventSourceArn": stream, "StartingPosition": "LATEST", "ParallelizationFactor": 2}),
        ("NotImplemented", "TumblingWindow", {"EventSourceArn": stream, "StartingPosition": "LATEST", "TumblingWindowInSeconds": 5}),
        ("NotImplemented", "kinesis", {"EventSourceArn": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/s", "StartingPosition": "LATEST"}),
    ]:
        found = refused(create, FunctionName=function, **more)
        assert found[0] == code and text in found[1], (more, found)
    assert refused(create, FunctionName="nobody", EventSourceArn=source_arn)[0] == "ResourceNotFoundException"
    weak = functions.make(BATCHES, queue, Role=functions.make_role("logs:*"))["FunctionName"]
    code, text = refused(create, FunctionName=weak, EventSourceArn=stream, StartingPosition="LATEST")
    assert (code, text.startswith(f"Cannot access stream {stream}")) == ("InvalidParameterValueException", True)
    looks = functions.make(BATCHES, queue, Role=functions.make_role("sqs:GetQueueAttributes"))["FunctionName"]
    code, text = refused(create, FunctionName=looks, EventSourceArn=source_arn)
    assert (code, text) == ("InvalidParameterValueException", "The provided execution role does not have permissions to call ReceiveMessage on SQS")
    uuid = mapped(function, source_arn, Enabled=False)
    shown = functions.lam.get_event_source_mapping(UUID=uuid)
    assert (shown["State"], shown["BatchSize"], shown["MaximumBatchingWindowInSeconds"]) == ("Disabled", 10, 0)
    code, text = refused(create, FunctionName=function, EventSourceArn=source_arn)
    assert (code, text.endswith(f"Please update or delete the existing mapping with UUID {uuid}")) == ("ResourceConflictException", True)


# Answers each record of its table with another one.
LOOPS = CALLS + '''
def handler(event, context):
    for record in event["Records"]:
        key = int(record["dynamodb"]["Keys"]["p"]["S"])
        send(os.environ["QUEUE"], key)
        call("dynamodb", "DynamoDB_20120810.PutItem", {"TableName": os.environ["TABLE"], "Item": {"p": {"S": f"{key + 1:03}"}}})
'''


def test_a_loop_over_a_table_ends(functions, queue, ddb, mapped):
    table, stream = streamed(ddb)
    failures, failures_arn = functions.make_queue()
    function = functions.make(LOOPS, queue, env={"TABLE": table})["FunctionName"]
    mapped(function, stream, StartingPosition="TRIM_HORIZON", DestinationConfig={"OnFailure": {"Destination": failures_arn}})
    ddb.put_item(TableName=table, Item=item(p="000"))
    [letter] = functions.taken(failures, 1, seconds=120)
    assert letter["requestContext"]["condition"] == "RecursiveInvocation"
    assert sorted(functions.taken(queue, 16)) == list(range(16))
    assert ddb.scan(TableName=table)["Count"] == 17
