# SPDX-License-Identifier: Apache-2.0
"""eval: figures of models, packages and exports; what cannot be measured is named. That the figures
are right is judged by llama.cpp (tests/judges/judge_pass.py)."""
import os
import shutil

from contract import Contract
from harness import SHARED, Whole, main
from makers import config, hf_folder, hf_tensors, llama_gguf, write

WORDS = ("the quick brown fox jumps over the lazy dog and runs away from it " * 30).strip()
FIGURES = ("nll", "nll_error", "perplexity", "perplexity_error", "tokens", "windows", "context")
BASE_FIGURES = ("nll", "perplexity", "ratio", "ratio_error", "kl_mean", "kl_error", "kl_median",
                "kl_99", "kl_max", "same_top")


class Eval(Contract, Whole):
    COMMANDS = {"eval": 1}

    def setUp(self):
        super().setUp()
        self.model = self.path("m.gguf")
        llama_gguf(self.model)
        self.text = self.put("text", WORDS)

    def measure(self, model, *more, env=None):
        data = self.data_of("eval", model, "--text", self.text, "-c", "64", *more, env=env)
        figures = {name: data[name] for name in FIGURES}
        if "base" in data:
            figures.update({"base " + name: data["base"][name] for name in BASE_FIGURES})
        return figures

    def test_threads_and_kernels_change_no_digit(self):
        first = self.measure(self.model, "--threads", "1")
        self.assertGreater(first["perplexity"], 1.0)
        self.assertEqual(first["context"], 64)
        self.assertEqual(first["tokens"], first["windows"] * 31)
        for threads in ("2", "3"):
            for kernel in ("ref", None):
                self.assertEqual(self.measure(self.model, "--threads", threads,
                                              env={"TMILL_KERNEL": kernel}), first)

    def test_a_package_is_what_its_export_is(self):
        package, _ = self.compress(self.model, recipe="int4")
        export = self.path("out.gguf")
        self.ok("export", package, "-o", export, "--format", "gguf")
        ours = self.measure(package, "--base", self.model)
        self.assertEqual(ours, self.measure(export, "--base", self.model))
        self.assertGreater(ours["base kl_mean"], 0.0)
        self.assertLessEqual(ours["base kl_median"], ours["base kl_99"])
        self.assertLessEqual(ours["base kl_99"], ours["base kl_max"])
        self.assertEqual(ours["base nll"], self.measure(self.model)["nll"])
        same = self.measure(self.model, "--base", self.model)
        self.assertEqual(same["base kl_max"], 0.0)
        self.assertEqual(same["base ratio"], 1.0)
        self.assertEqual(same["base same_top"], 1.0)

    def test_what_is_printed(self):
        out = self.ok("eval", self.model, "--base", self.model, "--text", self.text, "-c", "64",
                      "-n", "100").out
        for words in ("perplexity ", " scored in 2 windows of 64", "divergence ", "same top",
                      "speed ", "tokens/s", "peak memory"):
            self.assertIn(words, out)

    def test_the_built_in_text(self):
        data = self.data_of("eval", self.model)
        self.assertEqual(data["context"], 128)
        self.assertEqual(data["text"], "the built-in text")
        self.assertGreaterEqual(data["windows"], 16)

    def test_gates(self):
        package, _ = self.compress(self.model, recipe="int4")
        words = ["eval", package, "--base", self.model, "--text", self.text, "-c", "64"]
        figures = self.measure(package, "--base", self.model)
        self.ok(*words, "--gate", f"kld<{figures['base kl_mean'] * 1.01},ppl<9x,top1>0")
        bound = repr(figures["base kl_mean"])
        # What was measured is printed before it is held.
        done = self.refused(7, [f"the mean divergence is {bound}", f"below {bound}", "more bits"],
                            *words, "--gate", f"ppl<9x,kld<{bound}", prints=True)
        self.assertIn("same top ", done.out)
        self.refused(2, ["--gate", "'kld' is no clause"], *words, "--gate", "kld")
        self.refused(2, ["--gate", "--base"], "eval", package, "--gate", "kld<1")
        self.refused(7, ["the perplexity is"], "eval", package, "--text", self.text, "-c", "64",
                     "--gate", "ppl<1", prints=True)
        self.refused(7, ["right answers in mini is"], *words, "--items", "3", "--gate", "mini>2",
                     prints=True)

    def test_tasks(self):
        package, _ = self.compress(self.model, recipe="int4")
        lines = ['{"prompt": "the fox", "choices": ["runs", "the dog"], "answer_idx": 0}',
                 '{"prompt": "the dog", "choices": ["jumps over", "fox"], "answer_idx": 1}']
        arc = self.put("arc.jsonl", "\n".join(lines))
        words = ["--text", self.text, "-c", "64", "--tasks", f"mini,arc={arc}", "--items", "5"]
        data = self.data_of("eval", package, "--base", self.model, "--robust", *words)
        self.assertEqual([task["task"] for task in data["tasks"]], ["mini", "arc"])
        self.assertEqual([task["items"] for task in data["tasks"]], [5, 2])
        for task in data["tasks"]:
            for part in (task, task["typos"], task["distraction"]):
                self.assertIn(part["accuracy"] * task["items"], range(6))
                self.assertIn("kept_error", part)
        again = self.data_of("eval", package, "--base", self.model, "--robust", *words,
                             "--threads", "3", env={"TMILL_KERNEL": "ref"})
        self.assertEqual(again["tasks"], data["tasks"])
        self.assertEqual(again["base_windows_cached"], again["windows"])
        none = self.data_of("eval", package, "--base", self.model, *words, "--logits-cache", "0")
        self.assertEqual(none["base_windows_cached"], 0)
        self.assertEqual(none["base"], data["base"])
        out = self.ok("eval", package, "--base", self.model, "--robust", *words).out
        for text in ("mini ", "mini, typos", "arc, distraction", "% right +- ", "kept "):
            self.assertIn(text, out)
        self.refused(2, ["'sums' is no task"], "eval", self.model, "--tasks", "sums")
        self.refused(3, ["'arc' is not built in", "--task-data"], "eval", self.model, "--tasks",
                     "arc")
        self.refused(4, ["arc.jsonl: line 1", "2 to 16 choices"], "eval", self.model, "--tasks",
                     "arc=" + self.put("arc.jsonl", '{"prompt": "p", "choices": ["a"]}'))

    def test_what_is_refused(self):
        self.refused(3, ["nowhere"], "eval", self.path("nowhere"))
        self.refused(3, ["missing"], "eval", self.model, "--text", self.path("missing"))
        self.refused(2, ["has 1 tokens", "128", "longer text"], "eval", self.model, "--text",
                     self.put("empty", ""))
        self.refused(2, ["a window takes 64"], "eval", self.model, "--text",
                     self.put("short", "few words"), "-c", "64")
        self.refused(4, ["broken: byte 10", "UTF-8"], "eval", self.model, "--text",
                     self.put("broken", b"good until\xffhere"))
        for context in ("7", "2", "4294967296"):
            self.refused(2, ["--context", "at most 128"], "eval", self.model, "-c", context)
        other = self.path("other")
        hf_folder(other, hf_tensors())
        self.refused(3, ["other", "no tokenizer"], "eval", other)
        self.refused(8, ["80 tokens"], "eval", self.model, "--base", other, "--text", self.text,
                     "-c", "64")

    def test_models_that_cannot_run(self):
        for changes, codes, words in (
                ({"model_type": "bert"}, 8, ["bert", "no graph", "compress"]),
                ({"rope_scaling": {"type": "yarn", "factor": 4}}, 8, ["yarn"]),
                ({"num_hidden_layers": 3}, 4, ["model.layers.2", "is missing"]),
                ({"num_hidden_layers": 1}, 8, ["model.layers.1", "no such tensor"]),
                ({"num_attention_heads": 7}, 4, ["its configuration has"])):
            folder = self.path("bad")
            shutil.rmtree(folder, ignore_errors=True)
            hf_folder(folder, hf_tensors())
            write(os.path.join(folder, "config.json"), config(**changes))
            self.refused(codes, words, "eval", folder)
        folder = self.path("nan")
        tensors = hf_tensors()
        tensors[3].raw = b"\x00\x00\xc0\x7f" + tensors[3].raw[4:]
        hf_folder(folder, tensors)
        self.refused(4, [tensors[3].name, "row 0 holds NaN or infinity"], "eval", folder)
        os.remove(os.path.join(folder, "config.json"))
        self.refused(8, ["no configuration"], "eval", folder)

    def test_a_real_model(self):
        model = os.path.join(SHARED, "data/stories260K/stories260Ktok512.gguf")
        text = os.path.join(SHARED, "data/text/tinystories/tinystories_head_2MiB.txt")
        if not os.path.exists(model) or not os.path.exists(text):
            self.skipTest("no ../shared")
        data = self.data_of("eval", model, "--text", text, "-c", "128", "-n", "2560")
        # llama-perplexity -c 128 --chunks 20 of the same
        self.assertAlmostEqual(data["perplexity"], 6.1259, delta=0.0006)


if __name__ == "__main__":
    main()
