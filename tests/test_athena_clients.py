"""Clients that people ask Athena with: PyAthena, the AWS SDK for pandas (awswrangler), and the aws CLI."""

import datetime
import decimal
import json
import uuid

import awswrangler as wr
import boto3
import pandas as pd
import pyathena
import pytest
from harness.athena import lake as new_lake
from pyathena.error import DatabaseError, OperationalError
from pyathena.pandas.cursor import PandasCursor

pytestmark = pytest.mark.restarts  # the catalog is an account's, of which each server has one


@pytest.fixture
def lake(server, s3, bucket):
    made = new_lake(server, bucket)
    s3.put_object(Bucket=bucket, Key="birds/a.csv", Body=b"owl,1200,0.95,2019-01-01\nwren,9,,2019-01-02\n")
    made.done("CREATE EXTERNAL TABLE birds (bird string, grams int, wings double, seen date) ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' LOCATION 's3://{bucket}/birds/'")
    yield made
    made.run("DROP DATABASE IF EXISTS {db} CASCADE")


# PyAthena


@pytest.fixture
def connection(server, lake, monkeypatch):
    # Cursors of frames make clients of S3 of their own.
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    made = pyathena.connect(
        s3_staging_dir=f"s3://{lake.bucket}/staging/", region_name=server.region, endpoint_url=server.endpoint, aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key, schema_name=lake.database, poll_interval=0.05, kill_on_interrupt=False,
    )  # fmt: skip
    with made:
        yield made


def test_pyathena_reads(connection):
    cursor = connection.cursor()
    cursor.execute("SELECT bird, grams, wings, seen FROM birds ORDER BY grams DESC")
    assert [(name, kind) for name, kind, *_ in cursor.description] == [("bird", "varchar"), ("grams", "integer"), ("wings", "double"), ("seen", "date")]
    assert cursor.fetchall() == [("owl", 1200, 0.95, datetime.date(2019, 1, 1)), ("wren", 9, None, datetime.date(2019, 1, 2))]
    assert cursor.data_scanned_in_bytes == 44 and cursor.state == "SUCCEEDED"
    cursor.execute("SELECT CAST(1.50 AS decimal(10,2)) AS d, TIMESTAMP '2019-01-01 02:03:04' AS t, true AS b, '' AS e")
    assert cursor.fetchone() == (decimal.Decimal("1.50"), datetime.datetime(2019, 1, 1, 2, 3, 4), True, "")
    with pytest.raises((OperationalError, DatabaseError), match="TABLE_NOT_FOUND"):
        cursor.execute("SELECT * FROM nowhere")


def test_pyathena_parameters(connection):
    cursor = connection.cursor()
    cursor.execute("SELECT bird FROM birds WHERE grams > %(least)s AND bird <> %(not)s", {"least": 5, "not": "it's"})
    assert cursor.fetchall() == [("owl",), ("wren",)]
    cursor.execute("SELECT bird FROM birds WHERE grams > ? AND bird = ?", ["5", "'owl'"], paramstyle="qmark")
    assert cursor.fetchall() == [("owl",)]


def test_pyathena_pages_and_metadata(connection, lake, s3):
    s3.put_object(Bucket=lake.bucket, Key="numbers/a.csv", Body="".join(f"{n}\n" for n in range(2500)).encode())
    cursor = connection.cursor()
    cursor.execute(f"CREATE EXTERNAL TABLE numbers (n bigint) LOCATION 's3://{lake.bucket}/numbers/'")
    cursor.execute("SELECT n FROM numbers ORDER BY n")
    assert [row[0] for row in cursor] == list(range(2500))
    assert {table.name for table in cursor.list_table_metadata()} == {"birds", "numbers"}
    cursor.execute("SHOW TABLES")
    assert sorted(cursor.fetchall()) == [("birds",), ("numbers",)]
    cursor.execute("DROP TABLE numbers")


def test_pyathena_frames(server, connection):
    """Results by way of their CSV objects. (PyAthena's cursor of Arrow tables has pyarrow read them, which it tells no endpoint.)"""
    query = "SELECT bird, grams, wings, seen FROM birds ORDER BY grams DESC"
    frame = connection.cursor(PandasCursor).execute(query).as_pandas()
    assert list(frame["bird"]) == ["owl", "wren"] and list(frame["grams"]) == [1200, 9] and frame["wings"].isna().tolist() == [False, True]


# AWS SDK for pandas


@pytest.fixture
def session(server):
    for service in ("s3", "athena", "glue", "sts"):
        setattr(wr.config, f"{service}_endpoint_url", server.endpoint)
    yield boto3.Session(aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key, region_name=server.region)
    for service in ("s3", "athena", "glue", "sts"):
        wr.config.reset(f"{service}_endpoint_url")


def asked(lake, session) -> dict:
    return {"database": lake.database, "s3_output": f"s3://{lake.bucket}/wrangled/", "boto3_session": session, "ctas_approach": False}


def test_wrangler_reads(lake, session):
    frame = wr.athena.read_sql_query("SELECT * FROM birds ORDER BY grams", **asked(lake, session))
    assert list(frame["bird"]) == ["wren", "owl"] and list(frame["grams"]) == [9, 1200] and frame["wings"].isna().tolist() == [True, False]
    assert list(frame["seen"]) == [datetime.date(2019, 1, 2), datetime.date(2019, 1, 1)]
    frame = wr.athena.read_sql_query("SELECT bird FROM birds WHERE grams > :least", params={"least": 100}, **asked(lake, session))
    assert list(frame["bird"]) == ["owl"]
    frame = wr.athena.read_sql_query("SELECT bird FROM birds WHERE bird = ?", params=["'wren'"], paramstyle="qmark", **asked(lake, session))
    assert list(frame["bird"]) == ["wren"]
    chunks = list(wr.athena.read_sql_table("birds", chunksize=1, **asked(lake, session)))
    assert sorted(chunk["bird"].iloc[0] for chunk in chunks) == ["owl", "wren"]


