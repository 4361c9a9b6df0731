# SPDX-License-Identifier: Apache-2.0
"""Where people run programs: caches full of links, odd paths, commas for points, full disks,
folders without rights, and a hand on Ctrl-C."""
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness import EDGE, TMILL, Whole, half_written, main, tree
from makers import (Tensor, big_model, config, hf_folder, hf_tensors, safetensors, sha256, weights,
                    write)

NOBODY = 65534


class Links(Whole):
    def cache(self):
        """A Hugging Face cache: a snapshot of links into a folder of blobs."""
        root = self.path("models--acme--tiny")
        tensors = hf_tensors()
        snapshot = os.path.join(root, "snapshots", "0123abcd")
        os.makedirs(snapshot)
        for name, data in (("model.safetensors", safetensors(tensors)), ("config.json", config())):
            write(os.path.join(root, "blobs", sha256(data)), data)
            os.symlink(f"../../blobs/{sha256(data)}", os.path.join(snapshot, name))
        return root, snapshot, tensors

    def test_a_snapshot_of_links_and_a_blob_without_suffix(self):
        root, snapshot, tensors = self.cache()
        blob = os.path.realpath(os.path.join(snapshot, "model.safetensors"))
        for path in (snapshot, blob, os.path.join(snapshot, "model.safetensors")):
            seen = self.data_of("inspect", path, "--tensors", "--hash")
            self.assertEqual({t["name"]: t["sha256"] for t in seen["tensors"]},
                             {t.name: t.listing["sha256"] for t in tensors})
        before = tree(root)
        package, _ = self.compress(snapshot)
        self.ok("verify", package, "--against", snapshot, "--full")
        self.assertEqual(tree(root), before)

    def test_nobody_writes_through_a_link(self):
        _, snapshot, _ = self.cache()
        package, _ = self.compress(snapshot)
        for name in ("model.safetensors", "config.json"):
            link = os.path.join(snapshot, name)
            self.refused((2, 6), [name], "compress", snapshot, "-o", link)
            self.refused((2, 6), [name], "export", package, "--format", "gguf", "-o", link)
        os.symlink("nowhere", self.path("dangling"))
        self.refused((2, 6), ["dangling"], "compress", snapshot, "-o", self.path("dangling"))

    def test_a_dangling_link_is_named(self):
        root, snapshot, _ = self.cache()
        shutil.rmtree(os.path.join(root, "blobs"))
        self.refused((3, 4), ["model.safetensors"], "inspect", snapshot)
        os.symlink("loop", self.path("loop"))
        self.refused((2, 3, 4), ["loop"], "inspect", self.path("loop"))

    def test_the_output_is_never_the_input(self):
        tensors = hf_tensors()
        model = self.put("m.safetensors", safetensors(tensors))
        os.link(model, self.path("hard.safetensors"))
        os.symlink("m.safetensors", self.path("soft.safetensors"))
        hf_folder(self.path("d"), tensors, 3)
        cases = [(model, model), (model, self.path("hard.safetensors")),
                 (model, self.path("soft.safetensors")), (self.path("soft.safetensors"), model),
                 (model, self.path("d/../m.safetensors")),
                 (self.path("d"), self.path("d/model-00002-of-00003.safetensors")),
                 (self.path("d"), self.path("d/config.json")), (self.path("d"), self.path("d"))]
        for source, output in cases:
            with self.subTest(source=source, output=output):
                self.refused((2, 6), [os.path.basename(output)], "compress", source, "-o", output)
        package, _ = self.compress(model)
        os.link(package, self.path("hard.tmpk"))
        for output in (package, self.path("hard.tmpk")):
            self.refused((2, 6), [os.path.basename(output)], "export", package, "--format", "gguf",
                         "-o", output)


