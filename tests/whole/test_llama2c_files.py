# SPDX-License-Identifier: Apache-2.0
"""llama2.c checkpoints: read as what they are, kept whole, exported as a GGUF; and refused."""
import os
import struct
import unittest

import numpy as np
from harness import SHARED, Whole, main
from makers import rng, sha256

KEEP = 'schema = 1\nrule = [{ match = "*", codec = "keep" }]\n'
CONFIG = dict(dim=48, hidden=80, layers=3, heads=6, kv=2, vocab=40, context=16)
STORIES = os.path.join(SHARED, "data/stories260K")


def shapes(own_head, dim, hidden, layers, heads, kv, vocab, context):
    """{name in llama2.c: shape}, those of the layers with the layers first."""
    rows = dim // heads * kv
    out = {"tok": (vocab, dim), "att_norm": (layers, dim), "wq": (layers, dim, dim),
           "wk": (layers, rows, dim), "wv": (layers, rows, dim), "wo": (layers, dim, dim),
           "ffn_norm": (layers, dim), "w1": (layers, hidden, dim), "w2": (layers, dim, hidden),
           "w3": (layers, hidden, dim), "norm": (dim,)}
    return {**out, "out": (vocab, dim)} if own_head else out


NAMES = {"tok": "token_embd", "att_norm": "attn_norm", "wq": "attn_q", "wk": "attn_k",
         "wv": "attn_v", "wo": "attn_output", "ffn_norm": "ffn_norm", "w1": "ffn_gate",
         "w2": "ffn_down", "w3": "ffn_up", "norm": "output_norm", "out": "output"}
VERSION_1 = ["att_norm", "ffn_norm", "norm", "tok", "wq", "wk", "wv", "wo", "w1", "w2", "w3",
             "out"]


def model(own_head, seed=1):
    r = rng(seed)
    return {name: (r.standard_normal(shape) * 0.05).astype("<f4")
            for name, shape in shapes(own_head, **CONFIG).items()}


def header(own_head, negate):
    c = CONFIG
    return struct.pack("<7i", c["dim"], c["hidden"], c["layers"], c["heads"], c["kv"],
                       -c["vocab"] if own_head and negate else c["vocab"], c["context"])


