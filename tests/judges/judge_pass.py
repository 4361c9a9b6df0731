# SPDX-License-Identifier: Apache-2.0
"""The forward pass beside llama.cpp on the same weights: perplexity and KL divergence.

Small models of every architecture with random weights are made here, as GGUF for both programs and
as a Hugging Face folder for ours; SmolLM2 and stories260K are real ones."""
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGUFWriter, TokenType
from safetensors.numpy import save_file

PROGRAM = sys.argv[1]
CACHE = os.path.join(os.environ.get("TMILL_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tensormill"))
SMOLLM = os.environ.get("TMILL_MODEL_SMOL") or f"{CACHE}/models/smollm2-135m.gguf"
LLAMA = os.environ.get("TMILL_LLAMA_BIN") or sys.exit("TMILL_LLAMA_BIN is not set")
SHARED = os.environ.get("TMILL_SHARED") or os.path.join(os.getcwd(), "../shared")
KL_MAX = 1e-5
PPL_MAX = 1e-3  # of the ratio
WORDS = "the of and in to was is for as on with by at from that he his it an were".split()

# kind: heads, heads of keys, width of a head, rotary pairs interleaved in GGUF, and what it has.
ARCHS = {
    "llama": dict(heads=4, kv=2, head=16, bias=False, head_norm=False, post_norm=False, tied=False),
    "qwen2": dict(heads=6, kv=2, head=16, bias=True, head_norm=False, post_norm=False, tied=True),
    "qwen3": dict(heads=4, kv=2, head=32, bias=False, head_norm=True, post_norm=False, tied=False),
    "gemma3": dict(heads=4, kv=1, head=32, bias=False, head_norm=True, post_norm=True, tied=True),
}
LAYERS, HIDDEN, CONTEXT, WINDOW = 7, 172, 256, 64
EPS = 1e-6


def run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{words[0]} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout


def text_of(path, words, seed):
    rng = np.random.default_rng(seed)
    with open(path, "w", encoding="utf-8") as f:
        f.write(" ".join(rng.choice(WORDS, words)) + "\n")


# ---- small models ----

def weights_of(arch, rng, vocab):
    """Tensors by their Hugging Face names, rows as that library has them."""
    a = ARCHS[arch]
    dim, q, kv = a["heads"] * 16, a["heads"] * a["head"], a["kv"] * a["head"]

    def matrix(rows, cols):
        return (rng.standard_normal((rows, cols)) / np.sqrt(cols) * 1.5).astype(np.float32)

    def norm(count):
        base = 0.0 if arch == "gemma3" else 1.0
        return (base + 0.2 * rng.standard_normal(count)).astype(np.float32)

    out = {"model.embed_tokens.weight": matrix(vocab, dim), "model.norm.weight": norm(dim)}
    if not a["tied"]:
        out["lm_head.weight"] = matrix(vocab, dim)
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        for name, rows, cols in (("self_attn.q_proj", q, dim), ("self_attn.k_proj", kv, dim),
                                 ("self_attn.v_proj", kv, dim), ("self_attn.o_proj", dim, q),
                                 ("mlp.gate_proj", HIDDEN, dim), ("mlp.up_proj", HIDDEN, dim),
                                 ("mlp.down_proj", dim, HIDDEN)):
            out[f"{p}{name}.weight"] = matrix(rows, cols)
            if a["bias"] and name[10:] in ("q_proj", "k_proj", "v_proj"):
                out[f"{p}{name}.bias"] = (0.3 * rng.standard_normal(rows)).astype(np.float32)
        out[p + "input_layernorm.weight"] = norm(dim)
        out[p + "post_attention_layernorm.weight"] = norm(dim)
        if a["head_norm"]:
            out[p + "self_attn.q_norm.weight"] = norm(a["head"])
            out[p + "self_attn.k_norm.weight"] = norm(a["head"])
        if a["post_norm"]:
            out[p + "pre_feedforward_layernorm.weight"] = norm(dim)
            out[p + "post_feedforward_layernorm.weight"] = norm(dim)
    return out


