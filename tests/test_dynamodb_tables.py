"""Amazon DynamoDB's tables: making, changing, listing and deleting them, tags, policies."""

import json

import pytest
from harness.clients import client, refused
from harness.dynamo import dynamo, item, make_table, until
from harness.identities import User, allow, name
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # knows the account of the server it started


@pytest.fixture(scope="module")
def ddb(server):
    return dynamo(server)


def describe(ddb, table: str) -> dict:
    return ddb.describe_table(TableName=table)["Table"]


def gone(ddb, table: str) -> bool:
    try:
        return not describe(ddb, table)
    except ddb.exceptions.ResourceNotFoundException:
        return True


def attribute(attribute: str, kind: str = "S") -> dict:
    return {"AttributeName": attribute, "AttributeType": kind}


def key(attribute: str, kind: str = "HASH") -> dict:
    return {"AttributeName": attribute, "KeyType": kind}


def test_a_table_is_described(ddb):
    table = make_table(ddb, "p:S s:N", indexes={"by-s": "s:N"}, local={"by-x": "p:S x:B"})
    got = describe(ddb, table)
    assert got["TableArn"] == f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/{table}"
    assert (got["TableName"], got["TableStatus"], got["ItemCount"], got["TableSizeBytes"]) == (table, "ACTIVE", 0, 0)
    assert got["KeySchema"] == [key("p"), key("s", "RANGE")]
    assert sorted(got["AttributeDefinitions"], key=lambda one: one["AttributeName"]) == [attribute("p"), attribute("s", "N"), attribute("x", "B")]
    assert got["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    units = got["ProvisionedThroughput"]
    assert (units["ReadCapacityUnits"], units["WriteCapacityUnits"], units["NumberOfDecreasesToday"]) == (0, 0, 0)
    assert len(got["TableId"]) == 36
    [glob] = got["GlobalSecondaryIndexes"]
    assert (glob["IndexName"], glob["IndexStatus"], glob["KeySchema"]) == ("by-s", "ACTIVE", [key("s")])
    assert glob["IndexArn"] == got["TableArn"] + "/index/by-s"
    [local] = got["LocalSecondaryIndexes"]
    assert (local["IndexName"], local["Projection"], "IndexStatus" in local) == ("by-x", {"ProjectionType": "ALL"}, False)
    assert not got["DeletionProtectionEnabled"]
    assert "StreamSpecification" not in got and "LatestStreamArn" not in got
    # By its ARN as well.
    assert describe(ddb, got["TableArn"])["TableId"] == got["TableId"]


def test_tables_are_listed_in_pages(ddb, server):
    other = "111122223333"
    names = sorted(make_table(ddb) for _ in range(5))
    everything = [one for page in ddb.get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 2}) for one in page["TableNames"]]
    assert everything == sorted(everything) and set(names) <= set(everything)
    page = ddb.list_tables(Limit=1, ExclusiveStartTableName=names[0])
    assert page["TableNames"] == [everything[everything.index(names[0]) + 1]]
    assert page.get("LastEvaluatedTableName", page["TableNames"][0]) == page["TableNames"][0]
    for given in [{"Limit": 0}, {"Limit": 101}]:
        with pytest.raises(Exception, match="(?i)limit"):
            ddb.list_tables(**given)
    assert other not in str(everything)


def test_what_is_wrong_with_a_new_table_is_said(ddb):
    good = {
        "TableName": name("t"),
        "KeySchema": [key("p")],
        "AttributeDefinitions": [attribute("p")],
        "BillingMode": "PAY_PER_REQUEST",
    }
    everything = {"ProjectionType": "ALL"}
    units = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    index = {"IndexName": "one", "KeySchema": [key("p")], "Projection": everything}
    for change, words in [
        ({"TableName": "a!"}, "TableName"),
        ({"TableName": "x" * 256}, "255"),
        ({"AttributeDefinitions": [attribute("q")]}, "Some index key attributes are not defined in AttributeDefinitions"),
        ({"AttributeDefinitions": [attribute("p"), attribute("q")]}, "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions"),
        ({"KeySchema": [key("p", "RANGE")]}, "HASH"),
        ({"KeySchema": [key("p"), key("p", "RANGE")]}, "same"),
        ({"KeySchema": [key("p"), key("q")], "AttributeDefinitions": [attribute("p"), attribute("q")]}, "RANGE"),
        ({"BillingMode": "PROVISIONED"}, "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"),
        ({"ProvisionedThroughput": units}, "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"),
        ({"GlobalSecondaryIndexes": []}, "List of GlobalSecondaryIndexes is empty"),
        ({"LocalSecondaryIndexes": []}, "List of LocalSecondaryIndexes is empty"),
        ({"GlobalSecondaryIndexes": [index, index]}, "Duplicate index name"),
        ({"LocalSecondaryIndexes": [index]}, ""),
        ({"GlobalSecondaryIndexes": [{**index, "Projection": {}}]}, "Unknown ProjectionType"),
        ({"GlobalSecondaryIndexes": [{**index, "Projection": {**everything, "NonKeyAttributes": ["a"]}}]}, "NonKeyAttributes"),
        ({"GlobalSecondaryIndexes": [{**index, "Projection": {"ProjectionType": "INCLUDE"}}]}, "NonKeyAttributes"),
        ({"StreamSpecification": {"StreamEnabled": True}}, "StreamViewType"),
    ]:  # fmt: skip
        with refused("ValidationException", 400) as error:
            ddb.create_table(**{**good, **change})
        assert words in error["Error"]["Message"], (change, error["Error"]["Message"])
    ddb.create_table(**good)
    with refused("ResourceInUseException", 400) as error:
        ddb.create_table(**good)
    assert error["Error"]["Message"] == f"Table already exists: {good['TableName']}"


