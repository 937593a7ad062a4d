"""Real flights lie in a lake as one CSV a day; a crawler finds them; ten questions are asked in SQL, and each answer is compared with what DuckDB says of the same files.

Started by `make demo-sql`, which builds the server first. Nothing but a file's folder says on which day its flights were: what a question does not ask for is not read.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "demo"))
from demo import by_day, check, flights  # noqa: E402
from lake import ACCOUNT, Lake  # noqa: E402

BUCKET, DATABASE, TABLE = "departures", "air", "flights"
RESULTS = f"s3://{BUCKET}/results/"
CLIENTS = 8
PATIENCE = 300.0

# What is asked, in Trino's SQL, and the same in DuckDB's where that differs.
QUESTIONS: list[tuple[str, str, str | None]] = [
    ("how many flights, from how many airports", "SELECT count(*) AS flights, count(DISTINCT origin) AS airports, count(DISTINCT dest) AS goals FROM flights", None),
    (
        "the busiest destinations",
        "SELECT dest, count(*) AS n, round(avg(distance), 1) AS miles FROM flights GROUP BY dest ORDER BY n DESC, dest LIMIT 10",
        None,
    ),
    (
        "delays by airline",
        """SELECT carrier, count(*) AS n, round(avg(dep_delay), 2) AS mean, round(max(dep_delay) / 60e0, 2) AS worst_hours
           FROM flights WHERE dep_delay IS NOT NULL GROUP BY carrier ORDER BY mean DESC""",
        None,
    ),
    (
        "one day in February",
        "SELECT origin, count(*) AS n, sum(CASE WHEN dep_time IS NULL THEN 1 ELSE 0 END) AS cancelled FROM flights WHERE dt = '2013-02-09' GROUP BY origin ORDER BY origin",
        None,
    ),
    (
        "the week of Christmas",
        "SELECT dt, count(*) AS n, round(avg(arr_delay), 2) AS late FROM flights WHERE dt BETWEEN '2013-12-22' AND '2013-12-28' GROUP BY dt ORDER BY dt",
        None,
    ),
    (
        "cancelled flights by month",
        "SELECT month, count(*) AS n FROM flights WHERE dep_time IS NULL GROUP BY month ORDER BY month",
        None,
    ),
    (
        "the hours at which planes are late",
        "SELECT hour, round(avg(dep_delay), 2) AS late, count(*) FILTER (WHERE dep_delay > 60) AS over_an_hour FROM flights GROUP BY hour HAVING count(*) > 100 ORDER BY hour",
        None,
    ),
    (
        "the three longest delays of each airport",
        """SELECT origin, rank, carrier, flight, dep_delay FROM (
             SELECT origin, carrier, flight, dep_delay, row_number() OVER (PARTITION BY origin ORDER BY dep_delay DESC, flight) AS rank FROM flights WHERE dep_delay IS NOT NULL
           ) AS ranked WHERE rank <= 3 ORDER BY origin, rank""",
        None,
    ),
    (
        "planes that flew for several airlines",
        """SELECT a.tailnum, a.carrier, b.carrier AS other, count(*) AS n
           FROM (SELECT DISTINCT tailnum, carrier FROM flights WHERE tailnum LIKE 'N%') AS a
           JOIN (SELECT DISTINCT tailnum, carrier FROM flights WHERE tailnum LIKE 'N%') AS b ON a.tailnum = b.tailnum AND a.carrier < b.carrier
           GROUP BY a.tailnum, a.carrier, b.carrier ORDER BY a.tailnum, a.carrier, other LIMIT 20""",
        None,
    ),
    (
        "routes of every airport, with those of all airports",
        "SELECT coalesce(origin, 'all') AS airport, count(*) AS n, count(DISTINCT dest) AS goals FROM flights GROUP BY GROUPING SETS ((origin), ()) ORDER BY n DESC, airport",
        None,
    ),
]
PRUNED = "SELECT count(*) FROM flights WHERE dt = '2013-02-09'"


def bare(body: bytes) -> bytes:
    """A CSV whose missing values are nothing, and not NA."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(["" if value == "NA" else value for value in row] for row in csv.reader(io.StringIO(body.decode())))
    return out.getvalue().encode()


def put(lake: Lake, directory: Path) -> tuple[int, int]:
    """Puts one CSV a day below `flights/dt=YYYY-MM-DD/`, and the same into files for DuckDB; objects and bytes."""
    s3 = lake.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    days = {f"flights/dt={'-'.join(key.removesuffix('.csv').split('/')[1:])}/flights.csv": bare(body) for key, body in by_day(flights()).items()}
    for key, body in days.items():
        path = directory / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda item: s3.put_object(Bucket=BUCKET, Key=item[0], Body=item[1]), days.items()))
    return len(days), sum(map(len, days.values()))


class Asking:
    """Statements of Athena."""

    def __init__(self, lake: Lake):
        self.athena = lake.client("athena")

    def run(self, statement: str) -> dict:
        started = self.athena.start_query_execution(
            QueryString=statement, QueryExecutionContext={"Database": DATABASE}, ResultConfiguration={"OutputLocation": RESULTS}
        )["QueryExecutionId"]
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            execution = self.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]
            if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                break
            time.sleep(0.01)
        check(execution["Status"]["State"] == "SUCCEEDED", f"{statement}: {execution['Status']}")
        return execution

    def rows(self, execution: dict, header: bool = True) -> list[list[str | None]]:
        pages = self.athena.get_paginator("get_query_results").paginate(QueryExecutionId=execution["QueryExecutionId"])
        found = [[cell.get("VarCharValue") for cell in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]]
        return found[1:] if header else found


