"""Statements about the catalog, by Athena: what they do to it, what they show, and who may not."""

import time
import uuid

import pytest
from harness.clients import client
from harness.identities import User, allow

pytestmark = pytest.mark.restarts  # the catalog is an account's, of which each server has one

TABLE = """
CREATE EXTERNAL TABLE IF NOT EXISTS `{db}`.sightings (
    `bird` string COMMENT 'which',
    Grams int,
    place struct<lat:double,lon:double>
)
PARTITIONED BY (dt string)
ROW FORMAT DELIMITED
    FIELDS TERMINATED BY ','
    ESCAPED BY '\\\\'
    LINES TERMINATED BY '\\n'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.IgnoreKeyTextOutputFormat'
LOCATION 's3://{bucket}/sightings'
TBLPROPERTIES ('skip.header.line.count'='1')
"""


class Athena:
    """Executes statements of one client and waits for them."""

    def __init__(self, athena, database, bucket):
        self.athena, self.database, self.bucket = athena, database, bucket

    def run(self, statement):
        """The state in which it ended, and the rows it shows or the reason why it failed."""
        statement = statement.format(db=self.database, bucket=self.bucket)
        started = self.athena.start_query_execution(
            QueryString=statement, QueryExecutionContext={"Database": self.database},
            ResultConfiguration={"OutputLocation": f"s3://{self.bucket}/results/"},
        )["QueryExecutionId"]  # fmt: skip
        until = time.monotonic() + 30
        while time.monotonic() < until:
            status = self.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"]
            if status["State"] not in ("QUEUED", "RUNNING"):
                break
            time.sleep(0.05)
        if status["State"] != "SUCCEEDED":
            return status["State"], status["StateChangeReason"]
        rows = self.athena.get_query_results(QueryExecutionId=started)["ResultSet"]["Rows"]
        return "SUCCEEDED", ["\t".join(cell.get("VarCharValue", "") for cell in row["Data"]).rstrip() for row in rows]

    def shows(self, statement):
        state, rows = self.run(statement)
        assert state == "SUCCEEDED", rows
        return rows

    def fails(self, statement):
        state, reason = self.run(statement)
        assert state == "FAILED", reason
        return reason


@pytest.fixture
def athena(server, bucket):
    athena = Athena(client(server, "athena"), f"db_{uuid.uuid4().hex}", bucket)
    athena.shows("CREATE DATABASE {db} COMMENT 'birds'")
    yield athena
    athena.run("DROP DATABASE IF EXISTS {db} CASCADE")


