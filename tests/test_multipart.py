"""Multipart uploads."""

import pytest
from harness.clients import refused
from harness.sums import ALGORITHMS, checksum, composite, field, md5, multipart_etag, noise

MIN = 5 << 20
BIG = [noise(MIN, 11), noise(MIN + 1, 12), noise(777, 13)]


def begin(s3, bucket, key="k", **options):
    return s3.create_multipart_upload(Bucket=bucket, Key=key, **options)["UploadId"]


def put(s3, bucket, upload, number, data, key="k", **options):
    sent = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=data, **options)
    part = {"PartNumber": number, "ETag": sent["ETag"]}
    part.update({name: value for name, value in sent.items() if name.startswith("Checksum") and name != "ChecksumType"})
    return part


def complete(s3, bucket, upload, parts, key="k", **options):
    return s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **options
    )


def bare(parts):
    return [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for p in parts]


def test_upload(s3, bucket):
    upload = begin(s3, bucket, Metadata={"a": "1"}, ContentType="text/x", Tagging="t=1", StorageClass="STANDARD_IA")
    parts = [put(s3, bucket, upload, n, data) for n, data in enumerate(BIG, 1)]
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")
    done = complete(s3, bucket, upload, bare(parts))
    assert done["ETag"] == multipart_etag(BIG)
    assert (done["Bucket"], done["Key"]) == (bucket, "k")
    assert done["Location"].endswith("/k")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"".join(BIG)
    assert (got["Metadata"], got["ContentType"], got["StorageClass"]) == ({"a": "1"}, "text/x", "STANDARD_IA")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "t", "Value": "1"}]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_out_of_order_gaps_and_replaced_parts(s3, bucket):
    upload = begin(s3, bucket)
    last = put(s3, bucket, upload, 9000, BIG[2])
    put(s3, bucket, upload, 5, BIG[1])
    first = put(s3, bucket, upload, 5, BIG[0])
    done = complete(s3, bucket, upload, bare([first, last]))
    assert done["ETag"] == multipart_etag([BIG[0], BIG[2]])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == BIG[0] + BIG[2]


def test_parts_that_are_left_out_do_not_count(s3, bucket):
    upload = begin(s3, bucket)
    first = put(s3, bucket, upload, 1, BIG[0])
    put(s3, bucket, upload, 2, BIG[1])
    last = put(s3, bucket, upload, 3, BIG[2])
    complete(s3, bucket, upload, bare([first, last]))
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == BIG[0] + BIG[2]
    with refused("NoSuchUpload", 404):
        s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)


def test_complete_is_idempotent(s3, versioned):
    upload = begin(s3, versioned)
    part = put(s3, versioned, upload, 1, b"only")
    first = complete(s3, versioned, upload, bare([part]))
    again = complete(s3, versioned, upload, bare([part]))
    assert (again["ETag"], again.get("VersionId")) == (first["ETag"], first["VersionId"])
    assert len(s3.list_object_versions(Bucket=versioned)["Versions"]) == 1


def test_abort(s3, bucket):
    upload = begin(s3, bucket)
    part = put(s3, bucket, upload, 1, BIG[0])
    got = s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 204
    for call in (
        lambda: complete(s3, bucket, upload, [part]),
        lambda: put(s3, bucket, upload, 2, b"x"),
        lambda: s3.list_parts(Bucket=bucket, Key="k", UploadId=upload),
        lambda: s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload),
    ):
        with refused("NoSuchUpload", 404):
            call()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("upload", ["", "nonsense", "a" * 2000, "../../etc", "%00"])
def test_unknown_upload(raw, bucket, upload):
    from urllib.parse import quote

    got = raw.request("PUT", f"/{bucket}/k", f"partNumber=1&uploadId={quote(upload, safe='')}", body=b"x")
    assert got.status in (400, 404) and got.code in ("NoSuchUpload", "InvalidArgument", "InvalidRequest"), got


def test_upload_belongs_to_its_key(s3, bucket):
    upload = begin(s3, bucket)
    with refused("NoSuchUpload", 404):
        put(s3, bucket, upload, 1, b"x", key="other")


@pytest.mark.parametrize("number", [0, 10001, -1])
def test_part_number_range(raw, s3, bucket, number):
    upload = begin(s3, bucket)
    got = raw.request("PUT", f"/{bucket}/k", f"partNumber={number}&uploadId={upload}", body=b"x")
    assert (got.status, got.code) == (400, "InvalidArgument")


def test_too_small(s3, bucket):
    upload = begin(s3, bucket)
    parts = [put(s3, bucket, upload, 1, BIG[0][: MIN - 1]), put(s3, bucket, upload, 2, b"x")]
    with refused("EntityTooSmall", 400) as error:
        complete(s3, bucket, upload, bare(parts))
    assert error["Error"]["PartNumber"] == "1"
    assert int(error["Error"]["ProposedSize"]) == MIN - 1
    # The upload lives on and can be put right.
    parts[0] = put(s3, bucket, upload, 1, BIG[0])
    complete(s3, bucket, upload, bare(parts))


