"""kill -9 between an object's PUT, the function that it invokes, the item that this writes, and the function that the item invokes: every task still runs,
at least once, under the same ids. MILLPOND_KILLS rounds (default 10); MILLPOND_SEED repeats a run, as far as threads repeat."""

import os
import random
import threading
import time

import pytest
from harness.clients import client, s3_client
from harness.dynamo import dynamo, make_table, stream_of
from harness.functions import CALLS, Functions, eventually
from harness.identities import name

KILLS = int(os.environ.get("MILLPOND_KILLS", "10"))

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(max(600, KILLS * 60))]

# From a bucket into a table, under the sequencer of the event.
TO_TABLE = CALLS + '''
def handler(event, context):
    for record in event["Records"]:
        key, sequencer = record["s3"]["object"]["key"], record["s3"]["object"]["sequencer"]
        item = {"p": {"S": key}, "sequencer": {"S": sequencer}, "request": {"S": context.aws_request_id}}
        call("dynamodb", "DynamoDB_20120810.PutItem", {"TableName": os.environ["TABLE"], "Item": item})
'''
# From the table's stream into a queue.
TO_QUEUE = CALLS + '''
def handler(event, context):
    for record in event["Records"]:
        image = record["dynamodb"].get("NewImage")
        if image:
            send(os.environ["QUEUE"], {"key": image["p"]["S"], "request": image["request"]["S"], "event": record["eventID"]})
'''
# From the queue into a second bucket.
TO_BUCKET = CALLS + '''
def handler(event, context):
    for record in event["Records"]:
        body = json.loads(record["body"])
        put(os.environ["BUCKET"], body["key"], body["request"])
'''


def test_every_task_runs(make_server):
    seed = int(os.environ.get("MILLPOND_SEED", str(random.randrange(1 << 32))))
    print(f"rerun with MILLPOND_SEED={seed}")
    dice = random.Random(seed)
    server = make_server()
    functions, s3, ddb = Functions(server), s3_client(server), dynamo(server)
    source, rewritten = name("in"), name("out")
    [s3.create_bucket(Bucket=bucket) for bucket in (source, rewritten)]
    table = make_table(ddb, **stream_of())
    stream = ddb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    queue, queue_arn = functions.make_queue(VisibilityTimeout="5")
    first = functions.make(TO_TABLE, env={"TABLE": table}, Timeout=5)["FunctionArn"]
    functions.lets_in(first, "s3", f"arn:aws:s3:::{source}")
    rule = {"LambdaFunctionArn": first, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(Bucket=source, NotificationConfiguration={"LambdaFunctionConfigurations": [rule]})
    # What a role may do is kept: a killed server that is at a function's call must not make it fail for good.
    functions.lam.put_function_event_invoke_config(FunctionName=first, MaximumRetryAttempts=2)
    second = functions.make(TO_QUEUE, queue, Timeout=5)["FunctionArn"]
    third = functions.make(TO_BUCKET, env={"BUCKET": rewritten}, Timeout=5)["FunctionArn"]
    functions.lam.create_event_source_mapping(FunctionName=second, EventSourceArn=stream, StartingPosition="TRIM_HORIZON", BatchSize=10)
    functions.lam.create_event_source_mapping(FunctionName=third, EventSourceArn=queue_arn)
    acknowledged: set[str] = set()
    for kill in range(KILLS):
        stop = threading.Event()

        def write(own, n: int):
            while not stop.is_set():
                key = f"{kill:03}-{n:04}"
                try:
                    own.put_object(Bucket=source, Key=key, Body=b"x")
                except Exception:
                    return
                acknowledged.add(key)
                n += 2
                time.sleep(0.02)

        workers = [threading.Thread(target=write, args=(s3_client(server), n)) for n in range(2)]
        enough = len(acknowledged) + dice.randrange(1, 40)
        [worker.start() for worker in workers]
        while len(acknowledged) < enough and any(worker.is_alive() for worker in workers):
            time.sleep(0.001)
        # Somewhere between the object and what becomes of it.
        time.sleep(dice.random() * 0.5)
        server.kill()
        stop.set()
        [worker.join() for worker in workers]
        server.start()
        print(f"kill {kill + 1}/{KILLS}: {len(acknowledged)} acknowledged", flush=True)
    s3, ddb = s3_client(server), dynamo(server)

    def came():
        keys, more = set(), {}
        while True:
            page = s3.list_objects_v2(Bucket=rewritten, **more)
            keys |= {one["Key"] for one in page.get("Contents", [])}
            if not page["IsTruncated"]:
                return acknowledged <= keys
            more = {"ContinuationToken": page["NextContinuationToken"]}

    try:
        eventually(came, seconds=max(240, KILLS * 10))
    finally:
        items = {one["p"]["S"] for one in ddb.get_paginator("scan").paginate(TableName=table).search("Items")}
        print(f"{len(acknowledged)} objects, {len(acknowledged - items)} not in the table")
    # One event has one request id, however often it was run.
    for key in dice.sample(sorted(acknowledged), min(50, len(acknowledged))):
        found = ddb.get_item(TableName=table, Key={"p": {"S": key}})["Item"]["request"]["S"]
        assert s3.get_object(Bucket=rewritten, Key=key)["Body"].read().decode() == found
