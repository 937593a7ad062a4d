"""Queries, by Athena: from SELECT to rows, their types and objects, what they cost, who may, and what becomes of those that cannot end."""

import csv
import io
import os
import signal
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harness.athena import lake as new_lake
from harness.athena import workers
from harness.clients import client
from harness.identities import User, allow, deny, document, statement

pytestmark = pytest.mark.restarts  # the catalog is an account's, of which each server has one

BIRDS = """
CREATE EXTERNAL TABLE birds (bird string, grams int, wings double)
PARTITIONED BY (seen string)
ROW FORMAT DELIMITED FIELDS TERMINATED BY ','
LOCATION 's3://{bucket}/birds/'
"""
# What a caller needs for queries over the catalog and their results, without the data.
USUAL = ["athena:*", "glue:Get*", "s3:GetBucketLocation", "s3:ListBucket"]


@pytest.fixture
def lake(server, bucket):
    made = new_lake(server, bucket)
    yield made
    made.run("DROP DATABASE IF EXISTS {db} CASCADE")


@pytest.fixture
def birds(lake, s3):
    """Two partitions of a CSV table."""
    s3.put_object(Bucket=lake.bucket, Key="birds/seen=2019-01-01/a.csv", Body=b"owl,1200,0.95\nwren,9,0.15\n")
    s3.put_object(Bucket=lake.bucket, Key="birds/seen=2019-01-02/a.csv", Body=b"owl,1300,1\ngull,900,\\N\n")
    lake.done(BIRDS)
    lake.done("MSCK REPAIR TABLE birds")
    return lake


def big(lake, s3, megabytes: int = 24, name: str = "big") -> None:
    """A table of many lines that are all different."""
    lines = "".join(f"{n},{n * 7919 % 1_000_003},some words that make the line longer {n}\n" for n in range(megabytes * 18_000))
    s3.put_object(Bucket=lake.bucket, Key=f"{name}/a.csv", Body=lines.encode())
    lake.done(f"CREATE EXTERNAL TABLE {name} (id bigint, k bigint, words string) ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' LOCATION 's3://{{bucket}}/{name}/'")


# A query that takes long enough to be met while it runs, and little memory: each row of one list with each of the other.
SLOW = "SELECT count(*) FROM big a CROSS JOIN big b WHERE a.words || b.words LIKE '%no such words%'"


def running(lake, statement: str, **more) -> str:
    """A query that has begun to run."""
    started = lake.start(statement, **more)
    until = time.monotonic() + 30
    while lake.execution(started)["Status"]["State"] == "QUEUED":
        assert time.monotonic() < until
        time.sleep(0.01)
    assert lake.execution(started)["Status"]["State"] == "RUNNING", lake.execution(started)["Status"]
    return started


def test_types_of_columns_and_their_values(lake):
    execution = lake.done(
        """
        SELECT true AS a, CAST(1 AS tinyint) AS b, CAST(2 AS smallint) AS c, CAST(3 AS integer) AS d, CAST(4 AS bigint) AS e, CAST(0.5 AS real) AS f, 1e0 AS g,
               CAST(1.5 AS decimal(10,2)) AS h, 'text' AS i, DATE '2019-02-28' AS j, TIMESTAMP '2019-02-28 01:02:03.456' AS k, ARRAY[1, NULL, 3] AS l,
               CAST(NULL AS varchar) AS m, '' AS n
        """
    )
    columns = {column["Name"]: (column["Type"], column["Precision"], column["Scale"]) for column in lake.columns(execution)}
    assert columns == {
        "a": ("boolean", 0, 0), "b": ("tinyint", 3, 0), "c": ("smallint", 5, 0), "d": ("integer", 10, 0), "e": ("bigint", 19, 0), "f": ("float", 17, 0),
        "g": ("double", 17, 0), "h": ("decimal", 10, 2), "i": ("varchar", 2147483647, 0), "j": ("date", 0, 0), "k": ("timestamp", 3, 0), "l": ("array", 0, 0),
        "m": ("varchar", 2147483647, 0), "n": ("varchar", 2147483647, 0),
    }  # fmt: skip
    names, values = lake.result(execution)
    assert names == list("abcdefghijklmn")
    assert values == ["true", "1", "2", "3", "4", "0.5", "1.0", "1.50", "text", "2019-02-28", "2019-02-28 01:02:03.456", "[1, null, 3]", None, ""]


