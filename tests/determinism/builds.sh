#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The same digests from every build: gcc and clang, -O0 and -O3, every kernel, 1, 2 and 8 threads.
#
#   builds.sh SOURCE-DIR BUILD-DIR
#
# Builds stage_digests and tmill (for package.sh) four times under BUILD-DIR, runs the first
# everywhere and compares all outputs.
set -eu
source=$1
build=$2
runs=0
mkdir -p "$build"
reference=$build/reference.txt
rm -f "$reference"

# compare OUTPUT NAME
compare() {
    if ! [ -e "$reference" ]; then
        cp "$1" "$reference"
        first=$2
    elif ! cmp -s "$1" "$reference"; then
        echo "builds.sh: $2 gives other bits than $first:"
        diff "$reference" "$1" | head -n 20
        exit 1
    fi
    runs=$((runs + 1))
}

for compiler in gcc clang; do
    for level in O0 O3; do
        dir=$build/$compiler-$level
        cmake -S "$source" -B "$dir" -G Ninja -DCMAKE_C_COMPILER="$compiler" \
            -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="-$level" >"$dir.log" 2>&1 || {
            cat "$dir.log"
            exit 1
        }
        cmake --build "$dir" --target stage_digests tmill
        for kernel in ref avx2 neon; do
            for threads in 1 2 8; do
                status=0
                OMP_NUM_THREADS=$threads "$dir/tests/stage_digests" "$kernel" \
                    >"$dir.txt" || status=$?
                [ "$status" -ne 3 ] || continue
                if [ "$status" -ne 0 ]; then
                    echo "builds.sh: $compiler -$level $kernel failed with status $status"
                    exit 1
                fi
                compare "$dir.txt" "$compiler -$level kernel $kernel, $threads threads"
            done
        done
    done
done
# The reference kernel alone gives 2 compilers x 2 levels x 3 thread counts.
[ "$runs" -ge 12 ] || {
    echo "builds.sh: only $runs runs"
    exit 1
}
echo "$runs runs, $(wc -l <"$reference") digests each, all equal"
