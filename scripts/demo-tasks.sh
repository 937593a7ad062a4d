#!/usr/bin/env bash
# Scheduled updates: functions, and a table with a time to live, rewrite real flights while others read them; the server is killed in the middle.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
ensure_venv "$ROOT/tests/requirements.txt" "$ROOT/tests/requirements-nodeps.txt"
say "building in release"
cargo_release build -p millpond
dir="$(mktemp -d "$MILLPOND_CACHE/demo.XXXXXX")"
trap 'rm -rf "$dir"' EXIT
"$VENV/bin/python" examples/scheduled-updates/demo_tasks.py --binary "$CARGO_TARGET_DIR/release/millpond" --directory "$dir" "$@"
