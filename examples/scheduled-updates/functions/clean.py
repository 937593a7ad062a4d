"""Empties a column of the objects whose time has come: those whose tasks the table's time to live removed."""

import json
import os

import boto3

COLUMN = os.environ["COLUMN"]

s3 = boto3.client("s3")


def cleaned(line):
    row = json.loads(line)
    row[COLUMN] = ""
    return json.dumps(row)


def handler(event, _context):
    for record in event["Records"]:
        if record["eventName"] != "REMOVE" or record.get("userIdentity", {}).get("principalId") != "dynamodb.amazonaws.com":
            continue
        bucket, _, key = record["dynamodb"]["Keys"]["path"]["S"].removeprefix("s3://").partition("/")
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        # One write: whoever reads meanwhile sees all of the old object or all of the new one. Done twice, it comes to the same.
        s3.put_object(Bucket=bucket, Key=key, Body="\n".join(map(cleaned, body.splitlines())), Tagging="cleaned=yes")