@pytest.mark.parametrize("spoil, code", [
    (lambda parts: list(reversed(parts)), "InvalidPartOrder"),
    (lambda parts: [parts[0], parts[0]], "InvalidPartOrder"),
    (lambda parts: [*parts, {"PartNumber": 7, "ETag": parts[0]["ETag"]}], "InvalidPart"),
    (lambda parts: [parts[0], {**parts[1], "ETag": '"00000000000000000000000000000000"'}], "InvalidPart"),
    (lambda parts: [], "MalformedXML"),
])  # fmt: skip
def test_refused_completion(s3, bucket, spoil, code):
    upload = begin(s3, bucket)
    parts = bare([put(s3, bucket, upload, 1, BIG[0]), put(s3, bucket, upload, 2, BIG[1])])
    with refused(code, 400):
        complete(s3, bucket, upload, spoil(parts))
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    complete(s3, bucket, upload, parts)


@pytest.mark.parametrize("body", [b"", b"<CompleteMultipartUpload>", b"<x/>", b"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber>"
                                  b"<ETag>a</ETag></Part></CompleteMultipartUpload>"], ids=["empty", "cut", "other", "number"])  # fmt: skip
def test_malformed_completion(raw, s3, bucket, body):
    upload = begin(s3, bucket)
    put(s3, bucket, upload, 1, b"x")
    got = raw.request("POST", f"/{bucket}/k", f"uploadId={upload}", body=body)
    assert got.status == 400 and got.code in ("MalformedXML", "InvalidRequest"), got
    assert len(s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"]) == 1


def test_etag_may_come_without_quotes(s3, bucket):
    upload = begin(s3, bucket)
    part = put(s3, bucket, upload, 1, b"x")
    complete(s3, bucket, upload, [{"PartNumber": 1, "ETag": part["ETag"].strip('"')}])


def test_part_checksums_of_an_upload_without_algorithm(s3, bucket):
    """SDKs checksum every part on their own; what they were answered may be handed in at completion."""
    upload = begin(s3, bucket)
    part = put(s3, bucket, upload, 1, b"x")
    assert part["ChecksumCRC32"] == checksum("CRC32", b"x")
    complete(s3, bucket, upload, [part])
    # S3 adds a checksum of the whole object when the upload named none.
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head["ChecksumCRC64NVME"], head["ChecksumType"]) == (checksum("CRC64NVME", b"x"), "FULL_OBJECT")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_composite_checksum(s3, bucket, algorithm):
    if algorithm == "CRC64NVME":
        with refused("InvalidRequest", 400):
            begin(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType="COMPOSITE")
        return
    made = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType="COMPOSITE")
    assert (made["ChecksumAlgorithm"], made["ChecksumType"]) == (algorithm, "COMPOSITE")
    upload = made["UploadId"]
    data = [BIG[0], BIG[2]]
    parts = [put(s3, bucket, upload, n, d, ChecksumAlgorithm=algorithm) for n, d in enumerate(data, 1)]
    assert [p[field(algorithm)] for p in parts] == [checksum(algorithm, d) for d in data]
    done = complete(s3, bucket, upload, parts)
    want = composite(algorithm, data)
    assert (done[field(algorithm)], done["ChecksumType"]) == (want, "COMPOSITE")
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head[field(algorithm)], head["ChecksumType"]) == (want, "COMPOSITE")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_full_object_checksum(s3, bucket, algorithm):
    if algorithm.startswith("SHA"):
        with refused("InvalidRequest", 400):
            begin(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
        return
    upload = begin(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
    data = [BIG[0], BIG[2]]
    parts = [put(s3, bucket, upload, n, d, ChecksumAlgorithm=algorithm) for n, d in enumerate(data, 1)]
    want = checksum(algorithm, b"".join(data))
    with refused("BadDigest", 400):
        complete(s3, bucket, upload, parts, **{field(algorithm): checksum(algorithm, b"no"), "ChecksumType": "FULL_OBJECT"})
    done = complete(s3, bucket, upload, parts, **{field(algorithm): want, "ChecksumType": "FULL_OBJECT"})
    assert (done[field(algorithm)], done["ChecksumType"]) == (want, "FULL_OBJECT")
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[field(algorithm)] == want


def test_part_checksums_at_completion(s3, bucket):
    upload = begin(s3, bucket, ChecksumAlgorithm="SHA256")
    part = put(s3, bucket, upload, 1, b"x", ChecksumAlgorithm="SHA256")
    with refused("InvalidPart", 400):
        complete(s3, bucket, upload, [{**part, "ChecksumSHA256": checksum("SHA256", b"y")}])
    complete(s3, bucket, upload, [part])


def test_a_completion_says_what_the_upload_was_begun_with(s3, bucket):
    upload = begin(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType="COMPOSITE")
    data = [BIG[0], BIG[2]]
    parts = [put(s3, bucket, upload, n, d, ChecksumAlgorithm="CRC32") for n, d in enumerate(data, 1)]
    whole = composite("CRC32", data)
    value = whole.partition("-")[0]
    for options, code in [
        ({"ChecksumType": "FULL_OBJECT"}, "InvalidRequest"),
        ({"ChecksumType": "SOMETHING"}, "InvalidRequest"),
        ({"ChecksumCRC32": f"{value}-3"}, "BadDigest"),
        ({"ChecksumCRC32": f"{value}-x"}, "InvalidRequest"),
        ({"ChecksumCRC32": composite("CRC32", data[::-1])}, "BadDigest"),
        ({"ChecksumSHA1": f"{checksum('SHA1', b'')}-2"}, "InvalidRequest"),
    ]:
        with refused(code, 400):
            complete(s3, bucket, upload, parts, **options)
    done = complete(s3, bucket, upload, parts, ChecksumCRC32=whole, ChecksumType="COMPOSITE")
    assert done["ChecksumCRC32"] == whole
    # The same once more, as a client does that lost the answer.
    assert complete(s3, bucket, upload, parts, ChecksumCRC32=whole, ChecksumType="COMPOSITE")["ETag"] == done["ETag"]


def test_a_full_object_checksum_counts_no_parts(s3, bucket):
    upload = begin(s3, bucket)
    part = put(s3, bucket, upload, 1, b"x", ChecksumAlgorithm="CRC64NVME")
    with refused("InvalidRequest", 400):
        complete(s3, bucket, upload, [part], ChecksumType="COMPOSITE")
    with refused("BadDigest", 400):
        complete(s3, bucket, upload, [part], ChecksumCRC64NVME=checksum("CRC64NVME", b"x") + "-1")
    complete(s3, bucket, upload, [part], ChecksumType="FULL_OBJECT", ChecksumCRC64NVME=checksum("CRC64NVME", b"x"))


@pytest.mark.parametrize("name", ["SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"])
def test_part_checksums_that_nobody_compares_are_refused(raw, s3, bucket, name):
    upload = begin(s3, bucket)
    part = put(s3, bucket, upload, 1, b"x")
    body = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part['ETag']}</ETag>"
        f"<Checksum{name}>AAAA</Checksum{name}></Part></CompleteMultipartUpload>"
    )
    got = raw.request("POST", f"/{bucket}/k", f"uploadId={upload}", body=body.encode())
    assert (got.status, got.code) == (501, "NotImplemented")
    complete(s3, bucket, upload, bare([part]))


