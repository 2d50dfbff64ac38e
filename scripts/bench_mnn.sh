#!/usr/bin/env bash
# Measure whole networks with MNN, dense and sparse, among the rivals; see scripts/bench_mnn.py.
#
# MNN gets an environment of its own, in .cache/mnn or where TVM_SPARSE_MNN says, which is reused
# until scripts/mnn.txt or the Python change.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
environment bench
export TVM_SPARSE_MNN="${TVM_SPARSE_MNN:-$PWD/.cache/mnn}"
stamp="$(cksum <scripts/mnn.txt) $(python3 --version)"
if [ "$(cat "$TVM_SPARSE_MNN/ready" 2>/dev/null)" != "$stamp" ]; then
  echo "setting up $TVM_SPARSE_MNN" >&2
  python3 -m venv --clear "$TVM_SPARSE_MNN"
  "$TVM_SPARSE_MNN/bin/python" -m pip install --quiet --disable-pip-version-check \
    --only-binary :all: --requirement scripts/mnn.txt || fail "pip could not install MNN"
  echo "$stamp" >"$TVM_SPARSE_MNN/ready"
fi
exec python scripts/bench_mnn.py "$@"
