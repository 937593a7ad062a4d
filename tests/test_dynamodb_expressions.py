"""The expression language of Amazon DynamoDB: what expressions do, and what is said of those that are none."""

import pytest
from harness.clients import refused
from harness.dynamo import dynamo, item, make_table, value_of


@pytest.fixture(scope="module")
def ddb(server):
    return dynamo(server)


@pytest.fixture(scope="module")
def table(ddb):
    return make_table(ddb, "p:S")


BASE = dict(p="a", n=5, s="hello", b=b"ab", yes=True, null=None, l=[1, "x", {"deep": 7}], m={"k": 1, "name": "v"}, ss={"x", "y"}, ns={1, 2})


def values(**given) -> dict:
    return {"ExpressionAttributeValues": {f":{name}": value_of(value) for name, value in given.items()}} if given else {}


@pytest.fixture
def kept(ddb, table):
    ddb.put_item(TableName=table, Item=item(**BASE))


@pytest.mark.parametrize(
    "condition, given, holds",
    [
        ("n = :v", {"v": 5}, True), ("n = :v", {"v": "5"}, False), ("n <> :v", {"v": "5"}, True), ("nothing <> :v", {"v": 1}, True),
        ("n < :v", {"v": 6}, True), ("n <= :v", {"v": 5}, True), ("n > :v", {"v": 5}, False), ("n >= :v", {"v": 5}, True),
        ("n > :v", {"v": "a"}, False), ("nothing < :v", {"v": 5}, False), ("s > :v", {"v": "hell"}, True), ("b < :v", {"v": b"b"}, True),
        ("n BETWEEN :a AND :b", {"a": 5, "b": 5}, True), ("n BETWEEN :a AND :b", {"a": 6, "b": 9}, False), ("n NOT BETWEEN :a AND :b", {"a": 6, "b": 9}, None),
        ("n IN (:a, :b)", {"a": 1, "b": 5}, True), ("n IN (:a)", {"a": "5"}, False), ("NOT n IN (:a)", {"a": 5}, False),
        ("attribute_exists(n)", {}, True), ("attribute_exists(nothing)", {}, False), ("attribute_not_exists(m.k)", {}, False),
        ("attribute_exists(l[2].deep)", {}, True), ("attribute_exists(l[3])", {}, False), ("attribute_exists(l[0].x)", {}, False),
        ("attribute_type(n, :t)", {"t": "N"}, True), ("attribute_type(null, :t)", {"t": "NULL"}, None), ("attribute_type(ss, :t)", {"t": "SS"}, True),
        ("begins_with(s, :v)", {"v": "he"}, True), ("begins_with(b, :v)", {"v": b"a"}, True), ("begins_with(n, :v)", {"v": "5"}, False),
        ("contains(s, :v)", {"v": "ell"}, True), ("contains(l, :v)", {"v": "x"}, True), ("contains(l, :v)", {"v": 2}, False),
        ("contains(ss, :v)", {"v": "x"}, True), ("contains(ns, :v)", {"v": 1}, True), ("contains(ns, :v)", {"v": "1"}, False),
        ("size(s) = :v", {"v": 5}, True), ("size(l) > :v", {"v": 2}, True), ("size(m) = :v", {"v": 2}, True), ("size(ss) = :v", {"v": 2}, True), ("size(nothing) = :v", {"v": 0}, False),
        ("n = :a AND s = :b", {"a": 5, "b": "x"}, False), ("n = :a OR s = :b", {"a": 5, "b": "x"}, True),
        ("n = :a OR n = :b AND n = :c", {"a": 5, "b": 1, "c": 2}, True), ("(n = :a OR n = :b) AND n = :c", {"a": 5, "b": 1, "c": 2}, False),
        ("NOT n = :a", {"a": 5}, False), ("not (n = :a) or n = :a", {"a": 5}, True), ("m.k = n", {}, False), ("n = n", {}, None), ("l[0] = m.k", {}, True),
        ("m = :v", {"v": {"k": 1, "name": "v"}}, True), ("ss = :v", {"v": {"y", "x"}}, True), ("l = :v", {"v": [1, "x", {"deep": 7}]}, True), ("l = :v", {"v": [1, "x"]}, False),
    ],
)  # fmt: skip
def test_conditions(ddb, table, kept, condition, given, holds):
    call = lambda: ddb.put_item(TableName=table, Item=item(**BASE), ConditionExpression=condition, **values(**given))  # noqa: E731
    if holds is None:
        with refused("ValidationException", 400):
            call()
    elif holds:
        call()
    else:
        with refused("ConditionalCheckFailedException", 400):
            call()


