# SPDX-License-Identifier: Apache-2.0
"""tmill-edge list, show, verify, export, run."""
import os

from contract import EdgeContract
from harness import EDGE, ROOT, Whole, main
from makers import hf_tensors, llama_gguf, safetensors


class Reading(EdgeContract, Whole):
    COMMANDS = {"list": 0, "show": 1, "verify": 0, "export": 1, "run": 1}

    def setUp(self):
        super().setUp()
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        self.package, self.made = self.compress(model)
        self.repo = self.path("repo")
        self.ok("publish", self.package, "--repo", self.repo, "--name", "m")
        self.ok("trust", "add", self.public_key(), program=EDGE)
        self.ok("pull", self.repo, "m", program=EDGE)

    def edge(self, *argv):
        return self.data_of(*argv, program=EDGE)

    def test_an_installed_model(self):
        listed = self.edge("list")
        self.assertEqual([(m["name"], m["release"], m["previous"]) for m in listed], [("m", 1, 0)])
        shown = self.edge("show", "m")
        self.assertEqual(shown["package_id"], self.made["package_id"])
        self.assertEqual(self.read(shown["package"]), self.read(self.package))
        self.assertIn(self.made["package_id"], self.ok("show", "m", program=EDGE).out)
        self.assertRegex(self.ok("verify", program=EDGE).out, "m +release 1 ok")
        self.assertEqual(len(self.edge("verify", "m")), 1)

    def test_export_is_that_of_tmill(self):
        for form in ("gguf", "safetensors"):
            for kind in ("keep", "f16"):
                a = self.export("m", f"edge-{kind}.{form}", kind=kind, program=EDGE)
                b = self.export(self.package, f"tmill-{kind}.{form}", kind=kind)
                self.assertEqual(self.read(a), self.read(b))

    def test_run_is_that_of_tmill(self):
        model = self.path("r.gguf")
        with open(os.path.join(ROOT, "tests/vectors/chat/smollm2.jinja"),
                  encoding="utf-8") as stream:
            llama_gguf(model, template=stream.read())
        package, _ = self.compress(model)
        self.ok("publish", package, "--repo", self.repo, "--name", "r")
        self.ok("pull", self.repo, "r", program=EDGE)
        words = ["-p", "hello", "-n", "12", "-q"]
        text = self.ok("run", "r", *words, program=EDGE).out
        self.assertEqual(text, self.ok("run", package, *words).out)
        self.assertEqual(self.edge("run", "r", *words)["tokens"], 12)
        words += ["--chat", "--system", "s"]
        self.assertEqual(self.edge("run", "r", *words)["turns"],
                         self.data_of("run", package, *words)["turns"])

    def test_what_is_not_installed(self):
        for argv in (["show", "x"], ["verify", "x"], ["run", "x", "-p", "y"],
                     ["export", "x", "--format", "gguf", "-o", self.path("o")]):
            self.refused(3, ["x"], *argv, program=EDGE)
        for name in ("../m", "", "a/b", "."):
            self.refused((2, 3), [], "show", name, program=EDGE)
        empty = self.path("empty")
        self.assertEqual(self.edge("list", "--store", empty), [])
        self.assertIn("no models", self.ok("list", "--store", empty, program=EDGE).out)


if __name__ == "__main__":
    main()
