"""Writes down when an object is to be cleaned: SECONDS after it came. The table's time to live does the waiting."""

import os
import time
from urllib.parse import unquote_plus

import boto3

SECONDS = int(os.environ["SECONDS"])
DONE = "cleaned"

s3 = boto3.client("s3")
tasks = boto3.resource("dynamodb").Table(os.environ["TABLE"])


def handler(event, _context):
    for record in event["Records"]:
        bucket = record["s3"]["bucket"]["name"]
        key = unquote_plus(record["s3"]["object"]["key"])
        tags = {tag["Key"] for tag in s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}
        # What the other function wrote came here as well.
        if DONE not in tags:
            tasks.put_item(Item={"path": f"s3://{bucket}/{key}", "due": int(time.time()) + SECONDS})
