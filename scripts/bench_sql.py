"""Measures queries of a server beside DuckDB; started by scripts/bench-sql.sh.

CPU time is that of all processes: of the server, its query workers and those of them that have ended; and of this process for DuckDB, which runs in it. Both read
files that are in the page cache: the server its own blobs, DuckDB local files with the same bytes. What the API costs (signatures, polling) counts for the server.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import resource
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.config import Config

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from harness.compare import differs  # noqa: E402

BUCKET, DATABASE = "bench", "bench"
FILES, CLIENTS = 8, 16
TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 600.0
# Between two looks at a query: rarely enough to cost nothing.
POLL = 0.05

# Rows by their number: groups of 100 and of 100,000, a thousand words, fifty cities, a path that LIKE looks into.
MADE = """
SELECT i AS id, CAST(hash(i) % 100 AS integer) AS few, CAST(hash(i + 1) % 100000 AS bigint) AS many, 'word ' || CAST(hash(i + 2) % 1000 AS varchar) AS word,
       'city ' || CAST(hash(i + 3) % 50 AS varchar) AS city, CAST(hash(i + 4) % 1000000 AS double) / 1000 AS x,
       DATE '2020-01-01' + CAST(hash(i + 5) % 1000 AS integer) AS day, '/shop/' || CAST(hash(i + 6) % 5000 AS varchar) || '/item-' || CAST(i % 977 AS varchar) || '.html' AS path
