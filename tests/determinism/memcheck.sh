#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No uninitialised byte decides anything or leaves a program: compress, publish, verify, export,
# pull and a whole mesh (coordinator, gate and a node) under valgrind's memcheck. It follows every
# bit: a branch on an undefined one is an error, and so is one that a write() or send() is given.
#
#   memcheck.sh SOURCE-DIR BUILD-DIR PYTHON
set -eu
source=$1
build=$2
python=$3
tmill=$build/bin/tmill
edge=$build/bin/tmill-edge
work=$build/memcheck
rm -rf "$work"
mkdir -p "$work/logs"
cd "$work"
export XDG_CONFIG_HOME="$work/config" XDG_STATE_HOME="$work/state" XDG_DATA_HOME="$work/data"

fail() {
    echo "memcheck.sh: $1"
    exit 1
}

pids=
trap 'for pid in $pids; do kill "$pid" 2>/dev/null || true; done' EXIT

# Leaks are the address sanitizer's matter.
memcheck="valgrind -q --error-exitcode=99 --leak-check=no --track-origins=yes --num-callers=20
    --trace-children=yes --log-file=logs/%p"
programs=0

# A report has lines that begin with ==PID==. Those with --PID-- tell of system calls that valgrind
# does not know, which the kernel then seems not to have (openat2).
look() {
    if grep -l '^==' logs/* >reports.txt 2>/dev/null; then
        xargs cat <reports.txt
        fail "$1 uses or gives away uninitialised bytes"
    fi
    programs=$((programs + $(ls logs | wc -l)))
    rm -f logs/*
}

checked() {
    status=0
    $memcheck "$@" >out.txt 2>err.txt || status=$?
    look "$1 $2"
    [ "$status" -eq 0 ] || fail "$1 $2 ended with $status: $(cat err.txt)"
}

# ---- valgrind sees such a byte ----

cat >leaky.c <<'PROGRAM'
#include <stdlib.h>
#include <unistd.h>
int main(void)
{
    char *bytes = malloc(16);
    bytes[0] = 'x';
    return write(1, bytes, 16) != 16;
}
PROGRAM
gcc -g -O0 leaky.c -o leaky
status=0
$memcheck ./leaky >out.txt 2>&1 || status=$?
[ "$status" -eq 99 ] && grep -q 'Syscall param write(buf) points to uninitialised' logs/* ||
    fail "valgrind does not notice an uninitialised byte that is written"
rm -f logs/*

# ---- one program at a time ----

"$python" -B "$source/tests/determinism/make_model.py" model.safetensors 16
cat >mixed.toml <<'RECIPE'
schema = 1
rule = [
    { match = "*", codec = "int4" },
    { match = "*.b.weight", codec = "int8" },
    { match = "*.c.weight", codec = "ternary" },
]
RECIPE
checked "$tmill" key gen
for kernel in ref avx2; do
    export TMILL_KERNEL=$kernel
    rm -rf state
    checked "$tmill" compress model.safetensors -o "$kernel.tmpk" -q --recipe mixed.toml --workers 2
    unset TMILL_KERNEL
done
cmp ref.tmpk avx2.tmpk || fail "the kernels give different files"
checked "$tmill" verify ref.tmpk --against model.safetensors --full -q
checked "$tmill" inspect ref.tmpk
for format in gguf safetensors; do
    checked "$tmill" export ref.tmpk -o "out.$format" --format "$format" -q
    checked "$tmill" inspect "out.$format" --hash
done
checked "$tmill" publish ref.tmpk --repo repo --name model
checked "$edge" trust add "$("$tmill" key export)"
"$python" -u -m http.server --bind 127.0.0.1 --directory repo 0 >http.txt 2>&1 &
pids="$pids $!"
until grep -q 'port [0-9]' http.txt; do
    kill -0 "${pids##* }" || fail "no server: $(cat http.txt)"
    sleep 0.05
done
checked "$edge" pull "http://127.0.0.1:$(sed -n 's/.* port \([0-9]*\) .*/\1/p' http.txt)" model
checked "$edge" verify
checked "$edge" export model --format gguf -o edge.gguf

# ---- a mesh: coordinator, its gate, one node ----

rm -rf state
LD_PRELOAD=$build/tests/libself_program.so TMILL_SELF=$tmill $memcheck \
    "$tmill" submit model.safetensors -o mesh.tmpk --recipe mixed.toml -q --workers 0 \
    --listen tcp://127.0.0.1:0 --ready-file ready >out.txt 2>mesh.err &
submit=$!
pids="$pids $submit"
until [ -s ready ]; do
    kill -0 "$submit" 2>/dev/null || fail "the coordinator ended: $(cat mesh.err logs/*)"
    sleep 0.05
done
status=0
$memcheck "$tmill" node run --join "$(sed -n 's/^endpoint=//p' ready)" --server-key \
    "$(sed -n 's/^server_key=//p' ready)" -q --once --threads 1 --key node.key --name node \
    >node.txt 2>node.err || status=$?
wait "$submit" || fail "the coordinator failed: $(cat mesh.err logs/*)"
[ "$(ls logs | wc -l)" -ge 3 ] || fail "coordinator, gate and node were not all watched"
look "the mesh"
[ "$status" -eq 0 ] || fail "the node ended with $status: $(cat node.err)"
echo "$programs programs under memcheck, no uninitialised byte used or written"
