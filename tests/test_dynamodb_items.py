"""Items of Amazon DynamoDB: values, sizes, keys, and what single-item operations answer."""

import base64
import json
import random
import threading
from decimal import Decimal

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary
from harness.clients import refused
from harness.dynamo import dynamo, item, make_table, value_of
from harness.identities import name
from harness.raw import Raw


@pytest.fixture(scope="module")
def ddb(server):
    return dynamo(server)


@pytest.fixture(scope="module")
def table(ddb):
    return make_table(ddb, "p:S")


@pytest.fixture(scope="module")
def pair(ddb):
    return make_table(ddb, "p:S s:N")


def get(ddb, table: str, **key):
    return ddb.get_item(TableName=table, Key=item(**key), ConsistentRead=True).get("Item")


def test_every_type_comes_back(ddb, table):
    given = {
        "p": {"S": "types"},
        "string": {"S": "héllo \U0001f600 \x00 \"quoted\" \\ \n"},
        "empty": {"S": ""},
        "number": {"N": "-12.5"},
        "binary": {"B": bytes(range(256))},
        "no bytes": {"B": b""},
        "yes": {"BOOL": True},
        "no": {"BOOL": False},
        "null": {"NULL": True},
        "list": {"L": [{"S": "a"}, {"N": "1"}, {"L": []}, {"M": {}}]},
        "map": {"M": {"a.b": {"S": "c"}}},
        "strings": {"SS": ["b", "a", ""]},
        "numbers": {"NS": ["3", "1.5", "-2"]},
        "binaries": {"BS": [b"\x01", b"\x00\xff"]},
    }
    ddb.put_item(TableName=table, Item=given)
    got = get(ddb, table, p="types")
    for attribute, kind in [("strings", "SS"), ("numbers", "NS"), ("binaries", "BS")]:
        assert sorted(got[attribute][kind]) == sorted(given[attribute][kind])
        del got[attribute], given[attribute]
    assert got == given


