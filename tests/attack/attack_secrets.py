# SPDX-License-Identifier: Apache-2.0
"""Secret keys are in their file and in one guarded page, and nowhere else: not in what any command
prints, with -v, as JSON or when it fails, not in a job's or a device's folder, a journal, a package
or a site, not in a core file, and not in unguarded memory."""
import base64
import hashlib
import os
import re
import resource
import signal

from attack import EDGE, TMILL, Attack, hf_tensors, main, safetensors

Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def z85(data):
    out = ""
    for i in range(0, len(data), 4):
        value, word = int.from_bytes(data[i:i + 4], "big"), ""
        for _ in range(5):
            value, rest = divmod(value, 85)
            word = Z85[rest] + word
        out += word
    return out


def forms(secret):
    """Every way in which 32 secret bytes could be written."""
    words = {secret, secret[::-1], secret.hex().encode(), secret.hex().upper().encode(),
             z85(secret).encode(), repr(secret)[2:-1].encode(),
             b":".join(b"%02x" % b for b in secret), b" ".join(b"%02x" % b for b in secret)}
    for shift in range(3):  # base64 of a text that holds it at any place
        whole = base64.b64encode(b"\0" * shift + secret)
        words |= {whole[4:40], whole[4:40].translate(bytes.maketrans(b"+/", b"-_"))}
    return words


def needles(seed):
    """The seed and what is derived from it for signing and for CURVE (RFC 8032, 5.1.5)."""
    digest = hashlib.sha512(seed).digest()
    scalar = bytes([digest[0] & 248]) + digest[1:31] + bytes([digest[31] & 63 | 64])
    return forms(seed) | forms(scalar) | forms(digest[32:])


