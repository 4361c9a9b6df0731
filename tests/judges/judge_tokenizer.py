# SPDX-License-Identifier: Apache-2.0
"""Python's tokenizers and sentencepiece say whether our tokenizers give the same ids and bytes.

usage: judge_tokenizer.py TOKENIZE_LINES [TOKENIZER.json|TOKENIZER.model|MODEL.gguf ...]

Without files it trains small tokenizers with the settings of the families that matter (GPT-2,
Llama-3, Qwen2, SmolLM2, Gemma, Llama-2, T5): their patterns, normalisers, fallbacks and decoders
are the real ones, the vocabularies are small. It adds the real ones that are on the machine:
SmolLM2's (setup.sh brings it), Qwen2.5's, stories260K's. With files it judges those. Of a GGUF file
the vocabulary and merges are given to tokenizers. TMILL_JUDGE_LINES sets the number of lines
(20000), TMILL_SEED their seed.

Bytes that are no UTF-8 are read as Python's errors="replace" reads them, one U+FFFD for each
maximal subpart, for that is what both judges are given. Decoded bytes must be the judge's, and of
byte-level tokenizers those of the line itself.
"""
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

import gguf
import sentencepiece
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

from judge_lines import MARK, SEED, make_lines

LINES = int(os.environ.get("TMILL_JUDGE_LINES", "20000"))
CACHE = os.environ.get("TMILL_CACHE", os.path.join(
    os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "tensormill"))
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")

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
    trainer = trainers.UnigramTrainer(vocab_size=6000, show_progress=False, unk_token="<unk>",
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
    texts = [line.decode("utf-8", "replace") for line in lines[:7000]]
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
        file.write(b"\n".join(lines[:7000]).decode("utf-8", "ignore").encode())
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


def gguf_family(path):
    """The tokenizer of a GGUF file by tokenizers: its texts and merges, the pattern of its name."""
    fields = gguf.GGUFReader(path).fields
    name = fields["tokenizer.ggml.pre"].contents()
    texts = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ", 1)) for m in fields["tokenizer.ggml.merges"].contents()]
    pattern, normalizer, digits = {"smollm": (None, None, True), "gpt-2": (None, None, False),
                                   "qwen2": (QWEN2, normalizers.NFC(), False)}[name]
    t, _ = byte_level(pattern, normalizer, digits, merges=merges,
                      vocab={text: i for i, text in enumerate(texts)})
    t.add_special_tokens([AddedToken(text, normalized=False, special=True)
                          for text, kind in zip(texts, kinds) if kind == 3])
    t.add_tokens([AddedToken(text, normalized=False)
                  for text, kind in zip(texts, kinds) if kind == 4])
    return t


class GgufJudge:
    scores = None

    def __init__(self, path):
        self.tokenizer = gguf_family(path)
        # Files of this kind name no normaliser; Qwen2's NFC is not in them, nor in llama.cpp.
        self.tokenizer.normalizer = None

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


def keeps_bytes(path, judge):
    """Nothing but added tokens that take blanks along changes a text on its way: every byte has a
    token (SmolLM2 lacks some control characters, and drops them)."""
    if path.endswith(".model") or judge.tokenizer.normalizer is not None:
        return False
    vocab = judge.tokenizer.get_vocab()
    return (isinstance(judge.tokenizer.decoder, decoders.ByteLevel) and
            all(char in vocab for char in pre_tokenizers.ByteLevel.alphabet()))


def judge_of(path):
    kinds = {".json": JsonJudge, ".model": SentencePieceJudge, ".gguf": GgufJudge}
    return kinds[os.path.splitext(path)[1]](path)


def compare(program, path, lines):
    texts = [line.decode("utf-8", "replace") for line in lines]
    if path.endswith(".model"):  # SentencePiece reads no control tokens in a text; we are asked to
        keep = [i for i, text in enumerate(texts)
                if not any(token in text for token in ("<s>", "</s>", "<unk>"))]
        lines, texts = [lines[i] for i in keep], [texts[i] for i in keep]
    judge = judge_of(path)
    exact = keeps_bytes(path, judge)
    wrong = ties = returned = 0
    for text, (our_ids, our_bytes), (ids, decoded) in zip(
            texts, ours(program, path, lines, frame=path.endswith(".json")), judge.answers(texts)):
        same_bytes = our_bytes.decode("utf-8", "replace") == decoded
        if exact and "<" not in text and "word" not in text:
            same_bytes = same_bytes and our_bytes == text.encode()
            returned += 1
        if our_ids != ids and same_bytes and equally_good(judge.scores, our_ids, ids):
            ties += 1
        elif our_ids != ids or not same_bytes:
            wrong += 1
            if wrong <= 3:
                print(f"{os.path.basename(path)}: {text[:80]!r}\n  ours   {our_ids[:24]}\n"
                      f"  theirs {ids[:24]}\n  {our_bytes[:80]!r} / {decoded[:80]!r}")
    print(f"{os.path.basename(path)}: {len(lines)} lines, {sum(map(len, lines))} bytes, "
          f"{wrong} differ, {ties} equally good, {returned} came back byte for byte", flush=True)
    return wrong + (ties if ties * 500 > len(lines) else 0)


def real_ones():
    shared = os.environ.get("TMILL_SHARED", "../shared")
    smol = os.environ.get("TMILL_MODEL_SMOL", os.path.join(CACHE, "models/smollm2-135m.gguf"))
    more = [os.path.join(CACHE, "models/qwen2.5-coder-1.5b.gguf"),
            os.path.join(shared, "data/stories260K/tok512.model")]
    return [smol] + [path for path in more if os.path.exists(path)]


def main():
    program, paths = sys.argv[1], sys.argv[2:]
    lines = make_lines(LINES)
    print(f"seed {SEED}")
    with tempfile.TemporaryDirectory() as folder:
        if not paths:
            paths = list(train_families(folder, lines)) + list(train_sentencepiece(folder, lines))
            paths += real_ones()
        wrong = sum(compare(program, path, lines) for path in paths)
    return 1 if wrong > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
