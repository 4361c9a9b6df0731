# SPDX-License-Identifier: Apache-2.0
"""Calibration of SmolLM2-135M: tokens a second, what of it is the forward pass, and memory.

    python3 tests/bench/bench_calibrate.py [--bin DIR] [--windows N] [--turns N] [--md]

A run over two windows and one over N more, with one thread: what the N more take is the cost of a
token, the rest is fixed (reading, hashing, the pilot, packing the file). Beside it `tmill eval` of
as many windows, which is the forward pass with logits. Times are of the CPU, for others use the
machine; the least of the turns counts. --md writes docs/results/calibration.md."""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
os.chdir(ROOT)
from bench import machine, model_path  # noqa: E402

CONTEXT, FEW = 512, 2


class Bench:
    def __init__(self, opt, work):
        self.opt, self.work = opt, work
        self.model = model_path()

    def run(self, *words):
        """CPU seconds and what --json says."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([os.path.join(self.opt.bin, "tmill"), *words, "--threads", "1", "-q",
                               "--json"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{words}: {done.stderr}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return seconds, json.loads(done.stdout)["data"]

    def calibrate(self, windows):
        out = os.path.join(self.work, "out.tmcal")
        seconds, data = self.run("calibrate", self.model, "--windows", f"0..{windows}", "-o", out)
        data["file_bytes"] = os.path.getsize(out)
        return seconds, data

    def eval(self, windows):
        return self.run("eval", self.model, "-c", str(CONTEXT), "-n", str(windows * CONTEXT),
                        "--text", "node/common/data/calibration_text.txt")

    def least(self, what, windows):
        return min((what(windows) for _ in range(self.opt.turns)), key=lambda pair: pair[0])


def collect(bench, more):
    few, _ = bench.least(bench.calibrate, FEW)
    many, data = bench.least(bench.calibrate, FEW + more)
    eval_few, _ = bench.least(bench.eval, FEW)
    eval_many, _ = bench.least(bench.eval, FEW + more)
    tokens = more * CONTEXT
    return {"token_ms": 1000 * (many - few) / tokens, "forward_ms": 1000 * (eval_many - eval_few)
            / tokens, "fixed_s": many - (FEW + more) * CONTEXT * (many - few) / tokens,
            "peak": data["peak_memory_bytes"], "bound": data["memory_bound_bytes"],
            "file": data["file_bytes"]}


def table(r):
    mib = 1 << 20
    return "\n".join([
        "| what | figure |", "|---|---|",
        f"| calibration, one core | {1000 / r['token_ms']:.0f} tokens/s "
        f"({r['token_ms']:.2f} ms of CPU a token) |",
        f"| `tmill eval` of the same windows (the pass, with logits), one core | "
        f"{1000 / r['forward_ms']:.0f} tokens/s ({r['forward_ms']:.2f} ms) |",
        f"| fixed: reading, hashing, four windows of pilot, packing and writing | "
        f"{r['fixed_s']:.1f} s of CPU |",
        f"| peak memory | {r['peak'] / mib:.0f} MiB (bound printed before: "
        f"{r['bound'] / mib:.0f} MiB, {'kept' if r['peak'] <= r['bound'] else 'NOT KEPT'}) |",
        f"| file | {r['file'] / mib:.0f} MiB |"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--md", action="store_true")
    opt = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        lines = table(collect(Bench(opt, work), opt.windows))
    text = ("# Calibration\n\nPrinted by `python3 tests/bench/bench_calibrate.py`. Machine: "
            f"{machine()}. Model: {os.path.basename(model_path())}, windows of {CONTEXT} tokens of "
            f"the built-in text.\n\n{lines}\n")
    print(text, end="")
    if opt.md:
        with open("docs/results/calibration.md", "w", encoding="utf-8") as stream:
            stream.write(text)


if __name__ == "__main__":
    main()
