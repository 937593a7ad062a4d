#!/usr/bin/env bash
# What events cost: a queue's messages beside PUTs, notifications on a bucket, and the time to a waiting receiver. Arguments go to `millpond-bench events`
# (--runs, --seconds, --timed).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/servers.sh"
ensure_tool curl curl
bench_setup
say "starting the server"
start_millpond
say "measuring"
AWS_ACCESS_KEY_ID="$BENCH_ACCESS_KEY" AWS_SECRET_ACCESS_KEY="$BENCH_SECRET_KEY" \
  "$BENCH" events --endpoint "http://127.0.0.1:$MILLPOND_PORT" --pid "$MILLPOND_PID" --disk "$BENCH_DIR" "$@"
describe_run
