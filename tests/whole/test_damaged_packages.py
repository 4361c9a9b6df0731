# SPDX-License-Identifier: Apache-2.0
"""Packages cut short and with flipped bytes, by the programs themselves: exit 4, one line that
names file, place and reason, and nothing written. (Every byte: package/package_fuzz.c and
package_test.c; here a sample, and every command that reads a package.)"""
import os
import shutil

from harness import EDGE, TMILL, Whole, main
from makers import Tensor, hf_tensors, rng, safetensors, weights

CUTS, FLIPS = 120, 160


class Damaged(Whole):
    def setUp(self):
        super().setUp()
        tensors = [Tensor("a.weight", weights(1, 4, 64)), Tensor("b.bias", weights(2, 10))]
        model = self.put("m.safetensors", safetensors(tensors, {"format": "pt"}))
        self.package, _ = self.compress(model)
        self.whole = self.read(self.package)
        self.bad = self.path("bad.tmpk")
        self.good_export = self.read(self.export(self.package, "good.gguf"))

    def check(self, data, what):
        self.put("bad.tmpk", data)
        out = self.path("out.gguf")
        with self.subTest(what):
            result = self.refused(4, ["bad.tmpk"], "verify", self.bad, json_too=False)
            self.assertGreaterEqual(result.err.count(": "), 3, result.err)
            # export reads no padding: it refuses, or what it writes is not touched by the damage.
            result = self.run_program(TMILL, "export", self.bad, "--format", "gguf", "-o", out)
            if result.code == 0:
                self.assertEqual(self.read(out), self.good_export)
                os.unlink(out)
            else:
                self.assertEqual(result.code, 4, result.err)
                self.assertIn("bad.tmpk", result.err)
                self.assertFalse(os.path.exists(out))
        # inspect reads the tables alone: it may only ever say 4 or tell the truth.
        result = self.run_program(TMILL, "inspect", self.bad)
        self.assertIn(result.code, (0, 4, 8), result.err)
        return result

    def test_cut_anywhere(self):
        size = len(self.whole)
        for n in sorted({*range(0, 80), *range(80, size, max(1, size // CUTS)), size - 1}):
            result = self.check(self.whole[:n], f"cut at {n} of {size}")
            self.assertIn(result.code, (4,), result.err)

    def test_longer(self):
        self.check(self.whole + b"\0", "one more")
        self.check(self.whole * 2, "twice")

    def test_any_flipped_byte(self):
        size = len(self.whole)
        picks = rng(7).choice(size, FLIPS, replace=False)
        for at in sorted({*picks.tolist(), *range(0, 64, 3)}):
            data = bytearray(self.whole)
            data[at] ^= 1 << int(at) % 8
            self.check(bytes(data), f"byte {at} of {size}")

    def test_damage_in_the_middle_of_a_large_package(self):
        """The chunk is named, and export leaves no half of a file."""
        model = self.put("l.safetensors", safetensors(hf_tensors(hidden=256)))
        package, _ = self.compress(model, "l.tmpk", recipe="int8")
        data = bytearray(self.read(package))
        data[len(data) // 2] ^= 4
        self.put("l.tmpk", bytes(data))
        for argv in (["verify", package], ["verify", package, "--against", model],
                     ["export", package, "--format", "safetensors", "-o", self.path("l.out")],
                     ["publish", package, "--repo", self.path("repo")]):
            with self.subTest(argv[0]):
                self.refused(4, ["l.tmpk", ["chunk", "tensor", "byte"]], *argv,
                             new_folders=True)
        self.assertFalse(os.path.exists(self.path("repo/index.json")))

    def test_damage_on_the_device(self):
        repo, store = self.path("repo"), self.path("store")
        self.ok("publish", self.package, "--repo", repo, "--name", "m")
        self.ok("trust", "add", self.public_key(), "--store", store, program=EDGE)
        self.ok("pull", repo, "m", "--store", store, program=EDGE)
        path = self.data_of("show", "m", "--store", store, program=EDGE)["package"]
        data = bytearray(self.whole)
        data[len(data) // 3] ^= 1
        os.chmod(path, 0o644)
        with open(path, "wb") as stream:
            stream.write(data)
        self.refused(4, ["model.tmpk"], "verify", "--store", store, program=EDGE)
        self.refused(4, ["model.tmpk"], "export", "m", "--store", store, "--format", "gguf", "-o",
                     self.path("o.gguf"), program=EDGE)
        shutil.rmtree(store)


class WrongKey(Whole):
    def test_another_owner(self):
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        package, _ = self.compress(model)
        owner = self.data_of("inspect", package)["owner"]
        other = self.data_of("key", "gen", "--key", self.path("other.key"))["key"]
        self.ok("verify", package, "--owner", owner)
        self.refused(4, [["owner", "key"]], "verify", package, "--owner", other)
        for bad in ("x", owner[:-1], owner.upper(), owner + "0"):
            self.refused((2, 4), [], "verify", package, "--owner", bad)

    def test_against_another_model(self):
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        package, _ = self.compress(model)
        tensors = hf_tensors()
        tensors[4].raw = tensors[4].raw[:4] + b"\0\0\0\x3f" + tensors[4].raw[8:]
        other = self.put("value.safetensors", safetensors(tensors))
        self.refused(4, [tensors[4].name], "verify", package, "--against", other, "--full")
        fewer = self.put("fewer.safetensors", safetensors(hf_tensors()[:-1]))
        self.refused(4, [], "verify", package, "--against", fewer)
        self.refused(3, ["nowhere"], "verify", package, "--against", self.path("nowhere"))


if __name__ == "__main__":
    main()
