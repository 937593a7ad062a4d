"""Audit records: every management call, allowed or denied, as CloudTrail shows it."""

from __future__ import annotations

import json
import time

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from harness.clients import Tools, s3_client
from harness.identities import User
from harness.server import ACCOUNT

# Reads are recorded in groups, a tenth of a second after they came; a server that takes longer than this hangs.
SHOWN_SECONDS = 30


def client(server, service: str, **more):
    return boto3.session.Session().client(
        service,
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=Config(retries={"total_max_attempts": 1}, **more),
    )


def records(server, **lookup) -> list[dict]:
    pages = client(server, "cloudtrail").get_paginator("lookup_events").paginate(**lookup)
    return [json.loads(event["CloudTrailEvent"]) for page in pages for event in page["Events"]]


def about(server, name: str) -> list[dict]:
    return records(server, LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": name}])


def wait_for(server, request_id: str) -> dict:
    """The record of a request, once it is there."""
    deadline = time.monotonic() + SHOWN_SECONDS
    while True:
        found = [record for record in records(server) if record["requestID"] == request_id]
        if found:
            assert len(found) == 1, found
            return found[0]
        assert time.monotonic() < deadline, f"no record of {request_id}"
        time.sleep(0.05)


def request_id(answer: dict) -> str:
    return answer["ResponseMetadata"]["RequestId"]


def test_a_change_is_recorded(server, s3, bucket):
    answer = s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    # No waiting: what was acknowledged is recorded.
    (record,) = [r for r in about(server, bucket) if r["eventName"] == "PutBucketVersioning"]
    assert record["requestID"] == request_id(answer)
    expected = {
        "eventVersion": "1.11",
        "eventSource": "s3.amazonaws.com",
        "awsRegion": server.region,
        "sourceIPAddress": "127.0.0.1",
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "eventCategory": "Management",
        "recipientAccountId": ACCOUNT,
        "responseElements": None,
    }
    assert {name: record[name] for name in expected} == expected
    assert "errorCode" not in record
    assert record["userIdentity"] == {
        "type": "Root",
        "principalId": ACCOUNT,
        "arn": f"arn:aws:iam::{ACCOUNT}:root",
        "accountId": ACCOUNT,
        "accessKeyId": server.access_key,
    }
    assert record["resources"] == [{"ARN": f"arn:aws:s3:::{bucket}", "accountId": ACCOUNT, "type": "AWS::S3::Bucket"}]
    parameters = record["requestParameters"]
    assert parameters["bucketName"] == bucket and parameters["Host"] == f"127.0.0.1:{server.port}"
    assert parameters["VersioningConfiguration"] == {"Status": "Enabled"}
    assert record["userAgent"].startswith("Boto3/")


def test_reads_and_failures_are_recorded(server, s3, bucket):
    listed = wait_for(server, request_id(s3.list_buckets()))
    assert (listed["eventName"], listed["readOnly"], "errorCode" in listed) == ("ListBuckets", True, False)
    with pytest.raises(ClientError) as caught:
        s3.get_bucket_versioning(Bucket=f"{bucket}-none")
    failed = wait_for(server, request_id(caught.value.response))
    assert (failed["eventName"], failed["errorCode"]) == ("GetBucketVersioning", "NoSuchBucket")
    assert "does not exist" in failed["errorMessage"]
    with pytest.raises(ClientError) as caught:
        s3.create_bucket(Bucket=bucket[:2])
    failed = [r for r in records(server) if r["requestID"] == request_id(caught.value.response)]
    assert [r["errorCode"] for r in failed] == ["InvalidBucketName"], "a change that failed is recorded at once"


def test_denials_are_recorded_for_the_owner(server, bucket):
    nobody = s3_client(server, signature_version=UNSIGNED)
    for call, name, read_only in [
        (lambda: nobody.delete_bucket(Bucket=bucket), "DeleteBucket", False),
        (lambda: nobody.get_bucket_location(Bucket=bucket), "GetBucketLocation", True),
    ]:
        with pytest.raises(ClientError) as caught:
            call()
        record = wait_for(server, request_id(caught.value.response))
        assert (record["eventName"], record["errorCode"], record["readOnly"]) == (name, "AccessDenied", read_only)
        assert record["userIdentity"] == {"type": "AWSAccount", "principalId": "", "accountId": "anonymous"}
        assert record["resources"][0]["ARN"] == f"arn:aws:s3:::{bucket}"


def test_data_events_are_not_recorded(server, s3, bucket):
    ids = [request_id(s3.put_object(Bucket=bucket, Key="k", Body=b"x"))]
    ids.append(request_id(s3.get_object(Bucket=bucket, Key="k")))
    ids.append(request_id(s3.list_objects_v2(Bucket=bucket)))
    last = request_id(s3.list_buckets())
    wait_for(server, last)
    assert not [r for r in records(server) if r["requestID"] in ids]


def test_sts_is_recorded(server):
    record = wait_for(server, request_id(client(server, "sts").get_caller_identity()))
    expected = ("sts.amazonaws.com", "GetCallerIdentity", True, None)
    assert (record["eventSource"], record["eventName"], record["readOnly"], record["requestParameters"]) == expected
    looked = request_id(client(server, "cloudtrail").lookup_events(MaxResults=7))
    record = wait_for(server, looked)
    assert (record["eventSource"], record["requestParameters"]) == ("cloudtrail.amazonaws.com", {"maxResults": 7})


def test_pages_and_order(server, s3, bucket):
    for n in range(7):
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "n", "Value": str(n)}]})
    trail = client(server, "cloudtrail")
    lookup = {"LookupAttributes": [{"AttributeKey": "ResourceName", "AttributeValue": bucket}], "MaxResults": 3}
    seen, token = [], {}
    while True:
        page = trail.lookup_events(**lookup, **token)
        assert len(page["Events"]) <= 3
        seen += [json.loads(event["CloudTrailEvent"]) for event in page["Events"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    values = [r["requestParameters"]["Tagging"]["TagSet"]["Tag"]["Value"] for r in seen if r["eventName"] == "PutBucketTagging"]
    assert sorted(values) == [str(n) for n in range(7)]
    times = [r["eventTime"] for r in seen]
    assert times == sorted(times, reverse=True), "the newest first"
    assert seen[-1]["eventName"] == "CreateBucket"
    for change in ({"MaxResults": 2, "LookupAttributes": []}, {"NextToken": token["NextToken"][:-4] + "AAAA"}):
        with pytest.raises(ClientError) as caught:
            trail.lookup_events(**{**lookup, **token, **change})
        assert caught.value.response["Error"]["Code"] == "InvalidNextTokenException"


def test_aws_cli(server, tools: Tools, bucket):
    done = tools.aws(
        "cloudtrail", "lookup-events", "--lookup-attributes", f"AttributeKey=ResourceName,AttributeValue={bucket}"
    )
    (event,) = json.loads(done.stdout)["Events"]
    assert (event["EventName"], event["ReadOnly"], event["Username"]) == ("CreateBucket", "false", "root")
    assert event["Resources"] == [{"ResourceType": "AWS::S3::Bucket", "ResourceName": bucket}]
    # Times as people write them.
    for bounds, count in [(["--start-time", "2020-01-01"], 1), (["--end-time", "2020-01-01"], 0)]:
        done = tools.aws(
            "cloudtrail", "lookup-events", "--lookup-attributes",
            f"AttributeKey=ResourceName,AttributeValue={bucket}", *bounds,
        )  # fmt: skip
        assert len(json.loads(done.stdout)["Events"]) == count
    refused = tools.aws("cloudtrail", "lookup-events", "--max-results", "51", check=False)
    assert b"InvalidMaxResultsException" in refused.stderr, refused
    refused = tools.aws("cloudtrail", "create-event-data-store", "--name", "store", check=False)
    assert b"NotImplemented" in refused.stderr, refused


def test_trails_that_are_not_there(server, tools: Tools):
    trail = client(server, "cloudtrail")
    assert trail.describe_trails()["trailList"] == trail.describe_trails(trailNameList=["none"])["trailList"] == []
    assert trail.list_trails()["Trails"] == []
    assert json.loads(tools.aws("cloudtrail", "describe-trails").stdout) == {"trailList": []}
    with pytest.raises(ClientError) as caught:
        trail.list_trails(NextToken="x")
    assert caught.value.response["Error"]["Code"] == "InvalidNextTokenException"


def test_paths_of_iam_are_no_resources(server):
    """What lists of IAM are decided by has no name."""
    iam = client(server, "iam")
    lister = User(server, iam)
    for operation in ("list_users", "list_instance_profiles"):
        with pytest.raises(ClientError) as caught:
            getattr(lister.client("iam"), operation)()
        record = wait_for(server, request_id(caught.value.response))
        assert (record["errorCode"], "resources" in record) == ("AccessDenied", False)
        for event in client(server, "cloudtrail").lookup_events()["Events"]:
            assert all(resource["ResourceName"] for resource in event["Resources"]), event


def test_secrets_are_in_no_record(server, s3, raw, bucket):
    """Signatures of presigned requests, the one secret that S3's parameters hold."""
    url = s3.generate_presigned_url("get_bucket_versioning", Params={"Bucket": bucket})
    query = url.split("?", 1)[1]
    signature = next(part for part in query.split("&") if part.startswith("X-Amz-Signature=")).split("=")[1]
    import urllib.request

    with urllib.request.urlopen(url) as answer:
        presigned = answer.headers["x-amz-request-id"]
    record = wait_for(server, presigned)
    assert record["requestParameters"]["X-Amz-Signature"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    text = json.dumps(records(server))
    assert signature not in text and server.secret_key not in text


@pytest.mark.restarts
def test_a_kill_right_after_a_change_keeps_its_record(make_server):
    server = make_server()
    for n in range(5):
        # A client of its own: nothing of the killed server's connections is used again.
        s3 = s3_client(server)
        answer = s3.create_bucket(Bucket=f"killed-{n}")
        nobody = s3_client(server, signature_version=UNSIGNED)
        with pytest.raises(ClientError) as caught:
            nobody.delete_bucket(Bucket=f"killed-{n}")
        server.restart_after_kill()
        ids = [record["requestID"] for record in records(server)]
        assert request_id(answer) in ids, f"the change {n}"
        assert request_id(caught.value.response) in ids, f"the denied change {n}"


@pytest.mark.restarts
def test_a_stop_keeps_the_records_of_reads(make_server):
    server = make_server()
    answer = s3_client(server).list_buckets()
    server.stop()
    server.start()
    assert request_id(answer) in [record["requestID"] for record in records(server)]
