# SPDX-License-Identifier: Apache-2.0
"""run: the text of models, packages and exports, the same for all threads and kernels."""
import os
import signal

from contract import Contract
from harness import SHARED, TMILL, Whole, main
from makers import llama_gguf

# karpathy/llama2.c, doc/stories260K.md
STORY = ("Once upon a time, there was a little girl named Lily. She loved to play outside in the "
         "park. One day, she saw a big, red ball.")


class Run(Contract, Whole):
    COMMANDS = {"run": 1}

    def setUp(self):
        super().setUp()
        self.model = self.path("m.gguf")
        llama_gguf(self.model)

    def write(self, model, *more, env=None, **options):
        return self.ok("run", model, "-n", "24", "-q", *more, env=env, **options).out

    def test_threads_kernels_and_seeds(self):
        for more in ([], ["--temperature", "2", "--seed", "5"]):
            first = self.write(self.model, "-p", "hello", *more, "--threads", "1")
            self.assertNotEqual(first.strip(), "")
            for kernel in ("ref", None):
                self.assertEqual(self.write(self.model, "-p", "hello", *more, "--threads", "3",
                                            env={"TMILL_KERNEL": kernel}), first)

    def test_a_package_writes_what_its_export_writes(self):
        package, _ = self.compress(self.model, "--recipe", "int4")
        export = self.path("out.gguf")
        self.ok("export", package, "-o", export, "--format", "gguf")
        self.assertEqual(self.write(package, "-p", "some words"),
                         self.write(export, "-p", "some words"))

    def test_standard_input(self):
        path = self.put("prompt", "some words")
        with open(path, "rb") as stream:
            self.assertEqual(self.write(self.model, stdin=stream),
                             self.write(self.model, "-p", "some words"))

    def test_a_signal_ends_it(self):
        result = self.run_program(TMILL, "run", self.model, "-p", "x", "-n", "1000000", "-c",
                                  "128", "--temperature", "1", signal_after=(0.02, signal.SIGINT))
        self.assertIn(result.code, (0, 9, 130))  # the context may have been full before

    def test_what_is_refused(self):
        self.refused(3, ["nowhere"], "run", self.path("nowhere"), "-p", "x")
        self.refused(4, [], "run", self.put("junk.gguf", b"GGUF junk"), "-p", "x")
        self.refused(2, ["at most 128"], "run", self.model, "-p", "x", "-c", "129")

    def test_a_real_story(self):
        model = os.path.join(SHARED, "data/stories260K/stories260Ktok512.gguf")
        if not os.path.exists(model):
            self.skipTest("no ../shared")
        text = self.ok("run", model, "-p", "", "-n", "100", "-q").out
        self.assertEqual(text.strip()[:len(STORY)], STORY)


if __name__ == "__main__":
    main()
