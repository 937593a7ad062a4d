"""GetObjectAttributes."""

import pytest
from harness.clients import refused
from harness.sums import checksum, composite, etag, noise

ALL = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]


def test_of_a_put_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ChecksumAlgorithm="SHA256")
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=ALL)
    assert got["ETag"] == etag(b"data").strip('"')
    assert got["ObjectSize"] == 4 and got["StorageClass"] == "STANDARD"
    assert got["Checksum"] == {"ChecksumSHA256": checksum("SHA256", b"data"), "ChecksumType": "FULL_OBJECT"}
    assert "ObjectParts" not in got
    assert got["LastModified"] == s3.head_object(Bucket=bucket, Key="k")["LastModified"]


def test_only_what_was_asked(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectSize"])
    assert {k for k in got if k in ALL} == {"ObjectSize"}


def test_of_a_multipart_object(s3, bucket):
    data = [noise(5 << 20, n) for n in range(2)] + [b"end"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32C")["UploadId"]
    parts = []
    for number, piece in enumerate(data, 1):
        sent = s3.upload_part(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=piece, ChecksumAlgorithm="CRC32C"
        )
        parts.append({"PartNumber": number, "ETag": sent["ETag"], "ChecksumCRC32C": sent["ChecksumCRC32C"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts})
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=ALL)
    assert got["Checksum"]["ChecksumType"] == "COMPOSITE"
    assert got["Checksum"]["ChecksumCRC32C"] == composite("CRC32C", data)
    listed = got["ObjectParts"]
    assert (listed["TotalPartsCount"], listed["IsTruncated"]) == (3, False)
    assert [(p["PartNumber"], p["Size"], p["ChecksumCRC32C"]) for p in listed["Parts"]] == [
        (n, len(d), checksum("CRC32C", d)) for n, d in enumerate(data, 1)
    ]
    page = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"], MaxParts=2)["ObjectParts"]
    assert (page["IsTruncated"], page["NextPartNumberMarker"], len(page["Parts"])) == (True, 2, 2)
    rest = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"], PartNumberMarker=2)
    assert [p["PartNumber"] for p in rest["ObjectParts"]["Parts"]] == [3]


@pytest.mark.parametrize("headers", [{}, {"x-amz-object-attributes": ""}, {"x-amz-object-attributes": "Nonsense"}])
def test_bad_attributes(raw, s3, bucket, headers):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    got = raw.request("GET", f"/{bucket}/k", "attributes=", headers)
    assert got.status == 400 and got.code in ("InvalidArgument", "InvalidRequest"), got


def test_missing(s3, versioned):
    with refused("NoSuchKey", 404):
        s3.get_object_attributes(Bucket=versioned, Key="none", ObjectAttributes=ALL)
    version = s3.put_object(Bucket=versioned, Key="k", Body=b"1")["VersionId"]
    s3.put_object(Bucket=versioned, Key="k", Body=b"22")
    got = s3.get_object_attributes(Bucket=versioned, Key="k", VersionId=version, ObjectAttributes=["ObjectSize"])
    assert (got["ObjectSize"], got["VersionId"]) == (1, version)
