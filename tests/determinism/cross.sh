#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The same bits on another processor, which qemu's user mode plays: digests of every stage, unit
# tests, whole files of whole programs, and a mesh of both processors.
#
#   cross.sh SOURCE-DIR BUILD-DIR arm64|s390x
#
# BUILD-DIR is a finished build for this machine's processor, which makes the reference. Builds only
# what it runs, in SOURCE-DIR/build/cross-ARCH, and prints one line for each part.
set -eu
source=$1
build=$2
arch=$3
case $arch in
arm64) triplet=aarch64 kernels="ref neon" ;;
s390x) triplet=s390x kernels=ref ;;
*) echo "cross.sh: no such processor: $arch" && exit 2 ;;
esac
cross=$source/build/cross-$arch
work=$build/cross/$arch
rm -rf "$work"
mkdir -p "$work"
sysroots=${TMILL_SYSROOTS:-${TMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tensormill}/sysroots}

# What qemu's user mode cannot play, or not in the time there is. Everything else in these folders
# runs.
#   writer_safetensors_test  writes 100 MB of JSON
FOLDERS="base crypto model model/tokenizer stages package proto scheduler"
LEFT_OUT=" writer_safetensors_test "

fail() {
    echo "cross.sh: $arch: $1"
    exit 1
}

# emulated BUILD/PROGRAM ARGUMENTS...
emulated() {
    "qemu-$triplet" -L "$sysroots/$arch" "$@"
}

# ---- build ----

