#!/usr/bin/env bash
# What functions cost: warm invocations, the time from a PUT to its handler, cold starts. Arguments go to `millpond-bench functions`
# (--runs, --seconds, --timed, --cold).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/servers.sh"
ensure_tool curl curl
bench_setup
ensure_venv "$ROOT/tests/requirements.txt" "$ROOT/tests/requirements-nodeps.txt"
# The interpreter itself: what finds it, such as pyenv, takes time of its own.
MILLPOND_PYTHON="$("${MILLPOND_PYTHON:-python3}" -c 'import sys; print(sys.executable)')"
export MILLPOND_PYTHON
say "boto3 for functions"
export MILLPOND_BOTO3="$BENCH_DIR/boto3"
"$VENV/bin/pip" install --quiet --disable-pip-version-check --target "$MILLPOND_BOTO3" "$(grep -i '^boto3==' "$ROOT/tests/requirements.txt")"
say "starting the server"
start_millpond
mkdir -p "$BENCH_DIR/code"
printf 'def handler(event, context):\n    return event\n' >"$BENCH_DIR/code/empty.py"
MILLPOND_ENDPOINT="http://127.0.0.1:$MILLPOND_PORT" BENCH_ACCESS_KEY="$BENCH_ACCESS_KEY" BENCH_SECRET_KEY="$BENCH_SECRET_KEY" \
  "$VENV/bin/python" "$ROOT/scripts/bench_functions.py"
say "measuring"
AWS_ACCESS_KEY_ID="$BENCH_ACCESS_KEY" AWS_SECRET_ACCESS_KEY="$BENCH_SECRET_KEY" \
  "$BENCH" functions --endpoint "http://127.0.0.1:$MILLPOND_PORT" --pid "$MILLPOND_PID" --disk "$BENCH_DIR" --python "$MILLPOND_PYTHON" \
  --bootstrap "$ROOT/crates/runtime/src/bootstrap/bootstrap.py" --code "$BENCH_DIR/code" --boto3 "$MILLPOND_BOTO3" "$@"
describe_run
"$MILLPOND_PYTHON" -VV
