"""Amazon DynamoDB Streams with boto3 and the aws CLI."""

import datetime
import json
import threading
import time

import pytest
from harness.clients import client, refused
from harness.dynamo import dynamo, item, make_table, read_shard, read_stream, shards, stream_arn, stream_of, streams, until
from harness.identities import User, allow, name
from harness.movable import advance
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # knows the account of the server it started

DAY = 24 * 60 * 60


@pytest.fixture(scope="module")
def ddb(server):
    return dynamo(server)


@pytest.fixture(scope="module")
def ddbs(server):
    return streams(server)


def describe(ddb, table: str) -> dict:
    return ddb.describe_table(TableName=table)["Table"]


def changes(ddb, table: str) -> None:
    """An insertion, a modification and a removal, and what changes nothing."""
    key = {"TableName": table, "Key": item(p="a", s=1)}
    ddb.put_item(TableName=table, Item=item(p="a", s=1, n=1))
    ddb.put_item(TableName=table, Item=item(p="a", s=1, n=1))
    ddb.update_item(**key, UpdateExpression="SET n = :n", ExpressionAttributeValues=item(**{":n": 2}))
    ddb.update_item(**key, UpdateExpression="SET n = :n", ExpressionAttributeValues=item(**{":n": 2}))
    ddb.update_item(**key, UpdateExpression="REMOVE nothing")
    ddb.delete_item(**key)
    ddb.delete_item(**key)


