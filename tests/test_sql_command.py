"""`millpond sql`: statements from the command line, and the shell on a terminal."""

import json
import os
import signal
import subprocess
import time

import duckdb
import pexpect
import pytest
from harness.athena import lake as new_lake
from harness.clients import client
from harness.identities import User, allow
from harness.server import binary

pytestmark = pytest.mark.restarts  # the catalog is an account's, of which each server has one

FLIGHTS = b"2013-01-01,JFK,BOS,12\n2013-01-01,LGA,ORD,\n2013-01-02,JFK,SFO,-3\n"
TABLE = """
CREATE EXTERNAL TABLE flights (day date COMMENT 'of departure', origin string, dest string, delay int)
ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' LOCATION 's3://{bucket}/flights/'
"""


@pytest.fixture
def lake(server, s3, bucket):
    made = new_lake(server, bucket)
    s3.put_object(Bucket=bucket, Key="flights/a.csv", Body=FLIGHTS)
    made.done(TABLE)
    s3.put_object(Bucket=bucket, Key="numbers/a.csv", Body="".join(f"{n}\n" for n in range(1, 5001)).encode())
    made.done("CREATE EXTERNAL TABLE numbers (n bigint) LOCATION 's3://{bucket}/numbers/'")
    yield made
    made.run("DROP DATABASE IF EXISTS {db} CASCADE")