def test_wrangler_writes_parquet_that_is_a_table(lake, session):
    frame = pd.DataFrame({"id": [1, 2, 3], "name": ["a", None, "c"], "x": [0.5, 1.5, None], "day": ["2019-01-01", "2019-01-01", "2019-01-02"]})
    frame["seen"] = pd.to_datetime(["2019-01-01 01:02:03", "2019-02-03 04:05:06", None])
    where = f"s3://{lake.bucket}/parquet/"
    write = lambda mode, rows: wr.s3.to_parquet(rows, path=where, dataset=True, mode=mode, database=lake.database, table="written", partition_cols=["day"], boto3_session=session)  # noqa: E731
    write("overwrite", frame)
    assert wr.catalog.does_table_exist(lake.database, "written", boto3_session=session)
    types = wr.catalog.get_table_types(lake.database, "written", boto3_session=session)
    assert types == {"id": "bigint", "name": "string", "x": "double", "seen": "timestamp", "day": "string"}
    read = wr.athena.read_sql_query("SELECT id, name, x, seen, day FROM written ORDER BY id", **asked(lake, session))
    assert list(read["id"]) == [1, 2, 3] and read["name"].isna().tolist() == [False, True, False] and list(read["day"]) == list(frame["day"])
    assert read["seen"].iloc[1] == pd.Timestamp("2019-02-03 04:05:06")
    write("append", pd.DataFrame({"id": [4], "name": ["d"], "x": [2.0], "seen": [pd.Timestamp("2019-03-01")], "day": ["2019-01-03"]}))
    read = wr.athena.read_sql_query("SELECT day, count(*) AS n FROM written GROUP BY day ORDER BY day", **asked(lake, session))
    assert list(read["n"]) == [2, 1, 1]
    partitions = wr.catalog.get_partitions(lake.database, "written", boto3_session=session)
    assert sorted(values[0] for values in partitions.values()) == ["2019-01-01", "2019-01-02", "2019-01-03"]
    assert wr.catalog.delete_table_if_exists(lake.database, "written", boto3_session=session)


def test_wrangler_writes_csv_that_is_a_table(lake, session):
    frame = pd.DataFrame({"id": [1, 2], "name": ["a", "b"]})
    wr.s3.to_csv(frame, path=f"s3://{lake.bucket}/csv/", dataset=True, database=lake.database, table="commas", index=False, boto3_session=session)
    read = wr.athena.read_sql_query("SELECT * FROM commas ORDER BY id", **asked(lake, session))
    assert list(read["id"]) == [1, 2] and list(read["name"]) == ["a", "b"]


def test_wrangler_knows_the_catalog(lake, session):
    assert lake.database in wr.catalog.databases(boto3_session=session)["Database"].tolist()
    assert wr.catalog.tables(database=lake.database, boto3_session=session)["Table"].tolist() == ["birds"]
    assert wr.catalog.table(database=lake.database, table="birds", boto3_session=session)["Column Name"].tolist() == ["bird", "grams", "wings", "seen"]
    name = f"other_{uuid.uuid4().hex}"
    wr.catalog.create_database(name, boto3_session=session)
    wr.catalog.delete_database(name, boto3_session=session)
    started = wr.athena.start_query_execution("SELECT 1", database=lake.database, s3_output=f"s3://{lake.bucket}/wrangled/", boto3_session=session)
    assert wr.athena.wait_query(started, boto3_session=session)["Status"]["State"] == "SUCCEEDED"
    assert "CREATE EXTERNAL TABLE" in wr.athena.show_create_table("birds", database=lake.database, s3_output=f"s3://{lake.bucket}/wrangled/", boto3_session=session)


def test_wrangler_is_told_what_is_not_carried_out(lake, session):
    given = {**asked(lake, session), "ctas_approach": True}
    with pytest.raises(wr.exceptions.QueryFailed, match="NOT_SUPPORTED"):
        wr.athena.read_sql_query("SELECT * FROM birds", **given)
    with pytest.raises(wr.exceptions.QueryFailed, match="NOT_SUPPORTED"):
        wr.athena.unload("SELECT * FROM birds", path=f"s3://{lake.bucket}/unloaded/", database=lake.database, boto3_session=session)


# The aws CLI


def test_the_aws_cli_asks(tools, lake):
    started = json.loads(
        tools.aws(
            "athena", "start-query-execution", "--query-string", "SELECT bird, grams FROM birds ORDER BY bird", "--query-execution-context", f"Database={lake.database}",
            "--result-configuration", f"OutputLocation=s3://{lake.bucket}/cli/",
        ).stdout
    )["QueryExecutionId"]  # fmt: skip
    lake.ended(started)
    shown = json.loads(tools.aws("athena", "get-query-results", "--query-execution-id", started).stdout)
    assert [[cell["VarCharValue"] for cell in row["Data"]] for row in shown["ResultSet"]["Rows"]] == [["bird", "grams"], ["owl", "1200"], ["wren", "9"]]
    assert tools.aws("s3", "cp", f"s3://{lake.bucket}/cli/{started}.csv", "-").stdout == b'"bird","grams"\n"owl","1200"\n"wren","9"\n'
