# SPDX-License-Identifier: Apache-2.0
"""Tasks as `tmill eval` scores them beside a second implementation: the wording and the rules of
lm-evaluation-harness written down again here, Hugging Face's tokenizers, and a forward pass in
numpy's doubles.

usage: judge_tasks.py TMILL
"""
import json
import math
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TMILL = sys.argv[1]
SEED = int(os.environ.get("TMILL_SEED", "20261125"))
LAYERS, DIM, HEADS, KV, HEAD, HIDDEN, EPS, BASE = 2, 64, 4, 2, 16, 96, 1e-5, 10000.0
CONTEXT = 512
MINI = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                    "../../node/quality/data/mini_tasks.jsonl")


# ---- a model ----

def make_model(folder, rng, mini):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator([item["prompt"] for item in mini], trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False))
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    vocab = (tokenizer.get_vocab_size() + 7) // 8 * 8

    def matrix(rows, cols):
        return (rng.standard_normal((rows, cols)) / np.sqrt(cols) * 1.5).astype(np.float32)

    def norm():
        return (1 + 0.2 * rng.standard_normal(DIM)).astype(np.float32)

    w = {"model.embed_tokens.weight": matrix(vocab, DIM), "model.norm.weight": norm(),
         "lm_head.weight": matrix(vocab, DIM)}
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        for name, rows, cols in (("self_attn.q_proj", HEADS * HEAD, DIM),
                                 ("self_attn.k_proj", KV * HEAD, DIM),
                                 ("self_attn.v_proj", KV * HEAD, DIM),
                                 ("self_attn.o_proj", DIM, HEADS * HEAD),
                                 ("mlp.gate_proj", HIDDEN, DIM), ("mlp.up_proj", HIDDEN, DIM),
                                 ("mlp.down_proj", DIM, HIDDEN)):
            w[f"{p}{name}.weight"] = matrix(rows, cols)
        w[p + "input_layernorm.weight"] = norm()
        w[p + "post_attention_layernorm.weight"] = norm()
    save_file(w, os.path.join(folder, "model.safetensors"))
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as f:
        json.dump({"model_type": "llama", "num_hidden_layers": LAYERS, "hidden_size": DIM,
                   "intermediate_size": HIDDEN, "num_attention_heads": HEADS,
                   "num_key_value_heads": KV, "head_dim": HEAD, "rms_norm_eps": EPS,
                   "vocab_size": vocab, "rope_theta": BASE,
                   "max_position_embeddings": CONTEXT}, f)
    return tokenizer, {name: value.astype(np.float64) for name, value in w.items()}


