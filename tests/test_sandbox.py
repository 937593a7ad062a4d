"""Functions in their sandboxes, as a server runs them: they reach its APIs and nothing else, and end with it."""

import io
import json
import sys
import time
import urllib.request
import uuid
import zipfile
from pathlib import Path

import pytest
from harness.clients import client
from harness.server import Server

pytestmark = pytest.mark.restarts  # starts servers with settings of their own

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:PutObject", "logs:*"], "Resource": "*"}]}


@pytest.fixture(scope="module")
def lake():
    # The interpreter of these tests has boto3.
    server = Server(env={"MILLPOND_PYTHON": sys.executable}).start()
    yield server
    server.close()


def role_of(server):
    iam = client(server, "iam")
    arn = iam.create_role(RoleName=f"r-{uuid.uuid4()}", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName=arn.rpartition("/")[2], PolicyName="p", PolicyDocument=json.dumps(ALLOW))
    return arn


def function_of(server, text, **more):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr("main.py", text)
    given = {"Runtime": "python3.12", "Handler": "main.handler", "Role": role_of(server), "Timeout": 30, "MemorySize": 256}
    name = f"f-{uuid.uuid4()}"
    client(server, "lambda").create_function(FunctionName=name, Code={"ZipFile": data.getvalue()}, **(given | more))
    return name


def invoke(server, name, event):
    answer = client(server, "lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode(), LogType="Tail")
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


def test_an_unmodified_boto3_talks_to_the_server_as_the_role(lake):
    client(lake, "s3").create_bucket(Bucket="made-inside")
    name = function_of(
        lake,
        """
import boto3
def handler(event, context):
    s3 = boto3.client('s3')
    s3.put_object(Bucket='made-inside', Key='flights/one', Body=event['text'].encode())
    try:
        s3.get_object(Bucket='made-inside', Key='flights/one')
    except Exception as error:
        denied = error.response['Error']['Code']
    return [boto3.client('sts').get_caller_identity()['Arn'], denied]
""",
    )
    error, (arn, denied) = invoke(lake, name, {"text": "LH 400"})
    assert error is None and denied == "AccessDenied"
    assert ":assumed-role/r-" in arn
    assert client(lake, "s3").get_object(Bucket="made-inside", Key="flights/one")["Body"].read() == b"LH 400"


def test_a_function_is_no_operator_and_no_proxy(lake):
    name = function_of(
        lake,
        """
import os, urllib.error, urllib.request
def handler(event, context):
    found = {}
    for path in ('health/ready', 'metrics'):
        asked = urllib.request.Request(os.environ['AWS_ENDPOINT_URL'] + '/_millpond/' + path)
        try:
            found[path] = urllib.request.urlopen(asked, timeout=5).status
        except urllib.error.HTTPError as error:
            found[path] = error.code
    try:
        urllib.request.urlopen(event['outside'], timeout=5)
    except OSError as error:
        found['outside'] = type(error.reason).__name__
    found['files'] = os.path.exists(event['files'])
    return found
""",
    )
    event = {"outside": lake.endpoint, "files": str(lake.data_dir)}
    assert urllib.request.urlopen(lake.endpoint + "/_millpond/metrics").status == 200
    assert invoke(lake, name, event) == (
        None,
        {"health/ready": 200, "metrics": 403, "outside": "ConnectionRefusedError", "files": False},
    )


def children_of(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *children_of(child)]
    return found


def test_workers_end_with_a_server_that_is_killed(make_server):
    server = make_server(env={"MILLPOND_PYTHON": sys.executable})
    name = function_of(server, "import subprocess\ndef handler(e, c):\n    subprocess.Popen(['sleep', '1000'])\n    return 1\n")
    assert invoke(server, name, {}) == (None, 1)
    workers = children_of(server.pid)
    assert len(workers) >= 4, "helper, init, interpreter, and what it started"
    server.kill()
    for _ in range(1000):
        left = [pid for pid in workers if Path(f"/proc/{pid}").exists()]
        if not left:
            break
        time.sleep(0.01)
    assert not left
    server.start()
    assert invoke(server, name, {}) == (None, 1)


def test_an_interpreter_that_is_not_there_is_named(make_server):
    server = make_server(env={"MILLPOND_PYTHON": "/nowhere/python"})
    name = function_of(server, "def handler(e, c): pass\n")
    with pytest.raises(client(server, "lambda").exceptions.ClientError) as refused:
        invoke(server, name, {})
    assert "/nowhere/python" in str(refused.value) and "MILLPOND_PYTHON" in str(refused.value)
