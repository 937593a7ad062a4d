"""Batches and transactions of Amazon DynamoDB."""

import threading

import pytest
from botocore.exceptions import ClientError
from harness.clients import client, refused
from harness.dynamo import dynamo, item, make_table
from harness.identities import User, allow


@pytest.fixture(scope="module")
def ddb(server):
    return dynamo(server)


@pytest.fixture
def table(ddb):
    return make_table(ddb, "p:S")


def put(table: str, **more) -> dict:
    extra = {name: more.pop(name) for name in list(more) if name[0].isupper()}
    return {"Put": {"TableName": table, "Item": item(**more), **extra}}


def reasons(error: dict) -> list[str]:
    return [reason["Code"] for reason in error["CancellationReasons"]]


def everything(ddb, table: str) -> dict[str, dict]:
    return {one["p"]["S"]: one for one in ddb.scan(TableName=table, ConsistentRead=True)["Items"]}


def test_batches_write_and_read(ddb, table):
    other = make_table(ddb, "p:S s:N")
    writes = {
        table: [{"PutRequest": {"Item": item(p=str(n), n=n)}} for n in range(15)],
        other: [{"PutRequest": {"Item": item(p="a", s=n)}} for n in range(10)],
    }
    done = ddb.batch_write_item(RequestItems=writes, ReturnConsumedCapacity="TOTAL")
    assert done["UnprocessedItems"] == {}
    assert {one["TableName"]: one["CapacityUnits"] for one in done["ConsumedCapacity"]} == {table: 15, other: 10}
    ddb.batch_write_item(RequestItems={table: [{"DeleteRequest": {"Key": item(p="0")}}, {"DeleteRequest": {"Key": item(p="nothing")}}]})
    asked = {table: {"Keys": [item(p=str(n)) for n in range(20)], "ProjectionExpression": "n"}, other: {"Keys": [item(p="a", s=3)], "ConsistentRead": True}}
    got = ddb.batch_get_item(RequestItems=asked)
    assert got["UnprocessedKeys"] == {}
    assert sorted(int(one["n"]["N"]) for one in got["Responses"][table]) == list(range(1, 15))
    assert got["Responses"][other] == [item(p="a", s=3)]


def test_large_answers_come_in_parts(ddb, table):
    for n in range(60):
        ddb.put_item(TableName=table, Item=item(p=str(n), big="x" * 350_000))
    keys, got = [item(p=str(n)) for n in range(60)], []
    asked = {table: {"Keys": keys}}
    rounds = 0
    while asked:
        page = ddb.batch_get_item(RequestItems=asked)
        got += [one["p"]["S"] for one in page["Responses"].get(table, [])]
        asked = page["UnprocessedKeys"]
        rounds += 1
    assert rounds > 1 and sorted(got) == sorted(str(n) for n in range(60))


@pytest.mark.parametrize(
    "requests, words",
    [
        ([{"PutRequest": {"Item": item(p=str(n))}} for n in range(26)], "Too many items requested for the BatchWriteItem call|less than or equal to 25"),
        ([{"PutRequest": {"Item": item(p="a")}}, {"DeleteRequest": {"Key": item(p="a")}}], "Provided list of item keys contains duplicates"),
        ([{"PutRequest": {"Item": item(q="a")}}], "One or more parameter values were invalid: Missing the key p in the item"),
        ([{"DeleteRequest": {"Key": item(q="a")}}], "The provided key element does not match the schema"),
        ([{"PutRequest": {"Item": item(p="good")}}, {"PutRequest": {"Item": item(p="x", big="x" * 410_000)}}], "Item size has exceeded the maximum allowed size"),
    ],
)
def test_batches_that_are_none(ddb, table, requests, words):
    with refused("ValidationException", 400) as error:
        ddb.batch_write_item(RequestItems={table: requests})
    assert any(word in error["Error"]["Message"] for word in words.split("|")), error["Error"]["Message"]
    assert everything(ddb, table) == {}


