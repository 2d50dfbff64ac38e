#!/usr/bin/env bash
# Run scripts/digits.toml: train, profile, plan, prune, fine-tune, build, verify, report. Then the
# exported network answers once more, in a process that has the stock TVM runtime alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
environment quickstart
tvm-sparse run scripts/digits.toml
built=.cache/digits/search-2.5x
TVM_DEVICE_BACKEND_AUTOLOAD=0 python scripts/run_exported.py "$built/sparse.so" "$built/answers.npz"
