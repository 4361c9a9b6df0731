# SPDX-License-Identifier: Apache-2.0
"""GGUF files as people have them: unusual and legal, malformed, of another kind, in parts."""
import struct
import unittest

import numpy as np
from harness import Whole, main
from makers import LLAMA, Tensor, gguf, gguf_pair, rng, weights


def some_tensors(count=3, seed=1):
    return [Tensor(f"{chr(97 + i)}.weight", weights(seed + i, 2 + i, 3 + i))
            for i in range(count)]


class Legal(Whole):
    def listed(self, data, tensors, **more):
        """inspect must give exactly these tensors, each with its own bytes."""
        path = self.put("m.gguf", data)
        seen = self.data_of("inspect", path, "--tensors", "--hash")
        got = {t["name"]: {k: t[k] for k in ("dtype", "shape", "sha256")}
               for t in seen["tensors"]}
        self.assertEqual(got, {t.name: t.listing for t in tensors})
        self.assertEqual(seen["tensor_count"], len(tensors))
        for key, value in more.items():
            self.assertEqual(seen[key], value)
        return path

    def test_every_alignment_gives_each_tensor_its_own_bytes(self):
        for alignment in (8, 16, 32, 64, 256, 4096):
            tensors = some_tensors()
            for tail in (True, False):
                with self.subTest(alignment=alignment, tail=tail):
                    pairs = LLAMA + [("general.alignment", "u32", alignment)]
                    self.listed(gguf(tensors, pairs, alignment, tail=tail), tensors)

    def test_versions_2_and_3(self):
        for version in (2, 3):
            tensors = some_tensors()
            self.listed(gguf(tensors, version=version), tensors)

    def test_every_plain_dtype(self):
        floats = rng(2).standard_normal((4, 6)).astype("<f4")
        tensors = [Tensor("f32", floats), Tensor("f16", floats, "F16"),
                   Tensor("bf16", floats, "BF16"), Tensor("f64", floats, "F64")]
        tensors += [Tensor(f"i{bits}", np.arange(12).reshape(3, 4), f"I{bits}")
                    for bits in (8, 16, 32, 64)]
        self.listed(gguf(tensors), tensors)

    def test_no_tensors_and_no_metadata(self):
        self.listed(gguf([]), [])
        self.listed(gguf([], pairs=[]), [])

    def test_scalars_empty_tensors_and_one_to_four_dimensions(self):
        tensors = [Tensor(f"d{rank}", weights(rank, *range(2, 2 + rank))) for rank in (1, 2, 3, 4)]
        self.listed(gguf(tensors), tensors)

    def test_names_are_bytes_of_any_kind(self):
        names = ["a/b/../c", "sp ace", "quote\"back\\slash", "line\nbreak\x1b[31m", "模型.😀",
                 "x" * 63, "../../etc/passwd"]
        tensors = [Tensor(name, weights(i, 2, 32)) for i, name in enumerate(names)]
        path = self.listed(gguf(tensors), tensors)
        text = self.ok("inspect", path, "--tensors").out
        self.assertNotIn("\x1b", text)
        package, _ = self.compress(path)
        self.assertNotIn("\x1b", self.ok("inspect", package, "--tensors").out)
        out = self.export(package, "back.safetensors")
        back = self.data_of("inspect", out, "--tensors")
        self.assertEqual({t["name"] for t in back["tensors"]}, set(names))

    def test_metadata_of_every_type(self):
        pairs = LLAMA + [(f"k.{kind}", kind, 1) for kind in (
            "u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bool")]
        pairs += [(f"a.{kind}", [kind], [1, 0, 1]) for kind in ("u8", "i64", "f32", "bool")]
        pairs += [("a.str", ["str"], ["", "a", "é"]), ("a.none", ["u32"], [])]
        self.listed(gguf(some_tensors(), pairs), some_tensors(), arch="llama")

    def test_tokens_that_repeat_stay_as_many_as_they_are(self):
        tokens = ["a", "b", "a", "é", "e\u0301", "", "a", "▁the", "x", "y"]
        for merges in ([], ["a b", "x y"]):
            pairs = LLAMA + [("tokenizer.ggml.model", "str", "gpt2"),
                             ("tokenizer.ggml.tokens", ["str"], tokens),
                             ("tokenizer.ggml.merges", ["str"], merges)]
            self.listed(gguf(some_tensors(), pairs), some_tensors(), tokens=len(tokens),
                        merges=len(merges))

    def test_data_in_another_order_than_the_list(self):
        a, b = Tensor("a", weights(1, 8)), Tensor("b", weights(2, 8))
        data = gguf([a, b], offsets={0: 32, 1: 0})
        a.raw, b.raw = b.raw, a.raw
        self.listed(data, [a, b])


