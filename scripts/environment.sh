# Sourced by the other scripts: makes a virtual environment and puts it first in PATH.
#
#   environment EXTRAS    e.g. environment test,bench
#
# The environment lies in .venv, or where TVM_SPARSE_VENV says, and is reused until pyproject.toml,
# constraints.txt, the extras or the Python change.

fail() {
  echo "error: $*" >&2
  exit 1
}

install() {  # install PACKAGE REASON: a Debian package that is missing
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    fail "$2; install it (Debian: sudo apt-get install $1) and try again"
  fi
  echo "installing $1" >&2
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends "$1" >/dev/null
}

welcome() {  # welcome COMMAND|FILE PACKAGE: install what some tests need, if that can be done
  command -v "$1" >/dev/null && return
  [ -e "$1" ] && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    install "$2" ""
  else
    echo "note: without $1 (Debian: $2) tests that need it are left out" >&2
  fi
}

environment() {
  local venv="${TVM_SPARSE_VENV:-$PWD/.venv}" stamp
  command -v python3 >/dev/null || install python3 "python3 is missing"
  command -v g++ >/dev/null || install g++ "g++ is missing, which links exported models"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or newer is needed, found $(python3 --version)"
  python3 -c 'import ensurepip, venv' 2>/dev/null || install python3-venv "Python's venv is missing"
  stamp="$(cat pyproject.toml constraints.txt | cksum) $1 $(python3 --version) $PWD"
  if [ "$(cat "$venv/ready" 2>/dev/null)" != "$stamp" ]; then
    echo "setting up $venv" >&2
    python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
      --constraint constraints.txt --editable ".[$1]" || fail "pip could not install tvm_sparse"
    echo "$stamp" >"$venv/ready"
  fi
  PATH="$venv/bin:$PATH"
}
