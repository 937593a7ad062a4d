"""Versioning: enabled, suspended, null versions, delete markers."""

import pytest
from harness.clients import refused


def status(s3, bucket, value):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": value})


def read(s3, bucket, key="k", **more):
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def test_configuration(s3, raw, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for value in ("Suspended", "Enabled", "Suspended"):
        status(s3, bucket, value)
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == value
    for body, code in (
        (b"<VersioningConfiguration><Status>On</Status></VersioningConfiguration>", "MalformedXML"),
        (b"<VersioningConfiguration/>", "IllegalVersioningConfigurationException"),
        (b"", "MissingRequestBodyError"),
        (b"<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>", None),
    ):
        got = raw.request("PUT", f"/{bucket}", "versioning=", body=body)
        assert got.status >= 400 and got.code and (code is None or got.code in (code, "MalformedXML")), got
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Suspended"


def test_versions_are_kept(s3, versioned):
    ids = [s3.put_object(Bucket=versioned, Key="k", Body=b"%d" % n)["VersionId"] for n in range(4)]
    assert len(set(ids)) == 4
    assert read(s3, versioned) == b"3"
    for n, version in enumerate(ids):
        assert read(s3, versioned, VersionId=version) == b"%d" % n
        assert s3.head_object(Bucket=versioned, Key="k", VersionId=version)["VersionId"] == version


def test_delete_marker(s3, raw, versioned):
    version = s3.put_object(Bucket=versioned, Key="k", Body=b"x")["VersionId"]
    gone = s3.delete_object(Bucket=versioned, Key="k")
    assert gone["DeleteMarker"] is True
    marker = gone["VersionId"]
    # Without a version: as if it were not there, with the marker told in the headers.
    got = raw.request("GET", f"/{versioned}/k")
    assert (got.status, got.code) == (404, "NoSuchKey")
    assert (got.headers["x-amz-delete-marker"], got.headers["x-amz-version-id"]) == ("true", marker)
    head = raw.request("HEAD", f"/{versioned}/k")
    assert (head.status, head.headers["x-amz-delete-marker"]) == (404, "true")
    # With the marker's id: a method that a marker does not know.
    got = raw.request("GET", f"/{versioned}/k", f"versionId={marker}")
    assert (got.status, got.code) == (405, "MethodNotAllowed")
    assert (got.headers["x-amz-delete-marker"], got.headers["allow"]) == ("true", "DELETE")
    assert "last-modified" in got.headers
    head = raw.request("HEAD", f"/{versioned}/k", f"versionId={marker}")
    assert (head.status, head.headers["x-amz-delete-marker"]) == (405, "true")
    assert read(s3, versioned, VersionId=version) == b"x"
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
    # Deleting the marker restores the object.
    undone = s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)
    assert (undone["DeleteMarker"], undone["VersionId"]) == (True, marker)
    assert read(s3, versioned) == b"x"


def test_markers_pile_up(s3, versioned):
    ids = [s3.delete_object(Bucket=versioned, Key="never-there")["VersionId"] for _ in range(3)]
    listed = s3.list_object_versions(Bucket=versioned)["DeleteMarkers"]
    assert [m["VersionId"] for m in listed] == ids[::-1]


def test_deleting_one_version_is_for_good(s3, versioned):
    ids = [s3.put_object(Bucket=versioned, Key="k", Body=b"%d" % n)["VersionId"] for n in range(3)]
    s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[2])
    assert read(s3, versioned) == b"1"
    s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[0])
    assert read(s3, versioned) == b"1"
    with refused("NoSuchVersion", 404) as error:
        s3.get_object(Bucket=versioned, Key="k", VersionId=ids[0])
    assert error["Error"]["VersionId"] == ids[0]
    again = s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[0])
    assert again["ResponseMetadata"]["HTTPStatusCode"] == 204
    s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[1])
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=versioned, Key="k")


