"""The digests and checksums of S3, as they stand in headers (base64)."""

from __future__ import annotations

import base64
import hashlib
import random

from awscrt import checksums as crt

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")


def raw_sum(algorithm: str, data: bytes) -> bytes:
    if algorithm == "CRC32":
        return crt.crc32(data).to_bytes(4, "big")
    if algorithm == "CRC32C":
        return crt.crc32c(data).to_bytes(4, "big")
    if algorithm == "CRC64NVME":
        return crt.crc64nvme(data).to_bytes(8, "big")
    return {"SHA1": hashlib.sha1, "SHA256": hashlib.sha256}[algorithm](data).digest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def checksum(algorithm: str, data: bytes) -> str:
    return b64(raw_sum(algorithm, data))


def composite(algorithm: str, parts: list[bytes]) -> str:
    """The checksum of a multipart object over the checksums of its parts."""
    joined = b"".join(raw_sum(algorithm, part) for part in parts)
    return f"{checksum(algorithm, joined)}-{len(parts)}"


def header(algorithm: str) -> str:
    return f"x-amz-checksum-{algorithm.lower()}"


def field(algorithm: str) -> str:
    """The member of botocore's shapes, e.g. ChecksumCRC32C."""
    return f"Checksum{algorithm}"


def md5(data: bytes) -> str:
    return b64(hashlib.md5(data).digest())


def etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def multipart_etag(parts: list[bytes]) -> str:
    joined = b"".join(hashlib.md5(part).digest() for part in parts)
    return f'"{hashlib.md5(joined).hexdigest()}-{len(parts)}"'


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that do not compress and can be made again."""
    return random.Random(seed).randbytes(size)
