# SPDX-License-Identifier: Apache-2.0
"""PyTorch checkpoints as people have them, and as attackers make them. The files are written here,
opcode by opcode: torch is not needed, and nothing is unpickled."""
import os
import re
import struct
import subprocess
import zipfile
import zlib
from unittest import mock

import numpy as np
from harness import SHARED, TMILL, Whole, main

STORAGES = {"F32": ("FloatStorage", "<f4"), "F16": ("HalfStorage", "<f2"),
            "I64": ("LongStorage", "<i8"), "U8": ("ByteStorage", "u1")}


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value):
    return b"J" + struct.pack("<i", value)


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def numbers(values):
    return b"(" + b"".join(number(v) for v in values) + b"t"


def tensor(key, dtype, count, offset, shape, strides):
    """torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, False, OrderedDict())"""
    storage = (b"(" + text("storage") + name("torch", STORAGES[dtype][0]) + text(key) +
               text("cpu") + number(count) + b"tQ")
    return (name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + number(offset) +
            numbers(shape) + numbers(strides) + b"\x89" + name("collections", "OrderedDict") +
            b")RtR")


def dictionary(items):
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def pickle(value):
    return b"\x80\x02" + value + b"."


def zip64(path, entries):
    """An archive whose every size and place stands in the ZIP64 fields (PKWARE APPNOTE 4.3.14 and
    4.5.3). entries: (name, bytes, or the length of a hole without a checksum, as torch may)."""
    there = 0xffffffff
    central = b""
    with open(path, "wb") as out:
        for title, data in entries:
            size, crc = (data, 0) if isinstance(data, int) else (len(data), zlib.crc32(data))
            title, at = title.encode(), out.tell()
            out.write(struct.pack("<IHHHHHIIIHH", 0x04034b50, 45, 0, 0, 0, 0, crc, there, there,
                                  len(title), 20) + title + struct.pack("<HHQQ", 1, 16, size, size))
            if isinstance(data, int):
                out.seek(size, os.SEEK_CUR)
            else:
                out.write(data)
            central += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014b50, 45, 45, 0, 0, 0, 0, crc, there,
                                   there, len(title), 28, 0, 0, 0, 0, there) + title
            central += struct.pack("<HHQQQ", 1, 24, size, size, at)
        at, count = out.tell(), len(entries)
        out.write(central)
        out.write(struct.pack("<IQHHIIQQQQ", 0x06064b50, 44, 45, 45, 0, 0, count, count,
                              len(central), at))
        out.write(struct.pack("<IIQI", 0x07064b50, 0, at + len(central), 1))
        out.write(struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, 0xffff, 0xffff, there, there, 0))
    return path


class Files(Whole):
    def archive(self, file, value, storages, byte_order=None):
        path = self.path(file)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("archive/data.pkl", pickle(value))
            if byte_order:
                archive.writestr("archive/byteorder", byte_order)
            for key, data in storages.items():
                archive.writestr(f"archive/data/{key}", data)
        return path

    def matrix(self, rows=8, cols=32, seed=1):
        return np.random.default_rng(seed).standard_normal((rows, cols)).astype("<f4")


