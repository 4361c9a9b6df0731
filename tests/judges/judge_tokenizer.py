# SPDX-License-Identifier: Apache-2.0
"""Python's tokenizers and sentencepiece say whether our tokenizers give the same ids and bytes.

usage: judge_tokenizer.py TOKENIZE_LINES [TOKENIZER.json|TOKENIZER.model ...]

Without files it trains small tokenizers with the settings of the families that matter (GPT-2,
Llama-3, Qwen2, SmolLM2, Gemma, Llama-2, T5): their patterns, normalisers, fallbacks and decoders
are the real ones, the vocabularies are small. With files it judges those. TMILL_LINES sets the
number of lines, TMILL_SEED their seed.
"""
import glob
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata

import sentencepiece
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

LINES = int(os.environ.get("TMILL_LINES", "20000"))
SEED = int(os.environ.get("TMILL_SEED", "1"))
MARK = "\u2581"
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")

# Ranges of code points: Latin, Greek to Armenian, Hebrew, Arabic, Indic, kana, Han, Hangul, emoji,
# signs, controls, combining marks, full width.
RANGES = [(0x20, 0x7f), (0xa0, 0x250), (0x370, 0x590), (0x5d0, 0x5eb), (0x620, 0x670),
          (0x900, 0x980), (0x3040, 0x3100), (0x4e00, 0x9000), (0xac00, 0xd7a0),
          (0x1f300, 0x1f650), (0x2000, 0x2070), (0x2100, 0x2200), (0x0, 0x20), (0x300, 0x360),
          (0x1e00, 0x2000), (0xff00, 0xffef), (0xfb00, 0xfb07)]
BITS = [" ", "  ", "    ", "\n", "\r\n", "\t", "'s", "'LL", "<s>", "</s>", "<|end|>", "<sep>",
        "<0x0A>", "1234567", "3.14", MARK, "\u0130", "\u017f", "\ufffd"]


def same_in_all_versions(char):
    """Unicode 3.2 knew its combining class already: judges with older tables order marks alike."""
    return (unicodedata.combining(char) == 0 or
            unicodedata.ucd_3_2_0.combining(char) == unicodedata.combining(char))


def random_line(rng):
    if rng.random() < 0.2:  # what is no UTF-8
        return bytes(rng.randrange(256) for _ in range(rng.randrange(40)))
    text = ""
    while rng.random() < 0.92:
        low, high = rng.choice(RANGES)
        text += "".join(chr(rng.randrange(low, high)) for _ in range(rng.randrange(1, 6)))
        if rng.random() < 0.35:
            text += rng.choice(BITS)
    return "".join(c for c in text if same_in_all_versions(c)).encode()


def found_lines(rng, count):
    """Prose, code and other languages from what is on the machine, in a fixed order."""
    shared = os.environ.get("TMILL_SHARED", "../shared")
    paths = sorted(glob.glob("docs/**/*.md", recursive=True)) + sorted(glob.glob("*/*.c"))
    paths += sorted(glob.glob("/usr/share/i18n/locales/*_*"))
    paths += sorted(glob.glob(os.path.join(os.path.dirname(os.__file__), "*.py")))
    paths += sorted(glob.glob(os.path.join(shared, "data/text/*/*.*")))
    lines = []
    for path in paths:
        with open(path, "rb") as file:
            lines += file.read(200000).split(b"\n")
    rng.shuffle(lines)
    return lines[:count]


def make_lines():
    rng = random.Random(SEED)
    found = found_lines(rng, LINES * 2 // 3)
    made = [random_line(rng) for _ in range(LINES - len(found))]
    joined = [b"\n".join(found[i:i + 3]) for i in range(0, len(found), 97)]
    return found + made + joined


# ---- the families -------------------------------------------------------------------------------

def byte_level(pattern, normalizer=None, digits=False, **bpe):
    steps = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    if pattern is not None:
        steps.append(pre_tokenizers.Split(Regex(pattern), "isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None))
    t = Tokenizer(models.BPE(**bpe))
    t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Sequence(steps)
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=3000, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=["<|end|>", "<s>"])
    return t, trainer


def metaspace_bpe(normalizer, pre_tokenizer, strip):
    t = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizer
    steps = [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()]
    t.decoder = decoders.Sequence(steps + ([decoders.Strip(" ", 1, 0)] if strip else []))
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=3000, show_progress=False, special_tokens=names,
                                  max_token_length=16)
    return t, trainer


def unigram():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(),
                                         normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=2000, show_progress=False, unk_token="<unk>",
                                      special_tokens=["<unk>", "<s>", "</s>"])
    return t, trainer


def families():
    to_mark = normalizers.Replace(" ", MARK)
    return {
        "gpt2": byte_level(None),
        "llama3": byte_level(LLAMA3, ignore_merges=True),
        "qwen2": byte_level(QWEN2, normalizers.NFC()),
        "smollm2": byte_level(None, digits=True),
        "llama2": metaspace_bpe(normalizers.Sequence([normalizers.Prepend(MARK), to_mark]), None,
                                True),
        "gemma": metaspace_bpe(to_mark, pre_tokenizers.Split(" ", "merged_with_previous"), False),
        "t5": unigram(),
    }


