"""PutObject, GetObject, HeadObject: bytes, digests, headers, metadata, ranges, conditions."""

import datetime
import email.utils
import hashlib

import pytest
from harness.clients import refused
from harness.raw import UNSIGNED, encode_key
from harness.sums import ALGORITHMS, checksum, composite, etag, field, header, md5, noise

# Around the borders between bodies kept inline, in segments and in files, and of blocks.
SIZES = [0, 1, 4096, 8191, 8192, 8193, 65535, 65536, 65537, 1 << 20, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 9 << 20]


@pytest.mark.parametrize("size", SIZES)
def test_bytes_come_back(s3, bucket, size):
    data = noise(size, size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data)
    assert put["ETag"] == etag(data)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["ContentLength"] == size
    assert got["ETag"] == etag(data)
    assert hashlib.sha256(got["Body"].read()).digest() == hashlib.sha256(data).digest()
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ContentLength"], head["ETag"]) == (size, etag(data))
    assert head["AcceptRanges"] == "bytes"


def test_overwrite_replaces_all_of_it(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", Metadata={"a": "1"}, ContentType="text/plain", Tagging="x=y")
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"2"
    assert got["Metadata"] == {}
    assert got["ContentType"] == "binary/octet-stream"
    assert "TagCount" not in got


def test_missing_key(s3, bucket):
    with refused("NoSuchKey", 404) as error:
        s3.get_object(Bucket=bucket, Key="none")
    assert error["Error"]["Key"] == "none"
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="none")


def test_missing_bucket(s3, bucket_name):
    for call in (s3.get_object, s3.put_object, s3.delete_object, s3.get_object_tagging):
        with refused("NoSuchBucket", 404):
            call(Bucket=bucket_name, Key="k")
    with refused("404", 404):
        s3.head_object(Bucket=bucket_name, Key="k")


