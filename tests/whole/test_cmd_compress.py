# SPDX-License-Identifier: Apache-2.0
"""compress, submit and resume: recipes, options and where they come from, exit codes."""
import json
import os
import pty
import re
import signal
import time

from contract import Contract
from harness import TMILL, Whole, main
from makers import (Tensor, big_model, hf_folder, hf_tensors, llama_gguf, safetensors, weights,
                    write)


class Compress(Contract, Whole):
    COMMANDS = {"compress": 1, "submit": 1, "resume": 1}

    def setUp(self):
        super().setUp()
        self.model = self.put("m.safetensors", safetensors(hf_tensors()))
        self.out = self.path("out.tmpk")

    def pipelines(self, package):
        return {t["name"]: t["pipeline"] for t in
                self.data_of("inspect", package, "--tensors")["tensors"]}

    def test_recipes_by_name_and_by_file(self):
        sizes = {}
        for recipe in ("int8", "int4", "ternary"):
            package, data = self.compress(self.model, f"{recipe}.tmpk", recipe)
            sizes[recipe] = data["package_bytes"]
            self.ok("verify", package, "--against", self.model, "--full")
        self.assertGreater(sizes["int8"], sizes["int4"])
        self.assertGreater(sizes["int4"], sizes["ternary"])
        recipe = self.put("r.toml", """schema = 1
rule = [
  { match = "*", codec = "int4" },
  { match = "*mlp*", codec = "ternary" },
  { match = "lm_head.weight", codec = "keep" },
  { match = "model.layers.0.self_attn.?_proj.weight", codec = "int8" },
]
""")
        package, _ = self.compress(self.model, "mixed.tmpk", recipe)
        seen = self.pipelines(package)
        self.assertIn("zstd", seen["lm_head.weight"])
        self.assertIn("ternary", seen["model.layers.1.mlp.up_proj.weight"])
        self.assertIn("bits=8", seen["model.layers.0.self_attn.q_proj.weight"])
        self.assertIn("bits=4", seen["model.layers.1.self_attn.q_proj.weight"])

    def test_gates(self):
        model = self.path("m.gguf")
        llama_gguf(model)
        words = ["compress", model, "-o", self.out]
        # What misses leaves nothing under the name; --fallback goes on to what is safer.
        self.refused(7, ["the mean divergence is", "below 1e-09", "--recipe int8", "--fallback"],
                     *words, "--recipe", "int4", "--gate", "kld<0.000000001")
        data = self.data_of(*words, "--recipe", "int4", "--gate", "kld<0.000000001,mini>0.9x",
                            "--fallback")
        self.assertEqual(data["recipe"], "keep")
        self.assertEqual([text.split(":")[0] for text in data["gate"]["missed"]],
                         ["int4", "int8"])
        self.assertTrue(data["gate"]["measured"])
        self.assertEqual(data["figures"]["base"]["kl_max"], 0)
        self.assertEqual(data["figures"]["tasks"][0]["kept"], 1)
        self.assertEqual(self.data_of("verify", self.out)["figures"], "not checked")
        self.assertEqual(self.data_of("verify", self.out, "--against", model, "--figures")
                         ["figures"], "verified")
        self.refused(2, ["--against", "give the source model"], "verify", self.out, "--figures")
        out = self.ok(*words, "--recipe", "int4", "--gate", "kld<9").out
        self.assertRegex(out, r"quality +perplexity [0-9.]+ x the source's")
        self.assertIn("gate     held: kld<9", out)
        out = self.ok(*words, "--recipe", "int4", "--gate", "kld<0.000000001", "--fallback").out
        self.assertRegex(out, r"missed +int4: the mean divergence .*; next int8\nmissed +int8: ")
        # Words that are wrong cost no work.
        self.refused(2, ["'kld' is no clause"], *words, "--gate", "kld")
        self.refused(3, ["arc", "--task-data"], *words, "--gate", "arc>0.9x")
        self.refused(2, ["--fallback", "no gate"], *words, "--fallback")
        self.refused(3, ["nowhere"], *words, "--gate", "kld<1", "--text", self.path("nowhere"))
        self.assertNotIn("running", json.dumps(self.data_of("jobs")))

    def test_a_gate_without_a_forward_pass(self):
        words = ["compress", self.model, "-o", self.out, "--recipe", "int4"]
        data = self.data_of(*words, "--gate", "kld<0.01,error<0.5")
        self.assertFalse(data["gate"]["measured"])
        self.assertIn("no configuration", data["gate"]["reason"])
        self.assertNotIn("figures", data)
        self.assertIn("held by the weights' error alone",
                      self.ok(*words, "--gate", "error<0.5").out)
        self.refused(7, ["the relative error of the weights is", "below 0.01"], *words, "--gate",
                     "error<0.01")
        self.assertEqual(self.data_of("verify", self.out)["figures"], "none")

    def test_a_gate_stays_with_its_job(self):
        model = self.path("m.gguf")
        llama_gguf(model)
        self.refused(7, ["divergence"], "compress", model, "-o", self.out, "--gate", "kld<0",
                     json_too=False)
        job = self.data_of("jobs")["jobs"][0]["job"]
        self.refused(7, ["divergence", "wider --gate", job], "resume", job)
        self.refused(2, ["no clause"], "resume", job, "--gate", "nothing")
        self.assertTrue(self.data_of("resume", job, "--gate", "kld<9")["gate"]["measured"])
        self.ok("verify", self.out, "--against", model, "--figures")

    def test_recipes_that_are_wrong(self):
        for text, words in (
                ('schema = 1\nrule = [{ match = "*", codec = "int8" }]\ncolour = 1\n',
                 [":3:1", "colour"]),
                ('schema = 1\nrule = [\n  { match = "*", codec = "int8", size = 3 },\n]\n',
                 [":3:41", "size"]),
                ('schema = 2\nrule = []\n', ["schema"]),
                ('schema = 1\nrule = [{ match = "*", codec = "int9" }]\n', ["int9"]),
                ('schema = 1\nrule = [{ match = "*", codec = "int(bits=5)" }]\n', ["bits"]),
                ('schema = 1\nrule = [{ match = "lm_head*", codec = "int8" }]\n',
                 ["no rule", "model."]),
                ('schema = 1\nrule = [{ match = "*" codec = "int8" }]\n', [":2:"]),
                ('schema = 1\nschema = 1\n', [":2:1"]), ("\0", [":1:1"])):
            with self.subTest(text):
                recipe = self.put("bad.toml", text)
                self.refused((2, 4), words, "compress", self.model, "-o", self.out, "--recipe",
                             recipe)
        self.refused(3, ["nothing", "int8", "int4", "ternary"], "compress", self.model, "-o",
                     self.out, "--recipe", "nothing")
        self.refused(3, ["no.toml"], "compress", self.model, "-o", self.out, "--recipe",
                     self.path("no.toml"))

    def test_options_that_are_wrong(self):
        for argv, words in (
                (["compress", self.model], ["--output"]),
                (["compress", self.model, "-o", self.out, "-o", self.out], ["--output"]),
                (["compress", self.model, "-o", self.out, "--workers", "0"], ["--workers"]),
                (["compress", self.model, "-o", self.out, "--workers", "257"], ["--workers"]),
                (["compress", self.model, "-o", self.out, "--workers", "-1"], ["--workers"]),
                (["compress", self.model, "-o", self.out, "--workers", "2x"], ["--workers"]),
                (["submit", self.model, "-o", self.out, "--workers", "0"], ["--workers"]),
                (["compress", self.model, "-o", self.out, "--listen", "x"], ["--listen"])):
            with self.subTest(argv[1:]):
                self.refused(2, words, *argv)
        self.refused(2, ["--output", "missing"], "compress", self.model, "-o", json_too=False)
        self.refused(3, ["no.key"], "compress", self.model, "-o", self.out, "--key",
                     self.path("no.key"))
        self.refused(3, ["Jffff"], "resume", "Jffff")

    def test_a_value_comes_from_flag_environment_file_default_in_this_order(self):
        config = os.path.join(self.home, "config/tmill/config.toml")

        def bits(*flags, **env):
            out = self.path("o.tmpk")
            self.ok("compress", self.model, "-o", out, *flags, env=env)
            pipeline = self.pipelines(out)["lm_head.weight"]
            os.unlink(out)
            return pipeline.split(" ")[0]
        self.assertIn("bits=8", bits())
        write(config, 'recipe = "ternary"\n')
        self.assertIn("ternary", bits())
        write(config, 'recipe = "ternary"\n\n[compress]\nrecipe = "int4"\n')
        self.assertIn("bits=4", bits())
        self.assertIn("ternary", bits(TMILL_RECIPE="ternary"))
        self.assertIn("bits=8", bits("--recipe", "int8", TMILL_RECIPE="ternary"))
        other = self.put("other.toml", 'recipe = "int8"\n')
        self.assertIn("bits=8", bits(TMILL_CONFIG=other))
        write(config, 'recipes = "int4"\n')
        self.refused(2, ["config.toml:1:1", "recipes"], "compress", self.model, "-o", self.out)
        write(config, "recipe = [1]\n")
        self.refused(2, ["config.toml:1:10"], "compress", self.model, "-o", self.out)
        write(config, "recipe = \n")
        self.refused((2, 4), ["config.toml:1:"], "compress", self.model, "-o", self.out)

    def test_the_summary(self):
        package, data = self.compress(self.model)
        self.assertEqual(data["package"], package)
        self.assertEqual(data["package_bytes"], os.path.getsize(package))
        self.assertEqual(data["source_bytes"], sum(len(t.raw) for t in hf_tensors()))
        self.assertEqual(data["weights"], sum(t.values.size for t in hf_tensors()))
        self.assertAlmostEqual(data["bits_per_weight"],
                               data["package_bytes"] * 8 / data["weights"], places=9)
        os.unlink(package)
        text = self.ok("compress", self.model, "-o", package).out
        self.assertIn(data["package_id"], text)
        self.assertRegex(text, r"error +0\.00\d+ relative")

    def test_the_same_bytes_for_any_number_of_workers_and_any_kernel(self):
        hf_folder(self.path("d"), hf_tensors(hidden=256), 2)
        kernels = [k for k in ("ref", "avx2") if self.run_program(
            TMILL, "selftest", env={"TMILL_KERNEL": k}).code == 0]
        self.assertIn("ref", kernels)
        seen = set()
        for kernel in kernels:
            for workers in (1, 2, 8):
                out = self.path("out.tmpk")
                self.ok("compress", self.path("d"), "-o", out, "--recipe", "int4", "--workers",
                        workers, env={"TMILL_KERNEL": kernel})
                seen.add(self.read(out))
                os.unlink(out)
        self.assertEqual(len(seen), 1)
        self.refused(2, ["TMILL_KERNEL"], "compress", self.model, "-o", self.out,
                     env={"TMILL_KERNEL": "sse9"})

    def test_a_package_that_is_there_is_replaced_whole(self):
        self.compress(self.model)
        first = self.read(self.out)
        other = self.put("o.safetensors", safetensors([Tensor("w", weights(1, 8, 64))]))
        self.compress(other)
        self.assertNotEqual(self.read(self.out), first)
        self.ok("verify", self.out, "--against", other)
        sick = self.put("cut.safetensors", self.read(self.model)[:-5])
        self.refused(4, [], "compress", sick, "-o", self.out)

    def test_a_terminal_gets_a_bar_and_no_colour_when_asked(self):
        big = big_model(self.path("big.safetensors"), 64)
        for extra, colour in (({}, True), ({"NO_COLOR": "1"}, False)):
            master, slave = pty.openpty()
            process = self.start(TMILL, "compress", big, "-o", self.path("b.tmpk"), "--recipe",
                                 "ternary", stdout=slave, stderr=slave,
                                 env={"TERM": "xterm", **extra})
            os.close(slave)
            seen = b""
            while True:
                try:
                    part = os.read(master, 65536)
                except OSError:
                    break
                if not part:
                    break
                seen += part
            os.close(master)
            self.assertEqual(process.wait(30), 0)
            os.unlink(self.path("b.tmpk"))
            self.assertIn(b"\r\x1b[K", seen)
            self.assertIn(b"100%", seen)
            self.assertEqual(b"\x1b[1;36m" in seen, colour)

    def test_a_mesh_of_processes_makes_the_same_package(self):
        hf_folder(self.path("d"), hf_tensors(hidden=256), 2)
        _, alone = self.compress(self.path("d"), "alone.tmpk", "int4")
        for count in (1, 2, 4):
            submit, endpoint, key = self.submit(self.path("d"), f"{count}.tmpk", "int4")
            nodes = [self.node(endpoint, key, f"n{count}-{i}") for i in range(count)]
            code, out, err = self.finish(submit)
            self.assertEqual(code, 0, err)
            self.assertEqual(json.loads(out)["data"]["package_id"], alone["package_id"])
            self.ok("verify", self.path(f"{count}.tmpk"), "--against", self.path("d"), "--full")
            for node in nodes:
                self.assertEqual(self.finish(node)[0], 0)

    def test_resume_goes_on_where_it_ended(self):
        big = big_model(self.path("big.safetensors"), 64)
        reference, _ = self.compress(big, "reference.tmpk", "ternary")
        process = self.start(TMILL, "compress", big, "-o", self.out, "--recipe", "ternary")
        end = time.monotonic() + 30
        job = None
        while time.monotonic() < end and process.poll() is None:
            jobs = self.data_of("jobs")["jobs"]
            running = [j for j in jobs if j["output"] == self.out and j["units_done"] > 0]
            if running:
                job = running[0]["job"]
                process.send_signal(signal.SIGTERM)
                break
        code, _, err = self.finish(process)
        if code == 0:
            self.skipTest("the machine was faster than the signal")
        self.assertEqual(code, 9)
        self.assertIn(f"tmill resume {job}", err)
        data = self.data_of("resume", job)
        self.assertGreater(data["units_resumed"], 0)
        self.assertEqual(self.read(self.out), self.read(reference))
        self.assertIsNone(re.search(r"stopped", self.ok("jobs").out))


if __name__ == "__main__":
    main()
