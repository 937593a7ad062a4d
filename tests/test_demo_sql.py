"""The main job: a crawler finds the real flights, ten questions, each answer DuckDB's (examples/sql)."""

import subprocess
import sys
from pathlib import Path

import pytest
from harness.server import binary

DEMO = Path(__file__).parents[1] / "examples" / "sql" / "demo_sql.py"

pytestmark = pytest.mark.timeout(600)


def test_every_answer_is_duckdbs(tmp_path):
    ran = subprocess.run([sys.executable, DEMO, "--binary", binary(), "--directory", tmp_path], capture_output=True, text=True)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    assert "19 columns" in ran.stdout and "365 partitions by dt" in ran.stdout
    assert "all answers are DuckDB's; for one day of 365 56,038 bytes of 31,018,172 were read" in ran.stdout
