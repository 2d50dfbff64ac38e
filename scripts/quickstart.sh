#!/usr/bin/env bash
# Train, prune, compile and run a small network on handwritten digits; see scripts/quickstart.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
environment quickstart
exec python scripts/quickstart.py "$@"
