"""Amazon DynamoDB compared with a naive model of it: random operations, the same answers; and what a killed server keeps: what was acknowledged is there,
each change is told by the stream once, and those of an item in order."""

import os
import random
import threading
import time
from decimal import Decimal

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from harness.dynamo import dynamo, item, make_table, paged, read_stream, stream_arn, stream_of, streams, until, value_of

KILLS = int(os.environ.get("MILLPOND_KILLS", "10"))
LOAD_SECONDS = float(os.environ.get("MILLPOND_LOAD_SECONDS", "2"))
STEPS = int(os.environ.get("MILLPOND_MODEL_STEPS", "1500"))

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(max(900, KILLS * 60))]
FAILED = (BotoCoreError, ClientError)


def dice() -> random.Random:
    seed = int(os.environ.get("MILLPOND_SEED", random.randrange(1 << 32)))
    print(f"rerun with MILLPOND_SEED={seed}")
    return random.Random(seed)


class Model:
    """A table with the key (p, s), an index by `q` and `n`, and a list of all changes."""

    def __init__(self):
        self.items: dict[tuple[str, int], dict] = {}
        self.changes: list[tuple[str, tuple[str, int], dict | None, dict | None]] = []

    def write(self, key: tuple[str, int], new: dict | None) -> dict | None:
        old = self.items.get(key)
        if new is None:
            self.items.pop(key, None)
        else:
            self.items[key] = new
        if old != new:
            kind = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
            self.changes.append((kind, key, old, new))
        return old

    def query(self, p: str, low: int, high: int, forward: bool) -> list[dict]:
        found = sorted(key for key in self.items if key[0] == p and low <= key[1] <= high)
        return [self.items[key] for key in (found if forward else reversed(found))]

    def by_q(self, q: str) -> list[dict]:
        found = [one for one in self.items.values() if one.get("q") == q and "n" in one]
        return sorted(found, key=lambda one: (one["n"], one["p"], one["s"]))


def plain(attributes: dict | None):
    """As the model has it."""
    if attributes is None:
        return None
    number = lambda text: int(Decimal(text))  # noqa: E731
    return {name: number(value["N"]) if "N" in value else value["S"] if "S" in value else frozenset(value["SS"]) for name, value in attributes.items()}


def wired(attributes: dict) -> dict:
    return {name: value_of(set(value)) if isinstance(value, frozenset) else value_of(value) for name, value in attributes.items()}