class Malformed(Whole):
    def bad(self, name, data, words, codes=4, compress=False):
        path = self.put(f"{name}.gguf", data)
        with self.subTest(name):
            result = self.refused(codes, [f"{name}.gguf", *words], "inspect", path, timeout=10)
            self.assertLess(result.rss, 256 * 1024)
            self.refused(codes, words, "compress", path, "-o", self.path("out.tmpk"),
                         json_too=compress, timeout=10)

    def test_alignment(self):
        for value in (0, 3, 7, 1 << 31):
            pairs = LLAMA + [("general.alignment", "u32", value)]
            self.bad(f"align-{value}", gguf(some_tensors(), pairs), ["alignment"])
        self.bad("align-text", gguf(some_tensors(), LLAMA + [("general.alignment", "str", "32")]),
                 ["alignment"])

    def test_sizes_and_offsets_that_overflow_or_leave_the_file(self):
        ok, b = Tensor("ok.weight", weights(1, 64)), Tensor("b.weight", weights(2, 64))
        many = (1 << 30) - 1
        for name, lies in {
                "pad-wraps": {"dims": {1: [4, many, (1 << 30) + 1]}},
                "product-wraps": {"dims": {1: [1 << 32, 1 << 32]}},
                "bytes-wrap": {"dims": {1: [1 << 62]}},
                "dimension-63": {"dims": {1: [1 << 63]}},
                "dimension-max": {"dims": {1: [(1 << 64) - 1]}},
                "offset-wraps": {"offsets": {1: (1 << 64) - 128}},
                "offset-outside": {"offsets": {1: 1 << 20}},
                "offset-odd": {"offsets": {1: 17}},
                "larger-than-file": {"dims": {1: [1 << 20]}},
                "overlap": {"offsets": {1: 32}},
                "five-dimensions": {"dims": {1: [2, 2, 2, 2, 4]}}}.items():
            self.bad(name, gguf([ok, b], **lies), ["b.weight"])

    def test_counts_and_lengths_from_outer_space(self):
        tensors = some_tensors()
        huge = [1 << 24, 1 << 32, (1 << 63) - 1, (1 << 64) - 1]
        for n in huge:
            self.bad(f"tensors-{n}", gguf(tensors, counts=(n, 1)), [])
            self.bad(f"pairs-{n}", gguf(tensors, counts=(3, n)), [])
            head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
            self.bad(f"key-{n}", head + struct.pack("<Q", n) + b"abc", [])
            value = gguf_pair("k", "str", "")[:-8]
            self.bad(f"text-{n}", head + value + struct.pack("<Q", n) + b"abc", [])
            array = gguf_pair("k", ["u32"], [])[:-8]
            self.bad(f"array-{n}", head + array + struct.pack("<Q", n) + b"\0" * 64, [])
            texts = gguf_pair("k", ["str"], [])[:-8]
            self.bad(f"texts-{n}", head + texts + struct.pack("<Q", n) + b"\0" * 64, [])

    def test_types(self):
        tensors = some_tensors()
        for code in (4, 5, 31, 1000, (1 << 32) - 1):
            self.bad(f"type-{code}", gguf(tensors, types={1: code}), ["b.weight"], codes=(4, 8))
        head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
        key = struct.pack("<Q", 1) + b"k"
        self.bad("value-type", head + key + struct.pack("<IQ", 13, 0), [], codes=(4, 8))
        self.bad("bool-2", gguf(tensors, LLAMA + [("flag", "bool", 2)]), ["flag"])
        nested = struct.pack("<IIQ", 9, 9, 1) * 2000
        self.bad("nested", head + key + nested, [], codes=(4, 8))
        # Rows of a block type that are no whole blocks.
        self.bad("half-block", gguf([Tensor("w", weights(1, 4, 20))], types={0: 8}), ["w"])

    def test_types_that_exist_and_are_not_read(self):
        for code, kind in [(9, "Q8_1"), (15, "Q8_K"), (16, "IQ2_XXS"), (17, "IQ2_XS"),
                           (18, "IQ3_XXS"), (19, "IQ1_S"), (21, "IQ3_S"), (22, "IQ2_S"),
                           (29, "IQ1_M"), (31, "Q4_0_4_4"), (38, "IQ4_NL_8_8"), (40, "NVFP4"),
                           (41, "Q1_0"), (42, "Q2_0")]:
            data = gguf(some_tensors(), types={1: code})
            self.bad(f"type-{code}", data, ["'b.weight'", f"cannot read type {kind}"], codes=8)

    def test_names_that_repeat(self):
        twice = [Tensor("same.weight", weights(1, 4)), Tensor("same.weight", weights(2, 4))]
        self.bad("twice", gguf(twice), ["same.weight", ["twice", "duplicate", "again"]])
        self.bad("key-twice", gguf([], LLAMA * 2), ["general.architecture"])

    def test_cut_anywhere(self):
        tensors = [Tensor("first.weight", weights(1, 4, 8)), Tensor("last.weight", weights(2, 8))]
        whole = gguf(tensors)
        for n in [*range(0, len(whole) - 32, 37), len(whole) - 33]:
            path = self.put("cut.gguf", whole[:n])
            result = self.refused(4, ["cut.gguf"], "inspect", path, json_too=False)
            self.assertRegex(result.err, "short|ends|empty|trunc|incomplete|outside|bytes")
        self.bad("cut-last", whole[:len(whole) - 8], ["last.weight"], compress=True)

    def test_other_kinds_of_gguf(self):
        tensors = some_tensors()
        for name, data, words in [
                ("big-endian", gguf(tensors, order=">"), ["endian"]),
                ("reversed", gguf(tensors, magic=b"FUGG"), ["endian"]),
                ("version-0", gguf(tensors, version=0), ["version 0"]),
                ("version-1", gguf(tensors, version=1), ["version 1"]),
                ("version-4", gguf(tensors, version=4), ["version 4"]),
                ("version-99", gguf(tensors, version=99), ["version 99"])]:
            self.bad(name, data, words, codes=(4, 8))


