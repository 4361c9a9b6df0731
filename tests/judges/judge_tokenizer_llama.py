# SPDX-License-Identifier: Apache-2.0
"""llama.cpp says whether we turn text into the same ids with the tokenizers of GGUF files.

usage: judge_tokenizer_llama.py TMILL

The files: the vocabularies that llama.cpp's own tests use (deploy/setup.sh keeps them beside its
tools), SmolLM2, and where they are on the machine Qwen2.5-Coder, Gemma 3 and stories260K. Both
programs read one file of TMILL_JUDGE_LINES lines (5000), with and without special tokens.

The text is repaired first, for llama.cpp reads what is no UTF-8 in its own way. Left out are
"</s>", which llama.cpp makes special by its name in files that do not (Qwen2, Gemma), and control
characters: SmolLM2 has no tokens for some, and there we do as tokenizers does, not as llama.cpp.
"""
import ast
import glob
import os
import re
import subprocess
import sys
import tempfile

from judge_lines import SEED, make_lines

LINES = int(os.environ.get("TMILL_JUDGE_LINES", "5000"))
CACHE = os.environ.get("TMILL_CACHE", os.path.join(
    os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "tensormill"))
LLAMA = os.environ.get("TMILL_LLAMA_BIN")
MODES = [([], []), (["--no-special"], ["--no-bos", "--no-parse-special"])]


def run(argv):
    result = subprocess.run(argv, capture_output=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{argv[0]}: exit {result.returncode}: {result.stderr[-300:]!r}")
    if result.stderr and b"warning" in result.stderr:
        sys.exit(f"{argv[0]}: {result.stderr!r}")
    return result.stdout


def judged_ids(tool, model, text, flags):
    out = run([tool, "-m", model, "-f", text, "--ids", "--no-escape", "--log-disable", *flags])
    return ast.literal_eval(out.decode().strip().split("\n")[-1])


def first_difference(tmill, model, ours, theirs):
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b),
              min(len(ours), len(theirs)))
    shown = []
    for ids in (ours[max(0, at - 8):at], ours[at:at + 8], theirs[at:at + 8]):
        result = subprocess.run([tmill, "tokenize", model, "--decode"], check=True,
                                input=" ".join(map(str, ids)).encode(), capture_output=True)
        shown.append(f"{ids} {result.stdout!r}")
    return f"token {at}, after {shown[0]}\n  ours   {shown[1]}\n  theirs {shown[2]}"


def compare(tmill, tool, model, text):
    wrong = 0
    for ours, theirs in MODES:
        a = list(map(int, run([tmill, "tokenize", model, text, *ours]).split()))
        b = judged_ids(tool, model, text, theirs)
        what = f"{os.path.basename(model)}{' without special tokens' if ours else ''}"
        print(f"{what}: {len(a)} tokens, {'the same' if a == b else 'not the same'}", flush=True)
        if a != b:
            wrong += 1
            print("  " + first_difference(tmill, model, a, b))
    return wrong


def models(home):
    smol = os.environ.get("TMILL_MODEL_SMOL", os.path.join(CACHE, "models/smollm2-135m.gguf"))
    shared = os.environ.get("TMILL_SHARED", "../shared")
    found = sorted(glob.glob(os.path.join(home, "vocabs/*.gguf")))
    if not found:
        sys.exit(f"no vocabularies in {home}/vocabs; run deploy/setup.sh")
    more = [os.path.join(CACHE, "models/qwen2.5-coder-1.5b.gguf"),
            os.path.join(CACHE, "models/gemma3-270m.gguf"),
            os.path.join(shared, "data/stories260K/stories260Ktok512.gguf")]
    return found + [smol] + [path for path in more if os.path.exists(path)]


def main():
    tmill = sys.argv[1]
    bins = [LLAMA] if LLAMA else sorted(glob.glob(os.path.join(CACHE, "llama-*/bin")))
    tool = os.path.join(bins[-1], "llama-tokenize") if bins else "llama-tokenize"
    if not os.path.exists(tool):
        sys.exit(f"{tool} is missing; run deploy/setup.sh")
    lines = [re.sub("</s>|[\0-\x08\x0b-\x1f]", "", line.decode("utf-8", "replace"))
             for line in make_lines(LINES)]
    print(f"seed {SEED}, {LINES} lines", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        text = os.path.join(folder, "text")
        with open(text, "wb") as stream:
            stream.write("\n".join(lines).encode())
        wrong = sum(compare(tmill, tool, model, text)
                    for model in models(os.path.dirname(os.path.dirname(tool))))
    return 1 if wrong > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
