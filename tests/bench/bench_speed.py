# SPDX-License-Identifier: Apache-2.0
"""Prompt and generation tokens/s against llama.cpp, in one run:

    python3 tests/bench/bench_speed.py [--bin DIR] [--turns N] [--wall] [--threads N] [--md]

SmolLM2-135M (deploy/setup.sh brings it) and, where it is in the cache, Qwen2.5-Coder-1.5B (1.78
billion parameters), each as F16, Q8_0 and Q4_0 of llama-quantize. llama.cpp is that of setup, built
again for AVX2, FMA and F16C, which is what our kernels use (tests/bench/llama_fast.py); with
--avx512 it may use what AVX-512 adds, which we do not have. Ours and theirs take turns; each turn
reads a prompt into an empty cache, and then single tokens into an empty cache, after a short run
that is not measured.

Both have one thread and a clock that shows CPU time (tests/bench/cpu_clock.c), so that other load
on the machine says little. --wall takes the clock on the wall, for a machine that is idle: threads
of llama.cpp that wait for one that has no core make it slower by orders of magnitude. Figures are
those of the best turn; ratios of the medians beside them. --md writes docs/results/speed.md; with
--model or --type it puts the new rows into it and says so below them."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
from bench import machine, model_path  # noqa: E402
from llama_fast import llama_bench, setup_says  # noqa: E402

TYPES = ("F16", "Q8_0", "Q4_0")
GOALS = {"prompt": 0.8, "generation": 1.0}
# Name: file in the cache, tokens of a prompt, tokens one by one.
MODELS = {
    "SmolLM2-135M": (model_path(), 256, 48),
    "Qwen2.5-1.5B": (os.path.join(os.path.dirname(model_path()), "qwen2.5-coder-1.5b.gguf"), 64, 8),
}
HEAD = """# Speed

Printed by `python3 tests/bench/bench_speed.py`: tokens/s of the forward pass beside llama.cpp's
(the source of llama-cpp-python {version}, built with {kind}), {threads} thread(s) each, in one
run, by {clock}.

Machine: {machine}.
Best of {turns} turns each, and the ratio of the medians; prompts of {prompts} tokens, {tokens}
tokens one by one.

| model | type | what | ours | llama.cpp | ratio | of medians | goal |
|---|---|---|---|---|---|---|---|
"""


TAIL = """
What the figures hold: the passes compute different things. llama.cpp multiplies Q8_0, Q4_0 and Q6_K
with activations that it rounds to 8 bits; ours are float32 products in a written-down order
([0008](../decisions/0008-the-forward-pass.md)). Prompts wait for arithmetic, single tokens for
memory. Q4_0 of llama-quantize has its head as Q6_K where the rows allow it (Qwen2.5), else as Q8_0.

Not in these figures: several threads (`--wall --threads N`, on an idle machine), and a llama.cpp
that uses AVX-512 (`--avx512`), for which we have no kernel.
"""
RESULT = os.path.join(ROOT, "docs/results/speed.md")


def quantize():
    folder = os.environ.get("TMILL_LLAMA_BIN")
    if not folder:
        sys.exit("bench_speed.py: TMILL_LLAMA_BIN is not set; source env.sh of deploy/setup.sh")
    return os.path.join(folder, "llama-quantize")


def convert(source, kind, work):
    path = os.path.join(work, f"{kind}.gguf")
    subprocess.run([quantize(), "--allow-requantize", source, path, kind], check=True,
                   capture_output=True)  # fmt: skip
    return path


def output(opt, *argv):
    env = dict(os.environ)
    if not opt.wall:
        env["LD_PRELOAD"] = os.path.join(os.path.dirname(opt.bin), "tests/libcpu_clock.so")
    return subprocess.run(list(map(str, argv)), check=True, env=env, capture_output=True).stdout


def our_turn(opt, path, prompt, tokens):
    program = os.path.join(opt.bin, "bench_pass")
    return tuple(map(float, output(opt, program, path, prompt, tokens, opt.threads).split()))


def their_turn(opt, tool, path, prompt, tokens):
    done = json.loads(output(opt, tool, "-m", path, "-p", prompt, "-n", tokens, "-t", opt.threads,
                             "-r", 1, "-o", "json"))  # fmt: skip
    speeds = {bool(row["n_prompt"]): row["avg_ts"] for row in done}
    return speeds[True], speeds[False]


def compare(opt, name, kind, tool, work):
    source, prompt, tokens = MODELS[name]
    path = convert(source, kind, work)
    ours, theirs = [], []
    for _ in range(opt.turns):
        ours.append(our_turn(opt, path, prompt, tokens))
        theirs.append(their_turn(opt, tool, path, prompt, tokens))
    os.remove(path)
    for column, what in enumerate(("prompt", "generation")):
        a, b = [turn[column] for turn in ours], [turn[column] for turn in theirs]
        yield (name, kind, what, max(a), max(b), max(a) / max(b),
               statistics.median(a) / statistics.median(b))  # fmt: skip


def row_text(row):
    goal = GOALS[row[2]]
    met = "met" if row[5] >= goal else "MISSED"
    return (f"| {row[0]} | {row[1]} | {row[2]} | {row[3]:.1f} | {row[4]:.1f} | {row[5]:.2f} "
            f"| {row[6]:.2f} | {goal}: {met} |")  # fmt: skip


def write(text):
    with open(RESULT, "w", encoding="utf-8") as out:
        out.write(text)


def merged(text):
    """What the file says, with the rows of this run."""
    with open(RESULT, encoding="utf-8") as stream:
        old = stream.read()
    again = []
    for row in text.split("\n"):
        key = row.split(" | ")[:3]
        if row.startswith("| ") and key[2] in GOALS:
            old = "\n".join(row if line.split(" | ")[:3] == key else line
                            for line in old.split("\n"))
            again.append(" ".join(key).strip("| "))
    return f"{old}\nIn a later run ({machine()}): {', '.join(again)}.\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/release/bin"))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--wall", action="store_true", help="time on the wall, not of the CPU")
    parser.add_argument("--threads", type=int, default=1, help="with --wall")
    parser.add_argument("--model", choices=sorted(MODELS), help="only this one")
    parser.add_argument("--type", choices=TYPES, help="only this one")
    parser.add_argument("--avx512", action="store_true", help="let llama.cpp use AVX-512")
    parser.add_argument("--md", action="store_true", help="write docs/results/speed.md")
    opt = parser.parse_args()
    if opt.threads != 1 and not opt.wall:
        sys.exit("bench_speed.py: --threads needs --wall")
    names = [opt.model] if opt.model else [n for n in MODELS if os.path.exists(MODELS[n][0])]
    kind = "avx512" if opt.avx512 else "avx2"
    tool = llama_bench(kind)
    text = HEAD.format(version=setup_says("LLAMA_VERSION")[0], machine=machine(),
                       kind="AVX-512 and VNNI" if opt.avx512 else "AVX2, FMA and F16C",
                       threads=opt.threads, turns=opt.turns,
                       clock="the clock on the wall" if opt.wall else "CPU time",
                       prompts=" and ".join(str(MODELS[name][1]) for name in names),
                       tokens=" and ".join(str(MODELS[name][2]) for name in names))  # fmt: skip
    print(text, end="")
    with tempfile.TemporaryDirectory() as work:
        for name in names:
            for which in [opt.type] if opt.type else TYPES:
                for row in compare(opt, name, which, tool, work):
                    text += row_text(row) + "\n"
                    print(row_text(row), flush=True)
    if opt.md:
        write(text + TAIL if names == list(MODELS) and not opt.type else merged(text))


if __name__ == "__main__":
    main()
