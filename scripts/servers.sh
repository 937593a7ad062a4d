# Starts the servers of the benchmarks on directories and ports of their own; sourced after lib.sh. `bench_setup` builds and
# prepares, `start_millpond` and `start_seaweedfs` start, and all is stopped and removed when the script ends.

BENCH_ACCESS_KEY="MPBENCHKEY0000000001"
BENCH_SECRET_KEY="$(head -c 30 /dev/urandom | base64 | tr '+/' 'ab')"
BENCH_PIDS=()

bench_setup() {
  ensure_venv "$ROOT/tests/requirements-bench.txt"
  say "building in release"
  cargo_release build -p millpond -p millpond-bench
  BENCH="$CARGO_TARGET_DIR/release/millpond-bench"
  # On the disk that the cache is on: /tmp may be memory, where fsync costs nothing.
  BENCH_DIR="$(mktemp -d "${BENCH_DISK:-$MILLPOND_CACHE}/bench.XXXXXX")"
  trap bench_cleanup EXIT
  trap 'exit 130' INT TERM
}

bench_cleanup() {
  local pid
  for pid in "${BENCH_PIDS[@]+"${BENCH_PIDS[@]}"}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${BENCH_PIDS[@]+"${BENCH_PIDS[@]}"}"; do
    for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$BENCH_DIR"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# free_pair FIRST: a port of the 8,000 from FIRST on that is free, as is the one 10,000 above it.
free_pair() {
  python3 -c '
import random, socket, sys
def free(port):
    with socket.socket() as s:
        try: s.bind(("127.0.0.1", port)); return True
        except OSError: return False
first = int(sys.argv[1])
print(next(p for p in random.sample(range(first, first + 8000), 8000) if free(p) and free(p + 10000)))' "$1"
}

# wait_for NAME PID URL LOG: until the URL answers at all.
wait_for() {
  for _ in $(seq 300); do
    if curl --silent --output /dev/null --max-time 2 "$3"; then return; fi
    kill -0 "$2" 2>/dev/null || { tail -20 "$4" >&2; die "$1 ended"; }
    sleep 0.1
  done
  tail -20 "$4" >&2
  die "$1 does not answer"
}

start_millpond() {
  MILLPOND_PORT="$(free_port)"
  local log="$BENCH_DIR/millpond.log"
  MILLPOND_ROOT_ACCESS_KEY="$BENCH_ACCESS_KEY" MILLPOND_ROOT_SECRET_KEY="$BENCH_SECRET_KEY" \
    "$CARGO_TARGET_DIR/release/millpond" serve --data-dir "$BENCH_DIR/millpond" --listen "127.0.0.1:$MILLPOND_PORT" \
    --pg-listen "127.0.0.1:$(free_port)" >"$log" 2>&1 &
  MILLPOND_PID=$!
  BENCH_PIDS+=("$MILLPOND_PID")
  for _ in $(seq 300); do
    [ "$(curl --silent --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:$MILLPOND_PORT/_millpond/health/ready")" = 200 ] && break
    kill -0 "$MILLPOND_PID" 2>/dev/null || { tail -20 "$log" >&2; die "millpond ended"; }
    sleep 0.1
  done
  sleep 2
  MILLPOND_IDLE_KIB="$(awk '/VmRSS/ { print $2 }' "/proc/$MILLPOND_PID/status")"
}

# SeaweedFS as it comes: one process with master, volume server, filer and S3, no replication. It does not fsync.
start_seaweedfs() {
  SEAWEEDFS_PORT="$(free_port)"
  local log="$BENCH_DIR/seaweedfs.log" dir="$BENCH_DIR/seaweedfs" master volume filer
  mkdir -p "$dir"
  # Its gRPC ports are the others plus 10,000: they must stay below 65,536.
  master="$(free_pair 20000)" volume="$(free_pair 28000)" filer="$(free_pair 36000)"
  cat >"$BENCH_DIR/seaweedfs.json" <<JSON
{"identities": [{"name": "root", "credentials": [{"accessKey": "$BENCH_ACCESS_KEY", "secretKey": "$BENCH_SECRET_KEY"}],
  "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}
JSON
  "$VENV/bin/weed" -logtostderr server -s3 -ip 127.0.0.1 -ip.bind 127.0.0.1 -dir "$dir" -master.port "$master" \
    -volume.port "$volume" -filer.port "$filer" -s3.port "$SEAWEEDFS_PORT" -s3.port.grpc "$((filer + 9000))" \
    -s3.port.iceberg 0 -s3.port.lance 0 -s3.config "$BENCH_DIR/seaweedfs.json" -volume.max 200 >"$log" 2>&1 &
  SEAWEEDFS_PID=$!
  BENCH_PIDS+=("$SEAWEEDFS_PID")
  wait_for SeaweedFS "$SEAWEEDFS_PID" "http://127.0.0.1:$SEAWEEDFS_PORT/" "$log"
  # It takes requests some seconds before its volume server has registered.
  for _ in $(seq 300); do
    curl --silent --max-time 2 "http://127.0.0.1:$master/dir/assign" | grep -q '"fid"' && break
    sleep 0.2
  done
}

# target NAME PORT PID: one entry of the targets file.
target() {
  printf '{"name": "%s", "endpoint": "http://127.0.0.1:%s", "access_key": "%s", "secret_key": "%s", "pid": %s}' \
    "$1" "$2" "$BENCH_ACCESS_KEY" "$BENCH_SECRET_KEY" "$3"
}

# The machine and the versions, for whoever quotes the figures.
describe_run() {
  echo
  echo "$(date -u +%F), $(nproc) cores ($(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo)), $(free -g | awk '/Mem:/ { print $2 }') GiB," \
    "$(df --output=fstype "$BENCH_DIR" | tail -1), Linux $(uname -r | cut -d- -f1)"
  "$CARGO_TARGET_DIR/release/millpond" --version
  [ -z "${SEAWEEDFS_PID:-}" ] || "$VENV/bin/weed" version | grep -m1 version
  [ -z "${MILLPOND_IDLE_KIB:-}" ] || echo "millpond resident, idle, empty data dir: $((MILLPOND_IDLE_KIB / 1024)) MiB"
}
