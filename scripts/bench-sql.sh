#!/usr/bin/env bash
# What queries cost, beside DuckDB in the same run: CPU time of scans, groups, joins and sorts over the same Parquet and gzip JSON lines; planning over many
# partitions; the time to ten rows; resident memory. Arguments go to scripts/bench_sql.py (--rows, --runs, --partitions, --only).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/servers.sh"
cd "$ROOT"
ensure_tool curl curl
ensure_venv "$ROOT/tests/requirements.txt" "$ROOT/tests/requirements-nodeps.txt"
say "building in release"
cargo_release build -p millpond
# On the disk that the cache is on: /tmp may be memory.
BENCH_DIR="$(mktemp -d "${BENCH_DISK:-$MILLPOND_CACHE}/bench.XXXXXX")"
trap bench_cleanup EXIT
trap 'exit 130' INT TERM
say "starting the server"
start_millpond
say "measuring"
MILLPOND_ENDPOINT="http://127.0.0.1:$MILLPOND_PORT" BENCH_ACCESS_KEY="$BENCH_ACCESS_KEY" BENCH_SECRET_KEY="$BENCH_SECRET_KEY" \
  "$VENV/bin/python" "$ROOT/scripts/bench_sql.py" --pid "$MILLPOND_PID" --directory "$BENCH_DIR/files" "$@"
describe_run
