"""Makes the functions that scripts/bench-functions.sh measures."""

import io
import json
import os
import zipfile

import boto3

# As many as `millpond-bench functions --cold` may ask for.
COLD = 30
EMPTY = "def handler(event, context):\n    return event\n"
ENTERED = """import time

def handler(event, context):
    at = time.time_ns()
    for record in event["Records"]:
        print("ENTERED", record["s3"]["object"]["key"], at)
"""
BOTO3 = "import boto3\n\nboto3.client('s3')\n\ndef handler(event, context):\n    return event\n"


def client(service):
    return boto3.client(
        service, endpoint_url=os.environ["MILLPOND_ENDPOINT"], region_name="us-east-1", aws_access_key_id=os.environ["BENCH_ACCESS_KEY"],
        aws_secret_access_key=os.environ["BENCH_SECRET_KEY"],
    )  # fmt: skip


def zipped(source):
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("main.py", source)
    return code.getvalue()


def main():
    iam, functions, s3 = client("iam"), client("lambda"), client("s3")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    logs = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
    iam.put_role_policy(RoleName="bench", PolicyName="logs", PolicyDocument=json.dumps(logs))
    for name, source in [("empty", EMPTY), ("entered", ENTERED), *((f"boto3-{n}", BOTO3) for n in range(1, COLD + 1))]:
        made = functions.create_function(FunctionName=name, Runtime="python3.12", Handler="main.handler", Role=role, Code={"ZipFile": zipped(source)}, Timeout=30, MemorySize=512)
    functions.add_permission(FunctionName="entered", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com")
    s3.create_bucket(Bucket="entered")
    arn = made["FunctionArn"].rsplit(":", 1)[0] + ":entered"
    wanted = [{"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}]
    s3.put_bucket_notification_configuration(Bucket="entered", NotificationConfiguration={"LambdaFunctionConfigurations": wanted})


if __name__ == "__main__":
    main()
