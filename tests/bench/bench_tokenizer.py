# SPDX-License-Identifier: Apache-2.0
"""Tokenizers against Python's tokenizers and sentencepiece, in one run, on one core:

    python3 tests/bench/bench_tokenizer.py [--bin DIR] [--turns N] [--md]

Text: ../shared/data/text where it is there, and lines of the judges (many languages, code, emoji).
Tokenizers: SmolLM2's and, where it is on the machine, Qwen2.5's vocabulary (the GGUF files; theirs
is given the same tokens, merges and pattern), and small ones that are trained on the spot with the
settings of Llama-2 (byte fallback), Gemma and T5 (unigram). Ours and theirs take turns; each turn
opens the tokenizer anew and encodes the text once, line by line, so that nobody has seen it. Theirs
is its fastest call for many lines (encode_batch_fast, without offsets), held to one thread. Times
are of the CPU, for others use the machine.
--md writes docs/results/tokenizer.md."""
import argparse
import glob
import os
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests/judges")]
os.chdir(ROOT)
import sentencepiece  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

from bench import machine  # noqa: E402
from judge_lines import make_lines  # noqa: E402
from judge_tokenizer import CACHE, gguf_family, train_families, train_sentencepiece  # noqa: E402

SHARED = os.environ.get("TMILL_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))


def make_text():
    lines = [line.decode("utf-8", "replace").replace("\n", " ") for line in make_lines(30000)]
    for path in sorted(glob.glob(os.path.join(SHARED, "data/text/*/*.*"))):
        with open(path, encoding="utf-8", errors="replace") as stream:
            lines += stream.read(1 << 20).split("\n")
    return lines


class Theirs:
    """Opens a tokenizer; encodes lines."""

    def __init__(self, path):
        self.path = path
        self.json = None
        if path.endswith(".gguf"):
            tokenizer = gguf_family(path)
            tokenizer.normalizer = None
            self.json = tokenizer.to_str()

    def open(self):
        if self.path.endswith(".model"):
            return sentencepiece.SentencePieceProcessor(model_file=self.path)
        return Tokenizer.from_str(self.json) if self.json else Tokenizer.from_file(self.path)

    def turn(self, lines):
        begin = time.process_time()
        tokenizer = self.open()
        opened = time.process_time()
        if self.path.endswith(".model"):
            ids = tokenizer.encode(lines, num_threads=1)
            encoded = time.process_time()
            tokenizer.decode(ids, num_threads=1)
        else:
            ids = [e.ids for e in tokenizer.encode_batch_fast(lines, add_special_tokens=False)]
            encoded = time.process_time()
            tokenizer.decode_batch(ids, skip_special_tokens=False)
        return opened - begin, encoded - opened, time.process_time() - encoded, sum(map(len, ids))


def our_turn(program, path, text):
    specials = [] if path.endswith(".model") else ["specials"]
    argv = [program, path, text, *specials]
    out = subprocess.run(argv, check=True, capture_output=True).stdout.split()
    return float(out[0]), float(out[1]), float(out[2]), int(out[3])


def compare(program, name, path, lines, text, turns):
    theirs = Theirs(path)
    size = os.path.getsize(text) / 1e6
    ours_all, theirs_all = [], []
    for _ in range(turns):
        ours_all.append(our_turn(program, path, text))
        theirs_all.append(theirs.turn(lines))
    rows = []
    for column, what in ((0, "open, ms"), (1, "encode, MB/s"), (2, "decode, MB/s")):
        a = statistics.median(turn[column] for turn in ours_all)
        b = statistics.median(turn[column] for turn in theirs_all)
        shown = (a * 1e3, b * 1e3) if column == 0 else (size / a, size / b)
        rows.append((name, what, *shown, b / a))
    if ours_all[0][3] != theirs_all[0][3]:
        print(f"{name}: {ours_all[0][3]} tokens, theirs {theirs_all[0][3]}", file=sys.stderr)
    return rows


def models(folder, lines):
    smol = os.environ.get("TMILL_MODEL_SMOL", os.path.join(CACHE, "models/smollm2-135m.gguf"))
    qwen = os.path.join(CACHE, "models/qwen2.5-coder-1.5b.gguf")
    yield "SmolLM2 (49,152, byte level)", smol
    if os.path.exists(qwen):
        yield "Qwen2.5 (151,936, byte level)", qwen
    raw = [line.encode() for line in lines[:7000]]
    for path in train_families(folder, raw):
        name = os.path.splitext(os.path.basename(path))[0]
        if name in ("llama3", "llama2", "gemma", "t5"):
            yield f"{name} settings (small)", path
    for path in train_sentencepiece(folder, raw):
        kind = os.path.splitext(os.path.basename(path))[0]
        if kind in ("spm_bpe_identity", "spm_unigram_nmt_nfkc"):
            yield f"sentencepiece {kind.split('_')[1]} (small)", path


HEAD = """# Tokenizers

Printed by `python3 tests/bench/bench_tokenizer.py`: ours against Python's `tokenizers` and
`sentencepiece` in one run, one thread each, CPU time, medians of the turns.

Machine: {machine}. Text: {size:.1f} MB, line by line.

| tokenizer | what | ours | theirs | ratio | goal >= 1 |
|---|---|---|---|---|---|
"""
TAIL = """
"Open" of a small tokenizer is a matter of a few milliseconds either way. Decoding goes through a
list of steps here, as tokenizer.json describes it, and through one loop in sentencepiece.
"""


def report(rows, size):
    text = HEAD.format(machine=machine(), size=size / 1e6)
    for name, what, a, b, ratio in rows:
        met = "met" if ratio >= 1 else "MISSED"
        text += f"| {name} | {what} | {a:.1f} | {b:.1f} | {ratio:.2f} | {met} |\n"
    return text + TAIL


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/release/bin"))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--md", action="store_true", help="write docs/results/tokenizer.md")
    args = parser.parse_args()
    lines, rows = make_text(), []
    with tempfile.TemporaryDirectory() as folder:
        text = os.path.join(folder, "text")
        with open(text, "w", encoding="utf-8", newline="") as stream:
            stream.write("\n".join(lines))
        size = os.path.getsize(text)
        for name, path in models(folder, lines):
            rows += compare(os.path.join(args.bin, "bench_tokenizer"), name, path, lines, text,
                            args.turns)
    result = report(rows, size)
    print(result, end="")
    if args.md:
        with open("docs/results/tokenizer.md", "w", encoding="utf-8") as stream:
            stream.write(result)


if __name__ == "__main__":
    main()
