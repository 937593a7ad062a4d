#!/usr/bin/env bash
# The black-box tests against the dev build (or MILLPOND_BIN). Arguments go to pytest.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
test_setup
export MILLPOND_BIN="${MILLPOND_BIN:-$CARGO_TARGET_DIR/debug/millpond}"
[ -x "$MILLPOND_BIN" ] || cargo build --locked -p millpond
export PATH="$VENV/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
paths=(tests)
for arg in "$@"; do case "$arg" in tests/*) paths=() ;; esac; done
# Three workers on two cores: the tests wait for disks and clients as much as they compute. Each worker has a server of its own.
exec "$VENV/bin/python" -m pytest -c tests/pytest.ini --rootdir "$ROOT" -n "${MILLPOND_TEST_WORKERS:-3}" --dist loadfile "$@" "${paths[@]+"${paths[@]}"}"
