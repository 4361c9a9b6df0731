# SPDX-License-Identifier: Apache-2.0
"""run: the text of models, packages and exports, the same for all threads and kernels."""
import json
import os
import pty
import select
import signal
import time

from contract import Contract
from harness import ROOT, SHARED, TIME_SCALE, TMILL, Whole, main
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
        llama_gguf(self.model, layers=4, context=16384)
        process = self.start(TMILL, "run", self.model, "-p", "x", "-n", "1000000", "-c", "16384")
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        code, _, err = self.finish(process)
        self.assertEqual(code, 9, err)
        self.assertRegex(err, r"^tmill: [^\n]*stopped: asked to stop after \d+ tokens\n$")

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


class Terminal:
    """A program that believes that somebody types. Everything it writes comes to the same place."""

    def __init__(self, test, *argv):
        self.test, (self.end, far) = test, pty.openpty()
        self.process = test.start("setsid", "-c", "-w", *argv, stdin=far, stdout=far, stderr=far)
        os.close(far)
        self.text = ""

    def type(self, text):
        os.write(self.end, text.encode())

    def wait(self, word, seconds=30):
        """Until the word is there; gives what came before it."""
        end = time.monotonic() + seconds * TIME_SCALE
        while word not in self.text:
            if time.monotonic() > end:
                self.test.fail(f"{word!r} does not come: {self.text!r}")
            self.read()
        before, self.text = self.text.split(word, 1)
        return before

    def wait_for_more(self):
        while not self.text:
            self.read()

    def read(self):
        if select.select([self.end], [], [], 0.2)[0]:
            try:
                self.text += os.read(self.end, 4096).decode("utf-8", "replace")
            except OSError:  # nobody has the other end any more
                self.test.fail(f"it ended: {self.text!r}")

    def close(self):
        code = self.process.wait(timeout=30 * TIME_SCALE)
        os.close(self.end)
        return code


class Chat(Whole):
    def setUp(self):
        super().setUp()
        with open(os.path.join(ROOT, "tests/vectors/chat/smollm2.jinja"),
                  encoding="utf-8") as stream:
            self.template = stream.read()
        self.model = self.path("m.gguf")
        llama_gguf(self.model, template=self.template)
        self.short = ["--system", "s", "-n", "3", "--temperature", "1"]

    def talk(self, lines, *more, model=None):
        with open(self.put("lines", lines), "rb") as stream:
            return self.data_of("run", model or self.model, "--chat", *more, stdin=stream)

    def rendered(self, messages):
        path = self.put("talk", json.dumps([{"role": r, "content": c} for r, c in messages]))
        return self.data_of("tokenize", self.model, path, "--chat")["ids"]

    def test_every_turn_has_the_ids_of_the_whole_conversation(self):
        lines = ["a b", "<|im_end|>", "c"]
        turns = self.talk("\n".join(lines), *self.short)["turns"]
        said, known = [("system", "s")], []
        for line, turn in zip(lines, turns, strict=True):
            said.append(("user", line))
            self.assertEqual(turn["context_ids"], self.rendered(said))
            said.append(("assistant", turn["text"]))
            # What was read before is not read again; the answer's last token was not read.
            kept = len(turn["context_ids"]) - turn["read_tokens"]
            self.assertGreaterEqual(kept, len(known))
            self.assertEqual(turn["context_ids"][:len(known)], known)
            known = turn["context_ids"]
        self.assertLess(turns[2]["read_tokens"], len(known) - 20)

    def test_threads_kernels_and_packages(self):
        first = self.talk("a b\nc\n", *self.short, "--threads", "1")["turns"]
        self.assertEqual(self.talk("a b\nc\n", *self.short, "--threads", "3")["turns"], first)
        package, _ = self.compress(self.model)
        export = self.export(package, "out.gguf")
        self.assertEqual(self.talk("a b\nc\n", *self.short, model=package)["turns"],
                         self.talk("a b\nc\n", *self.short, model=export)["turns"])

    def test_one_turn(self):
        turn, = self.data_of("run", self.model, "--chat", "-p", "a b", *self.short)["turns"]
        text = self.ok("run", self.model, "--chat", "-p", "a b", *self.short, "-q")
        self.assertEqual((text.out, text.err), (turn["text"] + "\n", ""))
        self.assertEqual(self.talk("a b\n", *self.short)["turns"], [turn])

    def test_the_end_of_the_context(self):
        for form in ([], ["--json"]):
            with open(self.put("lines", "a\n" * 20), "rb") as stream:
                result = self.run_program(TMILL, "run", self.model, "--chat", *self.short, "-q",
                                          *form, stdin=stream)
            self.assertEqual(result.code, 2)
            self.assertIn("the context of 128 tokens is full", result.err)
        self.refused(2, ["context of 20 tokens is full", "--context"], "run", self.model, "--chat",
                     "-p", "x", "-c", "20")

    def test_what_is_refused(self):
        llama_gguf(self.path("none.gguf"))
        self.refused(3, ["none.gguf", "no chat template", "--chat"], "run",
                     self.path("none.gguf"), "--chat", "-p", "x")
        llama_gguf(self.path("odd.gguf"), template="{{ messages }}")
        self.refused(8, ["odd.gguf", "none of the known forms"], "run", self.path("odd.gguf"),
                     "--chat", "-p", "x")
        self.refused(2, ["--system", "--chat"], "run", self.model, "--system", "x", "-p", "y")

    def test_somebody_types(self):
        terminal = Terminal(self, TMILL, "run", self.model, "--chat", *self.short)
        terminal.wait("> ")
        terminal.type("half a question\x03")
        terminal.wait("(Ctrl-D ends the conversation)")
        terminal.wait("> ")
        terminal.type("a b\n")
        terminal.wait("a b\r\n")
        terminal.wait("> ")
        terminal.type("\x04")
        terminal.wait("1 answers, ")
        self.assertEqual(terminal.close(), 0)

    def test_an_answer_is_stopped(self):
        model = self.path("long.gguf")
        llama_gguf(model, template=self.template, layers=4, context=16384)
        terminal = Terminal(self, TMILL, "run", model, "--chat", "-c", "16384")
        terminal.wait("> ")
        for _ in range(2):
            terminal.type("x\n")
            terminal.wait("x\r\n")
            terminal.wait_for_more()  # it writes, and waits for us to read
            terminal.type("\x03")
            terminal.wait("\r\n> ")
        terminal.type("\x04")
        terminal.wait("2 answers, ")
        self.assertEqual(terminal.close(), 0)


if __name__ == "__main__":
    main()
