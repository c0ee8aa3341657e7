#!/usr/bin/env bash
# Builds policy.wasm, or FILE: ./build.sh [FILE]
set -euo pipefail
out=$(realpath "${1:-$(dirname "$0")/policy.wasm}")
cd "$(dirname "$0")"
# This target has no operating system, so the module imports nothing.
cargo build --quiet --locked --release --lib --target wasm32-unknown-unknown --target-dir target
cargo run --quiet --locked --release --bin component --target-dir target -- \
  target/wasm32-unknown-unknown/release/policy_rust.wasm "$out"