tests=
for folder in $FOLDERS; do
    for file in "$source/$folder"/*_test.c; do
        test=$(basename "$file" .c)
        case $LEFT_OUT in *" $test "*) ;; *) tests="$tests $test" ;; esac
    done
done

# quietly COMMAND...: says what it said only when it fails.
quietly() {
    "$@" >"$work/build.log" 2>&1 || {
        tail -n 30 "$work/build.log"
        fail "failed: $1 $2 $3"
    }
}
quietly cmake -S "$source" --preset "cross-$arch"
quietly cmake --build "$cross" --target stage_digests package_make tmill $tests

# ---- digests of every stage ----

"$build/tests/stage_digests" ref >"$work/reference.txt"
runs=0

# digests PROGRAM NAME: every kernel and number of threads.
digests() {
    for kernel in $kernels; do
        for threads in 1 2 8; do
            OMP_NUM_THREADS=$threads emulated "$1" "$kernel" >"$work/digests.txt" ||
                fail "stage_digests $kernel of $2 failed"
            diff "$work/reference.txt" "$work/digests.txt" >"$work/diff.txt" || {
                head -n 20 "$work/diff.txt"
                fail "$2, kernel $kernel, $threads threads gives other bits than $build"
            }
            runs=$((runs + 1))
        done
    done
}
digests "$cross/tests/stage_digests" -O2
for level in O0 O3; do
    dir=$work/$level
    quietly cmake -S "$source" -B "$dir" -G Ninja -DCMAKE_BUILD_TYPE=None \
        -DCMAKE_C_FLAGS="-$level" \
        -DCMAKE_TOOLCHAIN_FILE="$source/deploy/toolchain-$arch.cmake"
    quietly cmake --build "$dir" --target stage_digests
    digests "$dir/tests/stage_digests" "-$level"
done
echo "digests: $(wc -l <"$work/reference.txt") in each of $runs runs ($kernels; -O0, -O2, -O3;" \
    "1, 2, 8 threads), all as on $(uname -m)"

# ---- unit tests ----

export CK_TIMEOUT_MULTIPLIER=5
pattern=$(echo $tests | tr ' ' '|')
ctest --test-dir "$cross" --no-tests=error -R "^unit\\.($pattern)\$" --timeout 600 \
    --output-on-failure >"$work/ctest.log" 2>&1 || {
    tail -n 60 "$work/ctest.log"
    fail "unit tests failed"
}
echo "unit tests: $(grep -E '^[0-9]+% tests passed' "$work/ctest.log")"

# ---- whole programs ----

cd "$work"
export XDG_CONFIG_HOME="$work/config" XDG_STATE_HOME="$work/state"
python3 -B "$source/tests/determinism/make_model.py" model.safetensors
cat >mixed.toml <<'RECIPE'
schema = 1
rule = [
    { match = "*", codec = "int4" },
    { match = "*.b.weight", codec = "int8" },
    { match = "*.c.weight", codec = "ternary" },
]
RECIPE
compress() {
    name=$1
    shift
    rm -rf state
    "$@" compress model.safetensors -o "$name.tmpk" -q --recipe mixed.toml --workers 2 --json \
        >"$name.json" 2>"$name.err" || fail "compress, $name: $(cat "$name.err")"
}
compress here "$build/bin/tmill"
for kernel in $kernels; do
    export TMILL_KERNEL="$kernel"
    compress "$kernel" emulated "$cross/bin/tmill"
    unset TMILL_KERNEL
    cmp here.tmpk "$kernel.tmpk" || fail "compress makes another file with the kernel $kernel"
done
echo "compress: one file, ledger and signature included: $(sha256sum <here.tmpk | cut -c1-16)"

# The writer's sample is the kept file of the format's first version.
emulated "$cross/tests/package_make" sample.tmpk >/dev/null || fail "package_make"
cmp sample.tmpk "$source/tests/vectors/package_v1.tmpk" || fail "tests/vectors/package_v1.tmpk"
emulated "$cross/bin/tmill" verify "$source/tests/vectors/package_v1.tmpk" >verify.txt ||
    fail "verify of tests/vectors/package_v1.tmpk: $(cat verify.txt)"
echo "tests/vectors/package_v1.tmpk: written and read"

# Each verifies what the other made, and makes every unit again.
"$build/bin/tmill" verify "$kernel.tmpk" --against model.safetensors --full -q >verify.txt ||
    fail "verify here: $(cat verify.txt)"
emulated "$cross/bin/tmill" verify here.tmpk --against model.safetensors --full -q >verify.txt ||
    fail "verify there: $(cat verify.txt)"

# What leaves a package, and what is read from it.
for format in gguf safetensors; do
    "$build/bin/tmill" export here.tmpk -o "here.$format" --format "$format" -q >/dev/null
    emulated "$cross/bin/tmill" export here.tmpk -o "there.$format" --format "$format" -q \
        >/dev/null || fail "export to $format"
    cmp "here.$format" "there.$format" || fail "export makes another $format"
    "$build/bin/tmill" inspect "here.$format" --hash --json >here.json
    emulated "$cross/bin/tmill" inspect "here.$format" --hash --json >there.json
    cmp here.json there.json || fail "inspect reads another $format"
done
echo "verify both ways; export and inspect of gguf and safetensors: equal"

# ---- a mesh of both processors ----

pids=
trap 'for pid in $pids; do kill "$pid" 2>/dev/null || true; done' EXIT
rm -rf state
"$build/bin/tmill" submit model.safetensors -o mesh.tmpk --recipe mixed.toml -q --workers 0 \
    --listen tcp://127.0.0.1:0 --ready-file ready --json >mesh.json 2>mesh.err &
submit=$!
pids=$submit
until [ -s ready ]; do
    kill -0 "$submit" 2>/dev/null || fail "the coordinator ended: $(cat mesh.err)"
    sleep 0.05
done
endpoint=$(sed -n 's/^endpoint=//p' ready)
key=$(sed -n 's/^server_key=//p' ready)
emulated "$cross/bin/tmill" node run --join "$endpoint" --server-key "$key" -q --once --threads 1 \
    --key there.key --name there >there.log 2>&1 &
pids="$pids $!"
wait "$submit" || fail "mesh: $(cat mesh.err there.log)"
id() {
    sed -n 's/.*"package_id": "\([0-9a-f]*\)".*/\1/p' "$1"
}
[ "$(id mesh.json)" = "$(id "$kernel.json")" ] || fail "the emulated node's work is another package"
grep -q '"nodes_banned": 0' mesh.json || fail "the emulated node was banned"
echo "mesh: coordinator on $(uname -m), node on $arch: $(id mesh.json)"
