"""ACLs of buckets and objects, canned and granted, where ownership controls let them count."""

import pytest
from botocore import UNSIGNED
from harness.clients import refused, s3_client
from test_bucket_policy import denied

EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
SIGNED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"


@pytest.fixture(scope="module")
def nobody(server):
    return s3_client(server, signature_version=UNSIGNED)


@pytest.fixture
def listed(s3, bucket):
    """A bucket whose ACLs count, and may be public."""
    rules = [{"ObjectOwnership": "ObjectWriter"}]
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": rules})
    s3.delete_public_access_block(Bucket=bucket)
    return bucket


def grants(answer):
    """Who has what: the owner is `me`, groups are their URIs."""
    me = answer["Owner"]["ID"]
    name = lambda grantee: "me" if grantee.get("ID") == me else grantee.get("URI", grantee.get("ID"))  # noqa: E731
    return [(name(grant["Grantee"]), grant["Permission"]) for grant in answer["Grants"]]


OWN = ("me", "FULL_CONTROL")

OF_OBJECTS = [
    ("private", [OWN]),
    ("public-read", [OWN, (EVERYBODY, "READ")]),
    ("public-read-write", [OWN, (EVERYBODY, "READ"), (EVERYBODY, "WRITE")]),
    ("authenticated-read", [OWN, (SIGNED, "READ")]),
    ("bucket-owner-read", [OWN]),
    ("bucket-owner-full-control", [OWN]),
]