class Both:
    """The server and the model, asked the same."""

    def __init__(self, server, ddb, table: str, rolls: random.Random):
        self.server, self.ddb, self.table, self.dice, self.model = server, ddb, table, rolls, Model()

    def key(self) -> tuple[str, int]:
        return (self.dice.choice("abc"), self.dice.randrange(-3, 6))

    def fresh(self, key: tuple[str, int]) -> dict:
        new: dict = {"p": key[0], "s": key[1]}
        if self.dice.random() < 0.7:
            new["n"] = self.dice.randrange(10)
        if self.dice.random() < 0.7:
            new["q"] = self.dice.choice(["x", "y"])
        if self.dice.random() < 0.3:
            new["set"] = frozenset(self.dice.sample("klmn", self.dice.randrange(1, 4)))
        if self.dice.random() < 0.1:
            new["big"] = self.dice.choice("uvw") * self.dice.choice([10, 70_000, 200_000])
        return new

    def of(self, key: tuple[str, int]) -> dict:
        return {"TableName": self.table, "Key": item(p=key[0], s=key[1])}

    def put(self):
        key = self.key()
        new = self.fresh(key)
        old = self.ddb.put_item(TableName=self.table, Item=wired(new), ReturnValues="ALL_OLD").get("Attributes")
        assert plain(old) == self.model.write(key, new)

    def put_if(self):
        key = self.key()
        new, limit = self.fresh(key), self.dice.randrange(10)
        now = self.model.items.get(key)
        holds = now is None or now.get("n", 99) < limit
        try:
            self.ddb.put_item(
                TableName=self.table, Item=wired(new), ConditionExpression="attribute_not_exists(p) OR n < :l", ExpressionAttributeValues=item(**{":l": limit})
            )
            assert holds
            self.model.write(key, new)
        except self.ddb.exceptions.ConditionalCheckFailedException:
            assert not holds

    def update(self):
        key = self.key()
        now = self.model.items.get(key)
        new = dict(now or {"p": key[0], "s": key[1]})
        by, members = self.dice.randrange(-2, 5), frozenset(self.dice.sample("klmn", 2))
        match self.dice.randrange(4):
            case 0:
                expression, values = "ADD n :by, #set :m", {":by": by, ":m": set(members)}
                new["n"] = new.get("n", 0) + by
                new["set"] = new.get("set", frozenset()) | members
            case 1:
                expression, values = "DELETE #set :m SET q = :q", {":m": set(members), ":q": "x"}
                left = new.pop("set", frozenset()) - members
                new.update({"set": left} if left else {}, q="x")
            case 2:
                expression, values = "SET n = if_not_exists(n, :by) + :by REMOVE q, big, #set", {":by": by}
                new["n"] = new.get("n", by) + by
                for name in ("q", "big", "set"):
                    new.pop(name, None)
            case _:
                expression, values = "REMOVE n, #set", None
                new.pop("n", None)
                new.pop("set", None)
        more = {"ExpressionAttributeValues": item(**values)} if values else {}
        got = self.ddb.update_item(**self.of(key), UpdateExpression=expression, ReturnValues="ALL_NEW", ExpressionAttributeNames={"#set": "set"}, **more)["Attributes"]
        assert plain(got) == new, expression
        self.model.write(key, new)

    def delete(self):
        key = self.key()
        old = self.ddb.delete_item(**self.of(key), ReturnValues="ALL_OLD").get("Attributes")
        assert plain(old) == self.model.write(key, None)

    def get(self):
        key = self.key()
        assert plain(self.ddb.get_item(**self.of(key), ConsistentRead=True).get("Item")) == self.model.items.get(key)

    def batch(self):
        writes = []
        for key in {self.key() for _ in range(5)}:
            new = None if self.dice.random() < 0.4 else self.fresh(key)
            self.model.write(key, new)
            writes.append({"PutRequest": {"Item": wired(new)}} if new else {"DeleteRequest": {"Key": item(p=key[0], s=key[1])}})
        done = self.ddb.batch_write_item(RequestItems={self.table: writes})
        assert done["UnprocessedItems"] == {}

    def transact(self):
        actions, writes, holds = [], [], True
        for key in {self.key() for _ in range(4)}:
            there = key in self.model.items
            want = self.dice.random() < 0.8
            condition = {"ConditionExpression": "attribute_exists(p)" if there == want else "attribute_not_exists(p)"}
            holds &= want
            kind = self.dice.randrange(3)
            if kind == 0:
                new = self.fresh(key)
                actions.append({"Put": {"TableName": self.table, "Item": wired(new), **condition}})
                writes.append((key, new))
            elif kind == 1:
                actions.append({"Delete": {**self.of(key), **condition}})
                writes.append((key, None))
            else:
                actions.append({"ConditionCheck": {**self.of(key), **condition}})
        try:
            self.ddb.transact_write_items(TransactItems=actions)
            assert holds
            for key, new in writes:
                self.model.write(key, new)
        except self.ddb.exceptions.TransactionCanceledException:
            assert not holds

    def query(self):
        p, forward, limit = self.dice.choice("abc"), self.dice.random() < 0.5, self.dice.choice([1, 2, 5, 100])
        low, high = sorted(self.dice.randrange(-4, 7) for _ in range(2))
        values = item(**{":p": p, ":low": low, ":high": high})
        got = paged(
            self.ddb.query, "Items", TableName=self.table, KeyConditionExpression="p = :p AND s BETWEEN :low AND :high", ExpressionAttributeValues=values,
            ScanIndexForward=forward, Limit=limit, ConsistentRead=True,
        )  # fmt: skip
        assert [plain(one) for one in got] == self.model.query(p, low, high, forward)

    def index(self):
        q, limit = self.dice.choice("xy"), self.dice.choice([1, 3, 100])
        got = paged(
            self.ddb.query, "Items", TableName=self.table, IndexName="by-q", KeyConditionExpression="q = :q", ExpressionAttributeValues=item(**{":q": q}), Limit=limit
        )
        got = [plain(one) for one in got]
        assert [one["n"] for one in got] == sorted(one["n"] for one in got)
        assert sorted(got, key=lambda one: (one["n"], one["p"], one["s"])) == self.model.by_q(q)

    def scan(self):
        total = self.dice.randrange(1, 4)
        got = [one for segment in range(total) for one in paged(self.ddb.scan, "Items", TableName=self.table, Segment=segment, TotalSegments=total, Limit=4)]
        assert {(one["p"]["S"], int(one["s"]["N"])): plain(one) for one in got} == self.model.items
        assert len(got) == len(self.model.items)

    def kill(self):
        self.server.restart_after_kill()

    def step(self, kills: bool):
        often = [self.put, self.put_if, self.update, self.update, self.delete, self.get, self.batch, self.transact, self.query, self.index]
        calls = often * 4 + [self.scan]
        if kills and self.dice.random() < 4 / STEPS:
            calls = [self.kill]
        self.dice.choice(calls)()

    def told(self):
        """The stream has each change, once, and those of an item in order."""
        expected: dict[tuple[str, int], list] = {}
        for kind, key, old, new in self.model.changes:
            expected.setdefault(key, []).append((kind, old, new))
        got: dict[tuple[str, int], list] = {}
        for record in read_stream(streams(self.server), stream_arn(self.ddb, self.table)):
            told = record["dynamodb"]
            key = (told["Keys"]["p"]["S"], int(told["Keys"]["s"]["N"]))
            got.setdefault(key, []).append((record["eventName"], plain(told.get("OldImage")), plain(told.get("NewImage"))))
        assert got == expected