class Command:
    """Runs `millpond sql` as a person would, with nothing of this machine's own configuration."""

    def __init__(self, server, home, lake=None, keys=None):
        self.server, self.home = server, home
        self.keys = keys or {"access_key": server.access_key, "secret_key": server.secret_key}
        self.args = ["--database", lake.database, "--output-location", f"s3://{lake.bucket}/shell/"] if lake else []
        home.mkdir(parents=True, exist_ok=True)

    def env(self, **more):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MILLPOND_", "XDG_", "LC_", "LANG"))}
        asked = {"AWS_ENDPOINT_URL": self.server.endpoint, "AWS_ACCESS_KEY_ID": self.keys["access_key"], "AWS_SECRET_ACCESS_KEY": self.keys["secret_key"]}
        return {**clean, **asked, "HOME": str(self.home), "LC_ALL": "C.UTF-8", "TERM": "xterm", **more}

    def run(self, *args, stdin=None, **env):
        given = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run([binary(), "sql", *self.args, *args], env=self.env(**env), capture_output=True, text=True, timeout=60, cwd=self.home, **given)

    def prints(self, *args, **more) -> str:
        done = self.run(*args, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fails(self, status: int, *args, **more) -> str:
        done = self.run(*args, **more)
        assert (done.returncode, done.stdout) == (status, ""), (done.returncode, done.stdout, done.stderr)
        return done.stderr


@pytest.fixture
def command(server, tmp_path, lake):
    return Command(server, tmp_path / "home", lake)


QUERY = "SELECT origin, delay FROM flights ORDER BY day, origin"


@pytest.mark.parametrize(
    "format, expected",
    [
        ("csv", '"origin","delay"\n"JFK","12"\n"LGA",\n"JFK","-3"\n'),
        ("tsv", "JFK\t12\nLGA\t\\N\nJFK\t-3\n"),
        ("json", '{"origin": "JFK", "delay": 12}\n{"origin": "LGA", "delay": null}\n{"origin": "JFK", "delay": -3}\n'),
        (
            "table",
            "┌────────┬───────┐\n│ origin │ delay │\n├────────┼───────┤\n│ JFK    │    12 │\n│ LGA    │  NULL │\n│ JFK    │    -3 │\n└────────┴───────┘\n",
        ),
        (
            "expanded",
            "── row 1 ───────────────────────────────\norigin │ JFK\ndelay  │ 12\n── row 2 ───────────────────────────────\norigin │ LGA\ndelay  │ NULL\n"
            "── row 3 ───────────────────────────────\norigin │ JFK\ndelay  │ -3\n",
        ),
    ],
)
def test_formats(command, format, expected):
    assert command.prints("--format", format, QUERY) == expected


def test_tables_without_lines_where_the_locale_has_none(command):
    expected = "+--------+-------+\n| origin | delay |\n+--------+-------+\n| JFK    |    12 |\n| LGA    |  NULL |\n| JFK    |    -3 |\n+--------+-------+\n"
    assert command.prints("--format", "table", QUERY, LC_ALL="C") == expected
    assert command.prints("--format", "table", "--ascii", QUERY) == expected


def test_where_statements_come_from(command, tmp_path):
    assert command.prints(QUERY).startswith('"origin"')
    (tmp_path / "q.sql").write_text("-- a comment; with a semicolon\nSELECT 1 AS a;\nSELECT ';' AS b\n")
    assert command.prints("-f", tmp_path / "q.sql") == '"a"\n"1"\n"b"\n";"\n'
    assert command.prints(stdin="SELECT 2 AS a") == command.prints("-", stdin="SELECT 2 AS a;") == '"a"\n"2"\n'
    assert command.prints("--parameter", "'JFK'", "-p", "-5", "SELECT count(*) AS n FROM flights WHERE origin = ? AND delay > ?") == '"n"\n"2"\n'
    assert command.prints("SHOW TABLES", "--format", "table") == "flights\nnumbers\n"
    # What was done before the first failure is done.
    done = command.run("SELECT 1 AS a; SELEC 2; SELECT 3")
    assert (done.returncode, done.stdout) == (1, '"a"\n"1"\n') and "SYNTAX_ERROR" in done.stderr


def test_files(command, tmp_path):
    everything = "SELECT day, origin, delay, CAST(delay AS double) / 8 AS eighth, CAST(delay AS decimal(10,2)) AS exact, delay > 0 AS late FROM flights ORDER BY day, origin"
    parquet = tmp_path / "out.parquet"
    assert command.prints("--output", parquet, everything) == ""
    found = duckdb.sql(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM '{parquet}')").fetchall()
    assert found == [("day", "DATE"), ("origin", "VARCHAR"), ("delay", "INTEGER"), ("eighth", "DOUBLE"), ("exact", "DECIMAL(10,2)"), ("late", "BOOLEAN")]
    rows = duckdb.sql(f"SELECT CAST(day AS varchar), origin, delay, eighth, CAST(exact AS varchar), late FROM '{parquet}'").fetchall()
    assert rows == [("2013-01-01", "JFK", 12, 1.5, "12.00", True), ("2013-01-01", "LGA", None, None, None, None), ("2013-01-02", "JFK", -3, -0.375, "-3.00", False)]
    command.prints("--output", tmp_path / "out.json", QUERY)
    assert [json.loads(line)["delay"] for line in (tmp_path / "out.json").read_text().splitlines()] == [12, None, -3]
    command.prints("--output", tmp_path / "out.csv", QUERY)
    before = (tmp_path / "out.csv").read_text()
    # A statement that fails leaves the file as it was, and nothing beside it.
    assert "SYNTAX_ERROR" in command.fails(1, "--output", tmp_path / "out.csv", "SELEC 1")
    assert (tmp_path / "out.csv").read_text() == before and not list(tmp_path.glob("*.part*"))
    assert "needs --output" in command.fails(2, "--format", "parquet", QUERY)


def test_results_of_many_pages_come_whole(command, tmp_path):
    query = "SELECT n, n * n AS square FROM numbers ORDER BY n"
    lines = command.prints("--format", "tsv", query).splitlines()
    assert len(lines) == 5000 and lines[-1] == "5000\t25000000"
    command.prints("--output", tmp_path / "many.parquet", query)
    assert duckdb.sql(f"SELECT count(*), sum(square) FROM '{tmp_path}/many.parquet'").fetchall() == [(5000, sum(n * n for n in range(5001)))]
    # Whoever reads may have seen enough.
    shell = f"'{binary()}' sql {' '.join(command.args)} --format tsv \"{query}\" | head -2"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", shell], env=command.env(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\t1\n2\t4\n", "")


