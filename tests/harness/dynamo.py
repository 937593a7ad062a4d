"""Tables for tests, and what tests ask of them again and again."""

from __future__ import annotations

import time

from harness.clients import client
from harness.identities import name


def dynamo(server, **config):
    return client(server, "dynamodb", **config)


def streams(server, **config):
    return client(server, "dynamodbstreams", **config)


def make_table(ddb, keys: str = "p:S", *, indexes: dict[str, str] | None = None, local: dict[str, str] | None = None, **more) -> str:
    """A table on demand. `keys` is "p:S" or "p:S s:N"; so are the keys of its indexes (all attributes are projected)."""
    table = more.pop("TableName", None) or name("t")
    kinds: dict[str, str] = {}

    def schema(text: str) -> list[dict]:
        pairs = [pair.split(":") for pair in text.split()]
        kinds.update({attribute: kind for attribute, kind in pairs})
        return [{"AttributeName": attribute, "KeyType": role} for (attribute, _), role in zip(pairs, ("HASH", "RANGE"))]

    def described(of: dict[str, str]) -> list[dict]:
        everything = {"ProjectionType": "ALL"}
        return [{"IndexName": index, "KeySchema": schema(text), "Projection": everything} for index, text in of.items()]

    given = {"TableName": table, "KeySchema": schema(keys), "BillingMode": "PAY_PER_REQUEST"}
    if indexes:
        given["GlobalSecondaryIndexes"] = described(indexes)
    if local:
        given["LocalSecondaryIndexes"] = described(local)
    given["AttributeDefinitions"] = [{"AttributeName": attribute, "AttributeType": kind} for attribute, kind in kinds.items()]
    ddb.create_table(**{**given, **more})
    ddb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
    return table


def stream_of(view: str = "NEW_AND_OLD_IMAGES") -> dict:
    return {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": view}}


def item(**values) -> dict:
    """Attribute values of plain ones: numbers, strings, bytes, booleans, lists, maps."""
    return {attribute: value_of(value) for attribute, value in values.items()}


def value_of(value) -> dict:
    match value:
        case bool():
            return {"BOOL": value}
        case None:
            return {"NULL": True}
        case int() | float():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case bytes():
            return {"B": value}
        case list():
            return {"L": [value_of(each) for each in value]}
        case dict():
            return {"M": item(**value)}
        case set():
            first = next(iter(value))
            if isinstance(first, str):
                return {"SS": sorted(value)}
            if isinstance(first, bytes):
                return {"BS": sorted(value)}
            return {"NS": [str(each) for each in sorted(value)]}
    raise TypeError(value)


def paged(call, key: str, token: str = "LastEvaluatedKey", start: str = "ExclusiveStartKey", **given) -> list:
    """Everything of a call that answers page by page."""
    found = []
    while True:
        page = call(**given)
        found += page.get(key, [])
        if not page.get(token):
            return found
        given[start] = page[token]


def until(check, seconds: float = 60):
    """What becomes true sooner or later."""
    deadline = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)


def stream_arn(ddb, table: str) -> str:
    return ddb.describe_table(TableName=table)["Table"]["LatestStreamArn"]


def shards(ddbs, arn: str) -> list[dict]:
    found, start = [], {}
    while True:
        page = ddbs.describe_stream(StreamArn=arn, **start)["StreamDescription"]
        found += page["Shards"]
        if "LastEvaluatedShardId" not in page:
            return found
        start = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}


def read_shard(ddbs, arn: str, shard: str, kind: str = "TRIM_HORIZON", limit: int = 1000, **more) -> list[dict]:
    """All records of a shard that are there now."""
    at = ddbs.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType=kind, **more)["ShardIterator"]
    found: list[dict] = []
    while at:
        page = ddbs.get_records(ShardIterator=at, Limit=limit)
        if not page["Records"] and "NextShardIterator" in page:
            # Nothing now; there may be gaps before what is there, so it is asked a second time.
            again = ddbs.get_records(ShardIterator=page["NextShardIterator"], Limit=limit)
            if not again["Records"]:
                return found
            page = again
        found += page["Records"]
        at = page.get("NextShardIterator")
    return found


def read_stream(ddbs, arn: str, **more) -> list[dict]:
    """All records of a stream that are there now, shard by shard."""
    return [record for shard in shards(ddbs, arn) for record in read_shard(ddbs, arn, shard["ShardId"], **more)]
