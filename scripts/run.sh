#!/usr/bin/env bash
# Builds in release, sets up what functions in Python find of the SDK, and serves ./millpond-data (or MILLPOND_DATA_DIR). Arguments go to `millpond run`.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cargo_release build -p millpond
# A path such as python3.12=/usr/bin/python3.12 is for one runtime; the first without a runtime is for all others.
python="python3"
IFS=, read -ra given <<<"${MILLPOND_PYTHON:-}"
for entry in "${given[@]+"${given[@]}"}"; do case "$entry" in *=*) ;; *) python="$entry" ;; esac; done
setup_functions "${MILLPOND_DATA_DIR:-./millpond-data}-boto3" "$python"
exec "$CARGO_TARGET_DIR/release/millpond" run "$@"
