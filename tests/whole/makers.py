# SPDX-License-Identifier: Apache-2.0
"""Writes models for the tests, legal and broken: every size, offset and count can be given a lie.
All content is a function of seeds."""
import hashlib
import json
import os
import struct

import numpy as np

NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
         "I8": "i1", "U8": "u1", "BOOL": "u1"}
GGML = {"F32": 0, "F16": 1, "I8": 24, "I16": 25, "I32": 26, "I64": 27, "F64": 28, "BF16": 30}
GGUF_VALUES = {"u8": (0, "B"), "i8": (1, "b"), "u16": (2, "H"), "i16": (3, "h"), "u32": (4, "I"),
               "i32": (5, "i"), "f32": (6, "f"), "bool": (7, "B"), "u64": (10, "Q"),
               "i64": (11, "q"), "f64": (12, "d")}


def rng(seed):
    return np.random.Generator(np.random.PCG64(seed))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def to_bf16(values):
    """float32 to the bits of bfloat16, to nearest, ties to even; finite values."""
    bits = np.ascontiguousarray(values, "<f4").view("<u4")
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")


class Tensor:
    """A tensor as it is stored. shape: outermost dimension first."""

    def __init__(self, name, values, dtype="F32", raw=None):
        self.name, self.dtype = name, dtype
        self.values = np.asarray(values)
        self.shape = list(self.values.shape)
        if raw is None:
            stored = to_bf16(values) if dtype == "BF16" else \
                np.ascontiguousarray(values, NUMPY[dtype])
            raw = stored.tobytes()
        self.raw = raw

    @property
    def listing(self):
        """What inspect --tensors --hash must say."""
        return {"dtype": self.dtype, "shape": self.shape, "sha256": sha256(self.raw)}


def weights(seed, *shape, scale=0.05):
    return (rng(seed).standard_normal(shape) * scale).astype("<f4")


def safetensors(tensors, metadata=None, header=None, pad=8, data=None, edit=None):
    """header: the text instead of the computed one; edit(dict) changes it before it is written."""
    entries, at = {}, 0
    if metadata is not None:
        entries["__metadata__"] = metadata
    for t in tensors:
        entries[t.name] = {"dtype": t.dtype, "shape": t.shape,
                           "data_offsets": [at, at + len(t.raw)]}
        at += len(t.raw)
    if edit:
        edit(entries)
    if header is None:
        header = json.dumps(entries, ensure_ascii=False)
    text = header.encode() if isinstance(header, str) else header
    text += b" " * (-(8 + len(text)) % pad)
    body = b"".join(t.raw for t in tensors) if data is None else data
    return struct.pack("<Q", len(text)) + text + body


def gguf_string(text, order="<"):
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack(order + "Q", len(raw)) + raw


def gguf_pair(key, kind, value, order="<"):
    """kind: a name of GGUF_VALUES, "str", or ["kind"] for an array of that."""
    head = gguf_string(key, order)
    if isinstance(kind, list):
        code = 8 if kind[0] == "str" else GGUF_VALUES[kind[0]][0]
        items = b"".join(gguf_scalar(kind[0], item, order) for item in value)
        return head + struct.pack(order + "IIQ", 9, code, len(value)) + items
    code = 8 if kind == "str" else GGUF_VALUES[kind][0]
    return head + struct.pack(order + "I", code) + gguf_scalar(kind, value, order)


def gguf_scalar(kind, value, order):
    if kind == "str":
        return gguf_string(value, order)
    return struct.pack(order + GGUF_VALUES[kind][1], value)


LLAMA = [("general.architecture", "str", "llama")]


def gguf(tensors, pairs=LLAMA, alignment=32, version=3, order="<", magic=b"GGUF", counts=None,
         dims=None, types=None, offsets=None, tail=True):
    """dims, types, offsets: {tensor index: lie}; counts: (tensors, pairs) to claim; tail: whether
    the last tensor is padded. dims are innermost first, as in the file."""
    dims, types, offsets = dims or {}, types or {}, offsets or {}
    counts = counts or (len(tensors), len(pairs))
    out = magic + struct.pack(order + "IQQ", version, *counts)
    out += b"".join(gguf_pair(*pair, order) for pair in pairs)
    at, data = 0, b""
    for i, t in enumerate(tensors):
        ne = dims.get(i, t.shape[::-1])
        out += gguf_string(t.name, order) + struct.pack(order + "I", len(ne))
        out += b"".join(struct.pack(order + "Q", n) for n in ne)
        out += struct.pack(order + "IQ", types.get(i, GGML.get(t.dtype, 0)), offsets.get(i, at))
        padding = b"\0" * (-len(t.raw) % alignment)
        data += t.raw + (padding if tail or i + 1 < len(tensors) else b"")
        at += len(t.raw) + len(padding)
    return out + b"\0" * (-len(out) % alignment) + data


# ---- small models ----

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
          "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
          "num_key_value_heads": 2, "vocab_size": 80, "rms_norm_eps": 1e-5,
          "max_position_embeddings": 64, "tie_word_embeddings": False}


def config(**changes):
    return json.dumps({**CONFIG, **changes}, indent=1).encode()