FROM range({0}, {1}) AS t(i)
"""
COLUMNS = "id bigint, few int, many bigint, word string, city string, x double, day date, path string"
TABLES = {
    "sales": f"CREATE EXTERNAL TABLE sales ({COLUMNS}) STORED AS PARQUET LOCATION 's3://{BUCKET}/parquet/'",
    "names": f"CREATE EXTERNAL TABLE names (many bigint, name string) STORED AS PARQUET LOCATION 's3://{BUCKET}/names/'",
    "lines": f"CREATE EXTERNAL TABLE lines (id bigint, few int, city string, x double) ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION 's3://{BUCKET}/json/'",
    "three": f"CREATE EXTERNAL TABLE three (id bigint, x double) STORED AS PARQUET LOCATION 's3://{BUCKET}/three/'",
    "parts": f"CREATE EXTERNAL TABLE parts (id bigint, x double) PARTITIONED BY (dt string) STORED AS PARQUET LOCATION 's3://{BUCKET}/parts/'",
}
QUERIES = {
    "count and filter": "SELECT count(*) FROM sales WHERE x > 500 AND few < 30",
    "group, 100 groups": "SELECT few, count(*), sum(x), avg(x) FROM sales GROUP BY few ORDER BY few",
    "group, 100,000 groups": "SELECT many, count(*) AS n, sum(x) AS s FROM sales GROUP BY many ORDER BY n DESC, many LIMIT 20",
    "distinct": "SELECT count(DISTINCT many), count(DISTINCT word) FROM sales",
    "join": "SELECT n.name, count(*) AS c, sum(r.x) AS s FROM sales AS r JOIN names AS n ON r.many = n.many WHERE n.name < 'name 5' GROUP BY n.name ORDER BY s DESC, n.name LIMIT 20",
    "top k": "SELECT id, x, city FROM sales ORDER BY x DESC, id LIMIT 100",
    "LIKE": "SELECT count(*) FROM sales WHERE path LIKE '%7/item-9%.html'",
    "string group": "SELECT word, city, count(*) AS n FROM sales GROUP BY word, city ORDER BY n DESC, word, city LIMIT 20",
    "JSON scan": "SELECT city, count(*) AS n, sum(x) AS s FROM lines WHERE few < 50 GROUP BY city ORDER BY city",
}


def client(service: str):
    config = Config(retries={"max_attempts": 0}, read_timeout=120, max_pool_connections=CLIENTS)
    return boto3.client(
        service, endpoint_url=os.environ["MILLPOND_ENDPOINT"], region_name="us-east-1", aws_access_key_id=os.environ["BENCH_ACCESS_KEY"],
        aws_secret_access_key=os.environ["BENCH_SECRET_KEY"], config=config,
    )  # fmt: skip


def stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


class Processes:
    """The server and its query workers."""

    def __init__(self, pid: int):
        self.pid = pid

    def workers(self) -> list[int]:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if int(stat(int(entry.name))[1]) == self.pid and b"__query-worker" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    def cpu(self) -> float:
        """Seconds of all, with those that have ended."""
        fields = stat(self.pid)
        ticks = sum(int(fields[n]) for n in (11, 12, 13, 14))
        for worker in self.workers():
            try:
                ticks += sum(int(stat(worker)[n]) for n in (11, 12))
            except (FileNotFoundError, ProcessLookupError):
                pass
        return ticks / TICK

    def resident(self) -> int:
        """MiB of the server alone."""
        line = next(line for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) // 1024


class Asking:
    def __init__(self):
        self.athena = client("athena")

    def run(self, statement: str, poll: float = POLL) -> dict:
        started = self.athena.start_query_execution(
            QueryString=statement, QueryExecutionContext={"Database": DATABASE}, ResultConfiguration={"OutputLocation": f"s3://{BUCKET}/results/"}
        )["QueryExecutionId"]
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            execution = self.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]
            if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                break
            time.sleep(poll)
        if execution["Status"]["State"] != "SUCCEEDED":
            raise SystemExit(f"{statement}: {execution['Status']}")
        return execution

    def rows(self, execution: dict) -> list:
        page = self.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])
        return [[cell.get("VarCharValue") for cell in row["Data"]] for row in page["ResultSet"]["Rows"]][1:]


def make(base, directory: Path, rows: int):
    """The files that both read."""
    for name in ("parquet", "json", "names", "three"):
        (directory / name).mkdir(parents=True)
    step = math.ceil(rows / FILES)
    for n in range(FILES):
        made = MADE.format(n * step, min(rows, (n + 1) * step))
        base.execute(f"COPY ({made}) TO '{directory}/parquet/{n}.parquet' (FORMAT parquet)")
        base.execute(f"COPY (SELECT id, few, city, x FROM '{directory}/parquet/{n}.parquet') TO '{directory}/json/{n}.json.gz' (FORMAT json, COMPRESSION gzip)")
    base.execute(f"COPY (SELECT CAST(i AS bigint) AS many, 'name ' || CAST(i % 1000 AS varchar) AS name FROM range(100000) AS t(i)) TO '{directory}/names/0.parquet' (FORMAT parquet)")


def small(n: int) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"id": pa.array(range(n, n + 1000), pa.int64()), "x": pa.array([float(n)] * 1000)}), out)
    return out.getvalue()


def put(directory: Path, partitions: int):
    s3, glue = client("s3"), client("glue")
    s3.create_bucket(Bucket=BUCKET)
    files = [path for path in directory.glob("*/*") if path.is_file()]
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda path: s3.upload_file(str(path), BUCKET, f"{path.parent.name}/{path.name}"), files))
        list(pool.map(lambda n: s3.put_object(Bucket=BUCKET, Key=f"parts/dt={n:05}/0.parquet", Body=small(n)), range(partitions)))
        list(pool.map(lambda n: s3.put_object(Bucket=BUCKET, Key=f"three/{n}.parquet", Body=small(n)), range(3)))
    glue.create_database(DatabaseInput={"Name": DATABASE})
    asking = Asking()
    for statement in TABLES.values():
        asking.run(statement)
    table = glue.get_table(DatabaseName=DATABASE, Name="parts")["Table"]
    entry = lambda n: {"Values": [f"{n:05}"], "StorageDescriptor": {**table["StorageDescriptor"], "Location": f"s3://{BUCKET}/parts/dt={n:05}/"}}  # noqa: E731
    for first in range(0, partitions, 100):
        glue.batch_create_partition(DatabaseName=DATABASE, TableName="parts", PartitionInputList=[entry(n) for n in range(first, min(partitions, first + 100))])


def own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def compare(base, asking: Asking, processes: Processes, runs: int, only: str | None) -> list:
    """Each query, in turn; medians of CPU seconds and of seconds."""
    measured = []
    for name, query in QUERIES.items():
        if only and only not in name:
            continue
        ours, theirs = [], []
        # The first of each warms up, and shows that both say the same.
        rows, others = asking.rows(asking.run(query)), base.execute(query).fetchall()
        difference = differs(rows, others, True)
        if difference:
            raise SystemExit(f"{name}: {difference}")
        for _ in range(runs):
            cpu, began = processes.cpu(), time.perf_counter()
            asking.run(query)
            ours.append((processes.cpu() - cpu, time.perf_counter() - began))
            cpu, began = own_cpu(), time.perf_counter()
            base.execute(query).fetchall()
            theirs.append((own_cpu() - cpu, time.perf_counter() - began))
        middle = lambda pairs, at: statistics.median(pair[at] for pair in pairs)  # noqa: E731
        measured.append((name, middle(ours, 0), middle(theirs, 0), middle(ours, 1), middle(theirs, 1)))
        print(f"    {name}: {measured[-1][1]:.2f} s of CPU, DuckDB {measured[-1][2]:.2f} s", flush=True)
    return measured


def shown(measured: list) -> str:
    lines = [("query", "CPU, ours", "CPU, DuckDB", "ratio", "time, ours", "time, DuckDB")]
    for name, ours, theirs, time_ours, time_theirs in measured:
        lines.append((name, f"{ours:.2f} s", f"{theirs:.2f} s", f"{ours / max(theirs, 0.005):.2f}", f"{time_ours:.2f} s", f"{time_theirs:.2f} s"))
    mean = math.exp(statistics.fmean(math.log(max(ours, 0.005) / max(theirs, 0.005)) for _, ours, theirs, *_ in measured))
    lines.append(("geometric mean", "", "", f"{mean:.2f}", "", ""))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in lines)


def per_run(asking: Asking, processes: Processes, statement: str, count: int) -> tuple[float, float, float]:
    """Milliseconds of CPU and of time of a statement, and of its planning as the server tells it; medians of `count`, the CPU as a mean: it is counted in ticks."""
    asking.run(statement)
    times, planning = [], []
    cpu = processes.cpu()
    for _ in range(count):
        began = time.perf_counter()
        execution = asking.run(statement, poll=0.002)
        times.append(time.perf_counter() - began)
        planning.append(execution["Statistics"].get("QueryPlanningTimeInMillis", 0))
    return 1000 * (processes.cpu() - cpu) / count, 1000 * statistics.median(times), statistics.median(planning)


def many_partitions(asking: Asking, processes: Processes, partitions: int):
    three = " OR ".join(f"dt = '{n:05}'" for n in (7, partitions // 2, partitions - 1))
    for what, statement in [
        (f"plan of 3 of {partitions:,} partitions", f"EXPLAIN SELECT sum(x) FROM parts WHERE {three}"),
        (f"plan of all {partitions:,} partitions", "EXPLAIN SELECT sum(x) FROM parts"),
    ]:
        try:
            cpu, took, planning = per_run(asking, processes, statement, 10)
        except SystemExit as why:
            print(f"{what}: not measured: {why}")
            continue
        print(f"{what}: {cpu:.0f} ms of CPU, {took:.0f} ms, of them {planning:.0f} ms planning")
    some = per_run(asking, processes, f"SELECT sum(x) FROM parts WHERE {three}", 20)
    files = per_run(asking, processes, "SELECT sum(x) FROM three", 20)
    print(f"3 of {partitions:,} partitions: {some[0]:.0f} ms of CPU, {some[1]:.0f} ms; 3 files: {files[0]:.0f} ms of CPU, {files[1]:.0f} ms; ratio {some[1] / files[1]:.2f} of time, {some[0] / max(files[0], 0.1):.2f} of CPU")


def first_rows(asking: Asking, count: int = 40):
    times = []
    for _ in range(count):
        began = time.perf_counter()
        asking.rows(asking.run("SELECT * FROM sales LIMIT 10", poll=0.002))
        times.append(1000 * (time.perf_counter() - began))
    times.sort()
    print(f"SELECT * ... LIMIT 10, from the start to its rows: median {statistics.median(times):.0f} ms, p90 {times[int(count * 0.9)]:.0f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pid", type=int, required=True, help="the server")
    parser.add_argument("--directory", type=Path, required=True, help="where files are made")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--only", help="queries whose names have this part")
    args = parser.parse_args()
    base, processes = duckdb.connect(), Processes(args.pid)
    print(f"make {args.rows:,} rows, {args.partitions:,} partitions ...", flush=True)
    make(base, args.directory, args.rows)
    size = lambda name: sum(path.stat().st_size for path in (args.directory / name).iterdir())  # noqa: E731
    print(f"    Parquet {size('parquet') >> 20} MiB, JSON in gzip {size('json') >> 20} MiB", flush=True)
    put(args.directory, args.partitions)
    for name, pattern in [("sales", "parquet/*.parquet"), ("names", "names/*.parquet")]:
        base.execute(f"CREATE VIEW {name} AS FROM read_parquet('{args.directory}/{pattern}')")
    base.execute(
        f"CREATE VIEW lines AS FROM read_json('{args.directory}/json/*.json.gz', format = 'newline_delimited', columns = {{'id': 'BIGINT', 'few': 'INTEGER', 'city': 'VARCHAR', 'x': 'DOUBLE'}})"
    )
    asking = Asking()
    # Once, so that what the server keeps for its next queries is there.
    for query in QUERIES.values():
        asking.run(query)
    before = processes.resident()
    print(f"each query {args.runs} times ...", flush=True)
    measured = compare(base, asking, processes, args.runs, args.only)
    print("\n" + shown(measured) + "\n")
    first_rows(asking)
    many_partitions(asking, processes, args.partitions)
    print(f"resident memory of the server: {before} MiB after each query once, {processes.resident()} MiB in the end; DuckDB {duckdb.__version__}")


if __name__ == "__main__":
    main()