# Digests


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [0, 5000, 300_000])
def test_checksum_is_checked_kept_and_returned(s3, bucket, algorithm, size):
    data = noise(size, 7)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, **{field(algorithm): checksum(algorithm, data)})
    assert put[field(algorithm)] == checksum(algorithm, data)
    assert put["ChecksumType"] == "FULL_OBJECT"
    for call in (s3.get_object, s3.head_object):
        got = call(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
        assert got[field(algorithm)] == checksum(algorithm, data)
        assert got["ChecksumType"] == "FULL_OBJECT"
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum"])
    assert attributes["Checksum"][field(algorithm)] == checksum(algorithm, data)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_sdk_computed_checksum(s3, bucket, algorithm):
    data = noise(70_000, 8)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, ChecksumAlgorithm=algorithm)
    assert put[field(algorithm)] == checksum(algorithm, data)
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == data


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_wrong_checksum(raw, s3, bucket, algorithm):
    headers = {header(algorithm): checksum(algorithm, b"other")}
    got = raw.request("PUT", f"/{bucket}/k", headers=headers, body=b"data")
    assert (got.status, got.code) == (400, "BadDigest"), got
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": "AAA="},
        {"x-amz-checksum-crc32": "!!!!!!=="},
        {"x-amz-checksum-sha256": "AAAA"},
        {"x-amz-checksum-crc32": checksum("CRC32", b"data"), "x-amz-checksum-sha1": checksum("SHA1", b"data")},
        {"x-amz-sdk-checksum-algorithm": "CRC31"},
    ],
)
def test_malformed_checksum(raw, s3, bucket, headers):
    got = raw.request("PUT", f"/{bucket}/k", headers=headers, body=b"data")
    assert got.status == 400 and got.code in ("InvalidRequest", "InvalidArgument"), got
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_checksum_is_only_told_when_asked(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ChecksumAlgorithm="SHA256")
    for method in ("GET", "HEAD"):
        plain = raw.request(method, f"/{bucket}/k")
        assert header("SHA256") not in plain.headers
        asked = raw.request(method, f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"})
        assert asked.headers[header("SHA256")] == checksum("SHA256", b"data")


def test_default_checksum_is_crc64nvme(raw, s3, bucket):
    """Since December 2024 S3 adds a CRC64NVME to every object that comes without a checksum."""
    assert raw.request("PUT", f"/{bucket}/k", body=b"data").status == 200
    got = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["ChecksumCRC64NVME"] == checksum("CRC64NVME", b"data")


@pytest.mark.parametrize("size", [0, 4, 100_000])
def test_content_md5(raw, s3, bucket, size):
    data = noise(size, 9)
    assert raw.request("PUT", f"/{bucket}/k", headers={"content-md5": md5(data)}, body=data).status == 200
    got = raw.request("PUT", f"/{bucket}/bad", headers={"content-md5": md5(data + b"x")}, body=data)
    assert (got.status, got.code) == (400, "BadDigest")
    for value in ("", "AAAA", "not base64!", md5(data)[:-4]):
        got = raw.request("PUT", f"/{bucket}/bad", headers={"content-md5": value}, body=data)
        assert (got.status, got.code) == (400, "InvalidDigest"), value
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def test_payload_hash(raw, s3, bucket):
    """X-Amz-Content-Sha256: signed, so a body that differs was changed on the way."""
    got = raw.request("PUT", f"/{bucket}/k", body=b"data", payload=hashlib.sha256(b"other").hexdigest())
    assert (got.status, got.code) == (400, "XAmzContentSHA256Mismatch")
    got = raw.request("PUT", f"/{bucket}/k", body=b"data", payload="nonsense")
    assert got.status == 400 and got.code in ("InvalidArgument", "InvalidRequest", "XAmzContentSHA256Mismatch"), got
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert raw.request("PUT", f"/{bucket}/k", body=b"data", payload=UNSIGNED).status == 200


# Headers and metadata

SYSTEM_HEADERS = {
    "CacheControl": "max-age=60, private",
    "ContentDisposition": 'attachment; filename="a b.txt"',
    "ContentEncoding": "gzip",
    "ContentLanguage": "de, en",
    "ContentType": "text/csv; charset=utf-8",
}


def test_system_headers(s3, bucket):
    expires = datetime.datetime(2031, 5, 1, 12, 0, 0, tzinfo=datetime.timezone.utc)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Expires=expires, **SYSTEM_HEADERS)
    for call in (s3.get_object, s3.head_object):
        got = call(Bucket=bucket, Key="k")
        assert {name: got[name] for name in SYSTEM_HEADERS} == SYSTEM_HEADERS
        assert email.utils.parsedate_to_datetime(got["ExpiresString"]) == expires


def test_last_modified(s3, bucket):
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    head = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    after = datetime.datetime.now(datetime.timezone.utc)
    assert before <= head <= after
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]["LastModified"]
    assert listed.replace(microsecond=0) == head


@pytest.mark.parametrize(
    "metadata",
    [
        {"plain": "value"},
        {"empty": ""},
        {"with-dash": "a", "under_score": "b", "x.y": "c"},
        {"spaces": "a  b   c"},
        {"long": "v" * 1900},
        {f"n{i}": str(i) for i in range(50)},
    ],
)
def test_user_metadata(s3, bucket, metadata):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata=metadata)
    assert s3.get_object(Bucket=bucket, Key="k")["Metadata"] == metadata
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == metadata


def test_metadata_names_are_lower_cased(raw, s3, bucket):
    signed = raw.sign("PUT", f"/{bucket}/k", headers={"x-amz-meta-mixed": "Kept"}, payload=UNSIGNED).headers
    mixed = {("X-Amz-Meta-MiXeD" if k == "x-amz-meta-mixed" else k): v for k, v in signed.items()}
    assert raw.send("PUT", f"/{bucket}/k", mixed, b"x").status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"mixed": "Kept"}