def crawl(lake: Lake):
    """A crawler, under a role that may read the flights and write the catalog, finds table, columns and partitions."""
    iam, glue = lake.client("iam"), lake.client("glue")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName="crawling", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    may = [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"], "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/flights/*"]},
        {"Effect": "Allow", "Action": "glue:*", "Resource": "*"},
    ]
    iam.put_role_policy(RoleName="crawling", PolicyName="may", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": may}))
    glue.create_database(DatabaseInput={"Name": DATABASE})
    glue.create_crawler(Name="departures", Role=role, DatabaseName=DATABASE, Targets={"S3Targets": [{"Path": f"s3://{BUCKET}/flights/"}]})
    glue.start_crawler(Name="departures")
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        crawler = glue.get_crawler(Name="departures")["Crawler"]
        if crawler["State"] == "READY" and "LastCrawl" in crawler:
            break
        time.sleep(0.2)
    check(crawler.get("LastCrawl", {}).get("Status") == "SUCCEEDED", f"the crawler: {crawler}")


def found(lake: Lake) -> str:
    glue = lake.client("glue")
    table = glue.get_table(DatabaseName=DATABASE, Name=TABLE)["Table"]
    pages = glue.get_paginator("get_partitions").paginate(DatabaseName=DATABASE, TableName=TABLE, ExcludeColumnSchema=True)
    partitions = sum(len(page["Partitions"]) for page in pages)
    columns = table["StorageDescriptor"]["Columns"]
    keys = [key["Name"] for key in table["PartitionKeys"]]
    check(keys == ["dt"], f"the partition keys are {keys}")
    return f"{len(columns)} columns ({', '.join(column['Name'] + ' ' + column['Type'] for column in columns[:4])}, ...), {partitions} partitions by {keys[0]}"


def same(ours: str | None, theirs) -> bool:
    """Whether a value of Athena's, which is text, is DuckDB's."""
    if ours is None or theirs is None:
        return ours is None and theirs is None
    if isinstance(theirs, bool):
        return ours == str(theirs).lower()
    if isinstance(theirs, (int, float)) or hasattr(theirs, "as_integer_ratio"):
        return math.isclose(float(ours), float(theirs), rel_tol=1e-9, abs_tol=1e-9)
    return ours == str(theirs)


def compare(question: str, ours: list, theirs: list):
    check(len(ours) == len(theirs), f"{question}: {len(ours)} rows, and {len(theirs)} by DuckDB")
    for mine, other in zip(ours, theirs):
        check(len(mine) == len(other) and all(map(same, mine, other)), f"{question}: {mine} is not what DuckDB says: {other}")


def ask(asking: Asking, directory: Path) -> list[tuple[str, int, int, float, float]]:
    """Asks everything, of both; rows, bytes read, seconds of ours and of DuckDB's."""
    base = duckdb.connect()
    # Hive reads an empty field of a number as NULL, and one of a text as empty.
    base.execute(
        f"CREATE VIEW flights AS SELECT * REPLACE (coalesce(tailnum, '') AS tailnum) FROM read_csv('{directory}/flights/*/*.csv', hive_partitioning = true, hive_types = {{'dt': VARCHAR}})"
    )
    measured = []
    for question, statement, other in QUESTIONS:
        began = time.perf_counter()
        execution = asking.run(statement)
        ours = asking.rows(execution)
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        theirs = base.execute(other or statement).fetchall()
        compare(question, ours, theirs)
        measured.append((question, len(ours), execution["Statistics"]["DataScannedInBytes"], seconds, time.perf_counter() - began))
        print(f"    {question}: {', '.join(str(value) for value in ours[0])}{' ...' if len(ours) > 1 else ''}", flush=True)
    return measured


def table(measured, total: int) -> str:
    lines = [("question", "rows", "bytes read", "of all", "time", "DuckDB, local files")]
    for question, rows, read, seconds, other in measured:
        lines.append((question, f"{rows:,}", f"{read:,}", f"{100 * read / total:.1f} %", f"{seconds * 1000:,.0f} ms", f"{other * 1000:,.0f} ms"))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    shown = ["  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))) for line in lines]
    return "\n".join([shown[0], "-" * len(shown[0]), *shown[1:]])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True, help="the server's program")
    parser.add_argument("--directory", required=True, type=Path, help="an empty directory for its data")
    parser.add_argument("server", nargs="*", help="further arguments of the server")
    args = parser.parse_args()
    lake = Lake(args.binary, args.directory, *args.server)
    lake.start()
    try:
        print("put the flights of 2013, one CSV a day ...", flush=True)
        objects, size = put(lake, args.directory / "local")
        print(f"    {objects} objects, {size:,} bytes", flush=True)
        print("a crawler looks for tables ...", flush=True)
        began = time.perf_counter()
        crawl(lake)
        print(f"    {found(lake)}, in {time.perf_counter() - began:.2f} s", flush=True)
        asking = Asking(lake)
        print("ten questions, each answer compared with DuckDB's ...", flush=True)
        measured = ask(asking, args.directory / "local")
        print(f"what a plan says of one day (EXPLAIN ANALYZE {PRUNED}) ...", flush=True)
        plan = asking.rows(asking.run(f"EXPLAIN ANALYZE {PRUNED}"), header=False)
        print("\n".join("    " + (row[0] or "") for row in plan), flush=True)
        one_day = asking.run(PRUNED)["Statistics"]["DataScannedInBytes"]
        check(one_day < size / 100, f"{one_day:,} bytes were read for one day")
        print("\n" + table(measured, size))
        print(f"\nall answers are DuckDB's; for one day of {objects} {one_day:,} bytes of {size:,} were read")
    finally:
        lake.stop()


if __name__ == "__main__":
    main()
