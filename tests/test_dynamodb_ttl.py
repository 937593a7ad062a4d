"""Time to live of Amazon DynamoDB's items."""

import time

import pytest
from harness.clients import client, refused
from harness.dynamo import dynamo, item, make_table, paged, read_stream, stream_arn, stream_of, streams, until, value_of
from harness.identities import User, allow
from harness.movable import advance

pytestmark = pytest.mark.restarts  # knows the clock of the server it started

YEAR = 365 * 24 * 60 * 60


@pytest.fixture(scope="module")
def ddb(server):
    return dynamo(server)


@pytest.fixture(scope="module")
def ddbs(server):
    return streams(server)


def switch(ddb, table: str, enabled: bool = True, attribute: str = "ttl") -> None:
    given = {"Enabled": enabled, "AttributeName": attribute}
    assert ddb.update_time_to_live(TableName=table, TimeToLiveSpecification=given)["TimeToLiveSpecification"] == given


def standing(ddb, table: str) -> dict:
    return ddb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]


def settled(ddb, table: str, status: str) -> None:
    until(lambda: standing(ddb, table)["TimeToLiveStatus"] == status)


def with_ttl(ddb, *args, **more) -> str:
    table = make_table(ddb, *args, **more)
    switch(ddb, table)
    settled(ddb, table, "ENABLED")
    return table


def keys(ddb, table: str, **more) -> set[str]:
    return {one["p"]["S"] for one in paged(ddb.scan, "Items", TableName=table, ConsistentRead="IndexName" not in more, **more)}


def now() -> int:
    return int(time.time())


def test_it_is_switched_and_described(ddb):
    table = make_table(ddb)
    assert standing(ddb, table) == {"TimeToLiveStatus": "DISABLED"}
    with refused("ValidationException", 400) as error:
        switch(ddb, table, False)
    assert error["Error"]["Message"] == "TimeToLive is already disabled"
    switch(ddb, table)
    assert standing(ddb, table)["TimeToLiveStatus"] in ("ENABLING", "ENABLED")
    settled(ddb, table, "ENABLED")
    assert standing(ddb, table) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
    with refused("ValidationException", 400) as error:
        switch(ddb, table)
    assert error["Error"]["Message"] == "TimeToLive is already enabled"
    for enabled in (True, False):
        with refused("ValidationException", 400) as error:
            switch(ddb, table, enabled, "other")
        assert error["Error"]["Message"] == "TimeToLive is active on a different AttributeName: current AttributeName is ttl"
    switch(ddb, table, False)
    settled(ddb, table, "DISABLED")
    switch(ddb, table, True, "other")
    settled(ddb, table, "ENABLED")
    assert standing(ddb, table)["AttributeName"] == "other"