@pytest.mark.parametrize("view", ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"])
def test_what_each_view_has(ddb, ddbs, view):
    table = make_table(ddb, "p:S s:N", **stream_of(view))
    got = describe(ddb, table)
    assert got["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": view}
    label = got["LatestStreamLabel"]
    datetime.datetime.strptime(label, "%Y-%m-%dT%H:%M:%S.%f")
    arn = got["LatestStreamArn"]
    assert arn == f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/{table}/stream/{label}"
    changes(ddb, table)
    records = read_stream(ddbs, arn)
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    one, two = item(p="a", s=1, n=1), item(p="a", s=1, n=2)
    for record, new, old in zip(records, [one, two, None], [None, one, two]):
        assert (record["eventVersion"], record["eventSource"], record["awsRegion"]) == ("1.1", "aws:dynamodb", "us-east-1")
        assert len(record["eventID"]) == 32 and "userIdentity" not in record
        told = record["dynamodb"]
        assert (told["Keys"], told["StreamViewType"]) == (item(p="a", s=1), view)
        assert told.get("NewImage") == (new if view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES") else None)
        assert told.get("OldImage") == (old if view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES") else None)
        assert told["SequenceNumber"].isdigit() and 21 <= len(told["SequenceNumber"]) <= 40
        assert abs(told["ApproximateCreationDateTime"].timestamp() - time.time()) < 120
        # Names and values: "p" and "a", "s" and 1; with "n" the items are 3 bytes longer.
        images = sum(2 + 3 + 3 for image in ("NewImage", "OldImage") if image in told)
        assert told["SizeBytes"] == 2 + 3 + images
    assert len({record["eventID"] for record in records}) == 3
    assert [record["eventID"] for record in read_stream(ddbs, arn)] == [record["eventID"] for record in records]


def test_streams_are_described_and_listed(ddb, ddbs):
    table = make_table(ddb, "p:S s:N", **stream_of())
    arn = stream_arn(ddb, table)
    got = ddbs.describe_stream(StreamArn=arn)["StreamDescription"]
    assert (got["StreamArn"], got["StreamStatus"], got["StreamViewType"], got["TableName"]) == (arn, "ENABLED", "NEW_AND_OLD_IMAGES", table)
    assert got["KeySchema"] == [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}]
    assert got["StreamLabel"] == arn.rsplit("/", 1)[1]
    ids = [shard["ShardId"] for shard in got["Shards"]]
    assert len(ids) == len(set(ids)) >= 1 and all(shard["SequenceNumberRange"].keys() == {"StartingSequenceNumber"} for shard in got["Shards"])
    page, paged = ddbs.describe_stream(StreamArn=arn, Limit=1)["StreamDescription"], []
    while True:
        paged += [shard["ShardId"] for shard in page["Shards"]]
        if "LastEvaluatedShardId" not in page:
            break
        page = ddbs.describe_stream(StreamArn=arn, Limit=1, ExclusiveStartShardId=page["LastEvaluatedShardId"])["StreamDescription"]
    assert paged == ids
    listed = ddbs.list_streams(TableName=table)["Streams"]
    assert listed == [{"StreamArn": arn, "TableName": table, "StreamLabel": got["StreamLabel"]}]
    other = stream_arn(ddb, make_table(ddb, "p:S", **stream_of()))
    found, start = [], {}
    while True:
        page = ddbs.list_streams(Limit=1, **start)
        found += [one["StreamArn"] for one in page["Streams"]]
        if "LastEvaluatedStreamArn" not in page:
            break
        start = {"ExclusiveStartStreamArn": page["LastEvaluatedStreamArn"]}
    assert len(found) == len(set(found)) and {arn, other} <= set(found)
    assert ddbs.list_streams(TableName=make_table(ddb))["Streams"] == []


def test_all_kinds_of_iterators(ddb, ddbs):
    table = make_table(ddb, **stream_of("KEYS_ONLY"))
    arn = stream_arn(ddb, table)
    ids = [shard["ShardId"] for shard in shards(ddbs, arn)]
    latest = {shard: ddbs.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="LATEST")["ShardIterator"] for shard in ids}
    for n in range(10):
        ddb.put_item(TableName=table, Item=item(p="a", n=n))
    [(shard, numbers)] = [
        (shard, [record["dynamodb"]["SequenceNumber"] for record in records]) for shard in ids if (records := read_shard(ddbs, arn, shard))
    ]
    assert len(numbers) == 10 and numbers == sorted(numbers, key=int)
    read = lambda kind, **more: [record["dynamodb"]["SequenceNumber"] for record in read_shard(ddbs, arn, shard, kind, **more)]  # noqa: E731
    assert read("AT_SEQUENCE_NUMBER", SequenceNumber=numbers[4]) == numbers[4:]
    assert read("AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[4]) == numbers[5:]
    assert read("AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[-1]) == []
    assert read("TRIM_HORIZON", limit=3) == numbers
    assert read("LATEST") == []
    assert [record["dynamodb"]["SequenceNumber"] for record in ddbs.get_records(ShardIterator=latest[shard])["Records"]] == numbers
    for other in set(ids) - {shard}:
        assert ddbs.get_records(ShardIterator=latest[other])["Records"] == []
    begin = {one["ShardId"]: one["SequenceNumberRange"]["StartingSequenceNumber"] for one in shards(ddbs, arn)}
    assert int(begin[shard]) <= int(numbers[0])
    assert read("AT_SEQUENCE_NUMBER", SequenceNumber=begin[shard]) == numbers


def test_pages_of_records_end_at_a_megabyte(ddb, ddbs):
    table = make_table(ddb, **stream_of())
    arn = stream_arn(ddb, table)
    # Two images of 390 KB: larger than a row of the store, and than a page could have two of.
    for n in range(3):
        ddb.put_item(TableName=table, Item=item(p="a", n=n, big="x" * 390_000))
    [shard] = [shard["ShardId"] for shard in shards(ddbs, arn) if read_shard(ddbs, arn, shard["ShardId"])]
    at = ddbs.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    sizes, got = [], []
    while len(got) < 3:
        page = ddbs.get_records(ShardIterator=at)
        sizes.append(sum(record["dynamodb"]["SizeBytes"] for record in page["Records"]))
        got += page["Records"]
        at = page["NextShardIterator"]
    assert len(sizes) >= 3 and all(size <= 1024 * 1024 for size in sizes)
    assert [record["dynamodb"]["NewImage"]["n"]["N"] for record in got] == ["0", "1", "2"]
    assert got[2]["dynamodb"]["OldImage"] == got[1]["dynamodb"]["NewImage"]
    for n in range(60):
        ddb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": item(p="a" * (1 + m), n=n)}} for m in range(25)]})
    records = read_stream(ddbs, arn)
    assert len(records) == 3 + 60 * 25
    for limit in (0, 1001):
        with pytest.raises(Exception, match="(?i)limit"):
            ddbs.get_records(ShardIterator=at, Limit=limit)


def test_what_is_refused(ddb, ddbs):
    table = make_table(ddb, **stream_of())
    arn = stream_arn(ddb, table)
    shard = shards(ddbs, arn)[0]["ShardId"]
    good = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    at = ddbs.get_shard_iterator(**good)["ShardIterator"]
    other = stream_arn(ddb, make_table(ddb, **stream_of()))
    for code, call in [
        ("ResourceNotFoundException", lambda: ddbs.describe_stream(StreamArn=arn[:-1] + "x")),
        ("ResourceNotFoundException", lambda: ddbs.get_shard_iterator(**{**good, "ShardId": "shardId-00000000000000000000-00000000"})),
        ("ValidationException", lambda: ddbs.describe_stream(StreamArn="arn:aws:dynamodb:us-east-1:123456789012:table/x")),
        ("ValidationException", lambda: ddbs.get_shard_iterator(**{**good, "ShardIteratorType": "AT_SEQUENCE_NUMBER"})),
        ("ValidationException", lambda: ddbs.get_shard_iterator(**{**good, "ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": "x" * 21})),
        ("ValidationException", lambda: ddbs.get_shard_iterator(**{**good, "ShardIteratorType": "SOMETHING"})),
        ("ValidationException", lambda: ddbs.get_records(ShardIterator="nothing")),
        ("ValidationException", lambda: ddbs.get_records(ShardIterator=at[:-5] + "AAAA=")),
        # An iterator of one stream is none of another.
        ("ValidationException", lambda: ddbs.get_records(ShardIterator=at.replace(arn, other))),
    ]:
        with refused(code, 400):
            call()


def test_streams_are_switched_on_and_off(ddb, ddbs):
    table = make_table(ddb)
    on = lambda view="KEYS_ONLY": ddb.update_table(TableName=table, **stream_of(view))  # noqa: E731
    off = lambda: ddb.update_table(TableName=table, StreamSpecification={"StreamEnabled": False})  # noqa: E731
    ddb.put_item(TableName=table, Item=item(p="before"))
    with refused("ValidationException", 400):
        off()
    on()
    first = stream_arn(ddb, table)
    ddb.put_item(TableName=table, Item=item(p="a"))
    with refused("ValidationException", 400) as error:
        on("NEW_IMAGE")
    assert error["Error"]["Message"] == f"Table already has an enabled stream: TableName: {table}"
    off()
    got = describe(ddb, table)
    assert "StreamSpecification" not in got and got["LatestStreamArn"] == first
    ddb.put_item(TableName=table, Item=item(p="between"))
    # What it has can still be read, and each shard has an end.
    described = ddbs.describe_stream(StreamArn=first)["StreamDescription"]
    assert described["StreamStatus"] == "DISABLED" and all("EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in described["Shards"])
    keys = lambda arn: [record["dynamodb"]["Keys"]["p"]["S"] for record in read_stream(ddbs, arn)]  # noqa: E731
    assert keys(first) == ["a"]
    for shard in described["Shards"]:
        at = ddbs.get_shard_iterator(StreamArn=first, ShardId=shard["ShardId"], ShardIteratorType="LATEST")["ShardIterator"]
        assert "NextShardIterator" not in ddbs.get_records(ShardIterator=at)
    on("NEW_IMAGE")
    second = stream_arn(ddb, table)
    assert second != first
    ddb.put_item(TableName=table, Item=item(p="b"))
    assert (keys(first), keys(second)) == (["a"], ["b"])
    assert [one["StreamArn"] for one in ddbs.list_streams(TableName=table)["Streams"]] == sorted([first, second])
    ddb.delete_table(TableName=table)
    assert (keys(first), keys(second)) == (["a"], ["b"])
    assert ddbs.describe_stream(StreamArn=second)["StreamDescription"]["StreamStatus"] == "DISABLED"
    make_table(ddb, TableName=table, **stream_of())
    ddb.put_item(TableName=table, Item=item(p="c"))
    assert (keys(second), keys(stream_arn(ddb, table))) == (["b"], ["c"])


def test_batches_and_transactions_are_told(ddb, ddbs):
    one, two = (make_table(ddb, **stream_of("NEW_AND_OLD_IMAGES")) for _ in range(2))
    ddb.put_item(TableName=one, Item=item(p="old", n=1))
    ddb.batch_write_item(RequestItems={one: [{"PutRequest": {"Item": item(p="new")}}, {"DeleteRequest": {"Key": item(p="old")}}], two: [{"PutRequest": {"Item": item(p="x")}}]})
    actions = [
        {"Put": {"TableName": one, "Item": item(p="t")}},
        {"Update": {"TableName": two, "Key": item(p="x"), "UpdateExpression": "ADD n :n", "ExpressionAttributeValues": item(**{":n": 1})}},
        {"ConditionCheck": {"TableName": one, "Key": item(p="new"), "ConditionExpression": "attribute_exists(p)"}},
    ]
    ddb.transact_write_items(TransactItems=actions)
    with refused("TransactionCanceledException"):
        ddb.transact_write_items(TransactItems=[actions[0], {**actions[2], "ConditionCheck": {**actions[2]["ConditionCheck"], "Key": item(p="nothing")}}])
    told = lambda table: sorted((record["eventName"], record["dynamodb"]["Keys"]["p"]["S"]) for record in read_stream(ddbs, stream_arn(ddb, table)))  # noqa: E731
    assert told(one) == [("INSERT", "new"), ("INSERT", "old"), ("INSERT", "t"), ("REMOVE", "old")]
    assert told(two) == [("INSERT", "x"), ("MODIFY", "x")]


def test_writers_at_the_same_time(ddb, ddbs, server):
    """Each change once, and those of an item in order: each old image is the new one before it."""
    table = make_table(ddb, **stream_of())

    def write(number: int):
        own = dynamo(server)
        for _ in range(40):
            for p in ("x", "y", f"own {number}"):
                own.update_item(TableName=table, Key=item(p=p), UpdateExpression="ADD n :one", ExpressionAttributeValues=item(**{":one": 1}))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    by_key: dict[str, list[dict]] = {}
    for record in read_stream(ddbs, stream_arn(ddb, table)):
        by_key.setdefault(record["dynamodb"]["Keys"]["p"]["S"], []).append(record["dynamodb"])
    assert {p: len(records) for p, records in by_key.items()} == {"x": 160, "y": 160, **{f"own {n}": 40 for n in range(4)}}
    for records in by_key.values():
        assert [int(record["NewImage"]["n"]["N"]) for record in records] == list(range(1, len(records) + 1))
        assert all(later["OldImage"] == earlier["NewImage"] for earlier, later in zip(records, records[1:]))


def test_who_may_read(ddb, ddbs, server):
    iam = client(server, "iam")
    table = make_table(ddb, **stream_of())
    arn = stream_arn(ddb, table)
    nobody = User(server, iam)
    reader = User(server, iam, allow(["dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"], arn))
    ddb.put_item(TableName=table, Item=item(p="a"))
    read = lambda user: [record["dynamodb"]["Keys"] for record in read_stream(user.client("dynamodbstreams"), arn)]  # noqa: E731
    assert read(reader) == [item(p="a")]
    shard = shards(ddbs, arn)[0]["ShardId"]
    at = ddbs.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="LATEST")["ShardIterator"]
    refusing = nobody.client("dynamodbstreams")
    for call in [
        lambda: refusing.describe_stream(StreamArn=arn),
        lambda: refusing.describe_stream(StreamArn=arn + "x"),
        lambda: refusing.list_streams(),
        lambda: refusing.list_streams(TableName=table),
        lambda: refusing.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="LATEST"),
        lambda: refusing.get_records(ShardIterator=at),
        lambda: reader.client("dynamodbstreams").list_streams(),
    ]:
        with refused("AccessDeniedException", 400):
            call()
    actions = ["dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": nobody.arn}, "Action": actions, "Resource": arn}]}
    ddb.put_resource_policy(ResourceArn=arn, Policy=json.dumps(policy))
    assert json.loads(ddb.get_resource_policy(ResourceArn=arn)["Policy"]) == policy
    assert read(nobody) == [item(p="a")]
    ddb.delete_resource_policy(ResourceArn=arn)
    with refused("AccessDeniedException", 400):
        refusing.describe_stream(StreamArn=arn)