def test_null_version_from_before(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    status(s3, bucket, "Enabled")
    assert read(s3, bucket, VersionId="null") == b"before"
    s3.put_object(Bucket=bucket, Key="k", Body=b"after")
    assert read(s3, bucket, VersionId="null") == b"before"
    listed = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [(v["VersionId"] == "null", v["IsLatest"]) for v in listed] == [(False, True), (True, False)]
    s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 1


def test_suspended(s3, versioned):
    kept = s3.put_object(Bucket=versioned, Key="k", Body=b"kept")["VersionId"]
    status(s3, versioned, "Suspended")
    for n in range(2):
        got = s3.put_object(Bucket=versioned, Key="k", Body=b"null %d" % n)
        assert got.get("VersionId") in (None, "null")
    listed = s3.list_object_versions(Bucket=versioned)["Versions"]
    assert [v["VersionId"] for v in listed] == ["null", kept]
    assert read(s3, versioned) == b"null 1"
    assert read(s3, versioned, VersionId=kept) == b"kept"
    # Deleting replaces the null version by a null marker.
    gone = s3.delete_object(Bucket=versioned, Key="k")
    assert (gone["DeleteMarker"], gone["VersionId"]) == (True, "null")
    page = s3.list_object_versions(Bucket=versioned)
    assert [v["VersionId"] for v in page["Versions"]] == [kept]
    assert [m["VersionId"] for m in page["DeleteMarkers"]] == ["null"]
    # A new null version replaces the null marker.
    s3.put_object(Bucket=versioned, Key="k", Body=b"again")
    assert "DeleteMarkers" not in s3.list_object_versions(Bucket=versioned)
    status(s3, versioned, "Enabled")
    s3.put_object(Bucket=versioned, Key="k", Body=b"latest")
    assert read(s3, versioned, VersionId="null") == b"again"


def test_null_version_keeps_its_place(s3, bucket):
    """After suspension the newest null version is the current one, though versions with ids exist."""
    status(s3, bucket, "Enabled")
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    status(s3, bucket, "Suspended")
    s3.put_object(Bucket=bucket, Key="k", Body=b"null")
    status(s3, bucket, "Enabled")
    last = s3.put_object(Bucket=bucket, Key="k", Body=b"2")["VersionId"]
    listed = [v["VersionId"] for v in s3.list_object_versions(Bucket=bucket)["Versions"]]
    assert listed == [last, "null", first]


def test_restoring(s3, versioned):
    old = s3.put_object(Bucket=versioned, Key="k", Body=b"old", Metadata={"n": "1"})["VersionId"]
    s3.put_object(Bucket=versioned, Key="k", Body=b"new")
    s3.copy_object(Bucket=versioned, Key="k", CopySource={"Bucket": versioned, "Key": "k", "VersionId": old})
    got = s3.get_object(Bucket=versioned, Key="k")
    assert (got["Body"].read(), got["Metadata"]) == (b"old", {"n": "1"})
    assert len(s3.list_object_versions(Bucket=versioned)["Versions"]) == 3


@pytest.mark.parametrize("version", ["nonsense", "null", "a" * 1025, "%FF", "", "00000000000000000000000000000000"])
def test_unknown_version(raw, s3, versioned, version):
    s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    got = raw.request("GET", f"/{versioned}/k", f"versionId={version}")
    assert (got.status, got.code) in ((400, "InvalidArgument"), (400, "InvalidURI"), (404, "NoSuchVersion")), got


def test_unversioned_answers_have_no_version(raw, s3, bucket):
    put = raw.request("PUT", f"/{bucket}/k", body=b"x")
    got = raw.request("GET", f"/{bucket}/k")
    assert "x-amz-version-id" not in put.headers and "x-amz-version-id" not in got.headers


def test_multipart_versions(s3, versioned):
    upload = s3.create_multipart_upload(Bucket=versioned, Key="k")["UploadId"]
    before = s3.put_object(Bucket=versioned, Key="k", Body=b"put")["VersionId"]
    part = s3.upload_part(Bucket=versioned, Key="k", UploadId=upload, PartNumber=1, Body=b"multi")
    done = s3.complete_multipart_upload(
        Bucket=versioned, Key="k", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    assert done["VersionId"] != before
    assert {read(s3, versioned, VersionId=v) for v in (before, done["VersionId"])} == {b"put", b"multi"}
