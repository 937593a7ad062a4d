"""Statements of Athena: started, waited for, and their results."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from harness.clients import client

# A query of a dev build on a busy machine; one that needs longer hangs.
SECONDS = 60.0


class Lake:
    """One client, its database, and a bucket for results; `bucket` and `db` may stand in statements in braces."""

    def __init__(self, athena, database: str, bucket: str, group: str | None = None):
        self.athena, self.database, self.bucket, self.group = athena, database, bucket, group

    def as_(self, athena) -> "Lake":
        """The same as another caller."""
        return Lake(athena, self.database, self.bucket, self.group)

    def start(self, statement: str, **more) -> str:
        statement = statement.replace("{db}", self.database).replace("{bucket}", self.bucket)
        group = {"WorkGroup": self.group} if self.group else {}
        given = {"QueryExecutionContext": {"Database": self.database}, "ResultConfiguration": {"OutputLocation": f"s3://{self.bucket}/results/"}, **group}
        return self.athena.start_query_execution(QueryString=statement, **(given | more))["QueryExecutionId"]

    def execution(self, started: str) -> dict:
        return self.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]

    def ended(self, started: str, seconds: float = SECONDS) -> dict:
        until = time.monotonic() + seconds
        while True:
            execution = self.execution(started)
            if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                return execution
            assert time.monotonic() < until, execution
            time.sleep(0.02)

    def run(self, statement: str, **more) -> dict:
        """The execution, when it has ended."""
        return self.ended(self.start(statement, **more))

    def done(self, statement: str, **more) -> dict:
        """The execution, which succeeded."""
        execution = self.run(statement, **more)
        assert execution["Status"]["State"] == "SUCCEEDED", (statement, execution["Status"])
        return execution

    def rows(self, statement: str, **more) -> list[list[str | None]]:
        """The rows of a query, without the names of its columns."""
        return self.result(self.done(statement, **more))[1:]

    def result(self, execution: dict) -> list[list[str | None]]:
        """All rows of a result."""
        pages = self.athena.get_paginator("get_query_results").paginate(QueryExecutionId=execution["QueryExecutionId"])
        return [[cell.get("VarCharValue") for cell in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]]

    def columns(self, execution: dict) -> list[dict]:
        answer = self.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"], MaxResults=1)
        return answer["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]

    def fails(self, statement: str, **more) -> str:
        """Why it failed."""
        execution = self.run(statement, **more)
        assert execution["Status"]["State"] == "FAILED", (statement, execution["Status"])
        return execution["Status"]["StateChangeReason"]


def lake(server, bucket: str, **config) -> Lake:
    """A new database, as root."""
    made = Lake(client(server, "athena", **config), f"db_{uuid.uuid4().hex}", bucket)
    made.done("CREATE DATABASE {db}")
    return made


def workers(server) -> list[int]:
    """The processes that run the queries of a server."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            arguments = stat.with_name("cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == server.pid and b"__query-worker" in arguments:
            found.append(int(stat.parent.name))
    return sorted(found)
