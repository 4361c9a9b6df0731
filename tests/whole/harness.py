# SPDX-License-Identifier: Apache-2.0
"""Runs the real programs in a home of their own and holds every run to the contract of the command
line: no signal, no hang, no sanitizer report; a failure prints exactly one line (one JSON object
with --json), leaves no byte behind and changes no input; what --json prints parses."""
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.abspath(os.environ.get("TMILL_BIN", os.path.join(ROOT, "build/release/bin")))
TMILL, EDGE = os.path.join(BIN, "tmill"), os.path.join(BIN, "tmill-edge")
ADVERSARY = os.path.join(os.path.dirname(BIN), "tests/adversary")
SHARED = os.environ.get("TMILL_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
# Sanitizer builds are slower: their tests set this.
TIME_SCALE = float(os.environ.get("TMILL_TIME_SCALE", "1"))
SANITIZERS = re.compile(r"(Address|Leak|Thread|Memory)Sanitizer|runtime error:")
ERROR_KEYS = {"schema", "code", "status", "where", "what", "why", "hint"}
# Names of files that are being written (base/file.c).
HALF_WRITTEN = re.compile(r"\.tmp-")


def tree(*folders):
    """{path: what it is} of everything below the folders; equal when nothing changed."""
    found = {}
    for folder in folders:
        for top, dirs, names in os.walk(folder):
            for name in dirs + names:
                path = os.path.join(top, name)
                if os.path.islink(path):
                    found[path] = "link " + os.readlink(path)
                elif os.path.isdir(path):
                    found[path] = "folder"
                elif not os.path.isfile(path):
                    found[path] = "special"
                elif os.path.getsize(path) > 1 << 28:
                    found[path] = os.stat(path)[6:9]
                else:
                    with open(path, "rb") as stream:
                        found[path] = hashlib.sha256(stream.read()).hexdigest()
    return found


def half_written(*folders):
    return [path for path in tree(*folders) if HALF_WRITTEN.search(os.path.basename(path))]


class Result:
    def __init__(self, code, out, err, seconds, rss):
        self.code, self.out, self.err, self.seconds, self.rss = code, out, err, seconds, rss

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def data(self):
        return self.json["data"]

    @property
    def lines(self):
        return [line for line in self.err.split("\n") if line.strip()]


class Whole(unittest.TestCase):
    """One temporary folder a test: self.path("x") inside it, the home beside it."""

    def setUp(self):
        base = tempfile.mkdtemp(prefix="tmill-whole-")
        self.addCleanup(shutil.rmtree, base, ignore_errors=True)
        self.dir, self.home = os.path.join(base, "work"), os.path.join(base, "home")
        os.mkdir(self.dir)
        os.mkdir(self.home)
        self.started = []
        self.addCleanup(self.end_all)

    def end_all(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()

    # ---- files ----

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def put(self, name, data):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(data.encode() if isinstance(data, str) else data)
        return path

    def read(self, path):
        with open(path, "rb") as stream:
            return stream.read()

    # ---- running ----

    def environment(self, extra=None, home=None):
        home = home or self.home
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": home, "LC_ALL": "C",
               "TERM": "dumb", "TMPDIR": self.dir}
        for word in ("CONFIG", "DATA", "STATE", "CACHE"):
            env[f"XDG_{word}_HOME"] = os.path.join(home, word.lower())
        for word in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if word in os.environ:
                env[word] = os.environ[word]
        env.update(extra or {})
        return {key: value for key, value in env.items() if value is not None}

    def start(self, *argv, env=None, cwd=None, home=None, file_bytes=None, uid=None, **popen):
        """A program in the background; ended with the test."""
        def prepare():
            if file_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
            if uid is not None:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
        popen.setdefault("stdin", subprocess.DEVNULL)
        popen.setdefault("stdout", subprocess.PIPE)
        popen.setdefault("stderr", subprocess.PIPE)
        process = subprocess.Popen(
            argv, env=self.environment(env, home), cwd=cwd or self.dir, preexec_fn=prepare,
            start_new_session=True, **popen)
        self.started.append(process)
        return process

    def finish(self, process, timeout=60):
        try:
            out, err = process.communicate(timeout=timeout * TIME_SCALE)
        except subprocess.TimeoutExpired:
            process.kill()
            self.fail(f"no end within {timeout} s: {process.args}")
        out, err = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
        self.assertIsNone(SANITIZERS.search(err), err)
        return process.returncode, out, err

    def run_program(self, *argv, timeout=60, signal_after=None, **options):
        """Runs to the end and checks what holds for every run. signal_after: (seconds, number)."""
        argv = [str(word) for word in argv]
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        started = time.monotonic()
        process = self.start(*argv, **options)
        if signal_after:
            time.sleep(signal_after[0])
            process.send_signal(signal_after[1])
        code, out, err = self.finish(process, timeout)
        rss = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        result = Result(code, out, err, time.monotonic() - started, max(rss, before))
        what = f"{argv}: exit {code}\n{out}{err}"
        self.assertGreaterEqual(code, 0, what)
        self.assertLess(code, 126, what)
        if code != 0:
            self.assertEqual(len(result.lines), 1, what)
        if "--json" in argv and code == 0 and "watch" not in argv:
            self.assertIsInstance(result.json, dict, what)
            self.assertRegex(result.json["schema"], r"^tmill[a-z.]*/\d+$")
        return result

    def ok(self, *argv, program=TMILL, **options):
        result = self.run_program(program, *argv, **options)
        self.assertEqual(result.code, 0, result.out + result.err)
        return result

    def data_of(self, *argv, **options):
        """Runs with --json and gives the member data."""
        return self.ok(*argv, "--json", **options).data

    def refused(self, codes, words, *argv, program=TMILL, new_folders=False, json_too=True,
                prints=False, **options):
        """The command must fail with one of the codes, in one line that holds all the words (each
        may be a list of alternatives), print nothing else (prints: but what it found) and change
        nothing in the test's folder (new_folders: but may make folders and locks); the same with
        --json. Returns the plain result."""
        codes = {codes} if isinstance(codes, int) else set(codes)
        plain = None
        for flags in ([], ["--json"]) if json_too else ([],):
            before = tree(self.dir)
            result = self.run_program(program, *argv, *flags, **options)
            what = f"{argv}: exit {result.code}: {result.err}{result.out}"
            self.assertIn(result.code, codes, what)
            self.assertTrue(prints or result.out == "", what)
            text = result.err
            if flags:
                error = json.loads(result.err)
                self.assertEqual(set(error), ERROR_KEYS, what)
                self.assertEqual(error["code"], result.code, what)
                self.assertEqual(error["schema"], "tmill.error/1", what)
                text = " ".join(str(error[k]) for k in ("where", "what", "why", "hint"))
            for word in words:
                choices = [word] if isinstance(word, str) else word
                self.assertTrue(any(c.lower() in text.lower() for c in choices),
                                f"{choices} not in: {text}")
            after = tree(self.dir)
            for path in set(before) | set(after):
                if new_folders and path not in before and (
                        os.path.isdir(path) or os.path.getsize(path) == 0):
                    continue
                self.assertEqual(before.get(path), after.get(path), f"{path}: {what}")
            self.assertEqual(half_written(self.dir, self.home), [], what)
            plain = plain or result
        return plain

    # ---- common steps ----

    def compress(self, model, out="out.tmpk", recipe="int8", **options):
        """Compresses and returns (path of the package, data)."""
        path = self.path(out)
        data = self.data_of("compress", model, "-o", path, "--recipe", recipe, **options)
        self.assertEqual(half_written(self.dir, self.home), [])
        return path, data

    def export(self, package, out, form=None, kind="keep", program=TMILL):
        form = form or ("gguf" if out.endswith(".gguf") else "safetensors")
        path = self.path(out)
        self.ok("export", package, "--format", form, "--type", kind, "-o", path, program=program)
        return path

    def public_key(self):
        self.run_program(TMILL, "key", "gen")
        return self.ok("key", "export").out.strip()

    def submit(self, model, out="out.tmpk", recipe="int8", extra=(), listen="tcp://127.0.0.1:0"):
        """Starts a coordinator without workers of its own: (process, endpoint, server key)."""
        ready = self.path(f"ready-{len(self.started)}")
        process = self.start(TMILL, "submit", model, "-o", self.path(out), "--recipe", recipe,
                             "--listen", listen, "--workers", "0", "--ready-file", ready,
                             "--json", *extra)
        return process, *self.wait_ready(process, ready)

    def wait_ready(self, process, ready):
        end = time.monotonic() + 30 * TIME_SCALE
        while not os.path.exists(ready):
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                self.fail(f"the coordinator does not listen: {process.communicate()}")
            time.sleep(0.02)
        with open(ready, encoding="utf-8") as stream:
            pairs = dict(line.strip().split("=", 1) for line in stream)
        return pairs["endpoint"], pairs["server_key"]

    def node(self, endpoint, server_key, name, *extra, once=True):
        return self.start(TMILL, "node", "run", "--join", endpoint, "--server-key", server_key,
                          "--key", self.path(f"{name}.key"), "--name", name, "--threads", "1",
                          *(["--once"] if once else []), *extra)


def main():
    for program in (TMILL, EDGE):
        if not os.access(program, os.X_OK):
            sys.exit(f"{program} is not there; build it or set TMILL_BIN")
    unittest.main(module="__main__", verbosity=2)
