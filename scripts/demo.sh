#!/usr/bin/env bash
# The demo: against --endpoint URL if it is given (keys from the environment or flags), else against a server that is started
# for it on a temporary directory.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
ensure_venv "$ROOT/tests/requirements.txt" "$ROOT/tests/requirements-nodeps.txt"
ensure_tool curl curl
for arg in "$@"; do
  case "$arg" in --endpoint | --endpoint=* | -h | --help) exec "$VENV/bin/python" examples/demo/demo.py "$@" ;; esac
done

say "building in release"
cargo_release build -p millpond
dir="$(mktemp -d "$MILLPOND_CACHE/demo.XXXXXX")"
port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
export AWS_ACCESS_KEY_ID="MPDEMOKEY00000000001"
AWS_SECRET_ACCESS_KEY="$(head -c 30 /dev/urandom | base64 | tr '+/' 'ab')"
export AWS_SECRET_ACCESS_KEY
MILLPOND_ROOT_ACCESS_KEY="$AWS_ACCESS_KEY_ID" MILLPOND_ROOT_SECRET_KEY="$AWS_SECRET_ACCESS_KEY" \
  "$CARGO_TARGET_DIR/release/millpond" serve --data-dir "$dir/data" --listen "127.0.0.1:$port" --pg-listen 127.0.0.1:0 >"$dir/log" 2>&1 &
pid=$!
cleanup() { kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; rm -rf "$dir"; }
trap cleanup EXIT
trap 'exit 130' INT TERM
for _ in $(seq 200); do
  [ "$(curl --silent --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:$port/_millpond/health/ready")" = 200 ] && break
  kill -0 "$pid" 2>/dev/null || { cat "$dir/log" >&2; die "the server ended"; }
  sleep 0.1
done
echo "a server of its own at http://127.0.0.1:$port"
"$VENV/bin/python" examples/demo/demo.py --endpoint "http://127.0.0.1:$port" "$@" || { tail -20 "$dir/log" >&2; exit 1; }
