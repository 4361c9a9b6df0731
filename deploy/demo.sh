#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The whole way on one computer: sh deploy/demo.sh
#
# A real model of 135 million weights is compressed by three node processes and a cheater, verified
# against its source, published, pulled onto a "device", updated by what changed alone, exported,
# and asked a question in llama.cpp. Everything happens under build/demo; nothing else is touched.
# The last line is "demo: ok", and the exit status 0, when every step held.
set -eu
cd "$(dirname "$0")/.."

sh deploy/setup.sh --demo
. "${TMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tensormill}/env.sh"

root=$PWD
work=$root/build/demo
started=$(date +%s)
pids=

step() {
    printf '\n== %s\n' "$1"
}

fail() {
    printf 'demo: %s\n' "$1" >&2
    exit 1
}

stop_all() {
    for pid in $pids; do
        kill "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# field FILE KEY: a member of "data" of a JSON answer of tmill ("data" may be a list of one).
field() {
    "$TMILL_PYTHON" -c '
import json, sys
data = json.load(open(sys.argv[1]))["data"]
data = data[0] if isinstance(data, list) else data
for word in sys.argv[2].split("."):
    data = data[int(word) if isinstance(data, list) else word]
print(data)' "$1" "$2"
}

mib() {
    awk -v bytes="$1" 'BEGIN { printf "%.1f MiB", bytes / 1048576 }'
}

step "build"
mkdir -p build
cmake --preset release >build/configure-demo.log 2>&1 || {
    cat build/configure-demo.log
    fail "cannot configure the build"
}
cmake --build --preset release --target tmill tmill-edge adversary
tmill=$root/build/release/bin/tmill
edge=$root/build/release/bin/tmill-edge
adversary=$root/build/release/tests/adversary

rm -rf "$work"
mkdir -p "$work"
cd "$work"
export XDG_CONFIG_HOME="$work/config" XDG_DATA_HOME="$work/data" \
    XDG_STATE_HOME="$work/state" XDG_CACHE_HOME="$work/cache"
unset TMILL_CONFIG TMILL_KERNEL 2>/dev/null || true
source_model=$TMILL_MODEL_SMOL

step "the model"
"$tmill" inspect "$source_model"

step "three nodes and a cheater make 4-bit weights; whoever submits coordinates"
"$tmill" submit "$source_model" -o smol-v1.tmpk --recipe int4 --workers 0 \
    --listen tcp://127.0.0.1:0 --ready-file ready --json >submit.json &
submit=$!
pids=$submit
tries=0
while [ ! -s ready ]; do
    kill -0 "$submit" 2>/dev/null || fail "the coordinator ended before it listened"
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || fail "the coordinator does not listen"
    sleep 0.1
done
endpoint=$(sed -n 's/^endpoint=//p' ready)
server_key=$(sed -n 's/^server_key=//p' ready)
echo "listening on $endpoint as $server_key"
"$adversary" --join "$endpoint" --server-key "$server_key" --name cheater --mode sometimes \
    >cheater.log 2>&1 &
pids="$pids $!"
nodes=
for i in 1 2 3; do
    "$tmill" node run --join "$endpoint" --server-key "$server_key" --name "node-$i" \
        --key "$work/node-$i.key" --threads 1 --once >"node-$i.log" 2>&1 &
    pids="$pids $!"
    nodes="$nodes $!"
done
alone=0 # fifths of a second without a node: the coordinator has work of its own at the end
while kill -0 "$submit" 2>/dev/null; do
    alone=$((alone + 1))
    for pid in $nodes; do
        kill -0 "$pid" 2>/dev/null && alone=0
    done
    [ "$alone" -lt 300 ] || fail "every node ended before the job: $(cat node-1.log)"
    sleep 0.2
done
wait "$submit" || fail "the job failed"
job=$(field submit.json job)
"$tmill" show "$job"
[ "$(field submit.json nodes_banned)" -ge 1 ] || fail "the cheater was not caught"

step "the package follows from the model: 16 units made again, bit for bit"
"$tmill" verify smol-v1.tmpk --against "$source_model" --sample 16

step "publish, and pull onto the device"
"$tmill" publish smol-v1.tmpk --repo repo --name smol
"$edge" trust add "$("$tmill" key export)"
"$edge" pull repo smol
"$edge" verify smol

step "version 2: three tensors at 8 bits; the device fetches what changed"
cat >v2.toml <<'RECIPE'
schema = 1
rule = [
    { match = "*", codec = "int4" },
    { match = "blk.0.attn_q.weight", codec = "int8" },
    { match = "blk.0.attn_k.weight", codec = "int8" },
    { match = "blk.0.ffn_down.weight", codec = "int8" },
]
RECIPE
"$tmill" compress "$source_model" -o smol-v2.tmpk --recipe v2.toml \
    --gate 'kld<0.5,ppl<1.5x,mini>0.7x' --json >v2.json
"$tmill" publish smol-v2.tmpk --repo repo --name smol --notes "three tensors at 8 bits"
"$edge" update --json >update.json
"$edge" list
pulled=$(field update.json fetched_bytes)
whole=$(field update.json package_bytes)
echo "fetched $(mib "$pulled") of $(mib "$whole")"
[ "$((pulled * 5))" -lt "$whole" ] || fail "the update fetched too much"

step "out to llama.cpp"
"$edge" export smol --format gguf --type keep -o smol.gguf
prompt="Once upon a time, there was a little girl"
"$TMILL_LLAMA_BIN/llama-completion" -m smol.gguf -p "$prompt" -n 24 --temp 0 -no-cnv \
    --no-display-prompt </dev/null >answer.txt 2>llama.log || fail "llama.cpp does not load it"
[ -s answer.txt ] || fail "llama.cpp said nothing"
printf '%s|%s\n' "$prompt" "$(tr '\n' ' ' <answer.txt)"

step "what it costs: the figures that the package carries, measured again"
"$tmill" verify smol-v2.tmpk --against "$source_model" --figures --logits-cache 1GiB
"$tmill" report smol-v2.tmpk --html report.html >report.txt
echo "build/demo/report.html has them all as a page"

step "the device's own words"
"$edge" run smol -p "$prompt" -n 24 -q >words.txt
[ -s words.txt ] || fail "the device said nothing"
printf '%s|%s\n' "$prompt" "$(tr '\n' ' ' <words.txt)"

step "summary"
row() {
    printf '%-16s %s\n' "$1" "$2"
}
row "source" "$(mib "$(field submit.json source_bytes)")"
row "package" "$(mib "$(field submit.json package_bytes)")"
row "bits a weight" "$(field submit.json bits_per_weight | cut -c1-5)"
row "relative error" "$(field submit.json relative_error | cut -c1-6)"
row "perplexity" "$(field v2.json figures.base.ratio | cut -c1-5) times the source's"
row "KL divergence" "$(field v2.json figures.base.kl_mean | cut -c1-6) nats a token"
row "right answers" "$(field v2.json figures.tasks.0.kept | cut -c1-5) times the source's"
row "nodes" "$(field submit.json nodes) in the ledger, $(field submit.json nodes_banned) banned"
row "units" "$(field submit.json units), $(field submit.json units_redone) done again"
row "audits" "$(field submit.json units_audited) units encoded again"
row "rejected" "$(field submit.json results_rejected) results of the cheater"
row "update" "$(mib "$pulled") pulled of $(mib "$whole")"
row "seconds" "$(($(date +%s) - started))"
echo "demo: ok"