@pytest.mark.parametrize("canned, expected", OF_OBJECTS)
def test_canned_acls_of_objects(s3, nobody, listed, canned, expected):
    bucket, public = listed, "public" in canned
    s3.put_object(Bucket=bucket, Key="put", Body=b"x", ACL=canned)
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/plain", ACL=canned)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", ACL=canned)["UploadId"]
    named = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
    part = s3.upload_part(**named, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(**named, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    s3.put_object(Bucket=bucket, Key="set", Body=b"x", ACL="public-read" if canned == "private" else "private")
    s3.put_object_acl(Bucket=bucket, Key="set", ACL=canned)
    for key in ("put", "copy", "parts", "set"):
        assert grants(s3.get_object_acl(Bucket=bucket, Key=key)) == expected, key
        if public:
            assert nobody.get_object(Bucket=bucket, Key=key)["Body"].read() == b"x", key
        else:
            denied(nobody.get_object, Bucket=bucket, Key=key)
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"x", key
    # An ACL is not copied.
    s3.copy_object(Bucket=bucket, Key="again", CopySource=f"{bucket}/put")
    assert grants(s3.get_object_acl(Bucket=bucket, Key="again")) == [OWN]


def test_canned_acls_of_buckets(s3, nobody, listed):
    bucket = listed
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    denied(nobody.list_objects_v2, Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert grants(s3.get_bucket_acl(Bucket=bucket)) == [OWN, (EVERYBODY, "READ")]
    assert [entry["Key"] for entry in nobody.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]
    denied(nobody.get_object, Bucket=bucket, Key="k")
    with refused("NoSuchKey", 404):
        nobody.get_object(Bucket=bucket, Key="missing")
    denied(nobody.put_object, Bucket=bucket, Key="new", Body=b"x")
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    nobody.put_object(Bucket=bucket, Key="new", Body=b"x")
    denied(nobody.get_bucket_acl, Bucket=bucket)
    denied(nobody.put_bucket_acl, Bucket=bucket, ACL="private")
    s3.put_bucket_acl(Bucket=bucket, ACL="authenticated-read")
    denied(nobody.list_objects_v2, Bucket=bucket)


def test_granted_by_headers(s3, nobody, listed):
    bucket, everybody = listed, f'uri="{EVERYBODY}"'
    me = s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    s3.put_bucket_acl(Bucket=bucket, GrantFullControl=f'id="{me}"', GrantReadACP=everybody)
    assert grants(s3.get_bucket_acl(Bucket=bucket)) == [OWN, (EVERYBODY, "READ_ACP")]
    assert grants(nobody.get_bucket_acl(Bucket=bucket)) == [OWN, (EVERYBODY, "READ_ACP")]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", GrantRead=f'{everybody}, id="{me}"', GrantReadACP=everybody)
    assert nobody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert grants(nobody.get_object_acl(Bucket=bucket, Key="k")) == [
        (EVERYBODY, "READ"), ("me", "READ"), (EVERYBODY, "READ_ACP")]  # fmt: skip
    with refused("InvalidRequest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="private", GrantRead=everybody)
    with refused("NotImplemented", 501):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", GrantRead='emailAddress="a@example.org"')
    for grantee in ('id="12"', f'id="{"ab" * 32}"', 'uri="http://example.org/"', "nobody"):
        with refused("InvalidArgument", 400):
            s3.put_object(Bucket=bucket, Key="k", Body=b"x", GrantRead=grantee)


def test_granted_by_documents(s3, nobody, listed):
    bucket = listed
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    acl = s3.get_object_acl(Bucket=bucket, Key="k")
    policy = {"Owner": acl["Owner"], "Grants": [*acl["Grants"], {"Grantee": {"Type": "Group", "URI": EVERYBODY}, "Permission": "READ"}]}
    s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=policy)
    assert grants(s3.get_object_acl(Bucket=bucket, Key="k")) == [OWN, (EVERYBODY, "READ")]
    assert nobody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    denied(s3.put_object_acl, Bucket=bucket, Key="k", AccessControlPolicy={**policy, "Owner": {"ID": "ab" * 32}})
    email = {"Grantee": {"Type": "AmazonCustomerByEmail", "EmailAddress": "a@example.org"}, "Permission": "READ"}
    with refused("NotImplemented", 501):
        s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy={**policy, "Grants": [email]})


def test_versions_have_acls_of_their_own(s3, nobody, listed):
    bucket = listed
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1", ACL="public-read")["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    denied(nobody.get_object, Bucket=bucket, Key="k")
    assert nobody.get_object(Bucket=bucket, Key="k", VersionId=first)["Body"].read() == b"1"
    s3.put_object_acl(Bucket=bucket, Key="k", VersionId=first, ACL="private")
    denied(nobody.get_object, Bucket=bucket, Key="k", VersionId=first)


def test_public_acls_are_blocked_or_ignored(s3, nobody, listed):
    bucket = listed
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    denied(nobody.get_object, Bucket=bucket, Key="k")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    assert nobody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    denied(s3.put_object, Bucket=bucket, Key="new", Body=b"x", ACL="public-read")
    denied(s3.put_object, Bucket=bucket, Key="new", Body=b"x", GrantRead=f'uri="{SIGNED}"')
    denied(s3.put_object_acl, Bucket=bucket, Key="k", ACL="public-read")
    denied(s3.put_bucket_acl, Bucket=bucket, ACL="public-read")
    denied(s3.create_multipart_upload, Bucket=bucket, Key="new", ACL="public-read")
    denied(s3.copy_object, Bucket=bucket, Key="new", CopySource=f"{bucket}/k", ACL="public-read")
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="private")
    denied(nobody.get_object, Bucket=bucket, Key="k")


def test_where_the_owner_owns_all(s3, nobody, listed):
    """ACLs that were set stop counting, and cannot be set."""
    bucket = listed
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    with refused("InvalidBucketAclWithObjectOwnership", 400):
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=enforced)
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    assert nobody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=enforced)
    denied(nobody.get_object, Bucket=bucket, Key="k")
    assert grants(s3.get_object_acl(Bucket=bucket, Key="k")) == [OWN]
    for call in (
        lambda: s3.put_object(Bucket=bucket, Key="new", Body=b"x", ACL="public-read"),
        lambda: s3.put_object_acl(Bucket=bucket, Key="k", ACL="public-read"),
        lambda: s3.put_bucket_acl(Bucket=bucket, ACL="public-read"),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key="new", ACL="authenticated-read"),
    ):
        with refused("AccessControlListNotSupported", 400):
            call()
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="bucket-owner-full-control")