def test_wrong_part_digests(raw, s3, bucket):
    upload = begin(s3, bucket, ChecksumAlgorithm="CRC32")
    query = f"partNumber=1&uploadId={upload}"
    for headers in ({"content-md5": md5(b"no")}, {"x-amz-checksum-crc32": checksum("CRC32", b"no")}):
        got = raw.request("PUT", f"/{bucket}/k", query, headers, b"data")
        assert (got.status, got.code) == (400, "BadDigest"), headers
    # Another algorithm than the upload's.
    got = raw.request("PUT", f"/{bucket}/k", query, {"x-amz-checksum-sha1": checksum("SHA1", b"data")}, b"data")
    assert (got.status, got.code) == (400, "InvalidRequest")
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)


def test_object_size_condition(raw, s3, bucket):
    upload = begin(s3, bucket)
    part = put(s3, bucket, upload, 1, b"four")
    with refused("InvalidRequest", 400):
        complete(s3, bucket, upload, bare([part]), MpuObjectSize=5)
    complete(s3, bucket, upload, bare([part]), MpuObjectSize=4)


def test_conditional_completion(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"there")
    upload = begin(s3, bucket)
    part = put(s3, bucket, upload, 1, b"x")
    with refused("PreconditionFailed", 412):
        complete(s3, bucket, upload, bare([part]), IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"there"
    s3.delete_object(Bucket=bucket, Key="k")
    upload = begin(s3, bucket)
    part = put(s3, bucket, upload, 1, b"x")
    complete(s3, bucket, upload, bare([part]), IfNoneMatch="*")


def test_list_parts(s3, bucket):
    upload = begin(s3, bucket)
    sent = {n: put(s3, bucket, upload, n, bytes([n % 256]) * n) for n in (3, 1, 200, 7, 10000)}
    for size in (1, 2, 1000):
        got, marker = [], {}
        for _ in range(6):
            page = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload, MaxParts=size, **marker)
            assert page["MaxParts"] == size
            got += page.get("Parts", [])
            if not page["IsTruncated"]:
                break
            marker = {"PartNumberMarker": page["NextPartNumberMarker"]}
        assert [(p["PartNumber"], p["Size"], p["ETag"]) for p in got] == [(n, n, sent[n]["ETag"]) for n in sorted(sent)]
    page = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)
    assert (page["Key"], page["UploadId"], page["StorageClass"]) == ("k", upload, "STANDARD")
    assert page["Initiator"]["ID"] and page["Owner"]["ID"]


