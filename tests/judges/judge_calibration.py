# SPDX-License-Identifier: Apache-2.0
"""Calibration beside numpy: a forward pass in float64, written here, of small random models in two
dialects, and from it every sum, sink, exponent and slope of a .tmcal, whose reader was written from
the documentation alone (tmcal_reader.py)."""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../whole"))
from makers import Tensor, bpe_tokenizer, config, hf_folder, hf_tensors, llama_gguf
from makers import weights as random_values
from tmcal_reader import NAMES, WHOLE, Calibration

TMILL = sys.argv[1]
CONTEXT, BOS = 48, 1
WORDS = "the quick brown fox jumps over the lazy dog and runs away from a big wolf in the snow"
CHECKED = {"values": 0, "sinks": 0, "exponents": 0}


def run(*words):
    done = subprocess.run([TMILL, *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{words} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def rotate(x, base, interleaved):
    """x: [token][head][element]."""
    half = x.shape[-1] // 2
    angle = np.arange(len(x))[:, None, None] * base ** (-np.arange(half) / half)
    cos, sin = np.cos(angle), np.sin(angle)
    out = np.empty_like(x)
    a, b = (x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., :half], x[..., half:])
    if interleaved:
        out[..., 0::2], out[..., 1::2] = a * cos - b * sin, a * sin + b * cos
    else:
        out[..., :half], out[..., half:] = a * cos - b * sin, a * sin + b * cos
    return out


class Model:
    """weights: by the short names below, as [rows][columns] float64."""

    def __init__(self, weights, layers, heads, kv_heads, eps, base, interleaved):
        self.w, self.layers, self.heads, self.kv_heads = weights, layers, heads, kv_heads
        self.eps, self.base, self.interleaved = eps, base, interleaved

    def matrix(self, layer, name):
        return self.w[f"{layer}.{name}"]

    def attention_slopes(self, layer, q, k, v, t):
        """Roots of the squared derivatives at position t, by the formulas of the softmax."""
        head, each = q.shape[-1], self.heads // self.kv_heads
        out = self.matrix(layer, "o")
        by_query, by_key = np.zeros((self.heads, head)), np.zeros((self.kv_heads, head))
        for h in range(self.heads):
            keys, values = k[:t + 1, h // each], v[:t + 1, h // each]
            part = out[:, h * head:(h + 1) * head]
            s = keys @ q[t, h] / np.sqrt(head)
            a = np.exp(s - s.max())
            a /= a.sum()
            jacobian = part @ values.T @ (np.diag(a) - np.outer(a, a)) @ keys / np.sqrt(head)
            by_query[h] = (jacobian ** 2).sum(0)
            moved = part @ (values - a @ values).T * a  # [dim][position]
            by_key[h // each] += (moved ** 2).sum() * q[t, h] ** 2 / head
        return np.sqrt(by_query).ravel(), np.sqrt(by_key).ravel()

    def window(self, ids):
        """For each layer {input: (vectors, mean squares of the stream behind them)}."""
        x, seen = self.w["embedding"][ids], []
        count = len(ids)
        mask = np.triu(np.full((count, count), -np.inf), 1)
        for i in range(self.layers):
            h = norm(x, self.matrix(i, "attention_norm"), self.eps)
            q, k, v = (h @ self.matrix(i, n).T + self.w.get(f"{i}.{n}_bias", 0.0) for n in "qkv")
            head = q.shape[1] // self.heads
            raw_v = v
            q = rotate(q.reshape(count, self.heads, head), self.base, self.interleaved)
            k = rotate(k.reshape(count, self.kv_heads, head), self.base, self.interleaved)
            v = v.reshape(count, self.kv_heads, head)
            attended = np.empty((count, self.heads, head))
            for j in range(self.heads):
                s = q[:, j] @ k[:, j * self.kv_heads // self.heads].T / np.sqrt(head) + mask
                a = np.exp(s - s.max(1, keepdims=True))
                attended[:, j] = a / a.sum(1, keepdims=True) @ v[:, j * self.kv_heads // self.heads]
            attended = attended.reshape(count, -1)
            x = x + attended @ self.matrix(i, "o").T
            square = (x * x).mean(1)
            positions = [(2 * n + 1) * count // 8 for n in range(4)]
            positions = [p for p in positions if square[p] <= 64 * lower_median(square)]
            slopes = [self.attention_slopes(i, q, k, v, p) for p in positions]
            layer = {"attention_in": (h, square), "attended": (attended, square),
                     "value": (raw_v, square),
                     "query_slope": (np.array([s[0] for s in slopes]), square[positions]),
                     "key_slope": (np.array([s[1] for s in slopes]), square[positions])}
            h = norm(x, self.matrix(i, "gate_norm"), self.eps)
            gate, up = h @ self.matrix(i, "gate").T, h @ self.matrix(i, "up").T
            sigmoid = 1 / (1 + np.exp(-gate))
            x = x + (gate * sigmoid * up) @ self.matrix(i, "down").T
            square = (x * x).mean(1)
            layer.update({"gate_in": (h, square), "down_in": (gate * sigmoid * up, square),
                          "gate_slope": (sigmoid * (1 + gate * (1 - sigmoid)) * up, square),
                          "up_slope": (gate * sigmoid, square)})
            seen.append(layer)
        return seen


def lower_median(values):
    return np.sort(values)[(len(values) - 1) // 2]


def split(name, vectors, square):
    """Weighted vectors of ordinary tokens, and the positions and vectors of sinks."""
    y = vectors / np.sqrt(square)[:, None]
    if name.endswith("_slope") and name[0] in "qk":
        return y, []
    sink = square > 64 * lower_median(square)
    return y[~sink], [(t, y[t]) for t in np.flatnonzero(sink)]


def check_exponents(what, got, pilot):
    most = np.abs(np.concatenate(pilot)).max(0)
    loud = np.maximum(most, lower_median(most) if lower_median(most) > 0 else most.max())
    scaled = loud * 2.0 ** got.astype(float)
    if not np.all((scaled < 4096 * 1.0001) & (scaled > 2048 * 0.9999)):
        sys.exit(f"{what}: exponents {got} for {loud}")
    CHECKED["exponents"] += len(got)


def check_sums(what, one, which, rows):
    """Rounding moves a value by half a step, and float32 the rest."""
    want = (rows.T @ rows if one.sums[which].ndim == 2 else (rows ** 2).sum(0)) if len(rows) else 0
    got, step = one.real(which), np.ldexp(1.0, -one.exponents.astype(int))
    if one.sums[which].ndim == 2:
        block = np.arange(one.cols) // one.width
        want = np.where(block[:, None] == block[None, :], want, 0.0)
        size = np.abs(rows).sum(0)
        bound = 0.5 * (np.outer(step, size) + np.outer(size, step))
        bound += len(rows) * np.outer(step, step)
        scale = np.sqrt(np.outer(np.diag(want), np.diag(want))) if len(rows) else 0
    else:
        bound = step * np.abs(rows).sum(0) + len(rows) * step ** 2
        scale = want
    off = np.abs(got - want) - bound - 2e-4 * scale
    if not np.all(off <= 1e-7):
        sys.exit(f"{what}: off by up to {np.abs(got - want).max()} at sums of {np.abs(want).max()}")
    CHECKED["values"] += got.size


def check_sinks(what, one, sinks):
    kept = sinks[:64]
    if one.counts[0]["sinks"] != len(sinks) or [s[:2] for s in one.sinks] != [s[:2] for s in kept]:
        sys.exit(f"{what}: sinks {one.sinks}, not {[s[:2] for s in sinks]}")
    for (_, _, exponent), values, (_, _, want) in zip(one.sinks, one.sink_values, kept):
        got = values * 2.0 ** -exponent
        if not np.allclose(got, want, rtol=2e-4, atol=2.0 ** -exponent):
            sys.exit(f"{what}: a sink's vector is another")
    CHECKED["sinks"] += len(kept)


def check_layer(what, calibration, layer, windows, seen):
    for name in NAMES:
        one, where = calibration.input(layer, name), f"{what}: layer {layer}, {name}"
        parts = {w: split(name, *seen[w][layer][name]) for w in seen}
        check_exponents(where, one.exponents, [parts[w][0] for w in range(4)])
        fit = [w for w in windows if w % 8 != 7]
        held = [w for w in windows if w % 8 == 7]
        for which, members in enumerate((fit, held) if name in WHOLE else (fit,)):
            rows = np.concatenate([np.zeros((0, one.cols)), *(parts[w][0] for w in members)])
            if one.counts[which]["tokens"] != len(rows) or one.counts[which]["clipped"] != 0:
                sys.exit(f"{where}: counts {one.counts[which]}, not {len(rows)} tokens")
            check_sums(where, one, which, rows)
        check_sinks(where, one, [(w, t, y) for w in fit for t, y in parts[w][1]])


def check_file(what, path, model, ids):
    c = Calibration(path)
    windows = [w for a, b in c.ranges for w in range(a, b)]
    seen = {}
    for w in set(windows) | set(range(4)):
        part = np.array(ids[c.window_at(w):c.window_at(w) + c.context])
        if c.first_token != 2 ** 32 - 1:
            part[0] = c.first_token
        seen[w] = model.window(part)
    for layer in range(c.layer_first, c.layer_first + c.layer_count):
        check_layer(what, c, layer, windows, seen)
        if len(set(c.window_digests(layer))) != len(windows):
            sys.exit(f"{what}: windows with one digest")


# ---- the models ----

def llama(folder, loud):
    """GGUF, rotary pairs side by side; `loud`: the embedding of <s> is enormous, a sink."""
    path = os.path.join(folder, f"llama-{loud}.gguf")
    tensors = {t.name: t for t in llama_gguf(path)}
    embedding = tensors["token_embd.weight"]
    if loud:
        with open(path, "rb") as stream:
            data = stream.read()
        changed = embedding.values.copy()
        changed[BOS] *= 1024
        with open(path, "wb") as stream:
            stream.write(data.replace(embedding.raw, changed.astype("<f4").tobytes()))
        embedding.values = changed
    names = {"attn_norm": "attention_norm", "ffn_norm": "gate_norm", "attn_q": "q", "attn_k": "k",
             "attn_v": "v", "attn_output": "o", "ffn_gate": "gate", "ffn_up": "up",
             "ffn_down": "down"}
    weights = {"embedding": embedding.values.astype(float)}
    for name, t in tensors.items():
        if name.startswith("blk."):
            _, layer, short, _ = name.split(".")
            weights[f"{layer}.{names[short]}"] = t.values.astype(float)
    return path, Model(weights, 2, 4, 2, 1e-5, 10000.0, True)


def qwen2(folder):
    """A Hugging Face folder with biases, halves of a head as rotary pairs."""
    path, tensors = os.path.join(folder, "qwen2"), []
    for i, t in enumerate(hf_tensors()):
        shape = [256, 64] if t.shape[0] == 80 else t.shape
        values = random_values(i, *shape, scale=0.3)
        tensors.append(Tensor(t.name, values + 1 if len(shape) == 1 else values))
        if t.name[-13:-7] in ("q_proj", "k_proj", "v_proj"):
            tensors.append(Tensor(t.name[:-6] + "bias", random_values(i + 99, shape[0], scale=0.2)))
    hf_folder(path, tensors, model_type="qwen2", vocab_size=256)
    settings = json.loads(config())
    with open(os.path.join(path, "tokenizer.json"), "w", encoding="utf-8") as stream:
        stream.write(bpe_tokenizer([]))
    names = {"input_layernorm": "attention_norm", "post_attention_layernorm": "gate_norm",
             "self_attn.q_proj": "q", "self_attn.k_proj": "k", "self_attn.v_proj": "v",
             "self_attn.o_proj": "o", "mlp.gate_proj": "gate", "mlp.up_proj": "up",
             "mlp.down_proj": "down"}
    weights = {}
    for t in tensors:
        if t.name == "model.embed_tokens.weight":
            weights["embedding"] = t.values.astype(float)
        elif t.name.startswith("model.layers."):
            layer, rest = t.name[13:].split(".", 1)
            stem, end = rest.rsplit(".", 1)
            weights[f"{layer}.{names[stem]}" + ("_bias" if end == "bias" else "")] = \
                t.values.astype(float)
    return path, Model(weights, 2, settings["num_attention_heads"],
                       settings["num_key_value_heads"], settings["rms_norm_eps"], 10000.0, False)


def judge(what, path, model, folder, *options):
    text, out = os.path.join(folder, "text"), os.path.join(folder, "out.tmcal")
    ids = json.loads(run("tokenize", path, text, "--json"))["data"]["ids"]
    run("calibrate", path, "-t", text, "-c", str(CONTEXT), "-o", out, "-q", *options)
    check_file(what, out, model, ids)


with tempfile.TemporaryDirectory() as place:
    with open(os.path.join(place, "text"), "w", encoding="utf-8") as f:
        f.write(" ".join(np.random.default_rng(3).choice(WORDS.split(), 190)))
    for name, made in (("llama", llama(place, False)), ("a loud <s>", llama(place, True)),
                       ("qwen2", qwen2(place))):
        judge(name, *made, place)
        judge(name + ", blocks and a shard", *made, place, "--width", "32", "--windows", "5..9")
if CHECKED["sinks"] < 10:
    sys.exit("no sinks were checked")
print(f"the same within rounding: {CHECKED['values']} sums, {CHECKED['exponents']} exponents, "
      f"{CHECKED['sinks']} sinks")
