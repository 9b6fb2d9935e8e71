#!/usr/bin/env bash
# Runs the kernels' tests, where all unsafe code is, under tools that see what a test alone cannot. Each test runs on every
# instruction set that the tool shows the program: see src/guide/safety.md.
#
#   tests/sanitize.sh address     AddressSanitizer; needs a nightly toolchain; scalar, AVX2 and AVX-512
#   tests/sanitize.sh memcheck    Valgrind; scalar and AVX2, it hides AVX-512
#   tests/sanitize.sh miri        Miri; needs a nightly toolchain with it; scalar
#
# Without an argument, those whose tool is here. A tool that is named and missing is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(rustc -vV | sed -n 's/^host: //p')

has_address() { cargo +nightly --version > /dev/null 2>&1; }
has_memcheck() { command -v valgrind > /dev/null; }
has_miri() { cargo +nightly miri --version > /dev/null 2>&1; }

# The standard library is not built anew: its own code is not looked into, but what it is handed is.
address() {
  RUSTFLAGS=-Zsanitizer=address cargo +nightly test -q -p dlrm-kernels --lib --tests \
    --target "$target" --target-dir target/address
}

# Not the parity tests, which take too long: every public kernel is in the edges.
memcheck() {
  local runner="CARGO_TARGET_$(tr a-z- A-Z_ <<< "$target")_RUNNER"
  env "$runner=valgrind -q --error-exitcode=99" cargo test -q -p dlrm-kernels --lib --test edges --test guards
}

miri() {
  MIRIFLAGS=-Zmiri-strict-provenance cargo +nightly miri test -q -p dlrm-kernels --lib --test guards --target-dir target/miri
}

for tool in ${1:-address memcheck miri}; do
  if "has_$tool"; then
    printf -- '-- %s\n' "$tool"
    "$tool"
  elif [[ $# -gt 0 ]]; then
    echo "$tool is not here" >&2
    exit 1
  else
    echo "skipped: no $tool"
  fi
done
