# SPDX-License-Identifier: Apache-2.0
"""verify: what was proven, with which coverage, and what was not."""
import os

from contract import Contract
from harness import Whole, main
from makers import big_model, bpe_tokenizer, hf_folder, hf_tensors, safetensors


class Verify(Contract, Whole):
    COMMANDS = {"verify": 1}

    def setUp(self):
        super().setUp()
        self.model = self.put("m.safetensors", safetensors(hf_tensors()))

    def test_without_the_source_it_says_what_was_not_checked(self):
        package, made = self.compress(self.model)
        result = self.ok("verify", package)
        self.assertRegex(result.out, r"signature ok[^\n]*\ncontents  ok[^\n]*\nledger    ok")
        self.assertIn("not checked", result.out)
        data = self.data_of("verify", package)
        self.assertEqual((data["ok"], data["against"]), (True, False))
        self.assertEqual(data["package_id"], made["package_id"])
        self.assertEqual(data["signatures"], data["chunks"])
        self.assertNotIn("units_checked", data)

    def test_a_sample_and_all(self):
        model = big_model(self.path("big.safetensors"), 40)
        package, _ = self.compress(model, recipe="int4")
        data = self.data_of("verify", package, "--against", model)
        self.assertEqual(data["units_checked"], 16)
        self.assertGreater(data["chance_to_miss_10_percent"], 0)
        again = self.data_of("verify", package, "--against", model, "--seed", data["seed"],
                             "--sample", 16)
        self.assertEqual(again["seed"], data["seed"])
        few = self.data_of("verify", package, "--against", model, "--sample", 3)
        self.assertEqual(few["units_checked"], 3)
        self.assertIn("not proven", self.ok("verify", package, "--against", model, "--sample",
                                            3).out)
        full = self.data_of("verify", package, "--against", model, "--full")
        self.assertEqual((full["units_checked"], full["tensors_hashed"]), (full["units"], 40))
        self.assertEqual(full["chance_to_miss_10_percent"], 0)
        text = self.ok("verify", package, "--against", model, "--full").out
        self.assertNotIn("not proven", text)

    def test_another_source_is_found_out(self):
        package, _ = self.compress(self.model)
        changed = hf_tensors()
        changed[7].raw = changed[7].raw[:-4] + b"\0\0\x80\x3f"
        other = self.put("other.safetensors", safetensors(changed))
        self.refused(4, [changed[7].name], "verify", package, "--against", other, "--full")
        renamed = hf_tensors()
        renamed[3].name = "renamed"
        other = self.put("renamed.safetensors", safetensors(renamed))
        self.refused(4, [], "verify", package, "--against", other)

    def test_files_that_travel_along_are_the_source_s(self):
        folder = self.path("model")
        hf_folder(folder, hf_tensors())
        tokenizer = self.put("model/tokenizer.json", bpe_tokenizer([("a", "b")]))
        package, _ = self.compress(folder)
        data = self.data_of("verify", package, "--against", folder)
        self.assertGreaterEqual(data["files"], 2)
        self.assertEqual(data["files_same"], data["files"])
        self.assertIn("byte for byte\n", self.ok("verify", package, "--against", folder).out)
        # A source in another form does not have them all, and that is said.
        weights = self.path("model", "model.safetensors")
        self.assertLess(self.data_of("verify", package, "--against", weights)["files_same"],
                        data["files"])
        self.assertIn("does not have the others",
                      self.ok("verify", package, "--against", weights).out)
        self.put("model/tokenizer.json", bpe_tokenizer([("a", "c")]))
        self.refused(4, ["tokenizer.json", "other bytes"], "verify", package, "--against", folder)
        os.remove(tokenizer)
        self.ok("verify", package, "--against", folder)

    def test_options_that_are_wrong(self):
        package, _ = self.compress(self.model)
        for argv in (["--sample", "-1"], ["--sample", "many"], ["--seed", "x"]):
            self.refused(2, [argv[0]], "verify", package, *argv)
        self.refused(3, ["none"], "verify", self.path("none.tmpk"))
        self.refused(3, ["none"], "verify", package, "--against", self.path("none"))


if __name__ == "__main__":
    main()