def test_refusals(command, server, lake, tmp_path):
    # The place is shown.
    assert "SELEC 1\n  ^" in command.fails(1, "SELEC 1")
    assert "TABLE_NOT_FOUND" in command.fails(1, "SELECT * FROM nowhere")
    somebody = User(server, client(server, "iam"), allow(["athena:*", "glue:Get*", "s3:GetBucketLocation", "s3:PutObject", "s3:ListBucket"]))
    theirs = Command(server, tmp_path / "other", lake, somebody.keys)
    assert "denied" in theirs.fails(1, QUERY).lower()
    nobody = Command(server, tmp_path / "nobody", lake, User(server, client(server, "iam")).keys)
    assert "AccessDenied" in nobody.fails(1, "SELECT 1")
    wrong = Command(server, tmp_path / "wrong", lake, {"access_key": server.access_key, "secret_key": "no"})
    assert "StartQueryExecution" in wrong.fails(1, "SELECT 1")
    assert "127.0.0.1:1" in command.fails(2, "SELECT 1", AWS_ENDPOINT_URL="http://127.0.0.1:1")
    for args in [["--output-location", "/tmp/x", "SELECT 1"], ["--output", "x", "SELECT 1; SELECT 2"], [""], ["-f", "missing.sql"], ["--endpoint", "http://h/path", "SELECT 1"]]:
        assert command.fails(2, *args).startswith("millpond sql: "), args
    assert "there is no profile nobody" in command.fails(2, "--profile", "nobody", "SELECT 1")