def version_0(tables, own_head):
    rope = np.ones((2, CONFIG["context"], CONFIG["dim"] // CONFIG["heads"] // 2), "<f4")
    order = [name for name in tables if name != "out"]
    out = header(own_head, True) + b"".join(tables[name].tobytes() for name in order)
    return out + rope.tobytes() + (tables["out"].tobytes() if own_head else b"")


def version_1(tables, own_head, version=1):
    head = b"24ka" + struct.pack("<I", version) + header(own_head, False) + bytes([not own_head])
    return head.ljust(256, b"\0") + b"".join(tables[n].tobytes() for n in VERSION_1 if n in tables)


def as_gguf(tables):
    out = {}
    for name, values in tables.items():
        if len(values) == CONFIG["layers"] and name not in ("tok", "norm", "out"):
            for i, layer in enumerate(values):
                out[f"blk.{i}.{NAMES[name]}.weight"] = layer
        else:
            out[f"{NAMES[name]}.weight"] = values
    return out


class Llama2c(Whole):
    def listing(self, path):
        return {t["name"]: (t["dtype"], t["shape"], t["sha256"]) for t in
                self.data_of("inspect", path, "--tensors", "--hash")["tensors"]}

    def test_both_versions_with_and_without_a_head_of_their_own(self):
        for own_head in (False, True):
            tables = model(own_head)
            wanted = {name: ("F32", list(v.shape), sha256(v.tobytes()))
                      for name, v in as_gguf(tables).items()}
            for data in (version_0(tables, own_head), version_1(tables, own_head)):
                path = self.put("model.bin", data)
                self.assertEqual(self.listing(path), wanted)
                seen = self.data_of("inspect", path)
                self.assertEqual((seen["format"], seen["arch"]), ("llama2.c", "llama"))

    def test_an_export_is_a_gguf_with_every_value_and_the_sizes(self):
        from gguf import GGUFReader
        tables = model(True)
        path = self.put("model.bin", version_0(tables, True))
        self.put("tokenizer.bin", b"\x05\0\0\0" + b"tokens")
        package, _ = self.compress(path, recipe=self.put("keep.toml", KEEP))
        self.ok("verify", package, "--against", path, "--full")
        reader = GGUFReader(self.export(package, "out.gguf"))
        got = {t.name: t.data for t in reader.tensors}
        self.assertEqual(set(got), set(as_gguf(tables)))
        for name, values in as_gguf(tables).items():
            np.testing.assert_array_equal(got[name].reshape(values.shape), values)
        for key, value in [("context_length", 16), ("embedding_length", 48), ("block_count", 3),
                           ("feed_forward_length", 80), ("attention.head_count", 6),
                           ("attention.head_count_kv", 2), ("rope.dimension_count", 8)]:
            self.assertEqual(reader.fields["llama." + key].contents(), value)
        names = {a["file"]: a["bytes"] for a in self.data_of("inspect", path)["attachments"]}
        self.assertEqual(names["tokenizer.bin"], 10)

    def test_a_tokenizer_beside_it_becomes_the_vocabulary_of_the_gguf(self):
        from gguf import GGUFReader
        texts = ["<unk>", "\n<s>\n", "\n</s>\n"] + [f"<0x{i:02X}>" for i in range(10)]
        texts += [" ", " the", "é", "a b"] + [f"t{i}" for i in range(CONFIG["vocab"] - 17)]
        raw = [text.encode() for text in texts]
        tokens = struct.pack("<i", max(map(len, raw))) + b"".join(
            struct.pack("<fi", -float(i), len(text)) + text for i, text in enumerate(raw))
        tables = model(False)
        path = self.put("model.bin", version_0(tables, False))
        keep = self.put("keep.toml", KEEP)
        for data, there in ((tokens, True), (tokens[:-1], False), (tokens[4:], False)):
            self.put("tokenizer.bin", data)
            result = self.ok("inspect", path, "--json")
            self.assertEqual(result.data["tokens"], CONFIG["vocab"] if there else 0)
            said = " ".join(result.json["warnings"])
            self.assertEqual("not the tokenizer" in said, not there, said)
            package, _ = self.compress(path, recipe=keep)
            fields = GGUFReader(self.export(package, "out.gguf")).fields
            self.assertEqual("tokenizer.ggml.tokens" in fields, there)
            if there:
                wanted = ["<unk>", "<s>", "</s>"] + [t.replace(" ", "\u2581") for t in texts[3:]]
                self.assertEqual(fields["tokenizer.ggml.tokens"].contents(), wanted)
                self.assertEqual(fields["tokenizer.ggml.scores"].contents(),
                                 [-float(i) for i in range(len(texts))])
                self.assertEqual(fields["tokenizer.ggml.token_type"].contents(),
                                 [2, 3, 3] + [6] * 10 + [1] * (len(texts) - 13))

    def test_what_is_refused(self):
        tables = model(False)
        whole = version_0(tables, False)
        for name, data, code, words in [
                ("cut", whole[:-4], 4, ["truncated"]), ("long", whole + b"\0" * 4, 4, ["bytes"]),
                ("int8", version_1(tables, False, 2), 8, ["version 2", "int8"]),
                ("later", version_1(tables, False, 9), 8, ["version 9"]),
                ("cut-1", version_1(tables, False)[:-1], 4, ["truncated"]),
                ("head", version_1(tables, False)[:99], 4, ["truncated"])]:
            path = self.put(f"{name}.bin", data)
            with self.subTest(name):
                self.refused(code, [f"{name}.bin", *words], "inspect", path)
                self.refused(code, words, "compress", path, "-o", self.path("out.tmpk"))

    @unittest.skipUnless(os.path.isdir(STORIES), "the shared data are not here")
    def test_a_real_model_is_the_same_as_its_gguf(self):
        ours = self.listing(os.path.join(STORIES, "stories260K.bin"))
        other = self.listing(os.path.join(STORIES, "stories260Ktok512.gguf"))
        self.assertEqual(other.pop("output.weight"), other["token_embd.weight"])  # tied
        self.assertEqual(ours, other)
        tuned = self.listing(os.path.join(SHARED, "data/derived/stories260K_ft_light.bin"))
        self.assertEqual(set(tuned), set(ours))


if __name__ == "__main__":
    main()
