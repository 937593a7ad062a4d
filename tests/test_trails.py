"""CloudTrail's trails: boto3 and the aws CLI, log files in a bucket, and what a killed server keeps. Selectors, and what reaches the bus, are tested in
crates/svc-cloudtrail/tests/trails.rs."""

from __future__ import annotations

import gzip
import json
import os
import re
import time
from collections import Counter

import pytest
from harness.clients import Tools, client, refused, s3_client
from harness.identities import name
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # the interval of files is set for the server that is started

# Files come every second here; a server that takes longer than this hangs.
ARRIVES_SECONDS = 60
KILLS = int(os.environ.get("MILLPOND_KILLS", "10"))


@pytest.fixture(scope="module")
def quick(request):
    """A server whose trails put a file every second."""
    from harness.server import Server

    server = Server(args=["--trail-interval", "1"]).start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def s3(quick):
    return s3_client(quick)


@pytest.fixture(scope="module")
def trails(quick):
    return client(quick, "cloudtrail")


def log_bucket(s3, prefix: str = "", open_: bool = True) -> str:
    """A bucket whose policy is that of the CloudTrail User Guide, or one that lets nobody in."""
    bucket = name("logs")
    s3.create_bucket(Bucket=bucket)
    if open_:
        service = {"Service": "cloudtrail.amazonaws.com"}
        acl = {
            "Effect": "Allow",
            "Principal": service,
            "Action": "s3:GetBucketAcl",
            "Resource": f"arn:aws:s3:::{bucket}",
        }
        write = {
            "Effect": "Allow",
            "Principal": service,
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{bucket}/{prefix}AWSLogs/{ACCOUNT}/*",
            "Condition": {
                "StringEquals": {
                    "s3:x-amz-acl": "bucket-owner-full-control",
                    "aws:SourceAccount": ACCOUNT,
                }
            },
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [acl, write]})
        s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    return bucket


@pytest.fixture
def trail(s3, trails):
    made = name("trail")
    trails.create_trail(Name=made, S3BucketName=log_bucket(s3))
    yield made
    trails.delete_trail(Name=made)


def filed(s3, bucket: str, wanted, prefix: str = "", seconds: float = ARRIVES_SECONDS) -> list[dict]:
    """The records of the files in a bucket, once those that are wanted are there."""
    deadline = time.monotonic() + seconds
    while True:
        records: list[dict] = []
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for found in page.get("Contents", []):
                pattern = (
                    rf"{prefix}AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/\d{{4}}/\d\d/\d\d/"
                    rf"{ACCOUNT}_CloudTrail_us-east-1_\d{{8}}T\d{{4}}Z_\w{{16}}\.json\.gz"
                )
                assert re.fullmatch(pattern, found["Key"]), found["Key"]
                body = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
                records += json.loads(gzip.decompress(body))["Records"]
        if wanted(records):
            return records
        assert time.monotonic() < deadline, f"not in the files: {[r['eventName'] for r in records]}"
        time.sleep(0.2)


def of(records: list[dict], answer: dict) -> list[dict]:
    """The records of a request."""
    wanted = answer["ResponseMetadata"]["HTTPHeaders"]
    wanted = wanted.get("x-amz-request-id") or wanted["x-amzn-requestid"]
    return [record for record in records if record["requestID"] == wanted]


def bucket_of(trails, trail: str) -> str:
    return trails.get_trail(Name=trail)["Trail"]["S3BucketName"]


def objects_of(bucket: str, which: str = "All") -> dict:
    return {
        "ReadWriteType": which,
        "IncludeManagementEvents": True,
        "DataResources": [{"Type": "AWS::S3::Object", "Values": [f"arn:aws:s3:::{bucket}/"]}],
    }


def test_management_events_are_filed(s3, trails, trail):
    before = s3.create_bucket(Bucket=name("b"))
    trails.start_logging(Name=trail)
    bucket = name("b")
    answer = s3.create_bucket(Bucket=bucket)
    with refused("NoSuchBucket") as denied:
        s3.delete_bucket(Bucket=name("none"))
    logs = bucket_of(trails, trail)
    records = filed(s3, logs, lambda found: of(found, answer) and of(found, denied))
    (record,) = of(records, answer)
    assert (record["eventName"], record["requestParameters"]["bucketName"]) == ("CreateBucket", bucket)
    assert record["eventCategory"] == "Management"
    assert of(records, denied)[0]["errorCode"] == "NoSuchBucket"
    assert not of(records, before)
    status = trails.get_trail_status(Name=trail)
    assert status["IsLogging"] and status["LatestDeliveryTime"] and "LatestDeliveryError" not in status
    trails.stop_logging(Name=trail)
    assert not trails.get_trail_status(Name=trail)["IsLogging"]


def test_operations_on_objects_are_filed_where_they_are_selected(s3, trails, trail):
    bucket, other = name("data"), name("data")
    for one in (bucket, other):
        s3.create_bucket(Bucket=one)
    trails.put_event_selectors(TrailName=trail, EventSelectors=[objects_of(bucket)])
    trails.start_logging(Name=trail)
    put = s3.put_object(Bucket=bucket, Key="a b/日", Body=b"hello")
    unselected = s3.put_object(Bucket=other, Key="k", Body=b"hello")
    got = s3.get_object(Bucket=bucket, Key="a b/日")
    listed = s3.list_objects_v2(Bucket=bucket)
    with refused("NoSuchKey") as missing:
        s3.get_object(Bucket=bucket, Key="none")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a b/日"}, {"Key": "never"}]})
    logs = bucket_of(trails, trail)
    selected = (put, got, listed, missing, upload, gone)
    records = filed(s3, logs, lambda found: all(of(found, answer) for answer in selected))
    for answer, event, read_only in (
        (put, "PutObject", False),
        (got, "GetObject", True),
        (listed, "ListObjectsV2", True),
        (missing, "GetObject", True),
        (upload, "CreateMultipartUpload", False),
    ):
        (record,) = of(records, answer)
        assert (record["eventName"], record["readOnly"]) == (event, read_only)
        assert (record["eventCategory"], record["managementEvent"]) == ("Data", False)
        assert record["requestParameters"]["bucketName"] == bucket
        assert "Boto3/" in record["userAgent"] and record["userIdentity"]["type"] == "Root"
    (record,) = of(records, put)
    assert record["requestParameters"]["key"] == "a b/日"
    arns = [resource["ARN"] for resource in record["resources"]]
    assert arns == [f"arn:aws:s3:::{bucket}/a b/日", f"arn:aws:s3:::{bucket}"]
    assert of(records, missing)[0]["errorCode"] == "NoSuchKey"
    assert sorted(r["eventName"] for r in of(records, gone)) == ["DeleteObject", "DeleteObjects"]
    assert not of(records, unselected)


def test_the_patterns_of_the_cloudtrail_shape_match(quick, s3, trails, trail):
    """Rules on what CloudTrail tells: puts into buckets of a common prefix, and reads by a certain user agent."""
    events, sqs = client(quick, "events"), client(quick, "sqs")
    prefix = name("myapp") + "-"
    for one in ("images", "uploads"):
        s3.create_bucket(Bucket=prefix + one)
    s3.create_bucket(Bucket=name("other"))
    api = {"source": ["aws.s3"], "detail-type": ["AWS API Call via CloudTrail"]}
    puts = {"eventSource": ["s3.amazonaws.com"], "eventName": ["PutObject"]}
    puts["requestParameters"] = {"bucketName": [{"prefix": prefix}]}
    reads = {"eventSource": ["s3.amazonaws.com"], "eventName": ["GetObject"], "userAgent": ["userAgent"]}
    reads["requestParameters"] = {"bucketName": [prefix + "images"]}
    urls = []
    for detail in (puts, reads):
        url = sqs.create_queue(QueueName=name("q"))["QueueUrl"]
        queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{url.rsplit('/', 1)[1]}"
        allow = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": allow})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        rule = name("rule")
        events.put_rule(Name=rule, EventPattern=json.dumps({**api, "detail": detail}))
        events.put_targets(Rule=rule, Targets=[{"Id": "q", "Arn": queue}])
        urls.append(url)
    everything = {**objects_of("x"), "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}]}
    trails.put_event_selectors(TrailName=trail, EventSelectors=[everything])
    trails.start_logging(Name=trail)
    for bucket in (prefix + "images", prefix + "uploads", bucket_of(trails, trail)):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    reader = s3_client(quick)

    def set_agent(request, **_):
        request.headers["User-Agent"] = "userAgent"

    reader.meta.events.register("before-send.s3.GetObject", set_agent)
    reader.get_object(Bucket=prefix + "images", Key="k")
    s3.get_object(Bucket=prefix + "images", Key="k")

    def details(url: str, expected: int) -> list[dict]:
        found: list[dict] = []
        deadline = time.monotonic() + ARRIVES_SECONDS
        while len(found) < expected:
            assert time.monotonic() < deadline, found
            for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", []):
                found.append(json.loads(message["Body"])["detail"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    buckets = {detail["requestParameters"]["bucketName"] for detail in details(urls[0], 2)}
    assert buckets == {prefix + "images", prefix + "uploads"}
    (read,) = details(urls[1], 1)
    assert (read["userAgent"], read["requestParameters"]["key"]) == ("userAgent", "k")
    s3.delete_object(Bucket=bucket_of(trails, trail), Key="k")


def test_selectors_of_both_kinds(s3, trails, trail):
    default = trails.get_event_selectors(TrailName=trail)["EventSelectors"]
    assert [(one["ReadWriteType"], one["IncludeManagementEvents"]) for one in default] == [("All", True)]
    advanced = [
        {
            "Name": "writes",
            "FieldSelectors": [
                {"Field": "eventCategory", "Equals": ["Data"]},
                {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
                {"Field": "readOnly", "Equals": ["false"]},
            ],
        }
    ]
    trails.put_event_selectors(TrailName=trail, AdvancedEventSelectors=advanced)
    assert trails.get_event_selectors(TrailName=trail)["AdvancedEventSelectors"] == advanced
    with refused("InvalidEventSelectorsException"):
        trails.put_event_selectors(TrailName=trail, AdvancedEventSelectors=[{"FieldSelectors": [{"Field": "x", "Equals": ["y"]}]}])
    with refused("InsightNotEnabledException"):
        trails.get_insight_selectors(TrailName=trail)
    bucket = name("data")
    s3.create_bucket(Bucket=bucket)
    trails.start_logging(Name=trail)
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    got = s3.get_object(Bucket=bucket, Key="k")
    end = s3.put_object(Bucket=bucket, Key="end", Body=b"x")
    records = filed(s3, bucket_of(trails, trail), lambda found: of(found, end))
    assert of(records, put) and not of(records, got)


def test_buckets_that_cannot_have_files(s3, trails):
    made = name("trail")
    with refused("S3BucketDoesNotExistException"):
        trails.create_trail(Name=made, S3BucketName=name("none"))
    shut = log_bucket(s3, open_=False)
    with refused("InsufficientS3BucketPolicyException"):
        trails.create_trail(Name=made, S3BucketName=shut)
    for more in ({"KmsKeyId": "alias/k"}, {"SnsTopicName": "t"}, {"EnableLogFileValidation": True}):
        with refused("NotImplemented"):
            trails.create_trail(Name=made, S3BucketName=shut, **more)


def test_a_bucket_that_shuts_cloudtrail_out_gets_its_files_later(s3, trails, trail):
    logs = bucket_of(trails, trail)
    policy = s3.get_bucket_policy(Bucket=logs)["Policy"]
    s3.delete_bucket_policy(Bucket=logs)
    trails.start_logging(Name=trail)
    answer = s3.create_bucket(Bucket=name("b"))
    deadline = time.monotonic() + ARRIVES_SECONDS
    while trails.get_trail_status(Name=trail).get("LatestDeliveryError") != "AccessDenied":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    s3.put_bucket_policy(Bucket=logs, Policy=policy)
    assert len(of(filed(s3, logs, lambda found: of(found, answer)), answer)) == 1


def test_with_the_aws_cli(quick, s3, tmp_path):
    tools = Tools(quick, tmp_path / "home")
    logs, made = log_bucket(s3, prefix="p/"), name("trail")

    def aws(*command):
        text = tools.aws("cloudtrail", *command).stdout
        return json.loads(text) if text.strip() else None

    trail = aws("create-trail", "--name", made, "--s3-bucket-name", logs, "--s3-key-prefix", "p")
    arn = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/{made}"
    assert (trail["TrailARN"], trail["LogFileValidationEnabled"]) == (arn, False)
    aws("start-logging", "--name", made)
    aws("add-tags", "--resource-id", arn, "--tags-list", "Key=a,Value=b")
    tags = aws("list-tags", "--resource-id-list", arn)["ResourceTagList"]
    assert tags == [{"ResourceId": arn, "TagsList": [{"Key": "a", "Value": "b"}]}]
    assert made in [one["Name"] for one in aws("list-trails")["Trails"]]
    answer = s3.create_bucket(Bucket=name("b"))
    filed(s3, logs, lambda found: of(found, answer), prefix="p/")
    aws("delete-trail", "--name", made)
    assert aws("describe-trails", "--trail-name-list", made) == {"trailList": []}


@pytest.mark.timeout(max(300, KILLS * 60))
def test_what_was_acknowledged_is_filed_though_the_server_is_killed(make_server):
    """Changes of objects are recorded by their own commits: a kill loses none that was acknowledged, and files none twice."""
    server = make_server(args=["--trail-interval", "1"])
    s3, trails = s3_client(server), client(server, "cloudtrail")
    logs, bucket, made = log_bucket(s3), name("data"), name("trail")
    s3.create_bucket(Bucket=bucket)
    trails.create_trail(Name=made, S3BucketName=logs)
    trails.put_event_selectors(TrailName=made, EventSelectors=[objects_of(bucket, "WriteOnly")])
    trails.start_logging(Name=made)
    answers = []
    for kill in range(KILLS):
        for n in range(10):
            answer = s3.put_object(Bucket=bucket, Key=f"{kill}/{n}", Body=b"x")
            answers.append(answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"])
        server.restart_after_kill()
        print(f"kill {kill + 1}/{KILLS}", flush=True)

    def times(found: list[dict]) -> Counter:
        return Counter(record["requestID"] for record in found)

    records = filed(s3, logs, lambda found: set(answers) <= set(times(found)), seconds=max(ARRIVES_SECONDS, KILLS * 10))
    found = times(records)
    assert [request for request in answers if found[request] != 1] == []
