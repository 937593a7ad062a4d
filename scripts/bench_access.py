"""Sets up what scripts/bench-access.sh measures, and prints the targets as JSON."""

import json
import os
import sys

import boto3
from botocore.config import Config

ENDPOINT, PID = os.environ["MILLPOND_ENDPOINT"], int(os.environ["MILLPOND_PID"])
ROOT = {"AccessKeyId": os.environ["BENCH_ACCESS_KEY"], "SecretAccessKey": os.environ["BENCH_SECRET_KEY"]}


def client(service, keys=ROOT):
    return boto3.session.Session().client(
        service, endpoint_url=ENDPOINT, region_name="us-east-1", aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys.get("SessionToken"), config=Config(s3={"addressing_style": "path"}),
    )  # fmt: skip


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, resources):
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def main():
    s3, iam = client("s3"), client("iam")
    account = client("sts").get_caller_identity()["Account"]
    for bucket in ("bench-root", "bench-role", "bench-kms", "bench-kms-each", "bench-role-kms"):
        s3.create_bucket(Bucket=bucket)
    trust = document({"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"})
    role = iam.create_role(RoleName="bench", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    objects = ["arn:aws:s3:::bench-*/*"]
    # Ten statements of which two match.
    others = [allow(["s3:GetObject"], [f"arn:aws:s3:::other-{n}/*"]) for n in range(8)]
    keys = allow(["kms:GenerateDataKey", "kms:Decrypt"], ["*"])
    iam.put_role_policy(RoleName="bench", PolicyName="identity", PolicyDocument=document(*others, allow(["s3:GetObject", "s3:PutObject"], objects), keys))
    s3.put_bucket_policy(Bucket="bench-role", Policy=document(
        {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::bench-role/*", "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
        {"Effect": "Allow", "Principal": {"AWS": role}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bench-role/*", "Condition": {"StringEquals": {"aws:PrincipalAccount": account}}},
    ))  # fmt: skip
    iam.create_user(UserName="bench")
    iam.put_user_policy(UserName="bench", PolicyName="assume", PolicyDocument=document(allow("sts:AssumeRole", role)))
    user = iam.create_access_key(UserName="bench")["AccessKey"]
    session = document(allow(["s3:*", "kms:*"], "*"))
    acting = client("sts", user).assume_role(RoleArn=role, RoleSessionName="bench", Policy=session)["Credentials"]
    key = client("kms").create_key()["KeyMetadata"]["Arn"].replace(":", "%3A").replace("/", "%2F")
    kms = f"x-amz-server-side-encryption=aws%3Akms&x-amz-server-side-encryption-aws-kms-key-id={key}"
    bucket_key = f"x-amz-server-side-encryption=aws%3Akms&x-amz-server-side-encryption-aws-kms-key-id={key}&x-amz-server-side-encryption-bucket-key-enabled=true"

    def target(name, keys, bucket, put_query=""):
        described = {"name": name, "endpoint": ENDPOINT, "pid": PID, "bucket": bucket, "put_query": put_query}
        described |= {"access_key": keys["AccessKeyId"], "secret_key": keys["SecretAccessKey"], "session_token": keys.get("SessionToken")}
        return described

    json.dump([
        target("root", ROOT, "bench-root"),
        target("role", acting, "bench-role"),
        target("kms bucket key", ROOT, "bench-kms", bucket_key),
        target("kms", ROOT, "bench-kms-each", kms),
        target("role, kms", acting, "bench-role-kms", bucket_key),
    ], sys.stdout)  # fmt: skip


main()