def test_unicode_metadata(raw, bucket):
    """UTF-8 in a metadata header is stored; what is outside US-ASCII comes back by RFC 2047, as AWS does it."""
    headers = {"x-amz-meta-name": "grün €"}
    assert raw.request("PUT", f"/{bucket}/k", headers=headers, body=b"x").status == 200
    got = raw.request("GET", f"/{bucket}/k").headers["x-amz-meta-name"]
    if got.startswith("=?"):
        decoded = "".join(
            part.decode(charset or "ascii") if isinstance(part, bytes) else part
            for part, charset in email.header.decode_header(got)
        )
    else:
        decoded = got.encode("latin-1").decode()
    assert decoded == "grün €"


@pytest.mark.parametrize("sent, shown", [
    (b"=?UTF-8?Q?=C3=84M=C3=84Z=C3=95=C3=91?= S3", "=?UTF-8?B?w4RNw4Raw5XDkSBTMw==?="),
    ("ÄMÄZÕÑ S3".encode(), "=?UTF-8?B?w4RNw4Raw5XDkSBTMw==?="),
    ("ÄMÄZÕÑ S3".encode("latin-1"), "=?UTF-8?B?w4RNw4Raw5XDkSBTMw==?="),
    (b"=?UTF-8?B?YWJj?=", "abc"),
    (b"=?not a word", "=?not a word"),
])
def test_metadata_in_encoded_words(raw, s3, bucket, sent, shown):
    value = sent.decode("utf-8", "surrogateescape")
    assert raw.request("PUT", f"/{bucket}/k", headers={"x-amz-meta-name": value}, body=b"x").status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"name": shown}


def test_lines_that_repeat(raw, s3, bucket):
    signed = raw.sign("PUT", f"/{bucket}/k", payload=UNSIGNED).headers
    lists = [*signed.items(), ("cache-control", "no-cache"), ("cache-control", "private")]
    assert raw.send("PUT", f"/{bucket}/k", lists, b"x").status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["CacheControl"] == "no-cache, private"
    twice = [*signed.items(), ("content-type", "a/b"), ("content-type", "c/d")]
    got = raw.send("PUT", f"/{bucket}/k", twice, b"x")
    assert (got.status, got.code) == (400, "InvalidArgument")


def test_metadata_too_large(raw, s3, bucket):
    fits = {"x-amz-meta-a": "v" * (2048 - 1)}
    assert raw.request("PUT", f"/{bucket}/fits", headers=fits, body=b"x").status == 200
    got = raw.request("PUT", f"/{bucket}/k", headers={"x-amz-meta-a": "v" * 2048}, body=b"x")
    assert (got.status, got.code) == (400, "MetadataTooLarge")
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["fits"]


@pytest.mark.parametrize("name", ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "REDUCED_REDUNDANCY", "INTELLIGENT_TIERING"])
def test_storage_class_is_kept(raw, s3, bucket, name):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass=name)
    header_value = raw.request("HEAD", f"/{bucket}/k").headers.get("x-amz-storage-class")
    assert header_value == (None if name == "STANDARD" else name)
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == name


@pytest.mark.parametrize("name, code", [("GLACIER", None), ("DEEP_ARCHIVE", None), ("NO_SUCH", "InvalidStorageClass")])
def test_storage_class_refused(raw, s3, bucket, name, code):
    got = raw.request("PUT", f"/{bucket}/k", headers={"x-amz-storage-class": name}, body=b"x")
    assert got.status in (400, 501)
    assert got.code == code if code else got.code in ("InvalidStorageClass", "NotImplemented"), got
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-server-side-encryption": "aws:kms:dsse"},
        {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
        {"x-amz-object-lock-legal-hold": "ON"},
        {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z"},
        {"x-amz-object-lock-mode": "COMPLIANCE"},
    ],
)
def test_what_is_not_carried_out_is_refused(raw, s3, bucket, headers):
    got = raw.request("PUT", f"/{bucket}/k", headers=headers, body=b"x")
    assert got.status >= 400 and got.code, got
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_website_redirect_is_kept_or_refused(raw, bucket):
    headers = {"x-amz-website-redirect-location": "/other"}
    got = raw.request("PUT", f"/{bucket}/k", headers=headers, body=b"x")
    head = raw.request("HEAD", f"/{bucket}/k")
    if got.status == 200:
        assert head.headers["x-amz-website-redirect-location"] == "/other"
    else:
        assert (got.code, head.status) == ("NotImplemented", 404), got


