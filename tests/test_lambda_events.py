"""Functions that are invoked by events: of buckets, topics, buses, schedules, and by clients that do not wait."""

import json
import subprocess
import time

import pytest
from botocore.exceptions import ClientError
from harness.clients import client, s3_client
from harness.functions import CALLS, ECHO, Functions, eventually
from harness.identities import name
from harness.movable import advance
from harness.server import ACCOUNT, REGION, binary

pytestmark = pytest.mark.restarts  # knows the account of the server it started


@pytest.fixture(scope="module")
def functions(server):
    return Functions(server)


@pytest.fixture
def queue(functions):
    return functions.make_queue()[0]


def test_an_object_invokes_a_function(functions, queue, server, s3, bucket):
    made = functions.make(ECHO, queue)
    arn = made["FunctionArn"]
    rule = {"Id": "r", "LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": [{"Name": "Suffix", "Value": ".csv"}]}}}
    put = {"LambdaFunctionConfigurations": [rule]}
    with pytest.raises(ClientError) as refused:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=put)
    error = refused.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("InvalidArgument", "Unable to validate the following destination configurations")
    functions.lets_in(arn, "s3", f"arn:aws:s3:::{bucket}", SourceAccount=ACCOUNT)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=put)
    shown = s3.get_bucket_notification_configuration(Bucket=bucket)["LambdaFunctionConfigurations"]
    assert [(one["Id"], one["LambdaFunctionArn"]) for one in shown] == [("r", arn)]
    s3.put_object(Bucket=bucket, Key="a b.csv", Body=b"1")
    s3.put_object(Bucket=bucket, Key="a.txt", Body=b"1")
    [told] = functions.taken(queue, 1)
    record = told["event"]["Records"][0]
    assert (record["eventSource"], record["eventName"], record["s3"]["object"]["key"]) == ("aws:s3", "ObjectCreated:Put", "a+b.csv")
    assert told["arn"] == arn
    overlapping = {"LambdaFunctionConfigurations": [rule, {**rule, "Id": "s"}]}
    with pytest.raises(ClientError) as refused:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=overlapping)
    assert refused.value.response["Error"]["Code"] == "InvalidArgument"


def test_a_topic_invokes_a_function(functions, queue, server):
    sns = client(server, "sns")
    topic = sns.create_topic(Name=name("t"))["TopicArn"]
    arn = functions.make(ECHO, queue)["FunctionArn"]
    functions.lets_in(arn, "sns", topic)
    subscription = sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)["SubscriptionArn"]
    assert subscription.startswith(topic)
    sns.publish(TopicArn=topic, Message="hello", Subject="s", MessageAttributes={"n": {"DataType": "Number", "StringValue": "5"}})
    record = functions.taken(queue, 1)[0]["event"]["Records"][0]
    assert (record["EventSource"], record["EventVersion"], record["EventSubscriptionArn"]) == ("aws:sns", "1.0", subscription)
    assert (record["Sns"]["Message"], record["Sns"]["Subject"], record["Sns"]["TopicArn"]) == ("hello", "s", topic)
    assert record["Sns"]["MessageAttributes"] == {"n": {"Type": "Number", "Value": "5"}}


def test_a_rule_invokes_an_alias(functions, queue, server):
    events = client(server, "events")
    function = functions.make(ECHO, queue)["FunctionName"]
    version = functions.lam.publish_version(FunctionName=function)["Version"]
    alias = functions.lam.create_alias(FunctionName=function, Name="live", FunctionVersion=version)["AliasArn"]
    rule, source = name("rule"), name("source")
    arn = events.put_rule(Name=rule, EventPattern=json.dumps({"source": [source]}))["RuleArn"]
    functions.lets_in(function, "events", arn, Qualifier="live")
    events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": alias, "RetryPolicy": {"MaximumRetryAttempts": 1}}])
    events.put_events(Entries=[{"Source": source, "DetailType": "d", "Detail": json.dumps({"a": 1})}])
    [told] = functions.taken(queue, 1)
    assert (told["event"]["detail"], told["arn"]) == ({"a": 1}, alias)


