# SPDX-License-Identifier: Apache-2.0
"""inspect: the JSON of models and packages, and the program's own words (--help, --version)."""
from contract import Contract
from harness import EDGE, TMILL, Whole, main
from makers import hf_folder, hf_tensors


class Inspect(Contract, Whole):
    COMMANDS = {"inspect": 1}

    def setUp(self):
        super().setUp()
        self.tensors = hf_tensors()
        hf_folder(self.path("m"), self.tensors, 3)

    def test_a_model(self):
        result = self.ok("inspect", self.path("m"), "--json")
        self.assertEqual(set(result.json), {"schema", "data", "warnings"})
        self.assertEqual(result.json["schema"], "tmill.inspect.model/1")
        data = result.data
        self.assertNotIn("tensors", data)
        self.assertEqual(data["format"], "safetensors")
        self.assertEqual(data["tensor_count"], len(self.tensors))
        self.assertEqual(data["bytes"], sum(len(t.raw) for t in self.tensors))
        self.assertEqual(data["weights"], sum(t.values.size for t in self.tensors))
        self.assertGreater(data["compress_memory_bytes"], 1 << 20)
        listed = self.data_of("inspect", self.path("m"), "--tensors")["tensors"]
        self.assertEqual(set(listed[0]), {"name", "dtype", "shape", "bytes"})
        text = self.ok("inspect", self.path("m"), "--tensors", "--hash").out
        for t in self.tensors:
            self.assertIn(f"{t.listing['sha256']}  {t.name}\n", text)

    def test_a_package_names_the_source_bytes(self):
        package, data = self.compress(self.path("m"), recipe="int4")
        result = self.ok("inspect", package, "--tensors", "--json")
        self.assertEqual(result.json["schema"], "tmill.inspect.package/1")
        self.assertEqual(result.data["package_id"], data["package_id"])
        self.assertEqual({t["name"]: t["sha256"] for t in result.data["tensors"]},
                         {t.name: t.listing["sha256"] for t in self.tensors})
        self.assertEqual(sum(t["source_bytes"] for t in result.data["tensors"]),
                         data["source_bytes"])
        for t in result.data["tensors"]:
            self.assertEqual(t["relative_error"] == 0, "zstd" in t["pipeline"], t)
        self.assertIn(data["package_id"], self.ok("inspect", package).out)

    def test_architectures(self):
        archs = {a.pop("arch"): a for a in self.data_of("inspect", "--archs")["archs"]}
        self.assertLessEqual({"llama", "qwen2", "qwen3", "gemma3", "*"}, set(archs))
        text = self.ok("inspect", "--archs").out
        for name, arch in archs.items():
            ticks = [arch[tick] for tick in ("compress", "calibrate", "run")]
            self.assertEqual(ticks, [True, name != "*", name != "*"])
            self.assertIn(arch["models"], text)
        self.refused(2, ["too many arguments"], "inspect", "--archs", self.path("m"))

    def test_without_a_graph_there_is_one_tick(self):
        model = self.path("other")
        hf_folder(model, self.tensors, 1, model_type="other")
        self.compress(model, "other.tmpk", "int8")
        self.refused(8, ["no graph"], "calibrate", model, "-o", self.path("x.tmcal"))
        self.refused(8, ["no graph"], "run", model, "-p", "a")

    def test_the_program_itself(self):
        for program, name in ((TMILL, "tmill"), (EDGE, "tmill-edge")):
            version = self.ok("--version", program=program).out
            self.assertRegex(version, rf"^{name} \d+\.\d+\.\d+\n$")
            self.assertEqual(self.ok("--help", program=program).out,
                             self.ok("help", program=program).out)
            self.assertEqual(self.start(program).wait(10), 2)
            self.refused(2, ["frobnicate", "--help"], "frobnicate", program=program)
        self.refused(2, ["key"], "key")
        self.refused(2, ["trust"], "trust", program=EDGE)


if __name__ == "__main__":
    main()