def train_families(folder, lines):
    texts = [line.decode("utf-8", "replace") for line in lines[:LINES // 3]]
    for name, (tokenizer, trainer) in families().items():
        tokenizer.train_from_iterator(texts, trainer)
        tokenizer.add_tokens([AddedToken("<sep>", lstrip=True), AddedToken("word", single_word=True,
                                                                normalized=False),
                              AddedToken("<raw>", normalized=False, rstrip=True)])
        if tokenizer.token_to_id("<s>") is not None:
            tokenizer.post_processor = processors.TemplateProcessing(
                single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
        path = os.path.join(folder, name + ".json")
        tokenizer.save(path)
        yield path


def train_sentencepiece(folder, lines):
    text = os.path.join(folder, "train.txt")
    with open(text, "wb") as file:
        file.write(b"\n".join(lines[:LINES // 3]).decode("utf-8", "ignore").encode())
    for kind, rules, fallback in [("bpe", "identity", True), ("unigram", "nmt_nfkc", True),
                                  ("unigram", "nmt_nfkc_cf", False)]:
        prefix = os.path.join(folder, f"spm_{kind}_{rules}")
        sentencepiece.SentencePieceTrainer.train(
            input=text, model_prefix=prefix, vocab_size=1500, model_type=kind, minloglevel=2,
            byte_fallback=fallback, normalization_rule_name=rules, character_coverage=0.99,
            user_defined_symbols=["<sep>"], input_sentence_size=8000, num_threads=1)
        yield prefix + ".model"


# ---- judging ------------------------------------------------------------------------------------

def ours(program, path, lines, frame):
    data = b"".join(struct.pack("<I", len(line)) + line for line in lines)
    run = subprocess.run([program, path] + (["frame"] if frame else []), input=data,
                         stdout=subprocess.PIPE, check=True)
    at = 0
    for _ in lines:
        (count,) = struct.unpack_from("<I", run.stdout, at)
        ids = list(struct.unpack_from(f"<{count}I", run.stdout, at + 4))
        at += 4 + 4 * count
        (size,) = struct.unpack_from("<I", run.stdout, at)
        yield ids, run.stdout[at + 4:at + 4 + size]
        at += 4 + size


class JsonJudge:
    def __init__(self, path):
        self.tokenizer = Tokenizer.from_file(path)
        with open(path, encoding="utf-8") as file:
            model = json.load(file)["model"]
        self.scores = [score for _, score in model["vocab"]] if model["type"] == "Unigram" else None

    def answers(self, texts):
        for encoding in self.tokenizer.encode_batch(texts):
            yield encoding.ids, self.tokenizer.decode(encoding.ids)


class SentencePieceJudge:
    def __init__(self, path):
        self.model = sentencepiece.SentencePieceProcessor(model_file=path)
        self.scores = None
        if "unigram" in path:
            self.scores = [self.model.get_score(i) for i in range(self.model.get_piece_size())]

    def answers(self, texts):
        for text in texts:
            ids = self.model.encode(text)
            yield ids, self.model.decode(ids)


def equally_good(scores, ids, others):
    """Two cuts of a unigram model whose exact sums are the same up to the rounding of the last
    bits: which one is taken hangs on the order of additions, and the parser of the scores."""
    if scores is None or sorted(ids) == sorted(others):
        return scores is not None
    a = math.fsum(scores[i] for i in ids if i < len(scores))
    b = math.fsum(scores[i] for i in others if i < len(scores))
    return abs(a - b) <= 1e-6 * abs(a)


def compare(program, path, lines):
    is_json = path.endswith(".json")
    texts = [line.decode("utf-8", "replace") for line in lines]
    if not is_json:  # SentencePiece reads no control tokens in a text; we are asked to
        keep = [i for i, text in enumerate(texts) if "<s>" not in text and "</s>" not in text]
        lines, texts = [lines[i] for i in keep], [texts[i] for i in keep]
    judge = (JsonJudge if is_json else SentencePieceJudge)(path)
    wrong = ties = 0
    for text, (our_ids, our_bytes), (ids, decoded) in zip(
            texts, ours(program, path, lines, frame=is_json), judge.answers(texts)):
        same_bytes = our_bytes.decode("utf-8", "replace") == decoded
        if our_ids != ids and same_bytes and equally_good(judge.scores, our_ids, ids):
            ties += 1
        elif our_ids != ids or not same_bytes:
            wrong += 1
            if wrong <= 3:
                print(f"{os.path.basename(path)}: {text[:80]!r}\n  ours   {our_ids[:24]}\n"
                      f"  theirs {ids[:24]}\n  {our_bytes[:80]!r} / {decoded[:80]!r}")
    print(f"{os.path.basename(path)}: {len(lines)} lines, {sum(map(len, lines))} bytes, "
          f"{wrong} differ, {ties} equally good")
    return wrong + (ties if ties * 1000 > len(lines) else 0)


def main():
    program, paths = sys.argv[1], sys.argv[2:]
    lines = make_lines()
    print(f"seed {SEED}")
    with tempfile.TemporaryDirectory() as folder:
        if not paths:
            paths = list(train_families(folder, lines)) + list(train_sentencepiece(folder, lines))
        wrong = sum(compare(program, path, lines) for path in paths)
    return 1 if wrong > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
