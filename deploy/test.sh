#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds and runs every test: sh deploy/test.sh
#
# The release build runs all tests; the build with the address and undefined-behaviour sanitizers
# runs the unit tests and the fuzz corpora. The last line is ctest's closing line over both, and the
# exit status is 0 when every test passed. What ctest said is kept in build/test-*.log.
set -eu
cd "$(dirname "$0")/.."

sh deploy/setup.sh
. "${TMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tensormill}/env.sh"

jobs=$(nproc)
passed=0
failed=0

build() {
    echo "== build $1"
    cmake --preset "$1" >"build/configure-$1.log" 2>&1 || {
        cat "build/configure-$1.log"
        exit 1
    }
    cmake --build --preset "$1"
}

# test PRESET ARGUMENTS...: runs ctest and adds up what its closing line counts.
test_build() {
    preset=$1
    shift
    echo "== test $preset"
    ctest --preset "$preset" --no-tests=error -j "$jobs" "$@" 2>&1 | tee "build/test-$preset.log"
    closing=$(grep -E '^[0-9]+% tests passed, [0-9]+ tests failed out of [0-9]+$' \
        "build/test-$preset.log") || {
        echo "ctest did not finish on the $preset build"
        exit 1
    }
    # "97% tests passed, 3 tests failed out of 100"
    set -- $closing
    failed=$((failed + $4))
    passed=$((passed + $9 - $4))
}

mkdir -p build
build asan
build release
test_build asan -L '^(unit|fuzz)$'
test_build release

total=$((passed + failed))
echo
if [ "$failed" -gt 0 ]; then
    # "   8 - unit.keyfile_test (Failed)"
    grep -hE '^[[:space:]]+[0-9]+ - .* \(.*\)$' build/test-asan.log build/test-release.log || true
fi
echo "$((passed * 100 / total))% tests passed, $failed tests failed out of $total"
[ "$failed" -eq 0 ]