def test_response_overrides(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    overrides = {
        "response-content-type": ("content-type", "application/x-test"),
        "response-content-language": ("content-language", "mi"),
        "response-expires": ("expires", "Thu, 01 Dec 2033 16:00:00 GMT"),
        "response-cache-control": ("cache-control", "no-cache"),
        "response-content-disposition": ("content-disposition", 'attachment; filename="x"'),
        "response-content-encoding": ("content-encoding", "identity"),
    }
    query = "&".join(f"{name}={encode_key(value).replace('/', '%2F')}" for name, (_, value) in overrides.items())
    for method in ("GET", "HEAD"):
        got = raw.request(method, f"/{bucket}/k", query)
        assert got.status == 200, got
        assert {h: got.headers.get(h) for h, _ in overrides.values()} == dict(overrides.values())
    assert raw.request("GET", f"/{bucket}/k").headers["content-type"] == "text/plain"


def test_response_overrides_cannot_split_headers(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    got = raw.request("GET", f"/{bucket}/k", "response-content-type=a%0D%0Ax-evil%3A%201")
    assert "x-evil" not in got.headers
    assert got.status in (200, 400) and b"x-evil" not in got.headers.get("content-type", "").encode(), got


# Ranges


@pytest.mark.parametrize(
    "value, first, last",
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, 199_999),
        ("bytes=-1", 199_999, 199_999),
        ("bytes=-200001", 0, 199_999),
        ("bytes=65535-65536", 65535, 65536),
        ("bytes=131071-131073", 131071, 131073),
        ("bytes=199999-300000", 199_999, 199_999),
    ],
)
def test_range(raw, s3, bucket, value, first, last):
    data = noise(200_000, 3)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    got = raw.request("GET", f"/{bucket}/k", headers={"range": value})
    assert got.status == 206
    assert got.headers["content-range"] == f"bytes {first}-{last}/200000"
    assert got.headers["content-length"] == str(last - first + 1)
    assert got.body == data[first : last + 1]
    head = raw.request("HEAD", f"/{bucket}/k", headers={"range": value})
    assert (head.status, head.headers["content-range"]) == (206, f"bytes {first}-{last}/200000")


@pytest.mark.parametrize("value", ["bytes=200-", "bytes=200-300", "bytes=-0"])
def test_unsatisfiable_range(raw, s3, bucket, value):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 200)
    got = raw.request("GET", f"/{bucket}/k", headers={"range": value})
    assert (got.status, got.code) == (416, "InvalidRange")
    assert got.headers.get("content-range", "bytes */200") == "bytes */200"
    assert got.xml.findtext("ActualObjectSize") == "200"


