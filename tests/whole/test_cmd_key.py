# SPDX-License-Identifier: Apache-2.0
"""key gen, show, export."""
import os
import stat

from contract import Contract
from harness import Whole, main


class Keys(Contract, Whole):
    COMMANDS = {"key gen": 0, "key show": 0, "key export": 0}

    def test_a_key_is_made_once_and_for_its_owner_alone(self):
        made = self.data_of("key", "gen")
        self.assertEqual(stat.S_IMODE(os.stat(made["path"]).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(made["path"])).st_mode), 0o700)
        before = self.read(made["path"])
        self.refused((6, 10), [made["path"]], "key", "gen")
        self.assertEqual(self.read(made["path"]), before)
        self.assertEqual(self.data_of("key", "show"), made)
        self.assertEqual(self.ok("key", "export").out, made["key"] + "\n")

    def test_no_secret_is_ever_printed(self):
        path = self.path("a.key")
        self.ok("key", "gen", "--key", path)
        secrets = [word for word in self.read(path).decode().split() if len(word) > 60]
        self.assertGreaterEqual(len(secrets), 2)  # the public key and the other one
        for argv in (["show"], ["export"], ["show", "--json"], ["export", "--json"]):
            out = self.ok("key", *argv, "--key", path).out
            public = self.ok("key", "export", "--key", path).out.strip()
            for word in secrets:
                if public not in word:
                    self.assertNotIn(word, out)

    def test_files_that_are_no_keys(self):
        self.refused(3, ["none.key", "key gen"], "key", "show", "--key", self.path("none.key"))
        self.ok("key", "gen", "--key", self.path("good.key"))
        good = self.read(self.path("good.key"))
        for name, data in (("empty", b""), ("cut", good[:-20]), ("noise", b"\xff" * 200),
                           ("flip", good[:-6] + bytes([good[-6] ^ 1]) + good[-5:])):
            with self.subTest(name):
                path = self.put(f"{name}.key", data)
                os.chmod(path, 0o600)
                self.refused(4, [f"{name}.key"], "key", "show", "--key", path)
                self.refused(4, [f"{name}.key"], "key", "export", "--key", path)
        os.symlink("good.key", self.path("link.key"))
        os.mkdir(self.path("dir.key"))
        self.refused((1, 2, 3, 4, 6), ["dir.key"], "key", "show", "--key", self.path("dir.key"))


if __name__ == "__main__":
    main()
