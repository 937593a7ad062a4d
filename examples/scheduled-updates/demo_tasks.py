"""Real flights arrive as JSON lines; five seconds later a column of each object is emptied, by two functions and a table with a time to live. Readers read all the while, and
the server is killed in the middle.

Started by `make demo-tasks`, which builds the server first. An object must be read as it was or as it is to be, never anything else, and in the end each must be cleaned.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import random
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "demo"))
from demo import by_day, check, flights  # noqa: E402
from lake import ACCOUNT, REGION, Lake  # noqa: E402

BUCKET, TABLE, COLUMN = "departures", "tasks", "tailnum"
SECONDS = 5
WRITERS, READERS = 4, 2
# How long the last object may take; the functions start anew after the kill.
PATIENCE = 600.0


def lines(day: bytes) -> tuple[bytes, bytes]:
    """A day as JSON lines, and the same with the column emptied."""
    rows = list(csv.DictReader(io.StringIO(day.decode())))
    before = "\n".join(json.dumps(row) for row in rows)
    after = "\n".join(json.dumps({**row, COLUMN: ""}) for row in rows)
    return before.encode(), after.encode()


def zipped(name: str) -> bytes:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.write(HERE / "functions" / f"{name}.py", f"{name}.py")
    return code.getvalue()


def role(lake: Lake, name: str, *allowed: dict) -> str:
    iam = lake.client("iam")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    logs = {"Effect": "Allow", "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    policy = {"Version": "2012-10-17", "Statement": [logs, *({"Effect": "Allow", **statement} for statement in allowed)]}
    iam.put_role_policy(RoleName=name, PolicyName="may", PolicyDocument=json.dumps(policy))
    return arn


def set_up(lake: Lake):
    """Bucket, table, functions, and what leads from one to the other."""
    s3, dynamodb, functions = (lake.client(service) for service in ("s3", "dynamodb", "lambda"))
    s3.create_bucket(Bucket=BUCKET)
    table = dynamodb.create_table(
        TableName=TABLE, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "path", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "path", "AttributeType": "S"}], StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]
    dynamodb.get_waiter("table_exists").wait(TableName=TABLE, WaiterConfig={"Delay": 1})
    dynamodb.update_time_to_live(TableName=TABLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "due"})
    objects = f"arn:aws:s3:::{BUCKET}/*"
    scheduling = role(lake, "scheduling", {"Action": ["s3:GetObjectTagging"], "Resource": objects}, {"Action": ["dynamodb:PutItem"], "Resource": table["TableArn"]})
    cleaning = role(
        lake, "cleaning", {"Action": ["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging"], "Resource": objects},
        {"Action": ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"], "Resource": f"{table['TableArn']}/stream/*"},
    )
    common = {"Runtime": "python3.12", "Timeout": 60, "MemorySize": 256}
    schedule = functions.create_function(FunctionName="schedule", Handler="schedule.handler", Role=scheduling, Code={"ZipFile": zipped("schedule")},
                                         Environment={"Variables": {"SECONDS": str(SECONDS), "TABLE": TABLE}}, **common)["FunctionArn"]
    functions.create_function(FunctionName="clean", Handler="clean.handler", Role=cleaning, Code={"ZipFile": zipped("clean")}, Environment={"Variables": {"COLUMN": COLUMN}}, **common)
    for name in ("schedule", "clean"):
        functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    functions.create_event_source_mapping(FunctionName="clean", EventSourceArn=table["LatestStreamArn"], StartingPosition="TRIM_HORIZON", BatchSize=10,
                                          BisectBatchOnFunctionError=True)
    functions.add_permission(FunctionName="schedule", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", SourceArn=f"arn:aws:s3:::{BUCKET}",
                             SourceAccount=ACCOUNT)
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={"LambdaFunctionConfigurations": [
        {"LambdaFunctionArn": schedule, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "flights/"}]}}}]})
    return s3


class Watched:
    """What was written, when it was due, when it was first seen rewritten, and what readers saw."""

    def __init__(self, lake: Lake, days: dict[str, tuple[bytes, bytes]]):
        self.lake, self.days = lake, days
        self.after = {key: f'"{hashlib.md5(after).hexdigest()}"' for key, (_, after) in days.items()}
        self.put: set[str] = set()
        self.due: dict[str, int] = {}
        self.rewritten: dict[str, float] = {}
        self.reads = self.torn = self.unanswered = 0
        self.lock = threading.Lock()
        self.over = threading.Event()

    def write(self, key: str):
        s3 = self.lake.client("s3")
        while True:
            try:
                s3.put_object(Bucket=BUCKET, Key=key, Body=self.days[key][0])
                break
            except Exception:  # noqa: BLE001 - the server is down: it comes back
                time.sleep(0.2)
        with self.lock:
            self.put.add(key)

    def read(self):
        """Reads objects over and over; each must be whole."""
        s3 = self.lake.client("s3")
        while not self.over.is_set():
            key = random.choice(sorted(self.put)) if self.put else None
            if key is None:
                time.sleep(0.05)
                continue
            try:
                body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            except Exception:  # noqa: BLE001 - the server is down: it comes back
                self.unanswered += 1
                time.sleep(0.2)
                continue
            with self.lock:
                self.reads += 1
                self.torn += body not in self.days[key]

    def look(self):
        """Notes which tasks wait, and which objects are rewritten."""
        s3, table = self.lake.client("s3"), self.lake.client("dynamodb")
        while not self.over.is_set():
            try:
                tasks = [item for page in table.get_paginator("scan").paginate(TableName=TABLE) for item in page["Items"]]
                now = time.time()
                objects = [item for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET) for item in page.get("Contents", [])]
            except Exception:  # noqa: BLE001 - the server is down: it comes back
                time.sleep(0.2)
                continue
            with self.lock:
                for item in tasks:
                    self.due[item["path"]["S"].removeprefix(f"s3://{BUCKET}/")] = int(item["due"]["N"])
                for item in objects:
                    if item["ETag"] == self.after[item["Key"]]:
                        self.rewritten.setdefault(item["Key"], now)
            time.sleep(0.1)


def kill_in_the_middle(lake: Lake, watched: Watched):
    while len(watched.rewritten) < len(watched.days) // 3:
        time.sleep(0.02)
    print(f"    the server is killed when {len(watched.put)} objects came and {len(watched.rewritten)} are rewritten ...", flush=True)
    lake.kill()
    started = time.monotonic()
    lake.start()
    print(f"    ... and is back after {time.monotonic() - started:.1f} s", flush=True)


def wait(watched: Watched):
    began, told = time.monotonic(), 0.0
    while len(watched.rewritten) < len(watched.days) and time.monotonic() - began < PATIENCE:
        if time.monotonic() - told > 5:
            told = time.monotonic()
            print(f"    {len(watched.put)} of {len(watched.days)} objects came, {len(watched.rewritten)} are rewritten", flush=True)
        time.sleep(0.1)


def table(watched: Watched, seconds: float) -> str:
    late = sorted(max(0.0, at - watched.due[key]) for key, at in watched.rewritten.items() if key in watched.due)
    at = (lambda part: f"{late[min(len(late) - 1, int(len(late) * part))]:.2f} s") if late else (lambda part: "-")
    rows = [
        ("objects", f"{len(watched.days):,}"),
        ("bytes", f"{sum(len(before) for before, _ in watched.days.values()):,}"),
        ("rewritten", f"{len(watched.rewritten):,}"),
        ("from due to rewritten", f"median {at(0.5)}, p99 {at(0.99)}, last {at(1)} (the kill included)"),
        ("reads", f"{watched.reads:,} ({watched.unanswered:,} met the killed server)"),
        ("torn reads", f"{watched.torn:,}"),
        ("time", f"{seconds:.1f} s"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True, help="the server's program")
    parser.add_argument("--directory", required=True, type=Path, help="an empty directory for its data")
    parser.add_argument("--days", type=int, default=365, help="how many days of flights (default: all of 2013)")
    parser.add_argument("server", nargs="*", help="further arguments of the server")
    args = parser.parse_args()
    print("read the flights ...", flush=True)
    days = {key.removesuffix(".csv") + ".json": lines(day) for key, day in sorted(by_day(flights()).items())[: args.days]}
    lake = Lake(args.binary, args.directory, *args.server)
    lake.start()
    watched = Watched(lake, days)
    try:
        print("set up a bucket, a table, two functions ...", flush=True)
        set_up(lake)
        others = [threading.Thread(target=task, daemon=True) for task in (*[watched.read] * READERS, watched.look)]
        for thread in others:
            thread.start()
        killer = threading.Thread(target=kill_in_the_middle, args=(lake, watched))
        killer.start()
        print(f"{len(days)} objects arrive ...", flush=True)
        started = time.monotonic()
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(watched.write, days))
        killer.join()
        wait(watched)
        seconds = time.monotonic() - started
        print("\n" + table(watched, seconds))
        s3 = lake.client("s3")
        wrong = [key for key, (_, after) in days.items() if s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() != after]
        check(watched.torn == 0, "readers saw torn objects")
        check(not wrong, f"{len(wrong)} objects were never cleaned, such as {wrong[:3]}")
        print("every object is cleaned, byte for byte")
    finally:
        watched.over.set()
        lake.stop()


if __name__ == "__main__":
    main()
