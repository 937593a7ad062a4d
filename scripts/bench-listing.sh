#!/usr/bin/env bash
# What a page of a listing costs: in a bucket of 10 k and of 1 M objects, with 1,000 versions a key, after 99 % was deleted.
# Arguments go to `millpond-bench listing` (--objects, --versions, --json).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/servers.sh"
ensure_tool curl curl
bench_setup
say "starting the server"
start_millpond
umask 077
printf '[%s]\n' "$(target millpond "$MILLPOND_PORT" "$MILLPOND_PID")" >"$BENCH_DIR/targets.json"
say "filling and measuring"
"$BENCH" listing --targets "$BENCH_DIR/targets.json" "$@"
describe_run