def test_a_result_is_an_object_with_its_columns_beside_it(birds, s3):
    execution = birds.done("SELECT bird, wings FROM birds ORDER BY bird, grams")
    where = execution["ResultConfiguration"]["OutputLocation"]
    assert where == f"s3://{birds.bucket}/results/{execution['QueryExecutionId']}.csv"
    key = where.split("/", 3)[3]
    # NULL is nothing, an empty text is not.
    assert s3.get_object(Bucket=birds.bucket, Key=key)["Body"].read() == b'"bird","wings"\n"gull",\n"owl","0.95"\n"owl","1.0"\n"wren","0.15"\n'
    metadata = s3.get_object(Bucket=birds.bucket, Key=f"{key}.metadata")["Body"].read()
    assert all(part in metadata for part in (execution["QueryExecutionId"].encode(), b"bird", b"varchar", b"wings", b"double"))
    statistics = execution["Statistics"]
    assert statistics["DataScannedInBytes"] == 26 + 23 and statistics["TotalExecutionTimeInMillis"] >= statistics["EngineExecutionTimeInMillis"]
    rows = birds.athena.get_query_runtime_statistics(QueryExecutionId=execution["QueryExecutionId"])["QueryRuntimeStatistics"]["Rows"]
    assert (rows["OutputRows"], rows["InputBytes"], rows["OutputBytes"]) == (4, 49, len(b'"bird","wings"\n"gull",\n"owl","0.95"\n"owl","1.0"\n"wren","0.15"\n'))


def test_partitions_that_a_query_does_not_ask_for_are_not_read(birds):
    execution = birds.done("SELECT bird FROM birds WHERE seen = '2019-01-02' ORDER BY bird")
    assert birds.result(execution)[1:] == [["gull"], ["owl"]] and execution["Statistics"]["DataScannedInBytes"] == 23
    assert birds.rows("SELECT seen, count(*), sum(grams) FROM birds GROUP BY seen ORDER BY seen") == [["2019-01-01", "2", "1209"], ["2019-01-02", "2", "2200"]]


def test_pages_of_a_result(lake, s3):
    s3.put_object(Bucket=lake.bucket, Key="numbers/a.csv", Body="".join(f"{n}\n" for n in range(1, 2501)).encode())
    lake.done("CREATE EXTERNAL TABLE numbers (n bigint) LOCATION 's3://{bucket}/numbers/'")
    execution = lake.done("SELECT n FROM numbers ORDER BY n")
    asked = {"QueryExecutionId": execution["QueryExecutionId"]}
    sizes, token = [], {}
    while True:
        page = lake.athena.get_query_results(**asked, **token)
        sizes.append(len(page["ResultSet"]["Rows"]))
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    # The names of the columns are a row of the first page.
    assert sizes == [1000, 1000, 501]
    assert [row[0] for row in lake.result(execution)[1:]] == [str(n) for n in range(1, 2501)]
    few = lake.athena.get_query_results(**asked, MaxResults=3)
    assert [row["Data"][0]["VarCharValue"] for row in few["ResultSet"]["Rows"]] == ["n", "1", "2"]


