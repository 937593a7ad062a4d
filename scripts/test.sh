#!/usr/bin/env bash
# Every test: formatting, lints, house rules, Rust tests and the black-box tests. A step that fails does not hide the
# ones after it; the last line sums up.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

LOGS="$(mktemp -d "${TMPDIR:-/tmp}/millpond-test.XXXXXX")"
PASSED=0 FAILED=0 SKIPPED=0
BROKEN=()
started=$SECONDS

# step NAME COMMAND...: counts as one test.
step() {
  local name="$1"; shift
  say "$name"
  if "$@"; then PASSED=$((PASSED + 1)); else FAILED=$((FAILED + 1)); BROKEN+=("$name"); fi
}

# sum_of PATTERN FILE: adds up the numbers before a word, as in "12 passed".
sum_of() { grep -oE "[0-9]+ $1" "$2" | awk '{ n += $1 } END { print n + 0 }'; }

rust_tests() {
  local log="$LOGS/rust.log" status=0
  say "cargo test"
  { cargo test --workspace --locked --no-fail-fast 2>&1 || echo "$?" > "$LOGS/rust.status"; } |
    tee "$log" | grep -vE '^test .* \.\.\. ok$|^$|^running [0-9]+ test' || true
  [ ! -e "$LOGS/rust.status" ] || status="$(cat "$LOGS/rust.status")"
  local summaries="$LOGS/rust.sum"
  grep -E '^test result:' "$log" > "$summaries" || true
  local passed failed
  passed="$(sum_of passed "$summaries")"; failed="$(sum_of failed "$summaries")"
  PASSED=$((PASSED + passed)); FAILED=$((FAILED + failed)); SKIPPED=$((SKIPPED + $(sum_of ignored "$summaries")))
  if [ "$status" != 0 ]; then
    BROKEN+=("cargo test")
    [ "$failed" != 0 ] || FAILED=$((FAILED + 1))
  elif [ "$passed" = 0 ]; then
    BROKEN+=("cargo test ran no test"); FAILED=$((FAILED + 1))
  fi
}

python_tests() {
  local xml="$LOGS/pytest.xml" status=0 passed=0 failed=0 skipped=0
  say "pytest (black box)"
  scripts/pytest.sh --junitxml="$xml" || status=$?
  if [ -s "$xml" ]; then
    read -r passed failed skipped < <("$VENV/bin/python" scripts/junit_counts.py "$xml")
  fi
  PASSED=$((PASSED + passed)); FAILED=$((FAILED + failed)); SKIPPED=$((SKIPPED + skipped))
  if [ "$status" != 0 ]; then
    BROKEN+=("pytest")
    [ "$failed" != 0 ] || FAILED=$((FAILED + 1))
  elif [ "$passed" = 0 ]; then
    BROKEN+=("pytest ran no test"); FAILED=$((FAILED + 1))
  fi
}

say "setting up"
test_setup
echo "target directory $CARGO_TARGET_DIR"
echo "python           $VENV"

step "cargo fmt --check" cargo fmt --all --check
step "cargo clippy" cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
step "cargo xtask tidy" cargo xtask tidy
# With all else that is tested: the server alone would have other features of its dependencies, and the engine would be built twice.
step "cargo build" cargo build --workspace --all-targets --locked --quiet
rust_tests
if [ -x "${MILLPOND_BIN:-$CARGO_TARGET_DIR/debug/millpond}" ]; then python_tests; else
  FAILED=$((FAILED + 1)); BROKEN+=("pytest: no server to test")
fi

say "summary after $((SECONDS - started)) s"
for name in "${BROKEN[@]+"${BROKEN[@]}"}"; do echo "FAILED: $name"; done
echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
if [ "$FAILED" != 0 ]; then echo "logs: $LOGS"; exit 1; fi
rm -rf "$LOGS"