def test_what_cannot_be_done_is_refused_by_name(ddb):
    for more in [
        {"SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/mine"}},
    ]:
        with refused("NotImplemented"):
            make_table(ddb, **more)
    for call in [
        lambda: ddb.create_backup(TableName="ttt", BackupName="bbb"),
        lambda: ddb.execute_statement(Statement="SELECT * FROM t"),
        lambda: ddb.create_global_table(GlobalTableName="ttt", ReplicationGroup=[]),
    ]:
        with refused("NotImplemented", 501):
            call()


def test_no_such_table(ddb):
    table = name("nothing")
    for call, words in [
        (lambda: ddb.describe_table(TableName=table), f"Requested resource not found: Table: {table} not found"),
        (lambda: ddb.delete_table(TableName=table), f"Requested resource not found: Table: {table} not found"),
        (lambda: ddb.get_item(TableName=table, Key=item(p="a")), "Requested resource not found"),
        (lambda: ddb.put_item(TableName=table, Item=item(p="a")), "Requested resource not found"),
        (lambda: ddb.scan(TableName=table), "Requested resource not found"),
        (lambda: ddb.batch_get_item(RequestItems={table: {"Keys": [item(p="a")]}}), "Requested resource not found"),
        (lambda: ddb.describe_time_to_live(TableName=table), f"Requested resource not found: Table: {table} not found"),
    ]:
        with pytest.raises(ddb.exceptions.ResourceNotFoundException) as caught:
            call()
        assert caught.value.response["Error"]["Message"] == words
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_deleted_table_is_gone_and_a_new_one_is_empty(ddb):
    table = make_table(ddb, "p:S", indexes={"by-q": "q:S"})
    for n in range(30):
        ddb.put_item(TableName=table, Item=item(p=str(n), q="q"))
    first = describe(ddb, table)["TableId"]
    assert ddb.delete_table(TableName=table)["TableDescription"]["TableStatus"] == "DELETING"
    until(lambda: gone(ddb, table))
    make_table(ddb, "p:S", indexes={"by-q": "q:S"}, TableName=table)
    assert describe(ddb, table)["TableId"] != first
    assert ddb.scan(TableName=table)["Items"] == []
    assert ddb.scan(TableName=table, IndexName="by-q")["Items"] == []


def test_a_protected_table_stays(ddb):
    table = make_table(ddb, DeletionProtectionEnabled=True)
    with refused("ValidationException", 400) as error:
        ddb.delete_table(TableName=table)
    assert "deletion protection" in error["Error"]["Message"].lower()
    ddb.update_table(TableName=table, DeletionProtectionEnabled=False)
    ddb.delete_table(TableName=table)
    until(lambda: gone(ddb, table))


def test_billing_changes(ddb):
    table = make_table(ddb)
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 7}
    ddb.update_table(TableName=table, BillingMode="PROVISIONED", ProvisionedThroughput=units)
    got = until(lambda: (one := describe(ddb, table))["TableStatus"] == "ACTIVE" and one)
    assert {name: got["ProvisionedThroughput"][name] for name in units} == units
    with refused("ValidationException", 400) as error:
        ddb.update_table(TableName=table, ProvisionedThroughput=units)
    assert "will not change" in error["Error"]["Message"] or "requested" in error["Error"]["Message"]
    with refused("ValidationException", 400):
        ddb.update_table(TableName=table)


