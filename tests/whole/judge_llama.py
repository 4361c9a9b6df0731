# SPDX-License-Identifier: Apache-2.0
"""llama.cpp loads what we export and says something: of a small model made here and of
stories260K, or SmolLM2 where that is absent."""
import os
import subprocess
import unittest

import numpy as np
from gguf import GGUFReader
from harness import SHARED, TIME_SCALE, Whole, main
from makers import llama_gguf

CACHE = os.environ.get("TMILL_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tensormill")
STORIES = os.path.join(SHARED, "data/stories260K/stories260Ktok512.gguf")
SMOLLM = os.environ.get("TMILL_MODEL_SMOL") or os.path.join(CACHE, "models/smollm2-135m.gguf")


def find_llama():
    places = [os.environ.get("TMILL_LLAMA_BIN"), os.path.join(CACHE, "llama-0.3.36/bin"),
              os.path.join(CACHE, "src/build/bin")]
    for place in places:
        path = place and os.path.join(place, "llama-completion")
        if path and os.access(path, os.X_OK):
            return path
    return None


class Llama(Whole):
    def setUp(self):
        super().setUp()
        self.llama = find_llama()
        self.assertIsNotNone(self.llama, "llama-completion is missing: run deploy/setup.sh")

    def say(self, model, prompt="Once upon a time", tokens=24):
        """What follows the prompt, as bytes in latin-1. llama-completion must load the model and
        exit with 0; now and then it ends before all of its words are out, so it may try again."""
        for _ in range(8):
            result = subprocess.run(
                [self.llama, "-m", model, "-p", prompt, "-n", str(tokens), "--temp", "0",
                 "--seed", "1", "-no-cnv", "-t", "1", "--no-warmup", "--no-display-prompt"],
                stdin=subprocess.DEVNULL, capture_output=True, check=False,
                timeout=120 * TIME_SCALE)
            self.assertEqual(result.returncode, 0,
                             result.stderr.decode("utf-8", "replace")[-2000:])
            text = result.stdout.decode("latin-1")
            if len(text.strip()) > 3:
                return text
        self.fail(f"{model}: llama.cpp says nothing: {result.stderr[-2000:]}")

    def assert_same_words(self, a, b):
        a, b = a.strip(), b.strip()
        short = min(len(a), len(b))  # see say()
        self.assertEqual(a[:short], b[:short])

    def keep(self):
        return self.put("keep.toml", 'schema = 1\nrule = [{ match = "*", codec = "keep" }]\n')

    def chain(self, path):
        """GGUF, package, safetensors, package, GGUF."""
        one, _ = self.compress(path, "chain1.tmpk", self.keep())
        middle = self.export(one, "chain.safetensors")
        two, _ = self.compress(middle, "chain2.tmpk", self.keep())
        return self.export(two, "chain.gguf")

    def test_a_model_made_here_loads_in_every_form(self):
        source = self.path("tiny.gguf")
        llama_gguf(source)
        first = self.say(source)
        self.assertTrue(first)
        for recipe in ("int8", "int4", "ternary"):
            package, _ = self.compress(source, f"{recipe}.tmpk", recipe)
            for kind in ("keep", "f16", "f32", "bf16"):
                with self.subTest(recipe, kind=kind):
                    self.assertTrue(self.say(self.export(package, f"{recipe}-{kind}.gguf",
                                                         kind=kind)))
        # Without loss it says the very same.
        self.assert_same_words(self.say(self.chain(source)), first)

    def test_a_real_model_says_the_same_without_loss_and_sense_with_it(self):
        source = STORIES if os.path.exists(STORIES) else SMOLLM
        self.assertTrue(os.path.exists(source), f"neither {STORIES} nor {SMOLLM}")
        stories = source == STORIES
        first = self.say(source)
        package, _ = self.compress(source, "int8.tmpk", "int8")
        for kind in ("keep", "f16", "f32") if stories else ("keep",):
            text = self.say(self.export(package, f"{kind}.gguf", kind=kind))
            print(f"int8, {kind}: {text.strip()[:60]!r}; source: {first.strip()[:60]!r}")
            self.assertEqual(text.split()[:2], first.split()[:2])
        kept, _ = self.compress(source, "keep.tmpk", self.keep())
        self.assert_same_words(self.say(self.export(kept, "kept.gguf")), first)
        last = self.say(self.chain(source))
        if stories:  # SmolLM2 is Q4_1, which leaves a safetensors as F32: other roundings
            self.assert_same_words(last, first)

    @unittest.skipUnless(os.path.exists(STORIES), "the shared data are not here")
    def test_a_llama2c_file_leaves_as_a_model_that_speaks(self):
        """The same model, that others converted: the same vocabulary and the same words."""
        folder = os.path.dirname(STORIES)
        for name, new in (("stories260K.bin", "model.bin"), ("tok512.bin", "tokenizer.bin")):
            self.put(new, self.read(os.path.join(folder, name)))
        package, _ = self.compress(self.path("model.bin"), recipe=self.keep())
        ours = self.export(package, "ours.gguf")
        got, want = GGUFReader(ours).fields, GGUFReader(STORIES).fields
        for key in ("tokens", "scores", "token_type", "model", "bos_token_id", "eos_token_id"):
            self.assertEqual(got[f"tokenizer.ggml.{key}"].contents(),
                             want[f"tokenizer.ggml.{key}"].contents(), key)
        self.assert_same_words(self.say(ours), self.say(STORIES))

    def quantise(self, source, out, kind, *options):
        result = subprocess.run(
            [os.path.join(os.path.dirname(self.llama), "llama-quantize"), *options, source,
             self.path(out), kind, "1"], stdin=subprocess.DEVNULL, capture_output=True,
            check=False, timeout=120 * TIME_SCALE)
        self.assertEqual(result.returncode, 0, result.stderr.decode("utf-8", "replace")[-2000:])
        return self.path(out)

    def test_what_llama_quantises_is_read_as_llama_reads_it(self):
        """Each type, packed and unpacked again by ggml's own code, bit for bit."""
        source = self.path("tiny.gguf")
        llama_gguf(source, layers=1, hidden=256, ffn=512)
        for kind, types in [("Q4_0", {"Q4_0"}), ("Q4_1", {"Q4_1"}), ("Q5_0", {"Q5_0"}),
                            ("Q5_1", {"Q5_1"}), ("Q8_0", {"Q8_0"}), ("Q2_K", {"Q2_K"}),
                            ("Q3_K_S", {"Q3_K"}), ("Q4_K_S", {"Q4_K"}), ("Q5_K_S", {"Q5_K"}),
                            ("Q6_K", {"Q6_K"}), ("IQ4_NL", {"IQ4_NL"}), ("IQ4_XS", {"IQ4_XS"}),
                            ("TQ1_0", {"TQ1_0"}), ("TQ2_0", {"TQ2_0"}), ("mxfp4", {"MXFP4"})]:
            with self.subTest(kind):
                options = ["--pure"]
                if kind == "mxfp4":
                    options = ["--tensor-type", "attn_q=mxfp4", "--tensor-type", "ffn_up=mxfp4"]
                packed = self.quantise(source, "packed.gguf", "Q8_0" if kind == "mxfp4" else kind,
                                       *options)
                self.assertLessEqual(types, {t["dtype"] for t in self.data_of(
                    "inspect", packed, "--tensors")["tensors"]})
                plain = self.quantise(packed, "plain.gguf", "F32", "--allow-requantize")
                package, _ = self.compress(packed, recipe=self.keep())
                ours = GGUFReader(self.export(package, "ours.gguf", kind="f32")).tensors
                theirs = {t.name: t.data for t in GGUFReader(plain).tensors}
                self.assertEqual({t.name for t in ours}, set(theirs))
                for t in ours:
                    np.testing.assert_array_equal(t.data.view("<u4"), theirs[t.name].view("<u4"))


if __name__ == "__main__":
    unittest.TestCase.maxDiff = None
    main()