def hf_tensors(seed=1, tied=False, dtype="F32", hidden=64, layers=2):
    """A llama in Hugging Face's names."""
    kv, ffn, vocab = hidden // 2, hidden * 3 // 2, 80
    shapes = [("model.embed_tokens.weight", (vocab, hidden))]
    for i in range(layers):
        p = f"model.layers.{i}."
        shapes += [(p + "input_layernorm.weight", (hidden,)),
                   (p + "self_attn.q_proj.weight", (hidden, hidden)),
                   (p + "self_attn.k_proj.weight", (kv, hidden)),
                   (p + "self_attn.v_proj.weight", (kv, hidden)),
                   (p + "self_attn.o_proj.weight", (hidden, hidden)),
                   (p + "post_attention_layernorm.weight", (hidden,)),
                   (p + "mlp.gate_proj.weight", (ffn, hidden)),
                   (p + "mlp.up_proj.weight", (ffn, hidden)),
                   (p + "mlp.down_proj.weight", (hidden, ffn))]
    shapes.append(("model.norm.weight", (hidden,)))
    if not tied:
        shapes.append(("lm_head.weight", (vocab, hidden)))
    return [Tensor(name, weights(seed * 1000 + i, *shape), dtype)
            for i, (name, shape) in enumerate(shapes)]


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(data.encode() if isinstance(data, str) else data)
    return path


def hf_folder(path, tensors, shards=1, **config_changes):
    """A model folder; shards > 1 writes an index. Returns the names of the weight files."""
    write(os.path.join(path, "config.json"), config(**config_changes))
    if shards == 1:
        write(os.path.join(path, "model.safetensors"), safetensors(tensors, {"format": "pt"}))
        return ["model.safetensors"]
    names = [f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
    where = {}
    for i, name in enumerate(names):
        part = tensors[i::shards]
        where.update({t.name: name for t in part})
        write(os.path.join(path, name), safetensors(part))
    total = sum(len(t.raw) for t in tensors)
    write(os.path.join(path, "model.safetensors.index.json"),
          json.dumps({"metadata": {"total_size": total}, "weight_map": where}))
    return names


def big_model(path, mebibytes, seed=3):
    """A safetensors file of about that many MiB of float32."""
    tensors = [Tensor(f"l{i}.weight", weights(seed + i, 256, 1024)) for i in range(mebibytes)]
    return write(path, safetensors(tensors))


def byte_level_alphabet():
    """The 256 characters of GPT-2's byte-level tokenizers."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in kept]
    return [chr(b) if b in kept else chr(256 + others.index(b)) for b in range(256)]


def bpe_tokenizer(merges, added=(), as_pairs=False, **model):
    """tokenizer.json of a byte-level BPE."""
    vocab = {c: i for i, c in enumerate(byte_level_alphabet())}
    for a, b in merges:
        vocab.setdefault(a + b, len(vocab))
    listed = [[a, b] if as_pairs else f"{a} {b}" for a, b in merges]
    added = [{"id": len(vocab) + i, "content": text, "special": True}
             for i, text in enumerate(added)]
    return json.dumps({"version": "1.0", "added_tokens": added,
                       "model": {"type": "BPE", "vocab": vocab, "merges": listed, **model}},
                      ensure_ascii=False)


def llama_gguf(path, seed=5, dtype="F32", layers=2, hidden=64, ffn=96, template=None,
               context=128):
    """A llama that llama.cpp loads: byte tokens, random weights, ChatML's marks with a template.
    Returns the tensors."""
    heads, kv_heads = 4, 2
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    tokens += ["\u2581"] + [chr(c) for c in range(97, 123)]
    tokens += [f"\u2581{chr(c)}" for c in range(97, 123)]
    marks = ["<|im_start|>", "<|im_end|>"] if template else []
    tokens += [f"x{i}" for i in range(-(len(tokens) + len(marks)) % 32)] + marks
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259 - len(marks)) + [3] * len(marks)
    scores = [0.0] * 259 + [-float(i) for i in range(len(tokens) - 259)]
    pairs = [("general.architecture", "str", "llama"), ("general.name", "str", "tiny \u6a21"),
             ("llama.context_length", "u32", context), ("llama.embedding_length", "u32", hidden),
             ("llama.block_count", "u32", layers), ("llama.feed_forward_length", "u32", ffn),
             ("llama.attention.head_count", "u32", heads),
             ("llama.attention.head_count_kv", "u32", kv_heads),
             ("llama.rope.dimension_count", "u32", hidden // heads),
             ("llama.attention.layer_norm_rms_epsilon", "f32", 1e-5),
             ("tokenizer.ggml.model", "str", "llama"),
             ("tokenizer.ggml.tokens", ["str"], tokens),
             ("tokenizer.ggml.scores", ["f32"], scores),
             ("tokenizer.ggml.token_type", ["i32"], kinds),
             ("tokenizer.ggml.bos_token_id", "u32", 1),
             ("tokenizer.ggml.eos_token_id", "u32", 2),
             ("tokenizer.ggml.unknown_token_id", "u32", 0)]
    pairs += [("tokenizer.chat_template", "str", template)] if template else []
    shapes = [("token_embd.weight", (len(tokens), hidden))]
    for i in range(layers):
        p = f"blk.{i}."
        shapes += [(p + "attn_norm.weight", (hidden,)), (p + "ffn_norm.weight", (hidden,)),
                   (p + "attn_q.weight", (hidden, hidden)),
                   (p + "attn_k.weight", (hidden // 2, hidden)),
                   (p + "attn_v.weight", (hidden // 2, hidden)),
                   (p + "attn_output.weight", (hidden, hidden)),
                   (p + "ffn_gate.weight", (ffn, hidden)), (p + "ffn_up.weight", (ffn, hidden)),
                   (p + "ffn_down.weight", (hidden, ffn))]
    shapes += [("output_norm.weight", (hidden,)), ("output.weight", (len(tokens), hidden))]
    tensors = []
    for i, (name, shape) in enumerate(shapes):
        values = weights(seed * 1000 + i, *shape, scale=0.3)
        values = values + 1 if len(shape) == 1 else values
        tensors.append(Tensor(name, values, "F32" if len(shape) == 1 else dtype))
    write(path, gguf(tensors, pairs))
    return tensors