def test_batches_of_keys_that_are_none(ddb, table):
    for keys, words in [
        ([item(p="a"), item(p="a")], "Provided list of item keys contains duplicates"),
        ([item(p=str(n)) for n in range(101)], "Too many items requested for the BatchGetItem call|less than or equal to 100"),
        ([item(q="a")], "The provided key element does not match the schema"),
    ]:
        with refused("ValidationException", 400) as error:
            ddb.batch_get_item(RequestItems={table: {"Keys": keys}})
        assert any(word in error["Error"]["Message"] for word in words.split("|")), error["Error"]["Message"]


def test_a_transaction_happens_or_not(ddb, table):
    ddb.put_item(TableName=table, Item=item(p="account", n=10))
    take = lambda amount: {"Update": {  # noqa: E731
        "TableName": table, "Key": item(p="account"), "UpdateExpression": "SET n = n - :a", "ConditionExpression": "n >= :a",
        "ExpressionAttributeValues": item(**{":a": amount}), "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }}  # fmt: skip
    ddb.transact_write_items(TransactItems=[take(4), put(table, p="bill", n=4), {"Delete": {"TableName": table, "Key": item(p="nothing")}}])
    assert everything(ddb, table) == {"account": item(p="account", n=6), "bill": item(p="bill", n=4)}
    with refused("TransactionCanceledException", 400) as error:
        ddb.transact_write_items(TransactItems=[put(table, p="bill", n=11), take(7), put(table, p="third")])
    assert reasons(error) == ["None", "ConditionalCheckFailed", "None"]
    assert error["CancellationReasons"][1]["Message"] == "The conditional request failed"
    assert error["CancellationReasons"][1]["Item"] == item(p="account", n=6)
    assert error["Error"]["Message"] == "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed, None]"
    assert everything(ddb, table) == {"account": item(p="account", n=6), "bill": item(p="bill", n=4)}
    check = {"ConditionCheck": {"TableName": table, "Key": item(p="nothing"), "ConditionExpression": "attribute_not_exists(p)"}}
    ddb.transact_write_items(TransactItems=[check, put(table, p="third")])
    assert "third" in everything(ddb, table)


def test_transactions_over_tables_and_indexes(ddb, table):
    other = make_table(ddb, "p:S", indexes={"by-q": "q:S"})
    ddb.transact_write_items(TransactItems=[put(table, p="a"), put(other, p="a", q="x")])
    got = ddb.transact_get_items(
        TransactItems=[{"Get": {"TableName": table, "Key": item(p="a")}}, {"Get": {"TableName": other, "Key": item(p="a"), "ProjectionExpression": "q"}}, {"Get": {"TableName": other, "Key": item(p="no")}}],
        ReturnConsumedCapacity="TOTAL",
    )
    assert got["Responses"] == [{"Item": item(p="a")}, {"Item": item(q="x")}, {}]
    # Twice what a strongly consistent read costs.
    assert {one["TableName"]: one["CapacityUnits"] for one in got["ConsumedCapacity"]} == {table: 2, other: 4}
    assert ddb.scan(TableName=other, IndexName="by-q", Select="COUNT")["Count"] == 1


def test_tokens_make_transactions_happen_once(ddb, table):
    add = [{"Update": {"TableName": table, "Key": item(p="n"), "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": item(**{":one": 1})}}]
    for _ in range(3):
        ddb.transact_write_items(TransactItems=add, ClientRequestToken="token-1")
    assert everything(ddb, table)["n"]["n"] == {"N": "1"}
    with refused("IdempotentParameterMismatchException", 400):
        ddb.transact_write_items(TransactItems=[put(table, p="other")], ClientRequestToken="token-1")
    ddb.transact_write_items(TransactItems=add, ClientRequestToken="token-2")
    assert everything(ddb, table)["n"]["n"] == {"N": "2"}


@pytest.mark.parametrize(
    "actions, words",
    [
        (lambda t: [put(t, p="a"), {"Delete": {"TableName": t, "Key": item(p="a")}}], "Transaction request cannot include multiple operations on one item"),
        (lambda t: [put(t, p=str(n)) for n in range(101)], "less than or equal to 100"),
        (lambda t: [{}], "TransactItems can only contain one of Check, Put, Update or Delete|must"),
        (lambda t: [put(t, p="a", ConditionExpression="name = b")], "Attribute name is a reserved keyword; reserved keyword: name"),
        (lambda t: [{"Update": {"TableName": t, "Key": item(p="a"), "UpdateExpression": "SET p = :v", "ExpressionAttributeValues": item(**{":v": 1})}}], "Cannot update attribute p. This attribute is part of the key"),
    ],
)
def test_transactions_that_are_none(ddb, table, actions, words):
    with pytest.raises(ClientError) as caught:
        ddb.transact_write_items(TransactItems=actions(table))
    error = caught.value.response
    assert error["Error"]["Code"] in ("ValidationException", "TransactionCanceledException")
    said = error["Error"]["Message"] + str(error.get("CancellationReasons"))
    assert any(word in said for word in words.split("|")), said
    assert everything(ddb, table) == {}


def test_large_transactions(ddb, table):
    ddb.transact_write_items(TransactItems=[put(table, p=str(n), big="x" * 39_000) for n in range(100)])
    assert ddb.scan(TableName=table, Select="COUNT")["ScannedCount"] > 0
    with refused("ValidationException", 400):
        ddb.transact_write_items(TransactItems=[put(table, p=str(n), big="x" * 44_000) for n in range(100)])


def test_money_is_neither_made_nor_lost(ddb, server, table):
    """Transfers between accounts at the same time: whoever reads them together always sees the same sum."""
    accounts = [f"account {n}" for n in range(5)]
    for one in accounts:
        ddb.put_item(TableName=table, Item=item(p=one, n=100))
    stop, sums = threading.Event(), set()

    def move(number: int):
        own = dynamo(server)
        for turn in range(30):
            source, target = accounts[(number + turn) % 5], accounts[(number + 2 * turn + 1) % 5]
            if source == target:
                continue
            change = lambda account, amount: {"Update": {  # noqa: E731
                "TableName": table, "Key": item(p=account), "UpdateExpression": "ADD n :a",
                "ExpressionAttributeValues": item(**{":a": amount}),
            }}  # fmt: skip
            try:
                own.transact_write_items(TransactItems=[change(source, -1), change(target, 1)])
            except own.exceptions.TransactionCanceledException as error:
                assert set(reasons(error.response)) <= {"None", "TransactionConflict"}

    def watch():
        own = dynamo(server)
        while not stop.is_set():
            gets = [{"Get": {"TableName": table, "Key": item(p=one)}} for one in accounts]
            try:
                got = own.transact_get_items(TransactItems=gets)["Responses"]
            except own.exceptions.TransactionCanceledException:
                continue
            sums.add(sum(int(one["Item"]["n"]["N"]) for one in got))

    movers = [threading.Thread(target=move, args=(number,)) for number in range(4)]
    watcher = threading.Thread(target=watch)
    for one in [*movers, watcher]:
        one.start()
    for one in movers:
        one.join()
    stop.set()
    watcher.join()
    assert sums == {500}
    assert sum(int(one["n"]["N"]) for one in everything(ddb, table).values()) == 500


def test_all_of_a_batch_must_be_allowed(ddb, server, table):
    other = make_table(ddb, "p:S")
    arn = ddb.describe_table(TableName=table)["Table"]["TableArn"]
    user = User(server, client(server, "iam"), allow(["dynamodb:PutItem", "dynamodb:BatchWriteItem"], arn)).client("dynamodb")
    write = [{"PutRequest": {"Item": item(p="a")}}]
    user.batch_write_item(RequestItems={table: write})
    user.transact_write_items(TransactItems=[put(table, p="b")])
    with refused("AccessDeniedException", 400):
        user.batch_write_item(RequestItems={table: write, other: write})
    with refused("AccessDeniedException", 400):
        user.transact_write_items(TransactItems=[put(table, p="c"), put(other, p="c")])
    with refused("AccessDeniedException", 400):
        user.transact_write_items(TransactItems=[{"Delete": {"TableName": table, "Key": item(p="a")}}])
    assert set(everything(ddb, table)) == {"a", "b"} and everything(ddb, other) == {}
