"""Query and Scan of Amazon DynamoDB, on tables and indexes."""

import random

import pytest
from harness.clients import refused
from harness.dynamo import dynamo, item, make_table, paged, value_of


@pytest.fixture(scope="module")
def ddb(server):
    return dynamo(server)


@pytest.fixture(scope="module")
def table(ddb):
    """Three partitions of 20 items: sort keys 0 to 19, `color` (an index's key) with all but every fifth, `height` in a local one."""
    table = make_table(ddb, "p:S s:N", indexes={"by-color": "color:S height:N"}, local={"by-height": "p:S height:N"})
    for p in "abc":
        for s in range(20):
            more = {} if s % 5 == 4 else {"color": ["red", "blue"][s % 2]}
            ddb.put_item(TableName=table, Item=item(p=p, s=s, height=(s * 7) % 20, text="x" * 100, **more))
    return table


def ask(ddb, table: str, condition: str, given: dict, **more) -> dict:
    return ddb.query(TableName=table, KeyConditionExpression=condition, ExpressionAttributeValues={f":{name}": value_of(value) for name, value in given.items()}, **more)


def sorts(page: dict, name: str = "s") -> list[int]:
    return [int(one[name]["N"]) for one in page["Items"]]


@pytest.mark.parametrize(
    "condition, given, expected",
    [
        ("p = :p", {}, range(20)),
        ("p = :p AND s = :v", {"v": 3}, [3]),
        ("p = :p AND s < :v", {"v": 3}, [0, 1, 2]),
        ("p = :p AND s <= :v", {"v": 3}, [0, 1, 2, 3]),
        ("p = :p AND s > :v", {"v": 17}, [18, 19]),
        ("s >= :v AND p = :p", {"v": 17}, [17, 18, 19]),
        ("p = :p AND s BETWEEN :v AND :w", {"v": 5, "w": 7}, [5, 6, 7]),
        ("(p = :p) AND (s = :v)", {"v": 100}, []),
    ],
)
def test_key_conditions(ddb, table, condition, given, expected):
    for forward in (True, False):
        page = ask(ddb, table, condition, {"p": "b", **given}, ScanIndexForward=forward)
        assert sorts(page) == (list(expected) if forward else list(reversed(expected)))
        assert page["Count"] == page["ScannedCount"] == len(expected)


