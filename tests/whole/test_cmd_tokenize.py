# SPDX-License-Identifier: Apache-2.0
"""tokenize: ids and text from models, packages and tokenizer files; what is not read is named."""
import json
import os
import shutil

from contract import Contract
from harness import ROOT, SHARED, Whole, main
from makers import hf_folder, hf_tensors

# "ab" is one token; byte fallback carries all else.
VOCAB = {"<unk>": 0, "<s>": 1, "a": 2, "b": 3, "ab": 4}
VOCAB.update({f"<0x{i:02X}>": 5 + i for i in range(256)})
TOKENIZER = {
    "added_tokens": [{"id": 1, "content": "<s>", "special": True, "normalized": False},
                     {"id": 300, "content": "<end>", "special": True, "normalized": False}],
    "post_processor": {"type": "TemplateProcessing",
                       "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                                  {"Sequence": {"id": "A", "type_id": 0}}],
                       "special_tokens": {"<s>": {"id": "<s>", "ids": [1]}}},
    "decoder": {"type": "ByteFallback"},
    "model": {"type": "BPE", "vocab": VOCAB, "merges": ["a b"], "byte_fallback": True},
}


class Tokenize(Contract, Whole):
    COMMANDS = {"tokenize": 1}

    def setUp(self):
        super().setUp()
        self.json = self.put("t/tokenizer.json", json.dumps(TOKENIZER))
        self.text = self.put("text", "ab<end>b\n")

    def both_ways(self, model):
        ids = self.ok("tokenize", model, self.text).out
        self.assertEqual(ids, "1 4 300 3 15\n")
        self.assertEqual(self.ok("tokenize", model, self.text, "--no-special").out,
                         "4 65 106 115 105 67 3 15\n")
        path = self.put("ids", ids)
        self.assertEqual(self.ok("tokenize", model, path, "--decode", "--no-special").out, "abb\n")
        self.assertEqual(self.ok("tokenize", model, path, "-d").out, "<s>ab<end>b\n")

    def test_a_file_a_folder_a_model_and_its_package(self):
        self.both_ways(self.json)
        self.both_ways(self.path("t"))
        hf_folder(self.path("m"), hf_tensors(), 3)
        shutil.copy(self.json, self.path("m", "tokenizer.json"))
        self.both_ways(self.path("m"))
        package, _ = self.compress(self.path("m"))
        self.both_ways(package)

    def test_json(self):
        result = self.ok("tokenize", self.json, self.text, "--json")
        self.assertEqual(result.json["schema"], "tmill.tokenize.ids/1")
        self.assertEqual(result.data, {"tokens": 5, "bytes": 9, "ids": [1, 4, 300, 3, 15]})
        result = self.ok("tokenize", self.json, self.put("ids", "4, 3\n204"), "--decode", "--json")
        self.assertEqual(result.json["schema"], "tmill.tokenize.text/1")
        self.assertEqual(result.data, {"tokens": 3, "bytes": 4, "text": "abb\ufffd"})

    def test_lines_and_broken_text(self):
        path = self.put("lines", b"ab\n\na\xff\nb")
        self.assertEqual(self.ok("tokenize", self.json, path, "--lines").out,
                         "1 4\n1\n1 2 244 196 194\n1 3\n")
        self.assertEqual(self.ok("tokenize", self.json, self.put("empty", "")).out, "1\n")

    def test_standard_input(self):
        for extra in ([], ["-"]):
            with open(self.text, "rb") as stream:
                out = self.ok("tokenize", self.json, *extra, stdin=stream).out
            self.assertEqual(out, "1 4 300 3 15\n")

    def test_what_is_refused(self):
        self.refused(3, ["nowhere"], "tokenize", self.path("nowhere"), self.text)
        self.refused(3, ["missing", "no such file"], "tokenize", self.json, self.path("missing"))
        os.mkdir(self.path("empty"))
        self.refused(3, ["empty", "none with it", "tokenizer.json"], "tokenize",
                     self.path("empty"), self.text)
        hf_folder(self.path("m"), hf_tensors(), 3)
        for name in ("tokenizer.json", "tokenizer.model"):
            if os.path.exists(self.path("m", name)):
                os.remove(self.path("m", name))
        package, _ = self.compress(self.path("m"))
        self.refused(3, ["out.tmpk", "none with it"], "tokenize", package, self.text)
        self.refused(4, ["byte 2", "'x\\x1b'", "decimal"], "tokenize", self.json,
                     self.put("ids", "4 x\x1b"), "--decode")
        self.refused(4, ["token 1", "999"], "tokenize", self.json, self.put("ids", "4 999"), "-d")
        many = self.put("ids", "4 " * 100000)
        self.assertEqual(self.ok("tokenize", self.json, many, "-d").out, "ab" * 100000)
        self.refused(4, ["is none"], "tokenize", self.json, self.put("ids", "4294967296"), "-d")
        self.refused(2, ["--lines"], "tokenize", self.json, self.text, "--lines", "--decode")
        broken = self.put("b/tokenizer.json", '{"model": {"type": "WordPiece", "vocab": {}}}')
        self.refused(8, ["WordPiece", "not known"], "tokenize", broken, self.text)

    def test_conversations(self):
        talk = self.put("talk", json.dumps([{"role": "user", "content": "a<end>b"}]))
        self.refused(3, ["no chat template"], "tokenize", self.json, talk, "--chat")
        config = self.put("t/tokenizer_config.json", json.dumps({"chat_template": "{{ x }}"}))
        self.refused(8, ["none of the known forms", "plain text"], "tokenize", self.json, talk,
                     "--chat")
        with open(os.path.join(ROOT, "tests/vectors/chat/smollm2.jinja"),
                  encoding="utf-8") as stream:
            self.put("t/tokenizer_config.json", json.dumps({"chat_template": stream.read()}))
        out = self.ok("tokenize", self.json, talk, "--chat").out.split()
        self.assertNotIn("300", out)  # what a user writes ends nothing
        text = self.ok("tokenize", self.json, self.put("ids", " ".join(out)), "-d").out
        self.assertTrue(text.endswith(
            "<|im_start|>user\na<end>b<|im_end|>\n<|im_start|>assistant\n"), text)
        self.assertEqual(self.data_of("tokenize", self.json, talk, "--chat")["ids"],
                         list(map(int, out)))
        for text, code, words in (("{}", 4, ["no list"]), ("[", 4, ["talk"]),
                                  ("[]", 2, ["no message"]),
                                  ('[{"role": "user"}]', 4, ["message 0"]),
                                  ('[{"role": "tool", "content": ""}]', 2, ["'tool'"])):
            self.refused(code, words, "tokenize", self.json, self.put("talk", text), "--chat")
        self.refused(2, ["--chat"], "tokenize", self.json, talk, "--chat", "--decode")
        os.remove(config)

    def test_a_real_model(self):
        model = os.path.join(SHARED, "data/stories260K/stories260Ktok512.gguf")
        if not os.path.exists(model):
            self.skipTest("no ../shared")
        text = self.put("story", "Once upon a time, there was a little girl.\n")
        ids = self.ok("tokenize", model, text).out
        self.assertEqual(ids.split()[0], "1")
        out = self.ok("tokenize", model, self.put("ids", ids), "-d", "--no-special").out
        self.assertEqual(out, "Once upon a time, there was a little girl.\n")


if __name__ == "__main__":
    main()
