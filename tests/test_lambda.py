"""AWS Lambda with boto3 and the aws CLI: what functions are, and how they are changed. """

import base64
import hashlib
import io
import json
import time
import urllib.request
import uuid
import zipfile

import pytest
from botocore.exceptions import ClientError
from harness.clients import client
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # knows the account of the server it started

HANDLER = "def handler(event, context):\n    return event\n"


def archive(files=None, links=None) -> bytes:
    """A zip of texts by name."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in (files or {"index.py": HANDLER}).items():
            made.writestr(name, text)
        for name, to in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o120777 << 16
            info.create_system = 3
            made.writestr(info, to)
    return data.getvalue()


@pytest.fixture(scope="module")
def lam(server):
    return client(server, "lambda")


@pytest.fixture(scope="module")
def iam(server):
    return client(server, "iam")


@pytest.fixture(scope="module")
def role(iam):
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    made = iam.create_role(RoleName="functions", AssumeRolePolicyDocument=json.dumps(trust))
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["sqs:SendMessage", "sns:Publish", "logs:*"], "Resource": "*"}]}
    iam.put_role_policy(RoleName="functions", PolicyName="send", PolicyDocument=json.dumps(allow))
    return made["Role"]["Arn"]


@pytest.fixture
def make(lam, role):
    def make(code=None, **more):
        name = more.pop("FunctionName", f"f-{uuid.uuid4()}")
        given = {"Runtime": "python3.12", "Handler": "index.handler", "Role": role, "Code": {"ZipFile": code or archive()}}
        return lam.create_function(FunctionName=name, **(given | more))

    return make


def refused(call, **arguments) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    answer = error.value.response["Error"]
    return answer["Code"], answer["Message"]


def test_a_function_is_made_shown_and_deleted(lam, make, role):
    code = archive()
    made = make(code, Description="d", Environment={"Variables": {"KEY": "value"}}, Tags={"team": "a"}, Timeout=10, MemorySize=256)
    name = made["FunctionName"]
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"
    assert made["FunctionArn"] == arn
    assert made["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode()
    assert (made["CodeSize"], made["Version"], made["State"]) == (len(code), "$LATEST", "Active")
    assert made["Environment"] == {"Variables": {"KEY": "value"}}
    assert (made["Timeout"], made["MemorySize"], made["EphemeralStorage"]) == (10, 256, {"Size": 512})
    lam.get_waiter("function_active_v2").wait(FunctionName=name)
    for asked in [name, arn, f"{ACCOUNT}:function:{name}"]:
        found = lam.get_function(FunctionName=asked)
        assert found["Configuration"]["RevisionId"] == made["RevisionId"]
        assert found["Tags"] == {"team": "a"}
    with urllib.request.urlopen(found["Code"]["Location"]) as answer:
        assert answer.read() == code
    assert lam.get_function_configuration(FunctionName=name, Qualifier="$LATEST")["FunctionArn"] == f"{arn}:$LATEST"
    assert refused(make, FunctionName=name) == ("ResourceConflictException", f"Function already exist: {name}")
    assert name in [one["FunctionName"] for page in lam.get_paginator("list_functions").paginate() for one in page["Functions"]]
    lam.delete_function(FunctionName=name)
    code, message = refused(lam.get_function, FunctionName=name)
    assert (code, message) == ("ResourceNotFoundException", f"Function not found: {arn}")

@pytest.fixture(scope="module")
def logs(server):
    return client(server, "logs")


def invoke(lam, name, event=None, **more):
    payload = {} if event is None else {"Payload": json.dumps(event)}
    answer = lam.invoke(FunctionName=name, **(payload | more))
    return answer, json.loads(answer["Payload"].read() or "null")


def test_a_function_answers(lam, make):
    code = archive({"index.py": """
import os, json
def handler(event, context):
    print("hello", event)
    return {"event": event, "id": context.aws_request_id, "arn": context.invoked_function_arn, "version": context.function_version,
            "key": os.environ["KEY"], "region": os.environ["AWS_REGION"], "endpoint": "AWS_ENDPOINT_URL" in os.environ}