class Secrets(Attack):
    def setUp(self):
        super().setUp()
        self.said = b""
        self.needles = set()
        self.key_files = set()

    def seed_of(self, path):
        with open(path, encoding="utf-8") as stream:
            return bytes.fromhex(re.search(r'^seed = "([0-9a-f]{64})"$', stream.read(), re.M)[1])

    def know(self, path):
        self.key_files.add(os.path.realpath(path))
        self.needles |= needles(self.seed_of(path))

    def run_all(self, *argv, program=TMILL, **options):
        """The command as it is, with -v, with --json and with both; all of it is kept."""
        for flags in ([], ["-v"], ["--json"], ["-v", "--json"]):
            process = self.start(program, *argv, *flags, **options)
            out, err = process.communicate(timeout=60)
            self.said += out + err

    def look(self, data, where):
        for needle in self.needles:
            self.assertNotIn(needle, data, where)

    def look_everywhere(self):
        self.look(self.said, "printed")
        count = 0
        for top, _, names in os.walk(os.path.dirname(self.dir)):
            for name in names:
                path = os.path.join(top, name)
                if os.path.realpath(path) not in self.key_files and os.path.isfile(path):
                    count += 1
                    self.look(self.read(path), path)
        return count

    def test_nothing_of_a_whole_way_holds_a_secret(self):
        self.run_all("key", "gen")
        self.know(os.path.join(self.home, "config/tmill/owner.key"))
        self.run_all("key", "gen", "--name", "other", env={"TMILL_DUMPABLE": "1"})
        self.know(os.path.join(self.home, "config/tmill/other.key"))
        for command in ("gen", "show", "export"):
            self.run_all("key", command)
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        self.run_all("inspect", model, "--tensors", "--hash")
        self.run_all("compress", model, "-o", self.path("local.tmpk"), "--recipe", "int8")
        submit, endpoint, key = self.submit(model, "out.tmpk", extra=["-v"])
        node = self.node(endpoint, key, "worker", "-v")
        for process in (submit, node):
            out, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, err)
            self.said += out + err
        self.know(self.path("worker.key"))
        package, repo = self.path("out.tmpk"), self.path("repo")
        for argv in (["jobs"], ["inspect", package], ["verify", package, "--against", model],
                     ["publish", package, "--repo", repo, "--name", "m"], ["selftest"],
                     ["export", package, "--format", "gguf", "-o", self.path("o.gguf")]):
            self.run_all(*argv)
        self.run_all("trust", "add", self.ok("key", "export").out.strip(), program=EDGE)
        for argv in (["pull", repo, "m"], ["show", "m"], ["verify"], ["trust", "list"]):
            self.run_all(*argv, program=EDGE)
        self.assertGreater(self.look_everywhere(), 10)
        self.assertGreater(len(self.said), 3000)

    def test_a_damaged_key_file_is_not_quoted(self):
        self.ok("key", "gen")
        good = os.path.join(self.home, "config/tmill/owner.key")
        self.know(good)
        text = self.read(good)
        lines = text.splitlines(keepends=True)
        seed = self.seed_of(good).hex().encode()
        damaged = [text[:n] for n in range(0, len(text), 7)]
        damaged += [text.replace(seed, seed[:-1] + b"g"), text.replace(seed, seed + b"0"),
                    text.replace(b'seed = "', b"seed = "), text.replace(b"seed", b"sead"),
                    text + lines[-1], lines[-1] + text, seed, b"seed " + seed,
                    text.replace(b'"\nseed', b'\nseed'), text + b"\x1b" * 9000]
        for i, bad in enumerate(damaged):
            path = self.put(f"bad{i}.key", bad)
            os.chmod(path, 0o600)
            code, out, err = self.bytes_of("key", "show", "--key", path, "-v")
            self.assertIn(code, (0, 4), err)  # 0: only comments are cut off
            self.said += (out + err).encode()
            os.unlink(path)
        for mode in (0o644, 0o640, 0o604, 0o620, 0o602, 0o660):
            os.chmod(good, mode)
            code, out, err = self.bytes_of("key", "show", "-v")
            self.assertEqual(code, 4, err)
            self.assertIn("chmod 600", err)
            self.assertEqual(err.count("\n"), 1)
            self.said += (out + err).encode()
        self.look_everywhere()

    def coordinator(self, **options):
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        self.ok("key", "gen")
        self.know(os.path.join(self.home, "config/tmill/owner.key"))
        ready = self.path("ready")
        process = self.start(TMILL, "submit", model, "-o", self.path("o.tmpk"), "--recipe", "int8",
                             "--listen", "tcp://127.0.0.1:0", "--workers", "0", "--ready-file",
                             ready, **options)
        self.wait_ready(process, ready)
        return process

    def test_a_crash_leaves_no_core_file(self):
        """The pattern is relative here and the limit unlimited: only the process forbids it."""
        def unlimited():
            hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
            resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        unlimited()
        process = self.coordinator()
        process.send_signal(signal.SIGABRT)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGABRT)
        self.said += out + err
        self.assertEqual([n for n in os.listdir(self.dir) if n.startswith("core")], [])
        self.look_everywhere()

    def pages_with(self, pid, secret):
        """Readable mappings that hold the bytes: the flags of each."""
        found = []
        with open(f"/proc/{pid}/smaps", encoding="utf-8") as stream:
            maps = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) (r\S+).*\n(?:.*\n)*?VmFlags: (.*)$",
                              stream.read(), re.M)
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for start, end, _, flags in maps:
                try:
                    memory.seek(int(start, 16))
                    data = memory.read(int(end, 16) - int(start, 16))
                except (OSError, ValueError):
                    continue  # [vvar] cannot be read
                found += [flags.split()] * data.count(secret)
        return found

    def test_memory_holds_the_seed_once_and_guarded(self):
        process = self.coordinator(env={"TMILL_DUMPABLE": "1"})
        seed = self.seed_of(os.path.join(self.home, "config/tmill/owner.key"))
        found = self.pages_with(process.pid, seed)
        hexed = self.pages_with(process.pid, seed.hex().encode())
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        self.assertEqual(len(found), 1, found)
        self.assertEqual(hexed, [])
        self.assertIn("dd", found[0])  # MADV_DONTDUMP
        self.assertNotIn("wr", found[0])  # read-only
        self.assertIn("lo", found[0])  # locked: not written to swap


if __name__ == "__main__":
    main()
