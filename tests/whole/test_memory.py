# SPDX-License-Identifier: Apache-2.0
"""What compressing takes in memory stays below what inspect promises: for a real model, one large
tensor, tens of thousands of small ones, and for every kind of recipe."""
import json
import os
import struct

from harness import TMILL, Whole, main

CACHE = os.environ.get("TMILL_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tensormill")
SMOLLM = os.environ.get("TMILL_MODEL_SMOL") or f"{CACHE}/models/smollm2-135m.gguf"
KEEP = 'schema = 1\nrule = [ { match = "*", codec = "keep" } ]\n'
GOAL = 256 << 20  # of the demo's model


class Memory(Whole):
    def hollow(self, name, shapes):
        """A safetensors file of zeros that takes no room on the disk."""
        entries, at = {}, 0
        for tensor, (rows, cols) in shapes.items():
            end = at + rows * cols * 4
            entries[tensor] = {"dtype": "F32", "shape": [rows, cols], "data_offsets": [at, end]}
            at = end
        header = json.dumps(entries).encode()
        header += b" " * (-len(header) % 8)
        path = self.put(name, struct.pack("<Q", len(header)) + header)
        os.truncate(path, 8 + len(header) + at)
        return path

    def peak(self, model, recipe, workers):
        """Resident bytes at their highest."""
        process = self.start(TMILL, "compress", model, "-o", self.path("out.tmpk"), "--recipe",
                             recipe, "--workers", str(workers), "-q")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0, process.stderr.read())
        return usage.ru_maxrss * 1024

    def hold(self, model, recipes=("int8", "ternary")):
        bound = self.data_of("inspect", model)["compress_memory_bytes"]
        keep = self.put("keep.toml", KEEP)
        for recipe in (*recipes, keep):
            peak = self.peak(model, recipe, os.cpu_count())
            self.assertLess(peak, bound, f"{model} {recipe}")
            self.assertGreater(peak, bound / 16, "the promise says nothing any more")
        return bound

    def test_a_real_model(self):
        self.assertTrue(os.path.exists(SMOLLM), f"{SMOLLM} is missing: run deploy/setup.sh")
        self.assertLess(self.hold(SMOLLM, ("int8", "int4", "ternary")), GOAL)
        self.assertLess(self.peak(SMOLLM, "int8", 1), GOAL)

    def test_the_size_of_a_tensor_does_not_matter(self):
        small = self.hold(self.hollow("small.safetensors", {"w": (512, 512)}), ())
        large = self.hold(self.hollow("large.safetensors", {"w": (16384, 8192)}))
        self.assertLess(large - small, 2 << 20)

    def test_many_tensors(self):
        shapes = {f"model.layers.{i // 500}.mlp.experts.{i % 500}.down_proj.weight": (32, 32)
                  for i in range(60000)}
        self.hold(self.hollow("many.safetensors", shapes), ("int8",))


if __name__ == "__main__":
    main()
