#!/usr/bin/env bash
# Ask the lake: a crawler finds the real flights, ten questions in SQL, and each answer is DuckDB's. A server of its own, on a temporary directory.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
ensure_venv "$ROOT/tests/requirements.txt" "$ROOT/tests/requirements-nodeps.txt"
say "building in release"
cargo_release build -p millpond
dir="$(mktemp -d "$MILLPOND_CACHE/demo.XXXXXX")"
trap 'rm -rf "$dir"' EXIT
"$VENV/bin/python" examples/sql/demo_sql.py --binary "$CARGO_TARGET_DIR/release/millpond" --directory "$dir" "$@"