def test_texts_and_bytes_in_order(ddb):
    for kind, keys in [
        ("S", ["", "a", "a\x00", "a\x00b", "aa", "ab", "b", "\u00e9", "\uffff", "\U0001f600"]),
        ("B", [b"\x00", b"\x00\x00", b"\x01", b"a", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff"]),
    ]:
        keys = keys[1:] if kind == "S" else keys
        table = make_table(ddb, f"p:S s:{kind}")
        for key in random.sample(keys, len(keys)):
            ddb.put_item(TableName=table, Item=item(p="p", s=key))
        got = [one["s"][kind] for one in ask(ddb, table, "p = :p", {"p": "p"})["Items"]]
        assert got == sorted(keys, key=lambda key: key.encode() if kind == "S" else key)
        prefix = keys[3][:1]
        begun = [one["s"][kind] for one in ask(ddb, table, "p = :p AND begins_with(s, :b)", {"p": "p", "b": prefix})["Items"]]
        assert begun == [key for key in got if key.startswith(prefix)]


def test_numbers_in_order(ddb):
    table = make_table(ddb, "p:S s:N")
    keys = ["-1E+100", "-99", "-9.99", "-1", "-0.001", "-1E-130", "0", "1E-130", "0.5", "1", "1.0001", "9", "10", "99.9", "1E+20", "9.9E+125"]
    for key in random.sample(keys, len(keys)):
        ddb.put_item(TableName=table, Item={"p": {"S": "p"}, "s": {"N": key}})
    got = [float(one["s"]["N"]) for one in ask(ddb, table, "p = :p", {"p": "p"})["Items"]]
    assert got == [float(key) for key in keys]
    # The same number, however it is written, is the same key.
    ddb.put_item(TableName=table, Item={"p": {"S": "p"}, "s": {"N": "0.50"}, "again": {"BOOL": True}})
    assert ddb.query(TableName=table, Select="COUNT", KeyConditionExpression="p = :p", ExpressionAttributeValues=item(**{":p": "p"}))["Count"] == len(keys)


def test_pages(ddb, table):
    for limit in (1, 3, 7, 20, 21):
        for forward in (True, False):
            got, start, pages = [], {}, 0
            while True:
                page = ask(ddb, table, "p = :p", {"p": "a"}, Limit=limit, ScanIndexForward=forward, **start)
                got += sorts(page)
                pages += 1
                if "LastEvaluatedKey" not in page:
                    break
                assert page["LastEvaluatedKey"] == item(p="a", s=got[-1]) and page["Count"] == limit
                start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
            assert got == sorted(range(20), reverse=not forward), (limit, forward)
    # A key that is not there, but could be, is as good a start.
    assert sorts(ask(ddb, table, "p = :p", {"p": "a"}, ExclusiveStartKey=item(p="a", s=17.5))) == [18, 19]


def test_a_page_ends_at_a_megabyte(ddb):
    table = make_table(ddb, "p:S s:N")
    for s in range(30):
        ddb.put_item(TableName=table, Item=item(p="p", s=s, big="x" * 100_000))
    page = ask(ddb, table, "p = :p", {"p": "p"}, ReturnConsumedCapacity="TOTAL")
    # The item that the limit lies in may come or not.
    assert page["Count"] in (10, 11) and page["LastEvaluatedKey"] == item(p="p", s=page["Count"] - 1)
    # 1.1 MB in units of 4 KB, half each.
    assert 120 <= page["ConsumedCapacity"]["CapacityUnits"] <= 140
    assert len(paged(ddb.query, "Items", TableName=table, KeyConditionExpression="p = :p", ExpressionAttributeValues=item(**{":p": "p"}))) == 30
    assert len(paged(ddb.scan, "Items", TableName=table)) == 30


def test_filters_and_counts(ddb, table):
    page = ask(ddb, table, "p = :p", {"p": "a", "c": "red"}, FilterExpression="color = :c")
    assert (page["Count"], page["ScannedCount"]) == (8, 20) and all(one["color"] == {"S": "red"} for one in page["Items"])
    page = ask(ddb, table, "p = :p", {"p": "a", "c": "red"}, FilterExpression="color = :c", Limit=5)
    assert (page["Count"], page["ScannedCount"], page["LastEvaluatedKey"]) == (2, 5, item(p="a", s=4))
    page = ask(ddb, table, "p = :p", {"p": "a", "c": "red"}, FilterExpression="color = :c", Select="COUNT")
    assert page["Count"] == 8 and "Items" not in page
    page = ask(ddb, table, "p = :p", {"p": "a"}, ProjectionExpression="s", Limit=1)
    assert page["Items"] == [item(s=0)]


def test_indexes(ddb, table):
    page = ask(ddb, table, "color = :c", {"c": "blue"}, IndexName="by-color")
    assert page["Count"] == 24 and sorts(page, "height") == sorted(sorts(page, "height"))
    got = paged(
        ddb.query, "Items", TableName=table, IndexName="by-color", KeyConditionExpression="color = :c",
        ExpressionAttributeValues=item(**{":c": "blue"}), Limit=5, ScanIndexForward=False,
    )  # fmt: skip
    assert len(got) == 24 and len({(one["p"]["S"], one["s"]["N"]) for one in got}) == 24
    assert [int(one["height"]["N"]) for one in got] == sorted((int(one["height"]["N"]) for one in got), reverse=True)
    page = ask(ddb, table, "color = :c", {"c": "blue"}, IndexName="by-color", Limit=1)
    assert set(page["LastEvaluatedKey"]) == {"p", "s", "color", "height"}
    page = ask(ddb, table, "p = :p AND height > :v", {"p": "a", "v": 15}, IndexName="by-height", ConsistentRead=True)
    assert sorts(page, "height") == [16, 17, 18, 19]
    assert ddb.scan(TableName=table, IndexName="by-color", Select="COUNT")["Count"] == 48
    with refused("ValidationException", 400) as error:
        ask(ddb, table, "color = :c", {"c": "blue"}, IndexName="by-color", ConsistentRead=True)
    assert error["Error"]["Message"] == "Consistent reads are not supported on global secondary indexes"


def test_what_indexes_have(ddb):
    definitions = [{"AttributeName": each, "AttributeType": "S"} for each in "pkl"]
    index = lambda name, key, **projection: {"IndexName": name, "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}], "Projection": projection}  # noqa: E731
    indexes = [index("keys", "k", ProjectionType="KEYS_ONLY"), index("some", "l", ProjectionType="INCLUDE", NonKeyAttributes=["a"])]
    table = make_table(ddb, "p:S", AttributeDefinitions=definitions, GlobalSecondaryIndexes=indexes)
    put = lambda **values: ddb.put_item(TableName=table, Item=item(p="1", **values))  # noqa: E731
    have = lambda index: ddb.scan(TableName=table, IndexName=index)["Items"]  # noqa: E731
    put(k="k", l="l", a=1, b=2)
    assert have("keys") == [item(p="1", k="k")] and have("some") == [item(p="1", l="l", a=1)]
    put(k="other", a=3)
    assert have("keys") == [item(p="1", k="other")] and have("some") == []
    ddb.update_item(TableName=table, Key=item(p="1"), UpdateExpression="REMOVE k SET l = :l", ExpressionAttributeValues=item(**{":l": "back"}))
    assert have("keys") == [] and have("some") == [item(p="1", l="back", a=3)]
    with refused("ValidationException", 400) as error:
        put(k=1)
    assert "Type mismatch for Index Key k Expected: S Actual: N IndexName: keys" in error["Error"]["Message"]
    with refused("ValidationException", 400) as error:
        put(k="")
    assert "empty string value" in error["Error"]["Message"]
    with refused("ValidationException", 400) as error:
        ddb.query(TableName=table, IndexName="keys", Select="ALL_ATTRIBUTES", KeyConditionExpression="k = :k", ExpressionAttributeValues=item(**{":k": "k"}))
    assert "Select type ALL_ATTRIBUTES is not supported for global secondary index keys because its projection type is not ALL" in error["Error"]["Message"]
    ddb.delete_item(TableName=table, Key=item(p="1"))
    assert have("some") == []


def test_scans_and_their_segments(ddb, table):
    everything = {(p, s) for p in "abc" for s in range(20)}
    of = lambda items: [(one["p"]["S"], int(one["s"]["N"])) for one in items]  # noqa: E731
    for total in (1, 2, 3, 10, 97):
        found = [each for segment in range(total) for each in of(paged(ddb.scan, "Items", TableName=table, Segment=segment, TotalSegments=total, Limit=7))]
        assert len(found) == len(everything) and set(found) == everything
    for given, words in [
        ({"Segment": 0}, "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"),
        ({"TotalSegments": 2}, "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"),
        ({"Segment": 2, "TotalSegments": 2}, "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 2 is not less than TotalSegments: 2"),
        ({"ExclusiveStartKey": item(p="a")}, "The provided starting key is invalid: The provided key element does not match the schema"),
        ({"Limit": 0}, "Limit"),
        ({"IndexName": "nothing"}, "The table does not have the specified index: nothing"),
        ({"Select": "COUNT", "ProjectionExpression": "s"}, "when choosing to get only the Count"),
    ]:
        with pytest.raises(Exception, match="(?s)" + words.split(":")[0].replace("(", ".")):
            ddb.scan(TableName=table, **given)


@pytest.mark.parametrize(
    "condition, given, more, words",
    [
        ("s = :s", {"s": 1}, {}, "Query condition missed key schema element: p"),
        ("p > :p", {"p": "a"}, {}, "Query key condition not supported"),
        ("p = :p AND x = :x", {"p": "a", "x": 1}, {}, "Query condition missed key schema element: s"),
        ("p = :p OR s = :s", {"p": "a", "s": 1}, {}, "Invalid operator used in KeyConditionExpression: OR"),
        ("NOT p = :p", {"p": "a"}, {}, "Invalid operator used in KeyConditionExpression: NOT"),
        ("p = :p AND s <> :s", {"p": "a", "s": 1}, {}, "Invalid operator used in KeyConditionExpression: <>"),
        ("p = :p AND contains(s, :s)", {"p": "a", "s": "1"}, {}, "Invalid operator used in KeyConditionExpression: contains"),
        ("p = :p AND s = :s AND s = :s", {"p": "a", "s": 1}, {}, "KeyConditionExpressions must only contain one condition per key"),
        ("p = :p", {"p": 1}, {}, "One or more parameter values were invalid: Condition parameter type does not match schema type"),
        ("p = :p", {"p": "a", "f": 1}, {"FilterExpression": "s = :f"}, "Filter Expression can only contain non-primary key attributes: Primary key attribute: s"),
        ("p = :p", {"p": ""}, {}, "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: p"),
        ("p = :p", {"p": "a"}, {"ExclusiveStartKey": item(p="b", s=1)}, "The provided starting key is outside query boundaries based on provided conditions"),
        ("p = :p", {"p": "a"}, {"IndexName": "nothing"}, "The table does not have the specified index: nothing"),
        ("p =", {"p": "a"}, {}, "Invalid KeyConditionExpression: Syntax error"),
    ],
)
def test_queries_that_are_none(ddb, table, condition, given, more, words):
    with refused("ValidationException", 400) as error:
        ask(ddb, table, condition, given, **more)
    assert words in error["Error"]["Message"]


def test_older_parameters(ddb, table):
    condition = lambda operator, *values: {"ComparisonOperator": operator, "AttributeValueList": [value_of(value) for value in values]}  # noqa: E731
    page = ddb.query(TableName=table, KeyConditions={"p": condition("EQ", "a"), "s": condition("BETWEEN", 3, 6)}, QueryFilter={"color": condition("EQ", "red")})
    assert sorts(page) == [6]
    page = ddb.scan(TableName=table, ScanFilter={"color": {"ComparisonOperator": "NULL"}, "s": condition("LT", 10)}, AttributesToGet=["s"])
    assert sorted(sorts(page)) == [4, 4, 4, 9, 9, 9]
    page = ddb.scan(TableName=table, ScanFilter={"color": condition("EQ", "red"), "s": condition("EQ", 1)}, ConditionalOperator="OR")
    assert page["Count"] == 27


def test_pages_while_items_come_and_go(ddb):
    """What is there all the time is read once, whatever happens around it."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    table = make_table(ddb, "p:S")
    stays = {f"stays {n}" for n in range(100)}
    for p in stays:
        ddb.put_item(TableName=table, Item=item(p=p))
    got, start = [], {}
    while True:
        page = ddb.scan(TableName=table, Limit=7, **start)
        got += [one["p"]["S"] for one in page["Items"]]
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        for _ in range(3):
            p = f"other {dice.randrange(50)}"
            dice.choice([lambda: ddb.put_item(TableName=table, Item=item(p=p)), lambda: ddb.delete_item(TableName=table, Key=item(p=p))])()
    assert len(got) == len(set(got)) and stays <= set(got)