@pytest.mark.parametrize(
    "update, given, changed",
    [
        ("SET n = :v", {"v": 1}, {"n": 1}), ("SET n = n + :v", {"v": 1}, {"n": 6}), ("SET n = :v - n", {"v": 1}, {"n": -4}), ("set x = n", {}, {"x": 5}),
        ("SET x = if_not_exists(x, :v), y = if_not_exists(n, :v)", {"v": 0}, {"x": 0, "y": 5}),
        ("SET n = if_not_exists(x, :v) + :v", {"v": 2}, {"n": 4}),
        ("SET l = list_append(l, :v)", {"v": ["z"]}, {"l": [1, "x", {"deep": 7}, "z"]}), ("SET l = list_append(:v, l)", {"v": [0]}, {"l": [0, 1, "x", {"deep": 7}]}),
        ("SET l[1] = :v", {"v": "y"}, {"l": [1, "y", {"deep": 7}]}), ("SET l[9] = :v", {"v": "end"}, {"l": [1, "x", {"deep": 7}, "end"]}),
        ("SET l[2].deep = :v", {"v": 8}, {"l": [1, "x", {"deep": 8}]}), ("SET m.z = :v", {"v": 1}, {"m": {"k": 1, "name": "v", "z": 1}}),
        ("REMOVE n, nothing", {}, {"n": None}), ("REMOVE l[0]", {}, {"l": ["x", {"deep": 7}]}), ("REMOVE l[0], l[1]", {}, {"l": [{"deep": 7}]}), ("REMOVE m.k", {}, {"m": {"name": "v"}}),
        ("ADD n :v", {"v": -5}, {"n": 0}), ("ADD x :v", {"v": 3}, {"x": 3}), ("ADD ss :v", {"v": {"z"}}, {"ss": {"x", "y", "z"}}), ("ADD newset :v", {"v": {1}}, {"newset": {1}}),
        ("DELETE ss :v", {"v": {"x", "q"}}, {"ss": {"y"}}), ("DELETE ss :v", {"v": {"x", "y"}}, {"ss": None}), ("DELETE nothing :v", {"v": {"x"}}, {}),
        ("SET a = :v REMOVE n ADD m.k :w DELETE ns :x", {"v": 1, "w": 1, "x": {1}}, {"a": 1, "n": None, "m": {"k": 2, "name": "v"}, "ns": {2}}),
        # All of it sees the item as it was.
        ("SET n = :v, x = n", {"v": 0}, {"n": 0, "x": 5}),
    ],
)  # fmt: skip
def test_updates(ddb, table, kept, update, given, changed):
    got = ddb.update_item(TableName=table, Key=item(p="a"), UpdateExpression=update, ReturnValues="ALL_NEW", **values(**given))["Attributes"]
    plain = {name: value for name, value in {**BASE, **changed}.items() if value is not None or (name == "null" and name not in changed)}
    assert normal(got) == normal(item(**plain))


def normal(attributes: dict) -> dict:
    return {name: {kind: sorted(value) if kind in ("SS", "NS", "BS") else value for kind, value in one.items()} for name, one in attributes.items()}


@pytest.mark.parametrize(
    "update, given, words",
    [
        ("SET p = :v", {"v": "b"}, "One or more parameter values were invalid: Cannot update attribute p. This attribute is part of the key"),
        ("REMOVE p", {}, "Cannot update attribute p. This attribute is part of the key"),
        ("SET n = nothing", {}, "The provided expression refers to an attribute that does not exist in the item"),
        ("SET n = n + s", {}, "An operand in the update expression has an incorrect data type"),
        ("SET n = s + :v", {"v": 1}, "An operand in the update expression has an incorrect data type"),
        ("ADD s :v", {"v": 1}, "An operand in the update expression has an incorrect data type"),
        ("SET x.y = :v", {"v": 1}, "The document path provided in the update expression is invalid for update"),
        ("SET n.y = :v", {"v": 1}, "The document path provided in the update expression is invalid for update"),
        ("SET m[0] = :v", {"v": 1}, "The document path provided in the update expression is invalid for update"),
        ("REMOVE x.y", {}, "The document path provided in the update expression is invalid for update"),
        ("SET n = :v, n = :v", {"v": 1}, "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [n], path two: [n]"),
        ("SET m.k = :v REMOVE m", {"v": 1}, "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m, k], path two: [m]"),
        ("SET n = :v SET x = :v", {"v": 1}, 'Invalid UpdateExpression: The "SET" section can only be used once in an update expression;'),
        ("SET n = list_append(l, n)", {}, "An operand in the update expression has an incorrect data type"),
        ("SET n = :a + :b", {"a": "x", "b": 1}, "Invalid UpdateExpression: Incorrect operand type for operator or function; operator or function: +, operand type: S"),
        ("ADD n :v", {"v": "x"}, "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, operand type: STRING"),
        ("SET n = nofunction(:v)", {"v": 1}, "Invalid UpdateExpression: Invalid function name; function: nofunction"),
        ("SET n = if_not_exists(:v)", {"v": 1}, "Invalid UpdateExpression: Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: 1"),
        ("SET n", {}, 'Invalid UpdateExpression: Syntax error; token: "<EOF>", near: "n"'),
        ("", {}, "Invalid UpdateExpression: The expression can not be empty;"),
        ("n = :v", {"v": 1}, "Invalid UpdateExpression: Syntax error; token: "),
        ("SET name = :v", {"v": 1}, "Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: name"),
        ("SET #n = :v", {"v": 1}, "Invalid UpdateExpression: An expression attribute name used in the document path is not defined; attribute name: #n"),
        ("SET n = :w", {}, "Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute value: :w"),
        ("SET n = :v", {"v": 1, "w": 2}, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}"),
    ],
)  # fmt: skip
def test_updates_that_are_none(ddb, table, kept, update, given, words):
    with refused("ValidationException", 400) as error:
        ddb.update_item(TableName=table, Key=item(p="a"), UpdateExpression=update, **values(**given))
    assert words in error["Error"]["Message"]
    assert normal(ddb.get_item(TableName=table, Key=item(p="a"))["Item"]) == normal(item(**BASE))