"""})
    made = make(code, Environment={"Variables": {"KEY": "value"}})
    name = made["FunctionName"]
    answer, said = invoke(lam, name, {"a": 1}, LogType="Tail")
    assert answer["StatusCode"] == 200 and "FunctionError" not in answer
    assert answer["ExecutedVersion"] == "$LATEST"
    assert said == {"event": {"a": 1}, "id": answer["ResponseMetadata"]["RequestId"], "arn": made["FunctionArn"], "version": "$LATEST",
                    "key": "value", "region": "us-east-1", "endpoint": True}  # fmt: skip
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert "START RequestId" in tail and "hello {'a': 1}" in tail and "REPORT RequestId" in tail
    assert invoke(lam, name)[1]["event"] == {}
    dry, _ = lam.invoke(FunctionName=name, InvocationType="DryRun"), None
    assert dry["StatusCode"] == 204


ECHO = {"index.py": """
import os, json
def handler(event, context):
    return {"event": event, "version": context.function_version, "arn": context.invoked_function_arn, "key": os.environ.get("KEY"),
            "client": context.client_context.custom if context.client_context else None}
"""}


def test_what_is_wrong_with_a_function_is_its_answer(lam, make):
    for files, handler, error in [
        ({"index.py": "def handler(event, context):\n    raise ValueError('no')\n"}, "index.handler", "ValueError"),
        ({"index.py": "def handler(event, context):\n    return object()\n"}, "index.handler", "Runtime.MarshalError"),
        ({"index.py": HANDLER}, "other.handler", "Runtime.ImportModuleError"),
        ({"index.py": HANDLER}, "index.other", "Runtime.HandlerNotFound"),
        ({"index.py": "def handler(:\n"}, "index.handler", "Runtime.UserCodeSyntaxError"),
    ]:
        name = make(archive(files), Handler=handler)["FunctionName"]
        answer, said = invoke(lam, name, {})
        assert answer["StatusCode"] == 200 and answer["FunctionError"] == "Unhandled", (files, said)
        assert said["errorType"] == error, (files, said)
    name = make(archive({"index.py": "import time\ndef handler(event, context):\n    time.sleep(60)\n"}), Timeout=1)["FunctionName"]
    answer, said = invoke(lam, name, {})
    assert answer["FunctionError"] == "Unhandled" and "Task timed out after 1.00 seconds" in said["errorMessage"]


def test_wrong_calls_are_refused(lam, make):
    name = make()["FunctionName"]
    for arguments, error in [
        ({"FunctionName": "missing"}, "ResourceNotFoundException"),
        ({"FunctionName": name, "Qualifier": "7"}, "ResourceNotFoundException"),
        ({"FunctionName": name, "Payload": b"{no"}, "InvalidRequestContentException"),
        ({"FunctionName": name, "ClientContext": "W10="}, "InvalidRequestContentException"),
        ({"FunctionName": name, "Payload": b'"' + b"x" * (6 * 1024 * 1024) + b'"'}, "RequestTooLargeException"),
    ]:
        assert refused(lam.invoke, **arguments)[0] == error, arguments
    context = base64.b64encode(json.dumps({"custom": {"a": "b"}}).encode()).decode()
    name = make(archive(ECHO))["FunctionName"]
    assert invoke(lam, name, {}, ClientContext=context)[1]["client"] == {"a": "b"}


def test_versions_and_aliases(lam, make):
    made = make(archive(ECHO), Environment={"Variables": {"KEY": "1"}})
    name, arn = made["FunctionName"], made["FunctionArn"]
    assert lam.publish_version(FunctionName=name)["Version"] == "1"
    lam.update_function_configuration(FunctionName=name, Environment={"Variables": {"KEY": "2"}})
    lam.get_waiter("function_updated_v2").wait(FunctionName=name)
    lam.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    for qualifier, version, key in [("1", "1", "1"), ("live", "1", "1"), ("$LATEST", "$LATEST", "2")]:
        answer, said = invoke(lam, name, {}, Qualifier=qualifier)
        assert (answer["ExecutedVersion"], said["version"], said["key"], said["arn"]) == (version, version, key, f"{arn}:{qualifier}")
    versions = [one["Version"] for page in lam.get_paginator("list_versions_by_function").paginate(FunctionName=name, PaginationConfig={"PageSize": 1}) for one in page["Versions"]]
    assert versions == ["$LATEST", "1"]
    lam.publish_version(FunctionName=name)
    lam.update_alias(FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 1.0}})
    assert invoke(lam, name, {}, Qualifier="live")[1]["key"] == "2"
    assert refused(lam.delete_function, FunctionName=name, Qualifier="1")[0] == "ResourceConflictException"
    lam.delete_alias(FunctionName=name, Name="live")
    lam.delete_function(FunctionName=name, Qualifier="1")
    assert refused(lam.invoke, FunctionName=name, Qualifier="live")[0] == "ResourceNotFoundException"


def test_layers(lam, make):
    layer = lam.publish_layer_version(LayerName="tools", Content={"ZipFile": archive({"python/tool.py": "WORD = 'layer'\n"})}, CompatibleRuntimes=["python3.12"])
    code = archive({"index.py": "import tool\ndef handler(event, context):\n    return tool.WORD\n"})
    name = make(code, Layers=[layer["LayerVersionArn"]])["FunctionName"]
    assert invoke(lam, name)[1] == "layer"
    with urllib.request.urlopen(lam.get_layer_version_by_arn(Arn=layer["LayerVersionArn"])["Content"]["Location"]) as answer:
        assert zipfile.ZipFile(io.BytesIO(answer.read())).namelist() == ["python/tool.py"]
    assert [one["LayerName"] for one in lam.list_layers(CompatibleRuntime="python3.12")["Layers"]] == ["tools"]
    lam.delete_layer_version(LayerName="tools", VersionNumber=1)
    lam.update_function_configuration(FunctionName=name, Timeout=7)
    assert invoke(lam, name)[1] == "layer"


def test_code_from_a_bucket(server, lam, make):
    s3 = client(server, "s3")
    bucket = f"code-{uuid.uuid4()}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a b/code.zip", Body=archive(ECHO))
    name = make(Code={"S3Bucket": bucket, "S3Key": "a b/code.zip"})["FunctionName"]
    assert invoke(lam, name, 1)[1]["event"] == 1
    code, message = refused(make, Code={"S3Bucket": bucket, "S3Key": "none"})
    assert code == "InvalidParameterValueException" and "NoSuchKey" in message
    assert refused(make, Code={"S3Bucket": "there-is-no-such-bucket", "S3Key": "none"})[0] == "InvalidParameterValueException"


def test_wrong_archives_are_refused_with_the_place(make):
    for code, says in [
        (b"no zip", "Could not unzip uploaded file"),
        (archive({"../../evil": "x"}), "entry ../../evil: the name climbs out of the archive"),
        (archive({"/etc/evil": "x"}), "entry /etc/evil: the name is absolute"),
        (archive(links={"index.py": "/etc/passwd"}), "entry index.py: the link is absolute"),
        (archive({"zeros": "0" * 270_000_000}), "Unzipped size must be smaller than 262144000 bytes"),
    ]:
        code, message = refused(make, Code={"ZipFile": code})
        assert code == "InvalidParameterValueException" and says in message, message


def test_links_within_and_executables(lam, make):
    script = "import os\ndef handler(event, context):\n    return [open('link').read(), os.access('run.sh', os.X_OK), os.access('real', os.W_OK)]\n"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr("index.py", script)
        made.writestr("real", "content")
        for name, mode, content in [("link", 0o120777, "real"), ("run.sh", 0o100755, "#!/bin/sh\n")]:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.create_system = mode << 16, 3
            made.writestr(info, content)
    assert invoke(lam, make(data.getvalue())["FunctionName"])[1] == ["content", True, False]


def test_a_function_acts_as_its_role(server, lam, make, role):
    code = archive({"index.py": """