def test_parameters_and_prepared_statements(birds):
    query = "SELECT bird FROM birds WHERE grams > ? AND seen = ? ORDER BY bird"
    assert birds.rows(query, ExecutionParameters=["1000", "'2019-01-02'"]) == [["owl"]]
    birds.done(f"PREPARE heavy FROM {query}")
    assert birds.rows("EXECUTE heavy USING 5, '2019-01-01'") == [["owl"], ["wren"]]
    assert birds.rows("EXECUTE heavy", ExecutionParameters=["5", "'2019-01-02'"]) == [["gull"], ["owl"]]
    # A value is a value, whatever stands in it.
    assert birds.rows("SELECT ?", ExecutionParameters=["'a'' OR 1 = 1 --'"]) == [["a' OR 1 = 1 --"]]
    for wrong in [{}, {"ExecutionParameters": ["1"]}, {"ExecutionParameters": ["1", "'x'", "2"]}]:
        assert birds.run(query, **wrong)["Status"]["State"] == "FAILED", wrong
    birds.done("DEALLOCATE PREPARE heavy")
    assert "heavy" in birds.fails("EXECUTE heavy USING 1, 'x'")


def test_views_are_queries_over_what_they_name(birds, server, s3):
    birds.done("CREATE VIEW heavy AS SELECT bird, max(grams) AS most FROM birds GROUP BY bird HAVING max(grams) > 1000")
    assert birds.rows("SELECT * FROM heavy") == [["owl", "1300"]]
    birds.done("CREATE VIEW heavier AS SELECT upper(bird) AS loud FROM heavy")
    assert birds.rows("SELECT loud FROM {db}.heavier", QueryExecutionContext={"Database": "default"}) == [["OWL"]]


def test_explain_shows_a_plan_and_runs_nothing(birds):
    execution = birds.done("EXPLAIN SELECT bird FROM birds WHERE seen = '2019-01-02'")
    assert execution["StatementType"] == "UTILITY" and execution["Statistics"].get("DataScannedInBytes", 0) == 0
    assert birds.result(execution)
    execution = birds.done("EXPLAIN ANALYZE SELECT bird FROM birds WHERE seen = '2019-01-02'")
    assert execution["Statistics"]["DataScannedInBytes"] == 23


@pytest.mark.parametrize(
    "query, parts",
    [
        ("SELEC 1", ["SYNTAX_ERROR"]),
        ("SELECT * FROM nowhere", ["TABLE_NOT_FOUND", "nowhere"]),
        ("SELECT * FROM no_database.t", ["no_database"]),
        ("SELECT wingspan FROM birds", ["COLUMN_NOT_FOUND", "wingspan"]),
        ("SELECT no_such_function(1)", ["no_such_function"]),
        ("SELECT 1; SELECT 2", ["Only one sql statement"]),
        ("SELECT * FROM birds TABLESAMPLE BERNOULLI (10)", ["TABLESAMPLE"]),
        ("SELECT CAST('x' AS integer)", ["x"]),
        ("SELECT 1 / 0", ["zero"]),
    ],
)
def test_what_a_statement_does_wrong(birds, query, parts):
    reason = birds.fails(query)
    assert all(part.lower() in reason.lower() for part in parts), reason


def test_a_work_group_limits_what_a_query_reads(server, lake, s3):
    big(lake, s3)
    name = f"frugal-{lake.bucket}"
    lake.athena.create_work_group(Name=name, Configuration={"BytesScannedCutoffPerQuery": 10_000_000, "EnforceWorkGroupConfiguration": False})
    lake.group = name
    execution = lake.run("SELECT count(*), sum(k) FROM big")
    assert execution["Status"]["State"] == "CANCELLED" and "Bytes scanned limit was exceeded" in execution["Status"]["StateChangeReason"], execution["Status"]
    assert lake.rows("SELECT 1") == [["1"]]
    lake.group = None
    lake.athena.delete_work_group(WorkGroup=name, RecursiveDeleteOption=True)


def test_a_query_is_stopped(server, lake, s3):
    big(lake, s3)
    started = running(lake, SLOW)
    time.sleep(0.2)
    lake.athena.stop_query_execution(QueryExecutionId=started)
    execution = lake.ended(started, seconds=5)
    assert execution["Status"]["State"] == "CANCELLED"
    with pytest.raises(lake.athena.exceptions.InvalidRequestException):
        lake.athena.get_query_results(QueryExecutionId=started)
    # No place is taken by it any more.
    assert lake.rows("SELECT 2") == [["2"]]


