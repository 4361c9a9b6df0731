#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One whole package, the same from every build, kernel, number of threads and number of nodes.
#
#   package.sh SOURCE-DIR BUILD-DIR
#
# Uses the four builds of builds.sh. Alone on this computer the whole file is the same, ledger and
# signature included; on a mesh the package id is, for the ledger names the nodes.
set -eu
source=$1
build=$2
work=$build/package
rm -rf "$work"
mkdir -p "$work"
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
pids=
trap 'for pid in $pids; do kill "$pid" 2>/dev/null || true; done' EXIT
files=0
meshes=0

fail() {
    echo "package.sh: $1"
    exit 1
}

# id FILE: the package id in the JSON of compress or submit.
id() {
    sed -n 's/.*"package_id": "\([0-9a-f]*\)".*/\1/p' "$1"
}

# alone BUILD KERNEL WORKERS
alone() {
    rm -rf state out.tmpk
    status=0
    TMILL_KERNEL=$2 "$build/$1/bin/tmill" compress model.safetensors -o out.tmpk -q \
        --recipe mixed.toml --workers "$3" --json >out.json 2>out.err || status=$?
    if [ "$status" -eq 2 ] && grep -q TMILL_KERNEL out.err; then
        return 0 # this machine or build does not have the kernel
    fi
    [ "$status" -eq 0 ] || fail "$1 $2 $3 workers: $(cat out.err)"
    [ -e first.tmpk ] || cp out.tmpk first.tmpk
    [ -e first.json ] || cp out.json first.json
    cmp out.tmpk first.tmpk || fail "$1, kernel $2, $3 workers give another file"
    files=$((files + 1))
}

# mesh COUNT BUILDS...: that many nodes, of the builds in turn; gcc-O3 coordinates.
mesh() {
    count=$1
    shift
    rm -rf state out.tmpk ready
    "$build/gcc-O3/bin/tmill" submit model.safetensors -o out.tmpk --recipe mixed.toml -q \
        --workers 0 --listen tcp://127.0.0.1:0 --ready-file ready --json >mesh.json 2>mesh.err &
    submit=$!
    pids="$pids $submit"
    until [ -s ready ]; do
        kill -0 "$submit" 2>/dev/null || fail "the coordinator ended: $(cat mesh.err)"
        sleep 0.05
    done
    endpoint=$(sed -n 's/^endpoint=//p' ready)
    key=$(sed -n 's/^server_key=//p' ready)
    for node in $(seq "$count"); do
        "$build/$1/bin/tmill" node run --join "$endpoint" --server-key "$key" -q --once \
            --threads 1 --key "node-$node.key" --name "node-$node" >"node-$node.log" 2>&1 &
        pids="$pids $!"
        next=$1
        shift
        set -- "$@" "$next"
    done
    wait "$submit" || fail "$count nodes: $(cat mesh.err)"
    [ "$(id mesh.json)" = "$(id first.json)" ] || fail "$count nodes give another package"
    grep -q '"nodes_banned": 0' mesh.json || fail "honest nodes of other builds were banned"
    meshes=$((meshes + 1))
}

for one in gcc-O0 gcc-O3 clang-O0 clang-O3; do
    for kernel in ref avx2 neon; do
        alone "$one" "$kernel" 2
    done
done
for workers in 1 8; do
    alone gcc-O3 avx2 "$workers"
    alone clang-O0 ref "$workers"
done
[ "$files" -ge 6 ] || fail "only $files files"
mesh 1 gcc-O3
mesh 2 gcc-O3 clang-O3
mesh 4 gcc-O0 clang-O0 gcc-O3 clang-O3
"$build/clang-O0/bin/tmill" verify out.tmpk --against model.safetensors --full -q >verify.txt ||
    fail "the package does not verify"
echo "$files files of one digest, $meshes meshes of one id: $(id first.json)"
