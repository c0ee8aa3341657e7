#!/usr/bin/env bash
# Makes policy.wasm, or the file that is named: ./build.sh [FILE]
set -euo pipefail
out=$(realpath "${1:-$(dirname "$0")/policy.wasm}")
cd "$(dirname "$0")"
# This target has no operating system, so there is nothing that could be imported.
cargo build --quiet --locked --release --lib --target wasm32-unknown-unknown --target-dir target
cargo run --quiet --locked --release --bin component --target-dir target -- \
  target/wasm32-unknown-unknown/release/policy_rust.wasm "$out"