def test_results_are_used_again_as_long_as_nothing_changed(birds, s3):
    reuse = {"ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": True, "MaxAgeInMinutes": 60}}}
    query = "SELECT sum(grams) FROM birds"
    reused = lambda execution: execution["Statistics"]["ResultReuseInformation"]["ReusedPreviousResult"]  # noqa: E731
    first = birds.done(query)
    again = birds.done(query, **reuse)
    assert reused(again) and birds.result(again) == birds.result(first) == [["_col0"], ["3409"]]
    assert again["Statistics"].get("DataScannedInBytes", 0) == 0
    assert not reused(birds.done(query))
    s3.put_object(Bucket=birds.bucket, Key="birds/seen=2019-01-01/a.csv", Body=b"owl,1,0.95\n")
    changed = birds.done(query, **reuse)
    assert not reused(changed) and birds.result(changed)[1:] == [["2201"]]
    s3.put_object(Bucket=birds.bucket, Key="birds/seen=2019-01-02/b.csv", Body=b"swan,10000,2\n")
    assert birds.result(birds.done(query, **reuse))[1:] == [["12201"]]
    birds.done("ALTER TABLE birds DROP PARTITION (seen = '2019-01-01')")
    assert birds.result(birds.done(query, **reuse))[1:] == [["12200"]]


