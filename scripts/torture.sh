#!/usr/bin/env bash
# Crash tests for a night: KILLS rounds of kill -9, CUTS power cuts on a real file system, IMAGES simulated crash images.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
KILLS="${KILLS:-500}" CUTS="${CUTS:-200}" IMAGES="${IMAGES:-20000}"
test_setup
say "building in release"
cargo_release build -p millpond
status=0
say "simulated disk: $IMAGES crash images"
MILLPOND_CRASH_IMAGES="$IMAGES" cargo_release test -p millpond-testkit -p millpond-blob -- --nocapture || status=1
say "kill -9 of the metadata engine: $KILLS rounds"
MILLPOND_KILLS="$KILLS" cargo_release test -p millpond-meta --test crash -- --nocapture || status=1
say "kill -9: $KILLS rounds; power cuts: $CUTS"
MILLPOND_BIN="$CARGO_TARGET_DIR/release/millpond" MILLPOND_KILLS="$KILLS" MILLPOND_CUTS="$CUTS" MILLPOND_TEST_WORKERS=0 \
  MILLPOND_FULL_ROUNDS=20 MILLPOND_DISK_FAULTS=20 MILLPOND_FLIPS=500 \
  scripts/pytest.sh -s --timeout=0 tests/test_durability.py tests/test_powercut.py tests/test_full_disk.py \
  tests/test_disk_errors.py tests/test_fsck.py || status=1
# What was acknowledged reaches every end: queues, topics, buses, webhooks, log files of trails, schedules, functions. Their data go when a test is over;
# of a test that fails, the log of its server stays in its output.
say "kill -9 between commit and delivery: $KILLS rounds a test"
basetemp="$(mktemp -d "${TMPDIR:-/tmp}/millpond-torture-XXXXXX")"
trap 'rm -rf "$basetemp"' EXIT
MILLPOND_BIN="$CARGO_TARGET_DIR/release/millpond" MILLPOND_KILLS="$KILLS" MILLPOND_TEST_WORKERS=0 TMPDIR="$basetemp" \
  scripts/pytest.sh -s --timeout=0 --basetemp "$basetemp/pytest" -o tmp_path_retention_policy=failed -k "kill or crash" \
  tests/test_sqs_crash.py tests/test_sns_crash.py tests/test_events_crash.py tests/test_notifications.py tests/test_trails.py \
  tests/test_scheduler.py tests/test_dynamodb_model.py tests/test_lambda_crash.py || status=1
exit "$status"