GGUF_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm"}


def gguf_name(arch, name):
    if name in GGUF_NAMES:
        return GGUF_NAMES[name]
    layer, rest = re.fullmatch(r"model\.layers\.(\d+)\.(.*)", name).groups()
    stem, end = rest.rsplit(".", 1)
    known = GGUF_NAMES[stem]
    if arch == "gemma3" and stem == "post_attention_layernorm":
        known = "post_attention_norm"
    return f"blk.{layer}.{known}.{end}"


def gguf_tensor(arch, name, value):
    if arch == "gemma3" and "norm" in name:
        return value + 1
    if arch == "llama" and (".q_proj." in name or ".k_proj." in name):
        head = ARCHS[arch]["head"]  # halves of a head's rows to pairs that lie side by side
        heads = value.shape[0] // head
        return value.reshape(heads, 2, head // 2, -1).swapaxes(1, 2).reshape(value.shape)
    return value


def byte_tokens():
    """GPT-2's alphabet of bytes, in its order."""
    visible = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    hidden = [b for b in range(256) if b not in visible]
    return [chr(b) for b in visible] + [chr(256 + i) for i in range(len(hidden))]


def write_gguf(path, arch, tensors, scaling):
    a, tokens = ARCHS[arch], byte_tokens() + ["<|end|>"]
    w = GGUFWriter(path, arch)
    w.add_block_count(LAYERS)
    w.add_context_length(CONTEXT)
    w.add_embedding_length(a["heads"] * 16)
    w.add_feed_forward_length(HIDDEN)
    w.add_head_count(a["heads"])
    w.add_head_count_kv(a["kv"])
    w.add_key_length(a["head"])
    w.add_value_length(a["head"])
    w.add_layer_norm_rms_eps(EPS)
    w.add_rope_freq_base(1e6 if arch == "gemma3" else 10000.0)
    if arch == "gemma3":
        w.add_sliding_window(WINDOW)
    if scaling == "linear":
        w.add_string(f"{arch}.rope.scaling.type", "linear")
        w.add_float32(f"{arch}.rope.scaling.factor", 4.0)
    w.add_vocab_size(len(tokens))
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([TokenType.NORMAL] * 256 + [TokenType.CONTROL])
    w.add_token_merges(["\u0120 t"])
    w.add_bos_token_id(256)
    w.add_eos_token_id(256)
    w.add_add_bos_token(False)
    for name, value in tensors.items():
        w.add_tensor(gguf_name(arch, name), np.ascontiguousarray(gguf_tensor(arch, name, value)))
    if scaling == "llama3":
        w.add_tensor("rope_freqs.weight", llama3_factors(a["head"]))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}


def llama3_factors(head):
    """As the converter of llama.cpp makes them from the configuration."""
    freqs = 1.0 / (10000.0 ** (np.arange(0, head, 2, dtype=np.float64) / head))
    old, low, high = (LLAMA3["original_max_position_embeddings"], LLAMA3["low_freq_factor"],
                      LLAMA3["high_freq_factor"])
    out = []
    for freq in freqs:
        wave = 2 * np.pi / freq
        if wave < old / high:
            out.append(1.0)
        elif wave > old / low:
            out.append(LLAMA3["factor"])
        else:
            smooth = (old / wave - low) / (high - low)
            out.append(1 / ((1 - smooth) / LLAMA3["factor"] + smooth))
    return np.array(out, dtype=np.float32)