import os, json, urllib.request
def handler(event, context):
    return sorted(key for key in os.environ if key.startswith("AWS_"))
"""})
    names = invoke(lam, make(code)["FunctionName"])[1]
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_LOG_GROUP_NAME"]:
        assert name in names


def test_policies_let_services_and_accounts_in(server, lam, make):
    name = make()["FunctionName"]
    added = lam.add_permission(FunctionName=name, StatementId="s", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", SourceArn="arn:aws:s3:::b", SourceAccount=ACCOUNT)
    assert json.loads(added["Statement"])["Principal"] == {"Service": "s3.amazonaws.com"}
    policy = lam.get_policy(FunctionName=name)
    assert [one["Sid"] for one in json.loads(policy["Policy"])["Statement"]] == ["s"]
    assert refused(lam.add_permission, FunctionName=name, StatementId="s", Action="lambda:InvokeFunction", Principal="*")[0] == "ResourceConflictException"
    assert refused(lam.add_permission, FunctionName=name, StatementId="t", Action="lambda:InvokeFunction", Principal="*", PrincipalOrgID="o-1234567890")[0] == "NotImplemented"
    assert refused(lam.remove_permission, FunctionName=name, StatementId="s", RevisionId=str(uuid.uuid4()))[0] == "PreconditionFailedException"
    lam.remove_permission(FunctionName=name, StatementId="s", RevisionId=policy["RevisionId"])
    assert refused(lam.get_policy, FunctionName=name)[0] == "ResourceNotFoundException"


def test_invocations_are_decided(server, lam, iam, make):
    name = make()["FunctionName"]
    iam.create_user(UserName="caller")
    key = iam.create_access_key(UserName="caller")["AccessKey"]
    theirs = client(server, "lambda", key["AccessKeyId"], key["SecretAccessKey"])
    assert refused(theirs.invoke, FunctionName=name)[0] == "AccessDeniedException"
    iam.put_user_policy(UserName="caller", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": f"arn:aws:lambda:*:*:function:{name}"}]}))  # fmt: skip
    assert invoke(theirs, name, 5)[1] == 5


def test_concurrency_is_reserved(lam, make):
    name = make()["FunctionName"]
    lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert lam.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 0
    assert lam.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 0}
    with pytest.raises(ClientError) as error:
        lam.invoke(FunctionName=name)
    answer = error.value.response
    assert answer["Error"]["Code"] == "TooManyRequestsException"
    assert answer["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    lam.delete_function_concurrency(FunctionName=name)
    assert invoke(lam, name, 1)[1] == 1
    limits = lam.get_account_settings()["AccountLimit"]
    assert (limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]) == (1000, 1000)


def test_unset_configurations_are_answered(lam, make):
    made = make()
    name, arn = made["FunctionName"], made["FunctionArn"]
    assert lam.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Terminate"
    assert lam.get_runtime_management_config(FunctionName=name)["UpdateRuntimeOn"] == "Auto"
    assert lam.get_function_code_signing_config(FunctionName=name)["FunctionName"] == name
    assert lam.list_tags(Resource=arn)["Tags"] == {}
    assert refused(lam.get_function_event_invoke_config, FunctionName=name)[0] == "ResourceNotFoundException"
    lam.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    shown = lam.update_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
    assert (shown["MaximumRetryAttempts"], shown["MaximumEventAgeInSeconds"], shown["FunctionArn"]) == (0, 60, f"{arn}:$LATEST")
    assert len(lam.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]) == 1
    lam.delete_function_event_invoke_config(FunctionName=name)


def test_everything_survives_a_kill(server, lam, make):
    name = make(archive(ECHO), Environment={"Variables": {"KEY": "kept"}}, Publish=True)["FunctionName"]
    lam.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    server.kill()
    server.start()
    assert invoke(lam, name, 1, Qualifier="live")[1]["key"] == "kept"


def test_calls_are_in_the_audit_trail(server, lam, make):
    name = make(Environment={"Variables": {"KEY": "very secret"}})["FunctionName"]
    trail = client(server, "cloudtrail")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = trail.lookup_events(LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "CreateFunction20150331"}])["Events"]
        mine = [json.loads(one["CloudTrailEvent"]) for one in found if name in one["CloudTrailEvent"]]
        if mine:
            break
        time.sleep(0.2)
    assert mine[0]["requestParameters"]["functionName"]
    assert "very secret" not in json.dumps(mine) and base64.b64encode(archive()).decode()[:40] not in json.dumps(mine)

