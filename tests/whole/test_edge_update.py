# SPDX-License-Identifier: Apache-2.0
"""tmill-edge trust, pull, update, rollback, rm: releases come and go, counters never go down."""
import os

from contract import EdgeContract
from harness import EDGE, Whole, main
from makers import hf_tensors, safetensors


class Updating(EdgeContract, Whole):
    COMMANDS = {"trust add": 1, "trust list": 0, "trust rm": 1, "pull": 2, "update": 0,
                "rollback": 1, "rm": 1}

    def test_words_that_the_command_does_not_know(self):
        """update takes any number of names."""
        commands, self.COMMANDS = self.COMMANDS, {k: v for k, v in self.COMMANDS.items()
                                                  if k != "update"}
        super().test_words_that_the_command_does_not_know()
        self.COMMANDS = commands

    def setUp(self):
        super().setUp()
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        self.packages = [self.compress(model, f"{recipe}.tmpk", recipe)[0]
                         for recipe in ("int8", "int4", "ternary")]
        self.repo = self.path("repo")
        self.key = self.public_key()

    def edge(self, *argv):
        return self.data_of(*argv, program=EDGE)

    def publish(self, i):
        self.ok("publish", self.packages[i], "--repo", self.repo, "--name", "m")

    def installed(self):
        return self.read(self.edge("show", "m")["package"])

    def test_trust(self):
        self.assertEqual(self.edge("trust", "list"), [])
        self.assertIn("no trusted keys", self.ok("trust", "list", program=EDGE).out)
        self.ok("trust", "add", self.key, program=EDGE)
        self.refused(10, [], "trust", "add", self.key, program=EDGE)
        listed = self.edge("trust", "list")
        self.assertEqual([k["key"] for k in listed], [self.key])
        for bad in ("", "x", self.key[:-1], self.key + "0", self.key.replace("tmpub1", "tmpub2")):
            self.refused((2, 4), [], "trust", "add", bad, program=EDGE)
        self.ok("trust", "rm", listed[0]["id"], program=EDGE)
        self.assertEqual(self.edge("trust", "list"), [])
        self.refused(3, [], "trust", "rm", listed[0]["id"], program=EDGE)
        self.refused((2, 3), [], "trust", "rm", "../../x", program=EDGE)

    def test_nothing_is_pulled_without_trust(self):
        self.publish(0)
        self.refused((4, 6), ["trust"], "pull", self.repo, "m", program=EDGE)
        self.assertEqual(self.edge("list"), [])

    def test_releases_come_and_go(self):
        self.ok("trust", "add", self.key, program=EDGE)
        self.publish(0)
        self.refused(3, ["other"], "pull", self.repo, "other", program=EDGE)
        pulled = self.edge("pull", self.repo, "m")[0]
        self.assertEqual((pulled["release"], pulled["previous"]), (1, 0))
        self.assertEqual(self.installed(), self.read(self.packages[0]))
        self.refused(10, ["date"], "pull", self.repo, "m", program=EDGE)
        self.refused(10, ["date"], "update", program=EDGE)
        self.refused(10, [], "rollback", "m", program=EDGE)
        self.publish(1)
        updated = self.edge("update")[0]
        self.assertEqual((updated["previous"], updated["release"]), (1, 2))
        self.assertEqual(self.installed(), self.read(self.packages[1]))
        self.ok("rollback", "m", program=EDGE)
        self.assertEqual(self.installed(), self.read(self.packages[0]))
        listed = self.edge("list")[0]
        self.assertEqual((listed["release"], listed["floor"]), (1, 2))
        self.publish(2)
        self.assertEqual(self.edge("update", "m")[0]["release"], 3)
        self.assertEqual(self.installed(), self.read(self.packages[2]))
        store = os.path.join(self.home, "data")
        kept = [n for _, _, names in os.walk(store) for n in names if n == "model.tmpk"]
        self.assertLessEqual(len(kept), 2)
        self.ok("rm", "m", program=EDGE)
        self.assertEqual(self.edge("list"), [])
        self.refused(3, ["m"], "rm", "m", program=EDGE)
        self.refused(3, ["m"], "update", "m", program=EDGE)

    def test_json_of_what_changes_the_store(self):
        self.edge("trust", "add", self.key)
        self.publish(0)
        self.edge("pull", self.repo, "m")
        self.publish(1)
        self.edge("update")
        self.edge("rollback", "m")
        self.edge("rm", "m")
        self.edge("trust", "rm", self.edge("trust", "list")[0]["id"])

    def test_a_relative_folder_is_remembered(self):
        self.ok("trust", "add", self.key, program=EDGE)
        self.publish(0)
        self.ok("pull", "repo", "m", program=EDGE)
        self.publish(1)
        self.ok("update", program=EDGE, cwd="/")
        self.assertEqual(self.installed(), self.read(self.packages[1]))


if __name__ == "__main__":
    main()