def write_folder(path, arch, tensors, scaling):
    a = ARCHS[arch]
    os.mkdir(path)
    config = {"model_type": "gemma3_text" if arch == "gemma3" else arch,
              "num_hidden_layers": LAYERS, "hidden_size": a["heads"] * 16,
              "intermediate_size": HIDDEN, "num_attention_heads": a["heads"],
              "num_key_value_heads": a["kv"], "head_dim": a["head"], "rms_norm_eps": EPS,
              "max_position_embeddings": CONTEXT, "vocab_size": 257,
              "rope_theta": 1e6 if arch == "gemma3" else 10000.0,
              "rope_scaling": {"linear": {"type": "linear", "factor": 4.0}, "llama3": LLAMA3,
                               "": None}[scaling]}
    if arch == "gemma3":
        config.update(sliding_window=WINDOW, rope_local_base_freq=10000.0,
                      query_pre_attn_scalar=a["head"], hidden_activation="gelu_pytorch_tanh",
                      layer_types=["full_attention" if (i + 1) % 6 == 0 else "sliding_attention"
                                   for i in range(LAYERS)])
    with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f)
    save_file(tensors, os.path.join(path, "model.safetensors"))


# ---- the comparison ----

def perplexity(model, text, context, chunks, base):
    """What llama-perplexity says; its log is written by a thread that its end may cut off."""
    for _ in range(10):
        said = run(os.path.join(LLAMA, "llama-perplexity"), "-m", model, "-f", text, "-c",
                   str(context), "--chunks", str(chunks), "--kl-divergence-base", base, "-ctk",
                   "f32", "-ctv", "f32", "-fa", "off", "-t", str(os.cpu_count()))
        found = re.search(rf"\[{chunks}\]([\d.]+),", said)
        if found:
            return float(found.group(1))
    sys.exit(f"no figure in {said}")


def compare(what, model, text, context, chunks, others=(), first=()):
    with tempfile.TemporaryDirectory() as folder:
        base = os.path.join(folder, "base")
        want = perplexity(model, text, context, chunks, base)
        answers = [json.loads(run(PROGRAM, path, base, *first)) for path in (model, *others)]
    got = answers[0]
    print(f"{what}: {got['tokens']} tokens, perplexity {got['ppl']:.4f} (llama.cpp {want:.4f}), "
          f"mean KL {got['mean_kl']:.1e}, same top {100 * got['same_top']:.2f} %")
    if got["tokens"] != chunks * (context - context // 2 - 1):
        sys.exit(f"{what}: {got['tokens']} tokens")
    if not abs(got["ppl"] / want - 1) < PPL_MAX or not abs(got["mean_kl"]) < KL_MAX:
        sys.exit(f"{what}: further from llama.cpp than {KL_MAX:g} and {PPL_MAX:g}")
    for path, answer in zip(others, answers[1:]):
        if not abs(answer["ppl"] / got["ppl"] - 1) < 1e-5:
            sys.exit(f"{what}: {path} gives {answer}, the GGUF file {got}")


def small_models(folder):
    text = os.path.join(folder, "words")
    text_of(text, 400, 1)
    for arch in ARCHS:
        for scaling in ("", "linear") + (("llama3",) if arch == "llama" else ()):
            name = f"{arch}{'-' if scaling else ''}{scaling}"
            tensors = weights_of(arch, np.random.default_rng(7), 257)
            gguf, hf = os.path.join(folder, name + ".gguf"), os.path.join(folder, name)
            write_gguf(gguf, arch, tensors, scaling)
            write_folder(hf, arch, tensors, scaling)
            compare(name, gguf, text, CONTEXT, 4, [hf])


def real_models(folder):
    stories = os.path.join(SHARED, "data/stories260K/stories260Ktok512.gguf")
    if os.path.exists(stories):
        compare("stories260K", stories,
                os.path.join(SHARED, "data/text/tinystories/tinystories_head_2MiB.txt"), 128, 20,
                [os.path.join(SHARED, "data/stories260K/stories260K.bin")], ["1"])
    text, big = os.path.join(folder, "more words"), os.path.join(folder, "smol.gguf")
    text_of(text, 700, 2)
    run(os.path.join(LLAMA, "llama-quantize"), "--allow-requantize", SMOLLM, big, "F32")
    compare("SmolLM2-135M", big, text, 256, 2)


with tempfile.TemporaryDirectory() as place:
    small_models(place)
    real_models(place)
