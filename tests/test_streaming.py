"""`aws-chunked` uploads: signed chunks, trailers, and what is wrong with them."""

import pytest
from harness.raw import STREAMING, STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER, encode_chunks
from harness.sums import ALGORITHMS, checksum, etag, header, noise

DATA = noise(300_000, 40)


def absent(s3, bucket):
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("size", [0, 1, 8192, 65536, 65537, 300_000])
@pytest.mark.parametrize("chunk", [8192, 65536, 1 << 20])
def test_signed_chunks(raw, s3, bucket, size, chunk):
    got = raw.chunked(f"/{bucket}/k", DATA[:size], chunk)
    assert (got.status, got.headers.get("etag")) == (200, etag(DATA[:size])), got
    read = s3.get_object(Bucket=bucket, Key="k")
    assert read["Body"].read() == DATA[:size]
    # aws-chunked is a transfer form, not the object's encoding.
    assert "aws-chunked" not in read.get("ContentEncoding", "")


def test_other_content_encodings_stay(raw, s3, bucket):
    got = raw.chunked(f"/{bucket}/k", DATA, headers={"content-encoding": "aws-chunked,gzip"})
    assert got.status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["ContentEncoding"] == "gzip"


@pytest.mark.parametrize("mode", [STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_trailers(raw, s3, bucket, mode, algorithm):
    trailers = {header(algorithm): checksum(algorithm, DATA)}
    got = raw.chunked(f"/{bucket}/k", DATA, mode=mode, trailers=trailers)
    assert got.status == 200, got
    assert got.headers[header(algorithm)] == checksum(algorithm, DATA)
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read() == DATA


@pytest.mark.parametrize("mode", [STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_wrong_trailer(raw, s3, bucket, mode, algorithm):
    trailers = {header(algorithm): checksum(algorithm, b"other")}
    got = raw.chunked(f"/{bucket}/k", DATA, mode=mode, trailers=trailers)
    assert (got.status, got.code) == (400, "BadDigest"), got
    absent(s3, bucket)


def test_promised_trailer_is_missing(raw, s3, bucket):
    got = raw.chunked(f"/{bucket}/k", DATA, mode=STREAMING_UNSIGNED_TRAILER, headers={"x-amz-trailer": "x-amz-checksum-crc32"})
    assert got.status == 400 and got.code in ("MalformedTrailerError", "InvalidRequest", "IncompleteBody"), got
    absent(s3, bucket)


def test_trailer_that_was_not_announced(raw, s3, bucket):
    got = raw.chunked(
        f"/{bucket}/k", DATA, mode=STREAMING_UNSIGNED_TRAILER, trailers={"x-amz-checksum-crc32": checksum("CRC32", DATA)},
        headers={"x-amz-trailer": "x-amz-checksum-sha1"},
    )  # fmt: skip
    # The helper overwrites the announcement with the truth, so announce by hand.
    assert got.status == 200
    signed = raw.sign("PUT", f"/{bucket}/k2", "", {
        "content-encoding": "aws-chunked", "x-amz-decoded-content-length": "4", "x-amz-trailer": "x-amz-checksum-sha1",
    }, STREAMING_UNSIGNED_TRAILER)  # fmt: skip
    body = b"4\r\ndata\r\n0\r\nx-amz-checksum-crc32:" + checksum("CRC32", b"data").encode() + b"\r\n\r\n"
    got = raw.send("PUT", f"/{bucket}/k2", signed.headers, body)
    assert got.status == 400 and got.code, got


def spoil_signature(at):
    def spoil(index, head, piece):
        if index != at:
            return head, piece
        return head[:-1] + ("0" if head[-1] != "0" else "1"), piece

    return spoil


@pytest.mark.parametrize("at", [0, 1, 4, 5])
def test_bad_chunk_signature(raw, s3, bucket, at):
    got = raw.chunked(f"/{bucket}/k", DATA, spoil=spoil_signature(at))
    assert (got.status, got.code) == (403, "SignatureDoesNotMatch"), got
    absent(s3, bucket)


@pytest.mark.parametrize("at", [0, 3, 4])
def test_changed_chunk(raw, s3, bucket, at):
    def spoil(index, head, piece):
        return head, (b"X" + piece[1:] if index == at else piece)

    got = raw.chunked(f"/{bucket}/k", DATA, spoil=spoil)
    assert (got.status, got.code) == (403, "SignatureDoesNotMatch"), got
    absent(s3, bucket)


def test_bad_trailer_signature(raw, s3, bucket):
    trailers = {"x-amz-checksum-crc32": checksum("CRC32", DATA)}
    got = raw.chunked(f"/{bucket}/k", DATA, mode=STREAMING_TRAILER, trailers=trailers, spoil=spoil_signature(-1))
    assert (got.status, got.code) == (403, "SignatureDoesNotMatch"), got
    absent(s3, bucket)


def test_swapped_chunks(raw, s3, bucket):
    """Chunk signatures form a chain: reordering whole chunks breaks it."""
    signed = raw.sign("PUT", f"/{bucket}/k", "", {
        "content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(2 * 65536),
    }, STREAMING)  # fmt: skip
    from harness.raw import encode_chunks

    body = encode_chunks(signed, DATA[: 2 * 65536], 65536, STREAMING)
    one = len(b"10000;chunk-signature=\r\n\r\n") + 64 + 65536
    got = raw.send("PUT", f"/{bucket}/k", signed.headers, body[one : 2 * one] + body[:one] + body[2 * one :])
    assert (got.status, got.code) == (403, "SignatureDoesNotMatch"), got
    absent(s3, bucket)


@pytest.mark.parametrize("delta", [-1, 1, -300_000, 5_000_000])
def test_decoded_length_is_wrong(raw, s3, bucket, delta):
    got = raw.chunked(f"/{bucket}/k", DATA, decoded_length=len(DATA) + delta)
    assert got.status == 400 and got.code in ("IncompleteBody", "InvalidRequest", "InvalidArgument"), got
    absent(s3, bucket)


@pytest.mark.parametrize("value", ["", "x", "-1", "1e5", str(6 * 2**40)])
def test_decoded_length_is_malformed(raw, s3, bucket, value):
    got = raw.chunked(f"/{bucket}/k", DATA[:100], decoded_length=value)
    assert got.status in (400, 411) and got.code, got
    absent(s3, bucket)


def test_decoded_length_is_missing(raw, s3, bucket):
    signed = raw.sign("PUT", f"/{bucket}/k", "", {"content-encoding": "aws-chunked"}, STREAMING)
    from harness.raw import encode_chunks

    got = raw.send("PUT", f"/{bucket}/k", signed.headers, encode_chunks(signed, b"data", 8192, STREAMING))
    assert (got.status, got.code) in ((411, "MissingContentLength"), (400, "InvalidRequest")), got
    absent(s3, bucket)


@pytest.mark.parametrize("keep", [10, 500, 65536, 200_000, -3, -90])
def test_cut_bodies(raw, s3, bucket, keep):
    """The body ends early, as declared: the last chunk, or a part of it, is missing."""
    got = raw.chunked(f"/{bucket}/k", DATA, truncate=keep)
    assert got.status == 400 and got.code in ("IncompleteBody", "InvalidRequest"), got
    absent(s3, bucket)


BAD_BODIES = {
    "size not hex": b"zz;chunk-signature=" + b"0" * 64 + b"\r\nx\r\n",
    "huge size": b"ffffffffffffffffffff;chunk-signature=" + b"0" * 64 + b"\r\nx\r\n",
    "negative size": b"-1;chunk-signature=" + b"0" * 64 + b"\r\nx\r\n",
    "no signature": b"4\r\ndata\r\n0\r\n\r\n",
    "endless head": b"4;" + b"a" * 100_000,
    "no line end": b"4;chunk-signature=" + b"0" * 64 + b"data",
    "plain body": b"data",
    "empty": b"",
}


@pytest.mark.parametrize("name", BAD_BODIES)
@pytest.mark.parametrize("mode", [STREAMING, STREAMING_UNSIGNED_TRAILER])
def test_malformed_chunks(raw, s3, bucket, name, mode):
    if (name, mode) == ("no signature", STREAMING_UNSIGNED_TRAILER):
        pytest.skip("that is the valid form here")
    signed = raw.sign("PUT", f"/{bucket}/k", "", {
        "content-encoding": "aws-chunked", "x-amz-decoded-content-length": "4",
    }, mode)  # fmt: skip
    got = raw.send("PUT", f"/{bucket}/k", signed.headers, BAD_BODIES[name])
    assert got.status in (400, 403) and got.code, got
    absent(s3, bucket)


def test_bytes_after_the_last_chunk(raw, s3, bucket):
    signed = raw.sign("PUT", f"/{bucket}/k", "", {
        "content-encoding": "aws-chunked", "x-amz-decoded-content-length": "4",
    }, STREAMING_UNSIGNED_TRAILER)  # fmt: skip
    got = raw.send("PUT", f"/{bucket}/k", signed.headers, b"4\r\ndata\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    assert got.status in (400, 403) and got.code, got
    absent(s3, bucket)


def test_parts_by_signed_chunks(raw, s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    query = f"partNumber=1&uploadId={upload}"
    from harness.raw import encode_chunks

    signed = raw.sign("PUT", f"/{bucket}/k", query, {
        "content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(DATA)),
    }, STREAMING)  # fmt: skip
    got = raw.send("PUT", f"/{bucket}/k?{query}", signed.headers, encode_chunks(signed, DATA, 65536, STREAMING))
    assert (got.status, got.headers["etag"]) == (200, etag(DATA)), got


def test_sdk_over_plain_http(s3, bucket):
    """Over http, boto3 signs the payload; a stream it cannot rewind is sent in chunks with a trailer."""
    import io

    data = noise(2 << 20, 41)
    s3.upload_fileobj(io.BytesIO(data), bucket, "k", ExtraArgs={"ChecksumAlgorithm": "CRC32C"})
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == data and got["ChecksumCRC32C"] == checksum("CRC32C", data)


@pytest.mark.parametrize("right", [True, False])
def test_a_documents_checksum_in_a_trailer(raw, s3, bucket, right):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    document = b"<Delete><Object><Key>k</Key></Object></Delete>"
    value = checksum("CRC32", document if right else b"other")
    extra = {
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(len(document)),
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    signed = raw.sign("POST", f"/{bucket}", "delete=", extra, STREAMING_UNSIGNED_TRAILER)
    body = encode_chunks(signed, document, 65536, STREAMING_UNSIGNED_TRAILER, {"x-amz-checksum-crc32": value})
    got = raw.send("POST", f"/{bucket}?delete=", signed.headers, body)
    assert got.code == (None if right else "BadDigest"), got
    assert ("Contents" not in s3.list_objects_v2(Bucket=bucket)) == right
