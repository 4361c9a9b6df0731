# SPDX-License-Identifier: Apache-2.0
"""Names that climb, hide or are too long, wherever a name becomes a path or a key: one line, a
refusal, and not a byte changed anywhere; links in a site or a store lead nowhere."""
import os

from attack import EDGE, TMILL, Attack, hf_tensors, main, safetensors

NAMES = ["..", ".", "../x", "../../../../etc/passwd", "/etc/passwd", "/", "a/b", "a/../../b",
         "..%2fx",
         "%2e%2e%2fx", "..\\x", "a\\..\\b", ".hidden", "a b", " ", "~", "~root", "$HOME", "`id`",
         "a:b", "a;b", "a|b", "a*", "NUL:", "x" * 129, "x" * 4096, "\u2025", "\uff0e\uff0e\uff0fx",
         "\u0430", "\u202egnp", "a\nb", "\x1b[2J", "file:///x", "..\u2215x", "a\u0301"]


class Names(Attack):
    def setUp(self):
        super().setUp()
        self.model = self.put("m.safetensors", safetensors(hf_tensors()))
        self.package, _ = self.compress(self.model)
        self.repo = self.path("repo")
        self.ok("publish", self.package, "--repo", self.repo, "--name", "m")
        self.ok("trust", "add", self.public_key(), program=EDGE)
        self.ok("pull", self.repo, "m", program=EDGE)

    def everything(self):
        return {os.path.join(top, n) for base in (self.dir, self.home)
                for top, folders, files in os.walk(base) for n in folders + files}

    def test_names_on_the_command_line(self):
        before = self.everything()
        for name in NAMES:
            for codes, argv in (
                    ({2}, ["key", "gen", "--name", name]), ({2}, ["key", "show", "--name", name]),
                    ({2}, ["key", "export", "--name", name]),
                    ({2}, ["publish", self.package, "--repo", self.repo, "--name", name]),
                    ({3}, ["show", name]), ({3}, ["watch", name]), ({3}, ["cancel", name])):
                code, out, err = self.bytes_of(*argv)
                self.assertIn(code, codes, f"{argv}: {err}")
                self.assertEqual((out, err.count("\n")), ("", 1), argv)
            for codes, argv in (({2}, ["pull", self.repo, name]), ({2, 3}, ["rm", name]),
                                ({2, 3}, ["rollback", name]), ({2, 3}, ["show", name]),
                                ({2, 3}, ["update", name]), ({2, 3}, ["verify", name]),
                                ({2, 3}, ["export", name, "--format", "gguf", "-o",
                                          self.path("o.gguf")]),
                                ({2}, ["trust", "rm", name])):
                code, out, err = self.bytes_of(*argv, program=EDGE)
                self.assertIn(code, codes, f"{argv}: {err}")
                self.assertEqual((out, err.count("\n")), ("", 1), argv)
        self.assertEqual(self.everything(), before)
        self.ok("verify", "m", program=EDGE)

    def test_key_ids_are_forty_hex_digits(self):
        for key_id in ("0" * 39, "0" * 41, "g" * 40, "../" + "0" * 37, "0" * 39 + "\n"):
            code, _, err = self.bytes_of("trust", "rm", key_id, program=EDGE)
            self.assertEqual(code, 2, err)
        self.assertEqual(len(self.data_of("trust", "list", program=EDGE)), 1)

    def misled(self, link, target, *argv, program):
        """With link in the place of a folder of ours the command fails and target stays."""
        kept = link + ".kept"
        os.rename(link, kept)
        os.symlink(target, link)
        code, out, err = self.bytes_of(*argv, program=program)
        self.assertNotEqual(code, 0, f"{argv} through {link}: {out}")
        self.assertEqual(err.count("\n"), 1, err)
        self.assertEqual(os.listdir(target), ["precious"], f"{argv} through {link}")
        os.unlink(link)
        os.rename(kept, link)

    def test_links_inside_a_site_and_a_store(self):
        target = os.path.dirname(self.put("target/precious", b"x"))
        second, _ = self.compress(self.model, "second.tmpk", "int4")
        self.misled(os.path.join(self.repo, "packages"), target, "publish", second, "--repo",
                    self.repo, "--name", "m", program=TMILL)
        store = os.path.join(self.home, "data/tmill/edge")
        self.ok("publish", second, "--repo", self.repo, "--name", "m")
        for name in ("models", "models/m", "objects", "objects/tmp", "floors"):
            self.misled(os.path.join(store, name), target, "update", program=EDGE)
        self.misled(os.path.join(store, "trust"), target, "trust", "add", self.public_key(),
                    program=EDGE)
        self.ok("update", program=EDGE)
        self.ok("verify", program=EDGE)
        self.assertTrue(os.path.isdir(os.path.join(store, "models/m/2")))


if __name__ == "__main__":
    main()
