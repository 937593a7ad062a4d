# Shared by the scripts beside it; sourced, not run. Everything made here lives in the cache directory, outside the clone.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export MILLPOND_CACHE="${MILLPOND_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/millpond}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$MILLPOND_CACHE/target}"
mkdir -p "$MILLPOND_CACHE"

say() { printf '\n== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# ensure_venv FILE...: sets VENV to a virtual environment that holds exactly these requirements files. Its name is a
# hash of their contents and of the interpreter, so a changed pin makes a new one. A file called *-nodeps.txt is installed without dependencies.
ensure_venv() {
  local python="${PYTHON:-python3}" hash tmp f
  command -v "$python" >/dev/null || die "$python is missing: install Python 3.11 or later"
  hash="$( (cat "$@"; "$python" -VV) | sha256sum | cut -c1-16)"
  VENV="$MILLPOND_CACHE/venv-$hash"
  [ -e "$VENV/.complete" ] && return
  say "python environment $VENV"
  tmp="$VENV"
  rm -rf "$tmp"
  "$python" -m venv "$tmp" || die "python -m venv failed (Debian: apt-get install python3-venv)"
  for f in "$@"; do
    case "$f" in
      *-nodeps.txt) "$tmp/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$f" ;;
      *) "$tmp/bin/pip" install --quiet --disable-pip-version-check -r "$f" ;;
    esac || die "could not install $f"
  done
  touch "$VENV/.complete"
}

# ensure_tool COMMAND DEBIAN_PACKAGE: installs the package when the command is missing, and fails clearly when it cannot.
ensure_tool() {
  command -v "$1" >/dev/null && return
  say "installing Debian package $2 (for $1)"
  command -v apt-get >/dev/null || die "$1 is missing and there is no apt-get: install $1"
  local sudo=""
  [ "$(id -u)" = 0 ] || sudo="sudo -n"
  if ! DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$2" >/dev/null 2>&1; then
    $sudo apt-get update -qq || die "apt-get update failed; $1 is needed"
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$2" >/dev/null ||
      die "could not install Debian package $2; $1 is needed"
  fi
}

# cargo_release COMMAND ARGUMENT...: cargo, for what is run in earnest. Where the processor has what x86-64-v3 names (AVX2, BMI and FMA, as those since 2013 or so do), it
# is used: some queries cost a fifth less. Such a binary is for such processors; RUSTFLAGS of your own are kept instead.
cargo_release() {
  local feature flags="-C target-cpu=x86-64-v3"
  for feature in avx2 bmi1 bmi2 fma f16c abm movbe; do grep -qwm1 "$feature" /proc/cpuinfo || flags=""; done
  CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="${CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS:-$flags}" \
    cargo "$1" --locked --release --manifest-path "$ROOT/Cargo.toml" "${@:2}"
}

test_setup() {
  ensure_venv "$ROOT/tests/requirements.txt" "$ROOT/tests/requirements-nodeps.txt"
  ensure_tool curl curl
  ensure_tool openssl openssl
  ensure_tool rclone rclone
  ensure_tool strace strace
}

# setup_functions DIR PYTHON: the pinned boto3 for functions, once, in DIR. Without Python or without a way to fetch it there is none, and functions that
# need it say so.
setup_functions() {
  local dir="$1" python="$2" pins="$ROOT/scripts/requirements-functions.txt" hash
  hash="$(sha256sum <"$pins" | cut -c1-16)"
  [ "$(cat "$dir/.complete" 2>/dev/null)" != "$hash" ] || return 0
  if ! command -v "$python" >/dev/null; then
    echo "no $python: functions in Python will be refused until there is one (MILLPOND_PYTHON)"
    return 0
  fi
  say "boto3 for functions in $dir"
  rm -rf "$dir.new"
  if "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$dir.new" -r "$pins"; then
    # Compiled beforehand, since functions cannot write there; readable by whoever they run as.
    "$python" -m compileall -q "$dir.new" || true
    chmod -R a+rX "$dir.new"
    echo "$hash" >"$dir.new/.complete"
    rm -rf "$dir"
    mv "$dir.new" "$dir"
  else
    rm -rf "$dir.new"
    echo "boto3 cannot be fetched: functions that import it and do not bring it will fail"
  fi
}