def test_a_rule_that_may_not_invoke_tells_its_dead_letter_queue(functions, queue, server):
    events = client(server, "events")
    dead, dead_arn = functions.make_queue()
    rule, source = name("rule"), name("source")
    arn = events.put_rule(Name=rule, EventPattern=json.dumps({"source": [source]}))["RuleArn"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": dead_arn}]}
    functions.sqs.set_queue_attributes(QueueUrl=dead, Attributes={"Policy": json.dumps(policy)})
    function = functions.make(ECHO, queue)["FunctionArn"]
    events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": function, "DeadLetterConfig": {"Arn": dead_arn}}])
    events.put_events(Entries=[{"Source": source, "DetailType": "d", "Detail": "{}"}])
    [letter] = functions.taken(dead, 1, raw=True)
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"
    assert letter["MessageAttributes"]["RULE_ARN"]["StringValue"] == arn


def test_a_schedule_invokes_a_function(functions, queue, server):
    scheduler, iam = client(server, "scheduler"), client(server, "iam")
    function = functions.make(ECHO, queue)["FunctionArn"]
    role = name("schedules")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    role_arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    invoke = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": function}]}
    iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=json.dumps(invoke))
    target = {"Arn": function, "RoleArn": role_arn, "Input": json.dumps({"at": "last"})}
    scheduler.create_schedule(Name=name("s"), ScheduleExpression="at(2020-01-01T00:00:00)", FlexibleTimeWindow={"Mode": "OFF"}, Target=target)
    assert functions.taken(queue, 1)[0]["event"] == {"at": "last"}


def test_an_invocation_that_is_not_waited_for(functions, queue, server):
    success, success_arn = functions.make_queue()
    function = functions.make(ECHO, queue)["FunctionName"]
    functions.lam.put_function_event_invoke_config(FunctionName=function, DestinationConfig={"OnSuccess": {"Destination": success_arn}})
    answer = functions.lam.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps({"n": 1}))
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    [told] = functions.taken(queue, 1)
    assert (told["event"], told["request"]) == ({"n": 1}, answer["ResponseMetadata"]["RequestId"])
    [record] = functions.taken(success, 1)
    context = record["requestContext"]
    assert (context["condition"], context["requestId"], context["approximateInvokeCount"]) == ("Success", told["request"], 1)
    assert context["functionArn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}:$LATEST"
    assert (record["requestPayload"], record["responsePayload"]) == ({"n": 1}, {"sent": True})
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}


FAILS = CALLS + '''
def handler(event, context):
    send(os.environ["QUEUE"], {"request": context.aws_request_id})
    raise ValueError("not today")
'''


def test_a_function_that_fails_tells_destination_and_dead_letters(functions, queue):
    failure, failure_arn = functions.make_queue()
    dead, dead_arn = functions.make_queue()
    function = functions.make(FAILS, queue, DeadLetterConfig={"TargetArn": dead_arn})["FunctionName"]
    functions.lam.put_function_event_invoke_config(
        FunctionName=function, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": failure_arn}}
    )
    functions.lam.invoke(FunctionName=function, InvocationType="Event", Payload=b'{"n": 2}')
    [told] = functions.taken(queue, 1)
    [record] = functions.taken(failure, 1)
    assert (record["requestContext"]["condition"], record["requestContext"]["approximateInvokeCount"]) == ("RetriesExhausted", 1)
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["responsePayload"]["errorMessage"] == "not today"
    [letter] = functions.taken(dead, 1, raw=True)
    assert json.loads(letter["Body"]) == {"n": 2}
    attributes = {key: value["StringValue"] for key, value in letter["MessageAttributes"].items()}
    assert attributes == {"RequestID": told["request"], "ErrorCode": "200", "ErrorMessage": "not today"}


def test_a_function_that_may_not_run_is_given_up_at_once(functions, queue):
    failure, failure_arn = functions.make_queue()
    function = functions.make(ECHO, queue)["FunctionName"]
    functions.lam.put_function_event_invoke_config(FunctionName=function, DestinationConfig={"OnFailure": {"Destination": failure_arn}})
    functions.lam.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    functions.lam.invoke(FunctionName=function, InvocationType="Event", Payload=b"{}")
    [record] = functions.taken(failure, 1)
    assert "responseContext" not in record and record["requestContext"]["approximateInvokeCount"] == 0


LOOPS = CALLS + '''
def handler(event, context):
    send(os.environ["QUEUE"], event)
    key = event["Records"][0]["s3"]["object"]["key"]
    put(os.environ["BUCKET"], f"{int(key) + 1:03}", "again")
'''