def rms(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * weight


def rotate(x):
    """x[positions, heads, HEAD], halves of a head turned against each other."""
    angles = np.outer(np.arange(len(x)), BASE ** (-np.arange(0, HEAD, 2) / HEAD))[:, None, :]
    a, b = x[..., :HEAD // 2], x[..., HEAD // 2:]
    return np.concatenate([a * np.cos(angles) - b * np.sin(angles),
                           b * np.cos(angles) + a * np.sin(angles)], -1)


def log_probabilities(w, ids):
    x, n = w["model.embed_tokens.weight"][ids], len(ids)
    mask = np.triu(np.full((n, n), -np.inf), 1)
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        h = rms(x, w[p + "input_layernorm.weight"])
        q, k, v = ((h @ w[f"{p}self_attn.{name}_proj.weight"].T).reshape(n, -1, HEAD)
                   for name in "qkv")
        q, k = rotate(q), rotate(k)
        k, v = (np.repeat(part, HEADS // KV, axis=1) for part in (k, v))
        scores = np.einsum("ihd,jhd->hij", q, k) / math.sqrt(HEAD) + mask
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        out = np.einsum("hij,jhd->ihd", scores, v).reshape(n, -1)
        x = x + out @ w[p + "self_attn.o_proj.weight"].T
        h = rms(x, w[p + "post_attention_layernorm.weight"])
        gate = h @ w[p + "mlp.gate_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w[p + "mlp.up_proj.weight"].T)) \
            @ w[p + "mlp.down_proj.weight"].T
    logits = rms(x, w["model.norm.weight"]) @ w["lm_head.weight"].T
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


# ---- the tasks, as the harness words them ----

def clean(text):
    text = text.strip().replace(" [title]", ". ")
    return re.sub("\\[.*?\\]", "", text).replace("  ", " ")


def docs_of(name, lines):
    """(prompt, choices, index of the right one) of each line."""
    for doc in lines:
        if name == "mini":
            yield doc["prompt"], [" " + c for c in doc["choices"]], doc["answer_idx"]
        elif name == "arc":
            yield (f"Question: {doc['question']}\nAnswer:", [" " + c for c in doc["choices"]],
                   doc["answer_idx"])
        elif name == "piqa":
            yield (f"Question: {doc['goal']}\nAnswer:", [" " + doc["sol1"], " " + doc["sol2"]],
                   doc["label"])
        elif name == "hellaswag":
            context = doc["ctx_a"] + " " + doc["ctx_b"].capitalize()
            yield (clean(doc["activity_label"] + ": " + context),
                   [" " + clean(ending) for ending in doc["endings"]], int(doc["label"]))
        else:
            prompt, word = doc["text"].rsplit(" ", 1)
            yield prompt, [" " + word], 0


class Score:
    def __init__(self, tokenizer, weights, prompt, choice):
        whole = tokenizer.encode(prompt + choice).ids
        first = len(tokenizer.encode(prompt).ids)
        rows = log_probabilities(weights, whole)[first - 1:-1]
        self.tokens = len(whole) - first
        self.sum = rows[np.arange(self.tokens), whole[first:]].sum()
        self.greedy = bool((rows.argmax(-1) == whole[first:]).all())
        self.by_byte = self.sum / (len(choice.encode()) - 1)


def judge(tokenizer, weights, name, lines):
    right = by_byte = count = tokens = 0
    nll = 0.0
    for prompt, choices, answer in docs_of(name, lines):
        scores = [Score(tokenizer, weights, prompt, choice) for choice in choices]
        if name == "lambada":
            right += scores[0].greedy
            nll -= scores[0].sum
            tokens += scores[0].tokens
        else:
            right += max(range(len(scores)), key=lambda i: scores[i].sum) == answer
            by_byte += max(range(len(scores)), key=lambda i: scores[i].by_byte) == answer
        count += 1
    found = {"items": count, "accuracy": right / count}
    if name == "lambada":
        found["perplexity"] = math.exp(nll / tokens)
    else:
        found["by_byte"] = by_byte / count
    return found


def make_lines(rng, mini):
    """Files of every form, of the words of the built-in questions."""
    words = sorted({word for item in mini for word in item["prompt"].split()})

    def some(low, high):
        return " ".join(rng.choice(words, rng.integers(low, high)))

    def label(count):
        return int(rng.integers(count))

    return {
        "arc": [{"question": some(3, 20) + "?", "choices": [some(1, 6) for _ in range(4)],
                 "answer_idx": label(4)} for _ in range(40)],
        "piqa": [{"goal": some(3, 15), "sol1": some(3, 9), "sol2": some(3, 9), "label": label(2)}
                 for _ in range(40)],
        "hellaswag": [{"activity_label": some(1, 3), "ctx_a": some(4, 9) + " [step] " + some(2, 5)
                       + " [title] " + some(2, 4), "ctx_b": some(1, 4),
                       "endings": [some(2, 8) + rng.choice(["", " [substeps] ."])
                                   for _ in range(4)], "label": str(label(4))}
                      for _ in range(40)],
        "lambada": [{"text": some(6, 30)} for _ in range(40)],
    }


def main():
    rng = np.random.default_rng(SEED)
    wrong = 0
    print(f"TMILL_SEED={SEED}")
    with open(MINI, encoding="utf-8") as f:
        mini = [json.loads(line) for line in f]
    with tempfile.TemporaryDirectory(prefix="tmill-judge-") as folder:
        model = os.path.join(folder, "model")
        os.mkdir(model)
        tokenizer, weights = make_model(model, rng, mini)
        tasks = {"mini": mini, **make_lines(rng, mini)}
        specs = ["mini"]
        for name, lines in tasks.items():
            if name != "mini":
                path = os.path.join(folder, name + ".jsonl")
                with open(path, "w", encoding="utf-8") as f:
                    f.writelines(json.dumps(line) + "\n" for line in lines)
                specs.append(f"{name}={path}")
        done = subprocess.run([TMILL, "eval", model, "--tasks", ",".join(specs), "-n", "512",
                               "--json", "-q"], capture_output=True, check=False)
        if done.returncode != 0:
            sys.exit(f"tmill eval: exit {done.returncode}: {done.stderr.decode()}")
        ours = {task["task"]: task for task in json.loads(done.stdout)["data"]["tasks"]}
        for name, lines in tasks.items():
            theirs = judge(tokenizer, weights, name, lines)
            good = all(math.isclose(ours[name][key], value, rel_tol=1e-5)
                       for key, value in theirs.items())
            print(f"{'ok  ' if good else 'BAD '} {name}: {theirs}"
                  + ("" if good else f"; ours {ours[name]}"))
            wrong += not good
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