def test_random_operations_and_kills(make_server):
    rolls = dice()
    server = make_server()
    ddb = dynamo(server)
    table = make_table(ddb, "p:S s:N", indexes={"by-q": "q:S n:N"}, **stream_of())
    both = Both(server, ddb, table, rolls)
    for step in range(STEPS):
        try:
            both.step(kills=True)
        except AssertionError:
            print(f"step {step}")
            raise
    both.told()
    got = ddb.describe_table(TableName=table)["Table"]
    assert got["ItemCount"] == len(both.model.items)
    both.scan()


# What is killed while several write.


class Writer(threading.Thread):
    """Writes its own items, each with the number of the write, and counts in common ones, until the server is gone."""

    def __init__(self, server, table: str, number: int, kept: dict[str, int], seed: int, stop: threading.Event):
        super().__init__()
        self.ddb = dynamo(server, connect_timeout=2, read_timeout=20)
        self.table, self.number, self.kept, self.dice, self.stop = table, number, kept, random.Random(seed), stop
        # By key: the last write that was acknowledged, and the last that was tried.
        self.tried: dict[str, int] = {}
        self.added = self.maybe_added = 0
        self.due: list[str] = []

    def run(self):
        while not self.stop.is_set():
            try:
                self.dice.choice([self.put, self.put, self.add, self.pair, self.expiring])()
            except FAILED:
                return

    def next(self, p: str) -> int:
        self.tried[p] = max(self.tried.get(p, 0), self.kept.get(p, 0)) + 1
        return self.tried[p]

    def put(self):
        p = f"own {self.number} {self.dice.randrange(5)}"
        v = self.next(p)
        big = {"big": "x" * 80_000} if self.dice.random() < 0.1 else {}
        self.ddb.put_item(TableName=self.table, Item=item(p=p, v=v, **big))
        self.kept[p] = v

    def pair(self):
        """Two items by a transaction: never one without the other."""
        one, two = f"pair {self.number} a", f"pair {self.number} b"
        v = self.next(one)
        self.tried[two] = v
        self.ddb.transact_write_items(TransactItems=[{"Put": {"TableName": self.table, "Item": item(p=p, v=v)}} for p in (one, two)])
        self.kept[one] = self.kept[two] = v

    def add(self):
        self.maybe_added += 1
        self.ddb.update_item(TableName=self.table, Key=item(p="counter"), UpdateExpression="ADD v :one", ExpressionAttributeValues=item(**{":one": 1}))
        self.added += 1

    def expiring(self):
        p = f"due {self.number} {self.dice.randrange(1 << 48)}"
        self.ddb.put_item(TableName=self.table, Item=item(p=p, v=1, ttl=int(time.time()) + self.dice.randrange(0, 3)))
        self.due.append(p)


