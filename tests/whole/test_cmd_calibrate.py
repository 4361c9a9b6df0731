# SPDX-License-Identifier: Apache-2.0
"""calibrate: the same bytes whatever the way (threads, kernels, memory, shards, kill -9), and a
name for everything that cannot be. That the sums are right is judged by numpy
(tests/judges/judge_calibration.py)."""
import os
import re
import shutil
import signal
import subprocess
import time

from contract import Contract
from harness import ROOT, TIME_SCALE, TMILL, Whole, main
from makers import hf_folder, hf_tensors, llama_gguf

WORDS = ("the quick brown fox jumps over the lazy dog and runs away from it " * 30).strip()


def words_of(name):
    path = os.path.join(ROOT, "node/common/data", name)
    with open(path, encoding="utf-8") as stream:
        return re.findall(r"\w+", stream.read().lower())


def grams(words, n=8):
    return {tuple(words[i:i + n]) for i in range(len(words) - n + 1)}


class Calibrate(Contract, Whole):
    COMMANDS = {"calibrate": 1}

    def setUp(self):
        super().setUp()
        self.model = self.path("m.gguf")
        llama_gguf(self.model)
        self.text = self.put("text", WORDS)
        self.words = ["calibrate", self.model, "-t", self.text, "-c", "32"]

    def make(self, name, *more, **options):
        path = self.path(name)
        data = self.data_of(*self.words, "-o", path, *more, **options)
        return path, data

    def same(self, a, b):
        self.assertEqual(self.read(a), self.read(b), f"{a} is not {b}")

    def test_the_same_bytes_whatever_the_way(self):
        first, data = self.make("first", "--threads", "1")
        self.assertGreater(data["text_windows"], 16)
        self.assertEqual(data["tokens"], 32 * data["text_windows"])
        for threads in ("2", "3"):
            for kernel in ("ref", None):
                self.same(self.make("again", "--threads", threads,
                                    env={"TMILL_KERNEL": kernel})[0], first)
        bound = data["memory_bound_bytes"]
        path, less = self.make("less", "-m", str(bound - 1))
        self.assertEqual(less["passes"], 2)
        self.assertLess(less["memory_bound_bytes"], bound)
        self.same(path, first)
        self.refused(6, ["--memory", "one layer at a time takes"], *self.words, "-o",
                     self.path("none"), "-m", "100k")

    def test_shards_add_up(self):
        whole, data = self.make("whole")
        n = data["text_windows"]
        shards = [self.make(f"s{i}", "--windows", f"{a}..{b}")[0]
                  for i, (a, b) in enumerate(((9, n), (0, 4), (4, 9)))]
        out = self.path("sum")
        self.ok("calibrate", "--merge", *shards, "-o", out)
        self.same(out, whole)
        layers = [self.make(f"l{i}", "--layers", f"{i}..{i + 1}")[0] for i in range(2)]
        self.ok("calibrate", "--merge", *reversed(layers), "-o", out)
        self.same(out, whole)
        self.refused(2, ["window 4 is in"], "calibrate", "--merge", shards[0], shards[2],
                     self.make("x", "--windows", "3..5")[0], "-o", out)

    def test_what_it_holds(self):
        path, data = self.make("f")
        shown = self.data_of("calibrate", "--show", path)
        self.assertEqual(shown["architecture"], "llama")
        self.assertEqual(shown["windows"], data["text_windows"])
        self.assertEqual(len(shown["inputs"]), 2 * 9)
        whole = [i for i in shown["inputs"] if i["input"].endswith("_in")]
        held = shown["windows"] // 8
        for one in whole:
            self.assertEqual(one["tokens"] + one["sinks"], 32 * (shown["windows"] - held))
            self.assertEqual(one["held_out_tokens"] + one["held_out_sinks"], 32 * held)
            self.assertGreater(one["energy_per_token"], 0)
        out = self.ok("calibrate", "--show", path).out
        for word in ("attention_in", "down_in", "query_slope", "layers 0..2 of 2", "held out"):
            self.assertIn(word, out)
        self.assertEqual(self.data_of("inspect", path), shown)

    def test_audits(self):
        path, data = self.make("f")
        check = self.words + ["--check", path]
        self.assertIn("and sums, bit for bit", self.ok(*check).out)
        self.assertTrue(self.data_of(*check, "--layers", "1..2")["sums"])
        some = self.data_of(*check, "--windows", "3..5")
        self.assertEqual((some["windows"], some["sums"]), (2, False))
        self.refused(2, ["does not cover"], *self.words, "--check",
                     self.make("g", "--windows", "1..4")[0], "--windows", "3..5")
        other = self.path("other.gguf")
        llama_gguf(other, seed=6)
        self.refused(8, ["another model"], "calibrate", other, "-t", self.text, "--check", path)
        self.refused(8, ["its text is another"], "calibrate", self.model, "-t",
                     self.put("text2", WORDS + " x"), "--check", path)
        self.assertFalse(os.path.exists(path + ".again"))

    def test_kill_at_any_moment(self):
        whole, _ = self.make("whole", "-n", "0")
        out, kills = self.path("killed"), 0
        wait = 0.02
        argv = [TMILL, *self.words, "-n", "0", "-o", out, "--checkpoint", "0", "-q"]
        deadline = time.monotonic() + 120 * TIME_SCALE
        while not os.path.exists(out):
            self.assertLess(time.monotonic(), deadline)
            process = self.start(*argv)
            try:
                process.wait(wait)
                self.assertEqual(process.returncode, 0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
            wait *= 1.15
        self.assertGreater(kills, 2)
        self.same(out, whole)
        self.ok(*argv[1:])
        self.assertEqual([n for n in os.listdir(self.dir) if ".part" in n], [])

    def test_stopped_by_hand(self):
        whole, _ = self.make("whole", "-n", "0")
        out = self.path("out")
        words = [*self.words, "-n", "0", "-o", out, "--checkpoint", "0"]
        process = self.start(TMILL, *words)
        deadline = time.monotonic() + 60 * TIME_SCALE
        while not os.path.exists(out + ".part-0") and process.poll() is None:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        code, _, err = self.finish(process)
        self.assertIn(code, (0, 9), err)
        if code == 9:
            self.assertIn("the same command goes on", err)
            self.assertFalse(os.path.exists(out))
            self.ok(*words)
        self.same(out, whole)

    def test_a_checkpoint_of_another_calibration(self):
        out = self.path("out")
        shutil.copy(self.make("shard", "--windows", "0..3")[0], out + ".part-0")
        other = self.put("text2", WORDS + " and more")
        self.refused(8, ["out.part-0", "its text is not"], "calibrate", self.model, "-t", other,
                     "-c", "32", "-o", out)
        llama_gguf(self.path("other.gguf"), seed=6)
        self.refused(8, ["its model is not"], "calibrate", self.path("other.gguf"), "-t",
                     self.text, "-c", "32", "-o", out)

    def test_what_is_refused(self):
        out = self.path("out")
        self.refused(2, ["no name for the file"], *self.words)
        self.refused(3, ["nowhere"], "calibrate", self.path("nowhere"), "-o", out)
        self.refused(3, ["missing"], "calibrate", self.model, "-t", self.path("missing"), "-o", out)
        self.refused(2, ["a window takes 32"], "calibrate", self.model, "-c", "32", "-t",
                     self.put("short", "few"), "-o", out)
        self.refused(4, ["broken: byte 10", "UTF-8"], "calibrate", self.model, "-t",
                     self.put("broken", b"good until\xffhere"), "-o", out)
        for windows in ("3", "5..5", "7..2", "a..b", "1..99999"):
            self.refused(2, ["windows"], *self.words, "-o", out, "--windows", windows)
        self.refused(2, ["--layers", "2 layers"], *self.words, "-o", out, "--layers", "1..3")
        self.refused(2, ["--context", "at most 128"], "calibrate", self.model, "-c", "129", "-o",
                     out)
        self.refused(2, ["do not go together"], "calibrate", self.model, self.model, "-o", out)
        self.refused(2, ["do not go together"], "calibrate", "--merge", "--show", self.model)
        self.refused(2, ["overwrite the model"], *self.words, "-o", self.model)
        package, _ = self.compress(self.model)
        self.refused(2, ["made from"], "calibrate", package, "-o", out)
        self.refused(4, ["does not begin like"], "calibrate", "--show", self.text)
        folder = self.path("folder")
        hf_folder(folder, hf_tensors())
        self.refused(3, ["no tokenizer"], "calibrate", folder, "-o", out)

    def test_layers_with_nan_are_named(self):
        tensors = llama_gguf(self.path("big.gguf"))
        data = self.read(self.path("big.gguf"))
        norm = next(t for t in tensors if t.name == "blk.1.ffn_norm.weight")
        at = data.index(norm.raw)
        huge = b"\xff\xff\x7f\x7f" * (len(norm.raw) // 4)  # the largest float
        path = self.put("big.gguf", data[:at] + huge + data[at + len(huge):])
        self.refused(4, ["layer 1 gives NaN or infinity"], "calibrate", path, "-t", self.text,
                     "-c", "32", "-o", self.path("out"))

    def test_the_built_in_text(self):
        data = self.data_of("calibrate", self.model, "-n", "256", "-o", self.path("f"))
        self.assertEqual(data["text"], "the built-in text")
        self.assertEqual(data["tokens"], 256)

    def test_it_is_no_evaluation_text(self):
        ours = words_of("calibration_text.txt")
        self.assertGreater(len(ours), 3000)
        self.assertEqual(grams(ours) & grams(words_of("mini_text.txt")), set())


if __name__ == "__main__":
    main()
