#!/usr/bin/env bash
# What decisions and encryption cost: the same requests by the root user, by a role with identity, bucket and session policies, and with every
# encryption, in turn against one server. Arguments go to `millpond-bench compare` (--runs, --seconds, --workloads, --json).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/servers.sh"
ensure_tool curl curl
ensure_venv "$ROOT/tests/requirements.txt" "$ROOT/tests/requirements-nodeps.txt"
PYTHON="$VENV/bin/python"
bench_setup
say "starting the server"
start_millpond
umask 077
say "a role, buckets, and a key"
MILLPOND_ENDPOINT="http://127.0.0.1:$MILLPOND_PORT" MILLPOND_PID="$MILLPOND_PID" BENCH_ACCESS_KEY="$BENCH_ACCESS_KEY" \
  BENCH_SECRET_KEY="$BENCH_SECRET_KEY" "$PYTHON" scripts/bench_access.py >"$BENCH_DIR/targets.json"
say "measuring"
[ "$#" -gt 0 ] || set -- --workloads get-4k,put-4k,get-64m-1,put-64m-1
"$BENCH" compare --targets "$BENCH_DIR/targets.json" --disk "$BENCH_DIR" "$@"
describe_run
