#!/usr/bin/env bash
# Two judges of our compression that nobody here wrote: FreeRDP's library, which a small C program opens, and the crate
# ironrdp-bulk. Each reads what the others write, byte for byte. Installs what it needs (Debian). With `bench` as its
# argument it measures all of them over the same 100 messages instead, in one run.
set -euo pipefail
cd "$(dirname "$0")/../.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
folder=$CARGO_TARGET_DIR/judges/mppc
mkdir -p "$folder"

if ! ldconfig -p | grep -q 'libfreerdp2\.so\.2' || ! command -v gcc >/dev/null; then
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends libfreerdp2-2 gcc libc6-dev >/dev/null
fi
gcc -O1 -o "$folder/mppcj" tests/judges/mppc/mppcj.c -ldl
python3 tests/judges/mppc/corpus.py "$folder/corpus"

# A package of its own: ironrdp-bulk needs a newer compiler than the crate promises to build with.
cargo build --quiet --release --manifest-path tests/judges/mppc/Cargo.toml
peers=$CARGO_TARGET_DIR/release/mppc-peers
if [[ ${1:-} == bench ]]; then
    "$peers" bench "$folder/corpus" "${2:-5}"
else
    "$peers" check "$folder/corpus" "$folder/mppcj" "$folder"
fi
