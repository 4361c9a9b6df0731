# SPDX-License-Identifier: Apache-2.0
"""The gguf and safetensors libraries judge what tmill reads and exports: value for value, and byte
for byte where our grids are theirs."""
import os
import struct
import unittest

import numpy as np
from gguf import GGUFReader
from gguf import GGMLQuantizationType as Q
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize
from harness import SHARED, Whole, main, tree
from makers import GGML, Tensor, gguf, llama_gguf, safetensors, sha256, weights
from safetensors import SafetensorError, deserialize

STORIES = os.path.join(SHARED, "data/stories260K/stories260Ktok512.gguf")


def read_gguf(path):
    """{name: (type, numpy shape, raw bytes, float32 values)}"""
    found = {}
    for t in GGUFReader(path).tensors:
        shape = tuple(int(n) for n in t.shape[::-1])
        values = dequantize(t.data, t.tensor_type).reshape(shape)
        found[t.name] = (t.tensor_type, shape, t.data.tobytes(), values.astype("<f4"))
    return found


def read_safetensors(path):
    """{name: (dtype, shape, float32 values)} of float tensors."""
    with open(path, "rb") as stream:
        data = stream.read()
    found = {}
    for name, t in deserialize(data):
        raw, dtype = bytes(t["data"]), t["dtype"]
        if dtype == "BF16":
            values = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
        else:
            values = np.frombuffer(raw, {"F32": "<f4", "F16": "<f2"}[dtype]).astype("<f4")
        found[name] = (dtype, tuple(t["shape"]), values.reshape(t["shape"]))
    return found