def test_a_loop_ends(functions, queue, s3, bucket):
    dead, dead_arn = functions.make_queue()
    function = functions.make(LOOPS, queue, env={"BUCKET": bucket}, DeadLetterConfig={"TargetArn": dead_arn})["FunctionArn"]
    functions.lets_in(function, "s3", f"arn:aws:s3:::{bucket}")
    rule = {"LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [rule]})
    s3.put_object(Bucket=bucket, Key="000", Body=b"begin")
    [letter] = functions.taken(dead, 1, seconds=120, raw=True)
    assert "loop" in letter["MessageAttributes"]["ErrorMessage"]["StringValue"]
    assert json.loads(letter["Body"])["Records"][0]["s3"]["object"]["key"] == "016"
    assert len(functions.taken(queue, 16)) == 16
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == [f"{number:03}" for number in range(17)]


def test_output_goes_to_the_log_group(functions, queue, server):
    logs = client(server, "logs")
    function = functions.make("def handler(event, context):\n    print('hello from', event['n'])\n")["FunctionName"]
    functions.lam.invoke(FunctionName=function, Payload=b'{"n": 7}')
    group = f"/aws/lambda/{function}"

    def lines():
        try:
            return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
        except ClientError:
            return []

    eventually(lambda: any("REPORT" in line for line in lines()))
    assert any(line.startswith("hello from 7") for line in lines())
    assert any(line.startswith("START RequestId:") for line in lines())


def test_what_functions_print_is_shown_by_the_command(functions, server):
    function = functions.make("def handler(event, context):\n    print('number', event['n'])\n")["FunctionName"]
    functions.lam.invoke(FunctionName=function, Payload=b'{"n": 1}')
    command = [binary(), "logs", "--data-dir", str(server.data_dir)]

    def shown(*more):
        return subprocess.run([*command, *more, function], capture_output=True, text=True, timeout=60)

    eventually(lambda: "REPORT" in shown().stdout)
    lines = shown("--json").stdout.splitlines()
    assert [json.loads(line)["message"].rstrip() for line in lines if "number" in line] == ["number 1"]
    assert shown("--since", "0s").returncode == 1
    assert subprocess.run([*command, "nobody"], capture_output=True, timeout=60).returncode == 1
    following = subprocess.Popen([*command, "--follow", function], stdout=subprocess.PIPE, text=True)
    try:
        functions.lam.invoke(FunctionName=function, Payload=b'{"n": 2}')
        assert any("number 2" in line for line in iter(following.stdout.readline, ""))
    finally:
        following.kill()


def test_a_trace_leads_from_the_object_through_the_invocation_to_its_destination(functions, queue, server, s3, bucket):
    success, success_arn = functions.make_queue()
    made = functions.make(ECHO, queue)
    functions.lam.put_function_event_invoke_config(FunctionName=made["FunctionName"], DestinationConfig={"OnSuccess": {"Destination": success_arn}})
    functions.lets_in(made["FunctionArn"], "s3", f"arn:aws:s3:::{bucket}")
    rule = {"LambdaFunctionArn": made["FunctionArn"], "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [rule]})
    s3.put_object(Bucket=bucket, Key="traced", Body=b"1")
    [told] = functions.taken(queue, 1)
    command = [binary(), "trace", "--data-dir", str(server.data_dir)]

    def traced(what):
        return subprocess.run([*command, what], capture_output=True, text=True, timeout=60).stdout

    # The message of the destination is not taken yet.
    eventually(lambda: f"queue {success_arn}" in traced(told["request"]) or success_arn in traced(told["request"]))
    text = traced(f"s3://{bucket}/traced")
    for expected in [made["FunctionArn"], f"invocation {told['request']} done", "attempt 1", f"/aws/lambda/{made['FunctionName']}"]:
        assert expected in text, text


COUNTS = CALLS + '''
def handler(event, context):
    send(os.environ["QUEUE"], {"request": context.aws_request_id, "at": "once more"})
    raise ValueError("always")
'''


def test_errors_are_tried_again_after_one_minute_and_after_two(make_server):
    server = make_server(args=["--movable-clock"])
    functions = Functions(server)
    queue, _ = functions.make_queue()
    dead, dead_arn = functions.make_queue()
    function = functions.make(COUNTS, queue, DeadLetterConfig={"TargetArn": dead_arn})["FunctionName"]
    functions.lam.invoke(FunctionName=function, InvocationType="Event", Payload=b"{}")
    told = functions.taken(queue, 1)
    # Not before it is due.
    time.sleep(2)
    assert "Messages" not in functions.sqs.receive_message(QueueUrl=queue)
    for seconds in [61, 121]:
        advance(server, seconds)
        told += functions.taken(queue, 1)
    assert len({one["request"] for one in told}) == 1, "one event has one request id"
    [letter] = functions.taken(dead, 1, raw=True)
    assert letter["MessageAttributes"]["ErrorMessage"]["StringValue"] == "always"


def test_an_event_that_waits_survives_a_kill(make_server):
    server = make_server(args=["--movable-clock"])
    functions = Functions(server)
    queue, _ = functions.make_queue()
    function = functions.make(COUNTS, queue)["FunctionName"]
    answer = functions.lam.invoke(FunctionName=function, InvocationType="Event", Payload=b"{}")
    first = functions.taken(queue, 1)[0]["request"]
    time.sleep(1)
    server.kill()
    server.start()
    advance(server, 61)
    assert functions.taken(queue, 1)[0]["request"] == first == answer["ResponseMetadata"]["RequestId"]
