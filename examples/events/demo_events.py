"""Real flights arrive as one object a day; twenty rules with content filters sort the events into queues and webhooks; the server is killed in the middle.

Started by `make demo-events`, which builds the server first. Everything that each rule must have seen is worked out here, by plain Python, and compared with what
arrived: nothing may be missing, what arrived twice must carry the same id, and queues hold every event once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).parents[1] / "demo"))
from demo import by_day, check, flights  # noqa: E402
from lake import ACCOUNT, REGION, Lake  # noqa: E402

BUCKET = "departures"
CLIENTS = 8
# How long the last event may take: retries of webhooks wait a while.
PATIENCE = 120.0


@dataclass(frozen=True)
class Event:
    """An S3 event as far as the rules ask about it."""

    kind: str
    key: str
    size: int
    reason: str


@dataclass(frozen=True)
class Rule:
    name: str
    detail: dict
    wants: Callable[[Event], bool]
    kind: str | None = "Object Created"
    webhook: bool = False

    @property
    def pattern(self) -> str:
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [BUCKET]}, **self.detail}}
        if self.kind:
            pattern["detail-type"] = [self.kind]
        return json.dumps(pattern)

    def matches(self, event: Event) -> bool:
        return (self.kind is None or self.kind == event.kind) and self.wants(event)


def rules(sizes: list[int]) -> list[Rule]:
    """Twenty ways to ask; `sizes` are those of the objects, ascending."""
    small, middle, large = sizes[len(sizes) // 10], sizes[len(sizes) // 2], sizes[-len(sizes) // 10]
    first = "flights/2013/01/01.csv"

    def of(**fields) -> dict:
        return {"object": fields}

    return [
        Rule("everything", {}, lambda e: True, kind=None),
        Rule("created", {}, lambda e: True),
        Rule("deleted", {}, lambda e: True, kind="Object Deleted"),
        Rule("january", of(key=[{"prefix": "flights/2013/01/"}]), lambda e: e.key.startswith("flights/2013/01/")),
        Rule("first-of-month", of(key=[{"suffix": "/01.csv"}]), lambda e: e.key.endswith("/01.csv")),
        Rule("the-15th", of(key=[{"wildcard": "flights/*/15.csv"}]), lambda e: e.key.startswith("flights/") and e.key.endswith("/15.csv")),
        Rule("large", of(size=[{"numeric": [">", large]}]), lambda e: e.size > large),
        Rule("middling", of(size=[{"numeric": [">=", small, "<", middle]}]), lambda e: small <= e.size < middle),
        Rule("exactly", of(size=[{"numeric": ["=", middle]}]), lambda e: e.size == middle),
        Rule("not-in-summer", of(key=[{"anything-but": {"prefix": ["flights/2013/06/", "flights/2013/07/", "flights/2013/08/"]}}]),
             lambda e: e.key[:16] not in ("flights/2013/06/", "flights/2013/07/", "flights/2013/08/")),
        Rule("not-this-one", of(key=[{"anything-but": [first]}]), lambda e: e.key != first),
        Rule("small-or-december", {"$or": [of(size=[{"numeric": ["<", small]}]), of(key=[{"prefix": "flights/2013/12/"}])]},
             lambda e: e.size < small or e.key.startswith("flights/2013/12/")),
        Rule("ignoring-case", of(key=[{"equals-ignore-case": first.upper()}]), lambda e: e.key == first),
        Rule("prefix-ignoring-case", of(key=[{"prefix": {"equals-ignore-case": "FLIGHTS/2013/07"}}]), lambda e: e.key.startswith("flights/2013/07")),
        Rule("copies", {"reason": ["CopyObject"]}, lambda e: e.reason == "CopyObject"),
        Rule("from-here", {"source-ip-address": [{"cidr": "127.0.0.0/8"}]}, lambda e: True),
        Rule("from-elsewhere", {"source-ip-address": [{"cidr": "203.0.113.0/24"}]}, lambda e: False),
        Rule("without-version", of(**{"version-id": [{"exists": False}]}), lambda e: True),
        Rule("hook-november", of(key=[{"prefix": "flights/2013/11/"}]), lambda e: e.key.startswith("flights/2013/11/"), webhook=True),
        Rule("hook-deleted", {"reason": ["DeleteObject"]}, lambda e: True, kind="Object Deleted", webhook=True),
    ]


class Seen:
    """What arrived, by rule: the ids of events with the times of their arrivals."""

    def __init__(self):
        self.lock = threading.Lock()
        self.arrived: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.events: dict[str, tuple[str, str, str]] = {}

    def add(self, rule: str, body: dict):
        now = time.monotonic()
        detail = body["detail"]
        with self.lock:
            self.arrived[rule][body["id"]].append(now)
            self.events[body["id"]] = (body["detail-type"], detail["object"]["key"], detail["request-id"])

    def count(self, rule: str) -> int:
        with self.lock:
            return len(self.arrived[rule])


def webhook(seen: Seen) -> ThreadingHTTPServer:
    """A server that takes events at /RULE, and refuses every seventh first attempt."""
    tries = Counter()
    lock = threading.Lock()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                tries[body["id"]] += 1
                refuse = len(tries) % 7 == 0 and tries[body["id"]] == 1
            if not refuse:
                seen.add(self.path.strip("/"), body)
            self.send_response(503 if refuse else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def set_up(lake: Lake, all_rules: list[Rule], hook: str) -> dict[str, str]:
    """Bucket, queues, rules and webhooks; the URLs of the queues by rule."""
    s3, sqs, events, iam = (lake.client(service) for service in ("s3", "sqs", "events", "iam"))
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}})
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName="webhooks", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    call = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "events:InvokeApiDestination", "Resource": "*"}]}
    iam.put_role_policy(RoleName="webhooks", PolicyName="call", PolicyDocument=json.dumps(call))
    secret = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Api-Key", "ApiKeyValue": "demo"}}
    connection = events.create_connection(Name="hooks", AuthorizationType="API_KEY", AuthParameters=secret)["ConnectionArn"]
    queues = {}
    for rule in all_rules:
        arn = events.put_rule(Name=rule.name, EventPattern=rule.pattern)["RuleArn"]
        if rule.webhook:
            destination = events.create_api_destination(Name=rule.name, ConnectionArn=connection, HttpMethod="POST", InvocationEndpoint=f"{hook}/{rule.name}",
                                                        InvocationRateLimitPerSecond=300)["ApiDestinationArn"]
            target = {"Id": "hook", "Arn": destination, "RoleArn": role}
        else:
            url = sqs.create_queue(QueueName=rule.name)["QueueUrl"]
            queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{rule.name}"
            statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": queue,
                         "Condition": {"ArnEquals": {"aws:SourceArn": arn}}}
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})})
            queues[rule.name] = url
            target = {"Id": "queue", "Arn": queue}
        failed = events.put_targets(Rule=rule.name, Targets=[target])
        check(failed["FailedEntryCount"] == 0, f"{rule.name}: {failed}")
    return queues


def drain(lake: Lake, rule: str, url: str, seen: Seen, over: threading.Event):
    """Receives what comes to a queue, and deletes it."""
    sqs = lake.client("sqs")
    while not over.is_set():
        try:
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
            for message in messages:
                seen.add(rule, json.loads(message["Body"]))
            if messages:
                entries = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)]
                sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        except Exception:  # noqa: BLE001 - the server is down: it comes back
            time.sleep(0.2)


class Arrivals:
    """Objects on their way; what was acknowledged is kept with its time."""

    def __init__(self, lake: Lake):
        self.lake, self.s3 = lake, lake.client("s3")
        self.acknowledged: dict[str, tuple[Event, float]] = {}
        self.unknown = 0
        self.lock = threading.Lock()

    def make(self, event: Event, call: Callable[[], dict]):
        """Carries a change out until it is acknowledged. What was not acknowledged may have happened all the same."""
        while True:
            try:
                answer = call()
            except Exception:  # noqa: BLE001 - the server is down: it comes back
                with self.lock:
                    self.unknown += 1
                time.sleep(0.2)
                continue
            now = time.monotonic()
            with self.lock:
                self.acknowledged[answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"]] = (event, now)
            return

    def put(self, key: str, body: bytes):
        self.make(Event("Object Created", key, len(body), "PutObject"), lambda: self.s3.put_object(Bucket=BUCKET, Key=key, Body=body))

    def copy(self, key: str, size: int):
        to = f"archive/{key}"
        self.make(Event("Object Created", to, size, "CopyObject"),
                  lambda: self.s3.copy_object(Bucket=BUCKET, Key=to, CopySource={"Bucket": BUCKET, "Key": key}))

    def delete(self, key: str):
        self.make(Event("Object Deleted", f"archive/{key}", 0, "DeleteObject"), lambda: self.s3.delete_object(Bucket=BUCKET, Key=f"archive/{key}"))


def compare(all_rules: list[Rule], arrivals: Arrivals, seen: Seen) -> tuple[list[tuple], int, int]:
    """A row for each rule, how many are missing, and how many came wrongly."""
    rows, missing, wrong = [], 0, 0
    for rule in all_rules:
        expected = {request for request, (event, _) in arrivals.acknowledged.items() if rule.matches(event)}
        arrived = Counter()
        times = []
        for event_id, when in seen.arrived[rule.name].items():
            request = seen.events[event_id][2]
            arrived[request] += len(when)
            if request in expected:
                times.append(max(0.0, min(when) - arrivals.acknowledged[request][1]))
            elif request in arrivals.acknowledged:
                wrong += 1
        lost = len(expected - arrived.keys())
        twice = sum(count - 1 for count in arrived.values())
        check(rule.webhook or twice == 0, f"{rule.name}: a queue holds an event twice")
        missing += lost
        times.sort()
        at = (lambda part: f"{times[min(len(times) - 1, int(len(times) * part))] * 1e3:,.0f} ms") if times else (lambda part: "-")
        rows.append((rule.name, "webhook" if rule.webhook else "queue", len(expected), sum(arrived.values()), lost, twice, at(0.5), at(0.99)))
    return rows, missing, wrong


def table(rows: list[tuple]) -> str:
    head = ("rule", "target", "expected", "arrived", "missing", "again", "median", "p99")
    shown = [head, *[tuple(f"{cell:,}" if isinstance(cell, int) else cell for cell in row) for row in rows]]
    widths = [max(len(row[n]) for row in shown) for n in range(len(head))]
    lines = ["  ".join(cell.ljust(width) if n < 2 else cell.rjust(width) for n, (cell, width) in enumerate(zip(row, widths))) for row in shown]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def work(lake: Lake, days: dict[str, bytes], arrivals: Arrivals):
    """Puts every day, copies every tenth and deletes the copies again; the server is killed when half of it is done."""
    killed = threading.Event()

    def kill():
        while len(arrivals.acknowledged) < len(days) // 2:
            time.sleep(0.01)
        print(f"    the server is killed after {len(arrivals.acknowledged)} changes ...", flush=True)
        lake.kill()
        started = time.monotonic()
        lake.start()
        print(f"    ... and is back after {time.monotonic() - started:.1f} s", flush=True)
        killed.set()

    killer = threading.Thread(target=kill)
    killer.start()
    keys = sorted(days)
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda key: arrivals.put(key, days[key]), keys))
        list(pool.map(lambda key: arrivals.copy(key, len(days[key])), keys[::10]))
        list(pool.map(arrivals.delete, keys[::10]))
    killer.join()
    check(killed.is_set(), "the server was not killed")


def wait_for(all_rules: list[Rule], arrivals: Arrivals, seen: Seen):
    expected = {rule.name: sum(rule.matches(event) for event, _ in arrivals.acknowledged.values()) for rule in all_rules}
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and any(seen.count(name) < count for name, count in expected.items()):
        time.sleep(0.1)
    # What should not come has a moment to come all the same.
    time.sleep(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True, help="the server's program")
    parser.add_argument("--directory", required=True, type=Path, help="an empty directory for its data")
    parser.add_argument("--days", type=int, default=365, help="how many days of flights (default: all of 2013)")
    args = parser.parse_args()
    print("read the flights ...", flush=True)
    days = dict(sorted(by_day(flights()).items())[: args.days])
    all_rules = rules(sorted(len(body) for body in days.values()))
    lake, seen, over = Lake(args.binary, args.directory, "--outbound-allow", "127.0.0.0/8"), Seen(), threading.Event()
    hook = webhook(seen)
    lake.start()
    try:
        print(f"set up {len(all_rules)} rules ...", flush=True)
        queues = set_up(lake, all_rules, f"http://127.0.0.1:{hook.server_port}")
        readers = [threading.Thread(target=drain, args=(lake, rule, url, seen, over), daemon=True) for rule, url in queues.items()]
        for reader in readers:
            reader.start()
        print(f"{len(days)} days arrive ...", flush=True)
        arrivals, started = Arrivals(lake), time.monotonic()
        work(lake, days, arrivals)
        wait_for(all_rules, arrivals, seen)
        seconds = time.monotonic() - started
        rows, missing, wrong = compare(all_rules, arrivals, seen)
        print("\n" + table(rows))
        total = sum(row[3] for row in rows)
        print(f"\n{len(arrivals.acknowledged):,} changes acknowledged ({arrivals.unknown} calls met the killed server), {total:,} deliveries in {seconds:.1f} s; missing {missing}, "
              f"sent again {sum(row[5] for row in rows)}, wrong {wrong}")
        medians = [float(row[6].removesuffix(" ms").replace(",", "")) for row in rows if row[6] != "-"]
        print(f"median of the rules' medians: {statistics.median(medians):,.0f} ms from the acknowledgement to the receiver")
        check(missing == 0 and wrong == 0, "events are missing or wrong")
    finally:
        over.set()
        lake.stop()


if __name__ == "__main__":
    main()