class Legal(Files):
    def test_compress_verify_export(self):
        values = self.matrix(64, 64)
        path = self.archive("m.pth", dictionary({
            "model": dictionary({"a.weight": tensor("0", "F32", 4096, 0, (64, 64), (64, 1)),
                                 "a.turned": tensor("0", "F32", 4096, 0, (64, 64), (1, 64))}),
            "optimizer": dictionary({"exp_avg": tensor("0", "F32", 4096, 0, (4096,), (1,))})}),
            {"0": values.tobytes()})
        package = self.path("m.tmpk")
        result = self.ok("compress", path, "-o", package, "--recipe", "int8")
        self.assertIn("optimizer: 1 tensors left out (state of the training)", result.err)
        self.ok("verify", package, "--against", path, "--full")
        out = self.path("out.safetensors")
        self.ok("export", package, "--format", "safetensors", "-o", out)
        from safetensors.numpy import load_file
        back = load_file(out)
        self.assertEqual(set(back), {"a.weight", "a.turned"})
        np.testing.assert_allclose(back["a.turned"], values.T, atol=0.05)
        np.testing.assert_array_equal(back["a.weight"].shape, (64, 64))

    def test_another_dictionary_and_resume(self):
        values = self.matrix()
        path = self.archive("m.pt", dictionary({
            "model": dictionary({"w": tensor("0", "F32", 256, 0, (8, 32), (32, 1))}),
            "ema": dictionary({"v": tensor("0", "F32", 256, 0, (256,), (1,))})}),
            {"0": values.tobytes()})
        seen = self.data_of("inspect", path, "--tensors", "--tensors-under", "ema")
        self.assertEqual([t["name"] for t in seen["tensors"]], ["v"])
        package = self.path("v.tmpk")
        self.ok("compress", path, "-o", package, "--tensors-under", "ema")
        self.ok("verify", package, "--against", path, "--tensors-under", "ema", "--full")
        self.refused({4}, ["v"], "verify", package, "--against", path, "--full")
        self.refused(3, ["none", "'model', 'ema'"], "inspect", path, "--tensors-under", "none")
        self.refused(2, ["--tensors-under"], "inspect", self.put("m.gguf", b"GGUF" + struct.pack(
            "<IQQ", 3, 0, 0)), "--tensors-under", "model")

    def test_a_folder_with_an_index(self):
        values = [self.matrix(seed=s) for s in (1, 2)]
        for i, part in enumerate(values):
            self.archive(f"pytorch_model-0000{i + 1}-of-00002.bin", dictionary(
                {f"w{i}": tensor("0", "F32", 256, 0, (8, 32), (32, 1))}), {"0": part.tobytes()})
        self.put("pytorch_model.bin.index.json", b'{"weight_map": {'
                 b'"w0": "pytorch_model-00001-of-00002.bin",'
                 b'"w1": "pytorch_model-00002-of-00002.bin"}}')
        self.put("config.json", b'{"model_type": "llama"}')
        self.put("training_args.bin", b"\x80\x02N.")
        seen = self.data_of("inspect", self.dir, "--tensors")
        self.assertEqual([t["name"] for t in seen["tensors"]], ["w0", "w1"])
        self.assertEqual(seen["arch"], "llama")

    def same_weights(self, path, values):
        """Tensor w of the checkpoint holds the values."""
        package, out = self.path("z.tmpk"), self.path("z.safetensors")
        recipe = self.put("keep.toml", b'schema = 1\nrule = [{ match = "*", codec = "keep" }]\n')
        self.ok("compress", path, "-o", package, "--recipe", recipe)
        self.ok("verify", package, "--against", path, "--full")
        self.ok("export", package, "--format", "safetensors", "-o", out)
        from safetensors.numpy import load_file
        np.testing.assert_array_equal(load_file(out)["w"], values)

    def test_the_zip64_form(self):
        """Of Python, and one with a storage behind 5 GiB of another."""
        values, far = self.matrix(), 5 << 30
        weight = tensor("0", "F32", 256, 0, (8, 32), (32, 1))
        with mock.patch.multiple(zipfile, ZIP64_LIMIT=1, ZIP_FILECOUNT_LIMIT=1):
            path = self.archive("python.pth", dictionary({"w": weight}), {"0": values.tobytes()})
        self.assertIn(b"PK\6\6", self.read(path))
        self.same_weights(path, values)
        hole = tensor("1", "F32", far // 4, far // 4 - 8, (8,), (1,))
        path = zip64(self.path("far.pth"), [
            ("m/data.pkl", pickle(dictionary({"hole": hole, "w": weight}))), ("m/data/1", far),
            ("m/data/0", values.tobytes())])
        self.assertGreater(os.path.getsize(path), far)
        self.same_weights(path, values)


# What each is, and the name that the refusal must tell.
HOSTILE = {
    "os.system": b"cos\nsystem\n(S'touch pwned'\ntR.",
    "posix.system": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0btouch pwned\x85R.",
    "builtins.eval": b"\x80\x03cbuiltins\neval\nX\x08\0\0\0exit(99)\x85R.",
    "builtins.exec": b"(S'import os'\nibuiltins\nexec\n.",
    "subprocess.Popen": b"(csubprocess\nPopen\nS'touch pwned'\no.",
    "torch.storage._load_from_bytes": b"\x80\x02ctorch.storage\n_load_from_bytes\nU\x01x\x85R.",
    "torch.load": b"\x80\x02ctorch\nload\nU\x06/x.pth\x85R.",
    "numpy.load": b"\x80\x02cnumpy\nload\nU\x06/x.npy\x85R.",
    "__main__.Model": b"\x80\x02c__main__\nModel\n)\x81}(U\x01a" + b"K\x01ub.",
    "builtins.getattr": b"\x80\x02cbuiltins\ngetattr\nctorch\nSize\nU\x08__init__\x86R.",
    "extension registry": b"\x80\x02\x82\x01)R.",
    "only a name": b"\x80\x02ctorch\nfloat32\n)R.",
    "no plain one": b"\x80\x02ccopyreg\n_reconstructor\n(ctorch\nTensor\nNNtR.",
}


class Hostile(Files):
    def traced(self, path):
        """Runs inspect under strace: its exit code, its lines, and the calls that matter."""
        log = self.path("strace")
        run = subprocess.run(
            ["strace", "-f", "-qq", "-o", log, "-e",
             "trace=execve,execveat,fork,vfork,clone,clone3,connect,socket,openat,open,unlink,"
             "rename,mkdir,kill", TMILL, "inspect", path, "--tensors"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, cwd=self.dir,
            env=self.environment())
        with open(log, encoding="utf-8", errors="replace") as stream:
            calls = stream.read().splitlines()
        os.remove(log)
        return run.returncode, run.stderr.splitlines(), calls

    def check_calls(self, calls, path):
        executed = [c for c in calls if re.search(r"\bexecve", c)]
        self.assertEqual(len(executed), 1, executed)
        for call in calls:
            self.assertNotRegex(call, r"\b(connect|socket|fork|vfork|kill|unlink|rename|mkdir)\(")
            opened = re.search(r'\bopen(?:at)?\([^"]*"([^"]*)"', call)
            if opened and "ENOENT" not in call:
                allowed = (opened.group(1) == path or opened.group(1).startswith(
                    ("/lib", "/usr/lib", "/etc/ld.so", "/proc/", "/sys/", "/dev/", "/usr/share",
                     self.home)))
                self.assertTrue(allowed or "asan" in TMILL, call)

    def test_names_are_refused_and_nothing_runs(self):
        for word, data in HOSTILE.items():
            inside = self.path("inside.pth")
            with zipfile.ZipFile(inside, "w") as archive:
                archive.writestr("m/data.pkl", data)
            for path in (self.put("alone.pkl", data), inside):
                with self.subTest(word=word, path=path):
                    code, lines, calls = self.traced(path)
                    self.assertEqual(code, 4, lines)
                    self.assertEqual(len(lines), 1, lines)
                    self.assertIn(word, lines[0])
                    self.assertRegex(lines[0], r"byte \d+")
                    self.check_calls(calls, path)
                    self.assertFalse(os.path.exists(self.path("pwned")))

    def test_published_exploits(self):
        folder = os.path.join(SHARED, "data", "readers", "pth-malicious")
        if not os.path.isdir(folder):
            self.skipTest(f"{folder} is absent")
        for file in sorted(os.listdir(folder)):
            if file == "MANIFEST.tsv":
                continue
            path = os.path.join(folder, file)
            with self.subTest(file=file):
                code, lines, calls = self.traced(path)
                self.assertIn(code, (2, 4), lines)
                self.assertEqual(len(lines), 1, lines)
                self.check_calls(calls, path)

    def test_archives_that_say_two_things(self):
        values = self.matrix()
        value = dictionary({"w": tensor("0", "F32", 256, 0, (8, 32), (32, 1))})
        with open(self.archive("m.pth", value, {"0": values.tobytes()}), "rb") as stream:
            good = stream.read()
        end = good.rindex(b"PK\5\6")
        local = good.index(b"PK\3\4", 4)
        damaged = {
            "end record": good[:end],
            "disagree": good[:14] + b"\1\2\3\4" + good[18:],
            "another name": good[:local + 30] + b"b" + good[local + 31:],
            "CRC": good[:local + 60] + bytes([good[local + 60] ^ 1]) + good[local + 61:],
        }
        for word, data in damaged.items():
            with self.subTest(word=word):
                self.refused(4, [word], "compress", self.put("d.pth", data), "-o",
                             self.path("d.tmpk"))

    def test_zip64_records_that_lie(self):
        value = dictionary({"w": tensor("0", "F32", 256, 0, (8, 32), (32, 1))})
        good = self.read(zip64(self.path("m.pth"), [("m/data.pkl", pickle(value)),
                                                    ("m/data/0", self.matrix().tobytes())]))
        end, locator, end64 = len(good) - 22, len(good) - 42, len(good) - 98
        field = good.index(b"m/data.pkl" + struct.pack("<HH", 1, 24)) + 10
        lies = [("points past itself", locator + 8, "<Q", locator),
                ("no zip64 end record", locator + 8, "<Q", end64 - 1),
                ("no zip64 end record", end64 + 4, "<Q", 43),
                ("end records disagree", end + 8, "<HH", (7, 7)),
                ("several disks", end64 + 24, "<Q", 1), ("several disks", locator + 16, "<I", 2),
                ("cannot hold", end64 + 24, "<QQ", (1 << 40, 1 << 40)),
                ("central directory", end64 + 48, "<Q", 1 << 63),
                ("extra fields", field + 2, "<H", 23), ("extra fields", field + 2, "<H", 25),
                ("two sizes differ", field + 4, "<Q", 1 << 62),
                ("header lies outside", field + 20, "<Q", 1 << 62)]
        for words, at, form, figures in lies:
            with self.subTest(words=words, at=at):
                figures = figures if isinstance(figures, tuple) else (figures,)
                data = bytearray(good)
                struct.pack_into(form, data, at, *figures)
                self.refused(4, [words], "inspect", self.put("d.pth", bytes(data)))


if __name__ == "__main__":
    main()