def test_items_go_when_their_time_comes(ddb, ddbs):
    table = with_ttl(ddb, "p:S s:N", indexes={"by-q": "q:S"}, **stream_of())
    due = now() + 3
    ddb.put_item(TableName=table, Item=item(p="goes", s=1, q="q", ttl=due))
    ddb.put_item(TableName=table, Item=item(p="stays", s=1, q="q", ttl=due + 3600))
    assert keys(ddb, table) == {"goes", "stays"}
    until(lambda: keys(ddb, table) == {"stays"})
    assert now() >= due
    assert keys(ddb, table, IndexName="by-q") == {"stays"}
    [record] = [record for record in read_stream(ddbs, stream_arn(ddb, table)) if record["eventName"] == "REMOVE"]
    assert record["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    told = record["dynamodb"]
    assert told["Keys"] == item(p="goes", s=1) and told["OldImage"] == item(p="goes", s=1, q="q", ttl=due) and "NewImage" not in told
    # What somebody deletes himself is told without that.
    ddb.delete_item(TableName=table, Key=item(p="stays", s=1))
    [record] = [record for record in read_stream(ddbs, stream_arn(ddb, table)) if record["dynamodb"]["Keys"]["p"] == {"S": "stays"} and record["eventName"] == "REMOVE"]
    assert "userIdentity" not in record


def test_what_is_no_time_stays(ddb):
    table = with_ttl(ddb)
    past = now() - 100
    stays = {
        "text": str(past), "list": [past], "map": {"ttl": past}, "set": {past}, "none": None, "far": now() + 10 * YEAR, "milliseconds": now() * 1000,
        "long ago": now() - 6 * YEAR, "negative": -5, "small": 5, "large": 10**30,
    }  # fmt: skip
    for p, ttl in stays.items():
        ddb.put_item(TableName=table, Item=item(p=p, ttl=ttl))
    ddb.put_item(TableName=table, Item=item(p="without"))
    ddb.put_item(TableName=table, Item=item(p="other", TTL=past))
    for p, ttl in [("past", past), ("years ago", now() - 4 * YEAR)]:
        ddb.put_item(TableName=table, Item=item(p=p, ttl=ttl))
    ddb.put_item(TableName=table, Item={"p": {"S": "fraction"}, "ttl": {"N": f"{past}.5"}})
    expected = {*stays, "without", "other"}
    until(lambda: keys(ddb, table) <= expected, 90)
    time.sleep(1)
    assert keys(ddb, table) == expected


def test_a_renewed_item_stays(ddb):
    table = with_ttl(ddb)
    due = now() + 4
    for p in ("renewed", "without", "put anew", "sooner", "goes"):
        ddb.put_item(TableName=table, Item=item(p=p, ttl=due if p != "sooner" else due + 3600))
    update = lambda p, expression, **values: ddb.update_item(  # noqa: E731
        TableName=table, Key=item(p=p), UpdateExpression=expression, ExpressionAttributeNames={"#t": "ttl"},
        **({"ExpressionAttributeValues": item(**{f":{name}": value for name, value in values.items()})} if values else {}),
    )  # fmt: skip
    update("renewed", "SET #t = :t", t=due + 3600)
    update("without", "REMOVE #t")
    ddb.put_item(TableName=table, Item=item(p="put anew", ttl=due + 3600))
    update("sooner", "SET #t = :t", t=due)
    until(lambda: keys(ddb, table) <= {"renewed", "without", "put anew"})
    time.sleep(2)
    assert keys(ddb, table) == {"renewed", "without", "put anew"}


def test_items_that_were_there_before(ddb, ddbs):
    table = make_table(ddb, **stream_of("KEYS_ONLY"))
    due = now() + 2
    for start in range(0, 500, 25):
        writes = [{"PutRequest": {"Item": item(p=str(n), ttl=due if n % 2 else due + 3600)}} for n in range(start, start + 25)]
        ddb.batch_write_item(RequestItems={table: writes})
    switch(ddb, table)
    until(lambda: len(keys(ddb, table)) == 250, 90)
    assert keys(ddb, table) == {str(n) for n in range(0, 500, 2)}
    gone = [record["dynamodb"]["Keys"]["p"]["S"] for record in read_stream(ddbs, stream_arn(ddb, table)) if record["eventName"] == "REMOVE"]
    assert sorted(gone) == sorted(str(n) for n in range(1, 500, 2))
    # Switched off, nothing goes any more.
    ddb.put_item(TableName=table, Item=item(p="late", ttl=now() + 2))
    switch(ddb, table, False)
    settled(ddb, table, "DISABLED")
    time.sleep(4)
    assert "late" in keys(ddb, table)
    switch(ddb, table)
    until(lambda: "late" not in keys(ddb, table))


def test_minutes_and_downtime(make_server):
    server = make_server(args=["--movable-clock"])
    ddb = dynamo(server)
    table = with_ttl(ddb, **stream_of())
    for minutes in (5, 10, 600):
        ddb.put_item(TableName=table, Item=item(p=str(minutes), ttl=now() + 60 * minutes))
    advance(server, 299)
    advance(server, 20)
    until(lambda: keys(ddb, table) == {"10", "600"})
    ddb.put_item(TableName=table, Item=item(p="soon", ttl=now() + 400))
    server.kill()
    server.start()
    assert keys(ddb, table) == {"10", "600", "soon"}
    # What was due while the server was down goes late, not never.
    advance(server, 700)
    until(lambda: keys(ddb, table) == {"600"})
    removed = [record for record in read_stream(streams(server), stream_arn(ddb, table)) if record["eventName"] == "REMOVE"]
    assert sorted(record["dynamodb"]["Keys"]["p"]["S"] for record in removed) == ["10", "5", "soon"]
    assert all(record["userIdentity"]["Type"] == "Service" for record in removed)


def test_thousands_at_once(make_server):
    server = make_server(args=["--movable-clock"])
    ddb = dynamo(server)
    tables = [with_ttl(ddb, **stream_of("KEYS_ONLY")) for _ in range(2)]
    count = 2000
    for table in tables:
        for start in range(0, count, 25):
            writes = [{"PutRequest": {"Item": item(p=str(n), ttl=now() + 300)}} for n in range(start, start + 25)]
            ddb.batch_write_item(RequestItems={table: writes})
    advance(server, 310)
    # Others write meanwhile.
    written = 0

    def drained():
        nonlocal written
        ddb.put_item(TableName=tables[0], Item=item(p=f"own {written}"))
        written += 1
        return all(ddb.scan(TableName=table, Select="COUNT", Limit=1000)["Count"] < 1000 and len(keys(ddb, table)) <= written for table in tables)

    until(drained, 120)
    assert keys(ddb, tables[0]) == {f"own {n}" for n in range(written)} and keys(ddb, tables[1]) == set()
    for table in tables:
        removed = [record["dynamodb"]["Keys"]["p"]["S"] for record in read_stream(streams(server), stream_arn(ddb, table)) if record["eventName"] == "REMOVE"]
        assert len(removed) == count and set(removed) == {str(n) for n in range(count)}
    assert ddb.describe_table(TableName=tables[1])["Table"]["ItemCount"] == 0


def test_large_items_go_as_well(ddb, ddbs):
    table = with_ttl(ddb, **stream_of())
    due = now() + 2
    for n in range(8):
        ddb.put_item(TableName=table, Item=item(p=str(n), ttl=due, big=str(n) * 390_000))
    until(lambda: keys(ddb, table) == set())
    removed = [record["dynamodb"]["OldImage"] for record in read_stream(ddbs, stream_arn(ddb, table)) if record["eventName"] == "REMOVE"]
    assert sorted(image["p"]["S"] for image in removed) == [str(n) for n in range(8)]
    assert all(image["big"] == value_of(image["p"]["S"] * 390_000) for image in removed)


def test_who_may_switch_it(ddb, server):
    table = make_table(ddb)
    arn = ddb.describe_table(TableName=table)["Table"]["TableArn"]
    user = User(server, client(server, "iam"), allow("dynamodb:DescribeTimeToLive", arn)).client("dynamodb")
    assert standing(user, table) == {"TimeToLiveStatus": "DISABLED"}
    with refused("AccessDeniedException", 400):
        switch(user, table)


def test_the_command_line(ddb, tools):
    table = make_table(ddb)
    tools.aws("dynamodb", "update-time-to-live", "--table-name", table, "--time-to-live-specification", "Enabled=true,AttributeName=ttl")
    assert b"ENABL" in tools.aws("dynamodb", "describe-time-to-live", "--table-name", table).stdout
    with refused("ResourceNotFoundException", 400):
        switch(ddb, table + "x")
