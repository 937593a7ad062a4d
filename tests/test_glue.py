"""The AWS Glue Data Catalog with boto3 and the aws CLI. What each operation needs is tested in crates/svc-glue/tests."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from harness.clients import client
from harness.server import ACCOUNT

pytestmark = pytest.mark.restarts  # knows the account of the server it started

ARN = f"arn:aws:glue:us-east-1:{ACCOUNT}"


@pytest.fixture(scope="module")
def glue(server):
    return client(server, "glue")


@pytest.fixture
def database(glue):
    name = f"db_{uuid.uuid4().hex}"
    glue.create_database(DatabaseInput={"Name": name, "Description": "a lake", "LocationUri": "s3://lake/", "Parameters": {"a": "b"}})
    yield name
    try:
        glue.delete_database(Name=name)
    except glue.exceptions.EntityNotFoundException:
        pass


def definition(name, columns=2, **more):
    return {
        "Name": name, "TableType": "EXTERNAL_TABLE", "Parameters": {"classification": "csv"},
        "PartitionKeys": [{"Name": "year", "Type": "string"}, {"Name": "month", "Type": "string"}],
        "StorageDescriptor": storage(columns), **more,
    }  # fmt: skip


def storage(columns=2, location="s3://lake/t/"):
    return {
        "Columns": [{"Name": f"c{n}", "Type": "bigint", "Comment": "c"} for n in range(columns)], "Location": location,
        "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.serde2.OpenCSVSerde", "Parameters": {"separatorChar": ","}},
    }  # fmt: skip


def partition(year, month, columns=2):
    return {"Values": [year, month], "StorageDescriptor": storage(columns, f"s3://lake/t/year={year}/month={month}/")}


@pytest.fixture
def table(glue, database):
    glue.create_table(DatabaseName=database, TableInput=definition("flights"))
    return {"DatabaseName": database, "TableName": "flights"}


def code(call, **arguments) -> str:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 501)
    return error.value.response["Error"]["Code"]


def test_databases(glue, database):
    found = glue.get_database(Name=database.upper())["Database"]
    created = found.pop("CreateTime")
    assert abs(created.timestamp() - time.time()) < 60
    assert found == {
        "Name": database, "Description": "a lake", "LocationUri": "s3://lake/", "Parameters": {"a": "b"}, "CatalogId": ACCOUNT,
    }  # fmt: skip
    glue.update_database(Name=database, DatabaseInput={"Name": database})
    assert "Description" not in glue.get_database(Name=database)["Database"]
    names = [one["Name"] for page in glue.get_paginator("get_databases").paginate(PaginationConfig={"PageSize": 1}) for one in page["DatabaseList"]]
    assert database in names and names == sorted(names)
    assert code(glue.create_database, DatabaseInput={"Name": database}) == "AlreadyExistsException"
    assert code(glue.create_database, DatabaseInput={"Name": "l", "TargetDatabase": {"DatabaseName": "x"}}) == "NotImplemented"
    assert code(glue.get_database, Name="nowhere") == "EntityNotFoundException"
    glue.tag_resource(ResourceArn=f"{ARN}:database/{database}", TagsToAdd={"team": "data"})
    assert glue.get_tags(ResourceArn=f"{ARN}:database/{database}")["Tags"] == {"team": "data"}
    glue.untag_resource(ResourceArn=f"{ARN}:database/{database}", TagsToRemove=["team"])
    assert glue.get_tags(ResourceArn=f"{ARN}:database/{database}")["Tags"] == {}


def test_tables_and_views(glue, database, table):
    found = glue.get_table(DatabaseName=database, Name="Flights")["Table"]
    assert found["StorageDescriptor"]["Columns"] == storage()["Columns"]
    assert (found["VersionId"], found["CatalogId"], found["DatabaseName"]) == ("0", ACCOUNT, database)
    assert [key["Name"] for key in found["PartitionKeys"]] == ["year", "month"]
    view = {"Name": "v", "TableType": "VIRTUAL_VIEW", "ViewOriginalText": "/* Presto View: e30= */", "ViewExpandedText": "/* Presto View */"}
    glue.create_table(DatabaseName=database, TableInput=view)
    shown = glue.get_table(DatabaseName=database, Name="v")["Table"]
    assert {key: shown[key] for key in view} == view
    pages = glue.get_paginator("get_tables").paginate(DatabaseName=database, PaginationConfig={"PageSize": 1})
    assert [one["Name"] for page in pages for one in page["TableList"]] == ["flights", "v"]
    assert [one["Name"] for one in glue.get_tables(DatabaseName=database, Expression="fl.*")["TableList"]] == ["flights"]
    found = glue.search_tables(Filters=[{"Key": "DatabaseName", "Value": database}], SearchText="csv")
    assert [one["Name"] for one in found["TableList"]] == ["flights"]
    assert code(glue.create_table, DatabaseName=database, TableInput=definition("FLIGHTS")) == "AlreadyExistsException"
    errors = glue.batch_delete_table(DatabaseName=database, TablesToDelete=["v", "nothing"])["Errors"]
    assert [(error["TableName"], error["ErrorDetail"]["ErrorCode"]) for error in errors] == [("nothing", "EntityNotFoundException")]
    glue.delete_table(DatabaseName=database, Name="flights")
    assert code(glue.get_table, DatabaseName=database, Name="flights") == "EntityNotFoundException"


def test_versions(glue, database, table):
    for columns in (3, 4):
        glue.update_table(DatabaseName=database, TableInput=definition("flights", columns))
    glue.update_table(DatabaseName=database, TableInput=definition("flights", 5), SkipArchive=True, VersionId="2")
    stale = {"DatabaseName": database, "TableInput": definition("flights", 6), "VersionId": "2"}
    assert code(glue.update_table, **stale) == "ConcurrentModificationException"
    pages = glue.get_paginator("get_table_versions").paginate(**table, PaginationConfig={"PageSize": 1})
    versions = [(one["VersionId"], len(one["Table"]["StorageDescriptor"]["Columns"])) for page in pages for one in page["TableVersions"]]
    assert versions == [("3", 5), ("1", 3), ("0", 2)]
    assert len(glue.get_table_version(**table, VersionId="1")["TableVersion"]["Table"]["StorageDescriptor"]["Columns"]) == 3
    glue.delete_table_version(**table, VersionId="1")
    assert code(glue.get_table_version, **table, VersionId="1") == "EntityNotFoundException"
    assert code(glue.delete_table_version, **table, VersionId="3") == "InvalidInputException"


def test_concurrent_updates(server, glue, database, table):
    """Each counter is raised by whoever read its version last: none is lost."""
    glue.update_table(DatabaseName=database, TableInput=definition("flights", Parameters={"n": "0"}))

    def raise_it(_):
        own = client(server, "glue")
        while True:
            found = own.get_table(DatabaseName=database, Name="flights")["Table"]
            new = definition("flights", Parameters={"n": str(int(found["Parameters"]["n"]) + 1)})
            try:
                own.update_table(DatabaseName=database, TableInput=new, VersionId=found["VersionId"], SkipArchive=True)
                return
            except own.exceptions.ConcurrentModificationException:
                continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(raise_it, range(20)))
    found = glue.get_table(DatabaseName=database, Name="flights")["Table"]
    assert (found["Parameters"], found["VersionId"]) == ({"n": "20"}, "21")


def test_partitions(glue, table):
    glue.create_partition(**table, PartitionInput=partition("2024", "01"))
    assert code(glue.create_partition, **table, PartitionInput=partition("2024", "01")) == "AlreadyExistsException"
    many = [partition("2024", f"{month:02}") for month in range(1, 13)] + [partition("2025", "01")]
    errors = glue.batch_create_partition(**table, PartitionInputList=many)["Errors"]
    assert [(error["PartitionValues"], error["ErrorDetail"]["ErrorCode"]) for error in errors] == [(["2024", "01"], "AlreadyExistsException")]
    one = glue.get_partition(**table, PartitionValues=["2024", "03"])["Partition"]
    assert one["StorageDescriptor"]["Location"] == "s3://lake/t/year=2024/month=03/"
    assert one["StorageDescriptor"]["Columns"] == storage()["Columns"]
    pages = glue.get_paginator("get_partitions").paginate(**table, PaginationConfig={"PageSize": 5})
    assert [one["Values"] for page in pages for one in page["Partitions"]] == [one["Values"] for one in many]
    found = glue.get_partitions(**table, Expression="year = '2025'", ExcludeColumnSchema=True)["Partitions"]
    assert [one["Values"] for one in found] == [["2025", "01"]] and "Columns" not in found[0]["StorageDescriptor"]
    assert code(glue.get_partitions, **table, Expression="c0 = '1'") == "InvalidInputException"
    wanted = [{"Values": ["2024", "01"]}, {"Values": ["1999", "01"]}]
    assert len(glue.batch_get_partition(**table, PartitionsToGet=wanted)["Partitions"]) == 1
    glue.update_partition(**table, PartitionValueList=["2025", "01"], PartitionInput={"Values": ["2025", "02"], "Parameters": {"a": "b"}})
    assert glue.get_partition(**table, PartitionValues=["2025", "02"])["Partition"]["Parameters"] == {"a": "b"}
    entries = [{"PartitionValueList": ["1999", "01"], "PartitionInput": {"Values": ["1999", "01"]}}]
    errors = glue.batch_update_partition(**table, Entries=entries)["Errors"]
    assert errors[0]["ErrorDetail"]["ErrorCode"] == "EntityNotFoundException"
    glue.delete_partition(**table, PartitionValues=["2025", "02"])
    gone = [{"Values": ["2025", "02"]}, {"Values": ["2024", "01"]}]
    errors = glue.batch_delete_partition(**table, PartitionsToDelete=gone)["Errors"]
    assert [error["PartitionValues"] for error in errors] == [["2025", "02"]]
    too_many = [partition("2026", str(n)) for n in range(101)]
    assert code(glue.batch_create_partition, **table, PartitionInputList=too_many) == "ValidationException"


def test_indexes_and_statistics(glue, table):
    glue.create_partition_index(**table, PartitionIndex={"Keys": ["year"], "IndexName": "by_year"})
    found = glue.get_partition_indexes(**table)["PartitionIndexDescriptorList"]
    assert [(one["IndexName"], one["IndexStatus"]) for one in found] == [("by_year", "ACTIVE")]
    glue.delete_partition_index(**table, IndexName="by_year")
    data = {"Type": "LONG", "LongColumnStatisticsData": {"MinimumValue": -1, "MaximumValue": 9, "NumberOfNulls": 0, "NumberOfDistinctValues": 3}}
    statistics = {"ColumnName": "c0", "ColumnType": "bigint", "AnalyzedTime": 1_800_000_000, "StatisticsData": data}
    assert glue.update_column_statistics_for_table(**table, ColumnStatisticsList=[statistics])["Errors"] == []
    found = glue.get_column_statistics_for_table(**table, ColumnNames=["c0", "c1"])
    assert found["ColumnStatisticsList"][0]["StatisticsData"] == data
    assert [error["ColumnName"] for error in found["Errors"]] == ["c1"]
    glue.delete_column_statistics_for_table(**table, ColumnName="c0")
    assert code(glue.delete_column_statistics_for_table, **table, ColumnName="c0") == "EntityNotFoundException"


def user(server, *statements):
    iam = client(server, "iam")
    name = f"u-{uuid.uuid4()}"
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    if statements:
        policy = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return arn, client(server, "glue", key["AccessKeyId"], key["SecretAccessKey"])


def test_policies_of_users(server, glue, database, table):
    resources = [f"{ARN}:catalog", f"{ARN}:database/{database}", f"{ARN}:table/{database}/flights"]
    allow = {"Effect": "Allow", "Action": ["glue:GetTable", "glue:GetPartitions"]}
    _, reader = user(server, {**allow, "Resource": resources})
    assert reader.get_table(DatabaseName=database, Name="flights")["Table"]["Name"] == "flights"
    assert reader.get_partitions(**table)["Partitions"] == []
    assert code(reader.delete_table, DatabaseName=database, Name="flights") == "AccessDeniedException"
    assert code(reader.get_table, DatabaseName=database, Name="other") == "AccessDeniedException"
    _, without = user(server, {**allow, "Resource": resources[1:]})
    assert code(without.get_table, DatabaseName=database, Name="flights") == "AccessDeniedException"


def test_resource_policies(server, glue, database, table):
    arn, other = user(server)
    assert code(other.get_table, DatabaseName=database, Name="flights") == "AccessDeniedException"
    policy = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": arn}, "Action": "glue:GetTable", "Resource": f"{ARN}:*"}]}  # fmt: skip
    done = glue.put_resource_policy(PolicyInJson=json.dumps(policy), PolicyExistsCondition="NOT_EXIST")
    try:
        assert other.get_table(DatabaseName=database, Name="flights")["Table"]["Name"] == "flights"
        assert code(other.get_tables, DatabaseName=database) == "AccessDeniedException"
        assert glue.get_resource_policy()["PolicyHash"] == done["PolicyHash"]
        assert code(glue.put_resource_policy, PolicyInJson=json.dumps(policy), PolicyHashCondition="x") == "ConditionCheckFailureException"
    finally:
        glue.delete_resource_policy(PolicyHashCondition=done["PolicyHash"])
    assert code(other.get_table, DatabaseName=database, Name="flights") == "AccessDeniedException"
    assert code(glue.get_resource_policy) == "EntityNotFoundException"


def test_restarts_keep_everything(make_server):
    server = make_server()
    glue = client(server, "glue")
    glue.create_database(DatabaseInput={"Name": "lake"}, Tags={"a": "b"})
    glue.create_table(DatabaseName="lake", TableInput=definition("t", 100))
    glue.update_table(DatabaseName="lake", TableInput=definition("t", 101))
    table = {"DatabaseName": "lake", "TableName": "t"}
    glue.batch_create_partition(**table, PartitionInputList=[partition("2024", str(n), 100) for n in range(100)])
    policy = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "glue:DeleteTable", "Resource": f"{ARN}:*"}]}  # fmt: skip
    glue.put_resource_policy(PolicyInJson=json.dumps(policy))

    def state():
        glue = client(server, "glue")
        calls = [
            glue.get_database(Name="lake"), glue.get_tags(ResourceArn=f"{ARN}:database/lake"), glue.get_table(DatabaseName="lake", Name="t"),
            glue.get_table_versions(**table), glue.get_partitions(**table), glue.get_resource_policy(),
        ]  # fmt: skip
        return [{key: value for key, value in call.items() if key != "ResponseMetadata"} for call in calls]

    before = state()
    server.restart_after_kill()
    assert state() == before
    glue = client(server, "glue")
    assert code(glue.delete_table, DatabaseName="lake", Name="t") == "AccessDeniedException"
    # What is deleted is gone at once, and what it leaves behind does not come back with a restart in the middle of its removal.
    glue.delete_database(Name="lake")
    server.restart_after_kill()
    glue = client(server, "glue")
    assert glue.get_databases()["DatabaseList"] == []
    glue.create_database(DatabaseInput={"Name": "lake"})
    assert glue.get_tables(DatabaseName="lake")["TableList"] == []


def test_the_audit_trail_tells(server, glue, database):
    found = client(server, "cloudtrail").lookup_events(LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "CreateDatabase"}])
    events = [json.loads(event["CloudTrailEvent"]) for event in found["Events"]]
    mine = [event for event in events if event["requestParameters"]["databaseInput"]["name"] == database]
    assert len(mine) == 1 and mine[0]["eventSource"] == "glue.amazonaws.com"


def test_the_aws_cli(tools, glue, database):
    tools.aws("glue", "create-table", "--database-name", database, "--table-input", json.dumps(definition("t")))
    shown = json.loads(tools.aws("glue", "get-table", "--database-name", database, "--name", "t", "--output", "json").stdout)
    assert shown["Table"]["VersionId"] == "0"
    tools.aws(
        "glue", "create-partition", "--database-name", database, "--table-name", "t", "--partition-input", json.dumps(partition("2024", "01")),
    )  # fmt: skip
    values = tools.aws(
        "glue", "get-partitions", "--database-name", database, "--table-name", "t", "--expression", "year = '2024' and month = '01'",
        "--query", "Partitions[].Values[]", "--output", "text",
    )  # fmt: skip
    assert values.stdout.split() == [b"2024", b"01"]
    refused = tools.aws("glue", "get-table", "--database-name", database, "--name", "none", check=False)
    assert b"EntityNotFoundException" in refused.stderr