def test_profiles(command, server):
    (command.home / ".aws").mkdir()
    (command.home / ".aws" / "credentials").write_text(
        f"[default]\naws_access_key_id = nobody\naws_secret_access_key = no\n[lake]\naws_access_key_id = {server.access_key}\naws_secret_access_key = {server.secret_key}\n"
    )
    (command.home / ".aws" / "config").write_text(f"[profile lake]\nregion = {server.region}\nendpoint_url = {server.endpoint}\n[profile role]\nrole_arn = x\n")
    bare = {"AWS_ENDPOINT_URL": "", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    assert command.prints("--profile", "lake", "SELECT 1 AS a", **bare) == command.prints("SELECT 1 AS a", AWS_PROFILE="lake", **bare) == '"a"\n"1"\n'
    assert "role_arn" in command.fails(2, "--profile", "role", "SELECT 1")
    # The profile default, as every client has it.
    assert "StartQueryExecution" in command.fails(1, "SELECT 1", **{**bare, "AWS_ENDPOINT_URL": server.endpoint})


def test_a_server_on_the_same_machine_needs_no_words(make_server, tmp_path):
    server = make_server(root_credentials=False)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MILLPOND_"))} | {"HOME": str(tmp_path)}
    ask = lambda *args: subprocess.run([binary(), "sql", *args], env=env, cwd=server.data_dir.parent, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)  # noqa: E731
    done = ask("--data-dir", str(server.data_dir), "SELECT 1 AS a")
    assert (done.returncode, done.stdout) == (0, '"a"\n"1"\n'), done.stderr
    assert "s3://aws-athena-query-results-123456789012-us-east-1/, a bucket that was made for them" in done.stderr
    done = ask("--data-dir", str(server.data_dir), "SELECT 1 AS a")
    assert (done.returncode, done.stderr) == (0, "")
    done = ask("--data-dir", str(tmp_path / "none"), "SELECT 1")
    assert done.returncode == 2 and "no server has" in done.stderr


SLOW = "SELECT count(*) FROM numbers AS a CROSS JOIN numbers AS b CROSS JOIN numbers AS c WHERE a.n * b.n + c.n = -1"


def test_ctrl_c_cancels(command, lake):
    process = subprocess.Popen([binary(), "sql", *command.args, SLOW], env=command.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    athena = lake.athena
    until = time.monotonic() + 30
    while True:
        ids = athena.list_query_executions()["QueryExecutionIds"]
        mine = [one for one in (athena.batch_get_query_execution(QueryExecutionIds=ids[:20])["QueryExecutions"] if ids else []) if one["Query"] == SLOW]
        if mine and mine[0]["Status"]["State"] == "RUNNING":
            break
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "") and "cancelled" in said
    assert lake.ended(mine[0]["QueryExecutionId"])["Status"]["State"] == "CANCELLED"


# The shell


class Terminal:
    """A shell on a terminal of 120 columns and 30 lines."""

    def __init__(self, command, *args, **env):
        given = command.env(**{"PAGER": "", **env})
        self.child = pexpect.spawn(binary(), ["sql", *command.args, *args], env=given, dimensions=(30, 120), encoding="utf-8", timeout=30, echo=False)
        self.prompt = f"{command.args[1]}> " if command.args else "default> "
        self.said = self.until(self.prompt)

    def until(self, text: str) -> str:
        self.child.expect_exact(text)
        return self.child.before

    def type(self, text: str) -> str:
        """What a line prints until there is a prompt again."""
        self.child.send(text + "\r")
        # The editor draws the prompt anew with each key; behind the line's end comes what was asked for.
        self.child.expect_exact("\n")
        return self.until(self.prompt)

    def leave(self) -> None:
        self.child.sendeof()
        self.child.expect(pexpect.EOF)
        self.child.close()
        assert self.child.exitstatus == 0


@pytest.fixture
def terminal(command):
    made = Terminal(command)
    yield made
    made.child.close(force=True)


def test_statements_in_a_shell(terminal):
    assert "Millpond" in terminal.said and "\\?" in terminal.said
    said = terminal.type(QUERY + ";")
    assert "│ LGA    │  NULL │" in said and "3 rows, 64 B read" in said
    # Over several lines, up to the semicolon.
    terminal.child.send("SELECT origin\r")
    time.sleep(0.1)
    assert "│ JFK" in terminal.type("FROM flights WHERE delay = 12;")
    assert "SYNTAX_ERROR" in terminal.type("SELEC 1;") and "3 rows" in terminal.type("SELECT dest FROM flights;")
    assert "done" in terminal.type("CREATE VIEW late AS SELECT * FROM flights WHERE delay > 0;")
    terminal.leave()


def test_commands_of_the_shell(terminal, lake):
    assert "\\timing" in terminal.type("\\?")
    assert lake.database in terminal.type("\\l")
    assert "│ flights │ table │" in terminal.type("\\dt fl")
    said = terminal.type("\\d flights")
    assert "│ day    │ date   │" in said and "of departure" in said and f"location: s3://{lake.bucket}/flights/" in said
    assert "not found" in terminal.type("\\d nothing").lower()
    assert "── row 1 ─" in (terminal.type("\\x") + terminal.type(QUERY + ";")) and "off" in terminal.type("\\x off")
    assert "json" in terminal.type("\\format json") and '{"origin": "JFK", "delay": 12}' in terminal.type(QUERY + ";")
    assert "not shown" in terminal.type("\\timing") and "read" not in terminal.type("SELECT 1;")
    assert "there is no command" in terminal.type("\\zzz")
    assert "not found" in terminal.type("\\c no_such_database").lower()
    terminal.child.send("\\c " + lake.database.upper() + "\r")
    terminal.until(terminal.prompt)
    terminal.child.send("\\q\r")
    terminal.child.expect(pexpect.EOF)


def test_names_are_completed(terminal):
    terminal.child.send("SELECT de\t\t")
    terminal.child.send("\x15")
    terminal.child.send("SELECT f.dela\t")
    terminal.child.expect_exact("f.dela")
    terminal.child.send("\x15")
    terminal.child.send("SELECT count(*) AS n FROM fli\t")
    terminal.child.expect_exact("flights")
    assert "│ 3 │" in terminal.type(";")


def test_the_history_is_kept(command):
    first = Terminal(command)
    first.type("SELECT 'remembered' AS a;")
    first.leave()
    history = command.home / ".local" / "state" / "millpond" / "sql_history"
    assert "remembered" in history.read_text() and history.stat().st_mode & 0o77 == 0
    second = Terminal(command)
    second.child.send("\x1b[A")
    second.child.expect_exact("'remembered'")
    assert "│ remembered │" in second.type("")
    second.leave()


def test_ctrl_c_in_a_shell(terminal):
    # What is typed goes away, and the shell stays.
    terminal.child.send("SELECT nonsense\x03")
    terminal.until(terminal.prompt)
    terminal.child.send(SLOW + ";\r")
    # Progress is told meanwhile.
    terminal.child.expect("RUNNING .* read")
    terminal.child.sendintr()
    terminal.until("cancelled")
    terminal.until(terminal.prompt)
    assert "│ 1 │" in terminal.type("SELECT 1 AS a;")
    terminal.leave()


def test_long_results_go_through_a_pager(command, tmp_path):
    seen = tmp_path / "seen"
    terminal = Terminal(command, PAGER=f"cat > {seen}; echo paged")
    assert "paged" in terminal.type("SELECT n FROM numbers WHERE n <= 100 ORDER BY n;")
    assert "│ 100 │" in seen.read_text()
    assert "paged" not in terminal.type("SELECT 1 AS a;")
    terminal.leave()