def test_indexes_come_and_go(ddb):
    table = make_table(ddb, "p:S")
    for n in range(60):
        ddb.put_item(TableName=table, Item=item(p=str(n), **({"q": f"q{n % 3}", "n": n} if n % 2 else {})))
    create = {"Create": {"IndexName": "by-q", "KeySchema": [key("q"), key("n", "RANGE")], "Projection": {"ProjectionType": "ALL"}}}
    definitions = [attribute("p"), attribute("q"), attribute("n", "N")]
    ddb.update_table(TableName=table, AttributeDefinitions=definitions, GlobalSecondaryIndexUpdates=[create])
    until(lambda: describe(ddb, table)["GlobalSecondaryIndexes"][0]["IndexStatus"] == "ACTIVE" and describe(ddb, table)["TableStatus"] == "ACTIVE")
    # Those that were there before, in order; those without the key's attributes are not in it.
    got = ddb.query(TableName=table, IndexName="by-q", KeyConditionExpression="q = :q", ExpressionAttributeValues={":q": {"S": "q1"}})
    assert [int(one["n"]["N"]) for one in got["Items"]] == [n for n in range(60) if n % 2 and n % 3 == 1]
    with refused("ValidationException"):
        ddb.update_table(TableName=table, AttributeDefinitions=definitions, GlobalSecondaryIndexUpdates=[create])
    ddb.update_table(TableName=table, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-q"}}])
    until(lambda: "GlobalSecondaryIndexes" not in describe(ddb, table))
    with refused("ValidationException", 400) as error:
        ddb.scan(TableName=table, IndexName="by-q")
    assert error["Error"]["Message"] == "The table does not have the specified index: by-q"


def test_tags(ddb):
    table = make_table(ddb, Tags=[{"Key": "a", "Value": "1"}])
    arn = describe(ddb, table)["TableArn"]
    ddb.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": ""}, {"Key": "a", "Value": "2"}])
    tags = lambda: {tag["Key"]: tag["Value"] for tag in ddb.list_tags_of_resource(ResourceArn=arn)["Tags"]}  # noqa: E731
    assert tags() == {"a": "2", "b": ""}
    ddb.untag_resource(ResourceArn=arn, TagKeys=["a", "nothing"])
    assert tags() == {"b": ""}
    with refused("ValidationException", 400):
        ddb.tag_resource(ResourceArn=arn, Tags=[{"Key": "aws:x", "Value": "1"}])
    with refused("LimitExceededException", 400):
        ddb.tag_resource(ResourceArn=arn, Tags=[{"Key": f"k{n}", "Value": "1"} for n in range(51)])
    with refused("ResourceNotFoundException", 400):
        ddb.list_tags_of_resource(ResourceArn=arn + "-nothing")


def test_policies_of_tables_and_identities(ddb, server):
    iam = client(server, "iam")
    table = make_table(ddb)
    arn = describe(ddb, table)["TableArn"]
    ddb.put_item(TableName=table, Item=item(p="a"))
    nobody, reader = User(server, iam), User(server, iam, allow("dynamodb:GetItem", arn))
    read = lambda user: user.client("dynamodb").get_item(TableName=table, Key=item(p="a"))["Item"]  # noqa: E731
    assert read(reader) == item(p="a")
    for call in [
        lambda: read(nobody),
        lambda: reader.client("dynamodb").put_item(TableName=table, Item=item(p="b")),
        lambda: reader.client("dynamodb").scan(TableName=table),
        lambda: nobody.client("dynamodb").get_item(TableName="nothing", Key=item(p="a")),
    ]:
        with refused("AccessDeniedException", 400):
            call()
    with refused("PolicyNotFoundException", 400):
        ddb.get_resource_policy(ResourceArn=arn)
    given = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": nobody.arn}, "Action": "dynamodb:GetItem", "Resource": arn}]}
    revision = ddb.put_resource_policy(ResourceArn=arn, Policy=json.dumps(given))["RevisionId"]
    assert json.loads(ddb.get_resource_policy(ResourceArn=arn)["Policy"]) == given
    assert read(nobody) == item(p="a")
    given["Statement"][0].update(Effect="Deny", Principal="*")
    with refused("PolicyNotFoundException", 400):
        ddb.put_resource_policy(ResourceArn=arn, Policy=json.dumps(given), ExpectedRevisionId="1" * 13)
    ddb.put_resource_policy(ResourceArn=arn, Policy=json.dumps(given), ExpectedRevisionId=revision)
    with refused("AccessDeniedException", 400):
        read(reader)
    ddb.delete_resource_policy(ResourceArn=arn)
    assert read(reader) == item(p="a")


def test_items_by_leading_key_and_attributes(ddb, server):
    """Fine-grained access (Developer Guide, "Using IAM policy conditions for fine-grained access control")."""
    iam = client(server, "iam")
    table = make_table(ddb, "p:S s:N")
    arn = describe(ddb, table)["TableArn"]
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["mine"]}}
    user = User(server, iam, allow(["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"], arn, Condition=own)).client("dynamodb")
    user.put_item(TableName=table, Item=item(p="mine", s=1))
    assert user.query(TableName=table, KeyConditionExpression="p = :p", ExpressionAttributeValues=item(**{":p": "mine"}))["Count"] == 1
    for call in [
        lambda: user.put_item(TableName=table, Item=item(p="other", s=1)),
        lambda: user.get_item(TableName=table, Key=item(p="other", s=1)),
        lambda: user.query(TableName=table, KeyConditionExpression="p = :p", ExpressionAttributeValues=item(**{":p": "other"})),
    ]:
        with refused("AccessDeniedException", 400):
            call()


def test_limits_and_endpoints_are_told(ddb):
    limits = ddb.describe_limits()
    assert limits["TableMaxReadCapacityUnits"] > 0 and limits["AccountMaxWriteCapacityUnits"] > 0
