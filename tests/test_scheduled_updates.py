"""Scheduled updates of objects, with the functions of the article unchanged: their 300 seconds pass by moving the server's clock. `make demo-tasks` runs functions of our
own over real data."""

from __future__ import annotations

import io
import json
import subprocess
import time
import zipfile
from pathlib import Path

import pytest
from harness.clients import client
from harness.server import ACCOUNT, REGION, Server, binary

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(300)]

FUNCTIONS = Path(__file__).parent / "data" / "scheduled-updates"
BUCKET, TABLE = "data-bucket", "objects-to-process"
SECONDS = 300
# A new worker imports boto3, on a busy machine.
PATIENCE = 120


def zipped(name: str) -> bytes:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.write(FUNCTIONS / name, "lambda_function.py")
    return code.getvalue()


def make_role(server) -> str:
    iam = client(server, "iam")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    arn = iam.create_role(RoleName="functions", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    allowed = [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectTagging", "s3:PutObject", "s3:PutObjectTagging"], "Resource": f"arn:aws:s3:::{BUCKET}/*"},
        {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "logs:*", "Resource": "*"},
    ]
    iam.put_role_policy(RoleName="functions", PolicyName="may", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": allowed}))
    return arn


def make_table(server) -> str:
    dynamodb = client(server, "dynamodb")
    table = dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "path", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "path", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]
    dynamodb.get_waiter("table_exists").wait(TableName=TABLE, WaiterConfig={"Delay": 1})
    dynamodb.update_time_to_live(TableName=TABLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    return table["LatestStreamArn"]


def make_functions(server, stream: str) -> None:
    functions, role = client(server, "lambda"), make_role(server)
    for name, file in (("NotificationFunction", "notification_function.py"), ("JSONProcessingFunction", "json_processing_function.py")):
        functions.create_function(
            FunctionName=name, Runtime="python3.7", Handler="lambda_function.lambda_handler", Role=role, Code={"ZipFile": zipped(file)}, Timeout=30
        )
        functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    functions.create_event_source_mapping(
        FunctionName="JSONProcessingFunction", EventSourceArn=stream, BatchSize=1, MaximumBatchingWindowInSeconds=0, StartingPosition="TRIM_HORIZON", Enabled=True
    )


def notify(server) -> None:
    functions, s3 = client(server, "lambda"), client(server, "s3")
    functions.add_permission(
        FunctionName="NotificationFunction", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
        SourceArn=f"arn:aws:s3:::{BUCKET}", SourceAccount=ACCOUNT,
    )
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:NotificationFunction"
    rules = [{"Name": "prefix", "Value": "dataset/"}]
    wanted = {"Id": "MyEventNotification", "LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": rules}}}
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={"LambdaFunctionConfigurations": [wanted]})
    assert s3.get_bucket_notification_configuration(Bucket=BUCKET)["LambdaFunctionConfigurations"][0]["LambdaFunctionArn"] == arn


def eventually(what, server) -> None:
    """Waits until `what` answers with something true."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, server.log_tail()
        time.sleep(0.1)


def advance(server, seconds: int) -> None:
    subprocess.run([binary(), "clock", "--advance", str(seconds), "--data-dir", str(server.data_dir)], check=True, timeout=60)


def test_objects_are_rewritten_when_their_time_has_come():
    with Server(args=["--movable-clock"]) as server:
        s3, dynamodb = client(server, "s3"), client(server, "dynamodb")
        s3.create_bucket(Bucket=BUCKET)
        make_functions(server, make_table(server))
        notify(server)
        rows = [{"file_name": f"f{n}", "file_contents": "secret " * n, "n": n} for n in range(1, 50)]
        body = "\n".join(map(json.dumps, rows)).encode()
        for key in ("dataset/a.json", "dataset/b.json", "elsewhere/c.json"):
            s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        s3.put_object(Bucket=BUCKET, Key="dataset/empty.json", Body=b"")

        def waiting() -> set[str]:
            return {item["path"]["S"] for item in dynamodb.scan(TableName=TABLE)["Items"]}

        eventually(lambda: waiting() == {f"s3://{BUCKET}/dataset/{name}.json" for name in "ab"}, server)
        assert all(s3.get_object(Bucket=BUCKET, Key=f"dataset/{name}.json")["Body"].read() == body for name in "ab"), "not before its time"
        advance(server, SECONDS + 5)
        cleaned = "\n".join(json.dumps({**row, "file_contents": ""}) for row in rows).encode()

        def rewritten(key: str) -> bool:
            now = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            assert now in (body, cleaned), "torn"
            return now == cleaned

        for name in "ab":
            eventually(lambda: rewritten(f"dataset/{name}.json"), server)
            tags = s3.get_object_tagging(Bucket=BUCKET, Key=f"dataset/{name}.json")["TagSet"]
            assert tags == [{"Key": "PROCESSED", "Value": "True"}]
        assert s3.get_object(Bucket=BUCKET, Key="elsewhere/c.json")["Body"].read() == body
        # What the second function wrote is tagged, so that the first one schedules nothing for it: no loop.
        eventually(lambda: waiting() == set(), server)
        time.sleep(2)
        assert waiting() == set()
