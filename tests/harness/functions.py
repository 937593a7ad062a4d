"""Functions for tests: their roles, their code, and who may invoke them."""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile

from harness.clients import client
from harness.identities import allow, name, trust

# What a function of a test may do.
USUAL = ["sqs:*", "sns:*", "events:*", "s3:*", "dynamodb:*", "lambda:*", "logs:*"]
# Calls a service with what the standard library has; `call(service, target, body)` for JSON protocols.
CALLS = '''
import datetime, hashlib, hmac, json, os, urllib.request


def _sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def request(service, method, path, headers, body, query=""):
    """A signed request, as an SDK makes it."""
    host = os.environ["AWS_ENDPOINT_URL"].split("//")[1].rstrip("/")
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = {**headers, "host": host, "x-amz-date": now, "x-amz-content-sha256": digest, "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"]}
    names = ";".join(sorted(headers))
    canonical = "\\n".join([method, path, query, *(f"{k}:{headers[k]}" for k in sorted(headers)), "", names, digest])
    scope = f"{now[:8]}/{os.environ['AWS_REGION']}/{service}/aws4_request"
    text = "\\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in scope.split("/"):
        key = _sign(key, part)
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    url = os.environ["AWS_ENDPOINT_URL"].rstrip("/") + path + (f"?{query}" if query else "")
    return urllib.request.urlopen(urllib.request.Request(url, data=body, method=method, headers=headers)).read()


def call(service, target, body, version="1.0"):
    headers = {"x-amz-target": target, "content-type": f"application/x-amz-json-{version}"}
    return json.loads(request(service, "POST", "/", headers, json.dumps(body).encode()) or "{}")


def send(queue, body):
    return call("sqs", "AmazonSQS.SendMessage", {"QueueUrl": queue, "MessageBody": body if isinstance(body, str) else json.dumps(body)})


def put(bucket, key, text):
    request("s3", "PUT", f"/{bucket}/{key}", {}, text.encode())
'''

# Sends what it gets, and its request id, to the queue of its environment.
ECHO = CALLS + '''
def handler(event, context):
    send(os.environ["QUEUE"], {"event": event, "request": context.aws_request_id, "arn": context.invoked_function_arn})
    return {"sent": True}
'''


def archive(code: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("index.py", code)
    return data.getvalue()


class Functions:
    """Makes functions on one server."""

    def __init__(self, server):
        self.server = server
        self.lam, self.iam, self.sqs = (client(server, service) for service in ("lambda", "iam", "sqs"))
        self.role = self.make_role(USUAL)

    def make_role(self, actions) -> str:
        role = name("function")
        made = self.iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))
        self.iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=allow(actions))
        return made["Role"]["Arn"]

    def make(self, code: str = ECHO, queue: str | None = None, **more) -> dict:
        variables = {"QUEUE": queue} if queue else {}
        variables |= more.pop("env", {})
        given = {
            "FunctionName": name("f"), "Runtime": "python3.12", "Handler": "index.handler", "Role": self.role,
            "Code": {"ZipFile": archive(code)}, "Timeout": 20, "Environment": {"Variables": variables},
        }  # fmt: skip
        return self.lam.create_function(**(given | more))

    def lets_in(self, function: str, service: str, source: str | None = None, **more) -> None:
        more |= {"SourceArn": source} if source else {}
        self.lam.add_permission(
            FunctionName=function, StatementId=name("s"), Action="lambda:InvokeFunction", Principal=f"{service}.amazonaws.com", **more
        )

    def make_queue(self, **attributes) -> tuple[str, str]:
        """URL and ARN."""
        suffix = ".fifo" if attributes.get("FifoQueue") == "true" else ""
        url = self.sqs.create_queue(QueueName=name("q") + suffix, Attributes=attributes)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return url, arn

    def taken(self, url: str, count: int, seconds: float = 60, raw: bool = False) -> list:
        """That many messages, as JSON, or as they are."""
        found, until = [], time.monotonic() + seconds
        while len(found) < count:
            assert time.monotonic() < until, f"{len(found)} of {count} messages came: {found}"
            answer = self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2, AttributeNames=["All"], MessageAttributeNames=["All"]
            )
            for message in answer.get("Messages", []):
                found.append(message if raw else json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found


def eventually(check, seconds: float = 60):
    """The first true answer."""
    until = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        assert time.monotonic() < until, "it did not come to it in time"
        time.sleep(0.1)


def python() -> str:
    return sys.executable