def test_kills_lose_nothing_and_tell_nothing_twice(make_server):
    rolls = dice()
    server = make_server()
    ddb = dynamo(server)
    table = make_table(ddb, **stream_of())
    ddb.update_time_to_live(TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    kept: list[dict[str, int]] = [{} for _ in range(4)]
    added = maybe_added = 0
    due: list[str] = []
    for kill in range(KILLS):
        stop = threading.Event()
        writers = [Writer(server, table, number, kept[number], rolls.randrange(1 << 32), stop) for number in range(4)]
        for one in writers:
            one.start()
        time.sleep(rolls.uniform(0.1, LOAD_SECONDS))
        server.kill()
        stop.set()
        for one in writers:
            one.join()
            added, maybe_added = added + one.added, maybe_added + one.maybe_added
            due += one.due
        server.start()
        there = {one["p"]["S"]: int(one["v"]["N"]) for one in paged(ddb.scan, "Items", TableName=table, ConsistentRead=True)}
        for one in writers:
            for p, v in one.kept.items():
                assert v <= there.get(p, 0) <= max(one.tried.get(p, 0), v), (p, v, there.get(p), one.tried.get(p))
                # What was tried may be there: it counts from now on.
                one.kept[p] = there[p]
            for p in set(one.tried) - set(one.kept):
                if p in there:
                    one.kept[p] = there[p]
            assert there.get(f"pair {one.number} a") == there.get(f"pair {one.number} b")
        assert added <= there.get("counter", 0) <= maybe_added
        print(f"kill {kill + 1}/{KILLS}: {sum(len(one) for one in kept)} items, {there.get('counter', 0)} added, {len(due)} due", flush=True)
    left = lambda: {one["p"]["S"]: one for one in paged(ddb.scan, "Items", TableName=table, ConsistentRead=True)}  # noqa: E731
    until(lambda: not any("ttl" in one for one in left().values()), 120)
    there = left()
    by_key: dict[str, list[dict]] = {}
    for record in read_stream(streams(server), stream_arn(ddb, table)):
        by_key.setdefault(record["dynamodb"]["Keys"]["p"]["S"], []).append(record)
    for p, records in by_key.items():
        # Each change goes on from the one before it: none is missing, and none is told twice.
        image = None
        for record in records:
            assert record["dynamodb"].get("OldImage") == image, p
            image = record["dynamodb"].get("NewImage")
        assert image == there.get(p), p
    for p in due:
        [first, last] = by_key[p]
        assert (first["eventName"], last["eventName"], last["userIdentity"]["PrincipalId"]) == ("INSERT", "REMOVE", "dynamodb.amazonaws.com")
    assert set(there) <= set(by_key) and len(due) > 0 and added > 0
    assert ddb.describe_table(TableName=table)["Table"]["ItemCount"] == len(there)
