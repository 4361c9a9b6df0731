#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds and runs the tests.
#
#   sh deploy/test.sh            every test and every outside judge, as continuous integration does
#   sh deploy/test.sh --quick    the daily tier: the release build's tests without the long ones
#
# What each tier holds, and why, is in docs/TESTING.md. The last line is ctest's closing line over
# all builds, and the exit status is 0 when every test passed. What ctest said is kept in
# build/test-*.log.
set -eu
cd "$(dirname "$0")/.."

case "$#:${1:-}" in
0:) tier=full ;;
1:--quick) tier=quick ;;
1:-h | 1:--help)
    sed -n '3,10s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
*)
    echo "test: unknown option '$*'; see sh deploy/test.sh --help" >&2
    exit 2
    ;;
esac

sh deploy/setup.sh
. "${TMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tensormill}/env.sh"

jobs=$(nproc)
passed=0
failed=0
began=$(date +%s)

# Labels of what is too long for the daily tier.
LONG='^(slow|determinism|chaos|cross|cover|fault|fuzz-fresh|memcheck|mutants|mutate)$'

# Tests of actors, threads and what they share.
THREADED="mem_test team_test matmul_test quality_test covariance_test collector_test
    jacobian_test event_test cpu_test actor_test work_pool_test
    zap_test transport_test uploads_test saver_test source_server_test
    mesh_ports_test mesh_test worker_actor_test worker_units_test"

minutes() {
    echo "$((($(date +%s) - began) / 60)) min"
}

# build PRESET [TARGETS...]
build() {
    preset=$1
    shift
    echo "== build $preset ($(minutes))"
    cmake --preset "$preset" >"build/configure-$preset.log" 2>&1 || {
        cat "build/configure-$preset.log"
        exit 1
    }
    if [ $# -gt 0 ]; then
        cmake --build --preset "$preset" --target "$@"
    else
        cmake --build --preset "$preset"
    fi
}

# test_build PRESET ARGUMENTS...: runs ctest and adds up what its closing line counts.
test_build() {
    preset=$1
    shift
    echo "== test $preset ($(minutes))"
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
rm -f build/test-*.log
build release
if [ "$tier" = quick ]; then
    test_build release -LE "$LONG"
else
    build asan
    build tsan $THREADED
    test_build asan -L '^(unit|fuzz|mutate)$'
    test_build tsan -R "^unit\\.($(echo $THREADED | tr ' ' '|'))\$"
    test_build release
fi

total=$((passed + failed))
echo
if [ "$failed" -gt 0 ]; then
    # "   8 - unit.keyfile_test (Failed)"
    grep -hE '^[[:space:]]+[0-9]+ - .* \(.*\)$' build/test-*.log || true
fi
echo "test: the $tier tier took $(minutes)"
echo "$((passed * 100 / total))% tests passed, $failed tests failed out of $total"
[ "$failed" -eq 0 ]
