# SPDX-License-Identifier: Apache-2.0
"""node run and selftest, and cheats: each liar is banned and the package is right."""
import json
import os
import time

from contract import Contract
from harness import ADVERSARY, TIME_SCALE, TMILL, Whole, main
from makers import big_model, hf_tensors, safetensors


class Nodes(Contract, Whole):
    COMMANDS = {"node run": 0, "selftest": 0}

    def test_selftest_is_the_same_for_every_kernel(self):
        seen = set()
        for kernel in ("ref", "avx2"):
            result = self.run_program(TMILL, "selftest", "--json", env={"TMILL_KERNEL": kernel})
            if result.code == 0:
                self.assertEqual(result.data["kernel"], kernel)
                seen.add((result.data["golden"], result.data["encoders"]))
        self.assertEqual(len(seen), 1)
        self.refused(2, ["TMILL_KERNEL", "nonsense"], "selftest", env={"TMILL_KERNEL": "nonsense"})

    def test_options_that_are_wrong(self):
        key = self.public_key()
        self.refused(2, ["--join"], "node", "run", "--server-key", key)
        self.refused(2, ["--server-key"], "node", "run", "--join", "tcp://127.0.0.1:1")
        self.refused(2, ["--memory-cache"], "node", "run", "--join", "tcp://127.0.0.1:1",
                     "--server-key", key, "--memory-cache", "lots")

    def test_a_node_gets_a_key_of_its_own_and_keeps_it(self):
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        keys = []
        for i in range(2):
            submit, endpoint, key = self.submit(model, f"{i}.tmpk")
            node = self.node(endpoint, key, "mine")
            code, out, err = self.finish(submit)
            self.assertEqual(code, 0, err)
            self.assertEqual(self.finish(node)[0], 0)
            keys.append(self.data_of("show", json.loads(out)["data"]["job"])["node_list"][0]["key"])
        self.assertEqual(keys[0], keys[1])
        self.assertEqual(self.ok("key", "export", "--key", self.path("mine.key")).out.strip(),
                         keys[0])
        self.assertEqual(os.stat(self.path("mine.key")).st_mode & 0o777, 0o600)

    def test_submit_says_how_nodes_join(self):
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        submit = self.start(TMILL, "submit", model, "-o", self.path("join.tmpk"), "--workers", "0",
                            "--listen", "tcp://127.0.0.1:0")
        self.assertEqual(submit.stdout.readline(), b"nodes join with\n")
        words = submit.stdout.readline().decode().split()
        self.assertEqual(words[:4], ["tmill", "node", "run", "--join"])
        node = self.start(TMILL, *words[1:], "--once", "-q")
        self.assertEqual(self.finish(node)[0], 0)
        code, out, err = self.finish(submit)
        self.assertEqual(code, 0, err)
        self.assertIn("work ", out)

    def wait_for_ban(self):
        end = time.monotonic() + 30 * TIME_SCALE
        while time.monotonic() < end:
            running = [j for j in self.data_of("jobs")["jobs"] if j["state"] == "running"]
            if any(j["nodes_banned"] for j in running):
                return
            time.sleep(0.1)
        self.fail("the liar is not banned")

    def test_cheats_are_banned_and_the_package_is_right(self):
        if not os.access(ADVERSARY, os.X_OK):
            self.fail(f"{ADVERSARY} is not built")
        model = big_model(self.path("m.safetensors"), 48)
        _, alone = self.compress(model, "alone.tmpk", "int4")
        for mode in ("garbage", "wrong", "zero", "sometimes"):
            with self.subTest(mode):
                submit, endpoint, key = self.submit(model, f"{mode}.tmpk", "int4")
                liar = self.start(ADVERSARY, "--join", endpoint, "--server-key", key, "--name",
                                  "liar", "--mode", mode)
                if mode != "sometimes":  # chance decides how early that one is caught
                    self.wait_for_ban()
                honest = self.node(endpoint, key, f"honest-{mode}")
                code, out, err = self.finish(submit, 90)
                self.assertEqual(code, 0, err)
                data = json.loads(out)["data"]
                self.assertEqual(data["package_id"], alone["package_id"])
                self.ok("verify", self.path(f"{mode}.tmpk"), "--against", model, "--full",
                        timeout=60 * TIME_SCALE)
                if mode != "sometimes":
                    self.assertEqual(data["nodes_banned"], 1, out)
                self.assertEqual(self.finish(honest)[0], 0)
                liar.kill()


if __name__ == "__main__":
    main()