@pytest.mark.parametrize(
    "condition, more, words",
    [
        ("", {}, "Invalid ConditionExpression: The expression can not be empty;"),
        ("n = ", {}, 'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "="'),
        ("n == :v", values(v=1), 'Invalid ConditionExpression: Syntax error; token: "="'),
        ("(n = :v", values(v=1), 'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: ":v"'),
        ("size = :v", values(v=1), "Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: size"),
        ("a.TimeStamp = :v", values(v=1), "Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: TimeStamp"),
        ("#x = :v", values(v=1), "Invalid ConditionExpression: An expression attribute name used in the document path is not defined; attribute name: #x"),
        ("n = :x", values(v=1), "Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute value: :x"),
        ("n = :v", {**values(v=1), "ExpressionAttributeNames": {"#u": "u"}}, "Value provided in ExpressionAttributeNames unused in expressions: keys: {#u}"),
        ("n = :v", values(v=1, w=2), "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}"),
        ("n = :v", {**values(v=1), "ExpressionAttributeNames": {"u": "u"}}, 'ExpressionAttributeNames contains invalid key: Syntax error; key: "u"'),
        ("n = :v", {"ExpressionAttributeValues": {"v": {"N": "1"}}}, 'ExpressionAttributeValues contains invalid key: Syntax error; key: "v"'),
        ("n = :v", {"ExpressionAttributeValues": {}}, "ExpressionAttributeValues must not be empty"),
        ("attribute_exists(n, m)", {}, "Invalid ConditionExpression: Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2"),
        ("nofunction(n)", {}, "Invalid ConditionExpression: Invalid function name; function: nofunction"),
        ("attribute_type(n, :v)", values(v="X"), "Invalid ConditionExpression: Invalid attribute type name found; type: X"),
        ("begins_with(n, :v)", values(v=1), "Invalid ConditionExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N"),
        ("n BETWEEN :a AND :b", values(a=2, b=1), "Invalid ConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower bound"),
        ("n BETWEEN :a AND :b", values(a=2, b="1"), "Invalid ConditionExpression: The BETWEEN operator requires same data type for lower and upper bounds"),
        ("n < :v", values(v=True), "Invalid ConditionExpression: Incorrect operand type for operator or function; operator or function: <, operand type: BOOL"),
        ("n", {}, "Invalid ConditionExpression: Syntax error; token: "),
    ],
)  # fmt: skip
def test_conditions_that_are_none(ddb, table, kept, condition, more, words):
    with refused("ValidationException", 400) as error:
        ddb.put_item(TableName=table, Item=item(p="a"), ConditionExpression=condition, **more)
    assert words in error["Error"]["Message"]


def test_values_without_expressions(ddb, table):
    with refused("ValidationException", 400) as error:
        ddb.put_item(TableName=table, Item=item(p="a"), **values(v=1))
    assert "ExpressionAttributeValues can only be specified when using expressions" in error["Error"]["Message"]
    with refused("ValidationException", 400) as error:
        ddb.get_item(TableName=table, Key=item(p="a"), ExpressionAttributeNames={"#a": "a"})
    assert error["Error"]["Message"] == "ExpressionAttributeNames can only be specified when using expressions"


def test_names_with_any_characters(ddb, table):
    names = {"#dot": "a.b", "#space": "c d", "#word": "SELECT", "#1": "\u00e9"}
    update = "SET #dot = :v, #space = :v, #word = :v, #1 = :v"
    ddb.update_item(TableName=table, Key=item(p="names"), UpdateExpression=update, ExpressionAttributeNames=names, **values(v=1))
    got = ddb.get_item(TableName=table, Key=item(p="names"), ProjectionExpression="#dot, #1", ExpressionAttributeNames={key: names[key] for key in ("#dot", "#1")})
    assert got["Item"] == {"a.b": {"N": "1"}, "\u00e9": {"N": "1"}}


def test_long_expressions(ddb, table):
    with refused("ValidationException", 400) as error:
        ddb.put_item(TableName=table, Item=item(p="a"), ConditionExpression="n = :v AND " * 400 + "n = :v", **values(v=1))
    assert "Expression size has exceeded the maximum allowed size" in error["Error"]["Message"]
    deep = "(" * 100 + "n = :v" + ")" * 100
    with refused("ValidationException", 400):
        ddb.put_item(TableName=table, Item=item(p="a"), ConditionExpression="NOT " * 320 + deep, **values(v=1))