def test_list_uploads(s3, bucket):
    uploads = {key: begin(s3, bucket, key) for key in ("b", "a/1", "a/2", "c", "ü")}
    second = begin(s3, bucket, "b")
    listed = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [u["Key"] for u in listed] == ["a/1", "a/2", "b", "b", "c", "ü"]
    assert {u["UploadId"] for u in listed} == {*uploads.values(), second}
    for size in (1, 2, 4):
        got, marker = [], {}
        for _ in range(8):
            page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=size, **marker)
            assert len(page.get("Uploads", [])) <= size
            got += [(u["Key"], u["UploadId"]) for u in page.get("Uploads", [])]
            if not page["IsTruncated"]:
                break
            marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
        assert got == [(u["Key"], u["UploadId"]) for u in listed]
    page = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["a/"]
    assert [u["Key"] for u in page["Uploads"]] == ["b", "b", "c", "ü"]
    page = s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")
    assert [u["Key"] for u in page["Uploads"]] == ["a/1", "a/2"]
    page = s3.list_multipart_uploads(Bucket=bucket, KeyMarker="b")
    assert [u["Key"] for u in page["Uploads"]] == ["c", "ü"]


def test_copy_parts(s3, bucket):
    source = noise(12 << 20, 20)
    s3.put_object(Bucket=bucket, Key="src", Body=source)
    upload = begin(s3, bucket)
    cuts = [(0, MIN - 1), (MIN + 7, 2 * MIN + 100), (len(source) - 5, len(source) - 1)]
    parts = []
    for number, (first, last) in enumerate(cuts, 1):
        got = s3.upload_part_copy(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, CopySource={"Bucket": bucket, "Key": "src"},
            CopySourceRange=f"bytes={first}-{last}",
        )  # fmt: skip
        parts.append({"PartNumber": number, "ETag": got["CopyPartResult"]["ETag"]})
    pieces = [source[first : last + 1] for first, last in cuts]
    assert complete(s3, bucket, upload, parts)["ETag"] == multipart_etag(pieces)
    s3.delete_object(Bucket=bucket, Key="src")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"".join(pieces)


def test_copy_a_whole_object_as_part(s3, bucket):
    s3.put_object(Bucket=bucket, Key="src", Body=b"whole")
    upload = begin(s3, bucket)
    got = s3.upload_part_copy(
        Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, CopySource={"Bucket": bucket, "Key": "src"}
    )
    complete(s3, bucket, upload, [{"PartNumber": 1, "ETag": got["CopyPartResult"]["ETag"]}])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"whole"


@pytest.mark.parametrize("value", ["bytes=0-100", "bytes=5-1", "bytes=0-", "bytes=-5", "0-1", "bytes=0-1,2-3"])
def test_bad_copy_range(s3, bucket, value):
    s3.put_object(Bucket=bucket, Key="src", Body=b"short")
    upload = begin(s3, bucket)
    with pytest.raises(s3.exceptions.ClientError) as caught:
        s3.upload_part_copy(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, CopySource={"Bucket": bucket, "Key": "src"},
            CopySourceRange=value,
        )  # fmt: skip
    error = caught.value.response
    assert error["Error"]["Code"] in ("InvalidArgument", "InvalidRange", "InvalidRequest"), error
    assert error["ResponseMetadata"]["HTTPStatusCode"] in (400, 416)


def test_many_parts(s3, bucket):
    """Every part but the last has the smallest size only at completion; 300 of them here are one small commit."""
    source = noise(MIN, 30)
    s3.put_object(Bucket=bucket, Key="src", Body=source)
    upload = begin(s3, bucket)
    parts = []
    for number in range(1, 301):
        got = s3.upload_part_copy(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, CopySource={"Bucket": bucket, "Key": "src"}
        )
        parts.append({"PartNumber": number, "ETag": got["CopyPartResult"]["ETag"]})
    complete(s3, bucket, upload, parts)
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ContentLength"], head["ETag"]) == (300 * MIN, multipart_etag([source] * 300))
    got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={MIN * 299 - 3}-{MIN * 299 + 2}")
    assert got["Body"].read() == source[-3:] + source[:3]
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"])
    assert attributes["ObjectParts"]["TotalPartsCount"] == 300