class Judge(Whole):
    def models(self):
        """(name, path, {tensor: float32 values}) of every source that is at hand; one always is."""
        tiny = self.path("tiny.gguf")
        llama_gguf(tiny)
        models = [("tiny", tiny)]
        if os.path.exists(STORIES):
            models.append(("stories260K", STORIES))
        for name, path in models:
            yield name, path, {n: t[3] for n, t in read_gguf(path).items()}

    def test_int8_and_int4_leave_as_the_bytes_of_q8_0_and_q4_0(self):
        for model, path, source in self.models():
            for recipe, qtype in (("int8", Q.Q8_0), ("int4", Q.Q4_0)):
                package, _ = self.compress(path, f"{model}-{recipe}.tmpk", recipe)
                got = read_gguf(self.export(package, f"{model}-{recipe}.gguf"))
                exact = read_safetensors(self.export(package, f"{model}-{recipe}.safetensors",
                                                     kind="f32"))
                self.assertEqual(set(got), set(source))
                compared = 0
                for name, values in source.items():
                    with self.subTest(model, recipe=recipe, tensor=name):
                        kind, shape, raw, decoded = got[name]
                        self.assertEqual(shape, values.shape)
                        np.testing.assert_array_equal(decoded, exact[name][2])
                        if values.ndim < 2:
                            np.testing.assert_array_equal(decoded, values)
                        elif values.shape[-1] % 32 == 0:
                            self.assertEqual(kind, qtype)
                            theirs = quantize(values, qtype)
                            self.assertEqual(raw, theirs.tobytes())
                            np.testing.assert_array_equal(
                                decoded, dequantize(theirs, qtype).reshape(shape))
                            compared += 1
                        else:
                            self.assertIn(kind, (Q.F16, Q.F32))
                self.assertGreater(compared, 5)

    def test_ternary_has_one_scale_a_group_and_follows_its_source(self):
        for model, path, source in self.models():
            package, _ = self.compress(path, f"{model}.tmpk", "ternary")
            got = read_safetensors(self.export(package, f"{model}.safetensors", kind="f32"))
            for name, values in source.items():
                decoded = got[name][2]
                if values.ndim < 2:
                    np.testing.assert_array_equal(decoded, values)
                    continue
                for row, out in zip(values, decoded):
                    for at in range(0, len(row), 128):
                        a, b = row[at:at + 128], out[at:at + 128]
                        sizes = set(np.abs(b[b != 0]).tolist())
                        self.assertLessEqual(len(sizes), 1, name)
                        self.assertTrue((a[b != 0] * b[b != 0] > 0).all(), name)
                        # Kept are the larger ones: a threshold parts them from the zeros.
                        if 0 < (b != 0).sum() < len(b):
                            self.assertGreaterEqual(np.abs(a[b != 0]).min(),
                                                    np.abs(a[b == 0]).max() * 0.999, name)
                error = np.linalg.norm(values - decoded) / np.linalg.norm(values)
                self.assertLess(error, 0.62, name)

    def test_every_type_of_export_is_rounded_as_numpy_rounds(self):
        for model, path, _ in self.models():
            package, _ = self.compress(path, f"{model}.tmpk", "int4")
            exact = read_safetensors(self.export(package, f"{model}-f32.safetensors", kind="f32"))
            for kind, dtype in (("f16", "F16"), ("bf16", "BF16")):
                got = read_safetensors(self.export(package, f"{model}-{kind}.safetensors",
                                                   kind=kind))
                in_gguf = read_gguf(self.export(package, f"{model}-{kind}.gguf", kind=kind))
                for name, (_, _, values) in exact.items():
                    if kind == "f16":
                        want = values.astype("<f2").astype("<f4")
                    else:
                        bits = values.view("<u4").astype("<u8")
                        bits = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
                        want = bits.astype("<u4").view("<f4")
                    self.assertEqual(got[name][0], dtype)
                    np.testing.assert_array_equal(got[name][2], want)
                    if in_gguf[name][0] != Q.F32:  # norms stay F32 in a GGUF, as llama.cpp wants
                        np.testing.assert_array_equal(in_gguf[name][3], want)

    def test_every_quantised_gguf_is_read_as_the_library_reads_it(self):
        """Kept without loss and exported as F32; random blocks, every bit of them."""
        random = np.random.Generator(np.random.PCG64(11))
        kinds = [Q.F16, Q.BF16, Q.Q8_0, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q4_K, Q.Q5_K, Q.Q6_K,
                 Q.Q2_K, Q.Q3_K, Q.IQ4_NL, Q.IQ4_XS, Q.TQ1_0, Q.TQ2_0, Q.MXFP4]
        tensors, types, dims, wanted = [], {}, {}, {}
        for i, kind in enumerate(kinds):
            elements, size = GGML_QUANT_SIZES[kind]
            columns = 512 if elements > 1 else 64
            raw = random.integers(0, 256, (4, columns // elements, size), "u1")
            if elements > 1:  # half-precision scales that are numbers
                places = {Q.Q8_0: [0], Q.Q4_0: [0], Q.Q5_0: [0], Q.Q4_1: [0, 2], Q.Q5_1: [0, 2],
                          Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q2_K: [size - 4, size - 2],
                          Q.IQ4_NL: [0], Q.IQ4_XS: [0]}.get(kind, [size - 2])
                for at in places if kind != Q.MXFP4 else []:
                    raw[..., at + 1] &= 0xBB
            else:
                raw[..., 1] &= 0xBF
            raw = raw.reshape(4, -1)
            tensors.append(Tensor(kind.name, np.zeros((4, columns)), raw=raw.tobytes()))
            types[i], dims[i] = int(kind), [columns, 4]
            wanted[kind.name] = dequantize(raw if elements > 1 else raw.view("<u2").astype("<u2").
                                           view("<f2") if kind == Q.F16 else raw, kind)
        path = self.put("q.gguf", gguf(tensors, types=types, dims=dims))
        recipe = self.put("keep.toml", 'schema = 1\nrule = [{ match = "*", codec = "keep" }]\n')
        package, _ = self.compress(path, recipe=recipe)
        self.ok("verify", package, "--against", path, "--full")
        for form in ("safetensors", "gguf"):
            out = self.export(package, f"f32.{form}", kind="f32")
            got = read_safetensors(out) if form == "safetensors" else read_gguf(out)
            for name, values in wanted.items():
                with self.subTest(form, tensor=name):
                    np.testing.assert_array_equal(got[name][-1].ravel(),
                                                  np.asarray(values, "<f4").ravel())
        kept = read_gguf(self.export(package, "keep.gguf"))
        for tensor, kind in zip(tensors, kinds):
            self.assertEqual(kept[tensor.name][0], kind)
            self.assertEqual(kept[tensor.name][2], tensor.raw)

    def test_there_and_back_through_every_form(self):
        """GGUF, package, safetensors, package, GGUF: the same values and metadata."""
        recipe = self.put("keep.toml", 'schema = 1\nrule = [{ match = "*", codec = "keep" }]\n')
        for model, path, source in self.models():
            with self.subTest(model):
                one, _ = self.compress(path, f"{model}1.tmpk", recipe)
                middle = self.export(one, f"{model}.safetensors")
                two, _ = self.compress(middle, f"{model}2.tmpk", recipe)
                end = self.export(two, f"{model}.gguf")
                got = read_gguf(end)
                self.assertEqual(set(got), set(source))
                for name, values in source.items():
                    self.assertEqual(got[name][1], values.shape)
                    np.testing.assert_array_equal(got[name][3], values)
                given, last = GGUFReader(path), GGUFReader(end)
                for key, field in given.fields.items():
                    if not key.startswith("GGUF."):
                        self.assertIn(key, last.fields)
                        self.assertEqual(last.fields[key].contents(), field.contents(), key)


class Readers(Whole):
    """Every file of $TMILL_SHARED/data/readers that is no pickle: the right value or the right
    error; and the same kinds made here, for machines without that folder."""

    def check_safetensors(self, path):
        try:
            theirs = dict(deserialize(self.read(path)))
        except SafetensorError:
            self.refused(4, [os.path.basename(path)], "inspect", path)
            return
        seen = self.data_of("inspect", path, "--tensors", "--hash")
        self.assertEqual({t["name"] for t in seen["tensors"]}, set(theirs))
        for t in seen["tensors"]:
            self.assertEqual(t["shape"], list(theirs[t["name"]]["shape"]))
            self.assertEqual(t["dtype"], theirs[t["name"]]["dtype"])
            self.assertEqual(t["sha256"],
                             sha256(bytes(theirs[t["name"]]["data"])))

    def test_files_made_here(self):
        self.check_safetensors(self.put("m.safetensors", safetensors(
            [Tensor("a", weights(1, 3, 4)), Tensor("b", weights(2, 5), "BF16")], {"x": "y"})))
        declared = gguf([Tensor("w", weights(1, 128, 64))])
        self.refused(4, ["'w'", "truncated"], "inspect", self.put("cut.gguf", declared[:122]))
        self.assertEqual(self.data_of("inspect", self.put("none.gguf", gguf([])))["tensor_count"],
                         0)
        self.assertEqual(GGML["F32"], 0)
        onnx = b"\x08\x08\x12\x07pytorch" + struct.pack("<Q", 0) * 20
        self.refused(8, ["ONNX"], "inspect", self.put("m.onnx", onnx))

    def test_files_of_others(self):
        folder = os.path.join(SHARED, "data/readers")
        if not os.path.isdir(folder):
            print(f"{folder} is absent; test_files_made_here stands in")
            return
        before, judged = tree(folder), 0
        for name in sorted(os.listdir(os.path.join(folder, "safetensors"))):
            self.check_safetensors(os.path.join(folder, "safetensors", name))
            judged += 1
        path = os.path.join(folder, "gguf")
        empty = self.data_of("inspect", os.path.join(path, "empty_69B.gguf"), "--tensors")
        self.assertEqual(empty["tensors"], [])
        self.refused(4, ["tiny_122B.gguf", "truncated"], "inspect",
                     os.path.join(path, "tiny_122B.gguf"))
        # Without tensors nothing is missing, though the file ends before its padding does.
        vocab = self.data_of("inspect", os.path.join(path, "ggml-vocab-bert-bge.gguf"))
        reader_tokens = 30522
        self.assertEqual((vocab["tensor_count"], vocab["tokens"]), (0, reader_tokens))
        for name in os.listdir(os.path.join(folder, "onnx")):
            self.refused(8, ["ONNX"], "inspect", os.path.join(folder, "onnx", name))
        self.assertGreaterEqual(judged, 2)
        self.assertEqual(tree(folder), before)


if __name__ == "__main__":
    unittest.TestCase.maxDiff = None
    main()
