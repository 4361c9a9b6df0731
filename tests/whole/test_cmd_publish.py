# SPDX-License-Identifier: Apache-2.0
"""publish: the repository folder and its index."""
import json
import os

from contract import Contract
from harness import Whole, main
from makers import hf_tensors, safetensors


class Publish(Contract, Whole):
    COMMANDS = {"publish": 1}

    def setUp(self):
        super().setUp()
        self.model = self.put("my model.safetensors", safetensors(hf_tensors()))
        self.one, _ = self.compress(self.model, "one.tmpk", "int8")
        self.two, _ = self.compress(self.model, "two.tmpk", "int4")
        self.repo = self.path("repo")

    def test_counters_only_grow_and_packages_stay(self):
        first = self.data_of("publish", self.one, "--repo", self.repo)
        self.assertEqual((first["name"], first["release"]), ("my-model", 1))
        second = self.data_of("publish", self.two, "--repo", self.repo, "--notes", "smaller")
        self.assertEqual((second["name"], second["release"]), ("my-model", 2))
        self.assertGreater(second["index_version"], first["index_version"])
        third = self.data_of("publish", self.one, "--repo", self.repo)
        self.assertEqual(third["release"], 3)
        other = self.data_of("publish", self.one, "--repo", self.repo, "--name", "other")
        self.assertEqual(other["release"], 1)
        packages = os.listdir(os.path.join(self.repo, "packages"))
        self.assertEqual(sorted(packages), sorted({f"{p['package_id']}.tmpk"
                                                   for p in (first, second)}))
        self.assertEqual(self.read(os.path.join(self.repo, "packages",
                                                f"{second['package_id']}.tmpk")),
                         self.read(self.two))
        self.assertIsInstance(json.loads(self.read(os.path.join(self.repo, "index.json"))), dict)

    def test_the_same_package_again_is_nothing_to_do(self):
        self.ok("publish", self.one, "--repo", self.repo)
        self.refused(10, ["my-model"], "publish", self.one, "--repo", self.repo)

    def test_what_is_wrong(self):
        self.refused(2, ["--repo"], "publish", self.one)
        for name in ("", "../up", "a/b", ".hidden", "x" * 200, "sp ace"):
            with self.subTest(name):
                self.refused(2, ["--name"], "publish", self.one, "--repo", self.repo, "--name",
                             name)
        self.refused(3, ["none.tmpk"], "publish", self.path("none.tmpk"), "--repo", self.repo)
        self.refused((1, 2, 6), ["one.tmpk"], "publish", self.one, "--repo", self.one)

    def test_an_index_that_is_broken_or_of_somebody_else(self):
        self.ok("publish", self.one, "--repo", self.repo)
        index = self.read(os.path.join(self.repo, "index.json"))
        stranger = os.path.join(os.path.dirname(self.home), "stranger")
        os.mkdir(stranger)
        self.refused((4, 6), ["index.json"], "publish", self.two, "--repo", self.repo,
                     home=stranger)
        flipped = bytearray(index)
        flipped[len(index) // 2] ^= 1
        for bad in (index[:-10], b"", b"{}", b"[]", bytes(flipped)):
            self.put("repo/index.json", bad)
            self.refused(4, ["index.json"], "publish", self.two, "--repo", self.repo)


if __name__ == "__main__":
    main()