class Parts(Whole):
    def parts(self, folder, count, tensors, claims=None, total=None, leave_out=()):
        """Writes the parts of a split model; claims: {part: count that it claims}."""
        claims = claims or {}
        paths = []
        for i in range(count):
            pairs = (LLAMA if i == 0 else []) + [
                ("split.no", "u16", i), ("split.count", "u16", claims.get(i, count)),
                ("split.tensors.count", "i32", total if total is not None else len(tensors))]
            name = f"{folder}/m-{i + 1:05}-of-{count:05}.gguf"
            paths.append(self.path(name))
            if i not in leave_out:
                self.put(name, gguf(tensors[i::count], pairs))
        return paths

    def test_all_parts_are_one_model_whichever_is_named(self):
        tensors = some_tensors(7)
        for count in (2, 3, 5):
            paths = self.parts(f"of{count}", count, tensors)
            for path in (paths[0], paths[-1]):
                seen = self.data_of("inspect", path, "--tensors", "--hash")
                self.assertEqual({t["name"]: t["sha256"] for t in seen["tensors"]},
                                 {t.name: t.listing["sha256"] for t in tensors})
                self.assertEqual(len(seen["files"]), count)
        package, _ = self.compress(paths[0])
        proof = self.data_of("verify", package, "--against", paths[1], "--full")
        self.assertEqual(proof["tensors"], 7)

    def test_a_missing_part_is_named_and_nothing_is_written(self):
        for missing in range(3):
            paths = self.parts(f"gap{missing}", 3, some_tensors(6), leave_out={missing})
            name = f"m-{missing + 1:05}-of-00003.gguf"
            there = paths[1 if missing == 0 else 0]
            self.refused((3, 4), [name], "inspect", there)
            self.refused((3, 4), [name], "compress", there, "-o", self.path("out.tmpk"))

    def test_parts_that_disagree(self):
        paths = self.parts("lie", 2, some_tensors(4), claims={1: 3})
        self.refused(4, ["split"], "inspect", paths[0])
        paths = self.parts("total", 2, some_tensors(4), total=5)
        self.refused(4, ["5", "4"], "inspect", paths[0])
        paths = self.parts("same", 2, some_tensors(4))
        self.put("same/m-00002-of-00002.gguf", self.read(paths[0]))
        self.refused(4, ["m-00002-of-00002.gguf"], "inspect", paths[0])

    def test_a_part_that_says_another_count_or_place(self):
        for part in range(3):
            paths = self.parts(f"count{part}", 3, some_tensors(6), claims={part: 4})
            for path in (paths[0], paths[2]):
                self.refused(4, ["split.count"], "inspect", path)
            self.refused(4, ["split.count"], "compress", paths[0], "-o", self.path("out.tmpk"))
        paths = self.parts("turned", 3, some_tensors(6))
        second, third = self.read(paths[1]), self.read(paths[2])
        self.put("turned/m-00002-of-00003.gguf", third)
        self.put("turned/m-00003-of-00003.gguf", second)
        self.refused(4, ["m-00002-of-00003.gguf", "split.no"], "inspect", paths[0])

    def test_a_tensor_in_two_parts(self):
        tensors = some_tensors(6)
        tensors[4] = Tensor("a.weight", weights(9, 4, 4))
        for there in self.parts("twice", 3, tensors):
            self.refused(4, ["a.weight", "duplicate"], "inspect", there)
            self.refused(4, ["a.weight", "duplicate"], "compress", there, "-o",
                         self.path("out.tmpk"))


if __name__ == "__main__":
    unittest.TestCase.maxDiff = None
    main()