@pytest.mark.parametrize(
    "given, kept",
    [
        ("0", "0"), ("-0", "0"), ("00012", "12"), ("1.500", "1.5"), ("1e3", "1000"), ("1E-3", "0.001"), ("+5", "5"), (".5", "0.5"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ("0.00000000000000000000000000000000000001", "0.00000000000000000000000000000000000001"),
        ("1000000000000000000000000000000000000000000", "1000000000000000000000000000000000000000000"),
        ("9.9999999999999999999999999999999999999E125", "9.9999999999999999999999999999999999999E+125"),
        ("1E-130", "1E-130"), ("-1E-130", "-1E-130"),
    ],
)  # fmt: skip
def test_numbers_keep_38_digits(ddb, table, given, kept):
    ddb.put_item(TableName=table, Item={"p": {"S": "number"}, "n": {"N": given}})
    got = get(ddb, table, p="number")["n"]["N"]
    assert Decimal(got) == Decimal(kept), got
    if "E" not in kept:
        assert got == kept


@pytest.mark.parametrize(
    "value, words",
    [
        ({"N": "x"}, "The parameter cannot be converted to a numeric value: x"),
        ({"N": ""}, "The parameter cannot be converted to a numeric value"),
        ({"N": "1 "}, "The parameter cannot be converted to a numeric value"),
        ({"N": "NaN"}, "The parameter cannot be converted to a numeric value: NaN"),
        ({"N": "1" * 39}, "Attempting to store more than 38 significant digits in a Number"),
        ({"N": "1E126"}, "Number overflow. Attempting to store a number with magnitude larger than supported range"),
        ({"N": "1E-131"}, "Number underflow. Attempting to store a number with magnitude smaller than supported range"),
        ({"SS": []}, "may not be empty"),
        ({"NS": []}, "may not be empty"),
        ({"BS": []}, "should not be empty"),
        ({"SS": ["a", "a"]}, "contains duplicates."),
        ({"NS": ["1", "1.0"]}, "contains duplicates"),
        ({"NULL": False}, "Null attribute value types must have the value of true"),
        ({}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        ({"S": "a", "N": "1"}, "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"),
        ({"L": [{"M": {"a": {"N": "x"}}}]}, "The parameter cannot be converted to a numeric value: x"),
    ],
)
def test_values_that_are_none(ddb, table, value, words):
    with refused("ValidationException", 400) as error:
        ddb.put_item(TableName=table, Item={"p": {"S": "bad"}, "a": value})
    assert words in error["Error"]["Message"]


def nested(depth: int) -> dict:
    value = {"S": "leaf"}
    for level in range(depth):
        value = {"L": [value]} if level % 2 else {"M": {"a": value}}
    return value


def test_nesting_ends_at_32_levels(ddb, table):
    ddb.put_item(TableName=table, Item={"p": {"S": "deep"}, "a": nested(31)})
    with refused("ValidationException", 400) as error:
        ddb.put_item(TableName=table, Item={"p": {"S": "deep"}, "a": nested(40)})
    assert "Nesting Levels have exceeded supported limits" in error["Error"]["Message"]


def test_keys_that_do_not_fit(ddb, table, pair):
    put = lambda into, given: ddb.put_item(TableName=into, Item=given)  # noqa: E731
    take = lambda of, key: ddb.get_item(TableName=of, Key=key)  # noqa: E731
    schema = "The provided key element does not match the schema"
    for call, words in [
        (lambda: put(table, item(q="a")), "One or more parameter values were invalid: Missing the key p in the item"),
        (lambda: put(pair, item(p="a")), "One or more parameter values were invalid: Missing the key s in the item"),
        (lambda: put(table, item(p=1)), "One or more parameter values were invalid: Type mismatch for key p expected: S actual: N"),
        (lambda: put(table, item(p="")), "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: p"),
        (lambda: put(table, item(p="x" * 2049)), "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes"),
        (lambda: take(table, item(q="a")), schema),
        (lambda: take(table, item(p=1)), schema),
        (lambda: take(pair, item(p="a")), "The number of conditions on the keys is invalid|" + schema),
        (lambda: take(table, item(p="a", q="b")), "The number of conditions on the keys is invalid|" + schema),
        (lambda: ddb.delete_item(TableName=table, Key=item(q="a")), schema),
        (lambda: ddb.update_item(TableName=table, Key=item(q="a")), schema),
    ]:  # fmt: skip
        with refused("ValidationException", 400) as error:
            call()
        assert error["Error"]["Message"] in words.split("|"), error["Error"]["Message"]


def test_long_keys(ddb):
    table = make_table(ddb, "p:B s:S")
    keys = [(bytes([n]) * 2048, "\uffff" * 341) for n in (0, 1, 255)]
    for p, s in keys:
        ddb.put_item(TableName=table, Item=item(p=p, s=s, n=1))
        assert get(ddb, table, p=p, s=s)["n"] == {"N": "1"}
    with refused("ValidationException", 400):
        ddb.put_item(TableName=table, Item=item(p=b"a", s="x" * 1025))
    assert ddb.scan(TableName=table, Select="COUNT")["Count"] == len(keys)


def test_items_to_400_kilobytes(ddb, table):
    # A name, its value: the key is "p" and "big".
    room = 400 * 1024 - len("p") - len("big") - len("a")
    text = "x" * room
    ddb.put_item(TableName=table, Item=item(p="big", a=text))
    assert get(ddb, table, p="big")["a"] == {"S": text}
    with refused("ValidationException", 400) as error:
        ddb.put_item(TableName=table, Item=item(p="big", a=text + "x"))
    assert error["Error"]["Message"] == "Item size has exceeded the maximum allowed size"
    with refused("ValidationException", 400) as error:
        ddb.update_item(TableName=table, Key=item(p="big"), UpdateExpression="SET b = :b", ExpressionAttributeValues=item(**{":b": "y"}))
    assert error["Error"]["Message"] == "Item size to update has exceeded the maximum allowed size"
    old = ddb.put_item(TableName=table, Item=item(p="big", a="small"), ReturnValues="ALL_OLD")["Attributes"]
    assert old["a"] == {"S": text}
    assert get(ddb, table, p="big")["a"] == {"S": "small"}


def test_what_operations_return(ddb, table):
    key = item(p="returns")
    put = lambda **more: ddb.put_item(TableName=table, **more)  # noqa: E731
    assert "Attributes" not in put(Item=item(p="returns", a=1, b=2), ReturnValues="ALL_OLD")
    assert put(Item=item(p="returns", a=1, b=2), ReturnValues="ALL_OLD")["Attributes"] == item(p="returns", a=1, b=2)
    assert "Attributes" not in put(Item=item(p="returns", a=1, b=2))
    update = lambda returns: ddb.update_item(  # noqa: E731
        TableName=table, Key=key, UpdateExpression="SET a = a + :one REMOVE c", ExpressionAttributeValues=item(**{":one": 1}), ReturnValues=returns
    ).get("Attributes")
    assert update("NONE") is None
    assert update("ALL_OLD") == item(p="returns", a=2, b=2)
    assert update("UPDATED_OLD") == item(a=3)
    assert update("ALL_NEW") == item(p="returns", a=5, b=2)
    assert update("UPDATED_NEW") == item(a=6)
    for wrong in ("ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"):
        with refused("ValidationException", 400) as error:
            put(Item=item(p="returns"), ReturnValues=wrong)
        assert error["Error"]["Message"] == "Return values set to invalid value"
    assert ddb.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD")["Attributes"] == item(p="returns", a=6, b=2)
    assert "Attributes" not in ddb.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD")
    assert get(ddb, table, p="returns") is None


def test_failed_conditions_show_the_item_where_asked(ddb, table):
    ddb.put_item(TableName=table, Item=item(p="cond", n=5))
    with pytest.raises(ddb.exceptions.ConditionalCheckFailedException) as caught:
        ddb.put_item(TableName=table, Item=item(p="cond"), ConditionExpression="attribute_not_exists(p)", ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert caught.value.response["Error"]["Message"] == "The conditional request failed"
    assert caught.value.response["Item"] == item(p="cond", n=5)
    with pytest.raises(ddb.exceptions.ConditionalCheckFailedException) as caught:
        ddb.delete_item(TableName=table, Key=item(p="cond"), ConditionExpression="n > :n", ExpressionAttributeValues=item(**{":n": 5}))
    assert "Item" not in caught.value.response
    # An update that makes an item, and one whose condition prevents that.
    ddb.update_item(TableName=table, Key=item(p="new"), UpdateExpression="SET n = if_not_exists(n, :z)", ExpressionAttributeValues=item(**{":z": 0}))
    assert get(ddb, table, p="new") == item(p="new", n=0)
    with refused("ConditionalCheckFailedException", 400):
        ddb.update_item(TableName=table, Key=item(p="newer"), ConditionExpression="attribute_exists(p)", UpdateExpression="REMOVE n")
    assert get(ddb, table, p="newer") is None
    # Without anything to change, an update makes the item with its key alone.
    ddb.update_item(TableName=table, Key=item(p="bare"))
    assert get(ddb, table, p="bare") == item(p="bare")


def test_older_parameters(ddb, table):
    """Expected, AttributeUpdates (Developer Guide, "Legacy conditional parameters")."""
    ddb.put_item(TableName=table, Item=item(p="old", n=1, s={"a"}))
    with refused("ConditionalCheckFailedException"):
        ddb.put_item(TableName=table, Item=item(p="old"), Expected={"p": {"Exists": False}})
    with refused("ConditionalCheckFailedException"):
        ddb.delete_item(TableName=table, Key=item(p="old"), Expected={"n": {"ComparisonOperator": "GT", "AttributeValueList": [value_of(1)]}})
    got = ddb.update_item(
        TableName=table, Key=item(p="old"), ReturnValues="ALL_NEW",
        AttributeUpdates={"n": {"Action": "ADD", "Value": value_of(2)}, "s": {"Action": "DELETE", "Value": value_of({"a"})}, "x": {"Value": value_of("y")}},
        Expected={"n": {"Value": value_of(1)}},
    )["Attributes"]  # fmt: skip
    assert got == item(p="old", n=3, x="y")
    got = ddb.get_item(TableName=table, Key=item(p="old"), AttributesToGet=["n", "nothing"])["Item"]
    assert got == item(n=3)
    with refused("ValidationException", 400) as error:
        ddb.update_item(
            TableName=table, Key=item(p="old"), AttributeUpdates={"n": {"Value": value_of(2)}}, ConditionExpression="attribute_exists(p)"
        )
    assert "Can not use both expression and non-expression parameters in the same request" in error["Error"]["Message"]


def test_projections(ddb, table):
    ddb.put_item(TableName=table, Item=item(p="proj", a={"b": [1, {"c": 2, "d": 3}, 4], "e": 5}, f=6, name="n"))
    for expression, names, expected in [
        ("f", {}, item(f=6)),
        ("a.b[1].c, f", {}, item(a={"b": [{"c": 2}]}, f=6)),
        ("a.b[2], a.b[0]", {}, item(a={"b": [1, 4]})),
        ("a.b[9], a.x, nothing", {}, {}),
        ("#n", {"#n": "name"}, item(name="n")),
        ("p, a.e", {}, item(p="proj", a={"e": 5})),
    ]:
        more = {"ExpressionAttributeNames": names} if names else {}
        got = ddb.get_item(TableName=table, Key=item(p="proj"), ProjectionExpression=expression, **more)
        assert got.get("Item", {}) == expected, expression


def test_capacity_is_counted(ddb, pair):
    put = lambda size: ddb.put_item(  # noqa: E731
        TableName=pair, Item=item(p="cap", s=1, a="x" * size), ReturnConsumedCapacity="TOTAL"
    )["ConsumedCapacity"]["CapacityUnits"]
    # Write units of 1 KB, of the larger of old and new.
    assert [put(10), put(1500), put(10), put(10)] == [1, 2, 2, 1]
    put(9000)
    read = lambda **more: ddb.get_item(TableName=pair, Key=item(p="cap", s=1), ReturnConsumedCapacity="TOTAL", **more)["ConsumedCapacity"]  # noqa: E731
    # Read units of 4 KB, half where it need not be consistent.
    assert read(ConsistentRead=True)["CapacityUnits"] == 3
    assert read()["CapacityUnits"] == 1.5
    assert read()["TableName"] == pair
    assert ddb.get_item(TableName=pair, Key=item(p="nothing", s=1), ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]["CapacityUnits"] == 0.5
    got = ddb.delete_item(TableName=pair, Key=item(p="cap", s=1), ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert got["CapacityUnits"] == 9 and got["Table"]["CapacityUnits"] == 9


def test_provisioned_throughput_is_enforced(ddb):
    units = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    table = make_table(ddb, BillingMode="PROVISIONED", ProvisionedThroughput=units)
    with pytest.raises(ddb.exceptions.ProvisionedThroughputExceededException) as caught:
        # More than five minutes of unused capacity pay for.
        for n in range(400):
            ddb.put_item(TableName=table, Item=item(p=str(n), a="x" * 9000))
    assert "level of configured provisioned throughput for the table was exceeded" in caught.value.response["Error"]["Message"]


def test_counters_lose_nothing(ddb, table, server):
    def add():
        own = dynamo(server)
        for _ in range(25):
            own.update_item(TableName=table, Key=item(p="counter"), UpdateExpression="ADD n :one", ExpressionAttributeValues=item(**{":one": 1}))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert get(ddb, table, p="counter")["n"] == {"N": "200"}


def test_the_resource_interface_of_boto3(server):
    resource = boto3.session.Session().resource(
        "dynamodb", endpoint_url=server.endpoint, region_name=server.region,
        aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key,
    )  # fmt: skip
    table = resource.create_table(
        TableName=name("t"), BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}, {"AttributeName": "s", "AttributeType": "N"}],
    )  # fmt: skip
    table.wait_until_exists()
    given = {
        "p": "a", "s": 1, "n": Decimal("3.14159265358979323846264338327950288"), "l": [1, "x", None, True], "m": {"k": Decimal("-1E+20")},
        "b": Binary(b"\x00\x01"), "ss": {"x", "y"}, "ns": {1, Decimal("2.5")}, "bs": {b"\x01"},
    }  # fmt: skip
    table.put_item(Item=given)
    got = table.get_item(Key={"p": "a", "s": 1})["Item"]
    assert got == given
    with table.batch_writer() as batch:
        for n in range(60):
            batch.put_item(Item={"p": "b", "s": n, "even": n % 2 == 0})
    found = table.query(KeyConditionExpression=Key("p").eq("b") & Key("s").between(10, 20), FilterExpression=Attr("even").eq(True), ScanIndexForward=False)
    assert [int(one["s"]) for one in found["Items"]] == [20, 18, 16, 14, 12, 10]
    assert found["ScannedCount"] == 11
    table.update_item(Key={"p": "b", "s": 0}, UpdateExpression="SET #e = :x", ExpressionAttributeNames={"#e": "even"}, ExpressionAttributeValues={":x": "changed"})
    assert table.scan(FilterExpression=Attr("even").eq("changed"), ConsistentRead=True)["Count"] == 1
    table.delete()


def test_the_command_line(server, tools):
    table = name("t")
    aws = lambda *words: json.loads(tools.aws("dynamodb", *words, "--output", "json").stdout or "{}")  # noqa: E731
    made = aws("create-table", "--table-name", table, "--attribute-definitions", "AttributeName=p,AttributeType=S", "--key-schema", "AttributeName=p,KeyType=HASH", "--billing-mode", "PAY_PER_REQUEST")
    assert made["TableDescription"]["TableName"] == table
    tools.aws("dynamodb", "wait", "table-exists", "--table-name", table)
    aws("put-item", "--table-name", table, "--item", '{"p": {"S": "a"}, "b": {"B": "AAEC"}, "n": {"N": "7"}}')
    got = aws("get-item", "--table-name", table, "--key", '{"p": {"S": "a"}}')["Item"]
    assert got["n"] == {"N": "7"} and base64.b64decode(got["b"]["B"]) == b"AAEC"
    got = aws("update-item", "--table-name", table, "--key", '{"p": {"S": "a"}}', "--update-expression", "ADD n :x", "--expression-attribute-values", '{":x": {"N": "0.5"}}', "--return-values", "UPDATED_NEW")
    assert got["Attributes"] == {"n": {"N": "7.5"}}
    assert aws("scan", "--table-name", table)["Count"] == 1
    failed = tools.aws("dynamodb", "get-item", "--table-name", table, "--key", '{"q": {"S": "a"}}', check=False)
    assert failed.returncode != 0 and b"ValidationException" in failed.stderr
    aws("delete-table", "--table-name", table)


def test_hostile_bodies(server):
    """What no client of AWS sends: an error, never a server that falls over."""
    raw = Raw(server.endpoint, server.access_key, server.secret_key, server.region, "dynamodb")
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    put = lambda rest: b'{"TableName":"ttt","Item":' + rest + b"}"  # noqa: E731
    deep = put(b'{"p":' + b'{"L":[' * 5000 + b"]}" * 5000 + b"}")
    for body in [
        b"", b"{", b"[]", b"null", b'{"TableName":1}', put(b"[]"), put(b'{"p":{"S":1}}'), put(b'{"p":{"B":"!"}}'), put(b'{"p":{"X":"a"}}'),
        put(b'{"p":{"N":1}}'), put(b'{"p":"a"}'), put(b'{"p":{"M":[]}}'), put(b'{"p":{"S":"\xff"}}'), deep, bytes(dice.randrange(256) for _ in range(500)),
    ]:  # fmt: skip
        headers = {"x-amz-target": "DynamoDB_20120810.PutItem", "content-type": "application/x-amz-json-1.0"}
        answer = raw.request("POST", "/", headers=headers, body=body)
        assert 400 <= answer.status < 500, (body[:100], answer)
        assert b"__type" in answer.body, answer
