#!/usr/bin/env bash
# Millpond beside SeaweedFS in one run, with the machine's own limits. Arguments go to `millpond-bench compare`
# (--runs, --seconds, --workloads, --json).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/servers.sh"
ensure_tool curl curl
bench_setup
say "starting the servers"
start_millpond
start_seaweedfs
umask 077
printf '[%s,\n%s]\n' "$(target millpond "$MILLPOND_PORT" "$MILLPOND_PID")" "$(target seaweedfs "$SEAWEEDFS_PORT" "$SEAWEEDFS_PID")" \
  >"$BENCH_DIR/targets.json"
say "measuring"
"$BENCH" compare --targets "$BENCH_DIR/targets.json" --disk "$BENCH_DIR" "$@"
describe_run