@pytest.mark.parametrize("value", ["bytes=5-1", "bytes=a-b", "lines=0-1", "bytes=0-1,3-4", "bytes", "bytes=--1", "bytes=0-1-2"])
def test_range_that_is_ignored(raw, s3, bucket, value):
    """RFC 9110 14.2: an invalid or unsupported range is as none; S3 serves no multipart ranges."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    got = raw.request("GET", f"/{bucket}/k", headers={"range": value})
    assert (got.status, got.body) == (200, b"0123456789")


def test_range_of_an_empty_object(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    got = raw.request("GET", f"/{bucket}/k", headers={"range": "bytes=0-"})
    assert (got.status, got.code) == (416, "InvalidRange")


def test_part_numbers(s3, bucket):
    s3.put_object(Bucket=bucket, Key="whole", Body=b"abc")
    got = s3.get_object(Bucket=bucket, Key="whole", PartNumber=1)
    assert got["Body"].read() == b"abc"
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    with refused("InvalidPartNumber", 416):
        s3.get_object(Bucket=bucket, Key="whole", PartNumber=2)
    with refused("InvalidRequest", 400):
        s3.get_object(Bucket=bucket, Key="whole", PartNumber=1, Range="bytes=0-1")
    parts = [noise(5 << 20, 1), noise(5 << 20, 2), noise(1000, 3)]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", ChecksumAlgorithm="SHA256")["UploadId"]
    done = []
    for number, part in enumerate(parts, 1):
        sent = s3.upload_part(
            Bucket=bucket, Key="parts", UploadId=upload, PartNumber=number, Body=part, ChecksumAlgorithm="SHA256"
        )
        done.append({"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": sent["ChecksumSHA256"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": done})
    start = 0
    for number, part in enumerate(parts, 1):
        got = s3.get_object(Bucket=bucket, Key="parts", PartNumber=number)
        assert got["Body"].read() == part
        assert got["PartsCount"] == 3
        assert got["ContentRange"] == f"bytes {start}-{start + len(part) - 1}/{sum(map(len, parts))}"
        head = s3.head_object(Bucket=bucket, Key="parts", PartNumber=number, ChecksumMode="ENABLED")
        assert (head["ContentLength"], head["PartsCount"]) == (len(part), 3)
        start += len(part)
    assert "PartsCount" not in s3.head_object(Bucket=bucket, Key="parts")
    whole = s3.head_object(Bucket=bucket, Key="parts", ChecksumMode="ENABLED")
    assert whole["ChecksumSHA256"] == composite("SHA256", parts)
    with refused("416", 416):
        s3.head_object(Bucket=bucket, Key="parts", PartNumber=4)
    # A range over the border of two parts.
    got = s3.get_object(Bucket=bucket, Key="parts", Range=f"bytes={(5 << 20) - 10}-{(5 << 20) + 9}")
    assert got["Body"].read() == parts[0][-10:] + parts[1][:10]


# Conditions

PAST = "Tue, 01 Jan 2013 00:00:00 GMT"
FUTURE = "Fri, 01 Jan 2100 00:00:00 GMT"
MATCH, OTHER = etag(b"data"), etag(b"other")


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"if-match": MATCH}, 200),
        ({"if-match": MATCH.strip('"')}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": OTHER}, 412),
        ({"if-none-match": OTHER}, 200),
        ({"if-none-match": MATCH}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": f"{OTHER}, {MATCH}"}, 304),
        ({"if-match": f"{OTHER}, {MATCH}"}, 200),
        ({"if-modified-since": PAST}, 200),
        # A date in the future is not valid (RFC 9110 13.1.3) for some and a plain comparison for S3: not tested.
        ({"if-unmodified-since": FUTURE}, 200),
        ({"if-unmodified-since": PAST}, 412),
        # GetObject: If-Match true beats If-Unmodified-Since false; If-None-Match false beats If-Modified-Since true.
        ({"if-match": MATCH, "if-unmodified-since": PAST}, 200),
        ({"if-none-match": MATCH, "if-modified-since": PAST}, 304),
        ({"if-none-match": OTHER, "if-match": OTHER}, 412),
    ],
)
def test_conditional_read(raw, s3, bucket, headers, status):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    for method in ("GET", "HEAD"):
        got = raw.request(method, f"/{bucket}/k", headers=headers)
        assert got.status == status, got
        if status == 304:
            assert got.body == b"" and got.headers["etag"] == MATCH
    if status == 412:
        assert raw.request("GET", f"/{bucket}/k", headers=headers).code == "PreconditionFailed"


def test_not_modified_since_now(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    modified = raw.request("HEAD", f"/{bucket}/k").headers["last-modified"]
    assert raw.request("GET", f"/{bucket}/k", headers={"if-modified-since": modified}).status == 304
    assert raw.request("GET", f"/{bucket}/k", headers={"if-unmodified-since": modified}).status == 200


def test_put_if_none_match(s3, raw, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"second", IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"
    s3.delete_object(Bucket=bucket, Key="k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"third", IfNoneMatch="*")
    got = raw.request("PUT", f"/{bucket}/k", headers={"if-none-match": MATCH}, body=b"x")
    assert (got.status, got.code) == (501, "NotImplemented")


def test_put_if_match(s3, bucket):
    with refused("NoSuchKey", 404):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", IfMatch=MATCH)
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", IfMatch=OTHER)
    s3.put_object(Bucket=bucket, Key="k", Body=b"next", IfMatch=MATCH)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"next"


def test_put_if_none_match_over_a_delete_marker(s3, versioned):
    s3.put_object(Bucket=versioned, Key="k", Body=b"1")
    s3.delete_object(Bucket=versioned, Key="k")
    s3.put_object(Bucket=versioned, Key="k", Body=b"2", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=versioned, Key="k", Body=b"3", IfNoneMatch="*")


def test_one_of_many_creators_wins(server, s3, bucket):
    """If-None-Match is decided at the commit, not before the body was read."""
    from concurrent.futures import ThreadPoolExecutor

    from botocore.exceptions import ClientError

    def create(n: int) -> int | None:
        try:
            s3.put_object(Bucket=bucket, Key="one", Body=str(n).encode(), IfNoneMatch="*")
            return n
        except ClientError as error:
            # ConditionalRequestConflict (409) is AWS's answer to a race.
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412), error
            return None

    with ThreadPoolExecutor(8) as pool:
        won = [n for n in pool.map(create, range(24)) if n is not None]
    assert len(won) == 1
    assert s3.get_object(Bucket=bucket, Key="one")["Body"].read() == str(won[0]).encode()


# Keys are opaque

KEYS = [
    "plain", "a/b/c", "a//b", "/leading", "trailing/", "//", ".", "..", "./a", "../d", "a/../b", "a/./b", "%2F", "%", "100%",
    "a+b", "a b", " leading space", "trailing space ", "a&b=c", "a?b", "a#b", "a;b", "a:b", "a,b", "a'b\"c", "a*b", "a\\b",
    "tab\there", "new\nline", "ü", "日本語", "🦆/🌊", "e\u0301", "é", "~tilde", "-dash", "_under", "=", "@", "$", "!", "(a)",
    "[b]", "{c}", "|", "^", "`", "<x>", "con", "nul", "a" * 1024, "é" * 512,
]  # fmt: skip


def test_keys_verbatim(s3, bucket):
    for n, key in enumerate(KEYS):
        s3.put_object(Bucket=bucket, Key=key, Body=str(n).encode())
    for n, key in enumerate(KEYS):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == str(n).encode(), key
        assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(str(n))
    listed = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert listed == sorted(KEYS, key=lambda k: k.encode())
    for key in KEYS:
        s3.delete_object(Bucket=bucket, Key=key)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_control_characters_in_keys(s3, bucket):
    """They cannot stand in XML 1.0; with encoding-type=url, which boto3 asks for, they come back."""
    keys = ["a\x01b", "c\x7fd", "e\x1bf"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == sorted(keys)
    for key in keys:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()


@pytest.mark.parametrize("same", [True, False])
def test_if_range(raw, s3, bucket, same):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")["ETag"]
    for value in (etag, s3.head_object(Bucket=bucket, Key="k")["LastModified"].strftime("%a, %d %b %Y %H:%M:%S GMT")):
        if not same:
            value = '"00000000000000000000000000000000"' if value == etag else "Thu, 01 Jan 2026 00:00:00 GMT"
        got = raw.request("GET", f"/{bucket}/k", headers={"range": "bytes=5-", "if-range": value})
        assert (got.status, got.body) == ((206, b"56789") if same else (200, b"0123456789")), value


def test_writes_name_no_version(raw, s3, bucket):
    for query in ("versionId=null", "uploads=&versionId=null"):
        method = "POST" if "uploads" in query else "PUT"
        got = raw.request(method, f"/{bucket}/k", query, body=b"x" if method == "PUT" else b"")
        assert (got.status, got.code) == (400, "InvalidArgument"), (query, got)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_storage_class_can_be_set_back(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="STANDARD_IA")
    s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k", StorageClass="STANDARD")
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="k")