def test_records_and_iterators_end_with_time(make_server):
    server = make_server(args=["--movable-clock"])
    ddb, ddbs = dynamo(server), streams(server)
    table = make_table(ddb, **stream_of())
    arn = stream_arn(ddb, table)
    ddb.put_item(TableName=table, Item=item(p="a", n=1, big="x" * 200_000))
    [shard] = [shard["ShardId"] for shard in shards(ddbs, arn) if read_shard(ddbs, arn, shard["ShardId"])]
    iterate = lambda kind, **more: ddbs.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType=kind, **more)["ShardIterator"]  # noqa: E731
    old = iterate("TRIM_HORIZON")
    [first] = read_shard(ddbs, arn, shard)
    advance(server, 14 * 60)
    assert len(ddbs.get_records(ShardIterator=old)["Records"]) == 1
    advance(server, 2 * 60)
    with refused("ExpiredIteratorException", 400):
        ddbs.get_records(ShardIterator=old)
    advance(server, DAY - 20 * 60)
    ddb.put_item(TableName=table, Item=item(p="a", n=2))
    assert len(read_shard(ddbs, arn, shard)) == 2
    before = iterate("AT_SEQUENCE_NUMBER", SequenceNumber=first["dynamodb"]["SequenceNumber"])
    advance(server, 5 * 60)
    # Gone for readers at once, from the disk a little later.
    assert [record["dynamodb"]["NewImage"]["n"]["N"] for record in read_shard(ddbs, arn, shard)] == ["2"]
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        with refused("TrimmedDataAccessException", 400):
            iterate(kind, SequenceNumber=first["dynamodb"]["SequenceNumber"])

    def trimmed():
        try:
            ddbs.get_records(ShardIterator=before)
        except ddbs.exceptions.TrimmedDataAccessException:
            return True

    until(trimmed, 90)
    # A stream that is switched off is there for another day.
    ddb.update_table(TableName=table, StreamSpecification={"StreamEnabled": False})
    advance(server, DAY - 60)
    assert ddbs.describe_stream(StreamArn=arn)["StreamDescription"]["StreamStatus"] == "DISABLED"
    advance(server, 2 * 60)
    with refused("ResourceNotFoundException", 400):
        ddbs.describe_stream(StreamArn=arn)
    assert ddbs.list_streams(TableName=table)["Streams"] == []


