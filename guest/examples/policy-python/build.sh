#!/usr/bin/env bash
# Builds policy.wasm, or FILE: ./build.sh [FILE]
set -euo pipefail
out=$(realpath "${1:-$(dirname "$0")/policy.wasm}")
cd "$(dirname "$0")"
[ -x venv/bin/componentize-py ] || {
  python3 -m venv venv
  venv/bin/pip install --quiet --requirement requirements.txt
}
# Without --stub-wasi the component would import files, clocks and random numbers.
venv/bin/componentize-py --quiet --wit-path ../../../wit --world policy componentize --stub-wasi policy --output "$out"
