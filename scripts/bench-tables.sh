#!/usr/bin/env bash
# What items of tables cost, beside moto's server in the same run, and how fast items expire. Arguments go to `millpond-bench items`
# (--runs, --seconds, --expiring, --loading).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/servers.sh"
ensure_tool curl curl
bench_setup
ensure_venv "$ROOT/tests/requirements-bench-tables.txt"
say "starting the servers"
start_millpond
MOTO_PORT="$(free_port)"
"$VENV/bin/moto_server" --host 127.0.0.1 --port "$MOTO_PORT" >"$BENCH_DIR/moto.log" 2>&1 &
MOTO_PID=$!
BENCH_PIDS+=("$MOTO_PID")
wait_for moto "$MOTO_PID" "http://127.0.0.1:$MOTO_PORT/moto-api/" "$BENCH_DIR/moto.log"
umask 077
printf '[%s,\n%s]\n' "$(target millpond "$MILLPOND_PORT" "$MILLPOND_PID")" "$(target moto "$MOTO_PORT" "$MOTO_PID")" >"$BENCH_DIR/targets.json"
say "measuring"
"$BENCH" items --targets "$BENCH_DIR/targets.json" --disk "$BENCH_DIR" "$@"
describe_run
"$VENV/bin/pip" show moto 2>/dev/null | grep -E '^(Name|Version)' | paste -sd' '
