# SPDX-License-Identifier: Apache-2.0
"""What stands where a file is expected: pipes, devices, sockets, folders, links, files of a
tebibyte that hold nothing. Refused at once with one line; and what we write is ours alone to
write, whatever the umask and whatever else links to it."""
import json
import os
import socket
import stat
import struct

from attack import EDGE, TMILL, Attack, Tensor, gguf, hf_tensors, main, safetensors

TEBI = 1 << 40
SECONDS, RSS_KIB = 10, 96 << 10


class Inputs(Attack):
    def specials(self):
        """(name, path) of one of each kind."""
        os.mkfifo(self.path("pipe"))
        os.mkdir(self.path("folder"))
        unix = socket.socket(socket.AF_UNIX)
        self.addCleanup(unix.close)
        os.chdir(self.dir)  # the name of a socket is short
        unix.bind("sock")
        os.chdir("/")
        os.symlink(self.path("pipe"), self.path("link-to-pipe"))
        os.symlink("self-loop", self.path("self-loop"))
        return [self.path(n) for n in ("pipe", "folder", "sock", "link-to-pipe", "self-loop")] + [
            "/dev/null", "/dev/zero", "/dev/tty", "/dev/full", "/proc/self/mem", "/proc/kmsg"]

    def quick(self, codes, *argv, program=TMILL, **options):
        result = self.run_program(program, *argv, timeout=SECONDS, **options)
        self.assertIn(result.code, codes, f"{argv}: {result.err}")
        return result

    def test_specials_as_inputs(self):
        self.ok("key", "gen")
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        package, _ = self.compress(model)
        for path in self.specials():
            for argv in (["inspect", path], ["compress", path, "-o", self.path("o.tmpk")],
                         ["verify", path], ["verify", package, "--against", path],
                         ["export", path, "--format", "gguf", "-o", self.path("o.gguf")],
                         ["publish", path, "--repo", self.path("repo")],
                         ["key", "show", "--key", path],
                         ["compress", model, "-o", self.path("o2.tmpk"), "--recipe", path],
                         ["publish", package, "--repo", self.path("repo2"), "--key", path]):
                self.quick({1, 2, 3, 4, 6}, *argv)
            self.quick({1, 2, 3, 4, 5}, "pull", path, "m", program=EDGE)

    def test_specials_as_outputs(self):
        """Nothing is written into them, nothing of them is replaced."""
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        package, _ = self.compress(model)
        for path in self.specials():
            if os.path.isdir(path) or path.startswith("/proc"):
                continue
            before = os.lstat(path)
            for argv in (["compress", model, "-o", path, "--recipe", "int8"],
                         ["export", package, "--format", "gguf", "-o", path]):
                self.quick({1, 2, 3, 6}, *argv)
            if not path.startswith("/dev"):
                self.quick({1, 2, 3, 6}, "publish", package, "--repo", path)
                self.quick({1, 2, 3, 4, 6}, "list", "--store", path, program=EDGE)
            after = os.lstat(path)
            self.assertEqual((before.st_mode, before.st_ino), (after.st_mode, after.st_ino), path)

    def test_specials_inside_a_store_and_a_site(self):
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        package, _ = self.compress(model)
        repo, store = self.path("repo"), self.path("store")
        self.ok("publish", package, "--repo", repo, "--name", "m")
        self.ok("trust", "add", self.public_key(), "--store", store, program=EDGE)
        self.ok("pull", repo, "m", "--store", store, program=EDGE)
        for name in ("lock", "models/m/current", "models/m/floor", "models/m/1/model.tmpk",
                     "models/m/remote", "objects/tmp/x", "objects/aa/" + "a" * 64,
                     "trust/x.pub"):
            path = os.path.join(store, name)
            kept = self.read(path) if os.path.exists(path) else None
            if kept is not None:
                os.unlink(path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.mkfifo(path)
            for argv in (["list"], ["show", "m"], ["verify"], ["pull", repo, "m"], ["update"]):
                self.quick(range(11), *argv, "--store", store, program=EDGE)
            if os.path.lexists(path):
                os.unlink(path)
            if kept is not None:
                self.put(path, kept)
        self.ok("verify", "--store", store, program=EDGE)
        package_id = self.data_of("inspect", package)["package_id"]
        for name in ("index.json", f"packages/{package_id}.tmpk"):
            path = os.path.join(repo, name)
            os.rename(path, self.path("kept"))
            os.mkfifo(path)
            self.quick({1, 2, 3, 4, 5}, "pull", repo, "m", "--store", self.path("new"),
                       program=EDGE)
            self.quick({0, 1, 2, 4, 6}, "publish", package, "--repo", repo, "--name", "n")
            os.unlink(path)
            os.rename(self.path("kept"), path)

    def sparse(self, name, head=b"", size=TEBI):
        path = self.put(name, head)
        os.truncate(path, size)
        return path

    def test_huge_files_that_hold_nothing(self):
        header = json.dumps({"a": {"dtype": "U8", "shape": [TEBI],
                                   "data_offsets": [0, TEBI]}}).encode()
        package, _ = self.compress(self.put("m.safetensors", safetensors(hf_tensors())))
        files = [self.sparse("zero.safetensors"), self.sparse("zero.gguf"),
                 self.sparse("zero.bin"),
                 self.sparse("magic.gguf", b"GGUF\x03\0\0\0" + b"\xff" * 16),
                 self.sparse("head.safetensors", struct.pack("<Q", TEBI - 8)),
                 self.sparse("long.tmpk", self.read(package)),
                 self.sparse("none.tmpk", self.read(package)[:8])]
        for path in files:
            for argv in (["inspect", path], ["verify", path],
                         ["compress", path, "-o", self.path("o.tmpk")],
                         ["export", path, "--format", "gguf", "-o", self.path("o.gguf")],
                         ["publish", path, "--repo", self.path("repo")]):
                result = self.quick({2, 4, 6}, *argv)
                self.assertLess(result.rss, RSS_KIB, argv)
        real = self.sparse("real.safetensors", struct.pack("<Q", len(header)) + header,
                           8 + len(header) + TEBI)
        result = self.quick({0}, "inspect", real)
        self.assertLess(result.rss, RSS_KIB)
        key = self.sparse("k.key", b"format = ")
        os.chmod(key, 0o600)
        self.quick({4}, "key", "show", "--key", key)
        os.mkdir(self.path("site"))
        self.sparse("site/index.json", b"{")
        self.ok("trust", "add", self.public_key(), program=EDGE)
        self.assertLess(self.quick({1, 4, 5}, "pull", self.path("site"), "m", program=EDGE).rss,
                        RSS_KIB)

    def test_a_tebibyte_of_weights_is_refused_before_one_is_read(self):
        """Legal models of a tebibyte of zeros: this disk has no room for what they become."""
        side, name = 1 << 19, "model.layers.0.mlp.up_proj.weight"
        header = json.dumps({name: {"dtype": "F32", "shape": [side, side],
                                    "data_offsets": [0, TEBI]}}).encode()
        header = struct.pack("<Q", len(header)) + header
        head = gguf([Tensor("blk.0.ffn_up.weight", [[0]], raw=b"")], dims={0: [side, side]})
        recipes = ["int8", "ternary", self.put(
            "keep.toml", b'schema = 1\nrule = [{ match = "*", codec = "keep" }]\n')]
        for model in (self.sparse("t.safetensors", header, len(header) + TEBI),
                      self.sparse("t.gguf", head, len(head) + TEBI)):
            self.quick({0}, "inspect", model)
            for recipe in recipes:
                for command in ("compress", "submit"):
                    result = self.quick({6}, command, model, "-o", self.path("o.tmpk"),
                                        "--recipe", recipe)
                    self.assertRegex(result.err, "not enough free space.*the job may need")
                    self.assertFalse(os.path.exists(self.path("o.tmpk")))

    def test_other_names_of_an_output_keep_their_content(self):
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        precious = self.put("precious", b"do not touch")
        out = self.path("o.tmpk")
        os.link(precious, out)
        self.run_program(TMILL, "compress", model, "-o", out, "--recipe", "int8")
        self.assertEqual(self.read(precious), b"do not touch")
        if os.path.exists(out):
            os.unlink(out)
        package, _ = self.compress(model, "p.tmpk")
        repo, store = self.path("repo"), self.path("store")
        self.ok("publish", package, "--repo", repo, "--name", "m")
        self.ok("trust", "add", self.public_key(), "--store", store, program=EDGE)
        self.ok("pull", repo, "m", "--store", store, program=EDGE)
        names = [os.path.join(top, n) for folder in (repo, store)
                 for top, _, files in os.walk(folder) for n in files]
        links = []
        for i, name in enumerate(names):
            os.link(name, self.path(f"link{i}"))
            links.append((self.path(f"link{i}"), self.read(name)))
        package, _ = self.compress(model, "p2.tmpk", "int4")
        self.ok("publish", package, "--repo", repo, "--name", "m")
        self.ok("update", "--store", store, program=EDGE)
        self.ok("rollback", "m", "--store", store, program=EDGE)
        for link, content in links:
            self.assertEqual(self.read(link), content, link)

    def test_modes_do_not_depend_on_a_careless_umask(self):
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        os.chmod(model, 0o644)
        package, _ = self.compress(model)
        submit, endpoint, key = self.submit(model, "s.tmpk")
        node = self.node(endpoint, key, "n")
        self.assertEqual(self.finish(submit)[0], 0)
        self.finish(node)
        self.ok("publish", package, "--repo", self.path("repo"), "--name", "m")
        self.ok("trust", "add", self.public_key(), program=EDGE)
        self.ok("pull", self.path("repo"), "m", program=EDGE)
        self.ok("export", package, "--format", "gguf", "-o", self.path("e.gguf"))
        os.umask(old)
        private = 0
        for base in (self.dir, self.home):
            for top, folders, files in os.walk(base):
                for name in folders + files:
                    path = os.path.join(top, name)
                    mode = stat.S_IMODE(os.lstat(path).st_mode)
                    self.assertEqual(mode & 0o022, 0, f"{path} is {mode:o}")
                    if name.endswith(".key"):
                        private += 1
                        self.assertEqual(mode, 0o600, path)
                    elif top.endswith("/jobs"):
                        private += 1
                        self.assertEqual(mode, 0o700, path)
        self.assertGreaterEqual(private, 4)


if __name__ == "__main__":
    main()