class Paths(Whole):
    def test_odd_names_everywhere(self):
        tensors = [Tensor("w", weights(1, 8, 64))]
        for name in ("sp ace", "-dash", "new\nline", "é模型", "quote\"'`$(x)", "a" * 200, "%s%n",
                     "\x1b[31mred", b"\xff\xfe".decode("utf-8", "surrogateescape")):
            with self.subTest(name):
                folder = self.path("in", name)
                write(os.path.join(folder, "model.safetensors"), safetensors(tensors))
                out = os.path.join(self.dir, name + ".tmpk")
                result = self.ok("compress", "--recipe", "int8", "-o", out, "--", folder)
                self.assertNotIn("\x1b[31m", result.out + result.err)
                self.ok("verify", "--against", folder, "--", out)
                self.ok("inspect", "--json", "--", out)
                self.ok("export", "--format", "gguf", "-o", out + ".gguf", "--", out)
                os.unlink(out)
                os.unlink(out + ".gguf")

    def test_relative_names_and_dashes(self):
        write(self.path("-m.safetensors"), safetensors([Tensor("w", weights(1, 8, 64))]))
        self.refused(2, ["-m.safetensors"], "inspect", "-m.safetensors")
        self.ok("inspect", "--", "-m.safetensors")
        self.ok("inspect", "./-m.safetensors")
        self.ok("compress", "./-m.safetensors", "-o", "x.tmpk")
        self.assertTrue(os.path.exists(self.path("x.tmpk")))

    def test_paths_too_long(self):
        self.refused((1, 2, 3), ["too long"], "inspect", "/" + "x/" * 3000)
        self.refused((1, 2, 3), ["too long"], "inspect", self.path("y" * 300))


class Locale(Whole):
    def test_a_comma_is_no_point(self):
        """The same bytes and numbers in a locale that writes 0,5."""
        place = tempfile.mkdtemp(prefix="tmill-locale-")
        self.addCleanup(shutil.rmtree, place)
        made = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", f"{place}/de_DE.utf8"],
                              capture_output=True, check=False)
        if made.returncode != 0:
            self.fail(f"localedef (package locales) is needed here: {made.stderr.decode()}")
        german = {"LOCPATH": place, "LC_ALL": "de_DE.utf8"}
        check = subprocess.run(["sh", "-c", "locale decimal_point"], capture_output=True,
                               env={**os.environ, **german}, check=True)
        self.assertEqual(check.stdout.strip(), b",")
        hf_folder(self.path("m"), hf_tensors(), rope_scaling={"factor": 0.5})
        recipe = self.put("r.toml", 'schema = 1\nrule = [{ match = "*", codec = "int4" }]\n')
        one, data = self.compress(self.path("m"), "one.tmpk", recipe=recipe)
        two, german_data = self.compress(self.path("m"), "two.tmpk", recipe=recipe, env=german)
        self.assertEqual(self.read(one), self.read(two))
        self.assertEqual(data["relative_error"], german_data["relative_error"])
        for argv in (["inspect", one, "--tensors"], ["inspect", one, "--tensors", "--json"],
                     ["verify", one], ["inspect", self.path("m"), "--json"]):
            self.assertEqual(self.ok(*argv).out, self.ok(*argv, env=german).out)
        for form in ("gguf", "safetensors"):
            a = self.export(one, f"a.{form}")
            self.ok("export", one, "--format", form, "-o", self.path(f"b.{form}"), env=german)
            self.assertEqual(self.read(a), self.read(self.path(f"b.{form}")))