def test_a_table_from_its_statement_to_its_partitions(server, s3, bucket, athena):
    glue = client(server, "glue")
    for key in ["dt=2019-01-01/a.csv", "dt=2019-01-02/a.csv", "_hidden/dt=1/x", "other"]:
        s3.put_object(Bucket=bucket, Key=f"sightings/{key}", Body=b"x")
    assert athena.shows(TABLE) == athena.shows(TABLE) == []
    table = glue.get_table(DatabaseName=athena.database, Name="sightings")["Table"]
    storage = table["StorageDescriptor"]
    assert [(column["Name"], column["Type"]) for column in storage["Columns"]] == [
        ("bird", "string"), ("grams", "int"), ("place", "struct<lat:double,lon:double>"),
    ]  # fmt: skip
    assert storage["SerdeInfo"]["Parameters"]["field.delim"] == "," and storage["SerdeInfo"]["Parameters"]["escape.delim"] == "\\"
    assert storage["InputFormat"].endswith("SymlinkTextInputFormat") and table["Parameters"]["skip.header.line.count"] == "1"
    assert any("Added partition" in line for line in athena.shows("MSCK REPAIR TABLE sightings"))
    assert athena.shows("SHOW PARTITIONS sightings") == ["dt=2019-01-01", "dt=2019-01-02"]
    athena.shows("ALTER TABLE sightings ADD IF NOT EXISTS PARTITION (dt='2019-01-02') PARTITION (dt='x/y') LOCATION 's3://{bucket}/else/'")
    assert athena.shows("SHOW PARTITIONS sightings") == ["dt=2019-01-01", "dt=2019-01-02", "dt=x%2Fy"]
    values = [one["Values"] for one in glue.get_partitions(DatabaseName=athena.database, TableName="sightings", Expression="dt > '2019-01-01' and dt not in ('x/y')")["Partitions"]]
    assert values == [["2019-01-02"]]
    folders = lambda: {one["Values"][0]: one["StorageDescriptor"]["Location"] for one in glue.get_partitions(DatabaseName=athena.database, TableName="sightings")["Partitions"]}
    root = f"s3://{bucket}/sightings"
    found = {values: folder.rstrip("/") for values, folder in folders().items()}
    assert found == {"2019-01-01": f"{root}/dt=2019-01-01", "2019-01-02": f"{root}/dt=2019-01-02", "x/y": f"s3://{bucket}/else"}
    athena.shows("ALTER TABLE sightings ADD PARTITION (dt='new')")
    assert folders()["new"].rstrip("/") == f"{root}/dt=new"
    athena.shows("ALTER TABLE sightings PARTITION (dt='new') SET LOCATION 's3://{bucket}/moved/'")
    assert folders()["new"] == f"s3://{bucket}/moved/"
    athena.shows("ALTER TABLE sightings PARTITION (dt='new') RENAME TO PARTITION (dt='renamed')")
    assert folders()["renamed"] == f"s3://{bucket}/moved/" and "new" not in folders()
    athena.shows("ALTER TABLE sightings DROP PARTITION (dt = 'renamed')")
    athena.shows("ALTER TABLE sightings DROP PARTITION (dt < '2019-01-02'), PARTITION (dt = 'x/y')")
    assert athena.shows("SHOW PARTITIONS sightings") == ["dt=2019-01-02"]
    athena.shows("ALTER TABLE sightings ADD COLUMNS (wind double COMMENT 'm/s')")
    described = athena.shows("DESCRIBE sightings")
    assert [line.split()[0] for line in described[:5]] == ["bird", "grams", "place", "wind", "dt"]
    again = "\n".join(athena.shows("SHOW CREATE TABLE sightings"))
    athena.shows("DROP TABLE sightings")
    assert athena.shows("SHOW TABLES") == []
    athena.shows(again.replace("{", "{{").replace("}", "}}"))
    assert "\n".join(athena.shows("SHOW CREATE TABLE sightings")) == again


def test_views_stand_in_the_catalog(server, athena):
    athena.shows("CREATE VIEW heavy AS SELECT bird FROM sightings WHERE grams > 1000")
    assert "heavy" in athena.shows("SHOW VIEWS")
    assert any("grams > 1000" in line for line in athena.shows("SHOW CREATE VIEW heavy"))
    assert "already" in athena.fails("CREATE VIEW heavy AS SELECT 1").lower()
    athena.shows("CREATE OR REPLACE VIEW heavy AS SELECT 2")
    assert any("SELECT 2" in line for line in athena.shows("SHOW CREATE VIEW heavy"))
    athena.shows("DROP VIEW heavy")
    assert athena.shows("SHOW VIEWS") == []


@pytest.mark.parametrize(
    "statement, part",
    [
        ("CREATE TABLE t (a int)", "EXTERNAL"),
        ("CREATE EXTERNAL TABLE t (a int)", "LOCATION"),
        ("CREATE EXTERNAL TABLE t (a int, A string) LOCATION 's3://{bucket}/t/'", "duplicate column name: a"),
        ("CREATE EXTERNAL TABLE t (a colour) LOCATION 's3://{bucket}/t/'", "colour"),
        ("DESCRIBE nothing", "Table not found"),
        ("DROP TABLE nothing", "EntityNotFoundException"),
        ("MSCK REPAIR TABLE", "ParseException"),
        ("INSERT INTO t VALUES (1)", "NOT_SUPPORTED"),
    ],
)
def test_what_is_refused(athena, statement, part):
    assert part in athena.fails(statement)


def test_a_statement_has_its_callers_rights(server, athena):
    athena.shows("CREATE EXTERNAL TABLE t (a int) LOCATION 's3://{bucket}/t/'")
    iam = client(server, "iam")
    rights = ["athena:*", "s3:*", "glue:GetDatabase", "glue:GetTable", "glue:GetTables"]
    reader = Athena(User(server, iam, allow(rights)).client("athena"), athena.database, athena.bucket)
    assert reader.shows("SHOW TABLES") == ["t"]
    for statement in ["DROP TABLE t", "CREATE EXTERNAL TABLE u (a int) LOCATION 's3://{bucket}/u/'", "ALTER TABLE t ADD COLUMNS (b int)", "DROP DATABASE {db} CASCADE"]:
        assert "ermission" in reader.fails(statement), statement
    assert athena.shows("SHOW TABLES") == ["t"]
