# SPDX-License-Identifier: Apache-2.0
"""safetensors files as people have them: unusual and legal, and malformed."""
import json
import os
import struct

import numpy as np
from harness import Whole, main
from makers import Tensor, rng, safetensors, weights


def some_tensors(count=3, seed=1):
    return [Tensor(f"{chr(97 + i)}.weight", weights(seed + i, 2 + i, 3 + i))
            for i in range(count)]


class Legal(Whole):
    def listed(self, data, tensors, name="m.safetensors"):
        path = self.put(name, data)
        seen = self.data_of("inspect", path, "--tensors", "--hash")
        got = {t["name"]: {k: t[k] for k in ("dtype", "shape", "sha256")}
               for t in seen["tensors"]}
        self.assertEqual(got, {t.name: t.listing for t in tensors})
        return path

    def there_and_back(self, path, tensors):
        """Through a package and out again: what is kept without loss has the same bytes."""
        package, _ = self.compress(path, recipe="int8")
        self.ok("verify", package, "--against", path, "--full")
        shapes = {t["name"]: t["shape"] for t in
                  self.data_of("inspect", self.export(package, "b.safetensors"),
                               "--tensors")["tensors"]}
        self.assertEqual(shapes, {t.name: t.shape for t in tensors})

    def test_headers_of_many_shapes(self):
        tensors = some_tensors()
        for pad in (1, 8, 64, 4096):
            self.listed(safetensors(tensors, pad=pad), tensors)
        for metadata in (None, {}, {"format": "pt"}, {"a": "", "é": "ü" * 1000}):
            self.listed(safetensors(tensors, metadata), tensors)
        self.listed(safetensors([], {"format": "pt"}), [])
        self.listed(safetensors([]), [])
        self.listed(safetensors(tensors), tensors, name="named-otherwise.bin")
        self.listed(safetensors(tensors), tensors, name="named-not-at-all")

    def test_keys_in_another_order(self):
        tensors = some_tensors()

        def turn(entries):
            for key in list(reversed(entries)):
                entries[key] = dict(reversed(entries.pop(key).items()))
        path = self.listed(safetensors(tensors, edit=turn), tensors)
        self.there_and_back(path, tensors)

    def test_tensors_without_elements(self):
        empty = [Tensor(f"e{i}", np.zeros(shape, "<f4"), dtype) for i, (shape, dtype) in enumerate(
            [((0,), "F32"), ((0, 4), "F32"), ((2, 0), "F16"), ((4, 0, 3), "BF16"),
             ((0, 0), "I8")])]
        a, b = some_tensors(2)
        tensors = [empty[0], a, *empty[1:4], b, empty[4]]
        path = self.listed(safetensors(tensors), tensors)
        self.there_and_back(path, tensors)

    def test_every_dtype_and_rank(self):
        floats = rng(3).standard_normal((6, 32)).astype("<f4")
        tensors = [Tensor(d, floats, d) for d in ("F64", "F32", "F16", "BF16")]
        tensors += [Tensor(d, np.arange(6).reshape(2, 3) % 2, d)
                    for d in ("I64", "I32", "I16", "I8", "U8", "BOOL")]
        tensors += [Tensor("scalar", np.float32(2.5)), Tensor("r5", weights(1, 1, 2, 1, 3, 4))]
        path = self.listed(safetensors(tensors), tensors)
        self.there_and_back(path, tensors)

    def test_what_is_kept_gives_every_byte_back(self):
        """Each type of the format that is read: every bit pattern, NaNs of any payload too."""
        sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
                 "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}
        tensors = []
        for seed, (dtype, size) in enumerate(sizes.items()):
            for shape in ((31, 67), (4096,), (), (0, 3)):
                count = int(np.prod(shape, dtype=int))
                raw = rng(seed).integers(0, 2 if dtype == "BOOL" else 256, count * size, "u1")
                if count == 4096 and size <= 2 and dtype != "BOOL":
                    raw[:8192] = np.arange(4096, dtype=f"<u{size}").view("u1")
                tensors.append(Tensor(f"{dtype}.{len(shape)}.{count}", np.zeros(shape), dtype,
                                      raw=raw.tobytes()))
        path = self.listed(safetensors(tensors, {"format": "pt"}), tensors)
        keep = self.put("keep.toml", 'schema = 1\nrule = [{ match = "*", codec = "keep" }]\n')
        package, _ = self.compress(path, recipe=keep)
        self.ok("verify", package, "--against", path, "--full")
        out = self.export(package, "back.safetensors")
        self.assertEqual(self.tensors_of(out),
                         {t.name: (t.dtype, t.shape, t.raw) for t in tensors})

    def tensors_of(self, path):
        """What the library's reader finds in a file."""
        from safetensors import deserialize
        return {name: (entry["dtype"], entry["shape"], bytes(entry["data"]))
                for name, entry in deserialize(self.read(path))}

    def test_integers_are_kept_beside_weights_that_are_compressed(self):
        kept = [Tensor(d, rng(5).integers(0, 2, (3, 40)), d)
                for d in ("I64", "I32", "I16", "I8", "U8", "BOOL")]
        kept.append(Tensor("U32", np.zeros((5, 7)), raw=rng(6).bytes(140)))
        kept[-1].dtype = "U32"
        tensors = [Tensor("w", weights(1, 64, 64)), *kept]
        path = self.put("m.safetensors", safetensors(tensors))
        for recipe in ("int8", "ternary"):
            package, _ = self.compress(path, recipe=recipe)
            back = self.tensors_of(self.export(package, "back.safetensors"))
            for t in kept:
                self.assertEqual(back[t.name], (t.dtype, t.shape, t.raw))

    def test_types_that_exist_and_are_not_read(self):
        for dtype, bits in [("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6), ("F8_E8M0", 8),
                            ("F8_E4M3FNUZ", 8), ("F8_E5M2FNUZ", 8), ("C64", 64)]:
            odd = Tensor("odd", np.zeros((4, 8)), dtype, raw=b"\0" * (32 * bits // 8))
            data = safetensors([Tensor("w", weights(1, 4)), odd])
            path = self.put("m.safetensors", data)
            with self.subTest(dtype):
                self.assertEqual(self.tensors_of(path)["odd"][0], dtype)
                words = ["'odd'", f"cannot read type {dtype};"]
                result = self.refused(8, words[:1], "inspect", path)
                self.assertIn(words[1], result.err)
                self.refused(8, words[:1], "compress", path, "-o", self.path("out.tmpk"))

    def test_names_of_any_kind(self):
        names = ["a/b/../c.weight", "../../etc/passwd", "/abs", "CON", "", "sp ace", " ",
                 "quote\"back\\slash", "line\nbreak\x1b[31m", "schön.模型.😀", "é", "e\u0301",
                 "w", "W", "0", "model.layers.0", "model.layers.0.weight", "x" * 1000]
        tensors = [Tensor(name, weights(i, 2, 32)) for i, name in enumerate(names)]
        path = self.listed(safetensors(tensors), tensors)
        self.there_and_back(path, tensors)
        self.assertNotIn("\x1b", self.ok("inspect", path, "--tensors").out)
        self.assertEqual({n for n in os.listdir(self.dir)},
                         {"m.safetensors", "out.tmpk", "b.safetensors"})

    def test_offsets_past_4_gib(self):
        """The bytes behind the mark are read from there, and memory stays small."""
        tail = Tensor("tail.weight", weights(1, 6, 10))
        hole = (1 << 32) + 4096
        header = json.dumps({
            "big.zeros": {"dtype": "U8", "shape": [hole >> 12, 4096], "data_offsets": [0, hole]},
            "tail.weight": {"dtype": "F32", "shape": [6, 10],
                            "data_offsets": [hole, hole + 240]}}).encode()
        path = self.path("big.safetensors")
        with open(path, "wb") as stream:
            stream.write(struct.pack("<Q", len(header)) + header)
            stream.seek(hole, 1)
            stream.write(tail.raw)
        result = self.ok("inspect", path, "--tensors", "--hash", "--json", timeout=120)
        got = {t["name"]: t for t in result.data["tensors"]}
        self.assertEqual(got["tail.weight"]["sha256"], tail.listing["sha256"])
        self.assertLess(result.rss, 256 * 1024)


class Malformed(Whole):
    def bad(self, name, data, words=(), both=False):
        path = self.put(f"{name}.safetensors", data)
        with self.subTest(name):
            result = self.refused(4, [f"{name}.safetensors", *words], "inspect", path, timeout=10)
            self.assertLess(result.rss, 256 * 1024)
            self.refused(4, words, "compress", path, "-o", self.path("out.tmpk"),
                         json_too=both, timeout=10)
        os.unlink(path)

    def test_entries_that_lie(self):
        def edited(**change):
            def edit(entries):
                entries["b.weight"].update(change)
            return safetensors(some_tensors(), edit=edit)
        size = 48  # b.weight: 3 x 4 float32 at 24
        for name, change in {
                "gap": {"data_offsets": [28, 28 + size]},
                "overlap": {"data_offsets": [20, 20 + size]},
                "short": {"data_offsets": [24, 24 + size - 4]},
                "backwards": {"data_offsets": [24 + size, 24]},
                "outside": {"data_offsets": [1 << 40, (1 << 40) + size]},
                "wraps": {"data_offsets": [(1 << 64) - 16, 32]},
                "past-64-bits": {"data_offsets": [1 << 64, (1 << 64) + size]},
                "negative": {"data_offsets": [-24, 24]},
                "fraction": {"data_offsets": [24.5, 72.5]},
                "three-offsets": {"data_offsets": [24, 48, 72]},
                "no-offsets": {"data_offsets": None},
                "shape-differs": {"shape": [3, 5]},
                "shape-negative": {"shape": [-3, -4]},
                "shape-product-wraps": {"shape": [1 << 32, 1 << 32]},
                "shape-huge": {"shape": [1 << 62, 4]},
                "shape-text": {"shape": "3x4"},
                "dtype-unknown": {"dtype": "F12"},
                "dtype-number": {"dtype": 32},
                "other-key": {"colour": "red"}}.items():
            # The tensor where its entry can be read, else the byte; a hole is seen at the next.
            self.bad(name, edited(**change), [["'b.weight'", "byte ", "'c.weight'"]])

    def test_keys_that_repeat(self):
        one = '"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
        self.bad("twice", safetensors([], header="{%s,%s}" % (one, one), data=b"\0" * 4), ["w"])
        self.bad("escaped", safetensors(
            [], header="{%s,%s}" % (one, one.replace('"w"', r'"\u0077"')), data=b"\0" * 4), ["w"])
        inner = '"w":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}'
        self.bad("inner", safetensors([], header="{%s}" % inner, data=b"\0" * 4), ["w"])
        meta = '"__metadata__":{"a":"b"}'
        self.bad("metadata", safetensors([], header="{%s,%s}" % (meta, meta)), ["__metadata__"])

    def test_headers_that_are_none(self):
        for name, header in {
                "array": "[]", "text": '"x"', "nothing": "", "blank": "        ",
                "open": '{"a":', "trailing": "{} {}", "nan": '{"a":NaN}',
                "utf8": b'{"\xff\xfe":{}}', "surrogate": r'{"\ud800":{}}',
                "control": b'{"a\x01":{}}', "deep": "[" * 100000,
                "deep-objects": '{"a":' * 50000, "metadata-number":
                '{"__metadata__":{"a":1}}', "metadata-list": '{"__metadata__":[]}'}.items():
            self.bad(name, safetensors([], header=header, pad=1))

    def test_header_lengths_from_outer_space(self):
        rest = safetensors(some_tensors())[8:]
        for n in (0, 1, len(rest) + 1, 1 << 27, 1 << 32, (1 << 63) - 1, (1 << 64) - 1):
            self.bad(f"length-{n}", struct.pack("<Q", n) + rest)

    def test_cut_and_padded(self):
        tensors = some_tensors()
        whole = safetensors(tensors)
        for n in [*range(0, len(whole), 23), len(whole) - 1]:
            path = self.put("cut.safetensors", whole[:n])
            result = self.refused(4, ["cut.safetensors"], "inspect", path, json_too=False)
            if n > 8:
                self.assertRegex(result.err, "short|ends|trunc|incomplete|missing")
        self.bad("cut-last", whole[:-7], ["c.weight", ["short", "truncated"]], both=True)
        self.bad("longer", whole + b"\0" * 8)


if __name__ == "__main__":
    main()
