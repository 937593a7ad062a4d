"""Buckets: creation, names, listing, location, deletion, access control lists."""

import pytest
from harness.clients import refused, s3_client


def test_create_head_list_delete(s3, bucket_name, server):
    made = s3.create_bucket(Bucket=bucket_name)
    assert made["Location"] == f"/{bucket_name}"
    head = s3.head_bucket(Bucket=bucket_name)
    assert head["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == server.region
    listed = s3.list_buckets()
    assert bucket_name in [b["Name"] for b in listed["Buckets"]]
    assert listed["Owner"]["ID"]
    assert s3.delete_bucket(Bucket=bucket_name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("404", 404):
        s3.head_bucket(Bucket=bucket_name)


def test_create_again_in_us_east_1_is_no_error(s3, bucket):
    """us-east-1 answers 200 to the owner who creates the bucket again (CreateBucket, BucketAlreadyOwnedByYou)."""
    s3.put_object(Bucket=bucket, Key="kept", Body=b"1")
    s3.create_bucket(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"1"


@pytest.mark.restarts
def test_create_again_elsewhere_is_refused(make_server):
    elsewhere = s3_client(make_server(region="eu-central-1"))
    where = {"LocationConstraint": "eu-central-1"}
    elsewhere.create_bucket(Bucket="twice", CreateBucketConfiguration=where)
    assert elsewhere.get_bucket_location(Bucket="twice")["LocationConstraint"] == "eu-central-1"
    with refused("BucketAlreadyOwnedByYou", 409):
        elsewhere.create_bucket(Bucket="twice", CreateBucketConfiguration=where)
    with refused("IllegalLocationConstraintException", 400):
        elsewhere.create_bucket(Bucket="no-constraint")
    with refused("IllegalLocationConstraintException", 400):
        elsewhere.create_bucket(Bucket="other", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})


def test_location_of_us_east_1_is_null(s3, bucket):
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None


def test_location_constraint_of_another_region(s3, bucket_name):
    with refused("IllegalLocationConstraintException", 400):
        s3.create_bucket(Bucket=bucket_name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 64,
        "Upper-case",
        "under_score",
        "-starts-with-hyphen",
        "ends-with-hyphen-",
        "two..dots",
        ".starts-with-dot",
        "192.168.5.4",
        "xn--prefix",
        "sthree-prefix",
        "amzn-s3-demo-prefix",
        "suffix-s3alias",
        "suffix--ol-s3",
        "suffix.mrap",
        "suffix--x-s3",
        "sp ace",
    ],
)
def test_invalid_names(raw, name):
    got = raw.request("PUT", "/" + name.replace(" ", "%20"))
    assert (got.status, got.code) == (400, "InvalidBucketName")


@pytest.mark.parametrize("name", ["abc", "a.b.c", "a" * 63, "1-starts-with-digit", "dots.and-hyphens.9"])
def test_valid_names(s3, name):
    s3.create_bucket(Bucket=name)
    s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize(
    "body, code",
    [
        (b"<CreateBucketConfiguration", "MalformedXML"),
        (b"<Wrong/>", "MalformedXML"),
        (b"not xml", "MalformedXML"),
    ],
)
def test_malformed_configuration(raw, bucket_name, body, code):
    got = raw.request("PUT", f"/{bucket_name}", body=body)
    assert (got.status, got.code) == (400, code)
    assert raw.request("HEAD", f"/{bucket_name}").status == 404


def test_delete_refuses_what_is_not_empty(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="a")
    s3.delete_bucket(Bucket=bucket)


def test_delete_refuses_versions_and_markers(s3, versioned):
    version = s3.put_object(Bucket=versioned, Key="a", Body=b"")["VersionId"]
    marker = s3.delete_object(Bucket=versioned, Key="a")["VersionId"]
    for left in (version, marker):
        with refused("BucketNotEmpty", 409):
            s3.delete_bucket(Bucket=versioned)
        s3.delete_object(Bucket=versioned, Key="a", VersionId=left)
    s3.delete_bucket(Bucket=versioned)


def test_a_deleted_bucket_comes_back_fresh(s3, versioned):
    s3.put_bucket_tagging(Bucket=versioned, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_bucket(Bucket=versioned)
    s3.create_bucket(Bucket=versioned)
    assert "Status" not in s3.get_bucket_versioning(Bucket=versioned)
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=versioned)


def test_delete_with_a_pending_upload(s3, bucket):
    """Pending multipart uploads do not keep a bucket from being deleted; afterwards they are gone."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    with refused("NoSuchUpload", 404):
        s3.list_parts(Bucket=bucket, Key="a", UploadId=upload)


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2", "list_object_versions", "delete_bucket",
                                       "get_bucket_versioning", "get_bucket_location", "list_multipart_uploads"])  # fmt: skip
def test_missing_bucket(s3, bucket_name, operation):
    with refused("NoSuchBucket", 404) as error:
        getattr(s3, operation)(Bucket=bucket_name)
    assert error["Error"]["BucketName"] == bucket_name


def test_list_buckets_prefix_and_paging(s3, bucket_name):
    names = sorted(f"{bucket_name}-{n}" for n in range(5))
    for name in reversed(names):
        s3.create_bucket(Bucket=name)
    got, token = [], {}
    while True:
        page = s3.list_buckets(Prefix=f"{bucket_name}-", MaxBuckets=2, **token)
        assert len(page["Buckets"]) <= 2
        assert page["Prefix"] == f"{bucket_name}-"
        got += [b["Name"] for b in page["Buckets"]]
        if "ContinuationToken" not in page:
            break
        token = {"ContinuationToken": page["ContinuationToken"]}
    assert got == names
    for name in names:
        s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize("acl", ["private"])
def test_accepted_bucket_acl(s3, bucket_name, acl):
    s3.create_bucket(Bucket=bucket_name, ACL=acl)


@pytest.mark.parametrize("acl", ["public-read", "public-read-write", "authenticated-read"])
def test_refused_bucket_acl(raw, bucket_name, acl):
    got = raw.request("PUT", f"/{bucket_name}", headers={"x-amz-acl": acl})
    assert got.status in (400, 403, 501) and got.code, got
    assert raw.request("HEAD", f"/{bucket_name}").status == 404


@pytest.mark.parametrize("acl", ["private", "bucket-owner-full-control"])
def test_accepted_object_acl(s3, bucket, acl):
    s3.put_object(Bucket=bucket, Key="a", Body=b"x", ACL=acl)


@pytest.mark.parametrize("headers", [{"x-amz-acl": "public-read"}, {"x-amz-grant-read": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'}])
def test_refused_object_acl(raw, s3, bucket, headers):
    """A grant that is not carried out must not look as if it were (AWS: AccessControlListNotSupported)."""
    got = raw.request("PUT", f"/{bucket}/a", headers=headers, body=b"x")
    assert got.code in ("AccessControlListNotSupported", "NotImplemented"), got
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_object_lock_cannot_be_asked_for_silently(raw, bucket_name):
    got = raw.request("PUT", f"/{bucket_name}", headers={"x-amz-bucket-object-lock-enabled": "true"})
    assert (got.status, got.code) == (501, "NotImplemented")
    assert raw.request("HEAD", f"/{bucket_name}").status == 404


def test_expected_owner(s3, bucket):
    with refused("AccessDenied", 403):
        s3.list_objects_v2(Bucket=bucket, ExpectedBucketOwner="111111111111")
