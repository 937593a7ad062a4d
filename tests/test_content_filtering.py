"""The system of examples/content-filtering runs as it says. Its patterns with more events, and each operator by itself, are in test_events.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.clients import Tools, client
from harness.server import Server

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(400)]

EXAMPLE = Path(__file__).parents[1] / "examples" / "content-filtering"


def test_the_example_runs(tmp_path):
    # It shares its rules' names with nobody on a server of its own.
    with Server() as server:
        # Its commands together take longer than one.
        tools = Tools(server, tmp_path / "home", seconds=380)
        done = tools.run("bash", EXAMPLE / "run.sh", cwd=tmp_path, check=False)
        said = done.stdout.decode()
        assert done.returncode == 0 and said.endswith("all of it holds\n"), said + done.stderr.decode()
        for line in ("large-amounts    t2 t4", "new-york-city    t1 t2 t5", "partner-banks    t1 t4", "own-customers    t3", "consumer         t2 t3 t4"):
            assert f"\n{line}\n" in said
        events = client(server, "events")
        patterns = {path.stem for path in (EXAMPLE / "rules").iterdir()}
        assert {rule["Name"] for rule in events.list_rules()["Rules"]} == patterns