class Interrupts(Whole):
    def setUp(self):
        super().setUp()
        self.model = big_model(self.path("m.safetensors"), 96)
        self.out = self.path("out.tmpk")
        self.argv = ["compress", self.model, "-o", self.out, "--recipe", "ternary"]

    def test_a_stop_leaves_nothing_and_the_same_command_goes_on(self):
        reference, _ = self.compress(self.model, "reference.tmpk", recipe="ternary")
        for number in (signal.SIGINT, signal.SIGTERM):
            stopped = 0
            for delay in (0.05, 0.3, 0.6, 1.0):
                result = self.run_program(TMILL, *self.argv, signal_after=(delay, number))
                if result.code == 0:
                    break
                stopped += 1
                self.assertEqual(result.code, 9, result.err)
                self.assertRegex(result.err, "again|resume")
                self.assertFalse(os.path.exists(self.out))
                self.assertEqual(half_written(self.dir, self.home), [])
            self.assertGreaterEqual(stopped, 1)
            self.ok(*self.argv)
            self.assertEqual(self.read(self.out), self.read(reference))
            os.unlink(self.out)

    def test_an_export_that_is_stopped_leaves_nothing(self):
        package, _ = self.compress(self.model)
        out = self.path("out.safetensors")
        for number in (signal.SIGINT, signal.SIGTERM):
            result = self.run_program(TMILL, "export", package, "--format", "safetensors",
                                      "--type", "f32", "-o", out, signal_after=(0.05, number))
            if result.code != 0:
                self.assertEqual(result.code, 9, result.err)
                self.assertFalse(os.path.exists(out))
            self.assertEqual(half_written(self.dir), [])

    def test_the_same_job_twice_at_once(self):
        results = [self.finish(p) for p in [self.start(TMILL, *self.argv) for _ in range(3)]]
        self.assertEqual({code for code, _, _ in results}, {0, 6}, results)
        for code, _, err in results:
            if code == 6:
                self.assertIn("is running", err)
                self.assertEqual(err.count("\n"), 1)
        self.ok("verify", self.out)