def test_nothing_is_readable_on_the_disk(make_server):
    server = make_server()
    ddb = dynamo(server)
    table = make_table(ddb, "p:S", indexes={"by-q": "q:S"}, **stream_of())
    secret = "Sehr-geheimer-Text-0815"
    for n in range(3):
        ddb.put_item(TableName=table, Item=item(p=f"{secret}-key-{n}", q=f"{secret}-index", a=secret, big=secret * 4000))
    server.stop()
    for path in server.data_dir.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


def test_the_command_line(server, tools):
    aws = lambda *words: json.loads(tools.aws(*words, "--output", "json").stdout or "{}")  # noqa: E731
    table = name("t")
    made = aws(
        "dynamodb", "create-table", "--table-name", table, "--attribute-definitions", "AttributeName=p,AttributeType=S", "--key-schema",
        "AttributeName=p,KeyType=HASH", "--billing-mode", "PAY_PER_REQUEST", "--stream-specification", "StreamEnabled=true,StreamViewType=NEW_IMAGE",
    )  # fmt: skip
    arn = made["TableDescription"]["LatestStreamArn"]
    aws("dynamodb", "put-item", "--table-name", table, "--item", '{"p": {"S": "a"}}')
    records = []
    for shard in aws("dynamodbstreams", "describe-stream", "--stream-arn", arn)["StreamDescription"]["Shards"]:
        at = aws("dynamodbstreams", "get-shard-iterator", "--stream-arn", arn, "--shard-id", shard["ShardId"], "--shard-iterator-type", "TRIM_HORIZON")
        records += aws("dynamodbstreams", "get-records", "--shard-iterator", at["ShardIterator"])["Records"]
    assert [record["dynamodb"]["NewImage"] for record in records] == [{"p": {"S": "a"}}]