def reader(server, lake, *more: str):
    """Somebody who may ask, and keep results."""
    iam = client(server, "iam")
    results = allow(["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{lake.bucket}/results/*")
    return lake.as_(User(server, iam, allow(USUAL), results, *more).client("athena"))


def test_a_query_reads_what_its_caller_may_read(server, birds):
    somebody = reader(server, birds)
    assert somebody.rows("SELECT 1") == [["1"]]
    reason = somebody.fails("SELECT * FROM birds")
    assert "denied" in reason.lower() and "birds/seen=2019-01-0" in reason, reason
    # One partition of two.
    partly = reader(server, birds, allow("s3:GetObject", f"arn:aws:s3:::{birds.bucket}/birds/seen=2019-01-01/*"))
    assert partly.rows("SELECT sum(grams) FROM birds WHERE seen = '2019-01-01'") == [["1209"]]
    assert "denied" in partly.fails("SELECT sum(grams) FROM birds").lower()
    # Not the catalog.
    blind = reader(server, birds, document(statement("Deny", "glue:GetTable", "*")))
    assert "denied" in blind.fails("SELECT * FROM birds").lower() or "not authorized" in blind.fails("SELECT * FROM birds").lower()
    # Not the place for results.
    mute = reader(server, birds, deny("s3:PutObject"))
    assert "denied" in mute.fails("SELECT 1").lower()


def test_a_view_does_not_lend_its_owners_rights(server, birds):
    birds.done("CREATE VIEW names AS SELECT bird FROM birds")
    assert len(birds.rows("SELECT * FROM names")) == 4
    assert "denied" in reader(server, birds).fails("SELECT * FROM names").lower()


def test_objects_under_a_key_need_the_right_to_it(server, birds, s3):
    kms = client(server, "kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    s3.put_object(Bucket=birds.bucket, Key="birds/seen=2019-01-01/a.csv", Body=b"owl,1,0.95\n", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    data = allow("s3:GetObject", f"arn:aws:s3:::{birds.bucket}/birds/*")
    query = "SELECT sum(grams) FROM birds"
    assert "denied" in reader(server, birds, data).fails(query).lower()
    assert reader(server, birds, data, allow("kms:Decrypt", key)).rows(query) == [["2201"]]


def test_results_are_encrypted_as_they_are_asked_for(server, birds, s3):
    key = client(server, "kms").create_key()["KeyMetadata"]["Arn"]
    place = {"OutputLocation": f"s3://{birds.bucket}/sealed/", "EncryptionConfiguration": {"EncryptionOption": "SSE_KMS", "KmsKey": key}}
    execution = birds.done("SELECT 1 AS one", ResultConfiguration=place)
    where = execution["ResultConfiguration"]["OutputLocation"].split("/", 3)[3]
    for suffix in ("", ".metadata"):
        head = s3.head_object(Bucket=birds.bucket, Key=where + suffix)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key), suffix
    assert birds.result(execution) == [["one"], ["1"]]


def test_a_worker_that_is_killed_takes_its_query_alone(make_server):
    server = make_server()
    s3 = client(server, "s3")
    s3.create_bucket(Bucket="killed")
    lake = new_lake(server, "killed")
    big(lake, s3)
    started = running(lake, SLOW)
    at_work = workers(server)
    assert at_work
    for pid in at_work:
        os.kill(pid, signal.SIGKILL)
    execution = lake.ended(started)
    assert execution["Status"]["State"] == "FAILED" and "process" in execution["Status"]["StateChangeReason"], execution["Status"]
    assert execution["Status"]["AthenaError"]["Retryable"]
    assert lake.rows("SELECT count(*) FROM big") == [[str(24 * 18_000)]]
    assert server.alive()
    # Nothing of a result is there.
    assert "Contents" not in s3.list_objects_v2(Bucket="killed", Prefix=f"results/{started}")


def test_what_does_not_fit_into_memory_says_what_to_change(make_server):
    server = make_server(args=["--query-memory", "1", "--query-workers", "1"])
    s3 = client(server, "s3")
    s3.create_bucket(Bucket="small")
    lake = new_lake(server, "small")
    big(lake, s3, megabytes=40)
    # There is nothing to spill. Of a join the engine counts the memory, of one value it does not, and its process is ended.
    for query in ["SELECT count(*) FROM big a JOIN big b ON a.words = b.words", f"SELECT cardinality(array_agg({' || '.join(['words'] * 20)})) FROM big"]:
        reason = lake.fails(query)
        assert "exhausted resources" in reason and "--query-memory" in reason, (query, reason)
    # What can be spilled ends.
    assert lake.rows("SELECT count(*), min(id), max(id) FROM (SELECT id FROM big ORDER BY words, k)") == [[str(40 * 18_000), "0", str(40 * 18_000 - 1)]]


def test_results_are_read_by_any_reader_of_csv(birds, s3):
    values = ['a "b", c', "line\nbreak", "", "näher"]
    listed = ", ".join(f"({n}, '{value}')" for n, value in enumerate(values))
    execution = birds.done(f"SELECT v FROM (VALUES {listed}) AS t(n, v) ORDER BY n")
    assert [row[0] for row in birds.result(execution)[1:]] == values
    key = execution["ResultConfiguration"]["OutputLocation"].split("/", 3)[3]
    text = s3.get_object(Bucket=birds.bucket, Key=key)["Body"].read().decode()
    assert [row[0] for row in csv.reader(io.StringIO(text, newline=""))] == ["v", *values]


def test_a_worker_is_used_again_after_a_query_that_left_early(lake, s3):
    """LIMIT ends a query while bytes that it asked for are still on their way to its worker."""
    rows = pa.table({name: pa.array([f"{name} {n}" for n in range(60_000)]) for name in "abcdefgh"})
    for part in range(4):
        buffer = io.BytesIO()
        pq.write_table(rows, buffer, row_group_size=5_000)
        s3.put_object(Bucket=lake.bucket, Key=f"wide/{part}.parquet", Body=buffer.getvalue())
    lake.done(f"CREATE EXTERNAL TABLE wide ({', '.join(f'{name} string' for name in 'abcdefgh')}) STORED AS PARQUET LOCATION 's3://{{bucket}}/wide/'")
    for _ in range(40):
        assert len(lake.rows("SELECT * FROM wide LIMIT 10")) == 10


def test_many_queries_at_the_same_time_wait_for_their_turn(birds):
    started = [birds.start(f"SELECT {n}, count(*) FROM birds") for n in range(12)]
    for n, one in enumerate(started):
        assert birds.result(birds.ended(one))[1:] == [[str(n), "4"]]
