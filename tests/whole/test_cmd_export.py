# SPDX-License-Identifier: Apache-2.0
"""export: forms, types, what is kept, and output that must not be."""
import os

import numpy as np
from contract import Contract
from gguf import GGUFReader
from harness import Whole, main
from makers import Tensor, hf_folder, hf_tensors, llama_gguf, safetensors, weights
from safetensors.numpy import load_file


class Export(Contract, Whole):
    COMMANDS = {"export": 1}

    def setUp(self):
        super().setUp()
        self.tensors = hf_tensors()
        hf_folder(self.path("m"), self.tensors, 2)
        self.package, _ = self.compress(self.path("m"), recipe="int8")

    def test_every_form_and_type(self):
        for kind, dtype, gguf_type in (("f32", "float32", 0), ("f16", "float16", 1),
                                       ("bf16", None, 30), ("keep", None, None)):
            out = self.export(self.package, f"{kind}.safetensors", kind=kind)
            seen = {t["name"]: t for t in self.data_of("inspect", out, "--tensors")["tensors"]}
            self.assertEqual(set(seen), {t.name for t in self.tensors})
            if dtype:
                for name, values in load_file(out).items():
                    self.assertEqual(str(values.dtype), dtype, name)
            out = self.export(self.package, f"{kind}.gguf", kind=kind)
            types = {t.name: int(t.tensor_type) for t in GGUFReader(out).tensors}
            self.assertEqual(set(types), set(seen))
            if kind == "keep":
                self.assertEqual(types["lm_head.weight"], 8)  # Q8_0
                self.assertEqual(types["model.norm.weight"], 0)
            else:
                self.assertEqual(types["lm_head.weight"], gguf_type)

    def test_options_and_outputs_that_are_wrong(self):
        out = self.path("o.gguf")
        for argv, words in (
                (["export", self.package, "-o", out], ["--format"]),
                (["export", self.package, "--format", "gguf"], ["--output"]),
                (["export", self.package, "--format", "onnx", "-o", out], ["onnx", "gguf"]),
                (["export", self.package, "--format", "gguf", "--type", "q2", "-o", out],
                 ["q2", "keep"])):
            with self.subTest(argv[2:]):
                self.refused(2, words, *argv)
        self.refused(3, ["no.tmpk"], "export", self.path("no.tmpk"), "--format", "gguf", "-o", out)
        os.mkdir(self.path("folder"))
        self.refused((1, 2, 6), ["folder"], "export", self.package, "--format", "gguf", "-o",
                     self.path("folder"))

    def test_an_older_file_is_replaced_whole_or_not_at_all(self):
        out = self.put("o.gguf", b"old")
        self.ok("export", self.package, "--format", "gguf", "-o", out)
        self.assertEqual(self.read(out)[:4], b"GGUF")
        self.put("o.gguf", b"old")
        bad = bytearray(self.read(self.package))
        bad[len(bad) // 2] ^= 255
        self.refused(4, ["bad.tmpk"], "export", self.put("bad.tmpk", bytes(bad)), "--format",
                     "gguf", "-o", out)
        self.assertEqual(self.read(out), b"old")

    def test_a_gguf_leaves_with_its_metadata(self):
        source = self.path("tiny.gguf")
        tensors = llama_gguf(source)
        package, _ = self.compress(source, "tiny.tmpk", "int4")
        out = GGUFReader(self.export(package, "back.gguf"))
        given = GGUFReader(source)

        def fields(reader):
            ours = ("general.file_type", "general.quantization_version")
            return {k: f.contents() for k, f in reader.fields.items()
                    if not k.startswith(("GGUF.", "tmill.")) and k not in ours}
        self.assertEqual(fields(out), fields(given))
        self.assertEqual({t.name: tuple(t.shape) for t in out.tensors},
                         {t.name: tuple(t.shape) for t in given.tensors})
        self.assertEqual(len(out.tensors), len(tensors))
        told = {k: f.contents() for k, f in out.fields.items() if k.startswith("tmill.")}
        report = self.data_of("report", package)
        self.assertEqual(told, {
            "tmill.package_id": report["package_id"], "tmill.owner": report["owner"],
            "tmill.bits_per_weight": repr(report["bits_per_weight"]),
            "tmill.relative_error": repr(report["relative_error"])})

    def test_what_cannot_be_kept_leaves_as_f16_where_that_is_exact_else_f32(self):
        exact = weights(1, 8, 64).astype("<f2").astype("<f4")
        model = self.put("t.safetensors", safetensors(
            [Tensor("ternary", np.sign(exact) * np.float32(0.5)), Tensor("odd", weights(2, 4, 33)),
             Tensor("norm", weights(3, 64))]))
        package, _ = self.compress(model, "t.tmpk", "ternary")
        types = {t.name: t.tensor_type.name for t in
                 GGUFReader(self.export(package, "t.gguf")).tensors}
        self.assertIn(types["ternary"], ("F16", "F32"))
        self.assertEqual(types["norm"], "F32")
        self.assertIn(types["odd"], ("F16", "F32"))


if __name__ == "__main__":
    main()