class Full(Whole):
    """No room, no rights."""

    def setUp(self):
        super().setUp()
        self.model = big_model(self.path("m.safetensors"), 4)
        self.out = self.path("out.tmpk")

    def test_a_limit_of_file_size(self):
        package, _ = self.compress(self.model, "ok.tmpk")
        for kib in (0, 1, 16, 200, 1000):
            with self.subTest(kib=kib):
                # Another folder of state each time: what was done before is kept, rightly.
                home = tempfile.mkdtemp(prefix="home-", dir=os.path.dirname(self.home))
                self.refused((1, 6), [["too large", "space", "disk"]], "compress",
                             self.model, "-o", self.out, file_bytes=kib << 10, json_too=False,
                             home=home)
                self.refused(1, ["out.tmpk"], "export", package, "--format", "gguf", "-o",
                             self.out, file_bytes=kib << 10, json_too=False)
                self.ok("compress", self.model, "-o", self.out, home=home)
                os.unlink(self.out)
        self.refused(1, [], "publish", package, "--repo", self.path("repo"),
                     file_bytes=200 << 10, json_too=False, new_folders=True)
        self.assertFalse(os.path.exists(self.path("repo/index.json")))

    def test_standard_output_on_a_full_device(self):
        package, _ = self.compress(self.model, "ok.tmpk")
        for argv in (["inspect", self.model, "--tensors"], ["inspect", package, "--json"],
                     ["--help"], ["verify", package]):
            with self.subTest(argv), open("/dev/full", "wb") as full:
                process = self.start(TMILL, *argv, stdout=full)
                _, err = process.communicate(timeout=30)
                if argv != ["--help"]:
                    self.assertEqual(process.returncode, 1, err)
                    self.assertEqual(err.decode().count("\n"), 1)

    def test_a_full_disk(self):
        if os.geteuid() != 0:
            self.skipTest("needs the right to mount")
        disk = self.path("disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", disk],
                          capture_output=True, check=False).returncode != 0:
            self.skipTest("mount is not allowed here")
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=False)
        out = os.path.join(disk, "out.tmpk")
        package, _ = self.compress(self.model, "ok.tmpk")
        self.refused((1, 6), [disk, "space"], "compress", self.model, "-o", out, json_too=False)
        self.refused(1, ["out.tmpk", "space"], "export", package, "--format", "gguf", "-o", out)
        self.refused(1, ["space"], "publish", package, "--repo", os.path.join(disk, "repo"),
                     new_folders=True)
        repo, store = self.path("repo"), os.path.join(disk, "store")
        self.ok("publish", package, "--repo", repo, "--name", "m")
        self.ok("trust", "add", self.public_key(), "--store", store, program=EDGE)
        result = self.run_program(EDGE, "pull", repo, "m", "--store", store)
        self.assertIn(result.code, (1, 6), result.err)
        self.assertIn("space", result.err)
        self.assertEqual(self.data_of("list", "--store", store, program=EDGE), [])
        self.assertEqual(half_written(disk), [])

    def as_nobody(self, *paths):
        """Options that run a program without rights; everything here may be read."""
        for top in (os.path.dirname(self.home), self.dir):
            os.chmod(top, 0o755)
        for path in paths:
            os.chmod(path, 0o777)
        return {"uid": NOBODY} if os.geteuid() == 0 else {}

    def test_folders_without_rights(self):
        package, _ = self.compress(self.model, "ok.tmpk")
        locked, own = self.path("locked"), os.path.join(os.path.dirname(self.home), "own")
        os.mkdir(locked)
        os.mkdir(own)
        key = self.public_key()
        options = self.as_nobody(own)
        os.chmod(locked, 0o555)
        out = os.path.join(locked, "out.tmpk")
        for code, argv in (
                ((1, 6), ["compress", self.model, "-o", out]),
                ((1, 6), ["export", package, "--format", "gguf", "-o", out]),
                ((1, 6), ["publish", package, "--repo", os.path.join(locked, "repo")]),
                ((1, 6), ["key", "gen", "--key", os.path.join(locked, "x.key")])):
            with self.subTest(argv[0]):
                self.refused(code, ["locked", "denied"], *argv, home=own, **options)
        self.refused((1, 6), ["locked", "denied"], "trust", "add", key, "--store",
                     os.path.join(locked, "store"), program=EDGE,
                     home=own, **options)
        secret = self.put("secret.safetensors", self.read(self.model))
        os.chmod(secret, 0)
        self.refused((1, 3, 6), ["secret.safetensors", "denied"], "inspect", secret, home=own,
                     **options)

    def test_a_state_folder_without_rights(self):
        home = os.path.join(os.path.dirname(self.home), "sealed")
        os.mkdir(home)
        options = self.as_nobody(self.dir)
        os.chmod(home, 0o555)
        self.refused((1, 6), ["sealed", "denied"], "compress", self.model, "-o", self.out,
                     home=home, **options)

    def test_no_home_at_all(self):
        bare = {"HOME": None, **{f"XDG_{x}_HOME": None for x in ("CONFIG", "DATA", "STATE",
                                                                 "CACHE")}}
        self.ok("inspect", self.model, env=bare)
        self.refused((2, 3, 6), [["HOME", "XDG"]], "compress", self.model, "-o", self.out,
                     env=bare)

    def test_a_key_that_others_can_read(self):
        key = self.path("own.key")
        self.ok("key", "gen", "--key", key)
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
        for mode in (0o644, 0o640, 0o604, 0o660):
            os.chmod(key, mode)
            self.refused((4, 6), ["own.key", f"{mode:o}"], "key", "show", "--key", key)
            self.refused((4, 6), ["own.key"], "compress", self.model, "-o", self.out, "--key", key)
        os.chmod(key, 0o600)
        self.ok("key", "show", "--key", key)

    def test_an_output_folder_that_is_not_there(self):
        out = self.path("no/such/folder/out.tmpk")
        package, _ = self.compress(self.model, "ok.tmpk")
        self.refused((2, 3, 6), ["folder"], "compress", self.model, "-o", out)
        self.refused((1, 2, 3, 6), ["no/such/folder"], "export", package, "--format", "gguf", "-o",
                     out)


if __name__ == "__main__":
    unittest.TestCase.maxDiff = None
    main()
